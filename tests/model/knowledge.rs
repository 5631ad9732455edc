//! What instances know, and what they do next: [`Facts`] and [`decide`], each asked once for the same facts.
//!
//! [`decide`] is pure, so equal facts have equal decisions. Facts are kept once and go by a number; what an answer
//! makes of them is kept, too. A state of the model then holds numbers, and a search costs little more than looking
//! them up.
//!
//! ETags: facts compare them only with each other, and a write compares one with the record set's. So what an
//! instance reads carries a *label*: the position of the version among those that the pass has read, or that the run
//! has deleted. The state says which labels are still the current version.

use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasherDefault,
    rc::Rc,
    time::Duration,
};

use aci_dns::{
    decide::{
        Decision, Fact, Facts, Goal, Key, Observation, OwnerObservation, PlanError, Rules, RunState, Step,
        Verdict, WriteResult, change::Change,
    },
    domain::{
        dns::{ETag, Owner, Precondition},
        failure::FailureKind,
    },
};

use super::{
    broken::Broken,
    hash::Mixer,
    world::{Content, GoalId, Group, Mask, NOW, Places, SETS, SetId, a_set, bit, ptr_set},
};

/// How many requests one step sends at most.
pub(crate) const REQUESTS: usize = 10;

/// How long an invocation waits for an address: long enough to ask twice.
pub(crate) const WAIT: Duration = Duration::from_millis(900);

/// The position of a version among those of one record set that a pass has read.
pub(crate) type Label = u8;

/// Numbers facts. No facts have the number 0.
pub(crate) type FactsId = u32;

/// Stands for the facts of a run that is over, while its message is stored.
pub(crate) const ENDING: FactsId = FactsId::MAX;

/// Numbers answers. No answer has the number 0.
pub(crate) type AnswerId = u16;

/// An answer of the model's Azure.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Answer {
    /// A container group: the own one, or one that a mark names.
    Group(Group),
    /// A record set.
    Set(Option<(Content, Label)>),
    /// Record sets.
    List(Vec<(SetId, Content, Label)>),
    /// A write happened; the new version, where the record set still exists.
    Written(Option<Label>),
    /// A request failed.
    Failed(FailureKind),
    /// The request was given up, because another one failed.
    GivenUp,
}

/// One request of a step.
#[derive(Clone, Debug)]
pub(crate) enum Request {
    /// Writes a record set.
    Write(Write),
    /// Reads something.
    Read(Read),
}

/// A write.
#[derive(Clone, Debug)]
pub(crate) struct Write {
    /// Which record set.
    pub(crate) set: SetId,
    /// The version that it must have; without one, it must not exist.
    pub(crate) label: Option<Label>,
    /// What it becomes; nothing when it is deleted.
    pub(crate) after: Option<Content>,
    /// How a plan shows it.
    pub(crate) line: String,
}

/// A read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Read {
    /// The container group.
    Group,
    /// The container group once more, three seconds later.
    Confirmation,
    /// A record set.
    Set(SetId),
    /// The group that a mark names; nothing: one that this identity cannot read.
    Owner(Option<u8>),
    /// That group once more, three seconds later.
    OwnerConfirmation(Option<u8>),
    /// All PTR record sets.
    PtrList,
    /// All A record sets of the forward zone.
    AList,
}

impl Read {
    /// Whether nothing can be decided without the answer.
    pub(crate) fn is_required(self) -> bool {
        match self {
            Self::PtrList => false,
            Self::Set(set) => set < ptr_set(0),
            _ => true,
        }
    }
}

/// What comes next.
#[derive(Clone, Debug)]
pub(crate) enum Plan {
    /// These requests, in flight together. Writes come first.
    Act(Vec<Request>),
    /// Nothing: the run is over.
    Done(End),
}

/// How a run ended.
#[derive(Clone, Debug)]
pub(crate) struct End {
    /// What its events are answered with.
    pub(crate) outcome: Outcome,
    /// The groups that the invocation looks at next, because it took PTR records from them and gave them up.
    pub(crate) given_up: Mask,
    /// How long the invocation may still wait.
    pub(crate) wait_left: Duration,
    /// What it says.
    pub(crate) text: String,
}

