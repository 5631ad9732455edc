// One resource group with container groups, its zones in another one, and one virtual network that queries them.
using '../main.bicep'

param spokes = [
  {
    resourceGroup: 'rg-spoke1'
    forwardZone: 'spoke1.contoso.internal'
    reverseZones: ['1.10.in-addr.arpa']
    zoneResourceGroup: 'rg-dns'
    networkIds: [
      '/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-spoke1'
    ]
  }
]
