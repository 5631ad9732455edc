//! Event Grid event -> which container group to look at.
//!
//! The value of the trigger binding is an event, an array of events, a JSON string of either, or such a string
//! encoded once more; in the Event Grid schema or as CloudEvents 1.0. The Functions host turns everything that is
//! not a JSON object into a string that holds JSON, which is where the strings come from.
//!
//! Rules: the type is looked at first, so that events that are not ours never fail, whatever their subject.
//! Everything but `id`, type and subject may be missing, `null` or of any shape. One malformed event of an array
//! does not stop the others.
//!
//! Tags that are written through the Tags API stand at a path of their own below the container group. Their events
//! count as those of the group.
//!
//! Deliberately absent: what happened. An event only says which group to read; its payload is never believed. Its type
//! and its age decide one thing: how much evidence a "not found" needs.
//!
//! Sources: <https://learn.microsoft.com/azure/event-grid/event-schema-subscriptions>,
//! <https://learn.microsoft.com/azure/event-grid/event-schema-resources>,
//! <https://github.com/cloudevents/spec/blob/v1.0/spec.md>.

use std::{fmt, time::Duration};

use serde_json::{Value, json};
use time::{OffsetDateTime, format_description::well_known::Rfc3339};

use crate::resource_id::{ContainerGroupId, ResourceIdError};

/// One event, as far as it is believed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// The event's own id; the same for every delivery of it.
    pub id: String,
    /// Its type as it was given, such as `Microsoft.Resources.ResourceWriteSuccess`.
    pub event_type: String,
    /// When it happened, as it was given.
    pub time: Option<String>,
    /// Whether it is about the tags of the container group, at their own path. A delete event of the tags is a write
    /// event of the group.
    pub is_about_tags: bool,
    /// Whether it is for us.
    pub kind: Kind,
}

/// Whether an event is for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It tells of this container group.
    Ours(ContainerGroupId),
    /// It tells of something else.
    Ignored(Ignored),
}

/// Why a well-formed event is not for us.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ignored {
    /// It does not tell of a resource of Resource Manager.
    Type(String),
    /// It tells of another resource, or of something inside a container group.
    Resource(String),
}

impl fmt::Display for Ignored {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Type(event_type) => write!(formatter, "events of type {event_type:?} are not ours"),
            Self::Resource(subject) => write!(formatter, "{subject:?} is not a container group"),
        }
    }
}

/// Why an event cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum EventError {
    /// A string in place of an event that holds no JSON.
    #[error("the event is a string that does not hold JSON")]
    NotJson(#[source] serde_json::Error),
    /// A string in a string in a string.
    #[error("the event is a JSON string that was encoded more than twice")]
    Encoding,
    /// More events than Event Grid ever delivers at once.
    #[error("{0} events were delivered at once, which is more than {EVENTS_LIMIT}")]
    TooMany(usize),
    /// Something else in place of an event.
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
    /// An event of one of our types that does not say which resource it is about.
    #[error("the event has no subject, and its data name no resource")]
    WithoutSubject {
        /// The event's id.
        id: String,
    },
    /// An event of one of our types whose subject cannot be the id of a resource.
    #[error("the event has an unusable subject")]
    Subject {
        /// The event's id.
        id: String,
        /// What is wrong with it.
        #[source]
        source: ResourceIdError,
    },
}

impl EventError {
    /// The id of the event that cannot be read, where at least that can be.
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

/// How many events Event Grid delivers at once at most (`maxEventsPerBatch`).
///
/// Source: <https://learn.microsoft.com/azure/event-grid/delivery-and-retry#output-batching>
pub const EVENTS_LIMIT: usize = 5000;

/// How often the value may be a JSON string that holds a JSON value.
const ENCODINGS_LIMIT: u8 = 2;

/// How many characters of a text that others wrote are kept. The longest id of a container group has about 300,
/// so a text that was cut is never taken for one.
const TEXT_LIMIT: usize = 512;

impl Event {
    /// Whether it says that the container group was deleted. A deletion that failed or was cancelled deleted nothing.
    #[must_use]
    pub fn is_delete(&self) -> bool {
        let types = ["Microsoft.Resources.ResourceDeleteSuccess", DELETED_NOTIFICATION];
        !self.is_about_tags && types.iter().any(|delete| self.event_type.eq_ignore_ascii_case(delete))
    }

