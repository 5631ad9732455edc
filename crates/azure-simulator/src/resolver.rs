//! The resolver of a virtual network (168.63.129.16): it answers from the record sets of the zones that are linked to
//! the network.
//!
//! A name belongs to the longest linked zone that contains it, and is not looked up elsewhere. A missing name is
//! NXDOMAIN, a missing type is an empty answer; both contain the SOA of the zone with a TTL of 10 seconds. A name outside
//! the linked zones is resolved publicly, where the names of this simulator do not exist: NXDOMAIN with the SOA of the
//! root. Answers have the flags `qr rd ra` and never `aa`, like those of the real resolver. Wildcards follow RFC 4592.
//!
//! Deliberately absent: DNSSEC, zone transfers, auto-registered PTR records and the public DNS.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use serde_json::{Value, json};
use simple_dns::rdata::{A, AAAA, CNAME, MX, OPT, PTR, RData, SOA, SRV, TXT};
use simple_dns::{
    CLASS, CharacterString, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord,
};

use super::messages::field;
use super::private_dns::{RecordType, Zone};
use super::{Azure, World};

/// The largest answer over UDP to a question without EDNS (RFC 1035, section 4.2.1), and to one with it.
const CLASSIC_BYTES: usize = 512;
const MOST_UDP_BYTES: usize = 1232;
/// The longest chain of CNAME records.
const MOST_ALIASES: usize = 8;
/// The largest number of cached answers.
const MOST_CACHED: usize = 10_000;

/// The settings of the resolver.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ResolverSettings {
    /// Whether answers are cached until their TTL ends.
    pub caches: bool,
    /// Whether questions get no answer.
    pub is_silent: bool,
    /// Zones of a custom DNS server of the network, which hide linked zones. They are empty.
    pub shadowed: Vec<String>,
    /// The largest answer over UDP, if the client accepts larger ones.
    pub udp_bytes: Option<usize>,
}

/// The transport of a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// Large answers are truncated.
    Udp,
    /// Answers are complete.
    Tcp,
}

/// The settings of the resolver, and its cache by network, lower-case name and type.
#[derive(Debug, Default)]
pub(super) struct Resolver {
    pub(super) settings: ResolverSettings,
    cache: BTreeMap<(String, String, u16), Cached>,
}

#[derive(Debug)]
struct Cached {
    at: Duration,
    resolution: Resolution,
}

/// An entry of an answer, with the record in the form of the REST API.
#[derive(Debug, Clone, PartialEq)]
struct Entry {
    name: String,
    record_type: RecordType,
    ttl: u32,
    record: Value,
}

/// An answer before it is encoded.
#[derive(Debug, Clone)]
struct Resolution {
    code: RCODE,
    answers: Vec<Entry>,
    authority: Option<Entry>,
}

impl Resolution {
    fn negative(code: RCODE, authority: Entry) -> Self {
        Self { code, answers: Vec::new(), authority: Some(authority) }
    }

    fn refusal(code: RCODE) -> Self {
        Self { code, answers: Vec::new(), authority: None }
    }

    /// How long it may be cached, in seconds.
    fn ttl(&self) -> u32 {
        self.answers.iter().chain(&self.authority).map(|entry| entry.ttl).min().unwrap_or(0)
    }

    /// The same answer from a cache, after this number of seconds.
    fn aged(mut self, seconds: u32) -> Self {
        for entry in self.answers.iter_mut().chain(&mut self.authority) {
            entry.ttl = entry.ttl.saturating_sub(seconds);
        }
        self
    }
}

impl Azure {
    /// Changes the settings of the resolver, and empties the cache.
    pub fn set_resolver(&self, settings: ResolverSettings) {
        self.world().resolver = Resolver { settings, cache: BTreeMap::new() };
    }

    /// Answers a DNS message like the resolver of a virtual network. `view` is the number of the network in the order of
    /// the resource ids, from 0. `None` if the real resolver would not answer.
    #[must_use]
    pub fn resolve(&self, view: usize, message: &[u8], transport: Transport) -> Option<Vec<u8>> {
        let mut world = self.world();
        if world.resolver.settings.is_silent {
            return None;
        }
        let network = world.network_ids().into_iter().nth(view).unwrap_or_default();
        let Ok(query) = Packet::parse(message) else { return malformed(message) };
        if query.has_flags(PacketFlag::RESPONSE) {
            return None;
        }
        let resolution = world.answer_query(&network, &query);
        let most = match transport {
            Transport::Tcp => usize::from(u16::MAX),
            Transport::Udp => {
                let accepted = query.opt().map_or(CLASSIC_BYTES, |opt| usize::from(opt.udp_packet_size));
                let sent = world.resolver.settings.udp_bytes.unwrap_or(MOST_UDP_BYTES);
                accepted.clamp(CLASSIC_BYTES, MOST_UDP_BYTES).min(sent)
            }
        };
        world.note_query(&network, &query, &resolution, transport);
        encode(&query, &resolution, most)
    }
}

