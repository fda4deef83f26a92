"""The service that the contract is held against: that of CONTRACT_URL, or this project's stand-in, run as a process.

The one place that knows of the stand-in. It runs twice, for partitions cannot be switched on later.
"""

from __future__ import annotations

import os
import secrets
import sys
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import httpx
import pytest
from _pytest.terminal import TerminalReporter

from local import process, tokens
from local.ports import HOST, free_ports
from tests.contract.report import Run
from tests.contract.service import Bearer, Service
from tests.contract.target import FEATURES, PARTITION, Target, Unusable, from_environment

RUN = pytest.StashKey[Run]()
TARGET = pytest.StashKey[Target | None]()
START_SECONDS = 30
FOLDER = Path(__file__).parent


def pytest_configure(config: pytest.Config) -> None:
    """Make known the markers, and the report of this run."""
    config.addinivalue_line("markers", "source(text): where the fact that a test holds is from")
    config.addinivalue_line("markers", "disputed(text): who says otherwise; the test follows its source")
    config.addinivalue_line("markers", "needs(feature): what a service has to have, see FEATURES")
    config.stash[RUN] = Run()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the service cannot do, and keep in mind to say so."""
    config.stash[TARGET] = target = _target()
    if target is None:
        return
    left_out = [item for item in items if _missing(item, target)]
    items[:] = [item for item in items if item not in left_out]
    config.hook.pytest_deselected(items=left_out)
    config.stash[RUN].not_run.update((item.path.name, FEATURES[_missing(item, target)]) for item in left_out)


def _target() -> Target | None:
    try:
        return from_environment()
    except Unusable as problem:
        pytest.exit(f"{problem}.", returncode=pytest.ExitCode.USAGE_ERROR)


def _missing(item: pytest.Item, target: Target) -> str:
    """Return the first feature that a test needs and the service has not, or nothing."""
    needed = (marker.args[0] for marker in item.iter_markers("needs"))
    return next((feature for feature in needed if feature not in target.features), "")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Turn a failure into a line of the table; against another's service there are no tracebacks.

    A test that skips itself is told as one that was not run.
    """
    report = yield
    if report.skipped and call.excinfo is not None:
        item.config.stash[RUN].not_run[item.path.name, str(call.excinfo.value)] += 1
    if report.failed and call.excinfo is not None:
        item.config.stash[RUN].add(item, call.excinfo.value)
        if item.config.stash[TARGET] is not None:
            report.longrepr = str(call.excinfo.value)
    return report


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that left something behind."""
    if session.config.stash[RUN].made.leftovers and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Print the report."""
    run = config.stash[RUN]
    lines = [*run.lines(), *([run.totals()] if config.stash.get(TARGET, None) else [])]
    if lines:
        terminalreporter.section("contract")
    for line in lines:
        terminalreporter.write_line(line)


@pytest.fixture(scope="session")
def run(pytestconfig: pytest.Config) -> Iterator[Run]:
    """The run, at whose end everything made is removed, also after failures and Ctrl-C."""
    current = pytestconfig.stash[RUN]
    yield current
    try:
        current.made.remove()
    finally:
        current.made.close()
    if hasattr(pytestconfig, "workerinput"):  # of pytest-xdist, which hears of failures and of no report at the end
        assert current.made.leftovers == []


@pytest.fixture(scope="session")
def start(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Target]]:
    """A function that starts the stand-in with options, and ends it after the session."""
    with ExitStack() as running:
        yield lambda *options: running.enter_context(_stand_in(tmp_path_factory.mktemp("service"), *options))


@pytest.fixture(scope="session")
def target(pytestconfig: pytest.Config, start: Callable[..., Target]) -> Target:
    """The service of most tests; its partitions, if it is another's, may be on."""
    return pytestconfig.stash[TARGET] or start()


@pytest.fixture(scope="session")
def service(target: Target, run: Run) -> Service:
    """A client of it with all rights."""
    return target.service(run.made)


@pytest.fixture(scope="session")
def partitioned(pytestconfig: pytest.Config, start: Callable[..., Target], run: Run) -> Service:
    """A client of one partition of a service that has partitions."""
    target = pytestconfig.stash[TARGET] or start("--partitions")
    return Service(target.url, target.auth, run.made, partition=PARTITION)


@contextmanager
def _stand_in(folder: Path, *options: str) -> Iterator[Target]:
    secret, port = secrets.token_hex(32), free_ports(1)
    command = [sys.executable, "-m", "local.dicom_service", "--port", str(port), "--data", str(folder), *options]
    environment = {**os.environ, "LOCAL_TOKEN_SECRET": secret}
    part = process.Part("dicom_service", command, log=folder.with_suffix(".log"), environment=environment)
    try:
        _wait(part, f"http://{HOST}:{port}/health/check")
        owner, reader = Bearer(lambda: tokens.issue(secret)), Bearer(lambda: tokens.issue(secret, role="reader"))
        yield Target(f"http://{HOST}:{port}/v2", owner, reader, frozenset(FEATURES) - {"partitions"})
    finally:
        process.stop([part])


def _wait(part: process.Part, url: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        part.check()
        try:
            httpx.get(url)
        except httpx.ConnectError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return
