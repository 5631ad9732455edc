//! Reads everything that the checks need, several objects at a time.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, PoisonError},
};

use futures::{
    Stream, StreamExt as _,
    future::{join, join3},
    stream,
};

use super::evidence::{EventSubscriptions, Inspection, ScopeEvidence, ZoneInspection};
use crate::{
    azure::arm::{ArmError, Cause, Inspector, Reader},
    config::{self, MissingSubscription, Ownership, Settings, UnmatchedKeys, Zones},
    decide::{OwnerMark, report::Chain},
    domain::{
        dns::{RecordSet, RelativeName, ReverseZone, Zone, ZoneKey},
        inventory::{Permission, Seen, Topic, Unseen},
        resource_id::{ResourceId, Scope},
    },
};

/// How many requests run at the same time.
const CONCURRENT_READS: usize = 8;

/// The actions that the reads need.
///
/// Source: <https://learn.microsoft.com/azure/role-based-access-control/resource-provider-operations>
pub const READS: [&str; 12] = [
    CONTAINER_GROUPS,
    PERMISSIONS,
    ROLE_ASSIGNMENTS,
    ROLES,
    ZONES,
    A_RECORD_SETS,
    PTR_RECORD_SETS,
    LINKS,
    SUBNETS,
    TOPICS,
    TOPIC_SUBSCRIPTIONS,
    EVENT_SUBSCRIPTIONS,
];
const CONTAINER_GROUPS: &str = "Microsoft.ContainerInstance/containerGroups/read";
const PERMISSIONS: &str = "Microsoft.Authorization/permissions/read";
const ROLE_ASSIGNMENTS: &str = "Microsoft.Authorization/roleAssignments/read";
const ROLES: &str = "Microsoft.Authorization/roleDefinitions/read";
const ZONES: &str = "Microsoft.Network/privateDnsZones/read";
const A_RECORD_SETS: &str = "Microsoft.Network/privateDnsZones/A/read";
const PTR_RECORD_SETS: &str = "Microsoft.Network/privateDnsZones/PTR/read";
const LINKS: &str = "Microsoft.Network/privateDnsZones/virtualNetworkLinks/read";
const SUBNETS: &str = "Microsoft.Network/virtualNetworks/subnets/read";
const TOPICS: &str = "Microsoft.EventGrid/systemTopics/read";
const TOPIC_SUBSCRIPTIONS: &str = "Microsoft.EventGrid/systemTopics/eventSubscriptions/read";
const EVENT_SUBSCRIPTIONS: &str = "Microsoft.EventGrid/eventSubscriptions/read";

/// Reads everything that the settings name, and the rights of the caller or of another principal.
pub(super) async fn evidence(
    inspector: &Inspector,
    settings: &Settings,
    principal: Option<&str>,
) -> Result<Inspection, MissingSubscription> {
    let rights = Rights::new(inspector, principal);
    let config::ListScope { scopes, zones } = settings.list_scope()?;
    let caller = inspector.caller().await.map_err(|error| Unseen::Failed(Chain(&error).to_string()));
    let mut evidence = Inspection {
        caller,
        principal: principal.map(str::to_owned),
        scopes: BTreeMap::new(),
        subscriptions: BTreeMap::new(),
        zones: BTreeMap::new(),
        serving: Vec::new(),
        subnets: BTreeMap::new(),
        events: BTreeMap::new(),
        unmatched: UnmatchedKeys::default(),
        requests: 0,
        retry_queue: None,
        vaults: BTreeMap::new(),
    };
    if evidence.caller.is_ok() {
        let subscriptions: BTreeSet<String> =
            scopes.iter().map(|scope| scope.subscription().to_owned()).collect();
        let rights = &rights;
        let named = scopes.iter().filter(|scope| scope.resource_group().is_some());
        let named: BTreeSet<String> = named.map(|scope| scope.subscription().to_owned()).collect();
        let whole = all(inspector, named, |subscription| async move {
            let found = rights.at(&subscription, &format!("/subscriptions/{subscription}")).await;
            (subscription, found)
        });
        let scopes = all(inspector, scopes, |scope| scope_evidence(rights, scope));
        (evidence.scopes, evidence.subscriptions) = join(scopes, whole).await;
        let needs = Needs::of(&evidence.scopes, &zones, settings);
        let zones = all(inspector, needs.zones, |(place, (zone, need))| async move {
            (place, inspect_zone(rights, zone, need).await)
        });
        let subnets = all(inspector, needs.subnets, |subnet| async move {
            let ranges = inspector.subnet(&subnet).await.map_err(unseen(SUBNETS));
            (subnet, ranges)
        });
        let events = all(inspector, subscriptions, |subscription| async move {
            let events = events(inspector, &subscription).await;
            (subscription, events)
        });
        (evidence.zones, evidence.subnets, evidence.events) = join3(zones, subnets, events).await;
        evidence.serving = needs.serving;
        evidence.unmatched = inspector.reader().unmatched_keys(settings, &places(&evidence)).await;
        evidence.requests = inspector.reader().calls();
    }
    Ok(evidence)
}

