// All that the workspace has. A property that is left out here is taken from it.
param location string
param name string
param logDays int

@description('The rule by which names are blanked.')
param ruleId string

resource workspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' = {
  name: name
  location: location
  properties: {
    sku: {
      name: 'PerGB2018'
    }
    retentionInDays: logDays
    features: {
      disableLocalAuth: true // no workspace key
    }
    defaultDataCollectionRuleResourceId: ruleId
  }
}

output customerId string = workspace.properties.customerId // by which queries name it
