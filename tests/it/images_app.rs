//! The package of the app that updates images: its files, that it runs under the emulated host from its own folder, and
//! that its rights are what its requests need. What pushes do is in the tests of images.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::Duration,
};

use aci_dns::{
    config::Settings,
    replay::stage::{Answer, Stage, envelope},
};
use azure_simulator::{Azure, GroupSpec, Permission, PushSpec};
use serde_json::{Value, json};
use tempfile::tempdir;

use crate::{
    least_privilege::{Actions, action, granted},
    processes::{Program, exchange, wait_for},
    world::{SUBSCRIPTION, id},
};

const PUSHED: &str = "function_image_pushed";
const WEBHOOK: &str = "function_image_webhook";
const RETRY: &str = "function_image_retry";
const IMAGE: &str = "demo.azurecr.io/app:v1";
const PULLED_AGAIN: &str = "restart";

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).to_owned()
}

fn folder() -> PathBuf {
    root().join("apps/images")
}

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// The folders with a function below a folder.
fn functions(folder: &Path) -> BTreeSet<String> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let functions = entries.filter(|path| path.join("function.json").exists());
    functions.map(|path| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn the_two_apps_have_no_function_in_common() {
    assert_eq!(functions(&folder()), [PUSHED, RETRY, WEBHOOK].map(str::to_owned).into());
    assert_eq!(functions(&folder()).intersection(&functions(&root())).count(), 0);
}

#[test]
fn the_files_for_the_host_are_valid() {
    assert_eq!(read(&folder().join("host.json")), read(&root().join("host.json")));
    let check = |function: &str, bindings: Value| {
        assert_eq!(read(&folder().join(function).join("function.json")), json!({"bindings": bindings}));
    };
    check(PUSHED, json!([{"type": "eventGridTrigger", "name": "eventGridEvent", "direction": "in"}]));
    check(
        WEBHOOK,
        json!([
            {
                "type": "httpTrigger", "name": "req", "direction": "in", "authLevel": "function",
                "methods": ["post"],
            },
            {"type": "http", "name": "res", "direction": "out"},
        ]),
    );
    check(
        RETRY,
        json!([{
            "type": "queueTrigger", "name": "retry", "direction": "in", "queueName": "aci-dns-retry",
            "connection": "AzureWebJobsStorage",
        }]),
    );
}

/// The example of the settings, as the host hands it on.
fn example() -> BTreeMap<String, String> {
    let example = read(&folder().join("local.settings.json.example"));
    let values = example["Values"].as_object().unwrap();
    values.iter().map(|(name, value)| (name.clone(), value.as_str().unwrap().to_owned())).collect()
}

#[test]
fn the_example_of_local_settings_is_valid_and_shows_what_the_app_reads() {
    let values = example();
    assert_eq!(values["FUNCTIONS_WORKER_RUNTIME"], "custom");
    let asked = RefCell::new(BTreeSet::new());
    let settings = Settings::from_variables(|name| {
        asked.borrow_mut().insert(name.to_owned());
        values.get(name).cloned()
    });
    let settings = settings.unwrap();
    assert!(settings.images.is_some() && settings.policy.is_read_only());
    let unknown: Vec<_> = values.keys().filter(|name| name.starts_with("ACI_DNS_")).collect();
    let unknown: Vec<_> = unknown.into_iter().filter(|name| !asked.borrow().contains(*name)).collect();
    assert_eq!(unknown, Vec::<&String>::new());
}

#[test]
fn the_example_of_the_map_is_valid() {
    let example = fs::read_to_string(root().join("examples/images/registries.json")).unwrap();
    let settings = Settings::from_variables(|name| (name == "ACI_DNS_IMAGES").then(|| example.clone()));
    assert!(settings.unwrap().images.is_some());
}

/// A process that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn the_images_app_starts_under_the_emulated_host_from_its_own_folder() {
    let place = tempdir().unwrap();
    let app = place.path().join("app");
    // As infra/zip.py puts the package together.
    fs::create_dir(&app).unwrap();
    fs::copy(folder().join("host.json"), app.join("host.json")).unwrap();
    for function in functions(&folder()) {
        fs::create_dir(app.join(&function)).unwrap();
        let file = format!("{function}/function.json");
        fs::copy(folder().join(&file), app.join(&file)).unwrap();
    }
    let executable =
        read(&app.join("host.json"))["customHandler"]["description"]["defaultExecutablePath"].clone();
    let executable = app.join(executable.as_str().unwrap());
    fs::copy(env!("CARGO_BIN_EXE_aci-dns"), &executable).unwrap();

    let simulate = ["simulate", "--port", "0", "--groups", "1", "--provisioning", "0"];
    let azure = Program::start(place.path(), &simulate, &[]);
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mut variables = example();
    variables.retain(|_, value| !value.is_empty());
    let endpoint = format!("http://127.0.0.1:{}/", azure.port);
    variables.insert("ACI_DNS_ARM_ENDPOINT".to_owned(), endpoint.clone());
    variables.insert("IDENTITY_ENDPOINT".to_owned(), format!("{endpoint}msi/token"));
    variables.insert("FUNCTIONS_CUSTOMHANDLER_PORT".to_owned(), free.to_string());
    let output = place.path().join("lines");
    let process = Command::new(&executable)
        .current_dir(&app)
        .env_clear()
        .envs(&variables)
        .stdin(Stdio::null())
        .stdout(fs::File::create(&output).unwrap())
        .spawn()
        .unwrap();
    let _process = Running(process);
    wait_for("the app", || exchange(free, "GET", "/", "", b"").filter(|(status, _)| *status == 200));

    let control = |path: &str, body: &Value| -> Value {
        let (_, answer) = exchange(azure.port, "POST", path, "", body.to_string().as_bytes()).unwrap();
        serde_json::from_str(&answer).unwrap()
    };
    let group = json!({"name": "app", "image": IMAGE, "tags": {"aci-dns-image": PULLED_AGAIN}});
    control("/simulator/groups/create", &group);
    let pushed = control("/simulator/images/push", &json!({"image": IMAGE}));
    let invoke = |function: &str, body: &Value| {
        exchange(free, "POST", &format!("/{function}"), "", body.to_string().as_bytes()).unwrap()
    };
    // A group that has just started has to wait for a minute, so the event reaches it and asks for another delivery.
    let (status, answer) = invoke(PUSHED, &envelope(PUSHED, &pushed["event"]));
    assert_eq!(status, 503, "{answer}");
    let (status, _) = invoke(
        PUSHED,
        &envelope(
            PUSHED,
            &control("/simulator/images/push", &json!({"image": "demo.azurecr.io/other:v1"}))["cloudEvent"],
        ),
    );
    assert_eq!(status, 200);
    let webhook = json!({"Data": {"req": {
        "Url": "http://127.0.0.1/api/function_image_webhook?code=key", "Method": "POST", "Query": {"code": "key"},
        "Headers": {}, "Params": {}, "Identities": [], "Body": "{\"image\": \"demo.azurecr.io/other:v2\"}",
    }}, "Metadata": {}});
    let (status, answer) = invoke(WEBHOOK, &webhook);
    assert!(status == 200 && answer.contains("\"statusCode\":200"), "{status} {answer}");
    let lines = wait_for("the lines", || {
        let text = fs::read_to_string(&output).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let lines: Vec<_> = lines.filter(|line| line.get("outcome").is_some()).collect();
        (lines.len() == 3).then_some(lines)
    });
    let said: Vec<_> = lines
        .iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap_or("-").to_owned();
            format!("{} {} {}", text("function.name"), text("outcome"), text("image.repository"))
        })
        .collect();
    assert_eq!(
        said,
        [
            format!("{PUSHED} unavailable demo.azurecr.io/app"),
            format!("{PUSHED} ignored demo.azurecr.io/other"),
            format!("{WEBHOOK} ignored demo.azurecr.io/other"),
        ]
    );
}

