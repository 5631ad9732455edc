//! Lists: complete or an error, and from the endpoint only.

use super::*;

fn page(items: &[Value], next: Option<&str>) -> Reply {
    reply(200, &json!({"value": items, "nextLink": next}))
}

fn item(name: &str) -> Value {
    let mut item = web();
    item["name"] = name.into();
    item
}

async fn list(writer: &Writer) -> Result<Vec<String>, ArmError> {
    let list = writer.reader().list_a_record_sets(&zone()).await?;
    Ok(list.into_iter().map(|(name, _)| name.to_string()).collect())
}

#[tokio::test(start_paused = true)]
async fn a_list_follows_its_pages() {
    let next = format!("https://management.azure.com{SUBSCRIPTION}/z/A?api-version=2024-06-01&$skipToken=x");
    let azure = Azure::new([
        page(&[item("a"), item("b")], Some(&next)),
        page(&[], Some(&next)),
        page(&[item("c")], None),
    ]);
    let writer = azure.writer();
    assert_eq!(list(&writer).await.unwrap(), ["a", "b", "c"]);
    assert_eq!(
        azure.lines(),
        [
            format!("GET {SUBSCRIPTION}/spoke1.contoso.internal/A?api-version=2024-06-01&%24top=1000"),
            format!("GET {SUBSCRIPTION}/z/A?api-version=2024-06-01&$skipToken=x"),
            format!("GET {SUBSCRIPTION}/z/A?api-version=2024-06-01&$skipToken=x"),
        ]
    );
    assert_eq!(writer.reader().calls(), 3);
}

#[tokio::test(start_paused = true)]
async fn invocations_share_one_client_and_run_concurrently() {
    let arm = Azure::new([page(&[item("a")], None)]).arm();
    let tasks = (0..3).map(|_| {
        let writer = arm.clone().invocation(Instant::now() + Duration::from_secs(25));
        tokio::spawn(async move { (list(&writer).await.unwrap(), writer.reader().calls()) })
    });
    for result in futures::future::join_all(tasks).await {
        assert_eq!(result.unwrap(), (vec!["a".to_owned()], 1));
    }
}

#[tokio::test(start_paused = true)]
async fn names_that_no_container_group_could_have_are_left_out() {
    let mut unreadable = item("@");
    unreadable["properties"]["metadata"] = json!({"costs": 42});
    let azure = Azure::new([page(&[unreadable, item("*"), item("Web.Sub"), item("a b")], None)]);
    assert_eq!(list(&azure.writer()).await.unwrap(), ["web.sub"]);
}

#[tokio::test(start_paused = true)]
async fn ptr_record_sets_are_listed_with_their_targets() {
    let item = json!({"name": "4.5", "etag": "e1", "properties": {
        "ttl": 60, "metadata": null, "ptrRecords": [{"ptrdname": "Web.Contoso.Internal."}]
    }});
    let azure = Azure::new([page(&[item], None)]);
    let list = azure.writer().reader().list_ptr_record_sets(&zone()).await.unwrap();
    assert_eq!(list.len(), 1);
    assert_eq!(list[0].0.as_str(), "4.5");
    assert_eq!(list[0].1.content.records[0].as_str(), "Web.Contoso.Internal.");
}

