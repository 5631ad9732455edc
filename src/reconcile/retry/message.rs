//! The messages of the retry queue, and the work of an invocation of the reconciler.
//!
//! A message carries an event, so that a retry runs the same code as the event. Its content is not trusted as a state of
//! the group: it determines which group to read again, how much a 404 proves, and the next delay.
//!
//! Pure. [`Work::follow_up`] decides which message an invocation stores; [`crate::reconcile::retry`] stores it and
//! chooses its delay.

use std::{cmp::Reverse, sync::Arc, time::Duration};

use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

pub use crate::domain::text::rfc3339;
use crate::{
    decide::{Evidence, report::Outcome},
    domain::{event::Event, resource_id::ContainerGroupId},
};

/// The only version of a message so far.
const VERSION: u64 = 1;

/// The longest message, in bytes before Base64: the service takes 64 KiB of text.
const LONGEST_MESSAGE: usize = 48 * 1024;

/// The largest part that is kept of an event that cannot be read, in bytes.
const LONGEST_MALFORMED: usize = 8 * 1024;

/// How many JSON strings may enclose a message: the host encodes it twice.
const ENCODINGS_LIMIT: usize = 4;

/// The delay of the first retry; each further one is twice as long.
const FIRST_DELAY: Duration = Duration::from_secs(15);

/// The longest delay of a retry, before its jitter.
const LONGEST_DELAY: Duration = Duration::from_mins(15);

/// The delay of work that needs a person.
pub const FAILED_DELAY: Duration = Duration::from_secs(30);

/// The longest time for which work is deferred.
pub const MOST_AGE: Duration = Duration::from_hours(24);

/// The largest number of rechecks after work that succeeded.
const MOST_RECHECKS: u64 = 5;

/// The age of an event from which a 404 is evidence of a deletion: by then, a new resource is visible in every region.
const OLD_EVENT: Duration = Duration::from_mins(15);

/// A message of the retry queue.
#[derive(Clone, Debug, PartialEq)]
pub struct RetryMessage {
    /// The event as received, or the fields of it that are read; a string if the event cannot be read.
    pub event: Value,
    /// When the first message of this work was stored, in Unix seconds.
    pub since: Option<u64>,
    /// The number of the retry that it requests, from 1.
    pub attempt: u64,
    /// Whether it requests a recheck of work that succeeded.
    pub is_recheck: bool,
    /// The number of rechecks so far, including this one.
    pub rechecks: u64,
}

/// Why a message cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum MessageError {
    /// Text that is not JSON.
    #[error("the message is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// JSON that is not an object.
    #[error("the message is not a JSON object")]
    NotAnObject,
    /// A message of another version of this program.
    #[error("the version of the message is {0}, but this program supports only version {VERSION}")]
    Version(Value),
    /// A member is missing or has the wrong type.
    #[error("the member {0:?} of the message is missing or has the wrong type")]
    Member(&'static str),
}

impl RetryMessage {
    /// Reads a message in the form that the host sends: JSON in a JSON string in a JSON string. Ignores unknown members.
    pub fn read(given: &Value) -> Result<Self, MessageError> {
        let mut value = given.clone();
        for _ in 0..ENCODINGS_LIMIT {
            let Value::String(text) = &value else { break };
            value = serde_json::from_str(text).map_err(MessageError::NotJson)?;
        }
        let Value::Object(mut members) = value else { return Err(MessageError::NotAnObject) };
        let version = members.remove("version").unwrap_or_default();
        if version.as_u64() != Some(VERSION) {
            return Err(MessageError::Version(version));
        }
        let event = members.remove("event").ok_or(MessageError::Member("event"))?;
        let number = |name: &'static str, default| match members.get(name) {
            None => Ok(default),
            Some(value) => value.as_u64().ok_or(MessageError::Member(name)),
        };
        let is_recheck = match members.get("recheck") {
            None => false,
            Some(value) => value.as_bool().ok_or(MessageError::Member("recheck"))?,
        };
        let since = members.get("since").and_then(Value::as_str).and_then(unix_seconds);
        Ok(Self {
            event,
            since,
            attempt: number("attempt", 1)?,
            is_recheck,
            rechecks: number("rechecks", 0)?,
        })
    }

    /// The message of an event that cannot be read.
    #[must_use]
    pub fn malformed(event: &Value, now: u64) -> Self {
        let text = match event {
            Value::String(text) => text.clone(),
            event => event.to_string(),
        };
        let event = Value::String(cut(&text, LONGEST_MALFORMED).to_owned());
        Self { event, since: Some(now), attempt: 1, is_recheck: false, rechecks: 0 }
    }

    /// The JSON of the message. If it would be too long, the event is reduced to the fields that are read.
    #[must_use]
    pub fn to_text(&self, event: Option<&Event>) -> String {
        let text = self.json(&self.event);
        if text.len() <= LONGEST_MESSAGE {
            return text;
        }
        match (event, &self.event) {
            (Some(event), _) => self.json(&event.essentials()),
            // In JSON, control characters are six times as long.
            (None, Value::String(text)) => self.json(&Value::from(cut(text, LONGEST_MALFORMED / 2))),
            (None, _) => self.json(&Value::Null),
        }
    }

    fn json(&self, event: &Value) -> String {
        let Self { since, attempt, is_recheck, rechecks, .. } = self;
        json!({
            "version": VERSION, "event": event, "since": since.and_then(rfc3339), "attempt": attempt,
            "recheck": is_recheck, "rechecks": rechecks,
        })
        .to_string()
    }
}

