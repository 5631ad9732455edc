//! Event subscriptions and their filters.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_function_without_events_is_reported() {
    let diagnosis = check(
        |azure| azure.delete_from_event_grid(&topic("rg-spoke2")).unwrap(),
        &[
            "problem: no event subscription delivers events of /rg-spoke2 to function_aci_reconcile",
            "warning: no event subscription delivers events of /rg-spoke2 to function_drift_tracker",
        ],
    )
    .await;
    let fix = &diagnosis.checks[9].findings[0].fix;
    assert!(
        fix.contains("az eventgrid system-topic create") && fix.contains("--resource-group rg-spoke2"),
        "{fix}"
    );
    let diagnosis = check(
        |azure| azure.delete_from_event_grid(&event_subscription("rg-spoke1", RECONCILE)).unwrap(),
        &["problem: no event subscription delivers events of /rg-spoke1 to function_aci_reconcile"],
    )
    .await;
    let fix = &diagnosis.checks[9].findings[0].fix;
    assert!(
        !fix.contains("system-topic create") && fix.contains("--system-topic-name aci-dns-events"),
        "{fix}"
    );
}

#[tokio::test(start_paused = true)]
async fn an_unhealthy_event_subscription_is_reported() {
    let change = |members: Value| {
        move |azure: &Azure| {
            let id = event_subscription("rg-spoke1", RECONCILE);
            azure
                .change_event_subscription(&id, |properties| {
                    let properties = properties.as_object_mut().unwrap();
                    for (name, value) in members.as_object().unwrap() {
                        properties.insert(name.clone(), value.clone());
                    }
                })
                .unwrap();
        }
    };
    let id = "/rg-spoke1/systemTopics/aci-dns-events/eventSubscriptions/aci-dns-function-aci-reconcile";
    check(change(json!({"provisioningState": "Failed"})), &[&format!("problem: {id} is Failed")]).await;
    check(change(json!({"provisioningState": "Updating"})), &[&format!("warning: {id} is Updating")]).await;
    check(
        change(json!({"deadLetterWithResourceIdentity": null})),
        &[&format!("warning: {id} has no dead-letter destination")],
    )
    .await;
    check(
        change(json!({"expirationTimeUtc": "2026-02-01T00:00:00Z"})),
        &[&format!("warning: {id} expires at 2026-02-01T00:00:00Z")],
    )
    .await;
    check(
        change(json!({"destination": {"endpointType": "WebHook", "properties": {"endpointBaseUrl": "https://x"}}})),
        &["problem: no event subscription delivers events of /rg-spoke1 to function_aci_reconcile"],
    )
    .await;
    let types = ["Microsoft.Resources.ResourceWriteSuccess", "Microsoft.Resources.ResourceDeleteSuccess"];
    check(
        change(json!({"filter": {"includedEventTypes": types}})),
        &[&format!("problem: the filter of {id} excludes Microsoft.Resources.ResourceActionSuccess")],
    )
    .await;
    let all = ["Write", "Delete", "Action"].map(|verb| format!("Microsoft.Resources.Resource{verb}Success"));
    check(
        change(json!({"filter": {"includedEventTypes": all, "subjectBeginsWith": "/subscriptions/"}})),
        &[&format!(
            "warning: the filter of {id} excludes {}",
            ["ActionCancel", "ActionFailure", "DeleteCancel", "DeleteFailure", "WriteCancel", "WriteFailure"]
                .map(|name| format!("Microsoft.Resources.Resource{name}"))
                .join(", ")
        )],
    )
    .await;
    let odd = json!([{"operatorType": "NumberGreaterThan", "key": "data.size", "value": 1}]);
    check(
        change(json!({"filter": {"advancedFilters": odd}})),
        &[&format!(
            "warning: it is unknown which events the condition NumberGreaterThan data.size in the filter of {id} excludes"
        )],
    )
    .await;
    check(change(json!({"filter": {"includedEventTypes": null}})), &[]).await;
}

