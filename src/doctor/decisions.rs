//! Decisions that an operator must make before the events of some groups can succeed: names that tags choose
//! and the map does not allow, and record sets without an owner mark under `strict`. Each fix is JSON to
//! merge into the map.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::{
    diagnosis::{Check, Finding, Severity, Title, count},
    evidence::Inspection,
};
use crate::{
    config::{NamePatterns, Ownership, Settings, Zones},
    decide::desired::{Desired, refused_hostname},
    domain::{
        container_group::{AddressState, ContainerGroup},
        dns::{RelativeName, Zone},
        inventory::Caller,
        resource_id::ContainerGroupId,
    },
};

pub(super) const HOSTNAMES: Title = Title { group: "decisions", name: "names that tags choose are allowed" };
pub(super) const UNMARKED: Title = Title { group: "decisions", name: "record sets of groups have a mark" };

/// The existing, managed container groups, with the key and the zones that serve each.
fn managed<'a>(
    evidence: &'a Inspection,
    settings: &'a Settings,
) -> impl Iterator<Item = (String, &'a ContainerGroupId, &'a ContainerGroup, Zones)> {
    let groups = evidence.scopes.values().flat_map(|found| found.groups.iter().flatten());
    groups
        .filter_map(|(id, group)| Some((settings.zones.key_of(id)?, id, group, settings.zones.serving(id)?)))
}

fn to_merge(key: &str, entry: Value) -> String {
    let mut map = serde_json::Map::new();
    map.insert(key.to_owned(), entry);
    format!("merge into ACI_DNS_ZONES: {}", Value::Object(map))
}

pub(super) fn of_hostnames(evidence: &Inspection, settings: &Settings) -> Check {
    let mut refused: BTreeMap<String, (BTreeSet<String>, Vec<String>)> = BTreeMap::new();
    let mut examined = 0;
    for (key, id, group, zones) in managed(evidence, settings) {
        examined += 1;
        let Some(name) = refused_hostname(id, group, &zones) else { continue };
        let (hostnames, users) = refused
            .entry(key)
            .or_insert_with(|| (zones.hostnames.iter().map(ToString::to_string).collect(), vec![]));
        hostnames.insert(name.to_string());
        users.push(format!("{name} ({}/{})", id.resource_group(), id.name()));
    }
    let finding = |(key, (hostnames, users)): (String, (BTreeSet<String>, Vec<String>))| {
        let what = format!(
            "the tag aci-dns-hostname of {} chooses a name that hostnames of the key {key:?} does not allow: {}",
            count(users.len(), "container group"),
            users.join(", ")
        );
        let impact = "the events of these groups end in failed (500)";
        Finding::new(Severity::Problem, what, impact, to_merge(&key, json!({"hostnames": hostnames})))
    };
    let findings = refused.into_iter().map(finding).collect();
    Check { title: HOSTNAMES, examined: count(examined, "container group"), findings }
}

pub(super) fn of_unmarked(evidence: &Inspection, settings: &Settings, caller: &Caller) -> Check {
    let inspections =
        || evidence.zones.values().filter_map(|inspection| Some((inspection, inspection.unmarked.as_ref()?)));
    let mut findings: Vec<Finding> = inspections()
        .filter_map(|(inspection, unmarked)| {
            Some(Finding::unseen(unmarked.as_ref().err()?, &inspection.zone.id(), caller))
        })
        .collect();
    let is_unmarked = |zone: &Zone, name: &RelativeName| {
        let unmarked = evidence.zones.get(&zone.key()).and_then(|inspection| inspection.unmarked.as_ref());
        unmarked.is_some_and(|unmarked| unmarked.as_ref().is_ok_and(|names| names.contains(name)))
    };
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (key, id, group, zones) in managed(evidence, settings) {
        if zones.ownership != Ownership::Strict {
            continue;
        }
        // A name that the map does not allow yet is included, so that both decisions are made together.
        let zones = Zones { hostnames: NamePatterns::all(), ..zones };
        let Ok(Some(desired)) = Desired::of(id, group, &zones) else { continue };
        let mut records = vec![];
        if is_unmarked(&zones.forward, &desired.name) {
            records.push(format!("A {}", desired.fqdn()));
        }
        if let AddressState::Running(address) = AddressState::of(Some(group))
            && let Some((zone, name)) = zones.reverse_name(address).filter(|_| desired.wants_ptr)
            && is_unmarked(zone, &name)
        {
            records.push(format!("PTR {}", name.within(&zone.name)));
        }
        if !records.is_empty() {
            found.entry(key).or_default().extend(records);
        }
    }
    findings.extend(found.into_iter().map(|(key, records)| {
        let what = format!(
            "{} at names and addresses of groups of the key {key:?} without an owner mark: {}",
            count(records.len(), "record set"),
            records.into_iter().collect::<Vec<_>>().join(", ")
        );
        let impact =
            "ownership is strict: these record sets are not written, and events end in conflict (409)";
        let adopt = to_merge(&key, json!({"ownership": "adopt"}));
        let fix = format!("aci-dns sync --adopt-only, which only writes the marks; or {adopt}");
        Finding::new(Severity::Problem, what, impact, fix)
    }));
    Check { title: UNMARKED, examined: count(inspections().count(), "zone"), findings }
}
