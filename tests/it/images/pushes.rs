//! Events of a registry: what is restarted, replaced and left alone.

use azure_simulator::{FaultAnswer, PullingEvents, PushSpec};
use serde_json::json;

use super::{APP, Images, PUSHED};
use crate::world::pass;

#[tokio::test(start_paused = true)]
async fn restart_downloads_the_pushed_image_once() {
    let images = Images::new(&[]);
    images.create("web", "restart", "demo.azurecr.io/app:v1").await;
    let push = images.push("demo.azurecr.io/app:v1");
    pass(1).await;
    let done = images.event(&push.event()).await;
    done.is(200, &["changed ! restart rg-spoke1/web demo.azurecr.io/app:v1"], &["POST web/restart"]);
    let line = &done.lines[0];
    assert_eq!(
        [&line["image.repository"], &line["image.tag"], &line["image.digest"], &line["function.name"]],
        [&json!(APP), &json!("v1"), &json!(push.digest), &json!(PUSHED)]
    );
    assert_eq!(line["arm.calls"], 3, "one list, one read, one restart");
    pass(30).await;
    assert!(images.runs("web", &push));
    for hours in [0, 1, 24] {
        pass(hours * 3600).await;
        images.event(&push.cloud_event()).await.is(200, &["converged"], &[]).because("has pulled");
    }
}

#[tokio::test(start_paused = true)]
async fn semver_replaces_the_tag_and_a_late_older_version_does_nothing() {
    let images = Images::new(&[]);
    images.create("web", "semver:^1.2", "demo.azurecr.io/app:1.2.3").await;
    let (older, newer) = (images.push("demo.azurecr.io/app:1.2.9"), images.push("demo.azurecr.io/app:1.3.0"));
    let plan = "changed ~ image rg-spoke1/web demo.azurecr.io/app 1.2.3 -> 1.3.0";
    images.event(&newer.event()).await.is(200, &[plan], &["PUT web"]);
    pass(30).await;
    assert_eq!(images.running("web"), ["demo.azurecr.io/app:1.3.0"]);
    images.event(&older.event()).await.is(200, &["converged"], &[]);
    images.event(&newer.event()).await.is(200, &["converged"], &[]);
    images.deliver("demo.azurecr.io/app:2.0.0").await.is(200, &["converged"], &[]);
}

#[tokio::test(start_paused = true)]
async fn glob_replaces_the_tag_and_a_late_older_push_does_nothing() {
    let images = Images::new(&[]);
    images.create("web", "glob:build-*", "demo.azurecr.io/app:build-7").await;
    let older = images.push("demo.azurecr.io/app:build-8");
    pass(5).await;
    let newer = images.push("demo.azurecr.io/app:build-9");
    images.event(&newer.event()).await.is(
        200,
        &["changed ~ image rg-spoke1/web demo.azurecr.io/app build-7 -> build-9"],
        &["PUT web"],
    );
    pass(3600).await;
    images.event(&older.event()).await.is(200, &["converged"], &[]).because("newer than the push");
    assert_eq!(images.running("web"), ["demo.azurecr.io/app:build-9"]);
}

