//! Telemetry for Application Insights, through OpenTelemetry.
//!
//! An event is a span below the Functions host's operation; each request to Resource Manager is a dependency
//! below that; a failure is an exception; a finding of the drift tracker is a custom event. Counters and the
//! time from event to DNS are sent once a minute.
//!
//! Nothing waits for telemetry: spans go into a bounded queue, threads of the SDK deliver them, and
//! undelivered items are counted ([`delivery`]).
//!
//! Pitfalls of the platform: the host's `traceparent` always says *not sampled*, so everything is sampled
//! here; a span of kind `Server` would be a second request row, so an event's span is `Internal`.
//!
//! Source: <https://learn.microsoft.com/azure/azure-monitor/app/data-model-complete>

mod delivery;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, SystemTime},
};

use opentelemetry::{
    Context, KeyValue,
    metrics::{AsyncInstrument, Counter, Histogram, MeterProvider as _},
    trace::{
        Event as SpanEvent, Span as _, SpanBuilder, SpanContext, SpanId, SpanKind, Status,
        TraceContextExt as _, TraceFlags, TraceId, TraceState, Tracer as _, TracerProvider as _,
    },
};
use opentelemetry_application_insights::{Exporter, attrs::CUSTOM_EVENT_NAME};
use opentelemetry_sdk::{
    Resource,
    metrics::{PeriodicReader, SdkMeterProvider},
    trace::{BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracer, SdkTracerProvider},
};
use serde_json::Value;

pub(super) use self::delivery::Sender;
use self::delivery::{Bounded, Counted, Losses};
use super::{Invocation, TraceParent, lines::Fields};
use crate::{
    config::ApplicationInsights,
    decide::report::{Report, RequestRecord},
    domain::event::{Event, EventError},
    reconcile::ReconcilerMetrics,
};

/// The largest number of spans in the queue; further ones are dropped and counted.
const QUEUE: usize = 2048;

/// The largest number of spans in one request: a few hundred kilobytes before compression.
const BATCH: usize = 256;

/// The longest time that spans wait for a batch.
const SPAN_INTERVAL: Duration = Duration::from_secs(5);

/// How often counters are sent.
const METRIC_INTERVAL: Duration = Duration::from_mins(1);

/// The longest value of a property, in bytes. The service truncates at 8192, and the exporter would do so in
/// the middle of a character.
const LONGEST_VALUE: usize = 8000;

/// The facts in a custom event.
const DRIFT_FACTS: [&str; 10] = [
    "drift.event",
    "drift.kinds",
    "address",
    "dns.addresses",
    "dns.fqdn",
    "dns.ptr",
    "container_group.id",
    "event.id",
    "invocation.id",
    "function.name",
];

/// The facts in an exception.
const FAILURE_FACTS: [&str; 6] =
    ["outcome", "container_group.id", "dns.fqdn", "event.id", "invocation.id", "function.name"];

/// The facts in a request.
const REQUEST_FACTS: [&str; 2] = ["invocation.id", "function.name"];

/// Facts that spans do not repeat, because they are part of the trace.
const TRACE_FACTS: [&str; 2] = ["trace.id", "trace.parent"];

/// A placeholder for the endpoint of telemetry that is written to a file.
pub(super) fn disabled() -> ApplicationInsights {
    ApplicationInsights {
        instrumentation_key: "00000000-0000-0000-0000-000000000000".to_owned(),
        ingestion_endpoint: "https://localhost/".parse().expect("this is a URL"),
        entra: None,
        role_name: env!("CARGO_PKG_NAME").to_owned(),
        role_instance: None,
    }
}

/// The telemetry of one process.
pub(super) struct Insights {
    tracer: SdkTracer,
    spans: SdkTracerProvider,
    metrics: SdkMeterProvider,
    counters: Counters,
    losses: Arc<Losses>,
}

impl fmt::Debug for Insights {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Insights").field("losses", &self.losses).finish_non_exhaustive()
    }
}

struct Counters {
    reconciliations: Counter<u64>,
    drift: Counter<u64>,
    requests: Counter<u64>,
    throttles: Counter<u64>,
    races_lost: Counter<u64>,
    passes_shared: Counter<u64>,
    event_to_dns_ms: Histogram<f64>,
}

