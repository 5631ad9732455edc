//! `doctor` and the sweep: what is wrong with the secrets of all groups.

use aci_dns::{
    config::Policy,
    doctor::{Diagnosis, vaults},
    sweep::{Stop, SweepOptions},
};
use azure_simulator::{Azure, Permission, VaultNetwork, vault_scope};
use http::Method;
use serde_json::{Value, json};
use std::time::Duration;
use tokio::time::Instant;

use super::{URL, VAULT, secrets, world};
use crate::{
    doctor::{PRINCIPAL, azure, examine_for, map},
    world::{SUBSCRIPTION, World, a, id},
};

fn published() -> Value {
    let mut map = map();
    for entry in map.as_object_mut().unwrap().values_mut() {
        entry["secret"] = json!({"vault": URL, "name": "{group}--ip"});
    }
    map
}

/// The findings about secrets, with what to do.
async fn examine(azure: &Azure, principal: Option<&str>) -> Vec<String> {
    let diagnosis: Diagnosis = examine_for(principal, azure, &published(), &[]).await;
    let checks = diagnosis.checks.iter().filter(|check| check.title.group == "secrets");
    let findings = checks.flat_map(|check| &check.findings);
    findings.map(|it| format!("{}: {} | {}", it.state.as_str(), it.what, it.fix)).collect()
}

fn ready() -> Azure {
    let azure = azure();
    azure.create_resource_group(SUBSCRIPTION, "rg-aci-dns");
    azure.set_vault_network(VAULT, VaultNetwork::Open);
    azure
}

#[tokio::test(start_paused = true)]
async fn doctor_has_no_finding_where_secrets_can_be_read_and_set() {
    let azure = ready();
    azure.set_secret(VAULT, "web-1--ip", "10.1.5.4", &[]);
    azure.assign(PRINCIPAL, &vault_scope(VAULT, ""), role(&["getSecret", "setSecret"]));
    azure.clear_calls();
    for principal in [None, Some(PRINCIPAL)] {
        assert_eq!(examine(&azure, principal).await, [""; 0]);
    }
    let calls: Vec<_> = azure.calls().into_iter().chain(azure.vault_calls()).collect();
    assert!(calls.iter().all(|call| call.method == Method::GET));
    let without = examine_for(None, &azure, &map(), &[]).await;
    assert!(without.checks.iter().all(|check| check.title.group != "secrets"), "no secret, no check");
}

fn role(actions: &[&str]) -> Permission {
    let data: Vec<String> =
        actions.iter().map(|it| format!("Microsoft.KeyVault/vaults/secrets/{it}/action")).collect();
    Permission::new(&[], &[]).with_data(&data.iter().map(String::as_str).collect::<Vec<_>>())
}

#[tokio::test(start_paused = true)]
async fn doctor_checks_both_rights() {
    let azure = ready();
    azure.assign(PRINCIPAL, &vault_scope(VAULT, ""), role(&["getSecret"]));
    let grant = format!(
        "az role assignment create --assignee {PRINCIPAL} --role \"Key Vault Secrets Officer\" --scope {}",
        vault_scope(VAULT, "")
    );
    let names = "web-1--ip, web-2--ip, web-3--ip, web-4--ip";
    let action = "Microsoft.KeyVault/vaults/secrets/setSecret/action";
    let expected = format!("problem: {action} is missing on the key vault kv-apps, for {names} | {grant}");
    assert_eq!(examine(&azure, Some(PRINCIPAL)).await, [expected]);
    // A role at single secrets is enough for them.
    for number in 1..=3 {
        azure.assign(PRINCIPAL, &vault_scope(VAULT, &format!("web-{number}--ip")), role(&["setSecret"]));
    }
    let expected = format!("problem: {action} is missing on the key vault kv-apps, for web-4--ip | {grant}");
    assert_eq!(examine(&azure, Some(PRINCIPAL)).await, [expected]);
    assert_eq!(vaults::of_secrets(Policy::Observe).len(), 1);
}