    /// Whether it says that an operation failed or was cancelled.
    #[must_use]
    pub fn is_unsuccessful(&self) -> bool {
        let event_type = self.event_type.to_ascii_lowercase();
        event_type.ends_with("failure") || event_type.ends_with("cancel")
    }

    /// The event with nothing but what is read of it.
    #[must_use]
    pub fn essentials(&self) -> Value {
        let subject = match &self.kind {
            Kind::Ours(id) if self.is_about_tags => format!("{id}{TAGS}"),
            Kind::Ours(id) => id.to_string(),
            Kind::Ignored(Ignored::Resource(subject)) => subject.clone(),
            Kind::Ignored(Ignored::Type(_)) => String::new(),
        };
        let mut event = json!({"id": self.id, "eventType": self.event_type, "subject": subject});
        if let (Some(time), Some(event)) = (&self.time, event.as_object_mut()) {
            event.insert("eventTime".to_owned(), time.as_str().into());
        }
        event
    }

    /// When it happened, where it says so in RFC 3339 with any number of decimals, as Event Grid does.
    #[must_use]
    pub fn moment(&self) -> Option<OffsetDateTime> {
        OffsetDateTime::parse(self.time.as_deref()?.trim(), &Rfc3339).ok()
    }

    /// How old it is at a time in Unix seconds. A time that is absent, unreadable (other formats, no offset from UTC) or
    /// in the future says nothing.
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
    /// The event as it was given, without the strings around it.
    pub value: Value,
    /// What was read of it.
    pub event: Result<Event, EventError>,
}

/// Reads the value of the trigger binding: the events in the order in which they were given.
#[must_use]
pub fn read(value: &Value) -> Vec<Result<Event, EventError>> {
    read_given(value.clone()).into_iter().map(|given| given.event).collect()
}

/// Reads the value of the trigger binding, and keeps each event as it was given.
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

/// Unwraps JSON strings that hold JSON. Nothing, where the value is no string.
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
        let kind = Kind::Ignored(Ignored::Type(event_type.clone()));
        return Ok(Event { id, event_type, time, is_about_tags: false, kind });
    }
    let subject = ["/subject", "/data/resourceUri", "/data/resourceInfo/id"]
        .into_iter()
        .find_map(|pointer| text(value, pointer));
    let Some(subject) = subject else { return Err(EventError::WithoutSubject { id }) };
    let tagged = without_tags(&subject);
    let kind = match tagged.unwrap_or(&subject).parse() {
        Ok(container_group) => Kind::Ours(container_group),
        Err(ResourceIdError::OtherResource(_)) => Kind::Ignored(Ignored::Resource(subject.clone())),
        Err(source @ (ResourceIdError::NotAResourceId(_) | ResourceIdError::Segment { .. })) => {
            return Err(EventError::Subject { id, source });
        }
    };
    let is_about_tags = tagged.is_some() && matches!(kind, Kind::Ours(_));
    Ok(Event { id, event_type, time, is_about_tags, kind })
}

/// The id of the resource whose tags a subject is about.
///
/// Source: <https://learn.microsoft.com/rest/api/resources/tags/update-at-scope>
fn without_tags(subject: &str) -> Option<&str> {
    let (resource, path) = subject.split_at_checked(subject.len().checked_sub(TAGS.len())?)?;
    path.eq_ignore_ascii_case(TAGS).then_some(resource)
}

