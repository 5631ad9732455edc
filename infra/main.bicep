// aci-dns in one resource group, and what it reaches outside of it. What will exist:
//
//   here               storage account, Log Analytics workspace, Application Insights, table and rule for drift
//                      events, function app on Flex Consumption, alert rules, workbook
//   in each spoke      the right to read its container groups; an Event Grid system topic
//   for each zone      the zone itself, its links, the right to write its record sets
//   in the tenant      two custom roles, or none where the built-in ones are chosen
//
// The event subscriptions are not here: Event Grid wants the functions to exist first. deploy.sh applies this file,
// publishes the package, and then applies subscriptions.bicep.

import { spoke, topic, settingsOfApp } from 'types.bicep'

@description('Resource groups whose container groups are given names, and the zones that serve them.')
@minLength(1)
param spokes spoke[]

@description('Event Grid system topics; none given: a new one for the resource group of each spoke.')
param topics topic[] = []

@description('Whether the zones are made here. If not, they have to exist, and only links and rights are added.')
param createZones bool = true

@description('The rights of the app: two custom roles with exactly the actions that it uses, or Reader and Private DNS Zone Contributor.')
@allowed(['custom', 'builtIn'])
param roles string = 'custom'

@description('Settings of aci-dns, by the names of the environment variables; what is left out has its default.')
param settings settingsOfApp = {}

@description('When the drift sweep runs, as six fields of NCRONTAB; empty: never.')
param sweepSchedule string = ''

@description('What the drift sweep does with drift that it finds.')
@allowed(['report', 'repair'])
param sweepMode string = 'report'

@description('Beginning of the names of what is made here.')
@minLength(3)
@maxLength(20)
param namePrefix string = 'aci-dns'

param location string = resourceGroup().location
param tags object = {}

@description('Id of a user-assigned managed identity; empty: the app has a system-assigned one.')
param userAssignedIdentityId string = ''

@description('Id of the subnet that the app sends from, delegated to Microsoft.App/environments; empty: none.')
param integrationSubnetId string = ''

@description('Id of the subnet for a private endpoint of the storage account, which is then closed; empty: none.')
param privateEndpointSubnetId string = ''

@description('Id of the zone privatelink.blob.core.windows.net, where no policy registers private endpoints.')
param blobPrivateDnsZoneId string = ''

@description('Whether the app refuses what does not come from Event Grid.')
param onlyEventGrid bool = false

@minValue(1)
@maxValue(1000)
param maximumInstanceCount int = 40

@description('Instances that are kept warm for events, and paid for all the time.')
@minValue(0)
@maxValue(20)
param alwaysReadyInstances int = 0

@description('Id of a Log Analytics workspace; empty: a new one.')
param existingWorkspaceId string = ''

@description('Region of the workspace, in which the data collection rule has to stand.')
param workspaceLocation string = location

@description('Id of an Application Insights component; empty: a new one.')
param existingApplicationInsightsId string = ''

@description('Whether Application Insights takes telemetry from whoever knows its connection string.')
param applicationInsightsLocalAuth bool = false

@minValue(30)
@maxValue(730)
param retentionDays int = 30

@description('Ids of the action groups that alerts go to.')
param actionGroupIds string[] = []

@description('Minutes after which a name that stays wrong is an alert.')
@minValue(1)
@maxValue(2820)
param driftMinutes int = 15

@description('Minutes of silence after which an alert asks whether events still arrive.')
@minValue(5)
@maxValue(2820)
param silentMinutes int = 1440

// The host's storage account: package, host state, dead letters.
module storage 'modules/storage.bicep' = {
  name: '${namePrefix}-storage'
  params: {
    name: 'acidns${uniqueString(resourceGroup().id, namePrefix)}'
    location: location
    tags: tags
    privateEndpointSubnetId: privateEndpointSubnetId
    blobPrivateDnsZoneId: blobPrivateDnsZoneId
  }
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
  }
}

// The table of drift events, where the workspace is.
module driftTable 'modules/drift-table.bicep' = {
  name: '${namePrefix}-drift-table'
  scope: resourceGroup(workspaceIdParts[2], workspaceIdParts[4])
  params: { workspaceName: workspaceIdParts[8] }
  dependsOn: [monitoring]
}

// The rule that drift events are sent through.
module driftRule 'modules/drift-rule.bicep' = {
  name: '${namePrefix}-drift-rule'
  params: {
    name: '${namePrefix}-drift'
    location: workspaceLocation
    tags: tags
    workspaceId: monitoring.outputs.workspaceId
  }
  dependsOn: [driftTable]
}

