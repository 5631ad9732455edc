//! Desired x observed -> changes and conflicts. The only place that decides what is written.
//!
//! Pure: values in, values out; no clock (`now` is an argument), no policy test around a write (what the policy
//! forbids is `withheld`, beside the changes). The rules are section 3.3 of the design:
//!
//! * A record set is *ours* (marked with our group), *free* (unmarked under `adopt`, or marked with a group that
//!   is gone) or *foreign*. A foreign A record set means that nothing at all is written.
//! * No address leaves the A record set before its metadata remembers it; no address is forgotten before its PTR
//!   was seen not to name us and no slow writer can still believe in it.
//! * An address has one holder: at our live address, the names of our own zone are replaced, whoever wrote them.
//!   Anywhere else only our own names go, and what others wrote stays as it is.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    net::Ipv4Addr,
};

use crate::{
    config::{Ownership, Policy},
    desired::Desired,
    dns::{
        ARecordSet, Content, DomainName, MEMORY_LIMIT, Memory, Metadata, OWNER_KEY, Owner, PREVIOUS_KEY,
        Precondition, PtrRecordSet, PtrTarget, RecordSet, RecordType, RelativeName, Zone,
    },
};

/// What an operator decided about writing.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// What becomes of record sets without a mark.
    pub ownership: Ownership,
    /// What may be written.
    pub policy: Policy,
    /// For how many seconds an address is remembered at least.
    pub memory_seconds: u64,
}

/// One record set before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit<Record> {
    /// The zone of the record set.
    pub zone: Zone,
    /// Its relative name.
    pub name: RelativeName,
    /// The record set as it was read; nothing when there is none.
    pub before: Option<RecordSet<Record>>,
    /// What it becomes; nothing when it is deleted.
    pub after: Option<Content<Record>>,
}

impl<Record> Edit<Record> {
    /// What the write is conditional on: that nobody wrote since.
    #[must_use]
    pub fn precondition(&self) -> Precondition {
        self.before
            .as_ref()
            .map_or(Precondition::Absent, |before| Precondition::Unchanged(before.etag.clone()))
    }
}

/// A change of either kind of record set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Of an A record set.
    A(Edit<Ipv4Addr>),
    /// Of a PTR record set.
    Ptr(Edit<PtrTarget>),
}

/// Why a record set at our name or address is not touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The mark names a group that lives, or whose life cannot be read.
    #[error("{record} belongs to the container group {owner}")]
    OtherGroup {
        /// Type and name of the record set.
        record: String,
        /// Whose it is.
        owner: Owner,
    },
    /// The platform registered it for a virtual machine.
    #[error("{0} is registered automatically for a virtual machine")]
    AutoRegistered(String),
    /// It carries no mark, and only marked record sets may be touched.
    #[error("{0} carries no owner mark, and ACI_DNS_OWNERSHIP is strict")]
    Unmarked(String),
    /// It carries no mark, and the name came from a tag.
    #[error("{0} carries no owner mark, and a name chosen by a tag takes over no such record set")]
    ChosenByTag(String),
}

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

/// Who a record set belongs to, as its mark says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mark {
    /// Our group.
    Ours,
    /// Nobody.
    None,
    /// Another group.
    Other(Owner),
    /// The platform.
    AutoRegistered,
}

