//! An emulation of the Azure Functions host: the files of the app that it reads, its calls, and its treatment
//! of answers. The host cannot be installed on a build machine, so this follows its source.
//!
//! Source: <https://github.com/Azure/azure-functions-host>, `src/WebJobs.Script/Workers/Http`.

mod client;
mod program;

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    path::Path,
    process::{Command, Output, Stdio},
    sync::Arc,
    time::Duration,
};

use aci_dns::{
    config::Settings,
    decide::report::{Outcome, Report},
    domain::{event::Event, resource_id::ContainerGroupId},
    functions::{
        envelope::BODY_LIMIT,
        host::{self, Task},
    },
    telemetry::Telemetry,
};
use axum::Router;
use futures::future::join_all;
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Semaphore, oneshot},
    task::JoinHandle,
    time::timeout,
};
use tower::ServiceExt as _;

use self::client::{Connection, Framing, Response, Verdict};
use crate::log;

const RECONCILE: &str = "function_aci_reconcile";
const DRIFT: &str = "function_drift_tracker";
const RETRY: &str = "function_aci_retry";
const SWEEP: &str = "function_drift_sweep";
const WRITTEN: &str = "Microsoft.Resources.ResourceWriteSuccess";
const DELETED: &str = "Microsoft.Resources.ResourceDeleteSuccess";

/// A running handler, and a way to stop it.
struct Served {
    port: u16,
    shutdown: oneshot::Sender<()>,
    ended: JoinHandle<()>,
    gate: Gate,
}

/// The coordination with groups named `slow`.
#[derive(Clone)]
struct Gate {
    arrived: Arc<Semaphore>,
    open: Arc<Semaphore>,
}

impl Gate {
    fn new() -> Self {
        Self { arrived: Arc::new(Semaphore::new(0)), open: Arc::new(Semaphore::new(0)) }
    }

    async fn arrival(&self, count: u32) {
        self.arrived.acquire_many(count).await.unwrap().forget();
    }

    async fn pass(&self) {
        self.arrived.add_permits(1);
        self.open.acquire().await.unwrap().forget();
    }

    fn open(&self, count: usize) {
        self.open.add_permits(count);
    }
}

/// Functions that do what the name of the container group says.
fn functions(gate: &Gate) -> Router {
    let run = |function: &'static str| {
        let gate = gate.clone();
        move |id: ContainerGroupId, _: Event| {
            let gate = gate.clone();
            async move {
                let outcome = match id.name() {
                    "panics" => panic!("panicked on purpose"),
                    "panics-elsewhere" => {
                        tokio::spawn(async { panic!("panicked on purpose") }).await.unwrap();
                        Outcome::Failed
                    }
                    "slow" => {
                        gate.pass().await;
                        Outcome::Changed
                    }
                    "conflict" => Outcome::Conflict,
                    "failed" => Outcome::Failed,
                    "unavailable" => Outcome::Unavailable,
                    _ => Outcome::Converged,
                };
                Report::new(outcome, format!("{function} saw {}", id.name()))
            }
        }
    };
    let reconcile = {
        let run = run(RECONCILE);
        move |task: Task| {
            let run = run.clone();
            async move {
                match task {
                    Task::Event { id, event, .. } | Task::Message { id, event, .. } => run(id, event).await,
                    Task::Malformed { report, .. } => *report,
                }
            }
        }
    };
    let sweep = |_| async { Report::new(Outcome::Reported, "the sweep saw everything") };
    host::complete(host::routes(reconcile, run(DRIFT), sweep, &Telemetry::default()))
}

async fn serve() -> Served {
    log::collect();
    let gate = Gate::new();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (shutdown, asked) = oneshot::channel();
    let asked = async { drop(asked.await) };
    let ended = tokio::spawn(host::serve(listener, functions(&gate), asked, Duration::from_secs(5)));
    Served { port, shutdown, ended, gate }
}

impl Served {
    async fn connect(&self) -> Connection {
        Connection::open(self.port).await
    }

