//! The control requests under `/simulator`, for everything that the real API cannot express: see the table in
//! the module's documentation.

use std::net::Ipv4Addr;
use std::time::Duration;

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::authorization::read_permission;
use super::container_group_body::read_tags;
use super::messages::{Answer, Request, field, flat, method_not_allowed};
use super::resource_ids::DEFAULT_SUBSCRIPTION;
use super::virtual_networks::default_network;
use super::{
    AssignedIdentities, Azure, Call, Effect, ExpiryForm, Fault, FaultAnswer, GroupSpec, GroupView, LockLevel,
    Missing, Moment, Permission, RecordSetSpec, ResolverSettings, Staleness, Throttles, When, cloud_event,
};

/// The function app that receives the events of a seeded simulator.
const FUNCTION_APP: &str = "resourceGroups/rg-aci-dns/providers/Microsoft.Web/sites/aci-dns";

/// The identity of that function app, which has the necessary rights.
const PRINCIPAL: &str = "44444444-4444-4444-4444-444444444444";

/// The initial state of a simulator with everything that `aci-dns` needs: zones that are linked to the networks of the
/// groups, and subscriptions to their events. In JSON, the names are in camel case; missing members have their default.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seed {
    /// The subscription.
    pub subscription: String,
    /// Resource group of the container groups.
    pub resource_group: String,
    /// Resource group of the zones.
    pub zone_resource_group: String,
    /// Zone of the A record sets.
    pub forward_zone: String,
    /// Zones of the PTR record sets.
    pub reverse_zones: Vec<String>,
    /// The subnet's range.
    pub address_range: String,
    /// The number of container groups: `web-1`, `web-2`, …. Their provisioning takes as long as in the
    /// settings.
    pub groups: usize,
    /// The number of foreign A record sets in the forward zone: `other-1`, `other-2`, ….
    pub record_sets: usize,
    /// The number of resource groups of the container groups: `rg-spoke1`, `rg-spoke2`, …, each with its own
    /// subnet.
    pub resource_groups: usize,
    /// The number of subscriptions of the resource groups, which differ in their last digits. The zones are
    /// in the first.
    pub subscriptions: usize,
    /// Whether the groups have the record sets that `aci-dns` would write.
    pub with_records: bool,
    /// The storage queue for unfinished work.
    pub queue: String,
}

impl Default for Seed {
    fn default() -> Self {
        Self {
            subscription: DEFAULT_SUBSCRIPTION.to_owned(),
            resource_group: "rg-spoke1".to_owned(),
            zone_resource_group: "rg-dns".to_owned(),
            forward_zone: "spoke1.contoso.internal".to_owned(),
            reverse_zones: vec!["1.10.in-addr.arpa".to_owned()],
            address_range: "10.1.5.0/24".to_owned(),
            groups: 1,
            record_sets: 0,
            resource_groups: 1,
            subscriptions: 1,
            with_records: false,
            queue: "aci-dns-retry".to_owned(),
        }
    }
}

impl Seed {
    /// Subscription, name and address range of each resource group.
    fn resource_groups(&self) -> Option<Vec<(String, String, String)>> {
        let (network, prefix) = self.address_range.split_once('/')?;
        let network = u32::from(network.parse::<Ipv4Addr>().ok()?);
        let size = 1_u32.checked_shl(32_u32.checked_sub(prefix.parse().ok()?)?)?;
        let place = |number: usize| {
            let shift = size.checked_mul(u32::try_from(number).ok()?)?;
            let range = format!("{}/{prefix}", Ipv4Addr::from(network.checked_add(shift)?));
            let name = if number == 0 {
                self.resource_group.clone()
            } else {
                let stem = self.resource_group.trim_end_matches(|last: char| last.is_ascii_digit());
                format!("{stem}{}", number + 1)
            };
            Some((self.subscription(number % self.subscriptions.max(1)), name, range))
        };
        (0..self.resource_groups.max(1)).map(place).collect()
    }

    /// The subscriptions of the resource groups.
    #[must_use]
    pub fn subscription_ids(&self) -> Vec<String> {
        let count = self.subscriptions.clamp(1, self.resource_groups.max(1));
        (0..count).map(|number| self.subscription(number)).collect()
    }

