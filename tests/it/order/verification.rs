//! An invocation that wrote reads the group and the A record set again ("Verification" in docs/design.md).

use super::*;

/// The verification is the second read of the group, if no race comes before it.
fn at_the_verification(world: &World, act: impl Fn(&azure_simulator::Azure) + Send + 'static) {
    world.at(Method::GET, "containerGroups/web", 2, act);
}

#[tokio::test(start_paused = true)]
async fn the_verification_sees_that_the_group_moved_meanwhile() {
    let world = new_group(&[]);
    at_the_verification(&world, |azure| azure.set_address(&id("web"), address(5)).unwrap());
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&format!("{} previous=10.1.5.4@0", a("web", 5)), &ptr("web", 5)]);
}

#[tokio::test(start_paused = true)]
async fn the_verification_sees_that_a_was_edited_meanwhile() {
    let world = new_group(&[]);
    at_the_verification(&world, |azure| put(azure, "A web 60 10.1.5.99 owner=web"));
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&format!("{} previous=10.1.5.99@0", a("web", 4)), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn the_verification_sees_that_a_was_removed_meanwhile() {
    let world = new_group(&[]);
    at_the_verification(&world, |azure| {
        azure.remove_record_set(FORWARD, "A", "web").unwrap();
    });
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn the_verification_sees_that_the_group_was_deleted_meanwhile() {
    let world = new_group(&[]);
    at_the_verification(&world, |azure| azure.delete_group(&id("web")).unwrap());
    // A write event is no evidence for a deletion: only the PTR record of this invocation is removed.
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
async fn the_verification_sees_that_the_group_was_recreated_after_a_removal() {
    let world = world(&[]).await;
    world.delete("web");
    at_the_verification(&world, |azure| {
        azure.create_group(azure_simulator::GroupSpec::new("rg-spoke1", "web"));
    });
    // The address is the same again, so the plan names the restored records.
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn the_verification_sees_that_the_tags_changed_meanwhile() {
    let world = new_group(&[]);
    at_the_verification(&world, |azure| {
        azure.set_tags(&id("web"), [("aci-dns-ttl".to_owned(), "7".to_owned())].into()).unwrap();
    });
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&a("web", 4).replace(" 60 ", " 7 "), &ptr("web", 4).replace(" 60 ", " 7 ")]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_being_provisioned_at_the_verification_is_polled() {
    let world = World::new(&[]);
    world.create_as("web", |spec| spec.provisioning = Duration::from_secs(5));
    pass(5).await;
    at_the_verification(&world, |azure| azure.restart_group(&id("web")).unwrap());
    let started = Instant::now();
    assert_eq!(world.reconcile("web").await.status, 200);
    assert!((5..=9).contains(&started.elapsed().as_secs()));
    assert!(world.records().contains(&ptr("web", 5)), "{:#?}", world.records());
    assert!(world.records()[0].starts_with(&a("web", 5)), "{:#?}", world.records());
    assert_eq!(world.records().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_invocation_that_wrote_nothing_does_not_verify() {
    let world = world(&[]).await;
    world.azure.clear_calls();
    world.reconcile("web").await.is(200, "converged", &[]);
    assert_eq!(world.calls(), "3 GET");
}

#[tokio::test(start_paused = true)]
async fn a_pass_after_the_verification_covers_the_addresses_at_which_this_invocation_wrote_a_ptr() {
    let world = new_group(&[]);
    // A writer that removes the A record set also removes the previous addresses that lead to the new PTR
    // record.
    at_the_verification(&world, |azure| {
        azure.remove_record_set(FORWARD, "A", "web").unwrap();
        azure.set_address(&id("web"), address(5)).unwrap();
    });
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&a("web", 5), &ptr("web", 5)]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_creation_of_a_does_not_override_a_move() {
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
async fn a_slow_ptr_is_removed_by_its_writer() {
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
async fn a_slow_removal_is_undone_for_a_group_recreated_at_the_same_address() {
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
