"""Where facts about the service are from."""

from __future__ import annotations

AZURE = "Azure docs, DICOM conformance statement v2"
AZURE_CHANGE_FEED = "Azure docs, change feed overview"
AZURE_TAGS = "Azure docs, extended query tags"
AZURE_PARTITIONS = "Azure docs, data partitions"
AZURE_ACCESS = "Azure docs, authentication and roles"
AZURE_VERSIONS = "Azure docs, API versioning"
OPEN_SOURCE = "open-source server"
STANDARD = "PS3.18"
GUESS = "a guess of ours: no document says"
