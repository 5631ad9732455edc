//! Requests over TCP on this machine.

use std::{
    collections::HashSet,
    net::SocketAddr,
    sync::atomic::{AtomicUsize, Ordering},
};

use axum::{Router, extract::ConnectInfo, routing::get};
use futures::future::{join_all, try_join_all};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};

use super::*;
use crate::config::Proxy;

/// Answers each connection's first request with the same text and counts connections. Returns its address.
async fn raw(answer: &'static [u8]) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let connections = Arc::new(AtomicUsize::new(0));
    let counted = connections.clone();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            stream.set_nodelay(true).unwrap();
            counted.fetch_add(1, Ordering::SeqCst);
            let _ = stream.read(&mut [0; 4096]).await;
            let _ = stream.write_all(answer).await;
        }
    });
    (address, connections)
}

fn writer(address: SocketAddr, deadline: Duration) -> Writer {
    arm(HttpTransport::network(), &format!("http://{address}/")).invocation(Instant::now() + deadline)
}

/// Answers every request with the same record set and keeps connections open. Returns the peers that
/// connected.
async fn keep_alive() -> (SocketAddr, Arc<Mutex<HashSet<SocketAddr>>>) {
    let peers = Arc::new(Mutex::new(HashSet::new()));
    let seen = peers.clone();
    let answer = move |ConnectInfo(peer): ConnectInfo<SocketAddr>| {
        seen.lock().unwrap().insert(peer);
        async { web().to_string() }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let service = Router::new().fallback(get(answer)).into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(axum::serve(listener, service).into_future());
    (address, peers)
}

#[tokio::test]
async fn one_connection_serves_many_requests() {
    let (address, peers) = keep_alive().await;
    let arm = arm(HttpTransport::network(), &format!("http://{address}/"));
    for _ in 0..5 {
        let writer = arm.invocation(Instant::now() + Duration::from_secs(5));
        assert!(writer.reader().a_record_set(&zone(), &name()).await.unwrap().is_some());
    }
    assert_eq!(peers.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn many_requests_share_at_most_32_connections() {
    let (address, peers) = keep_alive().await;
    let arm = arm(HttpTransport::network(), &format!("http://{address}/"));
    let event = async |_| {
        let writer = arm.invocation(Instant::now() + Duration::from_secs(20));
        let reads = (0..4).map(|_| async { writer.reader().a_record_set(&zone(), &name()).await });
        try_join_all(reads).await.unwrap().into_iter().flatten().count()
    };
    let answered: usize = join_all((0..64).map(event)).await.into_iter().sum();
    assert_eq!(answered, 256);
    let connections = peers.lock().unwrap().len();
    assert!((2..=32).contains(&connections), "{connections}");
}

/// Accepts one connection, records its request and closes it.
async fn proxy() -> (Proxy, tokio::task::JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://user:secret@{}", listener.local_addr().unwrap()).parse().unwrap();
    let request = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut said = [0; 4096];
        let length = stream.read(&mut said).await.unwrap();
        stream.write_all(b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        String::from_utf8(said[..length].to_vec()).unwrap()
    });
    (Proxy { url, except: String::new() }, request)
}

#[tokio::test]
async fn a_proxy_carries_requests_by_https() {
    let (proxy, request) = proxy().await;
    let arm = arm(HttpTransport::network_through(Some(proxy)), "https://management.azure.com/");
    let writer = arm.invocation(Instant::now() + Duration::from_millis(500));
    let error = writer.reader().a_record_set(&zone(), &name()).await.unwrap_err();
    let request = request.await.unwrap();
    assert!(request.starts_with("CONNECT management.azure.com:443 HTTP/1.1\r\n"), "{request}");
    assert!(request.to_lowercase().contains("proxy-authorization: basic"), "{request}");
    assert_eq!(error.kind(), Kind::Transient);
    assert!(!chain(&error).contains("secret"), "{}", chain(&error));
}

#[tokio::test]
async fn no_proxy_carries_requests_to_this_machine() {
    let (address, connections) = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    for endpoint in [
        format!("http://{address}/"),
        format!("https://{address}/"),
        format!("https://localhost:{}/", address.port()),
    ] {
        let (proxy, request) = proxy().await;
        let arm = arm(HttpTransport::network_through(Some(proxy)), &endpoint);
        let writer = arm.invocation(Instant::now() + Duration::from_millis(300));
        let _ = writer.reader().a_record_set(&zone(), &name()).await;
        assert!(!request.is_finished(), "{endpoint}");
        request.abort();
    }
    assert!(connections.load(Ordering::SeqCst) > 2, "the others went to this machine");
}

#[tokio::test]
async fn a_redirect_is_not_followed() {
    let (elsewhere, connections) = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}").await;
    let location = format!(
        "HTTP/1.1 307 Moved\r\nlocation: http://{elsewhere}/subscriptions/s1\r\ncontent-length: 0\r\n\r\n"
    );
    let (address, _) = raw(location.leak().as_bytes()).await;
    let writer = writer(address, Duration::from_secs(5));
    let reading = writer.reader().a_record_set(&zone(), &name()).await.unwrap_err();
    let writing =
        writer.put_a_record_set(&zone(), &name(), &web_content(), &Precondition::Absent).await.unwrap_err();
    assert_eq!((reading.kind(), writing.kind()), (Kind::Refused, Kind::Refused));
    assert_eq!(connections.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn a_truncated_answer_is_retried_for_a_read_and_uncertain_for_a_write() {
    let (address, connections) = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{\"na").await;
    let writer = writer(address, Duration::from_secs(1));
    let reading = writer.reader().a_record_set(&zone(), &name()).await.unwrap_err();
    assert_eq!(reading.kind(), Kind::Transient);
    let read = connections.load(Ordering::SeqCst);
    assert!(read > 1);
    let writer = arm(HttpTransport::network(), &format!("http://{address}/"))
        .invocation(Instant::now() + Duration::from_secs(1));
    let writing =
        writer.put_a_record_set(&zone(), &name(), &web_content(), &Precondition::Absent).await.unwrap_err();
    assert_eq!(writing.kind(), Kind::Uncertain);
    assert_eq!(connections.load(Ordering::SeqCst), read + 1);
}

#[tokio::test]
async fn an_answer_whose_announced_size_exceeds_the_limit_is_not_read() {
    let (address, _) = raw(b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n{").await;
    let writer = writer(address, Duration::from_secs(5));
    let error = writer.reader().a_record_set(&zone(), &name()).await.unwrap_err();
    assert_eq!((error.kind(), writer.reader().calls()), (Kind::Refused, 1), "{}", chain(&error));
}

#[tokio::test]
async fn a_write_without_a_connection_did_not_happen() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let writer = writer(address, Duration::from_millis(500));
    let error =
        writer.put_a_record_set(&zone(), &name(), &web_content(), &Precondition::Absent).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Transient, "{}", chain(&error));
    assert!(writer.reader().calls() > 1);
}
