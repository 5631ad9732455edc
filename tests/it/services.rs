//! Services: several container groups behind one name. docs/services.md.

mod secrets;
mod unfinished;

use std::collections::BTreeSet;

use aci_dns::replay::stage::{RECONCILE, TRACK_DRIFT};
use azure_simulator::{FaultAnswer, When};
use http::Method;
use serde_json::{Value, json};

use crate::world::{FORWARD, REVERSE, World, a, id, pass, ptr};

fn world(services: &Value) -> World {
    world_with(services, &[])
}

fn world_with(services: &Value, settings: &[(&str, &str)]) -> World {
    let zones = json!({"forwardZone": FORWARD, "reverseZones": [REVERSE], "zoneResourceGroup": "rg-dns"});
    let mut served = zones.clone();
    served["services"] = services.clone();
    let map = json!({"rg-spoke1": served, "rg-spoke2": zones}).to_string();
    let settings: Vec<_> =
        [("ACI_DNS_ZONES", map.as_str())].into_iter().chain(settings.iter().copied()).collect();
    World::new(&settings)
}

fn api() -> Value {
    json!({"api": {"groups": ["v*"], "ttl": 20}})
}

/// The record set of the service `api` with the addresses 10.1.5.x.
fn service(last: &[u8]) -> String {
    let addresses: Vec<_> = last.iter().map(|last| format!("10.1.5.{last}")).collect();
    format!("A api.{FORWARD} 20 {} owner=service:api", addresses.join(","))
}

/// The addresses of the service `api`.
fn held(world: &World) -> String {
    let start = format!("A api.{FORWARD} 20 ");
    let records = world.records();
    let record = records.iter().find_map(|record| record.strip_prefix(&start));
    record.map_or_else(String::new, |rest| {
        rest.replace(" owner=service:api", "").replace("10.1.5.", "").replace(',', " ")
    })
}

fn line(change: &str) -> String {
    format!("{} A api.{FORWARD}{}", &change[..1], &change[1..])
}

async fn created(world: &World, groups: &[(&str, u8)]) {
    for (name, last) in groups {
        world.create_at(name, *last);
        world.reconcile(name).await.is_status(200);
    }
}

/// A world with the members `v1-a` at 10.1.5.4 and `v1-b` at 10.1.5.5.
async fn two() -> World {
    let world = world(&api());
    created(&world, &[("v1-a", 4), ("v1-b", 5)]).await;
    assert_eq!(held(&world), "4 5");
    world
}

#[tokio::test(start_paused = true)]
async fn a_service_is_one_record_set_with_the_addresses_of_its_members_in_numeric_order_and_no_ptr() {
    let world = world(&api());
    created(&world, &[("v1-a", 10), ("v1-b", 9)]).await;
    world.has(&[&a("v1-a", 10), &a("v1-b", 9), &service(&[9, 10]), &ptr("v1-a", 10), &ptr("v1-b", 9)]);
}

