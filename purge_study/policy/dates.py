"""Days of the calendar: what DICOM writes, and what the rules count."""

from __future__ import annotations

import re
from datetime import date, datetime, timedelta, tzinfo

# Of nobody and of no examination: what systems write where they know nothing. Rules count them as absent.
PLACEHOLDERS = frozenset({date.min, date(1800, 1, 1), date(1900, 1, 1), date(9999, 12, 31)})
# What a list of dates says of a patient if nobody can tell: it outranks every date, and is never known.
UNCLEAR = date.max
# What spreadsheets and databases write for a blank cell or a zero: their first day, in some time zones the one before.
ZERO_DAYS = frozenset(
    map(date.fromisoformat, ("1899-12-30", "1899-12-31", "1901-01-01", "1904-01-01", "1969-12-31", "1970-01-01"))
)
# Röntgen's discovery; what is older is some system's day zero, such as 1753-01-01.
FIRST_STUDY = date(1895, 11, 8)
# Nobody has lived that long; an older birth date is some system's day zero.
OLDEST_YEARS = 130
_AGE = re.compile("0*([0-9]{1,3}) ?([DWMY])", re.IGNORECASE)
_UNIT_DAYS = {"D": 1.0, "W": 7.0, "M": 30.44, "Y": 365.25}


def may_be(day: date) -> bool:
    """Say whether something may have happened to a patient on a day, or may yet."""
    return day >= FIRST_STUDY and day not in PLACEHOLDERS


def parse_da(text: str) -> date | None:
    """Return the day that a DA value names, `yyyymmdd` (PS3.5 section 6.2); None if it is none."""
    if not re.fullmatch("[0-9]{8}", text):
        return None
    try:
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return None


def add_years(day: date, years: int) -> date | None:
    """Return the same day some years on; 29 February becomes 1 March where there is none. None beyond the year 9999."""
    if day.year + years > date.max.year:
        return None
    try:
        return day.replace(year=day.year + years)
    except ValueError:
        return date(day.year + years, 3, 1)


def add_days(day: date, days: int) -> date | None:
    """Return the day some days on; None beyond the year 9999."""
    try:
        return day + timedelta(days)
    except OverflowError:
        return None


def year_end(day: date) -> date:
    """Return the last day of the year."""
    return day.replace(month=12, day=31)


def age_on(birth: date, day: date) -> int:
    """Return an age in completed years; whoever was born on 29 February has a birthday on 1 March in other years."""
    return day.year - birth.year - ((day.month, day.day) < (birth.month, birth.day))


def fits_age(patient_age: str, birth: date, day: date) -> bool:
    """Say whether an AS value such as `034Y` (PS3.5 section 6.2) may be told of somebody born then, on that day.

    One unit more or less is rounding, or the day on which somebody wrote it. Leading zeros, a blank before the unit and
    a small letter are read too. A value that is not an age fits nobody: it may be a child's.
    """
    age = _AGE.fullmatch(patient_age)
    if age is None:
        return False
    units, days = int(age[1]), _UNIT_DAYS[age[2].upper()]
    return (units - 1) * days <= (day - birth).days < (units + 2) * days


def local_day(zone: tzinfo, when: datetime) -> date:
    """Return the day on which an instant falls in a time zone."""
    return when.astimezone(zone).date()
