# Has Event Grid call the blob trigger, unless its events go to the queue: subscribe-webhook.sh for Windows, where the
# comments are. A test compares the two.
$ErrorActionPreference = 'Stop'

function Stop-Hook($why) {
    [Console]::Error.WriteLine($why)
    [Console]::Error.WriteLine(
        'Event Grid does not call the blob trigger: the event subscription store-on-upload was not created. ' +
        'Only the sweep finds new files, after a quarter of an hour. ' +
        'Correct what is named above, then run: azd hooks run postdeploy')
    exit 1
}

function Get-Value($name) {
    $found = azd env get-value $name
    if ($LASTEXITCODE -ne 0) { Stop-Hook "azd env get-value $name failed." }
    $found
}

if ((Get-Value EVENTS_TO) -ne 'webhook') { exit 0 }

if (-not (Get-Command az -ErrorAction SilentlyContinue)) {
    Stop-Hook 'The Azure CLI (az) is not installed: see https://aka.ms/azure-cli, then run az login.'
}

$subscription = Get-Value AZURE_SUBSCRIPTION_ID
$group = Get-Value RESOURCE_GROUP
$app = Get-Value INGEST_APP
$url = Get-Value INGEST_URL
$name = Get-Value EVENT_TOPIC

az account show --subscription "$subscription" -o none
if ($LASTEXITCODE -ne 0) { Stop-Hook "The Azure CLI is not logged in to the subscription ${subscription}: run az login." }

foreach ($attempt in 1..6) {
    $key = az functionapp keys list --subscription "$subscription" -g "$group" -n "$app" --query systemKeys.blobs_extension -o tsv
    if ($LASTEXITCODE -ne 0) { $key = $null }
    if ($key) { break }
    Start-Sleep -Seconds 10
}
if (-not $key) { Stop-Hook "The app $app has no key of the blob trigger yet: it has not started, or it has no functions. See 'If a deployment fails' in docs/deploying.md." }

$found = az eventgrid system-topic show --subscription "$subscription" -g "$group" -n "$name" --query "[[id, source]]" -o tsv
if ($LASTEXITCODE -ne 0) { Stop-Hook "The Event Grid topic $name cannot be read." }
$topic, $account = $found -split '\t'
$made = "$topic/eventSubscriptions/store-on-upload"

$body = @"
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
"@
$body | az rest --method put --url "${made}?api-version=2025-02-15" -o none --body '@-'
if ($LASTEXITCODE -ne 0) { Stop-Hook 'Event Grid refused the event subscription.' }

az resource wait --subscription "$subscription" --ids "$made" --api-version 2025-02-15 --created --interval 5 --timeout 300
if ($LASTEXITCODE -ne 0) { Stop-Hook 'The app did not confirm the event subscription.' }
Write-Output "Event Grid calls the blob trigger of $app."
