"""The servers, and the browser with the pages of a viewer, that live tests share, and what is there to look at."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from local.ports import HOST
from local.stack import Stack
from tests.conftest import VIEWERS_ORIGIN

from . import npm_client
from .chromium import Chromium
from .installing import InstallationFailed
from .orthanc import Orthanc, find_or_fetch
from .viewed import Viewed, drop

STRANGERS_ORIGIN = "http://stranger.test"  # that the app knows nothing of
_FIRST_RUN_SECONDS = 600


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give each live test the time that the very first run takes to download others' programs, by a slow network."""
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.timeout(_FIRST_RUN_SECONDS))


@pytest.fixture(scope="session")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    """A running Orthanc, shared by the whole run: each test uses UIDs of its own."""
    try:
        program = find_or_fetch()
    except InstallationFailed as why:
        pytest.skip(f"no Orthanc: {why}")
    with Orthanc(program, tmp_path_factory.mktemp("orthanc")) as running:
        yield running


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A running browser to which a viewer's origin and a stranger's have the same pages, and that uses no proxy."""
    npm_client.install()
    with ThreadingHTTPServer((HOST, 0), partial(_Quiet, directory=str(Path(__file__).parent))) as server:
        names = (origin.removeprefix("http://") for origin in (VIEWERS_ORIGIN, STRANGERS_ORIGIN))
        rules = ", ".join(f"MAP {name}:80 {HOST}:{server.server_port}" for name in names)
        options = [f"--host-resolver-rules={rules}", "--no-proxy-server"]
        try:
            browser = Chromium(tmp_path_factory.mktemp("chromium"), *options)
        except InstallationFailed as why:
            pytest.skip(f"no Chromium: {why}")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            with browser:
                yield browser
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture(scope="module")
def viewed(stack: Stack) -> Viewed:
    """What viewers and clients find in the app; nobody changes it."""
    return drop(stack)
