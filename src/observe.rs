//! Reads what one pass needs: the live container group and the record sets that matter.
//!
//! Reads only, through a type that cannot write. Everything that can be read together is read together. No zone
//! is listed here but by the two functions that say so in their name.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    time::Duration,
};

use futures::future::{join, join_all, try_join};

use crate::{
    arm::{ArmError, Kind, Reader},
    config::Zones,
    container_group::{ContainerGroup, Standing},
    desired::{Desired, TagError, own_name},
    dns::{ARecordSet, Owner, RecordSet, RelativeName},
    plan::{Mark, Names, ObservedA, ObservedPtr},
    resource_id::ContainerGroupId,
};

/// The container group and the A record set at its own name, read together.
#[derive(Debug)]
pub struct Sight {
    /// What the group's address is treated as.
    pub standing: Standing,
    /// What the group calls for; nothing when it is tagged to be ignored.
    pub desired: Result<Option<Desired>, TagError>,
    /// The A record set at the group's own name, which is the name that counts unless a tag says otherwise.
    pub own: Option<ARecordSet>,
}

/// Reads the group and the A record set at its own name.
pub async fn sight(reader: &Reader, id: &ContainerGroupId, zones: &Zones) -> Result<Sight, ArmError> {
    let name = own_name(id);
    // The record set first: when Azure takes no reads of its zone, the group is not asked for in vain.
    let (own, group) =
        try_join(reader.a_record_set(&zones.forward, &name), reader.container_group(id)).await?;
    let (standing, desired) = (Standing::of(group.as_ref()), called_for(id, group.as_ref(), zones));
    Ok(Sight { standing, desired, own })
}

/// What a group (or its absence) calls for; nothing when it is tagged to be ignored.
fn called_for(
    id: &ContainerGroupId,
    group: Option<&ContainerGroup>,
    zones: &Zones,
) -> Result<Option<Desired>, TagError> {
    match group {
        Some(group) => Desired::of(id, group, zones),
        None => Ok(Some(Desired::of_absent(id, zones))),
    }
}

/// The first pause between two looks at a group whose address is being assigned; they double.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// Reads like [`sight`], and while the group's address is being assigned looks again, for as long as `wait`
/// allows; what was waited is taken from it.
pub async fn settled_sight(
    reader: &Reader,
    id: &ContainerGroupId,
    zones: &Zones,
    wait: &mut Duration,
) -> Result<Sight, ArmError> {
    let mut seen = sight(reader, id, zones).await?;
    let mut pause = FIRST_PAUSE;
    while is_awaited(&seen) && !wait.is_zero() {
        pause = pause.min(*wait);
        tokio::time::sleep(pause).await;
        *wait = wait.saturating_sub(pause);
        pause = (pause * 2).min(LONGEST_PAUSE);
        // The record set is read along: what was read before the wait may be old by now.
        seen = sight(reader, id, zones).await?;
    }
    Ok(seen)
}

/// Whether waiting may show an address: never for a group that is ignored or whose tags are in error.
fn is_awaited(seen: &Sight) -> bool {
    matches!(seen.standing, Standing::Pending | Standing::Portless) && matches!(seen.desired, Ok(Some(_)))
}

/// The A record set at the name that counts, when the group's own name is not it.
pub async fn a_record_set(reader: &Reader, desired: &Desired) -> Result<Option<ARecordSet>, ArmError> {
    reader.a_record_set(&desired.zones.forward, &desired.name).await
}

/// Whether a group that a mark names is gone. When that cannot be read, it is not.
pub async fn is_gone(reader: &Reader, owner: &Owner) -> Result<bool, ArmError> {
    let Some(id) = owner.container_group() else { return Ok(false) };
    match reader.container_group(&id).await {
        Ok(group) => Ok(group.is_none()),
        Err(error) => match error.kind() {
            Kind::Forbidden | Kind::Missing | Kind::Refused => Ok(false),
            Kind::Transient | Kind::Uncertain | Kind::Race => Err(error),
        },
    }
}

/// An A record set with what has to be asked to judge its mark: whether the group that it names is gone.
pub async fn judged(
    reader: &Reader,
    desired: &Desired,
    record_set: Option<ARecordSet>,
) -> Result<ObservedA, ArmError> {
    let is_abandoned = match record_set.as_ref().map(|set| Mark::of(set, &desired.owner)) {
        Some(Mark::Other(owner)) => is_gone(reader, &owner).await?,
        _ => false,
    };
    Ok(ObservedA { record_set, is_abandoned, ..ObservedA::default() })
}

/// What could be read of several things, and what could not.
#[derive(Debug, Default)]
pub struct Reads {
    /// What could be read.
    pub ptrs: Vec<ObservedPtr>,
    /// What could not.
    pub errors: Vec<ArmError>,
}

impl Reads {
    fn add(&mut self, read: Result<impl IntoIterator<Item = ObservedPtr>, ArmError>) {
        match read {
            Ok(ptrs) => self.ptrs.extend(ptrs),
            Err(error) => self.errors.push(error),
        }
    }
}

