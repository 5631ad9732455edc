//! Carries out pushes: lists the container groups of the map, reads those that a push concerns, and restarts or
//! replaces them.
//!
//! Pushes that arrive together share one run, which does one thing to a group at most. Groups of one service are
//! updated one at a time. A request whose answer is lost is not repeated: the group is read, and where it does not show
//! the result, a retry reads it again. What is unfinished is stored in the retry queue.
//!
//! In memory there is only when this process acted on which group, because reads can be stale, and when the tags were
//! pushed that it wrote. Without it, a newer push that is handled after an older one may be taken for done.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures::future::join_all;
use serde_json::Value;
use time::OffsetDateTime;
use tokio::time::{Instant, sleep, timeout_at};

use super::{
    group::{ImageGroup, Untouchable},
    plan::{Action, AppliedTag, ImagePlan, PushVerdict, plan},
    push::Push,
    push_work::{PUSH, PushWork},
    put_body::put_body,
};
use crate::{
    azure::{
        arm::{Arm, ArmError, ImageUpdateClient, Kind},
        slot::Slot,
    },
    config::{ImageMap, Settings},
    decide::{
        desired::ServiceTags,
        report::{ImageFacts, MessageKind, Outcome, Report},
    },
    domain::{
        container_group::ContainerGroup,
        resource_id::{ContainerGroupId, Scope},
    },
    reconcile::{
        Clock, GRACE,
        coalesce::{Coalescer, Role},
        failure_outcome,
        retry::{
            RetryQueue, deferred,
            message::{FAILED_DELAY, MOST_AGE, RetryMessage},
        },
    },
};

/// How long a run waits for further pushes of the same build.
const BURST: Duration = Duration::from_secs(2);

/// How long reads may not show an action of this process yet.
const STALE: Duration = Duration::from_mins(1);

/// How long an action is remembered: as long as a push is tried.
const REMEMBERED: Duration = MOST_AGE;

/// The result of a push: at one group, or as a whole where it concerns none.
#[derive(Clone, Debug)]
pub struct PushReport {
    /// The container group.
    pub id: Option<ContainerGroupId>,
    /// The result there.
    pub report: Report,
}

impl PushReport {
    fn is_unfinished(&self) -> bool {
        self.report.outcome.status() != 200
    }
}

/// The only code that restarts or replaces container groups.
#[derive(Debug)]
pub struct ImageUpdater {
    settings: Arc<Settings>,
    map: Arc<ImageMap>,
    arm: Arm,
    clock: Clock,
    coalescer: Arc<Coalescer<(), Push, Arc<PushRun>>>,
    /// Pushes that no run has taken yet.
    arrived: Mutex<Vec<Push>>,
    /// The last action of this process on a group.
    acted: Mutex<HashMap<ContainerGroupId, Acted>>,
    retry: Option<Arc<RetryQueue>>,
}

/// What came of one run: for each of its pushes, the reports.
type PushRun = Vec<(Push, Vec<PushReport>)>;

/// An action of this process.
#[derive(Clone, Debug)]
struct Acted {
    at: OffsetDateTime,
    /// What it wrote.
    applied: Vec<AppliedTag>,
}

/// A group to act on.
struct Candidate {
    id: ContainerGroupId,
    plan: ImagePlan,
    /// The text of the read that the plan rests on.
    text: String,
    /// The pushes that concern the group.
    pushes: Vec<usize>,
}

impl ImageUpdater {
    /// Puts an updater together; `None` where the settings map no images.
    #[must_use]
    pub fn new(settings: Arc<Settings>, arm: Arm, clock: Clock) -> Option<Arc<Self>> {
        let map = settings.images.clone()?;
        let coalescer = Arc::new(Coalescer::new(settings.max_concurrency));
        let is_stored = !settings.policy.is_read_only();
        let retry = RetryQueue::new(&settings, &arm, &clock).filter(|_| is_stored).map(Arc::new);
        let (arrived, acted) = (Mutex::default(), Mutex::default());
        Some(Arc::new(Self { settings, map, arm, clock, coalescer, arrived, acted, retry }))
    }