    fn subscription(&self, number: usize) -> String {
        let digits = if number == 0 { String::new() } else { number.to_string() };
        let kept = self.subscription.len().saturating_sub(digits.len());
        format!("{}{digits}", self.subscription.get(..kept).unwrap_or_default())
    }

    /// The longest reverse zone that contains an address, and the address's name in it.
    fn reverse(&self, address: Ipv4Addr) -> Option<(&str, String)> {
        let name = address.octets().iter().rev().map(u8::to_string).collect::<Vec<_>>().join(".");
        let name = format!("{name}.in-addr.arpa");
        let inside =
            |zone: &'_ String| name.strip_suffix(zone.as_str())?.strip_suffix('.').map(str::to_owned);
        let zones = self.reverse_zones.iter().filter_map(|zone| Some((zone.as_str(), inside(zone)?)));
        zones.max_by_key(|(zone, _)| zone.len())
    }
}

impl Azure {
    /// Creates zones, record sets and container groups, and returns the resource ids of the groups.
    pub fn seed(&self, seed: &Seed) -> Result<Vec<String>, Missing> {
        for zone in seed.reverse_zones.iter().chain([&seed.forward_zone]) {
            let id = self.create_zone(&seed.subscription, &seed.zone_resource_group, zone);
            let record_sets =
                ["Microsoft.Network/privateDnsZones/A/*", "Microsoft.Network/privateDnsZones/PTR/*"];
            self.assign(PRINCIPAL, &id, Permission::new(&record_sets, &[]));
        }
        self.create_queue(&seed.queue);
        let wrong = || Missing(format!("a subnet like '{}'", seed.address_range));
        let places = seed.resource_groups().ok_or_else(wrong)?;
        let function_app = format!("/subscriptions/{}/{FUNCTION_APP}", seed.subscription);
        for (subscription, resource_group, range) in &places {
            self.create_resource_group(subscription, resource_group);
            if !self.set_address_range(subscription, resource_group, range) {
                return Err(wrong());
            }
            let group = format!("/subscriptions/{subscription}/resourceGroups/{resource_group}");
            let read = Permission::new(&["Microsoft.ContainerInstance/containerGroups/read"], &[]);
            self.assign(PRINCIPAL, &group, read);
            let network = default_network(subscription, resource_group);
            for zone in seed.reverse_zones.iter().chain([&seed.forward_zone]) {
                self.link(zone, &network)?;
            }
            self.subscribe(subscription, Some(resource_group), &function_app);
        }
        for number in 1..=seed.record_sets {
            let spec = RecordSetSpec::new("A", &format!("other-{number}"), &["10.200.0.4"]);
            self.put_record_set(&seed.forward_zone, &spec)?;
        }
        let provisioning = self.world().settings.provisioning;
        let mut ids = Vec::new();
        for (number, (subscription, resource_group, _)) in (1..=seed.groups).zip(places.iter().cycle()) {
            let name = format!("web-{number}");
            let id = self.create_group(GroupSpec {
                subscription: subscription.clone(),
                provisioning: if seed.with_records { Duration::ZERO } else { provisioning },
                ..GroupSpec::new(resource_group, &name)
            });
            if seed.with_records {
                self.put_records(seed, &format!("{subscription}/{resource_group}/{name}"), &name, &id)?;
            }
            ids.push(id);
        }
        Ok(ids)
    }

    /// Writes the record sets of a group as `aci-dns` would.
    fn put_records(&self, seed: &Seed, owner: &str, name: &str, id: &str) -> Result<(), Missing> {
        let Some(address) = self.group_address(id) else { return Ok(()) };
        let put = |zone: &str, record_type: &str, name: &str, value: &str| {
            let spec = RecordSetSpec { ttl: 60, ..RecordSetSpec::new(record_type, name, &[value]) };
            self.put_record_set(zone, &spec.with_metadata("aci-dns-owner", owner)).map(drop)
        };
        put(&seed.forward_zone, "A", name, &address.to_string())?;
        match seed.reverse(address) {
            Some((zone, reverse)) => put(zone, "PTR", &reverse, &format!("{name}.{}", seed.forward_zone)),
            None => Ok(()),
        }
    }

