//! Properties of any value: names, ids, settings, events. The laws of decisions are beside
//! [`aci_dns::decide`].

use std::{
    collections::{BTreeMap, HashSet},
    net::Ipv4Addr,
};

use aci_dns::{
    config::{ZoneMap, Zones},
    decide::{OwnerMark, desired::Desired},
    domain::{
        dns::{
            ARecordSet, Content, DomainName, ETag, MEMORY_READ, Metadata, OWNER_KEY, Owner,
            PreviousAddresses, PtrTarget, RecordSet, ReverseZone, Zone,
        },
        event,
        resource_id::ContainerGroupId,
    },
};
use proptest::prelude::*;
use serde_json::{Value, json};

const FORWARD: &str = "spoke1.internal";

fn zone(name: &str) -> Zone {
    Zone { subscription: "s1".into(), resource_group: "rg-dns".into(), name: name.parse().unwrap() }
}

fn reverse_zone(name: &str) -> ReverseZone {
    ReverseZone::new(zone(name)).unwrap()
}

proptest! {
    #[test]
    fn an_address_is_found_again_by_its_reverse_name(bits in any::<u32>(), other in any::<u32>()) {
        let (address, other) = (Ipv4Addr::from(bits), Ipv4Addr::from(other));
        let [a, b, c, d] = address.octets();
        let texts =
            [format!("{a}.in-addr.arpa"), format!("{b}.{a}.in-addr.arpa"), format!("{c}.{b}.{a}.in-addr.arpa")];
        let all: Vec<_> = texts.iter().map(|text| reverse_zone(text)).collect();
        for zone in &all {
            let name = zone.relative_name(address).unwrap();
            prop_assert_eq!(zone.address(&name), Some(address));
            let whole = name.within(&zone.zone().name);
            prop_assert_eq!(whole.to_string(), format!("{d}.{c}.{b}.{a}.in-addr.arpa"));
            let is_inside = other.octets()[..zone.octets()] == address.octets()[..zone.octets()];
            prop_assert_eq!(zone.relative_name(other).is_some(), is_inside);
        }
        for chosen in 1..8_usize {
            let reverse: Vec<_> = (0..3).filter(|bit| chosen >> bit & 1 == 1).map(|bit| all[bit].clone()).collect();
            for reverse in [reverse.clone(), reverse.into_iter().rev().collect()] {
                let longest = reverse.iter().max_by_key(|zone| zone.octets()).unwrap().zone().clone();
                let zones = Zones::new(zone(FORWARD), reverse, 60);
                prop_assert_eq!(zones.reverse_name(address).map(|(zone, _)| zone.clone()), Some(longest));
            }
        }
    }

    #[test]
    fn previous_addresses_are_read_as_written(
        entries in prop::collection::btree_map(any::<u32>(), any::<u64>(), 0..40),
        text in "[ 0-9.@x]{0,60}",
    ) {
        let mut memory = PreviousAddresses::default();
        for (address, since) in entries {
            memory.remember(address.into(), since);
        }
        // The first 32 entries are read.
        let (written, count) = (memory.to_string(), memory.len());
        let read = PreviousAddresses::parse(&written);
        prop_assert_eq!(read.len(), count.min(MEMORY_READ));
        prop_assert!(written.starts_with(&read.to_string()));
        prop_assert!(count > MEMORY_READ || read == memory);
        let damaged = PreviousAddresses::parse(&text);
        prop_assert_eq!(PreviousAddresses::parse(&damaged.to_string()), damaged);
    }

    #[test]
    fn an_id_is_read_as_written(id in any_id()) {
        let read: ContainerGroupId = id.to_string().parse().unwrap();
        prop_assert_eq!(read.to_string(), id.to_string());
        prop_assert_eq!(&read, &id);
        let shouted: ContainerGroupId = id.to_string().to_ascii_uppercase().parse().unwrap();
        prop_assert_eq!(&shouted, &id);
    }

    #[test]
    fn equality_hash_and_order_of_ids_agree(
        (left, right) in (any_id(), any_id()),
        is_same in any::<bool>(),
        is_upper in any::<bool>(),
    ) {
        let shout = |text: &str| if is_upper { text.to_uppercase() } else { text.to_lowercase() };
        let same = ContainerGroupId::new(left.subscription(), &shout(left.resource_group()), left.name());
        let right = if is_same { same.unwrap_or(right) } else { right };
        let is_equal = left == right;
        prop_assert_eq!(left.cmp(&right).is_eq(), is_equal);
        prop_assert_eq!(right.cmp(&left), left.cmp(&right).reverse());
        prop_assert_eq!(HashSet::from([left.clone(), right.clone()]).len() == 1, is_equal);
        prop_assert_eq!(Owner::from(&left) == Owner::from(&right), is_equal, "{} {}", left, right);
    }

    #[test]
    fn a_mark_names_its_container_group(id in any_id()) {
        let owner = Owner::from(&id);
        prop_assert_eq!(owner.container_group(), Some(id));
        let metadata = Metadata::from([(OWNER_KEY.to_owned(), owner.as_str().to_owned())]);
        let content = Content { ttl: 60, records: vec![], metadata };
        let set: ARecordSet =
            RecordSet { etag: ETag::from("e".to_owned()), content, is_auto_registered: false };
        prop_assert_eq!(OwnerMark::of(&set, &owner), OwnerMark::Ours);
    }

    #[test]
    fn the_most_specific_key_wins(
        keys in prop::collection::vec(any_key(), 1..8),
        group in prop::sample::select(vec!["r", "rg", "rg-", "rg-spoke1", "RG-SPOKE1x", "Rg-σ", "other"]),
        subscription in prop::sample::select(vec![S1, "AAAAAAAA-0000-0000-0000-000000000001", S2, S3]),
    ) {
        let mut seen = HashSet::new();
        let keys: Vec<_> = keys.into_iter().filter(|key| seen.insert(key.text().to_lowercase())).collect();
        let map: BTreeMap<_, _> = keys.iter().enumerate().map(|(index, key)| {
            (key.text(), json!({"forwardZone": format!("zone{index}.internal"), "reverseZones": []}))
        }).collect();
        let map = ZoneMap::parse(&json!(map).to_string()).unwrap();
        let id = ContainerGroupId::new(subscription, group, "web").unwrap();
        let served = map.serving(&id).map(|zones| zones.forward.name.to_string());
        let covering = keys.iter().enumerate().filter(|(_, key)| key.covers(subscription, group));
        let best = covering.max_by_key(|(_, key)| {
            (key.subscription.is_some(), !key.is_pattern, key.group.chars().count())
        });
        prop_assert_eq!(served, best.map(|(index, _)| format!("zone{index}.internal")));
    }

    #[test]
    fn every_name_that_settings_allow_is_a_name(
        label in "[a-z]{1,63}",
        labels in prop::collection::vec("[a-z]{40,63}", 1..5),
    ) {
        let map = json!({"rg": {"forwardZone": labels.join("."), "reverseZones": []}});
        let Ok(map) = ZoneMap::parse(&map.to_string()) else { return Ok(()) };
        let id = ContainerGroupId::new("s1", "rg", &label).unwrap();
        let desired = Desired::of_absent(&id, &map.serving(&id).unwrap());
        let fqdn = desired.fqdn();
        prop_assert_eq!(fqdn.as_str().parse::<DomainName>().ok(), Some(fqdn.clone()));
        prop_assert_eq!(PtrTarget::from(&fqdn).name(), Some(fqdn));
    }

    #[test]
    fn events_keep_their_order_however_they_are_encoded(
        events in prop::collection::vec(any_event(), 0..6),
        layers in 0..3_u8,
    ) {
        let read = |value: &Value| format!("{:?}", event::read(value));
        let each: Vec<_> = events.iter().flat_map(event::read).collect();
        let mut value = Value::Array(events);
        prop_assert_eq!(read(&value), format!("{each:?}"));
        for _ in 0..layers {
            value = Value::String(value.to_string());
        }
        prop_assert_eq!(read(&value), format!("{each:?}"));
    }
}

