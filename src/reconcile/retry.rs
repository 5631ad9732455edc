//! The retry queue: unfinished work is stored before its event is acknowledged, and work that ended well is followed by
//! a recheck.
//!
//! The storage queue is the engine. A message becomes visible when its delay is over, and the Functions host hands it to
//! `function_aci_retry`, which runs what the event would run. What needs a person is a failed invocation: the host
//! makes its message visible again, and moves it to the poison queue in the end.
//!
//! In memory there is only what chooses delays and saves messages: from when on a throttled zone has time for one more
//! group, and which groups have a message that is not visible yet. Losing both costs requests, and nothing else.
//!
//! Deliberately absent: any wait for a delay, and any decision about DNS.

pub mod message;
pub mod poison;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::Value;
use tokio::{sync::OnceCell, time::Instant};

use crate::{
    azure::{
        arm::Arm,
        storage_queue::{QueueError, StorageQueue},
    },
    config::{Settings, Zones},
    decide::{
        Evidence,
        report::{Chain, Deferral, MessageKind, Outcome, Report},
    },
    domain::{
        dns::{Zone, ZoneKey},
        resource_id::ContainerGroupId,
    },
    reconcile::{
        clock::Clock,
        retry::message::{FAILED_DELAY, FollowUp, RetryMessage, Work, delay},
    },
};

/// How much of the deadline of an invocation is reserved for storing.
const STORE_TIME: Duration = Duration::from_secs(2);

/// The time between two messages for a throttled zone. Operators report that Private DNS takes 60 writes of a kind in a
/// minute and zone, and 200 reads, which are those of as many passes in three processes.
const SPACING: Duration = Duration::from_secs(1);

/// The longest delay that the spreading over a throttled zone adds up to.
const LONGEST_SPREAD: Duration = Duration::from_mins(15);

/// How long work counts as unfinished after its message became visible, where this process heard no more of it.
const REMEMBERED: Duration = Duration::from_mins(5);

/// How many groups with a message are known at most.
const MOST_GROUPS: usize = 10_000;

/// The retry queue, as one process knows it.
#[derive(Debug)]
pub struct RetryQueue {
    queue: StorageQueue,
    arm: Arm,
    clock: Clock,
    recheck: Duration,
    waiting: Mutex<Waiting>,
}

/// What waits for its time.
#[derive(Debug, Default)]
struct Waiting {
    /// By zone: from when on there is time for one more message.
    zones: HashMap<ZoneKey, Instant>,
    /// By group: the unfinished work whose message was stored last.
    groups: HashMap<ContainerGroupId, Pending>,
    /// How many messages were stored.
    stored: BTreeMap<MessageKind, u64>,
}

/// Unfinished work with a message in the queue.
#[derive(Clone, Copy, Debug)]
struct Pending {
    evidence: Evidence,
    since: u64,
    /// Which retry the message asks for.
    attempt: u64,
    /// The message is not visible before.
    visible: Instant,
}

/// What a process knows of its unfinished work.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryMetrics {
    /// How many messages it stored, by kind.
    pub stored: BTreeMap<MessageKind, u64>,
    /// The age of the oldest unfinished work that it saw lately.
    pub oldest: Option<Duration>,
}

/// The messages of one run, which all invocations that share it share as well.
#[derive(Debug, Default)]
pub struct RunMessages {
    unfinished: OnceCell<Result<Duration, String>>,
    recheck: OnceCell<Result<Duration, String>>,
}

impl RetryQueue {
    /// The queue of the settings; nothing where they name none.
    ///
    /// # Panics
    ///
    /// Never: the settings accept no URL that the client refuses.
    #[must_use]
    pub fn new(settings: &Settings, arm: &Arm, clock: &Clock) -> Option<Self> {
        let url = settings.retry_queue.clone()?;
        let (http_transport, tokens) = arm.network();
        Some(Self {
            queue: StorageQueue::new(url, http_transport, tokens)
                .expect("the settings accept only URLs with a host"),
            arm: arm.clone(),
            clock: clock.clone(),
            recheck: settings.recheck,
            waiting: Mutex::default(),
        })
    }

    /// How much of a deadline is left for the run itself.
    #[must_use]
    pub fn time_to_run(deadline: Duration) -> Duration {
        deadline.saturating_sub(STORE_TIME.min(deadline / 2))
    }

