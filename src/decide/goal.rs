//! The subject and the rules of a decision.

use std::{collections::BTreeSet, net::Ipv4Addr, sync::Arc};

use crate::{
    config::{Ownership, Policy, Settings, Stopped, Takeover, ZoneMap, Zones},
    decide::desired::own_name,
    domain::{
        dns::{MEMORY_SECONDS, Owner, RelativeName},
        resource_id::ContainerGroupId,
    },
};

/// The settings for the record sets of one container group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules {
    /// The treatment of record sets without a mark.
    pub ownership: Ownership,
    /// Whether an unmarked record set at a name that a tag chose is taken over: only on request of an
    /// operator.
    pub adopts_tagged: bool,
    /// What may be written.
    pub policy: Policy,
    /// The treatment of the records of a stopped group.
    pub stopped: Stopped,
    /// The shortest time for which a previous address is kept, in seconds.
    pub memory_seconds: u64,
}

impl Rules {
    /// The rules of the map's entry, with the overrides of the command line.
    #[must_use]
    pub fn of(settings: &Settings, zones: &Zones) -> Self {
        let (ownership, adopts_tagged, policy) = match settings.takeover {
            Takeover::AsConfigured => (zones.ownership, false, zones.policy),
            Takeover::Never => (Ownership::Strict, false, zones.policy),
            Takeover::All => (Ownership::Adopt, true, zones.policy),
            Takeover::MarksOnly => (Ownership::Adopt, true, Policy::AdoptOnly),
        };
        let memory_seconds = MEMORY_SECONDS.max(settings.deadline.as_secs());
        Self { ownership, adopts_tagged, policy, stopped: settings.stopped, memory_seconds }
    }

    /// Whether writes are planned and never sent.
    #[must_use]
    pub fn is_dry_run(&self) -> bool {
        self.policy == Policy::Observe
    }

    /// Whether record sets and values may be removed.
    pub(super) fn may_remove(&self) -> bool {
        matches!(self.policy, Policy::Sync | Policy::Observe)
    }

    /// Whether an A record set stores its previous addresses.
    pub(super) fn remembers(&self) -> bool {
        self.policy != Policy::UpsertOnly
    }
}

/// The subject of a decision.
#[derive(Clone, Debug)]
pub struct Goal {
    /// The container group.
    pub id: ContainerGroupId,
    /// The owner mark of its record sets.
    pub owner: Owner,
    /// Its relative name without a tag.
    pub own_name: RelativeName,
    /// The zones that serve it.
    pub zones: Zones,
    /// The whole map, for the name that another group should have.
    pub map: Arc<ZoneMap>,
    /// Extra lookups.
    pub lookups: ExtraLookups,
    /// The purpose of the decision.
    pub purpose: Purpose,
    /// How much evidence a 404 has already.
    pub evidence: Evidence,
}

/// How much a 404 of the group proves. A new resource may answer 404 for some time, in another region for
/// minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Evidence {
    /// Nothing: the group may not be visible yet.
    #[default]
    None,
    /// If no record set carries the group's mark, there is nothing to do: after an event that may have ended
    /// with the group's absence.
    Absence,
    /// The group is deleted, if a confirmation agrees: after a delete event, an old event, or in a sweep.
    Deletion,
}

/// The purpose of a decision.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// The record sets become the desired ones.
    Reconcile,
    /// The record sets are compared with the desired ones. No step writes.
    Compare,
    /// Only the secret is reconciled: the zones are throttled.
    Publish,
}

/// Further lookups for a group that a list of whole zones suggests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtraLookups {
    /// Addresses whose PTR record set names the group or carries its mark.
    pub addresses: BTreeSet<Ipv4Addr>,
    /// Names in the forward zone whose A record set carries its mark.
    pub names: BTreeSet<RelativeName>,
}

impl Goal {
    /// The goal for a container group of the map; `None` if no entry manages it.
    #[must_use]
    pub fn new(id: &ContainerGroupId, map: &Arc<ZoneMap>, purpose: Purpose) -> Option<Self> {
        Some(Self {
            id: id.clone(),
            owner: Owner::from(id),
            own_name: own_name(id),
            zones: map.serving(id)?,
            map: Arc::clone(map),
            lookups: ExtraLookups::default(),
            purpose,
            evidence: Evidence::None,
        })
    }
}
