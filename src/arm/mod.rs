//! Client of Azure's REST API: container groups and the record sets of Private DNS zones.
//!
//! This module, [`crate::tokens`] and [`crate::storage_queue`] are the only ones that name the Azure SDK. Two generations of it meet here: the generated clients of Resource
//! Manager, frozen at 0.21, make every call and hold its URL and its model; `azure_identity` 1.x finds the
//! credential. What the generated clients lack lies below them, in `transport`: timeouts, retries that obey
//! a deadline, a pool of connections, limits, and tokens that appear in no log. A later move to official
//! clients ends at this module's edge.
//!
//! Rules:
//! - What is not there is `None`, and only when Azure itself says so in so many words.
//! - A failure says what to do about it ([`Kind`]); a write that may have happened is never called failed.
//! - Every write is conditional.
//! - A list is whole or an error, but for record sets that cannot be represented, which are left out with a warning.
//!
//! A [`Reader`] reads Azure, or a [`Snapshot`] of what lists said, so that a sweep over everything looks through the
//! same eyes as the pass of one event.
//!
//! Deliberately absent: decisions about what to read or write, and any memory between invocations other than
//! connections, tokens, and when Azure asked to be left alone.

mod error;
mod inspection;
mod pace;
mod prune;
mod records;
mod snapshot;
mod transport;
mod unmatched;

#[cfg(test)]
mod tests;

use std::{
    fmt,
    net::Ipv4Addr,
    sync::{Arc, atomic::AtomicU64},
    time::Duration,
};

use azure_core::{ClientOptions, RetryOptions, TransportOptions};
use azure_mgmt_containerinstance::package_preview_2024_05::{self as container_instances, container_groups};
use azure_mgmt_privatedns::package_2024_06::{self as private_dns, models, record_sets};
use futures::TryStreamExt;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;

pub use self::{
    error::{Answer, ArmError, Cause, Kind},
    inspection::Inspector,
    snapshot::Snapshot,
};
use self::{
    error::{Operation, Subject},
    pace::Pace,
    transport::{Endpoint, Placeholder, Transport},
};
use crate::{
    container_group::{Container, ContainerGroup, IpAddress},
    dns::{ARecordSet, Content, ETag, Precondition, PtrRecordSet, PtrTarget, RecordType, RelativeName, Zone},
    report::Exchange,
    resource_id::{
        ContainerGroupId, RESOURCE_GROUP_RULE, ResourceIdError, SUBSCRIPTION_RULE, Scope, is_resource_group,
        is_subscription,
    },
    slot::Slot,
    tokens::Tokens,
    wire::Wire,
};

/// The stable version that is asked for; the generated crate knows previews only, and the answer is pruned to
/// what both have in common.
const CONTAINER_INSTANCES_VERSION: &str = "api-version=2023-05-01";
/// The version of Private DNS.
const PRIVATE_DNS_VERSION: &str = "api-version=2024-06-01";

/// How many record sets a page is asked to hold; the service gives 100 unasked.
const PAGE_SIZE: i32 = 1000;
/// How many pages a list may have: four times a full zone (25,000 record sets) in pages of the default size.
const PAGE_LIMIT: usize = 1000;

/// Resource Manager, as one process knows it: connections, tokens and endpoint. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Arm {
    endpoint: Arc<Endpoint>,
}

/// Where Resource Manager is.
#[derive(Clone, Debug)]
pub struct ArmSettings {
    /// Its address, such as `https://management.azure.com/`; only scheme, host and port count.
    pub endpoint: Url,
    /// What its tokens are for, such as `https://management.azure.com/.default`.
    pub scope: String,
    /// Where the spreading of repetitions starts: different instances should not repeat in step.
    pub jitter_seed: u64,
}

impl Arm {
    /// Connects nothing yet.
    #[must_use]
    pub fn new(settings: ArmSettings, wire: Wire, tokens: Tokens) -> Self {
        let ArmSettings { endpoint: url, scope, jitter_seed } = settings;
        Self {
            endpoint: Arc::new(Endpoint {
                url,
                scope,
                wire,
                tokens,
                pace: Pace::default(),
                jitter: AtomicU64::new(jitter_seed),
            }),
        }
    }

    /// Sets up what the first request needs, its token included, so that it does not have to wait for that. What
    /// fails here fails there again, and is told there.
    pub async fn warm_up(&self) {
        if let Err(error) = self.endpoint.token().await {
            tracing::debug!(%error, "there is no access token yet");
        }
    }

