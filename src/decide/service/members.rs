//! The members of a service, and the addresses that its record set should hold.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

use super::{
    keys::{ObservedMember, ServiceKey},
    verdict::{MOST_ADDRESSES, ServiceGoal},
};
use crate::{
    config::Service,
    decide::Evidence,
    domain::{
        container_group::AddressState,
        dns::ARecordSet,
        resource_id::{ContainerGroupId, fold},
    },
};

/// Whether a group belongs to a service: its tag lists the label, or its name matches. A group of a standby pool
/// belongs to none.
#[must_use]
pub fn belongs(service: &Service, id: &ContainerGroupId, seen: &ObservedMember) -> bool {
    let is_named = seen.tags.labels.iter().any(|label| label == service.name.as_str());
    !seen.tags.is_ignored
        && seen.state != AddressState::StandbyPool
        && (is_named || service.groups.matches(id.name()))
}

/// The container groups that matter for one service.
#[derive(Clone)]
pub(super) struct Membership<'a> {
    service: &'a Service,
    listed: Option<&'a BTreeMap<ContainerGroupId, ObservedMember>>,
    /// The groups of the events that may be members although the list does not say so.
    own: BTreeSet<ContainerGroupId>,
    read: BTreeMap<ContainerGroupId, &'a ObservedMember>,
    unreadable: BTreeMap<ContainerGroupId, ServiceKey>,
    /// Whether the group of an event may be a member.
    pub(super) is_concerned: bool,
}

/// The addresses that a record set should hold.
pub(super) struct Wanted {
    /// In ascending order.
    pub(super) addresses: Vec<Ipv4Addr>,
    pub(super) is_failing_open: bool,
    /// The number of members that count, if it is too large.
    pub(super) too_many: Option<usize>,
}

impl<'a> Membership<'a> {
    /// The members by the list; without a list, those by the names of the events' groups.
    pub(super) fn listed(
        goal: &ServiceGoal,
        service: &'a Service,
        listed: Option<&'a BTreeMap<ContainerGroupId, ObservedMember>>,
    ) -> Self {
        let is_own = |(id, evidence): &(&ContainerGroupId, &Evidence)| {
            goal.map.serves(id)
                && match listed.and_then(|listed| listed.get(*id)) {
                    Some(seen) => belongs(service, id, seen),
                    // After a delete event, the tags of the group are not known any more.
                    None => service.groups.matches(id.name()) || **evidence != Evidence::Deletion,
                }
        };
        let own: BTreeSet<_> = goal.causes.iter().filter(is_own).map(|(id, _)| id.clone()).collect();
        let is_concerned = !own.is_empty();
        Self { service, listed, own, read: BTreeMap::new(), unreadable: BTreeMap::new(), is_concerned }
    }

    /// The groups to read.
    pub(super) fn to_read(&self, set: Option<&ARecordSet>) -> BTreeSet<ContainerGroupId> {
        let held = |address: Ipv4Addr| set.is_some_and(|set| set.content.records.contains(&address));
        let listed = self.listed.into_iter().flatten();
        let listed = listed
            .filter(|(id, seen)| belongs(self.service, id, seen) || seen.shown.is_some_and(held))
            .map(|(id, _)| id.clone());
        listed.chain(self.own.iter().cloned()).collect()
    }

    /// Learns the read of a group, or that it failed.
    pub(super) fn learn(&mut self, id: ContainerGroupId, seen: Result<&'a ObservedMember, ServiceKey>) {
        match seen {
            Ok(seen) => _ = self.read.insert(id, seen),
            Err(key) => _ = self.unreadable.insert(id, key),
        }
    }

