//! Event Grid: system topics and event subscriptions
//! (<https://learn.microsoft.com/rest/api/eventgrid/controlplane/system-topics>).
//!
//! They are configuration only and deliver nothing: callers take the events ([`Azure::take_events`]).

use std::collections::BTreeMap;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::messages::{Answer, Request, field, method_not_allowed, resource_not_found, wrapped};
use super::rest::ArmPath;
use super::{Azure, Missing, World};

const TOPICS: &str = "Microsoft.EventGrid/systemTopics";
const SUBSCRIPTIONS: &str = "Microsoft.EventGrid/systemTopics/eventSubscriptions";
const LOOSE_SUBSCRIPTIONS: &str = "Microsoft.EventGrid/eventSubscriptions";
/// The operations that the functions of `aci-dns` subscribe to.
const VERBS: [&str; 3] = ["Write", "Delete", "Action"];
const ENDS: [&str; 3] = ["Success", "Failure", "Cancel"];

/// The topics and their event subscriptions as JSON, by lower-case resource id.
#[derive(Debug, Default)]
pub(super) struct EventGrid {
    topics: BTreeMap<String, Value>,
    subscriptions: BTreeMap<String, Value>,
}

impl Azure {
    /// Creates a system topic for a resource group (or, without one, for a subscription, in `rg-dns`), and
    /// subscribes both functions of a function app to it, like the deployment of `aci-dns`. Returns the
    /// topic's resource id.
    #[expect(clippy::must_use_candidate, reason = "callers often need the subscription only")]
    pub fn subscribe(&self, subscription: &str, resource_group: Option<&str>, function_app: &str) -> String {
        let mut world = self.world();
        let place = resource_group.unwrap_or("rg-dns");
        world.ensure_resource_group(subscription, place);
        let (source, topic_type) = match resource_group {
            Some(name) => (
                format!("/subscriptions/{subscription}/resourceGroups/{name}"),
                "Microsoft.Resources.ResourceGroups",
            ),
            None => (format!("/subscriptions/{subscription}"), "Microsoft.Resources.Subscriptions"),
        };
        let id =
            format!("/subscriptions/{subscription}/resourceGroups/{place}/providers/{TOPICS}/aci-dns-events");
        let requested = json!({
            "location": "global",
            "identity": {"type": "SystemAssigned"},
            "properties": {"source": source, "topicType": topic_type},
        });
        world.event_grid.topics.insert(id.to_ascii_lowercase(), topic_body(&id, &requested));
        for function in ["function_aci_reconcile", "function_drift_tracker"] {
            let name = format!("aci-dns-{}", function.replace('_', "-"));
            let properties = subscription_properties(function_app, function);
            let id = format!("{id}/eventSubscriptions/{name}");
            let body = subscription_body(&id, SUBSCRIPTIONS, &properties);
            world.event_grid.subscriptions.insert(id.to_ascii_lowercase(), body);
        }
        world.changed();
        id
    }

    /// Changes the properties of an event subscription, as a person or the platform would.
    pub fn change_event_subscription(
        &self,
        id: &str,
        change: impl FnOnce(&mut Value),
    ) -> Result<(), Missing> {
        let mut world = self.world();
        let found = world.event_grid.subscriptions.get_mut(&id.to_ascii_lowercase());
        let properties = found.and_then(|body| body.get_mut("properties"));
        change(properties.ok_or_else(|| Missing(id.to_owned()))?);
        world.changed();
        Ok(())
    }

    /// Deletes a system topic with its event subscriptions, or an event subscription.
    pub fn delete_from_event_grid(&self, id: &str) -> Result<(), Missing> {
        let mut world = self.world();
        if !world.event_grid.remove(&id.to_ascii_lowercase()) {
            return Err(Missing(id.to_owned()));
        }
        world.changed();
        Ok(())
    }
}

