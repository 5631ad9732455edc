//! The facts about one container group and its record sets, and how answers change them.
//!
//! A *pass* is everything that is read and written until another writer, a lost answer, a confirmation or a
//! verification makes it outdated. [`Facts::begin_pass`] forgets the pass and keeps [`RunState`] for later
//! passes: the addresses and names that this invocation wrote or removed, and what Azure refused.
//!
//! Pure: the driver ([`crate::reconcile::driver`]) and the tests supply the answers; this module sends no request.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::Arc,
    time::Duration,
};

use super::{Goal, ObservedPtr, OwnerMark, OwnerObservation, addresses_of};
use crate::{
    config::Zones,
    decide::{
        change::{Change, Edit},
        desired::{Desired, SecretNameError, TagError, secret},
    },
    domain::{
        container_group::{AddressState, ContainerGroup},
        dns::{ARecordSet, ETag, OWNER_KEY, Owner, PtrRecordSet, PtrTarget, RecordSet, RelativeName},
        failure::FailureKind,
        secret::{Secret, SecretEdit, SecretId, WantedSecret},
    },
};

/// The largest number of passes of one invocation.
pub const MAX_PASSES: u32 = 5;

/// The pause after the second outdated pass; later pauses double. There is no pause after the first lost
/// race, because the other writer has finished by then.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// The first pause between two reads of a group whose address is being assigned; the pauses double.
const FIRST_POLL: Duration = Duration::from_millis(500);
/// The longest of these pauses.
const LONGEST_POLL: Duration = Duration::from_secs(3);

/// The ETag of a record set that a dry run pretends to have written.
const ASSUMED_ETAG: &str = "assumed";

/// The answer to a read, or the kind of its failure.
pub type Read<Value> = Result<Value, FailureKind>;

/// The key of a fact.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The A record set of a name in the forward zone.
    A(RelativeName),
    /// The CNAME record set of a name in the forward zone.
    Cname(RelativeName),
    /// The container group.
    Group,
    /// The second read of the container group, at least three seconds after the first read of the pass.
    Confirmation,
    /// The group in an owner mark.
    Owner(Owner),
    /// The second read of that group, at least three seconds after its first read in the pass.
    OwnerConfirmation(Owner),
    /// One PTR record set.
    Ptr(PtrKey),
    /// All PTR record sets of the reverse zone at this index of [`Zones::reverse`].
    PtrList(usize),
    /// All A record sets of the forward zone.
    AList,
}

impl Key {
    /// Whether a decision is impossible without the answer. A failed read of a PTR record set does not
    /// prevent a correction of the A record set.
    #[must_use]
    pub fn is_required(&self) -> bool {
        !matches!(self, Self::Ptr(_) | Self::PtrList(_))
    }
}

/// A PTR record set; ordered by address, like plans.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PtrKey {
    /// The address in its name, if there is one.
    pub address: Option<Ipv4Addr>,
    /// The reverse zone, as its index in [`Zones::reverse`].
    pub zone: usize,
    /// The relative name in that zone.
    pub name: RelativeName,
}

/// An answer with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The A record set of a name, if there is one.
    A(RelativeName, Read<Option<ARecordSet>>),
    /// The target of the CNAME record set of a name, if there is one.
    Cname(RelativeName, Read<Option<String>>),
    /// The container group.
    Group(Read<Observation>),
    /// The second read of the container group.
    Confirmation(Read<Observation>),
    /// The group in a mark.
    Owner(Owner, Read<OwnerObservation>),
    /// The second read of that group.
    OwnerConfirmation(Owner, Read<OwnerObservation>),
    /// A PTR record set, if there is one.
    Ptr(PtrKey, Read<Option<PtrRecordSet>>),
    /// The PTR record sets of a reverse zone.
    PtrList(usize, Read<Vec<(PtrKey, PtrRecordSet)>>),
    /// The A record sets of the forward zone.
    AList(Read<Vec<(RelativeName, ARecordSet)>>),
}

/// The parts of one read of the container group that decisions use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Observation {
    /// The state of its address.
    pub state: AddressState,
    /// Its desired record sets; `None` if a tag says to ignore it.
    pub desired: Result<Option<Arc<Desired>>, TagError>,
    /// The secret for its address, if the map or a tag requests one.
    pub secret: Result<Option<WantedSecret>, SecretNameError>,
}

