//! The environment variables of the settings: the table in `--help`, and the check of other names.

use std::fmt::Write as _;

/// The functions and commands that read a setting. `--help` groups the settings by it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum UsedBy {
    /// Every function and command: which records there are, and what may be written.
    Records,
    /// The functions that write, and `sync`.
    Invocation,
    /// `function_drift_sweep`.
    Sweep,
    /// Every function and command: how Azure is reached.
    Connection,
    /// The log, and what goes to Application Insights and Log Analytics.
    Telemetry,
}

impl UsedBy {
    const fn heading(self) -> &'static str {
        match self {
            Self::Records => "which records, and what may be written",
            Self::Invocation => "one invocation, and the retry queue",
            Self::Sweep => "function_drift_sweep",
            Self::Connection => "endpoint, identity, network",
            Self::Telemetry => "log and telemetry",
        }
    }
}

/// The values of a setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A text with rules of its own.
    Text,
    /// One of these words.
    Words(&'static [&'static str]),
    /// A number.
    Number {
        /// The lowest value.
        least: u64,
        /// The highest value.
        most: u64,
    },
}

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its values.
    pub form: Form,
    /// Its meaning.
    pub meaning: &'static str,
    /// The default; empty if the setting is required.
    pub default: &'static str,
    /// What reads it.
    pub used_by: UsedBy,
}

impl Variable {
    const fn new(name: &'static str, meaning: &'static str, default: &'static str, used_by: UsedBy) -> Self {
        Self { name, form: Form::Text, meaning, default, used_by }
    }

    const fn words(mut self, words: &'static [&'static str]) -> Self {
        self.form = Form::Words(words);
        self
    }

    const fn number(mut self, least: u64, most: u64) -> Self {
        self.form = Form::Number { least, most };
        self
    }
}

/// The map.
pub const ZONES: &str = "ACI_DNS_ZONES";
/// The subscriptions of keys without one.
pub const SUBSCRIPTIONS: &str = "ACI_DNS_SUBSCRIPTIONS";
/// The name of [`SUBSCRIPTIONS`] before 0.2.
pub(super) const OLD_SUBSCRIPTIONS: &str = "ACI_DNS_SWEEP_SUBSCRIPTIONS";
pub(super) const OWNERSHIP: &str = "ACI_DNS_OWNERSHIP";
pub(super) const POLICY: &str = "ACI_DNS_POLICY";
pub(super) const STOPPED: &str = "ACI_DNS_STOPPED";
pub(super) const RETRY_QUEUE: &str = "ACI_DNS_RETRY_QUEUE";
pub(super) const RECHECK: &str = "ACI_DNS_RECHECK_SECONDS";
pub(super) const ADDRESS_WAIT: &str = "ACI_DNS_ADDRESS_WAIT_SECONDS";
pub(super) const DEADLINE: &str = "ACI_DNS_DEADLINE_SECONDS";
pub(super) const MAX_CONCURRENCY: &str = "ACI_DNS_MAX_CONCURRENCY";
pub(super) const SWEEP: &str = "ACI_DNS_SWEEP";
pub(super) const CLOUD: &str = "ACI_DNS_CLOUD";
pub(super) const ARM_ENDPOINT: &str = "ACI_DNS_ARM_ENDPOINT";
pub(super) const CLIENT_ID: &str = "AZURE_CLIENT_ID";
pub(super) const APPLICATION_INSIGHTS: &str = "APPLICATIONINSIGHTS_CONNECTION_STRING";
pub(super) const AUTHENTICATION: &str = "APPLICATIONINSIGHTS_AUTHENTICATION_STRING";
pub(super) const LOGS: [&str; 3] = ["ACI_DNS_LOGS_ENDPOINT", "ACI_DNS_LOGS_RULE_ID", "ACI_DNS_LOGS_STREAM"];
pub(super) const HTTPS_PROXY: &str = "HTTPS_PROXY";
pub(super) const NO_PROXY: &str = "NO_PROXY";
pub(super) const LOG_FILTER: &str = "RUST_LOG";
pub(super) const SITE_NAME: &str = "WEBSITE_SITE_NAME";
pub(super) const INSTANCE_ID: &str = "WEBSITE_INSTANCE_ID";

/// The longest deadline in seconds. Event Grid waits 30 seconds for an answer, and a cold start takes time.
const LONGEST_DEADLINE: u64 = 28;

