"""The access record: one JSON line for each thing handed out, appended to a blob that cannot be rewritten."""

from __future__ import annotations

import asyncio
import uuid
from contextlib import suppress
from typing import Final

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceExistsError, ResourceNotFoundError
from azure.storage.blob.aio import BlobClient, ContainerClient

from shared import clock

_MOST_BYTES: Final = 1024 * 1024  # of a block; storage takes 4 MiB
_PATIENCE_SECONDS: Final = 20.0


class AccessLog:
    """Appends lines, those that come together in one request, to a blob of this process and hour.

    Args:
        container: `access-audit`, whose policy of immutability, if it has one, must allow appending.
    """

    def __init__(self, container: ContainerClient) -> None:
        self._container = container
        self._process = uuid.uuid4().hex[:8]
        self._waiting: list[tuple[bytes, asyncio.Future[None]]] = []
        self._writer: asyncio.Task[None] | None = None
        self._number = 0

    async def append(self, line: bytes) -> None:
        """Append a line, with its line break, and return once it is there.

        Raises:
            AzureError: it is not there, or not for certain.
            TimeoutError: storage takes too long.
        """
        written: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((line, written))
        if self._writer is None or self._writer.done():
            self._writer = asyncio.create_task(self._write_all())
        async with asyncio.timeout(_PATIENCE_SECONDS):
            await written

    async def _write_all(self) -> None:
        while self._waiting:
            batch = self._next_batch()
            try:
                await self._write(b"".join(line for line, _ in batch))
            except Exception as error:
                for _, written in batch:
                    _tell(written, error)
            else:
                for _, written in batch:
                    _tell(written, None)

    def _next_batch(self) -> list[tuple[bytes, asyncio.Future[None]]]:
        size = 0
        for count, (line, _) in enumerate(self._waiting):
            size += len(line)
            if size > _MOST_BYTES and count:
                break
        else:
            count = len(self._waiting)
        batch, self._waiting = self._waiting[:count], self._waiting[count:]
        return batch

    async def _write(self, lines: bytes) -> None:
        try:
            await self._append_to(self._blob(), lines)
        except HttpResponseError as error:
            if error.status_code != 409:
                raise
            # It is full (50,000 blocks), or somebody has sealed it.
            self._number += 1
            await self._append_to(self._blob(), lines)

    async def _append_to(self, blob: BlobClient, lines: bytes) -> None:
        try:
            await blob.append_block(lines)
        except ResourceNotFoundError:
            with suppress(ResourceExistsError):
                await blob.create_append_blob(match_condition=MatchConditions.IfMissing)
            await blob.append_block(lines)

    def _blob(self) -> BlobClient:
        hour = clock.now().strftime("%Y/%m/%d/%H")
        return self._container.get_blob_client(f"{hour}-{self._process}-{self._number}.jsonl")


def _tell(written: asyncio.Future[None], error: Exception | None) -> None:
    if written.done():  # whoever waited is gone
        return
    if error is None:
        written.set_result(None)
    else:
        written.set_exception(error)
