//! The check against the simulator's DNS server: caches, unlinked networks, a server that hides a zone, truncation,
//! silence.

use std::{net::SocketAddr, time::Duration};

use azure_simulator::{Azure, DnsListeners, RecordSetSpec, ResolverSettings, Seed};
use tokio::{net::UdpSocket, task::JoinSet};

use super::{
    client::{nameservers, server},
    *,
};

const ZONE: &str = "spoke1.contoso.internal";
const REVERSE: &str = "1.10.in-addr.arpa";
const NETWORK: &str = "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-spoke1/providers/Microsoft.Network/virtualNetworks/vnet";

/// A simulator with one group at 10.1.5.4 and its records, its DNS server, and a client of it.
struct World {
    azure: Azure,
    client: Client,
    _server: JoinSet<()>,
}

impl World {
    async fn new() -> Self {
        let azure = Azure::default();
        azure.seed(&Seed { with_records: true, ..Seed::default() }).unwrap();
        let listeners = DnsListeners::bind(0, 1).await.unwrap();
        let address = SocketAddr::from(([127, 0, 0, 1], listeners.port()));
        let mut tasks = JoinSet::new();
        tasks.spawn(listeners.serve(azure.clone()));
        Self { azure, client: Client::new(Some(address)).unwrap(), _server: tasks }
    }

    fn write(&self, zone: &str, record_type: &str, name: &str, values: &[&str]) {
        let spec = RecordSetSpec { ttl: 60, ..RecordSetSpec::new(record_type, name, values) };
        self.azure.put_record_set(zone, &spec).unwrap();
    }

    fn between(&self, settings: ResolverSettings) {
        self.azure.set_resolver(settings);
    }

    /// The results for a group at this address, whose record sets are right.
    async fn check(&self, address: &str) -> Vec<String> {
        self.check_recorded(address, address).await
    }

    /// The results for a group at this address, whose A record set holds another one.
    async fn check_recorded(&self, address: &str, recorded: &str) -> Vec<String> {
        let id = format!(
            "{}/containerGroups/web-1",
            NETWORK.replace(".Network/virtualNetworks/vnet", ".ContainerInstance")
        );
        let last = address.rsplit('.').next().unwrap();
        let names = [LiveName {
            id: id.parse().unwrap(),
            fqdn: format!("web-1.{ZONE}").parse().unwrap(),
            zone: ZONE.parse().unwrap(),
            address: address.parse().unwrap(),
            recorded: vec![recorded.parse().unwrap()],
            reverse: Some((REVERSE.parse().unwrap(), format!("{last}.5.{REVERSE}").parse().unwrap())),
            recorded_ptr: vec![format!("web-1.{ZONE}.")],
        }];
        let resolutions = check(&self.client, &names).await;
        resolutions.iter().map(|it| format!("{} {:?}", it.values.join(","), it.verdict)).collect()
    }
}

fn cached() -> ResolverSettings {
    ResolverSettings { caches: true, ..ResolverSettings::default() }
}

#[tokio::test]
async fn right_answers_are_resolved_also_when_they_come_over_tcp() {
    let world = World::new().await;
    let right = ["10.1.5.4 Resolved".to_owned(), format!("web-1.{ZONE} Resolved")];
    assert_eq!(world.check("10.1.5.4").await, right);
    world.between(ResolverSettings { udp_bytes: Some(20), ..ResolverSettings::default() });
    assert_eq!(world.check("10.1.5.4").await, right);
}

#[tokio::test]
async fn an_old_answer_in_a_cache_is_stale_for_the_rest_of_its_ttl() {
    let world = World::new().await;
    world.between(cached());
    world.check("10.1.5.4").await;
    world.write(ZONE, "A", "web-1", &["10.1.5.9"]);
    world.write(REVERSE, "PTR", "9.5", &[&format!("web-1.{ZONE}")]);
    let results = world.check("10.1.5.9").await;
    assert!(
        ["10.1.5.4 Stale { ttl: 60 }", "10.1.5.4 Stale { ttl: 59 }"].contains(&results[0].as_str()),
        "{results:?}"
    );
    assert_eq!(results[1], format!("web-1.{ZONE} Resolved"));
}

#[tokio::test]
async fn a_refusal_in_a_cache_is_told_from_a_missing_record_set() {
    let world = World::new().await;
    world.between(cached());
    world.azure.remove_record_set(ZONE, "A", "web-1").unwrap();
    world.azure.remove_record_set(REVERSE, "PTR", "4.5").unwrap();
    let results = world.check("10.1.5.4").await;
    assert!(results.iter().all(|result| result.starts_with(" NegativeCached { ttl: ")), "{results:?}");
    assert_eq!(world.check_recorded("10.1.5.4", "10.1.5.8").await[0], " RecordSet");
}

#[tokio::test]
async fn a_wrong_record_set_is_not_taken_for_a_stale_cache() {
    let world = World::new().await;
    world.write(ZONE, "A", "web-1", &["10.1.5.8"]);
    assert_eq!(world.check_recorded("10.1.5.4", "10.1.5.8").await[0], "10.1.5.8 RecordSet");
}

