//! The roles in `infra/role.json` contain exactly the actions that whole lives of container groups need.
//! Resource Manager requires `<type>/read`, `write` or `delete`, by the method and the last type in the path.
//!
//! Source: <https://learn.microsoft.com/azure/role-based-access-control/resource-provider-operations>.

use std::{collections::BTreeSet, fs, path::Path, time::Duration};

use aci_dns::{
    config::Policy,
    doctor::{self, rights},
    domain::dns::RecordType,
    sweep::{Stop, SweepOptions},
};
use azure_simulator::{Permission, vault_scope};
use serde_json::Value;
use tokio::time::Instant;

use crate::{
    doctor::{PRINCIPAL, azure, examine_for, map},
    secrets,
    world::{SUBSCRIPTION, World, id, pass},
};

pub(crate) type Actions = BTreeSet<String>;

/// The action that a request needs: `Microsoft.Network/privateDnsZones/A/write`.
pub(crate) fn action(method: &str, path: &str) -> String {
    let (_, resource) = path.rsplit_once("/providers/").unwrap();
    let mut segments = resource.split('/');
    let namespace = segments.next().unwrap();
    // Types and names alternate; a list ends with the type.
    let types: Vec<&str> = segments.step_by(2).collect();
    let verb = match method {
        "GET" => "read",
        "PUT" => "write",
        "DELETE" => "delete",
        "POST" => "action",
        other => panic!("{other} {path}"),
    };
    format!("{namespace}/{}/{verb}", types.join("/"))
}

/// The actions that the requests since the last call needed.
fn needed(world: &World) -> Actions {
    let actions = world.azure.calls().iter().map(|call| action(call.method.as_str(), &call.path)).collect();
    world.azure.clear_calls();
    actions
}

/// The actions that reconciler (with the sweep) and drift tracker needed, for groups in every state.
#[derive(Default)]
struct Needed {
    reconciler: Actions,
    tracker: Actions,
}

impl Needed {
    async fn look(&mut self, world: &World, group: &str) {
        world.azure.clear_calls();
        world.drift(group).await;
        self.tracker.extend(needed(world));
        world.reconcile(group).await;
        self.reconciler.extend(needed(world));
        world.drift(group).await;
        self.tracker.extend(needed(world));
    }
}

/// A sweep and its repair.
async fn sweep(world: &World) -> Actions {
    let sweeper = &world.stage.functions.sweeper;
    let deadline = Instant::now() + Duration::from_hours(1);
    world.azure.clear_calls();
    let findings = sweeper.look(SweepOptions { deadline, is_thorough: true }).await.unwrap();
    sweeper.repair(&findings.found, deadline, &Stop::never(), |_| ()).await;
    drop(world.take_lines());
    needed(world)
}

/// Creation, a move that a sweep finds, forgetting, a new name, a conflict, a takeover, a stop, a public
/// address, and the deletion.
async fn lives(settings: &[(&str, &str)]) -> Needed {
    let mut needed = Needed::default();
    let everywhere = ("ACI_DNS_SUBSCRIPTIONS", SUBSCRIPTION);
    let world = World::new(&[settings, &[everywhere]].concat());
    world.put("A taken 60 10.9.9.9");
    world.put("PTR 9.5 60 somebody.contoso.internal");
    world.create_at("web", 4);
    needed.look(&world, "web").await;
    world.move_to("web", 5);
    needed.reconciler.extend(sweep(&world).await);
    needed.look(&world, "web").await;
    pass(300).await;
    needed.look(&world, "web").await;
    world.tag("web", &[("aci-dns-hostname", "www")]);
    needed.look(&world, "web").await;
    for (name, last) in [("rg-spoke2/web", 6), ("taken", 9)] {
        world.create_at(name, last);
        needed.look(&world, name).await;
    }
    world.azure.stop_group(&id("taken")).unwrap();
    needed.look(&world, "taken").await;
    for name in ["web", "rg-spoke2/web", "taken"] {
        world.delete(name);
        needed.look(&world, name).await;
    }
    needed
}

