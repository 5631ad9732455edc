//! The checks, and the order in which they are reported.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    decisions,
    diagnosis::{Check, Diagnosis, Finding, Severity, Title, count},
    events,
    evidence::Inspection,
    rights, vaults, zones,
};
use crate::{
    config::Settings,
    domain::{
        inventory::{Caller, Seen},
        resource_id::Scope,
    },
};
use url::Url;

const SETTINGS: Title = Title { group: "settings", name: "settings are valid" };
const TOKEN: Title = Title { group: "identity", name: "a token is issued" };
const RETRY_QUEUE: Title = Title { group: "retry queue", name: "the retry queue can be read" };
const PLACES: Title = Title { group: "container groups", name: "resource groups of the map exist" };

/// The checks that need a token.
const REST: [Title; 14] = [
    PLACES,
    rights::CONTAINER_GROUPS,
    rights::RECORD_SETS,
    zones::EXIST,
    zones::FORWARD_LINKS,
    zones::REVERSE_LINKS,
    zones::COVERAGE,
    events::RECONCILE,
    events::TRACK_DRIFT,
    zones::ROOM,
    events::ROOM,
    decisions::HOSTNAMES,
    decisions::UNMARKED,
    RETRY_QUEUE,
];

/// Runs every check on the evidence.
pub(super) fn diagnose(settings: &Settings, evidence: &Inspection) -> Diagnosis {
    let mut checks = vec![of_settings(settings), of_token(&evidence.caller)];
    if let Ok(caller) = &evidence.caller {
        checks.extend([
            of_places(evidence, settings, caller),
            rights::of_container_groups(evidence, caller),
            rights::of_record_sets(evidence, settings.policy, caller),
            zones::of_existence(evidence, caller),
            zones::of_forward_links(evidence, settings, caller),
            zones::of_reverse_links(evidence, caller),
            zones::of_coverage(evidence, settings, caller),
            events::of_reconciler(evidence, settings, caller),
            events::of_drift_tracker(evidence, settings, caller),
            zones::of_room(evidence),
            events::of_room(evidence),
            decisions::of_hostnames(evidence, settings),
            decisions::of_unmarked(evidence, settings, caller),
            of_retry_queue(evidence, settings),
        ]);
        if !evidence.vaults.is_empty() {
            checks.push(vaults::of_vaults(evidence, settings.policy, caller));
        }
    } else {
        let of_vaults = (!settings.zones.vaults().is_empty()).then_some(vaults::SECRETS);
        checks.extend(REST.into_iter().chain(of_vaults).map(without_token));
    }
    Diagnosis { checks, is_map_void: evidence.unmatched.is_error(), requests: evidence.requests }
}

/// What a check without a token reports.
pub(super) const NO_TOKEN: &str = "no access token";

fn without_token(title: Title) -> Check {
    let finding = Finding::new(Severity::NotChecked, NO_TOKEN, "unknown", "see the check of the token");
    Check { title, examined: String::new(), findings: vec![finding] }
}

/// Invalid settings fail earlier.
fn of_settings(settings: &Settings) -> Check {
    let mut findings = vec![];
    if settings.policy.is_read_only() {
        findings.push(Finding::new(
            Severity::Warning,
            "ACI_DNS_POLICY is observe",
            "plans are logged, and nothing is written",
            "set ACI_DNS_POLICY to sync once the plans are correct",
        ));
    }
    Check { title: SETTINGS, examined: settings.arm_endpoint.to_string(), findings }
}

fn of_token(caller: &Seen<Caller>) -> Check {
    let (examined, findings) = match caller {
        Ok(Caller { object_id, application_id, name }) => {
            let id = object_id.as_deref().unwrap_or("unknown");
            let label = name.as_ref().or(application_id.as_ref());
            let label = label.map(|name| format!(" ({name})")).unwrap_or_default();
            (format!("object id {id}{label}"), vec![])
        }
        Err(unseen) => {
            let finding = Finding::new(
                Severity::Problem,
                unseen.to_string(),
                "no request to Azure is possible: every event ends in failed (500)",
                "az functionapp identity assign --name APP --resource-group RG, or correct AZURE_CLIENT_ID; on a \
                 developer's machine: az login",
            );
            (String::new(), vec![finding])
        }
    };
    Check { title: TOKEN, examined, findings }
}