    pub(super) fn control(&self, request: &Request) -> Answer {
        let segments = request.segments();
        let path: Vec<_> = segments.iter().skip(1).map(String::as_str).collect();
        let of_others = self.control_vaults(request, &path).or_else(|| self.control_images(request, &path));
        let answer = match (&request.method, path.as_slice()) {
            _ if let Some(answer) = of_others => answer,
            (&Method::GET, ["calls"]) => Ok(json!(self.calls().iter().map(call_body).collect::<Vec<_>>())),
            (&Method::DELETE, ["calls"]) => {
                self.clear_calls();
                Ok(Value::Null)
            }
            (&Method::GET, ["events"]) => {
                let events = self.take_events();
                Ok(match request.query("schema") {
                    Some("cloudevents") => events.iter().map(cloud_event).collect(),
                    _ => Value::Array(events),
                })
            }
            (&Method::GET, ["queue-calls"]) => {
                Ok(json!(self.queue_calls().iter().map(call_body).collect::<Vec<_>>()))
            }
            (&Method::GET, ["vault-calls"]) => {
                Ok(json!(self.vault_calls().iter().map(call_body).collect::<Vec<_>>()))
            }
            (&Method::GET, ["queues"]) => {
                Ok(self.queues().iter().map(|name| self.queue_body(name)).collect())
            }
            (&Method::POST, ["queues"]) => control_json(request).and_then(|body| {
                self.create_queue(text(&body, "name")?);
                Ok(Value::Null)
            }),
            (&Method::GET, ["zones"]) => return Answer::text(self.zone_lines()),
            (&Method::GET, ["groups"]) => {
                Ok(self.read(|view| view.groups().iter().map(group_body).collect()))
            }
            (&Method::POST, ["groups", verb]) => self.control_group(request, verb),
            (&Method::POST, ["faults"]) => control_json(request).and_then(|body| {
                self.inject(read_fault(&body, self.moment())?);
                Ok(Value::Null)
            }),
            (&Method::DELETE, ["faults"]) => {
                self.clear_faults();
                Ok(Value::Null)
            }
            (&Method::PUT, ["throttles"]) => control_json(request).map(|body| {
                self.configure(|settings| settings.throttles = read_throttles(&body));
                Value::Null
            }),
            (&Method::PUT, ["resolver"]) => control_json(request).map(|body| {
                self.set_resolver(read_resolver(&body));
                Value::Null
            }),
            (&Method::POST, ["sweep"]) => self.request_sweep(),
            (&Method::PUT, ["permissions"]) => control_json(request).and_then(|body| {
                let (scope, permission) = read_permission(&body)?;
                if let Some(principal) = field(&body, "principal").as_str() {
                    self.take_back(principal, &scope);
                    self.assign(principal, &scope, permission);
                } else {
                    self.set_permissions(&scope, vec![permission]);
                }
                Ok(Value::Null)
            }),
            (&Method::POST, ["record-sets"]) => control_json(request).and_then(|body| {
                let properties = field(&body, "properties").as_object().ok_or("'properties' is missing")?;
                let (zone, name) = (text(&body, "zone")?, text(&body, "name")?);
                let stored = self.store_record_set(zone, text(&body, "type")?, name, properties);
                stored.map(|etag| json!({"etag": etag})).map_err(|missing| missing.to_string())
            }),
            (&Method::PUT, ["identity"]) => control_json(request).and_then(|body| {
                let identities = read_identities(&body)?;
                self.configure(|settings| settings.identities = identities);
                Ok(Value::Null)
            }),
            (&Method::PUT, ["locks"]) => control_json(request).and_then(|body| {
                let scope = text(&body, "scope")?;
                match field(&body, "level").as_str() {
                    None => self.unlock(scope),
                    Some(name) => {
                        let level = LockLevel::parse(name);
                        self.lock(scope, level.ok_or_else(|| format!("unknown lock '{name}'"))?);
                    }
                }
                Ok(Value::Null)
            }),
            (&Method::POST, ["event-subscriptions"]) => control_json(request).and_then(|body| {
                let change = |properties: &mut Value| merge(properties, field(&body, "properties"));
                let changed = self.change_event_subscription(text(&body, "id")?, change);
                changed.map(|()| Value::Null).map_err(|missing| missing.to_string())
            }),
            (&Method::POST, ["seed"]) => control_json(request).and_then(|body| {
                let ids = self.seed(&read_seed(&body)).map_err(|missing| missing.to_string())?;
                Ok(json!(ids))
            }),
            (method, _) => return method_not_allowed(method),
        };
        match answer {
            Ok(Value::Null) => Answer::empty(StatusCode::NO_CONTENT),
            Ok(body) => Answer::json(StatusCode::OK, &body),
            Err(message) => flat(StatusCode::BAD_REQUEST, "BadRequest", &message),
        }
    }

