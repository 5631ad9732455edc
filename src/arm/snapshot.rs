//! What lists said, to be read as Azure is read.
//!
//! A list that failed is not an empty one: whatever it would have told is answered with its error. What no list was
//! asked for is out of sight, which is no answer either. A container group that a list of its scope does not hold is
//! gone; where a group was asked for by itself, that answer counts instead of the list's, because it says more.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::error::{ArmError, Cause, Operation, Subject};
use crate::{
    container_group::ContainerGroup,
    dns::{ARecordSet, Place, PtrRecordSet, RecordType, RelativeName, Zone},
    resource_id::{ContainerGroupId, Scope},
};

/// What lists said of container groups and zones.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Whether each scope exists.
    scopes: BTreeMap<Scope, Result<bool, Arc<ArmError>>>,
    groups: BTreeMap<ContainerGroupId, ContainerGroup>,
    answers: BTreeMap<ContainerGroupId, Result<Option<ContainerGroup>, Arc<ArmError>>>,
    a: BTreeMap<Place, Listed<ARecordSet>>,
    ptr: BTreeMap<Place, Listed<PtrRecordSet>>,
}

/// A zone, and its record sets of one type.
type Listed<Set> = (Zone, Result<BTreeMap<RelativeName, Set>, Arc<ArmError>>);

impl Snapshot {
    /// Takes note of the list of a scope.
    pub fn add_container_groups(
        &mut self,
        scope: Scope,
        listed: Result<Option<Vec<(ContainerGroupId, ContainerGroup)>>, ArmError>,
    ) {
        let exists = listed.map(|groups| {
            let exists = groups.is_some();
            self.groups.extend(groups.into_iter().flatten());
            exists
        });
        self.scopes.insert(scope, exists.map_err(Arc::new));
    }

    /// The resource groups that are known to exist. A scope whose list failed counts as well: what it would have told
    /// is not known.
    #[must_use]
    pub fn places(&self) -> BTreeSet<Scope> {
        let is_place = |(scope, exists): &(&Scope, &Result<bool, Arc<ArmError>>)| match exists {
            Ok(exists) => *exists && scope.resource_group().is_some(),
            Err(_) => true,
        };
        let scopes = self.scopes.iter().filter(is_place).map(|(scope, _)| scope.clone());
        scopes.chain(self.groups.keys().map(Scope::of)).collect()
    }

    /// Takes note of what was answered when a group was asked for by itself.
    pub fn add_answer(&mut self, id: ContainerGroupId, answer: Result<Option<ContainerGroup>, ArmError>) {
        self.answers.insert(id, answer.map_err(Arc::new));
    }

    /// Takes note of the A record sets of a zone.
    pub fn add_a_record_sets(
        &mut self,
        zone: Zone,
        listed: Result<Vec<(RelativeName, ARecordSet)>, ArmError>,
    ) {
        let listed = listed.map(|sets| sets.into_iter().collect()).map_err(Arc::new);
        self.a.insert(zone.place(), (zone, listed));
    }

    /// Takes note of the PTR record sets of a zone.
    pub fn add_ptr_record_sets(
        &mut self,
        zone: Zone,
        listed: Result<Vec<(RelativeName, PtrRecordSet)>, ArmError>,
    ) {
        let listed = listed.map(|sets| sets.into_iter().collect()).map_err(Arc::new);
        self.ptr.insert(zone.place(), (zone, listed));
    }

    /// Every list that failed.
    pub fn failures(&self) -> impl Iterator<Item = &ArmError> {
        let scopes = self.scopes.values().filter_map(|listed| listed.as_ref().err());
        let a = self.a.values().filter_map(|(_, listed)| listed.as_ref().err());
        let ptr = self.ptr.values().filter_map(|(_, listed)| listed.as_ref().err());
        scopes.chain(a).chain(ptr).map(AsRef::as_ref)
    }

    /// The container groups that lists hold.
    pub fn listed_container_groups(&self) -> impl Iterator<Item = (&ContainerGroupId, &ContainerGroup)> {
        self.groups.iter()
    }

    /// Whether a list holds this group.
    #[must_use]
    pub fn is_listed(&self, id: &ContainerGroupId) -> bool {
        self.groups.contains_key(id)
    }

    /// Whether a list that did not fail would hold this group if there were one.
    #[must_use]
    pub fn is_in_sight(&self, id: &ContainerGroupId) -> bool {
        self.scopes.iter().any(|(scope, listed)| listed.is_ok() && scope.covers(id))
    }

