"""The servers, and the browser, that live tests share, and what is there to look at."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from local.stack import Stack
from tests.conftest import VIEWERS_ORIGIN

from . import chromium as browser
from . import npm_client, viewer_pages
from .chromium import Chromium
from .installing import InstallationFailed
from .orthanc import Orthanc, find_or_fetch
from .viewed import Viewed, drop

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


@pytest.fixture(scope="session")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    """A running browser to which a viewer's origin and a stranger's are there, with the same pages."""
    try:
        program = browser.find_or_fetch()
    except InstallationFailed as why:
        pytest.skip(f"no Chromium: {why}")
    npm_client.install()
    with viewer_pages.serving() as port:
        options = viewer_pages.options(port, VIEWERS_ORIGIN, viewer_pages.STRANGERS_ORIGIN)
        with Chromium(program, tmp_path_factory.mktemp("chromium"), *options) as running:
            yield running


@pytest.fixture(scope="module")
def viewed(stack: Stack) -> Viewed:
    """What viewers and clients find in the app; nobody changes it."""
    return drop(stack)
