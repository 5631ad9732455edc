//! Subnets, as far as the addresses of container groups come from them, and the links between zones and
//! virtual networks (<https://learn.microsoft.com/rest/api/dns/privatedns/virtual-network-links>).
//!
//! A virtual network exists as soon as a resource is in it, and has no properties except its subnets.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::addresses::AddressPool;
use super::container_groups::default_subnet;
use super::messages::{Answer, Request, field, method_not_allowed, resource_not_found, wrapped};
use super::private_dns::Zone;
use super::private_dns_rest::zone_vanished;
use super::rest::ArmPath;
use super::{Azure, Missing, World};

/// The virtual network of the default subnet of a resource group.
pub(super) fn default_network(subscription: &str, resource_group: &str) -> String {
    let subnet = default_subnet(subscription, resource_group);
    subnet.split("/subnets/").next().unwrap_or_default().to_owned()
}

impl Azure {
    /// Links a zone (by name or resource id) to a virtual network, which then resolves its names.
    pub fn link(&self, zone: &str, network: &str) -> Result<(), Missing> {
        let mut world = self.world();
        let etag = world.etags.guid();
        let key = world.zone_key(zone)?;
        let zone = world.zones.get_mut(&key).ok_or(Missing(key))?;
        let place = network.split('/').filter(|segment| !segment.is_empty()).collect::<Vec<_>>();
        let parts = [1, 3, 7].into_iter().filter_map(|at| place.get(at).copied());
        let name = parts.collect::<Vec<_>>().join("-");
        let link = link_body(zone, &name, &json!({"id": network}), false, &etag);
        zone.links.insert(name.to_ascii_lowercase(), link);
        world.changed();
        Ok(())
    }

    /// Removes the links of a zone to a virtual network.
    pub fn unlink(&self, zone: &str, network: &str) -> Result<(), Missing> {
        let mut world = self.world();
        let key = world.zone_key(zone)?;
        let zone = world.zones.get_mut(&key).ok_or(Missing(key))?;
        zone.links.retain(|_, link| {
            let linked = link.pointer("/properties/virtualNetwork/id").and_then(Value::as_str);
            linked.is_none_or(|id| !id.eq_ignore_ascii_case(network))
        });
        world.changed();
        Ok(())
    }

    /// Sets the state of all links of a zone, such as `InProgress`.
    pub fn set_link_state(&self, zone: &str, state: &str) -> Result<(), Missing> {
        let mut world = self.world();
        let key = world.zone_key(zone)?;
        for link in world.zones.get_mut(&key).into_iter().flat_map(|zone| zone.links.values_mut()) {
            if let Some(reported) = link.pointer_mut("/properties/virtualNetworkLinkState") {
                *reported = state.into();
            }
        }
        world.changed();
        Ok(())
    }
}

impl World {
    /// Answers a request for a subnet; `None` for other requests.
    pub(super) fn answer_virtual_network(&mut self, request: &Request, path: &ArmPath) -> Option<Answer> {
        let [networks, network, subnets, subnet] = path.rest.as_slice() else { return None };
        if !networks.eq_ignore_ascii_case("virtualNetworks") || !subnets.eq_ignore_ascii_case("subnets") {
            return None;
        }
        let resource_group = path.resource_group.as_deref()?;
        let id = format!(
            "/subscriptions/{}/resourceGroups/{resource_group}/providers/Microsoft.Network/virtualNetworks/{network}\
             /subnets/{subnet}",
            path.subscription
        );
        let key = id.to_ascii_lowercase();
        Some(match request.method {
            Method::GET => self.pools.get(&key).map_or_else(
                || {
                    let name = format!("{network}/{subnet}");
                    resource_not_found("Microsoft.Network/virtualNetworks/subnets", &name, resource_group)
                },
                |pool| Answer::json(StatusCode::OK, &subnet_body(&id, subnet, pool)),
            ),
            Method::PUT => self.put_subnet(request, &id, subnet).unwrap_or_else(|refusal| refusal),
            _ => method_not_allowed(&request.method),
        })
    }

    fn put_subnet(&mut self, request: &Request, id: &str, name: &str) -> Result<Answer, Answer> {
        let body = request.json()?;
        let prefix = field(field(&body, "properties"), "addressPrefix").as_str().unwrap_or_default();
        let pool = AddressPool::parse(prefix).ok_or_else(|| {
            let message = format!("The address prefix '{prefix}' in the subnet is not valid.");
            wrapped(StatusCode::BAD_REQUEST, "InvalidAddressPrefixFormat", &message)
        })?;
        let answer = Answer::json(StatusCode::OK, &subnet_body(id, name, &pool)).effective();
        self.set_pool(id, pool);
        Ok(answer)
    }

