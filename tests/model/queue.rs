//! The retry queue: the messages that wait in it, and what an invocation stores before it answers.
//!
//! What a message proves, what stands for several in one run, and what is stored are the answers of the real
//! [`Work`]. The model keeps of a message what these answers depend on, its *class*: what its event proves, or how many
//! rechecks there were. Delays are no part of the model: a message can be delivered at any time.

use std::{collections::HashMap, hash::BuildHasherDefault};

use aci_dns::{
    decide::{Evidence, report},
    domain::{
        event::{self, Event, EventKind},
        resource_id::ContainerGroupId,
    },
    reconcile::retry::message::{FollowUp, RetryMessage, Work, rfc3339},
};
use serde_json::{Value, json};

use super::{
    broken::Broken,
    hash::Mixer,
    knowledge::{ENDING, Outcome},
    properties::Property,
    scenario::Fault,
    state::{Events, Instance, Past},
    steps::Taking,
    world::{EVIDENCE, NOW},
};

/// What the model keeps of a message: 0 to 2 for unfinished work of an event, by what its kind proves; from 3 on for
/// work with so many rechecks, from 1.
pub(crate) type Class = u8;

/// How many classes there are.
const CLASSES: Class = 8;

/// The class of work with one recheck.
const FIRST_RECHECK: Class = 3;

/// How many rechecks follow an event at most.
const MOST_RECHECKS: u64 = 5;

/// How old an event is that proves a deletion, in seconds.
const LONG: u64 = 3600;

/// Events whose kinds prove nothing, absence, and deletion.
const EVENT_TYPES: [&str; 3] = [
    "Microsoft.Resources.ResourceWriteSuccess",
    "Microsoft.Resources.ResourceWriteFailure",
    "Microsoft.Resources.ResourceDeleteSuccess",
];

/// How many messages of one group there are, by class: four bits each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Messages(pub(crate) u32);

impl Messages {
    /// One message.
    pub(crate) fn one(class: Class) -> Self {
        Self(1 << (4 * class))
    }

    fn count(self, class: Class) -> u32 {
        (self.0 >> (4 * class)) & 15
    }

    /// How many of whatever class.
    pub(crate) fn total(self) -> u32 {
        (0..CLASSES).map(|class| self.count(class)).sum()
    }

    /// The classes of which there are messages.
    pub(crate) fn classes(self) -> impl Iterator<Item = Class> {
        (0..CLASSES).filter(move |class| self.count(*class) > 0)
    }

    /// Whether one of them asks for a recheck, or for the retry of one.
    pub(crate) fn has_rechecks(self) -> bool {
        self.classes().any(|class| class >= FIRST_RECHECK)
    }

    pub(crate) fn add(&mut self, others: Self) {
        let fits = (0..CLASSES).all(|class| self.count(class) + others.count(class) < 16);
        assert!(fits, "there are few messages of one class");
        self.0 += others.0;
    }

    pub(crate) fn remove(&mut self, others: Self) {
        self.0 -= others.0;
    }
}

/// How an invocation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Storing {
    /// Its message is stored, and it is answered.
    Well,
    /// Its message cannot be stored.
    Fails,
    /// Its message is stored, and the answer is lost: the process is killed in between, or the host is.
    Again,
}

/// The events and messages that one run serves.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Batch {
    pub(crate) events: Events,
    pub(crate) messages: Messages,
    /// Whether they are older than fifteen minutes.
    pub(crate) is_old: bool,
}

/// What the invocations of a run store before they answer.
#[derive(Clone, Debug, Default)]
struct Ending {
    /// What they store.
    stored: Vec<Class>,
    /// Whether they fail if that is not stored.
    is_required: bool,
    /// The messages whose retries are failed invocations, and stay in the queue.
    failed: Messages,
    /// Whether unfinished work is acknowledged without a message.
    is_lost: bool,
    /// Whether a recheck follows without need, or counts wrongly.
    is_endless: bool,
}

/// The hash of numbers.
type Fast = BuildHasherDefault<Mixer>;

/// The work of events and messages.
#[derive(Debug)]
pub(crate) struct Works {
    broken: Option<Broken>,
    /// By what the kind of the event proves, and whether it is old.
    events: Vec<[Work; 2]>,
    /// By class, and whether the event is old.
    messages: Vec<[Work; 2]>,
    evidence: HashMap<Batch, Evidence, Fast>,
    endings: HashMap<(Batch, Outcome, bool), Ending, Fast>,
}

