//! What a decision about services reads, and what each read tells.

use std::{collections::BTreeMap, net::Ipv4Addr};

use crate::{
    config::ZoneMap,
    decide::desired::{Desired, ServiceTags},
    domain::{
        container_group::{AddressState, ContainerGroup},
        dns::{ARecordSet, Owner, RelativeName, Zone},
        resource_id::ContainerGroupId,
    },
};

/// The key of a fact.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ServiceKey {
    /// The container groups of the resource group.
    Groups,
    /// The same list, at least three seconds later.
    GroupsAgain,
    /// The A record set of a service.
    Set(RelativeName),
    /// The CNAME record set at the name of a service.
    Cname(RelativeName),
    /// A container group.
    Group(ContainerGroupId),
    /// The same container group, at least three seconds later.
    GroupAgain(ContainerGroupId),
    /// Whether the owner in the mark of the service's record set gives the name up.
    Owner(RelativeName, Owner),
    /// The same, at least three seconds later.
    OwnerAgain(RelativeName, Owner),
    /// The A record set after a write.
    SetAfter(RelativeName),
    /// A container group after a write of the service.
    GroupAfter(RelativeName, ContainerGroupId),
    /// The container groups of the resource group after a write of the service that removed an address.
    GroupsAfter(RelativeName),
}

impl ServiceKey {
    /// The read that this one confirms.
    #[must_use]
    pub fn first(&self) -> Option<Self> {
        match self {
            Self::GroupsAgain => Some(Self::Groups),
            Self::GroupAgain(id) => Some(Self::Group(id.clone())),
            Self::OwnerAgain(name, owner) => Some(Self::Owner(name.clone(), owner.clone())),
            _ => None,
        }
    }
}

/// What a read tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceFact {
    /// The managed container groups of the resource group.
    Groups(BTreeMap<ContainerGroupId, ObservedMember>),
    /// An A record set, if there is one.
    Set(Option<ARecordSet>),
    /// The target of a CNAME record set, if there is one.
    Cname(Option<String>),
    /// A container group.
    Group(ObservedMember),
    /// Whether an owner gives a name up.
    Owner {
        /// It is deleted, should have another name, or has no members.
        is_free: bool,
    },
}

/// The parts of one read of a container group that decisions about services use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedMember {
    /// The state of its address. A list does not tell that a group is stopped.
    pub state: AddressState,
    /// The address that Azure shows, whatever the state.
    pub shown: Option<Ipv4Addr>,
    /// The tags about services.
    pub tags: ServiceTags,
}

impl ObservedMember {
    /// What a read says about a group, or about its absence.
    #[must_use]
    pub fn of(group: Option<&ContainerGroup>) -> Self {
        Self {
            state: AddressState::of(group),
            shown: group.and_then(ContainerGroup::shown_address),
            tags: group.map(ServiceTags::of).unwrap_or_default(),
        }
    }
}

/// Whether a group gives up a name in a zone: it is deleted, or should have another name.
#[must_use]
pub fn gives_up(
    map: &ZoneMap,
    id: &ContainerGroupId,
    group: Option<&ContainerGroup>,
    (zone, name): (&Zone, &RelativeName),
) -> bool {
    let Some(group) = group else { return true };
    let desired = map.serving(id).and_then(|zones| Desired::of(id, group, &zones).ok().flatten());
    desired.is_some_and(|desired| desired.zones.forward.key() != zone.key() || desired.name != *name)
}
