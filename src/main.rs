//! Command line: reads arguments and settings, wires the parts together, maps an error to an exit code.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong settings or arguments.

use std::{
    env,
    fmt::Write as _,
    io::{self, Write as _},
    net::Ipv4Addr,
    process::ExitCode,
    time::Duration,
};

use aci_dns::{
    config::{BrokenRule, Mistake, Settings, SettingsError},
    host,
    report::{Outcome, Report},
    resource_id::ContainerGroupId,
    telemetry::{self, Chain},
};
use axum::Router;
use clap::{CommandFactory as _, Parser, Subcommand};
use tokio::{
    net::TcpListener,
    runtime,
    signal::unix::{SignalKind, signal},
};

/// Keeps Private DNS (A and PTR records) right for Azure Container Instances, and tells when it is not.
#[derive(Debug, Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Serve),
}

/// Serve invocations of the Azure Functions host: what runs in Azure
///
/// The Functions host starts this command, tells it a port, and POSTs each Event Grid event to it. All settings are
/// environment variables; every mistake in them is told at once, before the server binds, and ends the process with
/// exit code 2.
#[derive(Debug, Default, clap::Args)]
#[command(after_long_help = SETTINGS)]
struct Serve {
    #[arg(
        long,
        help = "Port on 127.0.0.1; 0 takes a free one and logs it [default: $FUNCTIONS_CUSTOMHANDLER_PORT]"
    )]
    port: Option<u16>,
}

const EXAMPLES: &str = "\
Without a command, `serve` runs where FUNCTIONS_CUSTOMHANDLER_PORT is set.

Examples:
  export ACI_DNS_ZONES='{\"rg-1\": {\"forwardZone\": \"contoso.internal\", \"reverseZones\": []}}'
  aci-dns serve --port 8080
  curl --json @invocation.json http://127.0.0.1:8080/function_aci_reconcile

Exit codes: 0 done, 1 failed, 2 wrong settings or arguments.";

const SETTINGS: &str = "\
Settings (environment variables):
  ACI_DNS_ZONES                  which zones serve which resource groups, as JSON (required)
  ACI_DNS_OWNERSHIP              adopt, strict [adopt]
  ACI_DNS_POLICY                 sync, upsert-only, observe [sync]
  ACI_DNS_STOPPED                remove, keep [remove]
  ACI_DNS_ADDRESS_WAIT_SECONDS   wait for an address that is being assigned [15]
  ACI_DNS_DEADLINE_SECONDS       hard limit of one invocation, 1 to 600 [25]
  ACI_DNS_MAX_CONCURRENCY        reconciliations at once, 1 to 1024 [64]
  ACI_DNS_CLOUD                  public, usgovernment, china [public]
  ACI_DNS_ARM_ENDPOINT           Resource Manager [that of the cloud]
  AZURE_CLIENT_ID                a user-assigned managed identity [system-assigned]
  APPLICATIONINSIGHTS_CONNECTION_STRING
                                 telemetry to Application Insights [off]
  ACI_DNS_LOGS_ENDPOINT, ACI_DNS_LOGS_RULE_ID, ACI_DNS_LOGS_STREAM
                                 drift events to Log Analytics [off]
  RUST_LOG                       log filter [info]

Example of ACI_DNS_ZONES:
  {
    \"rg-spoke1\": {
      \"forwardZone\": \"spoke1.contoso.internal\",
      \"reverseZones\": [\"1.10.in-addr.arpa\"],
      \"zoneSubscriptionId\": \"00000000-0000-0000-0000-000000000000\",
      \"zoneResourceGroup\": \"rg-dns\",
      \"ttl\": 60
    }
  }";

