//! The failures of commands, and the exit codes.

use std::{
    fmt::Write as _,
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use aci_dns::{
    azure::storage_queue::QueueError,
    config::SettingsError,
    decide::report::Chain,
    demo::DemoError,
    domain::text::printable,
    replay::{ReplayError, remote::RemoteError},
    resolve::client::ClientError,
};

use super::{output::BAD, progress};

/// Exit code: drift was found.
pub(super) const DRIFTED: u8 = 3;

/// Exit code: the arguments or settings are invalid.
pub(super) const WRONG: u8 = 2;

/// Why a command fails.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    #[error("the settings are invalid")]
    Settings(#[source] SettingsError),
    #[error("cannot listen on 127.0.0.1:{port}; choose another port with --port")]
    Bind { port: u16, source: io::Error },
    #[error("cannot set up the process")]
    SetUp(#[source] io::Error),
    #[error(transparent)]
    Replay(#[from] ReplayError),
    #[error("cannot write telemetry to {}", path.display())]
    TelemetryFile { path: PathBuf, source: io::Error },
    #[error("cannot create the simulated resources")]
    Seed(#[source] azure_simulator::Missing),
    #[error(transparent)]
    Demo(#[from] DemoError),
    #[error(transparent)]
    Resolver(#[from] ClientError),
    #[error("{0}")]
    Group(String),
    #[error(transparent)]
    Queue(#[from] QueueError),
    #[error("cannot create a certificate for HTTPS")]
    Certificate(#[source] azure_simulator::CertificateError),
    #[error("cannot write the certificate of the authority to {}", path.display())]
    CaFile { path: PathBuf, source: io::Error },
    #[error("the plan {}", path.display())]
    PlanFile { path: PathBuf, source: Box<dyn std::error::Error + Send + Sync> },
    #[error("interrupted: the command did not finish; nothing was written")]
    Interrupted,
    #[error(
        "interrupted: messages that were not moved yet stay in the poison queue; run the command again to continue"
    )]
    InterruptedRedrive,
    #[error("interrupted: tags that are set stay; run the command again to continue")]
    InterruptedSwitch,
    #[error("cannot write log lines")]
    Telemetry(#[from] tracing::subscriber::SetGlobalDefaultError),
}

/// Whether the reader closed the output, as `head` does.
fn is_broken_pipe(failure: &Failure) -> bool {
    let Failure::Replay(ReplayError::Output(error) | ReplayError::Remote(RemoteError::Output(error))) =
        failure
    else {
        return false;
    };
    error.kind() == io::ErrorKind::BrokenPipe
}

/// The failure with its causes. A cause may have several lines, such as one for each way to sign in.
fn lines(failure: &Failure) -> String {
    let text = Chain(failure).to_string();
    text.lines().map(printable).collect::<Vec<_>>().join("\n  ")
}

pub(crate) fn report(failure: &Failure) -> ExitCode {
    if is_broken_pipe(failure) {
        return ExitCode::SUCCESS;
    }
    let (text, code) = match failure {
        Failure::Settings(error) | Failure::Replay(ReplayError::Settings(error)) => {
            let lines = error.mistakes.iter().fold(String::new(), |mut lines, mistake| {
                let _ = write!(lines, "\n  {}", printable(&mistake.to_string()));
                lines
            });
            (format!("the settings are invalid:{lines}"), 2)
        }
        Failure::Replay(
            ReplayError::File(_) | ReplayError::Unreadable { .. } | ReplayError::Scenario { .. },
        )
        | Failure::PlanFile { .. } => (lines(failure), 2),
        Failure::Bind { .. }
        | Failure::SetUp(_)
        | Failure::TelemetryFile { .. }
        | Failure::Telemetry(_)
        | Failure::Replay(_)
        | Failure::Seed(_)
        | Failure::Demo(_)
        | Failure::Resolver(_)
        | Failure::Group(_)
        | Failure::Queue(_)
        | Failure::Certificate(_)
        | Failure::CaFile { .. }
        | Failure::Interrupted
        | Failure::InterruptedRedrive
        | Failure::InterruptedSwitch => (lines(failure), 1),
    };
    progress::clear();
    let style = BAD.bold();
    let _ = writeln!(anstream::stderr(), "{style}error{style:#}: {text}");
    ExitCode::from(code)
}

pub(super) fn refuse(code: u8, reason: &str) -> ExitCode {
    progress::clear();
    let style = BAD.bold();
    let _ = writeln!(anstream::stderr(), "{style}error{style:#}: {reason}");
    ExitCode::from(code)
}
