// Log Analytics and Application Insights, each new or an existing one. The new component takes telemetry from
// Entra identities only: an instrumentation key that leaks is worth nothing.

param workspaceName string
param componentName string
param location string
param tags object
param existingWorkspaceId string
param existingApplicationInsightsId string
param disableLocalAuth bool

@description('Whether a new workspace is locked against deletion.')
param lock bool

@minValue(30)
@maxValue(730)
param retentionDays int

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' = if (empty(existingWorkspaceId)) {
  name: workspaceName
  location: location
  tags: tags
  properties: {
    sku: { name: 'PerGB2018' }
    retentionInDays: retentionDays
    features: { disableLocalAuth: disableLocalAuth }
  }
}

resource deletion 'Microsoft.Authorization/locks@2020-05-01' = if (empty(existingWorkspaceId) && lock) {
  scope: workspace
  name: 'aci-dns'
  properties: { level: 'CanNotDelete', notes: 'Telemetry and drift events of aci-dns are kept here.' }
}

resource component 'Microsoft.Insights/components@2020-02-02' = if (empty(existingApplicationInsightsId)) {
  name: componentName
  location: location
  tags: tags
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: empty(existingWorkspaceId) ? workspace.id : existingWorkspaceId
    DisableLocalAuth: disableLocalAuth
  }
}
