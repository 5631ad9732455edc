//! A request in process and its answer, for the tests of this folder.

use http::{HeaderMap, Method, StatusCode, header};
use serde_json::Value;
use tower::ServiceExt;

use super::{Azure, ConnectionDropped, Settings};

pub(super) const GROUPS: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-spoke1\
                                 /providers/Microsoft.ContainerInstance/containerGroups";
pub(super) const ZONES: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-dns\
                                /providers/Microsoft.Network/privateDnsZones";
pub(super) const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";

/// An Azure without tokens, with the resource groups of the constants above.
pub(super) fn azure(settings: Settings) -> Azure {
    let azure = Azure::new(Settings { require_token: false, ..settings });
    azure.create_resource_group(SUBSCRIPTION, "rg-spoke1");
    azure.create_resource_group(SUBSCRIPTION, "rg-dns");
    azure
}

/// An answer with its whole body.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
    pub(super) dropped: bool,
}

impl Answered {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Status and error code, in either format.
    pub(super) fn error(&self) -> (u16, String) {
        let body = self.json();
        let code = body["code"].as_str().or_else(|| body["error"]["code"].as_str()).unwrap();
        (self.status.as_u16(), code.to_owned())
    }
}

/// Sends a request. A text is sent unchanged, any other body as JSON. Adds a supported api-version if the path has none.
pub(super) async fn send(
    azure: &Azure,
    method: Method,
    path: &str,
    headers: &[(&'static str, &str)],
    body: Value,
) -> Answered {
    let path = if path.contains("api-version") || path.starts_with("/simulator/") {
        path.to_owned()
    } else {
        let is_for_groups = path.to_ascii_lowercase().contains("/providers/microsoft.containerinstance/");
        let version = if is_for_groups { "2023-05-01" } else { "2024-06-01" };
        format!("{path}{}api-version={version}", if path.contains('?') { '&' } else { '?' })
    };
    let mut request =
        http::Request::builder().method(method).uri(&path).header(header::HOST, "127.0.0.1:4711");
    if path.starts_with("/simulator") && !headers.iter().any(|(name, _)| *name == "content-type") {
        request = request.header(header::CONTENT_TYPE, "application/json");
    }
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = match body {
        Value::Null => String::new(),
        Value::String(text) => text,
        body => body.to_string(),
    };
    let response = azure.router().oneshot(request.body(axum::body::Body::from(body)).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let dropped = parts.extensions.get::<ConnectionDropped>().is_some();
    let text = match axum::body::to_bytes(body, usize::MAX).await {
        Ok(bytes) => String::from_utf8(bytes.to_vec()).unwrap(),
        Err(_) => String::new(),
    };
    Answered { status: parts.status, headers: parts.headers, text, dropped }
}

pub(super) async fn get(azure: &Azure, path: &str) -> Answered {
    send(azure, Method::GET, path, &[], Value::Null).await
}

pub(super) async fn put(azure: &Azure, path: &str, body: Value) -> Answered {
    send(azure, Method::PUT, path, &[], body).await
}
