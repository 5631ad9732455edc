//! The form of messages, the delays, and the evidence.

use proptest::prelude::*;

use super::*;
use crate::domain::event;

const WEB: &str =
    "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.ContainerInstance/containerGroups/web";
/// 2026-01-01T00:00:00Z.
const NOW: u64 = 1_767_225_600;

fn given(event_type: &str, time: &str) -> Value {
    json!({"id": "1", "eventType": format!("Microsoft.Resources.{event_type}"), "subject": WEB, "eventTime": time})
}

fn event_of(given: &Value) -> Event {
    event::read(given).remove(0).unwrap()
}

fn message(rechecks: u64) -> RetryMessage {
    RetryMessage { event: Value::Null, since: None, attempt: 1, is_recheck: false, rechecks }
}

fn work(event_type: &str, message: Option<RetryMessage>) -> Work {
    let given = given(event_type, "2026-01-01T00:00:00Z");
    let (id, event) = (WEB.parse().unwrap(), event_of(&given));
    match message {
        None => Work::of_event(id, event, given, NOW),
        Some(message) => Work::of_message(id, event, RetryMessage { event: given, ..message }, NOW),
    }
}

#[test]
fn a_message_is_read_as_it_was_written() {
    let event = given("ResourceWriteSuccess", "2026-01-01T00:00:00Z");
    let message = RetryMessage { event, since: Some(NOW), attempt: 7, is_recheck: true, rechecks: 2 };
    let text = message.to_text(None);
    assert_eq!(
        serde_json::from_str::<Value>(&text).unwrap(),
        json!({
            "version": 1, "event": message.event, "since": "2026-01-01T00:00:00Z", "attempt": 7,
            "recheck": true, "rechecks": 2,
        })
    );
    // As an object, as its text, and as the host encodes it.
    let mut value: Value = serde_json::from_str(&text).unwrap();
    for _ in 0..3 {
        assert_eq!(RetryMessage::read(&value).unwrap(), message);
        value = Value::String(value.to_string());
    }
}

#[test]
fn attempt_recheck_and_rechecks_may_be_absent_and_unknown_members_are_ignored() {
    let read =
        RetryMessage::read(&json!({"version": 1, "event": "x", "since": "2026-01-01T00:00:00Z", "new": {}}));
    let expected =
        RetryMessage { event: "x".into(), since: Some(NOW), attempt: 1, is_recheck: false, rechecks: 0 };
    assert_eq!(read.unwrap(), expected);
    // What cannot be read of a time says nothing.
    let read = RetryMessage::read(&json!({"version": 1, "event": "x", "since": "yesterday"})).unwrap();
    assert_eq!(read.since, None);
}

#[test]
fn unknown_versions_and_other_values_are_malformed() {
    for (value, expected) in [
        (
            json!({"version": 2, "event": {}}),
            "the version of the message is 2, but this program supports only version 1",
        ),
        (
            json!({"event": {}}),
            "the version of the message is null, but this program supports only version 1",
        ),
        (json!({"version": 1}), "the member \"event\" of the message is missing or has the wrong type"),
        (
            json!({"version": 1, "event": {}, "attempt": "2"}),
            "the member \"attempt\" of the message is missing or has the wrong type",
        ),
        (
            json!({"version": 1, "event": {}, "recheck": 1}),
            "the member \"recheck\" of the message is missing or has the wrong type",
        ),
        (json!([]), "the message is not a JSON object"),
        (json!("hello"), "the message is not JSON"),
    ] {
        assert_eq!(RetryMessage::read(&value).unwrap_err().to_string(), expected, "{value}");
    }
}

#[test]
fn an_event_that_makes_a_message_too_long_is_cut_down_to_what_is_read_of_it() {
    let mut long = given("ResourceWriteSuccess", "2026-01-01T00:00:00Z");
    let whole = message(0);
    let at =
        |long: &Value| RetryMessage { event: long.clone(), ..whole.clone() }.to_text(Some(&event_of(long)));
    long["data"] = "x".into();
    let rest = LONGEST_MESSAGE - at(&long).len();
    long["data"] = "x".repeat(rest + 1).into();
    assert_eq!(at(&long).len(), LONGEST_MESSAGE);
    long["data"] = "x".repeat(rest + 2).into();
    let cut: Value = serde_json::from_str(&at(&long)).unwrap();
    assert_eq!(cut["event"], given("ResourceWriteSuccess", "2026-01-01T00:00:00Z"));
    assert_eq!(event_of(&cut["event"]), event_of(&long));
}

#[test]
fn what_is_read_of_an_event_is_read_again() {
    let tags = format!("{WEB}/providers/Microsoft.Resources/tags/default");
    for event in [
        given("ResourceDeleteSuccess", "2026-01-01T00:00:00Z"),
        json!({"id": "1", "eventType": "Microsoft.Resources.ResourceDeleteSuccess", "subject": tags}),
        json!({"id": "1", "type": "Microsoft.Resources.ResourceWriteFailure", "time": "soon",
            "data": {"resourceUri": WEB.to_uppercase().replace("/SUBSCRIPTIONS", "/subscriptions")}}),
    ] {
        let read = event_of(&event);
        assert_eq!(event_of(&read.essentials()), read, "{event}");
    }
}