    /// One invocation on a connection of its own.
    async fn invoke(&self, function: &str, invocation: &str, value: &Value, framing: Framing) -> Response {
        let body = envelope(value).to_string();
        self.connect().await.post(&format!("/{function}"), invocation, body.as_bytes(), framing).await
    }

    async fn check(&self, function: &str, invocation: &str, value: &Value, expected: Verdict) {
        for framing in [Framing::Chunked, Framing::ContentLength] {
            let response = self.invoke(function, invocation, value, framing).await;
            assert_eq!(response.judge(), expected, "{framing:?} {value}");
        }
    }
}

fn subject(name: &str) -> String {
    format!(
        "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.ContainerInstance/containerGroups/{name}"
    )
}

fn event(name: &str) -> Value {
    event_of(WRITTEN, &subject(name))
}

fn event_of(event_type: &str, subject: &str) -> Value {
    json!({
        "id": "e1", "topic": "/subscriptions/s1", "subject": subject, "eventType": event_type,
        "eventTime": "2026-01-02T03:04:05.1234567Z", "dataVersion": "2", "metadataVersion": "1",
        "data": {"operationName": "Microsoft.ContainerInstance/containerGroups/write"}
    })
}

/// The body of the host: every value that is not an object is a string that contains JSON.
fn envelope(value: &Value) -> Value {
    let encode = |value: &Value| if value.is_object() { value.clone() } else { json!(value.to_string()) };
    let mut metadata = json!({
        "sys": {"MethodName": "f", "UtcNow": "2026-01-02T03:04:06.004275Z", "RandGuid": "35e6e68c"}
    });
    if let Some(data) = value.get("data") {
        metadata["data"] = encode(data);
    }
    json!({"Data": {"eventGridEvent": encode(value)}, "Metadata": metadata})
}

fn succeeded(logs: &[&str]) -> Verdict {
    Verdict::Succeeded(logs.iter().map(|line| (*line).to_owned()).collect())
}

#[test]
fn the_files_for_the_host_are_valid() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &Path| -> Value { serde_json::from_slice(&fs::read(path).unwrap()).unwrap() };
    let host = read(&root.join("host.json"));
    assert_eq!(host["version"], "2.0");
    assert!(host["customHandler"]["http"].get("routes").is_none());
    let executable = Path::new(env!("CARGO_BIN_EXE_aci-dns")).file_name().unwrap().to_str().unwrap();
    assert_eq!(host["customHandler"]["description"]["defaultExecutablePath"], executable);

    let folders = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path());
    let mut functions: Vec<_> = folders.filter(|folder| folder.join("function.json").exists()).collect();
    functions.sort();
    let names: Vec<_> =
        functions.iter().map(|folder| folder.file_name().unwrap().to_str().unwrap()).collect();
    assert_eq!(names, [RECONCILE, RETRY, SWEEP, DRIFT]);
    let trigger = |folder: &Path| {
        let event = json!({"type": "eventGridTrigger", "name": "eventGridEvent", "direction": "in"});
        let timer = json!({
            "type": "timerTrigger", "name": "timer", "direction": "in", "schedule": "%ACI_DNS_SWEEP_SCHEDULE%"
        });
        let queue = json!({
            "type": "queueTrigger", "name": "retry", "direction": "in", "queueName": "aci-dns-retry",
            "connection": "AzureWebJobsStorage"
        });
        match folder.file_name().unwrap().to_str().unwrap() {
            SWEEP => timer,
            RETRY => queue,
            _ => event,
        }
    };
    for folder in functions {
        let function = read(&folder.join("function.json"));
        let bindings = function["bindings"].as_array().unwrap();
        let is_trigger = |binding: &&Value| binding["type"].as_str().unwrap().ends_with("Trigger");
        let triggers: Vec<_> = bindings.iter().filter(is_trigger).collect();
        assert_eq!(triggers, [&trigger(&folder)]);
        for binding in bindings {
            let name = binding["name"].as_str().unwrap();
            assert!(name.starts_with(|first: char| first.is_ascii_alphabetic()), "{name}");
            assert!(name.len() <= 128 && name.chars().all(|letter| letter.is_ascii_alphanumeric()), "{name}");
        }
    }
}

