//! States and steps of the model of secrets: two groups of two forward zones that want one secret, two instances, faults.
//!
//! What is judged: a secret of others stays; none is taken from another group after a single read; tags of others stay;
//! the number of versions is bounded by the number of changes; at the end record sets, value and owner are right, unless
//! the vault or the zone fails, and then the other of the two is right all the same.

#[path = "vault_steps.rs"]
mod steps;

use std::collections::HashMap;

use aci_dns::{
    config::{Ownership, Policy, Stopped},
    decide::{Evidence, Rules},
    domain::{dns::MEMORY_SECONDS, failure::FailureKind},
};

use super::{
    actions::How,
    knowledge::{Answer, AnswerId, Knowledge, Outcome, Read, Request, Write},
    properties::{Excuse, Finding, Property},
    scenario::{EventKind, Fault},
    search::{self, Searched},
    state::{Events, Labels, Past, Version},
    steps::ids,
    vault::{Id, Minds, RECORD_REQUESTS, SecretAnswer, SecretContent, SecretRequest},
    vault_broken::VaultBroken,
    words::show_read,
    world::{
        ADDRESSES, ELSEWHERE, EVIDENCE, GROUPS, Group, Life, Lock, Mark, Mask, NAMES, Places, SETS, SetId,
        Versions, World, a_set, bit,
    },
};

/// How many versions one change or fault may cause, as in the simulation: two instances that handle it at the same time both
/// write, and so does the write that follows where the verification finds another value.
const VERSIONS_PER_CHANGE: u8 = 3;

/// The bounds of a search.
#[derive(Clone, Debug)]
pub(crate) struct VaultScenario {
    pub(crate) name: &'static str,
    pub(crate) ownership: Ownership,
    /// How it begins: what Azure holds, and the groups whose event waits.
    pub(crate) starts: Vec<(World, Option<SecretContent>, Mask)>,
    pub(crate) events: u8,
    pub(crate) kinds: Vec<(u8, EventKind)>,
    pub(crate) faults: u8,
    pub(crate) fault_kinds: Vec<Fault>,
    /// Whether the vault refuses all requests.
    pub(crate) is_vault_failing: bool,
    pub(crate) exceptions: Vec<(Property, Excuse)>,
}

/// An instance.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct VaultInstance {
    facts: Id,
    /// The requests about record sets that are in flight; 0 if there are none.
    records: Id,
    /// Their answers; 0 where there is none yet.
    answers: [AnswerId; RECORD_REQUESTS],
    /// The request about the secret that is in flight; 0 if there is none.
    secret: Id,
    labels: [Labels; SETS],
    origin: u8,
    events: Events,
    /// The last confirmation about another group was answered while that group was deleted.
    was_owner_deleted: bool,
    /// The secret as it was read last.
    seen: Option<SecretContent>,
}

/// Everything that the future depends on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct VaultState {
    world: World,
    secret: Versions<Option<SecretContent>>,
    /// How many versions were written, and how many changes and faults there were.
    versions: u8,
    changes: u8,
    instances: [VaultInstance; 2],
    waiting: [Events; GROUPS],
    blocked: [Events; GROUPS],
    events_left: u8,
    faults_left: u8,
    used: Mask,
    past: Past,
}

/// One step.
#[derive(Clone, Copy, Debug)]
pub(crate) enum VaultAction {
    Live { group: u8, life: Life },
    EditSecret(SecretContent),
    Deliver { instance: usize, group: u8, events: Events, is_old: bool },
    Redeliver { instance: usize, group: u8 },
    Record { instance: usize, index: usize, how: How },
    Secret { instance: usize, how: How },
    Crash { instance: usize },
}

/// What Azure and the vault hold at an end.
type VaultEnd = (World, Option<SecretContent>);

/// A scenario, and what is known in it.
#[derive(Debug)]
pub(crate) struct VaultModel {
    pub(crate) scenario: VaultScenario,
    minds: Minds,
    /// What is wrong with ends, by what Azure and the vault hold.
    ends: HashMap<VaultEnd, Vec<(Property, String)>>,
}

impl VaultModel {
    pub(crate) fn new(scenario: VaultScenario, places: Places, broken: Option<VaultBroken>) -> Self {
        let rules = Rules {
            ownership: scenario.ownership,
            adopts_tagged: false,
            policy: Policy::Sync,
            stopped: Stopped::Remove,
            memory_seconds: MEMORY_SECONDS,
        };
        let minds = Minds::new(Knowledge::new(places, rules, None), broken);
        Self { scenario, minds, ends: HashMap::new() }
    }

