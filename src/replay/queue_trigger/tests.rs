//! The emulated host against the simulator's queue, with a handler that is made for each test.

use std::sync::atomic::AtomicUsize;

use axum::response::IntoResponse;
use serde_json::json;

use super::*;
use azure_simulator::{Azure, Effect, Fault, FaultAnswer, MessageView, When};

const QUEUE: &str = "aci-dns-retry";
const POISON: &str = "aci-dns-retry-poison";
const DONE: &str = r#"{"Outputs":{},"Logs":[],"ReturnValue":null}"#;

/// A handler that notes what it is asked and answers the statuses one after the other, the last one again and again.
#[derive(Clone)]
struct Handler {
    statuses: Arc<Vec<u16>>,
    takes: Duration,
    asked: Arc<Mutex<Vec<(Duration, Value)>>>,
    at_once: Arc<AtomicUsize>,
    most_at_once: Arc<AtomicUsize>,
    started: Instant,
}

impl Handler {
    fn new(statuses: &[u16]) -> Self {
        Self {
            statuses: Arc::new(statuses.to_vec()),
            takes: Duration::ZERO,
            asked: Arc::default(),
            at_once: Arc::default(),
            most_at_once: Arc::default(),
            started: Instant::now(),
        }
    }

    fn router(&self) -> Router {
        let handler = self.clone();
        Router::new().fallback(move |request: axum::extract::Request| {
            let handler = handler.clone();
            async move {
                assert_eq!(request.uri().path(), "/function_aci_retry");
                let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
                let at = handler.started.elapsed();
                let number = {
                    let mut asked = handler.asked.lock().unwrap();
                    asked.push((at, serde_json::from_slice(&body).unwrap()));
                    asked.len() - 1
                };
                let at_once = handler.at_once.fetch_add(1, Ordering::Relaxed) + 1;
                handler.most_at_once.fetch_max(at_once, Ordering::Relaxed);
                sleep(handler.takes).await;
                handler.at_once.fetch_sub(1, Ordering::Relaxed);
                let last = handler.statuses.last().unwrap();
                let status = *handler.statuses.get(number).unwrap_or(last);
                (StatusCode::from_u16(status).unwrap(), DONE).into_response()
            }
        })
    }

    /// When it was asked, in seconds.
    fn times(&self) -> Vec<u64> {
        self.asked.lock().unwrap().iter().map(|(at, _)| at.as_secs()).collect()
    }
}

/// The host of `host.json` as the contract has it.
fn options() -> QueueOptions {
    let queues =
        json!({"visibilityTimeout": "00:05:00", "maxDequeueCount": 4, "maxPollingInterval": "00:00:05"});
    QueueOptions::from_host_json(&json!({"version": "2.0", "extensions": {"queues": queues}})).unwrap()
}

fn host_with(azure: &Azure, router: Router, options: QueueOptions) -> QueueHost {
    let trigger = QueueTrigger {
        queue: azure.queue_url("http://127.0.0.1:8181", QUEUE).parse().unwrap(),
        function: "function_aci_retry".to_owned(),
        binding: "retry".to_owned(),
        options,
    };
    QueueHost::new(trigger, azure.router(), router)
}

fn azure_with_queue() -> Azure {
    let azure = Azure::default();
    azure.create_queue(QUEUE);
    azure
}

fn host(azure: &Azure, handler: &Handler) -> QueueHost {
    host_with(azure, handler.router(), options())
}

fn put(azure: &Azure, text: &str) -> String {
    use base64::{Engine as _, prelude::BASE64_STANDARD};
    azure.put_message(QUEUE, &BASE64_STANDARD.encode(text), Duration::ZERO).unwrap()
}

fn messages(azure: &Azure, queue: &str) -> Vec<MessageView> {
    azure.messages(queue).unwrap_or_default()
}

async fn seconds(count: u64) {
    sleep(Duration::from_secs(count)).await;
}

fn fates(host: &QueueHost) -> Vec<Fate> {
    host.invocations().iter().map(|invocation| invocation.fate).collect()
}

