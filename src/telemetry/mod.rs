//! The report of an event: one line on stdout, telemetry for Application Insights, and rows of drift in Log
//! Analytics.
//!
//! The log line contains everything that is known about an event. Its fields, the *facts*, are listed once (`facts`);
//! the event's span in Application Insights has the same names, so that one query works for both.
//!
//! Rules: `info` for success, `warn` if the work will be tried again, `error` if it needs a person; steps are
//! `debug`. Only a row for Log Analytics can delay an invocation, and the invocation fails if the row cannot
//! be stored.

mod insights;
mod lines;
mod log_analytics;
mod outbox;
mod readable;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    path::Path,
    sync::Arc,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use tokio::time::Instant;
use tracing::{Level, field};

use self::{
    insights::{Insights, Sender},
    lines::Fields,
    log_analytics::{LogAnalytics, Row},
};
pub use self::{
    lines::{flush, install, subscriber, timestamp},
    readable::readable,
};
use crate::{
    azure::{http_transport::HttpTransport, tokens::Tokens},
    config::Settings,
    decide::report::{Chain, Outcome, Report},
    domain::event::{Event, EventError, EventKind},
    reconcile::ReconcilerMetrics,
};

/// How long the end of the process waits for undelivered telemetry.
const CLOSE_WAIT: Duration = Duration::from_secs(3);

/// One call of the Functions host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Invocation {
    /// The function that was called.
    pub function: &'static str,
    /// The host's id of the call (`X-Azure-Functions-InvocationId`).
    pub id: Option<String>,
    /// The trace that the call is part of.
    pub trace: Option<TraceParent>,
}

/// The `traceparent` header.
///
/// Source: <https://www.w3.org/TR/trace-context/#traceparent-header>. The sampling flag of the caller is
/// ignored: the Functions host sends "not sampled" whenever it exports through Application Insights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// 32 hexadecimal digits: the operation.
    pub trace_id: String,
    /// 16 hexadecimal digits: the call.
    pub parent_id: String,
}

impl TraceParent {
    /// Parses the header's value. An invalid value is ignored.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let mut parts = text.trim().split('-');
        let (version, trace_id, parent_id) = (parts.next()?, parts.next()?, parts.next()?);
        let is_id = |text: &str, length| {
            text.len() == length
                && text.bytes().all(|byte| byte.is_ascii_hexdigit())
                && text.bytes().any(|byte| byte != b'0')
        };
        let is_right = version.len() == 2 && is_id(trace_id, 32) && is_id(parent_id, 16);
        is_right.then(|| Self {
            trace_id: trace_id.to_ascii_lowercase(),
            parent_id: parent_id.to_ascii_lowercase(),
        })
    }
}

/// All destinations of reports. Cheap to clone.
///
/// The default writes to stdout only.
#[derive(Clone)]
pub struct Telemetry {
    insights: Option<Arc<Insights>>,
    log_analytics: Option<Arc<LogAnalytics>>,
    now: Arc<dyn Fn() -> SystemTime + Send + Sync>,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { insights: None, log_analytics: None, now: Arc::new(SystemTime::now) }
    }
}

impl fmt::Debug for Telemetry {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("Telemetry")
            .field("insights", &self.insights.is_some())
            .field("log_analytics", &self.log_analytics.is_some())
            .finish_non_exhaustive()
    }
}

impl Telemetry {
    /// Creates the destinations in the settings. Telemetry is sent from the current runtime.
    ///
    /// # Panics
    ///
    /// Outside of a runtime.
    #[must_use]
    pub fn new(settings: &Settings, http_transport: &HttpTransport, tokens: &Tokens) -> Self {
        let insights = settings.application_insights.as_ref();
        let insights = insights.map(|insights| {
            let sender = Sender::network(
                insights,
                settings.cloud,
                http_transport,
                tokens,
                settings.client_id.as_deref(),
            );
            Insights::new(insights, sender)
        });
        let log_analytics =
            settings.logs.as_ref().map(|logs| LogAnalytics::new(logs, settings, http_transport, tokens));
        Self {
            insights: insights.map(Arc::new),
            log_analytics: log_analytics.map(Arc::new),
            ..Self::default()
        }
    }

