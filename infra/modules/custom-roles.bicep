// Our own roles on containers (access.bicep).
import { blobRoles, builtInRoles } from '../access.bicep'

param environmentName string

var groupId = resourceGroup().id

resource role 'Microsoft.Authorization/roleDefinitions@2022-04-01' = [
  for item in items(blobRoles): {
    name: guid(groupId, environmentName, 'blobs', item.key)
    properties: {
      // Role names are unique in a tenant, where several subscriptions may have a group of this name.
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
  items(blobRoles),
  item => item.key,
  item => guid(groupId, environmentName, 'blobs', item.key)
)

output blobRoleIds object = union(ownRoleIds, { read: builtInRoles.storageBlobDataReader })
