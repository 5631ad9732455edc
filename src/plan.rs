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
        memory.forget(address);
        if memory.len() > MEMORY_LIMIT {
            return Err(Refusal::MemoryFull(desired.fqdn()));
        }
        write_memory(&mut metadata, &memory);
    }
    let content = Content { ttl: desired.ttl, records: vec![address], metadata };
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
    if rules.policy == Policy::UpsertOnly {
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
        if rules.policy == Policy::UpsertOnly {
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
mod tests {
    use super::*;
    use crate::{
        config::Zones,
        dns::{ETag, ReverseZone},
        resource_id::ContainerGroupId,
    };

    const NOW: u64 = 10_000;
    const OWN: &str = "s1/rg-spoke1/web";
    const OTHER: &str = "s1/rg-spoke2/web";

    fn rules() -> Rules {
        Rules { ownership: Ownership::Adopt, policy: Policy::Sync, memory_seconds: 300 }
    }

    fn strict() -> Rules {
        Rules { ownership: Ownership::Strict, ..rules() }
    }

    fn upsert_only() -> Rules {
        Rules { policy: Policy::UpsertOnly, ..rules() }
    }

    fn zone(name: &str) -> Zone {
        Zone { subscription: "s1".into(), resource_group: "rg-dns".into(), name: name.parse().unwrap() }
    }

    fn desired() -> Desired {
        let reverse = vec![ReverseZone::new(zone("1.10.in-addr.arpa")).unwrap()];
        let zones = Zones { forward: zone("spoke1.internal"), reverse, ttl: 60 };
        Desired::of_absent(&ContainerGroupId::new("s1", "rg-spoke1", "web").unwrap(), &zones)
    }

    fn address(last: u8) -> Ipv4Addr {
        Ipv4Addr::new(10, 1, 5, last)
    }

    fn metadata(pairs: &[(&str, &str)]) -> Metadata {
        pairs.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect()
    }

    fn set<Record>(records: Vec<Record>, pairs: &[(&str, &str)]) -> RecordSet<Record> {
        RecordSet {
            etag: ETag::from("e".to_owned()),
            content: Content { ttl: 60, records, metadata: metadata(pairs) },
            is_auto_registered: false,
        }
    }

    fn a(addresses: &[u8], pairs: &[(&str, &str)]) -> ARecordSet {
        set(addresses.iter().map(|last| address(*last)).collect(), pairs)
    }

    fn ptr(last: u8, targets: &[&str], pairs: &[(&str, &str)]) -> ObservedPtr {
        let targets = targets.iter().map(|target| PtrTarget::from(target.to_string())).collect();
        ObservedPtr { record_set: Some(set(targets, pairs)), ..absent(last) }
    }

    fn absent(last: u8) -> ObservedPtr {
        let zone = zone("1.10.in-addr.arpa");
        let name = format!("{last}.5").parse().unwrap();
        ObservedPtr { address: address(last), zone, name, record_set: None }
    }

    fn observed(record_set: ARecordSet) -> ObservedA {
        ObservedA { record_set: Some(record_set), ..ObservedA::default() }
    }

    fn check_forward(rules: Rules, observed: &ObservedA, expected: &str) {
        let plan = forward(&desired(), rules, address(4), observed, NOW);
        let plan = match plan {
            Ok(Some(edit)) => Change::A(edit).to_string(),
            Ok(None) => "nothing".to_owned(),
            Err(refusal) => refusal.to_string(),
        };
        assert_eq!(plan, expected);
    }

    fn names() -> Names {
        let vanished = BTreeSet::from(["gone.spoke1.internal".parse().unwrap()]);
        Names { held: BTreeSet::from([desired().fqdn()]), vanished }
    }

    fn show_reverse(plan: &ReversePlan) -> Vec<String> {
        let mut lines: Vec<String> =
            plan.edits.iter().map(|(_, edit)| Change::Ptr(edit.clone()).to_string()).collect();
        lines.extend(plan.withheld.iter().map(|edit| format!("withheld {}", Change::Ptr(edit.clone()))));
        lines.extend(plan.conflicts.iter().map(ToString::to_string));
        lines.extend(plan.taken.iter().map(|(address, owner)| format!("{address} taken from {owner}")));
        lines
    }

    /// The group lives at 10.1.5.4.
    fn check_reverse(rules: Rules, ptr: ObservedPtr, expected: &[&str]) {
        assert_eq!(show_reverse(&reverse(&desired(), rules, address(4), &[ptr], &names())), expected);
    }

    #[test]
    fn a_missing_a_record_set_is_created_with_our_mark_and_no_memory() {
        let plan = forward(&desired(), rules(), address(4), &ObservedA::default(), NOW);
        let edit = plan.unwrap().unwrap();
        assert_eq!(edit.precondition(), Precondition::Absent);
        let after = Content { ttl: 60, records: vec![address(4)], metadata: metadata(&[(OWNER_KEY, OWN)]) };
        assert_eq!(edit.after, Some(after));
        assert_eq!(Change::A(edit).to_string(), "+ A web.spoke1.internal 10.1.5.4");
    }

    #[test]
    fn a_right_a_record_set_is_left_as_it_is() {
        check_forward(rules(), &observed(a(&[4], &[(OWNER_KEY, OWN), ("cost", "42")])), "nothing");
    }

    #[test]
    fn no_address_leaves_the_a_record_set_before_it_is_remembered() {
        let before = a(&[9, 8], &[(OWNER_KEY, OWN), (PREVIOUS_KEY, "10.1.5.7@9000"), ("cost", "42")]);
        let edit = forward(&desired(), rules(), address(4), &observed(before), NOW).unwrap().unwrap();
        assert_eq!(
            edit.after.unwrap().metadata,
            metadata(&[
                (OWNER_KEY, OWN),
                (PREVIOUS_KEY, "10.1.5.7@9000 10.1.5.8@10000 10.1.5.9@10000"),
                ("cost", "42")
            ])
        );
    }

    #[test]
    fn an_address_that_comes_back_needs_no_memory() {
        let before = a(&[9], &[(OWNER_KEY, OWN), (PREVIOUS_KEY, "10.1.5.4@9000")]);
        check_forward(
            rules(),
            &observed(before),
            "~ A web.spoke1.internal 10.1.5.9 -> 10.1.5.4 (remember 10.1.5.9, forget 10.1.5.4)",
        );
    }

    #[test]
    fn an_address_outside_of_every_reverse_zone_needs_no_memory() {
        let before = set(vec![Ipv4Addr::new(192, 168, 0, 9)], &[(OWNER_KEY, OWN)]);
        check_forward(rules(), &observed(before), "~ A web.spoke1.internal 192.168.0.9 -> 10.1.5.4");
    }

    #[test]
    fn with_upsert_only_nothing_is_remembered_and_memory_is_left_as_it_is() {
        let before = a(&[9], &[(OWNER_KEY, OWN), (PREVIOUS_KEY, "10.1.5.7@9000")]);
        check_forward(
            upsert_only(),
            &observed(before.clone()),
            "~ A web.spoke1.internal 10.1.5.9 -> 10.1.5.4",
        );
        let clean = BTreeSet::from([address(7)]);
        assert_eq!(forget(&desired(), upsert_only(), &before, &clean, NOW), None);
    }

    #[test]
    fn a_pass_that_would_remember_more_than_32_addresses_is_refused() {
        let full = |count: u8| {
            let memory: Vec<String> = (100..100 + count).map(|last| format!("10.1.5.{last}@1")).collect();
            observed(a(&[9], &[(OWNER_KEY, OWN), (PREVIOUS_KEY, &memory.join(" "))]))
        };
        assert!(forward(&desired(), rules(), address(4), &full(31), NOW).is_ok());
        let refused = forward(&desired(), rules(), address(4), &full(32), NOW);
        assert_eq!(refused, Err(Refusal::MemoryFull(desired().fqdn())));
    }

    #[test]
    fn the_ttl_is_part_of_the_desired_state() {
        let mut before = a(&[4], &[(OWNER_KEY, OWN)]);
        before.content.ttl = 300;
        check_forward(rules(), &observed(before), "~ A web.spoke1.internal 10.1.5.4 (ttl 300 -> 60)");
    }

    #[test]
    fn an_unmarked_a_record_set_is_taken_over_with_what_the_lists_found() {
        let before = ObservedA { listed: BTreeSet::from([address(7)]), ..observed(a(&[4], &[])) };
        check_forward(
            rules(),
            &before,
            "~ A web.spoke1.internal 10.1.5.4 (owner none -> s1/rg-spoke1/web, remember 10.1.5.7)",
        );
    }

    #[test]
    fn an_a_record_set_gets_no_mark_while_the_lists_are_incomplete() {
        let before = ObservedA { is_listing_incomplete: true, ..observed(a(&[9], &[])) };
        check_forward(rules(), &before, "~ A web.spoke1.internal 10.1.5.9 -> 10.1.5.4 (remember 10.1.5.9)");
    }

    #[test]
    fn an_unmarked_a_record_set_is_a_conflict_in_strict() {
        check_forward(
            strict(),
            &observed(a(&[4], &[])),
            "the A record set web.spoke1.internal carries no owner mark, and ACI_DNS_OWNERSHIP is strict",
        );
    }

    #[test]
    fn a_name_chosen_by_a_tag_never_takes_over_an_unmarked_a_record_set() {
        let desired = Desired { is_name_from_tag: true, ..desired() };
        let refused = conflict(&desired, rules(), &observed(a(&[4], &[])));
        assert!(matches!(refused, Some(Conflict::ChosenByTag(_))));
        let abandoned = ObservedA { is_abandoned: true, ..observed(a(&[4], &[(OWNER_KEY, OTHER)])) };
        assert_eq!(conflict(&desired, rules(), &abandoned), None);
    }

    #[test]
    fn an_a_record_set_of_another_group_is_a_conflict_while_that_group_lives() {
        let mut before = observed(a(&[4], &[(OWNER_KEY, OTHER)]));
        check_forward(
            rules(),
            &before,
            "the A record set web.spoke1.internal belongs to the container group s1/rg-spoke2/web",
        );
        before.is_abandoned = true;
        let taken_over = "~ A web.spoke1.internal 10.1.5.4 (owner s1/rg-spoke2/web -> s1/rg-spoke1/web)";
        check_forward(rules(), &before, taken_over);
        check_forward(strict(), &before, taken_over);
    }

    #[test]
    fn an_auto_registered_a_record_set_is_a_conflict_whatever_its_mark_says() {
        let mut before = a(&[4], &[(OWNER_KEY, OWN)]);
        before.is_auto_registered = true;
        check_forward(
            rules(),
            &observed(before),
            "the A record set web.spoke1.internal is registered automatically for a virtual machine",
        );
    }

    #[test]
    fn an_address_is_forgotten_when_it_is_old_and_its_ptr_names_us_no_more() {
        let before = a(&[4], &[(OWNER_KEY, OWN), (PREVIOUS_KEY, "10.1.5.7@9700 10.1.5.8@9701")]);
        let check = |clean: &[u8], expected: &str| {
            let clean = clean.iter().map(|last| address(*last)).collect();
            let edit = forget(&desired(), rules(), &before, &clean, NOW);
            assert_eq!(edit.map(|edit| Change::A(edit).to_string()).unwrap_or_default(), expected);
        };
        check(&[7, 8], "~ A web.spoke1.internal 10.1.5.4 (forget 10.1.5.7)");
        check(&[8], "");
        check(&[], "");
    }

    #[test]
    fn the_ptr_at_our_address_is_created_with_our_mark() {
        check_reverse(rules(), absent(4), &["+ PTR 4.5.1.10.in-addr.arpa web.spoke1.internal"]);
    }

    #[test]
    fn a_right_ptr_is_left_as_it_is_however_it_is_spelled() {
        check_reverse(rules(), ptr(4, &["Web.Spoke1.Internal."], &[(OWNER_KEY, OWN)]), &[]);
    }

    #[test]
    fn of_a_ptr_of_ours_only_our_own_values_change() {
        check_reverse(
            rules(),
            ptr(4, &["alias.spoke1.internal", "Gone.Spoke1.internal", "x.org"], &[(OWNER_KEY, OWN)]),
            &["~ PTR 4.5.1.10.in-addr.arpa alias.spoke1.internal Gone.Spoke1.internal x.org -> \
               alias.spoke1.internal x.org web.spoke1.internal"],
        );
    }

    #[test]
    fn at_our_address_another_groups_values_inside_the_forward_zone_are_replaced() {
        check_reverse(
            rules(),
            ptr(4, &["api.spoke1.internal", "x.org"], &[(OWNER_KEY, OTHER), ("cost", "42")]),
            &[
                "~ PTR 4.5.1.10.in-addr.arpa api.spoke1.internal x.org -> x.org web.spoke1.internal \
                 (owner s1/rg-spoke2/web -> s1/rg-spoke1/web)",
                "10.1.5.4 taken from s1/rg-spoke2/web",
            ],
        );
    }

    #[test]
    fn at_our_address_unmarked_values_inside_the_forward_zone_are_replaced_in_adopt() {
        check_reverse(
            rules(),
            ptr(4, &["api.spoke1.internal", "x.org"], &[]),
            &["~ PTR 4.5.1.10.in-addr.arpa api.spoke1.internal x.org -> x.org web.spoke1.internal \
               (owner none -> s1/rg-spoke1/web)"],
        );
    }

    #[test]
    fn at_our_address_an_unmarked_ptr_is_a_conflict_in_strict() {
        check_reverse(
            strict(),
            ptr(4, &["web.spoke1.internal"], &[]),
            &[
                "the PTR record set 4.5.1.10.in-addr.arpa carries no owner mark, and ACI_DNS_OWNERSHIP is strict",
            ],
        );
    }

    #[test]
    fn an_auto_registered_ptr_is_never_touched() {
        let mut at_ours = ptr(4, &["web.spoke1.internal"], &[]);
        at_ours.record_set.as_mut().unwrap().is_auto_registered = true;
        let elsewhere = ObservedPtr { record_set: at_ours.record_set.clone(), ..absent(9) };
        check_reverse(
            rules(),
            at_ours,
            &["the PTR record set 4.5.1.10.in-addr.arpa is registered automatically for a virtual machine"],
        );
        check_reverse(rules(), elsewhere, &[]);
    }

    #[test]
    fn elsewhere_our_value_goes_and_an_empty_record_set_with_it() {
        let removed = &["- PTR 9.5.1.10.in-addr.arpa web.spoke1.internal"];
        check_reverse(rules(), ptr(9, &["web.spoke1.internal"], &[(OWNER_KEY, OWN)]), removed);
        check_reverse(rules(), ptr(9, &["web.spoke1.internal"], &[]), removed);
        check_reverse(strict(), ptr(9, &["web.spoke1.internal"], &[]), &[]);
        check_reverse(rules(), absent(9), &[]);
    }

    #[test]
    fn elsewhere_our_mark_goes_when_only_values_of_others_remain() {
        check_reverse(
            rules(),
            ptr(9, &["web.spoke1.internal", "x.org"], &[(OWNER_KEY, OWN)]),
            &[
                "~ PTR 9.5.1.10.in-addr.arpa web.spoke1.internal x.org -> x.org (owner s1/rg-spoke1/web -> none)",
            ],
        );
        check_reverse(
            rules(),
            ptr(9, &["x.org"], &[(OWNER_KEY, OWN)]),
            &["~ PTR 9.5.1.10.in-addr.arpa x.org (owner s1/rg-spoke1/web -> none)"],
        );
    }

    #[test]
    fn elsewhere_our_value_goes_from_another_groups_record_set_and_nothing_else() {
        check_reverse(
            rules(),
            ptr(9, &["web.spoke1.internal", "api.spoke2.internal"], &[(OWNER_KEY, OTHER)]),
            &["~ PTR 9.5.1.10.in-addr.arpa web.spoke1.internal api.spoke2.internal -> api.spoke2.internal"],
        );
        check_reverse(rules(), ptr(9, &["gone.spoke1.internal"], &[(OWNER_KEY, OTHER)]), &[]);
    }

    #[test]
    fn with_upsert_only_a_removal_is_withheld() {
        check_reverse(
            upsert_only(),
            ptr(9, &["web.spoke1.internal"], &[(OWNER_KEY, OWN)]),
            &["withheld - PTR 9.5.1.10.in-addr.arpa web.spoke1.internal"],
        );
        check_reverse(
            upsert_only(),
            ptr(4, &["gone.spoke1.internal"], &[(OWNER_KEY, OWN)]),
            &[
                "~ PTR 4.5.1.10.in-addr.arpa gone.spoke1.internal -> gone.spoke1.internal web.spoke1.internal",
                "withheld ~ PTR 4.5.1.10.in-addr.arpa gone.spoke1.internal -> web.spoke1.internal",
            ],
        );
    }

    #[test]
    fn a_group_that_wants_no_ptr_loses_the_one_that_is_its_own() {
        let desired = Desired { wants_ptr: false, ..desired() };
        let check = |ptr: ObservedPtr, expected: &[&str]| {
            assert_eq!(show_reverse(&reverse(&desired, rules(), address(4), &[ptr], &names())), expected);
        };
        check(
            ptr(4, &["web.spoke1.internal"], &[(OWNER_KEY, OWN)]),
            &["- PTR 4.5.1.10.in-addr.arpa web.spoke1.internal"],
        );
        check(ptr(4, &["web.spoke1.internal"], &[]), &[]);
        check(ptr(4, &["web.spoke1.internal"], &[(OWNER_KEY, OTHER)]), &[]);
        check(absent(4), &[]);
    }

    #[test]
    fn when_a_group_is_gone_only_what_is_ours_or_free_goes() {
        let gone: BTreeSet<Owner> = a(&[], &[(OWNER_KEY, OTHER)]).owner().into_iter().collect();
        let nobody = BTreeSet::new();
        let check = |ptr: ObservedPtr, unmarked: bool, owners: &BTreeSet<Owner>, is_removed: bool| {
            let reach = Reach { unmarked, others: Others::Of(owners) };
            let plan = reverse_removal(&desired(), rules(), &[ptr], &names(), reach);
            assert_eq!(plan.edits.len(), usize::from(is_removed));
        };
        let fqdn = "web.spoke1.internal";
        check(ptr(9, &[fqdn], &[(OWNER_KEY, OWN)]), false, &nobody, true);
        check(ptr(9, &[fqdn], &[]), true, &nobody, true);
        check(ptr(9, &[fqdn], &[]), false, &nobody, false);
        check(ptr(9, &[fqdn], &[(OWNER_KEY, OTHER)]), true, &nobody, false);
        check(ptr(9, &[fqdn], &[(OWNER_KEY, OTHER)]), true, &gone, true);
        check(ptr(9, &["x.org"], &[]), true, &gone, false);
    }
}
