//! The services in a sweep: each resource group with services once.
//!
//! The lists of the sweep can show that the services of a resource group are correct. A difference is confirmed by
//! reading the record sets and the members themselves.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::{Sweeper, index::Index};
use crate::{
    azure::arm::{Reader, Snapshot},
    decide::{
        Evidence, ExtraLookups, Purpose,
        report::{Outcome, Report},
        service::ServiceGoal,
    },
    domain::resource_id::{ContainerGroupId, Scope},
    reconcile::{
        Order,
        services::{ServiceResult, ServicesRun, dry_run},
    },
    sweep::findings::{FindingKind, GroupFinding},
};

impl Sweeper {
    /// The services that differ.
    pub(super) async fn services(
        &self,
        live: &Reader,
        lists: &Reader,
        (snapshot, index): (&Snapshot, &Index),
        deadline: Instant,
        is_thorough: bool,
    ) -> Vec<GroupFinding> {
        let listed = snapshot.listed_container_groups().map(|(id, _)| Scope::of(id));
        let scopes: BTreeSet<Scope> = listed.chain(index.services().iter().cloned()).collect();
        let mut found = Vec::new();
        for scope in scopes {
            let Some(goal) = ServiceGoal::new(scope, &self.settings.zones, Purpose::Reconcile) else {
                continue;
            };
            let by_lists = dry_run(&self.settings, lists, &goal, deadline).await;
            let is_right = by_lists.services.iter().all(|result| !is_finding(result));
            if is_right && !is_thorough {
                continue;
            }
            let goal = ServiceGoal { is_thorough, ..goal };
            let services = dry_run(&self.settings, live, &goal, deadline).await;
            found.extend(services.services.iter().filter_map(|result| of(&goal.scope, result)));
        }
        found
    }

    /// Corrects a service with a finding, together with the other services of its resource group.
    pub(super) async fn repair_service(
        &self,
        found: &GroupFinding,
        order: Order,
        deadline: Instant,
    ) -> Report {
        let scope = Scope::of(&found.id);
        let Some(goal) = ServiceGoal::new(scope, &self.settings.zones, Purpose::Reconcile) else {
            return found.report.clone();
        };
        let goal = ServiceGoal { is_thorough: true, ..goal };
        let run: ServicesRun = self.reconciler.services.run(goal, order, deadline).await;
        let is_it = |result: &&ServiceResult| result.verdict.name.as_str() == found.id.name();
        let report = run.services.iter().find(is_it).map(ServiceResult::report);
        Report { arm_calls: run.calls(), ..report.unwrap_or_else(|| found.report.clone()) }
    }
}

fn is_finding(result: &ServiceResult) -> bool {
    result.verdict.is_different || result.verdict.error.is_some() || result.is_unknown()
}

/// The finding of a service. Its id contains the label instead of the name of a container group.
fn of(scope: &Scope, result: &ServiceResult) -> Option<GroupFinding> {
    let resource_group = scope.resource_group()?;
    let id =
        ContainerGroupId::new(scope.subscription(), resource_group, result.verdict.name.as_str()).ok()?;
    is_finding(result).then(|| {
        let report = result.report();
        let outcome = if report.error.is_some() { report.outcome } else { Outcome::Planned };
        GroupFinding {
            id,
            is_service: true,
            verdict: if result.is_unknown() { FindingKind::Unknown } else { FindingKind::Drift },
            report: Report { outcome, ..report },
            changes: result.changes.clone(),
            secret_changes: vec![],
            lookups: ExtraLookups::default(),
            evidence: Evidence::None,
            is_reviewed: false,
        }
    })
}