/// What an event is answered with: the most severe last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Outcome {
    /// 200.
    #[default]
    Acknowledged,
    /// 409 or 500: redelivery alone does not help.
    Blocked,
    /// 503: redelivery will do.
    Unavailable,
}

/// Facts that came to rest: the next step needs Azure, or there is none.
#[derive(Debug)]
pub(crate) struct Known {
    /// What the run is for.
    pub(crate) goal: GoalId,
    /// What comes next.
    pub(crate) plan: Rc<Plan>,
    /// The labels of the versions that the run deleted, by record set.
    pub(crate) deleted: [Mask; SETS],
    facts: Rc<Facts>,
    changes: Vec<Change>,
    reads: Vec<Key>,
    /// Why requests of this pass failed.
    failures: BTreeMap<Key, FailureKind>,
    /// The group as it was read last.
    seen: Option<Observation>,
}

/// What a run saw, beside its facts.
#[derive(Clone, Debug, Default)]
struct Seen {
    /// Why requests failed.
    failures: BTreeMap<Key, FailureKind>,
    /// The group as it was read last.
    group: Option<Observation>,
    /// The labels of the versions that it deleted, by record set.
    deleted: [Mask; SETS],
}

/// Facts after something was learned.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Learned {
    /// The facts.
    pub(crate) id: FactsId,
    /// Whether another pass began, so that what was read before is forgotten.
    pub(crate) is_new_pass: bool,
}

/// The answers to the requests of one step, as few numbers.
pub(crate) type Packed = (u64, u64, u64);

/// Packs answers.
pub(crate) fn pack(answers: [AnswerId; REQUESTS]) -> Packed {
    let join = |part: &[AnswerId]| part.iter().fold(0, |all, answer| all << 16 | u64::from(*answer));
    (join(&answers[..4]), join(&answers[4..8]), join(&answers[8..]))
}

/// Hashes are most of the work.
type Fast = BuildHasherDefault<Mixer>;

/// All facts that were met.
#[derive(Debug)]
pub(crate) struct Knowledge {
    /// What the small values stand for.
    pub(crate) places: Places,
    /// The rules under test.
    pub(crate) rules: Rules,
    /// Which rule is broken on purpose.
    pub(crate) broken: Option<Broken>,
    known: Vec<Known>,
    ids: HashMap<(GoalId, Rc<Facts>), FactsId, Fast>,
    answers: Vec<Answer>,
    answer_ids: HashMap<Answer, AnswerId, Fast>,
    learned: HashMap<(FactsId, Packed), Learned, Fast>,
    started: HashMap<(GoalId, Duration), Learned>,
}

impl Knowledge {
    /// Nothing is known.
    pub(crate) fn new(places: Places, rules: Rules, broken: Option<Broken>) -> Self {
        Self {
            places,
            rules,
            broken,
            known: Vec::new(),
            ids: HashMap::default(),
            answers: Vec::new(),
            answer_ids: HashMap::default(),
            learned: HashMap::default(),
            started: HashMap::new(),
        }
    }

    /// Facts by their number.
    pub(crate) fn get(&self, id: FactsId) -> &Known {
        &self.known[usize::try_from(id).unwrap() - 1]
    }

    /// What comes next.
    pub(crate) fn plan(&self, id: FactsId) -> Rc<Plan> {
        Rc::clone(&self.get(id).plan)
    }

    /// The number of an answer.
    pub(crate) fn answer_id(&mut self, answer: Answer) -> AnswerId {
        if let Some(id) = self.answer_ids.get(&answer) {
            return *id;
        }
        self.answers.push(answer.clone());
        let id = AnswerId::try_from(self.answers.len()).unwrap();
        self.answer_ids.insert(answer, id);
        id
    }

