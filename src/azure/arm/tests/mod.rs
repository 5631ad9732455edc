//! A fake of Azure that gives prepared answers and records requests. Time is paused.

mod answers;
mod container_groups;
mod failures;
mod inspections;
mod lists;
mod network;

use std::{
    collections::VecDeque,
    io,
    net::Ipv4Addr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::domain::{
    dns::{Content, ETag, Metadata, Precondition},
    resource_id::ContainerGroupId,
};

const TOKEN: &str = "secret-token";
const SUBSCRIPTION: &str =
    "/subscriptions/s1/resourceGroups/rg-dns/providers/Microsoft.Network/privateDnsZones";

/// The answer to one request.
#[derive(Clone)]
enum Reply {
    Answer(u16, Vec<(&'static str, String)>, Bytes),
    /// The connection breaks before the answer.
    Lost,
    /// The connection breaks during the answer.
    Truncated(u16),
    /// The connection fails.
    Unreachable,
    /// The host presents a certificate that cannot be verified.
    Untrusted,
    /// No answer ever arrives.
    Silence,
}

/// One request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    line: String,
    headers: http::HeaderMap,
    body: Bytes,
}

/// Gives the prepared answers in order, then the last one again and again.
#[derive(Clone)]
struct Azure {
    replies: Arc<Mutex<VecDeque<Reply>>>,
    seen: Arc<Mutex<Vec<Seen>>>,
}

impl Azure {
    fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self { replies: Arc::new(Mutex::new(replies.into_iter().collect())), seen: Arc::default() }
    }

    fn http_transport(&self) -> HttpTransport {
        let azure = self.clone();
        HttpTransport::embedded(tower::service_fn(move |request| azure.clone().answer(request)))
    }

    async fn answer(self, request: Request<Body>) -> Result<Response<Body>, io::Error> {
        let (parts, body) = request.into_parts();
        let line = format!("{} {}", parts.method, parts.uri.path_and_query().unwrap());
        let body = body.collect().await.unwrap().to_bytes();
        self.seen.lock().unwrap().push(Seen { line, headers: parts.headers, body });
        let reply = {
            let mut replies = self.replies.lock().unwrap();
            if replies.len() > 1 { replies.pop_front().unwrap() } else { replies[0].clone() }
        };
        let answer = |status, headers: Vec<(&str, String)>, body| {
            let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
            for (name, value) in headers {
                response = response.header(name, value);
            }
            Ok(response.body(body).unwrap())
        };
        match reply {
            Reply::Answer(status, headers, body) => answer(status, headers, Body::from(body)),
            Reply::Truncated(status) => {
                let frames = [Ok("{\"na"), Err(io::Error::from(io::ErrorKind::UnexpectedEof))];
                answer(status, vec![], Body::from_stream(futures::stream::iter(frames)))
            }
            Reply::Lost => Err(io::ErrorKind::ConnectionReset.into()),
            Reply::Unreachable => Err(io::ErrorKind::ConnectionRefused.into()),
            Reply::Untrusted => {
                let error = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
                Err(io::Error::new(io::ErrorKind::InvalidData, error))
            }
            Reply::Silence => std::future::pending().await,
        }
    }

    fn arm(&self) -> Arm {
        arm(self.http_transport(), "https://management.azure.com/")
    }

    /// An invocation with a usual amount of time.
    fn writer(&self) -> Writer {
        self.arm().invocation(Instant::now() + Duration::from_secs(25))
    }

    fn lines(&self) -> Vec<String> {
        self.seen.lock().unwrap().iter().map(|seen| seen.line.clone()).collect()
    }
}

fn arm(http_transport: HttpTransport, endpoint: &str) -> Arm {
    let settings = ArmSettings {
        endpoint: endpoint.parse().unwrap(),
        scope: "https://management.azure.com/.default".to_owned(),
        jitter_seed: 1,
    };
    Arm::new(settings, http_transport, Tokens::fixed(TOKEN))
}

fn reply(status: u16, body: &Value) -> Reply {
    Reply::Answer(status, vec![], body.to_string().into())
}

/// An error as Resource Manager wraps it.
fn error(status: u16, code: &str) -> Reply {
    reply(status, &json!({"error": {"code": code, "message": "no"}}))
}

fn throttled(status: u16, header: &'static str, value: &str) -> Reply {
    Reply::Answer(status, vec![(header, value.to_owned())], r#"{"code":"TooManyRequests"}"#.into())
}

fn web() -> Value {
    json!({
        "id": format!("{SUBSCRIPTION}/spoke1.contoso.internal/A/web"),
        "name": "web",
        "type": "Microsoft.Network/privateDnsZones/A",
        "etag": "e1",
        "properties": {
            "fqdn": "web.spoke1.contoso.internal.",
            "ttl": 60,
            "isAutoRegistered": false,
            "metadata": {"aci-dns-owner": "s1/rg/web", "costs": "42"},
            "aRecords": [{"ipv4Address": "10.1.5.4"}]
        }
    })
}

fn web_content() -> Content<Ipv4Addr> {
    Content {
        ttl: 60,
        records: vec![Ipv4Addr::new(10, 1, 5, 4)],
        metadata: Metadata::from(
            [("aci-dns-owner", "s1/rg/web"), ("costs", "42")].map(|(key, text)| (key.into(), text.into())),
        ),
    }
}

fn zone() -> Zone {
    Zone {
        subscription: "s1".into(),
        resource_group: "rg-dns".into(),
        name: "spoke1.contoso.internal".parse().unwrap(),
    }
}

fn name() -> RelativeName {
    "web".parse().unwrap()
}

fn group_id() -> ContainerGroupId {
    ContainerGroupId::new("s1", "rg-spoke1", "web").unwrap()
}

/// An error with all its causes.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    std::iter::successors(Some(error), |error| error.source())
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join(": ")
}
