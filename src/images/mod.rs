//! Image updates: a push to a registry restarts container groups, or replaces the tag of their images.
//!
//! A push only says which repository changed. What is done follows from the live group, its tag `aci-dns-image` and
//! what it pulled ([`plan`]), so that a push that arrives twice, late or out of order does no harm.
//!
//! Pure: [`payloads`] (what senders of pushes say), [`push`], [`tag_rule`], [`group`], [`plan`], [`put_body`],
//! [`push_work`] and [`webhook`]. [`updater`] reads and acts.
//!
//! Deliberately absent: credentials of registries, and any request to a host that a payload names.

pub mod group;
pub mod payloads;
pub mod plan;
pub mod push;
pub mod push_work;
pub mod put_body;
pub mod tag_rule;
pub mod updater;
pub mod webhook;
