//! A request, an answer, and the two formats of errors.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use serde_json::{Value, json};

use super::CallView;
use super::history::Staleness;

const BODY_LIMIT: usize = 4 * 1024 * 1024;

/// A request with its whole body.
#[derive(Debug)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    raw_query: String,
    /// Names in lower case, values decoded.
    query: BTreeMap<String, String>,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    /// Scheme and host that the client used, for absolute links in answers.
    pub(super) origin: String,
    /// The staleness of the replica that answers its reads.
    pub(super) staleness: Option<Staleness>,
}

impl Request {
    /// Reads a request that arrived over this scheme.
    pub(super) async fn read(request: axum::extract::Request, scheme: &str) -> Option<Self> {
        let (parts, body) = request.into_parts();
        let body = axum::body::to_bytes(body, BODY_LIMIT).await.ok()?;
        let raw_query = parts.uri.query().unwrap_or_default().to_owned();
        let query = url::form_urlencoded::parse(raw_query.as_bytes())
            .map(|(name, value)| (name.to_ascii_lowercase(), value.into_owned()))
            .collect();
        let host = parts.uri.authority().map(ToString::to_string).or_else(|| {
            parts.headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(str::to_owned)
        });
        let origin = match (parts.uri.scheme_str(), host) {
            (Some(scheme), Some(host)) => format!("{scheme}://{host}"),
            (None, Some(host)) => format!("{scheme}://{host}"),
            (_, None) => "https://management.azure.com".to_owned(),
        };
        Some(Self {
            method: parts.method,
            path: parts.uri.path().to_owned(),
            raw_query,
            query,
            headers: parts.headers,
            body,
            origin,
            staleness: None,
        })
    }

    pub(super) fn view(&self, sequence: u64, elapsed: Duration) -> CallView {
        CallView {
            sequence,
            elapsed,
            method: self.method.clone(),
            path: self.path.clone(),
            query: self.raw_query.clone(),
            if_match: self.header("if-match").map(str::to_owned),
            if_none_match: self.header("if-none-match").map(str::to_owned),
        }
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// A parameter of the query, with its name in any case.
    pub(super) fn query(&self, name: &str) -> Option<&str> {
        self.query.get(&name.to_ascii_lowercase()).map(String::as_str)
    }

    /// All parameters of the query, by name in lower case.
    pub(super) fn parameters(&self) -> impl Iterator<Item = (&str, &str)> {
        self.query.iter().map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The decoded segments of the path.
    pub(super) fn segments(&self) -> Vec<String> {
        let decode = |segment: &str| {
            // A segment is decoded like a query value, except that `+` is itself.
            let pair = format!("s={}", segment.replace('+', "%2B").replace('&', "%26"));
            url::form_urlencoded::parse(pair.as_bytes()).next().map(|(_, value)| value.into_owned())
        };
        self.path.split('/').filter(|segment| !segment.is_empty()).filter_map(decode).collect()
    }

    fn starts_with(&self, prefix: &str) -> bool {
        self.path.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix))
    }

    pub(super) fn is_for_control(&self) -> bool {
        self.starts_with("/simulator/")
    }

    pub(super) fn is_for_identity(&self) -> bool {
        self.path.eq_ignore_ascii_case("/msi/token")
    }

    /// Whether a stale replica answers its reads.
    pub(super) fn is_read_at(&self, staleness: Staleness) -> bool {
        self.method == Method::GET && self.staleness == Some(staleness)
    }

    /// The body as JSON.
    pub(super) fn json(&self) -> Result<Value, Answer> {
        serde_json::from_slice(&self.body).map_err(|error| {
            let message =
                format!("The request content was invalid and could not be deserialized: '{error}'.");
            wrapped(StatusCode::BAD_REQUEST, "InvalidRequestContent", &message)
        })
    }

    /// The link to the next page of a list, after this item.
    pub(super) fn next_link(&self, skip_token: &str) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in url::form_urlencoded::parse(self.raw_query.as_bytes()) {
            if !name.eq_ignore_ascii_case("$skiptoken") {
                query.append_pair(&name, &value);
            }
        }
        query.append_pair("$skipToken", skip_token);
        format!("{}{}?{}", self.origin, self.path, query.finish())
    }

    /// A list, or the page of it that `$top` requests. The position of a page is the number of items before it.
    pub(super) fn page(&self, mut items: Vec<Value>) -> Answer {
        let mut body = json!({});
        if let Some(top) = self.query("$top").and_then(|top| top.parse::<usize>().ok()).filter(|top| *top > 0)
        {
            let skipped = self.query("$skiptoken").and_then(|token| token.parse::<usize>().ok()).unwrap_or(0);
            let is_last = items.len() <= skipped.saturating_add(top);
            items = items.into_iter().skip(skipped).take(top).collect();
            if let (false, Some(body)) = (is_last, body.as_object_mut()) {
                body.insert("nextLink".to_owned(), self.next_link(&(skipped + top).to_string()).into());
            }
        }
        if let Some(body) = body.as_object_mut() {
            body.insert("value".to_owned(), Value::Array(items));
        }
        Answer::json(StatusCode::OK, &body)
    }
}

