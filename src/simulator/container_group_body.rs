//! Container groups as JSON: the bodies of answers and of PUT requests.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::World;
use super::container_group_spec::{Ip, ports};
use super::container_groups::ContainerGroup;
use super::container_states::{Containers, Standby, Termination};
use super::messages::{Answer, field, wrapped};

/// How much of a group an answer contains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Detail {
    Summary,
    InstanceView,
}

impl World {
    /// The body of an answer with this time.
    pub(super) fn body(&self, group: &ContainerGroup, detail: Detail, now: Duration) -> Value {
        let mut properties = group.definition.as_object().cloned().unwrap_or_default();
        let mut set = |name: &str, value: Value| properties.insert(name.to_owned(), value);
        set("provisioningState", group.provisioning_state(now).into());
        set("provisioningTimeoutInSeconds", 1800.into());
        set("isCustomProvisioningTimeout", false.into());
        if let Some(address) = ip_address(group) {
            set("ipAddress", address);
        }
        if group.is_in_subnet {
            set("subnetIds", json!([{"id": group.subnet}]));
        }
        if group.standby != Standby::Never {
            set("isCreatedFromStandbyPool", true.into());
        }
        if detail == Detail::InstanceView {
            set("instanceView", json!({"events": [], "state": group.state(now)}));
            let view = self.container_view(group, now);
            let containers = properties.get_mut("containers").and_then(Value::as_array_mut);
            for container in containers.into_iter().flatten() {
                let properties = container.get_mut("properties").and_then(Value::as_object_mut);
                if let (Some(view), Some(properties)) = (&view, properties) {
                    properties.insert("instanceView".to_owned(), view.clone());
                }
            }
        }
        json!({
            "properties": properties,
            "id": group.id(),
            "name": group.name,
            "type": "Microsoft.ContainerInstance/containerGroups",
            "location": group.location,
            "tags": group.tags,
        })
    }

    fn container_view(&self, group: &ContainerGroup, now: Duration) -> Option<Value> {
        let started = self.timestamp_at(group.started);
        let terminated = |end: Termination| {
            json!({
                "state": "Terminated",
                "startTime": self.timestamp_at(end.started),
                "exitCode": end.exit_code,
                "finishTime": self.timestamp_at(end.finished),
                "detailStatus": end.detail,
            })
        };
        let back_off = group.back_off.filter(|_| group.is_waiting(now));
        let (current, previous) = match (group.containers, back_off) {
            (Containers::Waiting, _) => return None,
            (Containers::Running, _) => {
                (json!({"state": "Running", "startTime": started, "detailStatus": ""}), group.previous)
            }
            (Containers::Terminated(end), None) => (terminated(end), group.previous),
            (Containers::Terminated(end), Some(back_off)) => {
                let seconds = back_off.length.as_secs();
                let detail = format!("CrashLoopBackOff: Back-off {seconds}s restarting failed");
                (json!({"state": "Waiting", "detailStatus": detail}), Some(end))
            }
        };
        let mut view = json!({"restartCount": group.restart_count, "currentState": current});
        if let (Some(previous), Some(view)) = (previous, view.as_object_mut()) {
            view.insert("previousState".to_owned(), terminated(previous));
        }
        Some(view)
    }
}

/// `properties.ipAddress`: missing while a private group has no address, without `ip` while a public one has
/// none.
fn ip_address(group: &ContainerGroup) -> Option<Value> {
    let with_ip = |kind: &str, ip: Value| Some(json!({"ports": group.ports, "ip": ip, "type": kind}));
    let deployed = group.containers != Containers::Waiting;
    match (group.ip, group.displayed) {
        (Ip::Public, None) => Some(json!({"ports": group.ports, "type": "Public"})),
        (Ip::Public, Some(address)) => with_ip("Public", address.to_string().into()),
        (Ip::Pool | Ip::Fixed(_), Some(address)) => with_ip("Private", address.to_string().into()),
        (Ip::NullIp, _) if deployed => with_ip("Private", Value::Null),
        (Ip::ZeroIp, _) if deployed => with_ip("Private", "0.0.0.0".into()),
        (Ip::EmptyIp, _) if deployed => with_ip("Private", "".into()),
        (Ip::NoIpAddress | Ip::Pool | Ip::Fixed(_) | Ip::NullIp | Ip::ZeroIp | Ip::EmptyIp, _) => None,
    }
}

/// The kind of address in a PUT, and its ports. Like Azure, this ignores an `ip` in the request.
pub(super) fn read_ip_address(address: Option<&Value>) -> Result<(Ip, Value), Answer> {
    let Some(address) = address.filter(|address| !address.is_null()) else {
        return Ok((Ip::NoIpAddress, ports()));
    };
    let requested = field(address, "ports").as_array().filter(|ports| !ports.is_empty());
    let Some(requested) = requested else {
        let message = "The ports in the 'ipAddress' of container group cannot be empty.";
        return Err(wrapped(StatusCode::BAD_REQUEST, "MissingIpAddressPorts", message));
    };
    match field(address, "type").as_str() {
        Some("Private") => Ok((Ip::Pool, Value::Array(requested.clone()))),
        Some("Public") => Ok((Ip::Public, Value::Array(requested.clone()))),
        _ => {
            let message = "The 'type' of the 'ipAddress' must be 'Public' or 'Private'.";
            Err(wrapped(StatusCode::BAD_REQUEST, "InvalidIPAddressType", message))
        }
    }
}

pub(super) fn read_tags(tags: &Value) -> BTreeMap<String, String> {
    let tags = tags.as_object().into_iter().flatten();
    tags.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// Adds the fields that the service adds, and removes secrets, which it never returns.
pub(super) fn complete_definition(mut properties: Map<String, Value>) -> Result<Map<String, Value>, Answer> {
    let defaults =
        [("sku", json!("Standard")), ("initContainers", json!([])), ("restartPolicy", json!("Always"))];
    for (name, value) in defaults {
        properties.entry(name).or_insert(value);
    }
    let containers = properties.get_mut("containers").and_then(Value::as_array_mut);
    let Some(containers) = containers.filter(|containers| !containers.is_empty()) else {
        let message = "The container group has no containers.";
        return Err(wrapped(StatusCode::BAD_REQUEST, "InvalidRequestContent", message));
    };
    for container in containers {
        let properties = container.get_mut("properties").and_then(Value::as_object_mut);
        let Some(properties) = properties else { continue };
        properties.entry("ports").or_insert(json!([]));
        properties.entry("environmentVariables").or_insert(json!([]));
        properties.remove("instanceView");
        let variables = properties.get_mut("environmentVariables").and_then(Value::as_array_mut);
        for variable in variables.into_iter().flatten() {
            forget(variable, "secureValue");
        }
    }
    if let Some(workspace) = properties.get_mut("diagnostics").and_then(|it| it.get_mut("logAnalytics")) {
        forget(workspace, "workspaceKey");
    }
    let registries = properties.get_mut("imageRegistryCredentials").and_then(Value::as_array_mut);
    for registry in registries.into_iter().flatten() {
        forget(registry, "password");
    }
    Ok(properties)
}

fn forget(value: &mut Value, name: &str) {
    if let Some(object) = value.as_object_mut() {
        object.remove(name);
    }
}
