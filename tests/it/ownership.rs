//! "Ownership" and "Previous addresses" of docs/design.md: the owner of a record set, and its previous
//! addresses.

use std::sync::{Arc, Mutex};

use azure_simulator::{Effect, Fault, FaultAnswer, GroupSpec, When};
use http::Method;

use crate::world::{SUBSCRIPTION, World, a, address, id, pass, ptr};

/// A world in which `web` was reconciled at 10.1.5.4.
async fn world(settings: &[(&str, &str)]) -> World {
    let world = World::new(settings);
    world.create_at("web", 4);
    assert_eq!(world.reconcile("web").await.status, 200);
    world.writes();
    world
}

const PLUS_A: &str = "+ A web.spoke1.contoso.internal 10.1.5.4";
const PLUS_PTR: &str = "+ PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal";

#[tokio::test(start_paused = true)]
async fn both_record_sets_carry_the_owner_in_lower_case() {
    let world = World::new(&[]);
    let mut spec = GroupSpec::new("RG-Spoke1", "web");
    spec.subscription = SUBSCRIPTION.to_uppercase();
    world.azure.create_group(spec);
    let mut event = world.event("web");
    event["subject"] = id("web").replace("rg-spoke1", "RG-SPOKE1").into();
    let done = world.deliver(aci_dns::replay::stage::RECONCILE, &event).await;
    done.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn different_spellings_of_an_id_are_one_group() {
    let world = world(&[]).await;
    for spelling in [id("web").to_uppercase(), id("web").to_lowercase()] {
        let mut event = world.event("web");
        event["subject"] = spelling.into();
        world.deliver(aci_dns::replay::stage::RECONCILE, &event).await.is(200, "converged", &[]);
    }
}

/// Checks from now on that no PTR record names the group before its A record set contains the address, and
/// that no address leaves the A record set without becoming a previous address. Returns the violations.
fn watch_log(world: &World) -> Arc<Mutex<Vec<String>>> {
    let broken = Arc::new(Mutex::new(Vec::new()));
    let (sink, mut known) = (Arc::clone(&broken), Vec::<String>::new());
    world.azure.on_change(move |view| {
        let forward = view.record_sets("spoke1.contoso.internal");
        let web = forward.iter().find(|set| set.record_type == "A" && set.name == "web");
        let mut now: Vec<String> = web.map(|set| set.values.clone()).unwrap_or_default();
        let memory = web.and_then(|set| set.metadata.get("aci-dns-previous")).cloned().unwrap_or_default();
        now.extend(memory.split_whitespace().map(|entry| entry.split('@').next().unwrap().to_owned()));
        let mut sink = sink.lock().unwrap();
        for set in view.record_sets("1.10.in-addr.arpa") {
            if set.values.iter().any(|value| value.starts_with("web.")) {
                let octets: Vec<_> = set.name.split('.').collect();
                let address = format!("10.1.{}.{}", octets[1], octets[0]);
                if !now.contains(&address) {
                    sink.push(format!("{address} has a PTR, and A holds and remembers {now:?}"));
                }
            }
        }
        if web.is_some() {
            let lost = known.iter().filter(|address| !now.contains(address));
            sink.extend(lost.map(|address| format!("{address} left A without a trace")));
        }
        known = now;
    });
    broken
}

#[tokio::test(start_paused = true)]
async fn a_ptr_is_written_after_a_and_no_address_leaves_a_without_being_stored() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    let broken = watch_log(&world);
    for last in [4, 5, 6, 5, 7] {
        world.move_to("web", last);
        assert_eq!(world.reconcile("web").await.status, 200);
    }
    assert_eq!(*broken.lock().unwrap(), Vec::<String>::new());
    let remembered = "previous=10.1.5.4@0+10.1.5.5@0+10.1.5.6@0";
    world.has(&[&format!("{} {remembered}", a("web", 7)), &ptr("web", 7)]);
}