#[test]
fn of_a_malformed_event_the_first_8_kib_are_kept() {
    let text = format!("é{}", "x".repeat(LONGEST_MALFORMED));
    let message = RetryMessage::malformed(&json!(text), NOW);
    assert_eq!(message.event, json!(text[..LONGEST_MALFORMED]));
    assert_eq!(RetryMessage::malformed(&json!({"id": 1}), NOW).event, json!(r#"{"id":1}"#));
    // A character is never cut in two.
    assert_eq!(cut("ééé", 3), "é");
}

#[test]
fn the_delay_is_15_seconds_and_doubles_to_15_minutes() {
    let seconds = |attempt| delay(attempt).as_secs();
    assert_eq!([1, 2, 3, 4, 5, 6, 7, 8].map(seconds), [15, 30, 60, 120, 240, 480, 900, 900]);
    assert_eq!([0, u64::MAX].map(seconds), [15, 900]);
}

#[test]
fn evidence_follows_from_type_age_and_rechecks() {
    const YOUNG: &str = "2026-01-01T00:00:00Z";
    const OLD: &str = "2025-12-31T23:44:59Z";
    let since = |seconds: u64| RetryMessage { since: Some(NOW - seconds), ..message(0) };
    for (event_type, time, message, expected) in [
        ("ResourceWriteSuccess", YOUNG, None, Evidence::None),
        ("ResourceWriteSuccess", OLD, None, Evidence::Deletion),
        ("ResourceWriteSuccess", "2025-12-31T23:45:00Z", None, Evidence::None),
        ("ResourceWriteFailure", YOUNG, None, Evidence::Absence),
        ("ResourceActionCancel", YOUNG, None, Evidence::Absence),
        ("ResourceDeleteFailure", YOUNG, None, Evidence::Absence),
        ("ResourceDeleteSuccess", YOUNG, None, Evidence::Deletion),
        ("ResourceDeleteSuccess", YOUNG, Some(message(0)), Evidence::Deletion),
        // A message with rechecks is never treated as a delete event.
        ("ResourceDeleteSuccess", YOUNG, Some(message(1)), Evidence::Absence),
        ("ResourceDeleteSuccess", OLD, Some(message(1)), Evidence::Deletion),
        ("ResourceWriteSuccess", YOUNG, Some(message(1)), Evidence::Absence),
        ("ResourceWriteSuccess", YOUNG, Some(message(0)), Evidence::None),
        // A time that is absent, unreadable or in the future says nothing: then the time of the message counts.
        ("ResourceWriteSuccess", "2026-01-01T00:00:01Z", Some(since(901)), Evidence::Deletion),
        ("ResourceWriteSuccess", "soon", Some(since(901)), Evidence::Deletion),
        ("ResourceWriteSuccess", "", Some(since(900)), Evidence::None),
        ("ResourceWriteSuccess", "", Some(message(0)), Evidence::None),
        ("ResourceWriteSuccess", YOUNG, Some(since(901)), Evidence::None),
    ] {
        let event = event_of(&given(event_type, time));
        assert_eq!(evidence(&event, message.as_ref(), NOW), expected, "{event_type} {time} {message:?}");
    }
}

#[test]
fn work_that_shares_a_run_has_the_strongest_evidence_and_the_oldest_beginning() {
    let old = RetryMessage { since: Some(NOW - 100), attempt: 4, ..message(0) };
    let older = RetryMessage { since: Some(NOW - 200), attempt: 2, ..message(0) };
    let merged = work("ResourceWriteSuccess", Some(old)).merged(work("ResourceDeleteSuccess", None));
    let deferral = merged.merged(work("ResourceWriteSuccess", Some(older))).deferral(NOW);
    assert_eq!(deferral.event, given("ResourceDeleteSuccess", "2026-01-01T00:00:00Z"));
    assert_eq!((deferral.since, deferral.attempt, deferral.is_recheck), (Some(NOW - 200), 5, false));
    // Of equal evidence, work that was not rechecked counts: its event may still be a delete event.
    let (recheck, event) =
        (work("ResourceWriteSuccess", Some(message(2))), work("ResourceWriteFailure", None));
    assert_eq!([recheck.clone().merged(event.clone()).rechecks, event.merged(recheck).rechecks], [0, 0]);
}

#[test]
fn a_recheck_that_ends_unavailable_is_deferred_as_an_ordinary_message_of_its_event() {
    let recheck = RetryMessage { since: Some(NOW - 500), attempt: 3, is_recheck: true, ..message(2) };
    let deferral = work("ResourceWriteSuccess", Some(recheck)).deferral(NOW);
    let expected = RetryMessage {
        event: given("ResourceWriteSuccess", "2026-01-01T00:00:00Z"),
        since: Some(NOW),
        attempt: 1,
        is_recheck: false,
        rechecks: 2,
    };
    assert_eq!(deferral, expected);
}

#[test]
fn a_recheck_follows_always_at_first_and_later_only_a_write_and_five_at_most() {
    let rechecks = |before: Option<u64>, has_written| {
        let work = work("ResourceWriteSuccess", before.map(message));
        let recheck = work.recheck(has_written, NOW)?;
        assert!(recheck.is_recheck && recheck.attempt == 1 && recheck.since == Some(NOW));
        Some(recheck.rechecks)
    };
    assert_eq!([None, Some(0)].map(|before| rechecks(before, false)), [Some(1), Some(1)]);
    assert_eq!([1, 4, 5].map(|before| rechecks(Some(before), false)), [None; 3]);
    assert_eq!([1, 4, 5].map(|before| rechecks(Some(before), true)), [Some(2), Some(5), None]);
}

#[test]
fn a_recheck_after_a_shared_run_counts_from_the_work_with_the_fewest_rechecks() {
    let rechecks = |before: [Option<u64>; 2], has_written| {
        let [one, other] = before.map(|before| work("ResourceWriteSuccess", before.map(message)));
        let merged = [one.clone().merged(other.clone()), other.merged(one)];
        let [one, other] = merged.map(|work| work.recheck(has_written, NOW).map(|recheck| recheck.rechecks));
        assert_eq!(one, other);
        one
    };
    // The recheck of the event follows, although the other work had its last one, or wrote nothing.
    assert_eq!([rechecks([None, Some(5)], true), rechecks([None, Some(3)], false)], [Some(1), Some(1)]);
    assert_eq!([rechecks([Some(2), Some(4)], true), rechecks([Some(2), Some(4)], false)], [Some(3), None]);
}

#[test]
fn a_message_is_stored_for_unfinished_work_and_for_a_recheck() {
    let event = work("ResourceWriteSuccess", None);
    let retry = work("ResourceWriteSuccess", Some(RetryMessage { since: Some(NOW - 90_000), ..message(1) }));
    let deferral = |work: &Work| work.deferral(NOW);
    let recheck = |work: &Work, has_written| work.recheck(has_written, NOW).unwrap();
    for (work, outcome, expected) in [
        (&event, Outcome::Unavailable, FollowUp::Retry(deferral(&event))),
        (&retry, Outcome::Unavailable, FollowUp::Expired),
        (&event, Outcome::Failed, FollowUp::Failure(deferral(&event))),
        (&event, Outcome::Conflict, FollowUp::Failure(deferral(&event))),
        (&retry, Outcome::Failed, FollowUp::None),
        (&retry, Outcome::Conflict, FollowUp::None),
        (&event, Outcome::Converged, FollowUp::Recheck(recheck(&event, false))),
        (&event, Outcome::Changed, FollowUp::Recheck(recheck(&event, true))),
        (&retry, Outcome::Converged, FollowUp::None),
        (&retry, Outcome::Changed, FollowUp::Recheck(recheck(&retry, true))),
        (&event, Outcome::Unmanaged, FollowUp::None),
    ] {
        assert_eq!(work.follow_up(work, outcome, NOW), expected, "{outcome:?}");
    }
}

#[test]
fn work_is_too_old_after_24_hours_and_a_recheck_never_is() {
    let at = |seconds, is_recheck| {
        let message = RetryMessage { since: Some(NOW - seconds), is_recheck, ..message(0) };
        work("ResourceWriteSuccess", Some(message)).is_expired(NOW)
    };
    assert_eq!([at(86_400, false), at(86_401, false), at(86_401, true)], [false, true, false]);
    assert!(!work("ResourceWriteSuccess", None).is_expired(NOW));
}

proptest! {
    #[test]
    fn no_message_is_longer_than_the_service_takes(text in ".{0,3000}", times in 1..30_usize, nul in 0..9000_usize) {
        let text = text.repeat(times) + &"\0".repeat(nul);
        let malformed = RetryMessage::malformed(&json!(text), NOW);
        prop_assert!(malformed.to_text(None).len() <= LONGEST_MESSAGE);
        let event = json!({"id": text, "eventType": format!("Microsoft.Resources.Resource{text}"), "subject": WEB});
        if let Ok(read) = event::read(&event).remove(0) {
            let message = RetryMessage { event, ..message(0) };
            prop_assert!(message.to_text(Some(&read)).len() <= LONGEST_MESSAGE);
        }
    }

    #[test]
    fn no_message_stops_the_reader(text in "\\PC{0,50}|[{}\\[\\]\":,0-9a-z]{0,50}") {
        let _ = RetryMessage::read(&json!(text));
    }
}
