// What is added to a private zone, forward or reverse: its links, and the app's right to write in it. A network that
// a zone is not linked to is answered NXDOMAIN, for reverse names as well.

param name string
param tags object
param principalId string
param roleId string

@description('Whether the zone is locked against deletion, and its record sets with it.')
param lock bool

@description('Ids of the virtual networks that query.')
param networkIds array

resource zone 'Microsoft.Network/privateDnsZones@2020-06-01' existing = {
  name: name
}

// One after the other: Private DNS refuses a write while another one of the zone is pending.
@batchSize(1)
resource links 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01' = [
  for networkId in networkIds: {
    parent: zone
    name: '${last(split(networkId, '/'))}-${uniqueString(toLower(networkId))}'
    location: 'global'
    tags: tags
    properties: {
      registrationEnabled: false
      virtualNetwork: { id: networkId }
    }
  }
]

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: zone
  name: guid(zone.id, principalId, roleId)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleId)
  }
}

resource deletion 'Microsoft.Authorization/locks@2020-05-01' = if (lock) {
  scope: zone
  name: 'aci-dns'
  properties: { level: 'CanNotDelete', notes: 'The names of container groups are in this zone.' }
}
