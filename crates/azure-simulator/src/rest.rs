//! From a request to its answer: injected faults, the order of Resource Manager's own checks, and the common
//! parts of all answers.
//!
//! A request is logged when it arrives; half of the latency passes; it takes effect; the other half passes;
//! the answer is sent. Faults apply before or after the effect.

use std::io;
use std::time::Duration;

use super::api_versions::refuse_api_version;
use super::calls::Call;
use super::control_index;
use super::faults::{CertificateRefused, ConnectionDropped, Effect, Fault, FaultAnswer, When};
use super::history::Staleness;
use super::messages::{Answer, Request, gateway, method_not_allowed, resource_group_not_found, wrapped};
use super::page::{self, refuse_foreign};
use super::{Azure, World};
use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::response::Response;
use bytes::Bytes;
use futures::stream;
use http::{HeaderName, Method, StatusCode};
use serde_json::json;

impl Azure {
    /// The REST API, for a server and for calls in process.
    pub fn router(&self) -> Router {
        self.router_over("http")
    }

    /// The REST API over this scheme. Links in answers use it if a request names no scheme.
    pub(super) fn router_over(&self, scheme: &'static str) -> Router {
        Router::new().fallback(answer).with_state((self.clone(), scheme))
    }

    /// Executes a request together with its faults.
    async fn carry_out(&self, mut request: Request) -> Outcome {
        let (sequence, effects) = self.arrive(&request);
        let started = self.elapsed();
        request.staleness = effects.iter().find_map(|effect| match effect {
            Effect::Stale(staleness) => Some(*staleness),
            _ => None,
        });
        let half = self.world().settings.latency / 2;
        sleep(half).await;
        let mut outcome = None;
        for effect in &effects {
            if outcome.is_none() {
                outcome = self.apply_fault(&request, effect, When::Before).await;
            }
        }
        let mut outcome = if let Some(outcome) = outcome {
            outcome
        } else {
            let answer = self.world().perform(&request);
            if answer.took_effect {
                self.world().complete_call(sequence, |call| call.took_effect = true);
            }
            Outcome::Answer(answer)
        };
        for effect in &effects {
            outcome = match (self.apply_fault(&request, effect, When::After).await, outcome) {
                (Some(fault), _) => fault,
                (None, Outcome::Answer(answer)) => Outcome::Answer(corrupt(answer, effect)),
                (None, outcome @ (Outcome::Dropped | Outcome::Untrusted)) => outcome,
            };
        }
        sleep(half).await;
        let mut world = self.world();
        if let Outcome::Answer(answer) = &mut outcome {
            world.add_headers(&request, answer);
            let (now, status) = (world.now(), answer.status.as_u16());
            world.complete_call(sequence, |call| {
                call.answered = Some(now);
                call.status = Some(status);
            });
        }
        world.note_request(&request, &outcome, started, &effects);
        outcome
    }

    /// The answer of a fault's effect at this point, if it ends the request.
    async fn apply_fault(&self, request: &Request, effect: &Effect, now: When) -> Option<Outcome> {
        match effect {
            Effect::Answer(when, fault) if *when == now => {
                Some(Outcome::Answer(self.world().fault_answer(request, fault)))
            }
            Effect::Drop(when) if *when == now => Some(Outcome::Dropped),
            Effect::UntrustedCertificate if now == When::Before => Some(Outcome::Untrusted),
            Effect::Delay(when, duration) if *when == now => {
                sleep(*duration).await;
                None
            }
            Effect::Hold(when, gate) if *when == now => {
                gate.pass().await;
                None
            }
            Effect::Answer(..)
            | Effect::Drop(_)
            | Effect::Delay(..)
            | Effect::Hold(..)
            | Effect::UntrustedCertificate
            | Effect::Stale(_)
            | Effect::Truncate(_)
            | Effect::ReplaceBody(_)
            | Effect::All(_) => None,
        }
    }

