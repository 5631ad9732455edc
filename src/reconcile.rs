//! The reconciler: answers an event of a container group by making its record sets right.
//!
//! What is read and written is decided by [`crate::decide`] and carried out by [`crate::driver`]. Here an invocation
//! gets its deadline, shares its run with concurrent events of the same group ([`crate::coalesce`]), and becomes a
//! [`Report`]. The event is used for nothing but the id of its group.
//!
//! Work that Azure throttled, or that failed before its verification, is done again in the background (module `backlog`).
//! Nothing depends on that; Event Grid delivers the event again.
//!
//! Deliberately absent: any use of the event's type or order, and any state between invocations that correctness
//! depends on.

mod backlog;
mod unfinished;

use std::{
    collections::VecDeque,
    hash::{DefaultHasher, Hash, Hasher},
    iter,
    net::Ipv4Addr,
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use tokio::time::Instant;

use self::backlog::Backlog;
pub use crate::clock::Clock;
use crate::{
    arm::{Arm, ArmError, Kind, Reader},
    change::Change,
    coalesce::{Coalescer, Demand, Role},
    config::{Settings, ZoneMap},
    decide::{
        Conflict, Evidence, ExtraLookups, Goal, Key, MAX_PASSES, PlanError, Purpose, Right, Rules, RunState,
        Unmanaged, Verdict,
    },
    desired::TagError,
    dns::{DomainName, Owner, ReverseZone},
    driver::{Access, Trace, pursue},
    report::{Outcome, Report, unmapped},
    resource_id::ContainerGroupId,
    slot::Slot,
};

/// How far ahead of one in a second runs have to be, so that a zone that was throttled meets a storm.
const STORM: Duration = Duration::from_secs(8);

/// How much earlier than its callers a run ends, so that they can still be told how far it came.
const GRACE: Duration = Duration::from_millis(100);

/// How long a background run lasts at most: it does not wait for a throttle while it holds a permit, because it is
/// retried.
const BACKGROUND: Duration = Duration::from_secs(10);

/// How long background work waits while events hold the permits.
const STAND_BACK: Duration = Duration::from_secs(5);

/// Why DNS could not be made right.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// A request to Resource Manager failed.
    #[error(transparent)]
    Arm(#[from] ArmError),
    /// Azure answers 403 for a group that, as an event says, is deleted.
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
    /// Likewise, and the other owner is being provisioned: a retry will tell whether it keeps the address.
    #[error(transparent)]
    HolderPending(Conflict),
    /// The address lies outside of the ranges of the map.
    #[error(
        "{address}, the address of {fqdn}, lies outside of addressRanges in ACI_DNS_ZONES; nothing is written"
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
    #[error("{0} is being deleted; its records are removed once it is")]
    Deleting(ContainerGroupId),
    /// Azure answers 404, and there is not enough evidence that the group is deleted.
    #[error(
        "{0} is not visible yet: Azure answers 404, which a new container group does for some time; its records stay as they are"
    )]
    NotVisible(ContainerGroupId),
    /// Every pass met another writer, or an answer that was lost.
    #[error("gave up after {MAX_PASSES} passes that each met another writer or lost an answer")]
    LostRaces {
        /// The last of them, where it was an answer.
        #[source]
        last: Option<ArmError>,
    },
    /// The invocation's time is up.
    #[error("not done within {} s (ACI_DNS_DEADLINE_SECONDS)", deadline.as_secs_f32())]
    Deadline {
        /// How long it had.
        deadline: Duration,
    },
}

impl ReconcileError {
    /// The error of a run, with the error of the request that decided it.
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

    /// What an invocation that ends with this error is answered with.
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
            | Self::Deadline { .. } => Outcome::Unavailable,
        }
    }

    /// How long Azure wants to be left alone, where that is why it failed.
    fn throttled(&self) -> Option<Duration> {
        let Self::Arm(error) = self else { return None };
        error.throttled()
    }

    /// Whose the name is, where it is another group's.
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

/// What an invocation that ends with a failed request is answered with.
#[must_use]
pub fn failure_outcome(error: &ArmError) -> Outcome {
    match error.kind() {
        // Another program wrote it, and only at this name or address does that matter.
        _ if error.is_unrepresentable() => Outcome::Conflict,
        // A clash that no CNAME explains: the next attempt may tell more.
        Kind::Race | Kind::Uncertain | Kind::Transient | Kind::Clash => Outcome::Unavailable,
        Kind::Forbidden | Kind::Missing | Kind::Refused => Outcome::Failed,
    }
}

