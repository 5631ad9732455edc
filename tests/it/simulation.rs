//! Deterministic simulation: whole lives of container groups with all kinds of faults, from one seed.
//!
//! Several instances of the handler (the real router, reconciler and Resource Manager client) share one Azure
//! in memory on a paused clock. Groups are created, restarted, moved, stopped, started, deleted and created
//! again; addresses are reused at once; two groups want one name. Events arrive late, twice, out of order and
//! at several instances at the same time. Requests fail before or after their effect, are throttled or
//! delayed, or get nonsense or stale answers; new groups are invisible for a while; zones are locked against
//! deletion; instances are killed between any two requests; people edit the zones. At the end every event is
//! delivered once more, and the zones are compared with [`model`], which knows nothing of plans.
//!
//! Seeds with an odd number have a retry queue. Its messages are delivered when they are visible, and also at any other
//! time and more than once; requests to the queue fail like all others.
//!
//! A failure prints its seed; `ACI_DNS_SEED=<seed>` plays it alone, with a trace. `ACI_DNS_SEEDS=<count>` plays more.

mod deliveries;
mod ends;
mod lives;
mod secrets;
mod services;

use std::{
    cell::{Cell, RefCell},
    collections::{BTreeMap, BTreeSet},
    io,
    net::Ipv4Addr,
    rc::Rc,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
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
    functions,
    reconcile::Clock,
    replay::stage::{RECONCILE, RETRY, Stage, TRACK_DRIFT, envelope},
    telemetry::Telemetry,
};
use axum::{Router, body::Body};
use azure_simulator::{
    Azure, Call, CallView, ConnectionDropped, Effect, FaultAnswer, GroupSpec, GroupView, LockLevel,
    RecordSetSpec, RecordSetView, Staleness, View, When,
};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use fastrand::Rng;
use http::{Method, Request, Response};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tower::ServiceExt as _;

const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";
const FORWARD: &str = "contoso.internal";
const REVERSE: &str = "1.10.in-addr.arpa";
const ZONES: &str = r#"{"*": {"forwardZone": "contoso.internal", "reverseZones": ["1.10.in-addr.arpa"],
    "zoneResourceGroup": "rg-dns"}}"#;
const QUEUE: &str = "aci-dns-retry";
/// The forward zone of `rg-b` where it is not [`FORWARD`].
const OTHER_FORWARD: &str = "fabrikam.internal";
/// Two forward zones that share a reverse zone.
const TWO_ZONES: &str = r#"{
    "rg-a": {"forwardZone": "contoso.internal", "reverseZones": ["1.10.in-addr.arpa"], "zoneResourceGroup": "rg-dns"},
    "rg-b": {"forwardZone": "fabrikam.internal", "reverseZones": ["1.10.in-addr.arpa"], "zoneResourceGroup": "rg-dns"}}"#;
/// Two of them want one name, unless their forward zones differ.
const GROUPS: [(&str, &str); 5] =
    [("rg-a", "web"), ("rg-b", "web"), ("rg-a", "api"), ("rg-b", "db"), ("rg-a", "job")];
const OWNER: &str = "aci-dns-owner";

/// The rates of faults.
#[derive(Clone, Copy, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a kind of weather of its own")]
struct Weather {
    /// The number of steps.
    steps: usize,
    /// One request of this many gets a fault; none at 0.
    fault_every: u64,
    /// One step of this many kills an instance; none at 0.
    kill_every: usize,
    /// Whether requests are delayed for seconds.
    is_slow: bool,
    /// The longest throttle in seconds. If it is longer than an invocation, every other fault is such a
    /// throttle.
    longest_wait: u64,
    /// Whether the platform moves groups, which raises no event.
    is_moved: bool,
    /// Whether people edit the zones.
    is_edited: bool,
    /// The largest delay of the replica that answers every third read; no read is stale at zero.
    lag: Duration,
    /// How long a new group answers 404 at most.
    invisible: Duration,
    /// Whether zones are sometimes locked against deletion.
    is_locked: bool,
    /// Whether the resource groups have forward zones of their own, which share the reverse zone.
    has_two_zones: bool,
    /// Whether addresses are published in secrets.
    has_secrets: bool,
    /// Whether the resource groups have services, which groups join, leave and drain by tag.
    has_services: bool,
    /// Whether tags about services are sometimes invalid.
    has_bad_tags: bool,
}

