//! The telemetry of a real process for Application Insights and Log Analytics, field by field, and its
//! handling when an endpoint fails.
//!
//! An Azure in memory is one process, the handler another; this test is the ingestion endpoints.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fs,
    io::Read as _,
    net::TcpListener as StdListener,
    process::Command,
    sync::{Arc, Mutex},
    thread,
};

use aci_dns::replay::stage::{RECONCILE, TRACK_DRIFT, envelope};
use axum::{
    Router,
    body::{Body, Bytes},
    extract::{Request, State},
    response::Response,
};
use flate2::read::GzDecoder;
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::processes::{Program, exchange, wait_for};

const TRACE: &str = "bb2bd5eef54cb15a1506d0326d2489e7";
const PARENT: &str = "d3f54c84c7034d76";
const KEY: &str = "11111111-2222-3333-4444-555555555555";

/// The reply of an ingestion endpoint.
#[derive(Clone, Debug)]
enum Reply {
    Answer(u16, Value),
    Retry(u16),
    /// Never answers.
    Silence,
}

/// A request that an ingestion endpoint received.
#[derive(Clone, Debug)]
struct Received {
    target: String,
    authorization: Option<String>,
    items: Vec<Value>,
}

/// An ingestion endpoint. After its prepared replies, it accepts everything.
#[derive(Clone, Debug, Default)]
struct Endpoint {
    replies: Arc<Mutex<VecDeque<Reply>>>,
    received: Arc<Mutex<Vec<Received>>>,
}

impl Endpoint {
    /// Serves on a separate thread; returns the port.
    fn start(replies: impl IntoIterator<Item = Reply>) -> (Self, u16) {
        let endpoint =
            Self { replies: Arc::new(Mutex::new(replies.into_iter().collect())), ..Self::default() };
        let listener = StdListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        let router = Router::new().fallback(Self::take).with_state(endpoint.clone());
        thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                axum::serve(listener, router).await.unwrap();
            });
        });
        (endpoint, port)
    }

    async fn take(State(endpoint): State<Self>, request: Request) -> Response {
        let (head, body) = request.into_parts();
        assert_eq!(head.headers["content-type"], "application/json");
        assert_eq!(head.headers["content-encoding"], "gzip");
        let mut text = String::new();
        let body = body.collect().await.unwrap().to_bytes();
        GzDecoder::new(&*body).read_to_string(&mut text).unwrap();
        let received = Received {
            target: head.uri.to_string(),
            authorization: head.headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()),
            items: serde_json::from_str(&text).unwrap(),
        };
        let count = received.items.len();
        endpoint.received.lock().unwrap().push(received);
        let reply = endpoint.replies.lock().unwrap().pop_front();
        let (status, retry_after, body) = match reply {
            Some(Reply::Silence) => std::future::pending().await,
            Some(Reply::Answer(status, body)) => (status, None, body),
            Some(Reply::Retry(status)) => (status, Some("0"), Value::Null),
            None => (200, None, json!({ "itemsReceived": count, "itemsAccepted": count, "errors": [] })),
        };
        let mut response = Response::builder().status(status);
        if let Some(retry_after) = retry_after {
            response = response.header("retry-after", retry_after);
        }
        response.body(Body::from(Bytes::from(body.to_string()))).unwrap()
    }

    fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }

    /// Everything that arrived, without the parts that differ from run to run; times are checked for their
    /// format.
    fn envelopes(&self) -> Vec<Value> {
        self.received().into_iter().flat_map(|received| received.items).map(steady).collect()
    }

    fn of_type(&self, name: &str) -> Vec<Value> {
        let name = format!("Microsoft.ApplicationInsights.{name}");
        self.envelopes().into_iter().filter(|envelope| envelope["name"] == *name).collect()
    }
}