/// What a run would do, found out without doing it.
#[derive(Debug)]
pub struct DryRun {
    /// What would become of the group.
    pub report: Report,
    /// The changes that the report's plan is made of.
    pub changes: Vec<Change>,
    /// Why DNS could not be made right, where it could not.
    pub error: Option<ReconcileError>,
}

/// The reconciler: the only writer.
#[derive(Debug)]
pub struct Reconciler {
    settings: Arc<Settings>,
    arm: Arm,
    clock: Clock,
    map: Arc<ZoneMap>,
    coalescer: Arc<Coalescer<ContainerGroupId, Evidence, Report>>,
    backlog: Backlog,
}

impl Reconciler {
    /// Puts a reconciler together. It holds no state but the runs that are under way, and the backlog.
    #[must_use]
    pub fn new(settings: Arc<Settings>, arm: Arm, clock: Clock) -> Arc<Self> {
        let map = Arc::new(settings.zones.clone());
        let coalescer = Arc::new(Coalescer::new(settings.max_concurrency));
        Arc::new(Self { settings, arm, clock, map, coalescer, backlog: Backlog::default() })
    }

    /// Answers an event of one container group. Where Azure throttled it, the group is put into the backlog: `tell`
    /// is given the report of each background run, with how long it took.
    pub async fn serve<Tell>(
        self: &Arc<Self>,
        id: &ContainerGroupId,
        evidence: Evidence,
        tell: Tell,
    ) -> Report
    where
        Tell: Fn(&ContainerGroupId, &Report, Duration) + Clone + Send + Sync + 'static,
    {
        let report = self.reconcile(id, evidence).await;
        let wait = self.backlog.wait(id, &report);
        if wait.is_none() && self.backlog.is_empty() {
            return report;
        }
        let Some(zones) = self.settings.zones.serving(id) else { return report };
        let lane = zones.forward.place();
        match wait {
            // A dry run has nothing to finish.
            Some(wait) if !Rules::of(&self.settings, &zones).is_dry_run() => {
                let this = Arc::clone(self);
                let again = move |id, evidence| Arc::clone(&this).again(id, evidence, tell.clone());
                self.backlog.add(lane, id, evidence, wait, again);
            }
            None if report.outcome != Outcome::Unavailable => self.backlog.complete(&lane, id),
            _ => {}
        }
        report
    }

    /// Retries a group of the backlog, and returns how long to wait where it has to be retried once more.
    async fn again<Tell>(
        self: Arc<Self>,
        id: ContainerGroupId,
        evidence: Evidence,
        tell: Tell,
    ) -> Option<Duration>
    where
        Tell: Fn(&ContainerGroupId, &Report, Duration),
    {
        let now = Instant::now();
        let (start, work) = (self.starting(&id), self.working(&id));
        let deadline = now + self.settings.deadline.min(BACKGROUND);
        // Without an event of its own, a retry proves as much as the event that it finishes.
        let evidence = evidence.max(Evidence::Absence);
        let run = self.coalescer.run_in_background(id.clone(), evidence, deadline, start, work);
        let Some(result) = run.await else { return Some(STAND_BACK) };
        let report = result.unwrap_or_else(|panicked| Report::failed(Outcome::Failed, &panicked));
        tell(&id, &report, now.elapsed());
        self.backlog.wait(&id, &report)
    }

    /// Makes the records of one container group right, together with concurrent events of the same group.
    pub async fn reconcile(self: &Arc<Self>, id: &ContainerGroupId, evidence: Evidence) -> Report {
        if !self.settings.zones.serves(id) {
            return unmapped(&self.settings.zones, id);
        }
        let deadline = Instant::now() + self.settings.deadline;
        let run = self.coalescer.run(id.clone(), evidence, deadline, self.starting(id), self.working(id));
        match tokio::time::timeout_at(deadline, run).await {
            Ok(Ok((report, Role::Leader))) => report,
            Ok(Ok((report, Role::Follower))) => {
                Report { is_shared: true, arm_calls: 0, exchanges: vec![], ..report }
            }
            // The panic itself has its own line; this event must not be acknowledged.
            Ok(Err(panicked)) => Report::failed(Outcome::Failed, &panicked),
            Err(_) => self.out_of_time(),
        }
    }

    fn out_of_time(&self) -> Report {
        let error = ReconcileError::Deadline { deadline: self.settings.deadline };
        Report::failed(error.outcome(), &error)
    }

