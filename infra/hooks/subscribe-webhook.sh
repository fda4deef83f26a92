#!/bin/sh
# Has Event Grid call the blob trigger, unless its events go to the queue. After each deployment and not in Bicep: the
# address holds a key that the app has only once its code is there, and Event Grid asks the app whether it wants the
# events. subscribe-webhook.ps1 does the same on Windows.
set -eu

value() { azd env get-value "$1"; }

explain() {
    if [ "$1" != 0 ]; then
        echo "Event Grid does not call the blob trigger: the event subscription store-on-upload was not created." \
            "Only the sweep finds new files, after a quarter of an hour." \
            "Correct what is named above, then run: azd hooks run postdeploy" >&2
    fi
}
trap 'explain $?' EXIT

# Apart, for a command that fails within another one's words does not end the script.
events_to=$(value EVENTS_TO)
if [ "$events_to" != webhook ]; then
    exit 0
fi

if ! command -v az > /dev/null; then
    echo "The Azure CLI (az) is not installed: see https://aka.ms/azure-cli, then run az login." >&2
    exit 1
fi

# az may be set to another one than azd.
subscription=$(value AZURE_SUBSCRIPTION_ID)
group=$(value RESOURCE_GROUP)
app=$(value INGEST_APP)
url=$(value INGEST_URL)
name=$(value EVENT_TOPIC)

if ! az account show --subscription "$subscription" -o none; then
    echo "The Azure CLI is not logged in to the subscription $subscription: run az login." >&2
    exit 1
fi

# The key is there once the app has started with its code. Until then Azure answers with an error, or without the key.
for _ in 1 2 3 4 5 6; do
    key=$(az functionapp keys list --subscription "$subscription" -g "$group" -n "$app" --query systemKeys.blobs_extension -o tsv) || key=
    if [ -n "$key" ]; then
        break
    fi
    sleep 10
done
if [ -z "$key" ]; then
    echo "The app $app has no key of the blob trigger yet: it has not started, or it has no functions. See 'If a deployment fails' in docs/deploying.md." >&2
    exit 1
fi

# The topic, and the account that it tells of.
found=$(az eventgrid system-topic show --subscription "$subscription" -g "$group" -n "$name" --query "[[id, source]]" -o tsv)
read -r topic account <<END
$found
END
made="$topic/eventSubscriptions/store-on-upload"

# By the API itself: the command for subscriptions knows no dead letters by a topic's identity, and the one for any
# resource adds a location, which a subscription does not have. The body comes from standard input, for a list of
# processes shows arguments, and there is a key in it.
az rest --method put --url "$made?api-version=2025-02-15" -o none --body @- <<END
{
  "properties": {
    "eventDeliverySchema": "EventGridSchema",
    "filter": {
      "includedEventTypes": ["Microsoft.Storage.BlobCreated"],
      "subjectBeginsWith": "/blobServices/default/containers/dicom-inbox/",
      "advancedFilters": [{"operatorType": "StringNotIn", "key": "data.api", "values": ["CreateFile", "SftpCreate"]}]
    },
    "destination": {
      "endpointType": "WebHook",
      "properties": {
        "endpointUrl": "$url/runtime/webhooks/blobs?functionName=Host.Functions.store_on_upload&code=$key"
      }
    },
    "deadLetterWithResourceIdentity": {
      "identity": {"type": "SystemAssigned"},
      "deadLetterDestination": {
        "endpointType": "StorageBlob",
        "properties": {"resourceId": "$account", "blobContainerName": "event-grid-dead-letters"}
      }
    },
    "retryPolicy": {"maxDeliveryAttempts": 30, "eventTimeToLiveInMinutes": 1440}
  }
}
END

# Event Grid has taken the request, and asks the app only now.
az resource wait --subscription "$subscription" --ids "$made" --api-version 2025-02-15 --created --interval 5 --timeout 300
echo "Event Grid calls the blob trigger of $app."
