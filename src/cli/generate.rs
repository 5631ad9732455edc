//! The commands `schema` and `completions`, which print files for other programs.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use aci_dns::config;
use clap_complete::Shell;

/// Print the JSON schema of the map, for editors and pipelines
#[derive(Debug, clap::Args)]
#[command(after_long_help = SCHEMA)]
pub(crate) struct SchemaArguments {}

const SCHEMA: &str = "\
Examples:
  aci-dns schema > zones.schema.json
  check-jsonschema --schemafile zones.schema.json zones.json

The schema describes the form of the map. `aci-dns doctor` also checks the map against Azure.";

/// Print the completions of a shell
#[derive(Debug, clap::Args)]
#[command(after_long_help = COMPLETIONS)]
pub(crate) struct CompletionsArguments {
    /// The shell
    shell: Shell,
}

const COMPLETIONS: &str = "\
Examples:
  source <(aci-dns completions bash)
  aci-dns completions zsh > ~/.zfunc/_aci-dns
  aci-dns completions fish > ~/.config/fish/completions/aci-dns.fish";

pub(crate) fn schema() -> ExitCode {
    print(config::ZONES_SCHEMA.as_bytes())
}

pub(crate) fn completions(arguments: &CompletionsArguments, mut command: clap::Command) -> ExitCode {
    let mut text = Vec::new();
    let name = command.get_name().to_owned();
    clap_complete::generate(arguments.shell, &mut command, name, &mut text);
    print(&text)
}

/// Prints the text. A closed pipe is not a failure.
fn print(text: &[u8]) -> ExitCode {
    match io::stdout().write_all(text) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => ExitCode::FAILURE,
        _ => ExitCode::SUCCESS,
    }
}
