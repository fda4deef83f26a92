"""Mutation tests: is there a test for each thing that the code says? `python -m bench.mutants`, or `make mutants`.

Each mutant is the module with one thing changed: `<` for `<=`, `or` for `and`, a condition that always holds, a call
left out. The module's tests run over it. A mutant that they let pass is a survivor, and is listed.

A mutant lives in a process of its own, forked from this one, and never on disk. Tests that start processes of their
own see the module as it is.
"""

from __future__ import annotations

import argparse
import ast
import importlib
import importlib.util
import math
import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from bench.mutations import Mutant, mutants_of

ROOT = Path(__file__).parent.parent
HARMLESS = Path(__file__).with_name("harmless_mutants.txt")
TIMES_AS_LONG = 5  # as the tests take of the module as it is, a mutant's may take: one may never end
# What the tests import and no mutant changes: each process is born with it.
PRELOADED = ("hypothesis", "pydicom", "shared.clients", "local.stack", "tests.component.dicom_service.support")
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
_LIST_TESTS = ("tests/unit/test_lists.py",)
TESTS = {
    "purge_study/policy/policy.py": _POLICY_TESTS,
    "purge_study/policy/conditions.py": _POLICY_TESTS,
    "purge_study/policy/dates.py": _POLICY_TESTS,
    "purge_study/policy/known.py": _POLICY_TESTS,
    "purge_study/executing/execute.py": _EXECUTOR_TESTS,
    "purge_study/executing/looking.py": _EXECUTOR_TESTS,
    "purge_study/executing/vault.py": _EXECUTOR_TESTS,
    "purge_study/executing/contents.py": _EXECUTOR_TESTS,
    "purge_study/executing/resolving.py": _EXECUTOR_TESTS,
    "purge_study/lists/sheet.py": _LIST_TESTS,
    "purge_study/lists/cells.py": _LIST_TESTS,
    "purge_study/lists/holds.py": (*_LIST_TESTS, "tests/unit/test_list_memory.py"),
    "purge_study/lists/anchors.py": _LIST_TESTS,
    "purge_study/lists/list_memory.py": ("tests/unit/test_list_memory.py",),
}


@dataclass(frozen=True)
class Trial:
    """A mutant whose tests run."""

    mutant: Mutant
    pid: int
    ends_at: float


def main() -> int:
    """Try all mutants, list the survivors and return 1 if there are any, 2 if the tests fail by themselves."""
    options = _options()
    for name in PRELOADED:
        importlib.import_module(name)
    survivors, harmless = 0, _harmless()
    for path in options.modules:
        source = (ROOT / path).read_text()
        original, began = Mutant(0, "as it is", ast.parse(source)), time.monotonic()
        if not any(_try(path, [original], 1, math.inf)):
            print(f"{path}: its tests fail as it is", file=sys.stderr)
            return 2
        mutants = [each for each in mutants_of(source) if options.lines is None or each.line in options.lines]
        mutants = [each for each in mutants if _named(path, source, each) not in harmless]
        mutants.sort(key=lambda each: each.line)
        longest = TIMES_AS_LONG * (time.monotonic() - began)
        survivors += _report(path, source, mutants, options.workers, longest)
    return 1 if survivors else 0


def _report(path: str, source: str, mutants: Sequence[Mutant], workers: int, longest: float) -> int:
    found = 0
    for mutant in _try(path, mutants, workers, longest):
        found += 1
        print(f"{_named(path, source, mutant)}    # line {mutant.line}", flush=True)
    print(f"{path}: {len(mutants)} mutants, {found} survived", flush=True)
    return found


def _named(path: str, source: str, mutant: Mutant) -> str:
    return f"{path}: {source.splitlines()[mutant.line - 1].strip()}: {mutant.change}"


def _harmless() -> set[str]:
    """Return the mutants that somebody has looked at and found to do no harm."""
    return {line.strip() for line in HARMLESS.read_text().splitlines() if not line.startswith("#")}


def _try(path: str, mutants: Sequence[Mutant], workers: int, longest: float) -> Iterator[Mutant]:
    """Yield those that survive so many seconds of tests, or fewer."""
    waiting, trials = list(reversed(mutants)), list[Trial]()
    while waiting or trials:
        while waiting and len(trials) < workers:
            mutant = waiting.pop()
            trials.append(Trial(mutant, _born(path, mutant), time.monotonic() + longest))
        for trial in list(trials):
            code = _code(trial)
            if code is not None:
                trials.remove(trial)
                if code == pytest.ExitCode.OK:
                    yield trial.mutant
        if sys.stderr.isatty():
            sys.stderr.write(f"\r\x1b[K{path}: {len(waiting) + len(trials)} to go\r")
        time.sleep(0.02)


def _born(path: str, mutant: Mutant) -> int:
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
        code = int(pytest.main([*TESTS[path], "-x", "-n0", "--assert=plain", "-p", "no:cacheprovider"]))
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
    parser = argparse.ArgumentParser(prog="python -m bench.mutants", description="List the mutants that live.")
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
