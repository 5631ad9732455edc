//! The command `switch`.

use std::{collections::BTreeMap, fmt::Write as _, io::Write as _, process::ExitCode};

use super::{
    comparison::SettingsArguments,
    drain::tag,
    failure::Failure,
    progress,
    service::{Current, WaitArguments, current, departed, of_group, one, run_on_tags, wait_until},
};
use aci_dns::{
    azure::arm::Tagger,
    config::{NamePattern, Settings},
    decide::service::ObservedMember,
    domain::resource_id::ContainerGroupId,
    sweep::Stop,
};

/// Move a service from its container groups to others, without a moment without an address
///
/// Uses the groups that match the pattern, waits until enough of them run and are in the record set, drains the
/// others, waits until no client uses them, and says which can be deleted. It deletes nothing. To go back, switch to
/// the pattern of the old groups before they are deleted.
#[derive(Debug, clap::Args)]
#[command(after_long_help = SWITCH)]
pub(crate) struct SwitchArguments {
    #[command(flatten)]
    place: SettingsArguments,
    /// The label of the service, or <resource group>/<label>
    name: String,
    /// The container groups to use: a name, or a prefix with *
    #[arg(long, value_name = "PATTERN")]
    to: String,
    /// How many of them must run first [default: as many as the others that run]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=20))]
    at_least: Option<u64>,
    #[command(flatten)]
    patience: WaitArguments,
}

const SWITCH: &str = "\
The service api has the groups api-v1-a and api-v1-b, and the map says \"services\": {\"api\": {\"groups\": [\"api-v*\"]}}:
  az container create --resource-group rg-spoke1 --name api-v2-a ...
  az container create --resource-group rg-spoke1 --name api-v2-b ...
  aci-dns switch api --to 'api-v2-*'
  aci-dns switch api --to 'api-v1-*'       # back, while the old groups exist

It can be interrupted at any time and run again. The caller needs the right Microsoft.Resources/tags/write at the
container groups.

Exit codes: 0 done: the groups in the output can be deleted, 1 failed or interrupted, 2 wrong settings or arguments.";

pub(crate) fn switch(arguments: &SwitchArguments) -> Result<ExitCode, Failure> {
    run_on_tags(&arguments.place, async |settings, tagger, stop| run(arguments, settings, tagger, stop).await)
}

/// Members, in the order of their ids.
type ServiceMembers = BTreeMap<ContainerGroupId, ObservedMember>;

async fn run(
    arguments: &SwitchArguments,
    settings: &Settings,
    tagger: &Tagger,
    stop: &Stop,
) -> Result<ExitCode, Failure> {
    let pattern = NamePattern::new(&arguments.to);
    let service = one(current(settings, tagger.reader()).await?, &arguments.name)?;
    if let Some(error) = service.error {
        return Err(Failure::Group(error));
    }
    let split = |service: &Current| -> (ServiceMembers, ServiceMembers) {
        let members = service.verdict.members.clone();
        members.into_iter().partition(|(id, _)| pattern.matches(id.name()))
    };
    let (new, old) = split(&service);
    if new.is_empty() {
        return Err(Failure::Group(format!("no member of {} matches {pattern}", service.verdict.fqdn)));
    }
    let running =
        |members: &ServiceMembers| members.values().filter(|seen| Current::running(seen).is_some()).count();
    let needed = arguments.at_least.and_then(|count| usize::try_from(count).ok());
    let needed = needed.unwrap_or_else(|| running(&old).max(1));
    for (id, _) in new.iter().filter(|(_, seen)| seen.tags.is_draining) {
        tag(tagger, id, false).await?;
    }
    let (scope, name) = (service.scope.clone(), service.verdict.name.clone());
    let of = |services: &[Current]| services.iter().find(|service| service.verdict.name == name).cloned();
    let deadline = arguments.patience.deadline();
    let ready = wait_until(settings, tagger, &scope, (deadline, stop), |services| {
        let Some(service) = of(services) else { return Err("the service is not declared".to_owned()) };
        let (new, _) = split(&service);
        let used = new.values().filter(|seen| !seen.tags.is_draining).filter_map(Current::running);
        let held = used.filter(|address| service.holds(*address)).count();
        if held >= needed {
            return Ok(());
        }
        Err(format!("{held} of {needed} members that match {pattern} run and are in the record set"))
    })
    .await?;
    let Some(service) = of(&ready) else { return Ok(ExitCode::FAILURE) };
    let (_, old) = split(&service);
    for (id, _) in old.iter().filter(|(_, seen)| !seen.tags.is_draining) {
        tag(tagger, id, true).await?;
    }
    let drained = wait_until(settings, tagger, &scope, (deadline, stop), |services| {
        let holding = old.iter().find_map(|(id, seen)| {
            let holder =
                services.iter().find(|service| seen.shown.is_some_and(|address| service.holds(address)));
            holder.map(|service| format!("{} still holds {}", service.verdict.fqdn, id.name()))
        });
        holding.map_or(Ok(()), Err)
    })
    .await?;
    let departed = departed(&ready, &old.keys().collect::<Vec<_>>());
    let ttls = old.keys().flat_map(|id| of_group(&drained, id)).map(|service| service.ttl);
    if !old.is_empty() {
        arguments.patience.wait_for_caches(ttls.max().unwrap_or(service.ttl), &departed, stop).await?;
    }
    let mut text = format!("{} is served by {pattern}\n", service.verdict.fqdn);
    for id in old.keys() {
        let (group, name) = (id.resource_group(), id.name());
        // Writing to a text cannot fail.
        _ = writeln!(
            text,
            "az container delete --yes --resource-group {group} --name {name} --subscription {}",
            id.subscription()
        );
    }
    progress::clear();
    let _ = anstream::stdout().write_all(text.as_bytes());
    Ok(ExitCode::SUCCESS)
}