/// The PTR record sets of addresses, all at once. An address that no reverse zone contains has none.
pub async fn ptr_record_sets(reader: &Reader, zones: &Zones, addresses: &BTreeSet<Ipv4Addr>) -> Reads {
    let read = |address: Ipv4Addr| async move {
        let (zone, name) = zones.reverse_name(address)?;
        let record_set = reader.ptr_record_set(zone, &name).await;
        Some(record_set.map(|record_set| [ObservedPtr { address, zone: zone.clone(), name, record_set }]))
    };
    let mut reads = Reads::default();
    for read in join_all(addresses.iter().copied().map(read)).await.into_iter().flatten() {
        reads.add(read);
    }
    reads
}

/// Lists every PTR record set of the reverse zones, each zone in parallel.
pub async fn list_ptr_record_sets(reader: &Reader, zones: &Zones) -> Reads {
    let list = |zone| async move {
        let reverse: &crate::dns::ReverseZone = zone;
        let listed = reader.list_ptr_record_sets(reverse.zone()).await?;
        let observed = listed.into_iter().filter_map(|(name, record_set)| {
            let address = reverse.address(&name)?;
            let record_set = Some(record_set);
            Some(ObservedPtr { address, zone: reverse.zone().clone(), name, record_set })
        });
        Ok(observed.collect::<Vec<_>>())
    };
    let mut reads = Reads::default();
    for read in join_all(zones.reverse.iter().map(list)).await {
        reads.add(read);
    }
    reads
}

/// Lists the A record sets of the forward zone that carry our mark.
pub async fn list_marked_a_record_sets(reader: &Reader, desired: &Desired) -> Result<MarkedNames, ArmError> {
    let listed = reader.list_a_record_sets(&desired.zones.forward).await?;
    Ok(listed.into_iter().filter(|(_, set)| Mark::of(set, &desired.owner) == Mark::Ours).collect())
}

/// A record sets that carry our mark, by relative name.
pub type MarkedNames = BTreeMap<RelativeName, ARecordSet>;

/// What the names say that PTR record sets of ours hold beside the name that counts.
#[derive(Debug, Default)]
pub struct OtherNames {
    /// The A record sets that carry our mark, under other names than the one that counts.
    pub marked: MarkedNames,
    /// The names that have no A record set.
    pub vanished: BTreeSet<RelativeName>,
    /// The names that were read.
    read: BTreeSet<RelativeName>,
}

impl OtherNames {
    /// Takes note of an A record set that was read for another reason.
    pub fn note(&mut self, desired: &Desired, name: RelativeName, record_set: Option<ARecordSet>) {
        match record_set {
            Some(set) if Mark::of(&set, &desired.owner) == Mark::Ours => {
                self.marked.insert(name.clone(), set);
            }
            Some(_) => {}
            None => {
                self.vanished.insert(name.clone());
            }
        }
        self.read.insert(name);
    }

    /// Reads further names, but for the one that counts.
    pub async fn visit(
        &mut self,
        reader: &Reader,
        desired: &Desired,
        names: &BTreeSet<RelativeName>,
    ) -> Result<(), ArmError> {
        let unread: Vec<_> =
            names.iter().filter(|name| **name != desired.name && !self.read.contains(*name)).collect();
        let reads = unread.iter().map(|name| reader.a_record_set(&desired.zones.forward, name));
        for (name, record_set) in unread.iter().zip(join_all(reads).await) {
            self.note(desired, (*name).clone(), record_set?);
        }
        Ok(())
    }

    /// Reads the names that the PTR record sets of ours say and that were not read yet. Returns whether there
    /// were any.
    pub async fn follow(
        &mut self,
        reader: &Reader,
        desired: &Desired,
        ptrs: &[ObservedPtr],
    ) -> Result<bool, ArmError> {
        let said: BTreeSet<_> = ptrs.iter().flat_map(|ptr| ptr.other_names(desired)).collect();
        let is_any = said.difference(&self.read).next().is_some();
        self.visit(reader, desired, &said).await?;
        Ok(is_any)
    }

    /// The addresses that the marked A record sets hold or remember.
    #[must_use]
    pub fn addresses(&self) -> BTreeSet<Ipv4Addr> {
        self.marked.values().flat_map(addresses_of).collect()
    }

    /// The names that count as ours, `own` among them where it is.
    #[must_use]
    pub fn names(&self, desired: &Desired, own: Option<&RelativeName>) -> Names {
        let qualify = |name: &RelativeName| name.within(&desired.zones.forward.name);
        Names {
            held: self.marked.keys().chain(own).map(qualify).collect(),
            vanished: self.vanished.iter().map(qualify).collect(),
        }
    }
}

/// The addresses that an A record set holds or remembers.
pub fn addresses_of(record_set: &ARecordSet) -> impl Iterator<Item = Ipv4Addr> + use<> {
    let memory = RecordSet::memory(record_set);
    let held = record_set.content.records.clone();
    held.into_iter().chain(memory.addresses().collect::<Vec<_>>())
}

/// The last look of an invocation that wrote: the group and the A record set, together.
pub async fn look(
    reader: &Reader,
    id: &ContainerGroupId,
    desired: &Desired,
) -> Result<(Standing, Result<Option<Desired>, TagError>, Option<ARecordSet>), ArmError> {
    let (group, record_set) = join(reader.container_group(id), a_record_set(reader, desired)).await;
    let group = group?;
    let again = called_for(id, group.as_ref(), &desired.zones);
    Ok((Standing::of(group.as_ref()), again, record_set?))
}
