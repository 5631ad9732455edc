//! What becomes of PTR record sets.
//!
//! An address has one holder: at our live address, the names of our own forward zone are replaced, whatever wrote
//! them. At any other address only our own names are removed, and other values stay.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use super::{Conflict, OwnerMark, Rules};
use crate::{
    change::Edit,
    config::{Ownership, Policy},
    desired::Desired,
    dns::{Content, DomainName, Metadata, OWNER_KEY, Owner, PtrRecordSet, PtrTarget, RelativeName, Zone},
};

/// The PTR record set of one address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedPtr {
    /// The address.
    pub address: Ipv4Addr,
    /// The reverse zone.
    pub zone: Zone,
    /// The relative name of the address in it.
    pub name: RelativeName,
    /// The record set, if there is one.
    pub record_set: Option<PtrRecordSet>,
}

/// What becomes of PTR record sets.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReversePlan {
    /// What is written, with the address that each is about.
    pub edits: Vec<(Ipv4Addr, Edit<PtrTarget>)>,
    /// What the policy forbids.
    pub withheld: Vec<Edit<PtrTarget>>,
    /// The record sets at our live address that are not ours to touch.
    pub conflicts: Vec<Conflict>,
    /// The groups whose mark is replaced at our live address.
    pub taken: BTreeMap<Ipv4Addr, Owner>,
    /// The addresses whose PTR does not name us as it was read.
    pub clean: BTreeSet<Ipv4Addr>,
}

/// Which PTR record sets that are not ours lose the values that name us.
#[derive(Clone, Copy, Debug)]
pub struct RemovalScope<'a> {
    /// Those without a mark.
    pub unmarked: bool,
    /// Those that are marked with another group.
    pub others: ForeignOwners<'a>,
}

/// Which record sets that are marked with another group lose the values that name us.
#[derive(Clone, Copy, Debug)]
pub enum ForeignOwners<'a> {
    /// All: the name is ours, so a value that says it elsewhere than at our address is wrong whoever holds it.
    All,
    /// Those whose group is gone.
    Of(&'a BTreeSet<Owner>),
}

/// The names that count as ours when a PTR record says them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// The name that the group should have, and those under which an A record set still carries its mark.
    pub held: BTreeSet<DomainName>,
    /// Names inside the forward zone that have no A record set any more: in a PTR record set of ours they are
    /// what a removal that was cut off left behind; anywhere else they are none of our business.
    pub vanished: BTreeSet<DomainName>,
}

impl Names {
    fn said_by(&self, target: &PtrTarget, mark: &OwnerMark) -> bool {
        let is_ours = *mark == OwnerMark::Ours;
        target
            .name()
            .is_some_and(|name| self.held.contains(&name) || (is_ours && self.vanished.contains(&name)))
    }
}

/// What becomes of the PTR record sets of a group that lives at an address.
#[must_use]
pub fn reverse(
    desired: &Desired,
    rules: Rules,
    live: Ipv4Addr,
    observed: &[ObservedPtr],
    names: &Names,
) -> ReversePlan {
    let mut plan = ReversePlan::default();
    let nobody = BTreeSet::new();
    for ptr in observed {
        if ptr.address != live {
            let reach =
                RemovalScope { unmarked: rules.ownership == Ownership::Adopt, others: ForeignOwners::All };
            plan.remove(desired, rules, ptr, names, reach);
        } else if desired.wants_ptr {
            plan.point(desired, rules, ptr, names);
        } else {
            let reach = RemovalScope { unmarked: false, others: ForeignOwners::Of(&nobody) };
            plan.remove(desired, rules, ptr, names, reach);
        }
    }
    plan
}

/// What becomes of the PTR record sets of a group whose records go.
#[must_use]
pub fn reverse_removal(
    desired: &Desired,
    rules: Rules,
    observed: &[ObservedPtr],
    names: &Names,
    reach: RemovalScope<'_>,
) -> ReversePlan {
    let mut plan = ReversePlan::default();
    for ptr in observed {
        plan.remove(desired, rules, ptr, names, reach);
    }
    plan
}

/// What becomes of PTR record sets of ours that say a name which belongs to somebody else.
#[must_use]
pub fn remove_false_ptrs(desired: &Desired, rules: Rules, observed: &[ObservedPtr]) -> ReversePlan {
    let names = Names { held: BTreeSet::new(), vanished: BTreeSet::from([desired.fqdn()]) };
    let nobody = BTreeSet::new();
    let reach = RemovalScope { unmarked: false, others: ForeignOwners::Of(&nobody) };
    let fqdn = desired.fqdn();
    let lying: Vec<ObservedPtr> = observed.iter().filter(|ptr| ptr.says(&fqdn)).cloned().collect();
    reverse_removal(desired, rules, &lying, &names, reach)
}

