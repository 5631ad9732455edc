//! Whose a secret is.

use aci_dns::{config::Takeover, replay::stage::RECONCILE};
use azure_simulator::{FaultAnswer, GroupSpec};
use http::Method;
use serde_json::json;

use super::{URL, VAULT, secrets, world};
use crate::world::{SUBSCRIPTION, World, a, id, ptr};

fn mark(name: &str) -> String {
    format!("{SUBSCRIPTION}/{name}")
}

#[tokio::test(start_paused = true)]
async fn a_secret_of_another_living_group_that_should_have_it_is_a_conflict() {
    // Both resource groups give their `web` the same secret; the zones would be a conflict, too.
    let map = json!({
        "rg-spoke1": {"forwardZone": "spoke1.contoso.internal", "reverseZones": ["1.10.in-addr.arpa"],
            "zoneResourceGroup": "rg-dns", "secret": {"vault": URL, "name": "{group}--ip"}},
        "rg-spoke2": {"forwardZone": "spoke2.contoso.internal", "reverseZones": [], "zoneResourceGroup": "rg-dns",
            "secret": {"vault": URL, "name": "{group}--ip"}},
    });
    let world = World::new(&[("ACI_DNS_ZONES", &map.to_string())]);
    world.azure.create_zone(SUBSCRIPTION, "rg-dns", "spoke2.contoso.internal");
    world.create_at("web", 4);
    world.reconcile("web").await.is_status(200);
    world.create_at("rg-spoke2/web", 5);
    let done = world.reconcile("rg-spoke2/web").await;
    done.is_status(409);
    let expected =
        format!("the secret kv-apps/web--ip belongs to the container group {}", mark("rg-spoke1/web"));
    done.because(&expected);
    assert_eq!(done.text("conflict.owner"), mark("rg-spoke1/web"));
    assert_eq!(secrets(&world), ["web--ip 10.1.5.4 of web, 1"]);
    // DNS of the second group is right all the same.
    assert!(
        world.records().iter().any(|record| record.starts_with("A web.spoke2.contoso.internal 60 10.1.5.5"))
    );
    // A group that is stopped lives.
    world.azure.stop_group(&id("web")).unwrap();
    world.reconcile("rg-spoke2/web").await.is_status(409);
    // One that is deleted is read twice, three seconds apart; then the secret is free.
    world.delete("web");
    world.reconcile("rg-spoke2/web").await.is_status(200);
    assert_eq!(secrets(&world), ["web--ip 10.1.5.5 of rg-spoke2/web, 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_secret_of_a_group_that_should_have_another_one_is_free() {
    let world = world(&[]);
    world.create_tagged("api", &[("aci-dns-secret", "web--ip")]);
    world.move_to("api", 9);
    world.reconcile("api").await.is_status(200);
    world.create_at("web", 4);
    world.reconcile("web").await.is(
        409,
        "conflict",
        &[
            "+ A web.spoke1.contoso.internal 10.1.5.4",
            "+ PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal",
        ],
    );
    world.tag("api", &[("aci-dns-secret", "api--ip")]);
    world.reconcile("web").await.is_status(200);
    assert_eq!(secrets(&world), ["web--ip 10.1.5.4 of web, 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_secret_of_a_group_that_cannot_be_read_or_is_not_mapped_is_a_conflict() {
    let world = world(&[]);
    let elsewhere = GroupSpec::new("rg-elsewhere", "web");
    world.azure.create_group(elsewhere);
    world.azure.set_secret(VAULT, "web--ip", "10.9.9.9", &[("aci-dns-owner", &mark("rg-elsewhere/web"))]);
    world.create_at("web", 4);
    world.reconcile("web").await.is_status(409);
    world.azure.deny(&id("x").replace("rg-spoke1", "rg-elsewhere"), "*/read");
    world.azure.deny(&format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-elsewhere"), "*/read");
    world.reconcile("web").await.is_status(409);
    assert_eq!(secrets(&world), ["web--ip 10.9.9.9 of rg-elsewhere/web, 1"]);
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_secret_without_our_tag_is_taken_over_under_adopt_if_the_map_chose_its_name() {
    let world = world(&[]);
    world.azure.set_secret(VAULT, "web--ip", "10.9.9.9", &[]);
    world.azure.set_secret(VAULT, "shop", "10.9.9.9", &[]);
    world.create_at("web", 4);
    world.reconcile("web").await.is_status(200);
    world.create_tagged("api", &[("aci-dns-secret", "shop")]);
    world.move_to("api", 5);
    let done = world.reconcile("api").await;
    done.is_status(409);
    done.because(
        "such a secret is not taken over at a name that a tag chose; to take it over, run: aci-dns sync --adopt",
    );
    assert_eq!(secrets(&world), ["shop 10.9.9.9 of no owner, 1", "web--ip 10.1.5.4 of web, 2"]);
}

#[tokio::test(start_paused = true)]
async fn a_secret_without_our_tag_is_refused_under_strict() {
    let world = world(&[("ACI_DNS_OWNERSHIP", "strict")]);
    world.azure.set_secret(VAULT, "web--ip", "10.1.5.4", &[("createdBy", "ACI")]);
    world.create_at("web", 4);
    let done = world.reconcile("web").await;
    done.is_status(409);
    done.because("carries no owner mark (tag aci-dns-owner), and ACI_DNS_OWNERSHIP is strict");
    world.has(&[&a("web", 4), &ptr("web", 4)]);
    assert_eq!(secrets(&world), ["web--ip 10.1.5.4 of no owner, 1"]);
}

#[tokio::test(start_paused = true)]
async fn sync_adopt_takes_over_the_secrets_that_the_original_sidecar_wrote() {
    let settings = [("ACI_DNS_OWNERSHIP", "strict")];
    let world = world(&settings);
    world.azure.set_secret(VAULT, "web--ip", "10.9.9.9", &[("createdBy", "ACI")]);
    world.azure.set_secret(VAULT, "shop", "10.9.9.9", &[("createdBy", "ACI")]);
    world.create_at("web", 4);
    world.create_tagged("api", &[("aci-dns-secret", "shop")]);
    world.move_to("api", 5);
    // Only the mark: a missing secret is not created, and the value stays.
    let marks = world.operated(Takeover::MarksOnly);
    for name in ["web", "api"] {
        marks.invoke(RECONCILE, &world.event(name)).await;
    }
    assert_eq!(secrets(&world), ["shop 10.9.9.9 of api, 2", "web--ip 10.9.9.9 of web, 2"]);
    let adopting = world.operated(Takeover::All);
    for name in ["web", "api"] {
        assert_eq!(adopting.invoke(RECONCILE, &world.event(name)).await.status, 200);
    }
    assert_eq!(secrets(&world), ["shop 10.1.5.5 of api, 3", "web--ip 10.1.5.4 of web, 3"]);
}

#[tokio::test(start_paused = true)]
async fn a_single_read_of_its_owner_frees_no_secret() {
    let world = world(&[]);
    world.create_tagged("api", &[("aci-dns-secret", "web--ip")]);
    world.move_to("api", 9);
    world.reconcile("api").await.is_status(200);
    world.create_at("web", 4);
    let answer = FaultAnswer::new(404, "ResourceNotFound");
    world.fail_times(Method::GET, "/containerGroups/api", 1, answer);
    world.reconcile("web").await.is_status(409);
    assert_eq!(secrets(&world), ["web--ip 10.1.5.9 of api, 1"]);
}
