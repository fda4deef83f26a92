"""A deletion recorded as done: the tombstone first, the ledger's row next, and the intent removed last.

A run that is killed between two of them leaves the intent, and the next one does the rest.
"""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import datetime

from azure.core import MatchConditions

from purge_study.records.restored import tombstone_put_aside
from purge_study.run import Run
from shared import clock
from shared.settings import RETENTION_RECORDS
from shared.small_blobs import read_whole, upload_json
from shared.tombstones import tombstone_name

from .intents import remove_intent
from .record import Ending, Record, key_of, tombstone_of


async def record_deletion(run: Run, intent: Record, ending: Ending, *, is_back: bool = False) -> None:
    """Record that a study was deleted.

    Args:
        run: of this night.
        intent: of the deletion.
        ending: how it is known.
        is_back: whether it has been stored anew since; its row is read again, then, and not marked as purged.

    Raises:
        AzureError: storage failed; the intent is there still.
    """
    key, now = key_of(intent), clock.now()
    if not await _is_put_aside(run, intent):
        await _write_tombstone(run, intent, ending, now)
    row = await run.ledger.find(key)
    if is_back:
        await run.ledger.mark({key: None})
    elif row is not None:
        await run.ledger.write([replace(row, purged_at=now, failures=0)])
    await remove_intent(run.clients, intent)


async def _is_put_aside(run: Run, intent: Record) -> bool:
    """Say whether the study has been put back already, which moves its tombstone."""
    name = tombstone_put_aside(key_of(intent), intent["deletion_id"])
    return await run.clients.container(RETENTION_RECORDS).get_blob_client(name).exists()


async def _write_tombstone(run: Run, intent: Record, ending: Ending, now: datetime) -> None:
    key = key_of(intent)
    blob = run.clients.container(RETENTION_RECORDS).get_blob_client(tombstone_name(key.partition, key.uid))
    found = await read_whole(blob)
    earlier = None if found is None else _read(found.content)
    if earlier is not None and earlier.get("deletion_id") == intent["deletion_id"]:
        return  # written by an attempt whose answer was lost, or by a run that was killed
    condition = (
        {"match_condition": MatchConditions.IfMissing}
        if found is None
        else {"match_condition": MatchConditions.IfNotModified, "etag": found.etag}
    )
    await upload_json(blob, tombstone_of(intent, ending, now, earlier), **condition)


def _read(content: bytes) -> Record:
    """Read an earlier tombstone; one that somebody has written by hand is kept as it is."""
    try:
        earlier = json.loads(content)
    except ValueError:
        earlier = None
    return earlier if isinstance(earlier, dict) else {"text": content.decode("utf-8", "replace")}
