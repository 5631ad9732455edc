//! Command line: reads arguments and settings, wires the parts together, maps an error to an exit code.
//!
//! Exit codes: 0 done, 1 failed, 2 wrong settings or arguments.

mod cli;

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    net::Ipv4Addr,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use aci_dns::{
    azure::{
        arm::{Arm, ArmSettings},
        http_transport::HttpTransport,
        storage_queue::QueueError,
        tokens::Tokens,
    },
    config::{self, BrokenRule, LogFilter, Mistake, Settings, SettingsError},
    decide::report::Chain,
    domain::text::printable,
    environment::{self, names, variable},
    functions::{self, host},
    reconcile::Clock,
    replay::{self, ReplayError, remote::RemoteError, stage::Lines},
    telemetry::{self, Telemetry},
};
use azure_simulator::{self as simulator, Azure, Certificates, Seed, Throttles};
use clap::{ColorChoice, CommandFactory as _, Parser, Subcommand};
use tokio::{
    net::TcpListener,
    runtime,
    signal::unix::{SignalKind, signal},
};
use url::Url;

/// The package is linked against musl, whose own allocator costs an event a fifth more of the processor's time.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

/// Keeps Private DNS (A and PTR records) right for Azure Container Instances, and tells when it is not.
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
    /// When to colour the output
    #[arg(long, global = true, value_enum, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    color: ColorChoice,
}

/// The version, the commit and the target of this build.
const VERSION: &str = concat!(env!("CARGO_PKG_VERSION"), " (", env!("ACI_DNS_BUILD"), ")");

#[derive(Debug, Subcommand)]
enum Command {
    Serve(Serve),
    Doctor(cli::Doctor),
    Drift(cli::Drift),
    Plan(cli::Plan),
    Sync(cli::Sync),
    Retry(cli::Retry),
    Service(cli::Service),
    Drain(cli::Drain),
    Switch(cli::Switch),
    Replay(Replay),
    Simulate(Simulate),
    Schema(cli::Schema),
    Completions(cli::Completions),
}

/// Serve invocations of the Azure Functions host: what runs in Azure
///
/// The Functions host starts this command, tells it a port, and POSTs each Event Grid event to it. All settings are
/// environment variables; every mistake in them is told at once, before the server binds, and ends the process with
/// exit code 2.
#[derive(Debug, Default, clap::Args)]
#[command(after_long_help = settings_help())]
struct Serve {
    #[arg(
        long,
        help = "Port on 127.0.0.1; 0 takes a free one and logs it [default: $FUNCTIONS_CUSTOMHANDLER_PORT]"
    )]
    port: Option<u16>,
}

/// Play Event Grid events against an Azure in memory, and show what is done
///
/// Neither settings nor an Azure subscription are needed.
///
/// Each PATH is a file of events (JSON documents one after the other: arrays or objects, in UTF-8 or UTF-16), a folder
/// of such files, played in the order of their names, or - for stdin. The Azure in memory is made from the events themselves: a write event means that the
/// group was deployed by then, a restart that it got another address, a delete that it is gone. For each event its
/// outcome and its plan are shown, and the zones at the end.
#[derive(Debug, clap::Args)]
#[command(after_long_help = REPLAY)]
struct Replay {
    /// Files and folders of events
    #[arg(value_name = "PATH", required_unless_present = "scenario")]
    paths: Vec<PathBuf>,
    /// Set the stage with a script instead, and play the events after it
    #[arg(long, value_name = "FILE", conflicts_with = "handler")]
    scenario: Option<PathBuf>,
    /// Send the events to a running handler, or to the Event Grid endpoint of a Functions host, instead
    #[arg(long, value_name = "URL", value_parser = replay::remote::handler)]
    handler: Option<Url>,
    /// Write what Application Insights would get to a file, one envelope per line
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

The settings of `serve` count here, too. ACI_DNS_ZONES may be unset: each resource group then
gets zones and addresses of its own. The commands of a scenario are described at the top of
src/replay/scenario.rs.

Exit codes: 0 every event was acknowledged, 1 some failed or a file could not be read, 2 wrong settings or arguments.";

/// Serve an Azure in memory on loopback: Resource Manager, Private DNS, container groups, managed identity
///
/// The handler, Microsoft's own clients and `func start` can use it like the real one.
#[derive(Debug, clap::Args)]
#[command(after_long_help = SIMULATE)]
struct Simulate {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8181)]
    port: u16,
    /// Make zones and this many container groups in rg-spoke1
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    groups: usize,
    /// Put this many other record sets into the forward zone
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    record_sets: usize,
    /// Spread the groups over this many resource groups: rg-spoke1, rg-spoke2, ...
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    resource_groups: usize,
    /// Spread the resource groups over this many subscriptions, which differ in their last digit
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    subscriptions: usize,
    /// Give the groups the records that they should have
    #[arg(long)]
    with_records: bool,
    /// How long a deployment takes until the address is there
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    provisioning: u64,
    /// How long a request takes
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    latency: u64,
    /// Throttle as Private DNS does: per zone and minute 60 creates, updates and deletes each, 200 reads
    #[arg(long)]
    throttles: bool,
    #[command(flatten)]
    callers: Callers,
}

