//! What must always hold, and what must hold at every end: all properties of the model, in one place.
//!
//! A *witness* keeps what an instance read and wrote in its pass. Rules about the order of requests are judged by it,
//! because an instance cannot know what changed since it read. What comes of it is judged at the end, by what Azure
//! holds.

use super::{
    knowledge::{Answer, Outcome, Read},
    steps::{Model, Past, State, ids},
    world::{
        ADDRESSES, Content, ELSEWHERE, GROUPS, Life, Lock, Mark, Mask, NAMES, Places, SHOP, SetId, Subject,
        World, a_set, bit, contains, members, ptr_set, subject,
    },
};

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Property {
    /// What is not ours stays.
    Isolation,
    /// The A record set of a group that lives is never absent or empty.
    NoGap,
    /// No PTR is written before the A record set holds its address; no address leaves the A record set before it is
    /// remembered, or is forgotten before its PTR was seen not to name us and five minutes have passed; no A record
    /// set that remembers is removed before what it remembers is clean.
    WriteAhead,
    /// Once everything was delivered, the record sets are those that the live groups call for.
    Convergence,
    /// So they are after one more delivery.
    ConvergenceAfterRecheck,
    /// The delivery after that writes nothing.
    Idempotence,
    /// Five minutes later one delivery forgets what need not be remembered any longer.
    Forgetting,
    /// A delivery that nothing disturbs is acknowledged, unless a person has to act.
    Acknowledgement,
}

/// Why a property need not hold: an exception that the documentation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Excuse {
    /// A removal was under way when the group came back.
    CameBack,
    /// A read was stale.
    Stale,
    /// A write of a killed process arrived late.
    Late,
    /// A person took an A record set away, and its memory with it.
    Edited,
    /// A group got another name and moved, before either was handled.
    Renamed,
}

/// Something that does not hold.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    /// What does not hold.
    pub(crate) property: Property,
    /// Why it need not.
    pub(crate) excuse: Option<Excuse>,
    /// What is seen of it.
    pub(crate) text: String,
}

/// What a read of the own group showed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Sight {
    /// Nothing yet.
    #[default]
    None,
    /// It lives.
    Lives,
    /// It is deleted or stopped, and so it was.
    Ended,
    /// It is deleted or stopped, but it was not any more.
    EndedFalsely,
}

/// What an instance read and wrote in a pass, as far as properties depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Witness {
    /// The addresses that the A record set of a name held, with our mark.
    held: [Mask; NAMES],
    /// The addresses whose PTR did not say a name.
    clean: [Mask; NAMES],
    /// The addresses whose PTR record set carried our mark.
    marked: Mask,
    /// The address of the group.
    live: Mask,
    /// What the group looked like.
    sight: Sight,
    /// The name that it should have had.
    name: Mask,
    /// The other groups that were seen to be deleted.
    deleted: Mask,
}

/// A write that happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    /// For which group.
    pub(crate) group: u8,
    /// Which record set.
    pub(crate) set: SetId,
    /// What it was.
    pub(crate) before: Option<Content>,
    /// What it is.
    pub(crate) after: Option<Content>,
}

/// Notes what a read showed.
pub(crate) fn witness_read(
    places: &Places,
    witness: &mut Witness,
    truth: &World,
    group: u8,
    read: Read,
    answer: &Answer,
) {
    match (read, answer) {
        (Read::Group, Answer::Group(seen)) => {
            let has_ended = |life| matches!(life, Life::Absent | Life::Stopped);
            witness.live = if let Life::Running(address) = seen.life { bit(address) } else { 0 };
            witness.name = bit(places.name_of(group, *seen));
            witness.sight = match (has_ended(seen.life), has_ended(truth.group(group).life)) {
                (false, _) => Sight::Lives,
                (true, true) => Sight::Ended,
                (true, false) => Sight::EndedFalsely,
            };
        }
        (Read::Owner(Some(owner)), Answer::IsDeleted(true)) => witness.deleted |= bit(owner),
        (Read::Set(set), Answer::Set(seen)) => {
            witness_set(witness, group, set, seen.map(|(content, _)| content));
        }
        (Read::PtrList, Answer::List(sets)) => {
            for address in 0..ids(ADDRESSES) {
                let set = ptr_set(address);
                let seen = sets.iter().find(|(listed, ..)| *listed == set).map(|(_, content, _)| *content);
                witness_set(witness, group, set, seen);
            }
        }
        _ => {}
    }
}

