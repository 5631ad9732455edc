//! The command `service`, and what the commands about services share.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    io::Write as _,
    net::{Ipv4Addr, SocketAddr},
    process::ExitCode,
    time::Duration,
};

use aci_dns::{
    azure::arm::{Reader, Tagger},
    config::Settings,
    decide::{
        Purpose,
        report::Chain,
        service::{ObservedMember, ServiceGoal, ServiceVerdict},
    },
    domain::{
        container_group::AddressState,
        resource_id::{ContainerGroupId, Scope},
        text::printable,
    },
    reconcile::services::{ServiceResult, dry_run},
    resolve::{
        answer::{Code, DnsAnswer, QueryType},
        client::{self, Client},
    },
    sweep::Stop,
};
use tokio::time::{Instant, sleep};

use super::{
    comparison::{SettingsArguments, TIME, missing_subscription},
    failure::{DRIFTED, Failure},
    output::STRONG,
    progress::{self, say},
    run::run_on_arm,
};

/// How often a command that waits reads again.
const INTERVAL: Duration = Duration::from_secs(1);
/// How often a command that waits says so, unless something changes.
const SILENCE: Duration = Duration::from_secs(10);

/// Show services: several container groups behind one name
///
/// A service is a name that the entry `services` of the map declares. Its A record set holds the addresses of the
/// container groups that belong to it, by the tag aci-dns-service or by their name. Read-only. The settings are those
/// of `serve`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = SERVICE)]
pub(crate) struct ServiceArguments {
    #[command(subcommand)]
    command: ServiceCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ServiceCommand {
    /// Show all services: how many members run, and what DNS holds
    List {
        #[command(flatten)]
        place: SettingsArguments,
    },
    /// Show the members of a service: state, address, whether they drain, and whether DNS holds them
    Show {
        #[command(flatten)]
        place: SettingsArguments,
        /// The label of the service, or <resource group>/<label>
        name: String,
    },
}

const SERVICE: &str = "\
Examples:
  aci-dns service list
  aci-dns service show api
  aci-dns service show rg-spoke1/api

To replace the container groups of a service without downtime, create the new ones beside the old ones, and run
`aci-dns switch`.

Exit codes: 0 the record sets are right, 1 something could not be read, 2 wrong settings or arguments, 3 a record set
differs from its members.";

/// How long a command waits.
#[derive(Clone, Copy, Debug, clap::Args)]
pub(super) struct WaitArguments {
    /// How long clients may use an address after its TTL: connection pools and caches of applications
    #[arg(long, value_name = "SECONDS", default_value_t = 30)]
    margin: u64,
    /// When to give up
    #[arg(long, value_name = "SECONDS", default_value_t = 1800)]
    timeout: u64,
    /// Also ask this DNS server, and wait until it no longer answers with the old addresses
    #[arg(long, value_name = "ADDR[:PORT]", value_parser = client::server)]
    resolver: Option<SocketAddr>,
}

/// Addresses that left a record set, and its name.
pub(super) struct Departed {
    pub(super) fqdn: String,
    pub(super) addresses: BTreeSet<Ipv4Addr>,
}

impl WaitArguments {
    /// Whether the command asks a DNS server.
    pub(super) fn asks_dns(self) -> bool {
        self.resolver.is_some()
    }

    pub(super) fn deadline(self) -> Instant {
        Instant::now() + Duration::from_secs(self.timeout)
    }

    /// Waits until the caches of clients cannot hold these addresses any more: TTL and margin, and with
    /// `--resolver` until the server answers without them.
    ///
    /// Fails if the server still answers with them, or does not answer, after `--timeout` more seconds.
    pub(super) async fn wait_for_caches(
        self,
        ttl: u32,
        departed: &[Departed],
        stop: &Stop,
    ) -> Result<(), Failure> {
        let wait = Duration::from_secs(u64::from(ttl) + self.margin);
        say(&format!(
            "waiting {} s (TTL and --margin) until no client uses the old addresses",
            wait.as_secs()
        ));
        let end = Instant::now() + wait;
        while Instant::now() < end {
            let pause = end.saturating_duration_since(Instant::now()).min(SILENCE);
            tokio::select! {
                () = sleep(pause) => {}
                () = stop.signalled() => return Err(Failure::InterruptedSwitch),
            }
            let left = end.saturating_duration_since(Instant::now()).as_secs();
            if left > 0 {
                say(&format!("{left} s left"));
            }
        }
        let Some(server) = self.resolver else { return Ok(()) };
        let client = Client::new(Some(server))?;
        let deadline = self.deadline();
        for departed in departed {
            while let Some(reason) = still_answered(&client, server, departed).await {
                say(&reason);
                if Instant::now() >= deadline {
                    return Err(Failure::Group(format!(
                        "gave up (--timeout): {reason}; run it again to continue"
                    )));
                }
                tokio::select! {
                    () = sleep(INTERVAL) => {}
                    () = stop.signalled() => return Err(Failure::InterruptedSwitch),
                }
            }
        }
        Ok(())
    }
}

/// Why a DNS server may still send clients to an address that left the record set.
async fn still_answered(client: &Client, server: SocketAddr, departed: &Departed) -> Option<String> {
    let Departed { fqdn, addresses } = departed;
    let values = match client.query(fqdn, QueryType::A).await {
        None => return Some(format!("{server} does not answer for {fqdn}")),
        Some(DnsAnswer { code: Code::Other(code), .. }) => {
            return Some(format!("{server} answers with the error code {code} for {fqdn}"));
        }
        Some(answer) => answer.values,
    };
    let old = values.iter().find(|value| value.parse().is_ok_and(|it| addresses.contains(&it)))?;
    Some(format!("{server} still answers with {old} for {fqdn}"))
}

/// A service as it is now.
#[derive(Clone, Debug)]
pub(super) struct Current {
    pub(super) scope: Scope,
    pub(super) ttl: u32,
    pub(super) verdict: ServiceVerdict,
    pub(super) error: Option<String>,
}

impl Current {
    pub(super) fn holds(&self, address: Ipv4Addr) -> bool {
        self.verdict.found.contains(&address)
    }

