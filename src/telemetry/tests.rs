//! The content of each line.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
    sync::{Arc, Mutex},
};

use proptest::prelude::*;
use serde_json::json;
use tracing::subscriber::with_default;

use super::*;
use crate::{
    decide::report::{Deferral, Drift, DriftEvent, DriftKind, ImageFacts, MessageKind, RetryFacts},
    domain::resource_id::ContainerGroupId,
    reconcile::{coalesce::Load, retry::RetryMetrics},
};

/// The lines that are written with a filter, without the time.
fn lines(filter: &str, log: impl FnOnce()) -> Vec<Value> {
    let written = Arc::new(Mutex::new(Vec::new()));
    let sink = {
        let written = Arc::clone(&written);
        move |line: &str| written.lock().unwrap().push(line.to_owned())
    };
    with_default(subscriber(&filter.parse().unwrap(), sink), log);
    let lines = written.lock().unwrap();
    let read = |line: &String| {
        assert!(!line.contains(['\n', '\r', '\u{1b}']), "{line}");
        assert!(line.starts_with(r#"{"timestamp":"2"#), "{line}");
        let mut line: Value = serde_json::from_str(line).unwrap();
        line.as_object_mut().unwrap().remove("timestamp");
        line
    };
    lines.iter().map(read).collect()
}

fn invocation() -> Invocation {
    Invocation {
        function: "function_aci_reconcile",
        id: Some("i1".into()),
        trace: TraceParent::parse("00-bb2bd5eef54cb15a1506d0326d2489e7-d3f54c84c7034d76-00"),
    }
}

fn event() -> Event {
    Event {
        id: "e1".into(),
        event_type: "Microsoft.Resources.ResourceWriteSuccess".into(),
        time: Some("2026-01-02T03:04:05Z".into()),
        is_about_tags: false,
        kind: EventKind::Ours(ContainerGroupId::new("s1", "rg", "web").unwrap()),
    }
}

/// A report with every field set.
fn full() -> Report {
    Report {
        is_warning: true,
        fqdn: Some("web.spoke1.contoso.internal".parse().unwrap()),
        address: Some(Ipv4Addr::new(10, 1, 5, 4)),
        plan: vec!["+ A web.spoke1.contoso.internal 10.1.5.4".into()],
        withheld: vec!["- PTR".into(), "- A".into()],
        arm_calls: 7,
        is_shared: true,
        conflict_owner: Some("s1/rg/api".into()),
        error: Some("a: b".into()),
        reason: Some("unavailable: a: b".into()),
        deferral: Some(Deferral { outcome: Outcome::Unavailable, delay: Duration::from_secs(18) }),
        retry: Some(RetryFacts { attempt: 2, since: Some("2026-01-01T00:00:00Z".into()), is_recheck: true }),
        drift: Some(Drift {
            event: DriftEvent::DriftDetected,
            kinds: vec![DriftKind::Address, DriftKind::PtrStale],
            dns_addresses: vec![Ipv4Addr::new(10, 1, 5, 9)],
            dns_ptr: vec![],
            services: vec!["api.internal: wanted none, found 10.1.5.9".into()],
        }),
        services_failed: vec!["api.internal: throttled".into()],
        image: Some(ImageFacts {
            repository: "demo.azurecr.io/app".into(),
            tag: Some("v1".into()),
            digest: Some("sha256:ab".into()),
        }),
        ..Report::new(Outcome::Changed, "web moved")
    }
}

/// The names in queries, alerts and the workbook. Another check holds these files to the same list.
fn fields(of: &str) -> BTreeSet<String> {
    let fields: Value = serde_json::from_str(include_str!("../../infra/queries/fields.json")).unwrap();
    let names = fields[of].as_array().unwrap().iter();
    names.map(|name| name.as_str().unwrap().to_owned()).collect()
}

fn names<'a>(names: impl IntoIterator<Item = &'a str>) -> BTreeSet<String> {
    names.into_iter().map(str::to_owned).collect()
}

#[test]
fn queries_use_the_same_names_as_the_facts() {
    let facts = facts(&invocation(), Some(&Ok(event())), &full(), Duration::ZERO);
    let facts = facts.iter().map(|(name, _)| name).filter(|name| !name.starts_with("trace."));
    let beside = ["message", "attempt", "kind"];
    assert_eq!(fields("dimensions"), names(facts.chain(beside)));
    let events = [DriftEvent::FirstSeen, DriftEvent::NoChange, DriftEvent::DriftDetected];
    assert_eq!(fields("events"), names(events.map(DriftEvent::as_str)));
    let outcomes = [
        Outcome::Ignored,
        Outcome::Unmanaged,
        Outcome::Converged,
        Outcome::Reported,
        Outcome::Planned,
        Outcome::Changed,
        Outcome::Deferred,
        Outcome::Malformed,
        Outcome::Conflict,
        Outcome::Failed,
        Outcome::Unavailable,
    ];
    assert_eq!(fields("outcomes"), names(outcomes.map(Outcome::as_str)));
}

#[test]
fn a_line_contains_every_fact() {
    let full = full();
    let lines = lines("info", || {
        Telemetry::default().report(&invocation(), Some(&Ok(event())), &full, Duration::from_micros(1900));
    });
    let expected = json!({
        "level": "warn",
        "message": "web moved",
        "target": "aci_dns::invocation",
        "function.name": "function_aci_reconcile",
        "invocation.id": "i1",
        "trace.id": "bb2bd5eef54cb15a1506d0326d2489e7",
        "trace.parent": "d3f54c84c7034d76",
        "event.id": "e1",
        "event.type": "Microsoft.Resources.ResourceWriteSuccess",
        "event.time": "2026-01-02T03:04:05Z",
        "container_group.id":
            "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.ContainerInstance/containerGroups/web",
        "outcome": "changed",
        "duration_ms": 1,
        "arm.calls": 7,
        "pass.shared": true,
        "dns.fqdn": "web.spoke1.contoso.internal",
        "address": "10.1.5.4",
        "plan": ["+ A web.spoke1.contoso.internal 10.1.5.4"],
        "plan.withheld": ["- PTR", "- A"],
        "conflict.owner": "s1/rg/api",
        "reason": "unavailable: a: b",
        "retry.attempt": 2,
        "retry.since": "2026-01-01T00:00:00Z",
        "retry.recheck": true,
        "retry.delay_s": 18,
        "error": "a: b",
        "image.repository": "demo.azurecr.io/app",
        "image.tag": "v1",
        "image.digest": "sha256:ab",
        "drift.event": "drift_detected",
        "drift.kinds": ["address", "ptr_stale"],
        "dns.addresses": ["10.1.5.9"],
        "dns.ptr": [], "drift.services": ["api.internal: wanted none, found 10.1.5.9"],
            "services.failed": ["api.internal: throttled"],
    });
    assert_eq!(lines, [expected]);
}

#[test]
fn a_line_omits_absent_facts_except_ids() {
    let invocation = Invocation { id: None, trace: None, ..invocation() };
    let short = Report::new(Outcome::Ignored, "nothing");
    let lines = lines("info", || Telemetry::default().report(&invocation, None, &short, Duration::ZERO));
    let expected = json!({
        "level": "info",
        "message": "nothing",
        "target": "aci_dns::invocation",
        "function.name": "function_aci_reconcile",
        "invocation.id": null,
        "event.id": null,
        "container_group.id": null,
        "outcome": "ignored",
        "duration_ms": 0,
        "arm.calls": 0,
    });
    assert_eq!(lines, [expected]);
}

#[test]
fn the_level_depends_on_the_outcome() {
    for (outcome, expected) in [
        (Outcome::Converged, Level::INFO),
        (Outcome::Planned, Level::INFO),
        (Outcome::Unavailable, Level::WARN),
        (Outcome::Malformed, Level::ERROR),
        (Outcome::Conflict, Level::ERROR),
        (Outcome::Failed, Level::ERROR),
    ] {
        assert_eq!(level(&Report::new(outcome, "")), expected, "{outcome}");
    }
    let warning = Report { is_warning: true, ..Report::new(Outcome::Unmanaged, "") };
    assert_eq!(level(&warning), Level::WARN);
    for (outcome, expected) in [(Outcome::Unavailable, Level::WARN), (Outcome::Failed, Level::ERROR)] {
        let deferral = Some(Deferral { outcome, delay: Duration::ZERO });
        let deferred = Report { deferral, ..Report::new(Outcome::Deferred, "") };
        assert_eq!(level(&deferred), expected);
    }
}

#[test]
fn the_filter_cannot_hide_a_failed_event() {
    for filter in ["off", "error", "hyper=warn", "Information", "aci_dns=off"] {
        let written = lines(filter, || {
            for outcome in [
                Outcome::Changed,
                Outcome::Malformed,
                Outcome::Conflict,
                Outcome::Failed,
                Outcome::Unavailable,
            ] {
                Telemetry::default().report(&invocation(), None, &Report::new(outcome, ""), Duration::ZERO);
            }
            let warning = Report { is_warning: true, ..Report::new(Outcome::Converged, "") };
            Telemetry::default().report(&invocation(), None, &warning, Duration::ZERO);
            tracing::info!("step");
        });
        let outcomes: Vec<_> =
            written.iter().map(|line| line["outcome"].as_str().unwrap_or_default()).collect();
        assert_eq!(outcomes, ["malformed", "conflict", "failed", "unavailable"], "{filter}");
    }
}

#[test]
fn debug_lines_carry_the_ids_of_their_event() {
    let lines = lines("debug", || {
        let outer = tracing::info_span!("outer", invocation.id = "i1", step = 1);
        outer.in_scope(|| tracing::debug!(step = 2, "looked"));
    });
    let expected = json!({
        "level": "debug", "message": "looked", "target": "aci_dns::telemetry::tests", "step": 2,
        "invocation.id": "i1",
    });
    assert_eq!(lines, [expected]);
}

#[test]
fn libraries_that_handle_tokens_do_not_log_below_warn() {
    for filter in ["trace", "azure_identity=trace,hyper=trace", "reqwest::connect=trace"] {
        let lines = lines(filter, || {
            tracing::info!(target: "azure_identity::x", "token");
            tracing::debug!(target: "azure_core", "token");
            tracing::info!(target: "typespec_client_core::http", "token");
            tracing::trace!(target: "hyper::proto", "token");
            tracing::trace!(target: "hyper_util::client", "token");
            tracing::debug!(target: "reqwest::connect", "token");
        });
        assert_eq!(lines, Vec::<Value>::new(), "{filter}");
    }
    assert_eq!(lines("info", || tracing::warn!(target: "azure_identity", "refused")).len(), 1);
}

#[test]
fn an_error_is_reported_with_all_its_causes() {
    let source = "x".parse::<ContainerGroupId>().unwrap_err();
    let error = EventError::Subject { id: "e1".into(), source };
    let expected = "the event has an unusable subject: \"x\" is not a resource id";
    assert_eq!(Chain(&error).to_string(), expected);
}

#[test]
fn a_trace_parent_is_read_or_left_out() {
    let trace = "bb2bd5eef54cb15a1506d0326d2489e7";
    for (text, is_right) in [
        (format!("00-{trace}-d3f54c84c7034d76-00"), true),
        (format!("01-{}-D3F54C84C7034D76-01-more", trace.to_uppercase()), true),
        (format!("00-{}-d3f54c84c7034d76-00", "0".repeat(32)), false),
        (format!("00-{trace}-0000000000000000-00"), false),
        (format!("00-{trace}-x3f54c84c7034d76-00"), false),
        (format!("00-{trace}"), false),
        (String::new(), false),
    ] {
        let expected = is_right
            .then(|| TraceParent { trace_id: trace.to_owned(), parent_id: "d3f54c84c7034d76".to_owned() });
        assert_eq!(TraceParent::parse(&text), expected, "{text}");
    }
}

#[test]
fn a_time_is_written_in_utc_with_milliseconds() {
    for (seconds, expected) in [
        (0, "1970-01-01T00:00:00.007Z"),
        (951_782_399, "2000-02-28T23:59:59.007Z"),
        (951_782_400, "2000-02-29T00:00:00.007Z"),
        (1_767_225_600, "2026-01-01T00:00:00.007Z"),
        (4_107_542_400, "2100-03-01T00:00:00.007Z"),
    ] {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds) + Duration::from_millis(7);
        assert_eq!(timestamp(time), expected);
    }
}

