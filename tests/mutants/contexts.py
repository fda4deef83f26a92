"""A plugin of pytest: records which test runs each line of the app, and how long each test takes.

Coverage's contexts are the tests' node ids. What a fixture of a module or of the session runs, and what processes do
that it starts, has the fixture as its context; `Tests` says which tests use it.
"""

from __future__ import annotations

import json
import os
import uuid
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import coverage
import pytest

FOLDER = Path(__file__).resolve().parents[2] / ".local/coverage"
CONTEXT = "COVERAGE_CONTEXT"


class _Recorder:
    """Tells coverage which test runs, here and in the processes that it starts."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = defaultdict(float)
        self._fixtures: dict[str, list[str]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._fixtures[item.nodeid] = [context for context in _wide_fixtures(item) if context]
        with _context(item.nodeid):
            return (yield)

    @pytest.hookimpl(wrapper=True)
    def pytest_fixture_setup(self, fixturedef: Any, request: Any) -> Iterator[None]:
        if fixturedef.scope == "function":
            return (yield)
        with _context(_fixture(fixturedef.argname, request.node.nodeid)):
            return (yield)

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._seconds[report.nodeid] += report.duration

    def pytest_sessionfinish(self) -> None:
        tests = {name: [self._seconds[name], fixtures] for name, fixtures in self._fixtures.items()}
        if tests:
            FOLDER.mkdir(parents=True, exist_ok=True)
            (FOLDER / f"tests-{uuid.uuid4().hex}.json").write_text(json.dumps(tests))


@contextmanager
def _context(name: str) -> Iterator[None]:
    measuring, before = coverage.Coverage.current(), os.environ.get(CONTEXT, "")
    os.environ[CONTEXT] = name
    if measuring:
        measuring.switch_context(name)
    try:
        yield
    finally:
        os.environ[CONTEXT] = before
        if measuring:
            measuring.switch_context(before)


def _wide_fixtures(item: pytest.Item) -> Iterator[str]:
    definitions = getattr(getattr(item, "_fixtureinfo", None), "name2fixturedefs", {})
    for name, found in definitions.items():
        scope = found[-1].scope
        if scope == "session":
            yield _fixture(name, "")
        elif scope == "module":
            yield _fixture(name, item.nodeid.partition("::")[0])


def _fixture(name: str, where: str) -> str:
    return f"fixture {name} of {where or 'the session'}"


def pytest_configure(config: pytest.Config) -> None:
    config.pluginmanager.register(_Recorder())
