"""What component tests of the app's folders share: its clients, on a real storage account."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from shared.clients import Clients, _blobs, _queues
from shared.dicomweb import DICOMwebClient
from shared.settings import OWN_CONTAINERS, load
from shared.sources import Sources


@pytest.fixture
async def clients(azurite: str) -> AsyncIterator[Clients]:
    """What the app works with; no DICOM service answers."""
    settings = load({"DICOM_SERVICE_URL": "http://127.0.0.1:1/v2", "DICOM_STORAGE": azurite})
    async with (
        _blobs(settings) as storage,
        _queues(settings) as queues,
        DICOMwebClient(settings.dicom_service_url) as dicom,
    ):
        for name in (settings.dicom_inbox_container, *OWN_CONTAINERS):
            if not await storage.get_container_client(name).exists():
                await storage.create_container(name)
        yield Clients(settings, dicom, storage, queues, Sources(settings))
