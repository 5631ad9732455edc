//! Stale replicas, and new resources that reads do not find yet.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::super::testing::{GROUPS, SUBSCRIPTION, ZONES, azure, get, put, send};
use super::super::{Azure, Effect, Fault, GroupSpec, RecordSetSpec, Settings, Staleness};

const ZONE: &str = "spoke1.contoso.internal";

/// Makes the next reads whose path contains a text this stale.
fn stale(azure: &Azure, path: &str, staleness: Staleness) {
    azure.inject(Fault { times: u64::MAX, ..Fault::once(Method::GET, path, Effect::Stale(staleness)) });
}

/// The address in an answer, or its status.
async fn address(azure: &Azure, path: &str) -> String {
    let answered = get(azure, path).await;
    match answered.status.as_u16() {
        200 => answered.json()["properties"]["ipAddress"]["ip"].as_str().unwrap_or("no address").to_owned(),
        status => status.to_string(),
    }
}

/// The members of a list, each with its name and its only value.
async fn listed(azure: &Azure, path: &str) -> Vec<String> {
    let page = get(azure, path).await.json();
    let value = |properties: &Value| {
        let a = properties.pointer("/aRecords/0/ipv4Address").or(properties.pointer("/ipAddress/ip"));
        a.and_then(Value::as_str).unwrap_or("-").to_owned()
    };
    let members = page["value"].as_array().unwrap().iter();
    members.map(|it| format!("{} {}", it["name"].as_str().unwrap(), value(&it["properties"]))).collect()
}

fn azure_with_group() -> (Azure, String) {
    let azure = azure(Settings::default());
    assert!(azure.set_address_range(SUBSCRIPTION, "rg-spoke1", "10.1.5.0/24"));
    let id = azure.create_group(GroupSpec::new("rg-spoke1", "web"));
    (azure, id)
}

#[tokio::test(start_paused = true)]
async fn a_stale_replica_shows_an_old_group() {
    let (azure, id) = azure_with_group();
    tokio::time::sleep(Duration::from_secs(10)).await;
    azure.move_group(&id).unwrap();
    stale(&azure, "/containerGroups/web?", Staleness::Behind(Duration::from_secs(3)));
    assert_eq!(address(&azure, &id).await, "10.1.5.4");
    assert_eq!(azure.group_address(&id).unwrap().to_string(), "10.1.5.5", "only the answer is old");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(address(&azure, &id).await, "10.1.5.5");
    azure.delete_group(&id).unwrap();
    assert_eq!(address(&azure, &id).await, "10.1.5.5", "it is deleted, and still seen");
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert_eq!(address(&azure, &id).await, "404");
}

#[tokio::test(start_paused = true)]
async fn a_stopped_replica_shows_one_moment() {
    let (azure, id) = azure_with_group();
    azure.stop_group(&id).unwrap();
    stale(&azure, "/containerGroups", Staleness::AsOf(azure.moment()));
    azure.start_group(&id).unwrap();
    azure.create_group(GroupSpec::new("rg-spoke1", "api"));
    assert_eq!(get(&azure, &id).await.json()["properties"]["instanceView"]["state"], "Stopped");
    assert_eq!(listed(&azure, GROUPS).await, ["web -"]);
    azure.clear_faults();
    assert_eq!(listed(&azure, GROUPS).await, ["api 10.1.5.4", "web 10.1.5.5"]);
}

#[tokio::test(start_paused = true)]
async fn an_old_provisioning_state_is_that_of_its_time() {
    let azure = azure(Settings::default());
    let provisioning = Duration::from_secs(20);
    let id = azure.create_group(GroupSpec { provisioning, ..GroupSpec::new("rg-spoke1", "web") });
    tokio::time::sleep(Duration::from_secs(25)).await;
    let mut states = Vec::new();
    for lag in [0, 6, 16, 26] {
        azure.clear_faults();
        stale(&azure, "", Staleness::Behind(Duration::from_secs(lag)));
        let answered = get(&azure, &id).await;
        states.push(match answered.status.as_u16() {
            200 => answered.json()["properties"]["provisioningState"].as_str().unwrap().to_owned(),
            _ => answered.error().1,
        });
    }
    assert_eq!(states, ["Succeeded", "Creating", "Pending", "ContainerGroupNotFound"]);
}

