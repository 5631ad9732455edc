//! The preflight: one test for each kind of finding, and the whole report of the real program on a correct
//! simulated Azure and on one with every problem.

mod events;
mod zones;

use std::{
    fs,
    path::Path,
    process::{Command, Output},
    time::Duration,
};

use aci_dns::{
    config::Settings,
    doctor::{self, Diagnosis, Severity},
    replay::stage::Stage,
};
use azure_simulator::{Azure, Effect, Fault, FaultAnswer, GroupSpec, Permission, RecordSetSpec, Seed, When};
use http::Method;
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::{
    processes::{Program, exchange},
    world::{FORWARD, REVERSE, SUBSCRIPTION},
};

/// A seeded Azure: two resource groups with two container groups each, and all resources that they need.
pub(crate) fn azure() -> Azure {
    let azure = Azure::default();
    azure.seed(&Seed { groups: 4, resource_groups: 2, with_records: true, ..Seed::default() }).unwrap();
    azure
}

fn zones() -> Value {
    json!({"forwardZone": FORWARD, "reverseZones": [REVERSE], "zoneResourceGroup": "rg-dns"})
}

pub(crate) fn map() -> Value {
    json!({"rg-spoke1": zones(), "rg-spoke2": zones()})
}

async fn examine(azure: &Azure, map: &Value, settings: &[(&str, &str)]) -> Diagnosis {
    examine_for(None, azure, map, settings).await
}

pub(crate) async fn examine_for(
    principal: Option<&str>,
    azure: &Azure,
    map: &Value,
    settings: &[(&str, &str)],
) -> Diagnosis {
    let map = map.to_string();
    let settings = Settings::from_variables(|name| match name {
        "ACI_DNS_ZONES" => Some(map.clone()),
        "ACI_DNS_SUBSCRIPTIONS" => Some(SUBSCRIPTION.to_owned()),
        name => settings.iter().find(|(set, _)| *set == name).map(|(_, value)| (*value).to_owned()),
    });
    let stage = Stage::new(settings.unwrap(), azure.clone());
    stage.examine(principal, Instant::now() + Duration::from_mins(1)).await.unwrap()
}

/// Each finding: `problem: the zone ...`, with short ids.
fn reported(diagnosis: &Diagnosis) -> Vec<String> {
    let findings = diagnosis.checks.iter().flat_map(|check| &check.findings);
    let reported = findings.map(|finding| format!("{}: {}", finding.state.as_str(), finding.what));
    reported.map(|text| brief(&text)).collect()
}

fn brief(text: &str) -> String {
    let text = text.replace(&format!("/subscriptions/{SUBSCRIPTION}"), "").replace("/resourceGroups/", "/");
    ["Microsoft.Network", "Microsoft.EventGrid", "Microsoft.Web"]
        .iter()
        .fold(text, |text, provider| text.replace(&format!("/providers/{provider}/"), "/"))
}

/// The findings after a change of a correct world.
async fn check(act: impl FnOnce(&Azure), expected: &[&str]) -> Diagnosis {
    let azure = azure();
    act(&azure);
    let diagnosis = examine(&azure, &map(), &[]).await;
    assert_eq!(reported(&diagnosis), expected);
    diagnosis
}

fn zone_id(zone: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-dns/providers/Microsoft.Network/privateDnsZones/{zone}"
    )
}

fn network(resource_group: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/{resource_group}/providers/Microsoft.Network/virtualNetworks/vnet"
    )
}

fn topic(resource_group: &str) -> String {
    format!(
        "/subscriptions/{SUBSCRIPTION}/resourceGroups/{resource_group}/providers/Microsoft.EventGrid/systemTopics/aci-dns-events"
    )
}

fn event_subscription(resource_group: &str, function: &str) -> String {
    format!("{}/eventSubscriptions/aci-dns-{}", topic(resource_group), function.replace('_', "-"))
}

