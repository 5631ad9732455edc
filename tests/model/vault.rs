//! The secret of a group beside its A record set: what instances know, and what they do next.
//!
//! The record sets and the secret are two lanes, as in [`pursue`](aci_dns::reconcile::driver::pursue): each lane sends
//! its next requests when its own last ones are answered. Decisions are those of the real
//! [`decide`](aci_dns::decide::decide), each asked once for the same facts.

use std::{
    collections::{BTreeMap, HashMap},
    hash::BuildHasherDefault,
    net::Ipv4Addr,
    rc::Rc,
};

use aci_dns::{
    decide::{
        Facts, Key, RunState, SecretError, SecretStep, SecretVerdict, Step, Verdict, WriteResult,
        change::Change,
    },
    domain::{
        dns::{ETag, OWNER_KEY},
        failure::FailureKind,
        secret::{Secret, SecretEdit},
    },
    reconcile::retry::message::rfc3339,
};

use super::{
    hash::Mixer,
    knowledge::{Answer, AnswerId, Knowledge, Outcome, Read, Request, WAIT, outcome},
    vault_broken::VaultBroken,
    world::{ELSEWHERE, GoalId, Group, Mark, Mask, NOW, Places, SETS, STRANGER, bit},
};

/// How many requests about record sets are in flight together at most.
pub(crate) const RECORD_REQUESTS: usize = 4;

/// A value that a person wrote.
const BY_HAND: &str = "written by hand";
/// A tag of others.
const FOREIGN_TAG: &str = "team";

/// What a secret says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct SecretContent {
    /// The address that it holds; [`ELSEWHERE`]: a value that is none.
    pub(crate) value: u8,
    pub(crate) mark: Mark,
    /// Whether it has a tag of others.
    pub(crate) is_annotated: bool,
}

impl SecretContent {
    fn secret(self, places: &Places) -> Secret {
        let mut tags = BTreeMap::new();
        if self.is_annotated {
            tags.insert(FOREIGN_TAG.to_owned(), "x".to_owned());
        }
        let value = match self.value {
            ELSEWHERE => BY_HAND.to_owned(),
            address => Places::address(address).to_string(),
        };
        if self.mark == Mark::Stranger {
            tags.insert(OWNER_KEY.to_owned(), STRANGER.to_owned());
        }
        let plain = Secret { value: value.clone(), content_type: None, tags };
        match self.mark {
            Mark::None | Mark::Stranger => plain,
            Mark::Group(group) => {
                Secret::published(value, places.owner(group), rfc3339(NOW).unwrap(), Some(&plain))
            }
        }
    }

    pub(crate) fn of(places: &Places, secret: &Secret) -> Self {
        let mark = secret
            .owner()
            .map_or(Mark::None, |owner| places.owner_index(&owner).map_or(Mark::Stranger, Mark::Group));
        let address = secret.value.parse::<Ipv4Addr>().ok();
        Self {
            value: address.map_or(ELSEWHERE, Places::address_index),
            mark,
            is_annotated: secret.tags.contains_key(FOREIGN_TAG),
        }
    }

    /// The secret in one line.
    pub(crate) fn show(content: Option<Self>, places: &Places) -> String {
        let Some(content) = content else { return "no secret web--ip".to_owned() };
        let value = content.secret(places).value;
        let owner = match content.mark {
            Mark::None => "no owner".to_owned(),
            Mark::Group(group) => format!("owner {}", places.group_name(group)),
            Mark::Stranger => "owner of another subscription".to_owned(),
        };
        let tags = if content.is_annotated { ", with a tag of others" } else { "" };
        format!("secret web--ip {value}, {owner}{tags}")
    }
}

/// Numbers facts, requests about record sets, and requests about the secret. None has the number 0.
pub(crate) type Id = u32;

/// The request of the secret's lane.
#[derive(Clone, Debug)]
pub(crate) enum SecretRequest {
    ReadSecret,
    ReadGroup(Read),
    Write { before: Option<SecretContent>, after: SecretContent, line: String },
}

/// Its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum SecretAnswer {
    Secret(Option<SecretContent>),
    Group(Group),
    Written,
    Failed(FailureKind),
}

