//! The driver: asks [`decide`] for the next step and carries it out, until the step is a verdict.
//!
//! The driver makes no decisions. A dry run has no writer: its writes are recorded and assumed to have succeeded.

mod records;
pub mod services;

use std::{
    collections::{BTreeMap, BTreeSet},
    future::poll_fn,
    task::Poll,
    time::Duration,
};

use futures::future::{BoxFuture, join, join_all, try_join_all};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    azure::{
        arm::{ArmError, Cause, Reader, Writer},
        key_vault::{VaultCause, VaultError, VaultRequests},
        slot::Slot,
    },
    config::Zones,
    decide::{
        Fact, Facts, Goal, Key, Observation, OwnerObservation, OwnerSecret, PtrKey, Rules, RunState,
        SecretStep, SecretVerdict, Step, Target, Verdict, WriteResult,
        change::{Change, Write},
        decide,
        report::Chain,
    },
    domain::{
        container_group::AddressState,
        dns::{Owner, Precondition, PtrRecordSet, RecordType, RelativeName, ReverseZone},
        failure::FailureKind,
        secret::{Secret, SecretEdit, SecretId},
    },
    reconcile::{clock::Clock, lists::ZoneLists},
};

/// The time between the first read of a group and the read that confirms that it is deleted, stopped or renamed.
const CONFIRMATION_DELAY: Duration = Duration::from_secs(3);

/// The access of a run to Azure.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// Reads.
    pub reader: &'a Reader,
    /// Writes; without a writer, writes are assumed to have succeeded.
    pub writer: Option<&'a Writer>,
    /// The slot that the run releases while it waits.
    pub slot: Option<&'a Slot>,
    /// The only writes that it may send, if a plan was reviewed.
    pub reviewed: Option<&'a BTreeSet<Write>>,
    /// The lists that stand for single reads in a storm.
    pub lists: Option<&'a ZoneLists>,
}

impl<'a> Access<'a> {
    /// Access for a dry run: it has no writer.
    #[must_use]
    pub fn read_only(reader: &'a Reader) -> Self {
        Self { reader, writer: None, slot: None, reviewed: None, lists: None }
    }

    /// Waits for the time of a confirmation. Lists need no wait, because a second read of a list has the same result.
    async fn wait_until(&self, start: Instant) {
        if !self.reader.is_snapshot() && start > Instant::now() {
            self.pause(sleep_until(start)).await;
        }
    }

    async fn pause(&self, pause: impl Future<Output = ()>) {
        match self.slot {
            Some(slot) => slot.release_during(pause).await,
            None => pause.await,
        }
    }
}

/// The facts and changes of a run. The caller owns them, so that they can be reported if the run reaches its deadline.
#[derive(Debug)]
pub struct Trace {
    /// The known facts.
    pub facts: Facts,
    /// Name and address of the group, once they are known.
    pub target: Option<Target>,
    /// The changes that happened, may have happened, or would happen.
    pub changes: Vec<Change>,
    /// The changes that the policy forbids.
    pub withheld: Vec<Change>,
    /// The errors of failed requests, by the key of the fact.
    pub errors: BTreeMap<Key, ArmError>,
    /// The error that made the last pass outdated, if there is one.
    pub last_race: Option<ArmError>,
    /// The result for the secret.
    pub secret: SecretVerdict,
    /// The changes of the secret that happened, may have happened, or would happen.
    pub secret_changes: Vec<SecretEdit>,
    /// Why the last request for the secret failed.
    pub secret_error: Option<VaultError>,
    /// When groups were read first in this pass.
    read_at: BTreeMap<Key, Instant>,
}

impl Trace {
    /// A run that has not started.
    #[must_use]
    pub fn new(run: RunState) -> Self {
        Self {
            facts: Facts::new(run),
            target: None,
            changes: Vec::new(),
            withheld: Vec::new(),
            errors: BTreeMap::new(),
            last_race: None,
            secret: SecretVerdict::Nothing,
            secret_changes: Vec::new(),
            secret_error: None,
            read_at: BTreeMap::new(),
        }
    }

    fn pause(&mut self, goal: &Goal, step: &Step) -> Duration {
        if matches!(step, Step::Poll) {
            return self.facts.begin_poll(goal);
        }
        self.read_at.clear();
        self.facts.begin_pass()
    }

    /// When these reads may be sent: a confirmation has to follow some seconds after the read that it confirms.
    fn not_before(&mut self, reads: &[Key]) -> Instant {
        let now = Instant::now();
        let mut start = now;
        for key in reads {
            let first = match key {
                Key::Confirmation => Key::Group,
                Key::OwnerConfirmation(owner) => Key::Owner(owner.clone()),
                Key::Group | Key::Owner(_) => {
                    self.read_at.insert(key.clone(), now);
                    continue;
                }
                _ => continue,
            };
            let first_read = self.read_at.get(&first).copied().unwrap_or(now);
            start = start.max(first_read + CONFIRMATION_DELAY);
        }
        start
    }

