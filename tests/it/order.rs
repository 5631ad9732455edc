//! In which order things are written, and what happens when something else happens meanwhile: section 3.4 of the
//! design, sentence by sentence.

use std::time::Duration;

use aci_dns::simulator::{FaultAnswer, Ip, When};
use futures::future::join_all;
use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::world::{FORWARD, SUBSCRIPTION, World, a, address, id, pass, ptr, put};

const PLUS_A: &str = "+ A web.spoke1.contoso.internal 10.1.5.4";
const PLUS_PTR: &str = "+ PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal";
const MINUS_A: &str = "- A web.spoke1.contoso.internal 10.1.5.4";
const MINUS_PTR: &str = "- PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal";

/// A world in which `web` is at 10.1.5.4 and was not reconciled yet.
fn new_group(settings: &[(&str, &str)]) -> World {
    let world = World::new(settings);
    world.create_at("web", 4);
    world
}

/// A world in which `web` was reconciled at 10.1.5.4.
async fn world(settings: &[(&str, &str)]) -> World {
    let world = new_group(settings);
    assert_eq!(world.reconcile("web").await.status, 200);
    world.writes();
    world
}

/// The map with other zones in the place of the usual ones.
fn zones(of_group: &Value) -> String {
    json!({"rg-spoke1": of_group}).to_string()
}

#[tokio::test(start_paused = true)]
async fn a_new_group_is_one_put_per_record_set_the_a_record_set_first() {
    let world = new_group(&[]);
    world.reconcile("web").await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    assert_eq!(world.writes(), ["PUT A web", "PUT PTR 4.5"]);
}

#[tokio::test(start_paused = true)]
async fn a_move_is_one_put_per_record_set_then_the_new_ptr_beside_the_removal_of_the_old() {
    let world = world(&[]).await;
    world.move_to("web", 5);
    assert_eq!(world.reconcile("web").await.status, 200);
    let mut writes = world.writes();
    assert_eq!(writes.remove(0), "PUT A web");
    writes.sort();
    assert_eq!(writes, ["DELETE PTR 4.5", "PUT PTR 5.5"]);
}

#[tokio::test(start_paused = true)]
async fn the_name_of_a_group_that_lives_is_never_absent() {
    let world = world(&[]).await;
    world.azure.on_change(|view| {
        let sets = view.record_sets(FORWARD);
        let web = sets.iter().find(|set| set.record_type == "A" && set.name == "web");
        assert!(web.is_some_and(|set| set.values.len() == 1), "{sets:#?}");
    });
    for last in 5..9 {
        world.move_to("web", last);
        assert_eq!(world.reconcile("web").await.status, 200);
    }
}

#[tokio::test(start_paused = true)]
async fn when_a_cannot_be_written_no_ptr_is() {
    for (status, code, answered) in [(403, "AuthorizationFailed", 500), (429, "TooManyRequests", 503)] {
        let world = new_group(&[]);
        world.fail(Method::PUT, "/A/web", status, code);
        assert_eq!(world.reconcile("web").await.status, answered);
        assert!(world.writes().iter().all(|write| write == "PUT A web"));
        world.has(&[]);
    }
}

