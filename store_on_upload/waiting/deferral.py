"""Putting a blob off: whose fault it was, when to try again, and when to give up (pure)."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from azure.core.exceptions import AzureError

from shared.dicomweb import (
    AccessDenied,
    Busy,
    DICOMwebError,
    RequestNotSent,
    StatusError,
    StoreReason,
)
from store_on_upload.receipts.receipt import Receipt, State, parse_timestamp, timestamp
from store_on_upload.verdict import Decision, NotYet, Verdict

_FIRST_DELAY_SECONDS = 5.0
_GROWTH = 3.0
# A file that fails by itself can wait; in an outage all wait, and shall not do so for long after it.
_LONGEST_DELAY_SECONDS = 4 * 3600.0
_LONGEST_DELAY_IN_OUTAGE_SECONDS = 900.0
_LONGEST_RETRY_AFTER_SECONDS = 24 * 3600.0
# From one attempt to the next; for whatever is longer the app did not run, and no file is to blame.
_MOST_COUNTED_SECONDS = 1.5 * _LONGEST_DELAY_SECONDS

# There is no such service at the address; its encryption key or its data lake cannot be reached. No file's fault.
_SERVICE_IS_SET_UP_WRONGLY = (404, 424)


@dataclass(frozen=True)
class Setback:
    """Why a blob has no verdict yet.

    Args:
        reason: a key of `verdict.REASONS`.
        is_outage: the service, its token, the storage or a stop is at fault, whatever the file is like: the time
            does not count against it.
        retry_after_seconds: how long the service asks to be left alone.
        service_code: FailureReason, as the service gave it.
    """

    reason: str
    is_outage: bool
    retry_after_seconds: float | None = None
    service_code: int | None = None

    @property
    def asked_seconds(self) -> float:
        """How long to leave the service alone, as it asks: never cut short, up to a day."""
        return min(self.retry_after_seconds or 0, _LONGEST_RETRY_AFTER_SECONDS)


STOPPED = Setback("stopped", is_outage=True)
OUTAGE = Setback("outage", is_outage=True)


def setback_of(error: Exception) -> Setback:
    """Return what an exception means for the file that met it."""
    match error:
        case NotYet():
            return Setback(error.reason, error.is_outage, error.retry_after_seconds, error.service_code)
        case RequestNotSent():
            return Setback("service_unreachable", is_outage=True)
        case AccessDenied():
            return Setback("access_denied", is_outage=True)
        case Busy():
            return Setback("service_busy", is_outage=True, retry_after_seconds=error.retry_after_seconds)
        case StatusError(status_code=status) if status in _SERVICE_IS_SET_UP_WRONGLY:
            return Setback("service_failed", is_outage=True, retry_after_seconds=error.retry_after_seconds)
        case DICOMwebError():
            after = error.retry_after_seconds if isinstance(error, StatusError) else None
            return Setback("service_failed", is_outage=False, retry_after_seconds=after)
        case AzureError():
            return Setback("storage_failed", is_outage=True)
        case TimeoutError():
            return Setback("too_slow", is_outage=False)
    return Setback("app_failed", is_outage=False)


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
    longer than a file is put off.
    """
    counted = receipt.failing_seconds
    if not setback.is_outage and receipt.failed_by_itself and receipt.failed_at:
        since = (now - parse_timestamp(receipt.failed_at)).total_seconds()
        counted += min(max(0.0, since), _MOST_COUNTED_SECONDS)
    is_stuck = setback.service_code == StoreReason.BEING_STORED
    return replace(
        receipt,
        state=State.DEFERRED,
        deferrals=receipt.deferrals + 1,
        reason=setback.reason,
        service_code=setback.service_code,
        due_at=timestamp(now + timedelta(seconds=delay)),
        failing_seconds=counted,
        failed_at=timestamp(now),
        failed_by_itself=not setback.is_outage,
        stuck_since=(receipt.stuck_since or timestamp(now)) if is_stuck else None,
    )


def should_give_up(receipt: Receipt, give_up_after_days: float) -> bool:
    """Say whether a deferred file has failed by itself for too long."""
    return receipt.failed_by_itself and receipt.failing_seconds >= give_up_after_days * 86_400


def given_up(receipt: Receipt, reason: str, now: datetime) -> Receipt:
    """Return the final receipt of a file that is given up; its last failure stays in it."""
    decision = Decision(Verdict.GAVE_UP, reason, receipt.service_code)
    return receipt.decided(decision, now, failure=receipt.reason)
