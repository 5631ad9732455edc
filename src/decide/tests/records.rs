//! The rules for single record sets, one test each: ownership, previous addresses, and plans.

mod ptr;

use super::{
    reverse::{RemovalScope, other_holders},
    *,
};
use crate::{
    config::Zones,
    domain::dns::{
        Content, ETag, Metadata, OWNER_KEY, PREVIOUS_KEY, Precondition, PtrRecordSet, PtrTarget, ReverseZone,
        Zone,
    },
};

const NOW: u64 = 10_000;
const OWN: &str = "s1/rg-spoke1/web";
const OTHER: &str = "s1/rg-spoke2/web";
const STRICT: &str = "carries no owner mark, and ACI_DNS_OWNERSHIP is strict; \
    to take it over, run: aci-dns sync --adopt (or --adopt-only, to write only the mark)";

fn rules() -> Rules {
    Rules {
        ownership: Ownership::Adopt,
        adopts_tagged: false,
        policy: Policy::Sync,
        stopped: Stopped::Remove,
        memory_seconds: 300,
    }
}

fn strict() -> Rules {
    Rules { ownership: Ownership::Strict, ..rules() }
}

fn upsert_only() -> Rules {
    Rules { policy: Policy::UpsertOnly, ..rules() }
}

fn zone(name: &str) -> Zone {
    Zone { subscription: "s1".into(), resource_group: "rg-dns".into(), name: name.parse().unwrap() }
}

fn id() -> ContainerGroupId {
    ContainerGroupId::new("s1", "rg-spoke1", "web").unwrap()
}

fn desired() -> Desired {
    let reverse = vec![ReverseZone::new(zone("1.10.in-addr.arpa")).unwrap()];
    Desired::of_absent(&id(), &Zones::new(zone("spoke1.internal"), reverse, 60))
}

/// A map with a second forward zone and a replaced one.
fn goal() -> Goal {
    let map = r#"{
        "rg-spoke1": {"forwardZone": "spoke1.internal", "reverseZones": ["1.10.in-addr.arpa"]},
        "rg-spoke2": {"forwardZone": "spoke2.internal", "reverseZones": [], "formerZones": ["old.internal"]}
    }"#;
    Goal::new(&id(), &Arc::new(ZoneMap::parse(map).unwrap()), Purpose::Reconcile).unwrap()
}

fn address(last: u8) -> Ipv4Addr {
    Ipv4Addr::new(10, 1, 5, last)
}

fn metadata(pairs: &[(&str, &str)]) -> Metadata {
    pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
}

fn set<Record>(records: Vec<Record>, pairs: &[(&str, &str)]) -> RecordSet<Record> {
    RecordSet {
        etag: ETag::from("e".to_owned()),
        content: Content { ttl: 60, records, metadata: metadata(pairs) },
        is_auto_registered: false,
    }
}

fn a(addresses: &[u8], pairs: &[(&str, &str)]) -> ARecordSet {
    set(addresses.iter().map(|last| address(*last)).collect(), pairs)
}

/// A PTR record set, or none, at an address.
#[derive(Clone, Debug)]
struct Ptr {
    address: Ipv4Addr,
    zone: Zone,
    name: RelativeName,
    record_set: Option<PtrRecordSet>,
}

impl Ptr {
    fn observed(&self) -> ObservedPtr<'_> {
        ObservedPtr {
            address: Some(self.address),
            zone: &self.zone,
            name: &self.name,
            record_set: self.record_set.as_ref(),
        }
    }
}

fn ptr(last: u8, targets: &[&str], pairs: &[(&str, &str)]) -> Ptr {
    let targets = targets.iter().map(|target| PtrTarget::from(target.to_string())).collect();
    Ptr { record_set: Some(set(targets, pairs)), ..absent(last) }
}

fn absent(last: u8) -> Ptr {
    let zone = zone("1.10.in-addr.arpa");
    Ptr { address: address(last), zone, name: format!("{last}.5").parse().unwrap(), record_set: None }
}

fn observed(record_set: ARecordSet) -> ObservedA {
    ObservedA { record_set: Some(record_set), ..ObservedA::default() }
}

/// The group is at 10.1.5.4.
fn check_forward(rules: Rules, observed: &ObservedA, expected: &str) {
    check_forward_at(Some(address(4)), rules, observed, expected);
}

fn check_forward_at(address: Option<Ipv4Addr>, rules: Rules, observed: &ObservedA, expected: &str) {
    let edit = forward(&desired(), rules, address, observed, NOW);
    assert_eq!(edit.map_or("nothing".to_owned(), |edit| Change::A(edit).to_string()), expected);
}

