//! Azure in memory: container groups and their images, Private DNS, storage queues, secrets in key vaults, managed
//! identity and Event Grid events, in one process.
//!
//! It speaks the real REST API, so that the handler, Microsoft's own clients and `func start` can use it over
//! HTTP ([`serve`]) or HTTPS ([`serve_tls`]), and tests and the replay in process ([`Azure::router`]). What the real service was seen to
//! answer in recordings, it answers: flat error bodies of Private DNS (`{"code","message"}`) beside wrapped
//! ones of Resource Manager (`{"error":{"code","message"}}`), a container group whose first answer has no
//! address, a record set that stays when it is emptied.
//!
//! Rules:
//! - It shares no type with the rest of the crate, because then a misspelled field would pass every test. For
//!   the same reason it refuses a record set with an unknown property, although the service may accept it.
//! - It is deterministic: no wall clock, no random numbers, ordered maps. Time is `tokio`'s, so a test can
//!   pause it.
//! - All state is behind one mutex, which is never held across an `await`.
//! - A request that has arrived is processed even if its client disconnects, as in a real service.
//!
//! It deliberately does not check permissions (but those that were taken away), deliver events, or
//! model virtual networks beyond the addresses of a subnet and the zones that are linked. A request for what it does not
//! simulate is answered 501.
//!
//! # Four interfaces
//!
//! Methods of [`Azure`] perform the actions of people, the platform and other programs:
//! [`Azure::create_group`], [`Azure::move_group`], [`Azure::put_record_set`]. Those that raise events in
//! Azure queue Event Grid events ([`Azure::take_events`]). REST covers the real API. DNS ([`DnsListeners`]) answers as the resolver of a virtual
//! network. Everything else is under `/simulator`, and `/` is a page that shows it:
//!
#![doc = include_str!("control_requests.txt")]

mod addresses;
mod api_versions;
mod authorization;
mod calls;
mod clock;
mod container_group_body;
mod container_group_rest;
mod container_group_spec;
mod container_group_updates;
mod container_group_verbs;
mod container_groups;
mod container_lives;
mod container_states;
mod control;
mod control_index;
mod dns_server;
mod event_grid;
mod events;
mod faults;
mod history;
mod identity;
mod image_pulls;
mod image_pushes;
mod images;
mod images_control;
mod journal;
mod key_vault;
mod key_vault_control;
mod key_vault_rest;
mod locks;
mod messages;
mod names;
mod page;
mod private_dns;
mod private_dns_rest;
mod private_zones_rest;
mod queue_access;
mod queue_rest;
mod queue_xml;
mod queues;
mod record_set_body;
mod resolver;
mod resource_groups_rest;
mod resource_ids;
mod rest;
mod serving;
mod sign_in;
mod tags_rest;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod throttles;
mod tls;
mod virtual_networks;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::Method;
use serde_json::Value;
use tokio::time::Instant;

pub use authorization::Permission;
pub use calls::Call;
pub use container_group_spec::{GroupSpec, GroupView, Ip, RestartPolicy};
pub use control::Seed;
pub use dns_server::DnsListeners;
pub use events::cloud_event;
pub use faults::{CertificateRefused, ConnectionDropped, Effect, Fault, FaultAnswer, Gate, When};
pub use history::{Moment, Staleness};
pub use identity::{AssignedIdentities, ExpiryForm};
pub use image_pulls::RunningImage;
pub use image_pushes::{ImagePush, PushError, PushSpec, github_signature};
pub use images::PullingEvents;
pub use key_vault::{SecretView, VaultNetwork, VaultSettings, vault_scope};
pub use locks::LockLevel;
pub use private_dns::{RecordSetSpec, RecordSetView};
pub use queue_access::queue_scope;
pub use queues::{MessageView, StorageSettings};
pub use resolver::{ResolverSettings, Transport};
pub use serving::{serve, serve_tls};
pub use throttles::Throttles;
pub use tls::{CertificateError, Certificates};

use addresses::AddressPool;
use authorization::Assignment;
use calls::CallLog;
use clock::Identifiers;
use container_groups::{ContainerGroup, Operation};
use event_grid::EventGrid;
use history::History;
use identity::Identity;
use images::Images;
use journal::Journal;
use key_vault::Vault;
use locks::Lock;
use names::Names;
use private_dns::Zone;
use private_zones_rest::ZoneOperation;
use queues::{Queue, QueueKey};
use resolver::Resolver;
use resource_groups_rest::ResourceGroup;

/// The resource does not exist in the simulated Azure.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("{0} does not exist in the simulated Azure")]
pub struct Missing(String);

