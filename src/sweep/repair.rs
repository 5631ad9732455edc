//! Repairs what a sweep found, one group after the other, through the reconciler that events use.
//!
//! Each group is observed anew before anything is written to it, so a repair that was interrupted anywhere is resumed
//! by sweeping again: what was done is right by then.

use std::time::Duration;

use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use super::Sweeper;
use crate::{
    findings::Found,
    reconcile::Order,
    report::{Outcome, Report},
};

/// How long one group may take, where invocations have less: nobody delivers a repair again, so a throttle that ends
/// within the minute is waited for.
const PATIENCE: Duration = Duration::from_mins(2);

/// Tells a repair to end after the group in flight.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

impl Stop {
    /// Stops when `true` is sent.
    #[must_use]
    pub fn when(receiver: watch::Receiver<bool>) -> Self {
        Self(receiver)
    }

    /// Never stops.
    #[must_use]
    pub fn never() -> Self {
        Self(watch::Sender::new(false).subscribe())
    }

    /// Whether it is time to end.
    #[must_use]
    pub fn is_now(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits until it is.
    pub async fn come(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|is_now| *is_now).await.is_err() {
            // Nobody is left who could say so.
            std::future::pending::<()>().await;
        }
    }
}

/// One group that was repaired, or not.
#[derive(Debug)]
pub struct Step<'a> {
    /// What was found.
    pub found: &'a Found,
    /// What became of it.
    pub report: &'a Report,
    /// How many groups come after it.
    pub left: usize,
}

/// What a repair came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// Groups that are right now.
    pub done: usize,
    /// Groups that could not be made right.
    pub failed: usize,
    /// Groups that were not come to.
    pub left: usize,
    /// Requests to Resource Manager.
    pub requests: u32,
    /// The gravest outcome.
    pub gravest: Outcome,
    /// The error of the first group that failed.
    pub error: Option<String>,
}

impl Repaired {
    /// One sentence.
    #[must_use]
    pub fn summary(&self) -> String {
        let failed = if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() };
        let left = if self.left > 0 { format!(", {} left", self.left) } else { String::new() };
        format!("{} repaired{failed}{left}", self.done)
    }
}

impl Sweeper {
    /// Reconciles the groups that something would be written for, at the pace of the zones. Ends when all are done,
    /// after the group in flight when it is told to stop, or when there is no time left for the next one. A group
    /// that is not done as soon as an invocation would be after it was told to stop is cut off, which does no harm.
    pub async fn repair(
        &self,
        found: &[Found],
        deadline: Instant,
        stop: &Stop,
        mut tell: impl FnMut(&Step<'_>),
    ) -> Repaired {
        let due: Vec<&Found> = found.iter().filter(|found| !found.changes.is_empty()).collect();
        let mut repaired = Repaired {
            done: 0,
            failed: 0,
            left: due.len(),
            requests: 0,
            gravest: Outcome::Converged,
            error: None,
        };
        for found in due {
            let start = self.pace.reserve(&found.changes, Instant::now());
            if stop.is_now() || start >= deadline {
                break;
            }
            tokio::select! {
                () = stop.come() => break,
                () = sleep_until(start) => {}
            }
            let now = Instant::now();
            let time = (now + PATIENCE).min(deadline).max(now + self.settings.deadline);
            let order = Order { lookups: found.lookups.clone(), evidence: found.evidence, slot: None };
            let report = tokio::select! {
                report = self.reconciler.repair(&found.id, order, time) => report,
                () = self.patience_ends(stop) => break,
            };
            repaired.left -= 1;
            repaired.requests = repaired.requests.saturating_add(report.arm_calls);
            repaired.gravest = repaired.gravest.max(report.outcome);
            if report.outcome.status() == 200 {
                repaired.done += 1;
            } else {
                repaired.failed += 1;
                repaired.error = repaired.error.take().or_else(|| report.error.clone());
            }
            tell(&Step { found, report: &report, left: repaired.left });
        }
        repaired
    }

    /// Comes when somebody who wants an end has waited for as long as an invocation may take.
    async fn patience_ends(&self, stop: &Stop) {
        stop.come().await;
        sleep(self.settings.deadline).await;
    }
}
