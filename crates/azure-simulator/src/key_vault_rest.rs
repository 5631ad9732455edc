//! The REST API of secrets in Key Vault (<https://learn.microsoft.com/rest/api/keyvault/secrets>), as far as the handler
//! and Microsoft's clients use it, and the vaults in Resource Manager, with their address and firewall.
//!
//! The vault is the first label of a host `<vault>.vault.<suffix>`, or the one in the settings. A request without a
//! token is answered with the challenge that names the audience. Then the network rules are checked, then the rights:
//! data actions at the secret, the vault or above ([`super::vault_scope`]).

use std::collections::BTreeMap;
use std::time::Duration;

use http::{Method, StatusCode, header};
use serde_json::{Map, Value, json};

use super::World;
use super::identity::TENANT_ID;
use super::key_vault::{DeletedSecret, Secret, VaultNetwork, Version, fold, vault_scope};
use super::messages::{Answer, Request, field, wrapped};
use super::rest::ArmPath;

const VERSIONS: [&str; 9] = ["7.0", "7.1", "7.2", "7.3", "7.4", "7.5", "7.6", "2025-07-01", "2026-04-01"];
const MOST_VALUE_BYTES: usize = 25 * 1024;
const MOST_TAGS: usize = 15;
const MOST_TAG_CHARACTERS: usize = 256;
const RETENTION_DAYS: u64 = 90;

/// The vault and the part of the path of a request to Key Vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct VaultTarget {
    pub(super) vault: String,
    /// The audience of its tokens.
    audience: String,
    rest: Vec<String>,
}

impl VaultTarget {
    fn secret(&self) -> &str {
        self.rest.get(1).map_or("", String::as_str)
    }

    /// The operation of a request, and the data action that it needs.
    fn operation(&self, method: &Method) -> Option<(Operation, &'static str)> {
        use Operation::{
            Delete, Get, GetDeleted, List, ListDeleted, ListVersions, Purge, Recover, Set, Update,
        };
        let rest: Vec<_> = self.rest.iter().map(String::as_str).collect();
        Some(match (rest.as_slice(), method) {
            (["secrets"], &Method::GET) => (List, "readMetadata"),
            (["secrets", _, "versions"], &Method::GET) => (ListVersions, "readMetadata"),
            (["secrets", _] | ["secrets", _, _], &Method::GET) => (Get, "getSecret"),
            (["secrets", _], &Method::PUT) => (Set, "setSecret"),
            (["secrets", _] | ["secrets", _, _], &Method::PATCH) => (Update, "update"),
            (["secrets", _], &Method::DELETE) => (Delete, "delete"),
            (["deletedsecrets"], &Method::GET) => (ListDeleted, "readMetadata"),
            (["deletedsecrets", _], &Method::GET) => (GetDeleted, "readMetadata"),
            (["deletedsecrets", _, "recover"], &Method::POST) => (Recover, "recover"),
            (["deletedsecrets", _], &Method::DELETE) => (Purge, "purge"),
            _ => return None,
        })
    }
}

#[derive(Debug, Clone, Copy)]
enum Operation {
    List,
    ListVersions,
    Get,
    Set,
    Update,
    Delete,
    ListDeleted,
    GetDeleted,
    Recover,
    Purge,
}

fn refuse(status: StatusCode, code: &str, message: &str, inner: &str) -> Answer {
    let inner = (!inner.is_empty()).then(|| json!({"code": inner}));
    let mut error = json!({"code": code, "message": message});
    if let (Some(inner), Some(error)) = (inner, error.as_object_mut()) {
        error.insert("innererror".to_owned(), inner);
    }
    Answer::json(status, &json!({"error": error}))
}

fn bad_parameter(message: &str) -> Answer {
    refuse(StatusCode::BAD_REQUEST, "BadParameter", message, "")
}

fn not_found(name: &str) -> Answer {
    let message = format!(
        "A secret with (name/id) {name} was not found in this key vault. If you recently deleted this secret you may \
         be able to recover it using the correct recovery command. For help resolving this issue, please see \
         https://go.microsoft.com/fwlink/?linkid=2125182"
    );
    refuse(StatusCode::NOT_FOUND, "SecretNotFound", &message, "")
}

