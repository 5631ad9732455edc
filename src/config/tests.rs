//! The settings: accepted values, refused values, and the message of each mistake.

use super::{
    insights::connection_string,
    variables::{ADDRESS_WAIT, DEADLINE},
    *,
};

const ONE_ZONE: &str = r#"{"rg": {"forwardZone": "a.internal", "reverseZones": []}}"#;

fn read(variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let variables = || [("ACI_DNS_ZONES", ONE_ZONE)].iter().chain(variables).rev();
    Settings::from_variables(|name| {
        variables().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned())
    })
}

/// Every setting with a default, as text.
fn reported(settings: &Settings) -> String {
    format!(
        "{:?} {:?} {:?} wait {} deadline {} recheck {} concurrency {} {:?} {} {} {} {:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        settings.ownership,
        settings.policy,
        settings.stopped,
        settings.address_wait.as_secs(),
        settings.deadline.as_secs(),
        settings.recheck.as_secs(),
        settings.max_concurrency,
        settings.cloud,
        settings.arm_endpoint,
        settings.arm_scope,
        settings.cloud.authority(),
        settings.client_id,
        settings.retry_queue.as_ref().map(Url::as_str),
        settings.subscriptions,
        settings.proxy,
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
        reported(&read(&[]).unwrap()),
        "Strict Sync Remove wait 15 deadline 20 recheck 45 concurrency 64 Public https://management.azure.com/ \
         https://management.azure.com/.default https://login.microsoftonline.com/ None None {} None None None \
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
        "ACI_DNS_SUBSCRIPTIONS",
        "ACI_DNS_SWEEP_SUBSCRIPTIONS",
        "ACI_DNS_RETRY_QUEUE",
        "ACI_DNS_RECHECK_SECONDS",
        "HTTPS_PROXY",
        "NO_PROXY",
        "ACI_DNS_ARM_ENDPOINT",
        "ACI_DNS_CLOUD",
        "AZURE_CLIENT_ID",
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        "ACI_DNS_LOGS_ENDPOINT",
        "ACI_DNS_LOGS_RULE_ID",
        "ACI_DNS_LOGS_STREAM",
        "RUST_LOG",
    ];
    let expected = reported(&read(&[]).unwrap());
    for empty in ["", "  "] {
        assert_eq!(reported(&read(&names.map(|name| (name, empty))).unwrap()), expected);
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
        ("ACI_DNS_DEADLINE_SECONDS", "28"),
        ("ACI_DNS_MAX_CONCURRENCY", "1024"),
        ("ACI_DNS_CLOUD", "usgovernment"),
        ("ACI_DNS_ARM_ENDPOINT", "http://127.0.0.1:8181"),
        ("AZURE_CLIENT_ID", "00000000-0000-0000-0000-000000000001"),
        (
            "ACI_DNS_SUBSCRIPTIONS",
            "AAAAAAAA-0000-0000-0000-000000000001, aaaaaaaa-0000-0000-0000-000000000002",
        ),
        ("ACI_DNS_RETRY_QUEUE", "https://stacidns.queue.core.usgovcloudapi.net/aci-dns-retry"),
        ("ACI_DNS_RECHECK_SECONDS", "0"),
        ("HTTPS_PROXY", "http://user:secret@proxy.contoso.com:3128"),
        ("NO_PROXY", "10.0.0.0/8,.contoso.internal"),
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
        reported(&Settings { application_insights: None, logs: None, ..settings.clone() }),
        "Strict UpsertOnly Keep wait 0 deadline 28 recheck 0 concurrency 1024 UsGovernment http://127.0.0.1:8181/ \
         https://management.usgovcloudapi.net/.default https://login.microsoftonline.us/ \
         Some(\"00000000-0000-0000-0000-000000000001\") \
         Some(\"https://stacidns.queue.core.usgovcloudapi.net/aci-dns-retry\") \
         {\"aaaaaaaa-0000-0000-0000-000000000001\", \"aaaaaaaa-0000-0000-0000-000000000002\"} \
         Some(Proxy(Some(\"proxy.contoso.com\"), except \"10.0.0.0/8,.contoso.internal\")) \
         None None LogFilter(\"warn,aci_dns=debug\")"
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
fn telemetry_carries_a_token_only_if_the_host_does() {
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
fn a_cloud_selects_endpoint_and_audience() {
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
    for (deadline, expected) in [("28", 15), ("16", 15), ("15", 14), ("1", 0)] {
        let settings = read(&[(DEADLINE, deadline)]).unwrap();
        assert_eq!(settings.address_wait.as_secs(), expected, "{deadline}");
    }
    for (deadline, wait) in [("10", "10"), ("10", "11"), ("20", "27")] {
        check_mistakes(
            &[(DEADLINE, deadline), (ADDRESS_WAIT, wait)],
            &[&format!("{ADDRESS_WAIT}: {wait} seconds must be less than the {deadline} of {DEADLINE}")],
        );
    }
}

#[test]
fn an_invalid_deadline_is_a_single_mistake() {
    check_mistakes(
        &[(DEADLINE, "0"), (ADDRESS_WAIT, "27")],
        &["ACI_DNS_DEADLINE_SECONDS: \"0\" is not a whole number from 1 to 28"],
    );
}

#[test]
fn numbers_have_ranges() {
    for (name, least, most) in [
        (DEADLINE, 1, 28),
        (ADDRESS_WAIT, 0, 27),
        ("ACI_DNS_MAX_CONCURRENCY", 1, 1024),
        ("ACI_DNS_RECHECK_SECONDS", 0, 300),
    ] {
        for given in ["-1", "1.5", "x", "1025", "99999999999999999999"] {
            let expected = format!("{name}: {given:?} is not a whole number from {least} to {most}");
            check_mistakes(&[(name, given)], &[&expected]);
        }
    }
}

#[test]
fn an_unknown_word_is_reported_with_the_known_ones() {
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
fn the_same_rule_holds_for_other_endpoints() {
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
fn a_connection_string_selects_the_destination_of_telemetry() {
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
fn the_settings_of_log_analytics_must_be_set_together() {
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
fn all_mistakes_are_reported_together() {
    check_mistakes(
        &[
            ("ACI_DNS_ZONES", r#"{"rg": {"forwardZone": "a..b"}}"#),
            ("ACI_DNS_OWNERSHIP", "mine"),
            ("ACI_DNS_CLOUD", "germany"),
            ("AZURE_CLIENT_ID", "a b"),
        ],
        &[
            "ACI_DNS_OWNERSHIP: \"mine\" is not one of adopt, strict",
            "ACI_DNS_CLOUD: \"germany\" is not one of public, usgovernment, china",
            "ACI_DNS_ZONES.rg.reverseZones: is required and not set",
            "ACI_DNS_ZONES.rg.forwardZone: \"a..b\" is not a DNS name: the label \"\" is not 1 to 63 \
             letters, digits, hyphens or underscores without a hyphen at either end",
            "AZURE_CLIENT_ID: \"a b\" is not the client id of a managed identity: letters, digits and hyphens",
        ],
    );
}

#[test]
fn an_unresolved_reference_is_reported_and_is_never_a_file() {
    let vault = "@Microsoft.KeyVault(SecretUri=https://kv-example.vault.azure.net/secrets/zones/)";
    let app = "@microsoft.appconfiguration(Endpoint=https://ac-example.azconfig.io; Key=zones)";
    for name in [
        "ACI_DNS_ZONES",
        "APPLICATIONINSIGHTS_CONNECTION_STRING",
        "AZURE_CLIENT_ID",
        "ACI_DNS_POLICY",
        "RUST_LOG",
    ] {
        for (given, displayed) in
            [(vault, "@Microsoft.KeyVault(...)"), (app, "@microsoft.appconfiguration(...)")]
        {
            check_mistakes(
                &[(name, given)],
                &[&format!(
                    "{name}: is a reference that was not resolved ({displayed}): check its state in the portal \
                     (Settings, Environment variables), and whether the app's identity may read the secret"
                )],
            );
        }
    }
}

#[test]
fn quotes_in_a_value_are_reported() {
    let mistake = |name: &str| format!("{name}: is in quotes, which are part of the value; remove them");
    for (name, given) in [
        ("AZURE_CLIENT_ID", "\"00000000-0000-0000-0000-000000000001\""),
        ("APPLICATIONINSIGHTS_CONNECTION_STRING", "'InstrumentationKey=k'"),
        ("ACI_DNS_POLICY", "\"sync\""),
        ("ACI_DNS_ZONES", "'{\"rg\": {}}'"),
    ] {
        check_mistakes(&[(name, given)], &[&mistake(name)]);
    }
}

/// Reads settings whose map is the file `zones.json`, named in `ACI_DNS_ZONES`.
fn read_file(zones: &str, content: &[u8]) -> Result<Settings, SettingsError> {
    let lookup = |name: &str| (name == "ACI_DNS_ZONES").then(|| zones.to_owned());
    let read_file = |path: &str| match path {
        "zones.json" => Ok(content.to_vec()),
        _ => Err("no such file".to_owned()),
    };
    Settings::read(&Environment { lookup: &lookup, read_file: &read_file, names: vec![] })
}

#[test]
fn the_map_may_be_a_file_in_utf_8_or_utf_16() {
    let expected = read(&[]).unwrap().zones;
    let utf16: Vec<u8> =
        format!("\u{feff}{ONE_ZONE}\r\n").encode_utf16().flat_map(u16::to_le_bytes).collect();
    for content in [ONE_ZONE.as_bytes().to_vec(), format!("\u{feff}{ONE_ZONE}").into_bytes(), utf16] {
        assert_eq!(read_file(" @zones.json ", &content).unwrap().zones, expected);
    }
    for (zones, content, expected) in [
        ("@other.json", "", "names the file \"other.json\", which cannot be read: no such file"),
        ("@", "", "names the file \"\", which cannot be read: no such file"),
        ("@zones.json", "\u{0}", "is not JSON: expected value at line 1 column 1"),
        ("@zones.json", "", "has no entry, so nothing would be managed"),
        (
            "@zones.json",
            "{rg: {}}",
            "has no double quotes, because PowerShell removes them from a value for az; \
          escape each as \\\", or name a file: @FILE",
        ),
        ("@zones.json", "@zones.json", "is not JSON: expected value at line 1 column 1"),
    ] {
        let error = read_file(zones, content.as_bytes()).expect_err("there is a mistake");
        assert_eq!(error.to_string(), format!("ACI_DNS_ZONES: {expected}"));
    }
    let error = read_file("@zones.json", b"{\"caf\xe9\"}").expect_err("there is a mistake");
    assert!(error.to_string().contains("its encoding is unknown"), "{error}");
    let error =
        Settings::from_variables(|name| (name == "ACI_DNS_ZONES").then(|| "@zones.json".into())).unwrap_err();
    assert!(error.to_string().contains("files are not supported here"), "{error}");
}

/// Reads settings together with variables of these names.
fn read_beside(names: &[&str], variables: &[(&str, &str)]) -> Result<Settings, SettingsError> {
    let lookup = |name: &str| {
        let zones = ("ACI_DNS_ZONES", ONE_ZONE);
        variables
            .iter()
            .chain([&zones])
            .find(|(known, _)| *known == name)
            .map(|(_, value)| (*value).to_owned())
    };
    let read_file = |_: &str| Err(String::new());
    let names = names.iter().map(ToString::to_string).collect();
    Settings::read(&Environment { lookup: &lookup, read_file: &read_file, names })
}

#[test]
fn a_misspelt_variable_is_a_mistake_and_an_unknown_one_is_logged() {
    let names = ["PATH", "ACI_DNS_ZONES", "ACI_DNS_FUTURE", "ACI_DNS_POLICIES", "ACI_DNS_DEADLINE"];
    assert_eq!(
        read_beside(&names, &[]).unwrap_err().to_string(),
        "ACI_DNS_POLICIES: is not a setting; did you mean ACI_DNS_POLICY?\n\
         ACI_DNS_DEADLINE: is not a setting; did you mean ACI_DNS_DEADLINE_SECONDS?"
    );
    let settings = read_beside(&names[..3], &[]).unwrap();
    let said: Vec<_> =
        settings.notices.iter().map(|notice| (notice.is_error(), notice.to_string())).collect();
    let expected = "ACI_DNS_FUTURE is not a setting of this version, and is ignored".to_owned();
    assert_eq!(said, [(true, expected)]);
}

#[test]
fn the_old_name_of_the_subscriptions_is_accepted_with_a_warning() {
    const ONE: &str = "aaaaaaaa-0000-0000-0000-000000000001";
    const OTHER: &str = "aaaaaaaa-0000-0000-0000-000000000002";
    let check = |variables: &[(&str, &str)], used: &str, warning: &str| {
        let settings = read(variables).unwrap();
        assert_eq!(settings.subscriptions, BTreeSet::from([used.to_owned()]));
        let warnings: Vec<_> = settings.notices.iter().map(ToString::to_string).collect();
        assert_eq!(warnings, [warning]);
        assert!(settings.notices.iter().all(|notice| !notice.is_error()));
    };
    let (old, new) = ("ACI_DNS_SWEEP_SUBSCRIPTIONS", "ACI_DNS_SUBSCRIPTIONS");
    check(&[(old, ONE)], ONE, &format!("{old} is the old name of {new}; rename it"));
    check(&[(old, ONE), (new, OTHER)], OTHER, &format!("{old} is ignored because {new} is set; remove it"));
    check_mistakes(
        &[(new, "contoso-prod")],
        &[&format!(
            "{new}: \"contoso-prod\" is not the id of a subscription, such as 00000000-0000-0000-0000-000000000000"
        )],
    );
}

#[test]
fn events_of_unlisted_subscriptions_are_unmanaged() {
    let web = |subscription: &str| {
        let subscription = format!("aaaaaaaa-0000-0000-0000-00000000000{subscription}");
        crate::domain::resource_id::ContainerGroupId::new(&subscription, "rg", "web").unwrap()
    };
    let mut settings = read(&[(SUBSCRIPTIONS, "aaaaaaaa-0000-0000-0000-000000000001")]).unwrap();
    assert_eq!(["1", "2"].map(|subscription| settings.zones.serves(&web(subscription))), [true, false]);
    settings.set_subscriptions(["aaaaaaaa-0000-0000-0000-000000000002".to_owned()].into());
    assert_eq!(["1", "2"].map(|subscription| settings.zones.serves(&web(subscription))), [false, true]);
    assert!(read(&[]).unwrap().zones.serves(&web("3")));
}

#[test]
fn the_retry_queue_is_in_the_cloud_or_on_loopback() {
    let queue = |cloud: &str, given: &str| {
        let read = read(&[("ACI_DNS_CLOUD", cloud), ("ACI_DNS_RETRY_QUEUE", given)]);
        read.map(|settings| settings.retry_queue.map(String::from).unwrap_or_default())
    };
    for (cloud, given) in [
        ("public", "https://stacidns.queue.core.windows.net/aci-dns-retry"),
        ("public", "https://stacidns.z15.queue.storage.azure.net/aci-dns-retry"),
        ("usgovernment", "https://stacidns.queue.core.usgovcloudapi.net/q-1"),
        ("china", "https://stacidns.queue.core.chinacloudapi.cn/aci-dns-retry"),
        ("public", "http://127.0.0.1:10001/devstoreaccount1/aci-dns-retry?sv=2024-08-04&sig=secret"),
        ("china", "https://localhost:10001/aci-dns-retry"),
    ] {
        assert_eq!(queue(cloud, given).unwrap(), given);
    }
    for (cloud, given, rule) in [
        ("public", "https://stacidns.queue.core.windows.net.evil.com/aci-dns-retry", "its host must end in"),
        ("public", "https://queue.core.windows.net/aci-dns-retry", "its host must end in"),
        ("public", "https://stacidns.blob.core.windows.net/aci-dns-retry", "its host must end in"),
        (
            "china",
            "https://stacidns.queue.core.windows.net/aci-dns-retry",
            "must end in .queue.core.chinacloudapi.cn",
        ),
        ("public", "http://stacidns.queue.core.windows.net/aci-dns-retry", "use https"),
        ("public", "https://u:p@stacidns.queue.core.windows.net/aci-dns-retry", "user name"),
        ("public", "https://stacidns.queue.core.windows.net/", "the name of a queue"),
        ("public", "https://stacidns.queue.core.windows.net/a/aci-dns-retry", "the name of a queue"),
        ("public", "https://stacidns.queue.core.windows.net/ACI", "the name of a queue"),
        ("public", "https://stacidns.queue.core.windows.net/a--b", "the name of a queue"),
        ("public", "https://stacidns.queue.core.windows.net/aci-dns-retry?sig=secret", "not a signature"),
        ("public", "aci-dns-retry", "it must be a URL such as"),
        ("public", "unix:/queue", "host"),
    ] {
        let error = queue(cloud, given).expect_err(given).to_string();
        assert!(error.starts_with("ACI_DNS_RETRY_QUEUE: ") && error.contains(rule), "{error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn a_proxy_is_parsed_and_its_password_is_never_displayed() {
    let proxy = |name: &str, given: &str| read(&[(name, given)]).map(|settings| settings.proxy.unwrap());
    for (name, given, expected) in [
        ("HTTPS_PROXY", "http://proxy.contoso.com:3128", "http://proxy.contoso.com:3128/"),
        ("https_proxy", "proxy.contoso.com:3128", "http://proxy.contoso.com:3128/"),
        ("HTTPS_PROXY", "https://proxy.contoso.com", "https://proxy.contoso.com/"),
    ] {
        assert_eq!(proxy(name, given).unwrap().url.as_str(), expected);
    }
    assert_eq!(read(&[("NO_PROXY", "contoso.com")]).unwrap().proxy, None, "an exception alone is no proxy");
    for given in ["socks5://user:secret@proxy:1080", "http://", "http://user:secret@:80"] {
        let error = proxy("HTTPS_PROXY", given).expect_err(given).to_string();
        assert_eq!(
            error,
            "HTTPS_PROXY: is not the address of a proxy, such as http://proxy.contoso.com:3128"
        );
    }
    let displayed = format!("{:?}", read(&[("HTTPS_PROXY", "http://user:hunter2@proxy:1")]).unwrap());
    assert!(!displayed.contains("hunter2"), "{displayed}");
}

#[test]
fn a_log_filter_that_matches_no_line_is_a_mistake() {
    for filter in ["Information", "Warning", "None", "Verbose", "info;hyper=warn", "aci-dns=info", "2"] {
        let error = read(&[("RUST_LOG", filter)]).expect_err(filter).to_string();
        assert!(error.starts_with(&format!("RUST_LOG: {filter:?} is not a log filter: ")), "{error}");
    }
}

#[test]
fn a_forbidden_write_needs_no_right() {
    let verbs = |policy: Policy| policy.record_set_verbs().len();
    assert_eq!(
        [Policy::Sync, Policy::UpsertOnly, Policy::AdoptOnly, Policy::Observe].map(verbs),
        [3, 2, 2, 1]
    );
}

#[test]
fn the_schema_has_the_keys_and_words_of_the_parser() {
    let schema: serde_json::Value = serde_json::from_str(ZONES_SCHEMA).unwrap();
    let entry = &schema["$defs"]["entry"];
    let keys: BTreeSet<_> = entry["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, entry::KEYS.into_iter().collect());
    let words = |key: &str| -> Vec<String> {
        let words = entry["properties"][key]["enum"].as_array().unwrap();
        words.iter().map(|word| word.as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(words("policy"), POLICIES.map(|(word, _)| word));
    assert_eq!(words("ownership"), OWNERSHIPS.map(|(word, _)| word));
    let secret = &entry["properties"]["secret"];
    let keys: BTreeSet<_> = secret["properties"].as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(
        (keys, secret["required"].as_array().unwrap().len()),
        (entry::SECRET_KEYS.into_iter().collect(), 1)
    );
    let service = &entry["properties"]["services"]["additionalProperties"]["properties"];
    let keys: BTreeSet<_> = service.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, entry::SERVICE_KEYS.into_iter().collect());
    for required in entry["required"].as_array().unwrap() {
        let key = required.as_str().unwrap();
        let mistakes = ZoneMap::parse(&ONE_ZONE.replace(key, "x")).unwrap_err().to_string();
        assert!(mistakes.contains(&format!("{key}: is required")), "{mistakes}");
    }
}
