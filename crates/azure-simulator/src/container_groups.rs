//! Container groups: their life cycle, their addresses, and the actions of people and of the platform.
//!
//! A group that is deployed, restarted or started is on the agenda until its provisioning ends; only then
//! does it get an address. It releases its former address as soon as the operation is accepted, so another
//! group may get that address first: the worst order that Azure allows. Until a restart ends, answers contain
//! the old `instanceView` and the old address, like the real service (recording `Restart-AzContainerGroup` of
//! Azure/azure-powershell).

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;
use std::ops::Bound;
use std::time::Duration;

use serde_json::{Value, json};

use super::container_group_spec::{GroupView, Ip};
use super::container_states::{BackOff, Containers, Secrets, Standby, Termination};
use super::events::Happening;
use super::history::{Cut, Moment, Staleness};
use super::images::Pull;
use super::messages::field;
use super::resource_ids::group_id;
use super::{AddressPool, World};

const OPERATIONS_KEPT: usize = 1000;

/// A pending action on a group.
#[derive(Debug, Clone)]
pub(super) struct Pending {
    since: Duration,
    due: Duration,
    first_state: &'static str,
    goal: Goal,
    event: Option<Happening>,
}

impl Pending {
    fn is_past_midway(&self, now: Duration) -> bool {
        let duration = self.due.saturating_sub(self.since);
        !duration.is_zero() && now >= self.since + duration / 2
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Goal {
    Run,
    Vanish,
}

/// An asynchronous operation, as `Azure-AsyncOperation` reports it.
#[derive(Debug)]
pub(super) struct Operation {
    pub(super) id: String,
    pub(super) started: Duration,
    pub(super) due: Duration,
}

/// A container group.
#[derive(Debug, Clone)]
pub(super) struct ContainerGroup {
    pub(super) subscription: String,
    pub(super) resource_group: String,
    pub(super) name: String,
    pub(super) location: String,
    pub(super) tags: BTreeMap<String, String>,
    /// The properties of the PUT, without address and subnets.
    pub(super) definition: Value,
    /// What answers hide of it.
    pub(super) secrets: Secrets,
    /// What each container has pulled since it was deployed or started, the newest last.
    pub(super) pulls: BTreeMap<String, Vec<Pull>>,
    pub(super) ports: Value,
    pub(super) ip: Ip,
    /// What its `ipAddress` has besides: `dnsNameLabel` and `fqdn`. Null for a group without.
    pub(super) dns_name: Value,
    /// The managed identities as answers show them, or null.
    pub(super) identity: Value,
    /// The availability zones, or null.
    pub(super) zones: Value,
    pub(super) subnet: String,
    /// Whether answers contain the subnet: not if the group was put without one and needs none.
    pub(super) is_in_subnet: bool,
    pub(super) provisioning: Duration,
    /// From when on reads find it.
    visible: Duration,
    /// Replaces the real provisioning state in answers, until the next operation.
    pub(super) forced_state: Option<String>,
    /// `properties.instanceView.state`, except in the second half of a back-off.
    pub(super) state: String,
    pub(super) containers: Containers,
    /// The end before the current state.
    pub(super) previous: Option<Termination>,
    pub(super) back_off: Option<BackOff>,
    /// How often the containers have ended since the start of the group.
    pub(super) ends: u32,
    pub(super) restart_count: u64,
    pub(super) started: Duration,
    /// When its containers ran for the first time since it was deployed or started.
    pub(super) first_started: Duration,
    pub(super) standby: Standby,
    /// Its address.
    pub(super) address: Option<Ipv4Addr>,
    /// Its previous address.
    former: Option<Ipv4Addr>,
    /// The address in answers.
    pub(super) displayed: Option<Ipv4Addr>,
    pub(super) pending: Option<Pending>,
}

impl ContainerGroup {
    pub(super) fn id(&self) -> String {
        group_id(&self.subscription, &self.resource_group, &self.name)
    }

    /// `properties.provisioningState` at this moment.
    pub(super) fn provisioning_state(&self, now: Duration) -> &str {
        if let Some(forced) = &self.forced_state {
            return forced;
        }
        match &self.pending {
            Some(pending) if pending.goal == Goal::Vanish => "Deleting",
            // A deployment is first accepted and then provisioned; a restart stays `Updating` to the end.
            Some(pending) if pending.first_state == "Pending" && pending.is_past_midway(now) => "Creating",
            Some(pending) => pending.first_state,
            None if self.standby == Standby::Pooled => "PreProvisioned",
            None => "Succeeded",
        }
    }

    /// Its pending action.
    fn due(&self) -> Option<Duration> {
        let back_off = self.back_off.map(|back_off| back_off.due);
        self.pending.as_ref().map(|pending| pending.due).or(back_off)
    }

    /// Whether an operation on it goes on, which no other may interrupt.
    pub(super) fn is_in_transition(&self) -> bool {
        self.pending.is_some()
    }

    pub(super) fn is_deleting(&self) -> bool {
        self.pending.as_ref().is_some_and(|pending| pending.goal == Goal::Vanish)
    }

    pub(super) fn view(&self, now: Duration) -> GroupView {
        GroupView {
            id: self.id(),
            subscription: self.subscription.clone(),
            resource_group: self.resource_group.clone(),
            name: self.name.clone(),
            tags: self.tags.clone(),
            provisioning_state: self.provisioning_state(now).to_owned(),
            state: self.state(now).to_owned(),
            address: self.address,
            ip: self.ip,
        }
    }
}

pub(super) fn default_subnet(subscription: &str, resource_group: &str) -> String {
    format!(
        "/subscriptions/{subscription}/resourceGroups/{resource_group}\
         /providers/Microsoft.Network/virtualNetworks/vnet/subnets/default"
    )
}

/// A group as it was asked for, by a verb or by a PUT.
pub(super) struct Deployment {
    pub(super) subscription: String,
    pub(super) resource_group: String,
    pub(super) name: String,
    pub(super) location: String,
    pub(super) tags: BTreeMap<String, String>,
    pub(super) definition: Value,
    pub(super) secrets: Secrets,
    pub(super) ports: Value,
    pub(super) ip: Ip,
    pub(super) dns_name: Value,
    /// As it was asked for.
    pub(super) identity: Value,
    pub(super) zones: Value,
    pub(super) subnet: Option<String>,
    pub(super) provisioning: Duration,
    pub(super) visible_after: Option<Duration>,
    pub(super) standby: bool,
}

/// The life cycle of groups. An `id` here is the lower-case resource id of an existing group.
impl World {
    /// Creates or replaces a group, and says whether it is new.
    pub(super) fn deploy(&mut self, deployment: Deployment) -> bool {
        let spelled = self.resource_group(&deployment.subscription, &deployment.resource_group);
        let resource_group = spelled.unwrap_or(&deployment.resource_group).to_owned();
        let key = group_id(&deployment.subscription, &resource_group, &deployment.name).to_ascii_lowercase();
        let is_in_subnet =
            deployment.ip != Ip::Public && (deployment.subnet.is_some() || deployment.ip != Ip::NoIpAddress);
        let subnet =
            deployment.subnet.unwrap_or_else(|| default_subnet(&deployment.subscription, &resource_group));
        self.ensure_pool(&subnet);
        self.keep_group(&key);
        let existing = self.groups.contains_key(&key);
        if existing {
            self.release_address(&key);
        }
        let former = self.groups.get(&key).map_or(Value::Null, |group| group.identity.clone());
        let identity = self.assign_identities(&deployment.identity, &former);
        let now = self.now();
        let visible = now + deployment.visible_after.unwrap_or(self.settings.visible_after);
        let group = self.groups.entry(key.clone()).or_insert_with(|| ContainerGroup {
            subscription: deployment.subscription,
            resource_group,
            name: deployment.name,
            location: deployment.location,
            tags: BTreeMap::new(),
            definition: Value::Null,
            secrets: Secrets::new(),
            pulls: BTreeMap::new(),
            ports: Value::Null,
            ip: deployment.ip,
            dns_name: Value::Null,
            identity: Value::Null,
            zones: Value::Null,
            subnet: String::new(),
            is_in_subnet: false,
            provisioning: Duration::ZERO,
            visible,
            forced_state: None,
            state: "Pending".to_owned(),
            containers: Containers::Waiting,
            previous: None,
            back_off: None,
            ends: 0,
            restart_count: 0,
            started: now,
            first_started: now,
            standby: Standby::Never,
            address: None,
            former: None,
            displayed: None,
            pending: None,
        });
        group.tags = deployment.tags;
        group.definition = deployment.definition;
        group.secrets = deployment.secrets;
        group.ports = deployment.ports;
        group.ip = deployment.ip;
        group.dns_name = deployment.dns_name;
        group.identity = identity;
        group.zones = deployment.zones;
        group.subnet = subnet;
        group.is_in_subnet = is_in_subnet;
        group.provisioning = deployment.provisioning;
        group.standby = if deployment.standby { Standby::Pooled } else { Standby::Never };
        self.begin(&key, "Pending", if existing { Happening::Updated } else { Happening::Created });
        !existing
    }

    /// Keeps a version of a group for stale reads, before a change.
    pub(super) fn keep_group(&mut self, id: &str) {
        let change = self.change();
        self.former_groups.keep(&id.to_owned(), change, || self.groups.get(id).cloned());
    }

    /// A group in a replica, and the time in the answer.
    pub(super) fn read_group(
        &self,
        key: &String,
        staleness: Option<Staleness>,
    ) -> Option<(&ContainerGroup, Duration)> {
        let cut = self.former_groups.cut(staleness, self.now(), |it| it == key);
        self.seen(key, cut)
    }

    fn seen(&self, key: &String, cut: Cut) -> Option<(&ContainerGroup, Duration)> {
        let time = cut.time(self.now());
        let group = self.former_groups.version(key, cut, self.groups.get(key))?;
        (group.visible <= time).then_some((group, time))
    }

    /// The groups below a scope (in lower case) and after a key, in a replica.
    pub(super) fn read_groups<'a>(
        &'a self,
        scope: &'a str,
        after: &'a str,
        staleness: Option<Staleness>,
    ) -> Box<dyn Iterator<Item = (&'a String, &'a ContainerGroup, Duration)> + 'a> {
        let cut = self.former_groups.cut(staleness, self.now(), |key| key.starts_with(scope));
        let see = move |key| self.seen(key, cut).map(|(group, time)| (key, group, time));
        let present = self.groups.range::<str, _>((Bound::Excluded(after), Bound::Unbounded));
        let present = present.map(|(key, _)| key).filter(move |key| key.starts_with(scope));
        if cut == Cut::Present {
            return Box::new(present.filter_map(see));
        }
        let former = self.former_groups.keys();
        let former = former.filter(move |key| key.as_str() > after && key.starts_with(scope));
        let keys: BTreeSet<_> = present.chain(former).collect();
        Box::new(keys.into_iter().filter_map(see))
    }

