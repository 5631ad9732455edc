//! Plays events through the real router and the real Resource Manager client against the simulator in this process, or
//! sends them to a running handler or Functions host.
//!
//! The events themselves ([`story`]) or a script ([`scenario`]) define the simulated Azure. Everything runs in this
//! process on a clock that the caller paused, so waits take no time and the same events always produce the same output.

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
    files::{EventFiles, FileError, FoundEvent},
    pushes::PushDocument,
    queue_trigger::QueueOptions,
    scenario::{Player, ScenarioError},
    show::LogFields,
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

/// The retry queue in the simulator.
const QUEUE: &str = "aci-dns-retry";
const QUEUE_ORIGIN: &str = "http://127.0.0.1:8181";

/// How long unfinished work is retried at the end of a replay.
const MOST_RETRIES: Duration = Duration::from_hours(1);

/// Why a replay failed.
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
        /// The cause.
        source: io::Error,
    },
    /// A line of the scenario cannot be played.
    #[error("{}, line {line}", path.display())]
    Scenario {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The cause.
        source: ScenarioError,
    },
    /// The settings are invalid.
    #[error("the settings are invalid")]
    Settings(#[from] SettingsError),
    /// Events cannot be sent.
    #[error(transparent)]
    Remote(#[from] remote::RemoteError),
    /// The output cannot be written.
    #[error("the output cannot be written")]
    Output(#[from] io::Error),
}

/// The number of events by outcome.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OutcomeCounts {
    outcomes: BTreeMap<String, u64>,
    retries: BTreeMap<String, u64>,
    /// The number of failures.
    pub failures: u64,
}

impl OutcomeCounts {
    fn count(&mut self, outcome: &str, is_failure: bool) {
        *self.outcomes.entry(outcome.to_owned()).or_default() += 1;
        self.failures += u64::from(is_failure);
    }

    fn count_retry(&mut self, outcome: &str, is_failure: bool) {
        *self.retries.entry(outcome.to_owned()).or_default() += 1;
        self.failures += u64::from(is_failure);
    }

    /// Counts files that cannot be read, and prints the causes.
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

/// Plays event files against the simulator. A scenario is played first and defines the simulated Azure; without one, the
/// events define it. `lookup` reads a setting, and `names` are the names of all variables; `ACI_DNS_ZONES` may be unset.
/// Each event is reported to `telemetry`.
///
/// # Panics
///
/// Never: every address range that is generated here is valid.
pub async fn play(
    paths: &[PathBuf],
    scenario: Option<&Path>,
    (lookup, names): (impl Fn(&str) -> Option<String>, Vec<String>),
    lines: &Lines,
    azure: Azure,
    telemetry: &Telemetry,
    out: &mut dyn Write,
) -> Result<OutcomeCounts, ReplayError> {
    let mut tally = OutcomeCounts::default();
    let Some(path) = scenario else {
        let EventFiles { found, unreadable } = files::read(paths)?;
        tally.unreadable(&unreadable, out)?;
        let events: Vec<&Value> = found.iter().map(|found| &found.event).collect();
        let (zones, ranges) = story::zone_map(&events);
        let made = |name: &str| {
            lookup(name).filter(|value| !value.is_empty()).or_else(|| match name {
                "ACI_DNS_ZONES" => Some(zones.clone()),
                "ACI_DNS_RETRY_QUEUE" => Some(azure.queue_url(QUEUE_ORIGIN, QUEUE)),
                // In the simulator, every change is visible at once, so no recheck is needed.
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
            debug_assert!(is_range, "the generated range {range} is valid");
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
    for fields in player.output() {
        tally.count(fields.text("outcome"), fields.is_failure());
    }
    if !paths.is_empty() {
        let stage = player.stage().map_err(|source| ReplayError::Scenario {
            path: path.to_owned(),
            line: script.lines().count(),
            source,
        })?;
        let EventFiles { found, unreadable } = files::read(paths)?;
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
    found: &FoundEvent,
    lines: &Lines,
    tally: &mut OutcomeCounts,
    out: &mut dyn Write,
) -> io::Result<()> {
    drop(lines.take());
    let push = images.and_then(|images| Some((images, PushDocument::of(&found.event)?)));
    match push {
        Some((images, push)) => push.deliver(images, &found.event).await,
        None => drop(stage.invoke(RECONCILE, &found.event).await),
    }
    for fields in lines.take().into_iter().filter_map(LogFields::of) {
        show::event(out, &title(&found.place, &fields), &fields)?;
        tally.count(fields.text("outcome"), fields.is_failure());
    }
    Ok(())
}

/// Simulates the Functions host until no unfinished work is left, or all of it needs a person.
async fn finish(
    stage: &Stage,
    lines: &Lines,
    tally: &mut OutcomeCounts,
    out: &mut dyn Write,
) -> io::Result<()> {
    let Some((options, _host)) = QueueOptions::of_this_app().zip(stage.start_queue_host()) else {
        return Ok(());
    };
    let end = Instant::now() + MOST_RETRIES;
    loop {
        let (left, now) = (stage.azure.messages(QUEUE).unwrap_or_default(), stage.azure.elapsed());
        // A message that is being processed is hidden for longer.
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
        for fields in lines.take().into_iter().filter_map(LogFields::of) {
            show::event(out, &title("retry:", &fields), &fields)?;
            tally.count_retry(fields.text("outcome"), fields.is_failure());
        }
    }
}

fn title(place: &str, fields: &LogFields) -> String {
    format!("{place} {} {}", kind_of(fields), group_of(fields)).trim_end().to_owned()
}

/// The type of an event, or the pushed image.
fn kind_of(fields: &LogFields) -> String {
    let (repository, tag) = (fields.text("image.repository"), fields.text("image.tag"));
    if !repository.is_empty() {
        let colon = if tag.is_empty() { "" } else { ":" };
        return format!("push {repository}{colon}{tag}");
    }
    let kind = fields.text("event.type");
    kind.strip_prefix("Microsoft.Resources.").unwrap_or(kind).to_owned()
}

/// A container group as `<resource group>/<name>`; empty if the event names none.
fn group_of(fields: &LogFields) -> String {
    fields
        .text("container_group.id")
        .parse::<crate::domain::resource_id::ContainerGroupId>()
        .map_or_else(|_| String::new(), |id| format!("{}/{}", id.resource_group(), id.name()))
}

fn show_end(azure: &Azure, tally: &OutcomeCounts, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out)?;
    show::zones(out, azure)?;
    tally.print(out)
}
