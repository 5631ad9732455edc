//! The journal for the page: events, requests, DNS queries, and the reports of a program that uses the simulator.
//!
//! Nothing is recorded before [`Azure::watch`].

use std::collections::VecDeque;

use serde_json::{Value, json};

use super::{Azure, World};

/// The largest number of kept entries.
const KEPT: usize = 400;

/// The latest entries, numbered in ascending order.
#[derive(Debug, Default)]
pub(super) struct Journal {
    pub(super) is_on: bool,
    entries: VecDeque<(u64, Value)>,
    written: u64,
}

impl Journal {
    /// The entries after this number, oldest first, and the number of the latest one.
    pub(super) fn after(&self, number: u64) -> (Vec<Value>, u64) {
        let later = self.entries.iter().filter(|(written, _)| *written > number);
        (later.map(|(_, entry)| entry.clone()).collect(), self.written)
    }

    /// The number of the latest entry.
    pub(super) fn latest(&self) -> u64 {
        self.written
    }
}

impl Azure {
    /// Starts to record events and the times when names become correct or wrong.
    pub fn watch(&self) {
        let mut world = self.world();
        world.journal.is_on = true;
        world.compare_names();
    }

    /// Records an action of a program that uses the simulator: the delivery of an event, an invocation.
    pub fn report(&self, kind: &str, body: Value) {
        self.world().note(kind, body);
    }
}

impl World {
    /// Adds an entry; `body` is an object.
    pub(super) fn note(&mut self, kind: &str, mut body: Value) {
        if !self.journal.is_on {
            return;
        }
        self.journal.written += 1;
        let number = self.journal.written;
        if let Some(members) = body.as_object_mut() {
            members.insert("number".to_owned(), json!(number));
            members.insert("kind".to_owned(), json!(kind));
            members.insert("at".to_owned(), json!(self.now().as_secs_f64()));
        }
        self.journal.entries.push_back((number, body));
        while self.journal.entries.len() > KEPT {
            self.journal.entries.pop_front();
        }
    }
}