impl Mark {
    /// Reads the mark of a record set.
    #[must_use]
    pub fn of<Record>(record_set: &RecordSet<Record>, us: &Owner) -> Self {
        match record_set.owner() {
            _ if record_set.is_auto_registered => Self::AutoRegistered,
            None => Self::None,
            Some(owner) if owner == *us => Self::Ours,
            Some(owner) => Self::Other(owner),
        }
    }
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

/// Whether the A record set at our name is somebody else's.
#[must_use]
pub fn conflict(desired: &Desired, rules: Rules, observed: &ObservedA) -> Option<Conflict> {
    let record_set = observed.record_set.as_ref()?;
    let record = format!("the A record set {}", desired.fqdn());
    match Mark::of(record_set, &desired.owner) {
        Mark::Other(owner) if !observed.is_abandoned => Some(Conflict::OtherGroup { record, owner }),
        Mark::AutoRegistered => Some(Conflict::AutoRegistered(record)),
        Mark::None if rules.ownership == Ownership::Strict => Some(Conflict::Unmarked(record)),
        Mark::None if desired.is_name_from_tag => Some(Conflict::ChosenByTag(record)),
        Mark::Ours | Mark::None | Mark::Other(_) => None,
    }
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
pub struct Reach<'a> {
    /// Those without a mark.
    pub unmarked: bool,
    /// Those that are marked with another group.
    pub others: Others<'a>,
}

/// Which record sets that are marked with another group lose the values that name us.
#[derive(Clone, Copy, Debug)]
pub enum Others<'a> {
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
    fn said_by(&self, target: &PtrTarget, mark: &Mark) -> bool {
        let is_ours = *mark == Mark::Ours;
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
            let reach = Reach { unmarked: rules.ownership == Ownership::Adopt, others: Others::All };
            plan.remove(desired, rules, ptr, names, reach);
        } else if desired.wants_ptr {
            plan.point(desired, rules, ptr, names);
        } else {
            let reach = Reach { unmarked: false, others: Others::Of(&nobody) };
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
    reach: Reach<'_>,
) -> ReversePlan {
    let mut plan = ReversePlan::default();
    for ptr in observed {
        plan.remove(desired, rules, ptr, names, reach);
    }
    plan
}

/// What becomes of PTR record sets of ours that say a name which belongs to somebody else.
#[must_use]
pub fn disown(desired: &Desired, rules: Rules, observed: &[ObservedPtr]) -> ReversePlan {
    let names = Names { held: BTreeSet::new(), vanished: BTreeSet::from([desired.fqdn()]) };
    let nobody = BTreeSet::new();
    let reach = Reach { unmarked: false, others: Others::Of(&nobody) };
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
        let mark = ptr.record_set.as_ref().map(|set| Mark::of(set, &desired.owner));
        match &mark {
            Some(Mark::AutoRegistered) => return self.conflicts.push(Conflict::AutoRegistered(record())),
            Some(Mark::None) if rules.ownership == Ownership::Strict => {
                return self.conflicts.push(Conflict::Unmarked(record()));
            }
            Some(Mark::Other(owner)) => _ = self.taken.insert(ptr.address, owner.clone()),
            Some(Mark::None | Mark::Ours) | None => {}
        }
        let is_ours = mark == Some(Mark::Ours);
        let goes =
            |target: &PtrTarget| if is_ours { names.said_by(target, &Mark::Ours) } else { in_zone(target) };
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
        reach: Reach<'_>,
    ) {
        let Some(record_set) = &ptr.record_set else {
            self.clean.insert(ptr.address);
            return;
        };
        let mark = Mark::of(record_set, &desired.owner);
        let may_touch = match &mark {
            Mark::Ours => true,
            Mark::None => reach.unmarked,
            Mark::Other(owner) => match reach.others {
                Others::All => true,
                Others::Of(owners) => owners.contains(owner),
            },
            Mark::AutoRegistered => false,
        };
        let says_us = record_set.content.records.iter().any(|target| names.said_by(target, &mark));
        if !says_us && mark != Mark::Ours {
            self.clean.insert(ptr.address);
        }
        if !may_touch || (!says_us && mark != Mark::Ours) {
            return;
        }
        let mut content = record_set.content.clone();
        content.records.retain(|target| !names.said_by(target, &mark));
        if mark == Mark::Ours {
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
        let is_free = Mark::of(record_set, &desired.owner) == Mark::None && self.says(&desired.fqdn());
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
        let mark = Mark::of(record_set, us);
        let says_us = record_set.content.records.iter().any(|target| names.said_by(target, &mark));
        match mark {
            Mark::Other(owner) if says_us => Some(owner),
            Mark::Other(_) | Mark::Ours | Mark::None | Mark::AutoRegistered => None,
        }
    }

    /// The names inside the forward zone that a record set of ours says besides the one that it should: names
    /// that the group had, or that were removed already, or that others added.
    pub fn other_names<'a>(&'a self, desired: &'a Desired) -> impl Iterator<Item = RelativeName> + 'a {
        let ours = self.record_set.iter().filter(|set| Mark::of(set, &desired.owner) == Mark::Ours);
        ours.flat_map(|set| &set.content.records)
            .filter_map(|target| target.name()?.relative_to(&desired.zones.forward.name))
            .filter(|name| *name != desired.name)
    }
}

/// What else is known to matter for a group, beyond what its own records lead to: found where whole zones were
/// listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hints {
    /// Addresses whose PTR record set says the group's name or carries its mark.
    pub addresses: BTreeSet<Ipv4Addr>,
    /// Names in the forward zone whose A record set carries its mark.
    pub names: BTreeSet<RelativeName>,
}

