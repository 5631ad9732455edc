//! Private DNS zones and their record sets, and the actions of a person in the portal.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::{Bound, RangeBounds};
use std::time::Duration;

use serde_json::{Map, Value, json};

use super::history::{Cut, History, Moment, Staleness};
use super::throttles::Window;
use super::{Azure, Missing, World};

/// Limits of Private DNS (<https://learn.microsoft.com/azure/azure-resource-manager/management/azure-subscription-service-limits#private-dns-limits>).
pub(super) const MAX_RECORDS: usize = 20;
pub(super) const MAX_RECORD_SETS: usize = 25_000;
pub(super) const MAX_TTL: u64 = 2_147_483_647;

/// The types of record sets in Private DNS, in the order of lists here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RecordType {
    A,
    Aaaa,
    Cname,
    Mx,
    Ptr,
    Soa,
    Srv,
    Txt,
}

impl RecordType {
    pub(super) const ALL: [Self; 8] =
        [Self::A, Self::Aaaa, Self::Cname, Self::Mx, Self::Ptr, Self::Soa, Self::Srv, Self::Txt];

    pub(super) fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|record_type| record_type.name().eq_ignore_ascii_case(name))
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::A => "A",
            Self::Aaaa => "AAAA",
            Self::Cname => "CNAME",
            Self::Mx => "MX",
            Self::Ptr => "PTR",
            Self::Soa => "SOA",
            Self::Srv => "SRV",
            Self::Txt => "TXT",
        }
    }

    /// The property with the records.
    pub(super) fn property(self) -> &'static str {
        match self {
            Self::A => "aRecords",
            Self::Aaaa => "aaaaRecords",
            Self::Cname => "cnameRecord",
            Self::Mx => "mxRecords",
            Self::Ptr => "ptrRecords",
            Self::Soa => "soaRecord",
            Self::Srv => "srvRecords",
            Self::Txt => "txtRecords",
        }
    }

    /// Whether the property contains one record instead of a list.
    pub(super) fn is_single(self) -> bool {
        matches!(self, Self::Cname | Self::Soa)
    }

    /// The properties of a record, in the order of a zone file.
    pub(super) fn fields(self) -> &'static [&'static str] {
        match self {
            Self::A => &["ipv4Address"],
            Self::Aaaa => &["ipv6Address"],
            Self::Cname => &["cname"],
            Self::Mx => &["preference", "exchange"],
            Self::Ptr => &["ptrdname"],
            Self::Soa => {
                &["host", "email", "serialNumber", "refreshTime", "retryTime", "expireTime", "minimumTtl"]
            }
            Self::Srv => &["priority", "weight", "port", "target"],
            Self::Txt => &["value"],
        }
    }

    /// Parses a record from its value in a zone file.
    fn record(self, value: &str) -> Value {
        if self == Self::Txt {
            return json!({"value": [value]});
        }
        let fields = self.fields().iter().zip(value.split_whitespace());
        let record = fields.map(|(field, text)| {
            let value = match *field {
                "ipv4Address" | "ipv6Address" | "cname" | "exchange" | "ptrdname" | "target" | "host"
                | "email" => Value::from(text),
                _ => text.parse::<u64>().map_or_else(|_| Value::from(text), Value::from),
            };
            ((*field).to_owned(), value)
        });
        Value::Object(record.collect())
    }

    /// The value of a record in a zone file.
    pub(super) fn value(self, record: &Value) -> String {
        let text = |value: &Value| match value {
            Value::String(text) => text.clone(),
            Value::Array(parts) => parts.iter().filter_map(Value::as_str).collect(),
            other => other.to_string(),
        };
        let fields = self.fields().iter().filter_map(|field| record.get(field)).map(text);
        fields.collect::<Vec<_>>().join(" ")
    }
}

/// The external view of a record set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSetView {
    /// Name of the zone.
    pub zone: String,
    /// `A`, `PTR` and so on.
    pub record_type: String,
    /// Relative name; `@` is the apex.
    pub name: String,
    /// With a trailing dot.
    pub fqdn: String,
    /// In seconds.
    pub ttl: u64,
    /// The records, in the format of a zone file.
    pub values: Vec<String>,
    /// Metadata; empty also if there is none.
    pub metadata: BTreeMap<String, String>,
    /// Whether Azure maintains it for a virtual machine.
    pub is_auto_registered: bool,
    /// Changes with each write.
    pub etag: String,
}

