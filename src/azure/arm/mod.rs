//! Client of Azure's REST API: container groups and the record sets of Private DNS zones.
//!
//! Only this module, [`crate::azure::tokens`] and [`crate::azure::storage_queue`] name the Azure SDK, in two generations. The generated
//! clients of Resource Manager, frozen at 0.21, make every call and contain its URL and its model;
//! `azure_identity` 1.x finds the credential. `transport` adds what the generated clients lack: timeouts,
//! retries that obey a deadline, a connection pool, limits, and tokens that appear in no log. A later move to
//! official clients changes only this module.
//!
//! Rules:
//! - An object is `None` only if Azure's answer proves that it does not exist.
//! - Each failure has a [`Kind`], which defines how to handle it. A write that may have happened is never reported as
//!   failed.
//! - Every write is conditional.
//! - A list is complete or an error, except that record sets that cannot be represented are left out with a
//!   warning.
//!
//! A [`Reader`] reads Azure, or a [`Snapshot`] of lists, so that a sweep uses the same code as the pass of
//! one event.
//!
//! Deliberately absent: decisions about what to read or write, and any state between invocations other than
//! connections, tokens and cooldowns after a throttle.

mod activity;
mod error;
mod groups;
mod image_updates;
mod inspection;
mod pace;
mod prune;
mod records;
mod shared_list;
mod snapshot;
mod tags;
mod transport;
mod unmatched;
mod writer;

#[cfg(test)]
mod tests;

use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use azure_core::{ClientOptions, RetryOptions, TransportOptions};
use azure_mgmt_containerinstance::package_preview_2024_05::{self as container_instances, container_groups};
use azure_mgmt_privatedns::package_2024_06::{self as private_dns, models, record_sets};
use futures::TryStreamExt;
use tokio::time::Instant;
use url::Url;

pub use self::{
    activity::{Activity, Progress},
    error::{ArmError, Cause, ErrorResponse, Kind},
    image_updates::ImageUpdateClient,
    inspection::Inspector,
    shared_list::{SharedList, WantedNames},
    snapshot::Snapshot,
    tags::Tagger,
};
use self::{
    error::{Operation, Subject},
    groups::container_group,
    pace::Cooldowns,
    transport::{ArmPlaceholderCredential, Endpoint, Transport},
};
use crate::{
    azure::{http_transport::HttpTransport, key_vault::VaultError, slot::Slot, tokens::Tokens},
    config::Settings,
    decide::report::RequestRecord,
    domain::{
        container_group::ContainerGroup,
        dns::{ARecordSet, PtrRecordSet, RecordType, RelativeName, Zone},
        resource_id::{
            ContainerGroupId, RESOURCE_GROUP_RULE, ResourceIdError, SUBSCRIPTION_RULE, Scope,
            is_resource_group, is_subscription,
        },
        secret::{Secret, SecretId},
    },
};

/// The stable version that requests ask for. The generated crate only supports preview versions, so the
/// answer is pruned to the fields that both have in common.
const CONTAINER_INSTANCES_VERSION: &str = "api-version=2023-05-01";
/// The version of Private DNS.
const PRIVATE_DNS_VERSION: &str = "api-version=2024-06-01";

/// The requested page size in record sets; the default of the service is 100.
const PAGE_SIZE: i32 = 1000;
/// The largest number of pages of a list: four times a full zone (25,000 record sets) in pages of the default
/// size.
const PAGE_LIMIT: usize = 1000;

/// The Resource Manager client of a process: connections, tokens and endpoint. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Arm {
    endpoint: Arc<Endpoint>,
}

/// The location of Resource Manager.
#[derive(Clone, Debug)]
pub struct ArmSettings {
    /// The endpoint, such as `https://management.azure.com/`; only scheme, host and port are used.
    pub endpoint: Url,
    /// The scope of its tokens, such as `https://management.azure.com/.default`.
    pub scope: String,
    /// The seed of the jitter, so that different instances do not retry in step.
    pub jitter_seed: u64,
}

impl ArmSettings {
    /// The location that the settings name.
    #[must_use]
    pub fn of(settings: &Settings, jitter_seed: u64) -> Self {
        Self { endpoint: settings.arm_endpoint.clone(), scope: settings.arm_scope.clone(), jitter_seed }
    }
}