/// An app of image updates for `rg-spoke1` with two groups, one of which is restarted and one of which is replaced.
struct App {
    azure: Azure,
    stage: Stage,
}

impl App {
    async fn new(policy: &str) -> Self {
        let azure = Azure::default();
        azure.create_resource_group(SUBSCRIPTION, "rg-spoke1");
        for (name, tag) in [("web", PULLED_AGAIN), ("api", "semver:^1")] {
            let tags = BTreeMap::from([("aci-dns-image".to_owned(), tag.to_owned())]);
            let image = format!("demo.azurecr.io/{name}:1.0.0");
            azure.create_group(GroupSpec { tags, image, ..GroupSpec::new("rg-spoke1", name) });
        }
        tokio::time::sleep(Duration::from_hours(1)).await;
        azure.clear_calls();
        let key = format!("{SUBSCRIPTION}/rg-spoke1");
        let images = json!({key: {"registries": ["demo.azurecr.io"]}}).to_string();
        let settings = Settings::from_variables(|name| match name {
            "ACI_DNS_IMAGES" => Some(images.clone()),
            "ACI_DNS_POLICY" => Some(policy.to_owned()),
            _ => None,
        });
        Self { stage: Stage::new(settings.unwrap(), azure.clone()), azure }
    }

    async fn push(&self, image: &str) -> Answer {
        let push = self.azure.push_image(&PushSpec::new(image)).unwrap();
        self.stage.post(PUSHED, &envelope(PUSHED, &push.event())).await
    }

    /// The actions that the requests since the last call needed.
    fn needed(&self) -> Actions {
        let calls = self.azure.calls();
        self.azure.clear_calls();
        calls.iter().map(|call| action(call.method.as_str(), &call.path)).collect()
    }

    fn grant(&self, roles: &[&str]) {
        let actions: Actions = roles.iter().flat_map(|role| granted(role)).collect();
        let actions: Vec<_> = actions.iter().map(String::as_str).collect();
        let scope = format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-spoke1");
        self.azure.set_permissions(&scope, vec![Permission::new(&actions, &[])]);
    }
}

