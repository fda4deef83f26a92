"""Decide when a study's retention has ended: pure functions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta


@dataclass(frozen=True)
class Judgement:
    """Whether a study is due, and why, in words a person can check; `kept_until` is None where it is unknown."""

    due: bool
    why: str
    kept_until: date | None = None


def judge(study_date: str | None, today: date, keep_days: int) -> Judgement:
    """Judge a study by its StudyDate; what is unknown keeps the study.

    Args:
        study_date: DA as DICOM JSON has it, `yyyymmdd`; None or empty if absent.
        today: the day on which it is judged.
        keep_days: it is kept to the end of this many days after its date.
    """
    taken = _parse(study_date)
    if taken is None:
        return Judgement(False, "StudyDate is absent or no date: kept")
    try:
        kept_until = taken + timedelta(days=keep_days)
    except OverflowError:
        return Judgement(False, f"StudyDate {taken.isoformat()} plus {keep_days} days is beyond the calendar: kept")
    why = f"StudyDate {taken.isoformat()} plus {keep_days} days: kept until {kept_until.isoformat()}"
    return Judgement(today > kept_until, why, kept_until)


def newest_due_date(today: date, keep_days: int) -> date:
    """Return the newest StudyDate that is due on a day."""
    return today - timedelta(days=keep_days + 1)


def _parse(value: str | None) -> date | None:
    if value is None or len(value) != 8 or not value.isascii() or not value.isdigit():
        return None
    try:
        return date(int(value[:4]), int(value[4:6]), int(value[6:]))
    except ValueError:
        return None