impl Works {
    pub(crate) fn new(id: &ContainerGroupId, broken: Option<Broken>) -> Self {
        let ages = |work: &dyn Fn(u64) -> Work| [work(NOW), work(NOW - LONG)];
        let kinds = 0..EVENT_TYPES.len();
        let of_kind = |kind: usize| {
            ages(&|time| {
                let given = given(id, EVENT_TYPES[kind], time);
                Work::of_event(id.clone(), read(&given), given, NOW)
            })
        };
        let of_class = |class: Class| {
            ages(&|time| {
                let rechecks = u64::from((class + 1).saturating_sub(FIRST_RECHECK));
                let kind = if rechecks == 0 { usize::from(class) } else { 0 };
                let event = given(id, EVENT_TYPES[kind], time);
                let read = read(&event);
                let is_recheck = rechecks > 0;
                let message = RetryMessage { event, since: Some(NOW), attempt: 1, is_recheck, rechecks };
                Work::of_message(id.clone(), read, message, NOW)
            })
        };
        Self {
            broken,
            events: kinds.map(of_kind).collect(),
            messages: (0..CLASSES).map(of_class).collect(),
            evidence: HashMap::default(),
            endings: HashMap::default(),
        }
    }

    fn of_event(&self, kind: usize, is_old: bool) -> &Work {
        &self.events[kind][usize::from(is_old)]
    }

    fn of_message(&self, class: Class, is_old: bool) -> &Work {
        &self.messages[usize::from(class)][usize::from(is_old)]
    }

    /// What stands for all of them.
    fn merged(&self, batch: Batch) -> Work {
        let kinds = (0..EVIDENCE.len()).filter(|kind| batch.events.0[*kind] > 0);
        let events = kinds.map(|kind| self.of_event(kind, batch.is_old));
        let messages = batch.messages.classes().map(|class| self.of_message(class, batch.is_old));
        events.chain(messages).cloned().reduce(Work::merged).expect("a run serves something")
    }

    /// How much a 404 proves to a run.
    pub(crate) fn evidence(&mut self, batch: Batch) -> Evidence {
        if let Some(evidence) = self.evidence.get(&batch) {
            return *evidence;
        }
        let evidence = self.merged(batch).evidence;
        self.evidence.insert(batch, evidence);
        evidence
    }

    /// What the invocations of a run store.
    fn ending(&mut self, batch: Batch, outcome: Outcome, has_written: bool) -> Ending {
        let key = (batch, outcome, has_written);
        if let Some(ending) = self.endings.get(&key) {
            return ending.clone();
        }
        let run = self.merged(batch);
        let reported = match outcome {
            Outcome::Acknowledged if has_written => report::Outcome::Changed,
            Outcome::Acknowledged => report::Outcome::Converged,
            Outcome::Blocked => report::Outcome::Failed,
            Outcome::Unavailable => report::Outcome::Unavailable,
        };
        let kinds = (0..EVIDENCE.len()).filter(|kind| batch.events.0[*kind] > 0);
        let events = kinds.map(|kind| (self.of_event(kind, batch.is_old), None));
        let messages =
            batch.messages.classes().map(|class| (self.of_message(class, batch.is_old), Some(class)));
        let mut ending = Ending::default();
        for (of, class) in events.chain(messages) {
            let follow_up = run.follow_up(of, reported, NOW);
            let follow_up = self.broken.map_or(follow_up.clone(), |broken| broken.follows_up(of, follow_up));
            match follow_up {
                FollowUp::Retry(message) | FollowUp::Failure(message) => {
                    ending.is_required = true;
                    ending.stored.push(class_of(&message));
                }
                FollowUp::Recheck(message) => ending.stored.push(class_of(&message)),
                FollowUp::None => match (outcome, class) {
                    (Outcome::Acknowledged, _) => {}
                    (Outcome::Blocked, Some(class))
                        if self.broken != Some(Broken::AcknowledgesFailedRetries) =>
                    {
                        let count = batch.messages.count(class);
                        (0..count).for_each(|_| ending.failed.add(Messages::one(class)));
                    }
                    _ => ending.is_lost = true,
                },
                FollowUp::Expired => unreachable!("no work is that old"),
            }
        }
        // All invocations of a run share what is stored.
        if self.broken != Some(Broken::StoresForEach) {
            ending.stored.truncate(1);
        }
        if outcome == Outcome::Acknowledged {
            let fewest = |class: Class| u64::from((class + 1).saturating_sub(FIRST_RECHECK));
            let before =
                if batch.events.total() > 0 { Some(0) } else { batch.messages.classes().map(fewest).min() };
            let before = before.unwrap_or_default();
            let is_due = (before == 0 || has_written) && before < MOST_RECHECKS;
            let is_next = |class: &Class| is_due && fewest(*class) == before + 1;
            ending.is_endless = !ending.stored.iter().all(is_next);
        }
        self.endings.insert(key, ending.clone());
        ending
    }
}

