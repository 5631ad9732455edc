//! Parses the words of a row.

use super::*;

impl World {
    /// Makes the map out of its entries.
    pub(super) fn read_map(&mut self) {
        let mut entries = BTreeMap::from([("rg-spoke1", &self.entry), ("rg-spoke2", &self.entry)]);
        for (resource_group, entry) in &self.other_entries {
            match entry {
                Some(entry) => _ = entries.insert(resource_group, entry),
                None => _ = entries.remove(resource_group.as_str()),
            }
        }
        self.map = Arc::new(ZoneMap::parse(&json!(entries).to_string()).unwrap());
        self.zones = self.map.serving(&owner("us").container_group().unwrap()).unwrap();
    }

    pub(super) fn set_entry(&mut self, key: &str, values: &[&str]) {
        self.entry[key] = json!(values);
        self.read_map();
    }

    pub(super) fn rule(&mut self, word: &str) {
        match word {
            "adopt" => self.rules.ownership = Ownership::Adopt,
            "adopt-tagged" => {
                (self.rules.ownership, self.rules.adopts_tagged) = (Ownership::Adopt, true);
            }
            "strict" => self.rules.ownership = Ownership::Strict,
            "sync" => self.rules.policy = Policy::Sync,
            "upsert-only" => self.rules.policy = Policy::UpsertOnly,
            "adopt-only" => self.rules.policy = Policy::AdoptOnly,
            "observe" => (self.rules.policy, self.is_dry) = (Policy::Observe, true),
            "dry" => self.is_dry = true,
            "remove" => self.rules.stopped = Stopped::Remove,
            "keep" => self.rules.stopped = Stopped::Keep,
            "compare" => self.purpose = Purpose::Compare,
            _ => match word.split_once('=') {
                Some(("wait", seconds)) => self.wait = Duration::from_secs(seconds.parse().unwrap()),
                Some(("memory", seconds)) => self.rules.memory_seconds = seconds.parse().unwrap(),
                _ => panic!("{word:?} is no rule"),
            },
        }
    }

    pub(super) fn record_set<Record>(
        &mut self,
        words: &[&str],
        record: impl Fn(&str) -> Record,
    ) -> RecordSet<Record> {
        let mut content = Content { ttl: TTL, records: vec![], metadata: Metadata::new() };
        let mut is_auto_registered = false;
        for word in words {
            let (key, value) = match word.split_once('=') {
                None if *word == "auto" => {
                    is_auto_registered = true;
                    continue;
                }
                None => {
                    content.records.push(record(word));
                    continue;
                }
                Some(("ttl", ttl)) => {
                    content.ttl = ttl.parse().unwrap();
                    continue;
                }
                Some(("owner", mark)) => (OWNER_KEY, owner_mark(mark).to_owned()),
                Some(("previous", memory)) => (PREVIOUS_KEY, memory.replace(',', " ")),
                Some((key, value)) => (key, value.to_owned()),
            };
            content.metadata.insert(key.to_owned(), value);
        }
        RecordSet { etag: self.next_etag(), content, is_auto_registered }
    }

    /// `10.1.5.9`; `10.1.5.9/10` in a reverse zone that is not the longest; `printer/10` for a name that is no address.
    pub(super) fn ptr_key(&self, word: &str) -> PtrKey {
        let Some((name, zone)) = word.split_once('/') else {
            return self.goal().ptr_key(word.parse().unwrap()).expect("a reverse zone contains it");
        };
        let is_meant = |known: &ReverseZone| known.zone().name == zone_name(zone);
        let zone = self.zones.reverse.iter().position(is_meant).unwrap();
        let reverse = &self.zones.reverse[zone];
        let name = match name.parse() {
            Ok(address) => reverse.relative_name(address).unwrap(),
            Err(_) => name.parse().unwrap(),
        };
        PtrKey { address: reverse.address(&name), zone, name }
    }
}

