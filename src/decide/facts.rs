//! What is known about one container group and its record sets, and how answers change it.
//!
//! A *pass* is everything that is read and written until another writer, a lost answer or a failed verification
//! makes it outdated. [`Facts::begin_pass`] forgets the pass and keeps [`RunState`], which later passes still need:
//! where this invocation wrote PTR records, and which names it removed.
//!
//! Pure: the driver ([`crate::driver`]) and the tests feed answers in; nothing here sends a request.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::Arc,
    time::Duration,
};

use super::{Goal, ObservedPtr, OwnerMark, PlanError, Refusal, Verdict, addresses_of};
use crate::{
    change::{Change, Edit},
    config::Zones,
    container_group::{AddressState, ContainerGroup},
    desired::{Desired, TagError},
    dns::{ARecordSet, Content, ETag, Owner, PtrRecordSet, RecordSet, RelativeName},
    failure::FailureKind,
};

/// How many passes one invocation makes at most.
pub const MAX_PASSES: u32 = 5;

/// The pause after the first pass that has to be repeated; the pauses double. The first repetition after a lost race
/// needs none: the other writer has finished by then.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// The first pause between two reads of a group whose address is being assigned; the pauses double.
const FIRST_POLL: Duration = Duration::from_millis(500);
/// The longest of these pauses.
const LONGEST_POLL: Duration = Duration::from_secs(3);

/// The ETag of a record set that a dry run assumes to have written.
const ASSUMED_ETAG: &str = "assumed";

/// The answer to a read, or why there is none.
pub type Read<Value> = Result<Value, FailureKind>;

/// Something that a decision can rest on.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Key {
    /// The A record set of a name in the forward zone.
    A(RelativeName),
    /// The container group.
    Group,
    /// Whether the group that an owner mark names still exists.
    Owner(Owner),
    /// One PTR record set.
    Ptr(PtrKey),
    /// All PTR record sets of the reverse zone at this index of [`Zones::reverse`].
    PtrList(usize),
    /// The A record sets of the forward zone that carry our mark.
    AList,
}

impl Key {
    /// Whether nothing can be decided without the answer. A PTR record set that cannot be read does not stop the
    /// A record set from being repaired.
    #[must_use]
    pub fn is_required(&self) -> bool {
        match self {
            Self::A(_) | Self::Group | Self::Owner(_) | Self::AList => true,
            Self::Ptr(_) | Self::PtrList(_) => false,
        }
    }
}

/// Which PTR record set: ordered by address, as plans show it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PtrKey {
    /// The address that the record set is about.
    pub address: Ipv4Addr,
    /// The reverse zone, as its index in [`Zones::reverse`].
    pub zone: usize,
    /// The relative name in that zone.
    pub name: RelativeName,
}

/// An answer, with what it is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fact {
    /// The A record set of a name, if there is one.
    A(RelativeName, Read<Option<ARecordSet>>),
    /// The container group.
    Group(Read<Observation>),
    /// Whether a group that a mark names is deleted.
    Owner(Owner, Read<bool>),
    /// A PTR record set, if there is one.
    Ptr(PtrKey, Read<Option<PtrRecordSet>>),
    /// The PTR record sets of a reverse zone.
    PtrList(usize, Read<Vec<(PtrKey, PtrRecordSet)>>),
    /// The A record sets of the forward zone that carry our mark.
    AList(Read<Vec<(RelativeName, ARecordSet)>>),
}

/// What one GET of the container group shows, as far as decisions depend on it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Observation {
    /// What its address is treated as.
    pub state: AddressState,
    /// What its record sets should be; nothing when it is tagged to be ignored.
    pub desired: Result<Option<Arc<Desired>>, TagError>,
}

impl Observation {
    /// What a group, or its absence, shows.
    #[must_use]
    pub fn of(goal: &Goal, group: Option<&ContainerGroup>) -> Self {
        let desired = match group {
            Some(group) => Desired::of(&goal.id, group, &goal.zones),
            None => Ok(Some(Desired::of_absent(&goal.id, &goal.zones))),
        };
        Self { state: AddressState::of(group), desired: desired.map(|desired| desired.map(Arc::new)) }
    }
}

