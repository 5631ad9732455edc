//! The simulated Azure on a socket.

use std::future::Future;
use std::sync::Arc;

use axum::serve::ListenerExt;
use tokio::net::TcpListener;

use super::Azure;
use super::tls::{TlsListener, send_at_once};

/// Serves an Azure over HTTP until the shutdown completes.
pub async fn serve(
    azure: Azure,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let listener = listener.tap_io(|stream| send_at_once(stream));
    axum::serve(listener, azure.router()).with_graceful_shutdown(closing(azure, shutdown)).await
}

/// Serves an Azure over HTTPS, with a certificate of [`super::Certificates`] or any other, until the shutdown completes. Links
/// in answers are `https`, too.
pub async fn serve_tls(
    azure: Azure,
    listener: TcpListener,
    config: Arc<rustls::ServerConfig>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let listener = TlsListener::new(listener, config);
    axum::serve(listener, azure.router_over("https")).with_graceful_shutdown(closing(azure, shutdown)).await
}

/// Ends the streams of pages at the shutdown, because a graceful end waits for every answer.
async fn closing(azure: Azure, shutdown: impl Future<Output = ()> + Send) {
    shutdown.await;
    azure.close_streams();
}
