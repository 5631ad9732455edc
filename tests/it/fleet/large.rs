//! A large fleet: many zones and subscriptions. By hand, `ACI_DNS_FLEET_ZONES=40 ACI_DNS_FLEET_GROUPS=500` makes it
//! 20,000 groups in 40 zones and 10 subscriptions.

use std::{env, fs, rc::Rc, time::Duration};

use aci_dns::sweep::{SweepOptions, findings::Findings};
use azure_simulator::{Azure, Seed, Throttles};
use fastrand::Rng;
use serde_json::{Map, Value, json};
use tokio::time::{Instant, sleep};

use crate::{
    storm::{Instance, QUEUE, Wiretap, drain, event_of},
    world::SUBSCRIPTION,
};

const SUBSCRIPTIONS: usize = 10;
const INSTANCES: usize = 3;

/// The numbers of zones and of groups in each of them.
fn size() -> (usize, usize) {
    let number = |name, default| env::var(name).map_or(default, |text| text.parse().unwrap());
    (number("ACI_DNS_FLEET_ZONES", 8), number("ACI_DNS_FLEET_GROUPS", 125))
}

fn subscription(number: usize) -> String {
    format!("{}{}", &SUBSCRIPTION[..35], number % SUBSCRIPTIONS)
}

struct Fleet {
    azure: Azure,
    ids: Vec<String>,
    zones: Map<String, Value>,
}

impl Fleet {
    fn new(with_records: bool) -> Self {
        let azure = Azure::default();
        azure.configure(|settings| {
            settings.require_token = false;
            settings.provisioning = Duration::ZERO;
            settings.calls_kept = 0;
        });
        let (mut ids, mut zones) = (vec![], Map::new());
        let (count, groups) = size();
        for number in 0..count {
            let (forward, reverse) =
                (format!("spoke{number}.contoso.internal"), format!("{number}.10.in-addr.arpa"));
            let seed = Seed {
                subscription: subscription(number),
                resource_group: format!("rg-{number}"),
                forward_zone: forward.clone(),
                reverse_zones: vec![reverse.clone()],
                address_range: format!("10.{number}.0.0/20"),
                groups,
                with_records,
                ..Seed::default()
            };
            ids.extend(azure.seed(&seed).unwrap());
            let entry = json!({
                "forwardZone": forward, "reverseZones": [reverse], "zoneResourceGroup": "rg-dns",
            });
            zones.insert(format!("{}/{}", seed.subscription, seed.resource_group), entry);
        }
        _ = azure.take_events();
        azure.configure(|settings| settings.throttles = Some(Throttles::default()));
        Self { azure, ids, zones }
    }

    fn start(&self, number: usize, wiretap: &Wiretap) -> Instance {
        let zones = Value::from(self.zones.clone()).to_string();
        Instance::start(number, &self.azure, wiretap, &[("ACI_DNS_ZONES", zones.as_str())])
    }

    /// How many groups have the wrong record sets.
    async fn look(&self, instance: &Instance) -> Findings {
        let options = SweepOptions { deadline: Instant::now() + Duration::from_hours(1), is_thorough: false };
        instance.sweeper.compare(options).await.unwrap()
    }
}

/// The processor time of this thread, in seconds.
fn processor_seconds() -> f64 {
    let text = fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    let nanoseconds: u64 = text.split(' ').next().unwrap().parse().unwrap();
    Duration::from_nanos(nanoseconds).as_secs_f64()
}

/// The memory of this process, in megabytes.
fn megabytes() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() / 1024
}