#[tokio::test(start_paused = true)]
async fn a_pass_removes_our_name_from_ptrs_at_previous_addresses() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    world.put("A web 60 10.1.5.4 owner=web previous=10.1.5.8@0+10.1.5.9@0");
    world.put("PTR 8.5 60 web.spoke1.contoso.internal owner=web");
    world.put("PTR 9.5 60 web.spoke1.contoso.internal,printer.example.org owner=web");
    let plan = [
        PLUS_PTR,
        "- PTR 8.5.1.10.in-addr.arpa web.spoke1.contoso.internal",
        "~ PTR 9.5.1.10.in-addr.arpa web.spoke1.contoso.internal printer.example.org -> printer.example.org \
         (owner 00000000-0000-0000-0000-000000000000/rg-spoke1/web -> none)",
    ];
    world.reconcile("web").await.is(200, "changed", &plan);
    world.has(&[
        &format!("{} previous=10.1.5.8@0+10.1.5.9@0", a("web", 4)),
        &ptr("web", 4),
        "PTR 9.5.1.10.in-addr.arpa 60 printer.example.org",
    ]);
}

#[tokio::test(start_paused = true)]
async fn an_address_is_forgotten_after_five_minutes() {
    let world = world(&[]).await;
    world.move_to("web", 5);
    world.reconcile("web").await;
    pass(299).await;
    world.reconcile("web").await.is(200, "converged", &[]);
    world.has(&[&format!("{} previous=10.1.5.4@0", a("web", 5)), &ptr("web", 5)]);
    pass(1).await;
    let plan = ["~ A web.spoke1.contoso.internal 10.1.5.5 (forget 10.1.5.4)"];
    world.reconcile("web").await.is(200, "changed", &plan);
    world.has(&[&a("web", 5), &ptr("web", 5)]);
    assert_eq!(world.reconcile("web").await.line()["outcome"], "converged");
}

#[tokio::test(start_paused = true)]
async fn an_address_is_forgotten_only_when_its_ptr_was_seen_not_to_name_us() {
    let world = world(&[]).await;
    world.move_to("web", 5);
    world.reconcile("web").await;
    pass(400).await;
    world.put("PTR 4.5 60 web.spoke1.contoso.internal");
    let plan = ["- PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal"];
    world.reconcile("web").await.is(200, "changed", &plan);
    world.has(&[&format!("{} previous=10.1.5.4@0", a("web", 5)), &ptr("web", 5)]);
    let plan = ["~ A web.spoke1.contoso.internal 10.1.5.5 (forget 10.1.5.4)"];
    world.reconcile("web").await.is(200, "changed", &plan);
}

#[tokio::test(start_paused = true)]
async fn an_address_whose_ptr_cannot_be_read_is_not_forgotten() {
    let world = world(&[]).await;
    world.move_to("web", 5);
    world.reconcile("web").await;
    pass(400).await;
    world.fail(Method::GET, "/PTR/4.5", 403, "AuthorizationFailed");
    world.reconcile("web").await.is(500, "failed", &[]);
    world.has(&[&format!("{} previous=10.1.5.4@0", a("web", 5)), &ptr("web", 5)]);
}

#[tokio::test(start_paused = true)]
async fn forgetting_is_conditional() {
    let world = world(&[]).await;
    world.move_to("web", 5);
    world.reconcile("web").await;
    pass(400).await;
    let edited = "A web 60 10.1.5.5 owner=web previous=10.1.5.4@0 cost=42";
    world.at(Method::PUT, "/A/web", 1, move |azure| crate::world::put(azure, edited));
    world.reconcile("web").await;
    world.has(&[&format!("{} cost=42", a("web", 5)), &ptr("web", 5)]);
}

#[tokio::test(start_paused = true)]
async fn an_address_is_forgotten_together_with_another_change_or_after_it() {
    let world = world(&[]).await;
    world.move_to("web", 5);
    world.reconcile("web").await;
    pass(400).await;
    world.move_to("web", 6);
    world.reconcile("web").await;
    world.reconcile("web").await;
    world.has(&[&format!("{} previous=10.1.5.5@400", a("web", 6)), &ptr("web", 6)]);
}

/// Two moves, each followed by a pass that is interrupted after this many requests, and then a complete pass.
async fn check_cut_off(first: usize, second: usize) {
    let world = world(&[]).await;
    let cut = |after: usize| {
        let count = std::sync::atomic::AtomicUsize::new(0);
        world.azure.set_interceptor(Box::new(move |_| {
            let count = count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            (count >= after).then_some(Effect::Drop(When::Before))
        }));
    };
    for (last, after) in [(5, first), (6, second)] {
        world.move_to("web", last);
        cut(after);
        world.reconcile("web").await;
    }
    world.move_to("web", 7);
    cut(usize::MAX);
    assert_eq!(world.reconcile("web").await.status, 200);
    let ptrs: Vec<_> = world.records().into_iter().filter(|set| set.starts_with("PTR")).collect();
    assert_eq!(ptrs, [ptr("web", 7)], "cut off after {first} and {second} requests");
    let expected = a("web", 7);
    assert!(world.records().iter().any(|set| set.starts_with(&expected)));
}