/// The actions of a role, which grants nothing else.
pub(crate) fn granted(role: &str) -> Actions {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("infra/role.json");
    let roles: Value = serde_json::from_slice(&fs::read(path).unwrap()).unwrap();
    let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    let expected = ["containerGroups", "imageReplacements", "imageUpdates", "recordSets", "secrets"];
    assert_eq!(keys(&roles), expected);
    let kind = if role == "secrets" { "dataActions" } else { "actions" };
    let members: BTreeSet<_> = keys(&roles[role]).into_iter().collect();
    assert_eq!(members, [kind, "description", "name"].map(str::to_owned).into());
    let actions = roles[role][kind].as_array().unwrap();
    let set: Actions = actions.iter().map(|action| action.as_str().unwrap().to_owned()).collect();
    assert_eq!(set.len(), actions.len(), "an action is granted twice");
    set
}

/// The data action that a request to Key Vault needs.
///
/// Source: <https://learn.microsoft.com/azure/role-based-access-control/permissions/security#microsoftkeyvault>
fn data_action(method: &str, path: &str) -> String {
    let verb = match (method, path.trim_matches('/').split('/').count()) {
        ("GET", 2) => "getSecret",
        ("PUT", 2) => "setSecret",
        other => panic!("{other:?} {path}"),
    };
    format!("Microsoft.KeyVault/vaults/secrets/{verb}/action")
}

/// The data actions that the requests since the last call needed.
fn needed_of_vaults(world: &World) -> Actions {
    let calls = world.azure.vault_calls();
    world.azure.clear_calls();
    calls.iter().map(|call| data_action(call.method.as_str(), &call.path)).collect()
}

#[tokio::test(start_paused = true)]
async fn the_role_for_secrets_grants_exactly_the_needed_data_actions() {
    let (mut reconciler, mut tracker) = (Actions::new(), Actions::new());
    for settings in [&[][..], &[("ACI_DNS_OWNERSHIP", "strict")], &[("ACI_DNS_POLICY", "upsert-only")]] {
        let everywhere = ("ACI_DNS_SUBSCRIPTIONS", SUBSCRIPTION);
        let world = secrets::world(&[settings, &[everywhere]].concat());
        world.azure.set_secret(secrets::VAULT, "api--ip", "10.9.9.9", &[]);
        world.create_at("web", 4);
        world.create_at("api", 5);
        for step in 0..4 {
            for group in ["web", "api"] {
                world.azure.clear_calls();
                world.drift(group).await;
                tracker.extend(needed_of_vaults(&world));
                world.reconcile(group).await;
                reconciler.extend(needed_of_vaults(&world));
            }
            sweep(&world).await;
            match step {
                0 => world.move_to("web", 6),
                1 => world.azure.stop_group(&id("web")).unwrap(),
                _ => world.delete("web"),
            }
            if step > 1 {
                break;
            }
        }
    }
    assert_eq!(granted("secrets"), reconciler);
    assert_eq!(tracker, ["Microsoft.KeyVault/vaults/secrets/getSecret/action".to_owned()].into());
}

/// With exactly the role of the infrastructure, at the vault or at one secret, an address is published.
#[tokio::test(start_paused = true)]
async fn the_role_for_secrets_is_enough() {
    for secret in ["", "web--ip"] {
        let world = secrets::world(&[]);
        let none = Permission::new(&["*"], &[]);
        let data: Vec<String> = granted("secrets").into_iter().collect();
        let role = none.clone().with_data(&data.iter().map(String::as_str).collect::<Vec<_>>());
        world.azure.set_permissions(&vault_scope(secrets::VAULT, ""), vec![none]);
        world.azure.set_permissions(&vault_scope(secrets::VAULT, secret), vec![role]);
        world.create_at("web", 4);
        world.reconcile("web").await.is_status(200);
        assert_eq!(secrets::secrets(&world), ["web--ip 10.1.5.4 of web, 1"]);
    }
}

fn of_container_groups(actions: Actions) -> (Actions, Actions) {
    actions.into_iter().partition(|action| action.starts_with("Microsoft.ContainerInstance/"))
}

