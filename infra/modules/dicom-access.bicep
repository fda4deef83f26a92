// Who may do what with the DICOM service, which may be in another resource group or subscription.
param workspaceName string
param serviceName string

@description('Ids of the roles that may be given, by their names in access.bicep.')
param roleIds object

@description('For each app its principalId and its roles: read, or one of dicomRoles.')
param grants array

resource workspace 'Microsoft.HealthcareApis/workspaces@2024-03-31' existing = {
  name: workspaceName
}

resource service 'Microsoft.HealthcareApis/workspaces/dicomservices@2024-03-31' existing = {
  parent: workspace
  name: serviceName
}

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
  }
]

output serviceUrl string = service.properties.serviceUrl
