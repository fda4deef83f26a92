"""Readiness at a real DICOM service: what is asked for is answered with partitions and without."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from shared.clients import Clients
from shared.dicomweb import Body, DICOMwebClient
from shared.health import readiness
from shared.health.readiness import Readiness
from shared.settings import ACCESS_AUDIT, REPLACED, RETENTION_RECORDS, RETENTION_STATE, Audit, OnConflict
from shared.sources import Sources
from tests.kit.service import Sample, running


async def is_ready(clients: Clients, url: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Return whether an app that works with the service at this address is ready."""
    async with DICOMwebClient(url) as dicom:
        at_service = replace(clients, dicom=dicom)
        monkeypatch.setattr(readiness, "get_clients", lambda: at_service)
        return await Readiness().is_ready()


@pytest.mark.parametrize("partitions", [True, False])
async def test_an_app_is_ready_with_partitions_and_without(
    clients: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, partitions: bool
) -> None:
    """Before anything is stored, and after."""
    with running(tmp_path, partitions=partitions) as root:
        assert await is_ready(clients, f"{root}/v2", monkeypatch)
        async with DICOMwebClient(f"{root}/v2") as dicom:
            bound = dicom.partition("ward-7") if partitions else dicom
            await bound.store_instance(Body.from_bytes(Sample().content))
        assert await is_ready(clients, f"{root}/v2", monkeypatch)


@pytest.mark.parametrize(
    ("changes", "missing"),
    [
        ({"enabled_functions": ("store_on_upload",)}, "dicom-inbox"),
        ({"enabled_functions": ("store_on_upload",), "on_conflict": OnConflict.REPLACE}, REPLACED),
        ({"enabled_functions": ("purge_study",)}, RETENTION_RECORDS),
        ({"enabled_functions": ("purge_study",)}, RETENTION_STATE),
        ({"enabled_functions": ("query_api",), "audit": Audit.REQUIRED}, ACCESS_AUDIT),
    ],
)
async def test_an_app_is_ready_where_its_containers_are(
    clients: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, object], missing: str
) -> None:
    """Each folder's own: without it the app is not ready, and it does not matter to the others."""
    nowhere = clients.container("no-such-container")
    storage = replace(clients.storage)
    storage._containers[missing] = nowhere
    with running(tmp_path) as root:
        for enabled, expected in ((changes, False), ({"enabled_functions": ("query_api",)}, True)):
            settings = clients.settings.model_copy(update=enabled)
            app = replace(clients, storage=storage, settings=settings, sources=Sources(settings))
            assert await is_ready(app, f"{root}/v2", monkeypatch) is expected


async def test_an_app_is_not_ready_at_another_version(
    clients: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address at which lookups would fail is told by readiness."""
    with running(tmp_path) as root:
        assert not await is_ready(clients, f"{root}/no-version", monkeypatch)