#[test]
fn the_example_of_local_settings_is_valid() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("local.settings.json.example");
    let example: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let value = |name: &str| example["Values"][name].as_str().map(str::to_owned);
    assert_eq!(value("FUNCTIONS_WORKER_RUNTIME").as_deref(), Some("custom"));
    let asked = std::cell::RefCell::new(Vec::new());
    let settings = Settings::from_variables(|name| {
        asked.borrow_mut().push(name.to_owned());
        value(name)
    });
    assert_eq!(settings.unwrap().arm_endpoint.as_str(), "http://127.0.0.1:8181/");
    // Other spellings of displayed names.
    let others = ["ACI_DNS_SWEEP_SUBSCRIPTIONS", "https_proxy", "no_proxy"];
    // Settings of the app that updates images, whose folder has an example of its own.
    let images = ["ACI_DNS_IMAGES", "ACI_DNS_WEBHOOK_SECRET"];
    for name in
        asked.into_inner().iter().filter(|name| !others.iter().chain(&images).any(|other| other == name))
    {
        assert!(value(name).is_some(), "{name} is not shown");
    }
}

#[tokio::test]
async fn every_encoding_of_an_event_is_accepted() {
    let served = serve().await;
    let object = event("web");
    let encoded = |value: &Value| json!(value.to_string());
    let array = json!([object]);
    let cloud = json!({
        "specversion": "1.0", "id": "e1", "type": WRITTEN, "source": "/subscriptions/s1",
        "subject": subject("web"), "time": "2026-01-02T03:04:05Z", "extra": null
    });
    let bare = json!({"id": "e1", "eventType": WRITTEN, "subject": subject("web")});
    let string = encoded(&array);
    for value in [&object, &array, &cloud, &bare, &string] {
        let expected = succeeded(&["function_aci_reconcile saw web"]);
        served.check(RECONCILE, "forms", value, expected).await;
        served.check(DRIFT, "forms", value, succeeded(&["function_drift_tracker saw web"])).await;
    }
}

#[tokio::test]
async fn a_timer_is_answered_for_any_body() {
    let served = serve().await;
    let late = json!({
        "Schedule": {"AdjustForDST": true}, "IsPastDue": true,
        "ScheduleStatus": {"Last": "2026-01-01T00:00:00+00:00", "Next": "x", "LastUpdated": null},
    });
    for timer in [late, json!({"Schedule": null}), json!({}), json!("{}")] {
        let body = json!({"Data": {"timer": timer}, "Metadata": {"sys": {}}}).to_string();
        for framing in [Framing::Chunked, Framing::ContentLength] {
            let mut connection = served.connect().await;
            for _ in 0..2 {
                let response =
                    connection.post("/function_drift_sweep", "tick", body.as_bytes(), framing).await;
                assert_eq!(response.judge(), succeeded(&["the sweep saw everything"]));
            }
        }
    }
}

#[tokio::test]
async fn ignored_events_are_acknowledged() {
    let served = serve().await;
    let other = "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.Storage/storageAccounts/a";
    for (invocation, value, expected) in [
        (
            "ignored-type",
            event_of("Microsoft.Storage.BlobCreated", &subject("web")),
            "events of type \"Microsoft.Storage.BlobCreated\" are ignored",
        ),
        ("ignored-resource", event_of(WRITTEN, other), &format!("{other:?} is not a container group")),
        ("ignored-empty", json!([]), "the invocation carries no event"),
    ] {
        let response = served.invoke(RECONCILE, invocation, &value, Framing::Chunked).await;
        assert_eq!(response.judge(), succeeded(&[expected]));
        let lines = log::of_invocation(invocation);
        assert_eq!(
            (lines.len(), &lines[0]["outcome"], &lines[0]["level"]),
            (1, &json!("ignored"), &json!("info"))
        );
    }
}

