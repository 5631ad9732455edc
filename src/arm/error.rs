//! What can go wrong with a request, and what its sender should make of it.
//!
//! A [`Cause`] is what happened, an [`ArmError`] is what that means for the operation that was attempted: the
//! same lost answer is harmless to a read and leaves a write uncertain. All of that judgement is in this file.

use std::{fmt, sync::Arc, time::Duration};

use axum::BoxError;

pub use crate::failure::FailureKind as Kind;
use crate::{tokens::TokenError, wire::WireError};

/// Why an operation failed: what it was, and what happened to it.
#[derive(Debug, thiserror::Error)]
pub enum ArmError {
    /// The precondition of a write did not hold.
    #[error("cannot {operation}: somebody else changed it first")]
    Race {
        /// What was attempted on what.
        operation: String,
        /// What happened.
        source: Cause,
    },
    /// A write was sent and what became of it is not known.
    #[error("it is not known whether this happened: {operation}")]
    Uncertain {
        /// What was attempted on what.
        operation: String,
        /// What happened.
        source: Cause,
    },
    /// Azure, the identity endpoint or the network is not able to do it now.
    #[error("cannot {operation} now")]
    Transient {
        /// What was attempted on what.
        operation: String,
        /// What happened.
        source: Cause,
    },
    /// The identity has no permission, or there is no identity.
    #[error("not permitted to {operation}")]
    Forbidden {
        /// What was attempted on what.
        operation: String,
        /// What happened.
        source: Cause,
    },
    /// There is nothing that could hold what was asked for.
    #[error("cannot {operation}: its zone, resource group or subscription does not exist")]
    Missing {
        /// What was attempted on what.
        operation: String,
        /// What happened.
        source: Cause,
    },
    /// Another record set stands in the way.
    #[error("cannot {operation}: another record set has the name")]
    Clash {
        /// What was attempted on what.
        operation: String,
        /// What happened.
        source: Cause,
    },
    /// It will not be done, however often it is asked for.
    #[error("cannot {operation}")]
    Refused {
        /// What was attempted on what.
        operation: String,
        /// What happened.
        source: Cause,
    },
}

impl ArmError {
    /// What to do about it.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Race { .. } => Kind::Race,
            Self::Uncertain { .. } => Kind::Uncertain,
            Self::Transient { .. } => Kind::Transient,
            Self::Forbidden { .. } => Kind::Forbidden,
            Self::Missing { .. } => Kind::Missing,
            Self::Clash { .. } => Kind::Clash,
            Self::Refused { .. } => Kind::Refused,
        }
    }

    /// How long Azure wants no more such requests, where that is why it failed.
    #[must_use]
    pub fn throttled(&self) -> Option<Duration> {
        self.cause().throttled()
    }

    /// Whether a record set was read that cannot be represented here.
    #[must_use]
    pub fn is_unrepresentable(&self) -> bool {
        matches!(self.cause(), Cause::Unrepresentable { .. })
    }

    /// How long Azure asks to wait before a retry.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.cause().retry_after()
    }

    fn cause(&self) -> &Cause {
        let (Self::Race { source, .. }
        | Self::Uncertain { source, .. }
        | Self::Transient { source, .. }
        | Self::Forbidden { source, .. }
        | Self::Missing { source, .. }
        | Self::Clash { source, .. }
        | Self::Refused { source, .. }) = self;
        source
    }

    pub(super) fn new(operation: &Operation, source: Cause) -> Self {
        let kind = source.kind(operation.subject);
        let operation = operation.to_string();
        match kind {
            Kind::Race => Self::Race { operation, source },
            Kind::Uncertain => Self::Uncertain { operation, source },
            Kind::Transient => Self::Transient { operation, source },
            Kind::Forbidden => Self::Forbidden { operation, source },
            Kind::Missing => Self::Missing { operation, source },
            Kind::Clash => Self::Clash { operation, source },
            Kind::Refused => Self::Refused { operation, source },
        }
    }
}

/// What was attempted on what.
#[derive(Clone, Debug)]
pub(super) struct Operation {
    /// What it is about, as far as that changes the meaning of a failure.
    pub(super) subject: Subject,
    /// The operation in words that follow "cannot".
    pub(super) text: String,
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// Reads a container group, or lists those of a scope.
    ContainerGroup,
    /// Reads one record set, or lists those of a zone.
    RecordSets,
    /// Replaces or removes a record set.
    Write,
    /// Reads what container groups and record sets stand in.
    Surroundings,
}

