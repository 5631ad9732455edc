//! A small world: an embedded Azure with a forward zone, a reverse zone and a subnet, and the handler.
//!
//! Record sets, plans and requests are compared as whole texts, so that a test covers everything. Every
//! invocation is checked for the common rules: the form of the answer, one log line for each event, and the
//! fields of every line.

use std::{
    cell::Cell,
    collections::BTreeMap,
    net::Ipv4Addr,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use aci_dns::{
    config::{LogFilter, Settings, Takeover},
    replay::stage::{HandlerAnswer, Lines, RECONCILE, Stage, TRACK_DRIFT},
};
use azure_simulator::{Azure, Effect, Fault, FaultAnswer, Gate, GroupSpec, RecordSetSpec, When};
use http::Method;
use serde_json::{Value, json};
use tokio::{task::JoinHandle, time::Instant};
use tracing::subscriber::DefaultGuard;

pub(crate) const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";
pub(crate) const FORWARD: &str = "spoke1.contoso.internal";
pub(crate) const REVERSE: &str = "1.10.in-addr.arpa";
/// The start of simulated time.
pub(crate) const EPOCH: u64 = 1_767_225_600;
/// The retry queue.
pub(crate) const QUEUE: &str = "aci-dns-retry";
/// Where the Functions host moves the messages that failed too often.
pub(crate) const POISON: &str = "aci-dns-retry-poison";
/// How long a request takes where round trips are counted.
const LATENCY: Duration = Duration::from_millis(10);

/// The embedded Azure and the first instance of the handler.
pub(crate) struct World {
    pub(crate) azure: Azure,
    pub(crate) stage: Stage,
    settings: BTreeMap<String, String>,
    lines: Lines,
    events: Cell<u32>,
    _subscriber: DefaultGuard,
}

impl World {
    /// A world in which `rg-spoke1` (10.1.5.0/24) and `rg-spoke2` (10.1.6.0/24) are mapped to the two zones. Unmarked
    /// record sets are adopted, and a tag may choose any name, unless the settings say otherwise.
    pub(crate) fn new(settings: &[(&str, &str)]) -> Self {
        Self::on(Azure::default(), settings)
    }

    fn on(azure: Azure, settings: &[(&str, &str)]) -> Self {
        for (group, range) in [("rg-spoke1", "10.1.5.0/24"), ("rg-spoke2", "10.1.6.0/24")] {
            azure.create_resource_group(SUBSCRIPTION, group);
            assert!(azure.set_address_range(SUBSCRIPTION, group, range));
        }
        for zone in [FORWARD, REVERSE] {
            azure.create_zone(SUBSCRIPTION, "rg-dns", zone);
        }
        let zones = json!({"forwardZone": FORWARD, "reverseZones": [REVERSE], "zoneResourceGroup": "rg-dns",
            "hostnames": ["*"]});
        let map = json!({"rg-spoke1": zones, "rg-spoke2": zones}).to_string();
        let adopt = ("ACI_DNS_OWNERSHIP".to_owned(), "adopt".to_owned());
        let mut all = BTreeMap::from([("ACI_DNS_ZONES".to_owned(), map), adopt]);
        all.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let lines = Lines::default();
        let subscriber = tracing::subscriber::set_default(lines.subscriber(&LogFilter::default()));
        let stage = stage(&azure, &all);
        Self { azure, stage, settings: all, lines, events: Cell::new(0), _subscriber: subscriber }
    }

    /// A world with a retry queue, which exists.
    pub(crate) fn with_queue(settings: &[(&str, &str)]) -> Self {
        let azure = Azure::default();
        azure.create_queue(QUEUE);
        let queue = azure.queue_url("http://127.0.0.1:8181", QUEUE);
        let settings: Vec<_> =
            [("ACI_DNS_RETRY_QUEUE", queue.as_str())].into_iter().chain(settings.iter().copied()).collect();
        Self::on(azure, &settings)
    }

    /// One more instance of the handler on the same Azure, where these settings are different.
    pub(crate) fn instance(&self, settings: &[(&str, &str)]) -> Stage {
        let mut all = self.settings.clone();
        all.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        stage(&self.azure, &all)
    }

    /// One more instance of the handler on the same Azure, as an operator's command configures it.
    pub(crate) fn operated(&self, takeover: Takeover) -> Stage {
        let settings = Settings::from_variables(|name| self.settings.get(name).cloned()).unwrap();
        Stage::new(Settings { takeover, ..settings }, self.azure.clone())
    }

    /// Creates `web` in `rg-spoke1`, or `rg-spoke2/web`, provisioned at once.
    pub(crate) fn create(&self, name: &str) {
        self.create_as(name, |_| ());
    }

    /// Creates a group with this address.
    pub(crate) fn create_at(&self, name: &str, last: u8) {
        self.create(name);
        self.azure.set_address(&id(name), address(last)).unwrap();
    }

    /// Creates a group that is described further.
    pub(crate) fn create_as(&self, name: &str, describe: impl FnOnce(&mut GroupSpec)) {
        let (group, name) = split(name);
        let mut spec = GroupSpec::new(group, name);
        describe(&mut spec);
        self.azure.create_group(spec);
    }

    /// Creates a group with these tags.
    pub(crate) fn create_tagged(&self, name: &str, tags: &[(&str, &str)]) {
        self.create_as(name, |spec| spec.tags = pairs(tags));
    }

    pub(crate) fn tag(&self, name: &str, tags: &[(&str, &str)]) {
        self.azure.set_tags(&id(name), pairs(tags)).unwrap();
    }

    /// Moves a group to this address.
    pub(crate) fn move_to(&self, name: &str, last: u8) {
        self.azure.set_address(&id(name), address(last)).unwrap();
    }

    pub(crate) fn delete(&self, name: &str) {
        self.azure.delete_group(&id(name)).unwrap();
    }

    /// Writes a record set as a person would: `A web 60 10.1.5.4 owner=web`, in the form of [`World::records`]
    /// but with a relative name.
    pub(crate) fn put(&self, record_set: &str) {
        put(&self.azure, record_set);
    }

    /// Every record set of every zone except their SOA and [noise](World::add_noise), sorted, one text for
    /// each.
    pub(crate) fn records(&self) -> Vec<String> {
        let zones = self.azure.read(|view| {
            let zones = view.zones().into_iter();
            zones.flat_map(|zone| view.record_sets(&zone)).collect::<Vec<_>>()
        });
        let managed =
            zones.iter().filter(|set| set.record_type != "SOA" && !set.metadata.contains_key("noise"));
        let mut records: Vec<_> = managed.map(|set| brief(&set.to_string())).collect();
        records.sort();
        records
    }

    /// Checks that exactly these record sets exist.
    #[track_caller]
    pub(crate) fn has(&self, expected: &[&str]) {
        let mut expected = expected.to_vec();
        expected.sort_unstable();
        assert_eq!(self.records(), expected);
    }

    /// Many foreign record sets in both zones.
    pub(crate) fn add_noise(&self, count: u32) {
        for number in 0..count {
            let (high, low) = (number / 250 + 100, number % 250);
            let forward = RecordSetSpec::new("A", &format!("other-{number}"), &["192.168.0.1"]);
            let reverse = RecordSetSpec::new("PTR", &format!("{low}.{high}"), &["other.contoso.internal"]);
            for (zone, spec) in [(FORWARD, forward), (REVERSE, reverse)] {
                self.azure.put_record_set(zone, &spec.with_metadata("noise", "yes")).unwrap();
            }
        }
    }

    /// An event of a group, as short as Event Grid allows: a delete event if the group does not exist.
    pub(crate) fn event(&self, name: &str) -> Value {
        let is_deleted = self.azure.read(|view| view.group(&id(name)).is_none());
        let verb = if is_deleted { "Delete" } else { "Write" };
        self.event_of(&format!("Microsoft.Resources.Resource{verb}Success"), name)
    }

    pub(crate) fn event_of(&self, event_type: &str, name: &str) -> Value {
        self.events.set(self.events.get() + 1);
        json!({
            "id": format!("event-{}", self.events.get()), "subject": id(name), "eventType": event_type,
            "eventTime": "2026-01-01T00:00:00Z", "dataVersion": "2", "metadataVersion": "1",
            "data": {"resourceUri": id(name)},
        })
    }

    /// Delivers an event for a group to the reconciler.
    pub(crate) async fn reconcile(&self, name: &str) -> Done {
        self.deliver(RECONCILE, &self.event(name)).await
    }

    /// Delivers an event of this type for a group to the reconciler.
    pub(crate) async fn reconcile_as(&self, event_type: &str, name: &str) -> Done {
        let event = self.event_of(&format!("Microsoft.Resources.{event_type}"), name);
        self.deliver(RECONCILE, &event).await
    }

    /// Delivers an event for a group to the drift tracker.
    pub(crate) async fn drift(&self, name: &str) -> Done {
        self.deliver(TRACK_DRIFT, &self.event(name)).await
    }

    /// Delivers an event, or an array of events, and reads the log lines that follow.
    pub(crate) async fn deliver(&self, function: &str, event: &Value) -> Done {
        drop(self.lines.take());
        let answer = self.stage.invoke(function, event).await;
        let mut lines = self.take_lines();
        // Not those of a background retry, or of another event whose invocation ended meanwhile.
        let other = |id: &str| id.starts_with("event-") && !event.to_string().contains(&format!("\"{id}\""));
        lines.retain(|line| {
            let is_background = line["event.id"].is_null() && line["invocation.id"].is_null();
            !is_background && !line["event.id"].as_str().is_some_and(other)
        });
        Self::done_with(answer, lines)
    }

    /// Starts to deliver an event for a group to an instance of the handler.
    pub(crate) fn start(&self, stage: &Stage, name: &str) -> JoinHandle<HandlerAnswer> {
        let (stage, event) = (stage.clone(), self.event(name));
        tokio::spawn(async move { stage.invoke(RECONCILE, &event).await })
    }

    /// The result in an answer and the log lines since the last delivery.
    #[track_caller]
    pub(crate) fn done(&self, answer: HandlerAnswer) -> Done {
        let lines = self.take_lines();
        Self::done_with(answer, lines)
    }

    #[track_caller]
    fn done_with(answer: HandlerAnswer, lines: Vec<Value>) -> Done {
        let done = Done { status: answer.status, body: answer.body, lines };
        done.check_shape();
        done
    }

    /// The lines since the last call that report an event.
    pub(crate) fn take_lines(&self) -> Vec<Value> {
        let lines = self.lines.take().into_iter().filter(|line| line.contains_key("outcome"));
        lines.map(Value::Object).collect()
    }

    /// Fails these requests from now on.
    pub(crate) fn fail(&self, method: Method, path: &str, status: u16, code: &str) {
        self.fail_times(method, path, u64::MAX, FaultAnswer::new(status, code));
    }

    pub(crate) fn fail_times(&self, method: Method, path: &str, times: u64, answer: FaultAnswer) {
        let effect = Effect::Answer(When::Before, answer);
        self.azure.inject(Fault { times, ..Fault::once(method, path, effect) });
    }

    /// Loses the answer to the next of these requests.
    pub(crate) fn lose(&self, method: Method, path: &str, when: When) {
        self.azure.inject(Fault::once(method, path, Effect::Drop(when)));
    }

    /// Holds all of these requests until the gate is opened.
    pub(crate) fn hold_all(&self, method: Method, path: &str) -> Gate {
        let gate = Gate::new();
        let effect = Effect::Hold(When::Before, gate.clone());
        self.azure.inject(Fault { times: u64::MAX, ..Fault::once(method, path, effect) });
        gate
    }

    /// Calls a function when the nth of these requests arrives, before any effect.
    pub(crate) fn at(
        &self,
        method: Method,
        path: &'static str,
        nth: usize,
        act: impl Fn(&Azure) + Send + 'static,
    ) {
        self.at_each(method, path, move |azure, count| {
            if count == nth {
                act(azure);
            }
        });
    }

    /// Calls a function whenever one of these requests arrives; they are counted from 1.
    pub(crate) fn at_each(
        &self,
        method: Method,
        path: &'static str,
        act: impl Fn(&Azure, usize) + Send + 'static,
    ) {
        let (azure, count) = (self.azure.clone(), AtomicUsize::new(0));
        self.azure.set_interceptor(Box::new(move |call| {
            if call.method == method && call.path.ends_with(path) {
                act(&azure, count.fetch_add(1, Ordering::SeqCst) + 1);
            }
            None
        }));
    }

    /// The requests to Resource Manager since the last call: `5 GET + 2 PUT`.
    pub(crate) fn calls(&self) -> String {
        let mut counts = [("GET", 0), ("LIST", 0), ("PUT", 0), ("DELETE", 0)];
        for call in self.azure.calls() {
            let kind = match call.method.as_str() {
                "GET" if ["/A", "/PTR", "/containerGroups"].iter().any(|end| call.path.ends_with(end)) => {
                    "LIST"
                }
                method => method,
            };
            counts.iter_mut().find(|(known, _)| *known == kind).unwrap().1 += 1;
        }
        self.azure.clear_calls();
        let counts = counts.iter().filter(|(_, count)| *count > 0);
        counts.map(|(kind, count)| format!("{count} {kind}")).collect::<Vec<_>>().join(" + ")
    }

    /// The writes since the last reset, in the order of their arrival: `PUT A web`.
    pub(crate) fn writes(&self) -> Vec<String> {
        let writes = self.azure.calls().into_iter().filter(|call| call.method != Method::GET);
        let show = |call: azure_simulator::Call| {
            let path: Vec<&str> = call.path.rsplitn(3, '/').collect();
            format!("{} {} {}", call.method, path[1], path[0])
        };
        let writes = writes.map(show).collect();
        self.azure.clear_calls();
        writes
    }

    /// Delivers an event for a group, and returns its cost: requests, and sequential round trips.
    pub(crate) async fn cost(&self, function: &str, name: &str) -> (String, u128) {
        self.azure.configure(|settings| settings.latency = LATENCY);
        self.azure.clear_calls();
        let started = Instant::now();
        let answer = self.stage.invoke(function, &self.event(name)).await;
        // A confirmation is sent three seconds after the first read: the earlier round trips take place
        // meanwhile.
        let round_trips = started.elapsed().as_millis() % 3000 / LATENCY.as_millis();
        self.azure.configure(|settings| settings.latency = Duration::ZERO);
        assert_eq!(self.done(answer).status, 200);
        (self.calls(), round_trips)
    }
}

/// Advances the paused clock.
pub(crate) async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

fn stage(azure: &Azure, settings: &BTreeMap<String, String>) -> Stage {
    Stage::new(Settings::from_variables(|name| settings.get(name).cloned()).unwrap(), azure.clone())
}

/// Writes a record set as a person would.
pub(crate) fn put(azure: &Azure, record_set: &str) {
    let mut words = record_set.split(' ');
    let [record_type, name, ttl, values] = [(); 4].map(|()| words.next().unwrap());
    let zone = if record_type == "A" { FORWARD } else { REVERSE };
    let mut spec = RecordSetSpec::new(record_type, name, &values.split(',').collect::<Vec<_>>());
    spec.ttl = ttl.parse().unwrap();
    for word in words {
        match word.split_once('=') {
            None if word == "auto" => spec.is_auto_registered = true,
            Some(("owner", name)) if name.starts_with("service:") => {
                let (group, label) = split(name.trim_start_matches("service:"));
                let mark = format!("service:{SUBSCRIPTION}/{group}/{label}");
                spec = spec.with_metadata("aci-dns-owner", &mark);
            }
            Some(("owner", name)) => {
                let (group, name) = split(name);
                spec = spec.with_metadata("aci-dns-owner", &format!("{SUBSCRIPTION}/{group}/{name}"));
            }
            Some(("previous", entries)) => {
                let absolute = entries.split('+').map(|entry| {
                    let (address, seconds) = entry.split_once('@').unwrap();
                    format!("{address}@{}", EPOCH + seconds.parse::<u64>().unwrap())
                });
                spec = spec.with_metadata("aci-dns-previous", &absolute.collect::<Vec<_>>().join(" "));
            }
            Some((key, value)) => spec = spec.with_metadata(key, value),
            None => panic!("{word:?} in {record_set:?}"),
        }
    }
    azure.put_record_set(zone, &spec).unwrap();
}

/// A record set's text with short marks (`owner=web`) and with the times of previous addresses in seconds
/// since the start (`previous=10.1.5.4@300`).
fn brief(text: &str) -> String {
    let text = text.replace(&format!("aci-dns-owner={SUBSCRIPTION}/rg-spoke1/"), "owner=");
    let text = text.replace(&format!("aci-dns-owner=service:{SUBSCRIPTION}/rg-spoke1/"), "owner=service:");
    let text = text.replace(&format!("aci-dns-owner=service:{SUBSCRIPTION}/"), "owner=service:");
    let text = text.replace(&format!("aci-dns-owner={SUBSCRIPTION}/"), "owner=");
    let Some((before, after)) = text.split_once("aci-dns-previous=") else { return text };
    let (memory, rest): (Vec<_>, Vec<_>) = after.split(' ').partition(|word| word.contains('@'));
    let entries = memory.iter().map(|entry| {
        let (address, seconds) = entry.split_once('@').unwrap();
        format!("{address}@{}", seconds.parse::<u64>().unwrap() - EPOCH)
    });
    let memory = format!("previous={}", entries.collect::<Vec<_>>().join("+"));
    let words = std::iter::once(memory.as_str()).chain(rest);
    format!("{before}{}", words.collect::<Vec<_>>().join(" "))
}

fn pairs(tags: &[(&str, &str)]) -> BTreeMap<String, String> {
    tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}

fn split(name: &str) -> (&str, &str) {
    name.split_once('/').unwrap_or(("rg-spoke1", name))
}

/// The resource id of `web` in `rg-spoke1`, or of `rg-spoke2/web`.
pub(crate) fn id(name: &str) -> String {
    let (group, name) = split(name);
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/Microsoft.ContainerInstance/containerGroups/{name}"
    )
}

