//! Looks at everything that the map serves: what no event tells, such as a move by the platform, a record that a
//! person changed, or a group that was there before the subscription to its events.
//!
//! A sweep lists the container groups of each mapped scope and each zone once (`gather`), and then looks at that
//! snapshot through the eyes of a single pass: the same reconciler says what it would change, the same drift tracker
//! says how DNS and reality differ. There is no second way to observe, to plan or to write. What a list of a whole
//! zone shows and a pass would not see (a stale PTR record that nothing leads to, an old name) is given to it as a
//! hint where to look (`index`).
//!
//! **A list acquits; only a single answer convicts.** Lists leave out whether a group is stopped or has ended. So a
//! group is asked for by itself where the list leaves a doubt: its records are not right as the list shows it; it is
//! listed without an address, and something in the zones is about it; its containers may run to their end (its
//! restart policy is not `Always`); another group is listed at its address; or it is not listed, and record sets
//! carry its mark. A group with a usable address that is always restarted, and whose records are right, is not asked
//! for, nor is one of which the zones say nothing, or one that is being provisioned. Whoever does not trust lists
//! that far sweeps thoroughly: then each group that the zones say something about is asked for.
//!
//! A list that fails aborts the verdict about everything that it would have told; nothing is ever taken for absent
//! because it could not be read.

mod gather;
mod index;
mod pace;
mod repair;
mod verdict;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, stream};
use tokio::time::Instant;

pub use self::repair::{Repaired, Step, Stop};
use self::{index::Index, pace::Pace};
use crate::{
    arm::{Arm, ArmError, Reader, Snapshot},
    config::{MissingSubscription, Settings, Sweep},
    container_group::{AddressState, ContainerGroup},
    decide::Evidence,
    drift::DriftTracker,
    findings::{ChangeGuard, Failure, Findings, Found, Tally, Verdict, place_of},
    reconcile::{Clock, DryRun, Order, ReconcileError, Reconciler, failure_outcome},
    report::{Chain, Drift, Outcome, Report, unmapped},
    resource_id::{ContainerGroupId, Scope},
};

/// How many groups are asked for at the same time.
const ASKED_AT_ONCE: usize = 16;

/// How long the timed sweep may last: with one reconciliation at the end of it, less than the ten minutes of
/// `functionTimeout` in `host.json`.
const TIME: Duration = Duration::from_mins(8);

/// Sweeps over everything that the map serves.
#[derive(Debug)]
pub struct Sweeper {
    settings: Arc<Settings>,
    arm: Arm,
    clock: Clock,
    reconciler: Arc<Reconciler>,
    tracker: DriftTracker,
    pace: Pace,
}

/// How a sweep goes about its work.
#[derive(Clone, Copy, Debug)]
pub struct Manner {
    /// When it has to end.
    pub deadline: Instant,
    /// Whether each group that the zones say something about is asked for.
    pub is_thorough: bool,
}

impl Sweeper {
    /// Puts a sweeper together.
    #[must_use]
    pub fn new(settings: Arc<Settings>, arm: Arm, clock: Clock, reconciler: Arc<Reconciler>) -> Self {
        let tracker = DriftTracker::new(Arc::clone(&settings), arm.clone(), clock.clone());
        Self { settings, arm, clock, reconciler, tracker, pace: Pace::default() }
    }

