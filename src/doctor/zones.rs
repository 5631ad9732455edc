//! Zones: whether they exist, which networks resolve their names, whether the reverse zones cover the
//! addresses of the groups, and how full they are.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use super::{
    diagnosis::{Check, Finding, Severity, Title, count},
    evidence::{Inspection, ZoneInspection},
};
use crate::{
    config::{Settings, Zones},
    domain::{
        container_group::{AddressState, ContainerGroup},
        dns::{ReverseZone, Zone, ZoneKey},
        inventory::{Caller, Quota, Seen, Unseen, ranges::Range},
        resource_id::{ContainerGroupId, ResourceId},
    },
};

pub(super) const EXIST: Title = Title { group: "zones", name: "zones of the map exist" };
pub(super) const FORWARD_LINKS: Title = Title { group: "zones", name: "forward zones are linked" };
pub(super) const REVERSE_LINKS: Title = Title { group: "zones", name: "reverse zones are linked" };
pub(super) const COVERAGE: Title = Title { group: "zones", name: "reverse zones cover the subnets" };
pub(super) const ROOM: Title = Title { group: "quotas", name: "zones have room" };

/// The share of a quota, in percent, from which a warning is reported.
const NEARLY_FULL: u64 = 80;

pub(super) fn of_existence(evidence: &Inspection, caller: &Caller) -> Check {
    let (mut findings, mut examined) = (vec![], 0);
    for inspection in evidence.zones.values() {
        match &inspection.state {
            Ok(Some(_)) => examined += 1,
            Err(unseen) => findings.push(Finding::unseen(unseen, &inspection.zone.id(), caller)),
            Ok(None) if inspection.is_needed || !has_namesake(evidence, &inspection.zone) => {
                let Zone { subscription, resource_group, name } = &inspection.zone;
                let (what, fix) = if inspection.elsewhere.is_empty() {
                    let create = format!(
                        "az network private-dns zone create --subscription {subscription} --resource-group \
                         {resource_group} --name {name}; or correct ACI_DNS_ZONES"
                    );
                    (format!("{} does not exist", inspection.zone.id()), create)
                } else {
                    let places = inspection.elsewhere.join(", ");
                    let what = format!("{name} is not in resource group {resource_group}, but in {places}");
                    (
                        what,
                        format!(
                            "set zoneResourceGroup in ACI_DNS_ZONES to {places}; do not create a second zone"
                        ),
                    )
                };
                findings.push(Finding::new(
                    Severity::Problem,
                    what,
                    "the records of its groups cannot be written: their events end in failed (500)",
                    fix,
                ));
            }
            Ok(None) => {}
        }
    }
    Check { title: EXIST, examined: count(examined, "zone"), findings }
}

/// Whether a zone of this name exists elsewhere, so that the map may be wrong.
fn has_namesake(evidence: &Inspection, zone: &Zone) -> bool {
    evidence.zones.values().any(|other| other.zone.name == zone.name && matches!(other.state, Ok(Some(_))))
}

/// The zones that exist or could not be read.
fn existing(evidence: &Inspection) -> impl Iterator<Item = &ZoneInspection> {
    evidence.zones.values().filter(|inspection| inspection.state != Ok(None))
}

/// The networks that a zone is linked to; none if that is unknown.
fn linked(inspection: &ZoneInspection) -> BTreeSet<&ResourceId> {
    inspection.links.iter().flatten().map(|link| &link.network).collect()
}

pub(super) fn of_forward_links(evidence: &Inspection, settings: &Settings, caller: &Caller) -> Check {
    let mut homes: BTreeMap<ZoneKey, BTreeSet<ResourceId>> = BTreeMap::new();
    for (_, group, zones) in served(evidence, settings) {
        let networks = group.subnets.iter().filter_map(ResourceId::parent);
        homes.entry(zones.forward.key()).or_default().extend(networks);
    }
    let (mut findings, mut links) = (vec![], 0);
    for inspection in existing(evidence).filter(|inspection| inspection.reverse.is_none()) {
        let linked = linked(inspection);
        links += linked.len();
        let of_links = of_links(inspection, caller);
        if of_links.is_empty() {
            let home = homes.remove(&inspection.zone.key()).unwrap_or_default();
            for network in home.iter().filter(|network| !linked.contains(network)) {
                findings.push(Finding::new(
                    Severity::Warning,
                    format!("{} is not linked to {network}, in which its groups are", inspection.zone),
                    "names do not resolve there, unless its DNS servers forward to a linked network",
                    link_command(&inspection.zone, network),
                ));
            }
        }
        findings.extend(of_links);
    }
    Check { title: FORWARD_LINKS, examined: count(links, "link"), findings }
}

