//! Queries DNS servers over UDP, and over TCP if an answer is truncated.
//!
//! A question has a random id and the port of a new socket, and an answer is accepted only with the same id and question
//! (RFC 5452). Names in answers are in lower case, without a trailing dot.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use ring::rand::{SecureRandom as _, SystemRandom};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord, TYPE, rdata::RData};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpStream, UdpSocket},
    time::timeout,
};

use super::answer::{Code, DnsAnswer, QueryType, Soa, without_dot};

const PORT: u16 = 53;
/// The file that names the system's DNS servers (resolv.conf(5)).
const CONFIGURATION: &str = "/etc/resolv.conf";
/// How often a question is sent.
const TRIES: usize = 2;
const ANSWER_WAIT: Duration = Duration::from_secs(2);
/// The size of the buffer for answers over UDP. Without EDNS they have at most 512 bytes, but larger ones are read, too.
const MOST_BYTES: usize = 4096;

/// Why there is no DNS server to query.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The file that names the servers cannot be read.
    #[error("{CONFIGURATION} cannot be read; name a DNS server with --resolver")]
    Configuration(#[source] io::Error),
    /// The file names no server.
    #[error("{CONFIGURATION} names no DNS server; name one with --resolver")]
    NoServer,
}

/// A client of some DNS servers.
#[derive(Clone, Debug)]
pub struct Client {
    servers: Vec<SocketAddr>,
    tries: usize,
    answer_wait: Duration,
}

impl Client {
    /// A client of this server, or of those of the system.
    pub fn new(server: Option<SocketAddr>) -> Result<Self, ClientError> {
        let servers = match server {
            Some(server) => vec![server],
            None => nameservers(&fs::read_to_string(CONFIGURATION).map_err(ClientError::Configuration)?),
        };
        if servers.is_empty() {
            return Err(ClientError::NoServer);
        }
        Ok(Self { servers, tries: TRIES, answer_wait: ANSWER_WAIT })
    }

    /// The same client with another timeout for each answer.
    #[must_use]
    pub fn waiting(self, answer_wait: Duration) -> Self {
        Self { answer_wait, ..self }
    }

    /// The queried servers.
    #[must_use]
    pub fn servers(&self) -> &[SocketAddr] {
        &self.servers
    }

    /// Queries the servers one after the other, until one answers. `None` if none answers in time.
    pub async fn query(&self, name: &str, kind: QueryType) -> Option<DnsAnswer> {
        for server in self.servers.iter().cycle().take(self.tries.max(self.servers.len())) {
            let message = question(name, kind)?;
            match timeout(self.answer_wait, exchange(*server, &message)).await {
                Ok(Ok(bytes)) => return read(&bytes, kind),
                Ok(Err(error)) => tracing::debug!(%server, %error, "cannot query a DNS server"),
                Err(_) => tracing::debug!(%server, "a DNS server does not answer"),
            }
        }
        None
    }
}

/// A DNS server as `ADDR[:PORT]`.
pub fn server(text: &str) -> Result<SocketAddr, String> {
    let address = text.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    text.parse()
        .or_else(|_| address.map(|address| SocketAddr::new(address, PORT)))
        .map_err(|_| "it must be an address such as 10.0.0.4, 127.0.0.1:8053 or [::1]:53".to_owned())
}

/// The servers that a resolv.conf names. Addresses with a zone are left out.
#[must_use]
pub fn nameservers(text: &str) -> Vec<SocketAddr> {
    let lines = text.lines().filter_map(|line| line.trim_start().strip_prefix("nameserver"));
    let addresses = lines.filter_map(|rest| rest.split_whitespace().next()?.parse::<IpAddr>().ok());
    // Like the resolver of the C library, which uses at most three.
    addresses.take(3).map(|address| SocketAddr::new(address, PORT)).collect()
}

