//! What an invocation works for: a push, or a message of the retry queue that carries one.

use time::OffsetDateTime;

use super::push::{BadMember, Push};
use crate::reconcile::retry::message::{MOST_AGE, RetryMessage};

/// The member of a message that carries a push.
pub const PUSH: &str = "push";

/// A push, and how often it was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushWork {
    /// The push.
    pub push: Push,
    /// Whether a message asked for it.
    pub is_retry: bool,
    /// Which retry it is; 0 for the push itself.
    pub attempt: u64,
    /// When its first message was stored, in Unix seconds.
    pub since: Option<u64>,
}

impl PushWork {
    /// The work of a push that arrived.
    #[must_use]
    pub fn of_push(push: Push) -> Self {
        Self { push, is_retry: false, attempt: 0, since: None }
    }

    /// The work of a message.
    pub fn of_message(message: &RetryMessage, now: OffsetDateTime) -> Result<Self, BadMember> {
        let push = Push::of_json(&message.event, now)?;
        Ok(Self { push, is_retry: true, attempt: message.attempt, since: message.since })
    }

    /// Whether it is too old to be deferred again.
    #[must_use]
    pub fn is_expired(&self, now: u64) -> bool {
        self.since.is_some_and(|since| now.saturating_sub(since) > MOST_AGE.as_secs())
    }

    /// The same work after a group was updated: its attempts start again, so that the groups of a service follow each
    /// other without growing delays.
    #[must_use]
    pub fn progressed(self) -> Self {
        Self { attempt: 0, ..self }
    }

    /// The text of the message with which it is deferred.
    #[must_use]
    pub fn successor(&self, now: u64) -> String {
        let message = RetryMessage {
            event: self.push.to_json(),
            since: Some(self.since.unwrap_or(now)),
            attempt: self.attempt + 1,
            is_recheck: false,
            rechecks: 0,
        };
        message.to_text_as(PUSH, None)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::images::push::moment;

    #[test]
    fn a_message_has_push_in_place_of_event_and_counts_its_attempts() {
        let now = moment("2026-01-01T00:00:10Z").unwrap();
        let push = json!({"id": null, "registry": "demo.azurecr.io", "repository": "app", "tag": "v1",
            "digest": null, "time": "2026-01-01T00:00:00Z"});
        let work = PushWork::of_push(Push::of_json(&push, now).unwrap());
        let text = work.successor(1_767_225_610);
        let expected = json!({"version": 1, "push": push, "since": "2026-01-01T00:00:10Z", "attempt": 1,
            "recheck": false, "rechecks": 0});
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
        let message = RetryMessage::read_as(PUSH, &Value::String(text)).unwrap();
        let read = PushWork::of_message(&message, now).unwrap();
        let since = Some(1_767_225_610);
        assert_eq!(read, PushWork { is_retry: true, attempt: 1, since, ..work.clone() });
        assert!(!read.is_expired(1_767_225_610 + 24 * 3600) && read.is_expired(1_767_225_611 + 24 * 3600));
        let progressed: Value =
            serde_json::from_str(&read.clone().progressed().successor(1_767_300_000)).unwrap();
        assert_eq!(
            (&progressed["attempt"], &progressed["since"]),
            (&json!(1), &json!("2026-01-01T00:00:10Z"))
        );
        let later: Value = serde_json::from_str(&read.successor(1_767_300_000)).unwrap();
        assert_eq!((&later["attempt"], &later["since"]), (&json!(2), &json!("2026-01-01T00:00:10Z")));
        assert!(
            RetryMessage::read(&Value::String(work.successor(0))).is_err(),
            "it is no message of an event"
        );
    }
}
