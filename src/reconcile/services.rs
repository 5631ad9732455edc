//! The services of a resource group, as part of an invocation.
//!
//! Every event of a group in a resource group with services makes their record sets right, beside the records of the
//! group. Concurrent events of one resource group share a run ([`crate::reconcile::coalesce`]). A failure fails the
//! invocations that it concerns; others report it.

use std::{collections::BTreeMap, fmt::Write as _, sync::Arc, time::Duration};

use futures::FutureExt as _;
use tokio::time::Instant;

use crate::{
    azure::arm::{Arm, Reader},
    config::Settings,
    decide::{
        Evidence, MAX_PASSES, Purpose, Rules,
        change::Change,
        report::{Chain, Drift, DriftEvent, DriftKind, Outcome, Report, RequestRecord},
        service::{MOST_ADDRESSES, ServiceError, ServiceGoal, ServiceKey, ServiceVerdict},
    },
    domain::{
        container_group::AddressState,
        resource_id::{ContainerGroupId, Scope},
    },
    reconcile::{
        Order,
        coalesce::{Coalescer, Panicked, Role},
        driver::{
            Access,
            services::{ServicesTrace, drive_services},
        },
        lists::ZoneLists,
        outcome::failure_outcome,
    },
};

/// The group whose event asks for a run.
type Trigger = (ContainerGroupId, Evidence);

/// The services of all resource groups.
#[derive(Debug)]
pub struct Services {
    settings: Arc<Settings>,
    arm: Arm,
    lists: Arc<ZoneLists>,
    coalescer: Arc<Coalescer<Scope, Trigger, Arc<ServicesRun>>>,
}

/// The result of a run, for all invocations that it serves.
#[derive(Debug, Default)]
pub struct ServicesRun {
    /// The services, by name.
    pub services: Vec<ServiceResult>,
    /// The run came to no result, so no invocation may be acknowledged.
    panic: Option<Panicked>,
    is_dry_run: bool,
    arm_calls: u32,
    request_records: Vec<RequestRecord>,
}

/// The result for one service.
#[derive(Debug)]
pub struct ServiceResult {
    /// The verdict.
    pub verdict: ServiceVerdict,
    /// The changes that happened, may have happened, or would happen.
    pub changes: Vec<Change>,
    /// Why the service failed.
    pub failure: Option<ServiceFailure>,
    /// Why members could not be read.
    unreadable: BTreeMap<ContainerGroupId, ServiceFailure>,
}

/// A failure, with its causes as text, because all invocations of a run report it.
#[derive(Clone, Debug)]
pub struct ServiceFailure {
    /// The outcome of an invocation that fails for it.
    pub outcome: Outcome,
    /// The error with all its causes.
    pub error: String,
    throttled: Option<Duration>,
    retry_after: Option<Duration>,
}

impl Services {
    /// The services of these settings.
    #[must_use]
    pub fn new(settings: Arc<Settings>, arm: Arm, lists: Arc<ZoneLists>) -> Self {
        let coalescer = Arc::new(Coalescer::new(settings.max_concurrency));
        Self { settings, arm, lists, coalescer }
    }

    /// Makes the services of a group's resource group right, together with concurrent events of that resource group.
    /// `None` if the resource group has no services.
    pub async fn of_event(
        self: &Arc<Self>,
        cause: &ContainerGroupId,
        evidence: Evidence,
        deadline: Instant,
    ) -> Option<(Arc<ServicesRun>, Role)> {
        let goal = ServiceGoal::new(Scope::of(cause), &self.settings.zones, Purpose::Reconcile)?;
        let this = Arc::clone(self);
        let (scope, cause) = (goal.scope.clone(), (cause.clone(), evidence));
        let work = move |deadline, (first, others): (Trigger, Vec<Trigger>), slot| {
            let (this, mut goal) = (Arc::clone(&this), goal.clone());
            for (id, evidence) in others.into_iter().chain([first]) {
                let known = goal.causes.entry(id).or_default();
                *known = evidence.max(*known);
            }
            let order = Order { slot: Some(slot), is_of_event: true, ..Order::default() };
            async move { Arc::new(this.run(goal, order, deadline).await) }.boxed()
        };
        let run = self.coalescer.run(scope, cause, deadline, work);
        let run = tokio::time::timeout_at(deadline, run).await.ok()?;
        // The panic itself has its own line.
        let failed =
            |panic| (Arc::new(ServicesRun { panic: Some(panic), ..ServicesRun::default() }), Role::Leader);
        Some(run.unwrap_or_else(failed))
    }

    /// Makes the services of a resource group right. Of the order, the place and the reviewed writes count.
    pub async fn run(&self, goal: ServiceGoal, order: Order, deadline: Instant) -> ServicesRun {
        let arm = self.arm.invocation_in(deadline, order.slot.clone());
        let rules = Rules::of(&self.settings, &goal.zones);
        let access = Access {
            reader: arm.reader(),
            writer: Some(&arm).filter(|_| !rules.is_dry_run()),
            slot: order.slot.as_deref(),
            reviewed: order.reviewed.as_deref(),
            lists: Some(&*self.lists).filter(|_| order.is_of_event),
        };
        drive(&self.settings, access, rules, &goal, deadline).await
    }
}

