//! Writes lines on a separate thread, so that a blocked stdout never delays an event.
//!
//! Lines wait in a bounded queue. Further lines are dropped and counted, and a line reports their number once
//! there is room again.

use std::{
    collections::VecDeque,
    io,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

/// The largest size of the queue in bytes: about ten thousand lines.
const LIMIT: usize = 8 * 1024 * 1024;

/// The queue of lines. Cheap to clone.
#[derive(Clone)]
pub(super) struct Outbox(Arc<OutboxInner>);

#[derive(Default)]
struct OutboxInner {
    state: Mutex<OutboxState>,
    /// Lines were added or written.
    changed: Condvar,
}

#[derive(Default)]
struct OutboxState {
    lines: VecDeque<String>,
    bytes: usize,
    dropped: u64,
    /// Whether lines that are no longer in `lines` are being written.
    is_writing: bool,
}

impl OutboxInner {
    fn state(&self) -> MutexGuard<'_, OutboxState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Outbox {
    /// Starts the thread. `write` gets a line without its line break; `dropped` creates the line that reports
    /// the number of dropped lines.
    pub(super) fn start(
        mut write: impl FnMut(&str) + Send + 'static,
        dropped: fn(u64) -> String,
    ) -> io::Result<Self> {
        let shared = Arc::new(OutboxInner::default());
        let outbox = Self(Arc::clone(&shared));
        thread::Builder::new().name("stdout".to_owned()).spawn(move || {
            loop {
                let (lines, lost) = next(&shared);
                for line in lines {
                    write(&line);
                }
                if lost > 0 {
                    write(&dropped(lost));
                }
                shared.state().is_writing = false;
                shared.changed.notify_all();
            }
        })?;
        Ok(outbox)
    }

    /// Adds a line, or drops it if the queue is full.
    pub(super) fn push(&self, line: &str) {
        let mut state = self.0.state();
        if state.bytes.saturating_add(line.len()) > LIMIT {
            state.dropped = state.dropped.saturating_add(1);
            return;
        }
        state.bytes += line.len();
        state.lines.push_back(line.to_owned());
        drop(state);
        self.0.changed.notify_all();
    }

    /// Waits until all lines are written, up to a time limit.
    pub(super) fn flush(&self, longest: Duration) {
        let end = Instant::now() + longest;
        let mut state = self.0.state();
        while state.is_writing || !state.lines.is_empty() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.0.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// Waits for lines, and takes all of them, with the number of lines that were dropped after them.
fn next(shared: &OutboxInner) -> (VecDeque<String>, u64) {
    let state = shared.state();
    let waited = shared.changed.wait_while(state, |state| state.lines.is_empty() && state.dropped == 0);
    let mut state = waited.unwrap_or_else(PoisonError::into_inner);
    state.is_writing = true;
    state.bytes = 0;
    (std::mem::take(&mut state.lines), std::mem::take(&mut state.dropped))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn lines_are_written_in_order_and_counted_beyond_the_limit() {
        let (written, lines) = mpsc::channel();
        let (open, gate) = mpsc::channel::<()>();
        let (arrived, arrival) = mpsc::channel();
        let write = move |line: &str| {
            arrived.send(()).unwrap();
            gate.recv().unwrap();
            written.send(line.to_owned()).unwrap();
        };
        let outbox = Outbox::start(write, |lost| format!("{lost} lost")).unwrap();
        outbox.push("first");
        arrival.recv().unwrap();
        // The writer holds the first line, and stdout is not read.
        let long = "x".repeat(LIMIT / 4);
        for number in 0..10 {
            outbox.push(&format!("{number}{long}"));
        }
        outbox.flush(Duration::from_millis(10));
        for _ in 0..20 {
            open.send(()).unwrap();
        }
        outbox.flush(Duration::from_mins(1));
        let lines: Vec<_> = lines.try_iter().map(|line| line.chars().take(6).collect::<String>()).collect();
        assert_eq!(lines, ["first", "0xxxxx", "1xxxxx", "2xxxxx", "7 lost"]);
    }
}
