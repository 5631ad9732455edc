//! From what was seen to what is not as it should be: the checks, and the order in which they stand.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    decisions,
    diagnosis::{Check, Diagnosis, Finding, State, Title, count},
    events,
    evidence::Evidence,
    rights, zones,
};
use crate::{
    config::Settings,
    inventory::{Asker, Seen},
    resource_id::Scope,
};

const SETTINGS: Title = Title { group: "settings", name: "settings can be read" };
const TOKEN: Title = Title { group: "identity", name: "a token is issued" };
const PLACES: Title = Title { group: "container groups", name: "resource groups of the map exist" };

/// What stands without a token.
const REST: [Title; 13] = [
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
];

/// Every check of what was seen.
pub(super) fn diagnose(settings: &Settings, evidence: &Evidence) -> Diagnosis {
    let mut checks = vec![of_settings(settings), of_token(&evidence.asker)];
    if let Ok(asker) = &evidence.asker {
        checks.extend([
            of_places(evidence, settings, asker),
            rights::of_container_groups(evidence, asker),
            rights::of_record_sets(evidence, settings.policy, asker),
            zones::of_existence(evidence, asker),
            zones::of_forward_links(evidence, settings, asker),
            zones::of_reverse_links(evidence, asker),
            zones::of_coverage(evidence, settings, asker),
            events::of_reconciler(evidence, settings, asker),
            events::of_drift_tracker(evidence, settings, asker),
            zones::of_room(evidence),
            events::of_room(evidence),
            decisions::of_hostnames(evidence, settings),
            decisions::of_unmarked(evidence, settings, asker),
        ]);
    } else {
        checks.extend(REST.map(without_token));
    }
    Diagnosis { checks, is_map_void: evidence.unmatched.is_error(), requests: evidence.requests }
}

fn without_token(title: Title) -> Check {
    let finding = Finding::new(
        State::NotChecked,
        "could not be looked at: there is no token",
        "not known: what this check would have found",
        "see above",
    );
    Check { title, looked: String::new(), findings: vec![finding] }
}

/// Settings with mistakes do not come this far.
fn of_settings(settings: &Settings) -> Check {
    let mut findings = vec![];
    if settings.policy.is_read_only() {
        findings.push(Finding::new(
            State::Warning,
            "ACI_DNS_POLICY is observe",
            "plans are logged, and nothing is written",
            "set ACI_DNS_POLICY to sync once the plans are as they should be",
        ));
    }
    Check { title: SETTINGS, looked: settings.arm_endpoint.to_string(), findings }
}

fn of_token(asker: &Seen<Asker>) -> Check {
    let (looked, findings) = match asker {
        Ok(Asker { object_id, application_id, name }) => {
            let id = object_id.as_deref().unwrap_or("unknown");
            let called = name.as_ref().or(application_id.as_ref());
            let called = called.map(|name| format!(" ({name})")).unwrap_or_default();
            (format!("object id {id}{called}"), vec![])
        }
        Err(unseen) => {
            let finding = Finding::new(
                State::Problem,
                unseen.to_string(),
                "nothing can be asked of Azure: every event ends in failed (500)",
                "az functionapp identity assign --name APP --resource-group RG, or correct AZURE_CLIENT_ID; on a \
                 developer's machine: az login",
            );
            (String::new(), vec![finding])
        }
    };
    Check { title: TOKEN, looked, findings }
}

/// A key without a subscription may mean a resource group of any of them, so that one of all has to exist.
fn of_places(evidence: &Evidence, settings: &Settings, asker: &Asker) -> Check {
    let mut findings = vec![];
    let mut named: BTreeMap<&str, Vec<&Scope>> = BTreeMap::new();
    let (mut places, mut groups) = (BTreeSet::new(), 0);
    for (scope, territory) in &evidence.scopes {
        if let Some(name) = scope.resource_group() {
            let is_absent = territory.rights == Ok(None);
            let absent = named.entry(name).or_default();
            if is_absent {
                absent.push(scope);
            } else {
                places.insert(scope);
            }
        }
        match &territory.groups {
            Ok(found) => {
                groups += found.iter().filter(|(id, _)| settings.zones.serving(id).is_some()).count();
            }
            Err(unseen) => findings.push(Finding::unseen(unseen, &scope.to_string(), asker)),
        }
    }
    let is_told = |key: &str| key.rsplit('/').next().is_some_and(|name| named.contains_key(name));
    let others = evidence.unmatched.keys.iter().zip(evidence.unmatched.sentences());
    let others: Vec<_> = others.filter(|((key, _), _)| !is_told(key)).map(|(_, sentence)| sentence).collect();
    for (name, absent) in named {
        let exists = places.iter().any(|scope| scope.resource_group() == Some(name));
        if let Some(scope) = absent.first().filter(|_| !exists) {
            let is_key = |key: &str| key.rsplit('/').next() == Some(name);
            let unmatched = evidence.unmatched.keys.iter().find(|(key, _)| is_key(key));
            let nearest = unmatched.and_then(|(_, nearest)| nearest.as_deref());
            findings.push(Finding::new(
                State::Warning,
                format!("{scope} does not exist"),
                "no container group is ever served by this key of ACI_DNS_ZONES",
                format!(
                    "correct the key{}, or az group create --subscription {} --name {name} --location LOCATION",
                    nearest.map(|name| format!(" (did you mean {name:?}?)")).unwrap_or_default(),
                    scope.subscription()
                ),
            ));
        }
    }
    findings.extend(others.into_iter().map(|sentence| {
        let breaks = "no container group is managed by this key";
        Finding::new(State::Warning, sentence, breaks, "correct the key")
    }));
    if evidence.unmatched.is_error() {
        findings.push(Finding::new(
            State::Problem,
            "no key of ACI_DNS_ZONES matches anything",
            "no container group is managed",
            "correct the keys, or the subscriptions in ACI_DNS_SUBSCRIPTIONS",
        ));
    }
    let whole = evidence.scopes.keys().filter(|scope| scope.resource_group().is_none()).count();
    let whole = if whole > 0 { format!("{} and ", count(whole, "subscription")) } else { String::new() };
    let looked =
        format!("{whole}{}, {}", count(places.len(), "resource group"), count(groups, "container group"));
    Check { title: PLACES, looked, findings }
}
