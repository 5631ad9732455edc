//! Lists of container groups: by subscription or resource group, complete or an error.

use super::*;
use crate::domain::container_group::{Container, IpAddress};

const SUBNET: &str =
    "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/vnet/subnets/aci";
const GROUPS: &str = "providers/Microsoft.ContainerInstance/containerGroups";

fn group(resource_group: &str, name: &str) -> Value {
    json!({
        "id": format!("/subscriptions/s1/resourceGroups/{resource_group}/{GROUPS}/{name}"),
        "name": name,
        "location": "westeurope",
        "tags": {"aci-dns-ttl": "30", "team": null},
        "properties": {
            "provisioningState": "Succeeded",
            "containers": [{"name": name, "properties": {
                "image": "web", "resources": {"requests": {"memoryInGB": 1.5, "cpu": 1.0}}
            }}],
            "restartPolicy": "OnFailure",
            "osType": "Linux",
            "ipAddress": {"ports": [{"port": 80}], "type": "Private", "ip": "10.1.5.4"},
            "subnetIds": [{"id": SUBNET}, {"id": "no id"}, {"name": "no id either"}],
        }
    })
}

fn page(groups: &[Value], next: Option<&str>) -> Reply {
    reply(200, &json!({"value": groups, "nextLink": next}))
}

async fn list(azure: &Azure, resource_group: Option<&str>) -> Result<Vec<ContainerGroupId>, ArmError> {
    let scope = Scope::new("s1", resource_group);
    let listed = azure.writer().reader().list_container_groups(&scope).await?;
    Ok(listed.into_iter().flatten().map(|(id, _)| id).collect())
}

