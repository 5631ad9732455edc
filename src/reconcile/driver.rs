//! The driver: asks [`decide`] for the next step and carries it out, until the step is a verdict.
//!
//! It decides nothing. A dry run has no writer: its writes are recorded and assumed to have happened.

pub mod services;

use std::{collections::BTreeMap, time::Duration};

use futures::future::{join, join_all, try_join_all};
use tokio::time::{Instant, sleep, sleep_until};

use crate::{
    azure::{
        arm::{ArmError, Reader, Writer},
        slot::Slot,
    },
    config::Zones,
    decide::{
        Fact, Facts, Goal, Key, Observation, OwnerObservation, PtrKey, Rules, RunState, Step, Target,
        Verdict, WriteResult, change::Change, decide, report::Chain,
    },
    domain::{
        container_group::AddressState,
        dns::{Owner, Precondition, PtrRecordSet, RecordType, RelativeName},
        failure::FailureKind,
    },
    reconcile::clock::Clock,
};

/// How long after the first read of a group it is read again to confirm that it is deleted, stopped or renamed.
const CONFIRMATION_DELAY: Duration = Duration::from_secs(3);

/// What a run may do.
#[derive(Clone, Copy, Debug)]
pub struct Access<'a> {
    /// What reads.
    pub reader: &'a Reader,
    /// What writes; without it, writes are assumed to have happened.
    pub writer: Option<&'a Writer>,
    /// The place that the run gives up while it waits.
    pub slot: Option<&'a Slot>,
}

impl<'a> Access<'a> {
    /// Reads, and assumes that writes happen: there is nothing here that could write.
    #[must_use]
    pub fn read_only(reader: &'a Reader) -> Self {
        Self { reader, writer: None, slot: None }
    }

    async fn pause(&self, pause: impl Future<Output = ()>) {
        match self.slot {
            Some(slot) => slot.release_during(pause).await,
            None => pause.await,
        }
    }
}

/// What a run did and saw, kept outside of it so that it can be reported when time runs out.
#[derive(Debug)]
pub struct Trace {
    /// What is known.
    pub facts: Facts,
    /// Name and address of the group, once they are known.
    pub target: Option<Target>,
    /// The changes that happened, may have happened, or would happen.
    pub changes: Vec<Change>,
    /// The changes that the policy forbids.
    pub withheld: Vec<Change>,
    /// Why requests failed, by what they were about.
    pub errors: BTreeMap<Key, ArmError>,
    /// Why the last pass was outdated, where an answer said so.
    pub last_race: Option<ArmError>,
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

    /// When these reads may be sent: a confirmation some seconds after the read that it confirms.
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

    /// Why Azure refused to delete a record set.
    #[must_use]
    pub fn refusal(&self, key: &Key) -> Option<String> {
        self.errors.get(key).map(|error| Chain(error).to_string())
    }

    /// Learns what became of a write.
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
        // The same change of a later pass is not shown twice.
        let line = change.to_string();
        let may_have_happened = matches!(kind, None | Some(FailureKind::Uncertain));
        if may_have_happened && !self.changes.iter().any(|known| known.to_string() == line) {
            self.changes.push(change);
        }
    }
}

/// Pursues a goal until its verdict, reads only, and assumes that writes happen.
pub async fn dry_run(reader: &Reader, rules: Rules, goal: &Goal, clock: &Clock) -> (Verdict, Trace) {
    let mut trace = Trace::new(RunState::default());
    let verdict = pursue(Access::read_only(reader), rules, goal, clock, &mut trace).await;
    (verdict, trace)
}

/// Pursues a goal until its verdict.
pub async fn pursue(
    access: Access<'_>,
    rules: Rules,
    goal: &Goal,
    clock: &Clock,
    trace: &mut Trace,
) -> Verdict {
    loop {
        trace.facts.now = clock.unix_seconds();
        let decision = decide(rules, goal, &trace.facts);
        trace.target = decision.target.or(trace.target.take());
        trace.withheld = decision.withheld;
        match decision.step {
            Step::Done(verdict) => return verdict,
            Step::Verify => trace.facts.begin_verification(),
            step @ (Step::Poll | Step::Repeat) => access.pause(sleep(trace.pause(goal, &step))).await,
            Step::Act { read, write } => {
                let start = trace.not_before(&read);
                if !access.reader.is_snapshot() && start > Instant::now() {
                    access.pause(sleep_until(start)).await;
                }
                trace.facts.expect_writes(goal, &write);
                let writes = join_all(write.iter().map(|change| send(access, change)));
                let (written, answers) = join(writes, read_all(access.reader, goal, read)).await;
                for (change, result) in write.into_iter().zip(written) {
                    trace.learn_write(goal, change, result);
                }
                for (fact, error) in answers {
                    trace.errors.extend(error);
                    trace.facts.learn(fact);
                }
            }
        }
    }
}

/// An answer, and the error where there is none.
type Answer = (Fact, Option<(Key, ArmError)>);

/// Sends reads together. A required read that fails ends the others, because the pass fails with it.
async fn read_all(reader: &Reader, goal: &Goal, keys: Vec<Key>) -> Vec<Answer> {
    let reads = keys.into_iter().map(|key| async move {
        let is_required = key.is_required();
        let answer = read(reader, goal, key).await;
        if is_required && answer.1.is_some() { Err(answer) } else { Ok(answer) }
    });
    try_join_all(reads).await.unwrap_or_else(|answer| vec![answer])
}

async fn read(reader: &Reader, goal: &Goal, key: Key) -> Answer {
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
) -> Answer {
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
        // A decision asks for no such owner.
        return Ok(OwnerObservation { state: AddressState::Pending, name: None });
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
    let listed = reader.list_ptr_record_sets(zone.zone()).await?;
    let keyed = listed.into_iter().map(|(name, set): (RelativeName, _)| {
        let address = zone.address(&name);
        (PtrKey { address, zone: index, name }, set)
    });
    Ok(keyed.collect())
}

/// Sends one write, conditional on what was read.
async fn send(access: Access<'_>, change: &Change) -> Result<WriteResult, ArmError> {
    let Some(writer) = access.writer else { return Ok(WriteResult::Assumed) };
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
        // Nothing before and nothing after: there is nothing to do.
        (_, Precondition::Absent) => None,
    };
    Ok(WriteResult::Written(etag))
}
