//! Containers that end and addresses that change without a request.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::super::testing::{GROUPS, SUBSCRIPTION, azure, get, put, send};
use super::super::{Azure, GroupSpec, RestartPolicy, Settings};

fn azure_with(spec: GroupSpec) -> (Azure, String) {
    let azure = azure(Settings::default());
    assert!(azure.set_address_range(SUBSCRIPTION, "rg-spoke1", "10.1.5.0/24"));
    let id = azure.create_group(spec);
    (azure, id)
}

fn web(restart_policy: RestartPolicy) -> GroupSpec {
    GroupSpec { restart_policy, ..GroupSpec::new("rg-spoke1", "web") }
}

/// Group state, address, and the container: its state, detail, previous state and number of restarts.
async fn reported(azure: &Azure, id: &str) -> String {
    let body = get(azure, id).await.json();
    assert_eq!(body["properties"]["provisioningState"], "Succeeded");
    let text = |pointer: &str| match body.pointer(&format!("/properties{pointer}")) {
        Some(Value::String(text)) => text.clone(),
        Some(value) => value.to_string(),
        None => "-".to_owned(),
    };
    let container = |name: &str| text(&format!("/containers/0/properties/instanceView/{name}"));
    format!(
        "{} {} | {} {} {} | previously {} {} | {} restarts",
        text("/instanceView/state"),
        text("/ipAddress/ip"),
        container("currentState/state"),
        container("currentState/exitCode"),
        container("currentState/detailStatus"),
        container("previousState/state"),
        container("previousState/exitCode"),
        container("restartCount"),
    )
}

/// As events name it: the digest is that of its name.
const IMAGE: &str = "mcr.microsoft.com/azuredocs/aci-helloworld@sha256:18a97786cefca952276828f296b862939c959ccc341ad3ff9e81fe652209c094";

/// An event of a container on the first day of the simulated time.
fn event(count: u32, first: &str, last: &str, name: &str, message: &str) -> Value {
    json!({
        "count": count,
        "firstTimestamp": format!("2026-01-01T{first}Z"),
        "lastTimestamp": format!("2026-01-01T{last}Z"),
        "name": name,
        "message": message,
        "type": if name == "BackOff" { "Warning" } else { "Normal" },
    })
}

