// aci-dns in one resource group, and what it reaches outside of it. What will exist:
//
//   here               the app's identity, storage account with its retry queue, Log Analytics workspace, Application
//                      Insights, table and rule for drift events, function app on Flex Consumption, alert rules,
//                      action group, workbook
//   for the spokes     the right to read container groups; an Event Grid system topic for each
//   for each zone      the zone itself, its links, the right to write its record sets
//   for images         where that is asked for: an app with an identity and a storage account of its own, the right to
//                      read and restart container groups, a system topic for each registry
//   for each vault     the right to read and set its secrets, or some of them, where spokes publish addresses
//   in the tenant      two custom roles (more with secrets or images), or none where the built-in ones are chosen
//
// The event subscriptions are not here: Event Grid wants the functions to exist first. deploy.sh applies this file,
// publishes the package, and then applies subscriptions.bicep.
//
// Names of what other modules refer to are computed here, not read from outputs: what-if evaluates a module only if
// its names, scopes and conditions are known before anything is deployed.

import { spoke, topic, settingsOfApp, privateDnsZones, imageUpdatesOfDeployment } from 'types.bicep'

@description('Resource groups whose container groups are given names, and the zones that serve them.')
@minLength(1)
param spokes spoke[]

@description('Event Grid system topics; none given: a new one for the resource group of each spoke. Where topics are given, each spoke needs one that carries its events.')
param topics topic[] = []

@description('Whether the zones are made here. If not, they have to exist, and only links and rights are added.')
param createZones bool = true

@description('Tags that zones have by now, by <subscription>/<resource group>/<zone> in lower case. They are kept: a zone that is deployed again loses the tags that the deployment does not name. deploy.sh fills this in.')
param zoneTags object = {}

@description('The rights of the app: custom roles with exactly the actions that it uses, or Reader, Private DNS Zone Contributor and, for secrets, Key Vault Secrets Officer.')
@allowed(['custom', 'builtIn'])
param roles string = 'custom'

@description('Where the app may read container groups: in the subscriptions of the spokes, or in their resource groups alone. A right in a resource group is deleted with it; Azure then answers 403 for its container groups, and their records stay.')
@allowed(['subscription', 'resourceGroup'])
param containerGroupScope string = 'subscription'

@description('Settings of aci-dns, by the names of the environment variables; what is left out has its default.')
param settings settingsOfApp = {}

@description('Image updates after registry pushes, by an app of its own; no resource groups: there is no such app.')
param imageUpdates imageUpdatesOfDeployment = { resourceGroups: [] }

@description('When the drift sweep runs, as six fields of NCRONTAB; empty: never. The platform moves container groups without an event, and only the sweep finds these.')
param sweepSchedule string = '0 */15 * * * *'

@description('What the drift sweep does with drift that it finds.')
@allowed(['report', 'repair'])
param sweepMode string = 'report'

@description('Whether unfinished work is stored in the retry queue. Without it, Event Grid delivers the events again, at intervals that grow to hours.')
param retryQueue bool = true

@description('Beginning of the names of what is made here.')
@minLength(3)
@maxLength(20)
param namePrefix string = 'aci-dns'

param location string = resourceGroup().location
param tags object = {}

@description('Id of a user-assigned managed identity; empty: a new one.')
param userAssignedIdentityId string = ''

@description('Id of the subnet that the app sends from, delegated to Microsoft.App/environments; empty: none.')
param integrationSubnetId string = ''

@description('Id of the subnet for private endpoints of the storage account, which is then closed; empty: none. It needs integrationSubnetId, or the app itself does not reach its storage.')
param privateEndpointSubnetId string = ''

@description('What may reach the closed storage account besides its private endpoints: nothing, since public network access is off; or the services that Azure trusts. Event Grid writes dead letters as such a service. Where it refuses the event subscriptions because of them, choose trustedServices.')
@allowed(['off', 'trustedServices'])
param storagePublicAccess string = 'off'

@description('Ids of the private DNS zones of the blob, queue and table services, where no policy registers private endpoints.')
param privateDnsZoneIds privateDnsZones = {}

@description('Whether the app refuses what does not come from Event Grid.')
param onlyEventGrid bool = false