fn given(id: &ContainerGroupId, event_type: &str, time: u64) -> Value {
    json!({"id": "1", "eventType": event_type, "subject": id.to_string(), "eventTime": rfc3339(time)})
}

fn read(given: &Value) -> Event {
    let event = event::read(given).remove(0).unwrap();
    assert!(matches!(event.kind, EventKind::Ours(_)), "{event:?}");
    event
}

fn class_of(message: &RetryMessage) -> Class {
    match Class::try_from(message.rechecks).unwrap() {
        0 => {
            let kind = EVENT_TYPES.iter().position(|kind| message.event["eventType"] == **kind).unwrap();
            Class::try_from(kind).unwrap()
        }
        rechecks => FIRST_RECHECK - 1 + rechecks,
    }
}

/// Messages in words.
pub(crate) fn show(messages: Messages) -> String {
    let one = |class: Class| match class {
        0..FIRST_RECHECK => format!("retry ({:?})", EVIDENCE[usize::from(class)]),
        class => format!("recheck {}", class + 1 - FIRST_RECHECK),
    };
    messages.classes().map(one).collect::<Vec<_>>().join(" and ")
}

impl Taking<'_> {
    /// The run of an invocation is over. Only where the queue may fail there is a moment before its message is stored.
    pub(crate) fn begin_end(&mut self, instance: usize, outcome: Outcome) {
        let can_fail = self.model.can(&self.state, Fault::Store);
        let one = &mut self.state.instances[instance];
        *one = Instance {
            facts: ENDING,
            origin: one.origin,
            outcome,
            batch: one.batch,
            has_written: one.has_written,
            ..Instance::default()
        };
        if !can_fail {
            self.end(instance, Storing::Well);
        }
    }

    /// Stores what an invocation has to store, and answers it.
    pub(crate) fn end(&mut self, instance: usize, storing: Storing) {
        let Instance { batch, outcome, origin, has_written, .. } = self.state.instances[instance];
        let ending = self.model.works.ending(batch, outcome, has_written);
        let is_answered_first = self.model.works.broken == Some(Broken::AnswersBeforeStoring);
        let mut stored = Messages::default();
        ending.stored.iter().for_each(|class| stored.add(Messages::one(*class)));
        let is_stored = match storing {
            Storing::Well => true,
            Storing::Fails => false,
            Storing::Again => !is_answered_first,
        };
        let is_acknowledged = match storing {
            Storing::Well => true,
            Storing::Fails => !ending.is_required || is_answered_first,
            Storing::Again => is_answered_first,
        };
        let group = usize::from(origin);
        if is_stored {
            self.state.queue[group].add(stored);
        } else if is_acknowledged && stored.total() > 0 {
            self.state.past.add(Past::NO_RECHECK);
        }
        if is_acknowledged {
            self.state.queue[group].add(ending.failed);
        } else {
            self.return_batch(instance, outcome);
        }
        let text = |text: &str| Some(format!("{text}: {:?}", ending.stored));
        let wrong = if ending.stored.len() > 1 {
            text("a run stores more than one message").map(|text| (Property::StoredOnce, text))
        } else if ending.is_endless {
            text("a recheck follows that nothing calls for").map(|text| (Property::RechecksEnd, text))
        } else if ending.is_lost || (is_acknowledged && ending.is_required && !is_stored) {
            text("unfinished work is acknowledged, and not stored").map(|text| (Property::Loud, text))
        } else {
            None
        };
        if let Some((property, text)) = wrong {
            self.find(property, None, text);
        }
        self.tell(|_| match (stored.total(), storing) {
            (0, Storing::Again) => "; its answer is lost".to_owned(),
            (0, _) => String::new(),
            (_, Storing::Well) => format!("; stores {}", show(stored)),
            (_, Storing::Fails) => format!("; cannot store {}", show(stored)),
            (_, Storing::Again) => format!("; stores {}, and its answer is lost", show(stored)),
        });
        self.state.instances[instance].stop();
    }

    /// The events and messages of an invocation that was not answered, or failed, are delivered again.
    pub(crate) fn return_batch(&mut self, instance: usize, outcome: Outcome) {
        let Instance { batch, origin, .. } = self.state.instances[instance];
        let group = usize::from(origin);
        match outcome {
            Outcome::Blocked => self.state.blocked[group].add(batch.events),
            Outcome::Acknowledged | Outcome::Unavailable => self.state.waiting[group].add(batch.events),
        }
        if self.model.works.broken != Some(Broken::DeletesAtDelivery) {
            self.state.queue[group].add(batch.messages);
        }
    }
}
