//! The handler over TLS: whom it trusts, what it refuses, and connections that are closed while they are idle.
//!
//! The program runs as a process, as in production, and finds the authorities that it trusts where the machine has them:
//! in the file of `SSL_CERT_FILE`, or in the files of the folder `SSL_CERT_DIR`, whatever their names.
//! Resource Manager is the simulator in this process, over HTTPS; the managed identity endpoint is plain HTTP, as on App
//! Service.

mod connections;

use std::fmt::Write as _;
use std::future;
use std::net::TcpListener as StdListener;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use axum::body::Body;
use azure_simulator::{self as simulator, Azure, Certificates, GroupSpec, Settings};
use http::{Request, header};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, SupportedProtocolVersion};
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use crate::processes::{Program, invoke};

const ZONES: &str = r#"{"rg-spoke1": {"forwardZone": "spoke1.contoso.internal", "reverseZones": [],
                        "zoneResourceGroup": "rg-dns"}}"#;

/// How a certificate is made.
#[derive(Clone, Copy)]
struct Certificate {
    name: &'static str,
    /// The last year in which it is good.
    until: i32,
    is_self_signed: bool,
}

const GOOD: Certificate = Certificate { name: "localhost", until: 2100, is_self_signed: false };

/// The authority as a PEM file, and a server with a certificate of it.
fn certificate(
    wanted: Certificate,
    versions: &[&'static SupportedProtocolVersion],
) -> (String, Arc<ServerConfig>) {
    let key = KeyPair::generate().unwrap();
    let mut authority = CertificateParams::default();
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let root = authority.self_signed(&key).unwrap();
    let issuer = Issuer::new(authority, key);
    let mut server = CertificateParams::new([wanted.name.to_owned()]).unwrap();
    server.not_after = rcgen::date_time_ymd(wanted.until, 12, 31);
    let key = KeyPair::generate().unwrap();
    let signed =
        if wanted.is_self_signed { server.self_signed(&key) } else { server.signed_by(&key, &issuer) };
    let chain: Vec<CertificateDer<'static>> = vec![signed.unwrap().der().clone()];
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
    let config = config.with_no_client_auth().with_single_cert(chain, key).unwrap();
    (pem(root.der()), Arc::new(config))
}

fn pem(der: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::prelude::BASE64_STANDARD.encode(der);
    format!("-----BEGIN CERTIFICATE-----\n{text}\n-----END CERTIFICATE-----\n")
}

/// Azure with one group and its zone, whose tokens are good for longer than this test will be run.
fn azure() -> (Azure, Value) {
    let settings = Settings {
        identity_header: "simulator".to_owned(),
        epoch_seconds: 4_000_000_000,
        ..Settings::default()
    };
    let azure = Azure::new(settings);
    azure.create_zone("00000000-0000-0000-0000-000000000000", "rg-dns", "spoke1.contoso.internal");
    azure.create_group(GroupSpec::new("rg-spoke1", "web"));
    let event = azure.take_events().remove(0);
    (azure, event)
}

/// Runs a server on a thread of its own until the process ends, and answers its port.
fn run<F: Future<Output = ()>>(serve: impl FnOnce(TcpListener) -> F + Send + 'static) -> u16 {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async { serve(TcpListener::from_std(listener).unwrap()).await });
    });
    port
}

fn serve_tls(azure: &Azure, config: Arc<ServerConfig>) -> u16 {
    let azure = azure.clone();
    run(async move |listener| {
        simulator::serve_tls(azure, listener, config, future::pending()).await.unwrap();
    })
}

/// The handler as a process, with Resource Manager at this port.
fn handler(azure: &Azure, port: u16, folder: &Path, trust: &[(&str, &str)]) -> Program {
    let identity = {
        let azure = azure.clone();
        run(async move |listener| simulator::serve(azure, listener, future::pending()).await.unwrap())
    };
    let endpoint = format!("https://localhost:{port}/");
    let identity = format!("http://127.0.0.1:{identity}/msi/token");
    let variables = [
        ("ACI_DNS_ZONES", ZONES),
        ("ACI_DNS_ARM_ENDPOINT", endpoint.as_str()),
        ("ACI_DNS_DEADLINE_SECONDS", "10"),
        ("IDENTITY_ENDPOINT", identity.as_str()),
        ("IDENTITY_HEADER", "simulator"),
    ];
    Program::start(folder, &["serve", "--port", "0"], &[&variables, trust].concat())
}

/// What the handler answers to the event of the group: status and body.
fn handled(azure: &Azure, port: u16, event: &Value, folder: &Path, trust: &[(&str, &str)]) -> (u16, String) {
    let handler = handler(azure, port, folder, trust);
    invoke(handler.port, event).unwrap()
}

/// The address of the group in its zone.
fn address(azure: &Azure) -> Option<String> {
    azure.record_set("spoke1.contoso.internal", "A", "web")?.values.first().cloned()
}

/// The address in the zone, once the handler has run with this authority.
#[track_caller]
fn check(wanted: Certificate, versions: &[&'static SupportedProtocolVersion], expected: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    let (authority, config) = certificate(wanted, versions);
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, authority).unwrap();
    let (azure, event) = azure();
    let port = serve_tls(&azure, config);
    let trust = [("SSL_CERT_FILE", file.to_str().unwrap())];
    let (status, answer) = handled(&azure, port, &event, folder.path(), &trust);
    assert_eq!(
        (status, address(&azure).as_deref()),
        (if expected.is_some() { 200 } else { 500 }, expected),
        "{status} {answer}"
    );
    if expected.is_none() {
        assert!(azure.calls().is_empty(), "no request is sent to a server that is not trusted");
    }
}

