// The quickstart: one resource group with container groups, its zones in another one. Plans are logged and nothing is
// written, until `policy` is removed.
using '../main.bicep'

param spokes = [
  {
    resourceGroup: 'rg-spoke1'
    forwardZone: 'spoke1.contoso.internal'
    reverseZones: ['1.10.in-addr.arpa']
    zoneResourceGroup: 'rg-dns'
    networkIds: [
      '/subscriptions/00000000-0000-0000-0000-000000000001/resourceGroups/rg-spoke1/providers/Microsoft.Network/virtualNetworks/vnet-spoke1'
    ]
    policy: 'observe'
  }
]
