//! The entry points of fuzzers, and the properties that hold for any input: used by the tests here and by the
//! targets in `fuzz`.
//!
//! * An invocation with any body is answered with a status of the contract and a JSON object, and logged.
//! * Any settings are accepted, or refused with mistakes that name their variable.
//! * For any answer of Resource Manager, the client ends within its deadline, reports only those objects as
//!   missing that Azure says are missing, omits nothing that can be represented, and reports no write as
//!   failed that may have happened.

use std::{
    collections::BTreeMap,
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};

use aci_dns::{
    azure::{
        arm::{Arm, ArmError, ArmSettings, Kind, Writer},
        http_transport::HttpTransport,
        tokens::Tokens,
    },
    config::{LogFilter, Settings},
    decide::desired::Desired,
    domain::{
        container_group::AddressState,
        dns::{Content, ETag, Metadata, Precondition, PtrTarget, RecordSet, RecordType, RelativeName, Zone},
        resource_id::ContainerGroupId,
    },
    functions,
    reconcile::Clock,
    replay::stage::{RECONCILE, TRACK_DRIFT, envelope},
    telemetry::{self, Telemetry},
};
use axum::body::Body;
use azure_simulator::{Azure, GroupSpec};
use bytes::Bytes;
use http::{Request, Response};
use http_body_util::BodyExt as _;
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use tokio::time::Instant;
use tower::ServiceExt as _;

/// The subscription of the sample events.
const SUBSCRIPTION: &str = "5f0c6bd4-2f5c-4c3b-9a51-3d8f0f1a9b10";
const DEADLINE: Duration = Duration::from_secs(25);
/// The tolerance for a clock in milliseconds.
const TICK: Duration = Duration::from_millis(5);

const EVENTS: [&str; 13] = [
    include_str!("../../events/01-create.json"),
    include_str!("../../events/02-create-second-group-cloudevents.json"),
    include_str!("../../events/03-restart.json"),
    include_str!("../../events/04-restart-delivered-twice.json"),
    include_str!("../../events/05-move.json"),
    include_str!("../../events/06-stop.json"),
    include_str!("../../events/07-start.json"),
    include_str!("../../events/08-recreate-before-its-delete-arrives.json"),
    include_str!("../../events/09-late-delete-after-recreate.json"),
    include_str!("../../events/10-delete.json"),
    include_str!("../../events/11-foreign-resource.json"),
    include_str!("../../events/12-exec-into-a-container.json"),
    include_str!("../../events/13-resource-notification.json"),
];

/// Runs on a paused clock.
fn run(future: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.unwrap().block_on(future);
}

/// The sample events in the encodings of the Functions host: plain, in a string, and in a string in a string.
pub(crate) fn invocation_seeds() -> Vec<Vec<u8>> {
    let mut seeds = vec![];
    for (index, event) in EVENTS.iter().enumerate() {
        let mut event: Value = serde_json::from_str(event).unwrap();
        for _ in 0..index % 3 {
            event = Value::String(event.to_string());
        }
        seeds.push(envelope(RECONCILE, &event).to_string().into_bytes());
    }
    seeds
}

/// Invokes both functions with a body.
pub(crate) fn invocation(body: &[u8]) {
    for function in [RECONCILE, TRACK_DRIFT] {
        run(invoke(function, body));
    }
}

