//! What becomes of A record sets.
//!
//! No address leaves the A record set before its metadata remembers it; no address is forgotten before its PTR was
//! seen not to name us and no slow writer can still believe in it.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use super::{Conflict, Rules, conflict};
use crate::{
    change::{Change, Edit},
    config::Policy,
    desired::Desired,
    dns::{
        ARecordSet, Content, DomainName, MEMORY_LIMIT, Memory, Metadata, OWNER_KEY, PREVIOUS_KEY, RecordSet,
        RelativeName,
    },
};

/// Why there is no plan for the A record set.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The name belongs to somebody else.
    #[error(transparent)]
    Conflict(#[from] Conflict),
    /// More addresses would have to be remembered than there is room for.
    #[error(
        "{0} would have to remember more than {MEMORY_LIMIT} previous addresses; they are forgotten five minutes after each move"
    )]
    MemoryFull(DomainName),
}

/// The A record set at our name, with what had to be asked to judge it.
#[derive(Clone, Debug, Default)]
pub struct ObservedA {
    /// The record set.
    pub record_set: Option<ARecordSet>,
    /// Whether its mark names another group, and that group is gone.
    pub is_abandoned: bool,
    /// Whether the reverse zones had to be listed and could not be, all of them: then the address is repaired,
    /// and the mark waits, so that the next pass lists again.
    pub is_listing_incomplete: bool,
    /// The addresses whose PTR was found to name us in a list of the reverse zones: asked only when the record
    /// set is to be taken over, because one that does not carry our mark cannot remember for us.
    pub listed: BTreeSet<Ipv4Addr>,
}

/// What the A record set of a group at a live address becomes, or nothing when it is right.
pub fn forward(
    desired: &Desired,
    rules: Rules,
    address: Ipv4Addr,
    observed: &ObservedA,
    now: u64,
) -> Result<Option<Edit<Ipv4Addr>>, Refusal> {
    if let Some(conflict) = conflict(desired, rules, observed) {
        return Err(conflict.into());
    }
    let before = observed.record_set.clone();
    let (ttl, records) = match (rules.policy, &before) {
        (Policy::AdoptOnly, None) => return Ok(None),
        (Policy::AdoptOnly, Some(before)) => (before.content.ttl, before.content.records.clone()),
        (Policy::Sync | Policy::UpsertOnly | Policy::Observe, _) => (desired.ttl, vec![address]),
    };
    let mut metadata = before.as_ref().map(|set| set.content.metadata.clone()).unwrap_or_default();
    if !observed.is_listing_incomplete {
        metadata.insert(OWNER_KEY.to_owned(), desired.owner.as_str().to_owned());
    }
    if rules.policy != Policy::UpsertOnly {
        let mut memory = before.as_ref().map(RecordSet::memory).unwrap_or_default();
        for listed in &observed.listed {
            memory.remember(*listed, now);
        }
        for held in before.iter().flat_map(|set| &set.content.records) {
            if desired.zones.reverse_name(*held).is_some() {
                memory.remember(*held, now);
            }
        }
        for kept in &records {
            memory.forget(*kept);
        }
        if memory.len() > MEMORY_LIMIT {
            return Err(Refusal::MemoryFull(desired.fqdn()));
        }
        write_memory(&mut metadata, &memory);
    }
    let content = Content { ttl, records, metadata };
    if before.as_ref().is_some_and(|before| before.content == content) {
        return Ok(None);
    }
    Ok(Some(Edit {
        zone: desired.zones.forward.clone(),
        name: desired.name.clone(),
        before,
        after: Some(content),
    }))
}

/// The A record set without what it need not remember any longer: addresses that are old, and whose PTR was
/// seen not to name us (`clean`). Nothing when it forgets nothing.
#[must_use]
pub fn forget(
    desired: &Desired,
    rules: Rules,
    record_set: &ARecordSet,
    clean: &BTreeSet<Ipv4Addr>,
    now: u64,
) -> Option<Edit<Ipv4Addr>> {
    if matches!(rules.policy, Policy::UpsertOnly | Policy::AdoptOnly) {
        return None;
    }
    let mut memory = record_set.memory();
    let old = memory.old(now, rules.memory_seconds);
    // An address that no reverse zone contains has no PTR that could name us.
    let is_clean =
        |address: &Ipv4Addr| clean.contains(address) || desired.zones.reverse_name(*address).is_none();
    let forgotten: Vec<Ipv4Addr> = old.into_iter().filter(is_clean).collect();
    if forgotten.is_empty() {
        return None;
    }
    for address in forgotten {
        memory.forget(address);
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

fn write_memory(metadata: &mut Metadata, memory: &Memory) {
    if memory.is_empty() {
        metadata.remove(PREVIOUS_KEY);
    } else {
        metadata.insert(PREVIOUS_KEY.to_owned(), memory.to_string());
    }
}
