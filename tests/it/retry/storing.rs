//! What is stored before an event is acknowledged.

use std::time::Duration;

use aci_dns::{
    decide::report::MessageKind,
    reconcile::ReconcilerMetrics,
    replay::stage::{RECONCILE, TRACK_DRIFT},
};
use azure_simulator::{Effect, Fault, FaultAnswer, Gate, When};
use http::Method;
use serde_json::json;
use tokio::time::Instant;

use super::{GET, PLUS_A, POST, Stored, count, fail_reads, kinds, message, only, retry, stored, world};
use crate::world::{QUEUE, World, a, pass, ptr};

#[tokio::test(start_paused = true)]
async fn an_unavailable_event_is_acknowledged_once_its_message_is_stored() {
    let world = world();
    world.create_at("web", 4);
    world.fail_times(GET, "/A/web", 1, FaultAnswer::new(503, "ServiceUnavailable").retry_after(30));
    let event = world.event("web");
    let done = world.deliver(RECONCILE, &event).await;
    done.is(200, "deferred", &[]).because("ServiceUnavailable");
    assert_eq!(done.line()["level"], "warn");
    assert!(done.text("reason").starts_with("unavailable: "), "{}", done.text("reason"));
    assert!(done.text("message").ends_with("; tried again in 30 s"), "{}", done.text("message"));
    let expected = json!({"version": 1, "event": event, "since": "2026-01-01T00:00:00Z", "attempt": 1,
        "recheck": false, "rechecks": 0});
    // As late as Azure asks for.
    assert_eq!(only(&world), Stored { content: expected, delay: 30 });
}

#[tokio::test(start_paused = true)]
async fn a_message_is_base64_of_json_and_is_put_with_its_delay_and_without_expiry() {
    let world = world();
    world.create_at("web", 4);
    fail_reads(&world, 1);
    world.reconcile("web").await.is(200, "deferred", &[]);
    let calls = world.azure.queue_calls();
    let [call] = calls.as_slice() else { panic!("{calls:#?}") };
    assert_eq!(call.method, POST);
    assert!(call.path.ends_with(&format!("/{QUEUE}/messages")), "{}", call.path);
    assert_eq!(world.azure.messages(QUEUE).unwrap()[0].expires, None);
    only(&world);
}

#[tokio::test(start_paused = true)]
async fn the_first_delay_is_15_seconds_with_20_percent_jitter() {
    let world = world();
    world.create_as("web", |spec| spec.provisioning = Duration::from_mins(30));
    let mut delays = vec![];
    for _ in 0..20 {
        world.reconcile("web").await.is(200, "deferred", &[]);
        delays.push(stored(&world).pop().unwrap().delay);
    }
    assert!(delays.iter().all(|delay| (15..=18).contains(delay)), "{delays:?}");
    assert!(delays.iter().min() < delays.iter().max(), "{delays:?}");
}

#[tokio::test(start_paused = true)]
async fn what_needs_a_person_is_stored_for_30_seconds_and_said_as_an_error() {
    let world = World::with_queue(&[("ACI_DNS_OWNERSHIP", "strict")]);
    world.create_at("web", 4);
    world.put("A web 60 10.9.9.9");
    world.create_tagged("api", &[("aci-dns-ttl", "soon")]);
    for (name, outcome) in [("web", "conflict: "), ("api", "failed: ")] {
        let done = world.reconcile(name).await;
        done.is(200, "deferred", &[]);
        assert_eq!(done.line()["level"], "error");
        assert!(done.text("reason").starts_with(outcome), "{}", done.text("reason"));
    }
    let all = stored(&world);
    assert_eq!(all.iter().map(|stored| stored.delay).collect::<Vec<_>>(), [30, 30]);
    assert!(all.iter().all(|stored| stored.content["attempt"] == 1));
}

#[tokio::test(start_paused = true)]
async fn a_malformed_event_is_stored_as_a_text() {
    let world = world();
    let event = json!({"id": "event-9", "eventType": "Microsoft.Resources.ResourceWriteSuccess"});
    let done = world.deliver(RECONCILE, &event).await;
    done.is(200, "deferred", &[]).because("no subject");
    assert_eq!(done.line()["level"], "error");
    assert!(done.text("reason").starts_with("malformed: "), "{}", done.text("reason"));
    let Stored { content, delay } = only(&world);
    assert_eq!((content["event"].as_str().unwrap(), delay), (event.to_string().as_str(), 30));
    // Of a text that is no event, the first 8 KiB.
    let world = self::world();
    world.deliver(RECONCILE, &json!("x".repeat(10_000))).await.is(200, "deferred", &[]);
    assert_eq!(only(&world).content["event"].as_str().unwrap().len(), 8192);
}

