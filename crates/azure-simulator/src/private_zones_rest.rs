//! The REST API of private zones and of their links to virtual networks
//! (<https://learn.microsoft.com/rest/api/dns/privatedns/private-zones>,
//! <https://learn.microsoft.com/rest/api/dns/privatedns/virtual-network-links>).
//!
//! Both are asynchronous, as recordings of Azure/azure-cli show (`test_PutZone_…`, `test_PatchLink_…`): a write is
//! answered 202 with `{}`, and `Azure-AsyncOperation` names the operation. A failed precondition is the outcome of the
//! operation, not a separate answer. Resource Manager reports a missing resource: it wraps the error and adds
//! `x-ms-failure-cause: gateway`. Here a change takes effect when its request is accepted.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::World;
use super::messages::{
    Answer, Request, field, flat, gateway, method_not_allowed, of_service, parent_not_found,
    resource_not_found,
};
use super::private_dns::{MAX_RECORD_SETS, Zone, zone_id};
use super::record_set_body::bad_request;
use super::rest::ArmPath;

const OPERATIONS_KEPT: usize = 1000;
const STATUSES: &str = "privateDnsOperationStatuses";
const RESULTS: &str = "privateDnsOperationResults";

/// An operation on a zone or a link.
#[derive(Debug)]
pub(super) struct ZoneOperation {
    id: String,
    due: std::time::Duration,
    /// Why it failed, if it did: a message of `PreconditionFailed`.
    failure: Option<String>,
    /// The zone and the link in the result.
    target: (String, Option<String>),
}

/// The zone in a request, in the spelling of the request.
pub(super) struct ZoneTarget<'a> {
    pub(super) subscription: &'a str,
    pub(super) resource_group: &'a str,
    pub(super) name: &'a str,
}

impl ZoneTarget<'_> {
    pub(super) fn id(&self) -> String {
        zone_id(self.subscription, self.resource_group, self.name)
    }

    fn key(&self) -> String {
        self.id().to_ascii_lowercase()
    }

    fn not_found(&self) -> Answer {
        resource_not_found("Microsoft.Network/privateDnsZones", self.name, self.resource_group)
    }

    fn link_not_found(&self, link: &str) -> Answer {
        let name = format!("{}/virtualNetworkLinks/{link}", self.name);
        resource_not_found("Microsoft.Network/privateDnsZones", &name, self.resource_group)
    }
}

impl World {
    pub(super) fn list_zones(&self, request: &Request, path: &ArmPath) -> Answer {
        let is_in_scope = |zone: &&Zone| {
            zone.subscription.eq_ignore_ascii_case(&path.subscription)
                && path
                    .resource_group
                    .as_ref()
                    .is_none_or(|name| zone.resource_group.eq_ignore_ascii_case(name))
        };
        let zones = self.zones.values().filter(is_in_scope).map(zone_body);
        request.page(zones.collect())
    }

    pub(super) fn answer_zone(
        &mut self,
        request: &Request,
        target: &ZoneTarget<'_>,
    ) -> Result<Answer, Answer> {
        let key = target.key();
        let existing = self.zones.get(&key);
        let changed = |etag: Option<&String>| {
            check_conditions(request, etag, &format!("The Zone {}", target.name.to_ascii_lowercase()))
        };
        let failure = changed(existing.map(|zone| &zone.etag)).err();
        match (&request.method, existing) {
            (&Method::GET, Some(zone)) => {
                let etag = zone.etag.clone();
                Ok(of_service(Answer::json(StatusCode::OK, &zone_body(zone)).header("etag", etag), request))
            }
            (&Method::GET | &Method::PATCH, None) => Err(target.not_found()),
            (&Method::DELETE, None) => Ok(Answer::empty(StatusCode::NO_CONTENT)),
            (&Method::PUT | &Method::PATCH, _) => {
                let body = request.json()?;
                if request.method == Method::PUT {
                    check_location(&body)?;
                }
                if failure.is_none() {
                    self.write_zone(request, target, field(&body, "tags"));
                }
                Ok(self.accept_zone_operation(request, (key, None), failure))
            }
            (&Method::DELETE, Some(zone)) => {
                if let Some((_, link)) = zone.links.first_key_value() {
                    return Err(has_nested(zone, field(link, "name").as_str().unwrap_or_default()));
                }
                if failure.is_none() {
                    self.zones.remove(&key);
                    self.changed();
                }
                Ok(self.accept_zone_operation(request, (key, None), failure))
            }
            (method, _) => Err(method_not_allowed(method)),
        }
    }