#[tokio::test(start_paused = true)]
async fn a_scope_is_a_subscription_or_a_resource_group_and_each_page_is_one_request() {
    let next =
        format!("https://management.azure.com/subscriptions/s1/{GROUPS}?api-version=2023-05-01&$skipToken=x");
    for (resource_group, path) in [
        (None, format!("/subscriptions/s1/{GROUPS}")),
        (Some("RG"), format!("/subscriptions/s1/resourceGroups/rg/{GROUPS}")),
    ] {
        let azure = Azure::new([page(&[group("RG", "a")], Some(&next)), page(&[group("rg", "b")], None)]);
        let expected = ["a", "b"].map(|name| ContainerGroupId::new("s1", "rg", name).unwrap());
        assert_eq!(list(&azure, resource_group).await.unwrap(), expected);
        let lines = azure.lines();
        assert_eq!(lines[0], format!("GET {path}?api-version=2023-05-01"));
        assert!(lines.len() == 2 && lines[1].ends_with("$skipToken=x"), "{lines:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_listed_group_lacks_only_its_state() {
    let azure = Azure::new([page(&[group("rg", "web")], None)]);
    let listed = azure.writer().reader().list_container_groups(&Scope::new("s1", None)).await.unwrap();
    let expected = ContainerGroup {
        tags: [("aci-dns-ttl".to_owned(), "30".to_owned())].into(),
        provisioning_state: Some("Succeeded".to_owned()),
        state: None,
        ip_address: Some(IpAddress { kind: Some("Private".to_owned()), ip: Some("10.1.5.4".to_owned()) }),
        containers: vec![Container::default()],
        restart_policy: Some("OnFailure".to_owned()),
        subnets: vec![SUBNET.parse().unwrap()],
    };
    assert_eq!(listed.unwrap()[0].1, expected);
}

#[tokio::test(start_paused = true)]
async fn a_resource_group_that_does_not_exist_holds_no_groups() {
    let azure = Azure::new([error(404, "ResourceGroupNotFound")]);
    assert_eq!(list(&azure, Some("rg")).await.unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_failed_or_unreadable_list_of_groups_is_not_empty() {
    let next = format!("https://management.azure.com/subscriptions/s1/{GROUPS}?api-version=2023-05-01");
    let mut elsewhere = group("rg", "b");
    elsewhere["id"] = "/subscriptions/s1".into();
    for (second, expected) in [
        (error(403, "AuthorizationFailed"), Kind::Forbidden),
        (error(404, "SubscriptionNotFound"), Kind::Missing),
        (throttled(429, "retry-after", "60"), Kind::Transient),
        (page(&[elsewhere], None), Kind::Transient),
        (reply(200, &json!({})), Kind::Transient),
        (Reply::Truncated(200), Kind::Transient),
    ] {
        let azure = Azure::new([page(&[group("rg", "a")], Some(&next)), second]);
        let error = list(&azure, None).await.unwrap_err();
        assert_eq!(error.kind(), expected, "{}", chain(&error));
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_name_is_invalid_for_a_record_set_is_left_out() {
    let azure = Azure::new([page(&[group("rg", "a_b"), group("rg", "web")], None)]);
    assert_eq!(list(&azure, None).await.unwrap(), [ContainerGroupId::new("s1", "rg", "web").unwrap()]);
}

mod snapshot {
    use super::*;

    fn id(subscription: &str, resource_group: &str) -> ContainerGroupId {
        ContainerGroupId::new(subscription, resource_group, "web").unwrap()
    }

    /// A list that failed.
    async fn failed<T>() -> Result<T, ArmError> {
        Err(list(&Azure::new([error(403, "AuthorizationFailed")]), None).await.unwrap_err())
    }

    #[tokio::test(start_paused = true)]
    async fn a_group_is_absent_only_if_a_successful_list_does_not_contain_it() {
        let mut snapshot = Snapshot::default();
        let web = ContainerGroup { state: None, ..ContainerGroup::default() };
        snapshot.add_container_groups(
            Scope::new("s1", Some("rg")),
            Ok(Some(vec![(id("s1", "rg"), web.clone())])),
        );
        snapshot.add_container_groups(Scope::new("s1", Some("empty")), Ok(None));
        snapshot.add_container_groups(Scope::new("s2", None), failed().await);
        assert_eq!(snapshot.container_group(&id("S1", "RG")).unwrap(), Some(web));
        assert_eq!(snapshot.container_group(&id("s1", "empty")).unwrap(), None);
        let kind = |subscription, resource_group| {
            snapshot.container_group(&id(subscription, resource_group)).unwrap_err().kind()
        };
        assert_eq!((kind("s2", "rg"), kind("s1", "other")), (Kind::Forbidden, Kind::Refused));
        let sight = [("s1", "empty"), ("s1", "other"), ("s2", "rg")];
        assert_eq!(sight.map(|(s, rg)| snapshot.is_covered(&id(s, rg))), [true, false, false]);
        assert_eq!(snapshot.failures().count(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn a_single_read_of_a_group_overrides_the_list() {
        let mut snapshot = Snapshot::default();
        let listed = vec![(id("s1", "rg"), ContainerGroup::default())];
        snapshot.add_container_groups(Scope::new("s1", None), Ok(Some(listed)));
        snapshot.add_answer(id("s1", "rg"), Ok(None));
        assert_eq!(snapshot.container_group(&id("s1", "rg")).unwrap(), None);
        snapshot.add_answer(id("s1", "rg"), failed().await);
        assert_eq!(snapshot.container_group(&id("s1", "rg")).unwrap_err().kind(), Kind::Forbidden);
    }

    #[tokio::test(start_paused = true)]
    async fn nothing_is_absent_from_a_zone_without_a_successful_list() {
        let mut snapshot = Snapshot::default();
        let absent =
            |snapshot: &Snapshot| snapshot.a_record_set(&zone(), &name()).map_err(|error| error.kind());
        assert_eq!(absent(&snapshot), Err(Kind::Refused));
        snapshot.add_a_record_sets(zone(), failed().await);
        assert_eq!(absent(&snapshot), Err(Kind::Forbidden));
        // The list of one record type says nothing about another type.
        snapshot.add_ptr_record_sets(zone(), Ok(vec![]));
        assert_eq!(absent(&snapshot), Err(Kind::Forbidden));
        snapshot.add_a_record_sets(zone(), Ok(vec![]));
        assert_eq!(absent(&snapshot), Ok(None));
    }
}