/// An envelope without its times.
fn steady(mut envelope: Value) -> Value {
    let time = envelope["time"].take();
    let time = time.as_str().unwrap();
    assert!(time.len() == 24 && time.starts_with("20") && time.ends_with('Z'), "{time}");
    envelope.as_object_mut().unwrap().remove("time");
    let data = envelope["data"]["baseData"].as_object_mut().unwrap();
    if let Some(duration) = data.remove("duration") {
        assert!(duration.as_str().unwrap().starts_with("0.00:00:0"), "{duration}");
    }
    if let Some(properties) = data.get_mut("properties").and_then(Value::as_object_mut) {
        properties.remove("duration_ms");
    }
    envelope
}

/// An Azure in memory with one container group, and the variables of a handler.
struct Place {
    azure: Program,
    folder: TempDir,
    event: Value,
}

impl Place {
    fn new() -> Self {
        let folder = TempDir::new().unwrap();
        let arguments = ["simulate", "--port", "0", "--provisioning", "0", "--groups", "1", "--no-token"];
        let azure = Program::start(folder.path(), &arguments, &[]);
        let (_, events) = exchange(azure.port, "GET", "/simulator/events", "", b"").unwrap();
        let events: Vec<Value> = serde_json::from_str(&events).unwrap();
        Self { azure, folder, event: events[0].clone() }
    }

    fn serve(&self, variables: &[(&str, &str)]) -> Program {
        let azure = format!("http://127.0.0.1:{}", self.azure.port);
        let mut all = BTreeMap::from([
            ("ACI_DNS_ZONES", ZONES.to_owned()),
            ("ACI_DNS_ARM_ENDPOINT", format!("{azure}/")),
            ("IDENTITY_ENDPOINT", format!("{azure}/msi/token")),
            ("IDENTITY_HEADER", "simulator".to_owned()),
            ("WEBSITE_SITE_NAME", "func-dns".to_owned()),
            ("WEBSITE_INSTANCE_ID", "instance-1".to_owned()),
        ]);
        all.extend(variables.iter().map(|(name, value)| (*name, (*value).to_owned())));
        let all: Vec<_> = all.iter().map(|(name, value)| (*name, value.as_str())).collect();
        Program::start(self.folder.path(), &["serve", "--port", "0"], &all)
    }

    fn invoke(&self, handler: &Program, function: &str) -> u16 {
        let headers =
            format!("X-Azure-Functions-InvocationId: 83a33220\r\ntraceparent: 00-{TRACE}-{PARENT}-00\r\n");
        let body = envelope(function, &self.event).to_string();
        let path = format!("/{function}");
        exchange(handler.port, "POST", &path, &headers, body.as_bytes()).unwrap().0
    }

    /// A token as the identity endpoint issues it.
    fn token(&self, resource: &str) -> String {
        let path = format!("/msi/token?api-version=2019-08-01&resource={resource}");
        let headers = "X-IDENTITY-HEADER: simulator\r\n";
        let (_, answer) = exchange(self.azure.port, "GET", &path, headers, b"").unwrap();
        serde_json::from_str::<Value>(&answer).unwrap()["access_token"].as_str().unwrap().to_owned()
    }
}

const ZONES: &str = r#"{"rg-spoke1": {"forwardZone": "spoke1.contoso.internal",
    "reverseZones": ["1.10.in-addr.arpa"], "zoneResourceGroup": "rg-dns"}}"#;

/// Zones whose reverse zone does not contain the group's address.
const WRONG_ZONES: &str = r#"{"rg-spoke1": {"forwardZone": "spoke1.contoso.internal",
    "reverseZones": ["9.10.in-addr.arpa"], "zoneResourceGroup": "rg-dns"}}"#;

fn connection(port: u16) -> String {
    format!("InstrumentationKey={KEY};IngestionEndpoint=http://127.0.0.1:{port}/")
}

/// Lines of a handler about telemetry.
fn told_of_telemetry(handler: &Program) -> Vec<Value> {
    let lines = handler.stdout();
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| !line["telemetry.lost"].is_null()).collect()
}

