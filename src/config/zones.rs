//! Which zones serve which container groups: the JSON value of `ACI_DNS_ZONES`.

use std::{cmp::Reverse, collections::BTreeSet};

use super::{BrokenRule, Mistakes, SettingsError, closest, json, json::Json};
use crate::{
    dns::{DomainName, NameError, ReverseZone, Zone},
    resource_id::{
        ContainerGroupId, RESOURCE_GROUP_RULE, SUBSCRIPTION_RULE, Scope, fold, is_resource_group,
        is_subscription,
    },
};

/// The variable, which every place in the value begins with.
pub(super) const VARIABLE: &str = "ACI_DNS_ZONES";

/// Which zones serve which container groups: the most specific key first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneMap {
    entries: Vec<(Key, Entry)>,
}

/// The zones that serve one container group.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Zones {
    /// Where its A record set goes.
    pub forward: Zone,
    /// Where its PTR record set may go; none means no PTR records on purpose.
    pub reverse: Vec<ReverseZone>,
    /// Seconds for which an answer may be kept.
    pub ttl: u32,
}

/// Everything that the map serves in some subscriptions: what has to be listed to see all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Territory {
    /// Where the container groups are.
    pub scopes: BTreeSet<Scope>,
    /// The zones, as far as the map alone tells them: those of a pattern that leaves the place of its zones to the
    /// container groups are known only once these are.
    pub zones: Vec<Zones>,
}

/// Which container groups an entry serves; lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Key {
    subscription: Option<String>,
    /// The name of the resource group, or how it begins.
    resource_group: String,
    is_pattern: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Entry {
    forward_zone: DomainName,
    reverse_zones: Vec<DomainName>,
    /// The subscription that holds the zones, where it is not the container group's own.
    subscription: Option<String>,
    /// The resource group that holds the zones, where it is not the container group's own.
    resource_group: Option<String>,
    ttl: u32,
}

/// The TTL of an entry that has none: container groups move, and a stale answer is a broken name.
const DEFAULT_TTL: u32 = 60;

/// The longest name of a forward zone: with the longest label in front it is a name of 253 characters.
const FORWARD_ZONE_LIMIT: usize = 253 - 64;

impl ZoneMap {
    /// Reads the JSON value of `ACI_DNS_ZONES`.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let mut mistakes = Mistakes::default();
        let map = read_zone_map(text, &mut mistakes);
        mistakes.or(map)
    }

    /// The zones that serve a container group, or nothing when it is not managed.
    ///
    /// The most specific key wins: with a subscription before without, exact before pattern, longer pattern
    /// before shorter.
    #[must_use]
    pub fn serving(&self, id: &ContainerGroupId) -> Option<Zones> {
        self.entry(id).map(|entry| entry.zones(id.subscription(), id.resource_group()))
    }

    /// Whether a container group is managed.
    #[must_use]
    pub fn serves(&self, id: &ContainerGroupId) -> bool {
        self.entry(id).is_some()
    }

    fn entry(&self, id: &ContainerGroupId) -> Option<&Entry> {
        let (subscription, resource_group) = (fold(id.subscription()), fold(id.resource_group()));
        let mut entries = self.entries.iter();
        entries.find(|(key, _)| key.covers(&subscription, &resource_group)).map(|(_, entry)| entry)
    }

    /// The subscriptions that keys name, in lower case.
    #[must_use]
    pub fn subscriptions(&self) -> BTreeSet<String> {
        self.entries.iter().filter_map(|(key, _)| key.subscription.clone()).collect()
    }

    /// A key that names no subscription, so that the map does not say where its container groups are.
    #[must_use]
    pub fn key_without_subscription(&self) -> Option<String> {
        let (key, _) = self.entries.iter().find(|(key, _)| key.subscription.is_none())?;
        Some(format!("{}{}", key.resource_group, if key.is_pattern { "*" } else { "" }))
    }

    /// Everything that the map serves, where keys without a subscription mean these ones.
    #[must_use]
    pub fn territory(&self, subscriptions: &BTreeSet<String>) -> Territory {
        let mut territory = Territory::default();
        for (key, entry) in &self.entries {
            let named = key.subscription.as_ref();
            for subscription in named.into_iter().chain(subscriptions.iter().filter(|_| named.is_none())) {
                let resource_group = (!key.is_pattern).then_some(key.resource_group.as_str());
                territory.scopes.insert(Scope::new(subscription, resource_group));
                if let Some(place) = resource_group.or(entry.resource_group.as_deref()) {
                    territory.zones.push(entry.zones(subscription, place));
                }
            }
        }
        // What a list of a subscription holds need not be listed again.
        let whole: BTreeSet<String> = territory
            .scopes
            .iter()
            .filter(|scope| scope.resource_group().is_none())
            .map(|scope| scope.subscription().to_owned())
            .collect();
        territory
            .scopes
            .retain(|scope| scope.resource_group().is_none() || !whole.contains(scope.subscription()));
        territory
    }
}

