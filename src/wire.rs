//! How requests travel: over the network, or to a service in this process.
//!
//! One HTTP client serves Resource Manager and the identity endpoint, so that connections and TLS sessions are
//! shared. It follows no redirects, because these would carry a token to a host that is not configured. A proxy is
//! used for https only, which it cannot read, and never for this machine or the identity endpoint. The client is set
//! up in the background, because reading the machine's CA certificates must not delay the start of the process.
//!
//! Requests to one host are limited, so that a storm of events does not open one connection per request.
//!
//! Deliberately absent: retries, timeouts of whole requests and tokens, which belong to the clients.

use std::{
    collections::HashMap,
    fmt, io,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use axum::{
    BoxError,
    body::{Body, HttpBody},
};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, header::HOST, uri::Authority};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use time::{OffsetDateTime, format_description::well_known::Rfc2822};
use tokio::{
    sync::{OnceCell, OwnedSemaphorePermit, Semaphore},
    task::spawn_blocking,
};
use tower::{Service, ServiceExt, util::BoxCloneSyncService};

use url::Url;

use crate::{config::Proxy, environment};

/// How long a connection may take to come about.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an idle connection is kept: less than the services keep it, so that the side that closes is ours.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// How many requests to one host are under way at once. At most 32 connections to a host are open: while a connection
/// returns to the pool, the next request can already open another one, and these eight are for that.
const REQUESTS_PER_HOST: usize = 24;

/// A way to Azure; cheap to clone.
#[derive(Clone)]
pub struct Wire(Arc<Way>);

enum Way {
    Network(Box<Network>),
    Embedded(BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>),
}

struct Network {
    client: OnceCell<reqwest::Client>,
    proxy: Option<Proxy>,
    /// One semaphore per host. The hosts are those of the settings, so that the map stays small.
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum WireError {
    /// There is no HTTP client, most likely because the machine has no CA certificates.
    #[error("the HTTP client cannot be set up")]
    NoClient(#[source] BoxError),
    /// The request cannot be written down as HTTP.
    #[error("the request cannot be sent")]
    Unsendable(#[source] BoxError),
    /// The certificate of the host cannot be verified: the request was certainly not sent, and will never be.
    #[error(
        "the certificate of {host} cannot be verified: if a proxy on the way inspects TLS, add the certificate of its authority to those of the machine (or name a file with SSL_CERT_FILE)"
    )]
    Untrusted {
        /// The host of the request.
        host: String,
        /// Why.
        source: BoxError,
    },
    /// No connection came about: the request was certainly not received.
    #[error("no connection to {host}")]
    Unreachable {
        /// The host of the request.
        host: String,
        /// Why.
        source: BoxError,
    },
    /// The connection broke before the whole answer was there: the request may have been received.
    #[error("the connection broke before the answer was complete")]
    Lost(#[source] BoxError),
    /// The answer is larger than allowed.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// How large an answer may be, in bytes.
        limit: usize,
    },
}

impl Wire {
    /// The network. Nothing is set up before the first request, which also tells when that is impossible.
    #[must_use]
    pub fn network() -> Self {
        Self::network_through(None)
    }

