"""Which mutants are tried, and which tests are run over each: those that coverage saw at its line."""

from __future__ import annotations

import json
import random
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import coverage

from tests.mutants.contexts import FOLDER
from tests.mutants.mutations import Mutant, mutants_of

ROOT = Path(__file__).resolve().parents[2]
HARMLESS = Path(__file__).with_name("harmless.txt")
_FIRST = ("tests/unit", "tests/property", "tests/contract")  # the folders whose tests take no time
BUDGET_SECONDS = 120.0  # of tests that a mutant may live through; those of the first folders are all run


@dataclass(frozen=True)
class Candidate:
    """A mutant of a module.

    Args:
        path: of the module, from the root.
        name: in lists and results: the module, the line as it is, the change.
        mutant: the change.
    """

    path: str
    name: str
    mutant: Mutant


def candidates(places: Iterable[str], sample: int | None, seed: int) -> list[Candidate]:
    """Return the mutants of modules and folders, or a sample of them, without those that do no harm."""
    harmless = {line.strip() for line in HARMLESS.read_text().splitlines() if not line.startswith("#")}
    found = [each for path in _modules(places) for each in _mutants(path) if each.name not in harmless]
    chosen = found if sample is None else random.Random(seed).sample(found, min(sample, len(found)))
    return sorted(chosen, key=lambda each: (each.path, each.mutant.line, each.name))


def _modules(places: Iterable[str]) -> Iterator[str]:
    for place in places:
        path = ROOT / place
        found = sorted(path.rglob("*.py")) if path.is_dir() else [path]
        yield from (str(each.relative_to(ROOT)) for each in found)


def _mutants(path: str) -> Iterator[Candidate]:
    source = (ROOT / path).read_text()
    lines = source.splitlines()
    seen: dict[str, int] = defaultdict(int)
    for mutant in mutants_of(source):
        name = f"{path}: {lines[mutant.line - 1].strip()}: {mutant.change}"
        seen[name] += 1  # two of a kind, such as the same constant twice in a line
        yield Candidate(path, name if seen[name] == 1 else f"{name} ({seen[name]})", mutant)


class Suite:
    """What the run under coverage told of the tests."""

    def __init__(self) -> None:
        self._data = coverage.CoverageData(str(FOLDER / "data"))
        self._data.read()

    def tests_of(self, candidate: Candidate) -> list[str]:
        """Return the node ids of the tests to run, the quickest files first, within the budget.

        A line that runs at import alone, such as a constant, has the tests of all lines of its module.
        """
        lines = self._lines(candidate.path)
        contexts = set(lines.get(candidate.mutant.statement, ())) - {""}
        contexts = contexts or {context for found in lines.values() for context in found} - {""}
        return list(self._within_budget(self._ids(contexts)))

    def seconds(self, tests: Collection[str]) -> float:
        """Return how long tests took."""
        return sum(self._tests[test][0] for test in tests)

    def _lines(self, path: str) -> Mapping[int, Sequence[str]]:
        return self._data.contexts_by_lineno(path)

    def _ids(self, contexts: Collection[str]) -> set[str]:
        users = (self._users[context] for context in contexts if context in self._users)
        return {context for context in contexts if context in self._tests}.union(*users)

    def _within_budget(self, tests: Collection[str]) -> Iterator[str]:
        files: dict[str, list[str]] = defaultdict(list)
        for test in tests:
            files[test.partition("::")[0]].append(test)
        left = BUDGET_SECONDS
        for file in sorted(files, key=lambda file: (not file.startswith(_FIRST), self.seconds(files[file]), file)):
            if not file.startswith(_FIRST):
                left -= self.seconds(files[file])
                if left < 0:
                    return
            yield from files[file]

    @cached_property
    def _tests(self) -> dict[str, tuple[float, list[str]]]:
        tests: dict[str, tuple[float, list[str]]] = {}
        for file in FOLDER.glob("tests-*.json"):
            tests.update(json.loads(file.read_text()))
        return tests

    @cached_property
    def _users(self) -> dict[str, set[str]]:
        users: dict[str, set[str]] = defaultdict(set)
        for test, (_, fixtures) in self._tests.items():
            for fixture in fixtures:
                users[fixture].add(test)
        return users