#[tokio::test]
async fn a_deletion_is_reconciled_but_not_compared() {
    let served = serve().await;
    let value = event_of(DELETED, &subject("web"));
    served.check(DRIFT, "deleted", &value, succeeded(&["a deleted group cannot drift"])).await;
    served.check(RECONCILE, "deleted", &value, succeeded(&["function_aci_reconcile saw web"])).await;
}

#[tokio::test]
async fn a_malformed_event_is_answered_400() {
    let served = serve().await;
    for body in [
        "",
        "null",
        "{",
        "[]",
        "\"text\"",
        "{}",
        r#"{"Data":null}"#,
        r#"{"Data":{}}"#,
        r#"{"Data":{"eventGridEvent":null}}"#,
        r#"{"Data":{"eventGridEvent":"no json"}}"#,
        r#"{"Data":{"eventGridEvent":{}}}"#,
        r#"{"Data":{"eventGridEvent":[{"id":"1"}]}}"#,
    ] {
        for framing in [Framing::Chunked, Framing::ContentLength] {
            let response =
                served.connect().await.post("/function_aci_reconcile", "m", body.as_bytes(), framing).await;
            assert_eq!(response.judge(), Verdict::Failed(400, "malformed".into()), "{body}");
        }
    }
    let deep = "[".repeat(100_000);
    let response =
        served.connect().await.post("/function_aci_reconcile", "m", deep.as_bytes(), Framing::Chunked).await;
    assert_eq!(response.judge(), Verdict::Failed(400, "malformed".into()));
}

#[tokio::test]
async fn an_error_quotes_little_of_the_event() {
    let served = serve().await;
    let body = format!("{:?}", "a".repeat(1_000_000));
    let response = served
        .connect()
        .await
        .post("/function_aci_reconcile", "quote", body.as_bytes(), Framing::Chunked)
        .await;
    assert!(response.body.len() < 1000, "{}", response.body.len());
    assert!(log::of_invocation("quote")[0].to_string().len() < 1500);
}

#[tokio::test]
async fn the_most_severe_result_is_the_answer_and_each_event_has_its_line() {
    let served = serve().await;
    let groups = ["web", "malformed", "conflict", "failed", "unavailable"];
    let events = groups.map(|name| if name == "malformed" { json!({}) } else { event(name) });
    for (count, status, code) in
        [(2, 400, "malformed"), (3, 409, "conflict"), (4, 500, "failed"), (5, 503, "unavailable")]
    {
        let invocation = format!("gravest-{count}");
        let response = served.invoke(RECONCILE, &invocation, &json!(events[..count]), Framing::Chunked).await;
        assert_eq!(response.judge(), Verdict::Failed(status, code.into()));
        let lines = log::of_invocation(&invocation);
        let outcomes: Vec<_> = lines.iter().map(|line| line["outcome"].as_str().unwrap()).collect();
        assert_eq!(outcomes, ["converged", "malformed", "conflict", "failed", "unavailable"][..count]);
    }
    let value = json!([event("a"), event("b")]);
    let expected = ["function_aci_reconcile saw a", "function_aci_reconcile saw b"];
    served.check(RECONCILE, "all", &value, succeeded(&expected)).await;
}

#[tokio::test]
async fn the_events_of_an_array_are_handled_concurrently() {
    let served = serve().await;
    let value = json!([event("slow"), event("slow"), event("slow")]);
    let invoked = served.invoke(RECONCILE, "array", &value, Framing::Chunked);
    let opened = async {
        served.gate.arrival(3).await;
        served.gate.open(3);
    };
    let (response, ()) = tokio::join!(invoked, opened);
    let line = "function_aci_reconcile saw slow";
    assert_eq!(response.judge(), succeeded(&[line, line, line]));
}

