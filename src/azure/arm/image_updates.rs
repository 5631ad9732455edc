//! Reads container groups as Azure describes them, restarts them, and replaces them. Only the functions of image
//! updates use it.
//!
//! Every request asks for one version of the API, because a PUT in another version than its GET would lose members that
//! only one of them knows. Nothing is left out of the answers.
//!
//! Source: <https://learn.microsoft.com/rest/api/container-instances/container-groups>

use std::{fmt, sync::Arc};

use azure_core::{Method, Request};
use serde_json::Value;
use url::Url;

use super::{
    Arm, ArmError, Cause, Instant, PAGE_LIMIT, RequestRecord, Slot,
    error::{Operation, Subject},
    transport::{Endpoint, Transport},
};
use crate::domain::resource_id::{ContainerGroupId, ResourceIdError, Scope};

/// The version of Container Instances.
const VERSION: &str = "2025-09-01";

/// The client of one run of image updates.
pub struct ImageUpdateClient {
    transport: Transport,
    endpoint: Arc<Endpoint>,
}

impl fmt::Debug for ImageUpdateClient {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.transport.fmt(formatter)
    }
}

impl Arm {
    /// The client of one run of image updates, which gives up its slot while it waits for Azure.
    #[must_use]
    pub fn image_updates(&self, deadline: Instant, slot: Option<Arc<Slot>>) -> ImageUpdateClient {
        let endpoint = Arc::clone(&self.endpoint);
        ImageUpdateClient { transport: Transport::new(Arc::clone(&endpoint), deadline, slot), endpoint }
    }
}

impl ImageUpdateClient {
    /// How many requests it sent, retries included.
    #[must_use]
    pub fn calls(&self) -> u32 {
        self.transport.calls()
    }

    /// Its requests.
    #[must_use]
    pub fn request_records(&self) -> Vec<RequestRecord> {
        self.transport.request_records()
    }

    /// All container groups of a scope, without what lists omit; none if the resource group does not exist.
    pub async fn list(&self, scope: &Scope) -> Result<Vec<(ContainerGroupId, Value)>, ArmError> {
        let text = format!("list container groups of {scope}");
        let operation = Operation { subject: Subject::ContainerGroup, text };
        let refuse = |cause| ArmError::new(&operation, cause);
        let unreadable = |source| refuse(Cause::Unreadable { status: 200, source });
        let mut url = self.url(&format!("{scope}/providers/Microsoft.ContainerInstance/containerGroups"));
        let mut groups = Vec::new();
        for _ in 0..PAGE_LIMIT {
            let page = match self.transport.exchange_raw(&Request::new(url, Method::Get)).await {
                Ok((_, page)) => page,
                Err(Cause::Answer(answer)) if answer.says_no_resource_group() => return Ok(Vec::new()),
                Err(cause) => return Err(refuse(cause)),
            };
            let mut page: Value = serde_json::from_slice(&page).map_err(|error| unreadable(error.into()))?;
            let Some(Value::Array(listed)) = page.get_mut("value").map(Value::take) else {
                return Err(unreadable("a page without value".into()));
            };
            for group in listed {
                match group.get("id").and_then(Value::as_str).unwrap_or_default().parse() {
                    Ok(id) => groups.push((id, group)),
                    // No path could name such a group.
                    Err(error @ ResourceIdError::Segment { .. }) => {
                        tracing::warn!(%error, "left the container group out: its name is not valid");
                    }
                    Err(error) => return Err(unreadable(error.into())),
                }
            }
            let next = page.get("nextLink").and_then(Value::as_str).filter(|next| !next.is_empty());
            let Some(next) = next else { return Ok(groups) };
            url = Url::parse(next).map_err(|error| unreadable(error.into()))?;
        }
        Err(refuse(Cause::TooManyPages { limit: PAGE_LIMIT }))
    }

    /// The JSON text of a container group; `None` when Azure says that it does not exist.
    pub async fn read(&self, id: &ContainerGroupId) -> Result<Option<String>, ArmError> {
        let text = format!("read container group {id}");
        let operation = Operation { subject: Subject::ContainerGroup, text };
        match self.transport.exchange_raw(&Request::new(self.url(&id.to_string()), Method::Get)).await {
            Ok((_, body)) => String::from_utf8(body.to_vec()).map(Some).map_err(|error| {
                ArmError::new(&operation, Cause::Unreadable { status: 200, source: error.into() })
            }),
            Err(Cause::Answer(answer)) if answer.says_no_container_group() => Ok(None),
            Err(cause) => Err(ArmError::new(&operation, cause)),
        }
    }

    /// Restarts a container group, which downloads its images. Azure goes on after its answer.
    pub async fn restart(&self, id: &ContainerGroupId) -> Result<(), ArmError> {
        let request = Request::new(self.url(&format!("{id}/restart")), Method::Post);
        self.write(format!("restart container group {id}"), request).await
    }

    /// Replaces a container group. Azure goes on after its answer.
    pub async fn replace(&self, id: &ContainerGroupId, body: String) -> Result<(), ArmError> {
        let mut request = Request::new(self.url(&id.to_string()), Method::Put);
        request.insert_header("content-type", "application/json");
        request.set_body(body);
        self.write(format!("replace the images of container group {id}"), request).await
    }

    async fn write(&self, text: String, request: Request) -> Result<(), ArmError> {
        let operation = Operation { subject: Subject::Write, text };
        let sent = self.transport.exchange_raw(&request).await;
        sent.map(|_| ()).map_err(|cause| ArmError::new(&operation, cause))
    }

    fn url(&self, path: &str) -> Url {
        self.endpoint.url(path, &[("api-version", VERSION)])
    }
}
