//! Azure in memory: container groups, Private DNS, storage queues, managed identity and Event Grid events, as one
//! process.
//!
//! It speaks the real REST API, so that the handler, Microsoft's own clients and `func start` can use it over
//! HTTP ([`serve`]) or HTTPS ([`serve_tls`]), and tests and the replay in process ([`Azure::router`]). What the real service was seen to
//! answer in recordings, it answers: flat error bodies of Private DNS (`{"code","message"}`) beside wrapped
//! ones of Resource Manager (`{"error":{"code","message"}}`), a container group whose first answer has no
//! address, a record set that stays when it is emptied.
//!
//! Rules:
//! - It shares no type with the rest of the crate, or a misspelled field would pass every test. For the same
//!   reason a record set with a property that the API does not have is refused, where the service may be lenient.
//! - It is deterministic: no wall clock, no random numbers, ordered maps. Time is `tokio`'s, so a test may pause it.
//! - All state is behind one mutex, which is never held across an `await`.
//! - A request that has arrived is carried out even when its client is gone, as in a real service.
//!
//! It deliberately does not check permissions (but those that were taken away), resolve names, deliver events, or
//! model virtual networks beyond the addresses of a subnet and the zones that are linked. A request for what it does not
//! simulate is answered 501.
//!
//! # Three ways to drive it
//!
//! Methods of [`Azure`] do what people, the platform and other tools do to the world: [`Azure::create_group`],
//! [`Azure::move_group`], [`Azure::put_record_set`]. Those of which Azure would tell queue Event Grid events
//! ([`Azure::take_events`]). REST does what the real API can express. What it cannot is under `/simulator`:
//!
//! | request | does |
//! |---|---|
//! | `GET /simulator/calls` | the requests to Resource Manager so far; `DELETE` forgets them |
//! | `GET /simulator/events` | takes the queued events; `?schema=cloudevents` in that form |
//! | `GET /simulator/queue-calls` | the requests to the Queue service so far |
//! | `GET /simulator/queues` | every queue and its messages; `POST` with `{"name"}` creates one |
//! | `GET /simulator/zones` | every record set, one per line, as text |
//! | `GET /simulator/groups` | every container group, its state and its address |
//! | `POST /simulator/groups/move` | `{"id"}`: the platform moves it, without an event |
//! | `POST /simulator/groups/complete` | `{"id"}`: ends its provisioning now |
//! | `POST /simulator/groups/address` | `{"id","address"}`: gives it this very address |
//! | `POST /simulator/groups/exit` | `{"id","exitCode"}`: its containers end by themselves |
//! | `POST /simulator/groups/claim` | `{"id"}`: takes it out of its standby pool |
//! | `POST /simulator/groups/hand-over` | `{"id","to"}`: moves it, and gives its address to the group `to` |
//! | `POST /simulator/groups/state` | `{"id","state","exitCode"}`: `Running`, or another with terminated containers |
//! | `POST /simulator/groups/provisioning-state` | `{"id","value"}`: any string |
//! | `POST /simulator/faults` | a fault, see below; `DELETE` removes all |
//! | `PUT /simulator/throttles` | `{"creates","updates","deletes","gets","lists"}` per zone and minute; `null` switches off |
//! | `PUT /simulator/permissions` | `{"scope","actions","notActions"}`: all that whoever asks may do there and below; with `principal`: all that somebody else may do there |
//! | `POST /simulator/record-sets` | `{"zone","type","name","properties"}`: stores them as they are, unchecked |
//! | `PUT /simulator/identity` | `{"systemAssigned","clientIds","expiresOn"}`, see [`AssignedIdentities`] |
//! | `PUT /simulator/locks` | `{"scope","level"}`: `CanNotDelete` or `ReadOnly`; `null` unlocks |
//! | `POST /simulator/event-subscriptions` | `{"id","properties"}`: changes these properties; `null` removes one |
//! | `POST /simulator/seed` | zones, groups and record sets, see [`Seed`] |
//!
//! A fault is `{"method","path","skip","times","forSeconds","when","effect",...}`: `when` is `before` or `after` the
//! request's effect, `effect` is one of these. It ends after `times` requests (1, or any number with `forSeconds`)
//! or after `forSeconds`.
//!
//! | effect | with | the request |
//! |---|---|---|
//! | `answer` | `status`, `code`, `retryAfterSeconds`, `body` | gets this answer |
//! | `drop` | | gets no answer |
//! | `certificate` | | is not sent, because the certificate cannot be verified; without TLS like `drop` |
//! | `delay` | `milliseconds` | takes longer |
//! | `truncate` | `bytes` | gets its answer cut off |
//! | `replace` | `body` | gets this body |
//! | `stale` | one of the next lines | is a read, and is answered by a replica that lags behind |
//! | | `versions` (default 1) | as before so many changes of what is read |
//! | | `behindSeconds` | as so long ago |
//! | | `asOf`: `now` | as at the time of the injection |
//! | | `absent`: `resource` or `resourceGroup` | 404, as if what is read, or its resource group, were too new |

