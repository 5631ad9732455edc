//! Key vaults and their secrets, and the actions of people on them.
//!
//! A vault is created on first use. Every write of a secret is a new version; reads return the newest one. A deleted
//! secret keeps its name until it is recovered or purged, as in a vault with soft delete, which is always on
//! (<https://learn.microsoft.com/azure/key-vault/general/soft-delete-overview>). Names of secrets compare without regard
//! to case.

use std::collections::BTreeMap;
use std::time::Duration;

use super::resource_ids::DEFAULT_SUBSCRIPTION;
use super::{Azure, Call, View, World};

/// The settings of the simulated vaults.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VaultSettings {
    /// The vault of requests without a vault in their host, such as `http://127.0.0.1:8181/secrets/web--ip`. A vault in
    /// the host, as in `kv-apps.vault.azure.net`, can have any name. Default: `simulator`.
    pub name: String,
    /// How long the deletion of a secret takes. Default: zero.
    pub deleting: Duration,
}

impl Default for VaultSettings {
    fn default() -> Self {
        Self { name: "simulator".to_owned(), deleting: Duration::ZERO }
    }
}

/// The callers that a vault allows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum VaultNetwork {
    /// All.
    #[default]
    Open,
    /// Only callers that its firewall allows; the caller is not one of them.
    Firewall,
    /// Only callers at private endpoints; the caller is not one of them.
    Private,
}

/// The external view of the newest version of a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SecretView {
    /// The name.
    pub name: String,
    /// The value.
    pub value: String,
    /// The content type.
    pub content_type: Option<String>,
    /// The tags.
    pub tags: BTreeMap<String, String>,
    /// Whether it can be read.
    pub is_enabled: bool,
    /// The number of versions.
    pub versions: usize,
}

/// One version of a secret.
#[derive(Debug, Clone)]
pub(super) struct Version {
    pub(super) id: String,
    pub(super) value: String,
    pub(super) content_type: Option<String>,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) is_enabled: bool,
    pub(super) expires: Option<u64>,
    pub(super) not_before: Option<u64>,
    /// Unix seconds.
    pub(super) created: u64,
    pub(super) updated: u64,
}

#[derive(Debug)]
pub(super) struct Secret {
    pub(super) name: String,
    /// Oldest first; never empty.
    pub(super) versions: Vec<Version>,
}

/// A deleted secret, which can be recovered.
#[derive(Debug)]
pub(super) struct DeletedSecret {
    pub(super) secret: Secret,
    pub(super) deleted: Duration,
}

/// A vault. Secrets by name in lower case.
#[derive(Debug, Default)]
pub(super) struct Vault {
    pub(super) network: VaultNetwork,
    pub(super) secrets: BTreeMap<String, Secret>,
    pub(super) deleted: BTreeMap<String, DeletedSecret>,
}

/// The scope of rights to a vault or to one of its secrets: a resource id in the resource group `rg-aci-dns` of the
/// default subscription. Without the name of a secret, the scope of the vault.
#[must_use]
pub fn vault_scope(vault: &str, secret: &str) -> String {
    let vault = format!(
        "/subscriptions/{DEFAULT_SUBSCRIPTION}/resourceGroups/rg-aci-dns/providers/Microsoft.KeyVault/vaults/{vault}"
    );
    if secret.is_empty() { vault } else { format!("{vault}/secrets/{secret}") }
}

impl Azure {
    /// Sets a secret like a person: a new version with this value and exactly these tags.
    pub fn set_secret(&self, vault: &str, name: &str, value: &str, tags: &[(&str, &str)]) {
        let mut world = self.world();
        let tags = tags.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        let version = Version { value: value.to_owned(), tags, ..world.new_version() };
        world.add_version(vault, name, version);
        world.changed();
    }

    /// Enables or disables the newest version of a secret.
    pub fn enable_secret(&self, vault: &str, name: &str, is_enabled: bool) {
        let mut world = self.world();
        if let Some(version) = world.vault(vault).secrets.get_mut(&fold(name)).and_then(Secret::newest_mut) {
            version.is_enabled = is_enabled;
        }
        world.changed();
    }

