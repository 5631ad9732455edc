//! Runs the work of a command: the log, the runtime, the network, Resource Manager, and the signal to stop.

use std::{
    io::{self, IsTerminal as _, Write as _},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use aci_dns::{
    azure::{
        arm::{Arm, ArmSettings},
        http_transport::HttpTransport,
        tokens::Tokens,
    },
    config::Settings,
    functions::Functions,
    reconcile::Clock,
    sweep::Stop,
    telemetry,
};
use tokio::{
    runtime,
    signal::unix::{SignalKind, signal},
    sync::watch,
};

use super::{failure::Failure, progress};

/// Runs a command with the parts of the handler and a signal to interrupt it.
pub(super) fn run<Work>(
    settings: Settings,
    work: impl FnOnce(Functions, Stop) -> Work,
) -> Result<ExitCode, Failure>
where
    Work: Future<Output = Result<ExitCode, Failure>>,
{
    run_on_arm(settings, |settings, arm, stop| {
        work(Functions::new(settings, arm, Clock::new(unix_seconds)), stop)
    })
}

/// Runs a command with the settings, a client of Resource Manager and a signal to interrupt it.
pub(super) fn run_on_arm<Work>(
    settings: Settings,
    work: impl FnOnce(Settings, Arm, Stop) -> Work,
) -> Result<ExitCode, Failure>
where
    Work: Future<Output = Result<ExitCode, Failure>>,
{
    let line = |line: &str| {
        let shown = if io::stderr().is_terminal() { telemetry::readable(line) } else { line.to_owned() };
        progress::clear();
        _ = writeln!(anstream::stderr(), "{shown}");
    };
    tracing::subscriber::set_global_default(telemetry::subscriber(&settings.log_filter, line))?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::SetUp)?;
    let done = runtime.block_on(async {
        let (sender, receiver) = watch::channel(false);
        let shutdown = shutdown()?;
        tokio::spawn(async move {
            shutdown.await;
            sender.send_replace(true);
        });
        let arm = arm(&settings, network(&settings));
        let work = work(settings, arm.clone(), Stop::when(receiver));
        progress::during(arm, work).await
    });
    // A pending name lookup must not delay the end.
    runtime.shutdown_background();
    done
}

/// Returns after SIGTERM or Ctrl-C.
pub(super) fn shutdown() -> Result<impl Future<Output = ()> + Send + 'static, Failure> {
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::SetUp)?;
    let mut interrupt = signal(SignalKind::interrupt()).map_err(Failure::SetUp)?;
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

pub(super) fn unix_seconds() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |duration| duration.as_secs())
}

/// The network, and the tokens for it.
pub(super) fn network(settings: &Settings) -> (HttpTransport, Tokens) {
    let http_transport = HttpTransport::network_through(settings.proxy.clone());
    let tokens = Tokens::azure(settings.client_id.clone(), &http_transport);
    (http_transport, tokens)
}

/// The client of Resource Manager, with the endpoint and the identity of the settings.
pub(super) fn arm(settings: &Settings, (http_transport, tokens): (HttpTransport, Tokens)) -> Arm {
    // Instances that start at the same moment must not retry at the same times.
    let jitter_seed = u64::from(std::process::id());
    Arm::new(ArmSettings::of(settings, jitter_seed), http_transport, tokens)
}