impl Arm {
    /// Creates the client. It does not connect yet.
    #[must_use]
    pub fn new(settings: ArmSettings, http_transport: HttpTransport, tokens: Tokens) -> Self {
        let ArmSettings { endpoint: url, scope, jitter_seed } = settings;
        Self {
            endpoint: Arc::new(Endpoint {
                url,
                scope,
                http_transport,
                tokens,
                pace: Cooldowns::default(),
                jitter: AtomicU64::new(jitter_seed),
                activity: Activity::default(),
            }),
        }
    }

    /// Sets up what the first request needs, including its token, so that the request does not wait for it.
    /// The first request reports a failure of this set-up.
    pub async fn warm_up(&self) {
        if let Err(error) = self.endpoint.token().await {
            tracing::debug!(%error, "no access token yet");
        }
    }

    /// Until when Azure refuses requests of some kind for single record sets in a zone.
    #[must_use]
    pub fn throttled_until(&self, zone: &Zone) -> Option<Instant> {
        self.endpoint.pace.throttled_until(zone)
    }

    /// Whether Azure throttles requests for single record sets in a zone, or did so lately.
    #[must_use]
    pub fn throttles_record_sets(&self, zone: &Zone) -> bool {
        self.endpoint.pace.is_slow(zone)
    }

    /// Whether Azure throttles lists of the record sets in a zone.
    #[must_use]
    pub fn throttles_lists(&self, zone: &Zone) -> bool {
        self.endpoint.pace.refuses_lists(zone)
    }

    /// What the requests of this process have done, and what is left.
    #[must_use]
    pub fn progress(&self) -> Progress {
        self.endpoint.activity.progress(self.endpoint.pace.throttled_for())
    }

    /// The count of the work of a command.
    #[must_use]
    pub fn activity(&self) -> &Activity {
        &self.endpoint.activity
    }

    /// How many zones and subscriptions are throttled now.
    #[must_use]
    pub fn throttled_places(&self) -> usize {
        self.endpoint.pace.throttled_places()
    }

    /// The transport and the tokens, which other clients share.
    pub(crate) fn network(&self) -> (HttpTransport, Tokens) {
        (self.endpoint.http_transport.clone(), self.endpoint.tokens.clone())
    }

    /// A duration from zero to the longest.
    pub(crate) fn jitter(&self, longest: Duration) -> Duration {
        self.endpoint.spread(longest).saturating_sub(longest / 2) * 2
    }

    /// The client of one invocation. It counts the requests and fails after the deadline.
    #[must_use]
    pub fn invocation(&self, deadline: Instant) -> Writer {
        self.invocation_in(deadline, None)
    }

    /// The client of one invocation that releases its slot while it waits for Azure.
    #[must_use]
    pub fn invocation_in(&self, deadline: Instant, slot: Option<Arc<Slot>>) -> Writer {
        let connection = self.connection(deadline, slot);
        Writer { reader: Reader(ReaderSource::Azure(connection.clone())), connection }
    }

    /// The read-only client of one invocation.
    #[must_use]
    pub fn observation(&self, deadline: Instant) -> Reader {
        Reader(ReaderSource::Azure(self.connection(deadline, None)))
    }

    fn connection(&self, deadline: Instant, slot: Option<Arc<Slot>>) -> Arc<Connection> {
        let transport = Arc::new(Transport::new(self.endpoint.clone(), deadline, slot));
        let credential = Arc::new(ArmPlaceholderCredential);
        let container_groups = container_instances::Client::new(
            self.address(CONTAINER_INSTANCES_VERSION),
            credential.clone(),
            Vec::new(),
            options(&transport),
        );
        Arc::new(Connection {
            container_groups: container_groups.container_groups_client(),
            record_sets: self.private_dns(&transport, credential).record_sets_client(),
            transport,
        })
    }

    fn private_dns(
        &self,
        transport: &Arc<Transport>,
        credential: Arc<ArmPlaceholderCredential>,
    ) -> private_dns::Client {
        private_dns::Client::new(
            self.address(PRIVATE_DNS_VERSION),
            credential,
            Vec::new(),
            options(transport),
        )
    }

