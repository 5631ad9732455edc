//! The decision: from the facts about a container group and its record sets to the reads, the writes, or the
//! verdict. This is the only place that decides ownership, policy, and the order of reads and writes.
//!
//! [`decide`] is pure and total: no clock, no I/O, no panic. The driver ([`crate::driver`]) executes one
//! [`Step`], lets the [`Facts`] learn the answers, and repeats until the step is a verdict. Events, sweeps
//! over lists, dry runs and the drift tracker use the same function; they differ in their [`Goal`] and in the
//! reader.
//!
//! Rules of every step:
//!
//! * A write rests on known facts only. The one read that may still be missing is that of the PTR record
//!   sets, while the A record set is written.
//! * No record set of a live name is removed, emptied or taken from another owner because of a single read.
//! * An existing group: first the A record set with its previous addresses, then PTR record sets, then the
//!   forgetting.
//! * A deleted group: first PTR record sets, last the A record set, because that contains the previous
//!   addresses.
//! * A failed write ends the pass: no later write is sent. A refused delete is not a failure: the record set
//!   is emptied. A clash shows that the name is foreign, so the rest of the pass is that of a conflict.
//! * Writes are verified: the group and the A record set are read again and must be unchanged.

mod drift;
mod facts;
mod forward;
mod live;
mod lookup;
mod ownership;
mod removal;
mod reverse;
mod secret;
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
    ownership::{Conflict, OwnerMark, OwnerObservation, OwnerSecret, unmarked_conflict},
    reverse::{Names, ObservedPtr, OtherHolder, RemovalScope, ReversePlan},
    secret::{SecretConflict, SecretError, SecretStep, SecretVerdict},
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

/// The settings for the record sets of one container group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The treatment of record sets without a mark.
    pub ownership: Ownership,
    /// Whether an unmarked record set at a name that a tag chose is taken over: only on request of an
    /// operator.
    pub adopts_tagged: bool,
    /// What may be written.
    pub policy: Policy,
    /// The treatment of the records of a stopped group.
    pub stopped: Stopped,
    /// How long a previous address is kept at least, in seconds.
    pub memory_seconds: u64,
}

impl Rules {
    /// The rules of the map's entry, with the overrides of the command line.
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

    /// Whether an A record set stores its previous addresses.
    fn remembers(&self) -> bool {
        self.policy != Policy::UpsertOnly
    }
}

/// The subject of a decision.
#[derive(Clone, Debug)]
pub struct Goal {
    /// The container group.
    pub id: ContainerGroupId,
    /// The owner mark of its record sets.
    pub owner: Owner,
    /// Its relative name without a tag.
    pub own_name: RelativeName,
    /// The zones that serve it.
    pub zones: Zones,
    /// The whole map, for the name that another group should have.
    pub map: Arc<ZoneMap>,
    /// Extra lookups.
    pub lookups: ExtraLookups,
    /// The purpose of the decision.
    pub purpose: Purpose,
    /// How much evidence a 404 has already.
    pub evidence: Evidence,
}

/// How much a 404 of the group proves. A new resource may answer 404 for some time, in another region for
/// minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evidence {
    /// Nothing: the group may not be visible yet.
    #[default]
    None,
    /// If no record set carries the group's mark, there is nothing to do: after an event that may have ended
    /// with the group's absence.
    Absence,
    /// The group is deleted, if a confirmation agrees: after a delete event, an old event, or in a sweep.
    Deletion,
}

/// The purpose of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The record sets become the desired ones.
    Reconcile,
    /// The record sets are compared with the desired ones. No step writes.
    Compare,
    /// Only the secret is reconciled: the zones are throttled.
    Publish,
}

/// Further lookups for a group that a list of whole zones suggests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtraLookups {
    /// Addresses whose PTR record set names the group or carries its mark.
    pub addresses: BTreeSet<Ipv4Addr>,
    /// Names in the forward zone whose A record set carries its mark.
    pub names: BTreeSet<RelativeName>,
}

