//! The page: who may see it, what its stream tells, and when a name counts as right.

use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use futures::StreamExt;
use http::{Method, header};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::super::testing::{azure, get, put, send};
use super::super::{Azure, RecordSetSpec, Seed, Settings};

const ZONE: &str = "spoke1.contoso.internal";

fn seeded() -> (Azure, String) {
    let azure = azure(Settings::default());
    let ids = azure.seed(&Seed::default()).unwrap();
    azure.watch();
    (azure, ids[0].clone())
}

/// The body of a new stream.
async fn follow(azure: &Azure) -> BodyDataStream {
    let request = http::Request::get("/simulator/stream").header(header::HOST, "127.0.0.1:8181");
    let response = azure.router().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    response.into_body().into_data_stream()
}

/// The next chunk of a stream: the state, and the entries of the journal.
async fn next(stream: &mut BodyDataStream) -> (Value, Vec<Value>) {
    let chunk = stream.next().await.unwrap().unwrap();
    let text = String::from_utf8(chunk.to_vec()).unwrap();
    let (mut state, mut entries) = (Value::Null, vec![]);
    for event in text.split("\n\n").filter(|event| !event.is_empty()) {
        let data = event.split("data: ").nth(1).unwrap();
        let data: Value = serde_json::from_str(data).unwrap();
        if event.contains("event: state") { state = data } else { entries.push(data) }
    }
    (state, entries)
}

fn write(azure: &Azure, zone: &str, record_type: &str, name: &str, values: &[&str]) {
    azure.put_record_set(zone, &RecordSetSpec::new(record_type, name, values)).unwrap();
}

fn state_of(state: &Value) -> (&str, &str) {
    (state["names"][0]["state"].as_str().unwrap(), state["names"][0]["detail"].as_str().unwrap())
}

#[tokio::test]
async fn the_page_and_its_files_forbid_everything_foreign() {
    let (azure, _) = seeded();
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/simulator/page.css", "text/css; charset=utf-8"),
        ("/simulator/page.js", "text/javascript; charset=utf-8"),
    ] {
        let answered = send(&azure, Method::GET, path, &[], Value::Null).await;
        assert_eq!(answered.status, 200, "{path}");
        assert_eq!(answered.header("content-type"), Some(content_type));
        let policy = answered.header("content-security-policy").unwrap();
        assert!(policy.starts_with("default-src 'none'; script-src 'self'"), "{policy}");
        assert!(!policy.contains("unsafe"), "{policy}");
        let foreign = answered.text.replace("http://www.w3.org/2000/svg", "");
        assert!(!foreign.contains("http://") && !foreign.contains("https://"), "{path} names another host");
    }
}

#[tokio::test]
async fn a_foreign_page_gets_nothing_and_changes_nothing() {
    let (azure, id) = seeded();
    let before = azure.group_address(&id);
    let body = json!({"id": id});
    let refused = [
        ("host", "evil.example:8181", 403),
        ("host", "127.0.0.1.evil.example", 403),
        ("origin", "https://evil.example", 403),
        ("origin", "null", 403),
        ("sec-fetch-site", "cross-site", 403),
        ("content-type", "text/plain", 415),
        ("content-type", "application/x-www-form-urlencoded", 415),
    ];
    for (name, value, status) in refused {
        let mut headers = vec![(name, value)];
        if name != "content-type" {
            headers.push(("content-type", "application/json"));
        }
        let mut request = http::Request::post("/simulator/groups/move");
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let request = request.body(Body::from(body.to_string())).unwrap();
        let answer = azure.router().oneshot(request).await.unwrap();
        assert_eq!(answer.status(), status, "{name}: {value}");
    }
    assert_eq!(azure.group_address(&id), before);
    let path = format!("{id}/restart");
    let foreign = [("origin", "http://a.example")];
    assert_eq!(send(&azure, Method::POST, &path, &foreign, Value::Null).await.status, 403);
    for host in ["localhost:8181", "[::1]:8181", "127.0.0.1"] {
        let request = http::Request::post("/simulator/groups/move").header("host", host);
        let request = request.header("origin", format!("http://{host}"));
        let request = request.header("content-type", "application/json; charset=utf-8");
        let answer =
            azure.router().oneshot(request.body(Body::from(body.to_string())).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200, "{host}");
    }
    assert_ne!(azure.group_address(&id), before);
}

