//! What must hold whenever nothing is under way.

use aci_dns::config::Ownership;

use super::{
    knowledge::Outcome,
    properties::{Excuse, Finding, Property},
    scenario::EventKind,
    state::{Past, State},
    steps::{Model, ids},
    world::{
        ADDRESSES, Content, ELSEWHERE, GROUPS, Life, Lock, Mark, NAMES, Places, SHOP, SetId, World, a_set,
        bit, contains, members, ptr_set,
    },
};

/// What is wrong with a state in which nothing is under way.
pub(crate) fn judge_end(model: &mut Model, state: &State) -> Vec<Finding> {
    let is_quiet = state.instances.iter().all(|instance| instance.facts == 0)
        && state.late.is_none()
        && state.world.hidden == 0
        && state.world.groups.iter().all(|group| group.current.life != Life::Provisioning);
    if !is_quiet {
        return Vec::new();
    }
    let world = state.world.settled();
    // While something waits for delivery or for a person, nothing is said about what is done without it.
    let waits = state.waiting.iter().chain(&state.blocked).any(|events| events.total() > 0)
        || state.queue.iter().any(|messages| messages.total() > 0);
    if !model.ends.contains_key(&world) {
        let problems = judge_world(model, &world);
        model.ends.insert(world, problems);
    }
    let has_queue = model.scenario.has_queue;
    let problems = model.ends[&world].iter();
    let found = problems.filter(|problem| !(waits && problem.property == Property::Convergence));
    let judged = found.map(|problem| Finding {
        property: problem.property,
        excuse: excuse(state.past, problem, has_queue),
        text: problem.text.clone(),
    });
    judged.collect()
}

fn excuse(past: Past, problem: &Problem, has_queue: bool) -> Option<Excuse> {
    let is_extra = matches!(problem.kind, Kind::ExtraA | Kind::ExtraPtr);
    let is_before_recheck = problem.property == Property::Convergence;
    // With the queue, the recheck was delivered by now: one stale read is no excuse, unless it was not stored.
    let is_rechecked = !past.has(Past::STALE_TWICE) && !past.has(Past::NO_RECHECK) && !past.has(Past::LATE);
    if has_queue && is_before_recheck && is_rechecked {
        return None;
    }
    let is_ptr_missed = past.has(Past::STALE_TWICE) && problem.kind == Kind::ExtraPtr;
    if is_ptr_missed || (past.has(Past::STALE) && is_before_recheck) {
        Some(Excuse::Stale)
    } else if past.has(Past::LATE) && (is_before_recheck || is_extra) {
        Some(Excuse::Late)
    } else if past.has(Past::CUT_OFF) && past.has(Past::STALE) && problem.kind == Kind::ExtraPtr {
        // It took a deleted A record set for existing, wrote the PTR record after the group had moved, and did not verify.
        Some(Excuse::Late)
    } else if past.has(Past::EDITED) && is_extra {
        Some(Excuse::Edited)
    } else if past.has(Past::RENAMED)
        && (past.has(Past::MOVED) || past.has(Past::STALE))
        && (is_extra || problem.property == Property::Idempotence)
    {
        Some(Excuse::Renamed)
    } else {
        None
    }
}

/// What is wrong with record sets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A group that lives has no A record set, or a wrong one.
    WrongA,
    /// An A record set should not be there.
    ExtraA,
    /// A group that lives has no PTR record, or there are others beside it.
    WrongPtr,
    /// A PTR record should not be there.
    ExtraPtr,
    /// Something else.
    Other,
}

/// What is wrong with an end.
#[derive(Clone, Debug)]
pub(crate) struct Problem {
    property: Property,
    kind: Kind,
    text: String,
}

/// All that is wrong with an end: as it is, and after one more delivery for each group, in either order.
fn judge_world(model: &mut Model, world: &World) -> Vec<Problem> {
    let mut problems = Vec::new();
    let now = problem(model, world);
    problems.extend(now.map(|(kind, text)| Problem { property: Property::Convergence, kind, text }));
    for order in [[0, 1], [1, 0]] {
        problems.extend(judge_recheck(model, *world, order));
    }
    problems
}