    /// Logs a request and selects its faults.
    fn arrive(&self, request: &Request) -> (u64, Vec<Effect>) {
        let mut world = self.world();
        let sequence = world.calls.next_sequence();
        let view = request.view(sequence, world.now());
        if !request.is_for_identity() {
            let kept = world.settings.calls_kept;
            let is_for_queue = world.queue_target(request).is_some();
            let is_for_vault = world.vault_target(request).is_some();
            let log = match (is_for_queue, is_for_vault) {
                (true, _) => &mut world.queue_calls,
                (false, true) => &mut world.vault_calls,
                (false, false) => &mut world.calls,
            };
            log.arrive(
                Call {
                    sequence,
                    arrived: view.elapsed,
                    answered: None,
                    method: view.method.clone(),
                    path: view.path.clone(),
                    query: view.query.clone(),
                    if_match: view.if_match.clone(),
                    if_none_match: view.if_none_match.clone(),
                    status: None,
                    took_effect: false,
                },
                kept,
            );
        }
        let path_and_query = format!("{}?{}", view.path, view.query);
        let effect_on_request = |fault: &mut Fault| {
            fault.affects(&view.method, &path_and_query, view.elapsed).then(|| fault.effect.clone())
        };
        let mut effects: Vec<_> = world.faults.iter_mut().filter_map(effect_on_request).collect();
        drop(world);
        effects.extend(self.intercept(&view));
        (sequence, effects.into_iter().flat_map(Effect::flatten).collect())
    }
}

