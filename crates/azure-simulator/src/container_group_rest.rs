//! The REST API of container groups
//! (<https://learn.microsoft.com/rest/api/container-instances/container-groups>).

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::World;
use super::container_group_body::{Detail, complete_definition, read_ip_address, read_tags};
use super::container_group_spec::Ip;
use super::container_group_updates::{refuse_missing_secrets, take_secrets};
use super::container_groups::{ContainerGroup, Deployment};
use super::events::GroupOperation;
use super::messages::{Answer, Request, field, method_not_allowed, wrapped};
use super::resource_ids::{PROVIDER, group_id};
use super::rest::ArmPath;

impl World {
    /// Answers a request to the provider of container groups; `None` if it has no such resource.
    pub(super) fn answer_container_instance(&mut self, request: &Request, path: &ArmPath) -> Option<Answer> {
        let segments: Vec<&str> = path.rest.iter().map(String::as_str).collect();
        if let [kind, name, providers, "Microsoft.Resources", "tags", "default"] = segments.as_slice()
            && kind.eq_ignore_ascii_case("containerGroups")
            && providers.eq_ignore_ascii_case("providers")
        {
            let group = group_id(&path.subscription, path.resource_group.as_deref()?, name);
            return Some(self.answer_tags(request, &group));
        }
        let mut rest = segments.into_iter();
        let (kind, name, below, deeper) = (rest.next()?, rest.next(), rest.next(), rest.next());
        if kind.eq_ignore_ascii_case("locations") {
            return match (below?.eq_ignore_ascii_case("operations"), deeper) {
                (true, Some(id)) => Some(self.answer_operation(request, id)),
                _ => None,
            };
        }
        if !kind.eq_ignore_ascii_case("containerGroups") || deeper.is_some() {
            return None;
        }
        let Some(name) = name else {
            return Some(match request.method {
                Method::GET => self.list_groups(request, path),
                _ => method_not_allowed(&request.method),
            });
        };
        let target = Target {
            subscription: &path.subscription,
            resource_group: path.resource_group.as_deref()?,
            name,
        };
        Some(match (below, &request.method) {
            (None, &Method::GET) => self.get_group(request, &target),
            (None, &Method::PUT) => self.put_group(request, &target).unwrap_or_else(|refusal| refusal),
            (None, &Method::PATCH) => self.patch_group(request, &target).unwrap_or_else(|refusal| refusal),
            (None, &Method::DELETE) => self.delete_group_by_rest(request, &target),
            (Some(action), &Method::POST) => self.act_on_group(request, &target, action)?,
            (Some(_), _) => return None,
            (None, method) => method_not_allowed(method),
        })
    }

    fn get_group(&self, request: &Request, target: &Target<'_>) -> Answer {
        match self.read_group(&target.key(), request.staleness) {
            Some((group, time)) => {
                Answer::json(StatusCode::OK, &self.body(group, Detail::InstanceView, time))
            }
            None => target.not_found(),
        }
    }

    /// Lists omit `instanceView`, like the service since 2024-05-01-preview.
    fn list_groups(&self, request: &Request, path: &ArmPath) -> Answer {
        let scope = match &path.resource_group {
            Some(resource_group) => {
                format!("/subscriptions/{}/resourceGroups/{resource_group}/", path.subscription)
            }
            None => format!("/subscriptions/{}/", path.subscription),
        }
        .to_ascii_lowercase();
        let after = request.query("$skiptoken").unwrap_or_default();
        let mut rest = self.read_groups(&scope, after, request.staleness).peekable();
        let mut value = Vec::new();
        let mut last = None;
        while value.len() < self.settings.group_page_size.max(1)
            && let Some((id, group, time)) = rest.next()
        {
            value.push(self.body(group, Detail::Summary, time));
            last = Some(id);
        }
        let mut page = json!({"value": value});
        if let (Some(last), Some(_), Some(page)) = (last, rest.peek(), page.as_object_mut()) {
            page.insert("nextLink".to_owned(), request.next_link(last).into());
        }
        Answer::json(StatusCode::OK, &page)
    }