@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Instances that are kept warm for events, and paid for all the time. Without one, the first event after a pause waits for a cold start.')
@minValue(0)
@maxValue(20)
param alwaysReadyInstances int = 0

@description('Memory of an instance in MB.')
@allowed([512, 2048, 4096])
param instanceMemoryMB int = 512

@description('Whether plan and storage account are spread over availability zones. The region has to have them.')
param zoneRedundant bool = false

@description('Id of a Log Analytics workspace; empty: a new one.')
param existingWorkspaceId string = ''

@description('Region of the workspace, in which the data collection rule has to stand.')
param workspaceLocation string = location

@description('Id of an Application Insights component; empty: a new one.')
param existingApplicationInsightsId string = ''

@description('Whether Application Insights accepts telemetry without an Entra identity, with its connection string only.')
param applicationInsightsLocalAuth bool = false

@description('Days that a new workspace keeps its logs.')
@minValue(30)
@maxValue(730)
param retentionDays int = 30

@description('Whether resource logs go to the workspace: delivery failures of the topics, logs of the app, writes and deletions in the storage account.')
param diagnosticLogs bool = true

@description('Locks against deletion: none; on app, identity, storage account, workspace and topics; or on the zones as well. A lock on a zone holds for its record sets: aci-dns then empties those that it would delete.')
@allowed(['none', 'resources', 'resourcesAndZones'])
param locks string = 'none'

@description('Days that events which could not be delivered are kept.')
@minValue(1)
@maxValue(365)
param deadLetterDays int = 30

@description('Ids of the action groups that alerts go to. They have to be in the subscription of this deployment.')
param actionGroupIds string[] = []

@description('Address that alerts are sent to, by an action group that is made for it; empty: none.')
param alertEmail string = ''

@description('Minutes after which a name that stays wrong is an alert.')
@minValue(5)
@maxValue(2820)
param driftMinutes int = 15

@description('Minutes of silence after which an alert asks whether events still arrive.')
@minValue(60)
@maxValue(2820)
param silentMinutes int = 1440

// The identity of the app. It exists before the app does: a queue that answers 403 ends the Functions host, so the
// app's rights are assigned first.
module identity 'modules/identity.bicep' = {
  name: '${namePrefix}-identity'
  params: {
    name: identityName
    location: location
    tags: tags
    existingId: userAssignedIdentityId
    lock: isLocked
  }
}

// The host's storage account: package, host state, retry queue, dead letters.
module storage 'modules/storage.bicep' = {
  name: '${namePrefix}-storage'
  params: {
    name: storageAccountName
    location: location
    tags: tags
    zoneRedundant: zoneRedundant
    deadLetterDays: deadLetterDays
    privateEndpointSubnetId: closedToSubnetId
    privateDnsZoneIds: privateDnsZoneIds
    publicAccess: storagePublicAccess
    diagnosticWorkspaceId: diagnosticWorkspaceId
    lock: isLocked
  }
  dependsOn: [monitoring]
}

// Log Analytics and Application Insights.
module monitoring 'modules/monitoring.bicep' = {
  name: '${namePrefix}-monitoring'
  params: {
    workspaceName: '${namePrefix}-logs'
    componentName: '${namePrefix}-telemetry'
    location: location
    tags: tags
    existingWorkspaceId: existingWorkspaceId
    existingApplicationInsightsId: existingApplicationInsightsId
    disableLocalAuth: !applicationInsightsLocalAuth
    retentionDays: retentionDays
    lock: isLocked
  }
}

// The table of drift events, where the workspace is.
module driftTable 'modules/drift-table.bicep' = {
  name: '${namePrefix}-drift-table-${suffix}'
  scope: resourceGroup(workspaceIdParts[2], workspaceIdParts[4])
  params: { workspaceName: workspaceIdParts[8] }
  dependsOn: [monitoring]
}

// The rule that drift events are sent through.
module driftRule 'modules/drift-rule.bicep' = {
  name: '${namePrefix}-drift-rule'
  params: {
    name: driftRuleName
    location: workspaceLocation
    tags: tags
    workspaceId: workspaceId
  }
  dependsOn: [monitoring, driftTable]
}

