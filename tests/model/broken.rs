//! Rules that are broken on purpose, to see that the properties notice.
//!
//! The code under test stays as it is. What it decides, what it learns, or how the model carries it out is distorted
//! on the way.

use std::time::Duration;

use aci_dns::{
    config::Ownership,
    decide::{
        Decision, Evidence, Fact, Facts, Goal, Key, Observation, Right, Rules, RunState, Step, Verdict,
        WriteResult,
        change::{Change, Edit},
        decide,
    },
    domain::{
        dns::{Content as RecordContent, Metadata, OWNER_KEY, PREVIOUS_KEY, PtrTarget},
        failure::FailureKind,
    },
    reconcile::retry::message::{FollowUp, RetryMessage, Work},
};

use super::{
    knowledge::{Answer, Outcome, Read, Request},
    world::{GoalId, Group, Life, Mark, NOW, Places, Subject, subject},
};

/// A rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// An address leaves the A record set and is not remembered.
    RemembersNothing,
    /// An address is forgotten before five minutes have passed.
    ForgetsEarly,
    /// PTR records at remembered addresses are taken for clean, unread.
    ForgetsUnseen,
    /// A PTR is written together with the A record set.
    WritesPtrWithA,
    /// The A record set of a deleted group is removed before its PTR records.
    RemovesAFirst,
    /// A removal finds no PTR records, because it lists none.
    ListsNothing,
    /// A move deletes the A record set and creates it again.
    DeletesAndCreates,
    /// An invocation that wrote does not verify.
    VerifiesNothing,
    /// A verification reads the A record set alone.
    VerifiesOnlyA,
    /// Writes carry no condition.
    WritesUnconditionally,
    /// A write that lost a race counts as done.
    TakesRacesForSuccess,
    /// A write whose answer was lost counts as done.
    TakesLostForSuccess,
    /// A write that Azure refused counts as done.
    TakesRefusalForSuccess,
    /// A read of PTR records that failed counts as an answer without any.
    TakesPtrFailureForAbsence,
    /// A read of the group that failed counts as a 404.
    TakesGroupFailureForAbsence,
    /// A group that is being provisioned counts as deleted.
    TakesProvisioningForAbsence,
    /// Marks of other groups count as ours.
    IgnoresMarks,
    /// Groups that marks name count as deleted.
    TakesOwnersForDeleted,
    /// Metadata of others goes with a write.
    DropsMetadata,
    /// PTR values of others go with a write.
    DropsValues,
    /// Another pass does not know what this invocation wrote.
    LosesRunState,
    /// Another pass goes on with the group as it was read before.
    KeepsGroup,
    /// Failures are acknowledged.
    AcknowledgesFailures,
    /// A run answers events that came after its start.
    AnswersLaterEvents,
    /// An A record set under an old name stays.
    LeavesOldNames,
    /// A removal rests on one read of the group.
    ConfirmsNothing,
    /// A name is taken from another group after one read of it.
    ConfirmsNoOwner,
    /// A 404 counts, whatever the event.
    TakesAnyEventForEvidence,
    /// A record set without a mark is taken over under strict.
    AdoptsUnderStrict,
    /// The name of a stopped group is given up.
    ReservesNothing,
    /// An event is answered before its message is stored.
    AnswersBeforeStoring,
    /// A retry that is unfinished stores no successor.
    StoresNoSuccessor,
    /// A retry that needs a person is acknowledged.
    AcknowledgesFailedRetries,
    /// Each invocation that shares a run stores a message of its own.
    StoresForEach,
    /// No recheck follows.
    StoresNoRecheck,
    /// Each recheck counts as the first one.
    CountsNoRechecks,
    /// A message is deleted when it is delivered.
    DeletesAtDelivery,
    /// A recheck counts as a delete event.
    TakesRechecksForDeletion,
}