/// A network that resolves names must also resolve addresses, from the reverse zones of the same groups.
pub(super) fn of_reverse_links(evidence: &Inspection, caller: &Caller) -> Check {
    let (mut findings, mut links) = (vec![], 0);
    for inspection in existing(evidence) {
        let Some(reverse) = &inspection.reverse else { continue };
        let linked = linked(inspection);
        links += linked.len();
        let of_links = of_links(inspection, caller);
        if of_links.is_empty() {
            let forward = evidence.serving.iter().filter(|zones| zones.reverse.contains(reverse));
            let forward = forward.filter_map(|zones| evidence.zones.get(&zones.forward.key()));
            let forward: BTreeSet<&ResourceId> = forward.flat_map(self::linked).collect();
            for network in forward.difference(&linked) {
                findings.push(Finding::new(
                    Severity::Problem,
                    format!("{} is not linked to {network}, as its forward zone is", inspection.zone),
                    "reverse lookups of the groups' addresses return NXDOMAIN there",
                    link_command(&inspection.zone, network),
                ));
            }
        }
        findings.extend(of_links);
    }
    Check { title: REVERSE_LINKS, examined: count(links, "link"), findings }
}

/// The problems of a zone's links.
fn of_links(inspection: &ZoneInspection, caller: &Caller) -> Vec<Finding> {
    let zone = &inspection.zone;
    let links = match &inspection.links {
        Ok(links) => links,
        Err(unseen) => return vec![Finding::unseen(unseen, &zone.id(), caller)],
    };
    if links.is_empty() {
        return vec![Finding::new(
            Severity::Problem,
            format!("{zone} is linked to no virtual network"),
            "no network resolves its names",
            link_command(zone, "NETWORK_ID"),
        )];
    }
    let is = |state: &Option<String>, word: &str| {
        state.as_deref().is_some_and(|state| state.eq_ignore_ascii_case(word))
    };
    let broken = links.iter().filter_map(|link| {
        let (state, reported) = if is(&link.provisioning_state, "Failed") {
            (Severity::Problem, "Failed")
        } else if is(&link.state, "InProgress") {
            (Severity::Warning, "InProgress")
        } else {
            return None;
        };
        Some(Finding::new(
            state,
            format!("the link of {zone} to {} is {reported}", link.network),
            "the zone's names do not resolve there yet",
            format!(
                "az network private-dns link vnet show --subscription {} --resource-group {} --zone-name {} --name \
                 {}; if it stays so, delete it and create it again",
                zone.subscription, zone.resource_group, zone.name, link.name
            ),
        ))
    });
    broken.collect()
}

fn link_command(zone: &Zone, network: impl std::fmt::Display) -> String {
    format!(
        "az network private-dns link vnet create --subscription {} --resource-group {} --zone-name {} --name NAME \
         --registration-enabled false --virtual-network {network}",
        zone.subscription, zone.resource_group, zone.name
    )
}

/// The container groups that the map serves, with their zones.
fn served<'a>(
    evidence: &'a Inspection,
    settings: &'a Settings,
) -> impl Iterator<Item = (&'a ContainerGroupId, &'a ContainerGroup, Zones)> {
    let groups = evidence.scopes.values().flat_map(|found| found.groups.iter().flatten());
    groups.filter_map(|(id, group)| Some((id, group, settings.zones.serving(id)?)))
}

/// A group may get any address of its subnet, so the zones must cover the whole range. If the range could not
/// be read, only the current addresses of the groups are checked.
pub(super) fn of_coverage(evidence: &Inspection, settings: &Settings, caller: &Caller) -> Check {
    let mut held: BTreeMap<(Option<ResourceId>, Vec<ReverseZone>), BTreeSet<Ipv4Addr>> = BTreeMap::new();
    for (_, group, zones) in served(evidence, settings) {
        let address = match AddressState::of(Some(group)) {
            AddressState::Running(address) => Some(address),
            _ => None,
        };
        let subnets = group.subnets.iter().cloned().map(Some);
        let subnets = if group.subnets.is_empty() { vec![None] } else { subnets.collect() };
        for subnet in subnets.into_iter().filter(|_| !zones.reverse.is_empty()) {
            let held = held.entry((subnet, zones.reverse.clone())).or_default();
            held.extend(address);
        }
    }
    let mut findings = vec![];
    let mut examined = BTreeSet::new();
    for ((subnet, zones), held) in held {
        let covered: Vec<Range> = zones.iter().map(Range::of_zone).collect();
        let ranges = subnet.as_ref().and_then(|id| Some((id, evidence.subnets.get(id)?)));
        let ranges = match ranges {
            Some((id, seen)) => {
                examined.insert(id.clone());
                ranges_of(id, seen, &held, &mut findings, caller)
            }
            None => held.iter().copied().map(Range::of_address).collect(),
        };
        let place = subnet.map_or_else(|| "of a group".to_owned(), |id| format!("of {id}"));
        for bare in ranges.into_iter().flat_map(|range| range.without(&covered)) {
            findings.push(uncovered(bare, &place, &zones));
        }
    }
    Check { title: COVERAGE, examined: count(examined.len(), "subnet"), findings }
}

