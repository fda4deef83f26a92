"""Which deletion stands of a study: `purged/<partition>/<study>.json` in `retention-state`, gone once it is put back.

Ingest keeps out what has one (`shared.purged`).
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import suppress
from datetime import datetime
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import BlobClient

from purge_study.ledger.row import StudyKey
from shared import clock
from shared.clients import Clients
from shared.purged import PURGED, pointer_name
from shared.settings import RETENTION_STATE
from shared.small_blobs import read_whole, upload_json

from .restored import UnreadableRecord


async def write_pointer(clients: Clients, key: StudyKey, deletion_id: str, deleted_at: str) -> None:
    """Have a study point to the tombstone of its last deletion.

    Raises:
        AzureError: storage failed.
    """
    await upload_json(_blob(clients, key), {"deletion_id": deletion_id, "deleted_at": deleted_at})


async def read_pointer(clients: Clients, key: StudyKey) -> str | None:
    """Return the id of the deletion that stands of a study; None if none does.

    Raises:
        UnreadableRecord: there is something else.
        AzureError: storage failed.
    """
    found = await read_whole(_blob(clients, key))
    return None if found is None else _deletion_id(found.content)


async def read_time_of_deletion(clients: Clients, key: StudyKey) -> datetime | None:
    """Return when a study was deleted, by its pointer: None if it has none, the current time if it names no time.

    Raises:
        AzureError: storage failed.
    """
    found = await read_whole(_blob(clients, key))
    return None if found is None else _deleted_at(found.content)


async def remove_pointer(clients: Clients, key: StudyKey, deletion_id: str) -> bool:
    """Let a study be as if it had not been deleted; say whether no other deletion stands of it.

    Raises:
        UnreadableRecord: there is something else.
        AzureError: storage failed, or another deletion was just written.
    """
    blob = _blob(clients, key)
    found = await read_whole(blob)
    if found is None:  # an earlier call has removed it
        return True
    if _deletion_id(found.content) != deletion_id:
        return False
    with suppress(ResourceNotFoundError):
        await blob.delete_blob(etag=found.etag, match_condition=MatchConditions.IfNotModified)
    return True


async def partitions_with_purged(clients: Clients) -> AsyncIterator[str]:
    """Yield the partitions in which a study is purged.

    Raises:
        AzureError: storage failed.
    """
    folders: Any = clients.container(RETENTION_STATE).walk_blobs(name_starts_with=PURGED, delimiter="/")
    async for folder in folders:
        if folder.name.endswith("/"):  # else it is the folder once more, as a blob
            yield folder.name.removeprefix(PURGED).rstrip("/")


def _deletion_id(content: bytes) -> str:
    try:
        deletion_id = json.loads(content)["deletion_id"]
    except (LookupError, TypeError, ValueError):
        raise UnreadableRecord from None
    if not isinstance(deletion_id, str):
        raise UnreadableRecord
    return deletion_id


def _deleted_at(content: bytes) -> datetime:
    try:
        return datetime.fromisoformat(json.loads(content)["deleted_at"])
    except (LookupError, TypeError, ValueError):  # written by hand
        return clock.now()


def _blob(clients: Clients, key: StudyKey) -> BlobClient:
    return clients.container(RETENTION_STATE).get_blob_client(pointer_name(key.partition, key.uid))