    /// The generated clients keep a version that the URL already contains.
    fn address(&self, version: &str) -> Url {
        let mut url = self.endpoint.url.clone();
        url.set_query(Some(version));
        url
    }
}

fn options(transport: &Arc<Transport>) -> ClientOptions {
    ClientOptions::new(TransportOptions::new(transport.clone())).retry(RetryOptions::none())
}

/// The reads of an invocation. This type has no write methods.
#[derive(Debug)]
pub struct Reader(ReaderSource);

/// The source of a reader.
#[derive(Debug)]
enum ReaderSource {
    Azure(Arc<Connection>),
    Snapshot(Arc<Snapshot>),
}

/// The clients of one invocation.
struct Connection {
    container_groups: container_groups::Client,
    record_sets: record_sets::Client,
    transport: Arc<Transport>,
}

/// The reads and writes of an invocation.
pub struct Writer {
    reader: Reader,
    connection: Arc<Connection>,
}

/// The record sets of a list.
struct RecordSetList<Set> {
    found: Vec<(RelativeName, Set)>,
    /// The names of record sets that cannot be represented.
    left_out: BTreeSet<RelativeName>,
}

impl fmt::Debug for Connection {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.transport.fmt(formatter)
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Writer").field(&self.reader).finish()
    }
}

impl Reader {
    /// Creates a reader of lists that sends no request.
    #[must_use]
    pub fn of(snapshot: Arc<Snapshot>) -> Self {
        Self(ReaderSource::Snapshot(snapshot))
    }

    /// Whether it reads lists, so that a repeated read returns the same answer.
    #[must_use]
    pub fn is_snapshot(&self) -> bool {
        matches!(self.0, ReaderSource::Snapshot(_))
    }

    /// A secret that was read before; `None` if it has to be read.
    #[must_use]
    pub fn known_secret(&self, id: &SecretId) -> Option<Result<Option<Secret>, VaultError>> {
        match &self.0 {
            ReaderSource::Azure(_) => None,
            ReaderSource::Snapshot(snapshot) => snapshot.secret(id).cloned(),
        }
    }

    /// How many requests this invocation sent to Resource Manager, including retries.
    #[must_use]
    pub fn calls(&self) -> u32 {
        match &self.0 {
            ReaderSource::Azure(azure) => azure.transport.calls(),
            ReaderSource::Snapshot(_) => 0,
        }
    }

    /// The requests of this invocation, in the order in which they ended; at most the first 256.
    #[must_use]
    pub fn request_records(&self) -> Vec<RequestRecord> {
        match &self.0 {
            ReaderSource::Azure(azure) => azure.transport.request_records(),
            ReaderSource::Snapshot(_) => Vec::new(),
        }
    }

    /// A container group; `None` when Azure says that it or its resource group does not exist.
    pub async fn container_group(&self, id: &ContainerGroupId) -> Result<Option<ContainerGroup>, ArmError> {
        match &self.0 {
            ReaderSource::Azure(azure) => azure.container_group(id).await,
            ReaderSource::Snapshot(snapshot) => snapshot.container_group(id),
        }
    }

    /// All container groups of a scope, without the fields that lists omit: the state of group and
    /// containers. `None` if the resource group does not exist.
    pub async fn list_container_groups(
        &self,
        scope: &Scope,
    ) -> Result<Option<Vec<(ContainerGroupId, ContainerGroup)>>, ArmError> {
        match &self.0 {
            ReaderSource::Azure(azure) => azure.list_container_groups(scope).await,
            ReaderSource::Snapshot(snapshot) => snapshot.list_container_groups(scope),
        }
    }

    /// An A record set; `None` when Azure says that the zone has none of that name.
    pub async fn a_record_set(
        &self,
        zone: &Zone,
        name: &RelativeName,
    ) -> Result<Option<ARecordSet>, ArmError> {
        match &self.0 {
            ReaderSource::Azure(azure) => {
                azure.record_set(RecordType::A, zone, name, records::a_record_set).await
            }
            ReaderSource::Snapshot(snapshot) => snapshot.a_record_set(zone, name),
        }
    }

