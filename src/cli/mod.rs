//! The commands, one file each, and what they share.
//!
//! Reports go to stdout; progress, questions and errors go to stderr.

mod demo;
mod doctor;
mod drain;
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
mod service;
mod simulate;
mod switch;
mod sync;

pub(crate) use self::{
    demo::{Demonstrate, demonstrate},
    doctor::{Doctor, doctor},
    drain::{Drain, drain},
    drift::{Drift, drift},
    failure::tell,
    generate::{Completions, Schema, completions, schema},
    plan::{Plan, plan},
    progress::silence,
    replay::{Replay, replay},
    retry::{Retry, retry},
    serve::{PORT, Serve, serve},
    service::{Service, service},
    simulate::{Simulate, simulate},
    switch::{Switch, switch},
    sync::{Sync, sync},
};
