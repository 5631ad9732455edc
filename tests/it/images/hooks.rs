//! Webhooks through the HTTP trigger: who may send them, what is read of them, and what their sender sees.

use azure_simulator::github_signature;
use serde_json::{Value, json};

use super::{APP, Done, Images, WEBHOOK, hook};
use crate::world::pass;

const RESTARTED: &str = "changed ! restart rg-spoke1/web demo.azurecr.io/app:v1";
const RESTART: &str = "POST web/restart";

impl Images {
    async fn hook(&self, body: &str, headers: &[(&str, &str)]) -> Done {
        let done = self.invoke(WEBHOOK, &hook(Some(body), headers)).await;
        done.check_caller();
        done
    }

    async fn web() -> Self {
        Self::web_with(&[]).await
    }

    async fn web_with(settings: &[(&str, &str)]) -> Self {
        let images = Self::new(settings);
        images.create("web", "restart", "demo.azurecr.io/app:v1").await;
        images
    }
}

impl Done {
    /// The status that the caller of the webhook sees.
    fn status(&self) -> u64 {
        self.answer.body["Outputs"]["res"]["statusCode"].as_u64().unwrap()
    }

    /// The answer to the host is 2xx, and no answer contains a key or the name of a group.
    fn check_caller(&self) {
        assert_eq!(self.answer.status, 200, "any other status is 500 without a body for the caller");
        let response = &self.answer.body["Outputs"]["res"];
        assert!(response["body"].as_str().is_some_and(|body| serde_json::from_str::<Value>(body).is_ok()));
        assert!(!response.to_string().contains("rg-spoke1"), "{response}");
        let all = format!("{} {:?}", self.answer.body, self.lines);
        for secret in ["the-function-key", "open-sesame", "callback"] {
            assert!(!all.contains(secret), "{all}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_webhook_of_azure_container_registry_restarts() {
    let images = Images::web().await;
    let push = images.push("demo.azurecr.io/app:v1");
    let done = images.hook(&push.acr_webhook().to_string(), &[]).await;
    done.is(200, &[RESTARTED], &[RESTART]);
    assert_eq!(done.status(), 200);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_of_docker_hub_restarts_and_its_callback_is_not_called() {
    let images = Images::new(&[]);
    images.create("web", "restart", "contoso/app:v1").await;
    let push = images.push("docker.io/contoso/app:v1");
    let done = images.hook(&push.docker_hub_webhook().to_string(), &[]).await;
    done.is(200, &["changed ! restart rg-spoke1/web docker.io/contoso/app:v1"], &[RESTART]);
    assert!(images.azure.calls().iter().all(|call| call.path.starts_with("/subscriptions/")));
}

#[tokio::test(start_paused = true)]
async fn a_webhook_of_github_restarts_and_its_ping_is_ignored() {
    let images = Images::new(&[]);
    images.create("web", "restart", "ghcr.io/contoso/app:v1").await;
    let push = images.push("ghcr.io/contoso/app:v1");
    let ping = images.hook(r#"{"zen": "x", "hook_id": 1}"#, &[("X-GitHub-Event", "ping")]).await;
    ping.is(200, &["ignored"], &[]);
    assert_eq!(ping.status(), 200);
    let done = images.hook(&push.github_webhook().to_string(), &[("x-github-event", "package")]).await;
    done.is(200, &["changed ! restart rg-spoke1/web ghcr.io/contoso/app:v1"], &[RESTART]);
}

#[tokio::test(start_paused = true)]
async fn the_generic_form_restarts() {
    let images = Images::new(&[]);
    images.create("web", "restart", "harbor.contoso.com:8443/team/app:v1").await;
    images.push("harbor.contoso.com:8443/team/app:v1");
    let body = json!({"image": "harbor.contoso.com:8443/Team/App:v1"}).to_string();
    images.hook(&body, &[]).await.is(
        200,
        &["changed ! restart rg-spoke1/web harbor.contoso.com:8443/team/app:v1"],
        &[RESTART],
    );
}

#[tokio::test(start_paused = true)]
async fn anything_else_is_400_with_what_and_where() {
    let images = Images::web().await;
    for (body, expected) in [
        ("{}", "has no member"),
        ("payload=%7B%7D", "is not JSON"),
        (r#"{"image": "a b"}"#, "image is missing, or is not"),
        (r#"{"type": "PUSH_ARTIFACT"}"#, "has no member"),
    ] {
        let done = images.hook(body, &[]).await;
        done.is(200, &["malformed"], &[]).because(expected);
        assert_eq!(done.status(), 400);
        assert!(done.answer.body["Outputs"]["res"]["body"].as_str().unwrap().contains(expected));
    }
}

#[tokio::test(start_paused = true)]
async fn a_missing_body_of_a_chunked_request_is_411() {
    let images = Images::web().await;
    for body in [None, Some("")] {
        let done = images.invoke(WEBHOOK, &hook(body, &[])).await;
        done.check_caller();
        done.is(200, &["malformed"], &[]).because("must not send it in chunks");
        assert_eq!(done.status(), 411);
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_is_too_large_is_413() {
    let images = Images::web().await;
    let done = images.hook(&" ".repeat(1024 * 1024 + 1), &[]).await;
    assert_eq!(done.status(), 413);
}

#[tokio::test(start_paused = true)]
async fn an_invocation_that_is_no_request_quotes_nothing_of_it() {
    let images = Images::web().await;
    for body in
        [json!({}), json!({"Data": "?code=the-function-key"}), json!({"Data": {"req": "the-function-key"}})]
    {
        let done = images.invoke(WEBHOOK, &body).await;
        done.check_caller();
        assert_eq!(done.status(), 400);
    }
}

#[tokio::test(start_paused = true)]
async fn a_signature_over_the_raw_body_is_required_where_a_secret_is_set() {
    let images = Images::web_with(&[("ACI_DNS_WEBHOOK_SECRET", "open-sesame")]).await;
    // The spelling is part of what is signed.
    let body = format!("{{ \"image\" :\"{APP}:v1\",\"x\":1.0 }}");
    images.push("demo.azurecr.io/app:v1");
    pass(1).await;
    let signature = github_signature("open-sesame", body.as_bytes());
    for headers in [
        &[][..],
        &[("X-Hub-Signature-256", "sha256=00")],
        &[("X-Hub-Signature-256", github_signature("other", body.as_bytes()).as_str())],
        &[("Authorization", "open")],
        &[("x-functions-key", "the-function-key")],
    ] {
        let done = images.hook(&body, headers).await;
        done.is(200, &["malformed"], &[]).because("ACI_DNS_WEBHOOK_SECRET");
        assert_eq!(done.status(), 401, "{headers:?}");
    }
    let other = images.hook(&body.replace("1.0", "1"), &[("X-Hub-Signature-256", &signature)]).await;
    assert_eq!(other.status(), 401, "the body was changed");
    images.hook(&body, &[("x-hub-signature-256", &signature)]).await.is(200, &[RESTARTED], &[RESTART]);
}

#[tokio::test(start_paused = true)]
async fn an_authorization_header_is_enough_for_registries_that_do_not_sign() {
    let images = Images::web_with(&[("ACI_DNS_WEBHOOK_SECRET", "open-sesame")]).await;
    let push = images.push("demo.azurecr.io/app:v1");
    let done = images.hook(&push.acr_webhook().to_string(), &[("Authorization", "open-sesame")]).await;
    done.is(200, &[RESTARTED], &[RESTART]);
}

#[tokio::test(start_paused = true)]
async fn what_is_stored_is_202_and_what_is_not_has_its_own_status() {
    for (has_queue, expected, outcome) in [(true, 202, "deferred"), (false, 503, "unavailable")] {
        let images = if has_queue { Images::with_queue(&[]) } else { Images::new(&[]) };
        images.create("web", "restart", "demo.azurecr.io/app:v1").await;
        images.azure.restart_group(&crate::world::id("web")).unwrap();
        pass(20).await;
        let push = images.push("demo.azurecr.io/app:v1");
        let done = images.hook(&push.acr_webhook().to_string(), &[]).await;
        done.is(200, &[outcome], &[]);
        assert_eq!(done.status(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn a_host_of_a_payload_that_no_registry_names_is_never_asked() {
    let images = Images::web().await;
    let body = json!({"image": "169.254.169.254/metadata/app:v1"}).to_string();
    images.hook(&body, &[]).await.is(200, &["ignored"], &[]);
    assert!(images.azure.calls().is_empty());
}
