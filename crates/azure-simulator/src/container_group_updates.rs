//! What a PUT of a container group may not do, in the words of the service.
//!
//! A GET hides secrets, and a PUT replaces the whole group. So a PUT of what a GET has answered is refused where a secret
//! was hidden, with one exception: a volume of secrets is shown as `{}`, and then written empty.
//!
//! Sources: <https://learn.microsoft.com/azure/container-instances/container-instances-update>, and messages in issues
//! of users: MicrosoftDocs/azure-docs #38067 and #31168, docker-archive/cloud-integration-beta #10, mage-ai/mage-ai
//! #4872, hashicorp/terraform-provider-azurerm #26631, Azure/azure-cli #7593. Where those name no message, the comment
//! beside it says so.

use http::StatusCode;
use serde_json::{Map, Value};

use super::World;
use super::container_groups::{ContainerGroup, Deployment};
use super::container_states::{Containers, Secrets};
use super::messages::{Answer, field, wrapped};

fn refused(code: &str, message: &str) -> Answer {
    wrapped(StatusCode::BAD_REQUEST, code, message)
}

/// The members of a list, such as the containers.
fn members<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    field(value, name).as_array().into_iter().flatten()
}

fn is_present(value: &Value) -> bool {
    !value.is_null() && value.as_str() != Some("")
}

/// The refusal of a PUT in which a secret is missing.
pub(super) fn refuse_missing_secrets(properties: &Value, group: &str) -> Result<(), Answer> {
    for container in members(properties, "initContainers").chain(members(properties, "containers")) {
        for variable in members(field(container, "properties"), "environmentVariables") {
            if field(variable, "value").is_null() == field(variable, "secureValue").is_null() {
                let (variable, container) = (field(variable, "name"), field(container, "name"));
                let message = format!(
                    "The environment variable '{}' in container '{}' of container group '{group}' is invalid. One and \
                     only one property of 'value' and 'secureValue' can be specified in an environment variable.",
                    variable.as_str().unwrap_or_default(),
                    container.as_str().unwrap_or_default(),
                );
                return Err(refused("InvalidEnvironmentVariable", &message));
            }
        }
    }
    for registry in members(properties, "imageRegistryCredentials") {
        if is_present(field(registry, "username")) && !is_present(field(registry, "password")) {
            let message = format!(
                "The password in the 'imageRegistryCredentials' of container group '{group}' cannot be empty."
            );
            return Err(refused("InvalidImageRegistryPassword", &message));
        }
    }
    for volume in members(properties, "volumes") {
        let share = field(volume, "azureFile");
        if share.is_object() && !is_present(field(share, "storageAccountKey")) {
            // The code is that of the service; its message is not public.
            let name = field(volume, "name").as_str().unwrap_or_default();
            let message = format!("The storage account key of the volume '{name}' is invalid.");
            return Err(refused("InvalidStorageAccountKey", &message));
        }
    }
    let workspace = field(field(properties, "diagnostics"), "logAnalytics");
    if workspace.is_object() && !is_present(field(workspace, "workspaceKey")) {
        // The description of the API requires the key; neither code nor message is public.
        let message = "The 'workspaceKey' of the 'logAnalytics' is required.";
        return Err(refused("InvalidRequestContent", message));
    }
    Ok(())
}

