//! The owner of a record set, and the reasons not to change one.

use super::{Goal, Rules};
use crate::{
    config::Ownership,
    decide::desired::{Desired, secret},
    domain::{
        container_group::{AddressState, ContainerGroup},
        dns::{DomainName, Metadata, Owner, RecordSet, RelativeName, ZoneKey},
        resource_id::{ContainerGroupId, Scope},
        secret::SecretId,
    },
};

/// The metadata keys of other controllers. Private endpoints write `creator`; the others are customary.
/// Compared without regard to case.
const CONTROLLER_KEYS: [&str; 4] = ["creator", "managedBy", "managed-by", "owner"];

/// Why a record set at our name or address is not changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The group in its mark exists and should have this name, or cannot be read.
    #[error("{record} belongs to the container group {owner}")]
    OtherGroup {
        /// Type and name of the record set.
        record: String,
        /// Its owner.
        owner: Owner,
    },
    /// The service in its mark has members, or is another one.
    #[error("{record} belongs to the service {label} of {scope}")]
    Service {
        /// Type and name of the record set.
        record: String,
        /// The label of the service.
        label: String,
        /// Its resource group.
        scope: Scope,
    },
    /// The platform registered it for a virtual machine.
    #[error("{0} is registered automatically for a virtual machine")]
    AutoRegistered(String),
    /// Its metadata names another controller.
    #[error("{record} belongs to another controller: its metadata says {key} = {value:?}")]
    OtherController {
        /// Type and name of the record set.
        record: String,
        /// The metadata key.
        key: String,
        /// The metadata value.
        value: String,
    },
    /// It carries no mark, and only marked record sets may be changed.
    #[error(
        "{0} carries no owner mark, and ACI_DNS_OWNERSHIP is strict; to take it over, run: aci-dns sync --adopt (or --adopt-only, to write only the mark)"
    )]
    Unmarked(String),
    /// It carries no mark, but its PTR record set shows that it carried ours.
    #[error(
        "{0} has lost its owner mark: another program wrote it, and the PTR record set at its address still carries the mark; to restore it, run: aci-dns sync --adopt-only"
    )]
    LostMark(String),
    /// It carries no mark, and a tag chose the name.
    #[error(
        "{0} carries no owner mark, and such a record set is not taken over at a name that a tag chose; to take it over, run: aci-dns sync --adopt (or --adopt-only, to write only the mark)"
    )]
    ChosenByTag(String),
    /// A CNAME record set has the name.
    #[error("a CNAME record at {name} points to {target}; remove it, or choose another name")]
    Cname {
        /// The fully qualified name.
        name: DomainName,
        /// The target of the CNAME record.
        target: String,
    },
    /// Another existing group has the same address.
    #[error("{record} belongs to the container group {owner}, which has the same address")]
    SharedAddress {
        /// Type and name of the record set.
        record: String,
        /// The other group.
        owner: Owner,
    },
}

/// The owner in the metadata of a record set.
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
    /// Whether a record set carries no mark: neither of a group, nor of another controller, nor of the
    /// platform.
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

/// The parts of one read of the group in a mark that decisions use.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct OwnerObservation {
    /// The state of its address.
    pub state: AddressState,
    /// The forward zone and the name that it should have. Unknown for a group that is not mapped, that is
    /// ignored, or whose tags are invalid.
    pub name: Option<(ZoneKey, RelativeName)>,
    /// The secret that it should have.
    pub secret: OwnerSecret,
}

/// The secret that another group should have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum OwnerSecret {
    /// The group is deleted.
    Deleted,
    /// The group is not mapped, or ignored, or its tags are invalid: it keeps the secret.
    Unknown,
    /// This one, or none.
    Wanted(Option<SecretId>),
}

impl OwnerSecret {
    fn of(goal: &Goal, id: &ContainerGroupId, group: Option<&ContainerGroup>) -> Self {
        let Some(group) = group else { return Self::Deleted };
        let Some(zones) = goal.map.serving(id) else { return Self::Unknown };
        match (Desired::of(id, group, &zones), secret(id, group, &zones)) {
            (Ok(Some(_)), Ok(wanted)) => Self::Wanted(wanted.map(|wanted| wanted.id)),
            _ => Self::Unknown,
        }
    }
}

impl OwnerObservation {
    /// The observation of a group, or of its absence.
    #[must_use]
    pub fn of(goal: &Goal, id: &ContainerGroupId, group: Option<&ContainerGroup>) -> Self {
        let desired = group.and_then(|group| {
            let zones = goal.map.serving(id)?;
            Desired::of(id, group, &zones).ok().flatten()
        });
        let name = desired.map(|desired| (desired.zones.forward.key(), desired.name));
        // Only needed for a map with secrets.
        let secret = match goal.zones.secret {
            Some(_) => OwnerSecret::of(goal, id, group),
            None => OwnerSecret::Unknown,
        };
        Self { state: AddressState::of(group), name, secret }
    }

    /// Whether the group's mark is ignored at a name: the group is deleted, or should have another name.
    pub(super) fn frees(&self, desired: &Desired) -> bool {
        let is_elsewhere = |(zone, name): &(ZoneKey, RelativeName)| {
            *zone != desired.zones.forward.key() || *name != desired.name
        };
        self.state == AddressState::Deleted || self.name.as_ref().is_some_and(is_elsewhere)
    }
}

/// The conflict with the owner of an A record set.
pub(super) fn owner_conflict(record: String, owner: &Owner) -> Conflict {
    match owner.service() {
        Some((scope, label)) => Conflict::Service { record, label: label.to_owned(), scope },
        None => Conflict::OtherGroup { record, owner: owner.clone() },
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
