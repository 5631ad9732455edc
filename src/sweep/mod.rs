//! Compares everything that the map serves with DNS. A sweep finds what no event reports: a move by the
//! platform, a record that a person changed, or a group that is older than the subscription to its events.
//!
//! A sweep lists the container groups of each mapped scope and each zone once (`gather`). For each group, it
//! then runs a single pass over that snapshot: the reconciler plans the changes, and the drift tracker
//! reports the differences. There is no second way to observe, to plan or to write. The list of a zone also
//! contains records that a pass would not read (a stale PTR record, an old name); the pass gets them as extra
//! lookups (`index`).
//!
//! **A list can show that a group is fine; drift is confirmed by reading the group itself.** Lists omit
//! whether a group is stopped or has ended. So a sweep reads a group itself in these cases: its records
//! differ from the list; it is listed without an address, and a record in the zones refers to it; its
//! containers may end (its restart policy is not `Always`); another group is listed at its address; or it is
//! not listed, and record sets carry its mark. It does not read a group with a usable address that is always
//! restarted and whose records are correct, a group without records, or a group that is being provisioned. A
//! thorough sweep reads every group to which a record in the zones refers.
//!
//! A list that fails makes the result unknown for everything that depends on it. An object is never treated
//! as absent because it could not be read.

pub mod findings;
mod gather;
mod index;
mod pace;
mod repair;
mod services;
mod verdict;

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::Arc,
    time::Duration,
};

use futures::{StreamExt as _, stream};
use tokio::time::Instant;

pub use self::repair::{RepairStep, Repaired, Stop};
use self::{index::Index, pace::WriteBudget};
use crate::{
    azure::arm::{Arm, ArmError, Reader, Snapshot},
    config::{MissingSubscription, Settings, Sweep},
    decide::{
        Evidence,
        desired::Desired,
        report::{Chain, Drift, Outcome, Report, unmapped},
    },
    domain::{
        container_group::{AddressState, ContainerGroup},
        resource_id::{ContainerGroupId, Scope},
    },
    drift::DriftTracker,
    reconcile::{Clock, DryRun, Order, ReconcileError, Reconciler, failure_outcome},
    sweep::findings::{
        ChangeGuard, Coverage, FindingKind, Findings, GroupFinding, ListFailure, LiveName, place_of,
    },
};

/// How many groups are read at the same time.
const CONCURRENT_READS: usize = 16;

/// The longest duration of the timed sweep. With one reconciliation at its end, it stays below the ten
/// minutes of `functionTimeout` in `host.json`.
const TIME: Duration = Duration::from_mins(8);

/// Sweeps over everything that the map serves.
#[derive(Debug)]
pub struct Sweeper {
    settings: Arc<Settings>,
    arm: Arm,
    clock: Clock,
    reconciler: Arc<Reconciler>,
    tracker: DriftTracker,
    write_budget: WriteBudget,
}

/// The options of a sweep.
#[derive(Clone, Copy, Debug)]
pub struct SweepOptions {
    /// When the sweep must end.
    pub deadline: Instant,
    /// Whether to read every group to which a record in the zones refers.
    pub is_thorough: bool,
}

impl Sweeper {
    /// Creates a sweeper.
    #[must_use]
    pub fn new(settings: Arc<Settings>, arm: Arm, clock: Clock, reconciler: Arc<Reconciler>) -> Self {
        let tracker = DriftTracker::new(Arc::clone(&settings), arm.clone(), clock.clone());
        Self { settings, arm, clock, reconciler, tracker, write_budget: WriteBudget::default() }
    }