proptest! {
    #[test]
    fn no_text_breaks_a_line(text in any::<String>()) {
        let report_of = Report { error: Some(text.clone()), plan: vec![text.clone()], ..Report::new(Outcome::Failed, text.clone()) };
        let lines = lines("info", || Telemetry::default().report(&invocation(), None, &report_of, Duration::ZERO));
        prop_assert_eq!(&lines[0]["message"], &json!(text));
        prop_assert_eq!(&lines[0]["error"], &json!(text));
        prop_assert_eq!(&lines[0]["plan"], &json!([text]));
    }
}

#[tokio::test]
async fn unfinished_work_and_stored_messages_are_metrics() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("telemetry.jsonl");
    let telemetry = Telemetry::to_file(&path, || SystemTime::UNIX_EPOCH).unwrap();
    telemetry.watch(|| ReconcilerMetrics {
        load: Load { running: 3, waiting: 2 },
        retry: RetryMetrics {
            stored: BTreeMap::from([(MessageKind::Unavailable, 5), (MessageKind::Recheck, 7)]),
            oldest: Some(Duration::from_mins(11)),
        },
        throttled_places: 1,
    });
    tokio::task::spawn_blocking(move || telemetry.close()).await.unwrap();
    let text = std::fs::read_to_string(path).unwrap();
    let mut found: Vec<_> = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .filter(|line| line["data"]["baseType"] == "MetricData")
        .map(|line| {
            let data = &line["data"]["baseData"];
            let metric = &data["metrics"][0];
            let kind = data["properties"]["kind"].as_str().unwrap_or_default();
            format!("{} {kind} {}", metric["name"].as_str().unwrap(), metric["value"])
        })
        .filter(|line| !line.contains("telemetry.lost"))
        .collect();
    found.sort();
    let expected = [
        "aci_dns.messages_stored recheck 7.0",
        "aci_dns.messages_stored unavailable 5.0",
        "aci_dns.runs  3.0",
        "aci_dns.runs_waited_for  2.0",
        "aci_dns.throttled_zones  1.0",
        "aci_dns.unfinished.age_s  660.0",
    ];
    assert_eq!(found, expected);
}
