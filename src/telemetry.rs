//! What is said on stdout: one flat JSON object on one line per event handled, and the same for every other line.
//!
//! Rules: `info` when all is well, `warn` when it will be tried again, `error` when it needs a person; steps are
//! `debug`. Keys are dotted as they stand, lists are arrays, and text of others cannot break a line, because JSON
//! escapes it. Libraries that handle tokens are never heard below `warn`, whatever the filter says.
//!
//! The Functions host takes each line of stdout for one entry and of stderr for an error, so nothing is written
//! to stderr in normal operation, a panic included.

use std::{
    error::Error,
    fmt,
    io::Write as _,
    str::FromStr,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use tracing::{
    Event as TracingEvent, Level, Metadata, Subscriber,
    field::{self, Field, Visit},
    span,
};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt as _, FilterFn, LevelFilter, ParseError, filter_fn},
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
};

use crate::{
    event::{Event, EventError, Kind},
    report::{Outcome, Report},
};

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
/// Source: <https://www.w3.org/TR/trace-context/#traceparent-header>. The flag that says whether the caller
/// samples is not kept: the Functions host says no whenever it exports through Application Insights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceParent {
    /// 32 hexadecimal digits: the operation.
    pub trace_id: String,
    /// 16 hexadecimal digits: the call.
    pub parent_id: String,
}

impl TraceParent {
    /// Reads the header's value; one that breaks the rules is no reason to fail.
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

/// Says what became of one event, or of an invocation that carried none.
pub fn report(
    invocation: &Invocation,
    event: Option<&Result<Event, EventError>>,
    report: &Report,
    duration: Duration,
) {
    let drift = report.drift.as_ref();
    let read = event.and_then(|event| event.as_ref().ok());
    let event_id = match event {
        Some(Ok(event)) => Some(event.id.as_str()),
        Some(Err(error)) => error.event_id(),
        None => None,
    };
    let container_group = read.and_then(|event| match &event.kind {
        Kind::Ours(id) => Some(id.to_string()),
        Kind::Ignored(_) => None,
    });
    // The level of a line is fixed where it is written, so there is one place for each level.
    macro_rules! say {
        ($level:expr) => {
            tracing::event!(
                target: "aci_dns::invocation",
                $level,
                function.name = invocation.function,
                invocation.id = text(invocation.id.as_deref()),
                trace.id = invocation.trace.as_ref().map(|trace| trace.trace_id.as_str()),
                trace.parent = invocation.trace.as_ref().map(|trace| trace.parent_id.as_str()),
                event.id = text(event_id),
                event.type = read.map(|event| event.event_type.as_str()),
                event.time = read.and_then(|event| event.time.as_deref()),
                container_group.id = text(container_group.as_deref()),
                outcome = report.outcome.as_str(),
                duration_ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
                arm.calls = report.arm_calls,
                pass.shared = report.is_shared.then_some(true),
                dns.fqdn = report.fqdn.as_ref().map(field::display),
                address = report.address.map(field::display),
                plan = list_unless_empty(&report.plan),
                plan.withheld = list_unless_empty(&report.withheld),
                error = report.error.as_deref(),
                drift.event = drift.map(|drift| drift.event.as_str()),
                drift.kinds = drift.map(|drift| list(drift.kinds.iter().map(|kind| kind.as_str()))),
                dns.addresses = drift.map(|drift| list(&drift.dns_addresses)),
                dns.ptr = drift.map(|drift| list(&drift.dns_ptr)),
                "{}",
                report.message
            )
        };
    }
    match level(report) {
        Level::ERROR => say!(Level::ERROR),
        Level::WARN => say!(Level::WARN),
        _ => say!(Level::INFO),
    }
}

/// How loud a report is.
fn level(report: &Report) -> Level {
    match report.outcome {
        Outcome::Malformed | Outcome::Conflict | Outcome::Failed => Level::ERROR,
        Outcome::Unavailable => Level::WARN,
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

/// A value that tracing has no type for, which [`JsonLines`] writes as it is: an array, `null` or a string.
struct Json(Value);

impl fmt::Debug for Json {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)
    }
}

/// What every line has, `null` where there is none.
fn text(text: Option<&str>) -> field::DebugValue<Json> {
    field::debug(Json(text.into()))
}

fn list(elements: impl IntoIterator<Item = impl ToString>) -> field::DebugValue<Json> {
    field::debug(Json(elements.into_iter().map(|element| element.to_string()).collect()))
}

fn list_unless_empty(elements: &[String]) -> Option<field::DebugValue<Json>> {
    (!elements.is_empty()).then(|| list(elements))
}

/// An error with all its causes, once each: the only place where causes are printed.
#[derive(Clone, Copy, Debug)]
pub struct Chain<'a>(pub &'a dyn Error);

