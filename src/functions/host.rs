//! The Functions custom handler: envelope, router, status codes, and the server.
//!
//! The Functions host POSTs each invocation to `/<function>` and reads only the status and a JSON object in the body.
//! An empty 2xx hangs the invocation until it times out. The host discards the body of any other status, so
//! [`Telemetry`] reports the result as well.
//!
//! The events of an array are handled concurrently, because Event Grid waits 30 seconds for all of them together.
//! Their order does not matter: an event only says which container group to read. A panic fails only the event that
//! caused it.
//!
//! A message of the retry queue carries an earlier event. Its function answers with the outcome of that event; after
//! a status other than 2xx the host delivers the message again.
//!
//! Deliberately absent: redirects (the host would follow them), authentication (only the host reaches the loopback
//! address), retries (Event Grid retries), and a limit on concurrency (the reconciler applies
//! [`Settings::max_concurrency`](crate::config::Settings::max_concurrency)).
//!
//! Source: <https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers>

use std::{any::Any, convert::Infallible, future::Future, panic::AssertUnwindSafe, time::Duration};

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use futures::{FutureExt as _, future::join_all};
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use serde_json::{Value, json};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    time::{Instant, sleep, timeout, timeout_at},
};
use tower::ServiceExt as _;
use tower_http::catch_panic::CatchPanicLayer;
use tracing::Instrument as _;

use super::envelope::{Envelope, EnvelopeError, RetryEnvelope, read_body, read_envelope};
use crate::{
    decide::report::{
        Chain, IMAGE_PUSHED, IMAGE_RETRY, IMAGE_WEBHOOK, Outcome, RECONCILE, RETRY, Report, RetryFacts,
        SWEEP, TRACK_DRIFT,
    },
    domain::{
        event::{self, Event, EventError, EventKind, Given},
        resource_id::ContainerGroupId,
    },
    reconcile::retry::message::{MessageError, RetryMessage, rfc3339},
    telemetry::{Invocation, Telemetry, TraceParent},
};

/// How long the head of a request may take to arrive. This also limits how long a connection may be idle, so it has
/// to be longer than the host keeps idle connections: the host does not retry a POST on a connection that was closed.
const HEAD_WAIT: Duration = Duration::from_mins(3);

/// How long the process waits at its end until finished responses are sent.
const FLUSH_WAIT: Duration = Duration::from_secs(1);

/// The largest number of characters of an error that quotes a request.
const QUOTE_LIMIT: usize = 512;

/// A function that the host can call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Reconcile,
    Retry,
    TrackDrift,
    Sweep,
    ImagePushed,
    ImageWebhook,
    ImageRetry,
}

impl Function {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Reconcile => RECONCILE,
            Self::Retry => RETRY,
            Self::TrackDrift => TRACK_DRIFT,
            Self::Sweep => SWEEP,
            Self::ImagePushed => IMAGE_PUSHED,
            Self::ImageWebhook => IMAGE_WEBHOOK,
            Self::ImageRetry => IMAGE_RETRY,
        }
    }
}

/// A task for the reconciler.
#[derive(Debug)]
pub enum Task {
    /// Serve an event of a container group.
    Event {
        /// The container group.
        id: ContainerGroupId,
        /// The event.
        event: Event,
        /// The event as it was given.
        given: Value,
    },
    /// Serve a message of the retry queue.
    Message {
        /// The container group.
        id: ContainerGroupId,
        /// The event that the message carries.
        event: Event,
        /// The message.
        message: RetryMessage,
    },
    /// Store an event that cannot be read.
    Malformed {
        /// Why it cannot be read.
        report: Box<Report>,
        /// The event as it was given.
        given: Value,
    },
}

/// All that the host can call: these routes, and the answers to other requests.
pub fn complete(routes: Router) -> Router {
    routes
        .route("/", get(alive))
        .fallback(async || failure(StatusCode::NOT_FOUND, "not_found", "there is no such function"))
        .method_not_allowed_fallback(async || {
            failure(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "functions are called with POST")
        })
        .layer(CatchPanicLayer::custom(|_: Box<dyn Any + Send>| panicked()))
}

