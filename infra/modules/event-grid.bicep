// Events of the inbox into the queue dicom-arrivals: they come with private endpoints and behind the storage's
// firewall, and they wait while the app is down.
param location string
param name string
param dataAccountName string

@description('Types of events that go into the queue.')
param types array

resource account 'Microsoft.Storage/storageAccounts@2024-01-01' existing = {
  name: dataAccountName
}

resource topic 'Microsoft.EventGrid/systemTopics@2025-02-15' = {
  name: name
  location: location
  // The topic's own: behind the storage's firewall Event Grid delivers under no user-assigned one.
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    source: account.id
    topicType: 'Microsoft.Storage.StorageAccounts'
  }
}

module access 'event-grid-access.bicep' = {
  params: {
    principalId: topic.identity.principalId
    dataAccountName: dataAccountName
  }
}

resource arrivals 'Microsoft.EventGrid/systemTopics/eventSubscriptions@2025-02-15' = {
  parent: topic
  name: 'dicom-arrivals'
  properties: {
    eventDeliverySchema: 'EventGridSchema'
    filter: {
      includedEventTypes: types
      // With its last slash, or it would mean dicom-inbox2 as well. No suffix: DICOM files often have none.
      subjectBeginsWith: '/blobServices/default/containers/dicom-inbox/'
      advancedFilters: [
        // A file that was made and has nothing in it yet; a second event tells when it is whole. Those that mean a
        // whole file are not listed: one that we did not know of would be lost.
        {
          operatorType: 'StringNotIn'
          key: 'data.api'
          values: [
            'CreateFile'
            'SftpCreate'
          ]
        }
      ]
    }
    deliveryWithResourceIdentity: {
      identity: {
        type: 'SystemAssigned'
      }
      destination: {
        endpointType: 'StorageQueue'
        properties: {
          resourceId: account.id
          queueName: 'dicom-arrivals'
          // For ever, as the app's own messages: the queue's default drops them after a week of outage.
          queueMessageTimeToLiveInSeconds: -1
        }
      }
    }
    // What cannot be delivered for a day. The sweep finds the files all the same.
    deadLetterWithResourceIdentity: {
      identity: {
        type: 'SystemAssigned'
      }
      deadLetterDestination: {
        endpointType: 'StorageBlob'
        properties: {
          resourceId: account.id
          blobContainerName: 'event-grid-dead-letters'
        }
      }
    }
    retryPolicy: {
      maxDeliveryAttempts: 30
      eventTimeToLiveInMinutes: 1440
    }
  }
  dependsOn: [
    access
  ]
}

output topicName string = topic.name
