// All that the app needs in Azure, for `azd up`. docs/deploying.md says what it makes and what each parameter is for;
// access.bicep, who may do what.
targetScope = 'subscription'

import { access, blobRoles, builtInRoles, dicomRoles } from 'access.bicep'

@minLength(1)
@maxLength(64)
@description('Name of the azd environment. Names of resources come of it.')
param environmentName string

@minLength(1)
@metadata({ azd: { type: 'location' } })
@description('Region for everything new. It must offer Flex Consumption and the DICOM service.')
param location string

@description('Three apps, each with an identity of its own, so that a hole in the lookups cannot delete; `false`: one app that may do everything.')
param separateApps bool = true

@description('Resource id of a DICOM service that exists already. Empty: a new workspace with a new service.')
param dicomServiceId string = ''

@description('Whether a new DICOM service has partitions. It cannot be changed later, and `sources.toml` must name a partition for every file.')
param dicomPartitions bool = false

@description('Resource id of a storage account with a hierarchical namespace in which a new DICOM service keeps its files. Empty: storage of its own. It cannot be changed later.')
param dicomLakeAccountId string = ''

@description('Container of that account, made before the deployment.')
param dicomLakeContainer string = 'dicom'

@description('How the app learns of new files: `webhook`, Event Grid calls the blob trigger; or `queue`, Event Grid delivers into the queue `dicom-arrivals`. With `PRIVATE_NETWORK` or `SFTP` it is always the queue.')
@allowed([
  'webhook'
  'queue'
])
param arrivals string = 'webhook'

@description('Whether files may come by SFTP. The account then has a hierarchical namespace, which cannot be changed later, and no versions of blobs.')
param sftp bool = false

@minValue(0)
@maxValue(86400)
@description('With SFTP, how long an empty or unfinished file must be unchanged before it is rejected.')
param settleAfterSeconds int = 120

@description('Copies of the accounts of data: in three zones by default, for a file is in the inbox alone until its instance is stored. Not every region has zones.')
@allowed([
  'Standard_LRS'
  'Standard_ZRS'
  'Standard_GRS'
  'Standard_GZRS'
])
param storageSku string = 'Standard_ZRS'

@minValue(1)
@description('How many days `dicom-archive` keeps a file after its instance was stored.')
param archiveDays int = 30

@minValue(1)
@maxValue(3650)
@description('How many days a deleted study can be put back; a lifecycle rule empties the vault after them.')
param vaultDays int = 90

@minValue(1)
@maxValue(365)
@description('How many days deleted blobs and containers can be undeleted, and earlier versions are kept.')
param softDeleteDays int = 14

@minValue(1)
@maxValue(146000)
@description('How many days records of retention and of access can be neither changed nor deleted. The policy is unlocked: who administers the account can still shorten it.')
param recordsDays int = 2190

@description('Containers of records whose policies of immutability have been locked by hand, with commas between: `retention-records,access-audit` for both. Azure takes no locked policy a second time, so that a deployment leaves those alone. One that is made anew has none: take its name out first.')
param recordsLocked string = ''

@description('What is done with the studies that are due.')
@allowed([
  'report'
  'approve'
  'delete'
])
param purgeMode string = 'approve'

@minValue(40)
@maxValue(1000)
@description('How many instances an app may have at most. Each stores up to 16 files at once.')
param maximumInstances int = 40

@description('Whether storage and a new DICOM service are reached over private endpoints only.')
param privateNetwork bool = false

@description('Address range of the virtual network, a /22 or larger, where there is to be a private one.')
param networkRange string = '10.80.0.0/22'

@description('Where alerts are mailed to. Empty: nowhere; the action group is there all the same.')
param alertEmail string = ''

@description('Address of the folder `docs/runbooks` in your repository, such as `https://github.com/example/imaging/blob/main/docs/runbooks`. The mail of each alert then links to its page. Empty: the mail names the file in the repository.')
param runbooksUrl string = ''

