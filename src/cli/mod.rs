//! The commands `drift`, `plan` and `sync`.
//!
//! Findings go to stdout; progress, questions and errors go to stderr.

mod doctor;
mod drain;
mod generate;
mod retry;
mod service;
mod switch;

use std::{
    collections::BTreeSet,
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use aci_dns::{
    azure::arm::Arm,
    config::{BrokenRule, MissingSubscription, Mistake, SUBSCRIPTIONS, Settings, SettingsError, Takeover},
    decide::{
        Evidence,
        report::{Outcome, Report},
    },
    domain::{
        resource_id::{ContainerGroupId, fold, is_guid},
        text::printable,
    },
    environment::{self, names, variable},
    functions::Functions,
    reconcile::{Clock, Reconciler},
    sweep::{
        Repaired, Step, Stop, SweepOptions, Sweeper,
        findings::{self, Findings, Spelling, Verdict},
    },
    telemetry,
};
use anstyle::{AnsiColor, Style};
use clap::ValueEnum;
use tokio::{runtime, sync::watch, time::Instant};

pub(crate) use self::{
    doctor::{Doctor, doctor},
    drain::{Drain, drain},
    generate::{Completions, Schema, completions, schema},
    retry::{Retry, retry},
    service::{Service, service},
    switch::{Switch, switch},
};
use crate::{Failure, arm, network, shutdown, unix_seconds};

/// The time limit of a sweep; a person can interrupt it earlier.
const TIME: Duration = Duration::from_hours(12);

/// Exit code: there is drift.
const DRIFTED: u8 = 3;
/// Exit code: the arguments or settings are invalid.
const WRONG: u8 = 2;

/// Report how DNS differs from all container groups of the map
///
/// Read-only: lists each scope of the map and each zone once, and reads the container groups for which the
/// lists are not sufficient. The settings are those of `serve`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = DRIFT)]
pub(crate) struct Drift {
    #[command(flatten)]
    look: Look,
    /// Only this container group, by its resource id
    #[arg(long, value_name = "ID", conflicts_with_all = ["subscriptions", "thorough"])]
    group: Option<ContainerGroupId>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
}

const DRIFT: &str = "\
Kinds of drift:
  a_missing      the container group has no A record set
  address        its A record set holds another address
  ttl            a record set has the wrong TTL
  a_stale        an A record set carries the group's mark under an old name, or although the group
                 is stopped, being deleted or public
  ptr_missing    its address has no PTR record
  ptr_mismatch   the PTR record of its address names another host
  ptr_stale      the PTR record of another address names the group
  ptr_uncovered  no reverse zone of the map contains its address
  foreign        a record set at its name or address belongs to another owner
  orphan         record sets carry the mark of a deleted container group
  bad_tag        a tag of the group is invalid
  service        the record set of a service differs from its members

Examples:
  aci-dns drift
  aci-dns drift --subscription 00000000-0000-0000-0000-000000000000 --output json
  aci-dns drift --group /subscriptions/<id>/resourceGroups/rg-spoke1/providers/\
Microsoft.ContainerInstance/containerGroups/web

Exit codes: 0 no drift, 1 a part of the comparison failed, 2 wrong settings or arguments, 3 drift.";

/// Show what `sync` would change, as a diff, without writing
///
/// Record sets without a mark that would be taken over are labeled.
#[derive(Debug, clap::Args)]
#[command(after_long_help = PLAN)]
pub(crate) struct Plan {
    #[command(flatten)]
    look: Look,
    /// Only this container group, by its resource id
    #[arg(long, value_name = "ID", conflicts_with_all = ["subscriptions", "thorough"])]
    group: Option<ContainerGroupId>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    /// Show what `sync --adopt` would change
    #[arg(long, conflicts_with = "adopt_only")]
    adopt: bool,
    /// Show what `sync --adopt-only` would change
    #[arg(long)]
    adopt_only: bool,
}

const PLAN: &str = "\
Examples:
  aci-dns plan
  aci-dns plan --adopt-only

Exit codes: 0 nothing would change, 1 a part of the comparison failed, 2 wrong settings or arguments, 3 something
would change, or needs a person.";

/// Correct the records of all container groups of the map
///
/// Shows the plan and asks before it writes. Each container group is then reconciled as by an event: observed
/// again, written conditionally, verified. Record sets of other owners are never changed. The command can be
/// interrupted at any time (Ctrl-C, SIGTERM: the current group is finished) and resumed by running it again.
#[derive(Debug, clap::Args)]
#[command(after_long_help = SYNC)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag of the command")]
pub(crate) struct Sync {
    #[command(flatten)]
    look: Look,
    /// Do not ask for confirmation
    #[arg(long)]
    yes: bool,
    /// Continue although more than 30 % of at least ten managed record sets of a zone would change or be
    /// removed, or although all container groups of a resource group are missing
    #[arg(long)]
    force: bool,
    /// Take over record sets without an owner mark, also at names that a tag chose
    #[arg(long, conflicts_with = "adopt_only")]
    adopt: bool,
    /// Only write the owner mark to record sets without one, without changing an address
    #[arg(long)]
    adopt_only: bool,
    /// Only this container group, by its resource id, without a confirmation and without other groups;
    /// succeeds when its name leads to its address
    #[arg(long, value_name = "ID", conflicts_with_all = ["force", "adopt", "adopt_only", "subscriptions", "thorough"])]
    group: Option<ContainerGroupId>,
    /// How long to wait for the address of that group, instead of the setting
    #[arg(long, value_name = "SECONDS", requires = "group", default_value_t = 300)]
    #[arg(value_parser = clap::value_parser!(u64).range(..=599))]
    wait: u64,
}

const SYNC: &str = "\
Examples:
  aci-dns sync
  aci-dns sync --yes
  aci-dns sync --group /subscriptions/<id>/resourceGroups/rg-spoke1/providers/\\
Microsoft.ContainerInstance/containerGroups/web

  aci-dns sync --yes --adopt

Record sets are written at the rate that Private DNS accepts: 60 per minute and zone. With --yes, record sets without an
owner mark are taken over only with --adopt.

Exit codes: 0 all records are correct (with --group: its name leads to its address), 1 a part failed or was not
processed, 2 wrong settings or arguments, or no terminal for the confirmation, 3 the rest needs a person.";

/// Which subscriptions to compare.
#[derive(Debug, clap::Args)]
struct Where {
    #[arg(
        long = "subscription",
        value_name = "ID",
        help = "Subscription of keys of the map that name none; may be repeated \
                [default: $ACI_DNS_SUBSCRIPTIONS, or those that other keys name]"
    )]
    subscriptions: Vec<String>,
}

