//! The map: which zones serve which container groups, and by which rules. The JSON value of `ACI_DNS_ZONES`.

use std::{cmp::Reverse, collections::BTreeSet, fmt, net::Ipv4Addr, sync::Arc};

use ipnet::Ipv4Net;

use super::{Cloud, NamePattern, NamePatterns, Ownership, Policy, SUBSCRIPTIONS, Service, variables};
use crate::domain::{
    dns::{DomainName, ReverseZone, Zone},
    resource_id::{ContainerGroupId, RESOURCE_GROUP_RULE, Scope, fold, is_guid, is_resource_group},
    secret::{SecretRule, Vault},
};

/// The map, with the most specific key first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ZoneMap {
    entries: Vec<(EntryKey, Entry)>,
    /// The rules of entries that do not override them.
    defaults: Defaults,
    /// The subscriptions of keys without one, in lower case; any, if empty.
    subscriptions: BTreeSet<String>,
}

/// The rules of entries that do not override them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Defaults {
    pub(super) policy: Policy,
    pub(super) ownership: Ownership,
    /// It decides which hosts are key vaults.
    pub(super) cloud: Cloud,
}

/// The zones that serve one container group, and the rules of its entry.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Zones {
    /// The zone of its A record set.
    pub forward: Zone,
    /// The zones of its PTR record sets; empty if the map requests no PTR records.
    pub reverse: Vec<ReverseZone>,
    /// The TTL in seconds.
    pub ttl: u32,
    /// What may be written.
    pub policy: Policy,
    /// The treatment of record sets without a mark.
    pub ownership: Ownership,
    /// The accepted ranges of addresses; any address, if empty.
    pub address_ranges: Vec<Ipv4Net>,
    /// The labels that the tag `aci-dns-hostname` may choose.
    pub hostnames: NamePatterns,
    /// Replaced forward zones: PTR values in them count as ours.
    pub former_zones: Vec<DomainName>,
    /// The services of the resource group. Shared, so that an entry without services costs no allocation.
    pub services: Arc<[Service]>,
    /// The secret for the address, if the entry has one.
    pub secret: Option<SecretRule>,
}

/// Why a container group is not managed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NotInMap {
    /// A key matches its resource group, but `ACI_DNS_SUBSCRIPTIONS` does not list its subscription.
    Subscription,
    /// No key matches its resource group.
    ResourceGroup,
    /// The `groups` of the matching key do not contain it.
    Group {
        /// The key.
        key: String,
    },
}

impl Zones {
    /// The forward zone and the reverse zones.
    pub fn all(&self) -> impl Iterator<Item = &Zone> {
        std::iter::once(&self.forward).chain(self.reverse.iter().map(ReverseZone::zone))
    }
}

impl fmt::Display for NotInMap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Subscription => write!(formatter, "{SUBSCRIPTIONS} does not list its subscription"),
            Self::ResourceGroup => {
                write!(formatter, "no key of {} matches its resource group", variables::ZONES)
            }
            Self::Group { key } => {
                write!(formatter, "the groups of the key {key:?} of {} do not contain it", variables::ZONES)
            }
        }
    }
}

/// Everything that the map serves in some subscriptions: the scopes and zones to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListScope {
    /// The scopes of the container groups.
    pub scopes: BTreeSet<Scope>,
    /// The zones in the map. If a pattern leaves the location of its zones to the container groups, its zones
    /// are known only together with the groups.
    pub zones: Vec<Zones>,
}

/// The resource groups of an entry; lower case.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct EntryKey {
    subscription: Option<String>,
    resource_group: NamePattern,
}

/// The rules of one key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) forward_zone: DomainName,
    pub(super) reverse_zones: Vec<DomainName>,
    /// The subscription of the zones, if it is not the container group's own.
    pub(super) subscription: Option<String>,
    /// The resource group of the zones, if it is not the container group's own.
    pub(super) resource_group: Option<String>,
    pub(super) ttl: u32,
    pub(super) policy: Option<Policy>,
    pub(super) ownership: Option<Ownership>,
    pub(super) groups: NamePatterns,
    pub(super) address_ranges: Vec<Ipv4Net>,
    pub(super) hostnames: NamePatterns,
    pub(super) former_zones: Vec<DomainName>,
    pub(super) services: Arc<[Service]>,
    pub(super) secret: Option<SecretRule>,
}

