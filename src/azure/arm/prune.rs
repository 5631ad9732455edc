//! Reduces Azure's description of a container group to the fields that this crate reads.
//!
//! The generated model requires fields that the service omits (a workspace key, the ports of an address, the
//! offset of a time stamp) and rejects the whole answer without them; its preview API version also differs
//! from the stable version of the requests. The reduced description contains only fields that both share, and
//! neither environment variables nor images.

use std::fmt;

use axum::BoxError;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor,
};
use serde_json::{Map, Value, json};

/// Which members of an object are read, and how each is read; for an array, how each element is read.
#[derive(Clone, Copy)]
enum Keep {
    All,
    Members(KeptMembers),
}

type Member = (&'static str, Keep);
type KeptMembers = &'static [Member];

/// Reads a value and keeps only these members.
#[derive(Clone, Copy)]
struct Part(KeptMembers);

const ID: Member = ("id", Keep::All);
const NAME: Member = ("name", Keep::All);
const TAGS: Member = ("tags", Keep::All);
const PROVISIONING: Member = ("provisioningState", Keep::All);
const RESTARTS: Member = ("restartPolicy", Keep::All);
const VIEW: Member = ("instanceView", Keep::Members(&[("state", Keep::All)]));
const ADDRESS: Member = ("ipAddress", Keep::Members(&[("type", Keep::All), ("ip", Keep::All)]));
const CONTAINERS: Member = ("containers", Keep::Members(&[("properties", CONTAINER)]));
const SUBNETS: Member = ("subnetIds", Keep::Members(&[ID]));

const GROUP: Keep = Keep::Members(&[
    ID,
    NAME,
    TAGS,
    ("properties", Keep::Members(&[PROVISIONING, RESTARTS, VIEW, ADDRESS, CONTAINERS])),
]);
/// The subnets of a group are read from lists only.
const LISTED: Keep = Keep::Members(&[
    ID,
    NAME,
    TAGS,
    ("properties", Keep::Members(&[PROVISIONING, RESTARTS, VIEW, ADDRESS, CONTAINERS, SUBNETS])),
]);
const CONTAINER: Keep = Keep::Members(&[(
    "instanceView",
    Keep::Members(&[("currentState", Keep::Members(&[("state", Keep::All)]))]),
)]);
const PAGE: Keep = Keep::Members(&[("value", LISTED), ("nextLink", Keep::All)]);

/// The description that the generated model can read. Fails if the text describes no container group.
pub(super) fn container_group(text: &[u8]) -> Result<Vec<u8>, BoxError> {
    Ok(serde_json::to_vec(&pruned(&read(text, GROUP)?)?)?)
}

/// The page that the generated model can read. Fails if the text is no page of a list. The model reads a page
/// without `value` as an empty one, and the groups of that page would count as deleted.
pub(super) fn container_groups(text: &[u8]) -> Result<Vec<u8>, BoxError> {
    let page = read(text, PAGE)?;
    let groups = page.get("value").and_then(Value::as_array).ok_or("a list without a value")?;
    let groups: Vec<Value> = groups.iter().map(pruned).collect::<Result<_, _>>()?;
    let mut kept = Map::from_iter([("value".to_owned(), groups.into())]);
    match page.get("nextLink") {
        None | Some(Value::Null) => {}
        Some(Value::String(next)) => _ = kept.insert("nextLink".to_owned(), json!(next)),
        Some(_) => return Err("a nextLink that is not text".into()),
    }
    Ok(serde_json::to_vec(&kept)?)
}

fn read(text: &[u8], keep: Keep) -> serde_json::Result<Value> {
    let mut deserializer = serde_json::Deserializer::from_slice(text);
    let value = keep.deserialize(&mut deserializer)?;
    deserializer.end()?;
    Ok(value)
}

impl<'de> DeserializeSeed<'de> for Keep {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        match self {
            Self::All => Value::deserialize(deserializer),
            Self::Members(members) => deserializer.deserialize_any(Part(members)),
        }
    }
}

