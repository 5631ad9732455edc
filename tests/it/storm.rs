//! Storms: ten thousand events within seconds, three instances, and the throttles of Private DNS.
//!
//! Event Grid delivers unacknowledged events again, on its own schedule. On the paused clock, a minute of
//! throttle costs only the work in it. Required: the records are right within ten minutes and the work is done within
//! twenty, no write is wasted, throttled requests wait, events of one group share passes, groups of another zone do not
//! wait, and no state is left in memory.

mod lists;
mod weather;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    io,
    net::Ipv4Addr,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aci_dns::{
    azure::{
        arm::{Arm, ArmSettings},
        http_transport::HttpTransport,
        tokens::Tokens,
    },
    config::Settings,
    functions::Functions,
    reconcile::{Clock, Reconciler, coalesce::Load},
    replay::{
        queue_trigger::{QueueHost, QueueOptions, QueueTrigger},
        stage::{RECONCILE, RETRY, envelope},
    },
    sweep::Sweeper,
    telemetry::Telemetry,
};
use axum::{Router, body::Body};
use azure_simulator::{Azure, ConnectionDropped, GroupSpec, Throttles, View};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use bytes::Bytes;
use fastrand::Rng;
use http::{Method, Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::{Value, json};
use tokio::{
    task::Id,
    time::{Instant, sleep},
};
use tower::ServiceExt as _;

const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";
const FORWARD: &str = "contoso.internal";
const REVERSE: &str = "1.10.in-addr.arpa";
/// The zones of groups that no storm is about.
const QUIET: [&str; 2] = ["quiet.internal", "2.10.in-addr.arpa"];
const ZONES: &str = r#"{
    "rg": {"forwardZone": "contoso.internal", "reverseZones": ["1.10.in-addr.arpa"], "zoneResourceGroup": "rg-dns"},
    "rg-rival": {"forwardZone": "contoso.internal", "reverseZones": ["1.10.in-addr.arpa"], "zoneResourceGroup": "rg-dns"},
    "rg-shared": {"forwardZone": "fabrikam.internal", "reverseZones": ["1.10.in-addr.arpa"], "zoneResourceGroup": "rg-dns"},
    "rg-quiet": {"forwardZone": "quiet.internal", "reverseZones": ["2.10.in-addr.arpa"], "zoneResourceGroup": "rg-dns"}}"#;

/// The number of groups. Of ten groups, two are created, three move, one is deleted, and four do not change.
#[derive(Clone, Copy, Debug)]
struct Size(usize);

impl Size {
    fn created(self) -> usize {
        self.0 / 5
    }

    fn moved(self) -> usize {
        self.0 * 3 / 10
    }

    fn deleted(self) -> usize {
        self.0 / 10
    }
}

pub(crate) const QUEUE: &str = "aci-dns-retry";
/// Instead of a variable: no retry queue.
const WITHOUT_QUEUE: (&str, &str) = ("", "");
const EVENTS_PER_GROUP: usize = 20;
const INSTANCES: usize = 3;

/// A request to Resource Manager from an instance of the handler.
#[derive(Clone, Debug)]
struct Sent {
    /// The instance, and its task for one group, if it is one.
    by: (usize, Option<Id>),
    arrived: Instant,
    answered: Instant,
    method: Method,
    path: String,
    is_forgetting: bool,
    status: StatusCode,
    retry_after: Option<Duration>,
}

impl Sent {
    /// The zone, if it is a request to Private DNS.
    fn zone(&self) -> Option<&'static str> {
        [FORWARD, REVERSE].into_iter().find(|zone| self.path.contains(&format!("/privateDnsZones/{zone}/")))
    }

    fn is_list(&self) -> bool {
        self.method == Method::GET && (self.path.ends_with("/A") || self.path.ends_with("/PTR"))
    }
}

/// What the instances sent to Resource Manager, and how many messages they stored.
#[derive(Clone, Default)]
pub(crate) struct Wiretap {
    sent: Arc<Mutex<Vec<Sent>>>,
    stored: Arc<AtomicUsize>,
}

pub(crate) struct Instance {
    router: Router,
    pub(crate) reconciler: Arc<Reconciler>,
    pub(crate) sweeper: Arc<Sweeper>,
    /// The host that takes messages from the retry queue.
    pub(crate) queue_host: QueueHost,
}

