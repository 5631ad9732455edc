//! The reconciler: corrects the record sets of a container group after an event.
//!
//! [`crate::decide`] decides what to read and write, and [`crate::reconcile::driver`] sends the requests. This module
//! sets the deadline of an invocation, shares a run between concurrent events of one group
//! ([`crate::reconcile::coalesce`]), and returns a [`Report`]. It stores unfinished work in the retry queue
//! ([`crate::reconcile::retry`]); without a queue, Event Grid delivers the event again.
//!
//! Deliberately absent: any use of the event except the id of its group and its evidence, and any state between
//! invocations that correctness depends on.

pub mod clock;
pub mod coalesce;
pub mod driver;
pub mod lists;
mod outcome;
pub mod publish;
pub mod retry;
pub mod services;

use std::{
    collections::{BTreeSet, VecDeque},
    net::Ipv4Addr,
    sync::Arc,
    time::Duration,
};

pub use self::outcome::failure_outcome;
pub(crate) use self::outcome::with_requests;
use self::outcome::{report, result, throttled};
use futures::{
    FutureExt as _,
    future::{BoxFuture, join},
};
use serde_json::Value;
use tokio::time::Instant;

pub use crate::reconcile::clock::Clock;
use crate::{
    azure::{
        arm::{Arm, ArmError, Kind, Reader},
        key_vault::{VaultRequests, Vaults},
        slot::Slot,
    },
    config::{self, Settings, Zones},
    decide::{
        Conflict, Evidence, ExtraLookups, Goal, Key, MAX_PASSES, PlanError, Purpose, Rules, RunState,
        change::{Change, Write},
        desired::TagError,
        report::{Outcome, Report, unmapped},
    },
    domain::{
        dns::{DomainName, Owner, Zone},
        resource_id::ContainerGroupId,
        secret::SecretEdit,
    },
    reconcile::{
        coalesce::{Coalescer, Load, Role},
        driver::{Access, Trace, drive, dry_run},
        lists::ZoneLists,
        publish::{PublishError, secret_result},
        retry::message::Work,
        retry::{RetryMetrics, RetryQueue, RunMessages},
        services::Services,
    },
};

/// How long before the deadline of its callers a run ends, so that they can still report its progress.
pub(crate) const GRACE: Duration = Duration::from_millis(100);

/// Why the records of a group could not be corrected.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// A request to Resource Manager failed.
    #[error(transparent)]
    Arm(#[from] ArmError),
    /// Azure answers 403 for a group that is deleted according to an event.
    #[error(
        "the container group cannot be read after it was deleted: if its resource group was deleted too, the role assignment of this app was deleted with it; assign a role that reads container groups at the subscription, or let a user who may read the subscription run: aci-dns sync"
    )]
    RightsDeleted(#[source] ArmError),
    /// A tag of the group cannot be read.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// The name belongs to another owner.
    #[error(transparent)]
    Conflict(Conflict),
    /// PTR record sets at the group's address belong to another owner.
    #[error(transparent)]
    PtrConflict(Conflict),
    /// PTR record sets at the group's address belong to a group that is being provisioned. A retry finds out whether
    /// that group keeps the address.
    #[error(transparent)]
    HolderPending(Conflict),
    /// The address is outside the ranges of the map.
    #[error(
        "{address}, the address of {fqdn}, is outside addressRanges in ACI_DNS_ZONES; nothing is written"
    )]
    AddressRefused {
        /// The live address.
        address: Ipv4Addr,
        /// The group's name.
        fqdn: DomainName,
    },
    /// The reverse zones of the map do not contain the address.
    #[error(
        "no reverse zone of ACI_DNS_ZONES contains {address}, the address of {fqdn}; add one, or tag the container group with aci-dns-ptr=false"
    )]
    NoReverseZone {
        /// The live address.
        address: Ipv4Addr,
        /// The group's name.
        fqdn: DomainName,
    },
    /// Azure has not assigned an address yet.
    #[error("Azure has not assigned an address to {0} yet")]
    AddressPending(ContainerGroupId),
    /// The group is being deleted.
    #[error("{0} is being deleted; its records are removed after the deletion")]
    Deleting(ContainerGroupId),
    /// Azure answers 404, and there is not enough evidence that the group is deleted.
    #[error(
        "{0} is not visible yet: Azure answers 404 for a new container group for some time; its records are kept"
    )]
    NotVisible(ContainerGroupId),
    /// Every pass conflicted with another writer or lost an answer.
    #[error(
        "gave up after {MAX_PASSES} passes: each of them conflicted with another writer or lost an answer"
    )]
    LostRaces {
        /// The error of the last pass, if there is one.
        #[source]
        last: Option<ArmError>,
    },
    /// A zone is known to be throttled.
    #[error("Azure throttles a zone of {id}; not tried for {} s", wait.as_secs_f32().ceil())]
    Throttled {
        /// The container group.
        id: ContainerGroupId,
        /// How long the throttle lasts.
        wait: Duration,
    },
    /// The deadline of the invocation has passed.
    #[error("not done within {} s (ACI_DNS_DEADLINE_SECONDS)", deadline.as_secs_f32())]
    Deadline {
        /// The time that the invocation had.
        deadline: Duration,
    },
}

