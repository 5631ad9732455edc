//! The command `simulate`.

use std::{
    io::{self, Write as _},
    net::Ipv4Addr,
    path::PathBuf,
    time::Duration,
};

use azure_simulator::{self as simulator, Azure, Certificates, Seed, Throttles};
use tokio::{net::TcpListener, runtime};

use super::{
    demo::serve_dns,
    failure::Failure,
    run::{shutdown, unix_seconds},
};

/// Serve a simulated Azure on loopback: Resource Manager, Private DNS, container groups, managed identity
///
/// The handler, Microsoft's own clients and `func start` can use it like the real service.
#[derive(Debug, clap::Args)]
#[command(after_long_help = SIMULATE)]
pub(crate) struct SimulateArguments {
    /// Port on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8181)]
    port: u16,
    /// Create zones and this many container groups in rg-spoke1
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    groups: usize,
    /// Answer DNS on this port of 127.0.0.1, UDP and TCP; the next networks on 127.0.0.2 and so on; 0 takes a free one
    #[arg(long, value_name = "PORT")]
    dns: Option<u16>,
    /// Put this many other record sets into the forward zone
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    record_sets: usize,
    /// Spread the groups over this many resource groups: rg-spoke1, rg-spoke2, ...
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    resource_groups: usize,
    /// Spread the resource groups over this many subscriptions, which differ in their last digit
    #[arg(long, value_name = "COUNT", default_value_t = 1)]
    subscriptions: usize,
    /// Create the records of the groups
    #[arg(long)]
    with_records: bool,
    /// How long a deployment takes until the address is assigned
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    provisioning: u64,
    /// The latency of a request
    #[arg(long, value_name = "MILLISECONDS", default_value_t = 0)]
    latency: u64,
    /// Throttle as Private DNS does: per zone and minute 60 creates, updates and deletes each, 200 reads
    #[arg(long)]
    throttles: bool,
    #[command(flatten)]
    callers: Callers,
}

/// The callers of the simulator.
#[derive(Debug, clap::Args)]
struct Callers {
    /// Also answer requests without a token
    #[arg(long)]
    no_token: bool,
    /// Print the settings of a handler that uses the simulator, with the retry queue
    #[arg(long, conflicts_with = "tls")]
    print_env: bool,
    /// Serve HTTPS with a certificate of a new authority
    #[arg(long)]
    tls: bool,
    /// The file for the certificate of that authority [default: aci-dns-simulator-ca.pem in the temporary folder]
    #[arg(long, value_name = "FILE", requires = "tls")]
    ca_file: Option<PathBuf>,
}

const SIMULATE: &str = "\
Examples:
  aci-dns simulate --groups 3 --dns 8053
  dig @127.0.0.1 -p 8053 web-1.spoke1.contoso.internal
  aci-dns simulate --groups 2000 --resource-groups 20 --subscriptions 3 --record-sets 23000 --throttles
  curl -s http://127.0.0.1:8181/simulator/zones
  curl -s http://127.0.0.1:8181/simulator/events > events.json

A handler beside it (the zones are those that --groups makes; --print-env prints all of them):
  export ACI_DNS_ARM_ENDPOINT=http://127.0.0.1:8181/
  export IDENTITY_ENDPOINT=http://127.0.0.1:8181/msi/token IDENTITY_HEADER=simulator
  export ACI_DNS_ZONES='{\"rg-spoke1\": {\"forwardZone\": \"spoke1.contoso.internal\",
    \"reverseZones\": [\"1.10.in-addr.arpa\"], \"zoneResourceGroup\": \"rg-dns\"}}'
  aci-dns serve --port 8080
  aci-dns replay --handler http://127.0.0.1:8080 events.json

Microsoft's clients require HTTPS (--tls) and the authority's certificate:
  aci-dns simulate --tls --groups 3
  export REQUESTS_CA_BUNDLE=/tmp/aci-dns-simulator-ca.pem     # Python, the Azure CLI
  export SSL_CERT_FILE=/tmp/aci-dns-simulator-ca.pem          # aci-dns

