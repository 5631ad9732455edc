// A hub that holds all zones, and spokes in subscriptions of their own. Hub and spokes query every zone; the reverse
// zone serves both spokes.
using '../main.bicep'

var hub = '00000000-0000-0000-0000-000000000001'
var spoke1 = '00000000-0000-0000-0000-000000000002'
var spoke2 = '00000000-0000-0000-0000-000000000003'

var networkIds = [
  '/subscriptions/${hub}/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-hub'
  '/subscriptions/${spoke1}/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-spoke1'
  '/subscriptions/${spoke2}/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-spoke2'
]

param spokes = [
  {
    subscriptionId: spoke1
    resourceGroup: 'rg-spoke1'
    forwardZone: 'spoke1.contoso.internal'
    reverseZones: ['10.in-addr.arpa']
    zoneSubscriptionId: hub
    zoneResourceGroup: 'rg-dns'
    networkIds: networkIds
    // For consumers that read configuration instead of DNS.
    secret: {
      vaultId: '/subscriptions/${hub}/resourceGroups/rg-apps/providers/Microsoft.KeyVault/vaults/kv-apps'
      name: '{group}--ip'
    }
  }
  {
    subscriptionId: spoke2
    resourceGroup: 'rg-spoke2-*'
    forwardZone: 'spoke2.contoso.internal'
    reverseZones: ['10.in-addr.arpa']
    zoneSubscriptionId: hub
    zoneResourceGroup: 'rg-dns'
    networkIds: networkIds
    ttl: 30
    policy: 'observe'
    groups: ['web-*', 'api']
    addressRanges: ['10.2.0.0/16']
    hostnames: ['portal']
    formerZones: ['old.contoso.internal']
    secret: {
      vaultId: '/subscriptions/${spoke2}/resourceGroups/rg-apps/providers/Microsoft.KeyVault/vaults/kv-spoke2'
      secretNames: ['api--ip']
    }
    services: { api: { groups: ['api-v*'], ttl: 20 } }
  }
]

// The second spoke is many resource groups, so the events of its subscription are taken; another team made its topic.
param topics = [
  { subscriptionId: spoke1, resourceGroup: 'rg-spoke1' }
  {
    subscriptionId: spoke2
    resourceGroup: 'rg-events'
    source: 'subscription'
    existingName: 'evgt-subscription'
  }
]

// The second spoke is only watched for now: its plans are in the log.
param settings = {
  ACI_DNS_OWNERSHIP: 'strict'
  ACI_DNS_RECHECK_SECONDS: 60
}

param alwaysReadyInstances = 1
param locks = 'resources'
param onlyEventGrid = true
param integrationSubnetId = '/subscriptions/${hub}/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-hub/subnets/snet-aci-dns'
param privateEndpointSubnetId = '/subscriptions/${hub}/resourceGroups/rg-network/providers/Microsoft.Network/virtualNetworks/vnet-hub/subnets/snet-private-endpoints'
param existingWorkspaceId = '/subscriptions/${hub}/resourceGroups/rg-logs/providers/Microsoft.OperationalInsights/workspaces/law-central'
param actionGroupIds = [
  '/subscriptions/${hub}/resourceGroups/rg-logs/providers/Microsoft.Insights/actionGroups/ag-network'
]
