//! `infra` and the app agree about settings, functions and events.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::Path,
};

use aci_dns::{
    config::Settings,
    domain::event::{self, Kind},
};
use serde_json::{Value, json};

const ZONES: &str = r#"{"rg": {"forwardZone": "contoso.internal", "reverseZones": []}}"#;
/// Set by the templates, and read by the Functions host: function.json of the sweep refers to it.
const NOT_READ: [&str; 1] = ["ACI_DNS_SWEEP_SCHEDULE"];
/// Variables that the app reads and the templates do not set: the old name of `ACI_DNS_SUBSCRIPTIONS`, and
/// the variables of a proxy, because the networks of the templates have none.
const NOT_SET: [&str; 5] =
    ["ACI_DNS_SWEEP_SUBSCRIPTIONS", "HTTPS_PROXY", "NO_PROXY", "https_proxy", "no_proxy"];
const TEMPLATES: [&str; 4] =
    ["main.bicep", "types.bicep", "modules/function-app.bicep", "modules/images-app.bicep"];

fn text(file: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(file)).unwrap()
}

fn infra(file: &str) -> String {
    text(&format!("infra/{file}"))
}

/// The properties of the templates that are environment variables, each with the text after the colon.
fn settings_of_templates() -> Vec<(String, String)> {
    let is_name = |name: &str| {
        ["ACI_DNS_", "APPLICATIONINSIGHTS_", "AZURE_", "RUST_"].iter().any(|start| name.starts_with(start))
            && name.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    let templates = TEMPLATES.map(infra).concat();
    let properties = templates.lines().filter_map(|line| line.trim().split_once(':'));
    let settings = properties.filter(|(name, _)| is_name(name));
    settings.map(|(name, value)| (name.to_owned(), value.trim().to_owned())).collect()
}

/// Every variable that the app reads.
fn settings_of_app() -> BTreeSet<String> {
    let asked = RefCell::new(BTreeSet::new());
    // With one of the three settings for Log Analytics, it reads the others as well.
    let lookup = |name: &str| {
        asked.borrow_mut().insert(name.to_owned());
        (name == "ACI_DNS_LOGS_STREAM").then(|| "Custom-AciDnsDrift".to_owned())
    };
    Settings::from_variables(lookup).unwrap_err();
    asked.into_inner()
}

#[test]
fn the_templates_set_what_the_app_reads() {
    let set: BTreeSet<String> = settings_of_templates().into_iter().map(|(name, _)| name).collect();
    let read = settings_of_app();
    let only_set: Vec<_> = set.difference(&read).collect();
    assert_eq!(only_set, NOT_READ, "what the app does not read");
    let only_read: Vec<_> = read.difference(&set).collect();
    assert_eq!(only_read, NOT_SET, "what the templates do not set");
}

#[test]
fn the_app_accepts_the_words_that_the_templates_allow() {
    let takes = |name: &str, value: &str| {
        let lookup = |asked: &str| match asked {
            "ACI_DNS_ZONES" => Some(ZONES.to_owned()),
            asked => (asked == name).then(|| value.to_owned()),
        };
        Settings::from_variables(lookup).is_ok()
    };
    let mut seen = BTreeMap::new();
    for (name, value) in settings_of_templates() {
        let Some(words) = value.strip_prefix('(').and_then(|rest| rest.strip_suffix(")?")) else { continue };
        for word in words.split('|') {
            let word = word.trim().trim_matches('\'');
            assert!(takes(&name, word), "{name} {word}");
            seen.entry(name.clone()).or_insert_with(Vec::new).push(word.to_owned());
        }
        assert!(!takes(&name, "something else"), "{name}");
    }
    let words = |name: &str| seen[name].join(" ");
    assert_eq!(words("ACI_DNS_OWNERSHIP"), "adopt strict");
    assert_eq!(words("ACI_DNS_POLICY"), "sync upsert-only observe");
    assert_eq!(words("ACI_DNS_STOPPED"), "remove keep");
}

#[test]
fn the_bounds_of_numbers_are_those_of_the_app() {
    let types = infra("types.bicep");
    for (name, least, most) in [
        ("ACI_DNS_ADDRESS_WAIT_SECONDS", 0, 27),
        ("ACI_DNS_DEADLINE_SECONDS", 1, 28),
        ("ACI_DNS_MAX_CONCURRENCY", 1, 1024),
    ] {
        let declared = format!("  @minValue({least})\n  @maxValue({most})\n  {name}: int?\n");
        assert!(types.contains(&declared), "{name}");
        let takes = |number: i32| {
            let lookup = |asked: &str| match asked {
                "ACI_DNS_ZONES" => Some(ZONES.to_owned()),
                // The wait must be shorter than the deadline.
                "ACI_DNS_DEADLINE_SECONDS" if name == "ACI_DNS_ADDRESS_WAIT_SECONDS" => Some("28".to_owned()),
                asked => (asked == name).then(|| number.to_string()),
            };
            Settings::from_variables(lookup).is_ok()
        };
        assert_eq!([least - 1, least, most, most + 1].map(takes), [false, true, true, false], "{name}");
    }
}

#[test]
fn events_are_delivered_to_functions_that_handle_them() {
    let events: Value = serde_json::from_str(&infra("events.json")).unwrap();
    let functions = events["functions"].as_object().unwrap();
    let subject =
        format!("/subscriptions/s1/resourceGroups/rg{}web", events["subjectContains"].as_str().unwrap());
    for (function, types) in functions {
        let binding: Value = serde_json::from_str(&text(&format!("{function}/function.json"))).unwrap();
        assert_eq!(binding["bindings"][0]["type"], "eventGridTrigger");
        for event_type in types.as_array().unwrap() {
            let value = json!({"id": "e1", "eventType": event_type, "subject": subject});
            let [Ok(event)] = &event::read(&value)[..] else { panic!("{value} is not an event") };
            assert!(matches!(&event.kind, Kind::Ours(id) if id.name() == "web"), "{event:?}");
        }
    }
    let verbs = ["Write", "Delete", "Action"];
    let all = verbs.map(|verb| {
        ["Success", "Failure", "Cancel"].map(|end| format!("Microsoft.Resources.Resource{verb}{end}"))
    });
    // A failed or cancelled update, or deletion, can have moved the group.
    for (function, types) in functions {
        assert_eq!(types, &json!(all.concat()), "{function}");
    }
    let listed: Vec<_> = functions.keys().collect();
    assert_eq!(listed, ["function_aci_reconcile", "function_drift_tracker"]);
}

#[test]
fn the_table_of_drift_events_has_the_columns_of_the_contract() {
    let columns: Value = serde_json::from_str(&infra("drift-columns.json")).unwrap();
    let columns = columns.as_array().unwrap().iter();
    let columns: Vec<_> = columns.map(|column| column["name"].as_str().unwrap()).collect();
    assert_eq!(
        columns,
        [
            "TimeGenerated",
            "Event",
            "Kinds",
            "ContainerGroupId",
            "SubscriptionId",
            "ResourceGroup",
            "ContainerGroup",
            "Fqdn",
            "Address",
            "DnsAddresses",
            "Ptr",
            "EventId",
            "InvocationId"
        ]
    );
}