    /// Compares everything, and writes nothing.
    pub async fn compare(&self, options: SweepOptions) -> Result<Findings, MissingSubscription> {
        let reader = self.arm.observation(options.deadline);
        let mut snapshot = gather::snapshot(&reader, &self.settings, self.arm.activity()).await?;
        gather::secrets(&mut snapshot, &self.settings, self.reconciler.vaults()).await;
        let mut snapshot = Arc::new(snapshot);
        let index = Index::of(&snapshot, &self.settings.zones);

        let mut tally = Coverage::default();
        let mut findings = Findings { unattributed: index.unattributed(&snapshot), ..Findings::default() };
        findings.failures = snapshot.failures().map(failure).collect();
        findings.managed = index.managed().clone();
        // A deleted resource group still matters while record sets carry the marks of its groups.
        let marked = index.owners().filter(|id| snapshot.is_covered(id)).map(Scope::of);
        let places = snapshot.places().into_iter().chain(marked).collect();
        findings.unmatched = reader.unmatched_keys(&self.settings, &places).await;
        findings.resource_groups = snapshot.listed_container_groups().map(|(id, _)| place_of(id)).collect();

        let served = |id: &ContainerGroupId| self.settings.zones.serving(id).is_some();
        let listed: BTreeSet<_> =
            snapshot.listed_container_groups().map(|(id, _)| id).filter(|id| served(id)).cloned().collect();
        tally.groups = listed.len();
        let deleted =
            index.owners().filter(|id| !listed.contains(*id) && served(id) && snapshot.is_covered(id));
        let all: BTreeSet<_> = listed.iter().cloned().chain(deleted.cloned()).collect();

        let mut unconfirmed = vec![];
        let shared_addresses = shared_addresses(&snapshot);
        for id in &all {
            let comparison = self.compare_listed(&snapshot, &index, id).await;
            if needs_read(&comparison, &shared_addresses, options.is_thorough) {
                unconfirmed.push(id.clone());
            } else {
                self.count(comparison, &mut tally, &mut findings);
            }
        }
        let reads = self.read_groups(&reader, unconfirmed, options.deadline).await;
        // Every other reference to the snapshot is dropped by now.
        if let Some(snapshot) = Arc::get_mut(&mut snapshot) {
            for (id, answer) in reads.answers {
                snapshot.add_answer(id, answer);
            }
        }
        for id in &reads.ids {
            let comparison = self.compare_listed(&snapshot, &index, id).await;
            self.count(comparison, &mut tally, &mut findings);
        }
        let lists = Reader::of(Arc::clone(&snapshot));
        let snapshot_and_index = (snapshot.as_ref(), &index);
        findings.found.extend(
            self.services(&reader, &lists, snapshot_and_index, options.deadline, options.is_thorough).await,
        );
        let changes = findings.found.iter().flat_map(|found| &found.changes);
        let touched = changes.map(|change| (change.zone().key(), change.record_set().1.clone())).collect();
        findings.unattributed.extend(index.former_values(&touched));
        tally.left = reads.left;
        tally.asked = reads.ids.len();
        tally.requests = reader.calls();
        findings.tally = tally;
        findings.found.sort_by(|one, other| one.id.cmp(&other.id));
        Ok(findings)
    }

    /// Compares one container group by single reads, and writes nothing. Fails if the map does not serve the
    /// group, if the group does not exist, or if it cannot be read.
    pub async fn compare_group(&self, id: &ContainerGroupId, deadline: Instant) -> Result<Findings, String> {
        if self.settings.zones.serving(id).is_none() {
            return Err(unmapped(&self.settings.zones, id).message);
        }
        let reader = self.arm.observation(deadline);
        let group = reader.container_group(id).await.map_err(|error| Chain(&error).to_string())?;
        let group = group.ok_or_else(|| format!("the container group {id} does not exist"))?;
        let comparison = self.compare_read(&reader, id, Some(group), Order::default(), true).await;
        let mut findings = Findings::default();
        let mut tally = Coverage { groups: 1, asked: 1, ..Coverage::default() };
        self.count(comparison, &mut tally, &mut findings);
        findings.tally = Coverage { requests: reader.calls(), ..tally };
        Ok(findings)
    }

    /// Reads groups one by one until the deadline.
    async fn read_groups(
        &self,
        reader: &Reader,
        mut ids: Vec<ContainerGroupId>,
        deadline: Instant,
    ) -> GroupReads {
        let total = ids.len();
        self.rotate(&mut ids);
        self.arm.activity().expect(total);
        let reads = stream::iter(ids)
            .take_while(|_| std::future::ready(Instant::now() < deadline))
            .map(|id| async move {
                let answer = reader.container_group(&id).await;
                self.arm.activity().finish_one();
                (id, answer)
            })
            .buffer_unordered(CONCURRENT_READS);
        let answers: Vec<_> = reads.collect().await;
        let ids = answers.iter().map(|(id, _)| id.clone()).collect();
        GroupReads { left: total.saturating_sub(answers.len()), ids, answers }
    }

