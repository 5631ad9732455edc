//! The times when the name of each container group became correct or wrong for a client in the group's network.
//!
//! The name is `<group>.<forward zone>`, or `<hostname>.<forward zone>` for a group with the tag `aci-dns-hostname`; the
//! forward zone is the linked zone in which the name exists, or else the first one that is not a reverse zone. The
//! simulator has no other knowledge of `aci-dns`, and sends no requests to it.

use std::collections::{BTreeMap, VecDeque};
use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::{Value, json};

use super::World;
use super::container_groups::ContainerGroup;
use super::private_dns::{RecordType, Zone};

/// With more groups, nothing is recorded: the page could not show them.
const MOST_GROUPS: usize = 100;
/// The largest number of kept changes of one name.
const KEPT: usize = 200;
/// The largest number of kept names, including those of deleted groups.
const MOST_NAMES: usize = 200;

/// The tag that chooses another name.
const HOSTNAME: &str = "aci-dns-hostname";

/// Whether a name resolves to its group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NameState {
    /// A and PTR are correct.
    Right,
    /// A is correct, and a PTR is missing or wrong.
    Reverse,
    /// A is missing, or contains another address.
    Wrong,
    /// The group has no address, and the name does not resolve.
    Idle,
}

impl NameState {
    fn word(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Reverse => "reverse",
            Self::Wrong => "wrong",
            Self::Idle => "idle",
        }
    }
}

/// The changes of one name.
#[derive(Debug)]
struct NameHistory {
    group: String,
    detail: String,
    /// The states, each with its start.
    spans: VecDeque<(Duration, NameState)>,
}

/// The histories, by name.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, NameHistory>);

impl Names {
    pub(super) fn json(&self) -> Value {
        let names = self.0.iter().map(|(name, history)| {
            let spans = history.spans.iter().map(|(since, state)| json!([since.as_secs_f64(), state.word()]));
            json!({
                "name": name,
                "group": history.group,
                "state": history.spans.back().map(|(_, state)| state.word()),
                "detail": history.detail,
                "spans": spans.collect::<Vec<_>>(),
            })
        });
        names.collect()
    }

    fn enter(&mut self, name: &str, group: &str, now: Duration, state: NameState, detail: String) {
        if !self.0.contains_key(name) && (state == NameState::Idle || self.0.len() >= MOST_NAMES) {
            return;
        }
        let history = self.0.entry(name.to_owned()).or_insert_with(|| NameHistory {
            group: group.to_owned(),
            detail: String::new(),
            spans: VecDeque::new(),
        });
        history.detail = detail;
        group.clone_into(&mut history.group);
        if history.spans.back().is_some_and(|(_, last)| *last == state) {
            return;
        }
        // A state without any duration is left out, because no client could observe it.
        if history.spans.back().is_some_and(|(since, _)| *since == now) {
            history.spans.pop_back();
        }
        if history.spans.back().is_none_or(|(_, last)| *last != state) {
            history.spans.push_back((now, state));
        }
        if history.spans.len() > KEPT {
            history.spans.pop_front();
        }
    }
}

impl World {
    /// Compares every name with its group, after a change.
    pub(super) fn compare_names(&mut self) {
        if !self.journal.is_on || self.groups.len() > MOST_GROUPS {
            return;
        }
        let now = self.now();
        let mut seen = Vec::new();
        let found: Vec<_> = self.groups.values().filter_map(|group| self.examine(group)).collect();
        for (name, group, state, detail) in found {
            self.names.enter(&name, &group, now, state, detail);
            seen.push(name);
        }
        let left: Vec<_> = self.names.0.iter().filter(|(name, _)| !seen.contains(name)).collect();
        let left: Vec<_> =
            left.into_iter().map(|(name, history)| (name.clone(), history.group.clone())).collect();
        for (name, group) in left {
            let values = self.addresses_of(&name);
            let (state, detail) = if values.is_empty() {
                (NameState::Idle, "the group and its name are deleted".to_owned())
            } else {
                (NameState::Wrong, format!("resolves to {}, but the group is deleted", values.join(", ")))
            };
            self.names.enter(&name, &group, now, state, detail);
        }
    }

