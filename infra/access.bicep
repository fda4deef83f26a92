// Who may do what: one page for whoever reviews it. What stands here is all that an app may do, beside its own host
// storage, its telemetry and its own code's package. Nobody may do more by having a key: shared keys are off.
// tests/infra holds these lists to what the code does, and tests/e2e/test_granted_rights.py runs each app with no more.

// Roles of our own, where no built-in one is small enough. None of them may delete a container, which the built-in
// Storage Blob Data Contributor may. Each may ask whether its container is there, as health/ready does.
@export()
var blobRoles = {
  change: {
    title: 'change blobs'
    actions: [
      'Microsoft.Storage/storageAccounts/blobServices/containers/read'
    ]
    dataActions: [
      'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read'
      'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write'
      'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action'
      'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete'
    ]
  }
  // Senders get this one as well, on the inbox, by hand (docs/feeding-the-inbox.md).
  keep: {
    title: 'write blobs and never delete them'
    actions: [
      'Microsoft.Storage/storageAccounts/blobServices/containers/read'
    ]
    dataActions: [
      'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read'
      'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/write'
      'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action'
    ]
  }
  // For copies: it makes new blobs and reads them back, and replaces or deletes none. It may append to an append blob.
  add: {
    title: 'read blobs and add new ones'
    actions: [
      'Microsoft.Storage/storageAccounts/blobServices/containers/read'
    ]
    dataActions: [
      'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read'
      'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action'
    ]
  }
  // Makes new blobs and appends to them; it reads none, not even what it has written, and replaces none.
  append: {
    title: 'append to blobs'
    actions: [
      'Microsoft.Storage/storageAccounts/blobServices/containers/read'
    ]
    dataActions: [
      'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action'
    ]
  }
}

// The built-in DICOM Data Owner may delete and export. Nobody here has both rights, to store and to delete. But whoever
// may store may replace an instance, or have its study expire: the service has no smaller right (docs/security.md).
@export()
var dicomRoles = {
  store: {
    title: 'read and store, not delete'
    actions: []
    dataActions: [
      'Microsoft.HealthcareApis/workspaces/dicomservices/resources/read'
      'Microsoft.HealthcareApis/workspaces/dicomservices/resources/write'
    ]
  }
  purge: {
    title: 'read and delete, not store'
    actions: []
    dataActions: [
      'Microsoft.HealthcareApis/workspaces/dicomservices/resources/read'
      'Microsoft.HealthcareApis/workspaces/dicomservices/resources/delete'
    ]
  }
}

// Roles that Azure has, by the ids that are the same in every tenant.
@export()
var builtInRoles = {
  dicomDataReader: 'e89c7a3c-2f64-4fa1-a847-3e4c9ba4283a'
  storageBlobDataOwner: 'b7e6dc6d-f1e8-4753-8033-0f276bb0955b'
  storageBlobDataContributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe'
  storageBlobDataReader: '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1'
  storageQueueDataContributor: '974c5e8b-45b9-4653-ba55-5f855dd0fb88'
  storageQueueDataMessageSender: 'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a'
  storageQueueDataReader: '19e7f393-937e-4f77-808e-94535e297925'
  storageTableDataContributor: '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3'
  keyVaultSecretsUser: '4633458b-17de-408a-b874-0445c86b69e6'
  monitoringMetricsPublisher: '3913510d-42f4-4e42-8a64-420c390055eb'
}

// Roles in the lists: on a container one of blobRoles or read; on a queue take (receive, hide, delete and send, which
// the host needs where it triggers), send or read (how many there are); on the DICOM service one of dicomRoles or read.
@export()
var access = {
  // Stores what is dropped. A hole in it can do harm to files on their way; and in the DICOM service it can replace
  // instances and have studies expire, without a copy.
  ingest: {
    functions: [
      'store_on_upload'
    ]
    dicom: [
      'store'
    ]
    dataContainers: [
      { name: 'dicom-inbox', role: 'change' }
      { name: 'dicom-receipts', role: 'keep' }
      { name: 'dicom-quarantine', role: 'change' }
      { name: 'dicom-quarantine-reasons', role: 'change' }
      { name: 'dicom-replaced', role: 'change' } // a copy that it made in vain is removed
      { name: 'dicom-archive', role: 'change' } // a copy that failed is removed, and made anew
      { name: 'dicom-control', role: 'keep' } // its own notes and claims; STOP is a person's
      { name: 'dicom-vault', role: 'read' } // what retention sends back from there
      { name: 'retention-state', role: 'read' } // what was deleted is not let in again
      { name: 'event-grid-dead-letters', role: 'read' } // so that somebody hears of them
    ]
    recordsContainers: [
      { name: 'access-audit', role: 'append' } // who read which receipt
    ]
    queues: [
      { name: 'dicom-arrivals', role: 'take' }
      { name: 'dicom-arrivals-poison', role: 'take' }
      { name: 'dicom-arrivals-parked', role: 'send' }
      { name: 'dicom-arrivals-parked', role: 'read' }
      { name: 'webjobs-blobtrigger-poison', role: 'take' }
      { name: 'webjobs-blobtrigger-poison-foreign', role: 'send' }
      { name: 'webjobs-blobtrigger-poison-foreign', role: 'read' }
    ]
    tables: false
    secrets: [
      'audit-key'
      'replay-key'
    ]
  }
  // Answers callers. It knows nothing of the inbox's account: a hole in it can read what callers may read.
  lookups: {
    functions: [
      'query_api'
    ]
    dicom: [
      'read'
    ]
    dataContainers: []
    recordsContainers: [
      { name: 'access-audit', role: 'append' }
    ]
    queues: []
    tables: false
    secrets: [
      'audit-key'
    ]
  }
  // Deletes studies, by rules that it cannot write, after copies that it cannot delete.
  retention: {
    functions: [
      'purge_study'
    ]
    dicom: [
      'purge'
    ]
    dataContainers: [
      { name: 'retention-policy', role: 'read' }
      { name: 'dicom-vault', role: 'add' }
      { name: 'retention-state', role: 'change' } // intents go, and what kept out a study that is put back
    ]
    recordsContainers: [
      { name: 'retention-records', role: 'keep' }
      { name: 'access-audit', role: 'append' } // who read which plan
    ]
    queues: [
      { name: 'dicom-arrivals', role: 'send' } // a study that is put back goes through ingest
    ]
    tables: true // the ledger: the app makes it, under a name that comes of LEDGER_KEY
    secrets: [
      'approval-key'
      'audit-key'
      'ledger-key'
    ]
  }
}