    /// Looks at everything, and writes nothing.
    pub async fn look(&self, manner: Manner) -> Result<Findings, MissingSubscription> {
        let reader = self.arm.observation(manner.deadline);
        let mut snapshot = Arc::new(gather::snapshot(&reader, &self.settings).await?);
        let index = Index::of(&snapshot, &self.settings.zones);

        let mut tally = Tally::default();
        let mut findings = Findings { strays: index.strays(&snapshot), ..Findings::default() };
        findings.failures = snapshot.failures().map(failure).collect();
        findings.managed = index.managed().clone();
        // A resource group that is deleted still matters while record sets carry the marks of its groups.
        let marked = index.owners().filter(|id| snapshot.is_in_sight(id)).map(Scope::of);
        let places = snapshot.places().into_iter().chain(marked).collect();
        findings.unmatched = reader.unmatched_keys(&self.settings, &places).await;
        findings.resource_groups = snapshot.listed_container_groups().map(|(id, _)| place_of(id)).collect();

        let served = |id: &ContainerGroupId| self.settings.zones.serving(id).is_some();
        let listed: BTreeSet<_> =
            snapshot.listed_container_groups().map(|(id, _)| id).filter(|id| served(id)).cloned().collect();
        tally.groups = listed.len();
        let gone =
            index.owners().filter(|id| !listed.contains(*id) && served(id) && snapshot.is_in_sight(id));
        let all: BTreeSet<_> = listed.iter().cloned().chain(gone.cloned()).collect();

        let mut doubts = vec![];
        let crowded = crowded(&snapshot);
        for id in &all {
            let look = self.judge(&snapshot, &index, id).await;
            if is_in_doubt(&look, &crowded, manner.is_thorough) {
                doubts.push(id.clone());
            } else {
                count(look, &mut tally, &mut findings);
            }
        }
        let asked = self.ask(&reader, doubts, manner.deadline).await;
        // Nobody else holds the snapshot any more.
        if let Some(snapshot) = Arc::get_mut(&mut snapshot) {
            for (id, answer) in asked.answers {
                snapshot.add_answer(id, answer);
            }
        }
        for id in &asked.ids {
            let look = self.judge(&snapshot, &index, id).await;
            count(look, &mut tally, &mut findings);
        }
        let changes = findings.found.iter().flat_map(|found| &found.changes);
        let touched = changes.map(|change| (change.zone().place(), change.record_set().1.clone())).collect();
        findings.strays.extend(index.former_values(&touched));
        tally.left = asked.left;
        tally.asked = asked.ids.len();
        tally.requests = reader.calls();
        findings.tally = tally;
        findings.found.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(findings)
    }

    /// Looks at one container group by single reads, and writes nothing. Fails where the map does not serve the group,
    /// and where the group does not exist or cannot be read.
    pub async fn look_at(&self, id: &ContainerGroupId, deadline: Instant) -> Result<Findings, String> {
        if self.settings.zones.serving(id).is_none() {
            return Err(unmapped(&self.settings.zones, id).message);
        }
        let reader = self.arm.observation(deadline);
        let group = reader.container_group(id).await.map_err(|error| Chain(&error).to_string())?;
        let group = group.ok_or_else(|| format!("there is no container group {id}"))?;
        let look = self.judge_with(&reader, id, Some(group), Order::default(), true).await;
        let mut findings = Findings::default();
        let mut tally = Tally { groups: 1, asked: 1, ..Tally::default() };
        count(look, &mut tally, &mut findings);
        findings.tally = Tally { requests: reader.calls(), ..tally };
        Ok(findings)
    }

    /// Asks for groups by themselves, until time is up.
    async fn ask(&self, reader: &Reader, mut ids: Vec<ContainerGroupId>, deadline: Instant) -> Asked {
        let total = ids.len();
        self.rotate(&mut ids);
        let asks = stream::iter(ids)
            .take_while(|_| std::future::ready(Instant::now() < deadline))
            .map(|id| async move {
                let answer = reader.container_group(&id).await;
                (id, answer)
            })
            .buffer_unordered(ASKED_AT_ONCE);
        let answers: Vec<_> = asks.collect().await;
        let ids = answers.iter().map(|(id, _)| id.clone()).collect();
        Asked { left: total.saturating_sub(answers.len()), ids, answers }
    }

    /// Starts somewhere else each time: what one sweep does not come to, another does, although nothing is
    /// remembered between them. What was repaired needs no remembering: it is right when the next sweep looks.
    fn rotate<Item>(&self, items: &mut [Item]) {
        if let Some(start) = start(self.clock.unix_seconds(), items.len()) {
            items.rotate_left(start);
        }
    }