#[tokio::test(start_paused = true)]
async fn a_group_without_the_tag_outside_of_the_map_or_of_another_registry_is_never_read() {
    let images = Images::new(&[]);
    images.create_as("plain", "demo.azurecr.io/app:v1", &[], |_| ()).await;
    images.create("rg-spoke2/web", "restart", "demo.azurecr.io/app:v1").await;
    images.create("other", "restart", "evil.example/app:v1").await;
    let done = images.deliver("demo.azurecr.io/app:v1").await;
    done.is(200, &["ignored"], &[]).because("no container group that opted in uses demo.azurecr.io/app");
    assert_eq!(done.lines[0]["arm.calls"], 1, "one list");
    let paths: Vec<_> = images.azure.calls().into_iter().map(|call| call.path).collect();
    assert_eq!(paths.len(), 1, "{paths:?}");
    let done = images.deliver("evil.example/app:v1").await;
    done.is(200, &["ignored"], &[]).because("no key of ACI_DNS_IMAGES names the registry");
    assert!(images.azure.calls().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_stopped_group_and_a_pinned_one_are_never_touched() {
    let images = Images::new(&[]);
    images.create("stopped", "restart", "demo.azurecr.io/app:v1").await;
    images.azure.stop_group(&crate::world::id("stopped")).unwrap();
    let digest = images.push("demo.azurecr.io/app:v1").digest;
    images.create("pinned", "glob:*", &format!("demo.azurecr.io/app:v1@{digest}")).await;
    let done = images.deliver("demo.azurecr.io/app:v1").await;
    done.is(200, &["unmanaged", "unmanaged"], &[])
        .because("pinned by a digest")
        .because("the next start pulls");
}

#[tokio::test(start_paused = true)]
async fn a_push_without_a_tag_is_ignored() {
    let images = Images::new(&[]);
    images.create("web", "restart", "demo.azurecr.io/app:v1").await;
    let digest = images.push("demo.azurecr.io/app:v1").digest;
    images
        .deliver(&format!("demo.azurecr.io/app@{digest}"))
        .await
        .is(200, &["ignored"], &[])
        .because("names no tag");
}

#[tokio::test(start_paused = true)]
async fn without_a_digest_in_the_events_the_times_decide() {
    for form in [PullingEvents::WithTag, PullingEvents::Absent] {
        let images = Images::new(&[]);
        images.azure.configure(|settings| settings.pulling_events = form);
        images.create("web", "restart", "demo.azurecr.io/app:v1").await;
        let push = images.push("demo.azurecr.io/app:v1");
        pass(2).await;
        images.event(&push.event()).await.is(
            200,
            &["changed ! restart rg-spoke1/web demo.azurecr.io/app:v1"],
            &["POST web/restart"],
        );
        pass(3600).await;
        images.event(&push.event()).await.is(200, &["converged"], &[]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_time_in_the_future_restarts_once_all_the_same() {
    let images = Images::new(&[]);
    images.azure.configure(|settings| settings.pulling_events = PullingEvents::Absent);
    images.create("web", "restart", "demo.azurecr.io/app:v1").await;
    let push =
        images.azure.push_image(&PushSpec::new("demo.azurecr.io/app:v1").at("2099-01-01T00:00:00Z")).unwrap();
    images.event(&push.event()).await.is(
        200,
        &["changed ! restart rg-spoke1/web demo.azurecr.io/app:v1"],
        &["POST web/restart"],
    );
}

#[tokio::test(start_paused = true)]
async fn a_bad_tag_fails_and_names_it() {
    let images = Images::new(&[]);
    images.create("web", "always", "demo.azurecr.io/app:v1").await;
    images
        .deliver("demo.azurecr.io/app:v1")
        .await
        .is(500, &["failed"], &[])
        .because("aci-dns-image is \\\"always\\\"");
}

#[tokio::test(start_paused = true)]
async fn what_a_put_would_lose_is_refused_and_named() {
    let images = Images::new(&[]);
    images
        .create_as("web", "demo.azurecr.io/app:1.0.0", &[("aci-dns-image", "semver:*")], |spec| {
            spec.log_analytics_workspace = Some("workspace".to_owned());
        })
        .await;
    let done = images.deliver("demo.azurecr.io/app:1.0.1").await;
    done.is(500, &["failed"], &[]).because("the workspace key of Log Analytics; use aci-dns-image=restart");
    assert_eq!(images.running("web"), ["demo.azurecr.io/app:1.0.0"]);
}

#[tokio::test(start_paused = true)]
async fn a_group_that_started_less_than_a_minute_ago_is_unavailable() {
    let images = Images::new(&[]);
    images.create("web", "restart", "demo.azurecr.io/app:v1").await;
    images.azure.restart_group(&crate::world::id("web")).unwrap();
    pass(30).await;
    images
        .deliver("demo.azurecr.io/app:v1")
        .await
        .is(503, &["unavailable"], &[])
        .because("less than a minute ago");
}

#[tokio::test(start_paused = true)]
async fn a_group_in_transition_is_unavailable() {
    let images = Images::new(&[]);
    images.create("web", "restart", "demo.azurecr.io/app:v1").await;
    let answer = FaultAnswer::new(409, "ContainerGroupTransitioning");
    images.azure.inject(azure_simulator::Fault::once(
        http::Method::POST,
        "/restart",
        azure_simulator::Effect::Answer(azure_simulator::When::Before, answer),
    ));
    images.deliver("demo.azurecr.io/app:v1").await.is(503, &["unavailable"], &["POST web/restart"]);
}

#[tokio::test(start_paused = true)]
async fn a_missing_right_fails_and_says_what_was_attempted() {
    let images = Images::new(&[]);
    images.create("web", "restart", "demo.azurecr.io/app:v1").await;
    let answer = FaultAnswer::new(403, "AuthorizationFailed");
    images.azure.inject(azure_simulator::Fault::once(
        http::Method::POST,
        "/restart",
        azure_simulator::Effect::Answer(azure_simulator::When::Before, answer),
    ));
    let done = images.deliver("demo.azurecr.io/app:v1").await;
    done.is(500, &["failed"], &["POST web/restart"]).because("not permitted to restart container group");
}

#[tokio::test(start_paused = true)]
async fn a_burst_of_pushes_is_one_restart() {
    let images = Images::new(&[]);
    images.create("web", "restart", "demo.azurecr.io/app:v1").await;
    images.create("latest", "restart", "demo.azurecr.io/app:latest").await;
    let pushes = ["v1", "latest", "v1.2", "v1"].map(|tag| images.push(&format!("{APP}:{tag}")));
    let events = serde_json::Value::Array(pushes.iter().map(azure_simulator::ImagePush::event).collect());
    let done = images.event(&events).await;
    assert_eq!(done.answer.status, 200, "{done:#?}");
    let mut writes = done.writes.clone();
    writes.sort_unstable();
    assert_eq!(writes, ["POST latest/restart", "POST web/restart"]);
    assert_eq!(done.lines.len(), 8, "one line for each push and group");
}

#[tokio::test(start_paused = true)]
async fn the_policy_observe_shows_the_plan_and_writes_nothing() {
    let images = Images::with_queue(&[("ACI_DNS_POLICY", "observe")]);
    images.create("web", "restart", "demo.azurecr.io/app:v1").await;
    images.create("job", "semver:*", "demo.azurecr.io/job:1.0.0").await;
    let web = images.deliver("demo.azurecr.io/app:v1").await;
    web.is(200, &["planned ! restart rg-spoke1/web demo.azurecr.io/app:v1"], &[]);
    let job = images.deliver("demo.azurecr.io/job:1.1.0").await;
    job.is(200, &["planned ~ image rg-spoke1/job demo.azurecr.io/job 1.0.0 -> 1.1.0"], &[]);
    images.create("bad", "always", "demo.azurecr.io/app:v1").await;
    images.deliver("demo.azurecr.io/app:v2").await;
    assert_eq!(images.azure.messages(crate::world::QUEUE).unwrap().len(), 0, "nothing is stored");
}

#[tokio::test(start_paused = true)]
async fn other_events_are_ignored_and_malformed_ones_refused() {
    let images = Images::new(&[]);
    let mut event = images.push("demo.azurecr.io/app:v1").event();
    event["eventType"] = "Microsoft.ContainerRegistry.ImageDeleted".into();
    images.event(&event).await.is(200, &["ignored"], &[]);
    event["eventType"] = "Microsoft.ContainerRegistry.ImagePushed".into();
    event["data"]["request"]["host"] = json!(null);
    images.event(&event).await.is(400, &["malformed"], &[]).because("data.request.host is missing");
    images.event(&json!([])).await.is(200, &["ignored"], &[]);
    images.event(&json!("not an event")).await.is(400, &["malformed"], &[]);
}

#[tokio::test(start_paused = true)]
async fn the_routes_answer_only_where_their_map_is_set() {
    let images = Images::new(&[]);
    let event = json!({"id": "1"});
    for function in
        ["function_aci_reconcile", "function_aci_retry", "function_drift_tracker", "function_drift_sweep"]
    {
        assert_eq!(images.stage.invoke(function, &event).await.status, 404, "{function}");
    }
    let world = crate::world::World::new(&[]);
    for function in ["function_image_pushed", "function_image_webhook", "function_image_retry"] {
        assert_eq!(world.stage.invoke(function, &event).await.status, 404, "{function}");
    }
}
