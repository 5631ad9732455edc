//! What goes over the wire, and what never does.

use std::convert::Infallible;

use axum::{body::Body, response::Response};
use azure_core1::http::{HttpClient, Method, Request, headers::AUTHORIZATION};

use super::*;
use crate::domain::failure::FailureKind;

/// Answers every request with this status and body, and keeps scheme, host, path and token of each.
fn service(status: u16, body: &'static str) -> (HttpTransport, Arc<Mutex<Vec<String>>>) {
    let log: Arc<Mutex<Vec<String>>> = Arc::default();
    let seen = Arc::clone(&log);
    let service = tower::service_fn(move |request: http::Request<Body>| {
        let token = request.headers().get("authorization").map_or("none", |it| it.to_str().unwrap());
        let (scheme, authority) = (request.uri().scheme_str().unwrap(), request.uri().authority().unwrap());
        let line = format!("{} {scheme}://{authority}{} {token}", request.method(), request.uri().path());
        seen.lock().unwrap().push(line);
        let answer = Response::builder()
            .status(status)
            .header(
                "www-authenticate",
                "Bearer authorization=\"https://evil/\", resource=\"https://management.azure.com\"",
            )
            .body(Body::from(body));
        async move { Ok::<_, Infallible>(answer.unwrap()) }
    });
    (HttpTransport::embedded(service), log)
}

fn id(vault: &str) -> SecretId {
    SecretId { vault: Vault::new(vault.parse().unwrap()), name: "web--ip".parse().unwrap() }
}

/// Reads a secret, and returns the result with the requests.
async fn read(
    vault: &str,
    status: u16,
    body: &'static str,
) -> (Result<Option<Secret>, VaultError>, Vec<String>) {
    let (http_transport, log) = service(status, body);
    let vaults = Vaults::new(Cloud::Public, http_transport, Tokens::fixed("t"));
    let result = vaults.invocation().read(&id(vault)).await;
    let log = log.lock().unwrap().clone();
    (result, log)
}

#[tokio::test]
async fn a_read_is_one_request_with_the_token_and_a_vault_on_this_machine_is_asked_over_http() {
    let body = r#"{"value": "10.1.5.4", "id": "https://kv/secrets/web--ip/1", "tags": {"a": "b"}}"#;
    for (vault, expected) in [
        ("https://kv-apps.vault.azure.net/", "GET https://kv-apps.vault.azure.net/secrets/web--ip/ Bearer t"),
        ("http://127.0.0.1:8181/", "GET http://127.0.0.1:8181/secrets/web--ip/ Bearer t"),
    ] {
        let (result, log) = read(vault, 200, body).await;
        assert_eq!((result.unwrap().unwrap().value.as_str(), log), ("10.1.5.4", vec![expected.to_owned()]));
    }
}

#[tokio::test]
async fn a_token_for_another_audience_never_reaches_a_vault_whatever_its_challenge_says() {
    let body = r#"{"error": {"code": "Unauthorized", "message": "no"}}"#;
    let (result, log) = read("https://kv-apps.vault.azure.net/", 401, body).await;
    let error = result.unwrap_err();
    assert_eq!((error.kind(), log.len()), (FailureKind::Forbidden, 2), "{log:?}");
    assert!(error.to_string().contains("secrets/getSecret/action"), "{error}");
    for (cloud, host) in [
        (Cloud::Public, "vault.azure.net"),
        (Cloud::UsGovernment, "vault.usgovcloudapi.net"),
        (Cloud::China, "vault.azure.cn"),
    ] {
        assert_eq!(cloud.vault_scope(), format!("https://{host}/.default"));
        assert_eq!(cloud.vault_suffix(), format!(".{host}"));
    }
}

#[tokio::test]
async fn a_token_never_goes_to_another_host() {
    let (http_transport, log) = service(200, "{}");
    let vault = "https://kv-apps.vault.azure.net/".parse().unwrap();
    let transport = VaultTransport::new(vault, "scope", http_transport, Tokens::fixed("t"));
    for url in [
        "https://kv-other.vault.azure.net/secrets/a",
        "https://kv-apps.vault.azure.net.evil.example/secrets/a",
        "http://kv-apps.vault.azure.net/secrets/a",
        "https://kv-apps.vault.azure.net:8443/secrets/a",
    ] {
        let mut request = Request::new(url.parse().unwrap(), Method::Get);
        request.insert_header(AUTHORIZATION, "Bearer set-by-the-transport");
        let error = transport.execute_request(&request).await.unwrap_err();
        assert!(matches!(VaultCause::from(error), VaultCause::Address), "{url}");
    }
    assert!(log.lock().unwrap().is_empty());
}

#[tokio::test]
async fn an_answer_that_is_no_secret_is_no_absence() {
    for (status, body) in
        [(404, "<html>"), (404, r#"{"error": {"code": "NotFound", "message": "x"}}"#), (200, "<html>")]
    {
        let (result, _) = read("https://kv-apps.vault.azure.net/", status, body).await;
        assert!(result.is_err(), "{status} {body}");
    }
    let missing = r#"{"error": {"code": "SecretNotFound", "message": "x"}}"#;
    assert_eq!(read("https://kv-apps.vault.azure.net/", 404, missing).await.0.unwrap(), None);
}
