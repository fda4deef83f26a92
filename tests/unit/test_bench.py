"""What the bench keeps of a run."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import bench.__main__ as bench
from bench.results import Row, row_of
from bench.rivals.set_up import Rivals
from bench.turns import Bench


def measured(_bench: Bench) -> Iterator[Row]:
    """Measure what needs no program."""
    yield row_of("store", "8 KiB", "1/s", [2.0], "bare aiohttp", [1.0])


def needs_nginx(bench: Bench) -> Iterator[Row]:
    """Measure what cannot be without nginx."""
    yield row_of("search", bench.rivals.nginx, "1/s", [2.0])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return where the results go, on a machine without nginx."""
    monkeypatch.setattr(bench, "PATHS", {"store": measured, "search": needs_nginx})
    monkeypatch.setattr(bench, "ROOT", tmp_path)
    monkeypatch.setattr("bench.results.RESULTS", tmp_path)
    monkeypatch.setattr(bench, "set_up", lambda: Rivals(Path(), {}))
    for name in ("program_versions", "publish", "_check_room", "_end_in_order"):
        monkeypatch.setattr(bench, name, lambda *_of, **_with: {})
    return tmp_path


def test_a_missing_program_costs_its_path_alone(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The others took a quarter of an hour: they are kept, and what is left out is told, with what to install."""
    monkeypatch.setattr(sys, "argv", ["bench"])
    bench.main()
    assert [row["path"] for row in json.loads((folder / "latest.json").read_text())] == ["store"]
    told = capsys.readouterr()
    assert "Left out: search" in told.out
    assert "search: left out: there is no nginx: apt-get install nginx-light" in told.err


def test_nothing_is_written_where_nothing_was_measured(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The latest results stay."""
    monkeypatch.setattr(sys, "argv", ["bench", "--only", "search"])
    with pytest.raises(SystemExit, match="Nothing could be measured"):
        bench.main()
    assert list(folder.iterdir()) == []
