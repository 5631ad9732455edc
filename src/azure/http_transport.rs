//! The HTTP transport: over the network, or to a service in this process.
//!
//! One HTTP client serves Resource Manager and the identity endpoint, so that they share connections and TLS
//! sessions. It follows no redirects, because a redirect would send the token to a host that is not
//! configured. A proxy is used for https only, which it cannot read, and never for this machine or the
//! identity endpoint. The client is created in the background, because reading the machine's CA certificates
//! must not delay the start of the process.
//!
//! The number of concurrent requests to one host is limited, so that a burst of events does not open one
//! connection per request.
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

/// The timeout of a connection attempt.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// How long an idle connection is kept: shorter than in the services, so that this side closes it.
const IDLE_TIMEOUT: Duration = Duration::from_mins(1);

/// The number of concurrent requests to one host. At most 32 connections to a host are open: while a
/// connection returns to the pool, the next request may open another one, and the difference of eight allows
/// for that.
const REQUESTS_PER_HOST: usize = 24;

/// A transport to Azure. Cheap to clone.
#[derive(Clone)]
pub struct HttpTransport(Arc<Backend>);

enum Backend {
    Network(Box<Network>),
    Embedded(BoxCloneSyncService<Request<Body>, Response<Body>, BoxError>),
}

struct Network {
    client: OnceCell<reqwest::Client>,
    proxy: Option<Proxy>,
    /// One semaphore per host. The hosts come from the settings, so the map stays small.
    hosts: Mutex<HashMap<String, Arc<Semaphore>>>,
}

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub enum TransportError {
    /// The HTTP client cannot be created, most likely because the machine has no CA certificates.
    #[error("the HTTP client cannot be set up")]
    NoClient(#[source] BoxError),
    /// The request cannot be encoded as HTTP.
    #[error("the request cannot be sent")]
    Unsendable(#[source] BoxError),
    /// The certificate of the host cannot be verified. The request was not sent, and a retry does not help.
    #[error(
        "the certificate of {host} cannot be verified: if a proxy inspects TLS, add the certificate of its authority to the machine's certificates, or set SSL_CERT_FILE"
    )]
    Untrusted {
        /// The host of the request.
        host: String,
        /// The cause.
        source: BoxError,
    },
    /// The connection failed, so the request was certainly not received.
    #[error("cannot connect to {host}")]
    Unreachable {
        /// The host of the request.
        host: String,
        /// The cause.
        source: BoxError,
    },
    /// The connection closed before the answer was complete. The request may have been received.
    #[error("the connection closed before the answer was complete")]
    Lost(#[source] BoxError),
    /// The answer exceeds the size limit.
    #[error("the answer is larger than {limit} bytes")]
    TooLarge {
        /// The limit, in bytes.
        limit: usize,
    },
}

impl HttpTransport {
    /// The network. The first request creates the HTTP client and reports a failure of that.
    #[must_use]
    pub fn network() -> Self {
        Self::network_through(None)
    }

    /// The network, through a proxy if one is given.
    #[must_use]
    pub fn network_through(proxy: Option<Proxy>) -> Self {
        let network = Network { client: OnceCell::new(), proxy, hosts: Mutex::default() };
        Self(Arc::new(Backend::Network(Box::new(network))))
    }

    /// A service in this process, such as an [`axum::Router`].
    ///
    /// An error of the service is treated as a connection that closed after the request was received, except
    /// an [`io::Error`] of the kind [`io::ErrorKind::ConnectionRefused`], which is a failed connection. A
    /// body that ends in an error is a truncated answer.
    pub fn embedded<S>(service: S) -> Self
    where
        S: Service<Request<Body>, Response = Response<Body>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
    {
        Self(Arc::new(Backend::Embedded(BoxCloneSyncService::new(service.map_err(Into::into)))))
    }

    /// Creates the HTTP client.
    pub(crate) async fn ready(&self) -> Result<(), TransportError> {
        match &*self.0 {
            Backend::Network(network) => network.client().await.map(|_| ()),
            Backend::Embedded(_) => Ok(()),
        }
    }

    /// Sends one request, without retries, and reads the answer up to a limit.
    pub(crate) async fn exchange(
        &self,
        request: Request<Bytes>,
        limit: usize,
    ) -> Result<Response<Bytes>, TransportError> {
        let (parts, body) = self.send(request).await?.into_parts();
        let body = collect(body, limit).await?;
        Ok(Response::from_parts(parts, body))
    }

    /// Sends one request, without retries.
    pub(crate) async fn send(&self, mut request: Request<Bytes>) -> Result<Response<Body>, TransportError> {
        let host = request.uri().host().unwrap_or_default().to_owned();
        match &*self.0 {
            Backend::Network(network) => network.send(request, host).await,
            Backend::Embedded(service) => {
                let authority = request.uri().authority().map(|authority| authority.as_str().to_owned());
                if let Some(Ok(host)) = authority.map(HeaderValue::try_from) {
                    request.headers_mut().insert(HOST, host);
                }
                service.clone().oneshot(request.map(Body::from)).await.map_err(|error| {
                    match error.downcast_ref::<io::Error>().map(io::Error::kind) {
                        Some(io::ErrorKind::ConnectionRefused) => {
                            TransportError::Unreachable { host, source: error }
                        }
                        _ if is_untrusted(&*error) => TransportError::Untrusted { host, source: error },
                        _ => TransportError::Lost(error),
                    }
                })
            }
        }
    }
}

impl fmt::Debug for HttpTransport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match &*self.0 {
            Backend::Network(_) => "HttpTransport::network",
            Backend::Embedded(_) => "HttpTransport::embedded",
        })
    }
}

