//! The queue trigger of a Functions host: it polls a storage queue, passes each message to a custom handler, and deletes,
//! hides or poisons the message according to the response.
//!
//! Its behaviour is that observed of Microsoft's host 4.1037 with the queue extension 5.3.10:
//! - It requests up to `batchSize` messages and hides them for ten minutes; while an invocation runs, it hides its
//!   message again every five minutes. It polls again as soon as at most `newBatchThreshold` invocations run. After a
//!   poll without messages, the time until the next poll doubles from 100 ms to `maxPollingInterval`.
//! - If the handler responds 2xx with a JSON object, the message is deleted. After any other response, or none, the
//!   message is hidden for `visibilityTimeout`; after the `maxDequeueCount`th failure it is copied to `<queue>-poison`,
//!   which is created if it does not exist, and deleted.
//! - A text that does not have the `messageEncoding` goes to the poison queue without an invocation.
//! - **403 from the queue, or 429 while polling, ends the host.** Other failures of the queue do not: calls are
//!   retried three times, and polling continues. A message whose deletion failed becomes visible after its ten minutes.
//! - A host that stops cancels its invocations: their messages stay hidden for the rest of the ten minutes.
//!
//! Deliberately absent: scaling, drain mode, timeouts of functions, and the randomness of the poll interval.

mod message;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
use http::{Method, Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Collected};
use serde_json::Value;
use tokio::{
    task::{JoinHandle, JoinSet},
    time::{Instant, sleep, sleep_until},
};
use tower::ServiceExt;
use url::Url;

use self::message::QueueMessage;
use azure_simulator::ConnectionDropped;

/// How long a message is hidden while an invocation runs, and how often that is renewed.
const HIDDEN: Duration = Duration::from_mins(10);
const RENEWAL: Duration = Duration::from_mins(5);
const SHORTEST_POLL: Duration = Duration::from_millis(100);
/// The pauses of the host's client before it retries a call after a temporary failure.
const REPETITIONS: [Duration; 3] =
    [Duration::from_millis(800), Duration::from_millis(1600), Duration::from_millis(3200)];
const API_VERSION: &str = "2024-11-04";

/// The settings of `host.json`, `extensions.queues`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueOptions {
    /// How long a message is hidden after a failed invocation. Default: zero.
    pub visibility_timeout: Duration,
    /// The number of attempts for a message. Default: 5.
    pub max_dequeue_count: u64,
    /// The longest time between two polls. Default: a minute.
    pub max_polling_interval: Duration,
    /// The largest number of messages of one poll. Default: 16.
    pub batch_size: usize,
    /// While more invocations than this run, the host does not poll. Default: half of `batch_size` for each of two cores.
    pub new_batch_threshold: usize,
    /// Whether texts are Base64. Default: yes.
    pub is_base64: bool,
}

impl Default for QueueOptions {
    fn default() -> Self {
        Self {
            visibility_timeout: Duration::ZERO,
            max_dequeue_count: 5,
            max_polling_interval: Duration::from_mins(1),
            batch_size: 16,
            new_batch_threshold: 16,
            is_base64: true,
        }
    }
}

impl QueueOptions {
    /// The settings of this app's `host.json`; `None` if they are invalid, which a test rules out.
    #[must_use]
    pub fn of_this_app() -> Option<Self> {
        Self::from_host_json(&serde_json::from_str(include_str!("../../host.json")).ok()?)
    }

    /// Reads a whole `host.json`; `None` if a value has the wrong format.
    #[must_use]
    pub fn from_host_json(host: &Value) -> Option<Self> {
        let defaults = Self::default();
        let options = host.pointer("/extensions/queues").unwrap_or(&Value::Null);
        let time = |name: &str, default: Duration| match options.get(name) {
            None => Some(default),
            Some(value) => time_span(value.as_str()?),
        };
        let count = |name: &str, default: usize| match options.get(name) {
            None => Some(default),
            Some(value) => usize::try_from(value.as_u64()?).ok(),
        };
        let batch_size = count("batchSize", defaults.batch_size)?;
        let most_tries = count("maxDequeueCount", usize::try_from(defaults.max_dequeue_count).ok()?)?;
        Some(Self {
            visibility_timeout: time("visibilityTimeout", defaults.visibility_timeout)?,
            max_dequeue_count: u64::try_from(most_tries).ok()?,
            max_polling_interval: time("maxPollingInterval", defaults.max_polling_interval)?,
            batch_size,
            new_batch_threshold: count("newBatchThreshold", batch_size / 2 * 2)?,
            is_base64: match options.get("messageEncoding") {
                None => true,
                Some(encoding) => match encoding.as_str()? {
                    "base64" => true,
                    "none" => false,
                    _ => return None,
                },
            },
        })
    }
}

