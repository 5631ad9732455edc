//! Subnets, as far as the addresses of container groups come from them, and the links between zones and
//! virtual networks (<https://learn.microsoft.com/rest/api/dns/privatedns/virtual-network-links>).
//!
//! A virtual network exists as soon as it contains a resource. Only its subnets are known, with names in lower case. It
//! can be read, and the range of a subnet can be changed; other writes are not simulated.

use http::{Method, StatusCode};
use serde_json::{Value, json};

use super::addresses::AddressPool;
use super::container_groups::default_subnet;
use super::messages::{Answer, Request, field, resource_not_found, wrapped};
use super::private_zones_rest::link_body;
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
    /// Answers a request for virtual networks or their subnets; `None` for other requests.
    pub(super) fn answer_virtual_network(&mut self, request: &Request, path: &ArmPath) -> Option<Answer> {
        let mut rest = path.rest.iter().map(String::as_str);
        if !rest.next()?.eq_ignore_ascii_case("virtualNetworks") {
            return None;
        }
        let (network, subnets, subnet, deeper) = (rest.next(), rest.next(), rest.next(), rest.next());
        if deeper.is_some() || subnets.is_some_and(|it| !it.eq_ignore_ascii_case("subnets")) {
            return None;
        }
        let reads = request.method == Method::GET;
        let Some(network) = network else {
            return reads.then(|| request.page(self.networks(path, None).iter().map(network_body).collect()));
        };
        let resource_group = path.resource_group.as_deref()?;
        let found = self.networks(path, Some(network)).into_iter().next();
        let missing = || resource_not_found("Microsoft.Network/virtualNetworks", network, resource_group);
        match (subnets, subnet) {
            (None, _) => reads.then(|| {
                found.as_ref().map_or_else(missing, |it| Answer::json(StatusCode::OK, &network_body(it)))
            }),
            (Some(_), None) => {
                reads.then(|| found.as_ref().map_or_else(missing, |it| request.page(it.subnet_bodies())))
            }
            (Some(_), Some(subnet)) => self.answer_subnet(request, path, network, subnet),
        }
    }

    fn answer_subnet(
        &mut self,
        request: &Request,
        path: &ArmPath,
        network: &str,
        subnet: &str,
    ) -> Option<Answer> {
        let resource_group = path.resource_group.as_deref()?;
        let id = format!("{}/subnets/{subnet}", network_id(&path.subscription, resource_group, network));
        let key = id.to_ascii_lowercase();
        match request.method {
            Method::GET => Some(self.pools.get(&key).map_or_else(
                || {
                    let name = format!("{network}/subnets/{subnet}");
                    resource_not_found("Microsoft.Network/virtualNetworks", &name, resource_group)
                },
                |pool| Answer::json(StatusCode::OK, &subnet_body(&id, subnet, &pool.cidr())),
            )),
            Method::PUT => Some(self.put_subnet(request, &id, subnet).unwrap_or_else(|refusal| refusal)),
            _ => None,
        }
    }

    /// The networks of a subscription or a resource group, or the one with this name.
    fn networks(&self, path: &ArmPath, name: Option<&str>) -> Vec<Network> {
        let mut networks: Vec<Network> = Vec::new();
        for (key, pool) in &self.pools {
            let segments: Vec<_> = key.split('/').collect();
            // "", subscriptions, id, resourcegroups, name, providers, microsoft.network, virtualnetworks, name, subnets, name
            let [_, _, subscription, _, resource_group, _, _, kind, network, _, subnet] = segments.as_slice()
            else {
                continue;
            };
            let is = |expected: Option<&str>, found: &str| {
                expected.is_none_or(|expected| expected.eq_ignore_ascii_case(found))
            };
            if *kind != "virtualnetworks"
                || !is(Some(&path.subscription), subscription)
                || !is(path.resource_group.as_deref(), resource_group)
                || !is(name, network)
            {
                continue;
            }
            let spelled = self.resource_group(subscription, resource_group).unwrap_or(resource_group);
            let id = network_id(subscription, spelled, name.unwrap_or(network));
            let subnet = ((*subnet).to_owned(), pool.cidr());
            match networks.last_mut().filter(|last| last.id.eq_ignore_ascii_case(&id)) {
                Some(last) => last.subnets.push(subnet),
                None => networks.push(Network { id, subnets: vec![subnet] }),
            }
        }
        networks
    }

    fn put_subnet(&mut self, request: &Request, id: &str, name: &str) -> Result<Answer, Answer> {
        let body = request.json()?;
        let prefix = field(field(&body, "properties"), "addressPrefix").as_str().unwrap_or_default();
        let pool = AddressPool::parse(prefix).ok_or_else(|| {
            let message = format!("The address prefix '{prefix}' in the subnet is not valid.");
            wrapped(StatusCode::BAD_REQUEST, "InvalidAddressPrefixFormat", &message)
        })?;
        let answer = Answer::json(StatusCode::OK, &subnet_body(id, name, &pool.cidr())).effective();
        self.set_pool(id, pool);
        Ok(answer)
    }
}

