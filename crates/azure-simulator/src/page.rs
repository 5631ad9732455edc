//! The page at `/`: its files, and the stream of its data.
//!
//! The page only uses the control requests. Its files are in the binary and refer to no other host.
//! A browser is a confused deputy, so requests that a browser may send for a foreign page are refused: a `Host` that
//! is not loopback (DNS rebinding), a foreign `Origin`, a fetch from another site, and a change without
//! `Content-Type: application/json`, which a foreign page cannot send without a preflight. No preflight is granted.

use std::fmt::Write as _;
use std::io;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use http::{HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::faults::{Effect, Fault, When};
use super::messages::{Answer, Request, flat};
use super::private_dns::Zone;
use super::{Azure, World};

const INDEX: &str = include_str!("page/index.html");
const STYLE: &str = include_str!("page/page.css");
const SCRIPT: &str = include_str!("page/page.js");

/// Allows only resources of this server, and no inline script or style.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// The period at which the stream checks for changes, and the period at which it repeats an unchanged state.
const TICK: Duration = Duration::from_millis(200);
const HEARTBEAT: Duration = Duration::from_secs(5);

/// The largest number of groups and of record sets in one state.
const MOST_SHOWN: usize = 200;

impl Azure {
    /// Sets the programs that run with the simulator, for the page: `{"handler": true, "dns": 8053}`.
    pub fn describe(&self, beside: Value) {
        self.world().beside = beside;
    }

    /// Takes the requests of the page for a sweep of the handler, and returns whether there were any.
    #[must_use]
    pub fn take_sweep_request(&self) -> bool {
        std::mem::take(&mut self.world().is_sweep_wanted)
    }

    /// Requests a sweep of the handler.
    pub(super) fn request_sweep(&self) -> Result<Value, String> {
        let mut world = self.world();
        if world.beside.get("handler") != Some(&Value::Bool(true)) {
            return Err("no handler runs in this process; `aci-dns demo` has one".to_owned());
        }
        world.is_sweep_wanted = true;
        Ok(Value::Null)
    }

    /// Ends every stream, so that a server can end.
    pub(super) fn close_streams(&self) {
        self.world().is_closing = true;
    }

    /// The stream of the page's data: events `state` and `entry`.
    pub(super) fn stream(&self, request: &Request) -> Response {
        let number = request.header("last-event-id").and_then(|id| id.parse().ok()).unwrap_or(0);
        let follower = Follower { azure: self.clone(), number, state: Value::Null, sent: None };
        let chunks = stream::unfold(follower, |mut follower| async move {
            loop {
                if follower.sent.is_some() {
                    tokio::time::sleep(TICK).await;
                }
                if follower.azure.world().is_closing {
                    return None;
                }
                let chunk = follower.next_chunk();
                if !chunk.is_empty() {
                    return Some((Ok::<_, io::Error>(Bytes::from(chunk)), follower));
                }
            }
        });
        let mut response = Response::new(Body::from_stream(chunks));
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// One reader of the stream.
struct Follower {
    azure: Azure,
    /// The number of the latest entry that was sent.
    number: u64,
    /// The latest state that was sent.
    state: Value,
    /// When the state was sent.
    sent: Option<Duration>,
}

impl Follower {
    /// The changes since the last call, as server-sent events.
    fn next_chunk(&mut self) -> String {
        let (state, now, entries, number) = {
            let world = self.azure.world();
            // After a restart of the simulator, the numbers of the previous process are invalid.
            let after = if self.number > world.journal.latest() { 0 } else { self.number };
            let (entries, number) = world.journal.after(after);
            (world.page_state(), world.now(), entries, number)
        };
        let mut chunk = String::new();
        let is_due = self.sent.is_none_or(|sent| now >= sent + HEARTBEAT);
        if is_due || state != self.state {
            let mut body = state.clone();
            if let Some(members) = body.as_object_mut() {
                members.insert("now".to_owned(), json!(now.as_secs_f64()));
            }
            let _ = write!(chunk, "event: state\ndata: {body}\n\n");
            (self.state, self.sent) = (state, Some(now));
        }
        for entry in entries {
            let id = entry.get("number").cloned().unwrap_or_default();
            let _ = write!(chunk, "id: {id}\nevent: entry\ndata: {entry}\n\n");
        }
        self.number = number;
        chunk
    }
}

impl World {
    /// All data of the page except the entries of the journal.
    fn page_state(&self) -> Value {
        let now = self.now();
        let groups = self.groups.values().take(MOST_SHOWN).map(|group| {
            let view = group.view(now);
            json!({
                "id": view.id,
                "resourceGroup": view.resource_group,
                "name": view.name,
                "provisioningState": view.provisioning_state,
                "state": view.state,
                "address": view.address.map(|address| address.to_string()),
            })
        });
        let sets = self.zones.values().flat_map(Zone::views).filter(|set| set.record_type != "SOA");
        let sets = sets.take(MOST_SHOWN).map(|set| {
            json!({
                "zone": set.zone,
                "type": set.record_type,
                "name": set.fqdn.trim_end_matches('.'),
                "ttl": set.ttl,
                "values": set.values,
                "owner": set.metadata.get("aci-dns-owner"),
            })
        });
        let all: usize = self.zones.values().map(|zone| zone.record_sets.len().saturating_sub(1)).sum();
        let messages = self.queues.iter().map(|(key, queue)| json!([key.1, queue.messages.len()]));
        let throttles = self.settings.throttles.map(|it| {
            json!({"creates": it.creates, "updates": it.updates, "deletes": it.deletes, "gets": it.gets, "lists": it.lists})
        });
        json!({
            "beside": self.beside,
            "epochSeconds": self.settings.epoch_seconds,
            "groups": groups.collect::<Vec<_>>(),
            "groupCount": self.groups.len(),
            "names": self.names.json(),
            "recordSets": sets.collect::<Vec<_>>(),
            "recordSetCount": all,
            "queues": messages.collect::<Vec<_>>(),
            "faults": self.faults.iter().filter(|fault| fault.is_left(now)).map(fault_body).collect::<Vec<_>>(),
            "throttles": throttles,
        })
    }
}

fn fault_body(fault: &Fault) -> Value {
    json!({
        "method": fault.method.as_ref().map(Method::as_str),
        "path": fault.path_contains,
        "effect": effect_words(&fault.effect),
        "times": Some(fault.times).filter(|times| *times < u64::MAX),
        "until": fault.until.map(|until| until.as_secs_f64()),
    })
}

/// A short description of an effect.
pub(super) fn effect_words(effect: &Effect) -> String {
    let place = |when: &When| match when {
        When::Before => "before its effect",
        When::After => "after its effect",
    };
    match effect {
        Effect::Answer(_, answer) => format!("answered {} {}", answer.status, answer.code),
        Effect::Drop(when) => format!("connection lost {}", place(when)),
        Effect::Delay(_, duration) => format!("delayed by {} s", duration.as_secs_f64()),
        Effect::Hold(..) => "held".to_owned(),
        Effect::UntrustedCertificate => "certificate not trusted".to_owned(),
        Effect::Stale(_) => "answered by a stale replica".to_owned(),
        Effect::Truncate(_) => "answer cut off".to_owned(),
        Effect::ReplaceBody(_) => "answered with another body".to_owned(),
        Effect::All(effects) => effects.iter().map(effect_words).collect::<Vec<_>>().join(", "),
    }
}

/// A file of the page.
pub(super) fn file(request: &Request) -> Option<Answer> {
    let (content_type, text) = match request.path.as_str() {
        "/" => ("text/html; charset=utf-8", INDEX),
        "/simulator/page.css" => ("text/css; charset=utf-8", STYLE),
        "/simulator/page.js" => ("text/javascript; charset=utf-8", SCRIPT),
        _ => return None,
    };
    (request.method == Method::GET)
        .then(|| secured(Answer::text(text.to_owned()).with(StatusCode::OK, content_type)))
}

/// Adds headers that forbid foreign content in the page, and embedding of the page in foreign pages.
pub(super) fn secured(answer: Answer) -> Answer {
    answer
        .header("content-security-policy", POLICY)
        .header("x-content-type-options", "nosniff")
        .header("referrer-policy", "no-referrer")
        .header("cache-control", "no-store")
}

/// The refusal of a request that a browser may have sent for a foreign page.
pub(super) fn refuse_foreign(request: &Request) -> Option<Answer> {
    let forbidden = |message: &str| Some(flat(StatusCode::FORBIDDEN, "Forbidden", message));
    let is_foreign = |origin: &str| !origin.split_once("://").is_some_and(|(_, host)| is_loopback(host));
    if request.header("origin").is_some_and(is_foreign) {
        return forbidden("The simulator refuses requests of other origins.");
    }
    if !["/", "/simulator"].contains(&request.path.as_str()) && !request.is_for_control() {
        return None;
    }
    if request.header("host").is_some_and(|host| !is_loopback(host)) {
        return forbidden("The simulator answers only to 127.0.0.1, localhost and [::1].");
    }
    if request.header("sec-fetch-site") == Some("cross-site") && request.is_for_control() {
        return forbidden("The simulator refuses requests of other sites.");
    }
    let is_change = [Method::POST, Method::PUT].contains(&request.method);
    let content_type = request.header("content-type").and_then(|kind| kind.split(';').next()).map(str::trim);
    if is_change && !content_type.is_some_and(|kind| kind.eq_ignore_ascii_case("application/json")) {
        let message = "A change requires the header Content-Type: application/json.";
        return Some(flat(StatusCode::UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType", message));
    }
    None
}

/// Whether a host, perhaps with a port, is this machine.
fn is_loopback(host: &str) -> bool {
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    ["127.0.0.1", "localhost", "[::1]"].iter().any(|ours| name.eq_ignore_ascii_case(ours))
}
