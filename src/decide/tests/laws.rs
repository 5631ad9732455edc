//! What holds of every decision: it is total, an answer that comes early changes no write, and writes come to an end.
//!
//! Values are drawn from small sets, so that owners, names and addresses meet each other.

use proptest::{prelude::*, sample::Index};

use super::{
    world::{MAX_STEPS, World, owner, zones},
    *,
};
use crate::dns::{Content, ETag, Metadata, OWNER_KEY, PREVIOUS_KEY, PtrTarget};

const NAMES: [&str; 4] = ["web", "shop", "old", "alias"];
const MARKS: [&str; 5] = ["us", "other", "third", "S1/RG-Spoke1/Web", "nobody"];

fn any_address() -> impl Strategy<Value = Ipv4Addr> {
    prop_oneof![
        6 => (1..5_u8).prop_map(|last| Ipv4Addr::new(10, 1, 5, last)),
        2 => (1..3_u8).prop_map(|last| Ipv4Addr::new(10, 1, 6, last)),
        1 => Just(Ipv4Addr::new(10, 2, 0, 4)),
        1 => Just(Ipv4Addr::new(192, 168, 0, 9)),
    ]
}

fn any_name() -> impl Strategy<Value = RelativeName> {
    prop::sample::select(NAMES.to_vec()).prop_map(|name| name.parse().unwrap())
}

fn any_target() -> impl Strategy<Value = PtrTarget> {
    let targets = vec![
        "web.spoke1.internal",
        "WEB.Spoke1.internal.",
        "shop.spoke1.internal",
        "old.spoke1.internal",
        "alias.spoke1.internal",
        "deep.old.spoke1.internal",
        "spoke1.internal",
        "webspoke1.internal",
        "Printer.contoso.com.",
        "no name at all",
        "*.spoke1.internal",
        "",
    ];
    prop::sample::select(targets).prop_map(|text| PtrTarget::from(text.to_owned()))
}

fn any_metadata() -> impl Strategy<Value = Metadata> {
    let mark = prop_oneof![
        6 => Just(Some("us")),
        4 => prop::sample::select(MARKS.to_vec()).prop_map(Some),
        3 => Just(None),
    ];
    let entry = prop_oneof![
        8 => (any_address(), 9_000..11_000_u64).prop_map(|(address, since)| format!("{address}@{since}")),
        1 => Just("junk".to_owned()),
        1 => Just("10.1.5.3@".to_owned()),
    ];
    let full = (0..40_u8).prop_map(|last| format!("10.1.7.{last}@{}", 9_690 + u64::from(last)));
    let memory = prop_oneof![
        3 => Just(vec![]),
        6 => prop::collection::vec(entry, 0..5),
        1 => prop::collection::vec(full, 30..60),
    ];
    let foreign = prop::collection::btree_map("[a-z]{1,4}", ".{0,6}", 0..2);
    (mark, memory, foreign).prop_map(|(mark, memory, mut metadata)| {
        metadata.extend(mark.map(|mark| (OWNER_KEY.to_owned(), owner(mark).as_str().to_owned())));
        if !memory.is_empty() {
            metadata.insert(PREVIOUS_KEY.to_owned(), memory.join(" "));
        }
        metadata
    })
}

fn any_record_set<Record: Clone + std::fmt::Debug>(
    record: impl Strategy<Value = Record>,
) -> impl Strategy<Value = RecordSet<Record>> {
    let ttl = prop_oneof![3 => Just(60), 1 => 0..400_u32];
    // Records may stand twice in a set, and a set may be empty.
    let records = prop::collection::vec(record, 0..4);
    (ttl, records, any_metadata(), prop::bool::weighted(0.1)).prop_map(
        |(ttl, records, metadata, is_auto_registered)| RecordSet {
            etag: ETag::from(String::new()),
            content: Content { ttl, records, metadata },
            is_auto_registered,
        },
    )
}

fn any_group() -> impl Strategy<Value = String> {
    let state = prop_oneof![
        6 => any_address().prop_map(|address| format!("running {address}")),
        3 => Just("deleted".to_owned()),
        1 => Just("deleting 10.1.5.1".to_owned()),
        1 => Just("public 20.0.0.4".to_owned()),
        1 => Just("stopped 10.1.5.1".to_owned()),
        1 => Just("pending".to_owned()),
        1 => Just("no-address".to_owned()),
    ];
    let tags = prop_oneof![
        6 => Just(""),
        2 => Just(" hostname=shop"),
        1 => Just(" ptr=false"),
        1 => Just(" hostname=old ttl=5"),
        1 => Just(" ignore=true"),
        1 => Just(" ttl=soon"),
    ];
    (state, tags).prop_map(|(state, tags)| if state == "deleted" { state } else { format!("{state}{tags}") })
}

