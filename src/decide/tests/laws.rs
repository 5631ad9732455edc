//! The laws of every decision: it is total, an early answer makes no write wrong, writes end, no record of a
//! live name is removed because of a single read, and foreign record sets are not written.

mod worlds;

use proptest::{prelude::*, sample::Index};

use self::worlds::{any_whens, any_world};
use super::{
    values::{MARKS, NAMES, any_address, any_name, any_record_set, any_target},
    world::{MAX_STEPS, World, owner},
    *,
};
use crate::{
    config::Zones,
    domain::dns::{Content, ETag, Metadata, OWNER_KEY, PtrRecordSet, PtrTarget, Zone},
};

/// Every key that a decision about this world can read.
fn all_keys(world: &World) -> Vec<Key> {
    let known = world.ptr.keys().filter_map(|key| key.address);
    let addresses = known.chain((1..5).map(|last| Ipv4Addr::new(10, 1, 5, last)));
    let ptrs: BTreeSet<PtrKey> = addresses.filter_map(|address| world.goal().ptr_key(address)).collect();
    let names = || NAMES.iter().map(|name| name.parse().unwrap());
    let owners = || MARKS.iter().map(|mark| owner(mark));
    let lists = (0..world.zones.reverse.len()).map(Key::PtrList);
    [Key::Group, Key::Confirmation, Key::AList]
        .into_iter()
        .chain(names().map(Key::A))
        .chain(names().map(Key::Cname))
        .chain(owners().map(Key::Owner))
        .chain(owners().map(Key::OwnerConfirmation))
        .chain(lists)
        .chain(ptrs.into_iter().map(Key::Ptr))
        .collect()
}

/// Whether an answer is known, including a failure.
fn is_known(facts: &Facts, key: &Key) -> bool {
    let pass = &facts.pass;
    match key {
        Key::A(name) => pass.a.contains_key(name),
        Key::Cname(name) => pass.cnames.contains_key(name),
        Key::Group => pass.group.is_some(),
        Key::Confirmation => pass.confirmation.is_some(),
        Key::Owner(owner) => pass.owners.contains_key(owner),
        Key::OwnerConfirmation(owner) => pass.owner_confirmations.contains_key(owner),
        Key::Ptr(key) => pass.ptr.contains_key(key),
        Key::PtrList(zone) => pass.ptr_lists.contains_key(zone),
        Key::AList => pass.a_list.is_some(),
    }
}

/// The record set that a change is about, as Azure knows it.
fn place(change: &Change) -> String {
    let (record_type, name) = change.record_set();
    format!("{record_type} {name} in {}", change.zone().id())
}

/// The law of every step, for any facts.
fn check_step(rules: Rules, goal: &Goal, facts: &Facts, step: &Step) -> Result<(), TestCaseError> {
    let Step::Act { read, write } = step else { return Ok(()) };
    prop_assert!(!read.is_empty() || !write.is_empty(), "a step that does nothing");
    let reads: BTreeSet<&Key> = read.iter().collect();
    prop_assert_eq!(reads.len(), read.len(), "a read is sent twice: {:?}", read);
    for key in read {
        prop_assert!(!is_known(facts, key), "{:?} is known and read again", key);
    }
    let places: BTreeSet<String> = write.iter().map(place).collect();
    prop_assert_eq!(places.len(), write.len(), "two writes of one record set: {:?}", write);
    if write.is_empty() {
        return Ok(());
    }
    prop_assert_eq!(goal.purpose, Purpose::Reconcile, "a comparison writes");
    prop_assert!(facts.pass.outdated.is_none(), "a write rests on what is outdated");
    // A clash is no such failure: it says whose the name is, and what a conflict leaves to do is done.
    prop_assert!(facts.pass.failed_writes.is_empty(), "a write follows a failed one");
    let is_only_a = matches!(write.as_slice(), [Change::A(_)]);
    let are_only_ptrs = read.iter().all(|key| matches!(key, Key::Ptr(_)));
    prop_assert!(
        read.is_empty() || (is_only_a && are_only_ptrs),
        "a write beside a read that it may rest on"
    );
    for change in write {
        match (change, goal.key_of(change)) {
            (Change::A(edit), Some(Key::A(name))) => {
                let listed = facts.pass.a_list.iter().flatten().flatten();
                let is_listed =
                    |before| listed.clone().any(|(known, set)| *known == name && Some(set) == before);
                let is_read = facts.pass.a.get(&name) == Some(&Ok(edit.before.clone()));
                prop_assert!(
                    is_read || is_listed(edit.before.as_ref()),
                    "{} starts from nothing read",
                    change
                );
                check_edit(rules, goal, edit)?;
                check_evidence(rules, goal, facts, edit)?;
            }
            (Change::Ptr(edit), Some(Key::Ptr(_))) => {
                let is_same = |known: &PtrKey| {
                    known.name == edit.name
                        && goal.zones.reverse.get(known.zone).is_some_and(|zone| *zone.zone() == edit.zone)
                };
                let mut read = facts.pass.ptr.iter();
                let is_read = read.any(|(known, set)| is_same(known) && *set == Ok(edit.before.clone()));
                let mut listed = facts.pass.ptr_lists.values().flatten().flatten();
                let is_listed =
                    listed.any(|(known, set)| is_same(known) && Some(set) == edit.before.as_ref());
                prop_assert!(is_read || is_listed, "{} starts from nothing read", change);
                check_edit(rules, goal, edit)?;
                check_values(goal, edit)?;
            }
            _ => prop_assert!(false, "{} is outside of the zones", change),
        }
    }
    Ok(())
}

