//! The command `retry`: shows the messages of the poison queue, and moves them back to the retry queue.

use std::{fmt::Write as _, io::Write as _, process::ExitCode};

use aci_dns::{
    config::{BrokenRule, Mistake, Settings, SettingsError},
    environment,
    reconcile::retry::poison::{self, PoisonQueue, Poisoned},
};

use super::{
    failure::{DRIFTED, Failure},
    output::Output,
    progress,
    run::{network, run_on_arm},
};

/// Show the messages of the poison queue, or retry them
///
/// The Functions host moves work that fails for a day to the poison queue, which keeps it for seven days. The settings
/// are those of `serve`, with a retry queue. Listing needs the role Storage Queue Data Reader, redriving the role
/// Storage Queue Data Contributor.
#[derive(Debug, clap::Args)]
#[command(after_long_help = RETRY)]
pub(crate) struct RetryArguments {
    #[command(subcommand)]
    command: RetryCommand,
}

#[derive(Debug, clap::Subcommand)]
enum RetryCommand {
    /// Show the messages of the poison queue without removing them
    List {
        /// Output format
        #[arg(long, value_enum, default_value_t = Output::Table)]
        output: Output,
    },
    /// Move the messages of the poison queue back to the retry queue
    Redrive,
}

const RETRY: &str = "\
Examples:
  aci-dns retry list
  aci-dns retry list --output json
  aci-dns retry redrive

Exit codes: 0 done, 1 the queue could not be read or written, 2 wrong settings or arguments, 3 `list` found messages.";

pub(crate) fn retry(arguments: &RetryArguments) -> Result<ExitCode, Failure> {
    let settings =
        environment::settings(environment::variable, environment::names()).map_err(Failure::Settings)?;
    run_on_arm(settings, async |settings, _, stop| {
        let work = run(&arguments.command, &settings);
        tokio::select! {
            done = work => done,
            () = stop.signalled() => Err(match arguments.command {
                RetryCommand::List { .. } => Failure::Interrupted,
                RetryCommand::Redrive => Failure::InterruptedRedrive,
            }),
        }
    })
}

async fn run(command: &RetryCommand, settings: &Settings) -> Result<ExitCode, Failure> {
    let Some(url) = &settings.retry_queue else {
        let mistake = Mistake { place: "ACI_DNS_RETRY_QUEUE".to_owned(), broken: BrokenRule::Missing };
        return Err(Failure::Settings(SettingsError { mistakes: vec![mistake] }));
    };
    let (http_transport, tokens) = network(settings);
    let queue = PoisonQueue::new(url, &http_transport, &tokens)?;
    match command {
        RetryCommand::List { output } => {
            let poisoned = queue.list().await?;
            let text = match output {
                Output::Table => table(&poisoned),
                Output::Json => {
                    let messages: Vec<_> = poisoned.messages.iter().map(poison::json).collect();
                    format!("{:#}\n", serde_json::Value::Array(messages))
                }
            };
            progress::clear();
            let _ = anstream::stdout().write_all(text.as_bytes());
            Ok(if poisoned.count == 0 { ExitCode::SUCCESS } else { ExitCode::from(DRIFTED) })
        }
        RetryCommand::Redrive => {
            let moved = queue.redrive().await?;
            progress::clear();
            let _ = writeln!(anstream::stdout(), "{moved} moved back to the retry queue");
            Ok(ExitCode::SUCCESS)
        }
    }
}

fn table(poisoned: &Poisoned) -> String {
    if poisoned.count == 0 {
        return "the poison queue is empty\n".to_owned();
    }
    let mut text: String = poisoned.messages.iter().map(|message| poison::line(message) + "\n").collect();
    let shown = u64::try_from(poisoned.messages.len()).unwrap_or(u64::MAX);
    if poisoned.count > shown {
        // Writing to a text cannot fail.
        let _ = writeln!(text, "and {} more", poisoned.count - shown);
    }
    text
}
