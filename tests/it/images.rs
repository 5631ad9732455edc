//! Image updates: pushes through the real routes, against the simulator.

mod faults;
mod hooks;
mod pushes;
mod services;
mod simulation;

use std::{cell::Cell, collections::BTreeMap, time::Duration};

use aci_dns::{
    config::{LogFilter, Settings},
    replay::stage::{HandlerAnswer, Lines, Stage, envelope},
};
use azure_simulator::{Azure, GroupSpec, ImagePush, PushSpec};
use http::Method;
use serde_json::{Value, json};
use tracing::subscriber::DefaultGuard;

use crate::world::{QUEUE, SUBSCRIPTION, id, pass};

const APP: &str = "demo.azurecr.io/app";
pub(crate) const PUSHED: &str = "function_image_pushed";
const WEBHOOK: &str = "function_image_webhook";

/// An embedded Azure and the app of image updates.
struct Images {
    azure: Azure,
    stage: Stage,
    settings: BTreeMap<String, String>,
    lines: Lines,
    count: Cell<u32>,
    _subscriber: DefaultGuard,
}

impl Images {
    /// The app for `rg-spoke1` and `demo.azurecr.io`, with these settings.
    fn new(settings: &[(&str, &str)]) -> Self {
        let azure = Azure::default();
        azure.create_resource_group(SUBSCRIPTION, "rg-spoke1");
        azure.create_resource_group(SUBSCRIPTION, "rg-spoke2");
        let map = json!({format!("{SUBSCRIPTION}/rg-spoke1"): {"registries": ["demo.azurecr.io", "ghcr.io/contoso",
            "docker.io/contoso", "harbor.contoso.com:8443"]}});
        let mut all = BTreeMap::from([("ACI_DNS_IMAGES".to_owned(), map.to_string())]);
        all.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
        let lines = Lines::default();
        let subscriber = tracing::subscriber::set_default(lines.subscriber(&LogFilter::default()));
        let stage = stage(&azure, &all);
        Self { azure, stage, settings: all, lines, count: Cell::new(0), _subscriber: subscriber }
    }

    /// The same with a retry queue.
    fn with_queue(settings: &[(&str, &str)]) -> Self {
        let queue = Azure::default().queue_url("http://127.0.0.1:8181", QUEUE);
        let settings: Vec<_> =
            [("ACI_DNS_RETRY_QUEUE", queue.as_str())].into_iter().chain(settings.iter().copied()).collect();
        let images = Self::new(&settings);
        images.azure.create_queue(QUEUE);
        images
    }

    /// One more instance of the app.
    fn instance(&self) -> Stage {
        stage(&self.azure, &self.settings)
    }

    /// Creates `web` in `rg-spoke1`, or `rg-spoke2/web`, an hour ago.
    async fn create(&self, name: &str, tag: &str, image: &str) {
        self.create_as(name, image, &[("aci-dns-image", tag)], |_| ()).await;
    }

    async fn create_as(
        &self,
        name: &str,
        image: &str,
        tags: &[(&str, &str)],
        describe: impl FnOnce(&mut GroupSpec),
    ) {
        let (resource_group, short) = name.split_once('/').unwrap_or(("rg-spoke1", name));
        let mut spec = GroupSpec::new(resource_group, short);
        spec.image = image.to_owned();
        spec.tags = tags.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        describe(&mut spec);
        self.azure.create_group(spec);
        pass(3600).await;
    }

    fn push(&self, image: &str) -> ImagePush {
        self.azure.push_image(&PushSpec::new(image)).unwrap()
    }

    /// Pushes an image and delivers its event a second later.
    async fn deliver(&self, image: &str) -> Done {
        let push = self.push(image);
        pass(1).await;
        self.event(&push.event()).await
    }

    async fn event(&self, event: &Value) -> Done {
        self.invoke(PUSHED, &envelope(PUSHED, event)).await
    }

