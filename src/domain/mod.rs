//! Domain types: values without I/O, clock or environment.

pub mod container_group;
pub mod dns;
pub mod event;
pub mod failure;
pub mod image;
pub mod inventory;
pub mod resource_id;
pub mod secret;
pub mod text;