#[tokio::test(start_paused = true)]
async fn interrupted_passes_and_further_moves_leave_no_stale_ptr() {
    for first in 0..10 {
        for second in 0..10 {
            check_cut_off(first, second).await;
        }
    }
}

/// Entries `10.1.5.100@0+...`.
fn memory(count: u8) -> String {
    (100..100 + count).map(|last| format!("10.1.5.{last}@0")).collect::<Vec<_>>().join("+")
}

/// The previous addresses of the A record set of `web`.
fn remembered(world: &World) -> Vec<String> {
    let records = world.records();
    let set = records.iter().find(|record| record.starts_with("A web.")).unwrap();
    let entries = set.split("previous=").nth(1).unwrap_or_default();
    entries.split('+').map(|entry| entry.split('@').next().unwrap().to_owned()).collect()
}

#[tokio::test(start_paused = true)]
async fn nine_addresses_are_kept_and_the_oldest_is_dropped() {
    let world = World::new(&[]);
    world.create_at("web", 5);
    for last in 100..132 {
        world.put(&format!("PTR {last}.5 60 web.spoke1.contoso.internal owner=web"));
    }
    world.put(&format!("A web 60 10.1.5.4 owner=web previous={}", memory(32)));
    assert_eq!(world.reconcile("web").await.status, 200);
    // The previous addresses of an older version are read, and their PTR records removed, before they are
    // dropped.
    let ptrs: Vec<_> = world.records().into_iter().filter(|set| set.starts_with("PTR")).collect();
    assert_eq!(ptrs, [ptr("web", 5)]);
    assert_eq!(remembered(&world).len(), 9);
    for last in 6..30 {
        world.move_to("web", last);
        pass(1).await;
        assert_eq!(world.reconcile("web").await.status, 200);
    }
    let newest: Vec<String> = (20..29).map(|last| format!("10.1.5.{last}")).collect();
    assert_eq!(remembered(&world), newest);
}

#[tokio::test(start_paused = true)]
async fn at_most_32_previous_addresses_are_read() {
    let world = World::new(&[]);
    world.create_at("web", 5);
    world.put(&format!("A web 60 10.1.5.4 owner=web previous={}", memory(150)));
    assert_eq!(world.reconcile("web").await.status, 200);
    assert!(world.azure.calls().len() < 45);
    assert_eq!(remembered(&world).len(), 9);
}

#[tokio::test(start_paused = true)]
async fn an_entry_that_is_dated_in_the_future_counts_as_now() {
    let world = World::new(&[]);
    world.create_at("web", 5);
    world.put("A web 60 10.1.5.5 owner=web previous=10.1.5.4@99999999");
    world.put("PTR 5.5 60 web.spoke1.contoso.internal owner=web");
    world.reconcile("web").await.is_status(200);
    world.has(&[&format!("{} previous=10.1.5.4@0", a("web", 5)), &ptr("web", 5)]);
    pass(300).await;
    world.reconcile("web").await.is_status(200);
    world.has(&[&a("web", 5), &ptr("web", 5)]);
}

#[tokio::test(start_paused = true)]
async fn a_takeover_removes_all_stale_ptrs_of_the_name() {
    let world = World::new(&[]);
    world.create_at("web", 5);
    world.put("A web 60 10.1.5.4");
    for last in 100..140 {
        world.put(&format!("PTR {last}.5 60 web.spoke1.contoso.internal"));
    }
    assert_eq!(world.reconcile("web").await.status, 200);
    let ptrs: Vec<_> = world.records().into_iter().filter(|set| set.starts_with("PTR")).collect();
    assert_eq!(ptrs, [ptr("web", 5)]);
}

