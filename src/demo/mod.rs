//! The simulator together with the handler, Event Grid, the Functions host's queue trigger, and the timer of the sweep,
//! in one process.
//!
//! The handler is the real one, with the real router and the real clients ([`Stage`]). Its invocations are reported to
//! the page of the simulator. The settings of the process are ignored, so that a demo never connects to the real Azure.

mod event_grid;

#[cfg(test)]
mod tests;

use std::time::Duration;

use azure_simulator::{Azure, Missing, Seed};
use serde_json::{Map, Value, json};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use self::event_grid::EventGrid;
use crate::{
    config::SettingsError,
    environment,
    replay::stage::{Lines, Stage},
    telemetry::Telemetry,
};

/// The period at which events, log lines and requests of the page are processed.
const TICK: Duration = Duration::from_millis(100);
/// The period of the sweep. The shipped infrastructure runs it every 15 minutes; a demo needs a shorter period.
const SWEEP: Duration = Duration::from_mins(2);
const QUEUE: &str = "aci-dns-retry";

/// Why a demo cannot start.
#[derive(Debug, thiserror::Error)]
pub enum DemoError {
    /// The settings of the demo are invalid, which a test rules out.
    #[error("the settings are invalid")]
    Settings(#[from] SettingsError),
    /// The simulator cannot be seeded.
    #[error("cannot seed the simulator")]
    Seed(#[from] Missing),
}

/// A seeded simulator and a handler, before they run.
#[derive(Debug)]
pub struct Demo {
    stage: Stage,
    lines: Lines,
}

impl Demo {
    /// Seeds a simulator with this number of container groups, and creates a handler for it. `origin` is the origin of
    /// the simulator's URLs, and `lines` receives the log lines of the handler ([`Lines::subscriber`]).
    pub fn new(azure: &Azure, groups: usize, origin: &str, lines: Lines) -> Result<Self, DemoError> {
        azure.watch();
        let seed = Seed { groups, ..Seed::default() };
        azure.seed(&seed)?;
        let zones = json!({ "rg-spoke*": {
            "forwardZone": seed.forward_zone,
            "reverseZones": seed.reverse_zones,
            "zoneResourceGroup": seed.zone_resource_group,
        }});
        let queue = azure.queue_url(origin, QUEUE);
        let lookup = |name: &str| match name {
            "ACI_DNS_ZONES" => Some(zones.to_string()),
            "ACI_DNS_SUBSCRIPTIONS" => Some(seed.subscription.clone()),
            "ACI_DNS_RETRY_QUEUE" => Some(queue.clone()),
            "ACI_DNS_SWEEP" => Some("repair".to_owned()),
            _ => None,
        };
        let settings = environment::settings(lookup, Vec::new())?;
        let stage = Stage::observed(settings, azure.clone(), &Telemetry::default());
        Ok(Self { stage, lines })
    }

    /// Runs handler, Event Grid, queue trigger and sweep until the future is dropped.
    pub async fn run(self) {
        let Self { stage, lines } = self;
        let azure = stage.azure.clone();
        let _host = stage.start_queue_host();
        let mut event_grid = EventGrid::new(stage.clone());
        let mut sweeps = JoinSet::new();
        let mut next_sweep = Instant::now() + SWEEP;
        loop {
            event_grid.deliver_due();
            for line in lines.take() {
                if let Some(invocation) = invocation(&line) {
                    azure.report("invocation", invocation);
                }
            }
            if azure.take_sweep_request() || Instant::now() >= next_sweep {
                next_sweep = Instant::now() + SWEEP;
                let stage = stage.clone();
                sweeps.spawn(async move { stage.sweep().await });
            }
            while sweeps.try_join_next().is_some() {}
            sleep(TICK).await;
        }
    }
}

/// The fields of a log line that the page shows; `None` if the line is not about an invocation.
fn invocation(line: &Map<String, Value>) -> Option<Value> {
    let outcome = line.get("outcome")?;
    let group = line.get("container_group.id").and_then(Value::as_str).unwrap_or_default();
    let mut segments = group.rsplit('/');
    let (name, resource_group) = (segments.next().unwrap_or_default(), segments.nth(3).unwrap_or_default());
    let field = |name: &str| line.get(name).cloned().unwrap_or_default();
    Some(json!({
        "function": field("function.name"),
        "outcome": outcome,
        "group": if name.is_empty() { String::new() } else { format!("{resource_group}/{name}") },
        "event": field("event.type"),
        "plan": field("plan"),
        "drift": field("drift.kinds"),
        "message": field("message"),
        "error": field("error"),
        "reason": field("reason"),
        "attempt": field("retry.attempt"),
        "requests": field("arm.calls"),
        "milliseconds": field("duration_ms"),
    }))
}
