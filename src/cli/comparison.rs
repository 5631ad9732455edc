//! The scope of a comparison (subscriptions, one group, thorough or not), and its findings as output and exit code.

use std::{collections::BTreeSet, io::Write as _, process::ExitCode, time::Duration};

use aci_dns::{
    config::{BrokenRule, MissingSubscription, Mistake, SUBSCRIPTIONS, Settings, SettingsError, ZONES},
    domain::resource_id::{ContainerGroupId, fold, is_guid},
    environment::{self, names, variable},
    sweep::{
        Stop, SweepOptions, Sweeper,
        findings::{self, Findings},
    },
};
use tokio::time::Instant;

use super::{
    failure::{DRIFTED, Failure},
    output::{BAD, Output, WARNING},
    progress,
};

/// The time limit of a sweep; a person can interrupt it earlier.
pub(super) const TIME: Duration = Duration::from_hours(12);

/// Which subscriptions to compare.
#[derive(Debug, clap::Args)]
pub(super) struct SettingsArguments {
    #[arg(
        long = "subscription",
        value_name = "ID",
        help = "Subscription of keys of the map that name none; may be repeated \
                [default: $ACI_DNS_SUBSCRIPTIONS, or those that other keys name]"
    )]
    pub(super) subscriptions: Vec<String>,
}

/// Which subscriptions to compare, and how thoroughly.
#[derive(Debug, clap::Args)]
pub(super) struct ComparisonArguments {
    #[command(flatten)]
    pub(super) scope: SettingsArguments,
    /// Read each container group to which a record in the zones refers, instead of relying on lists
    #[arg(long)]
    thorough: bool,
}

impl SettingsArguments {
    /// The settings, with the arguments applied.
    pub(super) fn settings(&self) -> Result<Settings, Failure> {
        let wrong = self.subscriptions.iter().filter(|id| !is_guid(id)).map(|id| Mistake {
            place: "--subscription".to_owned(),
            broken: BrokenRule::Text { given: id.clone(), rule: "a subscription id" },
        });
        let mut mistakes: Vec<Mistake> = wrong.collect();
        let settings = environment::settings(variable, names());
        let settings = settings.map_err(|error| mistakes.extend(error.mistakes));
        // Without zones, only the functions of image updates have something to do.
        if settings.as_ref().is_ok_and(|settings| settings.zones.key_count() == 0) {
            mistakes.push(Mistake { place: ZONES.to_owned(), broken: BrokenRule::Missing });
        }
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
pub(super) fn missing_subscription(MissingSubscription(key): MissingSubscription) -> Failure {
    let broken = BrokenRule::SweptNowhere(key);
    let mistakes = vec![Mistake { place: SUBSCRIPTIONS.to_owned(), broken }];
    Failure::Settings(SettingsError { mistakes })
}

impl ComparisonArguments {
    /// Runs the sweep, unless it is interrupted.
    pub(super) async fn findings(
        &self,
        group: Option<&ContainerGroupId>,
        sweeper: &Sweeper,
        stop: &Stop,
    ) -> Result<Findings, Failure> {
        let options = SweepOptions { deadline: Instant::now() + TIME, is_thorough: self.thorough };
        let compared = async {
            match group {
                Some(id) => sweeper.compare_group(id, options.deadline).await.map_err(Failure::Group),
                None => sweeper.compare(options).await.map_err(missing_subscription),
            }
        };
        tokio::select! {
            found = compared => found,
            () = stop.signalled() => Err(Failure::Interrupted),
        }
    }
}

pub(super) fn print(findings: &Findings, output: Output, text: fn(&Findings) -> String) {
    progress::clear();
    let reported = match output {
        Output::Table => text(findings),
        Output::Json => format!("{:#}\n", findings::json(findings)),
    };
    let _ = anstream::stdout().write_all(reported.as_bytes());
}

pub(super) fn verdict(findings: &Findings, is_drift: bool) -> ExitCode {
    match (findings.is_incomplete(), is_drift) {
        (true, _) => ExitCode::FAILURE,
        (false, true) => ExitCode::from(DRIFTED),
        (false, false) => ExitCode::SUCCESS,
    }
}