impl Instance {
    pub(crate) fn start(number: usize, azure: &Azure, wiretap: &Wiretap, variables: &[(&str, &str)]) -> Self {
        let queue = azure.queue_url("http://127.0.0.1:8181", QUEUE);
        let settings = Settings::from_variables(|name| match name {
            // The figures below are those of an invocation of this length.
            "ACI_DNS_DEADLINE_SECONDS" => Some("25".to_owned()),
            "ACI_DNS_RETRY_QUEUE" if !variables.contains(&WITHOUT_QUEUE) => Some(queue.clone()),
            name => variables.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()),
        });
        let settings = settings.unwrap();
        let (network, wiretap) = (azure.router(), wiretap.clone());
        let http_transport = HttpTransport::embedded(tower::service_fn(move |request: Request<Body>| {
            let (network, wiretap) = (network.clone(), wiretap.clone());
            let by = (number, tokio::task::try_id());
            // A request takes effect and is counted, even if its answer arrives too late for the caller.
            let answered = tokio::spawn(async move { wiretap.pass(by, network, request).await });
            async move {
                let response = answered.await.map_err(io::Error::other)?;
                match response.extensions().get::<ConnectionDropped>() {
                    Some(_) => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
                    None => Ok(response),
                }
            }
        }));
        let endpoint = ArmSettings::of(&settings, u64::try_from(number).unwrap());
        let watch = azure.clone();
        let arm = Arm::new(endpoint, http_transport, Tokens::fixed("simulated"));
        let clock = Clock::new(move || watch.unix_seconds());
        let functions = Functions::new(settings, arm, clock);
        let router = functions.router(&Telemetry::default());
        let trigger = QueueTrigger {
            queue: queue.parse().unwrap(),
            function: RETRY.to_owned(),
            binding: "retry".to_owned(),
            options: QueueOptions::of_this_app().unwrap(),
        };
        let queue_host = QueueHost::new(trigger, azure.router(), router.clone());
        Self { router, reconciler: functions.reconciler, sweeper: functions.sweeper, queue_host }
    }

    pub(crate) async fn invoke(&self, event: &Value) -> u16 {
        let body = Body::from(envelope(RECONCILE, event).to_string());
        let request = Request::post(format!("/{RECONCILE}")).body(body).unwrap();
        self.router.clone().oneshot(request).await.unwrap().status().as_u16()
    }
}

impl Wiretap {
    /// How many requests there were since the last call, and how many of them were throttled.
    pub(crate) fn take(&self) -> [usize; 2] {
        let sent = std::mem::take(&mut *self.sent.lock().unwrap());
        [sent.len(), sent.iter().filter(|sent| sent.status == 429).count()]
    }

    async fn pass(&self, by: (usize, Option<Id>), network: Router, request: Request<Body>) -> Response<Body> {
        if request.uri().path().starts_with("/devstoreaccount1/") {
            let response = network.oneshot(request).await.unwrap();
            self.stored.fetch_add(usize::from(response.status() == 201), Ordering::Relaxed);
            return response;
        }
        if request.uri().path().contains("quiet") || request.uri().path().contains(QUIET[1]) {
            return network.oneshot(request).await.unwrap();
        }
        let (head, body) = request.into_parts();
        let (arrived, method, path) = (Instant::now(), head.method.clone(), head.uri.path().to_owned());
        let body: Bytes = body.collect().await.unwrap().to_bytes();
        // A forgetting removes a previous address; a move, one for each group, adds one.
        let is_forgetting = method == Method::PUT
            && path.contains("/A/")
            && head.headers.contains_key("if-match")
            && !String::from_utf8_lossy(&body).contains("aci-dns-previous");
        let response = network.oneshot(Request::from_parts(head, Body::from(body))).await.unwrap();
        let retry_after = response.headers().get("retry-after").filter(|_| response.status() == 429);
        let retry_after = retry_after.map(|value| value.to_str().unwrap().parse().unwrap());
        self.sent.lock().unwrap().push(Sent {
            by,
            arrived,
            answered: Instant::now(),
            method,
            path,
            is_forgetting,
            status: response.status(),
            retry_after: retry_after.map(Duration::from_secs),
        });
        response
    }
}

fn group_id(number: usize) -> String {
    id_in("rg", &format!("g{number}"))
}

fn id_in(resource_group: &str, name: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/{resource_group}/providers/Microsoft.ContainerInstance/containerGroups/{name}"
    )
}

fn address(third: usize, number: usize) -> Ipv4Addr {
    let octet = |number: usize| u8::try_from(number).unwrap();
    Ipv4Addr::new(10, 1, octet(third + number / 200), octet(4 + number % 200))
}

