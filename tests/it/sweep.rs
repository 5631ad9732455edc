//! Sweeps: the results of lists, the groups that are read, and repairs.

use std::collections::BTreeMap;

use aci_dns::{
    replay::stage::Stage,
    sweep::{
        Repaired, Stop, SweepOptions,
        findings::{ChangeGuard, FindingKind, Findings},
    },
};
use axum::body::Body;
use azure_simulator::{Effect, Fault, FaultAnswer, RecordSetSpec, Throttles, When};
use http::{Method, Request};
use serde_json::json;
use tokio::{sync::watch, time::Instant};
use tower::ServiceExt as _;

use crate::world::{FORWARD, REVERSE, SUBSCRIPTION, World, a, id, ptr};

const WHERE: (&str, &str) = ("ACI_DNS_SUBSCRIPTIONS", SUBSCRIPTION);

fn options(is_thorough: bool) -> SweepOptions {
    SweepOptions { deadline: Instant::now() + std::time::Duration::from_hours(1), is_thorough }
}

async fn look(stage: &Stage) -> Findings {
    stage.functions.sweeper.compare(options(false)).await.unwrap()
}

async fn repair(stage: &Stage, findings: &Findings) -> Repaired {
    stage.functions.sweeper.repair(&findings.found, options(false).deadline, &Stop::never(), |_| ()).await
}

/// Each group with a finding, and the kinds of drift: `web: address, ptr_stale`.
fn reported(findings: &Findings) -> Vec<String> {
    let kinds = |found: &aci_dns::sweep::findings::GroupFinding| {
        let kinds: Vec<_> = found.kinds().iter().map(|kind| kind.as_str()).collect();
        format!("{}: {}", found.id.name(), kinds.join(", "))
    };
    findings.found.iter().map(kinds).collect()
}

/// A world with these groups at 10.1.5.4, 10.1.5.5, ..., with their records.
async fn world(settings: &[(&str, &str)], names: &[&str]) -> World {
    let settings: Vec<_> = settings.iter().copied().chain([WHERE]).collect();
    let world = World::new(&settings);
    for name in names {
        world.create(name);
        assert_eq!(world.reconcile(name).await.status, 200);
    }
    world.azure.clear_calls();
    world
}

