//! States, and the single steps that lead from one to the next.
//!
//! An instance carries out what [`decide`](aci_dns::decide::decide) asks for as
//! [`drive`](aci_dns::reconcile::driver::drive) does: the requests of one step are in flight together, Azure carries each out
//! at a moment of its own, and their answers are learned together. Between any two of these moments other instances
//! work, container groups move, people edit the zones, and a fault strikes.

use std::{collections::HashMap, rc::Rc};

use aci_dns::decide::Evidence;

use super::{
    actions::{Action, Event, How, late_write},
    broken::Broken,
    ends::{Problem, judge_end},
    knowledge::{Answer, Knowledge, Outcome, Plan, Request, WAIT},
    properties::{Finding, Witness},
    queue::{self, Batch, Storing, Works},
    scenario::{EventKind, Fault, Scenario, Start},
    search::{self, Searched},
    state::{Events, Instance, Labels, Past, State},
    words::describe,
    world::{Content, GROUPS, Group, Life, Mark, Places, SETS, SetId, Subject, World, bit, members, subject},
};
/// A scenario, and what is known in it.
#[derive(Debug)]
pub(crate) struct Model {
    /// What may happen.
    pub(crate) scenario: Scenario,
    /// What instances know.
    pub(crate) knowledge: Knowledge,
    /// The work of events and messages.
    pub(crate) works: Works,
    /// What is wrong with ends, by what Azure holds.
    pub(crate) ends: HashMap<World, Vec<Problem>>,
}

impl Model {
    /// A scenario of which nothing is known.
    pub(crate) fn new(scenario: Scenario, broken: Option<Broken>) -> Self {
        let (places, rules) = (Places::new(scenario.layout), scenario.rules());
        let works = Works::new(&places.goal(0).id, broken);
        Self { scenario, knowledge: Knowledge::new(places, rules, broken), works, ends: HashMap::new() }
    }

    fn all_starts(&self) -> Vec<State> {
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

    /// The group that a run is about.
    pub(crate) fn group(&self, instance: &Instance) -> u8 {
        Places::group_of(self.knowledge.get(instance.facts).goal)
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
        let mut taking = Taking::new(self, state, false);
        let (mut lines, mut outcome) = (Vec::new(), Outcome::default());
        taking.start(0, group, Batch { events: Events::one(evidence), ..Batch::default() }, evidence);
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

impl Searched for Model {
    type State = State;
    type Action = Action;

    fn starts(&self) -> Vec<State> {
        self.all_starts()
    }

    fn actions(&mut self, state: &State, actions: &mut Vec<Action>) {
        self.next_actions(state, actions);
    }

    fn take(step: &mut Taking<'_>, action: Action) {
        step.take(action);
    }

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

    fn judge_end(&mut self, state: &State) -> Vec<Finding> {
        judge_end(self, state)
    }

    fn instance_of(action: Action) -> Option<usize> {
        match action {
            Action::Event(_) | Action::Age | Action::Arrive | Action::Show(_) => None,
            Action::Deliver { instance, .. }
            | Action::Redeliver { instance, .. }
            | Action::Request { instance, .. }
            | Action::End { instance, .. }
            | Action::Crash { instance }
            | Action::TimeOut { instance }
            | Action::Strand { instance, .. } => Some(instance),
        }
    }

    fn show(&self, state: &State) -> Vec<String> {
        let sets = (0..ids(SETS)).filter(|set| state.world.set(*set).is_some());
        sets.map(|set| self.knowledge.places.show(set, state.world.set(set))).collect()
    }
}

/// A step in progress.
pub(crate) type Taking<'a> = search::Taking<'a, Model>;

impl Taking<'_> {
    pub(crate) fn tell(&mut self, text: impl FnOnce(&Places) -> String) {
        self.describe(|model| text(&model.knowledge.places));
    }

    fn take(&mut self, action: Action) {
        match action {
            Action::Event(event) => self.event(event),
            Action::Age => {
                self.state.ages_left -= 1;
                self.state.world.age();
                self.tell(|_| "five minutes pass".to_owned());
            }
            Action::Deliver { instance, group, batch, is_kept } => {
                self.state.waiting[usize::from(group)].remove(batch.events);
                if is_kept {
                    self.state.faults_left -= 1;
                } else {
                    self.state.queue[usize::from(group)].remove(batch.messages);
                }
                let evidence = self.model.works.evidence(batch);
                self.tell(|places| {
                    let mut given = Vec::new();
                    if batch.events.total() > 0 {
                        given.push(format!("{} event(s)", batch.events.total()));
                    }
                    if batch.messages.total() > 0 {
                        given.push(queue::show(batch.messages));
                    }
                    let (given, name) = (given.join(" and "), places.group_name(group));
                    let age = if batch.is_old { "old " } else { "" };
                    let again = if is_kept { ", and will be given it again" } else { "" };
                    format!("is given {age}{given} of {name} (a 404 proves: {evidence:?}){again}")
                });
                self.start(instance, group, batch, evidence);
            }
            Action::Redeliver { instance, group } => {
                let events = std::mem::take(&mut self.state.blocked[usize::from(group)]);
                let batch = Batch { events, ..Batch::default() };
                self.tell(|places| format!("is given {} again", places.group_name(group)));
                let evidence = self.model.works.evidence(batch);
                self.start(instance, group, batch, evidence);
            }
            Action::End { instance, storing } => {
                if storing != Storing::Well {
                    self.state.faults_left -= 1;
                }
                self.tell(|_| "ends".to_owned());
                self.end(instance, storing);
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
                if !is_crash && self.model.scenario.has_queue {
                    self.begin_end(instance, Outcome::Unavailable);
                } else {
                    self.return_batch(instance, Outcome::Unavailable);
                    self.state.instances[instance].stop();
                }
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
    pub(crate) fn put(&mut self, set: SetId, content: Option<Content>) {
        self.state.world.put(set, content);
        if self.state.late.is_some_and(|late| late.set == set && late.replaces) {
            self.state.late = None;
        }
        for instance in &mut self.state.instances {
            instance.labels[usize::from(set)].outdate();
        }
    }

    fn start(&mut self, instance: usize, group: u8, batch: Batch, evidence: Evidence) {
        let one = &mut self.state.instances[instance];
        (one.origin, one.batch) = (group, batch);
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
        if self.model.scenario.has_queue {
            self.begin_end(instance, outcome);
            return outcome;
        }
        if outcome != Outcome::Acknowledged {
            self.return_batch(instance, outcome);
        }
        self.state.instances[instance].stop();
        outcome
    }
}

/// A small number as the small values have it.
pub(crate) fn ids(count: usize) -> u8 {
    u8::try_from(count).unwrap()
}