// facts: Microsoft's host 4.1037.
#[tokio::test(start_paused = true)]
async fn a_message_arrives_with_the_encodings_of_the_host() {
    let azure = azure_with_queue();
    let handler = Handler::new(&[200]);
    seconds(3).await;
    let text = r#"{"version":1,"recheck":false,"since":"2026-11-25T00:00:00Z","kind":"write","none":null,
        "list":[1],"event":{"id":"e"},"myTrigger":1,"DequeueCount":77}"#;
    let id = put(&azure, text);
    let running = host(&azure, &handler).start();
    seconds(1).await;
    drop(running);
    let (_, body) = handler.asked.lock().unwrap()[0].clone();
    let receipt = body["Metadata"]["PopReceipt"].as_str().unwrap().to_owned();
    assert!(receipt.starts_with("\"AgAAAAM") && receipt.ends_with('"'), "{receipt}");
    assert_eq!(
        body,
        json!({
            "Data": {"retry": serde_json::to_string(text).unwrap()},
            "Metadata": {
                "DequeueCount": "\"77\"",
                "InsertionTime": "2026-01-01T00:00:03+00:00",
                "ExpirationTime": "9999-12-31T23:59:59+00:00",
                "NextVisibleTime": "2026-01-01T00:10:03+00:00",
                "Id": format!("\"{id}\""),
                "PopReceipt": receipt,
                "sys": {"MethodName": "function_aci_retry", "UtcNow": "2026-01-01T00:00:00Z", "RandGuid": "replay"},
                "version": "\"1\"",
                "recheck": "\"False\"",
                "since": "\"11/25/2026 00:00:00\"",
                "kind": "\"write\"",
                "event": {"id": "e"},
            },
        })
    );
    assert!(body["Data"]["retry"].as_str().unwrap().starts_with("\"{\\\"version\\\":1,"));
}

