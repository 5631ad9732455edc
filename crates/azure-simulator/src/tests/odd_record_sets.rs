//! Unusual record sets of old zones: empty ones, and ones that no client can represent.

use http::Method;
use serde_json::{Value, json};

use super::super::testing::{SUBSCRIPTION, ZONES, azure, get, put, send};
use super::super::{Azure, RecordSetSpec, Settings};

const ZONE: &str = "spoke1.contoso.internal";

fn azure_with_zone() -> Azure {
    let azure = azure(Settings::default());
    azure.create_zone(SUBSCRIPTION, "rg-dns", ZONE);
    azure
}

// Recordings test_add_record_when_record_set_is_empty and test_CrudRecordSet_ARecord_ExpectCrudSuccessful-020.
#[tokio::test]
async fn an_emptied_a_record_set_stays_with_its_metadata() {
    let azure = azure_with_zone();
    let path = format!("{ZONES}/{ZONE}/A/web");
    let owner = json!({"aci-dns-owner": "s/rg/web"});
    let full = json!({"ttl": 60, "aRecords": [{"ipv4Address": "10.1.5.4"}], "metadata": owner});
    put(&azure, &path, json!({"properties": full})).await;
    let empty = json!({"ttl": 60, "aRecords": [], "metadata": owner});
    let emptied = put(&azure, &path, json!({"properties": empty})).await;
    assert_eq!(emptied.status, 200);
    let read = get(&azure, &path).await.json();
    assert_eq!(
        read["properties"],
        json!({
            "fqdn": "web.spoke1.contoso.internal.",
            "ttl": 60,
            "aRecords": [],
            "isAutoRegistered": false,
            "metadata": owner,
        })
    );
    assert_eq!(get(&azure, &format!("{ZONES}/{ZONE}/A")).await.json()["value"], json!([read]));
    let view = azure.record_set(ZONE, "A", "web").unwrap();
    assert_eq!(view.to_string(), "A web.spoke1.contoso.internal 60  aci-dns-owner=s/rg/web");

    azure.put_record_set(ZONE, &RecordSetSpec::new("A", "api", &[])).unwrap();
    let read = get(&azure, &format!("{ZONES}/{ZONE}/A/api")).await.json();
    assert_eq!(read["properties"]["aRecords"], json!([]));
}

#[tokio::test]
async fn an_unrepresentable_record_set_is_stored_and_returned_unchanged() {
    let azure = azure_with_zone();
    let path = format!("{ZONES}/{ZONE}/A/scanner");
    for properties in [
        json!({"ttl": 30, "aRecords": [{"ipv4Address": ""}]}),
        json!({"ttl": 30, "aRecords": [{}], "metadata": {"count": 3, "team": null}}),
        json!({"aRecords": null}),
        json!({}),
    ] {
        let body = json!({"zone": ZONE, "type": "A", "name": "Scanner", "properties": properties});
        let stored = send(&azure, Method::POST, "/simulator/record-sets", &[], body).await;
        assert_eq!(stored.status, 200, "{properties}");
        let mut expected = json!({"fqdn": "scanner.spoke1.contoso.internal.", "isAutoRegistered": false});
        expected.as_object_mut().unwrap().extend(properties.as_object().unwrap().clone());
        let read = get(&azure, &path).await.json();
        assert_eq!((&read["properties"], &read["etag"]), (&expected, &stored.json()["etag"]));
        assert_eq!(get(&azure, &format!("{ZONES}/{ZONE}/ALL")).await.json()["value"][1], read);
        assert!(azure.record_set(ZONE, "A", "scanner").is_some(), "it is among the views");
    }
    let right = json!({"properties": {"ttl": 60, "aRecords": [{"ipv4Address": "10.1.5.4"}]}});
    put(&azure, &path, right).await;
    let read = get(&azure, &path).await.json();
    assert_eq!(read["properties"]["aRecords"], json!([{"ipv4Address": "10.1.5.4"}]));
    assert_eq!(read["properties"].get("metadata"), None::<&Value>, "a write replaces it whole");
    for wrong in [json!({"zone": ZONE}), json!({"zone": "none", "type": "A", "name": "a", "properties": {}})]
    {
        assert_eq!(send(&azure, Method::POST, "/simulator/record-sets", &[], wrong).await.status, 400);
    }
}