mod addresses;
mod api_versions;
mod authorization;
mod calls;
mod clock;
mod container_group_body;
mod container_group_rest;
mod container_group_spec;
mod container_group_verbs;
mod container_groups;
mod container_lives;
mod container_states;
mod control;
mod event_grid;
mod events;
mod faults;
mod history;
mod identity;
mod locks;
mod messages;
mod private_dns;
mod private_dns_rest;
mod private_zones_rest;
mod queue_access;
mod queue_rest;
mod queue_xml;
mod queues;
mod record_set_body;
mod resource_groups_rest;
mod resource_ids;
mod rest;
mod sign_in;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod throttles;
mod tls;
mod virtual_networks;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::serve::ListenerExt;
use http::Method;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

pub use authorization::Permission;
pub use calls::Call;
pub use container_group_spec::{GroupSpec, GroupView, Ip, RestartPolicy};
pub use control::Seed;
pub use events::cloud_event;
pub use faults::{CertificateRefused, ConnectionDropped, Effect, Fault, FaultAnswer, Gate, When};
pub use history::{Moment, Staleness};
pub use identity::{AssignedIdentities, ExpiryForm};
pub use locks::LockLevel;
pub use private_dns::{RecordSetSpec, RecordSetView};
pub use queue_access::queue_scope;
pub use queues::{MessageView, StorageSettings};
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
use locks::Lock;
use private_dns::Zone;
use private_zones_rest::ZoneOperation;
use queues::{Queue, QueueKey};
use resource_groups_rest::ResourceGroup;
use tls::TlsListener;

/// What was asked for does not exist in the simulated world.
#[derive(Debug, thiserror::Error, Clone, PartialEq, Eq)]
#[error("{0} does not exist in the simulated Azure")]
pub struct Missing(String);

/// How the simulated Azure behaves.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The moment at which simulated time starts, in Unix seconds. Serve real clients with the present, or they
    /// take every token for expired. Default: 2026-01-01T00:00:00Z.
    pub epoch_seconds: u64,
    /// Seed of every identifier and `ETag`.
    pub seed: u64,
    /// How long a request takes, one half before its effect and one half after it. Default: no time.
    pub latency: Duration,
    /// Whether requests to Resource Manager need a token that was issued here. Default: yes.
    pub require_token: bool,
    /// What `X-IDENTITY-HEADER` has to be.
    pub identity_header: String,
    /// How long a token is good for. Default: 24 hours.
    pub token_lifetime: Duration,
    /// The managed identities of the app that asks for tokens. Default: any.
    pub identities: AssignedIdentities,
    /// How long a container group that comes by REST takes to be provisioned. Default: no time.
    pub provisioning: Duration,
    /// How long a container group is `Deleting`. Default: no time, and the answer is 200 instead of 202.
    pub deleting: Duration,
    /// How long an operation on a zone or on a link goes on. Default: no time.
    pub zone_operations: Duration,
    /// Whether a stopped group's answer still tells of the address that it has released. Default: no.
    pub stopped_keeps_address: bool,
    /// Whether the events of a deployment, restart or start come when its provisioning has ended, and not when
    /// it was accepted. Default: no, the harder case.
    pub events_when_provisioned: bool,
    /// Requests to Private DNS per zone and minute. Default: as many as come.
    pub throttles: Option<Throttles>,
    /// How many calls the log keeps; counts are kept of all. Default: all.
    pub calls_kept: usize,
    /// Container groups on one page of a list. Default: 100.
    pub group_page_size: usize,
    /// How long reads of a container group that is new are answered as if it did not exist, as those of a region
    /// that has not learnt of it yet. Default: no time.
    pub visible_after: Duration,
    /// The storage account with the queues. `require_token` counts for it, too.
    pub storage: StorageSettings,
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
            storage: StorageSettings::default(),
        }
    }
}