fn any_rules() -> impl Strategy<Value = String> {
    let ownership = prop::sample::select(vec!["adopt", "strict"]);
    let policy = prop_oneof![
        6 => Just("sync"),
        2 => Just("upsert-only"),
        1 => Just("adopt-only"),
        1 => Just("observe"),
        1 => Just("sync dry"),
    ];
    let stopped = prop::sample::select(vec!["remove", "keep"]);
    let purpose = prop_oneof![9 => Just(""), 1 => Just(" compare")];
    let wait = prop_oneof![Just(""), Just(" wait=2")];
    (ownership, policy, stopped, purpose, wait).prop_map(|(ownership, policy, stopped, purpose, wait)| {
        format!("rules {ownership} {policy} {stopped}{purpose}{wait}")
    })
}

/// A world without failures.
fn any_world() -> impl Strategy<Value = World> {
    let reverse = vec!["10", "1.10", "5.1.10"];
    let reverse = prop_oneof![
        3 => prop::sample::subsequence(reverse.clone(), 0..=3).prop_shuffle(),
        3 => Just(vec!["10"]),
    ];
    let settings = (any_rules(), any_group(), reverse);
    let a = prop::collection::btree_map(any_name(), any_record_set(any_address()), 0..4);
    // In which of the zones that contain its address a record set stands.
    let ptr = prop::collection::vec((any_address(), any::<Index>(), any_record_set(any_target())), 0..7);
    let rare_addresses = prop_oneof![3 => Just(vec![]), 1 => prop::collection::vec(any_address(), 1..3)];
    let rare_names = prop_oneof![3 => Just(vec![]), 1 => prop::collection::vec(any_name(), 1..3)];
    let elsewhere = (rare_addresses.clone(), rare_names, rare_addresses);
    let owners = prop::sample::subsequence(vec!["other", "third"], 0..=2);
    (settings, a, ptr, elsewhere, owners).prop_map(|((rules, group, reverse), a, ptr, elsewhere, owners)| {
        let mut world = World::new(zones("spoke1.internal", &reverse));
        world.apply_line(&rules);
        world.apply_line(&format!("group {group}"));
        world.deleted_owners = owners.into_iter().map(owner).collect();
        let (addresses, names, written) = elsewhere;
        world.lookups =
            ExtraLookups { addresses: addresses.into_iter().collect(), names: names.into_iter().collect() };
        world.written_ptrs = written.into_iter().collect();
        for (name, set) in a {
            let etag = world.next_etag();
            world.a.insert(name, RecordSet { etag, ..set });
        }
        for (address, index, set) in ptr {
            let keys = ptr_keys(&world.zones, address);
            if let Some(key) = keys.get(index.index(keys.len().max(1))) {
                let etag = world.next_etag();
                world.ptr.insert(key.clone(), RecordSet { etag, ..set });
            }
        }
        world
    })
}

/// Where the PTR record set of an address can stand: in each reverse zone that contains it.
fn ptr_keys(zones: &Zones, address: Ipv4Addr) -> Vec<PtrKey> {
    let keys = zones.reverse.iter().enumerate();
    keys.filter_map(|(zone, reverse)| Some(PtrKey { address, zone, name: reverse.relative_name(address)? }))
        .collect()
}

/// Failures of single requests, each once.
fn any_whens() -> impl Strategy<Value = Vec<String>> {
    let record_set = prop_oneof![
        2 => any_name().prop_map(|name| format!("A {name}")),
        3 => any_address().prop_map(|address| format!("PTR {address}")),
    ];
    let read = prop_oneof![
        4 => record_set.clone(),
        2 => Just("group".to_owned()),
        1 => Just("owner other".to_owned()),
        1 => Just("list 10".to_owned()),
        1 => Just("list A".to_owned()),
    ];
    let kinds = || prop::sample::select(vec!["transient", "forbidden", "missing", "refused"]);
    let read = (read, kinds()).prop_map(|(request, kind)| format!("when read {request}: fails {kind}"));
    let failure = (record_set.clone(), kinds())
        .prop_map(|(request, kind)| format!("when write {request}: fails {kind}"));
    let race = record_set.clone().prop_map(|request| format!("when write {request}: fails race"));
    let lost = (record_set, prop::sample::select(vec!["lost", "lost before"]))
        .prop_map(|(request, effect)| format!("when write {request}: {effect}"));
    let group = any_group().prop_map(|group| format!("when verify: group {group}"));
    prop::collection::vec(prop_oneof![read, failure, race, lost, group], 0..6)
}

