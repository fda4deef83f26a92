"""Studies that were put back: for how long they are held."""

from __future__ import annotations

from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest

from purge_study.records.restored import Restored


@pytest.mark.parametrize("zone", ["Pacific/Kiritimati", "Europe/Paris", "UTC", "Etc/GMT+12"])
@pytest.mark.parametrize("hour", [0, 9, 10, 11, 23])
def test_held_for_thirty_days(zone: str, hour: int) -> None:
    """And about two days longer at most, until the end of a day in the policy's time zone."""
    now = datetime(2026, 1, 31, hour, 30, tzinfo=UTC)
    last = Restored.at(now, "an id", "A. Reader").until
    end = datetime.combine(last + timedelta(days=1), time(), ZoneInfo(zone))
    assert now + timedelta(days=30) <= end <= now + timedelta(days=32, hours=2)
