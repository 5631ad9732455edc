//! Parses the JSON value of `ACI_DNS_ZONES`: entry by entry, key by key, with the place of each mistake.

use ipnet::Ipv4Net;

use super::{
    BrokenRule, Cloud, NamePattern, NamePatterns, OWNERSHIPS, POLICIES, SettingsError, ZoneMap, json,
    json::Json,
    mistake::{Mistakes, SUBSCRIPTION_ID, closest, word},
    services::Service,
    urls,
    variables::ZONES,
    zones::{Defaults, Entry, EntryKey},
};
use crate::domain::{
    dns::{DomainName, NameError, RelativeName, ReverseZone, Zone},
    resource_id::{RESOURCE_GROUP_RULE, is_container_group, is_guid, is_resource_group},
    secret::{SecretName, SecretRule, Vault},
};

/// The default TTL in seconds. It is short, because clients cannot connect while they cache an old address.
const DEFAULT_TTL: u32 = 60;

/// The default TTL of a service in seconds: its addresses change whenever a member starts or stops.
const DEFAULT_SERVICE_TTL: u32 = 30;

/// The members of a service.
pub(super) const SERVICE_KEYS: [&str; 2] = ["groups", "ttl"];

/// The longest name of a forward zone: with the longest label it is a name of 253 characters.
const FORWARD_ZONE_LIMIT: usize = 253 - 64;

/// How many labels the name of a zone may have.
///
/// Source: <https://learn.microsoft.com/azure/dns/private-dns-privatednszone#restrictions>
const ZONE_LABELS: std::ops::RangeInclusive<usize> = 2..=34;

/// The rule for the name of secrets.
const SECRET_NAME_RULE: &str =
    "a name of 1 to 127 letters, digits and hyphens, in which {group} and {resourceGroup} are replaced";

pub(super) const KEYS: [&str; 13] = [
    "forwardZone",
    "reverseZones",
    "zoneSubscriptionId",
    "zoneResourceGroup",
    "ttl",
    "policy",
    "ownership",
    "groups",
    "addressRanges",
    "hostnames",
    "formerZones",
    "secret",
    "services",
];

/// The members of `secret`.
pub(super) const SECRET_KEYS: [&str; 2] = ["vault", "name"];

impl ZoneMap {
    /// Parses the JSON value of `ACI_DNS_ZONES`.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let mut mistakes = Mistakes::default();
        let map = Self::read(text, Defaults::default(), &mut mistakes);
        mistakes.or(map)
    }

    pub(super) fn read(text: &str, defaults: Defaults, mistakes: &mut Mistakes) -> Option<Self> {
        Some(Self::new(read_map(text, defaults.cloud, mistakes)?, defaults))
    }
}

/// The entries in their order; `None` if the text is not a map.
fn read_map(text: &str, cloud: Cloud, mistakes: &mut Mistakes) -> Option<Vec<(EntryKey, Entry)>> {
    let members = read_members(text).map_err(|broken| mistakes.at(ZONES, broken)).ok()?;
    if members.is_empty() {
        mistakes.at(ZONES, BrokenRule::EmptyMap);
        return None;
    }
    let mut entries: Vec<(EntryKey, Entry)> = Vec::new();
    let mut seen: Vec<(EntryKey, &str)> = Vec::new();
    for (name, value) in &members {
        let place = json::member(ZONES, name);
        let key = EntryKey::parse(name).map_err(|rule| mistakes.at(&place, BrokenRule::Key(rule))).ok();
        if let Some(key) = &key {
            match seen.iter().find(|(other, _)| other == key) {
                Some((_, other)) if other == name => mistakes.at(&place, BrokenRule::DuplicateKey),
                Some((_, other)) => mistakes.at(&place, BrokenRule::SameKey((*other).to_owned())),
                None => seen.push((key.clone(), name)),
            }
        }
        let entry = read_entry(&Place { text: &place, value }, cloud, mistakes);
        entries.extend(key.zip(entry));
    }
    Some(entries)
}

/// The members of the object, or of several objects in sequence.
fn read_members(text: &str) -> Result<Vec<(String, Json)>, BrokenRule> {
    let mut members = Vec::new();
    for document in serde_json::Deserializer::from_str(text).into_iter() {
        match document {
            Ok(Json::Object(more)) => members.extend(more),
            Ok(Json::String(inner)) if matches!(serde_json::from_str(&inner), Ok(Json::Object(_))) => {
                return Err(BrokenRule::NestedJson);
            }
            Ok(other) => {
                let broken = BrokenRule::Type { expected: "an object", given: other.kind() };
                return Err(shell_damage(text).unwrap_or(broken));
            }
            Err(error) => {
                return Err(shell_damage(text).unwrap_or_else(|| BrokenRule::Json(error.to_string())));
            }
        }
    }
    Ok(members)
}

