//! Who is meant by what: the marks and the PTR targets of a whole snapshot, the other way round.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::Ipv4Addr,
};

use crate::{
    arm::Snapshot,
    config::{ZoneMap, Zones},
    container_group::ContainerGroup,
    decide::ExtraLookups,
    desired::Desired,
    dns::{DomainName, Owner, Place, PtrTarget, RelativeName, ReverseZone},
    findings::Stray,
    resource_id::ContainerGroupId,
};

/// Why what is left in a former zone is reported.
const FORMER: &str = "it is left of a forward zone that was replaced (formerZones)";

/// What a snapshot says about whom.
#[derive(Debug, Default)]
pub(super) struct Index {
    marks: BTreeMap<Owner, Marks>,
    /// The groups that marks name.
    owners: BTreeSet<ContainerGroupId>,
    /// Where PTR record sets say a name.
    said: HashMap<DomainName, Vec<(Place, Ipv4Addr)>>,
    /// The zones that serve each of the groups that marks name.
    serving: BTreeMap<Owner, Zones>,
    managed: BTreeMap<Place, usize>,
    /// PTR values inside forward zones that were replaced: where each stands.
    former: Vec<FormerValue>,
}

/// A PTR value inside a forward zone that was replaced.
#[derive(Debug)]
struct FormerValue {
    place: Place,
    name: RelativeName,
    value: DomainName,
    owner: Option<Owner>,
}

/// The record sets that carry one mark.
#[derive(Debug, Default)]
struct Marks {
    names: Vec<(Place, RelativeName)>,
    addresses: Vec<(Place, Ipv4Addr)>,
    /// Those that are no record set of any address.
    others: Vec<(Place, RelativeName)>,
}

impl Index {
    pub(super) fn of(snapshot: &Snapshot, map: &ZoneMap) -> Self {
        let mut index = Self::default();
        for (zone, name, set) in snapshot.a_record_sets() {
            if let Some(owner) = set.owner() {
                *index.managed.entry(zone.place()).or_default() += 1;
                index.marks_of(owner, map).names.push((zone.place(), name.clone()));
            }
        }
        let mut reverse: HashMap<Place, Option<ReverseZone>> = HashMap::new();
        for (zone, name, set) in snapshot.ptr_record_sets() {
            let place = zone.place();
            let of_zone = reverse.entry(place.clone()).or_insert_with(|| ReverseZone::new(zone.clone()).ok());
            let address = of_zone.as_ref().and_then(|zone| zone.address(name));
            if let Some(owner) = set.owner() {
                *index.managed.entry(place.clone()).or_default() += 1;
                let marks = index.marks_of(owner, map);
                match address {
                    Some(address) => marks.addresses.push((place.clone(), address)),
                    None => marks.others.push((place.clone(), name.clone())),
                }
            }
            let values = set.content.records.iter().filter_map(PtrTarget::name);
            for value in values.filter(|value| map.has_former_zone_of(value)) {
                let (place, name, owner) = (place.clone(), name.clone(), set.owner());
                index.former.push(FormerValue { place, name, value, owner });
            }
            let Some(address) = address else { continue };
            for said in set.content.records.iter().filter_map(PtrTarget::name) {
                index.said.entry(said).or_default().push((place.clone(), address));
            }
        }
        index
    }

    fn marks_of(&mut self, owner: Owner, map: &ZoneMap) -> &mut Marks {
        if let Some(id) = owner.container_group().filter(|_| !self.marks.contains_key(&owner)) {
            if let Some(zones) = map.serving(&id) {
                self.serving.insert(owner.clone(), zones);
            }
            self.owners.insert(id);
        }
        self.marks.entry(owner).or_default()
    }

    /// How many record sets carry a mark, by zone.
    pub(super) fn managed(&self) -> &BTreeMap<Place, usize> {
        &self.managed
    }

    /// The groups that marks name.
    pub(super) fn owners(&self) -> impl Iterator<Item = &ContainerGroupId> {
        self.owners.iter()
    }

