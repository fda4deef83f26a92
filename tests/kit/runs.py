"""Runs of ingest over a real storage account and a real stand-in of the DICOM service, one process's or several."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from typing import Any

import httpx
import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob.aio import ContainerClient

from local.dicom_service.change_feed import timestamps
from shared.arrivals import Arrival, Door, Renamed
from shared.clients import Clients
from shared.dicomweb import Body, DICOMwebClient
from shared.dicomweb.partitions import DEFAULT_PARTITION
from shared.queues import ARRIVALS, Queues
from shared.settings import QUARANTINE, QUARANTINE_REASONS, REPLACED, OnConflict, Settings
from shared.sources import Source, Sources
from store_on_upload.doors.messages import handle_message
from store_on_upload.ingest import Ingest
from store_on_upload.receipts.container import read_receipt
from store_on_upload.receipts.receipt import Receipt
from store_on_upload.storing.uids import Uids
from store_on_upload.upload import handle
from tests.kit.files import Sample

_MOST_RUNS = 50


@dataclass(frozen=True)
class Place:
    """A storage account and a DICOM service, with what an operator could see of both."""

    clients: Clients
    root: str

    def process(self) -> Ingest:
        """Return what one process of the app works with: it knows nothing of any other's."""
        return Ingest.over(self.clients)

    def with_settings(self, *, partition: str | None = None, **changes: Any) -> Place:
        """Return the same place, with the app's settings changed, and all files going to one partition."""
        settings: Settings = self.clients.settings.model_copy(update=changes)
        sources = (Source(name="all", prefix="", partition=partition),) if partition else ()
        return replace(self, clients=replace(self.clients, settings=settings, sources=Sources(settings, sources)))

    async def drop(self, name: str, content: bytes) -> str:
        """Upload a file, over one of the same name; return its ETag."""
        uploaded = await self.clients.inbox.upload_blob(name, content, overwrite=True)
        return str((await uploaded.get_blob_properties()).etag).strip('"')

    async def settled(self, name: str, ingest: Ingest | None = None) -> Receipt:
        """Run a blob until it has its verdict, each time as if its message had come back at once."""
        ingest = ingest or self.process()
        await handle(ingest, Arrival((name,), Door.BLOB))
        for _ in range(_MOST_RUNS):
            receipt = await self.receipt(name)
            if receipt.is_final:
                return receipt
            await handle(ingest, Arrival((name,), Door.DEFERRAL))
            await asyncio.sleep(0.02)
        raise AssertionError(f"still waiting: {receipt.reason}")

    async def receipt(self, name: str) -> Receipt:
        """Return the receipt of what a blob is now."""
        return await newest_receipt(self.clients, name)

    async def put(self, sample: Sample, content: bytes | None = None, *, partition: str | None = None) -> None:
        """Store an instance, or replace it, behind the app's back."""
        dicom = self.clients.dicom_in(partition)
        body = Body.from_bytes(sample.content if content is None else content)
        assert (await dicom.store_instance(body, replace=True)).outcome_of(sample.sop).is_stored

    async def stored(self, sample: Sample, partition: str | None = None) -> bytes:
        """Return what the service has."""
        dicom = self.clients.dicom_in(partition)
        assert len(await dicom.search_for_instances(study_instance_uid=sample.study)) == 1
        async with dicom.retrieve_instance(**asdict(uids(sample))) as part:
            return b"".join([chunk async for chunk in part.chunks()])

    async def quarantined(self, prefix: str) -> dict[str, bytes]:
        """Return what lies in quarantine, by name."""
        return await self._blobs(QUARANTINE, prefix)

    async def copies(self, sample: Sample, partition: str | None = None) -> dict[str, bytes]:
        """Return the copies of an instance that gave way, by name; nothing else is where they are but what they are."""
        prefix = copies_of(sample, partition)
        found = await self._blobs(REPLACED, prefix)
        copies = {name: content for name, content in found.items() if name.endswith(".dcm")}
        assert {*found} <= {*copies, *(f"{name[:-4]}.json" for name in copies)}
        return copies

    async def _blobs(self, container_name: str, prefix: str) -> dict[str, bytes]:
        container = self.clients.container(container_name)
        names = [name async for name in container.list_blob_names(name_starts_with=prefix)]
        return {name: await (await container.download_blob(name)).readall() for name in names}

    async def about_copy(self, name: str) -> dict[str, Any] | None:
        """Return what a copy is, as it is written."""
        return await self._document(REPLACED, f"{name.removesuffix('.dcm')}.json")

    async def reason(self, name: str) -> dict[str, Any] | None:
        """Return why a file is in quarantine."""
        return await self._document(QUARANTINE_REASONS, f"{name}.json")

    async def _document(self, container: str, name: str) -> dict[str, Any] | None:
        try:
            download = await self.clients.container(container).download_blob(name)
        except ResourceNotFoundError:
            return None
        found: dict[str, Any] = json.loads(await download.readall())
        return found

    async def inject(self, **fault: Any) -> None:
        """Have the service fail."""
        async with httpx.AsyncClient(trust_env=False) as http:
            (await http.post(f"{self.root}/admin/faults", json=fault)).raise_for_status()

    async def heal(self) -> None:
        """Take back all faults."""
        async with httpx.AsyncClient(trust_env=False) as http:
            (await http.delete(f"{self.root}/admin/faults")).raise_for_status()


