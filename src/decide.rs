//! The decision: what is known about a container group and its record sets -> what to read, what to write, or the
//! verdict. The only place that decides ownership, policy, and the order of reads and writes.
//!
//! [`decide`] is pure and total: no clock, no I/O, no panic. The driver ([`crate::driver`]) carries out one
//! [`Step`], lets the [`Facts`] learn the answers, and asks again, until the step is a verdict. The same function
//! decides for events, for sweeps over lists, for dry runs and for the drift tracker: they differ in their [`Goal`]
//! and in what answers the reads.
//!
//! Rules that hold for every step:
//!
//! * A write rests on known facts only. The one read that may still be missing is that of the PTR record sets while
//!   the A record set is written.
//! * A live group: the A record set with its memory first, then PTR record sets, then the forgetting.
//! * A deleted group: PTR record sets first, the A record set last, because its memory exists as long as it does.
//! * A failed write ends the pass: no later write is sent.
//! * What was written is verified: the group and the A record set are read again and have to be as they were.

mod drift;
mod facts;
mod forward;
mod live;
mod ownership;
mod removal;
mod reverse;
#[cfg(test)]
mod tests;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::Arc,
};

pub use self::{
    drift::compare,
    facts::{Fact, Facts, Key, MAX_PASSES, Observation, PtrKey, Read, RunState, WriteResult},
    forward::{ObservedA, Refusal, forget, forward, removals},
    ownership::{Conflict, OwnerMark, conflict},
    reverse::{
        ForeignOwners, Names, ObservedPtr, RemovalScope, ReversePlan, remove_false_ptrs, reverse,
        reverse_removal,
    },
};
use crate::{
    change::Change,
    config::{Ownership, Policy, Settings, Stopped, Zones},
    container_group::AddressState,
    desired::{Desired, TagError, own_name},
    dns::{ARecordSet, DomainName, MEMORY_SECONDS, Owner, RecordSet, RelativeName},
    failure::FailureKind,
    report::Drift,
    resource_id::ContainerGroupId,
};

/// What an operator decided.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// What happens to record sets without a mark.
    pub ownership: Ownership,
    /// What may be written.
    pub policy: Policy,
    /// What happens to the records of a stopped group.
    pub stopped: Stopped,
    /// For how many seconds an address is remembered at least.
    pub memory_seconds: u64,
}

impl Rules {
    /// The rules that the settings choose.
    #[must_use]
    pub fn of(settings: &Settings) -> Self {
        Self {
            ownership: settings.ownership,
            policy: settings.policy,
            stopped: settings.stopped,
            memory_seconds: MEMORY_SECONDS.max(settings.deadline.as_secs()),
        }
    }

    /// Whether writes are planned and never sent.
    #[must_use]
    pub fn is_dry_run(&self) -> bool {
        self.policy == Policy::Observe
    }

    /// Whether record sets and values may be removed.
    fn may_remove(&self) -> bool {
        matches!(self.policy, Policy::Sync | Policy::Observe)
    }

    /// Whether an A record set remembers the addresses that it held.
    fn remembers(&self) -> bool {
        self.policy != Policy::UpsertOnly
    }
}

/// What a decision is about.
#[derive(Clone, Debug)]
pub struct Goal {
    /// The container group.
    pub id: ContainerGroupId,
    /// The mark of its record sets.
    pub owner: Owner,
    /// The relative name that it has without a tag.
    pub own_name: RelativeName,
    /// The zones that serve it.
    pub zones: Zones,
    /// Where else to look.
    pub lookups: ExtraLookups,
    /// What is to be found out or done.
    pub purpose: Purpose,
}

/// What a decision is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The record sets become what the live group calls for.
    Reconcile,
    /// The record sets are compared with what the live group calls for. No step writes.
    Compare,
}

/// What else is known to matter for a group, beyond what its own records lead to: found where whole zones were
/// listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtraLookups {
    /// Addresses whose PTR record set says the group's name or carries its mark.
    pub addresses: BTreeSet<Ipv4Addr>,
    /// Names in the forward zone whose A record set carries its mark.
    pub names: BTreeSet<RelativeName>,
}