const BOTH: &[&SupportedProtocolVersion] = &[&rustls::version::TLS12, &rustls::version::TLS13];
const ADDRESS: Option<&str> = Some("10.1.0.4");

#[test]
fn a_private_authority_is_trusted_by_its_file_with_tls_1_2_and_1_3() {
    check(GOOD, &[&rustls::version::TLS12], ADDRESS);
    check(GOOD, &[&rustls::version::TLS13], ADDRESS);
}

#[test]
fn a_certificate_that_is_expired_of_another_name_or_self_signed_is_refused() {
    check(Certificate { until: 2020, ..GOOD }, BOTH, None);
    check(Certificate { name: "management.contoso.internal", ..GOOD }, BOTH, None);
    check(Certificate { is_self_signed: true, ..GOOD }, BOTH, None);
}

#[test]
fn the_authorities_of_a_folder_are_trusted_and_no_others() {
    for expected in [ADDRESS, None] {
        let (folder, authorities) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (authority, config) = certificate(GOOD, BOTH);
        let other = certificate(GOOD, BOTH).0;
        let trusted = if expected.is_some() { authority } else { other };
        std::fs::write(authorities.path().join("authority.pem"), trusted).unwrap();
        let (azure, event) = azure();
        let port = serve_tls(&azure, config);
        let trust = [("SSL_CERT_DIR", authorities.path().to_str().unwrap())];
        let (status, answer) = handled(&azure, port, &event, folder.path(), &trust);
        assert_eq!(
            (status, address(&azure).as_deref()),
            (if expected.is_some() { 200 } else { 500 }, expected),
            "{status} {answer}"
        );
    }
}

#[test]
fn the_authority_of_the_simulator_is_one_that_the_handler_can_trust() {
    let folder = tempfile::tempdir().unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let certificates = Certificates::new(now).unwrap();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, certificates.authority()).unwrap();
    let (azure, event) = azure();
    let port = serve_tls(&azure, certificates.config());
    let trust = [("SSL_CERT_FILE", file.to_str().unwrap())];
    let (status, answer) = handled(&azure, port, &event, folder.path(), &trust);
    assert_eq!(status, 200, "{answer}");
}

/// Answers one request on each connection, says that it stays open, and closes it: what a server does to a connection
/// that is idle for longer than it likes.
async fn serve_once_each(
    azure: Azure,
    listener: TcpListener,
    config: Arc<ServerConfig>,
    connections: Arc<AtomicUsize>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        connections.fetch_add(1, Ordering::Relaxed);
        let (acceptor, azure) = (TlsAcceptor::from(Arc::clone(&config)), azure.clone());
        tokio::spawn(async move {
            let Ok(mut stream) = acceptor.accept(stream).await else { return };
            let Some(request) = read(&mut stream).await else { return };
            let response = azure.router().oneshot(request).await.unwrap();
            let (parts, body) = response.into_parts();
            let body = axum::body::to_bytes(body, usize::MAX).await.unwrap();
            let mut answer =
                format!("HTTP/1.1 {}\r\ncontent-length: {}\r\n", parts.status.as_u16(), body.len());
            for (name, value) in &parts.headers {
                write!(answer, "{name}: {}\r\n", value.to_str().unwrap()).unwrap();
            }
            let _ = stream.write_all(&[answer.as_bytes(), b"\r\n", &body].concat()).await;
            let _ = stream.shutdown().await;
        });
    }
}

/// One request, whole.
async fn read(stream: &mut (impl tokio::io::AsyncRead + Unpin)) -> Option<Request<Body>> {
    let mut bytes = Vec::new();
    loop {
        if let Some(end) = bytes.windows(4).position(|it| it == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let mut lines = head.lines();
            let mut words = lines.next().unwrap().split(' ');
            let mut request = Request::builder().method(words.next().unwrap()).uri(words.next().unwrap());
            let mut length = 0;
            for (name, value) in lines.filter_map(|line| line.split_once(": ")) {
                if name.eq_ignore_ascii_case(header::CONTENT_LENGTH.as_str()) {
                    length = value.parse().unwrap();
                }
                request = request.header(name, value);
            }
            let body = bytes[end + 4..].to_vec();
            if body.len() >= length {
                return Some(request.body(Body::from(body)).unwrap());
            }
        }
        let mut more = [0; 4096];
        match stream.read(&mut more).await {
            Ok(0) | Err(_) => return None,
            Ok(count) => bytes.extend(&more[..count]),
        }
    }
}

#[test]
fn a_server_that_closes_idle_connections_fails_no_invocation() {
    let folder = tempfile::tempdir().unwrap();
    let (authority, config) = certificate(GOOD, BOTH);
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, authority).unwrap();
    let (azure, event) = azure();
    let connections = Arc::new(AtomicUsize::new(0));
    let port = {
        let (azure, connections) = (azure.clone(), Arc::clone(&connections));
        run(async move |listener| serve_once_each(azure, listener, config, connections).await)
    };
    let trust = [("SSL_CERT_FILE", file.to_str().unwrap())];
    let (status, answer) = handled(&azure, port, &event, folder.path(), &trust);
    assert_eq!(status, 200, "{answer}");
    assert!(azure.record_set("spoke1.contoso.internal", "A", "web").is_some());
    let requests = azure.calls().len();
    assert!(
        connections.load(Ordering::Relaxed) >= requests && requests > 2,
        "each request had its connection"
    );
}
