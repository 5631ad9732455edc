//! The transport below the SDK's client. It sends requests to one vault only, with the token for that vault.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_trait::async_trait;
use axum::BoxError;
use azure_core1::{
    Bytes,
    credentials::{AccessToken, TokenCredential, TokenRequestOptions},
    error::ErrorKind,
    http::{
        AsyncRawResponse, HttpClient, Request, StatusCode,
        headers::{AUTHORIZATION, Headers, WWW_AUTHENTICATE},
    },
};
use http::{Uri, header};
use url::Url;

use super::VaultCause;
use crate::azure::{
    http_transport::{HttpTransport, TransportError},
    tokens::{self, Tokens, messages},
};

/// The largest answer, in bytes: a value of 25 KiB, and tags.
const ANSWER_LIMIT: usize = 256 * 1024;

/// The placeholder credential of the SDK. [`VaultTransport`] attaches the real token.
#[derive(Debug)]
pub(super) struct VaultPlaceholderCredential;

#[async_trait]
impl TokenCredential for VaultPlaceholderCredential {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core1::Result<AccessToken> {
        let end = SystemTime::now() + Duration::from_hours(1);
        Ok(AccessToken::new("set-by-the-transport", end.into()))
    }
}

/// The URL with https, which the SDK requires.
pub(super) fn secured(url: &Url) -> Url {
    let mut secured = url.clone();
    // Cannot fail for http and https, the only schemes of a vault.
    let _ = secured.set_scheme("https");
    secured
}

/// The transport to one vault.
#[derive(Debug)]
pub(super) struct VaultTransport {
    /// Tokens are sent only to this scheme, host and port.
    vault: Url,
    /// The origin of the requests of the SDK.
    origin: String,
    /// The scope of the tokens.
    scope: &'static str,
    http_transport: HttpTransport,
    tokens: Tokens,
}

#[async_trait]
impl HttpClient for VaultTransport {
    async fn execute_request(&self, request: &Request) -> azure_core1::Result<AsyncRawResponse> {
        if request.headers().get_optional_str(&AUTHORIZATION).is_none() {
            return Ok(self.challenge());
        }
        self.exchange(request).await.map_err(|error| azure_core1::Error::new(ErrorKind::Other, error))
    }
}

impl VaultTransport {
    pub(super) fn new(
        vault: Url,
        scope: &'static str,
        http_transport: HttpTransport,
        tokens: Tokens,
    ) -> Self {
        let origin = secured(&vault).origin().ascii_serialization();
        Self { vault, origin, scope, http_transport, tokens }
    }

    /// The challenge that the SDK expects. No request is needed, because the cloud determines the audience.
    fn challenge(&self) -> AsyncRawResponse {
        let mut headers = Headers::new();
        headers.insert(WWW_AUTHENTICATE, format!("Bearer scope=\"{}\"", self.scope));
        AsyncRawResponse::from_bytes(StatusCode::Unauthorized, headers, Bytes::new())
    }

    /// Sends a request, and retries it once with a new token if the vault rejects the first one.
    async fn exchange(&self, request: &Request) -> Result<AsyncRawResponse, VaultCause> {
        if request.url().origin().ascii_serialization() != self.origin {
            return Err(VaultCause::Address);
        }
        self.http_transport.ready().await.map_err(VaultCause::Network)?;
        let token = self.token().await?;
        let answer = self.send(request, &token).await?;
        if answer.status() != http::StatusCode::UNAUTHORIZED {
            return Ok(messages::answer(answer));
        }
        self.tokens.reject(self.scope, &token);
        let token = self.token().await?;
        let mut answer = self.send(request, &token).await?;
        // With this header, the SDK would resend the request with a token for the audience that the vault names.
        answer.headers_mut().remove(header::WWW_AUTHENTICATE);
        Ok(messages::answer(answer))
    }

    async fn token(&self) -> Result<Arc<str>, VaultCause> {
        self.tokens.bearer(self.scope).await.map_err(VaultCause::Token)
    }

    async fn send(&self, request: &Request, token: &str) -> Result<http::Response<Bytes>, VaultCause> {
        let unsendable = |error: BoxError| VaultCause::Network(TransportError::Unsendable(error));
        let mut outgoing = messages::request(request).map_err(unsendable)?;
        let mut url = request.url().clone();
        if url.set_scheme(self.vault.scheme()).is_err() {
            return Err(VaultCause::Address);
        }
        *outgoing.uri_mut() = Uri::try_from(url.as_str()).map_err(|error| unsendable(error.into()))?;
        let bearer = tokens::bearer(token).map_err(VaultCause::Token)?;
        outgoing.headers_mut().insert(header::AUTHORIZATION, bearer);
        self.http_transport.exchange(outgoing, ANSWER_LIMIT).await.map_err(VaultCause::Network)
    }
}
