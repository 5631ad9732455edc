//! Container groups as JSON: the bodies of answers and of PUT requests.

use std::collections::BTreeMap;
use std::time::Duration;

use http::StatusCode;
use serde_json::{Map, Value, json};

use super::World;
use super::clock::{timestamp_in_milliseconds, timestamp_in_seconds};
use super::container_group_spec::{Ip, ports};
use super::container_groups::ContainerGroup;
use super::container_states::{Containers, Standby, Termination};
use super::identity::TENANT_ID;
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
            for kind in ["initContainers", "containers"] {
                let containers = properties.get_mut(kind).and_then(Value::as_array_mut);
                for container in containers.into_iter().flatten() {
                    let view = self.container_view(group, container, kind == "initContainers", now);
                    if let (Some(view), Some(Value::Object(properties))) =
                        (view, container.get_mut("properties"))
                    {
                        properties.insert("instanceView".to_owned(), Value::Object(view));
                    }
                }
            }
        }
        let mut body = json!({
            "properties": properties,
            "id": group.id(),
            "name": group.name,
            "type": "Microsoft.ContainerInstance/containerGroups",
            "location": group.location,
            "tags": group.tags,
        });
        for (name, value) in [("identity", &group.identity), ("zones", &group.zones)] {
            if let (Some(body), false) = (body.as_object_mut(), value.is_null()) {
                body.insert(name.to_owned(), value.clone());
            }
        }
        body
    }

    /// The events of a container since its first start, in the form of the recordings
    /// (`test_container_create_with_vnet-017` and `test_container_create_msi-004` of Azure/azure-cli).
    fn container_events(&self, group: &ContainerGroup, container: &str) -> Value {
        let time = |elapsed| timestamp_in_seconds(self.settings.epoch_seconds, elapsed);
        let event = |name: &str, message: &str, (count, first, last): (u64, Duration, Duration)| {
            json!({
                "count": count,
                "firstTimestamp": time(first),
                "lastTimestamp": time(last),
                "name": name,
                "message": message,
                "type": "Normal",
            })
        };
        let pulls = group.pulls.get(container).map(Vec::as_slice).unwrap_or_default();
        let form = self.settings.pulling_events;
        let named =
            pulls.iter().filter_map(|pull| Some((pull.named(form)?, (pull.count, pull.first, pull.last))));
        let mut events: Vec<_> = named
            .flat_map(|(image, times)| {
                [
                    event("Pulling", &format!("pulling image \"{image}\""), times),
                    event("Pulled", &format!("Successfully pulled image \"{image}\""), times),
                ]
            })
            .collect();
        let starts = (group.restart_count + 1, group.first_started, group.started);
        events.push(event("Started", "Started container", starts));
        if let (Some(_), Containers::Terminated(end)) = (group.back_off, group.containers) {
            events.push(json!({
                "count": group.ends,
                "firstTimestamp": time(end.finished),
                "lastTimestamp": time(end.finished),
                "name": "BackOff",
                "message": "Back-off restarting failed container",
                "type": "Warning",
            }));
        }
        Value::Array(events)
    }

    /// The managed identities of a group in the form of answers: each group has its own system-assigned identity, and a
    /// user-assigned one is the same in all groups.
    pub(super) fn assign_identities(&mut self, requested: &Value, former: &Value) -> Value {
        let kind = field(requested, "type").as_str().unwrap_or_default().to_owned();
        if kind.is_empty() || kind.eq_ignore_ascii_case("None") {
            return Value::Null;
        }
        let keep = |former: &Value, ids: &mut super::clock::Identifiers| match former {
            Value::String(id) => id.clone(),
            _ => ids.guid(),
        };
        let assigned_elsewhere = |id: &String| {
            let mut others =
                self.groups.values().map(|group| field(&group.identity, "userAssignedIdentities"));
            others.find_map(|identities| identities.get(id)).cloned().unwrap_or_default()
        };
        let requested_ids = field(requested, "userAssignedIdentities").as_object();
        let user_assigned: Option<Vec<_>> = requested_ids
            .map(|requested| requested.keys().map(|id| (id.clone(), assigned_elsewhere(id))).collect());
        let ids = &mut self.request_ids;
        let mut identity = json!({"tenantId": TENANT_ID, "type": kind});
        let Some(shown) = identity.as_object_mut() else { return identity };
        if kind.contains("SystemAssigned") {
            let principal = keep(field(former, "principalId"), ids);
            shown.insert("principalId".to_owned(), principal.into());
        }
        if let Some(user_assigned) = user_assigned {
            let show = |(id, known): (String, Value)| {
                let principal = keep(field(&known, "principalId"), ids);
                let client = keep(field(&known, "clientId"), ids);
                (id, json!({"principalId": principal, "clientId": client}))
            };
            let assigned: Map<_, _> = user_assigned.into_iter().map(show).collect();
            shown.insert("userAssignedIdentities".to_owned(), Value::Object(assigned));
        }
        identity
    }

    /// The instance view of a container; of an init container, that it has ended well (not recorded: as the API's
    /// description has it).
    fn container_view(
        &self,
        group: &ContainerGroup,
        container: &Value,
        is_init: bool,
        now: Duration,
    ) -> Option<Map<String, Value>> {
        let time = |elapsed| timestamp_in_milliseconds(self.settings.epoch_seconds, elapsed);
        let started = time(group.started);
        let terminated = |end: Termination| {
            json!({
                "state": "Terminated",
                "startTime": time(end.started),
                "exitCode": end.exit_code,
                "finishTime": time(end.finished),
                "detailStatus": end.detail,
            })
        };
        let back_off = group.back_off.filter(|_| group.is_waiting(now));
        let (current, previous) = match (group.containers, back_off) {
            (Containers::Waiting, _) => return None,
            (Containers::Running | Containers::Terminated(_), _) if is_init => {
                let (exit_code, detail) = (0, "Completed");
                let (started, finished) = (group.first_started, group.first_started);
                (terminated(Termination { exit_code, started, finished, detail }), None)
            }
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
        let mut view = Map::new();
        let restarts = if is_init { 0 } else { group.restart_count };
        view.insert("restartCount".to_owned(), restarts.into());
        view.insert("currentState".to_owned(), current);
        if let Some(previous) = previous {
            view.insert("previousState".to_owned(), terminated(previous));
        }
        let name = field(container, "name").as_str().unwrap_or_default();
        view.insert("events".to_owned(), self.container_events(group, name));
        Some(view)
    }
}

