"""What component tests of the app's folders share: a DICOM service, and the app's clients on a real storage account."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing

import pytest

from shared.clients import Clients
from shared.dicomweb import DICOMwebClient
from shared.purged import pointer_folder
from shared.settings import OWN_CONTAINERS, RETENTION_STATE, load
from tests.kit.drops import World
from tests.kit.lookups import Start, lookups
from tests.kit.runs import clear
from tests.kit.service import running


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a DICOM service, empty at first, that the tests of a module share."""
    with running(tmp_path_factory.mktemp("dicom")) as root:
        yield root


@pytest.fixture(scope="module")
def world(azurite: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The app in processes of its own, whose ways to storage and to the DICOM service can fail."""
    with World.over(azurite, tmp_path_factory.mktemp("dicom")) as world:
        yield world


@pytest.fixture
async def clients(azurite: str) -> AsyncIterator[Clients]:
    """What the app works with; no DICOM service answers."""
    settings = load({"DICOM_SERVICE_URL": "http://127.0.0.1:1/v2", "DICOM_STORAGE": azurite})
    async with aclosing(Clients.over(settings, DICOMwebClient(settings.dicom_service_url))) as clients:
        for name in (settings.dicom_inbox_container, *OWN_CONTAINERS):
            if not await clients.container(name).exists():
                await clients.container(name).create_container()
        yield clients


@pytest.fixture
async def nothing_purged(clients: Clients) -> None:
    """Whatever tests before have purged, which keeps out every file whose study cannot be told, is forgotten."""
    await clear(clients.container(RETENTION_STATE), pointer_folder(None))


@pytest.fixture
def start(azurite: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Start:
    """Start the lookups over a service that follows scripts, with these settings."""
    return lambda *scripts, **settings: lookups(azurite, monkeypatch, caplog, *scripts, **settings)
