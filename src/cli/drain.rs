//! The command `drain`.

use std::{io::Write as _, process::ExitCode};

use super::{
    comparison::SettingsArguments,
    failure::{Failure, WRONG, refuse},
    progress::{self, say},
    service::{WaitArguments, current, departed, of_group, refused, run_on_tags, wait_until},
};
use aci_dns::{
    azure::arm::Tagger,
    config::Settings,
    decide::desired::DRAIN_TAG,
    domain::resource_id::{ContainerGroupId, Scope},
    sweep::Stop,
};

/// Take a container group out of its services, or put it back
///
/// Sets the tag aci-dns-drain of the container group. Nothing restarts, and its own name stays. Its address leaves
/// each service when the event of the tag arrives, unless it is the last one. The caller needs the right
/// Microsoft.Resources/tags/write at the container group.
#[derive(Debug, clap::Args)]
#[command(after_long_help = DRAIN)]
pub(crate) struct DrainArguments {
    #[command(flatten)]
    place: SettingsArguments,
    /// The container group: its name, <resource group>/<name>, or its resource id
    group: String,
    /// Remove the tag, so that the group is used again
    #[arg(long)]
    undo: bool,
    /// Wait until no service holds the address and no client uses it any more
    #[arg(long, conflicts_with = "undo")]
    wait: bool,
    #[command(flatten)]
    patience: WaitArguments,
}

const DRAIN: &str = "\
Examples:
  aci-dns drain api-v1-a --wait && az container stop --resource-group rg-spoke1 --name api-v1-a
  aci-dns drain api-v1-a --wait --resolver 10.0.0.4
  aci-dns drain api-v1-a --undo

Exit codes: 0 done (with --wait: the container group can be stopped or deleted), 1 failed or interrupted, 2 wrong
settings or arguments. Run it again to continue.";

pub(crate) fn drain(arguments: &DrainArguments) -> Result<ExitCode, Failure> {
    if arguments.patience.asks_dns() && !arguments.wait {
        return Ok(refuse(WRONG, "--resolver has no effect without --wait; add --wait"));
    }
    run_on_tags(&arguments.place, async |settings, tagger, stop| run(arguments, settings, tagger, stop).await)
}

async fn run(
    arguments: &DrainArguments,
    settings: &Settings,
    tagger: &Tagger,
    stop: &Stop,
) -> Result<ExitCode, Failure> {
    let services = current(settings, tagger.reader()).await?;
    let members = services.iter().flat_map(|service| service.verdict.members.keys());
    let id = find(members, &arguments.group)?;
    let own: Vec<_> =
        of_group(&services, &id).into_iter().map(|service| service.verdict.name.clone()).collect();
    let departed = departed(&services, &[&id]);
    if arguments.undo {
        tag(tagger, &id, false).await?;
        progress::clear();
        let _ = writeln!(anstream::stdout(), "{} is used again", id.name());
        return Ok(ExitCode::SUCCESS);
    }
    tag(tagger, &id, true).await?;
    if !arguments.wait {
        progress::clear();
        let _ = writeln!(anstream::stdout(), "{} drains", id.name());
        return Ok(ExitCode::SUCCESS);
    }
    let deadline = arguments.patience.deadline();
    let services = wait_until(settings, tagger, &Scope::of(&id), (deadline, stop), |services| {
        let shown =
            of_group(services, &id).first().and_then(|service| service.verdict.members.get(&id)?.shown);
        match services.iter().find(|service| shown.is_some_and(|address| service.holds(address))) {
            None => Ok(()),
            Some(service) if service.verdict.is_failing_open => Err(format!(
                "{} still holds {}: every running member is draining, and the last address stays",
                service.verdict.fqdn,
                id.name()
            )),
            Some(service) => Err(format!("{} still holds {}", service.verdict.fqdn, id.name())),
        }
    })
    .await?;
    let ttl =
        services.iter().filter(|service| own.contains(&service.verdict.name)).map(|service| service.ttl);
    arguments.patience.wait_for_caches(ttl.max().unwrap_or_default(), &departed, stop).await?;
    progress::clear();
    let _ = writeln!(anstream::stdout(), "{} can be stopped or deleted", id.name());
    Ok(ExitCode::SUCCESS)
}

/// Sets or removes the tag of a group.
pub(super) async fn tag(tagger: &Tagger, id: &ContainerGroupId, is_draining: bool) -> Result<(), Failure> {
    if is_draining {
        tagger.set_tag(id, DRAIN_TAG, "true").await.map_err(|error| refused(&error))?;
        say(&format!("{} drains", id.name()));
        return Ok(());
    }
    // The Tags API removes a tag together with its value.
    tagger.set_tag(id, DRAIN_TAG, "false").await.map_err(|error| refused(&error))?;
    tagger.remove_tag(id, DRAIN_TAG, "false").await.map_err(|error| refused(&error))?;
    say(&format!("{} is used", id.name()));
    Ok(())
}

/// The only member that is meant.
fn find<'a>(
    members: impl Iterator<Item = &'a ContainerGroupId>,
    given: &str,
) -> Result<ContainerGroupId, Failure> {
    let id = given.parse::<ContainerGroupId>().ok();
    let is_it = |member: &&ContainerGroupId| match (&id, given.split_once('/')) {
        (Some(id), _) => *member == id,
        (None, Some((group, name))) => {
            member.resource_group().eq_ignore_ascii_case(group) && member.name().eq_ignore_ascii_case(name)
        }
        (None, None) => member.name().eq_ignore_ascii_case(given),
    };
    let mut found: Vec<_> = members.filter(is_it).collect();
    found.dedup();
    match found.as_slice() {
        [only] => Ok((*only).clone()),
        [] => Err(Failure::Group(format!("{given} is no member of a service; see aci-dns service list"))),
        [..] => {
            Err(Failure::Group(format!("several container groups are named {given}: give the resource id")))
        }
    }
}
