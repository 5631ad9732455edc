//! Converts record sets between Azure's model and ours.
//!
//! A write replaces the whole record set, so every part of it is kept or refused: unknown metadata keys are
//! kept, a metadata value that is not text is refused, and targets of PTR records keep their spelling.

use std::net::Ipv4Addr;

use azure_mgmt_privatedns::package_2024_06::models::{self, RecordSetProperties};
use serde_json::Value;

use super::error::Cause;
use crate::domain::dns::{ARecordSet, Content, ETag, Metadata, PtrRecordSet, PtrTarget, RecordSet};

/// Converts an A record set of Azure.
pub(super) fn a_record_set(model: models::RecordSet) -> Result<ARecordSet, Cause> {
    record_set(model, |properties| {
        let address = |record: &models::ARecord| {
            let text = record.ipv4_address.as_deref().unwrap_or_default();
            text.parse().map_err(|_| format!("its A record {text:?} is not an address"))
        };
        properties.a_records.iter().map(address).collect()
    })
}

/// Converts a PTR record set of Azure.
pub(super) fn ptr_record_set(model: models::RecordSet) -> Result<PtrRecordSet, Cause> {
    record_set(model, |properties| {
        let target = |record: models::PtrRecord| {
            record.ptrdname.map(PtrTarget::from).ok_or_else(|| "a PTR record has no target".to_owned())
        };
        properties.ptr_records.drain(..).map(target).collect()
    })
}

fn record_set<Record>(
    model: models::RecordSet,
    records: impl FnOnce(&mut RecordSetProperties) -> Result<Vec<Record>, String>,
) -> Result<RecordSet<Record>, Cause> {
    let etag = etag(&model, 200)?;
    let name = model.name.unwrap_or_default();
    let mut properties =
        model.properties.ok_or_else(|| unreadable(200, "a record set without properties"))?;
    let content = |properties: &mut RecordSetProperties| {
        let ttl = properties.ttl.ok_or("it has no TTL")?;
        Ok(Content {
            ttl: u32::try_from(ttl).map_err(|_| format!("its TTL {ttl} is out of range"))?,
            records: records(properties)?,
            metadata: metadata(properties.metadata.take())?,
        })
    };
    let content =
        content(&mut properties).map_err(|problem: String| Cause::Unrepresentable { name, problem })?;
    Ok(RecordSet { etag, content, is_auto_registered: properties.is_auto_registered.unwrap_or_default() })
}

/// The ETag of a record set that was read or written.
pub(super) fn etag(model: &models::RecordSet, status: u16) -> Result<ETag, Cause> {
    let etag = model.etag.clone().filter(|etag| !etag.is_empty());
    etag.map(ETag::from).ok_or_else(|| unreadable(status, "a record set without an ETag"))
}

fn unreadable(status: u16, problem: &str) -> Cause {
    Cause::Unreadable { status, source: problem.into() }
}

fn metadata(metadata: Option<Value>) -> Result<Metadata, String> {
    let entries = match metadata {
        None | Some(Value::Null) => return Ok(Metadata::new()),
        Some(Value::Object(entries)) => entries,
        Some(_) => return Err("its metadata is not an object".to_owned()),
    };
    let text = |(key, value)| match value {
        Value::String(text) => Ok((key, text)),
        _ => Err(format!("its metadata {key:?} is not text")),
    };
    entries.into_iter().map(text).collect()
}

/// The body of a write of an A record set.
pub(super) fn a_model(content: &Content<Ipv4Addr>) -> models::RecordSet {
    let record = |address: &Ipv4Addr| models::ARecord { ipv4_address: Some(address.to_string()) };
    model(content, |properties| properties.a_records = content.records.iter().map(record).collect())
}

/// The body of a write of a PTR record set.
pub(super) fn ptr_model(content: &Content<PtrTarget>) -> models::RecordSet {
    let record = |target: &PtrTarget| models::PtrRecord { ptrdname: Some(target.as_str().to_owned()) };
    model(content, |properties| properties.ptr_records = content.records.iter().map(record).collect())
}

fn model<Record>(
    content: &Content<Record>,
    fill: impl FnOnce(&mut RecordSetProperties),
) -> models::RecordSet {
    let metadata = content.metadata.iter().map(|(key, text)| (key.clone(), Value::from(text.as_str())));
    let mut properties = RecordSetProperties {
        ttl: Some(content.ttl.into()),
        metadata: Some(Value::Object(metadata.collect())),
        ..RecordSetProperties::default()
    };
    fill(&mut properties);
    models::RecordSet { properties: Some(properties), ..models::RecordSet::default() }
}
