//! An Azure in this process, over HTTP, and commands of the real program that use it.

use std::{
    net::Ipv4Addr,
    process::{Command, Stdio},
    time::{SystemTime, UNIX_EPOCH},
};

use azure_simulator::{self as simulator, Azure};
use tokio::{net::TcpListener, runtime::Runtime};

/// An Azure whose clock is that of the machine, and its server.
pub(crate) struct AzureServer {
    pub(crate) azure: Azure,
    pub(crate) port: u16,
    // Dropped last: it serves.
    pub(crate) runtime: Runtime,
}

impl AzureServer {
    pub(crate) fn start() -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let azure = Azure::new(simulator::Settings {
            epoch_seconds: SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs(),
            identity_header: "simulator".to_owned(),
            ..simulator::Settings::default()
        });
        let port = runtime.block_on(async {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
            let port = listener.local_addr().unwrap().port();
            tokio::spawn(simulator::serve(azure.clone(), listener, std::future::pending()));
            port
        });
        Self { azure, port, runtime }
    }

    /// The program with these arguments and this map, its identity, and no other variables.
    pub(crate) fn command(&self, map: &str, arguments: &[&str]) -> Command {
        let azure = format!("http://127.0.0.1:{}", self.port);
        let mut command = Command::new(env!("CARGO_BIN_EXE_aci-dns"));
        command
            .args(arguments)
            .env_clear()
            .env("ACI_DNS_ZONES", map)
            .env("ACI_DNS_ARM_ENDPOINT", format!("{azure}/"))
            .env("IDENTITY_ENDPOINT", format!("{azure}/msi/token"))
            .env("IDENTITY_HEADER", "simulator")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        command
    }
}
