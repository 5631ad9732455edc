//! The rules of the decision, one test each.
//!
//! [`records`] tests the functions about single record sets. The other files are named after the headings of the
//! design. They play [`decide`] against a [`world`] that is written as text, and compare everything that happens.

use super::*;

mod records;
mod world;

mod address;
mod answers;
mod comparison;
mod laws;
mod order;
mod ownership;
mod policy;
mod removal;
