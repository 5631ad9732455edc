//! The command `plan`.

use std::{path::PathBuf, process::ExitCode};

use aci_dns::{config::Takeover, domain::resource_id::ContainerGroupId, sweep::findings};

use super::{
    comparison::{ComparisonArguments, print, verdict},
    failure::Failure,
    output::Output,
    plan_file,
    run::run,
};

/// Show what `sync` would change, as a diff, without writing
///
/// Record sets without a mark that would be taken over are labeled.
#[derive(Debug, clap::Args)]
#[command(after_long_help = PLAN)]
pub(crate) struct PlanArguments {
    #[command(flatten)]
    comparison: ComparisonArguments,
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
    /// Also write the plan to this file, for `sync FILE`
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

const PLAN: &str = "\
Examples:
  aci-dns plan
  aci-dns plan --adopt-only
  aci-dns plan --out plan.json

Exit codes: 0 nothing would change, 1 a part of the comparison failed, 2 wrong settings or arguments, 3 something
would change, or needs a person.";

pub(crate) fn plan(arguments: &PlanArguments) -> Result<ExitCode, Failure> {
    let mut settings = arguments.comparison.scope.settings()?;
    if arguments.adopt_only {
        settings.takeover = Takeover::MarksOnly;
    } else if arguments.adopt {
        settings.takeover = Takeover::All;
    }
    let takeover = settings.takeover;
    run(settings, async |functions, stop| {
        let group = arguments.group.as_ref();
        let findings = arguments.comparison.findings(group, &functions.sweeper, &stop).await?;
        if let Some(path) = &arguments.out {
            plan_file::write(path, &findings, takeover)?;
        }
        print(&findings, arguments.output, findings::diff);
        Ok(verdict(&findings, !findings.found.is_empty() || !findings.unattributed.is_empty()))
    })
}