/// The findings of a reconciler whose event subscription has this filter.
async fn told_of_filter(filter: Value, settings: &[(&str, &str)]) -> Vec<String> {
    let azure = azure();
    let id = event_subscription("rg-spoke1", RECONCILE);
    azure.change_event_subscription(&id, |reported| reported["filter"] = filter).unwrap();
    reported(&examine(&azure, &map(), settings).await)
}

#[tokio::test(start_paused = true)]
async fn a_filter_is_checked_with_samples_of_every_operation_and_spelling() {
    let id = "/rg-spoke1/systemTopics/aci-dns-events/eventSubscriptions/aci-dns-function-aci-reconcile";
    let operations = ["write", "delete", "restart/action", "start/action"]
        .map(|operation| format!("Microsoft.ContainerInstance/containerGroups/{operation}"));
    let groups = format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-spoke1/providers/Microsoft.ContainerInstance/containerGroups/"
    );
    let condition = |operator: &str, key: &str, values: Value| json!({"advancedFilters": [{"operatorType": operator, "key": key, "values": values}]});
    let tags = format!(
        "warning: the filter of {id} excludes tags that are written through the Tags API (provider \
         Microsoft.Resources, operation Microsoft.Resources/tags/write)"
    );
    let without_stop = || condition("StringIn", "data.operationName", json!(operations));
    let found = told_of_filter(without_stop(), &[]).await;
    let stop =
        format!("problem: the filter of {id} excludes stop (Microsoft.Resources.ResourceActionSuccess)");
    assert_eq!(found, [stop, tags.clone()]);
    let found = told_of_filter(without_stop(), &[("ACI_DNS_STOPPED", "keep")]).await;
    assert_eq!(found, [tags.as_str()], "records of stopped groups stay");

    let by_provider =
        condition("StringContains", "data.resourceProvider", json!(["Microsoft.ContainerInstance"]));
    assert_eq!(told_of_filter(by_provider, &[]).await, [tags]);

    let found = told_of_filter(json!({"subjectBeginsWith": format!("{groups}web")}), &[]).await;
    assert_eq!(found.len(), 1, "{found:?}");
    let problem = format!("problem: the filter of {id} excludes ");
    let names = " of container groups whose names do not begin with \"web\"";
    assert!(found[0].starts_with(&problem) && found[0].ends_with(names), "{found:?}");

    let case_sensitive = json!({"subjectBeginsWith": groups, "isSubjectCaseSensitive": true});
    let warning = format!(
        "warning: the filter of {id} is case-sensitive, and excludes ids with resourcegroups or \
         microsoft.containerinstance in lower case"
    );
    assert_eq!(told_of_filter(case_sensitive, &[]).await, [warning]);
}

#[tokio::test(start_paused = true)]
async fn a_right_that_is_deleted_with_the_resource_group_is_a_warning() {
    let rights_of_the_subscription = |azure: &Azure, actions: &[&str]| {
        let subscription = format!("/subscriptions/{SUBSCRIPTION}");
        azure.set_permissions(&subscription, vec![Permission::new(actions, &[])]);
        for group in ["rg-spoke1", "rg-spoke2", "rg-dns"] {
            let scope = format!("{subscription}/resourceGroups/{group}");
            azure.set_permissions(&scope, vec![Permission::new(&["*"], &[])]);
        }
    };
    let others = ["Microsoft.EventGrid/*", "Microsoft.Network/*", "Microsoft.Authorization/*/read"];
    let warning = "warning: Microsoft.ContainerInstance/containerGroups/read is granted on rg-spoke1, rg-spoke2 only, \
                   not on ";
    let diagnosis = check(|azure| rights_of_the_subscription(azure, &others), &[warning]).await;
    let finding = diagnosis.checks.iter().flat_map(|check| &check.findings).next().unwrap();
    assert!(finding.impact.contains("aci-dns sync"), "{}", finding.impact);
    assert!(finding.fix.ends_with(&format!("--scope /subscriptions/{SUBSCRIPTION}")), "{}", finding.fix);
    let all = [&others[..], &["Microsoft.ContainerInstance/containerGroups/read"]].concat();
    check(|azure| rights_of_the_subscription(azure, &all), &[]).await;
}