/// The settings of the simulated Azure.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The start of simulated time, in Unix seconds. For real clients, set it to the present; otherwise they
    /// treat every token as expired. Default: 2026-01-01T00:00:00Z.
    pub epoch_seconds: u64,
    /// Seed of every identifier and `ETag`.
    pub seed: u64,
    /// How long a request takes, one half before its effect and one half after it. Default: no time.
    pub latency: Duration,
    /// Whether requests to Resource Manager need a token of the simulator. Default: yes.
    pub require_token: bool,
    /// The required value of `X-IDENTITY-HEADER`.
    pub identity_header: String,
    /// The lifetime of a token. Default: 24 hours.
    pub token_lifetime: Duration,
    /// The managed identities of the app. Default: any.
    pub identities: AssignedIdentities,
    /// How long provisioning takes for a container group that is created by REST. Default: no time.
    pub provisioning: Duration,
    /// How long a container group is `Deleting`. Default: no time, and the answer is 200 instead of 202.
    pub deleting: Duration,
    /// How long an operation on a zone or on a link goes on. Default: no time.
    pub zone_operations: Duration,
    /// Whether a stopped group's answer still tells of the address that it has released. Default: no.
    pub stopped_keeps_address: bool,
    /// Whether a deployment, restart or start raises its event when its provisioning ends, instead of when it
    /// is accepted. Default: no, which is the harder case.
    pub events_when_provisioned: bool,
    /// The limits of requests to Private DNS per zone and minute. Default: none.
    pub throttles: Option<Throttles>,
    /// How many calls the log keeps; all calls are counted. Default: all.
    pub calls_kept: usize,
    /// Container groups on one page of a list. Default: 100.
    pub group_page_size: usize,
    /// How long reads of a new container group answer as if it did not exist, as in a region with a stale
    /// replica. Default: no time.
    pub visible_after: Duration,
    /// The pulling events of containers. Default: with a digest.
    pub pulling_events: PullingEvents,
    /// The storage account with the queues. `require_token` applies to it, too.
    pub storage: StorageSettings,
    /// The key vaults, likewise.
    pub vault: VaultSettings,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            epoch_seconds: clock::DEFAULT_EPOCH_SECONDS,
            seed: 1,
            latency: Duration::ZERO,
            require_token: true,
            identity_header: "simulated-identity-header".to_owned(),
            token_lifetime: Duration::from_hours(24),
            identities: AssignedIdentities::default(),
            provisioning: Duration::ZERO,
            deleting: Duration::ZERO,
            zone_operations: Duration::ZERO,
            stopped_keeps_address: false,
            events_when_provisioned: false,
            throttles: None,
            calls_kept: usize::MAX,
            group_page_size: 100,
            visible_after: Duration::ZERO,
            pulling_events: PullingEvents::default(),
            storage: StorageSettings::default(),
            vault: VaultSettings::default(),
        }
    }
}

/// A request to Resource Manager, the Queue service, Key Vault or the identity endpoint, as an interceptor sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CallView {
    /// The number of the request, from 1.
    pub sequence: u64,
    /// The time since the creation of the simulator.
    pub elapsed: Duration,
    /// HTTP method.
    pub method: Method,
    /// The path as sent.
    pub path: String,
    /// The query as sent, without the question mark.
    pub query: String,
    /// The `If-Match` header.
    pub if_match: Option<String>,
    /// The `If-None-Match` header.
    pub if_none_match: Option<String>,
}

/// Decides for each request which fault it meets.
pub type Interceptor = Box<dyn FnMut(&CallView) -> Option<Effect> + Send>;
type Listener = Box<dyn FnMut(&View<'_>) + Send>;

/// The simulated Azure. Clones are the same Azure.
#[derive(Clone)]
pub struct Azure {
    shared: Arc<Shared>,
}

struct Shared {
    world: Mutex<World>,
    /// Separate from the world, so that an interceptor may use the methods of `Azure`.
    interceptor: Mutex<Option<Interceptor>>,
}

impl fmt::Debug for Azure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Azure").finish_non_exhaustive()
    }
}

impl Default for Azure {
    fn default() -> Self {
        Self::new(Settings::default())
    }
}

