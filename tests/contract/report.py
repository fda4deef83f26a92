"""What a run of the contract says at its end: the differences as a table that can be pasted, and what it left."""

from __future__ import annotations

import traceback
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import pytest

from tests.contract.differences import Difference
from tests.contract.service import Made

FOLDER = Path(__file__).parent
HEAD = "| fact | source | expected | observed |\n|---|---|---|---|"


@dataclass(frozen=True)
class Row:
    """A fact that does not hold."""

    fact: str
    source: str
    expected: str
    observed: str

    def line(self, cases: list[str]) -> str:
        """Return a line of the table, with what the fact was tried for."""
        fact = f"{self.fact} [{'; '.join(cases)}]" if any(cases) else self.fact
        cells = (fact, self.source, self.expected, self.observed)
        return "| " + " | ".join(map(_cell, cells)) + " |"


@dataclass
class Run:
    """What the tests of the contract have to say."""

    made: Made = field(default_factory=Made)
    rows: dict[Row, list[str]] = field(default_factory=dict)
    not_run: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, item: pytest.Item, error: BaseException) -> None:
        """Take in a test that failed."""
        row = Row(_fact(item), _source(item), *_difference(error))
        self.rows.setdefault(row, []).append(item.name.partition("[")[2].removesuffix("]"))

    def lines(self) -> Iterator[str]:
        """Yield the lines of the report, none where all is well and nothing was left out."""
        for (module, reason), count in sorted(self.not_run.items()):
            yield f"NOT RUN: {count} of {module}: {reason}"
        if self.rows:
            yield from HEAD.splitlines()
            yield from (row.line(cases) for row, cases in self.rows.items())
        for leftover in self.made.leftovers:
            yield f"NOT REMOVED: {leftover}"

    def totals(self) -> str:
        """Return the last line."""
        removed = self.made.count - len(self.made.leftovers)
        failed = sum(map(len, self.rows.values()))
        return f"{failed} tests found differences; {removed} of {self.made.count} studies and tags made were removed"


def _difference(error: BaseException) -> tuple[str, str]:
    if isinstance(error, Difference):
        return error.expected, error.observed
    if isinstance(error, httpx.HTTPError):
        return "an answer", type(error).__name__
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename).parent == FOLDER]
    text = str(error).partition("\n")[0]
    return f"`{frames[-1].line}`" if frames else "no error", f"{type(error).__name__}: {text}"


def _fact(item: pytest.Item) -> str:
    """Return the first line of a test's docstring."""
    docstring = getattr(getattr(item, "function", None), "__doc__", None) or item.name
    return docstring.strip().partition("\n")[0]


def _source(item: pytest.Item) -> str:
    """Return where the fact is from, and what is known to say otherwise."""
    source, disputed = item.get_closest_marker("source"), item.get_closest_marker("disputed")
    words = source.args[0] if source else "?"
    return f"{words}; but {disputed.args[0]}" if disputed else words


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\r", " ").replace("\n", " ")
