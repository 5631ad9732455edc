//! Limits the writes of a repair to the number that one zone accepts per minute.
//!
//! Operators report that Private DNS accepts 60 writes per zone and minute and answers further ones with 429
//! (<https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling> names
//! a limit for reads only). A large repair would reach that limit at once, and events would be throttled too.
//!
//! The cooldowns in [`crate::azure::arm`] are different: they start after a 429 and do not know the planned writes.
//! The budget here avoids the 429.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{decide::change::Change, domain::dns::ZoneKey};

/// The writes that one zone accepts within [`WINDOW`].
const WRITES: usize = 60;
/// The period of the limit.
const WINDOW: Duration = Duration::from_mins(1);

/// The writes of the last minute, by zone.
#[derive(Debug, Default)]
pub(super) struct WriteBudget(Mutex<BTreeMap<ZoneKey, VecDeque<Instant>>>);

impl WriteBudget {
    /// Reserves the writes of some changes, and returns when they may start.
    pub(super) fn reserve(&self, changes: &[Change], now: Instant) -> Instant {
        let mut zones = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut start = now;
        let mut counts: BTreeMap<ZoneKey, usize> = BTreeMap::new();
        for change in changes {
            *counts.entry(change.zone().key()).or_default() += 1;
        }
        for (place, count) in &counts {
            let written = zones.entry(place.clone()).or_default();
            while written.front().is_some_and(|at| *at + WINDOW <= now) {
                written.pop_front();
            }
            // Wait until enough of the oldest writes are a minute old.
            let too_many = (written.len() + count).saturating_sub(WRITES);
            if let Some(at) = too_many
                .checked_sub(1)
                .and_then(|last| written.get(last.min(written.len().saturating_sub(1))))
            {
                start = start.max(*at + WINDOW);
            }
        }
        for (place, count) in counts {
            zones.entry(place).or_default().extend(std::iter::repeat_n(start, count));
        }
        start
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        decide::change::Edit,
        domain::dns::{Content, Metadata, Zone},
    };

    /// Creates this number of record sets in a zone.
    fn changes(zone: &str, count: usize) -> Vec<Change> {
        let zone = Zone {
            subscription: "s1".to_owned(),
            resource_group: "rg-dns".to_owned(),
            name: zone.parse().unwrap(),
        };
        let after = Some(Content { ttl: 60, records: vec![], metadata: Metadata::new() });
        let edit = Edit { zone, name: "web".parse().unwrap(), before: None, after };
        vec![Change::A(edit); count]
    }

    #[test]
    fn sixty_writes_start_at_once_and_the_next_when_the_oldest_is_a_minute_old() {
        let (pace, now) = (WriteBudget::default(), Instant::now());
        let seconds = Duration::from_secs;
        let reserve = |zone: &str, count, after| {
            let now = now + seconds(after);
            (pace.reserve(&changes(zone, count), now) - now).as_secs()
        };
        assert_eq!(reserve("contoso.internal", 59, 0), 0);
        assert_eq!(reserve("contoso.internal", 1, 10), 0);
        assert_eq!(reserve("contoso.internal", 2, 20), 40);
        // Another zone has its own limit.
        assert_eq!(reserve("example.internal", 60, 20), 0);
        // The first 59 are a minute old; the later three are not.
        assert_eq!(reserve("contoso.internal", 57, 60), 0);
        assert_eq!(reserve("contoso.internal", 1, 60), 10);
    }

    #[test]
    fn a_group_waits_for_the_slowest_of_its_zones_and_a_very_large_group_for_an_empty_minute() {
        let (pace, now) = (WriteBudget::default(), Instant::now());
        pace.reserve(&changes("contoso.internal", 60), now);
        let both = [changes("contoso.internal", 1), changes("example.internal", 1)].concat();
        assert_eq!(pace.reserve(&both, now), now + WINDOW);
        assert_eq!(pace.reserve(&changes("example.internal", 61), now), now + 2 * WINDOW);
        assert_eq!(pace.reserve(&[], now), now);
    }
}
