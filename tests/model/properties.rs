//! What must always hold, and what must hold at every end: all properties of the model, in one place.
//!
//! A *witness* keeps what an instance read and wrote in its pass. Rules about the order of requests are judged by it,
//! because an instance cannot know what changed since it read. What comes of it is judged at the end, by what Azure
//! holds.

use std::hash::{Hash, Hasher};

use aci_dns::{config::Ownership, decide::Evidence};

use super::{
    knowledge::{Answer, Read},
    state::State,
    steps::ids,
    world::{
        ADDRESSES, Content, ELSEWHERE, Group, Life, Mark, Mask, NAMES, Places, SHOP, SetId, Subject, World,
        bit, contains, members, ptr_set, subject,
    },
};

/// What must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Property {
    /// What is not ours stays.
    Isolation,
    /// The A record set of a group that lives is never absent or empty, and that of a stopped group never absent.
    NoGap,
    /// No A record set is removed, emptied or given to another owner because of a single read, or because of a 404
    /// without evidence.
    Evidence,
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
    /// No unfinished work is acknowledged before it is stored.
    Loud,
    /// A run stores one message at most.
    StoredOnce,
    /// A recheck follows an event, then only a write, and five at most.
    RechecksEnd,
    /// The number of versions of a secret is bounded by the number of changes.
    FewVersions,
}

/// Why a property need not hold: an exception that section "Exceptions" of the documentation names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Excuse {
    /// A removal was under way when the group came back.
    CameBack,
    /// Azure answered with what was before: one read before the recheck, or two reads three seconds apart.
    Stale,
    /// A write of a killed process arrived late.
    Late,
    /// A person took an A record set away, and its memory with it.
    Edited,
    /// A group got another name and was moved or deleted, before either was handled; or it got another name and back,
    /// and a read was stale.
    Renamed,
    /// Two members began to drain at the same time.
    Drained,
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

/// What the reads of one group showed in a pass.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
struct Sight {
    /// The group as it was read first.
    seen: Option<Group>,
    /// Whether the read three seconds later showed the same.
    is_confirmed: bool,
    /// Whether it was so when one of them was answered.
    was_true: bool,
}

impl Sight {
    fn note(&mut self, seen: Group, truth: Group, is_confirmation: bool) {
        let is_same = self.seen == Some(seen);
        if is_confirmation {
            self.is_confirmed = is_same;
            self.was_true |= is_same && seen == truth;
        } else {
            *self = Self { seen: Some(seen), is_confirmed: false, was_true: seen == truth };
        }
    }

    fn life(self) -> Option<Life> {
        self.seen.map(|group| group.life)
    }

    /// All of it in 7 bits.
    fn code(self) -> u8 {
        let seen = self.seen.map_or(0, |group| 1 + group.code());
        seen | u8::from(self.is_confirmed) << 5 | u8::from(self.was_true) << 6
    }
}

/// What an instance read and wrote in a pass, as far as properties depend on it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Witness {
    /// The addresses that the A record set of a name held, with our mark.
    held: [Mask; NAMES],
    /// The addresses that the A record set of a name, as it was last seen, holds or remembers with our mark.
    known: [Mask; NAMES],
    /// The addresses whose PTR did not say a name.
    clean: [Mask; NAMES],
    /// The addresses whose PTR record set carried our mark.
    marked: Mask,
    /// The addresses whose PTR record set was read one by one, and was there.
    found: Mask,
    /// The group of the run.
    own: Sight,
    /// The other group.
    other: Sight,
}

impl Hash for Witness {
    fn hash<State: Hasher>(&self, state: &mut State) {
        let masks = self.held.iter().chain(&self.known).chain(&self.clean).chain([&self.marked, &self.found]);
        let masks = masks.fold(0, |all, mask| all << 4 | u64::from(*mask));
        let sights = u64::from(self.own.code()) << 7 | u64::from(self.other.code());
        state.write_u64(masks << 14 | sights);
    }
}

/// A write that happened.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Change {
    /// For which group.
    pub(crate) group: u8,
    /// How much a 404 of it proves.
    pub(crate) evidence: Evidence,
    /// Which record set.
    pub(crate) set: SetId,
    /// What it was.
    pub(crate) before: Option<Content>,
    /// What it is.
    pub(crate) after: Option<Content>,
}