impl ZoneMap {
    pub(super) fn new(mut entries: Vec<(EntryKey, Entry)>, defaults: Defaults) -> Self {
        entries.sort_by_key(|(key, _)| key.rank());
        Self { entries, defaults, subscriptions: BTreeSet::new() }
    }

    /// The same map with these subscriptions for keys without one; any, if empty.
    #[must_use]
    pub fn limited_to(self, subscriptions: &BTreeSet<String>) -> Self {
        Self { subscriptions: subscriptions.clone(), ..self }
    }

    /// The zones that serve a container group; `None` if it is not managed.
    ///
    /// The most specific key wins: with a subscription before without, exact before pattern, longer pattern
    /// before shorter.
    #[must_use]
    pub fn serving(&self, id: &ContainerGroupId) -> Option<Zones> {
        self.find(id).ok()
    }

    /// The zones that serve a container group, or why it is not managed.
    pub fn find(&self, id: &ContainerGroupId) -> Result<Zones, NotInMap> {
        let entry = self.entry(id)?;
        Ok(entry.zones(id.subscription(), id.resource_group(), self.defaults))
    }

    /// Whether a name is inside a forward zone of the map, or inside a replaced one.
    #[must_use]
    pub fn has_forward_zone_of(&self, name: &DomainName) -> bool {
        let zones = self
            .entries
            .iter()
            .flat_map(|(_, entry)| [&entry.forward_zone].into_iter().chain(&entry.former_zones));
        zones.into_iter().any(|zone| name.relative_to(zone).is_some())
    }

    /// Whether a container group is managed.
    #[must_use]
    pub fn serves(&self, id: &ContainerGroupId) -> bool {
        self.entry(id).is_ok()
    }

    /// The zones and services of a resource group; `None` for a whole subscription, and if no key matches.
    #[must_use]
    pub fn of_resource_group(&self, scope: &Scope) -> Option<Zones> {
        let (subscription, resource_group) = (scope.subscription(), scope.resource_group()?);
        let (_, entry) = self.matching(subscription, resource_group).ok()?;
        Some(entry.zones(subscription, resource_group, self.defaults))
    }

    /// Whether the resource group of a managed container group has services.
    #[must_use]
    pub fn has_services(&self, id: &ContainerGroupId) -> bool {
        let is_any = self.entries.iter().any(|(_, entry)| !entry.services.is_empty());
        is_any && self.entry(id).is_ok_and(|entry| !entry.services.is_empty())
    }

    /// Whether a container group can belong to the service in a mark: the map declares it for its resource group, in
    /// the zone of the record set.
    #[must_use]
    pub fn declares(&self, scope: &Scope, label: &str, zone: &Zone) -> bool {
        let zones = self.of_resource_group(scope).filter(|zones| zones.forward.key() == zone.key());
        zones.is_some_and(|zones| zones.services.iter().any(|service| service.name.as_str() == label))
    }

    fn entry(&self, id: &ContainerGroupId) -> Result<&Entry, NotInMap> {
        let (key, entry) = self.matching(&fold(id.subscription()), &fold(id.resource_group()))?;
        if entry.groups.matches(id.name()) {
            Ok(entry)
        } else {
            Err(NotInMap::Group { key: key.to_string() })
        }
    }

    /// The entry of a resource group; both names in lower case.
    fn matching(&self, subscription: &str, resource_group: &str) -> Result<(&EntryKey, &Entry), NotInMap> {
        let is_listed = self.subscriptions.is_empty() || self.subscriptions.contains(subscription);
        let matching = || self.entries.iter().filter(|(key, _)| key.covers(subscription, resource_group));
        let Some((key, entry)) = matching().find(|(key, _)| is_listed || key.subscription.is_some()) else {
            let is_elsewhere = matching().next().is_some();
            return Err(if is_elsewhere { NotInMap::Subscription } else { NotInMap::ResourceGroup });
        };
        Ok((key, entry))
    }

