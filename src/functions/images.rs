//! The functions of image updates: events of a registry, webhooks, and the retry queue of their app.
//!
//! A webhook is an `httpTrigger`: its caller sees the status in `Outputs.res` of an answer that is 2xx for the host. An
//! invocation contains the key of its function, in `Url`, `Query` and `Headers`, so nothing of it is logged but what is
//! read of the body. An answer tells the caller no names of container groups.
//!
//! Source: <https://learn.microsoft.com/azure/azure-functions/functions-bindings-http-webhook-trigger>

use std::sync::Arc;

use axum::{Router, extract::Request, response::Response, routing::post};
use futures::future::join_all;
use http::StatusCode;
use serde_json::{Value, json};
use tokio::time::Instant;
use tracing::Instrument as _;

use super::{
    envelope::{Envelope, EnvelopeError, RetryEnvelope, read_body, read_envelope},
    host::{
        Function, answer, answer_all, error_body, explanation, guarded_by, invocation, malformed, refuse,
    },
};
use crate::{
    config::WebhookSecret,
    decide::report::{Outcome, Report, RetryFacts},
    domain::{
        event::{self, Event, EventError, EventKind, Given, Ignored},
        resource_id::ContainerGroupId,
    },
    images::{
        payloads::{self, Payload, PayloadError},
        push::Push,
        push_work::{PUSH, PushWork},
        updater::{ImageUpdater, PushReport},
        webhook::{Proof, is_authentic},
    },
    reconcile::retry::message::{RetryMessage, rfc3339},
    telemetry::{Invocation, Telemetry},
};

/// The largest webhook, in bytes.
const WEBHOOK_LIMIT: usize = 1024 * 1024;

/// The routes of image updates.
pub(super) fn routes(
    updater: &Arc<ImageUpdater>,
    secret: Option<WebhookSecret>,
    telemetry: &Telemetry,
) -> Router {
    let parts = || (Arc::clone(updater), telemetry.clone());
    let (pushed, hook, retry) = (parts(), (parts(), secret), parts());
    Router::new()
        .route("/function_image_pushed", post(move |request| pushed_images(pushed.clone(), request)))
        .route("/function_image_webhook", post(move |request| webhook(hook.clone(), request)))
        .route("/function_image_retry", post(move |request| finish(retry.clone(), request)))
}

type Parts = (Arc<ImageUpdater>, Telemetry);

/// Events of Event Grid.
async fn pushed_images((updater, telemetry): Parts, request: Request) -> Response {
    let received = Instant::now();
    let (head, body) = request.into_parts();
    let invocation = invocation(Function::ImagePushed, &head.headers);
    let events = match read_envelope::<Envelope>(body, "eventGridEvent").await {
        Ok(envelope) => event::read_given(envelope.bindings.event),
        Err(EnvelopeError::NotAnEnvelope { binding, body, source }) => {
            let error = EnvelopeError::NotAnEnvelope { binding, body: String::new(), source };
            let report = updater.defer_malformed(malformed(&error), &body.into()).await;
            telemetry.report(&invocation, None, &report, received.elapsed());
            return answer_all(&[report]);
        }
        Err(error) => return refuse(&error, &telemetry, &invocation, received),
    };
    if events.is_empty() {
        let report = Report::new(Outcome::Ignored, "the invocation carries no event");
        telemetry.report(&invocation, None, &report, received.elapsed());
        return answer_all(&[report]);
    }
    let served = events.into_iter().map(async |given| {
        let reports = serve_event(&updater, &invocation, given).await;
        log(&telemetry, &invocation, reports, received)
    });
    answer_all(&join_all(served).await.concat())
}

/// The reports of an event, each with the event under which it is logged.
type LoggedReports = Vec<(Option<Result<Event, EventError>>, Report)>;