    /// When a run for a group starts.
    fn starting(
        self: &Arc<Self>,
        id: &ContainerGroupId,
    ) -> impl Fn(Demand) -> Option<Instant> + Send + use<> {
        let (this, id) = (Arc::clone(self), id.clone());
        move |demand| this.start(&id, demand)
    }

    /// A run for a group.
    fn working(
        self: &Arc<Self>,
        id: &ContainerGroupId,
    ) -> impl Fn(Instant, Evidence, Arc<Slot>) -> BoxFuture<'static, Report> + Send + use<> {
        let (this, id) = (Arc::clone(self), id.clone());
        move |deadline, evidence, slot| {
            let (this, id) = (Arc::clone(&this), id.clone());
            let order = Order { evidence, slot: Some(slot), ..Order::default() };
            async move { this.invocation(&id, order, deadline - GRACE).await }.boxed()
        }
    }

    /// When a run starts, where Azure throttled the reads of a zone lately: as soon as it takes them again.
    ///
    /// In a storm each group waits for a moment of its own, the same in all processes. What is delivered until
    /// then shares the run; groups follow each other instead of using up the minute's reads together; and what
    /// cannot be done in time is delivered again spread likewise, so that more minutes are used.
    fn start(&self, id: &ContainerGroupId, demand: Demand) -> Option<Instant> {
        if !self.arm.was_throttled() {
            return None;
        }
        let zones = self.settings.zones.serving(id)?;
        let zones = iter::once(&zones.forward).chain(zones.reverse.iter().map(ReverseZone::zone));
        let opens = zones.filter_map(|zone| self.arm.reads_open(zone)).max()?;
        let now = Instant::now();
        let latest = now + demand.first_deadline.saturating_duration_since(now) * 9 / 10;
        let earliest = if opens < latest { opens.max(now) } else { now };
        if demand.backlog < STORM {
            return Some(earliest);
        }
        let mut hasher = DefaultHasher::new();
        id.hash(&mut hasher);
        let moment = u32::from(u16::try_from(hasher.finish() % 1000).unwrap_or_default());
        Some(earliest + (latest - earliest) * moment / 1000)
    }

    /// Makes the records of one container group right until a deadline, as a sweep or an operator orders it.
    pub async fn repair(&self, id: &ContainerGroupId, order: Order, deadline: Instant) -> Report {
        self.invocation(id, order, deadline).await
    }

    /// Says what a run would do that sees no more than this reader, which may be one of lists. It does not wait for
    /// an address.
    pub async fn dry_run(&self, reader: &Reader, id: &ContainerGroupId, order: &Order) -> DryRun {
        let Some(goal) = Goal::new(id, &self.map, Purpose::Reconcile) else {
            return DryRun { report: unmapped(&self.settings.zones, id), changes: vec![], error: None };
        };
        let goal = Goal { lookups: order.lookups.clone(), evidence: order.evidence, ..goal };
        let rules = Rules::of(&self.settings, &goal.zones);
        let mut trace = Trace::new(RunState::default());
        let access = Access::read_only(reader);
        let verdict = pursue(access, rules, &goal, &self.clock, &mut trace).await;
        let result = result(verdict, &goal, &mut trace);
        let report = report(access, &goal, result.as_ref(), &trace);
        DryRun { report, changes: trace.changes, error: result.err() }
    }

    /// One invocation: the group, and the groups whose PTR records it took and gave up again.
    async fn invocation(&self, id: &ContainerGroupId, order: Order, deadline: Instant) -> Report {
        let writer = self.arm.invocation_in(deadline, order.slot.clone());
        // An address is waited for once in an invocation.
        let mut wait = self.settings.address_wait;
        let mut whole: Option<Report> = None;
        let mut queue = VecDeque::from([id.clone()]);
        // The deadline ends it even where groups go on taking records from each other.
        while let Some(next) = queue.pop_front() {
            let Some(mut goal) = Goal::new(&next, &self.map, Purpose::Reconcile) else { continue };
            if whole.is_none() {
                (goal.lookups, goal.evidence) = (order.lookups.clone(), order.evidence);
            }
            let rules = Rules::of(&self.settings, &goal.zones);
            let slot = order.slot.as_deref();
            let access = Access {
                reader: writer.reader(),
                writer: Some(&writer).filter(|_| !rules.is_dry_run()),
                slot,
            };
            let mut trace = Trace::new(RunState::new(wait, self.backlog.unverified_ptrs(&next)));
            let report = self.group(access, rules, &goal, deadline, &mut trace).await;
            wait = trace.facts.run.wait_left();
            let address = trace.target.as_ref().and_then(|target| target.address);
            queue.extend(trace.facts.run.given_up(address).filter_map(Owner::container_group));
            whole = Some(match whole {
                None => report,
                Some(whole) => whole.followed_by(report),
            });
        }
        let whole = whole.unwrap_or_else(|| unmapped(&self.settings.zones, id));
        Report { arm_calls: writer.reader().calls(), exchanges: writer.reader().exchanges(), ..whole }
    }

    /// One group of an invocation.
    async fn group(
        &self,
        access: Access<'_>,
        rules: Rules,
        goal: &Goal,
        deadline: Instant,
        trace: &mut Trace,
    ) -> Report {
        let run = pursue(access, rules, goal, &self.clock, trace);
        let verdict = tokio::time::timeout_at(deadline, run).await.ok();
        if access.writer.is_some() {
            let all = || trace.facts.run.touched_addresses().clone();
            let unverified = verdict.as_ref().map_or_else(all, |end| trace.facts.unverified_ptrs(goal, end));
            self.backlog.keep_unverified(&goal.id, unverified);
        }
        let result = match verdict {
            Some(verdict) => result(verdict, goal, trace),
            None => Err(ReconcileError::Deadline { deadline: self.settings.deadline }),
        };
        report(access, goal, result.as_ref(), trace)
    }
}

