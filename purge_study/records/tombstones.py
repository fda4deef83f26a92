"""What retention has written down of a study's deletion, once and for good: `tombstones/…` in `retention-records`."""

from __future__ import annotations

import json
from typing import Any, Final

from purge_study.ledger.row import StudyKey
from shared.clients import Clients
from shared.settings import RETENTION_RECORDS
from shared.small_blobs import in_json, read_whole

from .pointers import read_pointer
from .restored import UnreadableRecord
from .writing import OtherRecord, upload_once

TOMBSTONES: Final = "tombstones/"
# What two runs that record the same deletion may say differently: the second one has found the study gone.
_OF_THE_END: Final = {"ending", "deleted_at"}


def tombstone_name(key: StudyKey, deletion_id: str) -> str:
    """Return the name of the tombstone of a deletion: a study that has come back gets another one."""
    return f"{TOMBSTONES}{key.partition}/{key.uid}/{deletion_id}.json"


async def write_tombstone(clients: Clients, key: StudyKey, tombstone: dict[str, Any]) -> dict[str, Any]:
    """Write a tombstone, and return it as it stands: a run that was killed may have written it before.

    Raises:
        OtherRecord: there is something else.
        AzureError: storage failed.
    """
    name, content = tombstone_name(key, tombstone["deletion_id"]), in_json(tombstone)
    if await upload_once(clients.container(RETENTION_RECORDS).get_blob_client(name), content):
        return tombstone
    try:
        found = await read_tombstone_of(clients, key, tombstone["deletion_id"])
    except UnreadableRecord:
        raise OtherRecord from None
    if found.keys() != tombstone.keys() or _without_end(found) != _without_end(json.loads(content)):
        raise OtherRecord
    return found


async def read_tombstone(clients: Clients, key: StudyKey) -> dict[str, Any] | None:
    """Return the tombstone of a study that is purged, by its pointer; None if there is none.

    Raises:
        UnreadableRecord: there is something else, or the pointer leads nowhere.
        AzureError: storage failed.
    """
    deletion_id = await read_pointer(clients, key)
    return None if deletion_id is None else await read_tombstone_of(clients, key, deletion_id)


async def read_tombstone_of(clients: Clients, key: StudyKey, deletion_id: str) -> dict[str, Any]:
    """Return the tombstone of a certain deletion.

    Raises:
        UnreadableRecord: there is none, or something else.
        AzureError: storage failed.
    """
    found = await read_whole(clients.container(RETENTION_RECORDS).get_blob_client(tombstone_name(key, deletion_id)))
    try:
        document = json.loads(found.content) if found else None
    except ValueError:
        raise UnreadableRecord from None
    if not isinstance(document, dict):
        raise UnreadableRecord
    return document


def _without_end(tombstone: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in tombstone.items() if name not in _OF_THE_END}