impl World {
    /// The virtual networks that have a subnet or a link, by lower-case resource id.
    pub(super) fn network_ids(&self) -> Vec<String> {
        let of_subnets = self.pools.keys().filter_map(|key| Some(key.split_once("/subnets/")?.0.to_owned()));
        let of_links = self.zones.values().flat_map(|zone| zone.links.values()).filter_map(network_of);
        let networks: std::collections::BTreeSet<_> = of_subnets.chain(of_links).collect();
        networks.into_iter().collect()
    }

    /// The zones that are linked to a network.
    pub(super) fn linked_zones<'a>(&'a self, network: &'a str) -> impl Iterator<Item = &'a Zone> {
        let is_linked = move |link: &Value| {
            let state = link.pointer("/properties/virtualNetworkLinkState").and_then(Value::as_str);
            state == Some("Completed") && network_of(link).as_deref() == Some(network)
        };
        self.zones.values().filter(move |zone| zone.links.values().any(is_linked))
    }

    fn answer_query(&mut self, network: &str, query: &Packet<'_>) -> Resolution {
        let question = match (query.opcode(), query.questions.as_slice()) {
            (OPCODE::StandardQuery, [question]) => question,
            (OPCODE::StandardQuery, _) => return Resolution::refusal(RCODE::FormatError),
            _ => return Resolution::refusal(RCODE::NotImplemented),
        };
        let is_transfer = matches!(question.qtype, QTYPE::AXFR | QTYPE::IXFR);
        if question.qclass != QCLASS::CLASS(CLASS::IN) || is_transfer {
            return Resolution::refusal(RCODE::Refused);
        }
        let name = question.qname.to_string();
        let key = (network.to_owned(), name.to_ascii_lowercase(), u16::from(question.qtype));
        let now = self.now();
        if let Some(cached) = self.resolver.cache.get(&key) {
            let age = u32::try_from(now.saturating_sub(cached.at).as_secs()).unwrap_or(u32::MAX);
            if age < cached.resolution.ttl() {
                return cached.resolution.clone().aged(age);
            }
        }
        let resolution = self.look_up(network, &name, question.qtype);
        let resolver = &mut self.resolver;
        if resolver.settings.caches && resolver.cache.len() < MOST_CACHED {
            resolver.cache.insert(key, Cached { at: now, resolution: resolution.clone() });
        }
        resolution
    }

    fn look_up(&self, network: &str, name: &str, requested: QTYPE) -> Resolution {
        let mut answers = Vec::new();
        let mut name = name.to_owned();
        for _ in 0..MOST_ALIASES {
            let lower = name.to_ascii_lowercase();
            let shadowing =
                self.resolver.settings.shadowed.iter().find(|zone| within(&lower, zone).is_some());
            if let Some(zone) = shadowing {
                return Resolution { answers, ..Resolution::negative(RCODE::NameError, shadow(zone)) };
            }
            let containing =
                self.linked_zones(network).filter_map(|zone| Some((zone, within(&lower, zone.name())?)));
            let Some((zone, relative)) = containing.max_by_key(|(zone, _)| zone.name().len()) else {
                return Resolution { answers, ..Resolution::negative(RCODE::NameError, root()) };
            };
            let Some(found) = zone.names_at(&relative) else {
                return Resolution { answers, ..Resolution::negative(RCODE::NameError, zone.negative_soa()) };
            };
            let entries = zone.entries(&name, &found, requested);
            if !entries.is_empty() {
                answers.extend(entries);
                return Resolution { code: RCODE::NoError, answers, authority: None };
            }
            let alias = zone.entries(&name, &found, QTYPE::TYPE(simple_dns::TYPE::CNAME)).into_iter().next();
            let Some(alias) = alias else {
                return Resolution { answers, ..Resolution::negative(RCODE::NoError, zone.negative_soa()) };
            };
            text(&alias.record, "cname").trim_end_matches('.').clone_into(&mut name);
            answers.push(alias);
        }
        Resolution { code: RCODE::ServerFailure, answers: Vec::new(), authority: None }
    }

