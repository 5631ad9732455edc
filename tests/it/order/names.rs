//! Tags, old names, and zones elsewhere ("Names" in docs/design.md).

use super::*;

#[tokio::test(start_paused = true)]
async fn a_stopped_group_reserves_the_name_that_a_tag_chose_and_touches_no_unmarked_one() {
    let world = World::new(&[]);
    world.create_tagged("web", &[("aci-dns-hostname", "front")]);
    world.reconcile("web").await;
    world.azure.stop_group(&id("web")).unwrap();
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&["A front.spoke1.contoso.internal 60  owner=web previous=10.1.5.4@3"]);
    world.azure.remove_record_set(FORWARD, "A", "front").unwrap();
    world.put("A front 60 10.1.9.9");
    world.put("PTR 9.9 60 front.spoke1.contoso.internal");
    let before = world.records();
    world.reconcile("web").await.is(200, "converged", &[]);
    assert_eq!(world.records(), before);
}

#[tokio::test(start_paused = true)]
async fn a_renaming_does_not_remove_the_old_name_before_the_new_one_exists() {
    let world = renamed().await;
    world.fail(Method::PUT, "/A/new", 403, "AuthorizationFailed");
    world.reconcile("web").await.is(500, "failed", &[]);
    world.has(&[&named("A", "old"), &named("PTR", "old")]);
}

#[tokio::test(start_paused = true)]
async fn zones_may_be_in_another_subscription_and_resource_group() {
    let elsewhere = "11111111-1111-1111-1111-111111111111";
    let map = zones(&json!({"forwardZone": "far.internal", "reverseZones": ["10.in-addr.arpa"],
        "zoneSubscriptionId": elsewhere, "zoneResourceGroup": "rg-hub"}));
    let world = World::new(&[("ACI_DNS_ZONES", &map)]);
    for zone in ["far.internal", "10.in-addr.arpa"] {
        // A zone of the same name in the group's own resource group is another zone.
        world.azure.create_zone(elsewhere, "rg-hub", zone);
        world.azure.create_zone(SUBSCRIPTION, "rg-spoke1", zone);
    }
    world.create_at("web", 4);
    let plan = ["+ A web.far.internal 10.1.5.4", "+ PTR 4.5.1.10.in-addr.arpa web.far.internal"];
    world.reconcile("web").await.is(200, "changed", &plan);
    let place = format!("/subscriptions/{elsewhere}/resourceGroups/rg-hub/");
    let calls = world.azure.calls();
    let writes: Vec<_> = calls.iter().filter(|call| call.method == Method::PUT).collect();
    assert!(writes.len() == 2 && writes.iter().all(|call| call.path.starts_with(&place)), "{writes:#?}");
}

#[tokio::test(start_paused = true)]
async fn zones_default_to_the_container_groups_own_subscription_and_resource_group() {
    let map = zones(&json!({"forwardZone": "near.internal", "reverseZones": [], "ttl": 5}));
    let world = World::new(&[("ACI_DNS_ZONES", &map)]);
    world.azure.create_zone(SUBSCRIPTION, "rg-spoke1", "near.internal");
    world.create_at("web", 4);
    world.reconcile("web").await.is(200, "changed", &["+ A web.near.internal 10.1.5.4"]);
    world.has(&["A web.near.internal 5 10.1.5.4 owner=web"]);
}

#[tokio::test(start_paused = true)]
async fn no_reverse_zones_means_no_ptr_records_on_purpose() {
    let map = zones(&json!({"forwardZone": FORWARD, "reverseZones": [], "zoneResourceGroup": "rg-dns"}));
    let world = new_group(&[("ACI_DNS_ZONES", &map)]);
    world.reconcile("web").await.is(200, "changed", &[PLUS_A]);
    world.move_to("web", 5);
    let plan = ["~ A web.spoke1.contoso.internal 10.1.5.4 -> 10.1.5.5"];
    world.reconcile("web").await.is(200, "changed", &plan);
    world.drift("web").await.is(200, "reported", &[]);
    world.delete("web");
    let plan = ["- A web.spoke1.contoso.internal 10.1.5.5"];
    world.reconcile("web").await.is(200, "changed", &plan);
}

