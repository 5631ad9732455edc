//! The environment variables of the settings: the table in `--help`, and the check of other names.

use std::fmt::Write as _;

/// A setting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Variable {
    /// Its name.
    pub name: &'static str,
    /// Its meaning and its values.
    pub meaning: &'static str,
    /// The default; empty if the setting is required.
    pub default: &'static str,
}

const fn variable(name: &'static str, meaning: &'static str, default: &'static str) -> Variable {
    Variable { name, meaning, default }
}

/// The map.
pub const ZONES: &str = "ACI_DNS_ZONES";
/// The subscriptions of keys without one.
pub const SUBSCRIPTIONS: &str = "ACI_DNS_SUBSCRIPTIONS";
/// The name of [`SUBSCRIPTIONS`] before 0.2.
pub(super) const OLD_SUBSCRIPTIONS: &str = "ACI_DNS_SWEEP_SUBSCRIPTIONS";

/// Every setting, in the order of the documentation.
pub const VARIABLES: [Variable; 26] = [
    variable(ZONES, "which zones serve which resource groups, as JSON, or @FILE", ""),
    variable(
        SUBSCRIPTIONS,
        "subscriptions of keys without one; events of others are unmanaged",
        "those of the keys, or any",
    ),
    variable("ACI_DNS_OWNERSHIP", "adopt, strict: treatment of record sets without a mark", "strict"),
    variable("ACI_DNS_POLICY", "sync, upsert-only, observe: what may be written", "sync"),
    variable("ACI_DNS_STOPPED", "remove, keep: treatment of a stopped group's records", "remove"),
    variable("ACI_DNS_RETRY_QUEUE", "URL of the storage queue for unfinished work", "none"),
    variable("ACI_DNS_RECHECK_SECONDS", "delay of a recheck, 0 to 300", "45"),
    variable("ACI_DNS_ADDRESS_WAIT_SECONDS", "wait for an address that is being assigned", "15"),
    variable("ACI_DNS_DEADLINE_SECONDS", "hard limit of one invocation, 1 to 28", "20"),
    variable("ACI_DNS_MAX_CONCURRENCY", "reconciliations at once, 1 to 1024", "64"),
    variable("ACI_DNS_SWEEP_SCHEDULE", "when function_drift_sweep runs (read by the host)", "never"),
    variable("ACI_DNS_SWEEP", "report, repair: what function_drift_sweep does", "report"),
    variable("ACI_DNS_CLOUD", "public, usgovernment, china", "public"),
    variable("ACI_DNS_ARM_ENDPOINT", "Resource Manager", "that of the cloud"),
    variable("AZURE_CLIENT_ID", "a user-assigned managed identity", "system-assigned"),
    variable("APPLICATIONINSIGHTS_CONNECTION_STRING", "telemetry to Application Insights", "off"),
    variable(
        "APPLICATIONINSIGHTS_AUTHENTICATION_STRING",
        "Authorization=AAD: with the managed identity's token",
        "without",
    ),
    variable("ACI_DNS_LOGS_ENDPOINT", "drift events to Log Analytics, with the next two", "off"),
    variable("ACI_DNS_LOGS_RULE_ID", "immutable id of the data collection rule", "off"),
    variable("ACI_DNS_LOGS_STREAM", "stream of the data collection rule", "off"),
    variable("HTTPS_PROXY", "outbound proxy; never for the identity endpoint or loopback", "none"),
    variable("NO_PROXY", "hosts, domains and ranges without proxy", "none"),
    variable("RUST_LOG", "log filter: error, warn, info, debug, trace, off, or aci_dns=LEVEL,...", "info"),
    variable("WEBSITE_SITE_NAME", "name in telemetry (set by the platform)", "aci-dns"),
    variable("WEBSITE_INSTANCE_ID", "instance in telemetry (set by the platform)", "none"),
    variable(OLD_SUBSCRIPTIONS, "old name of ACI_DNS_SUBSCRIPTIONS", "none"),
];

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
    let near = near.filter(|(_, known)| distance(known) <= MOST_SLIPS.min(known.len() / 2));
    // A name without its unit differs by more than a few letters.
    let is_start =
        |known: &str| rest.len() > 2 && known.strip_prefix(rest).is_some_and(|end| end.starts_with('_'));
    let meant = near.or_else(|| known().find(|(_, known)| is_start(known)));
    meant.map_or(Likeness::Unknown, |(name, _)| Likeness::Misspelt(name))
}

/// A name with more different letters is not a spelling mistake but another name, such as a setting of a
/// newer version.
const MOST_SLIPS: usize = 3;

/// The table for a terminal.
#[must_use]
pub fn help() -> String {
    const COLUMN: usize = 31;
    let mut text = String::from("Settings (environment variables):\n");
    for Variable { name, meaning, default } in VARIABLES {
        let default = if default.is_empty() { "required".to_owned() } else { format!("[{default}]") };
        // Writing to a string cannot fail.
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
