//! The command `replay`.

use std::{path::PathBuf, process::ExitCode, time::UNIX_EPOCH};

use aci_dns::{
    config::LogFilter,
    environment::{names, variable},
    replay::{self, ReplayError, stage::Lines},
    telemetry::Telemetry,
};
use azure_simulator::Azure;
use tokio::runtime;
use url::Url;

use super::failure::Failure;

/// Play Event Grid events against a simulated Azure, and show the changes
///
/// The command needs neither settings nor an Azure subscription.
///
/// Each PATH is a file of events (JSON documents one after the other: arrays or objects, in UTF-8 or UTF-16), a folder
/// of such files, which are played in the order of their names, or - for stdin. The events define the simulated Azure: a
/// write event means that the group is deployed at that time, a restart that it gets another address, a delete that it
/// is deleted. The output shows the outcome and the plan of each event, and the zones at the end.
#[derive(Debug, clap::Args)]
#[command(after_long_help = REPLAY)]
pub(crate) struct ReplayArguments {
    /// Files and folders of events
    #[arg(value_name = "PATH", required_unless_present = "scenario")]
    paths: Vec<PathBuf>,
    /// Run this script first, instead of deriving the simulated Azure from the events
    #[arg(long, value_name = "FILE", conflicts_with = "handler")]
    scenario: Option<PathBuf>,
    /// Send the events to a running handler, or to the Event Grid endpoint of a Functions host
    #[arg(long, value_name = "URL", value_parser = replay::remote::handler)]
    handler: Option<Url>,
    /// Write the telemetry for Application Insights to a file, one envelope per line
    #[arg(long, value_name = "FILE", conflicts_with = "handler")]
    telemetry: Option<PathBuf>,
}

const REPLAY: &str = "\
Examples:
  aci-dns replay tests/events
  aci-dns replay --scenario tests/scenarios/platform-move.txt
  aci-dns replay --telemetry telemetry.jsonl tests/events
  ACI_DNS_POLICY=observe aci-dns replay captured.jsonl
  aci-dns replay --handler http://127.0.0.1:8080 tests/events
  HOST=http://localhost:7071/runtime/webhooks/EventGrid
  aci-dns replay --handler \"$HOST?functionName=function_aci_reconcile\" tests/events

The settings of `serve` apply. Without ACI_DNS_ZONES, each resource group has its own zones and
addresses. The commands of a scenario are documented in
docs/simulator.md.

Exit codes: 0 every event was acknowledged, 1 some failed or a file could not be read, 2 wrong settings or arguments.";

pub(crate) fn replay(arguments: &ReplayArguments) -> Result<ExitCode, Failure> {
    let mut out = anstream::stdout();
    let tally = if let Some(handler) = &arguments.handler {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::SetUp)?;
        let found = replay::files::read(&arguments.paths).map_err(ReplayError::from)?;
        runtime.block_on(replay::remote::send(&found, handler, &mut out)).map_err(ReplayError::from)?
    } else {
        // The paused clock advances when every task waits.
        let runtime = runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .map_err(Failure::SetUp)?;
        let lines = Lines::default();
        tracing::subscriber::set_global_default(lines.subscriber(&LogFilter::default()))?;
        let scenario = arguments.scenario.as_deref();
        let (telemetry, azure) = runtime.block_on(async { replay_telemetry(arguments) })?;
        let played = replay::play(
            &arguments.paths,
            scenario,
            (variable, names()),
            &lines,
            azure,
            &telemetry,
            &mut out,
        );
        let tally = runtime.block_on(played)?;
        telemetry.close();
        tally
    };
    Ok(if tally.failures == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// An empty simulated Azure, and the telemetry of the replay.
fn replay_telemetry(arguments: &ReplayArguments) -> Result<(Telemetry, Azure), Failure> {
    let azure = Azure::default();
    let Some(path) = &arguments.telemetry else { return Ok((Telemetry::default(), azure)) };
    let clock = azure.clone();
    let telemetry = Telemetry::to_file(path, move || UNIX_EPOCH + clock.unix_time())
        .map_err(|source| Failure::TelemetryFile { path: path.clone(), source })?;
    Ok((telemetry, azure))
}
