//! Services: the Azure of the model, what instances know, and what they do next.
//!
//! Decisions are those of the real [`decide_services`], each asked once for the same facts.

use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasherDefault,
    net::Ipv4Addr,
    rc::Rc,
    sync::Arc,
};

use aci_dns::{
    config::ZoneMap,
    decide::{
        Evidence, Purpose, Rules, WriteResult,
        change::Change,
        desired::ServiceTags,
        service::{
            ObservedMember, ServiceError, ServiceFact, ServiceFacts, ServiceGoal, ServiceKey, ServicesStep,
            decide_services,
        },
    },
    domain::{
        container_group::AddressState,
        dns::{ARecordSet, Content, ETag, Metadata, OWNER_KEY, Owner, Precondition, RecordSet},
        failure::FailureKind,
        resource_id::{ContainerGroupId, Scope},
    },
};

use super::{
    hash::Mixer,
    knowledge::{Label, Outcome},
    members_broken::ServiceBroken,
    state::Events,
    steps::ids,
    world::{ELSEWHERE, Mark, Mask, Places, STRANGER, bit, members},
};

/// How many container groups may be members.
pub(crate) const MEMBERS: usize = 2;
/// How many requests are in flight together at most.
pub(crate) const SERVICE_REQUESTS: usize = 4;

const MAP: &str = r#"{"rg-spoke1": {"forwardZone": "contoso.internal", "reverseZones": [],
    "zoneSubscriptionId": "00000000-0000-0000-0000-000000000000", "zoneResourceGroup": "rg-dns",
    "services": {"api": {"groups": ["v*"], "ttl": 20}}}}"#;
const TTL: u32 = 20;
const FOREIGN_KEY: &str = "team";

/// The life of a container group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum MemberLife {
    #[default]
    Absent,
    Running(u8),
    /// It is stopped, and still shows the address that it had.
    Stopped(u8),
    /// It is updated, and still shows the address that it had.
    Updating(u8),
    /// It is created, and has no address yet.
    Creating,
}

/// A container group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Member {
    pub(crate) life: MemberLife,
    pub(crate) is_draining: bool,
}

impl Member {
    /// The address that it has.
    pub(crate) fn address(self) -> Option<u8> {
        match self.life {
            MemberLife::Running(address) | MemberLife::Updating(address) => Some(address),
            MemberLife::Absent | MemberLife::Stopped(_) | MemberLife::Creating => None,
        }
    }

    /// The address that Azure shows.
    pub(crate) fn shown(self) -> Option<u8> {
        if let MemberLife::Stopped(address) = self.life { Some(address) } else { self.address() }
    }

    pub(crate) fn runs(self) -> bool {
        matches!(self.life, MemberLife::Running(_))
    }

    pub(crate) fn is_pending(self) -> bool {
        matches!(self.life, MemberLife::Updating(_) | MemberLife::Creating)
    }

    fn seen(self, is_listed: bool) -> ObservedMember {
        let shown = self.shown().map(Places::address);
        let state = match self.life {
            MemberLife::Absent => AddressState::Deleted,
            MemberLife::Running(address) => AddressState::Running(Places::address(address)),
            // A list does not tell that a group is stopped.
            MemberLife::Stopped(address) if is_listed => AddressState::Running(Places::address(address)),
            MemberLife::Stopped(_) => AddressState::Released,
            MemberLife::Updating(_) | MemberLife::Creating => AddressState::Pending,
        };
        let tags = ServiceTags { is_draining: self.is_draining, ..ServiceTags::default() };
        ObservedMember { state, shown, tags }
    }
}

/// The record set of the service. Of marks, [`Mark::Group`] 0 is ours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ServiceSet {
    pub(crate) values: Mask,
    pub(crate) mark: Mark,
    pub(crate) is_annotated: bool,
}

/// An answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum ServiceAnswer {
    Groups([Member; MEMBERS]),
    Group(Member),
    Set(Option<(ServiceSet, Label)>),
    Written(Option<Label>),
    Failed(FailureKind),
}

/// Numbers answers. No answer has the number 0.
pub(crate) type ServiceAnswerId = u16;