    fn ensure_pool(&mut self, subnet: &str) {
        let count = self.pools.len();
        let cidr = format!("10.{}.{}.0/24", 1 + count / 256 % 255, count % 256);
        let key = subnet.to_ascii_lowercase();
        if !self.pools.contains_key(&key)
            && let Some(pool) = AddressPool::parse(&cidr)
        {
            self.pools.insert(key, pool);
        }
    }

    /// Sets the range of a subnet. Groups keep their addresses.
    pub(super) fn set_pool(&mut self, subnet: &str, mut pool: AddressPool) {
        let held = self.groups.values().filter(|group| group.subnet.eq_ignore_ascii_case(subnet));
        held.filter_map(|group| group.address).for_each(|address| pool.take(address));
        self.pools.insert(subnet.to_ascii_lowercase(), pool);
    }

    /// Schedules a deployment, a restart or a start of a group.
    pub(super) fn begin(&mut self, id: &str, first_state: &'static str, happening: Happening) {
        self.keep_group(id);
        self.release_address(id);
        self.clear_agenda(id);
        let now = self.now();
        let event = if self.settings.events_when_provisioned { Some(happening) } else { None };
        let Some(group) = self.groups.get_mut(id) else { return };
        group.forced_state = None;
        group.ends = 0;
        if first_state == "Pending" {
            "Pending".clone_into(&mut group.state);
            group.containers = Containers::Waiting;
            group.previous = None;
            group.pulls.clear();
            group.restart_count = 0;
            group.displayed = None;
        }
        let due = now + group.provisioning;
        group.pending = Some(Pending { since: now, due, first_state, goal: Goal::Run, event });
        self.agenda.insert((due, id.to_owned()));
        if event.is_none() {
            self.tell(id, happening);
        }
        self.changed();
    }