async def clear(container: ContainerClient, beginning: str = "") -> None:
    """Delete the blobs of a container whose names begin so; whatever tests before have left."""
    async for name in container.list_blob_names(name_starts_with=beginning):
        await container.delete_blob(name)


async def newest_receipt(clients: Clients, name: str) -> Receipt:
    """Return the receipt of what a blob is now; there is one."""
    document = await read_receipt(clients, name)
    assert document is not None
    return document.newest


async def brought_in(ingest: Ingest, name: str, content: bytes, door: Door = Door.BLOB) -> Receipt:
    """Upload a file, handle it once, and return its receipt."""
    await ingest.clients.inbox.upload_blob(name, content, overwrite=True)
    await handle(ingest, Arrival((name,), door))
    return await newest_receipt(ingest.clients, name)


@asynccontextmanager
async def place_at(clients: Clients, root: str, **changes: Any) -> AsyncIterator[Place]:
    """Put the clients in front of a service; what waits in the queue afterwards is dropped."""
    async with DICOMwebClient(f"{root}/v2") as dicom:
        place = Place(replace(clients, dicom=dicom), root)
        try:
            yield place.with_settings(**changes) if changes else place
        finally:
            await place.heal()
            queue = clients.queues.get_queue_client("dicom-arrivals")
            with suppress(ResourceNotFoundError):
                await queue.clear_messages()


@contextmanager
def an_hour_ago(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Set the service's clock an hour back meanwhile, so that what is stored is older than any file that comes."""
    now = timestamps.now
    with monkeypatch.context() as patch:
        patch.setattr(timestamps, "now", lambda: now() - 3600 * timestamps.TICKS_PER_SECOND)
        yield


def other(sample: Sample, text: bytes = b"other") -> bytes:
    """Return other bytes under the same UIDs, of the same patient."""
    changed = {**sample.elements, 0x00204000: ("LT", text)}
    return replace(sample, elements=changed).content


def uids(sample: Sample) -> Uids:
    """Return a sample's UIDs."""
    return Uids(sample.study, sample.series, sample.sop)


def copies_of(sample: Sample, partition: str | None = None) -> str:
    """Return what the names of an instance's copies begin with."""
    return f"{partition or DEFAULT_PARTITION}/{sample.study}/{sample.series}/{sample.sop}/"


REPLACE = {"on_conflict": OnConflict.REPLACE}


class Recorded(Queues):
    """Keeps what is sent, with its delay, instead of sending it."""

    def __init__(self) -> None:
        self.sent: list[tuple[Arrival, float]] = []

    async def send(self, item: Arrival | Renamed, delay_seconds: float = 0) -> None:
        assert isinstance(item, Arrival)
        self.sent.append((item, delay_seconds))


async def run_messages(ingest: Ingest) -> int:
    """Handle what waits in the queue, as the platform would, and return the number of messages."""
    queue, handled = ingest.clients.queues.get_queue_client(ARRIVALS), 0
    async for message in queue.receive_messages():
        await handle_message(ingest, message.content.encode())
        await queue.delete_message(message)
        handled += 1
    return handled