    /// The network, through a proxy where there is one.
    #[must_use]
    pub fn network_through(proxy: Option<Proxy>) -> Self {
        let network = Network { client: OnceCell::new(), proxy, hosts: Mutex::default() };
        Self(Arc::new(Way::Network(Box::new(network))))
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
    pub(crate) async fn ready(&self) -> Result<(), WireError> {
        match &*self.0 {
            Way::Network(network) => network.client().await.map(|_| ()),
            Way::Embedded(_) => Ok(()),
        }
    }

    /// Sends one request, once, and reads the answer up to a limit.
    pub(crate) async fn exchange(
        &self,
        request: Request<Bytes>,
        limit: usize,
    ) -> Result<Response<Bytes>, WireError> {
        let (parts, body) = self.send(request).await?.into_parts();
        let body = collect(body, limit).await?;
        Ok(Response::from_parts(parts, body))
    }

    /// Sends one request, once.
    pub(crate) async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Body>, WireError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        match &*self.0 {
            Way::Network(network) => network.send(request, host).await,
            Way::Embedded(service) => {
                let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
                if let Some(Ok(host)) = authority.map(HeaderValue::try_from) {
                    request.headers_mut().insert(HOST, host);
                }
                service.clone().oneshot(request.map(Body::from)).await.map_err(|error| {
                    match error.downcast_ref::<io::Error>().map(io::Error::kind) {
                        Some(io::ErrorKind::ConnectionRefused) => {
                            WireError::Unreachable { host, source: error }
                        }
                        _ if is_untrusted(&*error) => WireError::Untrusted { host, source: error },
                        _ => WireError::Lost(error),
                    }
                })
            }
        }
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

impl Network {
    async fn client(&self) -> Result<&reqwest::Client, WireError> {
        // Reading some hundred certificates takes milliseconds, during which other tasks have to run.
        let set_up = async || {
            let proxy = self.proxy.clone();
            spawn_blocking(move || http_client(proxy.as_ref())).await.map_err(BoxError::from).flatten()
        };
        self.client.get_or_try_init(set_up).await.map_err(WireError::NoClient)
    }

    async fn send(&self, request: Request<Bytes>, host: String) -> Result<Response<Body>, WireError> {
        let client = self.client().await?;
        let permit = self.permit(request.uri().authority().map_or(host.as_str(), Authority::as_str)).await;
        let request = request
            .try_into()
            .map_err(|error: reqwest::Error| WireError::Unsendable(error.without_url().into()))?;
        let response = client.execute(request).await.map_err(|error| {
            let error = error.without_url();
            if is_untrusted(&error) {
                WireError::Untrusted { host, source: error.into() }
            } else if error.is_connect() {
                WireError::Unreachable { host, source: error.into() }
            } else {
                WireError::Lost(error.into())
            }
        })?;
        // The connection is in use until the body is read: the body holds the permit.
        Ok(Response::from(response).map(|body| {
            Body::new(body.map_err(move |error| {
                let _held = &permit;
                error
            }))
        }))
    }

    /// Waits until fewer than [`REQUESTS_PER_HOST`] requests to a host are under way.
    async fn permit(&self, authority: &str) -> Option<OwnedSemaphorePermit> {
        let semaphore = {
            let mut hosts = self.hosts.lock().unwrap_or_else(PoisonError::into_inner);
            let semaphore = hosts
                .entry(authority.to_owned())
                .or_insert_with(|| Arc::new(Semaphore::new(REQUESTS_PER_HOST)));
            Arc::clone(semaphore)
        };
        // Nothing closes the semaphore.
        semaphore.acquire_owned().await.ok()
    }
}

/// Whether a connection failed because the certificate of the other side cannot be verified. That does not pass.
fn is_untrusted(error: &(dyn std::error::Error + 'static)) -> bool {
    use rustls::Error::{InvalidCertificate, NoCertificatesPresented};
    std::iter::successors(Some(error), |cause| cause.source()).any(|cause| {
        let tls = cause.downcast_ref::<rustls::Error>();
        // What an I/O error holds is not its source.
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        matches!(tls, Some(InvalidCertificate(_) | NoCertificatesPresented))
            || inner.is_some_and(|inner| is_untrusted(inner))
    })
}

/// Sets up an HTTP client as this process uses them. Reads the machine's CA certificates.
pub fn http_client(proxy: Option<&Proxy>) -> Result<reqwest::Client, BoxError> {
    // Fails only when another part of the process has chosen already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tcp_nodelay(true)
        .redirect(reqwest::redirect::Policy::none())
        // The environment is read with the settings, and by nothing else.
        .no_proxy();
    let builder = match proxy {
        Some(proxy) => builder.proxy(outbound(proxy)?),
        None => builder,
    };
    Ok(builder.build()?)
}

/// A proxy for https, but for this machine and the identity endpoints. Those of a function app and of the instance
/// metadata service are reached by http, so that no proxy concerns them; that of a cluster may be https.
fn outbound(proxy: &Proxy) -> Result<reqwest::Proxy, BoxError> {
    let identity = environment::variable("IDENTITY_ENDPOINT").and_then(|url| Url::parse(&url).ok());
    let identity = identity.as_ref().and_then(Url::host_str).unwrap_or_default();
    let except = format!("{},localhost,127.0.0.0/8,::1,169.254.0.0/16,{identity}", proxy.except);
    let outbound = reqwest::Proxy::https(proxy.url.clone()).map_err(reqwest::Error::without_url)?;
    Ok(outbound.no_proxy(reqwest::NoProxy::from_string(&except)))
}

/// Reads a body whole, up to a limit.
pub(crate) async fn collect(body: Body, limit: usize) -> Result<Bytes, WireError> {
    let announced = body.size_hint().lower();
    if usize::try_from(announced).map_or(true, |length| length > limit) {
        return Err(WireError::TooLarge { limit });
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(WireError::TooLarge { limit }),
        Err(error) => Err(WireError::Lost(error)),
    }
}

/// How long the service asks to be left alone: in milliseconds as Azure's own headers say it, or as RFC 9110,
/// section 10.2.3 says it, in seconds or as a date.
pub(crate) fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok().map(str::trim);
    let milliseconds =
        ["retry-after-ms", "x-ms-retry-after-ms"].into_iter().find_map(|name| text(name)?.parse().ok());
    milliseconds.map(Duration::from_millis).or_else(|| {
        let text = text("retry-after")?;
        text.parse().ok().map(Duration::from_secs).or_else(|| {
            let date = SystemTime::from(OffsetDateTime::parse(text, &Rfc2822).ok()?);
            Some(date.duration_since(now).unwrap_or_default())
        })
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderName;

    use super::*;

    #[test]
    fn azure_says_how_long_to_wait_in_several_ways() {
        // The first second of 2021.
        let now = SystemTime::UNIX_EPOCH + Duration::from_hours(447_072);
        let check = |headers: &[(&'static str, &str)], expected: Option<u64>| {
            let headers = headers
                .iter()
                .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::try_from(*value).unwrap()));
            let expected = expected.map(Duration::from_millis);
            assert_eq!(retry_after(&headers.collect(), now), expected);
        };
        check(&[], None);
        check(&[("retry-after", "10")], Some(10_000));
        check(&[("retry-after", " 0 ")], Some(0));
        check(&[("retry-after", "Fri, 01 Jan 2021 00:00:10 GMT")], Some(10_000));
        check(&[("retry-after", "Thu, 31 Dec 2020 23:59:50 GMT")], Some(0));
        check(&[("retry-after", "soon")], None);
        check(&[("retry-after", "-1")], None);
        check(&[("retry-after", "10"), ("retry-after-ms", "1500")], Some(1500));
        check(&[("retry-after", "10"), ("x-ms-retry-after-ms", "1500")], Some(1500));
        check(&[("retry-after", "10"), ("retry-after-ms", "x")], Some(10_000));
    }
}
