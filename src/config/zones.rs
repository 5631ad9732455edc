//! Which zones serve which container groups: the JSON value of `ACI_DNS_ZONES`.

use std::cmp::Reverse;

use super::{BrokenRule, Mistakes, SettingsError, closest, json, json::Json};
use crate::{
    dns::{DomainName, NameError, ReverseZone, Zone},
    resource_id::{
        ContainerGroupId, RESOURCE_GROUP_RULE, SUBSCRIPTION_RULE, is_resource_group, is_subscription,
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
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zones {
    /// Where its A record set goes.
    pub forward: Zone,
    /// Where its PTR record set may go; none means no PTR records on purpose.
    pub reverse: Vec<ReverseZone>,
    /// Seconds for which an answer may be kept.
    pub ttl: u32,
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
        let subscription = id.subscription().to_lowercase();
        let resource_group = id.resource_group().to_lowercase();
        let (_, entry) = self.entries.iter().find(|(key, _)| key.covers(&subscription, &resource_group))?;
        Some(entry.zones(id))
    }
}

impl Key {
    fn parse(text: &str) -> Result<Self, &'static str> {
        let text = text.to_lowercase();
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
    fn zones(&self, id: &ContainerGroupId) -> Zones {
        let zone = |name: &DomainName| Zone {
            subscription: self.subscription.as_deref().unwrap_or(id.subscription()).to_owned(),
            resource_group: self.resource_group.as_deref().unwrap_or(id.resource_group()).to_owned(),
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
    let forward_zone = forward_zone.and_then(|value| read_zone(&at("forwardZone"), value, mistakes));
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

fn read_zone(place: &str, value: &Json, mistakes: &mut Mistakes) -> Option<DomainName> {
    let text = read_text(place, value, mistakes)?;
    text.parse().map_err(|error| mistakes.at(place, BrokenRule::Name(error))).ok()
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
