//! The settings: what is accepted, what is refused, and how a mistake is told.

use super::*;

const ONE_ZONE: &str = r#"{"rg": {"forwardZone": "a.internal", "reverseZones": []}}"#;

fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let variables = || [("ACI_DNS_ZONES", ONE_ZONE)].iter().chain(variables).rev();
    Settings::from_variables(|name| {
        variables().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

/// Every setting that has a default, as text.
fn told(settings: &Settings) -> String {
    format!(
        "{:?} {:?} {:?} wait {} deadline {} concurrency {} {:?} {} {} {} {:?} {:?} {:?} {:?}",
        settings.ownership,
        settings.policy,
        settings.stopped,
        settings.address_wait.as_secs(),
        settings.deadline.as_secs(),
        settings.max_concurrency,
        settings.cloud,
        settings.arm_endpoint,
        settings.arm_scope,
        settings.cloud.authority(),
        settings.client_id,
        settings.application_insights,
        settings.logs,
        settings.log_filter,
    )
}

fn check_mistakes(variables: &[(&str, &str)], expected: &[&str]) {
    let error = read(variables).expect_err("there is a mistake");
    let mistakes: Vec<String> = error.mistakes.iter().map(ToString::to_string).collect();
    assert_eq!(mistakes, expected, "{variables:?}");
}

#[test]
fn everything_but_the_zones_has_a_default() {
    assert_eq!(
        told(&read(&[]).unwrap()),
        "Adopt Sync Remove wait 15 deadline 25 concurrency 64 Public https://management.azure.com/ \
         https://management.azure.com/.default https://login.microsoftonline.com/ None None None \
         LogFilter(\"info\")"
    );
}

#[test]
fn an_empty_variable_counts_as_unset() {
    let names = [
        "ACI_DNS_OWNERSHIP",
        "ACI_DNS_POLICY",
        "ACI_DNS_STOPPED",
        "ACI_DNS_ADDRESS_WAIT_SECONDS",
        "ACI_DNS_DEADLINE_SECONDS",
        "ACI_DNS_MAX_CONCURRENCY",
        "ACI_DNS_ARM_ENDPOINT",
        "ACI_DNS_CLOUD",
        "AZURE_CLIENT_ID",
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        "ACI_DNS_LOGS_ENDPOINT",
        "ACI_DNS_LOGS_RULE_ID",
        "ACI_DNS_LOGS_STREAM",
        "RUST_LOG",
    ];
    let expected = told(&read(&[]).unwrap());
    for empty in ["", "  "] {
        assert_eq!(told(&read(&names.map(|name| (name, empty))).unwrap()), expected);
    }
    check_mistakes(&[("ACI_DNS_ZONES", "")], &["ACI_DNS_ZONES: is required and not set"]);
}

#[test]
fn every_setting_is_read() {
    let settings = read(&[
        ("ACI_DNS_OWNERSHIP", "strict"),
        ("ACI_DNS_POLICY", "upsert-only"),
        ("ACI_DNS_STOPPED", "keep"),
        ("ACI_DNS_ADDRESS_WAIT_SECONDS", "0"),
        ("ACI_DNS_DEADLINE_SECONDS", "600"),
        ("ACI_DNS_MAX_CONCURRENCY", "1024"),
        ("ACI_DNS_CLOUD", "usgovernment"),
        ("ACI_DNS_ARM_ENDPOINT", "http://127.0.0.1:8181"),
        ("AZURE_CLIENT_ID", "00000000-0000-0000-0000-000000000001"),
        (
            "APPLICATIONINSIGHTS_CONNECTION_STRING",
            "InstrumentationKey=k;IngestionEndpoint=https://w.in.applicationinsights.azure.com/;\
             AADAudience=https://monitor.azure.com/;X=y",
        ),
        ("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", "ClientId=c-1;authorization=aad"),
        ("WEBSITE_SITE_NAME", "func-dns"),
        ("WEBSITE_INSTANCE_ID", "i-1"),
        ("ACI_DNS_LOGS_ENDPOINT", "https://e.ingest.monitor.azure.com"),
        ("ACI_DNS_LOGS_RULE_ID", "dcr-0"),
        ("ACI_DNS_LOGS_STREAM", "Custom-Drift_CL"),
        ("RUST_LOG", "warn,aci_dns=debug"),
    ])
    .unwrap();
    assert_eq!(
        told(&Settings { application_insights: None, logs: None, ..settings.clone() }),
        "Strict UpsertOnly Keep wait 0 deadline 600 concurrency 1024 UsGovernment http://127.0.0.1:8181/ \
         https://management.usgovcloudapi.net/.default https://login.microsoftonline.us/ \
         Some(\"00000000-0000-0000-0000-000000000001\") None None LogFilter(\"warn,aci_dns=debug\")"
    );
    assert_eq!(
        settings.application_insights,
        Some(ApplicationInsights {
            instrumentation_key: "k".into(),
            ingestion_endpoint: "https://w.in.applicationinsights.azure.com/".parse().unwrap(),
            entra: Some(Entra {
                client_id: Some("c-1".into()),
                audience: Some("https://monitor.azure.com".into()),
            }),
            role_name: "func-dns".into(),
            role_instance: Some("i-1".into()),
        })
    );
    assert_eq!(
        settings.logs,
        Some(LogsIngestion {
            endpoint: "https://e.ingest.monitor.azure.com/".parse().unwrap(),
            rule_id: "dcr-0".into(),
            stream: "Custom-Drift_CL".into(),
        })
    );
}

#[test]
fn telemetry_carries_a_token_only_where_the_host_does_the_same() {
    let connection = ("APPLICATIONINSIGHTS_CONNECTION_STRING", "InstrumentationKey=k;AADAudience=https://a/");
    let entra = |text| {
        let settings = read(&[connection, ("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", text)]).unwrap();
        settings.application_insights.unwrap().entra
    };
    assert_eq!(entra(""), None);
    let audience = Some("https://a".to_owned());
    assert_eq!(entra("Authorization=AAD"), Some(Entra { client_id: None, audience }));
    for wrong in ["Authorization=Key", "ClientId=c-1", "AAD", "Authorization=AAD;ClientId=a/b"] {
        check_mistakes(
            &[("APPLICATIONINSIGHTS_AUTHENTICATION_STRING", wrong)],
            &[&format!(
                "APPLICATIONINSIGHTS_AUTHENTICATION_STRING: {wrong:?} is not Authorization=AAD, or \
                 Authorization=AAD;ClientId=<client id of a managed identity>"
            )],
        );
    }
}

#[test]
fn a_cloud_gives_endpoint_and_audience_together() {
    for (cloud, endpoint) in [
        ("public", "https://management.azure.com/"),
        ("usgovernment", "https://management.usgovcloudapi.net/"),
        ("china", "https://management.chinacloudapi.cn/"),
    ] {
        let settings = read(&[("ACI_DNS_CLOUD", cloud)]).unwrap();
        assert_eq!(settings.arm_endpoint.as_str(), endpoint);
        assert_eq!(settings.arm_scope, format!("{endpoint}.default"));
    }
}

#[test]
fn the_wait_for_an_address_is_less_than_the_deadline() {
    for (deadline, expected) in [("600", 15), ("16", 15), ("15", 14), ("1", 0)] {
        let settings = read(&[(DEADLINE, deadline)]).unwrap();
        assert_eq!(settings.address_wait.as_secs(), expected, "{deadline}");
    }
    for (deadline, wait) in [("10", "10"), ("10", "11"), ("25", "30")] {
        check_mistakes(
            &[(DEADLINE, deadline), (ADDRESS_WAIT, wait)],
            &[&format!("{ADDRESS_WAIT}: {wait} seconds are not less than the {deadline} of {DEADLINE}")],
        );
    }
}

#[test]
fn a_wrong_deadline_is_one_mistake_and_not_two() {
    check_mistakes(
        &[(DEADLINE, "0"), (ADDRESS_WAIT, "30")],
        &["ACI_DNS_DEADLINE_SECONDS: \"0\" is not a whole number from 1 to 600"],
    );
}

#[test]
fn numbers_have_ranges() {
    for (name, least, most) in
        [(DEADLINE, 1, 600), (ADDRESS_WAIT, 0, 599), ("ACI_DNS_MAX_CONCURRENCY", 1, 1024)]
    {
        for given in ["-1", "1.5", "x", "1025", "99999999999999999999"] {
            let expected = format!("{name}: {given:?} is not a whole number from {least} to {most}");
            check_mistakes(&[(name, given)], &[&expected]);
        }
    }
}

#[test]
fn an_unknown_word_is_told_with_the_known_ones() {
    check_mistakes(
        &[("ACI_DNS_POLICY", "upsertonly"), ("ACI_DNS_STOPPED", "forget")],
        &[
            "ACI_DNS_POLICY: \"upsertonly\" is not one of sync, upsert-only, observe; \
             did you mean \"upsert-only\"?",
            "ACI_DNS_STOPPED: \"forget\" is not one of remove, keep",
        ],
    );
}

#[test]
fn http_is_accepted_only_for_a_loopback_address() {
    let endpoint = |given| read(&[("ACI_DNS_ARM_ENDPOINT", given)]);
    for given in ["http://127.0.0.1:1/", "http://127.9.9.9/", "http://[::1]:1/", "http://localhost/"] {
        assert!(endpoint(given).is_ok(), "{given}");
    }
    for given in [
        "http://management.azure.com/",
        "http://10.0.0.1/",
        "http://127.0.0.1.nip.io/",
        "http://localhost.contoso.com/",
        "http://169.254.169.254/",
        "ftp://127.0.0.1/",
        "https://user@host/",
        "https://user:password@host/",
        "https://host/path",
        "https://host/?query",
        "https://host/#fragment",
        "unix:/run/arm",
        "management.azure.com",
        "https://",
    ] {
        assert!(endpoint(given).is_err(), "{given}");
    }
}

#[test]
fn the_other_endpoints_are_held_to_the_same_rule() {
    check_mistakes(
        &[
            ("APPLICATIONINSIGHTS_CONNECTION_STRING", "InstrumentationKey=k;IngestionEndpoint=http://a.b/"),
            ("ACI_DNS_LOGS_ENDPOINT", "http://a.b/"),
            ("ACI_DNS_LOGS_RULE_ID", "../x"),
            ("ACI_DNS_LOGS_STREAM", "a?b"),
        ],
        &[
            "APPLICATIONINSIGHTS_CONNECTION_STRING: \"http://a.b/\" is not an endpoint: \
             http is accepted only for a loopback address; use https",
            "ACI_DNS_LOGS_ENDPOINT: \"http://a.b/\" is not an endpoint: \
             http is accepted only for a loopback address; use https",
            "ACI_DNS_LOGS_RULE_ID: \"../x\" is not the immutable id of a data collection rule: \
             letters, digits, hyphens and underscores",
            "ACI_DNS_LOGS_STREAM: \"a?b\" is not the name of a stream: \
             letters, digits, hyphens and underscores",
        ],
    );
}

#[test]
fn a_connection_string_says_where_telemetry_goes() {
    let check = |given, expected: Option<&str>| {
        let endpoint = connection_string(given).ok().map(|read| read.ingestion_endpoint.to_string());
        assert_eq!(endpoint.as_deref(), expected, "{given}");
    };
    check("InstrumentationKey=k", Some("https://dc.services.visualstudio.com/"));
    check(" instrumentationkey = k ; ;EndpointSuffix=a.b;", Some("https://dc.a.b/"));
    check("InstrumentationKey=k;EndpointSuffix=a.b;Location=w", Some("https://w.dc.a.b/"));
    check("IngestionEndpoint=https://a.b/", None);
    check("InstrumentationKey=;IngestionEndpoint=https://a.b/", None);
    check("k", None);
}

#[test]
fn the_three_settings_of_log_analytics_come_together() {
    check_mistakes(
        &[("ACI_DNS_LOGS_RULE_ID", "dcr-0")],
        &[
            "ACI_DNS_LOGS_ENDPOINT: is not set although ACI_DNS_LOGS_RULE_ID is; set all of \
             ACI_DNS_LOGS_ENDPOINT, ACI_DNS_LOGS_RULE_ID and ACI_DNS_LOGS_STREAM, or none",
            "ACI_DNS_LOGS_STREAM: is not set although ACI_DNS_LOGS_RULE_ID is; set all of \
             ACI_DNS_LOGS_ENDPOINT, ACI_DNS_LOGS_RULE_ID and ACI_DNS_LOGS_STREAM, or none",
        ],
    );
}

#[test]
fn a_wrong_log_filter_is_a_mistake() {
    let error = read(&[("RUST_LOG", "aci_dns=loud")]).unwrap_err();
    assert!(matches!(error.mistakes[0].broken, BrokenRule::LogFilter { .. }), "{error}");
}

#[test]
fn every_mistake_is_told_and_not_only_the_first() {
    check_mistakes(
        &[
            ("ACI_DNS_ZONES", r#"{"rg": {"forwardZone": "a..b"}}"#),
            ("ACI_DNS_OWNERSHIP", "mine"),
            ("ACI_DNS_CLOUD", "germany"),
            ("AZURE_CLIENT_ID", "a b"),
        ],
        &[
            "ACI_DNS_ZONES.rg.reverseZones: is required and not set",
            "ACI_DNS_ZONES.rg.forwardZone: \"a..b\" is not a DNS name: the label \"\" is not 1 to 63 \
             letters, digits, hyphens or underscores without a hyphen at either end",
            "ACI_DNS_OWNERSHIP: \"mine\" is not one of adopt, strict",
            "ACI_DNS_CLOUD: \"germany\" is not one of public, usgovernment, china",
            "AZURE_CLIENT_ID: \"a b\" is not the client id of a managed identity: letters, digits and hyphens",
        ],
    );
}

#[test]
fn the_distance_of_words_counts_changed_characters() {
    for (from, to, expected) in
        [("", "", 0), ("", "ab", 2), ("ab", "", 2), ("kitten", "sitting", 3), ("ttl", "tll", 1)]
    {
        assert_eq!(distance(from, to), expected, "{from} {to}");
    }
}
