//! `drift`, `plan` and `sync`: the real program with an Azure in this process.
//!
//! The output of the commands is in `tests/operate` (`INSTA_UPDATE=always` updates it).

mod interrupted;
mod one_group;
mod poison;
mod reviewed;
mod walk;

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs::File,
    io::{Read as _, Write as _},
    net::Ipv4Addr,
    os::fd::OwnedFd,
    path::Path,
    process::{Child, Command},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
        mpsc,
    },
    time::Duration,
};

use azure_simulator::{Azure, Effect, FaultAnswer, Gate, GroupSpec, RecordSetSpec, RecordSetView, When};
use http::Method;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use serde_json::{Value, json};

use crate::{
    azure_server::AzureServer,
    processes::wait_for,
    world::{SUBSCRIPTION, id},
};

const FORWARD: [&str; 2] = ["spoke1.contoso.internal", "spoke2.contoso.internal"];
const REVERSE: [&str; 2] = ["1.10.in-addr.arpa", "2.10.in-addr.arpa"];

/// An Azure over HTTP, with two spokes that have zones of their own.
struct Cloud {
    azure: Azure,
    // Dropped last.
    server: AzureServer,
}

/// The result of a command.
struct Ran {
    code: i32,
    stdout: String,
    stderr: String,
}

impl Ran {
    /// The output on a terminal, except that stderr is marked.
    fn text(&self) -> String {
        let mut text = self.stdout.clone();
        for line in self.stderr.lines() {
            writeln!(text, "stderr: {line}").unwrap();
        }
        text + &format!("exit code {}\n", self.code)
    }

    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}", self.text()))
    }

    #[track_caller]
    fn ends(&self, code: i32, text: &str) {
        assert!(self.code == code && self.text().contains(text), "not {code}, {text}: {}", self.text());
    }
}

impl Cloud {
    fn new() -> Self {
        let server = AzureServer::start();
        let azure = server.azure.clone();
        for (number, range) in [(1, "10.1.5.0/24"), (2, "10.2.6.0/24")] {
            assert!(azure.set_address_range(SUBSCRIPTION, &format!("rg-spoke{number}"), range));
            azure.create_zone(SUBSCRIPTION, "rg-dns", FORWARD[number - 1]);
            azure.create_zone(SUBSCRIPTION, "rg-dns", REVERSE[number - 1]);
        }
        Self { azure, server }
    }

    /// An Azure with these groups and their records.
    fn with(names: &[&str]) -> Self {
        let cloud = Self::new();
        for name in names {
            cloud.create(name);
        }
        cloud.run(&["sync", "--yes"]).ends(0, "");
        cloud.azure.clear_calls();
        cloud
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let zones = |number: usize| {
            json!({
                "forwardZone": FORWARD[number - 1], "reverseZones": [REVERSE[number - 1]],
                "zoneResourceGroup": "rg-dns"
            })
        };
        let mut map = serde_json::Map::new();
        for number in [1, 2] {
            map.insert(format!("{SUBSCRIPTION}/rg-spoke{number}"), zones(number));
        }
        let mut command = self.server.command(&Value::Object(map).to_string(), arguments);
        command.env("ACI_DNS_OWNERSHIP", "adopt");
        command
    }

    fn run(&self, arguments: &[&str]) -> Ran {
        ran(self.command(arguments).spawn().unwrap())
    }

    fn run_with(&self, name: &str, value: &str, arguments: &[&str]) -> Ran {
        ran(self.command(arguments).env(name, value).spawn().unwrap())
    }

    /// Runs a command on a terminal with an answer.
    fn answer(&self, arguments: &[&str], answer: &str) -> Ran {
        let (mut keyboard, terminal) = terminal();
        let child = self.command(arguments).stdin(terminal).spawn().unwrap();
        keyboard.write_all(answer.as_bytes()).unwrap();
        ran(child)
    }

