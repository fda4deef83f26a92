"""A deletion recorded as done: tombstone, the pointer to it, the ledger's row, and last the intent is removed.

A run that is killed between two of them leaves the intent, and the next one does the rest.
"""

from __future__ import annotations

from dataclasses import replace

from purge_study.records.pointers import write_pointer
from purge_study.records.restored import was_asked_back
from purge_study.records.tombstones import write_tombstone
from purge_study.run import Run
from shared import clock

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
        OtherRecord: in the tombstone's place stands something else; the intent is there still.
        AzureError: storage failed; the intent is there still.
    """
    key, now = key_of(intent), clock.now()
    tombstone = await write_tombstone(run.clients, key, tombstone_of(intent, ending, now))
    # One that somebody has asked for, and that is back, is not kept out a second time.
    if not (is_back and await was_asked_back(run.clients, key, intent["deletion_id"])):
        await write_pointer(run.clients, key, intent["deletion_id"], tombstone["deleted_at"])
    row = await run.ledger.find(key)
    if is_back:
        await run.ledger.mark({key: None})
    elif row is not None:
        await run.ledger.write([replace(row, purged_at=now, failures=0)])
    await remove_intent(run.clients, intent)