impl Observation {
    /// The observation of a group, or of its absence.
    #[must_use]
    pub fn of(goal: &Goal, group: Option<&ContainerGroup>) -> Self {
        let desired = match group {
            Some(group) => Desired::of(&goal.id, group, &goal.zones),
            None => Ok(Some(Desired::of_absent(&goal.id, &goal.zones))),
        };
        Self {
            state: AddressState::of(group),
            desired: desired.map(|desired| desired.map(Arc::new)),
            secret: group.map_or(Ok(None), |group| secret(&goal.id, group, &goal.zones)),
        }
    }
}

/// All facts. See the module's documentation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    /// The time in Unix seconds.
    pub now: u64,
    /// The state that outlives a pass.
    pub run: RunState,
    pub(super) pass: Pass,
    pub(super) secret: SecretFacts,
}

/// The facts about the secret of the group. A pass of the record sets does not forget them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct SecretFacts {
    /// The last read, or in a dry run the version that would be written.
    pub(super) read: Option<(SecretId, Read<Option<Secret>>)>,
    /// A write happened, or may have happened, and was not verified yet.
    pub(super) is_unverified: bool,
    /// The secret that the verification reads.
    pub(super) to_verify: Option<SecretId>,
    /// How many writes were sent.
    pub(super) writes: u32,
    /// A write failed and certainly did not happen.
    pub(super) has_failed: bool,
}

/// The state for later passes of the same invocation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RunState {
    /// The number of outdated passes.
    pub(super) outdated_passes: u32,
    /// The remaining wait for an address.
    pub(super) wait_left: Duration,
    /// The pause before the next pass.
    backoff: Duration,
    /// The addresses at which a PTR record was or may have been written or removed, and those of removed A
    /// record sets. Later passes read them again.
    pub(super) touched_addresses: BTreeSet<Ipv4Addr>,
    /// The owners whose mark was replaced, by address.
    taken: BTreeMap<Ipv4Addr, Owner>,
    /// The names whose A record set with our mark was removed.
    pub(super) removed_names: BTreeSet<RelativeName>,
    /// The names whose A record set was or may have been written: they are old names once a tag chooses
    /// another.
    pub(super) written_names: BTreeSet<RelativeName>,
    /// The record sets that Azure refused to delete.
    pub(super) refused_deletes: BTreeSet<Key>,
    /// The names at which this invocation left an A record set. The first read that shows none may be stale.
    existing_names: BTreeSet<RelativeName>,
    /// The ETags that this invocation deleted. A read of one of them is stale: the record set is absent.
    deleted_versions: BTreeSet<ETag>,
}

impl RunState {
    /// The state at the start of an invocation with this wait for an address.
    #[must_use]
    pub fn new(wait: Duration) -> Self {
        Self { wait_left: wait, ..Self::default() }
    }

    /// The owners whose mark was replaced at addresses that the group does not have.
    pub fn given_up(&self, address: Option<Ipv4Addr>) -> impl Iterator<Item = &Owner> {
        self.taken.iter().filter(move |(taken, _)| Some(**taken) != address).map(|(_, owner)| owner)
    }

    /// The remaining wait for an address.
    #[must_use]
    pub fn wait_left(&self) -> Duration {
        self.wait_left
    }

    /// The record sets that Azure refused to delete and that were emptied instead.
    pub fn refused_deletes(&self) -> impl Iterator<Item = &Key> {
        self.refused_deletes.iter()
    }
}

/// The reads and writes of one pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Pass {
    pub(super) group: Option<Read<Observation>>,
    pub(super) confirmation: Option<Read<Observation>>,
    pub(super) a: BTreeMap<RelativeName, Read<Option<ARecordSet>>>,
    pub(super) cnames: BTreeMap<RelativeName, Read<Option<String>>>,
    pub(super) a_list: Option<Read<Vec<(RelativeName, ARecordSet)>>>,
    pub(super) ptr: BTreeMap<PtrKey, Read<Option<PtrRecordSet>>>,
    pub(super) ptr_lists: BTreeMap<usize, Read<Vec<(PtrKey, PtrRecordSet)>>>,
    pub(super) owners: BTreeMap<Owner, Read<OwnerObservation>>,
    pub(super) owner_confirmations: BTreeMap<Owner, Read<OwnerObservation>>,
    /// The record sets that were written, or in a dry run would be.
    pub(super) written: BTreeSet<Key>,
    /// The names at which Azure refused an A record set because of another record set.
    pub(super) clashes: BTreeSet<RelativeName>,
    /// The other failed writes, which certainly did not happen.
    pub(super) failed_writes: Vec<(Key, FailureKind)>,
    /// Whether a write succeeded, so that it must be verified.
    pub(super) has_written: bool,
    /// Another writer was first, or the result of a write is unknown.
    pub(super) outdated: Option<FailureKind>,
    /// A read that shows no A record set where this invocation left one: it may be stale.
    pub(super) is_doubtful: bool,
    /// The expectation of the verification.
    pub(super) expected: Option<Expected>,
    /// The pause before the next read of the group.
    poll: Duration,
}

