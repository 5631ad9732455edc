//! The results as a table, as JSON, and as a check of the preflight. Pure.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde_json::{Value, json};

use super::{
    answer::Code,
    verdict::{AnswerStatus, Resolution},
};
use crate::{
    doctor::diagnosis::{Check, Finding, Severity, Title},
    domain::text::printable,
};

const QUIET: Style = Style::new().dimmed();
const GOOD: Style = AnsiColor::Green.on_default();
const BAD: Style = AnsiColor::Red.on_default();

/// Every wrong answer, and a summary. `servers` are the queried servers.
#[must_use]
pub fn table(resolutions: &[Resolution], servers: &str) -> String {
    let mut text = String::new();
    for resolution in wrong(resolutions) {
        let Resolution { question, values, verdict } = resolution;
        let answer = if values.is_empty() { "nothing".to_owned() } else { values.join(" ") };
        let _ = writeln!(
            text,
            "{} {}  {BAD}{}{BAD:#}  {}\n  {QUIET}{}{QUIET:#}",
            question.kind.as_str(),
            question.name,
            verdict.as_str(),
            printable(&answer),
            printable(&explanation(resolution)),
        );
    }
    if !text.is_empty() {
        text.push('\n');
    }
    let count = wrong(resolutions).count();
    let style = if count == 0 { GOOD } else { BAD };
    let right = resolutions.len() - count;
    let _ =
        writeln!(text, "{style}{right} of {} answers of {servers} are correct{style:#}", resolutions.len());
    text
}

/// The results as JSON.
#[must_use]
pub fn json(resolutions: &[Resolution], servers: &str) -> Value {
    let results = resolutions.iter().map(|resolution| {
        let Resolution { question, values, verdict } = resolution;
        let ttl = match verdict {
            AnswerStatus::Stale { ttl } | AnswerStatus::NegativeCached { ttl } => Some(*ttl),
            _ => None,
        };
        json!({
            "group": question.group,
            "name": question.name,
            "type": question.kind.as_str(),
            "result": verdict.as_str(),
            "expected": question.expected,
            "recordSet": question.recorded,
            "answer": values,
            "ttlSeconds": ttl,
        })
    });
    json!({"servers": servers, "results": results.collect::<Vec<_>>()})
}

/// The results as a check of the preflight.
#[must_use]
pub fn check(resolutions: &[Resolution], servers: &str) -> Check {
    let findings = wrong(resolutions).map(|resolution| {
        let Resolution { question, verdict, .. } = resolution;
        let state = match verdict {
            _ if verdict.is_unknown() => Severity::NotChecked,
            AnswerStatus::Stale { .. } | AnswerStatus::NegativeCached { .. } => Severity::Warning,
            _ => Severity::Problem,
        };
        let what = format!(
            "{} {}: {}, {}",
            question.kind.as_str(),
            question.name,
            verdict.as_str(),
            explanation(resolution)
        );
        let impact = "Clients of this DNS server do not reach the container group by this name.";
        Finding { state, what, impact: impact.to_owned(), fix: fix(resolution) }
    });
    Check {
        title: Title { group: "DNS", name: "names resolve to their groups" },
        examined: format!("{} answers of {servers}", resolutions.len()),
        findings: findings.collect(),
    }
}

fn wrong(resolutions: &[Resolution]) -> impl Iterator<Item = &Resolution> {
    resolutions.iter().filter(|resolution| resolution.verdict != AnswerStatus::Resolved)
}

fn explanation(resolution: &Resolution) -> String {
    let question = &resolution.question;
    match &resolution.verdict {
        AnswerStatus::Resolved => "correct".to_owned(),
        AnswerStatus::Stale { ttl } => {
            format!("an old answer is cached for {ttl} s more; correct is {}", question.expected)
        }
        AnswerStatus::NegativeCached { ttl } => {
            format!(
                "the record set contains {}, but a negative answer is cached for {ttl} s more",
                question.expected
            )
        }
        AnswerStatus::RecordSet => {
            format!("the record set itself is wrong; correct is {}", question.expected)
        }
        AnswerStatus::NotLinked { parent: Some(parent) } if !parent.zone.is_empty() => format!(
            "the server does not see the zone {}; {} answers for {}",
            question.zone, parent.server, parent.zone
        ),
        AnswerStatus::NotLinked { .. } => format!("the server does not see the zone {}", question.zone),
        AnswerStatus::Shadowed { server } => {
            format!("{server} answers for the zone {}, not Azure Private DNS", question.zone)
        }
        AnswerStatus::Error(Code::Other(2)) => "the server answered SERVFAIL".to_owned(),
        AnswerStatus::Error(Code::Other(5)) => "the server answered REFUSED".to_owned(),
        AnswerStatus::Error(code) => format!("the server answered with an error ({code:?})"),
        AnswerStatus::Timeout => "no server answered".to_owned(),
    }
}

fn fix(resolution: &Resolution) -> String {
    let zone = &resolution.question.zone;
    match &resolution.verdict {
        AnswerStatus::Resolved => String::new(),
        AnswerStatus::Stale { .. } | AnswerStatus::NegativeCached { .. } => {
            "wait until the TTL expires; a smaller TTL shortens such waits".to_owned()
        }
        AnswerStatus::RecordSet => "aci-dns drift; aci-dns sync".to_owned(),
        AnswerStatus::NotLinked { .. } => format!(
            "link the zone to the network of the server: az network private-dns link vnet create --zone-name {zone} \
             --resource-group <group> --name <name> --virtual-network <network> --registration-enabled false"
        ),
        AnswerStatus::Shadowed { .. } => format!("forward {zone} to 168.63.129.16 in that DNS server"),
        AnswerStatus::Error(_) | AnswerStatus::Timeout => {
            "run the command in the network of the clients, or name their DNS server with --resolver"
                .to_owned()
        }
    }
}
