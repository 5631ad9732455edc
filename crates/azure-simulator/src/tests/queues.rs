//! The Queue service: messages, visibility, counts and access.

use std::time::Duration;

use http::Method;
use serde_json::{Value, json};
use tower::ServiceExt;

use super::super::testing::{Answered, azure, get, send};
use super::super::{
    Azure, ConnectionDropped, Effect, Fault, FaultAnswer, Permission, Settings, StorageSettings, When,
    queue_scope,
};

const QUEUE: &str = "/devstoreaccount1/aci-dns-retry";

/// Sends a request to the account, with a message if a text is given.
async fn ask(
    azure: &Azure,
    method: Method,
    uri: &str,
    headers: &[(&str, &str)],
    text: Option<&str>,
) -> Answered {
    let mut request = http::Request::builder().method(method).uri(uri).header("host", "127.0.0.1:4711");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let body = text.map_or_else(String::new, |text| {
        format!("<?xml version=\"1.0\"?><QueueMessage><MessageText>{text}</MessageText></QueueMessage>")
    });
    let request = request.body(axum::body::Body::from(body)).unwrap();
    let (parts, body) = azure.router().oneshot(request).await.unwrap().into_parts();
    let dropped = parts.extensions.get::<ConnectionDropped>().is_some();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap_or_default();
    let text = String::from_utf8(bytes.to_vec()).unwrap();
    Answered { status: parts.status, headers: parts.headers, text, dropped }
}

async fn put_message(azure: &Azure, query: &str, text: &str) -> Answered {
    ask(azure, Method::POST, &format!("{QUEUE}/messages?{query}"), &[], Some(text)).await
}

async fn get_messages(azure: &Azure, query: &str) -> Answered {
    ask(azure, Method::GET, &format!("{QUEUE}/messages?{query}"), &[], None).await
}

/// Every element with this name, by its text.
fn elements(answered: &Answered, name: &str) -> Vec<String> {
    let (open, close) = (format!("<{name}>"), format!("</{name}>"));
    let parts = answered.text.split(&open).skip(1);
    parts.map(|part| part.split(&close).next().unwrap().to_owned()).collect()
}

fn texts(answered: &Answered) -> Vec<String> {
    elements(answered, "MessageText")
}

/// The status, and the code, which is the same in header and body.
fn failure(answered: &Answered) -> (u16, String) {
    let code = answered.header("x-ms-error-code").unwrap().to_owned();
    assert_eq!(elements(answered, "Code"), std::slice::from_ref(&code), "{}", answered.text);
    (answered.status.as_u16(), code)
}

fn failed(status: u16, code: &str) -> (u16, String) {
    (status, code.to_owned())
}

/// A query parameter with a value that needs escaping.
fn parameter(name: &str, value: &str) -> String {
    url::form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish()
}

fn azure_with_queue() -> Azure {
    let azure = azure(Settings::default());
    azure.create_queue("aci-dns-retry");
    azure
}

