// The storage account of the function app: its package, the host's own blobs, the retry queue, and the events that
// could not be delivered. Shared keys are off, so every reader and writer needs a role.

param name string
param location string
param tags object

@description('Whether the account is spread over availability zones.')
param zoneRedundant bool

@description('Days that events which could not be delivered are kept.')
param deadLetterDays int

@description('Subnet of private endpoints for blobs, queues and tables; with one, the account is closed.')
param privateEndpointSubnetId string

@description('Zones that the private endpoints register in, by service; none where a policy does that.')
param privateDnsZoneIds object

@description('What may reach a closed account besides its private endpoints.')
@allowed(['off', 'trustedServices'])
param publicAccess string

@description('Workspace for resource logs; empty: none.')
param diagnosticWorkspaceId string

@description('Whether the account is locked against deletion.')
param lock bool

var isPrivate = !empty(privateEndpointSubnetId)
var services = ['blob', 'queue', 'table']

resource account 'Microsoft.Storage/storageAccounts@2023-05-01' = {
  name: name
  location: location
  tags: tags
  kind: 'StorageV2'
  sku: { name: zoneRedundant ? 'Standard_ZRS' : 'Standard_LRS' }
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    publicNetworkAccess: isPrivate && publicAccess == 'off' ? 'Disabled' : 'Enabled'
    // Event Grid is a trusted service: with its topic's identity it may write dead letters to a closed account.
    networkAcls: { bypass: 'AzureServices', defaultAction: isPrivate ? 'Deny' : 'Allow' }
  }

  resource blobs 'blobServices' = {
    name: 'default'
    properties: {
      deleteRetentionPolicy: { enabled: true, days: 7 }
      containerDeleteRetentionPolicy: { enabled: true, days: 7 }
    }

    resource packages 'containers' = {
      name: 'packages'
    }

    resource deadLetters 'containers' = {
      name: 'dead-letters'
    }
  }

  resource queues 'queueServices' = {
    name: 'default'

    // The host creates neither: a trigger polls a missing queue, and works once it exists.
    resource retry 'queues' = {
      name: 'aci-dns-retry'
    }

    resource poison 'queues' = {
      name: 'aci-dns-retry-poison'
    }
  }

  resource lifecycle 'managementPolicies' = {
    name: 'default'
    properties: {
      policy: {
        rules: [
          {
            name: 'dead-letters'
            enabled: true
            type: 'Lifecycle'
            definition: {
              filters: { blobTypes: ['blockBlob'], prefixMatch: ['dead-letters/'] }
              actions: { baseBlob: { delete: { daysAfterCreationGreaterThan: deadLetterDays } } }
            }
          }
        ]
      }
    }
  }
}

resource privateEndpoints 'Microsoft.Network/privateEndpoints@2024-05-01' = [
  for service in services: if (isPrivate) {
    name: '${name}-${service}'
    location: location
    tags: tags
    properties: {
      subnet: { id: privateEndpointSubnetId }
      privateLinkServiceConnections: [
        {
          name: service
          properties: { privateLinkServiceId: account.id, groupIds: [service] }
        }
      ]
    }
  }
]

resource privateEndpointDns 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = [
  for (service, index) in services: if (isPrivate && contains(privateDnsZoneIds, service)) {
    parent: privateEndpoints[index]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: [
        { name: service, properties: { privateDnsZoneId: privateDnsZoneIds[?service] ?? '' } }
      ]
    }
  }
]

// Reads are not logged: the host polls its queue every few seconds.
resource blobLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (!empty(diagnosticWorkspaceId)) {
  scope: account::blobs
  name: 'aci-dns'
  properties: {
    workspaceId: diagnosticWorkspaceId
    logs: [
      { category: 'StorageWrite', enabled: true }
      { category: 'StorageDelete', enabled: true }
    ]
  }
}

resource queueLogs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (!empty(diagnosticWorkspaceId)) {
  scope: account::queues
  name: 'aci-dns'
  properties: {
    workspaceId: diagnosticWorkspaceId
    logs: [
      { category: 'StorageWrite', enabled: true }
      { category: 'StorageDelete', enabled: true }
    ]
  }
}

resource deletion 'Microsoft.Authorization/locks@2020-05-01' = if (lock) {
  scope: account
  name: 'aci-dns'
  properties: { level: 'CanNotDelete', notes: 'Unfinished work and undelivered events of aci-dns are kept here.' }
}

output id string = account.id
