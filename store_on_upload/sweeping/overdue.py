"""What is to be done about a blob of the inbox, by what is known of its receipt (pure)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from shared.settings import LONGEST_RUN_SECONDS
from store_on_upload.files.listing import Row
from store_on_upload.receipts.known import Known
from store_on_upload.receipts.receipt import Disposition

# A message that is due may be in hand for as long as a run lasts.
_GRACE = timedelta(seconds=LONGEST_RUN_SECONDS)
_DAY_SECONDS = 86_400


class Step(StrEnum):
    """What the sweep does with a blob."""

    LEAVE = "leave"
    QUEUE = "queue"  # it has been missed, or its message lost
    DISPOSE = "dispose"  # it has its verdict, and should not be in the inbox any more


@dataclass(frozen=True)
class Times:
    """By what the sweep judges.

    Args:
        now: the time.
        min_age: how old a blob must be.
        began_at: when this pass over the inbox began.
        previous_began_at: when the one before did; None if there was none.
    """

    now: datetime
    min_age: timedelta
    began_at: datetime
    previous_began_at: datetime | None = None


def is_old_enough(row: Row, times: Times) -> bool:
    """Say whether a blob is the sweep's business: a younger one may still be in its first run."""
    return times.now - row.last_modified >= times.min_age


def step_for(row: Row, known: Known | None, times: Times) -> Step:
    """Say what to do about a blob that is old enough."""
    if known is None or known.etag != row.etag:
        return Step.LEAVE if row.is_folder else Step.QUEUE
    if not known.is_final:
        return Step.QUEUE if known.due_at is None or times.now > known.due_at + _GRACE else Step.LEAVE
    if known.disposition is Disposition.KEEP or row.is_leased:
        return Step.LEAVE
    return Step.DISPOSE if _is_its_turn(known.written_at, times) else Step.LEAVE


def _is_its_turn(written_at: datetime, times: Times) -> bool:
    """Say whether to dispose of a file again: after 15 minutes, 30, 60 and so on, and each day.

    What the last pass has done need not be written down: it is told by when it was.
    """
    before = times.previous_began_at or written_at
    return _turns(times.began_at - written_at) > _turns(before - written_at)


def _turns(age: timedelta) -> int:
    seconds = max(0, int(age.total_seconds()))
    return (seconds // LONGEST_RUN_SECONDS).bit_length() + seconds // _DAY_SECONDS
