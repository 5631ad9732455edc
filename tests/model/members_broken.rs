//! Rules about services that are broken on purpose.

use std::collections::BTreeMap;

use aci_dns::{
    decide::{WriteResult, change::Change, service::ServiceKey},
    domain::{dns::OWNER_KEY, failure::FailureKind},
};

use super::members::{Member, MemberLife, ServiceAnswer};

/// A rule that is broken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ServiceBroken {
    /// An address leaves after one read of a stopped or deleted group.
    ConfirmsNoGroup,
    /// One list counts as two.
    ConfirmsNoList,
    /// Another content is a deletion and a creation.
    DeletesAndCreates,
    /// A draining member counts as stopped, also if no other runs.
    FailsClosed,
    /// A write is not verified.
    VerifiesNothing,
    /// Writes carry no condition.
    WritesUnconditionally,
    /// A write that lost a race counts as done.
    TakesRacesForSuccess,
    /// A write whose answer was lost counts as done.
    TakesLostForSuccess,
    /// A stopped member counts as running, as in a list.
    TrustsLists,
    /// Metadata of others goes with a write.
    DropsMetadata,
    /// A member that cannot be read fails the invocations of all.
    FailsOthers,
}

impl ServiceBroken {
    /// All of them, with the scenario in which each is noticed.
    pub(crate) const ALL: [(Self, &'static str); 11] = [
        (Self::ConfirmsNoGroup, "service, a read is stale"),
        (Self::ConfirmsNoList, "service, a read is stale"),
        (Self::DeletesAndCreates, "service, no fault"),
        (Self::FailsClosed, "service, drain"),
        (Self::VerifiesNothing, "service, no fault"),
        (Self::WritesUnconditionally, "service, no fault"),
        (Self::TakesRacesForSuccess, "service, no fault"),
        (Self::TakesLostForSuccess, "service, an answer is lost"),
        (Self::TrustsLists, "service, no fault"),
        (Self::DropsMetadata, "service, no fault"),
        (Self::FailsOthers, "service, a member cannot be read"),
    ];

    /// Distorts a write.
    pub(crate) fn distort(broken: Option<Self>, change: &mut Change) {
        let Change::A(edit) = change else { return };
        match broken {
            Some(Self::DeletesAndCreates) if edit.before.is_some() => edit.after = None,
            Some(Self::DropsMetadata) => {
                if let Some(after) = &mut edit.after {
                    after.metadata.retain(|key, _| key == OWNER_KEY);
                }
            }
            _ => {}
        }
    }

    /// What is learned from an answer. `reads` are the answers of this pass.
    pub(crate) fn learns(
        self,
        key: &ServiceKey,
        answer: ServiceAnswer,
        reads: &BTreeMap<ServiceKey, ServiceAnswer>,
    ) -> ServiceAnswer {
        match (self, key, answer) {
            (Self::ConfirmsNoGroup, ServiceKey::GroupAgain(id), _) => reads[&ServiceKey::Group(id.clone())],
            (Self::ConfirmsNoList, ServiceKey::GroupsAgain, _) => reads[&ServiceKey::Groups],
            (Self::FailsClosed, _, ServiceAnswer::Group(member)) => match member.life {
                MemberLife::Running(address) if member.is_draining => {
                    ServiceAnswer::Group(Member { life: MemberLife::Stopped(address), ..member })
                }
                _ => answer,
            },
            (Self::TrustsLists, _, ServiceAnswer::Group(member)) => match member.life {
                MemberLife::Stopped(address) => {
                    ServiceAnswer::Group(Member { life: MemberLife::Running(address), ..member })
                }
                _ => answer,
            },
            (_, _, answer) => answer,
        }
    }

    /// What is learned from the result of a write.
    pub(crate) fn writes(self, result: WriteResult) -> WriteResult {
        let is_race = result == WriteResult::Failed(FailureKind::Race);
        let is_lost = result == WriteResult::Failed(FailureKind::Uncertain);
        match self {
            Self::VerifiesNothing if matches!(result, WriteResult::Written(_)) => WriteResult::Assumed,
            Self::TakesRacesForSuccess if is_race => WriteResult::Assumed,
            Self::TakesLostForSuccess if is_lost => WriteResult::Assumed,
            _ => result,
        }
    }
}