fn question(name: &str, kind: QueryType) -> Option<Vec<u8>> {
    let mut id = [0; 2];
    SystemRandom::new().fill(&mut id).ok()?;
    let mut query = Packet::new_query(u16::from_be_bytes(id));
    query.set_flags(PacketFlag::RECURSION_DESIRED);
    let (qtype, qclass) = (QTYPE::TYPE(type_of(kind)), QCLASS::CLASS(CLASS::IN));
    query.questions.push(simple_dns::Question::new(Name::new(name).ok()?, qtype, qclass, false));
    query.build_bytes_vec().ok()
}

fn type_of(kind: QueryType) -> TYPE {
    match kind {
        QueryType::A => TYPE::A,
        QueryType::Ptr => TYPE::PTR,
        QueryType::Soa => TYPE::SOA,
    }
}

/// Sends a question over UDP, and again over TCP if the answer is truncated.
async fn exchange(server: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
    let local: SocketAddr = match server {
        SocketAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    };
    let socket = UdpSocket::bind(local).await?;
    // A connected socket receives no messages of other senders.
    socket.connect(server).await?;
    socket.send(message).await?;
    let mut buffer = vec![0; MOST_BYTES];
    loop {
        let length = socket.recv(&mut buffer).await?;
        let Some(bytes) = buffer.get(..length).filter(|bytes| answers(message, bytes)) else { continue };
        let is_truncated = Packet::parse(bytes).is_ok_and(|it| it.has_flags(PacketFlag::TRUNCATION));
        return if is_truncated { exchange_over_tcp(server, message).await } else { Ok(bytes.to_vec()) };
    }
}

async fn exchange_over_tcp(server: SocketAddr, message: &[u8]) -> io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect(server).await?;
    let length = u16::try_from(message.len()).map_err(io::Error::other)?;
    stream.write_all(&[&length.to_be_bytes(), message].concat()).await?;
    let mut length = [0; 2];
    stream.read_exact(&mut length).await?;
    let mut bytes = vec![0; usize::from(u16::from_be_bytes(length))];
    stream.read_exact(&mut bytes).await?;
    if answers(message, &bytes) { Ok(bytes) } else { Err(io::Error::from(io::ErrorKind::InvalidData)) }
}

/// Whether a message answers a question.
fn answers(question: &[u8], answer: &[u8]) -> bool {
    let (Ok(question), Ok(answer)) = (Packet::parse(question), Packet::parse(answer)) else { return false };
    let key = |packet: &Packet<'_>| {
        let question = packet.questions.first();
        question.map(|it| (without_dot(&it.qname.to_string()), u16::from(it.qtype)))
    };
    answer.has_flags(PacketFlag::RESPONSE) && answer.id() == question.id() && key(&answer) == key(&question)
}

fn read(bytes: &[u8], kind: QueryType) -> Option<DnsAnswer> {
    let packet = Packet::parse(bytes).ok()?;
    let code = match packet.rcode() {
        RCODE::NoError => Code::NoError,
        RCODE::NameError => Code::NxDomain,
        other => Code::Other(number(other)),
    };
    let soa = packet.answers.iter().chain(&packet.name_servers).find_map(soa);
    let values: Vec<_> = packet.answers.iter().filter_map(|record| value(record, kind)).collect();
    let records = if values.is_empty() { &packet.name_servers } else { &packet.answers };
    let ttl = records.iter().map(|record| record.ttl).min().unwrap_or(0);
    Some(DnsAnswer { code, values, ttl, soa })
}

/// The number of a response code.
fn number(code: RCODE) -> u16 {
    (0..=16).find(|number| RCODE::from(*number) == code).unwrap_or(16)
}

fn soa(record: &ResourceRecord<'_>) -> Option<Soa> {
    let RData::SOA(soa) = &record.rdata else { return None };
    let (zone, server) = (without_dot(&record.name.to_string()), without_dot(&soa.mname.to_string()));
    Some(Soa { zone, server })
}

fn value(record: &ResourceRecord<'_>, kind: QueryType) -> Option<String> {
    match (&record.rdata, kind) {
        (RData::A(a), QueryType::A) => Some(Ipv4Addr::from(a.address).to_string()),
        (RData::PTR(name), QueryType::Ptr) => Some(without_dot(&name.0.to_string())),
        _ => None,
    }
}
