//! States and steps of the model of services: two groups that may be members, two instances, faults.
//!
//! What is judged: while a member runs, the record set is neither absent nor empty; no address leaves it without
//! evidence; record sets and metadata of others stay; at the end it holds exactly the members; a member that cannot be
//! read fails no other group's invocation; the delivery after that writes nothing.

#[path = "members_steps.rs"]
mod steps;

use std::collections::HashMap;

use aci_dns::{
    config::{Ownership, Policy, Stopped},
    decide::{Evidence, Rules},
    domain::{dns::MEMORY_SECONDS, failure::FailureKind},
};

use super::{
    actions::How,
    knowledge::{Label, Outcome},
    members::{
        Causes, MEMBERS, Member, MemberLife, SERVICE_REQUESTS, ServiceAnswer, ServiceAnswerId, ServiceMinds,
        ServicePlan, ServiceRequest, ServiceSet, member_name, strongest,
    },
    members_broken::ServiceBroken,
    properties::{Excuse, Finding, Property},
    scenario::Fault,
    search::{self, Searched},
    state::{Events, Labels, Past, Version},
    steps::ids,
    world::{ADDRESSES, ELSEWHERE, Mark, Mask, Places, Versions, bit, contains},
};

/// What may happen to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum MemberEvent {
    Create,
    /// It is created, and gets its address later.
    CreateSlowly,
    Move,
    /// It is updated, and may have another address afterwards.
    Update,
    Stop,
    Start,
    Delete,
    /// It drains, or drains no longer.
    Drain,
}

/// The bounds of a search.
#[derive(Clone, Debug)]
pub(crate) struct ServiceScenario {
    pub(crate) name: &'static str,
    /// How it begins: the groups, the record set, and the groups whose event waits.
    pub(crate) starts: Vec<([Member; MEMBERS], Option<ServiceSet>, Mask)>,
    pub(crate) events: u8,
    pub(crate) kinds: Vec<(u8, MemberEvent)>,
    pub(crate) faults: u8,
    pub(crate) fault_kinds: Vec<Fault>,
    /// The groups that this identity may not read.
    pub(crate) unreadable: Mask,
    pub(crate) exceptions: Vec<(Property, Excuse)>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ServiceInstance {
    facts: u32,
    answers: [ServiceAnswerId; SERVICE_REQUESTS],
    labels: Labels,
    events: [Events; MEMBERS],
    /// The groups that did not run when a second read of them was answered.
    was_down: Mask,
    /// Those that did not run when the first list was answered.
    was_down_first: Mask,
}

/// Everything that the future depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct ServiceState {
    members: [Versions<Member>; MEMBERS],
    set: Versions<Option<ServiceSet>>,
    instances: [ServiceInstance; 2],
    waiting: [Events; MEMBERS],
    blocked: [Events; MEMBERS],
    events_left: u8,
    faults_left: u8,
    used: Mask,
    past: Past,
}

impl ServiceState {
    fn member(&self, member: u8) -> Member {
        self.members[usize::from(member)].current
    }

    fn held(&self) -> Mask {
        let held = self.members.iter().filter_map(|member| member.current.address());
        held.map(bit).fold(0, |all, one| all | one)
    }

    /// The groups for which this holds.
    fn mask(&self, is: impl Fn(Member) -> bool) -> Mask {
        (0..ids(MEMBERS)).filter(|member| is(self.member(*member))).map(bit).fold(0, |all, one| all | one)
    }
}

/// One step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum ServiceAction {
    Change {
        member: u8,
        to: Member,
        is_begun: bool,
    },
    /// The events of these groups that wait; old ones prove a deletion.
    Deliver {
        instance: usize,
        of: Mask,
        is_old: bool,
    },
    Redeliver {
        instance: usize,
        member: u8,
    },
    Request {
        instance: usize,
        index: usize,
        how: How,
    },
    Crash {
        instance: usize,
    },
}

/// What Azure holds at an end.
type ServiceEnd = ([Member; MEMBERS], Option<ServiceSet>);

/// A scenario, and what is known in it.
#[derive(Debug)]
pub(crate) struct ServiceModel {
    scenario: ServiceScenario,
    minds: ServiceMinds,
    /// What is wrong with ends, by what Azure holds.
    ends: HashMap<ServiceEnd, Vec<(Property, String)>>,
}

