//! The decision about services: one A record set with the addresses of several container groups.
//!
//! [`decide_services`] is pure. It looks at all services of one resource group, because they share the list and the
//! reads of its container groups. Each service is decided for itself: a failure of one ends no other.
//!
//! Rules:
//!
//! * A member's address leaves the record set only when a read of that group says so (a confirmation if it is
//!   stopped, being deleted or deleted), or when two lists, three seconds apart, show no member with this address.
//! * The members are read after the record set. So of two processes that write, the later one has the newer members.
//! * One conditional write replaces the record set. While a member runs, it is never absent or empty.
//! * A write is verified: the record set and the groups whose address it added or removed are read again. Where no running
//!   group has an address that it removed, the groups are also listed: another member may have it by now.

mod facts;
mod keys;
mod members;
#[cfg(test)]
mod tests;
mod verdict;

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet},
    net::Ipv4Addr,
};

pub use self::{
    facts::ServiceFacts,
    keys::{ObservedMember, ServiceFact, ServiceKey, gives_up},
    members::belongs,
    verdict::{MOST_ADDRESSES, ServiceError, ServiceGoal, ServiceVerdict},
};
use self::{
    facts::{ServiceRun, Written},
    members::Membership,
};
use crate::{
    config::{Ownership, Policy, Service},
    decide::{
        Conflict, MAX_PASSES, OwnerMark, Purpose, Rules,
        change::{Change, Edit},
        ownership::owner_conflict,
    },
    domain::{
        dns::{ARecordSet, Content, DomainName, OWNER_KEY, Owner, PREVIOUS_KEY, RelativeName},
        failure::FailureKind,
        resource_id::ContainerGroupId,
    },
};

/// The next step.
#[derive(Clone, Debug)]
pub enum ServicesStep {
    /// Send these reads and writes together, and learn all answers.
    Act {
        /// What to read.
        read: Vec<ServiceKey>,
        /// What to write: at most one change of each service.
        write: Vec<Change>,
    },
    /// The facts are outdated for these services: forget them and start another pass.
    Repeat(Vec<RelativeName>),
    /// Each service has its verdict.
    Done,
}

/// The verdicts on the services that have none when the time is up.
#[must_use]
pub fn unsettled(rules: Rules, goal: &ServiceGoal, facts: &ServiceFacts) -> Vec<ServiceVerdict> {
    let decider = ServiceDecider { rules, goal, facts };
    let services = goal.zones.services.iter().filter(|service| decider.run(service).verdict.is_none());
    services.map(|service| *decider.cut_off(service, ServiceError::Deadline)).collect()
}

/// Decides the next step, and returns the verdicts that are new.
#[must_use]
pub fn decide_services(
    rules: Rules,
    goal: &ServiceGoal,
    facts: &ServiceFacts,
) -> (ServicesStep, Vec<ServiceVerdict>) {
    let decider = ServiceDecider { rules, goal, facts };
    let (mut read, mut write, mut verdicts, mut outdated) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    for service in goal.zones.services.iter() {
        match decider.next(service) {
            None => {}
            Some(Ok(verdict)) => verdicts.push(*verdict),
            Some(Err(Next::Read(keys))) => read.extend(keys),
            Some(Err(Next::Write(change))) => write.push(*change),
            Some(Err(Next::Repeat)) => outdated.push(service.name.clone()),
        }
    }
    read.sort();
    read.dedup();
    // A confirmation waits: first comes what the other services can do without it.
    let (first, again): (Vec<_>, Vec<_>) = read.into_iter().partition(|key| key.first().is_none());
    let step = if !first.is_empty() || !write.is_empty() {
        ServicesStep::Act { read: first, write }
    } else if !outdated.is_empty() {
        ServicesStep::Repeat(outdated)
    } else if !again.is_empty() {
        ServicesStep::Act { read: again, write }
    } else {
        ServicesStep::Done
    };
    (step, verdicts)
}

/// What a service needs next.
enum Next {
    Read(Vec<ServiceKey>),
    Write(Box<Change>),
    Repeat,
}

/// Looks facts up, and collects the missing reads and the failed ones.
struct ServiceLookup<'a> {
    facts: &'a ServiceFacts,
    missing: Vec<ServiceKey>,
    failed: Vec<ServiceKey>,
}

impl<'a> ServiceLookup<'a> {
    fn new(facts: &'a ServiceFacts) -> Self {
        Self { facts, missing: Vec::new(), failed: Vec::new() }
    }

