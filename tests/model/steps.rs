//! States, and the single steps that lead from one to the next.
//!
//! An instance carries out what [`decide`](aci_dns::decide::decide) asks for as
//! [`pursue`](aci_dns::reconcile::driver::pursue) does: the requests of one step are in flight together, Azure carries each out
//! at a moment of its own, and their answers are learned together. Between any two of these moments other instances
//! work, container groups move, people edit the zones, and a fault strikes.

use std::{collections::HashMap, rc::Rc};

use aci_dns::{decide::Evidence, domain::failure::FailureKind};

use super::{
    broken::Broken,
    knowledge::{Answer, Knowledge, Label, Outcome, Plan, Read, Request, WAIT, Write},
    properties::{self, Finding, Problem, Witness},
    scenario::{EventKind, Fault, Scenario, Start},
    state::{Events, Instance, Labels, LateWrite, Past, State, Version},
    words::{describe, show_read},
    world::{
        ADDRESSES, Content, ELSEWHERE, EVIDENCE, GROUPS, Group, Life, Lock, Mark, Mask, NAMES, Places, SETS,
        SetId, Subject, World, a_set, bit, members, ptr_set, subject,
    },
};

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Something happens to a container group, to a zone, or to the clock.
    Event(Event),
    /// Five minutes pass.
    Age,
    /// An instance is given events of a group that wait. Old ones prove a deletion.
    Deliver { instance: usize, group: u8, events: Events, is_old: bool },
    /// A group that was created answers no longer with 404.
    Show(u8),
    /// An instance is given the events of a group that were answered with a failure.
    Redeliver { instance: usize, group: u8 },
    /// Azure carries out a request.
    Request { instance: usize, index: usize, how: How },
    /// A process is killed.
    Crash { instance: usize },
    /// The time of an invocation is up.
    TimeOut { instance: usize },
    /// A process is killed, and a write of it is still under way.
    Strand { instance: usize, index: usize },
    /// That write arrives.
    Arrive,
}

/// How a request ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    /// As it should.
    Well,
    /// It is a read, and shows a value as it was before the last change. A list shows one record set so.
    Stale(SetId),
    /// The answer is lost.
    Lost { has_happened: bool },
}

/// What happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Event {
    Create(u8, u8),
    /// Likewise, but the group answers 404 for some time.
    CreateUnseen(u8, u8),
    Move(u8, u8),
    Provision(u8),
    Stop(u8),
    Delete(u8),
    Rename(u8),
    Touch(u8),
    Edit(SetId, Option<Content>),
    Lock(Lock),
}

/// What a step leads to.
#[derive(Debug)]
pub(crate) struct Next {
    /// The next state.
    pub(crate) state: State,
    /// What is wrong with the step.
    pub(crate) finding: Option<Finding>,
    /// The step in words, where they were asked for.
    pub(crate) story: String,
    /// Whether the instances changed places.
    pub(crate) is_swapped: bool,
}

/// A scenario, and what is known in it.
#[derive(Debug)]
pub(crate) struct Model {
    /// What may happen.
    pub(crate) scenario: Scenario,
    /// What instances know.
    pub(crate) knowledge: Knowledge,
    /// What is wrong with ends, by what Azure holds.
    pub(crate) ends: HashMap<World, Vec<Problem>>,
}

impl Model {
    /// A scenario of which nothing is known.
    pub(crate) fn new(scenario: Scenario, broken: Option<Broken>) -> Self {
        let (places, rules) = (Places::new(scenario.layout), scenario.rules());
        Self { scenario, knowledge: Knowledge::new(places, rules, broken), ends: HashMap::new() }
    }

    /// The states in which the scenario begins.
    pub(crate) fn starts(&self) -> Vec<State> {
        let state = |start: &Start| State {
            world: start.world,
            waiting: start.waiting.map(|events| Events([events, 0, 0])),
            events_left: self.scenario.events,
            faults_left: self.scenario.faults,
            ages_left: self.scenario.ages,
            used: start.world.held_addresses(),
            ..State::default()
        };
        self.scenario.starts.iter().map(|start| self.canonical(state(start)).0).collect()
    }