impl ReconcileError {
    /// The error of a run, with the error of the request that caused it.
    pub(crate) fn of(error: PlanError, goal: &Goal, trace: &mut Trace) -> Self {
        match error {
            PlanError::Tag(error) => Self::Tag(error),
            PlanError::Conflict(conflict) => Self::Conflict(conflict),
            PlanError::PtrConflict(conflict) => Self::PtrConflict(conflict),
            PlanError::HolderPending(conflict) => Self::HolderPending(conflict),
            PlanError::AddressRefused { address, fqdn } => Self::AddressRefused { address, fqdn },
            PlanError::NoReverseZone { address, fqdn } => Self::NoReverseZone { address, fqdn },
            PlanError::AddressPending => Self::AddressPending(goal.id.clone()),
            PlanError::Deleting => Self::Deleting(goal.id.clone()),
            PlanError::NotVisible => Self::NotVisible(goal.id.clone()),
            PlanError::LostRaces => Self::LostRaces { last: trace.last_race.take() },
            PlanError::Request(key) => match trace.errors.remove(&key) {
                None => Self::LostRaces { last: None },
                Some(source)
                    if source.kind() == Kind::Forbidden
                        && goal.evidence == Evidence::Deletion
                        && matches!(key, Key::Group | Key::Confirmation) =>
                {
                    Self::RightsDeleted(source)
                }
                Some(error) => Self::Arm(error),
            },
        }
    }

    /// The outcome of an invocation that ends with this error.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Arm(error) | Self::RightsDeleted(error) => failure_outcome(error),
            Self::Tag(_) | Self::NoReverseZone { .. } | Self::AddressRefused { .. } => Outcome::Failed,
            Self::Conflict(_) | Self::PtrConflict(_) => Outcome::Conflict,
            Self::HolderPending(_)
            | Self::AddressPending(_)
            | Self::Deleting(_)
            | Self::NotVisible(_)
            | Self::LostRaces { .. }
            | Self::Throttled { .. }
            | Self::Deadline { .. } => Outcome::Unavailable,
        }
    }

    /// How long Azure throttles, if throttling is the cause.
    fn throttled(&self) -> Option<Duration> {
        match self {
            Self::Arm(error) => error.throttled(),
            Self::Throttled { wait, .. } => Some(*wait),
            _ => None,
        }
    }

    /// How long Azure asks to wait before a retry.
    fn retry_after(&self) -> Option<Duration> {
        let Self::Arm(error) = self else { return None };
        error.retry_after()
    }

    /// The owner of the name, if it belongs to another group.
    fn owner(&self) -> Option<&Owner> {
        let (Self::Conflict(conflict) | Self::PtrConflict(conflict) | Self::HolderPending(conflict)) = self
        else {
            return None;
        };
        match conflict {
            Conflict::OtherGroup { owner, .. } | Conflict::SharedAddress { owner, .. } => Some(owner),
            _ => None,
        }
    }
}

