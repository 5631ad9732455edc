//! "Drift" of docs/design.md: the drift tracker emits exactly one event per invocation.

use std::time::Duration;

use aci_dns::replay::stage::TRACK_DRIFT;
use azure_simulator::Ip;
use http::Method;

use crate::world::{World, id};

/// `web` at 10.1.5.4 with these record sets: the drift tracker's event, and its kinds.
async fn check_in(world: &World, record_sets: &[&str], event: &str, kinds: &[&str]) {
    world.create_at("web", 4);
    check_existing(world, record_sets, event, kinds).await;
}

async fn check_existing(world: &World, record_sets: &[&str], event: &str, kinds: &[&str]) {
    for record_set in record_sets {
        world.put(record_set);
    }
    let before = world.records();
    let done = world.drift("web").await;
    done.is(200, "reported", &[]);
    assert_eq!((done.text("drift.event"), done.list("drift.kinds").as_slice()), (event, kinds), "{done:#?}");
    let addresses: Vec<&str> = record_sets
        .iter()
        .filter_map(|set| set.strip_prefix("A web "))
        .flat_map(|set| set.split(' ').nth(1).unwrap().split(','))
        .collect();
    assert_eq!(done.list("dns.addresses"), addresses);
    let ptr: Vec<&str> = record_sets
        .iter()
        .filter_map(|set| set.strip_prefix("PTR 4.5 "))
        .flat_map(|set| set.split(' ').nth(1).unwrap().split(','))
        .collect();
    assert_eq!(done.list("dns.ptr"), ptr);
    assert_eq!((done.text("address"), done.text("dns.fqdn")), ("10.1.5.4", "web.spoke1.contoso.internal"));
    assert_eq!(world.records(), before);
    assert!(world.azure.calls().iter().all(|call| call.method == Method::GET));
}

async fn check(record_sets: &[&str], event: &str, kinds: &[&str]) {
    check_in(&World::new(&[]), record_sets, event, kinds).await;
}

const A: &str = "A web 60 10.1.5.4 owner=web";
const PTR: &str = "PTR 4.5 60 web.spoke1.contoso.internal owner=web";

#[tokio::test(start_paused = true)]
async fn first_seen_no_a_record_set_exists() {
    check(&[], "first_seen", &[]).await;
    check(&[PTR], "first_seen", &[]).await;
}

#[tokio::test(start_paused = true)]
async fn no_change_the_records_are_correct() {
    check(&[A, PTR], "no_change", &[]).await;
    check(&[A, "PTR 4.5 60 x.example.org,WEB.spoke1.contoso.internal. owner=web"], "no_change", &[]).await;
}

#[tokio::test(start_paused = true)]
async fn no_change_with_previous_addresses_without_a_ptr_of_ours() {
    check(&["A web 60 10.1.5.4 owner=web previous=10.1.5.8@0", PTR], "no_change", &[]).await;
    let others = "PTR 8.5 60 api.spoke1.contoso.internal owner=api";
    check(&["A web 60 10.1.5.4 owner=web previous=10.1.5.8@0", PTR, others], "no_change", &[]).await;
}

#[tokio::test(start_paused = true)]
async fn address_the_a_record_set_does_not_hold_exactly_the_live_address() {
    check(&["A web 60 10.1.5.9 owner=web", PTR], "drift_detected", &["address"]).await;
    check(&["A web 60 10.1.5.4,10.1.5.9 owner=web", PTR], "drift_detected", &["address"]).await;
}

#[tokio::test(start_paused = true)]
async fn ttl_a_record_set_has_the_wrong_ttl() {
    check(&["A web 300 10.1.5.4 owner=web", PTR], "drift_detected", &["ttl"]).await;
    check(&[A, "PTR 4.5 300 web.spoke1.contoso.internal owner=web"], "drift_detected", &["ttl"]).await;
}

