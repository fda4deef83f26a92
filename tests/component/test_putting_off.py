"""Blobs that are put off where not all that it takes is to be had: no receipt, no content, no word of the service."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from shared import clock
from shared.arrivals import Arrival, Door, Renamed, write_message
from shared.clients import Clients
from shared.purged import pointer_name
from shared.queues import Queues
from shared.settings import DEFAULT_INBOX, QUARANTINE, RECEIPTS, RETENTION_STATE
from store_on_upload.doors.arrivals import read_message
from store_on_upload.ingest import Ingest
from store_on_upload.sweeping.sweep import sweep
from store_on_upload.upload import handle
from tests.kit.files import Sample, new_uid
from tests.kit.runs import Place, place_at


class Sent(Queues):
    """Keeps what would go into the queue, and tells how long it would wait there."""

    def __init__(self) -> None:
        self.messages: list[str] = []
        self.delays: list[float] = []

    async def send(self, item: Arrival | Renamed, delay_seconds: float = 0) -> None:
        """Keep a message."""
        self.messages.append(write_message(item))
        self.delays.append(delay_seconds)

    async def waiting(self, name: str = "") -> int:
        """Return how many there are."""
        return len(self.messages)

    def arrivals(self) -> list[Arrival]:
        """Return what they say."""
        items = [item for message in self.messages for item in read_message(message.encode(), DEFAULT_INBOX)]
        return [item for item in items if isinstance(item, Arrival)]

    def last(self) -> Arrival:
        """Return what the latest one says."""
        return self.arrivals()[-1]


@pytest.fixture
async def place(clients: Clients, service: str) -> AsyncIterator[Place]:
    async with place_at(clients, service) as place:
        yield place


def process(place: Place) -> tuple[Ingest, Sent]:
    sent = Sent()
    return replace(place.process(), queues=sent), sent


async def dropped(place: Place, sample: Sample | None = None) -> str:
    name = f"{new_uid()}.dcm"
    await place.drop(name, (sample or Sample()).content)
    return name


async def test_no_receipt_can_be_written(place: Place) -> None:
    """The file comes back, each time later: it is stored anew each time."""
    place.clients.storage._containers[RECEIPTS] = place.clients.container("no-such-container")
    ingest, sent = process(place)
    await handle(ingest, Arrival((await dropped(place),), Door.BLOB))
    for _ in range(4):
        await handle(ingest, sent.last())
    assert [least <= delay for least, delay in zip((5, 15, 45, 135, 405), sent.delays, strict=True)] == [True] * 5


async def test_what_the_sweep_sends_does_not_pile_up(place: Place) -> None:
    """A file that cannot be moved is the sweep's again after a while; else each sweep would add to what is sent on."""
    name = f"{new_uid()}.dcm"
    await place.drop(name, b"no DICOM")
    place.clients.storage._containers[QUARANTINE] = place.clients.container("no-such-container")
    ingest, sent = process(place)
    await handle(ingest, Arrival((name,), Door.SWEEP))
    for _ in range(5):
        await handle(ingest, sent.last())
    assert [arrival.door for arrival in sent.arrivals()] == [Door.SWEEP] * 5
    await handle(ingest, Arrival((name,), Door.BLOB))
    for _ in range(6):
        await handle(ingest, sent.last())
    assert len(sent.messages) == 5 + 7


async def test_a_receipt_that_cannot_be_read(place: Place) -> None:
    """No run ends in an exception, which the host would repeat at once; without the receipt, the blob is decided on."""
    ingest, sent = process(place)
    name = await dropped(place)
    receipts = place.clients.container(RECEIPTS)
    await receipts.upload_blob(name, b"{}")
    await handle(ingest, Arrival((name,), Door.BLOB))
    for _ in range(3):
        await handle(ingest, sent.last())
    assert sent.delays[-1] >= 45
    await receipts.delete_blob(name)
    await handle(ingest, sent.last())
    assert (await place.receipt(name)).verdict in ("stored", "duplicate")


