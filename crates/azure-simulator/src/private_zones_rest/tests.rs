//! Requests about zones and links, and their answers.

use std::time::Duration;

use super::super::testing::{Answered, SUBSCRIPTION, ZONES, azure, get, put, send};
use super::super::{Azure, Settings};
use super::*;

const ZONE: &str = "spoke1.contoso.internal";

fn zone() -> String {
    format!("{ZONES}/{ZONE}")
}

fn global() -> Value {
    json!({"location": "global"})
}

/// The state that the operation of an answer has.
async fn state(azure: &Azure, accepted: &Answered) -> (u16, Value) {
    assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.text);
    let answered = get(azure, accepted.header("azure-asyncoperation").unwrap()).await;
    (answered.status.as_u16(), answered.json())
}

fn failed(message: &str) -> (u16, Value) {
    let error = json!({"code": "PreconditionFailed", "message": message});
    (200, json!({"error": error, "status": "Failed"}))
}

fn succeeded() -> (u16, Value) {
    (200, json!({"status": "Succeeded"}))
}

// Recordings test_PutZone_ZoneExistsIfNoneMatchFailure_ExpectError and test_DeleteZone_ZoneExists_ExpectZoneDeleted.
#[tokio::test(start_paused = true)]
async fn a_zone_is_written_and_deleted_in_the_background() {
    let azure = azure(Settings { zone_operations: Duration::from_secs(30), ..Settings::default() });
    let create = async || send(&azure, Method::PUT, &zone(), &[("if-none-match", "*")], global()).await;
    let created = create().await;
    assert_eq!(created.text, "{}");
    let location = created.header("location").unwrap();
    let group = ZONES.trim_end_matches("/privateDnsZones");
    assert!(location.starts_with(&format!("http://127.0.0.1:4711{group}/{RESULTS}/")), "{location}");
    assert_eq!(state(&azure, &created).await, (202, json!({"status": "InProgress"})));
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(state(&azure, &created).await, succeeded());
    let read = get(&azure, &zone()).await;
    assert_eq!(get(&azure, location).await.json(), read.json());
    let etag = read.header("etag").unwrap();
    let expected = json!({
        "id": zone(),
        "name": ZONE,
        "type": "Microsoft.Network/privateDnsZones",
        "etag": etag,
        "location": "global",
        "properties": {
            "maxNumberOfRecordSets": 25_000,
            "maxNumberOfVirtualNetworkLinks": 1000,
            "maxNumberOfVirtualNetworkLinksWithRegistration": 100,
            "numberOfRecordSets": 1,
            "numberOfVirtualNetworkLinks": 0,
            "numberOfVirtualNetworkLinksWithRegistration": 0,
            "provisioningState": "Succeeded",
        },
    });
    assert_eq!(read.json(), expected);
    let again = create().await;
    assert_eq!(state(&azure, &again).await, (202, json!({"status": "InProgress"})));
    tokio::time::sleep(Duration::from_secs(30)).await;
    let message = format!("The Zone {ZONE} exists already and hence cannot be created again.");
    assert_eq!(state(&azure, &again).await, failed(&message));

    let deleted = send(&azure, Method::DELETE, &zone(), &[], Value::Null).await;
    assert_eq!(deleted.text, "");
    tokio::time::sleep(Duration::from_secs(30)).await;
    assert_eq!(state(&azure, &deleted).await, succeeded());
    let absent = send(&azure, Method::DELETE, &zone(), &[], Value::Null).await;
    assert_eq!((absent.status, absent.text.as_str()), (StatusCode::NO_CONTENT, ""));
}

// Recordings test_PatchZone_ZoneExistsIfMatchFailure_ExpectError and test_PatchZone_ZoneNotExists_ExpectError.
#[tokio::test]
async fn a_zone_is_changed_as_it_was_read() {
    let azure = azure(Settings::default());
    let patch = async |etag: &str, tags: Value| {
        send(&azure, Method::PATCH, &zone(), &[("if-match", etag)], json!({"tags": tags})).await
    };
    let missing = patch("*", json!({})).await;
    let message = format!(
        "The Resource 'Microsoft.Network/privateDnsZones/{ZONE}' under resource group 'rg-dns' was not found. For \
         more details please go to https://aka.ms/ARMResourceNotFoundFix"
    );
    assert_eq!(missing.json(), json!({"error": {"code": "ResourceNotFound", "message": message}}));
    assert_eq!(missing.header("x-ms-failure-cause"), Some("gateway"));

    put(&azure, &zone(), json!({"location": "global", "tags": {"a": "b"}})).await;
    let read = async || get(&azure, &zone()).await.json();
    let etag = read().await["etag"].as_str().unwrap().to_owned();
    let changed = patch(&etag, json!({"a": "c"})).await;
    assert_eq!(state(&azure, &changed).await, succeeded());
    assert_eq!(read().await["tags"], json!({"a": "c"}));
    let stale = patch(&etag, json!({"a": "d"})).await;
    let message = format!("The Zone {ZONE} has been modified (etag mismatch).");
    assert_eq!(state(&azure, &stale).await, failed(&message));
    assert_eq!(read().await["tags"], json!({"a": "c"}));
    let deleted = send(&azure, Method::DELETE, &zone(), &[("if-match", &etag)], Value::Null).await;
    assert_eq!(state(&azure, &deleted).await, failed(&message));

    let refused = put(&azure, &zone(), json!({})).await;
    assert_eq!(refused.error(), (400, "LocationRequired".to_owned()));
    let refused = put(&azure, &zone(), json!({"location": "westeurope"})).await;
    assert_eq!(refused.error(), (400, "LocationNotAvailableForResourceType".to_owned()));
}

