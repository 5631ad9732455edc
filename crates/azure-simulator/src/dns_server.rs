//! The resolver on UDP and TCP, with one loopback address per virtual network: 127.0.0.1 answers like the resolver of the
//! first network, and 127.0.0.2 like that of the second one.

use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Azure;
use super::resolver::Transport;

/// The number of attempts to find a port that is free for both UDP and TCP.
const TRIES: usize = 16;
/// The largest number of served addresses.
const MOST_VIEWS: u8 = 16;
/// How long a TCP connection may be idle.
const IDLE: Duration = Duration::from_secs(10);
/// The largest number of TCP connections at a time.
const MOST_CONNECTIONS: usize = 64;

/// Bound sockets that are not served yet.
#[derive(Debug)]
pub struct DnsListeners {
    port: u16,
    views: Vec<(UdpSocket, TcpListener)>,
}

impl DnsListeners {
    /// Binds a port on 127.0.0.1 and the following loopback addresses, one for each network; 0 takes a free port. Later
    /// addresses that the system does not have are left out.
    pub async fn bind(port: u16, networks: usize) -> io::Result<Self> {
        let first = bind_first(port).await?;
        let port = first.0.local_addr()?.port();
        let mut views = vec![first];
        let most = u8::try_from(networks).unwrap_or(u8::MAX).min(MOST_VIEWS);
        for number in 2..=most {
            match bind(SocketAddr::from((Ipv4Addr::new(127, 0, 0, number), port))).await {
                Ok(view) => views.push(view),
                Err(_) => break,
            }
        }
        Ok(Self { port, views })
    }

    /// The port of every address.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The number of served networks.
    #[must_use]
    pub fn networks(&self) -> usize {
        self.views.len()
    }

    /// Answers questions until the future is dropped.
    pub async fn serve(self, azure: Azure) {
        let mut tasks = JoinSet::new();
        for (view, (udp, tcp)) in self.views.into_iter().enumerate() {
            tasks.spawn(serve_udp(azure.clone(), view, udp));
            tasks.spawn(serve_tcp(azure.clone(), view, tcp));
        }
        while tasks.join_next().await.is_some() {}
    }
}

async fn bind(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener)> {
    let tcp = TcpListener::bind(address).await?;
    let udp = UdpSocket::bind(tcp.local_addr()?).await?;
    Ok((udp, tcp))
}

async fn bind_first(port: u16) -> io::Result<(UdpSocket, TcpListener)> {
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    for _ in 1..TRIES {
        match bind(address).await {
            // The free TCP port may be in use for UDP.
            Err(_) if port == 0 => {}
            bound => return bound,
        }
    }
    bind(address).await
}

async fn serve_udp(azure: Azure, view: usize, socket: UdpSocket) {
    let mut buffer = vec![0; usize::from(u16::MAX)];
    loop {
        // An error belongs to an earlier answer, whose client has closed its socket.
        let Ok((length, client)) = socket.recv_from(&mut buffer).await else { continue };
        let answer = buffer.get(..length).and_then(|message| azure.resolve(view, message, Transport::Udp));
        if let Some(answer) = answer
            && let Err(error) = socket.send_to(&answer, client).await
        {
            tracing::debug!(%error, "a DNS answer cannot be sent");
        }
    }
}

async fn serve_tcp(azure: Azure, view: usize, listener: TcpListener) {
    let permits = Arc::new(tokio::sync::Semaphore::new(MOST_CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&permits).acquire_owned().await else { return };
        let Ok((stream, _)) = listener.accept().await else { continue };
        let azure = azure.clone();
        connections.spawn(async move {
            if let Err(error) = serve_connection(azure, view, stream).await {
                tracing::debug!(%error, "a DNS connection ended");
            }
            drop(permit);
        });
        while connections.try_join_next().is_some() {}
    }
}

/// Each message follows its length in two bytes (RFC 1035, section 4.2.2).
async fn serve_connection(azure: Azure, view: usize, mut stream: TcpStream) -> io::Result<()> {
    loop {
        let mut length = [0; 2];
        timeout(IDLE, stream.read_exact(&mut length)).await??;
        let mut message = vec![0; usize::from(u16::from_be_bytes(length))];
        timeout(IDLE, stream.read_exact(&mut message)).await??;
        let Some(answer) = azure.resolve(view, &message, Transport::Tcp) else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        stream.write_all(&[&length.to_be_bytes(), answer.as_slice()].concat()).await?;
    }
}
