//! The address in a Key Vault secret: what is published, when, for whom, and what keeps it from that.

mod failures;
mod ownership;
mod preflight;

use aci_dns::replay::stage::RECONCILE;
use azure_simulator::{When, vault_scope};
use http::Method;
use serde_json::{Value, json};

use crate::world::{Done, FORWARD, REVERSE, SUBSCRIPTION, World, a, id, pass, ptr};

/// The vault of the map.
pub(crate) const VAULT: &str = "kv-apps";
/// Its URL.
pub(crate) const URL: &str = "https://kv-apps.vault.azure.net/";

/// A map whose resource groups have this secret.
pub(crate) fn map(secret: &Value) -> String {
    let entry = json!({"forwardZone": FORWARD, "reverseZones": [REVERSE], "zoneResourceGroup": "rg-dns",
        "hostnames": ["*"], "secret": secret});
    json!({"rg-spoke1": entry, "rg-spoke2": entry}).to_string()
}

/// A world in which every group of the entries is published.
pub(crate) fn world(settings: &[(&str, &str)]) -> World {
    world_with(&json!({"vault": URL, "name": "{group}--ip"}), settings)
}

fn world_with(secret: &Value, settings: &[(&str, &str)]) -> World {
    World::new(&[&[("ACI_DNS_ZONES", map(secret).as_str())], settings].concat())
}

/// Every secret with its value, its owner in short form, and the number of its versions.
pub(crate) fn secrets(world: &World) -> Vec<String> {
    let all = world.azure.read(|view| view.secrets(VAULT));
    let brief = all.into_iter().map(|secret| {
        let owner = secret.tags.get("aci-dns-owner").map_or("no owner", String::as_str);
        let owner = owner.strip_prefix(SUBSCRIPTION).unwrap_or(owner).trim_start_matches('/');
        let owner = owner.strip_prefix("rg-spoke1/").unwrap_or(owner);
        format!("{} {} of {owner}, {}", secret.name, secret.value, secret.versions)
    });
    brief.collect()
}

/// The requests to Key Vault since the last call: `2 GET + 1 PUT`.
fn vault_calls(world: &World) -> String {
    let calls = world.azure.vault_calls();
    world.azure.clear_calls();
    let count = |method: Method| calls.iter().filter(|call| call.method == method).count();
    let counts = [("GET", count(Method::GET)), ("PUT", count(Method::PUT))];
    assert_eq!(counts[0].1 + counts[1].1, calls.len(), "{calls:?}");
    let counts = counts.into_iter().filter(|(_, count)| *count > 0);
    counts.map(|(method, count)| format!("{count} {method}")).collect::<Vec<_>>().join(" + ")
}

/// Delivers an event and checks that both outputs are right afterwards, and that the next event writes nothing.
async fn publishes(world: &World, name: &str, last: u8, plan: &[&str]) -> Done {
    let done = world.reconcile(name).await;
    done.is(200, "changed", plan);
    world.reconcile(name).await.is(200, "converged", &[]);
    assert!(world.records().contains(&a(name, last)), "{:?}", world.records());
    done
}

#[tokio::test(start_paused = true)]
async fn without_a_secret_in_the_map_an_event_costs_no_request_and_no_client() {
    let world = World::new(&[]);
    world.create_tagged("web", &[("aci-dns-secret", "web--ip")]);
    world.azure.clear_calls();
    world.reconcile("web").await.is_status(200);
    assert_eq!(
        (world.azure.vault_calls().len(), world.stage.functions.reconciler.vaults().client_count()),
        (0, 0)
    );
    assert_eq!(world.calls(), "5 GET + 2 PUT");
}

#[tokio::test(start_paused = true)]
async fn with_a_name_every_group_of_the_entry_is_published() {
    let world = world_with(&json!({"vault": URL, "name": "{resourceGroup}-{group}"}), &[]);
    for (name, last) in [("web", 4), ("rg-spoke2/api", 5)] {
        world.create_at(name, last);
        world.reconcile(name).await.is_status(200);
    }
    assert_eq!(
        secrets(&world),
        ["rg-spoke1-web 10.1.5.4 of web, 1", "rg-spoke2-api 10.1.5.5 of rg-spoke2/api, 1"]
    );
}

