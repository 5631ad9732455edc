//! Container groups in the interface of tests and verbs.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::time::Duration;

use serde_json::{Value, json};

use super::resource_ids::DEFAULT_SUBSCRIPTION;

/// The address of a container group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ip {
    /// Private, from the subnet: a different one after each deployment.
    Pool,
    /// Private, always this one.
    Fixed(Ipv4Addr),
    /// Public.
    Public,
    /// No `ipAddress` at all: a group that was deployed without ports.
    NoIpAddress,
    /// Private, and `ip` is null.
    NullIp,
    /// Private, and `ip` is `0.0.0.0`.
    ZeroIp,
    /// Private, and `ip` is the empty string.
    EmptyIp,
}

/// The treatment of containers that end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    /// They are restarted.
    Always,
    /// They are restarted unless the exit code is 0.
    OnFailure,
    /// They stay terminated.
    Never,
}

impl RestartPolicy {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::OnFailure => "OnFailure",
            Self::Never => "Never",
        }
    }

    /// The policy with this name, in any case.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        let all = [Self::Always, Self::OnFailure, Self::Never];
        all.into_iter().find(|policy| policy.name().eq_ignore_ascii_case(name))
    }
}

/// A container group to be created.
#[derive(Debug, Clone)]
pub struct GroupSpec {
    /// Subscription id.
    pub subscription: String,
    /// Resource group; it is created if it does not exist.
    pub resource_group: String,
    /// Name of the group.
    pub name: String,
    /// Azure region.
    pub location: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// The kind of its address.
    pub ip: Ip,
    /// Resource id of the subnet; by default the default subnet of the resource group.
    pub subnet: Option<String>,
    /// How long provisioning takes, at first and after each restart.
    pub provisioning: Duration,
    /// How long reads of a new group answer as if it did not exist; by default as in the settings.
    pub visible_after: Option<Duration>,
    /// Restart policy.
    pub restart_policy: RestartPolicy,
    /// Whether it belongs to a standby pool: `PreProvisioned` until it is claimed.
    pub standby: bool,
    /// Image of its first container, which has the group's name.
    pub image: String,
    /// Images of further containers: `side-1`, `side-2`, ….
    pub side_images: Vec<String>,
    /// Images of init containers: `init-1`, `init-2`, ….
    pub init_images: Vec<String>,
    /// Environment variables of its first container.
    pub environment: BTreeMap<String, String>,
    /// The id of a Log Analytics workspace. Azure then answers `diagnostics.logAnalytics` without the
    /// `workspaceKey` that its own API description requires.
    pub log_analytics_workspace: Option<String>,
}

impl GroupSpec {
    /// A group with a private address from the pool, provisioned at once.
    #[must_use]
    pub fn new(resource_group: &str, name: &str) -> Self {
        Self {
            subscription: DEFAULT_SUBSCRIPTION.to_owned(),
            resource_group: resource_group.to_owned(),
            name: name.to_owned(),
            location: "westeurope".to_owned(),
            tags: BTreeMap::new(),
            ip: Ip::Pool,
            subnet: None,
            provisioning: Duration::ZERO,
            visible_after: None,
            restart_policy: RestartPolicy::Always,
            standby: false,
            image: "mcr.microsoft.com/azuredocs/aci-helloworld".to_owned(),
            side_images: Vec::new(),
            init_images: Vec::new(),
            environment: BTreeMap::new(),
            log_analytics_workspace: None,
        }
    }

    /// The properties of a PUT that would create the group, without `ipAddress` and `subnetIds`.
    pub(super) fn definition(&self) -> Value {
        let environment: Vec<_> =
            self.environment.iter().map(|(name, value)| json!({"name": name, "value": value})).collect();
        let mut definition = json!({
            "sku": "Standard",
            "containers": [{"name": self.name, "properties": {
                "image": self.image,
                "ports": ports(),
                "environmentVariables": environment,
                "resources": {"requests": {"memoryInGB": 1.5, "cpu": 1.0}},
            }}],
            "initContainers": named("init", &self.init_images, |image| json!({
                "image": image,
                "environmentVariables": [],
            })),
            "restartPolicy": self.restart_policy.name(),
            "osType": "Linux",
        });
        let side = named("side", &self.side_images, |image| {
            json!({
                "image": image,
                "ports": [],
                "environmentVariables": [],
                "resources": {"requests": {"memoryInGB": 0.5, "cpu": 0.5}},
            })
        });
        if let Some(containers) = definition.get_mut("containers").and_then(Value::as_array_mut) {
            containers.extend(side);
        }
        if let (Some(workspace), Some(properties)) =
            (&self.log_analytics_workspace, definition.as_object_mut())
        {
            let diagnostics =
                json!({"logAnalytics": {"workspaceId": workspace, "logType": "ContainerInsights"}});
            properties.insert("diagnostics".to_owned(), diagnostics);
        }
        definition
    }
}

fn named(kind: &str, images: &[String], properties: impl Fn(&str) -> Value) -> Vec<Value> {
    let container = |(number, image): (usize, &String)| json!({"name": format!("{kind}-{number}"), "properties": properties(image)});
    (1..).zip(images).map(container).collect()
}

pub(super) fn ports() -> Value {
    json!([{"protocol": "TCP", "port": 80}])
}

/// The external view of a container group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupView {
    /// Resource id, spelled as the group was created.
    pub id: String,
    /// Subscription id.
    pub subscription: String,
    /// Resource group.
    pub resource_group: String,
    /// Name.
    pub name: String,
    /// Tags.
    pub tags: BTreeMap<String, String>,
    /// `properties.provisioningState`.
    pub provisioning_state: String,
    /// `properties.instanceView.state`.
    pub state: String,
    /// The address that the group really holds now, even if answers differ. Never a released one.
    pub address: Option<Ipv4Addr>,
    /// The kind of its address.
    pub ip: Ip,
}