pub(crate) fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, 5, last)
}

/// The desired A record set of a group at 10.1.5.x.
pub(crate) fn a(name: &str, last: u8) -> String {
    format!("A {name}.{FORWARD} 60 10.1.5.{last} owner={name}")
}

/// The desired PTR record set of a group at 10.1.5.x.
pub(crate) fn ptr(name: &str, last: u8) -> String {
    format!("PTR {last}.5.{REVERSE} 60 {name}.{FORWARD} owner={name}")
}

/// The result of an invocation.
#[derive(Debug)]
pub(crate) struct Done {
    pub(crate) status: u16,
    pub(crate) body: Value,
    /// The lines that report an event.
    pub(crate) lines: Vec<Value>,
}

impl Done {
    /// The line of the only event.
    #[track_caller]
    pub(crate) fn line(&self) -> &Value {
        assert_eq!(self.lines.len(), 1, "{self:#?}");
        &self.lines[0]
    }

    /// Checks the status.
    #[track_caller]
    pub(crate) fn is_status(&self, status: u16) {
        assert_eq!(self.status, status, "{:#}", self.line());
    }

    /// Checks the status, the outcome and the plan.
    #[track_caller]
    pub(crate) fn is(&self, status: u16, outcome: &str, plan: &[&str]) -> &Self {
        let line = self.line();
        assert_eq!((self.status, line["outcome"].as_str().unwrap()), (status, outcome), "{line:#}");
        assert_eq!(self.list("plan"), plan, "{line:#}");
        self
    }