fn group_id((resource_group, name): (&str, &str)) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/{resource_group}/providers/Microsoft.ContainerInstance/containerGroups/{name}"
    )
}

fn owner((resource_group, name): (&str, &str)) -> String {
    format!("{SUBSCRIPTION}/{resource_group}/{name}")
}

/// One process of the handler. A killed one sends and receives nothing.
#[derive(Clone)]
struct Instance {
    router: Router,
    is_dead: Arc<AtomicBool>,
    /// Whether it sent anything but a GET.
    has_written: Arc<AtomicBool>,
}

impl Instance {
    fn start(azure: &Azure, seed: u64, zones: &str, has_queue: bool) -> Self {
        let settings = Settings::from_variables(|name| match name {
            "ACI_DNS_ZONES" => Some(zones.to_owned()),
            "ACI_DNS_RETRY_QUEUE" => has_queue.then(|| azure.queue_url("http://127.0.0.1:8181", QUEUE)),
            _ => None,
        });
        let settings = settings.unwrap();
        let is_dead = Arc::new(AtomicBool::new(false));
        let has_written = Arc::new(AtomicBool::new(false));
        let (network, dead, written) = (azure.router(), Arc::clone(&is_dead), Arc::clone(&has_written));
        let http_transport = HttpTransport::embedded(tower::service_fn(move |request: Request<Body>| {
            let (network, dead, written) = (network.clone(), Arc::clone(&dead), Arc::clone(&written));
            async move {
                if request.method() != Method::GET {
                    written.store(true, Ordering::SeqCst);
                }
                if dead.load(Ordering::SeqCst) {
                    futures::future::pending::<()>().await;
                }
                let response: Response<Body> = network.oneshot(request).await.unwrap();
                if dead.load(Ordering::SeqCst) {
                    futures::future::pending::<()>().await;
                }
                match response.extensions().get::<ConnectionDropped>() {
                    Some(_) => Err(io::Error::from(io::ErrorKind::ConnectionReset)),
                    None => Ok(response),
                }
            }
        }));
        let watch = azure.clone();
        let clock = Clock::new(move || watch.unix_seconds());
        let arm = Arm::new(ArmSettings::of(&settings, seed), http_transport, Tokens::fixed("simulated"));
        let router = functions::router(settings, arm, clock, &Telemetry::default());
        Self { router, is_dead, has_written }
    }

    /// The status; `None` if the instance was killed meanwhile.
    async fn invoke(&self, function: &str, event: &Value) -> Option<u16> {
        self.post(function, &envelope(function, event)).await
    }

    async fn retry(&self, text: &str) -> Option<u16> {
        let literal = Value::from(text).to_string();
        self.post(RETRY, &json!({"Data": {"retry": literal}, "Metadata": {"DequeueCount": "1"}})).await
    }

    async fn post(&self, function: &str, body: &Value) -> Option<u16> {
        let request = Request::post(format!("/{function}")).body(Body::from(body.to_string())).unwrap();
        let status = self.router.clone().oneshot(request).await.unwrap().status().as_u16();
        (!self.is_dead.load(Ordering::SeqCst)).then_some(status)
    }
}

/// A listener inside the simulator: it checks that no existing group loses its name.
#[derive(Default)]
struct Watch {
    /// Since when each group exists without interruption.
    living_since: BTreeMap<String, Duration>,
    /// The existing names, with their zones.
    names: BTreeSet<(String, String)>,
    services: services::ServiceWatch,
    gaps: Vec<String>,
}

struct Simulation {
    weather: Weather,
    azure: Azure,
    rng: RefCell<Rng>,
    instances: RefCell<Vec<Instance>>,
    /// An instance for the drift tracker only.
    tracker: Instance,
    events: RefCell<Vec<Value>>,
    trace: RefCell<Vec<String>>,
    foreign: RefCell<Vec<RecordSetView>>,
    faults: Arc<AtomicU64>,
    has_queue: bool,
    /// The messages that were delivered, and when they are shown again.
    shown: RefCell<BTreeMap<String, Duration>>,
    /// Whether messages are also delivered when they are not visible.
    is_early: Cell<bool>,
    retries: RefCell<u64>,
    watch: Arc<Mutex<Watch>>,
    deliveries: RefCell<u64>,
    /// The events that were given up, by subject.
    given_up: RefCell<Vec<String>>,
    /// The owners that were created again after a deletion.
    recreated: RefCell<BTreeSet<String>>,
    /// Records that only a sweep finds: see [`Simulation::is_left_to_the_sweep`].
    left_to_the_sweep: RefCell<BTreeSet<[String; 4]>>,
    /// How often something happened to the groups of a secret.
    secret_changes: RefCell<BTreeMap<String, u64>>,
}

