//! Keeps Private DNS right for Azure Container Instances.

pub mod simulator;
