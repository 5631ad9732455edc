//! The retry queue: unfinished work is stored before its event is acknowledged, and a recheck follows work that
//! succeeded.
//!
//! The storage queue does the scheduling. A message becomes visible after its delay, and the Functions host passes it to
//! `function_aci_retry`, which runs the same code as the event. An error that needs a person is a failed invocation: the
//! host makes its message visible again, and finally moves it to the poison queue.
//!
//! The state in memory only determines delays and avoids duplicate messages: for each throttled zone, the time of the
//! next free turn, and for each group, its message that is not visible yet. If the state is lost, only additional
//! requests result.
//!
//! Deliberately absent: waiting for a delay, and decisions about DNS.

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

/// The time before the deadline of an invocation that is reserved for storing a message.
const STORE_TIME: Duration = Duration::from_secs(2);

/// The time between two messages for a throttled zone. Operators report that Private DNS takes 60 writes of a kind in a
/// minute and zone, and 200 reads, which are those of as many passes in three processes.
const SPACING: Duration = Duration::from_secs(1);

/// The longest delay that results from spreading messages over a throttled zone.
const LONGEST_SPREAD: Duration = Duration::from_mins(15);

/// How long work counts as unfinished after its message became visible, if the message does not reach this process.
const REMEMBERED: Duration = Duration::from_mins(5);

/// The largest number of groups with a message that are kept in memory.
const MOST_GROUPS: usize = 10_000;

/// The retry queue and the state of this process.
#[derive(Debug)]
pub struct RetryQueue {
    queue: StorageQueue,
    arm: Arm,
    clock: Clock,
    recheck: Duration,
    waiting: Mutex<Waiting>,
}

/// The delayed work.
#[derive(Debug, Default)]
struct Waiting {
    /// By zone: the time of the next free turn.
    zones: HashMap<ZoneKey, Instant>,
    /// By group: the unfinished work of the latest message.
    groups: HashMap<ContainerGroupId, Pending>,
    /// How many messages were stored.
    stored: BTreeMap<MessageKind, u64>,
}

/// Unfinished work with a message in the queue.
#[derive(Clone, Copy, Debug)]
struct Pending {
    evidence: Evidence,
    since: u64,
    /// The number of the retry that the message requests.
    attempt: u64,
    /// When the message becomes visible.
    visible: Instant,
}

/// The unfinished work that a process knows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetryMetrics {
    /// How many messages it stored, by kind.
    pub stored: BTreeMap<MessageKind, u64>,
    /// The age of the oldest unfinished work that it saw recently.
    pub oldest: Option<Duration>,
}

/// The messages of one run, shared by all invocations of the run.
#[derive(Debug, Default)]
pub struct RunMessages {
    unfinished: OnceCell<Result<Duration, String>>,
    recheck: OnceCell<Result<Duration, String>>,
}

impl RetryQueue {
    /// The queue of the settings; `None` if they contain no queue.
    ///
    /// # Panics
    ///
    /// Never: the settings accept only URLs that the client accepts.
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

    /// The part of a deadline that is available to the run.
    #[must_use]
    pub fn time_to_run(deadline: Duration) -> Duration {
        deadline.saturating_sub(STORE_TIME.min(deadline / 2))
    }

    /// How long a group is not tried because one of its zones is throttled.
    #[must_use]
    pub fn throttle(&self, zones: &Zones) -> Option<Duration> {
        let opens = zones.all().filter_map(|zone| self.arm.throttled_until(zone)).max()?;
        let rest = opens.saturating_duration_since(Instant::now());
        (!rest.is_zero()).then_some(rest)
    }

    /// Notes that a message arrived, possibly early or repeatedly. From now on it covers no other work, because the host
    /// deletes it after its retry is acknowledged.
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

    /// The unfinished work that this process knows.
    #[must_use]
    pub fn metrics(&self) -> RetryMetrics {
        let (now, unix_seconds) = (Instant::now(), self.clock.unix_seconds());
        let mut waiting = self.waiting();
        waiting.forget(now);
        let oldest = waiting.groups.values().map(|pending| pending.since).min();
        let oldest = oldest.map(|since| Duration::from_secs(unix_seconds.saturating_sub(since)));
        RetryMetrics { stored: waiting.stored.clone(), oldest }
    }

    /// Completes an invocation: stores the message that its outcome requires, and adds this to its report. `run` is the
    /// work of the whole run, which other invocations may share, and `messages` are the messages that they stored.
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

    /// The delay of a retry in whole seconds, with its jitter, and at least this long.
    pub(crate) fn backoff(&self, attempt: u64, least: Duration) -> Duration {
        let backoff = delay(attempt);
        whole_seconds((backoff + self.arm.jitter(backoff / 5)).max(least))
    }

    /// Stores work for a retry, and returns its delay. If a zone is throttled and the group has a message that is not
    /// visible yet, no further message is needed, because the run of that message starts later than now.
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
        let mut delay = self.backoff(message.attempt, retry_after.unwrap_or_default());
        if let Some(throttle) = throttle.max(self.throttle(&zones)) {
            let turn = self.waiting().turn(&zones, now, now + throttle);
            delay = delay.max(turn - now);
        }
        let delay = whole_seconds(delay);
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

    /// Stores a message, in a task of its own, so that a caller that disconnects does not cancel it.
    pub(crate) async fn store(
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
    /// The time until the visibility of a message of the group that covers this work as well.
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

    /// The turn of a group that waits for its zones: not before the throttle ends, and spaced from other groups.
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

/// The result of storing a message; an error after the deadline.
async fn in_time(
    store: impl Future<Output = &Result<Duration, String>>,
    deadline: Instant,
) -> Result<Duration, String> {
    match tokio::time::timeout_at(deadline, store).await {
        Ok(stored) => stored.clone(),
        Err(_) => Err(QueueError::Late.to_string()),
    }
}

/// In whole seconds, as the service counts them.
fn whole_seconds(delay: Duration) -> Duration {
    Duration::from_secs(delay.as_secs() + u64::from(delay.subsec_nanos() > 0))
}

/// The report of unfinished work: deferred if it is stored, and otherwise with both errors.
pub(crate) fn deferred(report: Report, stored: Result<Duration, String>) -> Report {
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
