//! Settings: read once from the environment, validated before the server binds.
//!
//! Every mistake is found and told at once, by variable, JSON path and broken rule, because whoever deploys this
//! gets one look per deployment. An empty variable counts as unset: deployment templates cannot leave one out.
//!
//! Deliberately absent: files, defaults that depend on each other in silence, and secrets (there is none: the
//! identity is a managed one).

mod json;
mod log_filter;
mod territory;
#[cfg(test)]
mod tests;
mod zones;

use std::{collections::BTreeSet, fmt, time::Duration};

use tracing_subscriber::filter::ParseError;
use url::{Host, Url};

pub use self::{
    log_filter::LogFilter,
    territory::MissingSubscription,
    zones::{Territory, ZoneMap, Zones},
};
use crate::{
    dns::{DomainName, NameError},
    resource_id::{fold, is_subscription},
};

/// Everything that an operator decides.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Which zones serve which container groups.
    pub zones: ZoneMap,
    /// What becomes of record sets without a mark.
    pub ownership: Ownership,
    /// What may be written.
    pub policy: Policy,
    /// What the records of a stopped group become.
    pub stopped: Stopped,
    /// How long one invocation waits for an address that is being assigned.
    pub address_wait: Duration,
    /// Hard limit of one invocation.
    pub deadline: Duration,
    /// Reconciliations in flight.
    pub max_concurrency: usize,
    /// What the timed sweep does about the drift that it finds.
    pub sweep: Sweep,
    /// The subscriptions that keys without one mean in a sweep, in lower case; otherwise those that other keys name.
    pub sweep_subscriptions: BTreeSet<String>,
    /// Which of Azure's clouds this runs in.
    pub cloud: Cloud,
    /// Resource Manager: scheme, host and port.
    pub arm_endpoint: Url,
    /// What the tokens for Resource Manager are for.
    pub arm_scope: String,
    /// A user-assigned managed identity; otherwise the system-assigned one.
    pub client_id: Option<String>,
    /// Where telemetry goes besides stdout.
    pub application_insights: Option<ApplicationInsights>,
    /// Where drift events go besides stdout.
    pub logs: Option<LogsIngestion>,
    /// What is logged.
    pub log_filter: LogFilter,
}

/// What becomes of a record set at a managed name that carries no mark.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ownership {
    /// It is taken over.
    #[default]
    Adopt,
    /// It is left alone.
    Strict,
}

/// What may be written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Policy {
    /// Everything that is called for.
    #[default]
    Sync,
    /// Nothing is deleted.
    UpsertOnly,
    /// Nothing but the marks of ownership on what is there. No setting, but what `sync --adopt-only` does.
    AdoptOnly,
    /// Nothing at all.
    Observe,
}

/// What the timed sweep does about the drift that it finds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sweep {
    /// It reports it.
    #[default]
    Report,
    /// It reports it, and reconciles the container groups concerned.
    Repair,
}

/// What a stopped group's records become.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stopped {
    /// They are removed.
    #[default]
    Remove,
    /// They stay.
    Keep,
}

/// One of Azure's clouds: endpoint, authority and token audience belong together.
///
/// Source: <https://learn.microsoft.com/azure/azure-government/compare-azure-government-global-azure> and
/// <https://learn.microsoft.com/azure/china/resources-developer-guide>.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cloud {
    /// Azure.
    #[default]
    Public,
    /// Azure Government.
    UsGovernment,
    /// Azure operated by 21Vianet.
    China,
}

