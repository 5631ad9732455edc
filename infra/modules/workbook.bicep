// The picture of what aci-dns does: the workbook that opens from its Application Insights component.

param location string

param tags object

@description('The Application Insights component that the function app writes to; the workbook asks it.')
param applicationInsightsId string

param displayName string

resource workbook 'Microsoft.Insights/workbooks@2023-06-01' = {
  // Azure wants a GUID; this one is the same at each deployment.
  name: guid(applicationInsightsId, 'aci-dns')
  location: location
  tags: tags
  kind: 'shared'
  properties: {
    displayName: displayName
    category: 'workbook'
    sourceId: applicationInsightsId
    version: 'Notebook/1.0'
    serializedData: replace(loadTextContent('../workbook.json'), '{applicationInsightsId}', applicationInsightsId)
  }
}

output id string = workbook.id