#[tokio::test(start_paused = true)]
async fn of_several_reverse_zones_the_longest_that_contains_the_address_is_used() {
    let map = zones(&json!({"forwardZone": FORWARD, "zoneResourceGroup": "rg-dns",
        "reverseZones": ["1.10.in-addr.arpa", "5.1.10.in-addr.arpa", "10.in-addr.arpa", "6.1.10.in-addr.arpa"]}));
    let world = new_group(&[("ACI_DNS_ZONES", &map)]);
    for zone in ["5.1.10.in-addr.arpa", "10.in-addr.arpa", "6.1.10.in-addr.arpa"] {
        world.azure.create_zone(SUBSCRIPTION, "rg-dns", zone);
    }
    world.reconcile("web").await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    assert_eq!(world.azure.record_sets("5.1.10.in-addr.arpa").len(), 2);
    world.delete("web");
    world.reconcile("web").await.is(200, "changed", &[MINUS_PTR, MINUS_A]);
}

/// A world in which a tag changed the name of `web` from `old` to `new`.
async fn renamed() -> World {
    let world = World::new(&[]);
    world.create_tagged("web", &[("aci-dns-hostname", "old")]);
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&named("A", "old"), &named("PTR", "old")]);
    world.tag("web", &[("aci-dns-hostname", "new")]);
    world.writes();
    world
}

/// A record set of `web` under another name.
fn named(kind: &str, name: &str) -> String {
    match kind {
        "A" => format!("A {name}.spoke1.contoso.internal 60 10.1.5.4 owner=web"),
        _ => format!("PTR 4.5.1.10.in-addr.arpa 60 {name}.spoke1.contoso.internal owner=web"),
    }
}

#[tokio::test(start_paused = true)]
async fn a_renaming_writes_the_new_a_then_removes_the_old_a_then_changes_the_ptr() {
    let world = renamed().await;
    let plan = [
        "+ A new.spoke1.contoso.internal 10.1.5.4",
        "- A old.spoke1.contoso.internal 10.1.5.4",
        "~ PTR 4.5.1.10.in-addr.arpa old.spoke1.contoso.internal -> new.spoke1.contoso.internal",
    ];
    world.reconcile("web").await.is(200, "changed", &plan);
    assert_eq!(world.writes(), ["PUT A new", "DELETE A old", "PUT PTR 4.5"]);
    world.has(&[&named("A", "new"), &named("PTR", "new")]);
}

