//! States and steps of the model of services: two groups that may be members, two instances, faults.
//!
//! What is judged: while a member runs, the record set is neither absent nor empty; no address leaves it without
//! evidence; record sets and metadata of others stay; at the end it holds exactly the members; a member that cannot be
//! read fails no other group's invocation; the delivery after that writes nothing.

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
    search::{Next, Searched},
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
            let mut taking = Taking { model: self, state, finding: None, story: None };
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

    fn apply(&mut self, state: &ServiceState, action: ServiceAction, is_told: bool) -> Next<ServiceState> {
        let story = is_told.then(String::new);
        let mut taking = Taking { model: self, state: *state, finding: None, story };
        taking.take(action);
        let Taking { state, finding, story, .. } = taking;
        let (state, is_swapped) = self.canonical(state);
        Next { state, finding, story: story.unwrap_or_default(), is_swapped }
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

/// A step under way.
struct Taking<'a> {
    model: &'a mut ServiceModel,
    state: ServiceState,
    finding: Option<Finding>,
    story: Option<String>,
}

impl Taking<'_> {
    fn tell(&mut self, text: impl FnOnce() -> String) {
        if let Some(story) = &mut self.story {
            *story += &text();
        }
    }

    fn find(&mut self, property: Property, excuse: Option<Excuse>, text: String) {
        self.finding.get_or_insert(Finding { property, excuse, text });
    }

    fn take(&mut self, action: ServiceAction) {
        match action {
            ServiceAction::Change { member, to, is_begun } => {
                self.state.events_left -= u8::from(!is_begun);
                self.state.members[usize::from(member)].replace(to);
                self.state.used |= to.address().map_or(0, bit);
                let is_deleted = to.life == MemberLife::Absent;
                let evidence = if is_deleted { Evidence::Deletion } else { Evidence::None };
                self.state.waiting[usize::from(member)].add(Events::one(evidence));
                self.tell(|| format!("now {}: {}", member_name(member), show(to)));
            }
            ServiceAction::Deliver { instance, of, is_old } => {
                let mut causes = Causes::default();
                let mut events = [Events::default(); MEMBERS];
                for member in (0..ids(MEMBERS)).filter(|member| contains(of, bit(*member))) {
                    let index = usize::from(member);
                    events[index] = std::mem::take(&mut self.state.waiting[index]);
                    let is_absent = self.state.member(member).life == MemberLife::Absent;
                    let evidence = strongest(events[index]);
                    causes[index] = if is_old && is_absent { Some(Evidence::Deletion) } else { evidence };
                }
                self.tell(|| format!("is given events (a 404 of v1 and v2 proves: {causes:?})"));
                self.start(instance, causes, events);
            }
            ServiceAction::Redeliver { instance, member } => {
                let index = usize::from(member);
                let mut events = [Events::default(); MEMBERS];
                events[index] = std::mem::take(&mut self.state.blocked[index]);
                let mut causes = Causes::default();
                causes[index] = strongest(events[index]);
                self.tell(|| format!("is given events of {} again", member_name(member)));
                self.start(instance, causes, events);
            }
            ServiceAction::Request { instance, index, how } => {
                self.state.faults_left -= u8::from(how != How::Well);
                if matches!(how, How::Stale(_)) {
                    self.state.past.add(Past::STALE);
                }
                self.request(instance, index, how);
            }
            ServiceAction::Crash { instance } => {
                self.state.faults_left -= 1;
                let one = std::mem::take(&mut self.state.instances[instance]);
                for (waiting, events) in self.state.waiting.iter_mut().zip(one.events) {
                    waiting.add(events);
                }
                self.tell(|| "is killed".to_owned());
            }
        }
    }

    fn start(&mut self, instance: usize, causes: Causes, events: [Events; MEMBERS]) {
        let facts = self.model.minds.start(causes);
        self.state.instances[instance] = ServiceInstance { facts, events, ..ServiceInstance::default() };
    }

    fn request(&mut self, instance: usize, index: usize, how: How) {
        let one = self.state.instances[instance];
        let plan = self.model.minds.plan(one.facts);
        let ServicePlan::Act(requests) = &*plan else { unreachable!("a run that is over sends no request") };
        let is_lost = matches!(how, How::Lost { .. });
        let answer = match &requests[index] {
            ServiceRequest::Write { label, after, line, finding } => {
                self.tell(|| format!("sends {line}"));
                let answer = if how == (How::Lost { has_happened: false }) {
                    ServiceAnswer::Failed(FailureKind::Uncertain)
                } else {
                    self.write(instance, (*label, *after), finding.as_deref())
                };
                if is_lost { ServiceAnswer::Failed(FailureKind::Uncertain) } else { answer }
            }
            _ if is_lost => ServiceAnswer::Failed(FailureKind::Transient),
            request => self.read(instance, request, how),
        };
        if !matches!(answer, ServiceAnswer::Written(_)) {
            let stale = if matches!(how, How::Stale(_)) { " (stale)" } else { "" };
            self.tell(|| format!(" {:?}: {}{stale}", requests[index], show_answer(answer)));
        }
        let answer = self.model.minds.answer_id(answer);
        let one = &mut self.state.instances[instance];
        one.answers[index] = answer;
        if one.answers.iter().take(requests.len()).any(|answer| *answer == 0) {
            return;
        }
        let (facts, is_new_pass) = self.model.minds.learn(one.facts, one.answers);
        (one.facts, one.answers) = (facts, Default::default());
        if is_new_pass {
            one.labels.keep(self.model.minds.get(facts).deleted);
            (one.was_down, one.was_down_first) = (0, 0);
        }
        if let ServicePlan::Done(outcomes, text) = &*self.model.minds.plan(facts) {
            let causes = self.model.minds.causes(facts);
            let one = std::mem::take(&mut self.state.instances[instance]);
            for member in (0..MEMBERS).filter(|member| causes[*member].is_some()) {
                match outcomes[member] {
                    Outcome::Acknowledged => {}
                    Outcome::Blocked => self.state.blocked[member].add(one.events[member]),
                    Outcome::Unavailable => self.state.waiting[member].add(one.events[member]),
                }
            }
            self.tell(|| format!("; {outcomes:?}: {text}"));
        }
    }

    fn read(&mut self, instance: usize, request: &ServiceRequest, how: How) -> ServiceAnswer {
        let seen = |state: &ServiceState, member: u8| {
            let versions = state.members[usize::from(member)];
            let previous = if how == How::Stale(member) { versions.previous } else { None };
            previous.unwrap_or(versions.current)
        };
        let down = self.state.mask(|member| !member.runs());
        match request {
            ServiceRequest::Groups { is_again } => {
                let one = &mut self.state.instances[instance];
                let noted = if *is_again { &mut one.was_down } else { &mut one.was_down_first };
                *noted |= down;
                ServiceAnswer::Groups([0, 1].map(|member| seen(&self.state, member)))
            }
            ServiceRequest::Group { member, .. }
                if *member == ELSEWHERE || contains(self.model.scenario.unreadable, bit(*member)) =>
            {
                ServiceAnswer::Failed(FailureKind::Forbidden)
            }
            ServiceRequest::Group { member, is_again } => {
                if *is_again {
                    self.state.instances[instance].was_down |= down & bit(*member);
                }
                ServiceAnswer::Group(seen(&self.state, *member))
            }
            ServiceRequest::Set => {
                let versions = self.state.set;
                let (content, version) = match (how, versions.previous) {
                    (How::Stale(_), Some(previous)) => (previous, Version::Previous),
                    _ => (versions.current, Version::Current),
                };
                let labels = &mut self.state.instances[instance].labels;
                ServiceAnswer::Set(content.map(|content| (content, labels.of(version))))
            }
            ServiceRequest::Write { .. } => unreachable!("it is no read"),
        }
    }

    fn write(
        &mut self,
        instance: usize,
        (label, after): (Option<Label>, Option<ServiceSet>),
        unproved: Option<&str>,
    ) -> ServiceAnswer {
        let before = self.state.set.current;
        let labels = self.state.instances[instance].labels;
        let is_met = match label {
            None => before.is_none(),
            Some(label) => before.is_some() && labels.get(label) == Version::Current,
        };
        if !is_met && self.model.minds.broken != Some(ServiceBroken::WritesUnconditionally) {
            return ServiceAnswer::Failed(FailureKind::Race);
        }
        let text = format!("{} becomes {}", ServiceMinds::show(before), ServiceMinds::show(after));
        if let Some(unproved) = unproved {
            self.find(Property::Evidence, None, format!("{unproved}: {text}"));
        }
        if before.is_some_and(|before| before.mark != Mark::Group(0)) {
            self.find(Property::Isolation, None, format!("a record set of others is written: {text}"));
        }
        let is_annotated = |set: Option<ServiceSet>| set.is_some_and(|set| set.is_annotated);
        if is_annotated(before) && after.is_some() && !is_annotated(after) {
            self.find(Property::Isolation, None, format!("metadata of others goes: {text}"));
        }
        let holds = |set: Option<ServiceSet>| set.is_some_and(|set| set.values != 0);
        // A member that cannot be read fails its own invocation until it is in the set.
        let running = self.state.mask(Member::runs) & !self.model.scenario.unreadable;
        if holds(before) && !holds(after) && running != 0 {
            let one = &self.state.instances[instance];
            let excuse = if contains(one.was_down, running) {
                Some(Excuse::CameBack)
            } else if contains(one.was_down_first, running) && self.state.past.has(Past::STALE) {
                // The second list is stale: a replica lags by more than three seconds.
                Some(Excuse::Stale)
            } else {
                None
            };
            self.find(Property::NoGap, excuse, format!("while a member runs, {text}"));
        }
        self.state.set.replace(after);
        for one in &mut self.state.instances {
            one.labels.outdate();
        }
        let labels = &mut self.state.instances[instance].labels;
        ServiceAnswer::Written(after.map(|_| labels.of(Version::Current)))
    }
}

/// A group in words.
fn show(member: Member) -> String {
    let at = |address| Places::address(address).to_string();
    let life = match member.life {
        MemberLife::Absent => "404".to_owned(),
        MemberLife::Running(address) => format!("runs at {}", at(address)),
        MemberLife::Stopped(address) => format!("is stopped, shows {}", at(address)),
        MemberLife::Updating(address) => format!("is updated, shows {}", at(address)),
        MemberLife::Creating => "is created".to_owned(),
    };
    if member.is_draining { format!("{life}, drains") } else { life }
}

fn show_answer(answer: ServiceAnswer) -> String {
    match answer {
        ServiceAnswer::Groups([first, second]) => format!("v1 {}; v2 {}", show(first), show(second)),
        ServiceAnswer::Group(member) => show(member),
        ServiceAnswer::Set(set) => ServiceMinds::show(set.map(|(set, _)| set)),
        ServiceAnswer::Written(_) => "done".to_owned(),
        ServiceAnswer::Failed(kind) => format!("{kind:?}"),
    }
}
