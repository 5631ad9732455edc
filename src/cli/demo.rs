//! The command `demo`, and the DNS server of `simulate`.

use std::{io::Write as _, net::Ipv4Addr, time::Duration};

use aci_dns::{config::LogFilter, demo::Demo, replay::stage::Lines};
use azure_simulator::{self as simulator, Azure, DnsListeners};
use serde_json::json;
use tokio::{net::TcpListener, runtime, task::JoinSet};

use super::{
    failure::Failure,
    run::{shutdown, unix_seconds},
};

/// Run the handler with a simulated Azure, and show on a page how names follow their container groups
///
/// One process: the simulator, the handler, Event Grid with its retry schedule, the retry queue, a sweep every two
/// minutes, and DNS on UDP and TCP. Needs neither settings nor an Azure subscription, and ignores settings in the
/// environment. It stops at SIGTERM or Ctrl-C.
#[derive(Debug, clap::Args)]
#[command(after_long_help = DEMO)]
pub(crate) struct DemoArguments {
    /// Port of the page on 127.0.0.1; 0 takes a free one
    #[arg(long, default_value_t = 8181)]
    port: u16,
    /// Port of DNS on 127.0.0.1, UDP and TCP; 0 takes a free one
    #[arg(long, default_value_t = 8053)]
    dns: u16,
    /// Container groups at the start
    #[arg(long, value_name = "COUNT", default_value_t = 3)]
    groups: usize,
    /// How long a deployment or a restart takes until the address is assigned
    #[arg(long, value_name = "SECONDS", default_value_t = 5)]
    provisioning: u64,
}

const DEMO: &str = "\
Examples:
  aci-dns demo
  dig @127.0.0.1 -p 8053 web-1.spoke1.contoso.internal
  dig @127.0.0.1 -p 8053 -x 10.1.5.4

Exit codes: 0 stopped, 1 a port is taken, 2 wrong arguments.";

pub(crate) fn demonstrate(arguments: &DemoArguments) -> Result<(), Failure> {
    let lines = Lines::default();
    tracing::subscriber::set_global_default(lines.subscriber(&LogFilter::default()))?;
    let runtime = runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::SetUp)?;
    runtime.block_on(async {
        let (port, dns) = (arguments.port, arguments.dns);
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await;
        let listener = listener.map_err(|source| Failure::Bind { port, source })?;
        let address = listener.local_addr().map_err(Failure::SetUp)?;
        let azure = Azure::new(simulator::Settings {
            epoch_seconds: unix_seconds(),
            provisioning: Duration::from_secs(arguments.provisioning),
            identity_header: "simulator".to_owned(),
            calls_kept: 1000,
            ..simulator::Settings::default()
        });
        let demo = Demo::new(&azure, arguments.groups, &format!("http://{address}"), lines)?;
        let resolvers = DnsListeners::bind(dns, 1).await;
        let resolvers = resolvers.map_err(|source| Failure::Bind { port: dns, source })?;
        azure.describe(json!({"handler": true, "dns": resolvers.port()}));
        let _ = writeln!(
            anstream::stdout(),
            "aci-dns with a simulated Azure. Open http://{address}/\n\
             Ask its DNS: dig @127.0.0.1 -p {} web-1.spoke1.contoso.internal\n\
             Ctrl-C ends it.",
            resolvers.port()
        );
        let shutdown = shutdown()?;
        tokio::select! {
            served = simulator::serve(azure.clone(), listener, shutdown) => {
                served.map_err(|source| Failure::Bind { port, source })
            }
            () = demo.run() => Ok(()),
            () = resolvers.serve(azure) => Ok(()),
        }
    })
}

/// Serves DNS from the zones until the value is dropped.
pub(crate) async fn serve_dns(azure: &Azure, port: u16, networks: usize) -> Result<JoinSet<()>, Failure> {
    let resolvers = DnsListeners::bind(port, networks).await;
    let resolvers = resolvers.map_err(|source| Failure::Bind { port, source })?;
    let port = resolvers.port();
    azure.describe(json!({ "dns": port }));
    let others = match resolvers.networks() {
        1 => String::new(),
        count => format!("; the other networks at 127.0.0.2 to 127.0.0.{count}"),
    };
    let _ = writeln!(
        anstream::stdout(),
        "Its DNS at 127.0.0.1 port {port}, as the first network sees the zones{others}"
    );
    let mut tasks = JoinSet::new();
    tasks.spawn(resolvers.serve(azure.clone()));
    Ok(tasks)
}
