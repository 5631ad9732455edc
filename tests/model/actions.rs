//! Which steps may come next.

use aci_dns::decide::Evidence;

use super::{
    knowledge::{ENDING, Plan, Read, Request, Write},
    queue::{Batch, Messages, Storing},
    scenario::{EventKind, Fault},
    state::{Events, Instance, LateWrite, State, Version},
    steps::{Model, ids},
    world::{
        ADDRESSES, Content, ELSEWHERE, EVIDENCE, GROUPS, Life, Lock, Mark, NAMES, SetId, World, a_set, bit,
        members, ptr_set,
    },
};

/// One step.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// Something happens to a container group, to a zone, or to the clock.
    Event(Event),
    /// Five minutes pass.
    Age,
    /// An instance is given events of a group that wait, and messages. Old ones prove a deletion. A message that is kept
    /// will be delivered again.
    Deliver { instance: usize, group: u8, batch: Batch, is_kept: bool },
    /// A group that was created answers no longer with 404.
    Show(u8),
    /// An instance is given the events of a group that were answered with a failure.
    Redeliver { instance: usize, group: u8 },
    /// Azure carries out a request.
    Request { instance: usize, index: usize, how: How },
    /// An instance stores its message, and answers.
    End { instance: usize, storing: Storing },
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

impl Model {
    /// All steps that may come next.
    pub(crate) fn next_actions(&mut self, state: &State, actions: &mut Vec<Action>) {
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
            if instance.facts == ENDING {
                self.ends(state, number, actions);
            } else if !instance.is_idle() {
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

    fn ends(&self, state: &State, instance: usize, actions: &mut Vec<Action>) {
        actions.push(Action::End { instance, storing: Storing::Well });
        if self.can(state, Fault::Store) {
            actions.push(Action::End { instance, storing: Storing::Fails });
            actions.push(Action::End { instance, storing: Storing::Again });
        }
        if self.can(state, Fault::Crash) {
            actions.push(Action::Crash { instance });
        }
    }

    /// Whether a fault may strike.
    pub(crate) fn can(&self, state: &State, fault: Fault) -> bool {
        state.faults_left > 0 && self.scenario.fault_kinds.contains(&fault)
    }

    /// What an idle instance can be given: one event or message that waits, or all. After fifteen minutes events are old;
    /// while the group exists that makes no difference, unless it is deleted meanwhile.
    fn deliveries(&mut self, state: &State, instance: usize, actions: &mut Vec<Action>) {
        for group in 0..ids(GROUPS) {
            let (events, messages) = (state.waiting[usize::from(group)], state.queue[usize::from(group)]);
            let total = u32::from(events.total()) + messages.total();
            let mut push = |events, messages, is_old, is_kept| {
                let batch = Batch { events, messages, is_old };
                actions.push(Action::Deliver { instance, group, batch, is_kept });
            };
            if total > 0 {
                push(events, messages, false, false);
                let is_absent = state.world.group(group).life == Life::Absent;
                let proves = self.works.evidence(Batch { events, messages, is_old: false });
                if proves < Evidence::Deletion && (is_absent || self.scenario.has_delays) {
                    push(events, messages, true, false);
                }
            }
            if total > 1 {
                for (kind, count) in EVIDENCE.into_iter().zip(events.0) {
                    if count > 0 {
                        push(Events::one(kind), Messages::default(), false, false);
                    }
                }
                for class in messages.classes() {
                    push(Events::default(), Messages::one(class), false, false);
                }
            }
            if self.can(state, Fault::Twice) {
                for class in messages.classes() {
                    push(Events::default(), Messages::one(class), false, true);
                }
            }
            if state.blocked[usize::from(group)].total() > 0 {
                actions.push(Action::Redeliver { instance, group });
            }
        }
    }
}

/// A write that arrives later, unless it cannot happen any more.
pub(crate) fn late_write(world: &World, instance: &Instance, write: &Write) -> Option<LateWrite> {
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
