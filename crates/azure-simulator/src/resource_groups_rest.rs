//! Subscriptions, tenants and resource groups, as far as Microsoft's clients read them at the start.
//!
//! A subscription exists as soon as it contains a resource. The default subscription always exists.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::World;
use super::identity::TENANT_ID;
use super::messages::{Answer, Request, field, gateway, method_not_allowed, resource_group_not_found};
use super::resource_ids::DEFAULT_SUBSCRIPTION;

/// A resource group.
#[derive(Debug, Clone)]
pub(super) struct ResourceGroup {
    /// In the spelling of its creation.
    pub(super) name: String,
    location: String,
    tags: Value,
}

impl ResourceGroup {
    pub(super) fn new(name: &str) -> Self {
        Self { name: name.to_owned(), location: "westeurope".to_owned(), tags: Value::Null }
    }

    fn body(&self, subscription: &str) -> Value {
        let mut body = json!({
            "id": format!("/subscriptions/{subscription}/resourceGroups/{}", self.name),
            "name": self.name,
            "type": "Microsoft.Resources/resourceGroups",
            "location": self.location,
            "properties": {"provisioningState": "Succeeded"},
        });
        if let (Some(body), false) = (body.as_object_mut(), self.tags.is_null()) {
            body.insert("tags".to_owned(), self.tags.clone());
        }
        body
    }
}

fn key(subscription: &str, resource_group: &str) -> String {
    format!("/subscriptions/{subscription}/resourcegroups/{resource_group}").to_ascii_lowercase()
}

impl World {
    pub(super) fn ensure_resource_group(&mut self, subscription: &str, resource_group: &str) {
        let key = key(subscription, resource_group);
        self.resource_groups.entry(key).or_insert_with(|| ResourceGroup::new(resource_group));
    }

    /// The resource group's name in the spelling of its creation.
    pub(super) fn resource_group(&self, subscription: &str, resource_group: &str) -> Option<&str> {
        self.resource_groups.get(&key(subscription, resource_group)).map(|group| group.name.as_str())
    }

    /// Answers `/subscriptions`, `/subscriptions/{id}` and `/tenants`; `None` for other requests.
    pub(super) fn answer_subscriptions(&self, request: &Request, segments: &[String]) -> Option<Answer> {
        let segments: Vec<_> = segments.iter().map(|segment| segment.to_ascii_lowercase()).collect();
        let segments: Vec<_> = segments.iter().map(String::as_str).collect();
        let is_subscription = |id: &str| self.subscriptions().iter().any(|it| it == id);
        let answer = match segments.as_slice() {
            ["tenants"] => {
                let tenant = json!({"id": format!("/tenants/{TENANT_ID}"), "tenantId": TENANT_ID});
                request.page(vec![tenant])
            }
            ["subscriptions"] => {
                request.page(self.subscriptions().iter().map(|id| subscription_body(id)).collect())
            }
            ["subscriptions", id] if is_subscription(id) => {
                Answer::json(StatusCode::OK, &subscription_body(id))
            }
            ["subscriptions", id] => {
                let message = format!("The subscription '{id}' could not be found.");
                gateway(StatusCode::NOT_FOUND, "SubscriptionNotFound", &message)
            }
            _ => return None,
        };
        Some(if request.method == Method::GET { answer } else { method_not_allowed(&request.method) })
    }

    /// The ids of all subscriptions.
    fn subscriptions(&self) -> Vec<String> {
        let of_groups =
            self.resource_groups.keys().filter_map(|key| key.split('/').nth(2).map(str::to_owned));
        let mut ids: Vec<_> = of_groups.chain([DEFAULT_SUBSCRIPTION.to_owned()]).collect();
        ids.sort();
        ids.dedup();
        ids
    }

    pub(super) fn list_resource_groups(&self, request: &Request, subscription: &str) -> Answer {
        let prefix = key(subscription, "");
        let groups = self.resource_groups.iter().filter(|(key, _)| key.starts_with(&prefix));
        request.page(groups.map(|(_, group)| group.body(subscription)).collect())
    }