async fn invoke(function: &str, body: &[u8]) {
    let azure = Azure::default();
    azure.configure(|settings| settings.require_token = false);
    azure.create_resource_group(SUBSCRIPTION, "rg-spoke1");
    assert!(azure.set_address_range(SUBSCRIPTION, "rg-spoke1", "10.1.5.0/24"));
    for zone in ["spoke1.internal", "1.10.in-addr.arpa"] {
        azure.create_zone(SUBSCRIPTION, "rg-dns", zone);
    }
    let web = GroupSpec { subscription: SUBSCRIPTION.to_owned(), ..GroupSpec::new("rg-spoke1", "web") };
    azure.create_group(web);

    let zones = r#"{"*": {"forwardZone": "spoke1.internal", "reverseZones": ["1.10.in-addr.arpa"],
        "zoneResourceGroup": "rg-dns"}}"#;
    let settings =
        Settings::from_variables(|name| (name == "ACI_DNS_ZONES").then(|| zones.to_owned())).unwrap();
    let clock = Clock::new({
        let azure = azure.clone();
        move || azure.unix_seconds()
    });
    let router = functions::router(
        settings,
        arm(HttpTransport::embedded(azure.router())),
        clock,
        &Telemetry::default(),
    );
    let lines: Arc<Mutex<Vec<String>>> = Arc::default();
    let sink = lines.clone();
    let subscriber =
        telemetry::subscriber(&LogFilter::default(), move |line| sink.lock().unwrap().push(line.to_owned()));
    let _guard = tracing::subscriber::set_default(subscriber);

    let started = Instant::now();
    let request = Request::post(format!("/{function}")).body(Body::from(body.to_vec())).unwrap();
    let response = router.oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let answer = response.into_body().collect().await.unwrap().to_bytes();
    assert!(started.elapsed() <= DEADLINE + TICK, "{:?}", started.elapsed());
    check_answer(status, &answer);

    let lines = lines.lock().unwrap();
    let outcomes = lines.iter().filter(|line| {
        assert!(!line.contains(['\n', '\r', '\u{1b}']), "{line:?}");
        let line: Value = serde_json::from_str(line).unwrap();
        line.as_object().unwrap().contains_key("outcome")
    });
    assert_ne!(outcomes.count(), 0, "nothing was logged");
}

fn check_answer(status: u16, answer: &[u8]) {
    let body: Value = serde_json::from_slice(answer).unwrap();
    if status == 200 {
        let logs = body["Logs"].as_array().unwrap();
        assert!(!logs.is_empty() && logs.iter().all(Value::is_string), "{body}");
        assert_eq!(body, json!({"Outputs": {}, "Logs": logs, "ReturnValue": null}));
    } else {
        assert!([400, 409, 413, 500, 503].contains(&status), "{status}");
        let text = |key: &str| body["error"][key].as_str().filter(|text| !text.is_empty()).unwrap();
        assert_eq!(body, json!({"error": {"code": text("code"), "message": text("message")}}));
        assert!(!text("message").contains("bug in this program"), "{body}");
    }
}

/// Settings with every variable, one after the other.
pub(crate) fn settings_seeds() -> Vec<Vec<u8>> {
    let zones = json!({
        "rg-spoke1": {"forwardZone": "spoke1.contoso.internal", "reverseZones": ["1.10.in-addr.arpa", "5.1.10.in-addr.arpa"],
            "zoneSubscriptionId": "00000000-0000-0000-0000-000000000000", "zoneResourceGroup": "rg-dns", "ttl": 60,
            "policy": "observe", "ownership": "adopt", "groups": ["web*", "api"], "addressRanges": ["10.1.0.0/16"],
            "hostnames": ["portal", "api-*"], "formerZones": ["old.contoso.internal"]},
        "00000000-0000-0000-0000-000000000000/rg-*": {"forwardZone": "b.internal", "reverseZones": []},
        "*": {"forwardZone": "c.internal", "reverseZones": ["10.in-addr.arpa"]},
    });
    let zones = format!("ACI_DNS_ZONES={zones}");
    let small = r#"ACI_DNS_ZONES={"*": {"forwardZone": "a.internal", "reverseZones": []}}"#;
    let all = [
        "ACI_DNS_OWNERSHIP=strict",
        "ACI_DNS_POLICY=upsert-only",
        "ACI_DNS_STOPPED=keep",
        "ACI_DNS_ADDRESS_WAIT_SECONDS=7",
        "ACI_DNS_DEADLINE_SECONDS=28",
        "ACI_DNS_SUBSCRIPTIONS=00000000-0000-0000-0000-000000000000",
        "ACI_DNS_RETRY_QUEUE=https://stacidns.queue.core.chinacloudapi.cn/aci-dns-retry",
        "ACI_DNS_RECHECK_SECONDS=300",
        "HTTPS_PROXY=http://user:password@proxy:3128",
        "NO_PROXY=10.0.0.0/8",
        "ACI_DNS_MAX_CONCURRENCY=8",
        "ACI_DNS_ARM_ENDPOINT=http://127.0.0.1:8181",
        "ACI_DNS_CLOUD=china",
        "AZURE_CLIENT_ID=00000000-0000-0000-0000-000000000001",
        "APPLICATIONINSIGHTS_CONNECTION_STRING=InstrumentationKey=k;EndpointSuffix=a.b;Location=w",
        "ACI_DNS_LOGS_ENDPOINT=https://e.ingest.monitor.azure.com",
        "ACI_DNS_LOGS_RULE_ID=dcr-0",
        "ACI_DNS_LOGS_STREAM=Custom-Drift_CL",
        "RUST_LOG=warn,aci_dns[event{container_group.id=web}]=debug",
    ]
    .join("\0");
    [zones.clone(), format!("{small}\0{all}"), format!("{zones}\0{all}")].map(String::into_bytes).to_vec()
}

