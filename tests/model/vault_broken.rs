//! Rules about secrets that are broken on purpose.

use aci_dns::{
    decide::{
        Decision, Facts, Goal, Key, Rules, SecretStep, SecretVerdict, Step, Verdict, WriteResult, decide,
    },
    domain::{dns::OWNER_KEY, failure::FailureKind},
};

use super::{
    knowledge::Outcome,
    vault::{SecretAnswer, SecretContent},
    world::{ELSEWHERE, Group, Mark},
};

/// A rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum VaultBroken {
    /// A secret is written although it is right.
    WritesUnasked,
    /// A write whose answer was lost counts as done.
    TakesLostForSuccess,
    /// A secret is taken from another group after one read of it.
    ConfirmsNoOwner,
    /// Secrets without a mark count as ours.
    IgnoresMarks,
    /// Tags of others go with a write.
    DropsTags,
    /// A failure of the vault is acknowledged.
    AcknowledgesFailures,
    /// The secret waits until the record sets are right.
    WaitsForRecords,
}

impl VaultBroken {
    /// All of them, with the scenario in which each is noticed.
    pub(crate) const ALL: [(Self, &'static str); 7] = [
        (Self::WritesUnasked, "secret, no fault"),
        (Self::TakesLostForSuccess, "secret, an answer is lost"),
        (Self::ConfirmsNoOwner, "secret, rivals, a stale read"),
        (Self::IgnoresMarks, "secret, edits, strict"),
        (Self::DropsTags, "secret, edits, strict"),
        (Self::AcknowledgesFailures, "secret, the vault fails"),
        (Self::WaitsForRecords, "secret, locked zones"),
    ];

    /// Decides, but for a rule.
    pub(crate) fn decide(broken: Option<Self>, rules: Rules, goal: &Goal, facts: &Facts) -> Decision {
        let mut decision = decide(rules, goal, facts);
        match broken {
            Some(Self::DropsTags) => {
                if let SecretStep::Write(edit) = &mut decision.secret {
                    edit.after.tags.retain(|key, _| key == OWNER_KEY || key.starts_with("created"));
                }
            }
            Some(Self::WaitsForRecords) => {
                let has_failed = matches!(decision.step, Step::Done(Verdict::Failed(_)));
                if has_failed {
                    decision.secret = SecretStep::Done(SecretVerdict::Nothing);
                } else if !matches!(decision.step, Step::Done(_)) {
                    decision.secret = SecretStep::Wait;
                }
            }
            _ => {}
        }
        decision
    }

    /// What is learned from an answer.
    pub(crate) fn learns(self, step: &SecretStep, answer: SecretAnswer) -> SecretAnswer {
        match (self, step, answer) {
            (Self::ConfirmsNoOwner, SecretStep::Read(Key::OwnerConfirmation(_)), SecretAnswer::Group(_)) => {
                SecretAnswer::Group(Group::default())
            }
            (Self::IgnoresMarks, _, SecretAnswer::Secret(Some(content))) if content.mark == Mark::None => {
                SecretAnswer::Secret(Some(SecretContent { mark: Mark::Group(0), ..content }))
            }
            // What is right looks wrong.
            (Self::WritesUnasked, _, SecretAnswer::Secret(Some(content))) => {
                SecretAnswer::Secret(Some(SecretContent { value: ELSEWHERE, ..content }))
            }
            (_, _, answer) => answer,
        }
    }

    /// What is learned from the result of a write.
    pub(crate) fn writes(self, result: WriteResult) -> WriteResult {
        let is_lost = result == WriteResult::Failed(FailureKind::Uncertain);
        if self == Self::TakesLostForSuccess && is_lost { WriteResult::Assumed } else { result }
    }

    /// What the secret's part of an invocation is answered with.
    pub(crate) fn answers(self, outcome: Outcome) -> Outcome {
        if self == Self::AcknowledgesFailures { Outcome::Acknowledged } else { outcome }
    }
}
