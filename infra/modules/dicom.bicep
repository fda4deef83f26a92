// A new DICOM service, in a workspace of its own.
param location string
param workspaceName string
param serviceName string
param partitions bool

@description('Resource id of the account in which the service keeps its files; empty for storage of its own.')
param lakeAccountId string

@description('Container of that account.')
param lakeContainer string

@description('Identity by which the service reaches that account; empty without one.')
param identityId string

@description('Reached over a private endpoint only.')
param isClosed bool

@description('Nobody deletes the archive by accident.')
param isLocked bool

var hasLake = !empty(lakeAccountId)

resource workspace 'Microsoft.HealthcareApis/workspaces@2024-03-31' = {
  name: workspaceName
  location: location
  properties: {
    publicNetworkAccess: isClosed ? 'Disabled' : 'Enabled'
  }
}

resource service 'Microsoft.HealthcareApis/workspaces/dicomservices@2024-03-31' = {
  parent: workspace
  name: serviceName
  location: location
  identity: hasLake ? { type: 'UserAssigned', userAssignedIdentities: { '${identityId}': {} } } : null
  properties: {
    // Like partitions, only when the service is made.
    storageConfiguration: hasLake ? { storageResourceId: lakeAccountId, fileSystemName: lakeContainer } : null
    // It can be turned on only when the service is made, and never off.
    enableDataPartitions: partitions
    publicNetworkAccess: isClosed ? 'Disabled' : 'Enabled'
  }
}

resource lock 'Microsoft.Authorization/locks@2020-05-01' = if (isLocked) {
  name: 'keep'
  scope: workspace
  properties: {
    level: 'CanNotDelete'
    notes: 'The archive. Nothing brings it back.'
  }
}

output workspaceName string = workspace.name
