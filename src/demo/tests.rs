//! Names follow their groups, without anybody's help.

use azure_simulator::{Effect, Fault, FaultAnswer, Settings, When};
use serde_json::json;
use tracing::instrument::WithSubscriber as _;

use super::*;

const ORIGIN: &str = "http://127.0.0.1:8181";
const ZONE: &str = "spoke1.contoso.internal";

/// A demo that runs, until the test ends.
fn start(settings: Settings) -> (Azure, JoinSet<()>) {
    let azure = Azure::new(settings);
    let lines = Lines::default();
    let demo = Demo::new(&azure, 1, ORIGIN, lines.clone()).unwrap();
    let mut tasks = JoinSet::new();
    tasks.spawn(demo.run().with_subscriber(lines.subscriber(&crate::config::LogFilter::default())));
    (azure, tasks)
}

fn addresses(azure: &Azure, name: &str) -> Vec<String> {
    azure.record_set(ZONE, "A", name).map(|set| set.values).unwrap_or_default()
}

fn id(name: &str) -> String {
    format!(
        "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-spoke1/providers/\
         Microsoft.ContainerInstance/containerGroups/{name}"
    )
}

async fn seconds(seconds: u64) {
    sleep(Duration::from_secs(seconds)).await;
}

#[tokio::test(start_paused = true)]
async fn a_name_follows_its_group_through_its_life() {
    let (azure, _tasks) = start(Settings { provisioning: Duration::from_secs(5), ..Settings::default() });
    seconds(12).await;
    assert_eq!(addresses(&azure, "web-1"), ["10.1.5.4"]);
    assert!(azure.record_set("1.10.in-addr.arpa", "PTR", "4.5").is_some());
    azure.restart_group(&id("web-1")).unwrap();
    seconds(12).await;
    assert_eq!(addresses(&azure, "web-1"), [azure.group_address(&id("web-1")).unwrap().to_string()]);
    azure.stop_group(&id("web-1")).unwrap();
    seconds(12).await;
    assert_eq!(addresses(&azure, "web-1"), Vec::<String>::new());
    azure.start_group(&id("web-1")).unwrap();
    seconds(12).await;
    assert_eq!(addresses(&azure, "web-1"), [azure.group_address(&id("web-1")).unwrap().to_string()]);
    azure.delete_group(&id("web-1")).unwrap();
    seconds(12).await;
    assert!(azure.record_set(ZONE, "A", "web-1").is_none());
}

#[tokio::test(start_paused = true)]
async fn a_move_without_an_event_is_repaired_by_the_next_sweep() {
    let (azure, _tasks) = start(Settings::default());
    seconds(10).await;
    let address = azure.move_group(&id("web-1")).unwrap().unwrap().to_string();
    seconds(1).await;
    assert_ne!(addresses(&azure, "web-1"), std::slice::from_ref(&address));
    seconds(SWEEP.as_secs() + 5).await;
    assert_eq!(addresses(&azure, "web-1"), [address]);
}

#[tokio::test(start_paused = true)]
async fn what_a_fault_prevents_is_finished_through_the_retry_queue() {
    let (azure, _tasks) = start(Settings::default());
    seconds(60).await;
    let busy = Effect::Answer(When::Before, FaultAnswer::new(503, "ServiceUnavailable"));
    let fault = Fault::once(http::Method::PUT, "privateDnsZones", busy);
    let until = Some(azure.elapsed() + Duration::from_secs(30));
    azure.inject(Fault { times: u64::MAX, until, ..fault });
    azure.restart_group(&id("web-1")).unwrap();
    seconds(25).await;
    assert_ne!(addresses(&azure, "web-1"), [azure.group_address(&id("web-1")).unwrap().to_string()]);
    seconds(60).await;
    assert_eq!(addresses(&azure, "web-1"), [azure.group_address(&id("web-1")).unwrap().to_string()]);
}

#[tokio::test(start_paused = true)]
async fn event_grid_delivers_again_where_nothing_could_be_stored() {
    let (azure, _tasks) = start(Settings::default());
    seconds(60).await;
    let until = Some(azure.elapsed() + Duration::from_secs(25));
    for path in ["privateDnsZones", "aci-dns-retry/messages"] {
        let busy = Effect::Answer(When::Before, FaultAnswer::new(503, "ServiceUnavailable"));
        azure.inject(Fault {
            times: u64::MAX,
            until,
            method: None,
            ..Fault::once(http::Method::GET, path, busy)
        });
    }
    azure.restart_group(&id("web-1")).unwrap();
    seconds(24).await;
    assert_ne!(addresses(&azure, "web-1"), [azure.group_address(&id("web-1")).unwrap().to_string()]);
    seconds(70).await;
    assert_eq!(addresses(&azure, "web-1"), [azure.group_address(&id("web-1")).unwrap().to_string()]);
}

#[test]
fn the_page_shows_the_fields_of_a_log_line() {
    let line = json!({
        "outcome": "changed", "function.name": "function_aci_reconcile", "container_group.id": id("web"),
        "plan": ["+ A web.spoke1.contoso.internal 10.1.5.4"], "arm.calls": 7, "duration_ms": 12,
    });
    let shown = invocation(line.as_object().unwrap()).unwrap();
    assert_eq!(shown["group"], "rg-spoke1/web");
    assert_eq!(shown["plan"][0], "+ A web.spoke1.contoso.internal 10.1.5.4");
    assert_eq!(invocation(json!({"message": "listening"}).as_object().unwrap()), None);
}