/// What happened to a request.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// Azure answered with an error.
    #[error(transparent)]
    Answer(#[from] Answer),
    /// No connection came about: the request was certainly not processed.
    #[error(
        "no connection to {host}: check that its name resolves, that a firewall lets the connection out, and HTTPS_PROXY"
    )]
    Unreachable {
        /// The host of the endpoint.
        host: String,
        /// Why.
        source: BoxError,
    },
    /// The certificate of the host cannot be verified: the request was certainly not sent, and will never be.
    #[error(
        "the certificate of {host} cannot be verified: if a proxy on the way inspects TLS, add the certificate of its authority to those of the machine (or name a file with SSL_CERT_FILE)"
    )]
    Untrusted {
        /// The host of the endpoint.
        host: String,
        /// Why.
        source: BoxError,
    },
    /// The connection broke before the whole answer was there.
    #[error("the connection broke before the answer was complete")]
    Lost(#[source] BoxError),
    /// No complete answer in time.
    #[error("no complete answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The invocation's time was over before the request was sent.
    #[error("the deadline of the invocation was over before the request was sent")]
    Deadline,
    /// Azure asked for more patience than the invocation has: the request was not sent.
    #[error(
        "Azure throttles such requests and takes the next one in {} s, after the deadline of the invocation; it was not sent",
        .wait.as_secs_f32().ceil()
    )]
    Throttled {
        /// How long it would have had to wait.
        wait: Duration,
    },
    /// An answer that cannot be what Azure has to say.
    #[error("status {status} with a body that cannot be read")]
    Unreadable {
        /// The status of the answer.
        status: u16,
        /// Why.
        source: BoxError,
    },
    /// An answer that says something about a record set which this crate would lose.
    #[error("the record set {name:?} cannot be represented: {problem}")]
    Unrepresentable {
        /// The relative name, as Azure spells it.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// An answer that is larger than any answer should be.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// How large an answer may be.
        limit: usize,
    },
    /// A list without end.
    #[error("the list has more than {limit} pages")]
    TooManyPages {
        /// How many pages a list may have.
        limit: usize,
    },
    /// What was to be read from a list that failed.
    #[error("the list that would tell could not be read")]
    Unlisted(#[source] Arc<ArmError>),
    /// What was to be read from lists, and no list holds.
    #[error("it is outside of what was listed")]
    OutOfSight,
    /// The request would not go to Resource Manager, so it was not sent, and no token was fetched for it.
    #[error("{address:?} is no address that an access token is sent to: {rule}")]
    Address {
        /// Scheme, host, port and path of the request.
        address: String,
        /// What it breaks.
        rule: &'static str,
    },
    /// The request cannot be written down as HTTP.
    #[error("the request cannot be sent")]
    Unsendable(#[source] BoxError),
    /// A part of the path that could change the path.
    #[error("{text:?} cannot be a {segment}: {rule}")]
    Segment {
        /// The text.
        text: String,
        /// What it is meant to be.
        segment: &'static str,
        /// What it would have to be.
        rule: &'static str,
    },
    /// There is no HTTP client, most likely because the machine has no CA certificates.
    #[error("the HTTP client cannot be set up")]
    NoClient(#[source] BoxError),
    /// No access token for now.
    #[error("no access token: the identity endpoint cannot be reached or fails")]
    TokenUnavailable(#[source] BoxError),
    /// No access token at all.
    #[error("no access token")]
    TokenRefused(#[source] BoxError),
}

impl From<WireError> for Cause {
    fn from(error: WireError) -> Self {
        match error {
            WireError::NoClient(error) => Self::NoClient(error),
            WireError::Unsendable(error) => Self::Unsendable(error),
            WireError::Untrusted { host, source } => Self::Untrusted { host, source },
            WireError::Unreachable { host, source } => Self::Unreachable { host, source },
            WireError::Lost(error) => Self::Lost(error),
            WireError::TooLarge { limit } => Self::TooLarge { limit },
        }
    }
}

impl From<TokenError> for Cause {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::Unavailable(error) => Self::TokenUnavailable(error),
            TokenError::Refused(error) => Self::TokenRefused(error),
        }
    }
}

impl Cause {
    /// The status of the answer, where there was one.
    pub(super) fn status(&self) -> Option<u16> {
        let (Self::Answer(Answer { status, .. }) | Self::Unreadable { status, .. }) = self else {
            return None;
        };
        Some(*status)
    }

    /// What to do about it, for a request about this.
    fn kind(&self, subject: Subject) -> Kind {
        let is_write = subject == Subject::Write;
        let unanswered = if is_write { Kind::Uncertain } else { Kind::Transient };
        match self {
            Self::Answer(answer) => answer.kind(subject),
            Self::Lost(_) | Self::TimedOut(_) | Self::Unreadable { .. } => unanswered,
            Self::Unreachable { .. }
            | Self::Deadline
            | Self::Throttled { .. }
            | Self::TokenUnavailable(_) => Kind::Transient,
            Self::TooLarge { .. } if is_write => Kind::Uncertain,
            Self::TokenRefused(_) => Kind::Forbidden,
            Self::Unlisted(error) => error.kind(),
            Self::OutOfSight
            | Self::Unrepresentable { .. }
            | Self::TooLarge { .. }
            | Self::TooManyPages { .. }
            | Self::Address { .. }
            | Self::Untrusted { .. }
            | Self::Unsendable(_)
            | Self::Segment { .. }
            | Self::NoClient(_) => Kind::Refused,
        }
    }

    /// Whether the same request may be sent again: a read after whatever may pass, a write only after what
    /// certainly did not process it.
    pub(super) fn may_be_repeated(&self, is_read: bool) -> bool {
        match self {
            Self::Answer(answer) => answer.may_be_repeated(is_read),
            Self::Unreachable { .. } => true,
            Self::Lost(_) | Self::TimedOut(_) | Self::Unreadable { .. } => is_read,
            Self::Deadline
            | Self::Unlisted(_)
            | Self::OutOfSight
            | Self::Throttled { .. }
            | Self::Unrepresentable { .. }
            | Self::TooLarge { .. }
            | Self::TooManyPages { .. }
            | Self::Address { .. }
            | Self::Untrusted { .. }
            | Self::Unsendable(_)
            | Self::Segment { .. }
            | Self::NoClient(_)
            | Self::TokenUnavailable(_)
            | Self::TokenRefused(_) => false,
        }
    }

    /// How long Azure asked to be left alone.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answer(answer) => answer.retry_after,
            _ => None,
        }
    }

    /// How long Azure wants no more requests like this one, whoever sends them.
    pub(super) fn throttled(&self) -> Option<Duration> {
        match self {
            Self::Answer(answer) if answer.status == 429 => answer.retry_after,
            Self::Throttled { wait } => Some(*wait),
            _ => None,
        }
    }
}