@minValue(1)
@description('How many files of a day may be ignored, and how many refused, before an alert says so.')
param strayFilesPerDay int = 100

@minValue(30)
@maxValue(730)
@description('How many days the log is kept.')
param logDays int = 90

@description('Whether host and app tell of themselves by OpenTelemetry: one trace from a file or a request to the DICOM service, metrics, and the log sent by the app itself. `false`: the log alone, which the host sends.')
param openTelemetry bool = true

@description('Whether the DICOM service and both storage accounts of data are locked against deletion, `azd down` included.')
param deletionLocks bool = true

var token = uniqueString(subscription().id, environmentName, location)
var tags = {
  'azd-env-name': environmentName
}

// The one app, where there is one, is called ingest as well: that is the azd service which is deployed in any case.
var appNames = separateApps
  ? [
      'ingest'
      'lookups'
      'retention'
    ]
  : [
      'ingest'
    ]
// Private installations take no calls from outside, and by SFTP files arrive by renames, which the blob trigger does not
// know: both always have the queue.
var eventsTo = privateNetwork || sftp ? 'queue' : arrivals
var everything = {
  functions: union(access.ingest.functions, access.lookups.functions, access.retention.functions)
  dicom: union(access.ingest.dicom, access.lookups.dicom, access.retention.dicom)
  dataContainers: union(access.ingest.dataContainers, access.lookups.dataContainers, access.retention.dataContainers)
  recordsContainers: union(access.ingest.recordsContainers, access.lookups.recordsContainers, access.retention.recordsContainers)
  queues: union(access.ingest.queues, access.lookups.queues, access.retention.queues)
  tables: true
  secrets: union(access.ingest.secrets, access.lookups.secrets, access.retention.secrets)
}
var granted = {
  ingest: separateApps ? access.ingest : everything
  lookups: access.lookups
  retention: access.retention
}

// Where the DICOM service is: the parts of its id, /subscriptions/2/resourceGroups/4/providers/6/workspaces/8/dicomservices/10.
var dicomIsNew = empty(dicomServiceId)
var dicomSubscription = dicomIsNew ? subscription().subscriptionId : split(dicomServiceId, '/')[2]
var dicomGroup = dicomIsNew ? group.name : split(dicomServiceId, '/')[4]
var dicomWorkspaceName = dicomIsNew ? 'dicom${token}' : split(dicomServiceId, '/')[8]
var dicomServiceName = dicomIsNew ? 'dropbox' : split(dicomServiceId, '/')[10]

// Where its files are, if it has data-lake storage: /subscriptions/2/resourceGroups/4/providers/6/storageAccounts/8.
var dicomHasLake = dicomIsNew && !empty(dicomLakeAccountId)
var lakeSubscription = dicomHasLake ? split(dicomLakeAccountId, '/')[2] : subscription().subscriptionId
var lakeGroup = dicomHasLake ? split(dicomLakeAccountId, '/')[4] : group.name
var lakeName = dicomHasLake ? split(dicomLakeAccountId, '/')[8] : 'none'

resource group 'Microsoft.Resources/resourceGroups@2024-11-01' = {
  name: 'rg-${environmentName}'
  location: location
  tags: tags
}

// Custom roles come first, and are assigned only after what takes Azure minutes (`dependsOn`, below): a new role is not
// known everywhere at once, and Azure refuses to assign a role that it does not know.
module ownBlobRoles 'modules/custom-roles.bicep' = {
  scope: group
  params: {
    environmentName: environmentName
    kind: 'blobs'
    roles: blobRoles
    readerId: builtInRoles.storageBlobDataReader
  }
}

// In the DICOM service's group and not in the app's, since a role can be assigned only within its own scopes.
module ownDicomRoles 'modules/custom-roles.bicep' = {
  scope: resourceGroup(dicomSubscription, dicomGroup)
  params: {
    environmentName: environmentName
    kind: 'dicom'
    roles: dicomRoles
    readerId: builtInRoles.dicomDataReader
  }
}

