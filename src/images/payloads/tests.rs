//! Samples of the documentation of each sender, and what differs from them in practice.

use serde_json::json;

use super::*;

const DIGEST: &str = "sha256:213bbc182920ab41e18edc2001e06abcca6735d87782d9cef68abd83941cf0e5";

fn now() -> OffsetDateTime {
    moment("2026-01-01T12:00:00Z").unwrap()
}

/// `id repository:tag digest time` of a push, or why it is ignored or refused.
fn brief(payload: Result<Payload, PayloadError>) -> String {
    match payload {
        Ok(Payload::Push(push)) => {
            let digest = push.digest.as_deref().map_or("-", |digest| &digest[..12]);
            let (id, tag) = (push.id.as_deref().unwrap_or("-"), push.tag.as_deref().unwrap_or("-"));
            format!("{id} {}:{tag} {digest} {}", push.repository, push.time.unix_timestamp())
        }
        Ok(Payload::Ignored(reason)) => format!("ignored: {reason}"),
        Err(error) => format!("refused: {error}"),
    }
}

fn hook(value: &Value) -> String {
    brief(webhook(&value.to_string(), None, now()))
}

/// The documented sample of Azure Container Registry.
fn azure_sample() -> Value {
    json!({
        "id": "31c51664-e5bd-416a-a5df-e5206bc47ed0", "timestamp": "2018-04-25T21:39:47.276585742Z",
        "action": "push",
        "target": {"mediaType": "application/vnd.docker.distribution.manifest.v2+json", "size": 3023,
            "digest": DIGEST, "length": 3023, "repository": "aci-helloworld", "tag": "v1"},
        "request": {"id": "7c66f28b", "host": "demo.azurecr.io", "method": "PUT", "useragent": "docker"},
    })
}

/// The documented sample of Docker Hub, with fewer members.
fn docker_hub_sample() -> Value {
    json!({
        "callback_url": "https://registry.hub.docker.com/u/svendowideit/testhook/hook/2141b5bi5i5b02bec211i4eeih0242eg11000a/",
        "push_data": {"pushed_at": 1_417_566_161, "pusher": "trustedbuilder", "tag": "1.4"},
        "repository": {"repo_name": "svendowideit/testhook", "name": "testhook",
            "namespace": "svendowideit", "repo_url": "https://registry.hub.docker.com/u/svendowideit/testhook/"},
    })
}

/// A package of GitHub.
fn github_sample(root: &str) -> Value {
    json!({
        "action": "published",
        root: {
            "id": 10_696, "name": "Hello-Docker", "namespace": "Codertocat", "ecosystem": "CONTAINER",
            "package_type": "CONTAINER", "updated_at": "2021-05-18T19:27:23Z",
            "owner": {"login": "Codertocat"},
            "package_version": {"version": DIGEST, "created_at": "2021-05-18T19:20:00Z",
                "container_metadata": {"tag": {"name": "latest", "digest": DIGEST}, "manifest": {}}},
        },
    })
}

#[test]
fn an_event_of_event_grid_is_read_in_both_schemas() {
    let value = json!({"id": "831e1650", "data": azure_sample()});
    let expected = "831e1650 demo.azurecr.io/aci-helloworld:v1 sha256:213bb 1524692387";
    assert_eq!(brief(event("831e1650", &value, Some("2020-01-01T00:00:00Z"), now())), expected);
    let mut without_time = value;
    without_time["data"].as_object_mut().unwrap().remove("timestamp");
    let read = brief(event("831e1650", &without_time, Some("2018-04-25T21:39:47.6549614Z"), now()));
    assert_eq!(read, expected);
}

#[test]
fn a_webhook_of_azure_container_registry_is_recognized() {
    let expected =
        "31c51664-e5bd-416a-a5df-e5206bc47ed0 demo.azurecr.io/aci-helloworld:v1 sha256:213bb 1524692387";
    assert_eq!(hook(&azure_sample()), expected);
    for action in ["delete", "quarantine", "chart_push", "chart_delete", "ping"] {
        let mut value = azure_sample();
        value["action"] = action.into();
        assert_eq!(hook(&value), format!("ignored: the action {action:?} is no push"));
    }
    let ping = json!({"id": "1", "timestamp": "2018-04-25T21:39:47Z", "action": "ping", "request": {}});
    assert_eq!(hook(&ping), "ignored: the action \"ping\" is no push");
}

#[test]
fn a_webhook_of_docker_hub_is_recognized() {
    assert_eq!(hook(&docker_hub_sample()), "- docker.io/svendowideit/testhook:1.4 - 1417566161");
    let mut official = docker_hub_sample();
    official["repository"]["repo_name"] = "nginx".into();
    assert_eq!(hook(&official), "- docker.io/library/nginx:1.4 - 1417566161");
    let mut nameless = docker_hub_sample();
    nameless["repository"].as_object_mut().unwrap().remove("repo_name");
    assert_eq!(
        hook(&nameless),
        "refused: repository.repo_name is missing, or is not the name of a repository"
    );
}

#[test]
fn a_webhook_of_github_is_recognized_by_header_or_form() {
    let expected = "- ghcr.io/codertocat/hello-docker:latest sha256:213bb 1621366043";
    for root in ["package", "registry_package"] {
        let body = github_sample(root).to_string();
        assert_eq!(brief(webhook(&body, Some(root), now())), expected);
        assert_eq!(brief(webhook(&body, None, now())), expected);
    }
}