/// Everything that is known. See the module's documentation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Facts {
    /// The time, in unix seconds.
    pub now: u64,
    /// What outlives a pass.
    pub run: RunState,
    pub(super) pass: Pass,
}

/// What later passes of the same invocation still need to know.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RunState {
    /// How many passes were outdated.
    pub(super) outdated_passes: u32,
    /// How long the invocation may still wait for an address.
    pub(super) wait_left: Duration,
    /// The pause before the next pass.
    backoff: Duration,
    /// The addresses at which a PTR was written or removed, or may have been: later passes read them again.
    pub(super) written_ptrs: BTreeSet<Ipv4Addr>,
    /// The owners whose mark was replaced, by address.
    taken: BTreeMap<Ipv4Addr, Owner>,
    /// The names whose A record set carried our mark and was removed.
    pub(super) removed_names: BTreeSet<RelativeName>,
}

impl RunState {
    /// The state at the start of an invocation that may wait so long for an address. A PTR may have been written at
    /// these addresses by an earlier invocation that failed.
    #[must_use]
    pub fn new(wait: Duration, written_ptrs: BTreeSet<Ipv4Addr>) -> Self {
        Self { wait_left: wait, written_ptrs, ..Self::default() }
    }

    /// The owners whose mark was replaced at addresses that the group does not have after all.
    pub fn given_up(&self, address: Option<Ipv4Addr>) -> impl Iterator<Item = &Owner> {
        self.taken.iter().filter(move |(taken, _)| Some(**taken) != address).map(|(_, owner)| owner)
    }

    /// How long the invocation may still wait for an address.
    #[must_use]
    pub fn wait_left(&self) -> Duration {
        self.wait_left
    }

    /// Where this invocation wrote PTR records.
    #[must_use]
    pub fn written_ptrs(&self) -> &BTreeSet<Ipv4Addr> {
        &self.written_ptrs
    }
}

/// What was read and written in one pass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub(super) struct Pass {
    pub(super) group: Option<Read<Observation>>,
    pub(super) a: BTreeMap<RelativeName, Read<Option<ARecordSet>>>,
    pub(super) a_list: Option<Read<Vec<(RelativeName, ARecordSet)>>>,
    pub(super) ptr: BTreeMap<PtrKey, Read<Option<PtrRecordSet>>>,
    pub(super) ptr_lists: BTreeMap<usize, Read<Vec<(PtrKey, PtrRecordSet)>>>,
    pub(super) owners: BTreeMap<Owner, Read<bool>>,
    /// What was written, or what a dry run assumes to be written.
    pub(super) written: BTreeSet<Key>,
    /// The writes that failed and certainly did not happen.
    pub(super) failed_writes: Vec<(Key, FailureKind)>,
    /// Whether a write was sent and succeeded, so that it has to be verified.
    pub(super) has_written: bool,
    /// Another writer was first, or it is not known whether a write happened.
    pub(super) outdated: Option<FailureKind>,
    /// What the verification expects.
    pub(super) expected: Option<Expected>,
    /// The pause before the group is read again.
    poll: Duration,
}

/// What was true when the writes of a pass were done.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Expected {
    pub(super) observation: Observation,
    /// Name and version of the A record set; nothing where it does not matter any more.
    pub(super) a: Option<(RelativeName, Option<ETag>)>,
}

/// What became of a write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WriteResult {
    /// It happened; the new version, where the record set still exists.
    Written(Option<ETag>),
    /// A dry run assumes that it happened.
    Assumed,
    /// It failed.
    Failed(FailureKind),
}

impl Facts {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(run: RunState) -> Self {
        Self { now: 0, run, pass: Pass::default() }
    }

