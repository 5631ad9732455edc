//! Whose a record set is, and why one is not touched.

use super::{Goal, Rules};
use crate::{
    config::Ownership,
    container_group::{AddressState, ContainerGroup},
    desired::Desired,
    dns::{DomainName, Metadata, Owner, Place, RecordSet, RelativeName},
    resource_id::ContainerGroupId,
};

/// The metadata keys by which other controllers mark their record sets. Private endpoints write `creator`; the others
/// are customary. Azure compares none of them; case does not count here.
const CONTROLLER_KEYS: [&str; 4] = ["creator", "managedBy", "managed-by", "owner"];

/// Why a record set at our name or address is not touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The mark names a group that lives and should have this name, or that cannot be read.
    #[error("{record} belongs to the container group {owner}")]
    OtherGroup {
        /// Type and name of the record set.
        record: String,
        /// Its owner.
        owner: Owner,
    },
    /// The platform registered it for a virtual machine.
    #[error("{0} is registered automatically for a virtual machine")]
    AutoRegistered(String),
    /// Its metadata says that another controller writes it.
    #[error("{record} belongs to another controller: its metadata says {key} = {value:?}")]
    OtherController {
        /// Type and name of the record set.
        record: String,
        /// The metadata key.
        key: String,
        /// The metadata value.
        value: String,
    },
    /// It carries no mark, and only marked record sets may be touched.
    #[error(
        "{0} carries no owner mark, and ACI_DNS_OWNERSHIP is strict; to take it over, run: aci-dns sync --adopt (or --adopt-only, to write the mark alone)"
    )]
    Unmarked(String),
    /// It carries no mark, and a PTR record set shows that it carried ours.
    #[error(
        "{0} has lost its owner mark: another program wrote it, and the PTR record set at its address still carries the mark; to restore it, run: aci-dns sync --adopt-only"
    )]
    LostMark(String),
    /// It carries no mark, and the name came from a tag.
    #[error(
        "{0} carries no owner mark, and a name chosen by a tag takes over no such record set; to take it over, run: aci-dns sync --adopt (or --adopt-only, to write the mark alone)"
    )]
    ChosenByTag(String),
    /// A CNAME record stands at the name.
    #[error("a CNAME record stands at {name} and points to {target}; remove it, or choose another name")]
    Cname {
        /// The fully qualified name.
        name: DomainName,
        /// Where the CNAME points to.
        target: String,
    },
    /// Another group that lives shows the same address.
    #[error("{record} belongs to the container group {owner}, which has the same address")]
    SharedAddress {
        /// Type and name of the record set.
        record: String,
        /// The other group.
        owner: Owner,
    },
}

/// Which owner a record set names in its metadata.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnerMark {
    /// Our group.
    Ours,
    /// None.
    None,
    /// Another group.
    Other(Owner),
    /// Another controller, by this key and value.
    OtherController {
        /// The metadata key.
        key: String,
        /// The metadata value.
        value: String,
    },
    /// The platform.
    AutoRegistered,
}

impl OwnerMark {
    /// Whether a record set carries no mark: not of a group, of another controller, or of the platform.
    #[must_use]
    pub fn is_missing<Record>(record_set: &RecordSet<Record>) -> bool {
        !record_set.is_auto_registered
            && record_set.owner().is_none()
            && other_controller(&record_set.content.metadata).is_none()
    }

    /// Reads the mark of a record set.
    #[must_use]
    pub fn of<Record>(record_set: &RecordSet<Record>, us: &Owner) -> Self {
        match record_set.owner() {
            _ if record_set.is_auto_registered => Self::AutoRegistered,
            Some(owner) if owner == *us => Self::Ours,
            Some(owner) => Self::Other(owner),
            None => other_controller(&record_set.content.metadata).unwrap_or(Self::None),
        }
    }
}

fn other_controller(metadata: &Metadata) -> Option<OwnerMark> {
    let is_mark = |key: &str| CONTROLLER_KEYS.iter().any(|known| known.eq_ignore_ascii_case(key));
    let (key, value) = metadata.iter().find(|(key, _)| is_mark(key))?;
    Some(OwnerMark::OtherController { key: key.clone(), value: value.clone() })
}

/// What one GET of the group that a mark names shows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnerObservation {
    /// What its address is treated as.
    pub state: AddressState,
    /// The forward zone and the name that it should have, where that is known. It is not known of a group that is not
    /// mapped, that is ignored, or whose tags cannot be read.
    pub name: Option<(Place, RelativeName)>,
}

impl OwnerObservation {
    /// What a group, or its absence, shows.
    #[must_use]
    pub fn of(goal: &Goal, id: &ContainerGroupId, group: Option<&ContainerGroup>) -> Self {
        let desired = group.and_then(|group| {
            let zones = goal.map.serving(id)?;
            Desired::of(id, group, &zones).ok().flatten()
        });
        let name = desired.map(|desired| (desired.zones.forward.place(), desired.name));
        Self { state: AddressState::of(group), name }
    }

    /// Whether the group's mark counts for nothing at a name: it is deleted, or should have another name.
    pub(super) fn frees(&self, desired: &Desired) -> bool {
        let is_elsewhere = |(zone, name): &(Place, RelativeName)| {
            *zone != desired.zones.forward.place() || *name != desired.name
        };
        self.state == AddressState::Deleted || self.name.as_ref().is_some_and(is_elsewhere)
    }
}

/// Whether an A record set without a mark, or with that of the platform or another controller, is a conflict.
#[must_use]
pub fn unmarked_conflict(desired: &Desired, rules: Rules, mark: &OwnerMark) -> Option<Conflict> {
    let record = format!("the A record set {}", desired.fqdn());
    match mark {
        OwnerMark::AutoRegistered => Some(Conflict::AutoRegistered(record)),
        OwnerMark::OtherController { key, value } => {
            Some(Conflict::OtherController { record, key: key.clone(), value: value.clone() })
        }
        OwnerMark::None if rules.ownership == Ownership::Strict => Some(Conflict::Unmarked(record)),
        OwnerMark::None if desired.is_name_from_tag && !rules.adopts_tagged => {
            Some(Conflict::ChosenByTag(record))
        }
        OwnerMark::None | OwnerMark::Ours | OwnerMark::Other(_) => None,
    }
}