/// `A web.spoke1.contoso.internal 60 10.1.5.4 aci-dns-owner=…`.
impl fmt::Display for RecordSetView {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fqdn = self.fqdn.trim_end_matches('.');
        write!(formatter, "{} {fqdn} {} {}", self.record_type, self.ttl, self.values.join(","))?;
        for (key, value) in &self.metadata {
            write!(formatter, " {key}={value}")?;
        }
        if self.is_auto_registered {
            write!(formatter, " (auto-registered)")?;
        }
        Ok(())
    }
}

/// A record set to write, like a person in the portal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSetSpec {
    /// `A`, `PTR` and so on.
    pub record_type: String,
    /// Relative name; `@` is the apex.
    pub name: String,
    /// In seconds.
    pub ttl: u64,
    /// The records, in the format of a zone file.
    pub values: Vec<String>,
    /// Metadata.
    pub metadata: BTreeMap<String, String>,
    /// Whether Azure maintains it for a virtual machine.
    pub is_auto_registered: bool,
}

impl RecordSetSpec {
    /// A record set with a TTL of an hour and without metadata.
    #[must_use]
    pub fn new(record_type: &str, name: &str, values: &[&str]) -> Self {
        Self {
            record_type: record_type.to_owned(),
            name: name.to_owned(),
            ttl: 3600,
            values: values.iter().map(|value| (*value).to_owned()).collect(),
            metadata: BTreeMap::new(),
            is_auto_registered: false,
        }
    }

    /// The same record set with one more entry of metadata.
    #[must_use]
    pub fn with_metadata(mut self, key: &str, value: &str) -> Self {
        self.metadata.insert(key.to_owned(), value.to_owned());
        self
    }
}

/// A record set.
#[derive(Debug, Clone)]
pub(super) struct RecordSet {
    pub(super) ttl: u64,
    /// The list of records, or the single record.
    pub(super) records: Value,
    pub(super) metadata: Option<Map<String, Value>>,
    pub(super) is_auto_registered: bool,
    pub(super) etag: String,
    /// Properties that replace the others in answers, except `fqdn` and `isAutoRegistered`.
    pub(super) stored: Option<Map<String, Value>>,
}

/// Type and lower-case relative name.
pub(super) type RecordKey = (RecordType, String);

/// A private DNS zone.
#[derive(Debug)]
pub(super) struct Zone {
    pub(super) subscription: String,
    pub(super) resource_group: String,
    name: String,
    pub(super) etag: String,
    /// Null if there are none.
    pub(super) tags: Value,
    pub(super) record_sets: BTreeMap<RecordKey, RecordSet>,
    pub(super) former_record_sets: History<RecordKey, RecordSet>,
    /// Bodies of the virtual network links, by lower-case name.
    pub(super) links: BTreeMap<String, Value>,
    pub(super) window: Window,
}

impl Zone {
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn id(&self) -> String {
        zone_id(&self.subscription, &self.resource_group, &self.name)
    }

    pub(super) fn fqdn(&self, name: &str) -> String {
        match name {
            "@" => format!("{}.", self.name),
            name => format!("{name}.{}.", self.name),
        }
    }

    /// Writes or removes a record set, and returns the previous one.
    pub(super) fn replace(
        &mut self,
        key: &RecordKey,
        change: Moment,
        set: Option<RecordSet>,
    ) -> Option<RecordSet> {
        let former = match set {
            Some(set) => self.record_sets.insert(key.clone(), set),
            None => self.record_sets.remove(key),
        };
        self.former_record_sets.keep(key, change, || former.clone());
        former
    }

