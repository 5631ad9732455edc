//! The options `--resolve` and `--resolver` of `drift` and `doctor`.

use std::net::SocketAddr;

use aci_dns::{
    doctor::diagnosis::Check,
    resolve::{
        self,
        client::{self, Client},
        show,
        verdict::{AnswerStatus, Resolution},
    },
    sweep::findings::{self, Findings, LiveName},
};

use super::{failure::Failure, output::Output};

/// Whether to query DNS, and the server to query.
#[derive(Debug, clap::Args)]
pub(crate) struct Resolver {
    /// Query DNS for the A and PTR records of each container group, as its clients do
    #[arg(long)]
    resolve: bool,
    /// The DNS server to query [default: those of /etc/resolv.conf]
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = client::server, requires = "resolve")]
    resolver: Option<SocketAddr>,
}

/// The answers of DNS, and the queried servers.
pub(crate) struct Resolved {
    resolutions: Vec<Resolution>,
    servers: String,
}

impl Resolver {
    /// Queries these names; `None` without `--resolve`.
    pub(crate) async fn check(&self, names: &[LiveName]) -> Result<Option<Resolved>, Failure> {
        if !self.resolve {
            return Ok(None);
        }
        let client = Client::new(self.resolver)?;
        let servers = client.servers().iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        let resolutions = resolve::check(&client, names).await;
        Ok(Some(Resolved { resolutions, servers }))
    }

    /// Whether DNS is queried.
    pub(crate) fn is_on(&self) -> bool {
        self.resolve
    }
}

impl Resolved {
    /// Whether an answer is wrong.
    pub(crate) fn is_wrong(&self) -> bool {
        self.resolutions.iter().any(|resolution| resolution.verdict != AnswerStatus::Resolved)
    }

    /// Whether a query failed.
    pub(crate) fn is_unknown(&self) -> bool {
        self.resolutions.iter().any(|resolution| resolution.verdict.is_unknown())
    }

    /// The findings with the answers of DNS.
    pub(crate) fn shown(&self, findings: &Findings, output: Output) -> String {
        match output {
            Output::Table => {
                format!("{}\n{}", findings::table(findings), show::table(&self.resolutions, &self.servers))
            }
            Output::Json => {
                let mut json = findings::json(findings);
                if let Some(members) = json.as_object_mut() {
                    members.insert("dns".to_owned(), show::json(&self.resolutions, &self.servers));
                }
                format!("{json:#}\n")
            }
        }
    }

    /// The answers of DNS, as a check of `doctor`.
    pub(crate) fn as_check(&self) -> Check {
        show::check(&self.resolutions, &self.servers)
    }
}
