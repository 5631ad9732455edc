// One resource group, as in one-spoke.bicepparam, whose container groups also get the images that are pushed: from a
// registry of the same subscription by Event Grid, and from Docker Hub by webhooks.
using '../main.bicep'

var subscriptionId = '00000000-0000-0000-0000-000000000001'
var networkId = '/subscriptions/${subscriptionId}/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-spoke1'

param spokes = [
  {
    subscriptionId: subscriptionId
    resourceGroup: 'rg-spoke1'
    forwardZone: 'spoke1.contoso.internal'
    reverseZones: ['1.10.in-addr.arpa']
    zoneResourceGroup: 'rg-dns'
    networkIds: [networkId]
    services: { api: { groups: ['api-*'] } }
  }
]

param imageUpdates = {
  resourceGroups: [
    {
      subscriptionId: subscriptionId
      resourceGroup: 'rg-spoke1'
      registries: ['demo.azurecr.io', 'docker.io/contoso']
      replace: true
      subnetIds: ['${networkId}/subnets/snet-containers']
    }
    {
      subscriptionId: subscriptionId
      resourceGroup: 'rg-jobs-*'
      registries: ['demo.azurecr.io/jobs']
    }
  ]
  registries: [
    {
      id: '/subscriptions/${subscriptionId}/resourceGroups/rg-registry/providers/Microsoft.ContainerRegistry/registries/demo'
    }
  ]
  webhooks: true
  webhookSecret: '@Microsoft.KeyVault(SecretUri=https://kv-apps.vault.azure.net/secrets/webhook/)'
  policy: 'observe'
}
