//! The number of requests per zone and minute that Private DNS accepts before it answers 429.
//!
//! The numbers come from reports of operators; Microsoft documents 500 reads in five minutes for a
//! subscription
//! (<https://learn.microsoft.com/azure/azure-resource-manager/management/request-limits-and-throttling>).

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

const WINDOW: Duration = Duration::from_mins(1);

/// Requests per zone and minute.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Throttles {
    /// Creations of record sets.
    pub creates: usize,
    /// Writes of existing record sets.
    pub updates: usize,
    /// Deletions.
    pub deletes: usize,
    /// Reads of one record set.
    pub gets: usize,
    /// Pages of lists.
    pub lists: usize,
}

impl Default for Throttles {
    fn default() -> Self {
        Self { creates: 60, updates: 60, deletes: 60, gets: 200, lists: 100 }
    }
}

/// The quota of a request to Private DNS.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Create,
    Update,
    Delete,
    Get,
    List,
}

impl Throttles {
    fn limit(self, kind: Kind) -> usize {
        match kind {
            Kind::Create => self.creates,
            Kind::Update => self.updates,
            Kind::Delete => self.deletes,
            Kind::Get => self.gets,
            Kind::List => self.lists,
        }
    }
}

/// The requests to one zone in the last minute.
#[derive(Debug, Default)]
pub(super) struct Window {
    admitted: BTreeMap<Kind, VecDeque<Duration>>,
}

impl Window {
    /// Admits a request, or returns how many seconds remain until the next one is admitted.
    pub(super) fn admit(&mut self, throttles: Throttles, kind: Kind, now: Duration) -> Result<(), u64> {
        let admitted = self.admitted.entry(kind).or_default();
        while admitted.front().is_some_and(|at| *at + WINDOW <= now) {
            admitted.pop_front();
        }
        if admitted.len() < throttles.limit(kind) {
            admitted.push_back(now);
            return Ok(());
        }
        let free_in = admitted.front().map_or(WINDOW, |at| (*at + WINDOW).saturating_sub(now));
        Err(free_in.as_secs() + u64::from(free_in.subsec_nanos() > 0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_slot_is_free_a_minute_after_the_oldest_request() {
        let throttles = Throttles { gets: 2, ..Throttles::default() };
        let mut window = Window::default();
        let mut get = |seconds| window.admit(throttles, Kind::Get, Duration::from_secs_f64(seconds));
        assert_eq!(get(0.5), Ok(()));
        assert_eq!(get(10.0), Ok(()));
        assert_eq!(get(20.0), Err(41));
        assert_eq!(get(60.4), Err(1));
        assert_eq!(get(60.5), Ok(()));
        assert_eq!(get(61.0), Err(9));
        assert_eq!(window.admit(throttles, Kind::List, Duration::from_mins(1)), Ok(()));
    }
}
