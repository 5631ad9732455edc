//! The laws of the functions for single record sets, for any value.

use proptest::prelude::*;

use super::{
    reverse::RemovalScope,
    values::{any_address, any_record_set, any_target},
    world::{NOW, World},
    *,
};
use crate::{
    config::Zones,
    domain::dns::{
        Content, ETag, MEMORY_KEPT, Metadata, OWNER_KEY, PREVIOUS_KEY, PtrRecordSet, PtrTarget, Zone,
    },
};

const MEMORY_SECONDS: u64 = 300;

/// A goal and the desired record sets of its group. Values inside `spoke2.internal` and `former.internal` are
/// in forward zones of the map as well.
fn any_desired() -> impl Strategy<Value = (Goal, Desired)> {
    let zones = vec!["10", "1.10", "5.1.10"];
    let reverse = prop::sample::subsequence(zones, 0..=3).prop_shuffle();
    (reverse, any::<bool>(), prop::bool::weighted(0.2), any::<bool>()).prop_map(
        |(reverse, wants_ptr, is_name_from_tag, has_former_zone)| {
            let mut world = World::new();
            world.apply_line(&format!("zones spoke1.internal {}", reverse.join(" ")));
            world.apply_line("map rg-spoke2 spoke2.internal");
            if has_former_zone {
                world.apply_line("former former.internal");
            }
            let goal = world.goal();
            let absent = Desired::of_absent(&goal.id, &goal.zones);
            (goal, Desired { is_name_from_tag, wants_ptr, ..absent })
        },
    )
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let ownership = prop_oneof![Just(Ownership::Adopt), Just(Ownership::Strict)];
    let policy = prop_oneof![
        2 => Just(Policy::Sync),
        2 => Just(Policy::UpsertOnly),
        1 => Just(Policy::AdoptOnly),
        1 => Just(Policy::Observe),
    ];
    (ownership, policy, any::<bool>()).prop_map(|(ownership, policy, adopts_tagged)| Rules {
        ownership,
        adopts_tagged,
        policy,
        stopped: Stopped::Remove,
        memory_seconds: MEMORY_SECONDS,
    })
}

/// The A record set that is ours or may be taken over. Lists are read only for a takeover.
fn any_observed_a() -> impl Strategy<Value = ObservedA> {
    let listed = prop::collection::btree_set(any_address(), 0..4);
    let record_set = prop::option::weighted(0.9, any_record_set(any_address()));
    let old_names = prop::collection::vec(any_record_set(any_address()), 0..2);
    (record_set, prop::bool::weighted(0.2), listed, old_names).prop_map(
        |(record_set, is_listing_incomplete, listed, old_names)| {
            let mark = record_set.as_ref().map(|set| OwnerMark::of(set, &us()));
            match mark {
                None | Some(OwnerMark::Ours) => ObservedA { record_set, old_names, ..ObservedA::default() },
                Some(_) => ObservedA { record_set, is_listing_incomplete, listed, old_names },
            }
        },
    )
}

/// The PTR record sets at some addresses, each in its zone.
fn any_ptrs() -> impl Strategy<Value = BTreeMap<Ipv4Addr, Option<PtrRecordSet>>> {
    let record_set = prop::option::weighted(0.9, any_record_set(any_target()));
    prop::collection::btree_map(any_address(), record_set, 0..8)
}

/// A PTR record set, or none, and its location.
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

    fn mark(&self) -> Option<OwnerMark> {
        self.record_set.as_ref().map(|set| OwnerMark::of(set, &us()))
    }

    fn targets(&self) -> &[PtrTarget] {
        self.record_set.as_ref().map_or(&[], |set| &set.content.records)
    }
}

fn placed(zones: &Zones, sets: BTreeMap<Ipv4Addr, Option<PtrRecordSet>>) -> Vec<Ptr> {
    let place = |(address, record_set): (Ipv4Addr, Option<PtrRecordSet>)| {
        let (zone, name) = zones.reverse_name(address)?;
        Some(Ptr { address, zone: zone.clone(), name, record_set })
    };
    sets.into_iter().filter_map(place).collect()
}