/// A virtual network: its resource id, and the names and ranges of its subnets.
struct Network {
    id: String,
    subnets: Vec<(String, String)>,
}

impl Network {
    fn subnet_bodies(&self) -> Vec<Value> {
        let body =
            |(name, cidr): &(String, String)| subnet_body(&format!("{}/subnets/{name}", self.id), name, cidr);
        self.subnets.iter().map(body).collect()
    }
}

fn network_id(subscription: &str, resource_group: &str, name: &str) -> String {
    format!(
        "/subscriptions/{subscription}/resourceGroups/{resource_group}/providers/Microsoft.Network/virtualNetworks/{name}"
    )
}

/// In the form of recordings of `az network vnet create` (`test_PutLink_…` of Azure/azure-cli). Its address space consists
/// of the ranges of its subnets.
fn network_body(network: &Network) -> Value {
    let prefixes: Vec<_> = network.subnets.iter().map(|(_, cidr)| cidr).collect();
    json!({
        "id": network.id,
        "name": network.id.rsplit('/').next(),
        "type": "Microsoft.Network/virtualNetworks",
        "location": "westeurope",
        "properties": {
            "provisioningState": "Succeeded",
            "addressSpace": {"addressPrefixes": prefixes},
            "subnets": network.subnet_bodies(),
            "virtualNetworkPeerings": [],
            "enableDdosProtection": false,
        },
    })
}

fn subnet_body(id: &str, name: &str, cidr: &str) -> Value {
    json!({
        "id": id,
        "name": name,
        "type": "Microsoft.Network/virtualNetworks/subnets",
        "properties": {
            "provisioningState": "Succeeded",
            "addressPrefix": cidr,
            "delegations": [{
                "id": format!("{id}/delegations/aci"),
                "name": "aci",
                "type": "Microsoft.Network/virtualNetworks/subnets/delegations",
                "properties": {
                    "provisioningState": "Succeeded",
                    "serviceName": "Microsoft.ContainerInstance/containerGroups",
                    "actions": ["Microsoft.Network/virtualNetworks/subnets/action"],
                },
            }],
            "privateEndpointNetworkPolicies": "Disabled",
            "privateLinkServiceNetworkPolicies": "Enabled",
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
    async fn a_virtual_network_is_read_with_its_subnets_and_not_written() {
        let azure = azure(Settings::default());
        assert!(azure.set_address_range(SUBSCRIPTION, "rg-spoke1", "10.1.5.0/24"));
        let network = default_network(SUBSCRIPTION, "rg-spoke1");
        assert!(azure.set_subnet_range(&format!("{network}/subnets/more"), "10.1.6.0/24"));
        let read = get(&azure, &network).await.json();
        assert_eq!((&read["id"], &read["name"]), (&json!(network), &json!("vnet")));
        assert_eq!(
            read["properties"]["addressSpace"]["addressPrefixes"],
            json!(["10.1.5.0/24", "10.1.6.0/24"])
        );
        let subnets = get(&azure, &format!("{network}/subnets")).await.json();
        assert_eq!(subnets["value"], read["properties"]["subnets"]);
        assert_eq!(subnets["value"][0], get(&azure, &default_subnet(SUBSCRIPTION, "rg-spoke1")).await.json());
        let all = format!("/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Network/virtualNetworks");
        assert_eq!(get(&azure, &all).await.json(), json!({"value": [read]}));
        let missing = network.replace("/vnet", "/other");
        assert_eq!(get(&azure, &missing).await.error(), (404, "ResourceNotFound".to_owned()));
        assert_eq!(put(&azure, &missing, json!({})).await.error(), (501, "NotSimulated".to_owned()));
    }

    #[tokio::test]
    async fn a_link_that_a_person_makes_is_like_one_that_was_put() {
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
