"""What keeps a night from deleting too much: the policy's `[brakes]`, in figures (pure)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from math import ceil, floor
from statistics import median
from typing import Final

from purge_study.policy.model import Brakes

from .night_memory import Memory, Night

# The median is of the last so many nights on which something was deleted, and counts from so many of them on.
_NIGHTS_COMPARED: Final = 14
_NIGHTS_NEEDED: Final = 5


@dataclass(frozen=True)
class Limits:
    """What a night may come to.

    Args:
        newly_due: how many studies may have fallen due since the last accepted plan.
        per_night: how many may be deleted.
        usual: the median of the nights that are compared; None while there are too few.
        nights: how many have passed since the last plan, 1 at least.
        unapproved: how many may be deleted that nobody has approved; None while there is no usual.
    """

    newly_due: int
    per_night: int
    usual: Fraction | None
    nights: int
    unapproved: int | None


def limits_of(brakes: Brakes, memory: Memory, studies: int, today: date) -> Limits:
    """Return the limits of tonight; what an earlier run of the same day took is taken off them."""
    taken = _taken(memory.nights, today)
    usual = _usual(memory.nights, today)
    nights = _nights_since(memory.nights, today)
    return Limits(
        newly_due=max(1, ceil(_exact(brakes.max_share) * studies)),
        per_night=max(0, brakes.per_night - taken),
        usual=usual,
        nights=nights,
        unapproved=None if usual is None else max(0, floor(_exact(brakes.max_times_usual) * usual * nights) - taken),
    )


def _exact(number: float) -> Fraction:
    """Return a number as it is written in the policy: 0.07 of 100 is 7, which it is not in binary."""
    return Fraction(str(number))


def _taken(nights: Iterable[Night], today: date) -> int:
    """Count what was deleted today; of a run that was killed, all that it had planned."""
    return sum(night.planned if night.deleted is None else night.deleted for night in nights if night.day == today)


def _usual(nights: Iterable[Night], today: date) -> Fraction | None:
    deleted: Counter[date] = Counter()
    for night in nights:
        deleted[night.day] += night.deleted or 0
    compared = [count for day, count in sorted(deleted.items()) if count and day < today][-_NIGHTS_COMPARED:]
    return median(map(Fraction, compared)) if len(compared) >= _NIGHTS_NEEDED else None


def _nights_since(nights: Iterable[Night], today: date) -> int:
    """Count the nights since the last plan; one that something hindered leaves its studies to the next.

    One that tripped a brake does not: else the brake would wear off from night to night.
    """
    days = [night.day for night in nights if night.day < today and night.ended != "hindered"]
    return max(1, (today - max(days)).days) if days else 1