/// The longest prefix of a text with at most this many bytes.
fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}

fn unix_seconds(text: &str) -> Option<u64> {
    u64::try_from(OffsetDateTime::parse(text.trim(), &Rfc3339).ok()?.unix_timestamp()).ok()
}

/// The delay of a retry, from 1, before its jitter.
#[must_use]
pub fn delay(attempt: u64) -> Duration {
    let doublings = u32::try_from(attempt.saturating_sub(1).min(10)).unwrap_or(10);
    (FIRST_DELAY * 2_u32.pow(doublings)).min(LONGEST_DELAY)
}

/// How much a 404 proves after an event, or after a message that carries it.
#[must_use]
pub fn evidence(event: &Event, message: Option<&RetryMessage>, now: u64) -> Evidence {
    let is_recheck = message.is_some_and(|message| message.is_recheck || message.rechecks > 0);
    if event.is_delete() && !is_recheck {
        return Evidence::Deletion;
    }
    let since = || message.and_then(|message| message.since);
    let age = event.age(now).or_else(|| now.checked_sub(since()?).map(Duration::from_secs));
    if age.is_some_and(|age| age > OLD_EVENT) {
        Evidence::Deletion
    } else if event.is_delete() || event.is_unsuccessful() || is_recheck {
        Evidence::Absence
    } else {
        Evidence::None
    }
}

/// The work of an invocation: an event of a container group, or a message that carries one.
#[derive(Clone, Debug)]
pub struct Work {
    /// The container group.
    pub id: ContainerGroupId,
    /// How much a 404 proves.
    pub evidence: Evidence,
    /// Whether it comes from a message.
    pub is_retry: bool,
    carried: Arc<Carried>,
    /// When the first message of this work was stored; `None` for an event and for a recheck.
    since: Option<u64>,
    /// The number of the retry; 0 for an event and for a recheck.
    attempt: u64,
    /// The rechecks of this event.
    rechecks: u64,
    /// The fewest rechecks of all work that shares a run.
    fewest_rechecks: u64,
}

/// The message that an invocation stores before it answers.
#[derive(Clone, Debug, PartialEq)]
pub enum FollowUp {
    /// No message: the invocation returns its outcome.
    None,
    /// No message: the work is too old to be deferred again, so it fails.
    Expired,
    /// Unfinished work: a retry follows. The invocation fails if this message is not stored.
    Retry(RetryMessage),
    /// Work that needs a person: its retry is a failed invocation. The invocation fails if this message is not stored.
    Failure(RetryMessage),
    /// Work that succeeded: a recheck follows. If this message is not stored, the invocation reports a warning.
    Recheck(RetryMessage),
}

/// The event of some work.
#[derive(Debug)]
struct Carried {
    event: Event,
    /// The event as received.
    given: Value,
}