    /// Where a pass about a group has to look besides, and whether the zones say anything about it at all.
    pub(super) fn about(
        &self,
        snapshot: &Snapshot,
        id: &ContainerGroupId,
        group: Option<&ContainerGroup>,
        zones: &Zones,
    ) -> (ExtraLookups, bool) {
        let desired = match group.map(|group| Desired::of(id, group, zones)) {
            Some(Ok(Some(desired))) => desired,
            // Tagged to be ignored, or with tags that cannot be read: nothing is done, so nothing is hinted.
            Some(Ok(None) | Err(_)) => return (ExtraLookups::default(), false),
            None => Desired::of_absent(id, zones),
        };
        let forward = zones.forward.place();
        let reverse: BTreeSet<Place> = zones.reverse.iter().map(|zone| zone.zone().place()).collect();
        let mut hints = ExtraLookups::default();
        if let Some(marks) = self.marks.get(&desired.owner) {
            let names = marks.names.iter().filter(|(place, _)| *place == forward);
            hints.names.extend(names.map(|(_, name)| name.clone()));
            let addresses = marks.addresses.iter().filter(|(place, _)| reverse.contains(place));
            hints.addresses.extend(addresses.map(|(_, address)| *address));
        }
        let held = hints.names.iter().map(|name| name.within(&zones.forward.name)).chain([desired.fqdn()]);
        for (place, address) in held.filter_map(|name| self.said.get(&name)).flatten() {
            if reverse.contains(place) {
                hints.addresses.insert(*address);
            }
        }
        let is_named = matches!(snapshot.a_record_set(&zones.forward, &desired.name), Ok(Some(_)));
        let is_concerned = is_named || hints != ExtraLookups::default();
        // The name that counts is looked at anyway.
        hints.names.remove(&desired.name);
        (hints, is_concerned)
    }

    /// The PTR values inside forward zones that were replaced, but for those in record sets that a plan changes.
    pub(super) fn former_values(&self, touched: &BTreeSet<(Place, RelativeName)>) -> Vec<Stray> {
        let is_left = |former: &&FormerValue| !touched.contains(&(former.place.clone(), former.name.clone()));
        let stray = |former: &FormerValue| Stray {
            record: format!("PTR {} {}", former.name.within(&former.place.2), former.value),
            owner: former.owner.clone(),
            reason: FORMER,
        };
        self.former.iter().filter(is_left).map(stray).collect()
    }

    /// The marked record sets that no verdict about a group covers.
    pub(super) fn strays(&self, snapshot: &Snapshot) -> Vec<Stray> {
        let mut strays = vec![];
        for (owner, marks) in &self.marks {
            let id = owner.container_group();
            let unknown = match (&id, self.serving.get(owner)) {
                (None, _) => Some("the mark names no container group"),
                (Some(_), None) => Some("no entry of ACI_DNS_ZONES serves this group any more"),
                (Some(id), Some(_)) if !snapshot.is_in_sight(id) => {
                    Some("this group was not looked for, so it is not known whether it lives")
                }
                (Some(_), Some(_)) => None,
            };
            let elsewhere = Some("another zone serves this group now");
            let serving = self.serving.get(owner);
            let is_forward = |place: &Place| serving.is_some_and(|zones| zones.forward.place() == *place);
            let is_reverse = |place: &Place| {
                serving.is_some_and(|zones| zones.reverse.iter().any(|zone| zone.zone().place() == *place))
            };
            let mut add = |record_type: &str, name: DomainName, reason: Option<&'static str>| {
                if let Some(reason) = reason {
                    strays.push(Stray {
                        record: format!("{record_type} {name}"),
                        owner: Some(owner.clone()),
                        reason,
                    });
                }
            };
            for (place, name) in &marks.names {
                let is_former = serving.is_some_and(|zones| zones.former_zones.contains(&place.2));
                let elsewhere = if is_former { Some(FORMER) } else { elsewhere };
                let reason = unknown.or(elsewhere.filter(|_| !is_forward(place)));
                add("A", name.within(&place.2), reason);
            }
            for (place, address) in &marks.addresses {
                let octets = address.octets();
                let name = octets.iter().rev().map(u8::to_string).collect::<Vec<_>>().join(".");
                let name = format!("{name}.in-addr.arpa").parse();
                let reason = unknown.or(elsewhere.filter(|_| !is_reverse(place)));
                if let Ok(name) = name {
                    add("PTR", name, reason);
                }
            }
            for (place, name) in &marks.others {
                let reason = unknown.or(Some("it is the record set of no address"));
                add("PTR", name.within(&place.2), reason);
            }
        }
        strays
    }
}
