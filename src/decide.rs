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
//! * Nothing of a live name is removed, emptied or taken from another owner because of a single read.
//! * An existing group: the A record set with its memory first, then PTR record sets, then the forgetting.
//! * A deleted group: PTR record sets first, the A record set last, because its memory exists as long as it does.
//! * A failed write ends the pass: no later write is sent. A refused delete is no failure: the record set is emptied.
//!   A clash says that the name is another's: what a conflict leaves to do is done.
//! * What was written is verified: the group and the A record set are read again and have to be as they were.

mod drift;
mod facts;
mod forward;
mod live;
mod lookup;
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

use self::lookup::Lookup;
pub use self::{
    drift::compare,
    facts::{Fact, Facts, Key, MAX_PASSES, Observation, PtrKey, Read, RunState, WriteResult},
    forward::{ObservedA, forget, forward, removals},
    ownership::{Conflict, OwnerMark, OwnerObservation, unmarked_conflict},
    reverse::{Names, ObservedPtr, OtherHolder, RemovalScope, ReversePlan},
};
use crate::{
    change::{Change, Edit},
    config::{Ownership, Policy, Settings, Stopped, Takeover, ZoneMap, Zones},
    container_group::AddressState,
    desired::{Desired, TagError, own_name},
    dns::{ARecordSet, Content, DomainName, MEMORY_SECONDS, Owner, PREVIOUS_KEY, RecordSet, RelativeName},
    failure::FailureKind,
    report::Drift,
    resource_id::ContainerGroupId,
};

/// What an operator decided for the record sets of one container group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// What happens to record sets without a mark.
    pub ownership: Ownership,
    /// Whether an unmarked record set is taken over at a name that a tag chose: only an operator does so.
    pub adopts_tagged: bool,
    /// What may be written.
    pub policy: Policy,
    /// What happens to the records of a stopped group.
    pub stopped: Stopped,
    /// For how many seconds an address is remembered at least.
    pub memory_seconds: u64,
}

impl Rules {
    /// The rules of the map's entry, and what the command line overrides.
    #[must_use]
    pub fn of(settings: &Settings, zones: &Zones) -> Self {
        let (ownership, adopts_tagged, policy) = match settings.takeover {
            Takeover::AsConfigured => (zones.ownership, false, zones.policy),
            Takeover::Never => (Ownership::Strict, false, zones.policy),
            Takeover::All => (Ownership::Adopt, true, zones.policy),
            Takeover::MarksOnly => (Ownership::Adopt, true, Policy::AdoptOnly),
        };
        let memory_seconds = MEMORY_SECONDS.max(settings.deadline.as_secs());
        Self { ownership, adopts_tagged, policy, stopped: settings.stopped, memory_seconds }
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
    /// The whole map: it says which name another group should have.
    pub map: Arc<ZoneMap>,
    /// Where else to look.
    pub lookups: ExtraLookups,
    /// What is to be found out or done.
    pub purpose: Purpose,
    /// How much evidence a "not found" has already.
    pub evidence: Evidence,
}

/// How much a "not found" of the group proves. New resources can answer 404 for some time, in another region for
/// minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evidence {
    /// Nothing: the group may not be visible yet.
    #[default]
    None,
    /// That there is nothing to do, where no record set carries the group's mark: after an event that may have
    /// ended with the group's absence.
    Absence,
    /// That the group is deleted, once a confirmation says so too: after a delete event, an old event, or in a sweep.
    Deletion,
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
    /// A goal for one container group of the map, or nothing where no entry manages it.
    #[must_use]
    pub fn new(id: &ContainerGroupId, map: &Arc<ZoneMap>, purpose: Purpose) -> Option<Self> {
        Some(Self {
            id: id.clone(),
            owner: Owner::from(id),
            own_name: own_name(id),
            zones: map.serving(id)?,
            map: Arc::clone(map),
            lookups: ExtraLookups::default(),
            purpose,
            evidence: Evidence::None,
        })
    }

    /// The record set that a change is about, or nothing where it lies outside of the goal's zones.
    #[must_use]
    pub fn key_of(&self, change: &Change) -> Option<Key> {
        match change {
            Change::A(edit) => Some(Key::A(edit.name.clone())),
            Change::Ptr(edit) => {
                let zone = self.zones.reverse.iter().position(|zone| *zone.zone() == edit.zone)?;
                let address = self.zones.reverse.get(zone)?.address(&edit.name);
                Some(Key::Ptr(PtrKey { address, zone, name: edit.name.clone() }))
            }
        }
    }