#[tokio::test(start_paused = true)]
async fn ptr_missing_there_is_none_at_the_live_address() {
    check(&[A], "drift_detected", &["ptr_missing"]).await;
}

#[tokio::test(start_paused = true)]
async fn ptr_mismatch_the_ptr_at_the_live_address_names_another_host() {
    check(&[A, "PTR 4.5 60 api.spoke1.contoso.internal"], "drift_detected", &["ptr_mismatch"]).await;
}

#[tokio::test(start_paused = true)]
async fn ptr_stale_a_ptr_at_a_held_or_previous_address_names_us() {
    let stale = "PTR 8.5 60 web.spoke1.contoso.internal owner=web";
    let remembering = "A web 60 10.1.5.4 owner=web previous=10.1.5.8@0";
    check(&[remembering, PTR, stale], "drift_detected", &["ptr_stale"]).await;
    check(&["A web 60 10.1.5.8 owner=web", PTR, stale], "drift_detected", &["address", "ptr_stale"]).await;
}

#[tokio::test(start_paused = true)]
async fn foreign_the_a_record_set_belongs_to_another_existing_group() {
    let world = World::new(&[]);
    world.create("rg-spoke2/web");
    let foreign = "A web 60 10.1.6.4 owner=rg-spoke2/web";
    check_in(&world, &[foreign, PTR], "drift_detected", &["address", "foreign"]).await;
}

#[tokio::test(start_paused = true)]
async fn foreign_does_not_apply_to_the_mark_of_a_deleted_group() {
    check(&["A web 60 10.1.5.9 owner=rg-spoke2/web", PTR], "drift_detected", &["address"]).await;
}

#[tokio::test(start_paused = true)]
async fn foreign_a_record_set_was_registered_automatically() {
    check(&["A web 60 10.1.5.4 auto", PTR], "drift_detected", &["foreign"]).await;
    let vm = "PTR 4.5 60 vm.spoke1.contoso.internal auto";
    check(&[A, vm], "drift_detected", &["ptr_mismatch", "foreign"]).await;
}

#[tokio::test(start_paused = true)]
async fn foreign_in_strict_a_record_set_carries_no_mark() {
    let strict = [("ACI_DNS_OWNERSHIP", "strict")];
    let unmarked = ["A web 60 10.1.5.4", PTR];
    check_in(&World::new(&strict), &unmarked, "drift_detected", &["foreign"]).await;
    check(&unmarked, "no_change", &[]).await;
    let unmarked = [A, "PTR 4.5 60 web.spoke1.contoso.internal"];
    check_in(&World::new(&strict), &unmarked, "drift_detected", &["foreign"]).await;
}

#[tokio::test(start_paused = true)]
async fn every_kind_that_applies_is_reported() {
    let world = World::new(&[("ACI_DNS_OWNERSHIP", "strict")]);
    let record_sets = [
        "A web 300 10.1.5.9 previous=10.1.5.8@0",
        "PTR 4.5 300 api.spoke1.contoso.internal",
        "PTR 8.5 60 web.spoke1.contoso.internal owner=web",
    ];
    check_in(
        &world,
        &record_sets,
        "drift_detected",
        &["address", "ttl", "ptr_mismatch", "ptr_stale", "foreign"],
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_group_without_a_ptr_misses_none_and_has_a_stale_one() {
    let world = World::new(&[]);
    world.create_tagged("web", &[("aci-dns-ptr", "false")]);
    check_existing(&world, &[A], "no_change", &[]).await;
    check_existing(&world, &[A, PTR], "drift_detected", &["ptr_stale"]).await;
}

#[tokio::test(start_paused = true)]
async fn without_reverse_zones_ptrs_are_not_compared() {
    let zones = r#"{"rg-spoke1": {"forwardZone": "spoke1.contoso.internal", "reverseZones": [],
        "zoneResourceGroup": "rg-dns"}}"#;
    check_in(&World::new(&[("ACI_DNS_ZONES", zones)]), &[A], "no_change", &[]).await;
}