impl World {
    /// The vault of a request to Key Vault; `None` for other requests.
    pub(super) fn vault_target(&self, request: &Request) -> Option<VaultTarget> {
        let rest = request.segments();
        let host = request.origin.split("://").nth(1).unwrap_or_default();
        let of_host = host.split_once('.').filter(|(_, suffix)| suffix.starts_with("vault."));
        let (vault, audience) = match of_host {
            Some((vault, suffix)) => (vault.to_owned(), format!("https://{suffix}")),
            None => (self.settings.vault.name.clone(), "https://vault.azure.net".to_owned()),
        };
        let is_for_vault = matches!(rest.first().map(String::as_str), Some("secrets" | "deletedsecrets"));
        (is_for_vault || of_host.is_some()).then_some(VaultTarget { vault, audience, rest })
    }

    /// Answers a request to Key Vault.
    pub(super) fn answer_vault(&mut self, request: &Request, target: &VaultTarget) -> Answer {
        if let Some(refusal) = self.refuse_vault_token(request, target) {
            return refusal;
        }
        if !request.query("api-version").is_some_and(|version| VERSIONS.contains(&version)) {
            return bad_parameter("The api-version is missing or not supported.");
        }
        let Some((operation, action)) = target.operation(&request.method) else {
            let message = format!("The simulator does not simulate '{} {}'.", request.method, request.path);
            return wrapped(StatusCode::NOT_IMPLEMENTED, "NotSimulated", &message);
        };
        let is_name = |name: &str| {
            (1..=127).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if target.rest.len() > 1 && !is_name(target.secret()) {
            return bad_parameter(&format!("The request URI contains an invalid name: {}", target.secret()));
        }
        if let Some(refusal) = self.refuse_vault_caller(target, action) {
            return refusal;
        }
        let answer = match operation {
            Operation::List => Ok(self.list_secrets(request, target)),
            Operation::ListVersions => self.list_versions(request, target),
            Operation::Get => self.get_secret(request, target),
            Operation::Set => self.put_secret(request, target),
            Operation::Update => self.update_secret(request, target),
            Operation::Delete => self.remove_secret(request, target),
            Operation::ListDeleted => Ok(self.list_deleted(request, target)),
            Operation::GetDeleted => self.get_deleted(request, target),
            Operation::Recover => self.recover(request, target),
            Operation::Purge => self.purge(target),
        };
        answer.unwrap_or_else(|refusal| refusal)
    }

    /// The challenge, or the refusal of a token.
    fn refuse_vault_token(&self, request: &Request, target: &VaultTarget) -> Option<Answer> {
        if !self.settings.require_token {
            return None;
        }
        let authorization = request.header(header::AUTHORIZATION.as_str()).unwrap_or_default();
        let (message, detail) = match authorization.strip_prefix("Bearer ") {
            None => ("AKV10000: Request is missing a Bearer or PoP token.", ""),
            Some(token) => match self.invalid_token(token, &target.audience) {
                None => return None,
                Some(detail) => (detail, ", error=\"invalid_token\""),
            },
        };
        let challenge = format!(
            "Bearer authorization=\"https://login.microsoftonline.com/{TENANT_ID}\", resource=\"{}\"{detail}",
            target.audience
        );
        let refusal = refuse(StatusCode::UNAUTHORIZED, "Unauthorized", message, "");
        Some(refusal.header("www-authenticate", challenge))
    }

    /// The refusal of a caller by the network rules, or because of a missing right.
    fn refuse_vault_caller(&mut self, target: &VaultTarget, action: &str) -> Option<Answer> {
        let vault = &target.vault;
        let forbidden =
            |message: &str, inner| Some(refuse(StatusCode::FORBIDDEN, "Forbidden", message, inner));
        match self.vault(vault).network {
            VaultNetwork::Open => {}
            VaultNetwork::Firewall => {
                let message = format!(
                    "Client address is not authorized and caller is not a trusted service.\r\nClient address: \
                     203.0.113.7\r\nCaller: appid=***\r\nVault: {vault};location=westeurope"
                );
                return forbidden(&message, "ForbiddenByFirewall");
            }
            VaultNetwork::Private => {
                let message = format!(
                    "Public network access is disabled and request is not from a trusted service nor via an approved \
                     private link.\r\nCaller: appid=***\r\nVault: {vault};location=westeurope"
                );
                return forbidden(&message, "ForbiddenByConnection");
            }
        }
        let scope = vault_scope(vault, target.secret());
        let action = format!("Microsoft.KeyVault/vaults/secrets/{action}{}", verb(action));
        if self.permissions_at(&scope).iter().any(|permission| permission.grants_data(&action)) {
            return None;
        }
        let message = format!(
            "Caller is not authorized to perform action on resource.\r\nIf role assignments, deny assignments or role \
             definitions were changed recently, please observe propagation time.\r\nCaller: appid=***\r\nAction: \
             '{action}'\r\nResource: '{scope}'\r\nAssignment: (not found)\r\nDecisionReason: null\r\nVault: \
             {vault};location=westeurope\r\n"
        );
        forbidden(&message, "ForbiddenByRbac")
    }

    fn existing_secret(&mut self, target: &VaultTarget) -> Result<&mut Secret, Answer> {
        let name = target.secret();
        self.vault(&target.vault).secrets.get_mut(&fold(name)).ok_or_else(|| not_found(name))
    }

    fn get_secret(&mut self, request: &Request, target: &VaultTarget) -> Result<Answer, Answer> {
        let secret = self.existing_secret(target)?;
        let wanted = target.rest.get(2);
        let version = match wanted {
            None => secret.newest(),
            Some(id) => secret.versions.iter().find(|version| version.id == *id),
        };
        let version = version.ok_or_else(|| not_found(target.secret()))?;
        if !version.is_enabled {
            let message = "Operation get is not allowed on a disabled secret.";
            return Err(refuse(StatusCode::FORBIDDEN, "Forbidden", message, "SecretDisabled"));
        }
        Ok(Answer::json(StatusCode::OK, &bundle(request, &secret.name, version)))
    }

    fn put_secret(&mut self, request: &Request, target: &VaultTarget) -> Result<Answer, Answer> {
        let name = target.secret();
        let vault = self.vaults.get(&fold(&target.vault));
        if let Some(deleted) = vault.and_then(|vault| vault.deleted.get(&fold(name))) {
            let (message, inner) = if self.is_being_deleted(deleted) {
                (format!("Secret {name} is currently being deleted."), "ObjectIsBeingDeleted")
            } else {
                let message = format!(
                    "Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; in \
                     this state, the secret can only be recovered or purged."
                );
                (message, "ObjectIsDeletedButRecoverable")
            };
            return Err(refuse(StatusCode::CONFLICT, "Conflict", &message, inner));
        }
        let body = request.json().map_err(|_| bad_parameter("The request body cannot be read as JSON."))?;
        let value = field(&body, "value").as_str();
        let value = value.ok_or_else(|| bad_parameter("Property value has invalid value"))?;
        if value.len() > MOST_VALUE_BYTES {
            return Err(bad_parameter("The value of a secret must not exceed 25k bytes."));
        }
        let mut version = Version { value: value.to_owned(), ..self.new_version() };
        change(&mut version, &body)?;
        self.add_version(&target.vault, name, version);
        self.changed();
        let secret = self.existing_secret(target)?;
        let version = secret.newest().ok_or_else(|| not_found(name))?;
        Ok(Answer::json(StatusCode::OK, &bundle(request, &secret.name, version)).effective())
    }

    fn update_secret(&mut self, request: &Request, target: &VaultTarget) -> Result<Answer, Answer> {
        let body = request.json().map_err(|_| bad_parameter("The request body cannot be read as JSON."))?;
        let now = self.unix_seconds();
        let secret = self.existing_secret(target)?;
        let name = secret.name.clone();
        let version = match target.rest.get(2) {
            None => secret.newest_mut(),
            Some(id) => secret.versions.iter_mut().find(|version| version.id == *id),
        };
        let version = version.ok_or_else(|| not_found(&name))?;
        change(version, &body)?;
        version.updated = now;
        let mut properties = bundle(request, &name, version);
        if let Some(properties) = properties.as_object_mut() {
            properties.remove("value");
        }
        self.changed();
        Ok(Answer::json(StatusCode::OK, &properties).effective())
    }

    fn list_secrets(&mut self, request: &Request, target: &VaultTarget) -> Answer {
        let secrets = self.vault(&target.vault).secrets.values();
        let listed = secrets.filter_map(|secret| Some(properties(request, secret, secret.newest()?, false)));
        let listed: Vec<Value> = listed.collect();
        Answer::json(StatusCode::OK, &json!({"value": listed, "nextLink": null}))
    }

    fn list_versions(&mut self, request: &Request, target: &VaultTarget) -> Result<Answer, Answer> {
        let secret = self.existing_secret(target)?;
        let listed = secret.versions.iter().map(|version| properties(request, secret, version, true));
        let listed: Vec<Value> = listed.collect();
        Ok(Answer::json(StatusCode::OK, &json!({"value": listed, "nextLink": null})))
    }

    fn remove_secret(&mut self, request: &Request, target: &VaultTarget) -> Result<Answer, Answer> {
        self.existing_secret(target)?;
        self.soft_delete(&target.vault, target.secret());
        self.changed();
        let deleted =
            self.vaults.get(&fold(&target.vault)).and_then(|it| it.deleted.get(&fold(target.secret())));
        let body = deleted.map(|deleted| self.deleted_bundle(request, deleted)).unwrap_or_default();
        Ok(Answer::json(StatusCode::OK, &body).effective())
    }

    /// The deleted secret of a request, after its deletion is complete.
    fn deleted_secret(&self, target: &VaultTarget) -> Result<&DeletedSecret, Answer> {
        let vault = self.vaults.get(&fold(&target.vault));
        let deleted = vault.and_then(|vault| vault.deleted.get(&fold(target.secret())));
        deleted.filter(|deleted| !self.is_being_deleted(deleted)).ok_or_else(|| {
            let message = format!("Deleted Secret not found: {}", target.secret());
            refuse(StatusCode::NOT_FOUND, "SecretNotFound", &message, "")
        })
    }

    fn list_deleted(&mut self, request: &Request, target: &VaultTarget) -> Answer {
        let vault = self.vaults.get(&fold(&target.vault));
        let deleted = vault.iter().flat_map(|vault| vault.deleted.values());
        let deleted = deleted.filter(|deleted| !self.is_being_deleted(deleted));
        let listed: Vec<Value> = deleted.map(|deleted| self.deleted_bundle(request, deleted)).collect();
        Answer::json(StatusCode::OK, &json!({"value": listed, "nextLink": null}))
    }

    fn get_deleted(&mut self, request: &Request, target: &VaultTarget) -> Result<Answer, Answer> {
        let deleted = self.deleted_secret(target)?;
        Ok(Answer::json(StatusCode::OK, &self.deleted_bundle(request, deleted)))
    }

    fn recover(&mut self, request: &Request, target: &VaultTarget) -> Result<Answer, Answer> {
        self.deleted_secret(target)?;
        let vault = self.vault(&target.vault);
        if let Some(deleted) = vault.deleted.remove(&fold(target.secret())) {
            vault.secrets.insert(fold(target.secret()), deleted.secret);
        }
        self.changed();
        let secret = self.existing_secret(target)?;
        let version = secret.newest().ok_or_else(|| not_found(target.secret()))?;
        Ok(Answer::json(StatusCode::OK, &properties(request, secret, version, true)).effective())
    }

    fn purge(&mut self, target: &VaultTarget) -> Result<Answer, Answer> {
        self.deleted_secret(target)?;
        self.vault(&target.vault).deleted.remove(&fold(target.secret()));
        self.changed();
        Ok(Answer::empty(StatusCode::NO_CONTENT).effective())
    }

    fn deleted_bundle(&self, request: &Request, deleted: &DeletedSecret) -> Value {
        let Some(version) = deleted.secret.newest() else { return Value::Null };
        let mut body = properties(request, &deleted.secret, version, true);
        let date = self.settings.epoch_seconds + deleted.deleted.as_secs();
        let purge = date + Duration::from_hours(24 * RETENTION_DAYS).as_secs();
        if let Some(body) = body.as_object_mut() {
            let recovery = format!("{}/deletedsecrets/{}", request.origin, deleted.secret.name);
            body.insert("recoveryId".to_owned(), recovery.into());
            body.insert("deletedDate".to_owned(), date.into());
            body.insert("scheduledPurgeDate".to_owned(), purge.into());
        }
        body
    }

    /// Adds the headers of Key Vault's answers.
    pub(super) fn add_vault_headers(&mut self, request: &Request, answer: &mut Answer) {
        let mut set = |name: &'static str, value: String| {
            answer.headers.push((http::HeaderName::from_static(name), value));
        };
        set("cache-control", "no-cache".to_owned());
        set("x-ms-keyvault-region", "westeurope".to_owned());
        set("x-ms-request-id", self.request_ids.guid());
        if let Some(id) = request.header("x-ms-client-request-id") {
            set("x-ms-client-request-id", id.to_owned());
        }
    }

