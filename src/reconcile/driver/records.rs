//! The reads of record sets: each is one request, or in a storm the answer of a shared list
//! ([`crate::reconcile::lists`]).

use std::{collections::BTreeSet, sync::Arc};

use super::Access;
use crate::{
    azure::arm::{ArmError, SharedList, Wanted},
    domain::dns::{ARecordSet, PtrRecordSet, RecordType, RelativeName, Zone},
};

impl Access<'_> {
    /// An A record set, read singly or in a list.
    pub(super) async fn a_record_set(
        &self,
        zone: &Zone,
        name: &RelativeName,
    ) -> Result<Option<ARecordSet>, ArmError> {
        if let Some(list) = self.list_with(RecordType::A, zone, name).await {
            return list.reader().a_record_set(zone, name).await;
        }
        let single = self.reader.a_record_set(zone, name).await;
        if !is_throttled(&single) {
            return single;
        }
        match self.list_with(RecordType::A, zone, name).await {
            Some(list) => list.reader().a_record_set(zone, name).await,
            None => single,
        }
    }

    /// A PTR record set, read singly or in a list.
    pub(super) async fn ptr_record_set(
        &self,
        zone: &Zone,
        name: &RelativeName,
    ) -> Result<Option<PtrRecordSet>, ArmError> {
        if let Some(list) = self.list_with(RecordType::Ptr, zone, name).await {
            return list.reader().ptr_record_set(zone, name).await;
        }
        let single = self.reader.ptr_record_set(zone, name).await;
        if !is_throttled(&single) {
            return single;
        }
        match self.list_with(RecordType::Ptr, zone, name).await {
            Some(list) => list.reader().ptr_record_set(zone, name).await,
            None => single,
        }
    }

    /// All A record sets of a zone, in a list of its own or a shared one.
    pub(super) async fn list_a_record_sets(
        &self,
        zone: &Zone,
    ) -> Result<Vec<(RelativeName, ARecordSet)>, ArmError> {
        match self.whole_list(RecordType::A, zone).await {
            Some(list) => list.reader().list_a_record_sets(zone).await,
            None => self.reader.list_a_record_sets(zone).await,
        }
    }

    /// All PTR record sets of a zone, likewise.
    pub(super) async fn list_ptr_record_sets(
        &self,
        zone: &Zone,
    ) -> Result<Vec<(RelativeName, PtrRecordSet)>, ArmError> {
        match self.whole_list(RecordType::Ptr, zone).await {
            Some(list) => list.reader().list_ptr_record_sets(zone).await,
            None => self.reader.list_ptr_record_sets(zone).await,
        }
    }

    /// The list that answers the read of a record set; `None` if it is read singly.
    async fn list_with(
        &self,
        record_type: RecordType,
        zone: &Zone,
        name: &RelativeName,
    ) -> Option<Arc<SharedList>> {
        let lists = self.lists.filter(|lists| lists.stand_for(zone))?;
        let wanted = Wanted::Names(BTreeSet::from([name.clone()]));
        let list = lists.list((self.reader, self.slot), record_type, zone, wanted).await?;
        (!list.has_left_out(name)).then_some(list)
    }

    /// A list of the whole zone that many groups need, throttled or not; `None` if few groups wait for the zone.
    async fn whole_list(&self, record_type: RecordType, zone: &Zone) -> Option<Arc<SharedList>> {
        let lists = self.lists.filter(|lists| lists.are_shared(zone))?;
        lists.list((self.reader, self.slot), record_type, zone, Wanted::All).await
    }
}

fn is_throttled<Value>(result: &Result<Value, ArmError>) -> bool {
    result.as_ref().is_err_and(|error| error.throttled().is_some())
}
