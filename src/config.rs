//! Settings: read once from the environment, validated before the server binds.

use std::time::Duration;

use crate::{
    dns::{ReverseZone, Zone},
    resource_id::ContainerGroupId,
};

/// Everything that an operator decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which zones serve which container groups.
    pub zones: ZoneMap,
    /// What becomes of record sets without a mark.
    pub ownership: Ownership,
    /// What may be written.
    pub policy: Policy,
    /// What the records of a stopped group become.
    pub stopped: Stopped,
    /// How long one invocation waits for an address that is being assigned.
    pub address_wait: Duration,
    /// Hard limit of one invocation.
    pub deadline: Duration,
    /// Reconciliations in flight.
    pub max_concurrency: usize,
}

/// What becomes of a record set at a managed name that carries no mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ownership {
    /// It is taken over.
    #[default]
    Adopt,
    /// It is left alone.
    Strict,
}

/// What may be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Everything that is called for.
    #[default]
    Sync,
    /// Nothing is deleted.
    UpsertOnly,
    /// Nothing at all.
    Observe,
}

/// What a stopped group's records become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stopped {
    /// They are removed.
    #[default]
    Remove,
    /// They stay.
    Keep,
}

/// Which zones serve which container groups.
#[derive(Clone, Debug, Default)]
pub struct ZoneMap {}

/// The zones that serve one container group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zones {
    /// Where its A record set goes.
    pub forward: Zone,
    /// Where its PTR record set may go; none means no PTR records on purpose.
    pub reverse: Vec<ReverseZone>,
    /// Seconds for which an answer may be kept.
    pub ttl: u32,
}

impl ZoneMap {
    /// The zones that serve a container group, or nothing when it is not managed.
    #[must_use]
    pub fn serving(&self, _id: &ContainerGroupId) -> Option<Zones> {
        None
    }
}
