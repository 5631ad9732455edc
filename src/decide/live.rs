//! A group that runs at an address: its A record set names it, and the PTR at its address names the group.

use std::{collections::BTreeSet, net::Ipv4Addr};

use super::{
    Decider, Key, Lookup, ObservedA, OwnerMark, PlanError, Refusal, Step, addresses_of, conflict, failed,
    forget, forward, is_ours, removals, remove_false_ptrs, reverse,
};
use crate::{
    change::{Change, Edit},
    desired::Desired,
    dns::PtrTarget,
};

impl Decider<'_> {
    /// Makes the records name an address. `Ok` when nothing is left to do.
    pub(super) fn point(&mut self, desired: &Desired, address: Ipv4Addr) -> Result<(), Step> {
        let observed = self.observe_a(desired, address)?;
        let key = Key::A(desired.name.clone());
        let is_written = self.facts.is_written(&key);
        if observed.is_listing_incomplete && is_written {
            // The record set waits for our mark: it does not belong to us yet, and its owner may delete it together
            // with the memory of our PTR.
            self.check_failures(
                self.facts.failed_ptr_reads().filter(|(key, _)| matches!(key, Key::PtrList(_))),
            )?;
        }
        let edit = match forward(desired, self.rules, address, &observed, self.facts.now) {
            // What was written only made room in the memory.
            Ok(Some(_)) if is_written && self.facts.pass.has_written => return Err(self.repeat()),
            Ok(edit) => edit.filter(|_| !is_written),
            Err(full @ Refusal::MemoryFull(_)) => {
                return self.compact_history(desired, address, &observed, full);
            }
            Err(conflict @ Refusal::Conflict(_)) => return self.yield_name(desired, address, conflict),
        };

        // The A record set is written while the PTR record sets are read.
        let addresses = self.addresses(address, &observed);
        let mut lookup = Lookup::new(self.facts);
        for address in &addresses {
            lookup.ptr(self.goal, *address);
        }
        let failed_a = self.facts.pass.failed_writes.iter().find(|(failed, _)| *failed == key);
        if let Some((key, _)) = failed_a {
            return Err(failed(PlanError::Request(key.clone())));
        }
        if let Some(edit) = edit {
            return Err(Step::Act { read: lookup.missing, write: vec![Change::A(edit)] });
        }
        lookup.finish()?;
        if observed.is_listing_incomplete {
            self.check_failures(
                self.facts.failed_ptr_reads().filter(|(key, _)| matches!(key, Key::PtrList(_))),
            )?;
        }
        self.follow_names(desired)?;

        let others = self.other_names(desired);
        let ptrs = self.facts.ptrs(&self.goal.zones);
        let names = others.names(desired, self.facts, Some(&desired.name));
        let plan = reverse(desired, self.rules, address, &ptrs, &names);
        self.withheld.extend(plan.withheld.into_iter().map(Change::Ptr));
        let (first, last): (Vec<_>, Vec<_>) =
            plan.edits.into_iter().partition(|(address, _)| !addresses.contains(address));
        if !others.marked.is_empty() {
            // The memory of an old name is in its A record set alone: what it leads to is made right before it is
            // removed, and it is removed before the PTR that led to it.
            self.write(ptr_changes(first))?;
            let old = removals(desired, &others.marked);
            if !self.rules.may_remove() {
                self.withheld.extend(old);
            } else if self.facts.failed_ptr_reads().next().is_none() {
                self.write(old)?;
            }
        }
        let mut last: Vec<Change> = ptr_changes(last).collect();
        let set = observed.record_set.as_ref().filter(|_| !is_written);
        let is_seen_clean = |address: &Ipv4Addr| !self.is_ptr_written(*address);
        let clean = plan.clean.into_iter().filter(is_seen_clean).collect();
        last.extend(
            set.and_then(|set| forget(desired, self.rules, set, &clean, self.facts.now)).map(Change::A),
        );
        self.write(last)?;

        self.check_failures(self.facts.failed_ptr_reads())?;
        let zones = &desired.zones;
        if desired.wants_ptr && !zones.reverse.is_empty() && zones.reverse_name(address).is_none() {
            return Err(failed(PlanError::NoReverseZone { address, fqdn: desired.fqdn() }));
        }
        self.finish()?;
        match plan.conflicts.into_iter().next() {
            Some(conflict) => Err(failed(PlanError::PtrConflict(conflict))),
            None => Ok(()),
        }
    }

    /// The A record set at the name that counts, with what has to be known to judge it: whether the group that its
    /// mark names is deleted; and, where it is taken over, which PTR records name it, because it could not remember
    /// them for us.
    fn observe_a(&self, desired: &Desired, address: Ipv4Addr) -> Result<ObservedA, Step> {
        let mut lookup = Lookup::new(self.facts);
        let set = lookup.a(&desired.name);
        lookup.finish()?;
        let record_set = set.flatten().cloned();
        let mut observed = ObservedA { record_set, ..ObservedA::default() };
        let Some(set) = &observed.record_set else { return Ok(observed) };
        if let OwnerMark::Other(owner) = OwnerMark::of(set, &desired.owner) {
            let mut lookup = Lookup::new(self.facts);
            let is_deleted = lookup.owner(&owner);
            lookup.finish()?;
            observed.is_abandoned = is_deleted == Some(true);
        }
        let is_taken_over = observed.record_set.as_ref().is_some_and(|set| !is_ours(set, desired))
            && self.rules.remembers()
            && conflict(desired, self.rules, &observed).is_none();
        if is_taken_over {
            let mut lookup = Lookup::new(self.facts);
            lookup.ptr_lists(self.goal);
            lookup.finish()?;
            let fqdn = desired.fqdn();
            let says =
                |set: &crate::dns::PtrRecordSet| set.content.records.iter().any(|target| target.names(&fqdn));
            let naming = self.facts.listed_ptrs(&self.goal.zones, says);
            observed.listed =
                naming.iter().map(|ptr| ptr.address).filter(|listed| *listed != address).collect();
            observed.is_listing_incomplete = self.facts.pass.ptr_lists.values().any(Result::is_err);
        }
        Ok(observed)
    }

    /// The addresses whose PTR record sets matter: the live one, those that the A record set holds or remembers, and
    /// those that are known from elsewhere.
    fn addresses(&self, address: Ipv4Addr, observed: &ObservedA) -> BTreeSet<Ipv4Addr> {
        let mut addresses: BTreeSet<Ipv4Addr> = observed.record_set.iter().flat_map(addresses_of).collect();
        addresses.insert(address);
        addresses.extend(&observed.listed);
        addresses.extend(&self.facts.run.written_ptrs);
        addresses.extend(&self.goal.lookups.addresses);
        addresses
    }

    /// Reads what PTR record sets of ours say besides the name that counts: names that the group had, whose A record
    /// sets remember on their own, which leads to further PTR record sets.
    fn follow_names(&self, desired: &Desired) -> Result<(), Step> {
        let ptrs = self.facts.ptrs(&self.goal.zones);
        let said = ptrs.iter().flat_map(|ptr| ptr.other_names(desired));
        let mut lookup = Lookup::new(self.facts);
        for name in said.chain(self.goal.lookups.names.iter().cloned()).filter(|name| *name != desired.name) {
            lookup.a(&name);
        }
        for address in self.other_names(desired).marked.values().flat_map(addresses_of) {
            lookup.ptr(self.goal, address);
        }
        lookup.finish()
    }

    fn is_ptr_written(&self, address: Ipv4Addr) -> bool {
        self.goal.ptr_key(address).is_some_and(|key| self.facts.is_written(&Key::Ptr(key)))
    }

    /// The name belongs to another owner: a PTR of ours that says it nevertheless is false, and nothing else leads to
    /// it. A pass wrote it that believed in the name while another group took it over.
    fn yield_name(&mut self, desired: &Desired, address: Ipv4Addr, conflict: Refusal) -> Result<(), Step> {
        let mut lookup = Lookup::new(self.facts);
        for address in self.facts.run.written_ptrs.iter().chain([&address]) {
            lookup.ptr(self.goal, *address);
        }
        lookup.finish()?;
        let plan = remove_false_ptrs(desired, self.rules, &self.facts.ptrs(&self.goal.zones));
        self.withheld.extend(plan.withheld.into_iter().map(Change::Ptr));
        self.write(ptr_changes(plan.edits))?;
        Err(failed(PlanError::Refused(conflict)))
    }

    /// The memory is full: the PTR records at remembered addresses are made right, what need not be remembered any
    /// longer is forgotten, and another pass follows. Where there is no such thing, only time helps.
    fn compact_history(
        &mut self,
        desired: &Desired,
        live: Ipv4Addr,
        observed: &ObservedA,
        full: Refusal,
    ) -> Result<(), Step> {
        let Some(before) = &observed.record_set else { return Err(failed(PlanError::Refused(full))) };
        let mut addresses: BTreeSet<Ipv4Addr> = before.memory().addresses().collect();
        addresses.extend(&observed.listed);
        // No PTR is written for the live address before the A record set holds it.
        addresses.remove(&live);
        let mut lookup = Lookup::new(self.facts);
        for address in &addresses {
            lookup.ptr(self.goal, *address);
        }
        lookup.finish()?;
        let mut ptrs = self.facts.ptrs(&self.goal.zones);
        ptrs.retain(|ptr| addresses.contains(&ptr.address));
        let names = super::OtherNames::default().names(desired, self.facts, Some(&desired.name));
        let plan = reverse(desired, self.rules, live, &ptrs, &names);
        let is_seen_clean = |address: &Ipv4Addr| !self.is_ptr_written(*address);
        let clean = plan.clean.into_iter().filter(is_seen_clean).collect();
        let is_written = !self.facts.pass.written.is_empty();
        if !is_written {
            let forgotten = forget(desired, self.rules, before, &clean, self.facts.now);
            self.write(ptr_changes(plan.edits).chain(forgotten.map(Change::A)))?;
        }
        self.check_failures(self.facts.failed_ptr_reads().filter(|_| !is_written))?;
        match (is_written, self.facts.pass.has_written) {
            (true, true) => Err(self.repeat()),
            // A dry run cannot see what the writes would have made room for.
            (true, false) => Ok(()),
            (false, _) => Err(failed(PlanError::Refused(full))),
        }
    }
}

pub(super) fn ptr_changes(edits: Vec<(Ipv4Addr, Edit<PtrTarget>)>) -> impl Iterator<Item = Change> {
    edits.into_iter().map(|(_, edit)| Change::Ptr(edit))
}