impl<'de> Visitor<'de> for Part {
    type Value = Value;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("JSON")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Value, A::Error> {
        let mut kept = Vec::new();
        while let Some(element) = elements.next_element_seed(Keep::Members(self.0))? {
            kept.push(element);
        }
        Ok(kept.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut kept = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            match self.0.iter().find(|(wanted, _)| *wanted == name) {
                Some((_, keep)) => _ = kept.insert(name, members.next_value_seed(*keep)?),
                None => _ = members.next_value::<IgnoredAny>()?,
            }
        }
        Ok(kept.into())
    }
}

fn pruned(group: &Value) -> Result<Value, BoxError> {
    let properties = group.get("properties").and_then(Value::as_object);
    let properties = properties.ok_or("a container group without properties")?;
    let mut kept = Map::new();
    keep_text(&mut kept, properties, "provisioningState");
    keep_text(&mut kept, properties, "restartPolicy");
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
        // As "no address", it would be read as "deployed without ports".
        Some(_) => return Err("an ipAddress that is not an object".into()),
    }
    if let Some(subnets) = properties.get("subnetIds").and_then(Value::as_array) {
        let ids = subnets.iter().filter(|subnet| subnet.get("id").is_some_and(Value::is_string));
        kept.insert("subnetIds".to_owned(), ids.cloned().collect());
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
    Ok(pruned.into())
}

fn container(container: &Value) -> Value {
    let Some(Value::Object(current)) = container.pointer("/properties/instanceView/currentState") else {
        return json!({"name": "", "properties": {}});
    };
    let mut state = Map::new();
    keep_text(&mut state, current, "state");
    // The generated model reads 32 bits. A larger code becomes -1, because only "not 0" matters.
    if let Some(code) = current.get("exitCode").and_then(Value::as_i64) {
        state.insert("exitCode".to_owned(), i32::try_from(code).unwrap_or(-1).into());
    }
    json!({"name": "", "properties": {"instanceView": {"currentState": state}}})
}

fn keep_text(kept: &mut Map<String, Value>, from: &Map<String, Value>, key: &str) {
    if let Some(Value::String(text)) = from.get(key) {
        kept.insert(key.to_owned(), json!(text));
    }
}

#[cfg(test)]
mod tests {
    use azure_mgmt_containerinstance::package_preview_2024_05::models::ContainerGroup;

    use super::*;

    /// A group with every field that the generated model accepts.
    fn group() -> Value {
        json!({
            "id": "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.ContainerInstance/containerGroups/web",
            "name": "web",
            "type": "Microsoft.ContainerInstance/containerGroups",
            "location": "westeurope",
            "identity": {"type": "SystemAssigned, UserAssigned"},
            "tags": {"aci-dns-ttl": "30", "empty": null},
            "zones": ["1"],
            "properties": {
                "sku": "Standard",
                "provisioningState": "Succeeded",
                "osType": "Linux",
                "restartPolicy": "Always",
                "containers": [{"name": "c", "properties": {
                    "image": "nginx",
                    "environmentVariables": [{"name": "PASSWORD", "secureValue": "hunter2"}],
                    "instanceView": {"restartCount": 1, "currentState": {
                        "state": "Running", "startTime": "2026-11-21T00:00:00Z", "detailStatus": ""
                    }},
                    "resources": {"requests": {"memoryInGB": 1.5, "cpu": 1.0, "gpu": {"count": 1, "sku": "V100"}}}
                }}],
                "volumes": [{"name": "v", "azureFile": {"shareName": "s", "storageAccountName": "a"}}],
                "diagnostics": {"logAnalytics": {"workspaceId": "w", "workspaceKey": "k"}},
                "subnetIds": [{"id": "/subscriptions/s1/subnets/x"}],
                "ipAddress": {"ports": [{"protocol": "TCP", "port": 80}], "ip": "10.1.5.4", "type": "Private"},
                "instanceView": {"events": [], "state": "Running"}
            }
        })
    }

