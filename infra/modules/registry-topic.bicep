// The Event Grid system topic of a container registry. A registry has one at most: where there is one already, that one
// is used, and has to have a system-assigned identity.

param name string
param tags object
param create bool
param registryName string

@description('Workspace for the delivery failures of a new topic; empty: none.')
param diagnosticWorkspaceId string

@description('Whether a new topic is locked against deletion, and its event subscriptions with it.')
param lock bool

resource registry 'Microsoft.ContainerRegistry/registries@2023-07-01' existing = {
  name: registryName
}

resource newTopic 'Microsoft.EventGrid/systemTopics@2022-06-15' = if (create) {
  name: name
  location: registry.location
  tags: tags
  identity: { type: 'SystemAssigned' }
  properties: { source: registry.id, topicType: 'Microsoft.ContainerRegistry.Registries' }
}

resource existingTopic 'Microsoft.EventGrid/systemTopics@2022-06-15' existing = if (!create) {
  name: name
}

var hasLogs = create && !empty(diagnosticWorkspaceId)

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = if (hasLogs) {
  scope: newTopic
  name: 'aci-dns'
  properties: {
    workspaceId: diagnosticWorkspaceId
    logs: [{ category: 'DeliveryFailures', enabled: true }]
  }
}

resource deletion 'Microsoft.Authorization/locks@2020-05-01' = if (create && lock) {
  scope: newTopic
  name: 'aci-dns'
  properties: { level: 'CanNotDelete', notes: 'This topic carries the pushes that aci-dns needs.' }
}

output principalId string = create ? newTopic!.identity.principalId : existingTopic!.identity.principalId