    /// Starts the next step for the record sets.
    fn start<'a>(&mut self, access: Access<'a>, goal: &'a Goal, step: Step) -> BoxFuture<'a, Completed> {
        let Step::Act { read, write } = step else {
            let pause = self.pause(goal, &step);
            return Box::pin(async move {
                access.pause(sleep(pause)).await;
                Completed::Records { written: Vec::new(), answers: Vec::new() }
            });
        };
        let start = self.not_before(&read);
        self.facts.expect_writes(goal, &write);
        Box::pin(async move {
            access.wait_until(start).await;
            let writes = join_all(write.iter().map(|change| send(access, change)));
            let (results, answers) = join(writes, read_all(access, goal, read)).await;
            Completed::Records { written: write.into_iter().zip(results).collect(), answers }
        })
    }

    /// Starts the next step for the secret, if it sends a request. A dry run does not write the secret.
    fn start_secret<'a>(
        &mut self,
        access: Access<'a>,
        vaults: &'a VaultRequests,
        goal: &'a Goal,
        step: &SecretStep,
    ) -> Option<BoxFuture<'a, Completed>> {
        match step.clone() {
            SecretStep::Done(_) | SecretStep::Wait | SecretStep::Verify => None,
            SecretStep::Read(key) => {
                let start = self.not_before(std::slice::from_ref(&key));
                Some(Box::pin(async move {
                    access.wait_until(start).await;
                    Completed::Answer(Box::new(read(access.reader, goal, key).await))
                }))
            }
            SecretStep::ReadSecret(id) => Some(Box::pin(async move {
                let result = match access.reader.known_secret(&id) {
                    Some(known) => known,
                    None => vaults.read(&id).await,
                };
                Completed::Secret(id, result)
            })),
            SecretStep::Write(edit) => Some(Box::pin(async move {
                let is_reviewed = |reviewed: &BTreeSet<Write>| reviewed.contains(&Write::of_secret(&edit));
                let result = match access.writer {
                    Some(_) if !access.reviewed.is_none_or(is_reviewed) => {
                        Err(VaultError::new(true, &edit.id, VaultCause::NotReviewed))
                    }
                    Some(_) => vaults.write(&edit.id, &edit.after).await.map(|()| WriteResult::Written(None)),
                    None => Ok(WriteResult::Assumed),
                };
                Completed::SecretWrite(edit, result)
            })),
        }
    }

    fn learn(&mut self, goal: &Goal, completed: Completed) {
        match completed {
            Completed::Records { written, answers } => {
                for (change, result) in written {
                    self.learn_write(goal, change, result);
                }
                for answer in answers {
                    self.learn_answer(answer);
                }
            }
            Completed::Answer(answer) => self.learn_answer(*answer),
            Completed::Secret(id, result) => self.learn_secret(id, result),
            Completed::SecretWrite(edit, result) => self.learn_secret_write(edit, result),
        }
    }

    fn learn_answer(&mut self, (fact, error): ReadAnswer) {
        self.errors.extend(error);
        self.facts.learn(fact);
    }

    fn learn_secret(&mut self, id: SecretId, result: Result<Option<Secret>, VaultError>) {
        match result {
            Ok(secret) => {
                self.secret_error = None;
                self.facts.learn_secret(id, Ok(secret));
            }
            Err(error) => {
                self.facts.learn_secret(id, Err(error.kind()));
                self.secret_error = Some(error);
            }
        }
    }

    fn learn_secret_write(&mut self, edit: Box<SecretEdit>, result: Result<WriteResult, VaultError>) {
        let (result, error) = match result {
            Ok(result) => (result, None),
            Err(error) => (WriteResult::Failed(error.kind()), Some(error)),
        };
        let may_have_happened =
            !matches!(&result, WriteResult::Failed(kind) if *kind != FailureKind::Uncertain);
        if may_have_happened {
            self.secret_changes.push(SecretEdit::clone(&edit));
        }
        self.secret_error = error;
        self.facts.learn_secret_write(*edit, &result);
    }

    /// Why Azure refused to delete a record set.
    #[must_use]
    pub fn refusal(&self, key: &Key) -> Option<String> {
        self.errors.get(key).map(|error| Chain(error).to_string())
    }

    /// Learns the result of a write.
    fn learn_write(&mut self, goal: &Goal, change: Change, result: Result<WriteResult, ArmError>) {
        let (result, error) = match result {
            Ok(result) => (result, None),
            Err(error) => (WriteResult::Failed(error.kind()), Some(error)),
        };
        self.facts.learn_write(goal, &change, result);
        let kind = error.as_ref().map(ArmError::kind);
        match (kind, error) {
            (Some(FailureKind::Race | FailureKind::Uncertain), error) => self.last_race = error,
            (_, Some(error)) => _ = goal.key_of(&change).map(|key| self.errors.insert(key, error)),
            (_, None) => {}
        }
        // A later pass may repeat the change; the report contains it once.
        let line = change.to_string();
        let may_have_happened = matches!(kind, None | Some(FailureKind::Uncertain));
        if may_have_happened && !self.changes.iter().any(|known| known.to_string() == line) {
            self.changes.push(change);
        }
    }
}

