"""How long a process remembers what it has dealt with."""

from __future__ import annotations

from store_on_upload.waiting.handled import KEPT_SECONDS, Handled


def kept_of(count: int, handled: Handled) -> list[int]:
    """Return the numbers of the files that are remembered."""
    return [number for number in range(count) if (f"{number}.dcm", "etag") in handled]


def test_what_was_long_ago() -> None:
    """It is forgotten, so that what is kept goes by what comes, and not by how long the process has run."""
    now = 0.0
    handled = Handled(lambda: now)
    for number in range(5000):
        now = float(number)
        handled.add(f"{number}.dcm", "etag")
    assert kept_of(5000, handled) == list(range(5000 - int(KEPT_SECONDS), 5000))


def test_nothing_comes_any_more() -> None:
    """It is forgotten all the same."""
    now = 0.0
    handled = Handled(lambda: now)
    handled.add("0.dcm", "etag")
    now = KEPT_SECONDS
    assert kept_of(1, handled) == []


def test_a_version_that_comes_again() -> None:
    """It is kept from then on; those before it are forgotten all the same."""
    now = 0.0
    handled = Handled(lambda: now)
    handled.add("again.dcm", "etag")
    handled.add("once.dcm", "etag")
    now = KEPT_SECONDS / 2
    handled.add("again.dcm", "etag")
    now = KEPT_SECONDS
    handled.add("new.dcm", "etag")
    assert [(name, "etag") in handled for name in ("again.dcm", "once.dcm", "new.dcm")] == [True, False, True]


def test_a_flood() -> None:
    """However many come at once, no more than ten thousand are kept."""
    handled = Handled(lambda: 0.0)
    for number in range(10_001):
        handled.add(f"{number}.dcm", "etag")
    assert kept_of(10_001, handled) == list(range(1, 10_001))
