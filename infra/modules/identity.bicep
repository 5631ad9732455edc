// The identity of the app, new or an existing one.

param name string
param location string
param tags object

@description('Id of a user-assigned managed identity; empty: a new one.')
param existingId string

@description('Whether a new identity is locked against deletion.')
param lock bool

var isNew = empty(existingId)
// Without an existing one, an id that is taken apart as well and never read.
var newId = resourceId('Microsoft.ManagedIdentity/userAssignedIdentities', name)
var existingParts = split(isNew ? newId : existingId, '/')

resource newIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = if (isNew) {
  name: name
  location: location
  tags: tags
}

resource existingIdentity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = if (!isNew) {
  scope: resourceGroup(existingParts[2], existingParts[4])
  name: existingParts[8]
}

resource deletion 'Microsoft.Authorization/locks@2020-05-01' = if (isNew && lock) {
  scope: newIdentity
  name: 'aci-dns'
  properties: { level: 'CanNotDelete', notes: 'The rights of aci-dns are those of this identity.' }
}

output principalId string = isNew ? newIdentity!.properties.principalId : existingIdentity!.properties.principalId
output clientId string = isNew ? newIdentity!.properties.clientId : existingIdentity!.properties.clientId