    /// Writes the telemetry for Application Insights to a file, one envelope per line, with the times of the
    /// given clock.
    pub fn to_file(
        path: &Path,
        now: impl Fn() -> SystemTime + Send + Sync + 'static,
    ) -> std::io::Result<Self> {
        let insights = Insights::new(&insights::disabled(), Sender::file(path)?);
        Ok(Self { insights: Some(Arc::new(insights)), now: Arc::new(now), ..Self::default() })
    }

    /// Stores drift in Log Analytics, if configured, and returns the report of the invocation. An invocation
    /// whose rows are not stored fails, so that its event is delivered again. The request may take from
    /// `received` to the deadline.
    pub async fn store(
        &self,
        invocation: &Invocation,
        found: &[(Event, Report)],
        report: Report,
        received: Instant,
    ) -> Report {
        let Some(log_analytics) = &self.log_analytics else { return report };
        let time = (self.now)();
        let rows = found.iter().filter_map(|(event, report)| {
            let (EventKind::Ours(container_group), Some(drift)) = (&event.kind, &report.drift) else {
                return None;
            };
            Some(Row {
                time,
                container_group,
                drift,
                fqdn: report.fqdn.as_ref(),
                address: report.address,
                event_id: &event.id,
                invocation_id: invocation.id.as_deref(),
            })
        });
        let rows: Vec<_> = rows.collect();
        match log_analytics.store(&rows, received).await {
            Ok(()) => report,
            Err(error) => {
                let chain = Chain(&error).to_string();
                let message = format!("{}; not stored: {chain}", report.message);
                Report { outcome: Outcome::Unavailable, message, error: Some(chain), ..report }
            }
        }
    }

    /// Reports an event, or an invocation without an event.
    pub fn report(
        &self,
        invocation: &Invocation,
        event: Option<&Result<Event, EventError>>,
        report: &Report,
        duration: Duration,
    ) {
        let facts = facts(invocation, event, report, duration);
        self.emit(invocation, event, report, &facts, duration);
    }

    fn emit(
        &self,
        invocation: &Invocation,
        event: Option<&Result<Event, EventError>>,
        report: &Report,
        facts: &Fields,
        duration: Duration,
    ) {
        // Level and name of a log event are fixed at its call site, so each combination needs its own.
        macro_rules! say {
            ($name:expr, $level:expr) => {
                tracing::event!(
                    name: $name,
                    target: "aci_dns::invocation",
                    $level,
                    { lines::FACTS } = field::debug(facts),
                    "{}",
                    report.message
                )
            };
        }
        let is_failure = report.outcome.status() != 200 || report.error.is_some();
        match (level(report), is_failure) {
            (Level::ERROR, _) => say!(lines::FAILED, Level::ERROR),
            (Level::WARN, true) => say!(lines::FAILED, Level::WARN),
            (Level::WARN, false) => say!(lines::HANDLED, Level::WARN),
            _ => say!(lines::HANDLED, Level::INFO),
        }
        if let Some(insights) = &self.insights {
            insights.record(invocation, event, report, facts, duration, (self.now)());
        }
    }

    /// Reports the load and the unfinished work of this reconciler to Application Insights, once a minute.
    pub fn watch(&self, metrics: impl Fn() -> ReconcilerMetrics + Send + Sync + 'static) {
        if let Some(insights) = &self.insights {
            insights.watch(metrics);
        }
    }

    /// Delivers the remaining telemetry, within a few seconds. Blocks, so do not call it on a runtime thread.
    pub fn close(&self) {
        if let Some(insights) = &self.insights {
            insights.close(CLOSE_WAIT);
        }
    }
}

