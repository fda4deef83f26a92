"""Records are written once: their container may be under a policy that lets nobody change or delete what is in it."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import AsyncGenerator, AsyncIterable, Iterable
from datetime import UTC, datetime

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob import ContentSettings
from azure.storage.blob.aio import BlobClient

from shared.clients import Clients
from shared.settings import RETENTION_RECORDS

Blocks = Iterable[bytes] | AsyncIterable[bytes]


class OtherRecord(Exception):
    """Under a record's name stands something else, which somebody else has written."""


def new_id(now: datetime) -> str:
    """Return an id that nothing else has, for a record's name."""
    return f"{now.astimezone(UTC):%Y%m%dT%H%M%SZ}-{secrets.token_hex(8)}"


async def upload_once(
    blob: BlobClient, content: bytes | AsyncIterable[bytes], content_type: str = "application/json"
) -> bool:
    """Write a blob if its name is free, and say whether it was.

    It is not, either, where an attempt of ours has written the blob and its answer was lost.

    Raises:
        AzureError: storage failed.
    """
    try:
        await blob.upload_blob(content, overwrite=False, content_settings=ContentSettings(content_type=content_type))
    except ResourceExistsError:  # or BlobImmutableDueToPolicy, another 409
        return False
    return True


async def write_record(clients: Clients, name: str, content: bytes, content_type: str = "application/json") -> None:
    """Write a record; one that is there already with the same content was written by an attempt of ours.

    Raises:
        OtherRecord: something else is there.
        AzureError: storage failed.
    """
    blob = clients.container(RETENTION_RECORDS).get_blob_client(name)
    if not await upload_once(blob, content, content_type):
        await _check_same(blob, hashlib.sha256(content))


async def write_long_record(clients: Clients, name: str, blocks: Blocks, content_type: str) -> None:
    """Write a record of any size, block by block; otherwise as `write_record`.

    Raises:
        OtherRecord: something else is there.
        AzureError: storage failed.
    """
    blob, sent = clients.container(RETENTION_RECORDS).get_blob_client(name), hashlib.sha256()
    passing = _passing(blocks, sent)
    if not await upload_once(blob, passing, content_type):
        async for _ in passing:  # what was not sent any more is compared as well
            pass
        await _check_same(blob, sent)


async def _passing(blocks: Blocks, sent: hashlib._Hash) -> AsyncGenerator[bytes]:
    async for block in blocks if isinstance(blocks, AsyncIterable) else _each(blocks):
        sent.update(block)
        yield block


async def _each(blocks: Iterable[bytes]) -> AsyncGenerator[bytes]:
    for block in blocks:
        yield block


async def _check_same(blob: BlobClient, sent: hashlib._Hash) -> None:
    found = hashlib.sha256()
    async for chunk in (await blob.download_blob()).chunks():
        found.update(chunk)
    if found.digest() != sent.digest():
        raise OtherRecord
