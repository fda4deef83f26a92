"""What the platform has set aside after five failed runs: ours is tried again, other apps' is handed on."""

from __future__ import annotations

import base64
import json
from typing import Any

from shared.arrivals import Arrival, Door, Renamed
from shared.events import event
from shared.telemetry.recording import span
from store_on_upload.beginning import with_possible_names
from store_on_upload.ingest import Ingest
from store_on_upload.waiting.put_off import poisoned

from .arrivals import Nothing
from .messages import read_or_park

_AGAIN_AFTER_SECONDS = 60
_OURS = ".store_on_upload"  # how the id of our function ends, after the host's prefix


async def handle_poisoned_arrival(ingest: Ingest, body: bytes) -> None:
    """Deal with a message of `dicom-arrivals-poison`.

    Raises:
        AzureError, Failed: not possible now.
    """
    for item in await read_or_park(ingest, body):
        match item:
            case Arrival():
                await _poisoned(ingest, item)
            case Renamed():
                await ingest.queues.send(item, _AGAIN_AFTER_SECONDS)
            case Nothing():
                pass


async def handle_poisoned_blob(ingest: Ingest, body: bytes) -> None:
    """Deal with a message of `webjobs-blobtrigger-poison`, which all apps of a storage account share.

    Raises:
        AzureError, Failed: not possible now.
    """
    message = _parse(body)
    inbox = ingest.clients.settings.dicom_inbox_container
    is_ours = message.get("ContainerName") == inbox and str(message.get("FunctionId")).endswith(_OURS)
    if is_ours and isinstance(message.get("BlobName"), str):
        return await _poisoned(ingest, Arrival((message["BlobName"],), Door.DEFERRAL))
    await ingest.queues.set_aside_foreign(body.decode("utf-8", "replace"))
    event("foreign_poison_moved")
    return None


async def _poisoned(ingest: Ingest, arrival: Arrival) -> None:
    with span("put file off", parent=arrival.traceparent, door=arrival.door):
        if named := with_possible_names(arrival):
            await poisoned(ingest, named)


def _parse(body: bytes) -> dict[str, Any]:
    for read in (bytes, base64.b64decode):
        try:
            message = json.loads(read(body))
        except (ValueError, RecursionError):
            continue
        if isinstance(message, dict):
            return message
    return {}
