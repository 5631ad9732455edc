//! A container group and its zones -> its desired record sets, without the address.
//!
//! Pure. Tags override the map; an invalid tag is an error that names it, never a silent default.

use std::{collections::BTreeMap, net::Ipv4Addr};

use crate::{
    config::{NamePatterns, Zones},
    domain::{
        container_group::ContainerGroup,
        dns::{DomainName, Owner, RelativeName, Zone},
        resource_id::ContainerGroupId,
        secret::{NAME_RULE, SECRET_TAG, SecretId, WantedSecret},
    },
};

/// A single label that replaces the group's name.
pub const HOSTNAME_TAG: &str = "aci-dns-hostname";
/// The TTL in seconds, instead of that in the map.
pub const TTL_TAG: &str = "aci-dns-ttl";
/// The highest TTL in a tag: a day, which limits how long a mistake in a tag has an effect.
const MOST_SECONDS: u32 = 86_400;
/// `false`: no PTR record.
pub const PTR_TAG: &str = "aci-dns-ptr";
/// `true`: the group is ignored.
pub const IGNORE_TAG: &str = "aci-dns-ignore";

/// The services that the group belongs to: labels, separated by commas.
pub const SERVICE_TAG: &str = "aci-dns-service";
/// `true`: the group leaves its services.
pub const DRAIN_TAG: &str = "aci-dns-drain";

/// A tag with an invalid value.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
#[error("the tag {tag} is {value:?}, but must be {rule}")]
pub struct TagError {
    tag: &'static str,
    value: String,
    rule: &'static str,
}

/// The desired record sets of a container group, without the address.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Desired {
    /// The mark of its record sets.
    pub owner: Owner,
    /// The zones that serve it.
    pub zones: Zones,
    /// The relative name of its A record set.
    pub name: RelativeName,
    /// Whether a tag chose the name: such a name never takes over a record set without a mark.
    pub is_name_from_tag: bool,
    /// The TTL in seconds.
    pub ttl: u32,
    /// Whether its address gets a PTR record.
    pub wants_ptr: bool,
    /// The tag about services that is invalid. It does not prevent a correction of the record sets.
    pub service_tag_error: Option<TagError>,
}

impl Desired {
    /// The desired record sets of an existing group; `None` if a tag says to ignore it.
    pub fn of(
        id: &ContainerGroupId,
        group: &ContainerGroup,
        zones: &Zones,
    ) -> Result<Option<Self>, TagError> {
        if flag(&group.tags, IGNORE_TAG)?.unwrap_or(false) {
            return Ok(None);
        }
        let own = Self::of_absent(id, zones);
        let hostname = hostname(&group.tags, &own)?;
        Ok(Some(Self {
            is_name_from_tag: hostname.is_some(),
            name: hostname.unwrap_or(own.name),
            ttl: ttl(&group.tags)?.unwrap_or(zones.ttl),
            wants_ptr: flag(&group.tags, PTR_TAG)?.unwrap_or(true),
            service_tag_error: service_tag_error(&group.tags, zones),
            owner: own.owner,
            zones: own.zones,
        }))
    }

    /// The record sets of a missing group: with its own name, because its tags are unknown.
    #[must_use]
    pub fn of_absent(id: &ContainerGroupId, zones: &Zones) -> Self {
        Self {
            owner: Owner::from(id),
            zones: zones.clone(),
            name: own_name(id),
            is_name_from_tag: false,
            ttl: zones.ttl,
            wants_ptr: true,
            service_tag_error: None,
        }
    }

    /// The fully qualified name of the A record set, which is the target of the PTR record.
    #[must_use]
    pub fn fqdn(&self) -> DomainName {
        self.name.within(&self.zones.forward.name)
    }
}

impl Zones {
    /// The PTR record set of an address: in the longest reverse zone that contains it.
    #[must_use]
    pub fn reverse_name(&self, address: Ipv4Addr) -> Option<(&Zone, RelativeName)> {
        let containing = self.reverse.iter().filter_map(|zone| Some((zone, zone.relative_name(address)?)));
        containing.max_by_key(|(zone, _)| zone.octets()).map(|(zone, name)| (zone.zone(), name))
    }
}

/// The relative name of a group without a tag.
///
/// # Panics
///
/// Never: the id of a container group ensures that the name is one DNS label.
#[must_use]
pub fn own_name(id: &ContainerGroupId) -> RelativeName {
    id.name().parse().expect("a container group's name is one DNS label")
}

