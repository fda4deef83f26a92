"""The service's clock, the only one that it asks: it can be set ahead, at the start and while the service runs.

It is the process's: services that run in one process have it together. Tokens do not go by it.
"""

from __future__ import annotations

import time
from email.utils import formatdate

_NANOSECONDS = 1_000_000_000
_ahead_ns = 0


def now_ns() -> int:
    """Return the time, in nanoseconds since 1970."""
    return time.time_ns() + _ahead_ns


def http_date() -> str:
    """Return the time as HTTP has it (RFC 9110 §5.6.7)."""
    return formatdate(now_ns() / _NANOSECONDS, usegmt=True)


def set_ahead(seconds: float) -> None:
    """Set it so many seconds ahead of the machine's clock from now on; a negative number sets it behind."""
    global _ahead_ns
    _ahead_ns = round(seconds * _NANOSECONDS)


def ahead_seconds() -> float:
    """Return how far it is ahead of the machine's."""
    return _ahead_ns / _NANOSECONDS
