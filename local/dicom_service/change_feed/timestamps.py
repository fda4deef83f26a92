"""Points in time as the service writes and reads them: UTC, counted in ticks of 100 ns since 1970."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from local.dicom_service import clock

TICKS_PER_SECOND = 10_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MAX_ZONE = timedelta(hours=14)
_TEXT = re.compile(
    r"(?P<date>[0-9]{4}-[0-9]{2}-[0-9]{2})([T ](?P<time>[0-9]{2}:[0-9]{2}(:[0-9]{2})?)(\.(?P<fraction>[0-9]{1,9}))?)?"
    r" ?(?P<zone>Z|[+-][0-9]{2}(:?[0-9]{2})?)"
)


def now() -> int:
    """Return the present, in ticks, by the service's clock."""
    return clock.now_ns() // 100


def shown(ticks: int) -> str:
    """Return the text of a point in time, with seven fraction digits."""
    seconds, fraction = divmod(ticks, TICKS_PER_SECOND)
    return f"{_EPOCH + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%S}.{fraction:07d}+00:00"


def parsed(text: str) -> int:
    """Return the ticks of a date and time with its zone; digits beyond the seventh are rounded.

    Raises:
        ValueError: it is none, or has no zone.
    """
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError("not a point in time")
    found = datetime.fromisoformat(f"{match['date']}T{match['time'] or '00:00'}{match['zone']}")
    if abs(found.utcoffset() or timedelta()) > _MAX_ZONE:
        raise ValueError("not a zone")
    fraction = (int((match["fraction"] or "").ljust(9, "0")) + 50) // 100
    return (found - _EPOCH) // timedelta(seconds=1) * TICKS_PER_SECOND + fraction