    /// Starts at a different item each time, so that successive sweeps cover all items although they share no
    /// state. A repaired group needs no state: the next sweep finds it correct.
    fn rotate<Item>(&self, items: &mut [Item]) {
        if let Some(start) = start(self.clock.unix_seconds(), items.len()) {
            items.rotate_left(start);
        }
    }

    /// Compares one group in the snapshot, as a pass would.
    async fn compare_listed(
        &self,
        snapshot: &Arc<Snapshot>,
        index: &Index,
        id: &ContainerGroupId,
    ) -> Comparison {
        let group = snapshot.container_group(id).ok().flatten();
        let zones = self.settings.zones.serving(id);
        let (hints, is_concerned) =
            zones.map(|zones| index.about(snapshot, id, group.as_ref(), &zones)).unwrap_or_default();
        let evidence = if snapshot.is_listed(id) { Evidence::None } else { Evidence::Deletion };
        let order = Order { lookups: hints, evidence, ..Order::default() };
        self.compare_read(&Reader::of(Arc::clone(snapshot)), id, group, order, is_concerned).await
    }

    /// Compares one group through a reader, as a pass would.
    async fn compare_read(
        &self,
        reader: &Reader,
        id: &ContainerGroupId,
        group: Option<ContainerGroup>,
        order: Order,
        is_concerned: bool,
    ) -> Comparison {
        let dry_run = self.reconciler.dry_run(reader, id, &order).await;
        let state = AddressState::of(group.as_ref());
        let drift = match state {
            AddressState::Running(_) => self.tracker.look(reader, id, &order.lookups).await.ok(),
            _ => None,
        };
        let drift = drift.and_then(|report| report.drift);
        Comparison { id: id.clone(), group, state, order, is_concerned, dry_run, drift }
    }

    /// Adds one group to the findings.
    fn count(&self, comparison: Comparison, tally: &mut Coverage, findings: &mut Findings) {
        findings.names.extend(self.live_name(&comparison));
        match verdict::of(comparison) {
            verdict::Classification::Right => tally.right += 1,
            verdict::Classification::Settling => tally.settling += 1,
            verdict::Classification::Unmanaged => tally.unmanaged += 1,
            // A deleted group without records needs no report.
            verdict::Classification::Nothing => {}
            verdict::Classification::Found(found) => findings.found.push(*found),
        }
    }

    /// The names of a running group; `None` if it has no address or is ignored, or if its records could not be read.
    fn live_name(&self, comparison: &Comparison) -> Option<LiveName> {
        let (AddressState::Running(address), Some(group)) = (comparison.state, &comparison.group) else {
            return None;
        };
        let zones = self.settings.zones.serving(&comparison.id)?;
        let desired = Desired::of(&comparison.id, group, &zones).ok()??;
        let drift = comparison.drift.as_ref()?;
        let reverse = zones.reverse_name(address).filter(|_| desired.wants_ptr);
        Some(LiveName {
            id: comparison.id.clone(),
            fqdn: desired.fqdn(),
            zone: zones.forward.name.clone(),
            address,
            recorded: drift.dns_addresses.clone(),
            reverse: reverse.map(|(zone, name)| (zone.name.clone(), name.within(&zone.name))),
            recorded_ptr: drift.dns_ptr.clone(),
        })
    }

