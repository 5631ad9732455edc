//! The poison queue: the messages that the Functions host stopped retrying. A person has to repair their causes.
//!
//! A poison queue that does not exist yet is empty. Messages are moved unchanged, even if they are not Base64. Each
//! message is copied before it is deleted, so that after an interruption it is in both queues rather than in none.

use std::time::Duration;

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use crate::{
    azure::{
        http_transport::HttpTransport,
        storage_queue::{QueueError, StorageQueue, StoredMessage},
        tokens::Tokens,
    },
    domain::{
        event::{self, EventKind, Given},
        text::printable,
    },
    reconcile::retry::message::{RetryMessage, rfc3339},
};

/// The timeout for copying one message.
const COPY_TIME: Duration = Duration::from_secs(30);

/// The largest part that is shown of a message that cannot be read, in characters.
const SHOWN_CHARACTERS: usize = 200;

/// The retry queue and its poison queue.
#[derive(Debug)]
pub struct PoisonQueue {
    retry: StorageQueue,
    poison: StorageQueue,
}

/// The content of the poison queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Poisoned {
    /// The approximate number of messages.
    pub count: u64,
    /// The first messages; the service returns 32 at most.
    pub messages: Vec<StoredMessage>,
}

impl PoisonQueue {
    /// The poison queue of a retry queue.
    pub fn new(
        retry_queue: &Url,
        http_transport: &HttpTransport,
        tokens: &Tokens,
    ) -> Result<Self, QueueError> {
        let mut poison = retry_queue.clone();
        poison.set_path(&format!("{}-poison", retry_queue.path().trim_end_matches('/')));
        Ok(Self {
            retry: StorageQueue::new(retry_queue.clone(), http_transport.clone(), tokens.clone())?,
            poison: StorageQueue::new(poison, http_transport.clone(), tokens.clone())?,
        })
    }

    /// The messages. They stay in the queue.
    pub async fn list(&self) -> Result<Poisoned, QueueError> {
        match self.poison.count().await? {
            None => Ok(Poisoned::default()),
            Some(count) => {
                let messages = self.poison.peek().await?;
                let shown = u64::try_from(messages.len()).unwrap_or(u64::MAX);
                Ok(Poisoned { count: count.max(shown), messages })
            }
        }
    }

    /// Moves all messages back, and returns their number.
    pub async fn redrive(&self) -> Result<u64, QueueError> {
        let mut moved = 0;
        if self.poison.count().await?.is_none() {
            return Ok(moved);
        }
        loop {
            let messages = self.poison.receive().await?;
            if messages.is_empty() {
                return Ok(moved);
            }
            for message in messages {
                self.retry.put(&message.text, Duration::ZERO, Instant::now() + COPY_TIME).await?;
                self.poison.delete(&message).await?;
                moved += 1;
            }
        }
    }
}

/// A message on one line.
#[must_use]
pub fn line(message: &StoredMessage) -> String {
    let Some((read, event)) = read(message) else {
        let text: String = message.text.chars().take(SHOWN_CHARACTERS).collect();
        return format!("not readable: {}", printable(&text));
    };
    let since = read.since.and_then(rfc3339).unwrap_or_else(|| "-".to_owned());
    let what = match event {
        Some(event) => {
            let subject = match &event.kind {
                EventKind::Ours(id) => id.to_string(),
                EventKind::Ignored(reason) => reason.to_string(),
            };
            format!("{} {subject}", event.event_type)
        }
        None => format!(
            "not an event: {}",
            read.event.to_string().chars().take(SHOWN_CHARACTERS).collect::<String>()
        ),
    };
    format!("{since} attempt {} {}", read.attempt, printable(&what))
}

/// A message as JSON.
#[must_use]
pub fn json(message: &StoredMessage) -> Value {
    let decoded = BASE64_STANDARD.decode(&message.text).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let content = decoded.map(|text| serde_json::from_str(&text).unwrap_or(Value::String(text)));
    json!({"id": message.id, "text": message.text, "content": content})
}

fn read(message: &StoredMessage) -> Option<(RetryMessage, Option<event::Event>)> {
    let text = String::from_utf8(BASE64_STANDARD.decode(&message.text).ok()?).ok()?;
    let text = Value::String(text);
    // The app of image updates has pushes in place of events.
    let read = RetryMessage::read(&text).or_else(|_| RetryMessage::read_as("push", &text)).ok()?;
    let event = event::read_given(read.event.clone()).pop().and_then(|Given { event, .. }| event.ok());
    Some((read, event))
}