impl Azure {
    /// An empty Azure.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let world = World {
            started: Instant::now(),
            request_ids: Identifiers::new(settings.seed),
            etags: Identifiers::new(settings.seed.wrapping_add(1)),
            event_ids: Identifiers::new(settings.seed.wrapping_add(2)),
            identity: Identity::new(settings.seed.wrapping_add(3)),
            message_ids: Identifiers::new(settings.seed.wrapping_add(4)),
            secret_ids: Identifiers::new(settings.seed.wrapping_add(5)),
            push_ids: Identifiers::new(settings.seed.wrapping_add(6)),
            images: Images::default(),
            settings,
            resource_groups: BTreeMap::new(),
            revision: 0,
            groups: BTreeMap::new(),
            former_groups: History::default(),
            agenda: BTreeSet::new(),
            pools: BTreeMap::new(),
            operations: VecDeque::new(),
            zone_operations: VecDeque::new(),
            zones: BTreeMap::new(),
            permissions: BTreeMap::new(),
            locks: BTreeMap::new(),
            assignments: Vec::new(),
            event_grid: EventGrid::default(),
            events: Vec::new(),
            queues: BTreeMap::new(),
            vaults: BTreeMap::new(),
            calls: CallLog::default(),
            queue_calls: CallLog::default(),
            vault_calls: CallLog::default(),
            faults: Vec::new(),
            listeners: Vec::new(),
            journal: Journal::default(),
            names: Names::default(),
            resolver: Resolver::default(),
            beside: Value::Null,
            is_sweep_wanted: false,
            is_closing: false,
        };
        Self { shared: Arc::new(Shared { world: Mutex::new(world), interceptor: Mutex::new(None) }) }
    }

    /// Changes the settings from now on. The seed is read only at the start.
    pub fn configure(&self, configure: impl FnOnce(&mut Settings)) {
        configure(&mut self.world().settings);
    }

    /// The simulated time in Unix seconds.
    #[must_use]
    pub fn unix_seconds(&self) -> u64 {
        self.unix_time().as_secs()
    }

    /// The simulated time since the beginning of 1970.
    #[must_use]
    pub fn unix_time(&self) -> Duration {
        let world = self.world();
        Duration::from_secs(world.settings.epoch_seconds) + world.now()
    }

    /// The time since the creation of the simulator.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.world().now()
    }

    /// The current moment, for reads that answer as of it.
    #[must_use]
    pub fn moment(&self) -> Moment {
        let world = self.world();
        Moment { revision: world.revision, elapsed: world.now() }
    }

    /// Injects a fault. Several faults apply in the order of their injection.
    pub fn inject(&self, fault: Fault) {
        self.world().faults.push(fault);
    }

    /// Holds the next request with this method whose path contains this text.
    #[must_use]
    pub fn hold(&self, method: Method, path_contains: &str, when: When) -> Gate {
        let gate = Gate::new();
        self.inject(Fault::once(method, path_contains, Effect::Hold(when, gate.clone())));
        gate
    }

    /// Removes all faults.
    pub fn clear_faults(&self) {
        self.world().faults.clear();
    }

    /// Calls this function with every request before any other effect; it decides about a fault. It may use
    /// this `Azure`'s methods, except this one.
    pub fn set_interceptor(&self, interceptor: Interceptor) {
        *self.shared.interceptor.lock().unwrap_or_else(PoisonError::into_inner) = Some(interceptor);
    }

    /// Calls this function with the world after each change. It runs inside the change, so it must not use
    /// this `Azure`'s methods, only the view.
    pub fn on_change(&self, listener: impl FnMut(&View<'_>) + Send + 'static) {
        self.world().listeners.push(Box::new(listener));
    }

    /// The requests to Resource Manager in the log, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.world().calls.all()
    }

    /// The requests to the Queue service in the log, oldest first.
    #[must_use]
    pub fn queue_calls(&self) -> Vec<Call> {
        self.world().queue_calls.all()
    }

    /// The requests with this method.
    #[must_use]
    pub fn calls_of(&self, method: &Method) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.method == method).collect()
    }

    /// The number of requests by method, including those that are no longer in the log.
    #[must_use]
    pub fn call_counts(&self) -> BTreeMap<String, u64> {
        self.world().calls.counts()
    }

    /// Removes all requests from the log, and resets the counts.
    pub fn clear_calls(&self) {
        let mut world = self.world();
        let World { calls, queue_calls, vault_calls, .. } = &mut *world;
        [calls, queue_calls, vault_calls].into_iter().for_each(CallLog::clear);
    }

    /// The number of token requests at the identity endpoint, valid or not.
    #[must_use]
    pub fn token_requests(&self) -> u64 {
        self.world().identity.requests()
    }

    /// Takes the queued Event Grid events (in Event Grid schema), oldest first.
    #[must_use]
    pub fn take_events(&self) -> Vec<Value> {
        std::mem::take(&mut self.world().events)
    }

    /// The current world.
    pub fn read<T>(&self, read: impl FnOnce(&View<'_>) -> T) -> T {
        read(&View { world: &self.world() })
    }

    fn intercept(&self, call: &CallView) -> Option<Effect> {
        let mut interceptor = self.shared.interceptor.lock().unwrap_or_else(PoisonError::into_inner);
        interceptor.as_mut().and_then(|interceptor| interceptor(call))
    }

    /// The world, after all due actions.
    fn world(&self) -> MutexGuard<'_, World> {
        let mut world = self.shared.world.lock().unwrap_or_else(PoisonError::into_inner);
        world.catch_up();
        world
    }
}