#[tokio::test]
async fn a_panic_fails_its_event_but_not_the_process() {
    let served = serve().await;
    for name in ["panics", "panics-elsewhere"] {
        let value = json!([event("web"), event(name)]);
        let response = served.invoke(RECONCILE, name, &value, Framing::Chunked).await;
        assert_eq!(response.judge(), Verdict::Failed(500, "failed".into()));
        let lines = log::of_invocation(name);
        let outcomes: Vec<_> = lines.iter().map(|line| (&line["level"], &line["outcome"])).collect();
        assert_eq!(outcomes, [(&json!("info"), &json!("converged")), (&json!("error"), &json!("failed"))]);
        assert!(lines[1]["error"].as_str().unwrap().contains("panicked"), "{}", lines[1]);
    }
    served.check(RECONCILE, "after", &event("web"), succeeded(&["function_aci_reconcile saw web"])).await;
}

#[tokio::test]
async fn a_line_contains_invocation_and_trace() {
    let served = serve().await;
    served.invoke(RECONCILE, "83a33220-a921-460a-bec0-b3f043dcf1ff", &event("web"), Framing::Chunked).await;
    let lines = log::of_invocation("83a33220-a921-460a-bec0-b3f043dcf1ff");
    let [line] = lines.as_slice() else { panic!("one line, not {lines:?}") };
    for (name, expected) in [
        ("function.name", RECONCILE),
        ("trace.id", client::TRACE_ID),
        ("event.id", "e1"),
        ("event.time", "2026-01-02T03:04:05.1234567Z"),
        ("container_group.id", &subject("web")),
        ("outcome", "converged"),
    ] {
        assert_eq!(line[name], expected, "{name}");
    }
}

#[tokio::test]
async fn a_large_body_is_accepted_and_a_too_large_one_refused() {
    let served = serve().await;
    let mut large = event("web");
    large["data"]["text"] = json!("x".repeat(1_050_000));
    served.check(RECONCILE, "large", &large, succeeded(&["function_aci_reconcile saw web"])).await;
    let encoded = json!([large]);
    served.check(RECONCILE, "large", &encoded, succeeded(&["function_aci_reconcile saw web"])).await;

    let body = vec![b' '; BODY_LIMIT + 1];
    let response =
        served.connect().await.post("/function_aci_reconcile", "huge", &body, Framing::Chunked).await;
    assert_eq!(response.judge(), Verdict::Failed(413, "malformed".into()));
}

#[tokio::test]
async fn other_paths_and_methods_are_refused_and_never_redirected() {
    let served = serve().await;
    let mut connection = served.connect().await;
    for path in
        ["/other", "/function_aci_reconcile/", "/Function_Aci_Reconcile", "//", "/api/function_aci_reconcile"]
    {
        let response = connection.post(path, "m", b"{}", Framing::Chunked).await;
        assert_eq!(response.judge(), Verdict::Failed(404, "not_found".into()), "{path}");
    }
    let response = connection.post("/", "m", b"{}", Framing::Chunked).await;
    assert_eq!(response.judge(), Verdict::Failed(405, "method_not_allowed".into()));
    let response = connection.get("/function_aci_reconcile").await;
    assert_eq!(response.judge(), Verdict::Failed(405, "method_not_allowed".into()));
}

#[tokio::test]
async fn health_probes_write_no_line() {
    let served = serve().await;
    let mut connection = served.connect().await;
    for _ in 0..10 {
        assert_eq!(connection.get("/?ask-for-life").await.status, 200);
    }
    assert_eq!(log::that_hold("ask-for-life"), Vec::<String>::new());
}

#[tokio::test]
async fn fifty_concurrent_invocations_share_pooled_connections() {
    let served = serve().await;
    let (port, body) = (served.port, envelope(&event("web")).to_string());
    let one = async |_| {
        let mut connection = Connection::open(port).await;
        for _ in 0..4 {
            let response =
                connection.post("/function_aci_reconcile", "pool", body.as_bytes(), Framing::Chunked).await;
            assert_eq!(response.judge(), succeeded(&["function_aci_reconcile saw web"]));
        }
    };
    join_all((0..50).map(one)).await;
    assert_eq!(log::of_invocation("pool").len(), 200);
}