/// The requests of the record sets' lane.
#[derive(Debug)]
pub(crate) struct Records {
    changes: Vec<Change>,
    reads: Vec<Key>,
    /// Writes come first.
    pub(crate) requests: Vec<Request>,
}

/// What comes next, for lanes that have nothing in flight.
#[derive(Clone, Debug)]
pub(crate) struct Settled {
    pub(crate) facts: Id,
    /// The new requests about record sets; 0 if there are none.
    pub(crate) records: Id,
    /// The new request about the secret; 0 if there is none.
    pub(crate) secret: Id,
    /// Whether another pass began, so that what was read of record sets is forgotten.
    pub(crate) is_new_pass: bool,
    /// How the run ended, if it is over.
    pub(crate) end: Option<(Outcome, String)>,
}

/// What a run knows.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Known {
    pub(crate) goal: GoalId,
    pub(crate) facts: Rc<Facts>,
    /// The labels of the versions that the run deleted, by record set.
    pub(crate) deleted: [Mask; SETS],
    /// Why requests of this pass failed.
    failures: BTreeMap<Key, FailureKind>,
    /// Why the last request for the secret failed.
    secret_failure: Option<FailureKind>,
}

type Fast = BuildHasherDefault<Mixer>;

/// All that was met.
#[derive(Debug)]
pub(crate) struct Minds {
    /// Places, rules, and answers.
    pub(crate) codec: Knowledge,
    broken: Option<VaultBroken>,
    known: Vec<Known>,
    ids: HashMap<Known, Id, Fast>,
    records: Vec<Rc<Records>>,
    record_ids: HashMap<(GoalId, String), Id>,
    secrets: Vec<(SecretStep, Rc<SecretRequest>)>,
    settled: HashMap<(Id, bool, bool), Settled, Fast>,
    learned: HashMap<(Id, Id, [AnswerId; RECORD_REQUESTS]), Id, Fast>,
    learned_secrets: HashMap<(Id, Id, SecretAnswer), Id, Fast>,
}

impl Minds {
    pub(crate) fn new(codec: Knowledge, broken: Option<VaultBroken>) -> Self {
        Self {
            codec,
            broken,
            known: Vec::new(),
            ids: HashMap::default(),
            records: Vec::new(),
            record_ids: HashMap::new(),
            secrets: Vec::new(),
            settled: HashMap::default(),
            learned: HashMap::default(),
            learned_secrets: HashMap::default(),
        }
    }

    pub(crate) fn get(&self, id: Id) -> &Known {
        &self.known[at(id)]
    }

    pub(crate) fn group(&self, id: Id) -> u8 {
        Places::group_of(self.get(id).goal)
    }

    pub(crate) fn records(&self, id: Id) -> Rc<Records> {
        Rc::clone(&self.records[at(id)])
    }

    pub(crate) fn secret(&self, id: Id) -> Rc<SecretRequest> {
        Rc::clone(&self.secrets[at(id)].1)
    }

    /// The facts of a run that begins.
    pub(crate) fn start(&mut self, goal: GoalId) -> Id {
        let mut facts = Facts::new(RunState::new(WAIT));
        facts.now = NOW;
        self.keep(Known {
            goal,
            facts: Rc::new(facts),
            deleted: [0; SETS],
            failures: BTreeMap::new(),
            secret_failure: None,
        })
    }

    fn keep(&mut self, known: Known) -> Id {
        if let Some(id) = self.ids.get(&known) {
            return *id;
        }
        self.known.push(known.clone());
        let id = Id::try_from(self.known.len()).unwrap();
        self.ids.insert(known, id);
        id
    }