#[tokio::test(start_paused = true)]
async fn the_role_of_updates_grants_exactly_what_restarts_need() {
    let app = App::new("sync").await;
    let answer = app.push("demo.azurecr.io/web:1.0.0").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(granted("imageUpdates"), app.needed());
}

#[tokio::test(start_paused = true)]
async fn the_role_of_replacements_grants_what_a_put_needs_besides() {
    let app = App::new("sync").await;
    let answer = app.push("demo.azurecr.io/api:1.1.0").await;
    assert_eq!(answer.status, 200, "{answer:?}");
    // A PUT needs the rights of what the group refers to as well; no request of its own shows them.
    let linked = [
        "Microsoft.ManagedIdentity/userAssignedIdentities/assign/action",
        "Microsoft.Network/virtualNetworks/subnets/join/action",
    ];
    let besides: Actions = app.needed().difference(&granted("imageUpdates")).cloned().collect();
    let expected: Actions = besides.into_iter().chain(linked.map(str::to_owned)).collect();
    assert_eq!(granted("imageReplacements"), expected);
}

#[tokio::test(start_paused = true)]
async fn with_the_role_of_updates_groups_are_restarted_and_none_is_replaced() {
    let app = App::new("sync").await;
    app.grant(&["imageUpdates"]);
    assert_eq!(app.push("demo.azurecr.io/web:1.0.0").await.status, 200);
    let refused = app.push("demo.azurecr.io/api:1.1.0").await;
    assert_eq!(refused.status, 500, "{refused:?}");
    assert_eq!(app.azure.running_images(&id("api"))[0].image, "demo.azurecr.io/api:1.0.0");
    app.grant(&["imageUpdates", "imageReplacements"]);
    assert_eq!(app.push("demo.azurecr.io/api:1.1.0").await.status, 200);
    assert_eq!(app.azure.running_images(&id("api"))[0].image, "demo.azurecr.io/api:1.1.0");
}

#[tokio::test(start_paused = true)]
async fn the_policy_observe_needs_the_read_alone() {
    let app = App::new("observe").await;
    for image in ["demo.azurecr.io/web:1.0.0", "demo.azurecr.io/api:1.1.0"] {
        assert_eq!(app.push(image).await.status, 200);
    }
    assert_eq!(app.needed(), ["Microsoft.ContainerInstance/containerGroups/read".to_owned()].into());
}

/// The samples below a folder of `tests/events/images`, by name.
fn samples(folder: &str) -> BTreeMap<String, String> {
    let folder = root().join("tests/events/images").join(folder);
    let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|extension| extension == "json"));
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        (name, fs::read_to_string(path).unwrap())
    };
    files.map(read).collect()
}

/// Delivers the samples of a folder, and tells the answer and the message for each.
async fn delivered(folder: &str, function: &str, body: impl Fn(&str, &str) -> Value) -> Vec<String> {
    let azure = Azure::default();
    azure.create_resource_group(SUBSCRIPTION, "rg-spoke1");
    let key = format!("{SUBSCRIPTION}/rg-spoke1");
    let images = json!({key: {"registries": ["contoso.azurecr.io"]}}).to_string();
    let settings = Settings::from_variables(|name| (name == "ACI_DNS_IMAGES").then(|| images.clone()));
    let stage = Stage::new(settings.unwrap(), azure);
    let mut told = Vec::new();
    for (name, text) in samples(folder) {
        let answer = stage.post(function, &body(&name, &text)).await;
        let response = &answer.body["Outputs"]["res"]["statusCode"];
        let status = response.as_u64().unwrap_or(u64::from(answer.status));
        let logs = answer.body["Logs"].as_array().into_iter().flatten().filter_map(Value::as_str);
        told.push(format!("{name}: {status} {}", logs.collect::<Vec<_>>().join("; ")));
    }
    told
}

#[tokio::test(start_paused = true)]
async fn the_sample_events_are_read() {
    let body = |_: &str, text: &str| envelope(PUSHED, &serde_json::from_str(text).unwrap());
    let told = delivered("", PUSHED, body).await;
    assert!(told.len() == 6 && told.iter().all(|line| line.contains(": 200 ")), "{told:#?}");
}

#[tokio::test(start_paused = true)]
async fn the_sample_webhooks_are_read() {
    let body = |name: &str, text: &str| {
        let event = name.strip_prefix("github-").map(|kind| kind.split('-').next().unwrap());
        let headers = event.map_or(json!({}), |event| json!({"X-GitHub-Event": [event]}));
        json!({"Data": {"req": {
            "Url": "http://127.0.0.1/api/function_image_webhook?code=key", "Method": "POST", "Query": {"code": "key"},
            "Headers": headers, "Params": {}, "Identities": [], "Body": text,
        }}, "Metadata": {}})
    };
    let told = delivered("webhooks", WEBHOOK, body).await;
    assert!(told.len() == 8 && told.iter().all(|line| line.contains(": 200 ")), "{told:#?}");
}