#[tokio::test(start_paused = true)]
async fn the_roles_grant_exactly_the_needed_actions() {
    let mut all = Actions::new();
    for settings in [&[][..], &[("ACI_DNS_OWNERSHIP", "strict")], &[("ACI_DNS_STOPPED", "keep")]] {
        let needed = lives(settings).await;
        all.extend(needed.reconciler);
        all.extend(needed.tracker);
    }
    let (container_groups, record_sets) = of_container_groups(all);
    assert_eq!(granted("containerGroups"), container_groups);
    assert_eq!(granted("recordSets"), record_sets);
}

/// What the image app needs follows from its requests, too: see the tests of images.
#[test]
fn the_roles_of_the_two_apps_share_only_the_read_of_container_groups() {
    let of_dns: Actions = granted("containerGroups").union(&granted("recordSets")).cloned().collect();
    let of_images: Actions = granted("imageUpdates").union(&granted("imageReplacements")).cloned().collect();
    let shared: Vec<_> = of_dns.intersection(&of_images).collect();
    assert_eq!(shared, ["Microsoft.ContainerInstance/containerGroups/read"]);
    let without_writes = granted("imageUpdates").into_iter().filter(|action| action.ends_with("/write"));
    assert_eq!(without_writes.count(), 0);
}

#[tokio::test(start_paused = true)]
async fn the_drift_tracker_needs_only_reads() {
    let reads = granted("containerGroups").into_iter().chain(granted("recordSets"));
    let reads: Actions = reads.filter(|action| action.ends_with("/read")).collect();
    assert_eq!(lives(&[]).await.tracker, reads);
}

#[tokio::test(start_paused = true)]
async fn the_policy_observe_needs_only_reads() {
    let needed = lives(&[("ACI_DNS_POLICY", "observe")]).await;
    assert!(needed.reconciler.iter().all(|action| action.ends_with("/read")), "{:?}", needed.reconciler);
}

/// A preflight runs with the caller's own rights, which are not part of the roles.
#[tokio::test(start_paused = true)]
async fn the_doctor_needs_exactly_the_documented_reads() {
    let azure = azure();
    azure.clear_calls();
    for principal in [None, Some(PRINCIPAL)] {
        examine_for(principal, &azure, &map(), &[]).await;
    }
    let needed: Actions = azure.calls().iter().map(|call| action(call.method.as_str(), &call.path)).collect();
    assert_eq!(needed, doctor::READS.map(str::to_owned).into());
    assert!(needed.iter().all(|action| action.ends_with("/read")), "{needed:?}");
}

#[test]
fn the_doctor_checks_exactly_the_actions_of_the_roles() {
    assert_eq!(granted("containerGroups"), rights::OF_CONTAINER_GROUPS.map(str::to_owned).into());
    let of_zones = [RecordType::A, RecordType::Ptr].map(|kind| rights::of_zone(kind, Policy::Sync));
    assert_eq!(granted("recordSets"), of_zones.concat().into_iter().collect());
}

#[test]
fn an_action_is_read_from_method_and_path() {
    let zone = "/subscriptions/s/resourceGroups/g/providers/Microsoft.Network/privateDnsZones/z";
    for (method, path, expected) in [
        ("GET", format!("{zone}/A/web"), "Microsoft.Network/privateDnsZones/A/read"),
        ("GET", format!("{zone}/PTR"), "Microsoft.Network/privateDnsZones/PTR/read"),
        ("DELETE", format!("{zone}/PTR/4.5"), "Microsoft.Network/privateDnsZones/PTR/delete"),
        ("PUT", zone.to_owned(), "Microsoft.Network/privateDnsZones/write"),
        (
            "POST",
            "/subscriptions/s/resourceGroups/g/providers/Microsoft.ContainerInstance/containerGroups/web/restart"
                .to_owned(),
            "Microsoft.ContainerInstance/containerGroups/restart/action",
        ),
        (
            "GET",
            "/subscriptions/s/providers/Microsoft.ContainerInstance/containerGroups".to_owned(),
            "Microsoft.ContainerInstance/containerGroups/read",
        ),
    ] {
        assert_eq!(action(method, &path), expected);
    }
}
