//! The scopes and zones of the settings.

use super::{ListScope, Settings};

/// A key of `ACI_DNS_ZONES` names no subscription, and no setting lists subscriptions.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the key {0:?} of ACI_DNS_ZONES names no subscription; list the subscriptions in ACI_DNS_SUBSCRIPTIONS, or pass --subscription"
)]
pub struct MissingSubscription(pub String);

impl Settings {
    /// Everything that the map serves, in the subscriptions of the settings.
    pub fn list_scope(&self) -> Result<ListScope, MissingSubscription> {
        let mut subscriptions = self.subscriptions.clone();
        if subscriptions.is_empty() {
            subscriptions = self.zones.subscriptions();
        }
        if let Some(key) = self.zones.key_without_subscription().filter(|_| subscriptions.is_empty()) {
            return Err(MissingSubscription(key));
        }
        Ok(self.zones.list_scope(&subscriptions))
    }
}