/// The law of every change, for both record types.
fn check_edit<Record: PartialEq + std::fmt::Debug>(
    rules: Rules,
    goal: &Goal,
    edit: &Edit<Record>,
) -> Result<(), TestCaseError> {
    let mark = edit.before.as_ref().map(|set| OwnerMark::of(set, &goal.owner));
    let (is_created, is_removed) = (edit.before.is_none(), edit.after.is_none());
    prop_assert!(!(is_created && is_removed), "a write of nothing");
    prop_assert_ne!(&mark, &Some(OwnerMark::AutoRegistered), "the platform's record set is written");
    let is_controlled = matches!(mark, Some(OwnerMark::OtherController { .. }));
    prop_assert!(!is_controlled, "another controller's record set is written: {:?}", edit);
    if rules.ownership == Ownership::Strict {
        prop_assert_ne!(&mark, &Some(OwnerMark::None), "strict touches what carries no mark");
    }
    if matches!(rules.policy, Policy::UpsertOnly | Policy::AdoptOnly) {
        prop_assert!(!is_removed, "the policy forbids a deletion: {:?}", edit);
    }
    if let (Some(before), Some(after)) = (&edit.before, &edit.after) {
        let foreign = |metadata: &Metadata| {
            let mut metadata = metadata.clone();
            metadata.retain(|key, _| key != OWNER_KEY && key != PREVIOUS_KEY);
            metadata
        };
        prop_assert_eq!(foreign(&before.content.metadata), foreign(&after.metadata), "metadata of others");
        if rules.policy == Policy::AdoptOnly {
            prop_assert_eq!(&before.content.records, &after.records, "adopt-only writes marks");
        }
    }
    prop_assert!(!(is_created && rules.policy == Policy::AdoptOnly), "adopt-only creates nothing");
    Ok(())
}

/// Our PTR record set loses only values inside our forward zone or a zone that it replaced; another one loses
/// only values inside the forward zones of the map.
fn check_values(goal: &Goal, edit: &Edit<PtrTarget>) -> Result<(), TestCaseError> {
    let Some(before) = &edit.before else { return Ok(()) };
    let is_ours = OwnerMark::of(before, &goal.owner) == OwnerMark::Ours;
    let (forward, former) = (&goal.zones.forward.name, &goal.zones.former_zones);
    for target in &before.content.records {
        let is_kept = edit
            .after
            .as_ref()
            .is_some_and(|after| after.records.iter().any(|kept| kept.as_str() == target.as_str()));
        let name = target.name();
        let is_in = |zone: &DomainName| name.as_ref().is_some_and(|name| name.relative_to(zone).is_some());
        let is_known = if is_ours {
            is_in(forward) || former.iter().any(is_in)
        } else {
            name.as_ref().is_some_and(|name| goal.map.has_forward_zone_of(name))
        };
        prop_assert!(is_kept || is_known, "{} is none of ours in {:?}", target, edit);
    }
    Ok(())
}