// The app's rights to its own storage account and to the drift rule.
module appAccess 'modules/app-access.bicep' = {
  name: '${namePrefix}-app-access'
  params: {
    principalId: identity.outputs.principalId
    storageAccountName: storageAccountName
    driftRuleName: driftRuleName
  }
  dependsOn: [storage, driftRule]
}

// The app's right to send telemetry, where Application Insights is.
module applicationInsightsAccess 'modules/application-insights-access.bicep' = {
  name: '${namePrefix}-telemetry-access-${suffix}'
  scope: resourceGroup(applicationInsightsIdParts[2], applicationInsightsIdParts[4])
  params: {
    principalId: identity.outputs.principalId
    applicationInsightsName: applicationInsightsIdParts[8]
  }
  dependsOn: [monitoring]
}

// The function app and its settings.
module app 'modules/function-app.bicep' = {
  name: '${namePrefix}-app'
  params: {
    name: appName
    planName: '${namePrefix}-plan'
    location: location
    tags: tags
    identityId: identityId
    clientId: identity.outputs.clientId
    integrationSubnetId: integrationSubnetId
    onlyEventGrid: onlyEventGrid
    storageAccountName: storageAccountName
    applicationInsightsId: applicationInsightsId
    applicationInsightsLocalAuth: applicationInsightsLocalAuth
    driftRuleName: driftRuleName
    driftStream: driftRule.outputs.stream
    maximumInstanceCount: maximumInstanceCount
    alwaysReadyInstances: alwaysReadyInstances
    instanceMemoryMB: instanceMemoryMB
    zoneRedundant: zoneRedundant
    diagnosticWorkspaceId: diagnosticWorkspaceId
    lock: isLocked
    retryQueue: retryQueue
    settings: appSettings
  }
  dependsOn: [storage, appAccess, applicationInsightsAccess]
}

// The custom roles, assignable in every subscription that has container groups or zones.
module customRoles 'modules/roles.bicep' = if (roles == 'custom') {
  // Deployments at a subscription have a region and are found by name: another installation may be in another region.
  name: '${namePrefix}-roles-${suffix}'
  scope: subscription()
  params: {
    containerGroupRoleId: containerGroupRoleId
    recordSetRoleId: recordSetRoleId
    secretRoleId: secretRoleId
    imageUpdateRoleId: imageUpdateRoleId
    imageReplacementRoleId: imageReplacementRoleId
    hasSecrets: !empty(secretScopes)
    hasImages: updatesImages
    replacesImages: replacesImages
    nameSuffix: '${namePrefix} ${suffix}'
    subscriptionIds: subscriptionIds
  }
}

// The app's right to read the container groups of the spokes, in their subscriptions.
module containerGroupAccessInSubscription 'modules/container-group-access-subscription.bicep' = [
  for (subscriptionId, index) in readSubscriptionIds: {
    name: '${namePrefix}-container-groups-${index}-${suffix}'
    scope: subscription(subscriptionId)
    params: { principalId: identity.outputs.principalId, roleId: containerGroupRoleId }
    dependsOn: [customRoles]
  }
]

// The same in resource groups, where that is asked for.
module containerGroupAccess 'modules/container-group-access.bicep' = [
  for (entry, index) in readEntries: {
    name: '${namePrefix}-container-groups-${index}-${suffix}'
    scope: resourceGroup(entry.subscriptionId, entry.resourceGroup)
    params: { principalId: identity.outputs.principalId, roleId: containerGroupRoleId }
    dependsOn: [customRoles]
  }
]

// The zones, unless they exist.
module newZones 'modules/new-zone.bicep' = [
  for (zone, index) in (createZones ? zones : []): {
    name: '${namePrefix}-new-zone-${index}-${suffix}'
    scope: resourceGroup(zone.subscriptionId, zone.resourceGroup)
    params: { name: zone.name, tags: union(zoneTags[?zone.id] ?? {}, tags) }
  }
]

// The links of each zone to the networks that query it, and the app's right to write its record sets.
module zoneAccess 'modules/zone.bicep' = [
  for (zone, index) in zones: {
    name: '${namePrefix}-zone-${index}-${suffix}'
    scope: resourceGroup(zone.subscriptionId, zone.resourceGroup)
    params: {
      name: zone.name
      tags: tags
      networkIds: zone.networkIds
      principalId: identity.outputs.principalId
      roleId: recordSetRoleId
      lock: locks == 'resourcesAndZones'
    }
    dependsOn: [newZones, customRoles]
  }
]

