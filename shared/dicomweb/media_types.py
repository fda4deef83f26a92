"""What we ask for, by resource (PS3.18 §8.7): never `*/*`, which the Azure service answers with 406 or multipart.

`transfer-syntax=*` takes the stored bytes unchanged; without it the service refuses a study of several instances,
even where all are already in the default syntax.
"""

from __future__ import annotations

DICOM = "application/dicom"
DICOM_JSON = "application/dicom+json"
OCTET_STREAM = "application/octet-stream"

INSTANCE = "application/dicom; transfer-syntax=*"
INSTANCES = 'multipart/related; type="application/dicom"; transfer-syntax=*'
FRAME = "application/octet-stream; transfer-syntax=*"
FRAMES = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
