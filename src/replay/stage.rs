//! A handler on a simulator in this process: the real router and the real Resource Manager client, without a socket.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{Router, body::Body};
use http::{Request, Response, header::CONTENT_TYPE};
use http_body_util::{BodyExt, Collected};
use serde_json::{Map, Value, json};
use tokio::time::Instant;
use tower::ServiceExt;
use tracing::Subscriber;

use super::queue_trigger::{QueueHost, QueueOptions, QueueTrigger, RunningHost};
use crate::{
    azure::{
        arm::{Arm, ArmSettings},
        http_transport::HttpTransport,
        tokens::Tokens,
    },
    config::{LogFilter, MissingSubscription, Settings},
    doctor::{self, Diagnosis},
    functions::Functions,
    reconcile::Clock,
    telemetry::{self, Telemetry},
};
use azure_simulator::{Azure, CertificateRefused, ConnectionDropped};

pub use crate::decide::report::{
    IMAGE_PUSHED, IMAGE_RETRY, IMAGE_WEBHOOK, RECONCILE, RETRY, SWEEP, TRACK_DRIFT,
};

/// A simulator, and one instance of the handler that uses it.
#[derive(Clone, Debug)]
pub struct Stage {
    /// The simulator.
    pub azure: Azure,
    /// The parts of the handler.
    pub functions: Functions,
    arm: Arm,
    settings: Settings,
    router: Router,
    /// The function that finishes unfinished work.
    retry: &'static str,
    /// The number of invocations, from which their ids are derived.
    invocations: Arc<AtomicU64>,
}

/// The response of the handler to one invocation.
#[derive(Clone, Debug)]
pub struct HandlerAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The body.
    pub body: Value,
}

impl Stage {
    /// Starts an instance of the handler. Several instances may share a simulator.
    #[must_use]
    pub fn new(settings: Settings, azure: Azure) -> Self {
        Self::observed(settings, azure, &Telemetry::default())
    }

    /// The same, with a listener for the outcome of each event.
    #[must_use]
    pub fn observed(settings: Settings, azure: Azure, telemetry: &Telemetry) -> Self {
        azure.configure(|settings| settings.require_token = false);
        let arm = Arm::new(ArmSettings::of(&settings, 1), http_transport(&azure), Tokens::fixed("embedded"));
        let watch = azure.clone();
        let clock = Clock::new(move || watch.unix_seconds());
        let functions = Functions::new(settings.clone(), arm.clone(), clock);
        let router = functions.router(telemetry);
        let retry = if settings.zones.key_count() > 0 { RETRY } else { IMAGE_RETRY };
        Self { router, functions, arm, settings, retry, azure, invocations: Arc::default() }
    }

    /// Invokes a function with an event (or an array of events) as the Functions host does.
    ///
    /// # Panics
    ///
    /// If the function's name is not valid in a path.
    pub async fn invoke(&self, function: &str, event: &Value) -> HandlerAnswer {
        self.post(function, &envelope(function, event)).await
    }

    /// Runs the preflight.
    pub async fn examine(
        &self,
        principal: Option<&str>,
        deadline: Instant,
    ) -> Result<Diagnosis, MissingSubscription> {
        doctor::examine(&self.arm, &self.settings, principal, deadline).await
    }

    /// Invokes the sweep, as its timer does.
    pub async fn sweep(&self) -> HandlerAnswer {
        self.post(SWEEP, &tick(SWEEP)).await
    }

    /// Invokes the retry function with a message of the retry queue, as the Functions host does.
    pub async fn retry(&self, message: &Value) -> HandlerAnswer {
        let literal = Value::String(message.to_string()).to_string();
        let metadata = json!({ "DequeueCount": "1" });
        self.post(self.retry, &json!({ "Data": { "retry": literal }, "Metadata": metadata })).await
    }

    /// The queue trigger of a Functions host for the retry queue; `None` if the settings contain no queue.
    #[must_use]
    pub fn queue_host(&self, options: QueueOptions) -> Option<QueueHost> {
        let trigger = QueueTrigger {
            queue: self.settings.retry_queue.clone()?,
            function: self.retry.to_owned(),
            binding: "retry".to_owned(),
            options,
        };
        Some(QueueHost::new(trigger, self.azure.router(), self.router.clone()))
    }

