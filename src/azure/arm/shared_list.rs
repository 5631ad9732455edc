//! One list of a zone that stands for the single reads of many invocations.
//!
//! It keeps the record sets that somebody asked for, so that its size does not depend on the zone. A record set that
//! cannot be represented is left out, and its name is known: a single read tells more about it.

use std::collections::BTreeSet;

use tokio::time::Instant;

use super::{ArmError, Reader, ReaderSource, RecordSetList, Snapshot, records};
use crate::{
    decide::report::RequestRecord,
    domain::dns::{ARecordSet, PtrRecordSet, RecordType, RelativeName, Zone},
};

/// The record sets that a list keeps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WantedNames {
    /// All of them.
    All,
    /// Those with these names.
    Names(BTreeSet<RelativeName>),
}

impl WantedNames {
    /// Whether the list keeps the record set of this name.
    #[must_use]
    pub fn contains(&self, name: &RelativeName) -> bool {
        match self {
            Self::All => true,
            Self::Names(names) => names.contains(name),
        }
    }

    /// What one or the other keeps.
    #[must_use]
    pub fn merged(self, other: Self) -> Self {
        match (self, other) {
            (Self::Names(mut names), Self::Names(others)) => {
                names.extend(others);
                Self::Names(names)
            }
            (Self::All, _) | (_, Self::All) => Self::All,
        }
    }
}

/// The answer to a list, and what it cost.
#[derive(Debug)]
pub struct SharedList {
    snapshot: Snapshot,
    left_out: BTreeSet<RelativeName>,
    calls: u32,
    request_records: Vec<RequestRecord>,
}

impl SharedList {
    /// An A record set; `None` if the list does not contain it. Fails if the list failed.
    pub fn a_record_set(&self, zone: &Zone, name: &RelativeName) -> Result<Option<ARecordSet>, ArmError> {
        self.snapshot.a_record_set(zone, name)
    }

    /// A PTR record set, likewise.
    pub fn ptr_record_set(&self, zone: &Zone, name: &RelativeName) -> Result<Option<PtrRecordSet>, ArmError> {
        self.snapshot.ptr_record_set(zone, name)
    }

    /// All A record sets that the list keeps.
    pub fn a_record_sets(&self, zone: &Zone) -> Result<Vec<(RelativeName, ARecordSet)>, ArmError> {
        self.snapshot.list_a_record_sets(zone)
    }

    /// All PTR record sets that the list keeps.
    pub fn ptr_record_sets(&self, zone: &Zone) -> Result<Vec<(RelativeName, PtrRecordSet)>, ArmError> {
        self.snapshot.list_ptr_record_sets(zone)
    }

    /// How many requests it took, retries included.
    #[must_use]
    pub fn requests(&self) -> usize {
        usize::try_from(self.calls).unwrap_or(usize::MAX)
    }

    /// Whether the record set of this name exists, but cannot be represented.
    #[must_use]
    pub fn has_left_out(&self, name: &RelativeName) -> bool {
        self.left_out.contains(name)
    }
}

impl Reader {
    /// Lists the record sets of one type in a zone.
    pub async fn shared_list(
        &self,
        record_type: RecordType,
        zone: &Zone,
        wanted: &WantedNames,
    ) -> SharedList {
        let mut snapshot = Snapshot::default();
        let mut left_out = BTreeSet::new();
        if let ReaderSource::Azure(azure) = &self.0 {
            match record_type {
                RecordType::A => {
                    let listed = azure.list(record_type, zone, records::a_record_set, wanted).await;
                    snapshot.add_a_record_sets(zone.clone(), parted(listed, &mut left_out));
                }
                RecordType::Ptr => {
                    let listed = azure.list(record_type, zone, records::ptr_record_set, wanted).await;
                    snapshot.add_ptr_record_sets(zone.clone(), parted(listed, &mut left_out));
                }
            }
        }
        SharedList { snapshot, left_out, calls: self.calls(), request_records: self.request_records() }
    }

    /// Counts the requests of a list as those of this invocation.
    pub fn add_requests_of(&self, list: &SharedList) {
        if let ReaderSource::Azure(azure) = &self.0 {
            azure.transport.add(list.calls, list.request_records.iter().cloned());
        }
    }

    /// When the invocation ends; `None` for a reader of lists.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        match &self.0 {
            ReaderSource::Azure(azure) => Some(azure.transport.deadline()),
            ReaderSource::Snapshot(_) => None,
        }
    }
}

fn parted<Set>(
    listed: Result<RecordSetList<Set>, ArmError>,
    left_out: &mut BTreeSet<RelativeName>,
) -> Result<Vec<(RelativeName, Set)>, ArmError> {
    listed.map(|listed| {
        *left_out = listed.left_out;
        listed.found
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_keeps_what_any_of_its_callers_asked_for() {
        let names =
            |names: &[&str]| WantedNames::Names(names.iter().map(|name| name.parse().unwrap()).collect());
        let both = names(&["web"]).merged(names(&["api"]));
        assert_eq!(both, names(&["api", "web"]));
        let contains =
            |wanted: &WantedNames| ["web", "db"].map(|name| wanted.contains(&name.parse().unwrap()));
        assert_eq!(contains(&both), [true, false]);
        let all = both.clone().merged(WantedNames::All);
        assert_eq!((contains(&all), WantedNames::All.merged(both)), ([true, true], WantedNames::All));
    }
}