    /// All steps that may come next.
    pub(crate) fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        actions.clear();
        if state.events_left > 0 {
            self.events(state, actions);
        }
        for group in 0..ids(GROUPS) {
            // What was begun ends, whatever else may still happen.
            if state.world.group(group).life == Life::Provisioning {
                let free = free_addresses(state);
                actions.extend(free.map(|address| Action::Event(Event::Create(group, address))));
            }
        }
        actions.extend(members(state.world.hidden).map(Action::Show));
        if state.late.is_some() {
            actions.push(Action::Arrive);
        }
        // No write takes five minutes.
        if state.ages_left > 0 && state.late.is_none() && state.instances.iter().all(Instance::is_idle) {
            actions.push(Action::Age);
        }
        let running = state.instances.iter().filter(|instance| !instance.is_idle()).count();
        for (number, instance) in state.instances.iter().enumerate() {
            if !instance.is_idle() {
                self.requests(state, number, actions);
            } else if running < self.scenario.instances && (number == 0 || state.instances[0] != *instance) {
                // One idle instance is like another.
                self.deliveries(state, number, actions);
            }
        }
    }

    fn events(&self, state: &State, actions: &mut Vec<Action>) {
        let world = &state.world;
        let mut push = |event| actions.push(Action::Event(event));
        for (group, kind) in &self.scenario.kinds {
            let life = world.group(*group).life;
            match (kind, life) {
                (EventKind::Create, Life::Absent) | (EventKind::Start, Life::Stopped) => {
                    free_addresses(state).for_each(|address| push(Event::Create(*group, address)));
                    if life == Life::Absent && self.can(state, Fault::Unseen) {
                        free_addresses(state).for_each(|address| push(Event::CreateUnseen(*group, address)));
                    }
                }
                (EventKind::Move, Life::Running(_)) => {
                    free_addresses(state).for_each(|address| push(Event::Move(*group, address)));
                }
                (EventKind::Provision, Life::Running(_) | Life::Absent) => push(Event::Provision(*group)),
                (EventKind::Stop, Life::Running(_)) => push(Event::Stop(*group)),
                (EventKind::Delete, Life::Running(_) | Life::Stopped) => push(Event::Delete(*group)),
                (EventKind::Rename, Life::Running(_)) => push(Event::Rename(*group)),
                (EventKind::Touch, Life::Running(_) | Life::Absent) => push(Event::Touch(*group)),
                (EventKind::Edit, _) => {
                    // An edit of a name is one of the group that has it.
                    let name = self.knowledge.places.own_name(*group);
                    edits(world, a_set(name)).for_each(&mut push);
                    (0..ids(ADDRESSES))
                        .for_each(|address| edits(world, ptr_set(address)).for_each(&mut push));
                }
                (EventKind::Lock, _) if world.lock == Lock::None => {
                    push(Event::Lock(Lock::CanNotDelete));
                    push(Event::Lock(Lock::ReadOnly));
                }
                (EventKind::Lock, _) => push(Event::Lock(Lock::None)),
                _ => {}
            }
        }
    }

    fn requests(&self, state: &State, number: usize, actions: &mut Vec<Action>) {
        let instance = &state.instances[number];
        let can = |fault| self.can(state, fault);
        if can(Fault::Crash) {
            actions.push(Action::Crash { instance: number });
        }
        if can(Fault::TimeOut) {
            actions.push(Action::TimeOut { instance: number });
        }
        let Plan::Act(requests) = &*self.knowledge.plan(instance.facts) else { return };
        for (index, request) in requests.iter().enumerate().filter(|(index, _)| instance.answers[*index] == 0)
        {
            actions.push(Action::Request { instance: number, index, how: How::Well });
            let is_write = matches!(request, Request::Write(_));
            let mut push = |action| actions.push(action);
            if let (Request::Write(write), true) = (request, can(Fault::Late) && state.late.is_none())
                && late_write(&state.world, instance, write).is_some()
            {
                push(Action::Strand { instance: number, index });
            }
            let mut push = |how| actions.push(Action::Request { instance: number, index, how });
            if can(Fault::Lost) {
                push(How::Lost { has_happened: false });
                if is_write {
                    push(How::Lost { has_happened: true });
                }
            }
            if let (Request::Read(read), true) = (request, can(Fault::Stale)) {
                stale(state, self.group(instance), *read).for_each(|set| push(How::Stale(set)));
            }
        }
    }

    /// Whether a fault may strike.
    fn can(&self, state: &State, fault: Fault) -> bool {
        state.faults_left > 0 && self.scenario.fault_kinds.contains(&fault)
    }

    /// What an idle instance can be given: one event that waits, or all. After fifteen minutes events are old; while
    /// the group exists that makes no difference, unless it is deleted meanwhile.
    fn deliveries(&self, state: &State, instance: usize, actions: &mut Vec<Action>) {
        for group in 0..ids(GROUPS) {
            let waiting = state.waiting[usize::from(group)];
            let mut push = |events, is_old| actions.push(Action::Deliver { instance, group, events, is_old });
            if waiting.total() > 0 {
                push(waiting, false);
                let is_absent = state.world.group(group).life == Life::Absent;
                if waiting.strongest() < Evidence::Deletion && (is_absent || self.scenario.has_delays) {
                    push(waiting, true);
                }
            }
            if waiting.total() > 1 {
                for (kind, count) in EVIDENCE.into_iter().zip(waiting.0) {
                    if count > 0 {
                        push(Events::one(kind), false);
                    }
                }
            }
            if state.blocked[usize::from(group)].total() > 0 {
                actions.push(Action::Redeliver { instance, group });
            }
        }
    }

    /// The group that a run is about.
    pub(crate) fn group(&self, instance: &Instance) -> u8 {
        Places::group_of(self.knowledge.get(instance.facts).goal)
    }

    /// Takes a step, and writes it into the story if there is one.
    pub(crate) fn apply(&mut self, state: &State, action: Action, is_told: bool) -> Next {
        let mut taking =
            Taking { model: self, state: *state, finding: None, story: is_told.then(String::new) };
        taking.take(action);
        let Taking { state, finding, story, .. } = taking;
        let (state, is_swapped) = self.canonical(state);
        Next { state, finding, story: story.unwrap_or_default(), is_swapped }
    }

    /// The one form of all states that have the same future: versions that no read shows any more are dropped, and
    /// instances have no order.
    fn canonical(&self, mut state: State) -> (State, bool) {
        let may_be_stale = state.faults_left > 0 && self.scenario.fault_kinds.contains(&Fault::Stale);
        if !may_be_stale {
            state.world = state.world.settled();
            state.instances.iter_mut().flat_map(|one| &mut one.labels).for_each(Labels::settle);
        }
        let is_swapped = state.instances[0] > state.instances[1];
        if is_swapped {
            state.instances.swap(0, 1);
        }
        (state, is_swapped)
    }

    /// The state after a recheck in a fresh process that nothing disturbs, with the lines of what it wrote and the
    /// outcome. While it is unavailable, it is delivered again until it is old.
    pub(crate) fn recheck(&mut self, world: &World, group: u8) -> (World, Vec<String>, Outcome) {
        let (next, mut lines, outcome) = self.deliver_undisturbed(world, group, Evidence::Absence);
        if outcome != Outcome::Unavailable {
            return (next, lines, outcome);
        }
        let (last, more, outcome) = self.deliver_undisturbed(&next, group, Evidence::Deletion);
        lines.extend(more);
        (last, lines, outcome)
    }

    fn deliver_undisturbed(
        &mut self,
        world: &World,
        group: u8,
        evidence: Evidence,
    ) -> (World, Vec<String>, Outcome) {
        let state = State { world: world.settled(), ..State::default() };
        let mut taking = Taking { model: self, state, finding: None, story: None };
        let (mut lines, mut outcome) = (Vec::new(), Outcome::default());
        taking.start(0, group, Events::one(evidence), evidence);
        while !taking.state.instances[0].is_idle() {
            let plan = taking.model.knowledge.plan(taking.state.instances[0].facts);
            let Plan::Act(requests) = &*plan else { unreachable!("a run that is over is idle") };
            let is_next = |index: &usize| taking.state.instances[0].answers[*index] == 0;
            let index = (0..requests.len()).find(is_next).unwrap();
            if let Request::Write(write) = &requests[index] {
                lines.push(write.line.clone());
            }
            outcome = taking.request(0, index, How::Well).max(outcome);
        }
        (taking.state.world.settled(), lines, outcome)
    }
}

