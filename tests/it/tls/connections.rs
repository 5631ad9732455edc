//! How many connections a storm opens: at most 32 to one host, whatever the server offers, and also after the server has
//! closed connections that were idle.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use axum::body::Body;
use azure_simulator::{Azure, GroupSpec};
use http::{Request, StatusCode};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use rustls::ServerConfig;
use tokio::{net::TcpListener, sync::watch};
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::{BOTH, GOOD, azure, certificate, handler, run};
use crate::processes::invoke;

const EVENTS: usize = 64;

/// What a server sees of its connections.
#[derive(Debug, Default)]
struct Connections {
    open: AtomicUsize,
    most: AtomicUsize,
    opened: AtomicUsize,
    /// The protocols that were agreed on.
    protocols: Mutex<BTreeSet<Option<Vec<u8>>>>,
}

/// Serves HTTP/1.1 over TLS, and closes every connection at a signal.
async fn serve(
    azure: Azure,
    listener: TcpListener,
    config: Arc<ServerConfig>,
    connections: Arc<Connections>,
    close: watch::Receiver<()>,
) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        let (acceptor, router) = (TlsAcceptor::from(Arc::clone(&config)), azure.router());
        let (connections, mut close) = (Arc::clone(&connections), close.clone());
        tokio::spawn(async move {
            connections.opened.fetch_add(1, Ordering::SeqCst);
            let open = connections.open.fetch_add(1, Ordering::SeqCst) + 1;
            connections.most.fetch_max(open, Ordering::SeqCst);
            if let Ok(stream) = acceptor.accept(stream).await {
                let protocol = stream.get_ref().1.alpn_protocol().map(<[u8]>::to_vec);
                connections.protocols.lock().unwrap().insert(protocol);
                let service = service_fn(move |request: Request<Incoming>| {
                    router.clone().oneshot(request.map(Body::new))
                });
                close.mark_unchanged();
                tokio::select! {
                    _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service) => (),
                    _ = close.changed() => (),
                }
            }
            connections.open.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

/// Serves 64 events at once, twice; between the two, the server closes all connections.
fn storm(protocols: &[&[u8]]) -> Arc<Connections> {
    let folder = tempfile::tempdir().unwrap();
    let (authority, config) = certificate(GOOD, BOTH);
    let mut config = ServerConfig::clone(&config);
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    let file = folder.path().join("ca.pem");
    std::fs::write(&file, authority).unwrap();
    let (azure, _) = azure();
    azure.configure(|settings| settings.latency = Duration::from_millis(20));
    for number in 0..EVENTS {
        azure.create_group(GroupSpec::new("rg-spoke1", &format!("w{number}")));
    }
    let connections = Arc::<Connections>::default();
    let (close, closed) = watch::channel(());
    let port = {
        let (azure, connections) = (azure.clone(), Arc::clone(&connections));
        run(async move |listener| serve(azure, listener, Arc::new(config), connections, closed).await)
    };
    let handler = handler(&azure, port, folder.path(), &[("SSL_CERT_FILE", file.to_str().unwrap())]);
    let events = azure.take_events();
    assert_eq!(events.len(), EVENTS);
    for _ in 0..2 {
        thread::scope(|scope| {
            for event in &events {
                scope.spawn(|| {
                    let (status, answer) = invoke(handler.port, event).unwrap();
                    assert_eq!(status, StatusCode::OK.as_u16(), "{answer}");
                });
            }
        });
        close.send_replace(());
    }
    let right = (0..EVENTS)
        .filter(|number| azure.record_set("spoke1.contoso.internal", "A", &format!("w{number}")).is_some());
    assert_eq!(right.count(), EVENTS);
    connections
}

fn check(protocols: &[&[u8]], agreed: Option<&[u8]>) {
    let connections = storm(protocols);
    let most = connections.most.load(Ordering::SeqCst);
    // More than a few, or the bound would say nothing; the closed ones were opened again.
    assert!((9..=32).contains(&most), "{most} connections");
    assert!(connections.opened.load(Ordering::SeqCst) > most, "{connections:?}");
    assert_eq!(*connections.protocols.lock().unwrap(), BTreeSet::from([agreed.map(<[u8]>::to_vec)]));
}

#[test]
fn sixty_four_events_at_once_open_at_most_32_connections() {
    check(&[], None);
}

#[test]
fn a_server_that_offers_http_2_gets_at_most_32_connections_of_http_1() {
    check(&[b"h2", b"http/1.1"], Some(b"http/1.1"));
}