// The app's right to read and set secrets: at a vault, or at one secret.
module secretAccess 'modules/secret-access.bicep' = [
  for (scopeId, index) in secretScopes: {
    name: '${namePrefix}-secrets-${index}-${suffix}'
    scope: resourceGroup(split(scopeId, '/')[2], split(scopeId, '/')[4])
    params: {
      vaultName: split(scopeId, '/')[8]
      secretName: split(scopeId, '/')[10]
      principalId: identity.outputs.principalId
      roleId: secretRoleId
    }
    dependsOn: [customRoles]
  }
]

// The system topic of each source of events.
module systemTopics 'modules/topic.bicep' = [
  for (entry, index) in topicEntries: {
    name: '${namePrefix}-topic-${index}-${suffix}'
    scope: resourceGroup(entry.subscriptionId, entry.resourceGroup)
    params: {
      name: entry.name
      tags: tags
      create: entry.create
      source: entry.source
      diagnosticWorkspaceId: diagnosticWorkspaceId
      lock: isLocked
    }
    dependsOn: [monitoring]
  }
]

// The right of each topic to write dead letters.
module deadLetterAccess 'modules/dead-letter-access.bicep' = [
  for (entry, index) in topicEntries: {
    name: '${namePrefix}-dead-letters-${index}'
    params: {
      storageAccountName: storageAccountName
      principalId: systemTopics[index].outputs.principalId
    }
    dependsOn: [storage]
  }
]

// The app that updates images, where that is asked for.
module images 'modules/images.bicep' = if (updatesImages) {
  name: '${namePrefix}-images'
  params: {
    location: location
    tags: tags
    namePrefix: namePrefix
    suffix: suffix
    appName: imagesAppName
    storageAccountName: imagesStorageAccountName
    places: imagePlaces
    registries: imageRegistries
    updateRoleId: imageUpdateRoleId
    replacementRoleId: imageReplacementRoleId
    webhooks: imageUpdates.?webhooks ?? false
    applicationInsightsId: applicationInsightsId
    applicationInsightsLocalAuth: applicationInsightsLocalAuth
    maximumInstanceCount: maximumInstanceCount
    instanceMemoryMB: instanceMemoryMB
    zoneRedundant: zoneRedundant
    deadLetterDays: deadLetterDays
    integrationSubnetId: integrationSubnetId
    privateEndpointSubnetId: closedToSubnetId
    privateDnsZoneIds: privateDnsZoneIds
    publicAccess: storagePublicAccess
    onlyEventGrid: onlyEventGrid
    diagnosticWorkspaceId: diagnosticWorkspaceId
    lock: isLocked
    settings: imageSettings
  }
  dependsOn: [monitoring, customRoles]
}

// Alert rules: drift that stays, failures, dead letters, silence; and the action group.
module alerts 'modules/alerts.bicep' = {
  name: '${namePrefix}-alerts'
  params: {
    namePrefix: namePrefix
    location: location
    tags: tags
    applicationInsightsId: applicationInsightsId
    systemTopicIds: concat(systemTopicIds, imageTopicIds)
    actionGroupIds: actionGroupIds
    alertEmail: alertEmail
    driftMinutes: driftMinutes
    silentMinutes: silentMinutes
  }
  dependsOn: [monitoring, systemTopics, images]
}

// The workbook for the person on call.
module workbook 'modules/workbook.bicep' = {
  name: '${namePrefix}-workbook'
  params: {
    location: location
    tags: tags
    applicationInsightsId: applicationInsightsId
    displayName: namePrefix
  }
  dependsOn: [monitoring]
}

// What follows from the parameters.

var homeSubscriptionId = toLower(subscription().subscriptionId)
var suffix = uniqueString(resourceGroup().id)
var isLocked = locks != 'none'

var identityName = '${namePrefix}-identity'
var storageAccountName = 'acidns${uniqueString(resourceGroup().id, namePrefix)}'
var driftRuleName = '${namePrefix}-drift'
var appName = '${namePrefix}-${uniqueString(resourceGroup().id, namePrefix)}'

