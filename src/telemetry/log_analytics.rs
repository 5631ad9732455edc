//! Stores drift events as rows of a table in Log Analytics, through the Logs Ingestion API.
//!
//! An invocation whose row is not stored fails, so that its event is delivered again: at least once, and the
//! service does not remove duplicates.
//!
//! Source: <https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview>

use std::{
    io::{self, Write as _},
    net::Ipv4Addr,
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use http::{
    HeaderValue, Method, Request, Response, StatusCode, Uri,
    header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE},
};
use serde_json::{Value, json};
use tokio::time::{Instant, sleep, timeout};

use super::timestamp;
use crate::{
    azure::{
        http_transport::{self, HttpTransport, TransportError},
        tokens::{self, TokenError, Tokens},
    },
    config::{LogsIngestion, Settings},
    decide::report::Drift,
    domain::{dns::DomainName, resource_id::ContainerGroupId},
};

/// The largest body, before compression, in bytes: the service accepts a megabyte.
const BATCH_BYTES: usize = 900 * 1024;

/// The timeout of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The first wait before a retry; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(500);

/// The largest answer that is read, in bytes.
const ANSWER_LIMIT: usize = 64 * 1024;

/// How much of the service's error message is kept, in characters.
const MESSAGE_CHARACTERS: usize = 500;

/// A stream of a data collection rule.
#[derive(Debug)]
pub(super) struct LogAnalytics {
    uri: Uri,
    scope: String,
    http_transport: HttpTransport,
    tokens: Tokens,
    /// The deadline of an invocation.
    deadline: Duration,
}

/// One drift event.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) time: SystemTime,
    pub(super) container_group: &'a ContainerGroupId,
    pub(super) drift: &'a Drift,
    pub(super) fqdn: Option<&'a DomainName>,
    pub(super) address: Option<Ipv4Addr>,
    pub(super) event_id: &'a str,
    pub(super) invocation_id: Option<&'a str>,
}

impl Row<'_> {
    fn to_json(&self) -> Value {
        let Self { container_group, drift, .. } = self;
        json!({
            "TimeGenerated": timestamp(self.time),
            "Event": drift.event.as_str(),
            "Kinds": drift.kinds.iter().map(|kind| kind.as_str()).collect::<Vec<_>>(),
            "ContainerGroupId": container_group.to_string(),
            "SubscriptionId": container_group.subscription(),
            "ResourceGroup": container_group.resource_group(),
            "ContainerGroup": container_group.name(),
            "Fqdn": self.fqdn.map(ToString::to_string),
            "Address": self.address.map(|address| address.to_string()),
            "DnsAddresses": drift.dns_addresses.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "Ptr": drift.dns_ptr,
            "EventId": self.event_id,
            "InvocationId": self.invocation_id,
        })
    }
}

/// Why rows are not stored.
#[derive(Debug, thiserror::Error)]
pub(super) enum LogAnalyticsError {
    /// There is no token.
    #[error("no token for Log Analytics")]
    Token(#[source] TokenError),
    /// The rows cannot be compressed.
    #[error("the row for Log Analytics cannot be compressed")]
    Compress(#[source] io::Error),
    /// No answer arrived.
    #[error("cannot reach Log Analytics")]
    Unreachable(#[source] TransportError),
    /// No answer arrived in time.
    #[error("Log Analytics did not answer within {} s", .0.as_secs_f32())]
    TimedOut(Duration),
    /// The service refuses the rows.
    #[error("Log Analytics answered {status} to the row{}", hint(*.status))]
    Refused {
        /// The HTTP status.
        status: StatusCode,
        /// The message of the service.
        #[source]
        message: Message,
        /// The wait that the service asks for.
        retry_after: Option<Duration>,
    },
}

/// The message of the service.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Message(String);

/// The fix for a status.
fn hint(status: StatusCode) -> &'static str {
    match status {
        StatusCode::FORBIDDEN => {
            " (the identity needs Monitoring Metrics Publisher on the data collection rule)"
        }
        StatusCode::NOT_FOUND => " (see ACI_DNS_LOGS_RULE_ID and ACI_DNS_LOGS_STREAM)",
        _ => "",
    }
}

impl LogAnalyticsError {
    fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) | Self::TimedOut(_) => true,
            Self::Refused { status, .. } => {
                status.is_server_error()
                    || [StatusCode::TOO_MANY_REQUESTS, StatusCode::REQUEST_TIMEOUT].contains(status)
            }
            Self::Token(_) | Self::Compress(_) => false,
        }
    }

    fn retry_after(&self) -> Duration {
        match self {
            Self::Refused { retry_after, .. } => retry_after.unwrap_or_default(),
            Self::Unreachable(_) | Self::TimedOut(_) | Self::Token(_) | Self::Compress(_) => Duration::ZERO,
        }
    }
}

