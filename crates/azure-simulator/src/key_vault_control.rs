//! The actions on key vaults under `/simulator`.

use http::Method;
use serde_json::{Value, json};

use super::Azure;
use super::key_vault::VaultNetwork;
use super::messages::{Request, field};

impl Azure {
    /// Executes a request about vaults; `None` for other requests. `Null` means no content.
    pub(super) fn control_vaults(&self, request: &Request, path: &[&str]) -> Option<Result<Value, String>> {
        match (&request.method, path) {
            (&Method::GET, ["secrets"]) => Some(Ok(self.secrets_body())),
            (&Method::PUT, ["secrets"]) => Some(self.control_secret(&request.body)),
            (&Method::PUT, ["vaults"]) => Some(self.control_network(&request.body)),
            _ => None,
        }
    }

    fn secrets_body(&self) -> Value {
        self.read(|view| {
            let vaults = view.vaults().into_iter();
            let secrets = vaults.flat_map(|vault| {
                view.secrets(&vault).into_iter().map(move |secret| {
                    json!({
                        "vault": vault,
                        "name": secret.name,
                        "value": secret.value,
                        "tags": secret.tags,
                        "enabled": secret.is_enabled,
                        "versions": secret.versions,
                    })
                })
            });
            secrets.collect()
        })
    }

    fn control_secret(&self, body: &[u8]) -> Result<Value, String> {
        let body = read(body)?;
        let (vault, name) = (text(&body, "vault")?, text(&body, "name")?);
        if let Some(value) = field(&body, "value").as_str() {
            let tags = field(&body, "tags").as_object().into_iter().flatten();
            let tags: Vec<(&str, &str)> =
                tags.filter_map(|(key, value)| Some((key.as_str(), value.as_str()?))).collect();
            self.set_secret(vault, name, value, &tags);
        }
        if let Some(is_enabled) = field(&body, "enabled").as_bool() {
            self.enable_secret(vault, name, is_enabled);
        }
        match field(&body, "deleted").as_bool() {
            Some(true) => self.delete_secret(vault, name),
            Some(false) => self.recover_secret(vault, name),
            None => {}
        }
        Ok(Value::Null)
    }

    fn control_network(&self, body: &[u8]) -> Result<Value, String> {
        let body = read(body)?;
        let network = match text(&body, "network")? {
            "open" => VaultNetwork::Open,
            "firewall" => VaultNetwork::Firewall,
            "private" => VaultNetwork::Private,
            other => return Err(format!("'network' is open, firewall or private, not '{other}'")),
        };
        self.set_vault_network(text(&body, "vault")?, network);
        Ok(Value::Null)
    }
}

fn read(body: &[u8]) -> Result<Value, String> {
    serde_json::from_slice(body).map_err(|error| format!("the body is not JSON: {error}"))
}

fn text<'a>(body: &'a Value, name: &str) -> Result<&'a str, String> {
    field(body, name).as_str().ok_or_else(|| format!("'{name}' is missing"))
}