var needsZoneResourceGroup = 'has a resource group that ends in *, so it needs a zoneResourceGroup'
var spokesWithDefaults = map(spokes, entry => {
  subscriptionId: toLower(entry.?subscriptionId ?? homeSubscriptionId)
  resourceGroup: entry.resourceGroup
  isPattern: endsWith(entry.resourceGroup, '*')
  networkIds: entry.?networkIds ?? []
  forwardZone: toLower(entry.forwardZone)
  reverseZones: map(entry.reverseZones, name => toLower(name))
  zoneSubscriptionId: toLower(entry.?zoneSubscriptionId ?? entry.?subscriptionId ?? homeSubscriptionId)
  zoneResourceGroup: endsWith(entry.resourceGroup, '*')
    ? toLower(entry.?zoneResourceGroup ?? fail('The spoke ${entry.resourceGroup} ${needsZoneResourceGroup}.'))
    : toLower(entry.?zoneResourceGroup ?? entry.resourceGroup)
  ttl: entry.?ttl ?? 60
  vaultId: toLower(entry.?secret.?vaultId ?? '')
  secretNames: entry.?secret.?secretNames ?? []
  // What is left out has the default of aci-dns, which refuses null.
  given: filter(
    items({
      policy: entry.?policy
      ownership: entry.?ownership
      groups: entry.?groups
      addressRanges: entry.?addressRanges
      hostnames: entry.?hostnames
      formerZones: entry.?formerZones
      secret: empty(entry.?secret.?vaultId ?? '')
        ? null
        : union(
            { vault: 'https://${last(split(entry.secret!.vaultId, '/'))}${vaultSuffixes[environment().name]}/' },
            empty(entry.secret!.?name ?? '') ? {} : { name: entry.secret!.name! }
          )
      services: entry.?services
    }),
    item => item.value != null
  )
})
var entries = map(
  spokesWithDefaults,
  entry =>
    union(entry, {
      // For a pattern: what the names of its resource groups begin with.
      source: toLower('${entry.subscriptionId}/${replace(entry.resourceGroup, '*', '')}')
      zoneIds: map(
        concat([entry.forwardZone], entry.reverseZones),
        name => '${entry.zoneSubscriptionId}/${entry.zoneResourceGroup}/${name}'
      )
    })
)

// Where the app may read and set secrets: the id of a vault and, after the last slash, the name of a secret or nothing.
var publishingEntries = filter(entries, entry => !empty(entry.vaultId))
var secretScopes = union(
  [],
  flatten(map(
    publishingEntries,
    entry => map(empty(entry.secretNames) ? [''] : entry.secretNames, name => '${entry.vaultId}/secrets/${toLower(name)}')
  ))
)

// A zone that serves several spokes is one zone.
var zones = map(union([], flatten(map(entries, entry => entry.zoneIds))), zoneId => {
  id: zoneId
  subscriptionId: split(zoneId, '/')[0]
  resourceGroup: split(zoneId, '/')[1]
  name: split(zoneId, '/')[2]
  networkIds: union([], flatten(map(filter(entries, each => contains(each.zoneIds, zoneId)), each => each.networkIds)))
})

