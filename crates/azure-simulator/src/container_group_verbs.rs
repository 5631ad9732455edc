//! Actions of people, the platform and Azure on container groups, as methods of [`Azure`].

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use serde_json::Value;

use super::addresses::AddressPool;
use super::container_group_spec::{GroupSpec, Ip, ports};
use super::container_groups::{Deployment, default_subnet};
use super::container_states::Secrets;
use super::events::Happening;
use super::resource_ids::group_id;
use super::{Azure, Missing, World};

/// Actions of people and of the platform. Resource ids compare without regard to case.
impl Azure {
    /// Creates an empty resource group.
    pub fn create_resource_group(&self, subscription: &str, resource_group: &str) {
        self.world().ensure_resource_group(subscription, resource_group);
    }

    /// Sets the range of the default subnet of a resource group, such as `10.1.5.0/24`. Returns whether Azure
    /// would accept the range.
    #[must_use]
    pub fn set_address_range(&self, subscription: &str, resource_group: &str, cidr: &str) -> bool {
        self.set_subnet_range(&default_subnet(subscription, resource_group), cidr)
    }

    /// Sets the range of a subnet. Returns whether Azure would accept it. Groups keep their addresses.
    #[must_use]
    pub fn set_subnet_range(&self, subnet: &str, cidr: &str) -> bool {
        let Some(pool) = AddressPool::parse(cidr) else { return false };
        self.world().set_pool(subnet, pool);
        true
    }

    /// Creates a container group, or deploys an existing one again, and returns its resource id. Raises an
    /// event.
    #[expect(clippy::must_use_candidate, reason = "callers often need the group only")]
    pub fn create_group(&self, spec: GroupSpec) -> String {
        let mut world = self.world();
        world.ensure_resource_group(&spec.subscription, &spec.resource_group);
        let id = group_id(&spec.subscription, &spec.resource_group, &spec.name);
        let definition = spec.definition();
        let subnet = spec.subnet.unwrap_or_else(|| default_subnet(&spec.subscription, &spec.resource_group));
        world.deploy(Deployment {
            subscription: spec.subscription,
            resource_group: spec.resource_group,
            name: spec.name,
            location: spec.location,
            tags: spec.tags,
            definition,
            secrets: Secrets::new(),
            ports: ports(),
            ip: spec.ip,
            dns_name: Value::Null,
            identity: Value::Null,
            zones: Value::Null,
            subnet: Some(subnet),
            provisioning: spec.provisioning,
            visible_after: spec.visible_after,
            standby: spec.standby,
        });
        id
    }

    /// Deploys a group again, unchanged. Raises an event.
    pub fn redeploy_group(&self, id: &str) -> Result<(), Missing> {
        self.with_group(id, |world, id| world.begin(id, "Pending", Happening::Updated))
    }

    /// Restarts a group. Raises an event.
    pub fn restart_group(&self, id: &str) -> Result<(), Missing> {
        self.with_group(id, |world, id| world.begin(id, "Updating", Happening::Restarted))
    }

    /// Starts a group. Raises an event.
    pub fn start_group(&self, id: &str) -> Result<(), Missing> {
        self.with_group(id, |world, id| world.begin(id, "Pending", Happening::Started))
    }

    /// Stops a group, which releases its address. Raises an event.
    pub fn stop_group(&self, id: &str) -> Result<(), Missing> {
        self.with_group(id, World::stop)
    }

    /// Deletes a group. Raises an event, once it is deleted.
    pub fn delete_group(&self, id: &str) -> Result<(), Missing> {
        self.with_group(id, World::delete_group)
    }

    /// Moves a running group to another host and so to another address, like the platform: raises no event.
    /// Returns the new address.
    pub fn move_group(&self, id: &str) -> Result<Option<Ipv4Addr>, Missing> {
        self.with_group(id, World::move_group)
    }

    /// Completes a group's provisioning (or deletion) now.
    pub fn complete_provisioning(&self, id: &str) -> Result<(), Missing> {
        self.with_group(id, World::complete)
    }

    /// Assigns this address to a group, even if another group holds it. Raises no event.
    pub fn set_address(&self, id: &str, address: Ipv4Addr) -> Result<(), Missing> {
        self.with_group(id, |world, id| {
            world.release_address(id);
            world.hold_address(id, address);
            world.changed();
        })
    }