#[tokio::test(start_paused = true)]
async fn doctor_reports_the_firewall_and_disabled_and_soft_deleted_names() {
    let azure = ready();
    for name in ["web-1--ip", "web-2--ip"] {
        azure.set_secret(VAULT, name, "10.1.5.4", &[]);
    }
    azure.enable_secret(VAULT, "web-1--ip", false);
    azure.delete_secret(VAULT, "web-2--ip");
    let set = "az keyvault secret set-attributes --vault-name kv-apps --name web-1--ip --enabled true";
    let recover = "az keyvault secret recover --vault-name kv-apps --name web-2--ip";
    let expected = [
        format!("problem: the secret kv-apps/web-1--ip is disabled | {set}"),
        format!("problem: the secret kv-apps/web-2--ip is deleted, and its name is reserved | {recover}"),
    ];
    assert_eq!(examine(&azure, None).await, expected);
    azure.set_vault_network(VAULT, VaultNetwork::Firewall);
    let found = examine(&azure, None).await;
    let network = "warning: the network rules of the key vault kv-apps refuse callers by default";
    assert!(found[0].starts_with(network), "{found:?}");
    assert_eq!(found.len(), 5);
    assert!(
        found[1..].iter().all(|it| it.starts_with("not checked: cannot read the secret kv-apps/")),
        "{found:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn doctor_needs_one_more_read() {
    let azure = ready();
    azure.clear_calls();
    examine(&azure, None).await;
    let of_vaults: Vec<_> = azure.calls().into_iter().filter(|call| call.path.ends_with("/vaults")).collect();
    assert_eq!((of_vaults.len(), vaults::READ), (1, "Microsoft.KeyVault/vaults/read"));
    azure.deny(&format!("/subscriptions/{SUBSCRIPTION}"), vaults::READ);
    let found = examine(&azure, None).await;
    assert!(found[0].contains("needs action Microsoft.KeyVault/vaults/read"), "{found:?}");
}

async fn look(world: &World) -> aci_dns::sweep::findings::Findings {
    let deadline = Instant::now() + Duration::from_hours(1);
    world.stage.functions.sweeper.compare(SweepOptions { deadline, is_thorough: false }).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_sweep_reports_and_repairs_secrets() {
    let world = world(&[("ACI_DNS_SUBSCRIPTIONS", SUBSCRIPTION)]);
    for (name, last) in [("web", 4), ("api", 5), ("job", 6)] {
        world.create_at(name, last);
        world.reconcile(name).await.is_status(200);
    }
    assert!(look(&world).await.found.is_empty());
    let owner = format!("{SUBSCRIPTION}/rg-spoke1/web");
    world.azure.set_secret(VAULT, "web--ip", "10.1.5.9", &[("aci-dns-owner", &owner)]);
    world.azure.set_secret(VAULT, "api--ip", "10.1.5.5", &[]);
    world.azure.clear_calls();
    let findings = look(&world).await;
    let kinds: Vec<_> = findings
        .found
        .iter()
        .map(|found| {
            format!(
                "{} {:?}",
                found.id.name(),
                found.kinds().iter().map(|it| it.as_str()).collect::<Vec<_>>()
            )
        })
        .collect();
    assert_eq!(kinds, ["api [\"secret\"]", "web [\"secret\"]"]);
    assert_eq!(findings.planned(), 2);
    // Each secret once, whatever is compared with it.
    assert_eq!(world.azure.vault_calls().len(), 3);
    let text = aci_dns::sweep::findings::diff(&findings);
    assert!(text.contains("~ secret kv-apps/web--ip 10.1.5.9 -> 10.1.5.4"), "{text}");
    assert!(text.contains("Secrets: 2 to be written"), "{text}");
    let deadline = Instant::now() + Duration::from_hours(1);
    let repaired =
        world.stage.functions.sweeper.repair(&findings.found, deadline, &Stop::never(), |_| ()).await;
    assert_eq!((repaired.done, repaired.failed), (2, 0));
    assert_eq!(
        secrets(&world),
        ["api--ip 10.1.5.5 of api, 3", "job--ip 10.1.5.6 of job, 1", "web--ip 10.1.5.4 of web, 3"]
    );
    assert!(look(&world).await.found.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_vault_that_fails_is_asked_once_by_a_sweep_and_hides_no_drift_of_dns() {
    let world = world(&[("ACI_DNS_SUBSCRIPTIONS", SUBSCRIPTION)]);
    for (name, last) in [("web", 4), ("api", 5), ("job", 6)] {
        world.create_at(name, last);
        world.reconcile(name).await.is_status(200);
    }
    world.move_to("web", 7);
    world.azure.set_vault_network(VAULT, VaultNetwork::Firewall);
    world.azure.clear_calls();
    let findings = look(&world).await;
    assert_eq!(world.azure.vault_calls().len(), 1);
    assert_eq!(findings.found.len(), 3);
    let web = findings.found.iter().find(|found| found.id.name() == "web").unwrap();
    assert!(!web.changes.is_empty() && web.report.error.is_some(), "{web:?}");
    assert!(world.records().contains(&a("web", 4)), "{}", id("web"));
}