/// Reads settings: `NAME=value`, separated by null characters.
pub(crate) fn settings(text: &[u8]) {
    const NAMES: [&str; 20] = [
        "ACI_DNS_SUBSCRIPTIONS",
        "ACI_DNS_RETRY_QUEUE",
        "ACI_DNS_RECHECK_SECONDS",
        "HTTPS_PROXY",
        "NO_PROXY",
        "ACI_DNS_ZONES",
        "ACI_DNS_OWNERSHIP",
        "ACI_DNS_POLICY",
        "ACI_DNS_STOPPED",
        "ACI_DNS_ADDRESS_WAIT_SECONDS",
        "ACI_DNS_DEADLINE_SECONDS",
        "ACI_DNS_MAX_CONCURRENCY",
        "ACI_DNS_ARM_ENDPOINT",
        "ACI_DNS_CLOUD",
        "AZURE_CLIENT_ID",
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        "ACI_DNS_LOGS_ENDPOINT",
        "ACI_DNS_LOGS_RULE_ID",
        "ACI_DNS_LOGS_STREAM",
        "RUST_LOG",
    ];
    let text = String::from_utf8_lossy(text);
    let variables: BTreeMap<&str, &str> =
        text.split('\0').filter_map(|variable| variable.split_once('=')).collect();
    match Settings::from_variables(|name| variables.get(name).map(|value| (*value).to_owned())) {
        Ok(settings) => {
            assert!(settings.address_wait < settings.deadline);
            for group in ["rg-spoke1", "rg-a", "x"] {
                let id = ContainerGroupId::new("s1", group, "web").unwrap();
                let Some(zones) = settings.zones.serving(&id) else { continue };
                let fqdn = Desired::of_absent(&id, &zones).fqdn();
                assert!(PtrTarget::from(&fqdn).name() == Some(fqdn));
                assert!((1..=2_147_483_647).contains(&zones.ttl));
            }
        }
        Err(error) => {
            assert!(!error.mistakes.is_empty());
            for mistake in error.mistakes.iter().map(ToString::to_string) {
                let after = NAMES.iter().filter_map(|name| mistake.strip_prefix(name));
                assert!(after.into_iter().any(|rest| rest.starts_with([':', '.', '['])), "{mistake:?}");
                assert!(!mistake.contains(char::is_control), "{mistake:?}");
            }
        }
    }
}

const STATUSES: [u16; 20] =
    [200, 404, 201, 202, 204, 206, 301, 400, 401, 403, 408, 409, 410, 412, 422, 429, 500, 502, 503, 504];
const WAITS: [&str; 8] =
    ["0", "1", "60", "1000000000000", "18446744073709551615", "-1", "Fri, 31 Feb 9999 25:00:00 GMT", "soon"];

/// The delivery of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delivery {
    Whole,
    Truncated,
    Lost,
    Silent,
}

/// One repeated answer: its first byte selects the status, its second the delivery, the rest is the body.
#[derive(Clone, Debug)]
struct Answers {
    status: u16,
    delivery: Delivery,
    wait: Option<(&'static str, &'static str)>,
    body: Bytes,
    /// The body, as far as it is JSON.
    said: Value,
    /// The number of requests, and the body of the last.
    seen: Arc<Mutex<(usize, Bytes)>>,
}

