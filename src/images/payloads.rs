//! What senders of pushes say: events of Event Grid, and webhooks of registries.
//!
//! Each sender is recognized by the form of its payload. A payload chooses no host that is called: it only names an
//! image, which container groups use or not.
//!
//! Rules: a push without a tag (an empty one, or a tag that is the digest itself) is a push of the digest alone. Names
//! compare in lower case. What is well-formed but no push of an image is ignored; everything else is refused with the
//! place in the payload.
//!
//! Sources: <https://learn.microsoft.com/azure/event-grid/event-schema-container-registry>,
//! <https://learn.microsoft.com/azure/container-registry/container-registry-webhook-reference>,
//! <https://docs.docker.com/docker-hub/repos/manage/webhooks/>,
//! <https://docs.github.com/webhooks/webhook-events-and-payloads#package>.

use serde_json::Value;
use time::OffsetDateTime;

use super::push::{Push, bounded, moment};
use crate::domain::image::{ImageReference, Repository, is_digest, is_tag};

/// The type of the events of Event Grid that are pushes.
pub const IMAGE_PUSHED: &str = "Microsoft.ContainerRegistry.ImagePushed";

/// The registry whose webhooks are GitHub's.
const GITHUB: &str = "ghcr.io";

/// The registry whose webhooks are Docker Hub's.
const DOCKER_HUB: &str = "docker.io";

/// What a payload says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// An image was pushed.
    Push(Push),
    /// Something else happened.
    Ignored(String),
}

/// Why a payload cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum PayloadError {
    /// Text that is not JSON.
    #[error("the body is not JSON")]
    NotJson(#[source] serde_json::Error),
    /// JSON of no known form.
    #[error(
        "the body is no webhook of Azure Container Registry, Docker Hub or GitHub, and has no member \"image\", as in {{\"image\":\"<host>/<repository>:<tag>\",\"digest\":\"sha256:...\"}}"
    )]
    UnknownForm,
    /// A member is missing, or has the wrong form.
    #[error("{place} is missing, or is not {rule}")]
    Member {
        /// The place in the payload, such as `target.repository`.
        place: String,
        /// What should stand there.
        rule: &'static str,
    },
}

const REPOSITORY: &str = "the name of a repository";
const TAG: &str = "a tag";
const DIGEST: &str = "a digest, such as sha256: and 64 hexadecimal digits";
const HOST: &str = "the host of a registry";

/// Reads the data of an event of Event Grid whose type is [`IMAGE_PUSHED`]. `time` is that of the event.
pub fn event(
    id: &str,
    value: &Value,
    time: Option<&str>,
    arrival: OffsetDateTime,
) -> Result<Payload, PayloadError> {
    let time = text(value, "data.timestamp").or(time);
    registry(value, "data.", Some(id), time, arrival)
}

/// Reads the body of a webhook. `github_event` is the value of the header `X-GitHub-Event`.
pub fn webhook(
    body: &str,
    github_event: Option<&str>,
    arrival: OffsetDateTime,
) -> Result<Payload, PayloadError> {
    let value: Value = serde_json::from_str(body).map_err(PayloadError::NotJson)?;
    let has = |place| at(&value, place).is_some_and(Value::is_object);
    let is_package = has("package") || has("registry_package");
    if github_event.is_some() || is_package {
        github(&value, github_event, arrival)
    } else if has("push_data") && has("repository") {
        docker_hub(&value, arrival)
    } else if text(&value, "action").is_some() && (has("target") || has("request")) {
        registry_webhook(&value, arrival)
    } else if at(&value, "zen").is_some() && at(&value, "hook_id").is_some() {
        Ok(Payload::Ignored("a ping of GitHub".to_owned()))
    } else if at(&value, "image").is_some() {
        generic(&value, arrival)
    } else {
        Err(PayloadError::UnknownForm)
    }
}

/// The object that Event Grid has as `data`.
fn registry_webhook(value: &Value, arrival: OffsetDateTime) -> Result<Payload, PayloadError> {
    match text(value, "action") {
        Some("push") => registry(value, "", text(value, "id"), text(value, "timestamp"), arrival),
        action => Ok(Payload::Ignored(format!("the action {:?} is no push", action.unwrap_or_default()))),
    }
}

fn registry(
    value: &Value,
    prefix: &str,
    id: Option<&str>,
    time: Option<&str>,
    arrival: OffsetDateTime,
) -> Result<Payload, PayloadError> {
    let place = |name: &str| format!("{prefix}{name}");
    let host = required(value, &place("request.host"), HOST)?;
    let repository = required(value, &place("target.repository"), REPOSITORY)?;
    let repository = repository_of(host, repository, &place("target.repository"))?;
    let names = (place("target.tag"), place("target.digest"));
    push(value, (&names.0, &names.1), id, repository, time.and_then(moment), arrival)
}