module network 'modules/network.bicep' = if (privateNetwork) {
  scope: group
  params: {
    location: location
    name: 'vnet-${token}'
    addresses: networkRange
    dicomIsNew: dicomIsNew
  }
}

module monitoring 'modules/monitoring.bicep' = {
  scope: group
  params: {
    location: location
    token: token
    alertEmail: alertEmail
  }
}

module data 'modules/data-storage.bicep' = {
  scope: group
  params: {
    location: location
    name: 'stdata${token}'
    sku: storageSku
    sftp: sftp
    isClosed: privateNetwork
    archiveDays: archiveDays
    vaultDays: vaultDays
    softDeleteDays: softDeleteDays
    isLocked: deletionLocks
  }
}

module records 'modules/records-storage.bicep' = {
  scope: group
  params: {
    location: location
    name: 'strecords${token}'
    sku: storageSku
    isClosed: privateNetwork
    recordsDays: recordsDays
    lockedContainers: recordsLocked
    softDeleteDays: softDeleteDays
    isLocked: deletionLocks
  }
}

module keys 'modules/keys.bicep' = {
  scope: group
  params: {
    location: location
    name: 'kv-${token}'
  }
}

module dicomIdentity 'modules/identity.bicep' = if (dicomHasLake) {
  scope: group
  params: {
    location: location
    name: 'id-dicom-${token}'
  }
}

module lakeAccess 'modules/lake-access.bicep' = if (dicomHasLake) {
  scope: resourceGroup(lakeSubscription, lakeGroup)
  params: {
    principalId: dicomIdentity!.outputs.principalId
    accountName: lakeName
  }
}

module dicom 'modules/dicom.bicep' = if (dicomIsNew) {
  scope: group
  params: {
    location: location
    workspaceName: dicomWorkspaceName
    serviceName: dicomServiceName
    partitions: dicomPartitions
    lakeAccountId: dicomLakeAccountId
    lakeContainer: dicomLakeContainer
    identityId: dicomHasLake ? dicomIdentity!.outputs.id : ''
    isClosed: privateNetwork
    isLocked: deletionLocks
  }
  dependsOn: [
    lakeAccess
  ]
}

module identities 'modules/identity.bicep' = [
  for name in appNames: {
    name: 'identity-${name}'
    scope: group
    params: {
      location: location
      name: 'id-${name}-${token}'
    }
  }
]

module dicomAccess 'modules/dicom-access.bicep' = {
  scope: resourceGroup(dicomSubscription, dicomGroup)
  params: {
    workspaceName: dicomWorkspaceName
    serviceName: dicomServiceName
    roleIds: ownDicomRoles.outputs.roleIds
    grants: [
      for (name, index) in appNames: {
        principalId: identities[index].outputs.principalId
        roles: granted[name].dicom
      }
    ]
  }
  // What takes Azure minutes, so that the new roles are known by then.
  dependsOn: [
    monitoring
    data
    records
    keys
    dicom
  ]
}

// Before the apps: a reference to a secret is looked up when an app starts, and not again for a day.
module appAccess 'modules/app-access.bicep' = [
  for (name, index) in appNames: {
    name: 'access-${name}'
    scope: group
    params: {
      principalId: identities[index].outputs.principalId
      dataAccountName: data.outputs.name
      recordsAccountName: records.outputs.name
      vaultName: keys.outputs.name
      blobRoleIds: ownBlobRoles.outputs.roleIds
      dataContainers: granted[name].dataContainers
      recordsContainers: granted[name].recordsContainers
      queues: granted[name].queues
      tables: granted[name].tables
      secrets: granted[name].secrets
      takesWebhook: eventsTo == 'webhook' && contains(granted[name].functions, 'store_on_upload')
    }
    // As above.
    dependsOn: [
      monitoring
      dicom
    ]
  }
]

