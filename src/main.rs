//! Command line: reads the arguments and runs the command.
//!
//! Exit codes: 0 done, 1 failed, 2 invalid settings or arguments, 3 drift or problems found.

mod cli;

use std::{io::Write as _, process::ExitCode};

use aci_dns::environment::{self, variable};
use clap::{ColorChoice, CommandFactory as _, Parser, Subcommand};

/// The package is linked against musl. With musl's own allocator, an event needs a fifth more processor time.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// Keeps Private DNS (A and PTR records) correct for Azure Container Instances, and reports drift
#[derive(Debug, Parser)]
#[command(version, long_version = VERSION, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[arg(
        long,
        global = true,
        value_name = "FILE",
        help = "Read the map from this file instead of ACI_DNS_ZONES"
    )]
    zones: Option<String>,
    #[arg(
        short,
        long,
        global = true,
        conflicts_with = "quiet",
        help = "Also log requests; replaces RUST_LOG"
    )]
    verbose: bool,
    #[arg(short, long, global = true, help = "Log only errors, without progress; replaces RUST_LOG")]
    quiet: bool,
    /// When to color the output
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    color: ColorChoice,
}

/// The version, the commit and the target of this build.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("ACI_DNS_BUILD"), ")");

#[derive(Debug, Subcommand)]
enum Command {
    Serve(cli::ServeArguments),
    Doctor(cli::DoctorArguments),
    Drift(cli::DriftArguments),
    Plan(cli::PlanArguments),
    Sync(cli::SyncArguments),
    Retry(cli::RetryArguments),
    Service(cli::ServiceArguments),
    Drain(cli::DrainArguments),
    Switch(cli::SwitchArguments),
    Replay(cli::ReplayArguments),
    Demo(cli::DemoArguments),
    Simulate(cli::SimulateArguments),
    Schema(cli::SchemaArguments),
    Completions(cli::CompletionsArguments),
}

const EXAMPLES: &str = "\
Without a command, `serve` runs where FUNCTIONS_CUSTOMHANDLER_PORT is set.

Examples:
  aci-dns replay tests/events
  export ACI_DNS_ZONES='{\"rg-1\": {\"forwardZone\": \"contoso.internal\", \"reverseZones\": []}}'
  aci-dns serve --port 8080
  curl --json @invocation.json http://127.0.0.1:8080/function_aci_reconcile

Exit codes: 0 done, 1 failed, 2 wrong settings or arguments, 3 drift or problems found.";

fn main() -> ExitCode {
    let Arguments { command, zones, verbose, quiet, color } = Arguments::parse();
    match color {
        ColorChoice::Auto => {}
        ColorChoice::Always => anstream::ColorChoice::AlwaysAnsi.write_global(),
        ColorChoice::Never => anstream::ColorChoice::Never.write_global(),
    }
    if verbose {
        environment::log_as("info,aci_dns=debug");
    } else if quiet {
        environment::log_as("error");
        cli::silence();
    }
    if let Some(path) = zones {
        environment::read_zones_from(path);
    }
    let command = match command {
        Some(command) => command,
        None if variable(cli::PORT).is_some() => Command::Serve(cli::ServeArguments::default()),
        None => return help(),
    };
    let done = match command {
        Command::Serve(arguments) => cli::serve(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Doctor(arguments) => cli::doctor(&arguments),
        Command::Drift(arguments) => cli::drift(&arguments),
        Command::Plan(arguments) => cli::plan(&arguments),
        Command::Sync(arguments) => cli::sync(&arguments),
        Command::Retry(arguments) => cli::retry(&arguments),
        Command::Service(arguments) => cli::service(&arguments),
        Command::Drain(arguments) => cli::drain(&arguments),
        Command::Switch(arguments) => cli::switch(&arguments),
        Command::Replay(arguments) => cli::replay(&arguments),
        Command::Demo(arguments) => cli::demonstrate(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Simulate(arguments) => cli::simulate(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Schema(_) => Ok(cli::schema()),
        Command::Completions(arguments) => Ok(cli::completions(&arguments, Arguments::command())),
    };
    done.unwrap_or_else(|failure| cli::report(&failure))
}

/// Without a command: in Azure this means that the host did not set the port.
fn help() -> ExitCode {
    let help = Arguments::command().render_help();
    let _ = writeln!(anstream::stderr(), "{}", help.ansi());
    ExitCode::from(2)
}