    /// Learns an answer.
    pub fn learn(&mut self, fact: Fact) {
        match fact {
            Fact::A(name, read) => _ = self.pass.a.insert(name, read),
            Fact::Group(read) => self.pass.group = Some(read),
            Fact::Owner(owner, read) => _ = self.pass.owners.insert(owner, read),
            Fact::Ptr(key, read) => _ = self.pass.ptr.insert(key, read),
            Fact::PtrList(zone, read) => _ = self.pass.ptr_lists.insert(zone, read),
            Fact::AList(read) => self.pass.a_list = Some(read),
        }
    }

    /// Notes that writes are about to be sent. Their answers may be lost, so the addresses are kept from now on. So
    /// are those that an A record set leads to which is removed: another invocation may have written a PTR record at
    /// one of them since it was read, and nothing else leads to it.
    pub fn expect_writes(&mut self, goal: &Goal, changes: &[Change]) {
        for change in changes {
            match (change, goal.key_of(change)) {
                (Change::Ptr(edit), Some(Key::Ptr(key))) => {
                    self.run.written_ptrs.insert(key.address);
                    if let Some(owner) = taken_from(edit, &goal.owner) {
                        self.run.taken.insert(key.address, owner);
                    }
                }
                (Change::A(Edit { before: Some(before), after: None, .. }), _) => {
                    self.run.written_ptrs.extend(addresses_of(before));
                }
                _ => {}
            }
        }
    }

