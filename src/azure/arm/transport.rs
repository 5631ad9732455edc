//! The transport below the generated clients: it sends one request, with token, timeout, retries and limits.
//!
//! - A token goes to the scheme, host and port of the configured endpoint only. A link to the next page comes
//!   from the answer; if it leads elsewhere, no token is even fetched.
//! - The generated clients log their whole requests (RUSTSEC-2026-0275). They get a placeholder for a
//!   credential; the token is attached here, below their logging.
//! - A read is repeated after every temporary failure. A write is repeated only if Azure certainly did not
//!   process it; after a lost answer, the caller reads the record set.
//! - Waiting never outlasts the invocation. If Azure asks for a longer wait, the request fails at once, and
//!   so do further requests of the same quota.

use std::{
    pin::pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicU64, Ordering},
    },
    task::Poll,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use axum::BoxError;
use azure_core::{
    BytesStream, HttpClient,
    auth::{AccessToken, TokenCredential},
    error::{Error, ErrorKind},
    headers::Headers,
};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use serde::{Deserialize, de::IgnoredAny};
use serde_json::Value;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use url::{Host, Url};

use super::{
    activity::Activity,
    error::{Cause, ErrorResponse},
    pace::{self, Cooldowns, QuotaKey},
    prune,
};
use crate::{
    azure::{
        http_transport::{self, HttpTransport},
        slot::Slot,
        tokens::{self, Tokens},
    },
    decide::report::RequestRecord,
};

/// The timeout of one request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The first wait before a retry; each further one is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(200);

/// The longest wait that Azure did not ask for.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// How long a command or a sweep retries to connect before it reports that the network is down.
const CONNECT_RETRY_TIME: Duration = Duration::from_secs(10);

/// A longer remaining time belongs to a command or a sweep; the invocation of an event tries until its
/// deadline.
const LONGEST_INVOCATION: Duration = Duration::from_mins(1);

/// The largest answer, in bytes.
pub(super) const ANSWER_LIMIT: usize = 8 * 1024 * 1024;

/// The largest error body that is read, in bytes; of a larger one only the status counts.
const ERROR_LIMIT: usize = 64 * 1024;

/// How many requests an invocation records: more than any event needs, but bounded.
const RECORD_LIMIT: usize = 256;

/// How much of Azure's error message is kept, in characters.
const MESSAGE_CHARACTERS: usize = 500;

/// The state that all invocations share.
#[derive(Debug)]
pub(super) struct Endpoint {
    pub(super) url: Url,
    pub(super) scope: String,
    pub(super) http_transport: HttpTransport,
    pub(super) tokens: Tokens,
    pub(super) pace: Cooldowns,
    /// The state of the jitter generator.
    pub(super) jitter: AtomicU64,
    /// What was sent, and what is left.
    pub(super) activity: Activity,
}

/// The transport of one invocation.
#[derive(Debug)]
pub(super) struct Transport {
    endpoint: Arc<Endpoint>,
    deadline: Instant,
    /// The slot that the invocation releases while it waits for Azure.
    slot: Option<Arc<Slot>>,
    calls: AtomicU32,
    log: Mutex<Vec<Sent>>,
    /// When the first request of the current outage failed to connect. The requests of one command share it, so that
    /// they all stop retrying at the same time.
    unreachable_since: Mutex<Option<Instant>>,
}

/// A request that was sent, and its result.
#[derive(Debug)]
struct Sent {
    at: Instant,
    exchange: RequestRecord,
}

/// The placeholder credential of the generated clients.
#[derive(Debug)]
pub(super) struct ArmPlaceholderCredential;

#[async_trait]
impl TokenCredential for ArmPlaceholderCredential {
    async fn get_token(&self, _: &[&str]) -> azure_core::Result<AccessToken> {
        let end = SystemTime::now() + Duration::from_hours(1);
        Ok(AccessToken::new("set-by-the-transport", end.into()))
    }

    async fn clear_cache(&self) -> azure_core::Result<()> {
        Ok(())
    }
}