    /// How long a group is not tried because a zone of it is throttled.
    #[must_use]
    pub fn throttle(&self, zones: &Zones) -> Option<Duration> {
        let opens = zones.all().filter_map(|zone| self.arm.throttled_until(zone)).max()?;
        let rest = opens.saturating_duration_since(Instant::now());
        (!rest.is_zero()).then_some(rest)
    }

    /// Notes that a message arrived. It may arrive early, or again: from now on it stands for no other work, because it
    /// is deleted once its retry is acknowledged.
    pub fn arrived(&self, work: &Work) {
        let mut waiting = self.waiting();
        let is_arrived = |pending: &Pending| work.is_of_message(pending.since, pending.attempt);
        if waiting.groups.get(&work.id).is_some_and(is_arrived) {
            waiting.groups.remove(&work.id);
        }
    }

    /// At most so many of these groups that have a message which is not visible yet.
    #[must_use]
    pub fn groups(&self, most: usize, is_meant: impl Fn(&ContainerGroupId) -> bool) -> Vec<ContainerGroupId> {
        let (now, waiting) = (Instant::now(), self.waiting());
        let groups = waiting.groups.iter().filter(|(id, pending)| now < pending.visible && is_meant(id));
        groups.map(|(id, _)| id).take(most).cloned().collect()
    }

    /// What this process knows of its unfinished work.
    #[must_use]
    pub fn metrics(&self) -> RetryMetrics {
        let (now, unix_seconds) = (Instant::now(), self.clock.unix_seconds());
        let mut waiting = self.waiting();
        waiting.forget(now);
        let oldest = waiting.groups.values().map(|pending| pending.since).min();
        let oldest = oldest.map(|since| Duration::from_secs(unix_seconds.saturating_sub(since)));
        RetryMetrics { stored: waiting.stored.clone(), oldest }
    }

    /// Ends an invocation: stores what its outcome calls for, and says so in its report. `run` is the work of the whole
    /// run, which other invocations may have shared, and `messages` is what they stored.
    pub async fn complete(
        self: &Arc<Self>,
        report: Report,
        of: &Work,
        (run, messages): (&Work, &RunMessages),
        zones: &Zones,
        deadline: Instant,
    ) -> Report {
        if matches!(report.outcome, Outcome::Converged | Outcome::Changed) {
            self.waiting().groups.remove(&of.id);
        }
        match run.follow_up(of, report.outcome, self.clock.unix_seconds()) {
            FollowUp::None => report,
            FollowUp::Expired => {
                Report { message: format!("{}; it has been tried for 24 hours", report.message), ..report }
            }
            FollowUp::Retry(message) => {
                let waits = (report.throttled, report.retry_after);
                let store = || self.defer(run.clone(), message, waits, zones.clone(), deadline);
                let stored = in_time(messages.unfinished.get_or_init(store), deadline).await;
                deferred(report, stored)
            }
            FollowUp::Failure(message) => {
                let text = message.to_text(Some(run.event()));
                let store = || self.store(MessageKind::Failed, text, FAILED_DELAY, deadline);
                let stored = in_time(messages.unfinished.get_or_init(store), deadline).await;
                deferred(report, stored)
            }
            FollowUp::Recheck(_) if self.recheck.is_zero() => report,
            FollowUp::Recheck(message) => {
                let text = message.to_text(Some(run.event()));
                let store = || self.store(MessageKind::Recheck, text, self.recheck, deadline);
                match in_time(messages.recheck.get_or_init(store), deadline).await {
                    Ok(_) => report,
                    Err(error) => Report {
                        is_warning: true,
                        message: format!("{}; no recheck will follow: {error}", report.message),
                        ..report
                    },
                }
            }
        }
    }

    /// Stores an event that cannot be read, before it is acknowledged.
    pub async fn defer_malformed(
        self: &Arc<Self>,
        report: Report,
        event: &Value,
        deadline: Instant,
    ) -> Report {
        let message = RetryMessage::malformed(event, self.clock.unix_seconds()).to_text(None);
        let stored = self.store(MessageKind::Failed, message, FAILED_DELAY, deadline).await;
        deferred(report, stored)
    }