/// Who uses the simulator.
#[derive(Debug, clap::Args)]
struct Callers {
    /// Answer requests without a token, too
    #[arg(long)]
    no_token: bool,
    /// Print the settings with which a handler uses it, the retry queue included
    #[arg(long, conflicts_with = "tls")]
    print_env: bool,
    /// Serve HTTPS, with a certificate of an authority of its own
    #[arg(long)]
    tls: bool,
    /// Where the certificate of that authority is written [default: aci-dns-simulator-ca.pem among the temporary files]
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca_file: Option<PathBuf>,
}

const SIMULATE: &str = "\
Examples:
  aci-dns simulate --groups 3
  aci-dns simulate --groups 2000 --resource-groups 20 --subscriptions 3 --record-sets 23000 --throttles
  curl -s http://127.0.0.1:8181/simulator/zones
  curl -s http://127.0.0.1:8181/simulator/events > events.json

A handler beside it (the zones are those that --groups makes; --print-env prints all settings):
  export ACI_DNS_ARM_ENDPOINT=http://127.0.0.1:8181/
  export IDENTITY_ENDPOINT=http://127.0.0.1:8181/msi/token IDENTITY_HEADER=simulator
  export ACI_DNS_ZONES='{\"rg-spoke1\": {\"forwardZone\": \"spoke1.contoso.internal\",
    \"reverseZones\": [\"1.10.in-addr.arpa\"], \"zoneResourceGroup\": \"rg-dns\"}}'
  aci-dns serve --port 8080
  aci-dns replay --handler http://127.0.0.1:8080 events.json

Microsoft's clients want HTTPS (--tls) and the authority's certificate:
  aci-dns simulate --tls --groups 3
  export REQUESTS_CA_BUNDLE=/tmp/aci-dns-simulator-ca.pem     # Python, the Azure CLI
  export SSL_CERT_FILE=/tmp/aci-dns-simulator-ca.pem          # aci-dns

What the real API cannot express (moves by the platform, faults, throttles, the log of calls) is under /simulator;
see crates/azure-simulator/src/lib.rs. It stops at SIGTERM or Ctrl-C.";

const EXAMPLES: &str = "\
Without a command, `serve` runs where FUNCTIONS_CUSTOMHANDLER_PORT is set.

Examples:
  aci-dns replay tests/events
  export ACI_DNS_ZONES='{\"rg-1\": {\"forwardZone\": \"contoso.internal\", \"reverseZones\": []}}'
  aci-dns serve --port 8080
  curl --json @invocation.json http://127.0.0.1:8080/function_aci_reconcile

Exit codes: 0 done, 1 failed, 2 wrong settings or arguments.";

/// Every setting, and an example of the map.
fn settings_help() -> String {
    format!("{}{ZONES_EXAMPLE}", config::help())
}

const ZONES_EXAMPLE: &str = "
Example of ACI_DNS_ZONES:
  {
    \"rg-spoke1\": {
      \"forwardZone\": \"spoke1.contoso.internal\",
      \"reverseZones\": [\"1.10.in-addr.arpa\"],
      \"zoneSubscriptionId\": \"00000000-0000-0000-0000-000000000000\",
      \"zoneResourceGroup\": \"rg-dns\",
      \"ttl\": 60,
      \"policy\": \"sync\",
      \"ownership\": \"adopt\",
      \"groups\": [\"web-*\", \"api\"],
      \"addressRanges\": [\"10.1.0.0/16\"],
      \"hostnames\": [\"portal\", \"api-*\"],
      \"formerZones\": [\"old.contoso.internal\"],
      \"services\": {\"api\": {\"groups\": [\"api-v*\"], \"ttl\": 20}, \"jobs\": {}}
    }
  }
