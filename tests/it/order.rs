//! "Order of writes" and the following headings of docs/design.md, sentence by sentence.

mod names;
mod races;
mod removal;
mod verification;
mod waiting;

use std::time::Duration;

use azure_simulator::{FaultAnswer, Ip, When};
use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::world::{FORWARD, SUBSCRIPTION, World, a, address, id, pass, ptr, put};

const PLUS_A: &str = "+ A web.spoke1.contoso.internal 10.1.5.4";
const PLUS_PTR: &str = "+ PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal";
const MINUS_A: &str = "- A web.spoke1.contoso.internal 10.1.5.4";
const MINUS_PTR: &str = "- PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal";

/// A world in which `web` is at 10.1.5.4 and was not reconciled yet.
fn new_group(settings: &[(&str, &str)]) -> World {
    let world = World::new(settings);
    world.create_at("web", 4);
    world
}

/// A world in which `web` was reconciled at 10.1.5.4.
async fn world(settings: &[(&str, &str)]) -> World {
    let world = new_group(settings);
    assert_eq!(world.reconcile("web").await.status, 200);
    world.writes();
    world
}

/// The map with other zones instead of the usual ones.
fn zones(of_group: &Value) -> String {
    json!({"rg-spoke1": of_group}).to_string()
}

#[tokio::test(start_paused = true)]
async fn a_new_group_is_one_put_per_record_set_the_a_record_set_first() {
    let world = new_group(&[]);
    world.reconcile("web").await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    assert_eq!(world.writes(), ["PUT A web", "PUT PTR 4.5"]);
}

#[tokio::test(start_paused = true)]
async fn a_move_writes_a_first_and_then_both_ptrs_together() {
    let world = world(&[]).await;
    world.move_to("web", 5);
    assert_eq!(world.reconcile("web").await.status, 200);
    let mut writes = world.writes();
    assert_eq!(writes.remove(0), "PUT A web");
    writes.sort();
    assert_eq!(writes, ["DELETE PTR 4.5", "PUT PTR 5.5"]);
}

#[tokio::test(start_paused = true)]
async fn the_name_of_an_existing_group_is_never_absent() {
    let world = world(&[]).await;
    world.azure.on_change(|view| {
        let sets = view.record_sets(FORWARD);
        let web = sets.iter().find(|set| set.record_type == "A" && set.name == "web");
        assert!(web.is_some_and(|set| set.values.len() == 1), "{sets:#?}");
    });
    for last in 5..9 {
        world.move_to("web", last);
        assert_eq!(world.reconcile("web").await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn when_a_cannot_be_written_no_ptr_is() {
    for (status, code, answered) in [(403, "AuthorizationFailed", 500), (429, "TooManyRequests", 503)] {
        let world = new_group(&[]);
        world.fail(Method::PUT, "/A/web", status, code);
        assert_eq!(world.reconcile("web").await.status, answered);
        assert!(world.writes().iter().all(|write| write == "PUT A web"));
        world.has(&[]);
    }
}

#[tokio::test(start_paused = true)]
async fn when_a_cannot_be_written_after_a_move_the_old_ptr_stays() {
    let world = world(&[]).await;
    world.move_to("web", 5);
    world.fail(Method::PUT, "/A/web", 403, "AuthorizationFailed");
    world.reconcile("web").await.is(500, "failed", &[]);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn with_a_missing_reverse_zone_a_is_corrected_and_the_invocation_fails() {
    let world = new_group(&[]);
    world.azure.delete_zone("1.10.in-addr.arpa").unwrap();
    world.reconcile("web").await.is(500, "failed", &[PLUS_A]).because("1.10.in-addr.arpa");
    world.has(&[&a("web", 4)]);
    world.reconcile("web").await.is(500, "failed", &[]);
}

#[tokio::test(start_paused = true)]
async fn with_a_broken_reverse_zone_a_is_corrected_and_the_invocation_fails() {
    for method in [Method::GET, Method::PUT] {
        let world = new_group(&[]);
        world.fail(method, "/PTR/4.5", 403, "AuthorizationFailed");
        world.reconcile("web").await.is(500, "failed", &[PLUS_A]);
        world.has(&[&a("web", 4)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_broken_reverse_zone_does_not_affect_ptrs_of_another() {
    let map = zones(&json!({"forwardZone": FORWARD, "zoneResourceGroup": "rg-dns",
        "reverseZones": ["1.10.in-addr.arpa", "2.10.in-addr.arpa"]}));
    let world = World::new(&[("ACI_DNS_ZONES", &map)]);
    world.create_at("web", 5);
    world.put("A web 60 10.2.5.4 owner=web");
    world.reconcile("web").await.is(
        500,
        "failed",
        &[
            "~ A web.spoke1.contoso.internal 10.2.5.4 -> 10.1.5.5 (remember 10.2.5.4)",
            "+ PTR 5.5.1.10.in-addr.arpa web.spoke1.contoso.internal",
        ],
    );
    world.has(&[&format!("{} previous=10.2.5.4@0", a("web", 5)), &ptr("web", 5)]);
}

#[tokio::test(start_paused = true)]
async fn without_a_reverse_zone_for_the_address_a_is_written_and_the_invocation_fails_each_time() {
    let world = World::new(&[]);
    world.create_as("web", |spec| spec.ip = Ip::Fixed("10.9.5.4".parse().unwrap()));
    for plan in [vec!["+ A web.spoke1.contoso.internal 10.9.5.4"], vec![]] {
        world.reconcile("web").await.is(500, "failed", &plan).because("aci-dns-ptr=false");
    }
    world.tag("web", &[("aci-dns-ptr", "false")]);
    world.reconcile("web").await.is(200, "converged", &[]);
}

#[tokio::test(start_paused = true)]
async fn with_a_missing_forward_zone_the_invocation_fails_and_writes_nothing() {
    let world = world(&[]).await;
    world.azure.delete_zone(FORWARD).unwrap();
    world.reconcile("web").await.is(500, "failed", &[]);
    world.delete("web");
    world.reconcile("web").await.is(500, "failed", &[]);
    assert_eq!(world.writes(), Vec::<String>::new());
}
