//! The same lives with addresses in Key Vault: at the end, value and owner of each secret are those of the model, and the
//! number of its versions is bounded by the number of changes.
//!
//! With two forward zones, both groups `web` want one secret, although their names do not clash. With one zone it is the
//! other way round.

use super::{BTreeMap, BTreeSet, CALM, Method, OWNER, STORM, Simulation, View, Weather, check, owner};

const VAULT: &str = "kv-apps";

/// Versions that one change may cause: two instances that handle it at the same time both write, and so does the write
/// that follows where the verification finds another value.
const VERSIONS_PER_CHANGE: u64 = 3;

/// The map of a weather, with secrets.
pub(super) fn zones(weather: Weather) -> &'static str {
    if weather.has_two_zones {
        r#"{
        "rg-a": {"forwardZone": "contoso.internal", "reverseZones": ["1.10.in-addr.arpa"], "zoneResourceGroup": "rg-dns",
            "secret": {"vault": "https://kv-apps.vault.azure.net/", "name": "{group}--ip"}},
        "rg-b": {"forwardZone": "fabrikam.internal", "reverseZones": ["1.10.in-addr.arpa"], "zoneResourceGroup": "rg-dns",
            "secret": {"vault": "https://kv-apps.vault.azure.net/", "name": "{group}--ip"}}}"#
    } else {
        r#"{"*": {"forwardZone": "contoso.internal", "reverseZones": ["1.10.in-addr.arpa"],
        "zoneResourceGroup": "rg-dns",
        "secret": {"vault": "https://kv-apps.vault.azure.net/", "name": "{resourceGroup}-{group}--ip"}}}"#
    }
}

/// The name of the secret that a group should have.
pub(super) fn name(weather: Weather, (resource_group, name): (&str, &str)) -> String {
    if weather.has_two_zones { format!("{name}--ip") } else { format!("{resource_group}-{name}--ip") }
}

impl Simulation {
    /// Whether another existing group has the secret that a group should have.
    pub(super) fn is_secret_of_another(&self, group: (&str, &str), existing: &BTreeSet<String>) -> bool {
        let secret = self.azure.secret(VAULT, &name(self.weather, group));
        let holder = secret.and_then(|secret| secret.tags.get(OWNER).cloned());
        holder.is_some_and(|holder| holder != owner(group) && existing.contains(&holder))
    }

    /// What must hold of secrets once everything was delivered.
    pub(super) fn judge_secrets(&self, phase: &str) -> Vec<String> {
        if !self.weather.has_secrets {
            return Vec::new();
        }
        let mut wrong = Vec::new();
        let groups = self.azure.read(|view: &View<'_>| view.groups());
        let existing: BTreeSet<String> =
            groups.iter().map(|group| owner((&group.resource_group, &group.name))).collect();
        for group in groups.iter().filter(|group| group.state == "Running") {
            let Some(address) = group.address else { continue };
            let place = (group.resource_group.as_str(), group.name.as_str());
            if self.is_secret_of_another(place, &existing) {
                continue;
            }
            let secret = self.azure.secret(VAULT, &name(self.weather, place));
            let found =
                secret.map(|secret| (secret.value, secret.tags.get(OWNER).cloned().unwrap_or_default()));
            let expected = Some((address.to_string(), owner(place)));
            if found != expected {
                wrong.push(format!("{phase}: the secret of {place:?} is {found:?}, not {expected:?}"));
            }
        }
        let changes: BTreeMap<String, u64> = self.secret_changes.borrow().clone();
        let faults = self.faults.load(std::sync::atomic::Ordering::Relaxed);
        for secret in self.azure.read(|view| view.secrets(VAULT)) {
            let changes = changes.get(&secret.name).copied().unwrap_or_default();
            let most = VERSIONS_PER_CHANGE * changes + faults;
            if u64::try_from(secret.versions).unwrap() > most {
                wrong.push(format!(
                    "{phase}: {} has {} versions after {changes} changes and {faults} faults",
                    secret.name, secret.versions
                ));
            }
        }
        wrong
    }

    /// The writes of secrets since the calls were cleared.
    pub(super) fn secret_writes(&self) -> Vec<String> {
        let writes = self.azure.vault_calls().into_iter().filter(|call| call.method != Method::GET);
        writes.map(|call| format!("idempotence: {} {}", call.method, call.path)).collect()
    }
}

const PUBLISHED: Weather = Weather { has_secrets: true, ..CALM };

#[test]
fn without_faults_secrets_hold_the_addresses() {
    check("secrets", 60, PUBLISHED);
    check("secrets, two zones", 60, Weather { has_two_zones: true, is_moved: true, ..PUBLISHED });
}

#[test]
fn secrets_converge_after_failed_requests_lost_answers_and_killed_instances() {
    check("secrets and faults", 60, Weather { fault_every: 6, is_slow: true, ..PUBLISHED });
    check(
        "secrets and kills",
        60,
        Weather { fault_every: 6, kill_every: 2, has_two_zones: true, ..PUBLISHED },
    );
}

#[test]
fn secrets_converge_after_all_faults() {
    check("secrets in a storm", 60, Weather { kill_every: 4, has_secrets: true, ..STORM });
}
