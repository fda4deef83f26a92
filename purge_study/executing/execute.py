"""One study's deletion: look again, vault, intent, look again, delete, see that it is gone, tombstone, search again.

Whatever goes wrong before the deletion is sent leaves the study as it was. Once it is sent, the intent stays until it
is known what became of it, if need be until the next run (`resolving`): no deletion without a tombstone, no tombstone
without a deletion.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from enum import StrEnum

from azure.core.exceptions import AzureError

from purge_study.ledger.leaving import DeletionOpen, after_leaving
from purge_study.ledger.refreshing import keep_up, mark_newest
from purge_study.ledger.row import Row, StudyKey
from purge_study.planning.plan import Item
from purge_study.planning.withdrawals import is_withdrawn
from purge_study.records.writing import OtherRecord, new_id
from purge_study.rulebook.reading import is_unchanged
from purge_study.run import OutOfTime, Run
from shared import clock
from shared.dicomweb import AccessDenied, Busy, DICOMwebError, NotFound, RequestNotSent
from shared.events import describe, event, place
from shared.leases import LeaseTaken
from shared.settings import BeforeDelete, PurgeMode
from shared.telemetry.recording import span

from .intents import UnreadableIntent, note_sending, take_back, write_intent
from .looking import (
    Seen,
    check_not_put_back,
    check_not_received,
    check_unchanged,
    evaluate_again,
    is_gone,
    look_again,
    would_be_kept,
)
from .reasons import Changed, FailedByItself, Gone, Halt
from .record import Ending, Record, intent_of
from .tombstone import record_deletion
from .vault import Vaulted, check_copies, copy_to_vault
from .warrant import Warrant

LAST_LOOK_SECONDS = 30.0
# The search for the patient's studies that precedes it: twenty-six pages of 5,000 studies at a slow service.
_LAST_SEARCH_SECONDS = 600.0


class Outcome(StrEnum):
    """What became of a study that was to be deleted."""

    DELETED = "deleted"
    ALREADY_GONE = "already_gone"  # another client has deleted it, or an earlier run
    CHANGED = "changed"  # it is not as it was planned: it is judged anew, and may come up another night
    FAILED = "failed"  # it stays, for the next run


async def delete_study(run: Run, item: Item, warrant: Warrant) -> Outcome:
    """Delete a study of a plan, if it is still as it was planned.

    Raises:
        Halt: nothing more may be deleted in this run; the study is either untouched or has an open intent.
        OutOfTime: the time is over; the study is untouched.
    """
    run.check_time()
    with span("purge study"), _halting():
        _check_allowed(run, warrant)
        try:
            await _delete(run, item, warrant)
        except Gone:
            return await _already_gone(run, item.key)
        except Changed as change:
            return await _changed(run, item.key, change)
        except (Busy, OutOfTime):
            # Another night others come before it: or one that alone takes too long would stop them for ever.
            await _count_failure(run, item.key)
            raise
        except (FailedByItself, DICOMwebError) as error:
            if isinstance(error, DICOMwebError) and not await run.is_of_one_study(error):
                raise
            return await _failed(run, item.key, error)
        return Outcome.DELETED


@contextmanager
def _halting() -> Iterator[None]:
    """Turn what concerns more than one study into a halt."""
    try:
        yield
    except (Halt, LeaseTaken, OtherRecord, AzureError, DICOMwebError) as error:
        halt = error if isinstance(error, Halt) else Halt(_halt_code(error))
        event("retention_halted", level=logging.ERROR, reason=halt.code, error=describe(error), at=place(error))
        raise halt from None


def _halt_code(error: Exception) -> str:
    if isinstance(error, LeaseTaken):
        return "lease_lost"
    if isinstance(error, OtherRecord):
        return "record_differs"
    if isinstance(error, AccessDenied):
        return "service_denies"
    return "service_busy" if isinstance(error, DICOMwebError) else "storage_failed"


def _check_allowed(run: Run, warrant: Warrant) -> None:
    """See that whoever calls may: without a lease, in another mode, or by nobody's approval, nothing is deleted."""
    mode = run.clients.settings.purge_mode
    is_approved = mode is PurgeMode.DELETE or (mode is PurgeMode.APPROVE and bool(warrant.approved_by))
    if run.lease is None or not is_approved:
        raise Halt("not_allowed")