/// A request to Resource Manager, the Queue service or the identity endpoint, as an interceptor sees it.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct CallView {
    /// Counts the requests, from 1.
    pub sequence: u64,
    /// Since the simulator was made.
    pub elapsed: Duration,
    /// HTTP method.
    pub method: Method,
    /// The path as it was sent.
    pub path: String,
    /// The query as it was sent, without the question mark.
    pub query: String,
    /// The `If-Match` header.
    pub if_match: Option<String>,
    /// The `If-None-Match` header.
    pub if_none_match: Option<String>,
}

/// Decides, for each request, what is to go wrong with it.
pub type Interceptor = Box<dyn FnMut(&CallView) -> Option<Effect> + Send>;
type Listener = Box<dyn FnMut(&View<'_>) + Send>;

/// The simulated Azure. Clones are the same Azure.
#[derive(Clone)]
pub struct Azure {
    shared: Arc<Shared>,
}

struct Shared {
    world: Mutex<World>,
    /// Apart from the world, so that an interceptor may use the methods of `Azure`.
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
    /// An Azure with nothing in it.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let world = World {
            started: Instant::now(),
            request_ids: Identifiers::new(settings.seed),
            etags: Identifiers::new(settings.seed.wrapping_add(1)),
            event_ids: Identifiers::new(settings.seed.wrapping_add(2)),
            identity: Identity::new(settings.seed.wrapping_add(3)),
            message_ids: Identifiers::new(settings.seed.wrapping_add(4)),
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
            calls: CallLog::default(),
            queue_calls: CallLog::default(),
            faults: Vec::new(),
            listeners: Vec::new(),
        };
        Self { shared: Arc::new(Shared { world: Mutex::new(world), interceptor: Mutex::new(None) }) }
    }

    /// Changes how it behaves from now on. The seed is read once, at the start.
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

    /// How much time has passed since the simulator was made.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.world().now()
    }

    /// This moment, for reads that are answered as of it.
    #[must_use]
    pub fn moment(&self) -> Moment {
        let world = self.world();
        Moment { revision: world.revision, elapsed: world.now() }
    }

    /// Lets something go wrong. Several faults strike in the order in which they were injected.
    pub fn inject(&self, fault: Fault) {
        self.world().faults.push(fault);
    }

    /// Holds back the next request of this method whose path contains this text.
    #[must_use]
    pub fn hold(&self, method: Method, path_contains: &str, when: When) -> Gate {
        let gate = Gate::new();
        self.inject(Fault::once(method, path_contains, Effect::Hold(when, gate.clone())));
        gate
    }

    /// Forgets all faults that were injected.
    pub fn clear_faults(&self) {
        self.world().faults.clear();
    }

    /// Shows every request to this function before anything else happens to it, and lets it decide what does.
    /// It may use this `Azure`'s methods, except this one.
    pub fn set_interceptor(&self, interceptor: Interceptor) {
        *self.shared.interceptor.lock().unwrap_or_else(PoisonError::into_inner) = Some(interceptor);
    }

    /// Shows the world to this function after each change of it. The function runs inside the change: it must not
    /// use this `Azure`'s methods, only the view.
    pub fn on_change(&self, listener: impl FnMut(&View<'_>) + Send + 'static) {
        self.world().listeners.push(Box::new(listener));
    }

    /// The requests to Resource Manager, oldest first, as far as they are kept.
    #[must_use]
    pub fn calls(&self) -> Vec<Call> {
        self.world().calls.all()
    }

    /// The requests to the Queue service, oldest first, as far as they are kept.
    #[must_use]
    pub fn queue_calls(&self) -> Vec<Call> {
        self.world().queue_calls.all()
    }

    /// The requests of this method.
    #[must_use]
    pub fn calls_of(&self, method: &Method) -> Vec<Call> {
        self.calls().into_iter().filter(|call| call.method == method).collect()
    }

    /// How many requests of each method came, also of those that are not kept.
    #[must_use]
    pub fn call_counts(&self) -> BTreeMap<String, u64> {
        self.world().calls.counts()
    }

    /// Forgets the requests so far, and their counts.
    pub fn clear_calls(&self) {
        let mut world = self.world();
        world.calls.clear();
        world.queue_calls.clear();
    }

    /// How many times a token was asked for at the identity endpoint, wrongly or rightly.
    #[must_use]
    pub fn token_requests(&self) -> u64 {
        self.world().identity.requests()
    }

    /// Takes the Event Grid events (in Event Grid schema) that were queued, oldest first.
    #[must_use]
    pub fn take_events(&self) -> Vec<Value> {
        std::mem::take(&mut self.world().events)
    }

    /// Shows the world as it is now.
    pub fn read<T>(&self, read: impl FnOnce(&View<'_>) -> T) -> T {
        read(&View { world: &self.world() })
    }

    fn intercept(&self, call: &CallView) -> Option<Effect> {
        let mut interceptor = self.shared.interceptor.lock().unwrap_or_else(PoisonError::into_inner);
        interceptor.as_mut().and_then(|interceptor| interceptor(call))
    }

    /// The world, with everything done that is due by now.
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
    /// Since the simulator was made.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        self.world.now()
    }

    /// The record sets of a zone (its name or its resource id) by type and name; none, when there is no such zone.
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
    identity: Identity,
    /// By lower-case resource id.
    resource_groups: BTreeMap<String, ResourceGroup>,
    /// How many changes there were.
    revision: u64,
    /// By lower-case resource id.
    groups: BTreeMap<String, ContainerGroup>,
    former_groups: History<String, ContainerGroup>,
    /// When something happens to which group.
    agenda: BTreeSet<(Duration, String)>,
    /// By lower-case resource id of the subnet.
    pools: BTreeMap<String, AddressPool>,
    operations: VecDeque<Operation>,
    zone_operations: VecDeque<ZoneOperation>,
    /// By lower-case resource id.
    zones: BTreeMap<String, Zone>,
    /// What whoever asks may do, by lower-case scope.
    permissions: BTreeMap<String, Vec<Permission>>,
    /// By lower-case scope.
    locks: BTreeMap<String, Lock>,
    /// What others may do.
    assignments: Vec<Assignment>,
    event_grid: EventGrid,
    events: Vec<Value>,
    queues: BTreeMap<QueueKey, Queue>,
    calls: CallLog,
    queue_calls: CallLog,
    faults: Vec<Fault>,
    listeners: Vec<Listener>,
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

    /// A time as HTTP headers write it.
    fn http_date(&self, elapsed: Duration) -> String {
        clock::http_date(self.settings.epoch_seconds, elapsed)
    }

    fn timestamp_at(&self, elapsed: Duration) -> String {
        clock::timestamp(self.settings.epoch_seconds, elapsed)
    }

    /// The moment that the change makes which is under way.
    fn change(&self) -> Moment {
        Moment { revision: self.revision + 1, elapsed: self.now() }
    }

    /// Ends a change, and shows the world to those who listen for changes.
    fn changed(&mut self) {
        self.revision += 1;
        let mut listeners = std::mem::take(&mut self.listeners);
        for listener in &mut listeners {
            listener(&View { world: self });
        }
        self.listeners = listeners;
    }

    /// Does what the agenda has for the time that has come.
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

/// Serves an Azure over HTTP until the shutdown completes.
pub async fn serve(
    azure: Azure,
    listener: TcpListener,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let listener = listener.tap_io(|stream| send_at_once(stream));
    axum::serve(listener, azure.router()).with_graceful_shutdown(shutdown).await
}

/// Serves an Azure over HTTPS, with a certificate of [`Certificates`] or any other, until the shutdown completes. Links
/// in answers are `https`, too.
pub async fn serve_tls(
    azure: Azure,
    listener: TcpListener,
    config: Arc<rustls::ServerConfig>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> std::io::Result<()> {
    let listener = TlsListener::new(listener, config);
    axum::serve(listener, azure.router_over("https")).with_graceful_shutdown(shutdown).await
}

/// Answers are small: waiting for more to send would only cost time.
fn send_at_once(stream: &TcpStream) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY cannot be set");
    }
}
