//! The rules of `private_dns_rest`, one test each.

use std::time::Duration;

use super::super::testing::{Answered, SUBSCRIPTION, ZONES, azure, get, put, send};
use super::super::{Azure, RecordSetSpec, Settings, Throttles};
use super::*;

const ZONE: &str = "spoke1.contoso.internal";

fn azure_with_zone() -> Azure {
    let azure = azure(Settings::default());
    azure.create_zone(SUBSCRIPTION, "rg-dns", ZONE);
    azure
}

fn path(below: &str) -> String {
    format!("{ZONES}/{ZONE}/{below}")
}

fn a(address: &str) -> Value {
    json!({"properties": {"ttl": 60, "aRecords": [{"ipv4Address": address}]}})
}

async fn put_if(azure: &Azure, header: (&'static str, &str), body: Value) -> Answered {
    send(azure, Method::PUT, &path("A/web"), &[header], body).await
}

async fn delete_if(azure: &Azure, headers: &[(&'static str, &str)]) -> Answered {
    send(azure, Method::DELETE, &path("A/web"), headers, Value::Null).await
}

fn etag(answered: &Answered) -> String {
    let etag = answered.header("etag").unwrap();
    assert_eq!(answered.json()["etag"], etag);
    etag.to_owned()
}

// Recording test_CrudRecordSet_PTRRecord_ExpectCrudSuccessful of Azure/azure-cli.
#[tokio::test]
async fn a_record_set_is_created_with_201_updated_with_200_and_kept_when_emptied() {
    let azure = azure_with_zone();
    let path = path("PTR/4.5");
    let body = json!({"properties": {"ttl": 3600}});
    let created = send(&azure, Method::PUT, &path, &[("if-none-match", "*")], body).await;
    assert_eq!(created.status, StatusCode::CREATED);
    let mut expected = json!({
        "id": path,
        "name": "4.5",
        "type": "Microsoft.Network/privateDnsZones/PTR",
        "etag": etag(&created),
        "properties": {
            "fqdn": "4.5.spoke1.contoso.internal.",
            "ttl": 3600,
            "ptrRecords": [],
            "isAutoRegistered": false,
        },
    });
    assert_eq!(created.json(), expected);
    assert_eq!(get(&azure, &path).await.json(), expected);

    let properties = json!({
        "ttl": 3600, "ptrRecords": [{"ptrdname": "ptrd.name"}], "metadata": {"key": "value"},
    });
    let updated = put(&azure, &path, json!({"etag": expected["etag"], "properties": properties})).await;
    assert_eq!(updated.status, StatusCode::OK);
    assert_ne!(etag(&updated), etag(&created));
    expected["etag"] = etag(&updated).into();
    expected["properties"]["ptrRecords"] = json!([{"ptrdname": "ptrd.name"}]);
    expected["properties"]["metadata"] = json!({"key": "value"});
    assert_eq!(updated.json(), expected);

    let emptied = put(&azure, &path, json!({"properties": {"ttl": 3600, "ptrRecords": []}})).await;
    expected["etag"] = etag(&emptied).into();
    expected["properties"]["ptrRecords"] = json!([]);
    expected["properties"].as_object_mut().unwrap().remove("metadata");
    assert_eq!(get(&azure, &path).await.json(), expected);

    let deleted = send(&azure, Method::DELETE, &path, &[], Value::Null).await;
    assert_eq!((deleted.status, deleted.text.as_str()), (StatusCode::OK, ""));
    let deleted = send(&azure, Method::DELETE, &path, &[], Value::Null).await;
    assert_eq!(deleted.status, StatusCode::NO_CONTENT);
}

// Recordings test_PutRecordSet_IfNoneMatchFailure_ExpectError and test_PatchRecordSet_IfMatchFailure_ExpectError.
#[tokio::test]
async fn a_failed_precondition_is_a_flat_412_and_changes_nothing() {
    let azure = azure_with_zone();
    let created = put_if(&azure, ("if-none-match", "*"), a("10.1.5.4")).await;
    assert_eq!(created.status, StatusCode::CREATED);
    let refused = put_if(&azure, ("if-none-match", "*"), a("10.1.5.5")).await;
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED);
    let message = "The Record set web exists already and hence cannot be created again.";
    assert_eq!(refused.json(), json!({"code": "PreconditionFailed", "message": message}));

    let stale = "5dabb94c-c932-4506-b979-c2705f5b3480";
    let refused = put_if(&azure, ("if-match", stale), a("10.1.5.5")).await;
    assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED);
    let message = "The Record set web has been modified (etag mismatch).";
    assert_eq!(refused.json(), json!({"code": "PreconditionFailed", "message": message}));
    assert_eq!(delete_if(&azure, &[("if-match", stale)]).await.status, StatusCode::PRECONDITION_FAILED);
    assert_eq!(get(&azure, &path("A/web")).await.json(), created.json());
    assert_eq!(azure.calls().iter().filter(|call| call.took_effect).count(), 1);
}

#[tokio::test]
async fn if_match_needs_the_unchanged_record_set_and_a_star_needs_any() {
    let azure = azure_with_zone();
    let refused = put_if(&azure, ("if-match", "*"), a("10.1.5.4")).await;
    assert_eq!(refused.error(), (412, "PreconditionFailed".to_owned()));
    assert_eq!(delete_if(&azure, &[("if-match", "*")]).await.status, StatusCode::PRECONDITION_FAILED);
    let first = etag(&put(&azure, &path("A/web"), a("10.1.5.4")).await);
    let second = put_if(&azure, ("if-match", &first), a("10.1.5.5")).await;
    assert_eq!(second.status, StatusCode::OK);
    assert_eq!(put_if(&azure, ("if-match", "*"), a("10.1.5.6")).await.status, StatusCode::OK);
    let last = azure.record_set(ZONE, "A", "web").unwrap();
    assert_eq!(last.values, ["10.1.5.6"]);
    assert_eq!(delete_if(&azure, &[("if-match", &last.etag)]).await.status, StatusCode::OK);
}

// Recordings test_add_record_when_record_set_is_empty and test_PutRecordSet_ZoneNotExists_ExpectError.
#[tokio::test]
async fn a_missing_record_set_is_flat_and_a_missing_zone_is_wrapped() {
    let azure = azure_with_zone();
    let missing = get(&azure, &path("A/web")).await;
    assert_eq!(missing.status, StatusCode::NOT_FOUND);
    let message = format!(
        "The resource record 'web' does not exist in resource group 'rg-dns' of subscription '{SUBSCRIPTION}'."
    );
    assert_eq!(missing.json(), json!({"code": "NotFound", "message": message}));

    let no_zone = format!("{ZONES}/elsewhere.internal");
    let refused = put(&azure, &format!("{no_zone}/A/web"), a("10.1.5.4")).await;
    assert_eq!(refused.status, StatusCode::NOT_FOUND);
    let message = format!(
        "Failed to perform 'write' on resource(s) of type 'privateDnsZones/A', because the parent resource \
         '{no_zone}' could not be found."
    );
    assert_eq!(refused.json(), json!({"error": {"code": "ParentResourceNotFound", "message": message}}));
    let read = get(&azure, &format!("{no_zone}/PTR")).await;
    assert_eq!(read.error(), (404, "ParentResourceNotFound".to_owned()));
    assert_eq!(get(&azure, &no_zone).await.error(), (404, "ResourceNotFound".to_owned()));
}

#[tokio::test]
async fn names_are_returned_in_lower_case() {
    let azure = azure_with_zone();
    let written = put(&azure, &format!("{ZONES}/Spoke1.Contoso.Internal/a/WEB"), a("10.1.5.4")).await.json();
    assert_eq!(written["name"], "web");
    assert_eq!(written["id"], path("A/web"));
    assert_eq!(written["properties"]["fqdn"], "web.spoke1.contoso.internal.");
    let apex = put(&azure, &path("A/@"), a("10.1.5.4")).await.json();
    assert_eq!(apex["properties"]["fqdn"], "spoke1.contoso.internal.");
}

#[tokio::test]
async fn an_invalid_record_set_is_a_flat_400() {
    let azure = azure_with_zone();
    let check = async |below: &str, properties: Value| {
        let refused = put(&azure, &path(below), json!({"properties": properties})).await;
        assert_eq!(refused.error(), (400, "BadRequest".to_owned()), "{properties}");
        assert!(refused.json().get("error").is_none());
    };
    let record = json!({"ipv4Address": "10.1.5.4"});
    check("A/web", json!({"aRecords": []})).await;
    check("A/web", json!({"ttl": -1, "aRecords": []})).await;
    check("A/web", json!({"ttl": 2_147_483_648_u64, "aRecords": []})).await;
    check("A/web", json!({"ttl": 60, "aRecords": [{"ipv4Address": "10.1.5"}]})).await;
    check("A/web", json!({"ttl": 60, "aRecords": [{"ipv4address": "10.1.5.4"}]})).await;
    check("A/web", json!({"ttl": 60, "ARecords": [record]})).await;
    check("A/web", json!({"ttl": 60, "ptrRecords": []})).await;
    check("A/web", json!({"ttl": 60, "aRecords": vec![record.clone(); 21]})).await;
    check("A/web", json!({"ttl": 60, "metadata": {"key": 1}})).await;
    check("A/a%20b", json!({"ttl": 60, "aRecords": [record]})).await;
    check("PTR/4", json!({"ttl": 60, "ptrRecords": [{"ptrdname": ""}]})).await;
    check("SOA/web", json!({"ttl": 60})).await;
    assert_eq!(azure.record_sets(ZONE).len(), 1, "the SOA");
}

#[tokio::test]
async fn a_patch_changes_only_the_given_properties() {
    let azure = azure_with_zone();
    let patch = async |headers: &[(&'static str, &str)], properties| {
        send(&azure, Method::PATCH, &path("A/web"), headers, json!({"properties": properties})).await
    };
    assert_eq!(patch(&[], json!({"ttl": 30})).await.error(), (404, "NotFound".to_owned()));
    let first = etag(&put(&azure, &path("A/web"), a("10.1.5.4")).await);
    let patched = patch(&[("if-match", &first)], json!({"metadata": {"key": "value"}})).await;
    assert_eq!(patched.status, StatusCode::OK);
    let set = azure.record_set(ZONE, "A", "web").unwrap();
    assert_eq!(set.to_string(), "A web.spoke1.contoso.internal 60 10.1.5.4 key=value");
    assert_eq!(patch(&[("if-match", &first)], json!({"ttl": 30})).await.status, 412);
}

#[tokio::test]
async fn a_list_of_2500_record_sets_has_pages_of_100_or_of_top() {
    let azure = azure_with_zone();
    for number in 0..2500 {
        let spec = RecordSetSpec::new("A", &format!("host-{number:04}"), &["10.1.5.4"]);
        azure.put_record_set(ZONE, &spec).unwrap();
    }
    let check = async |below: &str, pages: usize, total: usize| {
        let (mut names, mut count, mut next) = (Vec::new(), 0, Some(path(below)));
        while let Some(link) = next {
            let page = get(&azure, &link).await.json();
            names.extend(page["value"].as_array().unwrap().iter().map(|set| set["id"].to_string()));
            next = page["nextLink"].as_str().map(str::to_owned);
            assert!(
                next.as_ref().is_none_or(|link| link.starts_with("http://127.0.0.1:4711/subscriptions/"))
            );
            count += 1;
        }
        assert_eq!((count, names.len()), (pages, total), "{below}");
        names.sort();
        names.dedup();
        assert_eq!(names.len(), total, "{below}");
    };
    check("A", 25, 2500).await;
    check("A?$top=1000", 3, 2500).await;
    check("A?%24top=1000", 3, 2500).await;
    check("ALL?$top=1000", 3, 2501).await;
    check("recordsets?$top=1000", 3, 2501).await;
    check("A?$recordsetnamesuffix=77", 1, 25).await;
    check("PTR", 1, 0).await;
    assert_eq!(get(&azure, &path("A?$top=1001")).await.error().0, 400);
}

#[tokio::test(start_paused = true)]
async fn a_throttle_answers_429_with_the_seconds_to_wait() {
    let azure = azure_with_zone();
    azure.configure(|settings| {
        settings.throttles = Some(Throttles { creates: 1, ..Throttles::default() });
    });
    assert_eq!(put(&azure, &path("A/web"), a("10.1.5.4")).await.status, StatusCode::CREATED);
    tokio::time::sleep(Duration::from_secs(20)).await;
    assert_eq!(put(&azure, &path("A/web"), a("10.1.5.5")).await.status, StatusCode::OK, "an update");
    let throttled = put(&azure, &path("A/other"), a("10.1.5.4")).await;
    assert_eq!(throttled.error(), (429, "TooManyRequests".to_owned()));
    assert_eq!(throttled.header("retry-after"), Some("40"));
    tokio::time::sleep(Duration::from_secs(40)).await;
    assert_eq!(put(&azure, &path("A/other"), a("10.1.5.4")).await.status, StatusCode::CREATED);
}

#[tokio::test]
async fn a_zone_holds_25000_record_sets() {
    let azure = azure_with_zone();
    for number in 1..25_000 {
        azure.put_record_set(ZONE, &RecordSetSpec::new("A", &number.to_string(), &["10.1.5.4"])).unwrap();
    }
    assert_eq!(put(&azure, &path("A/1"), a("10.1.5.5")).await.status, StatusCode::OK);
    assert_eq!(put(&azure, &path("A/web"), a("10.1.5.4")).await.error(), (400, "BadRequest".to_owned()));
}

#[tokio::test]
async fn a_manual_write_takes_over_an_auto_registered_record_set() {
    let azure = azure_with_zone();
    let spec = RecordSetSpec { is_auto_registered: true, ..RecordSetSpec::new("A", "web", &["10.1.5.9"]) };
    azure.put_record_set(ZONE, &spec).unwrap();
    let read = get(&azure, &path("A/web")).await.json();
    assert_eq!(read["properties"]["isAutoRegistered"], true);
    let written = put(&azure, &path("A/web"), a("10.1.5.4")).await.json();
    assert_eq!(written["properties"]["isAutoRegistered"], false);
}

// Recordings test_ListRecordSetsAcrossType_… of Azure/azure-cli, whose names were random.
#[tokio::test]
async fn a_list_of_all_types_begins_with_the_apex_and_goes_by_name() {
    let azure = azure_with_zone();
    for (record_type, name, value) in [
        ("A", "web", "10.1.5.4"),
        ("TXT", "api", "text"),
        ("A", "api", "10.1.5.5"),
        ("CNAME", "mail", "web.contoso.internal"),
        ("AAAA", "web", "fd00::1"),
        ("SRV", "db", "1 5 120 db.contoso.internal"),
    ] {
        azure.put_record_set(ZONE, &RecordSetSpec::new(record_type, name, &[value])).unwrap();
    }
    let expected = ["SOA/@", "A/api", "TXT/api", "SRV/db", "CNAME/mail", "A/web", "AAAA/web"];
    for top in 1..=7 {
        let (mut found, mut next) = (Vec::new(), Some(path(&format!("ALL?$top={top}"))));
        while let Some(link) = next {
            let page = get(&azure, &link).await.json();
            for set in page["value"].as_array().unwrap() {
                found
                    .push(set["id"].as_str().unwrap().rsplit_once(&format!("{ZONE}/")).unwrap().1.to_owned());
            }
            next = page["nextLink"].as_str().map(str::to_owned);
        }
        assert_eq!(found, expected, "{top} on a page");
    }
}

#[tokio::test]
async fn a_ttl_of_zero_is_stored() {
    let azure = azure_with_zone();
    let written = put(&azure, &path("A/web"), json!({"properties": {"ttl": 0, "aRecords": []}})).await;
    assert_eq!((written.status, &written.json()["properties"]["ttl"]), (StatusCode::CREATED, &json!(0)));
    let patch = json!({"properties": {"metadata": {"key": "value"}}});
    let patched = send(&azure, Method::PATCH, &path("A/web"), &[], patch).await.json();
    assert_eq!(
        (&patched["properties"]["ttl"], &patched["properties"]["metadata"]["key"]),
        (&json!(0), &json!("value"))
    );
}

#[tokio::test]
async fn answers_of_the_service_and_of_resource_manager_have_different_headers() {
    let azure = azure_with_zone();
    let quota = "x-ms-ratelimit-remaining-subscription-resource-requests";
    let headers = |answered: &Answered| {
        let names = ["cache-control", "pragma", "expires", quota, "x-ms-failure-cause"];
        names.map(|name| answered.header(name).unwrap_or("-").to_owned()).join(" ")
    };
    let written = put(&azure, &path("A/web"), a("10.1.5.4")).await;
    assert_eq!(headers(&written), "private - - 11999 -");
    assert_eq!(written.header("x-ms-ratelimit-remaining-subscription-writes"), None);
    assert_eq!(headers(&get(&azure, &path("A/web")).await), "private - - 499 -");
    assert_eq!(headers(&get(&azure, &path("A/none")).await), "private - - 499 -");
    assert_eq!(headers(&get(&azure, &path("ALL")).await), "private - - 499 -");
    let refused = put(&azure, &format!("{ZONES}/none.internal/A/web"), a("10.1.5.4")).await;
    assert_eq!(headers(&refused), "no-cache no-cache -1 - gateway");
}