    /// The vaults of a subscription in Resource Manager: those that were used.
    pub(super) fn answer_key_vault(&self, request: &Request, path: &ArmPath) -> Option<Answer> {
        let rest: Vec<_> = path.rest.iter().map(String::as_str).collect();
        let is_list = matches!(rest.as_slice(), [kind] if kind.eq_ignore_ascii_case("vaults"));
        if !is_list || request.method != Method::GET {
            return None;
        }
        let prefix = format!("/subscriptions/{}/", path.subscription);
        let vaults = self.vaults.iter().map(|(name, vault)| (vault_scope(name, ""), name, vault));
        let vaults = vaults.filter(|(id, ..)| id.starts_with(&prefix)).map(|(id, name, vault)| {
            let (access, action) = match vault.network {
                VaultNetwork::Open => ("Enabled", "Allow"),
                VaultNetwork::Firewall => ("Enabled", "Deny"),
                VaultNetwork::Private => ("Disabled", "Deny"),
            };
            json!({
                "id": id,
                "name": name,
                "type": "Microsoft.KeyVault/vaults",
                "location": "westeurope",
                "properties": {
                    "vaultUri": format!("https://{name}.vault.azure.net/"),
                    "enableRbacAuthorization": true,
                    "publicNetworkAccess": access,
                    "networkAcls": {"bypass": "AzureServices", "defaultAction": action},
                },
            })
        });
        Some(request.page(vaults.collect()))
    }
}

