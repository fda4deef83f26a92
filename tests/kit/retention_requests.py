"""What is asked of retention over HTTP, on a real socket: everything but the Functions host."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from azure.storage.blob.aio import BlobServiceClient
from starlette.routing import Route

import shared.clients
from purge_study import blueprint
from shared.auditing import auditor
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient
from shared.settings import OWN_CONTAINERS, load
from tests.conftest import APPROVAL_KEY
from tests.kit.immutability import immutable
from tests.kit.lookups import served, work_of
from tests.kit.purged import Purged

_FUNCTIONS = {
    "/retention/studies/{study}": blueprint.retention_study,
    "/retention/plans": blueprint.retention_plans,
    "/retention/plans/{plan}": blueprint.retention_plan,
    "/retention/plans/{plan}/approve": blueprint.retention_plan_approve,
    "/retention/plans/{plan}/withdraw": blueprint.retention_plan_withdraw,
    "/retention/vault/{study}/restore": blueprint.retention_restore,
}
APPROVED = {"x-approval-key": APPROVAL_KEY}


@dataclass
class Asked:
    """What a test works with.

    Args:
        clients: of the app, whose records are immutable.
        storage: the same blobs, all of which can be changed.
        http: asks the app.
        log: the app's own lines.
    """

    clients: Clients
    storage: BlobServiceClient
    http: httpx.AsyncClient
    log: pytest.LogCaptureFixture

    async def put(self, container: str, name: str, content: bytes) -> None:
        await self.storage.get_blob_client(container, name).upload_blob(content, overwrite=True)

    async def has(self, container: str, name: str) -> bool:
        return await self.clients.container(container).get_blob_client(name).exists()

    async def leave(self, purged: Purged) -> None:
        """Leave behind what a deletion does."""
        for (container, name), content in purged.blobs().items():
            await self.put(container, name, content)

    async def restore(self, purged: Purged, **headers: str) -> httpx.Response:
        """Ask for a study to be put back."""
        path, body = f"retention/vault/{purged.key.uid}/restore", {"requested_by": "A. Reader"}
        return await self.http.post(path, json=body, headers=APPROVED | headers, params={"partition": purged.partition})

    def requests(self) -> list[dict[str, Any]]:
        lines = [json.loads(record.message) for record in self.log.records if record.name == "dicom_dropbox"]
        return [line for line in lines if line["event"] == "request"]


def refusal(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json"
    return response.status_code, response.json()["code"]


@asynccontextmanager
async def asking(
    azurite: str, service: str, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture, **settings: str
) -> AsyncIterator[Asked]:
    """Serve the routes over a storage account and a DICOM service."""
    log.set_level(logging.INFO, "dicom_dropbox")
    given = {"DICOM_SERVICE_URL": f"{service}/v2", "DICOM_STORAGE": azurite, "APPROVAL_KEY": APPROVAL_KEY}
    with immutable(azurite) as (records, policy):
        loaded = load({**given, "RECORDS_STORAGE": records, "LEDGER_KEY": "the ledger's key, of tests", **settings})
        async with (
            BlobServiceClient.from_connection_string(azurite) as storage,
            aclosing(Clients.over(loaded, DICOMwebClient(loaded.dicom_service_url))) as clients,
        ):
            await _create_containers(clients)
            monkeypatch.setattr(shared.clients, "_clients", clients)
            monkeypatch.setattr(auditor, "_auditor", None)
            routes = [Route(path, work_of(one), methods=["GET", "POST"]) for path, one in _FUNCTIONS.items()]
            async with served(routes) as url, httpx.AsyncClient(base_url=url, timeout=20, trust_env=False) as http:
                yield Asked(clients, storage, http, log)
        assert set(policy.refused) <= {"PUT retention-records"}  # a second approval of a plan


async def _create_containers(clients: Clients) -> None:
    for name in (clients.settings.dicom_inbox_container, *OWN_CONTAINERS):
        if not await clients.container(name).exists():
            await clients.container(name).create_container()
