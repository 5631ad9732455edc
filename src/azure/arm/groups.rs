//! Converts container groups from Azure's model.

use azure_mgmt_containerinstance::package_preview_2024_05::models::{
    ContainerGroup as Model, container_group_properties::properties::RestartPolicy, ip_address::Type,
};
use serde_json::Value;

use crate::domain::container_group::{Container, ContainerGroup, IpAddress};

/// Converts a container group of Azure.
pub(super) fn container_group(model: Model) -> ContainerGroup {
    let tags = match model.resource.tags {
        Some(Value::Object(tags)) => tags,
        _ => serde_json::Map::new(),
    };
    let tag = |(name, value)| match value {
        Value::Null => None,
        Value::String(text) => Some((name, text)),
        // Kept although it is not text: the code that reads the tag reports an unusable value.
        value => Some((name, value.to_string())),
    };
    let properties = model.container_group_properties.properties;
    ContainerGroup {
        tags: tags.into_iter().filter_map(tag).collect(),
        provisioning_state: properties.provisioning_state,
        state: properties.instance_view.and_then(|view| view.state),
        ip_address: properties.ip_address.map(|address| IpAddress {
            kind: match address.type_ {
                Type::Public => Some("Public".to_owned()),
                Type::Private => Some("Private".to_owned()),
                Type::UnknownValue(text) => Some(text).filter(|text| !text.is_empty()),
            },
            ip: address.ip,
        }),
        containers: properties
            .containers
            .into_iter()
            .map(|container| {
                let state = container.properties.instance_view.and_then(|view| view.current_state);
                state.map_or_else(Container::default, |state| Container {
                    state: state.state,
                    exit_code: state.exit_code.map(i64::from),
                })
            })
            .collect(),
        restart_policy: properties.restart_policy.map(|policy| match policy {
            RestartPolicy::Always => "Always".to_owned(),
            RestartPolicy::OnFailure => "OnFailure".to_owned(),
            RestartPolicy::Never => "Never".to_owned(),
            RestartPolicy::UnknownValue(text) => text,
        }),
        subnets: properties.subnet_ids.iter().filter_map(|subnet| subnet.id.parse().ok()).collect(),
    }
}
