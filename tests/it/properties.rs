//! What holds of any value, and not only of those that somebody thought of: plans, names, ids, settings, events.
//!
//! Values are drawn from small sets where they have to meet each other (owners, addresses, targets), and from wide
//! ones where they have not.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    net::Ipv4Addr,
};

use aci_dns::{
    config::{Ownership, Policy, ZoneMap, Zones},
    desired::Desired,
    dns::{
        ARecordSet, Content, DomainName, ETag, MEMORY_LIMIT, Memory, Metadata, OWNER_KEY, Owner,
        PREVIOUS_KEY, PtrTarget, RecordSet, ReverseZone, Zone,
    },
    event,
    plan::{
        self, Conflict, Edit, Mark, Names, ObservedA, ObservedPtr, Others, Reach, Refusal, ReversePlan, Rules,
    },
    resource_id::ContainerGroupId,
};
use proptest::prelude::*;
use serde_json::{Value, json};

const NOW: u64 = 10_000;
const MEMORY_SECONDS: u64 = 300;
const OURS: &str = "s1/rg-spoke1/web";
const FORWARD: &str = "spoke1.internal";

fn zone(name: &str) -> Zone {
    Zone { subscription: "s1".into(), resource_group: "rg-dns".into(), name: name.parse().unwrap() }
}

fn reverse_zone(name: &str) -> ReverseZone {
    ReverseZone::new(zone(name)).unwrap()
}

fn any_desired() -> impl Strategy<Value = Desired> {
    let zones = vec!["10.in-addr.arpa", "1.10.in-addr.arpa", "5.1.10.in-addr.arpa"];
    let reverse = prop::sample::subsequence(zones, 0..=3).prop_shuffle();
    (reverse, any::<bool>(), prop::bool::weighted(0.2)).prop_map(|(reverse, wants_ptr, is_name_from_tag)| {
        let reverse = reverse.into_iter().map(reverse_zone).collect();
        let zones = Zones::new(zone(FORWARD), reverse, 60);
        let id = ContainerGroupId::new("s1", "rg-spoke1", "web").unwrap();
        Desired { wants_ptr, is_name_from_tag, ..Desired::of_absent(&id, &zones) }
    })
}

fn any_rules() -> impl Strategy<Value = Rules> {
    let ownership = prop_oneof![Just(Ownership::Adopt), Just(Ownership::Strict)];
    let policy = prop_oneof![Just(Policy::Sync), Just(Policy::UpsertOnly), Just(Policy::Observe)];
    (ownership, policy).prop_map(|(ownership, policy)| Rules {
        ownership,
        policy,
        memory_seconds: MEMORY_SECONDS,
    })
}

fn any_address() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![
        6 => (1..8_u8).prop_map(|last| Ipv4Addr::new(10, 1, 5, last)),
        2 => (1..3_u8).prop_map(|last| Ipv4Addr::new(10, 1, 6, last)),
        1 => Just(Ipv4Addr::new(10, 2, 0, 4)),
        1 => Just(Ipv4Addr::new(192, 168, 0, 9)),
    ]
}

fn any_memory() -> impl Strategy<Value = String> {
    let entry = prop_oneof![
        8 => (0..40_u8, 9_000..11_000_u64).prop_map(|(last, since)| format!("10.1.5.{last}@{since}")),
        1 => Just("junk".to_owned()),
        1 => Just("10.1.5.3@".to_owned()),
    ];
    let length = prop_oneof![9 => 0..6_usize, 1 => 30..60_usize];
    length
        .prop_flat_map(move |length| prop::collection::vec(entry.clone(), length))
        .prop_map(|entries| entries.join(" "))
}

fn any_metadata() -> impl Strategy<Value = Metadata> {
    let owner = prop_oneof![
        4 => Just(Some(OURS)),
        1 => Just(Some("S1/RG-Spoke1/Web")),
        2 => Just(Some("s1/rg-spoke2/web")),
        1 => Just(Some("nobody")),
        3 => Just(None),
    ];
    let memory = prop_oneof![Just(None), any_memory().prop_map(Some)];
    let foreign = prop::collection::btree_map("[a-z]{1,4}", ".{0,6}", 0..3);
    (owner, memory, foreign).prop_map(|(owner, memory, mut metadata)| {
        metadata.extend(owner.map(|owner| (OWNER_KEY.to_owned(), owner.to_owned())));
        metadata.extend(memory.map(|memory| (PREVIOUS_KEY.to_owned(), memory)));
        metadata
    })
}

