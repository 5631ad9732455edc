//! Mistakes in the settings: where each is, and which rule it breaks.

use std::fmt;

use crate::dns::{DomainName, NameError};

/// Every mistake in the settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingsError {
    /// One for each broken rule, in the order in which the settings are read.
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
    /// Something that has no default is not there.
    #[error("is required and not set")]
    Missing,
    /// One of settings that only make sense together.
    #[error(
        "is not set although {0} is; set all of ACI_DNS_LOGS_ENDPOINT, ACI_DNS_LOGS_RULE_ID and ACI_DNS_LOGS_STREAM, or none"
    )]
    MissingBeside(&'static str),
    /// A variable that looks like a setting and is none.
    #[error("is not a setting; did you mean {0}?")]
    UnknownVariable(&'static str),
    /// A reference to another service that the platform did not resolve.
    #[error(
        "is a reference that was not resolved ({0}): look at its state in the portal (Settings, Environment variables), and at whether the app's identity may read what it refers to"
    )]
    Unresolved(String),
    /// Quotes of a shell or a file that became part of the value.
    #[error("is in quotes, which are part of the value: remove them")]
    Quoted,
    /// JSON without its double quotes.
    #[error(
        "lost its double quotes on the way, as PowerShell removes them from a value for az: escape each as \\\", or name a file: @FILE"
    )]
    LostQuotes,
    /// JSON that was encoded as a JSON text once more.
    #[error("is a JSON text inside of a JSON text: remove the outer quotes and the backslashes")]
    NestedJson,
    /// A file that should hold the value and cannot be read.
    #[error("names the file {path:?}, which cannot be read: {reason}")]
    File {
        /// The file as it was given.
        path: String,
        /// Why it cannot be read.
        reason: String,
    },
    /// A map that serves nothing.
    #[error("has no entry, so nothing would be managed")]
    EmptyMap,
    /// A list that would exclude everything.
    #[error("is empty, so it would exclude everything; leave it out to accept all")]
    EmptyList,
    /// Not one of the words that the setting knows.
    #[error("{given:?} is not one of {known}{}", hint(.closest.as_deref()))]
    Word {
        /// What was given.
        given: String,
        /// What could have been.
        known: String,
        /// The one that was probably meant.
        closest: Option<String>,
    },
    /// Not a whole number in the setting's range.
    #[error("{given} is not a whole number from {least} to {most}")]
    Number {
        /// What was given.
        given: String,
        /// The least that would do.
        least: u64,
        /// The most that would do.
        most: u64,
    },
    /// An invocation that waits for an address as long as it may last at all.
    #[error("{wait} seconds are not less than the {deadline} of ACI_DNS_DEADLINE_SECONDS")]
    WaitWithinDeadline {
        /// The wait.
        wait: u64,
        /// The deadline.
        deadline: u64,
    },
    /// A key of the map without a subscription, and no subscription to look for it in.
    #[error(
        "is not set, and the key {0:?} of ACI_DNS_ZONES names no subscription: list here, or with --subscription, the subscriptions in which to look for it"
    )]
    SweptNowhere(String),
    /// Not a URL that can be an endpoint.
    #[error("{given:?} is not an endpoint: {rule}")]
    Endpoint {
        /// What was given.
        given: String,
        /// What it would have to be.
        rule: &'static str,
    },
    /// Not a URL of a storage queue.
    #[error("{given:?} is not the URL of a storage queue: {rule}")]
    Queue {
        /// What was given, without the signature in it.
        given: String,
        /// What it would have to be.
        rule: String,
    },
    /// Not the address of a proxy. It may hold a password, so it is not repeated.
    #[error("is not the address of a proxy, such as http://proxy.contoso.com:3128")]
    Proxy,
    /// A connection string of Application Insights that cannot be used.
    #[error("is not a connection string of Application Insights: {0}")]
    ConnectionString(&'static str),
    /// A text with characters that it cannot have.
    #[error("{given:?} is not {rule}")]
    Text {
        /// What was given.
        given: String,
        /// What it would have to be.
        rule: &'static str,
    },
    /// A range of addresses that does not begin where such a range begins.
    #[error("{given:?} is not a range of addresses: did you mean {meant:?}?")]
    HostBits {
        /// What was given.
        given: String,
        /// The range that contains it.
        meant: String,
    },
    /// A log filter that cannot be read, or cannot match a line.
    #[error("{given:?} is not a log filter: {reason}")]
    LogFilter {
        /// What was given.
        given: String,
        /// Why it cannot be used.
        reason: String,
    },
    /// A text that is not JSON.
    #[error("is not JSON: {0}")]
    Json(String),
    /// A JSON value of another type than the setting has.
    #[error("must be {expected}, and is {given}")]
    Type {
        /// The type that it has.
        expected: &'static str,
        /// The type that was given.
        given: &'static str,
    },
    /// A key that no setting has.
    #[error("is not a key of a zone entry{}", hint(.0.as_deref()))]
    UnknownKey(Option<String>),
    /// A key that was given before.
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
    /// A zone that was given before.
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

/// The mistakes that were found so far.
#[derive(Default)]
pub(super) struct Mistakes(Vec<Mistake>);

impl Mistakes {
    /// Adds a mistake, once.
    pub(super) fn at(&mut self, place: &str, broken: BrokenRule) {
        let mistake = Mistake { place: place.to_owned(), broken };
        if !self.0.contains(&mistake) {
            self.0.push(mistake);
        }
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// What was read, unless there was a mistake.
    pub(super) fn or<Read>(self, read: Option<Read>) -> Result<Read, SettingsError> {
        read.filter(|_| self.0.is_empty()).ok_or(SettingsError { mistakes: self.0 })
    }
}

/// The word that was probably meant: the closest of the known ones, where it is close at all.
pub(super) fn closest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let given = given.to_lowercase();
    let distances = known.map(|word| (strsim::levenshtein(&given, &word.to_lowercase()), word));
    let (distance, word) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= word.chars().count() / 3).then_some(word)
}

/// The rule of [`crate::resource_id::is_guid`] in words.
pub(super) const SUBSCRIPTION_ID: &str =
    "the id of a subscription, such as 00000000-0000-0000-0000-000000000000";

/// One of the words that a setting has, in any case.
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
