//! Keeps Private DNS right for Azure Container Instances.

pub mod apply;
pub mod arm;
pub mod config;
pub mod container_group;
pub mod desired;
pub mod dns;
pub mod drift;
pub mod observe;
pub mod plan;
pub mod reconcile;
pub mod report;
pub mod resource_id;
pub mod share;