#[tokio::test(start_paused = true)]
async fn of_an_array_there_is_one_message_for_each_unfinished_group_and_malformed_event() {
    let world = world();
    world.create_at("web", 4);
    world.create_at("api", 5);
    world.create_at("db", 6);
    fail_reads(&world, u64::MAX);
    world.fail_times(GET, "/A/api", u64::MAX, FaultAnswer::new(503, "ServiceUnavailable").retry_after(60));
    let delete = world.event_of("Microsoft.Resources.ResourceDeleteSuccess", "web");
    let events = json!([
        world.event("web"),
        world.event("api"),
        delete,
        world.event("db"),
        world.event("web"),
        1,
        "no event",
    ]);
    let done = world.deliver(RECONCILE, &events).await;
    assert_eq!(done.status, 200);
    let id = |stored: Stored| {
        let event = &stored.content["event"];
        event["id"].as_str().map_or(event.to_string(), str::to_owned)
    };
    let mut ids: Vec<_> = stored(&world).into_iter().map(id).collect();
    ids.sort_unstable();
    // Of those of `web`, the one with the strongest evidence.
    assert_eq!(ids, ["\"1\"", "\"no event\"", "event-1", "event-3"]);
    assert_eq!(delete["id"], "event-1");
}

#[tokio::test(start_paused = true)]
async fn of_events_that_share_a_pass_one_message_is_enough_that_of_the_strongest_evidence() {
    let world = world();
    world.create_at("web", 4);
    let gate = Gate::new();
    let answer = FaultAnswer::new(503, "ServiceUnavailable").retry_after(60);
    let effect =
        Effect::All(vec![Effect::Hold(When::Before, gate.clone()), Effect::Answer(When::Before, answer)]);
    let fault = Fault::once(GET, "/containerGroups/web", effect);
    world.azure.inject(Fault { times: u64::MAX, ..fault });
    let first = world.start(&world.stage, "web");
    pass(1).await;
    let second = world.start(&world.stage, "web");
    world.delete("web");
    let third = world.start(&world.stage, "web");
    pass(1).await;
    world.create_at("web", 4);
    let fourth = world.start(&world.stage, "web");
    pass(1).await;
    gate.release();
    for delivery in [first, second, third, fourth] {
        assert_eq!(delivery.await.unwrap().status, 200);
    }
    let types: Vec<_> =
        stored(&world).into_iter().map(|stored| stored.content["event"]["id"].clone()).collect();
    assert_eq!(types, ["event-1", "event-3"], "one for each pass");
}

#[tokio::test(start_paused = true)]
async fn invocations_that_share_a_pass_store_one_recheck() {
    let world = World::with_queue(&[]);
    world.create_at("web", 4);
    let starts = (0..5).map(|_| world.start(&world.stage, "web")).collect::<Vec<_>>();
    for delivery in starts {
        assert_eq!(delivery.await.unwrap().status, 200);
    }
    let all = kinds(&world);
    assert!((1..=2).contains(&all.len()), "{all:?}");
}