    /// Decides for the lanes that have nothing in flight, as the driver does.
    pub(crate) fn settle(&mut self, id: Id, has_records: bool, has_secret: bool) -> Settled {
        let key = (id, has_records, has_secret);
        if let Some(settled) = self.settled.get(&key) {
            return settled.clone();
        }
        let mut known = self.get(id).clone();
        let goal = self.codec.places.goal(known.goal).clone();
        let mut facts = Facts::clone(&known.facts);
        let (mut records, mut secret, mut is_new_pass, mut end) = (0, 0, false, None);
        loop {
            let decision = VaultBroken::decide(self.broken, self.codec.rules, &goal, &facts);
            if !has_secret && secret == 0 {
                secret = self.secret_id(known.goal, &decision.secret);
            }
            match (decision.step, decision.secret) {
                _ if has_records || records != 0 => break,
                (Step::Done(_) | Step::Verify, _) if has_secret || secret != 0 => break,
                (Step::Verify, _) | (Step::Done(_), SecretStep::Verify) => facts.begin_verification(),
                (Step::Done(verdict), secret) => {
                    end = Some(self.end(&known, &verdict, &secret));
                    break;
                }
                (Step::Poll, _) => _ = facts.begin_poll(&goal),
                (Step::Repeat, _) => {
                    _ = facts.begin_pass();
                    known.failures.clear();
                    is_new_pass = true;
                }
                (Step::Act { read, write }, _) => {
                    facts.expect_writes(&goal, &write);
                    records = self.records_id(known.goal, write, read);
                }
            }
        }
        known.facts = Rc::new(facts);
        let settled = Settled { facts: self.keep(known), records, secret, is_new_pass, end };
        self.settled.insert(key, settled.clone());
        settled
    }

    fn end(&self, known: &Known, verdict: &Verdict, secret: &SecretStep) -> (Outcome, String) {
        let of_kind = |kind: Option<&FailureKind>| match kind {
            Some(FailureKind::Forbidden | FailureKind::Missing | FailureKind::Refused) => Outcome::Blocked,
            _ => Outcome::Unavailable,
        };
        let of_secret = match secret {
            SecretStep::Done(SecretVerdict::Failed(error)) => match error {
                SecretError::Name(_) | SecretError::Conflict(_) => Outcome::Blocked,
                SecretError::LostRaces => Outcome::Unavailable,
                SecretError::Request => of_kind(known.secret_failure.as_ref()),
                SecretError::Owner(key) => of_kind(known.failures.get(key)),
            },
            _ => Outcome::Acknowledged,
        };
        let of_secret = self.broken.map_or(of_secret, |broken| broken.answers(of_secret));
        (outcome(verdict, &known.failures).max(of_secret), format!("{verdict:?}, {secret:?}"))
    }

    fn records_id(&mut self, goal_id: GoalId, changes: Vec<Change>, reads: Vec<Key>) -> Id {
        let key = (goal_id, format!("{changes:?} {reads:?}"));
        if let Some(id) = self.record_ids.get(&key) {
            return *id;
        }
        let goal = self.codec.places.goal(goal_id);
        let group = Places::group_of(goal_id);
        let writes = changes.iter().map(|change| Request::Write(self.codec.write(goal, change)));
        let requests: Vec<_> =
            writes.chain(reads.iter().map(|key| Request::Read(self.codec.read(group, key)))).collect();
        assert!((1..=RECORD_REQUESTS).contains(&requests.len()), "{requests:?}");
        self.records.push(Rc::new(Records { changes, reads, requests }));
        let id = Id::try_from(self.records.len()).unwrap();
        self.record_ids.insert(key, id);
        id
    }

    fn secret_id(&mut self, goal: GoalId, step: &SecretStep) -> Id {
        let request = match step {
            SecretStep::Done(_) | SecretStep::Wait | SecretStep::Verify => return 0,
            SecretStep::Read(key) => SecretRequest::ReadGroup(self.codec.read(Places::group_of(goal), key)),
            SecretStep::ReadSecret(_) => SecretRequest::ReadSecret,
            SecretStep::Write(edit) => {
                let content = |secret: &Secret| SecretContent::of(&self.codec.places, secret);
                let SecretEdit { before, after, .. } = &**edit;
                SecretRequest::Write {
                    before: before.as_ref().map(content),
                    after: content(after),
                    line: edit.to_string(),
                }
            }
        };
        let known = self.secrets.iter().position(|(known, _)| known == step);
        let index = known.unwrap_or_else(|| {
            self.secrets.push((step.clone(), Rc::new(request)));
            self.secrets.len() - 1
        });
        Id::try_from(index + 1).unwrap()
    }

