// The app's secrets: made here once, kept ever after, and known to nobody. LEDGER_KEY in particular must never change,
// or retention's ledger is built anew; onlyIfNotExists sees to that, whoever deploys and from wherever. So there is no
// secret on any laptop, in any pipeline, or in an app setting, which holds a reference only.
param location string
param name string

// Whatever comes in here is used once, in the first deployment. Two UUIDs have 244 random bits.
@secure()
param newReplayKey string = '${newGuid()}${newGuid()}'
@secure()
param newApprovalKey string = '${newGuid()}${newGuid()}'
@secure()
param newAuditKey string = '${newGuid()}${newGuid()}'
@secure()
param newLedgerKey string = '${newGuid()}${newGuid()}'

resource vault 'Microsoft.KeyVault/vaults@2024-11-01' = {
  name: name
  location: location
  properties: {
    tenantId: subscription().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 90
    // Nobody deletes LEDGER_KEY for good before that, whatever role they have. It cannot be turned off again.
    enablePurgeProtection: true
    // Flex Consumption cannot read references to a vault that is closed to the network. What is in it is guarded by
    // roles: one secret for each app that needs it.
    publicNetworkAccess: 'Enabled'
  }
}

// One after the other: a vault may answer 409 (ConflictError) to secrets that are written at the same time.
@onlyIfNotExists()
resource replayKey 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = {
  parent: vault
  name: 'replay-key'
  properties: {
    value: newReplayKey
  }
}

@onlyIfNotExists()
resource approvalKey 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = {
  parent: vault
  name: 'approval-key'
  properties: {
    value: newApprovalKey
  }
  dependsOn: [replayKey]
}

@onlyIfNotExists()
resource auditKey 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = {
  parent: vault
  name: 'audit-key'
  properties: {
    value: newAuditKey
  }
  dependsOn: [approvalKey]
}

@onlyIfNotExists()
resource ledgerKey 'Microsoft.KeyVault/vaults/secrets@2024-11-01' = {
  parent: vault
  name: 'ledger-key'
  properties: {
    value: newLedgerKey
  }
  dependsOn: [auditKey]
}

// References, not secrets: what an app setting holds. Without a version, so that a new value is taken up.
output name string = vault.name
output replayKey string = '@Microsoft.KeyVault(SecretUri=${vault.properties.vaultUri}secrets/${replayKey.name})'
output approvalKey string = '@Microsoft.KeyVault(SecretUri=${vault.properties.vaultUri}secrets/${approvalKey.name})'
output auditKey string = '@Microsoft.KeyVault(SecretUri=${vault.properties.vaultUri}secrets/${auditKey.name})'
output ledgerKey string = '@Microsoft.KeyVault(SecretUri=${vault.properties.vaultUri}secrets/${ledgerKey.name})'
