// A container group in a virtual network whose name comes from a tag. The tag works if `hostnames` of the map's entry
// allows it.
param subnetId string
param location string = resourceGroup().location

resource group 'Microsoft.ContainerInstance/containerGroups@2023-05-01' = {
  name: 'web-7f3a'
  location: location
  tags: {
    'aci-dns-hostname': 'portal'
    'aci-dns-ttl': '30'
  }
  properties: {
    osType: 'Linux'
    restartPolicy: 'Always'
    subnetIds: [
      {
        id: subnetId
      }
    ]
    ipAddress: {
      type: 'Private'
      ports: [
        {
          port: 80
          protocol: 'TCP'
        }
      ]
    }
    containers: [
      {
        name: 'web'
        properties: {
          image: 'mcr.microsoft.com/azuredocs/aci-helloworld:latest'
          ports: [
            {
              port: 80
            }
          ]
          resources: {
            requests: {
              cpu: 1
              memoryInGB: 1
            }
          }
        }
      }
    ]
  }
}
