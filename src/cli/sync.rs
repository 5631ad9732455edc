//! The command `sync`.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use aci_dns::{
    config::Takeover,
    decide::{
        Evidence,
        report::{Outcome, Report},
    },
    domain::{resource_id::ContainerGroupId, text::printable},
    reconcile::Reconciler,
    sweep::{
        Repaired, Step, Stop, Sweeper,
        findings::{self, Findings, Spelling, Verdict},
    },
};
use tokio::time::Instant;

use super::{
    failure::{Failure, WRONG, refuse},
    look::{Look, TIME, print, verdict},
    output::{BAD, GOOD, Output, STRONG},
    run::run,
};

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
