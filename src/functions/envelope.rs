//! The body of an invocation: what the Functions host wraps around an event or a message.
//!
//! Source: <https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers>

use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::StatusCode;
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use tokio::time::timeout;

/// The largest body that is read. Event Grid delivers a megabyte at most; the host repeats the event's data in the
/// metadata and may escape all of it in a string.
pub const BODY_LIMIT: usize = 16 * 1024 * 1024;

/// How long a body may take to arrive.
const BODY_WAIT: Duration = Duration::from_secs(30);

/// What the host sends for an Event Grid trigger. The rest is not used: `Metadata` repeats the
/// data of the event.
#[derive(Deserialize)]
pub(super) struct Envelope {
    #[serde(rename = "Data")]
    pub(super) bindings: Bindings,
}

#[derive(Deserialize)]
pub(super) struct Bindings {
    #[serde(rename = "eventGridEvent")]
    pub(super) event: Value,
}

/// What the host sends for a queue trigger. Members of the message replace those of `Metadata`, so nothing that
/// matters is read from there.
#[derive(Deserialize)]
pub(super) struct RetryEnvelope {
    #[serde(rename = "Data")]
    pub(super) bindings: RetryBindings,
    #[serde(rename = "Metadata", default)]
    pub(super) metadata: Value,
}

#[derive(Deserialize)]
pub(super) struct RetryBindings {
    #[serde(rename = "retry")]
    pub(super) message: Value,
}

impl RetryEnvelope {
    /// How often the message was received. The host sends this number as a string.
    pub(super) fn dequeue_count(&self) -> u64 {
        let count = self.metadata.get("DequeueCount");
        count.and_then(Value::as_str).and_then(|text| text.trim_matches('"').parse().ok()).unwrap_or_default()
    }
}

/// Why an invocation cannot be read.
#[derive(Debug, thiserror::Error)]
pub(super) enum EnvelopeError {
    #[error("the invocation is larger than {BODY_LIMIT} bytes")]
    TooLarge,
    #[error("the invocation did not arrive within {} seconds", BODY_WAIT.as_secs())]
    TooSlow,
    #[error("the invocation did not arrive completely")]
    Incomplete(#[source] Box<dyn std::error::Error + Send + Sync>),
    #[error("the invocation is not an envelope with Data.{binding}")]
    NotAnEnvelope { binding: &'static str, body: String, source: serde_json::Error },
}

impl EnvelopeError {
    pub(super) fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Incomplete(_) | Self::NotAnEnvelope { .. } => StatusCode::BAD_REQUEST,
        }
    }
}

pub(super) async fn read_envelope<E: DeserializeOwned>(
    body: Body,
    binding: &'static str,
) -> Result<E, EnvelopeError> {
    let body = read_body(body).await?;
    serde_json::from_slice(&body).map_err(|source| EnvelopeError::NotAnEnvelope {
        binding,
        body: String::from_utf8_lossy(&body).into_owned(),
        source,
    })
}

pub(super) async fn read_body(body: Body) -> Result<Bytes, EnvelopeError> {
    let body = timeout(BODY_WAIT, Limited::new(body, BODY_LIMIT).collect())
        .await
        .map_err(|_| EnvelopeError::TooSlow)?
        .map_err(|error| match error.downcast_ref::<LengthLimitError>() {
            Some(_) => EnvelopeError::TooLarge,
            None => EnvelopeError::Incomplete(error),
        })?;
    Ok(body.to_bytes())
}
