//! Tests from outside of the crate: one binary, one module for each part of the interface.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod addresses;
mod azure_server;
mod command_line;
mod cost;
mod deployment;
mod doctor;
mod drift;
mod events;
mod exhaustive;
mod fleet;
mod functions_host;
mod fuzz;
mod house;
mod images;
mod images_app;
mod least_privilege;
mod log;
mod operate;
mod order;
mod outcomes;
mod ownership;
mod processes;
mod properties;
mod readme;
mod recordings;
mod reference;
mod regressions;
mod retry;
mod scenarios;
mod secrets;
mod security;
mod services;
mod settings;
mod simulation;
mod soak;
mod storm;
mod sweep;
mod switch;
mod telemetry;
mod tls;
mod world;
