//! The result for the secret of a group, for the report of its invocation.
//!
//! Deliberately absent: decisions ([`crate::decide`]) and requests ([`crate::azure::key_vault`]).

use std::{collections::BTreeSet, fmt};

use crate::{
    azure::{arm::ArmError, key_vault::VaultError},
    decide::{
        MAX_PASSES, SecretConflict, SecretError, SecretVerdict,
        desired::SecretNameError,
        report::{Outcome, Report},
    },
    domain::{failure::FailureKind, secret::SecretEdit},
    reconcile::driver::Trace,
};

/// Why the secret could not be corrected.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// It has no valid name.
    #[error(transparent)]
    Name(SecretNameError),
    /// It belongs to another owner.
    #[error(transparent)]
    Conflict(SecretConflict),
    /// A request to Key Vault failed.
    #[error(transparent)]
    Vault(VaultError),
    /// The group that owns it could not be read.
    #[error("cannot tell whether another container group owns the secret")]
    Owner(#[source] ArmError),
    /// Every write conflicted with another writer or lost its answer.
    #[error(
        "gave up after {MAX_PASSES} writes of the secret: each conflicted with another writer or lost its answer"
    )]
    LostRaces {
        /// The error of the last write, if there is one.
        #[source]
        last: Option<VaultError>,
    },
}

impl PublishError {
    /// The outcome of an invocation that ends with this error.
    #[must_use]
    pub fn outcome(&self) -> Outcome {
        match self {
            Self::Name(_) => Outcome::Failed,
            Self::Conflict(_) => Outcome::Conflict,
            Self::Vault(error) => outcome(error.kind()),
            Self::Owner(error) => outcome(error.kind()),
            Self::LostRaces { .. } => Outcome::Unavailable,
        }
    }
}

fn outcome(kind: FailureKind) -> Outcome {
    match kind {
        FailureKind::Race | FailureKind::Uncertain | FailureKind::Transient | FailureKind::Clash => {
            Outcome::Unavailable
        }
        FailureKind::Forbidden | FailureKind::Missing | FailureKind::Refused => Outcome::Failed,
    }
}

/// The result for the secret, with the error of the request that caused it.
pub(crate) fn secret_result(trace: &mut Trace) -> Result<(), PublishError> {
    let SecretVerdict::Failed(error) = &trace.secret else { return Ok(()) };
    Err(match error.clone() {
        SecretError::Name(error) => PublishError::Name(error),
        SecretError::Conflict(conflict) => PublishError::Conflict(conflict),
        SecretError::LostRaces => PublishError::LostRaces { last: trace.secret_error.take() },
        SecretError::Request => match trace.secret_error.take() {
            Some(error) => PublishError::Vault(error),
            None => PublishError::LostRaces { last: None },
        },
        SecretError::Owner(key) => match trace.errors.remove(&key) {
            Some(error) => PublishError::Owner(error),
            None => PublishError::LostRaces { last: None },
        },
    })
}

/// The lines of a plan, without duplicates: a later write may repeat a change.
pub(crate) fn lines(changes: &[SecretEdit]) -> Vec<String> {
    let mut shown = BTreeSet::new();
    changes.iter().map(ToString::to_string).filter(|line| shown.insert(line.clone())).collect()
}

/// The report of a failure.
pub(crate) fn failure(subject: &dyn fmt::Display, error: &PublishError) -> Report {
    let mut report = Report::failed(error.outcome(), error);
    report.message = format!("{subject}: {}", report.message);
    report.conflict_owner = match error {
        PublishError::Conflict(SecretConflict::OtherGroup { owner, .. }) => Some(owner.to_string()),
        _ => None,
    };
    report.retry_after = match error {
        PublishError::Vault(error) => error.retry_after(),
        PublishError::Owner(error) => error.retry_after(),
        _ => None,
    };
    report
}