/// Runs a goal to its verdict with reads only, and assumes that writes succeed.
pub async fn dry_run(
    reader: &Reader,
    vaults: &VaultRequests,
    rules: Rules,
    goal: &Goal,
    clock: &Clock,
) -> (Verdict, Trace) {
    let mut trace = Trace::new(RunState::default());
    let verdict = drive(Access::read_only(reader), vaults, rules, goal, clock, &mut trace).await;
    (verdict, trace)
}

/// Runs a goal to its verdict. The record sets and the secret are two lanes: each lane sends its next requests as soon
/// as its previous ones are answered, so that neither waits for the other. Only a verification waits for both.
pub async fn drive(
    access: Access<'_>,
    vaults: &VaultRequests,
    rules: Rules,
    goal: &Goal,
    clock: &Clock,
    trace: &mut Trace,
) -> Verdict {
    let mut lanes = Lanes::default();
    loop {
        trace.facts.now = clock.unix_seconds();
        let decision = decide(rules, goal, &trace.facts);
        trace.target = decision.target.or(trace.target.take());
        trace.withheld = decision.withheld;
        if lanes.secret.is_none() {
            lanes.secret = trace.start_secret(access, vaults, goal, &decision.secret);
        }
        match (decision.step, decision.secret) {
            _ if lanes.records.is_some() => {}
            (Step::Done(_) | Step::Verify, _) if lanes.secret.is_some() => {}
            (Step::Verify, _) | (Step::Done(_), SecretStep::Verify) => {
                trace.facts.begin_verification();
                continue;
            }
            (Step::Done(verdict), secret) => {
                if let SecretStep::Done(verdict) = secret {
                    trace.secret = verdict;
                }
                return verdict;
            }
            (step, _) => lanes.records = Some(trace.start(access, goal, step)),
        }
        let completed = lanes.next().await;
        trace.learn(goal, completed);
    }
}

/// The requests in progress: one step for the record sets, and one request for the secret. At least one is set.
#[derive(Default)]
struct Lanes<'a> {
    records: Option<BoxFuture<'a, Completed>>,
    secret: Option<BoxFuture<'a, Completed>>,
}

impl Lanes<'_> {
    /// Waits for the lane that completes first.
    async fn next(&mut self) -> Completed {
        poll_fn(|context| {
            for lane in [&mut self.records, &mut self.secret] {
                let Some(future) = lane else { continue };
                if let Poll::Ready(completed) = future.as_mut().poll(context) {
                    *lane = None;
                    return Poll::Ready(completed);
                }
            }
            Poll::Pending
        })
        .await
    }
}

/// The completed requests of a lane.
enum Completed {
    /// The requests of one step for the record sets.
    Records { written: Vec<(Change, Result<WriteResult, ArmError>)>, answers: Vec<ReadAnswer> },
    /// A read of a group for the secret.
    Answer(Box<ReadAnswer>),
    /// A read of the secret.
    Secret(SecretId, Result<Option<Secret>, VaultError>),
    /// A write of the secret.
    SecretWrite(Box<SecretEdit>, Result<WriteResult, VaultError>),
}

/// A fact, and the error if the read failed.
type ReadAnswer = (Fact, Option<(Key, ArmError)>);

/// Sends reads together. If a required read fails, the others are cancelled, because the pass fails.
async fn read_all(access: Access<'_>, goal: &Goal, keys: Vec<Key>) -> Vec<ReadAnswer> {
    let listed = if access.is_any_listed(goal, &keys) {
        access.read_in_storm(goal, keys)
    } else {
        let access = &access;
        let reads = keys.into_iter().map(|key| async move {
            let is_required = key.is_required();
            let answer = read(access.reader, goal, key).await;
            // A 429 may be the first sign of a storm: the other answers still count.
            let has_failed = answer.1.is_some() && !access.is_listed_instead(goal, &answer);
            if is_required && has_failed { Err(answer) } else { Ok(answer) }
        });
        let answers = try_join_all(reads).await.unwrap_or_else(|answer| vec![answer]);
        if !answers.iter().any(|answer| access.is_listed_instead(goal, answer)) {
            return answers;
        }
        access.list_instead(goal, answers)
    };
    listed.await
}