#[tokio::test(start_paused = true)]
async fn record_sets_and_their_lists_can_be_stale() {
    let azure = azure(Settings::default());
    azure.create_zone(SUBSCRIPTION, "rg-dns", ZONE);
    let path = format!("{ZONES}/{ZONE}/A/web");
    let list = format!("{ZONES}/{ZONE}/A");
    let body = |address: &str| json!({"properties": {"ttl": 60, "aRecords": [{"ipv4Address": address}]}});
    let first = put(&azure, &path, body("10.1.5.4")).await;
    put(&azure, &path, body("10.1.5.5")).await;
    azure.put_record_set(ZONE, &RecordSetSpec::new("A", "api", &["10.1.5.6"])).unwrap();
    assert_eq!(listed(&azure, &list).await, ["api 10.1.5.6", "web 10.1.5.5"]);

    stale(&azure, "/A/web?", Staleness::Versions(1));
    assert_eq!(get(&azure, &path).await.json(), first.json());
    assert_eq!(get(&azure, &format!("{ZONES}/{ZONE}/A/api")).await.status, 200, "another is read as it is");
    let old = first.header("etag").unwrap();
    let refused = send(&azure, Method::PUT, &path, &[("if-match", old)], body("10.1.5.7")).await;
    assert_eq!(refused.status, 412, "writes are never stale");

    stale(&azure, "/A?", Staleness::Versions(2));
    assert_eq!(listed(&azure, &list).await, ["web 10.1.5.4"]);
    assert!(azure.remove_record_set(ZONE, "A", "web").unwrap());
    assert_eq!(listed(&azure, &list).await, ["web 10.1.5.5"]);
    assert_eq!(get(&azure, &path).await.json()["properties"]["aRecords"][0]["ipv4Address"], "10.1.5.5");
    let all = get(&azure, &format!("{ZONES}/{ZONE}/ALL")).await.json();
    assert_eq!(all["value"].as_array().unwrap().len(), 2, "SOA and api: another list is read as it is");
}