    /// Checks that the event failed for a reason that contains this text.
    #[track_caller]
    pub(crate) fn because(&self, text: &str) -> &Self {
        let error = self.text("error");
        assert!(error.contains(text), "{error:?} does not say {text:?}");
        self
    }

    #[track_caller]
    pub(crate) fn list(&self, field: &str) -> Vec<&str> {
        let list = self.line()[field].as_array().into_iter().flatten();
        list.map(|element| element.as_str().unwrap()).collect()
    }

    #[track_caller]
    pub(crate) fn text(&self, field: &str) -> &str {
        self.line()[field].as_str().unwrap_or_default()
    }

    /// The common rules of every invocation.
    #[track_caller]
    fn check_shape(&self) {
        if self.status == 200 {
            let logs: Vec<_> = self.lines.iter().map(|line| line["message"].clone()).collect();
            // Log lines are in the order in which events end, and answers in the order of arrival.
            assert_eq!(self.body["Logs"].as_array().map(Vec::len), Some(logs.len()), "{self:#?}");
            assert!(logs.iter().all(|log| self.body["Logs"].as_array().unwrap().contains(log)), "{self:#?}");
            let rest = json!({"Outputs": {}, "Logs": self.body["Logs"], "ReturnValue": null});
            assert_eq!(self.body, rest);
        } else {
            let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
            assert_eq!(keys(&self.body), ["error"]);
            assert_eq!(keys(&self.body["error"]), ["code", "message"]);
            assert_ne!(self.body["error"]["message"], "");
        }
        for line in &self.lines {
            for field in [
                "timestamp",
                "level",
                "message",
                "function.name",
                "invocation.id",
                "event.id",
                "container_group.id",
                "outcome",
                "duration_ms",
                "arm.calls",
            ] {
                assert!(line.get(field).is_some(), "{field} is missing in {line:#}");
            }
            let outcome = line["outcome"].as_str().unwrap();
            let is_failure =
                ["malformed", "conflict", "failed", "unavailable", "deferred"].contains(&outcome);
            assert_eq!(line.get("error").is_some(), is_failure, "{line:#}");
            assert!(
                line.as_object().unwrap().values().all(|value| !value.is_object()),
                "{line:#} is not flat"
            );
        }
    }
}