/// The services in the tags of a group.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceTags {
    /// The labels, in lower case.
    pub labels: Vec<String>,
    /// Whether the group leaves its services. An invalid value counts as `false`.
    pub is_draining: bool,
    /// Whether the group is ignored. An invalid value counts as `false`.
    pub is_ignored: bool,
}

impl ServiceTags {
    /// Reads the tags of a group.
    #[must_use]
    pub fn of(group: &ContainerGroup) -> Self {
        let is = |name| flag(&group.tags, name).ok().flatten().unwrap_or(false);
        Self {
            labels: service_labels(&group.tags).map(str::to_ascii_lowercase).collect(),
            is_draining: is(DRAIN_TAG),
            is_ignored: is(IGNORE_TAG),
        }
    }
}

fn service_labels(tags: &BTreeMap<String, String>) -> impl Iterator<Item = &str> {
    let labels = tag(tags, SERVICE_TAG).into_iter().flat_map(|value| value.split(','));
    labels.map(str::trim).filter(|label| !label.is_empty())
}

fn service_tag_error(tags: &BTreeMap<String, String>, zones: &Zones) -> Option<TagError> {
    let is_declared =
        |label: &str| zones.services.iter().any(|service| service.name.as_str().eq_ignore_ascii_case(label));
    if service_labels(tags).any(|label| !is_declared(label)) {
        let value = tag(tags, SERVICE_TAG).unwrap_or_default().to_owned();
        let rule = "labels that `services` of the entry in ACI_DNS_ZONES declares, separated by commas";
        return Some(TagError { tag: SERVICE_TAG, value, rule });
    }
    flag(tags, DRAIN_TAG).err()
}

/// Azure compares the names of tags without regard to case.
fn tag<'tags>(tags: &'tags BTreeMap<String, String>, name: &str) -> Option<&'tags str> {
    tags.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim())
}

fn flag(tags: &BTreeMap<String, String>, name: &'static str) -> Result<Option<bool>, TagError> {
    let Some(value) = tag(tags, name) else { return Ok(None) };
    match value.to_ascii_lowercase().as_str() {
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        _ => Err(TagError { tag: name, value: value.to_owned(), rule: "true or false" }),
    }
}

fn ttl(tags: &BTreeMap<String, String>) -> Result<Option<u32>, TagError> {
    let Some(value) = tag(tags, TTL_TAG) else { return Ok(None) };
    let seconds = value.parse().ok().filter(|seconds| (1..=MOST_SECONDS).contains(seconds));
    let refused = || TagError { tag: TTL_TAG, value: value.to_owned(), rule: "seconds from 1 to 86400" };
    seconds.map(Some).ok_or_else(refused)
}

/// Why a group has no valid name for its secret.
#[derive(Clone, Debug, PartialEq, Eq, Hash, thiserror::Error)]
pub enum SecretNameError {
    /// The tag is invalid.
    #[error(transparent)]
    Tag(TagError),
    /// The name that the map makes for the group is invalid.
    #[error(
        "the name of its secret would be {0:?}, but must be {NAME_RULE}; change secret.name of the entry in ACI_DNS_ZONES, or tag the container group with aci-dns-secret"
    )]
    Name(String),
}

/// The secret for the address of an existing group, if the map or a tag requests one. A tag never chooses the vault. An
/// invalid tag of the secret does not affect the record sets, and an invalid tag of the record sets does not affect it.
pub fn secret(
    id: &ContainerGroupId,
    group: &ContainerGroup,
    zones: &Zones,
) -> Result<Option<WantedSecret>, SecretNameError> {
    let Some(rule) = &zones.secret else { return Ok(None) };
    // An unreadable tag is reported with the record sets, and may mean that the group is ignored.
    if flag(&group.tags, IGNORE_TAG) != Ok(None) && flag(&group.tags, IGNORE_TAG) != Ok(Some(false)) {
        return Ok(None);
    }
    let name = match tag(&group.tags, SECRET_TAG) {
        Some(value) if value.eq_ignore_ascii_case("false") => return Ok(None),
        Some(value) => value.parse().map_err(|rule| {
            SecretNameError::Tag(TagError { tag: SECRET_TAG, value: value.to_owned(), rule })
        })?,
        None => {
            let Some(name) = rule.name_of(id) else { return Ok(None) };
            name.parse().map_err(|_| SecretNameError::Name(name.clone()))?
        }
    };
    let is_from_tag = tag(&group.tags, SECRET_TAG).is_some();
    Ok(Some(WantedSecret { id: SecretId { vault: rule.vault.clone(), name }, is_from_tag }))
}

