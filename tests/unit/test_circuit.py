"""When the DICOM service counts as down, and how it is found to be up again."""

from __future__ import annotations

import heapq
import random

import pytest

from store_on_upload.setback import Setback
from store_on_upload.waiting.circuit import Circuit
from store_on_upload.waiting.deferral import delay_seconds


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def circuit(clock: Clock) -> Circuit:
    return Circuit(clock)


def pauses(circuit: Circuit, clock: Clock, **failure: float) -> list[float]:
    """Let each one that is tried fail, and return how long it took until the next one was let through, in seconds."""
    found = []
    for _ in range(6):
        began = clock.now
        while not circuit.admits():
            clock.now += 1
        found.append(clock.now - began)
        circuit.failed("tried", is_outage=True, retry_after_seconds=failure.get("retry_after_seconds"))
    return found


def opened_by_files(circuit: Circuit) -> None:
    """Let so many files fail by themselves that the circuit opens."""
    assert [circuit.failed(f"{n}", is_outage=False) for n in range(50)] == [False] * 49 + [True]


def test_distinct_files_open_it(circuit: Circuit) -> None:
    """Fifty files that fail by themselves, none going through between them: that is the service."""
    opened_by_files(circuit)
    assert (circuit.is_open, circuit.is_certain, circuit.is_blocked, circuit.admits()) == (True, False, True, False)


def test_one_file_never_opens_it(circuit: Circuit) -> None:
    """However often it fails by itself."""
    assert not any(circuit.failed("a", is_outage=False) for _ in range(100))
    assert circuit.admits()


def test_a_success_between_them_starts_the_count_anew(circuit: Circuit) -> None:
    """Files that fail among others that go through are files that fail."""
    for number in range(500):
        assert not circuit.failed(f"{number}", is_outage=False)
        if number % 49 == 0:
            assert not circuit.passed()
    assert not circuit.is_open


def test_what_can_only_be_the_service_opens_it_at_once(circuit: Circuit) -> None:
    """It begins once, and ends once."""
    assert circuit.failed("a", is_outage=True)
    assert not circuit.failed("b", is_outage=True)
    assert circuit.passed()
    assert not circuit.passed()
    assert circuit.admits()


def test_one_is_tried_at_a_time(circuit: Circuit, clock: Clock) -> None:
    """After the pause one file is tried, and until it has its answer no other; one without any lets the next try."""
    circuit.failed("a", is_outage=True)
    clock.now += 5
    assert [circuit.admits() for _ in range(3)] == [True, False, False]
    clock.now += 3600
    assert (circuit.is_blocked, circuit.admits()) == (True, False)
    circuit.abandoned()
    assert [circuit.admits() for _ in range(2)] == [True, False]
    circuit.passed()
    assert [circuit.admits() for _ in range(3)] == [True] * 3


def test_pauses_grow_to_a_minute(circuit: Circuit, clock: Clock) -> None:
    """And begin anew with the next outage."""
    circuit.failed("a", is_outage=True)
    assert pauses(circuit, clock) == [5, 10, 20, 40, 60, 60]
    circuit.passed()
    circuit.failed("a", is_outage=True)
    assert pauses(circuit, clock)[0] == 5


def test_retry_after_is_honoured(circuit: Circuit, clock: Clock) -> None:
    """A pause that the service asks for is not cut short; a shorter one does not shorten ours."""
    circuit.failed("a", is_outage=True, retry_after_seconds=300)
    assert pauses(circuit, clock, retry_after_seconds=7) == [300, 10, 20, 40, 60, 60]


def test_failures_on_their_way_open_it_no_wider(circuit: Circuit, clock: Clock) -> None:
    """Sixteen files were on their way when it went down: that is one failure, not sixteen."""
    for number in range(16):
        circuit.failed(f"{number}", is_outage=True, retry_after_seconds=number if number > 14 else None)
    assert pauses(circuit, clock)[:2] == [15, 10]


def test_a_file_that_failed_before_says_nothing_new(circuit: Circuit) -> None:
    """Files that are known to fail never open the circuit."""
    assert not any(circuit.failed(f"{n}", is_outage=False, has_failed=True) for n in range(100))
    assert circuit.admits(has_failed=True)


