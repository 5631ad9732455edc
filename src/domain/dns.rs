//! DNS values: names, zones, reverse names, record sets, ETags, owner marks, previous addresses.
//!
//! Names are parsed once and compared as DNS compares: without regard to case or a trailing dot (RFC 4343).
//! PTR targets of other owners keep their spelling, because foreign values must not change.
//!
//! Deliberately absent: AAAA and `ip6.arpa` (Container Instances have no IPv6), and classless reverse zones
//! (RFC 2317), which do not resolve in Private DNS.

use std::{
    collections::BTreeMap,
    fmt,
    hash::{Hash, Hasher},
    net::Ipv4Addr,
    str::FromStr,
};

use crate::domain::resource_id::{ContainerGroupId, Scope, fold, is_resource_group, is_subscription};

/// The metadata key of the owner mark.
pub const OWNER_KEY: &str = "aci-dns-owner";

/// The metadata key of the previous addresses of an A record set, whose PTR records may still name it.
pub const PREVIOUS_KEY: &str = "aci-dns-previous";

/// The largest number of previous addresses that is read. An older version wrote up to 32.
pub const MEMORY_READ: usize = 32;

/// The largest number of previous addresses that is written, so that the metadata value stays below 256
/// characters.
pub const MEMORY_KEPT: usize = 9;

/// The shortest time for which a previous address is kept, in seconds. After it, no slow process can still write for
/// that address. (A longer deadline extends this time.)
pub const MEMORY_SECONDS: u64 = 300;

/// The metadata of a record set.
pub type Metadata = BTreeMap<String, String>;

/// Why a text is not a DNS name that this crate writes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// A label is empty, too long, or contains a character that labels of hosts and zones do not allow.
    #[error(
        "{name:?} is not a DNS name: the label {label:?} is not 1 to 63 letters, digits, hyphens or underscores without a hyphen at either end"
    )]
    Label {
        /// The whole text.
        name: String,
        /// The label that breaks the rule.
        label: String,
    },
    /// The name is longer than 253 characters (RFC 1035, section 2.3.4).
    #[error("{0:?} is not a DNS name: it is longer than 253 characters")]
    Length(String),
    /// A reverse zone that is not below `in-addr.arpa` on an octet boundary.
    #[error(
        "{0:?} is not a reverse zone: it must be one to three numbers from 0 to 255 followed by .in-addr.arpa (classless zones do not resolve in Private DNS)"
    )]
    Reverse(String),
}

/// A fully qualified name: lower case, without the trailing dot.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DomainName(String);

impl DomainName {
    /// The name as a text: lower case, without the trailing dot.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The part of this name inside a zone; `None` if the name is outside the zone or is its apex, because no
    /// container group has the zone's own name.
    #[must_use]
    pub fn relative_to(&self, zone: &DomainName) -> Option<RelativeName> {
        let relative = self.0.strip_suffix(zone.as_str())?.strip_suffix('.')?;
        Some(RelativeName(relative.to_owned()))
    }
}

impl FromStr for DomainName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name = text.strip_suffix('.').unwrap_or(text);
        if name.len() > 253 {
            return Err(NameError::Length(text.to_owned()));
        }
        match name.split('.').find(|label| !is_label(label)) {
            Some(label) => Err(NameError::Label { name: text.to_owned(), label: label.to_owned() }),
            None => Ok(Self(name.to_ascii_lowercase())),
        }
    }
}

impl fmt::Display for DomainName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for DomainName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

fn is_label(label: &str) -> bool {
    (1..=63).contains(&label.len())
        && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        && !label.starts_with('-')
        && !label.ends_with('-')
}

/// The name of a record set relative to its zone: one or more labels, lower case.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelativeName(String);

impl RelativeName {
    /// The name as a text, lower case.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The fully qualified name inside a zone.
    #[must_use]
    pub fn within(&self, zone: &DomainName) -> DomainName {
        DomainName(format!("{}.{zone}", self.0))
    }
}

