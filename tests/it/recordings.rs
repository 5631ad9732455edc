//! What the real service answered, replayed against the simulator request by request.
//!
//! `tests/recordings` holds requests and answers that Microsoft's tests of the Azure CLI recorded (Azure/azure-cli, MIT
//! licence), cut down: names are shortened, headers that say nothing of the service are left out. The names of
//! `listrecordsetsbytype-multiplerecordsetspresent` were random; they are replaced by names in the same order.
//!
//! Each answer is compared whole: status, headers and body. Identifiers compare by the order in which they appear, so
//! that an `ETag` has to change where it changed and to stay where it stayed. Every difference that remains stands in
//! [`DIFFERENCES`] with its reason, and one that is not there any more has to leave the table.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::path::Path;
use std::time::Duration;

use axum::body::Body;
use azure_simulator::{Azure, Settings};
use http::Request;
use serde_json::{Map, Value, json};
use tower::ServiceExt;

const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";
const VIEW: &str = "/answer/properties/containers/0/properties/instanceView";

/// Recording (or its beginning), place in the answer (or its beginning), and why the two differ there.
const DIFFERENCES: &[(&str, &str, &str)] = &[
    ("", "/headers/x-ms-ratelimit-remaining-subscription-resource-requests", QUOTA),
    ("", "/headers/x-ms-ratelimit-remaining-subscription-reads", "the recorder removes this header"),
    ("container-create-msi", "/answer/properties/sku", OLD),
    ("container-create-msi", "/answer/properties/provisioningTimeoutInSeconds", OLD),
    ("container-create-msi", "/answer/properties/isCustomProvisioningTimeout", OLD),
    ("container-create-msi", "/answer/properties/initContainers", OLD),
    ("container-create-msi", "/answer/properties/instanceView/events", OLD),
    ("container-create-msi", "/answer/properties/ipAddress/ip", "in 2018 the first answer had the address"),
    (
        "container-create-msi",
        "/answer/properties/containers/0/properties/instanceView/currentState/detailStatus",
        "the service restarts a container at once the first time, and waits 10 s the second time",
    ),
    ("container-git-repo", "/answer/properties/sku", OLD),
    ("container-git-repo", "/answer/properties/provisioningTimeoutInSeconds", OLD),
    ("container-git-repo", "/answer/properties/isCustomProvisioningTimeout", OLD),
    ("container-git-repo", "/answer/properties/initContainers", OLD),
    ("container-attach", "/answer/properties/containers/0/properties/instanceView/events", NO_EVENTS),
    ("container-export", "/answer/properties/containers/0/properties/instanceView/events", NO_EVENTS),
    (
        "container-create-with-msi-scope",
        "/answer/properties/containers/0/properties/instanceView/events",
        NO_EVENTS,
    ),
    ("container-create-msi", "/answer/properties/containers/0/properties/instanceView/events", CREATED),
    ("container-git-repo", "/answer/properties/containers/0/properties/instanceView/events", CREATED),
    (
        "container-create-with-confidential-sku",
        "/answer/properties/confidentialComputeProperties",
        "the service fills in a policy for a confidential group without one",
    ),
];

const QUOTA: &str = "the simulator does not count the requests of a subscription";
const OLD: &str = "recorded in 2018 and 2020; later versions of the API answer this";
const NO_EVENTS: &str = "the service shows no events at first, and none again after a while";
const CREATED: &str = "in 2018 and 2020 there was an event Created, and one BackOff for each of its messages";

/// The recordings by name, each with its requests and answers.
fn recordings() -> Vec<(String, Vec<Value>)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/recordings");
    let mut recordings: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let text = std::fs::read_to_string(&path).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, serde_json::from_str(&text).unwrap())
        })
        .collect();
    recordings.sort_by(|(left, _), (right, _)| left.cmp(right));
    recordings
}

/// Gives identifiers, times and addresses names by which answers of different worlds compare.
#[derive(Default)]
struct Names {
    identifiers: Vec<String>,
}

impl Names {
    fn identifier(&mut self, found: &str) -> String {
        let at = self.identifiers.iter().position(|it| it == found).unwrap_or_else(|| {
            self.identifiers.push(found.to_owned());
            self.identifiers.len() - 1
        });
        format!("identifier {at}")
    }

    fn text(&mut self, text: &str) -> String {
        let is_identifier = |text: &str| text.len() == 36 && text.matches('-').count() == 4;
        if is_identifier(text) && text != SUBSCRIPTION {
            return self.identifier(text);
        }
        if text.len() >= 20 && text.ends_with('Z') && text.as_bytes()[10] == b'T' {
            return "time".to_owned();
        }
        if text.parse::<Ipv4Addr>().is_ok_and(|address| !address.is_unspecified()) {
            return "address".to_owned();
        }
        let cuts = ["/operations/", "@sha256:"];
        cuts.iter()
            .find_map(|cut| Some(format!("{}{cut}", text.split_once(cut)?.0)))
            .unwrap_or_else(|| text.to_owned())
    }

    /// Every leaf of a value by its JSON pointer.
    fn leaves(&mut self, at: &str, value: &Value, leaves: &mut BTreeMap<String, String>) {
        match value {
            Value::Object(members) if !members.is_empty() => {
                for (name, value) in members {
                    self.leaves(&format!("{at}/{name}"), value, leaves);
                }
            }
            Value::Array(items) if !items.is_empty() => {
                for (index, value) in items.iter().enumerate() {
                    self.leaves(&format!("{at}/{index}"), value, leaves);
                }
            }
            // The address in a record is what was written, and not what the service chose.
            Value::String(text) if !at.contains("Records/") => {
                leaves.insert(at.to_owned(), self.text(text));
            }
            value => {
                leaves.insert(at.to_owned(), value.to_string());
            }
        }
    }

