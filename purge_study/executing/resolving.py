"""What killed runs have begun, brought to an end by the next run before it does anything else."""

from __future__ import annotations

import logging
from contextlib import aclosing
from datetime import datetime, timedelta

from purge_study.records.writing import OtherRecord
from purge_study.run import CLOCKS_APART, Run
from shared.dicomweb import ChangeAction, DICOMwebError
from shared.events import describe, event, place
from shared.settings import LONGEST_RUN_SECONDS

from .execute import LAST_LOOK_SECONDS
from .intents import UnreadableIntent, open_intents, remove_intent
from .looking import is_gone, read_contents
from .reasons import FailedByItself, Halt
from .record import Ending, Record, intended_at, key_of, sent_at
from .tombstone import record_deletion

# A deletion that was sent may be carried out that much later; it is longer than the DICOM client waits for an answer.
_ON_ITS_WAY = timedelta(minutes=5)


async def resolve_open_intents(run: Run) -> None:
    """Bring to an end what a killed run began: a study that is gone gets its tombstone, one that is there stays.

    One of which this cannot be told keeps its intent, and the event `purge_failed` says so: nothing deletes that study
    meanwhile, and the others go on.

    Raises:
        Halt: a deletion may be on its way still, or an intent is no good, or in its tombstone's place stands something
            else: another run resolves it, or somebody does.
        DICOMwebError, AzureError: the service or the storage failed; nothing may be deleted then.
    """
    try:
        async for intent in open_intents(run.clients):
            await _try_to_resolve(run, intent)
    except UnreadableIntent:
        raise _told(Halt("intent_open")) from None
    except OtherRecord:
        raise _told(Halt("record_differs")) from None


async def _try_to_resolve(run: Run, intent: Record) -> None:
    try:
        await _resolve(run, intent)
    except (FailedByItself, DICOMwebError) as error:
        if isinstance(error, DICOMwebError) and not await run.is_of_one_study(error):
            raise
        event("purge_failed", level=logging.ERROR, reason="intent_open", error=describe(error), at=place(error))


async def _resolve(run: Run, intent: Record) -> None:
    # Asked before the look: by then no deletion may be on its way that is carried out after the look.
    now = await run.earliest_now()
    gone = await is_gone(run, key_of(intent))
    if gone or await _is_back(run, intent):
        await record_deletion(run, intent, Ending.FOUND_GONE, is_back=not gone)
        event("study_purged", reason=Ending.FOUND_GONE.value, datasets=intent["instances"])
    else:
        await _take_back(run, intent, now)


async def _is_back(run: Run, intent: Record) -> bool:
    """Say whether a study that is there was deleted all the same, and has been stored anew since."""
    return not await _is_untouched(run, intent) and await _was_deleted(run, intent)


async def _take_back(run: Run, intent: Record, now: datetime) -> None:
    """Take back the intent of a study that was not deleted by a certain time.

    The clock of the run that wrote the intent may have been behind that of the service.
    """
    if now < _sent_by(run, intent) + CLOCKS_APART + _ON_ITS_WAY:
        raise _told(Halt("intent_open"))
    await run.ledger.mark({key_of(intent): None})
    await remove_intent(run.clients, intent)
    event("purge_dropped", reason="intent_open")


def _sent_by(run: Run, intent: Record) -> datetime:
    """Return by when the deletion has been sent, if it ever was: without a time of sending, by the end of its run."""
    sent = sent_at(intent)
    if sent is not None:
        return sent + timedelta(seconds=LAST_LOOK_SECONDS)
    return intended_at(intent) + timedelta(seconds=run.clients.settings.purge_budget_seconds + LONGEST_RUN_SECONDS)


async def _is_untouched(run: Run, intent: Record) -> bool:
    """Say whether a study is certainly the one that was to be deleted: no two versions have the same ETag."""
    contents = await read_contents(run, key_of(intent))
    return contents is not None and contents.etag is not None and contents.etag == intent["etag"]


async def _was_deleted(run: Run, intent: Record) -> bool:
    """Say whether all that a study held was deleted since, so that what is there now has been stored anew.

    The service writes its change feed in the transaction that deletes.
    """
    key = key_of(intent)
    deleted: set[tuple[str, str]] = set()
    feed = run.clients.dicom.change_feed.window(intended_at(intent) - CLOCKS_APART)
    async with aclosing(feed) as changes:
        async for change in changes:
            if (change.partition_name or key.partition, change.study_instance_uid) != (key.partition, key.uid):
                continue
            if change.action is ChangeAction.DELETE:
                deleted.add((change.series_instance_uid, change.sop_instance_uid))
    return {(series, one) for series, ones in intent["series"].items() for one in ones} <= deleted


def _told(halt: Halt) -> Halt:
    event("retention_halted", level=logging.ERROR, reason=halt.code)
    return halt
