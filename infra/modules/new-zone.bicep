// A private zone that does not exist yet.

param name string
param tags object

resource zone 'Microsoft.Network/privateDnsZones@2020-06-01' = {
  name: name
  location: 'global'
  tags: tags
}
