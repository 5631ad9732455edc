//! A message of a queue, in the format of the service and in the format for custom handlers.

use base64::{Engine as _, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

/// A received message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct QueueMessage {
    pub(super) id: String,
    pub(super) pop_receipt: String,
    /// The text in the queue.
    pub(super) text: String,
    pub(super) dequeue_count: u64,
    inserted: String,
    expires: String,
    next_visible: String,
}

/// The messages of an answer to Get Messages.
pub(super) fn read_list(document: &str) -> Vec<QueueMessage> {
    let parts = document.split("<QueueMessage>").skip(1);
    let messages = parts.map(|part| QueueMessage {
        id: element(part, "MessageId"),
        pop_receipt: element(part, "PopReceipt"),
        text: element(part, "MessageText"),
        dequeue_count: element(part, "DequeueCount").parse().unwrap_or(0),
        inserted: element(part, "InsertionTime"),
        expires: element(part, "ExpirationTime"),
        next_visible: element(part, "TimeNextVisible"),
    });
    messages.collect()
}

/// The text of the first element of this name; empty if there is none.
fn element(document: &str, name: &str) -> String {
    let content = document.split_once(&format!("<{name}>"));
    let content = content.and_then(|(_, rest)| rest.split_once(&format!("</{name}>")));
    let text = content.map_or("", |(text, _)| text);
    text.replace("&lt;", "<").replace("&gt;", ">").replace("&#xD;", "\r").replace("&amp;", "&")
}

/// The body of Put Message.
pub(super) fn document(text: &str) -> String {
    let text = text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;");
    format!("<QueueMessage><MessageText>{text}</MessageText></QueueMessage>")
}

impl QueueMessage {
    /// The text that a function receives; `None` if its encoding is wrong.
    pub(super) fn decoded(&self, is_base64: bool) -> Option<String> {
        if !is_base64 {
            return Some(self.text.clone());
        }
        let bytes = BASE64_STANDARD.decode(&self.text).ok()?;
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// The body of the request to a custom handler: the text as a JSON string that contains a JSON string literal, and
    /// the properties of the message as `Metadata`, in which members of the message replace those of the host.
    pub(super) fn invocation_body(&self, function: &str, binding: &str, text: &str) -> Value {
        let mut metadata = json!({
            "DequeueCount": self.dequeue_count.to_string(),
            "InsertionTime": iso_date(&self.inserted),
            "ExpirationTime": iso_date(&self.expires),
            "NextVisibleTime": iso_date(&self.next_visible),
            "Id": literal(&self.id),
            "PopReceipt": literal(&self.pop_receipt),
            "sys": {"MethodName": function, "UtcNow": "2026-01-01T00:00:00Z", "RandGuid": "replay"},
        });
        if let (Ok(Value::Object(members)), Some(metadata)) =
            (serde_json::from_str(text), metadata.as_object_mut())
        {
            metadata.extend(metadata_of(members));
        }
        json!({"Data": {binding: literal(text)}, "Metadata": metadata})
    }
}

/// The members of a message in `Metadata`: objects unchanged, scalars in the format of .NET, no lists.
fn metadata_of(members: Map<String, Value>) -> Map<String, Value> {
    let properties = members.into_iter().filter_map(|(name, value)| {
        let value = match value {
            Value::Null | Value::Array(_) => return None,
            Value::Object(_) => value,
            Value::Bool(true) => literal("True"),
            Value::Bool(false) => literal("False"),
            Value::Number(number) => literal(&number.to_string()),
            Value::String(text) => literal(&american_date(&text).unwrap_or(text)),
        };
        (!name.to_ascii_lowercase().ends_with("trigger")).then_some((name, value))
    });
    properties.collect()
}

/// A text as a JSON string literal, inside a JSON string.
fn literal(text: &str) -> Value {
    Value::String(Value::from(text).to_string())
}

/// `Thu, 01 Jan 2026 00:00:00 GMT` as `2026-01-01T00:00:00+00:00`.
fn iso_date(http_date: &str) -> String {
    const MONTHS: [&str; 12] =
        ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let parts: Vec<_> = http_date.split(' ').collect();
    let [_, day, month, year, time, _] = parts.as_slice() else { return String::new() };
    let month = MONTHS.iter().position(|name| name == month).map_or(0, |at| at + 1);
    format!("{year}-{month:02}-{day}T{time}+00:00")
}

/// A date of JSON in the format of .NET's invariant culture: `11/25/2026 00:00:00`.
fn american_date(text: &str) -> Option<String> {
    let date = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    Some(format!(
        "{:02}/{:02}/{:04} {:02}:{:02}:{:02}",
        u8::from(date.month()),
        date.day(),
        date.year(),
        date.hour(),
        date.minute(),
        date.second()
    ))
}