/// The result of a dry run.
#[derive(Debug)]
pub struct DryRun {
    /// The report that a run would have.
    pub report: Report,
    /// The changes in the plan of the report.
    pub changes: Vec<Change>,
    /// The changes of the secret.
    pub secret_changes: Vec<SecretEdit>,
    /// Why the records could not be corrected.
    pub error: Option<ReconcileError>,
    /// Why the secret could not be corrected.
    pub secret_error: Option<PublishError>,
}

/// The reconciler: the only writer.
#[derive(Debug)]
pub struct Reconciler {
    settings: Arc<Settings>,
    arm: Arm,
    clock: Clock,
    coalescer: Arc<Coalescer<ContainerGroupId, Work, Arc<Run>>>,
    retry: Option<Arc<RetryQueue>>,
    lists: Arc<ZoneLists>,
    /// The services of resource groups.
    pub services: Arc<Services>,
    vaults: Vaults,
}

/// The result of one run, for all invocations that it serves.
#[derive(Debug)]
struct Run {
    report: Report,
    /// The merged work of all of them.
    work: Work,
    messages: RunMessages,
}

/// A run in progress.
type RunFuture = BoxFuture<'static, Arc<Run>>;

impl Run {
    fn new(report: Report, work: Work) -> Arc<Self> {
        Arc::new(Self { report, work, messages: RunMessages::default() })
    }
}

/// The load and the unfinished work of a process.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ReconcilerMetrics {
    /// Runs in progress, and invocations that wait for one.
    pub load: Load,
    /// Unfinished work.
    pub retry: RetryMetrics,
    /// How many zones and subscriptions Azure throttles.
    pub throttled_places: usize,
}

impl Reconciler {
    /// Creates a reconciler. Its only state is the runs in progress and the data that determines delays.
    #[must_use]
    pub fn new(settings: Arc<Settings>, arm: Arm, clock: Clock) -> Arc<Self> {
        let coalescer = Arc::new(Coalescer::new(settings.max_concurrency));
        let retry = RetryQueue::new(&settings, &arm, &clock).map(Arc::new);
        let waiting = groups_waiting(&settings, &coalescer, retry.as_ref());
        let lists = Arc::new(ZoneLists::new(arm.clone(), waiting));
        let services = Arc::new(Services::new(Arc::clone(&settings), arm.clone(), Arc::clone(&lists)));
        let (http_transport, tokens) = arm.network();
        let vaults = Vaults::new(settings.cloud, http_transport, tokens);
        Arc::new(Self { settings, arm, clock, coalescer, retry, lists, services, vaults })
    }

    /// The clients of key vaults.
    #[must_use]
    pub fn vaults(&self) -> &Vaults {
        &self.vaults
    }

    /// The current load and unfinished work of this process.
    #[must_use]
    pub fn metrics(&self) -> ReconcilerMetrics {
        ReconcilerMetrics {
            load: self.coalescer.load(),
            retry: self.retry.as_ref().map(|retry| retry.metrics()).unwrap_or_default(),
            throttled_places: self.arm.throttled_places(),
        }
    }

