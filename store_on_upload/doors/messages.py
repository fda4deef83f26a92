"""A message of the queue `dicom-arrivals`, taken to the handler."""

from __future__ import annotations

from store_on_upload.ingest import Ingest
from store_on_upload.upload import handle

from .arrivals import Arrival, Nothing, Renamed, Unreadable, read_message
from .poison import park
from .renamed import send_blobs_under


async def handle_message(ingest: Ingest, body: bytes) -> None:
    """Do what a message says; one that cannot be read is parked.

    Raises:
        AzureError, Failed: not possible now; to do it all again is harmless.
    """
    try:
        items = read_message(body, ingest.clients.settings.dicom_inbox_container)
    except Unreadable:
        return await park(ingest, body)
    for item in items:
        match item:
            case Arrival():
                await handle(ingest, item)
            case Renamed():
                await send_blobs_under(ingest, item)
            case Nothing():
                pass
    return None
