//! Ranges of IPv4 addresses: those of subnets and those of reverse zones.

use std::{fmt, net::Ipv4Addr, str::FromStr};

use crate::domain::dns::ReverseZone;

/// A range of addresses: `10.1.5.0/24`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    first: u32,
    /// The length of the prefix.
    bits: u32,
}

/// A text that is not a range of IPv4 addresses.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not a range of IPv4 addresses")]
pub struct NoRange(String);

impl Range {
    /// The range of a single address.
    #[must_use]
    pub fn of_address(address: Ipv4Addr) -> Self {
        Self { first: address.into(), bits: 32 }
    }

    /// The range of a reverse zone.
    #[must_use]
    pub fn of_zone(zone: &ReverseZone) -> Self {
        let bits = zone.octets().saturating_mul(8).try_into().unwrap_or(32);
        Self { first: zone.first_address().into(), bits }
    }

    /// The parts of this range that the others do not cover, in order.
    #[must_use]
    pub fn without(self, others: &[Self]) -> Vec<Self> {
        if others.iter().any(|other| other.holds(self)) {
            return Vec::new();
        }
        if !others.iter().any(|other| self.holds(*other)) {
            return vec![self];
        }
        // Another range is inside this one: split this one in half.
        let bits = self.bits + 1;
        let second = self.first | 1 << (32 - bits);
        [self.first, second].into_iter().flat_map(|first| Self { first, bits }.without(others)).collect()
    }

    /// The name of the smallest reverse zone that covers the range.
    #[must_use]
    pub fn zone_name(self) -> Option<String> {
        let octets = usize::try_from(self.bits / 8).ok()?.min(3);
        let labels = Ipv4Addr::from(self.first).octets().into_iter().take(octets);
        let mut labels: Vec<String> = labels.map(|octet| octet.to_string()).collect();
        labels.reverse();
        (!labels.is_empty()).then(|| format!("{}.in-addr.arpa", labels.join(".")))
    }

    fn holds(self, other: Self) -> bool {
        self.bits <= other.bits && masked(other.first, self.bits) == self.first
    }
}

/// The leading bits of an address.
fn masked(address: u32, bits: u32) -> u32 {
    address & u32::MAX.checked_shl(32 - bits).unwrap_or_default()
}

impl FromStr for Range {
    type Err = NoRange;

    fn from_str(text: &str) -> Result<Self, NoRange> {
        let parts = text.split_once('/').and_then(|(address, bits)| {
            let address: Ipv4Addr = address.parse().ok()?;
            let bits = bits.parse().ok().filter(|bits| *bits <= 32)?;
            Some(Self { first: masked(address.into(), bits), bits })
        });
        parts.ok_or_else(|| NoRange(text.to_owned()))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let first = Ipv4Addr::from(self.first);
        if self.bits == 32 { first.fmt(formatter) } else { write!(formatter, "{first}/{}", self.bits) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::dns::Zone;

    fn zone(name: &str) -> Range {
        let name = name.parse().unwrap();
        let zone = Zone { subscription: "s".into(), resource_group: "r".into(), name };
        Range::of_zone(&ReverseZone::new(zone).unwrap())
    }

    /// The parts of a range that the zones do not cover.
    fn check(range: &str, zones: &[&str], expected: &[&str]) {
        let zones: Vec<_> = zones.iter().map(|name| zone(name)).collect();
        let left = range.parse::<Range>().unwrap().without(&zones);
        assert_eq!(left.iter().map(ToString::to_string).collect::<Vec<_>>(), expected, "{range}");
    }

    #[test]
    fn a_range_is_covered_by_a_zone_around_it_or_by_zones_inside_it() {
        check("10.1.5.0/24", &["1.10.in-addr.arpa"], &[]);
        check("10.1.5.0/24", &["5.1.10.in-addr.arpa"], &[]);
        check("10.1.5.0/24", &["6.1.10.in-addr.arpa"], &["10.1.5.0/24"]);
        check("10.1.4.0/23", &["5.1.10.in-addr.arpa", "4.1.10.in-addr.arpa"], &[]);
        check("10.1.4.0/22", &["5.1.10.in-addr.arpa"], &["10.1.4.0/24", "10.1.6.0/23"]);
        check("10.1.5.4/32", &["10.in-addr.arpa"], &[]);
        check("0.0.0.0/0", &[], &["0.0.0.0/0"]);
        assert_eq!(zone("10.in-addr.arpa"), "10.0.0.0/8".parse().unwrap());
    }

    #[test]
    fn the_smallest_zone_for_a_range_is_named() {
        for (range, expected) in [
            ("10.1.5.4/32", Some("5.1.10.in-addr.arpa")),
            ("10.1.5.0/24", Some("5.1.10.in-addr.arpa")),
            ("10.1.4.0/22", Some("1.10.in-addr.arpa")),
            ("10.0.0.0/9", Some("10.in-addr.arpa")),
            ("0.0.0.0/7", None),
        ] {
            assert_eq!(range.parse::<Range>().unwrap().zone_name().as_deref(), expected, "{range}");
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in ["", "10.1.5.0", "10.1.5.0/33", "10.1.5/24", "fd00::/64"] {
            assert!(text.parse::<Range>().is_err(), "{text}");
        }
    }
}