    /// Until when Azure takes no more requests of some kind for single record sets in a zone.
    #[must_use]
    pub fn throttled_until(&self, zone: &Zone) -> Option<Instant> {
        self.endpoint.pace.throttled_until(zone)
    }

    /// How many zones and subscriptions are throttled now.
    #[must_use]
    pub fn throttled_places(&self) -> usize {
        self.endpoint.pace.throttled_places()
    }

    /// What the requests travel on, and the tokens that they carry: other clients share both.
    pub(crate) fn network(&self) -> (Wire, Tokens) {
        (self.endpoint.wire.clone(), self.endpoint.tokens.clone())
    }

    /// A duration from zero to the longest.
    pub(crate) fn jitter(&self, longest: Duration) -> Duration {
        self.endpoint.spread(longest).saturating_sub(longest / 2) * 2
    }

    /// The client of one invocation, which counts its requests and is over at a deadline.
    #[must_use]
    pub fn invocation(&self, deadline: Instant) -> Writer {
        self.invocation_in(deadline, None)
    }

    /// The client of one invocation that gives its place up while it waits for Azure.
    #[must_use]
    pub fn invocation_in(&self, deadline: Instant, slot: Option<Arc<Slot>>) -> Writer {
        let connection = self.connection(deadline, slot);
        Writer { reader: Reader(Source::Azure(connection.clone())), connection }
    }

    /// The client of one invocation that only reads.
    #[must_use]
    pub fn observation(&self, deadline: Instant) -> Reader {
        Reader(Source::Azure(self.connection(deadline, None)))
    }

    fn connection(&self, deadline: Instant, slot: Option<Arc<Slot>>) -> Arc<Connection> {
        let transport = Arc::new(Transport::new(self.endpoint.clone(), deadline, slot));
        let credential = Arc::new(Placeholder);
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

    fn private_dns(&self, transport: &Arc<Transport>, credential: Arc<Placeholder>) -> private_dns::Client {
        private_dns::Client::new(
            self.address(PRIVATE_DNS_VERSION),
            credential,
            Vec::new(),
            options(transport),
        )
    }

    /// The generated clients keep a version that is there already.
    fn address(&self, version: &str) -> Url {
        let mut url = self.endpoint.url.clone();
        url.set_query(Some(version));
        url
    }
}

fn options(transport: &Arc<Transport>) -> ClientOptions {
    ClientOptions::new(TransportOptions::new(transport.clone())).retry(RetryOptions::none())
}

/// What an invocation may read. It has no way to write.
#[derive(Debug)]
pub struct Reader(Source);

/// Where a reader reads.
#[derive(Debug)]
enum Source {
    Azure(Arc<Connection>),
    Snapshot(Arc<Snapshot>),
}

/// The clients of one invocation.
struct Connection {
    container_groups: container_groups::Client,
    record_sets: record_sets::Client,
    transport: Arc<Transport>,
}

/// What an invocation may read and write.
pub struct Writer {
    reader: Reader,
    connection: Arc<Connection>,
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
    /// Reads what lists said instead of Azure, without a request.
    #[must_use]
    pub fn of(snapshot: Arc<Snapshot>) -> Self {
        Self(Source::Snapshot(snapshot))
    }

    /// Whether it reads what lists said, which is the same however often it is read.
    #[must_use]
    pub fn is_snapshot(&self) -> bool {
        matches!(self.0, Source::Snapshot(_))
    }

    /// How many requests this invocation sent to Resource Manager, repetitions included.
    #[must_use]
    pub fn calls(&self) -> u32 {
        match &self.0 {
            Source::Azure(azure) => azure.transport.calls(),
            Source::Snapshot(_) => 0,
        }
    }

    /// Those requests, in the order in which they ended; of very many only the first.
    #[must_use]
    pub fn exchanges(&self) -> Vec<Exchange> {
        match &self.0 {
            Source::Azure(azure) => azure.transport.exchanges(),
            Source::Snapshot(_) => Vec::new(),
        }
    }

    /// A container group, or nothing when Azure says that it, or its resource group, does not exist.
    pub async fn container_group(&self, id: &ContainerGroupId) -> Result<Option<ContainerGroup>, ArmError> {
        match &self.0 {
            Source::Azure(azure) => azure.container_group(id).await,
            Source::Snapshot(snapshot) => snapshot.container_group(id),
        }
    }

    /// All container groups of a scope, without what lists leave out: the state of group and containers. Nothing where
    /// the resource group does not exist.
    pub async fn list_container_groups(
        &self,
        scope: &Scope,
    ) -> Result<Option<Vec<(ContainerGroupId, ContainerGroup)>>, ArmError> {
        match &self.0 {
            Source::Azure(azure) => azure.list_container_groups(scope).await,
            Source::Snapshot(snapshot) => snapshot.list_container_groups(scope),
        }
    }

