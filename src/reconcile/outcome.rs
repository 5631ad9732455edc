//! The outcome of an invocation whose request failed.

use crate::{
    azure::arm::{ArmError, Kind},
    decide::report::Outcome,
};

/// What an invocation that ends with a failed request is answered with.
#[must_use]
pub fn failure_outcome(error: &ArmError) -> Outcome {
    match error.kind() {
        // Another program wrote it, and only at this name or address does that matter.
        _ if error.is_unrepresentable() => Outcome::Conflict,
        // A clash that no CNAME explains: the next attempt may tell more.
        Kind::Race | Kind::Uncertain | Kind::Transient | Kind::Clash => Outcome::Unavailable,
        Kind::Forbidden | Kind::Missing | Kind::Refused => Outcome::Failed,
    }
}