/// `properties.ipAddress`: absent while a private group has none, without `ip` while a public one has none.
fn ip_address(group: &ContainerGroup) -> Option<Value> {
    let address = |kind: &str, ip: Option<Value>| {
        let mut address = json!({"ports": group.ports, "type": kind});
        if let Some(address) = address.as_object_mut() {
            address.extend(ip.map(|ip| ("ip".to_owned(), ip)));
            address.extend(group.dns_name.as_object().cloned().unwrap_or_default());
        }
        Some(address)
    };
    let deployed = group.containers != Containers::Waiting;
    match (group.ip, group.displayed) {
        (Ip::Public, shown) => address("Public", shown.map(|shown| shown.to_string().into())),
        (Ip::Pool | Ip::Fixed(_), Some(shown)) => address("Private", Some(shown.to_string().into())),
        (Ip::NullIp, _) if deployed => address("Private", Some(Value::Null)),
        (Ip::ZeroIp, _) if deployed => address("Private", Some("0.0.0.0".into())),
        (Ip::EmptyIp, _) if deployed => address("Private", Some("".into())),
        (Ip::NoIpAddress | Ip::Pool | Ip::Fixed(_) | Ip::NullIp | Ip::ZeroIp | Ip::EmptyIp, _) => None,
    }
}

/// The kind of address that a PUT requests, its ports, and its name in public DNS. Like Azure, it ignores an `ip` in the
/// request.
pub(super) fn read_ip_address(address: Option<&Value>, location: &str) -> Result<(Ip, Value, Value), Answer> {
    let Some(address) = address.filter(|address| !address.is_null()) else {
        return Ok((Ip::NoIpAddress, ports(), Value::Null));
    };
    let requested = field(address, "ports").as_array().filter(|ports| !ports.is_empty());
    let Some(requested) = requested else {
        let message = "The ports in the 'ipAddress' of container group cannot be empty.";
        return Err(wrapped(StatusCode::BAD_REQUEST, "MissingIpAddressPorts", message));
    };
    let ports = Value::Array(requested.clone());
    match field(address, "type").as_str() {
        Some("Private") => Ok((Ip::Pool, ports, Value::Null)),
        Some("Public") => Ok((Ip::Public, ports, dns_name(address, location))),
        _ => {
            let message = "The 'type' of the 'ipAddress' must be 'Public' or 'Private'.";
            Err(wrapped(StatusCode::BAD_REQUEST, "InvalidIPAddressType", message))
        }
    }
}

/// A label, with its scope and the resulting name
/// (<https://learn.microsoft.com/azure/container-instances/how-to-reuse-dns-names>). A scope other than `Unsecure` adds a
/// hash to the real name, which is left out here.
fn dns_name(address: &Value, location: &str) -> Value {
    let Some(label) = field(address, "dnsNameLabel").as_str().filter(|label| !label.is_empty()) else {
        return Value::Null;
    };
    let scope = field(address, "autoGeneratedDomainNameLabelScope").as_str().unwrap_or("Unsecure");
    let region = location.to_ascii_lowercase().replace(' ', "");
    json!({
        "dnsNameLabel": label,
        "autoGeneratedDomainNameLabelScope": scope,
        "fqdn": format!("{label}.{region}.azurecontainer.io"),
    })
}

pub(super) fn read_tags(tags: &Value) -> BTreeMap<String, String> {
    let tags = tags.as_object().into_iter().flatten();
    tags.filter_map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned()))).collect()
}

/// Adds the fields that the service adds.
pub(super) fn complete_definition(mut properties: Map<String, Value>) -> Result<Map<String, Value>, Answer> {
    let defaults = [("sku", json!("Standard")), ("restartPolicy", json!("Always"))];
    for (name, value) in defaults {
        properties.entry(name).or_insert(value);
    }
    let containers = properties.get_mut("containers").and_then(Value::as_array_mut);
    if containers.is_none_or(|containers| containers.is_empty()) {
        let message = "The container group has no containers.";
        return Err(wrapped(StatusCode::BAD_REQUEST, "InvalidRequestContent", message));
    }
    let init = properties.remove("initContainers").unwrap_or_else(|| json!([]));
    let mut init = init.as_array().cloned().unwrap_or_default();
    let containers = properties.get_mut("containers").and_then(Value::as_array_mut);
    for container in containers.into_iter().flatten() {
        complete_container(container, true);
    }
    for container in &mut init {
        complete_container(container, false);
    }
    properties.insert("initContainers".to_owned(), Value::Array(init));
    Ok(properties)
}

fn complete_container(container: &mut Value, has_ports: bool) {
    let Some(properties) = container.get_mut("properties").and_then(Value::as_object_mut) else { return };
    if has_ports {
        properties.entry("ports").or_insert(json!([]));
    }
    properties.entry("environmentVariables").or_insert(json!([]));
    properties.remove("instanceView");
}