    /// The PTR record set of an address, or nothing where no reverse zone contains it.
    fn ptr_key(&self, address: Ipv4Addr) -> Option<PtrKey> {
        let (in_zone, name) = self.zones.reverse_name(address)?;
        let zone = self.zones.reverse.iter().position(|zone| zone.zone() == in_zone)?;
        Some(PtrKey { address: Some(address), zone, name })
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
    #[error("its address is public")]
    Public,
    /// It waits in a standby pool.
    #[error("it waits in a standby pool (PreProvisioned)")]
    StandbyPool,
    /// Its deployment failed, and it has no address.
    #[error("its provisioning failed, and it has no address")]
    ProvisioningFailed,
    /// It runs without an address.
    #[error("it runs without an ipAddress (deployed without ports), so there is no address to publish")]
    NoAddress,
    /// It does not exist. Only a comparison says so, here and below.
    #[error("there is no such container group")]
    Deleted,
    /// It is being deleted.
    #[error("it is being deleted")]
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
    /// The name belongs to another owner.
    Conflict(Conflict),
    /// A PTR record set at the group's address belongs to another owner.
    PtrConflict(Conflict),
    /// Likewise, and the other owner is being provisioned.
    HolderPending(Conflict),
    /// The address lies outside of the ranges of the map.
    AddressRefused {
        /// The live address.
        address: Ipv4Addr,
        /// The group's name.
        fqdn: DomainName,
    },
    /// No reverse zone contains the live address.
    NoReverseZone {
        /// The live address.
        address: Ipv4Addr,
        /// The group's name.
        fqdn: DomainName,
    },
    /// Azure has not assigned an address yet.
    AddressPending,
    /// The group is being deleted.
    Deleting,
    /// The group answers 404, and may not be visible yet.
    NotVisible,
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
    /// The A record set is emptied and reserves the name; the PTR values are removed.
    Reserve,
    /// They are removed, with enough evidence.
    RemoveDeleted,
    /// They are removed where they carry our mark.
    RemovePublic,
    /// They stay as they are, on purpose.
    Keep,
    /// Nothing can be said yet.
    Wait,
    /// The group is being deleted.
    WaitForDeletion,
    /// The group is not managed. Waiting may show an address.
    Unmanaged(Unmanaged),
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
        let desired = desired(observation)?;
        let action = self.action(observation.state);
        let address = if let DesiredAction::Point(address) = action { Some(address) } else { None };
        self.target = Some(Target { fqdn: desired.fqdn(), address });
        self.verify(action, &desired)?;
        match action {
            DesiredAction::Point(address) => {
                self.keep(&desired, action, Some(address))?;
                Ok(right(Right::Named(address)))
            }
            DesiredAction::Reserve => {
                self.keep(&desired, action, None)?;
                Ok(right(Right::Absent))
            }
            DesiredAction::RemoveDeleted => {
                self.remove(&desired, action)?;
                Ok(right(Right::Absent))
            }
            DesiredAction::RemovePublic => {
                self.remove(&desired, action)?;
                Ok(unmanaged(Unmanaged::Public))
            }
            DesiredAction::Keep => Ok(right(Right::Kept)),
            DesiredAction::Unmanaged(Unmanaged::StandbyPool) => Ok(unmanaged(Unmanaged::StandbyPool)),
            _ if !self.facts.run.wait_left.is_zero() => Ok(Step::Poll),
            DesiredAction::Wait => Ok(failed(PlanError::AddressPending)),
            DesiredAction::WaitForDeletion => Ok(failed(PlanError::Deleting)),
            DesiredAction::Unmanaged(reason) => Ok(unmanaged(reason)),
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
        // The record set first: where Azure throttles the reads of its zone, the read of the group is not sent.
        let (own, group) = (lookup.a(&self.goal.own_name), lookup.group());
        lookup.finish()?;
        let (Some(own), Some(group)) = (own, group) else { return Err(Step::Repeat) };
        Ok((group, own))
    }

    fn action(&self, state: AddressState) -> DesiredAction {
        match state {
            AddressState::Deleted => DesiredAction::RemoveDeleted,
            AddressState::Public => DesiredAction::RemovePublic,
            AddressState::StandbyPool => DesiredAction::Unmanaged(Unmanaged::StandbyPool),
            AddressState::Released => match self.rules.stopped {
                Stopped::Remove => DesiredAction::Reserve,
                Stopped::Keep => DesiredAction::Keep,
            },
            AddressState::Running(address) => DesiredAction::Point(address),
            AddressState::Pending => DesiredAction::Wait,
            AddressState::Deleting => DesiredAction::WaitForDeletion,
            AddressState::ProvisioningFailed => DesiredAction::Unmanaged(Unmanaged::ProvisioningFailed),
            AddressState::NoAddress => DesiredAction::Unmanaged(Unmanaged::NoAddress),
        }
    }

    /// The group read once more says the same: before anything of a live name is removed or emptied. What else is
    /// missing is read along.
    fn confirm<'l>(
        &self,
        action: DesiredAction,
        desired: &Desired,
        mut lookup: Lookup<'l>,
    ) -> Result<Lookup<'l>, Step> {
        let seen = lookup.confirmation();
        let Some(seen) = seen else { return Err(lookup.step()) };
        let is_same = self.action(seen.state) == action
            && matches!(&seen.desired, Ok(Some(again)) if **again == *desired);
        if is_same { Ok(lookup) } else { Err(self.repeat()) }
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
        let write: Vec<Change> = changes.into_iter().filter_map(|change| self.due(change)).collect();
        if write.is_empty() { Ok(()) } else { Err(Step::Act { read: Vec::new(), write }) }
    }

    /// A change, unless this pass made it already. What Azure refused to delete is emptied instead.
    fn due(&self, change: Change) -> Option<Change> {
        let key = self.goal.key_of(&change)?;
        if self.facts.is_written(&key) {
            return None;
        }
        match change {
            change if !change.is_deletion() || !self.facts.run.refused_deletes.contains(&key) => Some(change),
            Change::A(edit) => emptied(&edit).map(Change::A),
            Change::Ptr(edit) => emptied(&edit).map(Change::Ptr),
        }
    }

    fn is_any_due(&self, changes: &[Change]) -> bool {
        changes.iter().any(|change| self.due(change.clone()).is_some())
    }

    /// Ends a pass in which requests failed, with the failure that decides the answer: one that a retry may fix before
    /// one that needs a person, because the retry reports the other.
    fn check_failures(&self, failures: impl Iterator<Item = (Key, FailureKind)>) -> Result<(), Step> {
        let all = failures.chain(self.facts.pass.failed_writes.iter().cloned());
        let most_severe = all.max_by_key(|(_, kind)| match kind {
            FailureKind::Race | FailureKind::Uncertain | FailureKind::Transient => 1,
            FailureKind::Forbidden | FailureKind::Missing | FailureKind::Refused | FailureKind::Clash => 0,
        });
        most_severe.map_or(Ok(()), |(key, _)| Err(failed(PlanError::Request(key))))
    }

    /// The A record sets of ours under other names than the one that counts. One that was emptied because Azure refuses
    /// to delete it counts as removed.
    fn old_names(&self, desired: &Desired) -> BTreeMap<RelativeName, ARecordSet> {
        let others = self.facts.pass.a.iter().filter(|(name, _)| **name != desired.name);
        let marked = others.filter_map(|(name, read)| Some((name, read.as_ref().ok()?.as_ref()?)));
        let is_left = |set: &ARecordSet| addresses_of(set).next().is_some();
        let left = marked.filter(|(_, set)| is_ours(set, desired) && is_left(set));
        left.map(|(name, set)| (name.clone(), set.clone())).collect()
    }

    /// The names that count as ours in PTR records, but for the one that the group should have.
    fn names(&self, desired: &Desired) -> Names {
        let qualify = |name: &RelativeName| name.within(&desired.zones.forward.name);
        let mut names = Names { former_zones: desired.zones.former_zones.clone(), ..Names::default() };
        names.held.extend(self.facts.run.removed_names.iter().map(qualify));
        let is_anothers =
            |set: &ARecordSet| matches!(OwnerMark::of(set, &desired.owner), OwnerMark::Other(_));
        for (name, read) in self.facts.pass.a.iter().filter(|(name, _)| **name != desired.name) {
            match read {
                Ok(Some(set)) if is_ours(set, desired) => _ = names.held.insert(qualify(name)),
                Ok(None) => _ = names.own.insert(qualify(name)),
                // Another group took the name over: a PTR record of ours that still says it is false.
                Ok(Some(set)) if *name == self.goal.own_name && is_anothers(set) => {
                    _ = names.own.insert(qualify(name));
                }
                Ok(Some(_)) | Err(_) => {}
            }
        }
        names
    }
}

