//! Simulates Event Grid: delivers each event to each subscribed function, and retries until the function succeeds.
//!
//! An Azure Functions destination answers 202 for a success and 500 for every failure, so Event Grid does not
//! distinguish failures. The schedule is that of
//! <https://learn.microsoft.com/azure/event-grid/delivery-and-retry#retry-schedule>, without its randomness. Event Grid
//! stops retrying after 30 attempts or 24 hours.
//!
//! Deliberately absent: batches, dead letters, and the delays after a destination fails for all events.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::{task::JoinSet, time::Instant};

use crate::replay::stage::{RECONCILE, Stage, TRACK_DRIFT};

/// How long Event Grid waits after each failure; the last value repeats.
const SCHEDULE: [Duration; 10] = [
    Duration::from_secs(10),
    Duration::from_secs(30),
    Duration::from_mins(1),
    Duration::from_mins(5),
    Duration::from_mins(10),
    Duration::from_mins(30),
    Duration::from_hours(1),
    Duration::from_hours(3),
    Duration::from_hours(6),
    Duration::from_hours(12),
];
const MOST_ATTEMPTS: usize = 30;
const LIFETIME: Duration = Duration::from_hours(24);
/// How long Event Grid waits for an answer.
const ANSWER_WAIT: Duration = Duration::from_secs(30);

/// The delivery of an event to a function.
#[derive(Debug)]
struct Delivery {
    event: Value,
    function: &'static str,
    published: Instant,
    due: Instant,
    attempts: usize,
}

/// The deliveries that wait for their next attempt, and those in progress.
#[derive(Debug)]
pub(super) struct EventGrid {
    stage: Stage,
    waiting: Vec<Delivery>,
    running: JoinSet<(Delivery, bool)>,
}

impl EventGrid {
    pub(super) fn new(stage: Stage) -> Self {
        Self { stage, waiting: Vec::new(), running: JoinSet::new() }
    }

    /// Takes new events, starts due deliveries, and schedules failed ones.
    pub(super) fn deliver_due(&mut self) {
        let now = Instant::now();
        while let Some(ended) = self.running.try_join_next() {
            if let Ok((delivery, is_acknowledged)) = ended {
                self.end(delivery, is_acknowledged, now);
            }
        }
        for event in self.stage.azure.take_events() {
            for function in subscribers(&event) {
                let event = event.clone();
                self.waiting.push(Delivery { event, function, published: now, due: now, attempts: 0 });
            }
        }
        for mut delivery in self.waiting.extract_if(.., |delivery| delivery.due <= now) {
            let stage = self.stage.clone();
            delivery.attempts += 1;
            self.running.spawn(async move {
                let invoked =
                    tokio::time::timeout(ANSWER_WAIT, stage.invoke(delivery.function, &delivery.event)).await;
                let is_acknowledged = invoked.is_ok_and(|answer| (200..300).contains(&answer.status));
                (delivery, is_acknowledged)
            });
        }
    }

    fn end(&mut self, mut delivery: Delivery, is_acknowledged: bool, now: Instant) {
        let pause = SCHEDULE
            .get(delivery.attempts.saturating_sub(1))
            .or(SCHEDULE.last())
            .copied()
            .unwrap_or_default();
        let is_left = delivery.attempts < MOST_ATTEMPTS && now + pause < delivery.published + LIFETIME;
        let text = |name: &str| delivery.event.get(name).cloned().unwrap_or_default();
        let report = json!({
            "id": text("id"),
            "type": text("eventType"),
            "subject": text("subject"),
            "function": delivery.function,
            "attempt": delivery.attempts,
            "acknowledged": is_acknowledged,
            "nextSeconds": (!is_acknowledged && is_left).then_some(pause.as_secs()),
        });
        self.stage.azure.report("delivery", report);
        if !is_acknowledged && is_left {
            delivery.due = now + pause;
            self.waiting.push(delivery);
        }
    }
}

/// The functions that subscribe to an event: after a delete event, the drift tracker has nothing to compare.
fn subscribers(event: &Value) -> Vec<&'static str> {
    let kind = event.get("eventType").and_then(Value::as_str).unwrap_or_default();
    if kind.contains("Delete") { vec![RECONCILE] } else { vec![RECONCILE, TRACK_DRIFT] }
}