#[tokio::test(start_paused = true)]
async fn the_last_two_seconds_of_the_deadline_are_reserved_for_storing() {
    let world = World::with_queue(&[("ACI_DNS_ADDRESS_WAIT_SECONDS", "19")]);
    world.create_as("web", |spec| spec.provisioning = Duration::from_mins(10));
    // Storing takes its time.
    let slow = Effect::Delay(When::Before, Duration::from_millis(1500));
    world.azure.inject(Fault { times: u64::MAX, ..Fault::once(POST, "/messages", slow) });
    let started = Instant::now();
    world.reconcile("web").await.is(200, "deferred", &[]);
    assert!((18..20).contains(&started.elapsed().as_secs()), "{:?}", started.elapsed());
    assert_eq!(count(&world, QUEUE), 1);
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_is_known_to_be_throttled_is_not_tried() {
    let world = world();
    world.create_at("web", 4);
    world.create_at("api", 5);
    world.create_at("db", 6);
    world.fail_times(GET, "/A/web", 1, FaultAnswer::new(429, "TooManyRequests").retry_after(40));
    world.reconcile("web").await.is(200, "deferred", &[]);
    world.calls();
    let done = world.reconcile("api").await;
    done.is(200, "deferred", &[]).because("throttles");
    assert_eq!(done.line()["arm.calls"], 0);
    retry(&world, &message(&world, "db", &json!({}))).await.is(200, "deferred", &[]);
    assert_eq!(world.calls(), "");
    // At least the rest of the throttle, and spread over those that wait for it.
    let delays: Vec<_> = stored(&world).into_iter().map(|stored| stored.delay).collect();
    assert_eq!(delays, [40, 41, 42]);
    pass(40).await;
    world.reconcile("api").await.is(
        200,
        "changed",
        &[
            "+ A api.spoke1.contoso.internal 10.1.5.5",
            "+ PTR 5.5.1.10.in-addr.arpa api.spoke1.contoso.internal",
        ],
    );
}

#[tokio::test(start_paused = true)]
async fn a_group_of_a_throttled_zone_has_one_message_at_a_time() {
    let world = world();
    world.create_at("web", 4);
    world.fail_times(GET, "/A/web", 1, FaultAnswer::new(429, "TooManyRequests").retry_after(40));
    for _ in 0..5 {
        world.reconcile("web").await.is(200, "deferred", &[]);
    }
    assert_eq!(only(&world).content["event"]["id"], "event-1");
    // An event that proves more has a message of its own.
    let delete = world.event_of("Microsoft.Resources.ResourceDeleteSuccess", "web");
    world.deliver(RECONCILE, &delete).await.is(200, "deferred", &[]);
    assert_eq!(stored(&world)[1].content["event"], delete);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_comes_early_does_not_stand_for_its_own_successor() {
    let world = world();
    world.create_at("web", 4);
    world.fail_times(GET, "/A/web", 1, FaultAnswer::new(429, "TooManyRequests").retry_after(40));
    world.reconcile("web").await.is(200, "deferred", &[]);
    // The host deletes it once the retry is acknowledged.
    let early = only(&world).content;
    let messages = world.azure.messages(QUEUE).unwrap();
    world.azure.remove_message(QUEUE, &messages[0].id);
    retry(&world, &early).await.is(200, "deferred", &[]);
    assert_eq!(only(&world).content["attempt"], 2);
}

#[tokio::test(start_paused = true)]
async fn a_group_of_another_zone_is_served_meanwhile() {
    let map = json!({
        "rg-spoke1": {"forwardZone": "spoke1.contoso.internal", "reverseZones": [], "zoneResourceGroup": "rg-dns"},
        "rg-spoke2": {"forwardZone": "other.contoso.internal", "reverseZones": [], "zoneResourceGroup": "rg-dns"},
    })
    .to_string();
    let world = World::with_queue(&[("ACI_DNS_ZONES", &map), ("ACI_DNS_MAX_CONCURRENCY", "1")]);
    world.azure.create_zone(crate::world::SUBSCRIPTION, "rg-dns", "other.contoso.internal");
    world.create_at("web", 4);
    world.create("rg-spoke2/api");
    world.fail_times(GET, "/A/web", 1, FaultAnswer::new(429, "TooManyRequests").retry_after(40));
    world.reconcile("web").await.is(200, "deferred", &[]);
    let started = Instant::now();
    assert_eq!(world.reconcile("rg-spoke2/api").await.line()["outcome"], "changed");
    assert!(started.elapsed() < Duration::from_secs(1));
}

#[tokio::test(start_paused = true)]
async fn the_queue_is_created_once_where_it_does_not_exist() {
    let world = world();
    world.azure.delete_queue(QUEUE);
    world.create_at("web", 4);
    fail_reads(&world, 1);
    world.reconcile("web").await.is(200, "deferred", &[]);
    let methods: Vec<_> = world.azure.queue_calls().into_iter().map(|call| call.method).collect();
    assert_eq!(methods, [POST, Method::PUT, POST]);
    only(&world);
}

#[tokio::test(start_paused = true)]
async fn a_message_of_more_than_48_kib_carries_what_is_read_of_its_event() {
    let world = world();
    world.create_at("web", 4);
    fail_reads(&world, 1);
    let mut event = world.event("web");
    event["data"]["padding"] = "x".repeat(60_000).into();
    world.deliver(RECONCILE, &event).await.is(200, "deferred", &[]);
    let stored = only(&world).content["event"].clone();
    assert_eq!(stored["id"], event["id"]);
    assert!(stored.to_string().len() < 1000);
    let (_, _running) = super::start(&world);
    pass(70).await;
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn only_the_reconciler_stores() {
    let world = World::with_queue(&[]);
    world.create_at("web", 4);
    world.fail_times(GET, "/A/web", 1, FaultAnswer::new(503, "ServiceUnavailable").retry_after(60));
    world.drift("web").await.is(503, "unavailable", &[]);
    world.drift("web").await.is(200, "reported", &[]);
    world.deliver(TRACK_DRIFT, &json!("not an event")).await.is(400, "malformed", &[]);
    assert_eq!(stored(&world), []);
    world.reconcile("web").await.is(200, "changed", &[PLUS_A, super::PLUS_PTR]);
    assert_eq!(count(&world, QUEUE), 1);
}

#[tokio::test(start_paused = true)]
async fn the_metrics_say_what_was_stored_and_how_old_unfinished_work_is() {
    let world = World::with_queue(&[]);
    world.create_at("web", 4);
    world.create_tagged("api", &[("aci-dns-ttl", "soon")]);
    world.fail_times(GET, "/A/web", 1, FaultAnswer::new(429, "TooManyRequests").retry_after(40));
    let metrics = || world.stage.functions.reconciler.metrics();
    assert_eq!(metrics(), ReconcilerMetrics::default());
    world.reconcile("web").await.is(200, "deferred", &[]);
    pass(30).await;
    assert_eq!(metrics().retry.oldest, Some(Duration::from_secs(30)));
    assert_eq!(metrics().throttled_places, 1);
    pass(15).await;
    world.reconcile("web").await;
    world.reconcile("api").await;
    assert_eq!((metrics().retry.oldest, metrics().throttled_places), (None, 0));
    let stored = [MessageKind::Unavailable, MessageKind::Failed, MessageKind::Recheck].map(|kind| (kind, 1));
    assert_eq!(metrics().retry.stored, stored.into());
}
