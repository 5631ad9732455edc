//! Throttles, deadlines and shared passes ("Throttles" in docs/design.md).

use super::*;

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
async fn retry_after_is_obeyed_within_the_deadline() {
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
async fn a_retry_after_beyond_the_deadline_is_503_at_once() {
    let world = new_group(&[]);
    world.fail_times(Method::PUT, "/A/web", 1, FaultAnswer::new(429, "TooManyRequests").retry_after(60));
    let started = Instant::now();
    world.reconcile("web").await.is(503, "unavailable", &[]);
    assert_eq!(started.elapsed().as_secs(), 0);
}

#[tokio::test(start_paused = true)]
async fn reads_with_5xx_are_repeated_and_then_503() {
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
    // They need a pass that starts after their arrival, and one pass serves all of them.
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
async fn the_number_of_concurrent_reconciliations_is_limited() {
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
async fn an_event_that_waits_for_a_slot_until_the_deadline_is_answered_503() {
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
