// What the platform writes of blob names, paths and query strings is blanked before it is kept (docs/logging.md has what
// the app itself writes: none of that).
param location string
param token string
param workspaceName string
param logDays int

var keptProperties = 'Properties = pack("Category", Properties["Category"], "LogLevel", Properties["LogLevel"], "InvocationId", Properties["InvocationId"])'

// Of a span of the app, all that it can say: in words of its own. What the host calls a request that no route is for
// has its path in it, after a blank; a route has none.
var ownSpan = 'tostring(Properties["dicom_dropbox.span"])'
var ownProperties = [
  'attempts'
  'bytes'
  'complete'
  'datasets'
  'door'
  'reason'
  'resource'
  'service_code'
  'source'
  'span'
  'status'
  'transaction'
  'verdict'
]
var ofOwnSpan = join(map(ownProperties, name => '"${name}", Properties["dicom_dropbox.${name}"]'), ', ')
var withoutPath = 'OperationName = iif(OperationName contains " /", "", OperationName)'

// One line each, in the small language that transformations know. What is kept of Properties is listed, for a list of
// what goes would miss what a later host adds: `TriggerReason` of today's names the blob.
var transformations = [
  {
    table: 'AppRequests'
    kql: 'source | extend Url = "", Name = iif(Name contains " /", "", Name), ${withoutPath}, ${keptProperties}'
  }
  {
    // Requests of the host to storage: their address ends in a blob's name, and so does what they are called by. Spans
    // of the app keep their names.
    table: 'AppDependencies'
    kql: 'source | extend Data = "", Name = iif(isempty(${ownSpan}), DependencyType, ${ownSpan}), ${withoutPath}, Properties = pack("InvocationId", Properties["InvocationId"], "error", Properties["error.type"], ${ofOwnSpan})'
  }
  {
    // The app's own lines are JSON, and stay. The host's say which blob fired a trigger, and which path was asked for.
    table: 'AppTraces'
    kql: 'source | extend Message = iif(Message startswith "Executing HTTP request" or Message startswith "Executed HTTP request" or Message contains "blob detected", "", Message), ${withoutPath}, ${keptProperties}'
  }
  {
    // What an error says may name a blob, and so may what the host quotes of it. Its type stays.
    table: 'AppExceptions'
    kql: 'source | extend OuterMessage = "", InnermostMessage = "", Details = parse_json("[]"), ${withoutPath}, ${keptProperties}'
  }
]

resource bareWorkspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' existing = {
  name: workspaceName
}

resource withoutNames 'Microsoft.Insights/dataCollectionRules@2023-03-11' = {
  name: 'dcr-without-names-${token}'
  location: location
  kind: 'WorkspaceTransforms' // a workspace has one
  properties: {
    dataSources: {}
    destinations: {
      logAnalytics: [
        {
          workspaceResourceId: bareWorkspace.id
          name: 'workspace'
        }
      ]
    }
    dataFlows: [
      for item in transformations: {
        streams: [
          'Microsoft-Table-${item.table}'
        ]
        destinations: [
          'workspace'
        ]
        transformKql: item.kql
      }
    ]
  }
}

module workspace 'workspace.bicep' = {
  params: {
    location: location
    name: workspaceName
    logDays: logDays
    ruleId: withoutNames.id
  }
}

output customerId string = workspace.outputs.customerId