    /// What is known of a group: its read, or else the list.
    pub(super) fn get(&self, id: &ContainerGroupId) -> Option<&'a ObservedMember> {
        self.read.get(id).copied().or_else(|| self.listed.and_then(|listed| listed.get(id)))
    }

    /// The groups that could not be read.
    pub(super) fn unreadable(&self) -> &BTreeMap<ContainerGroupId, ServiceKey> {
        &self.unreadable
    }

    /// The groups of the events that neither the list nor a read shows.
    pub(super) fn deleted(&self, goal: &ServiceGoal) -> BTreeSet<ContainerGroupId> {
        let is_deleted = |id: &&ContainerGroupId| match self.read.get(*id) {
            Some(seen) => seen.state == AddressState::Deleted,
            None => self.listed.is_some_and(|listed| !listed.contains_key(*id)),
        };
        goal.causes.keys().filter(is_deleted).cloned().collect()
    }

    /// Whether the list is missing.
    pub(super) fn is_unlisted(&self) -> bool {
        self.listed.is_none() && self.read.is_empty() && self.unreadable.is_empty()
    }

    fn members(&self) -> BTreeMap<ContainerGroupId, &'a ObservedMember> {
        let ids = self.listed.into_iter().flatten().map(|(id, _)| id).chain(self.read.keys());
        let known = ids.filter_map(|id| Some((id.clone(), self.get(id)?)));
        known.filter(|(id, seen)| belongs(self.service, id, seen)).collect()
    }

    pub(super) fn into_members(self) -> BTreeMap<ContainerGroupId, ObservedMember> {
        self.members().into_iter().map(|(id, seen)| (id, seen.clone())).collect()
    }

    /// The addresses that our record set should hold.
    pub(super) fn wanted(&self, goal: &ServiceGoal, set: Option<&ARecordSet>) -> Wanted {
        let held = |address: &Ipv4Addr| set.is_some_and(|set| set.content.records.contains(address));
        let (mut counting, mut draining, mut kept) = (Vec::new(), Vec::new(), Vec::new());
        for (id, seen) in self.members() {
            match seen.state {
                _ if self.unreadable.contains_key(&id) => kept.extend(seen.shown.filter(held)),
                AddressState::Running(address) if goal.zones.accepts(address) => {
                    let to = if seen.tags.is_draining { &mut draining } else { &mut counting };
                    to.push((fold(id.name()), address));
                }
                AddressState::Pending => kept.extend(seen.shown.filter(held)),
                _ => {}
            }
        }
        // A group whose read failed keeps its address, member or not.
        let others = self.unreadable.keys().filter_map(|id| self.get(id)?.shown).filter(held);
        kept.extend(others);
        let is_failing_open = counting.is_empty() && !draining.is_empty();
        if is_failing_open {
            counting = draining;
        }
        counting.sort();
        let too_many = Some(counting.len()).filter(|count| *count > MOST_ADDRESSES);
        let mut addresses: BTreeSet<_> =
            counting.into_iter().take(MOST_ADDRESSES).map(|(_, address)| address).collect();
        for address in kept {
            if addresses.len() < MOST_ADDRESSES {
                addresses.insert(address);
            }
        }
        Wanted { addresses: addresses.into_iter().collect(), is_failing_open, too_many }
    }

    /// The groups that show one of these addresses.
    pub(super) fn showing(&self, addresses: &BTreeSet<Ipv4Addr>) -> BTreeSet<ContainerGroupId> {
        let shows = |seen: &ObservedMember| seen.shown.is_some_and(|shown| addresses.contains(&shown));
        let listed = self.listed.into_iter().flatten().filter(|(_, seen)| shows(seen)).map(|(id, _)| id);
        let read = self.read.iter().filter(|(_, seen)| shows(seen)).map(|(id, _)| id);
        listed.chain(read).filter(|id| self.read.contains_key(*id)).cloned().collect()
    }

    /// The groups whose second read is needed before these addresses leave.
    pub(super) fn to_confirm(&self, leaving: &BTreeSet<Ipv4Addr>) -> BTreeSet<ContainerGroupId> {
        let is_ended = |id: &ContainerGroupId| {
            self.read.get(id).is_some_and(|seen| {
                matches!(seen.state, AddressState::Deleted | AddressState::Released | AddressState::Deleting)
            })
        };
        self.showing(leaving).into_iter().filter(is_ended).collect()
    }

    /// Whether a listed or read group shows this address, so that its own read decides.
    pub(super) fn explains(&self, address: Ipv4Addr) -> bool {
        let shows = |seen: &ObservedMember| seen.shown == Some(address);
        self.listed.into_iter().flatten().any(|(_, seen)| shows(seen))
            || self.read.values().any(|seen| shows(seen))
    }

    /// Of these addresses, those that no group had when it was read, so that any group may get them.
    pub(super) fn released(&self, addresses: &BTreeSet<Ipv4Addr>) -> BTreeSet<Ipv4Addr> {
        let has = |seen: &ObservedMember, address: Ipv4Addr| {
            let is_held = matches!(seen.state, AddressState::Running(_) | AddressState::Pending);
            is_held && seen.shown == Some(address)
        };
        let is_held = |address: &Ipv4Addr| self.read.values().any(|seen| has(seen, *address));
        addresses.iter().copied().filter(|address| !is_held(address)).collect()
    }

    /// Whether a later list shows a member with one of these addresses, which it did not have when it was read.
    pub(super) fn is_taken(
        &self,
        later: &BTreeMap<ContainerGroupId, ObservedMember>,
        released: &BTreeSet<Ipv4Addr>,
    ) -> bool {
        let mut members = later.iter().filter(|(id, seen)| belongs(self.service, id, seen));
        members.any(|(id, seen)| {
            let has_released = seen.shown.is_some_and(|shown| released.contains(&shown));
            has_released && self.read.get(id).is_none_or(|read| read.shown != seen.shown)
        })
    }

    /// Whether a second list says something else: a member has one of these addresses, or, before the record set is
    /// deleted, there is a member that was not read, or that came back after it was read.
    pub(super) fn is_contradicted(
        &self,
        again: &BTreeMap<ContainerGroupId, ObservedMember>,
        unexplained: &[&Ipv4Addr],
        is_deletion: bool,
    ) -> bool {
        let mut members = again.iter().filter(|(id, seen)| belongs(self.service, id, seen));
        members.any(|(id, seen)| {
            let has_address = seen.shown.is_some_and(|shown| unexplained.contains(&&shown));
            let is_new = match self.read.get(id) {
                Some(read) => came_back(read, seen),
                None => !self.unreadable.contains_key(id),
            };
            has_address || (is_deletion && is_new)
        })
    }
}

/// Whether a later list shows a group that was deleted or being provisioned when it was read and is not any more, or shows
/// it at another address. What a list says about the address of a stopped group is not documented, so that alone proves
/// nothing.
fn came_back(read: &ObservedMember, listed: &ObservedMember) -> bool {
    let is_stopped = read.state == AddressState::Released && read.shown.is_none();
    let is_elsewhere = listed.shown.is_some() && read.shown != listed.shown;
    let has_begun = matches!(read.state, AddressState::Deleted | AddressState::Pending);
    (has_begun && read.state != listed.state) || (is_elsewhere && !is_stopped)
}
