// A container group that gets new images: its registry is reached with an identity, so that no password is hidden, and its
// tag asks for every version 1.x of the image. `semver:` needs `replace` in the deployment of aci-dns; `restart` does not.
param subnetId string
param identityId string
param location string = resourceGroup().location

resource group 'Microsoft.ContainerInstance/containerGroups@2023-05-01' = {
  name: 'shop'
  location: location
  tags: {
    'aci-dns-image': 'semver:^1'
  }
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    osType: 'Linux'
    restartPolicy: 'Always'
    subnetIds: [
      {
        id: subnetId
      }
    ]
    imageRegistryCredentials: [
      {
        server: 'demo.azurecr.io'
        identity: identityId
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
        name: 'shop'
        properties: {
          image: 'demo.azurecr.io/shop:1.0.0'
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
