//! Former versions of resources, for reads from a stale replica.
//!
//! A former version ends with a change of the simulator (its revision, counted from 1) and at a time. It is
//! stored when the change happens, so unchanged resources cost nothing. The latest [`KEPT`] versions of each
//! resource are kept; an older replica answers from the oldest one.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

const KEPT: usize = 16;

/// How stale a replica is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Staleness {
    /// The answer of this time ago.
    Behind(Duration),
    /// The answer at this moment.
    AsOf(Moment),
    /// The answer before the latest changes of the resource: this many of them, at least one.
    Versions(usize),
    /// The resource does not exist yet: 404, or an empty list.
    NotYet,
    /// The resource group does not exist yet: 404 `ResourceGroupNotFound`.
    ResourceGroupNotYet,
}

/// A moment between two changes of the simulator.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    pub(super) revision: u64,
    pub(super) elapsed: Duration,
}

/// Which versions of a resource are invisible.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Cut {
    /// None.
    Present,
    /// Changes after this revision, with this time in answers.
    After(Moment),
    /// Changes after this time.
    Later(Duration),
    /// All.
    Everything,
}

impl Cut {
    /// The time in the answer.
    pub(super) fn time(self, now: Duration) -> Duration {
        match self {
            Self::After(moment) => moment.elapsed,
            Self::Later(time) => time,
            Self::Present | Self::Everything => now,
        }
    }

    fn hides<T>(self, change: &Former<T>) -> bool {
        match self {
            Self::Present => false,
            Self::After(moment) => change.revision > moment.revision,
            Self::Later(time) => change.at > time,
            Self::Everything => true,
        }
    }
}

/// A version that a change ended.
#[derive(Debug)]
struct Former<T> {
    /// The revision of the change.
    revision: u64,
    at: Duration,
    /// `None` if the resource did not exist.
    value: Option<T>,
}

/// The former versions of resources, by key.
#[derive(Debug)]
pub(super) struct History<K, T>(BTreeMap<K, VecDeque<Former<T>>>);

impl<K, T> Default for History<K, T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord + Clone, T> History<K, T> {
    /// Stores the version that a change is about to end. Only the first version of one change is stored.
    pub(super) fn keep(&mut self, key: &K, change: Moment, value: impl FnOnce() -> Option<T>) {
        if !self.0.contains_key(key) {
            self.0.insert(key.clone(), VecDeque::new());
        }
        let Some(versions) = self.0.get_mut(key) else { return };
        if versions.back().is_some_and(|last| last.revision == change.revision) {
            return;
        }
        versions.push_back(Former { revision: change.revision, at: change.elapsed, value: value() });
        if versions.len() > KEPT {
            versions.pop_front();
        }
    }

    /// The versions of the resources of this scope that a stale replica does not show.
    pub(super) fn cut(
        &self,
        staleness: Option<Staleness>,
        now: Duration,
        is_in_scope: impl Fn(&K) -> bool,
    ) -> Cut {
        match staleness {
            None => Cut::Present,
            Some(Staleness::Behind(lag)) => now.checked_sub(lag).map_or(Cut::Everything, Cut::Later),
            Some(Staleness::AsOf(moment)) => Cut::After(moment),
            Some(Staleness::Versions(count)) => {
                let versions = self.0.iter().filter(|(key, _)| is_in_scope(key)).flat_map(|(_, it)| it);
                let changes: BTreeSet<_> = versions.map(|it| (it.revision, it.at)).collect();
                let change = changes.iter().rev().take(count.max(1)).next_back();
                change.map_or(Cut::Present, |(revision, at)| {
                    Cut::After(Moment { revision: revision.saturating_sub(1), elapsed: *at })
                })
            }
            Some(Staleness::NotYet | Staleness::ResourceGroupNotYet) => Cut::Everything,
        }
    }

    /// The visible version of one resource.
    pub(super) fn version<'a>(&'a self, key: &K, cut: Cut, present: Option<&'a T>) -> Option<&'a T> {
        if cut == Cut::Everything {
            return None;
        }
        let former = self.0.get(key).and_then(|versions| versions.iter().find(|it| cut.hides(it)));
        former.map_or(present, |former| former.value.as_ref())
    }

    /// The keys with former versions.
    pub(super) fn keys(&self) -> impl Iterator<Item = &K> {
        self.0.keys()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(revision: u64, seconds: u64) -> Moment {
        Moment { revision, elapsed: Duration::from_secs(seconds) }
    }

    /// A resource that revision 1 creates at 10 s, revisions 3 and 4 change at 20 s, and revision 7 removes
    /// at 50 s.
    fn history() -> History<&'static str, &'static str> {
        let mut history = History::default();
        history.keep(&"web", moment(1, 10), || None);
        history.keep(&"web", moment(3, 20), || Some("first"));
        history.keep(&"web", moment(3, 20), || Some("never seen"));
        history.keep(&"web", moment(4, 20), || Some("second"));
        history.keep(&"api", moment(5, 30), || None);
        history.keep(&"web", moment(7, 50), || Some("third"));
        history
    }

    #[track_caller]
    fn check(staleness: Staleness, expected: Option<&str>) {
        let history = history();
        let cut = history.cut(Some(staleness), Duration::from_mins(1), |key| *key == "web");
        assert_eq!(history.version(&"web", cut, None).copied(), expected, "{staleness:?}");
    }

    #[test]
    fn a_stale_replica_shows_the_version_of_that_time() {
        let behind = |seconds| Staleness::Behind(Duration::from_secs(seconds));
        check(behind(5), None);
        check(behind(10), None);
        check(behind(11), Some("third"));
        check(behind(40), Some("third"));
        check(behind(41), Some("first"));
        check(behind(51), None);
        check(behind(61), None);
    }

    #[test]
    fn a_stopped_replica_shows_the_versions_of_one_moment() {
        check(Staleness::AsOf(moment(0, 0)), None);
        check(Staleness::AsOf(moment(2, 20)), Some("first"));
        check(Staleness::AsOf(moment(3, 20)), Some("second"));
        check(Staleness::AsOf(moment(6, 20)), Some("third"));
        check(Staleness::AsOf(moment(7, 50)), None);
    }

    #[test]
    fn versions_are_counted_back_from_the_latest_change() {
        check(Staleness::Versions(0), Some("third"));
        check(Staleness::Versions(1), Some("third"));
        check(Staleness::Versions(2), Some("second"));
        check(Staleness::Versions(3), Some("first"));
        check(Staleness::Versions(99), None);
        let list = history().cut(Some(Staleness::Versions(2)), Duration::from_mins(1), |_| true);
        assert_eq!(list, Cut::After(moment(4, 30)));
        let unchanged = history().cut(Some(Staleness::Versions(1)), Duration::ZERO, |key| *key == "none");
        assert_eq!(unchanged, Cut::Present);
    }

    #[test]
    fn a_resource_that_does_not_exist_yet_has_no_version() {
        check(Staleness::NotYet, None);
        let mut history = History::default();
        assert_eq!(history.version(&"web", Cut::Everything, Some(&1)), None);
        for revision in 1..100 {
            history.keep(&"web", moment(revision, revision), || Some(revision));
        }
        let oldest = history.version(&"web", Cut::Later(Duration::from_secs(1)), Some(&100));
        assert_eq!(oldest, Some(&84), "older versions are not kept");
    }
}
