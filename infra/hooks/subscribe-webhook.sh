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

az eventgrid system-topic event-subscription create --subscription "$subscription" -g "$group" \
    --system-topic-name "$(value EVENT_TOPIC)" -n store-on-upload \
    --included-event-types Microsoft.Storage.BlobCreated \
    --subject-begins-with /blobServices/default/containers/dicom-inbox/ \
    --advanced-filter data.api StringNotIn CreateFile SftpCreate \
    --endpoint "$(value INGEST_URL)/runtime/webhooks/blobs?functionName=Host.Functions.store_on_upload&code=$key" \
    -o none
echo "Event Grid calls the blob trigger of $app."