    fn fact(&mut self, key: ServiceKey) -> Option<&'a ServiceFact> {
        match self.facts.pass.get(&key) {
            Some(Ok(fact)) => return Some(fact),
            Some(Err(_)) => self.failed.push(key),
            None => self.missing.push(key),
        }
        None
    }

    fn groups(&mut self, key: ServiceKey) -> Option<&'a BTreeMap<ContainerGroupId, ObservedMember>> {
        if let ServiceFact::Groups(groups) = self.fact(key)? { Some(groups) } else { None }
    }

    #[expect(clippy::option_option, reason = "unknown, absent and present are three cases")]
    fn set(&mut self, key: ServiceKey) -> Option<Option<&'a ARecordSet>> {
        if let ServiceFact::Set(set) = self.fact(key)? { Some(set.as_ref()) } else { None }
    }

    fn group(&mut self, key: ServiceKey) -> Option<&'a ObservedMember> {
        if let ServiceFact::Group(seen) = self.fact(key)? { Some(seen) } else { None }
    }

    fn is_free(&mut self, key: ServiceKey) -> Option<bool> {
        if let ServiceFact::Owner { is_free } = self.fact(key)? { Some(*is_free) } else { None }
    }

    /// Asks for the missing reads.
    fn finish(&mut self) -> Result<(), Next> {
        let missing = std::mem::take(&mut self.missing);
        if missing.is_empty() { Ok(()) } else { Err(Next::Read(missing)) }
    }
}

/// Whose the record set of a service is.
enum RecordSetOwner {
    Absent,
    Ours,
    Free,
    Foreign(ServiceError),
}

struct ServiceDecider<'a> {
    rules: Rules,
    goal: &'a ServiceGoal,
    facts: &'a ServiceFacts,
}

/// A verdict, or what is needed before it.
type Decided = Result<Box<ServiceVerdict>, Next>;

impl<'a> ServiceDecider<'a> {
    /// What a service needs next; `None` if it has its verdict.
    fn next(&self, service: &'a Service) -> Option<Decided> {
        let run = self.run(service);
        if run.verdict.is_some() {
            return None;
        }
        Some(match self.decide(service, &run) {
            Err(Next::Repeat) if run.outdated_passes + 1 >= MAX_PASSES => {
                Ok(self.cut_off(service, ServiceError::LostRaces))
            }
            decided => decided,
        })
    }

