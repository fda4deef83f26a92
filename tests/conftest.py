"""What the tests of every kind share, and the guard against tests that skip unnoticed."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable, Iterator
from fnmatch import fnmatchcase
from functools import cache
from pathlib import Path
from typing import Any

import httpx
import pytest
from _pytest.terminal import TerminalReporter
from hypothesis import settings
from pydicom.uid import PYDICOM_ROOT_UID

from local.azurite import Azurite
from local.functions_host.workers import loop_factory
from local.ports import free_ports
from local.stack import Stack

# The same examples every time, so that a red run is red again; and no deadlines, which a busy machine misses.
settings.register_profile("suite", deadline=None, derandomize=True, print_blob=True)
settings.load_profile("suite")

APPROVAL_KEY = "approved by the tests"
REPLAY_KEY = "replayed by the tests"
VIEWERS_ORIGIN = "http://viewer.test"  # that pages of tests come from
MADE_UID = re.compile(rf"{re.escape(PYDICOM_ROOT_UID)}\d+")
ALLOWED_SKIPS = Path(__file__).with_name("allowed_skips.txt")


@pytest.fixture(scope="session")
def anyio_backend() -> tuple[str, dict[str, Any]]:
    """The app runs on asyncio, and the tests on the event loop that Azure's worker has on this Python."""
    return "asyncio", {"loop_factory": loop_factory()}


@pytest.fixture(scope="session", autouse=True)
def roots_read_once() -> Iterator[None]:
    """Have the public root certificates read once: 25 ms of work, which each client of httpx would do anew."""
    create = cache(httpx.create_ssl_context)
    with pytest.MonkeyPatch.context() as patch:
        for place in ("httpx", "httpx._transports.default"):
            patch.setattr(f"{place}.create_ssl_context", create)
        yield


@pytest.fixture(scope="session")
def free_port() -> Callable[[], int]:
    """A function that returns a port of the loopback interface that is free."""
    return lambda: free_ports(1)


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The connection string of a real Azurite with a folder of its own, shared by all that this process runs."""
    with Azurite(tmp_path_factory.mktemp("azurite"), in_memory=True) as running:
        yield running.connection_string


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """The whole local stack on free ports, with function keys on and a viewer allowed, shared by a module's tests.

    It ends with them, for it costs more to keep than to start: it looks for work four times a second.
    Its logs are `stack.folder / "*.log"`.
    """
    settings = {"APPROVAL_KEY": APPROVAL_KEY, "REPLAY_KEY": REPLAY_KEY}
    folder = tmp_path_factory.mktemp("stack")
    cors = [VIEWERS_ORIGIN]
    with Stack(folder, auth=True, cors=cors, poll_seconds=0.25, settings=settings, in_memory=True) as running:
        yield running


@pytest.fixture(scope="session")
def partitioned_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Another one, whose DICOM service has partitions; each test has some of its own."""
    folder = tmp_path_factory.mktemp("partitioned")
    # Nothing is dropped there: it need not look for work.
    with Stack(folder, auth=True, poll_seconds=5, dicom_options=["--partitions"], in_memory=True) as running:
        yield running


def pytest_configure() -> None:
    """Hear Ctrl-C even where a shell began this in its background: what tests start inherits that, and is sent it."""
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_make_parametrize_id(val: object) -> str | None:
    """Name no test by a UID made just now: the processes that share the tests have to agree on their names."""
    return MADE_UID.sub("uid", val) if isinstance(val, str) and MADE_UID.search(val) else None


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail the run if a test was skipped that is not in the list."""
    if _unlisted_skips(session.config) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: TerminalReporter, config: pytest.Config) -> None:
    """Say which tests those are."""
    for node, reason in _unlisted_skips(config):
        terminalreporter.write_line(f"SKIP NOT IN {ALLOWED_SKIPS.name}: {node} | {reason}", red=True)


def _unlisted_skips(config: pytest.Config) -> list[tuple[str, str]]:
    reporter = config.pluginmanager.get_plugin("terminalreporter")
    reports = reporter.stats.get("skipped", []) if reporter else []
    skipped = [(report.nodeid, report.longrepr[2].removeprefix("Skipped: ")) for report in reports]
    allowed = [
        tuple(part.strip() for part in line.split("|", 1))
        for line in ALLOWED_SKIPS.read_text().splitlines()
        if line.strip() and not line.startswith("#")
    ]
    return [skip for skip in skipped if not any(_matches(skip, pattern) for pattern in allowed)]


def _matches(skip: tuple[str, ...], pattern: tuple[str, ...]) -> bool:
    return len(skip) == len(pattern) and all(map(fnmatchcase, skip, pattern))