/// The resource groups that are known to exist, and those that could not be read.
fn places(evidence: &Inspection) -> BTreeSet<Scope> {
    let mut places = BTreeSet::new();
    for (scope, list_scope) in &evidence.scopes {
        let is_known = if scope.resource_group().is_some() {
            list_scope.rights != Ok(None)
        } else {
            list_scope.groups.is_err()
        };
        places.extend(is_known.then(|| scope.clone()));
        places.extend(list_scope.groups.iter().flatten().map(|(id, _)| Scope::of(id)));
    }
    places
}

/// Reads each item, several at a time.
async fn all<Item, Key: Ord, Value, Reading: Future<Output = (Key, Value)>>(
    inspector: &Inspector,
    items: impl IntoIterator<Item = Item>,
    read: impl FnMut(Item) -> Reading,
) -> BTreeMap<Key, Value> {
    let reads: Vec<Reading> = items.into_iter().map(read).collect();
    inspector.activity().expect(reads.len());
    let reads = stream::iter(reads).buffer_unordered(CONCURRENT_READS);
    reads.inspect(|_| inspector.activity().finish_one()).collect().await
}

/// The rights to check: those of the caller, or of another principal.
pub(super) struct Rights<'a> {
    pub(super) inspector: &'a Inspector,
    principal: Option<&'a str>,
    /// The permissions of roles that were read before.
    roles: Mutex<BTreeMap<String, Vec<Permission>>>,
}

impl<'a> Rights<'a> {
    pub(super) fn new(inspector: &'a Inspector, principal: Option<&'a str>) -> Self {
        Self { inspector, principal, roles: Mutex::default() }
    }

    /// The permissions at a scope; `None` if it does not exist.
    pub(super) async fn at(&self, subscription: &str, scope: &str) -> Seen<Option<Vec<Permission>>> {
        let Some(principal) = self.principal else {
            return self.inspector.permissions(scope).await.map_err(unseen(PERMISSIONS));
        };
        let roles = self.inspector.roles(principal, scope).await.map_err(unseen(ROLE_ASSIGNMENTS))?;
        let Some(roles) = roles else { return Ok(None) };
        let mut permissions = Vec::new();
        for role in roles {
            permissions.extend(self.role(subscription, &role).await?);
        }
        Ok(Some(permissions))
    }

    async fn role(&self, subscription: &str, name: &str) -> Seen<Vec<Permission>> {
        let known = self.roles.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let role = self.inspector.role(subscription, name).await.map_err(unseen(ROLES))?;
        self.roles.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), role.clone());
        Ok(role)
    }
}

async fn scope_evidence(rights: &Rights<'_>, scope: Scope) -> (Scope, ScopeEvidence) {
    let place = scope.to_string();
    let groups = rights.inspector.reader().list_container_groups(&scope);
    let (rights, groups) = join(rights.at(scope.subscription(), &place), groups).await;
    let list_scope = ScopeEvidence {
        rights,
        groups: groups.map(Option::unwrap_or_default).map_err(unseen(CONTAINER_GROUPS)),
    };
    (scope, list_scope)
}

async fn inspect_zone(rights: &Rights<'_>, zone: Zone, need: Need) -> ZoneInspection {
    let inspector = rights.inspector;
    let state = inspector.zone(&zone).await;
    let mut inspection = ZoneInspection {
        reverse: ReverseZone::new(zone.clone()).ok(),
        is_needed: need >= Need::Groups,
        links: Ok(Vec::new()),
        rights: Ok(Vec::new()),
        unmarked: None,
        elsewhere: Vec::new(),
        state: state.map_err(unseen(ZONES)),
        zone,
    };
    if inspection.state == Ok(None) {
        // A missing zone has nothing to read. A failed list leaves the place unknown.
        let zones = inspector.zones(&inspection.zone.subscription).await.unwrap_or_default();
        let is_namesake = |id: &&ResourceId| {
            id.after("privateDnsZones")
                .is_some_and(|name| name.eq_ignore_ascii_case(inspection.zone.name.as_str()))
        };
        let places = zones.iter().filter(is_namesake).filter_map(|id| id.after("resourceGroups"));
        inspection.elsewhere = places.map(str::to_owned).collect();
    } else {
        let id = inspection.zone.id();
        let rights = rights.at(&inspection.zone.subscription, &id);
        let unmarked = unmarked(inspector.reader(), &inspection, need);
        let (links, rights, unmarked) = join3(inspector.links(&inspection.zone), rights, unmarked).await;
        inspection.unmarked = unmarked;
        inspection.links = links.map_err(unseen(LINKS));
        inspection.rights = rights.map(Option::unwrap_or_default);
    }
    inspection
}

