//! The facts about the services of one resource group, and how answers change them.
//!
//! All services of the resource group share the reads of its container groups. Each service has a run of its own: its
//! writes, and how many of its passes were outdated.
//!
//! Pure: the driver ([`crate::reconcile::driver`]) and the tests supply the answers.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use super::{
    keys::{ServiceFact, ServiceKey},
    verdict::ServiceVerdict,
};
use crate::{
    decide::{Read, WriteResult, change::Change},
    domain::{
        dns::{ETag, RelativeName},
        failure::FailureKind,
    },
};

/// The pause after the second outdated pass; later pauses double.
const FIRST_BACKOFF: Duration = Duration::from_millis(100);

/// All facts. See the module's documentation.
#[derive(Clone, Debug, Default)]
pub struct ServiceFacts {
    pub(super) pass: BTreeMap<ServiceKey, Read<ServiceFact>>,
    pub(super) runs: BTreeMap<RelativeName, ServiceRun>,
}

/// The state of one service.
#[derive(Clone, Debug, Default)]
pub(super) struct ServiceRun {
    pub(super) verdict: Option<ServiceVerdict>,
    pub(super) outdated_passes: u32,
    /// Another writer was first, the result of a write is unknown, or a verification differs.
    pub(super) is_outdated: bool,
    /// This pass wrote the record set, or in a dry run would have.
    pub(super) written: Option<Written>,
    /// The write failed and certainly did not happen. A clash: Azure refuses the record set because of another one.
    pub(super) failed: Option<FailureKind>,
    /// Azure refused to delete the record set.
    pub(super) is_delete_refused: bool,
    /// This invocation wrote the record set, or may have.
    pub(super) has_written: bool,
    /// The versions that this invocation deleted: a read of one of them is stale.
    pub(super) deleted: BTreeSet<ETag>,
}

/// A write that succeeded.
#[derive(Clone, Debug)]
pub(super) struct Written {
    pub(super) etag: Option<ETag>,
    /// A dry run pretends that it happened, so there is nothing to verify.
    pub(super) is_assumed: bool,
}

impl ServiceFacts {
    /// Learns an answer.
    pub fn learn(&mut self, key: ServiceKey, read: Read<ServiceFact>) {
        self.pass.insert(key, read);
    }

    /// Learns the result of the write of a service.
    pub fn learn_write(&mut self, change: &Change, result: WriteResult) {
        let Change::A(edit) = change else { return };
        let run = self.runs.entry(edit.name.clone()).or_default();
        run.has_written |=
            matches!(result, WriteResult::Written(_) | WriteResult::Failed(FailureKind::Uncertain));
        match result {
            WriteResult::Written(etag) => {
                run.deleted.extend(change.deleted_version().cloned());
                run.written = Some(Written { etag, is_assumed: false });
            }
            WriteResult::Assumed => run.written = Some(Written { etag: None, is_assumed: true }),
            WriteResult::Failed(FailureKind::Race | FailureKind::Uncertain) => run.is_outdated = true,
            WriteResult::Failed(FailureKind::Forbidden | FailureKind::Refused) if change.is_deletion() => {
                run.is_delete_refused = true;
            }
            WriteResult::Failed(kind) => run.failed = Some(kind),
        }
    }

    /// Keeps the verdict on a service.
    pub fn settle(&mut self, verdict: ServiceVerdict) {
        let run = self.runs.entry(verdict.name.clone()).or_default();
        run.verdict = Some(verdict);
    }

    /// Forgets what was read, because it is outdated for these services. Returns the pause before the next pass.
    pub fn begin_pass(&mut self, outdated: &[RelativeName]) -> Duration {
        self.pass.clear();
        let mut passes = 0;
        for name in outdated {
            let run = self.runs.entry(name.clone()).or_default();
            run.outdated_passes += 1;
            passes = passes.max(run.outdated_passes);
        }
        for run in self.runs.values_mut().filter(|run| run.verdict.is_none()) {
            run.is_outdated = false;
            run.written = None;
            run.failed = None;
        }
        // No pause after the first lost race: the other writer has finished by then.
        match passes.checked_sub(2) {
            None => Duration::ZERO,
            Some(doublings) => FIRST_BACKOFF * 2_u32.pow(doublings.min(5)),
        }
    }

    /// The verdicts, by name of the service.
    #[must_use]
    pub fn into_verdicts(self) -> Vec<ServiceVerdict> {
        self.runs.into_values().filter_map(|run| run.verdict).collect()
    }
}