impl Cloud {
    /// Where Resource Manager is.
    #[must_use]
    pub fn arm_endpoint(self) -> &'static str {
        match self {
            Self::Public => "https://management.azure.com/",
            Self::UsGovernment => "https://management.usgovcloudapi.net/",
            Self::China => "https://management.chinacloudapi.cn/",
        }
    }

    /// What a token for Resource Manager is for.
    #[must_use]
    pub fn arm_scope(self) -> &'static str {
        match self {
            Self::Public => "https://management.azure.com/.default",
            Self::UsGovernment => "https://management.usgovcloudapi.net/.default",
            Self::China => "https://management.chinacloudapi.cn/.default",
        }
    }

    /// What a token for telemetry is for.
    ///
    /// Source: <https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview>
    #[must_use]
    pub fn monitor_audience(self) -> &'static str {
        match self {
            Self::Public => "https://monitor.azure.com",
            Self::UsGovernment => "https://monitor.azure.us",
            Self::China => "https://monitor.azure.cn",
        }
    }

    /// Who issues tokens.
    #[must_use]
    pub fn authority(self) -> &'static str {
        match self {
            Self::Public => "https://login.microsoftonline.com/",
            Self::UsGovernment => "https://login.microsoftonline.us/",
            Self::China => "https://login.chinacloudapi.cn/",
        }
    }
}

/// A connection string of Application Insights.
///
/// Source: <https://learn.microsoft.com/azure/azure-monitor/app/connection-strings>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationInsights {
    /// Which resource the telemetry belongs to.
    pub instrumentation_key: String,
    /// Where it is sent.
    pub ingestion_endpoint: Url,
    /// Whose token it carries, where the resource takes nothing without one.
    pub entra: Option<Entra>,
    /// The name of the application (`WEBSITE_SITE_NAME`): what the Functions host calls itself, too.
    pub role_name: String,
    /// Which of its instances this is (`WEBSITE_INSTANCE_ID`).
    pub role_instance: Option<String>,
}

/// Telemetry that is sent with a token of a managed identity.
///
/// Source: <https://learn.microsoft.com/azure/azure-monitor/app/azure-ad-authentication>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entra {
    /// A user-assigned identity other than that of the requests to Resource Manager.
    pub client_id: Option<String>,
    /// What the tokens are for, where the connection string says it (`AADAudience`), without a slash at its end.
    pub audience: Option<String>,
}

