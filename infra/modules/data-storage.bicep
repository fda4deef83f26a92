// The account of the files: inbox, receipts, quarantine, replaced instances, archive, vault, the policy, the queues,
// and the ledger's table, which the app makes.
param location string
param name string

@description('A hierarchical namespace with SFTP, for senders that know nothing else.')
param sftp bool

@description('Reached over private endpoints only.')
param isClosed bool

param sku string
param archiveDays int
param vaultDays int
param softDeleteDays int

@description('Nobody deletes the account by accident.')
param isLocked bool

// Those of shared/settings/fixed.py, but for the ones of the account of records.
var containers = [
  'dicom-inbox'
  'dicom-receipts'
  'dicom-quarantine'
  'dicom-quarantine-reasons'
  'dicom-replaced'
  'dicom-archive'
  'dicom-control'
  'dicom-vault'
  'retention-policy'
  'retention-state'
  'event-grid-dead-letters'
]

// Those of shared/queues.py. Made here, since no app may make a queue.
var queues = [
  'dicom-arrivals'
  'dicom-arrivals-poison'
  'dicom-arrivals-parked'
  'webjobs-blobtrigger-poison'
  'webjobs-blobtrigger-poison-foreign'
]

var versionsGo = { delete: { daysAfterCreationGreaterThan: softDeleteDays } }
var rules = [
  {
    name: 'empty-archive'
    days: archiveDays
    types: [
      'blockBlob'
    ]
    containers: [
      'dicom-archive/'
    ]
  }
  {
    name: 'empty-vault'
    days: vaultDays // as VAULT_DAYS, by which the app says until when a study can be put back
    types: [
      'blockBlob'
      'appendBlob' // large copies
    ]
    containers: [
      'dicom-vault/'
    ]
  }
]

// What was written over or moved on. Not in retention-policy, whose versions are its history. Nothing but a person or a
// replay takes a file out of quarantine itself; a copy that a verdict names leaves dicom-replaced by a person alone.
var dropVersions = {
  name: 'drop-versions'
  enabled: true
  type: 'Lifecycle'
  definition: {
    filters: {
      blobTypes: [
        'blockBlob'
      ]
      prefixMatch: [
        'dicom-inbox/'
        'dicom-receipts/'
        'dicom-quarantine/'
        'dicom-quarantine-reasons/'
        'dicom-replaced/'
        'dicom-control/'
        'retention-state/'
      ]
    }
    actions: {
      version: versionsGo
    }
  }
}
resource account 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: name
  location: location
  kind: 'StorageV2'
  sku: {
    name: sku
  }
  properties: {
    // Identities only: a key would open everything to whoever finds it.
    allowSharedKeyAccess: false
    defaultToOAuthAuthentication: true
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    minimumTlsVersion: 'TLS1_2'
    supportsHttpsTrafficOnly: true
    isHnsEnabled: sftp
    isSftpEnabled: sftp
    // The users of SFTP. They stand beside roles, with keys of their own: make as few as there are senders.
    isLocalUserEnabled: sftp
    networkAcls: {
      defaultAction: isClosed ? 'Deny' : 'Allow'
      // Event Grid has no private endpoint; it comes as a trusted service, in this case too. Access that is disabled as
      // a whole would keep it out, so it is the rules that are closed.
      bypass: 'AzureServices'
    }
  }
}

resource lock 'Microsoft.Authorization/locks@2020-05-01' = if (isLocked) {
  name: 'keep'
  scope: account
  properties: {
    level: 'CanNotDelete'
    notes: 'Files that are nowhere else may be in it.'
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
    // The history of retention-policy, and what was there before something was written over it.
    isVersioningEnabled: !sftp
  }
}

resource container 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = [
  for item in containers: {
    parent: blobService
    name: item
  }
]

resource queueService 'Microsoft.Storage/storageAccounts/queueServices@2024-01-01' = {
  parent: account
  name: 'default'
}

resource queue 'Microsoft.Storage/storageAccounts/queueServices/queues@2024-01-01' = [
  for item in queues: {
    parent: queueService
    name: item
  }
]

resource lifecycle 'Microsoft.Storage/storageAccounts/managementPolicies@2024-01-01' = {
  parent: account
  name: 'default' // an account has one
  properties: {
    policy: {
      rules: concat(map(rules, rule => {
        name: rule.name
        enabled: true
        type: 'Lifecycle'
        definition: {
          filters: {
            blobTypes: rule.types
            prefixMatch: rule.containers
          }
          // With a hierarchical namespace there are no versions, and a rule about them would be refused.
          actions: sftp
            ? { baseBlob: { delete: { daysAfterModificationGreaterThan: rule.days } } }
            : { baseBlob: { delete: { daysAfterModificationGreaterThan: rule.days } }, version: versionsGo }
        }
      }), sftp ? [] : [dropVersions])
    }
  }
  dependsOn: [
    blobService // versions must be on before a rule may speak of them
  ]
}

output name string = account.name
output tableUri string = account.properties.primaryEndpoints.table
