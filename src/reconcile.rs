//! Observe, plan, apply; and look again.
//!
//! One *pass* reads the live group and the record sets that matter, plans, and writes conditionally. A pass that
//! lost a race, or that does not know whether a write took effect, is followed by another one that starts from
//! what is there now; so is a pass whose last look shows that the group or its A record set moved on meanwhile.
//! The event that woke us is used for nothing but the id of its group.
//!
//! Order is what makes a crash harmless (section 3.4 of the design):
//!
//! * a live group: A record set with its memory, then PTR record sets, then forgetting;
//! * a group that is gone: PTR record sets, then the A record set, because as long as it exists its memory does.
//!
//! What an event asked for and Azure throttled is owed ([`crate::owed`]): the process goes on with it when Azure takes
//! such requests again. So is the last look of a run that wrote a PTR record and failed before it. That acknowledges nothing, and nothing depends on it; the event is delivered again as ever.
//!
//! Deliberately absent: any use of the event's type or order, and any state between invocations that what is right
//! depends on.

mod pass;
mod unfinished;

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    fmt,
    hash::{DefaultHasher, Hash, Hasher},
    iter,
    net::Ipv4Addr,
    sync::Arc,
    time::Duration,
};

use futures::{FutureExt as _, future::BoxFuture};
use tokio::time::Instant;

use self::unfinished::Unfinished;
use crate::{
    apply::Hand,
    arm::{Arm, ArmError, Kind, Reader},
    config::{Policy, Settings, ZoneMap},
    desired::TagError,
    dns::{DomainName, MEMORY_SECONDS, Owner, Place, ReverseZone},
    owed::Owed,
    plan::{Change, Conflict, Hints, Refusal, Rules},
    report::{Outcome, Report},
    resource_id::ContainerGroupId,
    share::{Demand, Role, Shared},
    telemetry::Chain,
};

/// How many passes one invocation makes at most.
const MAX_PASSES: u32 = 5;

/// How far ahead of one in a second runs have to be, so that a zone that was throttled meets a storm.
const STORM: Duration = Duration::from_secs(8);

/// How much earlier than its callers a run ends, so that they can still be told how far it came.
const GRACE: Duration = Duration::from_millis(100);

/// How long a run lasts at most that no event asked for: it need not wait for a throttle with a permit in its hand,
/// because it comes again.
const UNASKED: Duration = Duration::from_secs(10);

/// How long what is owed waits for events to be served.
const STAND_BACK: Duration = Duration::from_secs(5);

/// How long after a run that wrote a PTR record and could not take its last look another one follows.
const LOOK_AGAIN: Duration = Duration::from_mins(1);

/// Tells the time in unix seconds. Simulations bring their own.
#[derive(Clone)]
pub struct Clock(Arc<dyn Fn() -> u64 + Send + Sync>);

impl Clock {
    /// A clock that asks a function.
    pub fn new(unix_seconds: impl Fn() -> u64 + Send + Sync + 'static) -> Self {
        Self(Arc::new(unix_seconds))
    }

    /// The time now.
    #[must_use]
    pub fn unix_seconds(&self) -> u64 {
        (self.0)()
    }
}

impl fmt::Debug for Clock {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Clock").field(&self.unix_seconds()).finish()
    }
}

/// Why DNS could not be made right.
#[derive(Debug, thiserror::Error)]
pub enum ReconcileError {
    /// A request to Resource Manager failed.
    #[error(transparent)]
    Arm(#[from] ArmError),
    /// A tag of the group cannot be read.
    #[error(transparent)]
    Tag(#[from] TagError),
    /// The name belongs to somebody else, or has no room to remember.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// PTR record sets at the group's address belong to somebody else.
    #[error(transparent)]
    PtrConflict(Conflict),
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
    /// What an invocation that ends with this error is answered with.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Arm(error) => match error.kind() {
                Kind::Race | Kind::Uncertain | Kind::Transient => Outcome::Unavailable,
                Kind::Forbidden | Kind::Missing | Kind::Refused => Outcome::Failed,
            },
            Self::Tag(_) | Self::NoReverseZone { .. } => Outcome::Failed,
            Self::Refused(Refusal::Conflict(_)) | Self::PtrConflict(_) => Outcome::Conflict,
            Self::Refused(Refusal::MemoryFull(_))
            | Self::AddressPending(_)
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
        let (Self::Refused(Refusal::Conflict(conflict)) | Self::PtrConflict(conflict)) = self else {
            return None;
        };
        let Conflict::OtherGroup { owner, .. } = conflict else { return None };
        Some(owner)
    }
}