fn any_holder() -> impl Strategy<Value = Option<OtherHolder>> {
    prop_oneof![
        1 => Just(None),
        3 => Just(Some(OtherHolder::HasLeft)),
        1 => Just(Some(OtherHolder::Claims)),
        1 => Just(Some(OtherHolder::Pending)),
    ]
}

fn names(desired: &Desired) -> Names {
    Names {
        held: BTreeSet::from([desired.fqdn(), "old.spoke1.internal".parse().unwrap()]),
        own: BTreeSet::from(["shop.spoke1.internal".parse().unwrap()]),
        former_zones: desired.zones.former_zones.clone(),
    }
}

fn us() -> Owner {
    Owner::from(&ContainerGroupId::new("s1", "rg-spoke1", "web").unwrap())
}

/// The record set after a change.
fn applied<Record: Clone>(edit: &Edit<Record>) -> Option<RecordSet<Record>> {
    let content = edit.after.clone()?;
    Some(RecordSet { etag: ETag::from("after".to_owned()), content, is_auto_registered: false })
}

fn applied_all(ptrs: &[Ptr], plan: &ReversePlan) -> Vec<Ptr> {
    let after = |ptr: &Ptr| {
        let edit = plan.edits.iter().find(|edit| edit.zone == ptr.zone && edit.name == ptr.name);
        let record_set = edit.map_or_else(|| ptr.record_set.clone(), applied);
        Ptr { record_set, ..ptr.clone() }
    };
    ptrs.iter().map(after).collect()
}

