//! Events: encodings, filters, and malformed values.

use proptest::prelude::*;

use super::*;

const WEB: &str =
    "/subscriptions/s1/resourceGroups/rg-spoke1/providers/Microsoft.ContainerInstance/containerGroups/web";
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
        kind: EventKind::Ours(WEB.parse().unwrap()),
    }
}

/// The events, with errors as texts that include all causes.
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

fn check_kind(event_type: &str, subject: &str, expected: EventKind) {
    let event = Event { event_type: event_type.to_owned(), kind: expected, ..ours() };
    check(&event_grid(event_type, subject), &[Ok(event)]);
}

fn encoded(value: &Value) -> Value {
    Value::String(value.to_string())
}

#[test]
fn an_event_is_read_from_every_encoding() {
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
fn a_string_is_decoded_at_most_twice() {
    let value = encoded(&encoded(&encoded(&event_grid(WRITTEN, WEB))));
    check(&value, &[Err("the event is a JSON string that was encoded more than twice")]);
}

#[test]
fn a_cloud_event_is_read_like_an_event_grid_event() {
    let value = json!({
        "specversion": "1.0", "id": "1", "type": WRITTEN, "source": "/subscriptions/s1", "subject": WEB,
        "time": "2026-01-02T03:04:05.1Z", "datacontenttype": "application/json", "data": null
    });
    check(&value, &[Ok(ours())]);
}

#[test]
fn every_outcome_of_every_operation_is_handled() {
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
            check_kind(event_type, subject, EventKind::Ignored(Ignored::Type(event_type.to_owned())));
        }
    }
}

#[test]
fn other_resources_and_paths_below_a_container_group_are_ignored() {
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
        check_kind(WRITTEN, &subject, EventKind::Ignored(Ignored::Resource(subject.clone())));
    }
}

#[test]
fn the_subject_is_compared_without_regard_to_case() {
    check_kind(WRITTEN, &WEB.to_lowercase(), ours().kind);
    check_kind(WRITTEN, &WEB.to_uppercase(), ours().kind);
    check_kind(&WRITTEN.to_uppercase(), WEB, ours().kind);
}

#[test]
fn without_a_subject_the_data_names_the_resource() {
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
fn the_subject_has_priority_over_the_data() {
    let mut value = event_grid(WRITTEN, WEB);
    value["data"] = json!({"resourceUri": STORAGE, "resourceInfo": {"id": STORAGE}});
    check(&value, &[Ok(ours())]);
}

#[test]
fn optional_fields_may_be_missing_or_of_any_type() {
    let bare = Event { time: None, ..ours() };
    check(&json!({"id": "1", "eventType": WRITTEN, "subject": WEB}), &[Ok(bare.clone())]);
    let odd = json!({
        "id": "1", "eventType": WRITTEN, "type": null, "subject": WEB, "eventTime": 5, "data": "text",
        "more": [{}]
    });
    check(&odd, &[Ok(bare)]);
}

#[test]
fn an_event_without_a_required_field_is_malformed() {
    for (name, value, expected) in [
        ("id", Value::Null, "the event has no id"),
        ("id", json!(7), "the event has no id"),
        ("id", json!(""), "the event has no id"),
        ("eventType", Value::Null, "the event has neither eventType nor type"),
        ("subject", Value::Null, "the event has no subject, and its data names no resource"),
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
    assert!(error.contains("invalid resource group"), "{error}");
}

#[test]
fn other_json_is_malformed() {
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
    check(&events(EVENTS_LIMIT + 1), &[Err("5001 events were delivered at once, which is more than 5000")]);
}

#[test]
fn a_long_text_is_cut_and_never_taken_for_a_container_group() {
    let long = format!("{WEB}{}", "a".repeat(100_000));
    let read = read_plainly(&event_grid(WRITTEN, &long));
    let error = read[0].as_ref().unwrap_err();
    assert!(error.contains("invalid name") && error.len() < 1000, "{error}");
}

#[test]
fn an_event_of_the_tags_is_an_event_of_the_group() {
    let tags = format!("{WEB}/providers/Microsoft.Resources/tags/default");
    for subject in [tags.clone(), tags.to_lowercase(), tags.to_uppercase()] {
        for event_type in [WRITTEN, "Microsoft.Resources.ResourceDeleteSuccess"] {
            let event = Event { event_type: event_type.to_owned(), is_about_tags: true, ..ours() };
            assert!(!event.is_delete(), "a group without tags exists");
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
        assert_eq!(Event { event_type: event_type.into(), ..ours() }.is_delete(), expected, "{event_type}");
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
    fn an_encoded_value_is_read_like_the_value_itself(value in any_json()) {
        prop_assume!(!value.is_string());
        prop_assert_eq!(read_plainly(&value), read_plainly(&encoded(&value)));
    }

    #[test]
    fn only_the_subject_selects_the_group(data in any_json()) {
        let mut event = event_grid(WRITTEN, WEB);
        event["data"] = data;
        prop_assert_eq!(read_plainly(&event), vec![Ok(ours())]);
    }
}

#[test]
fn a_malformed_event_with_an_id_is_reported_with_it() {
    let id = |value: Value| read(&value).remove(0).unwrap_err().event_id().map(str::to_owned);
    assert_eq!(id(json!({"id": "7"})), Some("7".to_owned()));
    assert_eq!(id(json!({"eventType": WRITTEN, "subject": WEB})), None);
}

#[test]
fn an_ignored_event_is_reported_with_its_reason() {
    assert_eq!(Ignored::Type("a.b".to_owned()).to_string(), "events of type \"a.b\" are ignored");
    assert_eq!(Ignored::Resource("/x".to_owned()).to_string(), "\"/x\" is not a container group");
}

#[test]
fn the_time_of_an_event_is_read_with_any_number_of_decimals() {
    let at = |time: &str| Event { time: Some(time.to_owned()), ..ours() }.moment();
    let moment = OffsetDateTime::UNIX_EPOCH + Duration::from_millis(1_767_323_045_100);
    for time in ["2026-01-02T03:04:05.1Z", "2026-01-02T03:04:05.1000000Z", "2026-01-02T04:04:05.10+01:00"] {
        assert_eq!(at(time), Some(moment), "{time}");
    }
    assert_eq!([at("yesterday"), Event { time: None, ..ours() }.moment()], [None, None]);
}

#[test]
fn an_event_without_a_usable_time_has_no_age() {
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
