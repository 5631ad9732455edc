//! Errors of requests to key vaults, and what the caller does about them.

use std::{sync::Arc, time::Duration};

use axum::BoxError;
use azure_core1::error::ErrorKind;
use serde_json::Value;

use crate::{
    azure::{http_transport::TransportError, tokens::TokenError},
    domain::{failure::FailureKind, secret::SecretId},
};

/// How much of Azure's error message is kept, in characters.
const MESSAGE_CHARACTERS: usize = 500;

/// Why a request for a secret failed.
#[derive(Clone, Debug, thiserror::Error)]
#[error("cannot {} the secret {id}: {}", verb(*is_write), advice(*is_write, id, cause))]
pub struct VaultError {
    /// Whether it is a write.
    pub is_write: bool,
    /// The secret.
    pub id: SecretId,
    /// What happened.
    #[source]
    pub cause: Arc<VaultCause>,
}

/// What happened to a request to a key vault.
#[derive(Debug, thiserror::Error)]
pub enum VaultCause {
    /// The vault refuses the request.
    #[error("status {status}, {}: {message}", inner.as_deref().or(code.as_deref()).unwrap_or("no code"))]
    Answer {
        /// The HTTP status.
        status: u16,
        /// The outer error code.
        code: Option<String>,
        /// The inner error code, which is more specific.
        inner: Option<String>,
        /// Azure's error message, shortened.
        message: String,
        /// The wait that Azure asks for.
        retry_after: Option<Duration>,
    },
    /// There is no answer.
    #[error(transparent)]
    Network(TransportError),
    /// There is no token.
    #[error(transparent)]
    Token(TokenError),
    /// The answer was not complete in time.
    #[error("no complete answer in time")]
    Late,
    /// The answer cannot be read.
    #[error("the answer cannot be read")]
    Unreadable(#[source] BoxError),
    /// The request would have sent the token to another host.
    #[error("the request does not go to the vault, so no token is sent")]
    Address,
    /// The reviewed plan does not contain this write. It was not sent.
    #[error(
        "the reviewed plan does not contain this change, because the secret or the container group changed; make a new plan"
    )]
    NotReviewed,
    /// The client cannot be set up.
    #[error("the client of the vault cannot be set up")]
    Client(#[source] BoxError),
}

fn verb(is_write: bool) -> &'static str {
    if is_write { "set" } else { "read" }
}

/// What a person can do about a failure.
fn advice(is_write: bool, id: &SecretId, cause: &VaultCause) -> String {
    let SecretId { vault, name } = id;
    let name = name.as_str();
    let VaultCause::Answer { status, inner, .. } = cause else {
        return match cause {
            VaultCause::Network(TransportError::Unreachable { .. }) => format!(
                "cannot connect to {vault}: check that the vault exists, that its name resolves, and that no firewall blocks the connection"
            ),
            _ => "the vault cannot be used".to_owned(),
        };
    };
    match (status, inner.as_deref()) {
        (403, Some("ForbiddenByFirewall" | "ForbiddenByConnection")) => format!(
            "the network rules of the vault {vault} block this caller; allow its subnet or address, or add a private endpoint"
        ),
        (403, Some("SecretDisabled")) => format!(
            "it is disabled; enable it with: az keyvault secret set-attributes --vault-name {vault} --name {name} --enabled true"
        ),
        (401 | 403, _) => {
            let action = if is_write { "setSecret" } else { "getSecret" };
            format!(
                "the identity needs the data action Microsoft.KeyVault/vaults/secrets/{action}/action at the vault {vault}, or at this secret"
            )
        }
        (409, Some("ObjectIsDeletedButRecoverable")) => format!(
            "it was deleted, and its name is reserved; recover it with: az keyvault secret recover --vault-name {vault} --name {name}"
        ),
        (409, Some("ObjectIsBeingDeleted")) => "it is being deleted".to_owned(),
        (429, _) => format!("the vault {vault} throttles requests"),
        _ => "the vault refuses the request".to_owned(),
    }
}

impl VaultError {
    /// The failure of a request for this secret.
    pub(crate) fn new(is_write: bool, id: &SecretId, cause: VaultCause) -> Self {
        Self { is_write, id: id.clone(), cause: Arc::new(cause) }
    }