/// A container group in a state, with replaced properties and tags.
pub(super) fn group(words: &[&str]) -> Option<ContainerGroup> {
    let (state, rest) = words.split_first().expect("a state");
    let address = |kind: &str, ip: Option<&str>| {
        Some(IpAddress { kind: Some(kind.to_owned()), ip: ip.map(str::to_owned) })
    };
    let running = ContainerGroup {
        provisioning_state: Some("Succeeded".to_owned()),
        state: Some("Running".to_owned()),
        ..ContainerGroup::default()
    };
    let ip = rest.first().copied().filter(|word| !word.contains('='));
    let mut group = match *state {
        "deleted" => return None,
        "running" => ContainerGroup { ip_address: address("Private", ip), ..running },
        "no-address" => running,
        "public" => ContainerGroup { ip_address: address("Public", ip), ..running },
        "stopped" => ContainerGroup {
            state: Some("Stopped".to_owned()),
            ip_address: address("Private", ip),
            ..running
        },
        "pending" => ContainerGroup {
            provisioning_state: Some("Creating".to_owned()),
            state: Some("Pending".to_owned()),
            ip_address: address("Private", ip),
            ..running
        },
        "deleting" => ContainerGroup {
            provisioning_state: Some("Deleting".to_owned()),
            ip_address: address("Private", ip),
            ..running
        },
        _ => panic!("{state:?} is no state of a group"),
    };
    for word in rest.iter().skip(usize::from(ip.is_some())) {
        let (key, value) = word.split_once('=').expect("an attribute of a group");
        let text = Some(value.to_owned());
        match key {
            "provisioning" => group.provisioning_state = text,
            "state" => group.state = text,
            "kind" => group.ip_address.get_or_insert_default().kind = text,
            "ip" => group.ip_address.get_or_insert_default().ip = text,
            "restart" => group.restart_policy = text,
            "containers" => group.containers = value.split(',').map(container).collect(),
            tag => _ = group.tags.insert(format!("aci-dns-{tag}"), value.to_owned()),
        }
    }
    Some(group)
}

/// `Running`, or `Terminated:0` with an exit code.
pub(super) fn container(word: &str) -> Container {
    let (state, exit_code) = word.split_once(':').map_or((word, None), |(state, code)| (state, Some(code)));
    Container { state: Some(state.to_owned()), exit_code: exit_code.map(|code| code.parse().unwrap()) }
}

/// What a 404 proves after an event of this kind.
pub(super) fn evidence(word: &str) -> Evidence {
    match word {
        "delete" | "old" => Evidence::Deletion,
        "failed" | "recheck" => Evidence::Absence,
        "young" => Evidence::None,
        _ => panic!("{word:?} is no kind of event"),
    }
}

/// `us`, `other`, `third`, or a mark as it is written.
pub(in crate::decide::tests) fn owner(word: &str) -> Owner {
    let mark = owner_mark(word);
    let content = Content {
        ttl: TTL,
        records: Vec::<Ipv4Addr>::new(),
        metadata: Metadata::from([(OWNER_KEY.to_owned(), mark.to_owned())]),
    };
    RecordSet { etag: ETag::from(String::new()), content, is_auto_registered: false }.owner().unwrap()
}

pub(super) fn owner_mark(word: &str) -> &str {
    OWNERS.iter().find(|(short, _)| *short == word).map_or(word, |(_, mark)| *mark)
}

pub(super) fn failure_kind(word: &str) -> FailureKind {
    match word {
        "race" => FailureKind::Race,
        "uncertain" => FailureKind::Uncertain,
        "transient" => FailureKind::Transient,
        "forbidden" => FailureKind::Forbidden,
        "missing" => FailureKind::Missing,
        "clash" => FailureKind::Clash,
        "refused" => FailureKind::Refused,
        _ => panic!("{word:?} is no kind of failure"),
    }
}

/// An entry of the map: a forward zone, and reverse zones without their `in-addr.arpa`. Any host name is allowed.
pub(super) fn entry(forward: &str, reverse: &[&str]) -> Value {
    let reverse: Vec<String> = reverse.iter().map(|zone| zone_name(zone).to_string()).collect();
    json!({
        "forwardZone": forward,
        "reverseZones": reverse,
        "zoneResourceGroup": "rg-dns",
        "hostnames": ["*"],
    })
}

/// The name of a forward zone, or of a reverse zone that is written without its `in-addr.arpa`.
pub(super) fn zone_name(word: &str) -> DomainName {
    let is_reverse = word.split('.').all(|label| label.parse::<u8>().is_ok());
    if is_reverse { format!("{word}.in-addr.arpa").parse().unwrap() } else { word.parse().unwrap() }
}

pub(super) fn zone(name: &str) -> Zone {
    Zone { subscription: "s1".into(), resource_group: "rg-dns".into(), name: name.parse().unwrap() }
}