    /// Changes the kind of a group's address at once. Raises no event.
    pub fn set_ip(&self, id: &str, ip: Ip) -> Result<(), Missing> {
        self.with_group(id, |world, id| {
            world.release_address(id);
            if let Some(group) = world.groups.get_mut(id) {
                group.ip = ip;
            }
            world.take_address(id);
            world.changed();
        })
    }

    /// Makes a group `Running`, or any other state with terminated containers (Azure uses `Succeeded` and
    /// `Failed`), which releases its address. Raises no event.
    pub fn set_state(&self, id: &str, state: &str, exit_code: i64) -> Result<(), Missing> {
        self.with_group(id, |world, id| {
            if state == "Running" {
                world.run_again(id);
            } else {
                let detail = if exit_code == 0 { "Completed" } else { "Error" };
                world.terminate(id, state, exit_code, detail);
            }
            world.changed();
        })
    }

    /// Ends the containers of a group with this exit code. The restart policy decides whether they are
    /// restarted, after a time that doubles from 10 seconds to 5 minutes and in which the group keeps its
    /// address; otherwise the group releases its address. Raises no event.
    pub fn exit_containers(&self, id: &str, exit_code: i64) -> Result<(), Missing> {
        let has_ended = self.with_group(id, |world, id| world.exit(id, exit_code))?;
        has_ended.then_some(()).ok_or_else(|| Missing(format!("a running container of {id}")))
    }

    /// Claims a group from its standby pool. Raises an event.
    pub fn claim_group(&self, id: &str) -> Result<(), Missing> {
        let is_claimed = self.with_group(id, World::claim)?;
        is_claimed.then_some(()).ok_or_else(|| Missing(format!("a standby pool with {id}")))
    }

    /// Moves a group to another address, and assigns its former one to another group at the same moment, as
    /// the platform may do with a released address. Raises no event. Returns the address that changed its
    /// holder.
    pub fn hand_over_address(&self, from: &str, to: &str) -> Result<Ipv4Addr, Missing> {
        let address = self.group_address(from).ok_or_else(|| Missing(format!("an address of {from}")))?;
        self.with_group(to, |world, to| {
            let from = from.to_ascii_lowercase();
            world.keep_group(&from);
            world.release_address(&from);
            world.release_address(to);
            world.hold_address(to, address);
            world.take_address(&from);
            world.changed();
            address
        })
    }

    /// Sets a group's provisioning state, until the next operation. Raises no event.
    pub fn set_provisioning_state(&self, id: &str, provisioning_state: &str) -> Result<(), Missing> {
        self.with_group(id, |world, id| {
            if let Some(group) = world.groups.get_mut(id) {
                group.forced_state = Some(provisioning_state.to_owned());
            }
            world.changed();
        })
    }

    /// Replaces the tags of a group. Raises an event.
    pub fn set_tags(&self, id: &str, tags: BTreeMap<String, String>) -> Result<(), Missing> {
        self.with_group(id, |world, id| world.tag(id, tags))
    }

    /// Changes the properties of a group as answers show them, such as its volumes. Raises no event, restarts nothing.
    pub fn change_definition(&self, id: &str, change: impl FnOnce(&mut Value)) -> Result<(), Missing> {
        self.with_group(id, |world, id| {
            if let Some(group) = world.groups.get_mut(id) {
                change(&mut group.definition);
            }
            world.changed();
        })
    }

    /// The secrets of a group that was created by REST, which no answer contains, by their place: for example
    /// `containers/web/PASSWORD/secureValue` or `volumes/certificate/tls.key`.
    #[must_use]
    pub fn group_secrets(&self, id: &str) -> BTreeMap<String, String> {
        let world = self.world();
        world.groups.get(&id.to_ascii_lowercase()).map(|group| group.secrets.clone()).unwrap_or_default()
    }

    /// The address that a group really holds now.
    #[must_use]
    pub fn group_address(&self, id: &str) -> Option<Ipv4Addr> {
        self.read(|view| view.group(id).and_then(|group| group.address))
    }

    fn with_group<T>(&self, id: &str, act: impl FnOnce(&mut World, &str) -> T) -> Result<T, Missing> {
        let mut world = self.world();
        let key = id.to_ascii_lowercase();
        if !world.groups.contains_key(&key) {
            return Err(Missing(id.to_owned()));
        }
        world.keep_group(&key);
        let result = act(&mut world, &key);
        world.catch_up();
        Ok(result)
    }
}