    /// Creates `web` in `rg-spoke1`, or `rg-spoke2/web`.
    fn create(&self, name: &str) {
        self.create_as(name, |_| ());
    }

    fn create_as(&self, name: &str, describe: impl FnOnce(&mut GroupSpec)) {
        let (resource_group, name) = name.split_once('/').unwrap_or(("rg-spoke1", name));
        let mut spec = GroupSpec::new(resource_group, name);
        describe(&mut spec);
        self.azure.create_group(spec);
    }

    fn address(&self, name: &str, address: [u8; 4]) {
        self.azure.set_address(&id(name), address.into()).unwrap();
    }

    /// Writes a record set as a person would: `A web 60 10.1.5.4`.
    fn put(&self, record_set: &str, describe: impl FnOnce(&mut RecordSetSpec)) {
        let words: Vec<&str> = record_set.split(' ').collect();
        let zone = if words[0] == "A" { FORWARD[0] } else { REVERSE[0] };
        let mut spec = RecordSetSpec::new(words[0], words[1], &words[3..]);
        spec.ttl = words[2].parse().unwrap();
        describe(&mut spec);
        self.azure.put_record_set(zone, &spec).unwrap();
    }

    /// Every record set, its version included.
    fn record_sets(&self) -> Vec<RecordSetView> {
        FORWARD.iter().chain(&REVERSE).flat_map(|zone| self.azure.record_sets(zone)).collect()
    }

    /// Every record set of ours as a line, without previous addresses.
    fn managed(&self) -> BTreeSet<String> {
        let sets = self.record_sets().into_iter();
        let ours = sets.filter(|set| set.metadata.contains_key("aci-dns-owner"));
        ours.map(|set| format!("{} {} {} {}", set.record_type, set.fqdn, set.ttl, set.values.join(",")))
            .collect()
    }

    fn writes(&self) -> usize {
        self.azure.calls().iter().filter(|call| call.method != Method::GET).count()
    }
}

fn ran(child: Child) -> Ran {
    let output = child.wait_with_output().unwrap();
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The effect of Ctrl-C.
fn interrupt(child: &Child) {
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
}

/// Both ends of a terminal.
fn terminal() -> (File, OwnedFd) {
    let keyboard = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&keyboard).unwrap();
    unlockpt(&keyboard).unwrap();
    let path = ptsname(&keyboard, vec![]).unwrap().into_string().unwrap();
    let terminal = File::options().read(true).write(true).open(path).unwrap();
    (keyboard.into(), terminal.into())
}

#[track_caller]
fn check(name: &str, reported: &[(&str, Ran)]) {
    let reported: Vec<_> =
        reported.iter().map(|(command, ran)| format!("$ {command}\n{}", ran.text())).collect();
    let mut settings = insta::Settings::clone_current();
    settings.set_snapshot_path(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/operate"));
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| insta::assert_snapshot!(name, reported.join("\n")));
}