impl EventGrid {
    /// Removes the resource with this id, and those below it. Returns whether there was one.
    fn remove(&mut self, id: &str) -> bool {
        let before = self.topics.len() + self.subscriptions.len();
        self.topics.remove(id);
        let below = format!("{id}/");
        self.subscriptions.retain(|key, _| key != id && !key.starts_with(&below));
        before > self.topics.len() + self.subscriptions.len()
    }
}

impl World {
    /// Answers a request to Event Grid; `None` if it has no such resource.
    pub(super) fn answer_event_grid(&mut self, request: &Request, path: &ArmPath) -> Option<Answer> {
        let rest: Vec<&str> = path.rest.iter().map(String::as_str).collect();
        let is = |text: &str, expected: &str| text.eq_ignore_ascii_case(expected);
        let scope = match &path.resource_group {
            Some(name) => format!("/subscriptions/{}/resourceGroups/{name}", path.subscription),
            None => format!("/subscriptions/{}", path.subscription),
        };
        let at = |kind: &str, name: &str| format!("{scope}/providers/{kind}/{name}");
        match rest.as_slice() {
            [topics] if is(topics, "systemTopics") => {
                let start = format!("{scope}/").to_ascii_lowercase();
                let in_scope = self.event_grid.topics.iter().filter(|(id, _)| id.starts_with(&start));
                Some(list(request, in_scope.map(|(_, body)| body)))
            }
            [loose] if is(loose, "eventSubscriptions") => {
                let start = format!("{scope}/").to_ascii_lowercase();
                let here = self.event_grid.subscriptions.iter().filter(|(id, body)| {
                    id.starts_with(&start) && field(body, "type") == LOOSE_SUBSCRIPTIONS
                });
                Some(list(request, here.map(|(_, body)| body)))
            }
            [loose, name] if is(loose, "eventSubscriptions") => {
                let id = at(LOOSE_SUBSCRIPTIONS, name);
                Some(self.answer_subscription(request, &id, LOOSE_SUBSCRIPTIONS))
            }
            [topics, name, below @ ..] if is(topics, "systemTopics") => {
                let id = at(TOPICS, name);
                if !below.is_empty() && !self.event_grid.topics.contains_key(&id.to_ascii_lowercase()) {
                    return Some(not_found(TOPICS, &id));
                }
                match below {
                    [] => Some(self.answer_topic(request, &id)),
                    [kind] if is(kind, "eventSubscriptions") => {
                        let start = format!("{id}/").to_ascii_lowercase();
                        let of_topic = self.event_grid.subscriptions.iter();
                        let of_topic = of_topic.filter(|(id, _)| id.starts_with(&start));
                        Some(list(request, of_topic.map(|(_, body)| body)))
                    }
                    [kind, name] if is(kind, "eventSubscriptions") => {
                        let id = format!("{id}/eventSubscriptions/{name}");
                        Some(self.answer_subscription(request, &id, SUBSCRIPTIONS))
                    }
                    _ => None,
                }
            }
            _ => None,
        }
    }

    fn answer_topic(&mut self, request: &Request, id: &str) -> Answer {
        let key = id.to_ascii_lowercase();
        match (&request.method, self.event_grid.topics.get(&key)) {
            (&Method::GET, Some(topic)) => Answer::json(StatusCode::OK, topic),
            (&Method::GET, None) => not_found(TOPICS, id),
            (&Method::PUT, existing) => {
                let status = if existing.is_some() { StatusCode::OK } else { StatusCode::CREATED };
                let body = match request.json() {
                    Ok(requested) => topic_body(id, &requested),
                    Err(refusal) => return refusal,
                };
                let answer = Answer::json(status, &body).effective();
                self.event_grid.topics.insert(key, body);
                self.changed();
                answer
            }
            (&Method::DELETE, _) => self.delete_of_event_grid(&key),
            (method, _) => method_not_allowed(method),
        }
    }

