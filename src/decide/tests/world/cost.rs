//! The cost of an invocation: requests and sequential round trips.

use super::*;

/// The requests of an invocation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::decide::tests) struct Cost {
    gets: usize,
    lists: usize,
    puts: usize,
    deletes: usize,
    /// How many times requests were waited for.
    pub(super) trips: usize,
}

impl Cost {
    /// Reads a text such as `5 GET, 2 PUT, 4 trips`.
    pub(in crate::decide::tests) fn parse(text: &str) -> Self {
        let mut cost = Self::default();
        for part in text.split(", ") {
            let (count, kind) = part.split_once(' ').expect("a number and what it counts");
            let place = match kind {
                "GET" => &mut cost.gets,
                "LIST" => &mut cost.lists,
                "PUT" => &mut cost.puts,
                "DELETE" => &mut cost.deletes,
                "trips" => &mut cost.trips,
                _ => panic!("{kind:?} is no cost"),
            };
            *place = count.parse().unwrap();
        }
        cost
    }

    pub(in crate::decide::tests) fn is_within(&self, most: &Self) -> bool {
        self.gets <= most.gets
            && self.lists <= most.lists
            && self.puts <= most.puts
            && self.deletes <= most.deletes
            && self.trips <= most.trips
    }

    pub(super) fn add(&mut self, step: &Step) {
        let Step::Act { read, write } = step else { return };
        let is_list = |key: &&Key| matches!(key, Key::PtrList(_) | Key::AList);
        let lists = read.iter().filter(is_list).count();
        let deletes = write.iter().filter(|change| change.is_deletion()).count();
        self.lists += lists;
        self.gets += read.len() - lists;
        self.deletes += deletes;
        self.puts += write.len() - deletes;
        self.trips += 1;
    }
}