impl Work {
    /// The work of an event.
    #[must_use]
    pub fn of_event(id: ContainerGroupId, event: Event, given: Value, now: u64) -> Self {
        let evidence = evidence(&event, None, now);
        let carried = Arc::new(Carried { event, given });
        Self {
            id,
            evidence,
            is_retry: false,
            carried,
            since: None,
            attempt: 0,
            rechecks: 0,
            fewest_rechecks: 0,
        }
    }

    /// The work of a message.
    #[must_use]
    pub fn of_message(id: ContainerGroupId, event: Event, message: RetryMessage, now: u64) -> Self {
        let evidence = evidence(&event, Some(&message), now);
        let is_recheck = message.is_recheck;
        let attempt = if is_recheck { 0 } else { message.attempt };
        let since = message.since.filter(|_| !is_recheck);
        let rechecks = message.rechecks;
        let carried = Arc::new(Carried { event, given: message.event });
        Self { id, evidence, is_retry: true, carried, since, attempt, rechecks, fewest_rechecks: rechecks }
    }

    /// Merges this and other work into one message: the event with the strongest evidence, the time of the first
    /// message, and the fewest rechecks.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        let since = self.since.into_iter().chain(other.since).min();
        let attempt = self.attempt.max(other.attempt);
        let fewest_rechecks = self.fewest_rechecks.min(other.fewest_rechecks);
        let strength = |work: &Self| (work.evidence, Reverse(work.rechecks));
        let strongest = if strength(&other) > strength(&self) { other } else { self };
        Self { since, attempt, fewest_rechecks, ..strongest }
    }

    /// When the first message of this work was stored; now if there is none.
    #[must_use]
    pub fn since(&self, now: u64) -> u64 {
        self.since.unwrap_or(now)
    }

    /// Whether it comes from the message of unfinished work with this start and attempt.
    #[must_use]
    pub fn is_of_message(&self, since: u64, attempt: u64) -> bool {
        self.is_retry && self.since == Some(since) && self.attempt == attempt
    }

    /// Whether this work is too old to be deferred again.
    #[must_use]
    pub fn is_expired(&self, now: u64) -> bool {
        self.since.is_some_and(|since| now.saturating_sub(since) > MOST_AGE.as_secs())
    }

    /// The parsed event.
    #[must_use]
    pub fn event(&self) -> &Event {
        &self.carried.event
    }

    /// The message that defers this work.
    #[must_use]
    pub fn deferral(&self, now: u64) -> RetryMessage {
        RetryMessage {
            event: self.carried.given.clone(),
            since: Some(self.since(now)),
            attempt: self.attempt + 1,
            is_recheck: false,
            rechecks: self.rechecks,
        }
    }

    /// The message that requests a recheck after work that succeeded; `None` if no recheck is due. The first recheck is
    /// always due, a later one only after a write. The count starts from the work with the fewest rechecks, because one
    /// recheck is enough for all work that shared a run.
    #[must_use]
    pub fn recheck(&self, has_written: bool, now: u64) -> Option<RetryMessage> {
        let before = self.fewest_rechecks;
        let is_due = before == 0 || has_written;
        (is_due && before < MOST_RECHECKS).then(|| RetryMessage {
            event: self.carried.given.clone(),
            since: Some(now),
            attempt: 1,
            is_recheck: true,
            rechecks: before + 1,
        })
    }

    /// The message that an invocation stores before it answers. `self` is the merged work of the run, and `of` is the
    /// work of this invocation.
    #[must_use]
    pub fn follow_up(&self, of: &Self, outcome: Outcome, now: u64) -> FollowUp {
        match outcome {
            Outcome::Unavailable if of.is_expired(now) => FollowUp::Expired,
            Outcome::Unavailable => FollowUp::Retry(self.deferral(now)),
            // The message of a failed retry stays in the queue, and the host counts its failures.
            Outcome::Failed | Outcome::Conflict if of.is_retry => FollowUp::None,
            Outcome::Failed | Outcome::Conflict => FollowUp::Failure(self.deferral(now)),
            Outcome::Converged | Outcome::Changed => {
                self.recheck(outcome == Outcome::Changed, now).map_or(FollowUp::None, FollowUp::Recheck)
            }
            Outcome::Ignored
            | Outcome::Unmanaged
            | Outcome::Reported
            | Outcome::Planned
            | Outcome::Deferred
            | Outcome::Malformed => FollowUp::None,
        }
    }
}

#[cfg(test)]
mod tests;
