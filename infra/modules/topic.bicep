// The Event Grid system topic of a resource group or of a subscription. A source has one at most: where there is one
// already, that one is used, and has to have a system-assigned identity.

param name string
param tags object
param create bool

@allowed(['resourceGroup', 'subscription'])
param source string

resource newTopic 'Microsoft.EventGrid/systemTopics@2022-06-15' = if (create) {
  name: name
  location: 'global'
  tags: tags
  identity: { type: 'SystemAssigned' }
  properties: {
    source: source == 'subscription' ? subscription().id : resourceGroup().id
    topicType: source == 'subscription' ? 'Microsoft.Resources.Subscriptions' : 'Microsoft.Resources.ResourceGroups'
  }
}

resource existingTopic 'Microsoft.EventGrid/systemTopics@2022-06-15' existing = if (!create) {
  name: name
}

output principalId string = create ? newTopic!.identity.principalId : existingTopic!.identity.principalId
