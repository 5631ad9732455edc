//! The resolver of a virtual network: record sets, wildcards, negative answers, views, caches, truncation.

use std::time::Duration;

use serde_json::json;
use simple_dns::rdata::{OPT, RData};
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};

use super::super::testing::{SUBSCRIPTION, azure, get, put};
use super::super::virtual_networks::default_network;
use super::super::{Azure, DnsListeners, RecordSetSpec, ResolverSettings, Settings, Transport};

const ZONE: &str = "spoke1.contoso.internal";
const REVERSE: &str = "1.10.in-addr.arpa";

/// Two networks, of which the first is linked to both zones, and the second to the forward zone.
fn linked() -> Azure {
    let azure = azure(Settings::default());
    for (group, range) in [("rg-spoke1", "10.1.5.0/24"), ("rg-spoke2", "10.2.5.0/24")] {
        assert!(azure.set_address_range(SUBSCRIPTION, group, range));
    }
    for zone in [ZONE, REVERSE] {
        azure.create_zone(SUBSCRIPTION, "rg-dns", zone);
        azure.link(zone, &default_network(SUBSCRIPTION, "rg-spoke1")).unwrap();
    }
    azure.link(ZONE, &default_network(SUBSCRIPTION, "rg-spoke2")).unwrap();
    record(&azure, "A", "web", &["10.1.5.4", "10.1.5.5"]);
    record(&azure, "AAAA", "web", &["fd00::4"]);
    record(&azure, "A", "stopped", &[]);
    record(&azure, "CNAME", "www", &["web.spoke1.contoso.internal"]);
    record(&azure, "CNAME", "outside", &["www.example.com"]);
    record(&azure, "CNAME", "loop", &["loop.spoke1.contoso.internal"]);
    record(&azure, "TXT", "@", &["v=1"]);
    record(&azure, "A", "*.apps", &["10.1.5.9"]);
    record(&azure, "A", "a.b.apps", &["10.1.5.10"]);
    let ptr = RecordSetSpec { ttl: 60, ..RecordSetSpec::new("PTR", "4.5", &["web.spoke1.contoso.internal"]) };
    azure.put_record_set(REVERSE, &ptr).unwrap();
    azure
}

fn record(azure: &Azure, record_type: &str, name: &str, values: &[&str]) {
    let spec = RecordSetSpec { ttl: 60, ..RecordSetSpec::new(record_type, name, values) };
    azure.put_record_set(ZONE, &spec).unwrap();
}

fn query(name: &str, qtype: QTYPE) -> Packet<'_> {
    let mut query = Packet::new_query(7);
    query.set_flags(PacketFlag::RECURSION_DESIRED);
    query.questions.push(Question::new(Name::new(name).unwrap(), qtype, QCLASS::CLASS(CLASS::IN), false));
    query
}

/// The answer in one line: code, answers, and the SOA of a negative one.
fn shown(bytes: &[u8]) -> String {
    let reply = Packet::parse(bytes).unwrap();
    assert_eq!(reply.id(), 7);
    assert!(reply.has_flags(PacketFlag::RESPONSE | PacketFlag::RECURSION_AVAILABLE));
    assert!(!reply.has_flags(PacketFlag::AUTHORITATIVE_ANSWER));
    let entry = |entry: &simple_dns::ResourceRecord<'_>| {
        let value = match &entry.rdata {
            RData::A(a) => std::net::Ipv4Addr::from(a.address).to_string(),
            RData::AAAA(aaaa) => std::net::Ipv6Addr::from(aaaa.address).to_string(),
            RData::CNAME(name) => name.0.to_string(),
            RData::PTR(name) => name.0.to_string(),
            RData::SOA(soa) => format!("SOA {}", soa.mname),
            RData::TXT(text) => format!("{text:?}"),
            other => format!("{other:?}"),
        };
        format!(" {} {} {value}", entry.name, entry.ttl)
    };
    let answers: String = reply.answers.iter().map(entry).collect();
    let authority: String = reply.name_servers.iter().map(entry).collect();
    let mark = if reply.has_flags(PacketFlag::TRUNCATION) { " truncated" } else { "" };
    format!("{:?}{answers}{}{authority}{mark}", reply.rcode(), if authority.is_empty() { "" } else { " |" })
}

