//! Secrets in Key Vault that contain the address of a container group: names, owner mark, changes.
//!
//! Pure. [`crate::decide`] creates the changes. A value is shown only if it is an address.

use std::{
    cmp::Ordering,
    collections::BTreeMap,
    fmt,
    hash::{Hash, Hasher},
    net::Ipv4Addr,
    str::FromStr,
    sync::Arc,
};

use url::Url;

use crate::domain::{
    dns::{OWNER_KEY, Owner},
    resource_id::{ContainerGroupId, fold},
};

/// The tag on a container group that names its secret; `false`: no secret.
pub const SECRET_TAG: &str = "aci-dns-secret";
/// The tag on a secret with the program that wrote it.
const CREATED_BY: (&str, &str) = ("createdBy", "aci-dns");
/// The tag on a secret with the time of the write (RFC 3339).
const CREATED_ON: &str = "createdOn";
/// The placeholder for the name of the container group.
const GROUP: &str = "{group}";
/// The placeholder for its resource group.
const RESOURCE_GROUP: &str = "{resourceGroup}";

/// The rule for the names of secrets.
///
/// Source: <https://learn.microsoft.com/azure/key-vault/general/about-keys-secrets-certificates#vault-name-and-object-name>
pub const NAME_RULE: &str = "1 to 127 letters, digits and hyphens";

/// A key vault, by its URL.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Vault(Arc<Url>);

impl Vault {
    /// The vault at a URL with only scheme, host and port.
    #[must_use]
    pub fn new(url: Url) -> Self {
        Self(Arc::new(url))
    }

    /// The URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// Whether it is on this machine.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self.0.host(), Some(url::Host::Ipv4(_) | url::Host::Ipv6(_)))
            || self.0.host_str() == Some("localhost")
    }

    /// The name: the first label of the host. On this machine, the host and the port.
    #[must_use]
    pub fn name(&self) -> &str {
        let authority = &self.0[url::Position::BeforeHost..url::Position::AfterPort];
        if self.is_local() { authority } else { authority.split('.').next().unwrap_or(authority) }
    }
}

impl fmt::Display for Vault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.name())
    }
}

/// The name of a secret. Key Vault compares names without regard to case.
#[derive(Clone, Debug)]
pub struct SecretName(String);

impl SecretName {
    /// The name as it was given.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for SecretName {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        if (1..=127).contains(&text.len()) && text.bytes().all(is_allowed) {
            Ok(Self(text.to_owned()))
        } else {
            Err(NAME_RULE)
        }
    }
}

impl PartialEq for SecretName {
    fn eq(&self, other: &Self) -> bool {
        self.0.eq_ignore_ascii_case(&other.0)
    }
}

impl Eq for SecretName {}

impl Ord for SecretName {
    fn cmp(&self, other: &Self) -> Ordering {
        fold(&self.0).cmp(&fold(&other.0))
    }
}

impl PartialOrd for SecretName {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Hash for SecretName {
    fn hash<State: Hasher>(&self, state: &mut State) {
        fold(&self.0).hash(state);
    }
}

/// A secret, by vault and name. Shown as `kv-apps/web--ip`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SecretId {
    /// The vault.
    pub vault: Vault,
    /// The name.
    pub name: SecretName,
}

impl fmt::Display for SecretId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", self.vault, self.name.as_str())
    }
}

/// The member `secret` of an entry of the map.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretRule {
    /// The vault of all secrets of the entry.
    pub vault: Vault,
    /// The name for every group of the entry, with placeholders; without it, only groups with a tag have a secret.
    pub name: Option<String>,
}

impl SecretRule {
    /// The name for a group, which may break [`NAME_RULE`]: names of resource groups have more characters.
    #[must_use]
    pub fn name_of(&self, id: &ContainerGroupId) -> Option<String> {
        let name = self.name.as_ref()?;
        Some(name.replace(GROUP, id.name()).replace(RESOURCE_GROUP, id.resource_group()))
    }

    /// The shortest name that a template can produce, to check the template.
    #[must_use]
    pub fn sample(template: &str) -> String {
        template.replace(GROUP, "g").replace(RESOURCE_GROUP, "r")
    }
}

/// The secret that a group should have.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct WantedSecret {
    /// The secret.
    pub id: SecretId,
    /// Whether a tag chose the name: such a name never takes over a secret without a mark.
    pub is_from_tag: bool,
}

/// The newest version of a secret, as far as this crate uses it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Secret {
    /// The value.
    pub value: String,
    /// The content type, which is kept.
    pub content_type: Option<String>,
    /// The tags; those of others are kept.
    pub tags: BTreeMap<String, String>,
}

impl Secret {
    /// The secret of a group with an address, at a time (RFC 3339). Keeps the content type and the tags of others.
    #[must_use]
    pub fn published(value: String, owner: &Owner, time: String, before: Option<&Self>) -> Self {
        let mut tags = before.map(|before| before.tags.clone()).unwrap_or_default();
        let (key, program) = CREATED_BY;
        tags.insert(key.to_owned(), program.to_owned());
        tags.insert(CREATED_ON.to_owned(), time);
        tags.insert(OWNER_KEY.to_owned(), owner.as_str().to_owned());
        Self { value, content_type: before.and_then(|before| before.content_type.clone()), tags }
    }