// The function app and its settings.
module app 'modules/function-app.bicep' = {
  name: '${namePrefix}-app'
  params: {
    name: '${namePrefix}-${uniqueString(resourceGroup().id, namePrefix)}'
    planName: '${namePrefix}-plan'
    location: location
    tags: tags
    userAssignedIdentityId: userAssignedIdentityId
    integrationSubnetId: integrationSubnetId
    onlyEventGrid: onlyEventGrid
    storageAccountName: storage.outputs.name
    packageContainerUrl: storage.outputs.packageContainerUrl
    applicationInsightsId: monitoring.outputs.applicationInsightsId
    applicationInsightsLocalAuth: applicationInsightsLocalAuth
    driftRuleName: driftRule.outputs.name
    driftStream: driftRule.outputs.stream
    maximumInstanceCount: maximumInstanceCount
    alwaysReadyInstances: alwaysReadyInstances
    settings: appSettings
  }
}

// The app's rights to its own storage account and to the drift rule.
module appAccess 'modules/app-access.bicep' = {
  name: '${namePrefix}-app-access'
  params: {
    principalId: app.outputs.principalId
    storageAccountName: storage.outputs.name
    driftRuleName: driftRule.outputs.name
  }
}

// The app's right to send telemetry, where Application Insights is.
module applicationInsightsAccess 'modules/application-insights-access.bicep' = {
  name: '${namePrefix}-telemetry-access'
  scope: resourceGroup(applicationInsightsIdParts[2], applicationInsightsIdParts[4])
  params: {
    principalId: app.outputs.principalId
    applicationInsightsName: applicationInsightsIdParts[8]
  }
}

// The custom roles, assignable in every subscription that has container groups or zones.
module customRoles 'modules/roles.bicep' = if (roles == 'custom') {
  name: '${namePrefix}-roles'
  scope: subscription()
  params: {
    containerGroupRoleId: containerGroupRoleId
    recordSetRoleId: recordSetRoleId
    nameSuffix: '${namePrefix} ${uniqueString(resourceGroup().id)}'
    subscriptionIds: subscriptionIds
  }
}

// The app's right to read the container groups of each spoke.
module containerGroupAccess 'modules/container-group-access.bicep' = [
  for (entry, index) in exactEntries: {
    name: '${namePrefix}-container-groups-${index}'
    scope: resourceGroup(entry.subscriptionId, entry.resourceGroup)
    params: { principalId: app.outputs.principalId, roleId: containerGroupRoleId }
    dependsOn: [customRoles]
  }
]

// The same in whole subscriptions, where spokes are named by a pattern.
module containerGroupAccessInSubscription 'modules/container-group-access-subscription.bicep' = [
  for (subscriptionId, index) in patternSubscriptionIds: {
    name: '${namePrefix}-container-groups-${index}'
    scope: subscription(subscriptionId)
    params: { principalId: app.outputs.principalId, roleId: containerGroupRoleId }
    dependsOn: [customRoles]
  }
]

// The zones, unless they exist.
module newZones 'modules/new-zone.bicep' = [
  for (zone, index) in (createZones ? zones : []): {
    name: '${namePrefix}-new-zone-${index}'
    scope: resourceGroup(zone.subscriptionId, zone.resourceGroup)
    params: { name: zone.name, tags: tags }
  }
]

// The links of each zone to the networks that query it, and the app's right to write its record sets.
module zoneAccess 'modules/zone.bicep' = [
  for (zone, index) in zones: {
    name: '${namePrefix}-zone-${index}'
    scope: resourceGroup(zone.subscriptionId, zone.resourceGroup)
    params: {
      name: zone.name
      tags: tags
      networkIds: zone.networkIds
      principalId: app.outputs.principalId
      roleId: recordSetRoleId
    }
    dependsOn: [newZones, customRoles]
  }
]

// The system topic of each source of events.
module systemTopics 'modules/topic.bicep' = [
  for (entry, index) in topicEntries: {
    name: '${namePrefix}-topic-${index}'
    scope: resourceGroup(entry.subscriptionId, entry.resourceGroup)
    params: { name: entry.name, tags: tags, create: entry.create, source: entry.source }
  }
]

// The right of each topic to write dead letters.
module deadLetterAccess 'modules/dead-letter-access.bicep' = [
  for (entry, index) in topicEntries: {
    name: '${namePrefix}-dead-letters-${index}'
    params: {
      storageAccountName: storage.outputs.name
      principalId: systemTopics[index].outputs.principalId
    }
  }
]

// Alert rules: drift that stays, failures, dead letters, silence.
module alerts 'modules/alerts.bicep' = {
  name: '${namePrefix}-alerts'
  params: {
    namePrefix: namePrefix
    location: location
    tags: tags
    applicationInsightsId: monitoring.outputs.applicationInsightsId
    systemTopicIds: map(
      topicEntries,
      entry => resourceId(entry.subscriptionId, entry.resourceGroup, 'Microsoft.EventGrid/systemTopics', entry.name)
    )
    actionGroupIds: actionGroupIds
    driftMinutes: driftMinutes
    silentMinutes: silentMinutes
  }
  dependsOn: [systemTopics]
}

