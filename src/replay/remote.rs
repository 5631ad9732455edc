//! Sends events to a running handler or Functions host.
//!
//! A URL without a path is a handler, which receives the requests of a Functions host. Any other URL is the Event Grid
//! endpoint of a Functions host (`http://localhost:7071/runtime/webhooks/EventGrid?functionName=...`), which
//! takes events as Event Grid delivers them.

use std::io::{self, Write};

use anstyle::AnsiColor;
use serde_json::{Value, json};
use url::Url;

use super::{
    OutcomeCounts,
    files::{EventFiles, FoundEvent},
    stage::{RECONCILE, envelope},
};
use crate::{azure::http_transport, domain::text::printable};

/// Why an event cannot be sent.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// There is no HTTP client.
    #[error("the HTTP client cannot be set up")]
    Client(#[source] axum::BoxError),
    /// The handler did not answer.
    #[error("{url} did not answer the event {place}")]
    NoAnswer {
        /// The URL of the handler.
        url: Url,
        /// The place of the event.
        place: String,
        /// The cause.
        source: reqwest::Error,
    },
    /// The output cannot be written.
    #[error("the output cannot be written")]
    Output(#[from] io::Error),
}

/// The URL of a handler; `localhost:8080` means `http://localhost:8080/`.
pub fn handler(text: &str) -> Result<Url, String> {
    let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
    let url = Url::parse(&url).map_err(|error| error.to_string())?;
    if ["http", "https"].contains(&url.scheme()) && url.has_host() {
        return Ok(url);
    }
    Err("it must be a URL such as http://127.0.0.1:8080".to_owned())
}

/// Sends the events one after the other, and prints the responses.
pub async fn send(
    events: &EventFiles,
    handler: &Url,
    out: &mut dyn Write,
) -> Result<OutcomeCounts, RemoteError> {
    let client = http_transport::http_client(None).map_err(RemoteError::Client)?;
    let is_handler = handler.path() == "/";
    let mut url = handler.clone();
    if is_handler {
        url.set_path(RECONCILE);
    }
    let mut tally = OutcomeCounts::default();
    tally.unreadable(&events.unreadable, out)?;
    for FoundEvent { place, event } in &events.found {
        let request = if is_handler {
            client.post(url.clone()).body(envelope(RECONCILE, event).to_string())
        } else {
            client.post(url.clone()).header("aeg-event-type", "Notification").body(json!([event]).to_string())
        };
        let request = request.header("content-type", "application/json; charset=utf-8");
        let no_answer = |source: reqwest::Error| RemoteError::NoAnswer {
            url: url.clone(),
            place: place.clone(),
            source: source.without_url(),
        };
        let response = request.send().await.map_err(no_answer)?;
        let status = response.status();
        let text = response.text().await.map_err(no_answer)?;
        let style = if status.is_success() { AnsiColor::Green } else { AnsiColor::Red }.on_default();
        writeln!(out, "{}\n  {style}{status}{style:#}", printable(place))?;
        for line in split_sentences(&text) {
            writeln!(out, "    {}", printable(&line))?;
        }
        tally.count(if status.is_success() { "acknowledged" } else { "failed" }, !status.is_success());
    }
    tally.print(out)?;
    Ok(tally)
}

/// The sentences of a response: the log sentences of a handler, the message of an error, or the text itself.
fn split_sentences(text: &str) -> Vec<String> {
    let answer: Value = serde_json::from_str(text).unwrap_or(Value::Null);
    let logs = answer.get("Logs").and_then(Value::as_array).into_iter().flatten();
    let message = answer.pointer("/error/message");
    let sentences: Vec<_> = logs.chain(message).filter_map(Value::as_str).map(str::to_owned).collect();
    if sentences.is_empty() && !text.trim().is_empty() && answer.get("Logs").is_none() {
        return vec![text.trim().chars().take(500).collect()];
    }
    sentences
}