/// The names of the record sets without a mark.
async fn unmarked(
    reader: &Reader,
    inspection: &ZoneInspection,
    need: Need,
) -> Option<Seen<BTreeSet<RelativeName>>> {
    fn names<Record>(sets: Vec<(RelativeName, RecordSet<Record>)>) -> BTreeSet<RelativeName> {
        let sets = sets.into_iter().filter(|(_, set)| OwnerMark::is_missing(set));
        sets.map(|(name, _)| name).collect()
    }
    if need != Need::StrictGroups {
        return None;
    }
    Some(if inspection.reverse.is_some() {
        let listed = reader.list_ptr_record_sets(&inspection.zone).await;
        listed.map(names).map_err(unseen(PTR_RECORD_SETS))
    } else {
        let listed = reader.list_a_record_sets(&inspection.zone).await;
        listed.map(names).map_err(unseen(A_RECORD_SETS))
    })
}

async fn events(inspector: &Inspector, subscription: &str) -> EventSubscriptions {
    let (topics, loose) =
        join(inspector.topics(subscription), inspector.event_subscriptions_without_topic(subscription)).await;
    let topics = match topics.map_err(unseen(TOPICS)) {
        Ok(topics) => {
            let reads = topics.into_iter().map(|topic| with_subscriptions(inspector, topic));
            Ok(in_order(stream::iter(reads)).await)
        }
        Err(unseen) => Err(unseen),
    };
    EventSubscriptions { topics, loose: loose.map_err(unseen(EVENT_SUBSCRIPTIONS)) }
}

async fn in_order<Reading: Future>(reads: impl Stream<Item = Reading>) -> Vec<Reading::Output> {
    reads.buffered(CONCURRENT_READS).collect().await
}

async fn with_subscriptions(inspector: &Inspector, topic: Topic) -> Topic {
    let subscriptions = inspector.event_subscriptions(&topic.id).await;
    Topic { subscriptions: subscriptions.map_err(unseen(TOPIC_SUBSCRIPTIONS)), ..topic }
}

/// Why a zone is needed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Need {
    /// The map names it.
    Map,
    /// An existing group needs it.
    Groups,
    /// An existing group under `strict` needs it, so record sets without a mark are not taken over.
    StrictGroups,
}

/// The dependencies of the map and of the existing groups.
#[derive(Default)]
struct Needs {
    /// The zones, and why they are needed.
    zones: BTreeMap<ZoneKey, (Zone, Need)>,
    serving: Vec<Zones>,
    subnets: BTreeSet<ResourceId>,
}

impl Needs {
    fn of(scopes: &BTreeMap<Scope, ScopeEvidence>, of_map: &[Zones], settings: &Settings) -> Self {
        let mut needs = Self::default();
        for zones in of_map {
            needs.add(zones, Need::Map);
        }
        for (id, group) in scopes.values().flat_map(|list_scope| list_scope.groups.iter().flatten()) {
            if let Some(zones) = settings.zones.serving(id) {
                let is_strict = zones.ownership == Ownership::Strict;
                needs.add(&zones, if is_strict { Need::StrictGroups } else { Need::Groups });
                needs.subnets.extend(group.subnets.iter().cloned());
            }
        }
        needs
    }

    fn add(&mut self, zones: &Zones, need: Need) {
        for zone in zones.reverse.iter().map(ReverseZone::zone).chain([&zones.forward]) {
            let (_, known) = self.zones.entry(zone.key()).or_insert_with(|| (zone.clone(), need));
            *known = need.max(*known);
        }
        if !self.serving.contains(zones) {
            self.serving.push(zones.clone());
        }
    }
}

/// Turns the error of a read that needs this action into an [`Unseen`].
pub(super) fn unseen(action: &'static str) -> impl Fn(ArmError) -> Unseen {
    move |error| match error {
        ArmError::Forbidden { operation, source: Cause::Answer(answer) } if answer.status == 403 => {
            Unseen::Forbidden { operation, action }
        }
        error => Unseen::Failed(Chain(&error).to_string()),
    }
}
