//! Changes -> conditional writes. The only place that writes.
//!
//! What is written and in which order is decided elsewhere; here each change becomes one request, conditional on
//! what was read, and the changes of one step go out together.

use futures::future::join_all;

use crate::{
    arm::{ArmError, Reader, Writer},
    dns::{ETag, Precondition, RecordType},
    plan::Change,
};

/// What may be done with a plan.
#[derive(Debug)]
pub enum Hand {
    /// It stays a plan: there is nothing here that could write.
    Observes(Reader),
    /// It is applied.
    Writes(Writer),
}

impl Hand {
    /// What reads.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        match self {
            Self::Observes(reader) => reader,
            Self::Writes(writer) => writer.reader(),
        }
    }
}

/// What became of a change.
#[derive(Debug)]
pub struct Applied {
    /// The change.
    pub change: Change,
    /// The new version of the record set, where it was written and still exists; or why it was not.
    pub result: Result<Option<ETag>, ArmError>,
}

/// Applies the changes of one step, all at once.
pub async fn step(hand: &Hand, changes: Vec<Change>) -> Vec<Applied> {
    join_all(changes.into_iter().map(|change| one(hand, change))).await
}

async fn one(hand: &Hand, change: Change) -> Applied {
    let result = match hand {
        Hand::Observes(_) => Ok(None),
        Hand::Writes(writer) => write(writer, &change).await,
    };
    Applied { change, result }
}

async fn write(writer: &Writer, change: &Change) -> Result<Option<ETag>, ArmError> {
    let (record_type, zone, name, precondition) = match change {
        Change::A(edit) => (RecordType::A, &edit.zone, &edit.name, edit.precondition()),
        Change::Ptr(edit) => (RecordType::Ptr, &edit.zone, &edit.name, edit.precondition()),
    };
    match (change, precondition) {
        (Change::A(edit), precondition) if let Some(content) = &edit.after => {
            writer.put_a_record_set(zone, name, content, &precondition).await.map(Some)
        }
        (Change::Ptr(edit), precondition) if let Some(content) = &edit.after => {
            writer.put_ptr_record_set(zone, name, content, &precondition).await.map(Some)
        }
        (_, Precondition::Unchanged(etag)) => {
            writer.delete_record_set(record_type, zone, name, &etag).await.map(|()| None)
        }
        // Nothing before and nothing after: there is nothing to do.
        (_, Precondition::Absent) => Ok(None),
    }
}