impl Key {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let text = fold(text);
        let (subscription, name) = match text.split_once('/') {
            Some((subscription, name)) if is_subscription(subscription) => (Some(subscription), name),
            Some(_) => return Err(SUBSCRIPTION_RULE),
            None => (None, text.as_str()),
        };
        let (resource_group, is_pattern) =
            name.strip_suffix('*').map_or((name, false), |prefix| (prefix, true));
        // How a name begins need not be a name yet: it may be empty or end in a period.
        let is_right = if is_pattern {
            is_resource_group(&format!("{resource_group}a"))
        } else {
            is_resource_group(resource_group)
        };
        if !is_right {
            return Err(RESOURCE_GROUP_RULE);
        }
        Ok(Self {
            subscription: subscription.map(str::to_owned),
            resource_group: resource_group.to_owned(),
            is_pattern,
        })
    }

    fn covers(&self, subscription: &str, resource_group: &str) -> bool {
        let is_subscription_covered = self.subscription.as_deref().is_none_or(|own| own == subscription);
        let is_group_covered = if self.is_pattern {
            resource_group.starts_with(&self.resource_group)
        } else {
            resource_group == self.resource_group
        };
        is_subscription_covered && is_group_covered
    }

    /// Sorts the most specific key first.
    fn rank(&self) -> impl Ord + use<> {
        (self.subscription.is_none(), self.is_pattern, Reverse(self.resource_group.len()))
    }
}

impl Entry {
    /// The zones that serve a container group of this place.
    fn zones(&self, subscription: &str, resource_group: &str) -> Zones {
        let zone = |name: &DomainName| Zone {
            subscription: self.subscription.as_deref().unwrap_or(subscription).to_owned(),
            resource_group: self.resource_group.as_deref().unwrap_or(resource_group).to_owned(),
            name: name.clone(),
        };
        let reverse_zone =
            |name| ReverseZone::new(zone(name)).expect("the map holds only names that were checked");
        Zones {
            forward: zone(&self.forward_zone),
            reverse: self.reverse_zones.iter().map(reverse_zone).collect(),
            ttl: self.ttl,
        }
    }
}

fn read_zone_map(text: &str, mistakes: &mut Mistakes) -> ZoneMap {
    let members = match serde_json::from_str(text) {
        Ok(Json::Object(members)) => members,
        Ok(other) => {
            mistakes.at(VARIABLE, BrokenRule::Type { expected: "an object", given: other.kind() });
            return ZoneMap::default();
        }
        Err(error) => {
            mistakes.at(VARIABLE, BrokenRule::Json(error.to_string()));
            return ZoneMap::default();
        }
    };
    let mut entries: Vec<(Key, Entry)> = Vec::new();
    let mut seen: Vec<(Key, &str)> = Vec::new();
    for (name, value) in &members {
        let place = json::member(VARIABLE, name);
        let key = Key::parse(name).map_err(|rule| mistakes.at(&place, BrokenRule::Key(rule))).ok();
        if let Some(key) = &key {
            match seen.iter().find(|(other, _)| other == key) {
                Some((_, other)) if other == name => mistakes.at(&place, BrokenRule::DuplicateKey),
                Some((_, other)) => mistakes.at(&place, BrokenRule::SameKey((*other).to_owned())),
                None => seen.push((key.clone(), name)),
            }
        }
        let entry = read_entry(&place, value, mistakes);
        entries.extend(key.zip(entry));
    }
    entries.sort_by_key(|(key, _)| key.rank());
    ZoneMap { entries }
}

const KEYS: [&str; 5] = ["forwardZone", "reverseZones", "zoneSubscriptionId", "zoneResourceGroup", "ttl"];

