// The event subscriptions of the app that updates images, once its functions exist: each registry tells it of its pushes.

@description('Output `imageTopics` of main.bicep.')
param imageTopics array

@description('Output `imagesFunctionAppId` of main.bicep.')
param imagesFunctionAppId string

@description('Output `imagesStorageAccountId` of main.bicep.')
param imagesStorageAccountId string

@description('As for main.bicep.')
param namePrefix string = 'aci-dns'

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
