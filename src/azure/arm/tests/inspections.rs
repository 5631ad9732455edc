//! The reads of a preflight: Azure's answers and the values that they become.

use super::*;
use crate::domain::inventory::{Caller, Condition, Filter, Permission, Quota, ZoneState};

const GROUP: &str = "/subscriptions/s1/resourceGroups/rg";

fn inspector(azure: &Azure) -> Inspector {
    azure.arm().inspection(Instant::now() + Duration::from_secs(25))
}

#[tokio::test(start_paused = true)]
async fn a_list_is_read_to_its_last_page() {
    let next = "https://management.azure.com/subscriptions/s1/more?$skipToken=x";
    let azure = Azure::new([
        reply(200, &json!({"value": [{"actions": ["*/read"], "notActions": ["x"]}], "nextLink": next})),
        reply(200, &json!({"value": [{"actions": null}], "nextLink": ""})),
    ]);
    let expected =
        Permission { actions: vec!["*/read".into()], not_actions: vec!["x".into()], ..Permission::default() };
    let reported = inspector(&azure).permissions(GROUP).await.unwrap();
    assert_eq!(reported, Some(vec![expected, Permission::default()]));
    let path = format!("GET {GROUP}/providers/Microsoft.Authorization/permissions?api-version=2022-04-01");
    assert_eq!(azure.lines(), [path, "GET /subscriptions/s1/more?$skipToken=x".to_owned()]);
}

