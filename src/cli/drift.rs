//! The command `drift`.

use std::process::ExitCode;

use aci_dns::{domain::resource_id::ContainerGroupId, sweep::findings};

use super::{
    failure::Failure,
    look::{Look, print, verdict},
    output::Output,
    run::run,
};

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
  address_refused
                 its address is outside of addressRanges
  secret_missing the group has no secret in Key Vault
  secret         its secret holds another value, or its owner tag differs

Examples:
  aci-dns drift
  aci-dns drift --subscription 00000000-0000-0000-0000-000000000000 --output json
  aci-dns drift --group /subscriptions/<id>/resourceGroups/rg-spoke1/providers/\
Microsoft.ContainerInstance/containerGroups/web

Exit codes: 0 no drift, 1 a part of the comparison failed, 2 wrong settings or arguments, 3 drift.";

pub(crate) fn drift(arguments: &Drift) -> Result<ExitCode, Failure> {
    run(arguments.look.place.settings()?, async |functions, stop| {
        let group = arguments.group.as_ref();
        let findings = arguments.look.findings(group, &functions.sweeper, &stop).await?;
        print(&findings, arguments.output, findings::table);
        Ok(verdict(&findings, findings.drifted() > 0 || !findings.unattributed.is_empty()))
    })
}