    /// The A record sets that lists hold.
    pub fn a_record_sets(&self) -> impl Iterator<Item = (&Zone, &RelativeName, &ARecordSet)> {
        self.a.values().flat_map(sets)
    }

    /// The PTR record sets that lists hold.
    pub fn ptr_record_sets(&self) -> impl Iterator<Item = (&Zone, &RelativeName, &PtrRecordSet)> {
        self.ptr.values().flat_map(sets)
    }

    /// A container group, or nothing where the list of its scope does not hold it.
    pub fn container_group(&self, id: &ContainerGroupId) -> Result<Option<ContainerGroup>, ArmError> {
        let operation =
            || Operation { subject: Subject::ContainerGroup, text: format!("read container group {id}") };
        let unlisted = |error: &Arc<ArmError>| ArmError::new(&operation(), Cause::Unlisted(error.clone()));
        if let Some(answer) = self.answers.get(id) {
            return answer.clone().map_err(|error| unlisted(&error));
        }
        if let Some(group) = self.groups.get(id) {
            return Ok(Some(group.clone()));
        }
        let mut covering = self.scopes.iter().filter(|(scope, _)| scope.covers(id)).map(|(_, listed)| listed);
        match covering.clone().find_map(|listed| listed.as_ref().err()) {
            Some(error) => Err(unlisted(error)),
            None if covering.next().is_some() => Ok(None),
            None => Err(ArmError::new(&operation(), Cause::OutOfSight)),
        }
    }

    pub(super) fn list_container_groups(
        &self,
        scope: &Scope,
    ) -> Result<Option<Vec<(ContainerGroupId, ContainerGroup)>>, ArmError> {
        let operation =
            Operation { subject: Subject::ContainerGroup, text: format!("list container groups of {scope}") };
        match self.scopes.get(scope) {
            Some(Ok(false)) => Ok(None),
            Some(Ok(true)) => {
                let groups = self.groups.iter().filter(|(id, _)| scope.covers(id));
                Ok(Some(groups.map(|(id, group)| (id.clone(), group.clone())).collect()))
            }
            Some(Err(error)) => Err(ArmError::new(&operation, Cause::Unlisted(error.clone()))),
            None => Err(ArmError::new(&operation, Cause::OutOfSight)),
        }
    }

    /// An A record set, or nothing where the list of its zone does not hold it.
    pub fn a_record_set(&self, zone: &Zone, name: &RelativeName) -> Result<Option<ARecordSet>, ArmError> {
        Ok(listed(&self.a, RecordType::A, zone)?.get(name).cloned())
    }

    pub(super) fn ptr_record_set(
        &self,
        zone: &Zone,
        name: &RelativeName,
    ) -> Result<Option<PtrRecordSet>, ArmError> {
        Ok(listed(&self.ptr, RecordType::Ptr, zone)?.get(name).cloned())
    }

    pub(super) fn list_a_record_sets(
        &self,
        zone: &Zone,
    ) -> Result<Vec<(RelativeName, ARecordSet)>, ArmError> {
        let sets = listed(&self.a, RecordType::A, zone)?.iter();
        Ok(sets.map(|(name, set)| (name.clone(), set.clone())).collect())
    }

    pub(super) fn list_ptr_record_sets(
        &self,
        zone: &Zone,
    ) -> Result<Vec<(RelativeName, PtrRecordSet)>, ArmError> {
        let sets = listed(&self.ptr, RecordType::Ptr, zone)?.iter();
        Ok(sets.map(|(name, set)| (name.clone(), set.clone())).collect())
    }
}

fn sets<Set>((zone, listed): &Listed<Set>) -> impl Iterator<Item = (&Zone, &RelativeName, &Set)> {
    listed.iter().flatten().map(move |(name, set)| (zone, name, set))
}

fn listed<'a, Set>(
    zones: &'a BTreeMap<Place, Listed<Set>>,
    record_type: RecordType,
    zone: &Zone,
) -> Result<&'a BTreeMap<RelativeName, Set>, ArmError> {
    let cause = match zones.get(&zone.place()) {
        Some((_, Ok(sets))) => return Ok(sets),
        Some((_, Err(error))) => Cause::Unlisted(error.clone()),
        None => Cause::OutOfSight,
    };
    let text = format!("read {record_type} record sets of {zone}");
    Err(ArmError::new(&Operation { subject: Subject::RecordSets, text }, cause))
}
