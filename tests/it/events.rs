//! Events through the real router, and files of events through the real program.

use std::{
    fs,
    io::{ErrorKind, Write as _},
    process::{Command, Output, Stdio},
};

use aci_dns::replay::stage::{RECONCILE, TRACK_DRIFT};
use http::Method;
use serde_json::{Value, json};

use crate::world::{World, a, ptr};

/// An event of this type for `web`, or for a path below it.
fn event(world: &World, event_type: &str, below: &str) -> Value {
    let mut event = world.event("web");
    let subject = format!("{}{below}", event["subject"].as_str().unwrap());
    event["eventType"] = json!(event_type);
    event["subject"] = json!(subject);
    event["data"] = json!({ "resourceUri": subject });
    event
}

const TAGS: &str = "/providers/Microsoft.Resources/tags/default";

#[tokio::test(start_paused = true)]
async fn tags_written_through_the_tags_api_take_effect() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    world.reconcile("web").await;
    for (ttl, event_type) in [
        (10, "Microsoft.Resources.ResourceWriteSuccess"),
        // A group whose tags were removed still exists.
        (60, "Microsoft.Resources.ResourceDeleteSuccess"),
    ] {
        world.tag("web", &[("aci-dns-ttl", &ttl.to_string())]);
        let answer = world.stage.invoke(RECONCILE, &event(&world, event_type, TAGS)).await;
        assert_eq!(world.done(answer).status, 200);
        let with_ttl = |record_set: String| record_set.replace(" 60 ", &format!(" {ttl} "));
        world.has(&[&with_ttl(a("web", 4)), &with_ttl(ptr("web", 4))]);
    }
}

/// Older versions of the host's extension write an event's time in another format, and events of people may
/// have none.
#[tokio::test(start_paused = true)]
async fn an_event_without_a_usable_time_proves_no_deletion() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    world.reconcile("web").await;
    world.fail(Method::GET, "containerGroups/web", 404, "ResourceNotFound");
    for time in [
        json!(null),
        json!("1/5/2020 9:00:07 AM"),
        json!("2020-01-05T09:00:07.61"),
        json!("2036-01-05T09:00:07Z"),
    ] {
        let mut event = event(&world, "Microsoft.Resources.ResourceWriteSuccess", "");
        event["eventTime"] = time;
        let done = world.deliver(RECONCILE, &event).await;
        done.is(503, "unavailable", &[]).because("not visible yet");
        world.has(&[&a("web", 4), &ptr("web", 4)]);
    }
    let mut event = event(&world, "Microsoft.Resources.ResourceWriteSuccess", "");
    event["eventTime"] = json!("2020-01-05T09:00:07Z");
    assert_eq!(world.deliver(RECONCILE, &event).await.status, 200);
    world.has(&[]);
}

#[tokio::test(start_paused = true)]
async fn the_drift_tracker_ignores_only_deletions_of_a_group() {
    let world = World::new(&[]);
    world.create_at("web", 4);
    world.reconcile("web").await;
    for (event_type, below, outcome) in [
        ("Microsoft.Resources.ResourceDeleteSuccess", "", "ignored"),
        ("Microsoft.ResourceNotifications.Resources.Deleted", "", "ignored"),
        ("Microsoft.Resources.ResourceDeleteFailure", "", "reported"),
        ("Microsoft.Resources.ResourceDeleteCancel", "", "reported"),
        ("Microsoft.Resources.ResourceDeleteSuccess", TAGS, "reported"),
    ] {
        let answer = world.stage.invoke(TRACK_DRIFT, &event(&world, event_type, below)).await;
        assert_eq!(world.done(answer).line()["outcome"], outcome, "{event_type} {below}");
    }
}

fn replay(arguments: &[&str], stdin: &[u8]) -> Output {
    let mut child = Command::new(env!("CARGO_BIN_EXE_aci-dns"))
        .arg("replay")
        .args(arguments)
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // A process with invalid arguments ends without reading.
    match child.stdin.take().unwrap().write_all(stdin) {
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        written => written.unwrap(),
    }
    child.wait_with_output().unwrap()
}

/// An indented array of one event.
fn document(id: &str) -> String {
    let event = json!([{
        "id": id, "eventType": "Microsoft.Resources.ResourceWriteSuccess",
        "subject": crate::world::id("web"), "eventTime": "2026-01-05T09:00:07.6117357Z",
    }]);
    format!("{event:#}")
}

#[test]
fn event_files_from_windows_and_concatenated_ones_are_replayed() {
    let folder = tempfile::tempdir().unwrap();
    let (one, two) = (document("1"), format!("{}{}", document("1"), document("2")));
    let utf16 = |text: &str| format!("\u{feff}{text}").encode_utf16().flat_map(u16::to_le_bytes).collect();
    let files: [(&str, Vec<u8>, &str); 4] = [
        ("utf16.json", utf16(&one), "1 event:"),
        ("bom.json", format!("\u{feff}{one}").into_bytes(), "1 event:"),
        ("two.json", two.clone().into_bytes(), "2 events:"),
        ("dead-letters.json", two.replace(['\n', ' '], "").into_bytes(), "2 events:"),
    ];
    for (name, bytes, expected) in &files {
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        for output in [replay(&[path.to_str().unwrap()], b""), replay(&["-"], bytes)] {
            let stdout = String::from_utf8(output.stdout).unwrap();
            assert_eq!(output.status.code(), Some(0), "{name}: {}", String::from_utf8_lossy(&output.stderr));
            assert!(stdout.contains(expected), "{name}: {stdout}");
        }
    }
    let broken = folder.path().join("a-broken.json");
    fs::write(&broken, b"[{\"caf\xe9\": 1}]").unwrap();
    let output = replay(&[folder.path().to_str().unwrap()], b"");
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    assert!(stdout.contains("a-broken.json cannot be read: its encoding is unknown"), "{stdout}");
    assert!(stdout.contains("6 events:"), "the others are played: {stdout}");
    assert_eq!(replay(&[broken.to_str().unwrap()], b"").status.code(), Some(2));
}

#[test]
fn a_broken_pipe_ends_a_command_quietly() {
    let file = format!("{}/tests/events/01-create.json", env!("CARGO_MANIFEST_DIR"));
    let mut child = Command::new(env!("CARGO_BIN_EXE_aci-dns"))
        .args(["replay", &file])
        .env_clear()
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), ""));
}

#[test]
fn a_handler_is_named_by_host_and_port() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for handler in [format!("localhost:{port}"), format!("http://127.0.0.1:{port}")] {
        let output = replay(&["--handler", &handler, "-"], document("1").as_bytes());
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(1), "{stderr}");
        assert!(stderr.contains(&format!(":{port}/function_aci_reconcile did not answer")), "{stderr}");
    }
    assert_eq!(replay(&["--handler", "ftp://localhost", "-"], b"{}").status.code(), Some(2));
}

#[test]
fn a_replay_shows_deferred_work_and_its_retries() {
    let event = json!({"id": "1", "eventType": "Microsoft.Resources.ResourceWriteSuccess"}).to_string();
    let output = replay(&["-"], event.as_bytes());
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{stdout}");
    let at = |text: &str| stdout.find(text).unwrap_or_else(|| panic!("{text:?} is missing: {stdout}"));
    let order =
        ["deferred", "tried again in 30 s", "retry:", "no subject", "1 left in the retry queue"].map(at);
    assert!(order.is_sorted(), "{stdout}");
    assert!(stdout.ends_with("1 event: 1 deferred\n1 retry: 1 malformed\n"), "{stdout}");
}