/// A step under way.
struct Taking<'a> {
    model: &'a mut Model,
    state: State,
    finding: Option<Finding>,
    story: Option<String>,
}

impl Taking<'_> {
    fn tell(&mut self, text: impl FnOnce(&Places) -> String) {
        if let Some(story) = &mut self.story {
            *story += &text(&self.model.knowledge.places);
        }
    }

    fn take(&mut self, action: Action) {
        match action {
            Action::Event(event) => self.event(event),
            Action::Age => {
                self.state.ages_left -= 1;
                self.state.world.age();
                self.tell(|_| "five minutes pass".to_owned());
            }
            Action::Deliver { instance, group, events, is_old } => {
                self.state.waiting[usize::from(group)].remove(events);
                let evidence = if is_old { Evidence::Deletion } else { events.strongest() };
                let total = events.total();
                let age = if is_old { "old " } else { "" };
                self.tell(|places| {
                    let name = places.group_name(group);
                    format!("is given {total} {age}event(s) of {name} (a 404 proves: {evidence:?})")
                });
                self.start(instance, group, events, evidence);
            }
            Action::Redeliver { instance, group } => {
                let events = std::mem::take(&mut self.state.blocked[usize::from(group)]);
                self.tell(|places| format!("is given {} again", places.group_name(group)));
                self.start(instance, group, events, events.strongest());
            }
            Action::Show(group) => {
                self.state.world.hidden &= !bit(group);
                self.tell(|places| format!("{} can be seen from now on", places.group_name(group)));
            }
            Action::Request { instance, index, how } => {
                if how != How::Well {
                    self.state.faults_left -= 1;
                }
                if matches!(how, How::Stale(_)) {
                    if self.state.past.has(Past::STALE) {
                        self.state.past.add(Past::STALE_TWICE);
                    }
                    self.state.past.add(Past::STALE);
                }
                _ = self.request(instance, index, how);
            }
            Action::Arrive => {
                let Some(late) = self.state.late.take() else { return };
                let before = self.state.world.set(late.set);
                self.tell(|places| format!("a late write arrives: {}", places.show(late.set, late.after)));
                if late.replaces || before.is_none() {
                    self.state.past.add(Past::LATE);
                    self.put(late.set, late.after);
                }
            }
            Action::Crash { instance } | Action::TimeOut { instance } | Action::Strand { instance, .. } => {
                self.state.faults_left -= 1;
                if let Action::Strand { index, .. } = action {
                    self.strand(instance, index);
                }
                self.note_cut_off();
                let is_crash = !matches!(action, Action::TimeOut { .. });
                self.tell(|_| if is_crash { "is killed" } else { "has no time left" }.to_owned());
                let one = &mut self.state.instances[instance];
                self.state.waiting[usize::from(one.origin)].add(one.events);
                one.stop();
            }
        }
    }

    fn note_cut_off(&mut self) {
        if self.model.scenario.fault_kinds.contains(&Fault::Stale) {
            self.state.past.add(Past::CUT_OFF);
        }
    }

    fn event(&mut self, event: Event) {
        let world = &mut self.state.world;
        let is_end =
            matches!(event, Event::Create(group, _) if world.group(group).life == Life::Provisioning);
        if !is_end {
            self.state.events_left -= 1;
        }
        let mut live = |group: u8, life| {
            world.hidden &= !bit(group);
            let group = &mut world.groups[usize::from(group)];
            let before = group.current;
            // A group that is created again has no tags any more.
            let is_renamed = before.is_renamed && life != Life::Absent;
            group.replace(Group { life, is_renamed });
        };
        let has_tags = self.model.scenario.kinds.iter().any(|(_, kind)| *kind == EventKind::Rename);
        if has_tags
            && matches!(event, Event::Move(..) | Event::Provision(_) | Event::Stop(_) | Event::Delete(_))
        {
            self.state.past.add(Past::MOVED);
        }
        match event {
            Event::Create(group, address) | Event::Move(group, address) => {
                live(group, Life::Running(address));
                self.state.used |= bit(address);
            }
            Event::CreateUnseen(group, address) => {
                live(group, Life::Running(address));
                self.state.world.hidden |= bit(group);
                self.state.past.add(Past::STALE);
                self.state.faults_left -= 1;
                self.state.used |= bit(address);
            }
            Event::Provision(group) => live(group, Life::Provisioning),
            Event::Stop(group) => live(group, Life::Stopped),
            Event::Delete(group) => live(group, Life::Absent),
            Event::Rename(group) => {
                let group = &mut world.groups[usize::from(group)];
                group.replace(Group { is_renamed: !group.current.is_renamed, ..group.current });
                self.state.past.add(Past::RENAMED);
            }
            Event::Touch(_) => {}
            Event::Edit(set, content) => {
                let is_kept = content.is_some_and(|content| content.mark != Mark::None);
                if matches!(subject(set), Subject::A(_)) && !is_kept {
                    self.state.past.add(Past::EDITED);
                }
                self.put(set, content);
            }
            Event::Lock(lock) => world.lock = lock,
        }
        let mut wait = |group: u8, evidence| {
            self.state.waiting[usize::from(group)].add(Events::one(evidence));
        };
        // An edit and a lock raise no event; the groups' next events come.
        match event {
            Event::Create(group, _)
            | Event::CreateUnseen(group, _)
            | Event::Move(group, _)
            | Event::Provision(group)
            | Event::Stop(group)
            | Event::Rename(group) => wait(group, Evidence::None),
            Event::Touch(group) => wait(group, Evidence::Absence),
            Event::Delete(group) => wait(group, Evidence::Deletion),
            Event::Edit(..) | Event::Lock(_) => {
                for group in 0..ids(GROUPS) {
                    if self.state.world.group(group).life != Life::Absent {
                        self.state.waiting[usize::from(group)].add(Events::one(Evidence::None));
                    }
                }
            }
        }
        self.tell(|places| describe(places, event));
    }

    /// Leaves a write under way.
    fn strand(&mut self, instance: usize, index: usize) {
        let one = &self.state.instances[instance];
        let plan = self.model.knowledge.plan(one.facts);
        if let Plan::Act(requests) = &*plan
            && let Request::Write(write) = &requests[index]
        {
            self.state.late = late_write(&self.state.world, one, write);
            self.tell(|_| format!("sends {} and ", write.line));
        }
    }

    /// Changes a record set, and makes the versions that instances know one older.
    fn put(&mut self, set: SetId, content: Option<Content>) {
        self.state.world.put(set, content);
        if self.state.late.is_some_and(|late| late.set == set && late.replaces) {
            self.state.late = None;
        }
        for instance in &mut self.state.instances {
            instance.labels[usize::from(set)].outdate();
        }
    }

    fn start(&mut self, instance: usize, group: u8, events: Events, evidence: Evidence) {
        let one = &mut self.state.instances[instance];
        (one.origin, one.events) = (group, events);
        self.run(instance, group, evidence, WAIT);
    }

    fn run(&mut self, instance: usize, group: u8, evidence: Evidence, wait: std::time::Duration) {
        let one = &mut self.state.instances[instance];
        let goal = Places::goal_id(group, evidence);
        let learned = self.model.knowledge.start(goal, wait);
        one.facts = learned.id;
        one.labels = Default::default();
        one.witness = Witness::default();
    }

    /// Azure carries out a request. Gives the outcome of a run that is over.
    fn request(&mut self, instance: usize, index: usize, how: How) -> Outcome {
        let facts = self.state.instances[instance].facts;
        let plan = self.model.knowledge.plan(facts);
        let Plan::Act(requests) = &*plan else { unreachable!("a run that is over sends no request") };
        let answer = match &requests[index] {
            Request::Write(write) => self.write(instance, write, how),
            Request::Read(read) => self.read(instance, *read, how),
        };
        let group = self.model.group(&self.state.instances[instance]);
        let broken = self.model.knowledge.broken;
        let answer = broken.map_or(answer.clone(), |broken| broken.learns(group, &requests[index], answer));
        let is_failed = matches!(answer, Answer::Failed(_));
        let answer = self.model.knowledge.answer_id(answer);
        self.state.instances[instance].answers[index] = answer;
        if matches!(&requests[index], Request::Read(read) if is_failed && read.is_required()) {
            let given_up = self.model.knowledge.answer_id(Answer::GivenUp);
            let answers = &mut self.state.instances[instance].answers;
            for (answer, request) in answers.iter_mut().zip(requests) {
                if *answer == 0 && matches!(request, Request::Read(_)) {
                    *answer = given_up;
                }
            }
        }
        let answers = self.state.instances[instance].answers;
        if answers.iter().take(requests.len()).any(|answer| *answer == 0) {
            return Outcome::default();
        }
        let learned = self.model.knowledge.learn(facts, answers);
        let one = &mut self.state.instances[instance];
        one.answers = Default::default();
        one.facts = learned.id;
        if learned.is_new_pass {
            let deleted = self.model.knowledge.get(learned.id).deleted;
            one.labels.iter_mut().zip(deleted).for_each(|(labels, deleted)| labels.keep(deleted));
            one.witness = Witness::default();
            self.tell(|_| "; another pass follows".to_owned());
        }
        self.finish(instance)
    }

    /// Ends a run that is over, and begins the next one of its invocation.
    fn finish(&mut self, instance: usize) -> Outcome {
        let facts = self.state.instances[instance].facts;
        let plan = self.model.knowledge.plan(facts);
        let Plan::Done(end) = &*plan else { return Outcome::default() };
        let end = Rc::new(end.clone());
        self.tell(|_| format!("; {:?}: {}", end.outcome, end.text));
        let one = &mut self.state.instances[instance];
        one.outcome = one.outcome.max(end.outcome);
        let broken = self.model.knowledge.broken;
        one.queue |= end.given_up;
        if end.outcome == Outcome::Unavailable {
            self.note_cut_off();
        }
        let one = &mut self.state.instances[instance];
        if let Some(next) = members(one.queue).next() {
            one.queue &= !bit(next);
            self.run(instance, next, Evidence::None, end.wait_left);
            self.tell(|places| format!("; goes on with {}", places.group_name(next)));
            return Outcome::default();
        }
        let outcome = broken.map_or(one.outcome, |broken| broken.answers(one.outcome));
        if broken == Some(Broken::AnswersLaterEvents) && outcome == Outcome::Acknowledged {
            self.state.waiting[usize::from(one.origin)] = Events::default();
        }
        match outcome {
            Outcome::Acknowledged => {}
            Outcome::Blocked => self.state.blocked[usize::from(one.origin)].add(one.events),
            Outcome::Unavailable => self.state.waiting[usize::from(one.origin)].add(one.events),
        }
        one.stop();
        outcome
    }

    fn read(&mut self, instance: usize, read: Read, how: How) -> Answer {
        let group = self.model.group(&self.state.instances[instance]);
        let answer = self.answer(instance, group, read, how);
        let deleted = self.model.knowledge.get(self.state.instances[instance].facts).deleted;
        let witness = &mut self.state.instances[instance].witness;
        let truth = self.state.world;
        properties::witness_read(witness, &truth, group, read, &existing(read, answer.clone(), deleted));
        if self.story.is_some() {
            let stale = if matches!(how, How::Stale(_)) { " (stale)" } else { "" };
            self.tell(|places| format!("reads {}{stale}", show_read(places, group, read, &answer)));
        }
        answer
    }

    fn answer(&mut self, instance: usize, group: u8, read: Read, how: How) -> Answer {
        let stale = match how {
            How::Well => None,
            How::Stale(set) => Some(set),
            How::Lost { .. } => return Answer::Failed(FailureKind::Transient),
        };
        let world = self.state.world;
        let seen = |group: u8| {
            let is_hidden = world.hidden & bit(group) != 0;
            let group = &world.groups[usize::from(group)];
            match stale {
                Some(_) => group.previous.unwrap_or(group.current),
                None if is_hidden => Group::default(),
                None => group.current,
            }
        };
        match read {
            Read::Group | Read::Confirmation => Answer::Group(seen(group)),
            Read::Owner(None) | Read::OwnerConfirmation(None) => Answer::Failed(FailureKind::Forbidden),
            Read::Owner(Some(owner)) | Read::OwnerConfirmation(Some(owner)) => Answer::Group(seen(owner)),
            Read::Set(set) => Answer::Set(self.versioned(instance, set, stale == Some(set))),
            Read::PtrList => {
                let sets = (0..ids(ADDRESSES)).map(ptr_set);
                Answer::List(self.listed(instance, sets, stale))
            }
            Read::AList => {
                let names = (0..ids(NAMES)).map(|name| (name, a_set(name)));
                let places = &self.model.knowledge.places;
                let in_zone = names.filter(|(name, _)| places.is_in_zone_of(group, *name));
                let sets: Vec<SetId> = in_zone.map(|(_, set)| set).collect();
                Answer::List(self.listed(instance, sets.into_iter(), stale))
            }
        }
    }

    fn listed(
        &mut self,
        instance: usize,
        sets: impl Iterator<Item = SetId>,
        stale: Option<SetId>,
    ) -> Vec<(SetId, Content, Label)> {
        let mut listed = Vec::new();
        for set in sets {
            if let Some((content, label)) = self.versioned(instance, set, stale == Some(set)) {
                listed.push((set, content, label));
            }
        }
        listed
    }

    fn versioned(&mut self, instance: usize, set: SetId, is_stale: bool) -> Option<(Content, Label)> {
        let versions = self.state.world.sets[usize::from(set)];
        let (content, version) = if is_stale {
            (versions.previous.unwrap(), Version::Previous)
        } else {
            (versions.current, Version::Current)
        };
        content.map(|content| (content, self.state.instances[instance].labels[usize::from(set)].of(version)))
    }

    fn write(&mut self, instance: usize, write: &Write, how: How) -> Answer {
        let is_lost = matches!(how, How::Lost { .. });
        self.tell(|_| format!("sends {}", write.line));
        let answer = match how {
            How::Lost { has_happened: false } => Answer::Failed(FailureKind::Uncertain),
            _ => self.carry_out(instance, write),
        };
        match &answer {
            _ if is_lost => self.tell(|_| format!(", and its answer is lost (it was {answer:?})")),
            Answer::Written(_) => {}
            other => self.tell(|_| format!(": {other:?}")),
        }
        if is_lost { Answer::Failed(FailureKind::Uncertain) } else { answer }
    }

    fn carry_out(&mut self, instance: usize, write: &Write) -> Answer {
        let set = write.set;
        let before = self.state.world.set(set);
        let one = &self.state.instances[instance];
        let is_met = match write.label {
            None => before.is_none(),
            Some(label) => one.labels[usize::from(set)].get(label) == Version::Current && before.is_some(),
        };
        let is_locked = match (self.state.world.lock, subject(set)) {
            (_, Subject::A(_)) if !self.model.scenario.locks_forward_zone => false,
            (Lock::None, _) => false,
            (Lock::CanNotDelete, _) => write.after.is_none(),
            (Lock::ReadOnly, _) => true,
        };
        if is_locked {
            return Answer::Failed(FailureKind::Refused);
        }
        if !is_met && self.model.knowledge.broken != Some(Broken::WritesUnconditionally) {
            return Answer::Failed(FailureKind::Race);
        }
        let group = self.model.group(one);
        let evidence = Places::evidence_of(self.model.knowledge.get(one.facts).goal);
        let change = properties::Change { group, evidence, set, before, after: write.after };
        let (places, ownership) = (&self.model.knowledge.places, self.model.scenario.ownership);
        let finding = properties::judge_write(places, ownership, &self.state, &one.witness, &change);
        if self.finding.is_none() {
            self.finding = finding;
        }
        self.put(set, write.after);
        properties::witness_write(&mut self.state.instances[instance].witness, &change);
        let labels = &mut self.state.instances[instance].labels[usize::from(set)];
        Answer::Written(write.after.map(|_| labels.of(Version::Current)))
    }
}

