"""A study put back from the vault: held first, then its tombstone put aside, then each instance sent to ingest.

In this order, so that a call that is cut off leaves nothing that could be deleted again, and a second call goes on.
Whoever deletes writes an intent and looks for this hold afterwards; here the hold is written, and then an intent is
looked for. So of two that meet, one sees the other.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import BlobClient
from pydantic import ValidationError

from purge_study.executing.intents import intent_name
from purge_study.ledger.row import StudyKey
from purge_study.records.restored import Restored, UnreadableRecord, read_restored, tombstone_put_aside, write_restored
from purge_study.records.tombstones import read_tombstone
from purge_study.records.vaulted import Manifest, deletion_folder, manifest_name
from purge_study.run import partitions_of
from shared import clock
from shared.arrivals import Arrival, Door
from shared.clients import Clients
from shared.queues import Queues
from shared.settings import RETENTION_RECORDS, VAULT
from shared.small_blobs import read_whole, upload_json
from shared.tombstones import tombstone_name

from .answering import refused

_AT_ONCE = 32


@dataclass(frozen=True)
class Restore:
    """A restore under way.

    Args:
        deletion_id: of the deletion that it takes back.
        sent: how many instances were sent to the handler.
        held_until: the last day on which the study is held for it.
    """

    deletion_id: str
    sent: int
    held_until: date


async def restore(clients: Clients, key: StudyKey, requested_by: str) -> Restore:
    """Put a study back; harmless when repeated.

    Raises:
        Refused: it is not in the vault, or not all of it, or a deletion of it is not finished.
        UnreadableRecord: a record of it is something else.
        DICOMwebError: the service does not tell whether it has partitions, or the time.
        AzureError: storage failed; a second call goes on.
    """
    deletion_id, manifest_sha256 = await _deletion_to_take_back(clients, key)
    manifest = await _read_manifest(clients, key, deletion_id, manifest_sha256)
    await _check_is_complete(clients, key, manifest)
    partition = key.partition if await partitions_of(clients.dicom) else None
    restored = Restored.at(await _latest_now(clients), deletion_id, requested_by)
    await write_restored(clients, key, restored)
    if await _record(clients, intent_name(key)).exists():
        raise refused("deletion-unfinished")
    await _put_tombstone_aside(clients, key, deletion_id)
    await _send(clients, manifest, partition)
    return Restore(deletion_id, len(manifest.instances), restored.until)


async def _latest_now(clients: Clients) -> datetime:
    """Return the time by our clock, or by the service's where that is later: by one behind, no hold would begin."""
    _, theirs = await clients.dicom.change_feed.latest_and_time()
    return max(clock.now(), theirs or clock.now())


async def _deletion_to_take_back(clients: Clients, key: StudyKey) -> tuple[str, str | None]:
    """Return a deletion's id and the hash of its manifest, by the tombstone, or by a restore that has moved it."""
    tombstone = await read_tombstone(clients, key)
    if tombstone is None:
        if (restored := await read_restored(clients, key)) is None:
            raise refused("not-in-vault")
        return restored.deletion_id, None
    if not tombstone.get("vault"):
        raise refused("not-in-vault")
    try:
        return str(tombstone["deletion_id"]), str(tombstone["vault"]["manifest_sha256"])
    except (LookupError, TypeError):
        raise UnreadableRecord from None


async def _read_manifest(clients: Clients, key: StudyKey, deletion_id: str, sha256: str | None) -> Manifest:
    blob = clients.container(VAULT).get_blob_client(manifest_name(key, deletion_id))
    if (found := await read_whole(blob)) is None:
        raise refused("not-in-vault")
    try:
        manifest = Manifest.model_validate_json(found.content)
    except ValidationError:
        raise refused("vault-incomplete") from None
    told = (manifest.partition, manifest.study_instance_uid, manifest.deletion_id)
    is_changed = sha256 not in (None, hashlib.sha256(found.content).hexdigest())
    if is_changed or told != (key.partition, key.uid, deletion_id):
        raise refused("vault-incomplete")
    return manifest


async def _check_is_complete(clients: Clients, key: StudyKey, manifest: Manifest) -> None:
    """See that each instance of the manifest is there, with its size; its hash, its receipt will tell."""
    there: dict[str, int] = {}
    blobs: Any = clients.container(VAULT).list_blobs(name_starts_with=deletion_folder(key, manifest.deletion_id))
    async for blob in blobs:
        there[blob.name] = blob.size
    expected = {instance.name: instance.bytes for instance in manifest.instances}
    if len(expected) < len(manifest.instances) or not expected.items() <= there.items():
        raise refused("vault-incomplete")


async def _put_tombstone_aside(clients: Clients, key: StudyKey, deletion_id: str) -> None:
    """Move a tombstone to where it keeps nothing out and still tells that the study was deleted."""
    tombstone = _record(clients, tombstone_name(key.partition, key.uid))
    if (found := await read_whole(tombstone)) is None:  # an earlier call has moved it
        return
    await upload_json(_record(clients, tombstone_put_aside(key, deletion_id)), json.loads(found.content))
    with suppress(ResourceNotFoundError):
        await tombstone.delete_blob()


async def _send(clients: Clients, manifest: Manifest, partition: str | None) -> None:
    queues, names = Queues(clients.queues), [instance.name for instance in manifest.instances]
    for start in range(0, len(names), _AT_ONCE):
        arrivals = [
            Arrival((name,), Door.RESTORE, container=VAULT, partition=partition)
            for name in names[start : start + _AT_ONCE]
        ]
        await asyncio.gather(*map(queues.send, arrivals))


def _record(clients: Clients, name: str) -> BlobClient:
    return clients.container(RETENTION_RECORDS).get_blob_client(name)