impl Pass {
    /// Whether nothing is wrong with the pass except a read that may be stale. Such a pass does not count as a lost race:
    /// there is at most one for each write of an A record set, and none after the writes of a pass.
    pub(super) fn is_uncertain(&self) -> bool {
        self.is_doubtful && self.outdated.is_none() && self.expected.is_none()
    }
}

/// The state after the writes of a pass.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Expected {
    pub(super) observation: Observation,
    /// Name and ETag of the A record set; `None` if it does not matter any more.
    pub(super) a: Option<(RelativeName, Option<ETag>)>,
}

/// The result of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteResult {
    /// It succeeded; with the new ETag, if the record set still exists.
    Written(Option<ETag>),
    /// A dry run pretends that it succeeded.
    Assumed,
    /// It failed.
    Failed(FailureKind),
}

impl Facts {
    /// No facts.
    #[must_use]
    pub fn new(run: RunState) -> Self {
        Self { now: 0, run, pass: Pass::default(), secret: SecretFacts::default() }
    }

    /// Learns an answer.
    pub fn learn(&mut self, fact: Fact) {
        let (pass, deleted) = (&mut self.pass, &self.run.deleted_versions);
        match fact {
            Fact::A(name, read) => {
                let read = existing(read, deleted);
                pass.is_doubtful |= matches!(read, Ok(None)) && self.run.existing_names.remove(&name);
                pass.a.insert(name, read);
            }
            Fact::Cname(name, read) => _ = pass.cnames.insert(name, read),
            Fact::Group(read) => pass.group = Some(read),
            Fact::Confirmation(read) => pass.confirmation = Some(read),
            Fact::Owner(owner, read) => _ = pass.owners.insert(owner, read),
            Fact::OwnerConfirmation(owner, read) => _ = pass.owner_confirmations.insert(owner, read),
            Fact::Ptr(key, read) => _ = pass.ptr.insert(key, existing(read, deleted)),
            Fact::PtrList(zone, read) => _ = pass.ptr_lists.insert(zone, all_existing(read, deleted)),
            Fact::AList(read) => pass.a_list = Some(all_existing(read, deleted)),
        }
    }

    /// Records writes before they are sent. Their answers may be lost, so the addresses and names are kept
    /// from now on.
    pub fn expect_writes(&mut self, goal: &Goal, changes: &[Change]) {
        for change in changes {
            match change {
                Change::A(Edit { before: Some(before), after: None, .. }) => {
                    self.run.touched_addresses.extend(addresses_of(before));
                }
                Change::A(edit) => _ = self.run.written_names.insert(edit.name.clone()),
                Change::Ptr(edit) => {
                    let Some(Key::Ptr(PtrKey { address: Some(address), .. })) = goal.key_of(change) else {
                        continue;
                    };
                    self.run.touched_addresses.insert(address);
                    if let Some(owner) = taken_from(edit, &goal.owner) {
                        self.run.taken.insert(address, owner);
                    }
                }
            }
        }
    }