/// The routes of the functions for DNS. `reconcile` serves events and messages, `track_drift` events, and `sweep` a timer.
///
/// Each of them has to respect the deadline of an invocation; the router sets no timeout.
pub fn routes<Reconcile, Reconciled, TrackDrift, Tracked, Sweep, Swept>(
    reconcile: Reconcile,
    track_drift: TrackDrift,
    sweep: Sweep,
    telemetry: &Telemetry,
) -> Router
where
    Reconcile: Fn(Task) -> Reconciled + Clone + Send + Sync + 'static,
    Reconciled: Future<Output = Report> + Send + 'static,
    TrackDrift: Fn(ContainerGroupId, Event) -> Tracked + Clone + Send + Sync + 'static,
    Tracked: Future<Output = Report> + Send + 'static,
    Sweep: Fn(Invocation) -> Swept + Clone + Send + Sync + 'static,
    Swept: Future<Output = Report> + Send + 'static,
{
    let (of_reconcile, of_retry) = (telemetry.clone(), telemetry.clone());
    let (of_tracker, of_sweep) = (telemetry.clone(), telemetry.clone());
    let retry = reconcile.clone();
    let reconcile =
        move |request| invoke(Function::Reconcile, reconcile.clone(), of_reconcile.clone(), request);
    let retry = move |request| finish(retry.clone(), of_retry.clone(), request);
    let track_drift = move |task| {
        let track_drift = track_drift.clone();
        async move {
            match task {
                Task::Event { id, event, .. } | Task::Message { id, event, .. } => {
                    track_drift(id, event).await
                }
                Task::Malformed { report, .. } => *report,
            }
        }
    };
    let track_drift =
        move |request| invoke(Function::TrackDrift, track_drift.clone(), of_tracker.clone(), request);
    let sweep = move |request| tick(sweep.clone(), of_sweep.clone(), request);
    Router::new()
        .route("/function_aci_reconcile", post(reconcile))
        .route("/function_aci_retry", post(retry))
        .route("/function_drift_tracker", post(track_drift))
        .route("/function_drift_sweep", post(sweep))
}

/// The host polls this route until the process responds.
async fn alive() -> Response {
    answer(StatusCode::OK, &json!({ "name": env!("CARGO_PKG_NAME"), "version": env!("CARGO_PKG_VERSION") }))
}

async fn invoke<Run, Ran>(function: Function, run: Run, telemetry: Telemetry, request: Request) -> Response
where
    Run: Fn(Task) -> Ran,
    Ran: Future<Output = Report>,
{
    let received = Instant::now();
    let (head, body) = request.into_parts();
    let invocation = invocation(function, &head.headers);
    let events = match read_envelope::<Envelope>(body, "eventGridEvent").await {
        Ok(envelope) => event::read_given(envelope.bindings.event),
        Err(error) => {
            let status = error.status();
            let mut report = malformed(&error);
            if let EnvelopeError::NotAnEnvelope { body, .. } = error {
                let task = Task::Malformed { report: Box::new(report), given: body.into() };
                report = guarded(Box::pin(run(task))).await;
            }
            telemetry.report(&invocation, None, &report, received.elapsed());
            return match report.outcome {
                Outcome::Deferred => answer_all(&[report]),
                outcome => failure(status, outcome.as_str(), &explanation(&report)),
            };
        }
    };
    if events.is_empty() {
        let report = Report::new(Outcome::Ignored, "the invocation carries no event");
        telemetry.report(&invocation, None, &report, received.elapsed());
        return answer_all(&[report]);
    }
    let reports = events.into_iter().map(async |Given { value, event }| {
        let report = handle(function, &run, &invocation, &event, value).await;
        let report = match &event {
            Ok(event) if report.drift.is_some() => {
                let found = [(event.clone(), report.clone())];
                telemetry.store(&invocation, &found, report, received).await
            }
            _ => report,
        };
        telemetry.report(&invocation, Some(&event), &report, received.elapsed());
        report
    });
    answer_all(&join_all(reports).await)
}