impl Insights {
    /// Starts the threads that deliver telemetry.
    pub(super) fn new(settings: &ApplicationInsights, sender: Sender) -> Self {
        let losses = Arc::new(Losses::default());
        // The sender has its own endpoint, because the exporter changes every endpoint to `https`, even a test's
        // on loopback.
        let connection = format!(
            "InstrumentationKey={};IngestionEndpoint={}",
            settings.instrumentation_key, settings.ingestion_endpoint
        );
        let exporter = Exporter::new_from_connection_string(connection, sender.counting(&losses))
            .expect("the connection string was parsed before");
        let instance =
            settings.role_instance.clone().map(|instance| KeyValue::new("service.instance.id", instance));
        let resource = Resource::builder_empty()
            .with_attributes([
                KeyValue::new("service.name", settings.role_name.clone()),
                KeyValue::new("service.version", env!("CARGO_PKG_VERSION")),
            ])
            .with_attributes(instance)
            .build();
        let batches = BatchSpanProcessor::builder(Counted::new(exporter.clone(), &losses))
            .with_batch_config(
                BatchConfigBuilder::default()
                    .with_max_queue_size(QUEUE)
                    .with_max_export_batch_size(BATCH)
                    .with_scheduled_delay(SPAN_INTERVAL)
                    .build(),
            )
            .build();
        let spans = SdkTracerProvider::builder()
            .with_sampler(Sampler::AlwaysOn)
            .with_resource(resource.clone())
            .with_span_processor(Bounded::new(batches, QUEUE, &losses))
            .build();
        let reader =
            PeriodicReader::builder(Counted::new(exporter, &losses)).with_interval(METRIC_INTERVAL).build();
        let metrics = SdkMeterProvider::builder().with_reader(reader).with_resource(resource).build();
        let meter = metrics.meter("aci_dns");
        let lost = Arc::clone(&losses);
        let _observed = meter
            .u64_observable_counter("aci_dns.telemetry.lost")
            .with_callback(move |observer| observer.observe(lost.total(), &[]))
            .build();
        let counter = |name| meter.u64_counter(name).build();
        let counters = Counters {
            reconciliations: counter("aci_dns.reconciliations"),
            drift: counter("aci_dns.drift"),
            requests: counter("aci_dns.arm.requests"),
            throttles: counter("aci_dns.arm.throttles"),
            races_lost: counter("aci_dns.races_lost"),
            passes_shared: counter("aci_dns.passes_shared"),
            event_to_dns_ms: meter.f64_histogram("aci_dns.event_to_dns_ms").build(),
        };
        Self { tracer: spans.tracer("aci_dns"), spans, metrics, counters, losses }
    }

    /// Reports the load and the unfinished work of a reconciler, once a minute.
    pub(super) fn watch(&self, metrics: impl Fn() -> ReconcilerMetrics + Send + Sync + 'static) {
        let meter = self.metrics.meter("aci_dns");
        let metrics = Arc::new(metrics);
        let gauge = |name, value: fn(&ReconcilerMetrics) -> Option<u64>| {
            let metrics = Arc::clone(&metrics);
            let observe = move |observer: &dyn AsyncInstrument<u64>| {
                if let Some(value) = value(&metrics()) {
                    observer.observe(value, &[]);
                }
            };
            _ = meter.u64_observable_gauge(name).with_callback(observe).build();
        };
        gauge("aci_dns.runs", |metrics| u64::try_from(metrics.load.running).ok());
        gauge("aci_dns.runs_waited_for", |metrics| u64::try_from(metrics.load.waiting).ok());
        gauge("aci_dns.throttled_zones", |metrics| u64::try_from(metrics.throttled_places).ok());
        gauge("aci_dns.unfinished.age_s", |metrics| metrics.retry.oldest.map(|age| age.as_secs()));
        _ = meter
            .u64_observable_counter("aci_dns.messages_stored")
            .with_callback(move |observer| {
                for (kind, stored) in metrics().retry.stored {
                    observer.observe(stored, &[KeyValue::new("kind", kind.as_str())]);
                }
            })
            .build();
    }

    /// Records an event that ended now.
    pub(super) fn record(
        &self,
        invocation: &Invocation,
        event: Option<&Result<Event, EventError>>,
        report: &Report,
        facts: &Fields,
        duration: Duration,
        now: SystemTime,
    ) {
        let status = report.outcome.status();
        let is_failure = status != 200;
        let mut events = vec![];
        if let Some(drift) = &report.drift {
            let name = KeyValue::new(CUSTOM_EVENT_NAME, drift.event.as_str());
            let attributes = [name].into_iter().chain(attributes(facts, |name| DRIFT_FACTS.contains(&name)));
            events.push(SpanEvent::new("ai.custom", now, attributes.collect(), 0));
        }
        if is_failure {
            let message = report.error.as_deref().unwrap_or(&report.message);
            let attributes = [
                KeyValue::new("exception.type", format!("aci_dns.{}", report.outcome)),
                KeyValue::new("exception.message", clipped(message)),
            ]
            .into_iter()
            .chain(attributes(facts, |name| FAILURE_FACTS.contains(&name)));
            events.push(SpanEvent::new("exception", now, attributes.collect(), 0));
        }
        let all = attributes(facts, |name| !TRACE_FACTS.contains(&name)).chain([
            KeyValue::new("message", clipped(&report.message)),
            KeyValue::new("http.response.status_code", i64::from(status)),
        ]);
        let span = SpanBuilder::from_name(invocation.function)
            .with_kind(SpanKind::Internal)
            .with_start_time(now - duration)
            .with_attributes(all)
            .with_events(events);
        let host = invocation.trace.as_ref().and_then(remote).unwrap_or_default();
        let context = self.end(span, &host, is_failure, now);
        for exchange in &report.request_records {
            let started = now - exchange.age;
            let answered = started + exchange.duration;
            let is_failure = exchange.status.is_none_or(|status| status >= 400 && status != 404);
            self.end(request(exchange, facts, started), &context, is_failure, answered);
        }
        self.count(event, report, now);
    }