    fn queue_body(&self, name: &str) -> Value {
        let now = self.elapsed();
        let seconds = |at: Duration| at.as_secs_f64() - now.as_secs_f64();
        let messages = self.messages(name).unwrap_or_default().into_iter().map(|message| {
            json!({
                "id": message.id,
                "text": message.text,
                "dequeueCount": message.dequeue_count,
                "visibleInSeconds": seconds(message.visible).max(0.0),
                "expiresInSeconds": message.expires.map(seconds),
            })
        });
        json!({"name": name, "messages": messages.collect::<Vec<_>>()})
    }

    fn zone_lines(&self) -> String {
        self.read(|view| {
            let sets = view.zones().into_iter().flat_map(|zone| view.record_sets(&zone));
            sets.fold(String::new(), |lines, set| lines + &set.to_string() + "\n")
        })
    }

    fn control_create(&self, body: &Value) -> Result<Value, String> {
        let name = text(body, "name")?;
        if !is_group_name(name) {
            return Err(format!(
                "'{name}' is not a name of a container group: 1 to 63 lower-case letters, digits and single hyphens"
            ));
        }
        let resource_group = field(body, "resourceGroup").as_str().unwrap_or("rg-spoke1");
        let provisioning = self.world().settings.provisioning;
        let default = GroupSpec::new(resource_group, name);
        let image = field(body, "image").as_str().map_or_else(|| default.image.clone(), str::to_owned);
        let tags = read_tags(field(body, "tags"));
        let id = self.create_group(GroupSpec { tags, provisioning, image, ..default });
        Ok(json!({"id": id}))
    }

    fn control_group(&self, request: &Request, verb: &str) -> Result<Value, String> {
        let body = control_json(request)?;
        if verb == "create" {
            return self.control_create(&body);
        }
        let id = text(&body, "id")?;
        let done = match verb {
            "restart" => self.restart_group(id).map(|()| Value::Null),
            "stop" => self.stop_group(id).map(|()| Value::Null),
            "start" => self.start_group(id).map(|()| Value::Null),
            "delete" => self.delete_group(id).map(|()| Value::Null),
            "move" => self.move_group(id).map(|address| json!({"address": address.map(|it| it.to_string())})),
            "complete" => self.complete_provisioning(id).map(|()| Value::Null),
            "address" => {
                let address = text(&body, "address")?;
                let address: Ipv4Addr =
                    address.parse().map_err(|_| format!("'{address}' is not an IPv4 address"))?;
                self.set_address(id, address).map(|()| Value::Null)
            }
            "state" => {
                let exit_code = field(&body, "exitCode").as_i64().unwrap_or(0);
                self.set_state(id, text(&body, "state")?, exit_code).map(|()| Value::Null)
            }
            "exit" => {
                let exit_code = field(&body, "exitCode").as_i64().unwrap_or(0);
                self.exit_containers(id, exit_code).map(|()| Value::Null)
            }
            "claim" => self.claim_group(id).map(|()| Value::Null),
            "hand-over" => {
                let address = self.hand_over_address(id, text(&body, "to")?);
                address.map(|address| json!({"address": address.to_string()}))
            }
            "provisioning-state" => {
                self.set_provisioning_state(id, text(&body, "value")?).map(|()| Value::Null)
            }
            _ => return Err(format!("unknown verb '{verb}'")),
        };
        done.map_err(|missing| missing.to_string())
    }
}