    /// The key whose entry applies to a container group, whether or not its `groups` contain the group.
    #[must_use]
    pub fn key_of(&self, id: &ContainerGroupId) -> Option<String> {
        let (subscription, resource_group) = (fold(id.subscription()), fold(id.resource_group()));
        let mut keys = self.entries.iter().map(|(key, _)| key);
        keys.find(|key| key.covers(&subscription, &resource_group)).map(ToString::to_string)
    }

    /// The keys that match none of these resource groups. A whole subscription includes all of its resource
    /// groups.
    #[must_use]
    pub fn unmatched(&self, places: &BTreeSet<Scope>) -> Vec<String> {
        let is_met = |key: &EntryKey, place: &Scope| match place.resource_group() {
            Some(name) => key.covers(place.subscription(), name),
            None => key.subscription.as_deref().is_none_or(|own| own == place.subscription()),
        };
        let keys = self.entries.iter().map(|(key, _)| key);
        let unmatched = keys.filter(|key| !places.iter().any(|place| is_met(key, place)));
        unmatched.map(ToString::to_string).collect()
    }

    /// The number of keys.
    #[must_use]
    pub fn key_count(&self) -> usize {
        self.entries.len()
    }

    /// Whether a name is inside a replaced forward zone.
    #[must_use]
    pub fn has_former_zone_of(&self, name: &DomainName) -> bool {
        let mut zones = self.entries.iter().flat_map(|(_, entry)| &entry.former_zones);
        zones.any(|zone| name.relative_to(zone).is_some())
    }

    /// The key vaults of all entries.
    #[must_use]
    pub fn vaults(&self) -> BTreeSet<Vault> {
        let secrets = self.entries.iter().filter_map(|(_, entry)| entry.secret.as_ref());
        secrets.map(|secret| secret.vault.clone()).collect()
    }

    /// The subscriptions in keys, in lower case.
    #[must_use]
    pub fn subscriptions(&self) -> BTreeSet<String> {
        self.entries.iter().filter_map(|(key, _)| key.subscription.clone()).collect()
    }

    /// A key without a subscription, so that the map does not say where its container groups are.
    #[must_use]
    pub fn key_without_subscription(&self) -> Option<String> {
        let (key, _) = self.entries.iter().find(|(key, _)| key.subscription.is_none())?;
        Some(key.to_string())
    }

    /// Everything that the map serves, with these subscriptions for keys without one.
    #[must_use]
    pub fn list_scope(&self, subscriptions: &BTreeSet<String>) -> ListScope {
        let scopes = EntryKey::scopes(self.entries.iter().map(|(key, _)| key), subscriptions);
        let mut list_scope = ListScope { scopes, zones: Vec::new() };
        for (key, entry) in &self.entries {
            for subscription in key.subscriptions(subscriptions) {
                let resource_group = (!key.resource_group.is_prefix()).then_some(key.resource_group.text());
                if let Some(place) = resource_group.or(entry.resource_group.as_deref()) {
                    list_scope.zones.push(entry.zones(subscription, place, self.defaults));
                }
            }
        }
        list_scope
    }
}