#[tokio::test(start_paused = true)]
async fn another_controllers_record_set_is_foreign_under_any_ownership() {
    for metadata in ["creator=endpoint", "ManagedBy=external-dns", "managed-by=x", "owner-x=y"] {
        let world = World::new(&[]);
        world.create_at("web", 4);
        world.put(&format!("A web 10 10.1.9.9 {metadata}"));
        let before = world.records();
        let done = world.reconcile("web").await;
        if metadata.starts_with("owner-x") {
            done.is_status(200);
        } else {
            done.is(409, "conflict", &[]).because("another controller");
            assert_eq!(world.records(), before);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_cname_at_the_name_is_a_conflict_after_one_write_and_one_read() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    let cname = azure_simulator::RecordSetSpec::new("CNAME", "web", &["app.example.net"]);
    world.azure.put_record_set("spoke1.contoso.internal", &cname).unwrap();
    world.reconcile("web").await.is(409, "conflict", &[]).because("app.example.net");
    assert_eq!(world.calls(), "4 GET + 1 PUT");
}

#[tokio::test(start_paused = true)]
async fn a_ptr_of_another_existing_group_at_our_address_stays_and_a_is_written() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    world.create_at("api", 4);
    world.put("PTR 4.5 60 api.spoke1.contoso.internal owner=api");
    world.reconcile("web").await.is(409, "conflict", &["+ A web.spoke1.contoso.internal 10.1.5.4"]);
    world.has(&[&a("web", 4), &ptr("api", 4)]);
    world.azure.set_provisioning_state(&id("api"), "Updating").unwrap();
    world.reconcile("web").await.is(503, "unavailable", &[]).because("api");
    world.azure.set_provisioning_state(&id("api"), "Succeeded").unwrap();
    world.move_to("api", 9);
    world.reconcile("web").await.is_status(200);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_another_program_dropped_is_a_conflict_that_leaves_the_ptr_at_the_live_address() {
    let world = world(&[("ACI_DNS_OWNERSHIP", "strict")]).await;
    world.put("A web 60 10.1.5.4");
    world.reconcile("web").await.is(409, "conflict", &[]).because("sync --adopt-only");
    world.has(&["A web.spoke1.contoso.internal 60 10.1.5.4", &ptr("web", 4)]);
    // Our PTR value at the former address is stale: only the unmarked record set leads to it.
    world.move_to("web", 5);
    let stale = ["- PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal"];
    world.reconcile("web").await.is(409, "conflict", &stale).because("ACI_DNS_OWNERSHIP is strict");
    world.has(&["A web.spoke1.contoso.internal 60 10.1.5.4"]);
}

#[tokio::test(start_paused = true)]
async fn two_forward_zones_that_share_a_reverse_zone_leave_one_name_in_a_ptr() {
    let entry = |zone: &str| serde_json::json!({"forwardZone": zone, "reverseZones": ["1.10.in-addr.arpa"], "zoneResourceGroup": "rg-dns"});
    let map = serde_json::json!({"rg-spoke1": entry("spoke1.contoso.internal"), "rg-spoke2": entry("spoke2.contoso.internal")});
    let world = World::new(&[("ACI_DNS_ZONES", &map.to_string())]);
    world.azure.create_zone(SUBSCRIPTION, "rg-dns", "spoke2.contoso.internal");
    world.create_at("rg-spoke2/api", 4);
    assert_eq!(world.reconcile("rg-spoke2/api").await.status, 200);
    world.delete("rg-spoke2/api");
    world.create_at("web", 4);
    assert_eq!(world.reconcile("web").await.status, 200);
    assert!(world.records().contains(&ptr("web", 4)), "{:#?}", world.records());
}

#[tokio::test(start_paused = true)]
async fn with_upsert_only_previous_addresses_do_not_change() {
    let world = world(&[("ACI_DNS_POLICY", "upsert-only")]).await;
    world.move_to("web", 5);
    let done = world.reconcile("web").await;
    let plan = [
        "~ A web.spoke1.contoso.internal 10.1.5.4 -> 10.1.5.5",
        "+ PTR 5.5.1.10.in-addr.arpa web.spoke1.contoso.internal",
    ];
    done.is(200, "changed", &plan);
    assert_eq!(done.list("plan.withheld"), ["- PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal"]);
    world.has(&[&a("web", 5), &ptr("web", 4), &ptr("web", 5)]);
    let remembering = format!("{} previous=10.1.5.8@0", a("web", 6));
    world.put("A web 60 10.1.5.5 owner=web previous=10.1.5.8@0");
    world.move_to("web", 6);
    pass(400).await;
    for _ in 0..2 {
        assert_eq!(world.reconcile("web").await.status, 200);
        world.has(&[&remembering, &ptr("web", 4), &ptr("web", 5), &ptr("web", 6)]);
    }
}

#[tokio::test(start_paused = true)]
async fn metadata_and_records_of_others_in_the_same_set_are_kept() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    world.put("A web 60 10.1.5.9 owner=web cost=42");
    world.put("PTR 4.5 60 printer.example.org owner=web cost=43");
    world.put("PTR 9.5 60 web.spoke1.contoso.internal,printer.example.org owner=web cost=44");
    world.reconcile("web").await;
    world.has(&[
        &format!("{} previous=10.1.5.9@0 cost=42", a("web", 4)),
        "PTR 4.5.1.10.in-addr.arpa 60 printer.example.org,web.spoke1.contoso.internal owner=web cost=43",
        "PTR 9.5.1.10.in-addr.arpa 60 printer.example.org cost=44",
    ]);
}

#[tokio::test(start_paused = true)]
async fn only_our_value_is_removed_from_a_ptr_record_set() {
    let world = world(&[]).await;
    world.put("PTR 4.5 60 web.spoke1.contoso.internal,alias.spoke1.contoso.internal,x.example.org owner=web");
    world.put("A alias 60 10.1.5.4");
    world.delete("web");
    world.reconcile("web").await;
    world.has(&[
        "A alias.spoke1.contoso.internal 60 10.1.5.4",
        "PTR 4.5.1.10.in-addr.arpa 60 alias.spoke1.contoso.internal,x.example.org",
    ]);
}

#[tokio::test(start_paused = true)]
async fn an_unmarked_a_record_set_is_taken_over_and_the_reverse_zones_are_listed_once() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    world.put("A web 300 10.1.5.9");
    world.put("PTR 9.5 60 web.spoke1.contoso.internal");
    world.put("PTR 77.5 60 web.spoke1.contoso.internal");
    let before = "~ A web.spoke1.contoso.internal 10.1.5.9 -> 10.1.5.4 (ttl 300 -> 60, owner none -> \
                  00000000-0000-0000-0000-000000000000/rg-spoke1/web, remember 10.1.5.9, remember 10.1.5.77)";
    let plan = [
        before,
        PLUS_PTR,
        "- PTR 9.5.1.10.in-addr.arpa web.spoke1.contoso.internal",
        "- PTR 77.5.1.10.in-addr.arpa web.spoke1.contoso.internal",
    ];
    world.reconcile("web").await.is(200, "changed", &plan);
    assert_eq!(world.calls(), "7 GET + 1 LIST + 2 PUT + 2 DELETE");
    world.has(&[&format!("{} previous=10.1.5.9@0+10.1.5.77@0", a("web", 4)), &ptr("web", 4)]);
    world.reconcile("web").await.is(200, "converged", &[]);
    assert_eq!(world.calls(), "5 GET");
}

