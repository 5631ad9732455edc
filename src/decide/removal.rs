//! A group whose records are removed: PTR values first, the A record set last.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Decider, ForeignOwners, Key, Lookup, ObservedPtr, OwnerMark, RemovalScope, Step, is_ours,
    live::ptr_changes, removals, reverse_removal,
};
use crate::{
    change::Change,
    config::Ownership,
    desired::Desired,
    dns::{ARecordSet, Owner, RelativeName},
};

impl Decider<'_> {
    /// Removes the group's records: all of them, or only those that carry our mark. `Ok` when nothing is left to do.
    pub(super) fn remove(&mut self, desired: &Desired, is_marked_only: bool) -> Result<(), Step> {
        let adopts = self.rules.ownership == Ownership::Adopt && !is_marked_only;
        self.search(desired)?;
        let record_set =
            self.facts.pass.a.get(&desired.name).and_then(|read| read.as_ref().ok()).cloned().flatten();
        let mark = record_set.as_ref().map(|set| OwnerMark::of(set, &desired.owner));
        let is_own_removed = match mark {
            Some(OwnerMark::Ours) => true,
            Some(OwnerMark::None) => adopts && !desired.is_name_from_tag,
            Some(OwnerMark::Other(_) | OwnerMark::AutoRegistered) | None => false,
        };
        let listed = self.listed_names(desired, mark.as_ref())?;

        let mut others = self.other_names(desired);
        // What is known from its name or from a list is removed last; what is known only from a PTR is removed before
        // that PTR.
        let own_name = (self.goal.own_name != desired.name).then_some(&self.goal.own_name);
        let mut last: BTreeMap<_, _> =
            own_name.and_then(|name| others.marked.get_key_value(name)).into_iter().map(owned).collect();
        for (name, set) in listed {
            others.marked.insert(name.clone(), set.clone());
            last.insert(name, set);
        }
        let first = others.marked.iter().filter(|(name, _)| !last.contains_key(*name)).map(owned).collect();
        let is_own_ours = is_own_removed || record_set.is_none();
        if let Some(own) = record_set.filter(|_| is_own_removed) {
            last.insert(desired.name.clone(), own);
        }

        let mut names = others.names(desired, self.facts, is_own_ours.then_some(&desired.name));
        if !is_own_ours {
            // The name is another owner's; but a PTR record set that carries our mark says it for us.
            names.vanished.insert(desired.fqdn());
        }
        let says_us = |target: &crate::dns::PtrTarget| names.held.iter().any(|name| target.names(name));
        let ptrs = self.facts.listed_ptrs(&self.goal.zones, |set| {
            is_ours(set, desired) || set.content.records.iter().any(says_us)
        });
        let deleted = if adopts { self.deleted_owners(desired, &ptrs, &names)? } else { BTreeSet::new() };
        let scope = RemovalScope { unmarked: adopts, others: ForeignOwners::Of(&deleted) };
        let plan = reverse_removal(desired, self.rules, &ptrs, &names, scope);
        self.withheld.extend(plan.withheld.into_iter().map(Change::Ptr));
        let (first, last) = (removals(desired, &first), removals(desired, &last));
        if self.rules.may_remove() {
            self.write(first)?;
            self.write(ptr_changes(plan.edits))?;
            if self.facts.failed_ptr_reads().next().is_none() {
                self.write(last)?;
            }
        } else {
            self.withheld.extend(first.into_iter().chain(last));
        }
        self.check_failures(self.facts.failed_ptr_reads())?;
        self.finish()
    }

    /// Reads the A record set at the name that counts and the lists of the reverse zones, and follows what PTR record
    /// sets of ours say until nothing new is found.
    fn search(&self, desired: &Desired) -> Result<(), Step> {
        let mut lookup = Lookup::new(self.facts);
        lookup.a(&desired.name);
        for name in self.goal.lookups.names.iter().filter(|name| **name != desired.name) {
            lookup.a(name);
        }
        lookup.ptr_lists(self.goal);
        lookup.finish()?;
        let mut lookup = Lookup::new(self.facts);
        for ptr in self.facts.listed_ptrs(&self.goal.zones, |set| is_ours(set, desired)) {
            for name in ptr.other_names(desired) {
                lookup.a(&name);
            }
        }
        lookup.finish()
    }

    /// The A record sets of ours under other names, from a list of the forward zone: where nothing else was found
    /// that carries our mark, or where no reverse zone could have led to them.
    fn listed_names(
        &self,
        desired: &Desired,
        mark: Option<&OwnerMark>,
    ) -> Result<BTreeMap<RelativeName, ARecordSet>, Step> {
        let is_any_marked = mark == Some(&OwnerMark::Ours)
            || !self.other_names(desired).marked.is_empty()
            || !self.facts.run.removed_names.is_empty();
        if is_any_marked && !self.goal.zones.reverse.is_empty() && self.facts.pass.a_list.is_none() {
            return Ok(BTreeMap::new());
        }
        let mut lookup = Lookup::new(self.facts);
        let listed = lookup.a_list();
        lookup.finish()?;
        let is_left =
            |name: &RelativeName| *name != desired.name && !self.facts.is_written(&Key::A(name.clone()));
        let sets = listed.into_iter().flatten().filter(|(name, _)| is_left(name));
        Ok(sets.cloned().collect())
    }

    /// The owners that mark PTR record sets which say our names, and that are deleted.
    fn deleted_owners(
        &self,
        desired: &Desired,
        ptrs: &[ObservedPtr],
        names: &super::Names,
    ) -> Result<BTreeSet<Owner>, Step> {
        let owners: BTreeSet<Owner> =
            ptrs.iter().filter_map(|ptr| ptr.holder_of(names, &desired.owner)).collect();
        let mut lookup = Lookup::new(self.facts);
        let deleted = owners.into_iter().filter(|owner| lookup.owner(owner) == Some(true)).collect();
        lookup.finish()?;
        Ok(deleted)
    }
}

fn owned((name, set): (&RelativeName, &ARecordSet)) -> (RelativeName, ARecordSet) {
    (name.clone(), set.clone())
}
