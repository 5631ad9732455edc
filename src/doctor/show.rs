//! Formats a diagnosis: as a table, with colors that the writer may remove, and as JSON.

use std::{collections::BTreeSet, fmt::Write as _};

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::{
    checks::NO_TOKEN,
    diagnosis::{Check, Diagnosis, FAILED_READ, Severity, count},
};
use crate::domain::text::printable;

const STRONG: Style = Style::new().bold();
const QUIET: Style = Style::new().dimmed();

fn style(state: Severity) -> Style {
    let color = match state {
        Severity::Ok => AnsiColor::Green,
        Severity::Warning | Severity::NotChecked => AnsiColor::Yellow,
        Severity::Problem => AnsiColor::Red,
    };
    color.on_default()
}

/// One line for each check, by group, followed by its findings.
#[must_use]
pub fn table(diagnosis: &Diagnosis) -> String {
    let width =
        diagnosis.checks.iter().map(|check| check.title.name.chars().count()).max().unwrap_or_default();
    let mut text = String::new();
    let mut group = "";
    let is_without_token = |check: &&Check| check.findings.iter().any(|finding| finding.what == NO_TOKEN);
    let without_token = diagnosis.checks.iter().filter(is_without_token).count();
    let mut causes = BTreeSet::new();
    for check in diagnosis.checks.iter().filter(|check| !is_without_token(check)) {
        if check.title.group != group {
            group = check.title.group;
            _ = writeln!(text, "{STRONG}{group}{STRONG:#}");
        }
        let state = check.state();
        let style_of_state = style(state);
        let (state, name) = (state.as_str(), check.title.name);
        let examined = if check.examined.is_empty() {
            String::new()
        } else {
            format!("{QUIET}{}{QUIET:#}", printable(&check.examined))
        };
        let line = format!("  {style_of_state}{state:<11}{style_of_state:#}  {name:<width$}  {examined}");
        _ = writeln!(text, "{}", line.trim_end());
        for finding in &check.findings {
            let style = style(finding.state);
            if finding.state == Severity::NotChecked && !causes.insert(cause(&finding.what)) {
                // The previous finding shows the same cause, impact and fix.
                let what = finding.what.strip_suffix(cause(&finding.what)).unwrap_or(&finding.what);
                let what = if what.is_empty() { "" } else { what };
                _ = writeln!(
                    text,
                    "    {style}{}{style:#}: {}as above",
                    finding.state.as_str(),
                    printable(what)
                );
                continue;
            }
            _ = writeln!(
                text,
                "    {style}{}{style:#}: {}",
                finding.state.as_str(),
                printable(&finding.what)
            );
            _ = writeln!(text, "      impact: {}", printable(&finding.impact));
            _ = writeln!(text, "      fix:    {}", printable(&finding.fix));
        }
    }
    if without_token > 0 {
        _ = writeln!(text, "\nno sign-in: {} could not run", count(without_token, "check"));
    }
    _ = writeln!(text, "\n{}", summary(diagnosis));
    text
}

/// The cause of a failed read: `cannot read this zone: <cause>`.
fn cause(what: &str) -> &str {
    what.strip_prefix(FAILED_READ).and_then(|error| error.split_once(": ")).map_or(what, |(_, cause)| cause)
}

/// A summary in one sentence.
fn summary(diagnosis: &Diagnosis) -> String {
    let counts = Severity::ALL.map(|state| (diagnosis.count(state), state.as_str()));
    let counts = counts.into_iter().filter(|(count, _)| *count > 0);
    let counts: Vec<String> = counts.map(|(count, word)| format!("{count} {word}")).collect();
    let requests = count(usize::try_from(diagnosis.requests).unwrap_or(usize::MAX), "request");
    format!("{}: {} ({requests})", count(diagnosis.checks.len(), "check"), counts.join(", "))
}

/// The diagnosis as JSON. Its keys are part of the interface and differ from the labels of the table.
#[must_use]
pub fn json(diagnosis: &Diagnosis) -> Value {
    let checks = diagnosis.checks.iter().map(|check| {
        let findings = check.findings.iter().map(|finding| {
            json!({
                "state": finding.state.as_str(),
                "what": finding.what,
                "breaks": finding.impact,
                "fix": finding.fix,
            })
        });
        json!({
            "group": check.title.group,
            "check": check.title.name,
            "state": check.state().as_str(),
            "looked": check.examined,
            "findings": findings.collect::<Vec<_>>(),
        })
    });
    json!({
        "state": diagnosis.state().as_str(),
        "checks": checks.collect::<Vec<_>>(),
        "summary": {
            "ok": diagnosis.count(Severity::Ok),
            "warning": diagnosis.count(Severity::Warning),
            "notChecked": diagnosis.count(Severity::NotChecked),
            "problem": diagnosis.count(Severity::Problem),
            "requests": diagnosis.requests,
        },
    })
}
