//! Errors of requests, and what the caller does about them.
//!
//! A [`Cause`] is what happened. An [`ArmError`] is what that means for the attempted operation: the same
//! lost answer is harmless for a read and leaves a write uncertain. This file contains the whole
//! classification.

use std::{fmt, sync::Arc, time::Duration};

use axum::BoxError;

use crate::azure::{http_transport::TransportError, tokens::TokenError};
pub use crate::domain::failure::FailureKind as Kind;

/// Why an operation failed: what it was, and what happened to it.
#[derive(Debug, thiserror::Error)]
pub enum ArmError {
    /// The precondition of a write failed.
    #[error("cannot {operation}: another writer changed it first")]
    Race {
        /// What was attempted on what.
        operation: String,
        /// What happened.
        source: Cause,
    },
    /// A write was sent, and its result is unknown.
    #[error("the result of this write is unknown: {operation}")]
    Uncertain {
        /// What was attempted on what.
        operation: String,
        /// What happened.
        source: Cause,
    },
    /// Azure, the identity endpoint or the network cannot do it now.
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
    /// The zone, resource group or subscription of the request does not exist.
    #[error("cannot {operation}: its zone, resource group or subscription does not exist")]
    Missing {
        /// What was attempted on what.
        operation: String,
        /// What happened.
        source: Cause,
    },
    /// A record set of another type has the name.
    #[error("cannot {operation}: another record set uses the name")]
    Clash {
        /// What was attempted on what.
        operation: String,
        /// What happened.
        source: Cause,
    },
    /// Azure refuses the operation permanently.
    #[error("cannot {operation}")]
    Refused {
        /// What was attempted on what.
        operation: String,
        /// What happened.
        source: Cause,
    },
}

impl ArmError {
    /// How the caller handles the error.
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

    /// How long Azure refuses such requests, if throttling is the cause.
    #[must_use]
    pub fn throttled(&self) -> Option<Duration> {
        self.cause().throttled()
    }

    /// Whether a record set was read that this crate cannot represent.
    #[must_use]
    pub fn is_unrepresentable(&self) -> bool {
        matches!(self.cause(), Cause::Unrepresentable { .. })
    }

    /// How long Azure asks to wait before a retry.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.cause().retry_after()
    }

    /// Whether there is no access token, so that no request to Azure is possible.
    #[must_use]
    pub fn is_sign_in(&self) -> bool {
        matches!(self.cause(), Cause::TokenRefused(_) | Cause::TokenUnavailable(_))
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
    /// The subject of the operation, as far as it changes the meaning of a failure.
    pub(super) subject: Subject,
    /// The operation, in words that follow "cannot".
    pub(super) text: String,
}

impl fmt::Display for Operation {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)
    }
}

/// The subject of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Subject {
    /// Reads a container group, or lists those of a scope.
    ContainerGroup,
    /// Reads one record set, or lists those of a zone.
    RecordSets,
    /// Replaces or removes a record set.
    Write,
    /// Reads the resources around container groups and record sets.
    Surroundings,
}