#[test]
#[expect(
    clippy::too_many_lines,
    reason = "all that two invocations send, in the order in which it hangs together"
)]
fn each_event_is_a_span_below_the_hosts_with_its_requests_and_its_custom_event() {
    let place = Place::new();
    let (endpoint, port) = Endpoint::start([]);
    let mut handler = place.serve(&[("APPLICATIONINSIGHTS_CONNECTION_STRING", &connection(port))]);
    assert_eq!(place.invoke(&handler, RECONCILE), 200);
    assert_eq!(place.invoke(&handler, TRACK_DRIFT), 200);
    assert!(handler.terminate().success());

    for received in endpoint.received() {
        assert_eq!((received.target.as_str(), received.authorization), ("/v2.1/track", None));
    }
    for envelope in endpoint.envelopes() {
        assert_eq!(envelope["iKey"], KEY);
        assert_eq!(envelope["tags"]["ai.cloud.role"], "func-dns");
        assert_eq!(envelope["tags"]["ai.cloud.roleInstance"], "instance-1");
    }
    assert_eq!(endpoint.of_type("Request"), Vec::<Value>::new(), "the host has its own");
    assert_eq!(endpoint.of_type("Message"), Vec::<Value>::new(), "the line is the host's");

    let spans = endpoint.of_type("RemoteDependency");
    let is_event = |span: &&Value| span["data"]["baseData"]["type"] == "InProc";
    let events: Vec<_> = spans.iter().filter(is_event).collect();
    let [reconciled, tracked] = events[..] else { panic!("{events:#?}") };
    for span in [reconciled, tracked] {
        assert_eq!(span["tags"]["ai.operation.id"], TRACE);
        assert_eq!(span["tags"]["ai.operation.parentId"], PARENT);
    }
    let id = &place.event["subject"].as_str().unwrap().replace("resourcegroups", "resourceGroups");
    let properties = |span: &Value| span["data"]["baseData"]["properties"].clone();
    let common = |name: &str| {
        json!({
            "function.name": name,
            "invocation.id": "83a33220",
            "event.id": place.event["id"],
            "event.type": place.event["eventType"],
            "event.time": place.event["eventTime"],
            "container_group.id": id,
            "dns.fqdn": "web-1.spoke1.contoso.internal",
            "address": "10.1.5.4",
            "http.response.status_code": "200",
            "service.name": "func-dns",
            "service.instance.id": "instance-1",
            "service.version": env!("CARGO_PKG_VERSION"),
        })
    };
    let with = |mut properties: Value, more: Value| {
        let more = more.as_object().unwrap().clone();
        properties.as_object_mut().unwrap().extend(more);
        properties
    };
    assert_eq!(
        properties(reconciled),
        with(
            common(RECONCILE),
            json!({
                "outcome": "changed",
                "arm.calls": "7",
                "plan": "[\"+ A web-1.spoke1.contoso.internal 10.1.5.4\",\
                          \"+ PTR 4.5.1.10.in-addr.arpa web-1.spoke1.contoso.internal\"]",
                "message": "web-1.spoke1.contoso.internal: \
                            + A web-1.spoke1.contoso.internal 10.1.5.4; \
                            + PTR 4.5.1.10.in-addr.arpa web-1.spoke1.contoso.internal",
            })
        )
    );
    let drift = json!({
        "drift.event": "no_change",
        "drift.kinds": "[]",
        "dns.addresses": "[\"10.1.5.4\"]",
        "dns.ptr": "[\"web-1.spoke1.contoso.internal\"]",
    });
    let reported = json!({
        "outcome": "reported", "arm.calls": "3", "message": "web-1.spoke1.contoso.internal: no_change",
    });
    assert_eq!(properties(tracked), with(with(common(TRACK_DRIFT), drift.clone()), reported));
    let data = &reconciled["data"]["baseData"];
    assert_eq!(
        (&data["name"], &data["resultCode"], &data["success"], &reconciled["data"]["baseType"]),
        (&json!(RECONCILE), &json!("200"), &json!(true), &json!("RemoteDependencyData"))
    );

    let requests: Vec<_> = spans.iter().filter(|span| span["data"]["baseData"]["type"] == "HTTP").collect();
    let of = |event: &Value| {
        let parent = event["data"]["baseData"]["id"].clone();
        let children = requests.iter().filter(move |span| span["tags"]["ai.operation.parentId"] == parent);
        children.map(|span| {
            assert_eq!(span["tags"]["ai.operation.id"], TRACE);
            let data = &span["data"]["baseData"];
            let text = |key: &str| data[key].as_str().unwrap().to_owned();
            assert_eq!((text("target"), &data["success"]), ("127.0.0.1".to_owned(), &json!(true)));
            format!("{} {}", text("name"), text("resultCode"))
        })
    };
    let mut found: Vec<_> = of(reconciled).collect();
    found.sort();
    assert_eq!(
        found,
        [
            "GET A 200",
            "GET A 404",
            "GET PTR 404",
            "GET container group 200",
            "GET container group 200",
            "PUT A 201",
            "PUT PTR 201"
        ]
    );
    let mut found: Vec<_> = of(tracked).collect();
    found.sort();
    assert_eq!(found, ["GET A 200", "GET PTR 200", "GET container group 200"]);
    let put = requests.iter().find(|span| span["data"]["baseData"]["name"] == "PUT PTR").unwrap();
    assert_eq!(
        put["data"]["baseData"]["data"],
        format!(
            "http://127.0.0.1:{}/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-dns/\
             providers/Microsoft.Network/privateDnsZones/1.10.in-addr.arpa/PTR/4.5",
            place.azure.port
        )
    );
    assert_eq!(put["data"]["baseData"]["properties"]["attempt"], "1");

    let events = endpoint.of_type("Event");
    let expected = json!({
        "function.name": TRACK_DRIFT,
        "invocation.id": "83a33220",
        "event.id": place.event["id"],
        "container_group.id": id,
        "dns.fqdn": "web-1.spoke1.contoso.internal",
        "address": "10.1.5.4",
    });
    assert_eq!(
        events.iter().map(|event| &event["data"]).collect::<Vec<_>>(),
        [&json!({
            "baseType": "EventData",
            "baseData": { "ver": 2, "name": "no_change", "properties": with(expected, drift) },
        })]
    );
    assert_eq!(events[0]["tags"]["ai.operation.parentId"], tracked["data"]["baseData"]["id"]);

    let metrics = endpoint.of_type("Metric");
    let metric = |name: &str| {
        let is_it = |metric: &&Value| metric["data"]["baseData"]["metrics"][0]["name"] == *name;
        let metric = metrics.iter().find(is_it).unwrap_or_else(|| panic!("{name}: {metrics:#?}"));
        (metric["data"]["baseData"]["metrics"][0].clone(), metric["data"]["baseData"]["properties"].clone())
    };
    let found: BTreeSet<_> = metrics
        .iter()
        .map(|metric| metric["data"]["baseData"]["metrics"][0]["name"].as_str().unwrap().to_owned())
        .chain(["aci_dns.drift", "aci_dns.messages_stored", "aci_dns.unfinished.age_s"].map(str::to_owned))
        .collect();
    assert_eq!(found, fields(&["metrics"]), "nothing drifts and nothing is stored here, the rest is there");
    let (reconciliations, dimensions) = metric("aci_dns.reconciliations");
    assert_eq!((&reconciliations["value"], &dimensions["outcome"]), (&json!(1.0), &json!("changed")));
    assert_eq!(metric("aci_dns.arm.requests").0["value"], json!(10.0));
    for name in [
        "aci_dns.arm.throttles",
        "aci_dns.races_lost",
        "aci_dns.passes_shared",
        "aci_dns.telemetry.lost",
        "aci_dns.runs",
        "aci_dns.runs_waited_for",
        "aci_dns.throttled_zones",
    ] {
        assert_eq!(metric(name).0["value"], json!(0.0), "{name}");
    }
    let (latency, _) = metric("aci_dns.event_to_dns_ms");
    assert_eq!(latency["count"], 1);
    assert!((0.0..60_000.0).contains(&latency["value"].as_f64().unwrap()), "{latency}");
}