    /// The name of a group, the group, the state and its explanation.
    fn examine(&self, group: &ContainerGroup) -> Option<(String, String, NameState, String)> {
        let network = group.subnet.to_ascii_lowercase();
        let network = network.split_once("/subnets/")?.0;
        let label = group.tags.get(HOSTNAME).unwrap_or(&group.name).to_ascii_lowercase();
        let is_reverse = |zone: &&Zone| zone.name().ends_with(".in-addr.arpa");
        let mut forward = self.linked_zones(network).filter(|zone| !is_reverse(zone)).collect::<Vec<_>>();
        let key = (RecordType::A, label.clone());
        forward.sort_by_key(|zone| !zone.record_sets.contains_key(&key));
        let zone = forward.first()?;
        let name = format!("{label}.{}", zone.name());
        let values = values(zone, RecordType::A, &label);
        let group_name = format!("{}/{}", group.resource_group, group.name);
        let shown = values.join(", ");
        let (state, detail) = match group.address.map(|address| address.to_string()) {
            None if values.is_empty() => (NameState::Idle, "the group has no address".to_owned()),
            None => (NameState::Wrong, format!("resolves to {shown}, but the group has no address")),
            Some(address) if values.is_empty() => {
                (NameState::Wrong, format!("does not resolve, but the group has {address}"))
            }
            Some(address) if values != [address.clone()] => {
                (NameState::Wrong, format!("resolves to {shown}, but the group has {address}"))
            }
            Some(address) => {
                let reverse = self.linked_zones(network).filter(is_reverse).collect::<Vec<_>>();
                match wrong_ptr(&reverse, group.address, &name) {
                    Some(detail) => (NameState::Reverse, format!("resolves to {address}; {detail}")),
                    None => (NameState::Right, format!("resolves to {address}")),
                }
            }
        };
        Some((name, group_name, state, detail))
    }

    fn addresses_of(&self, name: &str) -> Vec<String> {
        let zones = self.zones.values();
        let mut found = zones.filter_map(|zone| {
            let label = name.strip_suffix(zone.name())?.strip_suffix('.')?;
            Some(values(zone, RecordType::A, label))
        });
        found.next().unwrap_or_default()
    }
}

/// The problem of the PTR records of a group; `None` if all are correct.
fn wrong_ptr(reverse: &[&Zone], address: Option<Ipv4Addr>, name: &str) -> Option<String> {
    let [a, b, c, d] = address?.octets();
    let right = format!("{d}.{c}.{b}.{a}.in-addr.arpa");
    let inside = |zone: &&&Zone| right.ends_with(&format!(".{}", zone.name()));
    let zone = reverse.iter().filter(inside).max_by_key(|zone| zone.name().len())?;
    let names_us = |value: &String| value.trim_end_matches('.').eq_ignore_ascii_case(name);
    let relative =
        right.strip_suffix(zone.name()).and_then(|rest| rest.strip_suffix('.')).unwrap_or_default();
    let at_address = values(zone, RecordType::Ptr, relative);
    if !at_address.iter().any(names_us) {
        return Some("the reverse name is missing".to_owned());
    }
    let stale = reverse.iter().flat_map(|zone| {
        let sets = zone.record_sets.keys().filter(|(record_type, _)| *record_type == RecordType::Ptr);
        sets.map(|(_, relative)| (*zone, relative))
    });
    let mut stale = stale.filter(|(zone, relative)| {
        format!("{relative}.{}", zone.name()) != right
            && values(zone, RecordType::Ptr, relative).iter().any(names_us)
    });
    stale.next().map(|(_, relative)| format!("an old reverse name is left at {relative}"))
}

fn values(zone: &Zone, record_type: RecordType, relative: &str) -> Vec<String> {
    let set = zone.record_sets.get(&(record_type, relative.to_owned()));
    let records = set.and_then(|set| set.records.as_array()).into_iter().flatten();
    records.map(|record| record_type.value(record)).collect()
}