/// Which subscriptions to compare, and how thoroughly.
#[derive(Debug, clap::Args)]
struct Look {
    #[command(flatten)]
    place: Where,
    /// Read each container group to which a record in the zones refers, instead of relying on lists
    #[arg(long)]
    thorough: bool,
}

/// An output format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people
    Table,
    /// For programs
    Json,
}

const GOOD: Style = AnsiColor::Green.on_default();
const WARNING: Style = AnsiColor::Yellow.on_default();
const BAD: Style = AnsiColor::Red.on_default();
const STRONG: Style = Style::new().bold();

impl Where {
    /// The settings, with the arguments applied.
    fn settings(&self) -> Result<Settings, Failure> {
        let wrong = self.subscriptions.iter().filter(|id| !is_guid(id)).map(|id| Mistake {
            place: "--subscription".to_owned(),
            broken: BrokenRule::Text { given: id.clone(), rule: "a subscription id" },
        });
        let mut mistakes: Vec<Mistake> = wrong.collect();
        let settings = environment::settings(variable, names());
        let settings = settings.map_err(|error| mistakes.extend(error.mistakes));
        match settings {
            Ok(mut settings) if mistakes.is_empty() => {
                let given: BTreeSet<_> = self.subscriptions.iter().map(|id| fold(id)).collect();
                if !given.is_empty() {
                    settings.set_subscriptions(given);
                }
                for notice in &settings.notices {
                    let style = if notice.is_error() { BAD } else { WARNING }.bold();
                    let word = if notice.is_error() { "error" } else { "warning" };
                    let _ = writeln!(anstream::stderr(), "{style}{word}{style:#}: {notice}");
                }
                Ok(settings)
            }
            _ => Err(Failure::Settings(SettingsError { mistakes })),
        }
    }
}

/// A mistake for a map that lacks a subscription.
fn nowhere(MissingSubscription(key): MissingSubscription) -> Failure {
    let broken = BrokenRule::SweptNowhere(key);
    let mistakes = vec![Mistake { place: SUBSCRIPTIONS.to_owned(), broken }];
    Failure::Settings(SettingsError { mistakes })
}

