//! The REST API of private zones and of their links to virtual networks
//! (<https://learn.microsoft.com/rest/api/dns/privatedns/private-zones>,
//! <https://learn.microsoft.com/rest/api/dns/privatedns/virtual-network-links>).
//!
//! Both are asynchronous, as recordings of Azure/azure-cli show (`test_PutZone_…`, `test_PatchLink_…`): a write is
//! answered 202 with `{}`, and `Azure-AsyncOperation` names the operation. A failed precondition is the outcome of the
//! operation, not an answer of its own. What does not exist is found by Resource Manager, which wraps the error and says
//! `x-ms-failure-cause: gateway`. Here a change is made when its request is accepted.

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
    /// The zone and the link that the result shows.
    target: (String, Option<String>),
}

/// The zone that a request names, as the request spells it.
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

    /// A PUT replaces the tags, a PATCH those tags that it names.
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
        let asked = |name: &str| {
            let given = field(field(body, "properties"), name).clone();
            let former = || field(field(former, "properties"), name).clone();
            Some(given)
                .filter(|given| !given.is_null())
                .unwrap_or_else(|| if is_put { Value::Null } else { former() })
        };
        let network = asked("virtualNetwork");
        if !field(&network, "id").is_string() {
            return Err(bad_request("The virtual network of the link is missing."));
        }
        let registers = asked("registrationEnabled").as_bool().unwrap_or(false);
        let mut link = link_body(zone, name, &network, registers, &etag);
        let tags = changed_tags(request, field(former, "tags"), field(body, "tags"));
        let policy = asked("resolutionPolicy");
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

    /// The answer to a write that goes on in the background.
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

    /// Answers a request for the state of an operation, or for its result; nothing, when it is for something else.
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

/// Checks `If-None-Match` and `If-Match`. An absent resource fails no condition: its deletion has nothing to do, and a
/// PATCH of it is refused before.
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

/// Null, when there never were tags: the answer then has no such property.
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

/// The `ETag` of a link has quotation marks, that of a zone or a record set has none.
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
mod tests {
    use std::time::Duration;

    use super::super::testing::{Answered, SUBSCRIPTION, ZONES, azure, get, put, send};
    use super::super::{Azure, Settings};
    use super::*;

    const ZONE: &str = "spoke1.contoso.internal";

    fn zone() -> String {
        format!("{ZONES}/{ZONE}")
    }

    fn global() -> Value {
        json!({"location": "global"})
    }

    /// The state that the operation of an answer has.
    async fn state(azure: &Azure, accepted: &Answered) -> (u16, Value) {
        assert_eq!(accepted.status, StatusCode::ACCEPTED, "{}", accepted.text);
        let answered = get(azure, accepted.header("azure-asyncoperation").unwrap()).await;
        (answered.status.as_u16(), answered.json())
    }

    fn failed(message: &str) -> (u16, Value) {
        let error = json!({"code": "PreconditionFailed", "message": message});
        (200, json!({"error": error, "status": "Failed"}))
    }

    fn succeeded() -> (u16, Value) {
        (200, json!({"status": "Succeeded"}))
    }