const RECONCILE: &str = "function_aci_reconcile";
/// The identity of the function app of a seeded world.
pub(crate) const PRINCIPAL: &str = "44444444-4444-4444-4444-444444444444";

#[tokio::test(start_paused = true)]
async fn a_correct_world_has_no_findings_and_no_writes() {
    let azure = azure();
    azure.clear_calls();
    let diagnosis = examine(&azure, &map(), &[]).await;
    assert_eq!(reported(&diagnosis), [""; 0]);
    assert_eq!((diagnosis.state(), diagnosis.count(Severity::Ok)), (Severity::Ok, 16));
    // Rights and groups of two scopes; rights of their subscription; zone, links and rights of two zones; two subnets;
    // the topics of a subscription, of which there are two, and its other event subscriptions; the record sets of two
    // zones.
    assert_eq!((diagnosis.requests, azure.calls().len()), (4 + 1 + 6 + 2 + 4 + 2, 19));
    assert_eq!(azure.calls_of(&Method::GET).len(), 19);
}

#[tokio::test(start_paused = true)]
async fn each_missing_action_is_reported_with_its_command() {
    let diagnosis = check(
        |azure| {
            let group = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-spoke2");
            let reads = Permission::new(&["*/read"], &["Microsoft.ContainerInstance/*"]);
            azure.set_permissions(&group, vec![reads]);
            let except =
                ["Microsoft.Network/privateDnsZones/A/delete", "Microsoft.Network/privateDnsZones/A/write"];
            azure.set_permissions(&zone_id(FORWARD), vec![Permission::new(&["*"], &except)]);
            azure.set_permissions(&zone_id(REVERSE), vec![Permission::new(&["*/read"], &[])]);
        },
        &[
            "not checked: a read failed: to list container groups of /rg-spoke2 needs action \
             Microsoft.ContainerInstance/containerGroups/read",
            "problem: Microsoft.ContainerInstance/containerGroups/read is missing on /rg-spoke2",
            "problem: Microsoft.Network/privateDnsZones/PTR/write is missing on 1.10.in-addr.arpa",
            "problem: Microsoft.Network/privateDnsZones/PTR/delete is missing on 1.10.in-addr.arpa",
            "problem: Microsoft.Network/privateDnsZones/A/write is missing on spoke1.contoso.internal",
            "problem: Microsoft.Network/privateDnsZones/A/delete is missing on spoke1.contoso.internal",
        ],
    )
    .await;
    let fixes: Vec<_> = diagnosis.checks[4].findings.iter().map(|finding| finding.fix.as_str()).collect();
    let role =
        "az role assignment create --assignee OBJECT_ID --role \"Private DNS Zone Contributor\" --scope ";
    assert_eq!(fixes[1], format!("{role}{}", zone_id(REVERSE)));
    assert_eq!(fixes[2], format!("{role}{}", zone_id(FORWARD)));
}

#[tokio::test(start_paused = true)]
async fn a_write_that_the_policy_forbids_needs_no_right() {
    let azure = azure();
    for zone in [FORWARD, REVERSE] {
        azure.set_permissions(&zone_id(zone), vec![Permission::new(&["*/read"], &[])]);
    }
    let diagnosis = examine(&azure, &map(), &[("ACI_DNS_POLICY", "observe")]).await;
    assert_eq!(reported(&diagnosis), ["warning: ACI_DNS_POLICY is observe"]);
}

