//! Requests about container groups, and their answers.

use std::time::Duration;

use super::super::testing::{GROUPS, SUBSCRIPTION, azure, get, put, send};
use super::super::{Azure, GroupSpec, Ip, Settings};
use super::*;

fn provisioning(seconds: u64) -> Settings {
    Settings { provisioning: Duration::from_secs(seconds), ..Settings::default() }
}

async fn post(azure: &Azure, path: &str) -> super::super::testing::Answered {
    send(azure, Method::POST, path, &[], Value::Null).await
}

fn deployment() -> Value {
    json!({
        "properties": {
            "containers": [{"name": "web", "properties": {
                "image": "nginx",
                "ports": [{"protocol": "TCP", "port": 80}],
                "resources": {"requests": {"memoryInGB": 1.5, "cpu": 1.0}},
            }}],
            "restartPolicy": "Always",
            "ipAddress": {"ports": [{"protocol": "TCP", "port": 80}], "type": "Private"},
            "osType": "Linux",
            "subnetIds": [{"id": "/subscriptions/s/subnets/aci"}],
        },
        "location": "westus",
        "tags": {},
    })
}

/// Provisioning state, state of the instance view, and address in an answer.
fn summary(body: &Value) -> String {
    let text = |pointer| body.pointer(pointer).and_then(Value::as_str).unwrap_or("-");
    let instance_view = text("/properties/instanceView/state");
    format!("{} {instance_view} {}", text("/properties/provisioningState"), text("/properties/ipAddress/ip"))
}

// Recording test_container_create_with_vnet of Azure/azure-cli.
#[tokio::test(start_paused = true)]
async fn a_new_group_is_answered_201_pending_and_without_an_address() {
    let azure = azure(provisioning(120));
    assert!(azure.set_subnet_range("/subscriptions/s/subnets/aci", "10.0.0.0/24"));
    let path = format!("{GROUPS}/web");
    let created = put(&azure, &path, deployment()).await;
    assert_eq!(created.status, StatusCode::CREATED);
    let mut expected = json!({
        "properties": {
            "sku": "Standard",
            "provisioningState": "Pending",
            "provisioningTimeoutInSeconds": 1800,
            "isCustomProvisioningTimeout": false,
            "containers": [{"name": "web", "properties": {
                "image": "nginx",
                "ports": [{"protocol": "TCP", "port": 80}],
                "environmentVariables": [],
                "resources": {"requests": {"memoryInGB": 1.5, "cpu": 1.0}},
            }}],
            "initContainers": [],
            "restartPolicy": "Always",
            "osType": "Linux",
            "instanceView": {"events": [], "state": "Pending"},
            "subnetIds": [{"id": "/subscriptions/s/subnets/aci"}],
        },
        "id": path,
        "name": "web",
        "type": "Microsoft.ContainerInstance/containerGroups",
        "location": "westus",
        "tags": {},
    });
    assert_eq!(created.json(), expected);

    let operation = created.header("azure-asyncoperation").unwrap().to_owned();
    assert!(operation.starts_with("http://127.0.0.1:4711/subscriptions/"), "{operation}");
    assert_eq!(get(&azure, &operation).await.json()["status"], "Pending");
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(summary(&get(&azure, &path).await.json()), "Creating Pending -");
    tokio::time::sleep(Duration::from_mins(1)).await;
    assert_eq!(get(&azure, &operation).await.json()["status"], "Succeeded");

    // That of the text `nginx`.
    let digest = "5be1ecc7935f1dd85635d4feedaf660594030253cc97c9e9ca3819ffeac36b65";
    let event = |name: &str, message: &str| {
        json!({
            "count": 1,
            "firstTimestamp": "2026-01-01T00:02:00Z",
            "lastTimestamp": "2026-01-01T00:02:00Z",
            "name": name,
            "message": message,
            "type": "Normal",
        })
    };
    let properties = &mut expected["properties"];
    properties["provisioningState"] = "Succeeded".into();
    properties["instanceView"]["state"] = "Running".into();
    properties["ipAddress"] =
        json!({"ports": [{"protocol": "TCP", "port": 80}], "ip": "10.0.0.4", "type": "Private"});
    properties["containers"][0]["properties"]["instanceView"] = json!({
        "restartCount": 0,
        "currentState": {"state": "Running", "startTime": "2026-01-01T00:02:00.000Z", "detailStatus": ""},
        "events": [
            event("Pulling", &format!("pulling image \"nginx@sha256:{digest}\"")),
            event("Pulled", &format!("Successfully pulled image \"nginx@sha256:{digest}\"")),
            event("Started", "Started container"),
        ],
    });
    assert_eq!(get(&azure, &path).await.json(), expected);
}