    /// A PUT replaces all tags, a PATCH only the given ones.
    fn write_zone(&mut self, request: &Request, target: &ZoneTarget<'_>, tags: &Value) {
        let etag = self.etags.guid();
        self.create_zone(target.subscription, target.resource_group, target.name, Value::Null);
        if let Some(zone) = self.zones.get_mut(&target.key()) {
            zone.tags = changed_tags(request, &zone.tags, tags);
            zone.etag = etag;
        }
        self.changed();
    }

    /// Answers a request for the links of a zone.
    pub(super) fn answer_links(
        &mut self,
        request: &Request,
        target: &ZoneTarget<'_>,
        name: Option<&str>,
    ) -> Result<Answer, Answer> {
        let key = target.key();
        let zone = self.zones.get(&key);
        let Some(name) = name else {
            let zone = zone.ok_or_else(|| parent_not_found(&request.method, LINKS, &target.id()))?;
            return match request.method {
                Method::GET => Ok(request.page(zone.links.values().cloned().collect())),
                _ => Err(method_not_allowed(&request.method)),
            };
        };
        let link = zone.and_then(|zone| zone.links.get(&name.to_ascii_lowercase())).cloned();
        let etag = link.as_ref().and_then(|link| field(link, "etag").as_str()).map(str::to_owned);
        let what = format!("The Virtual Network link '{name}' for the Private DNS zone '{}'", target.name);
        let failure = check_conditions(request, etag.as_ref(), &what).err();
        let has_zone = zone.is_some();
        match (&request.method, link) {
            (&Method::GET, Some(link)) => {
                let answer = Answer::json(StatusCode::OK, &link).header("etag", etag.unwrap_or_default());
                Ok(of_service(answer, request))
            }
            (&Method::GET, None) => Err(target.link_not_found(name)),
            (&Method::PATCH, None) if has_zone => Err(target.link_not_found(name)),
            (&Method::PUT | &Method::PATCH, _) if !has_zone => {
                Err(parent_not_found(&request.method, LINKS, &target.id()))
            }
            (&Method::PUT | &Method::PATCH, former) => {
                let body = request.json()?;
                if failure.is_none() {
                    self.write_link(request, &key, name, &former.unwrap_or_default(), &body)?;
                }
                Ok(self.accept_zone_operation(request, (key, Some(name.to_owned())), failure))
            }
            (&Method::DELETE, None) => Ok(Answer::empty(StatusCode::NO_CONTENT)),
            (&Method::DELETE, Some(_)) => {
                if failure.is_none() {
                    self.zones.get_mut(&key).and_then(|zone| zone.links.remove(&name.to_ascii_lowercase()));
                    self.changed();
                }
                Ok(self.accept_zone_operation(request, (key, Some(name.to_owned())), failure))
            }
            (method, _) => Err(method_not_allowed(method)),
        }
    }