    // Recordings test_PutZone_ZoneExistsIfNoneMatchFailure_ExpectError and test_DeleteZone_ZoneExists_ExpectZoneDeleted.
    #[tokio::test(start_paused = true)]
    async fn a_zone_is_written_and_deleted_in_the_background() {
        let azure = azure(Settings { zone_operations: Duration::from_secs(30), ..Settings::default() });
        let create = async || send(&azure, Method::PUT, &zone(), &[("if-none-match", "*")], global()).await;
        let created = create().await;
        assert_eq!(created.text, "{}");
        let location = created.header("location").unwrap();
        let group = ZONES.trim_end_matches("/privateDnsZones");
        assert!(location.starts_with(&format!("http://127.0.0.1:4711{group}/{RESULTS}/")), "{location}");
        assert_eq!(state(&azure, &created).await, (202, json!({"status": "InProgress"})));
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(state(&azure, &created).await, succeeded());
        let read = get(&azure, &zone()).await;
        assert_eq!(get(&azure, location).await.json(), read.json());
        let etag = read.header("etag").unwrap();
        let expected = json!({
            "id": zone(),
            "name": ZONE,
            "type": "Microsoft.Network/privateDnsZones",
            "etag": etag,
            "location": "global",
            "properties": {
                "maxNumberOfRecordSets": 25_000,
                "maxNumberOfVirtualNetworkLinks": 1000,
                "maxNumberOfVirtualNetworkLinksWithRegistration": 100,
                "numberOfRecordSets": 1,
                "numberOfVirtualNetworkLinks": 0,
                "numberOfVirtualNetworkLinksWithRegistration": 0,
                "provisioningState": "Succeeded",
            },
        });
        assert_eq!(read.json(), expected);
        let again = create().await;
        assert_eq!(state(&azure, &again).await, (202, json!({"status": "InProgress"})));
        tokio::time::sleep(Duration::from_secs(30)).await;
        let message = format!("The Zone {ZONE} exists already and hence cannot be created again.");
        assert_eq!(state(&azure, &again).await, failed(&message));

        let deleted = send(&azure, Method::DELETE, &zone(), &[], Value::Null).await;
        assert_eq!(deleted.text, "");
        tokio::time::sleep(Duration::from_secs(30)).await;
        assert_eq!(state(&azure, &deleted).await, succeeded());
        let absent = send(&azure, Method::DELETE, &zone(), &[], Value::Null).await;
        assert_eq!((absent.status, absent.text.as_str()), (StatusCode::NO_CONTENT, ""));
    }

    // Recordings test_PatchZone_ZoneExistsIfMatchFailure_ExpectError and test_PatchZone_ZoneNotExists_ExpectError.
    #[tokio::test]
    async fn a_zone_is_changed_as_it_was_read() {
        let azure = azure(Settings::default());
        let patch = async |etag: &str, tags: Value| {
            send(&azure, Method::PATCH, &zone(), &[("if-match", etag)], json!({"tags": tags})).await
        };
        let missing = patch("*", json!({})).await;
        let message = format!(
            "The Resource 'Microsoft.Network/privateDnsZones/{ZONE}' under resource group 'rg-dns' was not found. For \
             more details please go to https://aka.ms/ARMResourceNotFoundFix"
        );
        assert_eq!(missing.json(), json!({"error": {"code": "ResourceNotFound", "message": message}}));
        assert_eq!(missing.header("x-ms-failure-cause"), Some("gateway"));

        put(&azure, &zone(), json!({"location": "global", "tags": {"a": "b"}})).await;
        let read = async || get(&azure, &zone()).await.json();
        let etag = read().await["etag"].as_str().unwrap().to_owned();
        let changed = patch(&etag, json!({"a": "c"})).await;
        assert_eq!(state(&azure, &changed).await, succeeded());
        assert_eq!(read().await["tags"], json!({"a": "c"}));
        let stale = patch(&etag, json!({"a": "d"})).await;
        let message = format!("The Zone {ZONE} has been modified (etag mismatch).");
        assert_eq!(state(&azure, &stale).await, failed(&message));
        assert_eq!(read().await["tags"], json!({"a": "c"}));
        let deleted = send(&azure, Method::DELETE, &zone(), &[("if-match", &etag)], Value::Null).await;
        assert_eq!(state(&azure, &deleted).await, failed(&message));

        let refused = put(&azure, &zone(), json!({})).await;
        assert_eq!(refused.error(), (400, "LocationRequired".to_owned()));
        let refused = put(&azure, &zone(), json!({"location": "westeurope"})).await;
        assert_eq!(refused.error(), (400, "LocationNotAvailableForResourceType".to_owned()));
    }