// Recording Restart-AzContainerGroup of Azure/azure-powershell.
#[tokio::test(start_paused = true)]
async fn a_restart_answers_204_and_shows_the_old_address_until_there_is_a_new_one() {
    let azure = azure(Settings::default());
    let spec = GroupSpec { provisioning: Duration::from_secs(20), ..GroupSpec::new("rg-spoke1", "web") };
    assert!(azure.set_address_range(SUBSCRIPTION, "rg-spoke1", "10.1.5.0/24"));
    let id = azure.create_group(spec);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(summary(&get(&azure, &id).await.json()), "Succeeded Running 10.1.5.4");

    let restarted = post(&azure, &format!("{id}/restart")).await;
    assert_eq!((restarted.status, restarted.text.as_str()), (StatusCode::NO_CONTENT, ""));
    assert!(restarted.header("azure-asyncoperation").is_some());
    tokio::time::sleep(Duration::from_secs(2)).await;
    assert_eq!(summary(&get(&azure, &id).await.json()), "Updating Running 10.1.5.4");
    assert_eq!(azure.group_address(&id), None, "another group has its address");
    let other = azure.create_group(GroupSpec::new("rg-spoke1", "other"));
    assert_eq!(azure.group_address(&other).unwrap().to_string(), "10.1.5.4");

    tokio::time::sleep(Duration::from_secs(18)).await;
    assert_eq!(summary(&get(&azure, &id).await.json()), "Succeeded Running 10.1.5.5");
}

// Recording Stop-AzContainerGroup of Azure/azure-powershell.
#[tokio::test(start_paused = true)]
async fn a_stop_is_complete_with_its_answer_and_releases_the_address() {
    let azure = azure(Settings::default());
    assert!(azure.set_address_range(SUBSCRIPTION, "rg-spoke1", "10.1.5.0/24"));
    let id = azure.create_group(GroupSpec::new("rg-spoke1", "web"));
    let stopped = post(&azure, &format!("{id}/STOP")).await;
    assert_eq!((stopped.status, stopped.header("azure-asyncoperation")), (StatusCode::NO_CONTENT, None));
    let body = get(&azure, &id).await.json();
    assert_eq!(summary(&body), "Succeeded Stopped -");
    let current = "/properties/containers/0/properties/instanceView/currentState";
    assert_eq!(body.pointer(current).unwrap()["state"], "Terminated");
    let other = azure.create_group(GroupSpec::new("rg-spoke1", "other"));
    assert_eq!(azure.group_address(&other).unwrap().to_string(), "10.1.5.4");

    let started = post(&azure, &format!("{id}/start")).await;
    assert_eq!(started.status, StatusCode::ACCEPTED);
    assert_eq!(summary(&get(&azure, &id).await.json()), "Succeeded Running 10.1.5.5");

    azure.configure(|settings| settings.stopped_keeps_address = true);
    azure.stop_group(&id).unwrap();
    assert_eq!(summary(&get(&azure, &id).await.json()), "Succeeded Stopped 10.1.5.5");
    assert_eq!(azure.group_address(&id), None);
}

