//! Log lines for people, which a terminal shows instead of JSON.

use std::fmt::Write as _;

use anstyle::{AnsiColor, Style};
use serde_json::{Map, Value};

use crate::domain::text::printable;

const QUIET: Style = Style::new().dimmed();

/// A log line with its level first, then the time, the message, and the other members by name. A line that is not a JSON
/// object is shown unchanged, without control characters.
#[must_use]
pub fn readable(line: &str) -> String {
    let Ok(Value::Object(mut members)) = serde_json::from_str(line) else {
        return printable(line).into_owned();
    };
    let mut take = |key: &str| members.remove(key).map(|value| text(&value)).unwrap_or_default();
    let (level, time, message) = (take("level"), take("timestamp"), take("message"));
    let style = match level.as_str() {
        "error" => AnsiColor::Red.on_default().bold(),
        "warn" => AnsiColor::Yellow.on_default().bold(),
        _ => Style::new().bold(),
    };
    // The time of day to the second. The date is today's.
    let time = time.split_once('T').map_or("", |(_, time)| time.get(..8).unwrap_or(time));
    let mut shown = format!("{style}{level:<5}{style:#} {QUIET}{time}{QUIET:#} {}", printable(&message));
    for (key, value) in &rest(members) {
        // Writing to a text cannot fail.
        let _ = write!(shown, " {QUIET}{key}={}{QUIET:#}", printable(value));
    }
    shown
}

/// The members without the name of the module, which is for developers.
fn rest(members: Map<String, Value>) -> Vec<(String, String)> {
    let others = members.into_iter().filter(|(key, _)| key != "target");
    others.map(|(key, value)| (key, text(&value))).collect()
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_shows_level_time_message_and_the_rest() {
        let line = r#"{"timestamp":"2026-01-02T03:04:05.678Z","level":"warn","message":"retrying","target":"aci_dns::arm","status":429,"path":"/a"}"#;
        let shown = anstream::adapter::strip_str(&readable(line)).to_string();
        assert_eq!(shown, "warn  03:04:05 retrying path=/a status=429");
    }

    #[test]
    fn text_of_azure_cannot_control_the_terminal() {
        let line = r#"{"level":"error","message":"a\u001b[2Jb","reason":"c\u0007"}"#;
        let shown = anstream::adapter::strip_str(&readable(line)).to_string();
        assert_eq!(shown, r"error  a\u{1b}[2Jb reason=c\u{7}");
        assert_eq!(readable("no\u{1b}json"), r"no\u{1b}json");
    }
}