/// The name in the tag of a group, if `hostnames` of its entry does not allow it.
#[must_use]
pub fn refused_hostname(
    id: &ContainerGroupId,
    group: &ContainerGroup,
    zones: &Zones,
) -> Option<RelativeName> {
    let any = Zones { hostnames: NamePatterns::all(), ..zones.clone() };
    let is_ignored = flag(&group.tags, IGNORE_TAG).ok().flatten().unwrap_or(false);
    let name = hostname(&group.tags, &Desired::of_absent(id, &any)).ok().flatten()?;
    (!is_ignored && !zones.hostnames.matches(name.as_str())).then_some(name)
}

/// The name in a tag, instead of the group's own.
fn hostname(tags: &BTreeMap<String, String>, own: &Desired) -> Result<Option<RelativeName>, TagError> {
    let Some(value) = tag(tags, HOSTNAME_TAG) else { return Ok(None) };
    let refused = |rule| TagError { tag: HOSTNAME_TAG, value: value.to_owned(), rule };
    // A host name has no underscores (RFC 1123, section 2.1), though a record set's name may have.
    let is_label = !value.contains(['.', '_']);
    let name: Option<RelativeName> = value.parse().ok().filter(|_| is_label);
    match name {
        None => Err(refused("one label of 1 to 63 letters, digits and inner hyphens")),
        Some(name) if name == own.name => Ok(None),
        Some(name) if own.zones.hostnames.matches(name.as_str()) => Ok(Some(name)),
        Some(_) => Err(refused("a name that `hostnames` of the entry in ACI_DNS_ZONES allows")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::ZoneMap, domain::dns::ReverseZone};

    fn id() -> ContainerGroupId {
        ContainerGroupId::new("S1", "rg-spoke1", "Web").unwrap()
    }

    fn zones(reverse: &[&str]) -> Zones {
        let zone = |name: &str| Zone {
            subscription: "s1".into(),
            resource_group: "rg-dns".into(),
            name: name.parse().unwrap(),
        };
        let reverse = reverse.iter().map(|name| ReverseZone::new(zone(name)).unwrap()).collect();
        let map =
            r#"{"rg-spoke1": {"forwardZone": "a.internal", "reverseZones": [], "hostnames": ["shop*"]}}"#;
        let hostnames = ZoneMap::parse(map).unwrap().serving(&id()).unwrap().hostnames;
        Zones { hostnames, ..Zones::new(zone("spoke1.contoso.internal"), reverse, 60) }
    }

    fn of(tags: &[(&str, &str)]) -> Result<Option<Desired>, TagError> {
        let tags = tags.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
        Desired::of(&id(), &ContainerGroup { tags, ..ContainerGroup::default() }, &zones(&[]))
    }

    #[test]
    fn without_tags_the_map_decides() {
        let desired = of(&[]).unwrap().unwrap();
        assert_eq!(desired, Desired::of_absent(&id(), &zones(&[])));
        assert_eq!(desired.fqdn().as_str(), "web.spoke1.contoso.internal");
        assert_eq!((desired.ttl, desired.wants_ptr, desired.is_name_from_tag), (60, true, false));
    }

    #[test]
    fn tags_override_the_map() {
        let desired = of(&[("ACI-DNS-Hostname", "Shop"), ("aci-dns-ttl", "5"), ("aci-dns-ptr", "False")])
            .unwrap()
            .unwrap();
        assert_eq!(desired.fqdn().as_str(), "shop.spoke1.contoso.internal");
        assert_eq!((desired.ttl, desired.wants_ptr, desired.is_name_from_tag), (5, false, true));
    }

    #[test]
    fn a_tag_with_the_groups_own_name_has_no_effect() {
        assert!(!of(&[(HOSTNAME_TAG, "web")]).unwrap().unwrap().is_name_from_tag);
    }

    #[test]
    fn a_secret_has_the_name_of_the_map_or_of_a_tag() {
        let map = |name: &str| {
            format!(
                r#"{{"rg-*": {{"forwardZone": "a.internal", "reverseZones": [],
                "secret": {{"vault": "https://kv.vault.azure.net/"{name}}}}}}}"#
            )
        };
        let named_secret = |name: &str, id: &ContainerGroupId, tags: &[(&str, &str)]| {
            let zones = ZoneMap::parse(&map(name)).unwrap().serving(id).unwrap();
            let tags = tags.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect();
            match secret(id, &ContainerGroup { tags, ..ContainerGroup::default() }, &zones) {
                Ok(None) => "none".to_owned(),
                Ok(Some(wanted)) => format!("{} {}", wanted.id, wanted.is_from_tag),
                Err(error) => error.to_string(),
            }
        };
        let named = r#", "name": "{resourceGroup}-{group}--ip""#;
        assert_eq!(named_secret(named, &id(), &[]), "kv/rg-spoke1-Web--ip false");
        assert_eq!(named_secret("", &id(), &[]), "none");
        assert_eq!(named_secret("", &id(), &[("ACI-DNS-Secret", " shop ")]), "kv/shop true");
        assert_eq!(named_secret(named, &id(), &[(SECRET_TAG, "shop")]), "kv/shop true");
        assert_eq!(named_secret(named, &id(), &[(SECRET_TAG, "False")]), "none");
        assert_eq!(named_secret(named, &id(), &[(IGNORE_TAG, "true")]), "none");
        assert_eq!(named_secret(named, &id(), &[(IGNORE_TAG, "maybe")]), "none");
        assert_eq!(
            named_secret(named, &id(), &[(SECRET_TAG, "a/b")]),
            "the tag aci-dns-secret is \"a/b\", but must be 1 to 127 letters, digits and hyphens"
        );
        let dotted = ContainerGroupId::new("S1", "rg-a.b", "web").unwrap();
        assert!(
            named_secret(named, &dotted, &[])
                .starts_with("the name of its secret would be \"rg-a.b-web--ip\", but")
        );
    }

    #[test]
    fn an_ignored_group_has_no_desired_record_sets() {
        assert_eq!(of(&[(IGNORE_TAG, "true"), (TTL_TAG, "bad")]), Ok(None));
        assert!(of(&[(IGNORE_TAG, "false")]).unwrap().is_some());
    }

    #[test]
    fn a_tag_chooses_only_a_name_that_the_map_allows() {
        assert!(of(&[(HOSTNAME_TAG, "SHOP-2")]).unwrap().unwrap().is_name_from_tag);
        let error = of(&[(HOSTNAME_TAG, "portal")]).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the tag aci-dns-hostname is \"portal\", but must be a name that `hostnames` of the entry in ACI_DNS_ZONES allows"
        );
    }

    #[test]
    fn a_bad_tag_value_is_an_error_that_names_the_tag() {
        for (tag, value) in [
            (HOSTNAME_TAG, ""),
            (HOSTNAME_TAG, "a.b"),
            (HOSTNAME_TAG, "a_b"),
            (HOSTNAME_TAG, "-a"),
            (HOSTNAME_TAG, "@"),
            (HOSTNAME_TAG, "*"),
            (HOSTNAME_TAG, "a\r\nb"),
            (TTL_TAG, "0"),
            (TTL_TAG, "86401"),
            (TTL_TAG, "60s"),
            (PTR_TAG, "no"),
            (IGNORE_TAG, "1"),
        ] {
            let error = of(&[(tag, value)]).unwrap_err();
            assert_eq!((error.tag, error.value.as_str()), (tag, value));
            assert!(error.to_string().contains(tag));
        }
    }

    #[test]
    fn the_longest_reverse_zone_that_contains_an_address_is_used() {
        let zones = zones(&["10.in-addr.arpa", "5.1.10.in-addr.arpa", "1.10.in-addr.arpa"]);
        let reverse = |address: [u8; 4]| {
            let found = zones.reverse_name(address.into());
            found.map(|(zone, name)| format!("{name} in {zone}")).unwrap_or_default()
        };
        assert_eq!(reverse([10, 1, 5, 4]), "4 in 5.1.10.in-addr.arpa");
        assert_eq!(reverse([10, 1, 6, 4]), "4.6 in 1.10.in-addr.arpa");
        assert_eq!(reverse([10, 2, 6, 4]), "4.6.2 in 10.in-addr.arpa");
        assert_eq!(reverse([192, 168, 0, 4]), "");
    }
}