#[async_trait]
impl HttpClient for Transport {
    async fn execute_request(
        &self,
        request: &azure_core::Request,
    ) -> azure_core::Result<azure_core::Response> {
        match self.exchange(request).await {
            // The callers do not read headers, and absent headers cannot be logged.
            Ok((status, body)) => {
                let body = Box::pin(BytesStream::new(body));
                Ok(azure_core::Response::new(status, Headers::new(), body))
            }
            Err(cause) => Err(Error::new(ErrorKind::Other, cause)),
        }
    }
}

/// A request without its token, which can be sent several times.
struct Outgoing {
    method: Method,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
    /// Whether the answer is passed on as it is.
    is_raw: bool,
}

/// A page of a list of record sets. The generated model reads a page without `value` as an empty one.
#[derive(Deserialize)]
struct RecordSetPage {
    #[serde(rename = "value")]
    _value: Vec<IgnoredAny>,
}

/// Whether this can be a record set, or a page of a list of record sets.
fn check_json(body: &[u8], is_list: bool) -> Result<(), BoxError> {
    if !body.trim_ascii_start().starts_with(b"{") {
        return Err("it is not a JSON object".into());
    }
    if is_list {
        serde_json::from_slice::<RecordSetPage>(body)?;
    } else {
        serde_json::from_slice::<IgnoredAny>(body)?;
    }
    Ok(())
}

/// The kind of a request, with few different values.
fn operation(method: &str, path: &str) -> String {
    let path = path.to_ascii_lowercase();
    let (subject, is_list) = match path.split_once("/privatednszones/") {
        None => ("container group", path.ends_with("/containergroups")),
        Some((_, rest)) => {
            let mut segments = rest.split('/').skip(1);
            let subject = match segments.next() {
                Some("a") => "A",
                Some("ptr") => "PTR",
                _ => "record set",
            };
            (subject, segments.next().is_none())
        }
    };
    format!("{} {subject}", if is_list { "LIST" } else { method })
}

impl Endpoint {
    /// The URL of a request. The path comes from the settings or from parsed ids, so it cannot lead elsewhere.
    pub(super) fn url(&self, path: &str, query: &[(&str, &str)]) -> Url {
        let mut url = self.url.clone();
        url.set_path(path);
        url.query_pairs_mut().clear().extend_pairs(query);
        url
    }

    /// A token, after the set-up of the HTTP client.
    pub(super) async fn token(&self) -> Result<Arc<str>, Cause> {
        let Self { scope, http_transport, tokens, .. } = self;
        http_transport.ready().await?;
        Ok(tokens.bearer(scope).await?)
    }

    /// A duration between half of the longest and the longest.
    pub(super) fn spread(&self, longest: Duration) -> Duration {
        // SplitMix64 (Steele, Lea, Flood 2014): a counter and a mix of its bits.
        let gamma = 0x9E37_79B9_7F4A_7C15;
        let state = self.jitter.fetch_add(gamma, Ordering::Relaxed).wrapping_add(gamma);
        let mixed = (state ^ (state >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        let mixed = mixed ^ (mixed >> 31);
        let half = longest / 2;
        let span = u64::try_from(half.as_millis()).unwrap_or(u64::MAX).saturating_add(1);
        half + Duration::from_millis(mixed % span)
    }
}

/// The part of a path after the provider of container groups: `containerGroups/web`, or for a list
/// `containerGroups` in any spelling, because Azure chooses the addresses of further pages.
fn below_container_instance(path: &str) -> Option<&str> {
    let provider = "/providers/microsoft.containerinstance/";
    let at = path.to_ascii_lowercase().find(provider)?;
    path.get(at + provider.len()..).map(|rest| rest.trim_end_matches('/'))
}

impl Transport {
    pub(super) fn new(endpoint: Arc<Endpoint>, deadline: Instant, slot: Option<Arc<Slot>>) -> Self {
        Self {
            endpoint,
            deadline,
            slot,
            calls: AtomicU32::new(0),
            log: Mutex::default(),
            unreachable_since: Mutex::default(),
        }
    }

    /// The requests that were sent, in the order in which they ended; at most the first 256.
    pub(super) fn request_records(&self) -> Vec<RequestRecord> {
        let now = Instant::now();
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        log.iter().map(|sent| RequestRecord { age: now - sent.at, ..sent.exchange.clone() }).collect()
    }

    /// Counts requests that another transport sent for this invocation.
    pub(super) fn add(&self, calls: u32, records: impl IntoIterator<Item = RequestRecord>) {
        self.calls.fetch_add(calls, Ordering::Relaxed);
        let now = Instant::now();
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        for exchange in records.into_iter().take(RECORD_LIMIT.saturating_sub(log.len())) {
            log.push(Sent { at: now.checked_sub(exchange.age).unwrap_or(now), exchange });
        }
    }

    /// When the invocation ends.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline
    }

    /// Waits without holding the invocation's slot. A future that is ready at once does not release the slot.
    async fn wait<Wait: Future>(&self, wait: Wait) -> Wait::Output {
        let mut wait = pin!(wait);
        match (futures::poll!(&mut wait), &self.slot) {
            (Poll::Ready(output), _) => output,
            (Poll::Pending, Some(slot)) => slot.release_during(wait).await,
            (Poll::Pending, None) => wait.await,
        }
    }

    fn note(&self, outgoing: &Outgoing, attempt: u32, at: Instant, status: Option<u16>) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if log.len() >= RECORD_LIMIT {
            return;
        }
        let path = outgoing.uri.path();
        let host = self.endpoint.url.host_str().unwrap_or_default().to_owned();
        let method = match outgoing.method {
            Method::PUT => "PUT",
            Method::DELETE => "DELETE",
            Method::POST => "POST",
            _ => "GET",
        };
        let exchange = RequestRecord {
            method,
            operation: operation(method, path),
            url: format!("{}{path}", self.endpoint.url.origin().ascii_serialization()),
            host,
            attempt,
            status,
            age: Duration::ZERO,
            duration: at.elapsed(),
        };
        log.push(Sent { at, exchange });
    }