/// Serves the event of a retry message.
async fn finish<Run, Ran>(run: Run, telemetry: Telemetry, request: Request) -> Response
where
    Run: Fn(Task) -> Ran,
    Ran: Future<Output = Report>,
{
    let received = Instant::now();
    let (head, body) = request.into_parts();
    let invocation = invocation(Function::Retry, &head.headers);
    let envelope = match read_envelope::<RetryEnvelope>(body, "retry").await {
        Ok(envelope) => envelope,
        Err(error) => return refuse(&error, &telemetry, &invocation, received),
    };
    let dequeue_count = envelope.dequeue_count();
    let message = RetryMessage::read(&envelope.bindings.message);
    let retry = match &message {
        Ok(message) => RetryFacts {
            attempt: message.attempt.max(dequeue_count),
            since: message.since.and_then(rfc3339),
            is_recheck: message.is_recheck,
        },
        Err(_) => RetryFacts { attempt: dequeue_count, since: None, is_recheck: false },
    };
    let (event, report) = match message {
        Ok(message) => serve_message(run, &invocation, message).await,
        Err(error) => (None, malformed(&error)),
    };
    let report = Report { retry: Some(retry), ..report };
    telemetry.report(&invocation, event.as_ref(), &report, received.elapsed());
    answer_all(&[report])
}

async fn serve_message<Run, Ran>(
    run: Run,
    invocation: &Invocation,
    message: RetryMessage,
) -> (Option<Result<Event, EventError>>, Report)
where
    Run: Fn(Task) -> Ran,
    Ran: Future<Output = Report>,
{
    let mut events = event::read_given(message.event.clone());
    let (Some(Given { event, .. }), true) = (events.pop(), events.is_empty()) else {
        return (None, malformed(&MessageError::Member("event")));
    };
    let task = match &event {
        Err(error) => return (None, malformed(error)),
        Ok(Event { kind: EventKind::Ignored(reason), .. }) => {
            let report = Report::new(Outcome::Ignored, reason.to_string());
            return (Some(event), report);
        }
        Ok(event @ Event { kind: EventKind::Ours(id), .. }) => {
            Task::Message { id: id.clone(), event: event.clone(), message }
        }
    };
    let span = span(Function::Retry, invocation, &event);
    let report = guarded(run(task).instrument(span)).await;
    (Some(event), report)
}

/// Serves a call of the timer. The body is read but not used: the host decides when the timer is due.
async fn tick<Run, Ran>(run: Run, telemetry: Telemetry, request: Request) -> Response
where
    Run: Fn(Invocation) -> Ran,
    Ran: Future<Output = Report>,
{
    let received = Instant::now();
    let (head, body) = request.into_parts();
    let invocation = invocation(Function::Sweep, &head.headers);
    if let Err(error) = read_body(body).await {
        return refuse(&error, &telemetry, &invocation, received);
    }
    let span = tracing::info_span!(
        "sweep",
        function.name = invocation.function,
        invocation.id = invocation.id.as_deref()
    );
    let report = guarded(run(invocation.clone()).instrument(span)).await;
    telemetry.report(&invocation, None, &report, received.elapsed());
    answer_all(&[report])
}

pub(super) fn invocation(function: Function, headers: &HeaderMap) -> Invocation {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    Invocation {
        function: function.name(),
        id: header("x-azure-functions-invocationid").map(|id| id.chars().take(QUOTE_LIMIT).collect()),
        trace: header("traceparent").and_then(TraceParent::parse),
    }
}