#[tokio::test(start_paused = true)]
async fn a_text_that_is_no_json_arrives_too() {
    let azure = azure_with_queue();
    let handler = Handler::new(&[200]);
    put(&azure, "hello world");
    let running = host(&azure, &handler).start();
    seconds(1).await;
    drop(running);
    let (_, body) = handler.asked.lock().unwrap()[0].clone();
    assert_eq!(
        (&body["Data"]["retry"], &body["Metadata"]["DequeueCount"]),
        (&json!("\"hello world\""), &json!("1"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_message_that_is_done_is_deleted_and_one_that_failed_comes_back_after_its_time() {
    let azure = azure_with_queue();
    let handler = Handler::new(&[500, 409, 202]);
    let id = put(&azure, "a");
    let host = host(&azure, &handler);
    let _running = host.start();
    seconds(3600).await;
    assert_eq!(messages(&azure, QUEUE), []);
    let told = host.invocations();
    let told: Vec<_> =
        told.iter().map(|it| (it.message_id == id, it.dequeue_count, it.status, it.fate)).collect();
    assert_eq!(
        told,
        [
            (true, 1, Some(500), Fate::Hidden),
            (true, 2, Some(409), Fate::Hidden),
            (true, 3, Some(202), Fate::Deleted),
        ]
    );
    let times = handler.times();
    assert_eq!(times[0], 0);
    let pauses = [times[1] - times[0], times[2] - times[1]];
    assert!(pauses.iter().all(|pause| (300..=305).contains(pause)), "{pauses:?}");
}

#[tokio::test(start_paused = true)]
async fn the_last_failure_moves_a_message_to_the_poison_queue_as_it_is() {
    let azure = azure_with_queue();
    let handler = Handler::new(&[503]);
    let id = put(&azure, "é<&>");
    let original = messages(&azure, QUEUE)[0].clone();
    assert_eq!(original.expires, None);
    let host = host(&azure, &handler);
    let _running = host.start();
    seconds(3600).await;
    assert_eq!(fates(&host), [Fate::Hidden, Fate::Hidden, Fate::Hidden, Fate::Poisoned]);
    assert_eq!(messages(&azure, QUEUE), []);
    let poisoned = messages(&azure, POISON).remove(0);
    assert_eq!((&poisoned.text, poisoned.dequeue_count), (&original.text, 0));
    assert_ne!(poisoned.id, id);
    let week = Duration::from_hours(24 * 7);
    assert_eq!(poisoned.expires, Some(poisoned.inserted + week), "also where the original never expires");
}

#[tokio::test(start_paused = true)]
async fn a_text_in_another_encoding_is_poisoned_at_once_and_as_it_is() {
    let azure = azure_with_queue();
    let handler = Handler::new(&[200]);
    azure.put_message(QUEUE, "{\"version\":1}", Duration::ZERO).unwrap();
    let host = host(&azure, &handler);
    let running = host.start();
    seconds(1).await;
    drop(running);
    assert_eq!(handler.times(), Vec::<u64>::new());
    assert_eq!(messages(&azure, POISON)[0].text, "{\"version\":1}");
    assert_eq!(messages(&azure, QUEUE), []);
    assert_eq!(fates(&host), [Fate::Poisoned]);

    let plain = QueueOptions { is_base64: false, ..options() };
    azure.put_message(QUEUE, "plain", Duration::ZERO).unwrap();
    let host = host_with(&azure, handler.router(), plain);
    let _running = host.start();
    seconds(1).await;
    assert_eq!(host.invocations()[0].text, "plain");
    assert_eq!(fates(&host), [Fate::Deleted]);
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_no_json_object_is_a_failure() {
    for body in ["", "null", "[]", "done"] {
        let azure = azure_with_queue();
        put(&azure, "a");
        let host = host_with(&azure, Router::new().fallback(move || async move { body }), options());
        let _running = host.start();
        seconds(1).await;
        assert_eq!(fates(&host), [Fate::Hidden], "{body:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_is_missing_is_polled_until_somebody_creates_it() {
    let azure = Azure::default();
    let handler = Handler::new(&[200]);
    let host = host(&azure, &handler);
    let running = host.start();
    seconds(60).await;
    assert!(!running.has_ended());
    azure.create_queue(QUEUE);
    put(&azure, "a");
    seconds(6).await;
    assert_eq!(fates(&host), [Fate::Deleted]);
    assert_eq!(azure.queues(), [QUEUE], "the host creates no queue but that of poison");
}

#[tokio::test(start_paused = true)]
async fn a_new_message_is_found_within_the_longest_interval() {
    for (interval, expected) in [(Duration::from_secs(5), 5), (Duration::from_mins(1), 60)] {
        let azure = azure_with_queue();
        let handler = Handler::new(&[200]);
        let options = QueueOptions { max_polling_interval: interval, ..options() };
        let host = host_with(&azure, handler.router(), options);
        let _running = host.start();
        seconds(301).await;
        let polls = azure.queue_calls().len();
        put(&azure, "a");
        seconds(expected).await;
        assert_eq!(fates(&host), [Fate::Deleted]);
        let least = 200 / expected;
        assert!(u64::try_from(polls).unwrap() > least, "{polls} polls");
    }
}

/// What became of a host to which the queue answers this, and after how many seconds it ended.
async fn struck(method: Method, path: &str, status: u16, statuses: &[u16]) -> Option<(&'static str, u64)> {
    let azure = azure_with_queue();
    let handler = Handler::new(statuses);
    put(&azure, "a");
    let effect = Effect::Answer(When::Before, FaultAnswer::new(status, "Injected"));
    azure.inject(Fault { times: u64::MAX, ..Fault::once(method, path, effect) });
    let running = host(&azure, &handler).start();
    let started = Instant::now();
    let ended = tokio::time::timeout(Duration::from_hours(2), running.ended()).await.ok()??;
    assert_eq!(ended.status, status);
    Some((ended.doing, started.elapsed().as_secs()))
}

#[tokio::test(start_paused = true)]
async fn a_403_of_the_queue_ends_the_host_and_so_does_a_429_of_a_poll() {
    let check = async |method, path, status, statuses: &[u16], expected| {
        assert_eq!(struck(method, path, status, statuses).await, expected);
    };
    check(Method::GET, "/messages", 403, &[200], Some(("fetching messages", 0))).await;
    check(Method::DELETE, "/messages/", 403, &[200], Some(("deleting a message", 0))).await;
    check(Method::PUT, "/messages/", 403, &[500], Some(("hiding a failed message", 0))).await;
    let poisoning = struck(Method::POST, "-poison/messages", 403, &[500]).await.unwrap();
    assert_eq!(poisoning.0, "copying a message to the poison queue");
    assert!(poisoning.1 >= 900, "after the last of four tries");
    check(Method::GET, "/messages", 429, &[200], Some(("fetching messages", 5))).await;
    for status in [404, 409, 500, 503] {
        check(Method::GET, "/messages", status, &[200], None).await;
        check(Method::DELETE, "/messages/", status, &[200], None).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_that_cannot_be_reached_is_tried_again() {
    let azure = azure_with_queue();
    let handler = Handler::new(&[200]);
    put(&azure, "a");
    let until = Some(Duration::from_secs(30));
    azure.inject(Fault {
        times: u64::MAX,
        until,
        ..Fault::once(Method::GET, "", Effect::Drop(When::Before))
    });
    let host = host(&azure, &handler);
    let running = host.start();
    seconds(29).await;
    assert_eq!(fates(&host), []);
    seconds(11).await;
    assert_eq!(fates(&host), [Fate::Deleted]);
    assert!(!running.has_ended());
}

#[tokio::test(start_paused = true)]
async fn a_message_that_could_not_be_deleted_comes_back_after_ten_minutes() {
    let azure = azure_with_queue();
    let handler = Handler::new(&[200]);
    put(&azure, "a");
    let busy = Effect::Answer(When::Before, FaultAnswer::new(503, "ServerBusy"));
    azure.inject(Fault { times: 4, ..Fault::once(Method::DELETE, "/messages/", busy) });
    let host = host(&azure, &handler);
    let _running = host.start();
    seconds(590).await;
    assert_eq!(fates(&host), [Fate::Lost]);
    seconds(20).await;
    assert_eq!(fates(&host), [Fate::Lost, Fate::Deleted]);
    assert_eq!(host.invocations()[1].dequeue_count, 2);
}

#[tokio::test(start_paused = true)]
async fn a_host_that_stops_gives_its_invocations_up_and_the_message_stays_hidden() {
    let azure = azure_with_queue();
    let handler = Handler { takes: Duration::from_secs(20), ..Handler::new(&[200]) };
    put(&azure, "a");
    let first = host(&azure, &handler);
    let running = first.start();
    seconds(5).await;
    running.stop();
    seconds(60).await;
    assert_eq!(first.invocations(), []);
    let second = host(&azure, &handler);
    let _running = second.start();
    seconds(500).await;
    assert_eq!(handler.times(), [0], "it is hidden until ten minutes after it was got");
    seconds(70).await;
    let times = handler.times();
    assert!((600..=605).contains(&times[1]), "{times:?}");
    assert_eq!(second.invocations()[0].dequeue_count, 2);
}

#[tokio::test(start_paused = true)]
async fn a_long_invocation_runs_once_because_its_message_is_hidden_again() {
    let azure = azure_with_queue();
    let handler = Handler { takes: Duration::from_secs(700), ..Handler::new(&[200]) };
    put(&azure, "a");
    let host = host(&azure, &handler);
    let _running = host.start();
    seconds(1400).await;
    assert_eq!(handler.times(), [0]);
    assert_eq!(fates(&host), [Fate::Deleted]);
}

#[tokio::test(start_paused = true)]
async fn no_more_messages_are_got_while_enough_invocations_run() {
    let azure = azure_with_queue();
    let handler = Handler { takes: Duration::from_secs(10), ..Handler::new(&[200]) };
    for number in 0..100 {
        put(&azure, &number.to_string());
    }
    let host = host(&azure, &handler);
    let _running = host.start();
    seconds(60).await;
    assert_eq!(fates(&host), [Fate::Deleted; 100]);
    assert_eq!(handler.most_at_once.load(Ordering::Relaxed), 32);
}

#[test]
fn the_options_are_those_of_host_json() {
    let read = |queues: Value| QueueOptions::from_host_json(&json!({"extensions": {"queues": queues}}));
    assert_eq!(QueueOptions::from_host_json(&json!({"version": "2.0"})), Some(QueueOptions::default()));
    let whole = json!({
        "visibilityTimeout": "1.02:03:04.5",
        "maxDequeueCount": 288,
        "maxPollingInterval": "00:00:05",
        "batchSize": 32,
        "newBatchThreshold": 300,
        "messageEncoding": "none",
    });
    assert_eq!(
        read(whole),
        Some(QueueOptions {
            visibility_timeout: Duration::from_millis(93_784_500),
            max_dequeue_count: 288,
            max_polling_interval: Duration::from_secs(5),
            batch_size: 32,
            new_batch_threshold: 300,
            is_base64: false,
        })
    );
    assert_eq!(read(json!({"batchSize": 8})).unwrap().new_batch_threshold, 8);
    for wrong in [
        json!({"visibilityTimeout": 300}),
        json!({"visibilityTimeout": "5 minutes"}),
        json!({"batchSize": "16"}),
        json!({"messageEncoding": "hex"}),
    ] {
        assert_eq!(read(wrong.clone()), None, "{wrong}");
    }
}