#[tokio::test(start_paused = true)]
async fn a_group_belongs_by_its_tag_which_lists_several_labels_or_by_its_name() {
    let world = world(&json!({"api": {"ttl": 20}, "jobs": {"groups": ["worker"]}}));
    world.create_tagged("web", &[("ACI-DNS-Service", "jobs, API")]);
    world.reconcile("web").await.is_status(200);
    created(&world, &[("worker", 9)]).await;
    let records = world.records();
    let names: BTreeSet<_> = records.iter().filter(|record| record.contains("service:")).collect();
    assert_eq!(names.len(), 2, "{records:#?}");
    assert!(
        records.iter().any(
            |record| record.starts_with(&format!("A jobs.{FORWARD} 30 ")) && record.contains(",10.1.5.9")
        ),
        "{records:#?}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_change_stands_in_the_plan() {
    let world = two().await;
    world.move_to("v1-a", 6);
    let done = world.reconcile("v1-a").await;
    let plan = done.list("plan");
    assert_eq!(plan.last().unwrap(), &line("~ 10.1.5.4 10.1.5.5 -> 10.1.5.5 10.1.5.6"));
}

#[tokio::test(start_paused = true)]
async fn an_undeclared_label_fails_the_invocations_of_that_group_alone_and_everything_is_right() {
    let world = two().await;
    world.create_tagged("web", &[("aci-dns-service", "api,nope")]);
    let done = world.reconcile("web").await;
    assert_eq!(done.status, 500);
    done.because("aci-dns-service").because("nope");
    assert_eq!(held(&world).split(' ').count(), 3);
    assert!(world.records().iter().any(|record| record.starts_with("A web.")));
    world.reconcile("v1-a").await.is(200, "converged", &[]);
}

#[tokio::test(start_paused = true)]
async fn a_bad_drain_tag_counts_as_not_draining_and_fails_the_invocations_of_that_group() {
    let world = two().await;
    world.tag("v1-a", &[("aci-dns-drain", "yes")]);
    let done = world.reconcile("v1-a").await;
    assert_eq!(done.status, 500);
    done.because("aci-dns-drain");
    assert_eq!(held(&world), "4 5");
    world.reconcile("v1-b").await.is(200, "converged", &[]);
}

#[tokio::test(start_paused = true)]
async fn a_draining_member_leaves_and_keeps_its_own_name() {
    let world = two().await;
    world.tag("v1-a", &[("aci-dns-drain", "true")]);
    world.reconcile("v1-a").await.is(200, "changed", &[&line("~ 10.1.5.4 10.1.5.5 -> 10.1.5.5")]);
    assert!(world.records().contains(&a("v1-a", 4)));
    world.tag("v1-a", &[]);
    world.reconcile("v1-a").await.is_status(200);
    assert_eq!(held(&world), "4 5");
}

#[tokio::test(start_paused = true)]
async fn drain_never_removes_the_last_address_and_the_line_is_a_warning() {
    let world = two().await;
    for name in ["v1-a", "v1-b"] {
        world.tag(name, &[("aci-dns-drain", "true")]);
    }
    let done = world.reconcile("v1-a").await;
    assert_eq!((done.text("level"), done.status), ("warn", 200));
    assert!(done.text("message").contains("draining"), "{done:#?}");
    assert_eq!(held(&world), "4 5");
}

#[tokio::test(start_paused = true)]
async fn an_ignored_group_is_no_member() {
    let world = two().await;
    world.tag("v1-a", &[("aci-dns-ignore", "true")]);
    let done = world.reconcile("v1-a").await;
    done.is(200, "changed", &[&line("~ 10.1.5.4 10.1.5.5 -> 10.1.5.5")]);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_member_leaves_after_a_confirmation() {
    let world = two().await;
    world.azure.stop_group(&id("v1-a")).unwrap();
    world.reconcile("v1-a").await.is_status(200);
    assert_eq!(held(&world), "5");
}

#[tokio::test(start_paused = true)]
async fn a_deleted_member_leaves_and_the_last_one_takes_the_record_set_with_it() {
    let world = two().await;
    world.delete("v1-a");
    world.reconcile("v1-a").await.is_status(200);
    assert_eq!(held(&world), "5");
    world.delete("v1-b");
    world.reconcile("v1-b").await.is_status(200);
    world.has(&[]);
}

#[tokio::test(start_paused = true)]
async fn a_record_set_without_address_is_deleted_also_where_stopped_groups_keep_their_names() {
    let world = world_with(&api(), &[("ACI_DNS_STOPPED", "keep")]);
    created(&world, &[("v1-a", 4)]).await;
    world.azure.stop_group(&id("v1-a")).unwrap();
    world.reconcile("v1-a").await.is_status(200);
    world.has(&[&a("v1-a", 4), &ptr("v1-a", 4)]);
}

#[tokio::test(start_paused = true)]
async fn one_list_without_a_member_takes_nothing_away() {
    let world = two().await;
    // The first list misses a member, as one of a replica that lags; the second has it.
    world.azure.set_interceptor({
        let hidden = std::sync::atomic::AtomicBool::new(false);
        let azure = world.azure.clone();
        Box::new(move |call| {
            if call.method == Method::GET && call.path.ends_with("/containerGroups") {
                if !hidden.swap(true, std::sync::atomic::Ordering::SeqCst) {
                    azure.delete_group(&id("v1-b")).unwrap();
                } else if azure.read(|view| view.group(&id("v1-b")).is_none()) {
                    azure.create_group(azure_simulator::GroupSpec::new("rg-spoke1", "v1-b"));
                    azure.set_address(&id("v1-b"), crate::world::address(5)).unwrap();
                }
            }
            None
        })
    });
    world.reconcile("v1-a").await.is(200, "converged", &[]);
    assert_eq!(held(&world), "4 5");
}

#[tokio::test(start_paused = true)]
async fn the_group_of_the_event_is_waited_for_and_others_that_are_provisioned_keep_their_address() {
    let world = two().await;
    // Another member is redeployed: it keeps its address in the set.
    world.azure.restart_group(&id("v1-b")).unwrap();
    world.move_to("v1-a", 6);
    world.reconcile("v1-a").await.is_status(200);
    assert!(held(&world).contains('6'), "{}", held(&world));
}

#[tokio::test(start_paused = true)]
async fn a_new_member_is_in_the_set_as_soon_as_it_has_an_address() {
    let world = two().await;
    world.create_as("v2-a", |spec| spec.provisioning = std::time::Duration::from_secs(8));
    world.reconcile("v2-a").await.is_status(200);
    assert_eq!(held(&world).split(' ').count(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_still_provisioned_after_the_wait_ends_unavailable_and_fails_no_other_member() {
    let world = two().await;
    world.create_as("v2-a", |spec| spec.provisioning = std::time::Duration::from_mins(1));
    world.reconcile("v2-a").await.is(503, "unavailable", &[]);
    world.reconcile("v1-a").await.is(200, "converged", &[]);
    assert_eq!(held(&world), "4 5");
}

#[tokio::test(start_paused = true)]
async fn of_more_than_twenty_members_the_first_by_name_are_in_the_set_and_the_invocation_fails() {
    let world = world(&api());
    for number in 10..31_u8 {
        world.create_at(&format!("v{number}"), number);
    }
    let done = world.reconcile("v10").await;
    assert_eq!((done.status, done.text("outcome")), (500, "failed"));
    done.because("21 members");
    assert_eq!(held(&world), (10..30).map(|n| n.to_string()).collect::<Vec<_>>().join(" "));
    world.create_at("other", 99);
    let done = world.reconcile("other").await;
    done.is_status(200);
    assert_eq!((done.text("level"), done.list("services.failed").len()), ("warn", 1));
}

#[tokio::test(start_paused = true)]
async fn a_service_at_the_name_of_a_group_is_a_conflict_and_the_other_way_round() {
    let world = world(&api());
    created(&world, &[("api", 3)]).await;
    world.create_at("v1-a", 4);
    let done = world.reconcile("v1-a").await;
    assert_eq!((done.status, done.text("outcome")), (409, "conflict"));
    done.because("belongs to the container group");
    assert!(world.records().contains(&a("api", 3)) && world.records().contains(&a("v1-a", 4)));
    // The name is free once the group is deleted.
    world.delete("api");
    world.reconcile("api").await.is_status(200);
    world.reconcile("v1-a").await.is_status(200);
    assert_eq!(held(&world), "4");
    world.create_at("api", 3);
    let done = world.reconcile("api").await;
    assert_eq!((done.status, done.text("outcome")), (409, "conflict"));
    done.because("belongs to the service api");
    assert_eq!(held(&world), "4");
}

#[tokio::test(start_paused = true)]
async fn an_unmarked_record_set_is_adopted_or_under_strict_a_conflict() {
    let strict = world_with(&api(), &[("ACI_DNS_OWNERSHIP", "strict")]);
    strict.put("A api 300 10.1.5.200");
    strict.create_at("v1-a", 4);
    let done = strict.reconcile("v1-a").await;
    assert_eq!((done.status, done.text("outcome")), (409, "conflict"));
    assert!(strict.records().contains(&format!("A api.{FORWARD} 300 10.1.5.200")));
    assert!(strict.records().contains(&a("v1-a", 4)));
    let adopt = world(&api());
    adopt.put("A api 300 10.1.5.200 color=blue");
    created(&adopt, &[("v1-a", 4)]).await;
    assert!(
        adopt.records().iter().any(|record| record.contains("20 10.1.5.4")
            && record.contains("color=blue")
            && record.contains("owner=service:api")),
        "{:#?}",
        adopt.records()
    );
}

#[tokio::test(start_paused = true)]
async fn a_cname_at_the_name_is_a_conflict() {
    let world = world(&api());
    let cname = azure_simulator::RecordSetSpec::new("CNAME", "api", &["elsewhere.contoso.com"]);
    world.azure.put_record_set(FORWARD, &cname).unwrap();
    world.create_at("v1-a", 4);
    let done = world.reconcile("v1-a").await;
    assert_eq!((done.status, done.text("outcome")), (409, "conflict"));
    done.because("CNAME");
}

#[tokio::test(start_paused = true)]
async fn with_upsert_only_the_record_set_is_never_deleted_and_observe_plans_only() {
    let world = world_with(&api(), &[("ACI_DNS_POLICY", "upsert-only")]);
    created(&world, &[("v1-a", 4)]).await;
    world.azure.stop_group(&id("v1-a")).unwrap();
    let done = world.reconcile("v1-a").await;
    assert!(done.list("plan.withheld").contains(&line("- 10.1.5.4").as_str()), "{done:#?}");
    assert_eq!(held(&world), "4");
    let world = world_with(&api(), &[("ACI_DNS_POLICY", "observe")]);
    world.create_at("v1-a", 4);
    let done = world.reconcile("v1-a").await;
    assert_eq!(done.text("outcome"), "planned");
    assert!(done.list("plan").contains(&line("+ 10.1.5.4").as_str()), "{done:#?}");
    world.has(&[]);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_a_service_fails_its_members_and_others_log_it() {
    let world = world(&json!({"api": {"groups": ["v*"], "ttl": 20}, "jobs": {"groups": ["v*"]}}));
    world.fail(Method::PUT, "/A/api", 403, "AuthorizationFailed");
    world.create_at("v1-a", 4);
    let done = world.reconcile("v1-a").await;
    assert_eq!((done.status, done.text("outcome")), (500, "failed"));
    done.because("AuthorizationFailed");
    let records = world.records();
    assert!(records.contains(&a("v1-a", 4)) && records.contains(&ptr("v1-a", 4)), "its own records");
    assert!(records.iter().any(|record| record.starts_with("A jobs.")), "the other service: {records:#?}");
    world.create_at("other", 9);
    let done = world.reconcile("other").await;
    done.is_status(200);
    assert_eq!(done.text("level"), "warn");
    assert_eq!(done.list("services.failed").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_a_service_fails_a_deleted_group_whose_address_is_left() {
    let world = world(&api());
    created(&world, &[("v1-a", 4)]).await;
    world.create_tagged("web", &[("aci-dns-service", "api")]);
    world.move_to("web", 7);
    world.reconcile("web").await.is_status(200);
    assert_eq!(held(&world), "4 7");
    world.delete("web");
    world.fail(Method::PUT, "/A/api", 403, "AuthorizationFailed");
    let done = world.reconcile("web").await;
    assert_eq!((done.status, done.text("outcome")), (500, "failed"));
    assert!(!world.records().iter().any(|record| record.starts_with("A web.")), "its own records are right");
}

#[tokio::test(start_paused = true)]
async fn five_lost_races_are_unavailable_and_one_is_repeated() {
    let world = two().await;
    world.tag("v1-a", &[("aci-dns-drain", "true")]);
    world.fail_times(Method::PUT, "/A/api", 1, FaultAnswer::new(412, "PreconditionFailed"));
    world.reconcile("v1-a").await.is_status(200);
    assert_eq!(held(&world), "5");
    world.tag("v1-a", &[]);
    world.fail(Method::PUT, "/A/api", 412, "PreconditionFailed");
    let done = world.reconcile("v1-a").await;
    assert_eq!((done.status, done.text("outcome")), (503, "unavailable"));
    done.because("5 passes");
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_observed_and_not_repeated() {
    let world = two().await;
    world.tag("v1-a", &[("aci-dns-drain", "true")]);
    world.lose(Method::PUT, "/A/api", When::After);
    world.azure.clear_calls();
    world.reconcile("v1-a").await.is_status(200);
    assert_eq!(world.writes(), ["PUT A api"]);
}

#[tokio::test(start_paused = true)]
async fn a_write_is_verified_and_a_member_that_changed_meanwhile_is_corrected() {
    let world = two().await;
    world.tag("v1-b", &[("aci-dns-drain", "true")]);
    world.at(Method::PUT, "/A/api", 1, |azure| {
        azure.set_tags(&id("v1-b"), std::collections::BTreeMap::new()).unwrap();
    });
    world.reconcile("v1-b").await.is_status(200);
    assert_eq!(held(&world), "4 5");
}

#[tokio::test(start_paused = true)]
async fn a_refused_delete_empties_the_record_set_with_a_warning() {
    let world = world(&api());
    created(&world, &[("v1-a", 4)]).await;
    world.fail(Method::DELETE, "/A/api", 409, "ScopeLocked");
    world.delete("v1-a");
    let done = world.reconcile("v1-a").await;
    assert_eq!((done.status, done.text("level")), (200, "warn"));
    world.has(&[&format!("A api.{FORWARD} 20  owner=service:api")]);
}

#[tokio::test(start_paused = true)]
async fn while_a_member_runs_the_record_set_is_never_absent_or_empty() {
    let world = two().await;
    world.azure.on_change(|view| {
        let sets = view.record_sets(FORWARD);
        let set = sets.iter().find(|set| set.name == "api").expect("the record set exists");
        assert!(!set.values.is_empty());
    });
    for (from, to) in [("v1-a", "v2-a"), ("v1-b", "v2-b")] {
        world.create(to);
        world.reconcile(to).await.is_status(200);
        world.delete(from);
        world.reconcile(from).await.is_status(200);
    }
    assert_eq!(held(&world).split(' ').count(), 2);
}

#[tokio::test(start_paused = true)]
async fn cost_with_no_one_and_five_services_of_an_event_of_another_group() {
    for (count, expected) in [(0, "3 GET"), (1, "4 GET + 1 LIST"), (5, "8 GET + 1 LIST")] {
        let services: serde_json::Map<_, _> =
            (0..count).map(|n| (format!("s{n}"), json!({"groups": [format!("s{n}-*")]}))).collect();
        let world = world(&Value::Object(services));
        created(&world, &[("web", 4)]).await;
        let (calls, round_trips) = world.cost(RECONCILE, "web").await;
        assert_eq!((calls.as_str(), round_trips), (expected, 2));
    }
}

#[tokio::test(start_paused = true)]
async fn cost_of_a_member_one_list_one_get_per_service_one_get_per_member_one_put() {
    let world = two().await;
    // Nothing to do: 3 GET of the group's own records, 1 GET of the service, 2 GET of members.
    assert_eq!(world.cost(RECONCILE, "v1-a").await.0, "6 GET + 1 LIST");
    world.tag("v1-a", &[("aci-dns-drain", "true")]);
    // The write, and its verification: the record set and the member that left.
    assert_eq!(world.cost(RECONCILE, "v1-a").await.0, "8 GET + 1 LIST + 1 PUT");
}

#[tokio::test(start_paused = true)]
async fn concurrent_events_share_the_work() {
    let world = world(&api());
    for number in 1..=6_u8 {
        world.create_at(&format!("v{number}"), number + 3);
    }
    world.azure.configure(|settings| settings.latency = std::time::Duration::from_millis(10));
    world.azure.clear_calls();
    let events: Vec<_> = (1..=6).map(|n| world.start(&world.stage, &format!("v{n}"))).collect();
    for event in events {
        assert_eq!(event.await.unwrap().status, 200);
    }
    let calls = world.azure.calls();
    let lists = calls.iter().filter(|call| call.path.ends_with("/containerGroups")).count();
    assert!(lists <= 2, "{lists} lists");
    assert_eq!(held(&world), "4 5 6 7 8 9");
}

#[tokio::test(start_paused = true)]
async fn drift_of_a_service_names_it_with_wanted_and_found_addresses() {
    let world = two().await;
    world.drift("v1-a").await.is(200, "reported", &[]);
    world.put("A api 20 10.1.5.4,10.1.5.77 owner=service:api");
    let done = world.drift("v1-a").await;
    assert_eq!((done.text("drift.event"), done.list("drift.kinds")), ("drift_detected", vec!["service"]));
    assert_eq!(
        done.list("drift.services"),
        [format!("api.{FORWARD}: wanted 10.1.5.4 10.1.5.5, found 10.1.5.4 10.1.5.77")]
    );
    world.azure.clear_calls();
    assert_eq!(world.cost(TRACK_DRIFT, "v1-a").await.0, "6 GET + 1 LIST");
}

#[tokio::test(start_paused = true)]
async fn the_order_of_the_records_means_nothing() {
    let world = two().await;
    world.put("A api 20 10.1.5.5,10.1.5.4 owner=service:api");
    world.reconcile("v1-a").await.is(200, "converged", &[]);
}

#[tokio::test(start_paused = true)]
async fn only_groups_that_the_entry_manages_can_be_members() {
    let map = json!({"rg-spoke1": {"forwardZone": FORWARD, "reverseZones": [REVERSE],
        "zoneResourceGroup": "rg-dns", "groups": ["v*"], "services": {"api": {"groups": ["*"], "ttl": 20}}}});
    let world = World::new(&[("ACI_DNS_ZONES", &map.to_string())]);
    world.create_at("web", 9);
    world.reconcile("web").await.is(200, "unmanaged", &[]);
    created(&world, &[("v1", 4)]).await;
    assert_eq!(held(&world), "4");
}

#[tokio::test(start_paused = true)]
async fn of_several_resource_groups_the_first_has_the_name_while_a_group_of_it_belongs() {
    let map = json!({"rg-spoke*": {"forwardZone": FORWARD, "reverseZones": [REVERSE],
        "zoneResourceGroup": "rg-dns", "services": api()}});
    let world = World::new(&[("ACI_DNS_ZONES", &map.to_string())]);
    created(&world, &[("v1-a", 4)]).await;
    world.create("rg-spoke2/v1-b");
    let done = world.reconcile("rg-spoke2/v1-b").await;
    assert_eq!((done.status, done.text("outcome")), (409, "conflict"));
    done.because("service api of");
    assert_eq!(held(&world), "4");
    // No group of the first resource group belongs any more: two lists say so.
    world.delete("v1-a");
    world.reconcile("rg-spoke2/v1-b").await.is_status(200);
    assert!(world.records().iter().any(|record| record.contains("owner=service:rg-spoke2/api")));
    pass(1).await;
}

#[tokio::test(start_paused = true)]
async fn a_mark_of_a_service_that_the_map_no_longer_declares_is_free() {
    let world = world(&json!({}));
    world.put("A web 30 10.1.5.9 owner=service:web");
    created(&world, &[("web", 4)]).await;
    let expected = format!("{} previous=10.1.5.9@0", a("web", 4));
    assert!(world.records().contains(&expected), "{:#?}", world.records());
}

#[tokio::test(start_paused = true)]
async fn a_sweep_finds_and_repairs_a_service_and_costs_no_request_where_it_is_right() {
    use crate::world::SUBSCRIPTION;
    use aci_dns::sweep::{Stop, SweepOptions};
    let world = world_with(&api(), &[("ACI_DNS_SUBSCRIPTIONS", SUBSCRIPTION)]);
    created(&world, &[("v1-a", 4), ("v1-b", 5)]).await;
    let sweeper = &world.stage.functions.sweeper;
    let options = || SweepOptions {
        deadline: tokio::time::Instant::now() + std::time::Duration::from_hours(1),
        is_thorough: false,
    };
    world.azure.clear_calls();
    let findings = sweeper.compare(options()).await.unwrap();
    assert!(findings.found.is_empty() && findings.unattributed.is_empty(), "{findings:#?}");
    assert_eq!(world.calls(), "4 LIST");
    world.put("A api 20 10.1.5.4,10.1.5.77 owner=service:api");
    let findings = sweeper.compare(options()).await.unwrap();
    let kinds: Vec<_> = findings
        .found
        .iter()
        .flat_map(aci_dns::sweep::findings::GroupFinding::kinds)
        .map(|kind| kind.as_str())
        .collect();
    assert_eq!(kinds, ["service"]);
    let repaired = sweeper.repair(&findings.found, options().deadline, &Stop::never(), |_| ()).await;
    assert_eq!((repaired.done, repaired.failed), (1, 0));
    assert_eq!(held(&world), "4 5");
    assert!(sweeper.compare(options()).await.unwrap().found.is_empty());
}