#[tokio::test]
async fn a_missing_group_and_a_missing_resource_group_differ() {
    let azure = azure(Settings::default());
    let check = async |path: &str, status, code: &str| {
        assert_eq!(get(&azure, path).await.error(), (status, code.to_owned()), "{path}");
    };
    let missing = get(&azure, &format!("{GROUPS}/web")).await;
    assert_eq!(
        missing.json(),
        json!({"error": {
            "code": "ContainerGroupNotFound",
            "message": "The container group 'web' does not exist.",
        }})
    );
    check(&GROUPS.replace("rg-spoke1", "rg-none"), 404, "ResourceGroupNotFound").await;
    check(&format!("{GROUPS}/web?api-version="), 400, "MissingApiVersionParameter").await;
    check("/subscriptions/s/providers/Microsoft.Web/sites", 501, "NotSimulated").await;
    check("/elsewhere", 404, "InvalidResourceType").await;
}

#[tokio::test]
async fn names_compare_without_case_and_keep_their_first_spelling() {
    let azure = azure(Settings::default());
    let path = format!("{}/WEB", GROUPS.replace("resourceGroups/rg-spoke1", "resourcegroups/RG-Spoke1"));
    assert_eq!(put(&azure, &path, deployment()).await.status, StatusCode::CREATED);
    let lower = path.to_ascii_lowercase();
    assert_eq!(put(&azure, &lower, deployment()).await.status, StatusCode::OK);
    assert_eq!(get(&azure, &lower).await.json()["id"], format!("{GROUPS}/WEB"));
}

#[tokio::test]
async fn a_list_omits_the_instance_view_and_has_pages() {
    let azure = azure(Settings { group_page_size: 2, ..Settings::default() });
    for name in ["a", "b", "c"] {
        azure.create_group(GroupSpec::new("rg-spoke1", name));
    }
    azure.create_group(GroupSpec::new("rg-spoke2", "d"));
    let check = async |path: &str, expected: &[&str]| {
        let (mut names, mut next) = (Vec::new(), Some(path.to_owned()));
        while let Some(link) = next {
            let page = get(&azure, &link).await.json();
            for group in page["value"].as_array().unwrap() {
                assert!(group["properties"]["ipAddress"]["ip"].is_string());
                assert_eq!(group["properties"].get("instanceView"), None);
                names.push(group["name"].as_str().unwrap().to_owned());
            }
            next = page["nextLink"].as_str().map(str::to_owned);
        }
        assert_eq!(names, expected);
    };
    check(GROUPS, &["a", "b", "c"]).await;
    let subscription =
        format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.ContainerInstance/containerGroups");
    check(&subscription, &["a", "b", "c", "d"]).await;
}

#[tokio::test(start_paused = true)]
async fn a_deletion_is_200_at_once_or_202_and_deleting_for_a_while() {
    let azure = azure(Settings::default());
    let delete = async |id: &str| send(&azure, Method::DELETE, id, &[], Value::Null).await;
    let id = azure.create_group(GroupSpec::new("rg-spoke1", "web"));
    let deleted = delete(&id).await;
    assert_eq!((deleted.status, &deleted.json()["name"]), (StatusCode::OK, &json!("web")));
    assert_eq!(delete(&id).await.status, StatusCode::NO_CONTENT);

    azure.configure(|settings| settings.deleting = Duration::from_secs(10));
    azure.create_group(GroupSpec::new("rg-spoke1", "web"));
    let _ = azure.take_events();
    assert_eq!(delete(&id).await.status, StatusCode::ACCEPTED);
    assert!(summary(&get(&azure, &id).await.json()).starts_with("Deleting Running 10."));
    assert_eq!(put(&azure, &id, deployment()).await.error().1, "ContainerGroupTransitioning");
    assert_eq!(azure.take_events(), Vec::<Value>::new(), "no event before it is deleted");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(get(&azure, &id).await.status, StatusCode::NOT_FOUND);
    assert_eq!(azure.take_events()[0]["eventType"], "Microsoft.Resources.ResourceDeleteSuccess");
}

#[tokio::test]
async fn a_patch_changes_tags_only() {
    let azure = azure(Settings::default());
    let id = azure.create_group(GroupSpec::new("rg-spoke1", "web"));
    let before = azure.group_address(&id);
    let body = json!({"tags": {"aci-dns-ttl": "30"}});
    let patched = send(&azure, Method::PATCH, &id, &[], body).await;
    assert_eq!((patched.status, &patched.json()["tags"]), (StatusCode::OK, &json!({"aci-dns-ttl": "30"})));
    assert_eq!(azure.group_address(&id), before);
}

