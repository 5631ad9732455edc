//! The decision: from the facts about a container group and its record sets to the reads, the writes, or the
//! verdict. This is the only place that decides ownership, policy, and the order of reads and writes.
//!
//! [`decide`] is pure and total: no clock, no I/O, no panic. The driver ([`crate::reconcile::driver`]) executes one
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

pub mod change;
pub mod desired;
mod drift;
mod facts;
mod forward;
mod goal;
mod live;
mod lookup;
mod ownership;
mod removal;
pub mod report;
mod reverse;
mod secret;
pub mod service;
#[cfg(test)]
mod tests;

use std::{collections::BTreeMap, net::Ipv4Addr, sync::Arc};

use self::lookup::Lookup;
pub use self::{
    drift::compare,
    facts::{Fact, Facts, Key, MAX_PASSES, Observation, PtrKey, Read, RunState, WriteResult},
    forward::{ObservedA, forget, forward, removals},
    goal::{Evidence, ExtraLookups, Goal, Purpose, Rules},
    ownership::{Conflict, OwnerMark, OwnerObservation, OwnerSecret, unmarked_conflict},
    reverse::{Names, ObservedPtr, OtherHolder, RemovalScope, ReversePlan},
    secret::{SecretConflict, SecretError, SecretStep, SecretVerdict},
};
use crate::{
    config::Stopped,
    decide::{
        change::{Change, Edit},
        desired::{Desired, TagError},
        report::Drift,
    },
    domain::{
        container_group::AddressState,
        dns::{ARecordSet, Content, DomainName, PREVIOUS_KEY, RecordSet, RelativeName},
        failure::FailureKind,
    },
};

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
    /// The address, if the group has one.
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
    #[error("the container group does not exist")]
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
    /// The address is outside the ranges of the map.
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
    /// They intentionally stay unchanged.
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
        let pass = &self.facts.pass;
        if pass.is_uncertain() {
            return Err(Step::Repeat);
        }
        if pass.outdated.is_some() || pass.is_doubtful {
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
                Ok(right_unless_tag(&desired, Right::Named(address)))
            }
            DesiredAction::Reserve => {
                self.keep(&desired, action, None)?;
                Ok(right_unless_tag(&desired, Right::Absent))
            }
            DesiredAction::RemoveDeleted => {
                self.remove(&desired, action)?;
                Ok(right(Right::Absent))
            }
            DesiredAction::RemovePublic => {
                self.remove(&desired, action)?;
                Ok(unmanaged(Unmanaged::Public))
            }
            DesiredAction::Keep => Ok(right_unless_tag(&desired, Right::Kept)),
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
        let has_other_owner =
            |set: &ARecordSet| matches!(OwnerMark::of(set, &desired.owner), OwnerMark::Other(_));
        for (name, read) in self.facts.pass.a.iter().filter(|(name, _)| **name != desired.name) {
            match read {
                Ok(Some(set)) if is_ours(set, desired) => _ = names.held.insert(qualify(name)),
                Ok(None) => _ = names.own.insert(qualify(name)),
                // Another group took the name over: a PTR record of ours that still says it is false.
                Ok(Some(set)) if *name == self.goal.own_name && has_other_owner(set) => {
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

/// The record sets are right; a tag about services may still be invalid.
fn right_unless_tag(desired: &Desired, verdict: Right) -> Step {
    match &desired.service_tag_error {
        Some(error) => failed(PlanError::Tag(error.clone())),
        None => right(verdict),
    }
}

fn unmanaged(reason: Unmanaged) -> Step {
    Step::Done(Verdict::Unmanaged(reason))
}