    fn put_group(&mut self, request: &Request, target: &Target<'_>) -> Result<Answer, Answer> {
        let body = request.json()?;
        let existing = self.groups.get(&target.key());
        if existing.is_some_and(ContainerGroup::is_in_transition) {
            return Err(target.transitioning());
        }
        let mut deployment = self.read_deployment(&body, target)?;
        self.refuse_images(&deployment)?;
        if let Some(existing) = existing {
            let is_in_subnet = deployment.ip != Ip::Public;
            existing.refuse_update(&deployment, is_in_subnet)?;
            deployment.provisioning = existing.provisioning;
        }
        let created = self.deploy(deployment);
        let status = if created { StatusCode::CREATED } else { StatusCode::OK };
        Ok(self.accepted(request, target, status))
    }

    fn read_deployment(&self, body: &Value, target: &Target<'_>) -> Result<Deployment, Answer> {
        let invalid = |message: &str| wrapped(StatusCode::BAD_REQUEST, "InvalidRequestContent", message);
        let location =
            field(body, "location").as_str().filter(|location| !location.is_empty()).ok_or_else(|| {
                let message = "The location property is required for this definition.";
                wrapped(StatusCode::BAD_REQUEST, "LocationRequired", message)
            })?;
        let mut properties = field(body, "properties")
            .as_object()
            .cloned()
            .ok_or_else(|| invalid("The 'properties' of the container group are missing."))?;
        let address = properties.remove("ipAddress");
        let subnets = properties.remove("subnetIds");
        let (ip, ports, dns_name) = read_ip_address(address.as_ref(), location)?;
        for read_only in [
            "provisioningState",
            "instanceView",
            "provisioningTimeoutInSeconds",
            "isCustomProvisioningTimeout",
            "isCreatedFromStandbyPool",
        ] {
            properties.remove(read_only);
        }
        let properties = Value::Object(properties);
        refuse_missing_secrets(&properties, target.name)?;
        let mut properties = properties.as_object().cloned().unwrap_or_default();
        let secrets = take_secrets(&mut properties);
        Ok(Deployment {
            subscription: target.subscription.to_owned(),
            resource_group: target.resource_group.to_owned(),
            name: target.name.to_owned(),
            location: location.to_owned(),
            tags: read_tags(field(body, "tags")),
            definition: Value::Object(complete_definition(properties)?),
            secrets,
            ports,
            ip,
            dns_name,
            identity: field(body, "identity").clone(),
            zones: field(body, "zones").clone(),
            subnet: subnets
                .and_then(|subnets| subnets.pointer("/0/id").and_then(Value::as_str).map(str::to_owned)),
            provisioning: self.settings.provisioning,
            visible_after: None,
            standby: false,
        })
    }

    /// A PATCH changes only the tags.
    fn patch_group(&mut self, request: &Request, target: &Target<'_>) -> Result<Answer, Answer> {
        let body = request.json()?;
        let key = target.key();
        if !self.groups.contains_key(&key) {
            return Err(target.not_found());
        }
        self.tag(&key, read_tags(field(&body, "tags")));
        let group = self.groups.get(&key).ok_or_else(|| target.not_found())?;
        Ok(Answer::json(StatusCode::OK, &self.body(group, Detail::InstanceView, self.now())).effective())
    }

    fn delete_group_by_rest(&mut self, request: &Request, target: &Target<'_>) -> Answer {
        let key = target.key();
        let Some(group) = self.groups.get(&key) else { return Answer::empty(StatusCode::NO_CONTENT) };
        if group.is_deleting() {
            return self.accepted(request, target, StatusCode::ACCEPTED);
        }
        if group.is_in_transition() {
            return target.transitioning();
        }
        let last = self.body(group, Detail::InstanceView, self.now());
        self.delete_group(&key);
        if self.groups.contains_key(&key) {
            return self.accepted(request, target, StatusCode::ACCEPTED);
        }
        quotas(Answer::json(StatusCode::OK, &last)).effective()
    }

