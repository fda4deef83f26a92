// Asks each app every quarter of an hour whether it could do its work. Nobody else would: an app that has nothing to do
// says nothing, whether it could or not.
param location string
param insightsName string

@description('Apps, each with its name and address.')
param apps array

// From one place, since each time costs; an alert asks for three failures of one app within the hour.
var place = 'emea-nl-ams-azr'

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource question 'Microsoft.Insights/webtests@2022-06-15' = [
  for item in apps: {
    name: 'ready-${item.name}'
    location: location
    kind: 'standard'
    // By this tag Application Insights knows that it is its own.
    tags: {
      'hidden-link:${insights.id}': 'Resource'
    }
    properties: {
      SyntheticMonitorId: 'ready-${item.name}'
      Name: item.name
      Enabled: true
      Kind: 'standard'
      Frequency: 900
      Timeout: 60 // an app that sleeps has to start first
      RetryEnabled: true
      Locations: [
        {
          Id: place
        }
      ]
      Request: {
        RequestUrl: '${item.url}/api/health/ready'
        HttpVerb: 'HEAD'
        ParseDependentRequests: false
        FollowRedirects: false
      }
      ValidationRules: {
        ExpectedHttpStatusCode: 200
      }
    }
  }
]
