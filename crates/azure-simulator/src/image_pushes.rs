//! Pushes of images, and how registries report them: the event of Event Grid, and the webhooks of registries.
//!
//! The forms are those of the documented samples
//! (<https://learn.microsoft.com/azure/event-grid/event-schema-container-registry>,
//! <https://learn.microsoft.com/azure/container-registry/container-registry-webhook-reference>,
//! <https://docs.docker.com/docker-hub/repos/manage/webhooks/>, `payload-examples` of octokit/webhooks). A push returns
//! them all; the caller delivers those that it wants, when and as often as it wants.

use serde_json::{Value, json};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::events::cloud_event;
use super::images::{ImageName, digest_of};
use super::resource_ids::DEFAULT_SUBSCRIPTION;
use super::{Azure, World};

const MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// An image to be pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PushSpec {
    image: String,
    digest: Option<String>,
    time: Option<String>,
}

impl PushSpec {
    /// A push of `host/repository:tag`, or of `host/repository@digest` without a tag, now.
    #[must_use]
    pub fn new(image: &str) -> Self {
        Self { image: image.to_owned(), digest: None, time: None }
    }

    /// Sets the digest; by default it is one that no other push has.
    #[must_use]
    pub fn with_digest(self, digest: &str) -> Self {
        Self { digest: Some(digest.to_owned()), ..self }
    }

    /// Sets the time that the registry reports, as in RFC 3339. The image is there at once.
    #[must_use]
    pub fn at(self, time: &str) -> Self {
        Self { time: Some(time.to_owned()), ..self }
    }
}

/// A push that no registry would accept.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
pub enum PushError {
    /// The name has no repository, or contains white space.
    #[error("'{0}' is not the name of an image, such as demo.azurecr.io/app:v1")]
    Name(String),
    /// The time is not one of RFC 3339.
    #[error("'{0}' is not a time, such as 2026-01-01T00:00:00Z")]
    Time(String),
}

/// A push, as its registry reports it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImagePush {
    /// Host of the registry.
    pub host: String,
    /// Repository, without the host.
    pub repository: String,
    /// Tag; empty for a push by digest.
    pub tag: String,
    /// Digest of the manifest.
    pub digest: String,
    /// The reported time, as in RFC 3339.
    pub time: String,
    unix_seconds: i64,
    ids: [String; 3],
}

impl ImagePush {
    /// The name of the image, with its tag or else its digest.
    #[must_use]
    pub fn image(&self) -> String {
        match self.tag.as_str() {
            "" => format!("{}/{}@{}", self.host, self.repository, self.digest),
            tag => format!("{}/{}:{tag}", self.host, self.repository),
        }
    }

    /// `Microsoft.ContainerRegistry.ImagePushed` in Event Grid schema.
    #[must_use]
    pub fn event(&self) -> Value {
        let registry = self.host.split('.').next().unwrap_or_default();
        let subject = match self.tag.as_str() {
            "" => format!("{}@{}", self.repository, self.digest),
            tag => format!("{}:{tag}", self.repository),
        };
        json!({
            "id": self.ids[0],
            "topic": format!(
                "/subscriptions/{DEFAULT_SUBSCRIPTION}/resourceGroups/rg-registry\
                 /providers/Microsoft.ContainerRegistry/registries/{registry}"
            ),
            "subject": subject,
            "eventType": "Microsoft.ContainerRegistry.ImagePushed",
            "eventTime": self.time,
            "data": self.acr_webhook(),
            "dataVersion": "1.0",
            "metadataVersion": "1",
        })
    }

    /// The same event in the schema of `CloudEvents` 1.0.
    #[must_use]
    pub fn cloud_event(&self) -> Value {
        cloud_event(&self.event())
    }

    /// The webhook of Azure Container Registry, which is the `data` of the event.
    #[must_use]
    pub fn acr_webhook(&self) -> Value {
        json!({
            "id": self.ids[1],
            "timestamp": self.time,
            "action": "push",
            "target": {
                "mediaType": MANIFEST,
                "size": 3023,
                "digest": self.digest,
                "length": 3023,
                "repository": self.repository,
                "tag": self.tag,
            },
            "request": {
                "id": self.ids[2],
                "host": self.host,
                "method": "PUT",
                "useragent": "docker/28.3.3 go/go1.24.5 os/linux arch/amd64",
            },
        })
    }