/// An answer without the versions that the run deleted: a read that shows one of them is stale.
fn existing(read: Read, answer: Answer, deleted: [Mask; SETS]) -> Answer {
    let is_deleted = |set: SetId, label: Label| deleted[usize::from(set)] & bit(label) != 0;
    match (read, answer) {
        (Read::Set(set), Answer::Set(Some((_, label)))) if is_deleted(set, label) => Answer::Set(None),
        (_, Answer::List(sets)) => {
            Answer::List(sets.into_iter().filter(|(set, _, label)| !is_deleted(*set, *label)).collect())
        }
        (_, answer) => answer,
    }
}

/// A write that arrives later, unless it cannot happen any more.
fn late_write(world: &World, instance: &Instance, write: &Write) -> Option<LateWrite> {
    let is_current = |label| instance.labels[usize::from(write.set)].get(label) == Version::Current;
    let is_possible = match write.label {
        None => world.set(write.set).is_none(),
        Some(label) => is_current(label),
    };
    let late = LateWrite { set: write.set, replaces: write.label.is_some(), after: write.after };
    is_possible.then_some(late)
}

/// The addresses that a group may get: of those that no group ever had, one stands for all.
fn free_addresses(state: &State) -> impl Iterator<Item = u8> + use<> {
    let (held, used) = (state.world.held_addresses(), state.used);
    let first_unused = (0..ids(ADDRESSES)).find(|address| used & bit(*address) == 0);
    (0..ids(ADDRESSES)).filter(move |address| {
        held & bit(*address) == 0 && (used & bit(*address) != 0 || Some(*address) == first_unused)
    })
}

