"""How long a process remembers what it has dealt with."""

from __future__ import annotations

from store_on_upload.waiting.handled import KEPT_SECONDS, Handled


def test_what_was_long_ago() -> None:
    """It is forgotten, so that what is kept goes by what comes, and not by how long the process has run."""
    now = 0.0
    handled = Handled(lambda: now)
    for number in range(5000):
        handled.add(f"{number}.dcm", "etag")
        now += 1
    assert len(handled) == KEPT_SECONDS
    assert ("4999.dcm", "etag") in handled
    assert ("0.dcm", "etag") not in handled


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
    assert len(handled) == 10_000
    assert ("0.dcm", "etag") not in handled
