//! A soak: days of a fleet in which everything goes wrong, on a paused clock.
//!
//! During a day, groups are created, moved, restarted, stopped and deleted; events come late, twice and out of order;
//! requests fail before or after their effect, are throttled, delayed or answered by a stale replica; a zone is locked;
//! new groups are not visible at first; people edit the zones; and an instance is replaced. In the evening the weather
//! ends, every message is done, a sweep repairs what no event reports, and the zones are exactly right.
//!
//! `ACI_DNS_SOAK_DAYS=24` makes it longer.

use std::{
    collections::BTreeSet,
    env,
    rc::Rc,
    time::{Duration, Instant as RealInstant},
};

use aci_dns::{
    reconcile::coalesce::Load,
    sweep::{Stop, SweepOptions},
};
use azure_simulator::{
    Azure, CallView, Effect, FaultAnswer, GroupSpec, LockLevel, RecordSetView, Staleness, Throttles, View,
    When,
};
use fastrand::Rng;
use http::Method;
use serde_json::Value;
use tokio::{
    task::JoinHandle,
    time::{Instant, sleep},
};

use crate::storm::{Instance, QUEUE, Wiretap, drain, pause};

const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";
const ZONES: &str = r#"{
    "rg-a": {"forwardZone": "contoso.internal", "reverseZones": ["1.10.in-addr.arpa"], "zoneResourceGroup": "rg-dns"},
    "rg-b": {"forwardZone": "fabrikam.internal", "reverseZones": ["1.10.in-addr.arpa"], "zoneResourceGroup": "rg-dns"},
    "rg-c": {"forwardZone": "tailspin.internal", "reverseZones": ["3.10.in-addr.arpa"], "zoneResourceGroup": "rg-dns"}}"#;
/// Resource group, forward zone, reverse zone and range of addresses.
const PLACES: [[&str; 4]; 3] = [
    ["rg-a", "contoso.internal", "1.10.in-addr.arpa", "10.1.0.0/26"],
    ["rg-b", "fabrikam.internal", "1.10.in-addr.arpa", "10.1.1.0/26"],
    ["rg-c", "tailspin.internal", "3.10.in-addr.arpa", "10.3.0.0/26"],
];
/// The names of groups in each resource group.
const NAMES: usize = 15;
const INSTANCES: usize = 3;
/// How often something happens to a group in a day, and how long the weather of a day lasts.
const STEPS: usize = 150;
const DAYTIME: Duration = Duration::from_hours(18);
/// One request of this many gets a fault.
const FAULT_EVERY: u32 = 30;

struct Soak {
    azure: Azure,
    wiretap: Wiretap,
    instances: Vec<Rc<Instance>>,
    rng: Rng,
}

fn fault(rng: &mut Rng, call: &CallView) -> Option<Effect> {
    // The Functions host has its own client for the queue.
    if call.path.starts_with("/devstoreaccount1") && call.method != Method::POST {
        return None;
    }
    if call.method == Method::GET && rng.u8(..5) == 0 {
        return Some(Effect::Stale(Staleness::Behind(Duration::from_millis(rng.u64(..8000)))));
    }
    if rng.u32(..FAULT_EVERY) > 0 {
        return None;
    }
    let when = if rng.bool() { When::Before } else { When::After };
    let throttle = FaultAnswer::new(429, "TooManyRequests").retry_after(rng.u64(1..60));
    Some(match rng.u8(..8) {
        0 | 1 => Effect::Drop(when),
        2 => Effect::Answer(when, FaultAnswer::new(500, "InternalServerError")),
        3 => Effect::Answer(when, FaultAnswer::new(503, "ServiceUnavailable")),
        4 => Effect::Answer(When::Before, throttle),
        5 => Effect::Truncate(usize::from(rng.u8(..60))),
        6 => Effect::Delay(when, Duration::from_millis(rng.u64(500..9000))),
        _ => Effect::Answer(When::Before, FaultAnswer::new(412, "PreconditionFailed")),
    })
}

