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

@description('Output `imageTopics` of main.bicep; none where images are not updated.')
param imageTopics array = []

@description('Output `imagesFunctionAppId` of main.bicep.')
param imagesFunctionAppId string = ''

@description('Output `imagesStorageAccountId` of main.bicep.')
param imagesStorageAccountId string = ''

module imageSubscriptions 'modules/image-subscription.bicep' = [
  for (topic, index) in imageTopics: {
    name: '${namePrefix}-image-subscriptions-${index}'
    scope: resourceGroup(topic.subscriptionId, topic.resourceGroup)
    params: {
      topicName: topic.name
      functionAppId: imagesFunctionAppId
      storageAccountId: imagesStorageAccountId
      namePrefix: namePrefix
    }
  }
]