/// Reads the queue with the token of the caller, so the permission of the app is not checked.
fn of_retry_queue(evidence: &Inspection, settings: &Settings) -> Check {
    // The query of the URL may contain a signature.
    let place = |url: &Url| format!("{}{}", url.host_str().unwrap_or_default(), url.path());
    let examined = settings.retry_queue.as_ref().map_or_else(|| "not set".to_owned(), place);
    let findings = match &evidence.retry_queue {
        None | Some(Ok(true)) => vec![],
        Some(Ok(false)) => vec![Finding::new(
            Severity::Problem,
            format!("the queue {examined} does not exist"),
            "function_aci_retry cannot start, and unfinished events keep their own status",
            "run infra/deploy.sh, which creates the queue before the app",
        )],
        Some(Err(error)) => vec![Finding::new(
            Severity::NotChecked,
            error.clone(),
            "unknown",
            "grant the caller Storage Queue Data Reader at the storage account",
        )],
    };
    Check { title: RETRY_QUEUE, examined, findings }
}

/// A key without a subscription may match a resource group in any subscription, so it must exist in only one
/// of them.
fn of_places(evidence: &Inspection, settings: &Settings, caller: &Caller) -> Check {
    let mut findings = vec![];
    let mut named: BTreeMap<&str, Vec<&Scope>> = BTreeMap::new();
    let (mut places, mut groups) = (BTreeSet::new(), 0);
    for (scope, found) in &evidence.scopes {
        if let Some(name) = scope.resource_group() {
            let is_absent = found.rights == Ok(None);
            let absent = named.entry(name).or_default();
            if is_absent {
                absent.push(scope);
            } else {
                places.insert(scope);
            }
        }
        match &found.groups {
            Ok(found) => {
                groups += found.iter().filter(|(id, _)| settings.zones.serving(id).is_some()).count();
            }
            Err(unseen) => findings.push(Finding::unseen(unseen, &scope.to_string(), caller)),
        }
    }
    let is_subscribed = |key: &str| key.rsplit('/').next().is_some_and(|name| named.contains_key(name));
    let others = evidence.unmatched.keys.iter().zip(evidence.unmatched.messages());
    let others: Vec<_> =
        others.filter(|((key, _), _)| !is_subscribed(key)).map(|(_, sentence)| sentence).collect();
    for (name, absent) in named {
        let exists = places.iter().any(|scope| scope.resource_group() == Some(name));
        if let Some(scope) = absent.first().filter(|_| !exists) {
            let is_key = |key: &str| key.rsplit('/').next() == Some(name);
            let unmatched = evidence.unmatched.keys.iter().find(|(key, _)| is_key(key));
            let nearest = unmatched.and_then(|(_, nearest)| nearest.as_deref());
            findings.push(Finding::new(
                Severity::Warning,
                format!("{scope} does not exist"),
                "this key of ACI_DNS_ZONES matches no container group",
                format!(
                    "correct the key{}, or az group create --subscription {} --name {name} --location LOCATION",
                    nearest.map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default(),
                    scope.subscription()
                ),
            ));
        }
    }
    findings.extend(others.into_iter().map(|sentence| {
        let impact = "this key matches no container group";
        Finding::new(Severity::Warning, sentence, impact, "correct the key")
    }));
    if evidence.unmatched.is_error() {
        findings.push(Finding::new(
            Severity::Problem,
            "no key of ACI_DNS_ZONES matches anything",
            "no container group is managed",
            "correct the keys, or the subscriptions in ACI_DNS_SUBSCRIPTIONS",
        ));
    }
    let whole = evidence.scopes.keys().filter(|scope| scope.resource_group().is_none()).count();
    let whole = if whole > 0 { format!("{} and ", count(whole, "subscription")) } else { String::new() };
    let examined =
        format!("{whole}{}, {}", count(places.len(), "resource group"), count(groups, "container group"));
    Check { title: PLACES, examined, findings }
}
