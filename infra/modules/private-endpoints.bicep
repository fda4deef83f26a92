// Private endpoints of storage and of a new DICOM service. Senders need a way into the network, or endpoints of their
// own: with the firewall closed nobody reaches the inbox from outside.
param location string
param subnetId string
param dataAccountName string
param recordsAccountName string
param hostAccountNames array

@description('Whether the account of the files has a hierarchical namespace, which has an address of its own.')
param isHierarchical bool

@description('Workspace of a new DICOM service; empty for none.')
param dicomWorkspaceName string

// Each host account with all three: leases and packages, what triggers put by, diagnostic events.
var accounts = concat(
  [
    { name: dataAccountName, services: isHierarchical ? ['blob', 'dfs', 'queue', 'table'] : ['blob', 'queue', 'table'] }
    { name: recordsAccountName, services: ['blob'] }
  ],
  map(hostAccountNames, name => { name: name, services: ['blob', 'queue', 'table'] })
)
var storageEndpoints = flatten(map(accounts, account => map(account.services, service => {
  target: account.name
  service: service
  id: resourceId('Microsoft.Storage/storageAccounts', account.name)
  zones: ['privatelink.${service}.${environment().suffixes.storage}']
})))
var dicomEndpoints = empty(dicomWorkspaceName)
  ? []
  : [
      {
        target: dicomWorkspaceName
        service: 'healthcareworkspace' // one for all services of the workspace
        id: resourceId('Microsoft.HealthcareApis/workspaces', dicomWorkspaceName)
        zones: [
          'privatelink.workspace.azurehealthcareapis.com'
          'privatelink.dicom.azurehealthcareapis.com'
        ]
      }
    ]
var endpoints = concat(storageEndpoints, dicomEndpoints)

// One after the other: while one is made, its account refuses the next.
@batchSize(1)
resource endpoint 'Microsoft.Network/privateEndpoints@2024-05-01' = [
  for item in endpoints: {
    name: 'pe-${item.target}-${item.service}'
    location: location
    properties: {
      subnet: {
        id: subnetId
      }
      privateLinkServiceConnections: [
        {
          name: item.service
          properties: {
            privateLinkServiceId: item.id
            groupIds: [
              item.service
            ]
          }
        }
      ]
    }
  }
]

resource zoneGroup 'Microsoft.Network/privateEndpoints/privateDnsZoneGroups@2024-05-01' = [
  for (item, index) in endpoints: {
    parent: endpoint[index]
    name: 'default'
    properties: {
      privateDnsZoneConfigs: map(item.zones, zone => {
        name: replace(zone, '.', '-')
        properties: {
          privateDnsZoneId: resourceId('Microsoft.Network/privateDnsZones', zone)
        }
      })
    }
  }
]
