"""When a soak says that something grows."""

from __future__ import annotations

from collections.abc import Callable
from math import exp
from random import Random

import pytest

from bench.soak.__main__ import trends_of
from bench.soak.trend import Trend, trend_of
from bench.soak.watching import Sample

HOUR = 3600


def trend(figure: Callable[[float], float], tolerance: float = 1.0) -> Trend:
    """Return the trend of a figure that is looked at every ten seconds for an hour."""
    return trend_of([(seconds, figure(seconds)) for seconds in range(0, HOUR, 10)], tolerance)


def test_a_line() -> None:
    """Its slope is what it gains in an hour, and there is no doubt about it."""
    found = trend(lambda seconds: 100 + 5 * seconds / HOUR)
    assert found.start == pytest.approx(100)
    assert [found.per_hour, found.low, found.high] == pytest.approx([5, 5, 5])
    assert not found.is_flat


def test_what_goes_up_and_down() -> None:
    """Noise is no growth, however large it is."""
    random = Random(1)
    assert trend(lambda _: random.gauss(100, 20)).is_flat


def test_growth_under_noise() -> None:
    """It is found under noise ten times as large as what is gained between two looks."""
    random = Random(1)
    assert not trend(lambda seconds: 100 + 30 * seconds / HOUR + random.gauss(0, 3)).is_flat


def test_a_single_outlier() -> None:
    """One look at a bad moment counts for nothing."""
    found = trend(lambda seconds: 1000.0 if seconds == HOUR - 10 else 100.0)
    assert found.per_hour == 0


def test_what_is_within_the_tolerance() -> None:
    """A certain but small gain is none; what shrinks does not grow."""
    assert trend(lambda seconds: 100 + seconds / HOUR, tolerance=2).is_flat
    assert trend(lambda seconds: 100 - seconds).is_flat


@pytest.mark.parametrize("leaked", [0, 6])
def test_the_tasks_of_an_hour(leaked: float) -> None:
    """What is under way comes and goes, more of it towards the end; what is left behind is there also in between."""
    random = Random(1)

    def tasks(seconds: float) -> int:
        under_way = random.expovariate(1 / (5 + 5 * seconds / HOUR))
        return int(15 + leaked * seconds / HOUR + under_way)

    samples = [Sample(seconds, 130, 60, 56, 8, tasks(seconds), 900, 0) for seconds in range(0, HOUR, 10)]
    trends = trends_of(samples)
    assert [name for name, trend in trends.items() if not trend.is_flat] == (["tasks"] if leaked else [])


@pytest.mark.parametrize("leak_mib", [0, 3])
def test_the_memory_of_an_hour(leak_mib: float) -> None:
    """What fills while the app warms up is no growth; what leaks besides, is."""
    random = Random(1)

    def rss_mib(seconds: float) -> float:
        return 130 + 8 * (1 - exp(-seconds / 240)) + leak_mib * seconds / HOUR + random.gauss(0, 0.1)

    samples = [Sample(seconds, rss_mib(seconds), 60, 56, 8, 45, 900, 0) for seconds in range(0, HOUR, 10)]
    trends = trends_of(samples)
    assert [name for name, trend in trends.items() if not trend.is_flat] == (["rss_mib"] if leak_mib else [])
