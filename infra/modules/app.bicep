// A function app on Flex Consumption, with a plan and a host storage of its own.
//
// Its own, since the host storage holds the app's package and its function keys: who may write there can change the
// code that runs under the app's identity. In one account for all, the lookups could put other code in the place of
// retention's, for the host asks for a role on the whole account.
import { builtInRoles } from '../access.bicep'

param location string

@description('Of the azd service: ingest, lookups or retention.')
param name string

param token string
param identityName string
param principalId string

@description('ENABLED_FUNCTIONS: the folders whose functions the app has.')
param functions string

@description('The account of the files; empty for an app that knows none.')
param dataAccountName string

@description('App settings beside those of the platform, which are below.')
param settings object

param insightsName string

@description('Whether host and app tell of themselves by OpenTelemetry, in one trace.')
param openTelemetry bool

param maximumInstances int
param softDeleteDays int

@description('Whether the host storage is reached over private endpoints only.')
param isClosed bool

@description('Subnet that the app calls out from; empty for none.')
param subnetId string

var packageContainer = 'app-package'
// LOOKUP_CONCURRENCY: more at a time an instance would answer 503. Without it the platform decides, and to a Python app
// it may give one request at a time.
var requestsAtOnce = 64

var hostRoles = [
  builtInRoles.storageBlobDataOwner // leases, the package, the function keys
  builtInRoles.storageQueueDataContributor // what a trigger puts by
  builtInRoles.storageTableDataContributor // diagnostic events
]

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' existing = {
  name: identityName
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource dataAccount 'Microsoft.Storage/storageAccounts@2024-01-01' existing = if (!empty(dataAccountName)) {
  name: empty(dataAccountName) ? 'none' : dataAccountName
}

resource hostAccount 'Microsoft.Storage/storageAccounts@2024-01-01' = {
  name: 'st${name}${token}'
  location: location
  kind: 'StorageV2'
  sku: {
    name: 'Standard_LRS' // a deployment makes its content anew, but for the function keys, which come back as others
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
      bypass: 'AzureServices'
    }
  }
}

resource hostBlobs 'Microsoft.Storage/storageAccounts/blobServices@2024-01-01' = {
  parent: hostAccount
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

resource package 'Microsoft.Storage/storageAccounts/blobServices/containers@2024-01-01' = {
  parent: hostBlobs
  name: packageContainer
}

resource onHostAccount 'Microsoft.Authorization/roleAssignments@2022-04-01' = [
  for role in hostRoles: {
    name: guid(hostAccount.id, principalId, role)
    scope: hostAccount
    properties: {
      principalId: principalId
      principalType: 'ServicePrincipal'
      roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', role)
    }
  }
]

resource onInsights 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(insights.id, principalId, builtInRoles.monitoringMetricsPublisher)
  scope: insights
  properties: {
    principalId: principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: subscriptionResourceId('Microsoft.Authorization/roleDefinitions', builtInRoles.monitoringMetricsPublisher)
  }
}

resource plan 'Microsoft.Web/serverfarms@2024-04-01' = {
  name: 'plan-${name}-${token}'
  location: location
  kind: 'functionapp'
  // A plan of Flex Consumption has one app, so that each app has a plan.
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true // Linux
  }
}

resource app 'Microsoft.Web/sites@2024-04-01' = {
  name: 'func-${name}-${token}'
  location: location
  kind: 'functionapp,linux'
  // By this tag azd finds where to deploy a service of azure.yaml.
  tags: {
    'azd-service-name': name
  }
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    keyVaultReferenceIdentity: identity.id // else the identity of the system, which there is none of
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    functionAppConfig: {
      runtime: {
        name: 'python'
        version: '3.13'
      }
      deployment: {
        storage: {
          type: 'blobContainer'
          value: '${hostAccount.properties.primaryEndpoints.blob}${packageContainer}'
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      scaleAndConcurrency: {
        instanceMemoryMB: 2048
        maximumInstanceCount: maximumInstances
        triggers: {
          http: {
            perInstanceConcurrency: requestsAtOnce
          }
        }
      }
    }
  }
  dependsOn: [
    onHostAccount
    package
  ]
}

// Publishing passwords open the app to whoever has read them once. One after the other, and the settings after them:
// Azure answers 409 to a change of an app while another one is under way.
@batchSize(1)
resource noPassword 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2024-04-01' = [
  for door in ['ftp', 'scm']: {
    parent: app
    name: door
    location: location // versions of this API have refused a policy without one
    properties: {
      allow: false
    }
  }
]

// The files' account, as the triggers and the code know it.
var connection = empty(dataAccountName)
  ? {}
  : {
      DICOM_STORAGE__blobServiceUri: dataAccount!.properties.primaryEndpoints.blob
      DICOM_STORAGE__queueServiceUri: dataAccount!.properties.primaryEndpoints.queue
      DICOM_STORAGE__credential: 'managedidentity'
      DICOM_STORAGE__clientId: identity.properties.clientId
    }

var platform = {
  // By addresses, service by service: the account's name alone would mean the public cloud. The name besides, because
  // some versions of the host fail at their start without it; the addresses count.
  AzureWebJobsStorage__accountName: hostAccount.name
  AzureWebJobsStorage__blobServiceUri: hostAccount.properties.primaryEndpoints.blob
  AzureWebJobsStorage__queueServiceUri: hostAccount.properties.primaryEndpoints.queue
  AzureWebJobsStorage__tableServiceUri: hostAccount.properties.primaryEndpoints.table
  AzureWebJobsStorage__credential: 'managedidentity'
  AzureWebJobsStorage__clientId: identity.properties.clientId
  APPLICATIONINSIGHTS_CONNECTION_STRING: insights.properties.ConnectionString
  // The connection string says where to; who may write there, the identity says.
  APPLICATIONINSIGHTS_AUTHENTICATION_STRING: 'ClientId=${identity.properties.clientId};Authorization=AAD'
  AZURE_CLIENT_ID: identity.properties.clientId
  AZURE_TOKEN_CREDENTIALS: 'ManagedIdentityCredential' // the one that is tried
  ENABLED_FUNCTIONS: functions
}

// Both or neither: such a host takes no lines of an app that says that it sends them itself, and another one takes all.
var telemetry = openTelemetry
  ? {
      AzureFunctionsJobHost__telemetryMode: 'OpenTelemetry'
      PYTHON_ENABLE_OPENTELEMETRY: 'true'
    }
  : {}

// Nothing that Flex Consumption has another place for, or ignores: no FUNCTIONS_*, no WEBSITE_*.
resource appSettings 'Microsoft.Web/sites/config@2024-04-01' = {
  parent: app
  name: 'appsettings'
  properties: union(platform, telemetry, connection, settings)
  dependsOn: [
    noPassword
  ]
}

output name string = app.name
output url string = 'https://${app.properties.defaultHostName}'
output hostAccountName string = hostAccount.name