    /// Sets the value at a pointer, or removes it.
    fn change(group: &mut Value, pointer: &str, value: Option<Value>) {
        let (parent, key) = pointer.rsplit_once('/').unwrap();
        let parent = group.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Some(value) => parent.insert(key.to_owned(), value),
            None => parent.remove(key),
        };
    }

    fn parsed(group: &Value) -> ContainerGroup {
        let pruned = container_group(group.to_string().as_bytes()).unwrap();
        serde_json::from_slice(&pruned).unwrap_or_else(|error| panic!("{error}: {group}"))
    }

    #[test]
    fn a_group_is_readable_despite_omitted_or_differently_spelled_fields() {
        let container = "/properties/containers/0/properties";
        for (pointer, value) in [
            ("/properties/diagnostics/logAnalytics/workspaceKey", None),
            ("/properties/ipAddress/ports", None),
            ("/properties/ipAddress/ports", Some(json!(null))),
            ("/properties/containers", None),
            ("/properties/containers", Some(json!(null))),
            ("/properties/volumes", Some(json!([{"name": "v", "azureFile": {"storageAccountName": "a"}}]))),
            (&format!("{container}/resources/requests/gpu"), Some(json!({"count": 1}))),
            ("/properties/subnetIds", Some(json!([{"name": "x"}]))),
            ("/identity/type", Some(json!("SystemAssigned,UserAssigned"))),
            (&format!("{container}/instanceView/currentState/startTime"), Some(json!("2026-11-21T00:00:00"))),
            ("/properties/osType", None),
            (&format!("{container}/image"), None),
            (&format!("{container}/resources"), None),
            ("/properties/provisioningState", Some(json!("Novel"))),
            ("/properties/osType", Some(json!("Novel"))),
            ("/properties/sku", Some(json!("Novel"))),
            ("/properties/volumes", Some(json!([{"name": "v", "secret": {"k": "dg=="}}]))),
            ("/properties/volumes", Some(json!([{"name": "v", "emptyDir": {}}]))),
            ("/properties/ipAddress/type", None),
            ("/properties/instanceView", Some(json!(null))),
            ("/tags", Some(json!(null))),
        ] {
            let mut group = group();
            change(&mut group, pointer, value);
            let properties = parsed(&group).container_group_properties.properties;
            assert_eq!(properties.ip_address.unwrap().ip.as_deref(), Some("10.1.5.4"), "{pointer}");
        }
    }

    #[test]
    fn a_pending_address_differs_from_no_address() {
        for (pointer, value, expected) in [
            ("/properties/ipAddress", None, None),
            ("/properties/ipAddress", Some(json!(null)), None),
            ("/properties/ipAddress/ip", Some(json!(null)), Some(None)),
            ("/properties/ipAddress/ip", None, Some(None)),
            ("/properties/ipAddress", Some(json!({})), Some(None)),
        ] {
            let mut group = group();
            change(&mut group, pointer, value);
            let properties = parsed(&group).container_group_properties.properties;
            assert_eq!(properties.ip_address.map(|address| address.ip), expected, "{pointer}");
        }
    }

    #[test]
    fn only_fields_that_are_read_are_kept() {
        let pruned: Value =
            serde_json::from_slice(&container_group(group().to_string().as_bytes()).unwrap()).unwrap();
        let expected = json!({
            "id": "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.ContainerInstance/containerGroups/web",
            "name": "web",
            "tags": {"aci-dns-ttl": "30", "empty": null},
            "properties": {
                "provisioningState": "Succeeded",
                "restartPolicy": "Always",
                "containers": [{"name": "", "properties": {"instanceView": {"currentState": {"state": "Running"}}}}],
                "ipAddress": {"ports": [], "ip": "10.1.5.4", "type": "Private"},
                "instanceView": {"state": "Running"}
            }
        });
        assert_eq!(pruned, expected);
    }

    #[test]
    fn every_container_counts_even_without_a_state() {
        let mut group = group();
        group["properties"]["containers"] = json!([null, {}, {"name": "c", "properties": null}]);
        assert_eq!(parsed(&group).container_group_properties.properties.containers.len(), 3);
    }

    #[test]
    fn other_json_is_refused() {
        for text in [
            "",
            "<html>",
            "null",
            "[]",
            "{}",
            r#"{"properties": []}"#,
            r#"{"properties": {"ipAddress": "x"}}"#,
        ] {
            assert!(container_group(text.as_bytes()).is_err(), "{text}");
        }
    }
}