// Settings of the code, app by app; what is set nowhere has its default. Those of the platform stand in app.bicep.
var serviceSettings = {
  DICOM_SERVICE_URL: '${dicomAccess.outputs.serviceUrl}/v2'
  RECORDS_STORAGE__blobServiceUri: records.outputs.blobUri
}
var ingestSettings = {
  BLOB_TRIGGER_SOURCE: 'EventGrid'
  // The blob trigger and the queue would each take up every file. One that is disabled needs no subscription.
  'AzureWebJobs.store_on_upload.Disabled': eventsTo == 'queue' ? 'true' : 'false'
  AFTER_STORE: 'archive'
  PROBE_SCHEDULE: '30 */10 * * * *' // not at the moment of a sweep
  SETTLE_AFTER_SECONDS: sftp ? string(settleAfterSeconds) : '0'
  REPLAY_KEY: keys.outputs.replayKey
  AUDIT: 'required'
  AUDIT_KEY: keys.outputs.auditKey
}
var lookupsSettings = {
  AUDIT: 'required'
  AUDIT_KEY: keys.outputs.auditKey
}
var retentionSettings = {
  DICOM_STORAGE__tableServiceUri: data.outputs.tableUri
  PURGE_MODE: purgeMode
  BEFORE_DELETE: 'vault'
  VAULT_DAYS: string(vaultDays)
  APPROVAL_KEY: keys.outputs.approvalKey
  LEDGER_KEY: keys.outputs.ledgerKey
  AUDIT: 'required'
  AUDIT_KEY: keys.outputs.auditKey
}

// What an installation sets besides, or otherwise. Here and not in the portal: each deployment sets all settings anew.
var own = loadJsonContent('settings.json')
var settings = {
  ingest: separateApps
    ? union(ingestSettings, own.ingest)
    : union(ingestSettings, lookupsSettings, retentionSettings, own.ingest, own.lookups, own.retention)
  lookups: union(lookupsSettings, own.lookups)
  retention: union(retentionSettings, own.retention)
}

// One after the other: Azure answers 409 if two apps are made in one subnet at the same time.
@batchSize(1)
module apps 'modules/app.bicep' = [
  for (name, index) in appNames: {
    name: 'app-${name}'
    scope: group
    params: {
      location: location
      name: name
      token: token
      identityName: identities[index].outputs.name
      principalId: identities[index].outputs.principalId
      functions: join(granted[name].functions, ' ')
      // The lookups know no inbox, so they get no address of it.
      dataAccountName: empty(granted[name].dataContainers) ? '' : data.outputs.name
      settings: union(serviceSettings, settings[name])
      insightsName: monitoring.outputs.insightsName
      openTelemetry: openTelemetry
      maximumInstances: maximumInstances
      softDeleteDays: softDeleteDays
      isClosed: privateNetwork
      subnetId: privateNetwork ? network!.outputs.appsSubnetId : ''
    }
    dependsOn: [
      appAccess
    ]
  }
]

// After the apps: a workspace that is seconds old may not have its tables yet. The apps have no code at that moment, so
// that the log keeps no name.
module blanking 'modules/blanking.bicep' = {
  scope: group
  params: {
    location: location
    token: token
    workspaceName: monitoring.outputs.workspaceName
    logDays: logDays
  }
  dependsOn: [
    apps
  ]
}

module events 'modules/event-grid.bicep' = {
  scope: group
  params: {
    location: location
    name: 'evgt-${token}'
    dataAccountName: data.outputs.name
    // With the webhook, renames come by the queue: the blob trigger does not know them.
    types: eventsTo == 'queue'
      ? [
          'Microsoft.Storage.BlobCreated'
          'Microsoft.Storage.BlobRenamed'
          'Microsoft.Storage.DirectoryRenamed'
        ]
      : [
          'Microsoft.Storage.BlobRenamed'
          'Microsoft.Storage.DirectoryRenamed'
        ]
  }
}