/// What an invocation that came to an end has to say beyond its changes.
#[derive(Debug)]
enum End {
    /// DNS is right.
    Right(String),
    /// The group is not managed, or not now.
    Unmanaged(String),
    /// The group runs without any address: not managed, and worth a warning.
    Portless(String),
}

/// What one invocation did, kept outside of the passes so that it can be told even when time runs out.
#[derive(Debug, Default)]
struct Journal {
    fqdn: Option<DomainName>,
    address: Option<Ipv4Addr>,
    plan: Vec<String>,
    /// The changes that the plan is made of.
    changes: Vec<Change>,
    withheld: Vec<String>,
    /// The addresses at which a PTR was written: every later pass reads them again.
    written_ptrs: BTreeSet<Ipv4Addr>,
    /// The groups whose mark was replaced, by address.
    taken: BTreeMap<Ipv4Addr, Owner>,
}

/// What a pass would do, found out without doing it.
#[derive(Debug)]
pub struct Rehearsal {
    /// What would become of the group.
    pub report: Report,
    /// The changes that the report's plan is made of.
    pub changes: Vec<Change>,
    /// Why DNS could not be made right, where it could not.
    pub error: Option<ReconcileError>,
}

/// How one run goes about its work.
struct Run<'a> {
    hand: &'a Hand,
    hints: &'a Hints,
    /// How long it waits for an address.
    wait: Duration,
    deadline: Instant,
}

/// The reconciler: the only writer.
#[derive(Debug)]
pub struct Reconciler {
    settings: Arc<Settings>,
    arm: Arm,
    clock: Clock,
    rules: Rules,
    shared: Arc<Shared<ContainerGroupId, Report>>,
    /// By forward zone.
    owed: Arc<Owed<Place, ContainerGroupId>>,
    unfinished: Unfinished,
}

impl Reconciler {
    /// Puts a reconciler together. It holds no state but the passes that are under way, owed or unfinished.
    #[must_use]
    pub fn new(settings: Arc<Settings>, arm: Arm, clock: Clock) -> Arc<Self> {
        let rules = Rules {
            ownership: settings.ownership,
            policy: settings.policy,
            memory_seconds: MEMORY_SECONDS.max(settings.deadline.as_secs()),
        };
        let shared = Arc::new(Shared::new(settings.max_concurrency));
        Arc::new(Self {
            settings,
            arm,
            clock,
            rules,
            shared,
            owed: Arc::default(),
            unfinished: Unfinished::default(),
        })
    }

    /// Answers an event of one container group. Where Azure throttled it, the group is owed from then on: `tell` is
    /// told of every run that no event asked for, with how long it took.
    pub async fn serve<Tell>(self: &Arc<Self>, id: &ContainerGroupId, tell: Tell) -> Report
    where
        Tell: Fn(&ContainerGroupId, &Report, Duration) + Clone + Send + Sync + 'static,
    {
        let report = self.reconcile(id).await;
        let wait = self.wait(id, &report);
        if wait.is_none() && self.owed.is_empty() {
            return report;
        }
        let Some(zones) = self.settings.zones.serving(id) else { return report };
        let lane = zones.forward.place();
        match wait {
            // Who writes nothing is in no hurry.
            Some(wait) if self.rules.policy != Policy::Observe => {
                let this = Arc::clone(self);
                let again = move |id| Arc::clone(&this).again(id, tell.clone());
                self.owed.owe(lane, id.clone(), wait, again);
            }
            // Whose pass came to an end is not owed another one.
            None if report.outcome != Outcome::Unavailable => self.owed.settle(&lane, id),
            _ => {}
        }
        report
    }