impl ServiceModel {
    pub(crate) fn new(scenario: ServiceScenario, broken: Option<ServiceBroken>) -> Self {
        let rules = Rules {
            ownership: Ownership::Strict,
            adopts_tagged: false,
            policy: Policy::Sync,
            stopped: Stopped::Remove,
            memory_seconds: MEMORY_SECONDS,
        };
        Self { scenario, minds: ServiceMinds::new(rules, broken), ends: HashMap::new() }
    }

    fn can(&self, state: &ServiceState, fault: Fault) -> bool {
        state.faults_left > 0 && self.scenario.fault_kinds.contains(&fault)
    }

    fn changes(&self, state: &ServiceState, actions: &mut Vec<ServiceAction>) {
        let (held, used) = (state.held(), state.used);
        let first_unused = (0..ids(ADDRESSES)).find(|address| used & bit(*address) == 0);
        let free: Vec<u8> = (0..ids(ADDRESSES))
            .filter(|address| held & bit(*address) == 0)
            .filter(|address| used & bit(*address) != 0 || Some(*address) == first_unused)
            .collect();
        let running = |address: &u8| MemberLife::Running(*address);
        for member in 0..ids(MEMBERS) {
            let now = state.member(member);
            let mut push = |to: Member, is_begun| {
                actions.push(ServiceAction::Change { member, to, is_begun });
            };
            // What was begun ends, whatever else may still happen.
            match now.life {
                MemberLife::Creating => {
                    for address in &free {
                        push(Member { life: running(address), ..now }, true);
                    }
                }
                MemberLife::Updating(address) => {
                    for address in free.iter().chain([&address]) {
                        push(Member { life: running(address), ..now }, true);
                    }
                }
                _ => {}
            }
            let kinds = self.scenario.kinds.iter().filter(|(of, _)| *of == member && state.events_left > 0);
            for (_, kind) in kinds {
                if *kind == MemberEvent::Drain {
                    if now.runs() {
                        push(Member { is_draining: !now.is_draining, ..now }, false);
                    }
                    continue;
                }
                let mut push = |life| push(Member { life, ..now }, false);
                match (kind, now.life) {
                    (MemberEvent::Create, MemberLife::Absent)
                    | (MemberEvent::Start, MemberLife::Stopped(_))
                    | (MemberEvent::Move, MemberLife::Running(_)) => {
                        for address in &free {
                            push(running(address));
                        }
                    }
                    (MemberEvent::CreateSlowly, MemberLife::Absent) => push(MemberLife::Creating),
                    (MemberEvent::Update, MemberLife::Running(address)) => {
                        push(MemberLife::Updating(address));
                    }
                    (MemberEvent::Stop, MemberLife::Running(address)) => push(MemberLife::Stopped(address)),
                    (MemberEvent::Delete, MemberLife::Running(_) | MemberLife::Stopped(_)) => {
                        push(MemberLife::Absent);
                    }
                    _ => {}
                }
            }
        }
    }

    fn requests(&self, state: &ServiceState, instance: usize, actions: &mut Vec<ServiceAction>) {
        let one = &state.instances[instance];
        if self.can(state, Fault::Crash) {
            actions.push(ServiceAction::Crash { instance });
        }
        let ServicePlan::Act(requests) = &*self.minds.plan(one.facts) else { return };
        for (index, request) in requests.iter().enumerate().filter(|(index, _)| one.answers[*index] == 0) {
            let mut push = |how| actions.push(ServiceAction::Request { instance, index, how });
            push(How::Well);
            let is_write = matches!(request, ServiceRequest::Write { .. });
            if self.can(state, Fault::Lost) {
                push(How::Lost { has_happened: false });
                if is_write {
                    push(How::Lost { has_happened: true });
                }
            }
            if !self.can(state, Fault::Stale) {
                continue;
            }
            let is_lagging = |member: &u8| state.members[usize::from(*member)].previous.is_some();
            match request {
                ServiceRequest::Groups { .. } => {
                    (0..ids(MEMBERS)).filter(is_lagging).for_each(|member| push(How::Stale(member)));
                }
                ServiceRequest::Group { member, .. } if *member != ELSEWHERE && is_lagging(member) => {
                    push(How::Stale(*member));
                }
                ServiceRequest::Set if state.set.previous.is_some() => push(How::Stale(0)),
                _ => {}
            }
        }
    }