/// Why the process ends otherwise than asked to.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the settings are wrong")]
    Settings(#[source] SettingsError),
    #[error("port {port} of 127.0.0.1 cannot be served")]
    Bind { port: u16, source: io::Error },
    #[error("the process cannot be set up")]
    SetUp(#[source] io::Error),
    #[error("log lines cannot be written")]
    Telemetry(#[from] tracing::subscriber::SetGlobalDefaultError),
}

const PORT: &str = "FUNCTIONS_CUSTOMHANDLER_PORT";

fn main() -> ExitCode {
    let command = match Arguments::parse().command {
        Some(command) => command,
        None if variable(PORT).is_some() => Command::Serve(Serve::default()),
        None => return help(),
    };
    let done = match command {
        Command::Serve(arguments) => serve(&arguments),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => tell(&failure),
    }
}

/// Nothing was asked for; in Azure this means that the host did not say where to serve.
fn help() -> ExitCode {
    let help = Arguments::command().render_help();
    let _ = writeln!(anstream::stderr(), "{}", help.ansi());
    ExitCode::from(2)
}

fn tell(failure: &Failure) -> ExitCode {
    let (text, code) = match failure {
        Failure::Settings(error) => {
            let lines = error.mistakes.iter().fold(String::new(), |mut lines, mistake| {
                let _ = write!(lines, "\n  {mistake}");
                lines
            });
            (format!("{failure}:{lines}"), 2)
        }
        Failure::Bind { .. } | Failure::SetUp(_) | Failure::Telemetry(_) => (Chain(failure).to_string(), 1),
    };
    let style = anstyle::AnsiColor::Red.on_default().bold();
    let _ = writeln!(anstream::stderr(), "{style}error{style:#}: {text}");
    ExitCode::from(code)
}

/// A variable that is not Unicode is read as far as it is, so that the mistake in it is told.
fn variable(name: &str) -> Option<String> {
    env::var_os(name)
        .map(|value| value.to_string_lossy().into_owned())
        .filter(|value| !value.trim().is_empty())
}

fn serve(arguments: &Serve) -> Result<(), Failure> {
    let (port, settings) = match (port(arguments), Settings::from_variables(variable)) {
        (Ok(port), Ok(settings)) => (port, settings),
        (port, settings) => {
            let mistakes = settings.err().into_iter().flat_map(|error| error.mistakes);
            let mistakes = port.err().into_iter().chain(mistakes).collect();
            return Err(Failure::Settings(SettingsError { mistakes }));
        }
    };
    telemetry::install(&settings.log_filter)?;
    // One thread: the work is waiting for Resource Manager, a plan of one core is the usual one, and threads that
    // are not started cost neither time at a cold start nor memory. Names are looked up on threads of their own.
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::SetUp)?;
    let served = runtime.block_on(listen(port, &settings));
    // A name look-up that still runs must not hold up the end.
    runtime.shutdown_background();
    served
}

fn port(arguments: &Serve) -> Result<u16, Mistake> {
    let mistake = |broken| Mistake { place: PORT.to_owned(), broken };
    match (arguments.port, variable(PORT)) {
        (Some(port), _) => Ok(port),
        (None, None) => Err(mistake(BrokenRule::Missing)),
        (None, Some(given)) => given.trim().parse().ok().filter(|port| *port > 0).ok_or_else(|| {
            mistake(BrokenRule::Number { given: format!("{given:?}"), least: 1, most: u16::MAX.into() })
        }),
    }
}

async fn listen(port: u16, settings: &Settings) -> Result<(), Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::SetUp)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::SetUp)?;
    let functions = functions(settings);
    // The host calls as soon as the port answers, so everything is ready before it does.
    let bind = |source| Failure::Bind { port, source };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    tracing::info!(server.address = %address, version = env!("CARGO_PKG_VERSION"), "listening");
    let shutdown = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    };
    // Whatever is in flight ends at its own deadline.
    host::serve(listener, functions, shutdown, settings.deadline + Duration::from_secs(5)).await;
    tracing::info!("stopped");
    Ok(())
}

/// Wires the functions to Resource Manager.
fn functions(_settings: &Settings) -> Router {
    let unwired =
        |_: ContainerGroupId| async { Report::new(Outcome::Failed, "this build does not reach Azure") };
    host::router(unwired, unwired)
}