    /// Serves an event of a container group, or a message of the retry queue: corrects the records, together with
    /// concurrent invocations for the same group, and stores unfinished work.
    pub async fn serve(self: &Arc<Self>, work: Work) -> Report {
        let zones = match self.settings.zones.find(&work.id) {
            Ok(zones) => zones,
            Err(reason) => return self.unmapped(&work, &reason),
        };
        let deadline = Instant::now() + self.settings.deadline;
        let retry = self.retry.as_ref().filter(|_| !Rules::of(&self.settings, &zones).is_dry_run());
        if let Some(retry) = retry {
            retry.arrived(&work);
        }
        let time = retry.map_or(self.settings.deadline, |_| RetryQueue::time_to_run(self.settings.deadline));
        let run_end = Instant::now() + time;
        let running = self.running(retry.map(|_| &zones));
        let run = self.coalescer.run(work.id.clone(), work.clone(), run_end, running);
        let (run, role) = match tokio::time::timeout_at(run_end, run).await {
            Ok(Ok(shared)) => shared,
            // The panic is logged separately. This event must not be acknowledged.
            Ok(Err(panicked)) => {
                (Run::new(Report::failed(Outcome::Failed, &panicked), work.clone()), Role::Leader)
            }
            Err(_) => (Run::new(self.out_of_time(), work.clone()), Role::Leader),
        };
        let report = match role {
            Role::Leader => run.report.clone(),
            Role::Follower => {
                Report { is_shared: true, arm_calls: 0, request_records: vec![], ..run.report.clone() }
            }
        };
        match retry {
            // Boxed, so that the future of an event stays small without a queue.
            Some(retry) => {
                Box::pin(retry.complete(report, &work, (&run.work, &run.messages), &zones, deadline)).await
            }
            None => report,
        }
    }

    /// Stores an event that cannot be read in the retry queue, if there is one.
    pub async fn defer_malformed(self: &Arc<Self>, report: Report, event: &Value) -> Report {
        match &self.retry {
            Some(retry) if !self.settings.policy.is_read_only() => {
                let deadline = Instant::now() + self.settings.deadline;
                Box::pin(retry.defer_malformed(report, event, deadline)).await
            }
            _ => report,
        }
    }

    /// The report for a group outside the map. An app with another map must have stored its retry message.
    fn unmapped(&self, work: &Work, reason: &config::NotInMap) -> Report {
        let report = unmapped(&self.settings.zones, &work.id);
        if !work.is_retry || matches!(reason, config::NotInMap::Group { .. }) {
            return report;
        }
        let error = format!("{}; an app with other settings stored this message", report.message);
        Report { error: Some(error.clone()), ..Report::new(Outcome::Failed, error) }
    }

    /// Corrects the records of one container group.
    pub async fn reconcile(&self, id: &ContainerGroupId, evidence: Evidence) -> Report {
        let deadline = Instant::now() + self.settings.deadline;
        let order = Order { evidence, is_of_event: true, ..Order::default() };
        tokio::time::timeout_at(deadline, self.invocation(id, order, deadline - GRACE))
            .await
            .unwrap_or_else(|_| self.out_of_time())
    }

    fn out_of_time(&self) -> Report {
        let error = ReconcileError::Deadline { deadline: self.settings.deadline };
        Report::failed(error.outcome(), &error)
    }

    /// A run for a group. If its work can be deferred and one of these zones is throttled, the run sends no request for
    /// the records, unless lists serve the zones.
    fn running(
        self: &Arc<Self>,
        zones: Option<&Zones>,
    ) -> impl Fn(Instant, (Work, Vec<Work>), Arc<Slot>) -> RunFuture + Send + use<> {
        let (this, zones) = (Arc::clone(self), zones.cloned());
        move |deadline, (first, others), slot| {
            let this = Arc::clone(&this);
            let work = others.into_iter().fold(first, Work::merged);
            let throttle = zones.as_ref().and_then(|zones| this.throttle(zones));
            async move {
                let report = if let Some(wait) = throttle {
                    let secret = this.publish(&work.id, slot, deadline - GRACE).await;
                    let report = throttled(&work.id, wait);
                    secret.map_or(report.clone(), |secret| report.beside(secret))
                } else {
                    let order = Order {
                        evidence: work.evidence,
                        slot: Some(slot),
                        is_of_event: true,
                        ..Order::default()
                    };
                    this.invocation(&work.id, order, deadline - GRACE).await
                };
                Run::new(report, work)
            }
            .boxed()
        }
    }