/// A request.
#[derive(Clone, Debug)]
pub(crate) enum ServiceRequest {
    Groups { is_again: bool },
    Group { member: u8, is_again: bool },
    Set,
    Write { label: Option<Label>, after: Option<ServiceSet>, line: String, finding: Option<String> },
}

/// What a run is for: the events of which groups, and what a 404 proves.
pub(crate) type Causes = [Option<Evidence>; MEMBERS];

/// What comes next.
#[derive(Clone, Debug)]
pub(crate) enum ServicePlan {
    Act(Vec<ServiceRequest>),
    /// What the event of each group is answered with.
    Done([Outcome; MEMBERS], String),
}

/// What a run knows.
#[derive(Debug)]
pub(crate) struct ServiceKnown {
    causes: Causes,
    facts: ServiceFacts,
    keys: Vec<ServiceKey>,
    changes: Vec<Change>,
    /// What this pass read, as it was answered.
    reads: BTreeMap<ServiceKey, ServiceAnswer>,
    failures: BTreeMap<ServiceKey, FailureKind>,
    pub(crate) deleted: Mask,
    pub(crate) plan: Rc<ServicePlan>,
}

type Fast = BuildHasherDefault<Mixer>;

/// All that was met.
#[derive(Debug)]
pub(crate) struct ServiceMinds {
    rules: Rules,
    goal: ServiceGoal,
    pub(crate) broken: Option<ServiceBroken>,
    known: Vec<ServiceKnown>,
    ids: HashMap<String, u32>,
    answers: Vec<ServiceAnswer>,
    answer_ids: HashMap<ServiceAnswer, ServiceAnswerId, Fast>,
    learned: HashMap<(u32, [ServiceAnswerId; SERVICE_REQUESTS]), (u32, bool), Fast>,
}

impl ServiceMinds {
    pub(crate) fn new(rules: Rules, broken: Option<ServiceBroken>) -> Self {
        let map = Arc::new(ZoneMap::parse(MAP).unwrap());
        let goal = ServiceGoal::new(Scope::new("s1", Some("rg-spoke1")), &map, Purpose::Reconcile).unwrap();
        Self {
            rules,
            goal,
            broken,
            known: Vec::new(),
            ids: HashMap::new(),
            answers: Vec::new(),
            answer_ids: HashMap::default(),
            learned: HashMap::default(),
        }
    }

    pub(crate) fn get(&self, id: u32) -> &ServiceKnown {
        &self.known[usize::try_from(id).unwrap() - 1]
    }

    pub(crate) fn causes(&self, id: u32) -> Causes {
        self.get(id).causes
    }

    pub(crate) fn plan(&self, id: u32) -> Rc<ServicePlan> {
        Rc::clone(&self.get(id).plan)
    }

    pub(crate) fn answer_id(&mut self, answer: ServiceAnswer) -> ServiceAnswerId {
        if let Some(id) = self.answer_ids.get(&answer) {
            return *id;
        }
        self.answers.push(answer);
        let id = ServiceAnswerId::try_from(self.answers.len()).unwrap();
        self.answer_ids.insert(answer, id);
        id
    }

    fn goal(&self, causes: Causes) -> ServiceGoal {
        let causes = (0..ids(MEMBERS)).zip(causes);
        let causes = causes.filter_map(|(member, evidence)| Some((member_id(member), evidence?)));
        ServiceGoal { causes: causes.collect(), ..self.goal.clone() }
    }

    pub(crate) fn start(&mut self, causes: Causes) -> u32 {
        self.settle(causes, ServiceFacts::default(), BTreeMap::new(), BTreeMap::new(), 0).0
    }