    /// Learns the result of a write.
    pub fn learn_write(&mut self, goal: &Goal, change: &Change, result: WriteResult) {
        let Some(key) = goal.key_of(change) else { return };
        let etag = match result {
            WriteResult::Failed(kind @ (FailureKind::Race | FailureKind::Uncertain)) => {
                self.pass.outdated = self.pass.outdated.max(Some(kind));
                return;
            }
            WriteResult::Failed(FailureKind::Forbidden | FailureKind::Refused) if change.is_deletion() => {
                _ = self.run.refused_deletes.insert(key);
                return;
            }
            WriteResult::Failed(kind) => {
                return match change {
                    Change::A(Edit { before: None, name, .. }) if kind == FailureKind::Clash => {
                        _ = self.pass.clashes.insert(name.clone());
                    }
                    _ => self.pass.failed_writes.push((key, kind)),
                };
            }
            WriteResult::Written(etag) => {
                self.pass.has_written = true;
                self.run.deleted_versions.extend(change.deleted_version().cloned());
                if let Change::A(edit) = change {
                    if edit.after.is_some() {
                        self.run.existing_names.insert(edit.name.clone());
                    } else {
                        self.run.existing_names.remove(&edit.name);
                    }
                }
                etag
            }
            WriteResult::Assumed => Some(ETag::from(ASSUMED_ETAG.to_owned())),
        };
        match (change, &key) {
            (Change::A(edit), Key::A(name)) => {
                let is_ours = |set: &ARecordSet| OwnerMark::of(set, &goal.owner) == OwnerMark::Ours;
                if edit.after.is_none() && edit.before.as_ref().is_some_and(is_ours) {
                    self.run.removed_names.insert(name.clone());
                }
                self.pass.a.insert(name.clone(), Ok(after(edit, etag)));
            }
            (Change::Ptr(edit), Key::Ptr(key)) => {
                self.pass.ptr.insert(key.clone(), Ok(after(edit, etag)));
            }
            _ => {}
        }
        self.pass.written.insert(key);
    }

    /// Learns the secret.
    pub fn learn_secret(&mut self, id: SecretId, read: Read<Option<Secret>>) {
        self.secret.read = Some((id, read));
    }

    /// Learns the result of a write of the secret.
    pub fn learn_secret_write(&mut self, edit: SecretEdit, result: &WriteResult) {
        let facts = &mut self.secret;
        facts.writes += 1;
        match result {
            WriteResult::Assumed => facts.read = Some((edit.id, Ok(Some(edit.after)))),
            WriteResult::Written(_) | WriteResult::Failed(FailureKind::Race | FailureKind::Uncertain) => {
                (facts.is_unverified, facts.to_verify) = (true, Some(edit.id));
            }
            WriteResult::Failed(_) => facts.has_failed = true,
        }
    }

    /// Forgets the pass, and returns the pause before the next one.
    pub fn begin_pass(&mut self) -> Duration {
        let run = &mut self.run;
        if self.pass.outdated == Some(FailureKind::Uncertain) {
            run.backoff = run.backoff.max(FIRST_BACKOFF);
        }
        let pause = run.backoff;
        run.backoff = (pause * 2).max(FIRST_BACKOFF);
        run.outdated_passes += u32::from(!self.pass.is_uncertain());
        self.pass = Pass::default();
        self.secret.read = None;
        pause
    }

    /// Forgets the group, and returns the pause before its next read. The A record set at its own name is
    /// also read again, because the first read may be old by then.
    pub fn begin_poll(&mut self, goal: &Goal) -> Duration {
        let pause = self.pass.poll.max(FIRST_POLL).min(LONGEST_POLL).min(self.run.wait_left);
        self.run.wait_left -= pause;
        self.pass.poll = pause * 2;
        self.pass.group = None;
        self.pass.a.remove(&goal.own_name);
        pause
    }

    /// Forgets the group and its A record set, and the secret if it was written, so that the next decision reads them
    /// after the writes.
    pub fn begin_verification(&mut self) {
        if std::mem::take(&mut self.secret.is_unverified) {
            self.secret.read = None;
        }
        let Some(Ok(observation)) = self.pass.group.take() else { return };
        if !self.pass.has_written {
            // Only the secret was written.
            self.pass.expected = Some(Expected { observation, a: None });
            return;
        }
        let mut a = None;
        if let (AddressState::Running(_) | AddressState::Released, Ok(Some(desired))) =
            (observation.state, &observation.desired)
        {
            let set = self.pass.a.remove(&desired.name).and_then(Result::ok).flatten();
            a = Some((desired.name.clone(), set.map(|set| set.etag)));
        }
        self.pass.expected = Some(Expected { observation, a });
    }

    /// The PTR record sets from successful single reads.
    pub(super) fn ptrs<'a>(&'a self, zones: &'a Zones) -> Vec<ObservedPtr<'a>> {
        let known = self.pass.ptr.iter().filter_map(|(key, read)| Some((key, read.as_ref().ok()?)));
        known.filter_map(|(key, set)| observed(zones, key, set.as_ref())).collect()
    }