    /// The time now.
    #[must_use]
    pub fn now(&self) -> OffsetDateTime {
        let seconds = i64::try_from(self.clock.unix_seconds()).unwrap_or(i64::MAX);
        OffsetDateTime::from_unix_timestamp(seconds).unwrap_or(OffsetDateTime::UNIX_EPOCH)
    }

    /// Serves a push, together with those that arrive at the same time, and stores it if it is unfinished.
    pub async fn serve(self: &Arc<Self>, work: PushWork) -> Vec<PushReport> {
        let deadline = Instant::now() + self.settings.deadline;
        let mut reports = self.run(&work, deadline).await;
        let unfinished = reports.iter().filter(|one| one.is_unfinished());
        let worst = unfinished.map(|one| one.report.outcome).max();
        if let Some((outcome, retry)) = worst.zip(self.retry.as_ref()) {
            let throttles = reports.iter().filter_map(|one| one.report.throttled.max(one.report.retry_after));
            let least = throttles.max().unwrap_or_default();
            let has_progressed = reports.iter().any(|one| one.report.outcome == Outcome::Changed);
            let next = if has_progressed { work.clone().progressed() } else { work.clone() };
            let stored = Box::pin(self.store(retry, &next, outcome, least, deadline)).await;
            if let Some(stored) = stored {
                for one in reports.iter_mut().filter(|one| one.is_unfinished()) {
                    one.report = deferred(one.report.clone(), stored.clone());
                }
            } else if work.is_expired(self.clock.unix_seconds()) {
                for one in reports.iter_mut().filter(|one| one.report.outcome == Outcome::Unavailable) {
                    one.report.message = format!("{}; it has been tried for 24 hours", one.report.message);
                }
            }
        }
        let image = ImageFacts {
            repository: work.push.repository.to_string(),
            tag: work.push.tag.clone(),
            digest: work.push.digest.clone(),
        };
        for one in &mut reports {
            one.report.image = Some(image.clone());
        }
        reports
    }

    /// Stores an event that cannot be read in the retry queue, where there is one.
    pub async fn defer_malformed(&self, report: Report, event: &Value) -> Report {
        let Some(retry) = &self.retry else { return report };
        let deadline = Instant::now() + self.settings.deadline;
        let message = RetryMessage::malformed(event, self.clock.unix_seconds()).to_text_as(PUSH, None);
        let stored = retry.store(MessageKind::Failed, message, FAILED_DELAY, deadline).await;
        deferred(report, stored)
    }

    /// Stores what an outcome calls for; `None` if that is nothing.
    async fn store(
        &self,
        retry: &Arc<RetryQueue>,
        work: &PushWork,
        outcome: Outcome,
        least: Duration,
        deadline: Instant,
    ) -> Option<Result<Duration, String>> {
        let now = self.clock.unix_seconds();
        let (kind, delay) = match outcome {
            Outcome::Unavailable if work.is_expired(now) => return None,
            Outcome::Unavailable => (MessageKind::Unavailable, retry.backoff(work.attempt + 1, least)),
            // The message of a retry stays in the queue, and the host counts how often it failed.
            _ if work.is_retry => return None,
            _ => (MessageKind::Failed, FAILED_DELAY),
        };
        Some(retry.store(kind, work.successor(now), delay, deadline).await)
    }

