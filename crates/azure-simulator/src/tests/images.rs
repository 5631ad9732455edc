//! Pushed images, what containers pull, and what a PUT of a container group may do.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::super::testing::{GROUPS, SUBSCRIPTION, azure, get, put, send};
use super::super::{
    Azure, GroupSpec, PullingEvents, PushError, PushSpec, RestartPolicy, Settings, github_signature,
};

const IMAGE: &str = "demo.azurecr.io/app:v1";

fn spec() -> GroupSpec {
    GroupSpec { image: IMAGE.to_owned(), ..GroupSpec::new("rg-spoke1", "web") }
}

fn push(azure: &Azure, image: &str) -> String {
    azure.push_image(&PushSpec::new(image)).unwrap().digest
}

async fn post(azure: &Azure, path: &str) -> super::super::testing::Answered {
    send(azure, Method::POST, path, &[], Value::Null).await
}

async fn delete(azure: &Azure, path: &str) -> super::super::testing::Answered {
    send(azure, Method::DELETE, path, &[], Value::Null).await
}

/// The pulling events of the first container (or init container), oldest first: message, count, and last time.
async fn pulling(azure: &Azure, id: &str, kind: &str) -> Vec<String> {
    let body = get(azure, id).await.json();
    let events = body.pointer(&format!("/properties/{kind}/0/properties/instanceView/events")).unwrap();
    let events = events.as_array().unwrap().iter().filter(|event| event["name"] == "Pulling");
    events
        .map(|event| {
            let message = event["message"].as_str().unwrap();
            format!("{message} {} {}", event["count"], event["lastTimestamp"].as_str().unwrap())
        })
        .collect()
}

/// What a client sends that reads a group, changes its image and writes it: without what only answers have.
async fn read_for_update(azure: &Azure, id: &str, image: &str) -> Value {
    let mut body = get(azure, id).await.json();
    let properties = body["properties"].as_object_mut().unwrap();
    for name in ["instanceView", "provisioningState"] {
        properties.remove(name);
    }
    properties["containers"][0]["properties"]["image"] = image.into();
    body
}

#[tokio::test]
async fn a_pushed_tag_names_a_new_digest_and_groups_that_run_keep_the_old_one() {
    let azure = azure(Settings::default());
    let first = push(&azure, IMAGE);
    let id = azure.create_group(spec());
    let second = push(&azure, IMAGE);
    assert_ne!(first, second);
    let running = azure.running_images(&id);
    assert_eq!((running[0].container.as_str(), &running[0].digest), ("web", &first));
    azure.restart_group(&id).unwrap();
    assert_eq!(azure.running_images(&id)[0].digest, second);
}

#[tokio::test(start_paused = true)]
async fn a_restart_downloads_the_image_again_and_the_old_event_stays() {
    let azure = azure(Settings::default());
    let first = push(&azure, IMAGE);
    let id = azure.create_group(GroupSpec { provisioning: Duration::from_secs(20), ..spec() });
    azure.complete_provisioning(&id).unwrap();
    let second = push(&azure, IMAGE);
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(post(&azure, &format!("{id}/restart")).await.status, 204);
    let old = format!("pulling image \"demo.azurecr.io/app@{first}\" 1 2026-01-01T00:00:20Z");
    assert_eq!(pulling(&azure, &id, "containers").await, [old.as_str()], "it is not restarted yet");
    tokio::time::sleep(Duration::from_secs(20)).await;
    let new = format!("pulling image \"demo.azurecr.io/app@{second}\" 1 2026-01-01T00:01:20Z");
    assert_eq!(pulling(&azure, &id, "containers").await, [old.as_str(), &new]);
    azure.restart_group(&id).unwrap();
    azure.complete_provisioning(&id).unwrap();
    let again = new.replace("\" 1 ", "\" 2 ").replace("00:01:20Z", "00:01:40Z");
    assert_eq!(pulling(&azure, &id, "containers").await, [old, again], "the same digest is counted");
}

