//! Client of the secrets in key vaults, on the transport and the tokens that all clients share.
//!
//! `azure_security_keyvault_secrets` builds the requests and reads the answers, on a transport of this crate. The
//! transport attaches the token below all code that may log the request, and refuses requests to other hosts than the
//! vault. The SDK finds the audience of its tokens by a first request without a token. Here the cloud determines the
//! audience: the transport answers that request itself, so that no vault can request a token for another service, and
//! an event needs one request less. Each vault has one client, created when the first group needs it.
//!
//! The SDK refuses http. For a vault on this machine it gets an https URL, and the transport restores http.
//!
//! Deliberately absent: lists, deletions, values of deleted secrets, and secrets that no container group publishes.
//!
//! Source: <https://learn.microsoft.com/rest/api/keyvault/secrets>

mod error;
mod transport;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use azure_core1::http::{ClientOptions, RetryOptions, Transport};
use azure_security_keyvault_secrets::{
    SecretClient, SecretClientOptions,
    models::{Secret as Model, SetSecretParameters},
};
use tokio::time::{Instant, sleep, timeout};

pub use self::error::{VaultCause, VaultError};
use self::transport::{VaultPlaceholderCredential, VaultTransport, secured};
use crate::{
    azure::{http_transport::HttpTransport, tokens::Tokens},
    config::Cloud,
    decide::report::RequestRecord,
    domain::secret::{Secret, SecretId, Vault},
};

/// The timeout of one operation, including retries. A vault that does not answer leaves time to verify the record sets.
const OPERATION_TIMEOUT: Duration = Duration::from_secs(8);

/// The pauses before the retries of a read.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(400)];

/// The clients of all vaults in a process. Cheap to clone.
#[derive(Clone)]
pub struct Vaults(Arc<VaultClients>);

struct VaultClients {
    http_transport: HttpTransport,
    tokens: Tokens,
    cloud: Cloud,
    clients: Mutex<BTreeMap<Vault, Arc<SecretClient>>>,
}

impl fmt::Debug for Vaults {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Vaults").field(&self.0.cloud).finish()
    }
}

impl Vaults {
    /// Creates the pool without a client.
    #[must_use]
    pub fn new(cloud: Cloud, http_transport: HttpTransport, tokens: Tokens) -> Self {
        Self(Arc::new(VaultClients { http_transport, tokens, cloud, clients: Mutex::default() }))
    }

    /// The number of vaults with a client.
    #[must_use]
    pub fn client_count(&self) -> usize {
        self.clients().len()
    }

    /// The client of one invocation, which counts its requests.
    #[must_use]
    pub fn invocation(&self) -> VaultRequests {
        VaultRequests { vaults: self.clone(), log: Mutex::default() }
    }

    fn clients(&self) -> std::sync::MutexGuard<'_, BTreeMap<Vault, Arc<SecretClient>>> {
        self.0.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn client(&self, vault: &Vault) -> Result<Arc<SecretClient>, VaultCause> {
        if let Some(client) = self.clients().get(vault) {
            return Ok(Arc::clone(client));
        }
        let VaultClients { http_transport, tokens, cloud, .. } = &*self.0;
        let transport = VaultTransport::new(
            vault.url().clone(),
            cloud.vault_scope(),
            http_transport.clone(),
            tokens.clone(),
        );
        let client_options = ClientOptions {
            transport: Some(Transport::new(Arc::new(transport))),
            retry: RetryOptions::none(),
            ..ClientOptions::default()
        };
        let options = SecretClientOptions {
            client_options,
            // The name of a vault on this machine does not end in the host of the audience.
            verify_challenge_resource: Some(!vault.is_local()),
            ..SecretClientOptions::default()
        };
        let endpoint = secured(vault.url());
        let client =
            SecretClient::new(endpoint.as_str(), Arc::new(VaultPlaceholderCredential), Some(options));
        let client = Arc::new(client.map_err(|error| VaultCause::Client(error.into()))?);
        Ok(Arc::clone(self.clients().entry(vault.clone()).or_insert(client)))
    }
}

/// The requests of one invocation to key vaults.
#[derive(Debug)]
pub struct VaultRequests {
    vaults: Vaults,
    log: Mutex<Vec<(Instant, RequestRecord)>>,
}