    async fn run(self: &Arc<Self>, work: &PushWork, deadline: Instant) -> Vec<PushReport> {
        if let Some(report) = self.irrelevant(work) {
            return vec![PushReport { id: None, report }];
        }
        let time = self.settings.deadline;
        let time = if self.retry.is_some() { RetryQueue::time_to_run(time) } else { time };
        let end = deadline - self.settings.deadline.saturating_sub(time);
        self.arrived().push(work.push.clone());
        let this = Arc::clone(self);
        let running = move |deadline: Instant, (first, others): (Push, Vec<Push>), slot: Arc<Slot>| {
            let this = Arc::clone(&this);
            async move { Arc::new(this.run_all(first, others, deadline - GRACE, slot).await) }
        };
        let run = self.coalescer.run((), work.push.clone(), end, running);
        let late = || {
            let text = format!("not done within {} s (ACI_DNS_DEADLINE_SECONDS)", time.as_secs_f32());
            vec![PushReport { id: None, report: failure(Outcome::Unavailable, text) }]
        };
        let (run, role) = match timeout_at(end, run).await {
            Ok(Ok(shared)) => shared,
            // The panic itself has its own line; this push must not be acknowledged.
            Ok(Err(panicked)) => {
                return vec![PushReport { id: None, report: Report::failed(Outcome::Failed, &panicked) }];
            }
            Err(_) => return late(),
        };
        let own = run.iter().find(|(push, _)| *push == work.push).map(|(_, reports)| reports.clone());
        let mut reports = own.unwrap_or_else(late);
        if role == Role::Follower {
            for one in &mut reports {
                one.report.is_shared = true;
                one.report.arm_calls = 0;
                one.report.request_records = Vec::new();
            }
        }
        reports
    }

    /// The report of a push that no group can be concerned by.
    fn irrelevant(&self, work: &PushWork) -> Option<Report> {
        let repository = &work.push.repository;
        if self.map.scopes(repository).is_empty() {
            let reason = format!("no key of ACI_DNS_IMAGES names the registry of {repository}");
            return Some(if work.is_retry {
                failure(Outcome::Failed, format!("{reason}; an app with other settings stored this message"))
            } else {
                Report::new(Outcome::Ignored, reason)
            });
        }
        let reason = format!("the push of {} names no tag, so no group can use it", work.push.image());
        work.push.tag.is_none().then(|| Report::new(Outcome::Ignored, reason))
    }

    /// One run for all pushes that have arrived.
    async fn run_all(&self, first: Push, others: Vec<Push>, deadline: Instant, slot: Arc<Slot>) -> PushRun {
        let rest = deadline.saturating_duration_since(Instant::now());
        slot.release_during(sleep(BURST.min(rest / 4))).await;
        let arrived = std::mem::take(&mut *self.arrived());
        let mut pushes: Vec<Push> = Vec::new();
        for push in [first].into_iter().chain(others).chain(arrived) {
            if !pushes.contains(&push) {
                pushes.push(push);
            }
        }
        let client = self.arm.image_updates(deadline, Some(slot));
        let mut reports = self.updated(&client, &pushes).await;
        if let Some(one) = reports.iter_mut().flatten().next() {
            one.report.arm_calls = client.calls();
            one.report.request_records = client.request_records();
        }
        pushes.into_iter().zip(reports).collect()
    }