    fn write_link(
        &mut self,
        request: &Request,
        zone: &str,
        name: &str,
        former: &Value,
        body: &Value,
    ) -> Result<(), Answer> {
        let is_put = request.method == Method::PUT;
        if is_put {
            check_location(body)?;
        }
        let etag = self.etags.guid();
        let Some(zone) = self.zones.get_mut(zone) else { return Ok(()) };
        let requested = |name: &str| {
            let given = field(field(body, "properties"), name).clone();
            let former = || field(field(former, "properties"), name).clone();
            Some(given)
                .filter(|given| !given.is_null())
                .unwrap_or_else(|| if is_put { Value::Null } else { former() })
        };
        let network = requested("virtualNetwork");
        if !field(&network, "id").is_string() {
            return Err(bad_request("The virtual network of the link is missing."));
        }
        let registers = requested("registrationEnabled").as_bool().unwrap_or(false);
        let mut link = link_body(zone, name, &network, registers, &etag);
        let tags = changed_tags(request, field(former, "tags"), field(body, "tags"));
        let policy = requested("resolutionPolicy");
        if let (Some(link), false) = (link.as_object_mut(), tags.is_null()) {
            link.insert("tags".to_owned(), tags);
        }
        if let (Some(properties), false) =
            (link.get_mut("properties").and_then(Value::as_object_mut), policy.is_null())
        {
            properties.insert("resolutionPolicy".to_owned(), policy);
        }
        zone.links.insert(name.to_ascii_lowercase(), link);
        self.changed();
        Ok(())
    }

    /// The answer to a write that continues in the background.
    fn accept_zone_operation(
        &mut self,
        request: &Request,
        target: (String, Option<String>),
        failure: Option<String>,
    ) -> Answer {
        let due = self.now() + self.settings.zone_operations;
        let took_effect = failure.is_none();
        let operation = ZoneOperation { id: self.request_ids.guid(), due, failure, target };
        let body = if request.method == Method::DELETE { None } else { Some(json!({})) };
        let answer = body.map_or_else(
            || Answer::empty(StatusCode::ACCEPTED),
            |body| Answer::json(StatusCode::ACCEPTED, &body),
        );
        let answer = Answer { took_effect, ..operation.links(request, answer) };
        self.zone_operations.push_back(operation);
        if self.zone_operations.len() > OPERATIONS_KEPT {
            self.zone_operations.pop_front();
        }
        of_service(answer, request)
    }

    /// Answers a request for the state of an operation, or for its result; `None` for other requests.
    pub(super) fn answer_zone_operation(&self, request: &Request, path: &ArmPath) -> Option<Answer> {
        let [kind, id] = path.rest.as_slice() else { return None };
        let is_status = kind.eq_ignore_ascii_case(STATUSES);
        if !is_status && !kind.eq_ignore_ascii_case(RESULTS) {
            return None;
        }
        if request.method != Method::GET {
            return Some(method_not_allowed(&request.method));
        }
        let Some(operation) = self.zone_operations.iter().find(|it| it.id.eq_ignore_ascii_case(id)) else {
            return Some(flat(StatusCode::NOT_FOUND, "NotFound", "The operation does not exist."));
        };
        let answer = match &operation.failure {
            _ if operation.due > self.now() => {
                let body = json!({"status": "InProgress"});
                operation.links(request, Answer::json(StatusCode::ACCEPTED, &body))
            }
            Some(message) if is_status => {
                let error = json!({"code": FAILED, "message": message});
                Answer::json(StatusCode::OK, &json!({"error": error, "status": "Failed"}))
            }
            Some(message) => flat(StatusCode::PRECONDITION_FAILED, FAILED, message),
            None if is_status => Answer::json(StatusCode::OK, &json!({"status": "Succeeded"})),
            None => self
                .zone_operation_result(operation)
                .map_or_else(|| Answer::empty(StatusCode::OK), |body| Answer::json(StatusCode::OK, &body)),
        };
        Some(of_service(answer, request))
    }

    fn zone_operation_result(&self, operation: &ZoneOperation) -> Option<Value> {
        let (zone, link) = &operation.target;
        let zone = self.zones.get(zone)?;
        match link {
            Some(link) => zone.links.get(&link.to_ascii_lowercase()).cloned(),
            None => Some(zone_body(zone)),
        }
    }
}

const LINKS: &str = "virtualNetworkLinks";
const FAILED: &str = "PreconditionFailed";

impl ZoneOperation {
    /// Adds the links to its state and to its result, which are in the resource group of the zone.
    fn links(&self, request: &Request, answer: Answer) -> Answer {
        let Some(at) = request.path.to_ascii_lowercase().rfind("/microsoft.network/") else { return answer };
        let provider = request.path.get(..at).unwrap_or_default();
        let version = request.query("api-version").unwrap_or_default();
        let link = |kind| {
            format!("{}{provider}/Microsoft.Network/{kind}/{}?api-version={version}", request.origin, self.id)
        };
        answer.header("azure-asyncoperation", link(STATUSES)).header("location", link(RESULTS))
    }
}

