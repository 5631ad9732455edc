//! The rules about single record sets, one test each.

use super::*;
use crate::{
    container_group::{ContainerGroup, IpAddress},
    dns::{Content, ETag, Metadata, OWNER_KEY, PREVIOUS_KEY, Precondition, PtrTarget, ReverseZone, Zone},
};

const NOW: u64 = 10_000;
const OWN: &str = "s1/rg-spoke1/web";
const OTHER: &str = "s1/rg-spoke2/web";

fn rules() -> Rules {
    Rules { ownership: Ownership::Adopt, policy: Policy::Sync, stopped: Stopped::Remove, memory_seconds: 300 }
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
    let zones = Zones { forward: zone("spoke1.internal"), reverse, ttl: 60 };
    Desired::of_absent(&id(), &zones)
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

fn ptr(last: u8, targets: &[&str], pairs: &[(&str, &str)]) -> ObservedPtr {
    let targets = targets.iter().map(|target| PtrTarget::from(target.to_string())).collect();
    ObservedPtr { record_set: Some(set(targets, pairs)), ..absent(last) }
}

fn absent(last: u8) -> ObservedPtr {
    let zone = zone("1.10.in-addr.arpa");
    let name = format!("{last}.5").parse().unwrap();
    ObservedPtr { address: address(last), zone, name, record_set: None }
}

fn observed(record_set: ARecordSet) -> ObservedA {
    ObservedA { record_set: Some(record_set), ..ObservedA::default() }
}

fn check_forward(rules: Rules, observed: &ObservedA, expected: &str) {
    let plan = forward(&desired(), rules, address(4), observed, NOW);
    let plan = match plan {
        Ok(Some(edit)) => Change::A(edit).to_string(),
        Ok(None) => "nothing".to_owned(),
        Err(refusal) => refusal.to_string(),
    };
    assert_eq!(plan, expected);
}

fn names() -> Names {
    let vanished = BTreeSet::from(["gone.spoke1.internal".parse().unwrap()]);
    Names { held: BTreeSet::from([desired().fqdn()]), vanished }
}

fn show_reverse(plan: &ReversePlan) -> Vec<String> {
    let mut lines: Vec<String> =
        plan.edits.iter().map(|(_, edit)| Change::Ptr(edit.clone()).to_string()).collect();
    lines.extend(plan.withheld.iter().map(|edit| format!("withheld {}", Change::Ptr(edit.clone()))));
    lines.extend(plan.conflicts.iter().map(ToString::to_string));
    lines.extend(plan.taken.iter().map(|(address, owner)| format!("{address} taken from {owner}")));
    lines
}

/// The group lives at 10.1.5.4.
fn check_reverse(rules: Rules, ptr: ObservedPtr, expected: &[&str]) {
    assert_eq!(show_reverse(&reverse(&desired(), rules, address(4), &[ptr], &names())), expected);
}

#[test]
fn a_missing_a_record_set_is_created_with_our_mark_and_no_memory() {
    let plan = forward(&desired(), rules(), address(4), &ObservedA::default(), NOW);
    let edit = plan.unwrap().unwrap();
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
    let edit = forward(&desired(), rules(), address(4), &observed(before), NOW).unwrap().unwrap();
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
fn a_pass_that_would_remember_more_than_32_addresses_is_refused() {
    let full = |count: u8| {
        let memory: Vec<String> = (100..100 + count).map(|last| format!("10.1.5.{last}@1")).collect();
        observed(a(&[9], &[(OWNER_KEY, OWN), (PREVIOUS_KEY, &memory.join(" "))]))
    };
    assert!(forward(&desired(), rules(), address(4), &full(31), NOW).is_ok());
    let refused = forward(&desired(), rules(), address(4), &full(32), NOW);
    assert_eq!(refused, Err(Refusal::MemoryFull(desired().fqdn())));
}

#[test]
fn the_ttl_is_part_of_the_desired_state() {
    let mut before = a(&[4], &[(OWNER_KEY, OWN)]);
    before.content.ttl = 300;
    check_forward(rules(), &observed(before), "~ A web.spoke1.internal 10.1.5.4 (ttl 300 -> 60)");
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
fn an_unmarked_a_record_set_is_a_conflict_in_strict() {
    check_forward(
        strict(),
        &observed(a(&[4], &[])),
        "the A record set web.spoke1.internal carries no owner mark, and ACI_DNS_OWNERSHIP is strict",
    );
}

#[test]
fn a_name_chosen_by_a_tag_never_takes_over_an_unmarked_a_record_set() {
    let desired = Desired { is_name_from_tag: true, ..desired() };
    let refused = conflict(&desired, rules(), &observed(a(&[4], &[])));
    assert!(matches!(refused, Some(Conflict::ChosenByTag(_))));
    let abandoned = ObservedA { is_abandoned: true, ..observed(a(&[4], &[(OWNER_KEY, OTHER)])) };
    assert_eq!(conflict(&desired, rules(), &abandoned), None);
}

#[test]
fn an_a_record_set_of_another_group_is_a_conflict_while_that_group_lives() {
    let mut before = observed(a(&[4], &[(OWNER_KEY, OTHER)]));
    check_forward(
        rules(),
        &before,
        "the A record set web.spoke1.internal belongs to the container group s1/rg-spoke2/web",
    );
    before.is_abandoned = true;
    let taken_over = "~ A web.spoke1.internal 10.1.5.4 (owner s1/rg-spoke2/web -> s1/rg-spoke1/web)";
    check_forward(rules(), &before, taken_over);
    check_forward(strict(), &before, taken_over);
}

#[test]
fn an_auto_registered_a_record_set_is_a_conflict_whatever_its_mark_says() {
    let mut before = a(&[4], &[(OWNER_KEY, OWN)]);
    before.is_auto_registered = true;
    check_forward(
        rules(),
        &observed(before),
        "the A record set web.spoke1.internal is registered automatically for a virtual machine",
    );
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
    check_reverse(rules(), absent(4), &["+ PTR 4.5.1.10.in-addr.arpa web.spoke1.internal"]);
}

#[test]
fn a_right_ptr_is_left_as_it_is_however_it_is_spelled() {
    check_reverse(rules(), ptr(4, &["Web.Spoke1.Internal."], &[(OWNER_KEY, OWN)]), &[]);
}

#[test]
fn of_a_ptr_of_ours_only_our_own_values_change() {
    check_reverse(
        rules(),
        ptr(4, &["alias.spoke1.internal", "Gone.Spoke1.internal", "x.org"], &[(OWNER_KEY, OWN)]),
        &["~ PTR 4.5.1.10.in-addr.arpa alias.spoke1.internal Gone.Spoke1.internal x.org -> \
           alias.spoke1.internal x.org web.spoke1.internal"],
    );
}

#[test]
fn at_our_address_another_groups_values_inside_the_forward_zone_are_replaced() {
    check_reverse(
        rules(),
        ptr(4, &["api.spoke1.internal", "x.org"], &[(OWNER_KEY, OTHER), ("cost", "42")]),
        &[
            "~ PTR 4.5.1.10.in-addr.arpa api.spoke1.internal x.org -> x.org web.spoke1.internal \
             (owner s1/rg-spoke2/web -> s1/rg-spoke1/web)",
            "10.1.5.4 taken from s1/rg-spoke2/web",
        ],
    );
}

#[test]
fn at_our_address_unmarked_values_inside_the_forward_zone_are_replaced_in_adopt() {
    check_reverse(
        rules(),
        ptr(4, &["api.spoke1.internal", "x.org"], &[]),
        &["~ PTR 4.5.1.10.in-addr.arpa api.spoke1.internal x.org -> x.org web.spoke1.internal \
           (owner none -> s1/rg-spoke1/web)"],
    );
}

#[test]
fn at_our_address_an_unmarked_ptr_is_a_conflict_in_strict() {
    check_reverse(
        strict(),
        ptr(4, &["web.spoke1.internal"], &[]),
        &["the PTR record set 4.5.1.10.in-addr.arpa carries no owner mark, and ACI_DNS_OWNERSHIP is strict"],
    );
}

#[test]
fn an_auto_registered_ptr_is_never_touched() {
    let mut at_ours = ptr(4, &["web.spoke1.internal"], &[]);
    at_ours.record_set.as_mut().unwrap().is_auto_registered = true;
    let elsewhere = ObservedPtr { record_set: at_ours.record_set.clone(), ..absent(9) };
    check_reverse(
        rules(),
        at_ours,
        &["the PTR record set 4.5.1.10.in-addr.arpa is registered automatically for a virtual machine"],
    );
    check_reverse(rules(), elsewhere, &[]);
}

#[test]
fn elsewhere_our_value_goes_and_an_empty_record_set_with_it() {
    let removed = &["- PTR 9.5.1.10.in-addr.arpa web.spoke1.internal"];
    check_reverse(rules(), ptr(9, &["web.spoke1.internal"], &[(OWNER_KEY, OWN)]), removed);
    check_reverse(rules(), ptr(9, &["web.spoke1.internal"], &[]), removed);
    check_reverse(strict(), ptr(9, &["web.spoke1.internal"], &[]), &[]);
    check_reverse(rules(), absent(9), &[]);
}

#[test]
fn elsewhere_our_mark_goes_when_only_values_of_others_remain() {
    check_reverse(
        rules(),
        ptr(9, &["web.spoke1.internal", "x.org"], &[(OWNER_KEY, OWN)]),
        &["~ PTR 9.5.1.10.in-addr.arpa web.spoke1.internal x.org -> x.org (owner s1/rg-spoke1/web -> none)"],
    );
    check_reverse(
        rules(),
        ptr(9, &["x.org"], &[(OWNER_KEY, OWN)]),
        &["~ PTR 9.5.1.10.in-addr.arpa x.org (owner s1/rg-spoke1/web -> none)"],
    );
}

#[test]
fn elsewhere_our_value_goes_from_another_groups_record_set_and_nothing_else() {
    check_reverse(
        rules(),
        ptr(9, &["web.spoke1.internal", "api.spoke2.internal"], &[(OWNER_KEY, OTHER)]),
        &["~ PTR 9.5.1.10.in-addr.arpa web.spoke1.internal api.spoke2.internal -> api.spoke2.internal"],
    );
    check_reverse(rules(), ptr(9, &["gone.spoke1.internal"], &[(OWNER_KEY, OTHER)]), &[]);
}

#[test]
fn with_upsert_only_a_removal_is_withheld() {
    check_reverse(
        upsert_only(),
        ptr(9, &["web.spoke1.internal"], &[(OWNER_KEY, OWN)]),
        &["withheld - PTR 9.5.1.10.in-addr.arpa web.spoke1.internal"],
    );
    check_reverse(
        upsert_only(),
        ptr(4, &["gone.spoke1.internal"], &[(OWNER_KEY, OWN)]),
        &[
            "~ PTR 4.5.1.10.in-addr.arpa gone.spoke1.internal -> gone.spoke1.internal web.spoke1.internal",
            "withheld ~ PTR 4.5.1.10.in-addr.arpa gone.spoke1.internal -> web.spoke1.internal",
        ],
    );
}

#[test]
fn a_group_that_wants_no_ptr_loses_the_one_that_is_its_own() {
    let desired = Desired { wants_ptr: false, ..desired() };
    let check = |ptr: ObservedPtr, expected: &[&str]| {
        assert_eq!(show_reverse(&reverse(&desired, rules(), address(4), &[ptr], &names())), expected);
    };
    check(
        ptr(4, &["web.spoke1.internal"], &[(OWNER_KEY, OWN)]),
        &["- PTR 4.5.1.10.in-addr.arpa web.spoke1.internal"],
    );
    check(ptr(4, &["web.spoke1.internal"], &[]), &[]);
    check(ptr(4, &["web.spoke1.internal"], &[(OWNER_KEY, OTHER)]), &[]);
    check(absent(4), &[]);
}

#[test]
fn a_ptr_of_ours_that_says_anothers_name_goes_and_no_other() {
    let ours: &[(&str, &str)] = &[(OWNER_KEY, OWN)];
    let check = |ptr: ObservedPtr, expected: &[&str]| {
        assert_eq!(show_reverse(&remove_false_ptrs(&desired(), rules(), &[ptr])), expected);
    };
    let removed = "- PTR 4.5.1.10.in-addr.arpa web.spoke1.internal";
    check(ptr(4, &["web.spoke1.internal"], ours), &[removed]);
    check(ptr(4, &["old.spoke1.internal"], ours), &[]);
    check(ptr(4, &["web.spoke1.internal"], &[]), &[]);
    check(ptr(4, &["web.spoke1.internal"], &[(OWNER_KEY, OTHER)]), &[]);
    check(absent(4), &[]);
}

#[test]
fn when_a_group_is_gone_only_what_is_ours_or_free_goes() {
    let gone: BTreeSet<Owner> = a(&[], &[(OWNER_KEY, OTHER)]).owner().into_iter().collect();
    let nobody = BTreeSet::new();
    let check = |ptr: ObservedPtr, unmarked: bool, owners: &BTreeSet<Owner>, is_removed: bool| {
        let reach = RemovalScope { unmarked, others: ForeignOwners::Of(owners) };
        let plan = reverse_removal(&desired(), rules(), &[ptr], &names(), reach);
        assert_eq!(plan.edits.len(), usize::from(is_removed));
    };
    let fqdn = "web.spoke1.internal";
    check(ptr(9, &[fqdn], &[(OWNER_KEY, OWN)]), false, &nobody, true);
    check(ptr(9, &[fqdn], &[]), true, &nobody, true);
    check(ptr(9, &[fqdn], &[]), false, &nobody, false);
    check(ptr(9, &[fqdn], &[(OWNER_KEY, OTHER)]), true, &nobody, false);
    check(ptr(9, &[fqdn], &[(OWNER_KEY, OTHER)]), true, &gone, true);
    check(ptr(9, &["x.org"], &[]), true, &gone, false);
}

#[test]
fn only_a_ptr_of_ours_leads_to_names_that_we_had() {
    let check = |ptr: ObservedPtr, expected: &[&str]| {
        let names: Vec<_> = ptr.other_names(&desired()).map(|name| name.to_string()).collect();
        assert_eq!(names, expected);
    };
    let said = ["web.spoke1.internal", "Old.spoke1.internal", "spoke1.internal", "x.org"];
    check(ptr(4, &said, &[(OWNER_KEY, OWN)]), &["old"]);
    check(ptr(4, &said, &[(OWNER_KEY, OTHER)]), &[]);
    check(ptr(4, &said, &[]), &[]);
    check(absent(4), &[]);
}

#[test]
fn the_holder_of_a_ptr_is_asked_for_only_where_it_says_our_name() {
    let check = |ptr: ObservedPtr, expected: Option<&str>| {
        let holder = ptr.holder_of(&names(), &desired().owner);
        assert_eq!(holder.as_ref().map(Owner::as_str), expected);
    };
    check(ptr(9, &["web.spoke1.internal"], &[(OWNER_KEY, OTHER)]), Some(OTHER));
    check(ptr(9, &["x.org"], &[(OWNER_KEY, OTHER)]), None);
    check(ptr(9, &["web.spoke1.internal"], &[(OWNER_KEY, OWN)]), None);
    check(ptr(9, &["web.spoke1.internal"], &[]), None);
    check(absent(9), None);
}

#[test]
fn an_address_is_clean_only_when_its_ptr_neither_names_us_nor_carries_our_mark() {
    let check = |rules: Rules, ptr: ObservedPtr, is_clean: bool| {
        let plan = reverse(&desired(), rules, address(4), std::slice::from_ref(&ptr), &names());
        assert_eq!(plan.clean.contains(&ptr.address), is_clean, "{ptr:?}");
    };
    check(rules(), absent(9), true);
    check(rules(), ptr(9, &["x.org"], &[]), true);
    check(rules(), ptr(9, &["x.org"], &[(OWNER_KEY, OTHER)]), true);
    check(rules(), ptr(9, &["x.org"], &[(OWNER_KEY, OWN)]), false);
    check(rules(), ptr(9, &["web.spoke1.internal"], &[(OWNER_KEY, OWN)]), false);
    check(rules(), ptr(9, &["web.spoke1.internal"], &[(OWNER_KEY, OTHER)]), false);
    // What strict leaves alone still names us.
    check(strict(), ptr(9, &["web.spoke1.internal"], &[]), false);
}

#[test]
fn a_removal_deletes_each_a_record_set_as_it_was_read() {
    let record_sets = BTreeMap::from([("old".parse().unwrap(), a(&[7], &[(OWNER_KEY, OWN)]))]);
    let changes = removals(&desired(), &record_sets);
    let shown: Vec<String> = changes.iter().map(ToString::to_string).collect();
    assert_eq!(shown, ["- A old.spoke1.internal 10.1.5.7"]);
    assert!(
        matches!(&changes[0], Change::A(edit) if edit.precondition() == Precondition::Unchanged(ETag::from("e".to_owned())))
    );
}

/// Facts in which the group is deleted and its records are removed, up to the verification.
fn removed(goal: &Goal) -> Facts {
    let mut facts = Facts::new(RunState::default());
    facts.learn(Fact::Group(Ok(Observation::of(goal, None))));
    let set = a(&[4], &[(OWNER_KEY, OWN), (PREVIOUS_KEY, "10.1.5.9@9999")]);
    facts.learn(Fact::A(goal.own_name.clone(), Ok(Some(set))));
    facts.learn(Fact::PtrList(0, Ok(vec![])));
    let Step::Act { write, .. } = decide(rules(), goal, &facts).step else { panic!("the A record set goes") };
    facts.expect_writes(goal, &write);
    write.iter().for_each(|change| facts.learn_write(goal, change, WriteResult::Written(None)));
    assert!(matches!(decide(rules(), goal, &facts).step, Step::Verify));
    facts.begin_verification();
    facts
}

#[test]
fn the_pass_after_a_removal_that_was_wrong_covers_the_addresses_that_the_a_record_set_led_to() {
    let goal = Goal::new(&id(), desired().zones, ExtraLookups::default(), Purpose::Reconcile);
    let mut facts = removed(&goal);
    let group = ContainerGroup {
        provisioning_state: Some("Succeeded".into()),
        ip_address: Some(IpAddress { kind: Some("Private".into()), ip: Some("10.1.5.7".into()) }),
        ..ContainerGroup::default()
    };
    facts.learn(Fact::Group(Ok(Observation::of(&goal, Some(&group)))));
    assert!(matches!(decide(rules(), &goal, &facts).step, Step::Repeat));
    facts.begin_pass();
    facts.learn(Fact::Group(Ok(Observation::of(&goal, Some(&group)))));
    facts.learn(Fact::A(goal.own_name.clone(), Ok(None)));
    let Step::Act { read, .. } = decide(rules(), &goal, &facts).step else { panic!("PTR records are read") };
    let key = |last| Key::Ptr(goal.ptr_key(address(last)).unwrap());
    assert_eq!(read, [key(4), key(7), key(9)]);
}