    fn run(&self, service: &Service) -> Cow<'a, ServiceRun> {
        self.facts.runs.get(&service.name).map_or_else(Cow::default, Cow::Borrowed)
    }

    /// The verdict on a service whose decision ends before it is complete.
    fn cut_off(&self, service: &'a Service, error: ServiceError) -> Box<ServiceVerdict> {
        let mut lookup = ServiceLookup::new(self.facts);
        let groups = lookup.groups(ServiceKey::Groups);
        let set = lookup.set(ServiceKey::Set(service.name.clone())).flatten();
        self.failed(service, Membership::listed(self.goal, service, groups), set, error)
    }

    fn decide(&self, service: &'a Service, run: &ServiceRun) -> Decided {
        if run.is_outdated {
            return Err(Next::Repeat);
        }
        let mut lookup = ServiceLookup::new(self.facts);
        let groups = lookup.groups(ServiceKey::Groups);
        let set = lookup.set(ServiceKey::Set(service.name.clone()));
        lookup.finish()?;
        // A read of a version that an earlier pass deleted is stale.
        let is_stale = |set: &&ARecordSet| run.written.is_none() && run.deleted.contains(&set.etag);
        let set = set.map(|set| set.filter(|set| !is_stale(set)));
        let mut members = Membership::listed(self.goal, service, groups);
        if let Some(failed) = lookup.failed.into_iter().next() {
            // Whose invocations fail depends on the members.
            if groups.is_none() {
                self.read_members(&mut members, None)?;
            }
            return Ok(self.failed(service, members, set.flatten(), ServiceError::Request(failed)));
        }
        let set = set.flatten();
        let owner = Owner::of_service(&self.goal.scope, &service.name);
        let is_ours = set.is_some_and(|set| OwnerMark::of(set, &owner) == OwnerMark::Ours);
        let listed = members.wanted(self.goal, set.filter(|_| is_ours));
        let is_as_listed = match set {
            Some(set) if is_ours => self.content(service, &owner, set, &listed.addresses).is_none(),
            _ => listed.addresses.is_empty(),
        };
        if is_as_listed && !members.is_concerned && !self.goal.is_thorough {
            let error = listed.too_many.map(ServiceError::TooMany);
            return Ok(Box::new(ServiceVerdict { error, ..*self.verdict(service, members, set) }));
        }
        let ours = set.filter(|_| is_ours);
        self.read_members(&mut members, ours)?;
        let wanted = members.wanted(self.goal, ours);
        let members = &members;
        let mut verdict = self.verdict(service, members.clone(), set);
        if run.has_written
            && run.written.is_none()
            && let Some(key) = self.read_again_later(members)
        {
            // What this invocation wrote may be wrong for that member, so its own invocations are not enough.
            verdict.error = Some(ServiceError::Request(key));
            verdict.has_unlisted = true;
            return Ok(verdict);
        }
        match self.holder(service, &owner, set)? {
            RecordSetOwner::Foreign(error) if !wanted.addresses.is_empty() => {
                verdict.error = Some(error);
                verdict.is_different = true;
                return Ok(verdict);
            }
            RecordSetOwner::Absent | RecordSetOwner::Free | RecordSetOwner::Foreign(_)
                if wanted.addresses.is_empty() =>
            {
                return Ok(verdict);
            }
            RecordSetOwner::Ours => {
                if let Some(error) = self.confirm(members, set, &wanted.addresses)? {
                    verdict.error = Some(error);
                    return Ok(verdict);
                }
            }
            RecordSetOwner::Absent | RecordSetOwner::Free | RecordSetOwner::Foreign(_) => {}
        }
        let change = self.change(service, &owner, run, set, &wanted.addresses);
        verdict.is_different = change.is_some();
        verdict.is_emptied = run.is_delete_refused;
        if let Some(change) = change {
            if change.is_deletion() && !self.rules.may_remove() {
                verdict.withheld = Some(change);
                return Ok(verdict);
            }
            if self.goal.purpose == Purpose::Compare {
                return Ok(verdict);
            }
            if let Some(error) = self.write_error(service, run)? {
                verdict.error = Some(error);
                return Ok(verdict);
            }
            match &run.written {
                None => return Err(Next::Write(Box::new(change))),
                Some(written) if written.is_assumed => {}
                Some(written) => {
                    let changed = difference(set, &wanted.addresses);
                    let left = changed.iter().filter(|address| !wanted.addresses.contains(address));
                    let left = left.copied().collect();
                    if let Some(error) = self.verify(service, members, (&changed, &left), (run, written))? {
                        verdict.error = Some(error);
                        return Ok(verdict);
                    }
                }
            }
        }
        verdict.error = wanted.too_many.map(ServiceError::TooMany);
        Ok(verdict)
    }

    /// Reads the members, and the groups that show an address of the record set.
    fn read_members(&self, members: &mut Membership<'a>, set: Option<&ARecordSet>) -> Result<(), Next> {
        let mut lookup = ServiceLookup::new(self.facts);
        for id in members.to_read(set) {
            let key = ServiceKey::Group(id.clone());
            let seen = lookup.group(key.clone());
            if seen.is_some() || lookup.failed.contains(&key) {
                members.learn(id, seen.ok_or(key));
            }
        }
        lookup.finish()
    }

    /// The owner of the record set.
    fn holder(
        &self,
        service: &Service,
        us: &Owner,
        set: Option<&ARecordSet>,
    ) -> Result<RecordSetOwner, Next> {
        let Some(set) = set else { return Ok(RecordSetOwner::Absent) };
        let record = format!("the A record set {}", self.fqdn(service));
        let conflict = match OwnerMark::of(set, us) {
            OwnerMark::Ours => return Ok(RecordSetOwner::Ours),
            OwnerMark::Other(owner) => return self.other_owner(service, &owner, record),
            OwnerMark::None if self.rules.ownership == Ownership::Strict => Conflict::Unmarked(record),
            OwnerMark::None => return Ok(RecordSetOwner::Free),
            OwnerMark::AutoRegistered => Conflict::AutoRegistered(record),
            OwnerMark::OtherController { key, value } => Conflict::OtherController { record, key, value },
        };
        Ok(RecordSetOwner::Foreign(ServiceError::Conflict(conflict)))
    }

    /// Two reads, three seconds apart, must say that the other owner gives the name up. An owner that cannot be read
    /// keeps it.
    fn other_owner(&self, service: &Service, owner: &Owner, record: String) -> Result<RecordSetOwner, Next> {
        if let Some((scope, label)) = owner.service()
            && !self.goal.map.declares(&scope, label, &self.goal.zones.forward)
        {
            return Ok(RecordSetOwner::Free);
        }
        let mut lookup = ServiceLookup::new(self.facts);
        let mut is_free = lookup.is_free(ServiceKey::Owner(service.name.clone(), owner.clone()));
        lookup.finish()?;
        if is_free == Some(true) && self.goal.purpose == Purpose::Reconcile {
            is_free = lookup.is_free(ServiceKey::OwnerAgain(service.name.clone(), owner.clone()));
            lookup.finish()?;
        }
        Ok(match is_free {
            Some(true) => RecordSetOwner::Free,
            Some(false) | None => {
                RecordSetOwner::Foreign(ServiceError::Conflict(owner_conflict(record, owner)))
            }
        })
    }

    /// The evidence for each address that leaves our record set; a second list before the record set is deleted.
    fn confirm(
        &self,
        members: &Membership<'a>,
        set: Option<&ARecordSet>,
        wanted: &[Ipv4Addr],
    ) -> Result<Option<ServiceError>, Next> {
        if self.goal.purpose == Purpose::Compare {
            return Ok(None);
        }
        let held = set.map(|set| set.content.records.clone()).unwrap_or_default();
        let leaving: BTreeSet<Ipv4Addr> = held.into_iter().filter(|held| !wanted.contains(held)).collect();
        let mut lookup = ServiceLookup::new(self.facts);
        for id in members.to_confirm(&leaving) {
            let again = lookup.group(ServiceKey::GroupAgain(id.clone()));
            if again.is_some_and(|again| members.get(&id) != Some(again)) {
                return Err(Next::Repeat);
            }
        }
        let unexplained: Vec<_> = leaving.iter().filter(|address| !members.explains(**address)).collect();
        if wanted.is_empty()
            && set.is_some()
            && let Some(key) = self.read_again_later(members)
        {
            return Ok(Some(ServiceError::Request(key)));
        }
        if !unexplained.is_empty() || (wanted.is_empty() && set.is_some()) {
            let groups = lookup.groups(ServiceKey::GroupsAgain);
            if groups.is_some_and(|groups| members.is_contradicted(groups, &unexplained, wanted.is_empty())) {
                return Err(Next::Repeat);
            }
        }
        lookup.finish()?;
        // Without the second read there is no evidence.
        Ok(lookup.failed.into_iter().next().map(ServiceError::Request))
    }

    /// The read of a member that failed for now: the member may run, so its record set is not deleted before a retry.
    fn read_again_later(&self, members: &Membership<'a>) -> Option<ServiceKey> {
        let is_temporary = |key: &&ServiceKey| {
            let kind = self.facts.pass.get(*key).and_then(|read| read.as_ref().err());
            matches!(kind, Some(FailureKind::Race | FailureKind::Uncertain | FailureKind::Transient))
        };
        members.unreadable().values().find(is_temporary).cloned()
    }

    /// The change of the record set; `None` if it is right.
    fn change(
        &self,
        service: &Service,
        owner: &Owner,
        run: &ServiceRun,
        set: Option<&ARecordSet>,
        wanted: &[Ipv4Addr],
    ) -> Option<Change> {
        let edit = |after| {
            let (zone, name) = (self.goal.zones.forward.clone(), service.name.clone());
            Some(Change::A(Edit { zone, name, before: set.cloned(), after }))
        };
        match set {
            None if wanted.is_empty() || self.rules.policy == Policy::AdoptOnly => None,
            None => {
                let metadata = [(OWNER_KEY.to_owned(), owner.as_str().to_owned())].into();
                edit(Some(Content { ttl: service.ttl, records: wanted.to_vec(), metadata }))
            }
            // An empty record set of ours counts as absent: Azure refused to delete it.
            Some(set) if wanted.is_empty() && set.content.records.is_empty() => None,
            Some(_) if wanted.is_empty() && self.rules.policy == Policy::AdoptOnly => None,
            Some(_) if wanted.is_empty() && !run.is_delete_refused => edit(None),
            Some(set) => self.content(service, owner, set, wanted).and_then(|content| edit(Some(content))),
        }
    }

    /// The content that replaces that of a record set; `None` if it is right.
    fn content(
        &self,
        service: &Service,
        owner: &Owner,
        set: &ARecordSet,
        wanted: &[Ipv4Addr],
    ) -> Option<Content<Ipv4Addr>> {
        let mut content = set.content.clone();
        content.metadata.insert(OWNER_KEY.to_owned(), owner.as_str().to_owned());
        if self.rules.policy != Policy::AdoptOnly {
            content.metadata.remove(PREVIOUS_KEY);
            (content.ttl, content.records) = (service.ttl, wanted.to_vec());
        }
        // The order of the records means nothing.
        let is_same = |one: &Content<Ipv4Addr>, other: &Content<Ipv4Addr>| {
            let sorted =
                |content: &Content<Ipv4Addr>| content.records.iter().copied().collect::<BTreeSet<_>>();
            one.ttl == other.ttl && one.metadata == other.metadata && sorted(one) == sorted(other)
        };
        let is_right = is_same(&content, &set.content) && content.records.len() == set.content.records.len();
        (!is_right).then_some(content)
    }

    /// Why the write of this pass failed, if it did.
    fn write_error(&self, service: &Service, run: &ServiceRun) -> Result<Option<ServiceError>, Next> {
        let failed = ServiceError::Request(ServiceKey::Set(service.name.clone()));
        match run.failed {
            None => return Ok(None),
            Some(FailureKind::Clash) => {}
            Some(_) => return Ok(Some(failed)),
        }
        let mut lookup = ServiceLookup::new(self.facts);
        let fact = lookup.fact(ServiceKey::Cname(service.name.clone()));
        lookup.finish()?;
        Ok(Some(match fact {
            Some(ServiceFact::Cname(Some(target))) => {
                let (name, target) = (self.fqdn(service), target.clone());
                ServiceError::Conflict(Conflict::Cname { name, target })
            }
            _ => failed,
        }))
    }

    /// The record set and the groups whose address changed are as the write left them, and no other member has an address
    /// that left.
    fn verify(
        &self,
        service: &Service,
        members: &Membership<'a>,
        (changed, left): (&BTreeSet<Ipv4Addr>, &BTreeSet<Ipv4Addr>),
        (run, written): (&ServiceRun, &Written),
    ) -> Result<Option<ServiceError>, Next> {
        let mut lookup = ServiceLookup::new(self.facts);
        let set = lookup.set(ServiceKey::SetAfter(service.name.clone()));
        let released = members.released(left);
        let list =
            (!released.is_empty()).then(|| lookup.groups(ServiceKey::GroupsAfter(service.name.clone())));
        let changed = members.showing(changed);
        let groups: Vec<_> = changed
            .iter()
            .map(|id| (id, lookup.group(ServiceKey::GroupAfter(service.name.clone(), id.clone()))))
            .collect();
        lookup.finish()?;
        if let Some(failed) = lookup.failed.into_iter().next() {
            return Ok(Some(ServiceError::Request(failed)));
        }
        let etag = set.flatten().map(|set| &set.etag).filter(|etag| !run.deleted.contains(*etag));
        let is_same_set = etag == written.etag.as_ref();
        let is_same_list = !list.flatten().is_some_and(|list| members.is_taken(list, &released));
        let is_same =
            is_same_set && is_same_list && groups.iter().all(|(id, after)| members.get(id) == *after);
        // The next pass writes only what differs.
        if is_same { Ok(None) } else { Err(Next::Repeat) }
    }

    fn fqdn(&self, service: &Service) -> DomainName {
        service.name.within(&self.goal.zones.forward.name)
    }

    fn verdict(
        &self,
        service: &Service,
        members: Membership<'a>,
        set: Option<&ARecordSet>,
    ) -> Box<ServiceVerdict> {
        let owner = Owner::of_service(&self.goal.scope, &service.name);
        let ours = set.filter(|set| OwnerMark::of(set, &owner) == OwnerMark::Ours);
        let wanted = members.wanted(self.goal, ours);
        let unlisted = ours.into_iter().flat_map(|set| &set.content.records);
        let read = self.facts.pass.get(&ServiceKey::Set(service.name.clone()));
        let is_set_known = read.is_some_and(Result::is_ok);
        Box::new(ServiceVerdict {
            name: service.name.clone(),
            fqdn: self.fqdn(service),
            deleted: members.deleted(self.goal),
            is_unlisted: members.is_unlisted(),
            has_unlisted: !is_set_known || unlisted.into_iter().any(|address| !members.explains(*address)),
            wanted: wanted.addresses,
            found: set.map(|set| set.content.records.clone()).unwrap_or_default(),
            is_different: false,
            is_failing_open: wanted.is_failing_open,
            is_emptied: false,
            withheld: None,
            unreadable: members.unreadable().clone(),
            members: members.into_members(),
            error: None,
        })
    }

    fn failed(
        &self,
        service: &Service,
        members: Membership<'a>,
        set: Option<&ARecordSet>,
        error: ServiceError,
    ) -> Box<ServiceVerdict> {
        Box::new(ServiceVerdict { error: Some(error), ..*self.verdict(service, members, set) })
    }
}

/// The addresses that a write adds or removes.
fn difference(set: Option<&ARecordSet>, wanted: &[Ipv4Addr]) -> BTreeSet<Ipv4Addr> {
    let held: BTreeSet<_> = set.into_iter().flat_map(|set| set.content.records.iter().copied()).collect();
    held.symmetric_difference(&wanted.iter().copied().collect()).copied().collect()
}