module readiness 'modules/readiness.bicep' = {
  scope: group
  params: {
    location: location
    insightsName: monitoring.outputs.insightsName
    apps: [for (name, index) in appNames: { name: name, url: apps[index].outputs.url }]
  }
}

module alerts 'modules/alerts.bicep' = {
  scope: group
  params: {
    location: location
    workspaceId: monitoring.outputs.workspaceId
    actionGroupId: monitoring.outputs.actionGroupId
    runbooksUrl: runbooksUrl
    strayFilesPerDay: strayFilesPerDay
    isProbed: !empty(settings.ingest.PROBE_SCHEDULE)
  }
}

module endpoints 'modules/private-endpoints.bicep' = if (privateNetwork) {
  scope: group
  params: {
    location: location
    subnetId: network!.outputs.endpointsSubnetId
    dataAccountName: data.outputs.name
    recordsAccountName: records.outputs.name
    hostAccountNames: [for (name, index) in appNames: apps[index].outputs.hostAccountName]
    isHierarchical: sftp
    // An existing service keeps the network that it has.
    dicomWorkspaceName: dicomIsNew ? dicom!.outputs.workspaceName : ''
  }
}

// Names that azd keeps in its environment, for hooks and for whoever deploys.
output AZURE_SUBSCRIPTION_ID string = subscription().subscriptionId
output RESOURCE_GROUP string = group.name
output INGEST_APP string = apps[0].outputs.name
output INGEST_URL string = apps[0].outputs.url
output LOOKUPS_APP string = apps[separateApps ? 1 : 0].outputs.name
output RETENTION_APP string = apps[separateApps ? 2 : 0].outputs.name
output LOOKUPS_URL string = '${apps[separateApps ? 1 : 0].outputs.url}/api'
output DATA_ACCOUNT string = data.outputs.name
output RECORDS_ACCOUNT string = records.outputs.name
output KEY_VAULT string = keys.outputs.name
output EVENTS_TO string = eventsTo
output EVENT_TOPIC string = events.outputs.topicName
output LOG_WORKSPACE string = blanking.outputs.customerId
output SENDER_ROLE string = ownBlobRoles.outputs.roleIds.keep // on dicom-inbox (docs/feeding-the-inbox.md)
output DICOM_SERVICE_URL string = '${dicomAccess.outputs.serviceUrl}/v2'

// The parameters, by their variables: `azd env refresh` has outputs back on another machine, and nothing else. Without
// these, whoever deploys from there would change all of it to the defaults.
output AZURE_LOCATION string = location
output SEPARATE_APPS bool = separateApps
output DICOM_SERVICE_ID string = dicomServiceId
output DICOM_PARTITIONS bool = dicomPartitions
output DICOM_LAKE_ACCOUNT_ID string = dicomLakeAccountId
output DICOM_LAKE_CONTAINER string = dicomLakeContainer
output ARRIVALS string = arrivals
output SFTP bool = sftp
output SETTLE_AFTER_SECONDS int = settleAfterSeconds
output STORAGE_SKU string = storageSku
output ARCHIVE_DAYS int = archiveDays
output VAULT_DAYS int = vaultDays
output SOFT_DELETE_DAYS int = softDeleteDays
output RECORDS_DAYS int = recordsDays
output RECORDS_LOCKED string = recordsLocked
output PURGE_MODE string = purgeMode
output MAXIMUM_INSTANCES int = maximumInstances
output PRIVATE_NETWORK bool = privateNetwork
output NETWORK_RANGE string = networkRange
output ALERT_EMAIL string = alertEmail
output RUNBOOKS_URL string = runbooksUrl
output STRAY_FILES_PER_DAY int = strayFilesPerDay
output LOG_DAYS int = logDays
output OPEN_TELEMETRY bool = openTelemetry
output DELETION_LOCKS bool = deletionLocks