// The workbook for the person on call.
module workbook 'modules/workbook.bicep' = {
  name: '${namePrefix}-workbook'
  params: {
    location: location
    tags: tags
    applicationInsightsId: monitoring.outputs.applicationInsightsId
    displayName: namePrefix
  }
}

// What follows from the parameters.

var homeSubscriptionId = toLower(subscription().subscriptionId)

var spokesWithDefaults = map(spokes, entry => {
  subscriptionId: toLower(entry.?subscriptionId ?? homeSubscriptionId)
  resourceGroup: entry.resourceGroup
  isPattern: endsWith(entry.resourceGroup, '*')
  networkIds: entry.?networkIds ?? []
  forwardZone: toLower(entry.forwardZone)
  reverseZones: map(entry.reverseZones, name => toLower(name))
  zoneSubscriptionId: toLower(entry.?zoneSubscriptionId ?? entry.?subscriptionId ?? homeSubscriptionId)
  zoneResourceGroup: toLower(entry.?zoneResourceGroup ?? entry.resourceGroup)
  ttl: entry.?ttl ?? 60
})
var entries = map(spokesWithDefaults, entry => union(entry, {
  zoneIds: map(
    concat([entry.forwardZone], entry.reverseZones),
    name => '${entry.zoneSubscriptionId}/${entry.zoneResourceGroup}/${name}'
  )
}))

// A zone that serves several spokes is one zone.
var zones = map(union([], flatten(map(entries, entry => entry.zoneIds))), zoneId => {
  subscriptionId: split(zoneId, '/')[0]
  resourceGroup: split(zoneId, '/')[1]
  name: split(zoneId, '/')[2]
  networkIds: union(
    [],
    flatten(map(filter(entries, entry => contains(entry.zoneIds, zoneId)), entry => entry.networkIds))
  )
})

var exactEntries = filter(entries, entry => !entry.isPattern)
var patternSubscriptionIds = union([], map(filter(entries, entry => entry.isPattern), entry => entry.subscriptionId))
var subscriptionIds = union(
  [homeSubscriptionId],
  map(entries, entry => entry.subscriptionId),
  map(entries, entry => entry.zoneSubscriptionId)
)

var topicEntries = empty(topics)
  ? map(exactEntries, entry => {
      subscriptionId: entry.subscriptionId
      resourceGroup: entry.resourceGroup
      source: 'resourceGroup'
      name: '${namePrefix}-events'
      create: true
    })
  : map(topics, entry => {
      subscriptionId: entry.?subscriptionId ?? homeSubscriptionId
      resourceGroup: entry.resourceGroup
      source: entry.?source ?? 'resourceGroup'
      name: entry.?existingName ?? '${namePrefix}-events'
      create: empty(entry.?existingName ?? '')
    })

var containerGroupRoleId = roles == 'custom'
  ? guid(resourceGroup().id, namePrefix, 'container groups')
  : 'acdd72a7-3385-48ef-bd42-f606fba81ae7'
var recordSetRoleId = roles == 'custom'
  ? guid(resourceGroup().id, namePrefix, 'record sets')
  : 'b12aa53e-6015-4669-85d0-8515ebb3ae7f'

// Parts of ids that are known before anything is made: a module's scope has to be.
var workspaceIdParts = split(
  empty(existingWorkspaceId)
    ? resourceId('Microsoft.OperationalInsights/workspaces', '${namePrefix}-logs')
    : existingWorkspaceId,
  '/'
)
var applicationInsightsIdParts = split(
  empty(existingApplicationInsightsId)
    ? resourceId('Microsoft.Insights/components', '${namePrefix}-telemetry')
    : existingApplicationInsightsId,
  '/'
)

var clouds = { AzureCloud: 'public', AzureUSGovernment: 'usgovernment', AzureChinaCloud: 'china' }
var appSettings = union(
  toObject(items(settings), setting => setting.key, setting => string(setting.value)),
  {
    ACI_DNS_CLOUD: clouds[environment().name]
    ACI_DNS_ZONES: string(toObject(
      entries,
      entry => '${entry.subscriptionId}/${entry.resourceGroup}',
      entry => {
        forwardZone: entry.forwardZone
        reverseZones: entry.reverseZones
        zoneSubscriptionId: entry.zoneSubscriptionId
        zoneResourceGroup: entry.zoneResourceGroup
        ttl: entry.ttl
      }
    ))
    ACI_DNS_SWEEP: sweepMode
    // The host reads the schedule of a function that is switched off as well, and has to understand it.
    ACI_DNS_SWEEP_SCHEDULE: empty(sweepSchedule) ? '0 0 0 1 1 *' : sweepSchedule
    'AzureWebJobs.function_drift_sweep.Disabled': empty(sweepSchedule) ? 'true' : 'false'
  }
)

output namePrefix string = namePrefix
output functionAppName string = app.outputs.name
output functionAppId string = app.outputs.id
output storageAccountId string = storage.outputs.id
output topics array = topicEntries
output spokes array = entries