    fn answer_subscription(&mut self, request: &Request, id: &str, kind: &str) -> Answer {
        let key = id.to_ascii_lowercase();
        match (&request.method, self.event_grid.subscriptions.get(&key)) {
            (&Method::GET, Some(subscription)) => Answer::json(StatusCode::OK, subscription),
            (&Method::GET, None) => not_found(kind, id),
            (&Method::PUT, _) => {
                let body = match request.json() {
                    Ok(requested) => subscription_body(id, kind, field(&requested, "properties")),
                    Err(refusal) => return refusal,
                };
                let kind = body.pointer("/properties/destination/endpointType");
                if kind.and_then(Value::as_str).is_none() {
                    let message = "Destination for the event subscription is null.";
                    return wrapped(StatusCode::BAD_REQUEST, "InvalidRequest", message);
                }
                let answer = Answer::json(StatusCode::CREATED, &body).effective();
                self.event_grid.subscriptions.insert(key, body);
                self.changed();
                answer
            }
            (&Method::DELETE, _) => self.delete_of_event_grid(&key),
            (method, _) => method_not_allowed(method),
        }
    }

    fn delete_of_event_grid(&mut self, key: &str) -> Answer {
        if !self.event_grid.remove(key) {
            return Answer::empty(StatusCode::NO_CONTENT);
        }
        self.changed();
        Answer::empty(StatusCode::OK).effective()
    }
}

fn list<'a>(request: &Request, found: impl Iterator<Item = &'a Value>) -> Answer {
    match request.method {
        Method::GET => Answer::json(StatusCode::OK, &json!({"value": found.collect::<Vec<_>>()})),
        _ => method_not_allowed(&request.method),
    }
}

fn not_found(kind: &str, id: &str) -> Answer {
    let segments: Vec<&str> = id.split('/').collect();
    let resource_group = segments.get(4).copied().unwrap_or_default();
    resource_not_found(kind, segments.last().copied().unwrap_or_default(), resource_group)
}

fn topic_body(id: &str, requested: &Value) -> Value {
    let properties = field(requested, "properties");
    json!({
        "id": id,
        "name": id.rsplit('/').next(),
        "type": TOPICS,
        "location": field(requested, "location"),
        "identity": field(requested, "identity"),
        "tags": field(requested, "tags"),
        "properties": {
            "provisioningState": "Succeeded",
            "source": field(properties, "source"),
            // The service returns it in lower case, unlike the request.
            "topicType": field(properties, "topicType").as_str().map(str::to_ascii_lowercase),
            "metricResourceId": "00000000-0000-0000-0000-000000000000",
        },
    })
}

fn subscription_body(id: &str, kind: &str, requested: &Value) -> Value {
    let topic = id.split(&format!("/providers/{LOOSE_SUBSCRIPTIONS}/")).next().unwrap_or_default();
    let topic = topic.split("/eventSubscriptions/").next().unwrap_or_default();
    let mut properties = json!({
        "provisioningState": "Succeeded",
        "topic": topic,
        "labels": null,
        "eventDeliverySchema": "EventGridSchema",
        "filter": {"subjectBeginsWith": "", "subjectEndsWith": "", "enableAdvancedFilteringOnArrays": true},
        "retryPolicy": {"maxDeliveryAttempts": 30, "eventTimeToLiveInMinutes": 1440},
    });
    for (name, value) in requested.as_object().into_iter().flatten() {
        match (properties.get_mut(name), value) {
            (_, Value::Null) => {}
            (Some(Value::Object(target)), Value::Object(value)) => target.extend(value.clone()),
            _ => {
                if let Some(properties) = properties.as_object_mut() {
                    properties.insert(name.clone(), value.clone());
                }
            }
        }
    }
    json!({"id": id, "name": id.rsplit('/').next(), "type": kind, "properties": properties})
}

