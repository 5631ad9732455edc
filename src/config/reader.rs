//! Reads variables and collects the mistakes in them.

use std::collections::BTreeSet;

use tracing_subscriber::filter::ParseError;
use url::Url;

use super::{
    BrokenRule, Cloud, Entra, Environment, LogFilter, LogsIngestion, Notice, Proxy, ZoneMap, directives,
    insights::{self, ApplicationInsights, connection_string},
    mistake::{Mistakes, SUBSCRIPTION_ID, word},
    urls::{endpoint, queue},
    variables::{
        self, ADDRESS_WAIT, APPLICATION_INSIGHTS, AUTHENTICATION, CLIENT_ID, DEADLINE, HTTPS_PROXY,
        INSTANCE_ID, LOG_FILTER, LOGS, Likeness, NO_PROXY, RETRY_QUEUE, SITE_NAME,
    },
    zones::Defaults,
};
use crate::domain::{
    resource_id::{fold, is_guid, is_subscription},
    text::{self, printable},
};

/// Reads variables and collects the mistakes in them. A value with a mistake is left out or replaced by its
/// default.
pub(super) struct VariableReader<'a> {
    environment: &'a Environment<'a>,
    pub(super) mistakes: Mistakes,
    pub(super) notices: Vec<Notice>,
}

impl<'a> VariableReader<'a> {
    pub(super) fn new(environment: &'a Environment<'a>) -> Self {
        Self { environment, mistakes: Mistakes::default(), notices: vec![] }
    }

    /// Names that look like settings.
    pub(super) fn names(&mut self) {
        for name in &self.environment.names {
            match variables::likeness(name) {
                Likeness::Fine => {}
                Likeness::Misspelt(known) => self.mistakes.at(name, BrokenRule::UnknownVariable(known)),
                Likeness::Unknown => self.notices.push(Notice::UnknownVariable(name.clone())),
            }
        }
    }

    /// The value of a variable without surrounding white space; an empty one counts as unset.
    fn given(&self, name: &str) -> Option<String> {
        (self.environment.lookup)(name).map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
    }

    /// The value of a variable, unless it was changed on its way.
    fn variable(&mut self, name: &str) -> Option<String> {
        let given = self.given(name)?;
        if let Some(broken) = unresolved(&given).or_else(|| is_quoted(&given).then_some(BrokenRule::Quoted)) {
            self.mistakes.at(name, broken);
            return None;
        }
        Some(given)
    }

    pub(super) fn zones(&mut self, defaults: Defaults) -> Option<ZoneMap> {
        let Some(given) = self.given(variables::ZONES) else {
            self.mistakes.at(variables::ZONES, BrokenRule::Missing);
            return None;
        };
        let text = match (unresolved(&given), given.strip_prefix('@')) {
            (Some(broken), _) => Err(broken),
            (None, Some(path)) => self.file(path.trim()),
            (None, None) => Ok(given),
        };
        let text = text.map_err(|broken| self.mistakes.at(variables::ZONES, broken)).ok()?;
        ZoneMap::read(text.trim(), defaults, &mut self.mistakes)
    }

    fn file(&self, path: &str) -> Result<String, BrokenRule> {
        let unreadable = |reason| BrokenRule::File { path: path.to_owned(), reason };
        let bytes = (self.environment.read_file)(path).map_err(unreadable)?;
        text::decode(&bytes).map_err(|error| unreadable(error.to_string()))
    }

    pub(super) fn word<Word: Copy + Default>(&mut self, name: &str, known: &[(&str, Word)]) -> Word {
        let Some(given) = self.variable(name) else { return Word::default() };
        word(&given, known).unwrap_or_else(|broken| {
            self.mistakes.at(name, broken);
            Word::default()
        })
    }

    /// A number within the bounds of the table; the default of the table otherwise.
    pub(super) fn number(&mut self, name: &str) -> u64 {
        let (least, most, default) = variables::number(name);
        let Some(given) = self.variable(name) else { return default };
        let number = given.parse().ok().filter(|number| (least..=most).contains(number));
        number.unwrap_or_else(|| {
            self.mistakes.at(name, BrokenRule::Number { given: format!("{given:?}"), least, most });
            default
        })
    }

    /// The wait for an address and the deadline of an invocation, in seconds.
    pub(super) fn waits(&mut self) -> (u64, u64) {
        let before = self.mistakes.len();
        let deadline = self.number(DEADLINE);
        let is_deadline_known = self.mistakes.len() == before;
        let is_given = self.given(ADDRESS_WAIT).is_some();
        let wait = self.number(ADDRESS_WAIT);
        if is_given && is_deadline_known && wait >= deadline {
            self.mistakes.at(ADDRESS_WAIT, BrokenRule::WaitWithinDeadline { wait, deadline });
        }
        (if is_given { wait } else { wait.min(deadline.saturating_sub(1)) }, deadline)
    }

    pub(super) fn endpoint(&mut self, name: &str, default: &str) -> Option<Url> {
        let given = self.variable(name).unwrap_or_else(|| default.to_owned());
        endpoint(&given).map_err(|broken| self.mistakes.at(name, broken)).ok()
    }

    fn text(&mut self, name: &str, is_valid: fn(&str) -> bool, rule: &'static str) -> Option<String> {
        let given = self.variable(name)?;
        if is_valid(&given) {
            return Some(given);
        }
        self.mistakes.at(name, BrokenRule::Text { given, rule });
        None
    }