    /// The webhook of Docker Hub, which has no digest.
    #[must_use]
    pub fn docker_hub_webhook(&self) -> Value {
        let (namespace, name) = self.repository.split_once('/').unwrap_or(("library", &self.repository));
        json!({
            "callback_url": format!("https://registry.hub.docker.com/u/{namespace}/{name}/hook/{}/", self.ids[1]),
            "push_data": {"pushed_at": self.unix_seconds, "pusher": namespace, "tag": self.tag},
            "repository": {
                "comment_count": 0,
                "date_created": 1_700_000_000,
                "description": "",
                "dockerfile": "",
                "full_description": "",
                "is_official": false,
                "is_private": true,
                "is_trusted": false,
                "name": name,
                "namespace": namespace,
                "owner": namespace,
                "repo_name": format!("{namespace}/{name}"),
                "repo_url": format!("https://registry.hub.docker.com/r/{namespace}/{name}"),
                "star_count": 0,
                "status": "Active",
            },
        })
    }

    /// The body of GitHub's webhook. Its header is `X-GitHub-Event: package`.
    #[must_use]
    pub fn github_webhook(&self) -> Value {
        let (owner, name) = self.repository.split_once('/').unwrap_or(("contoso", &self.repository));
        json!({
            "action": "published",
            "package": {
                "id": 10_696_678,
                "name": name,
                "namespace": owner,
                "description": "",
                "ecosystem": "CONTAINER",
                "package_type": "CONTAINER",
                "html_url": format!("https://github.com/{owner}/packages/10696678"),
                "created_at": "2024-01-01T00:00:00Z",
                "updated_at": self.time,
                "owner": {"login": owner, "id": 9_919, "type": "Organization"},
                "package_version": {
                    "id": 41_054_432,
                    "version": self.digest,
                    "name": self.digest,
                    "created_at": self.time,
                    "updated_at": self.time,
                    "container_metadata": {
                        "tag": {"name": self.tag, "digest": self.digest},
                        "labels": {},
                        "manifest": {"digest": self.digest, "media_type": MANIFEST, "size": 3023},
                    },
                    "package_url": format!("{}/{}:{}", self.host, self.repository, self.tag),
                },
                "registry": null,
            },
            "repository": {"id": 1, "name": name, "full_name": self.repository, "owner": {"login": owner}},
            "sender": {"login": owner, "type": "User"},
        })
    }

    /// The generic form of `aci-dns`.
    #[must_use]
    pub fn generic_webhook(&self) -> Value {
        json!({"image": self.image(), "digest": self.digest})
    }

    /// All forms.
    pub(super) fn forms(&self) -> Value {
        json!({
            "image": self.image(),
            "digest": self.digest,
            "time": self.time,
            "event": self.event(),
            "cloudEvent": self.cloud_event(),
            "webhooks": {
                "acr": self.acr_webhook(),
                "dockerHub": self.docker_hub_webhook(),
                "gitHub": self.github_webhook(),
                "generic": self.generic_webhook(),
            },
        })
    }
}

/// The value of GitHub's header `X-Hub-Signature-256` for a body
/// (<https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries>).
#[must_use]
pub fn github_signature(secret: &str, body: &[u8]) -> String {
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, secret.as_bytes());
    let tag = ring::hmac::sign(&key, body);
    tag.as_ref().iter().fold("sha256=".to_owned(), |hex, byte| format!("{hex}{byte:02x}"))
}

impl Azure {
    /// Pushes an image: from now on its tag names the digest. Groups that run stay as they are.
    pub fn push_image(&self, spec: &PushSpec) -> Result<ImagePush, PushError> {
        self.world().push(spec)
    }
}

impl World {
    fn push(&mut self, spec: &PushSpec) -> Result<ImagePush, PushError> {
        let name = ImageName::parse(&spec.image).ok_or_else(|| PushError::Name(spec.image.clone()))?;
        let time = spec.time.clone().unwrap_or_else(|| self.timestamp());
        let parsed = OffsetDateTime::parse(&time, &Rfc3339).map_err(|_| PushError::Time(time.clone()))?;
        let ids = [self.push_ids.guid(), self.push_ids.guid(), self.push_ids.guid()];
        let digest = spec.digest.clone().or_else(|| name.digest.clone());
        let digest = digest.unwrap_or_else(|| digest_of(&format!("{} {}", spec.image, ids[0])));
        if !name.tag.is_empty() {
            self.images.store(&name, &digest);
        }
        let unix_seconds = parsed.unix_timestamp();
        Ok(ImagePush {
            host: name.host,
            repository: name.repository,
            tag: name.tag,
            digest,
            time,
            unix_seconds,
            ids,
        })
    }
}