/// No A record set is removed, emptied or given to another owner because of a single read. One without a mark
/// is never removed, and taken over only for a live group with an address.
fn check_evidence(
    rules: Rules,
    goal: &Goal,
    facts: &Facts,
    edit: &Edit<Ipv4Addr>,
) -> Result<(), TestCaseError> {
    let Some(Ok(group)) = &facts.pass.group else {
        return Err(TestCaseError::fail("a write without the group"));
    };
    let Some(before) = &edit.before else { return Ok(()) };
    let is_emptied = edit.after.as_ref().is_none_or(|after| after.records.is_empty());
    if edit.after.is_none() || (is_emptied && !before.content.records.is_empty()) {
        let confirmed = facts.pass.confirmation.as_ref().and_then(|read| read.as_ref().ok());
        prop_assert_eq!(confirmed, Some(group), "two reads say the same");
        prop_assert_eq!(OwnerMark::of(before, &goal.owner), OwnerMark::Ours, "only what is ours goes");
        if group.state == AddressState::Deleted {
            prop_assert_eq!(goal.evidence, Evidence::Deletion, "a 404 without evidence removes nothing");
        }
    }
    match OwnerMark::of(before, &goal.owner) {
        OwnerMark::Other(owner) => {
            let desired = group.desired.as_ref().unwrap().as_ref().unwrap();
            for reads in [&facts.pass.owners, &facts.pass.owner_confirmations] {
                let is_freed = matches!(reads.get(&owner), Some(Ok(other)) if other.frees(desired));
                prop_assert!(is_freed, "two reads of {} free the name", owner);
            }
        }
        OwnerMark::None => {
            let is_live = matches!(group.state, AddressState::Running(_));
            prop_assert!(is_live, "an unmarked record set is taken over for a live group only");
            let is_tagged = matches!(&group.desired, Ok(Some(desired)) if desired.is_name_from_tag);
            prop_assert!(!is_tagged || rules.adopts_tagged, "a tag takes over no unmarked record set");
        }
        OwnerMark::Ours | OwnerMark::OtherController { .. } | OwnerMark::AutoRegistered => {}
    }
    Ok(())
}

/// Runs the rest of a pass, and returns its reads and writes.
fn rest_of_pass(
    world: &mut World,
    goal: &Goal,
    facts: &mut Facts,
) -> Result<(Vec<Key>, Vec<Change>), TestCaseError> {
    let (mut reads, mut writes) = (vec![], vec![]);
    for _ in 0..MAX_STEPS {
        facts.now = world.now;
        let decision = decide(world.rules, goal, facts);
        check_step(world.rules, goal, facts, &decision.step)?;
        let Step::Act { read, write } = &decision.step else { return Ok((reads, writes)) };
        reads.extend(read.iter().cloned());
        writes.extend(write.iter().cloned());
        world.carry_out(goal, facts, &decision.step);
    }
    Err(TestCaseError::fail("a pass that does not end"))
}

/// Runs one invocation, and returns its writes and its verdict.
fn invocation(world: &mut World) -> Result<(Vec<Change>, Verdict), TestCaseError> {
    let (goal, mut facts) = (world.goal(), world.facts());
    let mut writes = vec![];
    for _ in 0..MAX_STEPS {
        facts.now = world.now;
        let decision = decide(world.rules, &goal, &facts);
        check_step(world.rules, &goal, &facts, &decision.step)?;
        match &decision.step {
            Step::Done(verdict) => return Ok((writes, verdict.clone())),
            Step::Act { write, .. } => writes.extend(write.iter().cloned()),
            Step::Poll | Step::Verify | Step::Repeat => {}
        }
        world.carry_out(&goal, &mut facts, &decision.step);
    }
    Err(TestCaseError::fail("an invocation that does not end"))
}

/// Whether a write of one pass is among those of another: unchanged, as an A record set with the same records
/// and more previous addresses, or as a PTR record set that loses more values.
fn is_among(change: &Change, writes: &[Change]) -> bool {
    let is_at_least = |other: &Change| match (change, other) {
        (Change::A(edit), Change::A(other)) => {
            let (Some(content), Some(more)) = (&edit.after, &other.after) else { return edit == other };
            (&edit.zone, &edit.name, &content.records) == (&other.zone, &other.name, &more.records)
        }
        (Change::Ptr(edit), Change::Ptr(other)) => {
            let Some(kept) = &edit.after else { return edit == other };
            let is_less = |left: &Content<PtrTarget>| {
                let is_kept = |target: &PtrTarget| kept.records.contains(target);
                (left.ttl, &left.metadata) == (kept.ttl, &kept.metadata) && left.records.iter().all(is_kept)
            };
            (&edit.zone, &edit.name, &edit.before) == (&other.zone, &other.name, &other.before)
                && other.after.as_ref().is_none_or(is_less)
        }
        _ => false,
    };
    writes.iter().any(is_at_least)
}