    /// How many requests were sent.
    pub(super) fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    /// Sends a request, with retries, and returns status and body of the answer.
    pub(super) async fn exchange(
        &self,
        request: &azure_core::Request,
    ) -> Result<(azure_core::StatusCode, Bytes), Cause> {
        self.exchange_as(request, false).await
    }

    /// The same for container groups whose description is needed as it is.
    pub(super) async fn exchange_raw(
        &self,
        request: &azure_core::Request,
    ) -> Result<(azure_core::StatusCode, Bytes), Cause> {
        self.exchange_as(request, true).await
    }

    async fn exchange_as(
        &self,
        request: &azure_core::Request,
        is_raw: bool,
    ) -> Result<(azure_core::StatusCode, Bytes), Cause> {
        check_address(request.url(), &self.endpoint.url)?;
        let outgoing = Outgoing { is_raw, ..Outgoing::new(request)? };
        let is_read = outgoing.method == Method::GET;
        let mut longest_wait = FIRST_WAIT;
        let mut is_token_renewed = false;
        let mut attempt = 0;
        loop {
            attempt += 1;
            if !self.endpoint.pace.is_idle() {
                let turn = self.wait(self.endpoint.pace.turn(&outgoing.quota(), self.deadline)).await;
                turn.map_err(|wait| Cause::Throttled { wait })?;
            }
            let token = self.token().await?;
            let at = Instant::now();
            let cause = match self.attempt(&outgoing, attempt, &token).await {
                Ok(answer) => {
                    *self.unreachable_since.lock().unwrap_or_else(PoisonError::into_inner) = None;
                    return Ok(answer);
                }
                Err(cause) => cause,
            };
            if matches!(&cause, Cause::Answer(answer) if answer.status == 401) && !is_token_renewed {
                is_token_renewed = true;
                self.endpoint.tokens.reject(&self.endpoint.scope, &token);
                continue;
            }
            if let Some(wait) = cause.throttled() {
                self.endpoint.pace.close(&outgoing.quota(), wait);
            }
            let wait = cause.retry_after().unwrap_or_default().max(self.endpoint.spread(longest_wait));
            let remaining = self.deadline.saturating_duration_since(Instant::now());
            let is_network_down =
                self.unreachable_for(&cause, at) >= CONNECT_RETRY_TIME && remaining > LONGEST_INVOCATION;
            if !cause.may_be_repeated(is_read) || wait >= remaining || is_network_down {
                return Err(cause);
            }
            let (method, path) = (&outgoing.method, outgoing.uri.path());
            tracing::warn!(%method, path, wait_ms = wait.as_millis(), %cause, "retrying a request");
            self.wait(sleep(wait)).await;
            longest_wait = (longest_wait * 2).min(LONGEST_WAIT);
        }
    }

