//! Plays events through the real router and the real Resource Manager client, against an embedded Azure; or sends
//! them to a handler, or to a Functions host, that runs elsewhere.
//!
//! The embedded Azure is made from the events themselves ([`story`]) or by a script ([`scenario`]). Everything
//! runs in this process on a clock that the caller paused, so waiting costs no time and the same events always
//! give the same output.

pub mod files;
mod pushes;
pub mod queue_trigger;
pub mod remote;
pub mod scenario;
pub mod show;
pub mod stage;
pub mod story;

use std::{
    collections::BTreeMap,
    fs,
    io::{self, Write},
    path::{Path, PathBuf},
    time::Duration,
};

use anstyle::AnsiColor;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use self::{
    files::{Events, FileError, Found},
    pushes::PushDocument,
    queue_trigger::QueueOptions,
    scenario::{Player, ScenarioError},
    show::Told,
    stage::{Lines, RECONCILE, Stage},
    story::Story,
};
use crate::{
    config::SettingsError,
    decide::report::Chain,
    domain::text::{self, printable},
    environment,
    telemetry::Telemetry,
};
use azure_simulator::{Azure, MessageView};

/// The retry queue in the embedded Azure.
const QUEUE: &str = "aci-dns-retry";
const QUEUE_ORIGIN: &str = "http://127.0.0.1:8181";

/// How long unfinished work is retried at the end of a replay.
const MOST_RETRIES: Duration = Duration::from_hours(1);

/// Why a replay came to no end.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The event files cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The scenario cannot be read.
    #[error("the scenario {} cannot be read", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The scenario says something that cannot be done.
    #[error("{}, line {line}", path.display())]
    Scenario {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        source: ScenarioError,
    },
    /// The settings are wrong.
    #[error("the settings are wrong")]
    Settings(#[from] SettingsError),
    /// Events cannot be sent.
    #[error(transparent)]
    Remote(#[from] remote::RemoteError),
    /// The output cannot be written.
    #[error("the output cannot be written")]
    Output(#[from] io::Error),
}

/// How many events came to which outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    outcomes: BTreeMap<String, u64>,
    retries: BTreeMap<String, u64>,
    /// How many failed.
    pub failures: u64,
}

impl Tally {
    fn count(&mut self, outcome: &str, is_failure: bool) {
        *self.outcomes.entry(outcome.to_owned()).or_default() += 1;
        self.failures += u64::from(is_failure);
    }

    fn count_retry(&mut self, outcome: &str, is_failure: bool) {
        *self.retries.entry(outcome.to_owned()).or_default() += 1;
        self.failures += u64::from(is_failure);
    }

    /// Counts files that cannot be read, and says why.
    fn unreadable(&mut self, errors: &[FileError], out: &mut dyn Write) -> io::Result<()> {
        let style = AnsiColor::Red.on_default().bold();
        for error in errors {
            self.failures += 1;
            writeln!(out, "{style}error{style:#}: {}", printable(&Chain(error).to_string()))?;
        }
        Ok(())
    }

    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let text = |counts: &BTreeMap<String, u64>, one: &str, more: &str| {
            let sum: u64 = counts.values().sum();
            let outcomes: Vec<_> =
                counts.iter().map(|(outcome, count)| format!("{count} {outcome}")).collect();
            format!("{sum} {}: {}", if sum == 1 { one } else { more }, outcomes.join(", "))
        };
        writeln!(out, "\n{}", text(&self.outcomes, "event", "events"))?;
        if !self.retries.is_empty() {
            writeln!(out, "{}", text(&self.retries, "retry", "retries"))?;
        }
        Ok(())
    }
}

