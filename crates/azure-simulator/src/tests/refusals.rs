//! Writes that Azure refuses: locks, missing rights, names of CNAME record sets.

use http::Method;
use serde_json::{Value, json};

use super::super::testing::{Answered, SUBSCRIPTION, ZONES, azure, get, put, send};
use super::super::{Azure, GroupSpec, LockLevel, RecordSetSpec, Settings};

const ZONE: &str = "spoke1.contoso.internal";

fn azure_with_record_set() -> (Azure, String) {
    let azure = azure(Settings::default());
    azure.create_zone(SUBSCRIPTION, "rg-dns", ZONE);
    azure.put_record_set(ZONE, &RecordSetSpec::new("A", "web", &["10.1.5.4"])).unwrap();
    (azure, format!("{ZONES}/{ZONE}/A/web"))
}

fn a(address: &str) -> Value {
    json!({"properties": {"ttl": 60, "aRecords": [{"ipv4Address": address}]}})
}

fn cname(target: &str) -> Value {
    json!({"properties": {"ttl": 300, "cnameRecord": {"cname": target}}})
}

async fn delete(azure: &Azure, path: &str) -> Answered {
    send(azure, Method::DELETE, path, &[], Value::Null).await
}

#[tokio::test]
async fn a_lock_against_deletion_refuses_deletes_below_it_and_nothing_else() {
    let (azure, path) = azure_with_record_set();
    let group = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-dns");
    azure.lock(&group, LockLevel::CanNotDelete);
    let refused = delete(&azure, &path).await;
    assert_eq!(refused.status, 409);
    assert_eq!(
        refused.json(),
        json!({"error": {
            "code": "ScopeLocked",
            "message": format!(
                "The scope '{path}' cannot perform delete operation because following scope(s) are locked: \
                 '{group}'. Please remove the lock and try again."
            ),
        }})
    );
    assert!(azure.record_set(ZONE, "A", "web").is_some());
    assert_eq!(put(&azure, &path, a("10.1.5.5")).await.status, 200);
    assert_eq!(put(&azure, &path, json!({"properties": {"ttl": 60, "aRecords": []}})).await.status, 200);
    let other = azure.create_group(GroupSpec::new("rg-spoke1", "web"));
    assert_eq!(delete(&azure, &other).await.status, 200, "another resource group is not locked");
    azure.unlock(&group.to_uppercase());
    assert_eq!(delete(&azure, &path).await.status, 200);
}

#[tokio::test]
async fn a_read_only_lock_refuses_writes_and_actions_and_lets_reads_pass() {
    let (azure, path) = azure_with_record_set();
    let zone = format!("{ZONES}/{ZONE}");
    let group = azure.create_group(GroupSpec::new("rg-spoke1", "web"));
    azure.lock(&zone, LockLevel::ReadOnly);
    azure.lock(&group, LockLevel::ReadOnly);
    let refused = put(&azure, &path, a("10.1.5.5")).await;
    assert_eq!(refused.error(), (409, "ScopeLocked".to_owned()));
    assert!(refused.text.contains("cannot perform write operation"), "{}", refused.text);
    assert_eq!(delete(&azure, &path).await.error().1, "ScopeLocked");
    let restart = send(&azure, Method::POST, &format!("{group}/restart"), &[], Value::Null).await;
    assert_eq!(restart.error().1, "ScopeLocked");
    assert_eq!(get(&azure, &path).await.status, 200);
    assert_eq!(azure.record_set(ZONE, "A", "web").unwrap().values, ["10.1.5.4"]);
}

#[tokio::test]
async fn a_denied_right_is_403_and_can_be_granted_again() {
    let (azure, path) = azure_with_record_set();
    let zone = format!("{ZONES}/{ZONE}");
    azure.deny(&zone, "Microsoft.Network/privateDnsZones/*/delete");
    let refused = delete(&azure, &path).await;
    assert_eq!(refused.error(), (403, "AuthorizationFailed".to_owned()));
    assert_eq!(put(&azure, &path, a("10.1.5.5")).await.status, 200);
    azure.deny(&zone, "Microsoft.Network/privateDnsZones/A/write");
    assert_eq!(put(&azure, &path, a("10.1.5.6")).await.status, 403);
    assert_eq!(delete(&azure, &path).await.status, 403, "the first denial still holds");
    azure.allow(&zone);
    assert_eq!(delete(&azure, &path).await.status, 200);
}

// The texts: https://github.com/kubernetes-sigs/external-dns/issues/5358 and
// https://github.com/rcl-letsencrypt-auto-ssl/Lets-Encrypt-Auto/issues/26
#[tokio::test]
async fn a_cname_cannot_share_its_name() {
    let (azure, path) = azure_with_record_set();
    let alias = format!("{ZONES}/{ZONE}/CNAME/app");
    let made = put(&azure, &alias, cname("app.example.net")).await;
    assert_eq!(made.status, 201);
    assert_eq!(get(&azure, &alias).await.json()["properties"]["cnameRecord"]["cname"], "app.example.net");
    let list = get(&azure, &format!("{ZONES}/{ZONE}/CNAME")).await.json();
    assert_eq!(list["value"][0], made.json());

    for record_type in ["A", "TXT"] {
        let body = if record_type == "A" {
            a("10.1.5.4")
        } else {
            json!({"properties": {"ttl": 60, "txtRecords": []}})
        };
        let refused = put(&azure, &format!("{ZONES}/{ZONE}/{record_type}/APP"), body).await;
        assert_eq!(refused.status, 409);
        let message = "The record could not be created because a CNAME record with the same name already exists in this zone.";
        assert_eq!(refused.json(), json!({"code": "Conflict", "message": message}));
    }
    let refused = put(&azure, &path.replace("/A/", "/CNAME/"), cname("app.example.net")).await;
    let message = "The CNAME record could not be created because another record with the same name already exists in this zone.";
    assert_eq!((refused.status.as_u16(), &refused.json()["message"]), (409, &json!(message)));
    assert!(azure.record_set(ZONE, "CNAME", "web").is_none());

    assert_eq!(put(&azure, &alias, cname("other.example.net")).await.status, 200, "it can be changed");
    assert_eq!(delete(&azure, &alias).await.status, 200);
    assert_eq!(put(&azure, &alias.replace("/CNAME/", "/A/"), a("10.1.5.4")).await.status, 201);
}

#[tokio::test]
async fn the_verbs_lock_and_unlock() {
    let (azure, path) = azure_with_record_set();
    let zone = format!("{ZONES}/{ZONE}");
    let locks = async |body: Value| put(&azure, "/simulator/locks", body).await.status.as_u16();
    assert_eq!(locks(json!({"scope": zone, "level": "CanNotDelete"})).await, 204);
    assert_eq!(delete(&azure, &path).await.status, 409);
    assert_eq!(locks(json!({"scope": zone, "level": null})).await, 204);
    assert_eq!(delete(&azure, &path).await.status, 200);
    assert_eq!(locks(json!({"scope": zone, "level": "Delete"})).await, 400);
    assert_eq!(locks(json!({"level": "ReadOnly"})).await, 400);
}
