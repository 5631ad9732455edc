//! What a state of the model holds.

use std::hash::{Hash, Hasher};

use aci_dns::decide::Evidence;

use super::{
    knowledge::{AnswerId, FactsId, Label, Outcome, REQUESTS, pack},
    properties::Witness,
    queue::{Batch, Messages},
    world::{Content, EVIDENCE, GROUPS, Mask, SETS, SetId, World, bit},
};

/// How many instances there are at most.
pub(crate) const INSTANCES: usize = 2;

/// How many versions of a record set one pass may see.
const LABELS: Label = 8;

/// The low bit of each label.
const LOW_BITS: u16 = 0x5555;

/// What the version behind a label is by now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Version {
    /// The label is not in use.
    Unused,
    /// The current one: a write that rests on it happens.
    Current,
    /// The one before, which a stale read may still show.
    Previous,
    /// An older one.
    Outdated,
}

/// The versions of one record set that a pass has seen, by label: two bits each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Labels(u16);

impl Labels {
    pub(crate) fn get(self, label: Label) -> Version {
        match (self.0 >> (2 * label)) & 3 {
            0 => Version::Unused,
            1 => Version::Current,
            2 => Version::Previous,
            _ => Version::Outdated,
        }
    }

    fn set(&mut self, label: Label, version: Version) {
        let bits = match version {
            Version::Unused => 0,
            Version::Current => 1,
            Version::Previous => 2,
            Version::Outdated => 3,
        };
        self.0 = (self.0 & !(3 << (2 * label))) | (bits << (2 * label));
    }

    /// The label of a version; a new one where it has none yet.
    pub(crate) fn of(&mut self, version: Version) -> Label {
        let find = |version| (0..LABELS).find(|label| self.get(*label) == version);
        let label = find(version).or_else(|| find(Version::Unused)).expect("a pass sees few versions");
        self.set(label, version);
        label
    }

    /// All versions become one older.
    pub(crate) fn outdate(&mut self) {
        let (high, low) = ((self.0 >> 1) & LOW_BITS, self.0 & LOW_BITS);
        self.0 = ((high | low) << 1) | high;
    }

    /// Only these labels stay in use.
    pub(crate) fn keep(&mut self, labels: Mask) {
        for label in (0..LABELS).filter(|label| labels & bit(*label) == 0) {
            self.set(label, Version::Unused);
        }
    }

    /// No read shows a previous version any more.
    pub(crate) fn settle(&mut self) {
        self.0 |= (self.0 >> 1) & LOW_BITS;
    }
}

/// How many events of one group there are, by how much their kind proves: nothing, absence, deletion.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Events(pub(crate) [u8; 3]);

impl Events {
    /// How many of whatever kind.
    pub(crate) fn total(self) -> u8 {
        self.0.iter().sum()
    }

    /// One event whose kind proves so much.
    pub(crate) fn one(evidence: Evidence) -> Self {
        Self(EVIDENCE.map(|kind| u8::from(kind == evidence)))
    }

    pub(crate) fn add(&mut self, others: Self) {
        for (count, other) in self.0.iter_mut().zip(others.0) {
            *count += other;
        }
    }

    pub(crate) fn remove(&mut self, others: Self) {
        for (count, other) in self.0.iter_mut().zip(others.0) {
            *count -= other;
        }
    }
}

/// An instance of the handler.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Instance {
    /// What its run knows; 0 where none is under way.
    pub(crate) facts: FactsId,
    /// The answers to the requests of its step; 0 where there is none yet.
    pub(crate) answers: [AnswerId; REQUESTS],
    /// The versions that its pass has seen.
    pub(crate) labels: [Labels; SETS],
    /// The group whose events the invocation answers.
    pub(crate) origin: u8,
    /// The groups that it looks at next.
    pub(crate) queue: Mask,
    /// The most severe outcome so far.
    pub(crate) outcome: Outcome,
    /// The events and messages that it answers.
    pub(crate) batch: Batch,
    /// Whether it wrote, or may have.
    pub(crate) has_written: bool,
    /// What its pass read and wrote, for the properties.
    pub(crate) witness: Witness,
}

impl Hash for Instance {
    fn hash<Into: Hasher>(&self, into: &mut Into) {
        let Batch { events, messages, is_old } = self.batch;
        let [first, second, third] = events.0;
        let flags = u8::from(is_old) | u8::from(self.has_written) << 1;
        into.write_u64(
            u64::from(self.facts) << 32 | u64::from_le_bytes([self.origin, self.queue, flags, 0, 0, 0, 0, 0]),
        );
        let rest = u64::from_le_bytes([first, second, third, outcome_code(self.outcome), 0, 0, 0, 0]);
        into.write_u64(rest | u64::from(messages.0) << 32);
        pack(self.answers).hash(into);
        let join = |part: &[Labels]| part.iter().fold(0, |all, labels| all << 16 | u64::from(labels.0));
        into.write_u64(join(&self.labels[..3]));
        into.write_u64(join(&self.labels[3..]));
        self.witness.hash(into);
    }
}

fn outcome_code(outcome: Outcome) -> u8 {
    match outcome {
        Outcome::Acknowledged => 0,
        Outcome::Blocked => 1,
        Outcome::Unavailable => 2,
    }
}

impl Instance {
    pub(crate) fn is_idle(&self) -> bool {
        self.facts == 0
    }

    pub(crate) fn stop(&mut self) {
        *self = Self::default();
    }
}

/// What happened before, as far as it excuses what does not hold.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Past(Mask);

impl Past {
    /// A read was stale, or a new group answered 404.
    pub(crate) const STALE: Self = Self(1);
    /// A write arrived late.
    pub(crate) const LATE: Self = Self(2);
    /// A person took an A record set's memory away.
    pub(crate) const EDITED: Self = Self(4);
    /// A group got another name.
    pub(crate) const RENAMED: Self = Self(8);
    /// A group left its address.
    pub(crate) const MOVED: Self = Self(16);

    /// An invocation was cut off or failed, where reads can be stale.
    pub(crate) const CUT_OFF: Self = Self(32);

    /// Two reads were stale.
    pub(crate) const STALE_TWICE: Self = Self(64);

    /// A recheck was not stored.
    pub(crate) const NO_RECHECK: Self = Self(128);

    /// Whether this happened.
    pub(crate) fn has(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }

    pub(crate) fn add(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// A write of a killed process that is still under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct LateWrite {
    pub(crate) set: SetId,
    /// Whether it replaces or deletes the current version; else it creates the record set.
    pub(crate) replaces: bool,
    pub(crate) after: Option<Content>,
}

/// Everything that the future depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct State {
    /// What Azure holds.
    pub(crate) world: World,
    /// The instances, in no order.
    pub(crate) instances: [Instance; INSTANCES],
    /// The events of each group that wait for delivery.
    pub(crate) waiting: [Events; GROUPS],
    /// Those of each group that were answered with a failure that a person has to end; they are delivered again.
    pub(crate) blocked: [Events; GROUPS],
    /// The messages of each group in the retry queue.
    pub(crate) queue: [Messages; GROUPS],
    /// How many things may still happen to container groups and zones.
    pub(crate) events_left: u8,
    /// How many faults may still strike.
    pub(crate) faults_left: u8,
    /// How many times five minutes may still pass.
    pub(crate) ages_left: u8,
    /// A write that may still arrive.
    pub(crate) late: Option<LateWrite>,
    /// The addresses that some group has held.
    pub(crate) used: Mask,
    /// What excuses something that does not hold.
    pub(crate) past: Past,
}