    /// Decides until Azure is needed, or nothing is left to do. Returns whether another pass began.
    fn settle(
        &mut self,
        causes: Causes,
        mut facts: ServiceFacts,
        mut reads: BTreeMap<ServiceKey, ServiceAnswer>,
        mut failures: BTreeMap<ServiceKey, FailureKind>,
        deleted: Mask,
    ) -> (u32, bool) {
        let goal = self.goal(causes);
        let mut is_new_pass = false;
        loop {
            let (step, verdicts) = decide_services(self.rules, &goal, &facts);
            for verdict in verdicts {
                facts.settle(verdict);
            }
            let (keys, changes) = match step {
                ServicesStep::Repeat(outdated) => {
                    _ = facts.begin_pass(&outdated);
                    reads.clear();
                    failures.clear();
                    is_new_pass = true;
                    continue;
                }
                ServicesStep::Act { read, mut write } => {
                    for change in &mut write {
                        ServiceBroken::distort(self.broken, change);
                    }
                    (read, write)
                }
                ServicesStep::Done => (Vec::new(), Vec::new()),
            };
            let text = format!("{causes:?} {facts:?} {failures:?} {deleted} {reads:?}");
            if let Some(id) = self.ids.get(&text) {
                return (*id, is_new_pass);
            }
            let plan = if keys.is_empty() && changes.is_empty() {
                self.done(&goal, facts.clone(), &failures)
            } else {
                let writes = changes.iter().map(|change| self.write(change, &reads));
                let requests: Vec<_> = writes.chain(keys.iter().map(request)).collect();
                assert!(requests.len() <= SERVICE_REQUESTS, "{requests:?}");
                ServicePlan::Act(requests)
            };
            let plan = Rc::new(plan);
            self.known.push(ServiceKnown { causes, facts, keys, changes, reads, failures, deleted, plan });
            let id = u32::try_from(self.known.len()).unwrap();
            self.ids.insert(text, id);
            return (id, is_new_pass);
        }
    }

    fn done(
        &self,
        goal: &ServiceGoal,
        facts: ServiceFacts,
        failures: &BTreeMap<ServiceKey, FailureKind>,
    ) -> ServicePlan {
        let verdict = facts.into_verdicts().pop().unwrap();
        let of_request = |key: &ServiceKey| match failures.get(key) {
            Some(FailureKind::Forbidden | FailureKind::Missing | FailureKind::Refused) => Outcome::Blocked,
            _ => Outcome::Unavailable,
        };
        let of_error = |error: &ServiceError| match error {
            ServiceError::Conflict(_) | ServiceError::TooMany(_) => Outcome::Blocked,
            ServiceError::LostRaces | ServiceError::Deadline => Outcome::Unavailable,
            ServiceError::Request(key) => of_request(key),
        };
        let fails_all = self.broken == Some(ServiceBroken::FailsOthers) && !verdict.unreadable.is_empty();
        let outcome = |member: u8| {
            let id = member_id(member);
            let is_not_visible =
                goal.causes.get(&id) == Some(&Evidence::None) && verdict.deleted.contains(&id);
            let is_pending = verdict.members.get(&id).is_some_and(|seen| seen.state == AddressState::Pending);
            match verdict.unreadable.get(&id) {
                Some(key) => of_request(key),
                None if fails_all => Outcome::Blocked,
                None if verdict.fails(&id) => verdict.error.as_ref().map_or(Outcome::Blocked, of_error),
                // The group's own part ends so.
                None if is_not_visible || is_pending => Outcome::Unavailable,
                None => Outcome::Acknowledged,
            }
        };
        ServicePlan::Done(
            [outcome(0), outcome(1)],
            format!("{:?}, wanted {:?}", verdict.error, verdict.wanted),
        )
    }

    fn write(&self, change: &Change, reads: &BTreeMap<ServiceKey, ServiceAnswer>) -> ServiceRequest {
        let Change::A(edit) = change else { panic!("a service has no PTR record") };
        let label = match edit.precondition() {
            Precondition::Absent => None,
            Precondition::Unchanged(etag) => Some(etag.as_str().parse().unwrap()),
        };
        let content = |content: &Content<Ipv4Addr>| self.content(content);
        let before = edit.before.as_ref().map_or(0, |before| content(&before.content).values);
        let after = edit.after.as_ref().map(content);
        let left = before & !after.map_or(0, |after| after.values);
        let is_deletion = after.is_none_or(|after| after.values == 0);
        let unproved = members(left).find(|address| !is_proved(reads, *address));
        let finding = match unproved {
            Some(address) => Some(format!("{} leaves without evidence", Places::address(address))),
            None if is_deletion && left != 0 && !reads.contains_key(&ServiceKey::GroupsAgain) => {
                Some("the record set goes after one list".to_owned())
            }
            None => None,
        };
        ServiceRequest::Write { label, after, line: change.to_string(), finding }
    }