    /// The same as the app of image updates: its retry queue holds pushes.
    #[must_use]
    pub fn of_image_updates(self) -> Self {
        Self { retry: IMAGE_RETRY, ..self }
    }

    /// Starts the queue trigger with the settings of this app's `host.json`; `None` if the settings contain no queue.
    #[must_use]
    pub fn start_queue_host(&self) -> Option<RunningHost> {
        Some(self.queue_host(QueueOptions::of_this_app()?)?.start())
    }

    /// Invokes a function with the whole body that the Functions host would send.
    ///
    /// # Panics
    ///
    /// When the function's name cannot stand in a path.
    pub async fn post(&self, function: &str, body: &Value) -> HandlerAnswer {
        let invocation = self.invocations.fetch_add(1, Ordering::Relaxed) + 1;
        let request = Request::post(format!("/{function}"))
            .header("x-azure-functions-invocationid", format!("00000000-0000-0000-0000-{invocation:012}"))
            .header(CONTENT_TYPE, "application/json; charset=utf-8")
            .body(Body::from(body.to_string()))
            .expect("a function's name is valid in a path");
        let response = self.router.clone().oneshot(request).await.unwrap_or_else(|never| match never {});
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.map(Collected::to_bytes).unwrap_or_default();
        HandlerAnswer { status, body: serde_json::from_slice(&body).unwrap_or(Value::Null) }
    }
}

/// The body of the Functions host's request to a custom handler for a timer.
#[must_use]
pub fn tick(function: &str) -> Value {
    let system = json!({ "MethodName": function, "UtcNow": "2026-01-01T00:00:00Z", "RandGuid": "replay" });
    let timer = json!({ "Schedule": { "AdjustForDST": true }, "ScheduleStatus": null, "IsPastDue": false });
    json!({ "Data": { "timer": timer }, "Metadata": { "sys": system } })
}

/// The body of the Functions host's request to a custom handler for an Event Grid trigger.
#[must_use]
pub fn envelope(function: &str, event: &Value) -> Value {
    let system = json!({ "MethodName": function, "UtcNow": "2026-01-01T00:00:00Z", "RandGuid": "replay" });
    let mut metadata = json!({ "sys": system });
    if let (Some(data), Some(metadata)) = (event.get("data"), metadata.as_object_mut()) {
        metadata.insert("data".to_owned(), data.clone());
    }
    json!({ "Data": { "eventGridEvent": event }, "Metadata": metadata })
}

/// The simulator as the client's network.
fn http_transport(azure: &Azure) -> HttpTransport {
    let router = azure.router();
    HttpTransport::embedded(tower::service_fn(move |request: Request<Body>| {
        let router = router.clone();
        async move {
            let response: Response<Body> =
                router.oneshot(request).await.unwrap_or_else(|never| match never {});
            let extensions = response.extensions();
            if extensions.get::<ConnectionDropped>().is_some() {
                return Err(io::Error::from(io::ErrorKind::ConnectionReset));
            }
            if extensions.get::<CertificateRefused>().is_some() {
                let unknown = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
                return Err(io::Error::new(io::ErrorKind::InvalidData, unknown));
            }
            Ok(response)
        }
    }))
}

/// The log lines of a handler, as on its stdout.
#[derive(Clone, Debug, Default)]
pub struct Lines(Arc<Mutex<Vec<Map<String, Value>>>>);

impl Lines {
    /// A subscriber that collects the log lines.
    #[must_use]
    pub fn subscriber(&self, filter: &LogFilter) -> impl Subscriber + Send + Sync {
        let lines = self.clone();
        telemetry::subscriber(filter, move |line| {
            if let Ok(Value::Object(line)) = serde_json::from_str(line) {
                lines.0.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            }
        })
    }

    /// The lines since the last call.
    #[must_use]
    pub fn take(&self) -> Vec<Map<String, Value>> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
