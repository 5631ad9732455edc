//! The rules of the decision, one test each.
//!
//! [`records`] tests the functions for single record sets, and [`properties`] states their laws. The other
//! files are named after the headings of the design. They run [`decide`] against a [`world`] that is written
//! as text, and compare the whole output. [`laws`] states the laws of every decision.

use std::collections::BTreeSet;

use super::*;
use crate::{
    config::{Ownership, Policy, Settings, Takeover, ZoneMap},
    domain::{dns::Owner, resource_id::ContainerGroupId},
};

mod values;
mod world;

mod address;
mod answers;
mod comparison;
mod costs;
mod evidence;
mod laws;
mod locks;
mod names;
mod order;
mod ownership;
mod policy;
mod properties;
mod ptr_ownership;
mod records;
mod removal;