/// What a change does to the answers that DNS gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// There are answers where there were none.
    Adds,
    /// There are others, or they are kept for another time.
    Alters,
    /// There are none any more.
    Removes,
    /// They stay: only what is written beside them changes.
    Marks,
}

impl Change {
    /// The zone of the record set.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        match self {
            Self::A(edit) => &edit.zone,
            Self::Ptr(edit) => &edit.zone,
        }
    }

    /// Type and relative name of the record set.
    #[must_use]
    pub fn record_set(&self) -> (RecordType, &RelativeName) {
        match self {
            Self::A(edit) => (RecordType::A, &edit.name),
            Self::Ptr(edit) => (RecordType::Ptr, &edit.name),
        }
    }

    /// What it does to the answers that DNS gives.
    #[must_use]
    pub fn effect(&self) -> Effect {
        match self {
            Self::A(edit) => edit.effect(),
            Self::Ptr(edit) => edit.effect(),
        }
    }

    /// Whether it takes over a record set that carried no mark.
    #[must_use]
    pub fn is_adoption(&self) -> bool {
        match self {
            Self::A(edit) => edit.is_adoption(),
            Self::Ptr(edit) => edit.is_adoption(),
        }
    }
}

impl<Record: PartialEq> Edit<Record> {
    fn effect(&self) -> Effect {
        match (&self.before, &self.after) {
            (None, _) => Effect::Adds,
            (Some(_), None) => Effect::Removes,
            (Some(before), Some(after)) => {
                let is_same = before.content.records == after.records && before.content.ttl == after.ttl;
                if is_same { Effect::Marks } else { Effect::Alters }
            }
        }
    }

    fn is_adoption(&self) -> bool {
        self.before.as_ref().is_some_and(|before| before.owner().is_none())
            && self.after.as_ref().is_some_and(|after| after.metadata.contains_key(OWNER_KEY))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(edit) => show(formatter, RecordType::A, edit),
            Self::Ptr(edit) => show(formatter, RecordType::Ptr, edit),
        }
    }
}

/// One line in the manner of a diff: `+`, `-` or `~`, the record set, its records, and what else changes.
fn show<Record: fmt::Display>(
    formatter: &mut fmt::Formatter<'_>,
    record_type: RecordType,
    edit: &Edit<Record>,
) -> fmt::Result {
    let join = |records: &[Record]| records.iter().map(Record::to_string).collect::<Vec<_>>().join(" ");
    let name = edit.name.within(&edit.zone.name);
    match (&edit.before, &edit.after) {
        (None, None) => Ok(()),
        (None, Some(after)) => write!(formatter, "+ {record_type} {name} {}", join(&after.records)),
        (Some(before), None) => {
            write!(formatter, "- {record_type} {name} {}", join(&before.content.records))
        }
        (Some(before), Some(after)) => {
            let (old, new) = (join(&before.content.records), join(&after.records));
            let arrow = if old == new { String::new() } else { format!("{old} -> ") };
            write!(formatter, "~ {record_type} {name} {arrow}{new}")?;
            let notes = notes(&before.content, after);
            if notes.is_empty() { Ok(()) } else { write!(formatter, " ({})", notes.join(", ")) }
        }
    }
}

/// What changes besides the records.
fn notes<Record>(before: &Content<Record>, after: &Content<Record>) -> Vec<String> {
    let mut notes = Vec::new();
    if before.ttl != after.ttl {
        notes.push(format!("ttl {} -> {}", before.ttl, after.ttl));
    }
    let owner = |content: &Content<Record>| content.metadata.get(OWNER_KEY).cloned();
    match (owner(before), owner(after)) {
        (old, new) if old == new => {}
        (old, Some(new)) => notes.push(format!("owner {} -> {new}", old.as_deref().unwrap_or("none"))),
        (old, None) => notes.push(format!("owner {} -> none", old.as_deref().unwrap_or("none"))),
    }
    let memory = |content: &Content<Record>| {
        let text = content.metadata.get(PREVIOUS_KEY).map_or("", String::as_str);
        Memory::parse(text).addresses().collect::<BTreeSet<_>>()
    };
    let (old, new) = (memory(before), memory(after));
    notes.extend(new.difference(&old).map(|address| format!("remember {address}")));
    notes.extend(old.difference(&new).map(|address| format!("forget {address}")));
    notes
}

#[cfg(test)]
mod tests;
