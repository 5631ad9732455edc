//! The answers of an invocation: the table "Outcomes" of docs/observe.md, row by row. [`crate::world`] checks
//! the common rules for answers and lines at each delivery.

use aci_dns::replay::stage::{RECONCILE, TRACK_DRIFT};
use azure_simulator::{FaultAnswer, Ip};
use http::Method;
use serde_json::{Value, json};

use crate::world::{World, a, id, ptr, put};

const CREATED: [&str; 2] =
    ["+ A web.spoke1.contoso.internal 10.1.5.4", "+ PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal"];

fn world(settings: &[(&str, &str)]) -> World {
    let world = World::new(settings);
    world.create_at("web", 4);
    world
}

/// Delivers an event for `web`, which changes no record set.
async fn check_untouched(world: &World, status: u16, outcome: &str, reason: &str) {
    let before = world.records();
    let done = world.reconcile("web").await;
    done.is(status, outcome, &[]);
    assert!(done.text("message").contains(reason), "{:#}", done.line());
    assert_eq!(world.records(), before);
    assert_eq!(world.writes(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn converged_nothing_had_to_be_written() {
    let world = world(&[]);
    world.reconcile("web").await;
    world.writes();
    check_untouched(&world, 200, "converged", "web.spoke1.contoso.internal").await;
}

#[tokio::test(start_paused = true)]
async fn converged_with_upsert_only_everything_was_withheld() {
    let world = world(&[("ACI_DNS_POLICY", "upsert-only")]);
    world.reconcile("web").await.is(200, "changed", &CREATED);
    world.delete("web");
    world.writes();
    let done = world.reconcile("web").await;
    let withheld = [
        "- PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal",
        "- A web.spoke1.contoso.internal 10.1.5.4",
    ];
    assert_eq!(done.is(200, "converged", &[]).list("plan.withheld"), withheld);
    // The message does not claim that all records are correct.
    let message = format!("web.spoke1.contoso.internal: withheld by ACI_DNS_POLICY: {}", withheld.join("; "));
    assert_eq!(done.text("message"), message);
    assert_eq!(world.writes(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn changed_record_sets_were_written() {
    let world = world(&[]);
    world.reconcile("web").await.is(200, "changed", &CREATED);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn changed_the_records_of_a_group_that_became_public_were_removed() {
    let world = world(&[]);
    world.reconcile("web").await;
    world.azure.set_ip(&id("web"), Ip::Public).unwrap();
    assert_eq!(world.reconcile("web").await.line()["outcome"], "changed");
    world.has(&[]);
    world.writes();
    check_untouched(&world, 200, "unmanaged", "public").await;
}

#[tokio::test(start_paused = true)]
async fn planned_there_are_changes_and_the_policy_is_observe() {
    let world = world(&[("ACI_DNS_POLICY", "observe")]);
    world.reconcile("web").await.is(200, "planned", &CREATED);
    assert_eq!(world.writes(), Vec::<String>::new());
    world.has(&[]);
    world.put("A web 60 10.1.5.4 owner=web");
    world.put("PTR 4.5 60 web.spoke1.contoso.internal owner=web");
    check_untouched(&world, 200, "converged", "").await;
    world.delete("web");
    let removed = [
        "- PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal",
        "- A web.spoke1.contoso.internal 10.1.5.4",
    ];
    world.reconcile("web").await.is(200, "planned", &removed);
    assert_eq!(world.writes(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn reported_the_drift_tracker_emitted_its_event() {
    let world = world(&[]);
    let done = world.drift("web").await;
    assert_eq!(done.is(200, "reported", &[]).text("drift.event"), "first_seen");
}

#[tokio::test(start_paused = true)]
async fn ignored_another_event() {
    let world = world(&[]);
    let resource = id("web");
    for (event_type, subject) in [
        (
            "Microsoft.Resources.ResourceWriteSuccess",
            format!("{resource}/providers/Microsoft.Insights/diagnosticSettings/d"),
        ),
        ("Microsoft.Resources.ResourceActionSuccess", format!("{resource}/containers/web/exec")),
        (
            "Microsoft.Resources.ResourceWriteSuccess",
            resource.replace("containerGroups", "containerGroupProfiles"),
        ),
        (
            "Microsoft.Resources.ResourceWriteSuccess",
            resource
                .replace("Microsoft.ContainerInstance/containerGroups", "Microsoft.Compute/virtualMachines"),
        ),
        ("Microsoft.Storage.BlobCreated", resource.clone()),
        ("Microsoft.Storage.BlobCreated", "not a resource id".to_owned()),
        ("Microsoft.EventGrid.SubscriptionValidationEvent", String::new()),
    ] {
        let mut event = world.event_of(event_type, "web");
        event["subject"] = subject.into();
        for function in [RECONCILE, TRACK_DRIFT] {
            world.deliver(function, &event).await.is(200, "ignored", &[]);
        }
    }
    assert_eq!(world.calls(), "");
}

#[tokio::test(start_paused = true)]
async fn ignored_an_empty_array() {
    let world = world(&[]);
    world.deliver(RECONCILE, &json!([])).await.is(200, "ignored", &[]);
}

#[tokio::test(start_paused = true)]
async fn ignored_a_delete_event_by_the_drift_tracker() {
    let world = world(&[]);
    let event = world.event_of("Microsoft.Resources.ResourceDeleteSuccess", "web");
    world.deliver(TRACK_DRIFT, &event).await.is(200, "ignored", &[]);
}

#[tokio::test(start_paused = true)]
async fn unmanaged_resource_group_not_mapped() {
    let world = world(&[]);
    world.create("rg-elsewhere/web");
    for done in [world.reconcile("rg-elsewhere/web").await, world.drift("rg-elsewhere/web").await] {
        done.is(200, "unmanaged", &[]);
        assert!(done.text("message").contains("ACI_DNS_ZONES"), "{:#}", done.line());
    }
    assert_eq!(world.writes(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn unmanaged_group_tagged_to_be_ignored() {
    let world = world(&[]);
    world.reconcile("web").await;
    world.tag("web", &[("aci-dns-ignore", "true")]);
    world.move_to("web", 5);
    world.writes();
    check_untouched(&world, 200, "unmanaged", "ignored").await;
    world.drift("web").await.is(200, "unmanaged", &[]);
}

#[tokio::test(start_paused = true)]
async fn unmanaged_its_address_is_public() {
    let world = World::new(&[]);
    world.create_as("web", |spec| spec.ip = Ip::Public);
    check_untouched(&world, 200, "unmanaged", "public").await;
    world.drift("web").await.is(200, "unmanaged", &[]);
}

#[tokio::test(start_paused = true)]
async fn unmanaged_it_runs_without_any_address() {
    let world = World::new(&[]);
    world.create_as("web", |spec| spec.ip = Ip::NoIpAddress);
    check_untouched(&world, 200, "unmanaged", "without ports").await;
    world.drift("web").await.is(200, "unmanaged", &[]);
}

#[tokio::test(start_paused = true)]
async fn unmanaged_by_the_drift_tracker_a_deleted_group_or_one_without_an_address() {
    let world = World::new(&[]);
    let event = world.event_of("Microsoft.Resources.ResourceWriteSuccess", "web");
    world.deliver(TRACK_DRIFT, &event).await.is(200, "unmanaged", &[]);
    world.create_as("web", |spec| spec.ip = Ip::NullIp);
    world.drift("web").await.is(200, "unmanaged", &[]);
    world.azure.stop_group(&id("web")).unwrap();
    world.drift("web").await.is(200, "unmanaged", &[]);
}

#[tokio::test(start_paused = true)]
async fn malformed_envelope_or_event_cannot_be_read() {
    let world = world(&[]);
    let without = |field: &str| {
        let mut event = world.event("web");
        event.as_object_mut().unwrap().remove(field);
        event
    };
    let with_subject = |subject: &str| {
        let mut event = without("data");
        event["subject"] = subject.into();
        event
    };
    let no_subject = json!({"id": "1", "eventType": "Microsoft.Resources.ResourceWriteSuccess"});
    for event in [
        json!(null),
        json!(7),
        json!("no event"),
        json!({}),
        without("id"),
        without("eventType"),
        no_subject,
        with_subject("web"),
    ] {
        for function in [RECONCILE, TRACK_DRIFT] {
            let done = world.deliver(function, &event).await;
            done.is(400, "malformed", &[]);
            assert_eq!(done.body["error"]["code"], "malformed");
        }
    }
    assert_eq!(world.calls(), "");
}

#[tokio::test(start_paused = true)]
async fn conflict_the_name_belongs_to_another_live_container_group() {
    let world = world(&[]);
    world.create("rg-spoke2/web");
    world.put("A web 60 10.1.6.4 owner=rg-spoke2/web");
    check_untouched(&world, 409, "conflict", "rg-spoke2/web").await;
}

#[tokio::test(start_paused = true)]
async fn conflict_the_name_belongs_to_an_auto_registered_record() {
    let world = world(&[]);
    world.put("A web 10 10.1.5.200 auto");
    check_untouched(&world, 409, "conflict", "registered automatically").await;
}

#[tokio::test(start_paused = true)]
async fn conflict_in_strict_the_name_belongs_to_an_unmarked_record_set() {
    let world = world(&[("ACI_DNS_OWNERSHIP", "strict")]);
    world.put("A web 60 10.1.5.4");
    check_untouched(&world, 409, "conflict", "strict").await;
}

#[tokio::test(start_paused = true)]
async fn failed_permissions() {
    for path in ["containerGroups/web", "/A/web"] {
        let world = world(&[]);
        world.fail(Method::GET, path, 403, "AuthorizationFailed");
        check_untouched(&world, 500, "failed", "not permitted").await;
        assert_eq!(world.drift("web").await.line()["outcome"], "failed");
    }
}

/// A 403 is never absence. Role assignments at a resource group are deleted together with it.
#[tokio::test(start_paused = true)]
async fn failed_permissions_after_a_delete_event_name_the_lost_role_assignment_and_the_command() {
    let world = world(&[]);
    assert_eq!(world.reconcile("web").await.status, 200);
    let before = world.records();
    world.fail(Method::GET, "containerGroups/web", 403, "AuthorizationFailed");
    let deleted = world.reconcile_as("ResourceDeleteSuccess", "web").await;
    deleted.is(500, "failed", &[]);
    let error = deleted.line()["error"].as_str().unwrap();
    for text in ["role assignment", "at the subscription", "aci-dns sync", "AuthorizationFailed"] {
        assert!(error.contains(text), "{error}");
    }
    let written = world.reconcile("web").await;
    written.is(500, "failed", &[]);
    assert!(!written.line()["error"].as_str().unwrap().contains("role assignment"));
    assert_eq!(world.records(), before);
}

#[tokio::test(start_paused = true)]
async fn failed_missing_zone() {
    let world = world(&[]);
    world.azure.delete_zone("spoke1.contoso.internal").unwrap();
    check_untouched(&world, 500, "failed", "spoke1.contoso.internal").await;
    world.drift("web").await.is(500, "failed", &[]);
}

#[tokio::test(start_paused = true)]
async fn failed_no_reverse_zone_for_the_address() {
    let world = World::new(&[]);
    world.create_as("web", |spec| spec.ip = Ip::Fixed("10.2.5.4".parse().unwrap()));
    let done = world.reconcile("web").await;
    done.is(500, "failed", &["+ A web.spoke1.contoso.internal 10.2.5.4"]).because("no reverse zone");
    world.has(&["A web.spoke1.contoso.internal 60 10.2.5.4 owner=web"]);
}

#[tokio::test(start_paused = true)]
async fn failed_bad_tag() {
    for (tag, value) in [
        ("aci-dns-hostname", "a.b"),
        ("aci-dns-hostname", ""),
        ("aci-dns-hostname", "under_score"),
        ("aci-dns-ttl", "0"),
        ("aci-dns-ttl", "2147483648"),
        ("aci-dns-ttl", "soon"),
        ("aci-dns-ptr", "no"),
        ("aci-dns-ignore", "1"),
    ] {
        let world = World::new(&[]);
        world.create_tagged("web", &[(tag, value)]);
        check_untouched(&world, 500, "failed", tag).await;
        world.drift("web").await.is(500, "failed", &[]).because(tag);
    }
}

#[tokio::test(start_paused = true)]
async fn unavailable_throttling() {
    let world = world(&[]);
    let throttled = FaultAnswer::new(429, "TooManyRequests").retry_after(60);
    world.fail_times(Method::GET, "/A/web", u64::MAX, throttled);
    check_untouched(&world, 503, "unavailable", "429").await;
    world.drift("web").await.is(503, "unavailable", &[]);
}

#[tokio::test(start_paused = true)]
async fn unavailable_azure_5xx() {
    let world = world(&[]);
    world.fail(Method::GET, "containerGroups/web", 500, "InternalServerError");
    check_untouched(&world, 503, "unavailable", "500").await;
    world.drift("web").await.is(503, "unavailable", &[]);
}

#[tokio::test(start_paused = true)]
async fn unavailable_timed_out() {
    let world = world(&[]);
    let _gate = world.hold_all(Method::GET, "containerGroups/web");
    world.reconcile("web").await.is(503, "unavailable", &[]).because("no complete answer");
}

#[tokio::test(start_paused = true)]
async fn unavailable_lost_five_races() {
    let world = world(&[]);
    world.at_each(Method::PUT, "/A/web", |azure, count| put(azure, &format!("A web {count} 10.1.5.9")));
    world.reconcile("web").await.is(503, "unavailable", &[]).because("5 passes");
    assert_eq!(world.writes(), ["PUT A web"; 5]);
}

#[tokio::test(start_paused = true)]
async fn unavailable_address_not_assigned_yet() {
    let world = world(&[]);
    world.azure.set_ip(&id("web"), Ip::NullIp).unwrap();
    check_untouched(&world, 503, "unavailable", "address").await;
}

/// The groups of an array by their outcomes.
fn graded(world: &World) -> Vec<(u16, Value)> {
    world.put("A conflicting 60 10.1.5.9 auto");
    world.create("conflicting");
    world.create_tagged("failing", &[("aci-dns-ttl", "x")]);
    world.create_as("waiting", |spec| spec.ip = Ip::NullIp);
    vec![
        (503, world.event("waiting")),
        (500, world.event("failing")),
        (409, world.event("conflicting")),
        (400, json!({"id": "no type"})),
        (200, world.event("web")),
    ]
}

#[tokio::test(start_paused = true)]
async fn the_answer_to_an_array_is_the_most_severe_of_its_results() {
    let world = world(&[]);
    let graded = graded(&world);
    for first in 0..graded.len() {
        let (expected, _) = graded[first];
        let mut events: Vec<_> = graded[first..].iter().map(|(_, event)| event.clone()).collect();
        for _ in 0..2 {
            let done = world.deliver(RECONCILE, &Value::from(events.clone())).await;
            assert_eq!((done.status, done.lines.len()), (expected, events.len()), "{done:#?}");
            events.reverse();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn each_event_of_an_array_has_its_own_line() {
    let world = world(&[]);
    let events: Vec<_> = graded(&world).into_iter().map(|(_, event)| event).collect();
    let ids: Vec<_> = events.iter().map(|event| event["id"].clone()).collect();
    let done = world.deliver(RECONCILE, &Value::from(events)).await;
    let outcome = |id: &Value| {
        let lines: Vec<_> = done.lines.iter().filter(|line| line["event.id"] == *id).collect();
        assert_eq!(lines.len(), 1, "{done:#?}");
        lines[0]["outcome"].as_str().unwrap()
    };
    let outcomes: Vec<_> = ids.iter().map(outcome).collect();
    assert_eq!(outcomes, ["unavailable", "failed", "conflict", "malformed", "changed"]);
}

/// The fields of a line other than those of every line.
fn fields(done: &crate::world::Done) -> Value {
    let all = ["dns.fqdn", "address", "plan", "plan.withheld", "error", "drift.event"];
    let line = done.line().as_object().unwrap();
    line.iter()
        .filter(|(field, _)| all.contains(&field.as_str()))
        .map(|(f, v)| (f.clone(), v.clone()))
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_line_has_the_fields_that_apply_and_no_others() {
    let world = world(&[]);
    let (fqdn, address) = ("web.spoke1.contoso.internal", "10.1.5.4");
    let changed = json!({"dns.fqdn": fqdn, "address": address, "plan": CREATED});
    assert_eq!(fields(&world.reconcile("web").await), changed);
    let converged = json!({"dns.fqdn": fqdn, "address": address});
    assert_eq!(fields(&world.reconcile("web").await), converged);
    let reported = json!({"dns.fqdn": fqdn, "address": address, "drift.event": "no_change"});
    assert_eq!(fields(&world.drift("web").await), reported);
    assert_eq!(fields(&world.reconcile("rg-elsewhere/web").await), json!({}));
    world.delete("web");
    let removed = json!({"dns.fqdn": fqdn, "plan": [
        "- PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal",
        "- A web.spoke1.contoso.internal 10.1.5.4",
    ]});
    assert_eq!(fields(&world.reconcile("web").await), removed);
}

#[tokio::test(start_paused = true)]
async fn every_line_names_invocation_event_and_group() {
    let world = world(&[]);
    let event = world.event("web");
    for (function, outcome) in [(RECONCILE, "changed"), (TRACK_DRIFT, "reported")] {
        let done = world.deliver(function, &event).await;
        let line = done.line();
        assert_eq!(line["function.name"], function);
        assert_eq!(line["event.id"], event["id"]);
        assert_eq!(line["container_group.id"], id("web"));
        assert_eq!(line["outcome"], outcome);
        assert!(line["duration_ms"].is_u64() && line["arm.calls"].is_u64(), "{line:#}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_error_is_reported_with_all_its_causes() {
    let world = world(&[]);
    world.fail(Method::PUT, "/A/web", 403, "AuthorizationFailed");
    let done = world.reconcile("web").await;
    let error = "not permitted to write A web in spoke1.contoso.internal: status 403, AuthorizationFailed: \
                 The simulator answers AuthorizationFailed because of an injected fault.";
    assert_eq!(done.text("error"), error);
    assert!(done.body["error"]["message"].as_str().unwrap().contains(error));
    assert_eq!(done.body["error"]["code"], "failed");
}

#[tokio::test(start_paused = true)]
async fn the_body_of_an_error_contains_each_message_once() {
    let world = world(&[]);
    world.fail(Method::GET, "/containerGroups/web", 403, "AuthorizationFailed");
    let one = world.reconcile("web").await;
    let message = one.body["error"]["message"].as_str().unwrap();
    assert_eq!(message.matches("not permitted to read container group").count(), 1, "{message}");
    let both = world.stage.invoke(RECONCILE, &json!([world.event("web"), world.event("web")])).await;
    assert_eq!(world.done(both).body["error"]["message"], message);
}