    /// An answer by its number.
    pub(crate) fn answer(&self, id: AnswerId) -> &Answer {
        &self.answers[usize::from(id) - 1]
    }

    /// The start of a run.
    pub(crate) fn start(&mut self, goal: GoalId, wait: Duration) -> Learned {
        if let Some(learned) = self.started.get(&(goal, wait)) {
            return *learned;
        }
        let mut facts = Facts::new(RunState::new(wait));
        facts.now = self.broken.map_or(NOW, Broken::now);
        let learned = self.settle(goal, facts, Seen::default());
        self.started.insert((goal, wait), learned);
        learned
    }

    /// Learns the answers to all requests of a step, as the driver does.
    pub(crate) fn learn(&mut self, id: FactsId, answers: [AnswerId; REQUESTS]) -> Learned {
        let packed = pack(answers);
        if let Some(learned) = self.learned.get(&(id, packed)) {
            return *learned;
        }
        let known = self.get(id);
        let goal = self.places.goal(known.goal);
        let mut facts = Facts::clone(&known.facts);
        let mut deleted = known.deleted;
        let (mut failures, mut seen) = (known.failures.clone(), known.seen.clone());
        let mut note = |key: &Key, kind| _ = failures.insert(key.clone(), kind);
        let (written, read) = answers.split_at(known.changes.len());
        for (change, answer) in known.changes.iter().zip(written) {
            let write = self.write(goal, change);
            let result = match self.answer(*answer) {
                Answer::Written(label) => {
                    let version = write.label.filter(|_| change.is_deletion());
                    deleted[usize::from(write.set)] |= version.map_or(0, bit);
                    WriteResult::Written(label.map(|label| etag(write.set, label)))
                }
                Answer::Failed(kind) => {
                    goal.key_of(change).iter().for_each(|key| note(key, *kind));
                    WriteResult::Failed(*kind)
                }
                other => panic!("a write is answered with {other:?}"),
            };
            facts.learn_write(goal, change, result);
        }
        let answered = known.reads.iter().zip(read.iter().map(|answer| self.answer(*answer)));
        let is_fatal =
            |(key, answer): &(&Key, &Answer)| key.is_required() && matches!(answer, Answer::Failed(_));
        let fatal = answered.clone().find(is_fatal);
        for (key, answer) in fatal.map_or_else(|| answered.collect(), |fatal| vec![fatal]) {
            if let Answer::Failed(kind) = answer {
                note(key, *kind);
            }
            let fact = self.fact(goal, key, answer);
            if let Fact::Group(Ok(observation)) = &fact {
                seen = Some(observation.clone());
            }
            facts.learn(Broken::learns_fact(self.broken, fact, seen.as_ref()));
        }
        let learned = self.settle(known.goal, facts, Seen { failures, group: seen, deleted });
        self.learned.insert((id, packed), learned);
        learned
    }