/// What people do to a record set: they delete it, take the mark away, or write something of their own.
fn edits(world: &World, set: SetId) -> impl Iterator<Item = Event> + use<> {
    let content = world.set(set);
    let foreign = Content { values: bit(ELSEWHERE), ..Content::default() };
    let edited = content.map_or(vec![foreign], |content| {
        vec![
            Content { mark: Mark::None, fresh: 0, old: 0, ..content },
            Content { values: content.values | bit(ELSEWHERE), is_annotated: true, ..content },
        ]
    });
    let deleted = content.map(|_| Event::Edit(set, None));
    let changed = edited.into_iter().filter(move |edited| Some(*edited) != content);
    deleted.into_iter().chain(changed.map(move |edited| Event::Edit(set, Some(edited))))
}

/// What a stale read can show that differs from what is: the group, or the record set.
fn stale(state: &State, group: u8, read: Read) -> impl Iterator<Item = SetId> + use<> {
    let world = state.world;
    let differs = move |set: SetId| {
        let versions = world.sets[usize::from(set)];
        versions.previous.is_some()
    };
    let group_differs = |group: u8| world.groups[usize::from(group)].previous.is_some();
    let sets: Vec<SetId> = match read {
        Read::Group | Read::Confirmation if group_differs(group) => vec![0],
        Read::Owner(Some(owner)) | Read::OwnerConfirmation(Some(owner)) if group_differs(owner) => vec![0],
        Read::Group | Read::Confirmation | Read::Owner(_) | Read::OwnerConfirmation(_) => vec![],
        Read::Set(set) => [set].into_iter().filter(|set| differs(*set)).collect(),
        Read::PtrList => (0..ids(ADDRESSES)).map(ptr_set).filter(|set| differs(*set)).collect(),
        Read::AList => (0..ids(NAMES)).map(a_set).filter(|set| differs(*set)).collect(),
    };
    sets.into_iter()
}

/// A small number as the small values have it.
pub(crate) fn ids(count: usize) -> u8 {
    u8::try_from(count).unwrap()
}
