//! Reads for the preflight other than record sets and container groups: rights, zones, links, subnets and
//! event subscriptions.
//!
//! Azure's generated clients make the calls that they support. The others are GET requests through the same
//! transport, so that the same rules hold: the token goes to the endpoint alone, waiting ends at the
//! deadline, answers are bounded, and a list is complete or an error.
//!
//! Fields that are not needed may be missing from an answer. Ids that could not be a path are left out.

use std::fmt;

use azure_core::{Method, Request};
use serde::{Deserialize, de::DeserializeOwned};

use super::{
    Activity, Arc, Arm, ArmError, ArmPlaceholderCredential, Instant, PAGE_LIMIT, Reader, ReaderSource,
    TryStreamExt, cause, check_zone,
    error::{Cause, Operation, Subject},
    private_dns,
    transport::{Endpoint, Transport},
};
use crate::domain::{
    dns::Zone,
    inventory::{
        Caller, Condition, EventSubscription, Filter, Link, Permission, Quota, Topic, VaultState, ZoneState,
        ranges::Range,
    },
    resource_id::{ResourceId, ResourceIdError},
};

/// <https://learn.microsoft.com/rest/api/authorization/permissions>
const AUTHORIZATION_VERSION: &str = "2022-04-01";
/// <https://learn.microsoft.com/rest/api/eventgrid/controlplane/system-topics>
const EVENT_GRID_VERSION: &str = "2022-06-15";
/// <https://learn.microsoft.com/rest/api/keyvault/keyvault/vaults/list-by-subscription>
const KEY_VAULT_VERSION: &str = "2023-07-01";
/// <https://learn.microsoft.com/rest/api/virtualnetwork/subnets>
const NETWORK_VERSION: &str = "2023-09-01";

/// <https://learn.microsoft.com/rest/api/dns/privatedns/private-zones/list>
const PRIVATE_DNS_VERSION: &str = "2020-06-01";

/// The reads of a preflight. This type has no write methods.
pub struct Inspector {
    reader: Reader,
    transport: Arc<Transport>,
    endpoint: Arc<Endpoint>,
    private_dns: private_dns::Client,
}

impl fmt::Debug for Inspector {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Inspector").field(&self.reader).finish()
    }
}

impl Arm {
    /// The client of one preflight.
    #[must_use]
    pub fn inspection(&self, deadline: Instant) -> Inspector {
        let connection = self.connection(deadline, None);
        let transport = Arc::clone(&connection.transport);
        let private_dns = self.private_dns(&transport, Arc::new(ArmPlaceholderCredential));
        let endpoint = Arc::clone(&self.endpoint);
        Inspector { reader: Reader(ReaderSource::Azure(connection)), transport, endpoint, private_dns }
    }
}

impl Inspector {
    /// The count of the work of a command.
    #[must_use]
    pub fn activity(&self) -> &Activity {
        &self.endpoint.activity
    }

    /// The reader of the same connection.
    #[must_use]
    pub fn reader(&self) -> &Reader {
        &self.reader
    }

    /// Gets a token and returns its identity. Sends no request to Resource Manager.
    pub async fn caller(&self) -> Result<Caller, ArmError> {
        let operation = operation("get an access token".to_owned());
        let token = self.transport.token().await.map_err(|cause| ArmError::new(&operation, cause))?;
        Ok(caller(&token))
    }

    /// The caller's permissions at a scope and below; `None` if the scope does not exist.
    pub async fn permissions(&self, scope: &str) -> Result<Option<Vec<Permission>>, ArmError> {
        let operation = operation(format!("read the permissions in {scope}"));
        let path = format!("{scope}/providers/Microsoft.Authorization/permissions");
        let listed = self
            .list::<models::PermissionJson>(&operation, &path, &[("api-version", AUTHORIZATION_VERSION)])
            .await;
        existing(listed.map(|permissions| permissions.into_iter().map(Into::into).collect()))
    }

    /// The names of the roles of a principal at a scope: assigned there or above, to the principal or to its
    /// groups. `None` if the scope does not exist.
    ///
    /// Source: <https://learn.microsoft.com/azure/role-based-access-control/role-assignments-list-rest>
    pub async fn roles(&self, principal: &str, scope: &str) -> Result<Option<Vec<String>>, ArmError> {
        let operation = operation(format!("list the role assignments of {principal} in {scope}"));
        let path = format!("{scope}/providers/Microsoft.Authorization/roleAssignments");
        let query = [
            ("api-version", AUTHORIZATION_VERSION),
            ("$filter", &format!("atScope() and assignedTo('{principal}')")),
        ];
        let assignments = existing(self.list::<models::Assignment>(&operation, &path, &query).await)?;
        let name = |assignment: models::Assignment| {
            let id = assignment.properties.role_definition_id;
            id.rsplit('/').next().map(str::to_owned)
        };
        Ok(assignments.map(|assignments| assignments.into_iter().filter_map(name).collect()))
    }