    /// The record sets of a list from a key on, in a replica, in the order of their keys.
    pub(super) fn seen<'a>(
        &'a self,
        staleness: Option<Staleness>,
        now: Duration,
        range: (Bound<RecordKey>, Bound<RecordKey>),
        is_listed: impl Fn(&RecordKey) -> bool + 'a,
    ) -> Box<dyn Iterator<Item = (&'a RecordKey, &'a RecordSet)> + 'a> {
        let cut = self.former_record_sets.cut(staleness, now, &is_listed);
        let present = self.record_sets.range(range.clone());
        if cut == Cut::Present {
            return Box::new(present.filter(move |(key, _)| is_listed(key)));
        }
        let former = self.former_record_sets.keys().filter(|key| range.contains(*key));
        let keys: BTreeSet<_> =
            present.map(|(key, _)| key).chain(former).filter(|key| is_listed(key)).collect();
        Box::new(keys.into_iter().filter_map(move |key| {
            let set = self.former_record_sets.version(key, cut, self.record_sets.get(key))?;
            Some((key, set))
        }))
    }

    pub(super) fn views(&self) -> Vec<RecordSetView> {
        self.record_sets.iter().map(|((record_type, name), set)| self.view(*record_type, name, set)).collect()
    }

    fn view(&self, record_type: RecordType, name: &str, set: &RecordSet) -> RecordSetView {
        let values = match &set.records {
            Value::Array(records) => records.iter().map(|record| record_type.value(record)).collect(),
            Value::Null => Vec::new(),
            record => vec![record_type.value(record)],
        };
        let metadata = set.metadata.iter().flatten();
        RecordSetView {
            zone: self.name.clone(),
            record_type: record_type.name().to_owned(),
            name: name.to_owned(),
            fqdn: self.fqdn(name),
            ttl: set.ttl,
            values,
            metadata: metadata
                .filter_map(|(key, value)| Some((key.clone(), value.as_str()?.to_owned())))
                .collect(),
            is_auto_registered: set.is_auto_registered,
            etag: set.etag.clone(),
        }
    }
}

pub(super) fn zone_id(subscription: &str, resource_group: &str, name: &str) -> String {
    format!(
        "/subscriptions/{subscription}/resourceGroups/{resource_group}/providers/Microsoft.Network/privateDnsZones/{name}"
    )
}

/// Actions of people. A zone is given by its name, or by its resource id if two have the same name.
impl Azure {
    /// Creates a zone with its SOA record set, and returns its resource id. An existing zone does not change.
    #[expect(clippy::must_use_candidate, reason = "callers often need the zone only")]
    pub fn create_zone(&self, subscription: &str, resource_group: &str, name: &str) -> String {
        let mut world = self.world();
        world.ensure_resource_group(subscription, resource_group);
        let id = world.create_zone(subscription, resource_group, name, Value::Null);
        world.changed();
        id
    }

    /// Deletes a zone with all record sets.
    pub fn delete_zone(&self, zone: &str) -> Result<(), Missing> {
        let mut world = self.world();
        let id = world.zone_key(zone)?;
        world.zones.remove(&id);
        world.changed();
        Ok(())
    }

    /// Writes a record set unconditionally, and returns its new `ETag`.
    pub fn put_record_set(&self, zone: &str, spec: &RecordSetSpec) -> Result<String, Missing> {
        let record_type =
            RecordType::parse(&spec.record_type).ok_or_else(|| Missing(spec.record_type.clone()))?;
        let mut world = self.world();
        let id = world.zone_key(zone)?;
        let etag = world.etags.guid();
        let mut records = spec.values.iter().map(|value| record_type.record(value));
        let records = if record_type.is_single() {
            records.next().unwrap_or(Value::Null)
        } else {
            Value::Array(records.collect())
        };
        let metadata: Map<_, _> =
            spec.metadata.iter().map(|(key, value)| (key.clone(), Value::from(value.as_str()))).collect();
        let set = RecordSet {
            ttl: spec.ttl,
            records,
            metadata: Some(metadata).filter(|metadata| !metadata.is_empty()),
            is_auto_registered: spec.is_auto_registered,
            etag: etag.clone(),
            stored: None,
        };
        let (key, change) = ((record_type, spec.name.to_ascii_lowercase()), world.change());
        if let Some(zone) = world.zones.get_mut(&id) {
            zone.replace(&key, change, Some(set));
        }
        world.changed();
        Ok(etag)
    }