    /// Looks at one group in the snapshot as a pass would.
    async fn judge(&self, snapshot: &Arc<Snapshot>, index: &Index, id: &ContainerGroupId) -> Look {
        let group = snapshot.container_group(id).ok().flatten();
        let zones = self.settings.zones.serving(id);
        let (hints, is_concerned) =
            zones.map(|zones| index.about(snapshot, id, group.as_ref(), &zones)).unwrap_or_default();
        let evidence = if snapshot.is_listed(id) { Evidence::None } else { Evidence::Deletion };
        let order = Order { lookups: hints, evidence, slot: None };
        self.judge_with(&Reader::of(Arc::clone(snapshot)), id, group, order, is_concerned).await
    }

    /// Looks at one group through a reader as a pass would.
    async fn judge_with(
        &self,
        reader: &Reader,
        id: &ContainerGroupId,
        group: Option<ContainerGroup>,
        order: Order,
        is_concerned: bool,
    ) -> Look {
        let dry_run = self.reconciler.dry_run(reader, id, &order).await;
        let standing = AddressState::of(group.as_ref());
        let drift = match standing {
            AddressState::Running(_) => self.tracker.look(reader, id, &order.lookups).await.ok(),
            _ => None,
        };
        let drift = drift.and_then(|report| report.drift);
        Look { id: id.clone(), group, standing, order, is_concerned, dry_run, drift }
    }

    /// The timed sweep: looks, tells of each group that drifts, and where the settings say so repairs what it
    /// found, within the same guards as the command line. `tell` is given each group's report.
    pub async fn run(&self, tell: impl Fn(&ContainerGroupId, &Report)) -> Report {
        let deadline = Instant::now() + TIME;
        let findings = match self.look(Manner { deadline, is_thorough: false }).await {
            Ok(findings) => findings,
            Err(error) => return Report::failed(Outcome::Failed, &error),
        };
        let mut summary = findings.summary();
        if let Some(left_over) = findings.left_over() {
            summary = format!("{summary}; {left_over}");
        }
        let is_drift = findings.drifted() > 0 || !findings.strays.is_empty();
        let mut outcome = if is_drift { Outcome::Reported } else { Outcome::Converged };
        let mut errors: Vec<String> = findings.failures.iter().map(|failure| failure.error.clone()).collect();
        outcome = findings.failures.iter().map(|failure| failure.outcome).fold(outcome, Outcome::max);
        let guard = findings.change_guard();
        let is_repairing = self.settings.sweep == Sweep::Repair && guard.is_none();
        let mut calls = findings.tally.requests;
        if is_repairing {
            let mut found = findings.found.clone();
            self.rotate(&mut found);
            let repaired = self
                .repair(&found, deadline, &Stop::never(), |step| {
                    let drift = step.found.report.drift.clone();
                    tell(&step.found.id, &Report { drift, ..step.report.clone() });
                })
                .await;
            calls = calls.saturating_add(repaired.requests);
            outcome = outcome.max(repaired.gravest);
            summary = format!("{summary}; {}", repaired.summary());
            if let Some(error) = repaired.error {
                errors.push(error);
            }
        }
        let told = findings.found.iter().filter(|found| {
            let is_repaired = is_repairing && !found.changes.is_empty();
            found.verdict != Verdict::Marks && !is_repaired
        });
        for found in told {
            tell(&found.id, &reported(found));
            if found.verdict == Verdict::Unknown {
                outcome = outcome.max(found.report.outcome);
                errors.extend(found.report.error.clone());
            }
        }
        match (self.settings.sweep, guard) {
            (Sweep::Repair, Some(guard)) => {
                outcome = outcome.max(Outcome::Failed);
                errors.push(format!("{guard}; nothing was repaired: run `aci-dns plan`"));
            }
            (Sweep::Report, Some(guard @ ChangeGuard::ResourceGroup { .. })) => {
                outcome = outcome.max(Outcome::Failed);
                errors.push(guard.to_string());
            }
            (Sweep::Report, Some(ChangeGuard::Zone { .. })) | (_, None) => {}
        }
        let error = errors.into_iter().next().filter(|_| outcome.status() != 200);
        Report { is_warning: is_drift, arm_calls: calls, error, ..Report::new(outcome, summary) }
    }
}

/// What asking for groups by themselves came to.
struct Asked {
    ids: Vec<ContainerGroupId>,
    answers: Vec<(ContainerGroupId, Result<Option<ContainerGroup>, ArmError>)>,
    left: usize,
}

