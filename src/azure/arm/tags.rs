//! Writes single tags of a container group through the Tags API, which does not restart containers.
//!
//! Source: <https://learn.microsoft.com/rest/api/resources/tags/update-at-scope>

use std::{fmt, sync::Arc};

use azure_core::{Method, Request};
use serde_json::json;

use super::{
    Arm, ArmError, Instant, Reader, ReaderSource,
    error::{Operation, Subject},
    transport::{Endpoint, Transport},
};
use crate::domain::resource_id::ContainerGroupId;

const TAGS_VERSION: &str = "2021-04-01";

/// The client of one command that reads everything and writes tags.
pub struct Tagger {
    reader: Reader,
    transport: Arc<Transport>,
    endpoint: Arc<Endpoint>,
}

impl fmt::Debug for Tagger {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Tagger").field(&self.reader).finish()
    }
}

impl Arm {
    /// The client of a command that writes tags.
    #[must_use]
    pub fn tagging(&self, deadline: Instant) -> Tagger {
        let connection = self.connection(deadline, None);
        let transport = Arc::clone(&connection.transport);
        Tagger {
            reader: Reader(ReaderSource::Azure(connection)),
            transport,
            endpoint: Arc::clone(&self.endpoint),
        }
    }
}

impl Tagger {
    /// The reader of the same connection.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Sets a tag, and keeps the others.
    pub async fn set_tag(&self, id: &ContainerGroupId, name: &str, value: &str) -> Result<(), ArmError> {
        self.patch("Merge", id, name, value).await
    }

    /// Removes a tag with this value, and keeps the others.
    pub async fn remove_tag(&self, id: &ContainerGroupId, name: &str, value: &str) -> Result<(), ArmError> {
        self.patch("Delete", id, name, value).await
    }

    async fn patch(
        &self,
        verb: &str,
        id: &ContainerGroupId,
        name: &str,
        value: &str,
    ) -> Result<(), ArmError> {
        let text = format!("write the tag {name} of {id}");
        let operation = Operation { subject: Subject::Surroundings, text };
        let path = format!("{id}/providers/Microsoft.Resources/tags/default");
        let url = self.endpoint.url(&path, &[("api-version", TAGS_VERSION)]);
        let mut request = Request::new(url, Method::Patch);
        request.insert_header("content-type", "application/json");
        let body = json!({"operation": verb, "properties": {"tags": {name: value}}});
        request.set_body(body.to_string());
        // Both operations are idempotent, so a retry after a lost answer is harmless.
        let sent = self.transport.exchange(&request).await;
        sent.map(|_| ()).map_err(|cause| ArmError::new(&operation, cause))
    }
}
