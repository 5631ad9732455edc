//! Event Grid event -> the container group to read.
//!
//! The value of the trigger binding is an event, an array of events, a JSON string of either, or such a
//! string encoded once more; in the Event Grid schema or as CloudEvents 1.0. The strings come from the
//! Functions host, which encodes everything that is not a JSON object.
//!
//! Rules: the type is checked first, so that events of other resources never fail, whatever their subject.
//! Everything but `id`, type and subject may be missing, `null` or of any type. One malformed event of an
//! array does not stop the others.
//!
//! Tags that are written through the Tags API have a path of their own below the container group. Their
//! events count as those of the group.
//!
//! Deliberately absent: the payload, which is never trusted. An event only selects the group to read. Its type and its
//! age only determine how much evidence a 404 needs.
//!
//! Sources: <https://learn.microsoft.com/azure/event-grid/event-schema-subscriptions>,
//! <https://learn.microsoft.com/azure/event-grid/event-schema-resources>,
//! <https://github.com/cloudevents/spec/blob/v1.0/spec.md>.

use std::{fmt, time::Duration};

use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::domain::resource_id::{ContainerGroupId, ResourceIdError};

/// One event, without its payload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The event's id, which is the same in every delivery.
    pub id: String,
    /// Its type as given, such as `Microsoft.Resources.ResourceWriteSuccess`.
    pub event_type: String,
    /// Its time, as given.
    pub time: Option<String>,
    /// Whether its subject is the tags of the container group, at their own path. A delete event of the tags
    /// is a write event of the group.
    pub is_about_tags: bool,
    /// Whether it concerns a container group.
    pub kind: EventKind,
}

/// Whether an event concerns a container group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EventKind {
    /// It concerns this container group.
    Ours(ContainerGroupId),
    /// It concerns something else.
    Ignored(Ignored),
}

/// Why a well-formed event is ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// Its type is not that of a resource of Resource Manager.
    Type(String),
    /// Its subject is another resource, or something below a container group.
    Resource(String),
}

impl fmt::Display for Ignored {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(event_type) => write!(formatter, "events of type {event_type:?} are ignored"),
            Self::Resource(subject) => write!(formatter, "{subject:?} is not a container group"),
        }
    }
}

