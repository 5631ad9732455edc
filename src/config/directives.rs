//! Checks that a log filter can match a line of this program.
//!
//! tracing-subscriber takes every unknown word for the name of a module. A filter such as `Information`, the
//! word of .NET, then matches nothing, and the program logs nothing.
//!
//! Source:
//! <https://docs.rs/tracing-subscriber/0.3/tracing_subscriber/filter/targets/struct.Targets.html#filtering-with-targets>

const LEVELS: [&str; 6] = ["error", "warn", "info", "debug", "trace", "off"];

/// The crates that log in this program.
const CRATES: [&str; 21] = [
    "aci_dns",
    "axum",
    "azure_core",
    "azure_identity",
    "azure_mgmt_containerinstance",
    "azure_mgmt_privatedns",
    "azure_security_keyvault_secrets",
    "azure_storage_queue",
    "h2",
    "hyper",
    "hyper_util",
    "mio",
    "opentelemetry",
    "opentelemetry_application_insights",
    "opentelemetry_sdk",
    "reqwest",
    "rustls",
    "tokio",
    "tower",
    "tower_http",
    "typespec_client_core",
];

/// Why a filter is a mistake, if a part of it can match no line.
pub(super) fn mistake(filter: &str) -> Option<String> {
    if filter.contains(['[', '{']) {
        return Some(
            "spans and fields cannot be filtered, only modules and levels: aci_dns=debug".to_owned(),
        );
    }
    filter.split(',').map(str::trim).filter(|directive| !directive.is_empty()).find_map(directive)
}

fn directive(text: &str) -> Option<String> {
    let (name, level) = text.split_once('=').map_or((text, None), |(name, level)| (name, Some(level)));
    let levels = LEVELS.join(", ");
    if text.contains(';') {
        return Some("separate its parts with commas, not semicolons".to_owned());
    }
    if let Some(level) = level.filter(|level| !is_level(level)) {
        return Some(format!("{level:?} is not a level; the levels are {levels}"));
    }
    let is_bare_level = level.is_none() && is_level(name);
    if is_bare_level || name.is_empty() || is_target(name) {
        return None;
    }
    let hint = if is_target(&name.replace('-', "_")) {
        format!("; modules are written with underscores: {}", name.replace('-', "_"))
    } else {
        similar_level(name).map(|level| format!("; did you mean {level:?}?")).unwrap_or_default()
    };
    Some(format!(
        "{name:?} matches no line: it is neither a level ({levels}) nor aci_dns or one of its libraries{hint}"
    ))
}

fn is_level(text: &str) -> bool {
    LEVELS.iter().any(|level| level.eq_ignore_ascii_case(text))
}

/// Whether a directive for this target can match: targets are compared by prefix.
fn is_target(name: &str) -> bool {
    CRATES.iter().any(|known| {
        known.starts_with(name) || name.strip_prefix(known).is_some_and(|rest| rest.starts_with("::"))
    })
}

/// The level for a word of .NET, or for a number.
fn similar_level(word: &str) -> Option<&'static str> {
    let words = [
        ("critical", "error"),
        ("fatal", "error"),
        ("1", "error"),
        ("warning", "warn"),
        ("2", "warn"),
        ("information", "info"),
        ("3", "info"),
        ("4", "debug"),
        ("verbose", "trace"),
        ("5", "trace"),
        ("none", "off"),
        ("0", "off"),
    ];
    words.iter().find(|(known, _)| known.eq_ignore_ascii_case(word)).map(|(_, level)| *level)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_that_can_match_a_line_of_this_program_is_accepted() {
        for filter in [
            "",
            "info",
            "WARN",
            "off",
            "aci_dns=debug",
            "warn,aci_dns=debug",
            "info, aci_dns::arm=trace ,hyper=warn",
            "aci_dns",
            "hyper_util::client=debug",
            "azure_=warn",
            "info,",
        ] {
            assert_eq!(mistake(filter), None, "{filter}");
        }
    }

    #[test]
    fn a_filter_that_cannot_match_a_line_of_this_program_is_a_mistake() {
        for (filter, expected) in [
            ("Information", "\"info\"?"),
            ("Warning", "\"warn\"?"),
            ("None", "\"off\"?"),
            ("Verbose", "\"trace\"?"),
            ("2", "\"warn\"?"),
            ("info;hyper=warn", "commas"),
            ("aci-dns=info", "underscores: aci_dns"),
            ("aci_dns=loud", "\"loud\" is not a level; the levels are error, warn, info, debug, trace, off"),
            ("info,Information", "matches no line"),
            ("aci_dns_other=info", "matches no line"),
            ("[event]=debug", "spans and fields cannot be filtered"),
            ("aci_dns[event{event.id=\"1\",x=2}]=debug,info", "spans and fields cannot be filtered"),
        ] {
            let reason = mistake(filter).unwrap_or_default();
            assert!(reason.contains(expected), "{filter}: {reason}");
        }
    }
}