#[tokio::test(start_paused = true)]
async fn roles_are_listed_by_principal_and_read_by_name() {
    let assignment = json!({"properties": {
        "roleDefinitionId": "/providers/Microsoft.Authorization/roleDefinitions/acdd72a7", "scope": GROUP
    }});
    let role = json!({"properties": {"permissions": [{"actions": ["*/read"], "notActions": []}]}});
    let azure = Azure::new([reply(200, &json!({"value": [assignment]})), reply(200, &role)]);
    let inspector = inspector(&azure);
    assert_eq!(inspector.roles("p", GROUP).await.unwrap(), Some(vec!["acdd72a7".to_owned()]));
    let expected = Permission { actions: vec!["*/read".into()], ..Permission::default() };
    assert_eq!(inspector.role("s1", "acdd72a7").await.unwrap(), [expected]);
    assert_eq!(
        azure.lines(),
        [
            format!(
                "GET {GROUP}/providers/Microsoft.Authorization/roleAssignments?api-version=2022-04-01\
                 &%24filter=atScope%28%29+and+assignedTo%28%27p%27%29"
            ),
            "GET /subscriptions/s1/providers/Microsoft.Authorization/roleDefinitions/acdd72a7?api-version=2022-04-01"
                .to_owned(),
        ]
    );
    assert_eq!(inspector.role("s1", "..").await.unwrap_err().kind(), Kind::Refused);
    assert_eq!(azure.lines().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_link_to_another_host_is_not_followed() {
    for next in
        ["https://evil.example/subscriptions/s1/x", "//evil.example/subscriptions/s1/x", "http://[", "/other"]
    {
        let azure = Azure::new([reply(200, &json!({"value": [], "nextLink": next}))]);
        let error = inspector(&azure).permissions(GROUP).await.unwrap_err();
        assert_eq!((error.kind(), azure.lines().len()), (Kind::Refused, 1), "{}", chain(&error));
    }
}

#[tokio::test(start_paused = true)]
async fn an_endless_list_and_a_list_without_a_value_are_errors() {
    let endless = json!({"value": [], "nextLink": format!("{GROUP}/again")});
    let azure = Azure::new([reply(200, &endless)]);
    let error = inspector(&azure).permissions(GROUP).await.unwrap_err();
    assert_eq!((error.kind(), azure.lines().len()), (Kind::Refused, PAGE_LIMIT));
    let azure = Azure::new([reply(200, &json!({"permissions": []}))]);
    assert_eq!(inspector(&azure).permissions(GROUP).await.unwrap_err().kind(), Kind::Transient);
}

#[tokio::test(start_paused = true)]
async fn a_missing_resource_is_none() {
    for code in
        ["ResourceGroupNotFound", "ResourceNotFound", "ParentResourceNotFound", "SubscriptionNotFound"]
    {
        let azure = Azure::new([error(404, code)]);
        let inspector = inspector(&azure);
        assert_eq!(inspector.permissions(GROUP).await.unwrap(), None, "{code}");
        assert_eq!(inspector.zone(&zone()).await.unwrap(), None, "{code}");
        let subnet =
            format!("{GROUP}/providers/Microsoft.Network/virtualNetworks/v/subnets/s").parse().unwrap();
        assert_eq!(inspector.subnet(&subnet).await.unwrap(), None, "{code}");
    }
    let azure = Azure::new([error(403, "AuthorizationFailed")]);
    assert_eq!(inspector(&azure).zone(&zone()).await.unwrap_err().kind(), Kind::Forbidden);
}

#[tokio::test(start_paused = true)]
async fn a_zone_reports_how_full_it_is() {
    let properties = json!({
        "numberOfRecordSets": 7, "maxNumberOfRecordSets": 25000,
        "numberOfVirtualNetworkLinks": 2, "provisioningState": "Succeeded"
    });
    let azure =
        Azure::new([reply(200, &json!({"name": "z", "location": "global", "properties": properties}))]);
    let expected = ZoneState {
        record_sets: Quota { used: 7, most: Some(25_000) },
        links: Quota { used: 2, most: None },
    };
    assert_eq!(inspector(&azure).zone(&zone()).await.unwrap(), Some(expected));
    assert_eq!(azure.lines(), [format!("GET {SUBSCRIPTION}/spoke1.contoso.internal?api-version=2024-06-01")]);
}

#[tokio::test(start_paused = true)]
async fn a_link_is_read_in_every_state() {
    let network = "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.Network/virtualNetworks/v";
    let link = |properties: Value| json!({"name": "l", "location": "global", "properties": properties});
    let page = json!({"value": [
        link(json!({
            "virtualNetwork": {"id": network},
            "virtualNetworkLinkState": "InProgress", "provisioningState": "Odd"
        })),
        link(json!({"virtualNetwork": {"id": "nonsense?"}})),
    ]});
    let links = inspector(&Azure::new([reply(200, &page)])).links(&zone()).await.unwrap();
    assert_eq!(links.len(), 1);
    assert_eq!((links[0].name.as_str(), links[0].network.as_str()), ("l", network));
    let states = [&links[0].state, &links[0].provisioning_state].map(|state| state.as_deref());
    assert_eq!(states, [Some("InProgress"), Some("Odd")]);
}

#[tokio::test(start_paused = true)]
async fn a_subnet_has_one_range_or_several() {
    let id = format!("{GROUP}/providers/Microsoft.Network/virtualNetworks/v/subnets/s").parse().unwrap();
    for (properties, expected) in [
        (json!({"addressPrefix": "10.1.5.0/24"}), vec!["10.1.5.0/24"]),
        (
            json!({"addressPrefixes": ["10.1.5.0/24", "fd00::/64", "10.2.0.0/16"]}),
            vec!["10.1.5.0/24", "10.2.0.0/16"],
        ),
        (json!({}), vec![]),
    ] {
        let azure = Azure::new([reply(200, &json!({"properties": properties}))]);
        let ranges = inspector(&azure).subnet(&id).await.unwrap().unwrap();
        assert_eq!(ranges.iter().map(ToString::to_string).collect::<Vec<_>>(), expected);
        assert_eq!(azure.lines(), [format!("GET {id}?api-version=2023-09-01")]);
    }
}

#[tokio::test(start_paused = true)]
async fn only_topics_of_subscriptions_and_resource_groups_count() {
    let topic = |name: &str, source: &str| {
        json!({
            "id": format!("{GROUP}/providers/Microsoft.EventGrid/systemTopics/{name}"),
            "properties": {"source": source, "provisioningState": "Succeeded"}
        })
    };
    let storage = format!("{GROUP}/providers/Microsoft.Storage/storageAccounts/a");
    let page = json!({"value": [topic("a", GROUP), topic("b", "/subscriptions/s1"), topic("c", &storage)]});
    let topics = inspector(&Azure::new([reply(200, &page)])).topics("s1").await.unwrap();
    assert_eq!(
        topics.iter().map(|topic| topic.source.as_str()).collect::<Vec<_>>(),
        [GROUP, "/subscriptions/s1"]
    );
}

#[tokio::test(start_paused = true)]
async fn an_event_subscription_may_lack_fields() {
    let id = format!("{GROUP}/providers/Microsoft.EventGrid/systemTopics/t/eventSubscriptions/e");
    let function = "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.Web/sites/a/functions/function_aci_reconcile";
    let destination = json!({"endpointType": "AzureFunction", "properties": {"resourceId": function}});
    let page = json!({"value": [
        {"id": id, "properties": {
            "deliveryWithResourceIdentity": {"destination": destination},
            "filter": {
                "includedEventTypes": ["All"],
                "subjectBeginsWith": "/subscriptions",
                "advancedFilters": [{"operatorType": "NumberIn", "key": "data.x", "values": [1, "a"]}]
            },
            "deadLetterDestination": {"endpointType": "StorageBlob"}
        }},
        {"id": id, "properties": {"destination": {
            "endpointType": "EventHub", "properties": {"resourceId": "/subscriptions/s1/x"}
        }}},
    ]});
    let topic = format!("{GROUP}/providers/Microsoft.EventGrid/systemTopics/t").parse().unwrap();
    let found = inspector(&Azure::new([reply(200, &page)])).event_subscriptions(&topic).await.unwrap();
    assert_eq!(found[0].function.as_ref().unwrap().name(), "function_aci_reconcile");
    assert!(found[0].keeps_dead_letters && !found[1].keeps_dead_letters);
    let condition =
        Condition { operator: "NumberIn".into(), key: "data.x".into(), values: vec!["1".into(), "a".into()] };
    let expected = Filter {
        subject_begins_with: "/subscriptions".into(),
        advanced: vec![condition],
        ..Filter::default()
    };
    assert_eq!((&found[0].filter, &found[1].filter), (&expected, &Filter::default()));
    assert_eq!(found[1].function, None);
}

#[tokio::test(start_paused = true)]
async fn the_caller_is_read_from_a_readable_token() {
    let caller = async |token: &str| {
        let azure = Azure::new([reply(200, &json!({}))]);
        let settings = ArmSettings {
            endpoint: "https://management.azure.com/".parse().unwrap(),
            scope: String::new(),
            jitter_seed: 1,
        };
        let arm = Arm::new(settings, azure.http_transport(), Tokens::fixed(token));
        arm.inspection(Instant::now() + Duration::from_secs(25)).caller().await.unwrap()
    };
    // {"oid":"o","appid":"a","upn":"ada@contoso.com"}
    let token = "eyJhbGciOiJub25lIn0.eyJvaWQiOiJvIiwiYXBwaWQiOiJhIiwidXBuIjoiYWRhQGNvbnRvc28uY29tIn0.s";
    let [object_id, application_id, name] = ["o", "a", "ada@contoso.com"].map(|text| Some(text.to_owned()));
    assert_eq!(caller(token).await, Caller { object_id, application_id, name });
    for token in ["", "opaque", "a.b.c", "a.e30.c"] {
        assert_eq!(caller(token).await, Caller::default(), "{token}");
    }
}
