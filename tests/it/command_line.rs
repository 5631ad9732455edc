//! The common parts of all commands: the source of the map, colors, the version, and files for other
//! programs.

use std::process::{Command, Output};

use aci_dns::config::{ZONES_SCHEMA, ZoneMap};

use crate::processes::{Program, wait_for};

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

#[test]
fn verbose_and_quiet_replace_the_log_filter() {
    let both = run(&["drift", "--verbose", "--quiet"], &[]);
    assert_eq!(both.status.code(), Some(2));
    for option in ["-v", "--verbose", "-q", "--quiet"] {
        // An invalid filter is not read.
        let output = run(&["drift", option], &[("RUST_LOG", "=wrong="), ("ACI_DNS_ZONES", "{")]);
        assert!(!text(&output.stderr).contains("RUST_LOG"), "{option}: {}", text(&output.stderr));
    }
    let output = run(&["drift"], &[("RUST_LOG", "=wrong="), ("ACI_DNS_ZONES", "{")]);
    assert!(text(&output.stderr).contains("RUST_LOG"), "{}", text(&output.stderr));
}

#[test]
fn replay_reads_files_with_byte_order_marks_and_reports_unreadable_ones() {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let utf16 =
        |text: &str| format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let event = std::fs::read_dir("tests/events").unwrap().map(|file| file.unwrap().path());
    let event = event.filter(|path| path.extension().is_some_and(|ending| ending == "json")).min().unwrap();
    std::fs::write(path("event.json"), utf16(&std::fs::read_to_string(event).unwrap())).unwrap();
    std::fs::write(path("scenario.txt"), utf16("zone contoso.internal\n")).unwrap();
    let good = run(&["replay", &path("event.json")], &[]);
    assert!(text(&good.stdout).contains("event"), "{}", text(&good.stderr));
    let part = run(&["replay", &path("none.json"), &path("event.json")], &[]);
    assert_eq!(part.status.code(), Some(1));
    assert!(text(&part.stdout).contains("none.json"), "{}", text(&part.stdout));
    let scenario = run(&["replay", "--scenario", &path("scenario.txt")], &[]);
    assert_eq!(scenario.status.code(), Some(0), "{}", text(&scenario.stderr));
    std::fs::write(path("scenario.txt"), "set ACI_DNS_POLICE observe\ncreate rg/web\ndeliver\n").unwrap();
    let wrong = run(&["replay", "--scenario", &path("scenario.txt")], &[]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(text(&wrong.stderr).contains("ACI_DNS_POLICY"), "{}", text(&wrong.stderr));
}

#[test]
fn a_handler_without_a_scheme_is_an_http_url() {
    let output = run(&["replay", "--handler", "localhost:1", "tests/events"], &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("http://localhost:1/"), "{}", text(&output.stderr));
}

#[test]
fn the_scripts_of_a_deployment_explain_themselves_first() {
    let script = |arguments: &[&str]| {
        Command::new("/bin/bash").args(arguments).env("PATH", "/nonexistent").output().unwrap()
    };
    let help = script(&[
        "-c",
        "cat() { while IFS= read -r line; do echo \"$line\"; done; }; dirname() { echo infra; }; \
                        . infra/package.sh --help",
    ]);
    assert!(text(&help.stdout).contains("Usage: infra/package.sh"), "{}", text(&help.stderr));
    let deploy = Command::new("bash")
        .args([
            "-c",
            "command() { case \"$2\" in az) return 1 ;; *) builtin command \"$@\" ;; esac; }; \
                      set -- --resource-group rg --location x --parameters Cargo.toml; . infra/deploy.sh",
        ])
        .output()
        .unwrap();
    assert_eq!(deploy.status.code(), Some(1));
    assert!(text(&deploy.stderr).contains("az login"), "{}", text(&deploy.stderr));
    assert!(text(&deploy.stdout).is_empty(), "{}", text(&deploy.stdout));
}

#[test]
fn the_printed_settings_of_a_simulator_match_its_world() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = [
        "simulate",
        "--port",
        "0",
        "--print-env",
        "--with-records",
        "--groups",
        "6",
        "--resource-groups",
        "3",
        "--subscriptions",
        "3",
    ];
    let simulator = Program::start(folder.path(), &arguments, &[]);
    let printed = wait_for("the settings", || {
        let text = simulator.stdout();
        text.contains("ACI_DNS_SUBSCRIPTIONS").then_some(text)
    });
    let exports = printed.split_once('\n').unwrap().1;
    let script = format!("{exports}\nexec \"$0\" drift");
    let drift = Command::new("bash").args(["-c", &script, env!("CARGO_BIN_EXE_aci-dns")]).output().unwrap();
    assert_eq!(drift.status.code(), Some(0), "{printed}\n{}{}", text(&drift.stdout), text(&drift.stderr));
    assert!(text(&drift.stdout).contains("6 container groups: 6 correct"), "{}", text(&drift.stdout));
}
