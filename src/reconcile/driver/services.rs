//! The driver of services: asks [`decide_services`] for the next step and carries it out, until each service has its
//! verdict.

use std::collections::BTreeMap;

use futures::future::{join, join_all};
use tokio::time::{Instant, sleep};

use super::{Access, CONFIRMATION_DELAY, send};
use crate::{
    azure::arm::{ArmError, Reader},
    decide::{
        Rules, WriteResult,
        change::Change,
        service::{
            ObservedMember, ServiceFact, ServiceFacts, ServiceGoal, ServiceKey, ServiceVerdict, ServicesStep,
            belongs, decide_services, gives_up, unsettled,
        },
    },
    domain::{
        dns::{Owner, RelativeName},
        failure::FailureKind,
        resource_id::Scope,
    },
};

/// The changes and errors of a run. The caller owns them, so that they can be reported if the run reaches its deadline.
#[derive(Debug, Default)]
pub struct ServicesTrace {
    facts: ServiceFacts,
    /// The changes that happened, may have happened, or would happen.
    pub changes: Vec<Change>,
    /// The errors of failed requests, by the key of the fact.
    pub errors: BTreeMap<ServiceKey, ArmError>,
    /// When container groups and owners were read first in this pass.
    read_at: BTreeMap<ServiceKey, Instant>,
}

impl ServicesTrace {
    /// The verdicts; a missing verdict becomes a failure because of the deadline.
    pub fn verdicts(&mut self, rules: Rules, goal: &ServiceGoal) -> Vec<ServiceVerdict> {
        for verdict in unsettled(rules, goal, &self.facts) {
            self.facts.settle(verdict);
        }
        std::mem::take(&mut self.facts).into_verdicts()
    }

    /// When these reads may be sent: a confirmation has to follow some seconds after the read that it confirms.
    fn not_before(&mut self, reads: &[ServiceKey]) -> Instant {
        let now = Instant::now();
        let mut start = now;
        for key in reads {
            match key.first() {
                Some(first) => {
                    let first_read = self.read_at.get(&first).copied().unwrap_or(now);
                    start = start.max(first_read + CONFIRMATION_DELAY);
                }
                None => _ = self.read_at.insert(key.clone(), now),
            }
        }
        start
    }

    fn learn_write(&mut self, change: Change, result: Result<WriteResult, ArmError>) {
        let (result, error) = match result {
            Ok(result) => (result, None),
            Err(error) => (WriteResult::Failed(error.kind()), Some(error)),
        };
        self.facts.learn_write(&change, result);
        let kind = error.as_ref().map(ArmError::kind);
        let (_, name) = change.record_set();
        self.errors.extend(error.map(|error| (ServiceKey::Set(name.clone()), error)));
        let line = change.to_string();
        let may_have_happened = matches!(kind, None | Some(FailureKind::Uncertain));
        if may_have_happened && !self.changes.iter().any(|known| known.to_string() == line) {
            self.changes.push(change);
        }
    }
}

/// Runs a goal until each service has its verdict.
pub async fn drive_services(access: Access<'_>, rules: Rules, goal: &ServiceGoal, trace: &mut ServicesTrace) {
    loop {
        let (step, verdicts) = decide_services(rules, goal, &trace.facts);
        for verdict in verdicts {
            trace.facts.settle(verdict);
        }
        match step {
            ServicesStep::Done => return,
            ServicesStep::Repeat(outdated) => {
                trace.read_at.clear();
                let pause = trace.facts.begin_pass(&outdated);
                access.pause(sleep(pause)).await;
            }
            ServicesStep::Act { read, write } => {
                let start = trace.not_before(&read);
                access.wait_until(start).await;
                let writes = join_all(write.iter().map(|change| send(access, change)));
                let reads = join_all(read.iter().map(|key| answer(access, goal, key)));
                let (written, answers) = join(writes, reads).await;
                for (change, result) in write.into_iter().zip(written) {
                    trace.learn_write(change, result);
                }
                for (key, result) in read.into_iter().zip(answers) {
                    let fact = result.map_err(|error| {
                        let kind = error.kind();
                        trace.errors.insert(key.clone(), error);
                        kind
                    });
                    trace.facts.learn(key, fact);
                }
            }
        }
    }
}

async fn answer(access: Access<'_>, goal: &ServiceGoal, key: &ServiceKey) -> Result<ServiceFact, ArmError> {
    let (reader, zone) = (access.reader, &goal.zones.forward);
    Ok(match key {
        ServiceKey::Groups | ServiceKey::GroupsAgain | ServiceKey::GroupsAfter(_) => {
            let groups = reader.list_container_groups(&goal.scope).await?.unwrap_or_default();
            let managed = groups.into_iter().filter(|(id, _)| goal.map.serves(id));
            ServiceFact::Groups(managed.map(|(id, group)| (id, ObservedMember::of(Some(&group)))).collect())
        }
        ServiceKey::Set(name) | ServiceKey::SetAfter(name) => {
            ServiceFact::Set(access.a_record_set(zone, name).await?)
        }
        ServiceKey::Cname(name) => ServiceFact::Cname(reader.cname(zone, name).await?),
        ServiceKey::Group(id) | ServiceKey::GroupAgain(id) | ServiceKey::GroupAfter(_, id) => {
            ServiceFact::Group(ObservedMember::of(reader.container_group(id).await?.as_ref()))
        }
        ServiceKey::Owner(name, owner) | ServiceKey::OwnerAgain(name, owner) => {
            ServiceFact::Owner { is_free: is_free(reader, goal, name, owner).await? }
        }
    })
}

/// Whether the owner in a mark no longer claims a name.
async fn is_free(
    reader: &Reader,
    goal: &ServiceGoal,
    name: &RelativeName,
    owner: &Owner,
) -> Result<bool, ArmError> {
    if let Some((scope, label)) = owner.service() {
        return has_no_members(reader, goal, &scope, label).await;
    }
    let Some(id) = owner.container_group() else { return Ok(false) };
    let group = reader.container_group(&id).await?;
    Ok(gives_up(&goal.map, &id, group.as_ref(), (&goal.zones.forward, name)))
}

/// Whether no container group of a resource group belongs to a service.
async fn has_no_members(
    reader: &Reader,
    goal: &ServiceGoal,
    scope: &Scope,
    label: &str,
) -> Result<bool, ArmError> {
    let Some(zones) = goal.map.of_resource_group(scope) else { return Ok(true) };
    let Some(service) = zones.services.iter().find(|service| service.name.as_str() == label) else {
        return Ok(true);
    };
    let groups = reader.list_container_groups(scope).await?.unwrap_or_default();
    let is_member = |id, group| goal.map.serves(id) && belongs(service, id, &ObservedMember::of(Some(group)));
    Ok(!groups.iter().any(|(id, group)| is_member(id, group)))
}