    /// Completes the pending action of a group at once.
    pub(super) fn complete(&mut self, id: &str) {
        if let Some(due) = self.groups.get(id).and_then(ContainerGroup::due) {
            self.agenda.remove(&(due, id.to_owned()));
            self.finish(id, due);
        }
    }

    /// Cancels the pending action of a group.
    pub(super) fn clear_agenda(&mut self, id: &str) {
        let Some(group) = self.groups.get_mut(id) else { return };
        if let Some(due) = group.due() {
            self.agenda.remove(&(due, id.to_owned()));
        }
        group.pending = None;
        group.back_off = None;
    }

    /// Completes the pending action of a group at this time.
    pub(super) fn finish(&mut self, id: &str, due: Duration) {
        if self.groups.get(id).is_none_or(|group| group.due() != Some(due)) {
            return;
        }
        let change = Moment { elapsed: due.min(self.now()), ..self.change() };
        self.former_groups.keep(&id.to_owned(), change, || self.groups.get(id).cloned());
        let Some(group) = self.groups.get_mut(id) else { return };
        let Some(pending) = group.pending.take() else {
            group.run_containers(due);
            self.changed();
            return;
        };
        match pending.goal {
            Goal::Vanish => {
                if let Some(happening) = pending.event {
                    self.tell(id, happening);
                }
                self.groups.remove(id);
            }
            Goal::Run => {
                group.started = due;
                if pending.first_state == "Pending" {
                    group.first_started = due;
                }
                if pending.first_state == "Updating" {
                    group.restart_count += 1;
                }
                if !self.take_address(id) {
                    // The subnet is full: the group waits for a free address.
                    let due = due.max(self.now()) + Duration::from_secs(1);
                    self.postpone(id, Pending { due, ..pending });
                    return;
                }
                self.pull_images(id, due);
                if let Some(group) = self.groups.get_mut(id) {
                    if let Containers::Terminated(end) = group.containers {
                        group.previous = Some(end);
                    }
                    group.forced_state = None;
                    "Running".clone_into(&mut group.state);
                    group.containers = Containers::Running;
                }
                if let Some(happening) = pending.event {
                    self.tell(id, happening);
                }
            }
        }
        self.changed();
    }