#[tokio::test]
async fn an_address_may_be_public_absent_null_zero_or_empty() {
    let azure = azure(Settings::default());
    let check = async |ip, expected: Value| {
        let id = azure.create_group(GroupSpec { ip, ..GroupSpec::new("rg-spoke1", "web") });
        let body = get(&azure, &id).await.json();
        let address = &body["properties"]["ipAddress"];
        assert_eq!(json!([address["type"], address.get("ip")]), expected);
    };
    check(Ip::Fixed("10.1.5.77".parse().unwrap()), json!(["Private", "10.1.5.77"])).await;
    check(Ip::Public, json!(["Public", "203.0.113.4"])).await;
    check(Ip::NoIpAddress, json!([null, null])).await;
    check(Ip::NullIp, json!(["Private", Value::Null])).await;
    check(Ip::ZeroIp, json!(["Private", "0.0.0.0"])).await;
    check(Ip::EmptyIp, json!(["Private", ""])).await;
}

#[tokio::test]
async fn a_group_whose_containers_have_ended_releases_its_address() {
    let azure = azure(Settings::default());
    let id = azure.create_group(GroupSpec::new("rg-spoke1", "web"));
    azure.set_provisioning_state(&id, "Repairing").unwrap();
    assert_eq!(summary(&get(&azure, &id).await.json()), "Repairing Running 10.1.0.4");
    azure.set_state(&id, "Failed", 2).unwrap();
    let body = get(&azure, &id).await.json();
    assert_eq!(summary(&body), "Succeeded Failed -");
    let current = body.pointer("/properties/containers/0/properties/instanceView/currentState").unwrap();
    assert_eq!(json!([current["state"], current["exitCode"]]), json!(["Terminated", 2]));
    azure.set_state(&id, "Running", 0).unwrap();
    assert!(azure.group_address(&id).is_some());
}

#[tokio::test]
async fn secrets_are_never_returned() {
    let azure = azure(Settings::default());
    let mut body = deployment();
    let container = &mut body["properties"]["containers"][0]["properties"];
    container["environmentVariables"] = json!([{"name": "PASSWORD", "secureValue": "hunter2"}]);
    body["properties"]["diagnostics"] =
        json!({"logAnalytics": {"workspaceId": "w", "workspaceKey": "hunter2"}});
    let path = format!("{GROUPS}/web");
    put(&azure, &path, body).await;
    let answered = get(&azure, &path).await;
    assert!(!answered.text.contains("hunter2"));
    let diagnostics = &answered.json()["properties"]["diagnostics"];
    assert_eq!(*diagnostics, json!({"logAnalytics": {"workspaceId": "w"}}));
}

// Example ContainerGroupsCreateOrUpdate of the API's description.
#[tokio::test]
async fn volumes_are_shown_without_their_secrets() {
    let azure = azure(Settings::default());
    let mut body = deployment();
    body["properties"]["volumes"] = json!([
        {"name": "share", "azureFile": {"shareName": "s", "storageAccountName": "a", "storageAccountKey": "hunter2"}},
        {"name": "secret", "secret": {"password": "aHVudGVyMg=="}},
    ]);
    let init = json!({"name": "init", "properties": {
        "image": "busybox", "environmentVariables": [{"name": "PASSWORD", "secureValue": "hunter2"}],
    }});
    body["properties"]["initContainers"] = json!([init]);
    let path = format!("{GROUPS}/web");
    put(&azure, &path, body).await;
    let properties = get(&azure, &path).await.json()["properties"].clone();
    let expected = json!([
        {"name": "share", "azureFile": {"shareName": "s", "storageAccountName": "a"}},
        {"name": "secret", "secret": {}},
    ]);
    assert_eq!(properties["volumes"], expected);
    let variables = &properties["initContainers"][0]["properties"]["environmentVariables"];
    assert_eq!(*variables, json!([{"name": "PASSWORD"}]));
}