/// The facts of one event, by their names in lines and telemetry. Ids and outcome are always present; other
/// facts are left out if they do not apply.
fn facts(
    invocation: &Invocation,
    event: Option<&Result<Event, EventError>>,
    report: &Report,
    duration: Duration,
) -> Fields {
    let read = event.and_then(|event| event.as_ref().ok());
    let event_id = match event {
        Some(Ok(event)) => Some(event.id.as_str()),
        Some(Err(error)) => error.event_id(),
        None => None,
    };
    let container_group = read.and_then(|event| match &event.kind {
        EventKind::Ours(id) => Some(id.to_string()),
        EventKind::Ignored(_) => None,
    });
    let mut facts = Fields::default();
    facts.set("function.name", invocation.function);
    facts.set("invocation.id", invocation.id.as_deref());
    facts.set_some("trace.id", invocation.trace.as_ref().map(|trace| trace.trace_id.as_str()));
    facts.set_some("trace.parent", invocation.trace.as_ref().map(|trace| trace.parent_id.as_str()));
    facts.set("event.id", event_id);
    facts.set_some("event.type", read.map(|event| event.event_type.as_str()));
    facts.set_some("event.time", read.and_then(|event| event.time.as_deref()));
    facts.set("container_group.id", container_group);
    facts.set("outcome", report.outcome.as_str());
    facts.set("duration_ms", u64::try_from(duration.as_millis()).unwrap_or(u64::MAX));
    facts.set("arm.calls", report.arm_calls);
    facts.set_some("vault.calls", (report.vault_calls > 0).then_some(report.vault_calls));
    facts.set_some("pass.shared", report.is_shared.then_some(true));
    facts.set_some("dns.fqdn", report.fqdn.as_ref().map(ToString::to_string));
    facts.set_some("address", report.address.map(|address| address.to_string()));
    facts.set_some("plan", (!report.plan.is_empty()).then(|| list(&report.plan)));
    facts.set_some("plan.withheld", (!report.withheld.is_empty()).then(|| list(&report.withheld)));
    facts.set_some("conflict.owner", report.conflict_owner.as_deref());
    facts.set_some("reason", report.reason.as_deref());
    facts.set_some("retry.attempt", report.retry.as_ref().map(|retry| retry.attempt));
    facts.set_some("retry.since", report.retry.as_ref().and_then(|retry| retry.since.as_deref()));
    facts.set_some("retry.recheck", report.retry.as_ref().and_then(|retry| retry.is_recheck.then_some(true)));
    facts.set_some("retry.delay_s", report.deferral.map(|deferral| deferral.delay.as_secs()));
    facts.set_some("error", report.error.as_deref());
    if let Some(image) = &report.image {
        facts.set("image.repository", image.repository.as_str());
        facts.set_some("image.tag", image.tag.as_deref());
        facts.set_some("image.digest", image.digest.as_deref());
    }
    let failed = &report.services_failed;
    facts.set_some("services.failed", (!failed.is_empty()).then(|| list(failed)));
    if let Some(drift) = &report.drift {
        facts.set("drift.event", drift.event.as_str());
        facts.set("drift.kinds", list(drift.kinds.iter().map(|kind| kind.as_str())));
        facts.set("dns.addresses", list(&drift.dns_addresses));
        facts.set("dns.ptr", list(&drift.dns_ptr));
        facts.set_some("drift.services", (!drift.services.is_empty()).then(|| list(&drift.services)));
    }
    facts
}

fn list(elements: impl IntoIterator<Item = impl ToString>) -> Value {
    elements.into_iter().map(|element| element.to_string()).collect()
}

/// The log level of a report.
fn level(report: &Report) -> Level {
    match report.deferral.map_or(report.outcome, |deferral| deferral.outcome) {
        Outcome::Malformed | Outcome::Conflict | Outcome::Failed => Level::ERROR,
        Outcome::Unavailable | Outcome::Deferred => Level::WARN,
        Outcome::Ignored
        | Outcome::Unmanaged
        | Outcome::Converged
        | Outcome::Reported
        | Outcome::Planned
        | Outcome::Changed => {
            if report.is_warning {
                Level::WARN
            } else {
                Level::INFO
            }
        }
    }
}