impl Broken {
    /// All of them.
    pub(crate) const ALL: [Self; 38] = [
        Self::RemembersNothing,
        Self::ForgetsEarly,
        Self::ForgetsUnseen,
        Self::WritesPtrWithA,
        Self::RemovesAFirst,
        Self::ListsNothing,
        Self::DeletesAndCreates,
        Self::VerifiesNothing,
        Self::VerifiesOnlyA,
        Self::WritesUnconditionally,
        Self::TakesRacesForSuccess,
        Self::TakesLostForSuccess,
        Self::TakesRefusalForSuccess,
        Self::TakesPtrFailureForAbsence,
        Self::TakesGroupFailureForAbsence,
        Self::TakesProvisioningForAbsence,
        Self::IgnoresMarks,
        Self::TakesOwnersForDeleted,
        Self::DropsMetadata,
        Self::DropsValues,
        Self::LosesRunState,
        Self::KeepsGroup,
        Self::AcknowledgesFailures,
        Self::AnswersLaterEvents,
        Self::LeavesOldNames,
        Self::ConfirmsNothing,
        Self::ConfirmsNoOwner,
        Self::TakesAnyEventForEvidence,
        Self::AdoptsUnderStrict,
        Self::ReservesNothing,
        Self::AnswersBeforeStoring,
        Self::StoresNoSuccessor,
        Self::AcknowledgesFailedRetries,
        Self::StoresForEach,
        Self::StoresNoRecheck,
        Self::CountsNoRechecks,
        Self::DeletesAtDelivery,
        Self::TakesRechecksForDeletion,
    ];