#[test]
fn a_failure_is_an_exception_with_its_causes() {
    let place = Place::new();
    let (endpoint, port) = Endpoint::start([]);
    let variables =
        [("APPLICATIONINSIGHTS_CONNECTION_STRING", &*connection(port)), ("ACI_DNS_ZONES", WRONG_ZONES)];
    let mut handler = place.serve(&variables);
    assert_eq!(place.invoke(&handler, RECONCILE), 500);
    assert!(handler.terminate().success());
    let exceptions = endpoint.of_type("Exception");
    let [exception] = &exceptions[..] else { panic!("{exceptions:#?}") };
    let data = &exception["data"]["baseData"];
    assert_eq!(
        data["exceptions"],
        json!([{
            "typeName": "aci_dns.failed",
            "message": "no reverse zone of ACI_DNS_ZONES contains 10.1.5.4, the address of \
                        web-1.spoke1.contoso.internal; add one, or tag the container group with aci-dns-ptr=false",
        }])
    );
    assert_eq!(data["properties"]["outcome"], "failed");
    assert_eq!(data["properties"]["dns.fqdn"], "web-1.spoke1.contoso.internal");
    assert_eq!(exception["tags"]["ai.operation.id"], TRACE);
    let spans = endpoint.of_type("RemoteDependency");
    let span = spans.iter().find(|span| span["data"]["baseData"]["type"] == "InProc").unwrap();
    assert_eq!(exception["tags"]["ai.operation.parentId"], span["data"]["baseData"]["id"]);
    assert_eq!(span["data"]["baseData"]["success"], false);
    assert_eq!(span["data"]["baseData"]["resultCode"], "500");
}

