// The identity of an app, or of a DICOM service over a data lake: user-assigned, so that it has its roles before it is
// used for the first time.
param location string
param name string

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2023-01-31' = {
  name: name
  location: location
}

output id string = identity.id
output name string = identity.name
output principalId string = identity.properties.principalId
