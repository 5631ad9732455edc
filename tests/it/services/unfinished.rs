//! A run of services that panics, or that takes too long, fails the invocations that share it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use aci_dns::{
    azure::{
        arm::{Arm, ArmSettings},
        http_transport::HttpTransport,
        tokens::Tokens,
    },
    config::Settings,
    functions,
    reconcile::Clock,
    replay::stage::envelope,
    telemetry::Telemetry,
};
use axum::{Router, body::Body};
use azure_simulator::{Azure, GroupSpec};
use http::Request;
use tokio::time::Instant;
use tower::ServiceExt as _;

use super::*;
use crate::world::SUBSCRIPTION;

/// An instance whose lists of container groups take so long, the first one and the others, and panic while
/// `is_panicking`.
fn instance(azure: &Azure, list_waits: [Duration; 2], is_panicking: &Arc<AtomicBool>) -> Router {
    let entry = json!({"forwardZone": FORWARD, "reverseZones": [REVERSE], "zoneResourceGroup": "rg-dns",
        "services": api()});
    let map = json!({"rg-spoke1": entry}).to_string();
    let settings = Settings::from_variables(|name| (name == "ACI_DNS_ZONES").then(|| map.clone())).unwrap();
    let (network, panicking, lists) =
        (azure.router(), Arc::clone(is_panicking), Arc::<AtomicUsize>::default());
    let http_transport = HttpTransport::embedded(tower::service_fn(move |request: Request<Body>| {
        let (network, panicking) = (network.clone(), Arc::clone(&panicking));
        let is_list = request.uri().path().ends_with("/containerGroups");
        let list_wait = list_waits[usize::from(is_list && lists.fetch_add(1, Ordering::SeqCst) > 0)];
        async move {
            if is_list {
                tokio::time::sleep(list_wait).await;
            }
            assert!(!(is_list && panicking.load(Ordering::SeqCst)), "the list panics on purpose");
            Ok::<_, io::Error>(network.oneshot(request).await.unwrap())
        }
    }));
    let watch = azure.clone();
    let arm = Arm::new(ArmSettings::of(&settings, 1), http_transport, Tokens::fixed("simulated"));
    let clock = Clock::new(move || watch.unix_seconds());
    functions::router(settings, arm, clock, &Telemetry::default())
}

async fn invoke(router: &Router, event: &Value) -> u16 {
    let body = envelope(RECONCILE, event).to_string();
    let request = Request::post(format!("/{RECONCILE}")).body(Body::from(body)).unwrap();
    router.clone().oneshot(request).await.unwrap().status().as_u16()
}

/// Three members, and their events.
fn three_members() -> (Azure, Vec<Value>) {
    let azure = Azure::default();
    azure.configure(|settings| settings.require_token = false);
    for zone in [FORWARD, REVERSE] {
        azure.create_zone(SUBSCRIPTION, "rg-dns", zone);
    }
    for name in ["v1-a", "v1-b", "v1-c"] {
        azure.create_group(GroupSpec::new("rg-spoke1", name));
    }
    let events = azure.take_events();
    (azure, events)
}

#[tokio::test(start_paused = true)]
async fn a_run_that_is_not_done_in_time_fails_each_invocation_that_waits_for_it() {
    let (azure, events) = three_members();
    let router = instance(&azure, [Duration::from_mins(1); 2], &Arc::default());
    let statuses = events.iter().zip(0..).map(async |(event, number)| {
        tokio::time::sleep(Duration::from_secs(5 * number)).await;
        invoke(&router, event).await
    });
    assert_eq!(futures::future::join_all(statuses).await, [503, 503, 503]);
}

#[tokio::test(start_paused = true)]
async fn a_member_whose_second_run_is_not_done_in_time_is_not_acknowledged() {
    let (azure, _) = three_members();
    let mut spec = GroupSpec::new("rg-spoke1", "v2-a");
    spec.provisioning = Duration::from_secs(8);
    azure.create_group(spec);
    let events = azure.take_events();
    let router = instance(&azure, [Duration::ZERO, Duration::from_mins(1)], &Arc::default());
    assert_eq!(invoke(&router, events.last().unwrap()).await, 503);
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_the_invocations_that_share_the_run_and_none_after() {
    let (azure, events) = three_members();
    let is_panicking = Arc::new(AtomicBool::new(true));
    let router = instance(&azure, [Duration::from_millis(500); 2], &is_panicking);
    let started = Instant::now();
    let statuses = futures::future::join_all(events.iter().map(|event| invoke(&router, event))).await;
    assert_eq!(statuses, [500, 500, 500]);
    assert!(started.elapsed() < Duration::from_secs(5), "no invocation waits for the deadline");
    is_panicking.store(false, Ordering::SeqCst);
    let statuses = futures::future::join_all(events.iter().map(|event| invoke(&router, event))).await;
    assert_eq!(statuses, [200, 200, 200]);
    let sets = azure.record_sets(FORWARD);
    let service = sets.iter().find(|set| set.name == "api").unwrap();
    assert_eq!(service.values.len(), 3);
}
