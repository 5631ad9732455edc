//! Storms: record sets observed by lists.
//!
//! When Azure throttles requests for single record sets in a zone and more than a few groups wait for it, one list of
//! each record type stands for the reads of all of them. A read is answered by a list that started after it was asked
//! for, so an answer is never older than the read that it replaces, and no list is kept. A list keeps the record sets
//! that its callers asked for. A zone of many pages is listed only where more groups wait than it has pages.
//!
//! What is decided on these answers is the same ([`crate::decide`]): a record set in a list has its ETag, and every
//! write is conditional on it. Container groups are read singly, because a list does not tell that a group is stopped.

use std::{
    collections::{BTreeSet, HashMap},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use crate::{
    azure::{
        arm::{Arm, Reader, SharedList, WantedNames},
        slot::Slot,
    },
    config::Zones,
    domain::{
        dns::{RecordType, Zone, ZoneKey},
        resource_id::ContainerGroupId,
    },
    reconcile::coalesce::{Coalescer, Role},
};
use futures::FutureExt as _;

/// How many groups may wait for a throttled zone before it is listed.
const FEW: usize = 4;

/// The pause between two lists of one zone and record type. Operators report that Private DNS takes 100 pages of lists
/// in a minute and zone; this leaves room for three processes.
const PAUSE: Duration = Duration::from_secs(2);

/// How many lists are under way at most.
const MOST_LISTS: usize = 8;

/// Finds up to so many groups that wait for a zone.
type WaitingGroups = dyn Fn(&Zone, usize) -> BTreeSet<ContainerGroupId> + Send + Sync;

/// The lists that the invocations of a process share.
pub struct ZoneLists {
    arm: Arm,
    coalescer: Arc<Coalescer<(RecordType, ZoneKey), WantedNames, Arc<SharedList>>>,
    waiting: Box<WaitingGroups>,
    /// The numbers of requests of the latest lists, by zone. The zones are those of the map.
    pages: Mutex<HashMap<ZoneKey, usize>>,
}

impl ZoneLists {
    /// Lists of this Resource Manager, for zones that groups wait for.
    pub fn new(
        arm: Arm,
        waiting: impl Fn(&Zone, usize) -> BTreeSet<ContainerGroupId> + Send + Sync + 'static,
    ) -> Self {
        let coalescer = Arc::new(Coalescer::paced(MOST_LISTS, PAUSE));
        Self { arm, coalescer, waiting: Box::new(waiting), pages: Mutex::default() }
    }

    /// Whether a group of these zones can be tried although some of them are throttled.
    #[must_use]
    pub fn serve(&self, zones: &Zones) -> bool {
        let mut throttled = zones.all().filter(|zone| self.arm.throttled_until(zone).is_some());
        throttled.all(|zone| self.stand_for(zone))
    }

    /// Whether lists stand for the single reads of this zone now.
    #[must_use]
    pub fn stand_for(&self, zone: &Zone) -> bool {
        self.arm.throttles_record_sets(zone) && !self.arm.throttles_lists(zone) && self.are_shared(zone)
    }

    /// Whether so many groups wait for this zone that lists cost less than their reads.
    #[must_use]
    pub fn are_shared(&self, zone: &Zone) -> bool {
        let pages = self.pages().get(&zone.key()).copied().unwrap_or_default();
        let few = FEW.max(pages);
        (self.waiting)(zone, few + 1).len() > few
    }

    fn pages(&self) -> MutexGuard<'_, HashMap<ZoneKey, usize>> {
        self.pages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A list that starts after this call, for an invocation with this reader. It holds no slot while it waits.
    pub async fn list(
        &self,
        (reader, slot): (&Reader, Option<&Slot>),
        record_type: RecordType,
        zone: &Zone,
        wanted: WantedNames,
    ) -> Option<Arc<SharedList>> {
        let deadline = reader.deadline()?;
        let (arm, listed) = (self.arm.clone(), zone.clone());
        let work = move |deadline, (first, others): (WantedNames, Vec<WantedNames>), _| {
            let (reader, zone) = (arm.observation(deadline), listed.clone());
            let wanted = others.into_iter().fold(first, WantedNames::merged);
            async move { Arc::new(reader.shared_list(record_type, &zone, &wanted).await) }.boxed()
        };
        let run = self.coalescer.run((record_type, zone.key()), wanted, deadline, work);
        // A list that panicked has its own line, and the single read follows.
        let (list, role) = match slot {
            Some(slot) => slot.release_during(run).await,
            None => run.await,
        }
        .ok()?;
        if role == Role::Leader {
            reader.add_requests_of(&list);
            self.pages().insert(zone.key(), list.requests());
        }
        Some(list)
    }
}

impl fmt::Debug for ZoneLists {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ZoneLists").field("coalescer", &self.coalescer).finish_non_exhaustive()
    }
}
