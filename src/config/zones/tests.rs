//! Tests of the zone map.

use proptest::prelude::*;

use super::{super::mistake::Mistakes, *};

/// Replaces `s1`, `S2` by full subscription ids that differ in their last digit.
fn full(text: &str) -> String {
    let digits = (1..=9).flat_map(|digit| [("s", "aaaaaaaa", digit), ("S", "AAAAAAAA", digit)]);
    digits.fold(text.to_owned(), |text, (letter, start, digit)| {
        text.replace(&format!("{letter}{digit}"), &format!("{start}-0000-0000-0000-00000000000{digit}"))
    })
}

fn id(subscription: &str, resource_group: &str) -> ContainerGroupId {
    ContainerGroupId::new(&full(subscription), resource_group, "web").unwrap()
}

fn set(subscriptions: &[&str]) -> BTreeSet<String> {
    subscriptions.iter().map(|subscription| full(subscription)).collect()
}

/// A map in which the zone of each key is named `zone<index>.internal`.
fn map(keys: &[&str]) -> ZoneMap {
    let entry = |(index, key): (usize, &&str)| {
        let key = full(key);
        format!(r#"{key:?}: {{"forwardZone": "zone{index}.internal", "reverseZones": []}}"#)
    };
    let entries: Vec<String> = keys.iter().enumerate().map(entry).collect();
    ZoneMap::parse(&format!("{{{}}}", entries.join(","))).unwrap()
}

/// Which of the keys serves a resource group of the subscription `s1`, in any order of the keys.
fn check_serving(keys: &[&str], resource_group: &str, expected: Option<&str>) {
    for rotation in 0..keys.len() {
        let mut keys = keys.to_vec();
        keys.rotate_left(rotation);
        let zones = map(&keys).serving(&id("s1", resource_group));
        let key = zones.map(|zones| {
            let name = zones.forward.name.to_string();
            let index: usize = name.trim_start_matches("zone").trim_end_matches(".internal").parse().unwrap();
            keys[index]
        });
        assert_eq!(key, expected, "{resource_group} in {keys:?}");
    }
}

const REQUIRED: &str = r#""forwardZone": "a.internal", "reverseZones": []"#;

#[test]
fn a_list_scope_is_read_by_resource_group_and_by_subscription_only_for_patterns() {
    let check = |keys: &[&str], subscriptions: &[&str], expected: &[&str]| {
        let list_scope = map(keys).list_scope(&set(subscriptions));
        let scopes: Vec<String> = list_scope.scopes.iter().map(ToString::to_string).collect();
        assert_eq!(scopes, expected.iter().map(|scope| full(scope)).collect::<Vec<_>>(), "{keys:?}");
    };
    let (a, b) = ("/subscriptions/s1/resourceGroups/rg-a", "/subscriptions/s2/resourceGroups/rg-a");
    check(&["rg-a"], &["s1", "s2"], &[a, b]);
    check(&["S1/RG-A"], &["s2"], &[a]);
    check(&["s1/rg-a", "rg-a"], &["s2"], &[a, b]);
    check(&["s1/rg-*", "rg-a"], &["s1", "s2"], &["/subscriptions/s1", b]);
    check(&["rg-a"], &[], &[]);
    assert_eq!(map(&["s1/rg-a", "S1/b*", "s2/c"]).subscriptions(), set(&["s1", "s2"]));
    assert_eq!(map(&["s1/rg-a", "rg-*"]).key_without_subscription().as_deref(), Some("rg-*"));
    assert_eq!(map(&["s1/rg-a"]).key_without_subscription(), None);
}

#[test]
fn the_map_names_all_zones_except_those_at_the_location_of_the_groups() {
    let zones = |entry: &str, key: &str| {
        let text = full(&format!(r#"{{"{key}": {{{REQUIRED}{entry}}}}}"#));
        let list_scope = ZoneMap::parse(&text).unwrap().list_scope(&set(&["s1"]));
        let place = |zones: Zones| format!("{}/{}", zones.forward.subscription, zones.forward.resource_group);
        list_scope.zones.into_iter().map(place).collect::<Vec<_>>()
    };
    assert_eq!(zones("", "rg-a"), [full("s1/rg-a")]);
    assert_eq!(zones("", "rg-*"), [""; 0]);
    assert_eq!(zones(r#", "zoneResourceGroup": "rg-dns""#, "rg-*"), [full("s1/rg-dns")]);
    assert_eq!(zones(r#", "zoneSubscriptionId": "s9""#, "rg-a"), [full("s9/rg-a")]);
}

#[test]
fn an_entry_sets_the_location_of_zones_and_the_rules() {
    let text = full(
        r#"{"RG-Spoke1": {
        "forwardZone": "Spoke1.Contoso.Internal.", "reverseZones": ["1.10.in-addr.arpa", "5.1.10.in-addr.arpa"],
        "zoneSubscriptionId": "s2", "zoneResourceGroup": "rg-dns", "ttl": 300,
        "policy": "observe", "ownership": "strict", "groups": ["web*", "api"],
        "addressRanges": ["10.1.0.0/16", "10.9.9.9/32"], "hostnames": ["Portal", "api-*"],
        "formerZones": ["old.contoso.internal"],
        "secret": {"vault": "https://kv-apps.vault.azure.net", "name": "{group}--ip"}
    }}"#,
    );
    let zone = |name: &str| Zone {
        subscription: full("s2"),
        resource_group: "rg-dns".into(),
        name: name.parse().unwrap(),
    };
    let reverse = |name| ReverseZone::new(zone(name)).unwrap();
    let zones = ZoneMap::parse(&text).unwrap().serving(&id("s1", "rg-spoke1")).unwrap();
    assert_eq!(
        zones,
        Zones {
            forward: zone("spoke1.contoso.internal"),
            reverse: vec![reverse("1.10.in-addr.arpa"), reverse("5.1.10.in-addr.arpa")],
            ttl: 300,
            policy: Policy::Observe,
            ownership: Ownership::Strict,
            address_ranges: vec!["10.1.0.0/16".parse().unwrap(), "10.9.9.9/32".parse().unwrap()],
            hostnames: NamePatterns::new(vec![NamePattern::new("portal"), NamePattern::new("api-*")]),
            former_zones: vec!["old.contoso.internal".parse().unwrap()],
            services: Arc::default(),
            secret: Some(SecretRule {
                vault: Vault::new("https://kv-apps.vault.azure.net/".parse().unwrap()),
                name: Some("{group}--ip".to_owned()),
            }),
        }
    );
    let accepts = |address: [u8; 4]| zones.accepts(address.into());
    assert_eq!([[10, 1, 255, 1], [10, 9, 9, 9], [10, 9, 9, 8]].map(accepts), [true, true, false]);
    assert_eq!(["PORTAL", "api-1", "api"].map(|name| zones.hostnames.matches(name)), [true, true, false]);
}

#[test]
fn by_default_zones_are_beside_the_group_with_any_address_and_no_hostname() {
    let zones = map(&["rg"]).serving(&id("s1", "RG")).unwrap();
    let name = "zone0.internal".parse().unwrap();
    let forward = Zone { subscription: full("s1"), resource_group: "RG".into(), name };
    assert_eq!(zones, Zones::new(forward, vec![], 60));
    assert!(zones.accepts([192, 0, 2, 1].into()) && !zones.hostnames.matches("portal"));
}

#[test]
fn an_entry_overrides_policy_and_ownership() {
    let defaults = Defaults { policy: Policy::Observe, ownership: Ownership::Strict, cloud: Cloud::Public };
    let check = |rules: &str, expected: (Policy, Ownership)| {
        let text = format!(r#"{{"rg": {{{REQUIRED}{rules}}}}}"#);
        let map = ZoneMap::read(&text, defaults, &mut Mistakes::default()).unwrap();
        let zones = map.serving(&id("s1", "rg")).unwrap();
        assert_eq!((zones.policy, zones.ownership), expected, "{rules}");
    };
    check("", (Policy::Observe, Ownership::Strict));
    check(r#", "policy": "upsert-only""#, (Policy::UpsertOnly, Ownership::Strict));
    check(r#", "ownership": "Adopt", "policy": "sync""#, (Policy::Sync, Ownership::Adopt));
}

#[test]
fn a_group_outside_of_groups_is_unmanaged() {
    let text = format!(r#"{{"rg": {{{REQUIRED}, "groups": ["web*", "api"]}}, "*": {{{REQUIRED}}}}}"#);
    let map = ZoneMap::parse(&text).unwrap();
    let find = |name: &str| map.find(&ContainerGroupId::new(&full("s1"), "RG", name).unwrap());
    for name in ["web", "WEB-1", "api"] {
        assert!(find(name).is_ok(), "{name}");
    }
    // No less specific entry replaces it.
    assert_eq!(find("api-1"), Err(NotInMap::Group { key: "rg".into() }));
    assert_eq!(
        find("api-1").unwrap_err().to_string(),
        "the groups of the key \"rg\" of ACI_DNS_ZONES do not contain it"
    );
}

#[test]
fn groups_of_other_subscriptions_need_a_key_with_their_subscription() {
    let check =
        |keys: &[&str], subscriptions: &[&str], subscription: &str, expected: Result<(), NotInMap>| {
            let map = map(keys).limited_to(&set(subscriptions));
            let found = map.find(&id(subscription, "rg")).map(|_| ());
            assert_eq!(found, expected, "{subscription} in {keys:?} of {subscriptions:?}");
            assert_eq!(map.serves(&id(subscription, "rg")), found.is_ok());
        };
    check(&["rg"], &[], "s1", Ok(()));
    check(&["rg"], &["s1", "s2"], "S1", Ok(()));
    check(&["rg"], &["s1", "s2"], "s3", Err(NotInMap::Subscription));
    check(&["other"], &["s1"], "s3", Err(NotInMap::ResourceGroup));
    check(&["s3/rg", "rg"], &["s1"], "s3", Ok(()));
    // Every key has a subscription, which is used.
    check(&["s1/rg", "s2/*"], &[], "s3", Err(NotInMap::ResourceGroup));
    check(&["s1/rg", "s2/*"], &[], "s2", Ok(()));
}

#[test]
fn a_group_without_a_key_is_unmanaged() {
    check_serving(&["rg-a", "rg-b*", "s2/rg-c"], "rg-c", None);
    check_serving(&["rg-a"], "rg-a2", None);
}

#[test]
fn a_key_with_a_subscription_wins_over_one_without() {
    check_serving(&["rg-a", "s1/*", "rg-*"], "rg-a", Some("s1/*"));
    check_serving(&["rg-a", "s2/rg-a"], "rg-a", Some("rg-a"));
}

#[test]
fn an_exact_key_wins_over_a_pattern() {
    check_serving(&["rg-a*", "rg-a", "*"], "rg-a", Some("rg-a"));
    check_serving(&["s1/rg-a*", "s1/rg-a", "*"], "rg-a", Some("s1/rg-a"));
}

#[test]
fn a_longer_pattern_wins_over_a_shorter() {
    check_serving(&["*", "rg*", "rg-a*", "rg-b*"], "rg-abc", Some("rg-a*"));
}

#[test]
fn keys_compare_without_regard_to_case() {
    check_serving(&["RG-A"], "rg-a", Some("RG-A"));
    check_serving(&["S1/Rg-*"], "rG-a", Some("S1/Rg-*"));
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in r#"[\[\]{}",:a-z0-9*/.\-]{0,60}"#) {
        let _ = ZoneMap::parse(&text);
    }

    #[test]
    fn the_zones_of_a_group_cover_its_name(
        keys in prop::collection::btree_set("[ab]{0,3}[*]|[ab]{1,3}|s[12]/[ab]{0,2}[*]", 1..8),
        group in "[ab]{1,4}",
    ) {
        let keys: Vec<&str> = keys.iter().map(String::as_str).collect();
        let is_covered = keys.iter().any(|key| {
            let key = key.strip_prefix("s1/").unwrap_or(key);
            key.strip_suffix('*').map_or(*key == *group, |prefix| group.starts_with(prefix))
        });
        prop_assert_eq!(map(&keys).serving(&id("s1", &group)).is_some(), is_covered);
    }
}