/// Checks `If-None-Match` and `If-Match`. A missing resource fails no condition: its deletion has no effect, and a PATCH
/// of it was refused before.
fn check_conditions(request: &Request, etag: Option<&String>, what: &str) -> Result<(), String> {
    let Some(etag) = etag else { return Ok(()) };
    if request.header("if-none-match") == Some("*") {
        return Err(format!("{what} exists already and hence cannot be created again."));
    }
    match request.header("if-match") {
        None | Some("*") => Ok(()),
        Some(given) if given.trim_matches('"') == etag.trim_matches('"') => Ok(()),
        Some(_) => Err(format!("{what} has been modified (etag mismatch).")),
    }
}

/// Zones and links are global.
fn check_location(body: &Value) -> Result<(), Answer> {
    match field(body, "location").as_str() {
        Some(location) if location.eq_ignore_ascii_case("global") => Ok(()),
        None | Some("") => {
            let message = "The location property is required for this definition.";
            Err(gateway(StatusCode::BAD_REQUEST, "LocationRequired", message))
        }
        Some(other) => {
            let message = format!(
                "The provided location '{other}' is not available for resource type \
                 'Microsoft.Network/privateDnsZones'. List of available regions for the resource type is 'global'."
            );
            Err(gateway(StatusCode::BAD_REQUEST, "LocationNotAvailableForResourceType", &message))
        }
    }
}

/// Null if there never were tags: the answer then omits the property.
fn changed_tags(request: &Request, former: &Value, given: &Value) -> Value {
    if given.is_object() {
        given.clone()
    } else if request.method == Method::PUT {
        Value::Null
    } else {
        former.clone()
    }
}

fn has_nested(zone: &Zone, link: &str) -> Answer {
    let message = format!(
        "Cannot delete resource while nested resources exist. Some existing nested resource IDs include: \
         'Microsoft.Network/privateDnsZones/{}/virtualNetworkLinks/{link}'. Please delete all nested resources before \
         deleting this resource.",
        zone.name()
    );
    gateway(StatusCode::CONFLICT, "CannotDeleteResource", &message)
}

fn zone_body(zone: &Zone) -> Value {
    let registering = zone
        .links
        .values()
        .filter(|link| field(field(link, "properties"), "registrationEnabled") == true)
        .count();
    let mut body = json!({
        "id": zone.id(),
        "name": zone.name(),
        "type": "Microsoft.Network/privateDnsZones",
        "etag": zone.etag,
        "location": "global",
        "properties": {
            "maxNumberOfRecordSets": MAX_RECORD_SETS,
            "maxNumberOfVirtualNetworkLinks": 1000,
            "maxNumberOfVirtualNetworkLinksWithRegistration": 100,
            "numberOfRecordSets": zone.record_sets.len(),
            "numberOfVirtualNetworkLinks": zone.links.len(),
            "numberOfVirtualNetworkLinksWithRegistration": registering,
            "provisioningState": "Succeeded",
        },
    });
    if let (Some(body), false) = (body.as_object_mut(), zone.tags.is_null()) {
        body.insert("tags".to_owned(), zone.tags.clone());
    }
    body
}

/// The body of a link. Its `ETag` has quotation marks; that of a zone or a record set has none.
pub(super) fn link_body(zone: &Zone, name: &str, network: &Value, registers: bool, etag: &str) -> Value {
    json!({
        "id": format!("{}/virtualNetworkLinks/{name}", zone.id()),
        "name": name,
        "type": "Microsoft.Network/privateDnsZones/virtualNetworkLinks",
        "location": "global",
        "etag": format!("\"{etag}\""),
        "properties": {
            "virtualNetwork": network,
            "registrationEnabled": registers,
            "virtualNetworkLinkState": "Completed",
            "provisioningState": "Succeeded",
        },
    })
}

#[cfg(test)]
mod tests;
