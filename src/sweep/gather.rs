//! Reads all lists of a sweep: each scope and each zone once.

use std::collections::BTreeMap;

use futures::{StreamExt as _, future::join, stream};

use crate::{
    azure::{
        arm::{Activity, ArmError, Kind, Reader, Snapshot},
        key_vault::{VaultError, Vaults},
    },
    config::{MissingSubscription, Settings, Zones},
    decide::desired,
    domain::{
        container_group::AddressState,
        dns::{Zone, ZoneKey},
        secret::{SecretId, Vault},
    },
};

/// How many lists are read at the same time.
const LISTED_AT_ONCE: usize = 8;

/// Lists everything that the map serves.
pub(super) async fn snapshot(
    reader: &Reader,
    settings: &Settings,
    activity: &Activity,
) -> Result<Snapshot, MissingSubscription> {
    let list_scope = settings.list_scope()?;
    let mut snapshot = Snapshot::default();
    activity.expect(list_scope.scopes.len());
    let lists = stream::iter(list_scope.scopes).map(|scope| async move {
        let listed = reader.list_container_groups(&scope).await;
        activity.finish_one();
        (scope, listed)
    });
    let listed: Vec<_> = lists.buffer_unordered(LISTED_AT_ONCE).collect().await;
    for (scope, groups) in listed {
        snapshot.add_container_groups(scope, groups);
    }

    let serving: Vec<Zones> =
        snapshot.listed_container_groups().filter_map(|(id, _)| settings.zones.serving(id)).collect();
    let (mut forward, mut reverse) = (ToList::default(), ToList::default());
    for (zones, is_serving) in
        list_scope.zones.iter().map(|zones| (zones, false)).chain(serving.iter().map(|zones| (zones, true)))
    {
        forward.add(&zones.forward, is_serving);
        // A replaced zone may already be deleted.
        for zone in zones.former() {
            forward.add(&zone, false);
        }
        for zone in &zones.reverse {
            reverse.add(zone.zone(), is_serving);
        }
    }
    activity.expect(forward.0.len() + reverse.0.len());
    let forward = stream::iter(forward.0.into_values()).map(|(zone, is_serving)| async move {
        let listed = reader.list_a_record_sets(&zone).await;
        activity.finish_one();
        (zone, is_serving, listed)
    });
    let reverse = stream::iter(reverse.0.into_values()).map(|(zone, is_serving)| async move {
        let listed = reader.list_ptr_record_sets(&zone).await;
        activity.finish_one();
        (zone, is_serving, listed)
    });
    let (forward, reverse): (Vec<_>, Vec<_>) = join(
        forward.buffer_unordered(LISTED_AT_ONCE).collect(),
        reverse.buffer_unordered(LISTED_AT_ONCE).collect(),
    )
    .await;
    // A missing zone is a failure only if a group needs it: a key of the map may match several subscriptions,
    // and only some of them contain the zone.
    let is_needed = |is_serving: bool, kind: Option<Kind>| is_serving || kind != Some(Kind::Missing);
    for (zone, is_serving, listed) in forward {
        if is_needed(is_serving, listed.as_ref().err().map(ArmError::kind)) {
            snapshot.add_a_record_sets(zone, listed);
        }
    }
    for (zone, is_serving, listed) in reverse {
        if is_needed(is_serving, listed.as_ref().err().map(ArmError::kind)) {
            snapshot.add_ptr_record_sets(zone, listed);
        }
    }
    Ok(snapshot)
}

/// How many secrets are read at the same time.
const SECRETS_AT_ONCE: usize = 16;

/// Reads the secrets of the listed groups with an address one by one, because Key Vault lists no values. If a whole vault
/// fails, the error of its first secret applies to all.
pub(super) async fn secrets(snapshot: &mut Snapshot, settings: &Settings, vaults: &Vaults) {
    let mut wanted: BTreeMap<Vault, Vec<SecretId>> = BTreeMap::new();
    for (id, group) in snapshot.listed_container_groups() {
        let Some(zones) = settings.zones.serving(id).filter(|zones| zones.secret.is_some()) else { continue };
        let AddressState::Running(_) = AddressState::of(Some(group)) else { continue };
        if let Ok(Some(secret)) = desired::secret(id, group, &zones) {
            wanted.entry(secret.id.vault.clone()).or_default().push(secret.id);
        }
    }
    let requests = &vaults.invocation();
    for ids in wanted.into_values() {
        let Some((first, rest)) = ids.split_first() else { continue };
        let result = requests.read(first).await;
        let failed = result.as_ref().err().filter(|error| error.cause.is_of_whole_vault()).cloned();
        snapshot.add_secret(first.clone(), result);
        if let Some(error) = failed {
            for id in rest {
                snapshot.add_secret(id.clone(), Err(VaultError { id: id.clone(), ..error.clone() }));
            }
            continue;
        }
        let reads = stream::iter(rest.to_vec()).map(|id| async move {
            let result = requests.read(&id).await;
            (id, result)
        });
        let read: Vec<_> = reads.buffer_unordered(SECRETS_AT_ONCE).collect().await;
        for (id, result) in read {
            snapshot.add_secret(id, result);
        }
    }
}

/// The zones to list, each once, and whether an existing group needs them.
#[derive(Default)]
struct ToList(BTreeMap<ZoneKey, (Zone, bool)>);

impl ToList {
    fn add(&mut self, zone: &Zone, is_serving: bool) {
        let (_, is_needed) = self.0.entry(zone.key()).or_insert_with(|| (zone.clone(), false));
        *is_needed |= is_serving;
    }
}