async fn answer(
    State((azure, scheme)): State<(Azure, &'static str)>,
    request: axum::extract::Request,
) -> Response {
    let Some(request) = Request::read(request, scheme).await else {
        let message = "The request could not be read.";
        return wrapped(StatusCode::BAD_REQUEST, "InvalidRequestContent", message).into_response();
    };
    if let Some(refusal) = refuse_foreign(&request) {
        return refusal.into_response();
    }
    if let Some(file) = page::file(&request) {
        return file.into_response();
    }
    if ["/simulator", "/simulator/"].contains(&request.path.as_str()) && request.method == Method::GET {
        return control_index::page().into_response();
    }
    if request.path == "/simulator/stream" && request.method == Method::GET {
        return azure.stream(&request);
    }
    if request.is_for_control() {
        return azure.control(&request).into_response();
    }
    // A separate task, because a real service continues when its client disconnects.
    let carried_out = tokio::spawn(async move { azure.carry_out(request).await }).await;
    match carried_out {
        Ok(Outcome::Answer(answer)) => answer.into_response(),
        Ok(Outcome::Dropped) => dropped(ConnectionDropped),
        Ok(Outcome::Untrusted) => dropped(CertificateRefused),
        Err(error) => {
            let message = error.to_string();
            wrapped(StatusCode::INTERNAL_SERVER_ERROR, "InternalServerError", &message).into_response()
        }
    }
}

enum Outcome {
    Answer(Answer),
    Dropped,
    Untrusted,
}

async fn sleep(duration: Duration) {
    if !duration.is_zero() {
        tokio::time::sleep(duration).await;
    }
}

fn corrupt(mut answer: Answer, effect: &Effect) -> Answer {
    match effect {
        Effect::Truncate(length) => answer.body.truncate(*length),
        Effect::ReplaceBody(body) => answer.body = Bytes::from(body.clone()),
        Effect::Answer(..)
        | Effect::Drop(_)
        | Effect::Delay(..)
        | Effect::Hold(..)
        | Effect::UntrustedCertificate
        | Effect::Stale(_)
        | Effect::All(_) => {}
    }
    answer
}

/// In process, the extension means that there is no response. Over HTTP, the body fails before its first
/// byte, and the server closes the connection without an answer.
fn dropped(mark: impl Clone + Send + Sync + 'static) -> Response {
    let lost = stream::once(async { Err::<Bytes, _>(io::Error::from(io::ErrorKind::ConnectionReset)) });
    let mut response = Response::new(Body::from_stream(lost));
    *response.status_mut() = StatusCode::BAD_GATEWAY;
    response.extensions_mut().insert(mark);
    response
}

/// The resource of a request, below a subscription. Names are spelled as sent.
pub(super) struct ArmPath {
    pub(super) subscription: String,
    pub(super) resource_group: Option<String>,
    /// The part after the provider's name, such as `containerGroups`, `web`.
    pub(super) rest: Vec<String>,
}

impl World {
    /// Completes a call in its log.
    fn complete_call(&mut self, sequence: u64, complete: impl Fn(&mut Call)) {
        self.calls.complete(sequence, &complete);
        self.queue_calls.complete(sequence, &complete);
        self.vault_calls.complete(sequence, &complete);
    }

    /// Records a request to Resource Manager, and changes of queues. Reads of queues are left out, because a polling host
    /// sends too many.
    fn note_request(&mut self, request: &Request, outcome: &Outcome, started: Duration, effects: &[Effect]) {
        let is_for_queue = self.queue_target(request).is_some();
        if request.is_for_identity() || is_for_queue && request.method == Method::GET {
            return;
        }
        let status = match outcome {
            Outcome::Answer(answer) => Some(answer.status.as_u16()),
            Outcome::Dropped | Outcome::Untrusted => None,
        };
        let took = self.now().saturating_sub(started);
        let body = json!({
            "method": request.method.as_str(),
            "path": request.path,
            "status": status,
            "milliseconds": took.as_secs_f64() * 1000.0,
            "faults": effects.iter().map(page::effect_words).collect::<Vec<_>>(),
        });
        self.note("request", body);
    }

    fn fault_answer(&mut self, request: &Request, fault: &FaultAnswer) -> Answer {
        let status = StatusCode::from_u16(fault.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut answer = if self.queue_target(request).is_some() {
            self.queue_error(status, &fault.code, &fault.message, &[])
        } else {
            wrapped(status, &fault.code, &fault.message)
        };
        if let Some(body) = &fault.body {
            answer.body = Bytes::from(body.clone());
        }
        match fault.retry_after_seconds {
            Some(seconds) => answer.header("retry-after", seconds.to_string()),
            None => answer,
        }
    }

    fn perform(&mut self, request: &Request) -> Answer {
        if request.is_for_identity() {
            return match request.method {
                Method::GET => self.issue_token(request),
                _ => method_not_allowed(&request.method),
            };
        }
        if let Some(target) = self.queue_target(request) {
            return self.answer_queue(request, &target);
        }
        if let Some(target) = self.vault_target(request) {
            return self.answer_vault(request, &target);
        }
        if let Some(answer) = self.answer_sign_in(request) {
            return answer;
        }
        if let Some(refusal) = self.refuse_unauthenticated(&request.headers) {
            return refusal;
        }
        if let Some(refusal) = refuse_api_version(request) {
            return refusal;
        }
        if let Some(refusal) = self.refuse_unauthorized(request) {
            return refusal;
        }
        if let Some(refusal) = self.refuse_locked(request) {
            return refusal;
        }
        self.route(request).unwrap_or_else(|| not_simulated(request))
    }

    /// Selects the provider of a request. `None` if there is none.
    fn route(&mut self, request: &Request) -> Option<Answer> {
        let segments = request.segments();
        if let Some(answer) = self.answer_subscriptions(request, &segments) {
            return Some(answer);
        }
        let mut segments = segments.into_iter().peekable();
        let is = |expected: &str, segment: Option<String>| {
            segment.is_some_and(|segment| segment.eq_ignore_ascii_case(expected))
        };
        if !is("subscriptions", segments.next()) {
            return None;
        }
        let subscription = segments.next()?;
        let resource_group = match segments.next_if(|segment| segment.eq_ignore_ascii_case("resourceGroups"))
        {
            Some(_) if segments.peek().is_none() && request.method == Method::GET => {
                return Some(self.list_resource_groups(request, &subscription));
            }
            Some(_) => Some(segments.next()?),
            None => None,
        };
        if let Some(resource_group) = &resource_group {
            if segments.peek().is_none() {
                let answer = self.answer_resource_group(request, &subscription, resource_group)?;
                return Some(answer.unwrap_or_else(|refusal| refusal));
            }
            let is_hidden = request.is_read_at(Staleness::ResourceGroupNotYet);
            if is_hidden || self.resource_group(&subscription, resource_group).is_none() {
                return Some(resource_group_not_found(resource_group));
            }
        }
        if !is("providers", segments.next()) {
            return None;
        }
        if let Some(answer) = self.answer_authorization(request) {
            return Some(answer);
        }
        let provider = segments.next()?.to_ascii_lowercase();
        let path = ArmPath { subscription, resource_group, rest: segments.collect() };
        match provider.as_str() {
            "microsoft.containerinstance" => self.answer_container_instance(request, &path),
            "microsoft.network" => self
                .answer_private_dns(request, &path)
                .or_else(|| self.answer_virtual_network(request, &path)),
            "microsoft.eventgrid" => self.answer_event_grid(request, &path),
            "microsoft.keyvault" => self.answer_key_vault(request, &path),
            _ => None,
        }
    }

    /// Adds the headers of every answer.
    fn add_headers(&mut self, request: &Request, answer: &mut Answer) {
        if self.vault_target(request).is_some() {
            return self.add_vault_headers(request, answer);
        }
        let request_id = self.request_ids.guid();
        if self.queue_target(request).is_some() {
            let version = request.header("x-ms-version").unwrap_or("2024-11-04").to_owned();
            let mut set = |name: &'static str, value: String| {
                answer.headers.push((HeaderName::from_static(name), value));
            };
            set("x-ms-version", version);
            set("date", self.http_date(self.now()));
            if let Some(id) = request.header("x-ms-client-request-id") {
                set("x-ms-client-request-id", id.to_owned());
            }
            if !answer.headers.iter().any(|(name, _)| name == "x-ms-request-id") {
                answer.headers.push((HeaderName::from_static("x-ms-request-id"), request_id));
            }
            return;
        }
        let common = [
            ("strict-transport-security", "max-age=31536000; includeSubDomains"),
            ("x-content-type-options", "nosniff"),
            ("x-ms-request-id", request_id.as_str()),
            ("x-ms-correlation-request-id", request_id.as_str()),
            ("x-ms-routing-request-id", &format!("WESTEUROPE:{}:{request_id}", self.timestamp())),
        ];
        let of_gateway = [
            ("cache-control", "no-cache"),
            ("pragma", "no-cache"),
            ("expires", "-1"),
            quota(&request.method),
        ];
        // A service with its own headers also has its own quota; an error of Resource Manager has none.
        let is_of_service = answer.has_header("cache-control");
        let has_quota = !answer.has_header("x-ms-failure-cause");
        let of_gateway = of_gateway.into_iter().take(if has_quota { 4 } else { 3 });
        let headers = common.into_iter().chain(of_gateway.filter(|_| !is_of_service));
        for (name, value) in headers {
            answer.headers.push((HeaderName::from_static(name), value.to_owned()));
        }
    }
}

/// The quota of a subscription in Resource Manager, with the values of the recordings.
fn quota(method: &Method) -> (&'static str, &'static str) {
    match *method {
        Method::GET | Method::HEAD => ("x-ms-ratelimit-remaining-subscription-reads", "11999"),
        Method::DELETE => ("x-ms-ratelimit-remaining-subscription-deletes", "14999"),
        _ => ("x-ms-ratelimit-remaining-subscription-writes", "1199"),
    }
}

/// The answer to a request that the simulator does not support but Azure may.
fn not_simulated(request: &Request) -> Answer {
    let segments = request.segments();
    let starts = |name: &str| segments.first().is_some_and(|first| first.eq_ignore_ascii_case(name));
    if !starts("subscriptions") && !starts("providers") {
        let message = format!("No HTTP resource was found that matches the request URI '{}'.", request.path);
        return gateway(StatusCode::NOT_FOUND, "InvalidResourceType", &message);
    }
    let message = format!(
        "The simulator does not simulate '{} {}'. Azure may answer it; the simulator has container groups, Private DNS, \
         storage queues, secrets, and what these need.",
        request.method, request.path
    );
    wrapped(StatusCode::NOT_IMPLEMENTED, "NotSimulated", &message)
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use serde_json::{Value, json};

    use super::super::testing::{SUBSCRIPTION, ZONES, azure, get, put, send};
    use super::super::{RecordSetSpec, Settings, serve};
    use super::*;

    const ZONE: &str = "spoke1.contoso.internal";

    fn azure_with_zone(settings: Settings) -> Azure {
        let azure = azure(settings);
        azure.create_zone(SUBSCRIPTION, "rg-dns", ZONE);
        azure
    }

    fn web() -> String {
        format!("{ZONES}/{ZONE}/A/web")
    }

    fn body() -> Value {
        json!({"properties": {"ttl": 60, "aRecords": [{"ipv4Address": "10.1.5.4"}]}})
    }

    /// Injects an effect on the PUT of a record set, sends it, and returns the answer and whether the record
    /// set exists.
    async fn put_with(effect: Effect) -> (u16, bool, bool) {
        let azure = azure_with_zone(Settings::default());
        azure.inject(Fault::once(Method::PUT, "/a/WEB", effect));
        let answered = put(&azure, &web(), body()).await;
        let exists = azure.record_set(ZONE, "A", "web").is_some();
        assert_eq!(azure.calls()[0].took_effect, exists);
        assert_eq!(azure.calls()[0].status.is_none(), answered.dropped);
        (answered.status.as_u16(), answered.dropped, exists)
    }

    #[tokio::test]
    async fn a_fault_before_the_effect_prevents_it_and_one_after_does_not() {
        let unavailable = || FaultAnswer::new(503, "ServiceUnavailable").retry_after(7);
        assert_eq!(put_with(Effect::Answer(When::Before, unavailable())).await, (503, false, false));
        assert_eq!(put_with(Effect::Answer(When::After, unavailable())).await, (503, false, true));
        assert_eq!(put_with(Effect::Drop(When::Before)).await, (502, true, false));
        assert_eq!(put_with(Effect::Drop(When::After)).await, (502, true, true));
        let twice = Effect::All(vec![Effect::Truncate(1), Effect::Drop(When::After)]);
        assert_eq!(put_with(twice).await, (502, true, true));
    }

    #[tokio::test]
    async fn an_injected_answer_has_its_code_its_body_and_its_retry_after() {
        let azure = azure_with_zone(Settings::default());
        let mut answer = FaultAnswer::new(429, "TooManyRequests").retry_after(7);
        azure.inject(Fault::once(Method::GET, "", Effect::Answer(When::Before, answer.clone())));
        let throttled = get(&azure, &web()).await;
        assert_eq!(throttled.error(), (429, "TooManyRequests".to_owned()));
        assert_eq!(throttled.header("retry-after"), Some("7"));
        answer.body = Some("<html>".to_owned());
        azure.inject(Fault::once(Method::GET, "", Effect::Answer(When::Before, answer)));
        assert_eq!(get(&azure, &web()).await.text, "<html>");
        azure.inject(Fault::once(Method::GET, "", Effect::Truncate(9)));
        assert_eq!(get(&azure, &web()).await.text.len(), 9);
        azure.inject(Fault::once(Method::GET, "", Effect::ReplaceBody("{}".to_owned())));
        assert_eq!(get(&azure, &web()).await.text, "{}");
    }

    #[tokio::test(start_paused = true)]
    async fn latency_and_delays_are_on_both_sides_of_the_effect() {
        let azure = azure_with_zone(Settings { latency: Duration::from_secs(2), ..Settings::default() });
        let seen = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&seen);
        azure.on_change(move |view| sink.lock().unwrap().push(view.elapsed().as_secs()));
        azure.inject(Fault::once(Method::PUT, "", Effect::Delay(When::Before, Duration::from_secs(10))));
        azure.inject(Fault::once(Method::PUT, "", Effect::Delay(When::After, Duration::from_secs(100))));
        put(&azure, &web(), body()).await;
        assert_eq!(*seen.lock().unwrap(), [11]);
        assert_eq!(azure.calls()[0].answered, Some(Duration::from_secs(112)));
    }

    #[tokio::test]
    async fn a_held_request_waits_at_the_gate() {
        let azure = azure_with_zone(Settings::default());
        let gate = azure.hold(Method::PUT, "/A/web", When::Before);
        let writer = {
            let azure = azure.clone();
            tokio::spawn(async move { put(&azure, &web(), body()).await.status })
        };
        gate.reached().await;
        assert_eq!(azure.record_set(ZONE, "A", "web"), None);
        azure.put_record_set(ZONE, &RecordSetSpec::new("A", "web", &["10.9.9.9"])).unwrap();
        gate.release();
        assert_eq!(writer.await.unwrap(), StatusCode::OK);
        assert_eq!(azure.record_set(ZONE, "A", "web").unwrap().values, ["10.1.5.4"]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_is_processed_after_its_client_disconnects() {
        let azure = azure_with_zone(Settings { latency: Duration::from_secs(2), ..Settings::default() });
        let impatient = tokio::time::timeout(Duration::from_millis(500), put(&azure, &web(), body())).await;
        assert!(impatient.is_err());
        assert_eq!(azure.record_set(ZONE, "A", "web"), None);
        tokio::time::sleep(Duration::from_secs(2)).await;
        assert!(azure.record_set(ZONE, "A", "web").is_some());
    }

    #[tokio::test]
    async fn an_interceptor_sees_every_request_and_may_change_the_world() {
        let azure = azure_with_zone(Settings::default());
        let world = azure.clone();
        azure.set_interceptor(Box::new(move |call| {
            let _ = world.put_record_set(ZONE, &RecordSetSpec::new("A", "web", &["10.9.9.9"]));
            (call.sequence == 2).then_some(Effect::Drop(When::Before))
        }));
        let refused = send(&azure, Method::PUT, &web(), &[("if-none-match", "*")], body()).await;
        assert_eq!(refused.status, StatusCode::PRECONDITION_FAILED);
        assert!(get(&azure, &web()).await.dropped);
        assert!(!get(&azure, &web()).await.dropped);
    }

    #[tokio::test]
    async fn the_call_log_keeps_the_latest_and_counts_all() {
        let azure = azure_with_zone(Settings { calls_kept: 2, ..Settings::default() });
        put(&azure, &web(), body()).await;
        get(&azure, &web()).await;
        send(&azure, Method::DELETE, &web(), &[("if-match", "*")], Value::Null).await;
        let kept: Vec<_> = azure.calls().iter().map(|call| (call.sequence, call.method.clone())).collect();
        assert_eq!(kept, [(2, Method::GET), (3, Method::DELETE)]);
        assert_eq!(azure.calls_of(&Method::DELETE)[0].if_match.as_deref(), Some("*"));
        let counts: Vec<_> = azure.call_counts().into_iter().collect();
        assert_eq!(counts, [("DELETE".to_owned(), 1), ("GET".to_owned(), 1), ("PUT".to_owned(), 1)]);
        azure.clear_calls();
        assert!(azure.calls().is_empty() && azure.call_counts().is_empty());
    }

    #[tokio::test]
    async fn a_request_needs_a_token_that_was_issued_here_for_resource_manager() {
        let azure = azure_with_zone(Settings::default());
        azure.configure(|settings| settings.require_token = true);
        let token = async |resource: &str, header: &str| {
            let path = format!("/msi/token?resource={resource}&api-version=2019-08-01&client_id=c");
            send(&azure, Method::GET, &path, &[("x-identity-header", header)], Value::Null).await
        };
        let issued = token("https://management.azure.com/", "simulated-identity-header").await.json();
        assert_eq!(issued["expires_on"], (1_767_225_600 + 86_400).to_string());
        assert_eq!(issued["token_type"], "Bearer");
        assert_eq!(issued["client_id"], "c");
        let list = async |authorization: String| {
            let path = format!("{ZONES}/{ZONE}/A");
            send(&azure, Method::GET, &path, &[("authorization", authorization.as_str())], Value::Null).await
        };
        let bearer = |issued: &Value| format!("Bearer {}", issued["access_token"].as_str().unwrap());
        assert_eq!(list(bearer(&issued)).await.status, StatusCode::OK);
        assert_eq!(
            list("Bearer other".to_owned()).await.error(),
            (401, "InvalidAuthenticationToken".to_owned())
        );
        let other = token("https://vault.azure.net", "simulated-identity-header").await.json();
        assert_eq!(list(bearer(&other)).await.error().1, "InvalidAuthenticationTokenAudience");
        let refused = get(&azure, &web()).await;
        assert_eq!(refused.error(), (401, "AuthenticationFailed".to_owned()));
        assert!(refused.header("www-authenticate").is_some());
        assert_eq!(token("https://management.azure.com/", "wrong").await.status, StatusCode::UNAUTHORIZED);
        assert_eq!(azure.token_requests(), 3);
        assert_eq!(azure.calls().len(), 4, "the identity endpoint is not Resource Manager");
    }

    #[tokio::test]
    async fn over_http_a_dropped_connection_breaks_before_an_answer() {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let azure = azure_with_zone(Settings::default());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
        let server = tokio::spawn(serve(azure.clone(), listener, async move {
            let _ = stopped.await;
        }));
        let ask = async || {
            let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
            let request = format!(
                "GET {ZONES}/{ZONE}/SOA/@?api-version=2024-06-01 HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
            );
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.unwrap();
            answer
        };
        assert!(ask().await.starts_with("HTTP/1.1 200 OK"));
        azure.inject(Fault::once(Method::GET, "", Effect::Drop(When::After)));
        assert_eq!(ask().await, "");
        stop.send(()).unwrap();
        server.await.unwrap().unwrap();
    }
}