    /// A restart answers 204 and continues in the background; a stop is complete with its answer; a start is
    /// accepted.
    fn act_on_group(&mut self, request: &Request, target: &Target<'_>, action: &str) -> Option<Answer> {
        let key = target.key();
        let known =
            ["restart", "stop", "start"].into_iter().find(|known| known.eq_ignore_ascii_case(action))?;
        let Some(group) = self.groups.get(&key) else { return Some(target.not_found()) };
        if group.is_in_transition() {
            return Some(target.transitioning());
        }
        Some(match known {
            "restart" => {
                self.begin(&key, "Updating", GroupOperation::Restarted);
                self.accepted(request, target, StatusCode::NO_CONTENT)
            }
            "start" => {
                self.begin(&key, "Pending", GroupOperation::Started);
                self.accepted(request, target, StatusCode::ACCEPTED)
            }
            _ => {
                self.stop(&key);
                quotas(Answer::empty(StatusCode::NO_CONTENT)).effective()
            }
        })
    }

    /// The answer to an operation that continues in the background.
    fn accepted(&mut self, request: &Request, target: &Target<'_>, status: StatusCode) -> Answer {
        let key = target.key();
        let operation = self.operation(&key);
        let location = self.groups.get(&key).map_or("westeurope", |group| group.location.as_str());
        let link = format!(
            "{}/subscriptions/{}/providers/{PROVIDER}/locations/{location}/operations/{operation}?api-version=2018-06-01",
            request.origin, target.subscription
        );
        let answer = match (status, self.groups.get(&key)) {
            (StatusCode::OK | StatusCode::CREATED, Some(group)) => {
                Answer::json(status, &self.body(group, Detail::InstanceView, self.now()))
            }
            (StatusCode::ACCEPTED, _) => Answer::empty(status).header("location", link.clone()),
            _ => Answer::empty(status),
        };
        quotas(answer.header("azure-asyncoperation", link)).effective()
    }

    fn answer_operation(&self, request: &Request, id: &str) -> Answer {
        if request.method != Method::GET {
            return method_not_allowed(&request.method);
        }
        let Some(operation) = self.operations.iter().find(|operation| operation.id.eq_ignore_ascii_case(id))
        else {
            let message = format!("The operation '{id}' does not exist.");
            return wrapped(StatusCode::NOT_FOUND, "OperationNotFound", &message);
        };
        let status = if operation.due <= self.now() { "Succeeded" } else { "Pending" };
        let body = json!({
            "id": operation.id,
            "status": status,
            "startTime": self.timestamp_at(operation.started),
            "properties": {"events": []},
        });
        Answer::json(StatusCode::OK, &body)
    }
}

/// The group in a request, in the spelling of the request.
struct Target<'a> {
    subscription: &'a str,
    resource_group: &'a str,
    name: &'a str,
}

impl Target<'_> {
    fn key(&self) -> String {
        group_id(self.subscription, self.resource_group, self.name).to_ascii_lowercase()
    }

    fn not_found(&self) -> Answer {
        let message = format!("The container group '{}' does not exist.", self.name);
        wrapped(StatusCode::NOT_FOUND, "ContainerGroupNotFound", &message)
    }

    fn transitioning(&self) -> Answer {
        let message =
            format!("The container group '{}' is still transitioning, please retry later.", self.name);
        wrapped(StatusCode::CONFLICT, "ContainerGroupTransitioning", &message)
    }
}

fn quotas(answer: Answer) -> Answer {
    answer
        .header("x-ms-ratelimit-remaining-subscription-resource-requests-pt1h", "1798")
        .header("x-ms-ratelimit-remaining-subscription-resource-requests-pt5m", "898")
}

#[cfg(test)]
mod tests;