#[test]
fn a_ping_of_github_is_ignored() {
    let ping = json!({"zen": "Keep it logically awesome.", "hook_id": 30, "hook": {}}).to_string();
    let read = brief(webhook(&ping, Some("ping"), now()));
    assert_eq!(read, "ignored: the event \"ping\" of GitHub is no push of a package");
    assert_eq!(brief(webhook(&ping, None, now())), "ignored: a ping of GitHub");
}

#[test]
fn a_package_of_github_that_is_no_image_is_ignored() {
    let mut value = github_sample("package");
    value["package"]["ecosystem"] = "npm".into();
    value["package"]["package_type"] = "npm".into();
    assert_eq!(hook(&value), "ignored: a package of the type \"npm, npm\" is no image");
    value["action"] = "updated".into();
    assert_eq!(hook(&value), "ignored: the action \"updated\" is no push");
    let mut other_case = github_sample("package");
    other_case["package"]["ecosystem"] = "container".into();
    other_case["package"]["package_type"] = Value::Null;
    assert!(hook(&other_case).starts_with("- ghcr.io/"));
}

#[test]
fn an_empty_tag_is_a_push_of_the_digest_alone() {
    let mut azure = azure_sample();
    azure["target"]["tag"] = "".into();
    assert!(hook(&azure).contains("aci-helloworld:- sha256:213bb"));
    azure["target"].as_object_mut().unwrap().remove("tag");
    assert!(hook(&azure).contains("aci-helloworld:- sha256:213bb"));
    let mut github = github_sample("package");
    github["package"]["package_version"]["container_metadata"]["tag"]["name"] = "".into();
    assert!(hook(&github).contains("hello-docker:- sha256:213bb"));
}

#[test]
fn a_tag_that_is_a_digest_is_a_push_of_the_digest_alone() {
    let mut azure = azure_sample();
    azure["target"]["tag"] = DIGEST.into();
    azure["target"].as_object_mut().unwrap().remove("digest");
    assert!(hook(&azure).contains("aci-helloworld:- sha256:213bb"));
}

#[test]
fn upper_case_names_are_lowered_and_ports_in_hosts_are_kept() {
    let mut azure = azure_sample();
    azure["target"]["repository"] = "Team/App".into();
    azure["request"]["host"] = "Registry.Contoso.com:5000".into();
    assert!(hook(&azure).contains(" registry.contoso.com:5000/team/app:v1 "), "{}", hook(&azure));
}

#[test]
fn the_generic_form_names_an_image_and_perhaps_a_digest() {
    for (value, expected) in [
        (json!({"image": "registry.contoso.com/app:v1"}), "- registry.contoso.com/app:v1 - 1767268800"),
        (
            json!({"image": "harbor.contoso.com:8443/team/App:v1", "digest": DIGEST}),
            "- harbor.contoso.com:8443/team/app:v1 sha256:213bb 1767268800",
        ),
        (json!({"image": "nginx", "digest": ""}), "- docker.io/library/nginx:latest - 1767268800"),
        (
            json!({"image": format!("quay.io/contoso/app@{DIGEST}")}),
            "- quay.io/contoso/app:- sha256:213bb 1767268800",
        ),
        (
            json!({"image": "a b"}),
            "refused: image is missing, or is not the reference of an image, such as registry.contoso.com/app:v1",
        ),
        (
            json!({"image": 7}),
            "refused: image is missing, or is not the reference of an image, such as registry.contoso.com/app:v1",
        ),
        (
            json!({"image": "quay.io/app:v1", "digest": "sha256:12"}),
            "refused: digest is missing, or is not a digest, such as sha256: and 64 hexadecimal digits",
        ),
    ] {
        assert_eq!(hook(&value), expected);
    }
}

#[test]
fn anything_else_is_refused_with_what_and_where() {
    for (body, expected) in [
        ("", "refused: the body is not JSON"),
        ("payload=%7B%7D", "refused: the body is not JSON"),
        ("[]", "refused: the body is no webhook of"),
        ("{}", "refused: the body is no webhook of"),
        (r#"{"type": "PUSH_ARTIFACT", "event_data": {}}"#, "refused: the body is no webhook of"),
        (r#"{"action": "push", "target": {}}"#, "refused: request.host is missing"),
        (
            r#"{"action": "push", "target": {"repository": "../x"}, "request": {"host": "a.io"}}"#,
            "refused: target.repository is missing, or is not the name of a repository",
        ),
        (
            r#"{"action": "push", "target": {"repository": "x", "tag": "a b"}, "request": {"host": "a.io"}}"#,
            "refused: target.tag is missing, or is not a tag",
        ),
        (
            r#"{"action": "published", "package": {"ecosystem": "container"}}"#,
            "refused: package.namespace is missing",
        ),
    ] {
        let read = brief(webhook(body, None, now()));
        assert!(read.starts_with(expected), "{body}: {read}");
    }
}

#[test]
fn a_time_in_the_future_counts_as_the_arrival() {
    let mut azure = azure_sample();
    azure["timestamp"] = "2099-01-01T00:00:00Z".into();
    assert!(hook(&azure).ends_with(" 1767268800"));
}
