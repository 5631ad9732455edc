//! Reads the key vaults of the map.
//!
//! The vaults are found by listing the subscriptions of the map. Only the secrets of existing groups are read. The
//! requests carry the token of the caller.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt as _, stream};

use super::{
    evidence::{Inspection, SecretInspection, VaultInspection},
    gather::{Rights, unseen},
    rights::is_data_granted,
    vaults::{READ, of_secrets},
};
use crate::{
    azure::key_vault::{VaultError, VaultRequests},
    config::{Policy, Settings},
    decide::{desired, report::Chain},
    domain::{
        inventory::{Permission, Seen, VaultState},
        secret::{SecretId, Vault},
    },
};

/// How many secrets are read at the same time.
const CONCURRENT_READS: usize = 8;

/// Reads the vaults of the map.
pub(super) async fn evidence(
    rights: &Rights<'_>,
    requests: &VaultRequests,
    settings: &Settings,
    evidence: &Inspection,
) -> BTreeMap<Vault, VaultInspection> {
    let mut wanted: BTreeMap<Vault, BTreeSet<SecretId>> =
        settings.zones.vaults().into_iter().map(|vault| (vault, BTreeSet::new())).collect();
    if wanted.is_empty() {
        return BTreeMap::new();
    }
    for (id, group) in evidence.scopes.values().flat_map(|scope| scope.groups.iter().flatten()) {
        let Some(zones) = settings.zones.serving(id) else { continue };
        if let Ok(Some(secret)) = desired::secret(id, group, &zones) {
            wanted.entry(secret.id.vault.clone()).or_default().insert(secret.id);
        }
    }
    let mut listed: Seen<Vec<(String, VaultState)>> = Ok(Vec::new());
    for subscription in
        evidence.scopes.keys().map(|scope| scope.subscription().to_owned()).collect::<BTreeSet<_>>()
    {
        match (rights.inspector.vaults(&subscription).await.map_err(unseen(READ)), &mut listed) {
            (Ok(vaults), Ok(listed)) => {
                listed.extend(vaults.into_iter().map(|vault| (subscription.clone(), vault)));
            }
            (Err(unseen), Ok(_)) => listed = Err(unseen),
            (_, Err(_)) => {}
        }
    }
    let mut inspections = BTreeMap::new();
    for (vault, ids) in wanted {
        let inspection = inspect_vault(rights, requests, &listed, &vault, ids).await;
        inspections.insert(vault, inspection);
    }
    inspections
}

async fn inspect_vault(
    rights: &Rights<'_>,
    requests: &VaultRequests,
    listed: &Seen<Vec<(String, VaultState)>>,
    vault: &Vault,
    ids: BTreeSet<SecretId>,
) -> VaultInspection {
    let is_it = |state: &VaultState| Some(state.host.as_str()) == vault.url().host_str();
    let found = match listed {
        Ok(listed) => Ok(listed.iter().find(|(_, state)| is_it(state)).cloned()),
        Err(unseen) => Err(unseen.clone()),
    };
    let mut granted = BTreeMap::new();
    if let Ok(Some((subscription, state))) = &found {
        let scope = state.id.to_string();
        let whole = rights.at(subscription, &scope).await;
        let is_enough =
            |found: &[Permission]| of_secrets(Policy::Sync).iter().all(|it| is_data_granted(found, it));
        let is_for_all = matches!(&whole, Ok(Some(found)) if is_enough(found));
        granted.insert(None, whole);
        // A role may be assigned at single secrets.
        for id in ids.iter().filter(|_| !is_for_all) {
            let scope = format!("{scope}/secrets/{}", id.name.as_str());
            granted.insert(Some(id.clone()), rights.at(subscription, &scope).await);
        }
    }
    let reads = stream::iter(ids).map(|id| async move {
        let inspection = secret(requests, &id).await;
        (id, inspection)
    });
    let secrets = reads.buffer_unordered(CONCURRENT_READS).collect().await;
    VaultInspection { state: found.map(|found| found.map(|(_, state)| state)), rights: granted, secrets }
}

async fn secret(requests: &VaultRequests, id: &SecretId) -> SecretInspection {
    let text = |error: &VaultError| Chain(error).to_string();
    match requests.read(id).await {
        Ok(Some(_)) => SecretInspection::Readable,
        Err(error) if error.cause.code() == Some("SecretDisabled") => SecretInspection::Disabled,
        Err(error) => SecretInspection::Unseen(text(&error)),
        // A caller without permission to read deleted secrets cannot find out whether the name is reserved.
        Ok(None) => match requests.is_deleted(id).await {
            Ok(true) => SecretInspection::Deleted,
            Ok(false) | Err(_) => SecretInspection::Readable,
        },
    }
}
