// Lets the app read and set the secrets of a key vault, or one of them.

param vaultName string

@description('Name of the secret; empty: all of the vault.')
param secretName string

param principalId string
param roleId string

resource vault 'Microsoft.KeyVault/vaults@2023-07-01' existing = {
  name: vaultName
}

resource secret 'Microsoft.KeyVault/vaults/secrets@2023-07-01' existing = {
  parent: vault
  name: empty(secretName) ? 'none' : secretName
}

resource onVault 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (empty(secretName)) {
  scope: vault
  name: guid(vault.id, principalId, roleId)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleId)
  }
}

resource onSecret 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (!empty(secretName)) {
  scope: secret
  name: guid(secret.id, principalId, roleId)
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleId)
  }
}