impl Goal {
    /// The goal for a container group of the map; `None` if no entry manages it.
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

    /// The record set of a change; `None` if it is outside of the goal's zones.
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

    /// The PTR record set of an address; `None` if no reverse zone contains the address.
    fn ptr_key(&self, address: Ipv4Addr) -> Option<PtrKey> {
        let (in_zone, name) = self.zones.reverse_name(address)?;
        let zone = self.zones.reverse.iter().position(|zone| zone.zone() == in_zone)?;
        Some(PtrKey { address: Some(address), zone, name })
    }
}

/// The next step, and the results so far.
#[derive(Clone, Debug)]
pub struct Decision {
    /// The next step.
    pub step: Step,
    /// The next step for the secret, which is carried out at the same time.
    pub secret: SecretStep,
    /// The name of the group and its live address.
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

/// The next step.
#[derive(Clone, Debug)]
pub enum Step {
    /// Send these writes and these reads together, and learn all answers.
    Act {
        /// What to read, in the order in which the requests are sent.
        read: Vec<Key>,
        /// What to write.
        write: Vec<Change>,
    },
    /// The address is being assigned: wait, then read the group again.
    Poll,
    /// All writes are done: read the group and its A record set again.
    Verify,
    /// The facts are outdated: forget them and start another pass.
    Repeat,
    /// The decision is final.
    Done(Verdict),
}

/// The result.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The record sets are correct.
    Right(Right),
    /// The group is not managed, or not now.
    Unmanaged(Unmanaged),
    /// The result of the comparison.
    Compared(Drift),
    /// The record sets could not be corrected.
    Failed(PlanError),
}

/// The way in which the record sets are correct.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// They name this address.
    Named(Ipv4Addr),
    /// There are none (expected).
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
    /// It is in a standby pool.
    #[error("it is in a standby pool (PreProvisioned)")]
    StandbyPool,
    /// Its deployment failed, and it has no address.
    #[error("its provisioning failed, and it has no address")]
    ProvisioningFailed,
    /// It runs without an address.
    #[error("it runs without an ipAddress (deployed without ports), so there is no address to publish")]
    NoAddress,
    /// It does not exist. This reason and the following ones occur in comparisons only.
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

/// Why the record sets could not be corrected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PlanError {
    /// A tag of the group is invalid.
    Tag(TagError),
    /// The name belongs to another owner.
    Conflict(Conflict),
    /// A PTR record set at the group's address belongs to another owner.
    PtrConflict(Conflict),
    /// Like `PtrConflict`, but the other owner is being provisioned.
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
    /// The group answers 404 and may not be visible yet.
    NotVisible,
    /// Each of [`MAX_PASSES`] passes lost a race or an answer.
    LostRaces,
    /// This request failed.
    Request(Key),
}

/// The treatment of the group's records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum DesiredAction {
    /// They name this address.
    Point(Ipv4Addr),
    /// The A record set is emptied and reserves the name; the PTR values are removed.
    Reserve,
    /// They are removed, with enough evidence.
    RemoveDeleted,
    /// They are removed if they carry our mark.
    RemovePublic,
    /// They do not change, on purpose.
    Keep,
    /// Nothing can be decided yet.
    Wait,
    /// The group is being deleted.
    WaitForDeletion,
    /// The group is not managed, unless a wait shows an address.
    Unmanaged(Unmanaged),
}

/// Decides the next step. Pure and total.
#[must_use]
pub fn decide(rules: Rules, goal: &Goal, facts: &Facts) -> Decision {
    let mut decider = Decider { rules, goal, facts, target: None, withheld: Vec::new() };
    let step = match goal.purpose {
        Purpose::Publish => right(Right::Kept),
        Purpose::Reconcile | Purpose::Compare => decider.step().unwrap_or_else(|step| step),
    };
    let secret = decider.secret(matches!(step, Step::Done(_)));
    Decision { step, secret, target: decider.target, withheld: decider.withheld }
}