impl Goal {
    /// A goal for one container group.
    #[must_use]
    pub fn new(id: &ContainerGroupId, zones: Zones, lookups: ExtraLookups, purpose: Purpose) -> Self {
        Self { id: id.clone(), owner: Owner::from(id), own_name: own_name(id), zones, lookups, purpose }
    }

    /// The record set that a change is about, or nothing where it lies outside of the goal's zones.
    #[must_use]
    pub fn key_of(&self, change: &Change) -> Option<Key> {
        match change {
            Change::A(edit) => Some(Key::A(edit.name.clone())),
            Change::Ptr(edit) => {
                let zone = self.zones.reverse.iter().position(|zone| *zone.zone() == edit.zone)?;
                let address = self.zones.reverse.get(zone)?.address(&edit.name)?;
                Some(Key::Ptr(PtrKey { address, zone, name: edit.name.clone() }))
            }
        }
    }

    /// The PTR record set of an address, or nothing where no reverse zone contains it.
    fn ptr_key(&self, address: Ipv4Addr) -> Option<PtrKey> {
        let (in_zone, name) = self.zones.reverse_name(address)?;
        let zone = self.zones.reverse.iter().position(|zone| zone.zone() == in_zone)?;
        Some(PtrKey { address, zone, name })
    }
}

/// What to do next, and what is known so far.
#[derive(Clone, Debug)]
pub struct Decision {
    /// What to do next.
    pub step: Step,
    /// Which name the group should have, and at which address it is reached.
    pub target: Option<Target>,
    /// The changes that the policy forbids.
    pub withheld: Vec<Change>,
}

/// The name that a group should have, and its live address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target {
    /// The fully qualified name.
    pub fqdn: DomainName,
    /// The address, where the group has one.
    pub address: Option<Ipv4Addr>,
}

/// What to do next.
#[derive(Clone, Debug)]
pub enum Step {
    /// Send these writes and these reads together, and learn all answers.
    Act {
        /// What to read, in the order in which the requests are sent.
        read: Vec<Key>,
        /// What to write.
        write: Vec<Change>,
    },
    /// The address is being assigned: pause, then read the group again.
    Poll,
    /// Everything is written: read the group and its A record set again.
    Verify,
    /// What was read is outdated: forget it and start another pass.
    Repeat,
    /// Nothing is left to do.
    Done(Verdict),
}

/// What became of the goal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The record sets are right.
    Right(Right),
    /// The group is not managed, or not now.
    Unmanaged(Unmanaged),
    /// What the comparison found.
    Compared(Drift),
    /// DNS could not be made right.
    Failed(PlanError),
}

/// In which way the record sets are right.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// They name this address.
    Named(Ipv4Addr),
    /// There are none, and there should be none.
    Absent,
    /// The group is stopped, and its records are kept.
    Kept,
}

/// Why a group is not managed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unmanaged {
    /// A tag says so.
    #[error("tagged to be ignored")]
    Ignored,
    /// It has a public address.
    #[error("the address is public")]
    Public,
    /// It runs without an address.
    #[error("runs without an ipAddress (deployed without ports), so there is no address to publish")]
    NoAddress,
    /// It does not exist. Only a comparison says so, here and below.
    #[error("there is no such container group")]
    Deleted,
    /// It is being deleted.
    #[error("the container group is being deleted")]
    Deleting,
    /// Its address is not assigned yet.
    #[error("its address is not assigned yet")]
    Pending,
    /// It is stopped.
    #[error("it is stopped and has released its address")]
    Released,
}

/// Why DNS could not be made right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// A tag of the group cannot be read.
    Tag(TagError),
    /// The name belongs to another owner, or the A record set cannot remember more addresses.
    Refused(Refusal),
    /// A PTR record set at the group's address belongs to another owner.
    PtrConflict(Conflict),
    /// No reverse zone contains the live address.
    NoReverseZone {
        /// The live address.
        address: Ipv4Addr,
        /// The group's name.
        fqdn: DomainName,
    },
    /// Azure has not assigned an address yet.
    AddressPending,
    /// Each of [`MAX_PASSES`] passes met another writer, or lost an answer.
    LostRaces,
    /// The request for this failed.
    Request(Key),
}

