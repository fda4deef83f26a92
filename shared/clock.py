"""What time it is: the one place that the app asks, as `clock.now()`, so that it can be replaced as a whole."""

from __future__ import annotations

from datetime import UTC, datetime


def now() -> datetime:
    """Return the time in UTC, with its zone."""
    return datetime.now(UTC)