    /// The target of the CNAME record set of a name; `None` when Azure says that the zone has none.
    pub async fn cname(&self, zone: &Zone, name: &RelativeName) -> Result<Option<String>, ArmError> {
        match &self.0 {
            ReaderSource::Azure(azure) => azure.cname(zone, name).await,
            // A sweep lists no CNAME record sets. A dry run writes nothing, so it does not need them.
            ReaderSource::Snapshot(_) => Ok(None),
        }
    }

    /// A PTR record set; `None` when Azure says that the zone has none of that name.
    pub async fn ptr_record_set(
        &self,
        zone: &Zone,
        name: &RelativeName,
    ) -> Result<Option<PtrRecordSet>, ArmError> {
        match &self.0 {
            ReaderSource::Azure(azure) => {
                azure.record_set(RecordType::Ptr, zone, name, records::ptr_record_set).await
            }
            ReaderSource::Snapshot(snapshot) => snapshot.ptr_record_set(zone, name),
        }
    }

    /// All A record sets of a zone whose name a container group could have; others, such as `@` and `*`, are
    /// left out.
    pub async fn list_a_record_sets(&self, zone: &Zone) -> Result<Vec<(RelativeName, ARecordSet)>, ArmError> {
        match &self.0 {
            ReaderSource::Azure(azure) => azure
                .list(RecordType::A, zone, records::a_record_set, &WantedNames::All)
                .await
                .map(|listed| listed.found),
            ReaderSource::Snapshot(snapshot) => snapshot.list_a_record_sets(zone),
        }
    }

    /// All PTR record sets of a zone, with the same exceptions.
    pub async fn list_ptr_record_sets(
        &self,
        zone: &Zone,
    ) -> Result<Vec<(RelativeName, PtrRecordSet)>, ArmError> {
        match &self.0 {
            ReaderSource::Azure(azure) => azure
                .list(RecordType::Ptr, zone, records::ptr_record_set, &WantedNames::All)
                .await
                .map(|listed| listed.found),
            ReaderSource::Snapshot(snapshot) => snapshot.list_ptr_record_sets(zone),
        }
    }
}

impl Connection {
    async fn container_group(&self, id: &ContainerGroupId) -> Result<Option<ContainerGroup>, ArmError> {
        let operation =
            Operation { subject: Subject::ContainerGroup, text: format!("read container group {id}") };
        let request = self.container_groups.get(id.subscription(), id.resource_group(), id.name());
        match request.await.map_err(cause) {
            Ok(model) => Ok(Some(container_group(model))),
            Err(Cause::Answer(answer)) if answer.says_no_container_group() => Ok(None),
            Err(cause) => Err(ArmError::new(&operation, cause)),
        }
    }

    async fn list_container_groups(
        &self,
        scope: &Scope,
    ) -> Result<Option<Vec<(ContainerGroupId, ContainerGroup)>>, ArmError> {
        let operation =
            Operation { subject: Subject::ContainerGroup, text: format!("list container groups of {scope}") };
        let refuse = |cause| ArmError::new(&operation, cause);
        let subscription = scope.subscription();
        let mut pages = match scope.resource_group() {
            Some(name) => self.container_groups.list_by_resource_group(subscription, name).into_stream(),
            None => self.container_groups.list(subscription).into_stream(),
        };
        let mut groups = Vec::new();
        for _ in 0..PAGE_LIMIT {
            let page = match pages.try_next().await.map_err(cause) {
                Ok(Some(page)) => page,
                Ok(None) => return Ok(Some(groups)),
                Err(Cause::Answer(answer)) if answer.says_no_resource_group() => return Ok(None),
                Err(cause) => return Err(refuse(cause)),
            };
            for model in page.value {
                let id = model.resource.id.as_deref().unwrap_or_default();
                match id.parse() {
                    Ok(id) => groups.push((id, container_group(model))),
                    // Such a group has no records, because no record set can have its name.
                    Err(error @ ResourceIdError::Segment { .. }) => {
                        tracing::warn!(%error, "left the container group out: no record set can have its name");
                    }
                    Err(error) => {
                        return Err(refuse(Cause::Unreadable { status: 200, source: error.into() }));
                    }
                }
            }
        }
        Err(refuse(Cause::TooManyPages { limit: PAGE_LIMIT }))
    }

