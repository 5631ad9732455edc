//! The table under "The address" in docs/design.md, row by row. Time is paused.

use std::time::Duration;

use aci_dns::replay::stage::RECONCILE;
use azure_simulator::{FaultAnswer, Ip, RestartPolicy};
use http::Method;
use tokio::time::Instant;

use crate::world::{World, a, address, id, pass, ptr};

/// A world in which `web` was reconciled at 10.1.5.4.
async fn world(settings: &[(&str, &str)]) -> World {
    let world = World::new(settings);
    world.create_at("web", 4);
    world.reconcile("web").await.is(
        200,
        "changed",
        &[
            "+ A web.spoke1.contoso.internal 10.1.5.4",
            "+ PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal",
        ],
    );
    world
}

/// A world in which `web`, whose containers are never restarted, was reconciled at 10.1.5.4.
async fn never_restarted(settings: &[(&str, &str)]) -> World {
    let world = World::new(settings);
    world.create_as("web", |spec| {
        spec.restart_policy = RestartPolicy::Never;
        spec.ip = Ip::Fixed(address(4));
    });
    assert_eq!(world.reconcile("web").await.status, 200);
    world
}

const RESERVED: &str = "A web.spoke1.contoso.internal 60  owner=web previous=10.1.5.4@3";
const EMPTIED: [&str; 2] = [
    "~ A web.spoke1.contoso.internal 10.1.5.4 -> (empty) (remember 10.1.5.4)",
    "- PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal",
];
const REMOVED: [&str; 2] =
    ["- PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal", "- A web.spoke1.contoso.internal 10.1.5.4"];

/// Delivers an event whose wait lasts this many seconds without an address, and checks that DNS does not
/// change.
async fn check_waits(world: &World, seconds: u64, case: &str) {
    let (before, started) = (world.azure.record_sets("spoke1.contoso.internal"), Instant::now());
    world.reconcile("web").await.is(503, "unavailable", &[]).because("has not assigned an address");
    assert_eq!(started.elapsed().as_secs(), seconds, "{case}");
    assert_eq!(world.azure.record_sets("spoke1.contoso.internal"), before, "{case}");
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_404_is_deleted() {
    let world = world(&[]).await;
    world.delete("web");
    world.reconcile("web").await.is(200, "changed", &REMOVED);
    world.has(&[]);
}

#[tokio::test(start_paused = true)]
async fn a_group_whose_resource_group_is_404_is_deleted() {
    let world = World::new(&[(
        "ACI_DNS_ZONES",
        r#"{"rg-*": {"forwardZone": "spoke1.contoso.internal",
        "reverseZones": ["1.10.in-addr.arpa"], "zoneResourceGroup": "rg-dns"}}"#,
    )]);
    world.put("PTR 4.5 60 web.spoke1.contoso.internal owner=rg-vanished/web");
    let plan = ["- PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal"];
    world.reconcile("rg-vanished/web").await.is(200, "changed", &plan);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_being_deleted_keeps_its_records_until_the_404() {
    let world = world(&[]).await;
    world.azure.configure(|settings| settings.deleting = Duration::from_mins(1));
    world.delete("web");
    world.create("rg-spoke2/web");
    world.reconcile("rg-spoke2/web").await.is(409, "conflict", &[]);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
    // The wait lasts while the group exists.
    let waited = world.reconcile("web").await;
    waited.is(503, "unavailable", &[]).because("is being deleted");
    world.has(&[&a("web", 4), &ptr("web", 4)]);
    pass(60).await;
    world.reconcile("web").await.is(200, "changed", &REMOVED);
    world.has(&[]);
}