// Where images are updated. Its rights are custom roles alone: no built-in one only reads and restarts.
var updatesImages = !empty(imageUpdates.resourceGroups)
var imagePlaces = map(imageUpdates.resourceGroups, place => {
  subscriptionId: toLower(place.?subscriptionId ?? homeSubscriptionId)
  resourceGroup: place.resourceGroup
  isPattern: endsWith(place.resourceGroup, '*')
  registries: place.registries
  replace: place.?replace ?? false
  subnetIds: map(place.?subnetIds ?? [], id => toLower(id))
})
var replacesImages = !empty(filter(imagePlaces, place => place.replace))
var imageSubscriptionIds = union([], map(imagePlaces, place => place.subscriptionId))
var subnetSubscriptionIds = map(flatten(map(imagePlaces, place => place.subnetIds)), id => split(id, '/')[2])
var imageRegistries = map(imageUpdates.?registries ?? [], registry => {
  id: registry.id
  topicName: registry.?existingTopic ?? '${namePrefix}-images'
  create: empty(registry.?existingTopic ?? '')
})
var imageTopics = map(updatesImages ? imageRegistries : [], registry => {
  subscriptionId: toLower(split(registry.id, '/')[2])
  resourceGroup: split(registry.id, '/')[4]
  name: registry.topicName
})
var imageTopicIds = map(
  imageTopics,
  entry => resourceId(entry.subscriptionId, entry.resourceGroup, 'Microsoft.EventGrid/systemTopics', entry.name)
)
var imagesAppName = '${namePrefix}-images-${uniqueString(resourceGroup().id, namePrefix)}'
var imagesStorageAccountName = 'acidns${uniqueString(resourceGroup().id, namePrefix, 'images')}'
var imageUpdateRoleId = roles == 'custom' || !updatesImages
  ? guid(resourceGroup().id, namePrefix, 'image updates')
  : fail('imageUpdates needs custom roles: no built-in role only reads and restarts container groups.')
var imageReplacementRoleId = guid(resourceGroup().id, namePrefix, 'image replacements')

var exactEntries = filter(entries, entry => !entry.isPattern)
var readsSubscriptions = containerGroupScope == 'subscription'
var readEntries = filter(entries, entry => !entry.isPattern && !readsSubscriptions)
var readAtSubscription = filter(entries, entry => entry.isPattern || readsSubscriptions)
var readSubscriptionIds = union([], map(readAtSubscription, entry => entry.subscriptionId))
var spokeSubscriptionIds = union([], map(entries, entry => entry.subscriptionId))
var vaultSubscriptionIds = map(publishingEntries, entry => split(entry.vaultId, '/')[2])
var zoneSubscriptionIds = map(entries, entry => entry.zoneSubscriptionId)
var subscriptionIds = union(
  [homeSubscriptionId],
  spokeSubscriptionIds,
  zoneSubscriptionIds,
  vaultSubscriptionIds,
  imageSubscriptionIds,
  subnetSubscriptionIds
)

var givenTopics = empty(topics)
  ? map(exactEntries, entry => {
      subscriptionId: entry.subscriptionId
      resourceGroup: entry.resourceGroup
      source: 'resourceGroup'
      name: '${namePrefix}-events'
      create: true
    })
  : map(topics, entry => {
      subscriptionId: toLower(entry.?subscriptionId ?? homeSubscriptionId)
      resourceGroup: entry.resourceGroup
      source: entry.?source ?? 'resourceGroup'
      name: entry.?existingName ?? '${namePrefix}-events'
      create: empty(entry.?existingName ?? '')
    })

// The events of a spoke come from a topic of its subscription, or from one of its resource group. A pattern may have
// topics of the resource groups that it matches, where they are given.
var wholeTopics = filter(givenTopics, entry => entry.source == 'subscription')
var heardSubscriptions = map(wholeTopics, entry => entry.subscriptionId)
var heardGroups = map(givenTopics, entry => toLower('${entry.subscriptionId}/${entry.resourceGroup}'))
var quietEntries = filter(entries, entry => !contains(heardSubscriptions, entry.subscriptionId))
var quietSpokes = filter(quietEntries, entry => !entry.isPattern && !contains(heardGroups, entry.source))
var quietPatterns = filter(
  quietEntries,
  entry => entry.isPattern && (empty(topics) || empty(filter(heardGroups, group => startsWith(group, entry.source))))
)
var quietNames = join(map(concat(quietSpokes, quietPatterns), entry => entry.resourceGroup), ', ')
var topicEntries = empty(quietNames) ? givenTopics : fail('No topic carries the events of ${quietNames}: add topics.')
var systemTopicIds = map(
  topicEntries,
  entry => resourceId(entry.subscriptionId, entry.resourceGroup, 'Microsoft.EventGrid/systemTopics', entry.name)
)

var closedToSubnetId = empty(privateEndpointSubnetId) || !empty(integrationSubnetId)
  ? privateEndpointSubnetId
  : fail('privateEndpointSubnetId closes the storage account: the app needs integrationSubnetId to reach it.')

