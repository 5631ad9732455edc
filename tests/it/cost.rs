//! The cost of an invocation, independent of the size of the zones: docs/performance.md. A zone contains
//! 5,000 foreign record sets, and a page of a list 1,000.

use std::sync::{Arc, Mutex};

use aci_dns::replay::stage::{RECONCILE, TRACK_DRIFT};
use http::Method;

use crate::world::{World, a, id, pass, ptr};

const OTHERS: u32 = 5000;

fn world() -> World {
    let world = World::new(&[]);
    world.add_noise(OTHERS);
    world
}

#[track_caller]
fn check(cost: &(String, u128), calls: &str, round_trips: u128) {
    assert_eq!((cost.0.as_str(), cost.1), (calls, round_trips));
}

#[tokio::test(start_paused = true)]
async fn nothing_to_do() {
    let world = world();
    world.create_at("web", 4);
    world.reconcile("web").await;
    check(&world.cost(RECONCILE, "web").await, "3 GET", 2);
}

#[tokio::test(start_paused = true)]
async fn an_invocation_without_changes_costs_one_get_per_previous_address() {
    let world = world();
    world.create_at("web", 4);
    world.reconcile("web").await;
    for moves in 1..=5_u8 {
        world.move_to("web", 4 + moves);
        world.reconcile("web").await;
        check(&world.cost(RECONCILE, "web").await, &format!("{} GET", 3 + moves), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn new_group() {
    let world = world();
    world.create_at("web", 4);
    check(&world.cost(RECONCILE, "web").await, "5 GET + 2 PUT", 4);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn address_moved() {
    let world = world();
    world.create_at("web", 4);
    world.reconcile("web").await;
    world.move_to("web", 5);
    check(&world.cost(RECONCILE, "web").await, "6 GET + 2 PUT + 1 DELETE", 4);
    world.has(&[&format!("{} previous=10.1.5.4@0", a("web", 5)), &ptr("web", 5)]);
}

/// The round trip after which each of the two record sets is correct.
async fn check_when_right(world: &World, last: u8) {
    let seen = Arc::new(Mutex::new([None, None]));
    let (sink, base) = (Arc::clone(&seen), world.azure.elapsed());
    world.azure.on_change(move |view| {
        let is_right = |zone, kind: &str, value: &str| {
            let sets = view.record_sets(zone);
            sets.iter().any(|set| {
                set.record_type == kind
                    && set.values == [value]
                    && (kind == "A" || set.name == format!("{last}.5"))
            })
        };
        let round_trip = view.elapsed().saturating_sub(base).as_millis() / 10 + 1;
        let mut seen = sink.lock().unwrap();
        if is_right("spoke1.contoso.internal", "A", &format!("10.1.5.{last}")) {
            seen[0].get_or_insert(round_trip);
        }
        if is_right("1.10.in-addr.arpa", "PTR", "web.spoke1.contoso.internal") {
            seen[1].get_or_insert(round_trip);
        }
    });
    world.cost(RECONCILE, "web").await;
    assert_eq!(*seen.lock().unwrap(), [Some(2), Some(3)]);
}

#[tokio::test(start_paused = true)]
async fn a_new_group_is_named_after_two_round_trips_and_reverse_named_after_three() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    check_when_right(&world, 4).await;
}

#[tokio::test(start_paused = true)]
async fn a_moved_group_is_named_after_two_round_trips_and_reverse_named_after_three() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    world.reconcile("web").await;
    world.move_to("web", 5);
    check_when_right(&world, 5).await;
}

#[tokio::test(start_paused = true)]
async fn forgetting_once_five_minutes_after_a_move() {
    let world = world();
    world.create_at("web", 4);
    world.reconcile("web").await;
    world.move_to("web", 5);
    world.reconcile("web").await;
    pass(300).await;
    check(&world.cost(RECONCILE, "web").await, "6 GET + 1 PUT", 4);
    world.has(&[&a("web", 5), &ptr("web", 5)]);
    check(&world.cost(RECONCILE, "web").await, "3 GET", 2);
}

#[tokio::test(start_paused = true)]
async fn stopped() {
    let world = world();
    world.create_at("web", 4);
    world.reconcile("web").await;
    world.azure.stop_group(&id("web")).unwrap();
    check(&world.cost(RECONCILE, "web").await, "6 GET + 1 PUT + 1 DELETE", 4);
}

#[tokio::test(start_paused = true)]
async fn deleted_and_nothing_left() {
    let small = World::new(&[]);
    check(&small.cost(RECONCILE, "web").await, "2 GET + 2 LIST", 3);
    let large = world();
    // One after the other: five pages of each zone instead of one.
    check(&large.cost(RECONCILE, "web").await, "2 GET + 10 LIST", 3 + 4 + 4);
}

#[tokio::test(start_paused = true)]
async fn gone() {
    let small = World::new(&[]);
    small.create_at("web", 4);
    small.reconcile("web").await;
    small.delete("web");
    check(&small.cost(RECONCILE, "web").await, "5 GET + 1 LIST + 2 DELETE", 4);
    small.has(&[]);
    let large = world();
    large.create_at("web", 4);
    large.reconcile("web").await;
    large.delete("web");
    // 5,001 PTR record sets are six pages.
    check(&large.cost(RECONCILE, "web").await, "5 GET + 6 LIST + 2 DELETE", 4);
    large.has(&[]);
}

#[tokio::test(start_paused = true)]
async fn the_reverse_zones_are_listed_in_parallel() {
    let zones = r#"{"rg-spoke1": {"forwardZone": "spoke1.contoso.internal",
        "reverseZones": ["1.10.in-addr.arpa", "2.10.in-addr.arpa"], "zoneResourceGroup": "rg-dns"}}"#;
    let world = World::new(&[("ACI_DNS_ZONES", zones)]);
    world.azure.create_zone(crate::world::SUBSCRIPTION, "rg-dns", "2.10.in-addr.arpa");
    check(&world.cost(RECONCILE, "web").await, "2 GET + 3 LIST", 3);
}