/// How a shell changed a JSON object, if that can be recognized.
fn shell_damage(text: &str) -> Option<BrokenRule> {
    let within = |quote| text.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    if within('\'').or_else(|| within('"')).is_some_and(|inner| inner.trim_start().starts_with('{')) {
        return Some(BrokenRule::Quoted);
    }
    let first = text.strip_prefix('{')?.trim_start().chars().next()?;
    (!"\"}".contains(first)).then_some(BrokenRule::LostQuotes)
}

/// A value and its place.
#[derive(Clone, Copy)]
struct Place<'a> {
    text: &'a str,
    value: &'a Json,
}

/// The members of an object, each of them known and given once.
fn check_members<'a>(
    place: &Place<'a>,
    keys: &'static [&'static str],
    mistakes: &mut Mistakes,
) -> Option<&'a [(String, Json)]> {
    let Json::Object(members) = place.value else {
        mistakes.at(place.text, BrokenRule::Type { expected: "an object", given: place.value.kind() });
        return None;
    };
    for (index, (name, _)) in members.iter().enumerate() {
        let place = json::member(place.text, name);
        if !keys.contains(&name.as_str()) {
            let meant = closest(name, keys.iter().copied()).map(str::to_owned);
            mistakes.at(&place, BrokenRule::UnknownKey(meant));
        } else if members.iter().take(index).any(|(before, _)| before == name) {
            mistakes.at(&place, BrokenRule::DuplicateKey);
        }
    }
    Some(members)
}

fn read_entry(entry: &Place<'_>, cloud: Cloud, mistakes: &mut Mistakes) -> Option<Entry> {
    let members = check_members(entry, &KEYS, mistakes)?;
    let mut entry = ObjectMembers { all: members, place: entry.text, mistakes };
    entry.require("forwardZone");
    entry.require("reverseZones");
    let forward_zone = entry.read("forwardZone", read_forward_zone);
    let reverse_zones = entry.read("reverseZones", |place, mistakes| {
        read_distinct(place, mistakes, read_reverse_zone, BrokenRule::DuplicateZone)
    });
    let subscription = entry.text("zoneSubscriptionId", is_guid, SUBSCRIPTION_ID);
    let resource_group = entry.text("zoneResourceGroup", is_resource_group, RESOURCE_GROUP_RULE);
    let ttl = entry.read("ttl", read_ttl);
    let policy = entry.read("policy", |place, mistakes| read_word(place, mistakes, &POLICIES));
    let ownership = entry.read("ownership", |place, mistakes| read_word(place, mistakes, &OWNERSHIPS));
    let groups = entry.read("groups", read_groups);
    let address_ranges = entry.read("addressRanges", read_address_ranges);
    let hostnames = entry.read("hostnames", read_hostnames);
    let former_zones = entry.read("formerZones", |place, mistakes| {
        read_distinct(place, mistakes, read_forward_zone, BrokenRule::DuplicateZone)
    });
    let secret = entry.read("secret", |place, mistakes| read_secret(place, cloud, mistakes));
    let services = entry.read("services", read_services);
    Some(Entry {
        forward_zone: forward_zone?,
        reverse_zones: reverse_zones?,
        subscription,
        resource_group,
        ttl: ttl.unwrap_or(DEFAULT_TTL),
        policy,
        ownership,
        groups: groups.unwrap_or_else(NamePatterns::all),
        address_ranges: address_ranges.unwrap_or_default(),
        hostnames: hostnames.unwrap_or_default(),
        former_zones: former_zones.unwrap_or_default(),
        services: services.unwrap_or_default().into(),
        secret,
    })
}

fn read_secret(place: &Place<'_>, cloud: Cloud, mistakes: &mut Mistakes) -> Option<SecretRule> {
    let members = check_members(place, &SECRET_KEYS, mistakes)?;
    let mut secret = ObjectMembers { all: members, place: place.text, mistakes };
    secret.require("vault");
    let vault = secret.read("vault", |place, mistakes| {
        let given = read_text(place, mistakes)?;
        urls::vault(given, cloud).map_err(|broken| mistakes.at(place.text, broken)).ok()
    });
    let is_name = |name: &str| SecretRule::sample(name).parse::<SecretName>().is_ok();
    let name = secret.text("name", is_name, SECRET_NAME_RULE);
    Some(SecretRule { vault: Vault::new(vault?), name })
}

