//! A script language for changes in Azure and the delivery of their events.
//!
//! One command per line; `#` starts a comment. Container groups are written `<resource group>/<name>`.
//!
//! | command | does |
//! |---|---|
//! | `set NAME VALUE` | a setting, as in the environment; before the first delivery |
//! | `zone NAME` | creates a zone in the resource group `rg-dns` |
//! | `subnet RG CIDR` | the range of the private addresses of a resource group |
//! | `record TYPE FQDN VALUE[,VALUE] [ttl=N] [auto] [KEY=VALUE]` | writes a record set like a person; `-` for no value |
//! | `store TYPE FQDN JSON` | stores the properties of a record set unchanged, even if the API would refuse them |
//! | `unrecord TYPE FQDN` | removes a record set like a person |
//! | `create GROUP [public\|no-ports\|null-ip\|zero-ip] [at=ADDRESS] [takes=30s] [tag:KEY=VALUE]` | creates a group |
//! | `create GROUP ... [policy=Always\|OnFailure\|Never] [standby] [visible-after=30s]` | likewise; with a restart policy, for a standby pool, not visible to reads at first |
//! | `restart`, `redeploy`, `stop`, `start`, `delete GROUP` | the operations of people; Azure raises an event |
//! | `move GROUP` | the platform moves it; Azure raises no event |
//! | `exit GROUP [CODE]` | its containers exit; the restart policy determines the next state |
//! | `create GROUP ... [image=IMAGE] [logs=WORKSPACE]` | likewise; with this image, and with a workspace whose key Azure hides |
//! | `push IMAGE [twice] [webhook]` | pushes an image, which the app of image updates learns at once; it needs `set ACI_DNS_IMAGES` |
//! | `claim GROUP` | takes it out of its standby pool; Azure raises an event |
//! | `hand-over GROUP GROUP` | the first one moves, and the second one gets its address; Azure raises no event |
//! | `tag GROUP [KEY=VALUE]` | replaces its tags; Azure raises an event |
//! | `state GROUP STATE`, `provisioning GROUP STATE` | makes Azure report this state |
//! | `wait 5m` | lets time pass |
//! | `fail METHOD PATH STATUS [code=CODE] [retry-after=N] [after] [OCCASION]` | Azure answers requests with an error |
//! | `lose METHOD PATH [after] [OCCASION]` | the answer to a request is lost |
//! | `distrust METHOD PATH [OCCASION]` | the certificate of Azure cannot be verified |
//! | `stale PATH [versions=N\|behind=30s\|now] [OCCASION]` | reads return an older version: N changes ago (1), the state of that time ago, or the current one |
//! | `hide PATH [resource-group] [OCCASION]` | reads are answered 404, as if the resource, or its resource group, were too new |
//! | `lock SCOPE CanNotDelete\|ReadOnly`, `unlock SCOPE` | a management lock |
//! | `deny SCOPE ACTION`, `allow SCOPE` | removes a permission; restores all permissions |
//! | `deliver [twice\|reversed\|together]` | delivers the events so far |
//! | `queue` | gives the handler a retry queue, and a Functions host that reads it; `wait` shows the retries |
//! | `drop` | discards the events so far |
//! | `again` | delivers the last delivered event again |
//! | `drift GROUP` | invokes the drift tracker |
//! | `zones` | shows the zones |
//!
//! PATH is a part of the path and query of a request. OCCASION is any of `times=N` (the number of requests; default 1),
//! `skip=N` (the number of requests before them) and `for=30s` (any number of requests within this time). SCOPE is a
//! zone, a resource group, a container group, or a resource id.

mod faults;
mod pushes;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    io::{self, Write},
    time::Duration,
};

use serde_json::{Value, json};

use super::{
    group_of, kind_of,
    queue_trigger::RunningHost,
    show::{self, LogFields},
    stage::{Lines, RECONCILE, Stage, TRACK_DRIFT},
};
use crate::{
    config::{Settings, SettingsError},
    environment,
    telemetry::Telemetry,
};
use azure_simulator::{Azure, GroupSpec, Ip, RecordSetSpec, RestartPolicy, View};