impl ReversePlan {
    /// Makes the PTR record set of our live address name us.
    fn point(&mut self, desired: &Desired, rules: Rules, ptr: &ObservedPtr, names: &Names) {
        let fqdn = desired.fqdn();
        let record = || format!("the PTR record set {}", ptr.name.within(&ptr.zone.name));
        let in_zone = |target: &PtrTarget| {
            target.name().is_some_and(|name| name.relative_to(&desired.zones.forward.name).is_some())
        };
        let mark = ptr.record_set.as_ref().map(|set| OwnerMark::of(set, &desired.owner));
        match &mark {
            Some(OwnerMark::AutoRegistered) => {
                return self.conflicts.push(Conflict::AutoRegistered(record()));
            }
            Some(OwnerMark::None) if rules.ownership == Ownership::Strict => {
                return self.conflicts.push(Conflict::Unmarked(record()));
            }
            Some(OwnerMark::Other(owner)) => _ = self.taken.insert(ptr.address, owner.clone()),
            Some(OwnerMark::None | OwnerMark::Ours) | None => {}
        }
        let is_ours = mark == Some(OwnerMark::Ours);
        let goes = |target: &PtrTarget| {
            if is_ours { names.said_by(target, &OwnerMark::Ours) } else { in_zone(target) }
        };
        let point = |goes: &dyn Fn(&PtrTarget) -> bool| {
            let mut content = ptr.record_set.as_ref().map_or_else(
                || Content { ttl: desired.ttl, records: Vec::new(), metadata: Metadata::new() },
                |set| set.content.clone(),
            );
            content.ttl = desired.ttl;
            content.records.retain(|target| target.names(&fqdn) || !goes(target));
            if !content.records.iter().any(|target| target.names(&fqdn)) {
                content.records.push(PtrTarget::from(&fqdn));
            }
            content.metadata.insert(OWNER_KEY.to_owned(), desired.owner.as_str().to_owned());
            let edit = ptr.edit(Some(content));
            (edit.before.as_ref().map(|before| &before.content) != edit.after.as_ref()).then_some(edit)
        };
        if rules.policy == Policy::AdoptOnly {
            return self.edits.extend(ptr.adoption(desired).map(|edit| (ptr.address, edit)));
        }
        let full = point(&goes);
        if is_ours && rules.policy == Policy::UpsertOnly {
            // A name that we had stays, and with it the value that says it.
            let kept = point(&|_| false);
            if kept != full {
                self.withheld.extend(full);
            }
            self.edits.extend(kept.map(|edit| (ptr.address, edit)));
        } else {
            self.edits.extend(full.map(|edit| (ptr.address, edit)));
        }
    }

    /// Makes a PTR record set name us no more.
    fn remove(
        &mut self,
        desired: &Desired,
        rules: Rules,
        ptr: &ObservedPtr,
        names: &Names,
        reach: RemovalScope<'_>,
    ) {
        let Some(record_set) = &ptr.record_set else {
            self.clean.insert(ptr.address);
            return;
        };
        let mark = OwnerMark::of(record_set, &desired.owner);
        let may_touch = match &mark {
            OwnerMark::Ours => true,
            OwnerMark::None => reach.unmarked,
            OwnerMark::Other(owner) => match reach.others {
                ForeignOwners::All => true,
                ForeignOwners::Of(owners) => owners.contains(owner),
            },
            OwnerMark::AutoRegistered => false,
        };
        let says_us = record_set.content.records.iter().any(|target| names.said_by(target, &mark));
        if !says_us && mark != OwnerMark::Ours {
            self.clean.insert(ptr.address);
        }
        if !may_touch || (!says_us && mark != OwnerMark::Ours) {
            return;
        }
        let mut content = record_set.content.clone();
        content.records.retain(|target| !names.said_by(target, &mark));
        if mark == OwnerMark::Ours {
            content.metadata.remove(OWNER_KEY);
        }
        let edit = ptr.edit(Some(content).filter(|content| !content.records.is_empty()));
        if matches!(rules.policy, Policy::UpsertOnly | Policy::AdoptOnly) {
            self.withheld.push(edit);
        } else {
            self.edits.push((ptr.address, edit));
        }
    }
}

impl ObservedPtr {
    fn edit(&self, after: Option<Content<PtrTarget>>) -> Edit<PtrTarget> {
        Edit { zone: self.zone.clone(), name: self.name.clone(), before: self.record_set.clone(), after }
    }

    /// The record set with our mark and otherwise as it is, where it says our name and carries no mark.
    fn adoption(&self, desired: &Desired) -> Option<Edit<PtrTarget>> {
        let record_set = self.record_set.as_ref()?;
        let is_free =
            OwnerMark::of(record_set, &desired.owner) == OwnerMark::None && self.says(&desired.fqdn());
        let mut content = record_set.content.clone();
        content.metadata.insert(OWNER_KEY.to_owned(), desired.owner.as_str().to_owned());
        is_free.then(|| self.edit(Some(content)))
    }

    /// Whether one of the records says a name.
    #[must_use]
    pub fn says(&self, name: &DomainName) -> bool {
        self.record_set.iter().flat_map(|set| &set.content.records).any(|target| target.names(name))
    }

    /// The other group that marks this record set, where it says one of our names.
    #[must_use]
    pub fn holder_of(&self, names: &Names, us: &Owner) -> Option<Owner> {
        let record_set = self.record_set.as_ref()?;
        let mark = OwnerMark::of(record_set, us);
        let says_us = record_set.content.records.iter().any(|target| names.said_by(target, &mark));
        match mark {
            OwnerMark::Other(owner) if says_us => Some(owner),
            OwnerMark::Other(_) | OwnerMark::Ours | OwnerMark::None | OwnerMark::AutoRegistered => None,
        }
    }

    /// The names inside the forward zone that a record set of ours says besides the one that it should: names
    /// that the group had, or that were removed already, or that others added.
    pub fn other_names<'a>(&'a self, desired: &'a Desired) -> impl Iterator<Item = RelativeName> + 'a {
        let ours = self.record_set.iter().filter(|set| OwnerMark::of(set, &desired.owner) == OwnerMark::Ours);
        ours.flat_map(|set| &set.content.records)
            .filter_map(|target| target.name()?.relative_to(&desired.zones.forward.name))
            .filter(|name| *name != desired.name)
    }
}