    /// The scenario in which it is noticed.
    pub(crate) fn scenario(self) -> &'static str {
        match self {
            Self::RemembersNothing
            | Self::ForgetsUnseen
            | Self::WritesPtrWithA
            | Self::RemovesAFirst
            | Self::ListsNothing
            | Self::DeletesAndCreates
            | Self::LosesRunState
            | Self::KeepsGroup
            | Self::AnswersLaterEvents
            | Self::ReservesNothing => "three events",
            Self::ForgetsEarly
            | Self::VerifiesNothing
            | Self::VerifiesOnlyA
            | Self::WritesUnconditionally
            | Self::TakesRacesForSuccess
            | Self::DropsMetadata
            | Self::DropsValues => "manual edits, adopt",
            Self::TakesLostForSuccess
            | Self::TakesPtrFailureForAbsence
            | Self::TakesGroupFailureForAbsence
            | Self::AcknowledgesFailures => "an answer is lost",
            Self::TakesRefusalForSuccess => "a locked reverse zone",
            Self::TakesProvisioningForAbsence => "slow provisioning",
            Self::IgnoresMarks | Self::TakesOwnersForDeleted => "rivals for a name",
            Self::LeavesOldNames => "another name",
            Self::ConfirmsNothing => "a read is stale",
            Self::ConfirmsNoOwner => "rivals for a name, a stale read",
            Self::TakesAnyEventForEvidence => "a new group answers 404",
            Self::AdoptsUnderStrict => "manual edits, strict",
            Self::AnswersBeforeStoring | Self::StoresNoSuccessor => "retry queue, slow provisioning",
            Self::DeletesAtDelivery => "retry queue, two faults, one instance",
            Self::AcknowledgesFailedRetries => "retry queue, locked zones",
            Self::StoresNoRecheck => "retry queue, a read is stale",
            Self::StoresForEach | Self::TakesRechecksForDeletion | Self::CountsNoRechecks => {
                "retry queue, no fault"
            }
        }
    }

    /// The time that instances believe in.
    pub(crate) fn now(self) -> u64 {
        if self == Self::ForgetsEarly { NOW + 1000 } else { NOW }
    }

    /// Decides, but for a rule.
    pub(crate) fn decide(broken: Option<Self>, rules: Rules, goal: &Goal, facts: &Facts) -> Decision {
        let ownership =
            if broken == Some(Self::AdoptsUnderStrict) { Ownership::Adopt } else { rules.ownership };
        let mut decision = decide(Rules { ownership, ..rules }, goal, facts);
        let Some(broken) = broken else { return decision };
        match (broken, &mut decision.step) {
            (Self::RemovesAFirst, Step::Act { write, .. }) if write.iter().all(is_ptr_removal) => {
                // What comes after these writes comes instead of them.
                let mut later = facts.clone();
                for change in write.iter() {
                    later.learn_write(goal, change, WriteResult::Assumed);
                }
                let next = decide(rules, goal, &later);
                let is_removal = |change: &Change| matches!(change, Change::A(edit) if edit.after.is_none());
                if matches!(&next.step, Step::Act { write, .. } if write.iter().any(is_removal)) {
                    return next;
                }
            }
            (Self::WritesPtrWithA, Step::Act { read, write }) => {
                let new: Vec<Change> = write.iter().filter_map(|change| ptr_with(change, read)).collect();
                read.retain(|key| !new.iter().any(|change| goal.key_of(change).as_ref() == Some(key)));
                write.extend(new);
            }
            (Self::VerifiesNothing, step @ Step::Verify) => {
                *step = Step::Done(Verdict::Right(Right::Absent));
            }
            (Self::LeavesOldNames, Step::Act { read, write }) if read.is_empty() => {
                let is_live = decision.target.as_ref().is_some_and(|target| target.address.is_some());
                let is_removal = |change: &Change| matches!(change, Change::A(edit) if edit.after.is_none());
                if is_live && write.iter().any(is_removal) {
                    decision.step = Step::Done(Verdict::Right(Right::Absent));
                }
            }
            (_, Step::Act { write, .. }) => write.iter_mut().for_each(|change| broken.distort(change)),
            _ => {}
        }
        decision
    }

    /// Distorts a write.
    fn distort(self, change: &mut Change) {
        match (self, change) {
            (Self::RemembersNothing, Change::A(Edit { before: Some(before), after: Some(after), .. })) => {
                match before.content.metadata.get(PREVIOUS_KEY) {
                    Some(memory) => _ = after.metadata.insert(PREVIOUS_KEY.to_owned(), memory.clone()),
                    None => _ = after.metadata.remove(PREVIOUS_KEY),
                }
            }
            (Self::DeletesAndCreates, Change::A(Edit { before: Some(before), after, .. }))
                if after.as_ref().is_some_and(|after| after.records != before.content.records) =>
            {
                *after = None;
            }
            (Self::ReservesNothing, Change::A(Edit { after, .. }))
                if after.as_ref().is_some_and(|after| after.records.is_empty()) =>
            {
                *after = None;
            }
            (Self::DropsMetadata, Change::A(Edit { after: Some(after), .. })) => own(&mut after.metadata),
            (Self::DropsMetadata, Change::Ptr(Edit { after: Some(after), .. })) => own(&mut after.metadata),
            (Self::DropsValues, Change::Ptr(Edit { after, .. })) => {
                if let Some(content) = after {
                    content.records.retain(|target| target.as_str().ends_with(".internal"));
                    if content.records.is_empty() {
                        *after = None;
                    }
                }
            }
            _ => {}
        }
    }

    /// What is learned from an answer.
    pub(crate) fn learns(self, group: u8, request: &Request, answer: Answer) -> Answer {
        match (self, request, answer) {
            (Self::ForgetsUnseen, Request::Read(Read::Set(set)), Answer::Set(_))
                if matches!(subject(*set), Subject::Ptr(_)) =>
            {
                Answer::Set(None)
            }
            (Self::ListsNothing, Request::Read(Read::PtrList), Answer::List(_)) => Answer::List(vec![]),
            (Self::TakesRacesForSuccess, Request::Write(write), Answer::Failed(FailureKind::Race))
            | (Self::TakesLostForSuccess, Request::Write(write), Answer::Failed(FailureKind::Uncertain))
            | (Self::TakesRefusalForSuccess, Request::Write(write), Answer::Failed(FailureKind::Refused)) => {
                Answer::Written(write.after.map(|_| write.label.unwrap_or_default()))
            }
            (Self::TakesPtrFailureForAbsence, Request::Read(Read::PtrList), Answer::Failed(_)) => {
                Answer::List(vec![])
            }
            (Self::TakesPtrFailureForAbsence, Request::Read(Read::Set(set)), Answer::Failed(_))
                if matches!(subject(*set), Subject::Ptr(_)) =>
            {
                Answer::Set(None)
            }
            (
                Self::TakesProvisioningForAbsence,
                Request::Read(Read::Group | Read::Confirmation),
                Answer::Group(seen),
            ) if seen.life == Life::Provisioning => Answer::Group(Group::default()),
            (Self::IgnoresMarks, Request::Read(_), Answer::Set(Some((mut content, label)))) => {
                content.mark = Mark::Group(group);
                Answer::Set(Some((content, label)))
            }
            (Self::TakesGroupFailureForAbsence, Request::Read(Read::Group), Answer::Failed(_))
            | (
                Self::TakesOwnersForDeleted,
                Request::Read(Read::Owner(_) | Read::OwnerConfirmation(_)),
                Answer::Group(_),
            )
            | (Self::ConfirmsNoOwner, Request::Read(Read::OwnerConfirmation(_)), Answer::Group(_)) => {
                Answer::Group(Group::default())
            }
            (_, _, answer) => answer,
        }
    }

    /// What is learned as a fact. `seen` is the group as it was read last.
    pub(crate) fn learns_fact(broken: Option<Self>, fact: Fact, seen: Option<&Observation>) -> Fact {
        match (broken, fact, seen) {
            (Some(Self::ConfirmsNothing), Fact::Confirmation(Ok(_)), Some(seen)) => {
                Fact::Confirmation(Ok(seen.clone()))
            }
            (_, fact, _) => fact,
        }
    }

    /// The goal that is pursued instead of another one.
    pub(crate) fn pursues(broken: Option<Self>, goal: GoalId) -> GoalId {
        let is_recheck = Places::evidence_of(goal) == Evidence::Absence;
        if broken == Some(Self::TakesAnyEventForEvidence)
            || (broken == Some(Self::TakesRechecksForDeletion) && is_recheck)
        {
            Places::goal_id(Places::group_of(goal), Evidence::Deletion)
        } else {
            goal
        }
    }

    /// Begins a verification, but for a rule. `seen` is the group as it was read last.
    pub(crate) fn begin_verification(broken: Option<Self>, facts: &mut Facts, seen: Option<Observation>) {
        facts.begin_verification();
        if let (Some(Self::VerifiesOnlyA), Some(seen)) = (broken, seen) {
            facts.learn(Fact::Group(Ok(seen)));
        }
    }

    /// Begins another pass, but for a rule. `seen` is the group as it was read last.
    pub(crate) fn begin_pass(broken: Option<Self>, facts: &mut Facts, seen: Option<Observation>) {
        _ = facts.begin_pass();
        match (broken, seen) {
            (Some(Self::LosesRunState), _) => {
                let wait: Duration = facts.run.wait_left();
                facts.run = RunState::new(wait);
            }
            (Some(Self::KeepsGroup), Some(seen)) => facts.learn(Fact::Group(Ok(seen))),
            _ => {}
        }
    }

    /// What is stored instead of this. `of` is the work of the invocation.
    pub(crate) fn follows_up(self, of: &Work, follow_up: FollowUp) -> FollowUp {
        match (self, follow_up) {
            (Self::StoresNoSuccessor, FollowUp::Retry(_)) if of.is_retry => FollowUp::None,
            (Self::StoresNoRecheck, FollowUp::Recheck(_)) => FollowUp::None,
            (Self::CountsNoRechecks, FollowUp::Recheck(message)) => {
                FollowUp::Recheck(RetryMessage { rechecks: 1, ..message })
            }
            (_, follow_up) => follow_up,
        }
    }

    /// What events are answered with.
    pub(crate) fn answers(self, outcome: Outcome) -> Outcome {
        if self == Self::AcknowledgesFailures { Outcome::Acknowledged } else { outcome }
    }
}

