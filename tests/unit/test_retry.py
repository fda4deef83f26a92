"""When a request is repeated, and after how long."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone
from email.utils import format_datetime

import pytest

from shared.dicomweb import (
    DICOMwebError,
    InvalidResponse,
    RequestNotSent,
    ResponseLost,
    RetryPolicy,
)
from shared.dicomweb.errors import status_error
from shared.dicomweb.retry import may_repeat, retry_after_seconds

NEVER, IF_IDEMPOTENT, ALWAYS = "never", "if idempotent", "always"


@pytest.mark.parametrize(
    ("error", "when"),
    [
        (RequestNotSent(), ALWAYS),
        (ResponseLost(), IF_IDEMPOTENT),
        (InvalidResponse(), NEVER),
        *(
            (status_error("store", status), when)
            for when, statuses in {
                ALWAYS: (429, 503),
                IF_IDEMPOTENT: (408, 500, 502, 504),
                NEVER: (204, 301, 400, 401, 403, 404, 406, 409, 413, 415, 424, 501, 505),
            }.items()
            for status in statuses
        ),
    ],
    ids=str,
)
def test_may_repeat(error: DICOMwebError, when: str) -> None:
    """What was not taken in is repeated, what may have been only if that does no harm, what was decided never."""
    assert may_repeat(error, idempotent=True) == (when != NEVER)
    assert may_repeat(error, idempotent=False) == (when == ALWAYS)


def pause(attempt: int, *, jitter: float = 0.5, wait: float | None = None, elapsed: float = 0) -> float | None:
    policy = RetryPolicy(attempts=3, first_pause_seconds=1, budget_seconds=20, jitter=lambda: jitter)
    return policy.pause_before(attempt, status_error("search", 503, wait), False, elapsed)


def test_pauses_double() -> None:
    """The pauses double, spread by half around their length, and end with the last attempt."""
    assert [pause(attempt) for attempt in (2, 3, 4)] == [1, 2, None]
    assert [pause(2, jitter=jitter) for jitter in (0, 1)] == [0.5, 1.5]


@pytest.mark.parametrize(
    ("wait", "expected"), [(None, 1), (0, 1), (0.5, 1.5), (7, 8), (19, 20), (19.1, None), (1e9, None)]
)
def test_retry_after_is_a_least_pause(wait: float | None, expected: float | None) -> None:
    """The service's own wish is a lower bound, jittered upwards, and beyond the budget the caller is told."""
    assert pause(2, wait=wait) == expected


@pytest.mark.parametrize(("elapsed", "expected"), [(0, 1), (19, 1), (19.1, None), (1000, None)])
def test_budget(elapsed: float, expected: float | None) -> None:
    """No pause begins that would end after the budget."""
    assert pause(2, elapsed=elapsed) == expected


def test_what_is_decided_has_no_pause() -> None:
    """An error that is not to be repeated has none, whichever attempt it was."""
    assert RetryPolicy().pause_before(2, InvalidResponse(), True, 0) is None


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("", None),
        ("0", 0),
        (" 120 ", 120),
        ("-1", None),
        ("1.5", None),
        ("\xb2", None),
        ("\u0661", None),
        ("9" * 400, 1e9),
        ("soon", None),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0),
        ("Wednesday, 21-Oct-15 07:28:00 GMT", 0),
        ("Wed, 21 Oct 99999999999999999999 07:28:00 GMT", None),
    ],
)
def test_retry_after(value: str | None, seconds: float | None) -> None:
    """Seconds and dates are read, a past date is now, and what cannot be read counts as not there."""
    assert retry_after_seconds(value) == seconds


def assert_is_until(when: datetime, value: str) -> None:
    """See that a header's seconds are those until a time, however long the reading takes."""
    rounding = timedelta(milliseconds=1)
    earliest = datetime.now(UTC) - rounding
    seconds = timedelta(seconds=retry_after_seconds(value) or 0)
    assert when - datetime.now(UTC) - rounding <= seconds <= when - earliest


@pytest.mark.parametrize("zone", [UTC, timezone(timedelta(hours=-5))])
def test_retry_after_date_to_come(zone: timezone) -> None:
    """A date that is to come gives the seconds until then, in whichever zone it is told."""
    when = datetime.now(zone).replace(microsecond=0) + timedelta(hours=1)
    assert_is_until(when, format_datetime(when))


def test_retry_after_without_zone() -> None:
    """A date without a zone is taken as UTC."""
    when = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
    assert_is_until(when, f"{when:%a, %d %b %Y %H:%M:%S} -0000")