    fn postpone(&mut self, id: &str, pending: Pending) {
        self.agenda.insert((pending.due, id.to_owned()));
        if let Some(group) = self.groups.get_mut(id) {
            group.pending = Some(pending);
        }
    }

    pub(super) fn delete_group(&mut self, id: &str) {
        self.keep_group(id);
        self.release_address(id);
        self.clear_agenda(id);
        let now = self.now();
        let due = now + self.settings.deleting;
        let Some(group) = self.groups.get_mut(id) else { return };
        group.forced_state = None;
        group.pending = Some(Pending {
            since: now,
            due,
            first_state: "Deleting",
            goal: Goal::Vanish,
            event: Some(Happening::Deleted),
        });
        if due > now {
            self.agenda.insert((due, id.to_owned()));
            self.changed();
        } else {
            self.finish(id, due);
        }
    }

    pub(super) fn move_group(&mut self, id: &str) -> Option<Ipv4Addr> {
        self.release_address(id);
        self.take_address(id);
        self.changed();
        self.groups.get(id).and_then(|group| group.address)
    }

    pub(super) fn tag(&mut self, id: &str, tags: BTreeMap<String, String>) {
        self.keep_group(id);
        if let Some(group) = self.groups.get_mut(id) {
            group.tags = tags;
        }
        self.tell(id, Happening::Tagged);
        self.changed();
    }

