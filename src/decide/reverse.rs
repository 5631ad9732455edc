//! Plans PTR record sets.
//!
//! An address has one holder: at our live address, names inside the forward zones of the map are replaced,
//! whatever their owner. At any other address only our own names are removed.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use super::{Conflict, Goal, OwnerMark, Rules};
use crate::{
    config::{Ownership, Policy},
    decide::{change::Edit, desired::Desired},
    domain::dns::{
        Content, DomainName, Metadata, OWNER_KEY, Owner, PtrRecordSet, PtrTarget, RelativeName, Zone,
    },
};

/// One PTR record set of a reverse zone, as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObservedPtr<'a> {
    /// The address in its name, if there is one.
    pub address: Option<Ipv4Addr>,
    /// The reverse zone.
    pub zone: &'a Zone,
    /// The relative name in it.
    pub name: &'a RelativeName,
    /// The record set, if there is one.
    pub record_set: Option<&'a PtrRecordSet>,
}

/// The plan for PTR record sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReversePlan {
    /// The writes.
    pub edits: Vec<Edit<PtrTarget>>,
    /// The changes that the policy forbids.
    pub withheld: Vec<Edit<PtrTarget>>,
    /// The foreign record sets at our live address.
    pub conflicts: Vec<Conflict>,
    /// The addresses whose PTR record, as read, does not name the group.
    pub clean: BTreeSet<Ipv4Addr>,
}

/// The PTR record sets from which values with our names are removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalScope {
    /// Only those with our mark.
    Ours,
    /// Under `adopt`, also unmarked ones.
    OursAndUnmarked,
    /// Also those of other groups: the name is ours, so it is false at another address, whatever the mark of
    /// the record set. Under `adopt`, also unmarked ones.
    All,
}

/// The state of the group in the mark of the PTR record set at our live address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OtherHolder {
    /// It is deleted, or has another address: the record set may be taken over.
    HasLeft,
    /// It exists with our address, or cannot be read.
    Claims,
    /// It is being provisioned.
    Pending,
}

/// The names that count as ours in PTR records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Names that count in every record set: an A record set carries our mark there, or did so before this
    /// invocation removed it.
    pub held: BTreeSet<DomainName>,
    /// Names that count only in our PTR record sets: names without an A record set, left by an interrupted
    /// removal; the effective name; and the group's own name, where another group has it.
    pub own: BTreeSet<DomainName>,
    /// Replaced forward zones: every name in them counts in our PTR record sets.
    pub former_zones: Vec<DomainName>,
}

impl Names {
    pub(super) fn is_written_by(&self, target: &PtrTarget, mark: &OwnerMark) -> bool {
        let Some(name) = target.name() else { return false };
        let is_former = || self.former_zones.iter().any(|zone| name.relative_to(zone).is_some());
        self.held.contains(&name) || (*mark == OwnerMark::Ours && (self.own.contains(&name) || is_former()))
    }
}

impl ReversePlan {
    /// Makes the PTR record set of our live address name the group. `holder` is known if another group marks
    /// it.
    pub(super) fn point(
        &mut self,
        goal: &Goal,
        desired: &Desired,
        rules: Rules,
        ptr: &ObservedPtr<'_>,
        names: &Names,
        holder: Option<&OtherHolder>,
    ) {
        let fqdn = desired.fqdn();
        let record = || format!("the PTR record set {}", ptr.name.within(&ptr.zone.name));
        let mark = ptr.record_set.map(|set| OwnerMark::of(set, &desired.owner));
        let is_empty = ptr.record_set.is_some_and(|set| set.content.records.is_empty());
        let conflict = match &mark {
            Some(OwnerMark::AutoRegistered) => Some(Conflict::AutoRegistered(record())),
            Some(OwnerMark::OtherController { key, value }) => {
                Some(Conflict::OtherController { record: record(), key: key.clone(), value: value.clone() })
            }
            Some(OwnerMark::None) if rules.ownership == Ownership::Strict => {
                Some(Conflict::Unmarked(record()))
            }
            Some(OwnerMark::Other(owner)) if !is_empty && holder != Some(&OtherHolder::HasLeft) => {
                Some(Conflict::SharedAddress { record: record(), owner: owner.clone() })
            }
            Some(OwnerMark::Other(_) | OwnerMark::None | OwnerMark::Ours) | None => None,
        };
        if let Some(conflict) = conflict {
            return self.conflicts.push(conflict);
        }
        if rules.policy == Policy::AdoptOnly {
            return self.edits.extend(ptr.adoption(desired));
        }
        let is_ours = mark == Some(OwnerMark::Ours);
        let is_removed = |target: &PtrTarget| {
            if is_ours {
                names.is_written_by(target, &OwnerMark::Ours)
            } else {
                target.name().is_some_and(|name| goal.map.has_forward_zone_of(&name))
            }
        };
        let full = ptr.pointing(desired, &fqdn, &is_removed);
        if is_ours && rules.policy == Policy::UpsertOnly {
            // A former name stays, and with it the value that names it.
            let kept = ptr.pointing(desired, &fqdn, &|_| false);
            if kept != full {
                self.withheld.extend(full);
            }
            self.edits.extend(kept);
        } else {
            self.edits.extend(full);
        }
    }

