//! Work that Azure throttles for longer than an event can wait is retried without an event.

use std::time::Duration;

use aci_dns::simulator::FaultAnswer;
use http::Method;
use serde_json::Value;

use crate::world::{World, a, id, pass, ptr};

const PLUS_A: &str = "+ A web.spoke1.contoso.internal 10.1.5.4";
const PLUS_PTR: &str = "+ PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal";

/// A world in which `web` is new, and one request of its next event is throttled.
async fn throttled(method: Method, path: &str, settings: &[(&str, &str)]) -> World {
    let world = World::new(settings);
    world.create_at("web", 4);
    world.fail_times(method, path, 1, FaultAnswer::new(429, "TooManyRequests").retry_after(40));
    world.reconcile("web").await.is(503, "unavailable", &[]);
    world.calls();
    world
}

#[tokio::test(start_paused = true)]
async fn a_retry_writes_after_the_throttle_and_is_logged() {
    let world = throttled(Method::GET, "/A/web", &[]).await;
    pass(38).await;
    world.has(&[]);
    assert_eq!(world.take_lines(), Vec::<Value>::new());
    pass(5).await;
    world.has(&[&a("web", 4), &ptr("web", 4)]);
    let lines = world.take_lines();
    let [line] = lines.as_slice() else { panic!("{lines:#?}") };
    assert_eq!(line["function.name"], "function_aci_reconcile");
    assert_eq!((&line["event.id"], &line["invocation.id"]), (&Value::Null, &Value::Null));
    assert_eq!(line["container_group.id"], id("web"));
    assert_eq!(line["outcome"], "changed");
    assert_eq!(line["plan"], serde_json::json!([PLUS_A, PLUS_PTR]));
    // The retry runs once and acknowledges nothing: a redelivered event is reconciled again.
    world.writes();
    pass(1000).await;
    assert_eq!((world.writes(), world.take_lines()), (vec![], vec![]));
    world.reconcile("web").await.is(200, "converged", &[]);
}

#[tokio::test(start_paused = true)]
async fn a_retry_completes_a_partial_write() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    let answer = FaultAnswer::new(429, "TooManyRequests").retry_after(40);
    world.fail_times(Method::PUT, "/PTR/4.5", 1, answer);
    world.reconcile("web").await.is(503, "unavailable", &[PLUS_A]);
    pass(43).await;
    world.has(&[&a("web", 4), &ptr("web", 4)]);
    assert_eq!(world.take_lines()[0]["plan"], serde_json::json!([PLUS_PTR]));
}

#[tokio::test(start_paused = true)]
async fn an_earlier_event_replaces_the_retry() {
    let world = throttled(Method::GET, "/A/web", &[]).await;
    pass(35).await;
    world.reconcile("web").await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    pass(1000).await;
    assert_eq!(world.take_lines(), Vec::<Value>::new());
}

#[tokio::test(start_paused = true)]
async fn a_retry_is_repeated_until_it_expires() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    let answer = FaultAnswer::new(429, "TooManyRequests").retry_after(60);
    world.fail_times(Method::GET, "/A/web", 1000, answer);
    world.reconcile("web").await.is(503, "unavailable", &[]);
    pass(3600).await;
    let lines = world.take_lines();
    assert!((10..20).contains(&lines.len()), "{}", lines.len());
    assert!(
        lines.iter().all(|line| line["outcome"] == "unavailable" && line["level"] == "warn"),
        "{lines:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn other_failures_are_left_to_event_grid() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    world.fail_times(Method::GET, "/A/web", 100, FaultAnswer::new(503, "ServiceUnavailable"));
    world.reconcile("web").await.is(503, "unavailable", &[]);
    pass(1000).await;
    assert_eq!(world.take_lines(), Vec::<Value>::new());
    world.has(&[]);
}

#[tokio::test(start_paused = true)]
async fn observe_mode_does_not_retry() {
    let world = throttled(Method::GET, "/A/web", &[("ACI_DNS_POLICY", "observe")]).await;
    pass(1000).await;
    assert_eq!(world.take_lines(), Vec::<Value>::new());
    assert_eq!(world.calls(), "");
}

/// An event does not wait for retries, even with few slots.
#[tokio::test(start_paused = true)]
async fn retries_do_not_delay_events_of_other_groups() {
    let world = throttled(Method::GET, "/A/web", &[("ACI_DNS_MAX_CONCURRENCY", "1")]).await;
    world.create_at("api", 5);
    pass(40).await;
    let started = tokio::time::Instant::now();
    assert_eq!(world.reconcile("api").await.status, 200);
    assert!(started.elapsed() < Duration::from_secs(5));
}
