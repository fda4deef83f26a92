"""When the DICOM service counts as down, and how it is found to be up again."""

from __future__ import annotations

import random

import pytest

from store_on_upload.waiting.circuit import Circuit


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


def test_distinct_files_open_it(circuit: Circuit) -> None:
    """Five files that fail by themselves, none going through between them: that is the service."""
    assert [circuit.failed(name, is_outage=False) for name in "abcd"] == [False] * 4
    assert circuit.admits()
    assert circuit.failed("e", is_outage=False)
    assert (circuit.is_open, circuit.is_blocked, circuit.admits()) == (True, True, False)


def test_one_file_never_opens_it(circuit: Circuit) -> None:
    """However often it fails by itself."""
    assert not any(circuit.failed("a", is_outage=False) for _ in range(100))
    assert circuit.admits()


def test_a_success_between_them_starts_the_count_anew(circuit: Circuit) -> None:
    """Files that fail among others that go through are files that fail."""
    for name in "abcdefghijkl":
        assert not circuit.failed(name, is_outage=False)
        if name in "dhl":
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


def test_failures_of_files_are_answered_with_several_trials(circuit: Circuit, clock: Clock) -> None:
    """If the files may be at fault, five trials are made after a pause, and all must fail for the next pause."""
    for name in "abcde":
        circuit.failed(name, is_outage=False)
    clock.now += 5
    assert [circuit.admits() for _ in range(6)] == [True] * 5 + [False]
    for name in "fghij":
        assert not circuit.failed(name, is_outage=False)
    clock.now += 9
    assert circuit.is_blocked
    clock.now += 1
    assert circuit.admits()
    assert circuit.passed()


def test_bad_files_do_not_starve_good_ones(circuit: Circuit, clock: Clock) -> None:
    """With nine bad files to a good one, good files pass at half or more of the rate that their attempts allow."""
    chance, good, seconds = random.Random(1), 0, 0.05
    for number in range(72_000):  # an hour in which a file comes every 50 ms
        clock.now += seconds
        if not circuit.admits():
            continue
        if chance.random() < 0.9:
            circuit.failed(f"{number}", is_outage=False)
        else:
            circuit.passed()
            good += 1
    assert good >= 72_000 / 10 / 2