/// What the group's records become.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DesiredAction {
    /// They name this address.
    Point(Ipv4Addr),
    /// They are removed: all of them, or only those that carry our mark.
    Remove { is_marked_only: bool },
    /// They stay as they are.
    Keep,
    /// Nothing can be said yet.
    Wait,
    /// The group has no address to publish.
    NoAddress,
}

/// Decides the next step. Pure and total.
#[must_use]
pub fn decide(rules: Rules, goal: &Goal, facts: &Facts) -> Decision {
    let mut decider = Decider { rules, goal, facts, target: None, withheld: Vec::new() };
    let step = decider.step().unwrap_or_else(|step| step);
    Decision { step, target: decider.target, withheld: decider.withheld }
}

/// One decision in the making. A rule that needs a fact, or something written, ends the decision early: its `Err` is
/// the step.
struct Decider<'a> {
    rules: Rules,
    goal: &'a Goal,
    facts: &'a Facts,
    target: Option<Target>,
    withheld: Vec<Change>,
}

impl<'a> Decider<'a> {
    fn step(&mut self) -> Result<Step, Step> {
        if self.facts.pass.outdated.is_some() {
            return Err(self.repeat());
        }
        let (observation, own) = self.observe()?;
        if self.goal.purpose == Purpose::Compare {
            return self.compare(observation, own);
        }
        let desired = match &observation.desired {
            Err(error) => return Err(failed(PlanError::Tag(error.clone()))),
            Ok(None) => return Ok(unmanaged(Unmanaged::Ignored)),
            Ok(Some(desired)) => Arc::clone(desired),
        };
        let action = self.action(observation.state);
        let address = if let DesiredAction::Point(address) = action { Some(address) } else { None };
        self.target = Some(Target { fqdn: desired.fqdn(), address });
        self.verify(action, &desired)?;
        match action {
            DesiredAction::Point(address) => {
                self.point(&desired, address)?;
                Ok(right(Right::Named(address)))
            }
            DesiredAction::Remove { is_marked_only } => {
                self.remove(&desired, is_marked_only)?;
                Ok(if is_marked_only { unmanaged(Unmanaged::Public) } else { right(Right::Absent) })
            }
            DesiredAction::Keep => Ok(right(Right::Kept)),
            DesiredAction::Wait | DesiredAction::NoAddress if !self.facts.run.wait_left.is_zero() => {
                Ok(Step::Poll)
            }
            DesiredAction::Wait => Ok(failed(PlanError::AddressPending)),
            DesiredAction::NoAddress => Ok(unmanaged(Unmanaged::NoAddress)),
        }
    }

    /// The group and the A record set at its own name, read together. A verification reads the A record set at the
    /// name that counts along.
    fn observe(&self) -> Result<(&'a Observation, Option<&'a ARecordSet>), Step> {
        let mut lookup = Lookup::new(self.facts);
        if let Some(expected) = &self.facts.pass.expected {
            lookup.group();
            _ = expected.a.as_ref().map(|(name, _)| lookup.a(name));
        }
        // The record set first: where Azure throttles the reads of its zone, the group is not read in vain.
        let (own, group) = (lookup.a(&self.goal.own_name), lookup.group());
        lookup.finish()?;
        let (Some(own), Some(group)) = (own, group) else { return Err(Step::Repeat) };
        Ok((group, own))
    }

    fn action(&self, state: AddressState) -> DesiredAction {
        match state {
            AddressState::Deleted | AddressState::Deleting => DesiredAction::Remove { is_marked_only: false },
            AddressState::Public => DesiredAction::Remove { is_marked_only: true },
            AddressState::Released => match self.rules.stopped {
                Stopped::Remove => DesiredAction::Remove { is_marked_only: false },
                Stopped::Keep => DesiredAction::Keep,
            },
            AddressState::Running(address) => DesiredAction::Point(address),
            AddressState::Pending => DesiredAction::Wait,
            AddressState::NoAddress => DesiredAction::NoAddress,
        }
    }

