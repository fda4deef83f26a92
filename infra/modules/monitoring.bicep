// Log, metrics, and who is told. blanking.bicep has what is not kept.
param location string
param token string

@description('Where alerts are mailed to; empty for nowhere.')
param alertEmail string

// The rule of blanking.bicep names its workspace, and the workspace its rule: the workspace is made without one the first
// time, and gets all that it has there. Only if there is none, or each deployment would take the rule off for a while.
@onlyIfNotExists()
resource bareWorkspace 'Microsoft.OperationalInsights/workspaces@2025-07-01' = {
  name: 'log-${token}'
  location: location
  properties: {
    sku: {
      name: 'PerGB2018'
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' = {
  name: 'appi-${token}'
  location: location
  kind: 'web'
  properties: {
    Application_Type: 'web'
    WorkspaceResourceId: bareWorkspace.id
    // Whoever reads the connection string cannot write here: that takes an identity with a role.
    DisableLocalAuth: true
    DisableIpMasking: false
  }
}

resource onCall 'Microsoft.Insights/actionGroups@2023-01-01' = {
  name: 'ag-${token}'
  location: 'global'
  properties: {
    groupShortName: 'dicom-oncall' // twelve characters at most
    enabled: true
    emailReceivers: empty(alertEmail)
      ? []
      : [
          {
            name: 'on-call'
            emailAddress: alertEmail
            useCommonAlertSchema: true
          }
        ]
  }
}

output workspaceName string = bareWorkspace.name
output insightsName string = insights.name
output workspaceId string = bareWorkspace.id
output actionGroupId string = onCall.id