    /// An A record set, or nothing when Azure says that the zone holds none of that name.
    pub async fn a_record_set(
        &self,
        zone: &Zone,
        name: &RelativeName,
    ) -> Result<Option<ARecordSet>, ArmError> {
        match &self.0 {
            Source::Azure(azure) => azure.record_set(RecordType::A, zone, name, records::a_record_set).await,
            Source::Snapshot(snapshot) => snapshot.a_record_set(zone, name),
        }
    }

    /// The target of the CNAME record set of a name, or nothing when Azure says that the zone holds none.
    pub async fn cname(&self, zone: &Zone, name: &RelativeName) -> Result<Option<String>, ArmError> {
        match &self.0 {
            Source::Azure(azure) => azure.cname(zone, name).await,
            // No list of a sweep holds CNAME record sets, and none is needed: a dry run writes nothing.
            Source::Snapshot(_) => Ok(None),
        }
    }

    /// A PTR record set, or nothing when Azure says that the zone holds none of that name.
    pub async fn ptr_record_set(
        &self,
        zone: &Zone,
        name: &RelativeName,
    ) -> Result<Option<PtrRecordSet>, ArmError> {
        match &self.0 {
            Source::Azure(azure) => {
                azure.record_set(RecordType::Ptr, zone, name, records::ptr_record_set).await
            }
            Source::Snapshot(snapshot) => snapshot.ptr_record_set(zone, name),
        }
    }

    /// All A record sets of a zone whose name a container group could have; others, such as `@` and `*`, are
    /// left out.
    pub async fn list_a_record_sets(&self, zone: &Zone) -> Result<Vec<(RelativeName, ARecordSet)>, ArmError> {
        match &self.0 {
            Source::Azure(azure) => azure.list(RecordType::A, zone, records::a_record_set).await,
            Source::Snapshot(snapshot) => snapshot.list_a_record_sets(zone),
        }
    }

    /// All PTR record sets of a zone, with the same exceptions.
    pub async fn list_ptr_record_sets(
        &self,
        zone: &Zone,
    ) -> Result<Vec<(RelativeName, PtrRecordSet)>, ArmError> {
        match &self.0 {
            Source::Azure(azure) => azure.list(RecordType::Ptr, zone, records::ptr_record_set).await,
            Source::Snapshot(snapshot) => snapshot.list_ptr_record_sets(zone),
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
                    // Such a group has no records, because it has no name that a record set could have.
                    Err(error @ ResourceIdError::Segment { .. }) => tracing::warn!(%error, "left out"),
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
    ) -> Result<Vec<(RelativeName, Set)>, ArmError> {
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
        let mut record_sets = Vec::new();
        for _ in 0..PAGE_LIMIT {
            let page = pages.try_next().await.map_err(|error| refuse(cause(error)))?;
            let Some(page) = page else { return Ok(record_sets) };
            for model in page.value {
                let nameless =
                    || Cause::Unreadable { status: 200, source: "a record set without a name".into() };
                let name = model.name.as_deref().ok_or_else(|| refuse(nameless()))?;
                let Ok(name) = name.parse() else { continue };
                match read(model) {
                    Ok(record_set) => record_sets.push((name, record_set)),
                    // A record set of others must not hide all the rest of a zone. Where it has a name that a group
                    // should have, the write meets it.
                    Err(error @ Cause::Unrepresentable { .. }) => {
                        tracing::warn!(%zone, %record_type, %error, "a record set is left out of the list");
                    }
                    Err(error) => return Err(refuse(error)),
                }
            }
        }
        Err(refuse(Cause::TooManyPages { limit: PAGE_LIMIT }))
    }
}

impl Writer {
    /// The reading part.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Creates or replaces an A record set and gives its new version.
    pub async fn put_a_record_set(
        &self,
        zone: &Zone,
        name: &RelativeName,
        content: &Content<Ipv4Addr>,
        precondition: &Precondition,
    ) -> Result<ETag, ArmError> {
        self.put(RecordType::A, zone, name, records::a_model(content), precondition).await
    }

    /// Creates or replaces a PTR record set and gives its new version.
    pub async fn put_ptr_record_set(
        &self,
        zone: &Zone,
        name: &RelativeName,
        content: &Content<PtrTarget>,
        precondition: &Precondition,
    ) -> Result<ETag, ArmError> {
        self.put(RecordType::Ptr, zone, name, records::ptr_model(content), precondition).await
    }