/// Delivers an event until it is acknowledged, as Event Grid does, each time to another instance.
async fn deliver(instances: Vec<Rc<Instance>>, event: Value, mut rng: Rng) {
    sleep(Duration::from_millis(rng.u64(..120_000))).await;
    for attempt in 1.. {
        if instances[rng.usize(..instances.len())].invoke(&event).await == 200 {
            return;
        }
        sleep(pause(attempt) + Duration::from_millis(rng.u64(..3000))).await;
    }
}

impl Soak {
    fn new() -> Self {
        let azure = Azure::default();
        azure.configure(|settings| {
            settings.require_token = false;
            settings.latency = Duration::from_millis(20);
            settings.calls_kept = 0;
            settings.provisioning = Duration::from_secs(8);
            settings.throttles = Some(Throttles::default());
        });
        for [resource_group, forward, reverse, range] in PLACES {
            azure.create_resource_group(SUBSCRIPTION, resource_group);
            assert!(azure.set_address_range(SUBSCRIPTION, resource_group, range));
            for zone in [forward, reverse] {
                azure.create_zone(SUBSCRIPTION, "rg-dns", zone);
            }
        }
        azure.create_queue(QUEUE);
        let wiretap = Wiretap::default();
        let instances = (0..INSTANCES).map(|number| Rc::new(instance(number, &azure, &wiretap))).collect();
        Self { azure, wiretap, instances, rng: Rng::with_seed(23) }
    }