    /// An undisturbed delivery of the event of one group to a fresh process, until it is not unavailable.
    fn deliver(&mut self, state: &ServiceState, member: u8) -> (ServiceState, Vec<String>, Outcome) {
        let (mut state, mut lines, mut outcome) = (*state, Vec::new(), Outcome::Acknowledged);
        for evidence in [Evidence::None, Evidence::Deletion] {
            let mut taking = Taking::new(self, state, false);
            let mut causes = Causes::default();
            causes[usize::from(member)] = Some(evidence);
            taking.start(0, causes, [Events::default(); MEMBERS].map(|_| Events::one(evidence)));
            while taking.state.instances[0].facts != 0 {
                let one = taking.state.instances[0];
                let index = one.answers.iter().position(|answer| *answer == 0).unwrap();
                if let ServicePlan::Act(requests) = &*taking.model.minds.plan(one.facts)
                    && let ServiceRequest::Write { line, .. } = &requests[index]
                {
                    lines.push(line.clone());
                }
                taking.request(0, index, How::Well);
            }
            let of = usize::from(member);
            outcome = match (taking.state.waiting[of].total(), taking.state.blocked[of].total()) {
                (1.., _) => Outcome::Unavailable,
                (_, 1..) => Outcome::Blocked,
                _ => Outcome::Acknowledged,
            };
            state = settled(&taking.state);
            if outcome != Outcome::Unavailable {
                break;
            }
        }
        (state, lines, outcome)
    }

    /// What differs from what the members call for.
    fn problem(&self, state: &ServiceState) -> Option<String> {
        let set = state.set.current;
        if set.is_some_and(|set| set.mark != Mark::Group(0)) {
            return None;
        }
        let addresses = |is: &dyn Fn(u8, Member) -> bool| {
            let these = (0..ids(MEMBERS)).filter(|member| is(*member, state.member(*member)));
            these.filter_map(|member| state.member(member).address()).map(bit).fold(0, |all, one| all | one)
        };
        let can_read = |member: u8| !contains(self.scenario.unreadable, bit(member));
        let mut wanted = addresses(&|member, now| can_read(member) && now.runs() && !now.is_draining);
        if wanted == 0 {
            wanted = addresses(&|member, now| can_read(member) && now.runs());
        }
        // A group that cannot be read keeps its address.
        let allowed = wanted | addresses(&|member, _| !can_read(member));
        let held = set.map_or(0, |set| set.values);
        let is_right = contains(held, wanted) && contains(allowed, held) && (held != 0 || set.is_none());
        (!is_right).then(|| format!("{} (members: {:?})", ServiceMinds::show(set), state.members))
    }

    /// What is wrong with an end: as it is, and after one more delivery for each group, in either order.
    fn judge(&mut self, state: &ServiceState) -> Vec<(Property, String)> {
        let mut problems: Vec<_> =
            self.problem(state).map(|text| (Property::Convergence, text)).into_iter().collect();
        let is_foreign = state.set.current.is_some_and(|set| set.mark != Mark::Group(0));
        for order in [[0, 1], [1, 0]] {
            let mut after = *state;
            for member in order {
                let (next, _, outcome) = self.deliver(&after, member);
                after = next;
                let is_readable = !contains(self.scenario.unreadable, bit(member));
                if outcome != Outcome::Acknowledged && is_readable && !is_foreign {
                    let text = format!("{} is answered with {outcome:?}", member_name(member));
                    problems.push((Property::Acknowledgement, text));
                }
            }
            problems.extend(self.problem(&after).map(|text| (Property::ConvergenceAfterRecheck, text)));
            for member in order {
                let (next, lines, _) = self.deliver(&after, member);
                after = next;
                if let Some(line) = lines.first() {
                    problems.push((Property::Idempotence, format!("another delivery writes {line}")));
                }
            }
        }
        problems
    }
}

/// Whether all members that run drain: then all stay, and the events of two members that begin to drain at the same time
/// leave one of them.
fn is_all_draining(state: &ServiceState) -> bool {
    let held = state.set.current.map_or(0, |set| set.values);
    let counts = state.mask(|member| member.runs() && !member.is_draining);
    counts == 0 && held != 0 && contains(state.held(), held)
}

