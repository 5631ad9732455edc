// The function app on Flex Consumption, and its settings. It holds no secret: storage, Application Insights, Log
// Analytics, container groups and zones are all reached with its managed identity.

param name string
param planName string
param location string
param tags object

@description('A user-assigned managed identity; empty: the system-assigned one.')
param userAssignedIdentityId string

@description('Subnet for outgoing traffic, delegated to Microsoft.App/environments; empty: none.')
param integrationSubnetId string

@description('Whether the app refuses what does not come from Event Grid.')
param onlyEventGrid bool

param storageAccountName string
param packageContainerUrl string
param applicationInsightsId string
param applicationInsightsLocalAuth bool
param driftRuleName string
param driftStream string
param maximumInstanceCount int
param alwaysReadyInstances int

@description('Settings of aci-dns itself, by the names of the environment variables.')
param settings object

var isUserAssigned = !empty(userAssignedIdentityId)
// Without one, an id that is taken apart as well and never read.
var identityId = isUserAssigned
  ? userAssignedIdentityId
  : resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', 'none')
var identityParts = split(identityId, '/')
var componentParts = split(applicationInsightsId, '/')

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = if (isUserAssigned) {
  scope: resourceGroup(identityParts[2], identityParts[4])
  name: identityParts[8]
}

resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: storageAccountName
}

resource component 'Microsoft.Insights/components@2020-02-02' existing = {
  scope: resourceGroup(componentParts[2], componentParts[4])
  name: componentParts[8]
}

resource driftRule 'Microsoft.Insights/dataCollectionRules@2023-03-11' existing = {
  name: driftRuleName
}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { tier: 'FlexConsumption', name: 'FC1' }
  properties: { reserved: true }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: isUserAssigned
    ? { type: 'UserAssigned', userAssignedIdentities: { '${userAssignedIdentityId}': {} } }
    : { type: 'SystemAssigned' }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    virtualNetworkSubnetId: empty(integrationSubnetId) ? null : integrationSubnetId
    functionAppConfig: {
      runtime: { name: 'custom', version: '1.0' }
      scaleAndConcurrency: {
        maximumInstanceCount: maximumInstanceCount
        instanceMemoryMB: 2048
        alwaysReady: alwaysReadyInstances == 0
          ? []
          : [{ name: 'function:function_aci_reconcile', instanceCount: alwaysReadyInstances }]
      }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packageContainerUrl
          authentication: isUserAssigned
            ? { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: userAssignedIdentityId }
            : { type: 'SystemAssignedIdentity' }
        }
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ftpsState: 'Disabled'
      http20Enabled: true
      ipSecurityRestrictionsDefaultAction: onlyEventGrid ? 'Deny' : 'Allow'
      ipSecurityRestrictions: onlyEventGrid
        ? [{ name: 'Event Grid', action: 'Allow', priority: 100, tag: 'ServiceTag', ipAddress: 'AzureEventGrid' }]
        : []
      // The package is published through the other site.
      scmIpSecurityRestrictionsUseMain: false
    }
  }

  // Nobody publishes with a password.
  resource ftp 'basicPublishingCredentialsPolicies' = {
    name: 'ftp'
    properties: { allow: false }
  }

  resource scm 'basicPublishingCredentialsPolicies' = {
    name: 'scm'
    properties: { allow: false }
  }

  resource appSettings 'config' = {
    name: 'appsettings'
    properties: union(
      settings,
      {
        AzureWebJobsStorage__credential: 'managedidentity'
        AzureWebJobsStorage__blobServiceUri: storage.properties.primaryEndpoints.blob
        AzureWebJobsStorage__queueServiceUri: storage.properties.primaryEndpoints.queue
        AzureWebJobsStorage__tableServiceUri: storage.properties.primaryEndpoints.table
        APPLICATIONINSIGHTS_CONNECTION_STRING: component.properties.ConnectionString
        ACI_DNS_LOGS_ENDPOINT: driftRule.properties.endpoints.logsIngestion
        ACI_DNS_LOGS_RULE_ID: driftRule.properties.immutableId
        ACI_DNS_LOGS_STREAM: driftStream
      },
      isUserAssigned
        ? {
            AZURE_CLIENT_ID: identity!.properties.clientId
            AzureWebJobsStorage__clientId: identity!.properties.clientId
          }
        : {},
      applicationInsightsLocalAuth
        ? {}
        : {
            APPLICATIONINSIGHTS_AUTHENTICATION_STRING: isUserAssigned
              ? 'Authorization=AAD;ClientId=${identity!.properties.clientId}'
              : 'Authorization=AAD'
          }
    )
  }
}

output id string = app.id
output name string = app.name
output principalId string = isUserAssigned ? identity!.properties.principalId : app.identity.principalId