async fn handle<Run, Ran>(
    function: Function,
    run: Run,
    invocation: &Invocation,
    event: &Result<Event, EventError>,
    given: Value,
) -> Report
where
    Run: Fn(Task) -> Ran,
    Ran: Future<Output = Report>,
{
    let task = match event {
        Err(error) => Task::Malformed { report: Box::new(malformed(error)), given },
        Ok(Event { kind: EventKind::Ignored(reason), .. }) => {
            return Report::new(Outcome::Ignored, reason.to_string());
        }
        Ok(event) if function == Function::TrackDrift && event.is_delete() => {
            return Report::new(Outcome::Ignored, "a deleted group cannot drift");
        }
        Ok(event @ Event { kind: EventKind::Ours(id), .. }) => {
            Task::Event { id: id.clone(), event: event.clone(), given }
        }
    };
    guarded(run(task).instrument(span(function, invocation, event))).await
}

/// The span of the lines that are logged while an event is served.
fn span(function: Function, invocation: &Invocation, event: &Result<Event, EventError>) -> tracing::Span {
    let container_group = event.as_ref().ok().and_then(|event| match &event.kind {
        EventKind::Ours(id) => Some(id.to_string()),
        EventKind::Ignored(_) => None,
    });
    tracing::info_span!(
        "event",
        function.name = function.name(),
        invocation.id = invocation.id.as_deref(),
        event.id = event.as_ref().ok().map(|event| event.id.as_str()),
        container_group.id = container_group,
    )
}

/// Turns a panic into a failed report, so that it does not affect other events.
async fn guarded(work: impl Future<Output = Report>) -> Report {
    guarded_by(work, |report| report).await
}

/// The same for work with another result, made from the report of the panic.
pub(super) async fn guarded_by<Result>(
    work: impl Future<Output = Result>,
    failed: impl FnOnce(Report) -> Result,
) -> Result {
    AssertUnwindSafe(work).catch_unwind().await.unwrap_or_else(|panic| {
        let reason = panic.downcast_ref::<&str>().copied();
        let reason = reason.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        failed(Report {
            error: Some(format!("panicked: {}", reason.unwrap_or("without a reason"))),
            ..Report::new(Outcome::Failed, "the event could not be handled because of a bug in this program")
        })
    })
}

pub(super) fn malformed(error: &dyn std::error::Error) -> Report {
    // Errors of serde quote the input.
    let chain = Chain(error).to_string();
    let error = chain.chars().take(QUOTE_LIMIT).collect();
    Report { error: Some(error), ..Report::new(Outcome::Malformed, "the event cannot be read") }
}

/// Reports and answers an invocation whose body cannot be read.
pub(super) fn refuse(
    error: &EnvelopeError,
    telemetry: &Telemetry,
    invocation: &Invocation,
    received: Instant,
) -> Response {
    let report = malformed(error);
    telemetry.report(invocation, None, &report, received.elapsed());
    failure(error.status(), report.outcome.as_str(), &explanation(&report))
}