fn docker_hub(value: &Value, arrival: OffsetDateTime) -> Result<Payload, PayloadError> {
    let name = required(value, "repository.repo_name", REPOSITORY)?;
    let repository = repository_of(DOCKER_HUB, name, "repository.repo_name")?;
    let pushed_at = at(value, "push_data.pushed_at").and_then(Value::as_f64);
    let time = pushed_at.and_then(|seconds| {
        let seconds = std::time::Duration::try_from_secs_f64(seconds).ok()?;
        OffsetDateTime::UNIX_EPOCH.checked_add(seconds.try_into().ok()?)
    });
    push(value, ("push_data.tag", "push_data.digest"), None, repository, time, arrival)
}

/// A package of GitHub. Of several tags of one push, it names only one, which may be empty.
fn github(
    value: &Value,
    github_event: Option<&str>,
    arrival: OffsetDateTime,
) -> Result<Payload, PayloadError> {
    if let Some(name) = github_event.filter(|name| !["package", "registry_package"].contains(name)) {
        return Ok(Payload::Ignored(format!("the event {name:?} of GitHub is no push of a package")));
    }
    let root = if at(value, "package").is_some() { "package" } else { "registry_package" };
    let member = |name: &str| format!("{root}.{name}");
    let action = required(value, "action", "the action of a package")?;
    if action != "published" {
        return Ok(Payload::Ignored(format!("the action {action:?} is no push")));
    }
    let kinds = ["ecosystem", "package_type"].map(member);
    let kinds: Vec<&str> = kinds.iter().filter_map(|place| text(value, place)).collect();
    if !kinds.iter().any(|kind| kind.eq_ignore_ascii_case("container")) {
        return Ok(Payload::Ignored(format!("a package of the type {:?} is no image", kinds.join(", "))));
    }
    let owner = ["namespace", "owner.login"].map(member);
    let owner = owner.iter().find_map(|place| text(value, place));
    let owner = owner.ok_or_else(|| refuse(&member("namespace"), "the owner of a package"))?;
    let name = required(value, &member("name"), REPOSITORY)?;
    let repository = repository_of(GITHUB, &format!("{owner}/{name}"), &member("name"))?;
    let times = ["updated_at", "package_version.updated_at", "package_version.created_at"].map(member);
    let time = times.iter().find_map(|place| moment(text(value, place)?));
    let metadata = "package_version.container_metadata.tag";
    let names = (member(&format!("{metadata}.name")), member(&format!("{metadata}.digest")));
    push(value, (&names.0, &names.1), None, repository, time, arrival)
}

fn generic(value: &Value, arrival: OffsetDateTime) -> Result<Payload, PayloadError> {
    const IMAGE: &str = "the reference of an image, such as registry.contoso.com/app:v1";
    let image = required(value, "image", IMAGE)?;
    let image: ImageReference = image.parse().map_err(|_| refuse("image", IMAGE))?;
    let digest = digest(value, "digest")?.or(image.digest);
    Ok(Payload::Push(Push { id: None, repository: image.repository, tag: image.tag, digest, time: arrival }))
}

/// A push with tag and digest at these places.
fn push(
    value: &Value,
    (tag_at, digest_at): (&str, &str),
    id: Option<&str>,
    repository: Repository,
    time: Option<OffsetDateTime>,
    arrival: OffsetDateTime,
) -> Result<Payload, PayloadError> {
    let given = text(value, tag_at);
    // A job of Harbor pushes under the digest as a tag.
    let tag = given.filter(|tag| !is_digest(tag));
    if tag.is_some_and(|tag| !is_tag(tag)) {
        return Err(refuse(tag_at, TAG));
    }
    let digest = digest(value, digest_at)?.or_else(|| given.filter(|tag| is_digest(tag)).map(str::to_owned));
    let (id, tag) = (id.map(str::to_owned), tag.map(str::to_owned));
    Ok(Payload::Push(Push { id, repository, tag, digest, time: bounded(time, arrival) }))
}

fn digest(value: &Value, place: &str) -> Result<Option<String>, PayloadError> {
    match at(value, place) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) if text.is_empty() => Ok(None),
        Some(Value::String(text)) if is_digest(text) => Ok(Some(text.clone())),
        // Registries also know other algorithms, which Container Instances does not show.
        Some(Value::String(text)) if text.contains(':') && !text.starts_with("sha256:") => Ok(None),
        Some(_) => Err(refuse(place, DIGEST)),
    }
}

fn repository_of(host: &str, path: &str, place: &str) -> Result<Repository, PayloadError> {
    Repository::new(host, path).ok_or_else(|| refuse(place, REPOSITORY))
}

fn required<'a>(value: &'a Value, place: &str, rule: &'static str) -> Result<&'a str, PayloadError> {
    text(value, place).ok_or_else(|| refuse(place, rule))
}

fn refuse(place: &str, rule: &'static str) -> PayloadError {
    PayloadError::Member { place: place.to_owned(), rule }
}

/// A text that is not empty.
fn text<'a>(value: &'a Value, place: &str) -> Option<&'a str> {
    at(value, place)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

/// The member at a place such as `target.repository`.
fn at<'a>(value: &'a Value, place: &str) -> Option<&'a Value> {
    place.split('.').try_fold(value, |value, name| value.get(name))
}

#[cfg(test)]
mod tests;
