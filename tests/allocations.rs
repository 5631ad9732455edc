//! What an event costs, counted in what a clock does not disturb: how often memory is asked for.
//!
//! A binary of its own, because whoever counts takes the place of the allocator for all of it. The Azure runs in
//! another thread, whose allocations do not count; the client, its connections and its JSON do.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::{future::pending, sync::mpsc, thread, time::SystemTime};

use aci_dns::{
    azure::{
        arm::{Arm, ArmSettings},
        http_transport::HttpTransport,
        tokens::Tokens,
    },
    config::{LogFilter, Settings},
    functions,
    reconcile::Clock,
    replay::stage::{RECONCILE, envelope},
    telemetry::{self, Telemetry},
};
use allocation_counter::{AllocationInfo, measure};
use axum::{Router, body::Body};
use azure_simulator::{self as simulator, Azure, Seed};
use http::{Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use serde_json::{Value, json};
use tokio::{net::TcpListener, runtime};
use tower::ServiceExt;

/// Once everything is warm: an event after which nothing has to be written.
const MOST_ALLOCATIONS: u64 = 900;
/// What these amount to, however short each one lives. The event is kept for the message that may have to be stored.
const MOST_BYTES: u64 = 153_500;

/// Serves an Azure with one group and its records in a thread of its own. Gives the group's id and the address.
fn azure() -> (String, String) {
    let (told, heard) = mpsc::channel();
    thread::spawn(move || {
        let azure = Azure::default();
        azure.configure(|settings| settings.require_token = false);
        let ids = azure.seed(&Seed { with_records: true, ..Seed::default() }).unwrap();
        runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let url = format!("http://{}/", listener.local_addr().unwrap());
            told.send((ids.into_iter().next().unwrap(), url)).unwrap();
            simulator::serve(azure, listener, pending()).await.unwrap();
        });
    });
    heard.recv().unwrap()
}

fn handler(endpoint: &str) -> Router {
    let zone = json!({"forwardZone": "spoke1.contoso.internal", "reverseZones": ["1.10.in-addr.arpa"],
        "zoneResourceGroup": "rg-dns"});
    let settings = Settings::from_variables(|name| match name {
        "ACI_DNS_ZONES" => Some(json!({ "rg-spoke1": zone }).to_string()),
        "ACI_DNS_ARM_ENDPOINT" => Some(endpoint.to_owned()),
        _ => None,
    });
    let settings = settings.unwrap();
    let arm = Arm::new(ArmSettings::of(&settings, 1), HttpTransport::network(), Tokens::fixed("taken"));
    let now = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    functions::router(settings, arm, Clock::new(now), &Telemetry::default())
}

async fn invoke(handler: &Router, body: String) -> Value {
    let request = Request::post(format!("/{RECONCILE}"));
    let request = request.header(CONTENT_TYPE, "application/json").body(Body::from(body)).unwrap();
    let answer = handler.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap()
}

#[test]
fn a_warm_event_without_anything_to_do_asks_for_little_memory_and_keeps_none() {
    let (id, endpoint) = azure();
    let event = json!({
        "id": "event-1", "subject": id, "eventType": "Microsoft.Resources.ResourceWriteSuccess",
        "eventTime": "2026-01-01T00:00:00Z", "dataVersion": "2", "metadataVersion": "1",
        "data": {"resourceUri": id, "status": "Succeeded"},
    });
    let body = envelope(RECONCILE, &event).to_string();
    let _subscriber = tracing::subscriber::set_default(telemetry::subscriber(&LogFilter::default(), |_| ()));
    let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let handler = handler(&endpoint);
    let cost = || -> AllocationInfo {
        let body = body.clone();
        measure(|| {
            let answer = runtime.block_on(invoke(&handler, body));
            assert_eq!(
                answer.pointer("/Logs/0"),
                Some(&json!("web-1.spoke1.contoso.internal: the records name 10.1.5.4"))
            );
        })
    };
    // Connections, caches, buffers.
    for _ in 0..5 {
        cost();
    }
    let costs: Vec<_> = (0..20).map(|_| cost()).collect();
    let least = costs.iter().min_by_key(|cost| cost.count_total).unwrap();
    assert!(least.count_total <= MOST_ALLOCATIONS, "{least:?}");
    assert!(least.bytes_total <= MOST_BYTES, "{least:?}");
    let kept: i64 = costs.iter().map(|cost| cost.bytes_current).sum();
    assert!(kept < 20 * 100, "{kept} bytes are kept after 20 events");
}
