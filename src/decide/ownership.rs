//! Whose a record set is, and why one is not touched.

use super::{ObservedA, Rules};
use crate::{
    config::Ownership,
    desired::Desired,
    dns::{Owner, RecordSet},
};

/// Why a record set at our name or address is not touched.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Conflict {
    /// The mark names a group that lives, or whose life cannot be read.
    #[error("{record} belongs to the container group {owner}")]
    OtherGroup {
        /// Type and name of the record set.
        record: String,
        /// Whose it is.
        owner: Owner,
    },
    /// The platform registered it for a virtual machine.
    #[error("{0} is registered automatically for a virtual machine")]
    AutoRegistered(String),
    /// It carries no mark, and only marked record sets may be touched.
    #[error("{0} carries no owner mark, and ACI_DNS_OWNERSHIP is strict")]
    Unmarked(String),
    /// It carries no mark, and the name came from a tag.
    #[error("{0} carries no owner mark, and a name chosen by a tag takes over no such record set")]
    ChosenByTag(String),
}

/// Who a record set belongs to, as its mark says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OwnerMark {
    /// Our group.
    Ours,
    /// Nobody.
    None,
    /// Another group.
    Other(Owner),
    /// The platform.
    AutoRegistered,
}

impl OwnerMark {
    /// Reads the mark of a record set.
    #[must_use]
    pub fn of<Record>(record_set: &RecordSet<Record>, us: &Owner) -> Self {
        match record_set.owner() {
            _ if record_set.is_auto_registered => Self::AutoRegistered,
            None => Self::None,
            Some(owner) if owner == *us => Self::Ours,
            Some(owner) => Self::Other(owner),
        }
    }
}

/// Whether the A record set at our name is somebody else's.
#[must_use]
pub fn conflict(desired: &Desired, rules: Rules, observed: &ObservedA) -> Option<Conflict> {
    let record_set = observed.record_set.as_ref()?;
    let record = format!("the A record set {}", desired.fqdn());
    match OwnerMark::of(record_set, &desired.owner) {
        OwnerMark::Other(owner) if !observed.is_abandoned => Some(Conflict::OtherGroup { record, owner }),
        OwnerMark::AutoRegistered => Some(Conflict::AutoRegistered(record)),
        OwnerMark::None if rules.ownership == Ownership::Strict => Some(Conflict::Unmarked(record)),
        OwnerMark::None if desired.is_name_from_tag => Some(Conflict::ChosenByTag(record)),
        OwnerMark::Ours | OwnerMark::None | OwnerMark::Other(_) => None,
    }
}