/// Why a line cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum ScenarioError {
    /// There is no such command.
    #[error("unknown command {0:?}")]
    Unknown(String),
    /// A word is missing.
    #[error("the command needs {0}")]
    MissingWord(&'static str),
    /// A word cannot be read.
    #[error("{word:?} is not {expected}")]
    Word {
        /// The word.
        word: String,
        /// The expected form.
        expected: &'static str,
    },
    /// The settings are invalid.
    #[error("the settings are invalid: {}", .0.mistakes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; "))]
    Settings(#[from] SettingsError),
    /// The resource of the command does not exist in the simulator.
    #[error(transparent)]
    Missing(#[from] azure_simulator::Missing),
    /// The output cannot be written.
    #[error("the output cannot be written")]
    Output(#[from] io::Error),
}

/// The subscription of every group and zone of a scenario.
const SUBSCRIPTION: &str = "00000000-0000-0000-0000-000000000000";
/// The resource group of every zone.
const ZONE_RESOURCE_GROUP: &str = "rg-dns";

/// Plays a script line by line.
pub struct Player<Lookup> {
    azure: Azure,
    lines: Lines,
    lookup: Lookup,
    telemetry: Telemetry,
    settings: BTreeMap<String, String>,
    names: Vec<String>,
    stage: Option<Stage>,
    queue_host: Option<RunningHost>,
    image_stage: Option<Stage>,
    image_host: Option<RunningHost>,
    last: Option<Value>,
    output: Vec<LogFields>,
}

impl<Lookup> std::fmt::Debug for Player<Lookup> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Player").field("settings", &self.settings).finish_non_exhaustive()
    }
}

impl<Lookup: Fn(&str) -> Option<String>> Player<Lookup> {
    /// An empty simulated Azure. `lookup` reads the settings that the script does not set.
    pub fn new(azure: Azure, lines: Lines, lookup: Lookup) -> Self {
        let (settings, telemetry) = (BTreeMap::new(), Telemetry::default());
        let names = Vec::new();
        Self {
            azure,
            lines,
            lookup,
            telemetry,
            settings,
            names,
            stage: None,
            queue_host: None,
            image_stage: None,
            image_host: None,
            last: None,
            output: Vec::new(),
        }
    }

    /// The same player, with the names of all variables.
    #[must_use]
    pub fn beside(self, names: Vec<String>) -> Self {
        Self { names, ..self }
    }

    /// The same player, with a listener for the outcome of each event.
    #[must_use]
    pub fn observed(self, telemetry: Telemetry) -> Self {
        Self { telemetry, ..self }
    }

    /// The outcome of each event that was delivered so far.
    #[must_use]
    pub fn output(&self) -> &[LogFields] {
        &self.output
    }

    /// The simulator.
    #[must_use]
    pub fn azure(&self) -> &Azure {
        &self.azure
    }

    /// The handler, which starts with the first delivery.
    pub fn stage(&mut self) -> Result<Stage, ScenarioError> {
        if let Some(stage) = &self.stage {
            return Ok(stage.clone());
        }
        let settings = self.settings()?;
        let stage = Stage::observed(settings, self.azure.clone(), &self.telemetry);
        self.queue_host = stage.start_queue_host();
        self.stage = Some(stage.clone());
        Ok(stage)
    }

    fn settings(&self) -> Result<Settings, SettingsError> {
        let lookup = |name: &str| self.settings.get(name).cloned().or_else(|| (self.lookup)(name));
        let names = self.names.iter().chain(self.settings.keys()).cloned().collect();
        environment::settings(lookup, names)
    }

    /// Plays one line.
    pub async fn play(&mut self, line: &str, out: &mut dyn Write) -> Result<(), ScenarioError> {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            return Ok(());
        }
        writeln!(out, "> {line}")?;
        let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
        let mut words = Words(rest.split_whitespace().collect());
        match command {
            "set" => {
                let (name, value) =
                    rest.split_once(' ').ok_or(ScenarioError::MissingWord("a name and a value"))?;
                self.settings.insert(name.to_owned(), value.trim().to_owned());
                // Other settings need a new handler.
                (self.stage, self.image_stage) = (None, None);
            }
            "zone" => {
                self.azure.create_zone(SUBSCRIPTION, ZONE_RESOURCE_GROUP, words.next("a name")?);
            }
            "subnet" => {
                let (group, range) = (words.next("a resource group")?, words.next("a range")?);
                if !self.azure.set_address_range(SUBSCRIPTION, group, range) {
                    return Err(word(range, "a range such as 10.1.5.0/24"));
                }
            }
            "record" => self.record(words)?,
            "store" => self.store(rest)?,
            "unrecord" => {
                let (kind, fqdn) = (words.next("a type")?, words.next("a name")?);
                let (zone, name) = self.zone_of(fqdn)?;
                self.azure.remove_record_set(&zone, kind, &name)?;
            }
            "create" => self.create(words)?,
            "restart" => self.azure.restart_group(&words.group()?)?,
            "redeploy" => self.azure.redeploy_group(&words.group()?)?,
            "stop" => self.azure.stop_group(&words.group()?)?,
            "start" => self.azure.start_group(&words.group()?)?,
            "delete" => self.azure.delete_group(&words.group()?)?,
            "move" => {
                self.azure.move_group(&words.group()?)?;
            }
            "tag" => {
                let group = words.group()?;
                let tags = words.0.iter().map(|tag| pair(tag)).collect::<Result<_, _>>()?;
                self.azure.set_tags(&group, tags)?;
            }
            "state" => self.azure.set_state(&words.group()?, words.next("a state")?, 0)?,
            "provisioning" => self.azure.set_provisioning_state(&words.group()?, words.next("a state")?)?,
            "wait" => {
                let duration = duration(words.next("a time")?)?;
                tokio::time::sleep(duration).await;
                self.show_lines("retry: ", out)?;
            }
            "queue" => {
                let url = self.azure.queue_url(super::QUEUE_ORIGIN, super::QUEUE);
                self.settings.insert("ACI_DNS_RETRY_QUEUE".to_owned(), url);
                (self.stage, self.image_stage) = (None, None);
            }
            "exit" => {
                let group = words.group()?;
                let exit_code = words.0.first().map_or(Ok(0), |code| parse(code, "an exit code"))?;
                self.azure.exit_containers(&group, exit_code)?;
            }
            "claim" => self.azure.claim_group(&words.group()?)?,
            "hand-over" => {
                self.azure.hand_over_address(&words.group()?, &words.group()?)?;
            }
            "fail" | "lose" | "distrust" | "stale" | "hide" | "lock" | "unlock" | "deny" | "allow" => {
                self.play_fault(command, words)?;
            }
            "deliver" => self.deliver(&words, out).await?,
            "push" => self.push(words, out).await?,
            "drop" => drop(self.azure.take_events()),
            "again" => {
                let event = self.last.clone().ok_or(ScenarioError::MissingWord("a delivery before it"))?;
                self.invoke(RECONCILE, &[event], out).await?;
            }
            "drift" => {
                let group = words.group()?;
                let event = json!({
                    "id": "drift", "subject": group, "eventType": "Microsoft.Resources.ResourceActionSuccess",
                    "eventTime": "2026-01-01T00:00:00Z", "dataVersion": "2", "metadataVersion": "1",
                });
                self.invoke(TRACK_DRIFT, &[event], out).await?;
            }
            "zones" => show::zones(out, &self.azure)?,
            unknown => return Err(ScenarioError::Unknown(unknown.to_owned())),
        }
        Ok(())
    }

    fn record(&self, mut words: Words<'_>) -> Result<(), ScenarioError> {
        let (kind, fqdn, values) = (words.next("a type")?, words.next("a name")?, words.next("values")?);
        let (zone, name) = self.zone_of(fqdn)?;
        let values = values.split(',').filter(|value| *value != "-");
        let mut spec = RecordSetSpec::new(kind, &name, &values.collect::<Vec<_>>());
        for option in words.0 {
            match option.split_once('=') {
                None if option == "auto" => spec.is_auto_registered = true,
                Some(("ttl", seconds)) => spec.ttl = number(seconds)?,
                Some((key, value)) => _ = spec.metadata.insert(key.to_owned(), value.replace('+', " ")),
                None => return Err(word(option, "auto, ttl=N or KEY=VALUE")),
            }
        }
        self.azure.put_record_set(&zone, &spec)?;
        Ok(())
    }

    fn store(&self, rest: &str) -> Result<(), ScenarioError> {
        let mut parts = rest.splitn(3, ' ');
        let mut next = |expected| parts.next().ok_or(ScenarioError::MissingWord(expected));
        let (kind, fqdn, text) = (next("a type")?, next("a name")?, next("properties")?);
        let (zone, name) = self.zone_of(fqdn)?;
        let properties: Value = parse(text, "JSON")?;
        let properties = properties.as_object().ok_or_else(|| word(text, "a JSON object"))?;
        self.azure.store_record_set(&zone, kind, &name, properties)?;
        Ok(())
    }

    fn create(&self, mut words: Words<'_>) -> Result<(), ScenarioError> {
        let (group, name) = split(words.next("a container group")?)?;
        let mut spec = GroupSpec::new(group, name);
        for option in words.0 {
            match option.split_once('=') {
                None if option == "public" => spec.ip = Ip::Public,
                None if option == "no-ports" => spec.ip = Ip::NoIpAddress,
                None if option == "null-ip" => spec.ip = Ip::NullIp,
                None if option == "zero-ip" => spec.ip = Ip::ZeroIp,
                Some(("image", image)) => image.clone_into(&mut spec.image),
                Some(("logs", workspace)) => spec.log_analytics_workspace = Some(workspace.to_owned()),
                Some(("at", address)) => spec.ip = Ip::Fixed(parse(address, "an address")?),
                None if option == "standby" => spec.standby = true,
                Some(("takes", time)) => spec.provisioning = duration(time)?,
                Some(("visible-after", time)) => spec.visible_after = Some(duration(time)?),
                Some(("policy", name)) => {
                    let policy = RestartPolicy::parse(name);
                    spec.restart_policy = policy.ok_or_else(|| word(name, "Always, OnFailure or Never"))?;
                }
                Some((key, value)) if key.starts_with("tag:") => {
                    let key = key.trim_start_matches("tag:").to_owned();
                    spec.tags.insert(key, value.to_owned());
                }
                _ => return Err(word(option, "an option of create")),
            }
        }
        self.azure.create_group(spec);
        Ok(())
    }

    async fn deliver(&mut self, words: &Words<'_>, out: &mut dyn Write) -> Result<(), ScenarioError> {
        let mut events = self.azure.take_events();
        self.last = events.last().cloned().or_else(|| self.last.take());
        match words.0.as_slice() {
            [] => {}
            ["twice"] => events = events.iter().flat_map(|event| [event.clone(), event.clone()]).collect(),
            ["reversed"] => {
                events.reverse();
                self.last = events.last().cloned().or_else(|| self.last.take());
            }
            ["together"] => return self.invoke(RECONCILE, &events, out).await,
            [other, ..] => return Err(word(other, "twice, reversed or together")),
        }
        for event in events {
            self.invoke(RECONCILE, &[event], out).await?;
        }
        Ok(())
    }

    /// Invokes a function with each event, all at the same time.
    async fn invoke(
        &mut self,
        function: &str,
        events: &[Value],
        out: &mut dyn Write,
    ) -> Result<(), ScenarioError> {
        let stage = self.stage()?;
        drop(self.lines.take());
        futures::future::join_all(events.iter().map(|event| stage.invoke(function, event))).await;
        self.show_lines("", out)?;
        Ok(())
    }

    /// Shows the outcomes of events and messages since the last call.
    fn show_lines(&mut self, note: &str, out: &mut dyn Write) -> io::Result<()> {
        for fields in self.lines.take().into_iter().filter_map(LogFields::of) {
            let is_drift = fields.text("function.name") == TRACK_DRIFT;
            let kind = if is_drift { "drift".to_owned() } else { kind_of(&fields) };
            show::event(out, format!("{note}{kind} {}", group_of(&fields)).trim_end(), &fields)?;
            self.output.push(fields);
        }
        Ok(())
    }

    /// The longest zone that contains a name, and the name in it.
    fn zone_of(&self, fqdn: &str) -> Result<(String, String), ScenarioError> {
        let inside = |zone: String| {
            let name = fqdn.strip_suffix(&zone)?.strip_suffix('.')?.to_owned();
            Some((zone, name))
        };
        let containing =
            |view: &View<'_>| view.zones().into_iter().filter_map(inside).max_by_key(|(zone, _)| zone.len());
        self.azure.read(containing).ok_or_else(|| word(fqdn, "a name in one of the zones"))
    }
}