fn ask(azure: &Azure, view: usize, name: &str, record_type: TYPE) -> String {
    let message = query(name, QTYPE::TYPE(record_type)).build_bytes_vec().unwrap();
    shown(&azure.resolve(view, &message, Transport::Udp).unwrap())
}

#[tokio::test]
async fn a_resolver_answers_from_the_linked_zones() {
    let azure = linked();
    let soa = "| spoke1.contoso.internal 10 SOA azureprivatedns.net";
    let check = |name: &str, record_type, expected: &str| {
        let expected = expected.replace("SOA!", soa);
        assert_eq!(ask(&azure, 0, name, record_type), expected, "{name}");
    };
    let web = "web.spoke1.contoso.internal";
    check(
        web,
        TYPE::A,
        "NoError web.spoke1.contoso.internal 60 10.1.5.4 web.spoke1.contoso.internal 60 10.1.5.5",
    );
    check("WEB.Spoke1.contoso.INTERNAL", TYPE::AAAA, "NoError WEB.Spoke1.contoso.INTERNAL 60 fd00::4");
    check("4.5.1.10.in-addr.arpa", TYPE::PTR, "NoError 4.5.1.10.in-addr.arpa 60 web.spoke1.contoso.internal");
    check(
        "www.spoke1.contoso.internal",
        TYPE::AAAA,
        "NoError www.spoke1.contoso.internal 60 web.spoke1.contoso.internal web.spoke1.contoso.internal 60 fd00::4",
    );
    check(ZONE, TYPE::SOA, "NoError spoke1.contoso.internal 3600 SOA azureprivatedns.net");
    check(web, TYPE::MX, "NoError SOA!");
    check("stopped.spoke1.contoso.internal", TYPE::A, "NoError SOA!");
    check("none.spoke1.contoso.internal", TYPE::A, "NameError SOA!");
    check("loop.spoke1.contoso.internal", TYPE::A, "ServerFailure");
    check(
        "outside.spoke1.contoso.internal",
        TYPE::A,
        "NameError outside.spoke1.contoso.internal 60 www.example.com |  86400 SOA a.root-servers.net",
    );
    assert!(ask(&azure, 0, ZONE, TYPE::TXT).contains("v=1"));
}

#[tokio::test]
async fn a_wildcard_answers_below_its_closest_encloser_only() {
    let azure = linked();
    let check = |name: &str, record_type, expected: &str| {
        let answer = ask(&azure, 0, &format!("{name}.{ZONE}"), record_type);
        assert!(answer.starts_with(expected), "{name}: {answer}");
    };
    check("x.apps", TYPE::A, "NoError x.apps.spoke1.contoso.internal 60 10.1.5.9");
    check("y.x.apps", TYPE::A, "NoError y.x.apps.spoke1.contoso.internal 60 10.1.5.9");
    check("x.apps", TYPE::AAAA, "NoError | spoke1");
    check("a.b.apps", TYPE::A, "NoError a.b.apps.spoke1.contoso.internal 60 10.1.5.10");
    check("b.apps", TYPE::A, "NoError | spoke1");
    check("x.b.apps", TYPE::A, "NameError | spoke1");
    check("apps", TYPE::A, "NoError | spoke1");
    check("x.web", TYPE::A, "NameError | spoke1");
}

