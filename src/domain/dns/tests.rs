//! Names, reverse zones, owner marks and previous addresses.

use super::*;

fn name(text: &str) -> DomainName {
    text.parse().unwrap()
}

fn reverse_zone(text: &str) -> Result<ReverseZone, NameError> {
    ReverseZone::new(Zone { subscription: "s".into(), resource_group: "r".into(), name: name(text) })
}

#[test]
fn names_compare_without_regard_to_case_and_trailing_dot() {
    assert_eq!(name("Web.Contoso.Internal."), name("web.contoso.internal"));
    assert_eq!(PtrTarget::from("Web.A.".to_owned()), PtrTarget::from("web.a".to_owned()));
    assert!(PtrTarget::from("Web.A.".to_owned()).names(&name("web.a")));
}

#[test]
fn a_name_that_breaks_a_rule_of_dns_is_refused() {
    for text in ["", ".", "a..b", "-a.b", "a-.b", "a b", "a/b", "ä.b", &"a".repeat(64), "..", "a..", "*"] {
        assert!(text.parse::<DomainName>().is_err(), "{text:?}");
    }
    let longest = [&*"a".repeat(63), &"b".repeat(63), &"c".repeat(63), &"d".repeat(61)].join(".");
    assert_eq!((longest.len(), name(&longest).as_str()), (253, &*longest));
    assert!(format!("{longest}d").parse::<DomainName>().is_err());
}

#[test]
fn a_name_is_displayed_as_it_is_written() {
    let relative: RelativeName = "Web".parse().unwrap();
    assert_eq!(format!("{:?} {relative:?}", name("Web.Contoso.Internal")), "web.contoso.internal web");
}

#[test]
fn a_name_is_relative_only_to_a_zone_that_contains_it() {
    let relative = |text: &str, zone: &str| name(text).relative_to(&name(zone));
    assert_eq!(relative("web.a.b", "a.b"), Some("web".parse().unwrap()));
    assert_eq!(relative("x.web.a.b", "a.b"), Some("x.web".parse().unwrap()));
    assert_eq!(relative("a.b", "a.b"), None);
    assert_eq!(relative("weba.b", "a.b"), None);
    assert_eq!(relative("web.c.b", "a.b"), None);
}

#[test]
fn a_reverse_zone_ends_in_in_addr_arpa_on_an_octet_boundary() {
    for (text, octets) in [("10.in-addr.arpa", 1), ("1.10.IN-ADDR.arpa", 2), ("5.1.10.in-addr.arpa", 3)] {
        assert_eq!(reverse_zone(text).map(|zone| zone.octets()), Ok(octets), "{text}");
    }
    for text in [
        "in-addr.arpa",
        "4.5.1.10.in-addr.arpa",
        "0-63.5.1.10.in-addr.arpa",
        "256.10.in-addr.arpa",
        "01.10.in-addr.arpa",
        "a.in-addr.arpa",
        "10.ip6.arpa",
        "contoso.internal",
    ] {
        assert!(matches!(reverse_zone(text), Err(NameError::Reverse(_))), "{text}");
    }
}

#[test]
fn reverse_names_are_the_remaining_octets_backwards() {
    let address = Ipv4Addr::new(10, 1, 5, 4);
    for (zone, expected) in
        [("10.in-addr.arpa", "4.5.1"), ("1.10.in-addr.arpa", "4.5"), ("5.1.10.in-addr.arpa", "4")]
    {
        let zone = reverse_zone(zone).unwrap();
        let relative = zone.relative_name(address).unwrap();
        assert_eq!(relative.as_str(), expected);
        assert_eq!(zone.address(&relative), Some(address));
    }
    assert_eq!(reverse_zone("2.10.in-addr.arpa").unwrap().relative_name(address), None);
}

#[test]
fn a_name_of_no_address_is_none() {
    let zone = reverse_zone("1.10.in-addr.arpa").unwrap();
    for text in ["4", "4.5.6", "04.5", "256.5", "web.5"] {
        assert_eq!(zone.address(&text.parse().unwrap()), None, "{text}");
    }
}

#[test]
fn an_owner_names_its_container_group() {
    let id = ContainerGroupId::new("S1", "RG-Spoke1", "Web").unwrap();
    let owner = Owner::from(&id);
    assert_eq!(owner.as_str(), "s1/rg-spoke1/web");
    assert_eq!(owner.container_group(), Some(id));
    for text in ["", "a/b", "a/b/c/d", "a/b/-c"] {
        assert_eq!(Owner(text.to_owned()).container_group(), None, "{text}");
    }
}

#[test]
fn previous_addresses_are_read_as_written() {
    let text = "10.1.5.4@1767225600 10.1.5.9@1767225700";
    assert_eq!(PreviousAddresses::parse(text).to_string(), text);
    assert_eq!(PreviousAddresses::default().to_string(), "");
}

#[test]
fn damaged_previous_addresses_are_read_as_far_as_possible() {
    let memory = PreviousAddresses::parse("  10.1.5.4@x junk 10.1.5.5 @7 10.1.5.6@9  ");
    assert_eq!(memory.to_string(), "10.1.5.4@0 10.1.5.5@0 10.1.5.6@9");
}

#[test]
fn an_address_is_old_after_five_minutes() {
    let memory = PreviousAddresses::parse("10.1.5.4@1000");
    assert!(memory.old(1299, MEMORY_SECONDS).is_empty());
    assert_eq!(memory.old(1300, MEMORY_SECONDS), [Ipv4Addr::new(10, 1, 5, 4)]);
    assert!(PreviousAddresses::parse("10.1.5.4@9999").old(1300, MEMORY_SECONDS).is_empty());
}