#[tokio::test(start_paused = true)]
async fn a_name_that_was_chosen_by_a_tag_takes_over_no_unmarked_a_record_set() {
    let world = World::new(&[]);
    world.create_tagged("web", &[("aci-dns-hostname", "payroll")]);
    world.put("A payroll 60 10.1.9.9");
    world.reconcile("web").await.is(409, "conflict", &[]).because("at a name that a tag chose");
    world.has(&["A payroll.spoke1.contoso.internal 60 10.1.9.9"]);
}

#[tokio::test(start_paused = true)]
async fn a_tag_with_the_groups_own_name_has_no_effect() {
    let world = World::new(&[]);
    world.create_tagged("web", &[("aci-dns-hostname", "Web")]);
    world.put("A web 60 10.1.5.4");
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn an_auto_registered_record_set_is_foreign_despite_our_mark() {
    for (record_set, reason) in
        [("A web 10 10.1.5.4 auto", "automatically"), ("A web 10 10.1.5.4 owner=web auto", "automatically")]
    {
        let world = World::new(&[]);
        world.create_at("web", 4);
        world.put(record_set);
        let before = world.records();
        world.reconcile("web").await.is(409, "conflict", &[]).because(reason);
        assert_eq!(world.records(), before);
    }
}

#[tokio::test(start_paused = true)]
async fn an_auto_registered_ptr_stays_and_the_conflict_is_reported() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    world.put("PTR 4.5 10 vm.spoke1.contoso.internal auto");
    world.reconcile("web").await.is(409, "conflict", &[PLUS_A]);
    let vm = "PTR 4.5.1.10.in-addr.arpa 10 vm.spoke1.contoso.internal (auto-registered)";
    world.has(&[&a("web", 4), vm]);
}