/// The addresses that an A record set holds or remembers.
fn addresses_of(record_set: &ARecordSet) -> impl Iterator<Item = Ipv4Addr> + use<> {
    let memory = RecordSet::memory(record_set);
    let held = record_set.content.records.clone();
    held.into_iter().chain(memory.addresses().collect::<Vec<_>>())
}

/// What a removal leaves where Azure refuses to delete: the record set, empty, with its mark. Nothing where it is so
/// already.
fn emptied<Record: Clone>(edit: &Edit<Record>) -> Option<Edit<Record>> {
    let before = edit.before.as_ref()?;
    let mut metadata = before.content.metadata.clone();
    metadata.remove(PREVIOUS_KEY);
    let is_done = before.content.records.is_empty() && before.content.metadata == metadata;
    let content = Content { ttl: before.content.ttl, records: Vec::new(), metadata };
    (!is_done).then(|| Edit { after: Some(content), ..edit.clone() })
}

/// What the record sets of an observed group should be. A group that is tagged to be ignored, or whose tags cannot be
/// read, ends the decision.
fn desired(observation: &Observation) -> Result<Arc<Desired>, Step> {
    match &observation.desired {
        Ok(Some(desired)) => Ok(Arc::clone(desired)),
        Ok(None) => Err(unmanaged(Unmanaged::Ignored)),
        Err(error) => Err(failed(PlanError::Tag(error.clone()))),
    }
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