#[tokio::test(start_paused = true)]
#[expect(clippy::print_stdout, reason = "the figures are shown on request")]
async fn a_sweep_of_a_large_fleet_costs_one_request_per_page() {
    let fleet = Fleet::new(true);
    let (zones, groups) = size();
    let instance = fleet.start(0, &Wiretap::default());
    // For each entry of the map: pages of 100 groups, and of 1,000 record sets in two zones.
    let pages = zones * (groups.div_ceil(100) + 2 * groups.div_ceil(1000));
    for _ in 0..3 {
        let before = processor_seconds();
        let findings = fleet.look(&instance).await;
        println!(
            "{} groups in {zones} zones: {} requests, {:.1} s of processor time with the simulator, {} MB with the \
             simulator",
            zones * groups,
            findings.tally.requests,
            processor_seconds() - before,
            megabytes(),
        );
        assert_eq!(
            (findings.found.len(), findings.tally.right, findings.tally.asked),
            (0, zones * groups, 0)
        );
        assert_eq!(usize::try_from(findings.tally.requests).unwrap(), pages);
    }
}

/// Each zone takes 60 creations in a minute, and each group needs one in each of its two zones.
#[test]
#[expect(clippy::print_stdout, reason = "the figures are shown on request")]
fn a_fresh_deployment_is_right_as_soon_as_the_throttles_allow() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let local = tokio::task::LocalSet::new();
    let subscriber = tracing::subscriber::NoSubscriber::default();
    let (zones, groups) = size();
    let (right, done, [requests, throttled]) =
        tracing::subscriber::with_default(subscriber, || local.block_on(&runtime, deploy()));
    println!(
        "{} groups in {zones} zones: right after {} s, done after {} s, {requests} requests, {throttled} of them 429",
        zones * groups,
        right.as_secs(),
        done.as_secs(),
    );
    let least = Duration::from_mins(u64::try_from((groups - 1) / 60).unwrap());
    assert!((least..least + Duration::from_mins(3)).contains(&right), "{right:?}");
    assert!(done < 2 * least + Duration::from_mins(5), "{done:?}");
    // Seven requests for each group and five for its recheck would be enough for one instance without throttles.
    assert!(requests < 20 * zones * groups, "{requests}");
}

/// Delivers one event for each group within a second, and says when the records were right and the messages done.
async fn deploy() -> (Duration, Duration, [usize; 2]) {
    let fleet = Rc::new(Fleet::new(false));
    fleet.azure.configure(|settings| settings.latency = Duration::from_millis(20));
    let wiretap = Wiretap::default();
    let instances: Rc<Vec<_>> = Rc::new((0..INSTANCES).map(|number| fleet.start(number, &wiretap)).collect());
    let hosts: Vec<_> = instances.iter().map(|instance| instance.queue_host.start()).collect();
    let started = Instant::now();
    let mut rng = Rng::with_seed(3);
    let deliveries: Vec<_> = (0..fleet.ids.len())
        .map(|at| {
            let (fleet, instances, mut rng) = (Rc::clone(&fleet), Rc::clone(&instances), rng.fork());
            tokio::task::spawn_local(async move {
                sleep(Duration::from_millis(rng.u64(..1000))).await;
                let event = event_of(&fleet.ids[at], &at.to_string(), "Write");
                assert_eq!(instances[rng.usize(..INSTANCES)].invoke(&event).await, 200);
            })
        })
        .collect();
    for delivery in deliveries {
        delivery.await.unwrap();
    }
    let missing = || {
        let zones = (0..size().0).map(|zone| format!("spoke{zone}.contoso.internal"));
        let reverse = (0..size().0).map(|zone| format!("{zone}.10.in-addr.arpa"));
        let sets = zones.chain(reverse).map(|zone| fleet.azure.record_sets(&zone).len() - 1).sum::<usize>();
        2 * fleet.ids.len() - sets
    };
    while missing() > 0 {
        sleep(Duration::from_secs(1)).await;
        assert!(started.elapsed() < Duration::from_hours(2), "{} are missing", missing());
    }
    let right = started.elapsed();
    let (_, done) = drain(&fleet.azure, started).await;
    assert!(hosts.iter().all(|host| !host.has_ended()));
    assert_eq!(fleet.azure.messages(QUEUE).map(|messages| messages.len()), Some(0));
    let requests = wiretap.take();
    assert!(fleet.look(&instances[0]).await.found.is_empty());
    (right, done, requests)
}
