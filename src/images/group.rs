//! A container group, as far as it decides about updates of its images. Read from Azure's JSON.

use std::collections::BTreeMap;

use serde_json::Value;
use time::OffsetDateTime;

use super::{push::moment, tag_rule::IMAGE_TAG};
use crate::domain::{
    container_group::{AddressState, Container, ContainerGroup},
    image::{ImageReference, is_digest},
};

/// The place of a container in its group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContainerPlace {
    /// Whether it is an init container.
    pub is_init: bool,
    /// Its index among the containers of its kind.
    pub index: usize,
}

/// A container and its image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UsedImage {
    /// Its place in the group.
    pub place: ContainerPlace,
    /// Its image.
    pub image: ImageReference,
    /// The newest pull that Azure shows.
    pub pull: Option<Pull>,
}

/// A pull of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pull {
    /// When it began.
    pub time: OffsetDateTime,
    /// The digest that was pulled, if the event names it.
    pub digest: Option<String>,
}

/// A container group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageGroup {
    /// Tags by name, in Azure's spelling.
    pub tags: BTreeMap<String, String>,
    /// The containers whose image can be read; init containers too.
    pub images: Vec<UsedImage>,
    /// When the container that started last did so.
    pub newest_start: Option<OffsetDateTime>,
    /// Whether it is being provisioned, or a container is not running that should.
    pub is_unsettled: bool,
    /// Whether a deployment, a restart or a deletion is in progress.
    pub is_in_transition: bool,
    state: AddressState,
}

/// Why a group is never touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Untouchable {
    /// It is being deleted.
    Deleting,
    /// It waits in a standby pool.
    StandbyPool,
    /// It is stopped, or has ended.
    Stopped,
}

impl ImageGroup {
    /// Reads a group. What lists omit is unknown there: states, pulls and starts.
    #[must_use]
    pub fn of(value: &Value) -> Self {
        let properties = value.get("properties").unwrap_or(&Value::Null);
        let containers = || array(properties.get("containers"));
        let initial = || array(properties.get("initContainers"));
        let tags = value.get("tags").and_then(Value::as_object).into_iter().flatten();
        let tags = tags.filter(|(_, value)| !value.is_null()).map(|(name, value)| {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            (name.clone(), text)
        });
        let text = |pointer: &str| properties.pointer(pointer).and_then(Value::as_str).map(str::to_owned);
        // Without an address: a public group has images as well.
        let group = ContainerGroup {
            provisioning_state: text("/provisioningState"),
            state: text("/instanceView/state"),
            restart_policy: text("/restartPolicy"),
            containers: containers().map(container).collect(),
            ..ContainerGroup::default()
        };
        let used = |is_init| {
            move |(index, value): (usize, &Value)| {
                let image = value.pointer("/properties/image")?.as_str()?.parse().ok()?;
                let pull = newest_pull(value);
                Some(UsedImage { place: ContainerPlace { is_init, index }, image, pull })
            }
        };
        let images = containers().enumerate().filter_map(used(false));
        let images = images.chain(initial().enumerate().filter_map(used(true))).collect();
        let start = |value: &Value| {
            moment(value.pointer("/properties/instanceView/currentState/startTime")?.as_str()?)
        };
        let runs = |container: &Container| {
            container.state.as_deref().is_some_and(|state| state.eq_ignore_ascii_case("Running"))
        };
        let is_failed = |state: &Option<String>| {
            state.as_deref().is_some_and(|state| state.eq_ignore_ascii_case("Failed"))
        };
        let is_in_transition = group.is_in_transition();
        Self {
            tags: tags.collect(),
            images,
            newest_start: containers().filter_map(start).max(),
            is_unsettled: is_in_transition
                || is_failed(&group.provisioning_state)
                || is_failed(&group.state)
                || !group.containers.iter().all(runs),
            is_in_transition,
            state: AddressState::of(Some(&group)),
        }
    }

    /// The value of a tag. Azure compares the names of tags without regard to case.
    #[must_use]
    pub fn tag(&self, name: &str) -> Option<&str> {
        let tag = self.tags.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        tag.map(|(_, value)| value.as_str())
    }

    /// Whether it opted in to updates.
    #[must_use]
    pub fn has_opted_in(&self) -> bool {
        self.tag(IMAGE_TAG).is_some_and(|value| !value.trim().is_empty())
    }

    /// Why it is never touched.
    #[must_use]
    pub fn untouchable(&self) -> Option<Untouchable> {
        match self.state {
            AddressState::Deleting | AddressState::Deleted => Some(Untouchable::Deleting),
            AddressState::StandbyPool => Some(Untouchable::StandbyPool),
            AddressState::Released => Some(Untouchable::Stopped),
            _ => None,
        }
    }
}

fn array(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn container(value: &Value) -> Container {
    let state = value.pointer("/properties/instanceView/currentState");
    let member = |name| state.and_then(|state| state.get(name));
    Container {
        state: member("state").and_then(Value::as_str).map(str::to_owned),
        exit_code: member("exitCode").and_then(Value::as_i64),
    }
}

/// The newest event of a pull. Its message names the digest to which the service resolved the tag, most of the time.
fn newest_pull(container: &Value) -> Option<Pull> {
    let events = array(container.pointer("/properties/instanceView/events"));
    let pulls = events.filter_map(|event| {
        let text = |name| event.get(name).and_then(Value::as_str);
        if text("name") != Some("Pulling") {
            return None;
        }
        let time = moment(text("lastTimestamp").or_else(|| text("firstTimestamp"))?)?;
        Some(Pull { time, digest: text("message").and_then(digest_in).map(str::to_owned) })
    });
    pulls.max_by_key(|pull| pull.time)
}

/// The digest in a message such as `pulling image "nginx@sha256:..."`.
fn digest_in(message: &str) -> Option<&str> {
    let (_, rest) = message.split_once('@')?;
    let end = rest.find(|character: char| character != ':' && !character.is_ascii_alphanumeric());
    let digest = rest.get(..end.unwrap_or(rest.len()))?;
    is_digest(digest).then_some(digest)
}
