//! Removal: the records of a deleted group, and refused deletes ("Order of writes" in docs/design.md).

use super::*;

#[tokio::test(start_paused = true)]
async fn a_deleted_group_loses_its_ptr_values_first_and_its_a_record_set_last() {
    let world = world(&[]).await;
    world.delete("web");
    world.reconcile("web").await.is(200, "changed", &[MINUS_PTR, MINUS_A]);
    assert_eq!(world.writes(), ["DELETE PTR 4.5", "DELETE A web"]);
}

#[tokio::test(start_paused = true)]
async fn the_a_record_set_of_a_deleted_group_stays_while_a_ptr_cannot_be_removed() {
    let world = world(&[]).await;
    world.delete("web");
    let gone = FaultAnswer::new(404, "ParentResourceNotFound");
    world.fail_times(Method::DELETE, "/PTR/4.5", 1, gone);
    world.reconcile("web").await.is(500, "failed", &[]);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
    world.reconcile("web").await.is(200, "changed", &[MINUS_PTR, MINUS_A]);
}

#[tokio::test(start_paused = true)]
async fn after_a_refused_delete_the_record_set_is_emptied_with_a_warning() {
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
        // The delete is tried again, and nothing else is written.
        assert_eq!(world.reconcile("web").await.status, 200);
        assert!(world.writes().iter().all(|write| write.starts_with("DELETE")));
        world.has(&empty);
        world.azure.clear_faults();
        world.reconcile("web").await;
        world.has(&[]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_lock_on_the_reverse_zone_does_not_affect_the_a_record_set() {
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
async fn the_a_record_set_of_a_deleted_group_stays_while_a_list_fails() {
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
async fn an_a_record_set_that_is_known_only_from_a_ptr_is_removed_before_that_ptr() {
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
async fn a_deleted_group_loses_every_ptr_value_that_is_ours_or_free() {
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
        // The mark of another group is honored, whether or not the group exists.
        "PTR 80.5.1.10.in-addr.arpa 300 web.spoke1.contoso.internal owner=vanished",
        "PTR 81.5.1.10.in-addr.arpa 300 web.spoke1.contoso.internal owner=api",
        "PTR 82.5.1.10.in-addr.arpa 300 web.spoke1.contoso.internal (auto-registered)",
        "PTR 83.5.1.10.in-addr.arpa 300 web.spoke2.contoso.internal",
    ]);
}

#[tokio::test(start_paused = true)]
async fn in_strict_unmarked_record_sets_of_a_deleted_group_stay() {
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
async fn without_other_findings_every_marked_a_record_set_is_removed() {
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
async fn a_record_set_on_a_later_page_is_found() {
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