var containerGroupRoleId = roles == 'custom'
  ? guid(resourceGroup().id, namePrefix, 'container groups')
  : 'acdd72a7-3385-48ef-bd42-f606fba81ae7'
var recordSetRoleId = roles == 'custom'
  ? guid(resourceGroup().id, namePrefix, 'record sets')
  : 'b12aa53e-6015-4669-85d0-8515ebb3ae7f'
var secretRoleId = roles == 'custom'
  ? guid(resourceGroup().id, namePrefix, 'secrets')
  : 'b86a8fe4-44ce-4948-aee5-eccb2c155cd7'

// Ids that are known before anything is made.
var identityId = empty(userAssignedIdentityId)
  ? resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', identityName)
  : userAssignedIdentityId
var workspaceId = empty(existingWorkspaceId)
  ? resourceId('Microsoft.OperationalInsights/workspaces', '${namePrefix}-logs')
  : existingWorkspaceId
var applicationInsightsId = empty(existingApplicationInsightsId)
  ? resourceId('Microsoft.Insights/components', '${namePrefix}-telemetry')
  : existingApplicationInsightsId
var workspaceIdParts = split(workspaceId, '/')
var applicationInsightsIdParts = split(applicationInsightsId, '/')
var diagnosticWorkspaceId = diagnosticLogs ? workspaceId : ''

var zoneMap = toObject(
  entries,
  entry => '${entry.subscriptionId}/${entry.resourceGroup}',
  entry =>
    union(toObject(entry.given, item => item.key, item => item.value), {
      forwardZone: entry.forwardZone
      reverseZones: entry.reverseZones
      zoneSubscriptionId: entry.zoneSubscriptionId
      zoneResourceGroup: entry.zoneResourceGroup
      ttl: entry.ttl
    })
)
var vaultSuffixes = {
  AzureCloud: '.vault.azure.net'
  AzureUSGovernment: '.vault.usgovcloudapi.net'
  AzureChinaCloud: '.vault.azure.cn'
}
var clouds = { AzureCloud: 'public', AzureUSGovernment: 'usgovernment', AzureChinaCloud: 'china' }
var appSettings = union(toObject(items(settings), setting => setting.key, setting => string(setting.value)), {
  ACI_DNS_CLOUD: clouds[environment().name]
  ACI_DNS_ZONES: string(zoneMap)
  ACI_DNS_SUBSCRIPTIONS: join(spokeSubscriptionIds, ',')
  ACI_DNS_SWEEP: sweepMode
  // The host reads the schedule of a function that is switched off as well, and has to understand it.
  ACI_DNS_SWEEP_SCHEDULE: empty(sweepSchedule) ? '0 0 0 1 1 *' : sweepSchedule
  'AzureWebJobs.function_drift_sweep.Disabled': empty(sweepSchedule) ? 'true' : 'false'
  'AzureWebJobs.function_aci_retry.Disabled': retryQueue ? 'false' : 'true'
})

var imageMap = toObject(
  imagePlaces,
  place => '${place.subscriptionId}/${place.resourceGroup}',
  place => { registries: place.registries }
)
var imageSettings = union(
  {
    ACI_DNS_CLOUD: clouds[environment().name]
    ACI_DNS_IMAGES: string(imageMap)
    ACI_DNS_POLICY: imageUpdates.?policy ?? 'sync'
    ACI_DNS_SUBSCRIPTIONS: join(imageSubscriptionIds, ',')
    // Of it, the services count: their members are updated one after the other.
    ACI_DNS_ZONES: string(zoneMap)
  },
  empty(imageUpdates.?webhookSecret ?? '')
    ? {}
    : {
        ACI_DNS_WEBHOOK_SECRET: imageUpdates.?webhookSecret ?? ''
      }
)

output namePrefix string = namePrefix
output functionAppName string = appName
output functionAppId string = app.outputs.id
output storageAccountId string = storage.outputs.id
output topics array = topicEntries
output spokes array = entries
output retryQueue bool = retryQueue
output imagesFunctionAppName string = updatesImages ? imagesAppName : ''
output imagesFunctionAppId string = updatesImages ? images!.outputs.functionAppId : ''
output imagesStorageAccountId string = updatesImages ? images!.outputs.storageAccountId : ''
output imageTopics array = imageTopics
