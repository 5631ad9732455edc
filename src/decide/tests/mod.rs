//! The rules of the decision, one test each.
//!
//! [`records`] tests the functions about single record sets, and [`properties`] states what holds of them for any
//! value. The other files are named after the headings of the design. They play [`decide`] against a [`world`] that is
//! written as text, and compare everything that happens. [`laws`] states what holds of any decision.

use super::*;

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
mod records;
mod removal;