    /// The permissions of a role definition, read in a subscription.
    pub async fn role(&self, subscription: &str, name: &str) -> Result<Vec<Permission>, ArmError> {
        let operation = operation(format!("read role {name}"));
        let path =
            format!("/subscriptions/{subscription}/providers/Microsoft.Authorization/roleDefinitions/{name}");
        // The name comes from Azure.
        let path: ResourceId = path
            .parse()
            .map_err(|error: ResourceIdError| ArmError::new(&operation, Cause::Unsendable(error.into())))?;
        let role: models::RoleJson =
            self.get(&operation, path.as_str(), &[("api-version", AUTHORIZATION_VERSION)]).await?;
        Ok(role.properties.permissions.into_iter().map(Into::into).collect())
    }

    /// A zone; `None` if it does not exist.
    pub async fn zone(&self, zone: &Zone) -> Result<Option<ZoneState>, ArmError> {
        let operation = operation(format!("read zone {zone}"));
        let refuse = |cause| ArmError::new(&operation, cause);
        check_zone(zone).map_err(refuse)?;
        let client = self.private_dns.private_zones_client();
        let request = client.get(&zone.resource_group, zone.name.as_str(), &zone.subscription);
        let model = existing(request.await.map_err(|error| refuse(cause(error))))?;
        let count = |number: Option<i64>| number.and_then(|number| u64::try_from(number).ok());
        Ok(model.map(|model| {
            let state = model.properties.unwrap_or_default();
            let quota = |used, most| Quota { used: count(used).unwrap_or_default(), most: count(most) };
            ZoneState {
                record_sets: quota(state.number_of_record_sets, state.max_number_of_record_sets),
                links: quota(
                    state.number_of_virtual_network_links,
                    state.max_number_of_virtual_network_links,
                ),
            }
        }))
    }

    /// The resource ids of all zones of a subscription.
    pub async fn zones(&self, subscription: &str) -> Result<Vec<ResourceId>, ArmError> {
        let operation = operation(format!("list the zones of /subscriptions/{subscription}"));
        let path = format!("/subscriptions/{subscription}/providers/Microsoft.Network/privateDnsZones");
        let zones =
            self.list::<models::Named>(&operation, &path, &[("api-version", PRIVATE_DNS_VERSION)]).await?;
        Ok(zones.into_iter().filter_map(|zone| zone.id.parse().ok()).collect())
    }

    /// The links of a zone.
    pub async fn links(&self, zone: &Zone) -> Result<Vec<Link>, ArmError> {
        let operation = operation(format!("list the virtual network links of {zone}"));
        let refuse = |cause| ArmError::new(&operation, cause);
        check_zone(zone).map_err(refuse)?;
        let client = self.private_dns.virtual_network_links_client();
        let request = client.list(&zone.resource_group, zone.name.as_str(), &zone.subscription);
        let mut pages = request.into_stream();
        let mut links = Vec::new();
        for _ in 0..PAGE_LIMIT {
            let page = pages.try_next().await.map_err(|error| refuse(cause(error)))?;
            let Some(page) = page else { return Ok(links) };
            links.extend(page.value.into_iter().filter_map(link));
        }
        Err(refuse(Cause::TooManyPages { limit: PAGE_LIMIT }))
    }

    /// The address ranges of a subnet; `None` if it does not exist.
    pub async fn subnet(&self, id: &ResourceId) -> Result<Option<Vec<Range>>, ArmError> {
        let operation = operation(format!("read subnet {id}"));
        let model =
            self.get::<models::Subnet>(&operation, id.as_str(), &[("api-version", NETWORK_VERSION)]).await;
        Ok(existing(model)?.map(|subnet| {
            let models::SubnetProperties { address_prefix, address_prefixes } = subnet.properties;
            let prefixes = address_prefix.into_iter().chain(address_prefixes.unwrap_or_default());
            prefixes.filter_map(|prefix| prefix.parse().ok()).collect()
        }))
    }