The page at / shows everything live. The paths under /simulator control what the real API cannot express: moves by the
platform, faults, throttles, the log of calls. GET /simulator lists them. It stops at SIGTERM or Ctrl-C.";

pub(crate) fn simulate(arguments: &SimulateArguments) -> Result<(), Failure> {
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
        let seed = Seed {
            groups: arguments.groups,
            record_sets: arguments.record_sets,
            resource_groups: arguments.resource_groups,
            subscriptions: arguments.subscriptions,
            with_records: arguments.with_records,
            ..Seed::default()
        };
        if arguments.groups + arguments.record_sets > 0 {
            azure.seed(&seed).map_err(Failure::Seed)?;
        }
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        azure.watch();
        let _dns = match arguments.dns {
            Some(port) => Some(serve_dns(&azure, port, arguments.resource_groups).await?),
            None => None,
        };
        if arguments.callers.tls {
            return serve_tls(azure, listener, arguments.callers.ca_file.clone()).await;
        }
        let _ = writeln!(
            anstream::stdout(),
            "Simulated Azure at http://{address}/; its records: http://{address}/simulator/zones"
        );
        if arguments.callers.print_env {
            let _ = anstream::stdout()
                .write_all(simulated_settings(&azure, &seed, &address.to_string()).as_bytes());
        }
        simulator::serve(azure, listener, shutdown()?).await.map_err(bind)
    })
}

/// The settings of a handler that uses the simulator, for a shell.
fn simulated_settings(azure: &Azure, seed: &Seed, address: &str) -> String {
    const QUEUE: &str = "aci-dns-retry";
    azure.create_queue(QUEUE);
    let queue = azure.queue_url(&format!("http://{address}"), QUEUE);
    format!(
        "export ACI_DNS_ARM_ENDPOINT='http://{address}/'\n\
         export IDENTITY_ENDPOINT='http://{address}/msi/token' IDENTITY_HEADER='simulator'\n\
         export ACI_DNS_RETRY_QUEUE='{queue}'\n\
         export ACI_DNS_ZONES='{{\"rg-spoke*\": {{\"forwardZone\": \"spoke1.contoso.internal\", \
         \"reverseZones\": [\"1.10.in-addr.arpa\"], \"zoneSubscriptionId\": \"{}\", \"zoneResourceGroup\": \"rg-dns\"}}}}'\n\
         export ACI_DNS_SUBSCRIPTIONS='{}'\n",
        seed.subscription,
        seed.subscription_ids().join(",")
    )
}

/// Writes the certificate of the authority to its file, then serves the simulator over HTTPS.
async fn serve_tls(azure: Azure, listener: TcpListener, ca_file: Option<PathBuf>) -> Result<(), Failure> {
    let certificates = Certificates::new(unix_seconds()).map_err(Failure::Certificate)?;
    let path = ca_file.unwrap_or_else(|| std::env::temp_dir().join("aci-dns-simulator-ca.pem"));
    let not_written = |source| Failure::CaFile { path: path.clone(), source };
    // Another user may have created a link there, so the file is removed first and then created.
    match std::fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(not_written(error)),
        Ok(()) | Err(_) => {}
    }
    let mut file = std::fs::File::create_new(&path).map_err(not_written)?;
    file.write_all(certificates.authority().as_bytes()).map_err(not_written)?;
    let port = listener.local_addr().map_err(Failure::SetUp)?.port();
    let _ = writeln!(
        anstream::stdout(),
        "Simulated Azure at https://localhost:{port}/; its content: https://localhost:{port}/simulator/zones\n\
         Its authority: {}",
        path.display()
    );
    let bind = |source| Failure::Bind { port, source };
    simulator::serve_tls(azure, listener, certificates.config(), shutdown()?).await.map_err(bind)
}
