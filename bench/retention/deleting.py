"""A night that deletes, over Azurite and the stand-in of the DICOM service, and what it asks of both."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

import httpx
from azure.core.pipeline.transport import AioHttpTransport
from azure.core.rest import HttpRequest
from azure.storage.blob import BlobServiceClient

from bench.programs import ROOT, check_runs, wait_until
from bench.retention.policy import ALL_IS_DUE
from local.azurite import Azurite
from local.ports import HOST, free_ports
from local.soak.plan import small_instance
from purge_study import night
from purge_study.night import run_night
from purge_study.preparing import prepare
from purge_study.rulebook.rulebook import Rulebook
from purge_study.run import Run
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient
from shared.settings import OWN_CONTAINERS, RETENTION_POLICY, load

# What is asked about a study before and after its deletion, and what copies it. All else is beyond.
RECHECK = ("metadata", "search")
VAULT = ("retrieve",)
INSTANCES_OF_A_STUDY = 10


@dataclass(frozen=True)
class Deleted:
    """What it took to delete some studies.

    Args:
        studies: how many are gone.
        dicom: requests to the DICOM service, by kind.
        storage: requests to storage, by service: `blob`, `table`.
    """

    studies: int
    dicom: Mapping[str, int]
    storage: Mapping[str, int]

    def requests(self, *kinds: str) -> float:
        """Return the requests of some kinds to the DICOM service for each study."""
        return sum(self.dicom[kind] for kind in kinds) / self.studies

    @property
    def beyond(self) -> float:
        """The requests to the DICOM service for each study that neither check nor copy it."""
        return self.requests(*(self.dicom.keys() - {*RECHECK, *VAULT}))


@contextmanager
def archive(folder: Path) -> Iterator[tuple[str, str]]:
    """Run Azurite and the stand-in; give the account's connection string, and the service's address."""
    port = free_ports(1)
    command = [sys.executable, "-m", "local.dicom_service", "--port", str(port), "--data", str(folder / "dicom")]
    command.append("--no-auth")
    with (
        Azurite(folder) as azurite,
        subprocess.Popen(command, cwd=ROOT, stderr=subprocess.DEVNULL, start_new_session=True) as service,
    ):
        try:
            url, name = f"http://{HOST}:{port}/health/check", "the DICOM service"
            wait_until(lambda: _answers(url), name, lambda: check_runs(service, name))
            _prepare(azurite.connection_string)
            yield azurite.connection_string, f"http://{HOST}:{port}"
        finally:
            service.terminate()


def delete_by_nights(storage: str, service: str, studies: int, first: int = 0) -> Deleted:
    """Store studies that are due, and have nights delete them.

    Args:
        storage: connection string.
        service: address.
        studies: how many.
        first: of the studies' numbers.
    """
    _store(service, studies, first)
    settings = {"LEDGER_KEY": "of the measurement only", "PURGE_MODE": "delete", "FEED_LAG_SECONDS": "0"}
    return asyncio.run(_nights(storage, service, settings, studies))


def delete_by_loop(service: str, studies: int, first: int) -> Deleted:
    """Store studies, and delete one after the other, with nothing else: no look, no copy, no record."""
    uids = _store(service, studies, first)
    return asyncio.run(_loop(service, uids))


async def _nights(storage: str, service: str, settings: dict[str, str], studies: int) -> Deleted:
    """Spend two nights, the first of which is a report; what is asked counts once the second one's plan is made."""
    loaded = load({"DICOM_SERVICE_URL": f"{service}/v2", "DICOM_STORAGE": storage, **settings})
    async with aclosing(Clients.over(loaded, DICOMwebClient(loaded.dicom_service_url))) as clients:
        await run_night(clients)
        with _counting_storage() as counted, _once_planned(service, counted):
            await run_night(clients)
    return _deleted(service, studies, counted)


async def _loop(service: str, uids: list[str]) -> Deleted:
    async with aclosing(DICOMwebClient(f"{service}/v2")) as dicom:
        _clear(service)
        for uid in uids:
            await dicom.delete_study(study_instance_uid=uid)
    return _deleted(service, len(uids), {})


def _deleted(service: str, studies: int, storage: Mapping[str, int]) -> Deleted:
    counts: dict[str, dict[str, int]] = _ask("GET", f"{service}/admin/requests").json()
    assert not _ask("GET", f"{service}/v2/studies").content, "some studies were not deleted"
    return Deleted(studies, {kind: count["requests"] for kind, count in counts.items()}, storage)


@contextmanager
def _once_planned(service: str, counted: Counter[str]) -> Iterator[None]:
    """Count anew once a night's plan is made."""

    async def prepared(run: Run, rulebook: Rulebook) -> Any:
        decision = await prepare(run, rulebook)
        _clear(service)
        counted.clear()
        return decision

    with patch.object(night, "prepare", prepared):
        yield


@contextmanager
def _counting_storage() -> Iterator[Counter[str]]:
    """Count what the SDKs send meanwhile."""
    counted: Counter[str] = Counter()
    send = AioHttpTransport.send

    async def counting(transport: AioHttpTransport, request: HttpRequest, **options: Any) -> Any:
        is_table = "RetentionLedger" in request.url or "$batch" in request.url or "/Tables" in request.url
        counted["table" if is_table else "blob"] += 1
        return await send(transport, request, **options)

    with patch.object(AioHttpTransport, "send", counting):
        yield counted


def _store(service: str, studies: int, first: int) -> list[str]:
    headers = {"Accept": "application/dicom+json", "Content-Type": "application/dicom"}
    for number in range(first * INSTANCES_OF_A_STUDY, (first + studies) * INSTANCES_OF_A_STUDY):
        content, _ = small_instance(number)
        _ask("POST", f"{service}/v2/studies", content=content, headers=headers)
    found = _ask("GET", f"{service}/v2/studies?limit=200").json()
    return [study["0020000D"]["Value"][0] for study in found]


def _prepare(storage: str) -> None:
    with BlobServiceClient.from_connection_string(storage) as blobs:
        for name in OWN_CONTAINERS:
            blobs.create_container(name)
        blobs.get_blob_client(RETENTION_POLICY, "policy.toml").upload_blob(ALL_IS_DUE.encode())


def _clear(service: str) -> None:
    _ask("DELETE", f"{service}/admin/requests")


def _ask(method: str, url: str, **options: Any) -> httpx.Response:
    return httpx.request(method, url, timeout=60, trust_env=False, **options).raise_for_status()


def _answers(url: str) -> bool:
    try:
        return _ask("GET", url).is_success
    except httpx.HTTPError:
        return False