/// Notes what a write did.
pub(crate) fn witness_write(witness: &mut Witness, change: &Change) {
    witness_set(witness, change.group, change.set, change.after);
}

fn witness_set(witness: &mut Witness, group: u8, set: SetId, content: Option<Content>) {
    let content = content.unwrap_or_default();
    match subject(set) {
        Subject::A(name) if content.mark == Mark::Group(group) => {
            witness.held[usize::from(name)] |= content.values;
        }
        Subject::A(_) => {}
        Subject::Ptr(address) => {
            if content.mark == Mark::Group(group) {
                witness.marked |= bit(address);
            }
            for (name, clean) in (0..ids(NAMES)).zip(&mut witness.clean) {
                if contains(content.values, bit(name)) {
                    *clean &= !bit(address);
                } else {
                    *clean |= bit(address);
                }
            }
        }
    }
}

/// What is wrong with a write.
pub(crate) fn judge_write(
    places: &Places,
    state: &State,
    witness: &Witness,
    change: &Change,
) -> Option<Finding> {
    let wrong = match subject(change.set) {
        Subject::A(name) => judge_a(places, state, witness, change, name),
        Subject::Ptr(address) => judge_ptr(places, witness, change, address),
    };
    wrong.map(|(property, excuse, text)| {
        let shown = |content| places.show(change.set, content);
        let text = format!("{text}: {} becomes {}", shown(change.before), shown(change.after));
        Finding { property, excuse, text }
    })
}

