//! The HTTP client of the Functions host: its headers, its framing, and its judgment of an answer.

use serde_json::Value;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader},
    net::{
        TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
};

/// The trace that every invocation is part of.
pub(crate) const TRACE_ID: &str = "bb2bd5eef54cb15a1506d0326d2489e7";

/// How a body is sent.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Framing {
    /// In several chunks, like the host in Azure.
    Chunked,
    /// Like the host under Core Tools.
    ContentLength,
}

/// A connection of the host's pool.
pub(crate) struct Connection {
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
}

/// An answer as received.
#[derive(Debug)]
pub(crate) struct Response {
    pub(crate) status: u16,
    content_type: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// The host's judgment of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// The invocation succeeded, with these logs.
    Succeeded(Vec<String>),
    /// The invocation failed with this status; the code comes from the body, which the host does not read.
    Failed(u16, String),
    /// The invocation failed although the status was successful, a redirect, or without an end.
    Unusable(String),
}

impl Connection {
    pub(crate) async fn open(port: u16) -> Self {
        let (read, write) = TcpStream::connect(("127.0.0.1", port)).await.unwrap().into_split();
        Self { read: BufReader::new(read), write }
    }

    pub(crate) async fn get(&mut self, path: &str) -> Response {
        let head = format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n");
        self.write.write_all(head.as_bytes()).await.unwrap();
        self.response().await
    }

    pub(crate) async fn post(
        &mut self,
        path: &str,
        invocation: &str,
        body: &[u8],
        framing: Framing,
    ) -> Response {
        self.send(path, invocation, body, framing).await;
        self.response().await
    }

    pub(crate) async fn send(&mut self, path: &str, invocation: &str, body: &[u8], framing: Framing) {
        let mut request = Vec::new();
        match framing {
            Framing::ContentLength => {
                request.extend(head(path, invocation, &format!("Content-Length: {}", body.len())));
                request.extend(body);
            }
            Framing::Chunked => {
                request.extend(head(path, invocation, "Transfer-Encoding: chunked"));
                for chunk in body.chunks(4096) {
                    request.extend(format!("{:x}\r\n", chunk.len()).into_bytes());
                    request.extend(chunk);
                    request.extend(b"\r\n");
                }
                request.extend(b"0\r\n\r\n");
            }
        }
        // A handler may answer and close before it has read everything.
        let _ = self.write.write_all(&request).await;
    }

    /// Sends the head of an invocation and none of its body.
    pub(crate) async fn send_head(&mut self, path: &str, invocation: &str, length: usize) {
        let head = head(path, invocation, &format!("Content-Length: {length}"));
        self.write.write_all(&head).await.unwrap();
    }

    pub(crate) async fn response(&mut self) -> Response {
        let line = self.line().await;
        let status =
            line.split(' ').nth(1).unwrap_or_else(|| panic!("no status in {line:?}")).parse().unwrap();
        let (mut length, mut content_type) = (0, None);
        loop {
            let line = self.line().await.to_ascii_lowercase();
            let Some((name, value)) = line.split_once(':') else { break };
            match name {
                "content-length" => length = value.trim().parse().unwrap(),
                "content-type" => content_type = Some(value.trim().to_owned()),
                _ => {}
            }
        }
        let mut body = vec![0; length];
        self.read.read_exact(&mut body).await.unwrap();
        Response { status, content_type, body }
    }

    async fn line(&mut self) -> String {
        let mut line = String::new();
        self.read.read_line(&mut line).await.unwrap();
        line.trim_end().to_owned()
    }

    /// Whether the other side has closed the connection.
    pub(crate) async fn is_closed(&mut self) -> bool {
        self.read.read(&mut [0]).await.unwrap() == 0
    }
}

fn head(path: &str, invocation: &str, framing: &str) -> Vec<u8> {
    let head = format!(
        "POST {path} HTTP/1.1\r\n\
         Host: 127.0.0.1\r\n\
         X-Azure-Functions-HostVersion: 4.1052.200.26370\r\n\
         X-Azure-Functions-InvocationId: {invocation}\r\n\
         User-Agent: Azure-Functions-Host/4.1052.200.26370\r\n\
         traceparent: 00-{TRACE_ID}-d3f54c84c7034d76-00\r\n\
         Content-Type: application/json; charset=utf-8\r\n\
         {framing}\r\n\r\n"
    );
    head.into_bytes()
}

impl Response {
    /// The host's judgment of the answer. Also checks that every failure contains its reason as JSON.
    pub(crate) fn judge(&self) -> Verdict {
        let unusable = |reason: &str| Verdict::Unusable(format!("{reason}: {self:?}"));
        let media_type = self.content_type.as_deref().and_then(|value| value.split(';').next());
        if !matches!(media_type, Some("application/json" | "text/json")) {
            return unusable("not JSON by its type");
        }
        let body: Value = match serde_json::from_slice(&self.body) {
            Ok(body @ Value::Object(_)) => body,
            Ok(_) => return unusable("not an object, or null, which never ends"),
            Err(_) => return unusable("not JSON, or empty, which never ends"),
        };
        match self.status {
            200..=299 => {
                let is_plain = body["Outputs"].is_object() && body["ReturnValue"].is_null();
                let logs = body["Logs"].as_array().into_iter().flatten().map(|line| line.as_str());
                match logs.map(|line| line.map(str::to_owned)).collect() {
                    Some(logs) if is_plain => Verdict::Succeeded(logs),
                    _ => unusable("not the result of an invocation"),
                }
            }
            300..=399 => unusable("redirected"),
            status => match (&body["error"]["code"], &body["error"]["message"]) {
                (Value::String(code), Value::String(_)) => Verdict::Failed(status, code.clone()),
                _ => unusable("without a reason"),
            },
        }
    }
}
