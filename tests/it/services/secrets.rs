//! An entry with services and a secret: an event makes both right, and one does not keep the other from it.

use super::*;
use crate::secrets::{URL, VAULT, secrets};

/// A world with two members, each with a secret.
async fn two() -> World {
    let entry = json!({"forwardZone": FORWARD, "reverseZones": [REVERSE], "zoneResourceGroup": "rg-dns",
        "services": api(), "secret": {"vault": URL, "name": "{group}--ip"}});
    let world = World::new(&[("ACI_DNS_ZONES", &json!({"rg-spoke1": entry}).to_string())]);
    created(&world, &[("v1-a", 4), ("v1-b", 5)]).await;
    world
}

#[tokio::test(start_paused = true)]
async fn an_event_makes_services_and_secrets_right() {
    let world = two().await;
    assert_eq!(held(&world), "4 5");
    assert_eq!(secrets(&world), ["v1-a--ip 10.1.5.4 of v1-a, 1", "v1-b--ip 10.1.5.5 of v1-b, 1"]);
    world.reconcile("v1-a").await.is(200, "converged", &[]);
    world.move_to("v1-a", 6);
    let done = world.reconcile("v1-a").await;
    done.is_status(200);
    let plan = done.list("plan");
    assert!(plan.contains(&line("~ 10.1.5.4 10.1.5.5 -> 10.1.5.5 10.1.5.6").as_str()), "{plan:?}");
    assert_eq!(held(&world), "5 6");
    assert_eq!(secrets(&world)[0], "v1-a--ip 10.1.5.6 of v1-a, 2");
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_cannot_be_written_does_not_keep_the_address_out_of_the_service() {
    let world = two().await;
    world.azure.set_vault_network(VAULT, azure_simulator::VaultNetwork::Firewall);
    world.create_at("v1-c", 6);
    world.reconcile("v1-c").await.is_status(500);
    assert_eq!(held(&world), "4 5 6");
}

#[tokio::test(start_paused = true)]
async fn the_drift_tracker_reports_the_secret_and_the_service_together() {
    let world = two().await;
    let done = world.drift("v1-a").await;
    assert_eq!((done.text("drift.event"), done.list("drift.kinds")), ("no_change", vec![]));
    world.put("A api 20 10.1.5.4 owner=service:api");
    world.azure.delete_secret(VAULT, "v1-a--ip");
    let done = world.drift("v1-a").await;
    assert_eq!(done.text("drift.event"), "drift_detected");
    assert_eq!(done.list("drift.kinds"), ["secret_missing", "service"]);
    assert!(done.text("message").ends_with("drift_detected (secret_missing, service)"), "{}", done.line());
    assert_eq!(done.line()["vault.calls"], 1);
    // Without the secret there is no verdict, and the error stays.
    world.azure.set_vault_network(VAULT, azure_simulator::VaultNetwork::Firewall);
    let done = world.drift("v1-a").await;
    done.is(500, "failed", &[]).because("v1-a--ip");
    assert!(done.line().get("drift.event").is_none(), "{}", done.line());
}