    /// How long a group of these zones is not tried, because one of them is throttled.
    fn throttle(&self, zones: &Zones) -> Option<Duration> {
        let wait = self.retry.as_ref()?.throttle(zones)?;
        (!self.lists.serve(zones)).then_some(wait)
    }

    /// Corrects the records of one container group until a deadline, for a sweep or a command.
    pub async fn repair(&self, id: &ContainerGroupId, order: Order, deadline: Instant) -> Report {
        self.invocation(id, order, deadline).await
    }

    /// Returns what a run with this reader would do. The reader may read lists. A dry run does not wait for an address.
    pub async fn dry_run(&self, reader: &Reader, id: &ContainerGroupId, order: &Order) -> DryRun {
        let Some(goal) = Goal::new(id, &self.settings.zones, Purpose::Reconcile) else {
            return DryRun {
                report: unmapped(&self.settings.zones, id),
                changes: vec![],
                secret_changes: vec![],
                error: None,
                secret_error: None,
            };
        };
        let goal = Goal { lookups: order.lookups.clone(), evidence: order.evidence, ..goal };
        let rules = Rules::of(&self.settings, &goal.zones);
        let vaults = self.vaults.invocation();
        let (verdict, mut trace) = dry_run(reader, &vaults, rules, &goal, &self.clock).await;
        let result = result(verdict, &goal, &mut trace);
        let secret = secret_result(&mut trace);
        let access = Access::read_only(reader);
        let report = report(access, &goal, result.as_ref(), secret.as_ref(), &trace);
        DryRun {
            report,
            changes: trace.changes,
            secret_changes: trace.secret_changes,
            error: result.err(),
            secret_error: secret.err(),
        }
    }

    /// One invocation: the records of the group and, concurrently, the services of its resource group.
    async fn invocation(&self, id: &ContainerGroupId, order: Order, deadline: Instant) -> Report {
        if !order.is_of_event || !self.settings.zones.has_services(id) {
            return self.groups(id, order, deadline).await;
        }
        let evidence = order.evidence;
        let own = Box::pin(self.groups(id, order, deadline));
        let (report, first) = join(own, self.services.of_event(id, evidence, deadline)).await;
        // The run waited for the group's address, so the services can use it now.
        let is_late = report.outcome != Outcome::Unavailable
            && first.as_ref().is_some_and(|(services, _)| services.is_pending(id));
        let services = if is_late { self.services.of_event(id, evidence, deadline).await } else { first };
        if let Some((services, role)) = services {
            return services.added_to(report, id, role);
        }
        let late = self.out_of_time();
        Report { outcome: report.outcome.max(late.outcome), error: report.error.or(late.error), ..report }
    }

    /// The group, and the groups whose PTR records it took over and released again.
    async fn groups(&self, id: &ContainerGroupId, order: Order, deadline: Instant) -> Report {
        let vaults = self.vaults.invocation();
        let writer = self.arm.invocation_in(deadline, order.slot.clone());
        // An invocation waits for an address only once.
        let mut wait = self.settings.address_wait;
        let mut whole: Option<Report> = None;
        let mut queue = VecDeque::from([id.clone()]);
        // The deadline ends the loop even if groups keep taking records from each other.
        while let Some(next) = queue.pop_front() {
            let Some(mut goal) = Goal::new(&next, &self.settings.zones, Purpose::Reconcile) else { continue };
            if whole.is_none() {
                (goal.lookups, goal.evidence) = (order.lookups.clone(), order.evidence);
            }
            let rules = Rules::of(&self.settings, &goal.zones);
            let slot = order.slot.as_deref();
            let access = Access {
                reader: writer.reader(),
                writer: Some(&writer).filter(|_| !rules.is_dry_run()),
                slot,
                reviewed: order.reviewed.as_deref(),
                lists: Some(&*self.lists).filter(|_| order.is_of_event),
            };
            let mut trace = Trace::new(RunState::new(wait));
            let report = self.group(access, &vaults, rules, &goal, deadline, &mut trace).await;
            wait = trace.facts.run.wait_left();
            let address = trace.target.as_ref().and_then(|target| target.address);
            queue.extend(trace.facts.run.given_up(address).filter_map(Owner::container_group));
            whole = Some(match whole {
                None => report,
                Some(whole) => whole.followed_by(report),
            });
        }
        let whole = whole.unwrap_or_else(|| unmapped(&self.settings.zones, id));
        with_requests(whole, writer.reader(), &vaults)
    }

