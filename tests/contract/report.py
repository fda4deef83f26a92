"""What a run of the contract says at its end: the differences as a table that can be pasted, and what it left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import httpx
import pytest

from tests.contract.differences import Difference
from tests.contract.service import Made

HEAD = ("fact", "source", "expected", "observed")


@dataclass
class Run:
    """What the tests of the contract have to say."""

    made: Made = field(default_factory=Made)
    rows: list[tuple[str, str, str, str]] = field(default_factory=list)
    not_run: Counter[tuple[str, str]] = field(default_factory=Counter)

    def lines(self) -> Iterator[str]:
        """Yield the lines of the report, none where all is well and nothing was left out."""
        for (module, reason), count in sorted(self.not_run.items()):
            yield f"NOT RUN: {count} of {module}: {reason}"
        if self.rows:
            yield "| " + " | ".join(HEAD) + " |"
            yield "|---" * len(HEAD) + "|"
            yield from ("| " + " | ".join(map(_cell, row)) + " |" for row in self.rows)
        for leftover in self.made.leftovers:
            yield f"NOT REMOVED: {leftover}"

    def totals(self) -> str:
        """Return the last line."""
        removed = self.made.count - len(self.made.leftovers)
        return f"{len(self.rows)} differences; {removed} of {self.made.count} studies and tags made were removed"


def row(item: pytest.Item, error: BaseException) -> tuple[str, str, str, str]:
    """Return a line of the table for a test that failed."""
    expected, observed = _difference(error)
    return _fact(item), _source(item), expected, observed


def _difference(error: BaseException) -> tuple[str, str]:
    if isinstance(error, Difference):
        return error.expected, error.observed
    if isinstance(error, httpx.HTTPError):
        return "an answer", type(error).__name__
    text = str(error).partition("\n")[0]
    return "see the test", f"{type(error).__name__}: {text}"


def _fact(item: pytest.Item) -> str:
    """Return the first sentence of a test's docstring, with what it was run for."""
    docstring = getattr(getattr(item, "function", None), "__doc__", None) or item.name
    sentence = docstring.strip().partition("\n")[0]
    _, bracket, parameters = item.name.partition("[")
    return f"{sentence} [{parameters}" if bracket else sentence


def _source(item: pytest.Item) -> str:
    """Return where the fact is from, and what is known to say otherwise."""
    source, disputed = item.get_closest_marker("source"), item.get_closest_marker("disputed")
    words = source.args[0] if source else "?"
    return f"{words}; but {disputed.args[0]}" if disputed else words


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\r", " ").replace("\n", " ")
