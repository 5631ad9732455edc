//! Hostile neighbors: a false Resource Manager, hostile names of groups and record sets, and hostile senders
//! of events. A real process with its log at the most verbose level runs between a false Azure and a hostile
//! caller.
//!
//! Each test checks the answer, the destination of the token, the requested paths, and the log.

use std::{
    collections::BTreeSet,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::{
    processes::{Program, exchange, invoke, wait_for},
    world::{self, World},
};

const TOKEN: &str = "token-of-this-process-alone";
/// Secrets in headers and bodies that must not be in a log.
const SECRETS: [&str; 4] = [TOKEN, "secret-of-a-body", "secret-of-a-header", "secret-of-an-event"];
const ZONES: &str = r#"{"rg": {"forwardZone": "a.internal", "reverseZones": ["1.10.in-addr.arpa"]}}"#;

/// A function from method and path to the rest of a status line with headers, and a body.
type Answer = dyn Fn(&str, &str) -> (String, Vec<u8>) + Send + Sync;

/// A server on loopback that gives prepared answers and records request heads.
#[derive(Clone)]
struct Server {
    port: u16,
    heads: Arc<Mutex<Vec<String>>>,
    connections: Arc<AtomicUsize>,
}

impl Server {
    fn start(answer: impl Fn(&str, &str) -> (String, Vec<u8>) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let server = Self {
            port: listener.local_addr().unwrap().port(),
            heads: Arc::default(),
            connections: Arc::default(),
        };
        let (it, answer) = (server.clone(), Arc::new(answer));
        thread::spawn(move || {
            for stream in listener.incoming() {
                it.connections.fetch_add(1, Ordering::SeqCst);
                let (it, answer) = (it.clone(), Arc::clone(&answer));
                thread::spawn(move || it.talk(stream.unwrap(), &*answer));
            }
        });
        server
    }

    fn talk(&self, mut stream: TcpStream, answer: &Answer) {
        let mut head = Vec::new();
        let mut byte = [0];
        while !head.ends_with(b"\r\n\r\n") {
            match stream.read(&mut byte) {
                Ok(1) => head.push(byte[0]),
                _ => return,
            }
        }
        let head = String::from_utf8_lossy(&head).into_owned();
        let mut words = head.split(' ').map(str::to_owned);
        let (method, path) = (words.next().unwrap(), words.next().unwrap());
        self.heads.lock().unwrap().push(head);
        let (rest, body) = answer(&method, &path);
        let head = format!(
            "HTTP/1.1 {rest}content-type: application/json\r\nx-secret: secret-of-a-header\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n",
            body.len()
        );
        let _ = stream.write_all(head.as_bytes());
        let _ = stream.write_all(&body);
    }

    /// The requested paths since the last call, without those of the identity endpoint.
    fn take_paths(&self) -> BTreeSet<String> {
        let heads = std::mem::take(&mut *self.heads.lock().unwrap());
        let lines = heads.iter().map(|head| head.lines().next().unwrap().trim_end_matches(" HTTP/1.1"));
        let lines = lines.filter(|line| !line.contains("/msi/"));
        lines.map(|line| line.split('?').next().unwrap().to_owned()).collect()
    }
}

type Answers = Arc<Mutex<Vec<(&'static str, String, Vec<u8>)>>>;

/// A false Azure, a handler that uses it, and another host that waits for a token.
struct Scene {
    azure: Server,
    elsewhere: Server,
    handler: Program,
    answers: Answers,
    _folder: TempDir,
}

impl Scene {
    fn new() -> Self {
        let answers = Answers::default();
        let reported = Arc::clone(&answers);
        let azure = Server::start(move |method, path| {
            if path.contains("/msi/token") {
                let end = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs() + 86_400;
                let body = json!({
                    "access_token": TOKEN, "expires_on": end.to_string(), "token_type": "Bearer",
                    "resource": "https://management.azure.com/"
                });
                return ("200 OK\r\n".into(), body.to_string().into_bytes());
            }
            let reported = reported.lock().unwrap();
            let request = format!("{method} {}", path.split('?').next().unwrap());
            match reported.iter().find(|(end, ..)| request.ends_with(end)) {
                Some((_, rest, body)) => (rest.clone(), body.clone()),
                None if request.ends_with("/A") || request.ends_with("/PTR") => {
                    ("200 OK\r\n".into(), br#"{"value":[]}"#.to_vec())
                }
                None => {
                    let body = r#"{"error":{"code":"NotFound","message":"no"}}"#;
                    ("404 Not Found\r\n".into(), body.into())
                }
            }
        });
        let elsewhere = Server::start(|_, _| ("200 OK\r\n".into(), b"{}".to_vec()));
        let folder = TempDir::new().unwrap();
        let place = format!("http://127.0.0.1:{}", azure.port);
        let variables = [
            ("ACI_DNS_ZONES", ZONES),
            ("ACI_DNS_ARM_ENDPOINT", &format!("{place}/")),
            ("ACI_DNS_DEADLINE_SECONDS", "3"),
            ("ACI_DNS_ADDRESS_WAIT_SECONDS", "0"),
            ("IDENTITY_ENDPOINT", &format!("{place}/msi/token")),
            ("IDENTITY_HEADER", "secret-of-a-header"),
            ("RUST_LOG", "trace"),
        ];
        let handler = Program::start(folder.path(), &["serve", "--port", "0"], &variables);
        Self { azure, elsewhere, handler, answers, _folder: folder }
    }

    fn answers(&self, answers: &[(&'static str, &str, &[u8])]) {
        let answers = answers.iter().map(|(end, rest, body)| (*end, format!("{rest}\r\n"), body.to_vec()));
        *self.answers.lock().unwrap() = answers.collect();
        self.azure.heads.lock().unwrap().clear();
    }

    /// The status and the text of the answer to an event with this subject.
    fn event(&self, subject: &str) -> (u16, String) {
        let event = json!({
            "id": "event\r\n{\"level\":\"error\"}\u{2028}", "subject": subject,
            "eventType": "Microsoft.Resources.ResourceWriteSuccess", "eventTime": "2026-01-01T00:00:00Z\r\n",
            "dataVersion": "2", "metadataVersion": "1", "data": {"claims": "secret-of-an-event"}
        });
        invoke(self.handler.port, &event).unwrap()
    }

    /// The outcome for `web`, and the requested paths.
    #[track_caller]
    fn check(&self, name: &str, answers: &[(&'static str, &str, &[u8])], status: u16, says: &str) {
        self.answers(answers);
        let answer = self.event(&id("rg", "web"));
        assert_eq!(answer.0, status, "{name}: {}", answer.1);
        assert!(answer.1.contains(says), "{name}: {}", answer.1);
        let paths = self.azure.take_paths();
        let expected = ["GET", "PUT", "DELETE"]
            .into_iter()
            .flat_map(|method| PATHS.map(|path| format!("{method} {path}")));
        let expected: BTreeSet<_> = expected.collect();
        let strange: Vec<_> = paths.difference(&expected).collect();
        assert!(strange.is_empty(), "{name}: {strange:?}");
        let is_write = |path: &&String| !path.starts_with("GET");
        assert_eq!(paths.iter().filter(is_write).collect::<Vec<_>>(), [""; 0], "{name}");
    }

    /// Checks that nothing was sent elsewhere, and that the log contains no secret.
    fn end(mut self) {
        assert_eq!(self.elsewhere.connections.load(Ordering::SeqCst), 0, "a request was sent elsewhere");
        assert_eq!(self.handler.terminate().code(), Some(0));
        assert_eq!(self.handler.stderr(), "");
        let log = self.handler.stdout();
        for secret in SECRETS.iter().chain(&["Bearer ", "Bearer\\", "x-secret", "authorization:"]) {
            assert!(!log.contains(secret), "{secret} stands in the log");
        }
        let mut count = 0;
        for line in log.split_terminator('\n') {
            let line: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
            assert!(line["timestamp"].is_string() && line["level"].is_string(), "{line}");
            count += 1;
        }
        assert!(count > 10, "the log was open");
    }
}

const PATHS: [&str; 5] = [
    "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.ContainerInstance/containerGroups/web",
    "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.Network/privateDnsZones/a.internal/A/web",
    "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.Network/privateDnsZones/a.internal/A",
    "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.Network/privateDnsZones/1.10.in-addr.arpa/PTR",
    "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.Network/privateDnsZones/1.10.in-addr.arpa/PTR/4.5",
];

fn id(resource_group: &str, name: &str) -> String {
    format!(
        "/subscriptions/s1/resourceGroups/{resource_group}/providers/Microsoft.ContainerInstance/containerGroups/{name}"
    )
}

fn group(tags: &Value, ip: &str) -> Vec<u8> {
    let container = json!({"name": "web", "properties": {
        "image": "i", "environmentVariables": [{"name": "PASSWORD", "value": "secret-of-a-body"}],
        "instanceView": {"currentState": {"state": "Running"}}
    }});
    let properties = json!({
        "provisioningState": "Succeeded", "osType": "Linux", "containers": [container],
        "ipAddress": {"ip": ip, "type": "Private", "ports": []}, "instanceView": {"state": "Running"}
    });
    json!({"name": "web", "location": "w", "tags": tags, "properties": properties}).to_string().into_bytes()
}

fn a_record_set(etag: &str, metadata: &Value) -> Vec<u8> {
    let properties = json!({"ttl": 60, "metadata": metadata, "aRecords": [{"ipv4Address": "10.1.5.9"}]});
    json!({"name": "web", "etag": etag, "properties": properties}).to_string().into_bytes()
}

fn ptr_page(name: &str, target: &str, next: Option<&str>) -> Vec<u8> {
    let properties = json!({"ttl": 60, "metadata": {}, "ptrRecords": [{"ptrdname": target}]});
    let item = json!({"name": name, "etag": "e1", "properties": properties});
    json!({"value": [item], "nextLink": next}).to_string().into_bytes()
}

const GROUP: &str = "/containerGroups/web";
const A: &str = "/A/web";

#[test]
fn answers_of_a_false_resource_manager_have_no_effect() {
    let scene = Scene::new();
    let elsewhere = format!("http://127.0.0.1:{}/subscriptions/s1", scene.elsewhere.port);
    let page = ptr_page("4.5", "other.example", Some(&elsewhere));
    scene.check("a next page elsewhere", &[("/PTR", "200 OK", &page)], 500, "configured endpoint");
    let moved = format!("307 Moved\r\nlocation: {elsewhere}");
    scene.check("a redirect", &[(GROUP, &moved, b"")], 500, "307");
    scene.check("a redirect of a list", &[("/PTR", &moved, b"")], 500, "307");
    let oversized = vec![b' '; 9 * 1024 * 1024];
    scene.check("an oversized group", &[(GROUP, "200 OK", &oversized)], 500, "larger than");
    scene.check("an oversized list", &[("/PTR", "200 OK", &oversized)], 500, "larger than");
    let deep = "[".repeat(1_000_000).into_bytes();
    scene.check("an answer without a floor", &[(GROUP, "200 OK", &deep)], 503, "");
    let words = br#"{"error":{"code":"Forbidden\r\n{\"level\":\"info\"}","message":"a\r\nb\u0000","x":"secret-of-a-body"}}"#;
    scene.check("an error that breaks lines", &[(GROUP, "403 Forbidden", words)], 500, "Forbidden");
    scene.end();
}

#[test]
fn foreign_texts_never_become_a_path_or_a_header() {
    let scene = Scene::new();
    let live = group(&json!({}), "10.1.5.4");
    for hostname in
        ["a\r\nb", "../../x", "a%2f..%2fb", "a\0b", "a/b", "a.b", "wеb", "-a", &"a".repeat(64), ""]
    {
        let tagged = group(&json!({"aci-dns-hostname": hostname}), "10.1.5.4");
        scene.check(hostname, &[(GROUP, "200 OK", &tagged)], 500, "aci-dns-hostname");
    }
    for ip in ["10.1.5.4\r\nx", "10.1.5.4/../..", "010.1.5.4", "１０.1.5.4", "::1", "10.1.5.4%00"] {
        scene.check(ip, &[(GROUP, "200 OK", &group(&json!({}), ip))], 503, "address");
    }
    for owner in
        ["s1/../web", "../../../x", "s1/rg%2f..%2fx/web", "s1/rg/web\r\nx: y", "s1/rg/w\0b", "s1/r\u{212a}/-"]
    {
        let marked =
            a_record_set("e1", &json!({"aci-dns-owner": owner, "aci-dns-previous": "../@1 10.1.5.4@x"}));
        scene.check(owner, &[(GROUP, "200 OK", &live), (A, "200 OK", &marked)], 409, "conflict");
    }
    // An ETag is sent back in a header.
    for etag in ["e1\r\nx-evil: 1", "e1\nx", "e\0"] {
        let mine = a_record_set(etag, &json!({"aci-dns-owner": "s1/rg/web"}));
        scene.answers(&[(GROUP, "200 OK", &live), (A, "200 OK", &mine)]);
        let (status, text) = scene.event(&id("rg", "web"));
        assert!(status >= 500, "{etag:?}: {status} {text}");
        let heads = scene.azure.heads.lock().unwrap().join("");
        assert!(!heads.contains("x-evil") && !heads.contains("PUT "), "{heads}");
    }
    // The group is deleted; record sets with invalid names contain its name.
    for name in [
        "../../x",
        "4.5%2f..%2f",
        "4.5\r\nx",
        "4\0.5",
        "４.5",
        "4.5/../6.5",
        "256.5",
        "4.5.6",
        &"4.".repeat(5000),
    ] {
        let page = ptr_page(name, "web.a.internal.", None);
        scene.check(name, &[("/PTR", "200 OK", &page)], 200, "no records");
    }
    scene.end();
}

#[test]
fn hostile_events_send_no_requests() {
    let scene = Scene::new();
    scene.answers(&[]);
    let long = "a".repeat(200_000);
    for (subject, expected) in [
        (id("rg", "../web"), 200),
        (id("rg", ".."), 400),
        (id("rg", "w%65b"), 400),
        (id("rg", "web%2f..%2fx"), 400),
        (id("rg", "web\r\nx: y"), 400),
        (id("rg", "web\0"), 400),
        (id("rg", "wеb"), 400),
        (id("rg", &long), 400),
        (id("..", "web"), 400),
        (id("rg%2f..", "web"), 400),
        (id("rg?x", "web"), 400),
        (id("rg#", "web"), 400),
        (id("rg\r\n", "web"), 400),
        (id(&long, "web"), 200),
        (id("ｒｇ", "web"), 200),
        (id("rg", "web").replace("s1", "s1%2f"), 400),
        (id("rg", "web").replace("/subscriptions", "/ſubscriptions"), 400),
        (id("rg", "web").replace("ContainerInstance", "ContaınerInstance"), 200),
        (format!("https://management.azure.com{}", id("rg", "web")), 400),
        (format!("{}/../../x", id("rg", "web")), 200),
        (format!("{}/", id("rg", "web")), 200),
    ] {
        let (status, text) = scene.event(&subject);
        let displayed: String = subject.chars().take(200).collect();
        assert_eq!(status, expected, "{displayed:?}: {}", text.chars().take(300).collect::<String>());
        assert!(text.len() < 3000, "{displayed:?} is repeated at length");
    }
    assert_eq!(scene.azure.take_paths(), BTreeSet::new());

    let bomb = vec![b' '; 17 * 1024 * 1024];
    let path = "/function_aci_reconcile";
    // A caller that is refused early may see the connection close.
    if let Some((status, _)) = exchange(scene.handler.port, "POST", path, "", &bomb) {
        assert_eq!(status, 413);
    }
    for nested in ["[".repeat(500_000), "{\"a\":".repeat(500_000), "\"".to_owned() + &"\\".repeat(500_000)] {
        let event = Value::String(nested);
        assert_eq!(invoke(scene.handler.port, &event).unwrap().0, 400);
    }
    scene.end();
}

#[test]
fn a_slow_caller_does_not_block_others() {
    let scene = Scene::new();
    scene.answers(&[]);
    let mut slow: Vec<_> =
        (0..50).map(|_| TcpStream::connect(("127.0.0.1", scene.handler.port)).unwrap()).collect();
    let text = "POST /function_aci_reconcile HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}";
    let (last, first) = text.as_bytes().split_last().unwrap();
    for byte in first {
        for stream in &mut slow {
            stream.write_all(&[*byte]).unwrap();
        }
        if byte.is_ascii_whitespace() {
            let started = Instant::now();
            assert_eq!(scene.event(&id("rg", "web")).0, 200);
            assert!(started.elapsed() < Duration::from_secs(2), "{:?}", started.elapsed());
        }
    }
    for stream in &mut slow {
        stream.write_all(&[*last]).unwrap();
        let mut answer = [0; 12];
        stream.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"HTTP/1.1 400");
    }
    drop(slow);
    let log = wait_for("the lines of the slow", || {
        Some(scene.handler.stdout()).filter(|log| log.matches("malformed").count() >= 50)
    });
    assert!(!log.contains(TOKEN));
    scene.end();
}

// U+212A is the Kelvin sign. Its lower case is an ordinary k, but it is not a letter of the mapped resource
// group.
#[tokio::test(start_paused = true)]
async fn an_event_of_a_similar_looking_resource_group_removes_nothing() {
    let world = World::new(&[]);
    world.create("web");
    world.reconcile("web").await.is(
        200,
        "changed",
        &[
            "+ A web.spoke1.contoso.internal 10.1.5.4",
            "+ PTR 4.5.1.10.in-addr.arpa web.spoke1.contoso.internal",
        ],
    );
    world.azure.clear_calls();
    world.reconcile("rg-spo\u{212a}e1/web").await.is(200, "unmanaged", &[]);
    world.has(&[&world::a("web", 4), &world::ptr("web", 4)]);
    assert_eq!(world.calls(), "");
}