async fn read(reader: &Reader, goal: &Goal, key: Key) -> ReadAnswer {
    let zones = &goal.zones;
    match key.clone() {
        Key::A(name) => {
            answer(key, reader.a_record_set(&zones.forward, &name).await, |read| Fact::A(name, read))
        }
        Key::Cname(name) => {
            answer(key, reader.cname(&zones.forward, &name).await, |read| Fact::Cname(name, read))
        }
        Key::Group => answer(key, observe(reader, goal).await, Fact::Group),
        Key::Confirmation => answer(key, observe(reader, goal).await, Fact::Confirmation),
        Key::Owner(owner) => {
            answer(key, observe_owner(reader, goal, &owner).await, |read| Fact::Owner(owner, read))
        }
        Key::OwnerConfirmation(owner) => {
            let observed = observe_owner(reader, goal, &owner).await;
            answer(key, observed, |read| Fact::OwnerConfirmation(owner, read))
        }
        Key::Ptr(ptr) => answer(key, ptr_record_set(reader, zones, &ptr).await, |read| Fact::Ptr(ptr, read)),
        Key::PtrList(zone) => {
            answer(key, ptr_list(reader, zones, zone).await, |read| Fact::PtrList(zone, read))
        }
        Key::AList => answer(key, reader.list_a_record_sets(&zones.forward).await, Fact::AList),
    }
}

fn answer<Value>(
    key: Key,
    result: Result<Value, ArmError>,
    fact: impl FnOnce(Result<Value, FailureKind>) -> Fact,
) -> ReadAnswer {
    match result {
        Ok(value) => (fact(Ok(value)), None),
        Err(error) => (fact(Err(error.kind())), Some((key, error))),
    }
}

async fn observe(reader: &Reader, goal: &Goal) -> Result<Observation, ArmError> {
    let group = reader.container_group(&goal.id).await?;
    Ok(Observation::of(goal, group.as_ref()))
}

async fn observe_owner(reader: &Reader, goal: &Goal, owner: &Owner) -> Result<OwnerObservation, ArmError> {
    let Some(id) = owner.container_group() else {
        // No decision requests such an owner.
        let (name, secret) = (None, OwnerSecret::Unknown);
        return Ok(OwnerObservation { state: AddressState::Pending, name, secret });
    };
    let group = reader.container_group(&id).await?;
    Ok(OwnerObservation::of(goal, &id, group.as_ref()))
}

async fn ptr_record_set(
    reader: &Reader,
    zones: &Zones,
    key: &PtrKey,
) -> Result<Option<PtrRecordSet>, ArmError> {
    match zones.reverse.get(key.zone) {
        Some(zone) => reader.ptr_record_set(zone.zone(), &key.name).await,
        None => Ok(None),
    }
}

async fn ptr_list(
    reader: &Reader,
    zones: &Zones,
    index: usize,
) -> Result<Vec<(PtrKey, PtrRecordSet)>, ArmError> {
    let Some(zone) = zones.reverse.get(index) else { return Ok(Vec::new()) };
    Ok(keyed(zone, index, reader.list_ptr_record_sets(zone.zone()).await?))
}

fn keyed(
    zone: &ReverseZone,
    index: usize,
    listed: Vec<(RelativeName, PtrRecordSet)>,
) -> Vec<(PtrKey, PtrRecordSet)> {
    let keyed = listed.into_iter().map(|(name, set)| {
        let address = zone.address(&name);
        (PtrKey { address, zone: index, name }, set)
    });
    keyed.collect()
}

/// Sends one write, on the condition that the record set is unchanged since it was read.
async fn send(access: Access<'_>, change: &Change) -> Result<WriteResult, ArmError> {
    let Some(writer) = access.writer else { return Ok(WriteResult::Assumed) };
    if access.reviewed.is_some_and(|reviewed| !reviewed.contains(&change.write())) {
        return Err(ArmError::Refused { operation: format!("write {change}"), source: Cause::NotReviewed });
    }
    let (record_type, zone, name, precondition) = match change {
        Change::A(edit) => (RecordType::A, &edit.zone, &edit.name, edit.precondition()),
        Change::Ptr(edit) => (RecordType::Ptr, &edit.zone, &edit.name, edit.precondition()),
    };
    let etag = match (change, precondition) {
        (Change::A(edit), precondition) if let Some(content) = &edit.after => {
            Some(writer.put_a_record_set(zone, name, content, &precondition).await?)
        }
        (Change::Ptr(edit), precondition) if let Some(content) = &edit.after => {
            Some(writer.put_ptr_record_set(zone, name, content, &precondition).await?)
        }
        (_, Precondition::Unchanged(etag)) => {
            writer.delete_record_set(record_type, zone, name, &etag).await?;
            None
        }
        // The record set does not exist and is not to be created.
        (_, Precondition::Absent) => None,
    };
    Ok(WriteResult::Written(etag))
}