fn read_entry(place: &str, value: &Json, mistakes: &mut Mistakes) -> Option<Entry> {
    let Json::Object(members) = value else {
        mistakes.at(place, BrokenRule::Type { expected: "an object", given: value.kind() });
        return None;
    };
    for (index, (name, _)) in members.iter().enumerate() {
        let place = json::member(place, name);
        if !KEYS.contains(&name.as_str()) {
            mistakes.at(&place, BrokenRule::UnknownKey(closest(name, KEYS.into_iter())));
        } else if members.iter().take(index).any(|(before, _)| before == name) {
            mistakes.at(&place, BrokenRule::DuplicateKey);
        }
    }
    let member = |name: &str| members.iter().find(|(key, _)| key == name).map(|(_, value)| value);
    let at = |name: &str| json::member(place, name);
    let mut required = |name: &str| {
        let value = member(name);
        if value.is_none() {
            mistakes.at(&at(name), BrokenRule::Missing);
        }
        value
    };
    let (forward_zone, reverse_zones) = (required("forwardZone"), required("reverseZones"));
    let forward_zone = forward_zone.and_then(|value| read_forward_zone(&at("forwardZone"), value, mistakes));
    let reverse_zones =
        reverse_zones.and_then(|value| read_reverse_zones(&at("reverseZones"), value, mistakes));
    let mut text = |name: &str, is_right: fn(&str) -> bool, rule| {
        let given = read_text(&at(name), member(name)?, mistakes)?;
        if !is_right(given) {
            mistakes.at(&at(name), BrokenRule::Text { given: given.to_owned(), rule });
        }
        Some(given.to_owned())
    };
    let subscription = text("zoneSubscriptionId", is_subscription, SUBSCRIPTION_RULE);
    let resource_group = text("zoneResourceGroup", is_resource_group, RESOURCE_GROUP_RULE);
    let ttl = member("ttl").map_or(Some(DEFAULT_TTL), |value| read_ttl(&at("ttl"), value, mistakes));
    Some(Entry {
        forward_zone: forward_zone?,
        reverse_zones: reverse_zones?,
        subscription,
        resource_group,
        ttl: ttl?,
    })
}

fn read_text<'a>(place: &str, value: &'a Json, mistakes: &mut Mistakes) -> Option<&'a str> {
    if let Json::String(text) = value {
        return Some(text);
    }
    mistakes.at(place, BrokenRule::Type { expected: "a string", given: value.kind() });
    None
}

fn read_forward_zone(place: &str, value: &Json, mistakes: &mut Mistakes) -> Option<DomainName> {
    let text = read_text(place, value, mistakes)?;
    let name: DomainName = text.parse().map_err(|error| mistakes.at(place, BrokenRule::Name(error))).ok()?;
    if name.as_str().len() > FORWARD_ZONE_LIMIT {
        let rule = "a zone with room for a label of 63 characters: it must have 189 characters at most";
        mistakes.at(place, BrokenRule::Text { given: text.to_owned(), rule });
        return None;
    }
    Some(name)
}

fn read_reverse_zones(place: &str, value: &Json, mistakes: &mut Mistakes) -> Option<Vec<DomainName>> {
    let Json::Array(elements) = value else {
        mistakes.at(place, BrokenRule::Type { expected: "an array", given: value.kind() });
        return None;
    };
    let mut names: Vec<DomainName> = Vec::new();
    for (index, element) in elements.iter().enumerate() {
        let place = format!("{place}[{index}]");
        let Some(name) = read_reverse_zone(&place, element, mistakes) else { continue };
        if names.contains(&name) {
            mistakes.at(&place, BrokenRule::DuplicateZone(name));
        } else {
            names.push(name);
        }
    }
    Some(names)
}

fn read_reverse_zone(place: &str, value: &Json, mistakes: &mut Mistakes) -> Option<DomainName> {
    let text = read_text(place, value, mistakes)?;
    // The rule of a reverse zone says more than that of a name: `0/25.5.1.10.in-addr.arpa` is no name at all.
    let name: Result<DomainName, NameError> = text.parse();
    let Ok(name) = name else {
        mistakes.at(place, BrokenRule::Name(NameError::Reverse(text.to_owned())));
        return None;
    };
    let zone = Zone { subscription: String::new(), resource_group: String::new(), name: name.clone() };
    ReverseZone::new(zone).map_err(|error| mistakes.at(place, BrokenRule::Name(error))).ok()?;
    Some(name)
}