/// `hh:mm:ss`, with optional days before it and optional fractions after it.
fn time_span(text: &str) -> Option<Duration> {
    let (days, clock) = text.split_once('.').filter(|(days, _)| !days.contains(':')).unwrap_or(("0", text));
    let mut parts = clock.split(':');
    let mut next = || parts.next()?.parse::<u64>().ok();
    let (hours, minutes) = (next()?, next()?);
    let seconds: f64 = parts.next()?.parse().ok()?;
    let whole = Duration::from_secs(days.parse::<u64>().ok()? * 86_400 + hours * 3600 + minutes * 60);
    parts.next().is_none().then_some(whole + Duration::try_from_secs_f64(seconds).ok()?)
}

/// A queue, and the function that it triggers.
#[derive(Clone, Debug)]
pub struct QueueTrigger {
    /// The queue, with a signature in the query if the service requires one.
    pub queue: Url,
    /// The name of the function, which is its path at the handler.
    pub function: String,
    /// The name of the trigger's binding in `function.json`.
    pub binding: String,
    /// The settings of the host.
    pub options: QueueOptions,
}

/// The result of one message that was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueueInvocation {
    /// The id of the message.
    pub message_id: String,
    /// The text of the message as passed to the function.
    pub text: String,
    /// How often the message was received, including this time.
    pub dequeue_count: u64,
    /// The status of the handler's response; `None` if the function was not invoked.
    pub status: Option<u16>,
    /// What the host did with the message.
    pub fate: Fate,
}

/// What the host did with a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// The invocation succeeded, and the message was deleted.
    Deleted,
    /// The invocation failed, and the message becomes visible again.
    Hidden,
    /// The last attempt failed, or the text is not readable, and the message was moved to the poison queue.
    Poisoned,
    /// The call to the queue failed, so the message becomes visible again after its ten minutes.
    Lost,
}

/// Why the host ended.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
#[error("the queue answered {status} while the host was {doing}, which ends the host")]
pub struct HostEnded {
    /// The call of the host.
    pub doing: &'static str,
    /// The status of the queue's response.
    pub status: u16,
}

/// A host that runs one function. Clones are the same host.
#[derive(Clone)]
pub struct QueueHost {
    trigger: Arc<QueueTrigger>,
    service: Router,
    handler: Router,
    invocations: Arc<Mutex<Vec<QueueInvocation>>>,
    count: Arc<AtomicU64>,
}

impl fmt::Debug for QueueHost {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("QueueHost").field("trigger", &self.trigger).finish_non_exhaustive()
    }
}

/// A host that runs until it is stopped or ends by itself.
#[derive(Debug)]
pub struct RunningHost(JoinHandle<HostEnded>);

impl RunningHost {
    /// Stops the host and cancels its invocations: their messages become visible after their ten minutes.
    pub fn stop(&self) {
        self.0.abort();
    }

    /// Whether the host has ended, by itself or because it was stopped.
    #[must_use]
    pub fn has_ended(&self) -> bool {
        self.0.is_finished()
    }

    /// Waits until the host ends, and returns why; `None` if it was stopped.
    pub async fn ended(mut self) -> Option<HostEnded> {
        (&mut self.0).await.ok()
    }
}

impl Drop for RunningHost {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The response of the queue to a successful call.
struct Done {
    pop_receipt: Option<String>,
    body: String,
}

impl QueueHost {
    /// A host that receives messages from the queue of a service and invokes a function of a handler.
    #[must_use]
    pub fn new(trigger: QueueTrigger, service: Router, handler: Router) -> Self {
        let (invocations, count) = (Arc::default(), Arc::default());
        Self { trigger: Arc::new(trigger), service, handler, invocations, count }
    }

