//! The body of a PUT that replaces images: what GET returned in the same version of the API, minus what is read-only.
//!
//! GET hides values that PUT would lose or that the service would refuse. A group with any of them is refused, and the
//! error names all of them. Everything else is sent back byte for byte: what is not understood here is not lost, and a
//! number keeps its spelling.
//!
//! Source: <https://learn.microsoft.com/azure/container-instances/container-instances-update>

use std::{collections::BTreeMap, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::{Value, value::RawValue};

use super::group::ContainerPlace;

/// Why a group cannot be replaced.
#[derive(Debug, thiserror::Error)]
pub enum PutBodyError {
    /// The group is not described as expected.
    #[error("the container group cannot be read")]
    Unreadable(#[source] serde_json::Error),
    /// The group has no such container any more.
    #[error("the container group does not have the container whose image is replaced")]
    NoContainer,
    /// A PUT would lose values that a GET hides.
    #[error(
        "the image cannot be replaced, because Azure does not return values that a replacement must send: {}; use aci-dns-image=restart, or deploy the group again",
        .0.join(", ")
    )]
    Hidden(Vec<String>),
}

/// The read-only members of a group.
const OF_GROUP: [&str; 4] = ["id", "name", "type", "systemData"];

/// The read-only members of its properties.
const OF_PROPERTIES: [&str; 6] = [
    "provisioningState",
    "provisioningTimeoutInSeconds",
    "isCustomProvisioningTimeout",
    "customProvisioningTimeoutInSeconds",
    "isCreatedFromStandbyPool",
    "instanceView",
];

/// The body with these images in place of the current ones.
pub fn put_body(group: &str, images: &BTreeMap<ContainerPlace, String>) -> Result<String, PutBodyError> {
    let value: Value = serde_json::from_str(group).map_err(PutBodyError::Unreadable)?;
    let hidden = hidden(&value);
    if !hidden.is_empty() {
        return Err(PutBodyError::Hidden(hidden));
    }
    for place in images.keys() {
        let list = if place.is_init { "initContainers" } else { "containers" };
        let pointer = format!("/properties/{list}/{}/properties/image", place.index);
        if !value.pointer(&pointer).is_some_and(Value::is_string) {
            return Err(PutBodyError::NoContainer);
        }
    }
    edit_group(group, images).map_err(PutBodyError::Unreadable)
}

/// What GET hides of a group, and PUT would lose.
fn hidden(group: &Value) -> Vec<String> {
    let properties = group.get("properties").unwrap_or(&Value::Null);
    let mut found = Vec::new();
    for list in ["containers", "initContainers"] {
        for container in elements(properties, list) {
            let of = name(container);
            let variables = container.get("properties").unwrap_or(&Value::Null);
            for variable in elements(variables, "environmentVariables") {
                let is_known = has(variable, "value") || has(variable, "secureValue");
                if !is_known && !has(variable, "secureValueReference") {
                    found.push(format!("the secure variable {} of the container {of}", name(variable)));
                }
            }
        }
    }
    for credential in elements(properties, "imageRegistryCredentials") {
        let is_safe = has(credential, "identity") && !has(credential, "username");
        if !is_safe && !has(credential, "password") && !has(credential, "passwordReference") {
            let server = credential.get("server").and_then(Value::as_str).unwrap_or("a registry");
            found.push(format!("the password of the registry {server}"));
        }
    }
    for volume in elements(properties, "volumes") {
        if has(volume, "secret") {
            found.push(format!("the secret volume {}", name(volume)));
        }
        let share = volume.get("azureFile").filter(|share| !share.is_null());
        let has_key =
            |share: &Value| has(share, "storageAccountKey") || has(share, "storageAccountKeyReference");
        if share.is_some_and(|share| !has_key(share)) {
            found.push(format!("the storage account key of the volume {}", name(volume)));
        }
    }
    let diagnostics = properties.get("diagnostics").unwrap_or(&Value::Null);
    if diagnostics.get("logAnalytics").is_some_and(|logs| !logs.is_null() && !has(logs, "workspaceKey")) {
        found.push("the workspace key of Log Analytics".to_owned());
    }
    for extension in elements(properties, "extensions") {
        found.push(format!("the protected settings of the extension {}", name(extension)));
    }
    let sku = properties.get("sku").and_then(Value::as_str).unwrap_or_default();
    if has(properties, "confidentialComputeProperties") || sku.eq_ignore_ascii_case("Confidential") {
        found.push("the policy of a confidential group, which is bound to its images".to_owned());
    }
    found
}