    async fn cname(&self, zone: &Zone, name: &RelativeName) -> Result<Option<String>, ArmError> {
        self.record_set("CNAME", zone, name, |model| {
            let target = model.properties.and_then(|properties| properties.cname_record?.cname);
            Ok(target.unwrap_or_else(|| "no target".to_owned()))
        })
        .await
    }

    async fn record_set<Set>(
        &self,
        record_type: impl fmt::Display,
        zone: &Zone,
        name: &RelativeName,
        read: impl Fn(models::RecordSet) -> Result<Set, Cause>,
    ) -> Result<Option<Set>, ArmError> {
        let text = format!("read {record_type} {name} in {zone}");
        let operation = Operation { subject: Subject::RecordSets, text };
        let refuse = |cause| ArmError::new(&operation, cause);
        check_zone(zone).map_err(refuse)?;
        let request = self.record_sets.get(
            &zone.resource_group,
            zone.name.as_str(),
            record_type.to_string(),
            name.as_str(),
            &zone.subscription,
        );
        match request.await.map_err(cause) {
            Ok(model) => read(model).map(Some).map_err(refuse),
            Err(Cause::Answer(answer)) if answer.says_no_record_set() => Ok(None),
            Err(cause) => Err(refuse(cause)),
        }
    }

    async fn list<Set>(
        &self,
        record_type: RecordType,
        zone: &Zone,
        read: impl Fn(models::RecordSet) -> Result<Set, Cause>,
        wanted: &WantedNames,
    ) -> Result<RecordSetList<Set>, ArmError> {
        let text = format!("list {record_type} in {zone}");
        let operation = Operation { subject: Subject::RecordSets, text };
        let refuse = |cause| ArmError::new(&operation, cause);
        check_zone(zone).map_err(refuse)?;
        let request = self.record_sets.list_by_type(
            &zone.resource_group,
            zone.name.as_str(),
            record_type.to_string(),
            &zone.subscription,
        );
        let mut pages = request.top(PAGE_SIZE).into_stream();
        let mut listed = RecordSetList { found: Vec::new(), left_out: BTreeSet::new() };
        for _ in 0..PAGE_LIMIT {
            let page = pages.try_next().await.map_err(|error| refuse(cause(error)))?;
            let Some(page) = page else { return Ok(listed) };
            for model in page.value {
                let nameless =
                    || Cause::Unreadable { status: 200, source: "a record set without a name".into() };
                let name = model.name.as_deref().ok_or_else(|| refuse(nameless()))?;
                let Ok(name) = name.parse() else { continue };
                if !wanted.contains(&name) {
                    continue;
                }
                match read(model) {
                    Ok(record_set) => listed.found.push((name, record_set)),
                    // A record set of another owner must not hide the rest of a zone. If it has a name that a
                    // group needs, the write reports it.
                    Err(error @ Cause::Unrepresentable { .. }) => {
                        tracing::warn!(%zone, %record_type, %error, "left a record set out of the list");
                        listed.left_out.insert(name);
                    }
                    Err(error) => return Err(refuse(error)),
                }
            }
        }
        Err(refuse(Cause::TooManyPages { limit: PAGE_LIMIT }))
    }
}

/// The cause in the SDK's error. An error without a cause of the transport comes from the generated model,
/// which could not read the answer.
fn cause(error: azure_core::Error) -> Cause {
    match error.into_downcast::<Cause>() {
        Ok(cause) => cause,
        Err(error) => Cause::Unreadable { status: 200, source: error.into() },
    }
}

/// The generated clients do not encode path segments. The types check names; this function checks the other
/// segments of a zone's id.
fn check_zone(zone: &Zone) -> Result<(), Cause> {
    let refuse = |text: &str, segment, rule| Err(Cause::Segment { text: text.to_owned(), segment, rule });
    if !is_subscription(&zone.subscription) {
        return refuse(&zone.subscription, "subscription", SUBSCRIPTION_RULE);
    }
    if !is_resource_group(&zone.resource_group) {
        return refuse(&zone.resource_group, "resource group", RESOURCE_GROUP_RULE);
    }
    Ok(())
}