    /// Answers a request for a resource group; `None` if the request is not simulated.
    pub(super) fn answer_resource_group(
        &mut self,
        request: &Request,
        subscription: &str,
        name: &str,
    ) -> Option<Result<Answer, Answer>> {
        let key = key(subscription, name);
        let existing = self.resource_groups.get(&key);
        Some(Ok(match (&request.method, existing) {
            (&Method::HEAD, Some(_)) => Answer::empty(StatusCode::NO_CONTENT),
            (&Method::HEAD, None) => Answer::empty(StatusCode::NOT_FOUND),
            (&Method::GET, Some(group)) => Answer::json(StatusCode::OK, &group.body(subscription)),
            (&Method::GET | &Method::PATCH, None) => resource_group_not_found(name),
            (&Method::PUT | &Method::PATCH, existing) => {
                let body = match request.json() {
                    Ok(body) => body,
                    Err(refusal) => return Some(Err(refusal)),
                };
                let status = if existing.is_some() { StatusCode::OK } else { StatusCode::CREATED };
                let mut group = existing.cloned().unwrap_or_else(|| ResourceGroup::new(name));
                if let (true, Some(location)) = (existing.is_none(), field(&body, "location").as_str()) {
                    location.clone_into(&mut group.location);
                }
                if field(&body, "tags").is_object() {
                    group.tags = field(&body, "tags").clone();
                }
                let body = group.body(subscription);
                self.resource_groups.insert(key, group);
                self.changed();
                Answer::json(status, &body).effective()
            }
            _ => return None,
        }))
    }
}

fn subscription_body(id: &str) -> Value {
    json!({
        "id": format!("/subscriptions/{id}"),
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
        "subscriptionId": id,
        "tenantId": TENANT_ID,
        "displayName": format!("Simulated {id}"),
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::super::testing::{SUBSCRIPTION, azure, get, put, send};
    use super::*;

    #[tokio::test]
    async fn resource_groups_keep_their_location_and_their_tags() {
        let azure = azure(Settings::default());
        let groups = format!("/subscriptions/{SUBSCRIPTION}/resourcegroups");
        let path = format!("{groups}/rg-new");
        let exists = async || send(&azure, Method::HEAD, &path, &[], Value::Null).await.status;
        assert_eq!(exists().await, StatusCode::NOT_FOUND);
        let created = put(&azure, &path, json!({"location": "westus", "tags": {"a": "b"}})).await;
        assert_eq!(created.status, StatusCode::CREATED);
        assert_eq!(exists().await, StatusCode::NO_CONTENT);
        let read = get(&azure, &path.to_uppercase()).await.json();
        assert_eq!(
            read["id"],
            format!("/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-new")
                .to_uppercase()
                .replace("/SUBSCRIPTIONS/", "/subscriptions/")
                .replace("/RESOURCEGROUPS/RG-NEW", "/resourceGroups/rg-new")
        );
        assert_eq!((&read["location"], &read["tags"]), (&json!("westus"), &json!({"a": "b"})));
        put(&azure, &path, json!({"location": "westus"})).await;
        assert_eq!(get(&azure, &path).await.json(), read);
        let listed = get(&azure, &groups).await.json();
        let names: Vec<_> = listed["value"].as_array().unwrap().iter().map(|group| &group["name"]).collect();
        assert_eq!(names, ["rg-dns", "rg-new", "rg-spoke1"]);
    }

    #[tokio::test]
    async fn subscriptions_are_those_that_something_is_in() {
        let azure = azure(Settings::default());
        azure.create_resource_group("22222222-0000-0000-0000-000000000000", "rg");
        let listed = get(&azure, "/subscriptions").await.json();
        let ids: Vec<_> =
            listed["value"].as_array().unwrap().iter().map(|it| &it["subscriptionId"]).collect();
        assert_eq!(ids, [SUBSCRIPTION, "22222222-0000-0000-0000-000000000000"]);
        assert_eq!(get(&azure, &format!("/subscriptions/{SUBSCRIPTION}")).await.json()["state"], "Enabled");
        assert_eq!(
            get(&azure, "/subscriptions/none").await.error(),
            (404, "SubscriptionNotFound".to_owned())
        );
        assert_eq!(get(&azure, "/tenants").await.json()["value"][0]["tenantId"], TENANT_ID);
    }
}
