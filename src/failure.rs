//! What a failed request means for its sender.
//!
//! Pure. The client of Resource Manager classifies its errors ([`crate::arm`]); [`crate::decide`] rests on the class
//! alone.

/// What the sender of a request does about its failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureKind {
    /// Another writer changed the record set first: read again and decide again.
    Race,
    /// A write that may have happened: read again, never repeat it blindly.
    Uncertain,
    /// A retry will do.
    Transient,
    /// The identity lacks a permission, or there is no identity.
    Forbidden,
    /// The zone, its resource group or its subscription does not exist.
    Missing,
    /// Azure refuses the write because of another record set, such as a CNAME at the name.
    Clash,
    /// Azure, or this client itself, refuses the request, and a retry does not help.
    Refused,
}