/// The world at one moment.
#[derive(Debug)]
pub struct View<'a> {
    world: &'a World,
}

impl View<'_> {
    /// The time since the creation of the simulator.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.world.now()
    }

    /// The record sets of a zone (by name or resource id) by type and name; `None` if there is no such zone.
    #[must_use]
    pub fn record_sets(&self, zone: &str) -> Vec<RecordSetView> {
        self.world.zone(zone).map(Zone::views).unwrap_or_default()
    }

    /// The names of all zones.
    #[must_use]
    pub fn zones(&self) -> Vec<String> {
        self.world.zones.values().map(|zone| zone.name().to_owned()).collect()
    }

    /// All container groups, by resource id.
    #[must_use]
    pub fn groups(&self) -> Vec<GroupView> {
        self.world.groups.values().map(|group| group.view(self.world.now())).collect()
    }

    /// The container group with this resource id.
    #[must_use]
    pub fn group(&self, id: &str) -> Option<GroupView> {
        self.world.groups.get(&id.to_ascii_lowercase()).map(|group| group.view(self.world.now()))
    }
}

struct World {
    started: Instant,
    settings: Settings,
    request_ids: Identifiers,
    etags: Identifiers,
    event_ids: Identifiers,
    message_ids: Identifiers,
    secret_ids: Identifiers,
    push_ids: Identifiers,
    images: Images,
    identity: Identity,
    /// By lower-case resource id.
    resource_groups: BTreeMap<String, ResourceGroup>,
    /// How many changes there were.
    revision: u64,
    /// By lower-case resource id.
    groups: BTreeMap<String, ContainerGroup>,
    former_groups: History<String, ContainerGroup>,
    /// The time of the next action, and its group.
    agenda: BTreeSet<(Duration, String)>,
    /// By lower-case resource id of the subnet.
    pools: BTreeMap<String, AddressPool>,
    operations: VecDeque<Operation>,
    zone_operations: VecDeque<ZoneOperation>,
    /// By lower-case resource id.
    zones: BTreeMap<String, Zone>,
    /// The caller's permissions, by lower-case scope.
    permissions: BTreeMap<String, Vec<Permission>>,
    /// By lower-case scope.
    locks: BTreeMap<String, Lock>,
    /// The role assignments of other principals.
    assignments: Vec<Assignment>,
    event_grid: EventGrid,
    events: Vec<Value>,
    queues: BTreeMap<QueueKey, Queue>,
    vaults: BTreeMap<String, Vault>,
    calls: CallLog,
    queue_calls: CallLog,
    vault_calls: CallLog,
    faults: Vec<Fault>,
    listeners: Vec<Listener>,
    journal: Journal,
    names: Names,
    resolver: Resolver,
    /// What runs beside the simulator, for the page.
    beside: Value,
    is_sweep_wanted: bool,
    /// Whether streams end.
    is_closing: bool,
}

impl fmt::Debug for World {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("World").finish_non_exhaustive()
    }
}

impl World {
    fn now(&self) -> Duration {
        self.started.elapsed()
    }

    fn timestamp(&self) -> String {
        self.timestamp_at(self.now())
    }

    /// A time in the format of HTTP headers.
    fn http_date(&self, elapsed: Duration) -> String {
        clock::http_date(self.settings.epoch_seconds, elapsed)
    }

    fn timestamp_at(&self, elapsed: Duration) -> String {
        clock::timestamp(self.settings.epoch_seconds, elapsed)
    }

    /// The moment of the current change.
    fn change(&self) -> Moment {
        Moment { revision: self.revision + 1, elapsed: self.now() }
    }

    /// Ends a change, and calls the listeners.
    fn changed(&mut self) {
        self.revision += 1;
        let mut listeners = std::mem::take(&mut self.listeners);
        for listener in &mut listeners {
            listener(&View { world: self });
        }
        self.listeners = listeners;
        self.look_at_names();
    }

    /// Performs the actions that are due.
    fn catch_up(&mut self) {
        while let Some((due, id)) = self.agenda.first().cloned() {
            if due > self.now() {
                break;
            }
            self.agenda.pop_first();
            self.finish(&id, due);
        }
    }
}
