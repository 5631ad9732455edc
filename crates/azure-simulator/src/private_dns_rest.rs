//! The REST API of record sets (<https://learn.microsoft.com/rest/api/dns/privatedns/record-sets>).
//!
//! Conditional writes follow the documentation
//! (<https://learn.microsoft.com/azure/dns/dns-private-records#etags>): without a condition a write always
//! succeeds; `If-Match: <etag>` requires the unchanged record set; `If-Match: *` requires any;
//! `If-None-Match: *` requires none. Errors of the service itself are flat; Resource Manager reports a
//! missing zone, and wraps the error.

use std::ops::Bound;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::World;
use super::messages::{Answer, Request, flat, method_not_allowed, of_service, parent_not_found};
use super::private_dns::{MAX_RECORD_SETS, RecordKey, RecordSet, RecordType, Zone};
use super::private_zones_rest::ZoneTarget;
use super::record_set_body::{bad_request, change, check_name};
use super::rest::ArmPath;
use super::throttles::Kind;

const DEFAULT_PAGE: usize = 100;
const LARGEST_PAGE: usize = 1000;

impl World {
    /// Answers a request to the provider of private zones; `None` if it has no such resource.
    pub(super) fn answer_private_dns(&mut self, request: &Request, path: &ArmPath) -> Option<Answer> {
        if let Some(answer) = self.answer_zone_operation(request, path) {
            return Some(answer);
        }
        let mut rest = path.rest.iter().map(String::as_str);
        if !rest.next()?.eq_ignore_ascii_case("privateDnsZones") {
            return None;
        }
        let (zone, below, name, deeper) = (rest.next(), rest.next(), rest.next(), rest.next());
        if deeper.is_some() {
            return None;
        }
        let Some(zone) = zone else {
            return Some(match request.method {
                Method::GET => of_service(self.list_zones(request, path), request),
                _ => method_not_allowed(&request.method),
            });
        };
        let resource_group = path.resource_group.as_deref()?;
        let target = ZoneTarget { subscription: &path.subscription, resource_group, name: zone };
        let Some(below) = below else {
            return Some(self.answer_zone(request, &target).unwrap_or_else(|refusal| refusal));
        };
        if below.eq_ignore_ascii_case("virtualNetworkLinks") {
            return Some(self.answer_links(request, &target, name).unwrap_or_else(|refusal| refusal));
        }
        let id = target.id();
        if !self.zones.contains_key(&id.to_ascii_lowercase()) {
            return Some(parent_not_found(&request.method, below, &id));
        }
        let id = id.to_ascii_lowercase();
        let record_type = RecordType::parse(below);
        let lists_all = below.eq_ignore_ascii_case("ALL") || below.eq_ignore_ascii_case("recordsets");
        let answer = match (record_type, name, &request.method) {
            (Some(record_type), None, &Method::GET) => self.list_record_sets(request, &id, Some(record_type)),
            (None, None, &Method::GET) if lists_all => self.list_record_sets(request, &id, None),
            (Some(record_type), Some(name), _) => {
                let target = RecordSetTarget { zone: id, record_type, name: name.to_ascii_lowercase() };
                self.answer_record_set(request, &target).unwrap_or_else(|refusal| refusal)
            }
            (_, None, method) if record_type.is_some() || lists_all => {
                return Some(method_not_allowed(method));
            }
            _ => return None,
        };
        Some(of_service(answer, request))
    }

    /// One page of record sets by name, and those of one name by type: the recordings of ALL lists
    /// (`test_ListRecordSetsAcrossType_…` of Azure/azure-cli) begin with the SOA at `@` and then follow no order of types,
    /// and those names were random. The position of a page is the last record set of the previous page, so that a list
    /// neither repeats nor skips unchanged record sets if the zone changes meanwhile.
    fn list_record_sets(&mut self, request: &Request, zone: &str, only: Option<RecordType>) -> Answer {
        if let Err(refusal) = self.admit(zone, Kind::List) {
            return refusal;
        }
        let now = self.now();
        let Some(zone) = self.zones.get(zone) else { return zone_vanished() };
        let page = match request.query("$top").map(str::parse::<usize>) {
            None => DEFAULT_PAGE,
            Some(Ok(top @ 1..=LARGEST_PAGE)) => top,
            Some(_) => return bad_request("The value of $top must be between 1 and 1000."),
        };
        let after = match request.query("$skiptoken").map(read_skip_token) {
            None => None,
            Some(Some(key)) => Some(key),
            Some(None) => return bad_request("The value of $skipToken is invalid."),
        };
        let suffix = request.query("$recordsetnamesuffix").unwrap_or_default().to_ascii_lowercase();
        let is_listed = |(record_type, name): &RecordKey| {
            only.is_none_or(|only| only == *record_type) && name.ends_with(&suffix)
        };
        let mut found = Vec::new();
        for record_type in RecordType::ALL.into_iter().filter(|it| only.is_none_or(|only| only == *it)) {
            let from = match &after {
                None => Bound::Included((record_type, String::new())),
                Some((last, name)) if record_type <= *last => Bound::Excluded((record_type, name.clone())),
                Some((_, name)) => Bound::Included((record_type, name.clone())),
            };
            let rest = zone.seen(request.staleness, now, (from, Bound::Unbounded), is_listed);
            found.extend(rest.take_while(|(key, _)| key.0 == record_type).take(page + 1));
        }
        found.sort_by(|((left, left_name), _), ((right, right_name), _)| {
            (left_name, left).cmp(&(right_name, right))
        });
        let is_last = found.len() <= page;
        found.truncate(page);
        let value: Vec<_> = found
            .iter()
            .map(|((record_type, name), set)| record_set_body(zone, *record_type, name, set))
            .collect();
        let mut body = json!({"value": value});
        if let (false, Some(((record_type, name), _)), Some(body)) =
            (is_last, found.last(), body.as_object_mut())
        {
            let skip_token = format!("{}/{name}", record_type.name());
            body.insert("nextLink".to_owned(), request.next_link(&skip_token).into());
        }
        let entities = 60_000_usize.saturating_sub(found.len());
        Answer::json(StatusCode::OK, &body)
            .header("x-ms-ratelimit-remaining-subscription-resource-entities-read", entities.to_string())
    }

