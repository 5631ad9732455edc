//! The commands, one file each, and what they share.
//!
//! Reports go to stdout; progress, questions and errors go to stderr.

mod comparison;
mod demo;
mod doctor;
mod drain;
mod drift;
mod failure;
mod generate;
mod output;
mod plan;
mod plan_file;
mod progress;
mod replay;
mod resolver;
mod retry;
mod run;
mod serve;
mod service;
mod simulate;
mod switch;
mod sync;

pub(crate) use self::{
    demo::{DemoArguments, demonstrate},
    doctor::{DoctorArguments, doctor},
    drain::{DrainArguments, drain},
    drift::{DriftArguments, drift},
    failure::report,
    generate::{CompletionsArguments, SchemaArguments, completions, schema},
    plan::{PlanArguments, plan},
    progress::silence,
    replay::{ReplayArguments, replay},
    retry::{RetryArguments, retry},
    serve::{PORT, ServeArguments, serve},
    service::{ServiceArguments, service},
    simulate::{SimulateArguments, simulate},
    switch::{SwitchArguments, switch},
    sync::{SyncArguments, sync},
};
