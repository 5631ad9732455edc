//! The drift tracker: reports how DNS and a live container group differ.
//!
//! It reads through a type that has no write methods, and lists no zone. The comparison is a decision
//! ([`crate::decide::compare`]); this module adds the deadline and creates the [`Report`].

use std::sync::Arc;

use futures::future::join;
use tokio::time::{Instant, timeout_at};

use crate::{
    azure::{
        arm::{Arm, Reader},
        key_vault::{VaultRequests, Vaults},
    },
    config::Settings,
    decide::{
        ExtraLookups, Goal, Purpose, Rules, SecretVerdict, Verdict,
        report::{DriftEvent, Outcome, Report, unmapped},
        service::ServiceGoal,
    },
    domain::resource_id::{ContainerGroupId, Scope},
    reconcile::{
        ReconcileError,
        clock::Clock,
        driver::dry_run,
        publish::{self, secret_result},
        services, with_requests,
    },
};

/// The drift tracker. It has no write access.
#[derive(Debug)]
pub struct DriftTracker {
    settings: Arc<Settings>,
    arm: Arm,
    clock: Clock,
    vaults: Vaults,
}

impl DriftTracker {
    /// Creates a drift tracker.
    #[must_use]
    pub fn new(settings: Arc<Settings>, arm: Arm, clock: Clock) -> Self {
        let (http_transport, tokens) = arm.network();
        let vaults = Vaults::new(settings.cloud, http_transport, tokens);
        Self { settings, arm, clock, vaults }
    }

    /// Compares the records of one container group with its address.
    pub async fn track(&self, id: &ContainerGroupId) -> Report {
        let deadline = Instant::now() + self.settings.deadline;
        let (reader, vaults) = (self.arm.observation(deadline), self.vaults.invocation());
        let lookups = ExtraLookups::default();
        let services = async {
            let is_any = self.settings.zones.has_services(id);
            let goal = is_any
                .then(|| ServiceGoal::new(Scope::of(id), &self.settings.zones, Purpose::Compare))
                .flatten()?;
            Some(services::dry_run(&self.settings, &reader, &goal, deadline).await)
        };
        let run = async {
            let (report, services) = join(self.compare(&reader, &vaults, id, &lookups), services).await;
            report.map(|report| {
                let is_compared = report.drift.is_some() && report.error.is_none();
                match services.filter(|_| is_compared) {
                    Some(services) => with_message(services.compared_in(report, id), id),
                    None => report,
                }
            })
        };
        let report = match timeout_at(deadline, run).await {
            Ok(Ok(report)) if report.error.is_none() => report,
            // The secret or a service could not be compared: partial reads give no verdict.
            Ok(Ok(report)) => Report { drift: None, ..report },
            Ok(Err(error)) => Report::failed(error.outcome(), &error),
            Err(_) => {
                let error = ReconcileError::Deadline { deadline: self.settings.deadline };
                Report::failed(error.outcome(), &error)
            }
        };
        with_requests(report, &reader, &vaults)
    }

    /// Compares through a reader, which may read lists, with extra lookups. A secret that cannot be read leaves the drift
    /// of the record sets in the report.
    pub async fn look(
        &self,
        reader: &Reader,
        id: &ContainerGroupId,
        lookups: &ExtraLookups,
    ) -> Result<Report, ReconcileError> {
        let vaults = self.vaults.invocation();
        let report = self.compare(reader, &vaults, id, lookups).await?;
        Ok(with_requests(report, reader, &vaults))
    }

    async fn compare(
        &self,
        reader: &Reader,
        vaults: &VaultRequests,
        id: &ContainerGroupId,
        lookups: &ExtraLookups,
    ) -> Result<Report, ReconcileError> {
        let Some(goal) = Goal::new(id, &self.settings.zones, Purpose::Compare) else {
            return Ok(unmapped(&self.settings.zones, id));
        };
        let goal = Goal { lookups: lookups.clone(), ..goal };
        let rules = Rules::of(&self.settings, &goal.zones);
        let (verdict, mut trace) = dry_run(reader, vaults, rules, &goal, &self.clock).await;
        let secret = secret_result(&mut trace);
        let report = match verdict {
            Verdict::Failed(error) => return Err(ReconcileError::of(error, &goal, &mut trace)),
            Verdict::Unmanaged(reason) => Report::new(Outcome::Unmanaged, format!("{id}: {reason}")),
            // Only a reconciliation has this verdict.
            Verdict::Right(_) => Report::new(Outcome::Converged, id.to_string()),
            Verdict::Compared(mut drift) => {
                if let SecretVerdict::Compared(Some(kind)) = trace.secret {
                    drift.add(kind);
                }
                let (fqdn, address) = trace.target.map(|target| (target.fqdn, target.address)).unzip();
                let (address, drift) = (address.flatten(), Some(drift));
                with_message(Report { fqdn, address, drift, ..Report::new(Outcome::Reported, "") }, id)
            }
        };
        Ok(match secret {
            Ok(()) => report,
            Err(error) => report.beside(publish::failure(id, &error)),
        })
    }
}

/// The sentence for the drift of a group.
fn with_message(report: Report, id: &ContainerGroupId) -> Report {
    let Some(drift) = &report.drift else { return report };
    let kinds: Vec<&str> = drift.kinds.iter().map(|kind| kind.as_str()).collect();
    let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
    let name = report.fqdn.as_ref().map_or_else(|| id.to_string(), ToString::to_string);
    Report {
        message: format!("{name}: {}{kinds}", drift.event.as_str()),
        is_warning: report.is_warning || drift.event == DriftEvent::DriftDetected,
        ..report
    }
}
