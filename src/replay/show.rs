//! The output of a replay: outcomes, plans as diffs, zones.

use std::io::{self, Write};

use anstyle::{AnsiColor, Style};
use serde_json::{Map, Value};

use crate::domain::text::printable;
use azure_simulator::Azure;

/// The fields of one log line of the handler.
#[derive(Clone, Debug)]
pub struct LogFields(Map<String, Value>);

impl LogFields {
    /// Reads a log line; `None` if it is not about an event.
    #[must_use]
    pub fn of(line: Map<String, Value>) -> Option<Self> {
        line.contains_key("outcome").then_some(Self(line))
    }

    /// A field as text; empty if the line does not have it.
    #[must_use]
    pub fn text(&self, field: &str) -> &str {
        self.0.get(field).and_then(Value::as_str).unwrap_or_default()
    }

    /// A field as a list of texts; empty if the line does not have it.
    #[must_use]
    pub fn list(&self, field: &str) -> Vec<&str> {
        self.0.get(field).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect()
    }

    /// A field as a number; 0 if the line does not have it.
    #[must_use]
    pub fn number(&self, field: &str) -> u64 {
        self.0.get(field).and_then(Value::as_u64).unwrap_or_default()
    }

    /// Whether the invocation failed.
    #[must_use]
    pub fn is_failure(&self) -> bool {
        ["malformed", "conflict", "failed", "unavailable"].contains(&self.text("outcome"))
    }
}

const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const OTHER: Style = AnsiColor::Yellow.on_default();
const QUIET: Style = Style::new().dimmed();
const STRONG: Style = Style::new().bold();

/// Prints the outcome of one event, below its title.
pub fn event(out: &mut dyn Write, title: &str, fields: &LogFields) -> io::Result<()> {
    let outcome = fields.text("outcome");
    let style = match outcome {
        "changed" | "converged" | "reported" => GOOD,
        "planned" | "deferred" => OTHER,
        _ if fields.is_failure() => BAD,
        _ => QUIET,
    };
    let calls = fields.number("arm.calls");
    let requests = match calls {
        0 => String::new(),
        1 => ", 1 request".to_owned(),
        calls => format!(", {calls} requests"),
    };
    writeln!(out, "{STRONG}{}{STRONG:#}", printable(title))?;
    writeln!(out, "  {style}{outcome}{style:#}{requests}")?;
    let plan = fields.list("plan");
    for change in &plan {
        self::change(out, "", change)?;
    }
    for change in fields.list("plan.withheld") {
        self::change(out, "withheld: ", change)?;
    }
    let drift = fields.text("drift.event");
    if !drift.is_empty() {
        let kinds = fields.list("drift.kinds").join(", ");
        let style = if drift == "no_change" { GOOD } else { OTHER };
        writeln!(out, "    {style}{drift}{style:#}{}{kinds}", if kinds.is_empty() { "" } else { ": " })?;
    }
    if fields.is_failure() {
        writeln!(out, "    {BAD}{}{BAD:#}", printable(fields.text("error")))?;
    } else if plan.is_empty() && drift.is_empty() {
        writeln!(out, "    {QUIET}{}{QUIET:#}", printable(fields.text("message")))?;
    }
    Ok(())
}

fn change(out: &mut dyn Write, note: &str, change: &str) -> io::Result<()> {
    let style = match change.chars().next() {
        Some('+') => GOOD,
        Some('-') => BAD,
        _ => OTHER,
    };
    writeln!(out, "    {note}{style}{}{style:#}", printable(change))
}

/// Prints the record sets of all zones, except SOA.
pub fn zones(out: &mut dyn Write, azure: &Azure) -> io::Result<()> {
    let zones = azure.read(|view| {
        let sets = |zone: &String| view.record_sets(zone);
        view.zones().into_iter().map(|zone| (sets(&zone), zone)).collect::<Vec<_>>()
    });
    for (record_sets, zone) in zones {
        writeln!(out, "{STRONG}{zone}{STRONG:#}")?;
        let mut is_empty = true;
        for record_set in record_sets.iter().filter(|set| set.record_type != "SOA") {
            is_empty = false;
            let metadata: String = record_set
                .metadata
                .iter()
                .fold(String::new(), |text, (key, value)| format!("{text} {key}={value}"));
            writeln!(
                out,
                "  {:<3} {} {}{QUIET}{}{QUIET:#}",
                record_set.record_type,
                record_set.name,
                printable(&record_set.values.join(" ")),
                printable(&metadata),
            )?;
        }
        if is_empty {
            writeln!(out, "  {QUIET}empty{QUIET:#}")?;
        }
    }
    Ok(())
}
