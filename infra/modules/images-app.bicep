// The function app that updates images, on Flex Consumption, and its settings. Storage, Application Insights and container
// groups are reached with its own managed identity, whose rights are assigned before. A secret of webhooks is a reference
// to Key Vault.

param name string
param planName string
param location string
param tags object

@description('The managed identity of the app.')
param identityId string

@description('The client id of that identity.')
param clientId string

@description('Subnet for outgoing traffic, delegated to Microsoft.App/environments; empty: none.')
param integrationSubnetId string

@description('Whether the app refuses what does not come from Event Grid.')
param onlyEventGrid bool

param storageAccountName string
param applicationInsightsId string
param applicationInsightsLocalAuth bool
param maximumInstanceCount int

@description('Memory of an instance in MB.')
param instanceMemoryMB int

@description('Whether the plan is spread over availability zones.')
param zoneRedundant bool

@description('Workspace for the app\'s logs; empty: none.')
param diagnosticWorkspaceId string

@description('Whether the app is locked against deletion.')
param lock bool

@description('Whether other registries call the app.')
param webhooks bool

@description('Settings of aci-dns itself, by the names of the environment variables.')
param settings object

var componentParts = split(applicationInsightsId, '/')

resource storage 'Microsoft.Storage/storageAccounts@2023-05-01' existing = {
  name: storageAccountName
}

resource component 'Microsoft.Insights/components@2020-02-02' existing = {
  scope: resourceGroup(componentParts[2], componentParts[4])
  name: componentParts[8]
}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: planName
  location: location
  tags: tags
  kind: 'functionapp'
  sku: { tier: 'FlexConsumption', name: 'FC1' }
  properties: { reserved: true, zoneRedundant: zoneRedundant }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: name
  location: location
  tags: tags
  kind: 'functionapp,linux'
  identity: { type: 'UserAssigned', userAssignedIdentities: { '${identityId}': {} } }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    // Reads the secret of webhooks, where its setting is a reference to Key Vault.
    keyVaultReferenceIdentity: identityId
    virtualNetworkSubnetId: empty(integrationSubnetId) ? null : integrationSubnetId
    functionAppConfig: {
      runtime: { name: 'custom', version: '1.0' }
      scaleAndConcurrency: {
        maximumInstanceCount: maximumInstanceCount
        instanceMemoryMB: instanceMemoryMB
        alwaysReady: []
      }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${storage.properties.primaryEndpoints.blob}packages'
          authentication: { type: 'UserAssignedIdentity', userAssignedIdentityResourceId: identityId }
        }
      }
    }
    siteConfig: {
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
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
        AZURE_CLIENT_ID: clientId
        AzureWebJobsStorage__credential: 'managedidentity'
        AzureWebJobsStorage__clientId: clientId
        AzureWebJobsStorage__blobServiceUri: storage.properties.primaryEndpoints.blob
        AzureWebJobsStorage__queueServiceUri: storage.properties.primaryEndpoints.queue
        AzureWebJobsStorage__tableServiceUri: storage.properties.primaryEndpoints.table
        APPLICATIONINSIGHTS_CONNECTION_STRING: component.properties.ConnectionString
        // The handler sends its telemetry itself: lines of stdout would be ingested a second time. Without Application
        // Insights, host.json shows them in the log stream. The host knows no other spelling than this one, with dots.
        'AzureFunctionsJobHost__logging__logLevel__Host.Function.Console': 'Warning'
        ACI_DNS_RETRY_QUEUE: '${storage.properties.primaryEndpoints.queue}aci-dns-retry'
        'AzureWebJobs.function_image_retry.Disabled': 'false'
        'AzureWebJobs.function_image_webhook.Disabled': webhooks ? 'false' : 'true'
      },
      applicationInsightsLocalAuth
        ? {}
        : {
            APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'Authorization=AAD;ClientId=${clientId}'
          }
    )
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (!empty(diagnosticWorkspaceId)) {
  scope: app
  name: 'aci-dns'
  properties: {
    workspaceId: diagnosticWorkspaceId
    logs: [{ category: 'FunctionAppLogs', enabled: true }]
  }
}

resource deletion 'Microsoft.Authorization/locks@2020-05-01' = if (lock) {
  scope: app
  name: 'aci-dns'
  properties: { level: 'CanNotDelete', notes: 'Without this app, images of container groups are not updated.' }
}

output id string = app.id