/// The event subscription of one of the functions of `aci-dns`.
fn subscription_properties(function_app: &str, function: &str) -> Value {
    // After a delete event, the drift tracker has nothing to compare.
    let verbs = VERBS.iter().filter(|verb| function == "function_aci_reconcile" || **verb != "Delete");
    let types = verbs.flat_map(|verb| ENDS.map(|end| format!("Microsoft.Resources.Resource{verb}{end}")));
    let storage = function_app.split("/providers/").next().unwrap_or_default();
    json!({
        "destination": {
            "endpointType": "AzureFunction",
            "properties": {
                "resourceId": format!("{function_app}/functions/{function}"),
                "maxEventsPerBatch": 1,
                "preferredBatchSizeInKilobytes": 64,
            },
        },
        "filter": {
            "includedEventTypes": types.collect::<Vec<_>>(),
            "advancedFilters": [{
                "operatorType": "StringContains",
                "key": "subject",
                "values": ["/providers/Microsoft.ContainerInstance/containerGroups/"],
            }],
        },
        "deadLetterWithResourceIdentity": {
            "identity": {"type": "SystemAssigned"},
            "deadLetterDestination": {
                "endpointType": "StorageBlob",
                "properties": {
                    "resourceId": format!("{storage}/providers/Microsoft.Storage/storageAccounts/acidns"),
                    "blobContainerName": "dead-letters",
                },
            },
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::super::testing::{SUBSCRIPTION, azure, get, put, send};
    use super::*;

    const APP: &str = "/subscriptions/s/resourceGroups/rg-aci-dns/providers/Microsoft.Web/sites/aci-dns";

    #[tokio::test]
    async fn topics_and_their_subscriptions_are_listed_read_replaced_and_deleted() {
        let azure = azure(Settings::default());
        let topic = azure.subscribe(SUBSCRIPTION, Some("rg-spoke1"), APP);
        let topics = format!("/subscriptions/{SUBSCRIPTION}/providers/{TOPICS}");
        let names = async |path: &str| {
            let value = get(&azure, path).await.json()["value"].clone();
            let names =
                value.as_array().unwrap().iter().map(|body| body["name"].as_str().unwrap().to_owned());
            names.collect::<Vec<_>>()
        };
        assert_eq!(names(&topics).await, ["aci-dns-events"]);
        let subscriptions = format!("{topic}/eventSubscriptions");
        let expected = ["aci-dns-function-aci-reconcile", "aci-dns-function-drift-tracker"];
        assert_eq!(names(&subscriptions).await, expected);
        let one = format!("{subscriptions}/{}", expected[0]);
        let properties = get(&azure, &one).await.json()["properties"].clone();
        assert_eq!(properties["topic"], topic);
        assert_eq!(properties["filter"]["includedEventTypes"].as_array().unwrap().len(), 9);
        assert_eq!(properties["provisioningState"], "Succeeded");

        assert_eq!(put(&azure, &one, json!({})).await.error(), (400, "InvalidRequest".to_owned()));
        let webhook = json!({"properties": {"destination": {"endpointType": "WebHook"}}});
        assert_eq!(put(&azure, &one, webhook.clone()).await.status, 201);
        assert_eq!(
            get(&azure, &one).await.json()["properties"]["destination"],
            json!({"endpointType": "WebHook"})
        );
        let loose =
            format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-spoke1/providers/{LOOSE_SUBSCRIPTIONS}");
        assert_eq!(put(&azure, &format!("{loose}/mine"), webhook).await.status, 201);
        let all = format!("/subscriptions/{SUBSCRIPTION}/providers/{LOOSE_SUBSCRIPTIONS}");
        assert_eq!(names(&all).await, ["mine"]);
        assert_eq!(
            get(&azure, &format!("{loose}/mine")).await.json()["properties"]["topic"],
            format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-spoke1")
        );

        assert_eq!(send(&azure, Method::DELETE, &topic, &[], Value::Null).await.status, 200);
        assert_eq!(send(&azure, Method::DELETE, &topic, &[], Value::Null).await.status, 204);
        assert_eq!(get(&azure, &one).await.error(), (404, "ResourceNotFound".to_owned()));
    }
}