#[tokio::test(start_paused = true)]
async fn the_fix_of_a_filter_is_that_of_the_deployment() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("infra/events.json");
    let events: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let azure = azure();
    for (check, function) in [(9, RECONCILE), (10, "function_drift_tracker")] {
        let id = event_subscription("rg-spoke1", function);
        azure
            .change_event_subscription(&id, |reported| {
                reported["filter"] = json!({"subjectEndsWith": "/web"});
            })
            .unwrap();
        let diagnosis = examine(&azure, &map(), &[]).await;
        let fix = &diagnosis.checks[check].findings[0].fix;
        let body = fix.split_once("--body '").unwrap().1.strip_suffix('\'').unwrap();
        let condition = json!({"operatorType": "StringContains", "key": "subject", "values": [events["subjectContains"]]});
        let expected =
            json!({"includedEventTypes": events["functions"][function], "advancedFilters": [condition]});
        assert_eq!(serde_json::from_str::<Value>(body).unwrap(), json!({"filter": expected}));
        assert!(fix.contains(&format!("--url {id}?api-version=")), "{fix}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_pattern_needs_events_of_the_whole_subscription() {
    let azure = azure();
    let map = json!({"rg-*": zones()});
    let partly = |name: &str| format!("warning: no event subscription delivers events of all of  to {name}");
    let expected = [RECONCILE, "function_drift_tracker"].map(partly);
    assert_eq!(reported(&examine(&azure, &map, &[]).await), expected);
    azure.subscribe(
        SUBSCRIPTION,
        None,
        "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Web/sites/aci-dns",
    );
    assert_eq!(reported(&examine(&azure, &map, &[]).await), [""; 0]);
    for group in ["rg-spoke1", "rg-spoke2", "rg-dns"] {
        azure.delete_from_event_grid(&topic(group)).unwrap();
    }
    let found = reported(&examine(&azure, &map, &[]).await);
    assert_eq!(found.iter().filter(|text| text.starts_with("problem")).count(), 2, "{found:#?}");
}

#[tokio::test(start_paused = true)]
async fn an_event_subscription_without_a_system_topic_counts() {
    let azure = azure();
    let broken = event_subscription("rg-spoke1", RECONCILE);
    azure
        .change_event_subscription(&broken, |reported| reported["provisioningState"] = json!("Failed"))
        .unwrap();
    let app = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Web/sites/aci-dns";
    for function in [RECONCILE, "function_drift_tracker"] {
        let destination = json!({"endpointType": "AzureFunction", "properties": {"resourceId": format!("{app}/functions/{function}")}});
        let dead = json!({"endpointType": "StorageBlob", "properties": {"resourceId": "/s", "blobContainerName": "d"}});
        let body = json!({"properties": {"destination": destination, "deadLetterDestination": dead}});
        let path = format!(
            "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-spoke1/providers/Microsoft.EventGrid/eventSubscriptions/{function}?api-version=2022-06-15"
        );
        let request = http::Request::put(path).body(axum::body::Body::from(body.to_string())).unwrap();
        azure.configure(|settings| settings.require_token = false);
        let answer = tower::ServiceExt::oneshot(azure.router(), request).await.unwrap();
        assert_eq!(answer.status(), 201);
    }
    // A correct one is enough, despite a faulty one and a deleted topic.
    assert_eq!(reported(&examine(&azure, &map(), &[]).await), [""; 0]);
    azure.delete_from_event_grid(&topic("rg-spoke1")).unwrap();
    assert_eq!(reported(&examine(&azure, &map(), &[]).await), [""; 0]);
}
