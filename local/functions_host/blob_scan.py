"""Polls containers and hands every new version of a blob over to the internal queue."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from azure.storage.blob import BlobProperties
from azure.storage.queue.aio import QueueClient

from local.functions_host.blob_trigger import BlobSource, trigger_message
from local.functions_host.receipts import Receipts
from local.functions_host.storage import send

# Each hand-over is five short calls; a few at once keep a burst of uploads from queueing up.
_HAND_OVERS_AT_ONCE = 8


class BlobScan:
    """Watches one function's container.

    Args:
        wake: called when messages were put on the queue.
    """

    def __init__(
        self,
        source: BlobSource,
        receipts: Receipts,
        queue: QueueClient,
        wake: Callable[[], None],
        poll_seconds: float,
    ) -> None:
        self._source = source
        self._receipts = receipts
        self._queue = queue
        self._wake = wake
        self._poll_seconds = poll_seconds
        self._known: set[tuple[str, str]] | None = None
        self._handing_over: asyncio.Future[list[BaseException | None]] | None = None

    async def step(self) -> None:
        """Look at every blob of the container once.

        Raises:
            AzureError: storage failed.
        """
        known = await self._load_known()
        container = self._source.account.blobs.get_container_client(self._source.container)
        present: set[tuple[str, str]] = set()
        fresh: list[BlobProperties] = []
        async for blob in container.list_blobs():
            version = (blob.name, blob.etag.strip('"'))
            present.add(version)
            if version not in known and self._source.pattern.fullmatch(blob.name):
                fresh.append(blob)
            if len(fresh) >= _HAND_OVERS_AT_ONCE:
                await self._hand_over_all(fresh)
                fresh = []
        await self._hand_over_all(fresh)
        known &= present  # what is gone need not be remembered

    async def rest(self) -> None:
        """Wait for the next poll."""
        await asyncio.sleep(self._poll_seconds)

    async def finish(self) -> None:
        """Wait until the hand-overs under way are complete."""
        if self._handing_over is not None:
            await asyncio.wait({self._handing_over})

    async def _load_known(self) -> set[tuple[str, str]]:
        if self._known is None:
            function = self._source.function.qualified_name
            listing = self._receipts.completed(function, self._source.container)
            self._known = {version async for version in listing}
        return self._known

    async def _hand_over_all(self, blobs: Sequence[BlobProperties]) -> None:
        if not blobs:
            return
        # Shielded: one broken off half-way would leave a receipt that is leased for 30 s.
        self._handing_over = asyncio.gather(*map(self._hand_over, blobs), return_exceptions=True)
        outcomes = await asyncio.shield(self._handing_over)
        self._wake()
        for outcome in outcomes:
            if isinstance(outcome, BaseException):
                raise outcome

    async def _hand_over(self, blob: BlobProperties) -> None:
        source, etag = self._source, blob.etag.strip('"')
        function = source.function.qualified_name
        text = trigger_message(function, source.container, blob.name, etag)

        async def enqueue() -> None:
            await send(self._queue, text)

        path = f"{source.container}/{blob.name}"
        if await self._receipts.hand_over(function, path, etag, enqueue) and self._known is not None:
            self._known.add((blob.name, etag))
