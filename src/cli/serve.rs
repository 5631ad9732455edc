//! The command `serve`.

use std::{net::Ipv4Addr, time::Duration};

use aci_dns::{
    config::{self, BrokenRule, Mistake, Settings, SettingsError},
    environment::{self, names, variable},
    functions::{self, host},
    reconcile::Clock,
    telemetry::{self, Telemetry},
};
use tokio::{net::TcpListener, runtime};

use super::{
    failure::Failure,
    run::{arm, network, shutdown, unix_seconds},
};

/// Serve the invocations of the Azure Functions host; this runs in Azure
///
/// The Functions host starts this command, passes a port, and POSTs each Event Grid event to it. All settings are
/// environment variables. Any mistake in them ends the process with exit code 2, before the server binds; the message
/// lists all mistakes.
#[derive(Debug, Default, clap::Args)]
#[command(after_long_help = settings_help())]
pub(crate) struct ServeArguments {
    #[arg(
        long,
        help = "Port on 127.0.0.1; 0 takes a free one and logs it [default: $FUNCTIONS_CUSTOMHANDLER_PORT]"
    )]
    port: Option<u16>,
}

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

/// How long the process waits at its end until its last log lines are read.
const FLUSH_WAIT: Duration = Duration::from_secs(1);

pub(crate) const PORT: &str = "FUNCTIONS_CUSTOMHANDLER_PORT";

pub(crate) fn serve(arguments: &ServeArguments) -> Result<(), Failure> {
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
    // One thread: the work mostly waits for Resource Manager, and a plan usually has one core. Threads that are not
    // started cost neither memory nor time at a cold start. Names are looked up on other threads.
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::SetUp)?;
    let served = runtime.block_on(listen(port, settings));
    // A name look-up that still runs must not delay the end.
    runtime.shutdown_background();
    telemetry::flush(FLUSH_WAIT);
    served
}

fn port(arguments: &ServeArguments) -> Result<u16, Mistake> {
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
    // Invocations in flight end at their own deadlines.
    let drain = settings.deadline + Duration::from_secs(5);
    let (http_transport, tokens) = network(&settings);
    let telemetry = Telemetry::new(&settings, &http_transport, &tokens);
    let arm = arm(&settings, (http_transport, tokens));
    let warm_up = arm.clone();
    let functions = functions::router(settings, arm, Clock::new(unix_seconds), &telemetry);
    // The host calls as soon as the port answers, so everything is ready before, except the set-up that can run
    // during the first call.
    let bind = |source| Failure::Bind { port, source };
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(bind)?;
    let address = listener.local_addr().map_err(bind)?;
    tokio::spawn(async move { warm_up.warm_up().await });
    tracing::info!(server.address = %address, version = env!("CARGO_PKG_VERSION"), "listening");
    host::serve(listener, functions, shutdown, drain).await;
    // The delivery blocks, and needs this runtime.
    let _ = tokio::task::spawn_blocking(move || telemetry.close()).await;
    tracing::info!("stopped");
    Ok(())
}