impl EntryKey {
    pub(super) fn parse(text: &str) -> Result<Self, &'static str> {
        let (subscription, name) = match text.split_once('/') {
            Some((subscription, name)) if is_guid(subscription) => (Some(fold(subscription)), name),
            Some(_) => return Err("a subscription id is a GUID"),
            None => (None, text),
        };
        let resource_group = NamePattern::new(name);
        if !is_resource_group(&resource_group.sample()) {
            return Err(RESOURCE_GROUP_RULE);
        }
        Ok(Self { subscription, resource_group })
    }

    /// The resource groups to list for these keys, with these subscriptions for keys without one. A whole subscription
    /// for patterns.
    pub(super) fn scopes<'a>(
        keys: impl Iterator<Item = &'a Self>,
        subscriptions: &BTreeSet<String>,
    ) -> BTreeSet<Scope> {
        let mut scopes = BTreeSet::new();
        for key in keys {
            let resource_group = (!key.resource_group.is_prefix()).then_some(key.resource_group.text());
            for subscription in key.subscriptions(subscriptions) {
                scopes.insert(Scope::new(subscription, resource_group));
            }
        }
        // A list of the whole subscription contains these groups already.
        let is_whole = |scope: &&Scope| scope.resource_group().is_none();
        let whole: BTreeSet<String> =
            scopes.iter().filter(is_whole).map(|scope| scope.subscription().to_owned()).collect();
        scopes.retain(|scope| scope.resource_group().is_none() || !whole.contains(scope.subscription()));
        scopes
    }

    /// Its own subscription, or else the given ones.
    fn subscriptions<'a>(&'a self, given: &'a BTreeSet<String>) -> impl Iterator<Item = &'a String> {
        let named = self.subscription.as_ref();
        named.into_iter().chain(given.iter().filter(move |_| named.is_none()))
    }

    /// Whether it names a subscription.
    pub(super) fn has_subscription(&self) -> bool {
        self.subscription.is_some()
    }

    pub(super) fn covers(&self, subscription: &str, resource_group: &str) -> bool {
        self.subscription.as_deref().is_none_or(|own| own == subscription)
            && self.resource_group.matches_folded(resource_group)
    }

    /// An order with the most specific key first.
    pub(super) fn rank(&self) -> impl Ord + use<> {
        let name = &self.resource_group;
        (self.subscription.is_none(), name.is_prefix(), Reverse(name.text().len()))
    }
}

impl fmt::Display for EntryKey {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.subscription {
            Some(subscription) => write!(formatter, "{subscription}/{}", self.resource_group),
            None => self.resource_group.fmt(formatter),
        }
    }
}

impl Entry {
    /// The zones of a container group in this resource group.
    fn zones(&self, subscription: &str, resource_group: &str, defaults: Defaults) -> Zones {
        let zone = |name: &DomainName| Zone {
            subscription: self.subscription.as_deref().unwrap_or(subscription).to_owned(),
            resource_group: self.resource_group.as_deref().unwrap_or(resource_group).to_owned(),
            name: name.clone(),
        };
        let reverse_zone = |name| ReverseZone::new(zone(name)).expect("the map contains only valid names");
        Zones {
            forward: zone(&self.forward_zone),
            reverse: self.reverse_zones.iter().map(reverse_zone).collect(),
            ttl: self.ttl,
            policy: self.policy.unwrap_or(defaults.policy),
            ownership: self.ownership.unwrap_or(defaults.ownership),
            address_ranges: self.address_ranges.clone(),
            hostnames: self.hostnames.clone(),
            former_zones: self.former_zones.clone(),
            services: Arc::clone(&self.services),
            secret: self.secret.clone(),
        }
    }
}

impl Zones {
    /// Zones without rules of their own: policy and ownership are the defaults.
    #[must_use]
    pub fn new(forward: Zone, reverse: Vec<ReverseZone>, ttl: u32) -> Self {
        Self {
            forward,
            reverse,
            ttl,
            policy: Policy::default(),
            ownership: Ownership::default(),
            address_ranges: vec![],
            hostnames: NamePatterns::default(),
            former_zones: vec![],
            services: Arc::default(),
            secret: None,
        }
    }

    /// The replaced forward zones, at the location of the forward zone.
    pub fn former(&self) -> impl Iterator<Item = Zone> {
        self.former_zones.iter().map(|name| Zone { name: name.clone(), ..self.forward.clone() })
    }

    /// Whether a group may have this address.
    #[must_use]
    pub fn accepts(&self, address: Ipv4Addr) -> bool {
        self.address_ranges.is_empty() || self.address_ranges.iter().any(|range| range.contains(&address))
    }
}

#[cfg(test)]
mod tests;