#[tokio::test]
async fn a_caller_that_disconnects_does_not_cancel_the_work() {
    let served = serve().await;
    let mut connection = served.connect().await;
    let body = envelope(&event("slow")).to_string();
    connection.send("/function_aci_reconcile", "hang-up", body.as_bytes(), Framing::Chunked).await;
    served.gate.arrival(1).await;
    drop(connection);
    settle().await;
    served.gate.open(1);
    let reported = async {
        while log::of_invocation("hang-up").is_empty() {
            settle().await;
        }
    };
    timeout(Duration::from_secs(5), reported).await.unwrap();
    assert_eq!(log::of_invocation("hang-up")[0]["outcome"], "changed");
}

/// Lets tasks with real sockets run until they wait again.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(50)).await;
}

/// Advances the clock.
async fn pass(seconds: u64) {
    settle().await;
    tokio::time::pause();
    tokio::time::advance(Duration::from_secs(seconds)).await;
    tokio::time::resume();
}

#[tokio::test]
async fn an_idle_connection_is_kept_and_an_unfinished_request_is_closed() {
    let served = serve().await;
    let mut connection = served.connect().await;
    let mut silent = served.connect().await;
    for _ in 0..2 {
        assert_eq!(connection.get("/").await.status, 200);
        pass(100).await;
    }
    assert!(silent.is_closed().await);
    assert_eq!(connection.get("/").await.status, 200);
}

#[tokio::test]
async fn a_body_that_does_not_arrive_times_out() {
    let served = serve().await;
    let mut connection = served.connect().await;
    connection.send_head("/function_aci_reconcile", "never", 10).await;
    pass(31).await;
    assert_eq!(connection.response().await.judge(), Verdict::Failed(408, "malformed".into()));
}

#[tokio::test]
async fn shutting_down_finishes_what_is_in_flight_and_serves_until_then() {
    let served = serve().await;
    let (mut idle, _unused) = (served.connect().await, served.connect().await);
    assert_eq!(idle.get("/").await.status, 200);
    let mut slow = served.connect().await;
    let body = envelope(&event("slow")).to_string();
    slow.send("/function_aci_reconcile", "last", body.as_bytes(), Framing::Chunked).await;
    served.gate.arrival(1).await;
    served.shutdown.send(()).unwrap();
    settle().await;
    assert!(!served.ended.is_finished());
    assert_eq!(Connection::open(served.port).await.get("/").await.status, 200);
    served.gate.open(1);
    assert_eq!(slow.response().await.judge(), succeeded(&["function_aci_reconcile saw slow"]));
    timeout(Duration::from_secs(3), served.ended).await.unwrap().unwrap();
    assert!(idle.is_closed().await);
}

#[tokio::test]
async fn a_shutdown_ends_after_its_grace_period() {
    let served = serve().await;
    let mut slow = served.connect().await;
    let body = envelope(&event("slow")).to_string();
    slow.send("/function_aci_reconcile", "cut", body.as_bytes(), Framing::Chunked).await;
    served.gate.arrival(1).await;
    served.shutdown.send(()).unwrap();
    pass(6).await;
    timeout(Duration::from_secs(3), served.ended).await.unwrap().unwrap();
}

#[tokio::test]
async fn the_router_answers_without_a_server_too() {
    let request = Request::post("/function_aci_reconcile").body(envelope(&event("web")).to_string()).unwrap();
    let response = functions(&Gate::new()).oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    let body = response.into_body().collect().await.unwrap().to_bytes();
    let expected = json!({"Outputs": {}, "Logs": ["function_aci_reconcile saw web"], "ReturnValue": null});
    assert_eq!(serde_json::from_slice::<Value>(&body).unwrap(), expected);
}
