//! Repairs the findings of a sweep, one group after the other, through the reconciler that events use.
//!
//! Each group is read again before a write. So an interrupted repair is resumed by another sweep, which finds
//! the repaired groups correct.

use std::{sync::Arc, time::Duration};

use tokio::{
    sync::watch,
    time::{Instant, sleep, sleep_until},
};

use super::Sweeper;
use crate::{
    decide::report::{Outcome, Report},
    reconcile::Order,
    sweep::findings::GroupFinding,
};

/// The time limit for one group. It is longer than that of an invocation: a repair is not delivered again, so
/// it waits for a throttle that ends within a minute.
const GROUP_TIMEOUT: Duration = Duration::from_mins(2);

/// A signal that ends a repair after the current group.
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

    /// Whether the signal was sent.
    #[must_use]
    pub fn is_now(&self) -> bool {
        *self.0.borrow()
    }

    /// Waits for the signal.
    pub async fn signalled(&self) {
        let mut receiver = self.0.clone();
        if receiver.wait_for(|is_now| *is_now).await.is_err() {
            // The sender is dropped, so the signal can no longer be sent.
            std::future::pending::<()>().await;
        }
    }
}

/// A group that was repaired, or whose repair failed.
#[derive(Debug)]
pub struct RepairStep<'a> {
    /// The finding.
    pub found: &'a GroupFinding,
    /// The report of the repair.
    pub report: &'a Report,
    /// How many groups follow.
    pub left: usize,
}

/// The result of a repair.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Repaired {
    /// Repaired groups.
    pub done: usize,
    /// Groups whose repair failed.
    pub failed: usize,
    /// Groups that were not processed.
    pub left: usize,
    /// Requests to Resource Manager.
    pub requests: u32,
    /// The most severe outcome.
    pub most_severe: Outcome,
    /// The error of the first group that failed.
    pub error: Option<String>,
}

impl Repaired {
    /// The result in one sentence.
    #[must_use]
    pub fn summary(&self) -> String {
        let failed = if self.failed > 0 { format!(", {} failed", self.failed) } else { String::new() };
        let left = if self.left > 0 { format!(", {} left", self.left) } else { String::new() };
        format!("{} repaired{failed}{left}", self.done)
    }
}

impl Sweeper {
    /// Reconciles the groups that need a write, within the write limits of the zones. Ends when all are
    /// processed, after the current group if `stop` is sent, or when no time is left for the next one. After
    /// `stop`, the current group has the time of an invocation and is then cut off, which is safe. `on_step`
    /// receives each result.
    pub async fn repair(
        &self,
        found: &[GroupFinding],
        deadline: Instant,
        stop: &Stop,
        mut on_step: impl FnMut(&RepairStep<'_>),
    ) -> Repaired {
        let due: Vec<&GroupFinding> = found.iter().filter(|found| found.is_planned()).collect();
        let mut repaired = Repaired {
            done: 0,
            failed: 0,
            left: due.len(),
            requests: 0,
            most_severe: Outcome::Converged,
            error: None,
        };
        self.arm.activity().expect(due.len());
        for found in due {
            let start = self.write_budget.reserve(&found.changes, Instant::now());
            if stop.is_now() || start >= deadline {
                break;
            }
            tokio::select! {
                () = stop.signalled() => break,
                () = sleep_until(start) => {}
            }
            let now = Instant::now();
            let time = (now + GROUP_TIMEOUT).min(deadline).max(now + self.settings.deadline);
            let order = Order {
                lookups: found.lookups.clone(),
                evidence: found.evidence,
                reviewed: found.is_reviewed.then(|| Arc::new(found.writes())),
                ..Order::default()
            };
            let repair = async {
                if found.is_service {
                    self.repair_service(found, order, time).await
                } else {
                    self.reconciler.repair(&found.id, order, time).await
                }
            };
            let report = tokio::select! {
                report = repair => report,
                () = self.grace_period(stop) => break,
            };
            repaired.left -= 1;
            self.arm.activity().finish_one();
            repaired.requests = repaired.requests.saturating_add(report.arm_calls);
            repaired.most_severe = repaired.most_severe.max(report.outcome);
            if report.outcome.status() == 200 {
                repaired.done += 1;
            } else {
                repaired.failed += 1;
                repaired.error = repaired.error.take().or_else(|| report.error.clone());
            }
            on_step(&RepairStep { found, report: &report, left: repaired.left });
        }
        repaired
    }

    /// Returns when the time of an invocation has passed since `stop`.
    async fn grace_period(&self, stop: &Stop) {
        stop.signalled().await;
        sleep(self.settings.deadline).await;
    }
}
