//! States and steps of the model of secrets: two groups of two forward zones that want one secret, two instances, faults.
//!
//! What is judged: a secret of others stays; none is taken from another group after a single read; tags of others stay;
//! the number of versions is bounded by the number of changes; at the end record sets, value and owner are right, unless
//! the vault or the zone fails, and then the other of the two is right all the same.

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
    search::{Next, Searched},
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
            let mut taking = Taking { model: self, state, finding: None, story: Some(String::new()) };
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

    fn apply(&mut self, state: &VaultState, action: VaultAction, is_told: bool) -> Next<VaultState> {
        let story = is_told.then(String::new);
        let mut taking = Taking { model: self, state: *state, finding: None, story };
        taking.take(action);
        let Taking { state, finding, story, .. } = taking;
        let (state, is_swapped) = self.canonical(state);
        Next { state, finding, story: story.unwrap_or_default(), is_swapped }
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

/// A step under way.
struct Taking<'a> {
    model: &'a mut VaultModel,
    state: VaultState,
    finding: Option<Finding>,
    story: Option<String>,
}

impl Taking<'_> {
    fn tell(&mut self, text: impl FnOnce(&Places) -> String) {
        if let Some(story) = &mut self.story {
            *story += &text(self.model.places());
        }
    }

    fn find(&mut self, property: Property, excuse: Option<Excuse>, text: String) {
        self.finding.get_or_insert(Finding { property, excuse, text });
    }

    fn take(&mut self, action: VaultAction) {
        match action {
            VaultAction::Live { group, life } => self.live(group, life),
            VaultAction::EditSecret(content) => {
                self.change();
                self.state.secret.replace(Some(content));
                for group in 0..ids(GROUPS) {
                    if self.state.world.group(group).life != Life::Absent {
                        self.state.waiting[usize::from(group)].add(Events::one(Evidence::None));
                    }
                }
                self.tell(|places| format!("a person edits: {}", SecretContent::show(Some(content), places)));
            }
            VaultAction::Deliver { instance, group, events, is_old } => {
                self.state.waiting[usize::from(group)].remove(events);
                let kind = EVIDENCE.into_iter().zip(events.0).rfind(|(_, count)| *count > 0).unwrap().0;
                let evidence = if is_old { Evidence::Deletion } else { kind };
                self.tell(|places| {
                    format!("is given events of {} (a 404 proves: {evidence:?})", places.group_name(group))
                });
                self.start(instance, group, events, evidence);
            }
            VaultAction::Redeliver { instance, group } => {
                let events = std::mem::take(&mut self.state.blocked[usize::from(group)]);
                self.tell(|places| format!("is given {} again", places.group_name(group)));
                let kind = EVIDENCE.into_iter().zip(events.0).rfind(|(_, count)| *count > 0).unwrap().0;
                self.start(instance, group, events, kind);
            }
            VaultAction::Record { instance, index, how } => {
                self.note_fault(how);
                self.record(instance, index, how, &mut Vec::new());
            }
            VaultAction::Secret { instance, how } => {
                self.note_fault(how);
                self.secret(instance, how, &mut Vec::new());
            }
            VaultAction::Crash { instance } => {
                self.state.faults_left -= 1;
                let one = std::mem::take(&mut self.state.instances[instance]);
                self.state.waiting[usize::from(one.origin)].add(one.events);
                self.tell(|_| "is killed".to_owned());
            }
        }
    }

    fn note_fault(&mut self, how: How) {
        if how != How::Well {
            self.state.faults_left -= 1;
        }
        if matches!(how, How::Stale(_)) {
            self.state.past.add(Past::STALE);
        }
    }

    fn change(&mut self) {
        self.state.events_left -= 1;
        self.state.changes += 1;
    }

    fn live(&mut self, group: u8, life: Life) {
        self.change();
        let is_deleted = life == Life::Absent;
        let state = &mut self.state;
        let this = &mut state.world.groups[usize::from(group)];
        this.replace(Group { life, ..this.current });
        if let Life::Running(address) = life {
            state.used |= bit(address);
        }
        let evidence = if is_deleted { Evidence::Deletion } else { Evidence::None };
        state.waiting[usize::from(group)].add(Events::one(evidence));
        let now = state.world.group(group);
        self.tell(|places| format!("now {}: {}", places.group_name(group), Places::show_group(now)));
    }

    fn start(&mut self, instance: usize, group: u8, events: Events, evidence: Evidence) {
        let facts = self.model.minds.start(Places::goal_id(group, evidence));
        self.state.instances[instance] =
            VaultInstance { facts, origin: group, events, ..VaultInstance::default() };
        self.go_on(instance);
    }

    /// Starts what comes next in each lane, or ends the run.
    fn go_on(&mut self, instance: usize) {
        let one = self.state.instances[instance];
        let settled = self.model.minds.settle(one.facts, one.records != 0, one.secret != 0);
        let deleted = self.model.minds.get(settled.facts).deleted;
        let one = &mut self.state.instances[instance];
        one.facts = settled.facts;
        one.records = one.records.max(settled.records);
        one.secret = one.secret.max(settled.secret);
        if settled.is_new_pass {
            one.labels.iter_mut().zip(deleted).for_each(|(labels, deleted)| labels.keep(deleted));
        }
        let Some((outcome, text)) = settled.end else { return };
        let (group, events) = (usize::from(one.origin), one.events);
        *one = VaultInstance::default();
        match outcome {
            Outcome::Acknowledged => {}
            Outcome::Blocked => self.state.blocked[group].add(events),
            Outcome::Unavailable => self.state.waiting[group].add(events),
        }
        self.tell(|_| format!("; {outcome:?}: {text}"));
    }

    /// Azure carries out a request about record sets.
    fn record(&mut self, instance: usize, index: usize, how: How, lines: &mut Vec<String>) {
        let one = self.state.instances[instance];
        let records = self.model.minds.records(one.records);
        let answer = match &records.requests[index] {
            Request::Read(read) => self.read(instance, *read, how),
            Request::Write(write) => {
                lines.push(write.line.clone());
                self.write(instance, write, how)
            }
        };
        let is_failed = matches!(answer, Answer::Failed(_));
        let mut answers = self.state.instances[instance].answers;
        answers[index] = self.model.minds.codec.answer_id(answer);
        if matches!(&records.requests[index], Request::Read(read) if is_failed && read.is_required()) {
            let given_up = self.model.minds.codec.answer_id(Answer::GivenUp);
            for (answer, request) in answers.iter_mut().zip(&records.requests) {
                if *answer == 0 && matches!(request, Request::Read(_)) {
                    *answer = given_up;
                }
            }
        }
        self.state.instances[instance].answers = answers;
        if answers.iter().take(records.requests.len()).any(|answer| *answer == 0) {
            return;
        }
        let facts = self.model.minds.learn_records(one.facts, one.records, answers);
        let one = &mut self.state.instances[instance];
        (one.facts, one.records, one.answers) = (facts, 0, Default::default());
        self.go_on(instance);
    }

    fn read(&mut self, instance: usize, read: Read, how: How) -> Answer {
        let group = self.model.minds.group(self.state.instances[instance].facts);
        let answer = match (read, how) {
            (_, How::Lost { .. }) => Answer::Failed(FailureKind::Transient),
            (Read::Group | Read::Confirmation, _) => Answer::Group(self.group(instance, group, how, false)),
            (Read::Owner(Some(owner)), _) => Answer::Group(self.group(instance, owner, how, false)),
            (Read::OwnerConfirmation(Some(owner)), _) => {
                Answer::Group(self.group(instance, owner, how, true))
            }
            (Read::Owner(None) | Read::OwnerConfirmation(None), _) => Answer::Failed(FailureKind::Forbidden),
            (Read::Set(set), _) => Answer::Set(self.versioned(instance, set, how)),
            (Read::AList, _) => {
                let names = (0..ids(NAMES)).filter(|name| self.model.places().is_in_zone_of(group, *name));
                let sets: Vec<SetId> = names.map(a_set).collect();
                let listed = sets.into_iter().filter_map(|set| {
                    let (content, label) = self.versioned(instance, set, how)?;
                    Some((set, content, label))
                });
                Answer::List(listed.collect())
            }
            (Read::PtrList, _) => unreachable!("there is no reverse zone"),
        };
        let stale = if matches!(how, How::Stale(_)) { " (stale)" } else { "" };
        self.tell(|places| format!("reads {}{stale}", show_read(places, group, read, &answer)));
        answer
    }

    fn group(&mut self, instance: usize, group: u8, how: How, is_confirmation: bool) -> Group {
        let seen = self.state.world.groups[usize::from(group)];
        if is_confirmation {
            self.state.instances[instance].was_owner_deleted = seen.current.life == Life::Absent;
        }
        if matches!(how, How::Stale(_)) { seen.previous.unwrap_or(seen.current) } else { seen.current }
    }

    fn versioned(&mut self, instance: usize, set: SetId, how: How) -> Option<(super::world::Content, u8)> {
        let versions = self.state.world.sets[usize::from(set)];
        let (content, version) = if how == How::Stale(set) {
            (versions.previous.unwrap(), Version::Previous)
        } else {
            (versions.current, Version::Current)
        };
        let labels = &mut self.state.instances[instance].labels[usize::from(set)];
        content.map(|content| (content, labels.of(version)))
    }

    fn write(&mut self, instance: usize, write: &Write, how: How) -> Answer {
        self.tell(|_| format!("sends {}", write.line));
        if how == (How::Lost { has_happened: false }) {
            return Answer::Failed(FailureKind::Uncertain);
        }
        let labels = self.state.instances[instance].labels[usize::from(write.set)];
        let before = self.state.world.set(write.set);
        let is_met = match write.label {
            None => before.is_none(),
            Some(label) => before.is_some() && labels.get(label) == Version::Current,
        };
        let answer = if self.state.world.lock != Lock::None {
            Answer::Failed(FailureKind::Refused)
        } else if !is_met {
            Answer::Failed(FailureKind::Race)
        } else {
            self.state.world.put(write.set, write.after);
            for one in &mut self.state.instances {
                one.labels[usize::from(write.set)].outdate();
            }
            let labels = &mut self.state.instances[instance].labels[usize::from(write.set)];
            Answer::Written(write.after.map(|_| labels.of(Version::Current)))
        };
        if matches!(how, How::Lost { .. }) { Answer::Failed(FailureKind::Uncertain) } else { answer }
    }

    /// The vault, or Azure, carries out a request of the secret's lane.
    fn secret(&mut self, instance: usize, how: How, lines: &mut Vec<String>) {
        let one = self.state.instances[instance];
        let request = self.model.minds.secret(one.secret);
        let is_refused = self.model.scenario.is_vault_failing;
        let answer = match &*request {
            SecretRequest::ReadGroup(read) => match self.read(instance, *read, how) {
                Answer::Group(group) => SecretAnswer::Group(group),
                Answer::Failed(kind) => SecretAnswer::Failed(kind),
                other => unreachable!("a group is read: {other:?}"),
            },
            _ if is_refused => SecretAnswer::Failed(FailureKind::Forbidden),
            SecretRequest::ReadSecret => {
                let versions = self.state.secret;
                let seen = if matches!(how, How::Stale(_)) { versions.previous } else { None };
                let seen = seen.unwrap_or(versions.current);
                self.tell(|places| format!("reads {}", SecretContent::show(seen, places)));
                self.state.instances[instance].seen = seen;
                match how {
                    How::Lost { .. } => SecretAnswer::Failed(FailureKind::Transient),
                    _ => SecretAnswer::Secret(seen),
                }
            }
            SecretRequest::Write { before, after, line } => {
                lines.push(line.clone());
                self.tell(|_| format!("sends {line}"));
                if how != (How::Lost { has_happened: false }) {
                    self.publish(instance, *before, *after);
                }
                match how {
                    How::Lost { .. } => SecretAnswer::Failed(FailureKind::Uncertain),
                    _ => SecretAnswer::Written,
                }
            }
        };
        let one = self.state.instances[instance];
        let facts = self.model.minds.learn_secret(one.facts, one.secret, answer);
        let one = &mut self.state.instances[instance];
        (one.facts, one.secret) = (facts, 0);
        self.go_on(instance);
    }

    /// A new version of the secret.
    fn publish(&mut self, instance: usize, before: Option<SecretContent>, after: SecretContent) {
        let group = self.model.minds.group(self.state.instances[instance].facts);
        let truth = self.state.secret.current;
        let text = {
            let places = self.model.places();
            format!(
                "{} becomes {}",
                SecretContent::show(truth, places),
                SecretContent::show(Some(after), places)
            )
        };
        if before.is_some_and(|before| before.is_annotated && !after.is_annotated) {
            self.find(Property::Isolation, None, format!("a tag of others goes: {text}"));
        }
        // There is no conditional write: what was read counts.
        if self.state.instances[instance].seen == truth {
            match truth.map(|truth| truth.mark) {
                Some(Mark::None) if self.model.scenario.ownership == Ownership::Strict => {
                    self.find(
                        Property::Isolation,
                        None,
                        format!("a secret without a mark is written: {text}"),
                    );
                }
                Some(Mark::Stranger) => {
                    self.find(
                        Property::Isolation,
                        None,
                        format!("a secret of another owner is written: {text}"),
                    );
                }
                Some(Mark::Group(owner))
                    if owner != group && self.state.world.group(owner).life != Life::Absent =>
                {
                    let was_deleted = self.state.instances[instance].was_owner_deleted;
                    let excuse = was_deleted.then_some(Excuse::CameBack);
                    self.find(
                        Property::Evidence,
                        excuse,
                        format!("a secret is taken from its owner: {text}"),
                    );
                }
                _ => {}
            }
        }
        self.state.secret.replace(Some(after));
        self.state.versions += 1;
        let faults = self.model.scenario.faults - self.state.faults_left;
        let most = VERSIONS_PER_CHANGE * (self.state.changes + faults);
        if self.state.changes > 0 && self.state.versions > most {
            let text = format!("{} versions after {} changes", self.state.versions, self.state.changes);
            self.find(Property::FewVersions, None, text);
        }
    }
}