    /// The results of the messages so far, in the order of completion.
    #[must_use]
    pub fn invocations(&self) -> Vec<QueueInvocation> {
        self.invocations.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts the host on the current runtime.
    #[must_use]
    pub fn start(&self) -> RunningHost {
        let host = self.clone();
        RunningHost(tokio::spawn(async move { host.run().await }))
    }

    /// Runs the host until it ends by itself.
    pub async fn run(&self) -> HostEnded {
        let options = &self.trigger.options;
        let longest = options.max_polling_interval.max(SHORTEST_POLL);
        // Invocations end with the host.
        let mut running = JoinSet::new();
        let (mut pause, mut next_poll) = (SHORTEST_POLL, Instant::now());
        loop {
            tokio::select! {
                () = sleep_until(next_poll), if running.len() <= options.new_batch_threshold => {
                    let messages = match self.poll().await {
                        Ok(messages) => messages,
                        Err(ended) => return ended,
                    };
                    pause = if messages.is_empty() { (pause * 2).min(longest) } else { SHORTEST_POLL };
                    next_poll = Instant::now() + pause;
                    for message in messages {
                        let host = self.clone();
                        running.spawn(async move { host.finish(message).await });
                    }
                }
                Some(finished) = running.join_next() => {
                    if let Ok(Err(ended)) = finished {
                        return ended;
                    }
                }
            }
        }
    }

    /// Receives visible messages.
    async fn poll(&self) -> Result<Vec<QueueMessage>, HostEnded> {
        let parameters = [
            ("numofmessages", self.trigger.options.batch_size.to_string()),
            ("visibilitytimeout", HIDDEN.as_secs().to_string()),
        ];
        let url = self.address("", "/messages", &parameters);
        let done = self.call("fetching messages", Method::GET, &url, None).await?;
        Ok(done.map(|done| message::read_list(&done.body)).unwrap_or_default())
    }

    /// Invokes the function with a message, and deletes, hides or poisons the message according to the response.
    async fn finish(&self, mut message: QueueMessage) -> Result<(), HostEnded> {
        let options = &self.trigger.options;
        let decoded = message.decoded(options.is_base64);
        let text = decoded.clone().unwrap_or_else(|| message.text.clone());
        let status = match &decoded {
            Some(text) => Some(self.invoke_and_renew(&mut message, text).await?),
            None => None,
        };
        let fate = match status {
            Some(status) if (200..300).contains(&status) => {
                self.delete(&message).await?.map_or(Fate::Lost, |()| Fate::Deleted)
            }
            Some(_) if message.dequeue_count < options.max_dequeue_count => {
                let hidden = options.visibility_timeout;
                self.hide("hiding a failed message", &mut message, hidden)
                    .await?
                    .map_or(Fate::Lost, |()| Fate::Hidden)
            }
            _ => self.poison(&message).await?.map_or(Fate::Lost, |()| Fate::Poisoned),
        };
        let (message_id, dequeue_count) = (message.id, message.dequeue_count);
        let invocation = QueueInvocation { message_id, text, dequeue_count, status, fate };
        self.invocations.lock().unwrap_or_else(PoisonError::into_inner).push(invocation);
        Ok(())
    }

    /// Returns the status of an invocation: 500 if the host does not accept the response.
    async fn invoke_and_renew(&self, message: &mut QueueMessage, text: &str) -> Result<u16, HostEnded> {
        let body = message.invocation_body(&self.trigger.function, &self.trigger.binding, text);
        let mut invocation = std::pin::pin!(self.invoke(body));
        loop {
            tokio::select! {
                status = &mut invocation => return Ok(status),
                () = sleep(RENEWAL) => {
                    self.hide("renewing a message", message, HIDDEN).await?;
                }
            }
        }
    }

    async fn invoke(&self, body: Value) -> u16 {
        let number = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let request = Request::post(format!("/{}", self.trigger.function))
            .header("x-azure-functions-invocationid", format!("00000000-0000-0000-0001-{number:012}"))
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .body(Body::from(body.to_string()));
        let Ok(request) = request else { return StatusCode::INTERNAL_SERVER_ERROR.as_u16() };
        let response = self.handler.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        let status = response.status();
        let body = response.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
        let is_object = serde_json::from_slice::<Value>(&body).is_ok_and(|body| body.is_object());
        let is_understood = !status.is_success() || is_object;
        if is_understood { status.as_u16() } else { StatusCode::INTERNAL_SERVER_ERROR.as_u16() }
    }

    /// Deletes a message; `None` if the queue failed.
    async fn delete(&self, message: &QueueMessage) -> Result<Option<()>, HostEnded> {
        let url = self.message_address(message, &[]);
        self.change("deleting a message", Method::DELETE, &url, None).await
    }

    /// Hides a message for a time from now on.
    async fn hide(
        &self,
        doing: &'static str,
        message: &mut QueueMessage,
        hidden: Duration,
    ) -> Result<Option<()>, HostEnded> {
        let timeout = [("visibilitytimeout", hidden.as_secs().to_string())];
        let url = self.message_address(message, &timeout);
        let Some(done) = self.call(doing, Method::PUT, &url, None).await? else { return Ok(None) };
        message.pop_receipt = done.pop_receipt.unwrap_or_default();
        Ok(Some(()))
    }

    /// Copies a message to the poison queue and deletes it.
    async fn poison(&self, message: &QueueMessage) -> Result<Option<()>, HostEnded> {
        let doing = "copying a message to the poison queue";
        let url = self.address("-poison", "/messages", &[]);
        let body = message::document(&message.text);
        let mut copied = self.change(doing, Method::POST, &url, Some(&body)).await?;
        if copied.is_none() {
            let queue = self.address("-poison", "", &[]);
            if self.change("creating the poison queue", Method::PUT, &queue, None).await?.is_some() {
                copied = self.change(doing, Method::POST, &url, Some(&body)).await?;
            }
        }
        match copied {
            Some(()) => self.delete(message).await,
            None => Ok(None),
        }
    }

    async fn change(
        &self,
        doing: &'static str,
        method: Method,
        url: &Url,
        body: Option<&str>,
    ) -> Result<Option<()>, HostEnded> {
        Ok(self.call(doing, method, url, body).await?.map(drop))
    }

    /// Calls the queue, and retries temporary failures. `None` if the queue failed and the host continues.
    async fn call(
        &self,
        doing: &'static str,
        method: Method,
        url: &Url,
        body: Option<&str>,
    ) -> Result<Option<Done>, HostEnded> {
        let mut repetitions = REPETITIONS.iter();
        loop {
            let Some(request) = request(&method, url, body) else { return Ok(None) };
            let status = match self.send(request).await {
                Some((status, done)) if status.is_success() => return Ok(Some(done)),
                Some((status, _)) => Some(status),
                None => None,
            };
            let is = |expected| status == Some(expected);
            let may_pass = status.is_none_or(|status| status.is_server_error());
            if (may_pass || is(StatusCode::TOO_MANY_REQUESTS))
                && let Some(pause) = repetitions.next()
            {
                sleep(*pause).await;
                continue;
            }
            let ends_host =
                is(StatusCode::FORBIDDEN) || is(StatusCode::TOO_MANY_REQUESTS) && method == Method::GET;
            return match status.filter(|_| ends_host) {
                Some(status) => Err(HostEnded { doing, status: status.as_u16() }),
                None => Ok(None),
            };
        }
    }

    /// The queue's response; `None` if there is none.
    async fn send(&self, request: Request<Body>) -> Option<(StatusCode, Done)> {
        let response = self.service.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        if response.extensions().get::<ConnectionDropped>().is_some() {
            return None;
        }
        let status = response.status();
        let receipt = response.headers().get("x-ms-popreceipt").and_then(|value| value.to_str().ok());
        let pop_receipt = receipt.map(str::to_owned);
        let body = response.into_body().collect().await.ok()?.to_bytes();
        Some((status, Done { pop_receipt, body: String::from_utf8(body.to_vec()).ok()? }))
    }

    /// The URL of the queue with this suffix of its name, and of a path below it.
    fn address(&self, suffix: &str, below: &str, parameters: &[(&str, String)]) -> Url {
        let mut url = self.trigger.queue.clone();
        let path = format!("{}{suffix}{below}", url.path().trim_end_matches('/'));
        url.set_path(&path);
        if !parameters.is_empty() {
            url.query_pairs_mut().extend_pairs(parameters);
        }
        url
    }

    fn message_address(&self, message: &QueueMessage, parameters: &[(&str, String)]) -> Url {
        let mut all = vec![("popreceipt", message.pop_receipt.clone())];
        all.extend(parameters.iter().cloned());
        self.address("", &format!("/messages/{}", message.id), &all)
    }
}

fn request(method: &Method, url: &Url, body: Option<&str>) -> Option<Request<Body>> {
    let request = Request::builder().method(method).uri(url.as_str()).header("x-ms-version", API_VERSION);
    request.body(Body::from(body.unwrap_or_default().to_owned())).ok()
}
