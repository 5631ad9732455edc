//! What becomes of PTR record sets.
//!
//! An address has one holder: at our live address, names inside the forward zones of the map are replaced, whatever
//! wrote them. At any other address only our own names are removed, and other values stay.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use super::{Conflict, Goal, OwnerMark, Rules};
use crate::{
    change::Edit,
    config::{Ownership, Policy},
    desired::Desired,
    dns::{Content, DomainName, Metadata, OWNER_KEY, Owner, PtrRecordSet, PtrTarget, RelativeName, Zone},
};

/// One PTR record set of a reverse zone, as it was read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ObservedPtr<'a> {
    /// The address, where the name stands for one.
    pub address: Option<Ipv4Addr>,
    /// The reverse zone.
    pub zone: &'a Zone,
    /// The relative name in it.
    pub name: &'a RelativeName,
    /// The record set, if there is one.
    pub record_set: Option<&'a PtrRecordSet>,
}

/// What becomes of PTR record sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReversePlan {
    /// What is written.
    pub edits: Vec<Edit<PtrTarget>>,
    /// What the policy forbids.
    pub withheld: Vec<Edit<PtrTarget>>,
    /// The record sets at our live address that are not ours to touch.
    pub conflicts: Vec<Conflict>,
    /// The addresses whose PTR does not name us as it was read.
    pub clean: BTreeSet<Ipv4Addr>,
}

/// Which PTR record sets that are not marked with our group lose the values that name us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RemovalScope {
    /// Only those that carry our mark.
    Ours,
    /// Under `adopt`, unmarked ones too.
    OursAndUnmarked,
    /// Those of other groups too: the name is ours, so a value that says it at another address is false, whatever
    /// marks its record set. Under `adopt`, unmarked ones as well.
    All,
}

/// What the group that marks the PTR record set at our live address is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OtherHolder {
    /// It is deleted, or has another address: the record set is ours to take.
    HasLeft,
    /// It lives and shows our address, or cannot be read.
    Claims,
    /// It is being provisioned.
    Pending,
}

/// The names that count as ours when a PTR record says them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// Names that count in every record set: those under which an A record set carries our mark, or carried it
    /// before this invocation removed it.
    pub held: BTreeSet<DomainName>,
    /// Names that count in a PTR record set of ours only: names without an A record set, which a removal that was
    /// cut off left behind; the name that the group should have; and its own name, where another group has that.
    pub own: BTreeSet<DomainName>,
    /// Forward zones that were replaced: every name in them counts in a PTR record set of ours.
    pub former_zones: Vec<DomainName>,
}

impl Names {
    pub(super) fn said_by(&self, target: &PtrTarget, mark: &OwnerMark) -> bool {
        let Some(name) = target.name() else { return false };
        let is_former = || self.former_zones.iter().any(|zone| name.relative_to(zone).is_some());
        self.held.contains(&name) || (*mark == OwnerMark::Ours && (self.own.contains(&name) || is_former()))
    }
}

impl ReversePlan {
    /// Makes the PTR record set of our live address name us. `holder` is known where another group marks it.
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
        let goes = |target: &PtrTarget| {
            if is_ours {
                names.said_by(target, &OwnerMark::Ours)
            } else {
                target.name().is_some_and(|name| goal.map.has_forward_zone_of(&name))
            }
        };
        let full = ptr.pointing(desired, &fqdn, &goes);
        if is_ours && rules.policy == Policy::UpsertOnly {
            // A name that we had stays, and with it the value that says it.
            let kept = ptr.pointing(desired, &fqdn, &|_| false);
            if kept != full {
                self.withheld.extend(full);
            }
            self.edits.extend(kept);
        } else {
            self.edits.extend(full);
        }
    }

    /// Removes the values that name us from a PTR record set.
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
        let says_us = record_set.content.records.iter().any(|target| names.said_by(target, &mark));
        // Azure refused to delete an empty record set of ours. It counts as absent as long as the group exists.
        let is_left = record_set.content.records.is_empty() && scope != RemovalScope::OursAndUnmarked;
        let is_clean = !says_us && (mark != OwnerMark::Ours || is_left);
        if is_clean {
            self.clean.extend(ptr.address);
        }
        if is_clean || !may_touch {
            return;
        }
        let mut content = record_set.content.clone();
        content.records.retain(|target| !names.said_by(target, &mark));
        if mark == OwnerMark::Ours {
            content.metadata.remove(OWNER_KEY);
        }
        let edit = ptr.edit(Some(content).filter(|content| !content.records.is_empty()));
        if rules.may_remove() { self.edits.push(edit) } else { self.withheld.push(edit) }
    }
}

impl<'a> ObservedPtr<'a> {
    /// The record set with these content, or its removal.
    fn edit(&self, after: Option<Content<PtrTarget>>) -> Edit<PtrTarget> {
        Edit { zone: self.zone.clone(), name: self.name.clone(), before: self.record_set.cloned(), after }
    }

    /// The record set with our mark and our name, without the values that go; nothing when it is right.
    fn pointing(
        &self,
        desired: &Desired,
        fqdn: &DomainName,
        goes: &dyn Fn(&PtrTarget) -> bool,
    ) -> Option<Edit<PtrTarget>> {
        let mut content = self.record_set.map_or_else(
            || Content { ttl: desired.ttl, records: Vec::new(), metadata: Metadata::new() },
            |set| set.content.clone(),
        );
        content.ttl = desired.ttl;
        content.records.retain(|target| target.names(fqdn) || !goes(target));
        if !content.records.iter().any(|target| target.names(fqdn)) {
            content.records.push(PtrTarget::from(fqdn));
        }
        content.metadata.insert(OWNER_KEY.to_owned(), desired.owner.as_str().to_owned());
        let is_right = self.record_set.is_some_and(|set| set.content == content);
        (!is_right).then(|| self.edit(Some(content)))
    }

    /// The record set with our mark and otherwise as it is, where it says our name and carries no mark.
    fn adoption(&self, desired: &Desired) -> Option<Edit<PtrTarget>> {
        let record_set = self.record_set?;
        let is_free =
            OwnerMark::of(record_set, &desired.owner) == OwnerMark::None && self.says(&desired.fqdn());
        let mut content = record_set.content.clone();
        content.metadata.insert(OWNER_KEY.to_owned(), desired.owner.as_str().to_owned());
        is_free.then(|| self.edit(Some(content)))
    }

    /// Whether it carries our mark.
    pub(super) fn is_ours(&self, us: &Owner) -> bool {
        self.record_set.is_some_and(|set| OwnerMark::of(set, us) == OwnerMark::Ours)
    }

    /// Whether one of the records says a name.
    #[must_use]
    pub fn says(&self, name: &DomainName) -> bool {
        self.record_set.iter().flat_map(|set| &set.content.records).any(|target| target.names(name))
    }

    /// The names inside the forward zone that a record set of ours says besides the one that it should: names
    /// that the group had, or that were removed already, or that others added.
    pub fn other_names<'b>(&self, desired: &'b Desired) -> impl Iterator<Item = RelativeName> + use<'a, 'b> {
        let ours = self.record_set.filter(|set| OwnerMark::of(set, &desired.owner) == OwnerMark::Ours);
        ours.into_iter()
            .flat_map(|set| &set.content.records)
            .filter_map(|target| target.name()?.relative_to(&desired.zones.forward.name))
            .filter(|name| *name != desired.name)
    }
}

/// The group that marks each PTR record set at an address, where it is not ours and the record set is not empty.
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

/// What the other groups at our live address are, by owner.
pub(super) type Holders = BTreeMap<Owner, OtherHolder>;