/// Everything that a decision about this world can ask for.
fn all_keys(world: &World) -> Vec<Key> {
    let addresses =
        world.ptr.keys().map(|key| key.address).chain((1..5).map(|last| Ipv4Addr::new(10, 1, 5, last)));
    let ptrs: BTreeSet<PtrKey> = addresses.filter_map(|address| world.goal().ptr_key(address)).collect();
    let names = NAMES.iter().map(|name| Key::A(name.parse().unwrap()));
    let owners = MARKS.iter().map(|mark| Key::Owner(owner(mark)));
    let lists = (0..world.zones.reverse.len()).map(Key::PtrList);
    [Key::Group, Key::AList]
        .into_iter()
        .chain(names)
        .chain(owners)
        .chain(lists)
        .chain(ptrs.into_iter().map(Key::Ptr))
        .collect()
}

/// Whether an answer is known, be it a failure.
fn is_known(facts: &Facts, key: &Key) -> bool {
    match key {
        Key::A(name) => facts.pass.a.contains_key(name),
        Key::Group => facts.pass.group.is_some(),
        Key::Owner(owner) => facts.pass.owners.contains_key(owner),
        Key::Ptr(key) => facts.pass.ptr.contains_key(key),
        Key::PtrList(zone) => facts.pass.ptr_lists.contains_key(zone),
        Key::AList => facts.pass.a_list.is_some(),
    }
}

/// The record set that a change is about, as Azure knows it.
fn place(change: &Change) -> String {
    let (record_type, name) = change.record_set();
    format!("{record_type} {name} in {}", change.zone().id())
}

/// What holds of every step, whatever is known.
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
    prop_assert!(facts.pass.failed_writes.is_empty(), "a write follows a failed one");
    prop_assert!(facts.pass.outdated.is_none(), "a write rests on what is outdated");
    let is_only_a = matches!(write.as_slice(), [Change::A(_)]);
    let are_only_ptrs = read.iter().all(|key| matches!(key, Key::Ptr(_)));
    prop_assert!(
        read.is_empty() || (is_only_a && are_only_ptrs),
        "a write beside a read that it may rest on"
    );
    for change in write {
        let key = goal.key_of(change);
        prop_assert!(key.is_some(), "{} is outside of the zones", change);
        let (is_known, is_marked, is_auto_registered) = match (change, key) {
            (Change::A(edit), Some(Key::A(name))) => {
                let listed = facts.pass.a_list.iter().flatten().flatten();
                let is_listed =
                    |before| listed.clone().any(|(known, set)| *known == name && Some(set) == before);
                let is_read = facts.pass.a.get(&name) == Some(&Ok(edit.before.clone()));
                (
                    is_read || is_listed(edit.before.as_ref()),
                    edit.before.as_ref().is_some_and(|set| set.owner().is_some()),
                    edit.before.as_ref().is_some_and(|set| set.is_auto_registered),
                )
            }
            (Change::Ptr(edit), Some(Key::Ptr(_))) => {
                let is_same = |known: &PtrKey| {
                    known.name == edit.name
                        && goal.zones.reverse.get(known.zone).is_some_and(|zone| *zone.zone() == edit.zone)
                };
                let is_read = facts
                    .pass
                    .ptr
                    .iter()
                    .any(|(known, set)| is_same(known) && *set == Ok(edit.before.clone()));
                let mut listed = facts.pass.ptr_lists.values().flatten().flatten();
                let is_listed =
                    listed.any(|(known, set)| is_same(known) && Some(set) == edit.before.as_ref());
                (
                    is_read || is_listed,
                    edit.before.as_ref().is_some_and(|set| set.owner().is_some()),
                    edit.before.as_ref().is_some_and(|set| set.is_auto_registered),
                )
            }
            _ => (false, false, false),
        };
        prop_assert!(is_known, "{} does not start from what was read", change);
        prop_assert!(!is_auto_registered, "{} changes what the platform registered", change);
        let (is_created, is_removed) = match change {
            Change::A(edit) => (edit.before.is_none(), edit.after.is_none()),
            Change::Ptr(edit) => (edit.before.is_none(), edit.after.is_none()),
        };
        prop_assert!(!(is_created && is_removed), "a write of nothing");
        if rules.ownership == Ownership::Strict {
            prop_assert!(is_created || is_marked, "strict touches {}", change);
        }
        if matches!(rules.policy, Policy::UpsertOnly | Policy::AdoptOnly) {
            prop_assert!(!is_removed, "the policy forbids {}", change);
        }
        if rules.policy == Policy::AdoptOnly {
            prop_assert!(!is_created, "the policy forbids {}", change);
        }
    }
    Ok(())
}