/// The members of an entry.
struct ObjectMembers<'a> {
    all: &'a [(String, Json)],
    place: &'a str,
    mistakes: &'a mut Mistakes,
}

impl ObjectMembers<'_> {
    fn member(&self, name: &str) -> Option<&Json> {
        self.all.iter().find(|(key, _)| key == name).map(|(_, value)| value)
    }

    fn require(&mut self, name: &str) {
        if self.member(name).is_none() {
            self.mistakes.at(&json::member(self.place, name), BrokenRule::Missing);
        }
    }

    /// A member, if it exists and is valid.
    fn read<Read>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Place<'_>, &mut Mistakes) -> Option<Read>,
    ) -> Option<Read> {
        let value = self.all.iter().find(|(key, _)| key == name).map(|(_, value)| value)?;
        let place = json::member(self.place, name);
        read(&Place { text: &place, value }, self.mistakes)
    }

    fn text(&mut self, name: &str, is_valid: fn(&str) -> bool, rule: &'static str) -> Option<String> {
        self.read(name, |place, mistakes| {
            let given = read_text(place, mistakes)?;
            if !is_valid(given) {
                mistakes.at(place.text, BrokenRule::Text { given: given.to_owned(), rule });
            }
            Some(given.to_owned())
        })
    }
}

fn read_text<'a>(place: &Place<'a>, mistakes: &mut Mistakes) -> Option<&'a str> {
    if let Json::String(text) = place.value {
        return Some(text.trim());
    }
    mistakes.at(place.text, BrokenRule::Type { expected: "a string", given: place.value.kind() });
    None
}

fn read_word<Word: Copy>(place: &Place<'_>, mistakes: &mut Mistakes, known: &[(&str, Word)]) -> Option<Word> {
    let given = read_text(place, mistakes)?;
    word(given, known).map_err(|broken| mistakes.at(place.text, broken)).ok()
}