    /// The subscriptions of keys without one, in lower case.
    pub(super) fn subscriptions(&mut self) -> BTreeSet<String> {
        let (name, old) = (variables::SUBSCRIPTIONS, variables::OLD_SUBSCRIPTIONS);
        if self.given(old).is_some() {
            self.notices.push(Notice::OldName { old, new: name, is_used: self.given(name).is_none() });
        }
        let name = if self.given(name).is_some() { name } else { old };
        let given = self.variable(name).unwrap_or_default();
        let mut subscriptions = BTreeSet::new();
        for id in given.split([',', ' ', '\n']).map(str::trim).filter(|id| !id.is_empty()) {
            if is_guid(id) {
                subscriptions.insert(fold(id));
            } else {
                self.mistakes.at(name, BrokenRule::Text { given: id.to_owned(), rule: SUBSCRIPTION_ID });
            }
        }
        subscriptions
    }

    pub(super) fn client_id(&mut self) -> Option<String> {
        self.text(
            CLIENT_ID,
            is_subscription,
            "the client id of a managed identity: letters, digits and hyphens",
        )
    }

    pub(super) fn application_insights(&mut self) -> Option<ApplicationInsights> {
        let entra = self.entra();
        let given = self.variable(APPLICATION_INSIGHTS)?;
        let insights = connection_string(&given);
        let insights = insights.map_err(|broken| self.mistakes.at(APPLICATION_INSIGHTS, broken)).ok()?;
        let audience = insights.entra.and_then(|entra| entra.audience);
        Some(ApplicationInsights {
            entra: entra.map(|entra| Entra { audience, ..entra }),
            role_name: self.variable(SITE_NAME).unwrap_or(insights.role_name),
            role_instance: self.variable(INSTANCE_ID),
            ..insights
        })
    }

    /// Whether telemetry carries a token: the Functions host reads the same variable.
    fn entra(&mut self) -> Option<Entra> {
        let given = self.variable(AUTHENTICATION)?;
        let read = insights::members(&given).ok().and_then(|members| {
            let member = |name| insights::find(&members, name);
            let is_entra = member("authorization").is_some_and(|value| value.eq_ignore_ascii_case("AAD"));
            let client_id = member("clientid").map(str::to_owned);
            let is_valid = is_entra && client_id.as_deref().is_none_or(is_subscription);
            is_valid.then_some(Entra { client_id, audience: None })
        });
        if read.is_none() {
            let rule = "Authorization=AAD, or Authorization=AAD;ClientId=<client id of a managed identity>";
            self.mistakes.at(AUTHENTICATION, BrokenRule::Text { given, rule });
        }
        read
    }

    pub(super) fn logs(&mut self) -> Option<LogsIngestion> {
        let [endpoint, rule_id, stream] = LOGS;
        let present = LOGS.into_iter().find(|name| self.given(name).is_some())?;
        for name in LOGS {
            if self.given(name).is_none() {
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

    pub(super) fn retry_queue(&mut self, cloud: Cloud) -> Option<Url> {
        let given = self.variable(RETRY_QUEUE)?;
        queue(&given, cloud).map_err(|broken| self.mistakes.at(RETRY_QUEUE, broken)).ok()
    }

    /// The proxy in the environment, read as in other programs: upper case first, and a host may lack a
    /// scheme.
    pub(super) fn proxy(&mut self) -> Option<Proxy> {
        const PROXY: [&str; 2] = [HTTPS_PROXY, "https_proxy"];
        const EXCEPT: [&str; 2] = [NO_PROXY, "no_proxy"];
        let name = PROXY.into_iter().find(|name| self.given(name).is_some());
        let except = EXCEPT.into_iter().find_map(|name| self.given(name)).unwrap_or_default();
        let name = name?;
        let given = self.variable(name)?;
        let url = Url::parse(&if given.contains("://") { given } else { format!("http://{given}") });
        let url = url.ok().filter(|url| ["http", "https"].contains(&url.scheme()) && url.has_host());
        let Some(url) = url else {
            self.mistakes.at(name, BrokenRule::Proxy);
            return None;
        };
        Some(Proxy { url, except })
    }

    pub(super) fn log_filter(&mut self) -> LogFilter {
        let Some(given) = self.variable(LOG_FILTER) else { return LogFilter::default() };
        let filter = match directives::mistake(&given) {
            None => given.parse().map_err(|error: ParseError| error.to_string()),
            Some(reason) => Err(reason),
        };
        filter.unwrap_or_else(|reason| {
            self.mistakes.at(LOG_FILTER, BrokenRule::LogFilter { given, reason });
            LogFilter::default()
        })
    }
}

/// A reference to Key Vault or App Configuration. The platform passes its text if it cannot resolve it. Only
/// its beginning is repeated.
fn unresolved(given: &str) -> Option<BrokenRule> {
    const START: &str = "@Microsoft.";
    let is_reference = given.get(..START.len()).is_some_and(|start| start.eq_ignore_ascii_case(START));
    let service = given.split_once('(').map_or(given, |(service, _)| service);
    is_reference.then(|| BrokenRule::Unresolved(format!("{}(...)", printable(service))))
}

fn is_quoted(given: &str) -> bool {
    let is_between = |quote| given.len() > 1 && given.starts_with(quote) && given.ends_with(quote);
    is_between('"') || is_between('\'')
}