impl FromStr for RelativeName {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let name: DomainName = text.parse()?;
        Ok(Self(name.0))
    }
}

impl fmt::Display for RelativeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl fmt::Debug for RelativeName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A Private DNS zone and its location.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Zone {
    /// The subscription of the zone.
    pub subscription: String,
    /// The resource group of the zone.
    pub resource_group: String,
    /// The name of the zone.
    pub name: DomainName,
}

impl Zone {
    /// Its location, normalized as ARM compares it: the spelling of subscriptions and resource groups varies.
    #[must_use]
    pub fn key(&self) -> ZoneKey {
        (fold(&self.subscription), fold(&self.resource_group), self.name.clone())
    }

    /// Its resource id.
    #[must_use]
    pub fn id(&self) -> String {
        let Self { subscription, resource_group, name } = self;
        format!(
            "/subscriptions/{subscription}/resourceGroups/{resource_group}/providers/Microsoft.Network/privateDnsZones/{name}"
        )
    }
}

/// Subscription, resource group and name of a zone, in lower case.
pub type ZoneKey = (String, String, DomainName);

impl fmt::Display for Zone {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.name.fmt(formatter)
    }
}

/// A reverse zone: one to three octets of an IPv4 address below `in-addr.arpa` (RFC 1035, section 3.5).
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReverseZone {
    zone: Zone,
    /// The leading octets of its addresses, in the order of the address.
    prefix: Vec<u8>,
}

impl ReverseZone {
    /// Parses the prefix in the zone's name.
    pub fn new(zone: Zone) -> Result<Self, NameError> {
        let refused = || NameError::Reverse(zone.name.to_string());
        let labels = zone.name.as_str().strip_suffix(".in-addr.arpa").ok_or_else(refused)?;
        let mut prefix = labels
            .split('.')
            // With a leading zero, the label differs from that of an address.
            .map(|label| label.parse::<u8>().ok().filter(|octet| octet.to_string() == label))
            .collect::<Option<Vec<u8>>>()
            .filter(|prefix| prefix.len() <= 3)
            .ok_or_else(refused)?;
        prefix.reverse();
        Ok(Self { zone, prefix })
    }

    /// The zone itself.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The number of octets in the zone's name: 1 to 3.
    #[must_use]
    pub fn octets(&self) -> usize {
        self.prefix.len()
    }

    /// The lowest of its addresses.
    #[must_use]
    pub fn first_address(&self) -> Ipv4Addr {
        let mut octets = [0; 4];
        for (octet, fixed) in octets.iter_mut().zip(&self.prefix) {
            *octet = *fixed;
        }
        octets.into()
    }

    /// The relative name of an address in this zone; `None` if the address is outside the zone.
    #[must_use]
    pub fn relative_name(&self, address: Ipv4Addr) -> Option<RelativeName> {
        let octets = address.octets();
        let rest = octets.strip_prefix(self.prefix.as_slice())?;
        let labels: Vec<String> = rest.iter().rev().map(u8::to_string).collect();
        Some(RelativeName(labels.join(".")))
    }

    /// The address of a relative name in this zone; `None` if the name is not that of an address.
    #[must_use]
    pub fn address(&self, name: &RelativeName) -> Option<Ipv4Addr> {
        let rest = name.as_str().split('.').rev().map(|label| label.parse::<u8>().ok());
        let octets = self.prefix.iter().copied().map(Some).chain(rest).collect::<Option<Vec<u8>>>()?;
        let address = Ipv4Addr::from(<[u8; 4]>::try_from(octets).ok()?);
        // `04` parses as 4 but is another name.
        (self.relative_name(address).as_ref() == Some(name)).then_some(address)
    }
}

/// A type of record sets that this crate reads and writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RecordType {
    /// An IPv4 address (RFC 1035, section 3.4.1).
    A,
    /// A domain name pointer (RFC 1035, section 3.3.12).
    Ptr,
}