async def test_a_blob_in_the_archive_tier(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its receipt says that it waits, and the sweep leaves it to that; once it can be read, it is stored."""
    ingest, sent = process(place)
    name = await dropped(place)
    blob = place.clients.inbox.get_blob_client(name)
    await blob.set_standard_blob_tier("Archive")
    await handle(ingest, Arrival((name,), Door.BLOB))
    for _ in range(5):
        await handle(ingest, sent.last())
    waiting = await place.receipt(name)
    assert (waiting.state, waiting.reason, waiting.deferrals) == ("deferred", "storage_failed", 6)
    with monkeypatch.context() as patch:
        patch.setattr(clock, "now", lambda: datetime.now(UTC) + timedelta(seconds=1200))
        sent.messages.clear()
        await sweep(ingest)
    assert not any(name in arrival.names for arrival in sent.arrivals())
    await blob.set_standard_blob_tier("Hot")
    await handle(ingest, Arrival((name,), Door.DEFERRAL))
    assert (await place.receipt(name)).verdict == "stored"


async def test_a_file_that_is_deleted_when_the_answer_to_its_store_was_lost(place: Place) -> None:
    """It may be in the service: its receipt has the UIDs to look for, while it waits and when it is gone."""
    ingest, sent = process(place)
    sample = Sample()
    name = await dropped(place, sample)
    await place.inject(fault="drop_after_commit", kind="store")
    await handle(ingest, Arrival((name,), Door.BLOB))
    waiting = await place.receipt(name)
    await place.clients.inbox.delete_blob(name)
    await handle(ingest, sent.last())
    gone = await place.receipt(name)
    assert (waiting.reason, gone.reason) == ("service_failed", "gone")
    assert await place.stored(sample) == sample.content
    for receipt in (waiting, gone):
        named = (receipt.study_instance_uid, receipt.series_instance_uid, receipt.sop_instance_uid)
        assert named == (sample.study, sample.series, sample.sop)


async def test_what_is_not_sent_tells_nothing_of_the_service(place: Place) -> None:
    """A file of a purged study ends no outage."""
    ingest, _ = process(place)
    sample = Sample()
    name = await dropped(place, sample)
    await place.clients.container(RETENTION_STATE).upload_blob(pointer_name(None, sample.study), b"{}")
    now = 0.0
    ingest.circuit.clock = lambda: now
    ingest.circuit.failed("another file", is_outage=True)
    now = 3600.0
    await handle(ingest, Arrival((name,), Door.BLOB))
    assert (await place.receipt(name)).reason == "purged"
    assert ingest.circuit.is_open
    await handle(ingest, Arrival((await dropped(place),), Door.BLOB))
    assert not ingest.circuit.is_open


async def test_a_retry_after_of_years(place: Place) -> None:
    """It is a mistake of somebody's: it is honoured for a day, and then the service is asked again."""
    ingest, sent = process(place)
    now = 0.0
    ingest.circuit.clock = lambda: now
    await place.inject(fault="status", status=503, retry_after="99999999", requests=1)
    name = await dropped(place)
    await handle(ingest, Arrival((name,), Door.BLOB))
    assert 86_400 <= sent.delays[-1] <= 2 * 86_400
    now = 86_399.0
    assert ingest.circuit.is_blocked
    now = 86_401.0
    await handle(ingest, sent.last())
    assert (await place.receipt(name)).verdict == "stored"


async def test_a_file_alone_in_an_outage(place: Place) -> None:
    """It is not given up because the service fails, whatever is asked: only once others would pass."""
    place = place.with_settings(give_up_after_days=0.0)
    ingest, sent = process(place)
    name = await dropped(place)
    await place.inject(fault="status", status=500, requests=1000)
    await handle(ingest, Arrival((name,), Door.BLOB))
    await handle(ingest, sent.last())
    waiting = await place.receipt(name)
    assert (waiting.state, waiting.reason, waiting.failed_by_itself) == ("deferred", "service_failed", False)
    await place.heal()
    await place.inject(fault="status", status=500, kind="store", requests=1000)
    await handle(ingest, sent.last())
    assert (await place.receipt(name)).verdict == "gave_up"


async def test_a_files_own_failure_counts_while_the_circuit_is_open(place: Place) -> None:
    """A trial that the service fails on is the file's failure; a file that was not tried has none."""
    ingest, _ = process(place)
    now = 0.0
    ingest.circuit.clock = lambda: now
    ingest.circuit.failed("another file", is_outage=True)
    untried = await dropped(place)
    await handle(ingest, Arrival((untried,), Door.BLOB))
    now = 5.0
    await place.inject(fault="status", status=500, kind="store", requests=1000)
    tried = await dropped(place)
    await handle(ingest, Arrival((tried,), Door.BLOB))
    assert ingest.circuit.is_open
    receipts = [await place.receipt(name) for name in (untried, tried)]
    assert [(receipt.reason, receipt.failed_by_itself) for receipt in receipts] == [
        ("outage", False),
        ("service_failed", True),
    ]
