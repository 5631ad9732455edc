// The shapes of the parameters of main.bicep.

@description('Resource groups with container groups, and the zones that serve them.')
@export()
@sealed()
type spoke = {
  @description('Subscription of the container groups; default: that of the deployment.')
  subscriptionId: string?

  @description('Resource group of the container groups; a trailing * matches the rest of the name.')
  resourceGroup: string

  @description('Zone of the A record sets, such as spoke1.contoso.internal.')
  forwardZone: string

  @description('Zones of the PTR record sets, such as 1.10.in-addr.arpa; []: no PTR records.')
  reverseZones: string[]

  @description('Subscription of the zones; default: that of the container groups.')
  zoneSubscriptionId: string?

  @description('Resource group of the zones; default: that of the container groups.')
  zoneResourceGroup: string?

  @description('Ids of the virtual networks that query these zones and are not linked to them yet.')
  networkIds: string[]?

  @description('Time to live of the record sets in seconds; default 60.')
  @minValue(1)
  @maxValue(2147483647)
  ttl: int?

  @description('What aci-dns does here; default: ACI_DNS_POLICY. With it, spokes are switched on one by one.')
  policy: ('sync' | 'upsert-only' | 'observe')?

  @description('What happens to unmarked record sets at managed names; default: ACI_DNS_OWNERSHIP.')
  ownership: ('adopt' | 'strict')?

  @description('Names of the container groups that are managed, or prefixes with *; default: all.')
  groups: string[]?

  @description('CIDR ranges in which addresses of container groups are accepted; default: any.')
  addressRanges: string[]?

  @description('Labels, or prefixes with *, that the tag aci-dns-hostname may choose; default: none.')
  hostnames: string[]?

  @description('Forward zones that were replaced; PTR values in them count as those of aci-dns.')
  formerZones: string[]?

  @description('Names for several container groups each, by label: the groups that belong to it by name, and its TTL in seconds (default 30).')
  services: {
    *: {
      groups: string[]?
      ttl: int?
    }
  }?

  @description('Secrets in Key Vault that hold the addresses; default: none.')
  secret: secretOfSpoke?
}

@description('Where the addresses of a spoke are published, and where the app may do that.')
@export()
@sealed()
type secretOfSpoke = {
  @description('Id of the key vault. It has to use Azure role-based access control.')
  vaultId: string

  @description('Name of the secrets; {group} and {resourceGroup} are replaced. Default: only container groups with the tag aci-dns-secret have one.')
  name: string?

  @description('Names of the secrets at which the right is assigned; default: at the whole vault, whose secrets the app can then read and set.')
  secretNames: string[]?
}

@description('An Event Grid system topic. Azure allows one for each source.')
@export()
@sealed()
type topic = {
  @description('Subscription of topic and source; default: that of the deployment.')
  subscriptionId: string?

  @description('Resource group of the topic; the source too, where that is a resource group.')
  resourceGroup: string

  @description('Whose events it carries: those of its resource group (default), or of its subscription.')
  source: ('resourceGroup' | 'subscription')?

  @description('Name of the topic, if the source has one. It needs a system-assigned identity, for dead letters.')
  existingName: string?
}

@description('Image updates after registry pushes, by an app of its own.')
@export()
@sealed()
type imageUpdatesOfDeployment = {
  @description('Resource groups whose container groups are updated, if they have the tag aci-dns-image; none: there is no such app.')
  resourceGroups: imagePlace[]

  @description('Azure container registries whose pushes come by Event Grid; default: none.')
  registries: registryWithEvents[]?

  @description('Whether other registries call the app; default: no.')
  webhooks: bool?

  @description('What webhooks have to prove: a reference to a secret in Key Vault, @Microsoft.KeyVault(SecretUri=...); default: the key of the function is enough.')
  webhookSecret: string?

  @description('Whether images are updated (default), or the plan is only logged.')
  policy: ('sync' | 'observe')?
}

@description('Where images are updated.')
@export()
@sealed()
type imagePlace = {
  @description('Subscription of the container groups; default: that of the deployment.')
  subscriptionId: string?

  @description('Resource group of the container groups; a trailing * matches the rest of the name.')
  resourceGroup: string

  @description('Registries whose pushes count: hosts, or hosts with a path, such as docker.io/contoso.')
  registries: string[]

  @description('Whether the app may write container groups, for the tags semver: and glob:; default: no, it only restarts them.')
  replace: bool?

  @description('Ids of the subnets of these container groups, which the app has to join where it may write; default: none.')
  subnetIds: string[]?
}

@description('A container registry, and its Event Grid system topic. Azure allows one for each registry.')
@export()
@sealed()
type registryWithEvents = {
  @description('Id of the registry.')
  id: string

  @description('Name of the topic, if the registry has one. It needs a system-assigned identity, for dead letters.')
  existingTopic: string?
}

@description('Private DNS zones in which the private endpoints of the storage account register.')
@export()
@sealed()
type privateDnsZones = {
  @description('Id of the zone of the blob service.')
  blob: string?

  @description('Id of the zone of the queue service.')
  queue: string?

  @description('Id of the zone of the table service.')
  table: string?
}

@description('Settings of aci-dns that are not derived from anything else.')
@export()
@sealed()
type settingsOfApp = {
  @description('What becomes of a record set at a managed name that carries no mark: taken over, or left alone.')
  ACI_DNS_OWNERSHIP: ('adopt' | 'strict')?

  @description('Everything; nothing deleted; nothing written.')
  ACI_DNS_POLICY: ('sync' | 'upsert-only' | 'observe')?

  @description('What the records of a stopped group become.')
  ACI_DNS_STOPPED: ('remove' | 'keep')?

  @description('How long one invocation waits for an address; less than the deadline.')
  @minValue(0)
  @maxValue(27)
  ACI_DNS_ADDRESS_WAIT_SECONDS: int?

  @description('Hard limit of one invocation. Event Grid gives up after 30.')
  @minValue(1)
  @maxValue(28)
  ACI_DNS_DEADLINE_SECONDS: int?

  @description('Delay of a recheck; 0: off.')
  @minValue(0)
  @maxValue(300)
  ACI_DNS_RECHECK_SECONDS: int?

  @description('Reconciliations in flight per process.')
  @minValue(1)
  @maxValue(1024)
  ACI_DNS_MAX_CONCURRENCY: int?

  @description('Resource Manager, where it is not that of the cloud.')
  ACI_DNS_ARM_ENDPOINT: string?

  @description('Log filter.')
  RUST_LOG: string?
}
