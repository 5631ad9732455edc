//! Mistakes in the settings: the place of each, and the broken rule.

use std::fmt;

use crate::domain::dns::{DomainName, NameError};

/// Every mistake in the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// The mistakes, in the order in which the settings are read.
    pub mistakes: Vec<Mistake>,
}

/// One mistake in the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// The variable, and for a JSON value the path inside it, such as
    /// `ACI_DNS_ZONES.rg-spoke1.reverseZones[0]`.
    pub place: String,
    /// What is wrong there.
    pub broken: BrokenRule,
}

/// A rule that a setting breaks.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BrokenRule {
    /// A required value is missing.
    #[error("is required and not set")]
    Missing,
    /// One of several settings that must be set together.
    #[error(
        "is not set although {0} is; set all of ACI_DNS_LOGS_ENDPOINT, ACI_DNS_LOGS_RULE_ID and ACI_DNS_LOGS_STREAM, or none"
    )]
    MissingBeside(&'static str),
    /// A misspelt setting.
    #[error("is not a setting; did you mean {0}?")]
    UnknownVariable(&'static str),
    /// A reference to another service that the platform did not resolve.
    #[error(
        "is a reference that was not resolved ({0}): check its state in the portal (Settings, Environment variables), and whether the app's identity may read the secret"
    )]
    Unresolved(String),
    /// Quotes of a shell or a file are part of the value.
    #[error("is in quotes, which are part of the value; remove them")]
    Quoted,
    /// JSON without its double quotes.
    #[error(
        "has no double quotes, because PowerShell removes them from a value for az; escape each as \\\", or name a file: @FILE"
    )]
    LostQuotes,
    /// JSON that was encoded as a JSON string again.
    #[error("is JSON inside a JSON string; remove the outer quotes and the backslashes")]
    NestedJson,
    /// The file with the value cannot be read.
    #[error("names the file {path:?}, which cannot be read: {reason}")]
    File {
        /// The file as given.
        path: String,
        /// The cause.
        reason: String,
    },
    /// A map without entries.
    #[error("has no entry, so nothing would be managed")]
    EmptyMap,
    /// An empty list of accepted values.
    #[error("is empty, so it would exclude everything; leave it out to accept all")]
    EmptyList,
    /// A word that the setting does not know.
    #[error("{given:?} is not one of {known}{}", hint(.closest.as_deref()))]
    Word {
        /// The given word.
        given: String,
        /// The known words.
        known: String,
        /// The word that was probably intended.
        closest: Option<String>,
    },
    /// A whole number outside of the setting's range, or not a whole number.
    #[error("{given} is not a whole number from {least} to {most}")]
    Number {
        /// The given value.
        given: String,
        /// The minimum.
        least: u64,
        /// The maximum.
        most: u64,
    },
    /// A wait for an address that is not shorter than the deadline of the invocation.
    #[error("{wait} seconds must be less than the {deadline} of ACI_DNS_DEADLINE_SECONDS")]
    WaitWithinDeadline {
        /// The wait.
        wait: u64,
        /// The deadline.
        deadline: u64,
    },
    /// A key of the map without a subscription, although no setting lists subscriptions.
    #[error(
        "is not set, and the key {0:?} of ACI_DNS_ZONES names no subscription; list the subscriptions of such keys here, or pass --subscription"
    )]
    SweptNowhere(String),
    /// A key of the map of images without a subscription, although no setting lists subscriptions.
    #[error(
        "is required, because the key {0:?} of ACI_DNS_IMAGES names no subscription, and its container groups have to be listed"
    )]
    ListedNowhere(String),
    /// An invalid endpoint.
    #[error("{given:?} is not an endpoint: {rule}")]
    Endpoint {
        /// The given text.
        given: String,
        /// The rule.
        rule: &'static str,
    },
    /// An invalid URL of a storage queue.
    #[error("{given:?} is not the URL of a storage queue: {rule}")]
    Queue {
        /// The given text, without a signature.
        given: String,
        /// The rule.
        rule: String,
    },
    /// An invalid URL of a key vault.
    #[error("{given:?} is not the URL of a key vault: {rule}")]
    Vault {
        /// The given text.
        given: String,
        /// The rule.
        rule: String,
    },
    /// An invalid address of a proxy. It may contain a password, so it is not repeated.
    #[error("is not the address of a proxy, such as http://proxy.contoso.com:3128")]
    Proxy,
    /// An invalid connection string of Application Insights.
    #[error("is not a connection string of Application Insights: {0}")]
    ConnectionString(&'static str),
    /// A text that breaks a rule.
    #[error("{given:?} is not {rule}")]
    Text {
        /// The given text.
        given: String,
        /// The rule.
        rule: &'static str,
    },
    /// A range of addresses whose first address does not fit its length.
    #[error("{given:?} is not a range of addresses: did you mean {meant:?}?")]
    HostBits {
        /// The given text.
        given: String,
        /// The range that contains it.
        meant: String,
    },
    /// A log filter that is invalid or matches no line.
    #[error("{given:?} is not a log filter: {reason}")]
    LogFilter {
        /// The given text.
        given: String,
        /// The cause.
        reason: String,
    },
    /// A text that is not JSON.
    #[error("is not JSON: {0}")]
    Json(String),
    /// A JSON value of another type.
    #[error("must be {expected}, not {given}")]
    Type {
        /// The type of the setting.
        expected: &'static str,
        /// The type of the value.
        given: &'static str,
    },
    /// An unknown key of an entry.
    #[error("is not a key of such an entry{}", hint(.0.as_deref()))]
    UnknownKey(Option<String>),
    /// A duplicate key.
    #[error("is given more than once")]
    DuplicateKey,
    /// Two keys for the same container groups.
    #[error("is the same key as {0:?}: keys compare without regard to case")]
    SameKey(String),
    /// A key that is neither a resource group nor a subscription and a resource group.
    #[error(
        "is not a key: it must be a resource group or <subscription id>/<resource group>, with a * at most at the end; {0}"
    )]
    Key(&'static str),
    /// A text that is not the name of a zone.
    #[error("{0}")]
    Name(NameError),
    /// A duplicate zone.
    #[error("{0} is listed more than once")]
    DuplicateZone(DomainName),
}