#[tokio::test(start_paused = true)]
async fn without_a_name_only_groups_with_the_tag_are_published() {
    let world = world_with(&json!({ "vault": URL }), &[]);
    world.create_at("web", 4);
    world.reconcile("web").await.is_status(200);
    world.create_tagged("api", &[("aci-dns-secret", "the-api")]);
    world.move_to("api", 5);
    world.reconcile("api").await.is_status(200);
    assert_eq!(secrets(&world), ["the-api 10.1.5.5 of api, 1"]);
}

#[tokio::test(start_paused = true)]
async fn the_tag_overrides_the_name_and_false_opts_out() {
    let world = world(&[]);
    for (name, tag) in [("web", "shop"), ("api", "false")] {
        world.create_tagged(name, &[("aci-dns-secret", tag)]);
        world.reconcile(name).await.is_status(200);
    }
    let address = world.azure.group_address(&id("web")).unwrap();
    assert_eq!(secrets(&world), [format!("shop {address} of web, 1")]);
}

#[tokio::test(start_paused = true)]
async fn a_tag_never_chooses_the_vault() {
    let world = world(&[]);
    for name in ["https://kv-other.vault.azure.net/secrets/web", "kv-other/web"] {
        world.create_tagged("web", &[("aci-dns-secret", name)]);
        world.reconcile("web").await.because("the tag aci-dns-secret is");
    }
    assert_eq!(world.azure.vault_calls().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_cost_is_one_get_where_nothing_is_to_do_and_get_put_get_for_a_write() {
    let world = world(&[]);
    world.create_at("web", 4);
    let (arm, round_trips) = world.cost(RECONCILE, "web").await;
    assert_eq!((arm.as_str(), round_trips, vault_calls(&world).as_str()), ("5 GET + 2 PUT", 4, ""));
}

#[tokio::test(start_paused = true)]
async fn requests_per_event_with_and_without_a_secret() {
    for (is_published, of_vault) in
        [(false, ["", "", ""]), (true, ["2 GET + 1 PUT", "1 GET", "2 GET + 1 PUT"])]
    {
        let world = if is_published { world(&[]) } else { World::new(&[]) };
        world.create_at("web", 4);
        let mut costs = Vec::new();
        for step in ["new", "nothing to do", "moved"] {
            if step == "moved" {
                world.move_to("web", 5);
            }
            world.azure.clear_calls();
            let done = world.reconcile("web").await;
            done.is_status(200);
            let vault = world.azure.vault_calls();
            let line_says = done.line()["vault.calls"].as_u64().unwrap_or_default();
            assert_eq!(usize::try_from(line_says).unwrap(), vault.len());
            let of_arm = {
                let calls = world.azure.calls();
                let count = |method: Method| calls.iter().filter(|call| call.method == method).count();
                [count(Method::GET), count(Method::PUT), count(Method::DELETE)]
            };
            costs.push((of_arm, vault_calls(&world)));
        }
        let of_arm: Vec<_> = costs.iter().map(|(arm, _)| *arm).collect();
        assert_eq!(
            of_arm,
            [[5, 2, 0], [3, 0, 0], [6, 2, 1]],
            "a secret costs no request to Resource Manager"
        );
        let found: Vec<_> = costs.iter().map(|(_, vault)| vault.as_str()).collect();
        assert_eq!(found, of_vault);
    }
}

#[tokio::test(start_paused = true)]
async fn a_secret_alone_costs_one_more_read_of_the_group() {
    let world = world(&[]);
    world.create_at("web", 4);
    world.reconcile("web").await.is_status(200);
    world.azure.delete_secret(VAULT, "web--ip");
    world.azure.set_secret(VAULT, "web--ip", "10.9.9.9", &[]);
    world.azure.recover_secret(VAULT, "web--ip");
    world.azure.set_secret(VAULT, "web--ip", "10.9.9.9", &[]);
    world.azure.clear_calls();
    world.reconcile("web").await.is_status(200);
    let calls = world.azure.vault_calls().len();
    assert_eq!((world.calls().as_str(), calls), ("4 GET", 3));
}

#[tokio::test(start_paused = true)]
async fn there_is_one_client_per_vault() {
    let world = world(&[]);
    for name in ["web", "api", "rg-spoke2/web2"] {
        world.create(name);
        world.reconcile(name).await.is_status(200);
    }
    assert_eq!(world.stage.functions.reconciler.vaults().client_count(), 1);
}

#[tokio::test(start_paused = true)]
async fn it_is_written_only_when_the_value_or_the_owner_tag_differs() {
    let world = world(&[]);
    world.create_at("web", 4);
    let plan = [
        "+ A web.spoke1.contoso.internal 10.1.5.4",
        "+ PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal",
        "+ secret kv-apps/web--ip 10.1.5.4",
    ];
    publishes(&world, "web", 4, &plan).await;
    pass(60).await;
    for _ in 0..3 {
        world.reconcile("web").await.is(200, "converged", &[]);
    }
    assert_eq!(secrets(&world), ["web--ip 10.1.5.4 of web, 1"]);
    // Another tag of the secret is not ours to compare.
    let tags = world.azure.secret(VAULT, "web--ip").unwrap().tags;
    let owner = tags["aci-dns-owner"].clone();
    world.azure.set_secret(
        VAULT,
        "web--ip",
        "10.1.5.4",
        &[("aci-dns-owner", &owner), ("createdOn", "never")],
    );
    world.reconcile("web").await.is(200, "converged", &[]);
    world.azure.set_secret(VAULT, "web--ip", "10.1.5.4", &[]);
    let expected = format!("~ secret kv-apps/web--ip 10.1.5.4 (owner none -> {owner})");
    world.reconcile("web").await.is(200, "changed", &[&expected]);
    world.move_to("web", 6);
    let done = world.reconcile("web").await;
    assert!(done.list("plan").contains(&"~ secret kv-apps/web--ip 10.1.5.4 -> 10.1.5.6"), "{done:?}");
    assert_eq!(secrets(&world), ["web--ip 10.1.5.6 of web, 5"]);
}

#[tokio::test(start_paused = true)]
async fn it_carries_who_wrote_it_when_and_for_whom_and_the_tags_of_others_are_kept() {
    let world = world(&[]);
    world.azure.set_secret(VAULT, "web--ip", "10.9.9.9", &[("createdBy", "ACI"), ("team", "web")]);
    world.create_at("web", 4);
    pass(90).await;
    world.reconcile("web").await.is_status(200);
    let secret = world.azure.secret(VAULT, "web--ip").unwrap();
    let tags: Vec<_> = secret.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
    let owner = format!("aci-dns-owner={SUBSCRIPTION}/rg-spoke1/web");
    assert_eq!(tags, [&owner, "createdBy=aci-dns", "createdOn=2026-01-01T00:01:30Z", "team=web"]);
}

#[tokio::test(start_paused = true)]
async fn it_is_verified_after_the_write_and_another_pass_follows_a_move() {
    let world = world(&[]);
    world.create_at("web", 4);
    world.at(Method::PUT, "/secrets/web--ip", 1, |azure| {
        azure.set_address(&id("web"), crate::world::address(5)).unwrap();
    });
    world.reconcile("web").await.is_status(200);
    assert_eq!(secrets(&world), ["web--ip 10.1.5.5 of web, 2"]);
    world.has(&[&format!("{} previous=10.1.5.4@0", a("web", 5)), &ptr("web", 5)]);
}

#[tokio::test(start_paused = true)]
async fn another_pass_follows_where_another_writer_came_last() {
    let world = world(&[]);
    world.create_at("web", 4);
    // After our PUT, before the read that verifies it.
    world
        .at(Method::GET, "/secrets/web--ip/", 2, |azure| azure.set_secret(VAULT, "web--ip", "10.9.9.9", &[]));
    world.reconcile("web").await.is_status(200);
    assert_eq!(secrets(&world), ["web--ip 10.1.5.4 of web, 3"]);
}

#[tokio::test(start_paused = true)]
async fn a_writer_that_never_rests_ends_the_invocation_unavailable() {
    let world = world(&[]);
    world.create_at("web", 4);
    world.at_each(Method::GET, "/secrets/web--ip/", |azure, count| {
        if count > 1 {
            azure.set_secret(VAULT, "web--ip", "10.9.9.9", &[]);
        }
    });
    let done = world.reconcile("web").await;
    done.is_status(503);
    done.because("gave up after 5 writes of the secret");
    world.has(&[&a("web", 4), &ptr("web", 4)]);
}

#[tokio::test(start_paused = true)]
async fn a_write_whose_answer_is_lost_is_observed_not_repeated_blindly() {
    for (when, versions) in [(When::After, 1), (When::Before, 1)] {
        let world = world(&[]);
        world.create_at("web", 4);
        world.lose(Method::PUT, "/secrets/web--ip", when);
        world.reconcile("web").await.is_status(200);
        assert_eq!(secrets(&world), [format!("web--ip 10.1.5.4 of web, {versions}")]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_group_that_is_deleted_stopped_public_or_ignored_keeps_its_secret() {
    for state in ["deleted", "stopped", "public", "ignored"] {
        let world = world(&[]);
        world.create_at("web", 4);
        world.reconcile("web").await.is_status(200);
        let before = secrets(&world);
        match state {
            "deleted" => world.delete("web"),
            "stopped" => world.azure.stop_group(&id("web")).unwrap(),
            "public" => {
                world.delete("web");
                world.create_as("web", |spec| spec.ip = azure_simulator::Ip::Public);
            }
            _ => world.tag("web", &[("aci-dns-ignore", "true")]),
        }
        world.reconcile("web").await.is_status(200);
        world.reconcile("web").await.is_status(200);
        assert_eq!(secrets(&world), before, "{state}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_plan_shows_the_secret_like_a_record_set() {
    let world = world(&[("ACI_DNS_POLICY", "observe")]);
    world.create_at("web", 4);
    let records = [
        "+ A web.spoke1.contoso.internal 10.1.5.4",
        "+ PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal",
    ];
    let plan = [records[0], records[1], "+ secret kv-apps/web--ip 10.1.5.4"];
    world.reconcile("web").await.is(200, "planned", &plan);
    let owner = format!("{SUBSCRIPTION}/rg-spoke1/web");
    world.azure.set_secret(VAULT, "web--ip", "10.1.5.9", &[("aci-dns-owner", &owner)]);
    let plan = [records[0], records[1], "~ secret kv-apps/web--ip 10.1.5.9 -> 10.1.5.4"];
    world.reconcile("web").await.is(200, "planned", &plan);
    assert_eq!(secrets(&world), ["web--ip 10.1.5.9 of web, 1"]);
}

#[tokio::test(start_paused = true)]
async fn the_policy_upsert_only_publishes() {
    let world = world(&[("ACI_DNS_POLICY", "upsert-only")]);
    world.create_at("web", 4);
    world.reconcile("web").await.is_status(200);
    assert_eq!(secrets(&world), ["web--ip 10.1.5.4 of web, 1"]);
}

#[tokio::test(start_paused = true)]
async fn the_drift_tracker_reports_a_missing_secret_and_one_whose_value_or_owner_differs() {
    let world = world(&[]);
    world.create_at("web", 4);
    let kinds = async || {
        let done = world.drift("web").await;
        (done.text("drift.event").to_owned(), done.list("drift.kinds").join(" "))
    };
    let check = async |event: &str, expected: &str| {
        assert_eq!(kinds().await, (event.to_owned(), expected.to_owned()));
    };
    check("first_seen", "secret_missing").await;
    world.reconcile("web").await.is_status(200);
    check("no_change", "").await;
    let owner = format!("{SUBSCRIPTION}/rg-spoke1/web");
    world.azure.set_secret(VAULT, "web--ip", "10.1.5.9", &[("aci-dns-owner", &owner)]);
    check("drift_detected", "secret").await;
    world.azure.set_secret(VAULT, "web--ip", "10.1.5.4", &[]);
    check("drift_detected", "secret").await;
    world.azure.delete_secret(VAULT, "web--ip");
    check("drift_detected", "secret_missing").await;
    let writes = world.azure.vault_calls().into_iter().filter(|call| call.method != Method::GET);
    assert_eq!(writes.count(), 1, "the tracker writes nothing");
    world.azure.set_vault_network(VAULT, azure_simulator::VaultNetwork::Firewall);
    world.drift("web").await.is(500, "failed", &[]);
}

#[tokio::test(start_paused = true)]
async fn an_address_that_address_ranges_refuses_is_not_written_here_either() {
    let entry = json!({"forwardZone": FORWARD, "reverseZones": [REVERSE], "zoneResourceGroup": "rg-dns",
        "addressRanges": ["10.2.0.0/16"], "secret": {"vault": URL, "name": "{group}--ip"}});
    let world = World::new(&[("ACI_DNS_ZONES", &json!({"rg-spoke1": entry}).to_string())]);
    world.create_at("web", 4);
    world.reconcile("web").await.is(500, "failed", &[]).because("is outside addressRanges");
    assert_eq!(world.azure.vault_calls().len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_bad_tag_fails_the_invocation_and_leaves_dns_right() {
    let world = world(&[]);
    world.create_tagged("web", &[("aci-dns-secret", "not/a/name")]);
    world.move_to("web", 4);
    let done = world.reconcile("web").await;
    done.is_status(500);
    done.because(
        "the tag aci-dns-secret is \"not/a/name\", but must be 1 to 127 letters, digits and hyphens",
    );
    world.has(&[&a("web", 4), &ptr("web", 4)]);
    // The other way round: a bad tag for DNS leaves the secret right.
    world.create_tagged("api", &[("aci-dns-ttl", "soon")]);
    world.move_to("api", 5);
    world.reconcile("api").await.because("the tag aci-dns-ttl is");
    assert_eq!(secrets(&world), ["api--ip 10.1.5.5 of api, 1"]);
}

#[tokio::test(start_paused = true)]
async fn only_a_value_that_is_an_address_is_logged() {
    let world = world(&[]);
    world.azure.set_secret(VAULT, "web--ip", "hunter2", &[]);
    world.create_at("web", 4);
    let done = world.reconcile("web").await;
    assert!(
        done.list("plan")
            .iter()
            .any(|line| line.starts_with("~ secret kv-apps/web--ip (not an address) -> 10.1.5.4"))
    );
    assert!(!format!("{done:?}").contains("hunter2"));
}

#[tokio::test(start_paused = true)]
async fn no_other_secret_is_read() {
    let world = world(&[]);
    for name in ["password", "web", "web--ip2"] {
        world.azure.set_secret(VAULT, name, "hunter2", &[]);
    }
    world.create_at("web", 4);
    world.reconcile("web").await.is_status(200);
    world.drift("web").await.is_status(200);
    world.stage.sweep().await;
    let paths: std::collections::BTreeSet<_> = world
        .azure
        .vault_calls()
        .into_iter()
        .map(|call| call.path.trim_end_matches('/').to_owned())
        .collect();
    assert_eq!(paths.into_iter().collect::<Vec<_>>(), ["/secrets/web--ip"]);
}

#[test]
fn the_scope_of_a_role_is_the_vault_or_one_secret() {
    let vault = vault_scope(VAULT, "");
    assert_eq!(vault_scope(VAULT, "web--ip"), format!("{vault}/secrets/web--ip"));
}