    /// Ends a verification that shows something else than what the writes of this pass rested on.
    fn verify(&self, action: DesiredAction, desired: &Desired) -> Result<(), Step> {
        let Some(expected) = &self.facts.pass.expected else { return Ok(()) };
        let is_same_action = self.action(expected.observation.state) == action;
        let is_same = match &expected.a {
            None => is_same_action,
            Some((name, etag)) => {
                let set =
                    self.facts.pass.a.get(name).and_then(|read| read.as_ref().ok()).and_then(Option::as_ref);
                let is_same_desired =
                    matches!(&expected.observation.desired, Ok(Some(before)) if **before == *desired);
                is_same_action && is_same_desired && set.map(|set| &set.etag) == etag.as_ref()
            }
        };
        if is_same { Ok(()) } else { Err(self.repeat()) }
    }

    /// Ends a pass that is done with its writes: verifies them, where some were sent and are not verified yet.
    fn finish(&self) -> Result<(), Step> {
        let pass = &self.facts.pass;
        if pass.has_written && pass.expected.is_none() { Err(Step::Verify) } else { Ok(()) }
    }

    fn repeat(&self) -> Step {
        if self.facts.run.outdated_passes + 1 < MAX_PASSES {
            Step::Repeat
        } else {
            failed(PlanError::LostRaces)
        }
    }

    /// The writes of one step of a pass, or nothing where all of them are done. No write follows a failed one.
    fn write(&self, changes: impl IntoIterator<Item = Change>) -> Result<(), Step> {
        if !self.facts.pass.failed_writes.is_empty() {
            return Ok(());
        }
        let is_due =
            |change: &Change| self.goal.key_of(change).is_some_and(|key| !self.facts.is_written(&key));
        let write: Vec<Change> = changes.into_iter().filter(is_due).collect();
        if write.is_empty() { Ok(()) } else { Err(Step::Act { read: Vec::new(), write }) }
    }

    /// Ends a pass in which requests failed, with the failure that decides the answer: one that a retry may fix before
    /// one that needs a person, because the retry reports the other.
    fn check_failures(&self, failures: impl Iterator<Item = (Key, FailureKind)>) -> Result<(), Step> {
        let all = failures.chain(self.facts.pass.failed_writes.iter().cloned());
        let most_severe = all.max_by_key(|(_, kind)| match kind {
            FailureKind::Race | FailureKind::Uncertain | FailureKind::Transient => 1,
            FailureKind::Forbidden | FailureKind::Missing | FailureKind::Refused => 0,
        });
        most_severe.map_or(Ok(()), |(key, _)| Err(failed(PlanError::Request(key))))
    }

    /// The A record sets of ours under other names than the one that counts, and the names that have none.
    fn other_names(&self, desired: &Desired) -> OtherNames {
        let mut names = OtherNames::default();
        for (name, read) in self.facts.pass.a.iter().filter(|(name, _)| **name != desired.name) {
            match read {
                Ok(Some(set)) if is_ours(set, desired) => _ = names.marked.insert(name.clone(), set.clone()),
                Ok(None) => _ = names.vanished.insert(name.clone()),
                Ok(Some(_)) | Err(_) => {}
            }
        }
        names
    }
}

/// What other names than the one that counts stand for.
#[derive(Default)]
struct OtherNames {
    /// The A record sets that carry our mark.
    marked: BTreeMap<RelativeName, ARecordSet>,
    /// The names that have no A record set.
    vanished: BTreeSet<RelativeName>,
}

impl OtherNames {
    /// The names that count as ours in PTR records. `own` is the name that counts, where it is ours; what this
    /// invocation removed was ours.
    fn names(&self, desired: &Desired, facts: &Facts, own: Option<&RelativeName>) -> Names {
        let qualify = |name: &RelativeName| name.within(&desired.zones.forward.name);
        Names {
            held: self.marked.keys().chain(&facts.run.removed_names).chain(own).map(qualify).collect(),
            vanished: self.vanished.iter().map(qualify).collect(),
        }
    }
}