#[tokio::test(start_paused = true)]
async fn without_reverse_zones_a_deleted_group_costs_one_list_of_the_forward_zone() {
    let zones = r#"{"rg-spoke1": {"forwardZone": "spoke1.contoso.internal", "reverseZones": [],
        "zoneResourceGroup": "rg-dns"}}"#;
    let world = World::new(&[("ACI_DNS_ZONES", zones)]);
    world.create_at("web", 4);
    check(&world.cost(RECONCILE, "web").await, "4 GET + 1 PUT", 3);
    world.delete("web");
    check(&world.cost(RECONCILE, "web").await, "4 GET + 1 LIST + 1 DELETE", 3);
    world.has(&[]);
}

#[tokio::test(start_paused = true)]
async fn the_log_line_counts_every_request_and_retry() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    let throttled = azure_simulator::FaultAnswer::new(429, "TooManyRequests").retry_after(1);
    world.fail_times(Method::PUT, "/A/web", 2, throttled);
    let done = world.reconcile("web").await;
    assert_eq!((done.line()["arm.calls"].as_u64(), world.azure.calls().len()), (Some(9), 9));
}

#[tokio::test(start_paused = true)]
async fn the_drift_tracker_costs_three_gets_and_one_more_per_previous_address() {
    let world = world();
    world.create_at("web", 4);
    check(&world.cost(TRACK_DRIFT, "web").await, "3 GET", 2);
    world.reconcile("web").await;
    check(&world.cost(TRACK_DRIFT, "web").await, "3 GET", 2);
    world.move_to("web", 5);
    check(&world.cost(TRACK_DRIFT, "web").await, "4 GET", 2);
    world.reconcile("web").await;
    check(&world.cost(TRACK_DRIFT, "web").await, "4 GET", 2);
}

#[tokio::test(start_paused = true)]
async fn the_drift_tracker_sends_gets_only() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    world.put("A web 300 10.1.5.9 previous=10.1.5.8@0");
    for record_set in ["PTR 4.5 60 api.spoke1.contoso.internal", "PTR 8.5 60 web.spoke1.contoso.internal"] {
        world.put(record_set);
    }
    let before = world.records();
    world.drift("web").await.is(200, "reported", &[]);
    world.delete("web");
    let event = world.event_of("Microsoft.Resources.ResourceWriteSuccess", "web");
    world.deliver(TRACK_DRIFT, &event).await.is(200, "unmanaged", &[]);
    assert_eq!(world.records(), before);
    let calls = world.azure.calls();
    assert!(calls.len() >= 6 && calls.iter().all(|call| call.method == Method::GET), "{calls:#?}");
}

#[tokio::test(start_paused = true)]
async fn a_delete_event_costs_the_drift_tracker_no_request() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    for event_type in
        ["Microsoft.Resources.ResourceDeleteSuccess", "Microsoft.ResourceNotifications.Resources.Deleted"]
    {
        let event = world.event_of(event_type, "web");
        world.deliver(TRACK_DRIFT, &event).await.is(200, "ignored", &[]);
    }
    assert_eq!(world.calls(), "");
}

#[tokio::test(start_paused = true)]
async fn ignored_events_cost_no_request() {
    let world = World::new(&[]);
    let event = world.event("rg-elsewhere/web");
    world.deliver(RECONCILE, &event).await.is(200, "unmanaged", &[]);
    let mut event = world.event("web");
    event["subject"] = format!("{}/providers/Microsoft.Insights/diagnosticSettings/x", id("web")).into();
    world.deliver(RECONCILE, &event).await.is(200, "ignored", &[]);
    assert_eq!(world.calls(), "");
}
