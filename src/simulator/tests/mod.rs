//! What can be made to happen to the simulated Azure, one file for each kind of weather.

mod container_lives;
mod identities;
mod odd_record_sets;
mod queues;
mod refusals;
mod stale_reads;
