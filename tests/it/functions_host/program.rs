//! The real program under the emulated host: settings, arguments, output, signals.

use super::*;

/// The real program, with these variables only.
fn program(arguments: &[&str], variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_aci-dns"));
    command.args(arguments).env_clear().envs(variables.iter().copied());
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = program(arguments, variables).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn wrong_settings_end_the_program_with_2_and_every_mistake() {
    let variables = [("ACI_DNS_POLICY", "x"), ("ACI_DNS_DEADLINE_SECONDS", "0")];
    let (code, stdout, stderr) = run(&["serve"], &variables);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert_eq!(
        stderr,
        "error: the settings are invalid:\n  \
         FUNCTIONS_CUSTOMHANDLER_PORT: is required and not set\n  \
         ACI_DNS_POLICY: \"x\" is not one of sync, upsert-only, observe\n  \
         ACI_DNS_ZONES: is required and not set\n  \
         ACI_DNS_DEADLINE_SECONDS: \"0\" is not a whole number from 1 to 28\n"
    );
}

#[test]
fn without_arguments_and_port_the_program_prints_its_help() {
    let (code, stdout, stderr) = run(&[], &[]);
    assert_eq!((code, stdout.as_str()), (Some(2), ""));
    assert!(
        stderr.contains("Usage: aci-dns [OPTIONS] [COMMAND]") && stderr.contains("Examples:"),
        "{stderr}"
    );
}

#[test]
fn wrong_arguments_end_the_program_with_2() {
    assert_eq!(run(&["serve", "--port", "x"], &[]).0, Some(2));
    assert_eq!(run(&["conjure"], &[]).0, Some(2));
    assert_eq!(run(&["--help"], &[]).0, Some(0));
}

const ONE_ZONE: &str = r#"{"rg": {"forwardZone": "a.internal", "reverseZones": []}}"#;

#[test]
fn a_port_in_use_ends_the_program_with_1() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let (code, _, stderr) = run(&[], &[("FUNCTIONS_CUSTOMHANDLER_PORT", &port), ("ACI_DNS_ZONES", ONE_ZONE)]);
    assert_eq!(code, Some(1));
    assert!(stderr.contains(&format!("cannot listen on 127.0.0.1:{port}; choose another port")), "{stderr}");
}

#[tokio::test]
async fn an_unread_stdout_never_blocks_the_handler() {
    let variables = [("ACI_DNS_ZONES", ONE_ZONE)];
    let mut process = program(&["serve", "--port", "0"], &variables).spawn().unwrap();
    let mut stdout = BufReader::new(process.stdout.take().unwrap());
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    let port = line.split_once("127.0.0.1:").unwrap().1.split('"').next().unwrap().parse().unwrap();
    // A line has some three hundred bytes, and the buffer of a pipe 64 KiB.
    let events = json!(vec![event_of("Other", ""); 1000]);
    let body = envelope(&events).to_string();
    for invocation in ["first", "second", "third"] {
        let mut connection = Connection::open(port).await;
        let answer =
            connection.post("/function_aci_reconcile", invocation, body.as_bytes(), Framing::Chunked);
        let response = timeout(Duration::from_secs(20), answer).await.expect("the handler answers");
        assert_eq!(response.status, 200);
    }
    let lines = stdout.lines().take(3000).filter(|line| line.as_ref().unwrap().contains("\"ignored\""));
    assert_eq!(lines.count(), 3000, "what was not read in time is read later");
    process.kill().unwrap();
    process.wait().unwrap();
}

#[tokio::test]
async fn the_program_serves_until_sigterm_and_exits_with_0() {
    for (signal, arguments) in [("-TERM", &["serve", "--port", "0"][..]), ("-INT", &[][..])] {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let variables = [("FUNCTIONS_CUSTOMHANDLER_PORT", &*free.to_string()), ("ACI_DNS_ZONES", ONE_ZONE)];
        let mut process = program(arguments, &variables).spawn().unwrap();
        let mut stdout = BufReader::new(process.stdout.take().unwrap());
        let mut line = || {
            let mut line = String::new();
            stdout.read_line(&mut line).unwrap();
            serde_json::from_str::<Value>(&line).unwrap()
        };
        let listening = line();
        assert_eq!(listening["message"], "listening");
        let port = listening["server.address"].as_str().unwrap().rsplit_once(':').unwrap().1.parse().unwrap();
        assert_eq!(arguments.is_empty(), port == free);

        let mut connection = Connection::open(port).await;
        assert_eq!(connection.get("/").await.status, 200);
        let body = envelope(&event_of("Other", "")).to_string();
        let response =
            connection.post("/function_drift_tracker", "real", body.as_bytes(), Framing::Chunked).await;
        assert_eq!(response.judge(), succeeded(&["events of type \"Other\" are ignored"]));
        let reported = line();
        assert_eq!((&reported["invocation.id"], &reported["outcome"]), (&json!("real"), &json!("ignored")));

        let process_id = process.id().to_string();
        assert!(Command::new("kill").args([signal, &process_id]).status().unwrap().success());
        assert_eq!(line()["message"], "shutting down");
        assert_eq!(line()["message"], "stopped");
        assert_eq!(process.wait().unwrap().code(), Some(0));
        let mut stderr = String::new();
        process.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        assert_eq!(stderr, "");
    }
}