/// The result of one seed.
#[derive(Debug, Default)]
struct Tally {
    faults: u64,
    retries: u64,
    deliveries: u64,
    violations: Vec<String>,
    trace: Vec<String>,
}

impl Simulation {
    fn new(seed: u64, weather: Weather) -> Rc<Self> {
        let azure = Azure::default();
        azure.configure(|settings| settings.require_token = false);
        for zone in [FORWARD, OTHER_FORWARD, REVERSE] {
            azure.create_zone(SUBSCRIPTION, "rg-dns", zone);
        }
        for resource_group in ["rg-a", "rg-b"] {
            azure.create_resource_group(SUBSCRIPTION, resource_group);
        }
        let mut rng = Rng::with_seed(seed);
        let faults = Arc::new(AtomicU64::new(0));
        let has_queue = seed % 2 == 1;
        azure.create_queue(QUEUE);
        let watch = Arc::new(Mutex::new(Watch::default()));
        let simulation = Rc::new(Self {
            instances: RefCell::new(
                (0..3)
                    .map(|instance| Instance::start(&azure, seed ^ instance, weather.zones(), has_queue))
                    .collect(),
            ),
            tracker: Instance::start(&azure, seed, weather.zones(), has_queue),
            weather,
            rng: RefCell::new(rng.fork()),
            events: RefCell::default(),
            trace: RefCell::default(),
            foreign: RefCell::default(),
            faults: Arc::clone(&faults),
            has_queue,
            shown: RefCell::default(),
            is_early: Cell::new(true),
            retries: RefCell::default(),
            watch: Arc::clone(&watch),
            deliveries: RefCell::default(),
            given_up: RefCell::default(),
            recreated: RefCell::default(),
            left_to_the_sweep: RefCell::default(),
            secret_changes: RefCell::default(),
            azure,
        });
        simulation.plant_foreign();
        simulation.watch_for_gaps();
        simulation.azure.set_interceptor(Box::new(move |call| weather.strike(&mut rng, &faults, call)));
        simulation
    }

    fn say(&self, text: &str) {
        self.trace.borrow_mut().push(format!("{:>9.3} {text}", self.azure.elapsed().as_secs_f64()));
    }

    /// Foreign record sets, which must not change.
    fn plant_foreign(&self) {
        let mut vm = RecordSetSpec::new("A", "vm1", &["10.1.9.9"]);
        vm.is_auto_registered = true;
        let mail = RecordSetSpec::new("A", "mail", &["10.1.5.5"]).with_metadata("team", "mail");
        let text = RecordSetSpec::new("TXT", "web", &["v=1"]);
        let printer = RecordSetSpec::new("PTR", "200.5", &["printer.example.org"]);
        for (zone, spec) in [(FORWARD, &vm), (FORWARD, &mail), (FORWARD, &text), (REVERSE, &printer)] {
            self.azure.put_record_set(zone, spec).unwrap();
        }
        *self.foreign.borrow_mut() = self.record_sets();
    }

    fn record_sets(&self) -> Vec<RecordSetView> {
        let all = [FORWARD, OTHER_FORWARD, REVERSE].into_iter().flat_map(|zone| self.azure.record_sets(zone));
        all.filter(|set| set.record_type != "SOA").collect()
    }

