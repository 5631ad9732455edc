//! Classifies the answers of DNS. Pure.

use super::answer::{Code, DnsAnswer, QueryType, Question, Soa};

/// The primary name server in the SOA record of every private zone.
const AZURE: &str = "azureprivatedns.net";

/// A question, the answer's records, and their classification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolution {
    /// The question.
    pub question: Question,
    /// The records of the answer.
    pub values: Vec<String>,
    /// The classification of the answer.
    pub verdict: AnswerStatus,
}

/// The classification of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AnswerStatus {
    /// The answer is correct.
    Resolved,
    /// An old answer is still cached.
    Stale {
        /// The remaining time in the cache, in seconds.
        ttl: u32,
    },
    /// The record set is correct, but a negative answer is still cached.
    NegativeCached {
        /// The remaining time in the cache, in seconds.
        ttl: u32,
    },
    /// The answer agrees with the record set, which is wrong: drift.
    RecordSet,
    /// The server does not see the zone.
    NotLinked {
        /// The zone that answered instead, and its primary name server.
        parent: Option<Soa>,
    },
    /// Another DNS server answers for the zone.
    Shadowed {
        /// The primary name server in its SOA record.
        server: String,
    },
    /// The server answered with an error.
    Error(Code),
    /// No server answered.
    Timeout,
}

impl AnswerStatus {
    /// The name in tables and JSON.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::Stale { .. } => "stale",
            Self::NegativeCached { .. } => "negative_cached",
            Self::RecordSet => "record_set",
            Self::NotLinked { .. } => "not_linked",
            Self::Shadowed { .. } => "shadowed",
            Self::Error(_) => "error",
            Self::Timeout => "timeout",
        }
    }

    /// Whether the query failed, so that nothing is known about the name.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        matches!(self, Self::Error(_) | Self::Timeout)
    }
}

/// The authority of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Authority {
    /// Azure Private DNS.
    Azure,
    /// A parent zone, or none: the private zone is not linked, or the parent zone is on another DNS server.
    Parent,
    /// Another server, by the primary name server in the SOA record.
    Other(String),
}

/// The authority of an answer about a name in a zone, from the SOA record in it.
#[must_use]
pub fn authority(zone: &str, answer: &DnsAnswer) -> Authority {
    let Some(soa) = &answer.soa else { return Authority::Parent };
    if !soa.zone.eq_ignore_ascii_case(zone) {
        return Authority::Parent;
    }
    if soa.server.eq_ignore_ascii_case(AZURE) {
        Authority::Azure
    } else {
        Authority::Other(soa.server.clone())
    }
}

/// Classifies the answer to a question; `None` means no answer.
#[must_use]
pub fn of(question: &Question, answer: Option<&DnsAnswer>) -> AnswerStatus {
    let Some(answer) = answer else { return AnswerStatus::Timeout };
    if let Code::Other(_) = answer.code {
        return AnswerStatus::Error(answer.code);
    }
    if answer.values.is_empty() {
        return match authority(&question.zone, answer) {
            Authority::Parent => AnswerStatus::NotLinked { parent: answer.soa.clone() },
            Authority::Other(server) => AnswerStatus::Shadowed { server },
            Authority::Azure if question.recorded.contains(&question.expected) => {
                AnswerStatus::NegativeCached { ttl: answer.ttl }
            }
            Authority::Azure => AnswerStatus::RecordSet,
        };
    }
    // A PTR record set may name others, too; an A record set of a group has one address.
    let is_right = match question.kind {
        QueryType::Ptr => answer.values.contains(&question.expected),
        QueryType::A | QueryType::Soa => answer.values == std::slice::from_ref(&question.expected),
    };
    let mut recorded = question.recorded.clone();
    let mut values = answer.values.clone();
    recorded.sort();
    values.sort();
    if is_right {
        AnswerStatus::Resolved
    } else if recorded == values {
        AnswerStatus::RecordSet
    } else {
        AnswerStatus::Stale { ttl: answer.ttl }
    }
}
