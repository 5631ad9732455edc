//! Work that an invocation left: what Azure throttled, and PTR records that were written and not verified.
//!
//! Both are kept in memory, bounded, and lost with the process. Nothing depends on them; they save time.

use std::{collections::BTreeSet, net::Ipv4Addr, sync::Arc, time::Duration};

use super::unfinished::Unfinished;
use crate::{
    decide::Evidence,
    dns::Place,
    owed::Owed,
    report::{Outcome, Report},
    resource_id::ContainerGroupId,
};

/// How long after a run that wrote a PTR record and could not verify it another one follows.
const VERIFY_AGAIN: Duration = Duration::from_mins(1);

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Backlog {
    /// By forward zone.
    owed: Arc<Owed<Place, ContainerGroupId, Evidence>>,
    unfinished: Unfinished,
}

impl Backlog {
    /// How long to wait before a group is retried without an event, where that is called for.
    pub(super) fn wait(&self, id: &ContainerGroupId, report: &Report) -> Option<Duration> {
        let is_unverified = || report.outcome != Outcome::Failed && self.unfinished.has(id);
        report.throttled.or_else(|| is_unverified().then_some(VERIFY_AGAIN))
    }

    /// Whether nothing waits for a retry.
    pub(super) fn is_empty(&self) -> bool {
        self.owed.is_empty()
    }

    /// Retries a group once a wait is over. `again` retries it with the strongest evidence of its events, and returns
    /// how long to wait where it has to be retried once more.
    pub(super) fn add<Again, Run>(
        &self,
        lane: Place,
        id: &ContainerGroupId,
        evidence: Evidence,
        wait: Duration,
        again: Again,
    ) where
        Again: Fn(ContainerGroupId, Evidence) -> Run + Send + 'static,
        Run: Future<Output = Option<Duration>> + Send + 'static,
    {
        self.owed.owe(lane, id.clone(), evidence, wait, again);
    }

    /// A group needs no retry any more.
    pub(super) fn complete(&self, lane: &Place, id: &ContainerGroupId) {
        self.owed.settle(lane, id);
    }

    /// Where the last run for a group wrote PTR records that were not verified.
    pub(super) fn unverified_ptrs(&self, id: &ContainerGroupId) -> BTreeSet<Ipv4Addr> {
        self.unfinished.of(id)
    }

    /// Keeps the addresses at which a run wrote PTR records that were not verified; none after a verified run.
    pub(super) fn keep_unverified(&self, id: &ContainerGroupId, addresses: BTreeSet<Ipv4Addr>) {
        self.unfinished.keep(id, addresses);
    }
}