    fn note_query(
        &mut self,
        network: &str,
        query: &Packet<'_>,
        resolution: &Resolution,
        transport: Transport,
    ) {
        let Some(question) = query.questions.first() else { return };
        let answers: Vec<_> =
            resolution.answers.iter().map(|entry| entry.record_type.value(&entry.record)).collect();
        let body = json!({
            "network": network,
            "name": question.qname.to_string(),
            "type": format!("{:?}", question.qtype).trim_start_matches("TYPE(").trim_end_matches(')'),
            "code": code_name(resolution.code),
            "answers": answers,
            "transport": match transport { Transport::Udp => "UDP", Transport::Tcp => "TCP" },
        });
        self.note("query", body);
    }
}

impl Zone {
    /// The relative name whose record sets answer for this one: itself, or the wildcard of its closest encloser. `None`
    /// if the name does not exist.
    fn names_at(&self, relative: &str) -> Option<String> {
        if self.has_name(relative) {
            return Some(relative.to_owned());
        }
        let mut encloser = relative;
        loop {
            encloser = encloser.split_once('.').map_or("@", |(_, rest)| rest);
            if self.has_name(encloser) {
                let wildcard = if encloser == "@" { "*".to_owned() } else { format!("*.{encloser}") };
                return self.has_name(&wildcard).then_some(wildcard);
            }
        }
    }

    /// Whether there is a record set at or below a name. The apex always has one.
    fn has_name(&self, relative: &str) -> bool {
        let below = format!(".{relative}");
        relative == "@" || self.record_sets.keys().any(|(_, name)| name == relative || name.ends_with(&below))
    }

    fn entries(&self, name: &str, found: &str, requested: QTYPE) -> Vec<Entry> {
        // For ANY, one type is enough (RFC 8482).
        let is_requested = |record_type: &RecordType| match requested {
            QTYPE::TYPE(wanted) => u16::from(wanted) == record_type.number(),
            QTYPE::ANY => true,
            _ => false,
        };
        let mut sets = RecordType::ALL.into_iter().filter(is_requested).filter_map(|record_type| {
            let set = self.record_sets.get(&(record_type, found.to_owned()))?;
            let records = match &set.records {
                Value::Array(records) => records.clone(),
                Value::Null => Vec::new(),
                record => vec![record.clone()],
            };
            let ttl = u32::try_from(set.ttl).unwrap_or(u32::MAX);
            let entry = |record| Entry { name: name.to_owned(), record_type, ttl, record };
            let entries: Vec<_> = records.into_iter().map(entry).collect();
            (!entries.is_empty()).then_some(entries)
        });
        sets.next().unwrap_or_default()
    }

    /// The SOA of a negative answer: its TTL is the smaller of its own and its minimum (RFC 2308, section 5).
    fn negative_soa(&self) -> Entry {
        let soa = self.record_sets.get(&(RecordType::Soa, "@".to_owned()));
        let record = soa.map(|soa| soa.records.clone()).unwrap_or_default();
        let own = soa.map_or(0, |soa| u32::try_from(soa.ttl).unwrap_or(u32::MAX));
        let ttl = own.min(number(&record, "minimumTtl"));
        Entry { name: self.name().to_owned(), record_type: RecordType::Soa, ttl, record }
    }
}

impl RecordType {
    /// The number of the type (RFC 1035, section 3.2.2).
    fn number(self) -> u16 {
        match self {
            Self::A => 1,
            Self::Cname => 5,
            Self::Soa => 6,
            Self::Ptr => 12,
            Self::Mx => 15,
            Self::Txt => 16,
            Self::Aaaa => 28,
            Self::Srv => 33,
        }
    }
}

/// The SOA of public answers about names that do not exist.
fn root() -> Entry {
    let record = soa("a.root-servers.net", "nstld.verisign-grs.com", 86_400);
    Entry { name: String::new(), record_type: RecordType::Soa, ttl: 86_400, record }
}

/// The SOA of a DNS server that hides a linked zone.
fn shadow(zone: &str) -> Entry {
    let record = soa(&format!("ns.{zone}"), &format!("hostmaster.{zone}"), 300);
    Entry { name: zone.to_owned(), record_type: RecordType::Soa, ttl: 300, record }
}

fn soa(host: &str, email: &str, minimum: u32) -> Value {
    json!({
        "host": host, "email": email, "serialNumber": 1, "refreshTime": 3600, "retryTime": 300,
        "expireTime": 604_800, "minimumTtl": minimum,
    })
}

/// The lower-case resource id of the network of a link.
fn network_of(link: &Value) -> Option<String> {
    link.pointer("/properties/virtualNetwork/id")?.as_str().map(str::to_ascii_lowercase)
}

/// The relative name of a lower-case name in a zone; `@` for the apex.
fn within(name: &str, zone: &str) -> Option<String> {
    match name.strip_suffix(zone)? {
        "" => Some("@".to_owned()),
        rest => rest.strip_suffix('.').map(str::to_owned),
    }
}