    /// Learns the answers to all requests about record sets.
    pub(crate) fn learn_records(&mut self, id: Id, records: Id, answers: [AnswerId; RECORD_REQUESTS]) -> Id {
        if let Some(id) = self.learned.get(&(id, records, answers)) {
            return *id;
        }
        let mut known = self.get(id).clone();
        let plan = self.records(records);
        let mut facts = Facts::clone(&known.facts);
        let goal = self.codec.places.goal(known.goal);
        let (written, read) = answers.split_at(plan.changes.len());
        for (change, answer) in plan.changes.iter().zip(written) {
            let write = self.codec.write(goal, change);
            let result = match self.codec.answer(*answer) {
                Answer::Written(label) => {
                    let version = write.label.filter(|_| change.is_deletion());
                    known.deleted[usize::from(write.set)] |= version.map_or(0, bit);
                    let etag = |label: &u8| ETag::from(format!("{}.{label}", write.set));
                    WriteResult::Written(label.as_ref().map(etag))
                }
                Answer::Failed(kind) => {
                    known.failures.extend(goal.key_of(change).map(|key| (key, *kind)));
                    WriteResult::Failed(*kind)
                }
                other => panic!("a write is answered with {other:?}"),
            };
            facts.learn_write(goal, change, result);
        }
        let answered = plan.reads.iter().zip(read.iter().map(|answer| self.codec.answer(*answer)));
        let is_fatal =
            |(key, answer): &(&Key, &Answer)| key.is_required() && matches!(answer, Answer::Failed(_));
        let fatal = answered.clone().find(is_fatal);
        for (key, answer) in fatal.map_or_else(|| answered.collect(), |fatal| vec![fatal]) {
            if let Answer::Failed(kind) = answer {
                known.failures.insert(key.clone(), *kind);
            }
            facts.learn(self.codec.fact(goal, key, answer));
        }
        known.facts = Rc::new(facts);
        let next = self.keep(known);
        self.learned.insert((id, records, answers), next);
        next
    }

    /// Learns the answer to a request about the secret.
    pub(crate) fn learn_secret(&mut self, id: Id, request: Id, answer: SecretAnswer) -> Id {
        if let Some(id) = self.learned_secrets.get(&(id, request, answer)) {
            return *id;
        }
        let mut known = self.get(id).clone();
        let mut facts = Facts::clone(&known.facts);
        let goal = self.codec.places.goal(known.goal);
        let step = self.secrets[at(request)].0.clone();
        let broken = self.broken;
        let answer_learned = broken.map_or(answer, |broken| broken.learns(&step, answer));
        match (step, answer_learned) {
            (SecretStep::Read(key), answer) => {
                let answer = match answer {
                    SecretAnswer::Group(group) => Answer::Group(group),
                    SecretAnswer::Failed(kind) => {
                        known.failures.insert(key.clone(), kind);
                        Answer::Failed(kind)
                    }
                    other => panic!("the read of a group is answered with {other:?}"),
                };
                facts.learn(self.codec.fact(goal, &key, &answer));
            }
            (SecretStep::ReadSecret(secret), answer) => {
                let read = match answer {
                    SecretAnswer::Secret(content) => {
                        Ok(content.map(|content| content.secret(&self.codec.places)))
                    }
                    SecretAnswer::Failed(kind) => Err(kind),
                    other => panic!("the read of a secret is answered with {other:?}"),
                };
                known.secret_failure = read.as_ref().err().copied();
                facts.learn_secret(secret, read);
            }
            (SecretStep::Write(edit), answer) => {
                let result = match answer {
                    SecretAnswer::Written => WriteResult::Written(None),
                    SecretAnswer::Failed(kind) => WriteResult::Failed(kind),
                    other => panic!("the write of a secret is answered with {other:?}"),
                };
                known.secret_failure =
                    if let WriteResult::Failed(kind) = &result { Some(*kind) } else { None };
                let result = broken.map_or(result.clone(), |broken| broken.writes(result));
                facts.learn_secret_write(*edit, &result);
            }
            (step, _) => panic!("{step:?} sends no request"),
        }
        known.facts = Rc::new(facts);
        let next = self.keep(known);
        self.learned_secrets.insert((id, request, answer), next);
        next
    }
}

fn at(id: Id) -> usize {
    usize::try_from(id).unwrap() - 1
}
