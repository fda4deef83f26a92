// The identity of an app: user-assigned, so that it has its roles before the app starts for the first time.
param location string
param name string

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: name
  location: location
}

output name string = identity.name
output principalId string = identity.properties.principalId