/// Whether Azure accepts a text as the name of a container group.
fn is_group_name(name: &str) -> bool {
    let is_letter = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&name.len())
        && name.bytes().all(is_letter)
        && !name.starts_with('-')
        && !name.ends_with('-')
        && !name.contains("--")
}

fn read_resolver(body: &Value) -> ResolverSettings {
    let zones = field(body, "shadowed").as_array().into_iter().flatten();
    ResolverSettings {
        caches: field(body, "caches").as_bool().unwrap_or(false),
        is_silent: field(body, "silent").as_bool().unwrap_or(false),
        shadowed: zones.filter_map(|zone| zone.as_str().map(str::to_ascii_lowercase)).collect(),
        udp_bytes: count(body, "udpBytes"),
    }
}

pub(super) fn control_json(request: &Request) -> Result<Value, String> {
    serde_json::from_slice(&request.body).map_err(|error| format!("the body is not JSON: {error}"))
}

/// Members of `change` replace those of the same name, and `null` removes them (RFC 7396).
fn merge(value: &mut Value, change: &Value) {
    let Value::Object(members) = change else {
        *value = change.clone();
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    let Some(object) = value.as_object_mut() else { return };
    for (name, change) in members {
        if change.is_null() {
            object.remove(name);
        } else {
            merge(object.entry(name.clone()).or_insert(Value::Null), change);
        }
    }
}

pub(super) fn text<'a>(body: &'a Value, name: &str) -> Result<&'a str, String> {
    field(body, name).as_str().ok_or_else(|| format!("'{name}' is missing"))
}

fn count(body: &Value, name: &str) -> Option<usize> {
    field(body, name).as_u64().and_then(|count| usize::try_from(count).ok())
}

fn call_body(call: &Call) -> Value {
    json!({
        "sequence": call.sequence,
        "arrivedSeconds": call.arrived.as_secs_f64(),
        "answeredSeconds": call.answered.map(|at| at.as_secs_f64()),
        "method": call.method.as_str(),
        "path": call.path,
        "query": call.query,
        "ifMatch": call.if_match,
        "ifNoneMatch": call.if_none_match,
        "status": call.status,
        "tookEffect": call.took_effect,
    })
}

fn group_body(group: &GroupView) -> Value {
    json!({
        "id": group.id,
        "provisioningState": group.provisioning_state,
        "state": group.state,
        "address": group.address.map(|address| address.to_string()),
        "tags": group.tags,
    })
}

fn read_fault(body: &Value, now: Moment) -> Result<Fault, String> {
    let when = match field(body, "when").as_str() {
        None | Some("before") => When::Before,
        Some("after") => When::After,
        Some(other) => return Err(format!("'when' is before or after, not '{other}'")),
    };
    let effect = match text(body, "effect")? {
        "answer" => Effect::Answer(when, read_fault_answer(body)?),
        "drop" => Effect::Drop(when),
        "delay" => {
            let milliseconds = field(body, "milliseconds").as_u64().ok_or("'milliseconds' is missing")?;
            Effect::Delay(when, Duration::from_millis(milliseconds))
        }
        "certificate" => Effect::UntrustedCertificate,
        "stale" => Effect::Stale(read_staleness(body, now)?),
        "truncate" => Effect::Truncate(count(body, "bytes").ok_or("'bytes' is missing")?),
        "replace" => Effect::ReplaceBody(text(body, "body")?.to_owned()),
        other => return Err(format!("unknown effect '{other}'")),
    };
    let method = match field(body, "method").as_str() {
        None => None,
        Some(method) => Some(method.parse::<Method>().map_err(|_| format!("unknown method '{method}'"))?),
    };
    let lasts = field(body, "forSeconds").as_u64();
    Ok(Fault {
        until: lasts.map(|seconds| now.elapsed + Duration::from_secs(seconds)),
        method,
        path_contains: field(body, "path").as_str().unwrap_or_default().to_owned(),
        skip: field(body, "skip").as_u64().unwrap_or(0),
        times: field(body, "times").as_u64().unwrap_or(if lasts.is_some() { u64::MAX } else { 1 }),
        effect,
    })
}