async def _delete(run: Run, item: Item, warrant: Warrant) -> None:
    started = time.monotonic()
    await run.check_lease()
    await _check_rules(run, warrant)
    await _check_not_withdrawn(run, warrant)
    seen = await look_again(run, item, warrant.rulebook)
    deletion_id = new_id(seen.at)
    vaulted = await _vaulted(run, item.key, warrant, seen, deletion_id)
    intent = intent_of(deletion_id, item, warrant, run.clients.settings, seen, vaulted, clock.now())
    intent, ending = await _carry_out(run, item, warrant, seen, vaulted, intent)
    await record_deletion(run, intent, ending)
    event(
        "study_purged",
        reason=ending.value,
        datasets=intent["instances"],
        bytes=vaulted and vaulted.bytes,
        mode=run.clients.settings.purge_mode.value,
        seconds=round(time.monotonic() - started, 3),
    )
    await _search_afterwards(run, warrant, seen, intent["deletion_id"])


async def _vaulted(run: Run, key: StudyKey, warrant: Warrant, seen: Seen, deletion_id: str) -> Vaulted | None:
    if run.clients.settings.before_delete is BeforeDelete.NONE:
        return None
    return await copy_to_vault(run, key, seen.contents, deletion_id, plan_id=warrant.plan_id, at=seen.at)


async def _carry_out(
    run: Run, item: Item, warrant: Warrant, seen: Seen, vaulted: Vaulted | None, intent: Record
) -> tuple[Record, Ending]:
    """Delete a study with its intent written down, and see that it is gone; return the intent as it was sent.

    Raises:
        Exception: the study is there still, and the intent is gone, unless it could not be removed; or it cannot be
            told whether the study will stay there, and the intent stays as well.
    """
    etag = await write_intent(run.clients, intent)

    async def note() -> Record:
        return await note_sending(run.clients, intent, etag, clock.now())

    try:
        sent, send_by = await _look_last(run, item, warrant, seen, vaulted, note)
    except Exception:
        await _take_back(run, intent)
        raise
    return sent, await _send(run, item.key, sent, send_by)


async def _look_last(
    run: Run, item: Item, warrant: Warrant, seen: Seen, vaulted: Vaulted | None, note: Callable[[], Awaitable[Record]]
) -> tuple[Record, float]:
    """Check all that may have changed while the study was copied.

    The feed and the search come first: they take longest, and a study that is deleted because they missed another one
    can be put back. An instance that arrives after the check of the contents has no copy, so that check comes late.
    The time of sending is noted before the checks that are quick: the deletion is sent half a minute later at most.

    Args:
        run: of this night.
        item: the study.
        warrant: by what it is deleted.
        seen: what it was before it was copied.
        vaulted: its copy, if it has one.
        note: notes that the deletion is about to be sent, and returns its intent.

    Returns:
        The intent as it is sent, and by when the deletion is to be sent, of `time.monotonic`.

    Raises:
        Exception: something is different, or it cannot be told.
    """
    await keep_up(run, warrant.rulebook)
    searched = time.monotonic()
    await evaluate_again(run, item, warrant.rulebook, seen)
    if seen.contents.etag is None:  # the feed alone tells an instance from another one with equal metadata
        await mark_newest(run)
    await check_not_received(run, item.key, seen)
    if vaulted is not None:
        await check_copies(run, vaulted)
    began = time.monotonic()
    sent = await note()
    await _check_not_withdrawn(run, warrant)
    await run.check_lease()
    await check_not_put_back(run, warrant.rulebook, item.key)
    await check_unchanged(run, item.key, seen.contents)
    await _check_rules(run, warrant)
    # Whoever slept, or was frozen, has seen what was, and may have lost the lease.
    if time.monotonic() - began > LAST_LOOK_SECONDS:
        raise Halt("too_slow")
    # This is about one patient's studies: others may be searched for in less time.
    if time.monotonic() - searched > _LAST_SEARCH_SECONDS:
        raise FailedByItself("search_too_slow")
    return sent, began + LAST_LOOK_SECONDS


