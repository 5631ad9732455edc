//! The README says what is so: its sample output is the program's, its tables are whole, its links lead somewhere.

use std::{cell::RefCell, fs, path::Path, process::Command};

use aci_dns::{config::Settings, report::Outcome};

const README: &str = include_str!("../../README.md");

/// What the blocks of this language hold.
fn blocks(language: &str) -> Vec<&'static str> {
    let opening = format!("\n```{language}\n");
    README.split(&opening).skip(1).map(|rest| rest.split("\n```").next().unwrap()).collect()
}

fn block(language: &str, start: &str) -> &'static str {
    blocks(language).into_iter().find(|block| block.starts_with(start)).unwrap()
}

fn replay(arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aci-dns"));
    let command = command.arg("replay").args(arguments).current_dir(env!("CARGO_MANIFEST_DIR")).env_clear();
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_sample_output_is_that_of_the_replay() {
    let output = replay(&["tests/events"]);
    let mut rest = output.as_str();
    for part in block("text", "01-create.json").split("\n...\n") {
        let (_, after) = rest.split_once(part).unwrap_or_else(|| panic!("{part}\nis not in\n{rest}"));
        rest = after;
    }
    assert_eq!(rest, "\n");
}

#[test]
fn the_sample_of_drift_is_that_of_the_command() {
    let mut rest = include_str!("../operate/drift.snap");
    for part in block("text", "GROUP ").split("\n...\n") {
        let (_, after) = rest.split_once(part).unwrap_or_else(|| panic!("{part}\nis not in\n{rest}"));
        rest = after;
    }
}

#[test]
fn the_scenario_can_be_played() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("move.txt");
    fs::write(&path, block("text", "zone ")).unwrap();
    let output = replay(&["--scenario", path.to_str().unwrap()]);
    assert!(output.contains("no_change"), "{output}");
}

#[test]
fn every_setting_is_in_the_table_and_the_example_can_be_read() {
    let asked = RefCell::new(vec![]);
    let settings = Settings::from_variables(|name| {
        asked.borrow_mut().push(name.to_owned());
        (name == "ACI_DNS_ZONES").then(|| block("json", "{").to_owned())
    });
    settings.unwrap();
    for name in asked.into_inner() {
        let is_row = |line: &str| line.starts_with("| `") && line.contains(&format!("`{name}`"));
        assert!(README.lines().any(is_row), "{name}");
    }
}

#[test]
fn every_outcome_is_in_the_table_with_its_status() {
    for outcome in [
        Outcome::Converged,
        Outcome::Changed,
        Outcome::Planned,
        Outcome::Reported,
        Outcome::Ignored,
        Outcome::Unmanaged,
        Outcome::Malformed,
        Outcome::Conflict,
        Outcome::Failed,
        Outcome::Unavailable,
    ] {
        let row = README.lines().find(|line| line.starts_with(&format!("| `{outcome}` |"))).unwrap();
        assert!(row.ends_with(&format!("| {} |", outcome.status())), "{row}");
    }
}

#[test]
fn every_link_to_a_file_leads_to_one() {
    let targets = README.split("](").skip(1).map(|rest| rest.split(')').next().unwrap());
    let files: Vec<_> =
        targets.filter(|target| !target.starts_with("http") && !target.starts_with('#')).collect();
    assert!(!files.is_empty());
    for file in files {
        assert!(Path::new(env!("CARGO_MANIFEST_DIR")).join(file).exists(), "{file}");
    }
}
