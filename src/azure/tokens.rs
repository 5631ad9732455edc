//! Access tokens and their cache.
//!
//! A token is cached until it expires, and refreshed some minutes before that, in the background. No request
//! waits while a token is valid, and if a refresh fails, the old token remains in use. A token that Resource
//! Manager rejects is dropped.
//!
//! Each fetch creates the credential again. That is cheap, and its own cache would return the rejected token
//! (and, after a failed refresh, no token at all although the old one is valid). The platform also rotates
//! `IDENTITY_HEADER` (<https://learn.microsoft.com/azure/app-service/overview-managed-identity>).
//!
//! If the identity endpoint refuses, the error contains its message and the appropriate fix: `azure_identity`
//! replaces the message with a guess.
//!
//! Deliberately absent: client secrets and certificates. A function app has a managed identity.

pub(crate) mod messages;

use std::{
    collections::HashMap,
    env, fmt,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use axum::BoxError;
use azure_core1::{
    credentials::{AccessToken, TokenCredential},
    error::ErrorKind,
    http::{
        AsyncRawResponse, ClientOptions, ExponentialRetryOptions, HttpClient, Request, RetryOptions,
        StatusCode, Transport,
    },
};
use azure_identity::{
    DeveloperToolsCredential, ManagedIdentityCredential, ManagedIdentityCredentialOptions, UserAssignedId,
};
use bytes::Bytes;
use tokio::time::{Instant, timeout};

use crate::azure::http_transport::{HttpTransport, TransportError};

/// How long before its expiry a token is refreshed. `azure_identity` refreshes at five minutes; a shorter
/// time ensures that it does refresh.
const REFRESH_BEFORE: Duration = Duration::from_mins(4);

/// The pause between two attempts to refresh a valid token.
const REFRESH_PAUSE: Duration = Duration::from_secs(30);

/// The timeout of a refresh, including retries; it must end before the token expires.
const REFRESH_TIMEOUT: Duration = Duration::from_mins(1);

/// The timeout of one request to the identity endpoint.
const ENDPOINT_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer of the identity endpoint, in bytes; tokens are a few kilobytes.
const ENDPOINT_LIMIT: usize = 256 * 1024;

/// Why there is no access token.
#[derive(Debug, thiserror::Error)]
pub enum TokenError {
    /// No token is available now.
    #[error("no access token: the identity endpoint is unreachable or fails")]
    Unavailable(#[source] BoxError),
    /// The identity cannot get a token.
    #[error("no access token")]
    Refused(#[source] BoxError),
}

/// The source of bearer tokens. Cheap to clone; clones share the cache.
#[derive(Clone)]
pub struct Tokens(Arc<TokenSource>);

enum TokenSource {
    Fixed(Arc<str>),
    Credential { identity: Identity, scopes: Mutex<HashMap<String, Arc<ScopeToken>>> },
}

/// The identity to get a token for.
struct Identity {
    make: Box<MakeCredential>,
    /// `AZURE_CLIENT_ID`.
    client_id: Option<String>,
}

type MakeCredential = dyn Fn() -> azure_core1::Result<Arc<dyn TokenCredential>> + Send + Sync;

/// The token of one scope.
#[derive(Default)]
struct ScopeToken {
    cached: Mutex<Option<Cached>>,
    /// Held during a fetch.
    fetching: Arc<tokio::sync::Mutex<()>>,
}

#[derive(Clone)]
struct Cached {
    token: Arc<str>,
    refresh: Instant,
    end: Instant,
}

impl Tokens {
    /// The managed identity if the platform offers one (user-assigned if a client id is set); otherwise the
    /// user who is signed in with the Azure CLI or the Azure Developer CLI. Both know their cloud, so only
    /// the scope of a request names it.
    ///
    /// A function app and a container app have the variable `IDENTITY_ENDPOINT`. A Linux container group, as
    /// users report, has only `IDENTITY_HEADER`; its identity is at the address of the instance metadata
    /// service
    /// (<https://learn.microsoft.com/azure/container-instances/container-instances-managed-identity>).
    /// Elsewhere, `AZURE_TOKEN_CREDENTIALS` can select the managed identity, as for Azure's other libraries.
    #[must_use]
    pub fn azure(client_id: Option<String>, http_transport: &HttpTransport) -> Self {
        let http_transport = http_transport.clone();
        let requested_id = client_id.clone();
        Self::from_credential(requested_id, move || {
            if !is_managed_identity() {
                return Ok(DeveloperToolsCredential::new(None)?);
            }
            let retry = ExponentialRetryOptions { max_retries: 2, ..ExponentialRetryOptions::default() };
            let client_options = ClientOptions {
                transport: Some(Transport::new(Arc::new(IdentityTransport(http_transport.clone())))),
                retry: RetryOptions::exponential(retry),
                ..ClientOptions::default()
            };
            let user_assigned_id = client_id.clone().map(UserAssignedId::ClientId);
            let options = ManagedIdentityCredentialOptions { user_assigned_id, client_options };
            Ok(ManagedIdentityCredential::new(Some(options))?)
        })
    }

    /// Always the same token, for the simulator in this process.
    #[must_use]
    pub fn fixed(text: impl Into<Arc<str>>) -> Self {
        Self(Arc::new(TokenSource::Fixed(text.into())))
    }

    fn from_credential(
        client_id: Option<String>,
        make: impl Fn() -> azure_core1::Result<Arc<dyn TokenCredential>> + Send + Sync + 'static,
    ) -> Self {
        let identity = Identity { make: Box::new(make), client_id };
        Self(Arc::new(TokenSource::Credential { identity, scopes: Mutex::default() }))
    }

    /// Returns a token for a scope.
    pub(crate) async fn bearer(&self, scope: &str) -> Result<Arc<str>, TokenError> {
        let (identity, slot) = match &*self.0 {
            TokenSource::Fixed(text) => return Ok(text.clone()),
            TokenSource::Credential { identity, scopes } => (identity, slot(scopes, scope)),
        };
        let now = Instant::now();
        if let Some(cached) = slot.read().filter(|cached| now < cached.end) {
            if now < cached.refresh {
                return Ok(cached.token);
            }
            if let Ok(fetching) = Arc::clone(&slot.fetching).try_lock_owned() {
                let (tokens, scope, cached) = (self.clone(), scope.to_owned(), cached.clone());
                tokio::spawn(async move {
                    tokens.refresh(&scope, &slot, cached).await;
                    drop(fetching);
                });
            }
            return Ok(cached.token);
        }
        let _fetching = slot.fetching.lock().await;
        // Another request may have fetched a token while this one waited.
        if let Some(cached) = slot.read().filter(|cached| Instant::now() < cached.end) {
            return Ok(cached.token);
        }
        identity.fetch(scope).await.map(|token| slot.keep(&token))
    }

    /// Replaces a token that expires soon, if possible.
    async fn refresh(&self, scope: &str, slot: &ScopeToken, cached: Cached) {
        let TokenSource::Credential { identity, .. } = &*self.0 else { return };
        if let Ok(Ok(token)) = timeout(REFRESH_TIMEOUT, identity.fetch(scope)).await {
            slot.keep(&token);
        } else {
            tracing::warn!("could not refresh the access token; the old one remains in use");
            slot.write(Some(Cached { refresh: Instant::now() + REFRESH_PAUSE, ..cached }));
        }
    }

    /// Drops a rejected token, unless it was replaced meanwhile.
    pub(crate) fn reject(&self, scope: &str, token: &str) {
        if let TokenSource::Credential { scopes, .. } = &*self.0 {
            let slot = slot(scopes, scope);
            if slot.read().is_some_and(|cached| *cached.token == *token) {
                slot.write(None);
            }
        }
    }
}

impl fmt::Debug for Tokens {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match &*self.0 {
            TokenSource::Fixed(_) => "Tokens::fixed",
            TokenSource::Credential { .. } => "Tokens::azure",
        })
    }
}

/// Whether the environment has a managed identity.
fn is_managed_identity() -> bool {
    let is_chosen = |name: String| name.eq_ignore_ascii_case("ManagedIdentityCredential");
    env::var("AZURE_TOKEN_CREDENTIALS").is_ok_and(is_chosen)
        || ["IDENTITY_ENDPOINT", "IDENTITY_HEADER"].iter().any(|name| env::var_os(name).is_some())
}

/// The header that contains a token. No log shows its value.
pub(crate) fn bearer(token: &str) -> Result<http::HeaderValue, TokenError> {
    let mut bearer = http::HeaderValue::try_from(format!("Bearer {token}"))
        .map_err(|error| TokenError::Refused(error.into()))?;
    bearer.set_sensitive(true);
    Ok(bearer)
}

fn slot(scopes: &Mutex<HashMap<String, Arc<ScopeToken>>>, scope: &str) -> Arc<ScopeToken> {
    let mut scopes = scopes.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(slot) = scopes.get(scope) {
        return slot.clone();
    }
    scopes.entry(scope.to_owned()).or_default().clone()
}

impl ScopeToken {
    fn read(&self) -> Option<Cached> {
        self.cached.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn write(&self, cached: Option<Cached>) {
        *self.cached.lock().unwrap_or_else(PoisonError::into_inner) = cached;
    }

    fn keep(&self, token: &AccessToken) -> Arc<str> {
        let lifetime = SystemTime::from(token.expires_on).duration_since(SystemTime::now());
        let (now, lifetime) = (Instant::now(), lifetime.unwrap_or_default());
        let text: Arc<str> = token.token.secret().into();
        // Without this lower bound, a short-lived token would be refreshed at every request.
        let refresh = lifetime.saturating_sub(REFRESH_BEFORE).max(REFRESH_PAUSE);
        self.write(Some(Cached { token: text.clone(), refresh: now + refresh, end: now + lifetime }));
        text
    }
}

impl Identity {
    async fn fetch(&self, scope: &str) -> Result<AccessToken, TokenError> {
        let credential = (self.make)().map_err(|error| TokenError::Refused(error.into()))?;
        credential.get_token(&[scope], None).await.map_err(|error| {
            if is_transient(&error) {
                TokenError::Unavailable(error.into())
            } else {
                TokenError::Refused(refusal(error, self.client_id.as_deref()))
            }
        })
    }
}

/// Why the identity cannot get a token, and the fix.
#[derive(Debug, thiserror::Error)]
enum Refusal {
    /// The identity endpoint refuses.
    #[error("the identity endpoint answered with status {status}, {message:?}: {fix}")]
    Endpoint {
        status: u16,
        /// The message of the endpoint.
        message: String,
        fix: String,
    },
    /// The developer's tools refuse, or the request fails on the way.
    #[error("{fix}")]
    Other { fix: &'static str, source: BoxError },
}

/// The message of the identity endpoint, which `azure_identity` replaces.
fn refusal(error: azure_core1::Error, client_id: Option<&str>) -> BoxError {
    let outermost: &(dyn std::error::Error + 'static) = &error;
    let mut causes = std::iter::successors(Some(outermost), |cause| cause.source());
    let answer = causes.find_map(|cause| match cause.downcast_ref::<azure_core1::Error>()?.kind() {
        ErrorKind::HttpResponse { status, raw_response: Some(response), .. } => {
            Some((u16::from(*status), endpoint_message(response.body())))
        }
        _ => None,
    });
    let Some((status, message)) = answer else {
        let fix = if is_managed_identity() {
            "cannot reach the managed identity"
        } else {
            "sign in with az login, or run this with a managed identity"
        };
        return Refusal::Other { fix, source: error.into() }.into();
    };
    let is_ambiguous = message.to_ascii_lowercase().contains("multiple");
    let fix = match client_id {
        Some(id) => format!("AZURE_CLIENT_ID is {id:?}; correct it, or assign that identity to the app"),
        None if is_ambiguous => {
            "set AZURE_CLIENT_ID to the client id of one of them (it is not set)".to_owned()
        }
        None => "assign a managed identity to the app (AZURE_CLIENT_ID is not set, which means the \
                 system-assigned one)"
            .to_owned(),
    };
    Refusal::Endpoint { status, message, fix }.into()
}

/// The message in an error of the identity endpoint, in the formats of its different hosts.
fn endpoint_message(body: &[u8]) -> String {
    const LONGEST: usize = 500;
    let text = String::from_utf8_lossy(body);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let members = ["/error_description", "/message", "/Message", "/error/message", "/error"];
    let message = members.iter().find_map(|member| json.pointer(member)?.as_str());
    message.unwrap_or_else(|| text.trim()).chars().take(LONGEST).collect()
}

/// The token in a format that `azure_identity` can read: some hosts return `expires_on` as a number.
fn with_text_expiry(body: Bytes) -> Bytes {
    let Ok(mut answer) = serde_json::from_slice::<serde_json::Value>(&body) else { return body };
    let Some(expiry) = answer.get_mut("expires_on").filter(|expiry| expiry.is_number()) else { return body };
    // Also for seconds with a fraction.
    let seconds = expiry.to_string();
    *expiry = seconds.split('.').next().unwrap_or_default().into();
    answer.to_string().into()
}

/// Whether a token request failed temporarily. `azure_identity` wraps the cause, so the innermost known error
/// decides.
fn is_transient(error: &azure_core1::Error) -> bool {
    let outermost: &(dyn std::error::Error + 'static) = error;
    let causes = std::iter::successors(Some(outermost), |cause| cause.source());
    let verdicts = causes.filter_map(|cause| match cause.downcast_ref::<azure_core1::Error>()?.kind() {
        ErrorKind::HttpResponse { status, .. } => Some(
            status.is_server_error()
                || [StatusCode::TooManyRequests, StatusCode::RequestTimeout].contains(status),
        ),
        ErrorKind::Connection | ErrorKind::Io => Some(true),
        ErrorKind::DataConversion | ErrorKind::Credential | ErrorKind::Other => None,
    });
    verdicts.last().unwrap_or(false)
}

/// The transport, through the interface that `azure_identity` requires.
#[derive(Debug)]
struct IdentityTransport(HttpTransport);

#[async_trait]
impl HttpClient for IdentityTransport {
    async fn execute_request(&self, request: &Request) -> azure_core1::Result<AsyncRawResponse> {
        let unsendable = |error: BoxError| azure_core1::Error::new(ErrorKind::Other, error);
        let outgoing = messages::request(request).map_err(unsendable)?;
        let exchange = async {
            let failed = |error| match error {
                TransportError::NoClient(error) | TransportError::Unsendable(error) => unsendable(error),
                error @ TransportError::Untrusted { .. } => unsendable(error.into()),
                TransportError::Unreachable { source, .. } => {
                    azure_core1::Error::new(ErrorKind::Connection, source)
                }
                TransportError::Lost(error) => azure_core1::Error::new(ErrorKind::Io, error),
                TransportError::TooLarge { .. } => {
                    unsendable("the answer to a token request is too large".into())
                }
            };
            let answer = self.0.exchange(outgoing, ENDPOINT_LIMIT).await.map_err(failed)?;
            let is_success = answer.status().is_success();
            Ok(messages::answer(answer.map(|body| if is_success { with_text_expiry(body) } else { body })))
        };
        let late = |error| Err(azure_core1::Error::new(ErrorKind::Io, error));
        timeout(ENDPOINT_TIMEOUT, exchange).await.unwrap_or_else(late)
    }
}

#[cfg(test)]
mod tests;
