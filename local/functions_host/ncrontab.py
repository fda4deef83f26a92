"""NCRONTAB: cron expressions with seconds, in UTC, and their next occurrence.

Six fields: second minute hour day month day-of-week; with five, the second is 0. A field is `*`, or
a list of numbers and ranges, each with an optional step; months and days have names. Day and day of
week must both match, unlike in Unix cron.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

_MONTHS = {name.lower(): number for number, name in enumerate(calendar.month_abbr) if name}
_DAYS = {name: number for number, name in enumerate(("sun", "mon", "tue", "wed", "thu", "fri", "sat"))}
# Eight years reach a 29 February from anywhere, 2100 included.
_HORIZON_DAYS = 8 * 366


@dataclass(frozen=True)
class _Field:
    name: str
    low: int
    high: int
    names: dict[str, int]


_FIELDS = (
    _Field("second", 0, 59, {}),
    _Field("minute", 0, 59, {}),
    _Field("hour", 0, 23, {}),
    _Field("day", 1, 31, {}),
    _Field("month", 1, 12, _MONTHS),
    _Field("day of week", 0, 6, _DAYS),
)


@dataclass(frozen=True)
class Schedule:
    """A parsed expression: for each field, the numbers that match, in order."""

    seconds: tuple[int, ...]
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: tuple[int, ...]
    months: tuple[int, ...]
    weekdays: tuple[int, ...]

    def matches_day(self, moment: datetime) -> bool:
        """Tell whether the schedule runs on that day at all."""
        weekday = moment.isoweekday() % 7  # Sunday is 0
        return moment.day in self.days and moment.month in self.months and weekday in self.weekdays


def parse(expression: str) -> Schedule:
    """Read an NCRONTAB expression.

    Raises:
        ValueError: it is none; a TimeSpan such as 00:05:00 works on no plan that scales to zero and
            is refused with a word of its own.
    """
    parts = expression.split()
    if len(parts) == 1 and ":" in expression:
        raise ValueError("a TimeSpan is no NCRONTAB expression")
    if len(parts) == 5:
        parts = ["0", *parts]
    if len(parts) != len(_FIELDS):
        raise ValueError(f"{len(parts)} fields where NCRONTAB has 6 (or 5)")
    return Schedule(*(_parse_field(field, part) for field, part in zip(_FIELDS, parts, strict=True)))


def next_occurrence(schedule: Schedule, after: datetime) -> datetime | None:
    """Return the first moment strictly after `after` that matches, or None if there is none in 8 years."""
    start = after.replace(microsecond=0) + timedelta(seconds=1)
    day = start.replace(hour=0, minute=0, second=0)
    for _ in range(_HORIZON_DAYS):
        if schedule.matches_day(day):
            found = _first_time_of_day(schedule, start if start.date() == day.date() else day)
            if found is not None:
                return found
        day += timedelta(days=1)
    return None


def _first_time_of_day(schedule: Schedule, start: datetime) -> datetime | None:
    """Return the first match on the day of `start`, at or after it."""
    for hour in _from(schedule.hours, start.hour):
        for minute in _from(schedule.minutes, start.minute if hour == start.hour else 0):
            is_now = (hour, minute) == (start.hour, start.minute)
            for second in _from(schedule.seconds, start.second if is_now else 0):
                return start.replace(hour=hour, minute=minute, second=second)
    return None


def _from(numbers: Sequence[int], low: int) -> list[int]:
    return [number for number in numbers if number >= low]


def _parse_field(field: _Field, text: str) -> tuple[int, ...]:
    numbers: set[int] = set()
    for item in text.split(","):
        numbers.update(_parse_item(field, item))
    return tuple(sorted(numbers))


def _parse_item(field: _Field, item: str) -> range:
    span, slash, step_text = item.partition("/")
    step = _number(field, step_text, {}) if slash else 1
    if step < 1:
        raise ValueError(f"the {field.name} {item!r} has a step below 1")
    if span == "*":
        return range(field.low, field.high + 1, step)
    first_text, dash, last_text = span.partition("-")
    first = _number(field, first_text, field.names)
    # `5/10` means from 5 on in steps of 10.
    last = _number(field, last_text, field.names) if dash else (field.high if slash else first)
    if not field.low <= first <= last <= field.high:
        raise ValueError(f"the {field.name} {item!r} is not within {field.low} to {field.high}")
    return range(first, last + 1, step)


def _number(field: _Field, text: str, names: dict[str, int]) -> int:
    if text.isascii() and text.isdigit():
        return int(text)
    found = names.get(text.lower()[:3]) if text.isalpha() else None
    if found is None:
        raise ValueError(f"the {field.name} {text!r} is not a number")
    return found