fn read_ttl(place: &str, value: &Json, mistakes: &mut Mistakes) -> Option<u32> {
    const MOST: u32 = 2_147_483_647;
    let Json::Number(number) = value else {
        mistakes.at(place, BrokenRule::Type { expected: "a number", given: value.kind() });
        return None;
    };
    let ttl = number.as_u64().and_then(|ttl| u32::try_from(ttl).ok()).filter(|ttl| (1..=MOST).contains(ttl));
    if ttl.is_none() {
        mistakes.at(place, BrokenRule::Number { given: number.to_string(), least: 1, most: MOST.into() });
    }
    ttl
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id(subscription: &str, resource_group: &str) -> ContainerGroupId {
        ContainerGroupId::new(subscription, resource_group, "web").unwrap()
    }

    /// A map in which the zone of each key is called `zone<index>.internal`.
    fn map(keys: &[&str]) -> ZoneMap {
        let entry = |(index, key)| {
            format!(r#"{key:?}: {{"forwardZone": "zone{index}.internal", "reverseZones": []}}"#)
        };
        let entries: Vec<String> = keys.iter().enumerate().map(entry).collect();
        ZoneMap::parse(&format!("{{{}}}", entries.join(","))).unwrap()
    }

    /// Which of the keys serves a resource group of the subscription `s1`, in whatever order they are given.
    fn check_serving(keys: &[&str], resource_group: &str, expected: Option<&str>) {
        for rotation in 0..keys.len() {
            let mut keys = keys.to_vec();
            keys.rotate_left(rotation);
            let zones = map(&keys).serving(&id("s1", resource_group));
            let key = zones.map(|zones| {
                let name = zones.forward.name.to_string();
                let index: usize =
                    name.trim_start_matches("zone").trim_end_matches(".internal").parse().unwrap();
                keys[index]
            });
            assert_eq!(key, expected, "{resource_group} in {keys:?}");
        }
    }

    fn check_mistakes(text: &str, expected: &[&str]) {
        let error = ZoneMap::parse(text).expect_err("there is a mistake");
        let mistakes: Vec<String> = error.mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(mistakes, expected, "{text}");
    }

    /// The mistakes in one entry with the given members.
    fn check_entry(members: &str, expected: &[&str]) {
        check_mistakes(&format!(r#"{{"rg": {{{members}}}}}"#), expected);
    }

    const REQUIRED: &str = r#""forwardZone": "a.internal", "reverseZones": []"#;

    #[test]
    fn a_territory_is_listed_by_resource_group_and_by_subscription_only_for_patterns() {
        let check = |keys: &[&str], subscriptions: &[&str], expected: &[&str]| {
            let subscriptions = subscriptions.iter().map(ToString::to_string).collect();
            let territory = map(keys).territory(&subscriptions);
            let scopes: Vec<String> = territory.scopes.iter().map(ToString::to_string).collect();
            assert_eq!(scopes, expected, "{keys:?}");
        };
        let (a, b) = ("/subscriptions/s1/resourceGroups/rg-a", "/subscriptions/s2/resourceGroups/rg-a");
        check(&["rg-a"], &["s1", "s2"], &[a, b]);
        check(&["S1/RG-A"], &["s2"], &[a]);
        check(&["s1/rg-a", "rg-a"], &["s2"], &[a, b]);
        check(&["s1/rg-*", "rg-a"], &["s1", "s2"], &["/subscriptions/s1", b]);
        check(&["rg-a"], &[], &[]);
        assert_eq!(
            map(&["s1/rg-a", "S1/b*", "s2/c"]).subscriptions(),
            ["s1", "s2"].map(str::to_owned).into()
        );
        assert_eq!(map(&["s1/rg-a", "rg-*"]).key_without_subscription().as_deref(), Some("rg-*"));
        assert_eq!(map(&["s1/rg-a"]).key_without_subscription(), None);
    }

    #[test]
    fn zones_are_known_from_the_map_unless_a_pattern_leaves_their_place_to_the_groups() {
        let zones = |entry: &str, key: &str| {
            let text = format!(r#"{{"{key}": {{{REQUIRED}{entry}}}}}"#);
            let territory = ZoneMap::parse(&text).unwrap().territory(&["s1".to_owned()].into());
            let place =
                |zones: Zones| format!("{}/{}", zones.forward.subscription, zones.forward.resource_group);
            territory.zones.into_iter().map(place).collect::<Vec<_>>()
        };
        assert_eq!(zones("", "rg-a"), ["s1/rg-a"]);
        assert_eq!(zones("", "rg-*"), [""; 0]);
        assert_eq!(zones(r#", "zoneResourceGroup": "rg-dns""#, "rg-*"), ["s1/rg-dns"]);
        assert_eq!(zones(r#", "zoneSubscriptionId": "s9""#, "rg-a"), ["s9/rg-a"]);
    }

    #[test]
    fn an_entry_says_where_the_zones_are() {
        let text = r#"{"RG-Spoke1": {
            "forwardZone": "Spoke1.Contoso.Internal.", "reverseZones": ["1.10.in-addr.arpa", "5.1.10.in-addr.arpa"],
            "zoneSubscriptionId": "s2", "zoneResourceGroup": "rg-dns", "ttl": 300
        }}"#;
        let zone = |name: &str| Zone {
            subscription: "s2".into(),
            resource_group: "rg-dns".into(),
            name: name.parse().unwrap(),
        };
        let reverse = |name| ReverseZone::new(zone(name)).unwrap();
        assert_eq!(
            ZoneMap::parse(text).unwrap().serving(&id("s1", "rg-spoke1")),
            Some(Zones {
                forward: zone("spoke1.contoso.internal"),
                reverse: vec![reverse("1.10.in-addr.arpa"), reverse("5.1.10.in-addr.arpa")],
                ttl: 300,
            })
        );
    }

    #[test]
    fn zones_are_by_default_where_the_container_group_is() {
        let zones = map(&["rg"]).serving(&id("s1", "RG")).unwrap();
        let name = "zone0.internal".parse().unwrap();
        let forward = Zone { subscription: "s1".into(), resource_group: "RG".into(), name };
        assert_eq!(zones, Zones { forward, reverse: vec![], ttl: 60 });
    }

    #[test]
    fn what_no_key_covers_is_not_managed() {
        check_serving(&["rg-a", "rg-b*", "s2/rg-c"], "rg-c", None);
        check_serving(&["rg-a"], "rg-a2", None);
        assert_eq!(ZoneMap::parse("{}").unwrap().serving(&id("s1", "rg")), None);
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

    #[test]
    fn keys_that_cover_the_same_are_refused() {
        let entry = "{\"forwardZone\": \"a.internal\", \"reverseZones\": []}";
        check_mistakes(
            &format!(
                r#"{{"rg": {entry}, "RG": {entry}, "rg": {entry}, "s/Rg*": {entry}, "S/rG*": {entry}}}"#
            ),
            &[
                "ACI_DNS_ZONES.RG: is the same key as \"rg\": keys compare without regard to case",
                "ACI_DNS_ZONES.rg: is given more than once",
                "ACI_DNS_ZONES.S/rG*: is the same key as \"s/Rg*\": keys compare without regard to case",
            ],
        );
    }

    #[test]
    fn a_key_that_is_no_resource_group_is_refused() {
        for key in
            ["", "a*b", "**", "a b", "rg.", "s1/", "/rg", "s 1/rg", "s*/rg", "*/rg", "a/b/c", "é/rg", "a%b"]
        {
            let text = format!(r"{{{key:?}: {{{REQUIRED}}}}}");
            let error = ZoneMap::parse(&text).expect_err(key);
            assert!(matches!(error.mistakes[0].broken, BrokenRule::Key(_)), "{key}: {error}");
        }
    }

    #[test]
    fn the_whole_value_is_an_object_of_objects() {
        check_mistakes("[]", &["ACI_DNS_ZONES: must be an object, and is an array"]);
        check_mistakes(r#"{"rg": null}"#, &["ACI_DNS_ZONES.rg: must be an object, and is null"]);
        check_mistakes("{", &["ACI_DNS_ZONES: is not JSON: EOF while parsing an object at line 1 column 1"]);
    }

    #[test]
    fn an_unknown_key_is_refused_and_the_right_one_guessed() {
        check_entry(
            &format!(r#"{REQUIRED}, "TTL": 1, "zoneSubscription": "s", "color": "red""#),
            &[
                "ACI_DNS_ZONES.rg.TTL: is not a key of a zone entry; did you mean \"ttl\"?",
                "ACI_DNS_ZONES.rg.zoneSubscription: is not a key of a zone entry; \
                 did you mean \"zoneSubscriptionId\"?",
                "ACI_DNS_ZONES.rg.color: is not a key of a zone entry",
            ],
        );
    }

    #[test]
    fn a_key_is_given_once() {
        check_entry(
            &format!(r#"{REQUIRED}, "ttl": 1, "ttl": 1"#),
            &["ACI_DNS_ZONES.rg.ttl: is given more than once"],
        );
    }

    #[test]
    fn both_kinds_of_zone_are_required() {
        check_entry(
            "",
            &[
                "ACI_DNS_ZONES.rg.forwardZone: is required and not set",
                "ACI_DNS_ZONES.rg.reverseZones: is required and not set",
            ],
        );
    }

    #[test]
    fn every_value_has_its_type() {
        check_entry(
            r#""forwardZone": 1, "reverseZones": "x", "zoneSubscriptionId": null, "zoneResourceGroup": true, "ttl": "60""#,
            &[
                "ACI_DNS_ZONES.rg.forwardZone: must be a string, and is a number",
                "ACI_DNS_ZONES.rg.reverseZones: must be an array, and is a string",
                "ACI_DNS_ZONES.rg.zoneSubscriptionId: must be a string, and is null",
                "ACI_DNS_ZONES.rg.zoneResourceGroup: must be a string, and is a boolean",
                "ACI_DNS_ZONES.rg.ttl: must be a number, and is a string",
            ],
        );
    }

    #[test]
    fn a_reverse_zone_is_told_by_its_place() {
        let rule = "must be one to three numbers from 0 to 255 followed by .in-addr.arpa \
                    (classless zones do not resolve in Private DNS)";
        check_entry(
            r#""forwardZone": "a.internal", "reverseZones":
               ["10.in-addr.arpa", 5, "0/25.5.1.10.in-addr.arpa", "0-25.5.1.10.in-addr.arpa", "10.IN-ADDR.arpa."]"#,
            &[
                "ACI_DNS_ZONES.rg.reverseZones[1]: must be a string, and is a number",
                &format!(
                    "ACI_DNS_ZONES.rg.reverseZones[2]: \"0/25.5.1.10.in-addr.arpa\" is not a reverse zone: it {rule}"
                ),
                &format!(
                    "ACI_DNS_ZONES.rg.reverseZones[3]: \"0-25.5.1.10.in-addr.arpa\" is not a reverse zone: it {rule}"
                ),
                "ACI_DNS_ZONES.rg.reverseZones[4]: 10.in-addr.arpa is listed more than once",
            ],
        );
    }

    #[test]
    fn a_ttl_is_a_whole_number_in_range() {
        for ttl in ["0", "2147483648", "-1", "1.5", "1e99"] {
            let error = ZoneMap::parse(&format!(r#"{{"rg": {{{REQUIRED}, "ttl": {ttl}}}}}"#)).expect_err(ttl);
            assert!(matches!(error.mistakes[0].broken, BrokenRule::Number { .. }), "{ttl}: {error}");
        }
        for ttl in ["1", "2147483647"] {
            assert!(ZoneMap::parse(&format!(r#"{{"rg": {{{REQUIRED}, "ttl": {ttl}}}}}"#)).is_ok(), "{ttl}");
        }
    }

    #[test]
    fn where_the_zones_are_cannot_change_a_path() {
        check_entry(
            &format!(r#"{REQUIRED}, "zoneSubscriptionId": "s/..", "zoneResourceGroup": "..""#),
            &[
                &format!("ACI_DNS_ZONES.rg.zoneSubscriptionId: \"s/..\" is not {SUBSCRIPTION_RULE}"),
                &format!("ACI_DNS_ZONES.rg.zoneResourceGroup: \"..\" is not {RESOURCE_GROUP_RULE}"),
            ],
        );
    }

    #[test]
    fn a_name_that_would_blur_the_path_is_quoted() {
        check_mistakes(r#"{"rg.a": 1}"#, &["ACI_DNS_ZONES[\"rg.a\"]: must be an object, and is a number"]);
    }

    proptest! {
        #[test]
        fn no_text_brings_the_reader_down(text in r#"[\[\]{}",:a-z0-9*/.\-]{0,60}"#) {
            let _ = ZoneMap::parse(&text);
        }

        #[test]
        fn whatever_serves_a_group_covers_its_name(
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
}