impl Network {
    async fn client(&self) -> Result<&reqwest::Client, TransportError> {
        // Reading the certificates takes milliseconds and would block other tasks.
        let set_up = async || {
            let proxy = self.proxy.clone();
            spawn_blocking(move || http_client(proxy.as_ref())).await.map_err(BoxError::from).flatten()
        };
        self.client.get_or_try_init(set_up).await.map_err(TransportError::NoClient)
    }

    async fn send(&self, request: Request<Bytes>, host: String) -> Result<Response<Body>, TransportError> {
        let client = self.client().await?;
        let permit = self.permit(request.uri().authority().map_or(host.as_str(), Authority::as_str)).await;
        let request = request
            .try_into()
            .map_err(|error: reqwest::Error| TransportError::Unsendable(error.without_url().into()))?;
        let response = client.execute(request).await.map_err(|error| {
            let error = error.without_url();
            if is_untrusted(&error) {
                TransportError::Untrusted { host, source: error.into() }
            } else if error.is_connect() {
                TransportError::Unreachable { host, source: error.into() }
            } else {
                TransportError::Lost(error.into())
            }
        })?;
        // The body holds the permit, because the connection is in use until the body is read.
        Ok(Response::from(response).map(|body| {
            Body::new(body.map_err(move |error| {
                let _held = &permit;
                error
            }))
        }))
    }

    /// Waits until fewer than [`REQUESTS_PER_HOST`] requests to a host are in progress.
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

/// Whether a connection failed because the host's certificate cannot be verified. A retry does not help.
fn is_untrusted(error: &(dyn std::error::Error + 'static)) -> bool {
    use rustls::Error::{InvalidCertificate, NoCertificatesPresented};
    std::iter::successors(Some(error), |cause| cause.source()).any(|cause| {
        let tls = cause.downcast_ref::<rustls::Error>();
        // The error inside an I/O error is not its source.
        let inner = cause.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
        matches!(tls, Some(InvalidCertificate(_) | NoCertificatesPresented))
            || inner.is_some_and(|inner| is_untrusted(inner))
    })
}

/// Creates an HTTP client with the options of this process. Reads the machine's CA certificates.
pub fn http_client(proxy: Option<&Proxy>) -> Result<reqwest::Client, BoxError> {
    // Fails only if a provider is installed already. The client uses that one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let builder = reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT)
        .tcp_nodelay(true)
        .redirect(reqwest::redirect::Policy::none())
        // Only the settings read the environment.
        .no_proxy();
    let builder = match proxy {
        Some(proxy) => builder.proxy(outbound(proxy)?),
        None => builder,
    };
    Ok(builder.build()?)
}

/// A proxy for https, except for this machine and the identity endpoints. Function apps and the instance
/// metadata service use http, so no proxy applies to them; the identity endpoint of a cluster may use https.
fn outbound(proxy: &Proxy) -> Result<reqwest::Proxy, BoxError> {
    let identity = environment::variable("IDENTITY_ENDPOINT").and_then(|url| Url::parse(&url).ok());
    let identity = identity.as_ref().and_then(Url::host_str).unwrap_or_default();
    let except = format!("{},localhost,127.0.0.0/8,::1,169.254.0.0/16,{identity}", proxy.except);
    let outbound = reqwest::Proxy::https(proxy.url.clone()).map_err(reqwest::Error::without_url)?;
    Ok(outbound.no_proxy(reqwest::NoProxy::from_string(&except)))
}

/// Reads the whole body, up to a limit.
pub(crate) async fn collect(body: Body, limit: usize) -> Result<Bytes, TransportError> {
    let declared_length = body.size_hint().lower();
    if usize::try_from(declared_length).map_or(true, |length| length > limit) {
        return Err(TransportError::TooLarge { limit });
    }
    match Limited::new(body, limit).collect().await {
        Ok(collected) => Ok(collected.to_bytes()),
        Err(error) if error.is::<LengthLimitError>() => Err(TransportError::TooLarge { limit }),
        Err(error) => Err(TransportError::Lost(error)),
    }
}

/// The wait that the service asks for: in milliseconds in Azure's own headers; in seconds or as a date in RFC
/// 9110, section 10.2.3.
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
    fn retry_after_is_read_from_every_header() {
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