/// The foreign metadata.
fn foreign(metadata: &Metadata) -> Metadata {
    let is_foreign = |key: &str| key != OWNER_KEY && key != PREVIOUS_KEY;
    metadata.iter().filter(|(key, _)| is_foreign(key)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn texts(records: &[PtrTarget], is_kept: impl Fn(&PtrTarget) -> bool) -> Vec<String> {
    records.iter().filter(|target| is_kept(target)).map(|target| target.as_str().to_owned()).collect()
}

/// The law of every change of a PTR record set.
fn check_isolation(
    rules: Rules,
    plan: &ReversePlan,
    ptrs: &[Ptr],
    is_others: impl Fn(&PtrTarget, &OwnerMark, Ipv4Addr) -> bool,
) -> Result<(), TestCaseError> {
    for edit in &plan.edits {
        let ptr = ptrs.iter().find(|ptr| (&ptr.zone, &ptr.name) == (&edit.zone, &edit.name)).unwrap();
        prop_assert_eq!(&edit.before, &ptr.record_set, "a change starts from what was read");
        let Some(before) = &edit.before else { continue };
        let mark = OwnerMark::of(before, &us());
        let is_controlled = matches!(mark, OwnerMark::AutoRegistered | OwnerMark::OtherController { .. });
        prop_assert!(!is_controlled, "{:?} is never touched", mark);
        if rules.ownership == Ownership::Strict {
            prop_assert_ne!(&mark, &OwnerMark::None, "strict touches what is marked");
        }
        let kept = |target: &PtrTarget| is_others(target, &mark, ptr.address);
        let Some(after) = &edit.after else {
            prop_assert_eq!(texts(&before.content.records, kept), Vec::<String>::new());
            prop_assert!(rules.may_remove(), "the policy deletes nothing");
            continue;
        };
        prop_assert!(
            !after.records.is_empty() || before.content.records.is_empty(),
            "a record set without records is deleted"
        );
        prop_assert_eq!(texts(&after.records, kept), texts(&before.content.records, kept));
        let memory = |metadata: &Metadata| metadata.get(PREVIOUS_KEY).cloned();
        prop_assert_eq!(foreign(&after.metadata), foreign(&before.content.metadata));
        prop_assert_eq!(memory(&after.metadata), memory(&before.content.metadata));
    }
    Ok(())
}

/// The plan for the PTR record sets of a group at an address.
fn plan_live(
    (goal, desired): (&Goal, &Desired),
    rules: Rules,
    live: Ipv4Addr,
    ptrs: &[Ptr],
    holder: Option<&OtherHolder>,
) -> ReversePlan {
    let (names, mut plan) = (names(desired), ReversePlan::default());
    for ptr in ptrs {
        let observed = ptr.observed();
        if ptr.address != live {
            plan.remove(desired, rules, &observed, &names, RemovalScope::All);
        } else if desired.wants_ptr {
            plan.point(goal, desired, rules, &observed, &names, holder);
        } else {
            plan.remove(desired, rules, &observed, &names, RemovalScope::Ours);
        }
    }
    plan
}

proptest! {
    #[test]
    fn the_a_record_set_of_a_group_is_correct_after_one_change(
        (_, desired) in any_desired(),
        rules in any_rules(),
        observed in any_observed_a(),
        address in prop::option::weighted(0.8, any_address()),
    ) {
        let before = observed.record_set.as_ref();
        let edit = forward(&desired, rules, address, &observed, NOW);
        if rules.policy == Policy::AdoptOnly && before.is_none() {
            prop_assert_eq!(&edit, &None, "adopt-only creates nothing");
        }
        if address.is_none() && before.is_none() && observed.old_names.is_empty() {
            prop_assert_eq!(&edit, &None, "a group that never had records gets none");
        }
        let Some(edit) = edit else { return Ok(()) };
        prop_assert_eq!(&edit.before, &observed.record_set);
        prop_assert_eq!((&edit.zone, &edit.name), (&desired.zones.forward, &desired.name));
        let after = applied(&edit).unwrap();
        let expected = match before {
            Some(before) if rules.policy == Policy::AdoptOnly => (before.content.records.clone(), before.content.ttl),
            _ => (Vec::from_iter(address), desired.ttl),
        };
        prop_assert_eq!((&after.content.records, after.content.ttl), (&expected.0, expected.1));
        let metadata = before.map(|set| set.content.metadata.clone()).unwrap_or_default();
        prop_assert_eq!(foreign(&after.content.metadata), foreign(&metadata));
        if !observed.is_listing_incomplete && !after.is_auto_registered {
            prop_assert_eq!(OwnerMark::of(&after, &us()), OwnerMark::Ours);
        }
        if rules.policy == Policy::UpsertOnly {
            prop_assert_eq!(after.content.metadata.get(PREVIOUS_KEY), metadata.get(PREVIOUS_KEY));
        } else {
            let memory: BTreeSet<_> = after.memory().addresses().collect();
            let known: BTreeSet<_> = before.into_iter().flat_map(|set| set.memory().addresses().collect::<Vec<_>>()).collect();
            let sets = before.into_iter().chain(&observed.old_names);
            let held = sets.clone().flat_map(|set| set.content.records.clone());
            let left = held.filter(|held| desired.zones.reverse_name(*held).is_some());
            let listed = observed.listed.iter().copied().filter(|at| desired.zones.reverse_name(*at).is_some());
            let remembered = sets.flat_map(|set| set.memory().addresses().collect::<Vec<_>>());
            let mut expected: BTreeSet<_> = left.chain(remembered).chain(listed).collect();
            for held in &after.content.records {
                expected.remove(held);
            }
            if expected.len() <= MEMORY_KEPT {
                prop_assert_eq!(memory, expected, "what leaves is remembered, and nothing is forgotten");
            } else {
                prop_assert!(memory.len() <= MEMORY_KEPT || memory == known, "at most nine are kept");
                prop_assert!(memory.is_subset(&expected));
                // An address that left just now is the newest.
                let since = after.memory().to_string();
                let is_newest = |at: &Ipv4Addr| since.contains(&format!("{at}@{NOW}"));
                let left = expected.iter().filter(|at| !known.contains(at) && is_newest(at)).count();
                prop_assert!(left <= MEMORY_KEPT);
            }
        }

        // After a takeover and the removal of old names, nothing is left to do.
        let is_ours = OwnerMark::of(&after, &us()) == OwnerMark::Ours;
        let listed = if is_ours { BTreeSet::new() } else { observed.listed.clone() };
        let again = ObservedA { record_set: Some(after), listed, old_names: vec![], ..observed.clone() };
        prop_assert_eq!(forward(&desired, rules, address, &again, NOW), None);
    }

    #[test]
    fn only_old_clean_addresses_are_forgotten_and_only_once(
        (_, desired) in any_desired(),
        rules in any_rules(),
        record_set in any_record_set(any_address()),
        clean in prop::collection::btree_set(any_address(), 0..6),
        now in 9_000..12_000_u64,
    ) {
        let Some(edit) = forget(&desired, rules, &record_set, &clean, now) else { return Ok(()) };
        prop_assert!(rules.may_remove());
        let after: ARecordSet = applied(&edit).unwrap();
        let without_memory = |content: &Content<Ipv4Addr>| {
            let mut content = content.clone();
            content.metadata.remove(PREVIOUS_KEY);
            content
        };
        prop_assert_eq!(without_memory(&after.content), without_memory(&record_set.content));
        let (old, new) = (record_set.memory(), after.memory());
        for address in old.addresses().filter(|address| !new.addresses().any(|kept| kept == *address)) {
            prop_assert!(old.old(now, MEMORY_SECONDS).contains(&address));
            prop_assert!(clean.contains(&address) || desired.zones.reverse_name(address).is_none());
        }
        let is_corrected = old.to_string() != new.to_string() && old.len() == new.len();
        prop_assert!(new.len() < old.len() || is_corrected, "something is forgotten, or a time corrected");
        prop_assert!(new.addresses().all(|kept| old.addresses().any(|known| known == kept)));
        prop_assert_eq!(forget(&desired, rules, &after, &clean, now), None);
    }

    #[test]
    fn the_ptr_record_sets_of_a_live_group_are_correct_after_one_change(
        (goal, desired) in any_desired(),
        rules in any_rules(),
        ptrs in any_ptrs(),
        live in any_address(),
        holder in any_holder(),
    ) {
        let (names, ptrs) = (names(&desired), placed(&desired.zones, ptrs));
        let plan = plan_live((&goal, &desired), rules, live, &ptrs, holder.as_ref());
        let is_in_map = |target: &PtrTarget| {
            let zones = ["spoke1.internal", "spoke2.internal"].map(|zone| zone.parse::<DomainName>().unwrap());
            let zones = zones.iter().chain(&desired.zones.former_zones).cloned().collect::<Vec<_>>();
            target.name().is_some_and(|name| zones.iter().any(|zone| name.relative_to(zone).is_some()))
        };
        check_isolation(rules, &plan, &ptrs, |target, mark, address| {
            let is_taken = address == live && *mark != OwnerMark::Ours;
            if is_taken { !is_in_map(target) } else { !names.is_written_by(target, mark) }
        })?;
        for edit in &plan.edits {
            let before = edit.before.iter().filter(|set| OwnerMark::of(set, &us()) == OwnerMark::Ours);
            for target in before.flat_map(|set| &set.content.records) {
                let is_kept = edit.after.as_ref().is_some_and(|after| after.records.contains(target));
                prop_assert!(is_kept || rules.may_remove(), "the policy drops no value of ours");
            }
            if rules.policy == Policy::AdoptOnly {
                let records = |set: Option<&Vec<PtrTarget>>| set.map(|targets| texts(targets, |_| true));
                prop_assert_eq!(
                    records(edit.before.as_ref().map(|set| &set.content.records)),
                    records(edit.after.as_ref().map(|after| &after.records)),
                    "adopt-only writes marks"
                );
            }
        }
        for ptr in ptrs.iter().filter(|ptr| plan.clean.contains(&ptr.address)) {
            prop_assert!(!ptr.targets().iter().any(|target| target.names(&desired.fqdn())), "clean");
        }
        // A record set of another group is taken over only if that group has left the address.
        for ptr in ptrs.iter().filter(|ptr| ptr.address == live && desired.wants_ptr) {
            if let Some(OwnerMark::Other(_)) = ptr.mark() && !ptr.targets().is_empty() {
                let is_taken = plan.edits.iter().any(|edit| edit.name == ptr.name && edit.zone == ptr.zone);
                prop_assert!(!is_taken || holder == Some(OtherHolder::HasLeft));
                prop_assert_eq!(plan.conflicts.is_empty(), holder == Some(OtherHolder::HasLeft));
            }
        }

        let after = applied_all(&ptrs, &plan);
        for ptr in &after {
            let names_us = ptr.targets().iter().any(|target| target.names(&desired.fqdn()));
            let mark = ptr.mark();
            let is_controlled =
                matches!(mark, Some(OwnerMark::AutoRegistered | OwnerMark::OtherController { .. }));
            if ptr.address == live && desired.wants_ptr && plan.conflicts.is_empty() && rules.policy != Policy::AdoptOnly {
                prop_assert!(names_us && mark == Some(OwnerMark::Ours));
                prop_assert_eq!(ptr.record_set.as_ref().map(|set| set.content.ttl), Some(desired.ttl));
            } else if ptr.address != live
                && rules.may_remove()
                && !is_controlled
                && (mark != Some(OwnerMark::None) || rules.ownership == Ownership::Adopt)
            {
                prop_assert!(!names_us, "no other address names us");
            }
        }
        let again = plan_live((&goal, &desired), rules, live, &after, holder.as_ref());
        prop_assert_eq!(again.edits, vec![]);
        prop_assert_eq!(again.conflicts, plan.conflicts);
    }

    #[test]
    fn a_removal_leaves_only_foreign_values(
        (_, desired) in any_desired(),
        rules in any_rules(),
        ptrs in any_ptrs(),
        scope in prop::sample::select(vec![RemovalScope::Ours, RemovalScope::OursAndUnmarked, RemovalScope::All]),
    ) {
        let (names, ptrs) = (names(&desired), placed(&desired.zones, ptrs));
        let remove = |ptrs: &[Ptr]| {
            let mut plan = ReversePlan::default();
            for ptr in ptrs {
                plan.remove(&desired, rules, &ptr.observed(), &names, scope);
            }
            plan
        };
        let plan = remove(&ptrs);
        let is_reached = |mark: &OwnerMark| match mark {
            OwnerMark::Ours => true,
            OwnerMark::None => scope != RemovalScope::Ours && rules.ownership == Ownership::Adopt,
            OwnerMark::Other(_) => scope == RemovalScope::All,
            OwnerMark::OtherController { .. } | OwnerMark::AutoRegistered => false,
        };
        check_isolation(rules, &plan, &ptrs, |target, mark, _| {
            !is_reached(mark) || !names.is_written_by(target, mark)
        })?;
        if rules.may_remove() {
            prop_assert_eq!(&plan.withheld, &vec![]);
        } else {
            prop_assert_eq!(&plan.edits, &vec![]);
        }
        for edit in &plan.edits {
            prop_assert!(is_reached(&OwnerMark::of(edit.before.as_ref().unwrap(), &us())));
        }
        let after = applied_all(&ptrs, &plan);
        for set in after.iter().filter_map(|ptr| ptr.record_set.as_ref()) {
            let mark = OwnerMark::of(set, &us());
            if rules.may_remove() && is_reached(&mark) {
                prop_assert!(mark != OwnerMark::Ours || set.content.records.is_empty(), "our mark goes");
                prop_assert!(!set.content.records.iter().any(|target| names.is_written_by(target, &mark)));
            }
        }
        prop_assert_eq!(remove(&after).edits, vec![]);
    }
}