fn event(group: usize, number: usize, verb: &str) -> Value {
    event_of(&group_id(group), &format!("{group}-{number}"), verb)
}

pub(crate) fn event_of(id: &str, number: &str, verb: &str) -> Value {
    json!({
        "id": format!("event-{number}"), "subject": id,
        "eventType": format!("Microsoft.Resources.Resource{verb}Success"),
        "eventTime": "2026-01-01T00:00:00Z", "dataVersion": "2", "metadataVersion": "1",
        "data": {"resourceUri": id},
    })
}

/// After how long Event Grid delivers again what the Functions host answered with 500, as it does whatever a handler
/// failed with; by the number of attempts so far.
///
/// Sources: <https://learn.microsoft.com/azure/event-grid/delivery-and-retry>; `HttpRequestProcessor.cs` of
/// `Microsoft.Azure.WebJobs.Extensions.EventGrid`.
pub(crate) fn pause(attempts: usize) -> Duration {
    let schedule = [10, 30, 60, 300, 600, 1800, 3600, 3 * 3600, 6 * 3600];
    Duration::from_secs(schedule.get(attempts - 1).copied().unwrap_or(12 * 3600))
}

/// How long Event Grid delivers an event again.
const TIME_TO_LIVE: Duration = Duration::from_hours(24);

fn create(azure: &Azure, number: usize) {
    let id = azure.create_group(GroupSpec::new("rg", &format!("g{number}")));
    azure.set_address(&id, address(0, number)).unwrap();
}

/// Whether a message asks for a recheck.
fn is_recheck(text: &str) -> bool {
    let message: Value = serde_json::from_slice(&BASE64_STANDARD.decode(text).unwrap()).unwrap();
    message["recheck"].as_bool().unwrap()
}

/// What the storm came to.
struct Aftermath {
    sent: Vec<Sent>,
    started: Instant,
    /// The time of each event's acknowledgement.
    acknowledged: Vec<Duration>,
    /// The number of events that Event Grid gave up.
    given_up: usize,
    deliveries: usize,
    loads: Vec<Load>,
    /// When the last message for unfinished work was done, and when the last recheck was.
    finished: Duration,
    emptied: Duration,
    /// How many messages were stored.
    stored: usize,
    retries: usize,
    /// The longest time to the answer to an event of a group in another zone.
    slowest_elsewhere: Duration,
    azure: Azure,
}

/// Moves groups of another zone, one every two seconds, as its throttles allow, and says how long the slowest answer to
/// their events took.
async fn elsewhere(azure: Azure, instances: Rc<Vec<Instance>>) -> Duration {
    let mut slowest = Duration::ZERO;
    for number in 0..30_usize {
        let id = azure.create_group(GroupSpec::new("rg-quiet", &format!("q{}", number % 7)));
        azure.set_address(&id, Ipv4Addr::new(10, 2, 0, u8::try_from(4 + number).unwrap())).unwrap();
        let asked = Instant::now();
        let status = instances[number % INSTANCES].invoke(&event_of(&id, &number.to_string(), "Write")).await;
        assert_eq!(status, 200);
        slowest = slowest.max(asked.elapsed());
        sleep(Duration::from_secs(2)).await;
    }
    slowest
}

/// Waits until no message is left, and says when the last one for unfinished work was done, and the last of all.
pub(crate) async fn drain(azure: &Azure, started: Instant) -> (Duration, Duration) {
    let mut finished = Duration::ZERO;
    while let Some(messages) = azure.messages(QUEUE).filter(|messages| !messages.is_empty()) {
        if messages.iter().any(|message| !is_recheck(&message.text)) {
            finished = started.elapsed();
        }
        sleep(Duration::from_secs(1)).await;
        assert!(started.elapsed() < TIME_TO_LIVE, "{} messages are left", messages.len());
    }
    (finished, started.elapsed())
}

