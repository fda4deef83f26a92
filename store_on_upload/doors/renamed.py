"""A renamed directory: none of its blobs has an event of its own, so each is sent on from a listing."""

from __future__ import annotations

import time
from typing import Any

from shared.arrivals import Arrival, Door, Renamed
from store_on_upload.ingest import Ingest

# A listing that takes longer goes on in a message of its own.
_BUDGET_SECONDS = 240.0


async def send_blobs_under(ingest: Ingest, renamed: Renamed) -> None:
    """Send an arrival for each blob under a prefix; what is left when the time is up, in another run.

    Raises:
        AzureError: storage failed; to begin again is harmless.
    """
    deadline = time.monotonic() + _BUDGET_SECONDS
    pages: Any = ingest.clients.inbox.list_blob_names(name_starts_with=renamed.prefix).by_page(renamed.continuation)
    async for page in pages:
        async for name in page:
            await ingest.queues.send(Arrival((name,), Door.EVENT))
        if pages.continuation_token and time.monotonic() > deadline:
            return await ingest.queues.send(Renamed(renamed.prefix, pages.continuation_token))
    return None