impl LogAnalytics {
    pub(super) fn new(
        logs: &LogsIngestion,
        settings: &Settings,
        http_transport: &HttpTransport,
        tokens: &Tokens,
    ) -> Self {
        let LogsIngestion { endpoint, rule_id, stream } = logs;
        let path = format!("dataCollectionRules/{rule_id}/streams/{stream}?api-version=2023-01-01");
        let uri = endpoint.join(&path).map(|url| url.as_str().parse());
        Self {
            uri: uri.ok().and_then(Result::ok).expect("the settings only contain valid path segments"),
            scope: format!("{}/.default", settings.cloud.monitor_audience()),
            http_transport: http_transport.clone(),
            tokens: tokens.clone(),
            deadline: settings.deadline,
        }
    }

    /// Stores rows of an invocation that was received at this time, in as few requests as possible.
    pub(super) async fn store(&self, rows: &[Row<'_>], received: Instant) -> Result<(), LogAnalyticsError> {
        let deadline = received + self.deadline;
        for batch in batches(rows) {
            self.store_batch(gzip(&batch).map_err(LogAnalyticsError::Compress)?, deadline).await?;
        }
        Ok(())
    }

    async fn store_batch(&self, body: Bytes, deadline: Instant) -> Result<(), LogAnalyticsError> {
        let mut wait = FIRST_WAIT;
        let mut is_token_renewed = false;
        loop {
            let error = match self.attempt(body.clone(), deadline).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if matches!(error, LogAnalyticsError::Refused { status: StatusCode::UNAUTHORIZED, .. })
                && !is_token_renewed
            {
                is_token_renewed = true;
                continue;
            }
            let pause = error.retry_after().max(wait);
            if !error.may_pass() || Instant::now() + pause >= deadline {
                return Err(error);
            }
            tracing::debug!(%error, wait_ms = pause.as_millis(), "retrying to send rows");
            sleep(pause).await;
            wait *= 2;
        }
    }

    async fn attempt(&self, body: Bytes, deadline: Instant) -> Result<(), LogAnalyticsError> {
        let limit = deadline.saturating_duration_since(Instant::now()).min(REQUEST_TIMEOUT);
        let exchange = async {
            let token = self.tokens.bearer(&self.scope).await.map_err(LogAnalyticsError::Token)?;
            let mut request = Request::new(body);
            *request.method_mut() = Method::POST;
            *request.uri_mut() = self.uri.clone();
            let headers = request.headers_mut();
            headers.insert(AUTHORIZATION, tokens::bearer(&token).map_err(LogAnalyticsError::Token)?);
            headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
            headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
            let response = self.http_transport.exchange(request, ANSWER_LIMIT).await;
            let checked = check_status(&response.map_err(LogAnalyticsError::Unreachable)?);
            if matches!(checked, Err(LogAnalyticsError::Refused { status: StatusCode::UNAUTHORIZED, .. })) {
                self.tokens.reject(&self.scope, &token);
            }
            checked
        };
        timeout(limit, exchange).await.unwrap_or(Err(LogAnalyticsError::TimedOut(limit)))
    }
}

fn check_status(response: &Response<Bytes>) -> Result<(), LogAnalyticsError> {
    let status = response.status();
    if status.is_success() {
        return Ok(());
    }
    let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    let error = body.get("error").unwrap_or(&body);
    let text = |key| error.get(key).and_then(Value::as_str);
    let words: Vec<&str> = [text("code"), text("message")].into_iter().flatten().collect();
    let message = if words.is_empty() { "no message".to_owned() } else { words.join(": ") };
    let message = Message(message.chars().take(MESSAGE_CHARACTERS).collect());
    Err(LogAnalyticsError::Refused {
        status,
        message,
        retry_after: http_transport::retry_after(response.headers(), SystemTime::now()),
    })
}

/// The rows as JSON arrays within the size limit.
fn batches(rows: &[Row<'_>]) -> Vec<String> {
    let mut batches: Vec<String> = vec![];
    for row in rows {
        let text = row.to_json().to_string();
        match batches.last_mut() {
            Some(batch) if batch.len() + text.len() + 2 <= BATCH_BYTES => {
                batch.push(',');
                batch.push_str(&text);
            }
            _ => {
                if let Some(full) = batches.last_mut() {
                    full.push(']');
                }
                batches.push(format!("[{text}"));
            }
        }
    }
    if let Some(last) = batches.last_mut() {
        last.push(']');
    }
    batches
}

fn gzip(text: &str) -> io::Result<Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text.as_bytes())?;
    encoder.finish().map(Bytes::from)
}