async fn storm(size: Size, throttles: Option<Throttles>, has_queue: bool) -> Aftermath {
    let (created, moved, deleted) = (size.created(), size.moved(), size.deleted());
    let azure = Azure::default();
    azure.configure(|settings| {
        settings.require_token = false;
        settings.latency = Duration::from_millis(20);
        settings.calls_kept = 0;
    });
    azure.create_resource_group(SUBSCRIPTION, "rg");
    assert!(azure.set_address_range(SUBSCRIPTION, "rg", "10.200.0.0/20"));
    for zone in [FORWARD, REVERSE].into_iter().chain(QUIET) {
        azure.create_zone(SUBSCRIPTION, "rg-dns", zone);
    }
    let wiretap = Wiretap::default();
    azure.create_queue(QUEUE);
    let mut variables = vec![("ACI_DNS_ZONES", ZONES)];
    variables.extend((!has_queue).then_some(WITHOUT_QUEUE));
    let start = |number| Instance::start(number, &azure, &wiretap, &variables);
    let instances: Vec<_> = (0..INSTANCES).map(start).collect();

    // All records are correct before the storm.
    for number in created..size.0 {
        create(&azure, number);
        assert_eq!(instances[0].invoke(&event(number, 0, "Write")).await, 200);
    }
    // Its rechecks are done, too.
    let hosts: Vec<_> = instances.iter().map(|instance| instance.queue_host.start()).collect();
    while azure.messages(QUEUE).is_some_and(|messages| !messages.is_empty()) {
        sleep(Duration::from_secs(10)).await;
    }
    for number in 0..created {
        create(&azure, number);
    }
    for number in created..created + moved {
        azure.set_address(&group_id(number), address(100, number)).unwrap();
    }
    for number in created + moved..created + moved + deleted {
        azure.delete_group(&group_id(number)).unwrap();
    }
    wiretap.sent.lock().unwrap().clear();
    wiretap.stored.store(0, Ordering::Relaxed);
    azure.configure(|settings| settings.throttles = throttles);

    let mut rng = Rng::with_seed(11);
    let mut events: Vec<_> = (0..size.0 * EVENTS_PER_GROUP).map(|at| (at % size.0, at)).collect();
    rng.shuffle(&mut events);
    let instances = Rc::new(instances);
    let started = Instant::now();
    let quiet = tokio::task::spawn_local(elsewhere(azure.clone(), Rc::clone(&instances)));
    let tasks: Vec<_> = events
        .into_iter()
        .map(|(group, number)| {
            let (instances, mut rng) = (Rc::clone(&instances), rng.fork());
            tokio::task::spawn_local(async move {
                let is_deleted = (created + moved..created + moved + deleted).contains(&group);
                let event = event(group, number, if is_deleted { "Delete" } else { "Write" });
                sleep(Duration::from_millis(rng.u64(..500))).await;
                let mut attempts = 0;
                while started.elapsed() < TIME_TO_LIVE {
                    attempts += 1;
                    match instances[rng.usize(..INSTANCES)].invoke(&event).await {
                        200 => return (Some(started.elapsed()), attempts),
                        status => assert_eq!(status, 503),
                    }
                    // Event Grid spreads them a little.
                    sleep(pause(attempts) + Duration::from_millis(rng.u64(..3000))).await;
                }
                (None, attempts)
            })
        })
        .collect();
    let (mut acknowledged, mut given_up, mut deliveries) = (vec![], 0, 0);
    for task in tasks {
        let (at, attempts) = task.await.unwrap();
        match at {
            Some(at) => acknowledged.push(at),
            None => given_up += 1,
        }
        deliveries += attempts;
    }
    acknowledged.sort_unstable();
    let slowest_elsewhere = quiet.await.unwrap();
    let (finished, emptied) = drain(&azure, started).await;
    assert!(hosts.iter().all(|host| !host.has_ended()));
    let loads = instances.iter().map(|instance| instance.reconciler.metrics().load).collect();
    let sent = wiretap.sent.lock().unwrap().clone();
    let retries = instances.iter().map(|instance| instance.queue_host.invocations().len()).sum();
    let stored = wiretap.stored.load(Ordering::Relaxed);
    Aftermath {
        sent,
        started,
        acknowledged,
        given_up,
        deliveries,
        loads,
        finished,
        emptied,
        stored,
        retries,
        slowest_elsewhere,
        azure,
    }
}

/// Runs it on a paused clock; its log lines are nobody's.
fn play(size: Size, throttles: Option<Throttles>, has_queue: bool) -> Aftermath {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let local = tokio::task::LocalSet::new();
    tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), || {
        local.block_on(&runtime, storm(size, throttles, has_queue))
    })
}

