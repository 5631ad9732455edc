//! The results of lists, readable like Azure.
//!
//! A failed list is not an empty one: reads that depend on it return its error. A read of something that no
//! list covers is an error too. A container group that is missing from the list of its scope does not exist.
//! A single read of a group replaces its entry in the list, because it contains more.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use super::error::{ArmError, Cause, Operation, Subject};
use crate::{
    azure::key_vault::VaultError,
    domain::{
        container_group::ContainerGroup,
        dns::{ARecordSet, PtrRecordSet, RecordType, RelativeName, Zone, ZoneKey},
        resource_id::{ContainerGroupId, Scope},
        secret::{Secret, SecretId},
    },
};

/// The lists of container groups and zones.
#[derive(Debug, Default)]
pub struct Snapshot {
    /// Whether each scope exists.
    scopes: BTreeMap<Scope, Result<bool, Arc<ArmError>>>,
    groups: BTreeMap<ContainerGroupId, ContainerGroup>,
    answers: BTreeMap<ContainerGroupId, Result<Option<ContainerGroup>, Arc<ArmError>>>,
    a: BTreeMap<ZoneKey, Listed<ARecordSet>>,
    ptr: BTreeMap<ZoneKey, Listed<PtrRecordSet>>,
    secrets: BTreeMap<SecretId, Result<Option<Secret>, VaultError>>,
}

/// A zone, and its record sets of one type.
type Listed<Set> = (Zone, Result<BTreeMap<RelativeName, Set>, Arc<ArmError>>);

impl Snapshot {
    /// Adds the list of a scope.
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

    /// The resource groups that are known to exist, and those whose list failed.
    #[must_use]
    pub fn places(&self) -> BTreeSet<Scope> {
        let is_place = |(scope, exists): &(&Scope, &Result<bool, Arc<ArmError>>)| match exists {
            Ok(exists) => *exists && scope.resource_group().is_some(),
            Err(_) => true,
        };
        let scopes = self.scopes.iter().filter(is_place).map(|(scope, _)| scope.clone());
        scopes.chain(self.groups.keys().map(Scope::of)).collect()
    }

    /// Adds the single read of a group.
    pub fn add_answer(&mut self, id: ContainerGroupId, answer: Result<Option<ContainerGroup>, ArmError>) {
        self.answers.insert(id, answer.map_err(Arc::new));
    }

    /// Adds the single read of a secret.
    pub fn add_secret(&mut self, id: SecretId, secret: Result<Option<Secret>, VaultError>) {
        self.secrets.insert(id, secret);
    }

    /// A secret; `None` if it was not read.
    #[must_use]
    pub fn secret(&self, id: &SecretId) -> Option<&Result<Option<Secret>, VaultError>> {
        self.secrets.get(id)
    }

    /// Adds the A record sets of a zone.
    pub fn add_a_record_sets(
        &mut self,
        zone: Zone,
        listed: Result<Vec<(RelativeName, ARecordSet)>, ArmError>,
    ) {
        let listed = listed.map(|sets| sets.into_iter().collect()).map_err(Arc::new);
        self.a.insert(zone.key(), (zone, listed));
    }

    /// Adds the PTR record sets of a zone.
    pub fn add_ptr_record_sets(
        &mut self,
        zone: Zone,
        listed: Result<Vec<(RelativeName, PtrRecordSet)>, ArmError>,
    ) {
        let listed = listed.map(|sets| sets.into_iter().collect()).map_err(Arc::new);
        self.ptr.insert(zone.key(), (zone, listed));
    }

    /// Every list that failed.
    pub fn failures(&self) -> impl Iterator<Item = &ArmError> {
        let scopes = self.scopes.values().filter_map(|listed| listed.as_ref().err());
        let a = self.a.values().filter_map(|(_, listed)| listed.as_ref().err());
        let ptr = self.ptr.values().filter_map(|(_, listed)| listed.as_ref().err());
        scopes.chain(a).chain(ptr).map(AsRef::as_ref)
    }

    /// The container groups in the lists.
    pub fn listed_container_groups(&self) -> impl Iterator<Item = (&ContainerGroupId, &ContainerGroup)> {
        self.groups.iter()
    }

    /// Whether a list contains this group.
    #[must_use]
    pub fn is_listed(&self, id: &ContainerGroupId) -> bool {
        self.groups.contains_key(id)
    }

    /// Whether a successful list covers this group.
    #[must_use]
    pub fn is_covered(&self, id: &ContainerGroupId) -> bool {
        self.scopes.iter().any(|(scope, listed)| listed.is_ok() && scope.covers(id))
    }

    /// The A record sets in the lists.
    pub fn a_record_sets(&self) -> impl Iterator<Item = (&Zone, &RelativeName, &ARecordSet)> {
        self.a.values().flat_map(sets)
    }

    /// The PTR record sets in the lists.
    pub fn ptr_record_sets(&self) -> impl Iterator<Item = (&Zone, &RelativeName, &PtrRecordSet)> {
        self.ptr.values().flat_map(sets)
    }

    /// A container group; `None` if the list of its scope does not contain it.
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
        // The list of the whole subscription contains those of its resource groups.
        let whole = || self.scopes.get(&Scope::new(scope.subscription(), None));
        match self.scopes.get(scope).or_else(whole) {
            Some(Ok(false)) => Ok(None),
            Some(Ok(true)) => {
                let groups = self.groups.iter().filter(|(id, _)| scope.covers(id));
                Ok(Some(
                    groups.filter_map(|(id, group)| Some((id.clone(), self.newest(id, group)?))).collect(),
                ))
            }
            Some(Err(error)) => Err(ArmError::new(&operation, Cause::Unlisted(error.clone()))),
            None => Err(ArmError::new(&operation, Cause::OutOfSight)),
        }
    }

    /// A listed group, or its own read if there is one; `None` if that says that the group is deleted.
    fn newest(&self, id: &ContainerGroupId, listed: &ContainerGroup) -> Option<ContainerGroup> {
        match self.answers.get(id) {
            Some(Ok(read)) => read.clone(),
            Some(Err(_)) | None => Some(listed.clone()),
        }
    }

    /// An A record set; `None` if the list of its zone does not contain it.
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
    zones: &'a BTreeMap<ZoneKey, Listed<Set>>,
    record_type: RecordType,
    zone: &Zone,
) -> Result<&'a BTreeMap<RelativeName, Set>, ArmError> {
    let cause = match zones.get(&zone.key()) {
        Some((_, Ok(sets))) => return Ok(sets),
        Some((_, Err(error))) => Cause::Unlisted(error.clone()),
        None => Cause::OutOfSight,
    };
    let text = format!("read {record_type} record sets of {zone}");
    Err(ArmError::new(&Operation { subject: Subject::RecordSets, text }, cause))
}