    /// Stores the properties of a record set unchecked, and returns its new `ETag`: metadata with a number or
    /// null, a record without a value, no TTL. Answers contain them unchanged.
    pub fn store_record_set(
        &self,
        zone: &str,
        record_type: &str,
        name: &str,
        properties: &Map<String, Value>,
    ) -> Result<String, Missing> {
        let record_type = RecordType::parse(record_type).ok_or_else(|| Missing(record_type.to_owned()))?;
        let mut world = self.world();
        let id = world.zone_key(zone)?;
        let (etag, change) = (world.etags.guid(), world.change());
        let set = RecordSet {
            ttl: properties.get("ttl").and_then(Value::as_u64).unwrap_or(0),
            records: properties.get(record_type.property()).cloned().unwrap_or_default(),
            metadata: properties.get("metadata").and_then(Value::as_object).cloned(),
            is_auto_registered: properties.get("isAutoRegistered") == Some(&Value::Bool(true)),
            etag: etag.clone(),
            stored: Some(properties.clone()),
        };
        if let Some(zone) = world.zones.get_mut(&id) {
            zone.replace(&(record_type, name.to_ascii_lowercase()), change, Some(set));
        }
        world.changed();
        Ok(etag)
    }

    /// Removes a record set, and returns whether there was one.
    pub fn remove_record_set(&self, zone: &str, record_type: &str, name: &str) -> Result<bool, Missing> {
        let record_type = RecordType::parse(record_type).ok_or_else(|| Missing(record_type.to_owned()))?;
        let mut world = self.world();
        let id = world.zone_key(zone)?;
        let key = (record_type, name.to_ascii_lowercase());
        let change = world.change();
        let removed = world.zones.get_mut(&id).and_then(|zone| zone.replace(&key, change, None));
        if removed.is_some() {
            world.changed();
        }
        Ok(removed.is_some())
    }

    /// A record set, if it exists.
    #[must_use]
    pub fn record_set(&self, zone: &str, record_type: &str, name: &str) -> Option<RecordSetView> {
        let world = self.world();
        let zone = world.zone(zone)?;
        let key = (RecordType::parse(record_type)?, name.to_ascii_lowercase());
        zone.record_sets.get(&key).map(|set| zone.view(key.0, &key.1, set))
    }

    /// The record sets of a zone by type and name; `None` if there is no such zone.
    #[must_use]
    pub fn record_sets(&self, zone: &str) -> Vec<RecordSetView> {
        self.read(|view| view.record_sets(zone))
    }
}

impl World {
    pub(super) fn zone(&self, zone: &str) -> Option<&Zone> {
        self.zone_key(zone).ok().and_then(|id| self.zones.get(&id))
    }

    /// The lower-case resource id of the zone with this name or resource id.
    pub(super) fn zone_key(&self, zone: &str) -> Result<String, Missing> {
        let wanted = zone.to_ascii_lowercase();
        let found = self.zones.iter().find(|(id, zone)| **id == wanted || zone.name == wanted);
        found.map(|(id, _)| id.clone()).ok_or_else(|| Missing(zone.to_owned()))
    }

    /// Creates a zone if it does not exist, and returns its resource id.
    pub(super) fn create_zone(
        &mut self,
        subscription: &str,
        resource_group: &str,
        name: &str,
        tags: Value,
    ) -> String {
        let spelled = self.resource_group(subscription, resource_group).unwrap_or(resource_group).to_owned();
        let name = name.to_ascii_lowercase();
        let id = zone_id(subscription, &spelled, &name);
        let (etag, soa_etag) = (self.etags.guid(), self.etags.guid());
        self.zones.entry(id.to_ascii_lowercase()).or_insert_with(|| Zone {
            subscription: subscription.to_owned(),
            resource_group: spelled,
            name,
            etag,
            tags,
            record_sets: [((RecordType::Soa, "@".to_owned()), start_of_authority(soa_etag))].into(),
            former_record_sets: History::default(),
            links: BTreeMap::new(),
            window: Window::default(),
        });
        id
    }
}

/// The record set of every zone.
fn start_of_authority(etag: String) -> RecordSet {
    RecordSet {
        ttl: 3600,
        records: json!({
            "host": "azureprivatedns.net",
            "email": "azureprivatedns-host.microsoft.com",
            "serialNumber": 1,
            "refreshTime": 3600,
            "retryTime": 300,
            "expireTime": 2_419_200,
            "minimumTtl": 10,
        }),
        metadata: None,
        is_auto_registered: false,
        etag,
        stored: None,
    }
}