/// An Azure with every kind of drift that a sweep reports, and with unrelated record sets.
fn drifted() -> Cloud {
    let cloud = Cloud::with(&[
        "gone",
        "misnamed",
        "moved",
        "nameless",
        "rg-spoke2/web",
        "right",
        "slow",
        "stopped",
        "tagged",
    ]);
    cloud.create("fresh");
    cloud.create("far");
    cloud.address("far", [10, 9, 0, 4]);
    cloud.create("taken");
    cloud.create("adopted");
    cloud.create("adopted-elsewhere");
    cloud.address("adopted", [10, 1, 5, 40]);
    cloud.address("adopted-elsewhere", [10, 1, 5, 41]);
    cloud.put("A taken 10 10.1.7.7", |spec| spec.is_auto_registered = true);
    cloud.put("A adopted 60 10.1.5.40", |_| ());
    cloud.put("PTR 40.5 60 adopted.spoke1.contoso.internal", |_| ());
    cloud.put("A adopted-elsewhere 60 10.1.5.99", |_| ());
    cloud.address("moved", [10, 1, 5, 30]);
    cloud.azure.stop_group(&id("stopped")).unwrap();
    cloud.azure.delete_group(&id("gone")).unwrap();
    let tags = [("aci-dns-ttl".to_owned(), "soon".to_owned())].into();
    cloud.azure.set_tags(&id("tagged"), tags).unwrap();
    for set in cloud.record_sets() {
        let edit = |change: &dyn Fn(&mut RecordSetSpec)| {
            let values: Vec<&str> = set.values.iter().map(String::as_str).collect();
            let mut spec = RecordSetSpec::new(&set.record_type, &set.name, &values);
            spec.ttl = set.ttl;
            spec.metadata.clone_from(&set.metadata);
            change(&mut spec);
            cloud.azure.put_record_set(&set.zone, &spec).unwrap();
        };
        match (&*set.record_type, set.name.as_str(), set.values.first().map_or("", String::as_str)) {
            ("A", "slow", _) => edit(&|spec| spec.ttl = 3600),
            ("PTR", _, "misnamed.spoke1.contoso.internal") => {
                edit(&|spec| spec.values = vec!["former.spoke1.contoso.internal".to_owned()]);
            }
            ("PTR", name, "nameless.spoke1.contoso.internal") => {
                assert!(cloud.azure.remove_record_set(&set.zone, "PTR", name).unwrap());
            }
            _ => {}
        }
    }
    cloud.put("PTR 77.5 60 right.spoke1.contoso.internal", |_| ());
    // The mark of a group that no entry of the map serves.
    cloud.put("A elsewhere 60 10.9.9.9", |spec| {
        let owner = format!("{SUBSCRIPTION}/rg-other/elsewhere");
        spec.metadata.insert("aci-dns-owner".to_owned(), owner);
    });
    // Foreign.
    cloud.put("PTR 88.5 60 printer.example.org", |_| ());
    cloud.put("A printer 3600 10.1.5.88", |spec| _ = spec.metadata.insert("room".to_owned(), "7".to_owned()));
    cloud.azure.clear_calls();
    cloud
}

/// The record sets that must not change, byte for byte.
fn foreign(cloud: &Cloud) -> Vec<RecordSetView> {
    let names = ["taken", "elsewhere", "printer", "88.5", "@"];
    cloud.record_sets().into_iter().filter(|set| names.contains(&&*set.name)).collect()
}

#[test]
fn drift_reports_each_kind_as_table_and_json_and_writes_nothing() {
    let cloud = drifted();
    let before = cloud.record_sets();
    let table = cloud.run(&["drift"]);
    let json = cloud.run(&["drift", "--output", "json"]);
    let groups = json.json()["groups"].as_array().unwrap().clone();
    let reported: BTreeSet<String> = groups
        .iter()
        .flat_map(|group| group["kinds"].as_array().unwrap())
        .map(|kind| kind.as_str().unwrap().to_owned())
        .collect();
    let help = cloud.run(&["drift", "--help"]).stdout;
    let (_, kinds) = help.split_once("Kinds of drift:\n").unwrap();
    let (kinds, _) = kinds.split_once("\n\n").unwrap();
    let kinds: BTreeSet<String> = kinds
        .lines()
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        // Services have tests of their own.
        .filter(|kind| !kind.is_empty() && *kind != "service")
        .map(str::to_owned)
        .collect();
    // The world of this test has neither secrets nor `addressRanges`.
    let mut reported = reported;
    reported.extend(["secret", "secret_missing", "address_refused"].map(str::to_owned));
    assert_eq!((kinds.len(), &reported), (14, &kinds));
    assert_eq!((cloud.writes(), cloud.record_sets()), (0, before));
    check("drift", &[("aci-dns drift", table), ("aci-dns drift --output json", json)]);
}