fn judge_recheck(model: &mut Model, mut world: World, order: [u8; GROUPS]) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut found = |property, kind, text| problems.push(Problem { property, kind, text });
    for group in order {
        let (next, _, outcome) = model.recheck(&world, group);
        world = next;
        if outcome != Outcome::Acknowledged && !needs_person(model, &world, group) {
            let text = format!("{} is answered with {outcome:?}", model.knowledge.places.group_name(group));
            found(Property::Acknowledgement, Kind::Other, text);
        }
    }
    if let Some((kind, text)) = problem(model, &world) {
        found(Property::ConvergenceAfterRecheck, kind, text);
    }
    if world.lock != Lock::None {
        return problems;
    }
    // What is old is forgotten once.
    for group in order {
        let (next, lines, _) = model.recheck(&world, group);
        world = next;
        if let Some(line) = lines.iter().find(|line| !line.contains("(forget ")) {
            found(Property::Idempotence, Kind::Other, format!("another delivery writes {line}"));
        }
    }
    world.age();
    for group in order {
        world = model.recheck(&world, group).0;
    }
    if let Some(set) = (0..ids(NAMES)).map(a_set).find(|set| remembers(model, &world, *set)) {
        let text = model.knowledge.places.show(set, world.set(set));
        found(Property::Forgetting, Kind::Other, text);
    }
    for group in order {
        let (next, lines, _) = model.recheck(&world, group);
        world = next;
        if let Some(line) = lines.first() {
            found(Property::Idempotence, Kind::Other, format!("another delivery, after long, writes {line}"));
        }
    }
    problems
}

/// Whether the A record set of a group that exists remembers something.
fn remembers(model: &Model, world: &World, set: SetId) -> bool {
    let Some(content) = world.set(set) else { return false };
    let Mark::Group(owner) = content.mark else { return false };
    let this = world.group(owner);
    let is_current = a_set(model.knowledge.places.name_of(owner, this)) == set;
    // A PTR record set without a mark is not touched under strict, and may name the group for good.
    let is_untouchable = |address: &u8| {
        model.scenario.ownership == Ownership::Strict
            && world.set(ptr_set(*address)).is_some_and(|ptr| ptr.mark == Mark::None)
    };
    let is_kept = |address: &u8| *address != ELSEWHERE && !is_untouchable(address);
    members(content.memory()).any(|address| is_kept(&address)) && this.life != Life::Absent && is_current
}

/// Whether a person has to act: the name is not free, the zones are locked, or the PTR record set has lost its mark.
fn needs_person(model: &Model, world: &World, group: u8) -> bool {
    let this = world.group(group);
    let name = model.knowledge.places.name_of(group, this);
    let is_foreign = world.set(a_set(name)).is_some_and(|set| set.mark != Mark::Group(group));
    let has_lost_mark = match this.life {
        Life::Running(address) if model.scenario.ownership == Ownership::Strict => {
            world.set(ptr_set(address)).is_some_and(|set| set.mark == Mark::None)
        }
        _ => false,
    };
    world.lock != Lock::None || is_foreign || has_lost_mark
}

/// What a PTR record set has to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum ExpectedPtr {
    /// Without a value or mark of ours.
    None,
    /// That of a group, with this name.
    Of(u8, u8),
    /// Whatever it is: a person took a mark away.
    Any,
}