/// A change of facts, in any order.
#[derive(Clone, Debug)]
enum Happening {
    /// An answer of a world, correct or stale, or a failure.
    Learn {
        is_from_other: bool,
        key: Index,
        failure: Option<FailureKind>,
    },
    /// An answer that no world gives.
    LearnStrange(Fact),
    /// The writes of the next step have these results.
    Write(WriteResult),
    Pass,
    Poll,
    Verification,
    Time(u64),
}

fn any_failure() -> impl Strategy<Value = FailureKind> {
    use FailureKind::{Clash, Forbidden, Missing, Race, Refused, Transient, Uncertain};
    prop::sample::select(vec![Race, Uncertain, Transient, Forbidden, Missing, Clash, Refused])
}

fn any_strange_key() -> impl Strategy<Value = PtrKey> {
    let names = vec!["4.5", "1.5", "web", "04.5", "1.2.3.4"];
    (prop::option::of(any_address()), 0..9_usize, prop::sample::select(names))
        .prop_map(|(address, zone, name)| PtrKey { address, zone, name: name.parse().unwrap() })
}

fn any_strange_fact() -> impl Strategy<Value = Fact> {
    let ptr = (any_strange_key(), prop::option::of(any_record_set(any_target())));
    let ptrs = prop::collection::vec((any_strange_key(), any_record_set(any_target())), 0..4);
    let a = (any_name(), prop::option::of(any_record_set(any_address())));
    let several_a = prop::collection::vec((any_name(), any_record_set(any_address())), 0..4);
    prop_oneof![
        ptr.prop_map(|(key, set)| Fact::Ptr(key, Ok(set))),
        (0..9_usize, ptrs).prop_map(|(zone, sets)| Fact::PtrList(zone, Ok(sets))),
        a.prop_map(|(name, set)| Fact::A(name, Ok(set))),
        several_a.prop_map(|sets| Fact::AList(Ok(sets))),
    ]
}

fn any_happening() -> impl Strategy<Value = Happening> {
    let failure = prop::option::weighted(0.2, any_failure());
    let learn = (any::<bool>(), any::<Index>(), failure)
        .prop_map(|(is_from_other, key, failure)| Happening::Learn { is_from_other, key, failure });
    let result = prop_oneof![
        4 => Just(WriteResult::Written(Some(ETag::from("new".to_owned())))),
        1 => Just(WriteResult::Written(None)),
        1 => Just(WriteResult::Assumed),
        1 => any_failure().prop_map(WriteResult::Failed),
    ];
    prop_oneof![
        12 => learn,
        3 => any_strange_fact().prop_map(Happening::LearnStrange),
        6 => result.prop_map(Happening::Write),
        1 => Just(Happening::Pass),
        1 => Just(Happening::Poll),
        2 => Just(Happening::Verification),
        1 => any::<u64>().prop_map(Happening::Time),
    ]
}

