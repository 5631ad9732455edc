//! The subject of a decision about services, and its result.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::Arc,
};

use super::keys::{ObservedMember, ServiceKey};
use crate::{
    config::{ZoneMap, Zones},
    decide::{Conflict, Evidence, Purpose, change::Change},
    domain::{
        dns::{DomainName, RelativeName},
        resource_id::{ContainerGroupId, Scope},
    },
};

/// The largest number of records in a record set.
///
/// Source: <https://learn.microsoft.com/azure/azure-resource-manager/management/azure-subscription-service-limits#azure-dns-limits>
pub const MOST_ADDRESSES: usize = 20;

/// The subject of a decision.
#[derive(Clone, Debug)]
pub struct ServiceGoal {
    /// The resource group.
    pub scope: Scope,
    /// Its zones and services.
    pub zones: Zones,
    /// The whole map, for the names that other groups and services should have.
    pub map: Arc<ZoneMap>,
    /// The groups whose events ask for the decision.
    pub causes: BTreeMap<ContainerGroupId, Evidence>,
    /// The purpose of the decision. A comparison needs no confirmation, because it removes nothing.
    pub purpose: Purpose,
    /// Whether each member is read, also where the list agrees with the record sets.
    pub is_thorough: bool,
}

impl ServiceGoal {
    /// The goal for a resource group; `None` if it has no services.
    #[must_use]
    pub fn new(scope: Scope, map: &Arc<ZoneMap>, purpose: Purpose) -> Option<Self> {
        let zones = map.of_resource_group(&scope).filter(|zones| !zones.services.is_empty())?;
        let map = Arc::clone(map);
        Some(Self { scope, zones, map, causes: BTreeMap::new(), purpose, is_thorough: false })
    }
}

/// The result for one service.
#[derive(Clone, Debug)]
#[expect(clippy::struct_excessive_bools, reason = "each is a fact of its own")]
pub struct ServiceVerdict {
    /// The label of the service.
    pub name: RelativeName,
    /// The name of its record set.
    pub fqdn: DomainName,
    /// The addresses that the record set should hold.
    pub wanted: Vec<Ipv4Addr>,
    /// The addresses that it held.
    pub found: Vec<Ipv4Addr>,
    /// Whether the record set differs, in addresses, TTL or mark.
    pub is_different: bool,
    /// The members that were read, by id; from the list where they were not read.
    pub members: BTreeMap<ContainerGroupId, ObservedMember>,
    /// Every running member is draining, so their addresses stay.
    pub is_failing_open: bool,
    /// The record set holds an address that no listed group has, or may be wrong, because it or a member could not be read.
    pub has_unlisted: bool,
    /// The groups of the events that are deleted. The tags of a deleted group are not known.
    pub deleted: BTreeSet<ContainerGroupId>,
    /// The members are not known, because the list is missing.
    pub is_unlisted: bool,
    /// The record set was emptied, because Azure refused to delete it.
    pub is_emptied: bool,
    /// The change that the policy forbids.
    pub withheld: Option<Change>,
    /// The members that could not be read, with the failed read. Their trouble fails no other group.
    pub unreadable: BTreeMap<ContainerGroupId, ServiceKey>,
    /// Why the record set could not be made right.
    pub error: Option<ServiceError>,
}

/// Why the record set of a service could not be made right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ServiceError {
    /// The name belongs to another owner.
    Conflict(Conflict),
    /// More members than a record set holds.
    TooMany(usize),
    /// Each of the five passes lost a race or an answer.
    LostRaces,
    /// This request failed.
    Request(ServiceKey),
    /// The time of the invocation is up.
    Deadline,
}

impl ServiceVerdict {
    /// Whether the comparison itself failed.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        let is_cut_off = matches!(
            self.error,
            Some(ServiceError::Request(_) | ServiceError::LostRaces | ServiceError::Deadline)
        );
        is_cut_off || !self.unreadable.is_empty()
    }

    /// The difference in one line: wanted and found addresses.
    #[must_use]
    pub fn difference(&self) -> String {
        let list = |addresses: &[Ipv4Addr]| match addresses {
            [] => "none".to_owned(),
            addresses => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
        };
        format!("{}: wanted {}, found {}", self.fqdn, list(&self.wanted), list(&self.found))
    }

    /// Whether the failure of the service fails the invocation of a group: of a member, and of a deleted group while
    /// the record set holds an address that no listed group has.
    #[must_use]
    pub fn fails(&self, id: &ContainerGroupId) -> bool {
        let is_concerned = self.is_unlisted
            || self.members.contains_key(id)
            || (self.deleted.contains(id) && self.has_unlisted);
        self.unreadable.contains_key(id) || (self.error.is_some() && is_concerned)
    }
}
