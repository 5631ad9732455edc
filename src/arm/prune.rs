//! Cuts Azure's description of a container group down to what this crate reads.
//!
//! The generated model demands fields that the service leaves out (a workspace key, the ports of an address, the
//! offset of a time stamp) and fails on the whole answer without them; its preview API version also differs
//! from the stable one that is asked for. What remains after the cut is only what both agree on, and neither
//! environment variables nor images stay in memory.

use axum::BoxError;
use serde_json::{Map, Value, json};

/// The answer that the generated model reads, or why the text is no description of a container group.
pub(super) fn container_group(text: &[u8]) -> Result<Vec<u8>, BoxError> {
    let group: Value = serde_json::from_slice(text)?;
    let properties = group.get("properties").and_then(Value::as_object);
    let properties = properties.ok_or("a container group without properties")?;
    let mut kept = Map::new();
    keep_text(&mut kept, properties, "provisioningState");
    if let Some(view) = properties.get("instanceView").and_then(Value::as_object) {
        let mut state = Map::new();
        keep_text(&mut state, view, "state");
        kept.insert("instanceView".to_owned(), state.into());
    }
    match properties.get("ipAddress") {
        None | Some(Value::Null) => {}
        Some(Value::Object(address)) => {
            let mut ip = Map::from_iter([("ports".to_owned(), json!([])), ("type".to_owned(), json!(""))]);
            keep_text(&mut ip, address, "type");
            keep_text(&mut ip, address, "ip");
            kept.insert("ipAddress".to_owned(), ip.into());
        }
        // To read it as "no address" would be to read it as "deployed without ports".
        Some(_) => return Err("an ipAddress that is no object".into()),
    }
    let containers = properties.get("containers").and_then(Value::as_array);
    let containers: Vec<Value> = containers.into_iter().flatten().map(container).collect();
    kept.insert("containers".to_owned(), containers.into());

    let mut pruned = Map::new();
    if let Some(group) = group.as_object() {
        keep_text(&mut pruned, group, "id");
        keep_text(&mut pruned, group, "name");
        if let Some(tags) = group.get("tags").filter(|tags| tags.is_object()) {
            pruned.insert("tags".to_owned(), tags.clone());
        }
    }
    pruned.insert("properties".to_owned(), kept.into());
    Ok(serde_json::to_vec(&pruned)?)
}

fn container(container: &Value) -> Value {
    match container.pointer("/properties/instanceView/currentState/state") {
        Some(Value::String(state)) => {
            json!({"name": "", "properties": {"instanceView": {"currentState": {"state": state}}}})
        }
        _ => json!({"name": "", "properties": {}}),
    }
}

fn keep_text(kept: &mut Map<String, Value>, from: &Map<String, Value>, key: &str) {
    if let Some(Value::String(text)) = from.get(key) {
        kept.insert(key.to_owned(), json!(text));
    }
}