fn encode(query: &Packet<'_>, resolution: &Resolution, most: usize) -> Option<Vec<u8>> {
    let mut reply = Packet::new_reply(query.id());
    *reply.opcode_mut() = query.opcode();
    *reply.rcode_mut() = resolution.code;
    reply.set_flags(PacketFlag::RECURSION_AVAILABLE);
    if query.has_flags(PacketFlag::RECURSION_DESIRED) {
        reply.set_flags(PacketFlag::RECURSION_DESIRED);
    }
    reply.questions.clone_from(&query.questions);
    if query.opt().is_some() {
        let udp_packet_size = u16::try_from(MOST_UDP_BYTES).unwrap_or(u16::MAX);
        *reply.opt_mut() = Some(OPT { opt_codes: Vec::new(), udp_packet_size, version: 0 });
    }
    reply.answers = resolution.answers.iter().filter_map(record).collect();
    reply.name_servers = resolution.authority.iter().filter_map(record).collect();
    let bytes = reply.build_bytes_vec_compressed().ok()?;
    if bytes.len() <= most {
        return Some(bytes);
    }
    reply.set_flags(PacketFlag::TRUNCATION);
    reply.answers.clear();
    reply.name_servers.clear();
    reply.build_bytes_vec_compressed().ok()
}

/// The answer to bytes that are not a message: FORMERR with their id, if they are long enough to contain one.
fn malformed(message: &[u8]) -> Option<Vec<u8>> {
    let id = message.first_chunk::<2>()?;
    if message.get(2).is_none_or(|flags| flags & 0x80 != 0) {
        return None;
    }
    let mut reply = Packet::new_reply(u16::from_be_bytes(*id));
    *reply.rcode_mut() = RCODE::FormatError;
    reply.build_bytes_vec().ok()
}

/// A record in the wire format of DNS; `None` if DNS cannot express it.
fn record(entry: &Entry) -> Option<ResourceRecord<'_>> {
    let data = &entry.record;
    let name = |property| Name::new(text(data, property)).ok();
    let short = |property| u16::try_from(number(data, property)).unwrap_or(u16::MAX);
    let seconds = |property| i32::try_from(number(data, property)).unwrap_or(i32::MAX);
    let rdata = match entry.record_type {
        RecordType::A => RData::A(A { address: text(data, "ipv4Address").parse::<Ipv4Addr>().ok()?.into() }),
        RecordType::Aaaa => {
            RData::AAAA(AAAA { address: text(data, "ipv6Address").parse::<Ipv6Addr>().ok()?.into() })
        }
        RecordType::Cname => RData::CNAME(CNAME(name("cname")?)),
        RecordType::Ptr => RData::PTR(PTR(name("ptrdname")?)),
        RecordType::Mx => RData::MX(MX { preference: short("preference"), exchange: name("exchange")? }),
        RecordType::Srv => RData::SRV(SRV {
            priority: short("priority"),
            weight: short("weight"),
            port: short("port"),
            target: name("target")?,
        }),
        RecordType::Txt => {
            let strings = field(data, "value").as_array().into_iter().flatten().filter_map(Value::as_str);
            let parts = strings.flat_map(|string| string.as_bytes().chunks(255));
            RData::TXT(
                parts
                    .filter_map(|part| CharacterString::new(part).ok())
                    .fold(TXT::new(), TXT::with_char_string),
            )
        }
        RecordType::Soa => RData::SOA(SOA {
            mname: name("host")?,
            rname: name("email")?,
            serial: number(data, "serialNumber"),
            refresh: seconds("refreshTime"),
            retry: seconds("retryTime"),
            expire: seconds("expireTime"),
            minimum: number(data, "minimumTtl"),
        }),
    };
    Some(ResourceRecord::new(Name::new(&entry.name).ok()?, CLASS::IN, entry.ttl, rdata))
}

fn text<'a>(record: &'a Value, property: &str) -> &'a str {
    field(record, property).as_str().unwrap_or_default()
}

fn number(record: &Value, property: &str) -> u32 {
    field(record, property).as_u64().and_then(|number| u32::try_from(number).ok()).unwrap_or(0)
}

/// The name of a response code, as `dig` prints it.
fn code_name(code: RCODE) -> &'static str {
    match code {
        RCODE::NoError => "NOERROR",
        RCODE::FormatError => "FORMERR",
        RCODE::ServerFailure => "SERVFAIL",
        RCODE::NameError => "NXDOMAIN",
        RCODE::NotImplemented => "NOTIMP",
        RCODE::Refused => "REFUSED",
        _ => "OTHER",
    }
}
