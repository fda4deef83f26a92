"""Timer expressions: next occurrences held against the meaning of the fields."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from local.functions_host.ncrontab import next_occurrence, parse

MOMENTS = st.datetimes(datetime(2000, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC))


def _field(low: int, high: int) -> st.SearchStrategy[tuple[str, frozenset[int]]]:
    """A field's text and the numbers that it stands for."""
    every = st.integers(1, 20).map(lambda step: (f"*/{step}", frozenset(range(low, high + 1, step))))
    ranges = st.tuples(st.integers(low, high), st.integers(low, high)).map(sorted)
    spans = ranges.map(lambda pair: (f"{pair[0]}-{pair[1]}", frozenset(range(pair[0], pair[1] + 1))))
    sets = st.frozensets(st.integers(low, high), min_size=1, max_size=4)
    lists = sets.map(lambda numbers: (",".join(map(str, numbers)), numbers))
    return st.one_of(st.just(("*", frozenset(range(low, high + 1)))), every, spans, lists)


EXPRESSIONS = st.tuples(
    _field(0, 59), _field(0, 59), _field(0, 23), _field(1, 31), _field(1, 12), st.just(("*", frozenset(range(7))))
)


def _matches(moment: datetime, numbers: list[frozenset[int]]) -> bool:
    parts = (moment.second, moment.minute, moment.hour, moment.day, moment.month, moment.isoweekday() % 7)
    return all(part in allowed for part, allowed in zip(parts, numbers, strict=True))


@given(EXPRESSIONS, MOMENTS, st.floats(0, 1))
def test_the_next_occurrence_matches_and_none_lies_before_it(
    fields: tuple[tuple[str, frozenset[int]], ...], after: datetime, where: float
) -> None:
    """The result is later than asked, matches every field, and no moment in between does."""
    numbers = [allowed for _, allowed in fields]
    found = next_occurrence(parse(" ".join(text for text, _ in fields)), after)
    assume(found is not None)  # a 31 February
    assert found is not None
    assert found > after
    assert _matches(found, numbers)
    # Sampled anywhere in the gap, and densely at both of its ends.
    between = after + (found - after) * where
    for start in (after, between, found - timedelta(seconds=30)):
        for second in range(30):
            moment = (start + timedelta(seconds=second)).replace(microsecond=0)
            assert not (after < moment < found and _matches(moment, numbers))


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("0 */5 * * * *", "2026-03-01T00:00:00"),
        ("*/5 * * * *", "2026-03-01T00:00:00"),
        ("0 0 3 * * *", "2026-03-01T03:00:00"),
        ("30 59 23 28 2 *", "2027-02-28T23:59:30"),
        ("0 0 0 29 2 *", "2028-02-29T00:00:00"),
        ("0 0 9 * * mon-fri", "2026-03-02T09:00:00"),
        ("0 0 9 * Jan,Dec Sunday", "2026-12-06T09:00:00"),
        ("0 0 0 13 * 5", "2026-03-13T00:00:00"),
        ("10/20 * * * * *", "2026-03-01T00:00:10"),
    ],
)
def test_known_occurrences(expression: str, expected: str) -> None:
    """Examples worked out by hand, after the last second of February 2026."""
    after = datetime(2026, 2, 28, 23, 59, 59, tzinfo=UTC)
    assert next_occurrence(parse(expression), after) == datetime.fromisoformat(expected).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    "expression",
    [
        "",
        "00:05:00",
        "1.00:00:00",
        "* * * *",
        "60 * * * * *",
        "* * 24 * * *",
        "* * * 0 * *",
        "* * * * 13 *",
        "* * * * * 7",
        "5-1 * * * * *",
        "*/0 * * * * *",
        "x * * * * *",
        "* * * * foo *",
        "-1 * * * * *",
        "@daily",
    ],
)
def test_what_is_no_expression_is_refused(expression: str) -> None:
    """A time span, a number out of range, a step of nothing and the like are errors."""
    with pytest.raises(ValueError, match=r"\w"):
        parse(expression)


def test_a_day_that_never_comes_has_no_occurrence() -> None:
    """30 February is legal to write and never due."""
    assert next_occurrence(parse("0 0 0 30 2 *"), datetime(2026, 1, 1, tzinfo=UTC)) is None