#[tokio::test(start_paused = true)]
async fn a_message_is_put_got_and_deleted_with_the_documents_of_the_service() {
    let azure = azure_with_queue();
    tokio::time::sleep(Duration::from_secs(61)).await;
    let put = put_message(&azure, "visibilitytimeout=0&messagettl=-1", "a&amp;b").await;
    assert_eq!((put.status.as_u16(), put.header("content-type")), (201, Some("application/xml")));
    let id = elements(&put, "MessageId").remove(0);
    let receipt = elements(&put, "PopReceipt").remove(0);
    assert_eq!(
        put.text,
        format!(
            "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><QueueMessagesList><QueueMessage>\
             <MessageId>{id}</MessageId><InsertionTime>Thu, 01 Jan 2026 00:01:01 GMT</InsertionTime>\
             <ExpirationTime>Fri, 31 Dec 9999 23:59:59 GMT</ExpirationTime><PopReceipt>{receipt}</PopReceipt>\
             <TimeNextVisible>Thu, 01 Jan 2026 00:01:01 GMT</TimeNextVisible></QueueMessage></QueueMessagesList>"
        )
    );
    let peeked = get_messages(&azure, "peekonly=true").await;
    assert_eq!(
        (texts(&peeked), elements(&peeked, "DequeueCount")),
        (vec!["a&amp;b".to_owned()], vec!["0".to_owned()])
    );
    assert_eq!(elements(&peeked, "PopReceipt"), Vec::<String>::new());

    let got = get_messages(&azure, "visibilitytimeout=10").await;
    assert_eq!(got.status, 200);
    let receipt = elements(&got, "PopReceipt").remove(0);
    assert_eq!(
        got.text,
        format!(
            "\u{feff}<?xml version=\"1.0\" encoding=\"utf-8\"?><QueueMessagesList><QueueMessage>\
             <MessageId>{id}</MessageId><InsertionTime>Thu, 01 Jan 2026 00:01:01 GMT</InsertionTime>\
             <ExpirationTime>Fri, 31 Dec 9999 23:59:59 GMT</ExpirationTime><PopReceipt>{receipt}</PopReceipt>\
             <TimeNextVisible>Thu, 01 Jan 2026 00:01:11 GMT</TimeNextVisible><DequeueCount>1</DequeueCount>\
             <MessageText>a&amp;b</MessageText></QueueMessage></QueueMessagesList>"
        )
    );
    assert!(receipt.contains('+') && receipt.contains('/'), "a client has to escape it");
    let message = format!("{QUEUE}/messages/{id}?{}", parameter("popreceipt", &receipt));
    let deleted = ask(&azure, Method::DELETE, &message, &[], None).await;
    assert_eq!((deleted.status.as_u16(), deleted.text.as_str()), (204, ""));
    assert_eq!(azure.messages("aci-dns-retry").unwrap(), []);
    let again = ask(&azure, Method::DELETE, &message, &[], None).await;
    assert_eq!(failure(&again), failed(404, "MessageNotFound"));
}

#[tokio::test(start_paused = true)]
async fn a_message_is_hidden_for_its_time_and_each_get_is_counted() {
    let azure = azure_with_queue();
    put_message(&azure, "visibilitytimeout=15", "later").await;
    put_message(&azure, "", "now").await;
    assert_eq!(texts(&get_messages(&azure, "numofmessages=32&visibilitytimeout=30").await), ["now"]);
    tokio::time::sleep(Duration::from_secs(14)).await;
    assert_eq!(texts(&get_messages(&azure, "").await), Vec::<String>::new());
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(texts(&get_messages(&azure, "visibilitytimeout=10").await), ["later"]);
    tokio::time::sleep(Duration::from_secs(15)).await;
    let both = get_messages(&azure, "numofmessages=2").await;
    assert_eq!(texts(&both), ["later", "now"], "in the order in which they became visible");
    assert_eq!(elements(&both, "DequeueCount"), ["2", "2"]);
}

#[tokio::test(start_paused = true)]
async fn a_message_expires_after_a_week_unless_it_says_otherwise() {
    let azure = azure_with_queue();
    put_message(&azure, "", "a week").await;
    put_message(&azure, "messagettl=60", "a minute").await;
    put_message(&azure, "messagettl=-1", "for ever").await;
    let left = || azure.messages("aci-dns-retry").unwrap().into_iter().map(|it| it.text).collect::<Vec<_>>();
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(left(), ["a week", "a minute", "for ever"]);
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert_eq!(left(), ["a week", "for ever"]);
    tokio::time::sleep(Duration::from_hours(24 * 7)).await;
    assert_eq!(left(), ["for ever"]);
}

#[tokio::test(start_paused = true)]
async fn an_update_needs_the_latest_receipt_and_gives_a_new_one() {
    let azure = azure_with_queue();
    put_message(&azure, "", "first").await;
    let got = get_messages(&azure, "").await;
    let (id, receipt) = (elements(&got, "MessageId").remove(0), elements(&got, "PopReceipt").remove(0));
    let uri = |receipt: &str| {
        format!("{QUEUE}/messages/{id}?visibilitytimeout=5&{}", parameter("popreceipt", receipt))
    };
    let updated = ask(&azure, Method::PUT, &uri(&receipt), &[], Some("second")).await;
    assert_eq!(updated.status, 204);
    assert_eq!(updated.header("x-ms-time-next-visible"), Some("Thu, 01 Jan 2026 00:00:05 GMT"));
    let old = ask(&azure, Method::PUT, &uri(&receipt), &[], None).await;
    assert_eq!(failure(&old), failed(400, "PopReceiptMismatch"));
    let new = updated.header("x-ms-popreceipt").unwrap();
    assert_eq!(ask(&azure, Method::PUT, &uri(new), &[], None).await.status, 204);
    tokio::time::sleep(Duration::from_secs(5)).await;
    let got = get_messages(&azure, "").await;
    assert_eq!(texts(&got), ["second"], "an update without a body leaves the text");
    assert_eq!(elements(&got, "DequeueCount"), ["2"], "an update does not count");
    let late = ask(&azure, Method::DELETE, &uri(new), &[], None).await;
    assert_eq!(failure(&late), failed(400, "PopReceiptMismatch"), "another caller has read it since");
}

