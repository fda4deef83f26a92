"""What a blob costs: the requests to storage that its way takes, in their order."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from shared.arrivals import Arrival, Door
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient
from shared.settings import AfterStore, Settings
from shared.sources import Sources
from store_on_upload.ingest import Ingest
from store_on_upload.upload import handle
from tests.kit.files import Sample
from tests.kit.watched_storage import Watch, watched

READ, RECEIPT, DELETE = "GET dicom-inbox", "PUT dicom-receipts", "DELETE dicom-inbox"
ARCHIVE = ["COPY dicom-archive", "HEAD dicom-archive"]
# The reason beside the file is what an operator reads; it costs one request more than an archived file.
QUARANTINE = ["COPY dicom-quarantine", "HEAD dicom-quarantine", "PUT dicom-quarantine-reasons"]
# Another run may have stored the file meanwhile, and found no copy yet that it could have taken out of quarantine.
LOOK_AGAIN = "GET dicom-receipts"


@pytest.mark.parametrize(
    ("after_store", "is_dicom", "expected"),
    [
        ("keep", True, [READ, RECEIPT]),
        ("delete", True, [READ, RECEIPT, DELETE]),
        ("archive", True, [READ, RECEIPT, *ARCHIVE, DELETE]),
        ("keep", False, [READ, RECEIPT, *QUARANTINE, DELETE, LOOK_AGAIN]),
    ],
)
async def test_requests_of_a_small_file(
    clients: Clients, service: str, after_store: str, is_dicom: bool, expected: list[str]
) -> None:
    """No request is made but these: no HEAD before, no look for a receipt."""
    watch, sample = Watch(), Sample()
    async with DICOMwebClient(f"{service}/v2") as dicom, watched(clients, watch) as storage:
        ingest = ingest_with(replace(storage, dicom=dicom), after_store=AfterStore(after_store))
        await handle_new(ingest, "the first of its study.dcm", sample.content)
        watch.leave()
        await handle_new(ingest, f"{sample.sop}.dcm", sample.sibling().content if is_dicom else b"no DICOM" * 40)
    assert watch.requests[1:] == expected  # after the producer's own PUT


async def test_requests_of_the_first_of_a_study(clients: Clients, service: str) -> None:
    """Once in a while more is asked: is there a STOP, has retention deleted this study?"""
    watch, sample = Watch(), Sample()
    async with DICOMwebClient(f"{service}/v2") as dicom, watched(clients, watch) as storage:
        await handle_new(Ingest.over(replace(storage, dicom=dicom)), f"{sample.sop}.dcm", sample.content)
    assert watch.requests[1:] == ["HEAD dicom-control", READ, "HEAD retention-state", RECEIPT]


async def test_requests_of_the_instances_of_a_study_that_come_at_once(clients: Clients, service: str) -> None:
    """One look for a STOP and for the study's tombstone serves all that come before it is answered."""
    watch, sample = Watch(), Sample()
    samples = [sample, *(sample.sibling() for _ in range(5))]
    async with DICOMwebClient(f"{service}/v2") as dicom, watched(clients, watch) as storage:
        ingest = Ingest.over(replace(storage, dicom=dicom))
        for one in samples:
            await clients.inbox.upload_blob(f"{one.sop}.dcm", one.content)
        await asyncio.gather(*(handle(ingest, Arrival((f"{one.sop}.dcm",), Door.BLOB)) for one in samples))
    assert watch.requests.count("HEAD dicom-control") == 1
    assert watch.requests.count("HEAD retention-state") == 1
    assert watch.requests.count(RECEIPT) == len(samples)


async def test_requests_of_being_put_off(clients: Clients) -> None:
    """One receipt and one message; the second attempt reads the receipt, and is put off by it once more."""
    watch, sample = Watch(), Sample()
    name = f"{sample.sop}.dcm"
    async with watched(clients, watch) as storage:
        ingest = Ingest.over(storage)  # whose DICOM service does not answer
        await ingest.queues.send(Arrival((name,), Door.DEFERRAL))  # the queue is there from the first message on
        watch.leave()
        await handle_new(ingest, name, sample.content)
        assert watch.requests[-2:] == [RECEIPT, "POST dicom-arrivals"]
        watch.leave()
        await handle(ingest, Arrival((name,), Door.DEFERRAL))
    assert watch.requests == ["HEAD dicom-inbox", "GET dicom-receipts", RECEIPT, "POST dicom-arrivals"]


def ingest_with(clients: Clients, **settings: object) -> Ingest:
    changed: Settings = clients.settings.model_copy(update=settings)
    return Ingest.over(replace(clients, settings=changed, sources=Sources(changed)))


async def handle_new(ingest: Ingest, name: str, content: bytes) -> None:
    await ingest.clients.inbox.upload_blob(name, content, overwrite=True)
    await handle(ingest, Arrival((name,), Door.BLOB))