/// Every setting, in the order of the documentation. The parsers take bounds and defaults from here.
pub const VARIABLES: [Variable; 26] = {
    use UsedBy::{Connection, Invocation, Records, Sweep, Telemetry};
    let [logs_endpoint, logs_rule, logs_stream] = LOGS;
    [
        Variable::new(ZONES, "which zones serve which resource groups, as JSON, or @FILE", "", Records),
        Variable::new(
            SUBSCRIPTIONS,
            "subscriptions of keys without one; events of others are unmanaged",
            "those of the keys, or any",
            Records,
        ),
        Variable::new(OLD_SUBSCRIPTIONS, "old name of ACI_DNS_SUBSCRIPTIONS", "none", Records),
        Variable::new(OWNERSHIP, "treatment of record sets without a mark", "strict", Records)
            .words(&["adopt", "strict"]),
        Variable::new(POLICY, "what may be written", "sync", Records).words(&[
            "sync",
            "upsert-only",
            "observe",
        ]),
        Variable::new(STOPPED, "treatment of a stopped group's records", "remove", Records)
            .words(&["remove", "keep"]),
        Variable::new(RETRY_QUEUE, "URL of the storage queue for unfinished work", "none", Invocation),
        Variable::new(RECHECK, "delay of a recheck", "45", Invocation).number(0, 300),
        Variable::new(ADDRESS_WAIT, "wait for an address that is being assigned", "15", Invocation)
            .number(0, LONGEST_DEADLINE - 1),
        Variable::new(DEADLINE, "hard limit of one invocation", "20", Invocation).number(1, LONGEST_DEADLINE),
        Variable::new(MAX_CONCURRENCY, "reconciliations at once", "64", Invocation).number(1, 1024),
        Variable::new(
            "ACI_DNS_SWEEP_SCHEDULE",
            "when function_drift_sweep runs (read by the host)",
            "never",
            Sweep,
        ),
        Variable::new(SWEEP, "what function_drift_sweep does", "report", Sweep).words(&["report", "repair"]),
        Variable::new(CLOUD, "endpoint, authority and audience", "public", Connection).words(&[
            "public",
            "usgovernment",
            "china",
        ]),
        Variable::new(ARM_ENDPOINT, "Resource Manager", "that of the cloud", Connection),
        Variable::new(CLIENT_ID, "a user-assigned managed identity", "system-assigned", Connection),
        Variable::new(
            HTTPS_PROXY,
            "outbound proxy; never for the identity endpoint or loopback",
            "none",
            Connection,
        ),
        Variable::new(NO_PROXY, "hosts, domains and ranges without proxy", "none", Connection),
        Variable::new(
            LOG_FILTER,
            "log filter: error, warn, info, debug, trace, off, or aci_dns=LEVEL,...",
            "info",
            Telemetry,
        ),
        Variable::new(APPLICATION_INSIGHTS, "telemetry to Application Insights", "off", Telemetry),
        Variable::new(
            AUTHENTICATION,
            "Authorization=AAD: with the managed identity's token",
            "off",
            Telemetry,
        ),
        Variable::new(logs_endpoint, "drift events to Log Analytics, with the next two", "off", Telemetry),
        Variable::new(logs_rule, "immutable id of the data collection rule", "off", Telemetry),
        Variable::new(logs_stream, "stream of the data collection rule", "off", Telemetry),
        Variable::new(SITE_NAME, "name in telemetry (set by the platform)", "aci-dns", Telemetry),
        Variable::new(INSTANCE_ID, "instance in telemetry (set by the platform)", "none", Telemetry),
    ]
};

/// The bounds and the default of a number. A setting without bounds has those of `u64`.
pub(super) fn number(name: &str) -> (u64, u64, u64) {
    let row = VARIABLES.iter().find(|known| known.name == name);
    let (least, most) = match row.map(|row| row.form) {
        Some(Form::Number { least, most }) => (least, most),
        _ => (0, u64::MAX),
    };
    (least, most, row.and_then(|row| row.default.parse().ok()).unwrap_or(least))
}

/// The class of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Likeness {
    /// A setting, or unrelated.
    Fine,
    /// Similar to a setting.
    Misspelt(&'static str),
    /// Unknown to this version.
    Unknown,
}

/// Classifies the name of a variable.
pub(super) fn likeness(name: &str) -> Likeness {
    let spelling = name.to_ascii_uppercase().replace('-', "_");
    if !spelling.starts_with("ACI_DNS") || VARIABLES.iter().any(|known| known.name == name) {
        return Likeness::Fine;
    }
    let known =
        || VARIABLES.iter().filter_map(|known| Some((known.name, known.name.strip_prefix("ACI_DNS_")?)));
    let rest = spelling.trim_start_matches("ACI_DNS").trim_start_matches('_');
    let distance = |known: &str| strsim::levenshtein(known, rest);
    let near = known().min_by_key(|(_, known)| distance(known));
    let near = near.filter(|(_, known)| distance(known) <= MOST_EDITS.min(known.len() / 2));
    // A name without its unit differs by more than a few letters.
    let is_start =
        |known: &str| rest.len() > 2 && known.strip_prefix(rest).is_some_and(|end| end.starts_with('_'));
    let meant = near.or_else(|| known().find(|(_, known)| is_start(known)));
    meant.map_or(Likeness::Unknown, |(name, _)| Likeness::Misspelt(name))
}

