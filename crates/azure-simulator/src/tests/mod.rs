//! Tests of the simulated Azure, one file per subject.

mod container_lives;
mod identities;
mod images;
mod odd_record_sets;
mod page;
mod queues;
mod refusals;
mod resolver;
mod stale_reads;