    /// Learns what became of a write.
    pub fn learn_write(&mut self, goal: &Goal, change: &Change, result: WriteResult) {
        let Some(key) = goal.key_of(change) else { return };
        let etag = match result {
            WriteResult::Failed(kind @ (FailureKind::Race | FailureKind::Uncertain)) => {
                self.pass.outdated = self.pass.outdated.max(Some(kind));
                return;
            }
            WriteResult::Failed(kind) => return self.pass.failed_writes.push((key, kind)),
            WriteResult::Written(etag) => {
                self.pass.has_written = true;
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

    /// Forgets the pass, and returns the pause before the next one.
    pub fn begin_pass(&mut self) -> Duration {
        let run = &mut self.run;
        if self.pass.outdated == Some(FailureKind::Uncertain) {
            run.backoff = run.backoff.max(FIRST_BACKOFF);
        }
        let pause = run.backoff;
        run.backoff = (pause * 2).max(FIRST_BACKOFF);
        run.outdated_passes += 1;
        self.pass = Pass::default();
        pause
    }

    /// Forgets the group, and returns the pause before it is read again. The A record set at its own name is read
    /// again, too: what was read before the pause may be old by then.
    pub fn begin_poll(&mut self, goal: &Goal) -> Duration {
        let pause = self.pass.poll.max(FIRST_POLL).min(LONGEST_POLL).min(self.run.wait_left);
        self.run.wait_left -= pause;
        self.pass.poll = pause * 2;
        self.pass.group = None;
        self.pass.a.remove(&goal.own_name);
        pause
    }

    /// Forgets the group and its A record set, so that the next decision rests on what they are after the writes.
    pub fn begin_verification(&mut self) {
        let Some(Ok(observation)) = self.pass.group.take() else { return };
        let mut a = None;
        if let (AddressState::Running(_), Ok(Some(desired))) = (observation.state, &observation.desired) {
            let set = self.pass.a.remove(&desired.name).and_then(Result::ok).flatten();
            a = Some((desired.name.clone(), set.map(|set| set.etag)));
        }
        self.pass.expected = Some(Expected { observation, a });
    }

    /// Whether the other group that a mark names is deleted, as far as it is known. A group that cannot be read for
    /// good counts as living.
    pub(super) fn owner(&self, owner: &Owner) -> Option<Read<bool>> {
        if owner.container_group().is_none() {
            return Some(Ok(false));
        }
        self.pass.owners.get(owner).map(|read| match read {
            Err(FailureKind::Forbidden | FailureKind::Missing | FailureKind::Refused) => Ok(false),
            read => *read,
        })
    }

    /// The PTR record sets that were read one by one, and could be.
    pub(super) fn ptrs(&self, zones: &Zones) -> Vec<ObservedPtr> {
        let known = self.pass.ptr.iter().filter_map(|(key, read)| Some((key, read.as_ref().ok()?)));
        known.filter_map(|(key, set)| observed(zones, key, set.as_ref())).collect()
    }

    /// The PTR record sets that lists hold, as they are after what was written since, where `is_relevant`.
    pub(super) fn listed_ptrs(
        &self,
        zones: &Zones,
        is_relevant: impl Fn(&PtrRecordSet) -> bool,
    ) -> Vec<ObservedPtr> {
        let listed = self.pass.ptr_lists.values().flatten().flatten();
        let current = listed.filter_map(|(key, set)| match self.pass.ptr.get(key) {
            Some(Ok(Some(written))) => Some((key, written)),
            Some(Ok(None)) => None,
            Some(Err(_)) | None => Some((key, set)),
        });
        let relevant = current.filter(|(_, set)| is_relevant(set));
        relevant.filter_map(|(key, set)| observed(zones, key, Some(set))).collect()
    }

    /// The PTR reads that failed, one by one and as lists, in the order in which they were sent.
    pub(super) fn failed_ptr_reads(&self) -> impl Iterator<Item = (Key, FailureKind)> + '_ {
        let sets = self
            .pass
            .ptr
            .iter()
            .filter_map(|(key, read)| Some((Key::Ptr(key.clone()), read.as_ref().err()?)));
        let lists = self
            .pass
            .ptr_lists
            .iter()
            .filter_map(|(zone, read)| Some((Key::PtrList(*zone), read.as_ref().err()?)));
        lists.chain(sets).map(|(key, kind)| (key, *kind))
    }

    /// Where an invocation that ends with this verdict wrote PTR records that nothing else may lead to. A name that
    /// was given up leaves none, once all PTR record sets of it could be read and made right.
    #[must_use]
    pub fn unverified_ptrs(&self, goal: &Goal, verdict: &Verdict) -> BTreeSet<Ipv4Addr> {
        let is_read = |address: &Ipv4Addr| {
            goal.ptr_key(*address).is_none_or(|key| matches!(self.pass.ptr.get(&key), Some(Ok(_))))
        };
        match verdict {
            Verdict::Right(_) | Verdict::Unmanaged(_) | Verdict::Compared(_) => BTreeSet::new(),
            Verdict::Failed(PlanError::Refused(Refusal::Conflict(_)))
                if self.pass.failed_writes.is_empty()
                    && self.failed_ptr_reads().next().is_none()
                    && self.run.written_ptrs.iter().all(is_read) =>
            {
                BTreeSet::new()
            }
            Verdict::Failed(_) => self.run.written_ptrs.clone(),
        }
    }

    /// Whether this pass wrote, or assumes to have written, a record set.
    pub(super) fn is_written(&self, key: &Key) -> bool {
        self.pass.written.contains(key)
    }
}

fn observed(zones: &Zones, key: &PtrKey, set: Option<&PtrRecordSet>) -> Option<ObservedPtr> {
    let zone = zones.reverse.get(key.zone)?.zone().clone();
    Some(ObservedPtr { address: key.address, zone, name: key.name.clone(), record_set: set.cloned() })
}

/// The record set after a write.
fn after<Record: Clone>(edit: &Edit<Record>, etag: Option<ETag>) -> Option<RecordSet<Record>> {
    let content: Content<Record> = edit.after.clone()?;
    Some(RecordSet { etag: etag?, content, is_auto_registered: false })
}

/// The other owner whose mark a change replaces by ours.
fn taken_from(edit: &Edit<crate::dns::PtrTarget>, us: &Owner) -> Option<Owner> {
    let before = edit.before.as_ref()?;
    let is_ours =
        edit.after.as_ref()?.metadata.get(crate::dns::OWNER_KEY).is_some_and(|mark| mark == us.as_str());
    match OwnerMark::of(before, us) {
        OwnerMark::Other(owner) if is_ours => Some(owner),
        OwnerMark::Other(_) | OwnerMark::Ours | OwnerMark::None | OwnerMark::AutoRegistered => None,
    }
}