    /// Removes a record set that is still the one that was read, or is not there any more.
    pub async fn delete_record_set(
        &self,
        record_type: RecordType,
        zone: &Zone,
        name: &RelativeName,
        etag: &ETag,
    ) -> Result<(), ArmError> {
        let operation =
            Operation { subject: Subject::Write, text: format!("delete {record_type} {name} in {zone}") };
        check_zone(zone).map_err(|cause| ArmError::new(&operation, cause))?;
        let request = self.connection.record_sets.delete(
            &zone.resource_group,
            zone.name.as_str(),
            record_type.to_string(),
            name.as_str(),
            &zone.subscription,
        );
        match request.if_match(etag.as_str()).send().await.map_err(cause) {
            Ok(_) => Ok(()),
            Err(Cause::Answer(answer)) if answer.says_no_record_set() => Ok(()),
            Err(cause) => Err(ArmError::new(&operation, cause)),
        }
    }

    async fn put(
        &self,
        record_type: RecordType,
        zone: &Zone,
        name: &RelativeName,
        model: models::RecordSet,
        precondition: &Precondition,
    ) -> Result<ETag, ArmError> {
        let operation =
            Operation { subject: Subject::Write, text: format!("write {record_type} {name} in {zone}") };
        check_zone(zone).map_err(|cause| ArmError::new(&operation, cause))?;
        let request = self.connection.record_sets.create_or_update(
            &zone.resource_group,
            zone.name.as_str(),
            record_type.to_string(),
            name.as_str(),
            model,
            &zone.subscription,
        );
        let request = match precondition {
            Precondition::Absent => request.if_none_match("*"),
            Precondition::Unchanged(etag) => request.if_match(etag.as_str()),
        };
        let written = request.await.map_err(cause).and_then(|model| records::etag(&model, 200));
        written.map_err(|cause| match cause {
            // What was to be replaced has been removed.
            Cause::Answer(answer)
                if answer.says_no_record_set() && matches!(precondition, Precondition::Unchanged(_)) =>
            {
                ArmError::Race { operation: operation.to_string(), source: answer.into() }
            }
            cause => ArmError::new(&operation, cause),
        })
    }
}

/// What happened, out of the SDK's error. What the transport did not say, the generated model did: it could not
/// read the answer.
fn cause(error: azure_core::Error) -> Cause {
    match error.into_downcast::<Cause>() {
        Ok(cause) => cause,
        Err(error) => Cause::Unreadable { status: 200, source: error.into() },
    }
}

/// The generated clients put segments into a path as they are. Names are checked by their types, those of a
/// zone's place here.
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

fn container_group(model: container_instances::models::ContainerGroup) -> ContainerGroup {
    use container_instances::models::{
        container_group_properties::properties::RestartPolicy, ip_address::Type,
    };
    let tags = match model.resource.tags {
        Some(Value::Object(tags)) => tags,
        _ => serde_json::Map::new(),
    };
    let tag = |(name, value)| match value {
        Value::Null => None,
        Value::String(text) => Some((name, text)),
        // Not text, but said: whoever reads the tag refuses what he cannot use.
        value => Some((name, value.to_string())),
    };
    let properties = model.container_group_properties.properties;
    ContainerGroup {
        tags: tags.into_iter().filter_map(tag).collect(),
        provisioning_state: properties.provisioning_state,
        state: properties.instance_view.and_then(|view| view.state),
        ip_address: properties.ip_address.map(|address| IpAddress {
            kind: match address.type_ {
                Type::Public => Some("Public".to_owned()),
                Type::Private => Some("Private".to_owned()),
                Type::UnknownValue(text) => Some(text).filter(|text| !text.is_empty()),
            },
            ip: address.ip,
        }),
        containers: properties
            .containers
            .into_iter()
            .map(|container| {
                let state = container.properties.instance_view.and_then(|view| view.current_state);
                state.map_or_else(Container::default, |state| Container {
                    state: state.state,
                    exit_code: state.exit_code.map(i64::from),
                })
            })
            .collect(),
        restart_policy: properties.restart_policy.map(|policy| match policy {
            RestartPolicy::Always => "Always".to_owned(),
            RestartPolicy::OnFailure => "OnFailure".to_owned(),
            RestartPolicy::Never => "Never".to_owned(),
            RestartPolicy::UnknownValue(text) => text,
        }),
        subnets: properties.subnet_ids.iter().filter_map(|subnet| subnet.id.parse().ok()).collect(),
    }
}
