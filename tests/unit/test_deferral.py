"""How long a file waits for its next attempt, whose fault it was, and when it is given up."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from azure.core.exceptions import AzureError, ServiceRequestError

from shared.dicomweb import InvalidResponse, RequestNotSent, ResponseLost
from shared.dicomweb.errors import status_error
from store_on_upload.receipts.receipt import Receipt, State, timestamp
from store_on_upload.setback import STOPPED, NotYet, Setback, outage, setback_of
from store_on_upload.verdict import Verdict
from store_on_upload.waiting.deferral import deferred, delay_seconds, given_up, should_give_up

START = datetime(2026, 3, 1, tzinfo=UTC)
OWN = Setback("service_failed", is_outage=False)
STORAGE = setback_of(AzureError("by the test"))
OUTAGE = outage(is_certain=True)
HELD_BACK = outage(is_certain=False)
TOKEN = setback_of(RequestNotSent("by the test"))
NO_ACCESS = setback_of(status_error("store instance", 403))
DAY = 24
FRESH = Receipt("a.dcm", "0x1", 1, timestamp(START), State.DEFERRED)


@pytest.mark.parametrize(
    ("setback", "expected"),
    [
        (OWN, [5, 15, 45, 135, 405, 1215, 3645, 10935, 14400, 14400]),
        (OUTAGE, [5, 15, 45, 135, 405, 900, 900, 900, 900, 900]),
        (replace(OUTAGE, retry_after_seconds=60), [60, 60, 60, 135, 405, 900, 900, 900, 900, 900]),
        (replace(OUTAGE, retry_after_seconds=7200), [7200] * 10),
        (replace(OWN, retry_after_seconds=1e9), [86400] * 10),
    ],
)
def test_delays(setback: Setback, expected: list[float]) -> None:
    """They grow to hours, in an outage to a quarter of one; a Retry-After is not cut short, up to a day."""
    numbers = range(1, 11)
    assert [delay_seconds(number, setback, lambda: 0.0) for number in numbers] == expected
    assert [delay_seconds(number, setback, lambda: 1.0) for number in numbers] == [1.5 * each for each in expected]
    assert delay_seconds(10_000, setback, lambda: 0.0) == expected[-1]


def test_files_do_not_come_back_at_once() -> None:
    """Those that were put off together come back apart."""
    assert len({delay_seconds(3, OUTAGE) for _ in range(100)}) > 90


def failing(*steps: tuple[float, Setback]) -> Receipt:
    """Return the receipt of a file that is put off again and again, each time so many hours after the time before."""
    receipt, now = FRESH, START
    for hours, setback in steps:
        now += timedelta(hours=hours)
        receipt = deferred(receipt, setback, now, 5)
    return receipt


@pytest.mark.parametrize(
    ("steps", "hours"),
    [
        ([(0, OWN)], 0),
        ([(0, OWN), (4, OWN)], 4),
        ([(0, OWN), (4, OWN), (4, OWN)], 8),
        ([(0, OUTAGE), (500, OUTAGE)], 0),
        ([(0, OWN), (1, HELD_BACK), (2, HELD_BACK), (1, OWN)], 4),
        ([(0, OWN), (500, HELD_BACK), (1, OWN)], 6),
        ([(0, HELD_BACK), (500, HELD_BACK), (1, OWN)], 0),
        # From what was at fault elsewhere to what follows, the file is blamed for nothing
        *(
            ([(0, OWN), (4, OWN), (60, other), (60, other), (5, OWN), (1, OWN)], 5)
            for other in (OUTAGE, STOPPED, STORAGE, TOKEN, NO_ACCESS)
        ),
        ([(0, OWN), (-1, OWN)], 0),  # another machine's clock
        ([(0, OWN), (14 * DAY, OWN), (1, OWN)], 7),  # the app was switched off for two weeks
    ],
)
def test_time_that_counts_against_a_file(steps: list[tuple[float, Setback]], hours: float) -> None:
    """From one failure of its own to the next, if nothing else was at fault in between."""
    assert failing(*steps).failing_seconds == hours * 3600


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ([(0, OWN), *[(4, OWN)] * 83], False),
        ([(0, OWN), *[(4, OWN)] * 84], True),
        ([(0, OUTAGE), *[(4, OUTAGE)] * 1000], False),
        ([(0, OWN), *[(2, HELD_BACK), (2, OWN)] * 84], True),
        ([(0, OWN), *[(4, OWN)] * 84, (4, OUTAGE)], False),  # not while something else is at fault
        ([(0, OWN), *[(1, other) for other in (STOPPED, STORAGE, TOKEN, OWN) * 200]], False),
    ],
)
def test_giving_up(steps: list[tuple[float, Setback]], expected: bool) -> None:
    """After fourteen days of failures of its own."""
    assert should_give_up(failing(*steps), 14) is expected


def test_what_is_given_up_says_why() -> None:
    """The last failure, and the service's code, stay in the receipt."""
    late = START + timedelta(days=20)
    receipt = given_up(failing((0, replace(OWN, service_code=272))), "kept_failing", late)
    assert (receipt.verdict, receipt.reason, receipt.failure) == (Verdict.GAVE_UP, "kept_failing", "service_failed")
    assert (receipt.service_code, receipt.due_at, receipt.is_final) == (272, None, True)


def test_what_is_being_stored_has_its_beginning() -> None:
    """Since when the service says so without a break."""
    stuck = Setback("being_stored", is_outage=False, service_code=45071)
    assert failing((1, stuck), (2, stuck)).stuck_since == timestamp(START + timedelta(hours=1))
    assert failing((1, stuck), (2, OWN)).stuck_since is None
    assert failing((1, stuck), (2, OWN), (3, stuck)).stuck_since == timestamp(START + timedelta(hours=6))


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (NotYet("unsettled", is_outage=True, retry_after_seconds=9), Setback("unsettled", True, 9)),
        (NotYet("being_stored", 45071), Setback("being_stored", False, None, 45071)),
        (RequestNotSent("x"), Setback("service_unreachable", True)),
        (ResponseLost("x"), Setback("service_failed", False)),
        (InvalidResponse("x"), Setback("service_failed", False)),
        (ServiceRequestError("x"), Setback("storage_failed", True)),
        (TimeoutError(), Setback("too_slow", False)),
        (KeyError("x"), Setback("app_failed", False)),
        *((status_error("store", status, 7), Setback("service_failed", False, 7)) for status in (400, 415, 500)),
        *((status_error("store", status, 7), Setback("service_failed", True, 7)) for status in (404, 424)),
        *((status_error("store", status, 7), Setback("access_denied", True)) for status in (401, 403)),
        *((status_error("store", status, 7), Setback("service_busy", True, 7)) for status in (408, 429, 502, 503, 504)),
    ],
)
def test_whose_fault_it_was(error: Exception, expected: Setback) -> None:
    """The service, its token and the storage are never the file's fault."""
    assert setback_of(error) == expected
