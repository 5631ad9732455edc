//! The parts that only compute: `cargo bench --bench pure`.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on fails")]

use std::net::Ipv4Addr;

use aci_dns::{
    config::{Ownership, Policy, Settings, Stopped, ZoneMap, Zones},
    decide::{Names, ObservedA, ObservedPtr, Rules, forward, reverse},
    desired::Desired,
    dns::{Content, ETag, OWNER_KEY, RecordSet},
    event,
    resource_id::ContainerGroupId,
};
use divan::{Bencher, black_box};
use serde_json::Value;

const ZONES: &str = r#"{"rg-spoke1": {"forwardZone": "spoke1.contoso.internal",
    "reverseZones": ["1.10.in-addr.arpa", "5.1.10.in-addr.arpa"], "zoneResourceGroup": "rg-dns"}}"#;
const ID: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-spoke1/providers/\
                  Microsoft.ContainerInstance/containerGroups/web";
const EVENT: &str = include_str!("../tests/events/01-create.json");
const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 1, 5, 4);
const RULES: Rules = Rules {
    ownership: Ownership::Adopt,
    policy: Policy::Sync,
    stopped: Stopped::Remove,
    memory_seconds: 300,
};

fn main() {
    divan::main();
}

fn zones() -> Zones {
    ZoneMap::parse(ZONES).unwrap().serving(&ID.parse().unwrap()).unwrap()
}

fn set<Record>(desired: &Desired, record: Record) -> RecordSet<Record> {
    let metadata = [(OWNER_KEY.to_owned(), desired.owner.as_str().to_owned())].into_iter().collect();
    RecordSet {
        etag: ETag::from("e".to_owned()),
        content: Content { ttl: 60, records: vec![record], metadata },
        is_auto_registered: false,
    }
}

#[divan::bench]
fn parse_resource_id() -> ContainerGroupId {
    black_box(ID).parse().unwrap()
}

#[divan::bench]
fn parse_event() {
    let value: Value = serde_json::from_str(black_box(EVENT)).unwrap();
    black_box(event::read(&value));
}

#[divan::bench]
fn parse_settings() -> Settings {
    Settings::from_variables(|name| (name == "ACI_DNS_ZONES").then(|| ZONES.to_owned())).unwrap()
}

#[divan::bench]
fn look_up_zones(bencher: Bencher) {
    let (map, id) = (ZoneMap::parse(ZONES).unwrap(), ID.parse().unwrap());
    bencher.bench(|| map.serving(black_box(&id)));
}

/// Both plans of a group whose records are right.
#[divan::bench]
fn plan_nothing(bencher: Bencher) {
    let desired = Desired::of_absent(&ID.parse().unwrap(), &zones());
    let a = ObservedA { record_set: Some(set(&desired, ADDRESS)), ..ObservedA::default() };
    let (zone, name) = desired.zones.reverse_name(ADDRESS).unwrap();
    let target = desired.fqdn().to_string().into();
    let ptr =
        [ObservedPtr { address: ADDRESS, zone: zone.clone(), name, record_set: Some(set(&desired, target)) }];
    plan(bencher, &desired, &a, &ptr, 0);
}

/// Both plans of a group without records.
#[divan::bench]
fn plan_new_group(bencher: Bencher) {
    let desired = Desired::of_absent(&ID.parse().unwrap(), &zones());
    let (zone, name) = desired.zones.reverse_name(ADDRESS).unwrap();
    let ptr = [ObservedPtr { address: ADDRESS, zone: zone.clone(), name, record_set: None }];
    plan(bencher, &desired, &ObservedA::default(), &ptr, 2);
}

fn plan(bencher: Bencher, desired: &Desired, a: &ObservedA, ptr: &[ObservedPtr], changes: usize) {
    let names = Names { held: [desired.fqdn()].into(), ..Names::default() };
    let plan = || {
        let forward = forward(desired, RULES, ADDRESS, black_box(a), 1_767_225_600).unwrap();
        let reverse = reverse(desired, RULES, ADDRESS, black_box(ptr), &names);
        (forward, reverse)
    };
    let (forward, reverse) = plan();
    assert_eq!(usize::from(forward.is_some()) + reverse.edits.len(), changes);
    bencher.bench(plan);
}
