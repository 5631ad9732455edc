//! Addresses at which a run of this process wrote a PTR record and then failed before its last look.
//!
//! Such a PTR may say what is not so any more, and the A record set that remembered it may be gone: nobody else
//! would find it before the group goes or everything is swept. The next run for the group in this process reads
//! there. What is lost with the process is what a killed process leaves.

use std::{
    collections::{BTreeSet, HashMap},
    net::Ipv4Addr,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::resource_id::ContainerGroupId;

/// How many groups are kept in mind at most.
const MOST: usize = 1000;

#[derive(Debug, Default)]
pub(super) struct Unfinished(Mutex<HashMap<ContainerGroupId, BTreeSet<Ipv4Addr>>>);

impl Unfinished {
    /// Where the last run for a group wrote a PTR record, if it failed.
    pub(super) fn of(&self, id: &ContainerGroupId) -> BTreeSet<Ipv4Addr> {
        self.groups().get(id).cloned().unwrap_or_default()
    }

    /// Whether the last run for a group wrote a PTR record and failed.
    pub(super) fn has(&self, id: &ContainerGroupId) -> bool {
        self.groups().contains_key(id)
    }

    /// Keeps in mind where a run wrote that failed; nothing is to be kept of one that came to its end.
    pub(super) fn keep(&self, id: &ContainerGroupId, addresses: BTreeSet<Ipv4Addr>) {
        let mut groups = self.groups();
        if addresses.is_empty() {
            groups.remove(id);
        } else if groups.len() < MOST || groups.contains_key(id) {
            groups.insert(id.clone(), addresses);
        }
    }

    fn groups(&self) -> MutexGuard<'_, HashMap<ContainerGroupId, BTreeSet<Ipv4Addr>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_in_mind_is_bounded_and_ends_with_a_run_that_came_to_its_end() {
        let unfinished = Unfinished::default();
        let id = |number: usize| ContainerGroupId::new("s1", "rg", &format!("g{number}")).unwrap();
        let address = BTreeSet::from([Ipv4Addr::new(10, 1, 5, 4)]);
        for number in 0..=MOST {
            unfinished.keep(&id(number), address.clone());
        }
        assert_eq!((unfinished.of(&id(0)), unfinished.of(&id(MOST))), (address.clone(), BTreeSet::new()));
        unfinished.keep(&id(0), BTreeSet::new());
        unfinished.keep(&id(MOST), address.clone());
        assert_eq!((unfinished.of(&id(0)), unfinished.of(&id(MOST))), (BTreeSet::new(), address));
        assert_eq!((unfinished.has(&id(0)), unfinished.has(&id(MOST))), (false, true));
    }
}
