//! Classifies the comparison of one group. Pure.

use super::Comparison;
use crate::{
    decide::{
        change::{Change, Effect},
        report::{Drift, DriftEvent, DriftKind, Outcome, Report},
    },
    domain::container_group::AddressState,
    reconcile::{ReconcileError, publish::PublishError},
    sweep::findings::{FindingKind, GroupFinding},
};

/// The class of a group.
pub(super) enum Classification {
    /// Its records are correct.
    Right,
    /// It is being provisioned.
    Settling,
    /// It is not managed, or not now.
    Unmanaged,
    /// It is deleted, and no records are left.
    Nothing,
    /// It has a finding.
    Found(Box<GroupFinding>),
}

pub(super) fn of(comparison: Comparison) -> Classification {
    let report = &comparison.dry_run.report;
    let is_planned = !report.plan.is_empty() || !report.withheld.is_empty();
    let mut kinds: Vec<DriftKind> = comparison.drift.iter().flat_map(|drift| drift.kinds.clone()).collect();
    let mut is_unknown = false;
    match &comparison.dry_run.error {
        None => {}
        Some(
            ReconcileError::AddressPending(_)
            | ReconcileError::Deleting(_)
            | ReconcileError::NotVisible(_)
            | ReconcileError::HolderPending(_),
        ) => return Classification::Settling,
        Some(ReconcileError::Tag(_)) => kinds.push(DriftKind::BadTag),
        Some(ReconcileError::NoReverseZone { .. }) => {
            kinds.retain(|kind| *kind != DriftKind::PtrMissing);
            kinds.push(DriftKind::PtrUncovered);
        }
        Some(ReconcileError::AddressRefused { .. }) => kinds.push(DriftKind::AddressRefused),
        Some(ReconcileError::Conflict(_) | ReconcileError::PtrConflict(_)) => {
            kinds.push(DriftKind::Foreign);
        }
        Some(
            ReconcileError::Arm(_)
            | ReconcileError::RightsDeleted(_)
            | ReconcileError::LostRaces { .. }
            | ReconcileError::Throttled { .. }
            | ReconcileError::Deadline { .. },
        ) => is_unknown = true,
    }
    match &comparison.dry_run.secret_error {
        None => {}
        Some(PublishError::Name(_)) => kinds.push(DriftKind::BadTag),
        Some(PublishError::Conflict(_)) => kinds.push(DriftKind::Secret),
        Some(PublishError::Vault(_) | PublishError::Owner(_) | PublishError::LostRaces { .. }) => {
            is_unknown = true;
        }
    }
    let is_first = comparison.drift.as_ref().is_some_and(|drift| drift.event == DriftEvent::FirstSeen);
    kinds.extend(kinds_of_state(&comparison, is_planned, is_first));
    kinds.sort_unstable();
    kinds.dedup();
    if kinds.is_empty() && !is_planned && !is_unknown {
        return match (comparison.state, report.outcome) {
            (AddressState::Deleted, _) => Classification::Nothing,
            (_, Outcome::Unmanaged) => Classification::Unmanaged,
            _ => Classification::Right,
        };
    }
    // Known differences of the record sets are reported even if the verdict is unknown.
    let verdict = match (is_unknown, kinds.is_empty()) {
        (true, _) => FindingKind::Unknown,
        (false, true) => FindingKind::Marks,
        (false, false) => FindingKind::Drift,
    };
    let event = if is_first { DriftEvent::FirstSeen } else { DriftEvent::DriftDetected };
    let drift = (verdict == FindingKind::Drift).then(|| match comparison.drift {
        Some(drift) => Drift { event, kinds, ..drift },
        None => Drift {
            event,
            kinds,
            dns_addresses: held(&comparison.dry_run.changes),
            dns_ptr: vec![],
            services: vec![],
        },
    });
    let report = Report { drift, ..comparison.dry_run.report };
    Classification::Found(Box::new(GroupFinding {
        id: comparison.id,
        is_service: false,
        verdict,
        report,
        changes: comparison.dry_run.changes,
        secret_changes: comparison.dry_run.secret_changes,
        lookups: comparison.order.lookups,
        evidence: comparison.order.evidence,
        is_reviewed: false,
    }))
}

/// The kinds of drift that follow from the state of the group.
fn kinds_of_state(comparison: &Comparison, is_planned: bool, is_first: bool) -> Vec<DriftKind> {
    // Changes of metadata alone change no answer of DNS.
    let is_answer_changed = !comparison.dry_run.report.withheld.is_empty()
        || comparison.dry_run.changes.iter().any(|change| change.effect() != Effect::Marks);
    let mut kinds = Vec::new();
    match comparison.state {
        AddressState::Running(_) => {
            if is_first {
                kinds.push(DriftKind::AMissing);
            }
            let is_stale =
                |change: &Change| matches!(change, Change::A(_)) && change.effect() == Effect::Removes;
            if comparison.dry_run.changes.iter().any(is_stale) {
                kinds.push(DriftKind::AStale);
            }
            let is_stale =
                |change: &Change| matches!(change, Change::Ptr(_)) && change.effect() == Effect::Removes;
            if is_first && comparison.dry_run.changes.iter().any(is_stale) {
                kinds.push(DriftKind::PtrStale);
            }
        }
        AddressState::Deleted if is_planned => kinds.push(DriftKind::Orphan),
        AddressState::Public | AddressState::Released if is_answer_changed => {
            kinds.push(DriftKind::AStale);
        }
        AddressState::Deleted
        | AddressState::Deleting
        | AddressState::Public
        | AddressState::Released
        | AddressState::Pending
        | AddressState::StandbyPool
        | AddressState::ProvisioningFailed
        | AddressState::NoAddress => {}
    }
    kinds
}

/// The addresses of the A record sets that would be removed.
fn held(changes: &[Change]) -> Vec<std::net::Ipv4Addr> {
    let held = |change: &Change| match change {
        Change::A(edit) => edit.before.as_ref().map(|before| before.content.records.clone()),
        Change::Ptr(_) => None,
    };
    changes.iter().filter_map(held).flatten().collect()
}
