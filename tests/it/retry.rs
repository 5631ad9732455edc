//! The retry queue, sentence by sentence: what is stored before an event is acknowledged, and what a retry does.
//!
//! The simulator answers the Queue service's REST API, and the emulated host takes the messages as Microsoft's does.

mod faults;
mod poison;
mod storing;

use std::time::Duration;

use aci_dns::replay::{
    queue_trigger::{QueueHost, QueueOptions, RunningHost},
    stage::RECONCILE,
};
use azure_simulator::{Effect, Fault, FaultAnswer, MessageView, Staleness};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use http::Method;
use serde_json::{Value, json};

use crate::world::{Done, EPOCH, POISON, QUEUE, World, a, id, pass, ptr};

const PLUS_A: &str = "+ A web.spoke1.contoso.internal 10.1.5.4";
const PLUS_PTR: &str = "+ PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal";
const GET: Method = Method::GET;
const POST: Method = Method::POST;

/// The host of this app's `host.json`.
fn options() -> QueueOptions {
    QueueOptions::of_this_app().unwrap()
}

fn start(world: &World) -> (QueueHost, RunningHost) {
    let host = world.stage.queue_host(options()).unwrap();
    let running = host.start();
    (host, running)
}

/// A message in a queue: its content, and when it becomes visible, in seconds from now.
#[derive(Clone, Debug, PartialEq)]
struct Stored {
    content: Value,
    delay: u64,
}

fn stored_in(world: &World, queue: &str) -> Vec<Stored> {
    let now = Duration::from_secs(world.azure.unix_seconds() - EPOCH);
    let read = |message: MessageView| {
        assert_eq!(message.expires, None, "a message never expires");
        let text = BASE64_STANDARD.decode(&message.text).unwrap();
        let delay = message.visible.saturating_sub(now).as_secs();
        Stored { content: serde_json::from_slice(&text).unwrap(), delay }
    };
    world.azure.messages(queue).unwrap_or_default().into_iter().map(read).collect()
}

fn stored(world: &World) -> Vec<Stored> {
    stored_in(world, QUEUE)
}

/// The only message.
#[track_caller]
fn only(world: &World) -> Stored {
    let mut all = stored(world);
    assert_eq!(all.len(), 1, "{all:#?}");
    all.remove(0)
}

fn count(world: &World, queue: &str) -> usize {
    world.azure.messages(queue).unwrap_or_default().len()
}

fn kinds(world: &World) -> Vec<(bool, u64)> {
    let kind = |stored: Stored| {
        (stored.content["recheck"].as_bool().unwrap(), stored.content["rechecks"].as_u64().unwrap())
    };
    stored(world).into_iter().map(kind).collect()
}

fn outcomes(lines: &[Value]) -> Vec<&str> {
    lines.iter().map(|line| line["outcome"].as_str().unwrap()).collect()
}

/// A world without rechecks.
fn world() -> World {
    World::with_queue(&[("ACI_DNS_RECHECK_SECONDS", "0")])
}

/// Makes the reads of the A record set of `web` fail, so that its event can be finished later.
fn fail_reads(world: &World, times: u64) {
    world.fail_times(GET, "/A/web", times, FaultAnswer::new(503, "ServiceUnavailable").retry_after(60));
}

/// A message as this program stores it.
fn message(world: &World, name: &str, more: &Value) -> Value {
    let mut message = json!({"version": 1, "event": world.event(name), "since": "2026-01-01T00:00:00Z"});
    message.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    message
}

/// Hands a message to the function as the host does.
async fn retry(world: &World, message: &Value) -> Done {
    drop(world.take_lines());
    let answer = world.stage.retry(message).await;
    world.done(answer)
}

/// Puts a text into the queue, as another program would.
fn put(world: &World, text: &str) {
    world.azure.put_message(QUEUE, &BASE64_STANDARD.encode(text), Duration::ZERO).unwrap();
}

// Retries.