    /// Answers a request for the links of an existing zone.
    pub(super) fn answer_link(
        &mut self,
        request: &Request,
        zone: &str,
        name: Option<&str>,
    ) -> Result<Answer, Answer> {
        let etag = self.etags.guid();
        let Some(zone) = self.zones.get_mut(zone) else { return Err(zone_vanished()) };
        let Some(name) = name else {
            let links: Vec<_> = zone.links.values().cloned().collect();
            return Ok(match request.method {
                Method::GET => Answer::json(StatusCode::OK, &json!({"value": links})),
                _ => method_not_allowed(&request.method),
            });
        };
        let key = name.to_ascii_lowercase();
        match request.method {
            Method::GET => {
                zone.links.get(&key).map(|link| Answer::json(StatusCode::OK, link)).ok_or_else(|| {
                    resource_not_found(
                        "Microsoft.Network/privateDnsZones/virtualNetworkLinks",
                        &format!("{}/{name}", zone.name()),
                        &zone.resource_group,
                    )
                })
            }
            Method::PUT => {
                let body = request.json()?;
                let asked = field(&body, "properties");
                let registers = field(asked, "registrationEnabled").as_bool().unwrap_or(false);
                let link = link_body(zone, name, field(asked, "virtualNetwork"), registers, &etag);
                let status = match zone.links.insert(key, link.clone()) {
                    Some(_) => StatusCode::OK,
                    None => StatusCode::CREATED,
                };
                Ok(Answer::json(status, &link).effective())
            }
            Method::DELETE => Ok(match zone.links.remove(&key) {
                Some(_) => Answer::empty(StatusCode::OK).effective(),
                None => Answer::empty(StatusCode::NO_CONTENT),
            }),
            _ => Err(method_not_allowed(&request.method)),
        }
    }
}

fn link_body(zone: &Zone, name: &str, network: &Value, registers: bool, etag: &str) -> Value {
    json!({
        "id": format!("{}/virtualNetworkLinks/{name}", zone.id()),
        "name": name,
        "type": "Microsoft.Network/privateDnsZones/virtualNetworkLinks",
        "location": "global",
        "etag": etag,
        "properties": {
            "virtualNetwork": network,
            "registrationEnabled": registers,
            "virtualNetworkLinkState": "Completed",
            "provisioningState": "Succeeded",
        },
    })
}

fn subnet_body(id: &str, name: &str, pool: &AddressPool) -> Value {
    json!({
        "id": id,
        "name": name,
        "type": "Microsoft.Network/virtualNetworks/subnets",
        "properties": {
            "provisioningState": "Succeeded",
            "addressPrefix": pool.cidr(),
            "delegations": [{
                "name": "aci",
                "properties": {"serviceName": "Microsoft.ContainerInstance/containerGroups"},
            }],
        },
    })
}

#[cfg(test)]
mod tests {
    use super::super::Settings;
    use super::super::testing::{SUBSCRIPTION, ZONES, azure, get, put};
    use super::*;

    #[tokio::test]
    async fn a_subnet_reports_its_range() {
        let azure = azure(Settings::default());
        assert!(azure.set_address_range(SUBSCRIPTION, "rg-spoke1", "10.1.5.0/24"));
        let subnet = default_subnet(SUBSCRIPTION, "rg-spoke1");
        let prefix = async |path: &str| get(&azure, path).await.json()["properties"]["addressPrefix"].clone();
        assert_eq!(prefix(&subnet.to_uppercase().replace("/RG-SPOKE1/", "/rg-spoke1/")).await, "10.1.5.0/24");
        let wider = json!({"properties": {"addressPrefix": "10.1.4.0/22"}});
        assert_eq!(put(&azure, &subnet, wider).await.status, 200);
        assert_eq!(prefix(&subnet).await, "10.1.4.0/22");
        let wrong = json!({"properties": {"addressPrefix": "10.1.4.1/22"}});
        assert_eq!(put(&azure, &subnet, wrong).await.error(), (400, "InvalidAddressPrefixFormat".to_owned()));
        let other = subnet.replace("default", "other");
        assert_eq!(get(&azure, &other).await.error(), (404, "ResourceNotFound".to_owned()));
    }

    #[tokio::test]
    async fn a_link_of_the_verb_equals_one_by_rest() {
        let azure = azure(Settings::default());
        azure.create_zone(SUBSCRIPTION, "rg-dns", "contoso.internal");
        let network = default_network(SUBSCRIPTION, "rg-spoke1");
        azure.link("contoso.internal", &network).unwrap();
        let links = format!("{ZONES}/contoso.internal/virtualNetworkLinks");
        let reported = async || get(&azure, &links).await.json()["value"].clone();
        assert_eq!(reported().await[0]["properties"]["virtualNetwork"]["id"], network);
        azure.set_link_state("contoso.internal", "InProgress").unwrap();
        assert_eq!(reported().await[0]["properties"]["virtualNetworkLinkState"], "InProgress");
        azure.unlink("contoso.internal", &network.to_uppercase()).unwrap();
        assert_eq!(reported().await, json!([]));
        assert!(azure.link("none.internal", &network).is_err());
    }
}