    pub(crate) fn fact(&self, goal: &Goal, key: &Key, answer: &Answer) -> Fact {
        let places = &self.places;
        let failed = if let Answer::Failed(kind) = answer { Some(*kind) } else { None };
        let a = |set, content: &Content, label| places.a_record_set(*content, etag(set, label));
        let ptr = |set, content: &Content, label| places.ptr_record_set(*content, etag(set, label));
        let group = places.owner_index(&goal.owner).unwrap();
        match (key, answer) {
            (Key::Group, Answer::Group(group)) => Fact::Group(Ok(observation(goal, *group))),
            (Key::Group, _) => Fact::Group(Err(failed.unwrap())),
            (Key::Confirmation, Answer::Group(group)) => Fact::Confirmation(Ok(observation(goal, *group))),
            (Key::Confirmation, _) => Fact::Confirmation(Err(failed.unwrap())),
            (Key::A(name), Answer::Set(set)) => {
                let id = self.set(group, key);
                Fact::A(name.clone(), Ok(set.map(|(content, label)| a(id, &content, label))))
            }
            (Key::A(name), _) => Fact::A(name.clone(), Err(failed.unwrap())),
            (Key::Ptr(ptr_key), Answer::Set(set)) => {
                let id = self.set(group, key);
                Fact::Ptr(ptr_key.clone(), Ok(set.map(|(content, label)| ptr(id, &content, label))))
            }
            (Key::Ptr(key), _) => Fact::Ptr(key.clone(), Err(failed.unwrap())),
            (Key::Owner(owner), Answer::Group(group)) => {
                Fact::Owner(owner.clone(), Ok(owner_observation(goal, owner, *group)))
            }
            (Key::Owner(owner), _) => Fact::Owner(owner.clone(), Err(failed.unwrap())),
            (Key::OwnerConfirmation(owner), Answer::Group(group)) => {
                Fact::OwnerConfirmation(owner.clone(), Ok(owner_observation(goal, owner, *group)))
            }
            (Key::OwnerConfirmation(owner), _) => {
                Fact::OwnerConfirmation(owner.clone(), Err(failed.unwrap()))
            }
            (Key::PtrList(zone), Answer::List(sets)) => {
                let keyed = sets.iter().map(|(set, content, label)| {
                    (places.ptr_key(*set - ptr_set(0)), ptr(*set, content, *label))
                });
                Fact::PtrList(*zone, Ok(keyed.collect()))
            }
            (Key::PtrList(zone), _) => Fact::PtrList(*zone, Err(failed.unwrap())),
            (Key::AList, Answer::List(sets)) => {
                let named = sets
                    .iter()
                    .map(|(set, content, label)| (places.name(*set).clone(), a(*set, content, *label)));
                Fact::AList(Ok(named.collect()))
            }
            (Key::AList, _) => Fact::AList(Err(failed.unwrap())),
            (Key::Cname(_), _) => panic!("there are no CNAME records"),
        }
    }

    /// Decides until Azure is needed, or nothing is left to do.
    fn settle(&mut self, goal_id: GoalId, mut facts: Facts, seen: Seen) -> Learned {
        let goal = self.places.goal(Broken::pursues(self.broken, goal_id));
        let mut is_new_pass = false;
        loop {
            let decision = Broken::decide(self.broken, self.rules, goal, &facts);
            match &decision.step {
                Step::Verify => Broken::begin_verification(self.broken, &mut facts, seen.group.clone()),
                Step::Poll => _ = facts.begin_poll(goal),
                Step::Repeat => {
                    Broken::begin_pass(self.broken, &mut facts, seen.group.clone());
                    is_new_pass = true;
                }
                Step::Act { write, .. } => {
                    facts.expect_writes(goal, write);
                    break Learned { id: self.keep(goal_id, facts, &decision, seen), is_new_pass };
                }
                Step::Done(_) => {
                    break Learned { id: self.keep(goal_id, facts, &decision, seen), is_new_pass };
                }
            }
        }
    }

    fn keep(&mut self, goal_id: GoalId, facts: Facts, decision: &Decision, seen: Seen) -> FactsId {
        let facts = Rc::new(facts);
        if let Some(id) = self.ids.get(&(goal_id, Rc::clone(&facts))) {
            return *id;
        }
        let goal = self.places.goal(goal_id);
        let group = Places::group_of(goal_id);
        let (mut changes, mut reads) = (Vec::new(), Vec::new());
        let plan = match &decision.step {
            Step::Act { read, write } => {
                (changes, reads) = (write.clone(), read.clone());
                let writes = write.iter().map(|change| Request::Write(self.write(goal, change)));
                let requests: Vec<_> =
                    writes.chain(read.iter().map(|key| Request::Read(self.read(group, key)))).collect();
                assert!((1..=REQUESTS).contains(&requests.len()), "{requests:?}");
                Plan::Act(requests)
            }
            Step::Done(verdict) => {
                let address = decision.target.as_ref().and_then(|target| target.address);
                let given_up = facts.run.given_up(address).filter_map(|owner| self.places.owner_index(owner));
                Plan::Done(End {
                    outcome: outcome(verdict, &seen.failures),
                    given_up: given_up.fold(0, |all, group| all | bit(group)),
                    wait_left: facts.run.wait_left(),
                    text: format!("{verdict:?}"),
                })
            }
            Step::Poll | Step::Verify | Step::Repeat => unreachable!("these need no answer"),
        };
        self.known.push(Known {
            goal: goal_id,
            plan: Rc::new(plan),
            facts: Rc::clone(&facts),
            changes,
            reads,
            deleted: seen.deleted,
            failures: seen.failures,
            seen: seen.group,
        });
        let id = FactsId::try_from(self.known.len()).unwrap();
        self.ids.insert((goal_id, facts), id);
        id
    }

