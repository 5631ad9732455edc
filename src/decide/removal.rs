//! Removes the records of a group that is deleted or has a public address: first PTR values, last the A
//! record set. Only record sets with our mark are removed; under `adopt` also unmarked PTR values that name
//! an A record set of ours.

use std::collections::BTreeMap;

use super::{
    Decider, DesiredAction, Evidence, Key, Lookup, Names, PlanError, Step, addresses_of, failed, is_ours,
    live::names_held_address,
    removals,
    reverse::{RemovalScope, ReversePlan},
};
use crate::{
    decide::{change::Change, desired::Desired},
    domain::dns::{ARecordSet, PtrRecordSet, RelativeName},
};

impl Decider<'_> {
    /// Removes the group's records, as far as the evidence allows. `Ok` if everything is done.
    pub(super) fn remove(&mut self, desired: &Desired, action: DesiredAction) -> Result<(), Step> {
        let evidence = match action {
            DesiredAction::RemoveDeleted => self.goal.evidence,
            _ => Evidence::Deletion,
        };
        if evidence == Evidence::None {
            return self.not_visible(desired, action);
        }
        let is_deleted = action == DesiredAction::RemoveDeleted;
        self.search(desired, is_deleted)?;
        let own =
            self.facts.pass.a.get(&desired.name).and_then(|read| read.as_ref().ok()).and_then(Option::as_ref);
        let own = own.filter(|set| is_ours(set, desired));
        // A lock may have left an empty record set of an earlier removal, which did not find the others.
        let is_emptied_now = self.facts.is_written(&Key::A(desired.name.clone()));
        let is_filled = |set: &ARecordSet| is_emptied_now || addresses_of(set).next().is_some();
        let mut listed = BTreeMap::new();
        if is_deleted {
            listed = self.listed_names(desired, own.is_some_and(is_filled))?;
        }
        let mut beside_confirmation = Lookup::new(self.facts);
        for address in listed.values().flat_map(addresses_of) {
            beside_confirmation.ptr(self.goal, address);
        }

        // Names from the goal, from extra lookups or from a list are removed last; a name that only a PTR
        // record leads to is removed before that PTR record.
        let mut old = self.old_names(desired);
        let mut last: BTreeMap<RelativeName, ARecordSet> = BTreeMap::new();
        for name in self.known_names() {
            last.extend(old.get(name).map(|set| (name.clone(), set.clone())));
        }
        for (name, set) in listed {
            if !old.contains_key(&name) {
                old.insert(name.clone(), set.clone());
                last.insert(name, set);
            }
        }
        let first = old.iter().filter(|(name, _)| !last.contains_key(*name));
        let first: BTreeMap<_, _> = first.map(|(name, set)| (name.clone(), set.clone())).collect();
        last.extend(own.map(|set| (desired.name.clone(), set.clone())));

        let mut names = self.names(desired);
        let marked = old.keys().chain(own.map(|_| &desired.name));
        names.held.extend(marked.map(|name| name.within(&desired.zones.forward.name)));
        names.own.insert(desired.fqdn());
        let mut plan = ReversePlan::default();
        for ptr in self.facts.all_ptrs(&self.goal.zones) {
            let is_held = |target| names_held_address(&names, target);
            let is_concerned = ptr.is_ours(&desired.owner)
                || ptr.record_set.is_some_and(|set| set.content.records.iter().any(is_held));
            if is_concerned {
                plan.remove(desired, self.rules, &ptr, &names, RemovalScope::OursAndUnmarked);
            }
        }
        if !is_deleted {
            let is_ours = |set: &PtrRecordSet| is_ours(set, desired);
            for edits in [&mut plan.edits, &mut plan.withheld] {
                edits.retain(|edit| edit.before.as_ref().is_some_and(is_ours));
            }
        }
        let (first, last) = (removals(desired, &first), removals(desired, &last));
        self.withheld.extend(plan.withheld.into_iter().map(Change::Ptr));
        if !self.rules.may_remove() {
            self.withheld.extend(first.into_iter().chain(last));
        } else if self.is_any_due(&first) || self.is_any_due(&last) || !plan.edits.is_empty() {
            if evidence != Evidence::Deletion {
                return self.not_visible(desired, action);
            }
            if !is_deleted {
                // Without lists, nothing else leads to a PTR record set whose read failed.
                self.check_failures(self.facts.failed_ptr_reads())?;
            }
            self.confirm(action, desired, beside_confirmation)?.finish()?;
            self.write(first)?;
            self.write(plan.edits.into_iter().map(Change::Ptr))?;
            if self.facts.failed_ptr_reads().next().is_none() {
                self.write(last)?;
            }
        }
        self.check_failures(self.facts.failed_ptr_reads())?;
        self.finish()
    }

    /// A group that answers 404 without enough evidence: its records stay. Only the PTR records of this
    /// invocation are removed.
    fn not_visible(&mut self, desired: &Desired, action: DesiredAction) -> Result<(), Step> {
        let mut lookup = Lookup::new(self.facts);
        for address in &self.facts.run.touched_addresses {
            lookup.ptr(self.goal, *address);
        }
        lookup.finish()?;
        // A 404 has no tags, so the name in such a PTR record comes from the A record sets that were written.
        let written = self.facts.run.written_names.iter().chain([&desired.name]);
        let own = written.map(|name| name.within(&desired.zones.forward.name)).collect();
        let names = Names { own, ..Names::default() };
        let mut plan = ReversePlan::default();
        let is_touched = |address| self.facts.run.touched_addresses.contains(&address);
        for ptr in self.facts.ptrs(&self.goal.zones) {
            let is_named = names.own.iter().any(|name| ptr.contains(name));
            if is_named && ptr.is_ours(&desired.owner) && ptr.address.is_some_and(is_touched) {
                plan.remove(desired, self.rules, &ptr, &names, RemovalScope::Ours);
            }
        }
        if !plan.edits.is_empty() {
            self.confirm(action, desired, Lookup::new(self.facts))?.finish()?;
            self.write(plan.edits.into_iter().map(Change::Ptr))?;
        }
        Err(failed(PlanError::NotVisible))
    }

    /// The names that are known without a PTR record or a list of this pass.
    fn known_names(&self) -> impl Iterator<Item = &RelativeName> {
        let elsewhere = self.goal.lookups.names.iter().chain(&self.facts.run.written_names);
        [&self.goal.own_name].into_iter().chain(elsewhere)
    }

    /// Reads the A record set at the effective name and the PTR record sets at all addresses of ours, and
    /// follows the names in our PTR record sets until nothing new is found. For a deleted group, also lists
    /// the reverse zones, because its previous addresses are deleted with the A record set.
    fn search(&self, desired: &Desired, is_deleted: bool) -> Result<(), Step> {
        let mut lookup = Lookup::new(self.facts);
        let own = lookup.a(&desired.name).flatten().filter(|set| is_ours(set, desired));
        let old = self.old_names(desired);
        let held = own.into_iter().chain(old.values()).flat_map(addresses_of);
        for address in held.chain(self.facts.run.touched_addresses.iter().copied()) {
            lookup.ptr(self.goal, address);
        }
        for name in self.known_names().filter(|name| **name != desired.name) {
            lookup.a(name);
        }
        if is_deleted {
            lookup.ptr_lists(self.goal);
        } else {
            for address in &self.goal.lookups.addresses {
                lookup.ptr(self.goal, *address);
            }
        }
        lookup.finish()?;
        let mut lookup = Lookup::new(self.facts);
        for ptr in self.facts.all_ptrs(&self.goal.zones) {
            for name in ptr.other_names(desired) {
                lookup.a(&name);
            }
        }
        lookup.finish()
    }

    /// Our A record sets under other names, from a list of the forward zone: if no other record set with our
    /// mark was found, or if no reverse zone could lead to them. A record set at our own name that only the list contains
    /// counts, too: the single read may be stale. If the record set was deleted instead, the write gets a 412, and
    /// another pass follows.
    fn listed_names(
        &self,
        desired: &Desired,
        is_own_marked: bool,
    ) -> Result<BTreeMap<RelativeName, ARecordSet>, Step> {
        let is_any_marked =
            is_own_marked || !self.old_names(desired).is_empty() || !self.facts.run.removed_names.is_empty();
        if is_any_marked && !self.goal.zones.reverse.is_empty() && self.facts.pass.a_list.is_none() {
            return Ok(BTreeMap::new());
        }
        let mut lookup = Lookup::new(self.facts);
        let listed = lookup.a_list();
        lookup.finish()?;
        let is_read_absent = matches!(self.facts.pass.a.get(&desired.name), Some(Ok(None)));
        let is_left = |name: &RelativeName| {
            (*name != desired.name || is_read_absent) && !self.facts.is_written(&Key::A(name.clone()))
        };
        let sets = listed.into_iter().flatten().filter(|(name, set)| is_left(name) && is_ours(set, desired));
        Ok(sets.cloned().collect())
    }
}