#[tokio::test]
async fn a_queue_is_created_counted_listed_cleared_and_deleted() {
    let azure = azure(Settings::default());
    let queue = async |method: Method, query: &str, headers: &[(&str, &str)]| {
        ask(&azure, method, &format!("{QUEUE}{query}"), headers, None).await
    };
    assert_eq!(failure(&put_message(&azure, "", "a").await), failed(404, "QueueNotFound"));
    assert_eq!(failure(&get_messages(&azure, "").await), failed(404, "QueueNotFound"));
    assert_eq!(queue(Method::PUT, "", &[("x-ms-meta-team", "dns")]).await.status, 201);
    assert_eq!(queue(Method::PUT, "", &[("x-ms-meta-team", "dns")]).await.status, 204);
    assert_eq!(failure(&queue(Method::PUT, "", &[]).await), failed(409, "QueueAlreadyExists"));
    put_message(&azure, "", "a").await;
    put_message(&azure, "visibilitytimeout=60", "b").await;
    let metadata = queue(Method::GET, "?comp=metadata", &[]).await;
    let reported = (metadata.header("x-ms-approximate-messages-count"), metadata.header("x-ms-meta-team"));
    assert_eq!(reported, (Some("2"), Some("dns")));
    let list = ask(&azure, Method::GET, "/devstoreaccount1?comp=list&prefix=aci", &[], None).await;
    assert_eq!(elements(&list, "Name"), ["aci-dns-retry"]);
    assert_eq!(ask(&azure, Method::DELETE, &format!("{QUEUE}/messages"), &[], None).await.status, 204);
    assert_eq!(azure.messages("aci-dns-retry").unwrap(), []);
    assert_eq!(queue(Method::DELETE, "", &[]).await.status, 204);
    assert_eq!(failure(&queue(Method::DELETE, "", &[]).await), failed(404, "QueueNotFound"));
    assert_eq!(azure.messages("aci-dns-retry"), None);
}

#[tokio::test]
async fn an_invalid_request_is_refused_with_the_codes_of_the_service() {
    let azure = azure_with_queue();
    let out_of_range = failed(400, "OutOfRangeQueryParameterValue");
    let invalid = failed(400, "InvalidQueryParameterValue");
    for (query, expected) in [
        ("visibilitytimeout=604801", &out_of_range),
        ("visibilitytimeout=-1", &out_of_range),
        ("visibilitytimeout=soon", &invalid),
        ("messagettl=0", &invalid),
        ("messagettl=50&visibilitytimeout=50", &invalid),
    ] {
        assert_eq!(failure(&put_message(&azure, query, "a").await), *expected, "{query}");
    }
    for (query, expected) in [
        ("numofmessages=33", &out_of_range),
        ("numofmessages=0", &out_of_range),
        ("visibilitytimeout=0", &out_of_range),
    ] {
        assert_eq!(failure(&get_messages(&azure, query).await), *expected, "{query}");
    }
    let whole = put_message(&azure, "", &"a".repeat(65_536)).await;
    assert_eq!(whole.status, 201);
    let large = put_message(&azure, "", &"a".repeat(65_537)).await;
    assert_eq!(
        (failure(&large), elements(&large, "MaxLimit")),
        (failed(413, "RequestBodyTooLarge"), vec!["65536".to_owned()])
    );
    let empty = ask(&azure, Method::POST, &format!("{QUEUE}/messages"), &[], None).await;
    assert_eq!(failure(&empty), failed(400, "InvalidXmlDocument"));
    for (name, expected) in [
        ("ab", failed(400, "OutOfRangeInput")),
        ("Upper", failed(400, "InvalidResourceName")),
        ("a--b", failed(400, "InvalidResourceName")),
        ("-ab", failed(400, "InvalidResourceName")),
    ] {
        let uri = format!("/devstoreaccount1/{name}");
        assert_eq!(failure(&ask(&azure, Method::PUT, &uri, &[], None).await), expected, "{name}");
    }
    let other = ask(&azure, Method::POST, QUEUE, &[], None).await;
    assert_eq!(failure(&other), invalid);
    let uri = format!("{QUEUE}/messages/1");
    let without = ask(&azure, Method::DELETE, &uri, &[], None).await;
    assert_eq!(failure(&without), failed(400, "MissingRequiredQueryParameter"));
}