    fn answer_record_set(&mut self, request: &Request, target: &RecordSetTarget) -> Result<Answer, Answer> {
        let exists = self.find(target).is_some();
        let kind = match (&request.method, exists) {
            (&Method::GET, _) => Kind::Get,
            (&Method::PUT, false) => Kind::Create,
            (&Method::PUT, true) | (&Method::PATCH, _) => Kind::Update,
            (&Method::DELETE, _) => Kind::Delete,
            (method, _) => return Err(method_not_allowed(method)),
        };
        self.admit(&target.zone, kind)?;
        match kind {
            Kind::Get | Kind::List => self.get_record_set(request, target),
            Kind::Create | Kind::Update => self.write_record_set(request, target),
            Kind::Delete => self.delete_record_set(request, target),
        }
    }

    fn get_record_set(&self, request: &Request, target: &RecordSetTarget) -> Result<Answer, Answer> {
        let zone = self.zones.get(&target.zone).ok_or_else(zone_vanished)?;
        let (key, former) = (target.key(), &zone.former_record_sets);
        let cut = former.cut(request.staleness, self.now(), |it| *it == key);
        let set = former.version(&key, cut, zone.record_sets.get(&key));
        let set = set.ok_or_else(|| self.record_set_not_found(target))?;
        self.record_set_answer(StatusCode::OK, target, set)
    }

    fn write_record_set(&mut self, request: &Request, target: &RecordSetTarget) -> Result<Answer, Answer> {
        let former = self.find(target).cloned();
        let body = request.json()?;
        let mut set = match (former.as_ref(), &request.method) {
            (Some(former), &Method::PATCH) => former.clone(),
            (None, &Method::PATCH) => {
                check_conditions(request, target, None)?;
                return Err(self.record_set_not_found(target));
            }
            (_, _) => RecordSet {
                ttl: 0,
                records: if target.record_type.is_single() { Value::Null } else { json!([]) },
                metadata: None,
                is_auto_registered: false,
                etag: String::new(),
                stored: None,
            },
        };
        check_name(&target.name)?;
        change(&mut set, &body, target.record_type)?;
        check_conditions(request, target, former.as_ref())?;
        if target.record_type == RecordType::Soa && target.name != "@" {
            return Err(bad_request("An SOA record set can only be at the apex of the zone."));
        }
        self.check_alias(target)?;
        set.etag = self.etags.guid();
        let change = self.change();
        let Some(zone) = self.zones.get_mut(&target.zone) else { return Err(zone_vanished()) };
        if former.is_none() && zone.record_sets.len() >= MAX_RECORD_SETS {
            let message = format!("The zone {} already has {MAX_RECORD_SETS} record sets.", zone.name());
            return Err(bad_request(&message));
        }
        zone.replace(&target.key(), change, Some(set));
        self.changed();
        let status = if former.is_some() { StatusCode::OK } else { StatusCode::CREATED };
        let set = self.find(target).ok_or_else(zone_vanished)?;
        Ok(self.record_set_answer(status, target, set)?.effective())
    }

    fn delete_record_set(&mut self, request: &Request, target: &RecordSetTarget) -> Result<Answer, Answer> {
        if target.record_type == RecordType::Soa {
            return Err(bad_request("The SOA record set of a zone cannot be deleted."));
        }
        let existing = self.find(target);
        check_conditions(request, target, existing)?;
        if existing.is_none() {
            return Ok(Answer::empty(StatusCode::NO_CONTENT));
        }
        let change = self.change();
        if let Some(zone) = self.zones.get_mut(&target.zone) {
            zone.replace(&target.key(), change, None);
        }
        self.changed();
        Ok(Answer::empty(StatusCode::OK).effective())
    }

