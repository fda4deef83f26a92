"""When a measurement says that the machine was too busy."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.machine import BUSY_SHARE
from bench.rivals.set_up import Rivals
from bench.turns import Bench


def test_what_is_measured_later_is_not_busy_for_what_was_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other programs that come and go spoil what they met, before it, meanwhile or after it; not the rest of a path."""
    shares = iter([0.0, 2 * BUSY_SHARE, 0.0, 0.0, 2 * BUSY_SHARE, 0.0, 0.0, 0.0, 0.0])
    meanwhile = iter([0.0, 0.0, 0.0, 2 * BUSY_SHARE])
    monkeypatch.setattr("bench.turns.busy_share", lambda _seconds: next(shares))
    monkeypatch.setattr("bench.turns.Others.share", lambda _others: next(meanwhile))
    bench = Bench(tmp_path, Rivals(Path(), {}))
    found = []
    for _ in range(4):
        assert bench.in_turns("nothing", {"ours": lambda: 1.0, "the rival": lambda: 2.0}) == {
            "ours": [1.0] * 5,
            "the rival": [2.0] * 5,
        }
        found.append(bench.was_busy)
    assert found == [True, False, False, True]
