//! An inverted index of a snapshot: from a group to the record sets that carry its mark, and from a name to
//! the addresses whose PTR records point to it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    net::Ipv4Addr,
};

use crate::{
    azure::arm::Snapshot,
    config::{ZoneMap, Zones},
    decide::{ExtraLookups, desired::Desired},
    domain::{
        container_group::ContainerGroup,
        dns::{DomainName, Owner, PtrTarget, RelativeName, ReverseZone, ZoneKey},
        resource_id::{ContainerGroupId, Scope},
    },
    sweep::findings::UnattributedRecord,
};

/// The reason for records in a former zone.
const FORMER: &str = "it belongs to a replaced forward zone (formerZones)";

/// The index.
#[derive(Debug, Default)]
pub(super) struct Index {
    marks: BTreeMap<Owner, Marks>,
    /// The groups in owner marks.
    owners: BTreeSet<ContainerGroupId>,
    /// The addresses whose PTR records point to a name.
    ptr_addresses: HashMap<DomainName, Vec<(ZoneKey, Ipv4Addr)>>,
    /// The zones that serve each group in an owner mark.
    serving: BTreeMap<Owner, Zones>,
    managed: BTreeMap<ZoneKey, usize>,
    /// The resource groups whose services have a record set.
    services: BTreeSet<Scope>,
    /// PTR values inside replaced forward zones.
    former: Vec<FormerValue>,
}

/// A PTR value inside a replaced forward zone.
#[derive(Debug)]
struct FormerValue {
    place: ZoneKey,
    name: RelativeName,
    value: DomainName,
    owner: Option<Owner>,
}

/// The record sets that carry one mark.
#[derive(Debug, Default)]
struct Marks {
    names: Vec<(ZoneKey, RelativeName)>,
    addresses: Vec<(ZoneKey, Ipv4Addr)>,
    /// PTR record sets whose name is not an address.
    others: Vec<(ZoneKey, RelativeName)>,
}

impl Index {
    pub(super) fn of(snapshot: &Snapshot, map: &ZoneMap) -> Self {
        let mut index = Self::default();
        for (zone, name, set) in snapshot.a_record_sets() {
            if let Some(owner) = set.owner() {
                *index.managed.entry(zone.key()).or_default() += 1;
                let service = owner.service();
                if let Some((scope, label)) = service
                    && map.declares(&scope, label, zone)
                {
                    index.services.insert(scope);
                    continue;
                }
                index.marks_of(owner, map).names.push((zone.key(), name.clone()));
            }
        }
        let mut reverse: HashMap<ZoneKey, Option<ReverseZone>> = HashMap::new();
        for (zone, name, set) in snapshot.ptr_record_sets() {
            let place = zone.key();
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
            for target in set.content.records.iter().filter_map(PtrTarget::name) {
                index.ptr_addresses.entry(target).or_default().push((place.clone(), address));
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

    /// The number of record sets with an owner mark, by zone.
    pub(super) fn managed(&self) -> &BTreeMap<ZoneKey, usize> {
        &self.managed
    }

    /// The resource groups whose services have a record set.
    pub(super) fn services(&self) -> &BTreeSet<Scope> {
        &self.services
    }

    /// The groups in owner marks.
    pub(super) fn owners(&self) -> impl Iterator<Item = &ContainerGroupId> {
        self.owners.iter()
    }

    /// The extra lookups of a pass for a group, and whether any record in the zones refers to it.
    pub(super) fn about(
        &self,
        snapshot: &Snapshot,
        id: &ContainerGroupId,
        group: Option<&ContainerGroup>,
        zones: &Zones,
    ) -> (ExtraLookups, bool) {
        let desired = match group.map(|group| Desired::of(id, group, zones)) {
            Some(Ok(Some(desired))) => desired,
            // The group is ignored by a tag, or its tags are invalid: the pass does nothing, so it needs no
            // lookups.
            Some(Ok(None) | Err(_)) => return (ExtraLookups::default(), false),
            None => Desired::of_absent(id, zones),
        };
        let forward = zones.forward.key();
        let reverse: BTreeSet<ZoneKey> = zones.reverse.iter().map(|zone| zone.zone().key()).collect();
        let mut hints = ExtraLookups::default();
        if let Some(marks) = self.marks.get(&desired.owner) {
            let names = marks.names.iter().filter(|(place, _)| *place == forward);
            hints.names.extend(names.map(|(_, name)| name.clone()));
            let addresses = marks.addresses.iter().filter(|(place, _)| reverse.contains(place));
            hints.addresses.extend(addresses.map(|(_, address)| *address));
        }
        let held = hints.names.iter().map(|name| name.within(&zones.forward.name)).chain([desired.fqdn()]);
        for (place, address) in held.filter_map(|name| self.ptr_addresses.get(&name)).flatten() {
            if reverse.contains(place) {
                hints.addresses.insert(*address);
            }
        }
        let is_named = matches!(snapshot.a_record_set(&zones.forward, &desired.name), Ok(Some(_)));
        let is_concerned = is_named || hints != ExtraLookups::default();
        // The pass reads the effective name anyway.
        hints.names.remove(&desired.name);
        (hints, is_concerned)
    }

    /// The PTR values inside replaced forward zones, except those in record sets that a plan changes.
    pub(super) fn former_values(
        &self,
        touched: &BTreeSet<(ZoneKey, RelativeName)>,
    ) -> Vec<UnattributedRecord> {
        let is_left = |former: &&FormerValue| !touched.contains(&(former.place.clone(), former.name.clone()));
        let record = |former: &FormerValue| UnattributedRecord {
            record: format!("PTR {} {}", former.name.within(&former.place.2), former.value),
            owner: former.owner.clone(),
            reason: FORMER,
        };
        self.former.iter().filter(is_left).map(record).collect()
    }

    /// The record sets with a mark that belong to no group of the sweep.
    pub(super) fn unattributed(&self, snapshot: &Snapshot) -> Vec<UnattributedRecord> {
        let mut unattributed = vec![];
        for (owner, marks) in &self.marks {
            let id = owner.container_group();
            let unknown = match (&id, self.serving.get(owner)) {
                (None, _) if owner.service().is_some() => {
                    Some("no entry of ACI_DNS_ZONES declares this service")
                }
                (None, _) => Some("the mark names no container group"),
                (Some(_), None) => Some("no entry of ACI_DNS_ZONES serves this group"),
                (Some(id), Some(_)) if !snapshot.is_covered(id) => {
                    Some("this group was not listed, so it is not known whether it exists")
                }
                (Some(_), Some(_)) => None,
            };
            let elsewhere = Some("another zone now serves this group");
            let serving = self.serving.get(owner);
            let is_forward = |place: &ZoneKey| serving.is_some_and(|zones| zones.forward.key() == *place);
            let is_reverse = |place: &ZoneKey| {
                serving.is_some_and(|zones| zones.reverse.iter().any(|zone| zone.zone().key() == *place))
            };
            let mut add = |record_type: &str, name: DomainName, reason: Option<&'static str>| {
                if let Some(reason) = reason {
                    unattributed.push(UnattributedRecord {
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
                let reason = unknown.or(Some("its name is not an address"));
                add("PTR", name.within(&place.2), reason);
            }
        }
        unattributed
    }
}