    /// The reports of each push.
    async fn updated(&self, client: &ImageUpdateClient, pushes: &[Push]) -> Vec<Vec<PushReport>> {
        let mut reports: Vec<Vec<PushReport>> = vec![Vec::new(); pushes.len()];
        let scopes: BTreeSet<Scope> =
            pushes.iter().flat_map(|push| self.map.scopes(&push.repository)).collect();
        let lists = join_all(scopes.iter().map(async |scope| (scope, client.list(scope).await))).await;
        let mut listed: BTreeMap<ContainerGroupId, ImageGroup> = BTreeMap::new();
        for (scope, list) in lists {
            match list {
                Ok(groups) => {
                    listed.extend(groups.into_iter().map(|(id, value)| (id, ImageGroup::of(&value))));
                }
                Err(error) => {
                    let concerned = pushes.iter().zip(&mut reports);
                    for (_, of_push) in
                        concerned.filter(|(push, _)| self.map.scopes(&push.repository).contains(scope))
                    {
                        of_push.push(PushReport { id: None, report: failed_request(&error) });
                    }
                }
            }
        }
        let concerned = listed.iter().filter_map(|(id, group)| {
            let is_concerned = |push: &Push| {
                group.has_opted_in()
                    && group.images.iter().any(|used| used.image.repository == push.repository)
                    && self.map.covers(id, &push.repository)
            };
            let indexes: Vec<usize> =
                (0..).zip(pushes).filter(|(_, push)| is_concerned(push)).map(|(index, _)| index).collect();
            (!indexes.is_empty()).then_some((id.clone(), indexes))
        });
        let reads = join_all(concerned.map(async |(id, indexes)| {
            let read = client.read(&id).await;
            (id, indexes, read)
        }));
        let (mut candidates, mut known) = (Vec::new(), BTreeMap::new());
        for (id, indexes, read) in reads.await {
            let text = match read {
                Ok(text) => text,
                Err(error) => {
                    add(&mut reports, &id, &indexes, &failed_request(&error));
                    continue;
                }
            };
            let plan = match self.plan(&id, text.as_deref(), &indexes, pushes) {
                Ok((group, plan)) => {
                    known.insert(id.clone(), group);
                    plan
                }
                Err(error) => {
                    add(&mut reports, &id, &indexes, &Report::failed(Outcome::Unavailable, &error));
                    continue;
                }
            };
            candidates.push(Candidate { id, plan, text: text.unwrap_or_default(), pushes: indexes });
        }
        if !self.settings.policy.is_read_only() {
            self.hold_back(client, &listed, &mut known, &mut candidates).await;
        }
        let acts = candidates.iter().map(|candidate| self.act(client, candidate, pushes));
        let done = join_all(acts).await;
        for (candidate, done) in candidates.iter().zip(done) {
            for (index, verdict) in candidate.pushes.iter().zip(&candidate.plan.verdicts) {
                let report = match verdict {
                    PushVerdict::Act => done.clone().unwrap_or_else(|| not_planned(&candidate.id)),
                    verdict => report(&candidate.id, verdict),
                };
                if let Some(of_push) = reports.get_mut(*index) {
                    of_push.push(PushReport { id: Some(candidate.id.clone()), report });
                }
            }
        }
        for (push, of_push) in pushes.iter().zip(&mut reports) {
            if of_push.is_empty() {
                let text = format!("no container group that opted in uses {}", push.repository);
                of_push.push(PushReport { id: None, report: Report::new(Outcome::Ignored, text) });
            }
        }
        reports
    }

    /// What pushes do to a group, by what Azure answered.
    fn plan(
        &self,
        id: &ContainerGroupId,
        text: Option<&str>,
        indexes: &[usize],
        pushes: &[Push],
    ) -> serde_json::Result<(Option<ImageGroup>, ImagePlan)> {
        let value: Option<Value> = text.map(serde_json::from_str).transpose()?;
        let group = value.as_ref().map(ImageGroup::of);
        let chosen: Vec<&Push> = indexes.iter().filter_map(|index| pushes.get(*index)).collect();
        let now = self.now();
        let applied = self.acted().get(id).map(|acted| acted.applied.clone()).unwrap_or_default();
        let mut plan = plan(id, group.as_ref(), &chosen, &applied, now);
        if plan.action.is_some() && self.has_just_acted(id, group.as_ref(), now) {
            wait(&mut plan, "this process updated it less than a minute ago, which Azure does not show yet");
        }
        Ok((group, plan))
    }

