//! What a preflight saw: values, as far as something depends on them.
//!
//! What could not be looked at is never taken for absent: it stands here as what it is.

use std::{collections::BTreeMap, fmt};

use super::ranges::Range;
use crate::{
    config::Zones,
    container_group::ContainerGroup,
    dns::{Place, ReverseZone, Zone},
    resource_id::{ContainerGroupId, ResourceId, Scope},
};

/// Something that was looked at, or why it could not be.
pub type Seen<Value> = Result<Value, Unseen>;

/// Why something could not be looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// Whoever asks has no right to.
    Forbidden {
        /// What was to be done, in words that follow "not permitted to".
        operation: String,
        /// The action that this needs.
        action: &'static str,
    },
    /// It failed.
    Failed(String),
}

impl fmt::Display for Unseen {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forbidden { operation, action } => {
                write!(formatter, "to {operation} needs action {action}")
            }
            Self::Failed(error) => formatter.write_str(error),
        }
    }
}

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
    /// Requests to Resource Manager.
    pub requests: u32,
}

/// Whom a token speaks for, as far as it says so.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asker {
    /// The id of the user, the service principal or the managed identity in Entra ID.
    pub object_id: Option<String>,
    /// The id of its application.
    pub application_id: Option<String>,
    /// The name of a person.
    pub name: Option<String>,
}

/// A scope of the map: a resource group, or a subscription.
#[derive(Debug)]
pub struct Territory {
    /// What whoever the rights are of may do there; nothing where there is no such resource group.
    pub rights: Seen<Option<Vec<Permission>>>,
    /// The container groups there.
    pub groups: Seen<Vec<(ContainerGroupId, ContainerGroup)>>,
}

/// What one role grants: actions less those that are excepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permission {
    /// What is granted; `*` stands for any text.
    pub actions: Vec<String>,
    /// What is excepted from it.
    pub not_actions: Vec<String>,
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
}

/// How full a zone is. Counts that Azure does not tell are left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZoneState {
    /// Record sets.
    pub record_sets: Quota,
    /// Links to virtual networks.
    pub links: Quota,
}

/// How much there is of something, and how much there may be.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// How much there is.
    pub used: u64,
    /// How much there may be; nothing where Azure does not tell.
    pub most: Option<u64>,
}

/// A link of a zone to a virtual network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    /// Its name.
    pub name: String,
    /// The virtual network.
    pub network: ResourceId,
    /// `virtualNetworkLinkState`: `Completed`, or `InProgress`.
    pub state: Option<String>,
    /// `provisioningState`.
    pub provisioning_state: Option<String>,
}

/// Who is told of the events of a subscription.
#[derive(Debug)]
pub struct Events {
    /// The system topics of the subscription and of its resource groups.
    pub topics: Seen<Vec<Topic>>,
    /// The event subscriptions that stand in no topic of their own.
    pub loose: Seen<Vec<EventSubscription>>,
}

/// A system topic.
#[derive(Debug)]
pub struct Topic {
    /// Its id.
    pub id: ResourceId,
    /// The subscription, or the resource group, whose events it tells.
    pub source: ResourceId,
    /// `provisioningState`.
    pub provisioning_state: Option<String>,
    /// Who is told.
    pub subscriptions: Seen<Vec<EventSubscription>>,
}

/// An event subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSubscription {
    /// Its id.
    pub id: ResourceId,
    /// What it stands in: a system topic, or the source of the events itself.
    pub topic: Option<ResourceId>,
    /// The function that is told, where it is one.
    pub function: Option<ResourceId>,
    /// `provisioningState`.
    pub provisioning_state: Option<String>,
    /// Which events are told.
    pub filter: Filter,
    /// Whether what cannot be delivered is kept.
    pub keeps_dead_letters: bool,
    /// When it ends by itself.
    pub expires: Option<String>,
}

/// Which events are told.
///
/// Source: <https://learn.microsoft.com/azure/event-grid/event-filtering>.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// These types; all, where it is empty.
    pub event_types: Vec<String>,
    /// How the subject begins.
    pub subject_begins_with: String,
    /// How the subject ends.
    pub subject_ends_with: String,
    /// Whether the case of the two counts.
    pub is_case_sensitive: bool,
    /// All of these.
    pub advanced: Vec<Condition>,
}

/// A condition on one value of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// Such as `StringContains`.
    pub operator: String,
    /// Such as `subject`, `data.operationName`.
    pub key: String,
    /// Any of these.
    pub values: Vec<String>,
}