    async fn invoke(&self, function: &str, body: &Value) -> Done {
        self.azure.clear_calls();
        drop(self.lines.take());
        self.count.set(self.count.get() + 1);
        let answer = self.stage.post(function, body).await;
        self.done(answer)
    }

    fn done(&self, answer: HandlerAnswer) -> Done {
        let lines = self.lines.take().into_iter().filter(|line| line.contains_key("outcome"));
        Done { answer, lines: lines.map(Value::Object).collect(), writes: self.writes() }
    }

    /// Waits until no unfinished push is left, for an hour at most.
    async fn empty_queue(&self) {
        for _ in 0..360 {
            pass(10).await;
            if self.azure.messages(QUEUE).is_some_and(|messages| messages.is_empty()) {
                return;
            }
        }
    }

    /// The writes since the last invocation began, such as `POST web/restart`.
    fn writes(&self) -> Vec<String> {
        let writes = self.azure.calls().into_iter();
        let is_write = |call: &azure_simulator::Call| {
            call.method != Method::GET && call.path.contains("Microsoft.ContainerInstance")
        };
        let show = |call: azure_simulator::Call| {
            let (_, group) = call.path.rsplit_once("/containerGroups/").unwrap();
            format!("{} {}", call.method, group.split('?').next().unwrap())
        };
        writes.filter(is_write).map(show).collect()
    }

    /// The images of a group's containers.
    fn running(&self, name: &str) -> Vec<String> {
        self.azure.running_images(&id(name)).into_iter().map(|running| running.image).collect()
    }

    /// Whether every container of a group runs this push.
    fn runs(&self, name: &str, push: &ImagePush) -> bool {
        self.azure.running_images(&id(name)).iter().all(|running| running.digest == push.digest)
    }
}

fn stage(azure: &Azure, settings: &BTreeMap<String, String>) -> Stage {
    Stage::new(Settings::from_variables(|name| settings.get(name).cloned()).unwrap(), azure.clone())
}

/// What came of one invocation.
#[derive(Debug)]
struct Done {
    answer: HandlerAnswer,
    lines: Vec<Value>,
    writes: Vec<String>,
}

impl Done {
    /// The outcome and the plan of each line.
    fn outcomes(&self) -> Vec<String> {
        let shown = self.lines.iter().map(|line| {
            let plan = line["plan"].as_array().into_iter().flatten().map(|line| line.as_str().unwrap());
            let words: Vec<&str> = std::iter::once(line["outcome"].as_str().unwrap()).chain(plan).collect();
            words.join(" ")
        });
        shown.collect()
    }

    #[track_caller]
    fn is(&self, status: u16, outcomes: &[&str], writes: &[&str]) -> &Self {
        assert_eq!(
            (self.answer.status, self.outcomes()),
            (status, outcomes.iter().map(|text| (*text).to_owned()).collect()),
            "{self:#?}"
        );
        assert_eq!(self.writes, writes, "{self:#?}");
        self
    }

    #[track_caller]
    fn because(&self, text: &str) -> &Self {
        let all = self.lines.iter().map(|line| format!("{} {}", line["message"], line["error"]));
        let all = all.collect::<Vec<_>>().join("\n");
        assert!(all.contains(text), "{all} does not say {text:?}");
        self
    }
}

/// A request of an HTTP trigger, as the host hands it on.
fn hook(body: Option<&str>, headers: &[(&str, &str)]) -> Value {
    let headers: serde_json::Map<String, Value> =
        headers.iter().map(|(name, value)| ((*name).to_owned(), json!([value]))).collect();
    let mut request = json!({
        "Url": "https://func.azurewebsites.net/api/images?code=the-function-key", "Method": "POST",
        "Query": {"code": "the-function-key"}, "Headers": headers, "Params": {}, "Identities": [],
    });
    if let Some(body) = body {
        request["Body"] = body.into();
    }
    json!({"Data": {"req": request}, "Metadata": {"Query": {"code": "the-function-key"}}})
}

/// The time of several retries.
const LONG: Duration = Duration::from_mins(20);
