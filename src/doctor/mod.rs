//! A preflight: checks everything that this crate depends on in a subscription. For each problem, it reports
//! the impact and the fix.
//!
//! It separates reading (`gather`) from judging (`checks`): the [`evidence`] is a value, and so is the
//! [`diagnosis`]. It runs with the rights of the caller, who needs more read permissions than the function
//! ([`READS`]). An object that the caller cannot read is reported as not checked, not as absent or correct.
//!
//! Rules: it has no write access. It reads each object once, by lists where they exist.
//!
//! Deliberately absent: whether names resolve (that depends on the network), whether the records are correct
//! (see `aci-dns drift`), and plan, package and settings of the function app.

mod checks;
mod decisions;
pub mod diagnosis;
mod events;
pub mod evidence;
mod gather;
mod gather_vaults;
pub mod rights;
mod show;
pub mod vaults;
mod zones;

use futures::future::join;
use tokio::time::{Instant, timeout_at};

use self::evidence::Inspection;
pub use self::{
    diagnosis::{Diagnosis, Severity},
    gather::READS,
    show::{json, table},
};
use crate::{
    azure::{
        arm::Arm,
        key_vault::Vaults,
        storage_queue::{QueueError, StorageQueue},
    },
    config::{MissingSubscription, Settings},
    decide::report::Chain,
};

/// Reads everything that the settings depend on, and the rights of the caller, or of another principal by its
/// object id.
pub async fn examine(
    arm: &Arm,
    settings: &Settings,
    principal: Option<&str>,
    deadline: Instant,
) -> Result<Diagnosis, MissingSubscription> {
    let inspector = arm.inspection(deadline);
    let (evidence, retry_queue) =
        join(gather::evidence(&inspector, settings, principal), retry_queue(arm, settings, deadline)).await;
    let mut evidence = Inspection { retry_queue, ..evidence? };
    if evidence.caller.is_ok() {
        let (http_transport, tokens) = arm.network();
        let requests = Vaults::new(settings.cloud, http_transport, tokens).invocation();
        let rights = gather::Rights::new(&inspector, principal);
        evidence.vaults = gather_vaults::evidence(&rights, &requests, settings, &evidence).await;
        evidence.requests = inspector.reader().calls();
    }
    Ok(checks::diagnose(settings, &evidence))
}

/// Whether the retry queue of the settings exists; `None` if no queue is set.
async fn retry_queue(arm: &Arm, settings: &Settings, deadline: Instant) -> Option<Result<bool, String>> {
    let url = settings.retry_queue.clone()?;
    let (http_transport, tokens) = arm.network();
    let count = async { StorageQueue::new(url, http_transport, tokens)?.count().await };
    let count = timeout_at(deadline, count).await.unwrap_or(Err(QueueError::Late));
    Some(count.map(|count| count.is_some()).map_err(|error| Chain(&error).to_string()))
}
