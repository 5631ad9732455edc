//! The conditional writes of record sets.

use std::net::Ipv4Addr;

use azure_mgmt_privatedns::package_2024_06::models;

use super::{ArmError, Cause, Operation, Reader, Subject, Writer, cause, check_zone, records};
use crate::domain::dns::{Content, ETag, Precondition, PtrTarget, RecordType, RelativeName, Zone};

impl Writer {
    /// The reader of the same connection.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Creates or replaces an A record set and returns its new ETag.
    pub async fn put_a_record_set(
        &self,
        zone: &Zone,
        name: &RelativeName,
        content: &Content<Ipv4Addr>,
        precondition: &Precondition,
    ) -> Result<ETag, ArmError> {
        self.put(RecordType::A, zone, name, records::a_model(content), precondition).await
    }

    /// Creates or replaces a PTR record set and returns its new ETag.
    pub async fn put_ptr_record_set(
        &self,
        zone: &Zone,
        name: &RelativeName,
        content: &Content<PtrTarget>,
        precondition: &Precondition,
    ) -> Result<ETag, ArmError> {
        self.put(RecordType::Ptr, zone, name, records::ptr_model(content), precondition).await
    }

    /// Deletes a record set with the given ETag. A record set that no longer exists counts as deleted.
    pub async fn delete_record_set(
        &self,
        record_type: RecordType,
        zone: &Zone,
        name: &RelativeName,
        etag: &ETag,
    ) -> Result<(), ArmError> {
        let operation =
            Operation { subject: Subject::Write, text: format!("delete {record_type} {name} in {zone}") };
        check_zone(zone).map_err(|cause| ArmError::new(&operation, cause))?;
        let request = self.connection.record_sets.delete(
            &zone.resource_group,
            zone.name.as_str(),
            record_type.to_string(),
            name.as_str(),
            &zone.subscription,
        );
        match request.if_match(etag.as_str()).send().await.map_err(cause) {
            Ok(_) => Ok(()),
            Err(Cause::Answer(answer)) if answer.says_no_record_set() => Ok(()),
            Err(cause) => Err(ArmError::new(&operation, cause)),
        }
    }

    async fn put(
        &self,
        record_type: RecordType,
        zone: &Zone,
        name: &RelativeName,
        model: models::RecordSet,
        precondition: &Precondition,
    ) -> Result<ETag, ArmError> {
        let operation =
            Operation { subject: Subject::Write, text: format!("write {record_type} {name} in {zone}") };
        check_zone(zone).map_err(|cause| ArmError::new(&operation, cause))?;
        let request = self.connection.record_sets.create_or_update(
            &zone.resource_group,
            zone.name.as_str(),
            record_type.to_string(),
            name.as_str(),
            model,
            &zone.subscription,
        );
        let request = match precondition {
            Precondition::Absent => request.if_none_match("*"),
            Precondition::Unchanged(etag) => request.if_match(etag.as_str()),
        };
        let written = request.await.map_err(cause).and_then(|model| records::etag(&model, 200));
        written.map_err(|cause| match cause {
            // The record set to replace was deleted.
            Cause::Answer(answer)
                if answer.says_no_record_set() && matches!(precondition, Precondition::Unchanged(_)) =>
            {
                ArmError::Race { operation: operation.to_string(), source: answer.into() }
            }
            cause => ArmError::new(&operation, cause),
        })
    }
}
