//! Finds the keys of the map that match no resource group, and a similar resource group for each.
//!
//! If a key matches nothing, the container groups of each subscription are listed once, to find similar
//! names. Without the right to list a subscription, no name is proposed.

use std::collections::BTreeSet;

use super::Reader;
use crate::{
    config::{Settings, UnmatchedKeys},
    domain::resource_id::Scope,
};

impl Reader {
    /// The keys of the map that match none of these resource groups.
    pub async fn unmatched_keys(&self, settings: &Settings, places: &BTreeSet<Scope>) -> UnmatchedKeys {
        let keys = settings.zones.unmatched(places);
        if keys.is_empty() {
            return UnmatchedKeys::default();
        }
        let is_whole_map = keys.len() == settings.zones.key_count();
        let of_keys = settings.zones.subscriptions();
        let subscriptions: BTreeSet<&String> = settings.subscriptions.iter().chain(&of_keys).collect();
        let mut names = BTreeSet::new();
        for subscription in subscriptions {
            let listed = self.list_container_groups(&Scope::new(subscription, None)).await;
            let groups = listed.ok().flatten().unwrap_or_default();
            // A resource group that another key matches is not proposed.
            let others = groups.iter().filter(|(id, _)| settings.zones.key_of(id).is_none());
            names.extend(others.map(|(id, _)| id.resource_group().to_owned()));
        }
        UnmatchedKeys::new(keys, is_whole_map, &names)
    }
}
