"""A study put back from the vault: the record that holds it, the pointer removed, then each instance sent to ingest.

In this order, so that a call that is cut off leaves nothing that could be deleted again, and a second call goes on: the
record tells it which deletion is taken back. Whoever deletes writes an intent and looks for this record afterwards;
here the record is written, and then an intent is looked for. So of two that meet, one sees the other, though the two
lie in different accounts: each account answers by what was written before. The tombstone stays where it is.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from pydantic import ValidationError

from purge_study.ledger.row import StudyKey
from purge_study.records.begun import has_begun
from purge_study.records.pointers import read_pointer, remove_pointer
from purge_study.records.restored import Restored, UnreadableRecord, read_restored, write_restored
from purge_study.records.tombstones import read_tombstone_of
from purge_study.records.vaulted import Manifest, deletion_folder, manifest_name
from shared import clock
from shared.arrivals import Arrival, Door
from shared.clients import Clients
from shared.folders import files_under
from shared.partitions import partition_names
from shared.queues import Queues
from shared.settings import VAULT
from shared.small_blobs import read_whole
from shared.storage import time_of

from .answering import refused

_AT_ONCE = 32
_LONGEST_MARGIN = timedelta(days=1)


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
        Refused: it is not in the vault, not all of it is, its copies expire soon, or a deletion of it is not finished.
        UnreadableRecord: a record of it is something else.
        DICOMwebError: the service does not tell whether it has partitions, or the time.
        AzureError: storage failed; a second call goes on.
    """
    deletion_id, manifest_sha256 = await _deletion_to_take_back(clients, key)
    manifest = await _read_manifest(clients, key, deletion_id, manifest_sha256)
    written = await _check_is_complete(clients, key, manifest)
    await _check_lasts(clients, written)
    partition = key.partition if await partition_names(clients.dicom) else None
    restored = Restored.at(await _latest_now(clients), deletion_id, requested_by)
    await write_restored(clients, key, restored)
    await _check_no_intent(clients, key)
    if not await remove_pointer(clients, key, deletion_id):
        raise refused("deletion-unfinished")  # another one, since we looked
    await _send(clients, manifest, partition)
    return Restore(deletion_id, len(manifest.instances), restored.until)


async def _latest_now(clients: Clients) -> datetime:
    """Return the time by our clock, or by the service's where that is later: by one behind, no hold would begin."""
    _, theirs = await clients.dicom.change_feed.latest_and_time()
    return max(clock.now(), theirs or clock.now())


async def _deletion_to_take_back(clients: Clients, key: StudyKey) -> tuple[str, str]:
    """Return a deletion's id and the hash of its manifest, by the pointer, or by a restore that has removed it."""
    deletion_id = await read_pointer(clients, key)
    if deletion_id is None:
        if (restored := await read_restored(clients, key)) is None:
            raise refused("not-in-vault")
        deletion_id = restored.deletion_id
    tombstone = await read_tombstone_of(clients, key, deletion_id)
    if not tombstone.get("vault"):
        raise refused("not-in-vault")
    try:
        return deletion_id, str(tombstone["vault"]["manifest_sha256"])
    except (LookupError, TypeError):
        raise UnreadableRecord from None


async def _check_no_intent(clients: Clients, key: StudyKey) -> None:
    if await has_begun(clients, key):
        raise refused("deletion-unfinished")


async def _read_manifest(clients: Clients, key: StudyKey, deletion_id: str, sha256: str) -> Manifest:
    blob = clients.container(VAULT).get_blob_client(manifest_name(key, deletion_id))
    if (found := await read_whole(blob)) is None:
        raise refused("not-in-vault")
    try:
        manifest = Manifest.model_validate_json(found.content)
    except ValidationError:
        raise refused("vault-incomplete") from None
    told = (manifest.partition, manifest.study_instance_uid, manifest.deletion_id)
    is_changed = sha256 != hashlib.sha256(found.content).hexdigest()
    if is_changed or told != (key.partition, key.uid, deletion_id):
        raise refused("vault-incomplete")
    return manifest


async def _check_is_complete(clients: Clients, key: StudyKey, manifest: Manifest) -> datetime:
    """Check that each instance of the manifest is there, with its size; return when the oldest copy was written.

    The receipt of an instance tells whether it has the hash of the manifest.
    """
    listed = files_under(clients.container(VAULT), deletion_folder(key, manifest.deletion_id))
    files = {file.name: file async for file in listed}
    there = {name: file.size for name, file in files.items()}
    expected = {instance.name: instance.bytes for instance in manifest.instances}
    if len(expected) < len(manifest.instances) or not expected.items() <= there.items():
        raise refused("vault-incomplete")
    return min(files[name].last_modified for name in expected)


async def _check_lasts(clients: Clients, written: datetime) -> None:
    """Check that ingest has time to read the copies before the vault's lifecycle rule deletes them."""
    kept = timedelta(days=clients.settings.vault_days)
    # Both times are storage's: the app's clock may be set otherwise, and the rule does not go by it.
    if written + kept - await time_of(clients.container(VAULT)) < min(_LONGEST_MARGIN, kept / 10):
        raise refused("vault-expiring", copies_expire_at=(written + kept).isoformat())


async def _send(clients: Clients, manifest: Manifest, partition: str | None) -> None:
    queues, names = Queues(clients.queues), [instance.name for instance in manifest.instances]
    for start in range(0, len(names), _AT_ONCE):
        arrivals = [
            Arrival((name,), Door.RESTORE, container=VAULT, partition=partition)
            for name in names[start : start + _AT_ONCE]
        ]
        await asyncio.gather(*map(queues.send, arrivals))
