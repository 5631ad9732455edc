// The app that updates images after registry pushes: its identity, storage account, plan and app, its rights, and the
// topics of the registries. Nothing of it is shared with the app that keeps DNS right, except telemetry.

param location string
param tags object

@description('Beginning of the names of identity and plan, and of the topics of registries.')
param namePrefix string

@description('End of the names of deployments in other resource groups.')
param suffix string

param appName string
param storageAccountName string

@description('Where the app may read and restart container groups: subscriptionId, resourceGroup, isPattern, replace, subnetIds.')
param places array

@description('Registries with events: id, topicName, create.')
param registries array

@description('The custom role to read and restart container groups.')
param updateRoleId string

@description('The custom role to write container groups.')
param replacementRoleId string

@description('Whether other registries call the app.')
param webhooks bool

param applicationInsightsId string
param applicationInsightsLocalAuth bool
param maximumInstanceCount int

@description('Memory of an instance in MB.')
param instanceMemoryMB int

param zoneRedundant bool
param deadLetterDays int
param integrationSubnetId string
param privateEndpointSubnetId string
param privateDnsZoneIds object
param publicAccess string

@description('Whether the app refuses what does not come from Event Grid.')
param onlyEventGrid bool

@description('Workspace for resource logs; empty: none.')
param diagnosticWorkspaceId string

@description('Whether identity, storage account, app and topics are locked against deletion.')
param lock bool

@description('Settings of aci-dns itself, by the names of the environment variables.')
param settings object

var componentParts = split(applicationInsightsId, '/')
var identityName = '${namePrefix}-images-identity'
var identityId = resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', identityName)
var inSubscriptions = union([], map(filter(places, place => place.isPattern), place => place.subscriptionId))
var inGroups = filter(places, place => !place.isPattern)
var replacingSubscriptions = union(
  [],
  map(filter(places, place => place.isPattern && place.replace), place => place.subscriptionId)
)
var replacingGroups = filter(inGroups, place => place.replace)
var joinedSubnetIds = union([], flatten(map(filter(places, place => place.replace), place => place.subnetIds)))

module identity 'identity.bicep' = {
  name: '${namePrefix}-images-identity'
  params: { name: identityName, location: location, tags: tags, existingId: '', lock: lock }
}

module storage 'storage.bicep' = {
  name: '${namePrefix}-images-storage'
  params: {
    name: storageAccountName
    location: location
    tags: tags
    zoneRedundant: zoneRedundant
    deadLetterDays: deadLetterDays
    privateEndpointSubnetId: privateEndpointSubnetId
    privateDnsZoneIds: privateDnsZoneIds
    publicAccess: publicAccess
    diagnosticWorkspaceId: diagnosticWorkspaceId
    lock: lock
  }
}

module access 'images-access.bicep' = {
  name: '${namePrefix}-images-access'
  params: { principalId: identity.outputs.principalId, storageAccountName: storageAccountName }
  dependsOn: [storage]
}

module applicationInsightsAccess 'application-insights-access.bicep' = {
  name: '${namePrefix}-images-telemetry-access-${suffix}'
  scope: resourceGroup(componentParts[2], componentParts[4])
  params: { principalId: identity.outputs.principalId, applicationInsightsName: componentParts[8] }
}

module app 'images-app.bicep' = {
  name: '${namePrefix}-images-app'
  params: {
    name: appName
    planName: '${namePrefix}-images-plan'
    location: location
    tags: tags
    identityId: identityId
    clientId: identity.outputs.clientId
    integrationSubnetId: integrationSubnetId
    onlyEventGrid: onlyEventGrid && !webhooks
    storageAccountName: storageAccountName
    applicationInsightsId: applicationInsightsId
    applicationInsightsLocalAuth: applicationInsightsLocalAuth
    maximumInstanceCount: maximumInstanceCount
    instanceMemoryMB: instanceMemoryMB
    zoneRedundant: zoneRedundant
    diagnosticWorkspaceId: diagnosticWorkspaceId
    lock: lock
    webhooks: webhooks
    settings: settings
  }
  dependsOn: [storage, access, applicationInsightsAccess]
}

// The right to read and restart, in the resource groups of the map or, for patterns, in their subscriptions.
module updatesInSubscription 'container-group-access-subscription.bicep' = [
  for (subscriptionId, index) in inSubscriptions: {
    name: '${namePrefix}-image-updates-${index}-${suffix}'
    scope: subscription(subscriptionId)
    params: { principalId: identity.outputs.principalId, roleId: updateRoleId }
  }
]

module updates 'container-group-access.bicep' = [
  for (place, index) in inGroups: {
    name: '${namePrefix}-image-updates-${index}-${suffix}'
    scope: resourceGroup(place.subscriptionId, place.resourceGroup)
    params: { principalId: identity.outputs.principalId, roleId: updateRoleId }
  }
]

// The right to write, only where images are replaced.
module replacementsInSubscription 'container-group-access-subscription.bicep' = [
  for (subscriptionId, index) in replacingSubscriptions: {
    name: '${namePrefix}-image-replacements-${index}-${suffix}'
    scope: subscription(subscriptionId)
    params: { principalId: identity.outputs.principalId, roleId: replacementRoleId }
  }
]

module replacements 'container-group-access.bicep' = [
  for (place, index) in replacingGroups: {
    name: '${namePrefix}-image-replacements-${index}-${suffix}'
    scope: resourceGroup(place.subscriptionId, place.resourceGroup)
    params: { principalId: identity.outputs.principalId, roleId: replacementRoleId }
  }
]

// A PUT of a container group in a subnet needs the right to join it, where the subnet is.
module joins 'subnet-access.bicep' = [
  for (subnetId, index) in joinedSubnetIds: {
    name: '${namePrefix}-image-subnets-${index}-${suffix}'
    scope: resourceGroup(split(subnetId, '/')[2], split(subnetId, '/')[4])
    params: {
      networkName: split(subnetId, '/')[8]
      subnetName: split(subnetId, '/')[10]
      principalId: identity.outputs.principalId
      roleId: replacementRoleId
    }
  }
]

module registryTopics 'registry-topic.bicep' = [
  for (registry, index) in registries: {
    name: '${namePrefix}-registry-${index}-${suffix}'
    scope: resourceGroup(split(registry.id, '/')[2], split(registry.id, '/')[4])
    params: {
      name: registry.topicName
      tags: tags
      create: registry.create
      registryName: split(registry.id, '/')[8]
      diagnosticWorkspaceId: diagnosticWorkspaceId
      lock: lock
    }
  }
]

module deadLetterAccess 'dead-letter-access.bicep' = [
  for (registry, index) in registries: {
    name: '${namePrefix}-image-dead-letters-${index}'
    params: { storageAccountName: storageAccountName, principalId: registryTopics[index].outputs.principalId }
    dependsOn: [storage]
  }
]

output functionAppId string = app.outputs.id
output storageAccountId string = storage.outputs.id