fn any_id() -> impl Strategy<Value = ContainerGroupId> {
    let group = "[a-cA-C0äÄßΣσςİıK_().-]{0,3}[a-bA-BΣσςİK_]";
    let parts = ("[a-bA-B0-]{1,3}", group, "[a-bA-B]([a-b-]{0,2}[a-bA-B0])?");
    parts.prop_map(|(subscription, group, name)| ContainerGroupId::new(&subscription, &group, &name).unwrap())
}

/// A key of the map, as the guide explains it.
#[derive(Clone, Debug)]
struct Key {
    subscription: Option<&'static str>,
    group: &'static str,
    is_pattern: bool,
}

impl Key {
    fn text(&self) -> String {
        let subscription = self.subscription.map(|text| format!("{text}/")).unwrap_or_default();
        format!("{subscription}{}{}", self.group, if self.is_pattern { "*" } else { "" })
    }

    fn covers(&self, subscription: &str, group: &str) -> bool {
        let (own, group) = (self.group.to_lowercase(), group.to_lowercase());
        self.subscription.is_none_or(|own| own.eq_ignore_ascii_case(subscription))
            && if self.is_pattern { group.starts_with(&own) } else { group == own }
    }
}

const S1: &str = "aaaaaaaa-0000-0000-0000-000000000001";
const S2: &str = "aaaaaaaa-0000-0000-0000-000000000002";
const S3: &str = "aaaaaaaa-0000-0000-0000-000000000003";

fn any_key() -> impl Strategy<Value = Key> {
    let subscription =
        prop::sample::select(vec![None, Some(S1), Some("AAAAAAAA-0000-0000-0000-000000000002")]);
    let groups = vec!["", "r", "RG", "rg-", "rg-spoke1", "rg-Spoke1x", "rg-σ"];
    (subscription, prop::sample::select(groups), any::<bool>()).prop_map(
        |(subscription, group, is_pattern)| Key {
            subscription,
            group,
            is_pattern: is_pattern || group.is_empty(),
        },
    )
}

fn any_event() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        Just(json!("Microsoft.Resources.ResourceWriteSuccess")),
        Just(json!(
            "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.ContainerInstance/containerGroups/web"
        )),
        ".{0,12}".prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        Just(Value::Null),
    ];
    let key = prop::sample::select(vec!["id", "eventType", "type", "subject", "data", "time"]);
    prop::collection::btree_map(key, text, 0..6).prop_map(|members| json!(members))
}
