"""Mutation tests: is there a test for each thing that the code says? `python -m tests.mutants`, or `make mutants`.

Each mutant is the module with one thing changed: `<` for `<=`, `or` for `and`, a condition that always holds, a call
left out. The module's tests run over it. A mutant that they let pass is a survivor, and is listed.

A mutant lives in a process of its own, forked from this one, and never on disk. Tests that start processes of their
own see the module as it is.
"""

from __future__ import annotations

import argparse
import ast
import gc
import importlib
import importlib.util
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryFile
from typing import BinaryIO

import pytest

from tests.mutants.mutations import Mutant, mutants_of

ROOT = Path(__file__).resolve().parents[2]
HARMLESS = Path(__file__).with_name("harmless.txt")
_UNTRIED = 64  # how a process ends whose tests could not begin; pytest's own codes are lower
_LIVES: Mapping[int, str] = {pytest.ExitCode.OK: "", _UNTRIED: ", its tests could not begin"}
_MOST_BYTES = 1024 * 1024  # of the names of all tests
TIMES_AS_LONG = 5  # as the tests take of the module as it is, a mutant's may take: one may never end
# What the tests import and no mutant changes: each process is born with it.
PRELOADED = (
    "anyio.pytest_plugin",
    "hypothesis",
    "jsonschema",
    "pydicom",
    "schemathesis.pytest.plugin",
    "xdist.plugin",
    "shared.clients",
    "local.stack",
    "tests.component.dicom_service.support",
)
_POLICY_TESTS = (
    "tests/unit/test_retention_cases.py",
    "tests/unit/test_retention_rules.py",
    "tests/unit/test_retention_policy.py",
    "tests/property/test_retention_policy.py",
    "tests/property/test_retention.py",
)
_EXECUTOR_TESTS = (
    "tests/unit/test_records_of_deletions.py",
    "tests/component/executing/test_deleting.py",
    "tests/component/executing/test_resolving.py",
    "tests/component/executing/test_failing.py",
)
_RECORD_TESTS = (
    "tests/component/test_written_once.py",
    "tests/component/test_restore.py",
    "tests/component/executing/test_resolving.py",
    "tests/component/test_retention_requests.py",
)
_RESTORE_TESTS = (*_RECORD_TESTS, "tests/unit/test_restored.py", "tests/component/executing/test_put_back.py")
_LONGEST = "test_each_request_fails"
_LIST_TESTS = ("tests/unit/test_lists.py",)
TESTS = {
    "purge_study/policy/policy.py": _POLICY_TESTS,
    "purge_study/policy/conditions.py": _POLICY_TESTS,
    "purge_study/policy/dates.py": _POLICY_TESTS,
    "purge_study/policy/impossible.py": ("tests/unit/test_retention_policy.py",),
    "purge_study/policy/contradictions.py": ("tests/unit/test_retention_policy.py",),
    "purge_study/policy/known.py": (*_POLICY_TESTS, "tests/unit/test_judging.py"),
    "purge_study/policy/texts.py": _POLICY_TESTS,
    "purge_study/executing/execute.py": _EXECUTOR_TESTS,
    "purge_study/executing/looking.py": _EXECUTOR_TESTS,
    "purge_study/executing/vault.py": _EXECUTOR_TESTS,
    "purge_study/executing/contents.py": _EXECUTOR_TESTS,
    "purge_study/executing/resolving.py": _EXECUTOR_TESTS,
    "purge_study/records/tombstones.py": _RECORD_TESTS,
    "purge_study/records/writing.py": (*_RECORD_TESTS, "tests/unit/test_records_of_deletions.py"),
    "purge_study/records/pointers.py": (*_RECORD_TESTS, "tests/component/test_fold.py"),
    "purge_study/records/restored.py": (*_RESTORE_TESTS, "tests/component/test_rulebook.py"),
    "purge_study/lists/sheet.py": _LIST_TESTS,
    "purge_study/lists/cells.py": _LIST_TESTS,
    "purge_study/lists/holds.py": (*_LIST_TESTS, "tests/unit/test_list_memory.py"),
    "purge_study/lists/anchors.py": (*_LIST_TESTS, "tests/unit/test_judging.py"),
    "purge_study/lists/list_memory.py": ("tests/unit/test_list_memory.py",),
}


class _Tests:
    """Has pytest begin with the tests that mutants died of before, and end with the one that takes longest.

    Args:
        deaths: a file that is appended to, with those tests, one a line; all processes share it.

    Attributes:
        could_begin: whether what the tests need was there, such as a storage emulator.
    """

    def __init__(self, deaths: BinaryIO) -> None:
        self.could_begin = True
        self._deaths = deaths

    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        deadly = set(os.pread(self._deaths.fileno(), _MOST_BYTES, 0).decode().splitlines())
        items.sort(key=lambda item: (item.name.startswith(_LONGEST), item.nodeid not in deadly))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and report.when == "setup":
            self.could_begin = False
        elif report.failed:
            os.write(self._deaths.fileno(), f"{report.nodeid}\n".encode())