#[tokio::test(start_paused = true)]
async fn a_list_with_a_failed_page_is_an_error() {
    let next = format!("https://management.azure.com{SUBSCRIPTION}/z/A?api-version=2024-06-01");
    for (second, expected) in [
        (error(403, "AuthorizationFailed"), Kind::Forbidden),
        (error(404, "ParentResourceNotFound"), Kind::Missing),
        (error(404, "NotFound"), Kind::Missing),
        (throttled(429, "retry-after", "60"), Kind::Transient),
    ] {
        let azure = Azure::new([page(&[item("a")], Some(&next)), second]);
        let error = list(&azure.writer()).await.unwrap_err();
        assert_eq!(error.kind(), expected, "{}", chain(&error));
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_set_that_cannot_be_represented_is_left_out_with_a_warning_that_names_it() {
    let broken = |name: &str, change: fn(&mut Value)| {
        let mut item = item(name);
        change(&mut item["properties"]);
        item
    };
    let warnings = Arc::new(Mutex::new(Vec::new()));
    let (written, filter) = (warnings.clone(), "warn".parse().unwrap());
    let write = move |line: &str| written.lock().unwrap().push(line.to_owned());
    let _guard = tracing::subscriber::set_default(crate::telemetry::subscriber(&filter, write));
    let azure = Azure::new([page(
        &[
            item("a"),
            broken("number", |properties| properties["metadata"] = json!({"costs": 42})),
            broken("null", |properties| properties["metadata"] = json!({"costs": null})),
            broken("empty", |properties| properties["aRecords"] = json!([{"ipv4Address": ""}])),
            broken("ttl", |properties| _ = properties["ttl"].take()),
            item("z"),
        ],
        None,
    )]);
    assert_eq!(list(&azure.writer()).await.unwrap(), ["a", "z"]);
    let ptr = json!({"name": "4.5", "etag": "e1", "properties": {"ttl": 60, "ptrRecords": [{}]}});
    let azure = Azure::new([page(&[ptr], None)]);
    assert!(azure.writer().reader().list_ptr_record_sets(&zone()).await.unwrap().is_empty());
    let warnings = warnings.lock().unwrap();
    for (warning, (name, problem)) in warnings.iter().zip([
        ("number", "metadata"),
        ("null", "metadata"),
        ("empty", "is not an address"),
        ("ttl", "no TTL"),
        ("4.5", "no target"),
    ]) {
        assert!(warning.contains(&format!("\\\"{name}\\\"")) && warning.contains(problem), "{warning}");
    }
    assert_eq!(warnings.len(), 5, "{warnings:?}");
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_is_no_list_is_an_error() {
    let mut nameless = item("web");
    nameless["name"].take();
    for answer in [json!({}), json!({"value": null}), json!([[]]), web(), json!({"value": [nameless]})] {
        let azure = Azure::new([reply(200, &answer)]);
        let error = list(&azure.writer()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Transient, "{}", chain(&error));
    }
}

#[tokio::test(start_paused = true)]
async fn an_endless_list_is_refused() {
    let next = format!("https://management.azure.com{SUBSCRIPTION}/z/A?api-version=2024-06-01");
    let azure = Azure::new([page(&[], Some(&next))]);
    let writer = azure.writer();
    let error = list(&writer).await.unwrap_err();
    assert_eq!((error.kind(), writer.reader().calls()), (Kind::Refused, 1000), "{}", chain(&error));
}

#[tokio::test(start_paused = true)]
async fn a_next_page_on_another_host_is_refused_before_the_request() {
    for next in [
        "https://elsewhere.example/subscriptions/s1?x=1",
        "https://management.azure.com.elsewhere.example/subscriptions/s1",
        "https://management.azure.com@elsewhere.example/subscriptions/s1",
        "https://user:password@management.azure.com/subscriptions/s1",
        "https://management.azure.com:8443/subscriptions/s1",
        "http://management.azure.com/subscriptions/s1",
        "http://127.0.0.1/subscriptions/s1",
        "//elsewhere.example/subscriptions/s1",
        "https://management.azure.com/tenants",
        "https://management.azure.com/subscriptions/../tenants",
        "https://management.azure.com/subscriptions",
        "file:///subscriptions/s1",
        "/tenants",
    ] {
        let azure = Azure::new([page(&[item("a")], Some(next))]);
        let writer = azure.writer();
        let error = list(&writer).await.unwrap_err();
        assert_eq!((error.kind(), writer.reader().calls()), (Kind::Refused, 1), "{next}: {}", chain(&error));
        assert!(!chain(&error).contains("password"));
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_without_encryption_is_refused() {
    for (endpoint, is_sent) in [
        ("http://management.azure.com/", false),
        ("http://10.0.0.4/", false),
        ("ftp://127.0.0.1/", false),
        ("http://127.0.0.1:1234/", true),
        ("http://[::1]:1234/", true),
        ("http://localhost:1234/", true),
        ("https://management.chinacloudapi.cn/", true),
    ] {
        let azure = Azure::new([page(&[], None)]);
        let writer =
            arm(azure.http_transport(), endpoint).invocation(Instant::now() + Duration::from_secs(25));
        let result = list(&writer).await;
        assert_eq!(result.is_ok(), is_sent, "{endpoint}");
        assert_eq!(writer.reader().calls(), u32::from(is_sent), "{endpoint}");
    }
}
