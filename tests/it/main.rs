//! What can only be tested from outside: one binary, one module for each side from which the crate is used.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test that cannot go on fails"
)]

mod addresses;
mod cost;
mod drift;
mod functions_host;
mod house;
mod log;
mod order;
mod outcomes;
mod ownership;
mod processes;
mod readme;
mod security;
mod simulation;
mod storm;
mod world;
