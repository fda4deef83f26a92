"""Files in quarantine, sent through the handler again: one by its name, or all of them, the oldest first."""

from __future__ import annotations

import heapq
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

from azure.storage.blob import BlobProperties

from shared.arrivals import Arrival, Door
from shared.clients import Clients
from shared.settings import QUARANTINE
from store_on_upload.files.moving import SOURCE_ETAG
from store_on_upload.files.quarantine import read_reason
from store_on_upload.files.source import find_version
from store_on_upload.ingest import Ingest
from store_on_upload.receipts.container import Unreadable
from store_on_upload.receipts.receipt import timestamp

# So many at most are sent in one call, which then ends well within the platform's 230 seconds.
MOST_AT_ONCE = 500


@dataclass(frozen=True)
class Replay:
    """What became of a request for a replay.

    Args:
        dry_run: whether nothing was to be sent.
        found: the files that it is about, those of later calls included.
        sent: how many of them were sent to the handler.
        continuation: where the next call is to go on; None if there is nothing left.
    """

    dry_run: bool
    found: int
    sent: int
    continuation: str | None = None


async def replay_one(ingest: Ingest, name: str, *, dry_run: bool) -> Replay | None:
    """Replay a file by its name in quarantine; None if there is none that can be.

    Raises:
        AzureError: storage failed.
    """
    version = await find_version(ingest.clients.container(QUARANTINE).get_blob_client(name))
    if version is None or not _can_be_replayed(version.metadata) or not await _has_reason(ingest.clients, name):
        return None
    if not dry_run:
        await _send(ingest, name)
    return Replay(dry_run, found=1, sent=0 if dry_run else 1)


async def _has_reason(clients: Clients, name: str) -> bool:
    try:
        return await read_reason(clients, name) is not None
    except Unreadable:
        return False


async def replay_all(ingest: Ingest, *, dry_run: bool, continuation: str | None = None) -> Replay:
    """Replay the files in quarantine, in the order in which they came there.

    Each call lists all of them, five thousand a request, and holds no more than it sends. So the place where it stopped
    can be told without a file's name, and it does not matter what has left the quarantine since.

    Args:
        ingest: what it works with.
        dry_run: only count.
        continuation: of the call before.

    Raises:
        AzureError: storage failed; to send a file twice is harmless.
    """
    found = 0

    async def waiting() -> AsyncGenerator[tuple[str, str]]:
        nonlocal found
        async for place, name in _in_quarantine(ingest.clients):
            if continuation is None or place > continuation:
                found += 1
                yield place, name

    first = await _smallest(MOST_AT_ONCE, waiting())
    if dry_run:
        return Replay(dry_run, found, sent=0)
    for _, name in first:
        await _send(ingest, name)
    return Replay(dry_run, found, len(first), first[-1][0] if found > len(first) else None)


async def _in_quarantine(clients: Clients) -> AsyncGenerator[tuple[str, str]]:
    """Yield when each file came into quarantine, told apart by its ETag, and its name there."""
    blobs: Any = clients.container(QUARANTINE).list_blobs(include=["metadata"])
    async for blob in blobs:
        if _can_be_replayed(blob.metadata or {}):
            yield _place(blob), blob.name


def _place(blob: BlobProperties) -> str:
    return f"{timestamp(blob.last_modified)} {blob.etag}"


def _can_be_replayed(metadata: dict[str, str]) -> bool:
    """Say whether a file came from the inbox, and was not put there by a person."""
    return SOURCE_ETAG in metadata


async def _smallest(count: int, items: AsyncGenerator[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return the smallest items in order, with no more than twice as many in memory."""
    kept: list[tuple[str, str]] = []
    async for item in items:
        kept.append(item)
        if len(kept) == 2 * count:
            kept = heapq.nsmallest(count, kept)
    return heapq.nsmallest(count, kept)


async def _send(ingest: Ingest, name: str) -> None:
    await ingest.queues.send(Arrival((name,), Door.REPLAY, container=QUARANTINE))
