// A network for the apps to call out from, one for what they call, and the names by which they find it.
param location string
param name string

@description('A /22 or larger: a /24 for the apps, whose every instance takes an address, and one for the endpoints.')
param addresses string

@description('Only a new DICOM service gets private endpoints. Without them, an empty zone would hide the addresses of a service that is there already.')
param dicomIsNew bool

var storageServices = [
  'blob'
  'dfs'
  'queue'
  'table'
]
var dicomZones = dicomIsNew
  ? [
      'privatelink.workspace.azurehealthcareapis.com'
      'privatelink.dicom.azurehealthcareapis.com'
    ]
  : []
var zoneNames = concat(
  map(storageServices, service => 'privatelink.${service}.${environment().suffixes.storage}'),
  dicomZones
)

resource network 'Microsoft.Network/virtualNetworks@2024-05-01' = {
  name: name
  location: location
  properties: {
    addressSpace: {
      addressPrefixes: [
        addresses
      ]
    }
    subnets: [
      {
        name: 'apps' // Flex Consumption takes no name with an underscore
        properties: {
          addressPrefix: cidrSubnet(addresses, 24, 0)
          delegations: [
            {
              name: 'flex'
              properties: {
                serviceName: 'Microsoft.App/environments'
              }
            }
          ]
        }
      }
      {
        name: 'endpoints'
        properties: {
          addressPrefix: cidrSubnet(addresses, 24, 1)
        }
      }
    ]
  }
}

resource zone 'Microsoft.Network/privateDnsZones@2020-06-01' = [
  for item in zoneNames: {
    name: item
    location: 'global'
  }
]

resource link 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2020-06-01' = [
  for (item, index) in zoneNames: {
    parent: zone[index]
    name: name
    location: 'global'
    properties: {
      registrationEnabled: false
      virtualNetwork: {
        id: network.id
      }
    }
  }
]

output appsSubnetId string = '${network.id}/subnets/apps'
output endpointsSubnetId string = '${network.id}/subnets/endpoints'
