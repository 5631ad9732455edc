//! Pushes of images in a replay: which of its documents are pushes, and how the app of image updates gets them.

use serde_json::{Value, json};
use time::OffsetDateTime;

use super::stage::{IMAGE_PUSHED, IMAGE_WEBHOOK, Stage};
use crate::{
    config::Settings,
    domain::event::{self, Given},
    images::{
        payloads::{self, Payload, PayloadError},
        push::Push,
    },
};
use azure_simulator::{Azure, PushSpec};

/// The retry queue of the app of image updates in the embedded Azure. The app for DNS has another one.
const QUEUE: &str = "aci-dns-image-retry";

/// The app of image updates beside that for DNS: the same settings with a queue of its own. `None` where the settings
/// map no images.
pub(super) fn stage(
    settings: &Settings,
    azure: &Azure,
    observe: impl Fn(Settings) -> Stage,
) -> Option<Stage> {
    settings.images.as_ref()?;
    let queue = azure.queue_url(super::QUEUE_ORIGIN, QUEUE);
    let retry_queue = settings.retry_queue.as_ref().and_then(|_| queue.parse().ok());
    Some(observe(Settings { retry_queue, ..settings.clone() }).of_image_updates())
}

/// A document that is no event of a container group but a push: an event of a registry, or the body of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum PushDocument {
    Event,
    Webhook,
}

impl PushDocument {
    /// What a document is; `None` if it is no push.
    pub(super) fn of(document: &Value) -> Option<Self> {
        let kind = ["eventType", "type"].iter().find_map(|name| document.get(name)?.as_str());
        if kind.is_some_and(|kind| kind.to_ascii_lowercase().starts_with("microsoft.containerregistry.")) {
            return Some(Self::Event);
        }
        let is_event = document.get("eventType").is_some() || document.get("specversion").is_some();
        let read = payloads::webhook(&document.to_string(), None, OffsetDateTime::UNIX_EPOCH);
        (!is_event && !matches!(read, Err(PayloadError::UnknownForm))).then_some(Self::Webhook)
    }

    /// Makes the push happen in the embedded Azure, and delivers it.
    pub(super) async fn deliver(self, stage: &Stage, document: &Value) {
        if let Some(push) = self.push(document) {
            let spec = PushSpec::new(&push.image());
            let spec = push.digest.iter().fold(spec, |spec, digest| spec.with_digest(digest));
            if let Err(error) = stage.azure.push_image(&spec) {
                tracing::debug!(%error, "the embedded Azure does not know the image");
            }
        }
        match self {
            Self::Event => drop(stage.invoke(IMAGE_PUSHED, document).await),
            Self::Webhook => drop(stage.post(IMAGE_WEBHOOK, &webhook(document)).await),
        }
    }

    fn push(self, document: &Value) -> Option<Push> {
        let far = OffsetDateTime::UNIX_EPOCH;
        let read = match self {
            Self::Webhook => payloads::webhook(&document.to_string(), None, far),
            Self::Event => {
                let Given { event, value } = event::read_given(document.clone()).pop()?;
                payloads::event(&event.ok()?.id, &value, None, far)
            }
        };
        match read {
            Ok(Payload::Push(push)) => Some(push),
            Ok(Payload::Ignored(_)) | Err(_) => None,
        }
    }
}

/// What the Functions host POSTs for a webhook.
pub(super) fn webhook(body: &Value) -> Value {
    let request = json!({
        "Url": "http://localhost/api/images", "Method": "POST", "Query": {}, "Params": {},
        "Headers": {"Content-Type": ["application/json"]}, "Identities": [], "Body": body.to_string(),
    });
    json!({ "Data": { "req": request }, "Metadata": {} })
}