impl fmt::Display for RecordType {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::A => "A",
            Self::Ptr => "PTR",
        })
    }
}

/// The target of a PTR record: spelled as it was read, compared as DNS compares.
#[derive(Clone, Debug)]
pub struct PtrTarget(String);

impl PtrTarget {
    /// The target as it was read.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The target as a name, if it is one that this crate could have written.
    #[must_use]
    pub fn name(&self) -> Option<DomainName> {
        self.0.parse().ok()
    }

    /// Whether this record points to a name.
    #[must_use]
    pub fn names(&self, name: &DomainName) -> bool {
        self.0.strip_suffix('.').unwrap_or(&self.0).eq_ignore_ascii_case(name.as_str())
    }
}

impl From<&DomainName> for PtrTarget {
    fn from(name: &DomainName) -> Self {
        Self(name.as_str().to_owned())
    }
}

impl From<String> for PtrTarget {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl PtrTarget {
    /// The one spelling of all texts that DNS takes for the same name.
    fn folded(&self) -> String {
        self.0.strip_suffix('.').unwrap_or(&self.0).to_ascii_lowercase()
    }
}

impl PartialEq for PtrTarget {
    fn eq(&self, other: &Self) -> bool {
        self.folded() == other.folded()
    }
}

impl Eq for PtrTarget {}

impl Hash for PtrTarget {
    fn hash<State: Hasher>(&self, state: &mut State) {
        self.folded().hash(state);
    }
}

impl fmt::Display for PtrTarget {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The opaque version of a record set, for conditional writes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ETag(String);

impl ETag {
    /// The ETag as the service spells it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for ETag {
    fn from(text: String) -> Self {
        Self(text)
    }
}

/// A record set as it was read.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RecordSet<Record> {
    /// Its version.
    pub etag: ETag,
    /// Its content.
    pub content: Content<Record>,
    /// Whether the platform registered it for a virtual machine; such a record set is foreign.
    pub is_auto_registered: bool,
}

/// The content of a record set: everything that a write replaces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Content<Record> {
    /// The TTL in seconds.
    pub ttl: u32,
    /// The records, in the order in which they were read.
    pub records: Vec<Record>,
    /// The metadata.
    pub metadata: Metadata,
}

/// An A record set as it was read.
pub type ARecordSet = RecordSet<Ipv4Addr>;
/// A PTR record set as it was read.
pub type PtrRecordSet = RecordSet<PtrTarget>;

impl<Record> RecordSet<Record> {
    /// The owner in the mark of the record set.
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        self.content.metadata.get(OWNER_KEY).map(|text| Owner::of_mark(text))
    }
}

impl ARecordSet {
    /// The previous addresses of the record set.
    #[must_use]
    pub fn memory(&self) -> PreviousAddresses {
        PreviousAddresses::parse(self.content.metadata.get(PREVIOUS_KEY).map_or("", String::as_str))
    }
}

/// The condition of a write; every write has one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The record set does not exist: `If-None-Match: *`.
    Absent,
    /// The record set has not changed since the read: `If-Match: <etag>`.
    Unchanged(ETag),
}

/// The start of the mark of a service.
const SERVICE_PREFIX: &str = "service:";

/// The owner mark: `<subscription>/<resource group>/<name>` of a container group, or
/// `service:<subscription>/<resource group>/<label>` of a service. Lower case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Owner(String);

impl Owner {
    /// The owner in the text of a mark.
    #[must_use]
    pub fn of_mark(text: &str) -> Self {
        Self(fold(text))
    }

    /// The text of the mark.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The container group in the mark; `None` if this crate could not have written the mark.
    #[must_use]
    pub fn container_group(&self) -> Option<ContainerGroupId> {
        let mut segments = self.0.split('/');
        let (subscription, resource_group, name) = (segments.next()?, segments.next()?, segments.next()?);
        match segments.next() {
            Some(_) => None,
            None => ContainerGroupId::new(subscription, resource_group, name).ok(),
        }
    }
}

