"""A message of the queue `dicom-arrivals`, taken to the handler."""

from __future__ import annotations

from shared.arrivals import Arrival, Renamed
from shared.events import event
from store_on_upload.ingest import Ingest
from store_on_upload.upload import handle

from .arrivals import Item, Nothing, UnreadableMessage, read_message
from .renamed import send_blobs_under


async def handle_message(ingest: Ingest, body: bytes) -> None:
    """Do what a message says; one that cannot be read is parked.

    Raises:
        AzureError, Failed: not possible now; to do it all again is harmless.
    """
    for item in await read_or_park(ingest, body):
        match item:
            case Arrival():
                await handle(ingest, item)
            case Renamed():
                await send_blobs_under(ingest, item)
            case Nothing():
                pass


async def read_or_park(ingest: Ingest, body: bytes) -> list[Item]:
    """Read a message; one that nobody can read is set aside, and has no items.

    Raises:
        AzureError: storage failed.
    """
    try:
        return read_message(body, ingest.clients.settings.dicom_inbox_container)
    except UnreadableMessage:
        await ingest.queues.park(body.decode("utf-8", "replace"))
        event("arrival_parked")
        return []
