//! The commands, one file each, and what they share.
//!
//! Reports go to stdout; progress, questions and errors go to stderr.

mod demo;
mod doctor;
mod drift;
mod failure;
mod generate;
mod look;
mod output;
mod plan;
mod plan_file;
mod progress;
mod replay;
mod resolver;
mod retry;
mod run;
mod serve;
mod simulate;
mod sync;

pub(crate) use self::{
    demo::{Demonstrate, demonstrate},
    doctor::{Doctor, doctor},
    drift::{Drift, drift},
    failure::tell,
    generate::{Completions, Schema, completions, schema},
    plan::{Plan, plan},
    progress::silence,
    replay::{Replay, replay},
    retry::{Retry, retry},
    serve::{PORT, Serve, serve},
    simulate::{Simulate, simulate},
    sync::{Sync, sync},
};
