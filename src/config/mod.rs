//! Settings: read once from the environment, validated before the server binds.
//!
//! All mistakes are reported together, each with variable, JSON path and broken rule. An empty variable
//! counts as unset, because deployment templates cannot omit one. If a value was changed on its way (an
//! unresolved reference, lost quotes), the message says so.
//!
//! Deliberately absent: access to the environment and to files (an [`Environment`] provides both), defaults
//! that silently depend on each other, and secrets (the identity is a managed one).

mod cloud;
mod directives;
mod entry;
mod images;
mod insights;
mod json;
mod list_scope;
mod log_filter;
mod mistake;
mod patterns;
mod reader;
mod services;
#[cfg(test)]
mod tests;
mod unmatched;
mod urls;
mod variables;
mod zones;

use std::{collections::BTreeSet, fmt, sync::Arc, time::Duration};

use url::Url;

pub use self::{
    cloud::Cloud,
    images::{ImageMap, WebhookSecret},
    insights::{ApplicationInsights, Entra, LogsIngestion},
    list_scope::MissingSubscription,
    log_filter::LogFilter,
    mistake::{BrokenRule, Mistake, SettingsError},
    patterns::{NamePattern, NamePatterns},
    services::Service,
    unmatched::UnmatchedKeys,
    variables::{Form, IMAGES, SUBSCRIPTIONS, UsedBy, VARIABLES, Variable, ZONES, help},
    zones::{ListScope, NotInMap, ZoneMap, Zones},
};
use self::{reader::VariableReader, zones::Defaults};

/// The JSON schema of the map.
pub const ZONES_SCHEMA: &str = include_str!("zones.schema.json");

/// The source of the settings.
#[expect(missing_debug_implementations, reason = "functions have no text")]
pub struct Environment<'a> {
    /// The value of a variable.
    pub lookup: &'a dyn Fn(&str) -> Option<String>,
    /// The bytes of a file, or why it cannot be read.
    pub read_file: &'a dyn Fn(&str) -> Result<Vec<u8>, String>,
    /// The names of all variables.
    pub names: Vec<String>,
}

/// All settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which zones serve which container groups.
    pub zones: Arc<ZoneMap>,
    /// Which pushes update the images of which container groups; `None` where no such function is served.
    pub images: Option<Arc<ImageMap>>,
    /// What webhooks prove that they know.
    pub webhook_secret: Option<WebhookSecret>,
    /// The treatment of record sets without a mark, unless an entry of the map overrides it.
    pub ownership: Ownership,
    /// What may be written, unless an entry of the map overrides it.
    pub policy: Policy,
    /// The decision of an operator at the command line about record sets without a mark.
    pub takeover: Takeover,
    /// The treatment of the records of a stopped group.
    pub stopped: Stopped,
    /// The storage queue for unfinished work: the URL of the queue, with a signature only on loopback.
    pub retry_queue: Option<Url>,
    /// The delay of a recheck; zero disables it.
    pub recheck: Duration,
    /// How long one invocation waits for an address that is being assigned.
    pub address_wait: Duration,
    /// The deadline of one invocation.
    pub deadline: Duration,
    /// The largest number of concurrent reconciliations.
    pub max_concurrency: usize,
    /// What the timed sweep does about drift.
    pub sweep: Sweep,
    /// The subscriptions of keys without one, in lower case; empty if the setting is missing.
    pub subscriptions: BTreeSet<String>,
    /// The Azure cloud.
    pub cloud: Cloud,
    /// The endpoint of Resource Manager: scheme, host and port.
    pub arm_endpoint: Url,
    /// The scope of tokens for Resource Manager.
    pub arm_scope: String,
    /// A user-assigned managed identity; otherwise the system-assigned one.
    pub client_id: Option<String>,
    /// The outbound proxy.
    pub proxy: Option<Proxy>,
    /// The destination of telemetry besides stdout.
    pub application_insights: Option<ApplicationInsights>,
    /// The destination of drift events besides stdout.
    pub logs: Option<LogsIngestion>,
    /// The log filter.
    pub log_filter: LogFilter,
    /// Messages to log at the start.
    pub notices: Vec<Notice>,
}

/// A proxy for requests by https.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    /// Its address, which may contain user name and password.
    pub url: Url,
    /// Hosts, domains and ranges that do not use the proxy, separated by commas.
    pub except: String,
}

impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Proxy({:?}, except {:?})", self.url.host_str(), self.except)
    }
}

/// A message about the settings that does not prevent the start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Notice {
    /// The variable of this name may belong to a newer version that was rolled back.
    UnknownVariable(String),
    /// A setting was renamed.
    OldName {
        /// The old name, which is set.
        old: &'static str,
        /// The new name.
        new: &'static str,
        /// Whether the value is used: not if the new name is set, too.
        is_used: bool,
    },
}

impl Notice {
    /// Whether it is an error; otherwise it is a warning.
    #[must_use]
    pub fn is_error(&self) -> bool {
        matches!(self, Self::UnknownVariable(_))
    }
}