#[tokio::test(start_paused = true)]
async fn a_stale_list_has_pages_too() {
    let azure = azure(Settings { group_page_size: 1, ..Settings::default() });
    azure.create_zone(SUBSCRIPTION, "rg-dns", ZONE);
    for name in ["a", "b", "c"] {
        azure.create_group(GroupSpec::new("rg-spoke1", name));
        azure.put_record_set(ZONE, &RecordSetSpec::new("A", name, &["10.1.5.4"])).unwrap();
    }
    stale(&azure, "", Staleness::AsOf(azure.moment()));
    for name in ["a", "c"] {
        azure.delete_group(&format!("{GROUPS}/{name}")).unwrap();
        azure.remove_record_set(ZONE, "A", name).unwrap();
    }
    for path in [GROUPS.to_owned(), format!("{ZONES}/{ZONE}/A?$top=1")] {
        let (mut names, mut next) = (Vec::new(), Some(path));
        while let Some(link) = next {
            let page = get(&azure, &link).await.json();
            names.extend(page["value"].as_array().unwrap().iter().map(|it| it["name"].clone()));
            next = page["nextLink"].as_str().map(str::to_owned);
        }
        assert_eq!(names, ["a", "b", "c"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_resource_that_does_not_exist_yet_is_not_found() {
    let (azure, id) = azure_with_group();
    azure.create_zone(SUBSCRIPTION, "rg-dns", ZONE);
    azure.put_record_set(ZONE, &RecordSetSpec::new("A", "web", &["10.1.5.4"])).unwrap();
    let record_set = format!("{ZONES}/{ZONE}/A/web");
    stale(&azure, "", Staleness::NotYet);
    assert_eq!(get(&azure, &id).await.error(), (404, "ContainerGroupNotFound".to_owned()));
    assert_eq!(get(&azure, &record_set).await.error(), (404, "NotFound".to_owned()));
    assert_eq!(listed(&azure, GROUPS).await, Vec::<String>::new());
    azure.clear_faults();
    stale(&azure, "rg-spoke1", Staleness::ResourceGroupNotYet);
    assert_eq!(get(&azure, &id).await.error(), (404, "ResourceGroupNotFound".to_owned()));
    assert_eq!(get(&azure, GROUPS).await.error(), (404, "ResourceGroupNotFound".to_owned()));
    let restart = send(&azure, Method::POST, &format!("{id}/restart"), &[], Value::Null).await;
    assert_eq!(restart.status, 204, "only reads are answered by a replica");
}

#[tokio::test(start_paused = true)]
async fn a_new_group_is_invisible_for_a_while() {
    let azure = azure(Settings { visible_after: Duration::from_secs(30), ..Settings::default() });
    let id = azure.create_group(GroupSpec::new("rg-spoke1", "web"));
    let seen = GroupSpec { visible_after: Some(Duration::ZERO), ..GroupSpec::new("rg-spoke1", "seen") };
    azure.create_group(seen);
    assert_eq!(listed(&azure, GROUPS).await.len(), 1);
    assert_eq!(get(&azure, &id).await.error(), (404, "ContainerGroupNotFound".to_owned()));
    let tags = json!({"tags": {"a": "b"}});
    assert_eq!(send(&azure, Method::PATCH, &id, &[], tags).await.status, 200, "writes reach it");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(get(&azure, &id).await.status, 200);
    assert_eq!(listed(&azure, GROUPS).await.len(), 2);
    azure.redeploy_group(&id).unwrap();
    assert_eq!(get(&azure, &id).await.status, 200, "it is new once");
}

#[tokio::test(start_paused = true)]
async fn the_verbs_make_reads_stale_for_a_number_of_answers_or_a_time() {
    let (azure, id) = azure_with_group();
    let post = async |fault: Value| {
        send(&azure, Method::POST, "/simulator/faults", &[], fault).await.status.as_u16()
    };
    let frozen = json!({"method": "GET", "path": id, "effect": "stale", "asOf": "now", "forSeconds": 10});
    assert_eq!(post(frozen).await, 204);
    azure.move_group(&id).unwrap();
    assert_eq!(address(&azure, &id).await, "10.1.5.4");
    assert_eq!(address(&azure, &id).await, "10.1.5.4");
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert_eq!(address(&azure, &id).await, "10.1.5.5");
    for (fault, expected) in [
        (json!({"times": 2}), "10.1.5.4"),
        (json!({"versions": 2}), "no address"),
        (json!({"versions": 3}), "404"),
        (json!({"behindSeconds": 9}), "10.1.5.5"),
        (json!({"behindSeconds": 11}), "404"),
        (json!({"absent": "resource"}), "404"),
        (json!({"absent": "resourceGroup"}), "404"),
    ] {
        let mut whole = json!({"method": "GET", "path": id, "effect": "stale"});
        whole.as_object_mut().unwrap().extend(fault.as_object().unwrap().clone());
        assert_eq!(post(whole).await, 204, "{fault}");
        assert_eq!(address(&azure, &id).await, expected, "{fault}");
        if fault.get("times").is_some() {
            assert_eq!(address(&azure, &id).await, expected);
        }
        assert_eq!(address(&azure, &id).await, "10.1.5.5", "{fault} is over");
    }
    for wrong in [json!({"absent": "zone"}), json!({"versions": "two"}), json!({"asOf": "yesterday"})] {
        let mut whole = json!({"effect": "stale"});
        whole.as_object_mut().unwrap().extend(wrong.as_object().unwrap().clone());
        assert_eq!(post(whole).await, 400, "{wrong}");
    }
}
