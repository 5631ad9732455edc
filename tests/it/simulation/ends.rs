//! What must hold at the end of a simulation.

use super::*;

impl Simulation {
    /// The one thing that no event leads to: the PTR of a deletion that was cut off while the group came back (design
    /// 5.5). Killed instances, failed requests and throttles that last longer than an invocation cut off a deletion.
    pub(super) fn is_left_to_the_sweep(&self, [zone, _, _, owner]: &[String; 4]) -> bool {
        let is_cut_off = self.weather.kill_every > 0 || self.weather.fault_every > 0;
        is_cut_off && zone == REVERSE && self.recreated.borrow().contains(owner)
    }

    /// A sweep that repairs removes what was left to it.
    pub(super) async fn sweep(&self) -> Vec<String> {
        let left = self.left_to_the_sweep.take();
        if left.is_empty() {
            return Vec::new();
        }
        let zones = self.weather.zones();
        let settings = Settings::from_variables(|name| match name {
            "ACI_DNS_ZONES" => Some(zones.to_owned()),
            "ACI_DNS_SUBSCRIPTIONS" => Some(SUBSCRIPTION.to_owned()),
            "ACI_DNS_SWEEP" => Some("repair".to_owned()),
            _ => None,
        });
        let answer = Stage::new(settings.unwrap(), self.azure.clone()).sweep().await;
        let sets = self.record_sets();
        let is_left = |[zone, name, value, _]: &&[String; 4]| {
            sets.iter().any(|set| set.zone == *zone && set.name == *name && set.values.contains(value))
        };
        left.iter().filter(is_left).map(|left| format!("the sweep leaves {left:?}: {answer:?}")).collect()
    }

    /// What must always hold, once everything was delivered.
    pub(super) fn judge(&self, unacknowledged: &[String], phase: &str) -> Vec<String> {
        let mut wrong = Vec::new();
        let sets = self.record_sets();
        let groups = self.azure.read(|view: &View<'_>| view.groups());
        let living: Vec<Living> = groups
            .iter()
            .filter(|group| group.state == "Running")
            .filter_map(|group| {
                Some(Living {
                    id: group.id.to_lowercase(),
                    zone: self.weather.forward_zone(&group.resource_group),
                    name: group.name.clone(),
                    address: group.address?,
                    owner: owner((&group.resource_group, &group.name)),
                })
            })
            .collect();
        let existing: BTreeSet<String> =
            groups.iter().map(|group| owner((&group.resource_group, &group.name))).collect();
        let mut expected = model(&living, &existing, &sets);
        expected.append(&mut self.expected_services(&groups));
        // An empty record set with a mark reserves the name of a stopped group, or Azure refused to delete it.
        let is_empty = |set: &RecordSetView| set.values.is_empty() && set.metadata.contains_key(OWNER);
        let own = |set: &&RecordSetView| {
            !is_empty(set) && !self.foreign.borrow().iter().any(|f| is_same_place(f, set))
        };
        let actual: BTreeSet<[String; 4]> = sets
            .iter()
            .filter(own)
            .map(|set| {
                let owner = set.metadata.get(OWNER).cloned().unwrap_or_default();
                [set.zone.clone(), set.name.clone(), set.values.join(" "), owner]
            })
            .collect();
        for missing in expected.difference(&actual) {
            wrong.push(format!("{phase}: missing {missing:?}"));
        }
        for extra in actual.difference(&expected) {
            if self.is_left_to_the_sweep(extra) {
                self.left_to_the_sweep.borrow_mut().insert(extra.clone());
            } else {
                wrong.push(format!("{phase}: extra {extra:?}"));
            }
        }
        for set in sets.iter().filter(own).filter(|set| set.ttl != 60) {
            wrong.push(format!("{phase}: {} {} has ttl {}", set.record_type, set.name, set.ttl));
        }
        for foreign in self.foreign.borrow().iter().filter(|foreign| !sets.contains(foreign)) {
            wrong.push(format!("{phase}: foreign {} {} was touched", foreign.record_type, foreign.name));
        }
        // An event that is not acknowledged is of a group whose name another group has.
        for id in unacknowledged {
            let group = living.iter().find(|group| group.id == *id);
            let holder = group.and_then(|group| group.holder(&sets));
            let is_loser =
                group.zip(holder).is_some_and(|(group, set)| set.metadata.get(OWNER) != Some(&group.owner));
            let is_secret_lost = self.weather.has_secrets
                && GROUPS.iter().any(|it| {
                    group_id(*it).to_lowercase() == *id && self.is_secret_of_another(*it, &existing)
                });
            if !is_loser && !is_secret_lost && !self.has_bad_tags(id, &groups) {
                wrong.push(format!("{phase}: {id} was never acknowledged"));
            }
        }
        wrong.extend(self.judge_secrets(phase));
        wrong
    }
}

pub(super) fn is_same_place(one: &RecordSetView, other: &RecordSetView) -> bool {
    (&one.zone, &one.record_type, &one.name) == (&other.zone, &other.record_type, &other.name)
}

/// A group that should have records.
pub(super) struct Living {
    pub(super) id: String,
    pub(super) zone: &'static str,
    pub(super) name: String,
    pub(super) address: Ipv4Addr,
    pub(super) owner: String,
}

impl Living {
    /// The A record set at its name.
    pub(super) fn holder<'a>(&self, sets: &'a [RecordSetView]) -> Option<&'a RecordSetView> {
        sets.iter().find(|set| set.record_type == "A" && set.zone == self.zone && set.name == self.name)
    }
}

/// The record sets that the living groups call for: zone, name, values, owner. Of several groups that want one name,
/// the one whose mark the A record set carries has it, as long as it exists.
pub(super) fn model(
    living: &[Living],
    existing: &BTreeSet<String>,
    sets: &[RecordSetView],
) -> BTreeSet<[String; 4]> {
    let mut expected = BTreeSet::new();
    for group in living {
        let holder = group.holder(sets).and_then(|holder| holder.metadata.get(OWNER));
        if holder.is_some_and(|holder| *holder != group.owner && existing.contains(holder)) {
            continue;
        }
        let [_, _, third, fourth] = group.address.octets();
        let (zone, owner) = (group.zone.to_owned(), group.owner.clone());
        let target = format!("{}.{zone}", group.name);
        expected.insert([zone, group.name.clone(), group.address.to_string(), owner.clone()]);
        expected.insert([REVERSE.to_owned(), format!("{fourth}.{third}"), target, owner]);
    }
    expected
}
