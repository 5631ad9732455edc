//! The log of the requests to Resource Manager: request, time and result.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use http::Method;

/// One request to Resource Manager.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The number of the request, from 1.
    pub sequence: u64,
    /// When the request arrived, since the creation of the simulator.
    pub arrived: Duration,
    /// When its answer was sent. `None` while it is in progress, and if the connection was dropped.
    pub answered: Option<Duration>,
    /// HTTP method.
    pub method: Method,
    /// The path as sent.
    pub path: String,
    /// The query as sent, without the question mark.
    pub query: String,
    /// The `If-Match` header.
    pub if_match: Option<String>,
    /// The `If-None-Match` header.
    pub if_none_match: Option<String>,
    /// HTTP status of the answer, if there is one.
    pub status: Option<u16>,
    /// Whether the request changed anything.
    pub took_effect: bool,
}

/// Keeps the latest calls, and counts all of them.
#[derive(Debug, Default)]
pub(super) struct CallLog {
    calls: VecDeque<Call>,
    sequence: u64,
    counts: BTreeMap<String, u64>,
}

impl CallLog {
    pub(super) fn next_sequence(&mut self) -> u64 {
        self.sequence += 1;
        self.sequence
    }

    pub(super) fn arrive(&mut self, call: Call, kept: usize) {
        *self.counts.entry(call.method.to_string()).or_default() += 1;
        self.calls.push_back(call);
        while self.calls.len() > kept {
            self.calls.pop_front();
        }
    }

    /// Completes a call, unless it was removed from the log meanwhile.
    pub(super) fn complete(&mut self, sequence: u64, complete: impl FnOnce(&mut Call)) {
        if let Some(call) = self.calls.iter_mut().rev().find(|call| call.sequence == sequence) {
            complete(call);
        }
    }

    pub(super) fn all(&self) -> Vec<Call> {
        self.calls.iter().cloned().collect()
    }

    pub(super) fn counts(&self) -> BTreeMap<String, u64> {
        self.counts.clone()
    }

    pub(super) fn clear(&mut self) {
        self.calls.clear();
        self.counts.clear();
    }
}
