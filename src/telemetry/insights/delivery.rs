//! Delivers telemetry and counts what is lost.
//!
//! For half a minute, the exporter retries temporary failures (408, 429, 439, 500, 503, a closed connection,
//! the refused part of a 206). Then the items are lost; losses are counted, and logged once per outage, so that an
//! outage of telemetry does not flood the log.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::Path,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use flate2::read::GzDecoder;
use http::{Request, Response, StatusCode, Uri, header::AUTHORIZATION};
use opentelemetry::Context;
use opentelemetry_application_insights::HttpClient;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    metrics::{Temporality, data::ResourceMetrics, exporter::PushMetricExporter},
    trace::{Span, SpanData, SpanExporter, SpanProcessor},
};
use serde_json::Value;
use tokio::{runtime::Handle, time::timeout};

use crate::{
    azure::{
        http_transport::HttpTransport,
        tokens::{self, Tokens},
    },
    config::{ApplicationInsights, Cloud},
};

/// The timeout of one request to the ingestion endpoint.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// The largest answer of the ingestion endpoint that is read, in bytes.
const ANSWER_LIMIT: usize = 64 * 1024;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The items that were not delivered.
#[derive(Debug, Default)]
pub(super) struct Losses {
    lost: AtomicU64,
    /// Spans in the queue.
    waiting: AtomicUsize,
    /// Whether the current outage was logged already.
    is_logged: AtomicBool,
}

impl Losses {
    /// The number of lost items since the start of the process.
    pub(super) fn total(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    fn count_loss(&self, items: usize, reason: &dyn std::fmt::Display) {
        let items = u64::try_from(items).unwrap_or(u64::MAX);
        let total = self.lost.fetch_add(items, Ordering::Relaxed).saturating_add(items);
        if !self.is_logged.swap(true, Ordering::Relaxed) {
            tracing::warn!(telemetry.lost = total, %reason, "telemetry for Application Insights cannot be delivered");
        }
    }

    fn arrived(&self) {
        if self.is_logged.swap(false, Ordering::Relaxed) {
            let total = self.total();
            tracing::info!(telemetry.lost = total, "telemetry for Application Insights is delivered again");
        }
    }

    /// Items in the queue at the end of the process are lost, too.
    pub(super) fn end(&self) {
        let waiting = self.waiting.swap(0, Ordering::Relaxed);
        if waiting > 0 {
            self.count_loss(waiting, &"the process ends");
        }
        let total = self.total();
        if total > 0 {
            tracing::warn!(telemetry.lost = total, "some telemetry was not delivered");
        }
    }
}

/// The destination of telemetry.
#[derive(Clone, Debug)]
pub(in crate::telemetry) struct Sender {
    way: Sink,
    losses: Arc<Losses>,
}

#[derive(Clone, Debug)]
enum Sink {
    Network(IngestionEndpoint),
    File(Arc<Mutex<File>>),
}

/// The ingestion endpoint.
#[derive(Clone, Debug)]
struct IngestionEndpoint {
    url: Uri,
    http_transport: HttpTransport,
    /// The source and the scope of tokens, if the endpoint requires them.
    tokens: Option<(Tokens, String)>,
    /// The SDK's threads have no reactor, so requests run on the runtime.
    runtime: Handle,
}

impl Sender {
    /// Sends to the ingestion endpoint of a connection string.
    pub(in crate::telemetry) fn network(
        settings: &ApplicationInsights,
        cloud: Cloud,
        http_transport: &HttpTransport,
        tokens: &Tokens,
        client_id: Option<&str>,
    ) -> Self {
        let tokens = settings.entra.as_ref().map(|entra| {
            let is_other = entra.client_id.is_some() && entra.client_id.as_deref() != client_id;
            let tokens = if is_other {
                Tokens::azure(entra.client_id.clone(), http_transport)
            } else {
                tokens.clone()
            };
            let audience = entra.audience.as_deref().unwrap_or(cloud.monitor_audience());
            // Like Microsoft's exporters: the audience ends with a slash, and the scope adds a second one.
            (tokens, format!("{audience}//.default"))
        });
        let url = settings.ingestion_endpoint.join("v2.1/track").map(|url| url.as_str().parse());
        let url = url.ok().and_then(Result::ok).expect("an endpoint accepts a relative path");
        let way = Sink::Network(IngestionEndpoint {
            url,
            http_transport: http_transport.clone(),
            tokens,
            runtime: Handle::current(),
        });
        Self { way, losses: Arc::default() }
    }

    /// Writes to a file instead, one envelope per line.
    pub(in crate::telemetry) fn file(path: &Path) -> io::Result<Self> {
        Ok(Self { way: Sink::File(Arc::new(Mutex::new(File::create(path)?))), losses: Arc::default() })
    }

