//! One change of one record set: its state before and after, the precondition of the write, and its text in a plan.
//!
//! Pure. Only [`crate::decide`] creates changes.

use std::{collections::BTreeSet, fmt, net::Ipv4Addr};

use crate::domain::dns::{
    Content, ETag, OWNER_KEY, PREVIOUS_KEY, Precondition, PreviousAddresses, PtrTarget, RecordSet,
    RecordType, RelativeName, Zone,
};
use crate::domain::secret::SecretEdit;

/// One record set before and after.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit<Record> {
    /// The zone of the record set.
    pub zone: Zone,
    /// Its relative name.
    pub name: RelativeName,
    /// The record set as read; `None` if there is none.
    pub before: Option<RecordSet<Record>>,
    /// The new content; `None` for a deletion.
    pub after: Option<Content<Record>>,
}

impl<Record> Edit<Record> {
    /// The precondition of the write: the record set is unchanged since it was read.
    #[must_use]
    pub fn precondition(&self) -> Precondition {
        self.before
            .as_ref()
            .map_or(Precondition::Absent, |before| Precondition::Unchanged(before.etag.clone()))
    }
}

/// A change of either kind of record set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// Of an A record set.
    A(Edit<Ipv4Addr>),
    /// Of a PTR record set.
    Ptr(Edit<PtrTarget>),
}

/// A conditional write, for a comparison with a reviewed plan.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Write {
    /// The resource id of the zone.
    pub zone: String,
    /// The ETag that the record set must have; `None` if it must not exist.
    pub etag: Option<String>,
    /// The change, as a plan shows it.
    pub change: String,
}

impl Write {
    /// The write of a secret. A vault has no conditional writes; the old value is a part of the change.
    #[must_use]
    pub fn of_secret(edit: &SecretEdit) -> Self {
        Self { zone: edit.id.vault.url().to_string(), etag: None, change: edit.to_string() }
    }
}

/// The effect of a change on the answers of DNS.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Effect {
    /// A name gets answers.
    Adds,
    /// The answers or their TTL change.
    Alters,
    /// A name loses its answers.
    Removes,
    /// Only the metadata changes, not the answers.
    Marks,
}

impl Change {
    /// The zone of the record set.
    #[must_use]
    pub fn zone(&self) -> &Zone {
        match self {
            Self::A(edit) => &edit.zone,
            Self::Ptr(edit) => &edit.zone,
        }
    }

    /// Type and relative name of the record set.
    #[must_use]
    pub fn record_set(&self) -> (RecordType, &RelativeName) {
        match self {
            Self::A(edit) => (RecordType::A, &edit.name),
            Self::Ptr(edit) => (RecordType::Ptr, &edit.name),
        }
    }

    /// The conditional write.
    #[must_use]
    pub fn write(&self) -> Write {
        let etag = match self {
            Self::A(edit) => edit.before.as_ref().map(|before| &before.etag),
            Self::Ptr(edit) => edit.before.as_ref().map(|before| &before.etag),
        };
        let etag = etag.map(|etag| etag.as_str().to_owned());
        Write { zone: self.zone().id().to_lowercase(), etag, change: self.to_string() }
    }

    /// Whether the record set is deleted.
    #[must_use]
    pub fn is_deletion(&self) -> bool {
        match self {
            Self::A(edit) => edit.after.is_none(),
            Self::Ptr(edit) => edit.after.is_none(),
        }
    }

    /// The version that it deletes.
    #[must_use]
    pub fn deleted_version(&self) -> Option<&ETag> {
        match self {
            Self::A(Edit { before: Some(before), after: None, .. }) => Some(&before.etag),
            Self::Ptr(Edit { before: Some(before), after: None, .. }) => Some(&before.etag),
            Self::A(_) | Self::Ptr(_) => None,
        }
    }

    /// The effect on the answers of DNS.
    #[must_use]
    pub fn effect(&self) -> Effect {
        match self {
            Self::A(edit) => edit.effect(),
            Self::Ptr(edit) => edit.effect(),
        }
    }

    /// Whether it takes over a record set that carried no mark.
    #[must_use]
    pub fn is_adoption(&self) -> bool {
        match self {
            Self::A(edit) => edit.is_adoption(),
            Self::Ptr(edit) => edit.is_adoption(),
        }
    }
}

impl<Record: PartialEq> Edit<Record> {
    fn effect(&self) -> Effect {
        match (&self.before, &self.after) {
            (None, _) => Effect::Adds,
            (Some(_), None) => Effect::Removes,
            (Some(before), Some(after)) => {
                let is_same = before.content.records == after.records && before.content.ttl == after.ttl;
                if is_same { Effect::Marks } else { Effect::Alters }
            }
        }
    }

    fn is_adoption(&self) -> bool {
        self.before.as_ref().is_some_and(|before| before.owner().is_none())
            && self.after.as_ref().is_some_and(|after| after.metadata.contains_key(OWNER_KEY))
    }
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::A(edit) => show(formatter, RecordType::A, edit),
            Self::Ptr(edit) => show(formatter, RecordType::Ptr, edit),
        }
    }
}

/// One line, like a line of a diff: `+`, `-` or `~`, the record set, its records, and the other changes.
fn show<Record: fmt::Display>(
    formatter: &mut fmt::Formatter<'_>,
    record_type: RecordType,
    edit: &Edit<Record>,
) -> fmt::Result {
    let join = |records: &[Record]| match records {
        [] => "(empty)".to_owned(),
        records => records.iter().map(Record::to_string).collect::<Vec<_>>().join(" "),
    };
    let name = edit.name.within(&edit.zone.name);
    match (&edit.before, &edit.after) {
        (None, None) => Ok(()),
        (None, Some(after)) => write!(formatter, "+ {record_type} {name} {}", join(&after.records)),
        (Some(before), None) => {
            write!(formatter, "- {record_type} {name} {}", join(&before.content.records))
        }
        (Some(before), Some(after)) => {
            let (old, new) = (join(&before.content.records), join(&after.records));
            let arrow = if old == new { String::new() } else { format!("{old} -> ") };
            write!(formatter, "~ {record_type} {name} {arrow}{new}")?;
            let notes = notes(&before.content, after);
            if notes.is_empty() { Ok(()) } else { write!(formatter, " ({})", notes.join(", ")) }
        }
    }
}

/// The changes of TTL and metadata.
fn notes<Record>(before: &Content<Record>, after: &Content<Record>) -> Vec<String> {
    let mut notes = Vec::new();
    if before.ttl != after.ttl {
        notes.push(format!("ttl {} -> {}", before.ttl, after.ttl));
    }
    let owner = |content: &Content<Record>| content.metadata.get(OWNER_KEY).cloned();
    match (owner(before), owner(after)) {
        (old, new) if old == new => {}
        (old, Some(new)) => notes.push(format!("owner {} -> {new}", old.as_deref().unwrap_or("none"))),
        (old, None) => notes.push(format!("owner {} -> none", old.as_deref().unwrap_or("none"))),
    }
    let memory = |content: &Content<Record>| {
        let text = content.metadata.get(PREVIOUS_KEY).map_or("", String::as_str);
        PreviousAddresses::parse(text).addresses().collect::<BTreeSet<_>>()
    };
    let (old, new) = (memory(before), memory(after));
    notes.extend(new.difference(&old).map(|address| format!("remember {address}")));
    notes.extend(old.difference(&new).map(|address| format!("forget {address}")));
    notes
}