impl fmt::Display for Chain<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}", self.0)?;
        let mut cause = self.0.source();
        while let Some(error) = cause {
            write!(formatter, ": {error}")?;
            cause = error.source();
        }
        Ok(())
    }
}

/// What is logged, such as `info` or `aci_dns=debug`; `info` by default.
///
/// Source: <https://docs.rs/tracing-subscriber/0.3/tracing_subscriber/filter/struct.EnvFilter.html#directives>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFilter(String);

impl LogFilter {
    fn read(text: &str) -> Result<EnvFilter, ParseError> {
        EnvFilter::builder().with_default_directive(LevelFilter::INFO.into()).parse(text)
    }

    fn env_filter(&self) -> EnvFilter {
        Self::read(&self.0).expect("the text was read before")
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for LogFilter {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::read(text).map(|_| Self(text.to_owned()))
    }
}

/// Writes every log line through `sink`, which is given the line without its end.
#[must_use]
pub fn subscriber(
    filter: &LogFilter,
    sink: impl Fn(&str) + Send + Sync + 'static,
) -> impl Subscriber + Send + Sync {
    let filter = filter.env_filter();
    Registry::default().with(JsonLines { sink }.with_filter(filter.and(quiet())))
}

/// Writes every log line, and a line for every panic, to stdout from now on.
pub fn install(filter: &LogFilter) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
    tracing::subscriber::set_global_default(subscriber(filter, write_line))?;
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        let reason = panic.payload_as_str().unwrap_or("without a reason");
        tracing::error!(panic.location = location, "panicked: {reason}");
    }));
    Ok(())
}

/// Writes a line to stdout in one piece. Where nobody reads it any more there is nobody to tell.
fn write_line(line: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(format!("{line}\n").as_bytes()).and_then(|()| stdout.flush());
}

/// Libraries that send tokens are heard only when something is wrong: their steps may show headers and bodies.
fn quiet() -> FilterFn {
    filter_fn(|metadata| *metadata.level() <= Level::WARN || !is_capped(metadata))
}

fn is_capped(metadata: &Metadata<'_>) -> bool {
    ["azure_", "typespec", "hyper", "reqwest", "h2", "rustls"]
        .iter()
        .any(|prefix| metadata.target().starts_with(prefix))
}

/// A layer that makes one line of every log event.
struct JsonLines<Sink> {
    sink: Sink,
}

impl<S, Sink> Layer<S> for JsonLines<Sink>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    Sink: Fn(&str) + Send + Sync + 'static,
{
    fn on_new_span(&self, attributes: &span::Attributes<'_>, id: &span::Id, context: Context<'_, S>) {
        let mut fields = Fields::default();
        attributes.record(&mut fields);
        if let Some(span) = context.span(id) {
            span.extensions_mut().insert(fields);
        }
    }

    fn on_record(&self, id: &span::Id, values: &span::Record<'_>, context: Context<'_, S>) {
        if let Some(span) = context.span(id)
            && let Some(fields) = span.extensions_mut().get_mut::<Fields>()
        {
            values.record(fields);
        }
    }

    fn on_event(&self, event: &TracingEvent<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        fields.set("timestamp", timestamp(SystemTime::now()));
        fields.set("level", metadata.level().as_str().to_ascii_lowercase());
        fields.set("message", "");
        fields.set("target", metadata.target());
        event.record(&mut fields);
        for span in context.event_scope(event).into_iter().flatten() {
            if let Some(inherited) = span.extensions().get::<Fields>() {
                fields.inherit(inherited);
            }
        }
        (self.sink)(&fields.to_string());
    }
}

/// The members of a line, in the order in which they were first set.
#[derive(Default)]
struct Fields(Vec<(&'static str, Value)>);

impl Fields {
    fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value.into(),
            None => self.0.push((name, value.into())),
        }
    }

    fn inherit(&mut self, outer: &Self) {
        for (name, value) in &outer.0 {
            if self.0.iter().all(|(known, _)| known != name) {
                self.0.push((name, value.clone()));
            }
        }
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (name, value)) in self.0.iter().enumerate() {
            let before = if index == 0 { '{' } else { ',' };
            write!(formatter, "{before}{}:{value}", Value::from(*name))?;
        }
        formatter.write_str("}")
    }
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field.name(), value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field.name(), value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field.name(), value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field.name(), value);
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field.name(), value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn Error + 'static)) {
        self.set(field.name(), Chain(value).to_string());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let text = format!("{value:?}");
        match serde_json::from_str(&text) {
            Ok(value @ (Value::Array(_) | Value::Null | Value::String(_))) if field.name() != "message" => {
                self.set(field.name(), value);
            }
            _ => self.set(field.name(), text),
        }
    }
}