fn read_staleness(body: &Value, now: Moment) -> Result<Staleness, String> {
    let members = ["behindSeconds", "versions", "asOf", "absent"];
    let named = members.map(|name| field(body, name));
    match named.map(|value| (value.as_u64(), value.as_str())) {
        [(Some(seconds), _), ..] => Ok(Staleness::Behind(Duration::from_secs(seconds))),
        [_, (Some(_), _), ..] => Ok(Staleness::Versions(count(body, "versions").unwrap_or(1))),
        [_, _, (_, Some("now")), _] => Ok(Staleness::AsOf(now)),
        [.., (_, Some("resource"))] => Ok(Staleness::NotYet),
        [.., (_, Some("resourceGroup"))] => Ok(Staleness::ResourceGroupNotYet),
        _ if named.iter().all(|value| value.is_null()) => Ok(Staleness::Versions(1)),
        _ => {
            Err("'behindSeconds' and 'versions' are numbers, 'asOf' is now, 'absent' is resource or resourceGroup"
                .to_owned())
        }
    }
}

fn read_fault_answer(body: &Value) -> Result<FaultAnswer, String> {
    let status = field(body, "status").as_u64().and_then(|status| u16::try_from(status).ok());
    let status =
        status.filter(|status| (200..600).contains(status)).ok_or("'status' is missing or impossible")?;
    let mut answer = FaultAnswer::new(status, field(body, "code").as_str().unwrap_or("InternalServerError"));
    answer.retry_after_seconds = field(body, "retryAfterSeconds").as_u64();
    answer.body = field(body, "body").as_str().map(str::to_owned);
    Ok(answer)
}

fn read_identities(body: &Value) -> Result<AssignedIdentities, String> {
    let client_ids = field(body, "clientIds").as_array();
    let client_ids =
        client_ids.map(|ids| ids.iter().filter_map(|id| id.as_str().map(str::to_owned)).collect());
    let expires_on = match field(body, "expiresOn").as_str() {
        None | Some("text") => ExpiryForm::Text,
        Some("number") => ExpiryForm::Number,
        Some(other) => return Err(format!("'expiresOn' is text or number, not '{other}'")),
    };
    let system_assigned = field(body, "systemAssigned").as_bool().unwrap_or(true);
    Ok(AssignedIdentities { system_assigned, client_ids, expires_on })
}

fn read_throttles(body: &Value) -> Option<Throttles> {
    let defaults = Throttles::default();
    let number = |name, default| count(body, name).unwrap_or(default);
    body.as_object().map(|_| Throttles {
        creates: number("creates", defaults.creates),
        updates: number("updates", defaults.updates),
        deletes: number("deletes", defaults.deletes),
        gets: number("gets", defaults.gets),
        lists: number("lists", defaults.lists),
    })
}

