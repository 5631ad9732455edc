//! What Azure says about the surroundings of container groups and record sets: identities, permissions, zones, links,
//! subnets, and event subscriptions.
//!
//! Pure values: [`crate::arm`] reads them and [`crate::doctor`] judges them.

pub mod ranges;

use std::fmt;

use crate::resource_id::ResourceId;

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

/// What one role grants: actions less those that are excepted.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permission {
    /// What is granted; `*` stands for any text.
    pub actions: Vec<String>,
    /// What is excepted from it.
    pub not_actions: Vec<String>,
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
