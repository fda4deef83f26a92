"""What retention has written down of a study's deletion, as others than the run that wrote it read it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

from purge_study.ledger.row import StudyKey
from shared.clients import Clients
from shared.settings import RETENTION_RECORDS
from shared.small_blobs import read_whole
from shared.tombstones import TOMBSTONES, tombstone_name

from .restored import UnreadableRecord


async def read_tombstone(clients: Clients, key: StudyKey) -> dict[str, Any] | None:
    """Return a study's tombstone; None if it has none.

    Raises:
        UnreadableRecord: there is something else.
        AzureError: storage failed.
    """
    name = tombstone_name(key.partition, key.uid)
    found = await read_whole(clients.container(RETENTION_RECORDS).get_blob_client(name))
    try:
        document = json.loads(found.content) if found else None
    except ValueError:
        raise UnreadableRecord from None
    if document is not None and not isinstance(document, dict):
        raise UnreadableRecord
    return document


async def partitions_with_tombstones(clients: Clients) -> AsyncIterator[str]:
    """Yield the partitions in which any study was deleted.

    Raises:
        AzureError: storage failed.
    """
    folders: Any = clients.container(RETENTION_RECORDS).walk_blobs(name_starts_with=TOMBSTONES, delimiter="/")
    async for folder in folders:
        yield folder.name.removeprefix(TOMBSTONES).rstrip("/")