#[tokio::test]
async fn an_account_may_be_named_by_the_host() {
    let azure = azure(Settings::default());
    let uri = "https://stacidns.queue.core.windows.net/aci-dns-retry";
    assert_eq!(ask(&azure, Method::PUT, uri, &[], None).await.status, 201);
    let put = ask(&azure, Method::POST, &format!("{uri}/messages"), &[], Some("a")).await;
    assert_eq!(put.status, 201);
    assert_eq!(azure.queues(), Vec::<String>::new(), "it is another account");
    azure.configure(|settings| settings.storage.account = "stacidns".to_owned());
    assert_eq!(azure.messages("aci-dns-retry").unwrap()[0].text, "a");
}

#[tokio::test(start_paused = true)]
async fn faults_affect_the_queue_too() {
    let azure = azure_with_queue();
    let busy = FaultAnswer::new(503, "ServerBusy").retry_after(7);
    azure.inject(Fault::once(Method::POST, "/messages", Effect::Answer(When::Before, busy)));
    let refused = put_message(&azure, "", "a").await;
    assert_eq!((failure(&refused), refused.header("retry-after")), (failed(503, "ServerBusy"), Some("7")));
    let firewall = FaultAnswer::new(403, "AuthorizationFailure");
    azure.inject(Fault::once(Method::POST, "/messages", Effect::Answer(When::Before, firewall)));
    assert_eq!(failure(&put_message(&azure, "", "a").await), failed(403, "AuthorizationFailure"));
    azure.inject(Fault::once(Method::POST, "/messages", Effect::Drop(When::After)));
    assert!(put_message(&azure, "", "stored").await.dropped);
    azure.inject(Fault::once(Method::GET, "/messages", Effect::Delay(When::Before, Duration::from_secs(14))));
    assert_eq!(texts(&get_messages(&azure, "").await), ["stored"]);
    assert_eq!(azure.elapsed(), Duration::from_secs(14));
    let effects: Vec<_> = azure.queue_calls().iter().map(|call| (call.status, call.took_effect)).collect();
    assert_eq!(effects, [(Some(503), false), (Some(403), false), (None, true), (Some(200), true)]);
    assert_eq!(azure.calls(), [], "the queue is not Resource Manager");
}

/// An Azure that requires credentials, and a token for this resource.
async fn azure_with_token(resource: &str) -> (Azure, String) {
    let azure = azure_with_queue();
    azure.configure(|settings| settings.require_token = true);
    let path = format!("/msi/token?resource={resource}&api-version=2019-08-01");
    let header = [("x-identity-header", "simulated-identity-header")];
    let issued = send(&azure, Method::GET, &path, &header, Value::Null).await.json();
    let token = format!("Bearer {}", issued["access_token"].as_str().unwrap());
    (azure, token)
}