/// The most edits of a spelling mistake. A name with more differences is another name, such as a setting of a newer
/// version.
const MOST_EDITS: usize = 3;

/// The table for a terminal.
#[must_use]
pub fn help() -> String {
    const COLUMN: usize = 31;
    let mut text = String::from("Settings (environment variables):\n");
    let mut group = None;
    for Variable { name, form, meaning, default, used_by } in VARIABLES {
        if group.replace(used_by) != Some(used_by) {
            // Writing to a string cannot fail.
            let _ = writeln!(text, " {}:", used_by.heading());
        }
        let meaning = match form {
            Form::Text => meaning.to_owned(),
            Form::Words(words) => format!("{}: {meaning}", words.join(", ")),
            Form::Number { least, most } => format!("{meaning}, {least} to {most}"),
        };
        let default = if default.is_empty() { "required".to_owned() } else { format!("[{default}]") };
        let _ = if name.len() < COLUMN {
            writeln!(text, "  {name:COLUMN$}{meaning} {default}")
        } else {
            writeln!(text, "  {name}\n  {:COLUMN$}{meaning} {default}", "")
        };
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_similar_to_a_setting_is_a_mistake_and_others_are_unknown() {
        for (name, expected) in [
            ("ACI_DNS_ZONES", Likeness::Fine),
            ("ACI_DNS_SWEEP_SUBSCRIPTIONS", Likeness::Fine),
            ("PATH", Likeness::Fine),
            ("APPSETTING_ACI_DNS_ZONE", Likeness::Fine),
            ("ACI_DNS_ZONE", Likeness::Misspelt("ACI_DNS_ZONES")),
            ("aci_dns_zones", Likeness::Misspelt("ACI_DNS_ZONES")),
            ("ACI-DNS-ZONES", Likeness::Misspelt("ACI_DNS_ZONES")),
            ("ACI_DNSZONES", Likeness::Misspelt("ACI_DNS_ZONES")),
            ("ACI_DNS_POLICE", Likeness::Misspelt("ACI_DNS_POLICY")),
            ("ACI_DNS_OWNERHSIP", Likeness::Misspelt("ACI_DNS_OWNERSHIP")),
            ("ACI_DNS_DEADLINE", Likeness::Misspelt("ACI_DNS_DEADLINE_SECONDS")),
            ("ACI_DNS_ADDRESS_WAIT", Likeness::Misspelt("ACI_DNS_ADDRESS_WAIT_SECONDS")),
            ("ACI_DNS_SUBSCRIPTION", Likeness::Misspelt("ACI_DNS_SUBSCRIPTIONS")),
            ("ACI_DNS_SWEEP_SUBSCRIPTION", Likeness::Misspelt("ACI_DNS_SWEEP_SUBSCRIPTIONS")),
            ("ACI_DNS_RETRYQUEUE", Likeness::Misspelt("ACI_DNS_RETRY_QUEUE")),
            // Settings of a newer version that was rolled back.
            ("ACI_DNS_IMAGES", Likeness::Unknown),
            ("ACI_DNS_WEBHOOK_SECRET", Likeness::Unknown),
            ("ACI_DNS_SWEEP_GUARD", Likeness::Unknown),
            ("ACI_DNS_ZONES_CACHE", Likeness::Unknown),
            ("ACI_DNS_", Likeness::Unknown),
        ] {
            assert_eq!(likeness(name), expected, "{name}");
        }
    }

    #[test]
    fn the_default_of_a_number_is_within_its_bounds_and_that_of_words_is_one_of_them() {
        let mut numbers = 0;
        for row in VARIABLES {
            match row.form {
                Form::Number { .. } => {
                    let (least, most, default) = number(row.name);
                    assert_eq!(default.to_string(), row.default, "{}", row.name);
                    assert!((least..=most).contains(&default), "{}", row.name);
                    numbers += 1;
                }
                Form::Words(words) => assert!(words.contains(&row.default), "{}", row.name),
                Form::Text => {}
            }
        }
        assert_eq!(numbers, 4);
    }

    #[test]
    fn the_help_names_every_setting_once() {
        let help = help();
        for Variable { name, .. } in VARIABLES {
            assert_eq!(
                help.lines().filter(|line| line.split_whitespace().next() == Some(name)).count(),
                1,
                "{name}"
            );
        }
    }
}