fn any_record_set<Record: Clone + std::fmt::Debug>(
    record: impl Strategy<Value = Record>,
) -> impl Strategy<Value = RecordSet<Record>> {
    let ttl = prop_oneof![3 => Just(60), 1 => 0..400_u32];
    let records = prop::collection::vec(record, 0..4);
    (ttl, records, any_metadata(), prop::bool::weighted(0.1)).prop_map(
        |(ttl, records, metadata, is_auto_registered)| RecordSet {
            etag: ETag::from("before".to_owned()),
            content: Content { ttl, records, metadata },
            is_auto_registered,
        },
    )
}

fn any_target() -> impl Strategy<Value = PtrTarget> {
    prop::sample::select(vec![
        "web.spoke1.internal",
        "WEB.Spoke1.internal.",
        "old.spoke1.internal",
        "gone.spoke1.internal",
        "api.spoke1.internal",
        "spoke1.internal",
        "webspoke1.internal",
        "web.other.internal",
        "Printer.contoso.com.",
        "no name at all",
        "*.spoke1.internal",
        "",
    ])
    .prop_map(|text| PtrTarget::from(text.to_owned()))
}

/// The A record set as an observation can be: what has to be asked to judge it is asked of no other.
fn any_observed_a(us: Owner) -> impl Strategy<Value = ObservedA> {
    let listed = prop::collection::btree_set(any_address(), 0..4);
    let record_set = prop::option::weighted(0.9, any_record_set(any_address()));
    (record_set, any::<bool>(), prop::bool::weighted(0.2), listed).prop_map(
        move |(record_set, is_abandoned, is_listing_incomplete, listed)| match record_set
            .as_ref()
            .map(|set| Mark::of(set, &us))
        {
            None | Some(Mark::Ours | Mark::AutoRegistered) => {
                ObservedA { record_set, ..ObservedA::default() }
            }
            Some(mark) => ObservedA {
                record_set,
                is_abandoned: is_abandoned && mark != Mark::None,
                is_listing_incomplete,
                listed,
            },
        },
    )
}

/// The PTR record sets at some addresses, each in the zone where it goes.
fn any_observed_ptrs(desired: &Desired) -> impl Strategy<Value = Vec<ObservedPtr>> + use<> {
    let zones = desired.zones.clone();
    let record_set = prop::option::weighted(0.9, any_record_set(any_target()));
    prop::collection::btree_map(any_address(), record_set, 0..8).prop_map(move |sets| {
        let observed = |(address, record_set): (Ipv4Addr, Option<_>)| {
            let (zone, name) = zones.reverse_name(address)?;
            Some(ObservedPtr { address, zone: zone.clone(), name, record_set })
        };
        sets.into_iter().filter_map(observed).collect()
    })
}

fn names(desired: &Desired) -> Names {
    Names {
        held: BTreeSet::from([desired.fqdn(), "old.spoke1.internal".parse().unwrap()]),
        vanished: BTreeSet::from(["gone.spoke1.internal".parse().unwrap()]),
    }
}

fn us() -> Owner {
    Owner::from(&ContainerGroupId::new("s1", "rg-spoke1", "web").unwrap())
}

/// What is there after a change.
fn applied<Record: Clone>(edit: &Edit<Record>) -> Option<RecordSet<Record>> {
    let content = edit.after.clone()?;
    Some(RecordSet { etag: ETag::from("after".to_owned()), content, is_auto_registered: false })
}

fn applied_all(observed: &[ObservedPtr], plan: &ReversePlan) -> Vec<ObservedPtr> {
    let after = |ptr: &ObservedPtr| {
        let edit = plan.edits.iter().find(|(_, edit)| edit.zone == ptr.zone && edit.name == ptr.name);
        let record_set = edit.map_or_else(|| ptr.record_set.clone(), |(_, edit)| applied(edit));
        ObservedPtr { record_set, ..ptr.clone() }
    };
    observed.iter().map(after).collect()
}

