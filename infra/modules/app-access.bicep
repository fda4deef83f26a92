// What one app may do with storage and secrets: the lists of access.bicep, as role assignments. Each is for one
// container, queue or secret, but for the ledger's table, whose name nobody knows before.
import { builtInRoles } from '../access.bicep'

param principalId string
param dataAccountName string
param recordsAccountName string
param vaultName string

@description('Ids of the roles that a container may be given with, by their names in access.bicep.')
param blobRoleIds object

param dataContainers array
param recordsContainers array
param queues array
param tables bool
param secrets array

@description('Whether the host keeps a queue of its own for the blob trigger, under a name that it chooses.')
param takesWebhook bool

var queueRoleIds = {
  // The host also hides a message again, which Message Processor may not.
  take: builtInRoles.storageQueueDataContributor
  send: builtInRoles.storageQueueDataMessageSender
  read: builtInRoles.storageQueueDataReader
}
var containers = concat(
  map(dataContainers, item => union(item, { account: dataAccountName })),
  map(recordsContainers, item => union(item, { account: recordsAccountName }))
)

resource dataAccount 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: dataAccountName
}

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' existing = {
  name: vaultName
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' existing = [
  for item in containers: {
    name: '${item.account}/default/${item.name}'
  }
]

resource queue 'Microsoft.Storage/storageAccounts/queueServices/queues@2024-01-01' existing = [
  for item in queues: {
    name: '${dataAccountName}/default/${item.name}'
  }
]

resource secret 'Microsoft.KeyVault/vaults/secrets@2024-11-01' existing = [
  for item in secrets: {
    parent: vault
    name: item
  }
]

resource onContainer 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (item, index) in containers: {
    name: guid(container[index].id, principalId, blobRoleIds[item.role])
    scope: container[index]
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', blobRoleIds[item.role])
    }
  }
]

resource onQueue 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (item, index) in queues: {
    name: guid(queue[index].id, principalId, queueRoleIds[item.role])
    scope: queue[index]
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', queueRoleIds[item.role])
    }
  }
]

resource onSecret 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for (item, index) in secrets: {
    name: guid(secret[index].id, principalId, builtInRoles.keyVaultSecretsUser)
    scope: secret[index]
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', builtInRoles.keyVaultSecretsUser)
    }
  }
]

resource onTables 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (tables) {
  name: guid(dataAccount.id, principalId, builtInRoles.storageTableDataContributor)
  scope: dataAccount
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', builtInRoles.storageTableDataContributor)
  }
}

resource onTheHostsQueue 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (takesWebhook) {
  name: guid(dataAccount.id, principalId, builtInRoles.storageQueueDataContributor)
  scope: dataAccount
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', builtInRoles.storageQueueDataContributor)
  }
}