/// A moment as RFC 3339 in UTC, with milliseconds; moments before 1970 are not told apart.
#[must_use]
pub fn timestamp(time: SystemTime) -> String {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (seconds, milliseconds) = (since_epoch.as_secs(), since_epoch.subsec_millis());
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

/// The year, month and day of a number of days after 1970-01-01, in years that begin on the first of March, so
/// that a leap day is the last of its year.
///
/// Source: <https://howardhinnant.github.io/date_algorithms.html#civil_from_days>
fn date(days_since_1970: u64) -> (u64, u64, u64) {
    let days = days_since_1970 + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    (era * 400 + year_of_era + u64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use std::{
        net::Ipv4Addr,
        sync::{Arc, Mutex},
    };

    use proptest::prelude::*;
    use serde_json::json;
    use tracing::subscriber::with_default;

    use super::*;
    use crate::{
        report::{Drift, DriftEvent, DriftKind},
        resource_id::ContainerGroupId,
    };

    /// The lines that are written with a filter, without the time.
    fn lines(filter: &str, speak: impl FnOnce()) -> Vec<Value> {
        let written = Arc::new(Mutex::new(Vec::new()));
        let sink = {
            let written = Arc::clone(&written);
            move |line: &str| written.lock().unwrap().push(line.to_owned())
        };
        with_default(subscriber(&filter.parse().unwrap(), sink), speak);
        let lines = written.lock().unwrap();
        let read = |line: &String| {
            assert!(!line.contains(['\n', '\r', '\u{1b}']), "{line}");
            assert!(line.starts_with(r#"{"timestamp":"2"#), "{line}");
            let mut line: Value = serde_json::from_str(line).unwrap();
            line.as_object_mut().unwrap().remove("timestamp");
            line
        };
        lines.iter().map(read).collect()
    }

    fn invocation() -> Invocation {
        Invocation {
            function: "function_aci_reconcile",
            id: Some("i1".into()),
            trace: TraceParent::parse("00-bb2bd5eef54cb15a1506d0326d2489e7-d3f54c84c7034d76-00"),
        }
    }

    fn event() -> Event {
        Event {
            id: "e1".into(),
            event_type: "Microsoft.Resources.ResourceWriteSuccess".into(),
            time: Some("2026-01-02T03:04:05Z".into()),
            kind: Kind::Ours(ContainerGroupId::new("s1", "rg", "web").unwrap()),
        }
    }

    #[test]
    fn a_line_says_everything_that_there_is_to_say() {
        let full = Report {
            is_warning: true,
            fqdn: Some("web.spoke1.contoso.internal".parse().unwrap()),
            address: Some(Ipv4Addr::new(10, 1, 5, 4)),
            plan: vec!["+ A web.spoke1.contoso.internal 10.1.5.4".into()],
            withheld: vec!["- PTR".into(), "- A".into()],
            arm_calls: 7,
            is_shared: true,
            error: Some("a: b".into()),
            drift: Some(Drift {
                event: DriftEvent::DriftDetected,
                kinds: vec![DriftKind::Address, DriftKind::PtrStale],
                dns_addresses: vec![Ipv4Addr::new(10, 1, 5, 9)],
                dns_ptr: vec![],
            }),
            ..Report::new(Outcome::Changed, "web moved")
        };
        let lines =
            lines("info", || report(&invocation(), Some(&Ok(event())), &full, Duration::from_micros(1900)));
        let expected = json!({
            "level": "warn",
            "message": "web moved",
            "target": "aci_dns::invocation",
            "function.name": "function_aci_reconcile",
            "invocation.id": "i1",
            "trace.id": "bb2bd5eef54cb15a1506d0326d2489e7",
            "trace.parent": "d3f54c84c7034d76",
            "event.id": "e1",
            "event.type": "Microsoft.Resources.ResourceWriteSuccess",
            "event.time": "2026-01-02T03:04:05Z",
            "container_group.id":
                "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.ContainerInstance/containerGroups/web",
            "outcome": "changed",
            "duration_ms": 1,
            "arm.calls": 7,
            "pass.shared": true,
            "dns.fqdn": "web.spoke1.contoso.internal",
            "address": "10.1.5.4",
            "plan": ["+ A web.spoke1.contoso.internal 10.1.5.4"],
            "plan.withheld": ["- PTR", "- A"],
            "error": "a: b",
            "drift.event": "drift_detected",
            "drift.kinds": ["address", "ptr_stale"],
            "dns.addresses": ["10.1.5.9"],
            "dns.ptr": [],
        });
        assert_eq!(lines, [expected]);
    }

    #[test]
    fn a_line_leaves_out_what_does_not_apply_but_for_the_ids() {
        let invocation = Invocation { id: None, trace: None, ..invocation() };
        let short = Report::new(Outcome::Ignored, "nothing");
        let lines = lines("info", || report(&invocation, None, &short, Duration::ZERO));
        let expected = json!({
            "level": "info",
            "message": "nothing",
            "target": "aci_dns::invocation",
            "function.name": "function_aci_reconcile",
            "invocation.id": null,
            "event.id": null,
            "container_group.id": null,
            "outcome": "ignored",
            "duration_ms": 0,
            "arm.calls": 0,
        });
        assert_eq!(lines, [expected]);
    }

    #[test]
    fn the_level_says_who_has_to_act() {
        for (outcome, expected) in [
            (Outcome::Converged, Level::INFO),
            (Outcome::Planned, Level::INFO),
            (Outcome::Unavailable, Level::WARN),
            (Outcome::Malformed, Level::ERROR),
            (Outcome::Conflict, Level::ERROR),
            (Outcome::Failed, Level::ERROR),
        ] {
            assert_eq!(level(&Report::new(outcome, "")), expected, "{outcome}");
        }
        let warning = Report { is_warning: true, ..Report::new(Outcome::Unmanaged, "") };
        assert_eq!(level(&warning), Level::WARN);
    }

    #[test]
    fn steps_carry_what_they_are_steps_of() {
        let lines = lines("debug", || {
            let outer = tracing::info_span!("outer", invocation.id = "i1", step = 1);
            outer.in_scope(|| tracing::debug!(step = 2, "looked"));
        });
        let expected = json!({
            "level": "debug", "message": "looked", "target": "aci_dns::telemetry::tests", "step": 2,
            "invocation.id": "i1",
        });
        assert_eq!(lines, [expected]);
    }

    #[test]
    fn libraries_that_handle_tokens_are_not_heard_below_warn() {
        for filter in ["trace", "azure_identity=trace,hyper=trace", "reqwest::connect=trace"] {
            let lines = lines(filter, || {
                tracing::info!(target: "azure_identity::x", "token");
                tracing::debug!(target: "azure_core", "token");
                tracing::info!(target: "typespec_client_core::http", "token");
                tracing::trace!(target: "hyper::proto", "token");
                tracing::trace!(target: "hyper_util::client", "token");
                tracing::debug!(target: "reqwest::connect", "token");
            });
            assert_eq!(lines, Vec::<Value>::new(), "{filter}");
        }
        assert_eq!(lines("info", || tracing::warn!(target: "azure_identity", "refused")).len(), 1);
    }

    #[test]
    fn an_error_is_told_with_all_its_causes() {
        let source = "x".parse::<ContainerGroupId>().unwrap_err();
        let error = EventError::Subject { id: "e1".into(), source };
        let expected = "the event has an unusable subject: \"x\" is not a resource id";
        assert_eq!(Chain(&error).to_string(), expected);
    }

    #[test]
    fn a_trace_parent_is_read_or_left_out() {
        let trace = "bb2bd5eef54cb15a1506d0326d2489e7";
        for (text, is_right) in [
            (format!("00-{trace}-d3f54c84c7034d76-00"), true),
            (format!("01-{}-D3F54C84C7034D76-01-more", trace.to_uppercase()), true),
            (format!("00-{}-d3f54c84c7034d76-00", "0".repeat(32)), false),
            (format!("00-{trace}-0000000000000000-00"), false),
            (format!("00-{trace}-x3f54c84c7034d76-00"), false),
            (format!("00-{trace}"), false),
            (String::new(), false),
        ] {
            let expected = is_right.then(|| TraceParent {
                trace_id: trace.to_owned(),
                parent_id: "d3f54c84c7034d76".to_owned(),
            });
            assert_eq!(TraceParent::parse(&text), expected, "{text}");
        }
    }

    #[test]
    fn a_moment_is_told_in_utc_with_milliseconds() {
        for (seconds, expected) in [
            (0, "1970-01-01T00:00:00.007Z"),
            (951_782_399, "2000-02-28T23:59:59.007Z"),
            (951_782_400, "2000-02-29T00:00:00.007Z"),
            (1_767_225_600, "2026-01-01T00:00:00.007Z"),
            (4_107_542_400, "2100-03-01T00:00:00.007Z"),
        ] {
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(7);
            assert_eq!(timestamp(time), expected);
        }
    }

    proptest! {
        #[test]
        fn no_text_breaks_a_line(text in any::<String>()) {
            let report_of = Report { error: Some(text.clone()), plan: vec![text.clone()], ..Report::new(Outcome::Failed, text.clone()) };
            let lines = lines("info", || report(&invocation(), None, &report_of, Duration::ZERO));
            prop_assert_eq!(&lines[0]["message"], &json!(text));
            prop_assert_eq!(&lines[0]["error"], &json!(text));
            prop_assert_eq!(&lines[0]["plan"], &json!([text]));
        }
    }
}