#[test]
fn telemetry_carries_a_token_if_the_resource_requires_one() {
    let place = Place::new();
    let (endpoint, port) = Endpoint::start([]);
    let mut handler = place.serve(&[
        ("APPLICATIONINSIGHTS_CONNECTION_STRING", &connection(port)),
        ("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", "Authorization=AAD"),
    ]);
    assert_eq!(place.invoke(&handler, RECONCILE), 200);
    assert!(handler.terminate().success());
    let token = place.token("https%3A%2F%2Fmonitor.azure.com%2F");
    let received = endpoint.received();
    assert!(!received.is_empty());
    for received in received {
        assert_eq!(received.authorization, Some(format!("Bearer {token}")));
    }
    assert!(!handler.stdout().contains(&token));
}

/// A handler that reconciles once and ends, with an ingestion endpoint that gives these replies first.
fn after_a_reconciliation(replies: impl IntoIterator<Item = Reply>) -> (Place, Endpoint, Program) {
    let place = Place::new();
    let (endpoint, port) = Endpoint::start(replies);
    let mut handler = place.serve(&[("APPLICATIONINSIGHTS_CONNECTION_STRING", &connection(port))]);
    assert_eq!(place.invoke(&handler, RECONCILE), 200);
    assert!(handler.terminate().success());
    (place, endpoint, handler)
}

#[test]
fn telemetry_that_is_accepted_later_is_not_lost() {
    for status in [408, 429, 500, 503] {
        let (_place, endpoint, handler) = after_a_reconciliation([Reply::Retry(status)]);
        assert_eq!(told_of_telemetry(&handler), Vec::<Value>::new(), "{status}");
        let received = endpoint.received();
        assert_eq!(received[0].items, received[1].items, "{status}: the same again");
    }
}