/// What is none of ours.
fn foreign(metadata: &Metadata) -> Metadata {
    let is_foreign = |key: &str| key != OWNER_KEY && key != PREVIOUS_KEY;
    metadata.iter().filter(|(key, _)| is_foreign(key)).map(|(k, v)| (k.clone(), v.clone())).collect()
}

fn texts(records: &[PtrTarget], is_kept: impl Fn(&PtrTarget) -> bool) -> Vec<String> {
    records.iter().filter(|target| is_kept(target)).map(|target| target.as_str().to_owned()).collect()
}

/// What holds of every change of a PTR record set, whatever it is for.
fn check_isolation(
    rules: Rules,
    plan: &ReversePlan,
    observed: &[ObservedPtr],
    is_others: impl Fn(&PtrTarget, &Mark, Ipv4Addr) -> bool,
) -> Result<(), TestCaseError> {
    for (address, edit) in &plan.edits {
        let ptr = observed.iter().find(|ptr| ptr.address == *address).unwrap();
        prop_assert_eq!(
            (&edit.zone, &edit.name, &edit.before),
            (&ptr.zone, &ptr.name, &ptr.record_set),
            "a change starts from what was read"
        );
        let Some(before) = &edit.before else { continue };
        let mark = Mark::of(before, &us());
        prop_assert_ne!(&mark, &Mark::AutoRegistered);
        if rules.ownership == Ownership::Strict {
            prop_assert_ne!(&mark, &Mark::None, "strict touches what is marked");
        }
        let kept = |target: &PtrTarget| is_others(target, &mark, *address);
        let Some(after) = &edit.after else {
            prop_assert_eq!(texts(&before.content.records, kept), Vec::<String>::new());
            prop_assert_ne!(rules.policy, Policy::UpsertOnly, "upsert-only deletes nothing");
            continue;
        };
        prop_assert!(!after.records.is_empty(), "a record set without records is deleted");
        prop_assert_eq!(texts(&after.records, kept), texts(&before.content.records, kept));
        let memory = |metadata: &Metadata| metadata.get(PREVIOUS_KEY).cloned();
        prop_assert_eq!(foreign(&after.metadata), foreign(&before.content.metadata));
        prop_assert_eq!(memory(&after.metadata), memory(&before.content.metadata));
    }
    Ok(())
}

fn with_desired<Seen: std::fmt::Debug>(
    seen: impl Fn(&Desired) -> BoxedStrategy<Seen> + 'static,
) -> impl Strategy<Value = (Desired, Rules, Seen)> {
    any_desired().prop_flat_map(move |desired| {
        let seen = seen(&desired);
        (Just(desired), any_rules(), seen)
    })
}