    fn exchange(&mut self, exchange: &Value) -> BTreeMap<String, String> {
        let mut leaves = BTreeMap::new();
        for part in ["status", "headers", "answer"] {
            self.leaves(&format!("/{part}"), exchange.get(part).unwrap_or(&Value::Null), &mut leaves);
        }
        leaves
    }
}

/// Headers that both sides are asked for.
const HEADERS: [&str; 14] = [
    "azure-asyncoperation",
    "cache-control",
    "content-type",
    "etag",
    "expires",
    "pragma",
    "x-ms-failure-cause",
    "x-ms-ratelimit-remaining-subscription-deletes",
    "x-ms-ratelimit-remaining-subscription-reads",
    "x-ms-ratelimit-remaining-subscription-resource-entities-read",
    "x-ms-ratelimit-remaining-subscription-resource-requests",
    "x-ms-ratelimit-remaining-subscription-resource-requests-pt1h",
    "x-ms-ratelimit-remaining-subscription-resource-requests-pt5m",
    "x-ms-ratelimit-remaining-subscription-writes",
];

/// Sends the request of an exchange, and answers with the exchange that comes of it.
async fn send(azure: &Azure, recorded: &Value, theirs: &Names, ours: &Names) -> Value {
    let path = recorded["path"].as_str().unwrap();
    let mut request =
        Request::builder().method(recorded["method"].as_str().unwrap()).uri(path).header("host", "h");
    for (name, value) in recorded["conditions"].as_object().into_iter().flatten() {
        // The ETag that the simulator had given when the service gave this one.
        let value = value.as_str().unwrap();
        let at = theirs.identifiers.iter().position(|it| it == value);
        request = request.header(name, at.map_or(value, |at| &ours.identifiers[at]));
    }
    let body = recorded.get("body").map(ToString::to_string).unwrap_or_default();
    let response = azure.router().oneshot(request.body(Body::from(body)).unwrap()).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = axum::body::to_bytes(body, usize::MAX).await.unwrap();
    let headers: Map<_, _> = HEADERS
        .into_iter()
        .filter_map(|name| {
            let value = parts.headers.get(name)?.to_str().unwrap();
            Some((name.to_owned(), value.trim_start_matches("http://h").into()))
        })
        .collect();
    json!({
        "status": parts.status.as_u16(),
        "headers": headers,
        "answer": serde_json::from_slice::<Value>(&bytes).unwrap_or_default(),
    })
}

/// Lets the containers of a group do what they had done when this answer was recorded.
async fn catch_up(azure: &Azure, recorded: &Value) {
    let properties = &recorded["answer"]["properties"];
    if recorded["method"] != "GET" || properties["provisioningState"] != "Succeeded" {
        return;
    }
    let id = recorded["path"].as_str().unwrap().split('?').next().unwrap();
    azure.complete_provisioning(id).unwrap();
    let view = recorded.pointer(VIEW).unwrap();
    let restarts = view["restartCount"].as_u64().unwrap();
    let back_off = |number| Duration::from_secs(10_u64 << number);
    for number in 0..restarts {
        azure.exit_containers(id, 0).unwrap();
        tokio::time::sleep(back_off(number)).await;
    }
    match view["currentState"]["state"].as_str().unwrap() {
        "Running" => {}
        "Waiting" => {
            azure.exit_containers(id, 0).unwrap();
            tokio::time::sleep(back_off(restarts) / 2).await;
        }
        "Terminated" => {
            let exit_code = view["currentState"]["exitCode"].as_i64().unwrap();
            // A second read of the same group finds them ended.
            let _ = azure.exit_containers(id, exit_code);
        }
        state => panic!("{state}"),
    }
}

#[tokio::test(start_paused = true)]
async fn the_simulator_answers_as_the_service_was_recorded() {
    let mut unexpected = Vec::new();
    let mut seen = BTreeSet::new();
    let mut request_records = 0;
    for (name, recording) in recordings() {
        let settings =
            Settings { require_token: false, provisioning: Duration::from_mins(1), ..Settings::default() };
        let azure = Azure::new(settings);
        azure.create_resource_group(SUBSCRIPTION, "rg-recorded");
        if !name.ends_with("zonenotexists") {
            azure.create_zone(SUBSCRIPTION, "rg-recorded", "recorded.internal");
        }
        let (mut theirs, mut ours) = (Names::default(), Names::default());
        for recorded in recording {
            catch_up(&azure, &recorded).await;
            let answered = send(&azure, &recorded, &theirs, &ours).await;
            let (expected, found) = (theirs.exchange(&recorded), ours.exchange(&answered));
            request_records += 1;
            for place in expected.keys().chain(found.keys()).collect::<BTreeSet<_>>() {
                let (expected, found) = (expected.get(place), found.get(place));
                let known = DIFFERENCES
                    .iter()
                    .position(|(recording, at, _)| name.starts_with(recording) && place.starts_with(at));
                match known {
                    _ if expected == found => {}
                    Some(known) => {
                        seen.insert(known);
                    }
                    None => unexpected.push(format!(
                        "{name} {} {place}: recorded {expected:?}, simulated {found:?}",
                        recorded["index"]
                    )),
                }
            }
        }
    }
    assert!(unexpected.is_empty(), "\n{}", unexpected.join("\n"));
    let stale: Vec<_> =
        (0..DIFFERENCES.len()).filter(|at| !seen.contains(at)).map(|at| DIFFERENCES[at]).collect();
    assert!(stale.is_empty(), "no difference any more: {stale:?}");
    assert_eq!(request_records, 93, "every recorded answer is replayed");
}