#[test]
fn plan_prints_a_diff_with_takeovers_and_writes_nothing() {
    let cloud = drifted();
    let before = cloud.record_sets();
    let plan = cloud.run(&["plan"]);
    let adopt_only = cloud.run(&["plan", "--adopt-only"]);
    assert_eq!((cloud.writes(), cloud.record_sets()), (0, before));
    check("plan", &[("aci-dns plan", plan), ("aci-dns plan --adopt-only", adopt_only)]);
}

#[test]
fn sync_adopt_only_writes_only_marks() {
    let cloud = drifted();
    let answers = |cloud: &Cloud| {
        let sets = cloud.record_sets().into_iter();
        sets.map(|set| (set.fqdn, set.record_type, set.ttl, set.values)).collect::<Vec<_>>()
    };
    let (before, others) = (answers(&cloud), foreign(&cloud));
    let first = cloud.run(&["sync", "--adopt-only", "--yes"]);
    assert_eq!((answers(&cloud), foreign(&cloud)), (before, others));
    assert!(cloud.managed().iter().any(|set| set.starts_with("A adopted.")));
    cloud.azure.clear_calls();
    let again = cloud.run(&["sync", "--adopt-only", "--yes"]);
    assert_eq!(cloud.writes(), 0);
    let command = "aci-dns sync --adopt-only --yes";
    check("sync-adopt-only", &[(command, first), (command, again)]);
}

#[test]
fn sync_needs_force_for_large_changes_and_keeps_foreign_record_sets() {
    let cloud = drifted();
    let others = foreign(&cloud);
    let refused = cloud.run(&["sync", "--yes", "--adopt"]);
    refused.ends(1, "--force");
    assert_eq!(cloud.writes(), 0);
    let forced = cloud.run(&["sync", "--yes", "--adopt", "--force"]);
    forced.ends(1, "10 repaired, 1 failed");
    cloud.azure.clear_calls();
    let again = cloud.run(&["sync", "--yes"]);
    assert_eq!((cloud.writes(), foreign(&cloud)), (0, others));
    check(
        "sync",
        &[
            ("aci-dns sync --yes --adopt", refused),
            ("aci-dns sync --yes --adopt --force", forced),
            ("aci-dns sync --yes", again),
        ],
    );
}

#[test]
fn sync_asks_and_continues_only_after_yes() {
    let cloud = Cloud::new();
    cloud.create("web");
    let without_terminal = cloud.run(&["sync"]);
    without_terminal.ends(2, "cannot ask");
    assert!(cloud.azure.calls().is_empty());
    let no = cloud.answer(&["sync"], "no\n");
    for answer in ["\n", "maybe\n", "yesterday\n", "\u{4}"] {
        cloud.answer(&["sync"], answer).ends(1, "nothing was written");
    }
    assert_eq!(cloud.writes(), 0);
    let yes = cloud.answer(&["sync"], "Y\n");
    assert_eq!(cloud.writes(), 2);
    let nothing = cloud.answer(&["sync"], "");
    nothing.ends(0, "1 correct");
    check(
        "sync-asks",
        &[
            ("aci-dns sync </dev/null", without_terminal),
            ("aci-dns sync (no)", no),
            ("aci-dns sync (Y)", yes),
            ("aci-dns sync (nothing to ask)", nothing),
        ],
    );
}

#[test]
fn an_interrupt_of_the_question_counts_as_no() {
    let cloud = Cloud::new();
    cloud.create("web");
    let (_keyboard, terminal) = terminal();
    let mut child = cloud.command(&["sync"]).stdin(terminal).spawn().unwrap();
    let mut stderr = child.stderr.take().unwrap();
    let mut reported = vec![];
    while !reported.ends_with(b"[y/N] ") {
        let mut byte = [0];
        stderr.read_exact(&mut byte).unwrap();
        reported.extend(byte);
    }
    interrupt(&child);
    stderr.read_to_end(&mut reported).unwrap();
    let ran = ran(child);
    assert_eq!((ran.code, cloud.writes()), (1, 0));
    assert!(String::from_utf8(reported).unwrap().ends_with("\nerror: nothing was written\n"));
}

