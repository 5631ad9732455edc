//! The settings of the real program: what it refuses, its messages at the start, and the lines that it always
//! writes.

use std::{
    fs,
    process::{Command, Stdio},
};

use aci_dns::replay::stage::{RECONCILE, envelope};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::{
    processes::{Program, exchange, wait_for},
    world::{SUBSCRIPTION, id},
};

const ZONES: &str = r#"{"rg-spoke1": {"forwardZone": "spoke1.contoso.internal", "reverseZones": []}}"#;

/// The output of `serve` if it does not start, and its exit code.
fn refusal(variables: &[(&str, &str)]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_aci-dns"))
        .args(["serve", "--port", "0"])
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), b"".as_slice()), "{variables:?}");
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn a_value_that_was_changed_on_its_way_is_reported() {
    for (zones, expected) in [
        (
            "@Microsoft.KeyVault(SecretUri=https://kv-example.vault.azure.net/secrets/zones/)",
            "was not resolved",
        ),
        (
            "@Microsoft.AppConfiguration(Endpoint=https://ac-example.azconfig.io; Key=zones)",
            "was not resolved",
        ),
        ("{rg-spoke1: {forwardZone: spoke1.contoso.internal, reverseZones: []}}", "has no double quotes"),
        (r#""{\"rg-spoke1\": {\"forwardZone\": \"a.b\", \"reverseZones\": []}}""#, "inside a JSON string"),
        (r#"{"rg-spoke1": {"forwardZone": "corp", "reverseZones": []}}"#, "names of 2 to 34 labels"),
        ("{}", "nothing would be managed"),
    ] {
        let said = refusal(&[("ACI_DNS_ZONES", zones)]);
        assert!(said.contains("\n  ACI_DNS_ZONES") && said.contains(expected), "{said}");
    }
    for filter in ["Information", "Warning", "None", "Verbose", "info;hyper=warn", "aci-dns=info", "2"] {
        let said = refusal(&[("ACI_DNS_ZONES", ZONES), ("RUST_LOG", filter)]);
        assert!(
            said.contains("\n  RUST_LOG: ") && said.contains("error") || said.contains("commas"),
            "{said}"
        );
    }
    let said = refusal(&[("ACI_DNS_ZONES", ZONES), ("ACI_DNS_POLICE", "observe")]);
    assert!(said.contains("ACI_DNS_POLICE: is not a setting; did you mean ACI_DNS_POLICY?"), "{said}");
}

/// The lines that a program has written so far.
fn lines(program: &Program) -> Vec<Value> {
    program.stdout().lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn an_unknown_setting_is_an_error_line_and_an_old_name_a_warning() {
    let folder = tempdir().unwrap();
    let zones = folder.path().join("zones.json");
    let text: Vec<u8> = format!("\u{feff}{ZONES}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    fs::write(&zones, text).unwrap();
    let variables = [
        ("ACI_DNS_ZONES", format!("@{}", zones.display())),
        ("ACI_DNS_NEWER", "1".to_owned()),
        ("ACI_DNS_SWEEP_SUBSCRIPTIONS", SUBSCRIPTION.to_owned()),
    ];
    let variables = variables.each_ref().map(|(name, value)| (*name, value.as_str()));
    let program = Program::start(folder.path(), &["serve", "--port", "0"], &variables);
    let said: Vec<_> = lines(&program)
        .iter()
        .map(|line| format!("{}: {}", line["level"].as_str().unwrap(), line["message"].as_str().unwrap()))
        .collect();
    assert_eq!(
        said,
        [
            "error: ACI_DNS_NEWER is not a setting of this version, and is ignored",
            "warn: ACI_DNS_SWEEP_SUBSCRIPTIONS is the old name of ACI_DNS_SUBSCRIPTIONS; rename it",
            "info: listening",
        ]
    );
    let mut event = json!({
        "id": "1", "eventType": "Microsoft.Resources.ResourceWriteSuccess",
        "subject": id("web").replace(SUBSCRIPTION, "00000000-0000-0000-0000-00000000000f"),
    });
    let post = |event: &Value| {
        let body = envelope(RECONCILE, event).to_string();
        exchange(program.port, "POST", "/function_aci_reconcile", "", body.as_bytes()).unwrap()
    };
    let (status, body) = post(&event);
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("ACI_DNS_SUBSCRIPTIONS does not list its subscription"), "{body}");
    event["subject"] = json!(id("rg-other/web"));
    let (status, body) = post(&event);
    assert_eq!(status, 200, "{body}");
    assert!(body.contains("no key of ACI_DNS_ZONES matches its resource group"), "{body}");
}

#[test]
fn the_filter_cannot_hide_a_failed_event() {
    let folder = tempdir().unwrap();
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let wanted = free.to_string();
    let azure =
        Program::start(folder.path(), &["simulate", "--port", "0", "--groups", "1", "--no-token"], &[]);
    let endpoint = format!("http://127.0.0.1:{}/", azure.port);
    let variables = [
        (
            "ACI_DNS_ZONES",
            r#"{"rg-spoke1": {"forwardZone": "missing.contoso.internal", "reverseZones": []}}"#,
        ),
        ("RUST_LOG", "off"),
        ("ACI_DNS_ARM_ENDPOINT", &endpoint),
        ("IDENTITY_ENDPOINT", &format!("{endpoint}msi/token")),
        ("IDENTITY_HEADER", "simulator"),
    ];
    let program = Program::silent(folder.path(), &["serve", "--port", &wanted], &variables, free);
    let event = |name: &str| {
        json!({
            "id": name, "eventType": "Microsoft.Resources.ResourceWriteSuccess", "subject": id(name),
        })
    };
    let post = |event: &Value| {
        let body = envelope(RECONCILE, event).to_string();
        exchange(program.port, "POST", "/function_aci_reconcile", "", body.as_bytes()).unwrap().0
    };
    assert_eq!(post(&event("rg-other/web")), 200);
    assert_eq!(post(&event("web-1")), 500);
    let lines = wait_for("a line", || Some(lines(&program)).filter(|lines| !lines.is_empty()));
    let outcomes: Vec<_> = lines.iter().map(|line| (&line["event.id"], &line["outcome"])).collect();
    assert_eq!(outcomes, [(&json!("web-1"), &json!("failed"))]);
}