type Wrong = (Property, Option<Excuse>, &'static str);

fn judge_a(places: &Places, state: &State, witness: &Witness, change: &Change, name: u8) -> Option<Wrong> {
    let group = change.group;
    let before = change.before?;
    let clean = witness.clean[usize::from(name)];
    if let Some(wrong) = judge_owner(&state.world, witness, change, before) {
        return Some(wrong);
    }
    let reversed = !bit(ELSEWHERE);
    let Some(after) = change.after.filter(|after| after.values != 0) else {
        let this = state.world.group(group);
        let lives = matches!(this.life, Life::Running(_) | Life::Provisioning);
        if lives && places.name_of(group, this) == name && before.mark == Mark::Group(group) {
            let excuse = match witness.sight {
                Sight::Ended => Some(Excuse::CameBack),
                Sight::EndedFalsely => Some(Excuse::Stale),
                // It has got this name since.
                Sight::Lives if witness.name != bit(name) => Some(Excuse::CameBack),
                Sight::Lives | Sight::None => None,
            };
            return Some((Property::NoGap, excuse, "the A record set of a group that lives goes"));
        }
        let known = (before.values | before.memory()) & reversed;
        // A name that only a PTR of ours leads to goes before that PTR does.
        let is_led_to = witness.live != 0 || places.own_name(group) != name;
        let leading = if is_led_to { witness.marked } else { 0 };
        let is_clean = contains(clean | leading, known);
        return (!is_clean).then_some((
            Property::WriteAhead,
            None,
            "an A record set goes before the PTR records that it leads to",
        ));
    };
    let left = before.values & !after.values & reversed;
    if !contains(after.memory(), left) {
        return Some((
            Property::WriteAhead,
            None,
            "an address leaves the A record set and is not remembered",
        ));
    }
    let forgotten = before.memory() & !after.memory() & !after.values & reversed;
    if forgotten & before.fresh != 0 {
        return Some((Property::WriteAhead, None, "an address is forgotten too early"));
    }
    if !contains(clean, forgotten) {
        return Some((
            Property::WriteAhead,
            None,
            "an address is forgotten whose PTR was not seen to be clean",
        ));
    }
    if before.is_annotated && !after.is_annotated {
        return Some((Property::Isolation, None, "metadata of others goes"));
    }
    None
}

/// Whether an A record set may be written as far as its mark goes.
fn judge_owner(world: &World, witness: &Witness, change: &Change, before: Content) -> Option<Wrong> {
    let Mark::Group(owner) = before.mark else {
        return (before.mark == Mark::Stranger).then_some((
            Property::Isolation,
            None,
            "an A record set of another owner is written",
        ));
    };
    if owner == change.group {
        return None;
    }
    let text = "an A record set of another group is written";
    let lives = world.group(owner).life != Life::Absent;
    let was_deleted = contains(witness.deleted, bit(owner));
    match (lives, was_deleted) {
        (_, false) => Some((Property::Isolation, None, text)),
        (true, true) => Some((Property::Isolation, Some(Excuse::CameBack), text)),
        (false, true) => None,
    }
}

fn judge_ptr(places: &Places, witness: &Witness, change: &Change, address: u8) -> Option<Wrong> {
    let (before, after) = (change.before.unwrap_or_default(), change.after.unwrap_or_default());
    let own = bit(places.own_name(change.group)) | bit(SHOP);
    let (gone, added) = (before.values & !after.values, after.values & !before.values);
    if contains(gone, bit(ELSEWHERE)) {
        return Some((Property::Isolation, None, "a PTR value of others goes"));
    }
    if change.after.is_some() && before.is_annotated && !after.is_annotated {
        return Some((Property::Isolation, None, "metadata of others goes"));
    }
    let is_live = contains(witness.live, bit(address));
    if gone & !own != 0 && !is_live {
        return Some((Property::Isolation, None, "a PTR value of another group goes"));
    }
    let is_held = |name: u8| contains(witness.held[usize::from(name)], bit(address));
    if !members(added).all(is_held) {
        return Some((
            Property::WriteAhead,
            None,
            "a PTR is written before the A record set holds its address",
        ));
    }
    None
}

/// What is wrong with a state in which nothing is under way and nothing waits.
pub(crate) fn judge_end(model: &mut Model, state: &State) -> Vec<Finding> {
    let is_quiet = state.instances.iter().all(|instance| instance.facts == 0)
        && state.waiting == [0; GROUPS]
        && state.late.is_none()
        && state.world.groups.iter().all(|group| group.current.life != Life::Provisioning);
    if !is_quiet {
        return Vec::new();
    }
    let world = state.world.settled();
    let is_blocked = state.blocked != [0; GROUPS];
    if !model.ends.contains_key(&world) {
        let problems = judge_world(model, &world);
        model.ends.insert(world, problems);
    }
    let problems = model.ends[&world].iter();
    // While something waits for a person, nothing is said about what is done without one more delivery.
    let found = problems.filter(|problem| !(is_blocked && problem.property == Property::Convergence));
    let judged = found.map(|problem| Finding {
        property: problem.property,
        excuse: excuse(state.past, problem),
        text: problem.text.clone(),
    });
    judged.collect()
}

fn excuse(past: Past, problem: &Problem) -> Option<Excuse> {
    let is_extra = matches!(problem.kind, Kind::ExtraA | Kind::ExtraPtr);
    let is_before_recheck = problem.property == Property::Convergence;
    if past.has(Past::STALE) && is_before_recheck {
        Some(Excuse::Stale)
    } else if past.has(Past::LATE) && (is_before_recheck || is_extra) {
        Some(Excuse::Late)
    } else if past.has(Past::EDITED) && is_extra {
        Some(Excuse::Edited)
    } else if past.has(Past::RENAMED) && is_extra {
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
    let now = problem(&model.knowledge.places, world);
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
        let (next, _, outcome) = model.deliver_undisturbed(&world, group);
        world = next;
        let places = &model.knowledge.places;
        if outcome != Outcome::Acknowledged && !has_rival(places, &world, group) {
            let text = format!("{} is answered with {outcome:?}", places.group_name(group));
            found(Property::Acknowledgement, Kind::Other, text);
        }
    }
    if let Some((kind, text)) = problem(&model.knowledge.places, &world) {
        found(Property::ConvergenceAfterRecheck, kind, text);
    }
    if world.lock != Lock::None {
        return problems;
    }
    // What is old is forgotten once.
    for group in order {
        let (next, lines, _) = model.deliver_undisturbed(&world, group);
        world = next;
        if let Some(line) = lines.iter().find(|line| !line.contains("(forget ")) {
            found(Property::Idempotence, Kind::Other, format!("another delivery writes {line}"));
        }
    }
    world.age();
    for group in order {
        world = model.deliver_undisturbed(&world, group).0;
    }
    let remembers = |set: &SetId| world.set(*set).is_some_and(|content| content.memory() != 0);
    if let Some(set) = (0..ids(NAMES)).map(a_set).find(remembers) {
        let text = model.knowledge.places.show(set, world.set(set));
        found(Property::Forgetting, Kind::Other, text);
    }
    for group in order {
        let (next, lines, _) = model.deliver_undisturbed(&world, group);
        world = next;
        if let Some(line) = lines.first() {
            found(Property::Idempotence, Kind::Other, format!("another delivery, after long, writes {line}"));
        }
    }
    problems
}

/// Whether a person has to act, because the name is not free or the reverse zone is locked.
fn has_rival(places: &Places, world: &World, group: u8) -> bool {
    let name = places.name_of(group, world.group(group));
    world.lock != Lock::None || world.set(a_set(name)).is_some_and(|set| set.mark != Mark::Group(group))
}

/// What differs from what the live groups call for.
fn problem(places: &Places, world: &World) -> Option<(Kind, String)> {
    let mut expected_a: [Option<(u8, u8)>; NAMES] = [None; NAMES];
    let mut expected_ptr: [Option<(u8, u8)>; ADDRESSES] = [None; ADDRESSES];
    for group in 0..ids(GROUPS) {
        let this = world.group(group);
        let Life::Running(address) = this.life else { continue };
        let name = places.name_of(group, this);
        if is_entitled(places, world, group, name) {
            expected_a[usize::from(name)] = Some((group, address));
            expected_ptr[usize::from(address)] = Some((group, name));
        }
    }
    for (name, expected) in (0..ids(NAMES)).zip(expected_a) {
        let set = world.set(a_set(name));
        let is_right = match (expected, set) {
            (Some((group, address)), Some(set)) => {
                set.mark == Mark::Group(group) && set.values == bit(address)
            }
            (Some(_), None) => false,
            // What is not ours may stay; and what leads to PTR records that cannot be removed.
            (None, Some(set)) => !matches!(set.mark, Mark::Group(_)) || world.lock != Lock::None,
            (None, None) => true,
        };
        if !is_right {
            let kind = if expected.is_some() { Kind::WrongA } else { Kind::ExtraA };
            return Some((kind, different(places, a_set(name), set, expected.map(|(group, _)| group))));
        }
    }
    for (address, expected) in (0..ids(ADDRESSES)).zip(expected_ptr) {
        let set = world.set(ptr_set(address));
        let ours = set.map_or(0, |set| set.values & !bit(ELSEWHERE));
        let mark = set.map_or(Mark::None, |set| set.mark);
        let is_right = match expected {
            // A broken reverse zone is not made right.
            _ if world.lock != Lock::None => true,
            Some((group, name)) => ours == bit(name) && mark == Mark::Group(group),
            None => ours == 0 && !matches!(mark, Mark::Group(_)),
        };
        if !is_right {
            let kind = if expected.is_some() { Kind::WrongPtr } else { Kind::ExtraPtr };
            return Some((kind, different(places, ptr_set(address), set, expected.map(|(group, _)| group))));
        }
    }
    None
}

/// Whether a group should have its name: no other group that lives holds it, and it is not taken by others.
fn is_entitled(places: &Places, world: &World, group: u8, name: u8) -> bool {
    let Some(set) = world.set(a_set(name)) else { return !wants_too(places, world, group, name) };
    match set.mark {
        Mark::Group(owner) if owner == group => true,
        Mark::Group(owner) => {
            let other = world.group(owner);
            other.life == Life::Absent
        }
        // Taken over, unless a tag chose the name.
        Mark::None => name != SHOP,
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
