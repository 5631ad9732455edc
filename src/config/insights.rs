//! The destinations of telemetry: the settings of Application Insights and of Log Analytics.

use url::Url;

use super::{BrokenRule, urls::endpoint};
use crate::domain::resource_id::is_subscription;

/// A connection string of Application Insights.
///
/// Source: <https://learn.microsoft.com/azure/azure-monitor/app/connection-strings>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApplicationInsights {
    /// The id of the resource.
    pub instrumentation_key: String,
    /// The ingestion endpoint.
    pub ingestion_endpoint: Url,
    /// The identity whose token it carries, if the resource requires one.
    pub entra: Option<Entra>,
    /// The name of the application (`WEBSITE_SITE_NAME`), which the Functions host uses, too.
    pub role_name: String,
    /// The instance (`WEBSITE_INSTANCE_ID`).
    pub role_instance: Option<String>,
}

/// Telemetry that is sent with a token of a managed identity.
///
/// Source: <https://learn.microsoft.com/azure/azure-monitor/app/azure-ad-authentication>
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entra {
    /// A user-assigned identity other than that of the requests to Resource Manager.
    pub client_id: Option<String>,
    /// The audience of the tokens, if the connection string contains it (`AADAudience`), without a slash at
    /// its end.
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
    /// The stream of the rule that accepts the rows.
    pub stream: String,
}

/// Pairs of a name in lower case and a value.
pub(super) fn members(given: &str) -> Result<Vec<(String, &str)>, BrokenRule> {
    let members = given.split(';').map(str::trim).filter(|member| !member.is_empty());
    let pairs = members.map(|member| {
        let (name, value) = member
            .split_once('=')
            .ok_or(BrokenRule::ConnectionString("it must be name=value pairs, separated by semicolons"))?;
        Ok((name.trim().to_ascii_lowercase(), value.trim()))
    });
    pairs.collect()
}

pub(super) fn find<'a>(members: &[(String, &'a str)], name: &str) -> Option<&'a str> {
    members.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| *value)
}

pub(super) fn connection_string(given: &str) -> Result<ApplicationInsights, BrokenRule> {
    let members = members(given)?;
    let member = |name| find(&members, name);
    let instrumentation_key = member("instrumentationkey")
        .filter(|key| is_subscription(key))
        .ok_or(BrokenRule::ConnectionString("it must contain an InstrumentationKey"))?;
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