#[tokio::test(start_paused = true)]
async fn a_retry_finishes_what_the_event_could_not_finish() {
    let world = world();
    world.create_at("web", 4);
    fail_reads(&world, 1);
    world.reconcile("web").await.is(200, "deferred", &[]);
    let (host, _running) = start(&world);
    pass(50).await;
    world.has(&[]);
    pass(20).await;
    world.has(&[&a("web", 4), &ptr("web", 4)]);
    let lines = world.take_lines();
    let [line] = lines.as_slice() else { panic!("{lines:#?}") };
    assert_eq!((&line["function.name"], &line["outcome"]), (&json!("function_aci_retry"), &json!("changed")));
    assert_eq!(line["plan"], json!([PLUS_A, PLUS_PTR]));
    assert_eq!((&line["event.id"], &line["container_group.id"]), (&json!("event-1"), &json!(id("web"))));
    assert_eq!((&line["retry.attempt"], &line["retry.since"]), (&json!(1), &json!("2026-01-01T00:00:00Z")));
    assert_eq!((count(&world, QUEUE), host.invocations().len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn an_unavailable_retry_stores_its_successor_and_is_acknowledged() {
    let world = world();
    world.create_at("web", 4);
    fail_reads(&world, u64::MAX);
    pass(100).await;
    let given = message(&world, "web", &json!({"attempt": 3, "rechecks": 2}));
    let done = retry(&world, &given).await;
    done.is(200, "deferred", &[]);
    assert_eq!(done.line()["retry.attempt"], 3);
    let successor = only(&world);
    let expected = json!({"version": 1, "event": given["event"], "since": "2026-01-01T00:00:00Z", "attempt": 4,
        "recheck": false, "rechecks": 2});
    assert_eq!(successor.content, expected);
    assert!((120..=144).contains(&successor.delay), "{}", successor.delay);
}

#[tokio::test(start_paused = true)]
async fn it_is_deferred_again_and_again_until_it_is_24_hours_old_and_then_it_fails() {
    let world = world();
    world.create_at("web", 4);
    fail_reads(&world, u64::MAX);
    world.reconcile("web").await.is(200, "deferred", &[]);
    let (host, _running) = start(&world);
    pass(25 * 3600).await;
    let statuses: Vec<_> = host.invocations().iter().map(|invocation| invocation.status.unwrap()).collect();
    let deferred = statuses.iter().take_while(|status| **status == 200).count();
    assert!((85..110).contains(&deferred), "{deferred}");
    assert!(statuses[deferred..].len() > 5);
    assert!(statuses[deferred..].iter().all(|status| *status == 503), "then the host shows it again");
    assert_eq!(count(&world, QUEUE), 1);
    let last = world.take_lines().pop().unwrap();
    assert!(last["message"].as_str().unwrap().contains("tried for 24 hours"), "{last:#}");
    assert_eq!(last["retry.since"], "2026-01-01T00:00:00Z");
}

#[tokio::test(start_paused = true)]
async fn a_message_that_needs_a_person_ends_as_failed_invocations_and_in_the_poison_queue() {
    let world = World::with_queue(&[("ACI_DNS_OWNERSHIP", "strict")]);
    world.create_at("web", 4);
    world.put("A web 60 10.9.9.9");
    world.reconcile("web").await.is(200, "deferred", &[]);
    assert_eq!(only(&world).delay, 30);
    let (host, _running) = start(&world);
    pass(40).await;
    assert_eq!(outcomes(&world.take_lines()), ["conflict"]);
    pass(310).await;
    let lines = world.take_lines();
    assert_eq!(outcomes(&lines), ["conflict"]);
    // The host counts the deliveries, and the message stays as it is.
    assert_eq!((&lines[0]["retry.attempt"], &lines[0]["level"]), (&json!(2), &json!("error")));
    pass(25 * 3600).await;
    assert_eq!(host.invocations().len(), 288);
    assert!(host.invocations().iter().all(|invocation| invocation.status == Some(409)));
    assert_eq!((count(&world, QUEUE), count(&world, POISON)), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn what_a_person_repaired_heals_within_five_minutes() {
    let world = world();
    world.create_at("web", 4);
    world.fail_times(Method::PUT, "/A/web", 2, FaultAnswer::new(403, "AuthorizationFailed"));
    world.reconcile("web").await.is(200, "deferred", &[]);
    let (_, _running) = start(&world);
    pass(40).await;
    assert_eq!(outcomes(&world.take_lines()), ["failed"]);
    pass(306).await;
    assert_eq!(outcomes(&world.take_lines()), ["changed"]);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
    assert_eq!(count(&world, QUEUE), 0);
}

#[tokio::test(start_paused = true)]
async fn a_retry_ends_with_the_status_of_what_needs_a_person() {
    let world = World::with_queue(&[("ACI_DNS_OWNERSHIP", "strict")]);
    world.create_at("web", 4);
    world.put("A web 60 10.9.9.9");
    retry(&world, &message(&world, "web", &json!({}))).await.is(409, "conflict", &[]);
    world.create_tagged("api", &[("aci-dns-ttl", "soon")]);
    retry(&world, &message(&world, "api", &json!({}))).await.is(500, "failed", &[]);
    retry(&world, &json!({"version": 1, "event": "not an event"})).await.is(400, "malformed", &[]);
    assert_eq!(stored(&world), []);
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_an_unmapped_group_fails_because_an_app_with_another_map_stored_it() {
    let mut world = world();
    for (name, expected) in [("rg-other/web", "no key of ACI_DNS_ZONES"), ("web", "ACI_DNS_SUBSCRIPTIONS")] {
        let done = retry(&world, &message(&world, name, &json!({}))).await;
        done.is(500, "failed", &[]).because(expected);
        assert!(done.text("error").contains("an app with other settings stored this message"));
        let subscription = "00000000-0000-0000-0000-000000000009";
        world.stage = world.instance(&[("ACI_DNS_SUBSCRIPTIONS", subscription)]);
    }
    // An event of such a group is unmanaged.
    world.reconcile("rg-other/web").await.is(200, "unmanaged", &[]);
    assert_eq!(stored(&world), []);
}

#[tokio::test(start_paused = true)]
async fn a_retry_of_a_group_that_its_entry_does_not_name_is_unmanaged() {
    let map =
        r#"{"rg-spoke1": {"forwardZone": "spoke1.contoso.internal", "reverseZones": [], "groups": ["api"]}}"#;
    let world = World::with_queue(&[("ACI_DNS_ZONES", map)]);
    retry(&world, &message(&world, "web", &json!({}))).await.is(200, "unmanaged", &[]);
}

#[tokio::test(start_paused = true)]
async fn messages_of_unknown_versions_are_malformed() {
    let world = world();
    let done = retry(&world, &json!({"version": 2, "event": world.event("web")})).await;
    done.is(400, "malformed", &[]).because("the version of the message is 2");
}

#[tokio::test(start_paused = true)]
async fn the_probe_of_the_deployment_is_ignored() {
    let world = world();
    let event = json!({"id": "probe", "eventType": "aci-dns.probe", "subject": "/", "data": {}});
    let probe = json!({"version": 1, "event": event, "since": "2026-01-01T00:00:00Z"});
    retry(&world, &probe).await.is(200, "ignored", &[]);
    assert_eq!(stored(&world), []);
}

#[tokio::test(start_paused = true)]
async fn a_retry_runs_under_the_same_deadline_and_never_sleeps_for_a_delay() {
    let world = world();
    world.create_as("web", |spec| spec.provisioning = Duration::from_mins(10));
    let started = tokio::time::Instant::now();
    retry(&world, &message(&world, "web", &json!({"attempt": 7}))).await.is(200, "deferred", &[]);
    assert_eq!(started.elapsed().as_secs(), 15, "as long as an event waits for an address");
}

#[tokio::test(start_paused = true)]
async fn what_the_host_says_of_a_message_is_not_believed() {
    let world = world();
    world.create_at("web", 4);
    let (_, _running) = start(&world);
    // A member of the message stands in the place of the host's own key.
    let text = message(&world, "web", &json!({"DequeueCount": 77, "attempt": 2})).to_string();
    put(&world, &text);
    pass(10).await;
    let lines = world.take_lines();
    assert_eq!(lines[0]["retry.attempt"], 77, "it is said in the line, and decides nothing");
    assert_eq!(outcomes(&lines), ["changed"]);
}

#[tokio::test(start_paused = true)]
async fn a_text_that_is_no_message_goes_to_the_poison_queue_in_the_end() {
    let world = world();
    let (_, _running) = start(&world);
    put(&world, "hello world");
    pass(10).await;
    assert_eq!(outcomes(&world.take_lines()), ["malformed"]);
    pass(26 * 3600).await;
    assert_eq!((count(&world, QUEUE), count(&world, POISON)), (0, 1));
}

// Rechecks.

#[tokio::test(start_paused = true)]
async fn an_invocation_that_ends_well_stores_a_recheck() {
    let world = World::with_queue(&[]);
    world.create_at("web", 4);
    let event = world.event("web");
    world.deliver(RECONCILE, &event).await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    let expected = json!({"version": 1, "event": event, "since": "2026-01-01T00:00:00Z", "attempt": 1,
        "recheck": true, "rechecks": 1});
    assert_eq!(only(&world), Stored { content: expected, delay: 45 });
    // Converged as well.
    world.reconcile("web").await.is(200, "converged", &[]);
    assert_eq!(kinds(&world), [(true, 1); 2]);
}

#[tokio::test(start_paused = true)]
async fn the_delay_of_a_recheck_is_a_setting_and_zero_switches_it_off() {
    let world = World::with_queue(&[("ACI_DNS_RECHECK_SECONDS", "300")]);
    world.create_at("web", 4);
    world.reconcile("web").await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    assert_eq!(only(&world).delay, 300);
    let world = self::world();
    world.create_at("web", 4);
    world.reconcile("web").await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    assert_eq!(stored(&world), []);
}

#[tokio::test(start_paused = true)]
async fn after_a_recheck_that_wrote_nothing_there_is_none() {
    let world = World::with_queue(&[]);
    world.create_at("web", 4);
    world.reconcile("web").await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    let (_, _running) = start(&world);
    pass(600).await;
    let lines = world.take_lines();
    assert_eq!(outcomes(&lines), ["converged"]);
    assert_eq!(lines[0]["retry.recheck"], true);
    assert_eq!(stored(&world), []);
}

#[tokio::test(start_paused = true)]
async fn after_a_recheck_that_wrote_there_is_another_and_five_at_most() {
    let world = World::with_queue(&[]);
    world.create_at("web", 4);
    for (before, after) in [(0, Some(1)), (1, Some(2)), (4, Some(5)), (5, None)] {
        world.move_to("web", 5 + u8::try_from(before).unwrap());
        let given = message(&world, "web", &json!({"recheck": true, "rechecks": before}));
        assert_eq!(retry(&world, &given).await.line()["outcome"], "changed");
        assert_eq!(kinds(&world), after.map(|rechecks| (true, rechecks)).into_iter().collect::<Vec<_>>());
        world.azure.delete_queue(QUEUE);
        world.azure.create_queue(QUEUE);
    }
}

#[tokio::test(start_paused = true)]
async fn a_recheck_finds_what_a_stale_read_hid() {
    let world = World::with_queue(&[]);
    world.create_at("web", 4);
    world.reconcile("web").await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    world.azure.delete_queue(QUEUE);
    world.azure.create_queue(QUEUE);
    world.move_to("web", 5);
    // A read of the group shows it as it was before it moved.
    let effect = Effect::Stale(Staleness::Versions(1));
    world.azure.inject(Fault::once(GET, "/containerGroups/web", effect));
    world.reconcile("web").await.is(200, "converged", &[]);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
    let (_, _running) = start(&world);
    pass(60).await;
    assert_eq!(outcomes(&world.take_lines()), ["changed"]);
    assert_eq!(world.records().iter().filter(|set| set.contains("10.1.5.5")).count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_with_rechecks_is_never_treated_as_a_delete_event() {
    let world = world();
    world.create_at("web", 4);
    world.reconcile("web").await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    world.delete("web");
    pass(30).await;
    let mut event = world.event("web");
    event["eventTime"] = "2026-01-01T00:00:20Z".into();
    for more in [json!({"recheck": true, "rechecks": 1}), json!({"rechecks": 1})] {
        let mut given = message(&world, "web", &more);
        given["event"] = event.clone();
        retry(&world, &given).await.is(200, "deferred", &[]);
        world.has(&[&a("web", 4), &ptr("web", 4)]);
    }
    let mut given = message(&world, "web", &json!({}));
    given["event"] = event;
    assert_eq!(retry(&world, &given).await.line()["outcome"], "changed");
    world.has(&[]);
}

#[tokio::test(start_paused = true)]
async fn a_recheck_that_ends_unavailable_is_deferred_as_an_ordinary_message() {
    let world = World::with_queue(&[]);
    world.create_at("web", 4);
    fail_reads(&world, 1);
    pass(100).await;
    let given = message(&world, "web", &json!({"recheck": true, "rechecks": 3, "attempt": 1}));
    retry(&world, &given).await.is(200, "deferred", &[]);
    let content = only(&world).content;
    let expected = json!({"version": 1, "event": given["event"], "since": content["since"], "attempt": 1,
        "recheck": false, "rechecks": 3});
    assert_eq!(content, expected);
    assert!(content["since"].as_str().unwrap() >= "2026-01-01T00:01:40Z", "{content}");
}

#[tokio::test(start_paused = true)]
async fn a_recheck_that_cannot_be_stored_is_a_warning() {
    let world = World::with_queue(&[]);
    world.create_at("web", 4);
    world.fail(POST, "/messages", 403, "AuthorizationPermissionMismatch");
    let done = world.reconcile("web").await;
    done.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    assert_eq!(done.line()["level"], "warn");
    assert!(done.text("message").contains("no recheck will follow"), "{}", done.text("message"));
}

#[tokio::test(start_paused = true)]
async fn an_invocation_that_stores_an_unfinished_message_stores_no_recheck() {
    let world = World::with_queue(&[]);
    world.create_at("web", 4);
    fail_reads(&world, 1);
    world.reconcile("web").await.is(200, "deferred", &[]);
    assert_eq!(kinds(&world), [(false, 0)]);
}

#[tokio::test(start_paused = true)]
async fn after_an_outcome_without_records_there_is_no_recheck() {
    let world = World::with_queue(&[]);
    world.create_tagged("web", &[("aci-dns-ignore", "true")]);
    world.reconcile("web").await.is(200, "unmanaged", &[]);
    assert_eq!(stored(&world), []);
}

// Without the setting, and with the policy observe.

#[tokio::test(start_paused = true)]
async fn without_the_setting_unfinished_events_keep_their_status_and_event_grid_delivers_again() {
    let world = World::new(&[]);
    world.azure.create_queue(QUEUE);
    world.create_at("web", 4);
    world.fail_times(GET, "/A/web", 1, FaultAnswer::new(503, "ServiceUnavailable").retry_after(60));
    world.reconcile("web").await.is(503, "unavailable", &[]);
    world.reconcile("web").await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    world.create_tagged("api", &[("aci-dns-ttl", "soon")]);
    world.reconcile("api").await.is(500, "failed", &[]);
    world.put("A cnt 60 10.9.9.9 owner=web2 creator=me");
    world.deliver(RECONCILE, &json!("not an event")).await.is(400, "malformed", &[]);
    assert_eq!((stored(&world), world.azure.queue_calls().len()), (vec![], 0));
}

#[tokio::test(start_paused = true)]
async fn the_policy_observe_stores_no_message_of_any_kind() {
    let world = World::with_queue(&[("ACI_DNS_POLICY", "observe")]);
    world.create_at("web", 4);
    world.reconcile("web").await.is(200, "planned", &[PLUS_A, PLUS_PTR]);
    fail_reads(&world, 2);
    world.reconcile("web").await.is(503, "unavailable", &[]);
    retry(&world, &message(&world, "web", &json!({}))).await.is(503, "unavailable", &[]);
    world.deliver(RECONCILE, &json!("not an event")).await.is(400, "malformed", &[]);
    assert_eq!((stored(&world), world.azure.queue_calls().len()), (vec![], 0));
}