/// Plays the rest of a pass, and returns its writes.
fn rest_of_pass(world: &mut World, goal: &Goal, facts: &mut Facts) -> Result<Vec<Change>, TestCaseError> {
    let mut writes = vec![];
    for _ in 0..MAX_STEPS {
        facts.now = world.now;
        let decision = decide(world.rules, goal, facts);
        check_step(world.rules, goal, facts, &decision.step)?;
        let Step::Act { write, .. } = &decision.step else { return Ok(writes) };
        writes.extend(write.iter().cloned());
        world.carry_out(goal, facts, &decision.step);
    }
    Err(TestCaseError::fail("a pass that does not end"))
}

/// Plays one invocation, and returns its writes and its verdict.
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

/// Something that happens to facts, in any order.
#[derive(Clone, Debug)]
enum Happening {
    /// An answer out of a world, right or wrong, or a failure.
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
    use FailureKind::{Forbidden, Missing, Race, Refused, Transient, Uncertain};
    prop::sample::select(vec![Race, Uncertain, Transient, Forbidden, Missing, Refused])
}

fn any_strange_key() -> impl Strategy<Value = PtrKey> {
    let names = vec!["4.5", "1.5", "web", "04.5", "1.2.3.4"];
    (any_address(), 0..9_usize, prop::sample::select(names)).prop_map(|(address, zone, name)| PtrKey {
        address,
        zone,
        name: name.parse().unwrap(),
    })
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
    fn a_decision_is_total_whatever_is_known(
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
            if let Step::Done(verdict) = &decision.step {
                _ = facts.unverified_ptrs(&goal, verdict);
            }
        }
    }

    #[test]
    fn an_answer_that_comes_early_changes_no_write_that_was_decided(
        world in any_world(),
        whens in any_whens(),
        early in prop::collection::vec(any::<Index>(), 1..6),
    ) {
        let mut world = world;
        whens.iter().filter(|when| when.starts_with("when read")).for_each(|when| world.apply_line(when));
        let (goal, mut facts) = (world.goal(), world.facts());
        let keys = all_keys(&world);
        for _ in 0..MAX_STEPS {
            facts.now = world.now;
            let decision = decide(world.rules, &goal, &facts);
            if let Step::Act { write, .. } = &decision.step && !write.is_empty() {
                let (mut other_world, mut more) = (world.clone(), facts.clone());
                for key in early.iter().map(|index| index.get(&keys)) {
                    if !is_known(&more, key) {
                        more.learn(other_world.read(&goal, key).0);
                    }
                }
                let writes = rest_of_pass(&mut other_world, &goal, &mut more)?;
                for change in write {
                    prop_assert!(writes.contains(change), "{} is not among {:#?}", change, writes.iter().map(ToString::to_string).collect::<Vec<_>>());
                }
            }
            if matches!(decision.step, Step::Done(_)) {
                break;
            }
            world.carry_out(&goal, &mut facts, &decision.step);
        }
    }

    #[test]
    fn writes_come_to_an_end(world in any_world(), whens in any_whens()) {
        let mut world = world;
        whens.iter().for_each(|when| world.apply_line(when));
        invocation(&mut world)?;
        world.forget_whens();
        let before = world.clone();
        let (_, verdict) = invocation(&mut world)?;
        prop_assert_ne!(verdict, Verdict::Failed(PlanError::LostRaces), "nothing disturbed it");
        if !world.is_dry {
            invocation(&mut world)?;
            let (writes, _) = invocation(&mut world)?;
            let shown: Vec<String> = writes.iter().map(ToString::to_string).collect();
            prop_assert_eq!(shown, Vec::<String>::new(), "{:#?}", before);
        }
    }
}