impl Look {
    /// Runs the sweep, unless it is interrupted.
    async fn findings(
        &self,
        group: Option<&ContainerGroupId>,
        sweeper: &Sweeper,
        stop: &Stop,
    ) -> Result<Findings, Failure> {
        let options = SweepOptions { deadline: Instant::now() + TIME, is_thorough: self.thorough };
        let look = async {
            match group {
                Some(id) => sweeper.look_at(id, options.deadline).await.map_err(Failure::Group),
                None => sweeper.look(options).await.map_err(nowhere),
            }
        };
        tokio::select! {
            found = look => found,
            () = stop.signalled() => Err(Failure::Interrupted),
        }
    }
}

/// Runs a command with the parts of the handler and a signal to interrupt it.
fn run<Work>(settings: Settings, work: impl FnOnce(Functions, Stop) -> Work) -> Result<ExitCode, Failure>
where
    Work: Future<Output = Result<ExitCode, Failure>>,
{
    run_on_arm(settings, |settings, arm, stop| {
        work(Functions::new(settings, arm, Clock::new(unix_seconds)), stop)
    })
}

/// Runs a command with the settings, a client of Resource Manager and a signal to interrupt it.
fn run_on_arm<Work>(
    settings: Settings,
    work: impl FnOnce(Settings, Arm, Stop) -> Work,
) -> Result<ExitCode, Failure>
where
    Work: Future<Output = Result<ExitCode, Failure>>,
{
    let line = |line: &str| {
        let shown = if io::stderr().is_terminal() { telemetry::readable(line) } else { line.to_owned() };
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
        work(settings, arm, Stop::when(receiver)).await
    });
    // A pending name lookup must not delay the end.
    runtime.shutdown_background();
    done
}

pub(crate) fn drift(arguments: &Drift) -> Result<ExitCode, Failure> {
    run(arguments.look.place.settings()?, async |functions, stop| {
        let group = arguments.group.as_ref();
        let findings = arguments.look.findings(group, &functions.sweeper, &stop).await?;
        print(&findings, arguments.output, findings::table);
        Ok(verdict(&findings, findings.drifted() > 0 || !findings.unattributed.is_empty()))
    })
}

pub(crate) fn plan(arguments: &Plan) -> Result<ExitCode, Failure> {
    let mut settings = arguments.look.place.settings()?;
    if arguments.adopt_only {
        settings.takeover = Takeover::MarksOnly;
    } else if arguments.adopt {
        settings.takeover = Takeover::All;
    }
    run(settings, async |functions, stop| {
        let group = arguments.group.as_ref();
        let findings = arguments.look.findings(group, &functions.sweeper, &stop).await?;
        print(&findings, arguments.output, findings::diff);
        Ok(verdict(&findings, !findings.found.is_empty() || !findings.unattributed.is_empty()))
    })
}

fn print(findings: &Findings, output: Output, text: fn(&Findings) -> String) {
    let reported = match output {
        Output::Table => text(findings),
        Output::Json => format!("{:#}\n", findings::json(findings)),
    };
    let _ = anstream::stdout().write_all(reported.as_bytes());
}

fn verdict(findings: &Findings, is_drift: bool) -> ExitCode {
    match (findings.is_incomplete(), is_drift) {
        (true, _) => ExitCode::FAILURE,
        (false, true) => ExitCode::from(DRIFTED),
        (false, false) => ExitCode::SUCCESS,
    }
}

pub(crate) fn sync(arguments: &Sync) -> Result<ExitCode, Failure> {
    let mut settings = arguments.look.place.settings()?;
    if settings.policy.is_read_only() {
        return Ok(refuse(WRONG, "ACI_DNS_POLICY is observe, so nothing would be written; use aci-dns plan"));
    }
    if let Some(id) = &arguments.group {
        settings.address_wait = Duration::from_secs(arguments.wait);
        settings.deadline += settings.address_wait;
        return run(settings, async |functions, stop| Ok(sync_one(&functions.reconciler, id, &stop).await));
    }
    if !arguments.yes && !io::stdin().is_terminal() {
        return Ok(refuse(WRONG, "not a terminal, so cannot ask; pass --yes, or run `aci-dns plan`"));
    }
    settings.takeover = match arguments {
        Sync { adopt_only: true, .. } => Takeover::MarksOnly,
        Sync { adopt: true, .. } => Takeover::All,
        // Without a person who has seen the plan, no record set of another owner is taken over.
        Sync { yes: true, .. } => Takeover::Never,
        _ => Takeover::AsConfigured,
    };
    run(settings, async |functions, stop| sync_all(arguments, &functions.sweeper, &stop).await)
}