fn names() -> Names {
    Names {
        held: BTreeSet::from([desired().fqdn()]),
        own: BTreeSet::from(["gone.spoke1.internal".parse().unwrap()]),
        former_zones: vec!["former.internal".parse().unwrap()],
    }
}

fn show(plan: &ReversePlan) -> Vec<String> {
    let mut lines: Vec<String> =
        plan.edits.iter().map(|edit| Change::Ptr(edit.clone()).to_string()).collect();
    lines.extend(plan.withheld.iter().map(|edit| format!("withheld {}", Change::Ptr(edit.clone()))));
    lines.extend(plan.conflicts.iter().map(ToString::to_string));
    lines
}

fn point(rules: Rules, ptr: &Ptr, holder: Option<&OtherHolder>) -> ReversePlan {
    let mut plan = ReversePlan::default();
    plan.point(&goal(), &desired(), rules, &ptr.observed(), &names(), holder);
    plan
}

fn check_point(rules: Rules, ptr: &Ptr, expected: &[&str]) {
    assert_eq!(show(&point(rules, ptr, Some(&OtherHolder::HasLeft))), expected, "{ptr:?}");
}

fn remove(rules: Rules, ptr: &Ptr, scope: RemovalScope) -> ReversePlan {
    let mut plan = ReversePlan::default();
    plan.remove(&desired(), rules, &ptr.observed(), &names(), scope);
    plan
}

/// At an address that is not the group's.
fn check_elsewhere(rules: Rules, ptr: &Ptr, expected: &[&str]) {
    assert_eq!(show(&remove(rules, ptr, RemovalScope::All)), expected, "{ptr:?}");
}

#[test]
fn a_missing_a_record_set_is_created_with_our_mark_and_no_memory() {
    let edit = forward(&desired(), rules(), Some(address(4)), &ObservedA::default(), NOW).unwrap();
    assert_eq!(edit.precondition(), Precondition::Absent);
    let after = Content { ttl: 60, records: vec![address(4)], metadata: metadata(&[(OWNER_KEY, OWN)]) };
    assert_eq!(edit.after, Some(after));
    assert_eq!(Change::A(edit).to_string(), "+ A web.spoke1.internal 10.1.5.4");
}

#[test]
fn a_correct_a_record_set_does_not_change() {
    check_forward(rules(), &observed(a(&[4], &[(OWNER_KEY, OWN), ("cost", "42")])), "nothing");
}

#[test]
fn no_address_leaves_the_a_record_set_before_it_is_remembered() {
    let before = a(&[9, 8], &[(OWNER_KEY, OWN), (PREVIOUS_KEY, "10.1.5.7@9000"), ("cost", "42")]);
    let edit = forward(&desired(), rules(), Some(address(4)), &observed(before), NOW).unwrap();
    assert_eq!(
        edit.after.unwrap().metadata,
        metadata(&[
            (OWNER_KEY, OWN),
            (PREVIOUS_KEY, "10.1.5.7@9000 10.1.5.8@10000 10.1.5.9@10000"),
            ("cost", "42")
        ])
    );
}

#[test]
fn an_address_that_is_live_again_is_no_previous_address() {
    let before = a(&[9], &[(OWNER_KEY, OWN), (PREVIOUS_KEY, "10.1.5.4@9000")]);
    check_forward(
        rules(),
        &observed(before),
        "~ A web.spoke1.internal 10.1.5.9 -> 10.1.5.4 (remember 10.1.5.9, forget 10.1.5.4)",
    );
}

#[test]
fn an_address_outside_of_every_reverse_zone_needs_no_memory() {
    let before = set(vec![Ipv4Addr::new(192, 168, 0, 9)], &[(OWNER_KEY, OWN)]);
    check_forward(rules(), &observed(before), "~ A web.spoke1.internal 192.168.0.9 -> 10.1.5.4");
}

#[test]
fn with_upsert_only_previous_addresses_do_not_change() {
    let before = a(&[9], &[(OWNER_KEY, OWN), (PREVIOUS_KEY, "10.1.5.7@9000")]);
    check_forward(upsert_only(), &observed(before.clone()), "~ A web.spoke1.internal 10.1.5.9 -> 10.1.5.4");
    let clean = BTreeSet::from([address(7)]);
    assert_eq!(forget(&desired(), upsert_only(), &before, &clean, NOW), None);
}

#[test]
fn at_most_nine_addresses_are_remembered_in_less_than_256_characters() {
    let memory: Vec<String> = (100..140).map(|last| format!("10.255.255.{last}@1767225{last}")).collect();
    let pairs = [(OWNER_KEY, OWN), (PREVIOUS_KEY, &memory.join(" "))];
    let before = set(vec![Ipv4Addr::new(10, 1, 255, 9)], &pairs);
    let edit = forward(&desired(), rules(), Some(address(4)), &observed(before), 1_767_225_600).unwrap();
    let kept = edit.after.unwrap().metadata[PREVIOUS_KEY].clone();
    // 32 entries are read; the oldest of them are dropped.
    let newest = memory.iter().take(32).skip(24).map(String::as_str);
    let expected: Vec<&str> = ["10.1.255.9@1767225600"].into_iter().chain(newest).collect();
    assert_eq!(kept, expected.join(" "));
    assert!(kept.len() < 256);
}

