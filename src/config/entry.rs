//! Parses the JSON value of `ACI_DNS_ZONES`: entry by entry, key by key, with the place of each mistake.

use ipnet::Ipv4Net;

use super::{
    BrokenRule, NamePattern, NamePatterns, OWNERSHIPS, POLICIES, SettingsError, ZoneMap, json,
    json::Json,
    mistake::{Mistakes, SUBSCRIPTION_ID, closest, word},
    variables::ZONES,
    zones::{Defaults, Entry, Key},
};
use crate::{
    dns::{DomainName, NameError, ReverseZone, Zone},
    resource_id::{RESOURCE_GROUP_RULE, is_container_group, is_guid, is_resource_group},
};

/// The default TTL in seconds: container groups move, and a stale answer is a broken name.
const DEFAULT_TTL: u32 = 60;

/// The longest name of a forward zone: with the longest label it is a name of 253 characters.
const FORWARD_ZONE_LIMIT: usize = 253 - 64;

/// How many labels the name of a zone may have.
///
/// Source: <https://learn.microsoft.com/azure/dns/private-dns-privatednszone#restrictions>
const ZONE_LABELS: std::ops::RangeInclusive<usize> = 2..=34;

pub(super) const KEYS: [&str; 11] = [
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
];

impl ZoneMap {
    /// Parses the JSON value of `ACI_DNS_ZONES`.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let mut mistakes = Mistakes::default();
        let map = Self::read(text, Defaults::default(), &mut mistakes);
        mistakes.or(map)
    }

    pub(super) fn read(text: &str, defaults: Defaults, mistakes: &mut Mistakes) -> Option<Self> {
        Some(Self::new(read_map(text, mistakes)?, defaults))
    }
}

/// The entries in their order; `None` if the text is not a map.
fn read_map(text: &str, mistakes: &mut Mistakes) -> Option<Vec<(Key, Entry)>> {
    let members = read_members(text).map_err(|broken| mistakes.at(ZONES, broken)).ok()?;
    if members.is_empty() {
        mistakes.at(ZONES, BrokenRule::EmptyMap);
        return None;
    }
    let mut entries: Vec<(Key, Entry)> = Vec::new();
    let mut seen: Vec<(Key, &str)> = Vec::new();
    for (name, value) in &members {
        let place = json::member(ZONES, name);
        let key = Key::parse(name).map_err(|rule| mistakes.at(&place, BrokenRule::Key(rule))).ok();
        if let Some(key) = &key {
            match seen.iter().find(|(other, _)| other == key) {
                Some((_, other)) if other == name => mistakes.at(&place, BrokenRule::DuplicateKey),
                Some((_, other)) => mistakes.at(&place, BrokenRule::SameKey((*other).to_owned())),
                None => seen.push((key.clone(), name)),
            }
        }
        let entry = read_entry(&Place { text: &place, value }, mistakes);
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
                return Err(mangled(text).unwrap_or(broken));
            }
            Err(error) => return Err(mangled(text).unwrap_or_else(|| BrokenRule::Json(error.to_string()))),
        }
    }
    Ok(members)
}

/// How a shell changed a JSON object, if that can be recognized.
fn mangled(text: &str) -> Option<BrokenRule> {
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

fn read_entry(entry: &Place<'_>, mistakes: &mut Mistakes) -> Option<Entry> {
    let Json::Object(members) = entry.value else {
        mistakes.at(entry.text, BrokenRule::Type { expected: "an object", given: entry.value.kind() });
        return None;
    };
    for (index, (name, _)) in members.iter().enumerate() {
        let place = json::member(entry.text, name);
        if !KEYS.contains(&name.as_str()) {
            let meant = closest(name, KEYS.into_iter()).map(str::to_owned);
            mistakes.at(&place, BrokenRule::UnknownKey(meant));
        } else if members.iter().take(index).any(|(before, _)| before == name) {
            mistakes.at(&place, BrokenRule::DuplicateKey);
        }
    }
    let mut entry = Members { all: members, place: entry.text, mistakes };
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
    })
}

/// The members of an entry.
struct Members<'a> {
    all: &'a [(String, Json)],
    place: &'a str,
    mistakes: &'a mut Mistakes,
}

