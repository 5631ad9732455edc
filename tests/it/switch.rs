//! `service`, `drain` and `switch`: the real program, an Azure in this process, and a handler that gets its events.

use std::{
    collections::BTreeMap,
    net::{Ipv4Addr, SocketAddr},
    process::{Child, Output},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use aci_dns::{
    config::Settings,
    replay::stage::{RECONCILE, Stage},
    resolve::{answer::QueryType, client::Client},
};
use azure_simulator::{self as simulator, Azure, DnsListeners, GroupSpec, ResolverSettings, View};
use http::Method;
use serde_json::{Value, json};
use tokio::{sync::oneshot, task::JoinHandle};

use crate::{
    azure_server::AzureServer,
    processes::wait_for,
    world::{FORWARD, REVERSE, SUBSCRIPTION, id},
};

const NETWORK: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-spoke1/providers/Microsoft.Network/virtualNetworks/vnet";

struct Cloud {
    azure: Azure,
    map: String,
    /// What clients of the service must never see.
    violations: Arc<Mutex<Vec<String>>>,
    dns: SocketAddr,
    // Dropped last.
    server: AzureServer,
}

impl Cloud {
    /// Three running members `v1-*` and three `v2-*`, all of them in the record set.
    fn new() -> Self {
        let server = AzureServer::start();
        let azure = server.azure.clone();
        let map = json!({format!("{SUBSCRIPTION}/rg-spoke1"): {
            "forwardZone": FORWARD, "reverseZones": [REVERSE], "zoneResourceGroup": "rg-dns",
            "services": {"api": {"groups": ["v*"], "ttl": 1}}
        }})
        .to_string();
        let variables = BTreeMap::from([("ACI_DNS_ZONES", map.clone())]);
        let handled = Arc::<AtomicUsize>::default();
        let count = Arc::clone(&handled);
        let dns = server.runtime.block_on(async {
            let dns = serve_dns(&azure).await;
            let settings = Settings::from_variables(|name| variables.get(name).cloned()).unwrap();
            let (stage, source) = (Stage::new(settings, azure.clone()), azure.clone());
            // Event Grid: each event to the handler.
            tokio::spawn(async move {
                loop {
                    for event in source.take_events() {
                        stage.invoke(RECONCILE, &event).await;
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            });
            dns
        });
        assert!(azure.set_address_range(SUBSCRIPTION, "rg-spoke1", "10.1.5.0/24"));
        for zone in [FORWARD, REVERSE] {
            azure.create_zone(SUBSCRIPTION, "rg-dns", zone);
            azure.link(zone, NETWORK).unwrap();
        }
        // Clients see an old answer until its TTL ends.
        azure.set_resolver(ResolverSettings { caches: true, ..ResolverSettings::default() });
        let violations = Arc::<Mutex<Vec<String>>>::default();
        let cloud = Self { azure, map, violations: Arc::clone(&violations), dns, server };
        for name in ["v1-a", "v1-b", "v1-c", "v2-a", "v2-b", "v2-c"] {
            cloud.azure.create_group(GroupSpec::new("rg-spoke1", name));
        }
        cloud.wait_for_members(6);
        wait_for("the handler", || (handled.load(Ordering::SeqCst) >= 6).then_some(()));
        cloud.azure.on_change(move |view| {
            let held = held(view);
            let groups = view.groups();
            let is_alive = |address: &String| {
                groups.iter().any(|group| group.address.is_some_and(|own| own.to_string() == *address))
            };
            if !held.iter().any(is_alive) {
                violations.lock().unwrap().push(format!("{held:?}"));
            }
        });
        cloud
    }

    /// A client that resolves the name until the returned sender is dropped. Returns the number of its answers.
    fn resolve_all_the_time(&self) -> (oneshot::Sender<()>, JoinHandle<usize>) {
        let (sender, mut stop) = oneshot::channel::<()>();
        let (azure, violations, client) =
            (self.azure.clone(), Arc::clone(&self.violations), Client::new(Some(self.dns)).unwrap());
        let task = self.server.runtime.spawn(async move {
            let mut answers = 0;
            while stop.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
                let answer = client.query(&format!("api.{FORWARD}"), QueryType::A).await.unwrap();
                let alive = azure.read(|view| {
                    let addresses = view.groups().into_iter().filter_map(|group| group.address);
                    addresses.map(|address| address.to_string()).collect::<Vec<_>>()
                });
                if !answer.values.iter().any(|value| alive.contains(value)) {
                    violations.lock().unwrap().push(format!("resolved {:?}", answer.values));
                }
                answers += 1;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            answers
        });
        (sender, task)
    }

    fn wait_for_members(&self, count: usize) {
        wait_for("the members", || self.azure.read(|view| (held(view).len() == count).then_some(())));
    }

    fn start(&self, arguments: &[&str]) -> Child {
        self.server.command(&self.map, arguments).spawn().unwrap()
    }

    /// Writes the record set of the service as another program.
    fn put(&self, address: &str) {
        let mut spec = simulator::RecordSetSpec::new("A", "api", &[address]);
        spec.ttl = 1;
        let mark = format!("service:{SUBSCRIPTION}/rg-spoke1/api");
        self.azure.put_record_set(FORWARD, &spec.with_metadata("aci-dns-owner", &mark)).unwrap();
    }

    #[track_caller]
    fn run(&self, arguments: &[&str], code: i32) -> String {
        self.outputs(arguments, code).0
    }

    /// What the command printed to stdout and stderr.
    #[track_caller]
    fn outputs(&self, arguments: &[&str], code: i32) -> (String, String) {
        let Output { status, stdout, stderr } = self.start(arguments).wait_with_output().unwrap();
        let (stdout, stderr) = (String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap());
        assert_eq!(status.code(), Some(code), "{stdout}\n{stderr}");
        (stdout, stderr)
    }

    /// The groups whose address is in the record set.
    fn members(&self) -> Vec<String> {
        self.azure.read(|view| {
            let held = held(view);
            let groups = view.groups().into_iter();
            let is_held =
                |address: Option<Ipv4Addr>| address.is_some_and(|own| held.contains(&own.to_string()));
            let mut names: Vec<_> =
                groups.filter(|group| is_held(group.address)).map(|group| group.name.clone()).collect();
            names.sort();
            names
        })
    }
}

/// Serves DNS from the zones of an Azure, and returns the address of the server.
async fn serve_dns(azure: &Azure) -> SocketAddr {
    let listeners = DnsListeners::bind(0, 1).await.unwrap();
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, listeners.port()));
    tokio::spawn(listeners.serve(azure.clone()));
    address
}

/// The addresses of the service.
fn held(view: &View<'_>) -> Vec<String> {
    let sets = view.record_sets(FORWARD).into_iter();
    sets.filter(|set| set.name == "api").flat_map(|set| set.values).collect()
}

#[test]
fn switch_moves_a_service_and_back_killed_anywhere_without_an_empty_or_dead_answer() {
    let cloud = Cloud::new();
    let writes = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&writes);
    cloud.azure.set_interceptor(Box::new(move |call| {
        if call.method == Method::PATCH {
            counted.fetch_add(1, Ordering::SeqCst);
        }
        None
    }));
    let (stop, client) = cloud.resolve_all_the_time();
    let switch = |to: &'static str| ["switch", "api", "--to", to, "--margin", "0"];
    for killed_at in 1..=2 {
        let mut child = cloud.start(&switch("v2-*"));
        wait_for("a tag", || (writes.load(Ordering::SeqCst) >= killed_at).then_some(()));
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let output = cloud.run(&switch("v2-*"), 0);
    assert_eq!(cloud.members(), ["v2-a", "v2-b", "v2-c"]);
    for name in ["v1-a", "v1-b", "v1-c"] {
        assert!(
            output.contains(&format!("az container delete --yes --resource-group rg-spoke1 --name {name}"))
        );
    }
    assert!(!output.contains("--name v2-"), "{output}");
    let output = cloud.run(&switch("v1-*"), 0);
    assert!(output.contains("--name v2-a"), "{output}");
    assert_eq!(cloud.members(), ["v1-a", "v1-b", "v1-c"]);
    // Deleted only now, so no client loses an address that it still uses.
    for name in ["v2-a", "v2-b", "v2-c"] {
        cloud.azure.delete_group(&id(name)).unwrap();
    }
    drop(stop);
    assert!(cloud.server.runtime.block_on(client).unwrap() > 100);
    assert_eq!(*cloud.violations.lock().unwrap(), [""; 0]);
}

#[test]
fn drain_waits_until_the_group_can_be_stopped_and_undo_brings_it_back() {
    let cloud = Cloud::new();
    let output = cloud.run(&["drain", "v1-a", "--wait", "--margin", "0"], 0);
    assert_eq!(output, "v1-a can be stopped or deleted\n");
    assert_eq!(cloud.members(), ["v1-b", "v1-c", "v2-a", "v2-b", "v2-c"]);
    let shown = cloud.run(&["service", "show", "api"], 0);
    let line = shown.lines().find(|line| line.contains("v1-a")).unwrap();
    assert!(line.ends_with("running, draining, not in DNS"), "{shown}");
    cloud.run(&["drain", "rg-spoke1/v1-a", "--undo"], 0);
    cloud.wait_for_members(6);
    assert!(cloud.run(&["service", "list"], 0).contains("6 of 6 members run"));
    cloud.run(&["drain", "nothing"], 1);
    cloud.run(&["switch", "api", "--to", "v9-*"], 1);
}

#[test]
fn with_a_resolver_drain_waits_until_dns_no_longer_answers_with_the_address() {
    let cloud = Cloud::new();
    let address = cloud.azure.read(|view| {
        let groups = view.groups();
        groups.iter().find(|group| group.name == "v1-a").and_then(|group| group.address).unwrap()
    });
    // A resolver that never forgets the address.
    let stale = Azure::new(simulator::Settings::default());
    stale.create_zone(SUBSCRIPTION, "rg-dns", FORWARD);
    stale.link(FORWARD, NETWORK).unwrap();
    let spec = simulator::RecordSetSpec::new("A", "api", &[&address.to_string()]);
    stale.put_record_set(FORWARD, &spec).unwrap();
    let resolver = cloud.server.runtime.block_on(serve_dns(&stale)).to_string();
    let waiting = ["drain", "v1-a", "--wait", "--margin", "0", "--timeout", "2", "--resolver"];
    let arguments: Vec<_> = waiting.into_iter().chain([resolver.as_str()]).collect();
    let (output, error) = cloud.outputs(&arguments, 1);
    assert_eq!(output, "");
    assert!(error.contains(&format!("{resolver} still answers with {address} for api.{FORWARD}")), "{error}");
    let dns = cloud.dns.to_string();
    let output = cloud.run(&["drain", "v1-a", "--wait", "--margin", "0", "--resolver", &dns], 0);
    assert_eq!(output, "v1-a can be stopped or deleted\n");
    let (_, error) = cloud.outputs(&["drain", "v1-a", "--resolver", &dns], 2);
    assert!(error.contains("--wait"), "{error}");
}

#[test]
fn drift_plan_and_sync_include_services() {
    let cloud = Cloud::new();
    cloud.put("10.1.5.200");
    cloud.run(&["service", "show", "api"], 3);
    assert!(cloud.run(&["drift"], 3).contains("service"));
    let plan = cloud.run(&["plan"], 3);
    assert!(plan.contains(&format!("~ A api.{FORWARD} 10.1.5.200 -> ")), "{plan}");
    cloud.run(&["sync", "--yes"], 0);
    assert_eq!(cloud.members().len(), 6);
    cloud.run(&["drift"], 0);
}

#[test]
fn a_reviewed_plan_has_the_changes_of_services_and_sync_makes_only_these() {
    let cloud = Cloud::new();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("plan.json");
    let plan = path.to_str().unwrap();
    cloud.put("10.1.5.200");
    cloud.run(&["plan", "--out", plan], 3);
    let written: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    let planned = &written["groups"][0];
    assert_eq!(planned["service"], "api", "{written:#}");
    assert_eq!(planned["id"], format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-spoke1"));
    // Another ETag: it was not reviewed.
    cloud.put("10.1.5.200");
    cloud.run(&["sync", plan], 1);
    assert_eq!(cloud.members(), [""; 0]);
    cloud.run(&["plan", "--out", plan], 3);
    let synced: Value = serde_json::from_str(&cloud.run(&["sync", plan, "--output", "json"], 0)).unwrap();
    assert_eq!(
        (&synced["results"][0]["service"], &synced["results"][0]["outcome"]),
        (&json!("api"), &json!("changed"))
    );
    assert_eq!(cloud.members().len(), 6);
}
