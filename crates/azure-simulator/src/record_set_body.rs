//! Parses the body of a write to a record set, with the rules and refusals of Private DNS.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::messages::{Answer, field, flat};
use super::private_dns::{MAX_RECORDS, MAX_TTL, RecordSet, RecordType};

/// Applies the body of a PUT (to an empty set) or of a PATCH (to the existing one).
///
/// The service may ignore an unknown property; here it is an error, so that a misspelled field is found.
pub(super) fn change(set: &mut RecordSet, body: &Value, record_type: RecordType) -> Result<(), Answer> {
    let properties =
        field(body, "properties").as_object().ok_or_else(|| bad_request("The properties are missing."))?;
    for (name, value) in properties {
        match name.as_str() {
            "ttl" => {
                let ttl = value.as_u64().filter(|ttl| *ttl <= MAX_TTL);
                set.ttl =
                    ttl.ok_or_else(|| bad_request("The TTL must be between 0 and 2147483647 seconds."))?;
            }
            "metadata" => set.metadata = read_metadata(value)?,
            // Read-only properties, which a client may send back.
            "fqdn" | "isAutoRegistered" => {}
            name if name == record_type.property() => set.records = read_records(value, record_type)?,
            name => {
                let message =
                    format!("A record set of type {} has no property '{name}'.", record_type.name());
                return Err(bad_request(&message));
            }
        }
    }
    // A new set has no ETag yet.
    if set.etag.is_empty() && !properties.contains_key("ttl") {
        return Err(bad_request("The TTL is missing."));
    }
    set.is_auto_registered = false;
    set.stored = None;
    Ok(())
}

fn read_metadata(value: &Value) -> Result<Option<Map<String, Value>>, Answer> {
    match value {
        Value::Null => Ok(None),
        Value::Object(metadata) if metadata.values().all(Value::is_string) => Ok(Some(metadata.clone())),
        _ => Err(bad_request("The metadata must be an object of strings.")),
    }
}

fn read_records(value: &Value, record_type: RecordType) -> Result<Value, Answer> {
    let records = match (value, record_type.is_single()) {
        (Value::Null, true) => return Ok(Value::Null),
        (Value::Null, false) => return Ok(json!([])),
        (Value::Object(_), true) => std::slice::from_ref(value),
        (Value::Array(records), false) => records.as_slice(),
        _ => return Err(bad_request(&format!("{} has the wrong form.", record_type.property()))),
    };
    if records.len() > MAX_RECORDS {
        let message = format!("A record set cannot have more than {MAX_RECORDS} records.");
        return Err(bad_request(&message));
    }
    for record in records {
        check_record(record, record_type)?;
    }
    Ok(value.clone())
}

fn check_record(record: &Value, record_type: RecordType) -> Result<(), Answer> {
    let fields = record.as_object().ok_or_else(|| bad_request("A record must be an object."))?;
    if let Some(unknown) = fields.keys().find(|field| !record_type.fields().contains(&field.as_str())) {
        return Err(bad_request(&format!("A record has no property '{unknown}'.")));
    }
    for field in record_type.fields() {
        let value = fields.get(*field).unwrap_or(&Value::Null);
        let is_valid = match *field {
            "ipv4Address" => value.as_str().is_some_and(|text| text.parse::<Ipv4Addr>().is_ok()),
            "ipv6Address" => value.as_str().is_some_and(|text| text.parse::<Ipv6Addr>().is_ok()),
            "cname" | "exchange" | "ptrdname" | "target" => value.as_str().is_some_and(is_domain_name),
            "value" => value.as_array().is_some_and(|parts| parts.iter().all(Value::is_string)),
            "host" | "email" => value.is_string() || value.is_null(),
            _ => value.is_u64() || record_type == RecordType::Soa && value.is_null(),
        };
        if !is_valid {
            return Err(bad_request(&format!("The value {value} of '{field}' is invalid.")));
        }
    }
    Ok(())
}

/// A relative name is `@`, or labels of which the first may be `*`.
pub(super) fn check_name(relative_name: &str) -> Result<(), Answer> {
    let name = relative_name.strip_prefix("*.").unwrap_or(relative_name);
    if name == "@" || name == "*" || is_domain_name(name) && !name.ends_with('.') {
        return Ok(());
    }
    Err(bad_request(&format!("The name '{relative_name}' of the record set is invalid.")))
}

fn is_domain_name(name: &str) -> bool {
    let name = name.strip_suffix('.').unwrap_or(name);
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

pub(super) fn bad_request(message: &str) -> Answer {
    flat(StatusCode::BAD_REQUEST, "BadRequest", message)
}