fn is_ptr_removal(change: &Change) -> bool {
    matches!(change, Change::Ptr(edit) if edit.before.is_some())
}

/// The creation of a PTR record that is read beside the write of an A record set.
fn ptr_with(change: &Change, read: &[Key]) -> Option<Change> {
    let Change::A(a) = change else { return None };
    let (after, address) = (a.after.as_ref()?, *a.after.as_ref()?.records.first()?);
    let key = read.iter().find_map(|key| match key {
        Key::Ptr(key) if key.address == Some(address) => Some(key),
        _ => None,
    })?;
    let mut zone = a.zone.clone();
    zone.name = "1.10.in-addr.arpa".parse().ok()?;
    let content = RecordContent {
        ttl: after.ttl,
        records: vec![PtrTarget::from(&a.name.within(&a.zone.name))],
        metadata: after
            .metadata
            .iter()
            .filter(|(key, _)| *key == OWNER_KEY)
            .map(|(key, value)| (key.clone(), value.clone()))
            .collect(),
    };
    Some(Change::Ptr(Edit { zone, name: key.name.clone(), before: None, after: Some(content) }))
}

/// Only what this program writes.
fn own(metadata: &mut Metadata) {
    metadata.retain(|key, _| [OWNER_KEY, PREVIOUS_KEY].contains(&key.as_str()));
}
