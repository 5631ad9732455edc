//! The parts that only compute: `cargo bench --bench pure`.
#![expect(clippy::unwrap_used, reason = "a measurement that cannot go on fails")]

use std::{net::Ipv4Addr, sync::Arc};

use aci_dns::{
    config::{Ownership, Policy, Settings, Stopped, ZoneMap},
    decide::{
        Fact, Facts, Goal, Key, Observation, Purpose, Right, Rules, RunState, Step, Verdict, WriteResult,
        change::{Change, Edit},
        decide,
        desired::Desired,
    },
    domain::{
        container_group::{ContainerGroup, IpAddress},
        dns::{ARecordSet, Content, ETag, OWNER_KEY, PtrRecordSet, PtrTarget, RecordSet},
        event,
        resource_id::ContainerGroupId,
    },
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
    ownership: Ownership::Strict,
    adopts_tagged: false,
    policy: Policy::Sync,
    stopped: Stopped::Remove,
    memory_seconds: 300,
};

fn main() {
    divan::main();
}

fn etag() -> ETag {
    ETag::from("e".to_owned())
}

fn set<Record>(desired: &Desired, record: Record) -> RecordSet<Record> {
    let metadata = [(OWNER_KEY.to_owned(), desired.owner.as_str().to_owned())].into_iter().collect();
    RecordSet {
        etag: etag(),
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

/// From the first read to the verdict, for a group whose records are right.
#[divan::bench]
fn plan_nothing(bencher: Bencher) {
    let goal = goal();
    let group = group();
    let desired = Desired::of(&goal.id, &group, &goal.zones).unwrap().unwrap();
    let target = PtrTarget::from(&desired.fqdn());
    let records = Records { a: Some(set(&desired, ADDRESS)), ptr: Some(set(&desired, target)) };
    plan(bencher, &goal, &group, &records, 0);
}

/// From the first read to the verdict, for a group without records: two writes and their verification.
#[divan::bench]
fn plan_new_group(bencher: Bencher) {
    plan(bencher, &goal(), &group(), &Records::default(), 2);
}

fn goal() -> Goal {
    let map = Arc::new(ZoneMap::parse(ZONES).unwrap());
    Goal::new(&ID.parse().unwrap(), &map, Purpose::Reconcile).unwrap()
}

fn group() -> ContainerGroup {
    ContainerGroup {
        provisioning_state: Some("Succeeded".to_owned()),
        state: Some("Running".to_owned()),
        ip_address: Some(IpAddress { kind: Some("Private".to_owned()), ip: Some(ADDRESS.to_string()) }),
        ..ContainerGroup::default()
    }
}

/// The record sets of one group.
#[derive(Clone, Default)]
struct Records {
    a: Option<ARecordSet>,
    ptr: Option<PtrRecordSet>,
}

fn plan(bencher: Bencher, goal: &Goal, group: &ContainerGroup, records: &Records, writes: usize) {
    let plan = || {
        let verdict = decided(black_box(goal), black_box(group), black_box(records.clone()));
        assert_eq!(verdict, (Verdict::Right(Right::Named(ADDRESS)), writes));
    };
    plan();
    bencher.bench(plan);
}

/// Answers every step until the verdict, and counts the writes.
fn decided(goal: &Goal, group: &ContainerGroup, mut records: Records) -> (Verdict, usize) {
    let mut facts = Facts::new(RunState::default());
    facts.now = 1_767_225_600;
    let mut writes = 0;
    loop {
        let (read, write) = match decide(RULES, goal, &facts).step {
            Step::Done(verdict) => return (verdict, writes),
            Step::Verify => {
                facts.begin_verification();
                continue;
            }
            Step::Act { read, write } => (read, write),
            step @ (Step::Poll | Step::Repeat) => unreachable!("{step:?} where nothing is disturbed"),
        };
        facts.expect_writes(goal, &write);
        for change in &write {
            writes += 1;
            records.apply(change);
            facts.learn_write(goal, change, WriteResult::Written(Some(etag())));
        }
        for key in read {
            facts.learn(match key {
                Key::A(name) => Fact::A(name, Ok(records.a.clone())),
                Key::Group => Fact::Group(Ok(Observation::of(goal, Some(group)))),
                Key::Ptr(key) => Fact::Ptr(key, Ok(records.ptr.clone())),
                key => unreachable!("{key:?} is not read"),
            });
        }
    }
}

impl Records {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::A(edit) => self.a = after(edit),
            Change::Ptr(edit) => self.ptr = after(edit),
        }
    }
}

fn after<Record: Clone>(edit: &Edit<Record>) -> Option<RecordSet<Record>> {
    let content = edit.after.clone()?;
    Some(RecordSet { etag: etag(), content, is_auto_registered: false })
}