#[test]
fn a_failed_list_leaves_only_its_zone_unknown() {
    let cloud = Cloud::with(&["one", "rg-spoke2/two"]);
    cloud.address("one", [10, 1, 5, 30]);
    cloud.address("rg-spoke2/two", [10, 2, 6, 30]);
    let mut reported = vec![];
    for (path, name) in
        [(FORWARD[0], "forward"), (REVERSE[0], "reverse"), ("/resourceGroups/rg-spoke1/", "groups")]
    {
        let refused = FaultAnswer::new(403, "AuthorizationFailed");
        let path = path.to_owned();
        cloud.azure.set_interceptor(Box::new(move |call| {
            call.path.contains(&path).then(|| Effect::Answer(When::Before, refused.clone()))
        }));
        let ran = cloud.run(&["drift"]);
        ran.ends(1, "1 list failed");
        reported.push((name, ran));
    }
    let json = cloud.run(&["drift", "--output", "json"]).json();
    assert_eq!(json["groups"].as_array().unwrap().len(), 1, "{json:#}");
    cloud.azure.clear_calls();
    let sync = cloud.run(&["sync", "--yes"]);
    sync.ends(1, "1 repaired");
    let is_of_spoke2 = |path: &str| path.contains(FORWARD[1]) || path.contains(REVERSE[1]);
    let writes = cloud.azure.calls().into_iter().filter(|call| call.method != Method::GET);
    assert!(writes.map(|call| call.path).all(|path| is_of_spoke2(&path)));
    reported.push(("aci-dns sync --yes (likewise)", sync));
    check("list-failed", &reported);
}

#[test]
fn drift_ends_with_0_without_drift_and_with_2_for_invalid_settings() {
    let cloud = Cloud::with(&["web"]);
    cloud.run(&["drift"]).ends(0, "1 correct");
    cloud.run(&["plan"]).ends(0, "1 correct");
    cloud.run(&["sync", "--yes"]).ends(0, "1 correct");
    cloud.run_with("ACI_DNS_POLICY", "observe", &["sync", "--yes"]).ends(2, "observe");
    cloud.run_with("ACI_DNS_ZONES", "{", &["drift"]).ends(2, "ACI_DNS_ZONES");
    cloud.run(&["drift", "--subscription", "not/one"]).ends(2, "--subscription");
    let anywhere = r#"{"rg-*": {"forwardZone": "spoke1.contoso.internal", "reverseZones": []}}"#;
    cloud.run_with("ACI_DNS_ZONES", anywhere, &["drift"]).ends(2, "ACI_DNS_SUBSCRIPTIONS");
    assert_eq!(cloud.writes(), 0);
}

#[test]
fn secrets_are_compared_planned_and_taken_over() {
    let cloud = Cloud::with(&["web", "api"]);
    let (vault, place) = ("simulator", format!("127.0.0.1:{}", cloud.server.port));
    cloud.azure.set_secret(vault, "web--ip", "10.9.9.9", &[("createdBy", "ACI")]);
    let map = json!({format!("{SUBSCRIPTION}/rg-spoke1"): {
        "forwardZone": FORWARD[0], "reverseZones": [REVERSE[0]], "zoneResourceGroup": "rg-dns",
        "ownership": "strict", "secret": {"vault": format!("http://{place}/"), "name": "{group}--ip"},
    }})
    .to_string();
    let run = |arguments: &[&str]| cloud.run_with("ACI_DNS_ZONES", &map, arguments);
    let drift = run(&["drift", "--output", "json"]);
    let kinds: Vec<_> =
        drift.json()["groups"].as_array().unwrap().iter().map(|it| it["kinds"].clone()).collect();
    assert_eq!((drift.code, kinds), (3, vec![json!(["secret_missing"]), json!(["secret"])]));
    run(&["plan"]).ends(3, &format!("+ secret {place}/api--ip "));
    run(&["plan"]).ends(3, "and ACI_DNS_OWNERSHIP is strict");
    run(&["plan", "--adopt"]).ends(3, &format!("takes over: ~ secret {place}/web--ip 10.9.9.9 -> "));
    assert_eq!(cloud.azure.secret(vault, "api--ip"), None);
    run(&["sync", "--yes", "--adopt"]).ends(0, "");
    run(&["drift"]).ends(0, "2 correct");
    for name in ["web", "api"] {
        let address = cloud.azure.group_address(&id(name)).unwrap();
        assert_eq!(cloud.azure.secret(vault, &format!("{name}--ip")).unwrap().value, address.to_string());
    }
}