    /// The secret of a group whose zones are throttled; `None` if its entry has no secret.
    async fn publish(&self, id: &ContainerGroupId, slot: Arc<Slot>, deadline: Instant) -> Option<Report> {
        let goal = Goal::new(id, &self.settings.zones, Purpose::Publish)?;
        goal.zones.secret.as_ref()?;
        let rules = Rules::of(&self.settings, &goal.zones);
        let (writer, vaults) =
            (self.arm.invocation_in(deadline, Some(Arc::clone(&slot))), self.vaults.invocation());
        let slot = Some(&*slot);
        let access =
            Access { reader: writer.reader(), writer: Some(&writer), slot, reviewed: None, lists: None };
        let mut trace = Trace::new(RunState::default());
        let report = self.group(access, &vaults, rules, &goal, deadline, &mut trace).await;
        Some(with_requests(report, writer.reader(), &vaults))
    }

    /// One group of an invocation.
    async fn group(
        &self,
        access: Access<'_>,
        vaults: &VaultRequests,
        rules: Rules,
        goal: &Goal,
        deadline: Instant,
        trace: &mut Trace,
    ) -> Report {
        let run = drive(access, vaults, rules, goal, &self.clock, trace);
        let verdict = tokio::time::timeout_at(deadline, run).await.ok();
        let result = match verdict {
            Some(verdict) => result(verdict, goal, trace),
            None => Err(ReconcileError::Deadline { deadline: self.settings.deadline }),
        };
        let secret = secret_result(trace);
        report(access, goal, result.as_ref(), secret.as_ref(), trace)
    }
}

/// Finds the groups that wait for a zone: with a run that is under way or about to start, or with a message that is not
/// visible yet.
fn groups_waiting(
    settings: &Arc<Settings>,
    coalescer: &Arc<Coalescer<ContainerGroupId, Work, Arc<Run>>>,
    retry: Option<&Arc<RetryQueue>>,
) -> impl Fn(&Zone, usize) -> BTreeSet<ContainerGroupId> + use<> {
    let (settings, coalescer) = (Arc::clone(settings), Arc::clone(coalescer));
    let retry = retry.cloned();
    move |zone, most| {
        let place = zone.key();
        let is_meant = |id: &ContainerGroupId| {
            settings.zones.serving(id).is_some_and(|zones| zones.all().any(|zone| zone.key() == place))
        };
        let mut groups: BTreeSet<_> = coalescer.keys(most, is_meant).into_iter().collect();
        if let Some(retry) = retry.as_ref().filter(|_| groups.len() < most) {
            groups.extend(retry.groups(most, is_meant));
        }
        groups
    }
}

/// The parameters of a run besides its group.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Additional zones and addresses to look up.
    pub lookups: ExtraLookups,
    /// How much a 404 proves.
    pub evidence: Evidence,
    /// The slot that the run releases while it waits.
    pub slot: Option<Arc<Slot>>,
    /// Whether the run includes the services of the resource group. A sweep processes services separately.
    pub is_of_event: bool,
    /// The only writes that the run may send, if a plan was reviewed.
    pub reviewed: Option<Arc<BTreeSet<Write>>>,
}
