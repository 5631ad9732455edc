// The way of drift events into Log Analytics: a data collection rule with an ingestion endpoint of its own
// (`Direct`). A rule has to stand in the region of its workspace.

param name string
param location string
param tags object
param workspaceId string

var columns = loadJsonContent('../drift-columns.json')
var stream = 'Custom-AciDnsDrift'

resource rule 'Microsoft.Insights/dataCollectionRules@2023-03-11' = {
  name: name
  location: location
  tags: tags
  kind: 'Direct'
  properties: {
    description: 'Drift events of aci-dns'
    streamDeclarations: { '${stream}': { columns: columns } }
    destinations: {
      logAnalytics: [
        { name: 'workspace', workspaceResourceId: workspaceId }
      ]
    }
    dataFlows: [
      {
        streams: [stream]
        destinations: ['workspace']
        transformKql: 'source'
        outputStream: 'Custom-AciDnsDrift_CL'
      }
    ]
  }
}

output id string = rule.id
output name string = rule.name
output stream string = stream
