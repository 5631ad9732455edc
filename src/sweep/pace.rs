//! How fast record sets are written: no more than the writes that one zone takes in a minute.
//!
//! Operators report that Private DNS takes 60 writes per zone and minute and answers the next ones with 429
//! (<https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling> names a limit
//! for reads only). A repair of everything would meet that at once, and take it away from the events that come
//! meanwhile.
//!
//! [`crate::arm`] has a pace of its own, which is another thing: it learns from a 429 when Azure takes requests again,
//! and knows nothing of what is going to be written. This one plans ahead so that the 429 does not come.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::{dns::Place, plan::Change};

/// Writes that one zone takes.
const WRITES: usize = 60;
/// In this time.
const WINDOW: Duration = Duration::from_mins(1);

/// The writes of the last minute, by zone.
#[derive(Debug, Default)]
pub(super) struct Pace(Mutex<BTreeMap<Place, VecDeque<Instant>>>);

impl Pace {
    /// Reserves the writes of some changes, and says when they may start.
    pub(super) fn reserve(&self, changes: &[Change], now: Instant) -> Instant {
        let mut zones = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut start = now;
        let mut counts: BTreeMap<Place, usize> = BTreeMap::new();
        for change in changes {
            *counts.entry(change.zone().place()).or_default() += 1;
        }
        for (place, count) in &counts {
            let written = zones.entry(place.clone()).or_default();
            while written.front().is_some_and(|at| *at + WINDOW <= now) {
                written.pop_front();
            }
            // As many of the oldest have to be a minute old as the new ones would be too many.
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