/// Reconciles one container group as its event would, with a longer wait.
async fn sync_one(reconciler: &Arc<Reconciler>, id: &ContainerGroupId, stop: &Stop) -> ExitCode {
    let report = tokio::select! {
        report = reconciler.reconcile(id, Evidence::None) => report,
        () = stop.signalled() => return refuse(1, "interrupted; run it again to continue"),
    };
    let reported = printable(&format!("{}: {}", report.outcome, report.message)).into_owned();
    match (report.outcome, report.address) {
        (Outcome::Converged | Outcome::Changed, Some(_)) => {
            let _ = writeln!(anstream::stdout(), "{GOOD}{reported}{GOOD:#}");
            ExitCode::SUCCESS
        }
        // The caller waits for a name that leads to an address, so a missing one is an error.
        (Outcome::Converged | Outcome::Changed, None) => {
            refuse(1, &format!("{reported}; the container group does not exist or does not run"))
        }
        _ => refuse(1, &reported),
    }
}

async fn sync_all(arguments: &Sync, sweeper: &Sweeper, stop: &Stop) -> Result<ExitCode, Failure> {
    let findings = arguments.look.findings(None, sweeper, stop).await?;
    print(&findings, Output::Table, findings::diff);
    let needs_person = |findings: &Findings| {
        findings.found.iter().any(|found| found.verdict == Verdict::Drift && found.report.error.is_some())
    };
    if findings.planned() == 0 {
        return Ok(verdict(&findings, needs_person(&findings)));
    }
    if let Some(guard) = findings.change_guard().filter(|_| !arguments.force) {
        return Ok(refuse(1, &format!("{guard}; pass --force to continue")));
    }
    if !arguments.yes && !ask(findings.planned(), stop).await {
        return Ok(refuse(1, "nothing was written"));
    }
    let spelling = Spelling::of(&findings);
    let show = |step: &Step<'_>| progress(&spelling, step);
    let deadline = Instant::now() + TIME;
    let repaired = sweeper.repair(&findings.found, deadline, stop, show).await;
    Ok(end(&repaired, &findings, needs_person(&findings)))
}

fn end(repaired: &Repaired, findings: &Findings, needs_person: bool) -> ExitCode {
    let _ = writeln!(anstream::stderr(), "{STRONG}{}{STRONG:#}", repaired.summary());
    if repaired.left > 0 {
        return refuse(1, "interrupted; run it again to continue");
    }
    if repaired.failed > 0 {
        return ExitCode::FAILURE;
    }
    verdict(findings, needs_person)
}

fn progress(spelling: &Spelling, step: &Step<'_>) {
    let Step { found, report, left } = *step;
    let Report { outcome, message, .. } = report;
    let style = if outcome.status() == 200 { GOOD } else { BAD };
    let group = spelling.group(&found.id);
    let _ = writeln!(
        anstream::stderr(),
        "{left:>5} left  {style}{outcome}{style:#} {STRONG}{group}{STRONG:#} {}",
        printable(message)
    );
}

/// Asks for confirmation. An interrupt counts as no.
async fn ask(changes: usize, stop: &Stop) -> bool {
    let _ = write!(anstream::stderr(), "{STRONG}Make these {changes} changes?{STRONG:#} [y/N] ");
    let _ = io::stderr().flush();
    let answer = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        io::stdin().lock().read_line(&mut answer).map(|_| answer)
    });
    tokio::select! {
        answer = answer => answer.is_ok_and(|answer| answer.is_ok_and(|answer| is_yes(&answer))),
        () = stop.signalled() => {
            let _ = writeln!(anstream::stderr());
            false
        }
    }
}

fn is_yes(answer: &str) -> bool {
    ["y", "yes"].iter().any(|yes| answer.trim().eq_ignore_ascii_case(yes))
}

fn refuse(code: u8, reason: &str) -> ExitCode {
    let style = BAD.bold();
    let _ = writeln!(anstream::stderr(), "{style}error{style:#}: {reason}");
    ExitCode::from(code)
}
