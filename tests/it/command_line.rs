//! The common parts of all commands: the source of the map, colors, the version, and files for other
//! programs.

use std::process::{Command, Output};

use aci_dns::config::{ZONES_SCHEMA, ZoneMap};

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aci-dns"));
    command.args(arguments).env_remove("ACI_DNS_ZONES").env_remove("NO_COLOR");
    command.envs(variables.iter().copied()).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

#[test]
fn a_file_on_the_command_line_replaces_the_variable() {
    let path = "tests/zones/unknown-key.json";
    for command in ["drift", "plan", "sync", "doctor", "serve"] {
        let output = run(&[command, "--zones", path], &[("ACI_DNS_ZONES", "{}")]);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{command}: {errors}");
        assert!(errors.contains(r#"did you mean "hostnames"?"#), "{command}: {errors}");
    }
}

#[test]
fn an_unreadable_file_is_named() {
    let output = run(&["plan", "--zones", "not-there.json"], &[]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains(r#"the file "not-there.json""#), "{}", text(&output.stderr));
}

#[test]
fn color_is_used_on_request() {
    let is_coloured = |when| text(&run(&["plan", "--color", when], &[]).stderr).contains('\u{1b}');
    assert!(is_coloured("always"));
    assert!(!is_coloured("never"));
    assert!(!is_coloured("auto"), "a pipe is no terminal");
}

#[test]
fn the_version_names_the_target() {
    let output = run(&["--version"], &[]);
    let version = text(&output.stdout);
    assert!(version.starts_with(concat!("aci-dns ", env!("CARGO_PKG_VERSION"), " (")), "{version}");
    assert!(version.contains(std::env::consts::ARCH), "{version}");
}

#[test]
fn the_samples_of_the_schema_are_valid_and_invalid() {
    let map = |name: &str| std::fs::read_to_string(format!("tests/zones/{name}.json")).unwrap();
    assert!(ZoneMap::parse(&map("every-key")).is_ok());
    assert!(ZoneMap::parse(&map("unknown-key")).is_err());
}

#[test]
fn the_examples_of_maps_are_right() {
    let files: Vec<_> =
        std::fs::read_dir("examples/zones").unwrap().map(|file| file.unwrap().path()).collect();
    assert!(files.len() >= 3, "{files:?}");
    for file in files {
        let map = std::fs::read_to_string(&file).unwrap();
        assert!(ZoneMap::parse(&map).is_ok(), "{}: {:?}", file.display(), ZoneMap::parse(&map));
    }
}

#[test]
fn the_schema_is_printed_as_it_is() {
    let output = run(&["schema"], &[]);
    assert_eq!(text(&output.stdout), ZONES_SCHEMA);
}

#[test]
fn completions_contain_every_command() {
    for shell in ["bash", "elvish", "fish", "powershell", "zsh"] {
        let script = text(&run(&["completions", shell], &[]).stdout);
        for command in ["serve", "doctor", "drift", "plan", "sync", "replay", "simulate", "schema"] {
            assert!(script.contains(command), "{shell}: {command}");
        }
    }
}