/// A stream of a data collection rule.
///
/// Source: <https://learn.microsoft.com/azure/azure-monitor/logs/logs-ingestion-api-overview>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogsIngestion {
    /// The data collection endpoint: scheme, host and port.
    pub endpoint: Url,
    /// The immutable id of the data collection rule.
    pub rule_id: String,
    /// The stream of the rule that takes the rows.
    pub stream: String,
}

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
    /// A log filter that tracing-subscriber cannot read.
    #[error("{given:?} is not a log filter: {reason}")]
    LogFilter {
        /// What was given.
        given: String,
        /// Why it cannot be read.
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

const ADDRESS_WAIT: &str = "ACI_DNS_ADDRESS_WAIT_SECONDS";
const DEADLINE: &str = "ACI_DNS_DEADLINE_SECONDS";
/// The variable that says where a sweep looks for the container groups of keys without a subscription.
pub const SWEEP_SUBSCRIPTIONS: &str = "ACI_DNS_SWEEP_SUBSCRIPTIONS";
const APPLICATION_INSIGHTS: &str = "APPLICATIONINSIGHTS_CONNECTION_STRING";
const AUTHENTICATION: &str = "APPLICATIONINSIGHTS_AUTHENTICATION_STRING";
const LOGS: [&str; 3] = ["ACI_DNS_LOGS_ENDPOINT", "ACI_DNS_LOGS_RULE_ID", "ACI_DNS_LOGS_STREAM"];

impl Settings {
    /// Reads the settings through a look-up of environment variables.
    pub fn from_variables(lookup: impl Fn(&str) -> Option<String>) -> Result<Self, SettingsError> {
        let mut reader = Reader { lookup, mistakes: Mistakes::default() };
        let zones = reader.zones();
        let ownership =
            reader.word("ACI_DNS_OWNERSHIP", &[("adopt", Ownership::Adopt), ("strict", Ownership::Strict)]);
        let policy = reader.word(
            "ACI_DNS_POLICY",
            &[("sync", Policy::Sync), ("upsert-only", Policy::UpsertOnly), ("observe", Policy::Observe)],
        );
        let stopped = reader.word("ACI_DNS_STOPPED", &[("remove", Stopped::Remove), ("keep", Stopped::Keep)]);
        let (address_wait, deadline) = reader.waits();
        let max_concurrency = reader.number("ACI_DNS_MAX_CONCURRENCY", 1, 1024).unwrap_or(64);
        let sweep = reader.word("ACI_DNS_SWEEP", &[("report", Sweep::Report), ("repair", Sweep::Repair)]);
        let sweep_subscriptions = reader.subscriptions(SWEEP_SUBSCRIPTIONS);
        let cloud = reader.word(
            "ACI_DNS_CLOUD",
            &[("public", Cloud::Public), ("usgovernment", Cloud::UsGovernment), ("china", Cloud::China)],
        );
        let arm_endpoint = reader.endpoint("ACI_DNS_ARM_ENDPOINT", cloud.arm_endpoint());
        let client_id = reader.client_id();
        let application_insights = reader.application_insights();
        let logs = reader.logs();
        let log_filter = reader.log_filter();
        let mistakes = reader.mistakes;
        match (zones, arm_endpoint) {
            (Some(zones), Some(arm_endpoint)) => mistakes.or(Self {
                zones,
                ownership,
                policy,
                stopped,
                address_wait: Duration::from_secs(address_wait),
                deadline: Duration::from_secs(deadline),
                max_concurrency: usize::try_from(max_concurrency).unwrap_or(usize::MAX),
                sweep,
                sweep_subscriptions,
                cloud,
                arm_endpoint,
                arm_scope: cloud.arm_scope().to_owned(),
                client_id,
                application_insights,
                logs,
                log_filter,
            }),
            _ => Err(SettingsError { mistakes: mistakes.0 }),
        }
    }
}

/// The mistakes that were found so far.
#[derive(Default)]
struct Mistakes(Vec<Mistake>);

impl Mistakes {
    fn at(&mut self, place: &str, broken: BrokenRule) {
        self.0.push(Mistake { place: place.to_owned(), broken });
    }

    /// What was read, unless there was a mistake.
    fn or<Read>(self, read: Read) -> Result<Read, SettingsError> {
        if self.0.is_empty() { Ok(read) } else { Err(SettingsError { mistakes: self.0 }) }
    }
}

/// Reads variables and collects the mistakes in them; what could not be read is left out or at its default.
struct Reader<Lookup> {
    lookup: Lookup,
    mistakes: Mistakes,
}

impl<Lookup: Fn(&str) -> Option<String>> Reader<Lookup> {
    fn variable(&self, name: &str) -> Option<String> {
        (self.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    fn zones(&mut self) -> Option<ZoneMap> {
        let Some(text) = self.variable(zones::VARIABLE) else {
            self.mistakes.at(zones::VARIABLE, BrokenRule::Missing);
            return None;
        };
        ZoneMap::parse(&text).map_err(|error| self.mistakes.0.extend(error.mistakes)).ok()
    }

    fn word<Word: Copy + Default>(&mut self, name: &str, known: &[(&str, Word)]) -> Word {
        let Some(given) = self.variable(name) else { return Word::default() };
        if let Some((_, word)) = known.iter().find(|(word, _)| word.eq_ignore_ascii_case(&given)) {
            return *word;
        }
        let words = || known.iter().map(|(word, _)| *word);
        let closest = closest(&given, words());
        let known = words().collect::<Vec<_>>().join(", ");
        self.mistakes.at(name, BrokenRule::Word { given, known, closest });
        Word::default()
    }

    fn number(&mut self, name: &str, least: u64, most: u64) -> Option<u64> {
        let given = self.variable(name)?;
        let number = given.parse().ok().filter(|number| (least..=most).contains(number));
        if number.is_none() {
            self.mistakes.at(name, BrokenRule::Number { given: format!("{given:?}"), least, most });
        }
        number
    }

    /// How long an invocation waits for an address, and how long it may last, in seconds.
    fn waits(&mut self) -> (u64, u64) {
        let before = self.mistakes.0.len();
        let deadline = self.number(DEADLINE, 1, 600).unwrap_or(25);
        let is_deadline_known = self.mistakes.0.len() == before;
        let wait = self.number(ADDRESS_WAIT, 0, 599).unwrap_or_else(|| 15.min(deadline.saturating_sub(1)));
        if is_deadline_known && wait >= deadline {
            self.mistakes.at(ADDRESS_WAIT, BrokenRule::WaitWithinDeadline { wait, deadline });
        }
        (wait, deadline)
    }

    fn endpoint(&mut self, name: &str, default: &str) -> Option<Url> {
        let given = self.variable(name).unwrap_or_else(|| default.to_owned());
        endpoint(&given).map_err(|broken| self.mistakes.at(name, broken)).ok()
    }

    fn text(&mut self, name: &str, is_right: fn(&str) -> bool, rule: &'static str) -> Option<String> {
        let given = self.variable(name)?;
        if is_right(&given) {
            return Some(given);
        }
        self.mistakes.at(name, BrokenRule::Text { given, rule });
        None
    }

    /// Ids of subscriptions, separated by commas or spaces.
    fn subscriptions(&mut self, name: &str) -> BTreeSet<String> {
        let given = self.variable(name).unwrap_or_default();
        let mut subscriptions = BTreeSet::new();
        for id in given.split([',', ' ']).filter(|id| !id.is_empty()) {
            if is_subscription(id) {
                subscriptions.insert(fold(id));
            } else {
                let rule = "subscription ids, separated by commas";
                self.mistakes.at(name, BrokenRule::Text { given: id.to_owned(), rule });
            }
        }
        subscriptions
    }

    fn client_id(&mut self) -> Option<String> {
        self.text(
            "AZURE_CLIENT_ID",
            is_subscription,
            "the client id of a managed identity: letters, digits and hyphens",
        )
    }

    fn application_insights(&mut self) -> Option<ApplicationInsights> {
        let entra = self.entra();
        let given = self.variable(APPLICATION_INSIGHTS)?;
        let insights = connection_string(&given);
        let insights = insights.map_err(|broken| self.mistakes.at(APPLICATION_INSIGHTS, broken)).ok()?;
        let audience = insights.entra.and_then(|entra| entra.audience);
        Some(ApplicationInsights {
            entra: entra.map(|entra| Entra { audience, ..entra }),
            role_name: self.variable("WEBSITE_SITE_NAME").unwrap_or(insights.role_name),
            role_instance: self.variable("WEBSITE_INSTANCE_ID"),
            ..insights
        })
    }

    /// Whether telemetry carries a token, as the Functions host is told it, too.
    fn entra(&mut self) -> Option<Entra> {
        let given = self.variable(AUTHENTICATION)?;
        let read = members(&given).ok().and_then(|members| {
            let member = |name| find(&members, name);
            let is_entra = member("authorization").is_some_and(|value| value.eq_ignore_ascii_case("AAD"));
            let client_id = member("clientid").map(str::to_owned);
            let is_right = is_entra && client_id.as_deref().is_none_or(is_subscription);
            is_right.then_some(Entra { client_id, audience: None })
        });
        if read.is_none() {
            let rule = "Authorization=AAD, or Authorization=AAD;ClientId=<client id of a managed identity>";
            self.mistakes.at(AUTHENTICATION, BrokenRule::Text { given, rule });
        }
        read
    }

    fn logs(&mut self) -> Option<LogsIngestion> {
        let [endpoint, rule_id, stream] = LOGS;
        let present = LOGS.into_iter().find(|name| self.variable(name).is_some())?;
        for name in LOGS {
            if self.variable(name).is_none() {
                self.mistakes.at(name, BrokenRule::MissingBeside(present));
            }
        }
        // Both become segments of a path.
        let is_segment = |text: &str| {
            text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        let endpoint = self.variable(endpoint).and_then(|_| self.endpoint(endpoint, ""));
        let rule_id = self.text(
            rule_id,
            is_segment,
            "the immutable id of a data collection rule: letters, digits, hyphens and underscores",
        );
        let stream =
            self.text(stream, is_segment, "the name of a stream: letters, digits, hyphens and underscores");
        Some(LogsIngestion { endpoint: endpoint?, rule_id: rule_id?, stream: stream? })
    }

    fn log_filter(&mut self) -> LogFilter {
        let Some(given) = self.variable("RUST_LOG") else { return LogFilter::default() };
        given.parse().unwrap_or_else(|error: ParseError| {
            self.mistakes.at("RUST_LOG", BrokenRule::LogFilter { given, reason: error.to_string() });
            LogFilter::default()
        })
    }
}

/// Reads an endpoint: scheme, host and port, and nothing else, because paths are joined to it.
fn endpoint(given: &str) -> Result<Url, BrokenRule> {
    let refused = |rule| Err(BrokenRule::Endpoint { given: given.to_owned(), rule });
    let Ok(url) = Url::parse(given) else { return refused("it must be a URL such as https://host/") };
    let is_loopback = match url.host() {
        None => return refused("it must be a URL with a host"),
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
    };
    match url.scheme() {
        "https" => {}
        "http" if is_loopback => {}
        "http" => return refused("http is accepted only for a loopback address; use https"),
        _ => return refused("its scheme must be https"),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return refused("it must not hold a user name or password");
    }
    if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        return refused("it must not have a path, query or fragment");
    }
    Ok(url)
}

/// Pairs of a name in lower case and a value.
fn members(given: &str) -> Result<Vec<(String, &str)>, BrokenRule> {
    let members = given.split(';').map(str::trim).filter(|member| !member.is_empty());
    let pairs = members.map(|member| {
        let (name, value) = member
            .split_once('=')
            .ok_or(BrokenRule::ConnectionString("it must be name=value pairs, separated by semicolons"))?;
        Ok((name.trim().to_ascii_lowercase(), value.trim()))
    });
    pairs.collect()
}

fn find<'a>(members: &[(String, &'a str)], name: &str) -> Option<&'a str> {
    members.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| *value)
}

