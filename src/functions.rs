//! The three functions, wired: what the Functions host calls, and what answers.
//!
//! One wiring, used by `serve`, by the command line, by the replay and by every test, so that what is tested is what
//! runs.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum::Router;
use tokio::time::Instant;

use crate::{
    arm::Arm,
    config::Settings,
    decide::Evidence,
    drift::DriftTracker,
    event::{Event, Kind},
    host,
    reconcile::{Clock, Reconciler},
    report::Report,
    resource_id::ContainerGroupId,
    sweep::Sweeper,
    telemetry::{Invocation, Telemetry},
};

/// The parts of the handler, on one client of Resource Manager.
#[derive(Clone, Debug)]
pub struct Functions {
    /// The only writer.
    pub reconciler: Arc<Reconciler>,
    /// What compares one group.
    pub tracker: Arc<DriftTracker>,
    /// What looks at all of them.
    pub sweeper: Arc<Sweeper>,
    clock: Clock,
}

impl Functions {
    /// Puts the parts together.
    #[must_use]
    pub fn new(settings: Settings, arm: Arm, clock: Clock) -> Self {
        let settings = Arc::new(settings);
        let tracker = Arc::new(DriftTracker::new(Arc::clone(&settings), arm.clone(), clock.clone()));
        let reconciler = Reconciler::new(Arc::clone(&settings), arm.clone(), clock.clone());
        let sweeper = Arc::new(Sweeper::new(settings, arm, clock.clone(), Arc::clone(&reconciler)));
        Self { reconciler, tracker, sweeper, clock }
    }

    /// The routes of all functions.
    pub fn router(&self, telemetry: &Telemetry) -> Router {
        let Self { reconciler, tracker, sweeper, clock } = self.clone();
        let (told, heard) = (telemetry.clone(), telemetry.clone());
        let tell = move |id: &ContainerGroupId, report: &Report, duration| {
            heard.report_in_background(id, report, duration);
        };
        host::router(
            move |id: ContainerGroupId, event: Event| {
                let (reconciler, tell) = (Arc::clone(&reconciler), tell.clone());
                let evidence = evidence(&event, clock.unix_seconds());
                async move { reconciler.serve(&id, evidence, tell).await }
            },
            move |id: ContainerGroupId, _: Event| {
                let tracker = Arc::clone(&tracker);
                async move { tracker.track(&id).await }
            },
            move |invocation: Invocation| {
                let (sweeper, telemetry) = (Arc::clone(&sweeper), told.clone());
                async move {
                    let started = Instant::now();
                    let found = Mutex::new(Vec::new());
                    let tell = |id: &ContainerGroupId, report: &Report| {
                        let event = Ok(swept(&invocation, id));
                        telemetry.report(&invocation, Some(&event), report, started.elapsed());
                        let told = event.into_iter().map(|event| (event, report.clone()));
                        found.lock().unwrap_or_else(PoisonError::into_inner).extend(told);
                    };
                    let report = sweeper.run(tell).await;
                    let found = found.into_inner().unwrap_or_else(PoisonError::into_inner);
                    telemetry.store(&invocation, &found, report, Instant::now()).await
                }
            },
            telemetry,
        )
    }
}

/// The routes of all functions, on one client of Resource Manager.
pub fn router(settings: Settings, arm: Arm, clock: Clock, telemetry: &Telemetry) -> Router {
    Functions::new(settings, arm, clock).router(telemetry)
}

/// How old an event is when a "not found" counts: by then, a new resource is visible in every region.
const OLD_EVENT: Duration = Duration::from_mins(15);

/// How much a "not found" proves after an event.
fn evidence(event: &Event, now: u64) -> Evidence {
    if event.is_delete() || event.age(now).is_some_and(|age| age > OLD_EVENT) {
        Evidence::Deletion
    } else if event.is_unsuccessful() {
        Evidence::Absence
    } else {
        Evidence::None
    }
}

/// What a sweep found is told as events are: this is the event that nobody sent.
fn swept(invocation: &Invocation, id: &ContainerGroupId) -> Event {
    Event {
        id: invocation.id.clone().unwrap_or_else(|| "sweep".to_owned()),
        event_type: "aci-dns.sweep".to_owned(),
        time: None,
        is_about_tags: false,
        kind: Kind::Ours(id.clone()),
    }
}