// Recordings test_container_create_msi and test_container_create_with_zone of Azure/azure-cli.
#[tokio::test]
async fn identities_and_zones_stand_beside_the_properties() {
    let azure = azure(Settings::default());
    let path = format!("{GROUPS}/web");
    let user =
        "/subscriptions/s/resourcegroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/u";
    let deploy = async |kind: &str| {
        let mut body = deployment();
        body["zones"] = json!(["1"]);
        body["identity"] = json!({"type": kind, "userAssignedIdentities": {user: {}}});
        put(&azure, &path, body).await.json()
    };
    let shown = deploy("SystemAssigned, UserAssigned").await;
    assert_eq!((&shown["zones"], &shown["properties"].get("zones")), (&json!(["1"]), &None));
    let identity = shown["identity"].as_object().unwrap().clone();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
    assert_eq!(keys(&shown["identity"]), "principalId tenantId type userAssignedIdentities");
    assert_eq!(keys(&identity["userAssignedIdentities"][user]), "clientId principalId");
    assert_eq!(deploy("SystemAssigned, UserAssigned").await["identity"], shown["identity"]);
    assert_eq!(keys(&deploy("UserAssigned").await["identity"]), "tenantId type userAssignedIdentities");
    assert_eq!(deploy("None").await.get("identity"), None);
    azure.stop_group(&path).unwrap();
    assert_eq!(put(&azure, &path, deployment()).await.json().get("zones"), None);
}

#[tokio::test]
async fn a_label_makes_a_public_name_in_the_region() {
    let azure = azure(Settings::default());
    let mut body = deployment();
    body["properties"].as_object_mut().unwrap().remove("subnetIds");
    let address = &mut body["properties"]["ipAddress"];
    (address["type"], address["dnsNameLabel"]) = ("Public".into(), "shop".into());
    let shown = put(&azure, &format!("{GROUPS}/web"), body).await.json();
    let address = &shown["properties"]["ipAddress"];
    assert_eq!(address["fqdn"], "shop.westus.azurecontainer.io");
    assert_eq!(address["dnsNameLabel"], "shop");
}

#[tokio::test]
async fn what_is_not_simulated_is_501_and_says_so() {
    let azure = azure(Settings::default());
    let id = azure.create_group(GroupSpec::new("rg-spoke1", "web"));
    let provider = format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.ContainerInstance");
    for (method, path) in [
        (Method::GET, format!("{id}/containers/web/logs")),
        (Method::POST, format!("{id}/containers/web/exec")),
        (Method::POST, format!("{id}/containers/web/attach")),
        (Method::GET, format!("{id}/outboundNetworkDependenciesEndpoints")),
        (Method::GET, format!("{provider}/locations/westeurope/usages")),
        (Method::GET, format!("{provider}/locations/westeurope/capabilities")),
        (Method::GET, format!("{provider}/locations/westeurope/cachedImages")),
        (Method::GET, "/providers/Microsoft.ContainerInstance/operations".to_owned()),
        (Method::DELETE, format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-spoke1")),
    ] {
        let refused = send(&azure, method, &path, &[], Value::Null).await;
        assert_eq!(refused.error(), (501, "NotSimulated".to_owned()), "{path}");
        let message = refused.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.starts_with("The simulator does not simulate"), "{message}");
    }
}

#[tokio::test]
async fn an_address_without_ports_is_refused() {
    let azure = azure(Settings::default());
    let mut body = deployment();
    body["properties"]["ipAddress"]["ports"] = json!([]);
    let refused = put(&azure, &format!("{GROUPS}/web"), body).await;
    assert_eq!(refused.error(), (400, "MissingIpAddressPorts".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_group_waits_while_its_subnet_is_full() {
    let azure = azure(Settings::default());
    assert!(azure.set_address_range(SUBSCRIPTION, "rg-spoke1", "10.1.5.0/29"));
    let ids: Vec<_> = (0..4)
        .map(|number| azure.create_group(GroupSpec::new("rg-spoke1", &format!("web-{number}"))))
        .collect();
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert_eq!(azure.group_address(&ids[3]), None);
    azure.delete_group(&ids[1]).unwrap();
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(azure.group_address(&ids[3]).unwrap().to_string(), "10.1.5.5");
}