/// Looks facts up, and collects the reads that are missing.
struct Lookup<'a> {
    facts: &'a Facts,
    /// Without duplicates.
    missing: Vec<Key>,
    failed: Option<Key>,
}

impl<'a> Lookup<'a> {
    fn new(facts: &'a Facts) -> Self {
        Self { facts, missing: Vec::new(), failed: None }
    }

    fn group(&mut self) -> Option<&'a Observation> {
        let read = self.facts.pass.group.as_ref().map(Result::as_ref);
        self.known(read, || Key::Group)
    }

    #[expect(clippy::option_option, reason = "unknown, absent and present are three cases")]
    fn a(&mut self, name: &RelativeName) -> Option<Option<&'a ARecordSet>> {
        let read = self.facts.pass.a.get(name).map(|read| read.as_ref().map(Option::as_ref));
        self.known(read, || Key::A(name.clone()))
    }

    fn a_list(&mut self) -> Option<&'a [(RelativeName, ARecordSet)]> {
        let read = self.facts.pass.a_list.as_ref().map(|read| read.as_deref());
        self.known(read, || Key::AList)
    }

    /// Whether the other group that a mark names is deleted.
    fn owner(&mut self, owner: &Owner) -> Option<bool> {
        let read = self.facts.owner(owner);
        self.known(read.as_ref().map(Result::as_ref), || Key::Owner(owner.clone())).copied()
    }

    /// Asks for the PTR record set of an address. A failure is collected elsewhere.
    fn ptr(&mut self, goal: &Goal, address: Ipv4Addr) {
        if let Some(key) = goal.ptr_key(address).filter(|key| !self.facts.pass.ptr.contains_key(key)) {
            self.miss(Key::Ptr(key));
        }
    }

    /// Asks for the lists of all reverse zones. Failures are collected elsewhere.
    fn ptr_lists(&mut self, goal: &Goal) {
        let zones =
            (0..goal.zones.reverse.len()).filter(|zone| !self.facts.pass.ptr_lists.contains_key(zone));
        self.missing.extend(zones.map(Key::PtrList));
    }

    fn known<Value, Error>(
        &mut self,
        read: Option<Result<Value, Error>>,
        key: impl FnOnce() -> Key,
    ) -> Option<Value> {
        match read {
            Some(Ok(value)) => return Some(value),
            Some(Err(_)) if self.failed.is_none() => self.failed = Some(key()),
            Some(Err(_)) => {}
            None => self.miss(key()),
        }
        None
    }

    fn miss(&mut self, key: Key) {
        if !self.missing.contains(&key) {
            self.missing.push(key);
        }
    }

    /// Ends the decision where something is missing, or could not be read.
    fn finish(self) -> Result<(), Step> {
        match self {
            Self { failed: Some(key), .. } => Err(failed(PlanError::Request(key))),
            Self { missing, .. } if missing.is_empty() => Ok(()),
            Self { missing, .. } => Err(Step::Act { read: missing, write: Vec::new() }),
        }
    }
}

/// The addresses that an A record set holds or remembers.
fn addresses_of(record_set: &ARecordSet) -> impl Iterator<Item = Ipv4Addr> + use<> {
    let memory = RecordSet::memory(record_set);
    let held = record_set.content.records.clone();
    held.into_iter().chain(memory.addresses().collect::<Vec<_>>())
}

fn is_ours<Record>(set: &RecordSet<Record>, desired: &Desired) -> bool {
    OwnerMark::of(set, &desired.owner) == OwnerMark::Ours
}

fn failed(error: PlanError) -> Step {
    Step::Done(Verdict::Failed(error))
}

fn right(right: Right) -> Step {
    Step::Done(Verdict::Right(right))
}

fn unmanaged(reason: Unmanaged) -> Step {
    Step::Done(Verdict::Unmanaged(reason))
}
