// The event subscriptions, once the functions exist: each topic tells both functions of its container groups.

@description('Output `topics` of main.bicep.')
param topics array

@description('Output `functionAppId` of main.bicep.')
param functionAppId string

@description('Output `storageAccountId` of main.bicep.')
param storageAccountId string

@description('As for main.bicep.')
param namePrefix string = 'aci-dns'

module subscriptions 'modules/event-subscriptions.bicep' = [
  for (topic, index) in topics: {
    name: '${namePrefix}-subscriptions-${index}'
    scope: resourceGroup(topic.subscriptionId, topic.resourceGroup)
    params: {
      topicName: topic.name
      functionAppId: functionAppId
      storageAccountId: storageAccountId
      namePrefix: namePrefix
    }
  }
]
