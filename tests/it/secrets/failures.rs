//! What keeps an address from its secret, what is said about it, and that DNS does not wait for it.

use std::time::Duration;

use azure_simulator::{FaultAnswer, VaultNetwork, vault_scope};
use http::Method;
use tokio::time::sleep;

use super::{VAULT, map, secrets, world};
use crate::world::{QUEUE, World, a, ptr};

const SECRET: &str = "/secrets/web--ip";

#[tokio::test(start_paused = true)]
async fn dns_does_not_wait_for_a_vault_that_does_not_answer() {
    let world = world(&[]);
    world.create_at("web", 4);
    let _gate = world.hold_all(Method::GET, SECRET);
    let delivery = world.start(&world.stage, "web");
    sleep(Duration::from_secs(1)).await;
    world.has(&[&a("web", 4), &ptr("web", 4)]);
    let done = world.done(delivery.await.unwrap());
    done.is_status(503);
    done.because("cannot read the secret kv-apps/web--ip");
}

#[tokio::test(start_paused = true)]
async fn the_secret_does_not_wait_for_zones_that_do_not_answer() {
    for zone in
        ["/privateDnsZones/spoke1.contoso.internal/A/web", "/privateDnsZones/1.10.in-addr.arpa/PTR/4.5"]
    {
        let world = world(&[]);
        world.create_at("web", 4);
        let _gate = world.hold_all(Method::GET, zone);
        let delivery = world.start(&world.stage, "web");
        sleep(Duration::from_secs(19)).await;
        if zone.contains("PTR") {
            assert_eq!(secrets(&world), ["web--ip 10.1.5.4 of web, 1"], "{zone}");
        }
        let done = world.done(delivery.await.unwrap());
        done.is_status(503);
    }
}