impl Owner {
    /// The mark of a service of a resource group.
    #[must_use]
    pub fn of_service(scope: &Scope, label: &RelativeName) -> Self {
        let resource_group = scope.resource_group().unwrap_or_default();
        Self(format!("{SERVICE_PREFIX}{}/{resource_group}/{label}", scope.subscription()))
    }

    /// The resource group and the label of the service in the mark; `None` if the mark is not that of a service.
    #[must_use]
    pub fn service(&self) -> Option<(Scope, &str)> {
        let mut segments = self.0.strip_prefix(SERVICE_PREFIX)?.split('/');
        let (subscription, resource_group, label) = (segments.next()?, segments.next()?, segments.next()?);
        let is_valid = segments.next().is_none()
            && is_subscription(subscription)
            && is_resource_group(resource_group)
            && is_label(label);
        is_valid.then(|| (Scope::new(subscription, Some(resource_group)), label))
    }
}

impl From<&ContainerGroupId> for Owner {
    fn from(id: &ContainerGroupId) -> Self {
        Self(fold(&format!("{}/{}/{}", id.subscription(), id.resource_group(), id.name())))
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// The previous addresses, whose PTR records may still name the A record set, each with the time when it left
/// the record set (Unix seconds).
///
/// Written as `<address>@<unix seconds>`, separated by spaces. A damaged text is read as far as possible: an
/// entry without a readable time counts as old, and one without a readable address is ignored.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PreviousAddresses(BTreeMap<Ipv4Addr, u64>);

impl PreviousAddresses {
    /// Parses the metadata value.
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let entries = text.split_whitespace().filter_map(|entry| {
            let (address, since) = entry.split_once('@').unwrap_or((entry, ""));
            Some((address.parse().ok()?, since.parse().unwrap_or(0)))
        });
        Self(entries.take(MEMORY_READ).collect())
    }

    /// The previous addresses.
    pub fn addresses(&self) -> impl Iterator<Item = Ipv4Addr> + '_ {
        self.0.keys().copied()
    }

    /// The number of previous addresses.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no previous addresses.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Adds an address that leaves the record set now, or renews its time.
    pub fn remember(&mut self, address: Ipv4Addr, now: u64) {
        self.0.insert(address, now);
    }

    /// Forgets an address.
    pub fn forget(&mut self, address: Ipv4Addr) {
        self.0.remove(&address);
    }

    /// Adds the previous addresses of another record set, each with the later time.
    pub fn extend(&mut self, other: &Self) {
        for (address, since) in &other.0 {
            let known = self.0.entry(*address).or_default();
            *known = (*known).max(*since);
        }
    }

    /// Keeps the newest addresses, up to a number. A time in the future counts as now.
    pub fn keep_newest(&mut self, most: usize, now: u64) {
        while self.0.len() > most {
            let oldest =
                self.0.iter().min_by_key(|(_, since)| (**since).min(now)).map(|(address, _)| *address);
            _ = oldest.and_then(|oldest| self.0.remove(&oldest));
        }
    }

    /// The addresses that are old enough to forget, once no PTR record names the group there.
    #[must_use]
    pub fn old(&self, now: u64, memory_seconds: u64) -> Vec<Ipv4Addr> {
        let is_old = |since: u64| since.saturating_add(memory_seconds) <= now;
        self.0.iter().filter(|(_, since)| is_old(**since)).map(|(address, _)| *address).collect()
    }

    /// Replaces times that are further in the future than clocks can differ: such entries would never become
    /// old.
    pub fn correct_future(&mut self, now: u64, memory_seconds: u64) {
        for since in self.0.values_mut().filter(|since| **since > now.saturating_add(memory_seconds)) {
            *since = now;
        }
    }
}

impl fmt::Display for PreviousAddresses {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, (address, since)) in self.0.iter().enumerate() {
            let space = if index == 0 { "" } else { " " };
            write!(formatter, "{space}{address}@{since}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests;
