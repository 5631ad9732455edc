//! The queues of a storage account, and the actions of people on them.
//!
//! A message is visible or hidden by the simulator's clock. A get hides it for a time and gives it a pop
//! receipt, which changes and deletions require; each get is counted. Messages are returned in the order in
//! which they became visible; the real service promises no order.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Azure, Missing, World};

/// The account of path-style URLs, as in Azurite.
pub(super) const DEFAULT_ACCOUNT: &str = "devstoreaccount1";

/// How a storage account authenticates callers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StorageSettings {
    /// The account whose queues are below `/<account>/`. An account in the host, as in
    /// `<account>.queue.core.windows.net`, can have any name. Default: `devstoreaccount1`.
    pub account: String,
    /// The account's key, in Base64. Default: the well-known one of Azurite.
    pub key: String,
    /// Whether signatures with the key are accepted: SAS and `SharedKey`. Default: yes.
    pub accepts_keys: bool,
    /// Whether tokens of the identity endpoint are accepted. Default: yes.
    pub accepts_tokens: bool,
}

impl Default for StorageSettings {
    fn default() -> Self {
        Self {
            account: DEFAULT_ACCOUNT.to_owned(),
            key: "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
                .to_owned(),
            accepts_keys: true,
            accepts_tokens: true,
        }
    }
}

/// The external view of a message in a queue. Times count from the creation of the simulator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageView {
    /// Its id, which does not change.
    pub id: String,
    /// Its text.
    pub text: String,
    /// When it was put.
    pub inserted: Duration,
    /// When it becomes visible.
    pub visible: Duration,
    /// When it expires; never by default.
    pub expires: Option<Duration>,
    /// How often it was read.
    pub dequeue_count: u64,
}

#[derive(Debug)]
pub(super) struct Message {
    pub(super) view: MessageView,
    pub(super) pop_receipt: String,
}

impl Message {
    pub(super) fn is_visible(&self, now: Duration) -> bool {
        self.view.visible <= now
    }
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    /// By name in lower case, without `x-ms-meta-`.
    pub(super) metadata: BTreeMap<String, String>,
    pub(super) messages: Vec<Message>,
}

impl Queue {
    /// Removes expired messages.
    pub(super) fn expire(&mut self, now: Duration) {
        self.messages.retain(|message| message.view.expires.is_none_or(|expires| expires > now));
    }

    /// The visible messages, in the order in which they became visible.
    pub(super) fn visible(&mut self, now: Duration) -> Vec<&mut Message> {
        let mut visible: Vec<_> = self.messages.iter_mut().filter(|it| it.is_visible(now)).collect();
        visible.sort_by_key(|message| message.view.visible);
        visible
    }
}

/// Account and name of a queue.
pub(super) type QueueKey = (String, String);

/// Actions of people. The queues are those of the account in the settings.
impl Azure {
    /// Creates a queue, unless it exists.
    pub fn create_queue(&self, name: &str) {
        let mut world = self.world();
        let key = world.queue_key(name);
        world.queues.entry(key).or_default();
        world.changed();
    }

    /// Deletes a queue and its messages, if it exists.
    pub fn delete_queue(&self, name: &str) {
        let mut world = self.world();
        let key = world.queue_key(name);
        world.queues.remove(&key);
        world.changed();
    }

    /// Puts a message that never expires into a queue, visible after a delay, and returns its id.
    pub fn put_message(&self, queue: &str, text: &str, delay: Duration) -> Result<String, Missing> {
        let mut world = self.world();
        let (key, now) = (world.queue_key(queue), world.now());
        let message = world.new_message(text.to_owned(), now + delay, None);
        let id = message.view.id.clone();
        let queue = world.queues.get_mut(&key).ok_or_else(|| Missing(format!("the queue '{queue}'")))?;
        queue.messages.push(message);
        world.changed();
        Ok(id)
    }

    /// Removes a message from a queue, if it is there.
    pub fn remove_message(&self, queue: &str, id: &str) {
        let mut world = self.world();
        let key = world.queue_key(queue);
        if let Some(queue) = world.queues.get_mut(&key) {
            queue.messages.retain(|message| message.view.id != id);
        }
        world.changed();
    }

    /// The messages of a queue, visible or not, in the order in which they were put; `None` if the queue does not
    /// exist.
    #[must_use]
    pub fn messages(&self, queue: &str) -> Option<Vec<MessageView>> {
        let mut world = self.world();
        let (key, now) = (world.queue_key(queue), world.now());
        let queue = world.queues.get_mut(&key)?;
        queue.expire(now);
        Some(queue.messages.iter().map(|message| message.view.clone()).collect())
    }

    /// The names of all queues.
    #[must_use]
    pub fn queues(&self) -> Vec<String> {
        let world = self.world();
        let of_account =
            world.queues.keys().filter(|(account, _)| *account == world.settings.storage.account);
        of_account.map(|(_, name)| name.clone()).collect()
    }
}

impl World {
    fn queue_key(&self, name: &str) -> QueueKey {
        (self.settings.storage.account.clone(), name.to_owned())
    }

    pub(super) fn new_message(
        &mut self,
        text: String,
        visible: Duration,
        expires: Option<Duration>,
    ) -> Message {
        let id = self.message_ids.guid();
        let inserted = self.now();
        let view = MessageView { id, text, inserted, visible, expires, dequeue_count: 0 };
        Message { view, pop_receipt: self.pop_receipt() }
    }

    /// A new pop receipt. Like a real one, it contains characters that a client must escape in a query.
    pub(super) fn pop_receipt(&mut self) -> String {
        let guid = self.message_ids.guid();
        let mut parts = guid.split('-');
        let mut part = || parts.next().unwrap_or_default();
        format!("AgAAAAMAAAAAAAAA{}+{}/0gE=", part(), part())
    }
}
