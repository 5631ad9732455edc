//! The API versions of each provider. A request with another version is refused with 400, as the recorded messages of
//! clients show (<https://github.com/Azure/azure-cli/issues/26863>).
//!
//! The versions of Private DNS and Container Instances are those of Microsoft's descriptions
//! (<https://github.com/Azure/azure-rest-api-specs>, `specification/privatedns` and `specification/containerinstance`).
//! Of other providers only the form of a version is checked.

use http::StatusCode;

use super::messages::{Answer, Request, gateway};

const PRIVATE_DNS: &[&str] = &["2018-09-01", "2020-01-01", "2020-06-01", "2024-06-01"];
const CONTAINER_INSTANCE: &[&str] = &[
    "2017-08-01-preview",
    "2017-10-01-preview",
    "2017-12-01-preview",
    "2018-02-01-preview",
    "2018-04-01",
    "2018-06-01",
    "2018-09-01",
    "2018-10-01",
    "2019-12-01",
    "2020-11-01",
    "2021-03-01",
    "2021-07-01",
    "2021-09-01",
    "2021-10-01",
    "2022-04-01-preview",
    "2022-09-01",
    "2022-10-01-preview",
    "2023-02-01-preview",
    "2023-05-01",
    "2024-05-01-preview",
    "2024-09-01-preview",
    "2024-10-01-preview",
    "2024-11-01-preview",
    "2025-09-01",
];

/// The refusal of a request without an API version, or with one that the provider does not support.
pub(super) fn refuse_api_version(request: &Request) -> Option<Answer> {
    let Some(version) = request.query("api-version").filter(|version| !version.is_empty()) else {
        let message = "The api-version query parameter (?api-version=) is required for all requests.";
        return Some(gateway(StatusCode::BAD_REQUEST, "MissingApiVersionParameter", message));
    };
    let segments = request.segments();
    let at = segments.iter().rposition(|segment| segment.eq_ignore_ascii_case("providers"));
    let below = at.map(|at| segments.get(at + 1..).unwrap_or_default()).unwrap_or_default();
    let types: Vec<_> = below.iter().skip(1).step_by(2).map(String::as_str).collect();
    let (provider, first) = (below.first(), types.first());
    let is = |name: &str, found: Option<&str>| found.is_some_and(|found| found.eq_ignore_ascii_case(name));
    let (versions, location) = if is("Microsoft.ContainerInstance", provider.map(String::as_str)) {
        (CONTAINER_INSTANCE, "westeurope")
    } else if is("Microsoft.Network", provider.map(String::as_str))
        && first.is_some_and(|first| first.to_ascii_lowercase().starts_with("privatedns"))
    {
        (PRIVATE_DNS, "global")
    } else if has_form(version) {
        return None;
    } else {
        let message = format!("The api-version '{version}' is invalid. The supported versions are dates.");
        return Some(gateway(StatusCode::BAD_REQUEST, "InvalidApiVersionParameter", &message));
    };
    if versions.iter().any(|known| known.eq_ignore_ascii_case(version)) {
        return None;
    }
    let message = format!(
        "No registered resource provider found for location '{location}' and API version '{version}' for type \
         '{}'. The supported api-versions are '{}'. The supported locations are ', {location}'.",
        types.join("/"),
        versions.join(", ")
    );
    Some(gateway(StatusCode::BAD_REQUEST, "NoRegisteredProviderFound", &message))
}

/// Whether a version is a date, with or without `-preview`.
fn has_form(version: &str) -> bool {
    let date = version.strip_suffix("-preview").unwrap_or(version);
    let is_digit = |(at, byte): (usize, u8)| match at {
        4 | 7 => byte == b'-',
        _ => byte.is_ascii_digit(),
    };
    date.len() == 10 && date.bytes().enumerate().all(is_digit)
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::super::testing::{GROUPS, SUBSCRIPTION, ZONES, azure, get};

    #[tokio::test]
    async fn a_provider_refuses_a_version_that_it_does_not_have() {
        let azure = azure(Settings::default());
        let check = async |path: &str, version: &str, expected: (u16, &str)| {
            let answered = get(&azure, &format!("{path}?api-version={version}")).await;
            let code = if answered.status == 200 { String::new() } else { answered.error().1 };
            assert_eq!((answered.status.as_u16(), code.as_str()), expected, "{path} {version}");
        };
        let groups = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups");
        check(GROUPS, "2023-05-01", (200, "")).await;
        check(GROUPS, "2025-09-01", (200, "")).await;
        check(GROUPS, "2024-06-01", (400, "NoRegisteredProviderFound")).await;
        check(ZONES, "2024-06-01", (200, "")).await;
        check(ZONES, "2024-06-02", (400, "NoRegisteredProviderFound")).await;
        check(ZONES, "", (400, "MissingApiVersionParameter")).await;
        check(&groups, "2024-11-01", (200, "")).await;
        check(&groups, "latest", (400, "InvalidApiVersionParameter")).await;
        check(&groups, "2024-11-1", (400, "InvalidApiVersionParameter")).await;

        let refused = get(&azure, &format!("{ZONES}/z/A/web?api-version=2023-07-01-preview")).await.json();
        let message = "No registered resource provider found for location 'global' and API version \
                       '2023-07-01-preview' for type 'privateDnsZones/A'. The supported api-versions are '2018-09-01, \
                       2020-01-01, 2020-06-01, 2024-06-01'. The supported locations are ', global'.";
        assert_eq!(refused["error"]["message"], message);
    }
}
