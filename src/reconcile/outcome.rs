//! Converts the verdict and the trace of a run to its report.

use std::{fmt, time::Duration};

use super::{
    ReconcileError,
    driver::{Access, Trace},
    publish::{self, PublishError},
};
use crate::{
    azure::{
        arm::{ArmError, Kind, Reader},
        key_vault::VaultRequests,
    },
    decide::{
        Goal, Right, Unmanaged, Verdict,
        change::Change,
        report::{Outcome, Report},
    },
    domain::resource_id::ContainerGroupId,
};

/// The outcome of an invocation that ends with a failed request.
#[must_use]
pub fn failure_outcome(error: &ArmError) -> Outcome {
    match error.kind() {
        // Another program wrote the record set. Only this name or address is affected.
        _ if error.is_unrepresentable() => Outcome::Conflict,
        // No CNAME record set explains the clash; the next attempt may find the cause.
        Kind::Race | Kind::Uncertain | Kind::Transient | Kind::Clash => Outcome::Unavailable,
        Kind::Forbidden | Kind::Missing | Kind::Refused => Outcome::Failed,
    }
}

/// The initial report for a verdict that is not a failure.
pub(super) fn result(verdict: Verdict, goal: &Goal, trace: &mut Trace) -> Result<Report, ReconcileError> {
    let report = match verdict {
        Verdict::Right(Right::Named(address)) => {
            Report::new(Outcome::Converged, format!("the records name {address}"))
        }
        Verdict::Right(Right::Absent) => Report::new(Outcome::Converged, "no records (expected)"),
        Verdict::Right(Right::Kept) => Report::new(Outcome::Converged, "stopped; its records are kept"),
        Verdict::Unmanaged(reason) => Report {
            is_warning: matches!(reason, Unmanaged::NoAddress | Unmanaged::ProvisioningFailed),
            ..Report::new(Outcome::Unmanaged, reason.to_string())
        },
        Verdict::Compared(drift) => {
            Report { drift: Some(drift), ..Report::new(Outcome::Reported, "compared with the live group") }
        }
        Verdict::Failed(error) => return Err(ReconcileError::of(error, goal, trace)),
    };
    Ok(report)
}

/// The report of a run that was not tried.
pub(super) fn throttled(id: &ContainerGroupId, wait: Duration) -> Report {
    let error = ReconcileError::Throttled { id: id.clone(), wait };
    Report { throttled: error.throttled(), ..Report::failed(error.outcome(), &error) }
}

/// The same report with the requests of an invocation.
pub(crate) fn with_requests(report: Report, reader: &Reader, vaults: &VaultRequests) -> Report {
    let mut request_records = reader.request_records();
    request_records.extend(vaults.request_records());
    Report { arm_calls: reader.calls(), vault_calls: vaults.count(), request_records, ..report }
}

/// The report for one group.
pub(super) fn report(
    access: Access<'_>,
    goal: &Goal,
    result: Result<&Report, &ReconcileError>,
    secret: Result<&(), &PublishError>,
    trace: &Trace,
) -> Report {
    let fqdn = trace.target.as_ref().map(|target| target.fqdn.clone());
    let subject: &dyn fmt::Display = match &fqdn {
        Some(fqdn) => fqdn,
        None => &goal.id,
    };
    let lines = |changes: &[Change]| changes.iter().map(Change::to_string).collect::<Vec<_>>();
    let (mut plan, withheld) = (lines(&trace.changes), lines(&trace.withheld));
    plan.extend(publish::lines(&trace.secret_changes));
    let written = || format!("{subject}: {}", plan.join("; "));
    let mut report = match result {
        Err(error) => {
            let mut report = Report::failed(error.outcome(), error);
            report.message = format!("{subject}: {}", report.message);
            report.conflict_owner = error.owner().map(ToString::to_string);
            report.throttled = error.throttled();
            report.retry_after = error.retry_after();
            report
        }
        Ok(_) if !plan.is_empty() => match access.writer {
            None => Report::new(Outcome::Planned, format!("planned for {}", written())),
            Some(_) => Report::new(Outcome::Changed, written()),
        },
        Ok(report) if report.outcome == Outcome::Converged && !withheld.is_empty() => {
            let message = format!("{subject}: withheld by ACI_DNS_POLICY: {}", withheld.join("; "));
            Report::new(Outcome::Converged, message)
        }
        Ok(report) => {
            let message = format!("{subject}: {}", report.message);
            let (is_warning, drift) = (report.is_warning, report.drift.clone());
            Report { is_warning, drift, ..Report::new(report.outcome, message) }
        }
    };
    let refused: Vec<String> =
        trace.facts.run.refused_deletes().filter_map(|key| trace.refusal(key)).collect();
    if !refused.is_empty() {
        report.is_warning = true;
        report.message = format!("{}; emptied instead of deleted: {}", report.message, refused.join("; "));
    }
    if let Err(error) = secret {
        report = report.beside(publish::failure(subject, error));
    }
    report.fqdn = fqdn;
    report.address = trace.target.as_ref().and_then(|target| target.address);
    report.plan = plan;
    report.withheld = withheld;
    report
}