#[tokio::test]
async fn a_start_and_a_deployment_forget_the_events_of_before() {
    let azure = azure(Settings::default());
    push(&azure, IMAGE);
    let id = azure.create_group(spec());
    let second = push(&azure, IMAGE);
    azure.stop_group(&id).unwrap();
    azure.start_group(&id).unwrap();
    let events = pulling(&azure, &id, "containers").await;
    assert!(events[0].starts_with(&format!("pulling image \"demo.azurecr.io/app@{second}\"")), "{events:?}");
    assert_eq!(events.len(), 1);
    let third = push(&azure, IMAGE);
    azure.redeploy_group(&id).unwrap();
    let events = pulling(&azure, &id, "containers").await;
    assert!(events[0].contains(&third) && events.len() == 1, "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_container_that_ends_and_runs_again_pulls_the_same_digest() {
    let azure = azure(Settings::default());
    let first = push(&azure, IMAGE);
    let id = azure.create_group(GroupSpec { restart_policy: RestartPolicy::Always, ..spec() });
    push(&azure, IMAGE);
    azure.exit_containers(&id, 1).unwrap();
    tokio::time::sleep(Duration::from_secs(10)).await;
    let expected = format!("pulling image \"demo.azurecr.io/app@{first}\" 2 2026-01-01T00:00:10Z");
    assert_eq!(pulling(&azure, &id, "containers").await, [expected]);
}

#[tokio::test]
async fn every_container_and_init_container_pulls_its_image() {
    let azure = azure(Settings::default());
    let init_image = "demo.azurecr.io/tools/init:v3".to_owned();
    let side_image = "nginx".to_owned();
    let (init, side) = (push(&azure, &init_image), push(&azure, "docker.io/library/nginx:latest"));
    let spec = GroupSpec { init_images: vec![init_image], side_images: vec![side_image], ..spec() };
    let id = azure.create_group(spec);
    let running = azure.running_images(&id);
    let containers: Vec<_> = running.iter().map(|running| running.container.as_str()).collect();
    assert_eq!(containers, ["init-1", "web", "side-1"]);
    assert_eq!([&running[0].digest, &running[2].digest], [&init, &side]);
    let events = pulling(&azure, &id, "initContainers").await;
    assert!(events[0].starts_with(&format!("pulling image \"demo.azurecr.io/tools/init@{init}\"")));
    let body = get(&azure, &id).await.json();
    let view = &body["properties"]["initContainers"][0]["properties"]["instanceView"];
    assert_eq!(json!([view["currentState"]["state"], view["restartCount"]]), json!(["Terminated", 0]));
}

#[tokio::test]
async fn pulling_events_may_name_the_tag_or_be_missing() {
    let azure = azure(Settings::default());
    let id = azure.create_group(spec());
    azure.configure(|settings| settings.pulling_events = PullingEvents::WithTag);
    let events = pulling(&azure, &id, "containers").await;
    assert!(events[0].starts_with(&format!("pulling image \"{IMAGE}\"")), "{events:?}");
    azure.configure(|settings| settings.pulling_events = PullingEvents::Absent);
    assert_eq!(pulling(&azure, &id, "containers").await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_push_has_the_forms_of_the_documented_samples() {
    let azure = azure(Settings::default());
    let spec =
        PushSpec::new("Demo.azurecr.io/Team/App:v1").with_digest("sha256:ab").at("2026-02-03T04:05:06.5Z");
    let pushed = azure.push_image(&spec).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    let event = pushed.event();
    assert_eq!(keys(&event), "data dataVersion eventTime eventType id metadataVersion subject topic");
    assert_eq!(event["subject"], "team/app:v1");
    assert_eq!(event["eventTime"], "2026-02-03T04:05:06.5Z");
    assert!(event["topic"].as_str().unwrap().ends_with("/registries/demo"));
    assert_eq!(keys(&event["data"]), "action id request target timestamp");
    assert_eq!(keys(&event["data"]["target"]), "digest length mediaType repository size tag");
    assert_eq!(event["data"]["request"]["host"], "demo.azurecr.io");
    let cloud = pushed.cloud_event();
    assert_eq!((&cloud["source"], &cloud["data"]), (&event["topic"], &event["data"]));
    assert_eq!(pushed.acr_webhook(), event["data"]);
    let hub = pushed.docker_hub_webhook();
    assert_eq!(hub["push_data"]["pushed_at"], 1_770_091_506);
    assert_eq!((&hub["repository"]["repo_name"], hub.get("digest")), (&json!("team/app"), None));
    let package = &pushed.github_webhook()["package"];
    let tag = package.pointer("/package_version/container_metadata/tag").unwrap();
    assert_eq!(*tag, json!({"name": "v1", "digest": "sha256:ab"}));
    let generic = json!({"image": "demo.azurecr.io/team/app:v1", "digest": "sha256:ab"});
    assert_eq!(pushed.generic_webhook(), generic);

    let by_digest = azure.push_image(&PushSpec::new("demo.azurecr.io/app@sha256:cd")).unwrap();
    assert_eq!((by_digest.tag.as_str(), by_digest.digest.as_str()), ("", "sha256:cd"));
    assert_eq!(by_digest.time, "2026-01-01T00:00:00.0000000Z");
    let nameless = azure.push_image(&PushSpec::new("demo.azurecr.io/"));
    assert_eq!(nameless, Err(PushError::Name("demo.azurecr.io/".to_owned())));
    let timeless = azure.push_image(&PushSpec::new(IMAGE).at("yesterday"));
    assert_eq!(timeless, Err(PushError::Time("yesterday".to_owned())));
}

#[test]
fn a_signature_is_that_of_githubs_documentation() {
    // https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries#testing-the-webhook-payload-validation
    let expected = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    assert_eq!(github_signature("It's a Secret to Everybody", b"Hello, World!"), expected);
}

#[tokio::test]
async fn a_push_over_http_answers_with_what_the_registry_sends() {
    let azure = azure(Settings::default());
    let control = async |verb: &str, body: Value| {
        let path = format!("/simulator/images/{verb}");
        send(&azure, Method::POST, &path, &[], body).await
    };
    let pushed = control("push", json!({"image": IMAGE, "time": "2026-02-03T04:05:06Z"})).await.json();
    assert_eq!(pushed["event"]["data"]["target"]["digest"], pushed["digest"]);
    assert_eq!(pushed["cloudEvent"]["specversion"], "1.0");
    assert_eq!(pushed["webhooks"]["generic"]["image"], IMAGE);
    let create = json!({"name": "web", "image": IMAGE, "tags": {"aci-dns-image": "restart"}});
    let created = send(&azure, Method::POST, "/simulator/groups/create", &[], create).await.json();
    let images = get(&azure, "/simulator/images").await.json();
    assert_eq!(images["pushed"][IMAGE], pushed["digest"]);
    let running = json!([
        {"group": created["id"], "container": "web", "image": IMAGE, "digest": pushed["digest"]},
    ]);
    assert_eq!(images["running"], running);
    let tags = get(&azure, created["id"].as_str().unwrap()).await.json()["tags"].clone();
    assert_eq!(tags, json!({"aci-dns-image": "restart"}));
    assert_eq!(control("push", json!({"image": "demo.azurecr.io/"})).await.status, 400);
    assert_eq!(control("explode", json!({"image": IMAGE})).await.status, 400);
    assert_eq!(control("remove", json!({"image": IMAGE})).await.status, 204);
}

#[tokio::test]
async fn a_put_with_another_image_restarts_the_group_with_it() {
    let azure = azure(Settings::default());
    let id = azure.create_group(spec());
    let next = push(&azure, "demo.azurecr.io/app:v2");
    let _ = azure.take_events();
    let body = read_for_update(&azure, &id, "demo.azurecr.io/app:v2").await;
    assert_eq!(put(&azure, &id, body).await.status, 200);
    let running = azure.running_images(&id);
    assert_eq!((running[0].image.as_str(), &running[0].digest), ("demo.azurecr.io/app:v2", &next));
    assert_eq!(azure.take_events()[0]["eventType"], "Microsoft.Resources.ResourceWriteSuccess");
}

#[tokio::test(start_paused = true)]
async fn a_group_in_transition_refuses_every_operation_but_a_read_and_new_tags() {
    let azure = azure(Settings { provisioning: Duration::from_secs(20), ..Settings::default() });
    let id = azure.create_group(GroupSpec { provisioning: Duration::from_secs(20), ..spec() });
    azure.complete_provisioning(&id).unwrap();
    let body = read_for_update(&azure, &id, IMAGE).await;
    let refused = (409, "ContainerGroupTransitioning".to_owned());
    let check = async || {
        for action in ["restart", "start", "stop"] {
            assert_eq!(post(&azure, &format!("{id}/{action}")).await.error(), refused, "{action}");
        }
        assert_eq!(put(&azure, &id, body.clone()).await.error(), refused);
        assert_eq!(delete(&azure, &id).await.error(), refused);
        let tags = json!({"tags": {"a": "b"}});
        assert_eq!(send(&azure, Method::PATCH, &id, &[], tags).await.status, 200);
        assert_eq!(get(&azure, &id).await.status, 200);
    };
    assert_eq!(post(&azure, &format!("{id}/restart")).await.status, 204);
    check().await;
    let message = "The container group 'web' is still transitioning, please retry later.";
    assert_eq!(put(&azure, &id, body.clone()).await.json()["error"]["message"], message);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(put(&azure, &id, body.clone()).await.status, 200);
    check().await;
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(delete(&azure, &id).await.status, 200);
}

#[tokio::test]
async fn what_only_a_new_group_can_have_is_refused_while_it_runs() {
    let azure = azure(Settings::default());
    let id = azure.create_group(GroupSpec { restart_policy: RestartPolicy::OnFailure, ..spec() });
    let body = read_for_update(&azure, &id, IMAGE).await;
    let change = async |pointer: &str, value: Value| {
        let mut body = body.clone();
        match body.pointer_mut(pointer) {
            Some(member) => *member = value,
            None => body[pointer.trim_start_matches('/')] = value,
        }
        put(&azure, &id, body).await
    };
    let check = async |pointer: &str, value: Value, expected: &str| {
        let refused = change(pointer, value).await;
        assert_eq!(refused.error(), (400, "InvalidContainerGroupUpdate".to_owned()), "{pointer}");
        let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
        let expected = format!(
            "The updates on container group 'web' are invalid. If you are going to update the {expected} for a container \
             group, you must delete it first and then create a new one."
        );
        assert_eq!(message, expected);
    };
    let policy = "RestartPolicy (old \"OnFailure\", new \"Always\")";
    check("/properties/restartPolicy", json!("Always"), policy).await;
    let resources = "os type, restart policy, network profile, CPU, memory or GPU resources";
    let requests = "/properties/containers/0/properties/resources/requests";
    check(&format!("{requests}/cpu"), json!(2), resources).await;
    check(&format!("{requests}/memoryInGB"), json!(2), resources).await;
    check(requests, json!({"cpu": 1, "memoryInGB": 1.5, "gpu": {"count": 1, "sku": "V100"}}), resources)
        .await;
    check("/properties/osType", json!("Windows"), resources).await;
    check("/properties/subnetIds", json!([{"id": "/subscriptions/s/subnets/other"}]), resources).await;
    check("/properties/subnetIds", json!([]), resources).await;
    check("/zones", json!(["1"]), resources).await;

    assert_eq!(change(&format!("{requests}/cpu"), json!(1)).await.status, 200, "1 is 1.0");
    azure.stop_group(&id).unwrap();
    let redeployed = change("/properties/restartPolicy", json!("Always")).await;
    assert_eq!(redeployed.status, 200, "a stopped group is deployed as new");
}

/// A group with every secret that a PUT can carry.
fn with_secrets() -> Value {
    json!({
        "location": "westeurope",
        "properties": {
            "osType": "Linux",
            "containers": [{"name": "web", "properties": {
                "image": IMAGE,
                "environmentVariables": [
                    {"name": "MODE", "value": ""},
                    {"name": "PASSWORD", "secureValue": "hunter2"},
                ],
                "resources": {"requests": {"memoryInGB": 1.5, "cpu": 1}},
            }}],
            "imageRegistryCredentials": [
                {"server": "demo.azurecr.io", "username": "pull", "password": "hunter3"},
                {"server": "other.azurecr.io", "identity": "/subscriptions/s/identities/pull"},
            ],
            "volumes": [
                {"name": "share", "azureFile": {
                    "shareName": "s", "storageAccountName": "a", "storageAccountKey": "hunter4",
                }},
                {"name": "certificate", "secret": {"tls.key": "aHVudGVyNQ=="}},
            ],
            "diagnostics": {"logAnalytics": {"workspaceId": "w", "workspaceKey": "hunter6"}},
            "sku": "Confidential",
            "confidentialComputeProperties": {"ccePolicy": "cGFja2FnZSBwb2xpY3k="},
        },
    })
}

#[tokio::test]
async fn a_get_hides_every_secret_and_shows_a_confidential_policy() {
    let azure = azure(Settings::default());
    let id = format!("{GROUPS}/web");
    assert_eq!(put(&azure, &id, with_secrets()).await.status, 201);
    let answered = get(&azure, &id).await;
    assert!(!answered.text.contains("hunter") && !answered.text.contains("aHVudGVy"), "{}", answered.text);
    let properties = &answered.json()["properties"];
    let variables = &properties["containers"][0]["properties"]["environmentVariables"];
    assert_eq!(*variables, json!([{"name": "MODE", "value": ""}, {"name": "PASSWORD"}]));
    let registries = json!([
        {"server": "demo.azurecr.io", "username": "pull"},
        {"server": "other.azurecr.io", "identity": "/subscriptions/s/identities/pull"},
    ]);
    assert_eq!(properties["imageRegistryCredentials"], registries);
    let share = json!({"shareName": "s", "storageAccountName": "a"});
    assert_eq!(properties["volumes"][0]["azureFile"], share);
    assert_eq!(properties["volumes"][1]["secret"], json!({}));
    assert_eq!(properties["diagnostics"], json!({"logAnalytics": {"workspaceId": "w"}}));
    // Recording test_container_create_with_confidential_sku-004.
    assert_eq!(properties["confidentialComputeProperties"]["ccePolicy"], "cGFja2FnZSBwb2xpY3k=");
    let secrets: Vec<_> = azure.group_secrets(&id).into_iter().collect();
    let expected = [
        ("containers/web/PASSWORD/secureValue", "hunter2"),
        ("diagnostics/logAnalytics/workspaceKey", "hunter6"),
        ("imageRegistryCredentials/demo.azurecr.io/password", "hunter3"),
        ("volumes/certificate/tls.key", "aHVudGVyNQ=="),
        ("volumes/share/storageAccountKey", "hunter4"),
    ];
    assert_eq!(secrets, expected.map(|(place, value)| (place.to_owned(), value.to_owned())));
}

#[tokio::test]
async fn a_put_of_what_a_get_answered_is_refused_where_a_secret_was_hidden() {
    let azure = azure(Settings::default());
    let id = format!("{GROUPS}/web");
    put(&azure, &id, with_secrets()).await;
    let before = azure.group_secrets(&id);
    let mut body = read_for_update(&azure, &id, IMAGE).await;
    let check = async |body: &Value, code: &str, message: &str| {
        let refused = put(&azure, &id, body.clone()).await;
        assert_eq!(refused.error(), (400, code.to_owned()));
        assert_eq!(refused.json()["error"]["message"], message);
        assert_eq!(azure.group_secrets(&id), before);
    };
    let message = "The environment variable 'PASSWORD' in container 'web' of container group 'web' is invalid. One and \
                   only one property of 'value' and 'secureValue' can be specified in an environment variable.";
    check(&body, "InvalidEnvironmentVariable", message).await;
    body["properties"]["containers"][0]["properties"]["environmentVariables"][1]["value"] = "x".into();
    let message = "The password in the 'imageRegistryCredentials' of container group 'web' cannot be empty.";
    check(&body, "InvalidImageRegistryPassword", message).await;
    body["properties"]["imageRegistryCredentials"][0]["password"] = "x".into();
    let message = "The storage account key of the volume 'share' is invalid.";
    check(&body, "InvalidStorageAccountKey", message).await;
    body["properties"]["volumes"][0]["azureFile"]["storageAccountKey"] = "x".into();
    let message = "The 'workspaceKey' of the 'logAnalytics' is required.";
    check(&body, "InvalidRequestContent", message).await;
    body["properties"]["diagnostics"]["logAnalytics"]["workspaceKey"] = "x".into();
    assert_eq!(put(&azure, &id, body).await.status, 200);
    let secrets = azure.group_secrets(&id);
    assert_eq!(secrets.get("volumes/certificate/tls.key"), None, "the files are lost without an error");
    assert_eq!(secrets.len(), 3);
}

#[tokio::test]
async fn an_image_that_cannot_be_pulled_is_refused_and_the_group_stays() {
    let azure = azure(Settings::default());
    let id = azure.create_group(spec());
    azure.remove_image("demo.azurecr.io/app:v2");
    let body = read_for_update(&azure, &id, "demo.azurecr.io/app:v2").await;
    let refused = put(&azure, &id, body.clone()).await;
    assert_eq!(refused.error(), (400, "InaccessibleImage".to_owned()));
    assert_eq!(azure.running_images(&id)[0].image, IMAGE);
    push(&azure, "demo.azurecr.io/app:v2");
    assert_eq!(put(&azure, &id, body).await.status, 200);
}

#[tokio::test]
async fn a_definition_is_changed_without_an_event() {
    let azure = azure(Settings::default());
    let id = azure.create_group(spec());
    let _ = azure.take_events();
    azure
        .change_definition(&id, |definition| definition["volumes"] = json!([{"name": "v", "secret": {}}]))
        .unwrap();
    assert_eq!(get(&azure, &id).await.json()["properties"]["volumes"], json!([{"name": "v", "secret": {}}]));
    assert_eq!(azure.take_events(), Vec::<Value>::new());
    let missing = format!("/subscriptions/{SUBSCRIPTION}/none");
    assert!(azure.change_definition(&missing, |_| {}).is_err());
    assert!(azure.group_secrets(&missing).is_empty() && azure.running_images(&missing).is_empty());
}