proptest! {
    #[test]
    fn a_decision_is_total_for_any_facts(
        world in any_world(),
        other in any_world(),
        happenings in prop::collection::vec(any_happening(), 0..30),
    ) {
        let (goal, mut facts) = (world.goal(), world.facts());
        let keys = all_keys(&world);
        for happening in happenings {
            match happening {
                Happening::Learn { is_from_other, key, failure } => {
                    let source = if is_from_other { &other } else { &world };
                    facts.learn(source.answer(&goal, key.get(&keys), failure));
                }
                Happening::LearnStrange(fact) => facts.learn(fact),
                Happening::Write(result) => {
                    if let Step::Act { write, .. } = decide(world.rules, &goal, &facts).step {
                        facts.expect_writes(&goal, &write);
                        for change in &write {
                            facts.learn_write(&goal, change, result.clone());
                        }
                    }
                }
                Happening::Pass => _ = facts.begin_pass(),
                Happening::Poll => _ = facts.begin_poll(&goal),
                Happening::Verification => facts.begin_verification(),
                Happening::Time(now) => facts.now = now,
            }
            let decision = decide(world.rules, &goal, &facts);
            check_step(world.rules, &goal, &facts, &decision.step)?;
        }
    }

    /// An answer that the pass reads anyway changes no write, whenever it arrives. One that the pass does not
    /// read may contain more names of ours, which lead to further reads; no such read fails here.
    #[test]
    fn an_early_answer_makes_no_decided_write_wrong(
        world in any_world(),
        whens in any_whens(),
        early in prop::collection::vec(any::<Index>(), 1..6),
        is_asked_for in any::<bool>(),
    ) {
        let mut world = world;
        // A confirmation that fails or differs ends the pass. An early answer may cause one.
        let is_early = |when: &&String| {
            when.starts_with("when read") && !when.contains("again") && !when.contains("stale group")
        };
        if is_asked_for {
            world.apply_lines(whens.iter().filter(is_early));
        }
        let (goal, mut facts) = (world.goal(), world.facts());
        let mut keys = all_keys(&world);
        for _ in 0..MAX_STEPS {
            facts.now = world.now;
            let decision = decide(world.rules, &goal, &facts);
            if let Step::Act { write, .. } = &decision.step && !write.is_empty() {
                if is_asked_for {
                    (keys, _) = rest_of_pass(&mut world.clone(), &goal, &mut facts.clone())?;
                }
                let (mut other_world, mut more) = (world.clone(), facts.clone());
                for key in early.iter().filter(|_| !keys.is_empty()).map(|index| index.get(&keys)) {
                    if !is_known(&more, key) {
                        more.learn(other_world.read(&goal, key).0);
                    }
                }
                let (_, writes) = rest_of_pass(&mut other_world, &goal, &mut more)?;
                for change in write {
                    prop_assert!(
                        is_among(change, &writes),
                        "{} is not among {:#?}",
                        change,
                        writes.iter().map(ToString::to_string).collect::<Vec<_>>()
                    );
                }
            }
            if matches!(decision.step, Step::Done(_)) {
                break;
            }
            world.carry_out(&goal, &mut facts, &decision.step);
        }
    }

    #[test]
    fn writes_end(world in any_world(), whens in any_whens()) {
        let mut world = world;
        world.apply_lines(whens);
        invocation(&mut world)?;
        world.forget_whens();
        let before = world.clone();
        let (_, verdict) = invocation(&mut world)?;
        prop_assert_ne!(verdict, Verdict::Failed(PlanError::LostRaces), "nothing disturbed it");
        if !world.is_dry {
            invocation(&mut world)?;
            let (writes, _) = invocation(&mut world)?;
            // Each invocation tries a refused write once: it succeeds when the lock or the CNAME record set
            // is deleted.
            let done = writes.iter().filter(|change| !world.refuses(change));
            let displayed: Vec<String> = done.map(ToString::to_string).collect();
            prop_assert_eq!(displayed, Vec::<String>::new(), "{:#?}", before);
        }
    }

    #[test]
    fn writes_end_although_azure_refuses_every_deletion(world in any_world(), whens in any_whens()) {
        let mut world = world;
        world.apply_line("lock spoke1.internal 10 1.10 5.1.10");
        let names: BTreeSet<RelativeName> = world.a.keys().cloned().collect();
        world.apply_lines(whens);
        invocation(&mut world)?;
        world.forget_whens();
        for _ in 0..2 {
            let (_, verdict) = invocation(&mut world)?;
            prop_assert_ne!(verdict, Verdict::Failed(PlanError::LostRaces), "nothing disturbed it");
        }
        prop_assert!(names.iter().all(|name| world.a.contains_key(name)), "a lock was broken");
        let (a, ptr) = (world.a.clone(), world.ptr.clone());
        let (writes, _) = invocation(&mut world)?;
        prop_assert!(world.is_dry || writes.iter().all(|change| world.refuses(change)), "{:?}", writes);
        prop_assert_eq!((a, ptr), (world.a, world.ptr));
    }

    #[test]
    fn a_successful_verdict_is_true_of_the_record_sets(world in any_world(), whens in any_whens()) {
        let mut world = world;
        world.apply_line("rules sync");
        (world.is_dry, world.purpose) = (false, Purpose::Reconcile);
        world.apply_lines(whens);
        let (_, first) = invocation(&mut world)?;
        world.forget_whens();
        invocation(&mut world)?;
        let (_, verdict) = invocation(&mut world)?;
        let goal = world.goal();
        if verdict == Verdict::Unmanaged(Unmanaged::Public) {
            // An empty one at an old name counts as removed: a lock may have left it.
            let own = world.a.get(&goal.own_name);
            let left = own.filter(|set| OwnerMark::of(set, &goal.owner) == OwnerMark::Ours);
            prop_assert!(left.is_none_or(|set| set.content.records.is_empty()), "{:?}", left);
        }
        let Verdict::Right(right) = verdict else { return Ok(()) };
        let observation = Observation::of(&goal, world.group.as_ref());
        let desired = observation.desired.unwrap().unwrap();
        let fqdn = desired.fqdn();
        let is_ours = |set: &ARecordSet| OwnerMark::of(set, &goal.owner) == OwnerMark::Ours;
        let is_ptr_ours = |set: &PtrRecordSet| OwnerMark::of(set, &goal.owner) == OwnerMark::Ours;
        let own = world.a.get(&desired.name);
        match right {
            Right::Named(address) => {
                prop_assert_eq!(observation.state, AddressState::Running(address));
                let own = own.unwrap();
                prop_assert_eq!((&own.content.records, own.content.ttl), (&vec![address], desired.ttl));
                prop_assert!(is_ours(own));
                let ptr = goal.ptr_key(address).and_then(|key| world.ptr.get(&key));
                let says = |set: &PtrRecordSet| set.content.records.iter().any(|target| target.names(&fqdn));
                if desired.wants_ptr && !goal.zones.reverse.is_empty() {
                    let ptr = ptr.unwrap();
                    prop_assert!(is_ptr_ours(ptr) && says(ptr) && ptr.content.ttl == desired.ttl);
                }
                // At every previous address, the PTR record was seen not to name the group, if it may be
                // changed.
                for remembered in own.memory().addresses() {
                    let ptr = goal.ptr_key(remembered).and_then(|key| world.ptr.get(&key));
                    prop_assert!(!ptr.is_some_and(|set| is_ptr_ours(set) && says(set)), "{}", remembered);
                }
            }
            Right::Absent if observation.state == AddressState::Deleted => {
                let is_locked = |zone: &Zone| world.is_locked(&zone.name);
                for (name, set) in world.a.iter().filter(|(_, set)| is_ours(set)) {
                    let is_emptied = is_locked(&goal.zones.forward) && set.content.records.is_empty();
                    prop_assert!(is_emptied, "A {} is left after {:?}", name, first);
                }
                for (key, set) in world.ptr.iter().filter(|(_, set)| is_ptr_ours(set)) {
                    let zone = goal.zones.reverse[key.zone].zone();
                    let is_emptied = is_locked(zone) && set.content.records.is_empty();
                    prop_assert!(is_emptied, "PTR {:?} is left after {:?}", key, first);
                }
            }
            Right::Absent => {
                prop_assert_eq!(observation.state, AddressState::Released);
                prop_assert!(!own.is_some_and(|set| is_ours(set) && !set.content.records.is_empty()));
            }
            Right::Kept => prop_assert_eq!(world.rules.stopped, Stopped::Keep),
        }
    }

    #[test]
    fn for_a_foreign_name_only_our_false_ptr_values_are_removed(
        world in any_world(),
        holder in any_record_set(any_address()),
        group in any_address(),
    ) {
        let mut world = world;
        // A group of the same name in a resource group with the same zones: it should have the name.
        world.apply_lines(["map rg-spoke2 spoke1.internal 10", "owner other running 10.1.9.9", "CNAME web -"]);
        world.apply_line(&format!("group running {group}"));
        let mut holder = holder;
        holder.content.metadata.insert(OWNER_KEY.to_owned(), owner("other").as_str().to_owned());
        let web: RelativeName = "web".parse().unwrap();
        world.a.insert(web.clone(), holder.clone());
        let fqdn = web.within(&world.zones.forward.name);
        let us = owner("us");
        let (writes, verdict) = invocation(&mut world)?;
        for change in &writes {
            let Change::Ptr(edit) = change else {
                return Err(TestCaseError::fail(format!("{change} is no PTR")));
            };
            let before = edit.before.as_ref().unwrap();
            prop_assert_eq!(OwnerMark::of(before, &us), OwnerMark::Ours);
            let left: Vec<&PtrTarget> =
                before.content.records.iter().filter(|target| !target.names(&fqdn)).collect();
            let after: Vec<&PtrTarget> = edit.after.iter().flat_map(|after| &after.records).collect();
            prop_assert!(left.len() < before.content.records.len(), "it said the name");
            prop_assert_eq!(left, after, "and nothing else is lost");
        }
        prop_assert_eq!(world.a.get(&web), Some(&holder));
        let is_right = matches!(verdict, Verdict::Right(Right::Named(_)));
        prop_assert!(!is_right, "the name is anothers");
        let (writes, _) = invocation(&mut world)?;
        prop_assert!(world.is_dry || writes.iter().all(|change| world.refuses(change)), "{:?}", writes);
    }
}