/// Why an event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// A string that does not contain JSON.
    #[error("the event is a string that does not contain JSON")]
    NotJson(#[source] serde_json::Error),
    /// A string that is encoded too often.
    #[error("the event is a JSON string that was encoded more than twice")]
    Encoding,
    /// More events than Event Grid delivers at once.
    #[error("{0} events were delivered at once, which is more than {EVENTS_LIMIT}")]
    TooMany(usize),
    /// A value that is not an event.
    #[error("an event must be a JSON object, not {0}")]
    NotAnObject(&'static str),
    /// An event without `id`.
    #[error("the event has no id")]
    WithoutId,
    /// An event without `eventType` (Event Grid schema) or `type` (`CloudEvents`).
    #[error("the event has neither eventType nor type")]
    WithoutType {
        /// The event's id.
        id: String,
    },
    /// The event does not name a resource.
    #[error("the event has no subject, and its data names no resource")]
    WithoutSubject {
        /// The event's id.
        id: String,
    },
    /// The subject is not a valid resource id.
    #[error("the event has an unusable subject")]
    Subject {
        /// The event's id.
        id: String,
        /// The cause.
        #[source]
        source: ResourceIdError,
    },
}

impl EventError {
    /// The id of the malformed event, if that can be read.
    #[must_use]
    pub fn event_id(&self) -> Option<&str> {
        match self {
            Self::WithoutType { id } | Self::WithoutSubject { id } | Self::Subject { id, .. } => Some(id),
            Self::NotJson(_) | Self::Encoding | Self::TooMany(_) | Self::NotAnObject(_) | Self::WithoutId => {
                None
            }
        }
    }
}

/// The largest number of events in one delivery of Event Grid (`maxEventsPerBatch`).
///
/// Source: <https://learn.microsoft.com/azure/event-grid/delivery-and-retry#output-batching>
pub const EVENTS_LIMIT: usize = 5000;

/// How often the value may be encoded as a JSON string.
const ENCODINGS_LIMIT: u8 = 2;

/// How many characters of a text are kept. The longest id of a container group has about 300, so a truncated
/// text is never taken for one.
const TEXT_LIMIT: usize = 512;

impl Event {
    /// Whether it reports that the container group was deleted. A deletion that failed or was cancelled does
    /// not count.
    #[must_use]
    pub fn is_delete(&self) -> bool {
        let types = ["Microsoft.Resources.ResourceDeleteSuccess", DELETED_NOTIFICATION];
        !self.is_about_tags && types.iter().any(|delete| self.event_type.eq_ignore_ascii_case(delete))
    }

    /// Whether it reports that an operation failed or was cancelled.
    #[must_use]
    pub fn is_unsuccessful(&self) -> bool {
        let event_type = self.event_type.to_ascii_lowercase();
        event_type.ends_with("failure") || event_type.ends_with("cancel")
    }

    /// The event, cut down to the members that this module reads.
    #[must_use]
    pub fn essentials(&self) -> Value {
        let subject = match &self.kind {
            EventKind::Ours(id) if self.is_about_tags => format!("{id}{TAGS}"),
            EventKind::Ours(id) => id.to_string(),
            EventKind::Ignored(Ignored::Resource(subject)) => subject.clone(),
            EventKind::Ignored(Ignored::Type(_)) => String::new(),
        };
        let mut event = json!({"id": self.id, "eventType": self.event_type, "subject": subject});
        if let (Some(time), Some(event)) = (&self.time, event.as_object_mut()) {
            event.insert("eventTime".to_owned(), time.as_str().into());
        }
        event
    }

    /// Its time, if it is RFC 3339 with any number of decimals, as in Event Grid.
    #[must_use]
    pub fn moment(&self) -> Option<OffsetDateTime> {
        OffsetDateTime::parse(self.time.as_deref()?.trim(), &Rfc3339).ok()
    }

    /// Its age at a time in Unix seconds. `None` if its time is absent, unreadable (another format, no offset
    /// from UTC) or in the future.
    #[must_use]
    pub fn age(&self, now_unix_seconds: u64) -> Option<Duration> {
        let moment = u64::try_from(self.moment()?.unix_timestamp()).ok()?;
        now_unix_seconds.checked_sub(moment).map(Duration::from_secs)
    }
}

/// Where the tags of a resource are, below its id.
const TAGS: &str = "/providers/Microsoft.Resources/tags/default";

const DELETED_NOTIFICATION: &str = "Microsoft.ResourceNotifications.Resources.Deleted";

/// One event of a trigger binding.
#[derive(Debug)]
pub struct Given {
    /// The event as given, without the JSON strings around it.
    pub value: Value,
    /// The parsed event.
    pub event: Result<Event, EventError>,
}

/// Parses the value of the trigger binding into events, in the given order.
#[must_use]
pub fn read(value: &Value) -> Vec<Result<Event, EventError>> {
    read_given(value.clone()).into_iter().map(|given| given.event).collect()
}

/// Parses the value of the trigger binding, and keeps each event as given.
#[must_use]
pub fn read_given(value: Value) -> Vec<Given> {
    match decode(&value) {
        Err(error) => vec![Given { value, event: Err(error) }],
        Ok(decoded) => match decoded.unwrap_or(value) {
            Value::Array(events) if events.len() > EVENTS_LIMIT => {
                let event = Err(EventError::TooMany(events.len()));
                vec![Given { value: Value::Array(events), event }]
            }
            Value::Array(events) => events.into_iter().map(read_element).collect(),
            value => vec![Given { event: read_one(&value), value }],
        },
    }
}

fn read_element(value: Value) -> Given {
    match decode(&value) {
        Err(error) => Given { value, event: Err(error) },
        Ok(decoded) => {
            let value = decoded.unwrap_or(value);
            Given { event: read_one(&value), value }
        }
    }
}

/// Decodes JSON strings that contain JSON; `None` if the value is not a string.
fn decode(value: &Value) -> Result<Option<Value>, EventError> {
    let mut decoded: Option<Value> = None;
    for _ in 0..ENCODINGS_LIMIT {
        let Value::String(text) = decoded.as_ref().unwrap_or(value) else { return Ok(decoded) };
        decoded = Some(serde_json::from_str(text).map_err(EventError::NotJson)?);
    }
    if decoded.as_ref().is_some_and(Value::is_string) { Err(EventError::Encoding) } else { Ok(decoded) }
}

fn read_one(value: &Value) -> Result<Event, EventError> {
    let kind = match value {
        Value::Object(_) => None,
        Value::Null => Some("null"),
        Value::Bool(_) => Some("a boolean"),
        Value::Number(_) => Some("a number"),
        Value::String(_) => Some("a string"),
        Value::Array(_) => Some("an array"),
    };
    if let Some(kind) = kind {
        return Err(EventError::NotAnObject(kind));
    }
    let id = text(value, "/id").ok_or(EventError::WithoutId)?;
    let event_type = text(value, "/eventType").or_else(|| text(value, "/type"));
    let Some(event_type) = event_type else { return Err(EventError::WithoutType { id }) };
    let time = text(value, "/eventTime").or_else(|| text(value, "/time"));
    if !is_ours(&event_type) {
        let kind = EventKind::Ignored(Ignored::Type(event_type.clone()));
        return Ok(Event { id, event_type, time, is_about_tags: false, kind });
    }
    let subject = ["/subject", "/data/resourceUri", "/data/resourceInfo/id"]
        .into_iter()
        .find_map(|pointer| text(value, pointer));
    let Some(subject) = subject else { return Err(EventError::WithoutSubject { id }) };
    let tagged = without_tags(&subject);
    let kind = match tagged.unwrap_or(&subject).parse() {
        Ok(container_group) => EventKind::Ours(container_group),
        Err(ResourceIdError::OtherResource(_)) => EventKind::Ignored(Ignored::Resource(subject.clone())),
        Err(source @ (ResourceIdError::NotAResourceId(_) | ResourceIdError::Segment { .. })) => {
            return Err(EventError::Subject { id, source });
        }
    };
    let is_about_tags = tagged.is_some() && matches!(kind, EventKind::Ours(_));
    Ok(Event { id, event_type, time, is_about_tags, kind })
}

/// The id of the resource whose tags are the subject.
///
/// Source: <https://learn.microsoft.com/rest/api/resources/tags/update-at-scope>
fn without_tags(subject: &str) -> Option<&str> {
    let (resource, path) = subject.split_at_checked(subject.len().checked_sub(TAGS.len())?)?;
    path.eq_ignore_ascii_case(TAGS).then_some(resource)
}

/// Whether this type is that of a resource of Resource Manager. The comparison ignores case, like Event
/// Grid's filters: if a type were missed, its changes would have no effect.
fn is_ours(event_type: &str) -> bool {
    ["Microsoft.Resources.Resource", "Microsoft.ResourceNotifications.Resources."]
        .iter()
        .any(|prefix| event_type.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)))
}

/// A text inside a value, truncated if it is longer than any valid one; an empty text counts as missing.
fn text(value: &Value, pointer: &str) -> Option<String> {
    let text = value.pointer(pointer)?.as_str().filter(|text| !text.is_empty())?;
    Some(match text.char_indices().nth(TEXT_LIMIT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    })
}

#[cfg(test)]
mod tests;
