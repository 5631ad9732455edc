//! A group that exists: its A record set contains its address, and the PTR record at the address names the
//! group. The A record set of a stopped group stays empty, which reserves the name, and its PTR values are
//! removed.

use std::{collections::BTreeSet, net::Ipv4Addr};

use super::{
    Conflict, Decider, DesiredAction, Key, Lookup, Names, ObservedA, OwnerMark, PlanError, Step,
    addresses_of, failed, forget, forward,
    forward::remembers_more,
    is_ours,
    ownership::{owner_conflict, unmarked_conflict},
    removals,
    reverse::{Holders, ObservedPtr, OtherHolder, RemovalScope, ReversePlan, other_holders},
};
use crate::{
    decide::{change::Change, desired::Desired},
    domain::{
        container_group::AddressState,
        dns::{ARecordSet, Owner, PtrTarget},
    },
};

/// The owner of the A record set at the group's name.
pub(super) enum Holder {
    /// There is no A record set.
    Absent,
    /// It is the group's.
    Ours,
    /// It may be taken over.
    Free,
    /// It belongs to another owner.
    Foreign(Conflict),
}

impl Decider<'_> {
    /// Makes the records name an address, or reserve the name if there is no address. `Ok` if everything is
    /// done.
    pub(super) fn keep(
        &mut self,
        desired: &Desired,
        action: DesiredAction,
        address: Option<Ipv4Addr>,
    ) -> Result<(), Step> {
        if let Some(address) = address.filter(|address| !desired.zones.accepts(*address)) {
            return Err(failed(PlanError::AddressRefused { address, fqdn: desired.fqdn() }));
        }
        let mut lookup = Lookup::new(self.facts);
        let set = lookup.a(&desired.name);
        for name in self.facts.run.written_names.iter().filter(|name| **name != desired.name) {
            lookup.a(name);
        }
        lookup.finish()?;
        let set = set.flatten();
        if address.is_none() && set.is_some_and(|set| !is_ours(set, desired)) {
            // The name of a stopped group has another owner: it cannot be reserved.
            return Ok(());
        }
        let holder = match self.cname(desired)? {
            Some(conflict) => Holder::Foreign(conflict),
            None => self.holder(desired, set)?,
        };
        let is_taken_over = match (holder, address) {
            (Holder::Foreign(conflict), Some(address)) => {
                return self.yield_name(desired, address, set, conflict);
            }
            (Holder::Foreign(_) | Holder::Free, None) => return Ok(()),
            (Holder::Free, Some(_)) => self.rules.remembers(),
            (Holder::Ours | Holder::Absent, _) => false,
        };
        let observed = self.observe_a(desired, set, address, is_taken_over)?;
        let key = Key::A(desired.name.clone());
        let is_written = self.facts.is_written(&key);

        // The A record set is written while the PTR record sets are read.
        let mut lookup = Lookup::new(self.facts);
        for address in self.addresses(address, &observed) {
            lookup.ptr(self.goal, address);
        }
        let is_emptied = address.is_none() && set.is_some_and(|set| !set.content.records.is_empty());
        if self.rules.may_remove() && (is_emptied || !observed.old_names.is_empty()) {
            lookup = self.confirm(action, desired, lookup)?;
        }
        let has_failed = self.facts.pass.failed_writes.iter().any(|(failed, _)| *failed == key);
        if has_failed || self.facts.pass.clashes.contains(&desired.name) {
            return Err(failed(PlanError::Request(key)));
        }
        let edit = forward(desired, self.rules, address, &observed, self.facts.now);
        match edit.filter(|edit| !is_written || remembers_more(edit)) {
            Some(edit) if address.is_none() && !self.rules.may_remove() => {
                self.withheld.push(Change::A(edit));
            }
            Some(edit) => return Err(Step::Act { read: lookup.missing, write: vec![Change::A(edit)] }),
            None => {}
        }
        lookup.finish()?;
        if observed.is_listing_incomplete {
            // We do not own the A record set yet; its owner may delete it together with its previous
            // addresses.
            self.check_failures(self.facts.failed_ptr_lists())?;
        }
        self.follow_names(desired)?;
        self.remove_old_names(desired)?;

        let ptrs = self.facts.ptrs(&self.goal.zones);
        let mut plan = self.plan_ptrs(desired, address, &ptrs)?;
        self.withheld.extend(plan.withheld.drain(..).map(Change::Ptr));
        let mut last: Vec<Change> = plan.edits.drain(..).map(Change::Ptr).collect();
        if let Some(set) = set.filter(|set| !is_written && is_ours(set, desired)) {
            let is_unwritten = |address: &Ipv4Addr| !self.is_ptr_written(*address);
            let clean = plan.clean.iter().copied().filter(is_unwritten).collect();
            last.extend(forget(desired, self.rules, set, &clean, self.facts.now).map(Change::A));
        }
        self.write(last)?;

        self.check_failures(self.facts.failed_ptr_reads())?;
        let zones = &desired.zones;
        if let Some(address) = address.filter(|_| desired.wants_ptr && !zones.reverse.is_empty())
            && zones.reverse_name(address).is_none()
        {
            return Err(failed(PlanError::NoReverseZone { address, fqdn: desired.fqdn() }));
        }
        self.finish()?;
        match plan.conflicts.into_iter().next() {
            Some(conflict) => Err(self.ptr_conflict(conflict)),
            None => Ok(()),
        }
    }

    /// The conflict with a CNAME record set, beside which Azure refuses an A record set.
    fn cname(&self, desired: &Desired) -> Result<Option<Conflict>, Step> {
        if !self.facts.pass.clashes.contains(&desired.name) {
            return Ok(None);
        }
        let mut lookup = Lookup::new(self.facts);
        let target = lookup.cname(&desired.name);
        lookup.finish()?;
        let target = target.flatten();
        Ok(target.map(|target| Conflict::Cname { name: desired.fqdn(), target: target.to_owned() }))
    }

    /// The owner of an A record set at our name.
    pub(super) fn holder(&self, desired: &Desired, set: Option<&ARecordSet>) -> Result<Holder, Step> {
        let Some(set) = set else { return Ok(Holder::Absent) };
        let mark = OwnerMark::of(set, &desired.owner);
        Ok(match &mark {
            OwnerMark::Ours => Holder::Ours,
            // The map decides which services exist: a mark of another one means nothing.
            OwnerMark::Other(owner)
                if owner.service().is_some_and(|(scope, label)| {
                    !self.goal.map.declares(&scope, label, &desired.zones.forward)
                }) =>
            {
                Holder::Free
            }
            OwnerMark::Other(owner) if self.is_freed(owner, desired)? => Holder::Free,
            OwnerMark::Other(owner) => {
                let record = format!("the A record set {}", desired.fqdn());
                Holder::Foreign(owner_conflict(record, owner))
            }
            mark => unmarked_conflict(desired, self.rules, mark).map_or(Holder::Free, Holder::Foreign),
        })
    }

    /// Whether two reads of the group in a mark, three seconds apart, both say that it is deleted or should
    /// have another name. A group that permanently cannot be read keeps its name.
    fn is_freed(&self, owner: &Owner, desired: &Desired) -> Result<bool, Step> {
        let mut lookup = Lookup::new(self.facts);
        let first = lookup.owner(owner);
        lookup.finish()?;
        if !first.flatten().is_some_and(|other| other.frees(desired)) {
            return Ok(false);
        }
        let mut lookup = Lookup::new(self.facts);
        let second = lookup.owner_confirmation(owner);
        // It is read whether or not the confirmation agrees.
        if let Some(address) = self.target.as_ref().and_then(|target| target.address) {
            lookup.ptr(self.goal, address);
        }
        lookup.finish()?;
        Ok(second.flatten().is_some_and(|other| other.frees(desired)))
    }

    /// The A record set at the effective name, with the addresses that it must store. For a takeover, the PTR
    /// records that name it are listed, because it could not store previous addresses for us.
    fn observe_a(
        &self,
        desired: &Desired,
        set: Option<&ARecordSet>,
        address: Option<Ipv4Addr>,
        is_taken_over: bool,
    ) -> Result<ObservedA, Step> {
        let mut observed = ObservedA { record_set: set.cloned(), ..ObservedA::default() };
        if self.rules.may_remove() {
            observed.old_names = self.old_names(desired).into_values().collect();
        }
        if is_taken_over {
            let mut lookup = Lookup::new(self.facts);
            lookup.ptr_lists(self.goal);
            lookup.finish()?;
            let fqdn = desired.fqdn();
            let naming = self.facts.all_ptrs(&self.goal.zones).filter(|ptr| ptr.contains(&fqdn));
            observed.listed =
                naming.filter_map(|ptr| ptr.address).filter(|at| Some(*at) != address).collect();
            observed.is_listing_incomplete = self.facts.failed_ptr_lists().next().is_some();
        }
        Ok(observed)
    }

    /// The addresses whose PTR record sets matter: the live address, the current and previous addresses of
    /// the A record sets, and extra lookups.
    fn addresses(&self, address: Option<Ipv4Addr>, observed: &ObservedA) -> BTreeSet<Ipv4Addr> {
        let sets = observed.record_set.iter().chain(&observed.old_names);
        let mut addresses: BTreeSet<Ipv4Addr> = sets.flat_map(addresses_of).collect();
        addresses.extend(address);
        addresses.extend(&observed.listed);
        addresses.extend(&self.facts.run.touched_addresses);
        addresses.extend(&self.goal.lookups.addresses);
        addresses
    }

    /// Reads the names in our PTR record sets other than the effective one, and those from a list.
    fn follow_names(&self, desired: &Desired) -> Result<(), Step> {
        let ptrs = self.facts.ptrs(&self.goal.zones);
        let ptr_names = ptrs.iter().flat_map(|ptr| ptr.other_names(desired));
        let mut lookup = Lookup::new(self.facts);
        for name in
            ptr_names.chain(self.goal.lookups.names.iter().cloned()).filter(|name| *name != desired.name)
        {
            lookup.a(&name);
        }
        lookup.finish()
    }

    /// Removes our A record sets under old names. The set at the new name stores their addresses by now.
    fn remove_old_names(&mut self, desired: &Desired) -> Result<(), Step> {
        let old = removals(desired, &self.old_names(desired));
        if self.rules.may_remove() {
            self.write(old)
        } else {
            self.withheld.extend(old);
            Ok(())
        }
    }

    /// Plans the PTR record sets that were read.
    pub(super) fn plan_ptrs(
        &self,
        desired: &Desired,
        live: Option<Ipv4Addr>,
        ptrs: &[ObservedPtr<'_>],
    ) -> Result<ReversePlan, Step> {
        let holders = match live.filter(|_| desired.wants_ptr) {
            Some(address) => self.holders(address, ptrs)?,
            None => Holders::new(),
        };
        let mut names = self.names(desired);
        names.held.insert(desired.fqdn());
        let mut plan = ReversePlan::default();
        for ptr in ptrs {
            if live.is_none() || ptr.address != live {
                plan.remove(desired, self.rules, ptr, &names, RemovalScope::All);
            } else if desired.wants_ptr {
                let mark = ptr.record_set.map(|set| OwnerMark::of(set, &desired.owner));
                let holder = match &mark {
                    Some(OwnerMark::Other(owner)) => holders.get(owner),
                    _ => None,
                };
                plan.point(self.goal, desired, self.rules, ptr, &names, holder);
            } else {
                plan.remove(desired, self.rules, ptr, &names, RemovalScope::Ours);
            }
        }
        Ok(plan)
    }

    /// The states of the groups in the marks of the PTR record set at our live address. A deleted one is read
    /// twice.
    fn holders(&self, address: Ipv4Addr, ptrs: &[ObservedPtr<'_>]) -> Result<Holders, Step> {
        let mut holders = Holders::new();
        let mut lookup = Lookup::new(self.facts);
        for owner in other_holders(ptrs, &self.goal.owner, address) {
            let Some(first) = lookup.owner(&owner) else { continue };
            let last = match first.map(|other| other.state) {
                Some(AddressState::Deleted) => lookup.owner_confirmation(&owner),
                _ => Some(first),
            };
            let Some(last) = last else { continue };
            let holder = match last.map(|other| other.state) {
                None => OtherHolder::Claims,
                Some(AddressState::Running(at)) if at == address => OtherHolder::Claims,
                Some(AddressState::Pending | AddressState::Deleting) => OtherHolder::Pending,
                Some(_) => OtherHolder::HasLeft,
            };
            holders.insert(owner, holder);
        }
        lookup.finish()?;
        Ok(holders)
    }

    /// Ends a pass that did not change the foreign PTR record set at the live address.
    fn ptr_conflict(&self, conflict: Conflict) -> Step {
        let pass = &self.facts.pass;
        let is_pending = |owner: &Owner| {
            let last = pass.owner_confirmations.get(owner).or_else(|| pass.owners.get(owner));
            let other = last.and_then(|read| read.as_ref().ok());
            other.is_some_and(|other| matches!(other.state, AddressState::Pending | AddressState::Deleting))
        };
        match &conflict {
            Conflict::SharedAddress { owner, .. } if is_pending(owner) => {
                failed(PlanError::HolderPending(conflict))
            }
            _ => failed(PlanError::PtrConflict(conflict)),
        }
    }

    fn is_ptr_written(&self, address: Ipv4Addr) -> bool {
        self.goal.ptr_key(address).is_some_and(|key| self.facts.is_written(&Key::Ptr(key)))
    }

    /// The name belongs to another owner: a PTR record of ours with that name is false, and no A record set
    /// leads to it. A pass wrote it while another group took the name over. The exception is an A record set
    /// that another program rewrote without our mark: while it contains the live address, both directions
    /// agree.
    fn yield_name(
        &mut self,
        desired: &Desired,
        address: Ipv4Addr,
        set: Option<&ARecordSet>,
        conflict: Conflict,
    ) -> Result<(), Step> {
        let unmarked = set.filter(|set| OwnerMark::of(set, &desired.owner) == OwnerMark::None);
        let mut lookup = Lookup::new(self.facts);
        // An A record set without a mark may have been ours, so our PTR records may be at its addresses.
        let held = unmarked.into_iter().flat_map(addresses_of);
        for address in self.facts.run.touched_addresses.iter().copied().chain(held).chain([address]) {
            lookup.ptr(self.goal, address);
        }
        lookup.finish()?;
        let fqdn = desired.fqdn();
        let names = Names { own: BTreeSet::from([fqdn.clone()]), ..Names::default() };
        let is_address_right = unmarked.is_some_and(|set| set.content.records.contains(&address));
        let mut plan = ReversePlan::default();
        let mut is_mark_lost = false;
        for ptr in self.facts.ptrs(&self.goal.zones) {
            let is_named = ptr.is_ours(&desired.owner) && ptr.contains(&fqdn);
            if is_named && is_address_right && ptr.address == Some(address) {
                is_mark_lost = true;
            } else if is_named {
                plan.remove(desired, self.rules, &ptr, &names, RemovalScope::Ours);
            }
        }
        self.withheld.extend(plan.withheld.into_iter().map(Change::Ptr));
        self.write(plan.edits.into_iter().map(Change::Ptr))?;
        Err(failed(PlanError::Conflict(match conflict {
            Conflict::Unmarked(record) | Conflict::ChosenByTag(record) if is_mark_lost => {
                Conflict::LostMark(record)
            }
            conflict => conflict,
        })))
    }
}

/// Whether a PTR value is one of these names, whatever the mark of its record set.
pub(super) fn names_held_address(names: &Names, target: &PtrTarget) -> bool {
    names.held.iter().any(|name| target.names(name))
}