fn elements<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> + use<'a> {
    value.get(name).and_then(Value::as_array).into_iter().flatten()
}

fn has(value: &Value, name: &str) -> bool {
    value.get(name).is_some_and(|value| !value.is_null())
}

fn name(value: &Value) -> &str {
    value.get("name").and_then(Value::as_str).unwrap_or("without a name")
}

fn edit_group(text: &str, images: &BTreeMap<ContainerPlace, String>) -> serde_json::Result<String> {
    edit_object(text, |name, value| match name {
        name if OF_GROUP.contains(&name) => Ok(MemberEdit::Drop),
        "identity" => edit_object(value, edit_identity).map(MemberEdit::Replace),
        "properties" => edit_object(value, |name, value| match name {
            name if OF_PROPERTIES.contains(&name) => Ok(MemberEdit::Drop),
            "containers" => edit_containers(value, false, images).map(MemberEdit::Replace),
            "initContainers" => edit_containers(value, true, images).map(MemberEdit::Replace),
            "ipAddress" => without(value, &["ip", "fqdn"]).map(MemberEdit::Replace),
            _ => Ok(MemberEdit::Keep),
        })
        .map(MemberEdit::Replace),
        _ => Ok(MemberEdit::Keep),
    })
}

fn edit_identity(name: &str, value: &str) -> serde_json::Result<MemberEdit> {
    match name {
        "principalId" | "tenantId" => Ok(MemberEdit::Drop),
        "userAssignedIdentities" => {
            let identity =
                |_: &str, value: &str| without(value, &["principalId", "clientId"]).map(MemberEdit::Replace);
            edit_object(value, identity).map(MemberEdit::Replace)
        }
        _ => Ok(MemberEdit::Keep),
    }
}

fn edit_containers(
    text: &str,
    is_init: bool,
    images: &BTreeMap<ContainerPlace, String>,
) -> serde_json::Result<String> {
    if text == "null" {
        return Ok(text.to_owned());
    }
    let containers: Vec<&RawValue> = serde_json::from_str(text)?;
    let edited = containers.iter().enumerate().map(|(index, container)| {
        let image = images.get(&ContainerPlace { is_init, index });
        edit_object(container.get(), |name, value| match name {
            "properties" => edit_object(value, |name, _| match (name, image) {
                ("instanceView", _) => Ok(MemberEdit::Drop),
                ("image", Some(image)) => Ok(MemberEdit::Replace(Value::from(image.as_str()).to_string())),
                _ => Ok(MemberEdit::Keep),
            })
            .map(MemberEdit::Replace),
            _ => Ok(MemberEdit::Keep),
        })
    });
    Ok(format!("[{}]", edited.collect::<serde_json::Result<Vec<_>>>()?.join(",")))
}

/// An object without these members.
fn without(text: &str, names: &[&str]) -> serde_json::Result<String> {
    edit_object(text, |name, _| Ok(if names.contains(&name) { MemberEdit::Drop } else { MemberEdit::Keep }))
}

/// How a member is edited.
enum MemberEdit {
    Keep,
    Drop,
    Replace(String),
}

/// An object with edited members. `null` stays as it is.
fn edit_object(
    text: &str,
    edit: impl Fn(&str, &str) -> serde_json::Result<MemberEdit>,
) -> serde_json::Result<String> {
    if text == "null" {
        return Ok(text.to_owned());
    }
    let Members(members) = serde_json::from_str(text)?;
    let mut kept = Vec::with_capacity(members.len());
    for (key, value) in members {
        let name: String = serde_json::from_str(key.get())?;
        match edit(&name, value.get())? {
            MemberEdit::Keep => kept.push(format!("{}:{}", key.get(), value.get())),
            MemberEdit::Drop => {}
            MemberEdit::Replace(value) => kept.push(format!("{}:{value}", key.get())),
        }
    }
    Ok(format!("{{{}}}", kept.join(",")))
}

/// The members of an object in their order and spelling.
struct Members<'a>(Vec<(&'a RawValue, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(MembersVisitor)
    }
}

struct MembersVisitor;

impl<'de> Visitor<'de> for MembersVisitor {
    type Value = Members<'de>;

    fn expecting(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
        let mut members = Vec::new();
        while let Some(member) = map.next_entry()? {
            members.push(member);
        }
        Ok(Members(members))
    }
}

#[cfg(test)]
mod tests;