fn connection_string(given: &str) -> Result<ApplicationInsights, BrokenRule> {
    let members = members(given)?;
    let member = |name| find(&members, name);
    let instrumentation_key = member("instrumentationkey")
        .filter(|key| is_subscription(key))
        .ok_or(BrokenRule::ConnectionString("it must hold an InstrumentationKey"))?;
    let ingestion_endpoint = match (member("ingestionendpoint"), member("endpointsuffix")) {
        (Some(url), _) => url.to_owned(),
        (None, Some(suffix)) => {
            let location = member("location").map(|location| format!("{location}.")).unwrap_or_default();
            format!("https://{location}dc.{suffix}/")
        }
        (None, None) => "https://dc.services.visualstudio.com/".to_owned(),
    };
    Ok(ApplicationInsights {
        instrumentation_key: instrumentation_key.to_owned(),
        ingestion_endpoint: endpoint(&ingestion_endpoint)?,
        entra: member("aadaudience").map(|audience| Entra {
            client_id: None,
            audience: Some(audience.trim_end_matches('/').to_owned()),
        }),
        role_name: env!("CARGO_PKG_NAME").to_owned(),
        role_instance: None,
    })
}

/// The word that was probably meant: the closest of the known ones, when it is close at all.
fn closest<'a>(given: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let given = given.to_lowercase();
    let distances = known.map(|word| (distance(&given, &word.to_lowercase()), word));
    let (distance, word) = distances.min_by_key(|(distance, _)| *distance)?;
    (distance <= word.chars().count() / 3).then(|| word.to_owned())
}

/// How many characters have to be inserted, removed or replaced to turn one text into the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let mut row: Vec<usize> = (0..=to.chars().count()).collect();
    for (index, from) in from.chars().enumerate() {
        let mut diagonal = index;
        let mut left = index + 1;
        if let Some(first) = row.first_mut() {
            *first = left;
        }
        for (above, to) in row.iter_mut().skip(1).zip(to.chars()) {
            let here = (diagonal + usize::from(from != to)).min(left + 1).min(*above + 1);
            diagonal = std::mem::replace(above, here);
            left = here;
        }
    }
    row.last().copied().unwrap_or_default()
}
