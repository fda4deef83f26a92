// Custom roles (access.bicep). main.bicep makes them first and gives them last: Azure may take minutes until it knows a
// new role everywhere, and refuses to assign one that it does not know yet.
param environmentName string

@description('What the roles are about, `blobs` or `dicom`: part of their ids.')
param kind string

@description('Roles by their names, as in access.bicep.')
param roles object

@description('Id of the built-in role that is called `read` beside them.')
param readerId string

var groupId = resourceGroup().id

resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' = [
  for item in items(roles): {
    name: guid(groupId, environmentName, kind, item.key)
    properties: {
      // Role names are unique in a tenant: two environments may share one DICOM service, and several subscriptions may
      // have a group of this name.
      roleName: 'dicom-dropbox ${environmentName}: ${item.value.title} (${resourceGroup().name}, ${uniqueString(groupId)})'
      description: 'For an app of the azd environment ${environmentName}.'
      type: 'CustomRole'
      assignableScopes: [groupId]
      permissions: [
        {
          actions: item.value.actions
          dataActions: item.value.dataActions
        }
      ]
    }
  }
]

var ownRoleIds = toObject(
  items(roles),
  item => item.key,
  item => guid(groupId, environmentName, kind, item.key)
)

output roleIds object = union(ownRoleIds, { read: readerId })