#[tokio::test(start_paused = true)]
async fn correct_records_cost_one_list_per_scope_and_zone_and_no_write() {
    let world = world(&[], &["one", "two"]).await;
    let findings = look(&world.stage).await;
    assert_eq!(reported(&findings), [""; 0]);
    assert_eq!((findings.tally.right, findings.tally.asked, findings.tally.requests), (2, 0, 4));
    let repaired = repair(&world.stage, &findings).await;
    assert_eq!((repaired.done, repaired.requests), (0, 0));
    assert_eq!(world.writes(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn moved_stopped_deleted_and_new_groups_are_repaired_and_foreign_records_stay() {
    let world = world(&[], &["moved", "stopped", "gone", "right"]).await;
    world.create_at("new", 20);
    world.move_to("moved", 30);
    world.azure.stop_group(&id("stopped")).unwrap();
    world.delete("gone");
    // Written by a person: nothing leads to this PTR record, and the last two are foreign.
    world.put("PTR 77.5 60 right.spoke1.contoso.internal");
    world.put("PTR 88.5 60 printer.example.org");
    world.put("A other 60 10.9.9.9");
    let findings = look(&world.stage).await;
    assert_eq!(
        reported(&findings),
        [
            "gone: orphan",
            "moved: address, ptr_missing, ptr_stale",
            "new: a_missing",
            "right: ptr_stale",
            "stopped: a_stale",
        ]
    );
    assert_eq!(world.writes(), [""; 0]);
    let repaired = repair(&world.stage, &findings).await;
    assert_eq!((repaired.done, repaired.failed, repaired.left), (5, 0, 0));
    crate::world::pass(400).await;
    world.reconcile("moved").await;
    world.reconcile("stopped").await;
    let right = findings_of("right", &world);
    world.has(&[
        &a("new", 20),
        &ptr("new", 20),
        &a("moved", 30),
        &ptr("moved", 30),
        &a("right", right),
        &ptr("right", right),
        "A stopped.spoke1.contoso.internal 60  owner=stopped",
        &format!("PTR 88.5.{REVERSE} 60 printer.example.org"),
        &format!("A other.{FORWARD} 60 10.9.9.9"),
    ]);
    assert_eq!(reported(&look(&world.stage).await), [""; 0]);
}

fn findings_of(name: &str, world: &World) -> u8 {
    world.azure.group_address(&id(name)).unwrap().octets()[3]
}

/// The writes with this status, by zone, in seconds since the start.
fn writes(world: &World, status: impl Fn(u16) -> bool) -> BTreeMap<String, Vec<u64>> {
    let mut writes: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for call in world.azure.calls() {
        if call.method != Method::GET && call.status.is_some_and(&status) {
            let zone = call.path.split('/').nth(8).unwrap().to_owned();
            writes.entry(zone).or_default().push(call.arrived.as_secs());
        }
    }
    writes
}

#[tokio::test(start_paused = true)]
async fn a_repair_respects_the_write_limit_of_a_zone() {
    let world = world(&[], &[]).await;
    for number in 0..150 {
        world.create(&format!("web-{number}"));
    }
    world.azure.configure(|settings| settings.throttles = Some(Throttles::default()));
    let findings = look(&world.stage).await;
    assert_eq!(findings.planned(), 300);
    let started = Instant::now();
    let repaired = repair(&world.stage, &findings).await;
    assert_eq!((repaired.done, repaired.failed, repaired.left), (150, 0, 0));
    assert!(writes(&world, |status| status == 429).is_empty());
    let written = writes(&world, |status| status < 300);
    assert_eq!(written.values().map(Vec::len).collect::<Vec<_>>(), [150, 150], "{written:?}");
    for (zone, seconds) in &written {
        for at in seconds {
            let minute = seconds.iter().filter(|other| (*at..at + 60).contains(other)).count();
            assert!(minute <= 60, "{zone}: {minute} writes in the minute after {at}");
        }
    }
    // And no slower: 60 at once, 60 after a minute, 30 after two.
    assert_eq!(started.elapsed().as_secs(), 120);
}

#[tokio::test(start_paused = true)]
async fn a_throttled_repair_waits_and_does_not_fail() {
    let names: Vec<String> = (0..12).map(|number| format!("g{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = world(&[], &names).await;
    for name in &names {
        world.delete(name);
    }
    let findings = look(&world.stage).await;
    // The reverse zone is listed for each deleted group.
    let lists = Throttles { lists: 5, ..Throttles::default() };
    world.azure.configure(|settings| settings.throttles = Some(lists));
    let started = Instant::now();
    let repaired = repair(&world.stage, &findings).await;
    assert_eq!((repaired.done, repaired.failed, repaired.left), (12, 0, 0), "{repaired:?}");
    assert_eq!(started.elapsed().as_secs() / 60, 2);
    let met = world.azure.calls().iter().filter(|call| call.status == Some(429)).count();
    // A confirmation takes three seconds, so lists become possible one by one: each group meets one throttle.
    assert!(met <= 7, "{met}");
    world.has(&[]);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_repair_does_not_wait_for_a_throttle() {
    let world = world(&[], &["one", "two"]).await;
    world.delete("one");
    world.delete("two");
    let findings = look(&world.stage).await;
    world
        .azure
        .configure(|settings| settings.throttles = Some(Throttles { lists: 0, ..Throttles::default() }));
    let (sender, receiver) = watch::channel(false);
    let sweeper = &world.stage.functions.sweeper;
    let started = Instant::now();
    let stop = Stop::when(receiver);
    let repair = sweeper.repair(&findings.found, options(false).deadline, &stop, |_| ());
    let (repaired, ()) = tokio::join!(repair, async {
        crate::world::pass(10).await;
        sender.send_replace(true);
    });
    assert_eq!((repaired.done, repaired.failed, repaired.left), (0, 0, 2));
    assert_eq!(started.elapsed().as_secs(), 10 + 20, "the group in flight ends at its deadline");
}

#[tokio::test(start_paused = true)]
async fn a_list_that_fails_is_never_an_empty_one() {
    for path in ["containerGroups", "/A", "/PTR"] {
        let world = world(&[], &["web"]).await;
        world.fail(Method::GET, path, 403, "AuthorizationFailed");
        let findings = look(&world.stage).await;
        assert!(findings.is_incomplete() && !findings.failures.is_empty(), "{path}: {findings:#?}");
        assert_eq!(findings.planned(), 0, "{path}");
        assert_eq!(findings.count(FindingKind::Drift), 0, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_incomplete_list_is_an_error() {
    let world = world(&[], &["one", "two", "three"]).await;
    world.azure.configure(|settings| settings.group_page_size = 2);
    let torn = Effect::Answer(When::Before, FaultAnswer::new(403, "AuthorizationFailed"));
    world.azure.inject(Fault {
        skip: 1,
        ..Fault::once(Method::GET, "rg-spoke1/providers/Microsoft.ContainerInstance/containerGroups?", torn)
    });
    let findings = look(&world.stage).await;
    assert_eq!((findings.failures.len(), findings.planned(), findings.tally.groups), (1, 0, 0));
    // It is unknown whether the groups of the existing records exist.
    assert_eq!(findings.unattributed.len(), 6);
    assert_eq!(look(&world.stage).await.tally.right, 3);
}

#[tokio::test(start_paused = true)]
async fn a_thorough_sweep_does_not_rely_on_the_listed_address_of_a_stopped_group() {
    let world = world(&[], &["one", "stopped"]).await;
    world.azure.configure(|settings| settings.stopped_keeps_address = true);
    world.azure.stop_group(&id("stopped")).unwrap();
    let findings = look(&world.stage).await;
    assert_eq!((reported(&findings).len(), findings.tally.asked), (0, 0));
    let findings = world.stage.functions.sweeper.compare(options(true)).await.unwrap();
    assert_eq!((reported(&findings), findings.tally.asked), (vec!["stopped: a_stale".to_owned()], 2));
}

#[tokio::test(start_paused = true)]
async fn groups_listed_at_the_same_address_are_read() {
    let world = world(&[], &["old", "other"]).await;
    world.azure.configure(|settings| settings.stopped_keeps_address = true);
    let last = findings_of("old", &world);
    world.azure.stop_group(&id("old")).unwrap();
    world.create_at("new", last);
    world.put(&format!("A new 60 10.1.5.{last} owner=new"));
    let findings = look(&world.stage).await;
    // By the list alone, both exist and both A record sets are correct.
    assert_eq!(
        (reported(&findings), findings.tally.asked),
        (vec!["new: ptr_mismatch".to_owned(), "old: a_stale".to_owned()], 2)
    );
    assert_eq!(repair(&world.stage, &findings).await.done, 2);
    let other = findings_of("other", &world);
    // The empty record set reserves the name of the stopped group.
    let old = format!("A old.spoke1.contoso.internal 60  owner=old previous=10.1.5.{last}@3");
    world.has(&[&a("new", last), &ptr("new", last), &old, &a("other", other), &ptr("other", other)]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_may_end_is_read() {
    for (policy, asked) in [("Always", 0), ("OnFailure", 1), ("Never", 1)] {
        let world = world(&[], &[]).await;
        let body = json!({"location": "westeurope", "properties": {
            "osType": "Linux", "restartPolicy": policy,
            "ipAddress": {"type": "Private", "ports": [{"port": 80}]},
            "subnetIds": [{"id": format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-spoke1/providers/Microsoft.Network/virtualNetworks/vnet/subnets/default")}],
            "containers": [{"name": "web", "properties": {
                "image": "web", "resources": {"requests": {"cpu": 1, "memoryInGB": 1}}
            }}],
        }});
        let path = format!("{}?api-version=2023-05-01", id("web"));
        let put =
            Request::put(path).header("authorization", "Bearer embedded").body(Body::from(body.to_string()));
        let answer = world.azure.router().oneshot(put.unwrap()).await.unwrap();
        assert!(answer.status().is_success(), "{answer:?}");
        world.reconcile("web").await;
        crate::world::pass(400).await;
        world.reconcile("web").await;
        let findings = look(&world.stage).await;
        assert_eq!((findings.tally.right, findings.tally.asked), (1, asked), "{policy} {findings:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_mark_of_an_unlisted_group_is_no_orphan() {
    let world = world(&[], &[]).await;
    world.put("A far 60 10.1.5.9 aci-dns-owner=11111111-0000-0000-0000-000000000000/rg-spoke1/far");
    let findings = look(&world.stage).await;
    assert_eq!((reported(&findings).len(), findings.unattributed.len(), findings.planned()), (0, 1, 0));
}

/// Another program wrote an empty address into its record set.
#[tokio::test(start_paused = true)]
async fn an_unrepresentable_foreign_record_set_does_not_hide_other_groups() {
    let world = world(&[], &[]).await;
    for name in ["one", "two", "scanner"] {
        world.create(name);
    }
    let scanner = |list: bool| {
        let set = json!({
            "name": "scanner", "etag": "e9",
            "type": "Microsoft.Network/privateDnsZones/A",
            "id": format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-dns/providers/Microsoft.Network/\
                privateDnsZones/{FORWARD}/A/scanner"),
            "properties": {"ttl": 30, "aRecords": [{"ipv4Address": ""}], "isAutoRegistered": false},
        });
        if list { json!({"value": [set]}) } else { set }
    };
    for (path, body) in
        [(format!("{FORWARD}/A?"), scanner(true)), (format!("{FORWARD}/A/scanner"), scanner(false))]
    {
        let fault = Fault::once(Method::GET, &path, Effect::ReplaceBody(body.to_string()));
        world.azure.inject(Fault { times: u64::MAX, ..fault });
    }
    world.put("A scanner 30 10.9.9.9");
    let findings = look(&world.stage).await;
    assert_eq!((findings.failures.len(), findings.tally.groups), (0, 3));
    repair(&world.stage, &findings).await;
    let written = world.records();
    for record in [a("one", 4), a("two", 5), ptr("one", 4), ptr("two", 5)] {
        assert!(written.contains(&record), "{record} {written:#?}");
    }
    // Only the group with this name is affected.
    let done = world.reconcile("scanner").await;
    done.is(409, "conflict", &[]).because("scanner");
    assert!(world.records().contains(&format!("A scanner.{FORWARD} 30 10.9.9.9")));
}

#[tokio::test(start_paused = true)]
async fn records_in_a_former_forward_zone_are_reported_and_values_in_it_replaced() {
    const OLD: &str = "old.contoso.internal";
    let zones = json!({"forwardZone": FORWARD, "reverseZones": [REVERSE], "zoneResourceGroup": "rg-dns",
        "formerZones": [OLD, "deleted.internal"]});
    let map = json!({"rg-spoke1": zones, "rg-spoke2": zones}).to_string();
    let world = world(&[("ACI_DNS_ZONES", &map)], &["web"]).await;
    world.azure.create_zone(SUBSCRIPTION, "rg-dns", OLD);
    let owner = format!("{SUBSCRIPTION}/rg-spoke1/web");
    let mark = |spec: RecordSetSpec| spec.with_metadata("aci-dns-owner", &owner);
    world.azure.put_record_set(OLD, &mark(RecordSetSpec::new("A", "web", &["10.1.5.4"]))).unwrap();
    world.azure.put_record_set(OLD, &RecordSetSpec::new("A", "other", &["10.1.5.9"])).unwrap();
    world.put("PTR 4.5 60 web.old.contoso.internal owner=web");
    world.put("PTR 77.5 60 api.old.contoso.internal");
    let findings = look(&world.stage).await;
    let unattributed = |findings: &Findings| -> Vec<String> {
        let unattributed = findings.unattributed.iter();
        unattributed.map(|record| format!("{}: {}", record.record, record.reason)).collect()
    };
    let reason = "it belongs to a replaced forward zone (formerZones)";
    let left = [format!("A web.{OLD}: {reason}"), format!("PTR 77.5.{REVERSE} api.{OLD}: {reason}")];
    assert_eq!((findings.failures.len(), unattributed(&findings)), (0, left.to_vec()));
    assert_eq!(reported(&findings), ["web: ptr_mismatch"]);
    repair(&world.stage, &findings).await;
    assert!(world.records().contains(&ptr("web", 4)), "{:#?}", world.records());
    // The timer reports it too, and the records there stay.
    let again = look(&world.stage).await;
    assert_eq!((reported(&again), unattributed(&again)), (vec![], left.to_vec()));
    let report = world.stage.functions.sweeper.run(|_, _| ()).await;
    assert_eq!((report.outcome.as_str(), report.is_warning), ("reported", true));
    assert!(
        report.message.contains(&format!("A web.{OLD}, PTR 77.5.{REVERSE} api.{OLD}")),
        "{}",
        report.message
    );
}

#[tokio::test(start_paused = true)]
async fn a_key_that_matches_no_resource_group_is_named_with_the_nearest_name() {
    let zones = json!({"forwardZone": FORWARD, "reverseZones": [REVERSE], "zoneResourceGroup": "rg-dns"});
    let unmatched = async |keys: &[&str], prepare: &dyn Fn(&World)| {
        let map: serde_json::Map<_, _> = keys.iter().map(|key| ((*key).to_owned(), zones.clone())).collect();
        let world = world(&[("ACI_DNS_ZONES", &serde_json::Value::Object(map).to_string())], &[]).await;
        world.create("web");
        prepare(&world);
        look(&world.stage).await.unmatched
    };
    let one = unmatched(&["rg-spoke1", "rg-spokes2"], &|world| world.create("rg-spoke2/web")).await;
    assert_eq!(one.keys, [("rg-spokes2".to_owned(), Some("rg-spoke2".to_owned()))]);
    assert!(!one.is_error());
    let all = unmatched(&["rg-spoke", "prod-*"], &|_| ()).await;
    let named = [("rg-spoke".to_owned(), Some("rg-spoke1".to_owned())), ("prod-*".to_owned(), None)];
    assert_eq!((all.keys.as_slice(), all.is_error()), (&named[..], true));
    // A resource group without container groups exists, and so may records of a deleted one.
    let none = unmatched(&["rg-spoke1", "rg-spoke2"], &|_| ()).await;
    assert_eq!(none.keys, []);
    let mark = |world: &World| {
        world.put(&format!("A x 60 10.1.5.9 aci-dns-owner={SUBSCRIPTION}/rg-deleted/x"));
    };
    let none = unmatched(&["rg-spoke1", "rg-deleted"], &mark).await;
    assert_eq!(none.keys, []);
}

#[tokio::test(start_paused = true)]
async fn a_repair_that_is_stopped_is_resumed() {
    let world = world(&[], &[]).await;
    for name in ["a", "b", "c"] {
        world.create(name);
    }
    let (sender, receiver) = watch::channel(false);
    let sweeper = &world.stage.functions.sweeper;
    let findings = look(&world.stage).await;
    let halt = |_: &aci_dns::sweep::RepairStep<'_>| _ = sender.send_replace(true);
    let repaired =
        sweeper.repair(&findings.found, options(false).deadline, &Stop::when(receiver), halt).await;
    assert_eq!((repaired.done, repaired.left), (1, 2));
    let rest = look(&world.stage).await;
    assert_eq!(reported(&rest), ["b: a_missing", "c: a_missing"]);
    let repaired = sweeper.repair(&rest.found, options(false).deadline, &Stop::never(), |_| ()).await;
    assert_eq!((repaired.done, repaired.left), (2, 0));
    assert_eq!(reported(&look(&world.stage).await), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn too_many_changes_are_guarded_and_additions_do_not_count() {
    let names: Vec<String> = (0..10).map(|number| format!("g{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let world = world(&[], &names).await;
    for number in 0..20 {
        world.create_at(&format!("new{number}"), 100 + number);
    }
    assert_eq!(look(&world.stage).await.change_guard(), None);
    for name in &names[..3] {
        world.delete(name);
    }
    assert_eq!(look(&world.stage).await.change_guard(), None);
    world.delete(names[3]);
    let guard = look(&world.stage).await.change_guard().unwrap();
    assert!(matches!(guard, ChangeGuard::Zone { touched: 4, managed: 10, .. }), "{guard}");
}

#[tokio::test(start_paused = true)]
async fn the_timer_repairs_only_if_the_settings_say_so() {
    for (settings, expected) in [(vec![], 0), (vec![("ACI_DNS_SWEEP", "repair")], 2)] {
        let world = world(&settings, &[]).await;
        world.create("web");
        drop(world.take_lines());
        assert_eq!(world.stage.sweep().await.status, 200);
        let lines = world.take_lines();
        let of_group: Vec<_> = lines.iter().filter(|line| line["container_group.id"] == id("web")).collect();
        assert_eq!((lines.len(), of_group.len()), (2, 1), "{lines:#?}");
        assert_eq!(of_group[0]["drift.event"], "first_seen");
        assert_eq!(of_group[0]["function.name"], "function_drift_sweep");
        assert_eq!(world.writes().len(), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn the_guard_counts_the_record_sets_of_one_zone() {
    // 12 groups in one zone, 30 in another: of the first, a third moves, which is a tenth of all.
    let map = json!({
        "rg-spoke1": {"forwardZone": "spoke1.contoso.internal", "reverseZones": [], "zoneResourceGroup": "rg-dns"},
        "rg-spoke2": {"forwardZone": "spoke2.contoso.internal", "reverseZones": [], "zoneResourceGroup": "rg-dns"},
    });
    let names: Vec<String> = (0..12).map(|number| format!("g{number}")).collect();
    let others: Vec<String> = (0..30).map(|number| format!("rg-spoke2/h{number}")).collect();
    let world = World::new(&[WHERE, ("ACI_DNS_ZONES", &map.to_string())]);
    world.azure.create_zone(SUBSCRIPTION, "rg-dns", "spoke2.contoso.internal");
    for name in names.iter().chain(&others) {
        world.create(name);
        assert_eq!(world.reconcile(name).await.status, 200);
    }
    let guard = async || look(&world.stage).await.change_guard().map(|guard| guard.to_string());
    assert_eq!(guard().await, None);
    for name in &names[..4] {
        world.azure.move_group(&id(name)).unwrap();
    }
    assert_eq!(
        guard().await.as_deref(),
        Some(
            "4 of 12 managed record sets of spoke1.contoso.internal would change or be removed, which is more than 30 %"
        )
    );
}

#[tokio::test(start_paused = true)]
async fn a_resource_group_without_its_groups_needs_force() {
    let names = ["rg-spoke2/a", "rg-spoke2/b", "rg-spoke2/c", "web"];
    let world = world(&[("ACI_DNS_SWEEP", "repair")], &names).await;
    for name in &names[..2] {
        world.delete(name);
    }
    assert_eq!(look(&world.stage).await.change_guard(), None);
    world.delete(names[2]);
    let guard = look(&world.stage).await.change_guard().unwrap();
    assert_eq!(
        guard.to_string(),
        "all 3 container groups of rg-spoke2 that have records are missing: the resource group may be deleted, or \
         Azure may not list it"
    );
    let before = world.records();
    let report = world.stage.functions.sweeper.run(|_, _| ()).await;
    assert_eq!(report.outcome, aci_dns::decide::report::Outcome::Failed);
    assert_eq!(world.records(), before);
}