forwardZone and reverseZones are required.";

/// Why the process ends otherwise than asked to.
#[derive(Debug, thiserror::Error)]
enum Failure {
    #[error("the settings are wrong")]
    Settings(#[source] SettingsError),
    #[error("port {port} of 127.0.0.1 cannot be served")]
    Bind { port: u16, source: io::Error },
    #[error("the process cannot be set up")]
    SetUp(#[source] io::Error),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error("telemetry cannot be written to {}", path.display())]
    TelemetryFile { path: PathBuf, source: io::Error },
    #[error("such an Azure cannot be made")]
    Seed(#[source] simulator::Missing),
    #[error("{0}")]
    Group(String),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("no certificate for HTTPS")]
    Certificate(#[source] simulator::CertificateError),
    #[error("the certificate of the authority cannot be written to {}", path.display())]
    CaFile { path: PathBuf, source: io::Error },
    #[error("interrupted before anything was written")]
    Interrupted,
    #[error("log lines cannot be written")]
    Telemetry(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// How long the end of the process waits for a reader of its last lines.
const FLUSH_WAIT: Duration = Duration::from_secs(1);

const PORT: &str = "FUNCTIONS_CUSTOMHANDLER_PORT";

fn main() -> ExitCode {
    let Arguments { command, zones, color } = Arguments::parse();
    match color {
        ColorChoice::Auto => {}
        ColorChoice::Always => anstream::ColorChoice::AlwaysAnsi.write_global(),
        ColorChoice::Never => anstream::ColorChoice::Never.write_global(),
    }
    if let Some(path) = zones {
        environment::read_zones_from(path);
    }
    let command = match command {
        Some(command) => command,
        None if variable(PORT).is_some() => Command::Serve(Serve::default()),
        None => return help(),
    };
    let done = match command {
        Command::Serve(arguments) => serve(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Doctor(arguments) => cli::doctor(&arguments),
        Command::Drift(arguments) => cli::drift(&arguments),
        Command::Plan(arguments) => cli::plan(&arguments),
        Command::Sync(arguments) => cli::sync(&arguments),
        Command::Retry(arguments) => cli::retry(&arguments),
        Command::Service(arguments) => cli::service(&arguments),
        Command::Drain(arguments) => cli::drain(&arguments),
        Command::Switch(arguments) => cli::switch(&arguments),
        Command::Replay(arguments) => replay(&arguments),
        Command::Simulate(arguments) => simulate(&arguments).map(|()| ExitCode::SUCCESS),
        Command::Schema(_) => Ok(cli::schema()),
        Command::Completions(arguments) => Ok(cli::completions(&arguments, Arguments::command())),
    };
    done.unwrap_or_else(|failure| tell(&failure))
}

/// Nothing was asked for; in Azure this means that the host did not say where to serve.
fn help() -> ExitCode {
    let help = Arguments::command().render_help();
    let _ = writeln!(anstream::stderr(), "{}", help.ansi());
    ExitCode::from(2)
}

/// Whether the reader of the output has had enough, as `head` has.
fn is_broken_pipe(failure: &Failure) -> bool {
    let Failure::Replay(ReplayError::Output(error) | ReplayError::Remote(RemoteError::Output(error))) =
        failure
    else {
        return false;
    };
    error.kind() == io::ErrorKind::BrokenPipe
}

fn tell(failure: &Failure) -> ExitCode {
    if is_broken_pipe(failure) {
        return ExitCode::SUCCESS;
    }
    let (text, code) = match failure {
        Failure::Settings(error) | Failure::Replay(ReplayError::Settings(error)) => {
            let lines = error.mistakes.iter().fold(String::new(), |mut lines, mistake| {
                let _ = write!(lines, "\n  {}", printable(&mistake.to_string()));
                lines
            });
            (format!("the settings are wrong:{lines}"), 2)
        }
        Failure::Replay(
            ReplayError::File(_) | ReplayError::Unreadable { .. } | ReplayError::Scenario { .. },
        ) => (printable(&Chain(failure).to_string()).into_owned(), 2),
        Failure::Bind { .. }
        | Failure::SetUp(_)
        | Failure::TelemetryFile { .. }
        | Failure::Telemetry(_)
        | Failure::Replay(_)
        | Failure::Seed(_)
        | Failure::Group(_)
        | Failure::Queue(_)
        | Failure::Certificate(_)
        | Failure::CaFile { .. }
        | Failure::Interrupted => (printable(&Chain(failure).to_string()).into_owned(), 1),
    };
    let style = anstyle::AnsiColor::Red.on_default().bold();
    let _ = writeln!(anstream::stderr(), "{style}error{style:#}: {text}");
    ExitCode::from(code)
}

fn serve(arguments: &Serve) -> Result<(), Failure> {
    let (port, settings) = match (port(arguments), environment::settings(variable, names())) {
        (Ok(port), Ok(settings)) => (port, settings),
        (port, settings) => {
            let mistakes = settings.err().into_iter().flat_map(|error| error.mistakes);
            let mistakes = port.err().into_iter().chain(mistakes).collect();
            return Err(Failure::Settings(SettingsError { mistakes }));
        }
    };
    telemetry::install(&settings.log_filter)?;
    for notice in &settings.notices {
        if notice.is_error() {
            tracing::error!("{notice}");
        } else {
            tracing::warn!("{notice}");
        }
    }
    // One thread: the work is waiting for Resource Manager, a plan of one core is the usual one, and threads that
    // are not started cost neither time at a cold start nor memory. Names are looked up on threads of their own.
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::SetUp)?;
    let served = runtime.block_on(listen(port, settings));
    // A name look-up that still runs must not hold up the end.
    runtime.shutdown_background();
    telemetry::flush(FLUSH_WAIT);
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

async fn listen(port: u16, settings: Settings) -> Result<(), Failure> {
    let shutdown = shutdown()?;
    // Whatever is in flight ends at its own deadline.
    let drain = settings.deadline + Duration::from_secs(5);
    let (http_transport, tokens) = network(&settings);
    let telemetry = Telemetry::new(&settings, &http_transport, &tokens);
    let arm = arm(&settings, (http_transport, tokens));
    let warm_up = arm.clone();
    let functions = functions::router(settings, arm, Clock::new(unix_seconds), &telemetry);
    // The host calls as soon as the port answers, so everything is ready before it does, but for what can be made
    // while it calls.
    let bind = |source| Failure::Bind { port, source };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    tokio::spawn(async move { warm_up.warm_up().await });
    tracing::info!(server.address = %address, version = env!("CARGO_PKG_VERSION"), "listening");
    host::serve(listener, functions, shutdown, drain).await;
    // What delivers it blocks, and needs this runtime.
    let _ = tokio::task::spawn_blocking(move || telemetry.close()).await;
    tracing::info!("stopped");
    Ok(())
}

fn replay(arguments: &Replay) -> Result<ExitCode, Failure> {
    let mut out = anstream::stdout();
    let tally = if let Some(handler) = &arguments.handler {
        let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::SetUp)?;
        let found = replay::files::read(&arguments.paths).map_err(ReplayError::from)?;
        runtime.block_on(replay::remote::send(&found, handler, &mut out)).map_err(ReplayError::from)?
    } else {
        // The clock of the world in memory runs ahead whenever everybody waits.
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

/// An empty Azure, and the telemetry of what happens in it.
fn replay_telemetry(arguments: &Replay) -> Result<(Telemetry, Azure), Failure> {
    let azure = Azure::default();
    let Some(path) = &arguments.telemetry else { return Ok((Telemetry::default(), azure)) };
    let clock = azure.clone();
    let telemetry = Telemetry::to_file(path, move || UNIX_EPOCH + clock.unix_time())
        .map_err(|source| Failure::TelemetryFile { path: path.clone(), source })?;
    Ok((telemetry, azure))
}

fn simulate(arguments: &Simulate) -> Result<(), Failure> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::SetUp)?;
    runtime.block_on(async {
        let port = arguments.port;
        let bind = |source| Failure::Bind { port, source };
        let azure = Azure::new(simulator::Settings {
            epoch_seconds: unix_seconds(),
            latency: Duration::from_millis(arguments.latency),
            provisioning: Duration::from_secs(arguments.provisioning),
            throttles: arguments.throttles.then(Throttles::default),
            require_token: !arguments.callers.no_token,
            identity_header: "simulator".to_owned(),
            calls_kept: 10_000,
            ..simulator::Settings::default()
        });
        if arguments.groups + arguments.record_sets > 0 {
            let seed = Seed {
                groups: arguments.groups,
                record_sets: arguments.record_sets,
                resource_groups: arguments.resource_groups,
                subscriptions: arguments.subscriptions,
                with_records: arguments.with_records,
                ..Seed::default()
            };
            azure.seed(&seed).map_err(Failure::Seed)?;
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        if arguments.callers.tls {
            return serve_tls(azure, listener, arguments.callers.ca_file.clone()).await;
        }
        let _ = writeln!(
            anstream::stdout(),
            "Azure in memory at http://{address}/; what is in it: http://{address}/simulator/zones"
        );
        if arguments.callers.print_env {
            let _ = anstream::stdout().write_all(simulated_settings(&azure, &address.to_string()).as_bytes());
        }
        simulator::serve(azure, listener, shutdown()?).await.map_err(bind)
    })
}

/// The settings of a handler beside the simulator, for a shell.
fn simulated_settings(azure: &Azure, address: &str) -> String {
    const QUEUE: &str = "aci-dns-retry";
    azure.create_queue(QUEUE);
    let queue = azure.queue_url(&format!("http://{address}"), QUEUE);
    format!(
        "export ACI_DNS_ARM_ENDPOINT='http://{address}/'\n\
         export IDENTITY_ENDPOINT='http://{address}/msi/token' IDENTITY_HEADER='simulator'\n\
         export ACI_DNS_RETRY_QUEUE='{queue}'\n\
         export ACI_DNS_ZONES='{{\"rg-spoke*\": {{\"forwardZone\": \"spoke1.contoso.internal\", \
         \"reverseZones\": [\"1.10.in-addr.arpa\"], \"zoneResourceGroup\": \"rg-dns\"}}}}'\n"
    )
}

/// Serves the simulator over HTTPS, once its authority is where clients find it.
async fn serve_tls(azure: Azure, listener: TcpListener, ca_file: Option<PathBuf>) -> Result<(), Failure> {
    let certificates = Certificates::new(unix_seconds()).map_err(Failure::Certificate)?;
    let path = ca_file.unwrap_or_else(|| std::env::temp_dir().join("aci-dns-simulator-ca.pem"));
    let not_written = |source| Failure::CaFile { path: path.clone(), source };
    // Another user may have put a link there: a new file takes its place.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(not_written(error)),
        Ok(()) | Err(_) => {}
    }
    let mut file = std::fs::File::create_new(&path).map_err(not_written)?;
    file.write_all(certificates.authority().as_bytes()).map_err(not_written)?;
    let port = listener.local_addr().map_err(Failure::SetUp)?.port();
    let _ = writeln!(
        anstream::stdout(),
        "Azure in memory at https://localhost:{port}/; what is in it: https://localhost:{port}/simulator/zones\n\
         Its authority: {}",
        path.display()
    );
    let bind = |source| Failure::Bind { port, source };
    simulator::serve_tls(azure, listener, certificates.config(), shutdown()?).await.map_err(bind)
}

/// Comes with SIGTERM or Ctrl-C.
fn shutdown() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::SetUp)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::SetUp)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |duration| duration.as_secs())
}

/// The network, and the tokens for it.
fn network(settings: &Settings) -> (HttpTransport, Tokens) {
    let http_transport = HttpTransport::network_through(settings.proxy.clone());
    let tokens = Tokens::azure(settings.client_id.clone(), &http_transport);
    (http_transport, tokens)
}

/// Resource Manager, as the settings say where it is and who asks.
fn arm(settings: &Settings, (http_transport, tokens): (HttpTransport, Tokens)) -> Arm {
    let endpoint = ArmSettings {
        endpoint: settings.arm_endpoint.clone(),
        scope: settings.arm_scope.clone(),
        // Instances that start at the same moment should not repeat their requests in step.
        jitter_seed: u64::from(std::process::id()),
    };
    Arm::new(endpoint, http_transport, tokens)
}