impl Aftermath {
    /// The writes that took effect, per zone: creations, changes, deletions, and separately forgettings.
    fn writes(&self) -> (BTreeMap<&'static str, [usize; 3]>, usize) {
        let mut writes = BTreeMap::<_, [usize; 3]>::new();
        let mut forgettings = 0;
        for sent in &self.sent {
            let kind = match (sent.method.as_str(), sent.status.as_u16()) {
                ("PUT", 200) if sent.is_forgetting => {
                    forgettings += 1;
                    continue;
                }
                ("PUT", 201) => 0,
                ("PUT", 200) => 1,
                ("DELETE", 200 | 204) => 2,
                _ => continue,
            };
            writes.entry(sent.zone().unwrap()).or_default()[kind] += 1;
        }
        (writes, forgettings)
    }

    /// The time until the last necessary change was written.
    fn last_write(&self) -> Duration {
        self.writes_that_matter().map(|sent| sent.answered - self.started).max().unwrap()
    }

    fn writes_that_matter(&self) -> impl Iterator<Item = &Sent> {
        let written = self.sent.iter().filter(|sent| sent.method != Method::GET && sent.status.is_success());
        written.filter(|sent| !sent.is_forgetting)
    }

    /// Checks that the zones contain exactly the records of the existing groups.
    fn check_zones(&self) {
        let mut expected = vec![];
        let groups = self.azure.read(|view: &View<'_>| view.groups());
        for group in groups.into_iter().filter(|group| group.name.starts_with('g')) {
            let [_, _, third, fourth] = group.address.unwrap().octets();
            expected.push(format!("A {}.{FORWARD} {}", group.name, group.address.unwrap()));
            expected.push(format!("PTR {fourth}.{third}.{REVERSE} {}.{FORWARD}", group.name));
        }
        let sets = [FORWARD, REVERSE].into_iter().flat_map(|zone| self.azure.record_sets(zone));
        let sets = sets.filter(|set| set.record_type != "SOA").map(|set| {
            format!("{} {} {}", set.record_type, set.fqdn.trim_end_matches('.'), set.values.join(","))
        });
        let mut actual: Vec<_> = sets.collect();
        expected.sort_unstable();
        actual.sort_unstable();
        assert_eq!(actual, expected);
    }

    /// Requests to a zone before the end of the wait that the same invocation received for the same method. An
    /// invocation begins with a read of its container group.
    fn impatient(&self) -> Vec<String> {
        let mut reported = HashMap::<((usize, Option<Id>), &str, Method), (Instant, Instant)>::new();
        let mut impatient = vec![];
        let mut sent: Vec<_> = self.sent.iter().collect();
        sent.sort_by_key(|sent| sent.arrived);
        for sent in sent {
            let Some(zone) = sent.zone() else {
                reported.retain(|(by, ..), _| *by != sent.by);
                continue;
            };
            let key = (sent.by, zone, sent.method.clone());
            if let Some((since, until)) = reported.get(&key)
                && (*since..*until).contains(&sent.arrived)
            {
                impatient.push(format!("{} {} {:?} early", sent.method, sent.path, *until - sent.arrived));
            }
            if let Some(wait) = sent.retry_after {
                reported.insert(key, (sent.answered, sent.answered + wait));
            }
        }
        impatient
    }

    #[expect(clippy::print_stdout, reason = "the runner shows what a run came to when it is asked to")]
    fn print(&self) {
        let runs: HashSet<_> = self.sent.iter().map(|sent| sent.by).collect();
        let throttled = self.sent.iter().filter(|sent| sent.status == 429).count();
        let at = |share: usize| self.acknowledged[(self.acknowledged.len() - 1) * share / 100].as_secs();
        println!(
            "{} events acknowledged (half after {} s, 90% {} s, all {} s), {} given up; {} deliveries, {} requests \
             ({} of them 429) by {} tasks",
            self.acknowledged.len(),
            at(50),
            at(90),
            at(100),
            self.given_up,
            self.deliveries,
            self.sent.len(),
            throttled,
            runs.len(),
        );
        println!(
            "  {} messages stored, {} retries; unfinished work done after {} s, all messages after {} s; the slowest \
             answer in another zone after {} ms",
            self.stored,
            self.retries,
            self.finished.as_secs(),
            self.emptied.as_secs(),
            self.slowest_elsewhere.as_millis(),
        );
        let mut kinds = BTreeMap::<_, [usize; 2]>::new();
        for sent in &self.sent {
            let kind = if sent.is_list() { "LIST" } else { sent.method.as_str() };
            let counts = kinds.entry((sent.zone().unwrap_or("container groups"), kind)).or_default();
            counts[usize::from(sent.status == 429)] += 1;
        }
        for ((zone, kind), [admitted, throttled]) in kinds {
            println!("  {zone:<18} {kind:<6} {admitted:>6} admitted {throttled:>6} throttled");
        }
        let mut written: Vec<_> =
            self.writes_that_matter().map(|sent| sent.answered - self.started).collect();
        written.sort_unstable();
        let at = |share: usize| written[(written.len() - 1) * share / 100].as_secs();
        println!(
            "  writes: half {} s, 90% {} s, 99% {} s, all {} s; {:?}",
            at(50),
            at(90),
            at(99),
            at(100),
            self.writes()
        );
    }
}

fn check(size: Size, throttles: Option<Throttles>, has_queue: bool) -> Aftermath {
    let (created, moved, deleted) = (size.created(), size.moved(), size.deleted());
    let aftermath = play(size, throttles, has_queue);
    aftermath.print();
    aftermath.check_zones();
    let (writes, forgettings) = aftermath.writes();
    // Exactly the necessary writes, with or without throttles.
    let expected = BTreeMap::from([
        (FORWARD, [created, moved, deleted]),
        (REVERSE, [created + moved, 0, moved + deleted]),
    ]);
    assert_eq!(writes, expected);
    assert!(forgettings <= moved, "what is forgotten is forgotten once: {forgettings}");
    assert_eq!(aftermath.impatient(), Vec::<String>::new());
    assert!(aftermath.slowest_elsewhere < Duration::from_secs(1), "{:?}", aftermath.slowest_elsewhere);
    assert_eq!(aftermath.loads, [Load::default(); INSTANCES]);
    aftermath
}

#[test]
fn ten_thousand_events_at_once_cost_what_the_changes_call_for() {
    let aftermath = check(Size(500), None, false);
    // The cheapest pass is three requests, and without sharing each delivery would make one of its own.
    assert!(aftermath.sent.len() < 2 * aftermath.deliveries, "{} requests", aftermath.sent.len());
    assert_eq!(aftermath.deliveries, aftermath.acknowledged.len());
    assert!(*aftermath.acknowledged.last().unwrap() < Duration::from_secs(25));
}

/// What a throttled storm may take and cost.
struct Bounds {
    /// Until all records are right.
    right: Duration,
    /// Until all messages are done, rechecks included.
    done: Duration,
    requests: usize,
}

#[track_caller]
fn check_throttled(size: Size, bounds: &Bounds) {
    let aftermath = check(size, Some(Throttles::default()), true);
    assert_eq!((aftermath.given_up, aftermath.deliveries), (0, aftermath.acknowledged.len()));
    let (events, requests) = (aftermath.acknowledged.len(), aftermath.sent.len());
    // Event Grid gives up after 30 seconds.
    assert!(*aftermath.acknowledged.last().unwrap() < Duration::from_secs(30));
    assert!(aftermath.last_write() < bounds.right, "{:?}", aftermath.last_write());
    assert!(aftermath.emptied < bounds.done, "{:?}", aftermath.emptied);
    assert!(requests <= bounds.requests, "{requests} requests");
    // Only who does not know of the throttle yet runs into it.
    let throttled = aftermath.sent.iter().filter(|sent| sent.status == 429).count();
    assert!(throttled * 10 < requests, "{throttled} of {requests}");
    assert!(aftermath.stored < events, "{} messages", aftermath.stored);
}

/// The throttle alone allows the changes within four minutes: 250 PTR record sets to create, 60 a minute. Without lists
/// the reads, 200 a minute, take a quarter of an hour.
#[test]
fn ten_thousand_events_under_throttles_are_right_within_ten_minutes_and_done_within_twenty() {
    let bounds = Bounds { right: Duration::from_mins(10), done: Duration::from_mins(20), requests: 12_000 };
    check_throttled(Size(500), &bounds);
}

#[test]
fn two_thousand_events_under_throttles_are_right_within_a_minute_and_done_within_three() {
    let bounds = Bounds { right: Duration::from_mins(1), done: Duration::from_mins(3), requests: 3000 };
    check_throttled(Size(100), &bounds);
}

/// Without a retry queue, Event Grid is the engine: its rounds come ever more rarely, and nothing is given up.
#[test]
fn a_throttled_storm_without_a_retry_queue_is_acknowledged_in_the_end() {
    let aftermath = check(Size(20), Some(Throttles::default()), false);
    assert_eq!((aftermath.given_up, aftermath.stored), (0, 0));
    assert!(*aftermath.acknowledged.last().unwrap() < Duration::from_hours(12));
}
