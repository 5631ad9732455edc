//! The events of Event Grid for container groups, in the form of Microsoft's examples (azure-rest-api-specs,
//! `specification/eventgrid/data-plane/Microsoft.Resources/stable/2018-01-01/examples`).
//!
//! As in those examples, a write spells `resourcegroups` in lower case, and only an update, an action or a
//! deletion has an `httpRequest`.

use serde_json::{Value, json};

use super::World;
use super::messages::field;
use super::resource_ids::{PROVIDER, group_id};

const TENANT: &str = "11111111-1111-1111-1111-111111111111";

/// An operation on a container group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum GroupOperation {
    Created,
    Updated,
    Tagged,
    Restarted,
    Started,
    Stopped,
    Deleted,
}

impl GroupOperation {
    fn event_type(self) -> &'static str {
        match self {
            Self::Created | Self::Updated | Self::Tagged => "Microsoft.Resources.ResourceWriteSuccess",
            Self::Restarted | Self::Started | Self::Stopped => "Microsoft.Resources.ResourceActionSuccess",
            Self::Deleted => "Microsoft.Resources.ResourceDeleteSuccess",
        }
    }

    /// The operation below the resource type, in the terms of access control.
    fn operation(self) -> &'static str {
        match self {
            Self::Created | Self::Updated | Self::Tagged => "write",
            Self::Restarted => "restart/action",
            Self::Started => "start/action",
            Self::Stopped => "stop/action",
            Self::Deleted => "delete",
        }
    }

    /// Method and path of the request below the resource, if the event contains them.
    fn request(self) -> Option<(&'static str, &'static str)> {
        match self {
            Self::Created => None,
            Self::Updated => Some(("PUT", "")),
            Self::Tagged => Some(("PATCH", "")),
            Self::Restarted => Some(("POST", "/restart")),
            Self::Started => Some(("POST", "/start")),
            Self::Stopped => Some(("POST", "/stop")),
            Self::Deleted => Some(("DELETE", "")),
        }
    }
}

impl World {
    /// The event in Event Grid schema, from a topic of the resource group.
    pub(super) fn event(
        &mut self,
        subscription: &str,
        resource_group: &str,
        name: &str,
        group_operation: GroupOperation,
    ) -> Value {
        let resource = group_id(subscription, resource_group, name);
        let subject = match group_operation.operation() {
            "write" => resource.replacen("/resourceGroups/", "/resourcegroups/", 1),
            _ => resource.clone(),
        };
        let operation = format!("{PROVIDER}/containerGroups/{}", group_operation.operation());
        let mut data = json!({
            "authorization": {
                "scope": subject,
                "action": operation,
                "evidence": {"role": "Contributor", "roleAssignmentScope": format!("/subscriptions/{subscription}")},
            },
            "claims": {
                "aud": "https://management.core.windows.net/",
                "iss": format!("https://sts.windows.net/{TENANT}/"),
                "iat": "1767225600",
                "nbf": "1767225600",
                "exp": "1767312000",
                "appid": self.event_ids.guid(),
                "http://schemas.microsoft.com/identity/claims/tenantid": TENANT,
                "ver": "1.0",
            },
            "correlationId": self.event_ids.guid(),
            "resourceProvider": PROVIDER,
            "resourceUri": subject,
            "operationName": operation,
            "status": "Succeeded",
            "subscriptionId": subscription,
            "tenantId": TENANT,
        });
        if let (Some((method, below)), Some(data)) = (group_operation.request(), data.as_object_mut()) {
            let request = json!({
                "clientRequestId": self.event_ids.guid(),
                "clientIpAddress": "192.0.2.1",
                "method": method,
                "url": format!("https://management.azure.com{resource}{below}?api-version=2023-05-01"),
            });
            data.insert("httpRequest".to_owned(), request);
        }
        json!({
            "subject": subject,
            "eventType": group_operation.event_type(),
            "eventTime": self.timestamp(),
            "id": self.event_ids.guid(),
            "data": data,
            "dataVersion": "2",
            "metadataVersion": "1",
            "topic": format!("/subscriptions/{subscription}/resourceGroups/{resource_group}"),
        })
    }
}

/// The same event in the schema of `CloudEvents` 1.0
/// (<https://learn.microsoft.com/azure/event-grid/cloud-event-schema>).
#[must_use]
pub fn cloud_event(event: &Value) -> Value {
    json!({
        "source": field(event, "topic"),
        "subject": field(event, "subject"),
        "type": field(event, "eventType"),
        "time": field(event, "eventTime"),
        "id": field(event, "id"),
        "data": field(event, "data"),
        "specversion": "1.0",
    })
}

#[cfg(test)]
mod tests {
    use super::super::{Azure, GroupSpec};
    use super::*;

    #[tokio::test]
    async fn each_verb_with_an_event_queues_it() {
        let azure = Azure::default();
        let id = azure.create_group(GroupSpec::new("rg-spoke1", "web"));
        azure.restart_group(&id).unwrap();
        azure.stop_group(&id).unwrap();
        azure.start_group(&id).unwrap();
        azure.redeploy_group(&id).unwrap();
        azure.set_tags(&id, [("a".to_owned(), "b".to_owned())].into()).unwrap();
        azure.move_group(&id).unwrap();
        azure.delete_group(&id).unwrap();
        let reported: Vec<_> = azure
            .take_events()
            .iter()
            .map(|event| {
                let request = &event["data"]["httpRequest"]["method"];
                let event_type =
                    event["eventType"].as_str().unwrap().trim_start_matches("Microsoft.Resources.");
                format!("{event_type} {} {request}", event["data"]["operationName"].as_str().unwrap())
            })
            .collect();
        assert_eq!(
            reported,
            [
                "ResourceWriteSuccess Microsoft.ContainerInstance/containerGroups/write null",
                "ResourceActionSuccess Microsoft.ContainerInstance/containerGroups/restart/action \"POST\"",
                "ResourceActionSuccess Microsoft.ContainerInstance/containerGroups/stop/action \"POST\"",
                "ResourceActionSuccess Microsoft.ContainerInstance/containerGroups/start/action \"POST\"",
                "ResourceWriteSuccess Microsoft.ContainerInstance/containerGroups/write \"PUT\"",
                "ResourceWriteSuccess Microsoft.ContainerInstance/containerGroups/write \"PATCH\"",
                "ResourceDeleteSuccess Microsoft.ContainerInstance/containerGroups/delete \"DELETE\"",
            ]
        );
        assert_eq!(azure.take_events(), Vec::<Value>::new());
    }

    #[tokio::test(start_paused = true)]
    async fn an_event_has_the_shape_of_microsofts_example() {
        let azure = Azure::default();
        azure.create_group(GroupSpec::new("rg-spoke1", "web"));
        let event = azure.take_events().remove(0);
        let keys = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ");
        assert_eq!(keys(&event), "data dataVersion eventTime eventType id metadataVersion subject topic");
        assert_eq!(
            keys(&event["data"]),
            "authorization claims correlationId operationName resourceProvider resourceUri status subscriptionId tenantId"
        );
        let subject = "/subscriptions/00000000-0000-0000-0000-000000000000/resourcegroups/rg-spoke1\
                       /providers/Microsoft.ContainerInstance/containerGroups/web";
        assert_eq!(event["subject"], subject);
        assert_eq!(event["eventTime"], "2026-01-01T00:00:00.0000000Z");
        assert_eq!(
            event["topic"],
            "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/rg-spoke1"
        );
        let cloud = cloud_event(&event);
        assert_eq!(keys(&cloud), "data id source specversion subject time type");
        assert_eq!(cloud["source"], event["topic"]);
    }
}
