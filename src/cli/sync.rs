//! The command `sync`.

use std::{
    io::{self, BufRead as _, IsTerminal as _, Write as _},
    path::PathBuf,
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
        RepairStep, Repaired, Stop, Sweeper,
        findings::{self, FindingKind, Findings, Spelling},
    },
};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::{
    comparison::{ComparisonArguments, TIME, print, verdict},
    failure::{Failure, WRONG, refuse},
    output::{BAD, GOOD, Output, STRONG},
    plan_file::{self, PlanFile},
    progress,
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
pub(crate) struct SyncArguments {
    #[command(flatten)]
    comparison: ComparisonArguments,
    /// Make exactly the changes of this file of `plan --out`, without asking. A group whose record sets have another
    /// ETag than in the file is not changed
    #[arg(value_name = "FILE", conflicts_with_all = ["group", "adopt", "adopt_only"])]
    plan: Option<PathBuf>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
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
    /// Only this container group, by its resource id, without a confirmation;
    /// succeeds when its name resolves to its address
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
  aci-dns plan --out plan.json && aci-dns sync plan.json
  aci-dns sync --group /subscriptions/<id>/resourceGroups/rg-spoke1/providers/\\
Microsoft.ContainerInstance/containerGroups/web

  aci-dns sync --yes --adopt

Record sets are written at the rate that Private DNS accepts: 60 per minute and zone. With --yes, record sets without an
owner mark are taken over only with --adopt.

Exit codes: 0 all records are correct (with --group: its name leads to its address), 1 a part failed or was not
processed, 2 wrong settings or arguments, or no terminal for the confirmation, 3 the rest needs a person.";

pub(crate) fn sync(arguments: &SyncArguments) -> Result<ExitCode, Failure> {
    let mut settings = arguments.comparison.scope.settings()?;
    if settings.policy.is_read_only() {
        return Ok(refuse(WRONG, "ACI_DNS_POLICY is observe, so sync writes nothing; use aci-dns plan"));
    }
    if let Some(id) = &arguments.group {
        settings.address_wait = Duration::from_secs(arguments.wait);
        settings.deadline += settings.address_wait;
        return run(settings, async |functions, stop| {
            Ok(sync_one(&functions.reconciler, id, arguments.output, &stop).await)
        });
    }
    let reviewed = arguments.plan.as_deref().map(plan_file::read).transpose()?;
    let is_asking = !arguments.yes && reviewed.is_none();
    if is_asking && !io::stdin().is_terminal() {
        return Ok(refuse(
            WRONG,
            "stdin is not a terminal, so sync cannot ask; pass --yes, or run `aci-dns plan`",
        ));
    }
    settings.takeover = match (arguments, &reviewed) {
        (_, Some(reviewed)) => reviewed.takeover,
        (SyncArguments { adopt_only: true, .. }, None) => Takeover::MarksOnly,
        (SyncArguments { adopt: true, .. }, None) => Takeover::All,
        // If no person confirms the plan, no record set without an owner mark is taken over.
        (SyncArguments { yes: true, .. }, None) => Takeover::Never,
        _ => Takeover::AsConfigured,
    };
    run(settings, async |functions, stop| {
        sync_all(arguments, reviewed.as_ref(), &functions.sweeper, &stop).await
    })
}

/// Reconciles one container group as its event would, with a longer wait.
async fn sync_one(
    reconciler: &Arc<Reconciler>,
    id: &ContainerGroupId,
    output: Output,
    stop: &Stop,
) -> ExitCode {
    let report = tokio::select! {
        report = reconciler.reconcile(id, Evidence::None) => report,
        () = stop.signalled() => {
            return refuse(1, "interrupted: the group was not finished, and a record set of it may be written; run the command again to continue");
        }
    };
    let reported = printable(&format!("{}: {}", report.outcome, report.message)).into_owned();
    if output == Output::Json {
        print_results(None, &[result(&id.to_string(), None, &report)], 0);
    }
    match (report.outcome, report.address) {
        (Outcome::Converged | Outcome::Changed, Some(_)) => {
            if output == Output::Table {
                progress::clear();
                let _ = writeln!(anstream::stdout(), "{GOOD}{reported}{GOOD:#}");
            }
            ExitCode::SUCCESS
        }
        // The caller waits until the name resolves, so a missing address is an error.
        (Outcome::Converged | Outcome::Changed, None) => {
            refuse(1, &format!("{reported}; the container group does not exist or is not running"))
        }
        _ => refuse(1, &reported),
    }
}

async fn sync_all(
    arguments: &SyncArguments,
    reviewed: Option<&PlanFile>,
    sweeper: &Sweeper,
    stop: &Stop,
) -> Result<ExitCode, Failure> {
    let mut findings = arguments.comparison.findings(None, sweeper, stop).await?;
    let outdated = reviewed.map(|reviewed| reviewed.restrict(&mut findings)).unwrap_or_default();
    let spelling = Spelling::of(&findings);
    match arguments.output {
        Output::Table => print(&findings, Output::Table, findings::diff),
        // Stdout has one JSON document, so the plan to confirm goes to stderr.
        Output::Json if !arguments.yes && reviewed.is_none() => {
            progress::clear();
            let _ = anstream::stderr().write_all(findings::diff(&findings).as_bytes());
        }
        Output::Json => {}
    }
    for found in &outdated {
        refuse(
            1,
            &format!(
                "{}: the group or its record sets changed after the plan, so nothing is changed for it; make a new plan",
                spelling.group(&found.id)
            ),
        );
    }
    let mut results = Vec::new();
    let code = apply(arguments, reviewed, sweeper, stop, &findings, &spelling, &mut results).await;
    if arguments.output == Output::Json {
        let left = findings.found.iter().filter(|found| !found.changes.is_empty()).count();
        print_results(Some(&findings), &results, left.saturating_sub(results.len()));
    }
    Ok(if outdated.is_empty() { code } else { ExitCode::FAILURE })
}

/// Checks, asks, and repairs.
async fn apply(
    arguments: &SyncArguments,
    reviewed: Option<&PlanFile>,
    sweeper: &Sweeper,
    stop: &Stop,
    findings: &Findings,
    spelling: &Spelling,
    results: &mut Vec<Value>,
) -> ExitCode {
    let needs_person = findings
        .found
        .iter()
        .any(|found| found.verdict == FindingKind::Drift && found.report.error.is_some());
    if findings.planned() == 0 {
        return verdict(findings, needs_person);
    }
    if let Some(guard) = findings.change_guard().filter(|_| !arguments.force) {
        return refuse(1, &format!("{guard}; nothing was written; pass --force to continue"));
    }
    if !arguments.yes && reviewed.is_none() && !confirm(findings.planned(), stop).await {
        return refuse(1, "nothing was written");
    }
    let show = |step: &RepairStep<'_>| {
        show_step(spelling, step);
        results.push(result(&step.found.resource_id(), step.found.service(), step.report));
    };
    let deadline = Instant::now() + TIME;
    let repaired = sweeper.repair(&findings.found, deadline, stop, show).await;
    end(&repaired, findings, needs_person)
}

/// The result of one group or service as JSON.
fn result(id: &str, service: Option<&str>, report: &Report) -> Value {
    let mut result = json!({
        "id": id,
        "outcome": report.outcome.to_string(),
        "message": report.message,
        "plan": report.plan,
        "error": report.error,
    });
    if let (Some(label), Some(members)) = (service, result.as_object_mut()) {
        members.insert("service".to_owned(), label.into());
    }
    result
}

fn print_results(findings: Option<&Findings>, results: &[Value], left: usize) {
    let document = json!({"plan": findings.map(findings::json), "results": results, "left": left});
    progress::clear();
    let _ = writeln!(anstream::stdout(), "{document:#}");
}

fn end(repaired: &Repaired, findings: &Findings, needs_person: bool) -> ExitCode {
    progress::clear();
    let _ = writeln!(anstream::stderr(), "{STRONG}{}{STRONG:#}", repaired.summary());
    if repaired.left > 0 {
        let Repaired { done, failed, left, .. } = repaired;
        return refuse(
            1,
            &format!(
                "interrupted: {done} done, {failed} failed, {left} left; run the command again to continue"
            ),
        );
    }
    if repaired.failed > 0 {
        return ExitCode::FAILURE;
    }
    verdict(findings, needs_person)
}

fn show_step(spelling: &Spelling, step: &RepairStep<'_>) {
    let RepairStep { found, report, left } = *step;
    let Report { outcome, message, .. } = report;
    let style = if outcome.status() == 200 { GOOD } else { BAD };
    let group = spelling.group(&found.id);
    progress::clear();
    let _ = writeln!(
        anstream::stderr(),
        "{left:>5} left  {style}{outcome}{style:#} {STRONG}{group}{STRONG:#} {}",
        printable(message)
    );
}

/// Asks for confirmation. An interrupt counts as no.
async fn confirm(changes: usize, stop: &Stop) -> bool {
    progress::clear();
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
