//! Races: conditional writes, other writers, and lost answers ("Conditional writes and passes" in docs/design.md).

use super::*;

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
async fn a_412_on_a_starts_another_pass() {
    let world = new_group(&[]);
    world.at(Method::PUT, "/A/web", 1, |azure| put(azure, "A web 300 10.1.5.9 cost=42"));
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&[&format!("{} previous=10.1.5.9@0 cost=42", a("web", 4)), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_412_on_a_ptr_starts_another_pass() {
    let world = new_group(&[]);
    world.at(Method::PUT, "/PTR/4.5", 1, |azure| put(azure, "PTR 4.5 300 x.example.org"));
    assert_eq!(world.reconcile("web").await.status, 200);
    let both = "PTR 4.5.1.10.in-addr.arpa 60 x.example.org,web.spoke1.contoso.internal owner=web";
    world.has(&[&a("web", 4), both]);
}

#[tokio::test(start_paused = true)]
async fn a_412_on_a_removal_starts_another_pass() {
    let world = world(&[]).await;
    world.delete("web");
    let edited = "PTR 4.5 60 web.spoke1.contoso.internal,x.example.org owner=web";
    world.at(Method::DELETE, "/PTR/4.5", 1, move |azure| put(azure, edited));
    assert_eq!(world.reconcile("web").await.status, 200);
    world.has(&["PTR 4.5.1.10.in-addr.arpa 60 x.example.org"]);
}

#[tokio::test(start_paused = true)]
async fn a_record_set_that_is_deleted_before_its_replacement_starts_another_pass() {
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
async fn a_write_with_a_lost_answer_that_took_effect_is_not_repeated() {
    let world = new_group(&[]);
    world.lose(Method::PUT, "/A/web", When::After);
    world.reconcile("web").await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    assert_eq!(world.writes(), ["PUT A web", "PUT PTR 4.5"]);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_ptr_write_with_a_lost_answer_that_took_effect_is_not_repeated() {
    let world = new_group(&[]);
    world.lose(Method::PUT, "/PTR/4.5", When::After);
    world.reconcile("web").await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    assert_eq!(world.writes(), ["PUT A web", "PUT PTR 4.5"]);
}

#[tokio::test(start_paused = true)]
async fn a_write_with_a_lost_answer_and_no_effect_is_planned_again() {
    let world = new_group(&[]);
    world.lose(Method::PUT, "/A/web", When::Before);
    world.reconcile("web").await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    assert_eq!(world.writes(), ["PUT A web", "PUT A web", "PUT PTR 4.5"]);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_removal_whose_answer_was_lost_is_observed() {
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
async fn a_write_with_a_5xx_may_have_happened() {
    let world = new_group(&[]);
    let broken = azure_simulator::Effect::Answer(When::After, FaultAnswer::new(500, "InternalServerError"));
    world.azure.inject(azure_simulator::Fault::once(Method::PUT, "/A/web", broken));
    world.reconcile("web").await.is(200, "changed", &[PLUS_A, PLUS_PTR]);
    assert_eq!(world.writes(), ["PUT A web", "PUT PTR 4.5"]);
}