    /// The owner mark.
    #[must_use]
    pub fn owner(&self) -> Option<Owner> {
        self.tags.get(OWNER_KEY).map(|text| Owner::of_mark(text))
    }

    /// Whether it contains an address and belongs to an owner.
    #[must_use]
    pub fn holds(&self, address: Ipv4Addr, owner: &Owner) -> bool {
        self.value == address.to_string() && self.owner().as_ref() == Some(owner)
    }

    /// The value, if it is an address. Any other value is not shown.
    fn shown(&self) -> String {
        let address = self.value.trim().parse::<Ipv4Addr>();
        address.map_or_else(|_| "(not an address)".to_owned(), |address| address.to_string())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Secret({}, {:?})", self.shown(), self.owner())
    }
}

/// One change of one secret: a new version.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SecretEdit {
    /// The secret.
    pub id: SecretId,
    /// The version that was read; `None` if there is no such secret.
    pub before: Option<Secret>,
    /// The new version.
    pub after: Secret,
}

impl SecretEdit {
    /// Whether it takes over a secret without a mark.
    #[must_use]
    pub fn is_adoption(&self) -> bool {
        self.before.as_ref().is_some_and(|before| before.owner().is_none())
    }
}

impl fmt::Display for SecretEdit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, before, after } = self;
        let Some(before) = before else { return write!(formatter, "+ secret {id} {}", after.shown()) };
        let (old, new) = (before.shown(), after.shown());
        let arrow = if before.value == after.value { String::new() } else { format!("{old} -> ") };
        write!(formatter, "~ secret {id} {arrow}{new}")?;
        match (before.owner(), after.owner()) {
            (old, Some(new)) if old.as_ref() != Some(&new) => {
                let old = old.as_ref().map_or("none", Owner::as_str);
                write!(formatter, " (owner {old} -> {new})")
            }
            _ => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(vault: &str) -> SecretId {
        SecretId { vault: Vault::new(vault.parse().unwrap()), name: "web--ip".parse().unwrap() }
    }

    fn owner(name: &str) -> Owner {
        Owner::from(&ContainerGroupId::new("s", "rg", name).unwrap())
    }

    fn secret(value: &str, before: Option<&Secret>) -> Secret {
        Secret::published(value.to_owned(), &owner("web"), "2026-01-01T00:00:00Z".to_owned(), before)
    }

    fn unmarked(value: &str) -> Secret {
        let tags = BTreeMap::from([
            ("createdBy".to_owned(), "ACI".to_owned()),
            ("team".to_owned(), "web".to_owned()),
        ]);
        Secret { value: value.to_owned(), content_type: Some("text/plain".to_owned()), tags }
    }

    #[test]
    fn a_name_matches_the_rule_of_key_vault_and_compares_without_regard_to_case() {
        for (text, is_name) in [("a", true), ("A-1", true), ("", false), ("a_b", false), ("../a", false)] {
            assert_eq!(text.parse::<SecretName>().is_ok(), is_name, "{text}");
        }
        assert!("x".repeat(127).parse::<SecretName>().is_ok());
        assert!("x".repeat(128).parse::<SecretName>().is_err());
        assert_eq!("Web".parse::<SecretName>(), "wEB".parse());
    }

    #[test]
    fn a_plan_shows_a_secret_as_vault_name_and_address() {
        let check = |vault, before, after, expected: &str| {
            assert_eq!(SecretEdit { id: id(vault), before, after }.to_string(), expected);
        };
        let apps = "https://kv-apps.vault.azure.net/";
        check(apps, None, secret("10.1.5.4", None), "+ secret kv-apps/web--ip 10.1.5.4");
        let before = secret("10.1.5.4", None);
        let expected = "~ secret kv-apps/web--ip 10.1.5.4 -> 10.1.5.6";
        check(apps, Some(before.clone()), secret("10.1.5.6", Some(&before)), expected);
        let local = "http://127.0.0.1:8181/";
        let expected = "~ secret 127.0.0.1:8181/web--ip 10.1.5.4 (owner none -> s/rg/web)";
        check(local, Some(unmarked("10.1.5.4")), secret("10.1.5.4", None), expected);
    }

    #[test]
    fn a_value_that_is_no_address_is_never_shown() {
        let password = unmarked("hunter2");
        let edit = SecretEdit {
            id: id("https://kv-apps.vault.azure.net/"),
            before: Some(password.clone()),
            after: secret("10.1.5.4", Some(&password)),
        };
        let shown = format!("{edit} {edit:?} {password:?}");
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("~ secret kv-apps/web--ip (not an address) -> 10.1.5.4"), "{shown}");
    }

    #[test]
    fn tags_of_others_and_the_content_type_are_kept() {
        let published = secret("10.1.5.4", Some(&unmarked("10.1.5.9")));
        let tags: Vec<_> = published.tags.iter().map(|(key, value)| format!("{key}={value}")).collect();
        let expected = "aci-dns-owner=s/rg/web createdBy=aci-dns createdOn=2026-01-01T00:00:00Z team=web";
        assert_eq!(tags.join(" "), expected);
        assert_eq!(published.content_type.as_deref(), Some("text/plain"));
    }
}
