//! The two functions, wired: what the Functions host calls, and what answers.
//!
//! One function, used by `serve`, by the replay and by every test, so that what is tested is what runs.

use std::sync::Arc;

use axum::Router;

use crate::{
    arm::Arm,
    config::Settings,
    drift::DriftTracker,
    host,
    reconcile::{Clock, Reconciler},
    resource_id::ContainerGroupId,
    telemetry::Telemetry,
};

/// The routes of both functions on one client of Resource Manager.
pub fn router(settings: Settings, arm: Arm, clock: Clock, telemetry: &Telemetry) -> Router {
    let settings = Arc::new(settings);
    let tracker = Arc::new(DriftTracker::new(Arc::clone(&settings), arm.clone()));
    let reconciler = Reconciler::new(settings, arm, clock);
    host::router(
        move |id: ContainerGroupId| {
            let reconciler = Arc::clone(&reconciler);
            async move { reconciler.reconcile(&id).await }
        },
        move |id: ContainerGroupId| {
            let tracker = Arc::clone(&tracker);
            async move { tracker.track(&id).await }
        },
        telemetry,
    )
}