/// What differs from what the live groups call for.
fn problem(model: &Model, world: &World) -> Option<(Kind, String)> {
    let (places, scenario) = (&model.knowledge.places, &model.scenario);
    let is_strict = scenario.ownership == Ownership::Strict;
    // A record set that a lock kept from being deleted stays, empty; the sweep reports it.
    let may_be_emptied = scenario.kinds.iter().any(|(_, kind)| *kind == EventKind::Lock);
    let mut expected_a: [Option<(u8, u8)>; NAMES] = [None; NAMES];
    let mut expected_ptr = [ExpectedPtr::None; ADDRESSES];
    for group in 0..ids(GROUPS) {
        let this = world.group(group);
        let Life::Running(address) = this.life else { continue };
        let name = places.name_of(group, this);
        if is_entitled(model, world, group, name) {
            expected_a[usize::from(name)] = Some((group, address));
            expected_ptr[usize::from(address)] = ExpectedPtr::Of(group, name);
        } else if world
            .set(a_set(name))
            .is_some_and(|set| set.mark == Mark::None && contains(set.values, bit(address)))
        {
            // Another program rewrote the A record set without our mark; both directions agree.
            expected_ptr[usize::from(address)] = ExpectedPtr::Any;
        }
    }
    for (name, expected) in (0..ids(NAMES)).zip(expected_a) {
        let set = world.set(a_set(name));
        let is_right = match (expected, set) {
            // What is locked is not made right.
            _ if world.lock != Lock::None && scenario.locks_forward_zone => true,
            (Some((group, address)), Some(set)) => {
                set.mark == Mark::Group(group) && set.values == bit(address)
            }
            (Some(_), None) => false,
            (None, Some(set)) => match set.mark {
                Mark::Group(owner) => {
                    let this = world.group(owner);
                    let is_reserved = this.life == Life::Stopped && places.name_of(owner, this) == name;
                    // What leads to PTR records that cannot be removed may stay.
                    world.lock != Lock::None
                        || (set.values == 0 && (is_reserved || (may_be_emptied && set.memory() == 0)))
                }
                // What is not ours may stay.
                Mark::None | Mark::Stranger => true,
            },
            (None, None) => true,
        };
        if !is_right {
            let kind = if expected.is_some() { Kind::WrongA } else { Kind::ExtraA };
            return Some((kind, different(places, a_set(name), set, expected.map(|(group, _)| group))));
        }
    }
    for (address, expected) in (0..ids(ADDRESSES)).zip(expected_ptr) {
        let set = world.set(ptr_set(address));
        let (values, mark) = set.map_or((0, Mark::None), |set| (set.values, set.mark));
        let ours = values & !bit(ELSEWHERE);
        let is_right = match expected {
            // A locked reverse zone is not made right, and a record set without a mark is not touched under strict.
            _ if world.lock != Lock::None || (is_strict && set.is_some() && mark == Mark::None) => true,
            ExpectedPtr::Any => true,
            ExpectedPtr::Of(group, name) => ours == bit(name) && mark == Mark::Group(group),
            ExpectedPtr::None => {
                ours == 0 && (!matches!(mark, Mark::Group(_)) || (may_be_emptied && values == 0))
            }
        };
        if !is_right {
            let owner = if let ExpectedPtr::Of(group, _) = expected { Some(group) } else { None };
            let kind = if owner.is_some() { Kind::WrongPtr } else { Kind::ExtraPtr };
            return Some((kind, different(places, ptr_set(address), set, owner)));
        }
    }
    None
}

/// Whether a group should have its name: no other group that should have it holds it, and it is not taken by others.
fn is_entitled(model: &Model, world: &World, group: u8, name: u8) -> bool {
    let places = &model.knowledge.places;
    let Some(set) = world.set(a_set(name)) else { return !wants_too(places, world, group, name) };
    match set.mark {
        Mark::Group(owner) if owner == group => true,
        Mark::Group(owner) => {
            let other = world.group(owner);
            other.life == Life::Absent || places.name_of(owner, other) != name
        }
        // Taken over under adopt, unless a tag chose the name.
        Mark::None => model.scenario.ownership == Ownership::Adopt && name != SHOP,
        Mark::Stranger => false,
    }
}

/// Whether another group has as good a right to a free name; one of them has to be there.
fn wants_too(places: &Places, world: &World, group: u8, name: u8) -> bool {
    (0..group).any(|other| {
        let this = world.group(other);
        matches!(this.life, Life::Running(_)) && places.name_of(other, this) == name
    })
}

fn different(places: &Places, set: SetId, content: Option<Content>, owner: Option<u8>) -> String {
    let should = owner.map_or("should not be there".to_owned(), |owner| {
        format!("should be that of {}", places.group_name(owner))
    });
    format!("{} ({should})", places.show(set, content))
}