async def _send(run: Run, key: StudyKey, intent: Record, send_by: float) -> Ending:
    """Send the deletion, once: all that was looked at would have to be looked at again before a second time."""
    failure: Exception = FailedByItself("not_gone")
    ending = Ending.DELETED
    try:
        await run.dicom_of(key).delete_study(study_instance_uid=key.uid, send_by=send_by)
    except (AccessDenied, RequestNotSent):  # it has certainly done nothing
        await _take_back(run, intent)
        raise
    except NotFound:
        ending = Ending.ALREADY_GONE
    except DICOMwebError as error:  # it may have been carried out, or may be yet
        failure = error
    if await is_gone(run, key):
        return ending
    raise failure


async def _search_afterwards(run: Run, warrant: Warrant, seen: Seen, deletion_id: str) -> None:
    """Write an error event if the patient returned after the last search: the study can be put back from its copy.

    The deletion is on record by then, and stays so whatever becomes of this.
    """
    copied = run.clients.settings.before_delete.value
    try:
        if await would_be_kept(run, warrant.rulebook, seen):
            event("purged_too_soon", level=logging.ERROR, reason=copied, deletion=deletion_id)
    except (FailedByItself, DICOMwebError, AzureError) as error:
        event("purge_unchecked", deletion=deletion_id, error=describe(error), at=place(error))


async def _check_rules(run: Run, warrant: Warrant) -> None:
    if not await is_unchanged(run.clients, warrant.rulebook):
        raise Halt("rules_changed")
    if warrant.rulebook.has_expired(clock.now()):
        raise Halt("list_too_old")


async def _check_not_withdrawn(run: Run, warrant: Warrant) -> None:
    if await is_withdrawn(run.clients, warrant.plan_id):
        raise Halt("plan_withdrawn")


async def _take_back(run: Run, intent: Record) -> None:
    # What is left is resolved by the next run.
    with suppress(AzureError, UnreadableIntent):
        await take_back(run.clients, intent)


async def _already_gone(run: Run, key: StudyKey) -> Outcome:
    """Forget the study, unless retention has deleted it before: this time there is nothing to record."""
    try:
        row = await after_leaving(run, await run.ledger.find(key) or Row(key))
    except DeletionOpen:
        return await _failed(run, key, FailedByItself("intent_open"))
    if row is None:
        await run.ledger.remove(key)
    else:
        await run.ledger.write([row], read=[key])
    event("purge_dropped", reason="already_gone")
    return Outcome.ALREADY_GONE


async def _changed(run: Run, key: StudyKey, change: Changed) -> Outcome:
    # Where nothing new is read of it, it is dropped again, and would take another's place each night.
    await _count_failure(run, key)
    await run.ledger.mark({key: None})
    event("purge_dropped", reason=change.code)
    return Outcome.CHANGED


async def _failed(run: Run, key: StudyKey, error: Exception) -> Outcome:
    failures = await _count_failure(run, key)
    code = error.code if isinstance(error, FailedByItself) else None
    event(
        "purge_failed",
        level=logging.ERROR,
        reason=code or "service_failed",
        attempts=failures,
        error=describe(error),
        at=place(error),
    )
    return Outcome.FAILED


async def _count_failure(run: Run, key: StudyKey) -> int:
    """Write down that a study could not be deleted, and return in how many runs in a row."""
    row = await run.ledger.find(key)
    if row is None:
        return 1
    await run.ledger.write([replace(row, failures=row.failures + 1)])
    return row.failures + 1