    /// The key vaults of a subscription.
    pub async fn vaults(&self, subscription: &str) -> Result<Vec<VaultState>, ArmError> {
        let operation = operation(format!("list the key vaults of /subscriptions/{subscription}"));
        let path = format!("/subscriptions/{subscription}/providers/Microsoft.KeyVault/vaults");
        let vaults =
            self.list::<models::VaultJson>(&operation, &path, &[("api-version", KEY_VAULT_VERSION)]).await?;
        Ok(vaults.into_iter().filter_map(vault).collect())
    }

    /// The system topics of a subscription whose source is the subscription or a resource group, without
    /// their event subscriptions.
    pub async fn topics(&self, subscription: &str) -> Result<Vec<Topic>, ArmError> {
        let operation = operation(format!("list the system topics of /subscriptions/{subscription}"));
        let path = format!("/subscriptions/{subscription}/providers/Microsoft.EventGrid/systemTopics");
        let topics =
            self.list::<models::TopicJson>(&operation, &path, &[("api-version", EVENT_GRID_VERSION)]).await?;
        Ok(topics.into_iter().filter_map(topic).collect())
    }

    /// The event subscriptions of a system topic.
    pub async fn event_subscriptions(&self, topic: &ResourceId) -> Result<Vec<EventSubscription>, ArmError> {
        let operation = operation(format!("list the event subscriptions of {topic}"));
        let path = format!("{topic}/eventSubscriptions");
        let found = self
            .list::<models::EventSubscriptionJson>(&operation, &path, &[("api-version", EVENT_GRID_VERSION)])
            .await?;
        Ok(found.into_iter().filter_map(event_subscription).collect())
    }

    /// The event subscriptions of a subscription and its resource groups that belong to no system topic.
    pub async fn event_subscriptions_without_topic(
        &self,
        subscription: &str,
    ) -> Result<Vec<EventSubscription>, ArmError> {
        let operation = operation(format!("list the event subscriptions of /subscriptions/{subscription}"));
        let path = format!("/subscriptions/{subscription}/providers/Microsoft.EventGrid/eventSubscriptions");
        let found = self
            .list::<models::EventSubscriptionJson>(&operation, &path, &[("api-version", EVENT_GRID_VERSION)])
            .await?;
        Ok(found.into_iter().filter_map(event_subscription).collect())
    }