#[tokio::test(start_paused = true)]
async fn a_name_is_right_when_a_and_ptr_lead_to_the_group() {
    let (azure, id) = seeded();
    let mut stream = follow(&azure).await;
    let (state, _) = next(&mut stream).await;
    assert_eq!(state_of(&state), ("wrong", "does not resolve, but the group has 10.1.5.4"));
    assert_eq!(state["names"][0]["name"], "web-1.spoke1.contoso.internal");
    let mut steps = vec![];
    let mut step = async |wait: u64| {
        tokio::time::sleep(Duration::from_secs(wait)).await;
        let (state, _) = next(&mut stream).await;
        let (word, detail) = state_of(&state);
        steps.push(format!("{word}: {detail}"));
        state
    };
    tokio::time::advance(Duration::from_secs(1)).await;
    write(&azure, ZONE, "A", "web-1", &["10.1.5.4"]);
    step(1).await;
    write(&azure, "1.10.in-addr.arpa", "PTR", "4.5", &["web-1.spoke1.contoso.internal."]);
    step(1).await;
    azure.move_group(&id).unwrap();
    step(1).await;
    write(&azure, ZONE, "A", "web-1", &["10.1.5.5"]);
    write(&azure, "1.10.in-addr.arpa", "PTR", "5.5", &["web-1.spoke1.contoso.internal"]);
    step(1).await;
    azure.stop_group(&id).unwrap();
    step(1).await;
    write(&azure, ZONE, "A", "web-1", &[]);
    step(1).await;
    write(&azure, ZONE, "A", "web-1", &["10.1.5.5"]);
    azure.delete_group(&id).unwrap();
    let state = step(1).await;
    assert_eq!(
        steps,
        [
            "reverse: resolves to 10.1.5.4; the reverse name is missing",
            "right: resolves to 10.1.5.4",
            "wrong: resolves to 10.1.5.4, but the group has 10.1.5.5",
            "reverse: resolves to 10.1.5.5; an old reverse name is left at 4.5",
            "wrong: resolves to 10.1.5.5, but the group has no address",
            "idle: the group has no address",
            "wrong: resolves to 10.1.5.5, but the group is deleted",
        ]
    );
    let spans: Vec<_> =
        state["names"][0]["spans"].as_array().unwrap().iter().map(|span| span[1].clone()).collect();
    assert_eq!(
        json!(spans),
        json!(["wrong", "reverse", "right", "wrong", "reverse", "wrong", "idle", "wrong"])
    );
}

#[tokio::test(start_paused = true)]
async fn the_stream_tells_of_events_requests_and_reports_once() {
    let (azure, id) = seeded();
    let mut stream = follow(&azure).await;
    next(&mut stream).await;
    let fault = json!({"method": "GET", "path": "web-1", "effect": "answer", "status": 503, "code": "Busy"});
    send(&azure, Method::POST, "/simulator/faults", &[], fault).await;
    let (state, _) = next(&mut stream).await;
    assert_eq!(state["faults"][0]["effect"], "answered 503 Busy");
    get(&azure, &id).await;
    send(&azure, Method::POST, "/simulator/groups/restart", &[], json!({"id": id})).await;
    azure.report("invocation", json!({"outcome": "changed"}));
    let (state, entries) = next(&mut stream).await;
    let kinds: Vec<_> = entries.iter().map(|entry| entry["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["request", "event", "invocation"]);
    assert_eq!(entries[0]["faults"], json!(["answered 503 Busy"]));
    assert_eq!(entries[0]["status"], 503);
    assert_eq!(entries[1]["group"], "rg-spoke1/web-1");
    assert_eq!(state["faults"], json!([]), "the fault is spent");
    let (_, entries) = next(&mut stream).await;
    assert_eq!(entries, Vec::<Value>::new(), "a heartbeat repeats no entry");
}

#[tokio::test]
async fn groups_are_created_by_name_and_go_through_their_life() {
    let (azure, _) = seeded();
    let post = async |verb: &str, body: Value| {
        let path = format!("/simulator/groups/{verb}");
        let answered = send(&azure, Method::POST, &path, &[], body).await;
        (answered.status.as_u16(), answered.text)
    };
    let (status, body) = post("create", json!({"name": "api"})).await;
    assert_eq!(status, 200);
    let id = serde_json::from_str::<Value>(&body).unwrap()["id"].clone();
    for verb in ["restart", "stop", "start", "delete"] {
        assert_eq!(post(verb, json!({"id": id})).await.0, 204, "{verb}");
    }
    assert_eq!(post("restart", json!({"id": id})).await.0, 400);
    for name in ["", "Api", "a--b", "-a", "a.b", "<b>"] {
        assert_eq!(post("create", json!({"name": name})).await.0, 400, "{name}");
    }
    assert_eq!(send(&azure, Method::POST, "/simulator/sweep", &[], json!({})).await.status, 400);
    azure.describe(json!({"handler": true}));
    assert_eq!(send(&azure, Method::POST, "/simulator/sweep", &[], json!({})).await.status, 204);
    assert!(azure.take_sweep_request());
    assert!(!azure.take_sweep_request());
    assert_eq!(put(&azure, "/simulator/throttles", json!({"creates": 1})).await.status, 204);
}
