//! Connects the routes of the Functions host to reconciler, drift tracker and sweeper.
//!
//! `serve`, the command line, the replay and the tests all use this module, so that tests cover the code that runs.

pub mod envelope;
pub mod host;

use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use tokio::time::Instant;

use self::host::Task;
use crate::{
    azure::arm::Arm,
    config::Settings,
    decide::report::Report,
    domain::{
        event::{Event, EventKind},
        resource_id::ContainerGroupId,
    },
    drift::DriftTracker,
    reconcile::{Clock, Reconciler, retry::message::Work},
    sweep::Sweeper,
    telemetry::{Invocation, Telemetry},
};

/// The parts of the handler, on one client of Resource Manager.
#[derive(Clone, Debug)]
pub struct Functions {
    /// The only writer.
    pub reconciler: Arc<Reconciler>,
    /// Compares one group.
    pub tracker: Arc<DriftTracker>,
    /// Compares all groups.
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
        let telemetry_of_sweeps = telemetry.clone();
        let watched = Arc::clone(&reconciler);
        telemetry.watch(move || watched.metrics());
        host::router(
            move |task: Task| {
                let (reconciler, now) = (Arc::clone(&reconciler), clock.unix_seconds());
                let work = match task {
                    Task::Event { id, event, given } => Ok(Work::of_event(id, event, given, now)),
                    Task::Message { id, event, message } => Ok(Work::of_message(id, event, message, now)),
                    Task::Malformed { report, given } => Err((report, given)),
                };
                async move {
                    match work {
                        Ok(work) => reconciler.serve(work).await,
                        Err((report, given)) => reconciler.defer_malformed(*report, &given).await,
                    }
                }
            },
            move |id: ContainerGroupId, _: Event| {
                let tracker = Arc::clone(&tracker);
                async move { tracker.track(&id).await }
            },
            move |invocation: Invocation| {
                let (sweeper, telemetry) = (Arc::clone(&sweeper), telemetry_of_sweeps.clone());
                async move {
                    let started = Instant::now();
                    let found = Mutex::new(Vec::new());
                    let add = |id: &ContainerGroupId, report: &Report| {
                        let event = Ok(swept(&invocation, id));
                        telemetry.report(&invocation, Some(&event), report, started.elapsed());
                        let reported = event.into_iter().map(|event| (event, report.clone()));
                        found.lock().unwrap_or_else(PoisonError::into_inner).extend(reported);
                    };
                    let report = sweeper.run(add).await;
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

/// The event under which a finding of a sweep is reported.
fn swept(invocation: &Invocation, id: &ContainerGroupId) -> Event {
    Event {
        id: invocation.id.clone().unwrap_or_else(|| "sweep".to_owned()),
        event_type: "aci-dns.sweep".to_owned(),
        time: None,
        is_about_tags: false,
        kind: EventKind::Ours(id.clone()),
    }
}