    /// How long no request has connected, given one that started at `at` and failed.
    fn unreachable_for(&self, cause: &Cause, at: Instant) -> Duration {
        let mut since = self.unreachable_since.lock().unwrap_or_else(PoisonError::into_inner);
        *since = matches!(cause, Cause::Unreachable { .. }).then(|| since.unwrap_or(at));
        since.map(|since| since.elapsed()).unwrap_or_default()
    }

    /// The access token.
    pub(super) async fn token(&self) -> Result<Arc<str>, Cause> {
        timeout_at(self.deadline, self.endpoint.token()).await.map_err(|_| Cause::Deadline)?
    }

    async fn attempt(
        &self,
        outgoing: &Outgoing,
        attempt: u32,
        token: &str,
    ) -> Result<(azure_core::StatusCode, Bytes), Cause> {
        let limit = self.deadline.saturating_duration_since(Instant::now()).min(REQUEST_TIMEOUT);
        if limit.is_zero() {
            return Err(Cause::Deadline);
        }
        let request = outgoing.with_token(token)?;
        self.calls.fetch_add(1, Ordering::Relaxed);
        self.endpoint.activity.count_request();
        let at = Instant::now();
        let answer = timeout(limit, self.send(request, outgoing)).await;
        let answer = answer.unwrap_or(Err(Cause::TimedOut(limit)));
        let status = match &answer {
            Ok((status, _)) => Some(status.as_u16()),
            Err(cause) => cause.status(),
        };
        self.note(outgoing, attempt, at, status);
        tracing::debug!(method = %outgoing.method, path = outgoing.uri.path(), status, "request");
        let (status, body) = answer?;
        let status = azure_core::StatusCode::try_from(status.as_u16())
            .map_err(|error| Cause::Unreadable { status: status.as_u16(), source: error.into() })?;
        Ok((status, body))
    }

    async fn send(
        &self,
        request: http::Request<Bytes>,
        outgoing: &Outgoing,
    ) -> Result<(StatusCode, Bytes), Cause> {
        let (parts, body) = self.endpoint.http_transport.send(request).await?.into_parts();
        let unreadable = |source| Cause::Unreadable { status: parts.status.as_u16(), source };
        match (&outgoing.method, parts.status) {
            // The status is enough, so the body, which may not arrive, is not read.
            (&Method::DELETE, StatusCode::OK | StatusCode::NO_CONTENT) | (&Method::PATCH, StatusCode::OK) => {
                return Ok((parts.status, Bytes::new()));
            }
            (&Method::POST | &Method::PUT, status) if outgoing.is_raw && status.is_success() => {
                return Ok((parts.status, Bytes::new()));
            }
            (&Method::GET, StatusCode::OK) | (&Method::PUT, StatusCode::OK | StatusCode::CREATED) => {}
            (_, status) if status.is_success() => {
                return Err(unreadable("an unexpected status for this request".into()));
            }
            _ => return Err(read_error(&parts, body).await),
        }
        let body = http_transport::collect(body, ANSWER_LIMIT).await?;
        let body = if outgoing.is_raw {
            check_json(&body, false).map_err(unreadable)?;
            body
        } else if let Some(rest) = below_container_instance(outgoing.uri.path()) {
            let prune = if rest.contains('/') { prune::container_group } else { prune::container_groups };
            prune(&body).map_err(unreadable)?.into()
        } else {
            // Checked here, so that a page of a proxy or a truncated answer is retried.
            check_json(&body, outgoing.is_list()).map_err(unreadable)?;
            body
        };
        Ok((parts.status, body))
    }
}

