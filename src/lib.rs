//! Keeps Private DNS right for Azure Container Instances.

pub mod config;
pub mod container_group;
pub mod dns;
pub mod event;
pub mod host;
pub mod report;
pub mod resource_id;
pub mod telemetry;
