//! Plans A record sets.
//!
//! No address leaves the A record set before its metadata contains it as a previous address. No previous
//! address is forgotten before its PTR record was seen not to name the group, and before no slow writer can
//! still write for it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use super::Rules;
use crate::{
    config::Policy,
    decide::{
        change::{Change, Edit},
        desired::Desired,
    },
    domain::dns::{
        ARecordSet, Content, MEMORY_KEPT, Metadata, OWNER_KEY, PREVIOUS_KEY, PreviousAddresses, RecordSet,
        RelativeName,
    },
};

/// The A record set at our name, if it is ours or may be taken over, with the addresses that it must store.
#[derive(Clone, Debug, Default)]
pub struct ObservedA {
    /// The record set.
    pub record_set: Option<ARecordSet>,
    /// Whether the reverse zones had to be listed and a list failed. Then the address is corrected without the mark, so
    /// that the next pass lists again.
    pub is_listing_incomplete: bool,
    /// The addresses whose PTR record names the group, from lists of the reverse zones. Needed only for a takeover,
    /// because a record set without our mark could not store previous addresses.
    pub listed: BTreeSet<Ipv4Addr>,
    /// Our A record sets under old names: the new name takes over their current and previous addresses.
    pub old_names: Vec<ARecordSet>,
}

/// The desired A record set of a group; `None` if it is correct. A group without an address keeps an empty
/// one, which reserves the name.
#[must_use]
pub fn forward(
    desired: &Desired,
    rules: Rules,
    address: Option<Ipv4Addr>,
    observed: &ObservedA,
    now: u64,
) -> Option<Edit<Ipv4Addr>> {
    let before = observed.record_set.clone();
    if address.is_none() && before.is_none() && observed.old_names.is_empty() {
        return None;
    }
    let (ttl, records) = match (rules.policy, &before) {
        (Policy::AdoptOnly, None) => return None,
        (Policy::AdoptOnly, Some(before)) => (before.content.ttl, before.content.records.clone()),
        (Policy::Sync | Policy::UpsertOnly | Policy::Observe, _) => {
            (desired.ttl, address.into_iter().collect())
        }
    };
    let mut metadata = before.as_ref().map(|set| set.content.metadata.clone()).unwrap_or_default();
    if !observed.is_listing_incomplete {
        metadata.insert(OWNER_KEY.to_owned(), desired.owner.as_str().to_owned());
    }
    if rules.remembers() {
        let mut memory = before.as_ref().map(RecordSet::memory).unwrap_or_default();
        let known = memory.clone();
        for old in &observed.old_names {
            memory.extend(&old.memory());
        }
        let held = before.iter().chain(&observed.old_names).flat_map(|set| &set.content.records);
        for left in observed.listed.iter().chain(held) {
            if desired.zones.reverse_name(*left).is_some() {
                memory.remember(*left, now);
            }
        }
        for kept in &records {
            memory.forget(*kept);
        }
        if memory != known {
            memory.keep_newest(MEMORY_KEPT, now);
        }
        write_memory(&mut metadata, &memory);
    }
    let content = Content { ttl, records, metadata };
    if before.as_ref().is_some_and(|before| before.content == content) {
        return None;
    }
    let (zone, name) = (desired.zones.forward.clone(), desired.name.clone());
    Some(Edit { zone, name, before, after: Some(content) })
}

/// Whether a change stores a previous address that the A record set neither contained nor stored.
pub(super) fn remembers_more(edit: &Edit<Ipv4Addr>) -> bool {
    let memory =
        |metadata: &Metadata| PreviousAddresses::parse(metadata.get(PREVIOUS_KEY).map_or("", String::as_str));
    let (Some(before), Some(after)) = (&edit.before, &edit.after) else { return false };
    let known: BTreeSet<Ipv4Addr> = super::addresses_of(before).collect();
    memory(&after.metadata).addresses().any(|address| !known.contains(&address))
}

/// The A record set without the previous addresses that are old and whose PTR record was seen not to name the
/// group (`clean`). A time far in the future is corrected. `None` if nothing changes.
#[must_use]
pub fn forget(
    desired: &Desired,
    rules: Rules,
    record_set: &ARecordSet,
    clean: &BTreeSet<Ipv4Addr>,
    now: u64,
) -> Option<Edit<Ipv4Addr>> {
    if !rules.may_remove() {
        return None;
    }
    let mut memory = record_set.memory();
    let before = memory.clone();
    // At an address outside of all reverse zones, no PTR record can name the group.
    let is_clean =
        |address: &Ipv4Addr| clean.contains(address) || desired.zones.reverse_name(*address).is_none();
    for address in memory.old(now, rules.memory_seconds).into_iter().filter(is_clean) {
        memory.forget(address);
    }
    memory.correct_future(now, rules.memory_seconds);
    if memory == before {
        return None;
    }
    let mut content = record_set.content.clone();
    write_memory(&mut content.metadata, &memory);
    Some(Edit {
        zone: desired.zones.forward.clone(),
        name: desired.name.clone(),
        before: Some(record_set.clone()),
        after: Some(content),
    })
}

/// The removal of A record sets of the forward zone, by relative name.
#[must_use]
pub fn removals(desired: &Desired, record_sets: &BTreeMap<RelativeName, ARecordSet>) -> Vec<Change> {
    let removal = |(name, record_set): (&RelativeName, &ARecordSet)| {
        Change::A(Edit {
            zone: desired.zones.forward.clone(),
            name: name.clone(),
            before: Some(record_set.clone()),
            after: None,
        })
    };
    record_sets.iter().map(removal).collect()
}

fn write_memory(metadata: &mut Metadata, memory: &PreviousAddresses) {
    if memory.is_empty() {
        metadata.remove(PREVIOUS_KEY);
    } else {
        metadata.insert(PREVIOUS_KEY.to_owned(), memory.to_string());
    }
}
