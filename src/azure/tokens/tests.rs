//! The cache with a prepared credential, and the platform's identity endpoint over TCP.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicUsize, Ordering},
};

use azure_core1::credentials::TokenRequestOptions;
use tokio::time::sleep;

use super::*;
use crate::{
    azure::arm::{Arm, ArmSettings, Kind},
    domain::dns::Zone,
};

const SCOPE: &str = "https://management.azure.com/.default";

/// The result of one fetch: the lifetime of the token in seconds, or an error.
type Fetched = Result<u64, ErrorKind>;

/// Returns `token-1`, `token-2` and so on; each fetch takes a second.
#[derive(Clone, Debug, Default)]
struct Identity {
    outcomes: Arc<Mutex<VecDeque<Fetched>>>,
    fetches: Arc<AtomicUsize>,
}

impl Identity {
    fn new(outcomes: impl IntoIterator<Item = Fetched>) -> Self {
        Self { outcomes: Arc::new(Mutex::new(outcomes.into_iter().collect())), ..Self::default() }
    }

    fn tokens(&self) -> Tokens {
        let identity = self.clone();
        Tokens::from_credential(None, move || Ok(Arc::new(identity.clone())))
    }

    fn fetches(&self) -> usize {
        self.fetches.load(Ordering::SeqCst)
    }
}

#[async_trait]
impl TokenCredential for Identity {
    async fn get_token(
        &self,
        _: &[&str],
        _: Option<TokenRequestOptions<'_>>,
    ) -> azure_core1::Result<AccessToken> {
        let number = self.fetches.fetch_add(1, Ordering::SeqCst) + 1;
        sleep(Duration::from_secs(1)).await;
        let outcome = self.outcomes.lock().unwrap().pop_front().expect("a further outcome");
        let serves = outcome.map_err(|kind| azure_core1::Error::with_message(kind, "no token"))?;
        let end = SystemTime::now() + Duration::from_secs(serves);
        Ok(AccessToken::new(format!("token-{number}"), end.into()))
    }
}

async fn bearer(tokens: &Tokens) -> String {
    tokens.bearer(SCOPE).await.unwrap().to_string()
}

fn unavailable() -> ErrorKind {
    ErrorKind::HttpResponse { status: StatusCode::ServiceUnavailable, error_code: None, raw_response: None }
}