    /// Tries once more what is owed, and says how long to wait where it still is.
    async fn again<Tell>(self: Arc<Self>, id: ContainerGroupId, tell: Tell) -> Option<Duration>
    where
        Tell: Fn(&ContainerGroupId, &Report, Duration),
    {
        let now = Instant::now();
        let (start, work) = (self.starting(&id), self.working(&id));
        let deadline = now + self.settings.deadline.min(UNASKED);
        let run = self.shared.run_unasked(id.clone(), deadline, start, work);
        // Events come first, and what they ask for need not be done beside them.
        let Some(result) = run.await else { return Some(STAND_BACK) };
        let report = result.unwrap_or_else(|panicked| Report::failed(Outcome::Failed, &panicked));
        tell(&id, &report, now.elapsed());
        self.wait(&id, &report)
    }

    /// How long to wait before a group is tried again without an event, where that is called for.
    fn wait(&self, id: &ContainerGroupId, report: &Report) -> Option<Duration> {
        let is_unfinished = || report.outcome != Outcome::Failed && self.unfinished.has(id);
        report.throttled.or_else(|| is_unfinished().then_some(LOOK_AGAIN))
    }

    /// Makes the records of one container group right, together with whoever else asks for the same.
    pub async fn reconcile(self: &Arc<Self>, id: &ContainerGroupId) -> Report {
        if !self.settings.zones.serves(id) {
            return unmapped(&self.settings.zones, id);
        }
        let deadline = Instant::now() + self.settings.deadline;
        let run = self.shared.run(id.clone(), deadline, self.starting(id), self.working(id));
        match tokio::time::timeout_at(deadline, run).await {
            Ok(Ok((report, Role::Leader))) => report,
            Ok(Ok((report, Role::Follower))) => {
                Report { is_shared: true, arm_calls: 0, exchanges: vec![], ..report }
            }
            // The panic itself has its own line; this event's must not be acknowledged.
            Ok(Err(panicked)) => Report::failed(Outcome::Failed, &panicked),
            Err(_) => {
                let error = ReconcileError::Deadline { deadline: self.settings.deadline };
                Report::failed(error.outcome(), &error)
            }
        }
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
    ) -> impl Fn(Instant) -> BoxFuture<'static, Report> + Send + use<> {
        let (this, id) = (Arc::clone(self), id.clone());
        move |deadline| {
            let (this, id) = (Arc::clone(&this), id.clone());
            async move { this.alone(&id, deadline - GRACE).await }.boxed()
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

    /// Makes the records of one container group right, hints included, until a deadline.
    pub async fn mend(&self, id: &ContainerGroupId, hints: &Hints, deadline: Instant) -> Report {
        self.invocation(id, hints, deadline).await
    }

    /// Says what a pass would do that sees no more than this reader, which may be one of lists. It does not wait
    /// for an address.
    pub async fn rehearse(&self, reader: Reader, id: &ContainerGroupId, hints: &Hints) -> Rehearsal {
        let hand = Hand::Observes(reader);
        let deadline = Instant::now() + self.settings.deadline;
        let run = Run { hand: &hand, hints, wait: Duration::ZERO, deadline };
        let mut journal = Journal::default();
        let result = match self.settings.zones.serving(id) {
            Some(zones) => self.passes(&run, id, &zones, &mut journal).await,
            None => Ok(End::Unmanaged("no entry of ACI_DNS_ZONES serves it".into())),
        };
        let changes = std::mem::take(&mut journal.changes);
        let report = Self::report(&hand, id, result.as_ref(), journal);
        Rehearsal { report, changes, error: result.err() }
    }

    async fn alone(&self, id: &ContainerGroupId, deadline: Instant) -> Report {
        self.invocation(id, &Hints::default(), deadline).await
    }

    /// One invocation: the group, and those whose PTR records were taken and given up again.
    async fn invocation(&self, id: &ContainerGroupId, hints: &Hints, deadline: Instant) -> Report {
        let hand = match self.rules.policy {
            Policy::Observe => Hand::Observes(self.arm.observation(deadline)),
            Policy::Sync | Policy::UpsertOnly | Policy::AdoptOnly => {
                Hand::Writes(self.arm.invocation(deadline))
            }
        };
        let mut run = Run { hand: &hand, hints, wait: self.settings.address_wait, deadline };
        let nothing = Hints::default();
        let mut report: Option<Report> = None;
        let mut queue = VecDeque::from([id.clone()]);
        // The deadline ends it even where groups go on taking records from each other.
        while let Some(id) = queue.pop_front() {
            let Some(zones) = self.settings.zones.serving(&id) else { continue };
            let mut journal = Journal { written_ptrs: self.unfinished.of(&id), ..Journal::default() };
            let passes = self.passes(&run, &id, &zones, &mut journal);
            let result = match tokio::time::timeout_at(run.deadline, passes).await {
                Ok(result) => result,
                Err(_) => Err(ReconcileError::Deadline { deadline: self.settings.deadline }),
            };
            if let Hand::Writes(_) = hand {
                let written = std::mem::take(&mut journal.written_ptrs);
                self.unfinished.keep(&id, if result.is_err() { written } else { BTreeSet::new() });
            }
            let given_up = journal.taken.iter().filter(|(address, _)| journal.address != Some(**address));
            queue.extend(given_up.filter_map(|(_, owner)| owner.container_group()));
            let next = Self::report(&hand, &id, result.as_ref(), journal);
            // What was hinted is about the first group.
            run.hints = &nothing;
            report = Some(match report {
                None => next,
                Some(report) => report.followed_by(next),
            });
        }
        let report = report.unwrap_or_else(|| unmapped(&self.settings.zones, id));
        Report { arm_calls: hand.reader().calls(), exchanges: hand.reader().exchanges(), ..report }
    }

    /// Says what became of one group.
    fn report(
        hand: &Hand,
        id: &ContainerGroupId,
        result: Result<&End, &ReconcileError>,
        journal: Journal,
    ) -> Report {
        let subject = journal.fqdn.as_ref().map_or_else(|| id.to_string(), ToString::to_string);
        let written = || format!("{subject}: {}", journal.plan.join("; "));
        let mut report = match result {
            Err(error) => {
                let mut report = Report::failed(error.outcome(), error);
                report.message = format!("{subject}: {}", report.message);
                report.conflict_owner = error.owner().map(ToString::to_string);
                report.throttled = error.throttled();
                report
            }
            Ok(_) if !journal.plan.is_empty() => match hand {
                Hand::Observes(_) => Report::new(Outcome::Planned, format!("planned for {}", written())),
                Hand::Writes(_) => Report::new(Outcome::Changed, written()),
            },
            Ok(End::Right(_)) if !journal.withheld.is_empty() => {
                let message =
                    format!("{subject}: withheld by ACI_DNS_POLICY: {}", journal.withheld.join("; "));
                Report::new(Outcome::Converged, message)
            }
            Ok(End::Right(message)) => Report::new(Outcome::Converged, format!("{subject}: {message}")),
            Ok(End::Unmanaged(message)) => Report::new(Outcome::Unmanaged, format!("{subject}: {message}")),
            Ok(End::Portless(message)) => Report {
                is_warning: true,
                ..Report::new(Outcome::Unmanaged, format!("{subject}: {message}"))
            },
        };
        report.fqdn = journal.fqdn;
        report.address = journal.address;
        report.plan = journal.plan;
        report.withheld = journal.withheld;
        report
    }
}

/// The report for a container group that the map does not serve.
#[must_use]
pub fn unmapped(zones: &ZoneMap, id: &ContainerGroupId) -> Report {
    let reason = zones.find(id).err().map(|reason| format!(": {reason}")).unwrap_or_default();
    Report::new(Outcome::Unmanaged, format!("no entry of ACI_DNS_ZONES serves {id}{reason}"))
}

impl Report {
    /// A report that says why something failed, with all causes.
    #[must_use]
    pub fn failed(outcome: Outcome, error: &(dyn std::error::Error + 'static)) -> Self {
        let chain = Chain(error).to_string();
        Self { error: Some(chain.clone()), ..Self::new(outcome, chain) }
    }

    /// Adds what became of another group that this invocation had to make good.
    fn followed_by(mut self, next: Self) -> Self {
        if next.outcome > self.outcome {
            self.outcome = next.outcome;
        }
        if !next.plan.is_empty() || next.error.is_some() {
            self.message = format!("{}; then {}", self.message, next.message);
        }
        self.plan.extend(next.plan);
        self.withheld.extend(next.withheld);
        self.error = self.error.or(next.error);
        self.throttled = self.throttled.max(next.throttled);
        self
    }
}