    async fn list<Model: DeserializeOwned>(
        &self,
        operation: &Operation,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Vec<Model>, ArmError> {
        let refuse = |cause| ArmError::new(operation, cause);
        let mut page: models::PageJson<Model> = self.get(operation, path, query).await?;
        let mut all = page.value;
        for _ in 1..PAGE_LIMIT {
            let Some(next) = page.next_link.filter(|next| !next.is_empty()) else { return Ok(all) };
            let url =
                self.endpoint.url.join(&next).map_err(|error| refuse(Cause::Unsendable(error.into())))?;
            page = self.fetch(&Request::new(url, Method::Get)).await.map_err(refuse)?;
            all.extend(page.value);
        }
        Err(refuse(Cause::TooManyPages { limit: PAGE_LIMIT }))
    }

    async fn get<Model: DeserializeOwned>(
        &self,
        operation: &Operation,
        path: &str,
        query: &[(&str, &str)],
    ) -> Result<Model, ArmError> {
        let url = self.endpoint.url(path, query);
        self.fetch(&Request::new(url, Method::Get)).await.map_err(|cause| ArmError::new(operation, cause))
    }

    async fn fetch<Model: DeserializeOwned>(&self, request: &Request) -> Result<Model, Cause> {
        let (status, body) = self.transport.exchange(request).await?;
        let unreadable =
            |error: serde_json::Error| Cause::Unreadable { status: status.into(), source: error.into() };
        serde_json::from_slice(&body).map_err(unreadable)
    }
}

fn operation(text: String) -> Operation {
    Operation { subject: Subject::Surroundings, text }
}

fn vault(model: models::VaultJson) -> Option<VaultState> {
    let models::VaultProperties { vault_uri, enable_rbac_authorization, public_network_access, network_acls } =
        model.properties;
    let is = |text: Option<String>, word: &str| text.is_some_and(|text| text.eq_ignore_ascii_case(word));
    let rules = network_acls.and_then(|rules| rules.default_action);
    Some(VaultState {
        id: model.id.parse().ok()?,
        host: vault_uri?.parse::<url::Url>().ok()?.host_str()?.to_owned(),
        uses_roles: enable_rbac_authorization.unwrap_or(false),
        is_closed: is(public_network_access, "Disabled") || is(rules, "Deny"),
    })
}

/// Turns "does not exist" into `None`.
fn existing<Value>(read: Result<Value, ArmError>) -> Result<Option<Value>, ArmError> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(ArmError::Missing { .. }) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The identity in a token's claims. The token is not verified here: Resource Manager does that.
///
/// Source: <https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference>
fn caller(token: &str) -> Caller {
    let claims = token.split('.').nth(1).and_then(|claims| azure_core::base64::decode_url_safe(claims).ok());
    let claims = claims.and_then(|claims| serde_json::from_slice::<models::Claims>(&claims).ok());
    let models::Claims { oid, appid, upn, unique_name } = claims.unwrap_or_default();
    Caller { object_id: oid, application_id: appid, name: upn.or(unique_name) }
}

fn link(model: private_dns::models::VirtualNetworkLink) -> Option<Link> {
    use private_dns::models::virtual_network_link_properties::{ProvisioningState, VirtualNetworkLinkState};
    let properties = model.properties?;
    Some(Link {
        name: model.tracked_resource.resource.name.unwrap_or_default(),
        network: properties.virtual_network?.id?.parse().ok()?,
        state: properties.virtual_network_link_state.map(|state| match state {
            VirtualNetworkLinkState::InProgress => "InProgress".to_owned(),
            VirtualNetworkLinkState::Completed => "Completed".to_owned(),
            VirtualNetworkLinkState::UnknownValue(text) => text,
        }),
        provisioning_state: properties.provisioning_state.map(|state| match state {
            ProvisioningState::Creating => "Creating".to_owned(),
            ProvisioningState::Updating => "Updating".to_owned(),
            ProvisioningState::Deleting => "Deleting".to_owned(),
            ProvisioningState::Succeeded => "Succeeded".to_owned(),
            ProvisioningState::Failed => "Failed".to_owned(),
            ProvisioningState::Canceled => "Canceled".to_owned(),
            ProvisioningState::UnknownValue(text) => text,
        }),
    })
}

/// Topics of other sources, such as storage accounts, are ignored.
fn topic(model: models::TopicJson) -> Option<Topic> {
    let source: ResourceId = model.properties.source?.parse().ok()?;
    let segments = source.as_str().split('/').filter(|segment| !segment.is_empty()).count();
    let is_ours = segments == 2 || (segments == 4 && source.after("resourceGroups").is_some());
    is_ours.then_some(Topic {
        id: model.id.parse().ok()?,
        source,
        provisioning_state: model.properties.provisioning_state,
        subscriptions: Ok(Vec::new()),
    })
}

fn event_subscription(model: models::EventSubscriptionJson) -> Option<EventSubscription> {
    let models::EventSubscriptionProperties {
        topic,
        provisioning_state,
        destination,
        delivery_with_resource_identity,
        filter,
        dead_letter_destination,
        dead_letter_with_resource_identity,
        expiration_time_utc,
    } = model.properties;
    let with_identity = delivery_with_resource_identity.and_then(|delivery| delivery.destination);
    let destination = destination.or(with_identity).unwrap_or_default();
    let is_function =
        destination.endpoint_type.is_some_and(|kind| kind.eq_ignore_ascii_case("AzureFunction"));
    let function = destination.properties.and_then(|properties| properties.resource_id);
    let filter = filter.unwrap_or_default();
    let event_types = filter.included_event_types.unwrap_or_default();
    let advanced = filter.advanced_filters.unwrap_or_default().into_iter().map(|condition| Condition {
        operator: condition.operator_type,
        key: condition.key.unwrap_or_default(),
        values: condition.values.unwrap_or_default().iter().map(text).collect(),
    });
    Some(EventSubscription {
        id: model.id.parse().ok()?,
        topic: topic.and_then(|topic| topic.parse().ok()),
        function: function.filter(|_| is_function).and_then(|id| id.parse().ok()),
        provisioning_state,
        filter: Filter {
            // The spelling of "all" in older API versions.
            event_types: event_types.into_iter().filter(|name| !name.eq_ignore_ascii_case("All")).collect(),
            subject_begins_with: filter.subject_begins_with.unwrap_or_default(),
            subject_ends_with: filter.subject_ends_with.unwrap_or_default(),
            is_case_sensitive: filter.is_subject_case_sensitive.unwrap_or_default(),
            advanced: advanced.collect(),
        },
        keeps_dead_letters: dead_letter_destination.is_some() || dead_letter_with_resource_identity.is_some(),
        expires: expiration_time_utc,
    })
}

fn text(value: &serde_json::Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The answers that no generated client reads, with the fields that this module uses.
mod models {
    use serde::de::IgnoredAny;
    use serde_json::Value;

    use super::Deserialize;

    #[derive(Deserialize)]
    pub(super) struct Named {
        pub(super) id: String,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct PageJson<Model> {
        pub(super) value: Vec<Model>,
        pub(super) next_link: Option<String>,
    }

    #[derive(Default, Deserialize)]
    pub(super) struct Claims {
        pub(super) oid: Option<String>,
        pub(super) appid: Option<String>,
        pub(super) upn: Option<String>,
        pub(super) unique_name: Option<String>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct PermissionJson {
        actions: Option<Vec<String>>,
        not_actions: Option<Vec<String>>,
        data_actions: Option<Vec<String>>,
        not_data_actions: Option<Vec<String>>,
    }

    #[derive(Deserialize)]
    pub(super) struct VaultJson {
        pub(super) id: String,
        pub(super) properties: VaultProperties,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct VaultProperties {
        pub(super) vault_uri: Option<String>,
        pub(super) enable_rbac_authorization: Option<bool>,
        pub(super) public_network_access: Option<String>,
        pub(super) network_acls: Option<NetworkRules>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct NetworkRules {
        pub(super) default_action: Option<String>,
    }

    impl From<PermissionJson> for super::Permission {
        fn from(model: PermissionJson) -> Self {
            Self {
                actions: model.actions.unwrap_or_default(),
                not_actions: model.not_actions.unwrap_or_default(),
                data_actions: model.data_actions.unwrap_or_default(),
                not_data_actions: model.not_data_actions.unwrap_or_default(),
            }
        }
    }

    #[derive(Deserialize)]
    pub(super) struct Assignment {
        pub(super) properties: AssignmentProperties,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct AssignmentProperties {
        pub(super) role_definition_id: String,
    }

    #[derive(Deserialize)]
    pub(super) struct RoleJson {
        pub(super) properties: RoleProperties,
    }

    #[derive(Deserialize)]
    pub(super) struct RoleProperties {
        pub(super) permissions: Vec<PermissionJson>,
    }

    #[derive(Deserialize)]
    pub(super) struct Subnet {
        pub(super) properties: SubnetProperties,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct SubnetProperties {
        pub(super) address_prefix: Option<String>,
        pub(super) address_prefixes: Option<Vec<String>>,
    }

    #[derive(Deserialize)]
    pub(super) struct TopicJson {
        pub(super) id: String,
        pub(super) properties: TopicProperties,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct TopicProperties {
        pub(super) source: Option<String>,
        pub(super) provisioning_state: Option<String>,
    }

    #[derive(Deserialize)]
    pub(super) struct EventSubscriptionJson {
        pub(super) id: String,
        pub(super) properties: EventSubscriptionProperties,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct EventSubscriptionProperties {
        pub(super) topic: Option<String>,
        pub(super) provisioning_state: Option<String>,
        pub(super) destination: Option<Destination>,
        pub(super) delivery_with_resource_identity: Option<DeliveryJson>,
        pub(super) filter: Option<FilterJson>,
        pub(super) dead_letter_destination: Option<IgnoredAny>,
        pub(super) dead_letter_with_resource_identity: Option<IgnoredAny>,
        pub(super) expiration_time_utc: Option<String>,
    }

    #[derive(Deserialize)]
    pub(super) struct DeliveryJson {
        pub(super) destination: Option<Destination>,
    }

    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct Destination {
        pub(super) endpoint_type: Option<String>,
        pub(super) properties: Option<DestinationProperties>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct DestinationProperties {
        pub(super) resource_id: Option<String>,
    }

    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct FilterJson {
        pub(super) included_event_types: Option<Vec<String>>,
        pub(super) subject_begins_with: Option<String>,
        pub(super) subject_ends_with: Option<String>,
        pub(super) is_subject_case_sensitive: Option<bool>,
        pub(super) advanced_filters: Option<Vec<ConditionJson>>,
    }

    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    pub(super) struct ConditionJson {
        pub(super) operator_type: String,
        pub(super) key: Option<String>,
        pub(super) values: Option<Vec<Value>>,
    }
}