impl VaultRequests {
    /// How many requests were sent.
    #[must_use]
    pub fn count(&self) -> usize {
        self.log().len()
    }

    /// The requests, in the order in which they ended.
    #[must_use]
    pub fn request_records(&self) -> Vec<RequestRecord> {
        let now = Instant::now();
        self.log().iter().map(|(at, record)| RequestRecord { age: now - *at, ..record.clone() }).collect()
    }

    fn log(&self) -> std::sync::MutexGuard<'_, Vec<(Instant, RequestRecord)>> {
        self.log.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest version of a secret; `None` if the vault answers that it does not exist.
    pub async fn read(&self, id: &SecretId) -> Result<Option<Secret>, VaultError> {
        let read = async {
            let mut pauses = PAUSES.into_iter();
            let mut attempt = 1;
            loop {
                let at = Instant::now();
                let result = self.read_once(id).await;
                self.note("GET", id, attempt, at, &result);
                match (result, pauses.next()) {
                    (Err(cause), Some(pause)) if cause.may_be_repeated() => sleep(pause).await,
                    (result, _) => return result,
                }
                attempt += 1;
            }
        };
        let result = timeout(OPERATION_TIMEOUT, read).await.unwrap_or(Err(VaultCause::Late));
        match result {
            Ok(model) => Ok(Some(secret(model))),
            Err(cause) if cause.says_no_secret() => Ok(None),
            Err(cause) => Err(VaultError::new(false, id, cause)),
        }
    }

    /// Whether a secret of this name is deleted and recoverable. Needs another permission than the other requests.
    pub async fn is_deleted(&self, id: &SecretId) -> Result<bool, VaultError> {
        let at = Instant::now();
        let read = async {
            let client = self.vaults.client(&id.vault)?;
            client.get_deleted_secret(id.name.as_str(), None).await?;
            Ok(())
        };
        let result = timeout(OPERATION_TIMEOUT, read).await.unwrap_or(Err(VaultCause::Late));
        self.note("GET", id, 1, at, &result);
        match result {
            Ok(()) => Ok(true),
            Err(cause) if cause.says_no_secret() => Ok(false),
            Err(cause) => Err(VaultError::new(false, id, cause)),
        }
    }

    async fn read_once(&self, id: &SecretId) -> Result<Model, VaultCause> {
        let client = self.vaults.client(&id.vault)?;
        Ok(client.get_secret(id.name.as_str(), None).await?.into_model()?)
    }

    /// Writes a new version of a secret. After a lost answer, the write is not retried.
    pub async fn write(&self, id: &SecretId, secret: &Secret) -> Result<(), VaultError> {
        let parameters = SetSecretParameters {
            content_type: secret.content_type.clone(),
            tags: Some(secret.tags.clone().into_iter().collect()),
            value: Some(secret.value.clone()),
            ..SetSecretParameters::default()
        };
        let at = Instant::now();
        let write = async {
            let client = self.vaults.client(&id.vault)?;
            client.set_secret(id.name.as_str(), parameters.try_into()?, None).await?;
            Ok(())
        };
        let result = timeout(OPERATION_TIMEOUT, write).await.unwrap_or(Err(VaultCause::Late));
        self.note("PUT", id, 1, at, &result);
        result.map_err(|cause| VaultError::new(true, id, cause))
    }

    fn note<Value>(
        &self,
        method: &'static str,
        id: &SecretId,
        attempt: u32,
        at: Instant,
        result: &Result<Value, VaultCause>,
    ) {
        let status = match result {
            Ok(_) => Some(200),
            Err(cause) => cause.status(),
        };
        tracing::debug!(method, secret = %id, status, "request");
        let url = id.vault.url();
        let record = RequestRecord {
            method,
            operation: format!("{method} secret"),
            url: format!("{}/secrets/{}", url.origin().ascii_serialization(), id.name.as_str()),
            host: url.host_str().unwrap_or_default().to_owned(),
            attempt,
            status,
            age: Duration::ZERO,
            duration: at.elapsed(),
        };
        self.log().push((at, record));
    }
}

fn secret(model: Model) -> Secret {
    Secret {
        value: model.value.unwrap_or_default(),
        content_type: model.content_type,
        tags: model.tags.unwrap_or_default().into_iter().collect(),
    }
}
