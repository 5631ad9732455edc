//! The reads of record sets in a storm: shared lists answer them ([`crate::reconcile::lists`]).
//!
//! What waits for a list is boxed, so that the run of an event without a storm does not need the room for it.

use std::{collections::BTreeSet, sync::Arc};

use futures::future::{BoxFuture, join_all, try_join_all};

use super::{Access, ReadAnswer, answer, keyed, read};
use crate::{
    azure::arm::{ArmError, SharedList, WantedNames},
    decide::{Fact, Goal, Key},
    domain::dns::{ARecordSet, RecordType, RelativeName, ReverseZone, Zone},
    reconcile::lists::ZoneLists,
};

/// The list that a read needs: its record type, its zone, and the name of the record set, or `None` for the whole zone.
/// `None` for a read that no list of record sets answers.
fn listing<'a>(goal: &'a Goal, key: &'a Key) -> Option<(RecordType, &'a Zone, Option<&'a RelativeName>)> {
    let reverse = |index: usize| goal.zones.reverse.get(index).map(ReverseZone::zone);
    match key {
        Key::A(name) => Some((RecordType::A, &goal.zones.forward, Some(name))),
        Key::AList => Some((RecordType::A, &goal.zones.forward, None)),
        Key::Ptr(ptr) => Some((RecordType::Ptr, reverse(ptr.zone)?, Some(&ptr.name))),
        Key::PtrList(index) => Some((RecordType::Ptr, reverse(*index)?, None)),
        Key::Group | Key::Confirmation | Key::Owner(_) | Key::OwnerConfirmation(_) | Key::Cname(_) => None,
    }
}

impl<'a> Access<'a> {
    /// Whether a list answers one of these reads.
    pub(super) fn is_any_listed(self, goal: &Goal, keys: &[Key]) -> bool {
        keys.iter().any(|key| self.lists_for(goal, key).is_some())
    }

    /// Whether Azure throttled a read that a list answers now.
    pub(super) fn is_listed_instead(self, goal: &Goal, (_, error): &ReadAnswer) -> bool {
        let Some((key, error)) = error else { return false };
        error.throttled().is_some() && self.lists_for(goal, key).is_some()
    }

    /// Sends reads together, some of them as lists. A required read that fails ends the others.
    pub(super) fn read_in_storm(self, goal: &'a Goal, keys: Vec<Key>) -> BoxFuture<'a, Vec<ReadAnswer>> {
        let reads = keys.into_iter().map(move |key| async move {
            let is_required = key.is_required();
            let answer = self.read_in_list(goal, key).await;
            if is_required && answer.1.is_some() { Err(answer) } else { Ok(answer) }
        });
        Box::pin(async move { try_join_all(reads).await.unwrap_or_else(|answer| vec![answer]) })
    }

    /// Replaces the answers to throttled reads by those of lists.
    pub(super) fn list_instead(
        self,
        goal: &'a Goal,
        answers: Vec<ReadAnswer>,
    ) -> BoxFuture<'a, Vec<ReadAnswer>> {
        let answers = answers.into_iter().map(move |answer| async move {
            match &answer.1 {
                Some((key, _)) if self.is_listed_instead(goal, &answer) => {
                    self.read_in_list(goal, key.clone()).await
                }
                _ => answer,
            }
        });
        Box::pin(join_all(answers))
    }

    /// The lists, if they answer this read.
    fn lists_for(self, goal: &Goal, key: &Key) -> Option<&'a ZoneLists> {
        let lists = self.lists?;
        let (_, zone, name) = listing(goal, key)?;
        let is_shared = if name.is_some() { lists.stand_for(zone) } else { lists.are_shared(zone) };
        is_shared.then_some(lists)
    }

    /// A read, in a list if that answers it.
    async fn read_in_list(self, goal: &Goal, key: Key) -> ReadAnswer {
        if let Some(lists) = self.lists_for(goal, &key)
            && let Some((record_type, zone, name)) = listing(goal, &key)
            && let Some(list) = self.list(lists, record_type, zone, name).await
            && let Some(answer) = answer_of(&list, goal, key.clone())
        {
            return answer;
        }
        read(self.reader, goal, key).await
    }

    /// An A record set, read singly or in a list.
    pub(super) async fn a_record_set(
        self,
        zone: &Zone,
        name: &RelativeName,
    ) -> Result<Option<ARecordSet>, ArmError> {
        if let Some(lists) = self.lists.filter(|lists| lists.stand_for(zone)) {
            let list = Box::pin(self.list(lists, RecordType::A, zone, Some(name)));
            if let Some(list) = list.await {
                return list.a_record_set(zone, name);
            }
        }
        self.reader.a_record_set(zone, name).await
    }

    /// A list that starts now; `None` if it cannot tell what the record set contains.
    async fn list(
        self,
        lists: &ZoneLists,
        record_type: RecordType,
        zone: &Zone,
        name: Option<&RelativeName>,
    ) -> Option<Arc<SharedList>> {
        let wanted = name.map_or(WantedNames::All, |name| WantedNames::Names(BTreeSet::from([name.clone()])));
        let list = lists.list((self.reader, self.slot), record_type, zone, wanted).await?;
        (!name.is_some_and(|name| list.has_left_out(name))).then_some(list)
    }
}

/// The answer of a list; `None` for a read that no list of record sets answers.
fn answer_of(list: &SharedList, goal: &Goal, key: Key) -> Option<ReadAnswer> {
    let forward = &goal.zones.forward;
    Some(match key.clone() {
        Key::A(name) => answer(key, list.a_record_set(forward, &name), |read| Fact::A(name, read)),
        Key::AList => answer(key, list.a_record_sets(forward), Fact::AList),
        Key::Ptr(ptr) => {
            let zone = goal.zones.reverse.get(ptr.zone)?.zone();
            answer(key, list.ptr_record_set(zone, &ptr.name), |read| Fact::Ptr(ptr, read))
        }
        Key::PtrList(index) => {
            let zone = goal.zones.reverse.get(index)?;
            let sets = list.ptr_record_sets(zone.zone()).map(|sets| keyed(zone, index, sets));
            answer(key, sets, |read| Fact::PtrList(index, read))
        }
        Key::Group | Key::Confirmation | Key::Owner(_) | Key::OwnerConfirmation(_) | Key::Cname(_) => {
            return None;
        }
    })
}
