//! The map of image updates: pushes to which registries update the container groups of which resource groups. The JSON
//! value of `ACI_DNS_IMAGES`; its keys are those of `ACI_DNS_ZONES`.

use std::{collections::BTreeSet, fmt};

use super::{
    BrokenRule, SettingsError,
    entry::{ObjectMembers, Place, check_members, read_array, read_entries, read_text},
    json::Json,
    mistake::Mistakes,
    variables::IMAGES,
    zones::EntryKey,
};
use crate::domain::{
    image::{Registry, Repository},
    resource_id::{ContainerGroupId, Scope, fold},
};

/// The keys of an entry.
const KEYS: [&str; 1] = ["registries"];

const REGISTRY_RULE: &str =
    "a registry: its host, such as demo.azurecr.io, or a host and a path, such as docker.io/contoso";

/// The map, with the most specific key first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImageMap {
    entries: Vec<(EntryKey, Vec<Registry>)>,
    /// The subscriptions of keys without one, in lower case; any, if empty.
    subscriptions: BTreeSet<String>,
}

impl ImageMap {
    /// Parses the JSON value of `ACI_DNS_IMAGES`.
    pub fn parse(text: &str, subscriptions: &BTreeSet<String>) -> Result<Self, SettingsError> {
        let mut mistakes = Mistakes::default();
        let map = Self::read(text, subscriptions, &mut mistakes);
        mistakes.or(map)
    }

    pub(super) fn read(
        text: &str,
        subscriptions: &BTreeSet<String>,
        mistakes: &mut Mistakes,
    ) -> Option<Self> {
        let mut entries = read_entries(IMAGES, text, mistakes, read_entry)?;
        entries.sort_by_key(|(key, _)| key.rank());
        Some(Self { entries, subscriptions: subscriptions.clone() })
    }

    /// Whether pushes to a repository update a container group. The most specific key decides, as for zones.
    #[must_use]
    pub fn covers(&self, id: &ContainerGroupId, repository: &Repository) -> bool {
        let (subscription, resource_group) = (fold(id.subscription()), fold(id.resource_group()));
        let is_listed = self.subscriptions.is_empty() || self.subscriptions.contains(&subscription);
        let mut matching = self.entries.iter().filter(|(key, _)| {
            key.covers(&subscription, &resource_group) && (is_listed || key.has_subscription())
        });
        matching.next().is_some_and(|(_, registries)| contains(registries, repository))
    }

    /// The scopes whose container groups have to be listed after a push to a repository: those of the keys that name
    /// its registry.
    #[must_use]
    pub fn scopes(&self, repository: &Repository) -> BTreeSet<Scope> {
        let named = self.entries.iter().filter(|(_, registries)| contains(registries, repository));
        EntryKey::scopes(named.map(|(key, _)| key), &self.subscriptions)
    }

    pub(super) fn key_without_subscription(&self) -> Option<String> {
        self.entries.iter().find(|(key, _)| !key.has_subscription()).map(|(key, _)| key.to_string())
    }
}

fn contains(registries: &[Registry], repository: &Repository) -> bool {
    registries.iter().any(|registry| registry.contains(repository))
}

fn read_entry(entry: &Place<'_>, mistakes: &mut Mistakes) -> Option<Vec<Registry>> {
    let members = check_members(entry, &KEYS, mistakes)?;
    let mut entry = ObjectMembers { all: members, place: entry.text, mistakes };
    entry.require("registries");
    entry.read("registries", |place, mistakes| {
        if matches!(place.value, Json::Array(elements) if elements.is_empty()) {
            mistakes.at(place.text, BrokenRule::EmptyMap);
        }
        read_array(place, mistakes, read_registry)
    })
}

fn read_registry(place: &Place<'_>, mistakes: &mut Mistakes) -> Option<Registry> {
    let given = read_text(place, mistakes)?;
    let refuse = |_| {
        let broken = BrokenRule::Text { given: given.to_owned(), rule: REGISTRY_RULE };
        mistakes.at(place.text, broken);
    };
    given.parse().map_err(refuse).ok()
}

/// What a webhook proves that it knows. It is in no log and in no message.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(String);

impl WebhookSecret {
    /// A secret.
    #[must_use]
    pub fn new(secret: String) -> Self {
        Self(secret)
    }

    /// The bytes of the secret.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("WebhookSecret")
    }
}

#[cfg(test)]
mod tests {
    use super::{super::Settings, *};

    const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";
    const OTHER: &str = "11111111-0000-0000-0000-000000000000";

    fn map(text: &str) -> ImageMap {
        ImageMap::parse(text, &BTreeSet::from([SUBSCRIPTION.to_owned()])).unwrap()
    }

    fn settings(variables: &[(&str, &str)]) -> Result<Settings, Vec<String>> {
        let given = |name: &str| {
            let found = variables.iter().find(|(known, _)| *known == name);
            found.map(|(_, value)| (*value).to_owned())
        };
        let error = |error: SettingsError| error.mistakes.iter().map(ToString::to_string).collect();
        Settings::from_variables(given).map_err(error)
    }