#[tokio::test(start_paused = true)]
async fn a_mark_is_honored_until_the_404_only() {
    let world = world(&[]).await;
    world.azure.configure(|settings| settings.deleting = Duration::from_mins(1));
    world.delete("web");
    world.create("rg-spoke2/web");
    pass(60).await;
    assert_eq!(world.reconcile("rg-spoke2/web").await.status, 200);
    world.has(&[
        "A web.spoke1.contoso.internal 60 10.1.6.4 owner=rg-spoke2/web previous=10.1.5.4@63",
        "PTR 4.6.1.10.in-addr.arpa 60 web.spoke1.contoso.internal owner=rg-spoke2/web",
    ]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_became_public_loses_its_marked_records() {
    let world = world(&[]).await;
    world.azure.set_ip(&id("web"), Ip::Public).unwrap();
    world.reconcile("web").await.is(200, "changed", &REMOVED);
    world.has(&[]);
}

#[tokio::test(start_paused = true)]
async fn a_public_group_changes_no_unmarked_record() {
    let world = World::new(&[]);
    world.create_as("web", |spec| spec.ip = Ip::Public);
    world.put("A web 60 10.1.5.4");
    world.put("PTR 4.5 60 web.spoke1.contoso.internal");
    let before = world.records();
    world.reconcile("web").await.is(200, "unmanaged", &[]);
    assert_eq!(world.records(), before);
}

#[tokio::test(start_paused = true)]
async fn a_group_without_ports_is_unmanaged_after_the_wait_with_a_warning_and_dns_stays() {
    let world = world(&[]).await;
    world.azure.set_ip(&id("web"), Ip::NoIpAddress).unwrap();
    let started = Instant::now();
    let done = world.reconcile("web").await;
    done.is(200, "unmanaged", &[]);
    assert_eq!((done.text("level"), started.elapsed().as_secs()), ("warn", 15));
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_group_without_an_ip_address_yet_is_polled() {
    let world = World::new(&[]);
    world.create_as("web", |spec| spec.ip = Ip::NoIpAddress);
    let event = world.start(&world.stage, "web");
    pass(10).await;
    world.azure.set_ip(&id("web"), Ip::Fixed(address(4))).unwrap();
    assert_eq!(event.await.unwrap().status, 200);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn provisioning_that_is_not_terminal_is_polled_for_and_then_503() {
    let world = world(&[]).await;
    for state in ["Pending", "Creating", "Updating", "Repairing", "Accepted", "Unhealthy", "Novel"] {
        world.azure.set_provisioning_state(&id("web"), state).unwrap();
        check_waits(&world, 15, state).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_of_a_standby_pool_is_unmanaged_and_dns_stays() {
    let world = world(&[]).await;
    world.azure.set_provisioning_state(&id("web"), "PreProvisioned").unwrap();
    world.reconcile("web").await.is(200, "unmanaged", &[]);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_running_group_without_a_usable_address_is_polled_for_and_then_503() {
    let world = world(&[]).await;
    for ip in [Ip::NullIp, Ip::EmptyIp, Ip::ZeroIp] {
        world.azure.set_ip(&id("web"), ip).unwrap();
        check_waits(&world, 15, &format!("{ip:?}")).await;
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_a_setting() {
    for (seconds, polls) in [(0, 1), (3, 4)] {
        let world = world(&[("ACI_DNS_ADDRESS_WAIT_SECONDS", &seconds.to_string())]).await;
        world.azure.set_provisioning_state(&id("web"), "Updating").unwrap();
        world.calls();
        check_waits(&world, seconds, "setting").await;
        let polled =
            world.azure.calls().iter().filter(|call| call.path.ends_with("containerGroups/web")).count();
        assert_eq!(polled, polls);
    }
}

#[tokio::test(start_paused = true)]
async fn the_wait_is_one_second_shorter_than_a_short_deadline() {
    let world = world(&[("ACI_DNS_DEADLINE_SECONDS", "6")]).await;
    world.azure.set_provisioning_state(&id("web"), "Updating").unwrap();
    check_waits(&world, 5, "deadline").await;
}

#[tokio::test(start_paused = true)]
async fn an_address_that_arrives_during_the_wait_is_published() {
    let world = World::new(&[]);
    world.create_as("web", |spec| spec.provisioning = Duration::from_secs(9));
    world.reconcile("web").await.is(
        200,
        "changed",
        &[
            "+ A web.spoke1.contoso.internal 10.1.5.4",
            "+ PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal",
        ],
    );
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_restart_keeps_the_old_address_until_there_is_a_new_one() {
    let world = World::new(&[]);
    world.create_as("web", |spec| spec.provisioning = Duration::from_secs(9));
    world.reconcile("web").await;
    world.azure.restart_group(&id("web")).unwrap();
    let event = world.start(&world.stage, "web");
    pass(8).await;
    world.has(&[&a("web", 4), &ptr("web", 4)]);
    assert_eq!(event.await.unwrap().status, 200);
    let moved_at = world.azure.unix_seconds() - crate::world::EPOCH;
    world.has(&[&format!("{} previous=10.1.5.4@{moved_at}", a("web", 5)), &ptr("web", 5)]);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_group_has_released_its_address_and_loses_its_records() {
    for keeps in [false, true] {
        let world = world(&[]).await;
        world.azure.configure(|settings| settings.stopped_keeps_address = keeps);
        world.azure.stop_group(&id("web")).unwrap();
        world.reconcile("web").await.is(200, "changed", &EMPTIED);
        world.has(&[RESERVED]);
        world.reconcile("web").await.is(200, "converged", &[]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_stopped_group_that_never_had_records_gets_none() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    world.azure.stop_group(&id("web")).unwrap();
    world.reconcile("web").await.is(200, "converged", &[]);
    world.has(&[]);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_group_gets_its_name_back_when_it_starts() {
    let world = world(&[]).await;
    world.azure.stop_group(&id("web")).unwrap();
    world.reconcile("web").await;
    world.create_at("rg-spoke2/web", 9);
    world.reconcile("rg-spoke2/web").await.is(409, "conflict", &[]).because("rg-spoke1/web");
    world.azure.start_group(&id("web")).unwrap();
    assert_eq!(world.reconcile("web").await.status, 200);
    let records = world.records();
    assert!(
        records
            .iter()
            .any(|record| record.starts_with("A web.spoke1.contoso.internal 60 10.1.5.5 owner=web"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_single_read_of_a_stopped_group_empties_no_name() {
    let world = world(&[]).await;
    world.azure.stop_group(&id("web")).unwrap();
    // Started again before the confirmation, at the same address.
    world.at(Method::GET, "containerGroups/web", 2, |azure| {
        azure.start_group(&id("web")).unwrap();
        azure.set_address(&id("web"), address(4)).unwrap();
    });
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_stopped_group_keeps_its_records_if_the_settings_say_so() {
    let world = world(&[("ACI_DNS_STOPPED", "keep")]).await;
    world.azure.stop_group(&id("web")).unwrap();
    world.calls();
    world.reconcile("web").await.is(200, "converged", &[]);
    assert_eq!(world.calls(), "2 GET");
    world.has(&[&a("web", 4), &ptr("web", 4)]);
    world.azure.start_group(&id("web")).unwrap();
    world.reconcile("web").await;
    world.has(&[&format!("{} previous=10.1.5.4@0", a("web", 5)), &ptr("web", 5)]);
}

#[tokio::test(start_paused = true)]
async fn an_ended_group_has_released_its_address() {
    for (state, exit_code) in [("Succeeded", 0), ("Failed", 1)] {
        let removing = never_restarted(&[]).await;
        removing.azure.set_state(&id("web"), state, exit_code).unwrap();
        removing.reconcile("web").await.is(200, "changed", &EMPTIED);
        let keeping = never_restarted(&[("ACI_DNS_STOPPED", "keep")]).await;
        keeping.azure.set_state(&id("web"), state, exit_code).unwrap();
        keeping.reconcile("web").await.is(200, "converged", &[]);
        keeping.has(&[&a("web", 4), &ptr("web", 4)]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_running_group_has_that_address() {
    let world = world(&[]).await;
    world.reconcile("web").await.is(200, "converged", &[]);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn an_address_is_never_taken_from_the_event() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    let mut event = world.event_of("Microsoft.ResourceNotifications.Resources.CreatedOrUpdated", "web");
    event["data"]["resourceInfo"] = serde_json::json!({
        "id": id("web"),
        "properties": {
            "provisioningState": "Succeeded",
            "ipAddress": {"type": "Private", "ip": "10.1.5.99"},
            "instanceView": {"state": "Running"},
        },
        "tags": {"aci-dns-hostname": "evil", "aci-dns-ignore": "true"},
    });
    assert_eq!(world.deliver(RECONCILE, &event).await.status, 200);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn the_type_of_an_event_decides_nothing_for_an_existing_group() {
    let world = world(&[]).await;
    for event_type in ["ResourceDeleteSuccess", "ResourceWriteFailure", "ResourceActionCancel"] {
        let event = world.event_of(&format!("Microsoft.Resources.{event_type}"), "web");
        world.deliver(RECONCILE, &event).await.is(200, "converged", &[]);
    }
}

#[tokio::test(start_paused = true)]
async fn two_404s_count_after_a_delete_event_or_an_old_event_and_after_no_other() {
    let world = world(&[]).await;
    world.delete("web");
    for event_type in ["ResourceWriteSuccess", "ResourceWriteFailure", "ResourceDeleteFailure"] {
        let event = world.event_of(&format!("Microsoft.Resources.{event_type}"), "web");
        let done = world.deliver(RECONCILE, &event).await;
        done.is(503, "unavailable", &[]).because("not visible yet");
        world.has(&[&a("web", 4), &ptr("web", 4)]);
    }
    pass(15 * 60 + 1).await;
    let event = world.event_of("Microsoft.Resources.ResourceWriteSuccess", "web");
    world.deliver(RECONCILE, &event).await.is(200, "changed", &REMOVED);
}

#[tokio::test(start_paused = true)]
async fn a_single_404_removes_nothing() {
    let world = world(&[]).await;
    let event = world.event_of("Microsoft.Resources.ResourceDeleteSuccess", "web");
    world.fail_times(Method::GET, "containerGroups/web", 1, FaultAnswer::new(404, "ResourceNotFound"));
    assert_eq!(world.deliver(RECONCILE, &event).await.status, 200);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn without_marked_records_a_single_404_is_converged_after_some_events() {
    let world = World::new(&[]);
    for (event_type, status) in
        [("ResourceWriteFailure", 200), ("ResourceActionCancel", 200), ("ResourceWriteSuccess", 503)]
    {
        let event = world.event_of(&format!("Microsoft.Resources.{event_type}"), "web");
        assert_eq!(world.deliver(RECONCILE, &event).await.status, status, "{event_type}");
    }
}