async fn serve_event(updater: &Arc<ImageUpdater>, invocation: &Invocation, given: Given) -> LoggedReports {
    let event = match given.event {
        Ok(event) => event,
        Err(error) => {
            let report = updater.defer_malformed(malformed(&error), &given.value).await;
            return vec![(Some(Err(error)), report)];
        }
    };
    if !event.event_type.eq_ignore_ascii_case(payloads::IMAGE_PUSHED) {
        let reason = format!("events of type {:?} are ignored", event.event_type);
        return vec![(Some(Ok(event)), Report::new(Outcome::Ignored, reason))];
    }
    match payloads::event(&event.id, &given.value, event.time.as_deref(), updater.now()) {
        Ok(Payload::Push(push)) => {
            serve(updater, invocation, Function::ImagePushed, PushWork::of_push(push)).await
        }
        Ok(Payload::Ignored(reason)) => vec![(Some(Ok(event)), Report::new(Outcome::Ignored, reason))],
        Err(error) => {
            let report = updater.defer_malformed(malformed(&error), &given.value).await;
            vec![(Some(Ok(event)), report)]
        }
    }
}

/// A message of the retry queue.
async fn finish((updater, telemetry): Parts, request: Request) -> Response {
    let received = Instant::now();
    let (head, body) = request.into_parts();
    let invocation = invocation(Function::ImageRetry, &head.headers);
    let envelope = match read_envelope::<RetryEnvelope>(body, "retry").await {
        Ok(envelope) => envelope,
        Err(error) => return refuse(&error, &telemetry, &invocation, received),
    };
    let dequeue_count = envelope.dequeue_count();
    let message = RetryMessage::read_as(PUSH, &envelope.bindings.message);
    let retry = RetryFacts {
        attempt: message.as_ref().map_or(0, |message| message.attempt).max(dequeue_count),
        since: message.as_ref().ok().and_then(|message| message.since).and_then(rfc3339),
        is_recheck: false,
    };
    let mut reports = match message {
        Err(error) => vec![(None, malformed(&error))],
        Ok(message) => match PushWork::of_message(&message, updater.now()) {
            Ok(work) => serve(&updater, &invocation, Function::ImageRetry, work).await,
            Err(error) => vec![(None, malformed(&error))],
        },
    };
    for (_, report) in &mut reports {
        report.retry = Some(retry.clone());
    }
    answer_all(&log(&telemetry, &invocation, reports, received))
}

async fn serve(
    updater: &Arc<ImageUpdater>,
    invocation: &Invocation,
    function: Function,
    work: PushWork,
) -> LoggedReports {
    let span = tracing::info_span!(
        "push",
        function.name = function.name(),
        invocation.id = invocation.id.as_deref(),
        event.id = work.push.id.as_deref(),
        image.repository = %work.push.repository,
    );
    let push = work.push.clone();
    let panicked = |report| vec![PushReport { id: None, report }];
    let reports = guarded_by(updater.serve(work).instrument(span), panicked).await;
    reports.into_iter().map(|PushReport { id, report }| (Some(Ok(logged(&push, id))), report)).collect()
}

/// The event under which a report of a push is logged.
fn logged(push: &Push, id: Option<ContainerGroupId>) -> Event {
    let other = || EventKind::Ignored(Ignored::Resource(push.repository.to_string()));
    Event {
        id: push.id.clone().unwrap_or_else(|| push.image()),
        event_type: payloads::IMAGE_PUSHED.to_owned(),
        time: u64::try_from(push.time.unix_timestamp()).ok().and_then(rfc3339),
        is_about_tags: false,
        kind: id.map_or_else(other, EventKind::Ours),
    }
}

/// Logs reports, and returns them.
fn log(
    telemetry: &Telemetry,
    invocation: &Invocation,
    reports: LoggedReports,
    received: Instant,
) -> Vec<Report> {
    let log = |(event, report): (Option<Result<Event, EventError>>, Report)| {
        telemetry.report(invocation, event.as_ref(), &report, received.elapsed());
        report
    };
    reports.into_iter().map(log).collect()
}

/// Why a webhook is refused.
#[derive(Debug, thiserror::Error)]
enum WebhookError {
    #[error("the invocation is no request of an HTTP trigger named req")]
    NotARequest,
    #[error(
        "the webhook has no body: the Functions host passes a body on only with a Content-Length, so the sender must not send it in chunks"
    )]
    MissingBody,
    #[error("the webhook is larger than {WEBHOOK_LIMIT} bytes")]
    TooLarge,
    #[error(
        "the webhook does not prove that it knows ACI_DNS_WEBHOOK_SECRET: neither X-Hub-Signature-256 nor Authorization is right"
    )]
    NotAuthentic,
    #[error(transparent)]
    Payload(#[from] PayloadError),
}

