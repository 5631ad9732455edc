//! The rules about single record sets (design: ownership and memory; plan and apply), one test each.

use super::{
    reverse::{RemovalScope, other_holders},
    *,
};
use crate::{
    config::Zones,
    dns::{
        Content, ETag, Metadata, OWNER_KEY, PREVIOUS_KEY, Precondition, PtrRecordSet, PtrTarget, ReverseZone,
        Zone,
    },
};

const NOW: u64 = 10_000;
const OWN: &str = "s1/rg-spoke1/web";
const OTHER: &str = "s1/rg-spoke2/web";
const STRICT: &str = "carries no owner mark, and ACI_DNS_OWNERSHIP is strict; \
    to take it over, run: aci-dns sync --adopt (or --adopt-only, to write the mark alone)";

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

/// A map with a second forward zone, and one that was replaced.
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

/// The group lives at 10.1.5.4.
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

/// At an address that the group does not have.
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
fn a_right_a_record_set_is_left_as_it_is() {
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
fn an_address_that_comes_back_needs_no_memory() {
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
fn with_upsert_only_nothing_is_remembered_and_memory_is_left_as_it_is() {
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
    // 32 entries are read; the oldest of them go.
    let newest = memory.iter().take(32).skip(24).map(String::as_str);
    let expected: Vec<&str> = ["10.1.255.9@1767225600"].into_iter().chain(newest).collect();
    assert_eq!(kept, expected.join(" "));
    assert!(kept.len() < 256);
}

#[test]
fn a_time_in_the_future_counts_as_now_when_room_is_made() {
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
fn what_old_names_held_and_remember_goes_over_to_the_new_name() {
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
fn the_mark_of_an_a_record_set_decides_whose_it_is() {
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
    assert!(conflict(&tagged, rules(), &OwnerMark::None).contains("a name chosen by a tag"));
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
fn an_address_is_forgotten_when_it_is_old_and_its_ptr_names_us_no_more() {
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
fn the_ptr_at_our_address_is_created_with_our_mark() {
    check_point(rules(), &absent(4), &["+ PTR 4.5.1.10.in-addr.arpa web.spoke1.internal"]);
}

#[test]
fn a_right_ptr_is_left_as_it_is_however_it_is_spelled() {
    check_point(rules(), &ptr(4, &["Web.Spoke1.Internal."], &[(OWNER_KEY, OWN)]), &[]);
}

#[test]
fn of_a_ptr_of_ours_only_our_own_values_change() {
    check_point(
        rules(),
        &ptr(
            4,
            &["alias.spoke1.internal", "Gone.Spoke1.internal", "any.former.internal", "x.org"],
            &[(OWNER_KEY, OWN)],
        ),
        &["~ PTR 4.5.1.10.in-addr.arpa \
           alias.spoke1.internal Gone.Spoke1.internal any.former.internal x.org -> \
           alias.spoke1.internal x.org web.spoke1.internal"],
    );
}

#[test]
fn at_our_address_values_of_another_group_inside_every_forward_zone_of_the_map_are_replaced() {
    check_point(
        rules(),
        &ptr(
            4,
            &["api.spoke1.internal", "api.spoke2.internal", "api.old.internal", "api.internal"],
            &[(OWNER_KEY, OTHER), ("cost", "42")],
        ),
        &["~ PTR 4.5.1.10.in-addr.arpa \
           api.spoke1.internal api.spoke2.internal api.old.internal api.internal -> \
           api.internal web.spoke1.internal (owner s1/rg-spoke2/web -> s1/rg-spoke1/web)"],
    );
}

#[test]
fn at_our_address_a_ptr_of_another_group_is_left_alone_while_that_group_holds_the_address() {
    let taken = ptr(4, &["api.spoke1.internal"], &[(OWNER_KEY, OTHER)]);
    let shared = "the PTR record set 4.5.1.10.in-addr.arpa belongs to the container group s1/rg-spoke2/web, \
                  which has the same address";
    for holder in [None, Some(&OtherHolder::Claims), Some(&OtherHolder::Pending)] {
        assert_eq!(show(&point(rules(), &taken, holder)), [shared], "{holder:?}");
    }
    // An empty record set counts as absent, whatever its mark says.
    let empty = ptr(4, &[], &[(OWNER_KEY, OTHER)]);
    assert_eq!(point(rules(), &empty, Some(&OtherHolder::Claims)).conflicts, []);
}

#[test]
fn at_our_address_unmarked_values_inside_the_forward_zones_are_replaced_in_adopt() {
    check_point(
        rules(),
        &ptr(4, &["api.spoke1.internal", "x.org"], &[]),
        &["~ PTR 4.5.1.10.in-addr.arpa api.spoke1.internal x.org -> x.org web.spoke1.internal \
           (owner none -> s1/rg-spoke1/web)"],
    );
}

#[test]
fn at_our_address_an_unmarked_ptr_is_a_conflict_in_strict() {
    for targets in [&["web.spoke1.internal"][..], &[]] {
        check_point(
            strict(),
            &ptr(4, targets, &[]),
            &[&format!("the PTR record set 4.5.1.10.in-addr.arpa {STRICT}")],
        );
    }
}

#[test]
fn a_ptr_of_the_platform_or_another_controller_is_never_touched() {
    let mut auto = ptr(4, &["web.spoke1.internal"], &[(OWNER_KEY, OWN)]);
    auto.record_set.as_mut().unwrap().is_auto_registered = true;
    check_point(
        rules(),
        &auto,
        &["the PTR record set 4.5.1.10.in-addr.arpa is registered automatically for a virtual machine"],
    );
    let controlled = ptr(4, &["web.spoke1.internal"], &[("managedBy", "x")]);
    check_point(
        rules(),
        &controlled,
        &[
            "the PTR record set 4.5.1.10.in-addr.arpa belongs to another controller: its metadata says managedBy = \"x\"",
        ],
    );
    for ptr in [auto, controlled] {
        check_elsewhere(rules(), &Ptr { record_set: ptr.record_set, ..absent(9) }, &[]);
    }
}

#[test]
fn with_adopt_only_a_ptr_that_says_our_name_gets_our_mark_and_no_other() {
    let adopt_only = Rules { policy: Policy::AdoptOnly, ..rules() };
    let check = |ptr: &Ptr, expected: &[&str]| check_point(adopt_only, ptr, expected);
    check(
        &ptr(4, &["web.spoke1.internal", "x.org"], &[]),
        &["~ PTR 4.5.1.10.in-addr.arpa web.spoke1.internal x.org (owner none -> s1/rg-spoke1/web)"],
    );
    check(&ptr(4, &["x.org"], &[]), &[]);
    check(&ptr(4, &["web.spoke1.internal"], &[(OWNER_KEY, OTHER)]), &[]);
    check(&absent(4), &[]);
}

#[test]
fn elsewhere_our_value_goes_and_an_empty_record_set_with_it() {
    let removed = &["- PTR 9.5.1.10.in-addr.arpa web.spoke1.internal"];
    check_elsewhere(rules(), &ptr(9, &["web.spoke1.internal"], &[(OWNER_KEY, OWN)]), removed);
    check_elsewhere(rules(), &ptr(9, &["web.spoke1.internal"], &[]), removed);
    check_elsewhere(strict(), &ptr(9, &["web.spoke1.internal"], &[]), &[]);
    check_elsewhere(rules(), &absent(9), &[]);
}

#[test]
fn elsewhere_our_mark_goes_when_only_values_of_others_remain() {
    check_elsewhere(
        rules(),
        &ptr(9, &["web.spoke1.internal", "x.org"], &[(OWNER_KEY, OWN)]),
        &["~ PTR 9.5.1.10.in-addr.arpa web.spoke1.internal x.org -> x.org (owner s1/rg-spoke1/web -> none)"],
    );
    check_elsewhere(
        rules(),
        &ptr(9, &["x.org"], &[(OWNER_KEY, OWN)]),
        &["~ PTR 9.5.1.10.in-addr.arpa x.org (owner s1/rg-spoke1/web -> none)"],
    );
}

#[test]
fn elsewhere_values_in_a_former_zone_go_from_a_record_set_of_ours_only() {
    check_elsewhere(
        rules(),
        &ptr(9, &["web.former.internal", "x.org"], &[(OWNER_KEY, OWN)]),
        &["~ PTR 9.5.1.10.in-addr.arpa web.former.internal x.org -> x.org (owner s1/rg-spoke1/web -> none)"],
    );
    check_elsewhere(rules(), &ptr(9, &["web.former.internal"], &[(OWNER_KEY, OTHER)]), &[]);
    check_elsewhere(rules(), &ptr(9, &["web.former.internal"], &[]), &[]);
}

#[test]
fn elsewhere_our_value_goes_from_another_groups_record_set_and_nothing_else() {
    check_elsewhere(
        rules(),
        &ptr(9, &["web.spoke1.internal", "api.spoke2.internal"], &[(OWNER_KEY, OTHER)]),
        &["~ PTR 9.5.1.10.in-addr.arpa web.spoke1.internal api.spoke2.internal -> api.spoke2.internal"],
    );
    check_elsewhere(rules(), &ptr(9, &["gone.spoke1.internal"], &[(OWNER_KEY, OTHER)]), &[]);
}

#[test]
fn with_upsert_only_a_removal_is_withheld() {
    check_elsewhere(
        upsert_only(),
        &ptr(9, &["web.spoke1.internal"], &[(OWNER_KEY, OWN)]),
        &["withheld - PTR 9.5.1.10.in-addr.arpa web.spoke1.internal"],
    );
    check_point(
        upsert_only(),
        &ptr(4, &["gone.spoke1.internal"], &[(OWNER_KEY, OWN)]),
        &[
            "~ PTR 4.5.1.10.in-addr.arpa gone.spoke1.internal -> gone.spoke1.internal web.spoke1.internal",
            "withheld ~ PTR 4.5.1.10.in-addr.arpa gone.spoke1.internal -> web.spoke1.internal",
        ],
    );
}

#[test]
fn the_scope_of_a_removal_says_which_marks_lose_our_values() {
    use RemovalScope::{All, Ours, OursAndUnmarked};
    let fqdn = "web.spoke1.internal";
    let is_removed = |rules, ptr: &Ptr, scope| !remove(rules, ptr, scope).edits.is_empty();
    let (ours, unmarked) = (ptr(9, &[fqdn], &[(OWNER_KEY, OWN)]), ptr(9, &[fqdn], &[]));
    let other = ptr(9, &[fqdn], &[(OWNER_KEY, OTHER)]);
    for (scope, expected) in
        [(Ours, [true, false, false]), (OursAndUnmarked, [true, true, false]), (All, [true, true, true])]
    {
        let removed = [&ours, &unmarked, &other].map(|ptr| is_removed(rules(), ptr, scope));
        assert_eq!(removed, expected, "{scope:?}");
        assert!(!is_removed(strict(), &unmarked, scope), "strict touches what is marked");
        assert!(!is_removed(rules(), &ptr(9, &["x.org"], &[]), scope));
    }
}

#[test]
fn only_a_ptr_of_ours_leads_to_names_that_we_had() {
    let check = |ptr: &Ptr, expected: &[&str]| {
        let names: Vec<_> = ptr.observed().other_names(&desired()).map(|name| name.to_string()).collect();
        assert_eq!(names, expected);
    };
    let said = ["web.spoke1.internal", "Old.spoke1.internal", "spoke1.internal", "x.org"];
    check(&ptr(4, &said, &[(OWNER_KEY, OWN)]), &["old"]);
    check(&ptr(4, &said, &[(OWNER_KEY, OTHER)]), &[]);
    check(&ptr(4, &said, &[]), &[]);
    check(&absent(4), &[]);
}

#[test]
fn the_holder_of_a_ptr_is_asked_for_only_at_our_address_and_only_where_it_says_something() {
    let check = |ptr: &Ptr, expected: &[&str]| {
        let observed = [ptr.observed()];
        let holders: Vec<_> = other_holders(&observed, &desired().owner, address(4)).collect();
        assert_eq!(holders.iter().map(Owner::as_str).collect::<Vec<_>>(), expected);
    };
    check(&ptr(4, &["x.org"], &[(OWNER_KEY, OTHER)]), &[OTHER]);
    check(&ptr(4, &[], &[(OWNER_KEY, OTHER)]), &[]);
    check(&ptr(9, &["web.spoke1.internal"], &[(OWNER_KEY, OTHER)]), &[]);
    check(&ptr(4, &["web.spoke1.internal"], &[(OWNER_KEY, OWN)]), &[]);
    check(&ptr(4, &["web.spoke1.internal"], &[]), &[]);
    check(&absent(4), &[]);
}

#[test]
fn an_address_is_clean_only_when_its_ptr_neither_names_us_nor_carries_our_mark() {
    let check = |rules: Rules, ptr: &Ptr, is_clean: bool| {
        let plan = remove(rules, ptr, RemovalScope::All);
        assert_eq!(plan.clean.contains(&ptr.address), is_clean, "{ptr:?}");
    };
    check(rules(), &absent(9), true);
    check(rules(), &ptr(9, &["x.org"], &[]), true);
    check(rules(), &ptr(9, &["x.org"], &[(OWNER_KEY, OTHER)]), true);
    check(rules(), &ptr(9, &["x.org"], &[(OWNER_KEY, OWN)]), false);
    check(rules(), &ptr(9, &["web.spoke1.internal"], &[(OWNER_KEY, OWN)]), false);
    check(rules(), &ptr(9, &["web.spoke1.internal"], &[(OWNER_KEY, OTHER)]), false);
    // What may not be touched still names us.
    check(strict(), &ptr(9, &["web.spoke1.internal"], &[]), false);
    check(rules(), &ptr(9, &["web.spoke1.internal"], &[("creator", "x")]), false);
    // Azure refused to delete it.
    check(rules(), &ptr(9, &[], &[(OWNER_KEY, OWN)]), true);
}

#[test]
fn a_removal_deletes_each_a_record_set_as_it_was_read() {
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