/// What happened to a request.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// Azure answered with an error.
    #[error(transparent)]
    Answer(#[from] ErrorResponse),
    /// The connection failed, so the request was certainly not processed.
    #[error(
        "cannot connect to {host}: check that its name resolves, that no firewall blocks the connection, and HTTPS_PROXY"
    )]
    Unreachable {
        /// The host of the endpoint.
        host: String,
        /// The cause.
        source: BoxError,
    },
    /// The certificate of the host cannot be verified. The request was not sent, and a retry does not help.
    #[error(
        "the certificate of {host} cannot be verified: if a proxy inspects TLS, add the certificate of its authority to the machine's certificates, or set SSL_CERT_FILE"
    )]
    Untrusted {
        /// The host of the endpoint.
        host: String,
        /// The cause.
        source: BoxError,
    },
    /// The connection closed before the answer was complete.
    #[error("the connection closed before the answer was complete")]
    Lost(#[source] BoxError),
    /// The answer was not complete in time.
    #[error("no complete answer within {} ms", .0.as_millis())]
    TimedOut(Duration),
    /// The deadline of the invocation passed before the request was sent.
    #[error("the deadline of the invocation passed before the request was sent")]
    Deadline,
    /// Azure throttles such requests until after the deadline, so the request was not sent.
    #[error(
        "Azure throttles such requests for {} s, until after the deadline of the invocation; the request was not sent",
        .wait.as_secs_f32().ceil()
    )]
    Throttled {
        /// How long the request would have to wait.
        wait: Duration,
    },
    /// Azure does not answer this request in this way.
    #[error("status {status} with a body that cannot be read")]
    Unreadable {
        /// The status of the answer.
        status: u16,
        /// The cause.
        source: BoxError,
    },
    /// The answer describes a record set that this crate cannot represent without loss.
    #[error("the record set {name:?} cannot be represented: {problem}")]
    Unrepresentable {
        /// The relative name, as Azure spells it.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The answer exceeds the size limit.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
    /// The list has too many pages.
    #[error("the list has more than {limit} pages")]
    TooManyPages {
        /// The limit, in pages.
        limit: usize,
    },
    /// The reviewed plan does not contain this write. It was not sent.
    #[error(
        "the reviewed plan does not contain this change, because the record set or the container group changed; make a new plan"
    )]
    NotReviewed,
    /// The answer depends on a list that failed.
    #[error("could not read the list that contains it")]
    Unlisted(#[source] Arc<ArmError>),
    /// The object belongs to no list of the snapshot.
    #[error("it was not listed")]
    OutOfSight,
    /// The request would not go to Resource Manager. It was not sent, and no token was fetched for it.
    #[error("no access token is sent to {address:?}: {rule}")]
    Address {
        /// Scheme, host, port and path of the request.
        address: String,
        /// The rule that the address breaks.
        rule: &'static str,
    },
    /// The request cannot be encoded as HTTP.
    #[error("the request cannot be sent")]
    Unsendable(#[source] BoxError),
    /// A segment that could change the path of the request.
    #[error("{text:?} cannot be a {segment}: {rule}")]
    Segment {
        /// The text.
        text: String,
        /// The meaning of the segment.
        segment: &'static str,
        /// The rule that the text breaks.
        rule: &'static str,
    },
    /// The HTTP client cannot be created, most likely because the machine has no CA certificates.
    #[error("the HTTP client cannot be set up")]
    NoClient(#[source] BoxError),
    /// No access token is available now.
    #[error("no access token: the identity endpoint is unreachable or fails")]
    TokenUnavailable(#[source] BoxError),
    /// The identity cannot get an access token.
    #[error("no access token")]
    TokenRefused(#[source] BoxError),
}

impl From<TransportError> for Cause {
    fn from(error: TransportError) -> Self {
        match error {
            TransportError::NoClient(error) => Self::NoClient(error),
            TransportError::Unsendable(error) => Self::Unsendable(error),
            TransportError::Untrusted { host, source } => Self::Untrusted { host, source },
            TransportError::Unreachable { host, source } => Self::Unreachable { host, source },
            TransportError::Lost(error) => Self::Lost(error),
            TransportError::TooLarge { limit } => Self::TooLarge { limit },
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
    /// The status of the answer, if there is one.
    pub(super) fn status(&self) -> Option<u16> {
        let (Self::Answer(ErrorResponse { status, .. }) | Self::Unreadable { status, .. }) = self else {
            return None;
        };
        Some(*status)
    }

    /// How to handle the error of a request for this subject.
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
            | Self::NotReviewed
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

    /// Whether the same request may be sent again. A read may be repeated after every temporary failure, a
    /// write only if Azure certainly did not process it.
    pub(super) fn may_be_repeated(&self, is_read: bool) -> bool {
        match self {
            Self::Answer(answer) => answer.may_be_repeated(is_read),
            Self::Unreachable { .. } => true,
            Self::Lost(_) | Self::TimedOut(_) | Self::Unreadable { .. } => is_read,
            Self::Deadline
            | Self::Unlisted(_)
            | Self::OutOfSight
            | Self::NotReviewed
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

    /// The wait that Azure asks for.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answer(answer) => answer.retry_after,
            Self::Unlisted(error) => error.retry_after(),
            _ => None,
        }
    }

    /// How long Azure refuses requests like this one, from every caller.
    pub(super) fn throttled(&self) -> Option<Duration> {
        match self {
            Self::Answer(answer) if answer.status == 429 => answer.retry_after,
            Self::Throttled { wait } => Some(*wait),
            Self::Unlisted(error) => error.throttled(),
            _ => None,
        }
    }
}

/// An error answer of Azure.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("status {status}, {}: {message}", .code.as_deref().unwrap_or("no code"))]
pub struct ErrorResponse {
    /// The HTTP status.
    pub status: u16,
    /// The error code, if the body has one.
    pub code: Option<String>,
    /// Azure's error message, shortened.
    pub message: String,
    /// The wait that Azure asks for.
    pub(super) retry_after: Option<Duration>,
}

impl ErrorResponse {
    fn kind(&self, subject: Subject) -> Kind {
        match self.status {
            412 => Kind::Race,
            401 | 403 => Kind::Forbidden,
            // A container group keeps its records unless Azure says clearly that it does not exist. A missing
            // subscription is also a clear answer, but not about the group.
            404 if subject == Subject::ContainerGroup && !self.has_code(&["SubscriptionNotFound"]) => {
                Kind::Transient
            }
            404 => Kind::Missing,
            409 if self.is_clash() => Kind::Clash,
            409 if self.is_pending() || self.is_transitioning() => Kind::Transient,
            408 | 500.. if subject == Subject::Write => Kind::Uncertain,
            408 | 429 | 500.. => Kind::Transient,
            _ => Kind::Refused,
        }
    }

    fn may_be_repeated(&self, is_read: bool) -> bool {
        self.status == 429 || self.is_pending() || (is_read && (self.status == 408 || self.status >= 500))
    }

    /// Another write to the same record set is pending, and Azure rejected this one
    /// (<https://github.com/DNSControl/dnscontrol/issues/4363>).
    fn is_pending(&self) -> bool {
        self.status == 409 && self.has_code(&["Conflict"]) && !self.is_clash()
    }

    /// A deployment, a restart or a deletion of the container group is under way
    /// (<https://learn.microsoft.com/troubleshoot/azure/azure-container-instances/container-group-transitioning>).
    fn is_transitioning(&self) -> bool {
        self.status == 409 && self.has_code(&["ContainerGroupTransitioning"])
    }

    /// A CNAME record set has the name. Azure uses the code of a pending operation, and only the message
    /// differs; so the CNAME record set is read before the error is reported.
    fn is_clash(&self) -> bool {
        self.status == 409 && self.has_code(&["Conflict"]) && self.message.contains("CNAME")
    }

    /// Whether Azure says that the container group does not exist.
    pub(super) fn says_no_container_group(&self) -> bool {
        let codes = ["ContainerGroupNotFound", "ResourceNotFound", "NotFound", "ResourceGroupNotFound"];
        self.status == 404 && self.has_code(&codes)
    }

    /// Whether Azure says that the resource group does not exist whose container groups are listed.
    pub(super) fn says_no_resource_group(&self) -> bool {
        self.status == 404 && self.has_code(&["ResourceGroupNotFound"])
    }

    /// Whether Azure says that the record set does not exist, in an existing zone.
    pub(super) fn says_no_record_set(&self) -> bool {
        self.status == 404 && self.has_code(&["NotFound", "ResourceNotFound"])
    }

    fn has_code(&self, codes: &[&str]) -> bool {
        self.code.as_deref().is_some_and(|code| codes.iter().any(|known| known.eq_ignore_ascii_case(code)))
    }
}