#[test]
fn a_time_in_the_future_counts_as_now_when_the_oldest_are_dropped() {
    let full: Vec<String> = (1..=8).map(|last| format!("10.1.6.{last}@9999")).collect();
    let memory = format!("10.1.7.1@88888 {}", full.join(" "));
    let before = a(&[8, 9], &[(OWNER_KEY, OWN), (PREVIOUS_KEY, &memory)]);
    let edit = forward(&desired(), rules(), Some(address(4)), &observed(before), NOW).unwrap();
    let kept = edit.after.unwrap().metadata[PREVIOUS_KEY].clone();
    let kept: Vec<&str> = kept.split(' ').map(|entry| entry.split('@').next().unwrap()).collect();
    assert_eq!(kept.len(), 9);
    assert!(kept.contains(&"10.1.5.8") && kept.contains(&"10.1.5.9"), "{kept:?}");
}

#[test]
fn the_ttl_is_part_of_the_desired_state() {
    let mut before = a(&[4], &[(OWNER_KEY, OWN)]);
    before.content.ttl = 300;
    check_forward(rules(), &observed(before), "~ A web.spoke1.internal 10.1.5.4 (ttl 300 -> 60)");
}

#[test]
fn a_record_set_without_an_address_stays_empty_with_its_memory() {
    let before = observed(a(&[4], &[(OWNER_KEY, OWN), (PREVIOUS_KEY, "10.1.5.7@9000")]));
    check_forward_at(
        None,
        rules(),
        &before,
        "~ A web.spoke1.internal 10.1.5.4 -> (empty) (remember 10.1.5.4)",
    );
    let reserved = observed(a(&[], &[(OWNER_KEY, OWN)]));
    check_forward_at(None, rules(), &reserved, "nothing");
    check_forward_at(None, rules(), &ObservedA::default(), "nothing");
}

#[test]
fn the_new_name_takes_over_the_addresses_of_old_names() {
    let old_names = vec![
        a(&[4, 8], &[(OWNER_KEY, OWN), (PREVIOUS_KEY, "10.1.5.7@9000 10.1.5.6@9400")]),
        a(&[], &[(OWNER_KEY, OWN), (PREVIOUS_KEY, "10.1.5.7@9500")]),
    ];
    let before =
        ObservedA { old_names, ..observed(a(&[4], &[(OWNER_KEY, OWN), (PREVIOUS_KEY, "10.1.5.6@9600")])) };
    let edit = forward(&desired(), rules(), Some(address(4)), &before, NOW).unwrap();
    let memory = edit.after.unwrap().metadata[PREVIOUS_KEY].clone();
    assert_eq!(memory, "10.1.5.6@9600 10.1.5.7@9500 10.1.5.8@10000");
}

#[test]
fn an_unmarked_a_record_set_is_taken_over_with_what_the_lists_found() {
    let before = ObservedA { listed: BTreeSet::from([address(7)]), ..observed(a(&[4], &[])) };
    check_forward(
        rules(),
        &before,
        "~ A web.spoke1.internal 10.1.5.4 (owner none -> s1/rg-spoke1/web, remember 10.1.5.7)",
    );
}

#[test]
fn an_a_record_set_gets_no_mark_while_the_lists_are_incomplete() {
    let before = ObservedA { is_listing_incomplete: true, ..observed(a(&[9], &[])) };
    check_forward(rules(), &before, "~ A web.spoke1.internal 10.1.5.9 -> 10.1.5.4 (remember 10.1.5.9)");
}

#[test]
fn with_adopt_only_the_mark_is_all_that_changes() {
    let adopt_only = Rules { policy: Policy::AdoptOnly, ..rules() };
    let mut before = a(&[9], &[]);
    before.content.ttl = 300;
    check_forward(
        adopt_only,
        &observed(before),
        "~ A web.spoke1.internal 10.1.5.9 (owner none -> s1/rg-spoke1/web)",
    );
    check_forward(adopt_only, &ObservedA::default(), "nothing");
}