async fn sleep(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

// Recordings test_container_create_msi-012 and -004 of Azure/azure-cli: the two forms of a group between two restarts.
#[tokio::test(start_paused = true)]
async fn between_two_restarts_a_group_is_ended_then_running_and_keeps_its_address() {
    let (azure, id) = azure_with(web(RestartPolicy::Always));
    sleep(3).await;
    azure.exit_containers(&id, 0).unwrap();
    let ended = "Succeeded 10.1.5.4 | Terminated 0 Completed | previously - - | 0 restarts";
    assert_eq!(reported(&azure, &id).await, ended);
    sleep(5).await;
    let waiting = "Running 10.1.5.4 | Waiting - CrashLoopBackOff: Back-off 10s restarting failed \
                   | previously Terminated 0 | 0 restarts";
    assert_eq!(reported(&azure, &id).await, waiting);
    sleep(5).await;
    let running = "Running 10.1.5.4 | Running -  | previously Terminated 0 | 1 restarts";
    assert_eq!(reported(&azure, &id).await, running);

    azure.exit_containers(&id, 137).unwrap();
    let failed = "Failed 10.1.5.4 | Terminated 137 Error | previously Terminated 0 | 1 restarts";
    assert_eq!(reported(&azure, &id).await, failed);
    let body = get(&azure, &id).await.json();
    let view = &body["properties"]["containers"][0]["properties"]["instanceView"];
    assert_eq!(
        *view,
        json!({
            "restartCount": 1,
            "currentState": {
                "state": "Terminated",
                "startTime": "2026-01-01T00:00:13.000Z",
                "exitCode": 137,
                "finishTime": "2026-01-01T00:00:13.000Z",
                "detailStatus": "Error",
            },
            "previousState": {
                "state": "Terminated",
                "startTime": "2026-01-01T00:00:00.000Z",
                "exitCode": 0,
                "finishTime": "2026-01-01T00:00:03.000Z",
                "detailStatus": "Completed",
            },
            "events": [
                event(2, "00:00:00", "00:00:13", "Pulling", &format!("pulling image \"{IMAGE}\"")),
                event(2, "00:00:00", "00:00:13", "Pulled", &format!("Successfully pulled image \"{IMAGE}\"")),
                event(2, "00:00:00", "00:00:13", "Started", "Started container"),
                event(2, "00:00:13", "00:00:13", "BackOff", "Back-off restarting failed container"),
            ],
        })
    );
    let other = azure.create_group(GroupSpec::new("rg-spoke1", "other"));
    assert_eq!(azure.group_address(&other).unwrap().to_string(), "10.1.5.5", "the address is not free");
    sleep(10).await;
    assert!(reported(&azure, &id).await.contains("Back-off 20s"));
    sleep(10).await;
    assert!(reported(&azure, &id).await.ends_with("2 restarts"));
}

#[tokio::test(start_paused = true)]
async fn the_time_between_two_restarts_doubles_up_to_five_minutes_until_the_group_is_restarted() {
    let (azure, id) = azure_with(web(RestartPolicy::Always));
    let back_off = async || {
        azure.exit_containers(&id, 1).unwrap();
        let mut seconds = 0;
        while !reported(&azure, &id).await.contains("| Running") {
            sleep(5).await;
            seconds += 5;
        }
        seconds
    };
    for expected in [10, 20, 40, 80, 160, 300, 300] {
        assert_eq!(back_off().await, expected);
    }
    azure.restart_group(&id).unwrap();
    assert_eq!(back_off().await, 10);
}

#[tokio::test(start_paused = true)]
async fn the_policy_and_the_exit_code_decide_whether_a_group_ends_and_releases_its_address() {
    for (policy, exit_code, expected) in [
        (RestartPolicy::Always, 0, "Running 10.1.5.4"),
        (RestartPolicy::Always, 3, "Running 10.1.5.4"),
        (RestartPolicy::OnFailure, 0, "Succeeded -"),
        (RestartPolicy::OnFailure, 3, "Running 10.1.5.4"),
        (RestartPolicy::Never, 0, "Succeeded -"),
        (RestartPolicy::Never, 3, "Failed -"),
    ] {
        let (azure, id) = azure_with(web(policy));
        let _ = azure.take_events();
        azure.exit_containers(&id, exit_code).unwrap();
        sleep(60).await;
        let body = get(&azure, &id).await.json();
        assert_eq!(body["properties"]["restartPolicy"], format!("{policy:?}"));
        let reported = reported(&azure, &id).await;
        assert!(reported.starts_with(expected), "{policy:?} {exit_code}: {reported}");
        assert_eq!(azure.group_address(&id).is_some(), expected.contains("10.1.5.4"));
        assert_eq!(azure.take_events(), Vec::<Value>::new(), "no event is raised");
    }
}

#[tokio::test(start_paused = true)]
async fn an_operation_ends_the_time_between_two_restarts() {
    let exited = || {
        let (azure, id) = azure_with(web(RestartPolicy::Always));
        azure.exit_containers(&id, 1).unwrap();
        (azure, id)
    };
    let (azure, id) = exited();
    azure.stop_group(&id).unwrap();
    sleep(60).await;
    assert!(reported(&azure, &id).await.starts_with("Stopped - | Terminated 0"), "it stays stopped");

    let (azure, id) = exited();
    azure.restart_group(&id).unwrap();
    let restarted = "Running 10.1.5.5 | Running -  | previously Terminated 1 | 1 restarts";
    assert_eq!(reported(&azure, &id).await, restarted);
    sleep(60).await;
    assert_eq!(reported(&azure, &id).await, restarted);

    let (azure, id) = exited();
    azure.delete_group(&id).unwrap();
    sleep(60).await;
    assert_eq!(get(&azure, &id).await.status, 404);

    let (azure, id) = exited();
    assert!(azure.exit_containers(&id, 1).is_err(), "there is no running container");
    azure.complete_provisioning(&id).unwrap();
    assert!(reported(&azure, &id).await.contains("| Running"));
}

#[tokio::test(start_paused = true)]
async fn a_policy_from_rest_is_used() {
    let azure = azure(Settings::default());
    let container = json!({"name": "web", "properties": {"image": "nginx"}});
    let mut properties = json!({"containers": [container], "osType": "Linux", "restartPolicy": "Never"});
    let id = format!("{GROUPS}/web");
    put(&azure, &id, json!({"location": "westeurope", "properties": properties})).await;
    azure.exit_containers(&id, 0).unwrap();
    sleep(60).await;
    assert!(reported(&azure, &id).await.starts_with("Succeeded"));
    properties.as_object_mut().unwrap().remove("restartPolicy");
    put(&azure, &id, json!({"location": "westeurope", "properties": properties})).await;
    azure.exit_containers(&id, 0).unwrap();
    sleep(60).await;
    assert!(reported(&azure, &id).await.starts_with("Running"), "a missing policy means Always");
}

#[tokio::test(start_paused = true)]
async fn a_group_of_a_standby_pool_is_pre_provisioned_until_it_is_claimed() {
    let (azure, id) = azure_with(GroupSpec { standby: true, ..GroupSpec::new("rg-spoke1", "web") });
    let _ = azure.take_events();
    let properties = get(&azure, &id).await.json()["properties"].clone();
    assert_eq!(properties["provisioningState"], "PreProvisioned");
    assert_eq!(properties["ipAddress"]["ip"], "10.1.5.4");
    azure.claim_group(&id).unwrap();
    let properties = get(&azure, &id).await.json()["properties"].clone();
    assert_eq!(properties["provisioningState"], "Succeeded");
    assert_eq!(properties["isCreatedFromStandbyPool"], true);
    assert_eq!(azure.take_events()[0]["eventType"], "Microsoft.Resources.ResourceWriteSuccess");
    assert!(azure.claim_group(&id).is_err());
}

#[tokio::test(start_paused = true)]
async fn an_address_changes_from_one_group_to_another() {
    let (azure, web) = azure_with(GroupSpec::new("rg-spoke1", "web"));
    let api = azure.create_group(GroupSpec::new("rg-spoke1", "api"));
    azure.hand_over_address(&web, &api).unwrap();
    let addresses = [&web, &api].map(|id| azure.group_address(id).unwrap().to_string());
    assert_eq!(addresses, ["10.1.5.5", "10.1.5.4"]);
    let next = azure.create_group(GroupSpec::new("rg-spoke1", "next"));
    assert_eq!(azure.group_address(&next).unwrap().to_string(), "10.1.5.6");
    azure.stop_group(&web).unwrap();
    assert!(azure.hand_over_address(&web, &api).is_err());
    assert!(azure.hand_over_address(&api, "/none").is_err());
    assert_eq!(azure.group_address(&api).unwrap().to_string(), "10.1.5.4", "nothing has happened");
}

#[tokio::test(start_paused = true)]
async fn the_verbs_end_containers_claim_groups_and_hand_addresses_over() {
    let (azure, web) = azure_with(web(RestartPolicy::Never));
    let pooled = azure.create_group(GroupSpec { standby: true, ..GroupSpec::new("rg-spoke1", "pooled") });
    let post = async |verb: &str, body: Value| {
        send(&azure, Method::POST, &format!("/simulator/groups/{verb}"), &[], body).await
    };
    assert_eq!(post("hand-over", json!({"id": web, "to": pooled})).await.json()["address"], "10.1.5.4");
    assert_eq!(post("claim", json!({"id": pooled})).await.status, 204);
    assert_eq!(post("claim", json!({"id": pooled})).await.status, 400);
    assert_eq!(post("exit", json!({"id": web, "exitCode": 2})).await.status, 204);
    assert!(reported(&azure, &web).await.starts_with("Failed - | Terminated 2 Error"));
}