    /// A CNAME record set cannot share its name.
    fn check_alias(&self, target: &RecordSetTarget) -> Result<(), Answer> {
        let zone = self.zones.get(&target.zone).ok_or_else(zone_vanished)?;
        let is_alias = target.record_type == RecordType::Cname;
        let mut key = target.key();
        let mut exists = |record_type| {
            key.0 = record_type;
            zone.record_sets.contains_key(&key)
        };
        let message = if is_alias {
            let mut others = RecordType::ALL.into_iter().filter(|it| *it != RecordType::Cname);
            others.any(exists).then_some(
                "The CNAME record could not be created because another record with the same name already exists in \
                 this zone.",
            )
        } else {
            exists(RecordType::Cname).then_some(
                "The record could not be created because a CNAME record with the same name already exists in this \
                 zone.",
            )
        };
        message.map_or(Ok(()), |message| Err(flat(StatusCode::CONFLICT, "Conflict", message)))
    }

    fn find(&self, target: &RecordSetTarget) -> Option<&RecordSet> {
        self.zones.get(&target.zone)?.record_sets.get(&target.key())
    }

    fn record_set_answer(
        &self,
        status: StatusCode,
        target: &RecordSetTarget,
        set: &RecordSet,
    ) -> Result<Answer, Answer> {
        let zone = self.zones.get(&target.zone).ok_or_else(zone_vanished)?;
        let body = record_set_body(zone, target.record_type, &target.name, set);
        Ok(Answer::json(status, &body).header("etag", set.etag.clone()))
    }

    fn record_set_not_found(&self, target: &RecordSetTarget) -> Answer {
        let Some(zone) = self.zones.get(&target.zone) else { return zone_vanished() };
        let message = format!(
            "The resource record '{}' does not exist in resource group '{}' of subscription '{}'.",
            target.name, zone.resource_group, zone.subscription
        );
        flat(StatusCode::NOT_FOUND, "NotFound", &message)
    }

    /// Counts a request against the limits of its zone, if there are any.
    fn admit(&mut self, zone: &str, kind: Kind) -> Result<(), Answer> {
        let now = self.now();
        let (Some(throttles), Some(zone)) = (self.settings.throttles, self.zones.get_mut(zone)) else {
            return Ok(());
        };
        zone.window.admit(throttles, kind, now).map_err(|seconds| {
            let message = "The request was throttled. Please retry after the time in the Retry-After header.";
            flat(StatusCode::TOO_MANY_REQUESTS, "TooManyRequests", message)
                .header("retry-after", seconds.to_string())
        })
    }
}

/// The record set in a request. The zone is the lower-case resource id of an existing one.
struct RecordSetTarget {
    zone: String,
    record_type: RecordType,
    /// In lower case.
    name: String,
}

impl RecordSetTarget {
    fn key(&self) -> (RecordType, String) {
        (self.record_type, self.name.clone())
    }
}

/// Checks `If-None-Match` and `If-Match` against the current record set.
fn check_conditions(
    request: &Request,
    target: &RecordSetTarget,
    set: Option<&RecordSet>,
) -> Result<(), Answer> {
    let failed = |what: &str| {
        let message = format!("The Record set {} {what}.", target.name);
        Err(flat(StatusCode::PRECONDITION_FAILED, "PreconditionFailed", &message))
    };
    if request.header("if-none-match") == Some("*") && set.is_some() {
        return failed("exists already and hence cannot be created again");
    }
    match (request.header("if-match"), set) {
        (None | Some("*"), Some(_)) | (None, None) => Ok(()),
        (Some(etag), Some(set)) if etag.trim_matches('"') == set.etag => Ok(()),
        (Some(_), Some(_)) => failed("has been modified (etag mismatch)"),
        (Some(_), None) => failed("does not exist and hence cannot be updated"),
    }
}

fn read_skip_token(token: &str) -> Option<(RecordType, String)> {
    let (record_type, name) = token.split_once('/')?;
    Some((RecordType::parse(record_type)?, name.to_owned()))
}

fn record_set_body(zone: &Zone, record_type: RecordType, name: &str, set: &RecordSet) -> Value {
    let mut properties = json!({
        "fqdn": zone.fqdn(name),
        "ttl": set.ttl,
        "isAutoRegistered": set.is_auto_registered,
    });
    if let Some(properties) = properties.as_object_mut() {
        if !set.records.is_null() {
            properties.insert(record_type.property().to_owned(), set.records.clone());
        }
        if let Some(metadata) = &set.metadata {
            properties.insert("metadata".to_owned(), Value::Object(metadata.clone()));
        }
        if let Some(stored) = &set.stored {
            properties.remove("ttl");
            properties.remove(record_type.property());
            properties.extend(stored.clone());
        }
    }
    json!({
        "id": format!("{}/{}/{name}", zone.id(), record_type.name()),
        "name": name,
        "type": format!("Microsoft.Network/privateDnsZones/{}", record_type.name()),
        "etag": set.etag,
        "properties": properties,
    })
}

pub(super) fn zone_vanished() -> Answer {
    flat(StatusCode::NOT_FOUND, "NotFound", "The zone does not exist.")
}

#[cfg(test)]
mod tests;