    /// Updates the groups of a service one at a time: a group waits while another member is updated, or is not settled.
    async fn hold_back(
        &self,
        client: &ImageUpdateClient,
        listed: &BTreeMap<ContainerGroupId, ImageGroup>,
        known: &mut BTreeMap<ContainerGroupId, Option<ImageGroup>>,
        candidates: &mut [Candidate],
    ) {
        let mut taken: BTreeSet<(Scope, String)> = BTreeSet::new();
        for candidate in candidates.iter_mut().filter(|candidate| candidate.plan.action.is_some()) {
            let group = known.get(&candidate.id).and_then(Option::as_ref);
            let services = group.map(|group| self.services(&candidate.id, group)).unwrap_or_default();
            if let Some((_, label)) = services.iter().find(|service| taken.contains(service)) {
                wait(&mut candidate.plan, &format!("another group of the service {label} is updated first"));
                continue;
            }
            let members = listed.iter().filter(|(id, group)| {
                **id != candidate.id
                    && self.services(id, group).iter().any(|service| services.contains(service))
            });
            let members: Vec<&ContainerGroupId> = members.map(|(id, _)| id).collect();
            let unread = members.iter().copied().filter(|id| !known.contains_key(id));
            let reads = unread.map(async |id| (id.clone(), client.read(id).await));
            let mut reason = None;
            for (id, read) in join_all(reads).await {
                let read =
                    read.map_err(|error| format!("{}, a group of the same service: {error}", subject(&id)));
                let parsed = read.and_then(|text| {
                    text.map(|text| serde_json::from_str(&text))
                        .transpose()
                        .map_err(|error| error.to_string())
                });
                match parsed {
                    Ok(value) => _ = known.insert(id, value.as_ref().map(ImageGroup::of)),
                    Err(error) => reason = Some(error),
                }
            }
            let now = self.now();
            let busy = members.iter().copied().find(|id| {
                let member = known.get(*id).and_then(Option::as_ref);
                member.is_some_and(|member| is_busy(member) || self.has_just_acted(id, Some(member), now))
            });
            let busy = busy.map(|id| {
                let member = subject(id);
                format!(
                    "{member}, a group of the same service, is being provisioned or restarted, or has failed"
                )
            });
            match reason.or(busy) {
                Some(reason) => wait(&mut candidate.plan, &reason),
                None => taken.extend(services),
            }
        }
    }

    /// The services of a group: the labels in its tag, and those whose patterns in the map match its name.
    fn services(&self, id: &ContainerGroupId, group: &ImageGroup) -> BTreeSet<(Scope, String)> {
        let tagged = ContainerGroup { tags: group.tags.clone(), ..ContainerGroup::default() };
        let tags = ServiceTags::of(&tagged);
        if tags.is_ignored {
            return BTreeSet::new();
        }
        let scope = Scope::of(id);
        let zones = self.settings.zones.of_resource_group(&scope);
        let declared = zones.iter().flat_map(|zones| zones.services.iter());
        let matching = declared.filter(|service| service.groups.matches(id.name()));
        let labels = matching.map(|service| service.name.as_str().to_owned()).chain(tags.labels);
        labels.map(|label| (scope.clone(), label)).collect()
    }

    /// Carries out the action of a plan; `None` if it has none.
    async fn act(
        &self,
        client: &ImageUpdateClient,
        candidate: &Candidate,
        pushes: &[Push],
    ) -> Option<Report> {
        let Candidate { id, plan, text, .. } = candidate;
        let action = plan.action.as_ref()?;
        let body = match action {
            Action::Restart => None,
            Action::Replace(images) => match put_body(text, images) {
                Ok(body) => Some(body),
                Err(error) => return Some(about(id, Report::failed(Outcome::Failed, &error))),
            },
        };
        let lines = || plan.lines.clone();
        if self.settings.policy.is_read_only() {
            let text = format!("planned: {}", plan.lines.join("; "));
            return Some(Report { plan: lines(), ..Report::new(Outcome::Planned, text) });
        }
        let before = self.note(id, &plan.applied);
        let sent = match body {
            None => client.restart(id).await,
            Some(body) => client.replace(id, body).await,
        };
        let changed = || Report { plan: lines(), ..Report::new(Outcome::Changed, plan.lines.join("; ")) };
        match sent {
            Ok(()) => Some(changed()),
            Err(error) if matches!(error.kind(), Kind::Uncertain | Kind::Missing) => {
                Some(if self.shows_result(client, candidate, pushes).await {
                    changed()
                } else {
                    let report = failed_request(&error);
                    let outcome = report.outcome.max(Outcome::Unavailable);
                    about(id, Report { outcome, ..report })
                })
            }
            Err(error) => {
                // Azure certainly did not do it.
                let mut acted = self.acted();
                match before {
                    Some(before) => _ = acted.insert(id.clone(), before),
                    None => _ = acted.remove(id),
                }
                drop(acted);
                Some(about(id, failed_request(&error)))
            }
        }
    }