    /// The address of a member that runs.
    pub(super) fn running(seen: &ObservedMember) -> Option<Ipv4Addr> {
        if let AddressState::Running(address) = seen.state { Some(address) } else { None }
    }
}

pub(crate) fn service(arguments: &ServiceArguments) -> Result<ExitCode, Failure> {
    let (ServiceCommand::List { place } | ServiceCommand::Show { place, .. }) = &arguments.command;
    run_on_arm(place.settings()?, async |settings, arm, _| {
        let reader = arm.observation(Instant::now() + TIME);
        let mut services = current(&settings, &reader).await?;
        if let ServiceCommand::Show { name, .. } = &arguments.command {
            services = vec![one(services, name)?];
        }
        let mut text = String::new();
        for service in &services {
            match &arguments.command {
                ServiceCommand::List { .. } => summary(service, &mut text),
                ServiceCommand::Show { .. } => members(service, &mut text),
            }
        }
        if services.is_empty() {
            text.push_str("the map declares no services\n");
        }
        progress::clear();
        let _ = anstream::stdout().write_all(text.as_bytes());
        let is_incomplete = services.iter().any(|service| service.error.is_some());
        let is_different = services.iter().any(|service| service.verdict.is_different);
        Ok(match (is_incomplete, is_different) {
            (true, _) => ExitCode::FAILURE,
            (false, true) => ExitCode::from(DRIFTED),
            (false, false) => ExitCode::SUCCESS,
        })
    })
}

fn list(addresses: &[Ipv4Addr]) -> String {
    match addresses {
        [] => "nothing".to_owned(),
        addresses => addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
    }
}

fn summary(service: &Current, text: &mut String) {
    let Current { verdict, error, .. } = service;
    let running = verdict.members.values().filter(|seen| Current::running(seen).is_some()).count();
    let all = verdict.members.len();
    let held = list(&verdict.found);
    // Writing to a text cannot fail.
    _ = writeln!(
        text,
        "{STRONG}{}{STRONG:#}  {running} of {all} members run; DNS holds {held}",
        verdict.fqdn
    );
    if verdict.is_different {
        _ = writeln!(text, "  differs: DNS should hold {}", list(&verdict.wanted));
    }
    if let Some(error) = error {
        _ = writeln!(text, "  {}", printable(error));
    }
}

fn members(service: &Current, text: &mut String) {
    summary(service, text);
    for (id, seen) in &service.verdict.members {
        let state = match seen.state {
            AddressState::Running(_) => "running",
            AddressState::Pending => "being provisioned",
            AddressState::Released => "stopped",
            AddressState::Deleting => "being deleted",
            AddressState::Deleted => "deleted",
            AddressState::Public | AddressState::NoAddress => "without private address",
            AddressState::StandbyPool => "in a standby pool",
            AddressState::ProvisioningFailed => "failed",
        };
        let address = seen.shown.map_or_else(|| "-".to_owned(), |address| address.to_string());
        let drains = if seen.tags.is_draining { ", draining" } else { "" };
        let is_held = seen.shown.is_some_and(|address| service.holds(address));
        let held = if is_held { "in DNS" } else { "not in DNS" };
        _ = writeln!(text, "  {:<32} {address:<15} {state}{drains}, {held}", id.name());
    }
}

/// All services of the map, each member read once.
pub(super) async fn current(settings: &Settings, reader: &Reader) -> Result<Vec<Current>, Failure> {
    let list_scope = settings.list_scope().map_err(missing_subscription)?;
    let mut scopes = BTreeSet::new();
    for scope in list_scope.scopes {
        if scope.resource_group().is_some() {
            scopes.insert(scope);
            continue;
        }
        let groups = reader.list_container_groups(&scope).await;
        let groups = groups.map_err(|error| Failure::Group(Chain(&error).to_string()))?;
        scopes.extend(groups.into_iter().flatten().map(|(id, _)| Scope::of(&id)));
    }
    let mut services = Vec::new();
    for scope in scopes {
        services.extend(of_scope(settings, reader, scope).await);
    }
    Ok(services)
}

async fn of_scope(settings: &Settings, reader: &Reader, scope: Scope) -> Vec<Current> {
    let Some(goal) = ServiceGoal::new(scope, &settings.zones, Purpose::Compare) else { return Vec::new() };
    let goal = ServiceGoal { is_thorough: true, ..goal };
    let run = dry_run(settings, reader, &goal, Instant::now() + TIME).await;
    let of = |result: ServiceResult| {
        let declared = goal.zones.services.iter().find(|service| service.name == result.verdict.name);
        Current {
            scope: goal.scope.clone(),
            ttl: declared.map_or(0, |service| service.ttl),
            error: result.report().error,
            verdict: result.verdict,
        }
    };
    run.services.into_iter().map(of).collect()
}

/// The only service with this name.
pub(super) fn one(services: Vec<Current>, name: &str) -> Result<Current, Failure> {
    let (resource_group, label) =
        name.rsplit_once('/').map_or((None, name), |(group, label)| (Some(group), label));
    let is_it = |service: &Current| {
        service.verdict.name.as_str().eq_ignore_ascii_case(label)
            && resource_group.is_none_or(|wanted| {
                service.scope.resource_group().is_some_and(|own| own.eq_ignore_ascii_case(wanted))
            })
    };
    let mut found = services.into_iter().filter(is_it);
    match (found.next(), found.next()) {
        (Some(service), None) => Ok(service),
        (None, _) => {
            Err(Failure::Group(format!("the map declares no service {name}; see aci-dns service list")))
        }
        (Some(_), Some(_)) => Err(Failure::Group(format!(
            "several resource groups have a service {label}: name it <resource group>/{label}"
        ))),
    }
}

/// Reads the services repeatedly until a condition holds.
pub(super) async fn wait_until(
    settings: &Settings,
    tagger: &Tagger,
    scope: &Scope,
    (deadline, stop): (Instant, &Stop),
    mut is_done: impl FnMut(&[Current]) -> Result<(), String>,
) -> Result<Vec<Current>, Failure> {
    let (mut said, mut said_at) = (String::new(), Instant::now());
    loop {
        let services = of_scope(settings, tagger.reader(), scope.clone()).await;
        let unreadable = services.iter().find(|service| service.verdict.is_unknown());
        let missing = match (unreadable, is_done(&services)) {
            (Some(service), _) => service.error.clone().unwrap_or_default(),
            (None, Ok(())) => return Ok(services),
            (None, Err(missing)) => missing,
        };
        if missing != said || said_at.elapsed() >= SILENCE {
            say(&missing);
            (said, said_at) = (missing, Instant::now());
        }
        if Instant::now() >= deadline {
            return Err(Failure::Group(format!("gave up (--timeout): {said}; run it again to continue")));
        }
        tokio::select! {
            () = sleep(INTERVAL) => {}
            () = stop.signalled() => return Err(Failure::InterruptedSwitch),
        }
    }
}

/// Runs a command that writes tags, until it ends or is interrupted.
pub(super) fn run_on_tags(
    place: &SettingsArguments,
    run: impl AsyncFnOnce(&Settings, &Tagger, &Stop) -> Result<ExitCode, Failure>,
) -> Result<ExitCode, Failure> {
    run_on_arm(place.settings()?, async move |settings, arm, stop| {
        let tagger = arm.tagging(Instant::now() + TIME);
        tokio::select! {
            done = run(&settings, &tagger, &stop) => done,
            () = stop.signalled() => Err(Failure::InterruptedSwitch),
        }
    })
}

/// The failure of a request of a command.
pub(super) fn refused(error: &(dyn std::error::Error + 'static)) -> Failure {
    Failure::Group(Chain(error).to_string())
}

/// The services that hold or should hold an address of a group.
pub(super) fn of_group<'a>(services: &'a [Current], id: &ContainerGroupId) -> Vec<&'a Current> {
    services.iter().filter(|service| service.verdict.members.contains_key(id)).collect()
}

/// The addresses of these groups, by the names of their services.
pub(super) fn departed(services: &[Current], ids: &[&ContainerGroupId]) -> Vec<Departed> {
    let shown = |service: &Current, id: &ContainerGroupId| service.verdict.members.get(id)?.shown;
    let addresses = |service: &Current| ids.iter().filter_map(|id| shown(service, id)).collect();
    services
        .iter()
        .map(|service| Departed { fqdn: service.verdict.fqdn.to_string(), addresses: addresses(service) })
        .filter(|departed| !departed.addresses.is_empty())
        .collect()
}
