"""When a request may be repeated, and how long to wait before (one layer of retries; the queue redelivers)."""

from __future__ import annotations

import random
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC
from email.utils import parsedate_to_datetime

from .errors import DICOMwebError, RequestNotSent, ResponseLost, StatusError

# Statuses by which a service says that it did nothing and may be asked again.
_REFUSED_FOR_NOW = frozenset({429, 503})
_PASSING = frozenset({408, 429, 500, 502, 503, 504})
_SECONDS = re.compile(r"\s*[0-9]+\s*", re.ASCII)
_MAX_SECONDS = 1e9


@dataclass(frozen=True)
class RetryPolicy:
    """At most `attempts` in all; between them a jittered pause, doubling; all within one budget of time."""

    attempts: int = 3
    first_pause_seconds: float = 0.5
    budget_seconds: float = 20.0
    jitter: Callable[[], float] = random.random

    def pause_before(
        self, attempt: int, error: DICOMwebError, idempotent: bool, elapsed_seconds: float
    ) -> float | None:
        """Return the seconds to wait before attempt number `attempt` (2, 3, …); None = give up.

        A Retry-After longer than what is left of the budget is not cut short: the caller is told, and its queue waits.
        """
        if attempt > self.attempts or not may_repeat(error, idempotent):
            return None
        pause = self.first_pause_seconds * 2 ** (attempt - 2) * (0.5 + self.jitter())
        if isinstance(error, StatusError) and error.retry_after_seconds is not None:
            pause += error.retry_after_seconds  # so that not all who were told the same return at once
        return pause if elapsed_seconds + pause <= self.budget_seconds else None


def may_repeat(error: DICOMwebError, idempotent: bool) -> bool:
    """Say whether the request may be sent again, by "was it sent, was it answered"."""
    if isinstance(error, RequestNotSent):
        return True
    if isinstance(error, ResponseLost):
        return idempotent
    if isinstance(error, StatusError):
        return error.status_code in (_PASSING if idempotent else _REFUSED_FOR_NOW)
    return False


def retry_after_seconds(value: str | None) -> float | None:
    """Read a Retry-After header in either form: seconds, or a date (RFC 9110 §10.2.3); None if it cannot be read."""
    if value is None:
        return None
    if _SECONDS.fullmatch(value):
        return min(float(value), _MAX_SECONDS)
    try:
        when = parsedate_to_datetime(value)
    except (ValueError, OverflowError):
        return None
    if when.tzinfo is None:
        when = when.replace(tzinfo=UTC)
    return max(0.0, when.timestamp() - time.time())