/// Plays event files against an embedded Azure. With a scenario, that is played first and sets the stage;
/// without, the stage is made from the events. `lookup` reads a setting, and `names` are those of all variables;
/// `ACI_DNS_ZONES` may be unset.
/// `telemetry` is told what becomes of each event.
///
/// # Panics
///
/// Never: every address range that is made here is one.
pub async fn play(
    paths: &[PathBuf],
    scenario: Option<&Path>,
    (lookup, names): (impl Fn(&str) -> Option<String>, Vec<String>),
    lines: &Lines,
    azure: Azure,
    telemetry: &Telemetry,
    out: &mut dyn Write,
) -> Result<Tally, ReplayError> {
    let mut tally = Tally::default();
    let Some(path) = scenario else {
        let Events { found, unreadable } = files::read(paths)?;
        tally.unreadable(&unreadable, out)?;
        let events: Vec<&Value> = found.iter().map(|found| &found.event).collect();
        let (zones, ranges) = story::zone_map(&events);
        let made = |name: &str| {
            lookup(name).filter(|value| !value.is_empty()).or_else(|| match name {
                "ACI_DNS_ZONES" => Some(zones.clone()),
                "ACI_DNS_RETRY_QUEUE" => Some(azure.queue_url(QUEUE_ORIGIN, QUEUE)),
                // The embedded Azure shows every change at once.
                "ACI_DNS_RECHECK_SECONDS" => Some("0".to_owned()),
                _ => None,
            })
        };
        let settings = environment::settings(made, names)?;
        for notice in &settings.notices {
            writeln!(out, "warning: {notice}\n")?;
        }
        for ((subscription, group), range) in ranges {
            let is_range = azure.set_address_range(&subscription, &group, &range);
            debug_assert!(is_range, "{range} is made to be a range");
        }
        story::make_zones(&azure, &settings.zones, &events);
        let mut story = Story::new(azure.clone(), &events);
        let observe = |settings| Stage::observed(settings, azure.clone(), telemetry);
        let images = pushes::stage(&settings, &azure, observe);
        let stage = observe(settings);
        for found in &found {
            story.reach(&found.event).await;
            deliver((&stage, images.as_ref()), found, lines, &mut tally, out).await?;
        }
        finish(&stage, lines, &mut tally, out).await?;
        show_end(&stage.azure, &tally, out)?;
        return Ok(tally);
    };
    let unreadable = |source| ReplayError::Unreadable { path: path.to_owned(), source };
    let script = text::decode(&fs::read(path).map_err(unreadable)?)
        .map_err(|error| unreadable(io::Error::new(io::ErrorKind::InvalidData, error)))?;
    let mut player = Player::new(azure, lines.clone(), lookup).beside(names).observed(telemetry.clone());
    for (line, text) in (1..).zip(script.lines()) {
        player.play(text, out).await.map_err(|source| ReplayError::Scenario {
            path: path.to_owned(),
            line,
            source,
        })?;
    }
    for told in player.told() {
        tally.count(told.text("outcome"), told.is_failure());
    }
    if !paths.is_empty() {
        let stage = player.stage().map_err(|source| ReplayError::Scenario {
            path: path.to_owned(),
            line: script.lines().count(),
            source,
        })?;
        let Events { found, unreadable } = files::read(paths)?;
        tally.unreadable(&unreadable, out)?;
        let images = player.image_stage().map_err(|source| ReplayError::Scenario {
            path: path.to_owned(),
            line: script.lines().count(),
            source,
        })?;
        for found in found {
            deliver((&stage, images.as_ref()), &found, lines, &mut tally, out).await?;
        }
        show_end(&stage.azure, &tally, out)?;
    }
    Ok(tally)
}

/// Delivers an event, or a push to the app of image updates, where there is one.
async fn deliver(
    (stage, images): (&Stage, Option<&Stage>),
    found: &Found,
    lines: &Lines,
    tally: &mut Tally,
    out: &mut dyn Write,
) -> io::Result<()> {
    drop(lines.take());
    let push = images.and_then(|images| Some((images, PushDocument::of(&found.event)?)));
    match push {
        Some((images, push)) => push.deliver(images, &found.event).await,
        None => drop(stage.invoke(RECONCILE, &found.event).await),
    }
    for told in lines.take().into_iter().filter_map(Told::of) {
        show::event(out, &title(&found.place, &told), &told)?;
        tally.count(told.text("outcome"), told.is_failure());
    }
    Ok(())
}

/// Plays the Functions host until no unfinished work is left, or all that is left needs a person.
async fn finish(stage: &Stage, lines: &Lines, tally: &mut Tally, out: &mut dyn Write) -> io::Result<()> {
    let Some((options, _host)) = QueueOptions::of_this_app().zip(stage.start_queue_host()) else {
        return Ok(());
    };
    let end = Instant::now() + MOST_RETRIES;
    loop {
        let (left, now) = (stage.azure.messages(QUEUE).unwrap_or_default(), stage.azure.elapsed());
        // One that is served now is hidden for longer.
        let has_failed = |message: &MessageView| {
            message.dequeue_count > 0 && (now..=now + options.visibility_timeout).contains(&message.visible)
        };
        if left.iter().all(has_failed) || Instant::now() > end {
            if !left.is_empty() {
                writeln!(out, "\n{} left in the retry queue", left.len())?;
            }
            return Ok(());
        }
        sleep(Duration::from_secs(1)).await;
        for told in lines.take().into_iter().filter_map(Told::of) {
            show::event(out, &title("retry:", &told), &told)?;
            tally.count_retry(told.text("outcome"), told.is_failure());
        }
    }
}

fn title(place: &str, told: &Told) -> String {
    format!("{place} {} {}", kind_of(told), group_of(told)).trim_end().to_owned()
}

/// The type of an event, or the pushed image.
fn kind_of(told: &Told) -> String {
    let (repository, tag) = (told.text("image.repository"), told.text("image.tag"));
    if !repository.is_empty() {
        let colon = if tag.is_empty() { "" } else { ":" };
        return format!("push {repository}{colon}{tag}");
    }
    let kind = told.text("event.type");
    kind.strip_prefix("Microsoft.Resources.").unwrap_or(kind).to_owned()
}

/// A container group as `<resource group>/<name>`; empty where the event tells of none.
fn group_of(told: &Told) -> String {
    told.text("container_group.id")
        .parse::<crate::domain::resource_id::ContainerGroupId>()
        .map_or_else(|_| String::new(), |id| format!("{}/{}", id.resource_group(), id.name()))
}

fn show_end(azure: &Azure, tally: &Tally, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out)?;
    show::zones(out, azure)?;
    tally.print(out)
}