impl WebhookError {
    fn status(&self) -> StatusCode {
        match self {
            Self::NotARequest | Self::Payload(_) => StatusCode::BAD_REQUEST,
            Self::MissingBody => StatusCode::LENGTH_REQUIRED,
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NotAuthentic => StatusCode::UNAUTHORIZED,
        }
    }
}

/// A webhook of a registry.
async fn webhook(
    ((updater, telemetry), secret): (Parts, Option<WebhookSecret>),
    request: Request,
) -> Response {
    let received = Instant::now();
    let (head, body) = request.into_parts();
    let invocation = invocation(Function::ImageWebhook, &head.headers);
    let body = match read_body(body).await {
        Ok(body) => body,
        Err(error) => return refuse(&error, &telemetry, &invocation, received),
    };
    // Read as a value: an error of a typed reader would quote what holds the key.
    let mut envelope: Value = serde_json::from_slice(&body).unwrap_or_default();
    let request = envelope.pointer_mut("/Data/req").map(Value::take).unwrap_or_default();
    let payload = read_webhook(&request, secret.as_ref(), &updater);
    let reports = match payload {
        Ok(Payload::Push(push)) => {
            serve(&updater, &invocation, Function::ImageWebhook, PushWork::of_push(push)).await
        }
        Ok(Payload::Ignored(reason)) => vec![(None, Report::new(Outcome::Ignored, reason))],
        Err(error) => {
            let report = malformed(&error);
            telemetry.report(&invocation, None, &report, received.elapsed());
            let message = explanation(&report);
            return respond(
                error.status(),
                &error_body(report.outcome.as_str(), &message),
                &[report.message],
            );
        }
    };
    let reports = log(&telemetry, &invocation, reports, received);
    let worst = reports.iter().max_by_key(|report| (report.outcome.status(), report.outcome));
    let outcome = worst.map_or(Outcome::Ignored, |report| report.outcome);
    let status = match outcome {
        Outcome::Deferred => StatusCode::ACCEPTED,
        outcome => StatusCode::from_u16(outcome.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR),
    };
    let body = if status.is_success() {
        json!({ "outcome": outcome.as_str() })
    } else {
        error_body(
            outcome.as_str(),
            "the push could not be carried out; the log of the function app says why",
        )
    };
    let logs: Vec<String> = reports.into_iter().map(|report| report.message).collect();
    respond(status, &body, &logs)
}

fn read_webhook(
    request: &Value,
    secret: Option<&WebhookSecret>,
    updater: &ImageUpdater,
) -> Result<Payload, WebhookError> {
    if !request.is_object() {
        return Err(WebhookError::NotARequest);
    }
    let body = request.get("Body").and_then(Value::as_str).filter(|body| !body.is_empty());
    let body = body.ok_or(WebhookError::MissingBody)?;
    if body.len() > WEBHOOK_LIMIT {
        return Err(WebhookError::TooLarge);
    }
    let header = |name| header(request, name);
    let proof = Proof { signature: header("x-hub-signature-256"), authorization: header("authorization") };
    if secret.is_some_and(|secret| !is_authentic(secret.bytes(), proof, body.as_bytes())) {
        return Err(WebhookError::NotAuthentic);
    }
    Ok(payloads::webhook(body, header("x-github-event"), updater.now())?)
}

/// The first value of a header: the host passes a list on.
fn header<'a>(request: &'a Value, name: &str) -> Option<&'a str> {
    let headers = request.get("Headers")?.as_object()?;
    let (_, value) = headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name))?;
    value.as_str().or_else(|| value.get(0)?.as_str())
}

/// An answer whose caller sees this status and body.
fn respond(status: StatusCode, body: &Value, logs: &[String]) -> Response {
    let headers = json!({ "Content-Type": "application/json" });
    let response = json!({ "statusCode": status.as_u16(), "headers": headers, "body": body.to_string() });
    answer(StatusCode::OK, &json!({ "Outputs": { "res": response }, "Logs": logs, "ReturnValue": null }))
}