/// Removes the secrets, which the service never returns, and returns them.
pub(super) fn take_secrets(properties: &mut Map<String, Value>) -> Secrets {
    let mut secrets = Secrets::new();
    let mut take = |place: String, value: &mut Value, name: &str| {
        let taken = value.as_object_mut().and_then(|object| object.remove(name));
        if let Some(Value::String(text)) = taken {
            secrets.insert(format!("{place}/{name}"), text);
        }
    };
    let name_of = |value: &Value| field(value, "name").as_str().unwrap_or_default().to_owned();
    for kind in ["containers", "initContainers"] {
        for container in properties.get_mut(kind).and_then(Value::as_array_mut).into_iter().flatten() {
            let place = format!("{kind}/{}", name_of(container));
            let variables = container.pointer_mut("/properties/environmentVariables");
            for variable in variables.and_then(Value::as_array_mut).into_iter().flatten() {
                let name = name_of(variable);
                take(format!("{place}/{name}"), variable, "secureValue");
            }
        }
    }
    for volume in properties.get_mut("volumes").and_then(Value::as_array_mut).into_iter().flatten() {
        let place = format!("volumes/{}", name_of(volume));
        if let Some(share) = volume.get_mut("azureFile") {
            take(place.clone(), share, "storageAccountKey");
        }
        // A volume of secrets is shown empty (example ContainerGroupsCreateOrUpdate of the API's description).
        let files = volume.get_mut("secret").filter(|secret| secret.is_object());
        if let Some(files) = files {
            let names: Vec<_> =
                files.as_object().into_iter().flatten().map(|(name, _)| name.clone()).collect();
            for name in names {
                take(place.clone(), files, &name);
            }
            *files = Value::Object(Map::new());
        }
    }
    for extension in properties.get_mut("extensions").and_then(Value::as_array_mut).into_iter().flatten() {
        let place = format!("extensions/{}", name_of(extension));
        if let Some(settings) = extension.get_mut("properties") {
            take(place, settings, "protectedSettings");
        }
    }
    if let Some(workspace) = properties.get_mut("diagnostics").and_then(|it| it.get_mut("logAnalytics")) {
        take("diagnostics/logAnalytics".to_owned(), workspace, "workspaceKey");
    }
    let registries = properties.get_mut("imageRegistryCredentials").and_then(Value::as_array_mut);
    for registry in registries.into_iter().flatten() {
        let server = field(registry, "server").as_str().unwrap_or_default().to_owned();
        take(format!("imageRegistryCredentials/{server}"), registry, "password");
    }
    secrets
}

impl World {
    /// The refusal of a PUT that names an image which cannot be pulled.
    pub(super) fn refuse_images(&self, deployment: &Deployment) -> Result<(), Answer> {
        let definition = &deployment.definition;
        let containers = members(definition, "initContainers").chain(members(definition, "containers"));
        let images =
            containers.filter_map(|container| field(field(container, "properties"), "image").as_str());
        for image in images {
            if !self.images.is_accessible(image) {
                let message = format!(
                    "The image '{image}' in container group '{}' is not accessible. Please check the image and registry \
                     credential.",
                    deployment.name
                );
                return Err(refused("InaccessibleImage", &message));
            }
        }
        Ok(())
    }
}

impl ContainerGroup {
    /// The refusal of a PUT that changes what only a new group can have. A group that has ended is deployed as new.
    pub(super) fn refuse_update(&self, asked: &Deployment, is_in_subnet: bool) -> Result<(), Answer> {
        if self.containers != Containers::Running && self.back_off.is_none() {
            return Ok(());
        }
        let text = |value: &Value, name: &str| field(value, name).as_str().unwrap_or_default().to_owned();
        let subject =
            format!("The updates on container group '{}' are invalid. If you are going to update", self.name);
        let end = "for a container group, you must delete it first and then create a new one.";
        let policies = [&self.definition, &asked.definition].map(|it| text(it, "restartPolicy"));
        if let [old, new] = &policies
            && !old.eq_ignore_ascii_case(new)
        {
            let message = format!("{subject} the RestartPolicy (old \"{old}\", new \"{new}\") {end}");
            return Err(refused("InvalidContainerGroupUpdate", &message));
        }
        let systems = [&self.definition, &asked.definition].map(|it| text(it, "osType").to_ascii_lowercase());
        let subnet = asked.subnet.as_ref().filter(|_| is_in_subnet).map(|subnet| subnet.to_ascii_lowercase());
        let present = self.is_in_subnet.then(|| self.subnet.to_ascii_lowercase());
        let resources = |definition: &Value, name: &Value| {
            let of = members(definition, "containers").find(|container| field(container, "name") == name);
            of.map(|container| numbers(field(field(container, "properties"), "resources")))
        };
        let is_resized = members(&self.definition, "containers").any(|container| {
            let name = field(container, "name");
            let asked = resources(&asked.definition, name);
            asked.is_some() && asked != resources(&self.definition, name)
        });
        if systems[0] != systems[1] || subnet != present || self.zones != asked.zones || is_resized {
            let message = format!(
                "{subject} the os type, restart policy, network profile, CPU, memory or GPU resources {end}"
            );
            return Err(refused("InvalidContainerGroupUpdate", &message));
        }
        Ok(())
    }
}

/// The value with every number as a floating-point one: `1` and `1.0` are the same resources.
fn numbers(value: &Value) -> Value {
    match value {
        Value::Number(number) => number.as_f64().map_or(Value::Null, Value::from),
        Value::Object(members) => {
            let members = members.iter().filter(|(_, value)| !value.is_null());
            members.map(|(name, value)| (name.clone(), numbers(value))).collect()
        }
        other => other.clone(),
    }
}