    /// Something happens to a group. Says whether no event reports it.
    fn happen(&mut self) {
        let [resource_group, forward, ..] = PLACES[self.rng.usize(..PLACES.len())];
        let name = format!("g{}", self.rng.usize(..NAMES));
        let groups = self.azure.read(|view: &View<'_>| view.groups());
        let id =
            groups.into_iter().find(|group| group.resource_group == resource_group && group.name == name);
        let Some(id) = id.map(|group| group.id) else {
            let visible_after = Some(Duration::from_secs(self.rng.u64(..40)));
            self.azure.create_group(GroupSpec { visible_after, ..GroupSpec::new(resource_group, &name) });
            return;
        };
        // What does not fit the state of the group does not happen.
        match self.rng.u8(..9) {
            0 | 1 => _ = self.azure.restart_group(&id),
            2 => _ = self.azure.stop_group(&id),
            3 => _ = self.azure.start_group(&id),
            4 => _ = self.azure.move_group(&id),
            5 => {
                _ = self.azure.delete_group(&id);
                self.azure.create_group(GroupSpec::new(resource_group, &name));
            }
            6 => _ = self.azure.remove_record_set(forward, "A", &name),
            _ => _ = self.azure.delete_group(&id),
        }
    }

    /// Delivers the new events, some of them twice.
    fn spread(&mut self) -> Vec<JoinHandle<()>> {
        let mut deliveries = vec![];
        for event in self.azure.take_events() {
            for _ in 0..=self.rng.usize(..2) {
                let delivery = deliver(self.instances.clone(), event.clone(), self.rng.fork());
                deliveries.push(tokio::task::spawn_local(delivery));
            }
        }
        deliveries
    }

    async fn day(&mut self, day: usize) {
        let mut hosts: Vec<_> = self.instances.iter().map(|instance| instance.queue_host.start()).collect();
        let mut rng = self.rng.fork();
        self.azure.set_interceptor(Box::new(move |call| fault(&mut rng, call)));
        let zone = format!(
            "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-dns/providers/Microsoft.Network/privateDnsZones/{}",
            PLACES[day % PLACES.len()][2]
        );
        let mut deliveries = vec![];
        for step in 0..STEPS {
            if step == STEPS / 3 {
                self.azure.lock(&zone, LockLevel::CanNotDelete);
            }
            if step == STEPS / 2 {
                // The messages that the old instance had come back.
                hosts[day % INSTANCES].stop();
                self.instances[day % INSTANCES] = Rc::new(instance(day, &self.azure, &self.wiretap));
                hosts[day % INSTANCES] = self.instances[day % INSTANCES].queue_host.start();
            }
            // Sometimes much happens at once.
            for _ in 0..if self.rng.u8(..20) == 0 { 40 } else { 1 } {
                self.happen();
            }
            deliveries.extend(self.spread());
            sleep(DAYTIME / u32::try_from(STEPS).unwrap()).await;
        }
        self.azure.set_interceptor(Box::new(|_| None));
        self.azure.unlock(&zone);
        for delivery in deliveries {
            delivery.await.unwrap();
        }
        drain(&self.azure, Instant::now()).await;
        self.sweep().await;
        drain(&self.azure, Instant::now()).await;
        // A process remembers the work that another one finished for five minutes after its message became visible.
        sleep(Duration::from_mins(30)).await;
        assert!(hosts.iter().all(|host| !host.has_ended()));
        for (host, instance) in hosts.iter().zip(&self.instances) {
            host.stop();
            let metrics = instance.reconciler.metrics();
            assert_eq!((metrics.load, metrics.retry.oldest), (Load::default(), None), "day {day}");
        }
        assert_eq!(self.actual(), self.expected(), "day {day}");
    }

    async fn sweep(&self) {
        let options = SweepOptions { deadline: Instant::now() + Duration::from_hours(1), is_thorough: true };
        let sweeper = &self.instances[0].sweeper;
        let findings = sweeper.compare(options).await.unwrap();
        let deadline = Instant::now() + Duration::from_hours(2);
        sweeper.repair(&findings.found, deadline, &Stop::never(), |_| ()).await;
    }

    fn expected(&self) -> BTreeSet<String> {
        let groups = self.azure.read(|view: &View<'_>| view.groups());
        let running = groups.into_iter().filter(|group| group.state == "Running");
        let lines = running.filter_map(|group| {
            let [_, forward, reverse, _] =
                PLACES.into_iter().find(|[name, ..]| *name == group.resource_group)?;
            let [_, _, third, fourth] = group.address?.octets();
            Some([
                format!("A {}.{forward} {}", group.name, group.address?),
                format!("PTR {fourth}.{third}.{reverse} {}.{forward}", group.name),
            ])
        });
        lines.flatten().collect()
    }

    /// The record sets with values: stopped groups keep empty ones, and so does a lock.
    fn actual(&self) -> BTreeSet<String> {
        let zones: BTreeSet<_> =
            PLACES.iter().flat_map(|[_, forward, reverse, _]| [*forward, *reverse]).collect();
        let sets = zones.into_iter().flat_map(|zone| self.azure.record_sets(zone));
        let sets = sets.filter(|set| set.record_type != "SOA" && !set.values.is_empty());
        let line = |set: RecordSetView| {
            format!("{} {} {}", set.record_type, set.fqdn.trim_end_matches('.'), set.values.join(","))
        };
        sets.map(line).collect()
    }
}

fn instance(number: usize, azure: &Azure, wiretap: &Wiretap) -> Instance {
    Instance::start(
        number,
        azure,
        wiretap,
        &[("ACI_DNS_ZONES", ZONES), ("ACI_DNS_SUBSCRIPTIONS", SUBSCRIPTION)],
    )
}

#[test]
#[expect(clippy::print_stdout, reason = "the figures are shown on request")]
fn every_evening_the_zones_are_right_and_nothing_is_left() {
    let days = env::var("ACI_DNS_SOAK_DAYS").map_or(1, |days| days.parse().unwrap());
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let local = tokio::task::LocalSet::new();
    let subscriber = tracing::subscriber::NoSubscriber::default();
    let started = RealInstant::now();
    tracing::subscriber::with_default(subscriber, || {
        local.block_on(&runtime, async {
            let mut soak = Soak::new();
            for day in 0..days {
                soak.day(day).await;
                let [requests, throttled] = soak.wiretap.take();
                println!("day {day}: {requests} requests, {throttled} of them 429; {:?}", started.elapsed());
            }
        });
    });
}