#[tokio::test(start_paused = true)]
async fn when_a_cannot_be_written_after_a_move_the_old_ptr_stays() {
    let world = world(&[]).await;
    world.move_to("web", 5);
    world.fail(Method::PUT, "/A/web", 403, "AuthorizationFailed");
    world.reconcile("web").await.is(500, "failed", &[]);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn with_a_missing_reverse_zone_a_is_repaired_all_the_same_and_the_invocation_fails() {
    let world = new_group(&[]);
    world.azure.delete_zone("1.10.in-addr.arpa").unwrap();
    world.reconcile("web").await.is(500, "failed", &[PLUS_A]).because("1.10.in-addr.arpa");
    world.has(&[&a("web", 4)]);
    world.reconcile("web").await.is(500, "failed", &[]);
}

#[tokio::test(start_paused = true)]
async fn with_a_broken_reverse_zone_a_is_repaired_all_the_same_and_the_invocation_fails() {
    for method in [Method::GET, Method::PUT] {
        let world = new_group(&[]);
        world.fail(method, "/PTR/4.5", 403, "AuthorizationFailed");
        world.reconcile("web").await.is(500, "failed", &[PLUS_A]);
        world.has(&[&a("web", 4)]);
    }
}

#[tokio::test(start_paused = true)]
async fn one_broken_reverse_zone_does_not_keep_the_ptrs_of_another_from_being_made_right() {
    let map = zones(&json!({"forwardZone": FORWARD, "zoneResourceGroup": "rg-dns",
        "reverseZones": ["1.10.in-addr.arpa", "2.10.in-addr.arpa"]}));
    let world = World::new(&[("ACI_DNS_ZONES", &map)]);
    world.create_at("web", 5);
    world.put("A web 60 10.2.5.4 owner=web");
    world.reconcile("web").await.is(
        500,
        "failed",
        &[
            "~ A web.spoke1.contoso.internal 10.2.5.4 -> 10.1.5.5 (remember 10.2.5.4)",
            "+ PTR 5.5.1.10.in-addr.arpa web.spoke1.contoso.internal",
        ],
    );
    world.has(&[&format!("{} previous=10.2.5.4@0", a("web", 5)), &ptr("web", 5)]);
}

#[tokio::test(start_paused = true)]
async fn without_a_reverse_zone_for_the_address_a_is_written_and_the_invocation_fails_each_time() {
    let world = World::new(&[]);
    world.create_as("web", |spec| spec.ip = Ip::Fixed("10.9.5.4".parse().unwrap()));
    for plan in [vec!["+ A web.spoke1.contoso.internal 10.9.5.4"], vec![]] {
        world.reconcile("web").await.is(500, "failed", &plan).because("aci-dns-ptr=false");
    }
    world.tag("web", &[("aci-dns-ptr", "false")]);
    world.reconcile("web").await.is(200, "converged", &[]);
}

#[tokio::test(start_paused = true)]
async fn with_a_missing_forward_zone_the_invocation_fails_and_writes_nothing() {
    let world = world(&[]).await;
    world.azure.delete_zone(FORWARD).unwrap();
    world.reconcile("web").await.is(500, "failed", &[]);
    world.delete("web");
    world.reconcile("web").await.is(500, "failed", &[]);
    assert_eq!(world.writes(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn of_a_group_that_is_gone_the_ptr_values_go_first_and_the_a_record_set_last() {
    let world = world(&[]).await;
    world.delete("web");
    world.reconcile("web").await.is(200, "changed", &[MINUS_PTR, MINUS_A]);
    assert_eq!(world.writes(), ["DELETE PTR 4.5", "DELETE A web"]);
}

#[tokio::test(start_paused = true)]
async fn as_long_as_a_ptr_cannot_be_removed_the_a_record_set_of_a_group_that_is_gone_stays() {
    let world = world(&[]).await;
    world.delete("web");
    let gone = FaultAnswer::new(404, "ParentResourceNotFound");
    world.fail_times(Method::DELETE, "/PTR/4.5", 1, gone);
    world.reconcile("web").await.is(500, "failed", &[]);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
    world.reconcile("web").await.is(200, "changed", &[MINUS_PTR, MINUS_A]);
}

#[tokio::test(start_paused = true)]
async fn what_azure_refuses_to_delete_is_emptied_and_keeps_its_mark_with_a_warning() {
    for (status, code) in [(403, "AuthorizationFailed"), (409, "ScopeLocked")] {
        let world = world(&[]).await;
        world.delete("web");
        world.fail(Method::DELETE, "/PTR/4.5", status, code);
        world.fail(Method::DELETE, "/A/web", status, code);
        let done = world.reconcile("web").await;
        assert_eq!((done.status, done.text("level")), (200, "warn"));
        assert!(done.text("message").contains("emptied instead of deleted"), "{:#}", done.line());
        let empty =
            ["A web.spoke1.contoso.internal 60  owner=web", "PTR 4.5.1.10.in-addr.arpa 60  owner=web"];
        world.has(&empty);
        world.writes();
        // Azure is asked again, and nothing else is written.
        assert_eq!(world.reconcile("web").await.status, 200);
        assert!(world.writes().iter().all(|write| write.starts_with("DELETE")));
        world.has(&empty);
        world.azure.clear_faults();
        world.reconcile("web").await;
        world.has(&[]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_on_the_reverse_zone_never_keeps_the_a_record_set_from_being_right() {
    let world = world(&[]).await;
    world.fail(Method::DELETE, "/PTR/", 409, "ScopeLocked");
    for last in 5..60 {
        world.move_to("web", last);
        assert_eq!(world.reconcile("web").await.status, 200, "{last}");
        let records = world.records();
        let expected = format!("A web.spoke1.contoso.internal 60 10.1.5.{last} owner=web");
        assert!(records.iter().any(|record| record.starts_with(&expected)), "{last}: {records:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn as_long_as_a_reverse_zone_cannot_be_listed_the_a_record_set_of_a_group_that_is_gone_stays() {
    let map = zones(&json!({"forwardZone": FORWARD, "zoneResourceGroup": "rg-dns",
        "reverseZones": ["1.10.in-addr.arpa", "2.10.in-addr.arpa"]}));
    let world = new_group(&[("ACI_DNS_ZONES", &map)]);
    assert_eq!(world.reconcile("web").await.status, 200);
    world.delete("web");
    for plan in [vec![MINUS_PTR], vec![]] {
        world.reconcile("web").await.is(500, "failed", &plan).because("2.10.in-addr.arpa");
        world.has(&[&a("web", 4)]);
    }
    world.azure.create_zone(SUBSCRIPTION, "rg-dns", "2.10.in-addr.arpa");
    world.reconcile("web").await.is(200, "changed", &[MINUS_A]);
}

#[tokio::test(start_paused = true)]
async fn an_a_record_set_that_is_known_only_from_a_ptr_goes_before_that_ptr() {
    let world = World::new(&[]);
    world.create_tagged("web", &[("aci-dns-hostname", "front")]);
    world.reconcile("web").await;
    world.delete("web");
    world.writes();
    assert_eq!(world.reconcile("web").await.status, 200);
    assert_eq!(world.writes(), ["DELETE A front", "DELETE PTR 4.5"]);
    world.has(&[]);
}

#[tokio::test(start_paused = true)]
async fn of_a_group_that_is_gone_every_ptr_value_that_names_it_and_is_ours_or_free_goes() {
    let world = world(&[]).await;
    for record_set in [
        "PTR 77.5 300 web.spoke1.contoso.internal",
        "PTR 78.5 300 WEB.spoke1.contoso.internal.",
        "PTR 79.5 300 web.spoke1.contoso.internal,x.example.org",
        "PTR 80.5 300 web.spoke1.contoso.internal owner=vanished",
        "PTR 81.5 300 web.spoke1.contoso.internal owner=api",
        "PTR 82.5 300 web.spoke1.contoso.internal auto",
        "PTR 83.5 300 web.spoke2.contoso.internal",
    ] {
        world.put(record_set);
    }
    world.create("api");
    world.delete("web");
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[
        "PTR 79.5.1.10.in-addr.arpa 300 x.example.org",
        // The mark of another group stays honoured, whether it lives or not.
        "PTR 80.5.1.10.in-addr.arpa 300 web.spoke1.contoso.internal owner=vanished",
        "PTR 81.5.1.10.in-addr.arpa 300 web.spoke1.contoso.internal owner=api",
        "PTR 82.5.1.10.in-addr.arpa 300 web.spoke1.contoso.internal (auto-registered)",
        "PTR 83.5.1.10.in-addr.arpa 300 web.spoke2.contoso.internal",
    ]);
}

#[tokio::test(start_paused = true)]
async fn in_strict_what_carries_no_mark_stays_when_a_group_is_gone() {
    let world = World::new(&[("ACI_DNS_OWNERSHIP", "strict")]);
    world.put("A web 60 10.1.5.4");
    world.put("PTR 4.5 60 web.spoke1.contoso.internal");
    let before = world.records();
    world.reconcile("web").await.is(200, "converged", &[]);
    assert_eq!(world.records(), before);
}

#[tokio::test(start_paused = true)]
async fn an_unmarked_record_set_is_never_deleted() {
    let world = World::new(&[]);
    world.put("A web 60 10.1.5.4");
    world.put("PTR 4.5 60 web.spoke1.contoso.internal");
    let before = world.records();
    world.reconcile("web").await.is(200, "converged", &[]);
    assert_eq!(world.records(), before);
}

#[tokio::test(start_paused = true)]
async fn when_nothing_is_found_otherwise_every_a_record_set_that_carries_the_mark_is_removed() {
    let world = World::new(&[]);
    world.put("A front 60 10.1.5.4 owner=web");
    world.put("A back 60 10.1.5.5 owner=web");
    world.put("A other 60 10.1.5.6 owner=api");
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&["A other.spoke1.contoso.internal 60 10.1.5.6 owner=api"]);
}

#[tokio::test(start_paused = true)]
async fn a_list_that_the_deadline_cuts_off_is_503() {
    let world = world(&[]).await;
    world.delete("web");
    let _gate = world.hold_all(Method::GET, "/PTR?");
    world.reconcile("web").await.is(503, "unavailable", &[]);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn lists_ask_for_large_pages() {
    let world = World::new(&[]);
    world.reconcile("web").await;
    let lists = world
        .azure
        .calls()
        .into_iter()
        .filter(|call| call.path.ends_with("PTR") || call.path.ends_with("/A"));
    let tops: Vec<_> = lists.map(|call| call.query.contains("top=1000")).collect();
    assert_eq!(tops, [true, true]);
}

#[tokio::test(start_paused = true)]
async fn a_record_set_that_hides_on_a_later_page_is_found() {
    let world = World::new(&[]);
    world.add_noise(2500);
    world.put("PTR 99.99.99 60 web.spoke1.contoso.internal");
    world.put("PTR 9.99 60 web.spoke1.contoso.internal");
    world.put("A zzz 60 10.1.99.9 owner=web");
    world.put("A web 60 10.1.99.8 owner=web");
    assert_eq!(world.reconcile("web").await.status, 200);
    // The list of the forward zone is not needed, because the group's own name was found.
    world.has(&["A zzz.spoke1.contoso.internal 60 10.1.99.9 owner=web"]);
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[]);
}

#[tokio::test(start_paused = true)]
async fn every_write_is_conditional() {
    let world = new_group(&[]);
    world.put("A web 60 10.1.5.9");
    world.reconcile("web").await;
    world.move_to("web", 5);
    world.reconcile("web").await;
    pass(300).await;
    world.reconcile("web").await;
    world.delete("web");
    world.reconcile("web").await;
    let calls = world.azure.calls();
    let writes: Vec<_> = calls.iter().filter(|call| call.method != Method::GET).collect();
    assert_eq!(writes.len(), 8);
    for write in writes {
        let is_etag = write.if_match.as_deref().is_some_and(|etag| !etag.is_empty() && etag != "*");
        assert!(is_etag != (write.if_none_match.as_deref() == Some("*")), "{write:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_412_on_a_means_to_observe_and_to_plan_again() {
    let world = new_group(&[]);
    world.at(Method::PUT, "/A/web", 1, |azure| put(azure, "A web 300 10.1.5.9 cost=42"));
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&format!("{} previous=10.1.5.9@0 cost=42", a("web", 4)), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_412_on_a_ptr_means_to_observe_and_to_plan_again() {
    let world = new_group(&[]);
    world.at(Method::PUT, "/PTR/4.5", 1, |azure| put(azure, "PTR 4.5 300 x.example.org"));
    assert_eq!(world.reconcile("web").await.status, 200);
    let both = "PTR 4.5.1.10.in-addr.arpa 60 x.example.org,web.spoke1.contoso.internal owner=web";
    world.has(&[&a("web", 4), both]);
}

#[tokio::test(start_paused = true)]
async fn a_412_on_a_removal_means_to_observe_and_to_plan_again() {
    let world = world(&[]).await;
    world.delete("web");
    let edited = "PTR 4.5 60 web.spoke1.contoso.internal,x.example.org owner=web";
    world.at(Method::DELETE, "/PTR/4.5", 1, move |azure| put(azure, edited));
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&["PTR 4.5.1.10.in-addr.arpa 60 x.example.org"]);
}

#[tokio::test(start_paused = true)]
async fn what_was_to_be_replaced_and_is_gone_is_planned_again() {
    let world = world(&[]).await;
    world.move_to("web", 5);
    world.at(Method::PUT, "/A/web", 1, |azure| {
        azure.remove_record_set(FORWARD, "A", "web").unwrap();
    });
    assert_eq!(world.reconcile("web").await.status, 200);
    assert!(world.records().contains(&a("web", 5)), "{:#?}", world.records());
}

#[tokio::test(start_paused = true)]
async fn five_passes_at_most_and_then_503() {
    let world = new_group(&[]);
    world.at_each(Method::PUT, "/PTR/4.5", |azure, count| {
        put(azure, &format!("PTR 4.5 {count} x.example.org"));
    });
    world.reconcile("web").await.is(503, "unavailable", &[PLUS_A]).because("5 passes");
    assert_eq!(
        world.writes(),
        ["PUT A web", "PUT PTR 4.5", "PUT PTR 4.5", "PUT PTR 4.5", "PUT PTR 4.5", "PUT PTR 4.5"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_and_that_took_effect_is_not_repeated() {
    let world = new_group(&[]);
    world.lose(Method::PUT, "/A/web", When::After);
    world.reconcile("web").await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    assert_eq!(world.writes(), ["PUT A web", "PUT PTR 4.5"]);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_ptr_whose_answer_was_lost_and_that_took_effect_is_looked_at_and_not_repeated() {
    let world = new_group(&[]);
    world.lose(Method::PUT, "/PTR/4.5", When::After);
    world.reconcile("web").await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    assert_eq!(world.writes(), ["PUT A web", "PUT PTR 4.5"]);
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_was_lost_and_that_took_no_effect_is_planned_again() {
    let world = new_group(&[]);
    world.lose(Method::PUT, "/A/web", When::Before);
    world.reconcile("web").await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    assert_eq!(world.writes(), ["PUT A web", "PUT A web", "PUT PTR 4.5"]);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_removal_whose_answer_was_lost_is_looked_at() {
    for path in ["/A/web", "/PTR/4.5"] {
        for when in [When::Before, When::After] {
            let world = world(&[]).await;
            world.delete("web");
            world.lose(Method::DELETE, path, when);
            assert_eq!(world.reconcile("web").await.status, 200);
            world.has(&[]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_write_that_met_a_5xx_may_have_happened() {
    let world = new_group(&[]);
    let broken =
        aci_dns::simulator::Effect::Answer(When::After, FaultAnswer::new(500, "InternalServerError"));
    world.azure.inject(aci_dns::simulator::Fault::once(Method::PUT, "/A/web", broken));
    world.reconcile("web").await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    assert_eq!(world.writes(), ["PUT A web", "PUT PTR 4.5"]);
}

/// The last look is the second time that a group is read, where there is no race before it.
fn at_the_look(world: &World, act: impl Fn(&aci_dns::simulator::Azure) + Send + 'static) {
    world.at(Method::GET, "containerGroups/web", 2, act);
}

#[tokio::test(start_paused = true)]
async fn the_look_sees_that_the_group_moved_meanwhile() {
    let world = new_group(&[]);
    at_the_look(&world, |azure| azure.set_address(&id("web"), address(5)).unwrap());
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&format!("{} previous=10.1.5.4@0", a("web", 5)), &ptr("web", 5)]);
}

#[tokio::test(start_paused = true)]
async fn the_look_sees_that_a_was_edited_meanwhile() {
    let world = new_group(&[]);
    at_the_look(&world, |azure| put(azure, "A web 60 10.1.5.99 owner=web"));
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&format!("{} previous=10.1.5.99@0", a("web", 4)), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn the_look_sees_that_a_was_removed_meanwhile() {
    let world = new_group(&[]);
    at_the_look(&world, |azure| {
        azure.remove_record_set(FORWARD, "A", "web").unwrap();
    });
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn the_look_sees_that_the_group_was_deleted_meanwhile() {
    let world = new_group(&[]);
    at_the_look(&world, |azure| azure.delete_group(&id("web")).unwrap());
    // A write event is no evidence that the group is deleted: only the PTR that this invocation wrote goes again.
    world
        .reconcile_as("ResourceWriteSuccess", "web")
        .await
        .is(503, "unavailable", &[PLUS_A, PLUS_PTR, MINUS_PTR])
        .because("not visible yet");
    world.has(&[&a("web", 4)]);
    world.reconcile("web").await.is(200, "changed", &[MINUS_A]);
    world.has(&[]);
}

#[tokio::test(start_paused = true)]
async fn the_look_sees_that_the_group_was_recreated_after_a_removal() {
    let world = world(&[]).await;
    world.delete("web");
    at_the_look(&world, |azure| {
        azure.create_group(aci_dns::simulator::GroupSpec::new("rg-spoke1", "web"));
    });
    // The address is the same again, so the plan says what was made undone.
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn the_look_sees_that_the_tags_changed_meanwhile() {
    let world = new_group(&[]);
    at_the_look(&world, |azure| {
        azure.set_tags(&id("web"), [("aci-dns-ttl".to_owned(), "7".to_owned())].into()).unwrap();
    });
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&a("web", 4).replace(" 60 ", " 7 "), &ptr("web", 4).replace(" 60 ", " 7 ")]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_being_provisioned_at_the_look_is_waited_for() {
    let world = World::new(&[]);
    world.create_as("web", |spec| spec.provisioning = Duration::from_secs(5));
    pass(5).await;
    at_the_look(&world, |azure| azure.restart_group(&id("web")).unwrap());
    let started = Instant::now();
    assert_eq!(world.reconcile("web").await.status, 200);
    assert!((5..=9).contains(&started.elapsed().as_secs()));
    assert!(world.records().contains(&ptr("web", 5)), "{:#?}", world.records());
    assert!(world.records()[0].starts_with(&a("web", 5)), "{:#?}", world.records());
    assert_eq!(world.records().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_invocation_that_wrote_nothing_does_not_look() {
    let world = world(&[]).await;
    world.azure.clear_calls();
    world.reconcile("web").await.is(200, "converged", &[]);
    assert_eq!(world.calls(), "3 GET");
}

#[tokio::test(start_paused = true)]
async fn a_pass_after_the_look_covers_the_addresses_at_which_this_invocation_wrote_a_ptr() {
    let world = new_group(&[]);
    // Whoever removes the A record set removes what remembers the PTR that was just written.
    at_the_look(&world, |azure| {
        azure.remove_record_set(FORWARD, "A", "web").unwrap();
        azure.set_address(&id("web"), address(5)).unwrap();
    });
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&a("web", 5), &ptr("web", 5)]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_creation_of_a_is_too_late_for_a_group_that_moved() {
    let world = new_group(&[]);
    let gate = world.azure.hold(Method::PUT, "/A/web", When::Before);
    let slow = world.start(&world.stage, "web");
    gate.reached().await;
    world.move_to("web", 5);
    let other = world.instance(&[]);
    assert_eq!(world.start(&other, "web").await.unwrap().status, 200);
    world.has(&[&a("web", 5), &ptr("web", 5)]);
    gate.release();
    assert_eq!(slow.await.unwrap().status, 200);
    world.has(&[&a("web", 5), &ptr("web", 5)]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_ptr_is_cleaned_up_by_the_one_who_wrote_it() {
    let world = new_group(&[]);
    let gate = world.azure.hold(Method::PUT, "/PTR/4.5", When::Before);
    let slow = world.start(&world.stage, "web");
    gate.reached().await;
    world.move_to("web", 5);
    let other = world.instance(&[]);
    assert_eq!(world.start(&other, "web").await.unwrap().status, 200);
    gate.release();
    assert_eq!(slow.await.unwrap().status, 200);
    world.has(&[&format!("{} previous=10.1.5.4@0", a("web", 5)), &ptr("web", 5)]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_ptr_of_a_writer_that_was_killed_is_found_through_the_memory() {
    let world = new_group(&[]);
    let gate = world.azure.hold(Method::PUT, "/PTR/4.5", When::Before);
    let slow = world.start(&world.stage, "web");
    gate.reached().await;
    world.move_to("web", 5);
    let other = world.instance(&[]);
    assert_eq!(world.start(&other, "web").await.unwrap().status, 200);
    // Long after, but before it is forgotten.
    world.fail(Method::GET, "containerGroups/web", 403, "AuthorizationFailed");
    gate.release();
    assert_eq!(slow.await.unwrap().status, 500);
    world.azure.clear_faults();
    world.has(&[&format!("{} previous=10.1.5.4@0", a("web", 5)), &ptr("web", 4), &ptr("web", 5)]);
    world.reconcile("web").await.is(200, "changed", &[MINUS_PTR]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_creation_for_a_group_that_was_deleted_meanwhile_is_undone() {
    let world = new_group(&[]);
    let gate = world.azure.hold(Method::PUT, "/A/web", When::Before);
    let slow = world.start(&world.stage, "web");
    gate.reached().await;
    world.delete("web");
    let other = world.instance(&[]);
    assert_eq!(world.start(&other, "web").await.unwrap().status, 200);
    gate.release();
    assert_eq!(slow.await.unwrap().status, 503);
    world.reconcile("web").await;
    world.has(&[]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_removal_of_records_of_a_group_that_was_recreated_with_the_same_address_is_undone() {
    for path in ["/A/web", "/PTR/4.5"] {
        let world = world(&[]).await;
        world.delete("web");
        let gate = world.azure.hold(Method::DELETE, path, When::Before);
        let slow = world.start(&world.stage, "web");
        gate.reached().await;
        world.create_at("web", 4);
        let other = world.instance(&[]);
        assert_eq!(world.start(&other, "web").await.unwrap().status, 200);
        world.has(&[&a("web", 4), &ptr("web", 4)]);
        gate.release();
        assert_eq!(slow.await.unwrap().status, 200);
        world.has(&[&a("web", 4), &ptr("web", 4)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_removal_of_a_ptr_of_a_group_that_came_back_to_that_address_is_undone() {
    let world = world(&[]).await;
    world.move_to("web", 5);
    let gate = world.azure.hold(Method::DELETE, "/PTR/4.5", When::Before);
    let slow = world.start(&world.stage, "web");
    gate.reached().await;
    world.move_to("web", 4);
    let other = world.instance(&[]);
    assert_eq!(world.start(&other, "web").await.unwrap().status, 200);
    gate.release();
    assert_eq!(slow.await.unwrap().status, 200);
    world.has(&[&format!("{} previous=10.1.5.5@0", a("web", 4)), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn the_ttl_is_part_of_the_desired_state() {
    let world = world(&[]).await;
    world.put("A web 300 10.1.5.4 owner=web");
    world.put("PTR 4.5 301 web.spoke1.contoso.internal owner=web");
    let plan = [
        "~ A web.spoke1.contoso.internal 10.1.5.4 (ttl 300 -> 60)",
        "~ PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal (ttl 301 -> 60)",
    ];
    world.reconcile("web").await.is(200, "changed", &plan);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn names_compare_without_regard_to_case_and_trailing_dot() {
    let world = world(&[]).await;
    world.put("PTR 4.5 60 Web.SPOKE1.contoso.internal. owner=web");
    world.reconcile("web").await.is(200, "converged", &[]);
}

#[tokio::test(start_paused = true)]
async fn retry_after_is_obeyed_while_it_fits_the_deadline() {
    for (method, path) in [(Method::GET, "/A/web"), (Method::PUT, "/A/web"), (Method::PUT, "/PTR/4.5")] {
        let world = new_group(&[]);
        let throttled = FaultAnswer::new(429, "TooManyRequests").retry_after(7);
        world.fail_times(method, path, 1, throttled);
        let started = Instant::now();
        world.reconcile("web").await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
        assert_eq!(started.elapsed().as_secs(), 7);
    }
}

#[tokio::test(start_paused = true)]
async fn a_retry_after_that_does_not_fit_the_deadline_is_503_at_once() {
    let world = new_group(&[]);
    world.fail_times(Method::PUT, "/A/web", 1, FaultAnswer::new(429, "TooManyRequests").retry_after(60));
    let started = Instant::now();
    world.reconcile("web").await.is(503, "unavailable", &[]);
    assert_eq!(started.elapsed().as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn reads_that_meet_5xx_are_repeated_and_then_503() {
    let world = new_group(&[]);
    world.fail_times(Method::GET, "/A/web", 2, FaultAnswer::new(503, "ServiceUnavailable"));
    world.reconcile("web").await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    world.fail(Method::GET, "/A/web", 503, "ServiceUnavailable");
    world.reconcile("web").await.is(503, "unavailable", &[]);
}

#[tokio::test(start_paused = true)]
async fn a_409_that_says_another_operation_is_pending_is_repeated_and_then_503() {
    let world = new_group(&[]);
    world.fail_times(Method::PUT, "/A/web", 2, FaultAnswer::new(409, "Conflict"));
    world.reconcile("web").await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    world.move_to("web", 5);
    world.fail(Method::PUT, "/A/web", 409, "Conflict");
    world.reconcile("web").await.is(503, "unavailable", &[]);
}

#[tokio::test(start_paused = true)]
async fn concurrent_events_for_one_group_share_passes() {
    let world = new_group(&[]);
    let gate = world.azure.hold(Method::PUT, "/A/web", When::Before);
    let first = world.start(&world.stage, "web");
    gate.reached().await;
    // They need a pass that starts after they arrived, and one serves them all.
    let others: Vec<_> = (0..20).map(|_| world.start(&world.stage, "web")).collect();
    pass(1).await;
    gate.release();
    assert_eq!(first.await.unwrap().status, 200);
    for answer in join_all(others).await {
        assert_eq!(answer.unwrap().status, 200);
    }
    assert_eq!(world.calls(), "8 GET + 2 PUT");
    let calls: Vec<_> = world.take_lines().iter().map(|line| line["arm.calls"].as_u64().unwrap()).collect();
    let (own, shared) = calls.split_at(2);
    assert_eq!((own, shared), (&[7, 3][..], &[0; 19][..]));
}

#[tokio::test(start_paused = true)]
async fn the_events_of_an_array_for_one_group_share_a_pass() {
    let world = new_group(&[]);
    let events: Vec<_> = (0..5).map(|_| world.event("web")).collect();
    let done = world.deliver("function_aci_reconcile", &events.into()).await;
    assert_eq!((done.status, done.lines.len()), (200, 5));
    assert_eq!(world.calls(), "5 GET + 2 PUT");
}

#[tokio::test(start_paused = true)]
async fn no_more_groups_are_reconciled_at_a_time_than_the_operator_allows() {
    let world = World::new(&[("ACI_DNS_MAX_CONCURRENCY", "2")]);
    world.azure.configure(|settings| settings.latency = Duration::from_secs(1));
    let started = Instant::now();
    let names = ["one", "two", "three", "four"];
    let events: Vec<_> = names
        .iter()
        .map(|name| {
            world.create(name);
            world.event(name)
        })
        .collect();
    let done = world.deliver("function_aci_reconcile", &events.into()).await;
    assert_eq!((done.status, started.elapsed().as_secs()), (200, 8));
}

#[tokio::test(start_paused = true)]
async fn at_the_deadline_the_answer_is_503_and_the_process_keeps_serving() {
    let world = new_group(&[("ACI_DNS_DEADLINE_SECONDS", "5")]);
    let gate = world.hold_all(Method::PUT, "/A/web");
    let started = Instant::now();
    world.reconcile("web").await.is(503, "unavailable", &[PLUS_A]).because("ACI_DNS_DEADLINE_SECONDS");
    assert!((4..=5).contains(&started.elapsed().as_secs()));
    world.create_at("api", 9);
    assert_eq!(world.reconcile("api").await.status, 200);
    world.azure.clear_faults();
    gate.release();
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&a("web", 4), &ptr("web", 4), &a("api", 9), &ptr("api", 9)]);
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_a_free_place_until_the_deadline_is_answered_503() {
    let world = new_group(&[("ACI_DNS_MAX_CONCURRENCY", "1"), ("ACI_DNS_DEADLINE_SECONDS", "5")]);
    world.create_at("api", 9);
    let gate = world.hold_all(Method::GET, "containerGroups/web");
    let first = world.start(&world.stage, "web");
    gate.reached().await;
    let started = Instant::now();
    let second = world.start(&world.stage, "api");
    pass(1).await;
    let third = world.start(&world.stage, "web");
    assert_eq!(first.await.unwrap().status, 503);
    assert_eq!(second.await.unwrap().status, 503);
    assert_eq!(third.await.unwrap().status, 503);
    assert!((4..=6).contains(&started.elapsed().as_secs()));
    world.azure.clear_faults();
    gate.release();
    assert_eq!(world.reconcile("api").await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_group_reserves_the_name_that_a_tag_chose_and_touches_no_unmarked_one() {
    let world = World::new(&[]);
    world.create_tagged("web", &[("aci-dns-hostname", "front")]);
    world.reconcile("web").await;
    world.azure.stop_group(&id("web")).unwrap();
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&["A front.spoke1.contoso.internal 60  owner=web previous=10.1.5.4@3"]);
    world.azure.remove_record_set(FORWARD, "A", "front").unwrap();
    world.put("A front 60 10.1.9.9");
    world.put("PTR 9.9 60 front.spoke1.contoso.internal");
    let before = world.records();
    world.reconcile("web").await.is(200, "converged", &[]);
    assert_eq!(world.records(), before);
}

#[tokio::test(start_paused = true)]
async fn a_renaming_does_not_remove_the_old_name_before_the_new_one_is_there() {
    let world = renamed().await;
    world.fail(Method::PUT, "/A/new", 403, "AuthorizationFailed");
    world.reconcile("web").await.is(500, "failed", &[]);
    world.has(&[&named("A", "old"), &named("PTR", "old")]);
}

#[tokio::test(start_paused = true)]
async fn zones_may_be_in_another_subscription_and_resource_group() {
    let elsewhere = "11111111-1111-1111-1111-111111111111";
    let map = zones(&json!({"forwardZone": "far.internal", "reverseZones": ["10.in-addr.arpa"],
        "zoneSubscriptionId": elsewhere, "zoneResourceGroup": "rg-hub"}));
    let world = World::new(&[("ACI_DNS_ZONES", &map)]);
    for zone in ["far.internal", "10.in-addr.arpa"] {
        // One of the same name at home is another zone.
        world.azure.create_zone(elsewhere, "rg-hub", zone);
        world.azure.create_zone(SUBSCRIPTION, "rg-spoke1", zone);
    }
    world.create_at("web", 4);
    let plan = ["+ A web.far.internal 10.1.5.4", "+ PTR 4.5.1.10.in-addr.arpa web.far.internal"];
    world.reconcile("web").await.is(200, "changed", &plan);
    let place = format!("/subscriptions/{elsewhere}/resourceGroups/rg-hub/");
    let calls = world.azure.calls();
    let writes: Vec<_> = calls.iter().filter(|call| call.method == Method::PUT).collect();
    assert!(writes.len() == 2 && writes.iter().all(|call| call.path.starts_with(&place)), "{writes:#?}");
}

#[tokio::test(start_paused = true)]
async fn zones_default_to_the_container_groups_own_subscription_and_resource_group() {
    let map = zones(&json!({"forwardZone": "near.internal", "reverseZones": [], "ttl": 5}));
    let world = World::new(&[("ACI_DNS_ZONES", &map)]);
    world.azure.create_zone(SUBSCRIPTION, "rg-spoke1", "near.internal");
    world.create_at("web", 4);
    world.reconcile("web").await.is(200, "changed", &["+ A web.near.internal 10.1.5.4"]);
    world.has(&["A web.near.internal 5 10.1.5.4 owner=web"]);
}

#[tokio::test(start_paused = true)]
async fn no_reverse_zones_means_no_ptr_records_on_purpose() {
    let map = zones(&json!({"forwardZone": FORWARD, "reverseZones": [], "zoneResourceGroup": "rg-dns"}));
    let world = new_group(&[("ACI_DNS_ZONES", &map)]);
    world.reconcile("web").await.is(200, "changed", &[PLUS_A]);
    world.move_to("web", 5);
    let plan = ["~ A web.spoke1.contoso.internal 10.1.5.4 -> 10.1.5.5"];
    world.reconcile("web").await.is(200, "changed", &plan);
    world.drift("web").await.is(200, "reported", &[]);
    world.delete("web");
    let plan = ["- A web.spoke1.contoso.internal 10.1.5.5"];
    world.reconcile("web").await.is(200, "changed", &plan);
}

#[tokio::test(start_paused = true)]
async fn of_several_reverse_zones_the_longest_that_contains_the_address_is_used() {
    let map = zones(&json!({"forwardZone": FORWARD, "zoneResourceGroup": "rg-dns",
        "reverseZones": ["1.10.in-addr.arpa", "5.1.10.in-addr.arpa", "10.in-addr.arpa", "6.1.10.in-addr.arpa"]}));
    let world = new_group(&[("ACI_DNS_ZONES", &map)]);
    for zone in ["5.1.10.in-addr.arpa", "10.in-addr.arpa", "6.1.10.in-addr.arpa"] {
        world.azure.create_zone(SUBSCRIPTION, "rg-dns", zone);
    }
    world.reconcile("web").await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    assert_eq!(world.azure.record_sets("5.1.10.in-addr.arpa").len(), 2);
    world.delete("web");
    world.reconcile("web").await.is(200, "changed", &[MINUS_PTR, MINUS_A]);
}

/// A world in which `web` is called `new` by a tag and was called `old`.
async fn renamed() -> World {
    let world = World::new(&[]);
    world.create_tagged("web", &[("aci-dns-hostname", "old")]);
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&named("A", "old"), &named("PTR", "old")]);
    world.tag("web", &[("aci-dns-hostname", "new")]);
    world.writes();
    world
}

/// A record set of `web` under another name.
fn named(kind: &str, name: &str) -> String {
    match kind {
        "A" => format!("A {name}.spoke1.contoso.internal 60 10.1.5.4 owner=web"),
        _ => format!("PTR 4.5.1.10.in-addr.arpa 60 {name}.spoke1.contoso.internal owner=web"),
    }
}

#[tokio::test(start_paused = true)]
async fn after_a_renaming_the_new_a_comes_then_the_old_a_goes_then_the_ptr_changes() {
    let world = renamed().await;
    let plan = [
        "+ A new.spoke1.contoso.internal 10.1.5.4",
        "- A old.spoke1.contoso.internal 10.1.5.4",
        "~ PTR 4.5.1.10.in-addr.arpa old.spoke1.contoso.internal -> new.spoke1.contoso.internal",
    ];
    world.reconcile("web").await.is(200, "changed", &plan);
    assert_eq!(world.writes(), ["PUT A new", "DELETE A old", "PUT PTR 4.5"]);
    world.has(&[&named("A", "new"), &named("PTR", "new")]);
}

#[tokio::test(start_paused = true)]
async fn a_renaming_that_was_cut_off_anywhere_converges_at_the_redelivery() {
    for cut in 0..12 {
        let world = renamed().await;
        let count = std::sync::atomic::AtomicUsize::new(0);
        world.azure.set_interceptor(Box::new(move |_| {
            let count = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            (count >= cut).then_some(aci_dns::simulator::Effect::Drop(When::Before))
        }));
        world.reconcile("web").await;
        world.azure.set_interceptor(Box::new(|_| None));
        assert_eq!(world.reconcile("web").await.status, 200, "cut off after {cut} requests");
        world.has(&[&named("A", "new"), &named("PTR", "new")]);
    }
}

#[tokio::test(start_paused = true)]
async fn an_old_name_that_a_move_hides_goes_with_the_group_at_the_latest() {
    let world = renamed().await;
    world.move_to("web", 5);
    world.put("A old 60 10.1.5.4 owner=web previous=10.1.5.8@0");
    world.put("PTR 8.5 60 old.spoke1.contoso.internal owner=web");
    world.reconcile("web").await;
    // A pass cannot see it: the group is not at the address of its old PTR any more.
    assert!(world.records().contains(&"A new.spoke1.contoso.internal 60 10.1.5.5 owner=web".to_owned()));
    world.delete("web");
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[]);
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_is_taken_away_gives_the_group_its_own_name_back() {
    let world = renamed().await;
    world.reconcile("web").await;
    world.tag("web", &[]);
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_gets_a_tag_loses_its_own_name() {
    let world = world(&[]).await;
    world.tag("web", &[("aci-dns-hostname", "front")]);
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&named("A", "front"), &named("PTR", "front")]);
}

#[tokio::test(start_paused = true)]
async fn an_old_name_that_became_anothers_is_not_removed() {
    let world = renamed().await;
    world.put("A old 60 10.1.5.77 owner=api");
    assert_eq!(world.reconcile("web").await.status, 200);
    let others = "A old.spoke1.contoso.internal 60 10.1.5.77 owner=api";
    assert!(world.records().contains(&others.to_owned()), "{:#?}", world.records());
    assert!(world.records().contains(&named("A", "new")), "{:#?}", world.records());
}

#[tokio::test(start_paused = true)]
async fn the_ptr_tag_removes_a_ptr_of_ours_and_no_other() {
    let world = world(&[]).await;
    world.tag("web", &[("aci-dns-ptr", "false")]);
    world.reconcile("web").await.is(200, "changed", &[MINUS_PTR]);
    world.has(&[&a("web", 4)]);
    world.put("PTR 4.5 60 web.spoke1.contoso.internal");
    world.reconcile("web").await.is(200, "converged", &[]);
    world.tag("web", &[]);
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn the_ttl_tag_overrides_the_map() {
    let world = World::new(&[]);
    world.create_tagged("web", &[("ACI-DNS-TTL", "86400")]);
    world.reconcile("web").await;
    world.has(&[&a("web", 4).replace(" 60 ", " 86400 "), &ptr("web", 4).replace(" 60 ", " 86400 ")]);
    world.tag("web", &[]);
    world.reconcile("web").await;
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn the_ignore_tag_is_hands_off_and_what_is_there_stays_mark_and_all() {
    let world = world(&[]).await;
    world.tag("web", &[("aci-dns-ignore", "TRUE")]);
    for change in ["move", "stop"] {
        match change {
            "move" => world.move_to("web", 5),
            _ => world.azure.stop_group(&id("web")).unwrap(),
        }
        world.reconcile("web").await.is(200, "unmanaged", &[]);
        world.has(&[&a("web", 4), &ptr("web", 4)]);
    }
    // Another group of this name finds the mark of a group that lives.
    world.create("rg-spoke2/web");
    world.reconcile("rg-spoke2/web").await.is(409, "conflict", &[]);
    // Once it is gone, so are its tags.
    world.delete("web");
    world.reconcile("web").await.is(200, "changed", &[MINUS_PTR, MINUS_A]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_ignored_is_not_waited_for() {
    let world = World::new(&[]);
    world.create_as("web", |spec| {
        spec.ip = Ip::NullIp;
        spec.tags = [("aci-dns-ignore".to_owned(), "true".to_owned())].into();
    });
    let started = Instant::now();
    world.reconcile("web").await.is(200, "unmanaged", &[]);
    assert_eq!(started.elapsed().as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn to_observe_is_to_plan_what_would_be_done_and_to_send_gets_only() {
    let observing = [("ACI_DNS_POLICY", "observe")];
    let world = world(&[]).await;
    world.put("A web 300 10.1.5.4 owner=web previous=10.1.5.8@0");
    world.put("PTR 8.5 60 web.spoke1.contoso.internal owner=web");
    world.move_to("web", 5);
    let before = world.records();
    let event = world.event("web");
    let stage = world.instance(&observing);
    let done = world.done(stage.invoke("function_aci_reconcile", &event).await);
    let planned = done.list("plan").into_iter().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!((done.text("outcome"), planned.len()), ("planned", 4));
    assert_eq!(world.records(), before);
    assert_eq!(world.writes(), Vec::<String>::new());
    let done = world.reconcile("web").await;
    assert!(done.text("message").contains("web.spoke1.contoso.internal"));
}

#[tokio::test(start_paused = true)]
async fn upsert_only_never_deletes() {
    let world = world(&[("ACI_DNS_POLICY", "upsert-only")]).await;
    world.move_to("web", 5);
    world.reconcile("web").await;
    world.tag("web", &[("aci-dns-hostname", "front")]);
    world.reconcile("web").await;
    world.tag("web", &[("aci-dns-ptr", "false")]);
    world.reconcile("web").await;
    world.azure.stop_group(&id("web")).unwrap();
    world.reconcile("web").await.is(200, "converged", &[]);
    world.delete("web");
    let done = world.reconcile("web").await;
    assert!(!done.is(200, "converged", &[]).list("plan.withheld").is_empty());
    let writes = world.writes();
    assert!(writes.iter().all(|write| write.starts_with("PUT")), "{writes:#?}");
    let names: Vec<String> =
        world.records().iter().map(|set| set.split(' ').nth(1).unwrap().to_owned()).collect();
    assert_eq!(
        names,
        [
            "front.spoke1.contoso.internal",
            "web.spoke1.contoso.internal",
            "4.5.1.10.in-addr.arpa",
            "5.5.1.10.in-addr.arpa"
        ]
    );
}