/// `web` finds an A record set with this mark.
fn foreign(settings: &[(&str, &str)], owner: &str) -> World {
    let world = World::new(settings);
    world.create_at("web", 4);
    world.put(&format!("A web 60 10.1.9.9 owner={owner}"));
    world
}

#[tokio::test(start_paused = true)]
async fn a_foreign_mark_is_honored_while_its_group_exists() {
    let world = foreign(&[], "rg-spoke2/web");
    world.create("rg-spoke2/web");
    world.reconcile("web").await.is(409, "conflict", &[]).because("rg-spoke2/web");
    assert_eq!(world.writes(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_record_set_of_a_deleted_group_is_free_in_adopt_and_in_strict() {
    for ownership in ["adopt", "strict"] {
        let world = foreign(&[("ACI_DNS_OWNERSHIP", ownership)], "rg-spoke2/web");
        let plan = [
            "~ A web.spoke1.contoso.internal 10.1.9.9 -> 10.1.5.4 (owner \
             00000000-0000-0000-0000-000000000000/rg-spoke2/web -> \
             00000000-0000-0000-0000-000000000000/rg-spoke1/web, remember 10.1.9.9)",
            PLUS_PTR,
        ];
        world.reconcile("web").await.is(200, "changed", &plan);
        world.has(&[&format!("{} previous=10.1.9.9@3", a("web", 4)), &ptr("web", 4)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_single_404_frees_no_name() {
    let world = foreign(&[], "rg-spoke2/web");
    world.create("rg-spoke2/web");
    world.fail_times(Method::GET, "rg-spoke2", 1, FaultAnswer::new(404, "ResourceNotFound"));
    world.reconcile("web").await.is(409, "conflict", &[]).because("rg-spoke2/web");
    assert_eq!(world.writes(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_mark_is_honored_only_at_the_name_of_its_group() {
    let world = foreign(&[], "rg-spoke2/web");
    world.create_tagged("rg-spoke2/web", &[("aci-dns-hostname", "shop")]);
    world.reconcile("web").await.is_status(200);
    world.has(&[&format!("{} previous=10.1.9.9@3", a("web", 4)), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_foreign_mark_whose_group_cannot_be_read_stays_foreign() {
    for (status, code) in [(403, "AuthorizationFailed"), (404, "SubscriptionNotFound")] {
        let world = foreign(&[], "rg-spoke2/web");
        world.fail(Method::GET, "rg-spoke2", status, code);
        world.reconcile("web").await.is(409, "conflict", &[]);
        assert_eq!(world.writes(), Vec::<String>::new());
    }
}

#[tokio::test(start_paused = true)]
async fn a_mark_of_a_temporarily_unreadable_group_is_decided_at_the_redelivery() {
    let world = foreign(&[], "rg-spoke2/web");
    world.fail_times(Method::GET, "rg-spoke2", 9, FaultAnswer::new(503, "ServiceUnavailable").retry_after(9));
    world.reconcile("web").await.is(503, "unavailable", &[]);
    assert_eq!(world.writes(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_foreign_mark_of_another_subscription_stays_foreign() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    world.put("A web 60 10.1.9.9 aci-dns-owner=11111111-1111-1111-1111-111111111111/rg/web");
    world.fail(Method::GET, "11111111-1111-1111-1111-111111111111", 404, "SubscriptionNotFound");
    world.reconcile("web").await.is(409, "conflict", &[]);
    assert_eq!(world.writes(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_mark_that_names_no_container_group_stays_foreign() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    world.put("A web 60 10.1.9.9 aci-dns-owner=terraform");
    world.reconcile("web").await.is(409, "conflict", &[]).because("terraform");
}

#[tokio::test(start_paused = true)]
async fn a_ptr_at_our_live_address_that_is_marked_with_another_group_becomes_ours() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    world.create_at("api", 9);
    world.put("A api 60 10.1.5.9 owner=api");
    world.put("PTR 9.5 60 api.spoke1.contoso.internal owner=api");
    world.put("PTR 4.5 60 api.spoke1.contoso.internal,x.example.org owner=api cost=42");
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[
        &a("web", 4),
        &a("api", 9),
        &ptr("api", 9),
        "PTR 4.5.1.10.in-addr.arpa 60 x.example.org,web.spoke1.contoso.internal owner=web cost=42",
    ]);
}

#[tokio::test(start_paused = true)]
async fn unmarked_values_inside_the_forward_zone_at_our_live_address_are_replaced_in_adopt() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    world.put("PTR 4.5 300 old.spoke1.contoso.internal,x.example.org,deep.er.spoke1.contoso.internal");
    assert_eq!(world.reconcile("web").await.status, 200);
    let expected = "PTR 4.5.1.10.in-addr.arpa 60 x.example.org,web.spoke1.contoso.internal owner=web";
    world.has(&[&a("web", 4), expected]);
}

#[tokio::test(start_paused = true)]
async fn in_strict_an_unmarked_ptr_at_our_live_address_stays_and_a_is_written() {
    let world = World::new(&[("ACI_DNS_OWNERSHIP", "strict")]);
    world.create_at("web", 4);
    world.put("PTR 4.5 300 old.spoke1.contoso.internal");
    for plan in [vec![PLUS_A], vec![]] {
        world.reconcile("web").await.is(409, "conflict", &plan).because("strict");
        world.has(&[&a("web", 4), "PTR 4.5.1.10.in-addr.arpa 300 old.spoke1.contoso.internal"]);
    }
}

#[tokio::test(start_paused = true)]
async fn in_strict_a_ptr_that_is_marked_with_another_group_becomes_ours() {
    let world = World::new(&[("ACI_DNS_OWNERSHIP", "strict")]);
    world.create_at("web", 4);
    world.put("PTR 4.5 60 api.spoke1.contoso.internal owner=api");
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_ptr_was_taken_and_released_is_reconciled_too() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    world.create_at("api", 9);
    world.put("A api 60 10.1.5.4 owner=api");
    world.put("PTR 4.5 60 api.spoke1.contoso.internal owner=api");
    // While the PTR record is taken over, the two groups exchange addresses, and the event of `api` is
    // handled first.
    world.at(Method::PUT, "/PTR/4.5", 1, |azure| {
        azure.set_address(&id("web"), address(5)).unwrap();
        azure.set_address(&id("api"), address(4)).unwrap();
    });
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[
        &format!("{} previous=10.1.5.4@0", a("web", 5)),
        &ptr("web", 5),
        &a("api", 4),
        &ptr("api", 4),
    ]);
}

#[tokio::test(start_paused = true)]
async fn the_outcome_of_the_group_with_the_released_ptr_is_part_of_the_answer() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    world.create_at("api", 9);
    world.put("PTR 4.5 60 api.spoke1.contoso.internal owner=api");
    world.at(Method::PUT, "/PTR/4.5", 1, |azure| {
        azure.set_address(&id("web"), address(5)).unwrap();
        azure.set_address(&id("api"), address(4)).unwrap();
        // From now on, `api` cannot be read.
        let forbidden = Effect::Answer(When::Before, FaultAnswer::new(403, "AuthorizationFailed"));
        azure.inject(Fault { times: u64::MAX, ..Fault::once(Method::GET, "containerGroups/api", forbidden) });
    });
    let done = world.reconcile("web").await;
    assert_eq!((done.status, done.text("outcome")), (500, "failed"));
}

#[tokio::test(start_paused = true)]
async fn foreign_record_sets_do_not_change() {
    let world = World::new(&[]);
    for record_set in [
        "A db 300 10.1.5.200 team=data",
        "A @ 300 10.1.5.201",
        "A * 300 10.1.5.202",
        "A vm 10 10.1.5.203 auto",
        "A api 60 10.1.6.4 owner=rg-spoke2/api",
        "PTR 200.5 300 db.spoke1.contoso.internal,db.example.org team=data",
        "PTR 203.5 10 vm.spoke1.contoso.internal auto",
        "PTR 4.6 60 api.spoke1.contoso.internal owner=rg-spoke2/api",
    ] {
        world.put(record_set);
    }
    let before =
        (world.azure.record_sets("spoke1.contoso.internal"), world.azure.record_sets("1.10.in-addr.arpa"));
    world.create_at("web", 4);
    world.reconcile("web").await;
    world.move_to("web", 5);
    world.reconcile("web").await;
    world.azure.stop_group(&id("web")).unwrap();
    world.reconcile("web").await;
    world.delete("web");
    world.reconcile("web").await;
    let after =
        (world.azure.record_sets("spoke1.contoso.internal"), world.azure.record_sets("1.10.in-addr.arpa"));
    assert_eq!(after, before);
}