struct Words<'a>(Vec<&'a str>);

impl<'a> Words<'a> {
    fn next(&mut self, expected: &'static str) -> Result<&'a str, ScenarioError> {
        if self.0.is_empty() {
            return Err(ScenarioError::MissingWord(expected));
        }
        Ok(self.0.remove(0))
    }

    /// A container group's resource id.
    fn group(&mut self) -> Result<String, ScenarioError> {
        let (group, name) = split(self.next("a container group")?)?;
        Ok(format!(
            "/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/Microsoft.ContainerInstance/containerGroups/{name}"
        ))
    }
}

fn split(text: &str) -> Result<(&str, &str), ScenarioError> {
    text.split_once('/').ok_or_else(|| word(text, "a container group such as rg-spoke1/web"))
}

fn pair(text: &str) -> Result<(String, String), ScenarioError> {
    let (key, value) = text.split_once('=').ok_or_else(|| word(text, "KEY=VALUE"))?;
    Ok((key.to_owned(), value.to_owned()))
}

fn number(text: &str) -> Result<u64, ScenarioError> {
    parse(text, "a number")
}

fn duration(text: &str) -> Result<Duration, ScenarioError> {
    let is_not = || word(text, "a time such as 30s or 5m");
    let (digits, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(is_not)?;
    let count: u64 = digits.parse().map_err(|_| is_not())?;
    match unit {
        "s" => Ok(Duration::from_secs(count)),
        "m" => Ok(Duration::from_secs(count * 60)),
        _ => Err(is_not()),
    }
}

fn parse<T: std::str::FromStr>(text: &str, expected: &'static str) -> Result<T, ScenarioError> {
    text.parse().map_err(|_| word(text, expected))
}

fn word(word: &str, expected: &'static str) -> ScenarioError {
    ScenarioError::Word { word: word.to_owned(), expected }
}
