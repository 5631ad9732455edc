//! The resources around container groups and record sets: identities, permissions, zones, links, subnets, and
//! event subscriptions.
//!
//! Pure values: [`crate::azure::arm`] reads them, and [`crate::doctor`] checks them.

pub mod ranges;

use std::fmt;

use crate::domain::resource_id::ResourceId;

/// The result of a read, or why the read failed.
pub type Seen<Value> = Result<Value, Unseen>;

/// Why a read failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unseen {
    /// The caller lacks the right.
    Forbidden {
        /// The operation, in words that follow "not permitted to".
        operation: String,
        /// The action that the operation needs.
        action: &'static str,
    },
    /// Another failure.
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

/// The identity of a token. Claims may be missing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// The id of the user, the service principal or the managed identity in Entra ID.
    pub object_id: Option<String>,
    /// The id of its application.
    pub application_id: Option<String>,
    /// The name of a user.
    pub name: Option<String>,
}

/// The permissions of one role: actions without exceptions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Permission {
    /// The granted actions; `*` stands for any text.
    pub actions: Vec<String>,
    /// The exceptions.
    pub not_actions: Vec<String>,
    /// The granted actions on data, such as secrets.
    pub data_actions: Vec<String>,
    /// The exceptions.
    pub not_data_actions: Vec<String>,
}

/// A key vault.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VaultState {
    /// Its id.
    pub id: ResourceId,
    /// The host of its URL.
    pub host: String,
    /// Whether roles give rights to its secrets, not access policies.
    pub uses_roles: bool,
    /// Whether its network rules refuse callers by default.
    pub is_closed: bool,
}

/// The use of a zone's quotas.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ZoneState {
    /// Record sets.
    pub record_sets: Quota,
    /// Links to virtual networks.
    pub links: Quota,
}

/// The use of a quota.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Quota {
    /// The number in use.
    pub used: u64,
    /// The limit; `None` if Azure does not report it.
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
    /// The subscription or resource group whose events it publishes.
    pub source: ResourceId,
    /// `provisioningState`.
    pub provisioning_state: Option<String>,
    /// The event subscriptions of the topic.
    pub subscriptions: Seen<Vec<EventSubscription>>,
}

/// An event subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventSubscription {
    /// Its id.
    pub id: ResourceId,
    /// The parent: a system topic, or the source of the events itself.
    pub topic: Option<ResourceId>,
    /// The function at which it delivers, if the destination is a function.
    pub function: Option<ResourceId>,
    /// `provisioningState`.
    pub provisioning_state: Option<String>,
    /// Which events it delivers.
    pub filter: Filter,
    /// Whether it stores undeliverable events.
    pub keeps_dead_letters: bool,
    /// When it expires.
    pub expires: Option<String>,
}

/// Which events an event subscription delivers.
///
/// Source: <https://learn.microsoft.com/azure/event-grid/event-filtering>.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// The delivered types; all types, if empty.
    pub event_types: Vec<String>,
    /// The required prefix of the subject.
    pub subject_begins_with: String,
    /// The required suffix of the subject.
    pub subject_ends_with: String,
    /// Whether prefix and suffix are compared with regard to case.
    pub is_case_sensitive: bool,
    /// Conditions that must all hold.
    pub advanced: Vec<Condition>,
}

/// A condition on one value of an event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Condition {
    /// For example `StringContains`.
    pub operator: String,
    /// For example `subject` or `data.operationName`.
    pub key: String,
    /// Values of which one must match.
    pub values: Vec<String>,
}