    /// The timed sweep: compares everything, reports each group that drifts, and repairs it if the settings
    /// say so, within the same guards as the command line. `on_report` receives each group's report.
    pub async fn run(&self, on_report: impl Fn(&ContainerGroupId, &Report)) -> Report {
        let deadline = Instant::now() + TIME;
        let findings = match self.compare(SweepOptions { deadline, is_thorough: false }).await {
            Ok(findings) => findings,
            Err(error) => return Report::failed(Outcome::Failed, &error),
        };
        let mut summary = findings.summary();
        if let Some(left_over) = findings.incomplete_reason() {
            summary = format!("{summary}; {left_over}");
        }
        let is_drift = findings.drifted() > 0 || !findings.unattributed.is_empty();
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
                    on_report(&step.found.id, &Report { drift, ..step.report.clone() });
                })
                .await;
            calls = calls.saturating_add(repaired.requests);
            outcome = outcome.max(repaired.most_severe);
            summary = format!("{summary}; {}", repaired.summary());
            if let Some(error) = repaired.error {
                errors.push(error);
            }
        }
        let to_report = findings.found.iter().filter(|found| {
            let is_repaired = is_repairing && found.is_planned();
            found.verdict != FindingKind::Marks && !is_repaired
        });
        for found in to_report {
            on_report(&found.id, &reported(found));
            if found.verdict == FindingKind::Unknown {
                outcome = outcome.max(found.report.outcome);
                errors.extend(found.report.error.clone());
            }
        }
        match (self.settings.sweep, guard) {
            (Sweep::Repair, Some(guard)) => {
                outcome = outcome.max(Outcome::Failed);
                errors.push(format!("{guard}; nothing was repaired; run `aci-dns plan`"));
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

/// The results of single reads.
struct GroupReads {
    ids: Vec<ContainerGroupId>,
    answers: Vec<(ContainerGroupId, Result<Option<ContainerGroup>, ArmError>)>,
    left: usize,
}

/// The comparison of one group.
struct Comparison {
    id: ContainerGroupId,
    group: Option<ContainerGroup>,
    state: AddressState,
    order: Order,
    /// Whether a record in the zones refers to the group.
    is_concerned: bool,
    dry_run: DryRun,
    drift: Option<Drift>,
}

/// The addresses at which more than one group is listed.
fn shared_addresses(snapshot: &Snapshot) -> BTreeSet<Ipv4Addr> {
    let mut counts: BTreeMap<Ipv4Addr, usize> = BTreeMap::new();
    for (_, group) in snapshot.listed_container_groups() {
        if let AddressState::Running(address) = AddressState::of(Some(group)) {
            *counts.entry(address).or_default() += 1;
        }
    }
    counts.into_iter().filter(|(_, count)| *count > 1).map(|(address, _)| address).collect()
}

/// Whether the group must be read itself: see the module's documentation.
fn needs_read(comparison: &Comparison, shared_addresses: &BTreeSet<Ipv4Addr>, is_thorough: bool) -> bool {
    let Some(group) = &comparison.group else { return true };
    match &comparison.dry_run.error {
        // Another read does not help after a failed list, and lists contain all tags.
        Some(ReconcileError::Arm(_) | ReconcileError::RightsDeleted(_) | ReconcileError::Tag(_)) => {
            return false;
        }
        Some(ReconcileError::AddressPending(_)) if group.is_in_transition() => return false,
        Some(_) | None => {}
    }
    let report = &comparison.dry_run.report;
    let is_right = report.plan.is_empty() && report.withheld.is_empty() && comparison.dry_run.error.is_none();
    let is_right = is_right && comparison.dry_run.secret_error.is_none();
    match comparison.state {
        AddressState::Running(address) => {
            !is_right
                || shared_addresses.contains(&address)
                || (comparison.is_concerned && (is_thorough || group.may_end()))
        }
        AddressState::Pending
        | AddressState::Deleting
        | AddressState::NoAddress
        | AddressState::ProvisioningFailed => comparison.is_concerned,
        AddressState::Deleted | AddressState::Public | AddressState::Released => !is_right,
        AddressState::StandbyPool => false,
    }
}

/// A start below the length that differs from second to second.
fn start(unix_seconds: u64, length: usize) -> Option<usize> {
    // The golden ratio as a fraction of 2^64 spreads seconds that lie evenly apart (Knuth, volume 3, 6.4).
    let spread = unix_seconds.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32;
    let length = u64::try_from(length).ok().filter(|length| *length > 0)?;
    usize::try_from(spread.checked_mul(length)? >> 32).ok()
}

/// The report of a group that a timed sweep does not repair.
fn reported(found: &GroupFinding) -> Report {
    match found.verdict {
        FindingKind::Unknown => found.report.clone(),
        FindingKind::Drift | FindingKind::Marks => {
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

fn failure(error: &ArmError) -> ListFailure {
    let cause = std::error::Error::source(error).map(|cause| Chain(cause).to_string()).unwrap_or_default();
    ListFailure {
        outcome: failure_outcome(error),
        error: Chain(error).to_string(),
        cause,
        is_sign_in: error.is_sign_in(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn successive_sweeps_start_at_different_groups() {
        assert_eq!(start(7, 0), None);
        for period in [60, 300, 600, 3600] {
            let starts: BTreeSet<_> =
                (0..400_u64).filter_map(|run| start(1_767_225_600 + run * period, 100)).collect();
            assert!(starts.len() > 95, "{period}: {starts:?}");
        }
    }
}