#[tokio::test]
async fn a_zone_without_a_link_is_not_seen() {
    let world = World::new().await;
    world.azure.unlink(REVERSE, NETWORK).unwrap();
    let results = world.check("10.1.5.4").await;
    assert_eq!(results[0], "10.1.5.4 Resolved");
    assert!(results[1].starts_with(" NotLinked { parent: Some(Soa { zone: \"\""), "{results:?}");
}

#[tokio::test]
async fn a_server_that_answers_for_the_zone_hides_it() {
    let world = World::new().await;
    world.between(ResolverSettings { shadowed: vec![ZONE.to_owned()], ..ResolverSettings::default() });
    let results = world.check("10.1.5.4").await;
    assert_eq!(results[0], format!(" Shadowed {{ server: \"ns.{ZONE}\" }}"));
    assert!(results[1].ends_with(" Resolved"));
}

#[tokio::test]
async fn a_silent_server_is_a_timeout_after_two_tries() {
    let silent = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let client = Client::new(Some(silent.local_addr().unwrap())).unwrap().waiting(Duration::from_millis(20));
    assert_eq!(client.query(&format!("web-1.{ZONE}"), QueryType::A).await, None);
    let mut tries = 0;
    while silent.try_recv(&mut [0; 512]).is_ok() {
        tries += 1;
    }
    assert_eq!(tries, 2);
}

#[tokio::test]
async fn an_answer_to_another_question_does_not_count() {
    let liar = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let address = liar.local_addr().unwrap();
    let world = World::new().await;
    let azure = world.azure.clone();
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        let mut buffer = [0; 512];
        let (length, client) = liar.recv_from(&mut buffer).await.unwrap();
        let answer = azure.resolve(0, &buffer[..length], azure_simulator::Transport::Udp).unwrap();
        let mut other_id = answer.clone();
        other_id[0] ^= 0x55;
        liar.send_to(&other_id, client).await.unwrap();
        let mut other_name = answer.clone();
        other_name[13] = b'x';
        liar.send_to(&other_name, client).await.unwrap();
        liar.send_to(&answer, client).await.unwrap();
    });
    let answer =
        Client::new(Some(address)).unwrap().query(&format!("web-1.{ZONE}"), QueryType::A).await.unwrap();
    assert_eq!(answer.values, ["10.1.5.4"]);
}

#[test]
fn a_server_is_an_address_with_or_without_a_port() {
    for (text, expected) in [
        ("10.0.0.4", "10.0.0.4:53"),
        ("127.0.0.1:8053", "127.0.0.1:8053"),
        ("::1", "[::1]:53"),
        ("[::1]", "[::1]:53"),
        ("[::1]:54", "[::1]:54"),
    ] {
        assert_eq!(server(text).unwrap().to_string(), expected);
    }
    assert!(server("dns.example").is_err());
    let text = "# comment\nsearch a.b\nnameserver 168.63.129.16\n nameserver fe80::1%eth0\nnameserver ::1\n";
    let found: Vec<_> = nameservers(text).iter().map(ToString::to_string).collect();
    assert_eq!(found, ["168.63.129.16:53", "[::1]:53"]);
}

#[tokio::test]
async fn the_results_are_shown_as_table_json_and_check() {
    let world = World::new().await;
    world.between(ResolverSettings { shadowed: vec![ZONE.to_owned()], ..ResolverSettings::default() });
    let question = |kind, name: &str, zone: &str, expected: &str| Question {
        group: "rg-spoke1/web-1".to_owned(),
        name: name.to_owned(),
        kind,
        zone: zone.to_owned(),
        expected: expected.to_owned(),
        recorded: vec![expected.to_owned()],
    };
    let hidden =
        resolve(&world.client, question(QueryType::A, &format!("web-1.{ZONE}"), ZONE, "10.1.5.4")).await;
    let right = question(QueryType::Ptr, &format!("4.5.{REVERSE}"), REVERSE, &format!("web-1.{ZONE}"));
    let resolutions = [hidden, resolve(&world.client, right).await];
    let plain = anstream::adapter::strip_str(&show::table(&resolutions, "10.0.0.4:53")).to_string();
    assert_eq!(
        plain,
        "A web-1.spoke1.contoso.internal  shadowed  nothing\n  ns.spoke1.contoso.internal answers for the zone \
         spoke1.contoso.internal, not Azure Private DNS\n\n1 of 2 answers of 10.0.0.4:53 are correct\n"
    );
    let json = show::json(&resolutions, "10.0.0.4:53");
    assert_eq!(json["results"][0]["result"], "shadowed");
    assert_eq!(json["results"][1]["result"], "resolved");
    let check = show::check(&resolutions, "10.0.0.4:53");
    assert_eq!(check.findings.len(), 1);
    assert!(check.findings[0].fix.starts_with("forward spoke1.contoso.internal to 168.63.129.16"));
}