/// Responds with the most severe of the results.
pub(super) fn answer_all(reports: &[Report]) -> Response {
    const EXPLANATION_LIMIT: usize = 10;
    let is_failure = |report: &&Report| report.outcome.status() != 200;
    let Some(most_severe) = reports.iter().filter(is_failure).max_by_key(|report| report.outcome.status())
    else {
        let messages: Vec<&str> = reports.iter().map(|report| report.message.as_str()).collect();
        return answer(StatusCode::OK, &json!({ "Outputs": {}, "Logs": messages, "ReturnValue": null }));
    };
    // Events that fail for the same reason share one explanation.
    let mut explanations: Vec<String> = Vec::new();
    for explanation in reports.iter().filter(is_failure).map(explanation) {
        if !explanations.contains(&explanation) {
            explanations.push(explanation);
        }
    }
    let count = explanations.len();
    explanations.truncate(EXPLANATION_LIMIT);
    match count.saturating_sub(EXPLANATION_LIMIT) {
        0 => {}
        more => explanations.push(format!("and {more} more")),
    }
    let status =
        StatusCode::from_u16(most_severe.outcome.status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    failure(status, most_severe.outcome.as_str(), &explanations.join("; "))
}

/// Message and error, without repetition: one of them may contain the other.
pub(super) fn explanation(report: &Report) -> String {
    let message = &report.message;
    match &report.error {
        Some(error) if error.contains(message.as_str()) => error.clone(),
        Some(error) if !message.contains(error.as_str()) => format!("{message}: {error}"),
        Some(_) | None => message.clone(),
    }
}

fn panicked() -> Response {
    failure(
        StatusCode::INTERNAL_SERVER_ERROR,
        Outcome::Failed.as_str(),
        "the invocation could not be handled because of a bug in this program",
    )
}

fn failure(status: StatusCode, code: &str, message: &str) -> Response {
    answer(status, &error_body(code, message))
}

pub(super) fn error_body(code: &str, message: &str) -> Value {
    json!({ "error": { "code": code, "message": message } })
}

pub(super) fn answer(status: StatusCode, body: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json; charset=utf-8")], body.to_string()).into_response()
}

/// Serves until `shutdown`, and then until no request is in flight or `grace` has passed.
///
/// After the signal the server still accepts requests, because the host does not receive the signal and counts a
/// refused request as failed. Every request runs in a task of its own, so a client that disconnects does not cancel
/// it between two writes.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: impl Future<Output = ()>,
    grace: Duration,
) {
    // Each request in flight and each open connection holds a receiver.
    let (in_flight, connections) = (watch::Sender::new(()), watch::Sender::new(()));
    let closing = watch::Sender::new(false);
    let accept = async {
        loop {
            let stream = accept(&listener).await;
            let (open, closing) = (connections.subscribe(), closing.subscribe());
            let connection = serve_connection(stream, router.clone(), in_flight.clone(), closing);
            tokio::spawn(async move {
                connection.await;
                drop(open);
            });
        }
    };
    let stop = async {
        shutdown.await;
        tracing::info!(requests.in_flight = in_flight.receiver_count(), "shutting down");
        let deadline = Instant::now() + grace;
        // After the deadline, requests in flight are cancelled: Event Grid delivers their events again.
        let _ = timeout_at(deadline, in_flight.closed()).await;
        deadline
    };
    let deadline = tokio::select! {
        deadline = stop => deadline,
        never = accept => match never {},
    };
    drop(listener);
    closing.send_replace(true);
    // A request may have arrived in the meantime.
    if timeout_at(deadline, in_flight.closed()).await.is_err() {
        tracing::warn!(requests.in_flight = in_flight.receiver_count(), "stopping with unanswered requests");
    }
    // A connection that never carried a request does not close by itself.
    let _ = timeout(FLUSH_WAIT, connections.closed()).await;
}

/// Accepts the next connection. Errors concern a single connection, or end when other connections close.
async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return stream,
            Err(error) => {
                tracing::warn!(
                    error = %Chain(&error),
                    "cannot accept a connection"
                );
                sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

/// Serves the requests of one connection until the peer closes it or the server shuts down.
async fn serve_connection(
    stream: TcpStream,
    router: Router,
    in_flight: watch::Sender<()>,
    mut closing: watch::Receiver<bool>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %Chain(&error), "cannot set TCP_NODELAY: responses may be delayed");
    }
    let service = service_fn(|request: http::Request<Incoming>| {
        let (router, token) = (router.clone(), in_flight.subscribe());
        let work = tokio::spawn(async move {
            let response = router.oneshot(request).await;
            drop(token);
            response
        });
        async { work.await.unwrap_or_else(|_| Ok::<_, Infallible>(panicked())) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_WAIT)
        .serve_connection(TokioIo::new(stream), service);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = async { drop(closing.wait_for(|is_closing| *is_closing).await) } => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = %Chain(&error), "connection failed");
    }
}
