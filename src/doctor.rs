//! A preflight: whether everything that this crate depends on in a subscription is as it should be, and for each thing
//! that is not, what that breaks and how to mend it.
//!
//! It looks (`gather`) and judges (`checks`) apart: what was seen is a value ([`evidence`]), and so is what was
//! found ([`diagnosis`]). Whoever runs it asks with his own rights, and needs more reads than the function does
//! ([`READS`]); what he may not look at is said to be not checked, and is never taken for absent or for well.
//!
//! Rules: it never writes, and has nothing to write with. It asks for each thing once, by lists where there are any.
//!
//! Deliberately absent: whether names resolve (that depends on the network it would be run in), whether the records
//! are right (`aci-dns drift` says so), and the function app's own plan, package and settings.

mod checks;
mod decisions;
pub mod diagnosis;
mod events;
pub mod evidence;
mod gather;
pub mod rights;
mod show;
mod zones;

use tokio::time::Instant;

pub use self::{
    diagnosis::{Diagnosis, State},
    gather::READS,
    show::{json, table},
};
use crate::{
    arm::Arm,
    config::{MissingSubscription, Settings},
};

/// Looks at everything that the settings depend on, and at the rights of whoever asks, or of somebody else, by his
/// object id.
pub async fn examine(
    arm: &Arm,
    settings: &Settings,
    principal: Option<&str>,
    deadline: Instant,
) -> Result<Diagnosis, MissingSubscription> {
    let inspector = arm.inspection(deadline);
    let evidence = gather::evidence(&inspector, settings, principal).await?;
    Ok(checks::diagnose(settings, &evidence))
}
