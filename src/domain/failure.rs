//! How a caller handles a failed request.
//!
//! Pure. The client of Resource Manager classifies its errors ([`crate::azure::arm`]); [`crate::decide`] uses only
//! the class.

/// How the caller of a request handles its failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureKind {
    /// Another writer changed the record set first: read again and decide again.
    Race,
    /// A write that may have happened: read again, never repeat it blindly.
    Uncertain,
    /// Temporary: a retry may succeed.
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
