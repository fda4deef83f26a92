// Who may do what with the DICOM service, which may be in another resource group or subscription.
import { builtInRoles, dicomRoles } from '../access.bicep'

param environmentName string
param workspaceName string
param serviceName string

@description('For each app its principalId and its roles: read, or one of dicomRoles.')
param grants array

var groupId = resourceGroup().id

resource workspace 'Microsoft.HealthcareApis/workspaces@2024-03-31' existing = {
  name: workspaceName
}

resource service 'Microsoft.HealthcareApis/workspaces/dicomservices@2024-03-31' existing = {
  parent: workspace
  name: serviceName
}

// Here and not beside the app, since a role can be given only where it may be assigned. Role names are unique in a
// tenant: two environments may share one DICOM service, and two subscriptions have a group of the same name.
resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' = [
  for item in items(dicomRoles): {
    name: guid(groupId, environmentName, 'dicom', item.key)
    properties: {
      roleName: 'dicom-dropbox ${environmentName}: ${item.value.title} (${resourceGroup().name}, ${uniqueString(groupId)})'
      description: 'For an app of the azd environment ${environmentName}.'
      type: 'CustomRole'
      assignableScopes: [groupId]
      permissions: [
        {
          actions: []
          dataActions: item.value.dataActions
        }
      ]
    }
  }
]

var ownRoleIds = toObject(
  items(dicomRoles),
  item => item.key,
  item => guid(groupId, environmentName, 'dicom', item.key)
)
var roleIds = union(ownRoleIds, { read: builtInRoles.dicomDataReader })
var pairs = flatten(map(grants, grant => map(grant.roles, name => { principalId: grant.principalId, role: name })))

resource assignment 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for pair in pairs: {
    name: guid(service.id, pair.principalId, roleIds[pair.role])
    scope: service
    properties: {
      principalId: pair.principalId
      principalType: 'ServicePrincipal' // else a new identity is looked up before the directory knows it
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', roleIds[pair.role])
    }
    dependsOn: [
      role
    ]
  }
]

output serviceUrl string = service.properties.serviceUrl