/// Says what a run would do. A comparison reads each member once, and needs no confirmation.
pub async fn dry_run(
    settings: &Settings,
    reader: &Reader,
    goal: &ServiceGoal,
    deadline: Instant,
) -> ServicesRun {
    let rules = Rules::of(settings, &goal.zones);
    drive(settings, Access::read_only(reader), rules, goal, deadline).await
}

async fn drive(
    settings: &Settings,
    access: Access<'_>,
    rules: Rules,
    goal: &ServiceGoal,
    deadline: Instant,
) -> ServicesRun {
    let mut trace = ServicesTrace::default();
    // A run that is cut off reports the services that it finished.
    _ = tokio::time::timeout_at(deadline, drive_services(access, rules, goal, &mut trace)).await;
    let verdicts = trace.verdicts(rules, goal).into_iter();
    ServicesRun {
        services: verdicts.map(|verdict| result(settings, verdict, &trace)).collect(),
        panic: None,
        is_dry_run: access.writer.is_none(),
        arm_calls: access.reader.calls(),
        request_records: access.reader.request_records(),
    }
}

fn result(settings: &Settings, verdict: ServiceVerdict, trace: &ServicesTrace) -> ServiceResult {
    let of_service = |change: &&Change| *change.record_set().1 == verdict.name;
    let unreadable = verdict.unreadable.iter();
    ServiceResult {
        changes: trace.changes.iter().filter(of_service).cloned().collect(),
        failure: verdict.error.as_ref().map(|error| failure(settings, &verdict, error, trace)),
        unreadable: unreadable.map(|(id, key)| (id.clone(), request(key, trace))).collect(),
        verdict,
    }
}

fn failure(
    settings: &Settings,
    verdict: &ServiceVerdict,
    error: &ServiceError,
    trace: &ServicesTrace,
) -> ServiceFailure {
    match error {
        ServiceError::Conflict(conflict) => ServiceFailure::new(Outcome::Conflict, conflict.to_string()),
        ServiceError::TooMany(members) => ServiceFailure::new(
            Outcome::Failed,
            format!(
                "{members} members run, but a record set holds {MOST_ADDRESSES}: it has the first by name"
            ),
        ),
        ServiceError::LostRaces => {
            let race = trace.errors.get(&ServiceKey::Set(verdict.name.clone()));
            let cause = race.map(|error| format!(": {}", Chain(error))).unwrap_or_default();
            let error = format!("gave up after {MAX_PASSES} passes that each met another writer{cause}");
            ServiceFailure::new(Outcome::Unavailable, error)
        }
        ServiceError::Request(key) => request(key, trace),
        ServiceError::Deadline => {
            let deadline = settings.deadline.as_secs_f32();
            let error = format!("not done within {deadline} s (ACI_DNS_DEADLINE_SECONDS)");
            ServiceFailure::new(Outcome::Unavailable, error)
        }
    }
}

/// The failure of a request.
fn request(key: &ServiceKey, trace: &ServicesTrace) -> ServiceFailure {
    match trace.errors.get(key) {
        Some(error) => ServiceFailure {
            throttled: error.throttled(),
            retry_after: error.retry_after(),
            ..ServiceFailure::new(failure_outcome(error), Chain(error).to_string())
        },
        None => ServiceFailure::new(Outcome::Unavailable, "a request failed".to_owned()),
    }
}

impl ServiceFailure {
    fn new(outcome: Outcome, error: String) -> Self {
        Self { outcome, error, throttled: None, retry_after: None }
    }
}

impl ServiceResult {
    /// The failure of the service, or of a member's read.
    fn failure_for(&self, id: &ContainerGroupId) -> Option<&ServiceFailure> {
        self.unreadable.get(id).or(self.failure.as_ref()).filter(|_| self.verdict.fails(id))
    }

    /// What a person should know although the record set is right.
    fn notes(&self) -> String {
        let verdict = &self.verdict;
        let mut notes = String::new();
        if verdict.is_failing_open {
            _ = write!(notes, "; every running member of {} is draining, so all stay", verdict.fqdn);
        }
        if verdict.is_emptied {
            _ = write!(notes, "; {} is emptied, because Azure refuses to delete it", verdict.fqdn);
        }
        notes
    }