/// One group as a snapshot shows it.
struct Look {
    id: ContainerGroupId,
    group: Option<ContainerGroup>,
    standing: AddressState,
    order: Order,
    /// Whether anything in the zones is about it.
    is_concerned: bool,
    dry_run: DryRun,
    drift: Option<Drift>,
}

/// Adds one group to what was found.
fn count(look: Look, tally: &mut Tally, findings: &mut Findings) {
    match verdict::of(look) {
        verdict::Sentence::Right => tally.right += 1,
        verdict::Sentence::Settling => tally.settling += 1,
        verdict::Sentence::Unmanaged => tally.unmanaged += 1,
        // Nobody misses the records of a group that is gone.
        verdict::Sentence::Nothing => {}
        verdict::Sentence::Found(found) => findings.found.push(*found),
    }
}

/// The addresses at which more than one group is listed.
fn crowded(snapshot: &Snapshot) -> BTreeSet<Ipv4Addr> {
    let mut counts: BTreeMap<Ipv4Addr, usize> = BTreeMap::new();
    for (_, group) in snapshot.listed_container_groups() {
        if let AddressState::Running(address) = AddressState::of(Some(group)) {
            *counts.entry(address).or_default() += 1;
        }
    }
    counts.into_iter().filter(|(_, count)| *count > 1).map(|(address, _)| address).collect()
}

/// Whether a group has to be asked for by itself: see the module's documentation.
fn is_in_doubt(look: &Look, crowded: &BTreeSet<Ipv4Addr>, is_thorough: bool) -> bool {
    let Some(group) = &look.group else { return true };
    match &look.dry_run.error {
        // A list that failed is not mended by another answer, and tags are whole in a list.
        Some(ReconcileError::Arm(_) | ReconcileError::RightsDeleted(_) | ReconcileError::Tag(_)) => {
            return false;
        }
        Some(ReconcileError::AddressPending(_)) if group.is_in_transition() => return false,
        Some(_) | None => {}
    }
    let report = &look.dry_run.report;
    let is_right = report.plan.is_empty() && report.withheld.is_empty() && look.dry_run.error.is_none();
    match look.standing {
        AddressState::Running(address) => {
            !is_right || crowded.contains(&address) || (look.is_concerned && (is_thorough || group.may_end()))
        }
        AddressState::Pending
        | AddressState::Deleting
        | AddressState::NoAddress
        | AddressState::ProvisioningFailed => look.is_concerned,
        AddressState::Deleted | AddressState::Public | AddressState::Released => !is_right,
        AddressState::StandbyPool => false,
    }
}

/// A number below the length that differs from second to second.
fn start(unix_seconds: u64, length: usize) -> Option<usize> {
    // The golden ratio as a fraction of 2^64 spreads seconds that lie evenly apart (Knuth, volume 3, 6.4).
    let spread = unix_seconds.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let length = u64::try_from(length).ok().filter(|length| *length > 0)?;
    usize::try_from(spread.checked_mul(length)? >> 32).ok()
}

/// What a timed sweep tells of a group that it does not repair.
fn reported(found: &Found) -> Report {
    match found.verdict {
        Verdict::Unknown => found.report.clone(),
        Verdict::Drift | Verdict::Marks => {
            let kinds: Vec<&str> = found.kinds().iter().map(|kind| kind.as_str()).collect();
            let name = found.report.fqdn.as_ref().map_or_else(|| found.id.to_string(), ToString::to_string);
            Report {
                outcome: Outcome::Reported,
                message: format!("{name}: drift_detected ({})", kinds.join(", ")),
                is_warning: true,
                error: None,
                ..found.report.clone()
            }
        }
    }
}

fn failure(error: &ArmError) -> Failure {
    Failure { outcome: failure_outcome(error), error: Chain(error).to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sweeps_that_follow_each_other_start_all_over_the_place() {
        assert_eq!(start(7, 0), None);
        for period in [60, 300, 600, 3600] {
            let starts: BTreeSet<_> =
                (0..400_u64).filter_map(|run| start(1_767_225_600 + run * period, 100)).collect();
            assert!(starts.len() > 95, "{period}: {starts:?}");
        }
    }
}