    /// Releases a group's address. Answers still contain it.
    pub(super) fn release_address(&mut self, id: &str) {
        let Some(group) = self.groups.get_mut(id) else { return };
        let Some(address) = group.address.take() else { return };
        group.former = Some(address);
        let subnet = pool_of(group);
        // An address that was set on several groups stays taken until all of them release it.
        let shared =
            self.groups.values().any(|other| other.address == Some(address) && pool_of(other) == subnet);
        if let Some(pool) = self.pools.get_mut(&subnet).filter(|_| !shared) {
            pool.release(address);
        }
    }

    /// Assigns an address of its kind to a group. Returns `false` if the subnet is full.
    pub(super) fn take_address(&mut self, id: &str) -> bool {
        let Some(group) = self.groups.get_mut(id) else { return true };
        let address = match group.ip {
            Ip::Fixed(address) => Some(address),
            Ip::Pool | Ip::Public => {
                let subnet = pool_of(group);
                let former = group.former;
                let pool = match self.pools.entry(subnet) {
                    std::collections::btree_map::Entry::Occupied(entry) => entry.into_mut(),
                    std::collections::btree_map::Entry::Vacant(entry) => {
                        // Only the public pool has no subnet; its range is one for documentation (RFC 5737).
                        let Some(pool) = AddressPool::parse("203.0.113.0/24") else { return false };
                        entry.insert(pool)
                    }
                };
                let Some(address) = pool.take_lowest(former) else { return false };
                Some(address)
            }
            Ip::NoIpAddress | Ip::NullIp | Ip::ZeroIp | Ip::EmptyIp => None,
        };
        match address {
            Some(address) => self.hold_address(id, address),
            None => {
                if let Some(group) = self.groups.get_mut(id) {
                    group.displayed = None;
                }
            }
        }
        true
    }

    pub(super) fn hold_address(&mut self, id: &str, address: Ipv4Addr) {
        let Some(group) = self.groups.get_mut(id) else { return };
        group.address = Some(address);
        group.displayed = Some(address);
        let subnet = pool_of(group);
        if let Some(pool) = self.pools.get_mut(&subnet) {
            pool.take(address);
        }
    }

    /// Records an asynchronous operation on a group, and returns its id.
    pub(super) fn operation(&mut self, id: &str) -> String {
        let started = self.now();
        let pending = self.groups.get(id).and_then(|group| group.pending.as_ref());
        let due = pending.map_or(started, |pending| pending.due);
        let operation = Operation { id: self.request_ids.guid(), started, due };
        let operation_id = operation.id.clone();
        self.operations.push_back(operation);
        if self.operations.len() > OPERATIONS_KEPT {
            self.operations.pop_front();
        }
        operation_id
    }

    pub(super) fn tell(&mut self, id: &str, happening: Happening) {
        let Some(group) = self.groups.get(id) else { return };
        let (subscription, resource_group, name) =
            (group.subscription.clone(), group.resource_group.clone(), group.name.clone());
        let event = self.event(&subscription, &resource_group, &name, happening);
        let told = json!({"group": format!("{resource_group}/{name}"), "type": field(&event, "eventType"), "id": field(&event, "id")});
        self.note("event", told);
        self.events.push(event);
    }
}

/// The key of a group's address pool.
fn pool_of(group: &ContainerGroup) -> String {
    match group.ip {
        Ip::Public => "public".to_owned(),
        Ip::Pool | Ip::Fixed(_) | Ip::NoIpAddress | Ip::NullIp | Ip::ZeroIp | Ip::EmptyIp => {
            group.subnet.to_ascii_lowercase()
        }
    }
}