    #[test]
    fn the_most_specific_key_decides_which_registries_update_a_group() {
        let map = map(&format!(
            r#"{{"rg-*": {{"registries": ["demo.azurecr.io"]}},
                "RG-Spoke1": {{"registries": ["docker.io/contoso"]}},
                "{OTHER}/rg-spoke2": {{"registries": ["docker.io/contoso"]}}}}"#
        ));
        let covers = |subscription, resource_group, repository: &str| {
            let id = ContainerGroupId::new(subscription, resource_group, "web").unwrap();
            map.covers(&id, &repository.parse().unwrap())
        };
        assert!(covers(SUBSCRIPTION, "rg-spoke1", "contoso/app"));
        assert!(!covers(SUBSCRIPTION, "rg-spoke1", "demo.azurecr.io/app"));
        assert!(covers(SUBSCRIPTION, "rg-spoke2", "demo.azurecr.io/app"));
        assert!(covers(OTHER, "RG-spoke2", "contoso/app"));
        assert!(!covers(OTHER, "rg-spoke1", "contoso/app"), "no setting lists its subscription");
    }

    #[test]
    fn only_the_scopes_of_keys_that_name_the_registry_are_listed() {
        let map = map(&format!(
            r#"{{"rg-a": {{"registries": ["demo.azurecr.io"]}}, "rg-b": {{"registries": ["ghcr.io"]}},
                "{OTHER}/rg-*": {{"registries": ["demo.azurecr.io"]}}}}"#
        ));
        let scopes = |repository: &str| {
            let scopes = map.scopes(&repository.parse().unwrap());
            scopes.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        let expected =
            [format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-a"), format!("/subscriptions/{OTHER}")];
        assert_eq!(scopes("demo.azurecr.io/app"), expected);
        assert!(scopes("evil.example/app").is_empty());
    }

    #[test]
    fn every_mistake_has_its_place() {
        let places = |text: &str| {
            let error = ImageMap::parse(text, &BTreeSet::new()).unwrap_err();
            error.mistakes.iter().map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(places("{}"), ["ACI_DNS_IMAGES: has no entry, so nothing would be managed"]);
        assert_eq!(places(r#"{"rg": {}}"#), ["ACI_DNS_IMAGES.rg.registries: is required and not set"]);
        assert_eq!(
            places(r#"{"rg": {"registeries": ["a.io"], "registries": []}}"#),
            [
                r#"ACI_DNS_IMAGES.rg.registeries: is not a key of such an entry; did you mean "registries"?"#,
                "ACI_DNS_IMAGES.rg.registries: has no entry, so nothing would be managed",
            ]
        );
        assert_eq!(
            places(r#"{"rg": {"registries": ["a.io", "contoso", 7]}}"#),
            [
                format!(r#"ACI_DNS_IMAGES.rg.registries[1]: "contoso" is not {REGISTRY_RULE}"#),
                "ACI_DNS_IMAGES.rg.registries[2]: must be a string, not a number".to_owned(),
            ]
        );
        assert!(places(r#"{"rg/x": {"registries": ["a.io"]}}"#)[0].contains("is not a key: it must be"));
        assert!(places("{rg: {registries: [a.io]}}")[0].contains("has no double quotes"));
    }

    #[test]
    fn zones_are_required_only_without_images() {
        let images = format!(r#"{{"{SUBSCRIPTION}/rg": {{"registries": ["demo.azurecr.io"]}}}}"#);
        let settings_of = settings(&[("ACI_DNS_IMAGES", &images)]).unwrap();
        assert_eq!((settings_of.zones.key_count(), settings_of.images.is_some()), (0, true));
        assert_eq!(settings(&[]).unwrap_err(), ["ACI_DNS_ZONES: is required and not set"]);
    }

    #[test]
    fn a_key_without_a_subscription_needs_the_setting_that_lists_them() {
        let images = ("ACI_DNS_IMAGES", r#"{"rg": {"registries": ["demo.azurecr.io"]}}"#);
        let expected = "ACI_DNS_SUBSCRIPTIONS: is required, because the key \"rg\" of ACI_DNS_IMAGES names no \
                        subscription, and its container groups have to be listed";
        assert_eq!(settings(&[images]).unwrap_err(), [expected]);
        assert!(settings(&[images, ("ACI_DNS_SUBSCRIPTIONS", SUBSCRIPTION)]).is_ok());
    }

    #[test]
    fn the_webhook_secret_is_in_no_text() {
        let images = format!(r#"{{"{SUBSCRIPTION}/rg": {{"registries": ["demo.azurecr.io"]}}}}"#);
        let all = [("ACI_DNS_IMAGES", images.as_str()), ("ACI_DNS_WEBHOOK_SECRET", "open-sesame")];
        let settings_of = settings(&all).unwrap();
        assert_eq!(settings_of.webhook_secret.as_ref().unwrap().bytes(), b"open-sesame");
        assert!(!format!("{settings_of:?}").contains("sesame"));
        let quoted = settings(&[all[0], ("ACI_DNS_WEBHOOK_SECRET", "\"open-sesame\"")]).unwrap_err();
        assert!(!quoted.concat().contains("sesame"), "{quoted:?}");
        let misspelt = r#"{"rg": {"registries": []}}"#;
        let mistakes = settings(&[("ACI_DNS_IMAGES", misspelt), all[1]]).unwrap_err();
        assert!(!mistakes.concat().contains("sesame"), "{mistakes:?}");
    }
}
