"""Mutation tests: is there a test for each thing that the code says? `python -m tests.mutants`, or `make mutants`.

Each mutant is a module with one thing changed: `<` for `<=`, `or` for `and`, a condition that always holds, a call
left out. The tests that coverage saw at its line run over it, in a copy of the project that has the mutant on disk, so
that processes which tests start have it too. A mutant that they let pass is a survivor, and is listed.

Results are appended to a file as they come, and a mutant that stands there is not tried again.
"""

from __future__ import annotations

import argparse
import ast
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from queue import SimpleQueue
from typing import Literal

import pytest

from tests.mutants.choosing import ROOT, Candidate, Suite, candidates
from tests.mutants.chosen import CHOSEN, DEADLY

_LINKED = (".venv", "local/node/node_modules")
_LEFT_OUT = shutil.ignore_patterns(".git", ".local", ".venv*", "node_modules", "__pycache__", ".*_cache")
_PYTEST = ("-m", "pytest", "-x", "-q", "-n0", "--assert=plain", "-p", "no:cacheprovider", "-p", "tests.mutants.chosen")
_TIMES_AS_LONG, _SECONDS_BESIDE = 5, 60  # as its tests take without a mutant: one may never end
Fate = Literal["killed", "survived", "untested"]


class _Laboratory:
    """Copies of the project, each for one mutant at a time."""

    def __init__(self, folder: Path, suite: Suite, workers: int) -> None:
        self._suite, self._folder = suite, folder
        self._copies: SimpleQueue[Path] = SimpleQueue()
        for number in range(workers):
            self._copies.put(_copy(folder / str(number)))

    def fate_of(self, candidate: Candidate) -> tuple[Fate, int, float]:
        """Return what became of a mutant, how many tests were to run, and how long they took."""
        began = time.monotonic()
        tests = self._suite.tests_of(candidate)
        if not tests:
            return "untested", 0, 0.0
        copy = self._copies.get()
        module = copy / candidate.path
        before = module.read_bytes()
        try:
            module.write_text(ast.unparse(candidate.mutant.tree))
            code = self._run(copy, candidate.path, tests)
        finally:
            module.write_bytes(before)
            self._copies.put(copy)
        fate: Fate = "survived" if code == pytest.ExitCode.OK else "killed"
        return fate, len(tests), time.monotonic() - began

    def _run(self, copy: Path, path: str, tests: Sequence[str]) -> int | None:
        """Return pytest's exit code; None if it had to be ended."""
        chosen, deadly = copy / ".chosen", self._folder / path.replace("/", ".")
        chosen.write_text("\n".join(tests))
        deadly.touch()
        environment = {**os.environ, CHOSEN: str(chosen), DEADLY: str(deadly), "PYTHONDONTWRITEBYTECODE": "1"}
        files = dict.fromkeys(test.partition("::")[0] for test in tests)
        longest = self._suite.seconds(tests) * _TIMES_AS_LONG + _SECONDS_BESIDE
        command = [sys.executable, *_PYTEST, *files]
        running = subprocess.Popen(
            command,
            cwd=copy,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        try:
            return running.wait(longest)
        except subprocess.TimeoutExpired:
            return None
        finally:
            with suppress(ProcessLookupError):
                os.killpg(running.pid, signal.SIGKILL)
            running.wait()


def _copy(folder: Path) -> Path:
    shutil.copytree(ROOT, folder, ignore=_LEFT_OUT, symlinks=True)
    for name in _LINKED:
        if (ROOT / name).exists():
            (folder / name).symlink_to((ROOT / name).resolve())
    return folder


def main() -> int:
    """Try the mutants, list the survivors, and say how many of each folder they are; return 1 if there are any."""
    options = _options()
    chosen = candidates(options.places, options.sample, options.seed)
    results: Path = options.results
    results.parent.mkdir(parents=True, exist_ok=True)
    known = dict(map(json.loads, results.read_text().splitlines())) if results.exists() else {}
    waiting = [each for each in chosen if each.name not in known]
    ends_at = time.monotonic() + 60 * options.minutes
    with tempfile.TemporaryDirectory() as name, results.open("a") as written:
        laboratory = _Laboratory(Path(name), Suite(), options.workers)

        def attempt(candidate: Candidate) -> None:
            if time.monotonic() > ends_at:
                return
            fate, tests, seconds = laboratory.fate_of(candidate)
            known[candidate.name] = fate
            written.write(json.dumps([candidate.name, fate], ensure_ascii=False) + "\n")
            written.flush()
            print(f"{fate} {candidate.name}    # {tests} tests, {seconds:.0f} s", flush=True)

        with ThreadPoolExecutor(options.workers) as pool:
            list(pool.map(attempt, waiting))
    return _summary([(each, known.get(each.name)) for each in chosen])


def _summary(fates: Sequence[tuple[Candidate, str | None]]) -> int:
    folders: dict[str, list[str | None]] = defaultdict(list)
    for candidate, fate in fates:
        folders[candidate.path.split("/")[0]].append(fate)
    for folder, found in folders.items():
        tried = [fate for fate in found if fate]
        lived = len(tried) - tried.count("killed")
        print(f"{folder}: {len(tried)} of {len(found)} mutants tried, {lived} lived")
    return 1 if any(fate != "killed" for _, fate in fates) else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.mutants", description="List the mutants that live. Needs what `make coverage` wrote."
    )
    parser.add_argument("places", nargs="+", metavar="PLACE", help="modules or folders, such as purge_study/policy")
    parser.add_argument("--sample", type=int, metavar="N", help="try so many of them, chosen by --seed")
    parser.add_argument("--seed", type=int, default=1, help="which sample (%(default)s)")
    parser.add_argument("--minutes", type=float, default=1e6, help="begin no mutant after so long")
    parser.add_argument("--results", type=Path, default=ROOT / ".local/mutants.jsonl", help="where results are kept")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="how many at once (%(default)s)")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
