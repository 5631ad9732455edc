// The table of drift events, in the workspace's own resource group. It has to exist before the rule that fills it.

param workspaceName string

var columns = loadJsonContent('../drift-columns.json')

resource workspace 'Microsoft.OperationalInsights/workspaces@2023-09-01' existing = {
  name: workspaceName
}

resource table 'Microsoft.OperationalInsights/workspaces/tables@2023-09-01' = {
  parent: workspace
  name: 'AciDnsDrift_CL'
  properties: {
    plan: 'Analytics'
    schema: {
      name: 'AciDnsDrift_CL'
      columns: map(columns, column => {
        name: column.name
        type: column.type == 'datetime' ? 'dateTime' : column.type
      })
    }
  }
}