    /// Removes the values that name the group from a PTR record set.
    pub(super) fn remove(
        &mut self,
        desired: &Desired,
        rules: Rules,
        ptr: &ObservedPtr<'_>,
        names: &Names,
        scope: RemovalScope,
    ) {
        let Some(record_set) = ptr.record_set else {
            self.clean.extend(ptr.address);
            return;
        };
        let mark = OwnerMark::of(record_set, &desired.owner);
        let may_touch = match &mark {
            OwnerMark::Ours => true,
            OwnerMark::None => scope != RemovalScope::Ours && rules.ownership == Ownership::Adopt,
            OwnerMark::Other(_) => scope == RemovalScope::All,
            OwnerMark::OtherController { .. } | OwnerMark::AutoRegistered => false,
        };
        let names_us = record_set.content.records.iter().any(|target| names.is_written_by(target, &mark));
        // Azure refused to delete an empty record set of ours. It counts as absent while the group exists.
        let is_left = record_set.content.records.is_empty() && scope != RemovalScope::OursAndUnmarked;
        let is_clean = !names_us && (mark != OwnerMark::Ours || is_left);
        if is_clean {
            self.clean.extend(ptr.address);
        }
        if is_clean || !may_touch {
            return;
        }
        let mut content = record_set.content.clone();
        content.records.retain(|target| !names.is_written_by(target, &mark));
        if mark == OwnerMark::Ours {
            content.metadata.remove(OWNER_KEY);
        }
        let edit = ptr.edit(Some(content).filter(|content| !content.records.is_empty()));
        if rules.may_remove() { self.edits.push(edit) } else { self.withheld.push(edit) }
    }
}

impl<'a> ObservedPtr<'a> {
    /// The record set with this content, or its removal.
    fn edit(&self, after: Option<Content<PtrTarget>>) -> Edit<PtrTarget> {
        Edit { zone: self.zone.clone(), name: self.name.clone(), before: self.record_set.cloned(), after }
    }

    /// The record set with our mark and our name, without the removed values; `None` if it is correct.
    fn pointing(
        &self,
        desired: &Desired,
        fqdn: &DomainName,
        is_removed: &dyn Fn(&PtrTarget) -> bool,
    ) -> Option<Edit<PtrTarget>> {
        let mut content = self.record_set.map_or_else(
            || Content { ttl: desired.ttl, records: Vec::new(), metadata: Metadata::new() },
            |set| set.content.clone(),
        );
        content.ttl = desired.ttl;
        content.records.retain(|target| target.names(fqdn) || !is_removed(target));
        if !content.records.iter().any(|target| target.names(fqdn)) {
            content.records.push(PtrTarget::from(fqdn));
        }
        content.metadata.insert(OWNER_KEY.to_owned(), desired.owner.as_str().to_owned());
        let is_right = self.record_set.is_some_and(|set| set.content == content);
        (!is_right).then(|| self.edit(Some(content)))
    }

    /// The record set with our mark and otherwise unchanged, if it contains our name and no mark.
    fn adoption(&self, desired: &Desired) -> Option<Edit<PtrTarget>> {
        let record_set = self.record_set?;
        let is_free =
            OwnerMark::of(record_set, &desired.owner) == OwnerMark::None && self.contains(&desired.fqdn());
        let mut content = record_set.content.clone();
        content.metadata.insert(OWNER_KEY.to_owned(), desired.owner.as_str().to_owned());
        is_free.then(|| self.edit(Some(content)))
    }

    /// Whether it carries our mark.
    pub(super) fn is_ours(&self, us: &Owner) -> bool {
        self.record_set.is_some_and(|set| OwnerMark::of(set, us) == OwnerMark::Ours)
    }

    /// Whether one of the records is a name.
    #[must_use]
    pub fn contains(&self, name: &DomainName) -> bool {
        self.record_set.iter().flat_map(|set| &set.content.records).any(|target| target.names(name))
    }

    /// The names inside the forward zone in our record set, other than the effective one: former names,
    /// removed names, or names that others added.
    pub fn other_names<'b>(&self, desired: &'b Desired) -> impl Iterator<Item = RelativeName> + use<'a, 'b> {
        let ours = self.record_set.filter(|set| OwnerMark::of(set, &desired.owner) == OwnerMark::Ours);
        ours.into_iter()
            .flat_map(|set| &set.content.records)
            .filter_map(|target| target.name()?.relative_to(&desired.zones.forward.name))
            .filter(|name| *name != desired.name)
    }
}

/// The group in the mark of each PTR record set at an address, if it is not ours and the record set is not
/// empty.
pub(super) fn other_holders<'a>(
    ptrs: &'a [ObservedPtr<'a>],
    us: &'a Owner,
    address: Ipv4Addr,
) -> impl Iterator<Item = Owner> + 'a {
    let at_address = ptrs.iter().filter(move |ptr| ptr.address == Some(address));
    at_address.filter_map(move |ptr| {
        let set = ptr.record_set.filter(|set| !set.content.records.is_empty())?;
        match OwnerMark::of(set, us) {
            OwnerMark::Other(owner) => Some(owner),
            OwnerMark::Ours
            | OwnerMark::None
            | OwnerMark::OtherController { .. }
            | OwnerMark::AutoRegistered => None,
        }
    })
}

/// The states of the other groups at our live address, by owner.
pub(super) type Holders = BTreeMap<Owner, OtherHolder>;