    /// Whether a group shows, after a lost answer, that there is nothing left to do.
    async fn shows_result(&self, client: &ImageUpdateClient, candidate: &Candidate, pushes: &[Push]) -> bool {
        let Candidate { id, pushes: indexes, .. } = candidate;
        let Ok(text) = client.read(id).await else { return false };
        let Ok((_, plan)) = self.plan(id, text.as_deref(), indexes, pushes) else { return false };
        plan.verdicts.iter().all(|verdict| matches!(verdict, PushVerdict::Nothing { .. }))
    }

    /// Whether this process acted on a group, and no container has started since.
    fn has_just_acted(&self, id: &ContainerGroupId, group: Option<&ImageGroup>, now: OffsetDateTime) -> bool {
        let mut acted = self.acted();
        acted.retain(|_, acted| now < acted.at + REMEMBERED);
        let start = group.and_then(|group| group.newest_start);
        let last = acted.get(id).filter(|acted| now < acted.at + STALE);
        last.is_some_and(|acted| start.is_none_or(|start| start <= acted.at))
    }

    /// Remembers an action, and returns the one before.
    fn note(&self, id: &ContainerGroupId, applied: &[AppliedTag]) -> Option<Acted> {
        let acted = Acted { at: self.now(), applied: applied.to_vec() };
        self.acted().insert(id.clone(), acted)
    }

    fn arrived(&self) -> MutexGuard<'_, Vec<Push>> {
        self.arrived.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acted(&self) -> MutexGuard<'_, HashMap<ContainerGroupId, Acted>> {
        self.acted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a member of a service is not settled. A stopped member does not count.
fn is_busy(member: &ImageGroup) -> bool {
    match member.untouchable() {
        Some(Untouchable::Stopped | Untouchable::StandbyPool) => false,
        Some(Untouchable::Deleting) => true,
        None => member.is_unsettled,
    }
}

/// Turns the action of a plan into a wait.
fn wait(plan: &mut ImagePlan, reason: &str) {
    plan.action = None;
    plan.lines = Vec::new();
    for verdict in plan.verdicts.iter_mut().filter(|verdict| **verdict == PushVerdict::Act) {
        *verdict = PushVerdict::Wait(reason.to_owned());
    }
}

fn subject(id: &ContainerGroupId) -> String {
    format!("{}/{}", id.resource_group(), id.name())
}

fn report(id: &ContainerGroupId, verdict: &PushVerdict) -> Report {
    let report = match verdict {
        PushVerdict::Nothing { outcome, reason, is_warning } => {
            Report { is_warning: *is_warning, ..Report::new(*outcome, reason.clone()) }
        }
        PushVerdict::Wait(reason) => failure(Outcome::Unavailable, reason.clone()),
        PushVerdict::Failed(reason) => failure(Outcome::Failed, reason.clone()),
        PushVerdict::Act => return not_planned(id),
    };
    about(id, report)
}

/// A verdict to act without an action, which no plan has.
fn not_planned(id: &ContainerGroupId) -> Report {
    about(id, failure(Outcome::Unavailable, "nothing was done".to_owned()))
}

/// The same report, about a group.
fn about(id: &ContainerGroupId, report: Report) -> Report {
    Report { message: format!("{}: {}", subject(id), report.message), ..report }
}

fn failure(outcome: Outcome, text: String) -> Report {
    Report { error: Some(text.clone()), ..Report::new(outcome, text) }
}

fn failed_request(error: &ArmError) -> Report {
    Report {
        throttled: error.throttled(),
        retry_after: error.retry_after(),
        ..Report::failed(failure_outcome(error), error)
    }
}

fn add(reports: &mut [Vec<PushReport>], id: &ContainerGroupId, indexes: &[usize], report: &Report) {
    for index in indexes {
        if let Some(of_push) = reports.get_mut(*index) {
            of_push.push(PushReport { id: Some(id.clone()), report: about(id, report.clone()) });
        }
    }
}
