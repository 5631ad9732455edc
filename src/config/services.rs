//! Services of a map entry: one name for several container groups.

use super::NamePatterns;
use crate::domain::dns::RelativeName;

/// A service: an A record set with the addresses of its container groups.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Service {
    /// Its label in the forward zone.
    pub name: RelativeName,
    /// The names of the container groups that belong to it without a tag.
    pub groups: NamePatterns,
    /// The TTL in seconds.
    pub ttl: u32,
}
