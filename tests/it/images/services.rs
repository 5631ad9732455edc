//! Groups of one service are updated one at a time.

use serde_json::json;

use super::{Images, LONG};
use crate::world::{SUBSCRIPTION, id, pass};

const TAGS: [(&str, &str); 2] = [("aci-dns-image", "restart"), ("aci-dns-service", "api")];
const IMAGE: &str = "demo.azurecr.io/app:v1";

async fn service(images: &Images, names: &[&str]) {
    for name in names {
        images.create_as(name, IMAGE, &TAGS, |_| ()).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_push_restarts_one_member_and_stores_the_rest() {
    let images = Images::with_queue(&[]);
    service(&images, &["api-1", "api-2", "api-3"]).await;
    let push = images.push(IMAGE);
    pass(1).await;
    let done = images.event(&push.event()).await;
    let expected = ["changed ! restart rg-spoke1/api-1 demo.azurecr.io/app:v1", "deferred", "deferred"];
    done.is(200, &expected, &["POST api-1/restart"])
        .because("another group of the service api is updated first");
    let host = images.stage.start_queue_host().unwrap();
    let mut seen = vec!["POST api-1/restart".to_owned()];
    for _ in 0..LONG.as_secs() {
        pass(1).await;
        // While one member is not settled, no other is touched.
        let writes = images.writes();
        assert!(writes.len() <= seen.len() + 1, "{writes:?}");
        seen = writes;
    }
    assert!(!host.has_ended());
    assert_eq!(images.writes(), ["POST api-1/restart", "POST api-2/restart", "POST api-3/restart"]);
    for name in ["api-1", "api-2", "api-3"] {
        assert!(images.runs(name, &push), "{name}");
    }
    assert_eq!(images.azure.messages(crate::world::QUEUE).unwrap().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_has_failed_stops_the_update_and_a_stopped_one_does_not() {
    let images = Images::new(&[]);
    service(&images, &["api-1", "api-2"]).await;
    images.azure.stop_group(&id("api-2")).unwrap();
    let push = images.push(IMAGE);
    pass(1).await;
    let done = images.event(&push.event()).await;
    done.is(
        200,
        &["changed ! restart rg-spoke1/api-1 demo.azurecr.io/app:v1", "unmanaged"],
        &["POST api-1/restart"],
    );
    pass(3600).await;
    images.create_as("api-0", "demo.azurecr.io/other:v1", &[("aci-dns-service", "api")], |_| ()).await;
    images.azure.set_provisioning_state(&id("api-0"), "Failed").unwrap();
    let done = images.deliver(IMAGE).await;
    done.is(503, &["unavailable", "unmanaged"], &[]).because("rg-spoke1/api-0, a group of the same service");
}

#[tokio::test(start_paused = true)]
async fn patterns_of_the_zone_map_count_where_it_is_set() {
    let zones = json!({format!("{SUBSCRIPTION}/rg-spoke1"): {"forwardZone": "spoke1.contoso.internal",
        "reverseZones": [], "services": {"api": {"groups": ["api-*"]}}}});
    let images = Images::new(&[("ACI_DNS_ZONES", &zones.to_string())]);
    for name in ["api-1", "api-2"] {
        images.create(name, "restart", IMAGE).await;
    }
    let push = images.push(IMAGE);
    pass(1).await;
    let done = images.event(&push.event()).await;
    let expected = ["changed ! restart rg-spoke1/api-1 demo.azurecr.io/app:v1", "unavailable"];
    done.is(503, &expected, &["POST api-1/restart"]);
}

#[tokio::test(start_paused = true)]
async fn groups_of_no_service_are_updated_together() {
    let images = Images::new(&[]);
    for name in ["web-1", "web-2"] {
        images.create(name, "restart", IMAGE).await;
    }
    let done = images.deliver(IMAGE).await;
    assert_eq!((done.answer.status, done.writes.len()), (200, 2));
}
