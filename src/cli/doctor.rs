//! The command `doctor`.

use std::{io::Write as _, process::ExitCode};

use aci_dns::{
    config::{BrokenRule, Mistake, Settings, SettingsError},
    doctor::{self, Severity},
    domain::resource_id::is_subscription,
    functions::Functions,
    reconcile::Clock,
    sweep::SweepOptions,
};
use tokio::time::Instant;

use super::{
    comparison::{SettingsArguments, TIME, missing_subscription},
    failure::{DRIFTED, Failure, refuse},
    output::Output,
    progress,
    resolver::Resolver,
    run::{run_on_arm, unix_seconds},
};

/// Check everything that aci-dns depends on in Azure
///
/// Checks settings, token, rights, zones, links to virtual networks, subnets, event subscriptions and quotas. Reports
/// the impact and the fix of each problem. Read-only, with the identity of the caller. To check the rights of the
/// function app's identity, pass it with --principal. The settings are those of `serve`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = DOCTOR)]
pub(crate) struct DoctorArguments {
    #[command(flatten)]
    place: SettingsArguments,
    /// Check the rights of this principal (an object id of Entra ID) instead of those of the caller
    #[arg(long, value_name = "ID")]
    principal: Option<String>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    resolver: Resolver,
}

const DOCTOR: &str = "\
States:
  ok           correct
  warning      works, but possibly not for long or not everywhere
  not checked  could not be read, mostly because of a missing permission (the report names it)
  problem      does not work

Examples:
  aci-dns doctor
  aci-dns doctor --principal \"$(az identity show --name aci-dns-identity --resource-group RG \\
    --query principalId --output tsv)\"
  aci-dns doctor --resolve
  aci-dns doctor --subscription 00000000-0000-0000-0000-000000000000 --output json

Exit codes: 0 no problem (but perhaps warnings), 1 a check could not run, 2 wrong settings or
arguments, 3 a problem.";

pub(crate) fn doctor(arguments: &DoctorArguments) -> Result<ExitCode, Failure> {
    let principal = arguments.principal.as_deref();
    run_on_arm(settings(arguments)?, async |settings, arm, stop| {
        let examination = doctor::examine(&arm, &settings, principal, Instant::now() + TIME);
        let mut diagnosis = tokio::select! {
            diagnosis = examination => diagnosis.map_err(missing_subscription)?,
            () = stop.signalled() => return Err(Failure::Interrupted),
        };
        if arguments.resolver.is_on() {
            let sweeper = Functions::new(settings, arm, Clock::new(unix_seconds)).sweeper;
            let options = SweepOptions { deadline: Instant::now() + TIME, is_thorough: false };
            let findings = tokio::select! {
                findings = sweeper.compare(options) => findings.map_err(missing_subscription)?,
                () = stop.signalled() => return Err(Failure::Interrupted),
            };
            let resolved = arguments.resolver.check(&findings.names).await?;
            diagnosis.checks.extend(resolved.map(|resolved| resolved.as_check()));
        }
        let reported = match arguments.output {
            Output::Table => doctor::table(&diagnosis),
            Output::Json => format!("{:#}\n", doctor::json(&diagnosis)),
        };
        progress::clear();
        let _ = anstream::stdout().write_all(reported.as_bytes());
        if diagnosis.is_map_void {
            return Ok(refuse(1, "no key of ACI_DNS_ZONES matches anything"));
        }
        Ok(match diagnosis.state() {
            Severity::Ok | Severity::Warning => ExitCode::SUCCESS,
            Severity::NotChecked => ExitCode::FAILURE,
            Severity::Problem => ExitCode::from(DRIFTED),
        })
    })
}

/// All mistakes together, those of the arguments first.
fn settings(arguments: &DoctorArguments) -> Result<Settings, Failure> {
    let wrong = arguments.principal.as_ref().filter(|id| !is_subscription(id)).map(|id| Mistake {
        place: "--principal".to_owned(),
        broken: BrokenRule::Text { given: id.clone(), rule: "an object id" },
    });
    match (wrong, arguments.place.settings()) {
        (None, settings) => settings,
        (Some(wrong), Ok(_)) => Err(Failure::Settings(SettingsError { mistakes: vec![wrong] })),
        (Some(wrong), Err(Failure::Settings(mut error))) => {
            error.mistakes.insert(0, wrong);
            Err(Failure::Settings(error))
        }
        (Some(_), Err(failure)) => Err(failure),
    }
}
