//! A storm in bad weather, under the throttles: stale reads, groups that are not visible yet, a zone that is locked
//! against deletion, two groups that want one name, forward zones that share a reverse zone, and addresses that are
//! given to another group at once.
//!
//! At the end every message is done, and the zones are exactly right without another delivery.

use std::{
    collections::BTreeSet,
    net::Ipv4Addr,
    rc::Rc,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aci_dns::reconcile::coalesce::Load;
use azure_simulator::{Azure, Effect, GroupSpec, LockLevel, RecordSetView, Staleness, Throttles, View};
use fastrand::Rng;
use http::Method;
use tokio::time::{Instant, sleep};

use super::{
    EVENTS_PER_GROUP, FORWARD, INSTANCES, Instance, QUEUE, REVERSE, SUBSCRIPTION, Wiretap, ZONES, drain,
    event_of, id_in,
};

/// The forward zone of `rg-shared`.
const SHARED: &str = "fabrikam.internal";

/// How long the weather lasts.
const WEATHER: Duration = Duration::from_mins(4);

/// The largest delay of the replica that answers every third read.
const LAG: Duration = Duration::from_secs(10);

/// Groups in `rg`: the first have a rival, the next ones move, and the last are deleted.
const RIVALS: usize = 10;
const MOVED: usize = 30;
const DELETED: usize = 10;
/// Groups in `rg-shared`: half of them get the address of a deleted group.
const IN_SHARED: usize = 20;

fn address(third: u8, number: usize) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, third, u8::try_from(4 + number).unwrap())
}

fn create(azure: &Azure, resource_group: &str, name: &str, address: Ipv4Addr) -> String {
    let id = azure.create_group(GroupSpec::new(resource_group, name));
    azure.set_address(&id, address).unwrap();
    id
}

