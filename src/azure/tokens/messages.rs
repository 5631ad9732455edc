//! Converts requests and answers of `azure_core` 1.x to and from HTTP messages, for clients on the shared transport.

use std::collections::HashMap;

use axum::BoxError;
use azure_core1::http::{
    AsyncRawResponse, Body, Request,
    headers::{HeaderName, HeaderValue, Headers},
};
use bytes::Bytes;

/// A request as an HTTP message. Fails if its body is a stream, because a stream cannot be retried.
pub(crate) fn request(request: &Request) -> Result<http::Request<Bytes>, BoxError> {
    let Body::Bytes(body) = request.body().clone() else {
        return Err("the body of the request is a stream".into());
    };
    let message = http::Request::builder().method(request.method().as_str()).uri(request.url().as_str());
    let headers = request.headers().iter();
    let message =
        headers.fold(message, |message, (name, value)| message.header(name.as_str(), value.as_str()));
    Ok(message.body(body)?)
}

/// An HTTP message as an answer, without headers that are not text.
pub(crate) fn answer(message: http::Response<Bytes>) -> AsyncRawResponse {
    let (parts, body) = message.into_parts();
    let headers = parts.headers.iter().filter_map(|(name, value)| {
        let value = value.to_str().ok()?.to_owned();
        Some((HeaderName::from(name.as_str().to_owned()), HeaderValue::from(value)))
    });
    let headers = Headers::from(headers.collect::<HashMap<_, _>>());
    AsyncRawResponse::from_bytes(parts.status.as_u16().into(), headers, body)
}