    fn places(&self) -> &Places {
        &self.minds.codec.places
    }

    fn can(&self, state: &VaultState, fault: Fault) -> bool {
        state.faults_left > 0 && self.scenario.fault_kinds.contains(&fault)
    }

    fn lives(&self, state: &VaultState, actions: &mut Vec<VaultAction>) {
        let held = state.world.held_addresses();
        let first_unused = (0..ids(ADDRESSES)).find(|address| state.used & bit(*address) == 0);
        let is_free = |address: &u8| {
            held & bit(*address) == 0 && (state.used & bit(*address) != 0 || Some(*address) == first_unused)
        };
        for (group, kind) in &self.scenario.kinds {
            let group = *group;
            let mut push = |life| actions.push(VaultAction::Live { group, life });
            match (kind, state.world.group(group).life) {
                (EventKind::Create, Life::Absent)
                | (EventKind::Move, Life::Running(_))
                | (EventKind::Start, Life::Stopped) => {
                    (0..ids(ADDRESSES)).filter(is_free).for_each(|address| push(Life::Running(address)));
                }
                (EventKind::Stop, Life::Running(_)) => push(Life::Stopped),
                (EventKind::Delete, Life::Running(_) | Life::Stopped) => push(Life::Absent),
                (EventKind::Edit, _) => {
                    if let Some(secret) = state.secret.current {
                        let by_hand = SecretContent { value: ELSEWHERE, is_annotated: true, ..secret };
                        let unmarked = SecretContent { mark: Mark::None, ..by_hand };
                        actions.extend([by_hand, unmarked].map(VaultAction::EditSecret));
                    }
                }
                _ => {}
            }
        }
    }

    fn requests(&self, state: &VaultState, instance: usize, actions: &mut Vec<VaultAction>) {
        let one = &state.instances[instance];
        let (can_lose, can_lag) = (self.can(state, Fault::Lost), self.can(state, Fault::Stale));
        if self.can(state, Fault::Crash) {
            actions.push(VaultAction::Crash { instance });
        }
        let lost = |is_write: bool| {
            let lost = [false, true].into_iter().filter(move |happened| can_lose && (is_write || !happened));
            lost.map(|has_happened| How::Lost { has_happened })
        };
        if one.records != 0 {
            let records = self.minds.records(one.records);
            let group = self.minds.group(one.facts);
            for (index, request) in records.requests.iter().enumerate() {
                if one.answers[index] != 0 {
                    continue;
                }
                let mut push = |how| actions.push(VaultAction::Record { instance, index, how });
                push(How::Well);
                lost(matches!(request, Request::Write(_))).for_each(&mut push);
                if let (Request::Read(read), true) = (request, can_lag) {
                    for set in lagging(&state.world, group, *read) {
                        push(How::Stale(set));
                    }
                }
            }
        }
        if one.secret != 0 {
            let request = self.minds.secret(one.secret);
            let mut push = |how| actions.push(VaultAction::Secret { instance, how });
            push(How::Well);
            lost(matches!(*request, SecretRequest::Write { .. })).for_each(&mut push);
            let is_lagging = match &*request {
                SecretRequest::ReadSecret => state.secret.previous.is_some(),
                SecretRequest::ReadGroup(read) => {
                    !lagging(&state.world, self.minds.group(one.facts), *read).is_empty()
                }
                SecretRequest::Write { .. } => false,
            };
            if can_lag && is_lagging {
                push(How::Stale(0));
            }
        }
    }

    /// An undisturbed delivery to a fresh process, until it is acknowledged or old.
    fn deliver(&mut self, state: &VaultState, group: u8) -> (VaultState, Vec<String>, Outcome) {
        let mut lines = Vec::new();
        let mut state = *state;
        let mut outcome = Outcome::Acknowledged;
        for evidence in [Evidence::Absence, Evidence::Deletion] {
            let mut taking = Taking::new(self, state, true);
            taking.start(0, group, Events::one(evidence), evidence);
            while taking.state.instances[0].facts != 0 {
                let one = taking.state.instances[0];
                if one.records != 0 {
                    let index = one.answers.iter().position(|answer| *answer == 0).unwrap();
                    taking.record(0, index, How::Well, &mut lines);
                } else {
                    taking.secret(0, How::Well, &mut lines);
                }
            }
            let is_waiting = taking.state.waiting[usize::from(group)].total() > 0;
            let is_blocked = taking.state.blocked[usize::from(group)].total() > 0;
            state = VaultState {
                waiting: Default::default(),
                blocked: Default::default(),
                world: taking.state.world.settled(),
                ..taking.state
            };
            state.secret.previous = None;
            outcome = match (is_waiting, is_blocked) {
                (true, _) => Outcome::Unavailable,
                (_, true) => Outcome::Blocked,
                _ => Outcome::Acknowledged,
            };
            if outcome != Outcome::Unavailable {
                break;
            }
        }
        (state, lines, outcome)
    }