def test_files_that_never_failed_are_preferred_as_trials(circuit: Circuit, clock: Clock) -> None:
    """A file that failed before is a trial only after a minute without another."""
    circuit.failed("a", is_outage=True)
    clock.now += 5
    assert not circuit.admits(has_failed=True)
    clock.now += 60
    assert circuit.admits(has_failed=True)


def test_several_trials_before_the_next_pause(circuit: Circuit, clock: Clock) -> None:
    """If the files may be at fault, ten of them are tried one after another; a success ends the outage."""
    opened_by_files(circuit)
    clock.now += 5
    for number in range(10):
        assert [circuit.admits(), circuit.admits()] == [True, False]
        assert not circuit.failed(f"trial {number}", is_outage=False)
    clock.now += 9
    assert circuit.is_blocked
    clock.now += 1
    assert circuit.admits()
    assert circuit.passed()
    assert not circuit.is_open


def test_a_certain_failure_ends_the_trials(circuit: Circuit, clock: Clock) -> None:
    """One trial that cannot reach the service begins the next pause; one that is answered 5xx lets others follow."""
    opened_by_files(circuit)
    clock.now += 5
    assert circuit.admits()
    circuit.failed("a", is_outage=True)
    assert (circuit.is_certain, circuit.is_blocked) == (True, True)
    clock.now += 10
    assert circuit.admits()
    circuit.failed("b", is_outage=False)
    assert (circuit.is_certain, circuit.is_open, circuit.admits()) == (False, True, True)


def test_a_service_that_is_busy_for_some_files(circuit: Circuit, clock: Clock) -> None:
    """The first 503 begins an outage; once another file has passed, a 503 is taken for the file's for five minutes."""
    assert circuit.failed("a", is_outage=True, may_be_the_file=True)
    clock.now += 5
    assert circuit.admits()
    assert not circuit.failed("b", is_outage=True, may_be_the_file=True)
    assert circuit.admits()
    assert circuit.passed()
    assert not circuit.failed("c", is_outage=True, may_be_the_file=True)
    assert circuit.failed("d", is_outage=True)
    clock.now += 5
    circuit.passed()
    clock.now += 300
    assert circuit.failed("e", is_outage=True, may_be_the_file=True)


def test_a_late_answer_does_not_end_what_is_certain(circuit: Circuit) -> None:
    """A file that was on its way when the service went down is no trial."""
    circuit.failed("a", is_outage=True)
    circuit.failed("b", is_outage=False)
    assert (circuit.is_certain, circuit.is_blocked) == (True, True)


@pytest.mark.parametrize("every_seconds", [0.05, 0.2, 2.0])
@pytest.mark.parametrize("is_busy", [False, True], ids=["500", "503"])
def test_bad_files_do_not_starve_good_ones(circuit: Circuit, clock: Clock, is_busy: bool, every_seconds: float) -> None:
    """With nine bad files to a good one, most good files pass, though bad ones return as their delays have it."""
    chance, upcoming, order = random.Random(1), list[tuple[float, int, bool, int]](), 0
    ends, good, expected = clock.now + 3600, 0, 0

    def comes(at: float, is_bad: bool, deferrals: int) -> None:
        nonlocal order
        heapq.heappush(upcoming, (at, order := order + 1, is_bad, deferrals))

    for number in range(int(3600 / every_seconds)):
        is_bad = chance.random() < 0.9
        expected += not is_bad
        comes(clock.now + number * every_seconds, is_bad, 0)
    while upcoming and upcoming[0][0] < ends:
        clock.now, name, is_bad, deferrals = heapq.heappop(upcoming)
        has_failed = deferrals > 0 and is_bad and not is_busy
        if circuit.admits(has_failed=has_failed):
            if not is_bad:
                circuit.passed()
                good += 1
                continue
            circuit.failed(f"{name}", is_outage=is_busy, may_be_the_file=True, has_failed=has_failed)
        waits_as = Setback("service_failed", is_outage=is_busy or circuit.is_open)
        comes(clock.now + delay_seconds(deferrals + 1, waits_as, chance.random), is_bad, deferrals + 1)
    assert good >= (0.5 if is_busy else 0.9) * expected