fn hint(closest: Option<&str>) -> String {
    closest.map(|closest| format!("; did you mean {closest:?}?")).unwrap_or_default()
}

impl fmt::Display for Mistake {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.place, self.broken)
    }
}

impl fmt::Display for SettingsError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, mistake) in self.mistakes.iter().enumerate() {
            let line = if index == 0 { "" } else { "\n" };
            write!(formatter, "{line}{mistake}")?;
        }
        Ok(())
    }
}

impl std::error::Error for SettingsError {}

/// The mistakes so far.
#[derive(Default)]
pub(super) struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// Adds a mistake, without duplicates.
    pub(super) fn at(&mut self, place: &str, broken: BrokenRule) {
        let mistake = Mistake { place: place.to_owned(), broken };
        if !self.0.contains(&mistake) {
            self.0.push(mistake);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// The parsed value, unless there was a mistake.
    pub(super) fn or<Read>(self, read: Option<Read>) -> Result<Read, SettingsError> {
        read.filter(|_| self.0.is_empty()).ok_or(SettingsError { mistakes: self.0 })
    }
}

/// The most similar of the known words, if one is similar enough.
pub(super) fn closest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    let distances = known.map(|word| (strsim::levenshtein(&given, &word.to_lowercase()), word));
    let (distance, word) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= word.chars().count() / 3).then_some(word)
}

/// The rule of [`crate::domain::resource_id::is_guid`] in words.
pub(super) const SUBSCRIPTION_ID: &str =
    "the id of a subscription, such as 00000000-0000-0000-0000-000000000000";

/// The words of a setting, in any case.
pub(super) fn word<Word: Copy>(given: &str, known: &[(&str, Word)]) -> Result<Word, BrokenRule> {
    if let Some((_, word)) = known.iter().find(|(word, _)| word.eq_ignore_ascii_case(given)) {
        return Ok(*word);
    }
    let words = || known.iter().map(|(word, _)| *word);
    Err(BrokenRule::Word {
        given: given.to_owned(),
        known: words().collect::<Vec<_>>().join(", "),
        closest: closest(given, words()).map(str::to_owned),
    })
}