    /// An existing A record set of an existing group is never absent or empty, except by a removal that was
    /// in progress when the group was created again: one invocation ends within its deadline of 20 seconds. The same goes
    /// for the record set of a service with a member that runs.
    fn watch_for_gaps(&self) {
        let (watch, weather) = (Arc::clone(&self.watch), self.weather);
        self.azure.on_change(move |view| {
            let mut watch = watch.lock().unwrap();
            let now = view.elapsed();
            // A delete event finds a group that is not visible yet as absent as one that is deleted.
            let settled = Duration::from_secs(26) + weather.invisible;
            if weather.has_services {
                let gaps = watch.services.gaps(now, &view.groups(), &view.record_sets(FORWARD), settled);
                watch.gaps.extend(gaps);
            }
            let living: BTreeMap<String, String> = view
                .groups()
                .into_iter()
                .filter(|group| group.address.is_some() && group.state == "Running")
                .map(|group| (group.id.to_lowercase(), group.name))
                .collect();
            watch.living_since.retain(|id, _| living.contains_key(id));
            for id in living.keys() {
                watch.living_since.entry(id.clone()).or_insert(now);
            }
            let names: BTreeSet<(String, String)> = [FORWARD, OTHER_FORWARD]
                .into_iter()
                .flat_map(|zone| view.record_sets(zone))
                .filter(|set| set.record_type == "A" && !set.values.is_empty())
                .map(|set| (set.zone, set.name))
                .collect();
            for (zone, lost) in watch.names.difference(&names).cloned().collect::<Vec<_>>() {
                // Where two groups want the name, the one that leaves it takes it along.
                let wants = |group: &&(&str, &str)| group.1 == lost && weather.forward_zone(group.0) == zone;
                let wanting: Vec<_> = GROUPS.iter().filter(wants).collect();
                let [only] = wanting.as_slice() else { continue };
                let since = watch.living_since.get(&group_id(**only).to_lowercase()).copied();
                if since.is_some_and(|since| now.saturating_sub(since) > settled) {
                    watch.gaps.push(format!(
                        "{lost}.{zone} lost its A record set at {now:?} while its group lived"
                    ));
                }
            }
            watch.names = names;
        });
    }
}

impl Weather {
    fn zones(self) -> &'static str {
        match (self.has_secrets, self.has_two_zones) {
            _ if self.has_services => services::ZONES,
            (true, _) => secrets::zones(self),
            (false, true) => TWO_ZONES,
            (false, false) => ZONES,
        }
    }

    /// The forward zone of a resource group.
    fn forward_zone(self, resource_group: &str) -> &'static str {
        if self.has_two_zones && resource_group == "rg-b" { OTHER_FORWARD } else { FORWARD }
    }

    fn is_throttled(self) -> bool {
        self.longest_wait > 25
    }

    /// What happens to a request.
    fn strike(self, rng: &mut Rng, faults: &AtomicU64, call: &CallView) -> Option<Effect> {
        let latency = Effect::Delay(When::Before, Duration::from_millis(rng.u64(1..80)));
        let is_stale = !self.lag.is_zero() && call.method == Method::GET && rng.u8(..3) == 0;
        if is_stale {
            let lag = Duration::from_millis(rng.u64(..=u64::try_from(self.lag.as_millis()).unwrap()));
            return Some(Effect::All(vec![latency, Effect::Stale(Staleness::Behind(lag))]));
        }
        if self.fault_every == 0 || call.path.contains("/msi/") || rng.u64(..self.fault_every) > 0 {
            return (self.steps > 0).then_some(latency);
        }
        faults.fetch_add(1, Ordering::Relaxed);
        let when = if rng.bool() { When::Before } else { When::After };
        let status = |rng: &mut Rng| {
            let (status, code) = [
                (500, "InternalServerError"),
                (503, "ServiceUnavailable"),
                (502, "BadGateway"),
                (403, "AuthorizationFailed"),
                (408, "RequestTimeout"),
            ][rng.usize(..5)];
            FaultAnswer::new(status, code)
        };
        let seconds = rng.u64(if self.is_throttled() { 20 } else { 1 }..self.longest_wait);
        let fault = match rng.u8(..10) {
            _ if self.is_throttled() && rng.bool() => {
                Effect::Answer(When::Before, FaultAnswer::new(429, "TooManyRequests").retry_after(seconds))
            }
            0 | 1 => Effect::Drop(when),
            2 | 3 => Effect::Answer(when, status(rng)),
            4 => Effect::Answer(When::Before, FaultAnswer::new(429, "TooManyRequests").retry_after(seconds)),
            5 => Effect::Answer(When::Before, FaultAnswer::new(429, "TooManyRequests")),
            6 if call.method != Method::GET => {
                Effect::Answer(When::Before, FaultAnswer::new(409, "Conflict"))
            }
            7 => Effect::Truncate(usize::from(rng.u8(..60))),
            8 => Effect::ReplaceBody("<html>gateway</html>".into()),
            _ if self.is_slow => Effect::Delay(when, Duration::from_millis(rng.u64(500..9000))),
            _ => Effect::Answer(When::Before, FaultAnswer::new(412, "PreconditionFailed")),
        };
        Some(Effect::All(vec![latency, fault]))
    }
}

