//! The drift tracker: reports how DNS and a live container group differ.
//!
//! It reads through a type that has no write methods, and lists no zone. The comparison is a decision
//! ([`crate::decide::compare`]); this module adds the deadline and creates the [`Report`].

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use crate::{
    azure::{
        arm::{Arm, Reader},
        key_vault::Vaults,
    },
    config::Settings,
    decide::{
        ExtraLookups, Goal, Purpose, Rules, SecretVerdict, Verdict,
        report::{DriftEvent, Outcome, Report, unmapped},
    },
    domain::resource_id::ContainerGroupId,
    reconcile::{
        ReconcileError,
        clock::Clock,
        driver::dry_run,
        publish::{self, secret_result},
        with_requests,
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
        let reader = self.arm.observation(deadline);
        let lookups = ExtraLookups::default();
        let run = self.look(&reader, id, &lookups);
        let error = match timeout_at(deadline, run).await {
            Ok(Ok(report)) if report.error.is_none() => return report,
            // The secret could not be compared: partial reads give no verdict.
            Ok(Ok(report)) => return Report { drift: None, ..report },
            Ok(Err(error)) => error,
            Err(_) => ReconcileError::Deadline { deadline: self.settings.deadline },
        };
        let report = Report::failed(error.outcome(), &error);
        Report { arm_calls: reader.calls(), request_records: reader.request_records(), ..report }
    }

    /// Compares through a reader, which may read lists, with extra lookups. A secret that cannot be read leaves the drift
    /// of the record sets in the report.
    pub async fn look(
        &self,
        reader: &Reader,
        id: &ContainerGroupId,
        lookups: &ExtraLookups,
    ) -> Result<Report, ReconcileError> {
        let Some(goal) = Goal::new(id, &self.settings.zones, Purpose::Compare) else {
            return Ok(unmapped(&self.settings.zones, id));
        };
        let goal = Goal { lookups: lookups.clone(), ..goal };
        let rules = Rules::of(&self.settings, &goal.zones);
        let vaults = self.vaults.invocation();
        let (verdict, mut trace) = dry_run(reader, &vaults, rules, &goal, &self.clock).await;
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
                let kinds: Vec<&str> = drift.kinds.iter().map(|kind| kind.as_str()).collect();
                let kinds = if kinds.is_empty() { String::new() } else { format!(" ({})", kinds.join(", ")) };
                let (fqdn, address) = trace.target.map(|target| (target.fqdn, target.address)).unzip();
                let name = fqdn.as_ref().map_or_else(|| id.to_string(), ToString::to_string);
                let message = format!("{name}: {}{kinds}", drift.event.as_str());
                Report {
                    is_warning: drift.event == DriftEvent::DriftDetected,
                    fqdn,
                    address: address.flatten(),
                    drift: Some(drift),
                    ..Report::new(Outcome::Reported, message)
                }
            }
        };
        let report = match secret {
            Ok(()) => report,
            Err(error) => report.beside(publish::failure(id, &error)),
        };
        Ok(with_requests(report, reader, &vaults))
    }
}
