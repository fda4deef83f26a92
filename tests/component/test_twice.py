"""What comes twice, to one process or to two: one verdict, one line in the log."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from shared.arrivals import Arrival, Door
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient
from store_on_upload.ingest import Ingest
from store_on_upload.receipts.container import read_receipt
from store_on_upload.setback import STOPPED
from store_on_upload.upload import handle
from store_on_upload.waiting.put_off import put_off
from tests.kit.files import Sample, new_uid


@pytest.fixture
async def processes(clients: Clients, service: str) -> AsyncIterator[tuple[Ingest, Ingest]]:
    """Two instances of the app, which know nothing of each other."""
    async with DICOMwebClient(f"{service}/v2") as dicom:
        yield Ingest.over(replace(clients, dicom=dicom)), Ingest.over(replace(clients, dicom=dicom))


@pytest.mark.parametrize("verdict", ["stored", "rejected", "ignored"])
@pytest.mark.parametrize("door", [Door.BLOB, Door.SWEEP])
async def test_one_line_for_a_verdict(
    processes: tuple[Ingest, Ingest], caplog: pytest.LogCaptureFixture, verdict: str, door: Door
) -> None:
    """However often and wherever its event is handled afterwards."""
    caplog.set_level(logging.INFO, "dicom_dropbox")
    one, other = processes
    name = await dropped(one, verdict)
    for ingest in (one, other, one, other):
        await handle(ingest, Arrival((name,), door))
    assert decided(caplog) == [verdict]
    assert await versions_of(one, name) == [verdict]


async def test_a_blob_that_is_deleted_while_it_waits(
    processes: tuple[Ingest, Ingest], caplog: pytest.LogCaptureFixture
) -> None:
    """Its receipt is closed, and its end is told, once."""
    caplog.set_level(logging.INFO, "dicom_dropbox")
    name = await dropped(processes[0], "stored")
    await put_off(processes[0], Arrival((name,), Door.BLOB), STOPPED)
    await processes[0].clients.inbox.delete_blob(name)
    for ingest in processes:
        await handle(ingest, Arrival((name,), Door.DEFERRAL))
    assert decided(caplog) == ["ignored"]
    assert await versions_of(processes[0], name) == ["ignored"]


async def dropped(ingest: Ingest, verdict: str) -> str:
    """Drop a blob that is to have a verdict, and return its name."""
    suffix = ".txt" if verdict == "ignored" else ".dcm"
    name = f"{new_uid()}{suffix}"
    content = Sample().content if verdict == "stored" else b"no DICOM" * 50
    await ingest.clients.inbox.upload_blob(name, content)
    return name


def decided(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Return the verdicts that were logged, in their order."""
    lines = [json.loads(record.message) for record in caplog.records if record.name == "dicom_dropbox"]
    return [line["verdict"] for line in lines if line["event"] == "blob_decided"]


async def versions_of(ingest: Ingest, name: str) -> list[str]:
    document = await read_receipt(ingest.clients, name)
    assert document is not None
    return [str(one.verdict) for one in document.versions]