async fn simulate(seed: u64, weather: Weather) -> Tally {
    let simulation = Simulation::new(seed, weather);
    tokio::task::spawn_local(Rc::clone(&simulation).pump());
    let mut tasks = Vec::new();
    for _ in 0..weather.steps {
        simulation.step();
        tasks.extend(simulation.spread());
        let pause = Duration::from_millis(simulation.rng.borrow_mut().u64(..8000));
        sleep(pause).await;
    }
    // Pending work ends, and no further faults are injected.
    simulation.azure.set_interceptor(Box::new(|_| None));
    simulation.is_early.set(false);
    sleep(Duration::from_secs(20)).await;
    tasks.extend(simulation.spread());
    for task in tasks {
        task.await.unwrap();
    }
    let mut violations = Vec::new();
    let failing = simulation.drain().await;
    if !weather.is_moved && !weather.is_edited && weather.lag.is_zero() {
        // Every change was followed by a successful delivery: no more is needed.
        let mut given_up = simulation.given_up.borrow().clone();
        given_up.extend(failing);
        violations.extend(simulation.judge(&given_up, "as acknowledged"));
    }
    sleep(Duration::from_mins(1)).await;
    simulation.say("every event once more");
    let unacknowledged = simulation.deliver_all().await;
    violations.extend(simulation.judge(&unacknowledged, "convergence"));
    // Five minutes later, previous addresses are forgotten once.
    sleep(Duration::from_secs(301)).await;
    let unacknowledged = simulation.deliver_all().await;
    violations.extend(simulation.judge(&unacknowledged, "forgetting"));
    for set in simulation.record_sets().iter().filter(|set| set.metadata.contains_key("aci-dns-previous")) {
        violations.push(format!("{} still remembers {:?}", set.name, set.metadata));
    }
    simulation.azure.clear_calls();
    simulation.deliver_all().await;
    // A delete that a lock refuses is repeated at every delivery.
    let is_write = |call: &Call| call.method != Method::GET && call.status.is_none_or(|status| status < 300);
    let writes = simulation.azure.calls().into_iter().filter(is_write);
    violations.extend(writes.map(|call| format!("idempotence: {} {}", call.method, call.path)));
    violations.extend(simulation.secret_writes());
    if simulation.tracker.has_written.load(Ordering::SeqCst) {
        violations.push("the drift tracker sent something else than a GET".into());
    }
    violations.extend(simulation.sweep().await);
    violations.append(&mut simulation.watch.lock().unwrap().gaps);
    Tally {
        faults: simulation.faults.load(Ordering::Relaxed),
        retries: *simulation.retries.borrow(),
        deliveries: *simulation.deliveries.borrow(),
        violations,
        trace: simulation.trace.borrow().clone(),
    }
}

fn run(seed: u64, weather: Weather) -> Tally {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let local = tokio::task::LocalSet::new();
    // Discards the log lines, so that other tests do not see them.
    tracing::subscriber::with_default(tracing::subscriber::NoSubscriber::default(), || {
        local.block_on(&runtime, simulate(seed, weather))
    })
}