/// What a run is given besides its group.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// Where else to look.
    pub lookups: ExtraLookups,
    /// How much a "not found" proves.
    pub evidence: Evidence,
    /// The place that the run gives up while it waits.
    pub slot: Option<Arc<Slot>>,
}

/// A verdict that is no failure, as a report of it starts.
fn result(verdict: Verdict, goal: &Goal, trace: &mut Trace) -> Result<Report, ReconcileError> {
    let report = match verdict {
        Verdict::Right(Right::Named(address)) => {
            Report::new(Outcome::Converged, format!("the records name {address}"))
        }
        Verdict::Right(Right::Absent) => Report::new(Outcome::Converged, "no records (expected)"),
        Verdict::Right(Right::Kept) => Report::new(Outcome::Converged, "stopped; its records are kept"),
        Verdict::Unmanaged(reason) => Report {
            is_warning: matches!(reason, Unmanaged::NoAddress | Unmanaged::ProvisioningFailed),
            ..Report::new(Outcome::Unmanaged, reason.to_string())
        },
        Verdict::Compared(drift) => {
            Report { drift: Some(drift), ..Report::new(Outcome::Reported, "compared with the live group") }
        }
        Verdict::Failed(error) => return Err(ReconcileError::of(error, goal, trace)),
    };
    Ok(report)
}

/// Says what became of one group.
fn report(
    access: Access<'_>,
    goal: &Goal,
    result: Result<&Report, &ReconcileError>,
    trace: &Trace,
) -> Report {
    let fqdn = trace.target.as_ref().map(|target| target.fqdn.clone());
    let subject = fqdn.as_ref().map_or_else(|| goal.id.to_string(), ToString::to_string);
    let lines = |changes: &[Change]| changes.iter().map(Change::to_string).collect::<Vec<_>>();
    let (plan, withheld) = (lines(&trace.changes), lines(&trace.withheld));
    let written = || format!("{subject}: {}", plan.join("; "));
    let mut report = match result {
        Err(error) => {
            let mut report = Report::failed(error.outcome(), error);
            report.message = format!("{subject}: {}", report.message);
            report.conflict_owner = error.owner().map(ToString::to_string);
            report.throttled = error.throttled();
            report
        }
        Ok(_) if !plan.is_empty() => match access.writer {
            None => Report::new(Outcome::Planned, format!("planned for {}", written())),
            Some(_) => Report::new(Outcome::Changed, written()),
        },
        Ok(report) if report.outcome == Outcome::Converged && !withheld.is_empty() => {
            let message = format!("{subject}: withheld by ACI_DNS_POLICY: {}", withheld.join("; "));
            Report::new(Outcome::Converged, message)
        }
        Ok(report) => Report { message: format!("{subject}: {}", report.message), ..report.clone() },
    };
    let refused: Vec<String> =
        trace.facts.run.refused_deletes().filter_map(|key| trace.refusal(key)).collect();
    if !refused.is_empty() {
        report.is_warning = true;
        report.message = format!("{}; emptied instead of deleted: {}", report.message, refused.join("; "));
    }
    report.fqdn = fqdn;
    report.address = trace.target.as_ref().and_then(|target| target.address);
    report.plan = plan;
    report.withheld = withheld;
    report
}
