// A private zone. Where it exists, its tags become these, so they include those that it has.

param name string
param tags object

resource zone 'Microsoft.Network/privateDnsZones@2020-06-01' = {
  name: name
  location: 'global'
  tags: tags
}