@dataclass(frozen=True)
class Trial:
    """A mutant whose tests run."""

    mutant: Mutant
    pid: int
    ends_at: float


Born = Callable[[Mutant], int]  # a process in which a mutant's tests run


def main() -> int:
    """Try all mutants, list the survivors and return 1 if there are any, 2 if the tests fail by themselves."""
    options = _options()
    for name in PRELOADED:
        importlib.import_module(name)
    gc.freeze()  # or each process would look through all of this for garbage
    survivors, harmless = 0, _harmless()
    for path in options.modules:
        source = (ROOT / path).read_text()
        mutants = [each for each in mutants_of(source) if options.lines is None or each.line in options.lines]
        mutants = [each for each in mutants if _named(path, source, each) not in harmless]
        mutants.sort(key=lambda each: each.line)
        with TemporaryFile("a+b") as deaths:
            born, began = partial(_born, path, deaths), time.monotonic()
            [(_, code)] = _try(born, [Mutant(0, "as it is", ast.parse(source))], 1, math.inf)
            if code != pytest.ExitCode.OK:
                print(f"{path}: its tests fail as it is", file=sys.stderr)
                return 2
            longest = TIMES_AS_LONG * (time.monotonic() - began)
            survivors += _survivors(path, source, _try(born, mutants, options.workers, longest))
    return 1 if survivors else 0


def _survivors(path: str, source: str, endings: Iterable[tuple[Mutant, int]]) -> int:
    """List those that live, and those of which that is not known, and return how many they are."""
    tried = found = 0
    for mutant, code in endings:
        tried += 1
        if code in _LIVES:
            found += 1
            print(f"{_named(path, source, mutant)}    # line {mutant.line}{_LIVES[code]}", flush=True)
    print(f"{path}: {tried} mutants, {found} survived", flush=True)
    return found


def _named(path: str, source: str, mutant: Mutant) -> str:
    return f"{path}: {source.splitlines()[mutant.line - 1].strip()}: {mutant.change}"


def _harmless() -> set[str]:
    """Return the mutants that somebody has looked at and found to do no harm."""
    return {line.strip() for line in HARMLESS.read_text().splitlines() if not line.startswith("#")}


def _try(born: Born, mutants: Sequence[Mutant], workers: int, longest: float) -> Iterator[tuple[Mutant, int]]:
    """Yield how each mutant's tests end, within so many seconds."""
    waiting, trials = list(reversed(mutants)), list[Trial]()
    while waiting or trials:
        while waiting and len(trials) < workers:
            mutant = waiting.pop()
            trials.append(Trial(mutant, born(mutant), time.monotonic() + longest))
        for trial in list(trials):
            code = _code(trial)
            if code is not None:
                trials.remove(trial)
                yield trial.mutant, code
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{len(waiting) + len(trials)} to go\r")
        time.sleep(0.02)


def _born(path: str, deaths: BinaryIO, mutant: Mutant) -> int:
    pid = os.fork()
    if pid:
        return pid
    os.setsid()  # what it starts ends with it
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    code = 1
    try:
        _load(path, mutant)
        tests = _Tests(deaths)
        options = ("-x", "-n0", "--assert=plain", "-p", "no:cacheprovider")
        code = int(pytest.main([*TESTS[path], *options], plugins=[tests]))
        code = code if tests.could_begin else _UNTRIED
    finally:
        os._exit(code)


def _load(path: str, mutant: Mutant) -> None:
    """Import the module as the mutant has it."""
    name = path.removesuffix(".py").replace("/", ".")
    assert name not in sys.modules, f"{name} is imported already"
    package, _, child = name.rpartition(".")
    parent = importlib.import_module(package)
    spec = importlib.util.spec_from_file_location(name, ROOT / path)
    assert spec is not None, path
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    setattr(parent, child, module)
    exec(compile(mutant.tree, path, "exec"), module.__dict__)


def _code(trial: Trial) -> int | None:
    """Return how a trial ended; None if it has not."""
    pid, status = os.waitpid(trial.pid, os.WNOHANG)
    if pid:
        return os.waitstatus_to_exitcode(status)
    if time.monotonic() < trial.ends_at:
        return None
    os.killpg(trial.pid, signal.SIGKILL)
    os.waitpid(trial.pid, 0)
    return -signal.SIGKILL


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.mutants", description="List the mutants that live.")
    parser.add_argument("modules", nargs="*", default=list(TESTS), metavar="MODULE", help=", ".join(TESTS))
    parser.add_argument("--lines", type=_span, metavar="FIRST-LAST", help="only these lines of the module")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="how many at once (%(default)s)")
    options = parser.parse_args()
    if unknown := set(options.modules) - set(TESTS):
        parser.error(f"no tests are known for {', '.join(sorted(unknown))}")
    return options


def _span(text: str) -> range:
    first, _, last = text.partition("-")
    return range(int(first), int(last or first) + 1)


if __name__ == "__main__":
    sys.exit(main())