    /// What differs from what the live groups call for.
    fn problem(&self, state: &VaultState) -> Option<String> {
        let places = self.places();
        for group in 0..ids(GROUPS) {
            let Life::Running(address) = state.world.group(group).life else { continue };
            let set = a_set(places.own_name(group));
            let is_right = |content: super::world::Content| {
                content.values == bit(address) && content.mark == Mark::Group(group)
            };
            if state.world.lock == Lock::None && !state.world.set(set).is_some_and(is_right) {
                return Some(places.show(set, state.world.set(set)));
            }
            if self.scenario.is_vault_failing || self.is_secret_of_another(state, group) {
                continue;
            }
            let is_right =
                |secret: SecretContent| secret.value == address && secret.mark == Mark::Group(group);
            if !state.secret.current.is_some_and(is_right) {
                return Some(SecretContent::show(state.secret.current, places));
            }
        }
        let is_left = |name: &u8| {
            let set = state.world.set(a_set(*name));
            let mark = set.map(|set| set.mark);
            matches!(mark, Some(Mark::Group(owner)) if state.world.group(owner).life == Life::Absent)
        };
        let left = (0..ids(NAMES)).find(is_left).filter(|_| state.world.lock == Lock::None);
        left.map(|name| places.show(a_set(name), state.world.set(a_set(name))))
    }

    /// Whether the secret is not this group's to write.
    fn is_secret_of_another(&self, state: &VaultState, group: u8) -> bool {
        let Some(secret) = state.secret.current else {
            // Of two groups that want it, one has to have it.
            return (0..group).any(|other| matches!(state.world.group(other).life, Life::Running(_)));
        };
        match secret.mark {
            Mark::Group(owner) => owner != group && state.world.group(owner).life != Life::Absent,
            Mark::None => self.scenario.ownership == Ownership::Strict,
            Mark::Stranger => true,
        }
    }

    /// What is wrong with an end: as it is, and after one more delivery for each group, in either order.
    fn judge(&mut self, state: &VaultState) -> Vec<(Property, String)> {
        let mut problems: Vec<_> =
            self.problem(state).map(|text| (Property::Convergence, text)).into_iter().collect();
        for order in [[0, 1], [1, 0]] {
            let mut after = *state;
            for group in order {
                let (next, _, outcome) = self.deliver(&after, group);
                after = next;
                let runs = matches!(after.world.group(group).life, Life::Running(_));
                let must_fail =
                    runs && (self.scenario.is_vault_failing || self.is_secret_of_another(&after, group));
                if outcome != Outcome::Acknowledged && !must_fail && after.world.lock == Lock::None {
                    let name = self.places().group_name(group);
                    problems
                        .push((Property::Acknowledgement, format!("{name} is answered with {outcome:?}")));
                }
                if outcome == Outcome::Acknowledged && must_fail {
                    let name = self.places().group_name(group);
                    problems.push((Property::Loud, format!("the event of {name} is acknowledged")));
                }
            }
            problems.extend(self.problem(&after).map(|text| (Property::ConvergenceAfterRecheck, text)));
            for group in order {
                let (next, lines, _) = self.deliver(&after, group);
                after = next;
                // A moved address is forgotten later; that is no matter of secrets.
                if let Some(line) = lines.iter().find(|line| line.contains("secret")) {
                    problems.push((Property::Idempotence, format!("another delivery writes {line}")));
                }
            }
        }
        problems
    }
}

/// The record sets, or 0 for a group, of which a stale read shows something else.
fn lagging(world: &World, group: u8, read: Read) -> Vec<SetId> {
    let of_group =
        |group: u8| world.groups[usize::from(group)].previous.map(|_| 0).into_iter().collect::<Vec<SetId>>();
    let differs = |set: &SetId| world.sets[usize::from(*set)].previous.is_some();
    match read {
        Read::Group | Read::Confirmation => of_group(group),
        Read::Owner(Some(owner)) | Read::OwnerConfirmation(Some(owner)) => of_group(owner),
        Read::Set(set) => [set].into_iter().filter(differs).collect(),
        Read::AList => (0..ids(NAMES)).map(a_set).filter(differs).collect(),
        Read::Owner(None) | Read::OwnerConfirmation(None) | Read::PtrList => Vec::new(),
    }
}

