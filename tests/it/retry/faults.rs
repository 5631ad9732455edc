//! Faults of the queue: nothing is acknowledged before its work is safe, and nothing is stored twice for one delivery,
//! except where the answer of the queue was lost.

use std::time::Duration;

use azure_simulator::{Effect, Fault, FaultAnswer, When, queue_scope};
use serde_json::json;
use tokio::time::Instant;

use super::{GET, PLUS_A, PLUS_PTR, POST, count, fail_reads, message, outcomes, retry, start, stored, world};
use crate::world::{POISON, QUEUE, World, a, pass, ptr};

/// A world in which the event of `web` cannot be finished.
fn unfinished() -> World {
    let world = world();
    world.create_at("web", 4);
    fail_reads(&world, u64::MAX);
    world
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_stored_keeps_its_status_and_names_both_errors() {
    for (status, code, expected) in [
        (403, "AuthorizationPermissionMismatch", "needs the role Storage Queue Data Contributor"),
        (403, "AuthorizationFailure", "network rules of the storage account"),
        (404, "ResourceNotFound", "does not exist"),
        (500, "InternalError", "status 500"),
        (503, "ServerBusy", "status 503"),
    ] {
        let world = unfinished();
        world.fail(POST, "/messages", status, code);
        let started = Instant::now();
        let done = world.reconcile("web").await;
        done.is(503, "unavailable", &[]).because("ServiceUnavailable").because(expected);
        assert!(started.elapsed() < Duration::from_secs(20));
        assert_eq!(stored(&world), []);
        world.create_tagged("api", &[("aci-dns-ttl", "soon")]);
        world.reconcile("api").await.is(500, "failed", &[]).because("aci-dns-ttl").because(code);
    }
}

#[tokio::test(start_paused = true)]
async fn what_passes_at_the_queue_is_tried_again_and_stored_once() {
    for status in [408, 429, 500, 503] {
        let world = unfinished();
        world.fail_times(POST, "/messages", 3, FaultAnswer::new(status, "ServerBusy"));
        world.reconcile("web").await.is(200, "deferred", &[]);
        assert_eq!(count(&world, QUEUE), 1, "{status}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_does_not_answer_costs_no_more_than_the_deadline() {
    let world = unfinished();
    let slow = Effect::Delay(When::Before, Duration::from_mins(5));
    world.azure.inject(Fault { times: u64::MAX, ..Fault::once(POST, "/messages", slow) });
    let started = Instant::now();
    world.reconcile("web").await.is(503, "unavailable", &[]).because("not stored in the retry queue");
    assert!(started.elapsed() <= Duration::from_secs(20), "{:?}", started.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_slow_queue_is_waited_for() {
    let world = unfinished();
    let slow = Effect::Delay(When::Before, Duration::from_secs(8));
    world.azure.inject(Fault::once(POST, "/messages", slow));
    world.reconcile("web").await.is(200, "deferred", &[]);
    assert_eq!(count(&world, QUEUE), 1);
}

#[tokio::test(start_paused = true)]
async fn a_request_that_never_arrived_is_sent_again() {
    let world = unfinished();
    world.lose(POST, "/messages", When::Before);
    world.reconcile("web").await.is(200, "deferred", &[]);
    assert_eq!(count(&world, QUEUE), 1);
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_may_store_a_message_twice_which_does_no_harm() {
    let world = world();
    world.create_at("web", 4);
    fail_reads(&world, 1);
    world.lose(POST, "/messages", When::After);
    world.reconcile("web").await.is(200, "deferred", &[]);
    assert_eq!(count(&world, QUEUE), 2);
    let (_, _running) = start(&world);
    pass(90).await;
    let lines = world.take_lines();
    let mut outcomes = outcomes(&lines);
    outcomes.sort_unstable();
    assert!(outcomes == ["changed", "converged"] || outcomes == ["changed", "changed"], "{outcomes:?}");
    world.has(&[&a("web", 4), &ptr("web", 4)]);
    assert_eq!(count(&world, QUEUE), 0);
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_between_storing_and_answering_leaves_a_message_and_the_event() {
    let world = unfinished();
    let held = world.azure.hold(POST, "/messages", When::After);
    let killed = world.start(&world.stage, "web");
    held.reached().await;
    killed.abort();
    held.release();
    assert_eq!(count(&world, QUEUE), 1);
    // Event Grid delivers the event again, to another process.
    let other = world.instance(&[]);
    let again = world.start(&other, "web");
    assert_eq!(again.await.unwrap().status, 200);
    assert_eq!(count(&world, QUEUE), 2);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_is_stopped_gives_its_message_back_after_ten_minutes() {
    let world = world();
    world.create_at("web", 4);
    fail_reads(&world, 1);
    world.reconcile("web").await.is(200, "deferred", &[]);
    let held = world.azure.hold(GET, "/containerGroups/web", When::Before);
    let (_, running) = start(&world);
    held.reached().await;
    running.stop();
    held.release();
    pass(10).await;
    drop(world.take_lines());
    let (_, _running) = start(&world);
    pass(580).await;
    assert_eq!((count(&world, QUEUE), world.take_lines().len()), (1, 0));
    pass(20).await;
    let lines = world.take_lines();
    assert_eq!((outcomes(&lines), &lines[0]["retry.attempt"]), (vec!["converged"], &json!(2)));
    world.has(&[&a("web", 4), &ptr("web", 4)]);
    assert_eq!(count(&world, QUEUE), 0);
}

#[tokio::test(start_paused = true)]
async fn messages_twice_late_and_out_of_order_do_no_harm() {
    let world = world();
    world.create_at("web", 4);
    let (first, delete) = (message(&world, "web", &json!({})), {
        world.delete("web");
        message(&world, "web", &json!({}))
    });
    world.create_at("web", 5);
    let last = message(&world, "web", &json!({}));
    for given in [&last, &delete, &first, &last, &delete, &first] {
        let done = retry(&world, given).await;
        assert_eq!(done.status, 200);
        world.has(&[&a("web", 5), &ptr("web", 5)]);
    }
    // Days later, too.
    pass(10 * 24 * 3600).await;
    for given in [&first, &delete, &last] {
        assert_eq!(retry(&world, given).await.line()["outcome"], "converged");
    }
    world.has(&[&a("web", 5), &ptr("web", 5)]);
    world.delete("web");
    retry(&world, &first).await;
    world.has(&[]);
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_deleted_is_created_again() {
    let world = unfinished();
    world.reconcile("web").await.is(200, "deferred", &[]);
    world.azure.delete_queue(QUEUE);
    world.reconcile("web").await.is(200, "deferred", &[]);
    assert_eq!(count(&world, QUEUE), 1);
    // One that cannot be created is said.
    world.azure.delete_queue(QUEUE);
    world.fail(http::Method::PUT, QUEUE, 403, "AuthorizationPermissionMismatch");
    world.reconcile("web").await.is(503, "unavailable", &[]).because("Storage Queue Data Contributor");
}

#[tokio::test(start_paused = true)]
async fn a_token_goes_to_the_queue_where_the_url_carries_no_signature() {
    let queue = "https://stacidns.queue.core.windows.net/aci-dns-retry";
    let world = World::with_queue(&[("ACI_DNS_RETRY_QUEUE", queue), ("ACI_DNS_RECHECK_SECONDS", "0")]);
    world.create_at("web", 4);
    fail_reads(&world, u64::MAX);
    world.reconcile("web").await.is(200, "deferred", &[]);
    let calls = world.azure.queue_calls();
    assert!(
        calls.iter().all(|call| call.path.ends_with("/messages") || call.path.ends_with(QUEUE)),
        "{calls:#?}"
    );
    assert!(!calls.is_empty());
    assert_ne!(queue_scope("stacidns", QUEUE), "");
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_answers_403_fails_events_and_no_pass() {
    let world = World::with_queue(&[]);
    world.create_at("web", 4);
    world.fail(POST, "/messages", 403, "AuthorizationPermissionMismatch");
    // What ends well needs no queue.
    world.reconcile("web").await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
    assert_eq!((count(&world, QUEUE), count(&world, POISON)), (0, 0));
}