    // Recordings test_PatchLink_LinkExistsIfMatchFailure_ExpectError, test_GetLink_LinkNotExists_ExpectError,
    // test_GetLink_ZoneNotExists_ExpectError and test_DeleteLink_ZoneNotExists_ExpectNoError.
    #[tokio::test]
    async fn a_link_is_written_changed_and_deleted_in_the_background() {
        let azure = azure(Settings::default());
        let link = format!("{}/virtualNetworkLinks/hub", zone());
        let not_found = || {
            let message = format!(
                "The Resource 'Microsoft.Network/privateDnsZones/{ZONE}/virtualNetworkLinks/hub' under resource group \
                 'rg-dns' was not found. For more details please go to https://aka.ms/ARMResourceNotFoundFix"
            );
            json!({"error": {"code": "ResourceNotFound", "message": message}})
        };
        let body = json!({"location": "global", "properties": {"virtualNetwork": {"id": "/v"}}});
        assert_eq!(get(&azure, &link).await.json(), not_found());
        assert_eq!(put(&azure, &link, body.clone()).await.error().1, "ParentResourceNotFound");
        let absent = send(&azure, Method::DELETE, &link, &[], Value::Null).await;
        assert_eq!(absent.status, StatusCode::NO_CONTENT);

        azure.create_zone(SUBSCRIPTION, "rg-dns", ZONE);
        assert_eq!(get(&azure, &link).await.json(), not_found());
        let created = put(&azure, &link, body).await;
        assert_eq!(state(&azure, &created).await, succeeded());
        let read = get(&azure, &link).await;
        let etag = read.header("etag").unwrap().to_owned();
        assert_eq!(etag.len(), 38, "it is quoted: {etag}");
        let mut expected = json!({
            "id": link,
            "name": "hub",
            "type": "Microsoft.Network/privateDnsZones/virtualNetworkLinks",
            "etag": etag,
            "location": "global",
            "properties": {
                "provisioningState": "Succeeded",
                "registrationEnabled": false,
                "virtualNetwork": {"id": "/v"},
                "virtualNetworkLinkState": "Completed",
            },
        });
        assert_eq!(read.json(), expected);

        let patch = async |etag: &str, body: Value| {
            send(&azure, Method::PATCH, &link, &[("if-match", etag)], body).await
        };
        let changed =
            patch(&etag, json!({"tags": {"a": "b"}, "properties": {"registrationEnabled": true}})).await;
        assert_eq!(state(&azure, &changed).await, succeeded());
        let read = get(&azure, &link).await.json();
        expected["etag"] = read["etag"].clone();
        expected["tags"] = json!({"a": "b"});
        expected["properties"]["registrationEnabled"] = true.into();
        assert_eq!(read, expected);
        assert_eq!(
            get(&azure, &zone()).await.json()["properties"]["numberOfVirtualNetworkLinksWithRegistration"],
            1
        );
        let stale = patch(&etag, json!({})).await;
        let message = format!(
            "The Virtual Network link 'hub' for the Private DNS zone '{ZONE}' has been modified (etag mismatch)."
        );
        assert_eq!(state(&azure, &stale).await, failed(&message));

        let refused = send(&azure, Method::DELETE, &zone(), &[], Value::Null).await;
        assert_eq!(refused.error(), (409, "CannotDeleteResource".to_owned()));
        let deleted = send(&azure, Method::DELETE, &link, &[], Value::Null).await;
        assert_eq!(state(&azure, &deleted).await, succeeded());
        assert_eq!(
            get(&azure, &format!("{}/virtualNetworkLinks", zone())).await.json(),
            json!({"value": []})
        );
    }

    #[tokio::test]
    async fn lists_of_zones_come_in_pages_of_what_top_says() {
        let azure = azure(Settings::default());
        for zone in ["a.internal", "b.internal", "c.internal"] {
            azure.create_zone(SUBSCRIPTION, "rg-dns", zone);
        }
        let page = get(&azure, &format!("{ZONES}?$top=2")).await.json();
        let names = |page: &Value| {
            let zones = page["value"].as_array().unwrap().iter();
            zones.map(|zone| zone["name"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(names(&page), ["a.internal", "b.internal"]);
        let page = get(&azure, page["nextLink"].as_str().unwrap()).await.json();
        assert_eq!((names(&page), page.get("nextLink")), (vec!["c.internal".to_owned()], None));
        assert_eq!(names(&get(&azure, ZONES).await.json()).len(), 3);
    }
}