    pub(crate) fn write(&self, goal: &Goal, change: &Change) -> Write {
        let (precondition, after) = match change {
            Change::A(edit) => {
                (edit.precondition(), edit.after.as_ref().map(|after| self.places.of_a(after)))
            }
            Change::Ptr(edit) => {
                (edit.precondition(), edit.after.as_ref().map(|after| self.places.of_ptr(after)))
            }
        };
        let group = self.places.owner_index(&goal.owner).unwrap();
        let set = self.set(group, &goal.key_of(change).unwrap());
        let label = match precondition {
            Precondition::Absent => None,
            Precondition::Unchanged(etag) => Some(etag.as_str().split_once('.').unwrap().1.parse().unwrap()),
        };
        Write { set, label, after, line: change.to_string() }
    }

    pub(crate) fn read(&self, group: u8, key: &Key) -> Read {
        match key {
            Key::Group => Read::Group,
            Key::Confirmation => Read::Confirmation,
            Key::A(_) | Key::Ptr(_) => Read::Set(self.set(group, key)),
            Key::Owner(owner) => Read::Owner(self.places.owner_index(owner)),
            Key::OwnerConfirmation(owner) => Read::OwnerConfirmation(self.places.owner_index(owner)),
            Key::Cname(_) => panic!("there are no CNAME records"),
            Key::PtrList(_) => Read::PtrList,
            Key::AList => Read::AList,
        }
    }

    fn set(&self, group: u8, key: &Key) -> SetId {
        match key {
            Key::A(name) => a_set(self.places.name_index(group, name)),
            Key::Ptr(key) => ptr_set(Places::address_index(key.address.unwrap())),
            other => panic!("{other:?} is no record set"),
        }
    }
}

fn observation(goal: &Goal, group: Group) -> Observation {
    Observation::of(goal, Places::container_group(group).as_ref())
}

fn owner_observation(goal: &Goal, owner: &Owner, group: Group) -> OwnerObservation {
    let id = owner.container_group().unwrap();
    OwnerObservation::of(goal, &id, Places::container_group(group).as_ref())
}

/// No two record sets have the same.
fn etag(set: SetId, label: Label) -> ETag {
    ETag::from(format!("{set}.{label}"))
}

/// What an event is answered with, as `ReconcileError::outcome` has it.
pub(crate) fn outcome(verdict: &Verdict, failures: &BTreeMap<Key, FailureKind>) -> Outcome {
    let Verdict::Failed(error) = verdict else { return Outcome::Acknowledged };
    match error {
        PlanError::Tag(_)
        | PlanError::Conflict(_)
        | PlanError::PtrConflict(_)
        | PlanError::AddressRefused { .. }
        | PlanError::NoReverseZone { .. } => Outcome::Blocked,
        PlanError::HolderPending(_)
        | PlanError::AddressPending
        | PlanError::Deleting
        | PlanError::NotVisible
        | PlanError::LostRaces => Outcome::Unavailable,
        PlanError::Request(key) => match failures.get(key) {
            Some(FailureKind::Forbidden | FailureKind::Missing | FailureKind::Refused) => Outcome::Blocked,
            Some(
                FailureKind::Race | FailureKind::Uncertain | FailureKind::Transient | FailureKind::Clash,
            )
            | None => Outcome::Unavailable,
        },
    }
}