    /// Deletes a secret, which stays recoverable.
    pub fn delete_secret(&self, vault: &str, name: &str) {
        let mut world = self.world();
        world.soft_delete(vault, name);
        world.changed();
    }

    /// Recovers a deleted secret.
    pub fn recover_secret(&self, vault: &str, name: &str) {
        let mut world = self.world();
        let vault = world.vault(vault);
        if let Some(deleted) = vault.deleted.remove(&fold(name)) {
            vault.secrets.insert(fold(name), deleted.secret);
        }
        world.changed();
    }

    /// Sets the callers that a vault allows.
    pub fn set_vault_network(&self, vault: &str, network: VaultNetwork) {
        self.world().vault(vault).network = network;
    }

    /// The requests to Key Vault in the log, oldest first.
    #[must_use]
    pub fn vault_calls(&self) -> Vec<Call> {
        self.world().vault_calls.all()
    }

    /// The newest version of a secret.
    #[must_use]
    pub fn secret(&self, vault: &str, name: &str) -> Option<SecretView> {
        self.read(|view| {
            view.secrets(vault).into_iter().find(|secret| secret.name.eq_ignore_ascii_case(name))
        })
    }
}

impl View<'_> {
    /// The secrets of a vault, by name.
    #[must_use]
    pub fn secrets(&self, vault: &str) -> Vec<SecretView> {
        let vault = self.world.vaults.get(&fold(vault));
        vault.iter().flat_map(|vault| vault.secrets.values()).filter_map(Secret::view).collect()
    }

    /// The names of all vaults that were used.
    #[must_use]
    pub fn vaults(&self) -> Vec<String> {
        self.world.vaults.keys().cloned().collect()
    }
}

impl Secret {
    pub(super) fn newest(&self) -> Option<&Version> {
        self.versions.last()
    }

    pub(super) fn newest_mut(&mut self) -> Option<&mut Version> {
        self.versions.last_mut()
    }

    fn view(&self) -> Option<SecretView> {
        let newest = self.newest()?;
        Some(SecretView {
            name: self.name.clone(),
            value: newest.value.clone(),
            content_type: newest.content_type.clone(),
            tags: newest.tags.clone(),
            is_enabled: newest.is_enabled,
            versions: self.versions.len(),
        })
    }
}

impl World {
    /// The vault of this name.
    pub(super) fn vault(&mut self, name: &str) -> &mut Vault {
        self.vaults.entry(fold(name)).or_default()
    }

    /// An empty version of a secret, made now.
    pub(super) fn new_version(&mut self) -> Version {
        let now = self.unix_seconds();
        Version {
            id: self.secret_ids.guid().replace('-', ""),
            value: String::new(),
            content_type: None,
            tags: BTreeMap::new(),
            is_enabled: true,
            expires: None,
            not_before: None,
            created: now,
            updated: now,
        }
    }

    pub(super) fn add_version(&mut self, vault: &str, name: &str, version: Version) {
        let secrets = &mut self.vault(vault).secrets;
        let secret = secrets
            .entry(fold(name))
            .or_insert_with(|| Secret { name: name.to_owned(), versions: Vec::new() });
        secret.versions.push(version);
    }

    pub(super) fn soft_delete(&mut self, vault: &str, name: &str) {
        let deleted = self.now();
        let vault = self.vault(vault);
        if let Some(secret) = vault.secrets.remove(&fold(name)) {
            vault.deleted.insert(fold(name), DeletedSecret { secret, deleted });
        }
    }

    /// Whether the deletion of a secret is in progress.
    pub(super) fn is_being_deleted(&self, deleted: &DeletedSecret) -> bool {
        deleted.deleted + self.settings.vault.deleting > self.now()
    }

    pub(super) fn unix_seconds(&self) -> u64 {
        (Duration::from_secs(self.settings.epoch_seconds) + self.now()).as_secs()
    }
}

pub(super) fn fold(name: &str) -> String {
    name.to_ascii_lowercase()
}
