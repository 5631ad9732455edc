//! Questions and answers of DNS. Pure.

/// The type of a question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum QueryType {
    /// An address.
    A,
    /// The name of an address.
    Ptr,
    /// The authority of a zone.
    Soa,
}

impl QueryType {
    /// The name of the type.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Ptr => "PTR",
            Self::Soa => "SOA",
        }
    }
}

/// The code of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Code {
    /// The name exists.
    NoError,
    /// The name does not exist.
    NxDomain,
    /// An error, by its number (RFC 6895).
    Other(u16),
}

/// The answer of a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsAnswer {
    /// Its code.
    pub code: Code,
    /// The records of the queried type.
    pub values: Vec<String>,
    /// How long the answer may still be cached, in seconds.
    pub ttl: u32,
    /// The SOA record in it.
    pub soa: Option<Soa>,
}

/// An SOA record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Soa {
    /// The zone that it belongs to; empty for the root.
    pub zone: String,
    /// The primary name server.
    pub server: String,
}

/// One question, and its expected answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Question {
    /// The container group, as `<resource group>/<name>`.
    pub group: String,
    /// The queried name.
    pub name: String,
    /// The queried type.
    pub kind: QueryType,
    /// The private zone that should answer.
    pub zone: String,
    /// The correct answer.
    pub expected: String,
    /// The content of the record set.
    pub recorded: Vec<String>,
}

/// A name in lower case, without a trailing dot.
pub(super) fn without_dot(name: &str) -> String {
    name.trim_end_matches('.').to_ascii_lowercase()
}
