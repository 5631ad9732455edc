//! The evidence of a preflight.
//!
//! A failed read is stored as a failure; it never counts as absent.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    config::{UnmatchedKeys, Zones},
    domain::{
        container_group::ContainerGroup,
        dns::{RelativeName, ReverseZone, Zone, ZoneKey},
        inventory::{
            Caller, EventSubscription, Link, Permission, Seen, Topic, VaultState, ZoneState, ranges::Range,
        },
        resource_id::{ContainerGroupId, ResourceId, Scope},
        secret::{SecretId, Vault},
    },
};

/// Everything that was read.
#[derive(Debug)]
pub struct Inspection {
    /// The caller.
    pub caller: Seen<Caller>,
    /// The principal whose rights are checked, if it is not the caller.
    pub principal: Option<String>,
    /// The scopes of the map.
    pub scopes: BTreeMap<Scope, ScopeEvidence>,
    /// The permissions in the whole of each subscription in which the map names resource groups.
    pub subscriptions: BTreeMap<String, Seen<Option<Vec<Permission>>>>,
    /// The zones of the map.
    pub zones: BTreeMap<ZoneKey, ZoneInspection>,
    /// The ranges of the subnets of the groups; `None` if the subnet does not exist.
    pub subnets: BTreeMap<ResourceId, Seen<Option<Vec<Range>>>>,
    /// The sets of zones that serve container groups, each once.
    pub serving: Vec<Zones>,
    /// The event subscriptions, by subscription.
    pub events: BTreeMap<String, EventSubscriptions>,
    /// The keys of the map that match no resource group.
    pub unmatched: UnmatchedKeys,
    /// Requests to Resource Manager.
    pub requests: u32,
    /// Whether the retry queue exists, or why it could not be read; `None` if no queue is set.
    pub retry_queue: Option<Result<bool, String>>,
    /// The key vaults of the map.
    pub vaults: BTreeMap<Vault, VaultInspection>,
}

/// A key vault of the map.
#[derive(Debug)]
pub struct VaultInspection {
    /// The vault in Resource Manager; `None` if it is in none of the subscriptions of the map.
    pub state: Seen<Option<VaultState>>,
    /// The permissions at the vault (`None`), and at single secrets if those are not sufficient.
    pub rights: BTreeMap<Option<SecretId>, Seen<Option<Vec<Permission>>>>,
    /// The secrets that existing groups should have.
    pub secrets: BTreeMap<SecretId, SecretInspection>,
}

/// The state of a secret for the caller.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretInspection {
    /// It can be read, or it does not exist and its name is free.
    Readable,
    /// It is deleted and recoverable, so its name is reserved.
    Deleted,
    /// It is disabled.
    Disabled,
    /// It could not be read.
    Unseen(String),
}

/// A scope of the map: a resource group, or a subscription.
#[derive(Debug)]
pub struct ScopeEvidence {
    /// The permissions there; `None` if the resource group does not exist.
    pub rights: Seen<Option<Vec<Permission>>>,
    /// The container groups there.
    pub groups: Seen<Vec<(ContainerGroupId, ContainerGroup)>>,
}

/// A zone of the map.
#[derive(Debug)]
pub struct ZoneInspection {
    /// Its location.
    pub zone: Zone,
    /// The zone as a reverse zone, if it is one.
    pub reverse: Option<ReverseZone>,
    /// Whether an existing group needs it. A key of the map may match several subscriptions of which only
    /// some contain the zone.
    pub is_needed: bool,
    /// The zone itself; `None` if it does not exist.
    pub state: Seen<Option<ZoneState>>,
    /// The resource groups with a zone of this name, if the zone does not exist.
    pub elsewhere: Vec<String>,
    /// The links to virtual networks.
    pub links: Seen<Vec<Link>>,
    /// The permissions there.
    pub rights: Seen<Vec<Permission>>,
    /// The names of the record sets without a mark, if a group under `strict` needs the zone.
    pub unmarked: Option<Seen<BTreeSet<RelativeName>>>,
}

/// The event subscriptions of a subscription.
#[derive(Debug)]
pub struct EventSubscriptions {
    /// The system topics of the subscription and of its resource groups.
    pub topics: Seen<Vec<Topic>>,
    /// The event subscriptions without a system topic.
    pub loose: Seen<Vec<EventSubscription>>,
}