    fn owner(&self) -> Owner {
        Owner::of_service(&self.goal.scope, &self.goal.zones.services.iter().next().unwrap().name)
    }

    fn content(&self, content: &Content<Ipv4Addr>) -> ServiceSet {
        let values = content.records.iter().map(|address| bit(Places::address_index(*address)));
        let mark = match content.metadata.get(OWNER_KEY) {
            None => Mark::None,
            Some(mark) if mark == self.owner().as_str() => Mark::Group(0),
            Some(_) => Mark::Stranger,
        };
        ServiceSet {
            values: values.fold(0, |all, one| all | one),
            mark,
            is_annotated: content.metadata.contains_key(FOREIGN_KEY),
        }
    }

    fn record_set(&self, set: ServiceSet, label: Label) -> ARecordSet {
        let mut metadata = Metadata::new();
        let owner = match set.mark {
            Mark::None => None,
            Mark::Group(_) => Some(self.owner().as_str().to_owned()),
            Mark::Stranger => Some(STRANGER.to_owned()),
        };
        metadata.extend(owner.map(|owner| (OWNER_KEY.to_owned(), owner)));
        if set.is_annotated {
            metadata.insert(FOREIGN_KEY.to_owned(), "x".to_owned());
        }
        let records = members(set.values).map(Places::address).collect();
        let content = Content { ttl: TTL, records, metadata };
        RecordSet { etag: ETag::from(label.to_string()), content, is_auto_registered: false }
    }

    /// Learns the answers to all requests of a step. Returns whether another pass began.
    pub(crate) fn learn(&mut self, id: u32, answers: [ServiceAnswerId; SERVICE_REQUESTS]) -> (u32, bool) {
        if let Some(learned) = self.learned.get(&(id, answers)) {
            return *learned;
        }
        let known = self.get(id);
        let (mut facts, mut reads) = (known.facts.clone(), known.reads.clone());
        let (mut failures, mut deleted) = (known.failures.clone(), known.deleted);
        let answer = |id: &ServiceAnswerId| self.answers[usize::from(*id) - 1];
        let (written, read) = answers.split_at(known.changes.len());
        for (change, given) in known.changes.iter().zip(written.iter().map(answer)) {
            let Change::A(edit) = change else { panic!("a service has no PTR record") };
            let result = match given {
                ServiceAnswer::Written(label) => {
                    if let (None, Precondition::Unchanged(etag)) = (label, edit.precondition()) {
                        deleted |= bit(etag.as_str().parse().unwrap());
                    }
                    WriteResult::Written(label.map(|label| ETag::from(label.to_string())))
                }
                ServiceAnswer::Failed(kind) => {
                    failures.insert(ServiceKey::Set(edit.name.clone()), kind);
                    WriteResult::Failed(kind)
                }
                other => panic!("a write is answered with {other:?}"),
            };
            let result = self.broken.map_or(result.clone(), |broken| broken.writes(result));
            facts.learn_write(change, result);
        }
        for (key, given) in known.keys.iter().zip(read.iter().map(answer)) {
            reads.insert(key.clone(), given);
            let given = self.broken.map_or(given, |broken| broken.learns(key, given, &reads));
            let fact = match given {
                ServiceAnswer::Groups(groups) => {
                    let listed = (0..ids(MEMBERS)).zip(groups);
                    let listed = listed.filter(|(_, member)| member.life != MemberLife::Absent);
                    let listed = listed.map(|(id, member)| (member_id(id), member.seen(true)));
                    Ok(ServiceFact::Groups(listed.collect()))
                }
                ServiceAnswer::Group(member) => Ok(ServiceFact::Group(member.seen(false))),
                ServiceAnswer::Set(set) => {
                    Ok(ServiceFact::Set(set.map(|(set, label)| self.record_set(set, label))))
                }
                ServiceAnswer::Failed(kind) => {
                    failures.insert(key.clone(), kind);
                    Err(kind)
                }
                ServiceAnswer::Written(_) => panic!("a read is answered with a write"),
            };
            facts.learn(key.clone(), fact);
        }
        let learned = self.settle(known.causes, facts, reads, failures, deleted);
        self.learned.insert((id, answers), learned);
        learned
    }