/// Whether events of this type tell of a resource of Resource Manager. Event Grid's own filters compare types
/// without regard to case, and so do we: a type that was missed would be a change that nobody follows.
fn is_ours(event_type: &str) -> bool {
    ["Microsoft.Resources.Resource", "Microsoft.ResourceNotifications.Resources."]
        .iter()
        .any(|prefix| event_type.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix)))
}

/// A text inside a value, cut where it is longer than any that we act on; an empty one counts as missing.
fn text(value: &Value, pointer: &str) -> Option<String> {
    let text = value.pointer(pointer)?.as_str().filter(|text| !text.is_empty())?;
    Some(match text.char_indices().nth(TEXT_LIMIT) {
        Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
        None => text.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WEB: &str = "/subscriptions/s1/resourceGroups/rg-spoke1/providers/Microsoft.ContainerInstance/containerGroups/web";
    const STORAGE: &str =
        "/subscriptions/s1/resourceGroups/rg-spoke1/providers/Microsoft.Storage/storageAccounts/a";
    const WRITTEN: &str = "Microsoft.Resources.ResourceWriteSuccess";

    fn event_grid(event_type: &str, subject: &str) -> Value {
        json!({
            "id": "1", "eventType": event_type, "subject": subject, "eventTime": "2026-01-02T03:04:05.1Z",
            "topic": "/subscriptions/s1", "dataVersion": "2", "metadataVersion": "1", "data": {}
        })
    }

    fn ours() -> Event {
        Event {
            id: "1".into(),
            event_type: WRITTEN.into(),
            time: Some("2026-01-02T03:04:05.1Z".into()),
            is_about_tags: false,
            kind: Kind::Ours(WEB.parse().unwrap()),
        }
    }

    /// What was read, errors as their texts with all causes.
    fn read_plainly(value: &Value) -> Vec<Result<Event, String>> {
        let plain = |error: EventError| match std::error::Error::source(&error) {
            Some(source) => format!("{error}: {source}"),
            None => error.to_string(),
        };
        read(value).into_iter().map(|event| event.map_err(plain)).collect()
    }

    fn check(value: &Value, expected: &[Result<Event, &str>]) {
        let expected: Vec<_> = expected.iter().cloned().map(|event| event.map_err(str::to_owned)).collect();
        assert_eq!(read_plainly(value), expected, "{value}");
    }

    fn check_kind(event_type: &str, subject: &str, expected: Kind) {
        let event = Event { event_type: event_type.to_owned(), kind: expected, ..ours() };
        check(&event_grid(event_type, subject), &[Ok(event)]);
    }

    fn encoded(value: &Value) -> Value {
        Value::String(value.to_string())
    }

    #[test]
    fn an_event_is_read_from_every_form_in_which_it_may_come() {
        let event = event_grid(WRITTEN, WEB);
        let array = json!([event.clone()]);
        for value in [
            event.clone(),
            array.clone(),
            encoded(&event),
            encoded(&array),
            encoded(&encoded(&event)),
            encoded(&encoded(&array)),
            json!([encoded(&event)]),
        ] {
            check(&value, &[Ok(ours())]);
        }
    }

    #[test]
    fn a_string_is_unwrapped_twice_and_no_further() {
        let value = encoded(&encoded(&encoded(&event_grid(WRITTEN, WEB))));
        check(&value, &[Err("the event is a JSON string that was encoded more than twice")]);
    }

    #[test]
    fn a_cloud_event_is_read_as_an_event_grid_event_is() {
        let value = json!({
            "specversion": "1.0", "id": "1", "type": WRITTEN, "source": "/subscriptions/s1", "subject": WEB,
            "time": "2026-01-02T03:04:05.1Z", "datacontenttype": "application/json", "data": null
        });
        check(&value, &[Ok(ours())]);
    }

    #[test]
    fn every_outcome_of_every_operation_is_ours() {
        for operation in ["Write", "Delete", "Action"] {
            for end in ["Success", "Failure", "Cancel"] {
                let event_type = format!("Microsoft.Resources.Resource{operation}{end}");
                check_kind(&event_type, WEB, ours().kind);
            }
        }
        for end in ["CreatedOrUpdated", "Deleted"] {
            check_kind(&format!("Microsoft.ResourceNotifications.Resources.{end}"), WEB, ours().kind);
        }
    }

    #[test]
    fn an_event_of_another_type_is_ignored_whatever_its_subject() {
        for event_type in [
            "Microsoft.EventGrid.SubscriptionValidationEvent",
            "Microsoft.Storage.BlobCreated",
            "Microsoft.ResourceNotifications.HealthResources.AvailabilityStatusChanged",
            "Microsoft.Resources.Res",
            "é",
        ] {
            for subject in [WEB, STORAGE, "junk", ""] {
                check_kind(event_type, subject, Kind::Ignored(Ignored::Type(event_type.to_owned())));
            }
        }
    }

    #[test]
    fn other_resources_and_what_lies_inside_a_container_group_are_ignored() {
        for subject in [
            STORAGE.to_owned(),
            format!("{WEB}/containers/c"),
            format!("{WEB}/providers/Microsoft.Insights/diagnosticSettings/d"),
            format!("{WEB}/providers/Microsoft.Resources/tags/other"),
            format!("{WEB}/providers/Microsoft.Resources/tags/default/x"),
            format!("{WEB}/containers/c/providers/Microsoft.Resources/tags/default"),
            "/subscriptions/s1/providers/Microsoft.Resources/tags/default".to_owned(),
            format!("{STORAGE}/providers/Microsoft.Resources/tags/default"),
            "/subscriptions/s1/resourceGroups/rg-spoke1".to_owned(),
        ] {
            check_kind(WRITTEN, &subject, Kind::Ignored(Ignored::Resource(subject.clone())));
        }
    }

    #[test]
    fn the_subject_is_compared_without_regard_to_case() {
        check_kind(WRITTEN, &WEB.to_lowercase(), ours().kind);
        check_kind(WRITTEN, &WEB.to_uppercase(), ours().kind);
        check_kind(&WRITTEN.to_uppercase(), WEB, ours().kind);
    }

    #[test]
    fn without_a_subject_the_data_say_which_resource_it_is() {
        for data in [json!({"resourceUri": WEB}), json!({"resourceInfo": {"id": WEB}})] {
            for subject in [Value::Null, json!(""), json!(7)] {
                let mut value = event_grid(WRITTEN, WEB);
                value["subject"] = subject;
                value["data"] = data.clone();
                check(&value, &[Ok(ours())]);
            }
        }
    }

    #[test]
    fn the_subject_counts_before_the_data() {
        let mut value = event_grid(WRITTEN, WEB);
        value["data"] = json!({"resourceUri": STORAGE, "resourceInfo": {"id": STORAGE}});
        check(&value, &[Ok(ours())]);
    }

    #[test]
    fn what_is_not_needed_may_be_missing_or_of_any_shape() {
        let bare = Event { time: None, ..ours() };
        check(&json!({"id": "1", "eventType": WRITTEN, "subject": WEB}), &[Ok(bare.clone())]);
        let odd = json!({
            "id": "1", "eventType": WRITTEN, "type": null, "subject": WEB, "eventTime": 5, "data": "text",
            "more": [{}]
        });
        check(&odd, &[Ok(bare)]);
    }

    #[test]
    fn what_is_needed_and_missing_makes_an_event_malformed() {
        for (name, value, expected) in [
            ("id", Value::Null, "the event has no id"),
            ("id", json!(7), "the event has no id"),
            ("id", json!(""), "the event has no id"),
            ("eventType", Value::Null, "the event has neither eventType nor type"),
            ("subject", Value::Null, "the event has no subject, and its data name no resource"),
            ("subject", json!("web"), "the event has an unusable subject: \"web\" is not a resource id"),
        ] {
            let mut event = event_grid(WRITTEN, WEB);
            event[name] = value;
            check(&event, &[Err(expected)]);
        }
    }

    #[test]
    fn a_container_group_that_cannot_exist_makes_an_event_malformed() {
        let read = read_plainly(&event_grid(WRITTEN, &WEB.replace("rg-spoke1", "..")));
        let error = read[0].as_ref().unwrap_err();
        assert!(error.contains("impossible resource group"), "{error}");
    }

    #[test]
    fn what_is_no_event_at_all_is_malformed() {
        for (value, kind) in [
            (json!(null), "null"),
            (json!(true), "a boolean"),
            (json!(1), "a number"),
            (json!("1"), "a number"),
            (json!([[]]), "an array"),
        ] {
            check(&value, &[Err(&format!("an event must be a JSON object, not {kind}"))]);
        }
        assert!(matches!(read(&json!("not json")).as_slice(), [Err(EventError::NotJson(_))]));
    }

    #[test]
    fn one_malformed_event_does_not_stop_the_others() {
        let event = event_grid(WRITTEN, WEB);
        check(&json!([event, {}, event]), &[Ok(ours()), Err("the event has no id"), Ok(ours())]);
    }

    #[test]
    fn an_empty_array_holds_no_event() {
        check(&json!([]), &[]);
        check(&json!("[]"), &[]);
    }

    #[test]
    fn more_events_than_event_grid_delivers_are_refused() {
        let events = |count| Value::Array(vec![event_grid(WRITTEN, WEB); count]);
        assert_eq!(read(&events(EVENTS_LIMIT)).len(), EVENTS_LIMIT);
        check(
            &events(EVENTS_LIMIT + 1),
            &[Err("5001 events were delivered at once, which is more than 5000")],
        );
    }

    #[test]
    fn a_long_text_is_cut_and_never_taken_for_a_container_group() {
        let long = format!("{WEB}{}", "a".repeat(100_000));
        let read = read_plainly(&event_grid(WRITTEN, &long));
        let error = read[0].as_ref().unwrap_err();
        assert!(error.contains("impossible name") && error.len() < 1000, "{error}");
    }

    #[test]
    fn an_event_of_the_tags_counts_as_one_of_the_container_group() {
        let tags = format!("{WEB}/providers/Microsoft.Resources/tags/default");
        for subject in [tags.clone(), tags.to_lowercase(), tags.to_uppercase()] {
            for event_type in [WRITTEN, "Microsoft.Resources.ResourceDeleteSuccess"] {
                let event = Event { event_type: event_type.to_owned(), is_about_tags: true, ..ours() };
                assert!(!event.is_delete(), "a group without tags is there");
                check(&event_grid(event_type, &subject), &[Ok(event)]);
            }
        }
        let mut value = event_grid(WRITTEN, &tags);
        value["subject"] = Value::Null;
        value["data"] = json!({ "resourceUri": tags });
        check(&value, &[Ok(Event { is_about_tags: true, ..ours() })]);
        let impossible = tags.replace("rg-spoke1", "..");
        assert!(read_plainly(&event_grid(WRITTEN, &impossible))[0].is_err());
    }

    #[test]
    fn an_operation_that_failed_or_was_cancelled_is_unsuccessful() {
        for (event_type, expected) in [
            ("Microsoft.Resources.ResourceWriteFailure", true),
            ("Microsoft.Resources.ResourceDeleteCancel", true),
            ("MICROSOFT.RESOURCES.RESOURCEACTIONCANCEL", true),
            (WRITTEN, false),
            (DELETED_NOTIFICATION, false),
        ] {
            let event = Event { event_type: event_type.into(), ..ours() };
            assert_eq!(event.is_unsuccessful(), expected, "{event_type}");
        }
    }

    #[test]
    fn only_a_deletion_that_succeeded_is_a_delete_event() {
        for (event_type, expected) in [
            ("Microsoft.Resources.ResourceDeleteSuccess", true),
            ("microsoft.resources.resourcedeletesuccess", true),
            ("Microsoft.Resources.ResourceDeleteFailure", false),
            ("Microsoft.Resources.ResourceDeleteCancel", false),
            ("Microsoft.ResourceNotifications.Resources.Deleted", true),
            (WRITTEN, false),
            ("Microsoft.Resources.ResourceActionSuccess", false),
            ("Microsoft.ResourceNotifications.Resources.CreatedOrUpdated", false),
        ] {
            assert_eq!(
                Event { event_type: event_type.into(), ..ours() }.is_delete(),
                expected,
                "{event_type}"
            );
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::from),
            ".{0,20}".prop_map(Value::String),
            Just(json!(WEB)),
            Just(json!(WRITTEN)),
        ];
        let key = prop_oneof!["id", "eventType", "type", "subject", "data", "resourceUri", ".{0,5}"];
        leaf.prop_recursive(4, 64, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(Value::Array),
                prop::collection::btree_map(key.clone(), inner.clone(), 0..6)
                    .prop_map(|members| Value::Object(members.into_iter().collect())),
                inner.prop_map(|value| Value::String(value.to_string())),
            ]
        })
    }

    proptest! {
        #[test]
        fn an_encoded_value_is_read_as_the_value_itself(value in any_json()) {
            prop_assume!(!value.is_string());
            prop_assert_eq!(read_plainly(&value), read_plainly(&encoded(&value)));
        }

        #[test]
        fn whatever_is_ours_is_acted_on_by_its_subject_alone(data in any_json()) {
            let mut event = event_grid(WRITTEN, WEB);
            event["data"] = data;
            prop_assert_eq!(read_plainly(&event), vec![Ok(ours())]);
        }
    }

    #[test]
    fn an_event_that_cannot_be_read_is_named_where_it_says_its_name() {
        let id = |value: Value| read(&value).remove(0).unwrap_err().event_id().map(str::to_owned);
        assert_eq!(id(json!({"id": "7"})), Some("7".to_owned()));
        assert_eq!(id(json!({"eventType": WRITTEN, "subject": WEB})), None);
    }

    #[test]
    fn what_is_ignored_says_why() {
        assert_eq!(Ignored::Type("a.b".to_owned()).to_string(), "events of type \"a.b\" are not ours");
        assert_eq!(Ignored::Resource("/x".to_owned()).to_string(), "\"/x\" is not a container group");
    }

    #[test]
    fn the_moment_of_an_event_is_read_with_any_number_of_decimals() {
        let at = |time: &str| Event { time: Some(time.to_owned()), ..ours() }.moment();
        let moment = OffsetDateTime::UNIX_EPOCH + Duration::from_millis(1_767_323_045_100);
        for time in ["2026-01-02T03:04:05.1Z", "2026-01-02T03:04:05.1000000Z", "2026-01-02T04:04:05.10+01:00"]
        {
            assert_eq!(at(time), Some(moment), "{time}");
        }
        assert_eq!([at("yesterday"), Event { time: None, ..ours() }.moment()], [None, None]);
    }

    #[test]
    fn a_time_that_is_absent_unreadable_or_in_the_future_says_nothing_about_the_age() {
        let age = |time: Option<&str>| Event { time: time.map(str::to_owned), ..ours() }.age(1_767_323_045);
        assert_eq!(age(Some("2026-01-02T03:04:05.9Z")), Some(Duration::ZERO));
        assert_eq!(age(Some(" 2026-01-02T03:49:05+01:00 ")), Some(Duration::from_mins(15)));
        for time in [
            "2026-01-02T03:04:06Z",
            "2036-01-05T09:00:07Z",
            "1/5/2026 9:00:07 AM",
            "2026-01-02T03:04:05.61",
            "1950-01-01T00:00:00Z",
            "",
        ] {
            assert_eq!(age(Some(time)), None, "{time}");
        }
        assert_eq!(age(None), None);
    }
}