#[test]
fn after_a_partly_accepted_request_only_the_rest_is_repeated() {
    let errors = json!([
        { "index": 1, "statusCode": 429, "message": "later" },
        { "index": 2, "statusCode": 400, "message": "never" },
    ]);
    let partly = Reply::Answer(206, json!({ "itemsReceived": 8, "itemsAccepted": 6, "errors": errors }));
    let (_place, endpoint, handler) = after_a_reconciliation([partly]);
    let received = endpoint.received();
    assert_eq!(received[0].items.len(), 8);
    assert_eq!(received[1].items, received[0].items[1..2]);
    let lines = told_of_telemetry(&handler);
    assert_eq!(lines[0]["telemetry.lost"], 1, "{lines:?}");
}

#[test]
fn lost_telemetry_is_counted_and_logged_once() {
    // An exhausted quota.
    let (_place, endpoint, handler) = after_a_reconciliation([Reply::Answer(402, Value::Null)]);
    let lines = told_of_telemetry(&handler);
    let lost = endpoint.received()[0].items.len();
    assert_eq!(lost, 8);
    let levels: Vec<_> = lines.iter().map(|line| (&line["level"], &line["telemetry.lost"])).collect();
    assert_eq!(levels[0], (&json!("warn"), &json!(lost)));
    let message = "telemetry for Application Insights cannot be delivered";
    assert_eq!(lines.iter().filter(|line| line["message"] == message).count(), 1, "{lines:?}");
}

#[test]
fn an_unreachable_endpoint_delays_neither_an_invocation_nor_the_end() {
    let silence = || Endpoint::start(std::iter::repeat_n(Reply::Silence, 100)).1;
    let closed = || StdListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for port in [silence(), closed()] {
        let place = Place::new();
        let mut handler = place.serve(&[("APPLICATIONINSIGHTS_CONNECTION_STRING", &connection(port))]);
        for _ in 0..20 {
            assert_eq!(place.invoke(&handler, RECONCILE), 200);
        }
        // `terminate` waits for a minute at most, the exporter repeats for half of one.
        let started = std::time::Instant::now();
        assert!(handler.terminate().success());
        assert!(started.elapsed().as_secs() < 15, "{:?}", started.elapsed());
        assert_eq!(handler.stderr(), "");
    }
}

/// The names for queries.
fn fields(path: &[&str]) -> BTreeSet<String> {
    let fields: Value = serde_json::from_str(include_str!("../../infra/queries/fields.json")).unwrap();
    let names = path.iter().fold(&fields, |fields, name| &fields[*name]).as_array().unwrap();
    names.iter().map(|name| name.as_str().unwrap().to_owned()).collect()
}

const LOGS: [(&str, &str); 2] =
    [("ACI_DNS_LOGS_RULE_ID", "dcr-1234"), ("ACI_DNS_LOGS_STREAM", "Custom-AciDnsDrift")];

/// A handler that tracks drift once, with a data collection endpoint that gives these replies first.
fn after_drift(replies: impl IntoIterator<Item = Reply>) -> (Place, Endpoint, Program, u16) {
    let place = Place::new();
    let (endpoint, port) = Endpoint::start(replies);
    let url = format!("http://127.0.0.1:{port}");
    let [rule, stream] = LOGS;
    let handler = place.serve(&[("ACI_DNS_LOGS_ENDPOINT", &url), rule, stream]);
    let status = place.invoke(&handler, TRACK_DRIFT);
    (place, endpoint, handler, status)
}