#[tokio::test]
async fn a_network_sees_only_the_zones_that_are_linked_to_it() {
    let azure = linked();
    let unlinked = "NameError |  86400 SOA a.root-servers.net";
    let web = "web.spoke1.contoso.internal";
    assert!(ask(&azure, 1, web, TYPE::A).starts_with("NoError web."));
    assert_eq!(ask(&azure, 1, "4.5.1.10.in-addr.arpa", TYPE::PTR), unlinked);
    assert_eq!(ask(&azure, 2, web, TYPE::A), unlinked, "there is no such network");
    azure.set_link_state(ZONE, "InProgress").unwrap();
    assert_eq!(ask(&azure, 0, web, TYPE::A), unlinked);
    azure.set_link_state(ZONE, "Completed").unwrap();
    azure.unlink(ZONE, &default_network(SUBSCRIPTION, "rg-spoke1")).unwrap();
    assert_eq!(ask(&azure, 0, web, TYPE::A), unlinked);
    assert!(ask(&azure, 1, web, TYPE::A).starts_with("NoError web."));
}

#[tokio::test(start_paused = true)]
async fn a_cache_keeps_answers_and_refusals_until_their_ttl_ends() {
    let azure = linked();
    azure.set_resolver(ResolverSettings { caches: true, ..ResolverSettings::default() });
    let new = "new.spoke1.contoso.internal";
    let web = "web.spoke1.contoso.internal";
    assert!(ask(&azure, 0, new, TYPE::A).starts_with("NameError"));
    assert!(ask(&azure, 0, web, TYPE::AAAA).ends_with("60 fd00::4"));
    record(&azure, "A", "new", &["10.1.5.20"]);
    record(&azure, "AAAA", "web", &["fd00::5"]);
    tokio::time::advance(Duration::from_secs(4)).await;
    assert!(ask(&azure, 0, new, TYPE::A).ends_with("| spoke1.contoso.internal 6 SOA azureprivatedns.net"));
    assert!(ask(&azure, 0, web, TYPE::AAAA).ends_with("56 fd00::4"));
    assert!(ask(&azure, 1, web, TYPE::AAAA).ends_with("60 fd00::5"), "each network has its own cache");
    tokio::time::advance(Duration::from_secs(6)).await;
    assert!(ask(&azure, 0, new, TYPE::A).ends_with("60 10.1.5.20"));
    tokio::time::advance(Duration::from_secs(50)).await;
    assert!(ask(&azure, 0, web, TYPE::AAAA).ends_with("60 fd00::5"));
}

#[tokio::test]
async fn a_shadowing_server_hides_a_zone_and_a_silent_one_everything() {
    let azure = linked();
    let body = json!({"shadowed": ["contoso.internal"]});
    assert_eq!(put(&azure, "/simulator/resolver", body).await.status, 204);
    let hidden = "NameError | contoso.internal 300 SOA ns.contoso.internal";
    assert_eq!(ask(&azure, 0, "web.spoke1.contoso.internal", TYPE::A), hidden);
    azure.set_resolver(ResolverSettings { is_silent: true, ..ResolverSettings::default() });
    let message = query(ZONE, QTYPE::TYPE(TYPE::A)).build_bytes_vec().unwrap();
    assert_eq!(azure.resolve(0, &message, Transport::Udp), None);
}