/// The last part of a data action: `delete` and `purge` have none or their own.
fn verb(action: &str) -> &'static str {
    if action == "delete" { "" } else { "/action" }
}

/// Applies the members of a request's body that a version has.
fn change(version: &mut Version, body: &Value) -> Result<(), Answer> {
    if let Some(content_type) = field(body, "contentType").as_str() {
        version.content_type = Some(content_type.to_owned());
    }
    let attributes = field(body, "attributes");
    version.is_enabled = field(attributes, "enabled").as_bool().unwrap_or(version.is_enabled);
    version.expires = field(attributes, "exp").as_u64().or(version.expires);
    version.not_before = field(attributes, "nbf").as_u64().or(version.not_before);
    if let Some(tags) = field(body, "tags").as_object() {
        version.tags = read_tags(tags)?;
    }
    Ok(())
}

fn read_tags(tags: &Map<String, Value>) -> Result<BTreeMap<String, String>, Answer> {
    if tags.len() > MOST_TAGS {
        return Err(bad_parameter("Number of tags must not exceed 15."));
    }
    let read = tags.iter().map(|(name, value)| Some((name.clone(), value.as_str()?.to_owned())));
    let read: Option<BTreeMap<_, _>> = read.collect();
    let is_short = |text: &String| text.chars().count() <= MOST_TAG_CHARACTERS;
    let read = read.filter(|tags| tags.iter().all(|(name, value)| is_short(name) && is_short(value)));
    read.ok_or_else(|| bad_parameter("Tag names and values must be strings of at most 256 characters."))
}