fn read_seed(body: &Value) -> Seed {
    let defaults = Seed::default();
    let text = |name: &str, default: String| field(body, name).as_str().map_or(default, str::to_owned);
    let reverse_zones = field(body, "reverseZones")
        .as_array()
        .map(|zones| zones.iter().filter_map(|zone| zone.as_str().map(str::to_owned)).collect());
    Seed {
        subscription: text("subscription", defaults.subscription),
        resource_group: text("resourceGroup", defaults.resource_group),
        zone_resource_group: text("zoneResourceGroup", defaults.zone_resource_group),
        forward_zone: text("forwardZone", defaults.forward_zone),
        reverse_zones: reverse_zones.unwrap_or(defaults.reverse_zones),
        address_range: text("addressRange", defaults.address_range),
        groups: count(body, "groups").unwrap_or(defaults.groups),
        record_sets: count(body, "recordSets").unwrap_or(defaults.record_sets),
        resource_groups: count(body, "resourceGroups").unwrap_or(defaults.resource_groups),
        subscriptions: count(body, "subscriptions").unwrap_or(defaults.subscriptions),
        with_records: field(body, "withRecords").as_bool().unwrap_or(defaults.with_records),
        queue: text("queue", defaults.queue),
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{azure, get, put, send};
    use super::super::{Azure, Settings};
    use super::*;

    async fn post(azure: &Azure, path: &str, body: Value) -> u16 {
        send(azure, Method::POST, path, &[], body).await.status.as_u16()
    }

    #[tokio::test]
    async fn a_seed_spreads_groups_over_resource_groups_and_subscriptions() {
        let azure = Azure::default();
        let seed = Seed {
            groups: 3,
            resource_groups: 3,
            subscriptions: 2,
            with_records: true,
            reverse_zones: vec!["1.10.in-addr.arpa".to_owned(), "6.1.10.in-addr.arpa".to_owned()],
            ..Seed::default()
        };
        let ids = azure.seed(&seed).unwrap();
        let place =
            |id: &String| id.split("/providers").next().unwrap().replace("00000000-0000-0000-0000-", "");
        assert_eq!(
            ids.iter().map(place).collect::<Vec<_>>(),
            [
                "/subscriptions/000000000000/resourceGroups/rg-spoke1",
                "/subscriptions/000000000001/resourceGroups/rg-spoke2",
                "/subscriptions/000000000000/resourceGroups/rg-spoke3",
            ]
        );
        let lines = azure.zone_lines();
        for expected in [
            "A web-3.spoke1.contoso.internal 60 10.1.7.4 aci-dns-owner=00000000-0000-0000-0000-000000000000/rg-spoke3/web-3",
            "PTR 4.5.1.10.in-addr.arpa 60 web-1.spoke1.contoso.internal",
            "PTR 4.6.1.10.in-addr.arpa 60 web-2.spoke1.contoso.internal aci-dns-owner=00000000-0000-0000-0000-000000000001/rg-spoke2/web-2",
        ] {
            assert!(lines.contains(expected), "{lines}");
        }
        assert!(azure.record_set("6.1.10.in-addr.arpa", "PTR", "4").is_some());
        assert!(azure.seed(&Seed { address_range: "10.1.5.0".to_owned(), ..seed }).is_err());
    }

    #[tokio::test]
    async fn a_seeded_world_can_be_read_moved_and_broken_over_http() {
        let azure = azure(Settings::default());
        let seed = json!({"groups": 2, "recordSets": 1, "reverseZones": ["5.1.10.in-addr.arpa"]});
        assert_eq!(post(&azure, "/simulator/seed", seed).await, 200);
        let lines = get(&azure, "/simulator/zones").await.text;
        assert!(lines.contains("A other-1.spoke1.contoso.internal 3600 10.200.0.4\n"), "{lines}");
        assert_eq!(get(&azure, "/simulator/events?schema=cloudevents").await.json()[1]["specversion"], "1.0");
        assert_eq!(get(&azure, "/simulator/events").await.json(), json!([]));

        let groups = get(&azure, "/simulator/groups").await.json();
        assert_eq!(groups[0]["address"], "10.1.5.4");
        let id = groups[0]["id"].as_str().unwrap();
        assert_eq!(post(&azure, "/simulator/groups/move", json!({"id": id})).await, 200);
        assert_eq!(azure.group_address(id).unwrap().to_string(), "10.1.5.6");
        let state = json!({"id": id, "state": "Failed", "exitCode": 1});
        assert_eq!(post(&azure, "/simulator/groups/state", state).await, 204);
        assert_eq!(post(&azure, "/simulator/groups/move", json!({"id": "/none"})).await, 400);

        let fault = json!({"method": "GET", "path": id, "effect": "answer", "status": 503, "times": 1});
        assert_eq!(post(&azure, "/simulator/faults", fault).await, 204);
        assert_eq!(get(&azure, id).await.status, 503);
        assert_eq!(get(&azure, id).await.json()["properties"]["instanceView"]["state"], "Failed");
        assert_eq!(post(&azure, "/simulator/faults", json!({"effect": "explode"})).await, 400);

        assert_eq!(put(&azure, "/simulator/throttles", json!({"gets": 5})).await.status, 204);
        assert_eq!(azure.world().settings.throttles, Some(Throttles { gets: 5, ..Throttles::default() }));
        assert_eq!(get(&azure, "/simulator/calls").await.json()[0]["status"], 503);
        assert_eq!(send(&azure, Method::DELETE, "/simulator/calls", &[], Value::Null).await.status, 204);
        assert_eq!(azure.calls(), []);
    }
}