    /// The PTR record sets from lists and single reads, updated by later writes. A record set that only a list
    /// contains counts: it may have been created after the single read. If it was deleted instead, the write gets
    /// a 412, and another pass follows.
    pub(super) fn all_ptrs<'a>(&'a self, zones: &'a Zones) -> impl Iterator<Item = ObservedPtr<'a>> {
        let is_known = |key: &PtrKey| match self.pass.ptr.get(key) {
            Some(Ok(None)) => self.is_written(&Key::Ptr(key.clone())),
            Some(Ok(Some(_))) => true,
            Some(Err(_)) | None => false,
        };
        let listed = self.pass.ptr_lists.values().flatten().flatten();
        let only_listed = listed.filter(move |(key, _)| !is_known(key));
        let only_listed = only_listed.filter_map(|(key, set)| observed(zones, key, Some(set)));
        self.ptrs(zones).into_iter().chain(only_listed)
    }

    /// The failed PTR reads, lists and single reads, in the order of the requests.
    pub(super) fn failed_ptr_reads(&self) -> impl Iterator<Item = (Key, FailureKind)> + '_ {
        let sets = self
            .pass
            .ptr
            .iter()
            .filter_map(|(key, read)| Some((Key::Ptr(key.clone()), read.as_ref().err()?)));
        self.failed_ptr_lists().chain(sets.map(|(key, kind)| (key, *kind)))
    }

    /// The lists of reverse zones that failed.
    pub(super) fn failed_ptr_lists(&self) -> impl Iterator<Item = (Key, FailureKind)> + '_ {
        self.pass
            .ptr_lists
            .iter()
            .filter_map(|(zone, read)| Some((Key::PtrList(*zone), *read.as_ref().err()?)))
    }

    /// Whether this pass wrote a record set, or in a dry run would have.
    pub(super) fn is_written(&self, key: &Key) -> bool {
        self.pass.written.contains(key)
    }
}

fn observed<'a>(zones: &'a Zones, key: &'a PtrKey, set: Option<&'a PtrRecordSet>) -> Option<ObservedPtr<'a>> {
    let zone = zones.reverse.get(key.zone)?.zone();
    Some(ObservedPtr { address: key.address, zone, name: &key.name, record_set: set })
}

/// The record set of a read, unless this invocation deleted that version.
fn existing<Record>(
    read: Read<Option<RecordSet<Record>>>,
    deleted: &BTreeSet<ETag>,
) -> Read<Option<RecordSet<Record>>> {
    read.map(|set| set.filter(|set| !deleted.contains(&set.etag)))
}

/// The same for a list.
fn all_existing<Name, Record>(
    read: Read<Vec<(Name, RecordSet<Record>)>>,
    deleted: &BTreeSet<ETag>,
) -> Read<Vec<(Name, RecordSet<Record>)>> {
    read.map(|mut sets| {
        sets.retain(|(_, set)| !deleted.contains(&set.etag));
        sets
    })
}

/// The record set after a write.
fn after<Record: Clone>(edit: &Edit<Record>, etag: Option<ETag>) -> Option<RecordSet<Record>> {
    Some(RecordSet { content: edit.after.clone()?, etag: etag?, is_auto_registered: false })
}

/// The other owner whose mark a change replaces with ours.
fn taken_from(edit: &Edit<PtrTarget>, us: &Owner) -> Option<Owner> {
    let before = edit.before.as_ref()?;
    let is_ours = edit.after.as_ref()?.metadata.get(OWNER_KEY).is_some_and(|mark| mark == us.as_str());
    match OwnerMark::of(before, us) {
        OwnerMark::Other(owner) if is_ours => Some(owner),
        OwnerMark::Other(_)
        | OwnerMark::Ours
        | OwnerMark::None
        | OwnerMark::OtherController { .. }
        | OwnerMark::AutoRegistered => None,
    }
}

impl Goal {
    /// The record set of a change; `None` if it is outside of the goal's zones.
    #[must_use]
    pub fn key_of(&self, change: &Change) -> Option<Key> {
        match change {
            Change::A(edit) => Some(Key::A(edit.name.clone())),
            Change::Ptr(edit) => {
                let zone = self.zones.reverse.iter().position(|zone| *zone.zone() == edit.zone)?;
                let address = self.zones.reverse.get(zone)?.address(&edit.name);
                Some(Key::Ptr(PtrKey { address, zone, name: edit.name.clone() }))
            }
        }
    }

    /// The PTR record set of an address; `None` if no reverse zone contains the address.
    pub(super) fn ptr_key(&self, address: Ipv4Addr) -> Option<PtrKey> {
        let (in_zone, name) = self.zones.reverse_name(address)?;
        let zone = self.zones.reverse.iter().position(|zone| zone.zone() == in_zone)?;
        Some(PtrKey { address: Some(address), zone, name })
    }
}
