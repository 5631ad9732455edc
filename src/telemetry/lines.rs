//! Log lines: each is a flat JSON object on one line of stdout.
//!
//! Keys contain dots, lists are arrays, and JSON escapes any text, so no text can break a line. The filter
//! cannot lower the level of libraries that handle tokens below `warn`.
//!
//! The Functions host takes each line of stdout for one entry and each line of stderr for an error, so
//! nothing is written to stderr in normal operation, not even by a panic.

use std::{
    error::Error,
    fmt,
    io::{IsTerminal as _, Write as _},
    sync::OnceLock,
    time::{Duration, SystemTime},
};

use serde_json::Value;
use tracing::{
    Event, Level, Metadata, Subscriber,
    field::{Field, Visit},
    span,
};
use tracing_subscriber::{
    Layer, Registry,
    filter::{FilterExt as _, FilterFn, LevelFilter, filter_fn},
    layer::{Context, SubscriberExt as _},
    registry::LookupSpan,
};

use super::{outbox::Outbox, readable::readable};
use crate::{config::LogFilter, decide::report::Chain};

/// The name of the log event of a failed event. Its line is written whatever the filter says, so that no
/// filter hides a failure.
pub(super) const FAILED: &str = "event failed";
/// The name of the log event of any other event.
pub(super) const HANDLED: &str = "event handled";

/// A field of a log event that contains members of its line, as the text of a JSON object.
pub(super) const FACTS: &str = "facts";

/// Writes every log line to `sink`, without its line break.
#[must_use]
pub fn subscriber(
    filter: &LogFilter,
    sink: impl Fn(&str) + Send + Sync + 'static,
) -> impl Subscriber + Send + Sync {
    let filter = filter.targets().and(quiet()).or(failed());
    Registry::default().with(JsonLines { sink }.with_filter(filter))
}

/// How long a panic waits for its line, because it may end the process.
const PANIC_WAIT: Duration = Duration::from_millis(100);

/// The queue of lines to stdout.
static OUTBOX: OnceLock<Outbox> = OnceLock::new();

/// Writes every log line, and a line for every panic, to stdout from now on, without waiting for its reader.
pub fn install(filter: &LogFilter) -> Result<(), tracing::subscriber::SetGlobalDefaultError> {
    match Outbox::start(write_line, dropped) {
        Ok(outbox) => {
            let outbox = OUTBOX.get_or_init(|| outbox);
            tracing::subscriber::set_global_default(subscriber(filter, |line| outbox.push(line)))?;
        }
        // The thread cannot be started.
        Err(_) => tracing::subscriber::set_global_default(subscriber(filter, write_line))?,
    }
    std::panic::set_hook(Box::new(|panic| {
        let location = panic.location().map(ToString::to_string);
        let reason = panic.payload_as_str().unwrap_or("without a reason");
        tracing::error!(panic.location = location, "panicked: {reason}");
        flush(PANIC_WAIT);
    }));
    Ok(())
}

/// Waits until the queued lines are written, up to a time limit.
pub fn flush(longest: Duration) {
    if let Some(outbox) = OUTBOX.get() {
        outbox.flush(longest);
    }
}

/// The line that reports the number of dropped lines.
fn dropped(count: u64) -> String {
    let mut fields = Fields::default();
    fields.set("timestamp", timestamp(SystemTime::now()));
    fields.set("level", "warn");
    fields.set("message", format!("{count} log lines were dropped, because stdout was not read"));
    fields.set("target", module_path!());
    fields.set("lines.dropped", count);
    fields.to_string()
}

/// Writes a line to stdout in one piece. If stdout is closed, the error cannot be reported anywhere.
fn write_line(line: &str) {
    if std::io::stdout().is_terminal() {
        let _ = writeln!(anstream::stdout(), "{}", readable(line));
        return;
    }
    let mut stdout = std::io::stdout().lock();
    let _ = stdout.write_all(format!("{line}\n").as_bytes()).and_then(|()| stdout.flush());
}

/// Limits libraries that send tokens to `warn`: their debug events may contain headers and bodies.
fn quiet() -> FilterFn {
    filter_fn(|metadata| *metadata.level() <= Level::WARN || !is_capped(metadata))
}

fn failed() -> FilterFn {
    let is_failed: fn(&Metadata<'_>) -> bool = |metadata| metadata.name() == FAILED;
    filter_fn(is_failed).with_max_level_hint(LevelFilter::WARN)
}

fn is_capped(metadata: &Metadata<'_>) -> bool {
    ["azure_", "typespec", "hyper", "reqwest", "h2", "rustls"]
        .iter()
        .any(|prefix| metadata.target().starts_with(prefix))
}

/// A layer that writes each log event as one line.
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

    fn on_event(&self, event: &Event<'_>, context: Context<'_, S>) {
        let metadata = event.metadata();
        let mut fields = Fields::default();
        fields.set("timestamp", timestamp(SystemTime::now()));
        fields.set("level", metadata.level().as_str().to_ascii_lowercase());
        fields.set("message", "");
        fields.set("target", metadata.target());
        event.record(&mut fields);
        // Facts name their subject themselves.
        let scope = context.event_scope(event).filter(|_| fields.facts.is_none());
        for span in scope.into_iter().flatten() {
            if let Some(inherited) = span.extensions().get::<Fields>() {
                fields.inherit(inherited);
            }
        }
        (self.sink)(&fields.to_string());
    }
}

/// The members of a line, in the order in which they were first set. Displayed as a JSON object.
#[derive(Clone, Default, PartialEq)]
pub(super) struct Fields {
    members: Vec<(&'static str, Value)>,
    /// Further members, as the text of a JSON object.
    facts: Option<String>,
}

impl Fields {
    /// Sets a member, unless it is set.
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<Value>) {
        match self.members.iter_mut().find(|(known, _)| *known == name) {
            Some((_, known)) => *known = value.into(),
            None => self.members.push((name, value.into())),
        }
    }

    /// Sets a member if there is a value.
    pub(super) fn set_some(&mut self, name: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.set(name, value);
        }
    }

    /// Every member with its name.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&'static str, &Value)> {
        self.members.iter().map(|(name, value)| (*name, value))
    }

    fn inherit(&mut self, outer: &Self) {
        for (name, value) in &outer.members {
            if self.members.iter().all(|(known, _)| known != name) {
                self.members.push((name, value.clone()));
            }
        }
    }
}

impl fmt::Display for Fields {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("{")?;
        for (index, (name, value)) in self.members.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(formatter, "{separator}\"{name}\":{value}")?;
        }
        let facts = self.facts.as_deref().and_then(|facts| facts.strip_prefix('{'));
        match facts {
            Some(facts) if !self.members.is_empty() && facts != "}" => write!(formatter, ",{facts}"),
            Some(facts) => formatter.write_str(facts),
            None => formatter.write_str("}"),
        }
    }
}

impl fmt::Debug for Fields {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, formatter)
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
        if field.name() == FACTS {
            self.facts = Some(text);
        } else {
            self.set(field.name(), text);
        }
    }
}

/// A time as RFC 3339 in UTC, with milliseconds; times before 1970 become 1970.
#[must_use]
pub fn timestamp(time: SystemTime) -> String {
    let since_epoch = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (seconds, milliseconds) = (since_epoch.as_secs(), since_epoch.subsec_millis());
    let (year, month, day) = date(seconds / 86_400);
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milliseconds:03}Z")
}

/// The year, month and day of a number of days after 1970-01-01, in years that begin on the first of March,
/// so that a leap day is the last of its year.
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
