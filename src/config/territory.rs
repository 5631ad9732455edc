//! Which scopes and zones the settings name, taken together.

use super::{Settings, Territory};

/// A key of `ACI_DNS_ZONES` names no subscription, and no setting names one either.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the key {0:?} of ACI_DNS_ZONES names no subscription: say in ACI_DNS_SUBSCRIPTIONS, or with --subscription, in which ones to look for it"
)]
pub struct MissingSubscription(pub String);

impl Settings {
    /// Everything that the map serves, in the subscriptions that the settings name.
    pub fn territory(&self) -> Result<Territory, MissingSubscription> {
        let mut subscriptions = self.subscriptions.clone();
        if subscriptions.is_empty() {
            subscriptions = self.zones.subscriptions();
        }
        if let Some(key) = self.zones.key_without_subscription().filter(|_| subscriptions.is_empty()) {
            return Err(MissingSubscription(key));
        }
        Ok(self.zones.territory(&subscriptions))
    }
}
