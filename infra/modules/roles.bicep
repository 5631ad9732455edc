// The custom roles: exactly the actions that the code uses, which a test derives from the requests that it sends.
// The name of a role is unique in a tenant, hence the suffix.

targetScope = 'subscription'

param containerGroupRoleId string
param recordSetRoleId string
param secretRoleId string
param imageUpdateRoleId string
param imageReplacementRoleId string

@description('Whether addresses are published in secrets.')
param hasSecrets bool

@description('Whether images are updated.')
param hasImages bool

@description('Whether images are replaced as well, not only pulled again.')
param replacesImages bool

param nameSuffix string

@description('Subscriptions in which the roles are assigned.')
param subscriptionIds array

var roles = loadJsonContent('../role.json')
var assignableScopes = map(subscriptionIds, subscriptionId => '/subscriptions/${subscriptionId}')

resource containerGroupRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: containerGroupRoleId
  properties: {
    roleName: '${roles.containerGroups.name} ${nameSuffix}'
    description: roles.containerGroups.description
    type: 'CustomRole'
    assignableScopes: assignableScopes
    permissions: [{ actions: roles.containerGroups.actions }]
  }
}

resource recordSetRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: recordSetRoleId
  properties: {
    roleName: '${roles.recordSets.name} ${nameSuffix}'
    description: roles.recordSets.description
    type: 'CustomRole'
    assignableScopes: assignableScopes
    permissions: [{ actions: roles.recordSets.actions }]
  }
}

resource secretRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' = if (hasSecrets) {
  name: secretRoleId
  properties: {
    roleName: '${roles.secrets.name} ${nameSuffix}'
    description: roles.secrets.description
    type: 'CustomRole'
    assignableScopes: assignableScopes
    permissions: [{ dataActions: roles.secrets.dataActions }]
  }
}

resource imageUpdateRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' = if (hasImages) {
  name: imageUpdateRoleId
  properties: {
    roleName: '${roles.imageUpdates.name} ${nameSuffix}'
    description: roles.imageUpdates.description
    type: 'CustomRole'
    assignableScopes: assignableScopes
    permissions: [{ actions: roles.imageUpdates.actions }]
  }
}

resource imageReplacementRole 'Microsoft.Authorization/roleDefinitions@2022-04-01' = if (replacesImages) {
  name: imageReplacementRoleId
  properties: {
    roleName: '${roles.imageReplacements.name} ${nameSuffix}'
    description: roles.imageReplacements.description
    type: 'CustomRole'
    assignableScopes: assignableScopes
    permissions: [{ actions: roles.imageReplacements.actions }]
  }
}