// Recordings test_PatchLink_LinkExistsIfMatchFailure_ExpectError, test_GetLink_LinkNotExists_ExpectError,
// test_GetLink_ZoneNotExists_ExpectError and test_DeleteLink_ZoneNotExists_ExpectNoError.
#[tokio::test]
async fn a_link_is_written_changed_and_deleted_in_the_background() {
    let azure = azure(Settings::default());
    let link = format!("{}/virtualNetworkLinks/hub", zone());
    let not_found = || {
        let message = format!(
            "The Resource 'Microsoft.Network/privateDnsZones/{ZONE}/virtualNetworkLinks/hub' under resource group \
             'rg-dns' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"
        );
        json!({"error": {"code": "ResourceNotFound", "message": message}})
    };
    let body = json!({"location": "global", "properties": {"virtualNetwork": {"id": "/v"}}});
    assert_eq!(get(&azure, &link).await.json(), not_found());
    assert_eq!(put(&azure, &link, body.clone()).await.error().1, "ParentResourceNotFound");
    let absent = send(&azure, Method::DELETE, &link, &[], Value::Null).await;
    assert_eq!(absent.status, StatusCode::NO_CONTENT);

    azure.create_zone(SUBSCRIPTION, "rg-dns", ZONE);
    assert_eq!(get(&azure, &link).await.json(), not_found());
    let created = put(&azure, &link, body).await;
    assert_eq!(state(&azure, &created).await, succeeded());
    let read = get(&azure, &link).await;
    let etag = read.header("etag").unwrap().to_owned();
    assert_eq!(etag.len(), 38, "it is quoted: {etag}");
    let mut expected = json!({
        "id": link,
        "name": "hub",
        "type": "Microsoft.Network/privateDnsZones/virtualNetworkLinks",
        "etag": etag,
        "location": "global",
        "properties": {
            "provisioningState": "Succeeded",
            "registrationEnabled": false,
            "virtualNetwork": {"id": "/v"},
            "virtualNetworkLinkState": "Completed",
        },
    });
    assert_eq!(read.json(), expected);

    let patch =
        async |etag: &str, body: Value| send(&azure, Method::PATCH, &link, &[("if-match", etag)], body).await;
    let changed =
        patch(&etag, json!({"tags": {"a": "b"}, "properties": {"registrationEnabled": true}})).await;
    assert_eq!(state(&azure, &changed).await, succeeded());
    let read = get(&azure, &link).await.json();
    expected["etag"] = read["etag"].clone();
    expected["tags"] = json!({"a": "b"});
    expected["properties"]["registrationEnabled"] = true.into();
    assert_eq!(read, expected);
    assert_eq!(
        get(&azure, &zone()).await.json()["properties"]["numberOfVirtualNetworkLinksWithRegistration"],
        1
    );
    let stale = patch(&etag, json!({})).await;
    let message = format!(
        "The Virtual Network link 'hub' for the Private DNS zone '{ZONE}' has been modified (etag mismatch)."
    );
    assert_eq!(state(&azure, &stale).await, failed(&message));

    let refused = send(&azure, Method::DELETE, &zone(), &[], Value::Null).await;
    assert_eq!(refused.error(), (409, "CannotDeleteResource".to_owned()));
    let deleted = send(&azure, Method::DELETE, &link, &[], Value::Null).await;
    assert_eq!(state(&azure, &deleted).await, succeeded());
    assert_eq!(get(&azure, &format!("{}/virtualNetworkLinks", zone())).await.json(), json!({"value": []}));
}

#[tokio::test]
async fn lists_of_zones_come_in_pages_of_what_top_says() {
    let azure = azure(Settings::default());
    for zone in ["a.internal", "b.internal", "c.internal"] {
        azure.create_zone(SUBSCRIPTION, "rg-dns", zone);
    }
    let page = get(&azure, &format!("{ZONES}?$top=2")).await.json();
    let names = |page: &Value| {
        let zones = page["value"].as_array().unwrap().iter();
        zones.map(|zone| zone["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(names(&page), ["a.internal", "b.internal"]);
    let page = get(&azure, page["nextLink"].as_str().unwrap()).await.json();
    assert_eq!((names(&page), page.get("nextLink")), (vec!["c.internal".to_owned()], None));
    assert_eq!(names(&get(&azure, ZONES).await.json()).len(), 3);
}