proptest! {
    #[test]
    fn the_a_record_set_of_a_live_group_is_right_after_one_change(
        (desired, rules, observed) in with_desired(|_| any_observed_a(us()).boxed()),
        address in any_address(),
    ) {
        let plan = plan::forward(&desired, rules, address, &observed, NOW);
        let before = observed.record_set.as_ref();
        let mark = before.map(|set| Mark::of(set, &us()));
        match mark {
            Some(Mark::AutoRegistered) => prop_assert!(matches!(plan, Err(Refusal::Conflict(_)))),
            Some(Mark::Other(_)) if !observed.is_abandoned => {
                let is_refused = matches!(plan, Err(Refusal::Conflict(Conflict::OtherGroup { .. })));
                prop_assert!(is_refused);
            }
            Some(Mark::None) if rules.ownership == Ownership::Strict || desired.is_name_from_tag => {
                prop_assert!(matches!(plan, Err(Refusal::Conflict(_))));
            }
            _ => prop_assert!(!matches!(plan, Err(Refusal::Conflict(_)))),
        }
        let Ok(Some(edit)) = plan else { return Ok(()) };
        prop_assert_eq!(&edit.before, &observed.record_set);
        prop_assert_eq!((&edit.zone, &edit.name), (&desired.zones.forward, &desired.name));
        let after = applied(&edit).unwrap();
        prop_assert_eq!((&after.content.records, after.content.ttl), (&vec![address], desired.ttl));
        let metadata = before.map(|set| set.content.metadata.clone()).unwrap_or_default();
        prop_assert_eq!(foreign(&after.content.metadata), foreign(&metadata));
        if !observed.is_listing_incomplete {
            prop_assert_eq!(Mark::of(&after, &us()), Mark::Ours);
        }
        if rules.policy == Policy::UpsertOnly {
            prop_assert_eq!(after.content.metadata.get(PREVIOUS_KEY), metadata.get(PREVIOUS_KEY));
        } else {
            let memory: BTreeSet<_> = after.memory().addresses().collect();
            prop_assert!(memory.len() <= MEMORY_LIMIT);
            let held = before.into_iter().flat_map(|set| set.content.records.clone());
            let left = held.filter(|held| desired.zones.reverse_name(*held).is_some());
            let remembered = before.into_iter().flat_map(|set| set.memory().addresses().collect::<Vec<_>>());
            let mut expected: BTreeSet<_> =
                left.chain(remembered).chain(observed.listed.iter().copied()).collect();
            expected.remove(&address);
            prop_assert_eq!(memory, expected, "what leaves is remembered, and nothing is forgotten");
        }

        let is_ours = Mark::of(&after, &us()) == Mark::Ours;
        let listed = if is_ours { BTreeSet::new() } else { observed.listed.clone() };
        let again = ObservedA { record_set: Some(after), listed, ..observed.clone() };
        prop_assert_eq!(plan::forward(&desired, rules, address, &again, NOW), Ok(None));
    }

    #[test]
    fn only_what_is_old_and_clean_is_forgotten_and_only_once(
        (desired, rules, record_set) in with_desired(|_| any_record_set(any_address()).boxed()),
        clean in prop::collection::btree_set(any_address(), 0..6),
        now in 9_000..12_000_u64,
    ) {
        let Some(edit) = plan::forget(&desired, rules, &record_set, &clean, now) else { return Ok(()) };
        prop_assert_ne!(rules.policy, Policy::UpsertOnly);
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
        prop_assert!(new.len() < old.len());
        prop_assert_eq!(plan::forget(&desired, rules, &after, &clean, now), None);
    }

    #[test]
    fn the_ptr_record_sets_of_a_live_group_are_right_after_one_change(
        (desired, rules, observed) in with_desired(|desired| any_observed_ptrs(desired).boxed()),
        live in any_address(),
    ) {
        let names = names(&desired);
        let plan = plan::reverse(&desired, rules, live, &observed, &names);
        let is_in_zone = |target: &PtrTarget| {
            target.name().is_some_and(|name| name.relative_to(&desired.zones.forward.name).is_some())
        };
        let is_said = |target: &PtrTarget, mark: &Mark| {
            target.name().is_some_and(|name| {
                names.held.contains(&name) || (*mark == Mark::Ours && names.vanished.contains(&name))
            })
        };
        check_isolation(rules, &plan, &observed, |target, mark, address| {
            let is_taken = address == live && *mark != Mark::Ours;
            if is_taken { !is_in_zone(target) } else { !is_said(target, mark) }
        })?;
        for (_, edit) in &plan.edits {
            let before = edit.before.iter().filter(|set| Mark::of(set, &us()) == Mark::Ours);
            for target in before.flat_map(|set| &set.content.records) {
                let is_kept = edit.after.as_ref().is_some_and(|after| after.records.contains(target));
                prop_assert!(is_kept || rules.policy != Policy::UpsertOnly, "upsert-only drops no value of ours");
            }
        }
        for ptr in observed.iter().filter(|ptr| plan.clean.contains(&ptr.address)) {
            let targets = ptr.record_set.iter().flat_map(|set| &set.content.records);
            prop_assert!(!targets.into_iter().any(|target| target.names(&desired.fqdn())), "clean");
        }

        let after = applied_all(&observed, &plan);
        for ptr in &after {
            let targets: Vec<_> = ptr.record_set.iter().flat_map(|set| set.content.records.clone()).collect();
            let names_us = targets.iter().any(|target| target.names(&desired.fqdn()));
            let mark = ptr.record_set.as_ref().map(|set| Mark::of(set, &us()));
            if ptr.address == live && desired.wants_ptr && plan.conflicts.is_empty() {
                prop_assert!(names_us && mark == Some(Mark::Ours));
                prop_assert_eq!(ptr.record_set.as_ref().map(|set| set.content.ttl), Some(desired.ttl));
            } else if ptr.address != live
                && rules.policy != Policy::UpsertOnly
                && mark != Some(Mark::AutoRegistered)
                && (mark != Some(Mark::None) || rules.ownership == Ownership::Adopt)
            {
                prop_assert!(!names_us, "no other address names us");
            }
        }
        let again = plan::reverse(&desired, rules, live, &after, &names);
        prop_assert_eq!(again.edits, vec![]);
        prop_assert_eq!(again.conflicts, plan.conflicts);
    }

    #[test]
    fn what_a_removal_leaves_is_what_others_wrote(
        (desired, rules, observed) in with_desired(|desired| any_observed_ptrs(desired).boxed()),
        is_unmarked_reached in any::<bool>(),
        is_other_gone in any::<bool>(),
    ) {
        let names = names(&desired);
        let unmarked = is_unmarked_reached && rules.ownership == Ownership::Adopt;
        let other = Owner::from(&ContainerGroupId::new("s1", "rg-spoke2", "web").unwrap());
        let gone: BTreeSet<_> = is_other_gone.then_some(other).into_iter().collect();
        let reach = Reach { unmarked, others: Others::Of(&gone) };
        let plan = plan::reverse_removal(&desired, rules, &observed, &names, reach);
        let is_reached = |mark: &Mark| match mark {
            Mark::Ours => true,
            Mark::None => unmarked,
            Mark::Other(owner) => gone.contains(owner),
            Mark::AutoRegistered => false,
        };
        let is_said = |target: &PtrTarget, mark: &Mark| {
            target.name().is_some_and(|name| {
                names.held.contains(&name) || (*mark == Mark::Ours && names.vanished.contains(&name))
            })
        };
        check_isolation(rules, &plan, &observed, |target, mark, _| !is_reached(mark) || !is_said(target, mark))?;
        if rules.policy == Policy::UpsertOnly {
            prop_assert_eq!(&plan.edits, &vec![]);
        } else {
            prop_assert_eq!(&plan.withheld, &vec![]);
        }
        for (_, edit) in &plan.edits {
            prop_assert!(is_reached(&Mark::of(edit.before.as_ref().unwrap(), &us())));
        }
        let after = applied_all(&observed, &plan);
        for set in after.iter().filter_map(|ptr| ptr.record_set.as_ref()) {
            let mark = Mark::of(set, &us());
            if rules.policy != Policy::UpsertOnly && is_reached(&mark) {
                prop_assert_ne!(&mark, &Mark::Ours);
                prop_assert!(!set.content.records.iter().any(|target| is_said(target, &mark)));
            }
        }
        prop_assert_eq!(plan::reverse_removal(&desired, rules, &after, &names, reach).edits, vec![]);
    }

    #[test]
    fn what_is_disowned_was_ours_and_said_the_name(
        (desired, rules, observed) in with_desired(|desired| any_observed_ptrs(desired).boxed()),
    ) {
        let plan = plan::disown(&desired, rules, &observed);
        check_isolation(rules, &plan, &observed, |target, _, _| !target.names(&desired.fqdn()))?;
        for (_, edit) in &plan.edits {
            let before = edit.before.as_ref().unwrap();
            prop_assert_eq!(Mark::of(before, &us()), Mark::Ours);
            prop_assert!(before.content.records.iter().any(|target| target.names(&desired.fqdn())));
        }
        let after = applied_all(&observed, &plan);
        prop_assert_eq!(plan::disown(&desired, rules, &after).edits, vec![]);
    }

    #[test]
    fn an_address_is_found_again_by_its_reverse_name(bits in any::<u32>(), other in any::<u32>()) {
        let (address, other) = (Ipv4Addr::from(bits), Ipv4Addr::from(other));
        let [a, b, c, d] = address.octets();
        let texts =
            [format!("{a}.in-addr.arpa"), format!("{b}.{a}.in-addr.arpa"), format!("{c}.{b}.{a}.in-addr.arpa")];
        let all: Vec<_> = texts.iter().map(|text| reverse_zone(text)).collect();
        for zone in &all {
            let name = zone.relative_name(address).unwrap();
            prop_assert_eq!(zone.address(&name), Some(address));
            let whole = name.within(&zone.zone().name);
            prop_assert_eq!(whole.to_string(), format!("{d}.{c}.{b}.{a}.in-addr.arpa"));
            let is_inside = other.octets()[..zone.octets()] == address.octets()[..zone.octets()];
            prop_assert_eq!(zone.relative_name(other).is_some(), is_inside);
        }
        for chosen in 1..8_usize {
            let reverse: Vec<_> = (0..3).filter(|bit| chosen >> bit & 1 == 1).map(|bit| all[bit].clone()).collect();
            for reverse in [reverse.clone(), reverse.into_iter().rev().collect()] {
                let longest = reverse.iter().max_by_key(|zone| zone.octets()).unwrap().zone().clone();
                let zones = Zones::new(zone(FORWARD), reverse, 60);
                prop_assert_eq!(zones.reverse_name(address).map(|(zone, _)| zone.clone()), Some(longest));
            }
        }
    }

    #[test]
    fn memory_is_read_as_it_is_written(
        entries in prop::collection::btree_map(any::<u32>(), any::<u64>(), 0..40),
        text in "[ 0-9.@x]{0,60}",
    ) {
        let mut memory = Memory::default();
        for (address, since) in entries {
            memory.remember(address.into(), since);
        }
        prop_assert_eq!(Memory::parse(&memory.to_string()), memory);
        let damaged = Memory::parse(&text);
        prop_assert_eq!(Memory::parse(&damaged.to_string()), damaged);
    }

    #[test]
    fn an_id_is_read_as_it_is_written(id in any_id()) {
        let read: ContainerGroupId = id.to_string().parse().unwrap();
        prop_assert_eq!(read.to_string(), id.to_string());
        prop_assert_eq!(&read, &id);
        let shouted: ContainerGroupId = id.to_string().to_ascii_uppercase().parse().unwrap();
        prop_assert_eq!(&shouted, &id);
    }

    #[test]
    fn ids_are_equal_in_every_way_or_in_none(
        (left, right) in (any_id(), any_id()),
        is_same in any::<bool>(),
        is_upper in any::<bool>(),
    ) {
        let shout = |text: &str| if is_upper { text.to_uppercase() } else { text.to_lowercase() };
        let same = ContainerGroupId::new(left.subscription(), &shout(left.resource_group()), left.name());
        let right = if is_same { same.unwrap_or(right) } else { right };
        let is_equal = left == right;
        prop_assert_eq!(left.cmp(&right).is_eq(), is_equal);
        prop_assert_eq!(right.cmp(&left), left.cmp(&right).reverse());
        prop_assert_eq!(HashSet::from([left.clone(), right.clone()]).len() == 1, is_equal);
        prop_assert_eq!(Owner::from(&left) == Owner::from(&right), is_equal, "{} {}", left, right);
    }

    #[test]
    fn a_mark_names_its_container_group(id in any_id()) {
        let owner = Owner::from(&id);
        prop_assert_eq!(owner.container_group(), Some(id));
        let metadata = Metadata::from([(OWNER_KEY.to_owned(), owner.as_str().to_owned())]);
        let content = Content { ttl: 60, records: vec![], metadata };
        let set: ARecordSet =
            RecordSet { etag: ETag::from("e".to_owned()), content, is_auto_registered: false };
        prop_assert_eq!(Mark::of(&set, &owner), Mark::Ours);
    }

    #[test]
    fn the_most_specific_key_wins(
        keys in prop::collection::vec(any_key(), 1..8),
        group in prop::sample::select(vec!["r", "rg", "rg-", "rg-spoke1", "RG-SPOKE1x", "Rg-σ", "other"]),
        subscription in prop::sample::select(vec![S1, "AAAAAAAA-0000-0000-0000-000000000001", S2, S3]),
    ) {
        let mut seen = HashSet::new();
        let keys: Vec<_> = keys.into_iter().filter(|key| seen.insert(key.text().to_lowercase())).collect();
        let map: BTreeMap<_, _> = keys.iter().enumerate().map(|(index, key)| {
            (key.text(), json!({"forwardZone": format!("zone{index}.internal"), "reverseZones": []}))
        }).collect();
        let map = ZoneMap::parse(&json!(map).to_string()).unwrap();
        let id = ContainerGroupId::new(subscription, group, "web").unwrap();
        let served = map.serving(&id).map(|zones| zones.forward.name.to_string());
        let covering = keys.iter().enumerate().filter(|(_, key)| key.covers(subscription, group));
        let best = covering.max_by_key(|(_, key)| {
            (key.subscription.is_some(), !key.is_pattern, key.group.chars().count())
        });
        prop_assert_eq!(served, best.map(|(index, _)| format!("zone{index}.internal")));
    }

    #[test]
    fn every_name_that_settings_allow_is_a_name(
        label in "[a-z]{1,63}",
        labels in prop::collection::vec("[a-z]{40,63}", 1..5),
    ) {
        let map = json!({"rg": {"forwardZone": labels.join("."), "reverseZones": []}});
        let Ok(map) = ZoneMap::parse(&map.to_string()) else { return Ok(()) };
        let id = ContainerGroupId::new("s1", "rg", &label).unwrap();
        let desired = Desired::of_absent(&id, &map.serving(&id).unwrap());
        let fqdn = desired.fqdn();
        prop_assert_eq!(fqdn.as_str().parse::<DomainName>().ok(), Some(fqdn.clone()));
        prop_assert_eq!(PtrTarget::from(&fqdn).name(), Some(fqdn));
    }

    #[test]
    fn events_keep_their_order_however_they_are_encoded(
        events in prop::collection::vec(any_event(), 0..6),
        layers in 0..3_u8,
    ) {
        let read = |value: &Value| format!("{:?}", event::read(value));
        let each: Vec<_> = events.iter().flat_map(event::read).collect();
        let mut value = Value::Array(events);
        prop_assert_eq!(read(&value), format!("{each:?}"));
        for _ in 0..layers {
            value = Value::String(value.to_string());
        }
        prop_assert_eq!(read(&value), format!("{each:?}"));
    }
}