    /// How the caller handles the error.
    #[must_use]
    pub fn kind(&self) -> FailureKind {
        let unanswered = if self.is_write { FailureKind::Uncertain } else { FailureKind::Transient };
        match &*self.cause {
            VaultCause::Answer { status, inner, .. } => match (status, inner.as_deref()) {
                (401 | 403, _) => FailureKind::Forbidden,
                (409, Some("ObjectIsDeletedButRecoverable")) => FailureKind::Refused,
                (409 | 429, _) => FailureKind::Transient,
                (408 | 500.., _) => unanswered,
                _ => FailureKind::Refused,
            },
            VaultCause::Network(TransportError::Unreachable { .. })
            | VaultCause::Token(TokenError::Unavailable(_)) => FailureKind::Transient,
            VaultCause::Network(TransportError::Lost(_) | TransportError::TooLarge { .. })
            | VaultCause::Late
            | VaultCause::Unreadable(_) => unanswered,
            VaultCause::Token(TokenError::Refused(_)) => FailureKind::Forbidden,
            VaultCause::Network(
                TransportError::NoClient(_)
                | TransportError::Unsendable(_)
                | TransportError::Untrusted { .. },
            )
            | VaultCause::Address
            | VaultCause::NotReviewed
            | VaultCause::Client(_) => FailureKind::Refused,
        }
    }

    /// How long Azure asks to wait before a retry.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match &*self.cause {
            VaultCause::Answer { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

impl VaultCause {
    /// The status of the answer, if there is one.
    pub(super) fn status(&self) -> Option<u16> {
        match self {
            Self::Answer { status, .. } => Some(*status),
            _ => None,
        }
    }

    /// The inner code of the answer, or else the outer one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::Answer { code, inner, .. } => inner.as_deref().or(code.as_deref()),
            _ => None,
        }
    }

    /// Whether requests for all other secrets of the vault would now fail in the same way.
    #[must_use]
    pub fn is_of_whole_vault(&self) -> bool {
        match self {
            Self::Answer { status, inner, .. } => {
                matches!(status, 401 | 429 | 500..)
                    || matches!(inner.as_deref(), Some("ForbiddenByFirewall" | "ForbiddenByConnection"))
            }
            Self::Network(_) | Self::Token(_) | Self::Late | Self::Client(_) => true,
            Self::Unreadable(_) | Self::Address | Self::NotReviewed => false,
        }
    }

    /// Whether the vault answers that the secret does not exist.
    pub(super) fn says_no_secret(&self) -> bool {
        self.status() == Some(404) && self.code() == Some("SecretNotFound")
    }

    /// Whether a read may be retried at once. The caller handles throttling.
    pub(super) fn may_be_repeated(&self) -> bool {
        match self {
            Self::Answer { status, .. } => matches!(status, 408 | 500..),
            Self::Network(TransportError::Unreachable { .. } | TransportError::Lost(_)) => true,
            Self::Network(_)
            | Self::Token(_)
            | Self::Late
            | Self::Unreadable(_)
            | Self::Address
            | Self::NotReviewed
            | Self::Client(_) => false,
        }
    }
}

impl From<azure_core1::Error> for VaultCause {
    fn from(error: azure_core1::Error) -> Self {
        let ErrorKind::HttpResponse { status, raw_response, .. } = error.kind() else {
            return error.into_downcast().unwrap_or_else(|error| Self::Unreadable(error.into()));
        };
        let status = u16::from(*status);
        let body = raw_response.as_ref().map(|response| response.body().as_ref()).unwrap_or_default();
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let text = |path: &str| body.pointer(path).and_then(Value::as_str).map(shorten);
        let wait = raw_response.as_ref().and_then(|response| {
            let seconds = response.headers().get_optional_str(&"retry-after".into())?;
            seconds.trim().parse().ok().map(Duration::from_secs)
        });
        Self::Answer {
            status,
            code: text("/error/code"),
            inner: text("/error/innererror/code"),
            message: text("/error/message").unwrap_or_else(|| "no message".to_owned()),
            retry_after: wait,
        }
    }
}

fn shorten(text: &str) -> String {
    text.chars()
        .take(MESSAGE_CHARACTERS)
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect()
}