impl Outgoing {
    fn new(request: &azure_core::Request) -> Result<Self, Cause> {
        let unsendable = |error: http::Error| Cause::Unsendable(error.into());
        let method = Method::from_bytes(request.method().as_ref().as_bytes());
        let mut headers = HeaderMap::new();
        for (name, value) in request.headers().iter().filter(|(name, _)| name.as_str() != "authorization") {
            let name = HeaderName::try_from(name.as_str()).map_err(|error| unsendable(error.into()))?;
            let value = HeaderValue::try_from(value.as_str()).map_err(|error| unsendable(error.into()))?;
            headers.insert(name, value);
        }
        let azure_core::Body::Bytes(body) = request.body().clone() else {
            return Err(Cause::Unsendable("the body is a stream".into()));
        };
        let method = method.map_err(|error| unsendable(error.into()))?;
        Ok(Self {
            method,
            uri: Uri::try_from(request.url().as_str()).map_err(|error| unsendable(error.into()))?,
            headers,
            body,
            is_raw: false,
        })
    }

    /// The quota of the request.
    fn quota(&self) -> QuotaKey {
        QuotaKey::of(&self.method, self.uri.path(), &self.headers)
    }

    /// Whether it lists the record sets of one type.
    fn is_list(&self) -> bool {
        self.method == Method::GET && pace::is_list(self.uri.path())
    }

    fn with_token(&self, token: &str) -> Result<http::Request<Bytes>, Cause> {
        let mut request = http::Request::new(self.body.clone());
        *request.method_mut() = self.method.clone();
        *request.uri_mut() = self.uri.clone();
        *request.headers_mut() = self.headers.clone();
        request.headers_mut().insert(header::AUTHORIZATION, tokens::bearer(token)?);
        Ok(request)
    }
}

/// The parts of a URL that decide whether a request carries the token.
fn place(url: &Url) -> (&str, Option<&str>, Option<u16>) {
    (url.scheme(), url.host_str(), url.port_or_known_default())
}

/// Accepts only Resource Manager, over a connection that others cannot read.
fn check_address(url: &Url, endpoint: &Url) -> Result<(), Cause> {
    let refuse = |rule| {
        // Without credentials and query, because errors contain the address.
        let address = format!("{}{}", url.origin().ascii_serialization(), url.path());
        Err(Cause::Address { address, rule })
    };
    let is_loopback = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    if url.scheme() != "https" && !(url.scheme() == "http" && is_loopback) {
        return refuse("only https, or http to this machine");
    }
    if place(url) != place(endpoint) {
        return refuse("it is not the configured endpoint");
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refuse("it carries credentials");
    }
    let prefix = "/subscriptions/";
    if !url.path().get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)) {
        return refuse("its path is not below /subscriptions/");
    }
    Ok(())
}

/// Reads an error: Resource Manager wraps it (`{"error": {"code", "message"}}`), Private DNS does not.
async fn read_error(parts: &http::response::Parts, body: axum::body::Body) -> Cause {
    let status = parts.status.as_u16();
    let body = http_transport::collect(body, ERROR_LIMIT).await.unwrap_or_default();
    let error: Value = serde_json::from_slice(&body).unwrap_or_default();
    let error = error.get("error").filter(|error| error.is_object()).unwrap_or(&error);
    let text = |key| error.get(key).and_then(Value::as_str);
    let code = text("code").map(shorten);
    if status == 404 && code.is_none() {
        // Resource Manager and its services always send an error code with a 404.
        return Cause::Unreadable {
            status,
            source: "a 404 without an error code does not come from Azure".into(),
        };
    }
    let message = text("message").map_or_else(|| "no message".to_owned(), shorten);
    ErrorResponse {
        status,
        code,
        message,
        retry_after: http_transport::retry_after(&parts.headers, SystemTime::now()),
    }
    .into()
}

fn shorten(text: &str) -> String {
    text.chars()
        .take(MESSAGE_CHARACTERS)
        .map(|character| if character.is_control() { ' ' } else { character })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retries_are_spread_between_half_of_a_wait_and_the_whole() {
        let endpoint = Endpoint {
            url: "https://management.azure.com/".parse().unwrap(),
            scope: String::new(),
            http_transport: HttpTransport::network(),
            tokens: Tokens::fixed(""),
            pace: Cooldowns::default(),
            jitter: AtomicU64::new(7),
            activity: Activity::default(),
        };
        let waits: Vec<_> =
            (0..1000).map(|_| endpoint.spread(Duration::from_millis(200)).as_millis()).collect();
        assert!(waits.iter().all(|wait| (100..=200).contains(wait)));
        assert!(waits.iter().any(|wait| *wait < 110) && waits.iter().any(|wait| *wait > 190));
    }
}