#[tokio::test(start_paused = true)]
async fn an_interrupted_renaming_converges_at_the_redelivery() {
    for cut in 0..12 {
        let world = renamed().await;
        let count = std::sync::atomic::AtomicUsize::new(0);
        world.azure.set_interceptor(Box::new(move |_| {
            let count = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            (count >= cut).then_some(azure_simulator::Effect::Drop(When::Before))
        }));
        world.reconcile("web").await;
        world.azure.set_interceptor(Box::new(|_| None));
        assert_eq!(world.reconcile("web").await.status, 200, "cut off after {cut} requests");
        world.has(&[&named("A", "new"), &named("PTR", "new")]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_name_hidden_by_a_move_is_removed_with_the_group() {
    let world = renamed().await;
    world.move_to("web", 5);
    world.put("A old 60 10.1.5.4 owner=web previous=10.1.5.8@0");
    world.put("PTR 8.5 60 old.spoke1.contoso.internal owner=web");
    world.reconcile("web").await;
    // A pass cannot find it: the group is no longer at the address of its old PTR record.
    assert!(world.records().contains(&"A new.spoke1.contoso.internal 60 10.1.5.5 owner=web".to_owned()));
    world.delete("web");
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[]);
}

#[tokio::test(start_paused = true)]
async fn without_its_tag_a_group_gets_its_own_name_back() {
    let world = renamed().await;
    world.reconcile("web").await;
    world.tag("web", &[]);
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_gets_a_tag_loses_its_own_name() {
    let world = world(&[]).await;
    world.tag("web", &[("aci-dns-hostname", "front")]);
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&named("A", "front"), &named("PTR", "front")]);
}

#[tokio::test(start_paused = true)]
async fn an_old_name_of_another_owner_is_not_removed() {
    let world = renamed().await;
    world.put("A old 60 10.1.5.77 owner=api");
    assert_eq!(world.reconcile("web").await.status, 200);
    let others = "A old.spoke1.contoso.internal 60 10.1.5.77 owner=api";
    assert!(world.records().contains(&others.to_owned()), "{:#?}", world.records());
    assert!(world.records().contains(&named("A", "new")), "{:#?}", world.records());
}

#[tokio::test(start_paused = true)]
async fn the_ptr_tag_removes_a_ptr_of_ours_and_no_other() {
    let world = world(&[]).await;
    world.tag("web", &[("aci-dns-ptr", "false")]);
    world.reconcile("web").await.is(200, "changed", &[MINUS_PTR]);
    world.has(&[&a("web", 4)]);
    world.put("PTR 4.5 60 web.spoke1.contoso.internal");
    world.reconcile("web").await.is(200, "converged", &[]);
    world.tag("web", &[]);
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn the_ttl_tag_overrides_the_map() {
    let world = World::new(&[]);
    world.create_tagged("web", &[("ACI-DNS-TTL", "86400")]);
    world.reconcile("web").await;
    world.has(&[&a("web", 4).replace(" 60 ", " 86400 "), &ptr("web", 4).replace(" 60 ", " 86400 ")]);
    world.tag("web", &[]);
    world.reconcile("web").await;
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn with_the_ignore_tag_record_sets_and_marks_stay() {
    let world = world(&[]).await;
    world.tag("web", &[("aci-dns-ignore", "TRUE")]);
    for change in ["move", "stop"] {
        match change {
            "move" => world.move_to("web", 5),
            _ => world.azure.stop_group(&id("web")).unwrap(),
        }
        world.reconcile("web").await.is(200, "unmanaged", &[]);
        world.has(&[&a("web", 4), &ptr("web", 4)]);
    }
    // For another group of this name, the mark belongs to an existing group.
    world.create("rg-spoke2/web");
    world.reconcile("rg-spoke2/web").await.is(409, "conflict", &[]);
    // A deleted group has no tags.
    world.delete("web");
    world.reconcile("web").await.is(200, "changed", &[MINUS_PTR, MINUS_A]);
}

#[tokio::test(start_paused = true)]
async fn an_ignored_group_is_not_polled() {
    let world = World::new(&[]);
    world.create_as("web", |spec| {
        spec.ip = Ip::NullIp;
        spec.tags = [("aci-dns-ignore".to_owned(), "true".to_owned())].into();
    });
    let started = Instant::now();
    world.reconcile("web").await.is(200, "unmanaged", &[]);
    assert_eq!(started.elapsed().as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn observe_plans_changes_and_sends_only_gets() {
    let observing = [("ACI_DNS_POLICY", "observe")];
    let world = world(&[]).await;
    world.put("A web 300 10.1.5.4 owner=web previous=10.1.5.8@0");
    world.put("PTR 8.5 60 web.spoke1.contoso.internal owner=web");
    world.move_to("web", 5);
    let before = world.records();
    let event = world.event("web");
    let stage = world.instance(&observing);
    let done = world.done(stage.invoke("function_aci_reconcile", &event).await);
    let planned = done.list("plan").into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!((done.text("outcome"), planned.len()), ("planned", 4));
    assert_eq!(world.records(), before);
    assert_eq!(world.writes(), Vec::<String>::new());
    let done = world.reconcile("web").await;
    assert!(done.text("message").contains("web.spoke1.contoso.internal"));
}

#[tokio::test(start_paused = true)]
async fn upsert_only_never_deletes() {
    let world = world(&[("ACI_DNS_POLICY", "upsert-only")]).await;
    world.move_to("web", 5);
    world.reconcile("web").await;
    world.tag("web", &[("aci-dns-hostname", "front")]);
    world.reconcile("web").await;
    world.tag("web", &[("aci-dns-ptr", "false")]);
    world.reconcile("web").await;
    world.azure.stop_group(&id("web")).unwrap();
    world.reconcile("web").await.is(200, "converged", &[]);
    world.delete("web");
    let done = world.reconcile("web").await;
    assert!(!done.is(200, "converged", &[]).list("plan.withheld").is_empty());
    let writes = world.writes();
    assert!(writes.iter().all(|write| write.starts_with("PUT")), "{writes:#?}");
    let names: Vec<String> =
        world.records().iter().map(|set| set.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(
        names,
        [
            "front.spoke1.contoso.internal",
            "web.spoke1.contoso.internal",
            "4.5.1.10.in-addr.arpa",
            "5.5.1.10.in-addr.arpa"
        ]
    );
}