#[tokio::test(start_paused = true)]
async fn the_name_and_the_ttl_are_those_of_the_tags() {
    let world = World::new(&[]);
    world.create_tagged("web", &[("aci-dns-hostname", "front"), ("aci-dns-ttl", "7")]);
    world.reconcile("web").await;
    let done = world.drift("web").await;
    assert_eq!(
        (done.text("drift.event"), done.text("dns.fqdn")),
        ("no_change", "front.spoke1.contoso.internal")
    );
    assert_eq!(done.list("dns.ptr"), ["front.spoke1.contoso.internal"]);
}

#[tokio::test(start_paused = true)]
async fn after_a_reconciliation_nothing_drifts_and_after_a_move_it_does() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    assert_eq!(world.drift("web").await.text("drift.event"), "first_seen");
    world.reconcile("web").await;
    assert_eq!(world.drift("web").await.text("drift.event"), "no_change");
    world.move_to("web", 5);
    let done = world.drift("web").await;
    assert_eq!(done.list("drift.kinds"), ["address", "ptr_missing", "ptr_stale"]);
    assert_eq!((done.text("address"), done.list("dns.addresses")), ("10.1.5.5", vec!["10.1.5.4"]));
    world.reconcile("web").await;
    assert_eq!(world.drift("web").await.text("drift.event"), "no_change");
}

#[tokio::test(start_paused = true)]
async fn a_group_without_an_address_has_no_event_and_the_reason_is_logged() {
    type Change = fn(&World);
    let cases: [(&str, Change); 6] = [
        ("the container group does not exist", |world| world.delete("web")),
        ("being deleted", |world| {
            world.azure.configure(|settings| settings.deleting = Duration::from_mins(1));
            world.delete("web");
        }),
        ("public", |world| world.azure.set_ip(&id("web"), Ip::Public).unwrap()),
        ("without ports", |world| world.azure.set_ip(&id("web"), Ip::NoIpAddress).unwrap()),
        ("not assigned", |world| world.azure.set_ip(&id("web"), Ip::NullIp).unwrap()),
        ("stopped", |world| world.azure.stop_group(&id("web")).unwrap()),
    ];
    for (reason, change) in cases {
        let world = World::new(&[]);
        world.create_at("web", 4);
        world.reconcile("web").await;
        change(&world);
        let event = world.event_of("Microsoft.Resources.ResourceWriteSuccess", "web");
        let done = world.deliver(TRACK_DRIFT, &event).await;
        done.is(200, "unmanaged", &[]);
        assert!(done.text("message").contains(reason), "{:#}", done.line());
        assert!(done.line().get("drift.event").is_none(), "{:#}", done.line());
    }
}

#[tokio::test(start_paused = true)]
async fn a_failed_read_gives_no_verdict() {
    for (path, status, code, expected) in [
        ("containerGroups/web", 403, "AuthorizationFailed", 500),
        ("/A/web", 403, "AuthorizationFailed", 500),
        ("/PTR/4.5", 403, "AuthorizationFailed", 500),
        ("/PTR/4.5", 503, "ServiceUnavailable", 503),
    ] {
        let world = World::new(&[]);
        world.create_at("web", 4);
        world.reconcile("web").await;
        world.fail(Method::GET, path, status, code);
        let done = world.drift("web").await;
        assert_eq!(done.status, expected, "{done:#?}");
        assert!(done.line().get("drift.event").is_none(), "{:#}", done.line());
    }
}

#[tokio::test(start_paused = true)]
async fn each_event_of_an_array_is_reported_once() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    world.create_at("api", 5);
    let events = vec![world.event("web"), world.event("api"), world.event("web")];
    let done = world.deliver(TRACK_DRIFT, &events.into()).await;
    let reported = done.lines.iter().filter(|line| line["drift.event"] == "first_seen").count();
    assert_eq!((done.status, reported, done.lines.len()), (200, 3, 3));
}