#[tokio::test(start_paused = true)]
async fn concurrent_requests_share_one_fetch() {
    let identity = Identity::new([Ok(3600)]);
    let tokens = identity.tokens();
    let all = futures::future::join_all((0..50).map(|_| bearer(&tokens))).await;
    assert!(all.iter().all(|token| token == "token-1"));
    assert_eq!(bearer(&tokens.clone()).await, "token-1");
    assert_eq!(identity.fetches(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_cancelled_fetch_does_not_block_the_next() {
    let identity = Identity::new([Ok(3600)]);
    let tokens = identity.tokens();
    assert!(timeout(Duration::from_millis(10), bearer(&tokens)).await.is_err());
    assert_eq!(bearer(&tokens).await, "token-2");
}

#[tokio::test(start_paused = true)]
async fn a_token_is_refreshed_before_its_expiry_without_blocking_requests() {
    let identity = Identity::new([Ok(3600), Ok(3600)]);
    let tokens = identity.tokens();
    bearer(&tokens).await;
    sleep(Duration::from_mins(50)).await;
    assert_eq!(bearer(&tokens).await, "token-1");
    sleep(Duration::from_secs(400)).await;
    let started = Instant::now();
    let both = tokio::join!(bearer(&tokens), bearer(&tokens));
    assert_eq!(both, ("token-1".to_owned(), "token-1".to_owned()));
    assert_eq!(started.elapsed(), Duration::ZERO);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(bearer(&tokens).await, "token-2");
    assert_eq!(identity.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_token_is_used_until_its_expiry_if_refreshing_fails() {
    let identity = Identity::new([Ok(3600), Err(unavailable()), Err(ErrorKind::Credential), Ok(3600)]);
    let tokens = identity.tokens();
    bearer(&tokens).await;
    sleep(Duration::from_secs(3400)).await;
    for _ in 0..3 {
        assert_eq!(bearer(&tokens).await, "token-1");
        sleep(Duration::from_secs(2)).await;
    }
    assert_eq!(identity.fetches(), 2, "a failure is not repeated at every request");
    sleep(Duration::from_secs(40)).await;
    assert_eq!(bearer(&tokens).await, "token-1");
    sleep(Duration::from_secs(200)).await;
    assert_eq!(bearer(&tokens).await, "token-4");
}

#[tokio::test(start_paused = true)]
async fn a_rejected_token_is_dropped_but_not_its_successor() {
    let identity = Identity::new([Ok(3600), Ok(3600)]);
    let tokens = identity.tokens();
    bearer(&tokens).await;
    tokens.reject(SCOPE, "token-1");
    assert_eq!(bearer(&tokens).await, "token-2");
    tokens.reject(SCOPE, "token-1");
    assert_eq!(bearer(&tokens).await, "token-2");
    assert_eq!(identity.fetches(), 2);
}

#[tokio::test(start_paused = true)]
async fn each_scope_has_its_own_token() {
    let identity = Identity::new([Ok(3600), Ok(3600)]);
    let tokens = identity.tokens();
    assert_eq!(bearer(&tokens).await, "token-1");
    assert_eq!(&*tokens.bearer("https://monitor.azure.com/.default").await.unwrap(), "token-2");
}

#[tokio::test(start_paused = true)]
async fn only_a_failing_endpoint_is_retried() {
    let wrapped = |kind: ErrorKind| {
        azure_core1::Error::with_error(
            ErrorKind::Credential,
            azure_core1::Error::with_message(kind, "x"),
            "y",
        )
    };
    let status = |status| ErrorKind::HttpResponse { status, error_code: None, raw_response: None };
    for (kind, expected) in [
        (ErrorKind::Connection, true),
        (ErrorKind::Io, true),
        (status(StatusCode::InternalServerError), true),
        (status(StatusCode::TooManyRequests), true),
        (status(StatusCode::BadRequest), false),
        (status(StatusCode::Forbidden), false),
        (ErrorKind::DataConversion, false),
        (ErrorKind::Credential, false),
        (ErrorKind::Other, false),
    ] {
        assert_eq!(is_transient(&wrapped(kind.clone())), expected, "{kind}");
    }
}

/// Reads a record set from a Resource Manager that accepts one token only. Returns the requests, and the
/// error if there is one.
async fn read(identity: &Identity, endpoint: &str, accepted: &'static str) -> (u32, Option<Kind>) {
    let answer = move |request: http::Request<axum::body::Body>| async move {
        let is_accepted = request.headers()["authorization"] == format!("Bearer {accepted}");
        let status = if is_accepted { http::StatusCode::NOT_FOUND } else { http::StatusCode::UNAUTHORIZED };
        (status, r#"{"error": {"code": "NotFound", "message": "no"}}"#)
    };
    let http_transport = HttpTransport::embedded(axum::Router::new().fallback(answer));
    let settings =
        ArmSettings { endpoint: endpoint.parse().unwrap(), scope: SCOPE.to_owned(), jitter_seed: 1 };
    let writer = Arm::new(settings, http_transport, identity.tokens())
        .invocation(Instant::now() + Duration::from_secs(25));
    let zone = Zone {
        subscription: "s1".into(),
        resource_group: "rg".into(),
        name: "contoso.internal".parse().unwrap(),
    };
    let result = writer.reader().a_record_set(&zone, &"web".parse().unwrap()).await;
    (writer.reader().calls(), result.err().map(|error| error.kind()))
}

#[tokio::test(start_paused = true)]
async fn an_unauthenticated_request_is_retried_once_with_a_new_token() {
    let endpoint = "https://management.azure.com/";
    let identity = Identity::new([Ok(3600), Ok(3600)]);
    assert_eq!(read(&identity, endpoint, "token-2").await, (2, None));
    let identity = Identity::new([Ok(3600), Ok(3600)]);
    assert_eq!(read(&identity, endpoint, "another").await, (2, Some(Kind::Forbidden)));
}

#[tokio::test(start_paused = true)]
async fn no_token_is_fetched_for_a_refused_address() {
    let identity = Identity::new([Ok(3600)]);
    assert_eq!(read(&identity, "http://10.0.0.4/", "token-1").await, (0, Some(Kind::Refused)));
    assert_eq!(identity.fetches(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_warmed_up_client_has_a_token() {
    let identity = Identity::new([Err(ErrorKind::Credential), Ok(3600)]);
    let url = "https://management.azure.com/".parse().unwrap();
    let settings = ArmSettings { endpoint: url, scope: SCOPE.to_owned(), jitter_seed: 1 };
    let tokens = identity.tokens();
    let arm = Arm::new(settings, HttpTransport::embedded(axum::Router::new()), tokens.clone());
    arm.warm_up().await;
    arm.warm_up().await;
    assert_eq!(identity.fetches(), 2, "the first fetch failed");
    let started = Instant::now();
    assert_eq!((bearer(&tokens).await, started.elapsed()), ("token-2".to_owned(), Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_deadline_ends_the_wait_for_a_token() {
    let tokens = Identity::new([Ok(3600)]).tokens();
    let http_transport = HttpTransport::embedded(axum::Router::new());
    let url = "https://management.azure.com/".parse().unwrap();
    let settings = ArmSettings { endpoint: url, scope: SCOPE.to_owned(), jitter_seed: 1 };
    let writer =
        Arm::new(settings, http_transport, tokens).invocation(Instant::now() + Duration::from_millis(500));
    let id = crate::domain::resource_id::ContainerGroupId::new("s1", "rg", "web").unwrap();
    let error = writer.reader().container_group(&id).await.unwrap_err();
    assert_eq!((error.kind(), writer.reader().calls()), (Kind::Transient, 0));
}

/// With the environment of a function app. `IDENTITY_ENDPOINT` is read from the environment of the process
/// only, so each of these tests runs itself again in a child process.
mod platform {
    use std::{
        fmt::Write,
        process::{self, Output},
        sync::MutexGuard,
    };

    use axum::{Router, extract::Request as Incoming, response::IntoResponse};
    use tokio::{net::TcpListener, process::Command};
    use tracing::{Metadata, Subscriber, field::Visit, span};

    use super::*;
    use crate::{azure::arm::ArmError, decide::report::Chain};

    const SECRET: &str = "identity-secret";

    /// Set in the child process.
    const IS_PLAYED: &str = "ACI_DNS_TEST_IS_PLAYED";

    /// Runs the test of this name again, in a child process as a function app with this identity endpoint.
    /// The child process reads record sets, reports, and ends here.
    async fn play(
        test: &str,
        status: u16,
        body: String,
        environment: &[(&str, &str)],
    ) -> (String, Vec<String>) {
        if env::var_os(IS_PLAYED).is_some() {
            let report = function_app().await;
            std::io::Write::write_all(&mut std::io::stdout(), report.as_bytes()).unwrap();
            process::exit(0);
        }
        let seen = Arc::new(Mutex::new(Vec::new()));
        let requests = seen.clone();
        let answer = move |request: Incoming| {
            let header = |name| request.headers().get(name).map_or("", |value| value.to_str().unwrap());
            let line = format!("{} {}", request.uri(), header("x-identity-header"));
            requests.lock().unwrap().push(line);
            async move { (http::StatusCode::from_u16(status).unwrap(), body).into_response() }
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/msi/token", listener.local_addr().unwrap());
        tokio::spawn(axum::serve(listener, Router::new().fallback(answer)).into_future());
        let (_, module) = module_path!().split_once("::").unwrap();
        let output = Command::new(env::current_exe().unwrap())
            .args(["--exact", &format!("{module}::{test}"), "--nocapture"])
            .envs([("IDENTITY_ENDPOINT", endpoint.as_str()), ("IDENTITY_HEADER", SECRET), (IS_PLAYED, "yes")])
            .envs(environment.iter().copied())
            .output()
            .await
            .unwrap();
        let reported = text(&output);
        assert!(output.status.success(), "{reported}");
        let seen = seen.lock().unwrap().clone();
        (reported, seen)
    }

    fn granted() -> String {
        let end = SystemTime::now() + Duration::from_hours(1);
        let end = end.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
        format!(
            r#"{{"access_token":"platform-token","expires_on":"{end}","resource":"https://management.azure.com","token_type":"Bearer"}}"#
        )
    }

    fn text(output: &Output) -> String {
        format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
    }

    #[tokio::test]
    async fn the_managed_identity_gets_one_request_and_its_token_is_in_no_log() {
        const TEST: &str = "the_managed_identity_gets_one_request_and_its_token_is_in_no_log";
        for (client_id, query) in [("", ""), ("c1", "&client_id=c1")] {
            let (text, requests) = play(TEST, 200, granted(), &[("TEST_CLIENT_ID", client_id)]).await;
            assert!(text.contains("calls=3 kind=None authorization=Bearer platform-token x3"), "{text}");
            let resource = "resource=https%3A%2F%2Fmanagement.azure.com";
            let expected = format!("/msi/token?api-version=2019-08-01&{resource}{query} {SECRET}");
            assert_eq!(requests, [expected]);
        }
    }

    #[tokio::test]
    async fn an_unassigned_identity_is_a_permanent_failure() {
        const TEST: &str = "an_unassigned_identity_is_a_permanent_failure";
        let (text, requests) = play(TEST, 400, r#"{"statusCode":400}"#.to_owned(), &[]).await;
        assert!(text.contains("calls=0 kind=Some(Forbidden)"), "{text}");
        assert!(text.contains("AZURE_CLIENT_ID"), "{text}");
        assert_eq!(requests.len(), 1);
    }

    #[tokio::test]
    async fn the_message_of_the_identity_endpoint_is_reported_with_its_fix() {
        const TEST: &str = "the_message_of_the_identity_endpoint_is_reported_with_its_fix";
        let several = r#"{"error": "invalid_request", "error_description": "Multiple user assigned identities exist, please specify the clientId / resourceId of the identity in the token request"}"#;
        let none = r#"{"statusCode":400,"message":"No managed identity found"}"#;
        for (body, client_id, words, fix) in [
            (
                several,
                "",
                "Multiple user assigned identities exist",
                "set AZURE_CLIENT_ID to the client id of one",
            ),
            (
                several,
                "c1",
                "Multiple user assigned identities exist",
                "AZURE_CLIENT_ID is \"c1\"; correct it",
            ),
            (none, "", "No managed identity found", "assign a managed identity to the app"),
            ("not JSON", "c1", "not JSON", "AZURE_CLIENT_ID is \"c1\"; correct it"),
        ] {
            let (text, _) = play(TEST, 400, body.to_owned(), &[("TEST_CLIENT_ID", client_id)]).await;
            assert!(text.contains("calls=0 kind=Some(Forbidden)"), "{text}");
            assert!(text.contains(words) && text.contains(fix), "{text}");
            assert!(!text.contains("has not been assigned"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_token_with_a_numeric_expiry_is_accepted() {
        const TEST: &str = "a_token_with_a_numeric_expiry_is_accepted";
        for end in ["4102444800", "4102444800.0"] {
            let body = format!(
                r#"{{"access_token":"platform-token","expires_on":{end},"resource":"x","token_type":"Bearer"}}"#
            );
            let (text, _) = play(TEST, 200, body, &[]).await;
            assert!(text.contains("calls=3 kind=None authorization=Bearer platform-token x3"), "{text}");
        }
    }

    #[tokio::test]
    async fn a_failing_identity_endpoint_is_retried_within_limits() {
        const TEST: &str = "a_failing_identity_endpoint_is_retried_within_limits";
        let (text, requests) = play(TEST, 503, "busy".to_owned(), &[]).await;
        assert!(text.contains("calls=0 kind=Some(Transient)"), "{text}");
        assert_eq!(requests.len(), 3);
    }

    #[tokio::test]
    async fn a_machine_without_ca_certificates_is_reported_at_each_request() {
        const TEST: &str = "a_machine_without_ca_certificates_is_reported_at_each_request";
        let none = [("SSL_CERT_FILE", "/dev/null"), ("SSL_CERT_DIR", "/dev/null")];
        let (text, requests) = play(TEST, 200, granted(), &none).await;
        assert!(text.contains("calls=0 kind=Some(Refused)"), "{text}");
        assert!(text.contains("the HTTP client cannot be set up"), "{text}");
        assert_eq!(requests.len(), 0);
    }

    /// A Linux container group has no `IDENTITY_ENDPOINT`. The address is fixed, so an embedded service
    /// answers.
    #[tokio::test]
    async fn a_container_group_uses_the_metadata_service() {
        const TEST: &str = "a_container_group_uses_the_metadata_service";
        if env::var_os(IS_PLAYED).is_some() {
            let seen = Arc::new(Mutex::new(Vec::new()));
            let requests = seen.clone();
            let answer = move |request: Incoming| {
                let host = request.headers()["host"].to_str().unwrap().to_owned();
                let metadata = request.headers()["metadata"].to_str().unwrap().to_owned();
                requests.lock().unwrap().push(format!("{host} {} {metadata}", request.uri().path()));
                async { granted() }
            };
            let http_transport = HttpTransport::embedded(Router::new().fallback(answer));
            let token = Tokens::azure(Some("c1".into()), &http_transport).bearer(SCOPE).await.unwrap();
            let report = format!("{token} {:?}", seen.lock().unwrap());
            std::io::Write::write_all(&mut std::io::stdout(), report.as_bytes()).unwrap();
            process::exit(0);
        }
        let (_, module) = module_path!().split_once("::").unwrap();
        for reported in
            [("IDENTITY_HEADER", SECRET), ("AZURE_TOKEN_CREDENTIALS", "managedidentitycredential")]
        {
            let output = Command::new(env::current_exe().unwrap())
                .args(["--exact", &format!("{module}::{TEST}"), "--nocapture"])
                .env_clear()
                .envs([reported, (IS_PLAYED, "yes")])
                .output()
                .await
                .unwrap();
            let expected = r#"platform-token ["169.254.169.254 /metadata/identity/oauth2/token true"]"#;
            assert!(text(&output).contains(expected), "{reported:?}: {}", text(&output));
        }
    }

    /// Every log event of every library.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<String>>);

    impl Log {
        fn text(&self) -> MutexGuard<'_, String> {
            self.0.lock().unwrap()
        }
    }

    impl Subscriber for Log {
        fn enabled(&self, _: &Metadata<'_>) -> bool {
            true
        }
        fn new_span(&self, span: &span::Attributes<'_>) -> span::Id {
            span.record(&mut Line(self));
            span::Id::from_u64(1)
        }
        fn record(&self, _: &span::Id, values: &span::Record<'_>) {
            values.record(&mut Line(self));
        }
        fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
        fn event(&self, event: &tracing::Event<'_>) {
            self.text().push_str(event.metadata().target());
            event.record(&mut Line(self));
            self.text().push('\n');
        }
        fn enter(&self, _: &span::Id) {}
        fn exit(&self, _: &span::Id) {}
    }

    struct Line<'a>(&'a Log);

    impl Visit for Line<'_> {
        fn record_debug(&mut self, field: &tracing::field::Field, value: &dyn fmt::Debug) {
            write!(self.0.text(), " {}={value:?}", field.name()).unwrap();
        }
    }

    /// Reads three record sets with a token of the platform, and reports the result. Asserts that no log line
    /// of any level and any library contains a secret.
    async fn function_app() -> String {
        let log = Log::default();
        tracing::subscriber::set_global_default(log.clone()).unwrap();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}/", listener.local_addr().unwrap());
        let authorizations = Arc::new(Mutex::new(Vec::new()));
        let seen = authorizations.clone();
        let answer = move |request: Incoming| {
            seen.lock().unwrap().push(request.headers()["authorization"].to_str().unwrap().to_owned());
            async { (http::StatusCode::NOT_FOUND, r#"{"code":"NotFound","message":"none"}"#) }
        };
        tokio::spawn(axum::serve(listener, Router::new().fallback(answer)).into_future());
        let client_id = env::var("TEST_CLIENT_ID").ok().filter(|id| !id.is_empty());
        let http_transport = HttpTransport::network();
        let tokens = Tokens::azure(client_id, &http_transport);
        let settings =
            ArmSettings { endpoint: endpoint.parse().unwrap(), scope: SCOPE.to_owned(), jitter_seed: 1 };
        let writer =
            Arm::new(settings, http_transport, tokens).invocation(Instant::now() + Duration::from_secs(20));
        let zone = Zone {
            subscription: "s1".into(),
            resource_group: "rg".into(),
            name: "contoso.internal".parse().unwrap(),
        };
        let mut failure = None;
        for name in ["a", "b", "c"] {
            failure = writer.reader().a_record_set(&zone, &name.parse().unwrap()).await.err();
            if failure.is_some() {
                break;
            }
        }
        let (calls, kind) = (writer.reader().calls(), failure.as_ref().map(ArmError::kind));
        let authorizations = authorizations.lock().unwrap();
        let authorization = authorizations.first().cloned().unwrap_or_default();
        let count = authorizations.len();
        let reported = failure.as_ref().map_or_else(String::new, |error| Chain(error).to_string());
        assert!(!format!("{failure:?}").contains(SECRET));
        let report = format!("calls={calls} kind={kind:?} authorization={authorization} x{count} {reported}");
        let log = log.text();
        assert!(log.contains("the following request will be passed to the transport"), "{log}");
        for secret in ["platform-token", SECRET] {
            assert!(!log.contains(secret), "{log}");
        }
        assert!(!report.contains(SECRET), "{report}");
        report
    }
}