/// A, PTR and address of every group that exists, as record sets.
fn expected(azure: &Azure) -> BTreeSet<String> {
    let groups = azure.read(|view: &View<'_>| view.groups());
    let lines = groups.into_iter().flat_map(|group| {
        let zone = if group.id.contains("/rg-shared/") { SHARED } else { FORWARD };
        let [_, _, third, fourth] = group.address.unwrap().octets();
        [
            format!("A {}.{zone} {}", group.name, group.address.unwrap()),
            format!("PTR {fourth}.{third}.{REVERSE} {}.{zone}", group.name),
        ]
    });
    lines.collect()
}

/// The record sets with values: one that a lock left empty is for the sweep to report.
fn actual(azure: &Azure) -> BTreeSet<String> {
    let sets = [FORWARD, SHARED, REVERSE].into_iter().flat_map(|zone| azure.record_sets(zone));
    let sets = sets.filter(|set| set.record_type != "SOA" && !set.values.is_empty());
    let line = |set: RecordSetView| {
        format!("{} {} {}", set.record_type, set.fqdn.trim_end_matches('.'), set.values.join(","))
    };
    sets.map(line).collect()
}

fn world() -> Azure {
    let azure = Azure::default();
    azure.configure(|settings| {
        settings.require_token = false;
        settings.latency = Duration::from_millis(20);
        settings.calls_kept = 0;
    });
    for (resource_group, range) in
        [("rg", "10.200.0.0/20"), ("rg-rival", "10.201.0.0/20"), ("rg-shared", "10.202.0.0/20")]
    {
        azure.create_resource_group(SUBSCRIPTION, resource_group);
        assert!(azure.set_address_range(SUBSCRIPTION, resource_group, range));
    }
    for zone in [FORWARD, SHARED, REVERSE] {
        azure.create_zone(SUBSCRIPTION, "rg-dns", zone);
    }
    azure.create_queue(QUEUE);
    azure
}

/// Starts the weather, and counts the reads that are stale.
fn begin(azure: &Azure, reverse: &str) -> Arc<AtomicUsize> {
    let stale = Arc::new(AtomicUsize::new(0));
    let (counter, mut rng) = (Arc::clone(&stale), Rng::with_seed(7));
    azure.configure(|settings| {
        settings.throttles = Some(Throttles::default());
        settings.visible_after = Duration::from_secs(20);
    });
    azure.lock(reverse, LockLevel::CanNotDelete);
    azure.set_interceptor(Box::new(move |call| {
        let is_stale = call.method == Method::GET && rng.u8(..3) == 0;
        is_stale.then(|| {
            counter.fetch_add(1, Ordering::Relaxed);
            let lag = Duration::from_millis(rng.u64(..=u64::try_from(LAG.as_millis()).unwrap()));
            Effect::Stale(Staleness::Behind(lag))
        })
    }));
    stale
}

/// The group that has the name of a rival.
fn holder(azure: &Azure, name: &str) -> String {
    let set = azure.record_set(FORWARD, "A", name).unwrap();
    let owner = &set.metadata["aci-dns-owner"];
    let resource_group = owner.split('/').nth(1).unwrap();
    id_in(resource_group, name)
}

async fn storm() -> (Azure, Wiretap, usize) {
    let azure = world();
    let wiretap = Wiretap::default();
    let start = |number| Instance::start(number, &azure, &wiretap, &[("ACI_DNS_ZONES", ZONES)]);
    let instances: Vec<_> = (0..INSTANCES).map(start).collect();
    let hosts: Vec<_> = instances.iter().map(|instance| instance.queue_host.start()).collect();

    // Before the storm, the groups that move and those that are deleted have their records.
    let mut moved = vec![];
    let mut deleted = vec![];
    for number in 0..MOVED {
        moved.push(create(&azure, "rg", &format!("m{number}"), address(0, number)));
    }
    for number in 0..DELETED {
        deleted.push(create(&azure, "rg", &format!("d{number}"), address(1, number)));
    }
    for id in moved.iter().chain(&deleted) {
        assert_eq!(instances[0].invoke(&event_of(id, "before", "Write")).await, 200);
    }
    while azure.messages(QUEUE).is_some_and(|messages| !messages.is_empty()) {
        sleep(Duration::from_secs(10)).await;
    }

    let reverse = format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-dns/providers/Microsoft.Network/privateDnsZones/{REVERSE}"
    );
    let stale = begin(&azure, &reverse);
    let mut changed: Vec<(String, &str)> = vec![];
    for (number, id) in moved.iter().enumerate() {
        azure.set_address(id, address(2, number)).unwrap();
        changed.push((id.clone(), "Write"));
    }
    for id in deleted {
        azure.delete_group(&id).unwrap();
        changed.push((id, "Delete"));
    }
    for number in 0..RIVALS {
        for (resource_group, third) in [("rg", 3), ("rg-rival", 4)] {
            let id = create(&azure, resource_group, &format!("g{number}"), address(third, number));
            changed.push((id, "Write"));
        }
    }
    for number in 0..IN_SHARED {
        let third = if number < DELETED { 1 } else { 5 };
        changed.push((create(&azure, "rg-shared", &format!("s{number}"), address(third, number)), "Write"));
    }

    let mut rng = Rng::with_seed(11);
    let mut events: Vec<_> =
        (0..changed.len() * EVENTS_PER_GROUP).map(|at| (changed[at % changed.len()].clone(), at)).collect();
    rng.shuffle(&mut events);
    let instances = Rc::new(instances);
    let started = Instant::now();
    let deliveries: Vec<_> = events
        .into_iter()
        .map(|((id, verb), number)| {
            let (instances, mut rng) = (Rc::clone(&instances), rng.fork());
            tokio::task::spawn_local(async move {
                sleep(Duration::from_millis(rng.u64(..500))).await;
                let event = event_of(&id, &number.to_string(), verb);
                assert_eq!(instances[rng.usize(..INSTANCES)].invoke(&event).await, 200);
            })
        })
        .collect();
    for delivery in deliveries {
        delivery.await.unwrap();
    }
    sleep(WEATHER).await;
    azure.set_interceptor(Box::new(|_| None));
    azure.unlock(&reverse);
    // Each waiting rival gets its name, once the group that has it is deleted.
    sleep(Duration::from_mins(4)).await;
    for number in 0..RIVALS {
        let id = holder(&azure, &format!("g{number}"));
        azure.delete_group(&id).unwrap();
        assert_eq!(instances[0].invoke(&event_of(&id, &format!("end-{number}"), "Delete")).await, 200);
    }
    let (_, emptied) = drain(&azure, started).await;
    assert!(emptied < Duration::from_mins(30), "{emptied:?}");
    assert!(hosts.iter().all(|host| !host.has_ended()));
    for instance in &*instances {
        assert_eq!(instance.reconciler.metrics().load, Load::default());
    }
    (azure, wiretap, stale.load(Ordering::Relaxed))
}

#[test]
fn a_throttled_storm_in_bad_weather_ends_with_zones_that_are_exactly_right() {
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
    let local = tokio::task::LocalSet::new();
    let subscriber = tracing::subscriber::NoSubscriber::default();
    let (azure, wiretap, stale) =
        tracing::subscriber::with_default(subscriber, || local.block_on(&runtime, storm()));
    assert_eq!(actual(&azure), expected(&azure));
    let sent = wiretap.sent.lock().unwrap();
    let count = |is_meant: fn(&super::Sent) -> bool| sent.iter().filter(|sent| is_meant(sent)).count();
    // There was such weather.
    assert!(stale > 300, "{stale}");
    assert!(count(super::Sent::is_list) > 10);
    assert!(count(|sent| sent.status == 429) > 10);
    assert!(count(|sent| sent.method == Method::DELETE && sent.status == 409) > 10);
}
