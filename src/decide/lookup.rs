//! Looks up the facts of a decision. An unknown fact becomes a read; a failed read ends the decision.

use std::net::Ipv4Addr;

use super::{Facts, Goal, Key, Observation, OwnerObservation, PlanError, Read, Step, failed};
use crate::domain::{
    dns::{ARecordSet, Owner, RelativeName},
    failure::FailureKind,
};

/// Looks facts up, and collects the missing reads.
pub(super) struct Lookup<'a> {
    facts: &'a Facts,
    /// Without duplicates.
    pub(super) missing: Vec<Key>,
    failed: Option<Key>,
}

impl<'a> Lookup<'a> {
    pub(super) fn new(facts: &'a Facts) -> Self {
        Self { facts, missing: Vec::new(), failed: None }
    }

    pub(super) fn group(&mut self) -> Option<&'a Observation> {
        let read = self.facts.pass.group.as_ref().map(Result::as_ref);
        self.known(read, || Key::Group)
    }

    #[expect(clippy::option_option, reason = "unknown, absent and present are three cases")]
    pub(super) fn a(&mut self, name: &RelativeName) -> Option<Option<&'a ARecordSet>> {
        let read = self.facts.pass.a.get(name).map(|read| read.as_ref().map(Option::as_ref));
        self.known(read, || Key::A(name.clone()))
    }

    pub(super) fn a_list(&mut self) -> Option<&'a [(RelativeName, ARecordSet)]> {
        let read = self.facts.pass.a_list.as_ref().map(|read| read.as_deref());
        self.known(read, || Key::AList)
    }

    #[expect(clippy::option_option, reason = "unknown, absent and present are three cases")]
    pub(super) fn cname(&mut self, name: &RelativeName) -> Option<Option<&'a str>> {
        let read = self.facts.pass.cnames.get(name).map(|read| read.as_ref().map(Option::as_deref));
        self.known(read, || Key::Cname(name.clone()))
    }

    pub(super) fn confirmation(&mut self) -> Option<&'a Observation> {
        let read = self.facts.pass.confirmation.as_ref().map(Result::as_ref);
        self.known(read, || Key::Confirmation)
    }

    /// The group in a mark; `None` if the mark names none, or the group permanently cannot be read.
    #[expect(clippy::option_option, reason = "unknown, unreadable and read are three cases")]
    pub(super) fn owner(&mut self, owner: &Owner) -> Option<Option<&'a OwnerObservation>> {
        let read = self.facts.pass.owners.get(owner);
        self.other_group(owner, read, || Key::Owner(owner.clone()))
    }

    /// The second read of that group.
    #[expect(clippy::option_option, reason = "unknown, unreadable and read are three cases")]
    pub(super) fn owner_confirmation(&mut self, owner: &Owner) -> Option<Option<&'a OwnerObservation>> {
        let read = self.facts.pass.owner_confirmations.get(owner);
        self.other_group(owner, read, || Key::OwnerConfirmation(owner.clone()))
    }

    #[expect(clippy::option_option, reason = "unknown, unreadable and read are three cases")]
    fn other_group(
        &mut self,
        owner: &Owner,
        read: Option<&'a Read<OwnerObservation>>,
        key: impl FnOnce() -> Key,
    ) -> Option<Option<&'a OwnerObservation>> {
        if owner.container_group().is_none() {
            return Some(None);
        }
        let read = read.map(|read| match read {
            Ok(other) => Ok(Some(other)),
            Err(FailureKind::Forbidden | FailureKind::Missing | FailureKind::Refused) => Ok(None),
            Err(kind) => Err(kind),
        });
        self.known(read, key)
    }

    /// Asks for the PTR record set of an address. A failure is collected elsewhere.
    pub(super) fn ptr(&mut self, goal: &Goal, address: Ipv4Addr) {
        if let Some(key) = goal.ptr_key(address).filter(|key| !self.facts.pass.ptr.contains_key(key)) {
            self.need(Key::Ptr(key));
        }
    }

    /// Asks for the lists of all reverse zones. Failures are collected elsewhere.
    pub(super) fn ptr_lists(&mut self, goal: &Goal) {
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
            None => self.need(key()),
        }
        None
    }

    fn need(&mut self, key: Key) {
        if !self.missing.contains(&key) {
            self.missing.push(key);
        }
    }

    /// Ends the decision if a fact is missing or its read failed.
    pub(super) fn finish(self) -> Result<(), Step> {
        if self.failed.is_none() && self.missing.is_empty() { Ok(()) } else { Err(self.step()) }
    }

    /// The step that reads the missing facts, or the failure.
    pub(super) fn step(self) -> Step {
        match self.failed {
            Some(key) => failed(PlanError::Request(key)),
            None => Step::Act { read: self.missing, write: Vec::new() },
        }
    }
}