fn any_id() -> impl Strategy<Value = ContainerGroupId> {
    let group = "[a-cA-C0äÄßΣσςİıK_().-]{0,3}[a-bA-BΣσςİK_]";
    let parts = ("[a-bA-B0-]{1,3}", group, "[a-bA-B]([a-b-]{0,2}[a-bA-B0])?");
    parts.prop_map(|(subscription, group, name)| ContainerGroupId::new(&subscription, &group, &name).unwrap())
}

/// A key of the map, as the operator's guide explains it.
#[derive(Clone, Debug)]
struct Key {
    subscription: Option<&'static str>,
    group: &'static str,
    is_pattern: bool,
}

impl Key {
    fn text(&self) -> String {
        let subscription = self.subscription.map(|text| format!("{text}/")).unwrap_or_default();
        format!("{subscription}{}{}", self.group, if self.is_pattern { "*" } else { "" })
    }

    fn covers(&self, subscription: &str, group: &str) -> bool {
        let (own, group) = (self.group.to_lowercase(), group.to_lowercase());
        self.subscription.is_none_or(|own| own.eq_ignore_ascii_case(subscription))
            && if self.is_pattern { group.starts_with(&own) } else { group == own }
    }
}

const S1: &str = "aaaaaaaa-0000-0000-0000-000000000001";
const S2: &str = "aaaaaaaa-0000-0000-0000-000000000002";
const S3: &str = "aaaaaaaa-0000-0000-0000-000000000003";

fn any_key() -> impl Strategy<Value = Key> {
    let subscription =
        prop::sample::select(vec![None, Some(S1), Some("AAAAAAAA-0000-0000-0000-000000000002")]);
    let groups = vec!["", "r", "RG", "rg-", "rg-spoke1", "rg-Spoke1x", "rg-σ"];
    (subscription, prop::sample::select(groups), any::<bool>()).prop_map(
        |(subscription, group, is_pattern)| Key {
            subscription,
            group,
            is_pattern: is_pattern || group.is_empty(),
        },
    )
}

fn any_event() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just(json!("Microsoft.Resources.ResourceWriteSuccess")),
        Just(json!(
            "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.ContainerInstance/containerGroups/web"
        )),
        ".{0,12}".prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(Value::Null),
    ];
    let key = prop::sample::select(vec!["id", "eventType", "type", "subject", "data", "time"]);
    prop::collection::btree_map(key, text, 0..6).prop_map(|members| json!(members))
}
