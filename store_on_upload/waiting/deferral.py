"""Putting a blob off: when to try again, and when to give up (pure)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from shared.dicomweb import StoreReason
from store_on_upload.receipts.receipt import Receipt, State, parse_timestamp, timestamp
from store_on_upload.setback import Setback
from store_on_upload.verdict import Decision, Verdict

_FIRST_DELAY_SECONDS = 5.0
_GROWTH = 3.0
# A file that fails by itself can wait; in an outage all wait, and shall not do so for long after it.
_LONGEST_DELAY_SECONDS = 4 * 3600.0
_LONGEST_DELAY_IN_OUTAGE_SECONDS = 900.0
# From one attempt to the next; for whatever is longer the app did not run, and no file is to blame.
_MOST_COUNTED_SECONDS = 1.5 * _LONGEST_DELAY_SECONDS


def delay_seconds(deferrals: int, setback: Setback, jitter: Callable[[], float] = random.random) -> float:
    """Return how long to wait before the next attempt: growing, with up to half of it more by chance.

    It grows with the number of deferrals, not of attempts: in an outage there are none, and all would come back at
    once, again and again.
    """
    longest = _LONGEST_DELAY_IN_OUTAGE_SECONDS if setback.is_outage else _LONGEST_DELAY_SECONDS
    grown = min(_FIRST_DELAY_SECONDS * _GROWTH ** min(max(deferrals - 1, 0), 20), longest)
    return max(grown, setback.asked_seconds) * (1 + jitter() / 2)


def deferred(receipt: Receipt, setback: Setback, now: datetime, delay: float) -> Receipt:
    """Return the receipt of a blob that is put off.

    Time counts as failed by itself from one such failure to the next, if nothing else was at fault in between, and no
    longer than a file is put off. A deferral without an attempt, while files may be at fault, changes none of that.
    """
    counted = receipt.failing_seconds
    if not setback.is_outage and receipt.failed_by_itself and receipt.failed_at:
        since = (now - parse_timestamp(receipt.failed_at)).total_seconds()
        counted += min(max(0.0, since), _MOST_COUNTED_SECONDS)
    later = replace(
        receipt,
        state=State.DEFERRED,
        deferrals=receipt.deferrals + 1,
        reason=setback.reason,
        service_code=setback.service_code,
        due_at=timestamp(now + timedelta(seconds=delay)),
    )
    if setback.is_untried:
        return later
    is_stuck = setback.service_code == StoreReason.BEING_STORED
    return replace(
        later,
        failing_seconds=counted,
        failed_at=timestamp(now),
        failed_by_itself=not setback.is_outage,
        stuck_since=(receipt.stuck_since or timestamp(now)) if is_stuck else None,
    )


def is_waiting(receipt: Receipt, now: datetime) -> bool:
    """Say whether a file's next try is not due yet; what the sweep has sent on is due immediately."""
    if receipt.due_at is None or receipt.reason == "swept":
        return False
    return now < parse_timestamp(receipt.due_at)


def should_give_up(receipt: Receipt, give_up_after_days: float) -> bool:
    """Say whether a deferred file has failed by itself for too long."""
    return receipt.failed_by_itself and receipt.failing_seconds >= give_up_after_days * 86_400


def given_up(receipt: Receipt, reason: str, now: datetime) -> Receipt:
    """Return the final receipt of a file that is given up; its last failure stays in it."""
    decision = Decision(Verdict.GAVE_UP, reason, receipt.service_code)
    return receipt.decided(decision, now, failure=receipt.reason)