#[test]
fn a_map_that_matches_nothing_is_an_error_and_a_key_that_matches_nothing_a_warning() {
    let cloud = Cloud::with(&["web"]);
    let entry = format!(
        r#"{{"forwardZone": "{}", "reverseZones": ["{}"], "zoneResourceGroup": "rg-dns"}}"#,
        FORWARD[0], REVERSE[0]
    );
    let one = format!(r#"{{"{SUBSCRIPTION}/rg-spoke1": {entry}, "{SUBSCRIPTION}/rg-spok2": {entry}}}"#);
    let none = format!(r#"{{"{SUBSCRIPTION}/rg-spok1": {entry}}}"#);
    for command in [&["drift"][..], &["plan"], &["sync", "--yes"]] {
        let warned = cloud.run_with("ACI_DNS_ZONES", &one, command);
        warned.ends(0, "warning: the key");
        warned.ends(0, "1 correct");
        let refused = cloud.run_with("ACI_DNS_ZONES", &none, command);
        refused.ends(1, "error: the key");
        refused.ends(1, r#"matches no container group; did you mean "rg-spoke1"?"#);
        cloud.run_with("ACI_DNS_ZONES", "{}", command).ends(2, "ACI_DNS_ZONES");
    }
    cloud.run_with("ACI_DNS_ZONES", &none, &["doctor"]).ends(1, "no key of ACI_DNS_ZONES matches anything");
    assert_eq!(cloud.writes(), 0);
}

/// A deployment created the record set, a script maintains it, and a tag chose the name.
#[test]
fn sync_adopt_only_marks_a_record_set_at_a_name_of_a_tag() {
    let cloud = Cloud::new();
    cloud.create("software-repositories");
    let tags = [("aci-dns-hostname".to_owned(), "nexus".to_owned())].into();
    cloud.azure.set_tags(&id("software-repositories"), tags).unwrap();
    cloud.put("A nexus 30 10.1.5.99", |_| ());
    let map = json!({format!("{SUBSCRIPTION}/rg-spoke1"): {
        "forwardZone": FORWARD[0], "reverseZones": [REVERSE[0]], "zoneResourceGroup": "rg-dns",
        "hostnames": ["nexus"]
    }});
    let map = map.to_string();
    let group = id("software-repositories");
    let event = cloud.run_with("ACI_DNS_ZONES", &map, &["sync", "--group", &group]);
    event.ends(1, "aci-dns sync --adopt");
    cloud.run_with("ACI_DNS_ZONES", &map, &["plan", "--adopt-only"]).ends(3, "takes over: ~ A nexus.");
    cloud.run_with("ACI_DNS_ZONES", &map, &["sync", "--adopt-only", "--yes"]).ends(0, "1 repaired");
    let sets = cloud.record_sets().into_iter();
    let nexus: Vec<_> =
        sets.filter(|set| set.name == "nexus" && set.metadata.contains_key("aci-dns-owner")).collect();
    assert_eq!((nexus.len(), nexus[0].ttl, &nexus[0].values[..]), (1, 30, &["10.1.5.99".to_owned()][..]));
    cloud.run_with("ACI_DNS_ZONES", &map, &["sync", "--yes"]).ends(0, "1 repaired");
}
