//! The command `drift`.

use std::{io::Write as _, process::ExitCode};

use aci_dns::{domain::resource_id::ContainerGroupId, sweep::findings};

use super::{
    comparison::{ComparisonArguments, print, verdict},
    failure::{DRIFTED, Failure},
    output::Output,
    progress,
    resolver::Resolver,
    run::run,
};

/// Report how DNS differs from all container groups of the map
///
/// Read-only: lists each scope of the map and each zone once, and reads the container groups for which the
/// lists are not sufficient. The settings are those of `serve`.
#[derive(Debug, clap::Args)]
#[command(after_long_help = DRIFT)]
pub(crate) struct DriftArguments {
    #[command(flatten)]
    comparison: ComparisonArguments,
    /// Only this container group, by its resource id
    #[arg(long, value_name = "ID", conflicts_with_all = ["subscriptions", "thorough"])]
    group: Option<ContainerGroupId>,
    /// Output format
    #[arg(long, value_enum, default_value_t = Output::Table)]
    output: Output,
    #[command(flatten)]
    resolver: Resolver,
}

const DRIFT: &str = "\
Kinds of drift:
  a_missing      the container group has no A record set
  address        its A record set contains another address
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
  address_refused
                 its address is outside addressRanges
  secret_missing the group has no secret in Key Vault
  secret         its secret has another value, or its owner tag differs

Examples:
  aci-dns drift
  aci-dns drift --subscription 00000000-0000-0000-0000-000000000000 --output json
  aci-dns drift --group /subscriptions/<id>/resourceGroups/rg-spoke1/providers/\
Microsoft.ContainerInstance/containerGroups/web

  aci-dns drift --resolve
  aci-dns drift --resolve --resolver 10.0.0.4

Results of --resolve:
  resolved         the answer is correct
  stale            an old answer is still cached
  negative_cached  the record set is correct, but an answer from before it existed is still cached
  record_set       the answer agrees with the record set, which is wrong
  not_linked       the server does not see the private zone
  shadowed         another DNS server answers for the zone
  error, timeout   the server answered with an error, or not at all

Exit codes: 0 no drift, 1 a part of the comparison failed or a name could not be asked for, 2 wrong settings or
arguments, 3 drift, or an answer that is not right.";

pub(crate) fn drift(arguments: &DriftArguments) -> Result<ExitCode, Failure> {
    run(arguments.comparison.scope.settings()?, async |functions, stop| {
        let group = arguments.group.as_ref();
        let findings = arguments.comparison.findings(group, &functions.sweeper, &stop).await?;
        let is_drift = findings.drifted() > 0 || !findings.unattributed.is_empty();
        let Some(resolved) = arguments.resolver.check(&findings.names).await? else {
            print(&findings, arguments.output, findings::table);
            return Ok(verdict(&findings, is_drift));
        };
        progress::clear();
        let _ = anstream::stdout().write_all(resolved.shown(&findings, arguments.output).as_bytes());
        if findings.is_incomplete() || resolved.is_unknown() {
            return Ok(ExitCode::FAILURE);
        }
        Ok(if is_drift || resolved.is_wrong() { ExitCode::from(DRIFTED) } else { ExitCode::SUCCESS })
    })
}