impl Searched for VaultModel {
    type State = VaultState;
    type Action = VaultAction;

    fn starts(&self) -> Vec<VaultState> {
        let state = |(world, secret, waiting): &(World, Option<SecretContent>, Mask)| VaultState {
            world: *world,
            secret: Versions { current: *secret, previous: None },
            waiting: [0, 1].map(|group| Events([u8::from(waiting & bit(group) != 0), 0, 0])),
            changes: u8::try_from(waiting.count_ones()).unwrap(),
            events_left: self.scenario.events,
            faults_left: self.scenario.faults,
            used: world.held_addresses(),
            ..VaultState::default()
        };
        self.scenario.starts.iter().map(|start| self.canonical(state(start)).0).collect()
    }

    fn actions(&mut self, state: &VaultState, actions: &mut Vec<VaultAction>) {
        actions.clear();
        if state.events_left > 0 {
            self.lives(state, actions);
        }
        for (instance, one) in state.instances.iter().enumerate() {
            if one.facts != 0 {
                self.requests(state, instance, actions);
            } else if instance == 0 || state.instances[0].facts != 0 {
                for group in 0..ids(GROUPS) {
                    let events = state.waiting[usize::from(group)];
                    let is_absent = state.world.group(group).life == Life::Absent;
                    let ages = [false, true].into_iter().filter(|is_old| !is_old || is_absent);
                    let mut push = |events: Events| {
                        let old = ages.clone().filter(|is_old| !is_old || events.0[2] == 0);
                        let deliver = |is_old| VaultAction::Deliver { instance, group, events, is_old };
                        actions.extend(old.map(deliver));
                    };
                    if events.total() > 0 {
                        push(events);
                    }
                    if events.total() > 1 {
                        let kinds = EVIDENCE.into_iter().zip(events.0).filter(|(_, count)| *count > 0);
                        kinds.for_each(|(kind, _)| push(Events::one(kind)));
                    }
                    if state.blocked[usize::from(group)].total() > 0 {
                        actions.push(VaultAction::Redeliver { instance, group });
                    }
                }
            }
        }
    }

    fn take(step: &mut Taking<'_>, action: VaultAction) {
        step.take(action);
    }

    fn canonical(&self, mut state: VaultState) -> (VaultState, bool) {
        if !self.can(&state, Fault::Stale) {
            state.world = state.world.settled();
            state.secret.previous = None;
            state.instances.iter_mut().flat_map(|one| &mut one.labels).for_each(Labels::settle);
        }
        let is_swapped = state.instances[0] > state.instances[1];
        if is_swapped {
            state.instances.swap(0, 1);
        }
        (state, is_swapped)
    }

    fn judge_end(&mut self, state: &VaultState) -> Vec<Finding> {
        if state.instances.iter().any(|one| one.facts != 0) {
            return Vec::new();
        }
        let waits = state.waiting.iter().chain(&state.blocked).any(|events| events.total() > 0);
        let settled = VaultState { world: state.world.settled(), ..VaultState::default() };
        let secret = Versions { current: state.secret.current, previous: None };
        let settled = VaultState { secret, ..settled };
        let key = (settled.world, secret.current);
        if !self.ends.contains_key(&key) {
            let problems = self.judge(&settled);
            self.ends.insert(key, problems);
        }
        let problems = self.ends[&key].iter();
        let found = problems.filter(|(property, _)| !(waits && *property == Property::Convergence));
        let judged = found.map(|(property, text)| Finding {
            property: *property,
            excuse: (*property == Property::Convergence && state.past.has(Past::STALE))
                .then_some(Excuse::Stale),
            text: text.clone(),
        });
        judged.collect()
    }

    fn instance_of(action: VaultAction) -> Option<usize> {
        match action {
            VaultAction::Live { .. } | VaultAction::EditSecret(_) => None,
            VaultAction::Deliver { instance, .. }
            | VaultAction::Redeliver { instance, .. }
            | VaultAction::Record { instance, .. }
            | VaultAction::Secret { instance, .. }
            | VaultAction::Crash { instance } => Some(instance),
        }
    }

    fn show(&self, state: &VaultState) -> Vec<String> {
        let sets = (0..ids(SETS)).filter(|set| state.world.set(*set).is_some());
        let sets = sets.map(|set| self.places().show(set, state.world.set(set)));
        sets.chain([SecretContent::show(state.secret.current, self.places())]).collect()
    }
}

/// A step in progress.
type Taking<'a> = search::Taking<'a, VaultModel>;