#[tokio::test(start_paused = true)]
async fn a_forbidden_read_is_not_checked_and_names_the_action() {
    // All rights of an invocation, and no further rights of a preflight.
    let bare = Permission::new(
        &[
            "Microsoft.ContainerInstance/containerGroups/read",
            "Microsoft.Network/privateDnsZones/A/*",
            "Microsoft.Network/privateDnsZones/PTR/*",
        ],
        &[],
    );
    let azure = azure();
    azure.set_permissions(&format!("/subscriptions/{SUBSCRIPTION}"), vec![bare]);
    let mut named = vec![];
    for principal in [None, Some(PRINCIPAL)] {
        let diagnosis = examine_for(principal, &azure, &map(), &[]).await;
        assert_eq!(diagnosis.state(), Severity::NotChecked);
        named.extend(reported(&diagnosis));
    }
    let is_of_invocations =
        |action: &&str| ["containerGroups/", "/A/", "/PTR/"].iter().any(|part| action.contains(part));
    for action in doctor::READS.into_iter().filter(|action| !is_of_invocations(action)) {
        // Without visible topics and assignments, nothing below them is read.
        let leads_on =
            action.contains("systemTopics/eventSubscriptions") || action.contains("roleDefinitions");
        let is_named = named.iter().any(|text| text.ends_with(&format!("needs action {action}")));
        assert_eq!(is_named, !leads_on, "{action}: {named:#?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_rights_of_another_principal_can_be_checked() {
    let azure = azure();
    azure.clear_calls();
    let diagnosis = examine_for(Some(PRINCIPAL), &azure, &map(), &[]).await;
    let alone = |names: &str| {
        format!(
            "warning: Microsoft.ContainerInstance/containerGroups/read is granted on {names} only, not on "
        )
    };
    assert_eq!(reported(&diagnosis), [alone("rg-spoke1, rg-spoke2")]);
    assert_eq!(diagnosis.checks[4].examined, format!("2 zones, rights of {PRINCIPAL}"));
    assert_eq!(azure.calls_of(&Method::GET).len(), azure.calls().len());

    let group = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-spoke1");
    azure.take_back(PRINCIPAL, &group);
    azure.take_back(PRINCIPAL, &zone_id(FORWARD));
    azure.assign(PRINCIPAL, &format!("/subscriptions/{SUBSCRIPTION}"), Permission::new(&["*/A/read"], &[]));
    let diagnosis = examine_for(Some(PRINCIPAL), &azure, &map(), &[]).await;
    let expected = [
        "problem: Microsoft.ContainerInstance/containerGroups/read is missing on /rg-spoke1",
        &alone("rg-spoke2"),
        "problem: Microsoft.Network/privateDnsZones/A/write is missing on spoke1.contoso.internal",
        "problem: Microsoft.Network/privateDnsZones/A/delete is missing on spoke1.contoso.internal",
    ];
    assert_eq!(reported(&diagnosis), expected);
    let fix = format!("az role assignment create --assignee {PRINCIPAL} --role \"Reader\" --scope {group}");
    assert_eq!(diagnosis.checks[3].findings[0].fix, fix);
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_the_map_does_not_allow_is_reported_with_json_to_merge() {
    let azure = azure();
    let group = |number: u8| {
        let spoke = (number + 1) % 2 + 1;
        format!(
            "/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-spoke{spoke}/providers/Microsoft.ContainerInstance/\
             containerGroups/web-{number}"
        )
    };
    for (number, name) in [(1, "nexus"), (3, "portal")] {
        let tags = [("aci-dns-hostname".to_owned(), name.to_owned())].into();
        azure.set_tags(&group(number), tags).unwrap();
    }
    let mut map = map();
    map["rg-spoke1"]["hostnames"] = json!(["portal"]);
    let diagnosis = examine(&azure, &map, &[]).await;
    let finding = &diagnosis.checks[13].findings[0];
    assert_eq!(
        finding.what,
        "the tag aci-dns-hostname of 1 container group chooses a name that hostnames of the key \"rg-spoke1\" does \
         not allow: nexus (rg-spoke1/web-1)"
    );
    let (_, entry) = finding.fix.split_once("ACI_DNS_ZONES: ").unwrap();
    let entry: Value = serde_json::from_str(entry).unwrap();
    assert_eq!(entry, json!({"rg-spoke1": {"hostnames": ["nexus", "portal"]}}));
    map["rg-spoke1"]["hostnames"] = entry["rg-spoke1"]["hostnames"].clone();
    assert_eq!(reported(&examine(&azure, &map, &[]).await), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn unmarked_record_sets_are_reported_under_strict_with_json_to_merge() {
    let azure = azure();
    for (zone, kind, name, value) in [
        (FORWARD, "A", "web-1", "10.1.5.4"),
        (REVERSE, "PTR", "4.5", "web-1.spoke1.contoso.internal"),
        (FORWARD, "A", "printer", "10.1.5.88"),
    ] {
        azure.put_record_set(zone, &RecordSetSpec::new(kind, name, &[value])).unwrap();
    }
    let mut map = map();
    let diagnosis = examine(&azure, &map, &[]).await;
    let finding = &diagnosis.checks[14].findings[0];
    assert_eq!(
        finding.what,
        format!(
            "2 record sets at names and addresses of groups of the key \"rg-spoke1\" without an owner mark: \
             A web-1.{FORWARD}, PTR 4.5.{REVERSE}"
        )
    );
    let (command, entry) = finding.fix.split_once("; or merge into ACI_DNS_ZONES: ").unwrap();
    assert!(command.starts_with("aci-dns sync --adopt-only"), "{command}");
    let entry: Value = serde_json::from_str(entry).unwrap();
    assert_eq!(entry, json!({"rg-spoke1": {"ownership": "adopt"}}));
    map["rg-spoke1"]["ownership"] = entry["rg-spoke1"]["ownership"].clone();
    assert_eq!(reported(&examine(&azure, &map, &[]).await), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_key_that_matches_nothing_is_reported_with_the_nearest_name() {
    let azure = azure();
    let diagnosis = examine(&azure, &json!({"rg-spoke1": zones(), "rg-spokes2": zones()}), &[]).await;
    assert_eq!(reported(&diagnosis), ["warning: /rg-spokes2 does not exist"]);
    let fix = &diagnosis.checks[2].findings[0].fix;
    assert!(fix.starts_with("correct the key (did you mean \"rg-spoke2\"?), or"), "{fix}");
    assert!(!diagnosis.is_map_void);
    let with_pattern = json!({"rg-spoke1": zones(), "rg-spokes2": zones(), "prod-*": zones()});
    let found = reported(&examine(&azure, &with_pattern, &[]).await);
    let expected = [
        "warning: the key \"rg-spokes2\" of ACI_DNS_ZONES matches no container group; did you mean \"rg-spoke2\"?",
        "warning: the key \"prod-*\" of ACI_DNS_ZONES matches no container group",
    ];
    assert_eq!(found[..2], expected, "{found:#?}");
    let diagnosis = examine(&azure, &json!({"rg-spoke": zones()}), &[]).await;
    assert!(diagnosis.is_map_void && diagnosis.state() == Severity::Problem);
}

#[tokio::test(start_paused = true)]
async fn a_retry_queue_that_is_missing_or_refused_is_reported() {
    let azure = azure();
    let url = azure.queue_url("http://127.0.0.1:8181", "aci-dns-retry");
    azure.delete_queue("aci-dns-retry");
    let examine = async |url: &str| {
        reported(&examine(&azure, &map(), &[("ACI_DNS_RETRY_QUEUE", url)]).await).join("\n")
    };
    let missing = examine(&url).await;
    assert!(missing.contains("/aci-dns-retry does not exist"), "{missing}");
    azure.create_queue("aci-dns-retry");
    assert_eq!(examine(&url).await, "");
    azure.set_interceptor(Box::new(|call| {
        let refusal = FaultAnswer::new(403, "AuthorizationPermissionMismatch");
        call.path.ends_with("/aci-dns-retry").then(|| Effect::Answer(When::Before, refusal))
    }));
    let refused = examine(&url).await;
    assert!(refused.starts_with("not checked") && refused.contains("403"), "{refused}");
    assert!(!refused.contains("sig="), "a signature is never shown");
}

#[tokio::test(start_paused = true)]
async fn a_nearly_full_zone_is_a_warning_and_a_full_one_a_problem() {
    let fill = |azure: &Azure, from: u32, to: u32| {
        for number in from..to {
            let spec = RecordSetSpec::new("TXT", &format!("noise-{number}"), &["x"]);
            azure.put_record_set(FORWARD, &spec).unwrap();
        }
    };
    let azure = azure();
    // The SOA and the records of four groups exist already.
    fill(&azure, 0, 19_994);
    assert_eq!(reported(&examine(&azure, &map(), &[]).await), [""; 0]);
    fill(&azure, 19_994, 19_995);
    let nearly = ["warning: spoke1.contoso.internal has 20000 of 25000 record sets"];
    assert_eq!(reported(&examine(&azure, &map(), &[]).await), nearly);
    fill(&azure, 19_995, 24_995);
    let without_room = ["problem: spoke1.contoso.internal has 25000 of 25000 record sets"];
    assert_eq!(reported(&examine(&azure, &map(), &[]).await), without_room);
}

#[tokio::test(start_paused = true)]
async fn a_read_that_fails_is_not_checked() {
    let azure = azure();
    let answer = FaultAnswer::new(500, "InternalServerError");
    let effect = Effect::Answer(When::Before, answer);
    azure.inject(Fault { times: u64::MAX, ..Fault::once(Method::GET, "virtualNetworkLinks", effect) });
    let diagnosis = examine(&azure, &map(), &[]).await;
    assert_eq!((diagnosis.state(), diagnosis.count(Severity::NotChecked)), (Severity::NotChecked, 2));
    let found = reported(&diagnosis);
    assert!(
        found[0].contains("cannot list the virtual network links") && found[0].contains("status 500"),
        "{found:#?}"
    );
}

/// The real program, with these variables only.
fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aci-dns"));
    command.arg("doctor").args(arguments).env_clear().envs(variables.iter().copied()).output().unwrap()
}

/// A simulated Azure as a process.
struct Simulated {
    azure: Program,
    _folder: tempfile::TempDir,
    map: String,
}

impl Simulated {
    fn new(arguments: &[&str], map: &Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let arguments = [&["simulate", "--port", "0", "--no-token", "--with-records"], arguments].concat();
        let azure = Program::start(folder.path(), &arguments, &[]);
        Self { azure, _folder: folder, map: map.to_string() }
    }

    /// Runs requests, one on a line: method, path, and a body if there is one.
    fn play(&self, script: &str) {
        for line in script.lines().filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let mut words = line.splitn(3, ' ');
            let [method, path] = [(); 2].map(|()| words.next().unwrap());
            let body = words.next().unwrap_or_default();
            let (status, answer) = exchange(self.azure.port, method, path, "", body.as_bytes()).unwrap();
            assert!((200..300).contains(&status), "{line}: {status} {answer}");
        }
    }

    fn doctor(&self, arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String) {
        let endpoint = format!("http://127.0.0.1:{}/", self.azure.port);
        let identity = format!("{endpoint}msi/token");
        let common = [
            ("ACI_DNS_ARM_ENDPOINT", endpoint.as_str()),
            ("IDENTITY_ENDPOINT", &identity),
            ("IDENTITY_HEADER", "simulator"),
            ("ACI_DNS_ZONES", &self.map),
        ];
        let output = run(arguments, &[&common, variables].concat());
        let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
        (output.status.code(), text.replace(&format!(":{}/", self.azure.port), ":PORT/"))
    }
}

/// A large world: 2,000 groups over 20 resource groups and 3 subscriptions.
fn large() -> Simulated {
    let key =
        |number: usize| format!("00000000-0000-0000-0000-00000000000{}/rg-spoke{}", number % 3, number + 1);
    let entry = json!({
        "forwardZone": FORWARD, "reverseZones": [REVERSE],
        "zoneSubscriptionId": SUBSCRIPTION, "zoneResourceGroup": "rg-dns"
    });
    let map: Value =
        (0..20).map(|number| (key(number), entry.clone())).collect::<serde_json::Map<_, _>>().into();
    Simulated::new(&["--groups", "2000", "--resource-groups", "20", "--subscriptions", "3"], &map)
}

fn check_snapshot(name: &str, reported: &str) {
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/doctor"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, reported));
}

#[test]
fn the_whole_report_of_a_large_correct_world() {
    let world = large();
    let (code, text) = world.doctor(&[], &[]);
    check_snapshot("healthy", &text);
    assert_eq!(code, Some(0));
    let (code, text) = world.doctor(&["--output", "json", "--principal", PRINCIPAL], &[]);
    check_snapshot("healthy-json", &text);
    assert_eq!(code, Some(0));
}

#[test]
fn the_whole_report_of_a_world_with_every_problem() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/doctor/everything-wrong.txt");
    let other = json!({"forwardZone": "gone.internal", "reverseZones": [], "zoneResourceGroup": "rg-dns"});
    let map = json!({"rg-spoke1": zones(), "rg-spoke2": zones(), "rg-gone": other});
    let arguments = ["--groups", "4", "--resource-groups", "2", "--record-sets", "20000"];
    let world = Simulated::new(&arguments, &map);
    world.play(&fs::read_to_string(script).unwrap());
    let variables = [("ACI_DNS_SUBSCRIPTIONS", SUBSCRIPTION), ("ACI_DNS_POLICY", "upsert-only")];
    let (code, text) = world.doctor(&[], &variables);
    check_snapshot("everything-wrong", &text);
    assert_eq!(code, Some(3));
    let (code, text) = world.doctor(&["--output", "json"], &variables);
    check_snapshot("everything-wrong-json", &text);
    assert_eq!(code, Some(3));
}

#[test]
fn a_check_that_could_not_be_made_ends_with_1() {
    let world = Simulated::new(&["--groups", "1"], &json!({"rg-spoke1": zones()}));
    let hidden = json!({
        "scope": format!("/subscriptions/{SUBSCRIPTION}"), "actions": ["*"],
        "notActions": ["Microsoft.EventGrid/*"]
    });
    world.play(&format!("PUT /simulator/permissions {hidden}"));
    let (code, text) = world.doctor(&["--subscription", SUBSCRIPTION], &[]);
    assert_eq!(code, Some(1), "{text}");
    assert!(text.contains("needs action Microsoft.EventGrid/systemTopics/read"), "{text}");
}

#[test]
fn all_mistakes_in_settings_are_reported_together_and_end_with_2() {
    let output = run(
        &["--subscription", "a/b", "--principal", "'"],
        &[("ACI_DNS_ZONES", "{"), ("ACI_DNS_POLICY", "nothing")],
    );
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    for part in ["--principal", "--subscription", "ACI_DNS_ZONES", "ACI_DNS_POLICY"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let output = run(&[], &[("ACI_DNS_ZONES", &map().to_string())]);
    let text = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{text}");
    assert!(text.contains("ACI_DNS_SUBSCRIPTIONS"), "{text}");
}

#[test]
fn without_a_token_nothing_else_is_checked() {
    let world = Simulated::new(&["--groups", "1"], &json!({"rg-spoke1": zones()}));
    let wrong = [("IDENTITY_HEADER", "wrong"), ("ACI_DNS_SUBSCRIPTIONS", SUBSCRIPTION)];
    let (code, text) = world.doctor(&[], &wrong);
    assert_eq!(code, Some(3), "{text}");
    assert!(text.contains("problem: not permitted to get an access token"), "{text}");
    assert!(text.contains("az login") && text.contains("14 not checked, 1 problem (0 requests)"), "{text}");
}