/// The valid elements of an array.
fn read_array<Element>(
    place: &Place<'_>,
    mistakes: &mut Mistakes,
    mut read: impl FnMut(&Place<'_>, &mut Mistakes) -> Option<Element>,
) -> Option<Vec<Element>> {
    let Json::Array(elements) = place.value else {
        mistakes.at(place.text, BrokenRule::Type { expected: "an array", given: place.value.kind() });
        return None;
    };
    let read = |(index, value)| read(&Place { text: &format!("{}[{index}]", place.text), value }, mistakes);
    Some(elements.iter().enumerate().filter_map(read).collect())
}

/// The valid elements of an array, without duplicates.
fn read_distinct<Element: PartialEq + Clone>(
    place: &Place<'_>,
    mistakes: &mut Mistakes,
    read: fn(&Place<'_>, &mut Mistakes) -> Option<Element>,
    duplicate: fn(Element) -> BrokenRule,
) -> Option<Vec<Element>> {
    let mut seen: Vec<Element> = Vec::new();
    read_array(place, mistakes, |place, mistakes| {
        let element = read(place, mistakes)?;
        if seen.contains(&element) {
            mistakes.at(place.text, duplicate(element));
            return None;
        }
        seen.push(element.clone());
        Some(element)
    })
}

fn read_forward_zone(place: &Place<'_>, mistakes: &mut Mistakes) -> Option<DomainName> {
    let text = read_text(place, mistakes)?;
    let name: DomainName =
        text.parse().map_err(|error| mistakes.at(place.text, BrokenRule::Name(error))).ok()?;
    let refuse = |rule| BrokenRule::Text { given: text.to_owned(), rule };
    if !ZONE_LABELS.contains(&name.as_str().split('.').count()) {
        mistakes.at(place.text, refuse("the name of a zone: Azure accepts names of 2 to 34 labels"));
        return None;
    }
    if name.as_str().len() > FORWARD_ZONE_LIMIT {
        let rule = "a zone with room for a label of 63 characters: at most 189 characters";
        mistakes.at(place.text, refuse(rule));
        return None;
    }
    Some(name)
}

fn read_reverse_zone(place: &Place<'_>, mistakes: &mut Mistakes) -> Option<DomainName> {
    let text = read_text(place, mistakes)?;
    // The message for a reverse zone is more specific than that for a name: `0/25.5.1.10.in-addr.arpa` is not a valid
    // name.
    let name: Result<DomainName, NameError> = text.parse();
    let Ok(name) = name else {
        mistakes.at(place.text, BrokenRule::Name(NameError::Reverse(text.to_owned())));
        return None;
    };
    let zone = Zone { subscription: String::new(), resource_group: String::new(), name: name.clone() };
    ReverseZone::new(zone).map_err(|error| mistakes.at(place.text, BrokenRule::Name(error))).ok()?;
    Some(name)
}

fn read_ttl(place: &Place<'_>, mistakes: &mut Mistakes) -> Option<u32> {
    const MOST: u32 = 2_147_483_647;
    let Json::Number(number) = place.value else {
        mistakes.at(place.text, BrokenRule::Type { expected: "a number", given: place.value.kind() });
        return None;
    };
    let ttl = number.as_u64().and_then(|ttl| u32::try_from(ttl).ok()).filter(|ttl| (1..=MOST).contains(ttl));
    if ttl.is_none() {
        mistakes
            .at(place.text, BrokenRule::Number { given: number.to_string(), least: 1, most: MOST.into() });
    }
    ttl
}

/// A list of accepted values. An empty one would accept nothing, which is probably a mistake.
fn read_restriction<Element>(
    place: &Place<'_>,
    mistakes: &mut Mistakes,
    read: fn(&Place<'_>, &mut Mistakes) -> Option<Element>,
) -> Option<Vec<Element>> {
    if matches!(place.value, Json::Array(elements) if elements.is_empty()) {
        mistakes.at(place.text, BrokenRule::EmptyList);
    }
    read_array(place, mistakes, read)
}

fn read_groups(place: &Place<'_>, mistakes: &mut Mistakes) -> Option<NamePatterns> {
    read_restriction(place, mistakes, read_pattern).map(NamePatterns::new)
}

fn read_hostnames(place: &Place<'_>, mistakes: &mut Mistakes) -> Option<NamePatterns> {
    read_array(place, mistakes, read_pattern).map(NamePatterns::new)
}

/// A label or a prefix of labels: host names and the names of container groups.
fn read_pattern(place: &Place<'_>, mistakes: &mut Mistakes) -> Option<NamePattern> {
    let given = read_text(place, mistakes)?;
    let pattern = NamePattern::new(given);
    if is_container_group(&pattern.sample()) {
        return Some(pattern);
    }
    let rule = "1 to 63 letters, digits and inner hyphens, with a * at most at the end";
    mistakes.at(place.text, BrokenRule::Text { given: given.to_owned(), rule });
    None
}

fn read_address_ranges(place: &Place<'_>, mistakes: &mut Mistakes) -> Option<Vec<Ipv4Net>> {
    read_restriction(place, mistakes, read_address_range)
}

fn read_address_range(place: &Place<'_>, mistakes: &mut Mistakes) -> Option<Ipv4Net> {
    let given = read_text(place, mistakes)?;
    let refuse = |rule| BrokenRule::Text { given: given.to_owned(), rule };
    let Ok(range) = given.parse::<Ipv4Net>() else {
        mistakes.at(place.text, refuse("a range of IPv4 addresses, such as 10.1.0.0/16"));
        return None;
    };
    if range.trunc() != range {
        mistakes.at(
            place.text,
            BrokenRule::HostBits { given: given.to_owned(), meant: range.trunc().to_string() },
        );
        return None;
    }
    Some(range)
}

/// The value of `services`.
fn read_services(place: &Place<'_>, mistakes: &mut Mistakes) -> Option<Vec<Service>> {
    let Json::Object(members) = place.value else {
        mistakes.at(place.text, BrokenRule::Type { expected: "an object", given: place.value.kind() });
        return None;
    };
    let mut services: Vec<Service> = Vec::new();
    for (label, value) in members {
        let text = json::member(place.text, label);
        let name = label.parse::<RelativeName>().ok().filter(|_| is_container_group(label));
        let service = read_service(&Place { text: &text, value }, mistakes);
        let Some(name) = name else {
            let rule = "one label of 1 to 63 letters, digits and inner hyphens";
            mistakes.at(&text, BrokenRule::Text { given: label.clone(), rule });
            continue;
        };
        if services.iter().any(|service| service.name == name) {
            mistakes.at(&text, BrokenRule::DuplicateKey);
        }
        services.extend(service.map(|(groups, ttl)| Service { name, groups, ttl }));
    }
    Some(services)
}

fn read_service(place: &Place<'_>, mistakes: &mut Mistakes) -> Option<(NamePatterns, u32)> {
    let members = check_members(place, &SERVICE_KEYS, mistakes)?;
    let mut members = ObjectMembers { all: members, place: place.text, mistakes };
    let groups = members.read("groups", read_groups);
    let ttl = members.read("ttl", read_ttl);
    Some((groups.unwrap_or_default(), ttl.unwrap_or(DEFAULT_SERVICE_TTL)))
}

#[cfg(test)]
mod tests;
