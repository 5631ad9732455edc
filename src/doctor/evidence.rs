//! What a preflight saw: values, as far as something depends on them.
//!
//! What could not be looked at is never taken for absent: it stands here as what it is.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    config::{UnmatchedKeys, Zones},
    container_group::ContainerGroup,
    dns::{Place, RelativeName, ReverseZone, Zone},
    inventory::{Asker, EventSubscription, Link, Permission, Seen, Topic, ZoneState, ranges::Range},
    resource_id::{ContainerGroupId, ResourceId, Scope},
};

/// Everything that was seen.
#[derive(Debug)]
pub struct Evidence {
    /// Whoever asks.
    pub asker: Seen<Asker>,
    /// Whose rights were looked at, where not those of whoever asks.
    pub principal: Option<String>,
    /// The scopes of the map.
    pub scopes: BTreeMap<Scope, Territory>,
    /// What may be done in the whole of each subscription in which the map names resource groups.
    pub subscriptions: BTreeMap<String, Seen<Option<Vec<Permission>>>>,
    /// The zones of the map.
    pub zones: BTreeMap<Place, ZoneSight>,
    /// The ranges of the subnets that the groups of the map are in; nothing where there is no such subnet.
    pub subnets: BTreeMap<ResourceId, Seen<Option<Vec<Range>>>>,
    /// The zones that serve container groups together, each set once.
    pub serving: Vec<Zones>,
    /// Who is told of events, by subscription.
    pub events: BTreeMap<String, Events>,
    /// The keys of the map that match no resource group.
    pub unmatched: UnmatchedKeys,
    /// Requests to Resource Manager.
    pub requests: u32,
}

/// A scope of the map: a resource group, or a subscription.
#[derive(Debug)]
pub struct Territory {
    /// What whoever the rights are of may do there; nothing where there is no such resource group.
    pub rights: Seen<Option<Vec<Permission>>>,
    /// The container groups there.
    pub groups: Seen<Vec<(ContainerGroupId, ContainerGroup)>>,
}

/// A zone of the map.
#[derive(Debug)]
pub struct ZoneSight {
    /// Where it is.
    pub zone: Zone,
    /// The same, where it is a reverse zone.
    pub reverse: Option<ReverseZone>,
    /// Whether a group that exists needs it. Of several subscriptions, the map may mean one that has the zone and
    /// others that have not.
    pub is_needed: bool,
    /// The zone itself; nothing where it does not exist.
    pub state: Seen<Option<ZoneState>>,
    /// The virtual networks that resolve its names.
    pub links: Seen<Vec<Link>>,
    /// What whoever the rights are of may do there.
    pub rights: Seen<Vec<Permission>>,
    /// The names of the record sets without a mark, where a group under `strict` needs the zone.
    pub unmarked: Option<Seen<BTreeSet<RelativeName>>>,
}

/// Who is told of the events of a subscription.
#[derive(Debug)]
pub struct Events {
    /// The system topics of the subscription and of its resource groups.
    pub topics: Seen<Vec<Topic>>,
    /// The event subscriptions that stand in no topic of their own.
    pub loose: Seen<Vec<EventSubscription>>,
}