    /// Creates a span that has ended. Returns the context for its children.
    fn end(&self, span: SpanBuilder, parent: &Context, is_failure: bool, end: SystemTime) -> Context {
        let mut span = self.tracer.build_with_context(span, parent);
        span.set_status(if is_failure { Status::error("") } else { Status::Ok });
        let context = Context::new().with_remote_span_context(span.span_context().clone());
        span.end_with_timestamp(end);
        context
    }

    fn count(&self, event: Option<&Result<Event, EventError>>, report: &Report, now: SystemTime) {
        let Counters {
            reconciliations,
            drift,
            requests,
            throttles,
            races_lost,
            passes_shared,
            event_to_dns_ms,
        } = &self.counters;
        match &report.drift {
            Some(found) => {
                for kind in &found.kinds {
                    drift.add(1, &[KeyValue::new("kind", kind.as_str())]);
                }
            }
            None => reconciliations.add(1, &[KeyValue::new("outcome", report.outcome.as_str())]),
        }
        let answered = |status| {
            let matching = report.request_records.iter().filter(|exchange| exchange.status == Some(status));
            u64::try_from(matching.count()).unwrap_or(u64::MAX)
        };
        requests.add(u64::from(report.arm_calls), &[]);
        throttles.add(answered(429), &[]);
        races_lost.add(answered(412), &[]);
        passes_shared.add(u64::from(report.is_shared), &[]);
        let raised = event.and_then(|event| event.as_ref().ok()?.moment().map(SystemTime::from));
        let written = report.request_records.iter().rfind(|exchange| exchange.has_written());
        if let (Some(raised), Some(written)) = (raised, written) {
            let written = now - written.age + written.duration;
            // The clocks of two machines differ: a negative duration counts as zero.
            let latency = written.duration_since(raised).unwrap_or_default();
            event_to_dns_ms.record(latency.as_secs_f64() * 1000.0, &[]);
        }
    }

    /// Delivers the remaining telemetry within a time limit. Blocks.
    pub(super) fn close(&self, limit: Duration) {
        let started = std::time::Instant::now();
        // A failure is counted where it happens.
        let _ = self.spans.shutdown_with_timeout(limit);
        let _ = self.metrics.shutdown_with_timeout(limit.saturating_sub(started.elapsed()));
        self.losses.end();
    }
}

/// The context of the host's call.
fn remote(trace: &TraceParent) -> Option<Context> {
    let trace_id = TraceId::from_hex(&trace.trace_id).ok()?;
    let span_id = SpanId::from_hex(&trace.parent_id).ok()?;
    let span = SpanContext::new(trace_id, span_id, TraceFlags::SAMPLED, true, TraceState::default());
    Some(Context::new().with_remote_span_context(span))
}

fn request(exchange: &RequestRecord, facts: &Fields, started: SystemTime) -> SpanBuilder {
    let status = exchange.status.map_or_else(String::new, |status| status.to_string());
    let attributes = [
        KeyValue::new("http.request.method", exchange.method),
        KeyValue::new("http.response.status_code", status),
        KeyValue::new("url.full", clipped(&exchange.url)),
        KeyValue::new("server.address", exchange.host.clone()),
        KeyValue::new("attempt", i64::from(exchange.attempt)),
    ];
    SpanBuilder::from_name(exchange.operation.clone())
        .with_kind(SpanKind::Client)
        .with_start_time(started)
        .with_attributes(
            attributes.into_iter().chain(self::attributes(facts, |name| REQUEST_FACTS.contains(&name))),
        )
}

/// Facts in the service's types: text, and lists as JSON.
fn attributes(facts: &Fields, is_wanted: impl Fn(&str) -> bool) -> impl Iterator<Item = KeyValue> {
    facts.iter().filter(move |(name, _)| is_wanted(name)).filter_map(|(name, value)| match value {
        Value::Null => None,
        Value::String(text) => Some(KeyValue::new(name, clipped(text))),
        other => Some(KeyValue::new(name, clipped(&other.to_string()))),
    })
}

fn clipped(text: &str) -> String {
    text.get(..text.floor_char_boundary(LONGEST_VALUE)).unwrap_or_default().to_owned()
}