#[test]
fn the_mark_of_an_a_record_set_decides_its_owner() {
    let us = desired().owner;
    let controller = |key: &str| OwnerMark::OtherController { key: key.to_owned(), value: "x".to_owned() };
    let other = OwnerMark::Other(a(&[], &[(OWNER_KEY, OTHER)]).owner().unwrap());
    for (pairs, expected) in [
        (vec![(OWNER_KEY, OWN)], OwnerMark::Ours),
        (vec![(OWNER_KEY, "S1/RG-Spoke1/Web"), ("creator", "x")], OwnerMark::Ours),
        (vec![(OWNER_KEY, OTHER), ("owner", "x")], other),
        (vec![], OwnerMark::None),
        (vec![("cost", "42")], OwnerMark::None),
        (vec![("creator", "x")], controller("creator")),
        (vec![("MANAGEDBY", "x")], controller("MANAGEDBY")),
        (vec![("managed-by", "x")], controller("managed-by")),
        (vec![("Owner", "x")], controller("Owner")),
        (vec![("co-owner", "x")], OwnerMark::None),
    ] {
        let mut record_set = a(&[4], &pairs);
        assert_eq!(OwnerMark::of(&record_set, &us), expected, "{pairs:?}");
        record_set.is_auto_registered = true;
        assert_eq!(OwnerMark::of(&record_set, &us), OwnerMark::AutoRegistered, "{pairs:?}");
    }
}

#[test]
fn a_record_set_without_our_mark_is_a_conflict_unless_it_may_be_taken_over() {
    let tagged = Desired { is_name_from_tag: true, ..desired() };
    let operator = Rules { adopts_tagged: true, ..rules() };
    let other = OwnerMark::Other(a(&[], &[(OWNER_KEY, OTHER)]).owner().unwrap());
    let controller = OwnerMark::OtherController { key: "creator".to_owned(), value: "x".to_owned() };
    let conflict = |desired: &Desired, rules, mark: &OwnerMark| {
        unmarked_conflict(desired, rules, mark).map(|conflict| conflict.to_string()).unwrap_or_default()
    };
    assert_eq!(
        conflict(&desired(), strict(), &OwnerMark::None),
        format!("the A record set web.spoke1.internal {STRICT}")
    );
    assert!(conflict(&tagged, rules(), &OwnerMark::None).contains("at a name that a tag chose"));
    for (desired, rules, mark) in [
        (desired(), rules(), OwnerMark::None),
        (tagged.clone(), operator, OwnerMark::None),
        (tagged, strict(), OwnerMark::Ours),
        (desired(), strict(), other),
    ] {
        assert_eq!(conflict(&desired, rules, &mark), "", "{mark:?}");
    }
    for mark in [controller, OwnerMark::AutoRegistered] {
        assert_ne!(conflict(&desired(), operator, &mark), "", "{mark:?}");
    }
}

#[test]
fn an_old_address_is_forgotten_if_its_ptr_does_not_name_us() {
    let before = a(&[4], &[(OWNER_KEY, OWN), (PREVIOUS_KEY, "10.1.5.7@9700 10.1.5.8@9701")]);
    let check = |clean: &[u8], expected: &str| {
        let clean = clean.iter().map(|last| address(*last)).collect();
        let edit = forget(&desired(), rules(), &before, &clean, NOW);
        assert_eq!(edit.map(|edit| Change::A(edit).to_string()).unwrap_or_default(), expected);
    };
    check(&[7, 8], "~ A web.spoke1.internal 10.1.5.4 (forget 10.1.5.7)");
    check(&[8], "");
    check(&[], "");
}

#[test]
fn a_removal_deletes_each_a_record_set_with_its_etag() {
    let record_sets = BTreeMap::from([("old".parse().unwrap(), a(&[7], &[(OWNER_KEY, OWN)]))]);
    let changes = removals(&desired(), &record_sets);
    let displayed: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(displayed, ["- A old.spoke1.internal 10.1.5.7"]);
    assert!(
        matches!(&changes[0], Change::A(edit) if edit.precondition() == Precondition::Unchanged(ETag::from("e".to_owned())))
    );
}

#[test]
fn a_record_set_that_azure_refuses_to_delete_is_emptied_once_and_keeps_its_metadata() {
    let edit = |set: ARecordSet| Edit {
        zone: zone("spoke1.internal"),
        name: "web".parse().unwrap(),
        before: Some(set),
        after: None,
    };
    for owner in [OWN, OTHER] {
        let before = edit(a(&[4], &[(OWNER_KEY, owner), (PREVIOUS_KEY, "10.1.5.9@1"), ("cost", "42")]));
        let after =
            Content { ttl: 60, records: vec![], metadata: metadata(&[(OWNER_KEY, owner), ("cost", "42")]) };
        let emptied = emptied(&before).unwrap();
        assert_eq!((&emptied.before, &emptied.after), (&before.before, &Some(after)));
    }
    assert_eq!(emptied(&edit(a(&[], &[(OWNER_KEY, OWN)]))), None);
}