/// An error that Azure answered with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("status {status}, {}: {message}", .code.as_deref().unwrap_or("no code"))]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The error code, where the body has one.
    pub code: Option<String>,
    /// What Azure says about it, shortened.
    pub message: String,
    /// How long Azure asked to be left alone.
    pub(super) retry_after: Option<Duration>,
}

impl Answer {
    fn kind(&self, subject: Subject) -> Kind {
        match self.status {
            412 => Kind::Race,
            401 | 403 => Kind::Forbidden,
            // A container group whose absence cannot be told from an accident must not lose its records. Only
            // a subscription that is said not to exist is no accident, and no answer about the group either.
            404 if subject == Subject::ContainerGroup && !self.has_code(&["SubscriptionNotFound"]) => {
                Kind::Transient
            }
            404 => Kind::Missing,
            409 if self.is_clash() => Kind::Clash,
            409 if self.is_pending() => Kind::Transient,
            408 | 500.. if subject == Subject::Write => Kind::Uncertain,
            408 | 429 | 500.. => Kind::Transient,
            _ => Kind::Refused,
        }
    }

    fn may_be_repeated(&self, is_read: bool) -> bool {
        self.status == 429 || self.is_pending() || (is_read && (self.status == 408 || self.status >= 500))
    }

    /// Another write to the same record set is under way, and this one was turned away
    /// (<https://github.com/DNSControl/dnscontrol/issues/4363>).
    fn is_pending(&self) -> bool {
        self.status == 409 && self.has_code(&["Conflict"]) && !self.is_clash()
    }

    /// A CNAME record set has the name. Azure answers with the same code as for a pending operation, and tells the two
    /// apart in the message alone; the CNAME is read before anything is concluded from it.
    fn is_clash(&self) -> bool {
        self.status == 409 && self.has_code(&["Conflict"]) && self.message.contains("CNAME")
    }

    /// Whether a container group is said not to exist.
    pub(super) fn says_no_container_group(&self) -> bool {
        let codes = ["ContainerGroupNotFound", "ResourceNotFound", "NotFound", "ResourceGroupNotFound"];
        self.status == 404 && self.has_code(&codes)
    }

    /// Whether the resource group whose container groups were to be listed is said not to exist.
    pub(super) fn says_no_resource_group(&self) -> bool {
        self.status == 404 && self.has_code(&["ResourceGroupNotFound"])
    }

    /// Whether a record set is said not to exist, in a zone that does.
    pub(super) fn says_no_record_set(&self) -> bool {
        self.status == 404 && self.has_code(&["NotFound", "ResourceNotFound"])
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.iter().any(|known| known.eq_ignore_ascii_case(code)))
    }
}
