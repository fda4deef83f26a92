"""When a study's time is over: rules that hold for all dates."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from purge_study.policy import judge, newest_due_date

DATES = st.dates(date(1900, 1, 1), date(2200, 1, 1))
DAYS = st.integers(1, 36_500)


def da(day: date) -> str:
    """As DICOM writes a date."""
    return f"{day.year:04}{day.month:02}{day.day:02}"


@given(taken=DATES, keep_days=DAYS, off=st.integers(-3, 3))
def test_due_on_the_day_after(taken: date, keep_days: int, off: int) -> None:
    """A study is due from the day after its last day on, and that day is told."""
    today = taken + timedelta(days=keep_days + off)
    judgement = judge(da(taken), today, keep_days)
    assert judgement.due == (off > 0)
    assert judgement.kept_until == taken + timedelta(days=keep_days)
    assert taken.isoformat() in judgement.why


@given(taken=DATES, today=DATES, keep_days=DAYS, more=st.integers(0, 1000))
def test_monotone(taken: date, today: date, keep_days: int, more: int) -> None:
    """What is due stays due as days pass, and what is kept stays kept if it shall be kept for longer."""
    if judge(da(taken), today, keep_days).due:
        assert judge(da(taken), today + timedelta(days=more), keep_days).due
    else:
        assert not judge(da(taken), today, keep_days + more).due
        assert not judge(da(taken + timedelta(days=more)), today, keep_days).due


@given(taken=DATES, today=DATES, keep_days=DAYS)
def test_search_and_rule_agree(taken: date, today: date, keep_days: int) -> None:
    """The range that is searched for holds all studies that are due, and no other."""
    assert judge(da(taken), today, keep_days).due == (taken <= newest_due_date(today, keep_days))


def is_date(text: str) -> bool:
    """Whether a text is a DA of PS3.5 §6.2."""
    if len(text) != 8 or not set(text) <= set("0123456789"):
        return False
    try:
        date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        return False
    return True


@given(
    text=st.one_of(st.none(), st.text(max_size=12), st.text("0123456789", min_size=7, max_size=9)).filter(
        lambda text: text is None or not is_date(text)
    ),
    today=DATES,
    keep_days=DAYS,
)
def test_unknown_date_keeps(text: str | None, today: date, keep_days: int) -> None:
    """A study whose date is absent or none is never due, and what stood there is not repeated."""
    judgement = judge(text, today, keep_days)
    assert (judgement.due, judgement.kept_until) == (False, None)
    assert judgement.why == "StudyDate is absent or no date: kept"


@pytest.mark.parametrize(
    ("study_date", "keep_days", "kept_until"),
    [
        ("20240229", 365, date(2025, 2, 28)),
        ("20240229", 366, date(2025, 3, 1)),
        ("20230228", 365, date(2024, 2, 28)),
        ("20230301", 365, date(2024, 2, 29)),
        ("19000228", 1, date(1900, 3, 1)),
        ("20000228", 1, date(2000, 2, 29)),
        ("20231231", 1, date(2024, 1, 1)),
    ],
)
def test_leap_days(study_date: str, keep_days: int, kept_until: date) -> None:
    """Days are counted by the calendar, leap days included."""
    assert judge(study_date, kept_until, keep_days).kept_until == kept_until
    assert not judge(study_date, kept_until, keep_days).due
    assert judge(study_date, kept_until + timedelta(days=1), keep_days).due


@pytest.mark.parametrize(("study_date", "keep_days"), [("99991231", 1), ("20200101", 10**7), ("20200101", 10**12)])
def test_beyond_the_calendar(study_date: str, keep_days: int) -> None:
    """A last day that no calendar has, as with the date that stands for "never", keeps the study."""
    judgement = judge(study_date, date(2200, 1, 1), keep_days)
    assert (judgement.due, judgement.kept_until) == (False, None)


@pytest.mark.parametrize(
    "text", ["20230229", "20241301", "20240001", "2024.2.29", "2024-02-29", "19700101 ", "٢٠٢٤٠١٠١"]
)
def test_dates_that_are_none(text: str) -> None:
    """What looks like a date and is none is unknown."""
    assert not judge(text, date(2200, 1, 1), 1).due
