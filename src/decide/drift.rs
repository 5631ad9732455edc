//! How DNS and the live group differ: drift is what a plan would change.

use std::net::Ipv4Addr;

use super::{
    Conflict, Decider, Lookup, Observation, ObservedPtr, ReversePlan, Step, Target, Unmanaged, Verdict,
    addresses_of, desired, is_ours, live::Holder, unmanaged,
};
use crate::{
    decide::{
        desired::Desired,
        report::{Drift, DriftEvent, DriftKind},
    },
    domain::{container_group::AddressState, dns::ARecordSet},
};

impl Decider<'_> {
    /// Compares the desired record sets with the current ones. Partial reads give no verdict.
    pub(super) fn compare(
        &mut self,
        observation: &Observation,
        own: Option<&ARecordSet>,
    ) -> Result<Step, Step> {
        let address = match observation.state {
            AddressState::Running(address) => address,
            AddressState::Deleted => return Ok(unmanaged(Unmanaged::Deleted)),
            AddressState::Deleting => return Ok(unmanaged(Unmanaged::Deleting)),
            AddressState::Public => return Ok(unmanaged(Unmanaged::Public)),
            AddressState::StandbyPool => return Ok(unmanaged(Unmanaged::StandbyPool)),
            AddressState::ProvisioningFailed => return Ok(unmanaged(Unmanaged::ProvisioningFailed)),
            AddressState::NoAddress => return Ok(unmanaged(Unmanaged::NoAddress)),
            AddressState::Pending => return Ok(unmanaged(Unmanaged::Pending)),
            AddressState::Released => return Ok(unmanaged(Unmanaged::Released)),
        };
        let desired = desired(observation)?;
        let mut lookup = Lookup::new(self.facts);
        let set = if desired.is_name_from_tag { lookup.a(&desired.name) } else { Some(own) };
        lookup.ptr(self.goal, address);
        if let Some(set) = set {
            for address in
                set.into_iter().flat_map(addresses_of).chain(self.goal.lookups.addresses.iter().copied())
            {
                lookup.ptr(self.goal, address);
            }
        }
        lookup.finish()?;
        self.check_failures(self.facts.failed_ptr_reads())?;
        let set = set.flatten();
        let conflict = match self.holder(&desired, set)? {
            Holder::Foreign(conflict) => Some(conflict),
            Holder::Absent | Holder::Ours | Holder::Free => None,
        };
        let ptrs = self.facts.ptrs(&self.goal.zones);
        let plan = self.plan_ptrs(&desired, Some(address), &ptrs)?;
        self.target = Some(Target { fqdn: desired.fqdn(), address: Some(address) });
        // An empty record set of ours reserves the name and counts as absent.
        let set = set.filter(|set| !(set.content.records.is_empty() && is_ours(set, &desired)));
        Ok(Step::Done(Verdict::Compared(compare(&desired, address, set, conflict.as_ref(), &ptrs, &plan))))
    }
}

/// Compares the desired record sets of a group with an address with the current ones.
#[must_use]
pub fn compare(
    desired: &Desired,
    address: Ipv4Addr,
    record_set: Option<&ARecordSet>,
    conflict: Option<&Conflict>,
    ptrs: &[ObservedPtr<'_>],
    plan: &ReversePlan,
) -> Drift {
    let at_address = ptrs.iter().find(|ptr| ptr.address == Some(address)).and_then(|ptr| ptr.record_set);
    let dns_ptr: Vec<String> =
        at_address.iter().flat_map(|set| &set.content.records).map(ToString::to_string).collect();
    let Some(record_set) = record_set else {
        let (event, kinds, dns_addresses) = (DriftEvent::FirstSeen, vec![], vec![]);
        return Drift { event, kinds, dns_addresses, dns_ptr, services: vec![] };
    };
    let fqdn = desired.fqdn();
    let is_ptr_due = desired.wants_ptr && !desired.zones.reverse.is_empty();
    let is_named = ptrs.iter().any(|ptr| ptr.address == Some(address) && ptr.contains(&fqdn));
    let other_ttl = |ttl: u32| ttl != desired.ttl;
    let is_stale =
        |ptr: &ObservedPtr<'_>| ptr.contains(&fqdn) && (ptr.address != Some(address) || !desired.wants_ptr);
    let applies = [
        (DriftKind::Address, record_set.content.records != [address]),
        (
            DriftKind::Ttl,
            other_ttl(record_set.content.ttl)
                || (is_ptr_due && is_named && at_address.is_some_and(|set| other_ttl(set.content.ttl))),
        ),
        (DriftKind::PtrMissing, is_ptr_due && dns_ptr.is_empty()),
        (DriftKind::PtrMismatch, is_ptr_due && !dns_ptr.is_empty() && !is_named),
        (DriftKind::PtrStale, ptrs.iter().any(is_stale)),
        (DriftKind::Foreign, conflict.is_some() || !plan.conflicts.is_empty()),
    ];
    let kinds: Vec<DriftKind> =
        applies.into_iter().filter(|(_, applies)| *applies).map(|(kind, _)| kind).collect();
    let event = if kinds.is_empty() { DriftEvent::NoChange } else { DriftEvent::DriftDetected };
    let dns_addresses = record_set.content.records.clone();
    Drift { event, kinds, dns_addresses, dns_ptr, services: vec![] }
}