    pub(super) fn counting(self, losses: &Arc<Losses>) -> Self {
        Self { losses: Arc::clone(losses), ..self }
    }
}

#[async_trait]
impl HttpClient for Sender {
    async fn send_bytes(&self, request: Request<Bytes>) -> Result<Response<Bytes>, BoxError> {
        let response = match &self.way {
            Sink::Network(network) => {
                let runtime = network.runtime.clone();
                runtime.spawn(network.clone().send(request)).await??
            }
            Sink::File(file) => write(file, request.body())?,
        };
        let refused = permanently_refused(&response);
        if refused > 0 {
            self.losses.count_loss(refused, &"the ingestion endpoint refused it");
        }
        Ok(response)
    }
}

impl IngestionEndpoint {
    async fn send(self, mut request: Request<Bytes>) -> Result<Response<Bytes>, BoxError> {
        *request.uri_mut() = self.url;
        let exchange = async {
            let Some((tokens, scope)) = &self.tokens else {
                return Ok(self.http_transport.exchange(request, ANSWER_LIMIT).await?);
            };
            let token = tokens.bearer(scope).await?;
            request.headers_mut().insert(AUTHORIZATION, tokens::bearer(&token)?);
            let response = self.http_transport.exchange(request, ANSWER_LIMIT).await?;
            if response.status() == StatusCode::UNAUTHORIZED {
                tokens.reject(scope, &token);
            }
            Ok(response)
        };
        timeout(REQUEST_TIMEOUT, exchange).await?
    }
}

fn write(file: &Mutex<File>, body: &[u8]) -> Result<Response<Bytes>, BoxError> {
    let mut text = String::new();
    GzDecoder::new(body).read_to_string(&mut text)?;
    let envelopes: Vec<Value> = serde_json::from_str(&text)?;
    let mut file = file.lock().unwrap_or_else(PoisonError::into_inner);
    for envelope in envelopes {
        writeln!(file, "{envelope}")?;
    }
    Ok(Response::new(Bytes::new()))
}

/// The number of permanently refused items of a request, if others were accepted.
fn permanently_refused(response: &Response<Bytes>) -> usize {
    if response.status() != StatusCode::PARTIAL_CONTENT {
        return 0;
    }
    let body: Value = serde_json::from_slice(response.body()).unwrap_or_default();
    let errors = body.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let statuses = errors.iter().filter_map(|error| error.get("statusCode")?.as_u64());
    let refused = statuses.filter(|status| ![206, 408, 429, 439, 500, 503].contains(status)).count();
    // If no item can be retried, the exporter reports the whole request as failed, and it is counted there.
    if refused == errors.len() { 0 } else { refused }
}

/// An exporter whose failures are counted.
#[derive(Debug)]
pub(super) struct Counted<Exporter> {
    exporter: Exporter,
    losses: Arc<Losses>,
}

impl<Exporter> Counted<Exporter> {
    pub(super) fn new(exporter: Exporter, losses: &Arc<Losses>) -> Self {
        Self { exporter, losses: Arc::clone(losses) }
    }

    fn counted(&self, items: usize, result: OTelSdkResult) -> OTelSdkResult {
        match &result {
            Ok(()) => self.losses.arrived(),
            Err(error) => self.losses.count_loss(items, error),
        }
        result
    }
}

impl<Exporter: SpanExporter> SpanExporter for Counted<Exporter> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.losses.waiting.fetch_sub(spans, Ordering::Relaxed);
        let items = batch.iter().map(|span| 1 + span.events.len()).sum();
        self.counted(items, self.exporter.export(batch).await)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

impl<Exporter: PushMetricExporter> PushMetricExporter for Counted<Exporter> {
    async fn export(&self, metrics: &ResourceMetrics) -> OTelSdkResult {
        let items = metrics.scope_metrics().map(|scope| scope.metrics().count()).sum();
        self.counted(items, self.exporter.export(metrics).await)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn shutdown_with_timeout(&self, limit: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(limit)
    }

    fn temporality(&self) -> Temporality {
        self.exporter.temporality()
    }
}

/// A processor with a bounded queue; the SDK's own bound does not report how many spans it dropped.
#[derive(Debug)]
pub(super) struct Bounded<Processor> {
    processor: Processor,
    most: usize,
    losses: Arc<Losses>,
}

impl<Processor> Bounded<Processor> {
    pub(super) fn new(processor: Processor, most: usize, losses: &Arc<Losses>) -> Self {
        Self { processor, most, losses: Arc::clone(losses) }
    }
}

impl<Processor: SpanProcessor> SpanProcessor for Bounded<Processor> {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.processor.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        let waiting = self.losses.waiting.fetch_add(1, Ordering::Relaxed);
        if waiting >= self.most {
            self.losses.waiting.fetch_sub(1, Ordering::Relaxed);
            self.losses.count_loss(1 + span.events.len(), &"the queue is full");
            return;
        }
        self.processor.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.processor.force_flush()
    }

    fn shutdown_with_timeout(&self, limit: Duration) -> OTelSdkResult {
        self.processor.shutdown_with_timeout(limit)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.processor.set_resource(resource);
    }
}