/// The state of one decision. A rule that needs a fact or a write ends the decision early: its `Err` is the
/// step.
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

    /// The group and the A record set at its own name, read together. A verification also reads the A record
    /// set at the effective name.
    fn observe(&self) -> Result<(&'a Observation, Option<&'a ARecordSet>), Step> {
        let mut lookup = Lookup::new(self.facts);
        if let Some(expected) = &self.facts.pass.expected {
            lookup.group();
            _ = expected.a.as_ref().map(|(name, _)| lookup.a(name));
        }
        // The record set first: if Azure throttles its zone, the read of the group is not sent.
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

    /// A second read of the group agrees. Required before any record of a live name is removed or emptied.
    /// Other missing facts are read together with it.
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

    /// Ends a verification that differs from the facts behind the writes of this pass.
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

    /// Ends a pass after its writes: verifies them, if there are any and they are not verified yet.
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

    /// The writes of one step; does nothing if all are done. No write follows a failed one.
    fn write(&self, changes: impl IntoIterator<Item = Change>) -> Result<(), Step> {
        if !self.facts.pass.failed_writes.is_empty() {
            return Ok(());
        }
        let write: Vec<Change> = changes.into_iter().filter_map(|change| self.due(change)).collect();
        if write.is_empty() { Ok(()) } else { Err(Step::Act { read: Vec::new(), write }) }
    }

    /// A change, unless this pass made it already. If Azure refused a delete, the record set is emptied
    /// instead.
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

    /// Ends a pass with failed requests. A failure that a retry may fix is reported before one that needs a
    /// person, because the retry reports the other one.
    fn check_failures(&self, failures: impl Iterator<Item = (Key, FailureKind)>) -> Result<(), Step> {
        let all = failures.chain(self.facts.pass.failed_writes.iter().cloned());
        let most_severe = all.max_by_key(|(_, kind)| match kind {
            FailureKind::Race | FailureKind::Uncertain | FailureKind::Transient => 1,
            FailureKind::Forbidden | FailureKind::Missing | FailureKind::Refused | FailureKind::Clash => 0,
        });
        most_severe.map_or(Ok(()), |(key, _)| Err(failed(PlanError::Request(key))))
    }

    /// Our A record sets under other names than the effective one. If Azure refused to delete one and it was
    /// emptied, it counts as removed.
    fn old_names(&self, desired: &Desired) -> BTreeMap<RelativeName, ARecordSet> {
        let others = self.facts.pass.a.iter().filter(|(name, _)| **name != desired.name);
        let marked = others.filter_map(|(name, read)| Some((name, read.as_ref().ok()?.as_ref()?)));
        let is_left = |set: &ARecordSet| addresses_of(set).next().is_some();
        let left = marked.filter(|(_, set)| is_ours(set, desired) && is_left(set));
        left.map(|(name, set)| (name.clone(), set.clone())).collect()
    }

    /// The names that count as ours in PTR records, except the effective one.
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

/// The current and previous addresses of an A record set.
fn addresses_of(record_set: &ARecordSet) -> impl Iterator<Item = Ipv4Addr> + use<> {
    let memory = RecordSet::memory(record_set);
    let held = record_set.content.records.clone();
    held.into_iter().chain(memory.addresses().collect::<Vec<_>>())
}

/// The record set after a refused delete: empty, with its mark. `None` if it is so already.
fn emptied<Record: Clone>(edit: &Edit<Record>) -> Option<Edit<Record>> {
    let before = edit.before.as_ref()?;
    let mut metadata = before.content.metadata.clone();
    metadata.remove(PREVIOUS_KEY);
    let is_done = before.content.records.is_empty() && before.content.metadata == metadata;
    let content = Content { ttl: before.content.ttl, records: Vec::new(), metadata };
    (!is_done).then(|| Edit { after: Some(content), ..edit.clone() })
}

/// The desired record sets of an observed group. Ends the decision if a tag ignores the group or is invalid.
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
