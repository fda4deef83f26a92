"""How many requests a retention run makes for each study that is due, and for each that is new."""

from __future__ import annotations

from bench.retention.planning import Archive


def test_a_plan_asks_for_what_is_due_and_new_alone() -> None:
    """By what each adds to a night in which nothing is to be done: docs/runbooks/sizing.md has these figures."""
    idle, due, new = (Archive(1000, *counts).night() for counts in ((0, 0), (100, 0), (0, 100)))
    assert [round((night.table - idle.table) / 100) for night in (due, new)] == [1, 7]
    assert (due.service, new.service // 100) == (idle.service, 1)
