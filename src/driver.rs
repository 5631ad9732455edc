//! The driver: asks [`decide`] for the next step and carries it out, until the step is a verdict.
//!
//! It decides nothing. A dry run has no writer: its writes are recorded and assumed to have happened.

use std::{collections::BTreeMap, time::Duration};

use futures::future::{join, join_all, try_join_all};
use tokio::time::sleep;

use crate::{
    arm::{ArmError, Reader, Writer},
    change::Change,
    clock::Clock,
    config::Zones,
    decide::{
        Fact, Facts, Goal, Key, Observation, OwnerMark, PtrKey, Rules, RunState, Step, Target, Verdict,
        WriteResult, decide,
    },
    dns::{Owner, Precondition, PtrRecordSet, RecordType, RelativeName},
    failure::FailureKind,
};

/// What a run may do.
#[derive(Debug)]
pub enum Access {
    /// It reads, and assumes that its writes happen: there is nothing here that could write.
    ReadOnly(Reader),
    /// It reads and writes.
    ReadWrite(Writer),
}

impl Access {
    /// What reads.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        match self {
            Self::ReadOnly(reader) => reader,
            Self::ReadWrite(writer) => writer.reader(),
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
        }
    }

    fn pause(&mut self, goal: &Goal, step: &Step) -> Duration {
        match step {
            Step::Poll => self.facts.begin_poll(goal),
            _ => self.facts.begin_pass(),
        }
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

/// Pursues a goal until its verdict.
pub async fn pursue(access: &Access, rules: Rules, goal: &Goal, clock: &Clock, trace: &mut Trace) -> Verdict {
    loop {
        trace.facts.now = clock.unix_seconds();
        let decision = decide(rules, goal, &trace.facts);
        trace.target = decision.target.or(trace.target.take());
        trace.withheld = decision.withheld;
        match decision.step {
            Step::Done(verdict) => return verdict,
            Step::Verify => trace.facts.begin_verification(),
            step @ (Step::Poll | Step::Repeat) => sleep(trace.pause(goal, &step)).await,
            Step::Act { read, write } => {
                trace.facts.expect_writes(goal, &write);
                let writes = join_all(write.iter().map(|change| send(access, change)));
                let (written, answers) = join(writes, read_all(access.reader(), goal, read)).await;
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

/// Sends reads together. One that fails and that everything depends on ends the others: what it would have led to
/// is not read in vain.
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
        Key::Group => {
            let group = reader.container_group(&goal.id).await;
            answer(key, group.map(|group| Observation::of(goal, group.as_ref())), Fact::Group)
        }
        Key::Owner(owner) => answer(key, is_deleted(reader, &owner).await, |read| Fact::Owner(owner, read)),
        Key::Ptr(ptr) => answer(key, ptr_record_set(reader, zones, &ptr).await, |read| Fact::Ptr(ptr, read)),
        Key::PtrList(zone) => {
            answer(key, ptr_list(reader, zones, zone).await, |read| Fact::PtrList(zone, read))
        }
        Key::AList => {
            let listed = reader.list_a_record_sets(&zones.forward).await;
            let marked = listed.map(|mut sets| {
                sets.retain(|(_, set)| OwnerMark::of(set, &goal.owner) == OwnerMark::Ours);
                sets
            });
            answer(key, marked, Fact::AList)
        }
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

async fn is_deleted(reader: &Reader, owner: &Owner) -> Result<bool, ArmError> {
    match owner.container_group() {
        Some(id) => Ok(reader.container_group(&id).await?.is_none()),
        None => Ok(false),
    }
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
    let keyed = listed.into_iter().filter_map(|(name, set): (RelativeName, _)| {
        let address = zone.address(&name)?;
        Some((PtrKey { address, zone: index, name }, set))
    });
    Ok(keyed.collect())
}

/// Sends one write, conditional on what was read.
async fn send(access: &Access, change: &Change) -> Result<WriteResult, ArmError> {
    let Access::ReadWrite(writer) = access else { return Ok(WriteResult::Assumed) };
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