/// An answer.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: Vec<(HeaderName, String)>,
    pub(super) body: Bytes,
    pub(super) took_effect: bool,
}

impl Answer {
    pub(super) fn empty(status: StatusCode) -> Self {
        Self { status, headers: Vec::new(), body: Bytes::new(), took_effect: false }
    }

    pub(super) fn json(status: StatusCode, body: &Value) -> Self {
        let body = Bytes::from(body.to_string());
        Self { body, ..Self::empty(status) }.header("content-type", "application/json; charset=utf-8")
    }

    pub(super) fn text(body: String) -> Self {
        let body = Bytes::from(body);
        Self { body, ..Self::empty(StatusCode::OK) }.header("content-type", "text/plain; charset=utf-8")
    }

    pub(super) fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((HeaderName::from_static(name), value.into()));
        self
    }

    pub(super) fn has_header(&self, name: &str) -> bool {
        self.headers.iter().any(|(it, _)| it == name)
    }

    /// A header whose name is known only at run time; left out if the name is invalid.
    pub(super) fn named_header(mut self, name: &str, value: &str) -> Self {
        if let Ok(name) = HeaderName::from_bytes(name.as_bytes()) {
            self.headers.push((name, value.to_owned()));
        }
        self
    }

    /// The same body with another status and content type.
    pub(super) fn with(mut self, status: StatusCode, content_type: &'static str) -> Self {
        self.headers.retain(|(name, _)| name != header::CONTENT_TYPE);
        Self { status, ..self }.header("content-type", content_type)
    }

    /// Marks that the request changed something.
    pub(super) fn effective(self) -> Self {
        Self { took_effect: true, ..self }
    }

    pub(super) fn into_response(self) -> Response {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        for (name, value) in self.headers {
            if let Ok(value) = HeaderValue::from_str(&value) {
                response.headers_mut().insert(name, value);
            }
        }
        response
    }
}

/// A member of an object; null if it is missing.
pub(super) fn field<'a>(value: &'a Value, name: &str) -> &'a Value {
    value.get(name).unwrap_or(&Value::Null)
}

/// An error in the format of Resource Manager and of most services.
pub(super) fn wrapped(status: StatusCode, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!({"error": {"code": code, "message": message}}))
}

/// An error that Resource Manager itself finds, before a provider sees the request.
pub(super) fn gateway(status: StatusCode, code: &str, message: &str) -> Answer {
    wrapped(status, code, message).header("x-ms-failure-cause", "gateway")
}

/// An error in the form of Private DNS.
pub(super) fn flat(status: StatusCode, code: &str, message: &str) -> Answer {
    Answer::json(status, &json!({"code": code, "message": message}))
}

/// A record set or a link of a zone that does not exist.
pub(super) fn parent_not_found(method: &Method, below: &str, zone: &str) -> Answer {
    let action = match *method {
        Method::GET => "read",
        Method::DELETE => "delete",
        _ => "write",
    };
    let message = format!(
        "Failed to perform '{action}' on resource(s) of type 'privateDnsZones/{below}', because the parent resource \
         '{zone}' could not be found."
    );
    gateway(StatusCode::NOT_FOUND, "ParentResourceNotFound", &message)
}

/// Adds the headers that all answers of Private DNS itself have: cache control, and its own quota with the values of the
/// recordings, 499 after a read and 11999 after a write.
pub(super) fn of_service(answer: Answer, request: &Request) -> Answer {
    if answer.has_header("x-ms-failure-cause") {
        return answer;
    }
    let remaining = if request.method == Method::GET { "499" } else { "11999" };
    answer
        .header("cache-control", "private")
        .header("x-ms-ratelimit-remaining-subscription-resource-requests", remaining)
}

pub(super) fn resource_group_not_found(resource_group: &str) -> Answer {
    let message = format!("Resource group '{resource_group}' could not be found.");
    gateway(StatusCode::NOT_FOUND, "ResourceGroupNotFound", &message)
}

pub(super) fn resource_not_found(resource_type: &str, name: &str, resource_group: &str) -> Answer {
    let message = format!(
        "The Resource '{resource_type}/{name}' under resource group '{resource_group}' was not found. For more \
         details please go to https://aka.ms/ARMResourceNotFoundFix"
    );
    gateway(StatusCode::NOT_FOUND, "ResourceNotFound", &message)
}

pub(super) fn method_not_allowed(method: &Method) -> Answer {
    let message = format!("The request method '{method}' is not supported on this path.");
    gateway(StatusCode::METHOD_NOT_ALLOWED, "HttpMethodNotSupported", &message)
}
