"""A copy of many files is run again, as nightly jobs do: all are duplicates, and nothing is downloaded."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from dataclasses import replace

import httpx
from azure.storage.blob import ContainerClient

from shared.arrivals import Arrival, Door
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient
from shared.settings import RECEIPTS
from store_on_upload.ingest import Ingest
from store_on_upload.receipts.container import read_receipt
from store_on_upload.receipts.document import Document
from store_on_upload.upload import handle
from tests.kit.files import Sample

# All of the thousand take a minute: RERUN_FILES=1000.
FILES = int(os.environ.get("RERUN_FILES", "100"))
AT_ONCE = 16


async def test_all_files_again(clients: Clients, service: str) -> None:
    """Each is sent once more, and the service's "there already" and the earlier receipt settle it."""
    files = {f"nightly/{number}.dcm": Sample().content for number in range(FILES)}
    async with DICOMwebClient(f"{service}/v2") as dicom:
        ingest = Ingest.over(replace(clients, dicom=dicom))
        await drop_and_handle(ingest, files)
        assert await verdicts(clients, files) == {"stored": FILES}
        await asyncio.to_thread(httpx.delete, f"{service}/admin/requests", trust_env=False)
        await drop_and_handle(ingest, files)
    assert await verdicts(clients, files) == {"duplicate": FILES}
    asked = (await asyncio.to_thread(httpx.get, f"{service}/admin/requests", trust_env=False)).json()
    assert {kind: count["requests"] for kind, count in asked.items() if count["requests"]} == {"store": FILES}
    document = await document_of(clients, "nightly/0.dcm")
    assert [str(one.verdict) for one in document.versions] == ["stored", "duplicate"]


async def drop_and_handle(ingest: Ingest, files: dict[str, bytes]) -> None:
    settings = ingest.clients.settings
    with ContainerClient.from_connection_string(str(settings.dicom_storage), settings.dicom_inbox_container) as inbox:
        turns = asyncio.Semaphore(AT_ONCE)

        async def one(name: str) -> None:
            async with turns:
                await asyncio.to_thread(inbox.upload_blob, name, files[name], overwrite=True)
                await handle(ingest, Arrival((name,), Door.BLOB))

        await asyncio.gather(*map(one, files))


async def verdicts(clients: Clients, files: dict[str, bytes]) -> dict[str, int]:
    return dict(Counter([str((await document_of(clients, name)).newest.verdict) for name in files]))


async def document_of(clients: Clients, name: str) -> Document:
    document = await read_receipt(clients, name)
    assert document is not None, f"no receipt in {RECEIPTS}"
    return document