#[tokio::test(start_paused = true)]
async fn a_token_needs_the_storage_audience_and_the_data_action() {
    let (azure, token) = azure_with_token("https://storage.azure.com/").await;
    let put = async |token: &str| {
        ask(&azure, Method::POST, &format!("{QUEUE}/messages"), &[("authorization", token)], Some("a")).await
    };
    assert_eq!(put(&token).await.status, 201);
    let metadata = format!("{QUEUE}?comp=metadata");
    let refused = ask(&azure, Method::GET, &metadata, &[], None).await;
    assert_eq!(failure(&refused), failed(401, "NoAuthenticationInformation"));
    assert!(refused.header("www-authenticate").unwrap().contains("resource_id=https://storage.azure.com"));
    assert_eq!(failure(&put("Bearer other").await), failed(401, "InvalidAuthenticationInfo"));

    let action = "Microsoft.Storage/storageAccounts/queueServices/queues/messages/add/action";
    let sender = Permission::new(&[], &[]).with_data(&[action]);
    azure.set_permissions(&queue_scope("devstoreaccount1", ""), vec![sender]);
    assert_eq!(put(&token).await.status, 201);
    let got =
        ask(&azure, Method::GET, &format!("{QUEUE}/messages"), &[("authorization", &token)], None).await;
    assert_eq!(failure(&got), failed(403, "AuthorizationPermissionMismatch"));
    azure.set_permissions(
        &queue_scope("devstoreaccount1", "aci-dns-retry"),
        vec![Permission::new(&["*"], &[])],
    );
    assert_eq!(put(&token).await.status, 403, "an owner of the account has no right to its data");
    let permissions =
        format!("{}/providers/Microsoft.Authorization/permissions", queue_scope("devstoreaccount1", ""));
    let reported = get(&azure, &permissions);
    assert_eq!(reported.await.status, 401, "Resource Manager has its own tokens");

    azure.configure(|settings| settings.storage.accepts_tokens = false);
    assert_eq!(failure(&put(&token).await), failed(401, "InvalidAuthenticationInfo"));
    let (azure, other) = azure_with_token("https://management.azure.com/").await;
    let refused = ask(&azure, Method::GET, &metadata, &[("authorization", &other)], None).await;
    assert_eq!(
        elements(&refused, "AuthenticationErrorDetail"),
        ["Audience validation failed. Audience did not match."]
    );
    azure.configure(|settings| settings.require_token = false);
    assert_eq!(ask(&azure, Method::GET, &metadata, &[], None).await.status, 200);
}

#[tokio::test(start_paused = true)]
async fn a_signature_is_checked_for_its_permissions_and_its_expiry() {
    let azure = azure_with_queue();
    azure.configure(|settings| settings.require_token = true);
    let url = azure.queue_url("http://127.0.0.1:4711", "aci-dns-retry");
    assert!(
        url.starts_with(
            "http://127.0.0.1:4711/devstoreaccount1/aci-dns-retry?sv=2024-11-04&ss=q&srt=sco&sp="
        )
    );
    let (_, query) = url.split_once('?').unwrap();
    let put = async |query: &str| put_message(&azure, query, "a").await;
    assert_eq!(put(query).await.status, 201);
    let forged = query.replace("sp=rwdlacup", "sp=rwdlacupx");
    let refused = put(&forged).await;
    assert_eq!(failure(&refused), failed(403, "AuthenticationFailed"));
    assert_eq!(elements(&refused, "AuthenticationErrorDetail"), ["Signature did not match."]);

    azure.configure(|settings| settings.storage.accepts_keys = false);
    assert_eq!(failure(&put(query).await), failed(403, "KeyBasedAuthenticationNotPermitted"));
    azure.configure(|settings| {
        settings.storage = StorageSettings { key: "b3RoZXI=".to_owned(), ..StorageSettings::default() }
    });
    assert_eq!(failure(&put(query).await), failed(403, "AuthenticationFailed"), "the key was changed");
    azure.configure(|settings| settings.storage = StorageSettings::default());
    tokio::time::sleep(Duration::from_hours(24 * 366)).await;
    let late = put(query).await;
    assert_eq!(
        elements(&late, "AuthenticationErrorDetail"),
        ["Signature not valid in the specified time frame."]
    );
}

#[tokio::test]
async fn the_verbs_create_and_show_queues() {
    let azure = azure(Settings::default());
    let create = send(&azure, Method::POST, "/simulator/queues", &[], json!({"name": "aci-dns-retry"})).await;
    assert_eq!(create.status, 204);
    let id = azure.put_message("aci-dns-retry", "a", Duration::from_secs(5)).unwrap();
    assert!(azure.put_message("none", "a", Duration::ZERO).is_err());
    let displayed = get(&azure, "/simulator/queues").await.json();
    assert_eq!(displayed[0]["name"], "aci-dns-retry");
    let message = &displayed[0]["messages"][0];
    assert_eq!(
        (&message["id"], &message["text"], &message["dequeueCount"]),
        (&json!(id), &json!("a"), &json!(0))
    );
    assert!(message["visibleInSeconds"].as_f64().unwrap() > 4.0 && message["expiresInSeconds"].is_null());
    get_messages(&azure, "").await;
    assert_eq!(get(&azure, "/simulator/queue-calls").await.json()[0]["method"], "GET");
    azure.delete_queue("aci-dns-retry");
    assert_eq!(get(&azure, "/simulator/queues").await.json(), json!([]));
}