/// A version of a secret with its value.
fn bundle(request: &Request, name: &str, version: &Version) -> Value {
    let mut attributes = json!({
        "enabled": version.is_enabled,
        "created": version.created,
        "updated": version.updated,
        "recoveryLevel": "Recoverable+Purgeable",
        "recoverableDays": RETENTION_DAYS,
    });
    let mut body = json!({
        "value": version.value,
        "id": format!("{}/secrets/{name}/{}", request.origin, version.id),
    });
    let optional = [("exp", version.expires), ("nbf", version.not_before)];
    if let Some(attributes) = attributes.as_object_mut() {
        for (name, seconds) in optional {
            attributes.extend(seconds.map(|seconds| (name.to_owned(), seconds.into())));
        }
    }
    if let Some(body) = body.as_object_mut() {
        body.insert("attributes".to_owned(), attributes);
        body.extend(version.content_type.clone().map(|text| ("contentType".to_owned(), text.into())));
        if !version.tags.is_empty() {
            body.insert("tags".to_owned(), json!(version.tags));
        }
    }
    body
}

/// A secret without its value, in the form of lists.
fn properties(request: &Request, secret: &Secret, version: &Version, with_version: bool) -> Value {
    let mut body = bundle(request, &secret.name, version);
    if let Some(body) = body.as_object_mut() {
        body.remove("value");
        if !with_version {
            body.insert("id".to_owned(), format!("{}/secrets/{}", request.origin, secret.name).into());
        }
    }
    body
}