impl Members<'_> {
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

    fn text(&mut self, name: &str, is_right: fn(&str) -> bool, rule: &'static str) -> Option<String> {
        self.read(name, |place, mistakes| {
            let given = read_text(place, mistakes)?;
            if !is_right(given) {
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
    // The message for a reverse zone says more than that for a name: `0/25.5.1.10.in-addr.arpa` is not even a
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

#[cfg(test)]
mod tests {
    use super::*;

    const S1: &str = "aaaaaaaa-0000-0000-0000-000000000001";
    const REQUIRED: &str = r#""forwardZone": "a.internal", "reverseZones": []"#;

    /// The mistakes in one entry with the given members.
    fn check_entry(members: &str, expected: &[&str]) {
        check_mistakes(&format!(r#"{{"rg": {{{members}}}}}"#), expected);
    }

    fn check_mistakes(text: &str, expected: &[&str]) {
        let error = ZoneMap::parse(text).expect_err("there is a mistake");
        let mistakes: Vec<String> = error.mistakes.iter().map(ToString::to_string).collect();
        assert_eq!(mistakes, expected, "{text}");
    }

    #[test]
    fn equivalent_keys_are_refused() {
        let entry = "{\"forwardZone\": \"a.internal\", \"reverseZones\": []}";
        check_mistakes(
            &format!(
                r#"{{"rg": {entry}, "RG": {entry}, "rg": {entry}, "{S1}/Rg*": {entry}, "{S1}/rG*": {entry}}}"#
            ),
            &[
                "ACI_DNS_ZONES.RG: is the same key as \"rg\": keys compare without regard to case",
                "ACI_DNS_ZONES.rg: is given more than once",
                &format!(
                    "ACI_DNS_ZONES.{S1}/rG*: is the same key as \"{S1}/Rg*\": keys compare without regard to case"
                ),
            ],
        );
    }

    #[test]
    fn an_invalid_key_is_refused() {
        let guid = |rest: &str| format!("{S1}{rest}");
        let guids = ["/", "/a/b", "*/rg", "0/rg"].map(guid);
        let others = [
            "",
            "a*b",
            "**",
            "a b",
            "rg.",
            "contoso-prod/rg",
            "/rg",
            "s 1/rg",
            "s*/rg",
            "*/rg",
            "é/rg",
            "a%b",
        ];
        for key in guids.iter().map(String::as_str).chain(others) {
            let text = format!(r"{{{key:?}: {{{REQUIRED}}}}}");
            let error = ZoneMap::parse(&text).expect_err(key);
            assert!(matches!(error.mistakes[0].broken, BrokenRule::Key(_)), "{key}: {error}");
        }
    }

    #[test]
    fn the_value_must_be_an_object_of_objects() {
        check_mistakes("[]", &["ACI_DNS_ZONES: must be an object, and is an array"]);
        check_mistakes(r#"{"rg": null}"#, &["ACI_DNS_ZONES.rg: must be an object, and is null"]);
        check_mistakes("{", &["ACI_DNS_ZONES: is not JSON: EOF while parsing an object at line 1 column 1"]);
    }

    #[test]
    fn an_unknown_key_is_refused_with_a_suggestion() {
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
    fn a_duplicate_key_is_refused() {
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
    fn a_value_of_another_type_is_refused() {
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
    fn a_mistake_in_a_reverse_zone_names_its_place() {
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
    fn the_location_of_zones_cannot_change_a_path() {
        check_entry(
            &format!(r#"{REQUIRED}, "zoneSubscriptionId": "s/..", "zoneResourceGroup": "..""#),
            &[
                &format!("ACI_DNS_ZONES.rg.zoneSubscriptionId: \"s/..\" is not {SUBSCRIPTION_ID}"),
                &format!("ACI_DNS_ZONES.rg.zoneResourceGroup: \"..\" is not {RESOURCE_GROUP_RULE}"),
            ],
        );
    }

    #[test]
    fn a_name_with_special_characters_is_quoted_in_the_path() {
        check_mistakes(r#"{"rg.a": 1}"#, &["ACI_DNS_ZONES[\"rg.a\"]: must be an object, and is a number"]);
    }

    #[test]
    fn an_empty_map_is_refused() {
        for text in ["{}", " { } ", "", "{}{}"] {
            check_mistakes(text, &["ACI_DNS_ZONES: has no entry, so nothing would be managed"]);
        }
    }

    #[test]
    fn several_documents_are_one_map() {
        let map = ZoneMap::parse(&format!("{{\"a\": {{{REQUIRED}}}}}\n{{\"b\": {{{REQUIRED}}}}}")).unwrap();
        assert_eq!(
            map,
            ZoneMap::parse(&format!("{{\"a\": {{{REQUIRED}}}, \"b\": {{{REQUIRED}}}}}")).unwrap()
        );
        check_mistakes(
            &format!("{{\"a\": {{{REQUIRED}}}}}{{\"a\": {{{REQUIRED}}}}}"),
            &["ACI_DNS_ZONES.a: is given more than once"],
        );
    }

    #[test]
    fn json_that_a_shell_changed_is_recognized() {
        let json = format!(r#"{{"rg": {{{REQUIRED}}}}}"#);
        let check = |text: &str, expected: &BrokenRule| {
            let error = ZoneMap::parse(text).expect_err("there is a mistake");
            assert_eq!(
                error.mistakes.iter().map(|mistake| &mistake.broken).collect::<Vec<_>>(),
                [expected],
                "{text}"
            );
        };
        check(&json.replace('"', ""), &BrokenRule::LostQuotes);
        check(&json.replace('"', "'"), &BrokenRule::LostQuotes);
        check(&serde_json::to_string(&json).unwrap(), &BrokenRule::NestedJson);
        check(&format!("'{json}'"), &BrokenRule::Quoted);
        check(&format!("\"{json}\""), &BrokenRule::Quoted);
    }

    #[test]
    fn the_name_of_a_zone_has_2_to_34_labels() {
        let zone = |labels: usize| vec!["a"; labels].join(".");
        let entry = |forward: &str, former: &str| {
            format!(
                r#"{{"rg": {{"forwardZone": "{forward}", "reverseZones": [], "formerZones": ["{former}"]}}}}"#
            )
        };
        for labels in [2, 34] {
            assert!(ZoneMap::parse(&entry(&zone(labels), &zone(labels))).is_ok(), "{labels}");
        }
        for labels in [1, 35] {
            let name = zone(labels);
            let rule = format!("{name:?} is not the name of a zone: Azure accepts names of 2 to 34 labels");
            check_mistakes(
                &entry(&name, &name),
                &[
                    &format!("ACI_DNS_ZONES.rg.forwardZone: {rule}"),
                    &format!("ACI_DNS_ZONES.rg.formerZones[0]: {rule}"),
                ],
            );
        }
    }

    #[test]
    fn a_mistake_in_a_rule_names_its_place() {
        check_entry(
            &format!(
                r#"{REQUIRED}, "policy": "observ", "ownership": true, "groups": ["web_1", "a*b", 5, "-*"],
                "addressRanges": ["10.1.0.0/16", "10.1.5.4/16", "10.1.5.4", "fd00::/8", "10.0.0.0/33"],
                "hostnames": ["a.b", "*", "x_*"], "formerZones": ["b.internal", "B.internal."]"#
            ),
            &[
                "ACI_DNS_ZONES.rg.policy: \"observ\" is not one of sync, upsert-only, observe; \
                 did you mean \"observe\"?",
                "ACI_DNS_ZONES.rg.ownership: must be a string, and is a boolean",
                "ACI_DNS_ZONES.rg.groups[0]: \"web_1\" is not 1 to 63 letters, digits and inner hyphens, with a * at \
                 most at the end",
                "ACI_DNS_ZONES.rg.groups[1]: \"a*b\" is not 1 to 63 letters, digits and inner hyphens, with a * at \
                 most at the end",
                "ACI_DNS_ZONES.rg.groups[2]: must be a string, and is a number",
                "ACI_DNS_ZONES.rg.groups[3]: \"-*\" is not 1 to 63 letters, digits and inner hyphens, with a * at \
                 most at the end",
                "ACI_DNS_ZONES.rg.addressRanges[1]: \"10.1.5.4/16\" is not a range of addresses: \
                 did you mean \"10.1.0.0/16\"?",
                "ACI_DNS_ZONES.rg.addressRanges[2]: \"10.1.5.4\" is not a range of IPv4 addresses, such as 10.1.0.0/16",
                "ACI_DNS_ZONES.rg.addressRanges[3]: \"fd00::/8\" is not a range of IPv4 addresses, such as 10.1.0.0/16",
                "ACI_DNS_ZONES.rg.addressRanges[4]: \"10.0.0.0/33\" is not a range of IPv4 addresses, such as 10.1.0.0/16",
                "ACI_DNS_ZONES.rg.hostnames[0]: \"a.b\" is not 1 to 63 letters, digits and inner hyphens, with a * at \
                 most at the end",
                "ACI_DNS_ZONES.rg.hostnames[2]: \"x_*\" is not 1 to 63 letters, digits and inner hyphens, with a * at \
                 most at the end",
                "ACI_DNS_ZONES.rg.formerZones[1]: b.internal is listed more than once",
            ],
        );
    }

    #[test]
    fn an_empty_list_of_accepted_values_is_refused() {
        let rule = "is empty, so it would exclude everything; leave it out to accept all";
        check_entry(
            &format!(r#"{REQUIRED}, "groups": [], "addressRanges": [], "hostnames": [], "formerZones": []"#),
            &[
                &format!("ACI_DNS_ZONES.rg.groups: {rule}"),
                &format!("ACI_DNS_ZONES.rg.addressRanges: {rule}"),
            ],
        );
    }
}