/// Nothing is under way, and no read is stale.
fn settled(state: &ServiceState) -> ServiceState {
    let mut settled = ServiceState { members: state.members, set: state.set, ..ServiceState::default() };
    settled.members.iter_mut().for_each(|member| member.previous = None);
    settled.set.previous = None;
    settled
}

impl Searched for ServiceModel {
    type State = ServiceState;
    type Action = ServiceAction;

    fn starts(&self) -> Vec<ServiceState> {
        let starts = self.scenario.starts.iter().map(|(members, set, waiting)| {
            let mut state = ServiceState {
                members: members.map(|current| Versions { current, previous: None }),
                set: Versions { current: *set, previous: None },
                waiting: [0, 1].map(|member| Events([u8::from(waiting & bit(member) != 0), 0, 0])),
                events_left: self.scenario.events,
                faults_left: self.scenario.faults,
                ..ServiceState::default()
            };
            state.used = state.held();
            self.canonical(state).0
        });
        starts.collect()
    }

    fn actions(&mut self, state: &ServiceState, actions: &mut Vec<ServiceAction>) {
        actions.clear();
        self.changes(state, actions);
        let waiting: Mask = (0..ids(MEMBERS))
            .filter(|member| state.waiting[usize::from(*member)].total() > 0)
            .map(bit)
            .fold(0, |all, one| all | one);
        for (instance, one) in state.instances.iter().enumerate() {
            if one.facts != 0 {
                self.requests(state, instance, actions);
            } else if instance == 0 || state.instances[0].facts != 0 {
                for of in (1..4).filter(|of| contains(waiting, *of)) {
                    actions.push(ServiceAction::Deliver { instance, of, is_old: false });
                    let absent = state.mask(|member| member.life == MemberLife::Absent);
                    if of & absent != 0 {
                        actions.push(ServiceAction::Deliver { instance, of, is_old: true });
                    }
                }
                let is_blocked = |member: &u8| state.blocked[usize::from(*member)].total() > 0;
                let blocked = (0..ids(MEMBERS)).filter(is_blocked);
                actions.extend(blocked.map(|member| ServiceAction::Redeliver { instance, member }));
            }
        }
    }

    fn take(step: &mut Taking<'_>, action: ServiceAction) {
        step.take(action);
    }

    fn canonical(&self, mut state: ServiceState) -> (ServiceState, bool) {
        if !self.can(&state, Fault::Stale) {
            state.members.iter_mut().for_each(|member| member.previous = None);
            state.set.previous = None;
            state.instances.iter_mut().for_each(|one| one.labels.settle());
        }
        let is_swapped = state.instances[0] > state.instances[1];
        if is_swapped {
            state.instances.swap(0, 1);
        }
        (state, is_swapped)
    }

    fn judge_end(&mut self, state: &ServiceState) -> Vec<Finding> {
        let is_quiet = state.instances.iter().all(|one| one.facts == 0)
            && state.members.iter().all(|member| !member.current.is_pending());
        if !is_quiet {
            return Vec::new();
        }
        let waits = state.waiting.iter().chain(&state.blocked).any(|events| events.total() > 0);
        let end = settled(state);
        let key = (end.members.map(|member| member.current), end.set.current);
        if !self.ends.contains_key(&key) {
            let problems = self.judge(&end);
            self.ends.insert(key, problems);
        }
        let found = self.ends[&key].iter();
        let found = found.filter(|(property, _)| !(waits && *property == Property::Convergence));
        let judged = found.map(|(property, text)| Finding {
            property: *property,
            excuse: match property {
                Property::Convergence if state.past.has(Past::STALE) => Some(Excuse::Stale),
                Property::Convergence if is_all_draining(&end) => Some(Excuse::Drained),
                _ => None,
            },
            text: text.clone(),
        });
        judged.collect()
    }

    fn instance_of(action: ServiceAction) -> Option<usize> {
        match action {
            ServiceAction::Change { .. } => None,
            ServiceAction::Deliver { instance, .. }
            | ServiceAction::Redeliver { instance, .. }
            | ServiceAction::Request { instance, .. }
            | ServiceAction::Crash { instance } => Some(instance),
        }
    }

    fn show(&self, state: &ServiceState) -> Vec<String> {
        vec![ServiceMinds::show(state.set.current)]
    }
}

/// A step in progress.
type Taking<'a> = search::Taking<'a, ServiceModel>;