/// Plays seeds on all processors, and fails with the first that breaks a property.
#[expect(clippy::print_stdout, reason = "the runner shows what a run covered when it is asked to")]
fn check(name: &str, seeds: u64, weather: Weather) {
    if let Ok(seed) = std::env::var("ACI_DNS_SEED") {
        let tally = run(seed.parse().unwrap(), weather);
        assert!(tally.violations.is_empty(), "{}\n{}", tally.trace.join("\n"), tally.violations.join("\n"));
        return;
    }
    let seeds = std::env::var("ACI_DNS_SEEDS").map_or(seeds, |count| count.parse().unwrap());
    let next = AtomicU64::new(0);
    let tallies = Mutex::new((0, 0, 0, Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, std::num::NonZero::get) {
            scope.spawn(|| {
                loop {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= seeds {
                        return;
                    }
                    let tally = run(seed, weather);
                    let mut tallies = tallies.lock().unwrap();
                    tallies.0 += tally.faults;
                    tallies.1 += tally.retries;
                    tallies.2 += tally.deliveries;
                    if !tally.violations.is_empty() {
                        tallies.3.push((seed, tally));
                    }
                }
            });
        }
    });
    let (faults, retries, deliveries, broken) = tallies.into_inner().unwrap();
    let broken_seeds: Vec<u64> = broken.iter().map(|(seed, _)| *seed).collect();
    if let Some((seed, tally)) = broken.first() {
        panic!(
            "{name}: {} of {seeds} seeds break a property: {broken_seeds:?}\nACI_DNS_SEED={seed}:\n{}\n{}",
            broken.len(),
            tally.trace.join("\n"),
            tally.violations.join("\n")
        );
    }
    assert!(retries > 0 || seeds < 2, "messages are delivered");
    println!(
        "{name}: {seeds} seeds, {deliveries} deliveries, {faults} faults, {retries} messages, 0 properties broken"
    );
}

const CALM: Weather = Weather {
    steps: 25,
    fault_every: 0,
    kill_every: 0,
    is_slow: false,
    longest_wait: 15,
    is_moved: false,
    is_edited: false,
    lag: Duration::ZERO,
    invisible: Duration::ZERO,
    is_locked: false,
    has_two_zones: false,
    has_secrets: false,
    has_services: false,
    has_bad_tags: false,
};

#[test]
fn without_faults_dns_equals_the_desired_record_sets() {
    check("calm", 60, CALM);
}

#[test]
fn dns_converges_after_edits_by_people() {
    check("edited", 60, Weather { is_edited: true, is_moved: true, ..CALM });
}

#[test]
fn dns_converges_after_failed_requests_and_lost_answers() {
    check("faults", 60, Weather { fault_every: 6, ..CALM });
}

#[test]
fn dns_converges_after_killed_instances() {
    check("killed", 60, Weather { kill_every: 2, ..CALM });
}

#[test]
fn dns_converges_after_slow_writers() {
    check("slow", 60, Weather { fault_every: 4, is_slow: true, ..CALM });
}

#[test]
fn long_throttles_do_no_lasting_harm() {
    check("throttled", 60, Weather { fault_every: 5, longest_wait: 50, ..CALM });
    let killed = Weather { fault_every: 6, kill_every: 2, longest_wait: 50, ..CALM };
    check("throttled and killed", 60, killed);
}

#[test]
fn dns_converges_after_stale_reads() {
    let stale = Weather { lag: Duration::from_secs(2), ..CALM };
    check("stale", 60, stale);
    check("stale and faults", 60, Weather { fault_every: 6, is_moved: true, ..stale });
}

#[test]
fn groups_that_become_visible_late_get_their_records() {
    check("invisible", 60, Weather { invisible: Duration::from_mins(1), ..CALM });
}

#[test]
fn dns_converges_with_zones_locked_against_deletion() {
    check("locked", 60, Weather { is_locked: true, ..CALM });
    check("locked, killed", 60, Weather { is_locked: true, kill_every: 3, fault_every: 6, ..CALM });
}

#[test]
fn forward_zones_that_share_a_reverse_zone_do_not_disturb_each_other() {
    check("two zones", 60, Weather { has_two_zones: true, is_moved: true, fault_every: 6, ..CALM });
}

const STORM: Weather = Weather {
    fault_every: 6,
    is_slow: true,
    is_moved: true,
    is_edited: true,
    lag: Duration::from_secs(2),
    invisible: Duration::from_secs(30),
    is_locked: true,
    has_two_zones: true,
    ..CALM
};

#[test]
fn dns_converges_after_all_faults() {
    check("storm", 60, Weather { kill_every: 4, ..STORM });
    check("storm in one zone", 60, Weather { kill_every: 4, has_two_zones: false, ..STORM });
}

/// No instance is killed here. Long throttles make every writer slow, and if a slow writer is killed after the A record
/// set with its previous address was deleted, its PTR record stays until the group is deleted or a sweep runs (see
/// "Limits" in docs/reliability.md).
#[test]
fn dns_converges_after_all_faults_and_long_throttles() {
    check("throttled storm", 60, Weather { longest_wait: 50, ..STORM });
}
