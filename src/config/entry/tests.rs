//! The mistakes in the JSON value of `ACI_DNS_ZONES`.

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
    let others =
        ["", "a*b", "**", "a b", "rg.", "contoso-prod/rg", "/rg", "s 1/rg", "s*/rg", "*/rg", "é/rg", "a%b"];
    for key in guids.iter().map(String::as_str).chain(others) {
        let text = format!(r"{{{key:?}: {{{REQUIRED}}}}}");
        let error = ZoneMap::parse(&text).expect_err(key);
        assert!(matches!(error.mistakes[0].broken, BrokenRule::Key(_)), "{key}: {error}");
    }
}

#[test]
fn the_value_must_be_an_object_of_objects() {
    check_mistakes("[]", &["ACI_DNS_ZONES: must be an object, not an array"]);
    check_mistakes(r#"{"rg": null}"#, &["ACI_DNS_ZONES.rg: must be an object, not null"]);
    check_mistakes("{", &["ACI_DNS_ZONES: is not JSON: EOF while parsing an object at line 1 column 1"]);
}

#[test]
fn an_unknown_key_is_refused_with_a_suggestion() {
    check_entry(
        &format!(r#"{REQUIRED}, "TTL": 1, "zoneSubscription": "s", "color": "red""#),
        &[
            "ACI_DNS_ZONES.rg.TTL: is not a key of such an entry; did you mean \"ttl\"?",
            "ACI_DNS_ZONES.rg.zoneSubscription: is not a key of such an entry; \
             did you mean \"zoneSubscriptionId\"?",
            "ACI_DNS_ZONES.rg.color: is not a key of such an entry",
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
            "ACI_DNS_ZONES.rg.forwardZone: must be a string, not a number",
            "ACI_DNS_ZONES.rg.reverseZones: must be an array, not a string",
            "ACI_DNS_ZONES.rg.zoneSubscriptionId: must be a string, not null",
            "ACI_DNS_ZONES.rg.zoneResourceGroup: must be a string, not a boolean",
            "ACI_DNS_ZONES.rg.ttl: must be a number, not a string",
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
            "ACI_DNS_ZONES.rg.reverseZones[1]: must be a string, not a number",
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
    check_mistakes(r#"{"rg.a": 1}"#, &["ACI_DNS_ZONES[\"rg.a\"]: must be an object, not a number"]);
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
    assert_eq!(map, ZoneMap::parse(&format!("{{\"a\": {{{REQUIRED}}}, \"b\": {{{REQUIRED}}}}}")).unwrap());
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
            "ACI_DNS_ZONES.rg.ownership: must be a string, not a boolean",
            "ACI_DNS_ZONES.rg.groups[0]: \"web_1\" is not 1 to 63 letters, digits and inner hyphens, with a * at \
             most at the end",
            "ACI_DNS_ZONES.rg.groups[1]: \"a*b\" is not 1 to 63 letters, digits and inner hyphens, with a * at \
             most at the end",
            "ACI_DNS_ZONES.rg.groups[2]: must be a string, not a number",
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
        &[&format!("ACI_DNS_ZONES.rg.groups: {rule}"), &format!("ACI_DNS_ZONES.rg.addressRanges: {rule}")],
    );
}

#[test]
fn a_vault_is_a_url_whose_host_ends_in_the_suffix_of_the_cloud_or_is_loopback() {
    let mistakes = |cloud: Cloud, vault: &str| {
        let text = format!(r#"{{"rg": {{{REQUIRED}, "secret": {{"vault": "{vault}"}}}}}}"#);
        let mut mistakes = Mistakes::default();
        ZoneMap::read(&text, Defaults { cloud, ..Defaults::default() }, &mut mistakes);
        mistakes.or(Some(())).err().map(|error| error.to_string())
    };
    for (cloud, vault) in [
        (Cloud::Public, "https://kv-apps.vault.azure.net"),
        (Cloud::Public, " https://KV-apps.vault.azure.net/ "),
        (Cloud::UsGovernment, "https://kv.vault.usgovcloudapi.net/"),
        (Cloud::China, "https://kv.vault.azure.cn/"),
        (Cloud::China, "http://127.0.0.1:8181/"),
        (Cloud::Public, "https://localhost:8181"),
    ] {
        assert_eq!(mistakes(cloud, vault), None, "{vault}");
    }
    for (cloud, vault) in [
        (Cloud::Public, "https://kv.vault.azure.cn/"),
        (Cloud::China, "https://kv.vault.azure.net/"),
        (Cloud::Public, "http://kv.vault.azure.net/"),
        (Cloud::Public, "https://vault.azure.net/"),
        (Cloud::Public, "https://.vault.azure.net/"),
        (Cloud::Public, "https://a.b.vault.azure.net/"),
        (Cloud::Public, "https://kv.vault.azure.net:8443/"),
        (Cloud::Public, "https://kv.vault.azure.net.evil.example/"),
        (Cloud::Public, "https://kvvault.azure.net/"),
        (Cloud::Public, "https://kv.vault.azure.net/secrets/a"),
        (Cloud::Public, "https://kv.vault.azure.net/?a=b"),
        (Cloud::Public, "https://user@kv.vault.azure.net/"),
        (Cloud::Public, "http://10.1.5.4/"),
        (Cloud::Public, "kv-apps"),
    ] {
        let mistakes = mistakes(cloud, vault).unwrap_or_default();
        assert!(mistakes.contains("is not the URL of a key vault: "), "{vault}: {mistakes}");
    }
}

#[test]
fn a_secret_has_a_vault_and_a_name_of_letters_digits_and_hyphens() {
    let check = |secret: &str, expected: &[&str]| {
        check_entry(&format!(r#"{REQUIRED}, "secret": {secret}"#), expected);
    };
    check("true", &["ACI_DNS_ZONES.rg.secret: must be an object, not a boolean"]);
    check("{}", &["ACI_DNS_ZONES.rg.secret.vault: is required and not set"]);
    let vault = r#""vault": "https://kv.vault.azure.net/""#;
    for name in ["a_b", "a/b", "{Group}", "{subscription}", "", "../a", "a--{group"] {
        let rule = "a name of 1 to 127 letters, digits and hyphens, in which {group} and {resourceGroup} are replaced";
        let expected = format!("ACI_DNS_ZONES.rg.secret.name: {name:?} is not {rule}");
        check(&format!(r#"{{{vault}, "name": "{name}"}}"#), &[&expected]);
    }
    let unknown = "ACI_DNS_ZONES.rg.secret.names: is not a key of such an entry; did you mean \"name\"?";
    check(&format!(r#"{{{vault}, "names": "a"}}"#), &[unknown]);
}
