//! Every request of a push failed, lost and killed in turn: nothing is restarted twice for one push, also hours later,
//! and no group without opt-in is touched.

use azure_simulator::{Effect, Fault, FaultAnswer, When};
use http::Method;
use serde_json::Value;

use super::{Images, LONG, PUSHED};
use crate::world::pass;

/// Requests of a push at two groups, one of which is restarted and one replaced: a list, two reads, two writes.
const REQUESTS: u64 = 5;

async fn two_groups(images: &Images) {
    images.create("web", "restart", "demo.azurecr.io/app:1.0.0").await;
    images.create("job", "glob:1.*", "demo.azurecr.io/app:1.0.0-rc").await;
    images.create_as("plain", "demo.azurecr.io/app:1.0.0", &[], |_| ()).await;
}

fn fault(images: &Images, index: u64, effect: Effect) {
    images.azure.inject(Fault {
        method: None,
        path_contains: "Microsoft.ContainerInstance".to_owned(),
        skip: index,
        times: 1,
        until: None,
        effect,
    });
}

/// The writes that Azure carried out since the start.
fn carried_out(images: &Images) -> Vec<String> {
    let writes =
        images.azure.calls().into_iter().filter(|call| call.method != Method::GET && call.took_effect);
    let writes = writes.filter(|call| call.path.contains("Microsoft.ContainerInstance"));
    let mut names: Vec<String> = writes
        .map(|call| format!("{} {}", call.method, call.path.rsplit_once("/containerGroups/").unwrap().1))
        .collect();
    names.sort_unstable();
    names
}

#[tokio::test(start_paused = true)]
async fn nothing_is_done_twice_for_one_push_whatever_request_fails() {
    for index in 0..REQUESTS {
        for (name, effect) in [
            (
                "throttled",
                Effect::Answer(When::Before, FaultAnswer::new(429, "TooManyRequests").retry_after(30)),
            ),
            ("failed", Effect::Answer(When::Before, FaultAnswer::new(500, "InternalServerError"))),
            ("lost before", Effect::Drop(When::Before)),
            ("lost after", Effect::Drop(When::After)),
        ] {
            let images = Images::with_queue(&[]);
            two_groups(&images).await;
            let push = images.push("demo.azurecr.io/app:1.0.0");
            pass(1).await;
            images.azure.clear_calls();
            fault(&images, index, effect);
            let answer = images.stage.invoke(PUSHED, &push.event()).await;
            assert_eq!(answer.status, 200, "{index} {name}");
            let host = images.stage.start_queue_host().unwrap();
            images.empty_queue().await;
            host.stop();
            for hours in [1, 24] {
                pass(hours * 3600).await;
                assert_eq!(images.stage.invoke(PUSHED, &push.event()).await.status, 200);
            }
            let lines = format!("{:#?}", images.lines.take());
            assert_eq!(carried_out(&images), ["POST web/restart", "PUT job"], "{index} {name} {lines}");
            assert!(images.runs("web", &push) && images.runs("job", &push), "{index} {name}");
            assert!(!images.runs("plain", &push), "{index} {name}");
            let left = images.azure.messages(crate::world::QUEUE).unwrap();
            assert_eq!(left.len(), 0, "{index} {name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_process_that_is_killed_at_any_request_leaves_the_rest_to_the_redelivery() {
    for index in 0..REQUESTS {
        for when in [When::Before, When::After] {
            let images = Images::new(&[]);
            two_groups(&images).await;
            let push = images.push("demo.azurecr.io/app:1.0.0");
            pass(1).await;
            images.azure.clear_calls();
            // The process stands still for ever at this request.
            let gate = azure_simulator::Gate::new();
            fault(&images, index, Effect::Hold(when, gate));
            let (stage, event) = (images.stage.clone(), push.event());
            let killed = tokio::spawn(async move { stage.invoke(PUSHED, &event).await });
            pass(5).await;
            killed.abort();
            let other = images.instance();
            let mut statuses = Vec::new();
            // The intervals of Event Grid.
            for seconds in [10, 30, 60, 300, 600, 3600, 24 * 3600] {
                pass(seconds).await;
                statuses.push(other.invoke(PUSHED, &push.event()).await.status);
            }
            assert_eq!(statuses.last(), Some(&200), "{index} {when:?} {statuses:?}");
            assert_eq!(
                carried_out(&images),
                ["POST web/restart", "PUT job"],
                "{index} {when:?} {statuses:?}"
            );
            assert!(images.runs("web", &push) && images.runs("job", &push), "{index} {when:?}");
            assert!(!images.runs("plain", &push));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_message_of_another_app_fails_and_one_that_cannot_be_read_is_malformed() {
    let images = Images::new(&[]);
    let message =
        |push: Value| serde_json::json!({"version": 1, "push": push, "since": "2026-01-01T00:00:00Z"});
    let foreign = serde_json::json!({"registry": "other.azurecr.io", "repository": "app", "tag": "v1"});
    let done = images.retry(&message(foreign)).await;
    done.is(500, &["failed"], &[]).because("an app with other settings stored this message");
    images.retry(&message(Value::from("no push"))).await.is(400, &["malformed"], &[]);
    images.retry(&serde_json::json!({"version": 1, "event": {}})).await.is(400, &["malformed"], &[]);
    let since = serde_json::json!({"registry": "demo.azurecr.io", "repository": "app", "tag": "v1"});
    let done = images.retry(&message(since)).await;
    done.is(200, &["ignored"], &[]);
    assert_eq!(done.lines[0]["retry.attempt"], 1);
    assert_eq!(done.lines[0]["retry.since"], "2026-01-01T00:00:00Z");
}

#[tokio::test(start_paused = true)]
async fn what_needs_a_person_is_a_failed_retry_and_heals_when_it_is_repaired() {
    let images = Images::with_queue(&[]);
    images.create("web", "always", "demo.azurecr.io/app:v1").await;
    let push = images.push("demo.azurecr.io/app:v1");
    pass(1).await;
    images.event(&push.event()).await.is(200, &["deferred"], &[]).because("aci-dns-image is");
    let _host = images.stage.start_queue_host().unwrap();
    pass(120).await;
    assert!(images.lines.take().iter().any(|line| line.get("outcome") == Some(&"failed".into())));
    images
        .azure
        .set_tags(&crate::world::id("web"), [("aci-dns-image".to_owned(), "restart".to_owned())].into())
        .unwrap();
    pass(LONG.as_secs()).await;
    assert!(images.runs("web", &push));
    assert_eq!(images.writes(), ["POST web/restart"]);
    assert_eq!(images.azure.messages(crate::world::QUEUE).unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_event_that_cannot_be_read_is_stored_as_text() {
    let images = Images::with_queue(&[]);
    images.event(&serde_json::json!({"id": "1"})).await.is(200, &["deferred"], &[]);
    let host = images.stage.start_queue_host().unwrap();
    pass(60).await;
    host.stop();
    let told = images.lines.take();
    assert!(told.iter().any(|line| line.get("outcome") == Some(&"malformed".into())), "{told:?}");
}

impl Images {
    async fn retry(&self, message: &Value) -> super::Done {
        drop(self.lines.take());
        self.azure.clear_calls();
        let answer = self.stage.retry(message).await;
        self.done(answer)
    }
}