impl Answers {
    fn new(data: &[u8]) -> Self {
        let (head, body) = data.split_at(data.len().min(2));
        let byte = |index: usize| usize::from(head.get(index).copied().unwrap_or_default());
        let delivery = match byte(1) % 16 {
            13 => Delivery::Truncated,
            14 => Delivery::Lost,
            15 => Delivery::Silent,
            _ => Delivery::Whole,
        };
        let header = ["retry-after", "retry-after-ms"][byte(1) / 16 % 2];
        let wait = (byte(1) >= 16).then(|| (header, WAITS[byte(1) / 32]));
        Self {
            status: STATUSES[byte(0) % STATUSES.len()],
            delivery,
            wait,
            body: Bytes::copy_from_slice(body),
            said: serde_json::from_slice(body).unwrap_or_default(),
            seen: Arc::default(),
        }
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, io::Error> {
        /// An endless list ends here.
        const MOST: usize = 40;
        let sent = request.into_body().collect().await.unwrap().to_bytes();
        let count = {
            let mut seen = self.seen.lock().unwrap();
            *seen = (seen.0 + 1, sent);
            seen.0
        };
        if count > MOST {
            return Ok(Response::new(Body::from(r#"{"value": []}"#)));
        }
        let mut response = Response::builder().status(self.status);
        if let Some((header, text)) = self.wait {
            response = response.header(header, text);
        }
        let body = match self.delivery {
            Delivery::Lost => return Err(io::ErrorKind::ConnectionReset.into()),
            Delivery::Silent => std::future::pending().await,
            Delivery::Whole => Body::from(self.body),
            Delivery::Truncated => {
                let frames = [Ok(self.body), Err(io::Error::from(io::ErrorKind::UnexpectedEof))];
                Body::from_stream(futures::stream::iter(frames))
            }
        };
        Ok(response.body(body).unwrap())
    }

    fn writer(&self) -> Writer {
        *self.seen.lock().unwrap() = Default::default();
        let answers = self.clone();
        let http_transport =
            HttpTransport::embedded(tower::service_fn(move |request| answers.clone().answer(request)));
        arm(http_transport).invocation(Instant::now() + DEADLINE)
    }

    fn is_whole(&self, status: u16) -> bool {
        self.delivery == Delivery::Whole && self.status == status
    }

    /// Whether the answer is this error, with one of these codes.
    fn is_absence(&self, codes: &[&str]) -> bool {
        let error = if self.said["error"].is_object() { &self.said["error"] } else { &self.said };
        let code = error["code"].as_str().unwrap_or_default().to_ascii_lowercase();
        self.is_whole(404) && codes.contains(&code.as_str())
    }

    /// Whether a write with this answer may have happened.
    fn is_uncertain(&self) -> bool {
        matches!(self.delivery, Delivery::Lost | Delivery::Silent)
            || (200..300).contains(&self.status)
            || self.status == 408
            || self.status >= 500
    }
}

fn arm(http_transport: HttpTransport) -> Arm {
    let settings = ArmSettings {
        endpoint: "https://management.azure.com/".parse().unwrap(),
        scope: "https://management.azure.com/.default".to_owned(),
        jitter_seed: 1,
    };
    Arm::new(settings, http_transport, Tokens::fixed("token"))
}

/// Answers of Azure: groups, record sets, lists and errors, with their statuses.
pub(crate) fn arm_answer_seeds() -> Vec<Vec<u8>> {
    let record_set = |record_type: &str, name: &str, records: Value| {
        let key = if record_type == "A" { "aRecords" } else { "ptrRecords" };
        json!({"id": format!("/subscriptions/s1/{name}"), "name": name, "etag": "e1",
            "type": format!("Microsoft.Network/privateDnsZones/{record_type}"),
            "properties": {"fqdn": "x.", "ttl": 60, "isAutoRegistered": false,
                "metadata": {"aci-dns-owner": "s1/rg/web", "costs": "42"}, key: records}})
    };
    let a = record_set("A", "web", json!([{"ipv4Address": "10.1.5.4"}]));
    let ptr = record_set("PTR", "4.5", json!([{"ptrdname": "web.spoke1.internal"}, {"ptrdname": "Other."}]));
    let next = "https://management.azure.com/subscriptions/s1/resourceGroups/rg/providers/Microsoft.Network/privateDnsZones/z/A?$skiptoken=1";
    let group = json!({"name": "web", "tags": {"aci-dns-ttl": "30"}, "properties": {
        "provisioningState": "Succeeded", "instanceView": {"state": "Running"},
        "containers": [{"name": "c", "properties": {"instanceView": {"currentState": {"state": "Running"}}}}],
        "ipAddress": {"ports": [], "ip": "10.1.5.4", "type": "Private"}}});
    let error = |code: &str| json!({"error": {"code": code, "message": "no"}});
    let bodies = [
        (0, group),
        (0, a.clone()),
        (0, ptr.clone()),
        (0, json!({"value": [a.clone(), record_set("A", "@", json!([]))], "nextLink": next})),
        (0, json!({"value": [ptr]})),
        (2, a),
        (1, error("ResourceNotFound")),
        (1, json!({"code": "NotFound", "message": "The resource record 'web' does not exist"})),
        (1, error("ParentResourceNotFound")),
        (11, error("Conflict")),
        (13, json!({"code": "PreconditionFailed", "message": "etag"})),
        (15, error("TooManyRequests")),
        (16, error("InternalServerError")),
    ];
    let seed = |(status, body): (u8, Value)| [vec![status, 0], body.to_string().into_bytes()].concat();
    bodies.into_iter().map(seed).collect()
}

/// Calls every operation of the client with this answer.
pub(crate) fn arm_answer(data: &[u8]) {
    let answers = Answers::new(data);
    run(async {
        within_deadline(read_group(&answers)).await;
        within_deadline(read_record_sets(&answers)).await;
        within_deadline(list(&answers)).await;
        within_deadline(write(&answers)).await;
    });
}

/// Each of these sends at most three requests.
async fn within_deadline(asks: impl Future<Output = ()>) {
    let started = Instant::now();
    asks.await;
    assert!(started.elapsed() <= 4 * (DEADLINE + TICK), "{:?}", started.elapsed());
}

fn zone() -> Zone {
    Zone { subscription: "s1".into(), resource_group: "rg".into(), name: "spoke1.internal".parse().unwrap() }
}

fn name() -> RelativeName {
    "web".parse().unwrap()
}

async fn read_group(answers: &Answers) {
    let id = ContainerGroupId::new("s1", "rg", "web").unwrap();
    match answers.writer().reader().container_group(&id).await {
        Ok(None) => assert!(answers.is_absence(&[
            "containergroupnotfound",
            "resourcenotfound",
            "notfound",
            "resourcegroupnotfound"
        ])),
        // JSON with a number that is too large, in a field that is not read.
        Ok(Some(_)) if answers.said.is_null() => {
            assert!(serde_json::from_slice::<IgnoredAny>(&answers.body).is_ok());
        }
        Ok(Some(group)) => {
            assert!(answers.is_whole(200) && answers.said["properties"].is_object());
            let text = answers.said.to_string().to_ascii_lowercase();
            let says = |word: &str| assert!(text.contains(word), "the error does not contain {word}: {text}");
            match AddressState::of(Some(&group)) {
                AddressState::Deleted => panic!("a group that is there is not gone"),
                AddressState::Deleting => says("\"deleting\""),
                AddressState::Public => says("\"public\""),
                AddressState::Released => {
                    assert!(text.contains("\"stopped\"") || text.contains("\"terminated\""));
                }
                AddressState::Running(address) => says(&address.to_string()),
                AddressState::NoAddress => assert!(answers.said["properties"]["ipAddress"].is_null()),
                AddressState::StandbyPool => says("\"preprovisioned\""),
                AddressState::ProvisioningFailed => says("\"failed\""),
                AddressState::Pending => {}
            }
        }
        Err(_) => {}
    }
}

async fn read_record_sets(answers: &Answers) {
    let writer = answers.writer();
    let read = writer.reader().a_record_set(&zone(), &name()).await;
    if let Some(set) = check_read(answers, read) {
        let addresses: Vec<Value> =
            set.content.records.iter().map(|record| json!({"ipv4Address": record.to_string()})).collect();
        let said = said_records(answers, "aRecords");
        assert_eq!(addresses.len(), said.len());
        // The content that was read is sent back: the client does not change foreign content.
        let precondition = Precondition::Unchanged(set.etag.clone());
        drop(writer.put_a_record_set(&zone(), &name(), &set.content, &precondition).await);
        check_sent(answers);
    }
    let writer = answers.writer();
    let read = writer.reader().ptr_record_set(&zone(), &name()).await;
    if let Some(set) = check_read(answers, read) {
        let targets: Vec<_> = set.content.records.iter().map(PtrTarget::as_str).collect();
        let said = said_records(answers, "ptrRecords");
        assert_eq!(json!(targets), said.iter().map(|record| record["ptrdname"].clone()).collect::<Value>());
        drop(writer.put_ptr_record_set(&zone(), &name(), &set.content, &Precondition::Absent).await);
        check_sent(answers);
    }
}

fn said_records(answers: &Answers, key: &str) -> Vec<Value> {
    answers.said["properties"][key].as_array().cloned().unwrap_or_default()
}

fn check_read<Record>(
    answers: &Answers,
    read: Result<Option<RecordSet<Record>>, ArmError>,
) -> Option<RecordSet<Record>> {
    let found = read.ok()?;
    let Some(set) = found else {
        assert!(answers.is_absence(&["notfound", "resourcenotfound"]));
        return None;
    };
    assert!(answers.is_whole(200));
    // In a field that is not read, a value may have any type.
    if answers.said.is_null() {
        return None;
    }
    let properties = &answers.said["properties"];
    assert_eq!(answers.said["etag"], set.etag.as_str());
    assert_eq!(properties["ttl"], set.content.ttl);
    assert_eq!(said_metadata(&answers.said), json!(set.content.metadata));
    Some(set)
}

fn said_metadata(record_set: &Value) -> Value {
    let metadata = &record_set["properties"]["metadata"];
    if metadata.is_null() { json!({}) } else { metadata.clone() }
}

/// The last body equals the answer.
fn check_sent(answers: &Answers) {
    let sent = answers.seen.lock().unwrap().1.clone();
    // A write with an ETag that is not a valid header is not sent.
    if let Ok(sent) = serde_json::from_slice::<Value>(&sent) {
        assert_eq!(said_metadata(&sent), said_metadata(&answers.said));
        assert_eq!(sent["properties"]["ttl"], answers.said["properties"]["ttl"]);
    }
}

async fn list(answers: &Answers) {
    let listed = answers.writer().reader().list_a_record_sets(&zone()).await;
    let is_address = |record: &Value| {
        record["ipv4Address"].as_str().is_some_and(|address| address.parse::<Ipv4Addr>().is_ok())
    };
    let names = listed.map(|sets| sets.into_iter().map(|(name, _)| name).collect());
    check_list(answers, names, "aRecords", is_address);
    let listed = answers.writer().reader().list_ptr_record_sets(&zone()).await;
    let names = listed.map(|sets| sets.into_iter().map(|(name, _)| name).collect());
    check_list(answers, names, "ptrRecords", |record| record["ptrdname"].is_string());
}

/// A list is an error, or complete except for record sets that cannot be represented.
fn check_list(
    answers: &Answers,
    listed: Result<Vec<RelativeName>, ArmError>,
    key: &str,
    is_record: impl Fn(&Value) -> bool,
) {
    let Ok(listed) = listed else { return };
    assert!(answers.is_whole(200));
    if answers.said.is_null() {
        return;
    }
    let elements = answers.said["value"].as_array().expect("a list without elements is not an empty list");
    for element in elements {
        let name = element["name"].as_str().expect("an element without a name is not left out");
        if let Ok(name) = name.parse() {
            let is_representable = is_representable(&element["properties"], key, &is_record);
            assert!(listed.contains(&name) || !is_representable, "{name} is left out");
        }
    }
}

/// Whether properties of a record set have a TTL, only text in their metadata, and only such records under the key.
fn is_representable(properties: &Value, key: &str, is_record: impl Fn(&Value) -> bool) -> bool {
    let is_ttl = properties["ttl"].as_u64().is_some_and(|ttl| u32::try_from(ttl).is_ok());
    let metadata = &properties["metadata"];
    let is_text = metadata.is_null()
        || metadata.as_object().is_some_and(|metadata| metadata.values().all(Value::is_string));
    is_ttl && is_text && properties[key].as_array().into_iter().flatten().all(is_record)
}

async fn write(answers: &Answers) {
    let content = Content { ttl: 60, records: vec![Ipv4Addr::LOCALHOST], metadata: Metadata::new() };
    let etag = ETag::from("e".to_owned());
    let precondition = Precondition::Unchanged(etag.clone());
    match answers.writer().put_a_record_set(&zone(), &name(), &content, &precondition).await {
        Ok(etag) => {
            assert!(answers.is_whole(200) || answers.is_whole(201));
            assert!(answers.said.is_null() || answers.said["etag"] == etag.as_str());
        }
        Err(error) => check_failed_write(answers, &error),
    }
    match answers.writer().delete_record_set(RecordType::A, &zone(), &name(), &etag).await {
        Ok(()) => {
            let is_arrived = matches!(answers.delivery, Delivery::Whole | Delivery::Truncated);
            let is_done = is_arrived && [200, 204].contains(&answers.status);
            assert!(is_done || answers.is_absence(&["notfound", "resourcenotfound"]));
        }
        Err(error) => check_failed_write(answers, &error),
    }
}

fn check_failed_write(answers: &Answers, error: &ArmError) {
    if answers.is_uncertain() {
        assert_eq!(error.kind(), Kind::Uncertain, "{error}");
    } else if answers.status == 412 {
        assert_eq!(error.kind(), Kind::Race, "{error}");
    }
}