#[tokio::test]
async fn a_large_answer_is_truncated_over_udp_only() {
    let azure = linked();
    let addresses: Vec<_> = (1..=20).map(|number| format!("10.1.5.{number}")).collect();
    record(&azure, "A", "many", &addresses.iter().map(String::as_str).collect::<Vec<_>>());
    let text = "x".repeat(200);
    record(&azure, "TXT", "many", &[&text, &text, &text]);
    let name = "many.spoke1.contoso.internal";
    assert_eq!(ask(&azure, 0, name, TYPE::TXT), "NoError truncated");
    assert!(!ask(&azure, 0, name, TYPE::A).contains("truncated"), "names are compressed");
    let message = query(name, QTYPE::TYPE(TYPE::TXT)).build_bytes_vec().unwrap();
    assert!(shown(&azure.resolve(0, &message, Transport::Tcp).unwrap()).contains("xxx"));
    let mut with_edns = query(name, QTYPE::TYPE(TYPE::TXT));
    *with_edns.opt_mut() = Some(OPT { opt_codes: vec![], udp_packet_size: 4096, version: 0 });
    let message = with_edns.build_bytes_vec().unwrap();
    let answer = azure.resolve(0, &message, Transport::Udp).unwrap();
    assert!(Packet::parse(&answer).unwrap().opt().is_some());
    assert!(shown(&answer).contains("xxx"));
    azure.set_resolver(ResolverSettings { udp_bytes: Some(100), ..ResolverSettings::default() });
    assert_eq!(ask(&azure, 0, name, TYPE::A), "NoError truncated");
}

#[tokio::test]
async fn what_is_no_ordinary_question_is_refused() {
    let azure = linked();
    let code = |message: &[u8]| {
        let answer = azure.resolve(0, message, Transport::Udp)?;
        Some(Packet::parse(&answer).unwrap().rcode())
    };
    let mut chaos = query(ZONE, QTYPE::TYPE(TYPE::TXT));
    chaos.questions[0].qclass = QCLASS::CLASS(CLASS::CH);
    assert_eq!(code(&chaos.build_bytes_vec().unwrap()), Some(RCODE::Refused));
    assert_eq!(code(&query(ZONE, QTYPE::AXFR).build_bytes_vec().unwrap()), Some(RCODE::Refused));
    let mut update = query(ZONE, QTYPE::TYPE(TYPE::A));
    *update.opcode_mut() = simple_dns::OPCODE::Update;
    assert_eq!(code(&update.build_bytes_vec().unwrap()), Some(RCODE::NotImplemented));
    let mut empty = query(ZONE, QTYPE::TYPE(TYPE::A));
    empty.questions.clear();
    assert_eq!(code(&empty.build_bytes_vec().unwrap()), Some(RCODE::FormatError));
    let whole = query(ZONE, QTYPE::TYPE(TYPE::A)).build_bytes_vec().unwrap();
    assert_eq!(code(&whole[..whole.len() - 3]), Some(RCODE::FormatError));
    assert_eq!(code(&whole[..1]), None);
    let reply = Packet::new_reply(7).build_bytes_vec().unwrap();
    assert_eq!(code(&reply), None, "answers are not answered");
    let any = query("web.spoke1.contoso.internal", QTYPE::ANY).build_bytes_vec().unwrap();
    assert!(shown(&azure.resolve(0, &any, Transport::Udp).unwrap()).starts_with("NoError web."));
}

#[tokio::test]
async fn both_transports_of_a_port_answer() {
    let azure = linked();
    let listeners = DnsListeners::bind(0, 1).await.unwrap();
    let address = ("127.0.0.1", listeners.port());
    let server = tokio::spawn(listeners.serve(azure.clone()));
    let message = query("web.spoke1.contoso.internal", QTYPE::TYPE(TYPE::AAAA)).build_bytes_vec().unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    udp.send_to(&message, address).await.unwrap();
    let mut buffer = [0; 1500];
    let length = udp.recv(&mut buffer).await.unwrap();
    assert!(shown(&buffer[..length]).ends_with("fd00::4"));
    let mut tcp = TcpStream::connect(address).await.unwrap();
    for _ in 0..2 {
        tcp.write_u16(u16::try_from(message.len()).unwrap()).await.unwrap();
        tcp.write_all(&message).await.unwrap();
        let mut answer = vec![0; usize::from(tcp.read_u16().await.unwrap())];
        tcp.read_exact(&mut answer).await.unwrap();
        assert_eq!(answer, &buffer[..length]);
    }
    server.abort();
    assert_eq!(get(&azure, "/simulator/calls").await.json(), json!([]), "questions are no requests");
}
