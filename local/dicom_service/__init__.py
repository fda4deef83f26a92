"""A stand-in for the managed Azure DICOM service (API v2) that runs on one machine; see README.md."""
