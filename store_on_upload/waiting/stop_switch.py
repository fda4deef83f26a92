"""The emergency stop: a blob named `STOP` in `dicom-control` stops ingest, without a deployment."""

from __future__ import annotations

from azure.core.exceptions import AzureError, ResourceNotFoundError

from shared.clients import Clients
from shared.kept import Kept
from shared.settings import CONTROL

STOP = "STOP"
# One look for all blobs of a process; whoever stops ingest waits so long at most.
_KEPT_SECONDS = 5.0


class StopSwitch:
    """Knows whether ingest is stopped."""

    def __init__(self, clients: Clients) -> None:
        self._blob = clients.container(CONTROL).get_blob_client(STOP)
        self._known = Kept[bool](_KEPT_SECONDS)

    async def is_on(self) -> bool:
        """Say whether the blob is there; a switch that cannot be read counts as one that is on."""
        return await self._known.get(self._look)

    async def _look(self) -> bool:
        try:
            await self._blob.get_blob_properties()
        except ResourceNotFoundError:  # a container that is not there holds no STOP either
            return False
        except AzureError:
            return True
        return True