    /// The report of a sweep.
    #[must_use]
    pub fn report(&self) -> Report {
        let verdict = &self.verdict;
        let failure = self.failure.as_ref().or_else(|| self.unreadable.values().next());
        let plan: Vec<String> = self.changes.iter().map(Change::to_string).collect();
        let (outcome, message) = match failure {
            Some(failure) => (failure.outcome, failure.error.clone()),
            None if plan.is_empty() => (Outcome::Converged, "the record set is right".to_owned()),
            None => (Outcome::Changed, plan.join("; ")),
        };
        let mut kinds = Vec::new();
        if matches!(verdict.error, Some(ServiceError::Conflict(_))) {
            kinds.push(DriftKind::Foreign);
        }
        kinds.push(DriftKind::Service);
        let is_drift = (verdict.is_different || verdict.error.is_some()) && !self.is_unknown();
        let drift = is_drift.then(|| Drift {
            event: DriftEvent::DriftDetected,
            kinds,
            dns_addresses: verdict.found.clone(),
            dns_ptr: vec![],
            services: vec![verdict.difference()],
        });
        Report {
            is_warning: verdict.is_different || !self.notes().is_empty(),
            fqdn: Some(verdict.fqdn.clone()),
            plan,
            withheld: verdict.withheld.iter().map(Change::to_string).collect(),
            error: failure.map(|failure| failure.error.clone()),
            throttled: failure.and_then(|failure| failure.throttled),
            retry_after: failure.and_then(|failure| failure.retry_after),
            drift,
            ..Report::new(outcome, format!("service {}: {message}{}", verdict.fqdn, self.notes()))
        }
    }

    /// Whether the comparison itself failed.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.verdict.is_unknown()
    }

    /// The failure in one sentence, for an invocation that it does not concern.
    fn failure_elsewhere(&self) -> Option<String> {
        let failure = self.failure.as_ref().or_else(|| self.unreadable.values().next())?;
        Some(format!("{}: {}", self.verdict.fqdn, failure.error))
    }
}

impl ServicesRun {
    /// The requests of the run.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.arm_calls
    }

    /// Adds the services to the drift of a group.
    #[must_use]
    pub fn compared_in(&self, mut report: Report, id: &ContainerGroupId) -> Report {
        for result in &self.services {
            if let Some(failure) = result.failure_for(id).filter(|_| result.is_unknown()) {
                let error = format!("service {}: {}", result.verdict.fqdn, failure.error);
                report.outcome = report.outcome.max(failure.outcome);
                report.message = format!("{}; {error}", report.message);
                report.error = Some(error);
                report.drift = None;
                return report;
            }
            report.services_failed.extend(result.failure_elsewhere().filter(|_| result.is_unknown()));
            let Some(drift) = report.drift.as_mut().filter(|_| result.verdict.is_different) else { continue };
            if !drift.kinds.contains(&DriftKind::Service) {
                drift.add(DriftKind::Service);
            }
            drift.services.push(result.verdict.difference());
        }
        report.is_warning |= !report.services_failed.is_empty();
        report
    }

    /// Whether a service read this group as one that is being provisioned.
    #[must_use]
    pub fn is_pending(&self, id: &ContainerGroupId) -> bool {
        let state = |result: &ServiceResult| result.verdict.members.get(id).map(|seen| seen.state);
        self.services.iter().any(|result| state(result) == Some(AddressState::Pending))
    }

    /// Adds the services to the report of a group's event.
    #[must_use]
    pub fn added_to(&self, mut report: Report, id: &ContainerGroupId, role: Role) -> Report {
        if role == Role::Leader {
            report.arm_calls = report.arm_calls.saturating_add(self.arm_calls);
            report.request_records.extend(self.request_records.iter().cloned());
        }
        let mut done = Vec::new();
        if let Some(panic) = self.panic {
            add_failure(&mut report, Outcome::Failed, &format!("services: {panic}"));
        }
        for result in &self.services {
            let verdict = &result.verdict;
            report.message.push_str(&result.notes());
            report.is_warning |= !result.notes().is_empty();
            done.extend(result.changes.iter().map(Change::to_string));
            report.withheld.extend(verdict.withheld.iter().map(Change::to_string));
            if let Some(failure) = result.failure_for(id) {
                let sentence = format!("service {}: {}", verdict.fqdn, failure.error);
                add_failure(&mut report, failure.outcome, &sentence);
                report.throttled = report.throttled.max(failure.throttled);
                report.retry_after = report.retry_after.max(failure.retry_after);
            } else if let Some(failure) = result.failure_elsewhere() {
                report.is_warning = true;
                report.services_failed.push(failure);
            }
        }
        if !done.is_empty() {
            if report.outcome <= Outcome::Changed {
                report.outcome =
                    report.outcome.max(if self.is_dry_run { Outcome::Planned } else { Outcome::Changed });
                report.message = format!("{}; {}", report.message, done.join("; "));
            }
            report.plan.extend(done);
        }
        report
    }
}

/// Adds a failure to a report: the graver outcome, and both errors.
fn add_failure(report: &mut Report, outcome: Outcome, sentence: &str) {
    report.outcome = report.outcome.max(outcome);
    report.message = format!("{}; {sentence}", report.message);
    report.error = Some(match report.error.take() {
        Some(error) => format!("{error}; {sentence}"),
        None => sentence.to_owned(),
    });
}
