// The account of what must not be changed any more: what retention has deleted and why, and who saw what. Apart from
// the files' account, since one with SFTP refuses policies of immutability.
param location string
param name string
param sku string

@description('Reached over private endpoints only.')
param isClosed bool

param recordsDays int

@description('Containers whose policies somebody has locked, with commas between. Such a one can be extended, by hand; to be made anew, it refuses.')
param lockedContainers string

param softDeleteDays int

@description('Nobody deletes the account by accident.')
param isLocked bool

// Those of shared/settings/fixed.py that are in this account. The access record is appended to for an hour; a policy that
// allows that still forbids to change what was written.
var containers = [
  { name: 'retention-records', appends: false }
  { name: 'access-audit', appends: true }
]
var locked = split(lockedContainers, ',')

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: name
  location: location
  kind: 'StorageV2'
  sku: {
    name: sku
  }
  properties: {
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    networkAcls: {
      defaultAction: isClosed ? 'Deny' : 'Allow'
      bypass: 'AzureServices' // as the files' account, so that there is one rule to know
    }
  }
}

resource lock 'Microsoft.Authorization/locks@2020-05-01' = if (isLocked) {
  name: 'keep'
  scope: account
  properties: {
    level: 'CanNotDelete'
    notes: 'What was deleted, by which rule, and who saw what.'
  }
}

resource blobService 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
  }
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = [
  for item in containers: {
    parent: blobService
    name: item.name
  }
]

// Unlocked: whoever administers the account can take the policy away again, and `azd down` can delete what it holds.
// Locking cannot be undone, so it is done by hand (docs/deploying.md).
resource immutable 'Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2024-01-01' = [
  for (item, index) in containers: if (!contains(locked, item.name)) {
    parent: container[index]
    name: 'default'
    properties: {
      immutabilityPeriodSinceCreationInDays: recordsDays
      allowProtectedAppendWrites: item.appends
    }
  }
]

output name string = account.name
output blobUri string = account.properties.primaryEndpoints.blob
