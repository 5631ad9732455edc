//! How requests travel: over the network, or to a service in this process.
//!
//! One HTTP client serves Resource Manager and the identity endpoint, so that connections and TLS sessions are
//! shared. It follows no redirects and reads no proxy from the environment, because both would carry a token
//! to a host that nobody configured. It is set up beside everything else: reading the machine's CA certificates
//! must not delay the start of the process.
//!
//! Deliberately absent: retries, timeouts of whole requests and tokens, which are [`super::transport`]'s.

use std::{fmt, io, sync::Arc, time::Duration};

use axum::{
    BoxError,
    body::{Body, HttpBody},
};
use bytes::Bytes;
use http::{HeaderValue, Request, Response, header::HOST};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::{sync::OnceCell, task::spawn_blocking};
use tower::{Service, ServiceExt, util::BoxCloneSyncService};

use super::error::Cause;

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an idle connection is kept: less than the services keep it, so that the side that closes is ours.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// A way to Azure; cheap to clone.
#[derive(Clone)]
pub struct Wire(Arc<Way>);

enum Way {
    Network(OnceCell<reqwest::Client>),
    Embedded(BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>),
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) enum WireError {
    /// There is no HTTP client.
    NoClient(BoxError),
    /// The request cannot be written down as HTTP.
    Unsendable(BoxError),
    /// The request was certainly not received.
    Unreachable(BoxError),
    /// The request may have been received.
    Lost(BoxError),
}

/// Why there is no body.
#[derive(Debug)]
pub(super) enum BodyError {
    /// It is larger than allowed.
    TooLarge,
    /// It ended too early.
    Truncated(BoxError),
}

impl Wire {
    /// The network. Nothing is set up before the first request, which also tells when that is impossible.
    #[must_use]
    pub fn network() -> Self {
        Self(Arc::new(Way::Network(OnceCell::new())))
    }

    /// A service in this process, such as an [`axum::Router`].
    ///
    /// An error of the service is a connection that broke after the request was received, unless it is an
    /// [`io::Error`] of the kind [`io::ErrorKind::ConnectionRefused`]: then there was no connection. A body
    /// that ends in an error is a truncated answer.
    pub fn embedded<S>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
    {
        Self(Arc::new(Way::Embedded(BoxCloneSyncService::new(service.map_err(Into::into)))))
    }

    /// Sets up what the first request needs.
    pub(super) async fn ready(&self) -> Result<(), WireError> {
        match &*self.0 {
            Way::Network(client) => network_client(client).await.map(|_| ()),
            Way::Embedded(_) => Ok(()),
        }
    }

    /// Sends one request, once, and reads the answer up to a limit.
    pub(crate) async fn exchange(
        &self,
        request: Request<Bytes>,
        limit: usize,
    ) -> Result<Response<Bytes>, Cause> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        let response = self.send(request).await.map_err(|error| explain(error, &host))?;
        let (parts, body) = response.into_parts();
        let body = collect(body, limit).await.map_err(|error| match error {
            BodyError::TooLarge => Cause::TooLarge { limit },
            BodyError::Truncated(error) => Cause::Lost(error),
        })?;
        Ok(Response::from_parts(parts, body))
    }

    /// Sends one request, once.
    pub(super) async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Body>, WireError> {
        match &*self.0 {
            Way::Network(client) => {
                let client = network_client(client).await?;
                let request = request
                    .try_into()
                    .map_err(|error: reqwest::Error| WireError::Unsendable(error.without_url().into()))?;
                let response = client.execute(request).await.map_err(|error| {
                    let error = error.without_url();
                    if error.is_connect() {
                        WireError::Unreachable(error.into())
                    } else {
                        WireError::Lost(error.into())
                    }
                })?;
                Ok(Response::from(response).map(Body::new))
            }
            Way::Embedded(service) => {
                let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
                if let Some(Ok(host)) = authority.map(HeaderValue::try_from) {
                    request.headers_mut().insert(HOST, host);
                }
                service.clone().oneshot(request.map(Body::from)).await.map_err(|error| {
                    match error.downcast_ref::<io::Error>().map(io::Error::kind) {
                        Some(io::ErrorKind::ConnectionRefused) => WireError::Unreachable(error),
                        _ => WireError::Lost(error),
                    }
                })
            }
        }
    }
}

/// What the failure of a request to a host means to whoever sent it.
pub(super) fn explain(error: WireError, host: &str) -> Cause {
    match error {
        WireError::NoClient(error) => Cause::NoClient(error),
        WireError::Unsendable(error) => Cause::Unsendable(error),
        WireError::Unreachable(source) => Cause::Unreachable { host: host.to_owned(), source },
        WireError::Lost(error) => Cause::Lost(error),
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match &*self.0 {
            Way::Network(_) => "Wire::network",
            Way::Embedded(_) => "Wire::embedded",
        })
    }
}

async fn network_client(cell: &OnceCell<reqwest::Client>) -> Result<&reqwest::Client, WireError> {
    // Reading some hundred certificates takes milliseconds, in which others are to be served.
    let set_up = async || spawn_blocking(http_client).await.map_err(BoxError::from).flatten();
    cell.get_or_try_init(set_up).await.map_err(WireError::NoClient)
}

/// Sets up an HTTP client as this process uses them. Reads the machine's CA certificates.
pub fn http_client() -> Result<reqwest::Client, BoxError> {
    // Fails only when another part of the process has chosen already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Ok(reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tcp_nodelay(true)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .build()?)
}

/// Reads a body whole, up to a limit.
pub(super) async fn collect(body: Body, limit: usize) -> Result<Bytes, BodyError> {
    let announced = body.size_hint().lower();
    if usize::try_from(announced).map_or(true, |length| length > limit) {
        return Err(BodyError::TooLarge);
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(BodyError::TooLarge),
        Err(error) => Err(BodyError::Truncated(error)),
    }
}