/// Notes what a read showed.
pub(crate) fn witness_read(witness: &mut Witness, truth: &World, group: u8, read: Read, answer: &Answer) {
    match (read, answer) {
        (Read::Group, Answer::Group(seen)) => witness.own.note(*seen, truth.group(group), false),
        (Read::Confirmation, Answer::Group(seen)) => witness.own.note(*seen, truth.group(group), true),
        (Read::Owner(Some(owner)), Answer::Group(seen)) => {
            witness.other.note(*seen, truth.group(owner), false);
        }
        (Read::OwnerConfirmation(Some(owner)), Answer::Group(seen)) => {
            witness.other.note(*seen, truth.group(owner), true);
        }
        (Read::Set(set), Answer::Set(seen)) => {
            witness_set(witness, group, set, seen.map(|(content, _)| content));
            if let (Subject::Ptr(address), Some(_)) = (subject(set), seen) {
                witness.found |= bit(address);
            }
        }
        (Read::PtrList, Answer::List(sets)) => {
            // A record set that was read by itself is known from there.
            let found = witness.found;
            for address in (0..ids(ADDRESSES)).filter(|address| found & bit(*address) == 0) {
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
    let is_ours = content.mark == Mark::Group(group);
    match subject(set) {
        Subject::A(name) => {
            let name = usize::from(name);
            witness.held[name] |= if is_ours { content.values } else { 0 };
            witness.known[name] = if is_ours { content.values | content.memory() } else { 0 };
        }
        Subject::Ptr(address) => {
            if is_ours {
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
    ownership: Ownership,
    state: &State,
    witness: &Witness,
    change: &Change,
) -> Option<Finding> {
    let is_unmarked = change.before.is_some_and(|before| before.mark == Mark::None);
    let wrong = match subject(change.set) {
        _ if is_unmarked && ownership == Ownership::Strict => {
            Some((Property::Isolation, None, "a record set without a mark is written under strict"))
        }
        Subject::A(name) => judge_a(places, ownership, state, witness, change, name),
        Subject::Ptr(address) => judge_ptr(places, witness, change, address),
    };
    wrong.map(|(property, excuse, text)| {
        let shown = |content| places.show(change.set, content);
        let text = format!("{text}: {} becomes {}", shown(change.before), shown(change.after));
        Finding { property, excuse, text }
    })
}

type Wrong = (Property, Option<Excuse>, &'static str);

/// Why a removal that rests on what was seen may meet a group that lives.
fn came_back(sight: Sight) -> Excuse {
    if sight.was_true { Excuse::CameBack } else { Excuse::Stale }
}

fn judge_a(
    places: &Places,
    ownership: Ownership,
    state: &State,
    witness: &Witness,
    change: &Change,
    name: u8,
) -> Option<Wrong> {
    let before = change.before?;
    if let Some(wrong) = judge_owner(places, state, witness, change, before, name) {
        return Some(wrong);
    }
    let after = change.after.unwrap_or_default();
    let is_emptied = after.values == 0 && before.values != 0;
    if (is_emptied || change.after.is_none())
        && let Some(wrong) = judge_removal(places, state, witness, change, before, name)
    {
        return Some(wrong);
    }
    if change.after.is_some() && before.is_annotated && !after.is_annotated {
        return Some((Property::Isolation, None, "metadata of others goes"));
    }
    let reversed = !bit(ELSEWHERE);
    let clean = witness.clean[usize::from(name)];
    if after.values == 0 && after.memory() == 0 {
        let known = (before.values | before.memory()) & reversed;
        let led_to = match witness.own.seen {
            // The set at the new name remembers what this one holds.
            Some(group) if matches!(group.life, Life::Running(_) | Life::Stopped) => {
                let current = places.name_of(change.group, group);
                if current == name { 0 } else { witness.known[usize::from(current)] }
            }
            // A name that only a PTR of ours leads to goes before that PTR does.
            _ if places.own_name(change.group) != name => witness.marked,
            _ => 0,
        };
        let text = "an A record set goes before the PTR records that it leads to";
        let untouchable = untouchable(ownership, &state.world, change.group);
        return (!contains(clean | led_to | untouchable, known)).then_some((
            Property::WriteAhead,
            None,
            text,
        ));
    }
    let left = before.values & !after.values & reversed;
    let forgotten = before.memory() & !after.memory() & !after.values & reversed;
    let text = if !contains(after.memory(), left) {
        "an address leaves the A record set and is not remembered"
    } else if forgotten & before.fresh != 0 {
        "an address is forgotten too early"
    } else if !contains(clean, forgotten) {
        "an address is forgotten whose PTR was not seen to be clean"
    } else {
        return None;
    };
    Some((Property::WriteAhead, None, text))
}

/// The addresses whose PTR record set a removal leaves alone.
fn untouchable(ownership: Ownership, world: &World, group: u8) -> Mask {
    let is_untouchable = |address: &u8| {
        world.set(ptr_set(*address)).is_some_and(|set| match set.mark {
            Mark::None => ownership == Ownership::Strict,
            mark => mark != Mark::Group(group),
        })
    };
    (0..ids(ADDRESSES)).filter(is_untouchable).map(bit).fold(0, |all, one| all | one)
}

/// Whether an A record set may be written as far as its mark goes.
fn judge_owner(
    places: &Places,
    state: &State,
    witness: &Witness,
    change: &Change,
    before: Content,
    name: u8,
) -> Option<Wrong> {
    let isolation = |text| Some((Property::Isolation, None, text));
    let owner = match before.mark {
        Mark::Group(owner) if owner == change.group => return None,
        Mark::Group(owner) => owner,
        Mark::Stranger => return isolation("an A record set of another owner is written"),
        Mark::None if change.after.is_none() => {
            return isolation("an A record set without a mark is removed");
        }
        Mark::None if name == SHOP => {
            return isolation("a name from a tag takes an A record set without a mark");
        }
        Mark::None => return None,
    };
    if change.after.is_none_or(|after| after.mark != Mark::Group(change.group)) {
        return isolation("an A record set of another group is written");
    }
    let frees = |group: Group| group.life == Life::Absent || places.name_of(owner, group) != name;
    if !witness.other.seen.is_some_and(frees) || !witness.other.is_confirmed {
        return Some((Property::Evidence, None, "an A record set is taken from another group"));
    }
    let excuse = came_back(witness.other);
    let text = "an A record set of another group is written";
    (!frees(state.world.group(owner))).then_some((Property::Isolation, Some(excuse), text))
}

/// Whether an A record set of ours may be removed or emptied.
fn judge_removal(
    places: &Places,
    state: &State,
    witness: &Witness,
    change: &Change,
    before: Content,
    name: u8,
) -> Option<Wrong> {
    let group = change.group;
    let proves = witness.own.life() != Some(Life::Absent) || change.evidence == Evidence::Deletion;
    if !witness.own.is_confirmed || !proves {
        return Some((Property::Evidence, None, "an A record set goes without enough evidence"));
    }
    let this = state.world.group(group);
    let is_kept = match this.life {
        Life::Running(_) | Life::Provisioning => true,
        Life::Stopped => change.after.is_none(),
        Life::Absent => false,
    };
    let is_current = places.name_of(group, this) == name && before.mark == Mark::Group(group);
    let text = "the A record set of a group that exists goes";
    let is_justified = witness.own.seen.is_some_and(|seen| match seen.life {
        Life::Absent => true,
        _ if places.name_of(group, seen) != name => true,
        Life::Stopped => change.after.is_some(),
        Life::Running(_) | Life::Provisioning => false,
    });
    let excuse = is_justified.then(|| came_back(witness.own));
    (is_kept && is_current).then_some((Property::NoGap, excuse, text))
}

fn judge_ptr(places: &Places, witness: &Witness, change: &Change, address: u8) -> Option<Wrong> {
    let (before, after) = (change.before.unwrap_or_default(), change.after.unwrap_or_default());
    let isolation = |text| Some((Property::Isolation, None, text));
    let (gone, added) = (before.values & !after.values, after.values & !before.values);
    if contains(gone, bit(ELSEWHERE)) {
        return isolation("a PTR value of others goes");
    }
    if change.after.is_some() && before.is_annotated && !after.is_annotated {
        return isolation("metadata of others goes");
    }
    let is_live = witness.own.life() == Some(Life::Running(address));
    if gone & !places.names_of(change.group) != 0 && !is_live {
        return isolation("a PTR value of another group goes");
    }
    let is_of_other = matches!(before.mark, Mark::Group(owner) if owner != change.group);
    if is_of_other && before.values != 0 && after.mark == Mark::Group(change.group) {
        let has_left = match witness.other.life() {
            Some(Life::Absent) => witness.other.is_confirmed,
            Some(Life::Running(at)) => at != address,
            Some(Life::Stopped) => true,
            Some(Life::Provisioning) | None => false,
        };
        if !is_live || !has_left {
            return isolation("a PTR record set is taken from another group");
        }
    }
    let is_held = |name: u8| contains(witness.held[usize::from(name)], bit(address));
    if !members(added).all(is_held) {
        let text = "a PTR is written before the A record set holds its address";
        return Some((Property::WriteAhead, None, text));
    }
    None
}
