#!/bin/sh
# Has Event Grid call the blob trigger, where ARRIVALS is `webhook`. After each deployment and not in Bicep: the address
# holds a key that the app has only once its code is there, and Event Grid asks the app whether it wants the events.
set -eu

value() { azd env get-value "$1"; }

if [ "$(value ARRIVALS)" != webhook ]; then
    exit 0
fi

# az may be set to another one than azd.
subscription=$(value AZURE_SUBSCRIPTION_ID)
group=$(value RESOURCE_GROUP)
app=$(value INGEST_APP)
key=$(az functionapp keys list --subscription "$subscription" -g "$group" -n "$app" --query systemKeys.blobs_extension -o tsv)
if [ -z "$key" ]; then
    echo "The app $app has no key of the blob trigger yet. Run azd deploy again in a minute." >&2
    exit 1
fi

# The topic, the account that it tells of, and the identity by which it writes dead letters.
found=$(az eventgrid system-topic show --subscription "$subscription" -g "$group" -n "$(value EVENT_TOPIC)" \
    --query "[[id, source, keys(identity.userAssignedIdentities)[0]]]" -o tsv)
read -r topic account identity <<END
$found
END

# As a resource: the command for subscriptions knows no dead letters by a topic's identity.
# Read from standard input, for a list of processes shows arguments, and there is a key in it.
az resource create --subscription "$subscription" --id "$topic/eventSubscriptions/store-on-upload" \
    --api-version 2025-02-15 -o none --properties @- <<END
{
  "eventDeliverySchema": "EventGridSchema",
  "filter": {
    "includedEventTypes": ["Microsoft.Storage.BlobCreated"],
    "subjectBeginsWith": "/blobServices/default/containers/dicom-inbox/",
    "advancedFilters": [{"operatorType": "StringNotIn", "key": "data.api", "values": ["CreateFile", "SftpCreate"]}]
  },
  "destination": {
    "endpointType": "WebHook",
    "properties": {
      "endpointUrl": "$(value INGEST_URL)/runtime/webhooks/blobs?functionName=Host.Functions.store_on_upload&code=$key"
    }
  },
  "deadLetterWithResourceIdentity": {
    "identity": {"type": "UserAssigned", "userAssignedIdentity": "$identity"},
    "deadLetterDestination": {
      "endpointType": "StorageBlob",
      "properties": {"resourceId": "$account", "blobContainerName": "event-grid-dead-letters"}
    }
  },
  "retryPolicy": {"maxDeliveryAttempts": 30, "eventTimeToLiveInMinutes": 1440}
}
END
echo "Event Grid calls the blob trigger of $app."