/// The ranges of a subnet, or else its known addresses.
fn ranges_of(
    id: &ResourceId,
    seen: &Seen<Option<Vec<Range>>>,
    held: &BTreeSet<Ipv4Addr>,
    findings: &mut Vec<Finding>,
    caller: &Caller,
) -> Vec<Range> {
    let addresses = || held.iter().copied().map(Range::of_address).collect();
    match seen {
        Ok(Some(ranges)) => ranges.clone(),
        // The subnet is deleted or not readable: use the addresses of the groups.
        Ok(None) => addresses(),
        Err(unseen) => {
            let mut finding = Finding::unseen(unseen, id.as_str(), caller);
            if let Unseen::Forbidden { .. } = unseen {
                finding.state = Severity::Warning;
                finding.impact = format!(
                    "unknown: only the {} that groups have there now were checked, not the whole range",
                    count(held.len(), "address")
                );
            }
            findings.push(finding);
            addresses()
        }
    }
}

fn uncovered(range: Range, place: &str, zones: &[ReverseZone]) -> Finding {
    let names: Vec<String> = zones.iter().map(|zone| zone.zone().to_string()).collect();
    let create = zones.first().zip(range.zone_name()).map_or_else(String::new, |(zone, name)| {
        let Zone { subscription, resource_group, .. } = zone.zone();
        format!(
            ": az network private-dns zone create --subscription {subscription} --resource-group {resource_group} \
             --name {name}, and link it"
        )
    });
    Finding::new(
        Severity::Problem,
        format!("no reverse zone covers {range} {place}: {}", names.join(", ")),
        "a group that gets an address there has no reverse name: its events end in failed (500)",
        format!("add a reverse zone to reverseZones in ACI_DNS_ZONES{create}"),
    )
}

pub(super) fn of_room(evidence: &Inspection) -> Check {
    let (mut findings, mut examined, mut fullest) = (vec![], 0, Quota::default());
    for inspection in evidence.zones.values() {
        let Ok(Some(state)) = &inspection.state else { continue };
        let zone = &inspection.zone;
        examined += 1;
        fullest = if state.record_sets.used > fullest.used { state.record_sets } else { fullest };
        if let Some(fullness) = fullness(state.record_sets) {
            findings.push(Finding::new(
                fullness,
                format!("{zone} has {} record sets", percentage(state.record_sets)),
                "once it is full, new groups get no records: their events end in failed (500)",
                "spread the groups over more zones, delete unused record sets, or ask Azure support for more",
            ));
        }
        if let Some(fullness) = fullness(state.links) {
            findings.push(Finding::new(
                fullness,
                format!("{zone} has {} links", percentage(state.links)),
                "once the quota is used, no further virtual network can resolve its names",
                "link a hub network and let the others use its DNS resolver",
            ));
        }
    }
    let examined =
        format!("{}, the fullest with {} record sets", count(examined, "zone"), percentage(fullest));
    Check { title: ROOM, examined, findings }
}

/// The severity of the use of a quota.
pub(super) fn fullness(quota: Quota) -> Option<Severity> {
    let most = quota.most.filter(|most| *most > 0)?;
    if quota.used >= most {
        Some(Severity::Problem)
    } else if quota.used.saturating_mul(100) >= most.saturating_mul(NEARLY_FULL) {
        Some(Severity::Warning)
    } else {
        None
    }
}

/// `20001 of 25000`.
pub(super) fn percentage(quota: Quota) -> String {
    match quota.most {
        Some(most) => format!("{} of {most}", quota.used),
        None => quota.used.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_nearly_used_quota_is_a_warning_and_a_used_one_a_problem() {
        let check =
            |used, most, expected| assert_eq!(fullness(Quota { used, most }), expected, "{used} {most:?}");
        check(19_999, Some(25_000), None);
        check(20_000, Some(25_000), Some(Severity::Warning));
        check(24_999, Some(25_000), Some(Severity::Warning));
        check(25_000, Some(25_000), Some(Severity::Problem));
        check(1, Some(0), None);
        check(1, None, None);
    }
}