    /// The record set in one line.
    pub(crate) fn show(set: Option<ServiceSet>) -> String {
        let Some(set) = set else { return "no A api.contoso.internal".to_owned() };
        let values: Vec<_> = members(set.values).map(|value| Places::address(value).to_string()).collect();
        let tags = if set.is_annotated { ", with metadata of others" } else { "" };
        format!("A api.contoso.internal {} (mark {:?}{tags})", values.join(" "), set.mark)
    }
}

/// The container groups.
fn member_id(member: u8) -> ContainerGroupId {
    ContainerGroupId::new("s1", "rg-spoke1", member_name(member)).unwrap()
}

/// How a container group is called.
pub(crate) fn member_name(member: u8) -> &'static str {
    ["v1", "v2"][usize::from(member)]
}

fn index(id: &ContainerGroupId) -> u8 {
    u8::from(id.name() == "v2")
}

fn request(key: &ServiceKey) -> ServiceRequest {
    match key {
        ServiceKey::Groups | ServiceKey::GroupsAfter(_) => ServiceRequest::Groups { is_again: false },
        ServiceKey::GroupsAgain => ServiceRequest::Groups { is_again: true },
        ServiceKey::Set(_) | ServiceKey::SetAfter(_) => ServiceRequest::Set,
        ServiceKey::Group(id) | ServiceKey::GroupAfter(_, id) => {
            ServiceRequest::Group { member: index(id), is_again: false }
        }
        ServiceKey::GroupAgain(id) => ServiceRequest::Group { member: index(id), is_again: true },
        // The stranger of the model cannot be read.
        ServiceKey::Owner(..) | ServiceKey::OwnerAgain(..) => {
            ServiceRequest::Group { member: ELSEWHERE, is_again: false }
        }
        ServiceKey::Cname(_) => panic!("there are no CNAME records"),
    }
}

/// Whether an address may leave, by what was read in this pass: a read of the group says so (twice if it is stopped or
/// deleted), or two lists show no group with it.
fn is_proved(reads: &BTreeMap<ServiceKey, ServiceAnswer>, address: u8) -> bool {
    let list = |key: &ServiceKey| match reads.get(key) {
        Some(ServiceAnswer::Groups(groups)) => Some(*groups),
        _ => None,
    };
    let group = |key: ServiceKey| match reads.get(&key) {
        Some(ServiceAnswer::Group(member)) => Some(*member),
        _ => None,
    };
    let (first, again) = (list(&ServiceKey::Groups), list(&ServiceKey::GroupsAgain));
    let is_denied = |member: u8| {
        let Some(seen) = group(ServiceKey::Group(member_id(member))) else { return false };
        let was_listed = first.is_some_and(|list| list[usize::from(member)].shown() == Some(address));
        let has_ended = matches!(seen.life, MemberLife::Absent | MemberLife::Stopped(_));
        let is_confirmed = group(ServiceKey::GroupAgain(member_id(member))) == Some(seen);
        let says_so = if seen.shown() == Some(address) { has_ended || seen.is_draining } else { was_listed };
        says_so && (!has_ended || is_confirmed)
    };
    let is_unlisted = |list: Option<[Member; MEMBERS]>| {
        list.is_some_and(|list| list.iter().all(|member| member.shown() != Some(address)))
    };
    (0..ids(MEMBERS)).any(is_denied) || (is_unlisted(first) && is_unlisted(again))
}

/// The evidence of the events of one group, the strongest first; none if there are no events.
pub(crate) fn strongest(events: Events) -> Option<Evidence> {
    let kinds = super::world::EVIDENCE.into_iter().zip(events.0);
    kinds.rev().find(|(_, count)| *count > 0).map(|(kind, _)| kind)
}
