//! A panic in the run of services fails the invocations that share it, and ends with it.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
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

/// An instance whose lists of container groups panic while `is_panicking`.
fn instance(azure: &Azure, is_panicking: &Arc<AtomicBool>) -> Router {
    let entry = json!({"forwardZone": FORWARD, "reverseZones": [REVERSE], "zoneResourceGroup": "rg-dns",
        "services": api()});
    let map = json!({"rg-spoke1": entry}).to_string();
    let settings = Settings::from_variables(|name| (name == "ACI_DNS_ZONES").then(|| map.clone())).unwrap();
    let (network, panicking) = (azure.router(), Arc::clone(is_panicking));
    let http_transport = HttpTransport::embedded(tower::service_fn(move |request: Request<Body>| {
        let (network, panicking) = (network.clone(), Arc::clone(&panicking));
        async move {
            let is_list = request.uri().path().ends_with("/containerGroups");
            if is_list {
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
            assert!(!(is_list && panicking.load(Ordering::SeqCst)), "the list panics on purpose");
            Ok::<_, io::Error>(network.oneshot(request).await.unwrap())
        }
    }));
    let endpoint = ArmSettings {
        endpoint: settings.arm_endpoint.clone(),
        scope: settings.arm_scope.clone(),
        jitter_seed: 1,
    };
    let watch = azure.clone();
    let arm = Arm::new(endpoint, http_transport, Tokens::fixed("simulated"));
    let clock = Clock::new(move || watch.unix_seconds());
    functions::router(settings, arm, clock, &Telemetry::default())
}

async fn invoke(router: &Router, event: &Value) -> u16 {
    let body = envelope(RECONCILE, event).to_string();
    let request = Request::post(format!("/{RECONCILE}")).body(Body::from(body)).unwrap();
    router.clone().oneshot(request).await.unwrap().status().as_u16()
}

#[tokio::test(start_paused = true)]
async fn a_panic_fails_the_invocations_that_share_the_run_and_none_after() {
    let azure = Azure::default();
    azure.configure(|settings| settings.require_token = false);
    for zone in [FORWARD, REVERSE] {
        azure.create_zone(SUBSCRIPTION, "rg-dns", zone);
    }
    for name in ["v1-a", "v1-b", "v1-c"] {
        azure.create_group(GroupSpec::new("rg-spoke1", name));
    }
    let is_panicking = Arc::new(AtomicBool::new(true));
    let router = instance(&azure, &is_panicking);
    let events = azure.take_events();
    let started = Instant::now();
    let statuses = futures::future::join_all(events.iter().map(|event| invoke(&router, event))).await;
    assert_eq!(statuses, [500, 500, 500]);
    assert!(started.elapsed() < Duration::from_secs(5), "nobody waits for the deadline");
    is_panicking.store(false, Ordering::SeqCst);
    let statuses = futures::future::join_all(events.iter().map(|event| invoke(&router, event))).await;
    assert_eq!(statuses, [200, 200, 200]);
    let sets = azure.record_sets(FORWARD);
    let service = sets.iter().find(|set| set.name == "api").unwrap();
    assert_eq!(service.values.len(), 3);
}