#[tokio::test(start_paused = true)]
async fn a_failure_of_dns_leaves_the_secret_right_and_fails_the_invocation() {
    for (path, status, code) in [
        ("/A/web", 403, "AuthorizationFailed"),
        ("/A/web", 404, "ParentResourceNotFound"),
        ("/PTR/4.5", 403, "AuthorizationFailed"),
    ] {
        let world = world(&[]);
        world.create_at("web", 4);
        world.fail(Method::GET, path, status, code);
        world.reconcile("web").await.is_status(500);
        assert_eq!(secrets(&world), ["web--ip 10.1.5.4 of web, 1"], "{path} {code}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_conflict_of_dns_leaves_the_secret_right() {
    let world = world(&[("ACI_DNS_OWNERSHIP", "strict")]);
    world.put("A web 60 10.9.9.9");
    world.create_at("web", 4);
    world.reconcile("web").await.is(409, "conflict", &["+ secret kv-apps/web--ip 10.1.5.4"]);
    assert_eq!(secrets(&world), ["web--ip 10.1.5.4 of web, 1"]);
}

#[tokio::test(start_paused = true)]
async fn both_failures_are_named_and_the_most_severe_outcome_counts() {
    let world = world(&[("ACI_DNS_OWNERSHIP", "strict")]);
    world.put("A web 60 10.9.9.9");
    world.create_at("web", 4);
    world.azure.set_vault_network(VAULT, VaultNetwork::Firewall);
    let done = world.reconcile("web").await;
    done.is(500, "failed", &[]);
    done.because("carries no owner mark").because("; and cannot read the secret kv-apps/web--ip");
}

/// An event fails with this status and reason, and leaves DNS right.
async fn fails(world: &World, status: u16, reason: &str) {
    world.create_at("web", 4);
    let done = world.reconcile("web").await;
    done.is_status(status);
    done.because(reason);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn status_403_names_the_missing_action() {
    for (action, verb) in [("getSecret", "read"), ("setSecret", "set")] {
        let world = world(&[]);
        let name = format!("Microsoft.KeyVault/vaults/secrets/{action}/action");
        world.azure.configure(|settings| settings.require_token = false);
        world.azure.deny(&vault_scope(VAULT, ""), &name);
        let reason = format!(
            "cannot {verb} the secret kv-apps/web--ip: the identity needs the data action {name} at the vault kv-apps, or at this secret"
        );
        fails(&world, 500, &reason).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_firewall_has_a_reason_of_its_own() {
    for network in [VaultNetwork::Firewall, VaultNetwork::Private] {
        let world = world(&[]);
        world.azure.set_vault_network(VAULT, network);
        fails(&world, 500, "the network rules of the vault kv-apps block this caller").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_disabled_secret_has_a_reason_of_its_own() {
    let world = world(&[]);
    world.azure.set_secret(VAULT, "web--ip", "10.9.9.9", &[]);
    world.azure.enable_secret(VAULT, "web--ip", false);
    fails(
        &world,
        500,
        "it is disabled; enable it with: az keyvault secret set-attributes --vault-name kv-apps --name web--ip --enabled true",
    )
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_soft_deleted_name_is_failed_with_the_command_that_recovers_it() {
    let world = world(&[]);
    world.azure.set_secret(VAULT, "web--ip", "10.9.9.9", &[]);
    world.azure.delete_secret(VAULT, "web--ip");
    fails(&world, 500, "recover it with: az keyvault secret recover --vault-name kv-apps --name web--ip")
        .await;
    world.azure.recover_secret(VAULT, "web--ip");
    world.reconcile("web").await.is_status(200);
    assert_eq!(secrets(&world), ["web--ip 10.1.5.4 of web, 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_throttle_and_a_deletion_under_way_are_unavailable() {
    let being_deleted = world(&[]);
    being_deleted.azure.configure(|settings| settings.vault.deleting = Duration::from_secs(30));
    being_deleted.azure.set_secret(VAULT, "web--ip", "10.9.9.9", &[]);
    being_deleted.azure.delete_secret(VAULT, "web--ip");
    fails(&being_deleted, 503, "it is being deleted").await;
    for method in [Method::GET, Method::PUT] {
        let world = world(&[]);
        world.fail_times(method, SECRET, 1, FaultAnswer::new(429, "Throttled").retry_after(7));
        fails(&world, 503, "the vault kv-apps throttles requests: status 429, Throttled").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fails_for_a_moment_is_repeated() {
    let world = world(&[]);
    world.create_at("web", 4);
    world.fail_times(Method::GET, SECRET, 2, FaultAnswer::new(503, "ServiceUnavailable"));
    world.reconcile("web").await.is_status(200);
    assert_eq!(secrets(&world), ["web--ip 10.1.5.4 of web, 1"]);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_the_vault_rejects_is_replaced_once() {
    let world = world(&[]);
    world.create_at("web", 4);
    world.fail(Method::GET, SECRET, 401, "Unauthorized");
    world.azure.clear_calls();
    world.reconcile("web").await.is_status(500);
    assert_eq!(world.azure.vault_calls().len(), 2);
}

#[tokio::test(start_paused = true)]
async fn what_the_vault_keeps_from_being_written_is_deferred() {
    let secret = serde_json::json!({"vault": super::URL, "name": "{group}--ip"});
    let world = World::with_queue(&[("ACI_DNS_ZONES", &map(&secret))]);
    world.create_at("web", 4);
    world.fail_times(Method::GET, SECRET, 1, FaultAnswer::new(429, "Throttled").retry_after(100));
    let done = world.reconcile("web").await;
    done.is_status(200);
    assert_eq!(done.text("outcome"), "deferred");
    assert!(done.text("reason").starts_with("unavailable"), "{done:?}");
    let messages = world.azure.messages(QUEUE).unwrap();
    assert!(messages[0].visible >= Duration::from_secs(100), "Retry-After counts");
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_is_known_to_be_throttled_does_not_delay_the_secret() {
    let secret = serde_json::json!({"vault": super::URL, "name": "{group}--ip"});
    let world = World::with_queue(&[("ACI_DNS_ZONES", &map(&secret))]);
    world.create_at("web", 4);
    world.create_at("api", 5);
    world.fail_times(Method::GET, "/A/", u64::MAX, FaultAnswer::new(429, "TooManyRequests").retry_after(300));
    world.reconcile("web").await;
    world.azure.clear_calls();
    let done = world.reconcile("api").await;
    assert_eq!(done.text("outcome"), "deferred");
    assert_eq!(done.list("plan"), ["+ secret kv-apps/api--ip 10.1.5.5"]);
    let zones: Vec<_> =
        world.azure.calls().into_iter().filter(|call| call.path.contains("privateDns")).collect();
    assert!(zones.is_empty(), "{zones:?}");
    assert_eq!(secrets(&world), ["api--ip 10.1.5.5 of api, 1", "web--ip 10.1.5.4 of web, 1"]);
}
