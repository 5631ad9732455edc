//! The environment of this process: variables, and the files that they name.

use std::{env, fs, sync::OnceLock};

use crate::config::{Environment, Settings, SettingsError, ZONES};

/// The file of the command line that replaces `ACI_DNS_ZONES`.
static ZONES_FILE: OnceLock<String> = OnceLock::new();

/// Replaces the variable `ACI_DNS_ZONES` by a file. Later calls have no effect.
pub fn read_zones_from(path: String) {
    let _ = ZONES_FILE.set(path);
}

/// The log filter of the command line that replaces `RUST_LOG`.
static LOG_FILTER: OnceLock<&'static str> = OnceLock::new();

/// Replaces the variable `RUST_LOG`. Later calls have no effect.
pub fn log_as(filter: &'static str) {
    let _ = LOG_FILTER.set(filter);
}

/// The value of a variable; an empty one counts as unset. Characters that are not Unicode are replaced, so that the
/// validation reports the mistake.
#[must_use]
pub fn variable(name: &str) -> Option<String> {
    if let Some(path) = ZONES_FILE.get().filter(|_| name == ZONES) {
        return Some(format!("@{path}"));
    }
    if let Some(filter) = LOG_FILTER.get().filter(|_| name == "RUST_LOG") {
        return Some((*filter).to_owned());
    }
    env::var_os(name)
        .map(|value| value.to_string_lossy().into_owned())
        .filter(|value| !value.trim().is_empty())
}

/// The names of all variables.
#[must_use]
pub fn names() -> Vec<String> {
    let mut names: Vec<_> = env::vars_os().map(|(name, _)| name.to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// Reads settings through a lookup, which may override the variables of this process, and the files that they name.
/// `names` are the variables whose names are checked.
pub fn settings(
    lookup: impl Fn(&str) -> Option<String>,
    names: Vec<String>,
) -> Result<Settings, SettingsError> {
    let read_file = |path: &str| fs::read(path).map_err(|error| error.to_string());
    Settings::read(&Environment { lookup: &lookup, read_file: &read_file, names })
}