impl fmt::Display for Notice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownVariable(name) => {
                write!(formatter, "{name} is not a setting of this version, and is ignored")
            }
            Self::OldName { old, new, is_used: true } => {
                write!(formatter, "{old} is the old name of {new}; rename it")
            }
            Self::OldName { old, new, is_used: false } => {
                write!(formatter, "{old} is ignored because {new} is set; remove it")
            }
        }
    }
}

/// The decision of an operator at the command line about record sets without a mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Takeover {
    /// As the entry of the map says.
    #[default]
    AsConfigured,
    /// None is taken over.
    Never,
    /// All are taken over, also at names that tags choose.
    All,
    /// All get the mark, and nothing else is written.
    MarksOnly,
}

/// The treatment of a record set without a mark at a managed name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Ownership {
    /// It is taken over.
    Adopt,
    /// It is not changed.
    #[default]
    Strict,
}

/// What may be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Policy {
    /// Everything.
    #[default]
    Sync,
    /// Nothing is deleted.
    UpsertOnly,
    /// Only owner marks on existing record sets. Not a setting, but the effect of `sync --adopt-only`.
    AdoptOnly,
    /// Nothing.
    Observe,
}

impl Policy {
    /// Whether nothing is written.
    #[must_use]
    pub fn is_read_only(self) -> bool {
        self == Self::Observe
    }

    /// The verbs of the rights that the policy needs on record sets.
    #[must_use]
    pub fn record_set_verbs(self) -> &'static [&'static str] {
        match self {
            Self::Sync => &["read", "write", "delete"],
            Self::UpsertOnly | Self::AdoptOnly => &["read", "write"],
            Self::Observe => &["read"],
        }
    }
}

/// What the timed sweep does about drift.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sweep {
    /// It reports it.
    #[default]
    Report,
    /// It reports drift, and reconciles the container groups.
    Repair,
}

/// The treatment of a stopped group's records.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stopped {
    /// They are removed.
    #[default]
    Remove,
    /// They stay.
    Keep,
}

const OWNERSHIPS: [(&str, Ownership); 2] = [("adopt", Ownership::Adopt), ("strict", Ownership::Strict)];
const POLICIES: [(&str, Policy); 3] =
    [("sync", Policy::Sync), ("upsert-only", Policy::UpsertOnly), ("observe", Policy::Observe)];

impl Settings {
    /// Reads the settings through a lookup of environment variables, without files.
    pub fn from_variables(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let read_file = |_: &str| Err("files are not supported here".to_owned());
        Self::read(&Environment { lookup: &lookup, read_file: &read_file, names: vec![] })
    }

    /// Reads the settings.
    pub fn read(environment: &Environment<'_>) -> Result<Self, SettingsError> {
        let mut reader = VariableReader::new(environment);
        reader.names();
        let ownership = reader.word(variables::OWNERSHIP, &OWNERSHIPS);
        let policy = reader.word(variables::POLICY, &POLICIES);
        let cloud = reader.word(
            variables::CLOUD,
            &[("public", Cloud::Public), ("usgovernment", Cloud::UsGovernment), ("china", Cloud::China)],
        );
        let zones = reader.zones(Defaults { policy, ownership, cloud });
        let subscriptions = reader.subscriptions();
        let images = reader.images(&subscriptions);
        let webhook_secret = reader.webhook_secret();
        let stopped =
            reader.word(variables::STOPPED, &[("remove", Stopped::Remove), ("keep", Stopped::Keep)]);
        let retry_queue = reader.retry_queue(cloud);
        let recheck = reader.number(variables::RECHECK);
        let (address_wait, deadline) = reader.waits();
        let max_concurrency = reader.number(variables::MAX_CONCURRENCY);
        let sweep = reader.word(variables::SWEEP, &[("report", Sweep::Report), ("repair", Sweep::Repair)]);
        let arm_endpoint = reader.endpoint(variables::ARM_ENDPOINT, cloud.arm_endpoint());
        let client_id = reader.client_id();
        let application_insights = reader.application_insights();
        let logs = reader.logs();
        let proxy = reader.proxy();
        let log_filter = reader.log_filter();
        let settings = zones.zip(arm_endpoint).map(|(zones, arm_endpoint)| Self {
            zones: Arc::new(zones.limited_to(&subscriptions)),
            images: images.map(Arc::new),
            webhook_secret,
            ownership,
            policy,
            stopped,
            takeover: Takeover::AsConfigured,
            retry_queue,
            recheck: Duration::from_secs(recheck),
            address_wait: Duration::from_secs(address_wait),
            deadline: Duration::from_secs(deadline),
            max_concurrency: usize::try_from(max_concurrency).unwrap_or(usize::MAX),
            sweep,
            subscriptions,
            cloud,
            arm_endpoint,
            arm_scope: cloud.arm_scope().to_owned(),
            client_id,
            proxy,
            application_insights,
            logs,
            log_filter,
            notices: reader.notices,
        });
        reader.mistakes.or(settings)
    }

    /// Replaces the subscriptions of keys without one.
    pub fn set_subscriptions(&mut self, subscriptions: BTreeSet<String>) {
        self.zones = Arc::new(ZoneMap::clone(&self.zones).limited_to(&subscriptions));
        self.subscriptions = subscriptions;
    }
}