    /// Stores work that a retry will finish, and returns its delay. Where the zone is throttled and a message for the
    /// group is not visible yet, that one is enough: its run starts later than now.
    async fn defer(
        self: &Arc<Self>,
        work: Work,
        message: RetryMessage,
        (throttle, retry_after): (Option<Duration>, Option<Duration>),
        zones: Zones,
        deadline: Instant,
    ) -> Result<Duration, String> {
        let (now, unix_seconds) = (Instant::now(), self.clock.unix_seconds());
        if throttle.is_some()
            && let Some(delay) = self.waiting().covering(&work, unix_seconds, now)
        {
            return Ok(delay);
        }
        let backoff = delay(message.attempt);
        let mut delay = (backoff + self.arm.jitter(backoff / 5)).max(retry_after.unwrap_or_default());
        if let Some(throttle) = throttle.max(self.throttle(&zones)) {
            let turn = self.waiting().turn(&zones, now, now + throttle);
            delay = delay.max(turn - now);
        }
        // In whole seconds, as the service counts them.
        let delay = Duration::from_secs(delay.as_secs() + u64::from(delay.subsec_nanos() > 0));
        let text = message.to_text(Some(work.event()));
        let stored = self.store(MessageKind::Unavailable, text, delay, deadline).await?;
        let pending = Pending {
            evidence: work.evidence,
            since: work.since(unix_seconds),
            attempt: message.attempt,
            visible: now + delay,
        };
        self.waiting().add(work.id, pending, now);
        Ok(stored)
    }

    /// Stores a message, in a task of its own: a caller that hangs up does not end it.
    async fn store(
        self: &Arc<Self>,
        kind: MessageKind,
        text: String,
        delay: Duration,
        deadline: Instant,
    ) -> Result<Duration, String> {
        let this = Arc::clone(self);
        let store = tokio::spawn(async move {
            let text = BASE64_STANDARD.encode(text);
            this.queue.put(&text, delay, deadline).await.map_err(|error| Chain(&error).to_string())?;
            *this.waiting().stored.entry(kind).or_default() += 1;
            Ok(delay)
        });
        store.await.unwrap_or_else(|error| Err(Chain(&error).to_string()))
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Waiting {
    /// How long it is until the message of a group becomes visible that stands for this work as well.
    fn covering(&mut self, work: &Work, unix_seconds: u64, now: Instant) -> Option<Duration> {
        let pending = self.groups.get(&work.id)?;
        let is_enough = pending.evidence >= work.evidence && pending.since <= work.since(unix_seconds);
        (is_enough && pending.visible > now).then(|| pending.visible - now)
    }

    fn add(&mut self, id: ContainerGroupId, pending: Pending, now: Instant) {
        if self.groups.len() >= MOST_GROUPS {
            self.forget(now);
        }
        if self.groups.len() < MOST_GROUPS || self.groups.contains_key(&id) {
            self.groups.insert(id, pending);
        }
    }

    fn forget(&mut self, now: Instant) {
        self.groups.retain(|_, pending| now < pending.visible + REMEMBERED);
        self.zones.retain(|_, turn| now < *turn);
    }

    /// When a group has its turn that waits for its zones: these take so many at a time, and not before they are open.
    fn turn(&mut self, zones: &Zones, now: Instant, opens: Instant) -> Instant {
        let places = || zones.all().map(Zone::key);
        let taken = places().filter_map(|place| self.zones.get(&place).copied()).max();
        let turn = opens.max(taken.unwrap_or(opens)).min(now + LONGEST_SPREAD.max(opens - now));
        for place in places() {
            self.zones.insert(place, turn + SPACING);
        }
        turn
    }
}

/// What was stored, or why nothing was, at a deadline at the latest.
async fn in_time(
    store: impl Future<Output = &Result<Duration, String>>,
    deadline: Instant,
) -> Result<Duration, String> {
    match tokio::time::timeout_at(deadline, store).await {
        Ok(stored) => stored.clone(),
        Err(_) => Err(QueueError::Late.to_string()),
    }
}

/// The report of unfinished work: deferred where it is stored, and otherwise with both errors.
fn deferred(report: Report, stored: Result<Duration, String>) -> Report {
    match stored {
        Ok(delay) => Report {
            outcome: Outcome::Deferred,
            reason: Some(format!("{}: {}", report.outcome, report.message)),
            message: format!("{}; tried again in {} s", report.message, delay.as_secs()),
            deferral: Some(Deferral { outcome: report.outcome, delay }),
            ..report
        },
        Err(error) => {
            let whole = report.error.as_ref().unwrap_or(&report.message);
            Report { error: Some(format!("{whole}; not stored in the retry queue: {error}")), ..report }
        }
    }
}