#[test]
fn drift_is_a_row_in_log_analytics() {
    let (place, endpoint, _handler, status) = after_drift([Reply::Answer(204, Value::Null)]);
    assert_eq!(status, 200);
    let received = endpoint.received();
    let [received] = &received[..] else { panic!("{received:#?}") };
    assert_eq!(
        received.target,
        "/dataCollectionRules/dcr-1234/streams/Custom-AciDnsDrift?api-version=2023-01-01"
    );
    let token = place.token("https%3A%2F%2Fmonitor.azure.com");
    assert_eq!(received.authorization, Some(format!("Bearer {token}")));
    let mut row = received.items[0].clone();
    let columns: BTreeSet<_> = row.as_object().unwrap().keys().cloned().collect();
    assert_eq!(columns, fields(&["tables", "AciDnsDrift_CL"]));
    let time = row["TimeGenerated"].take();
    assert!(time.as_str().unwrap().ends_with('Z'), "{time}");
    let id = place.event["subject"].as_str().unwrap().replace("resourcegroups", "resourceGroups");
    assert_eq!(
        row,
        json!({
            "TimeGenerated": null,
            "Event": "first_seen",
            "Kinds": [],
            "ContainerGroupId": id,
            "SubscriptionId": "00000000-0000-0000-0000-000000000000",
            "ResourceGroup": "rg-spoke1",
            "ContainerGroup": "web-1",
            "Fqdn": "web-1.spoke1.contoso.internal",
            "Address": "10.1.5.4",
            "DnsAddresses": [],
            "Ptr": [],
            "EventId": place.event["id"],
            "InvocationId": "83a33220",
        })
    );
}

#[test]
fn a_row_is_sent_again_while_the_service_is_busy() {
    let (_, endpoint, _handler, status) = after_drift([Reply::Retry(429), Reply::Retry(503)]);
    assert_eq!((status, endpoint.received().len()), (200, 3));
}

#[test]
fn an_invocation_whose_row_is_not_stored_has_failed() {
    let refusal = json!({ "error": { "code": "OperationFailed", "message": "no access" } });
    let (_place, endpoint, handler, status) = after_drift([Reply::Answer(403, refusal)]);
    assert_eq!((status, endpoint.received().len()), (503, 1));
    let line = wait_for("a line", || {
        let lines = handler.stdout();
        let lines = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.into_iter().find(|line| line["outcome"] == "unavailable")
    });
    assert_eq!(
        line["error"],
        "Log Analytics answered 403 Forbidden to the row (the identity needs Monitoring Metrics Publisher on the \
         data collection rule): OperationFailed: no access"
    );
    assert_eq!(line["drift.event"], "first_seen");
}

#[test]
fn a_replay_writes_telemetry_with_the_times_of_its_events() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("telemetry.jsonl");
    let mut command = Command::new(env!("CARGO_BIN_EXE_aci-dns"));
    command.args(["replay", "--telemetry"]).arg(&file).arg("tests/events");
    command.current_dir(env!("CARGO_MANIFEST_DIR")).env_clear();
    assert_eq!(command.output().unwrap().status.code(), Some(0));

    let written = fs::read_to_string(file).unwrap();
    let envelopes: Vec<Value> = written.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let text = |value: &Value, pointer: &str| {
        value.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned()
    };
    let (events, others): (Vec<_>, Vec<_>) =
        envelopes.iter().partition(|envelope| text(envelope, "/data/baseData/type") == "InProc");
    let invocations: BTreeSet<_> =
        events.iter().map(|event| text(event, "/data/baseData/properties/invocation.id")).collect();
    assert_eq!((events.len(), invocations.len()), (13, 13));
    let mut latest = String::new();
    for event in events {
        // A late event follows the one that overtook it.
        let raised = text(event, "/data/baseData/properties/event.time");
        latest = latest.max(raised);
        let time = text(event, "/time");
        assert_eq!(time.get(..19), latest.get(..19), "{event:#}");
        let id = text(event, "/data/baseData/id");
        let requests = others.iter().filter(|other| text(other, "/tags/ai.operation.parentId") == id);
        let calls = text(event, "/data/baseData/properties/arm.calls");
        assert_eq!(requests.count().to_string(), calls, "{event:#}");
    }
    assert!(others.iter().any(|other| text(other, "/data/baseType") == "MetricData"));
}
