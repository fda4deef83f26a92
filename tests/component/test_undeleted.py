"""Files that were deleted while they waited, and undeleted: the version is back that had been closed as gone.

Azurite cannot undelete. What an undeletion leaves is made without one: while a file counts as deleted, the app's way to
it answers as storage does then, and the receipts are what the app writes by itself.
"""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from local.azurite import Azurite
from shared import clock
from shared.arrivals import Arrival, Door
from shared.clients import Clients
from shared.settings import CONTROL
from store_on_upload.files.listing import Listing
from store_on_upload.ingest import Ingest
from store_on_upload.receipts.container import look_up, read_receipt, write_receipt
from store_on_upload.receipts.receipt import Receipt, State
from store_on_upload.reconcile import reconcile
from store_on_upload.setback import STOPPED
from store_on_upload.sweeping import requeue
from store_on_upload.sweeping.overdue import Step, Times
from store_on_upload.sweeping.sweep import sweep
from store_on_upload.upload import handle
from store_on_upload.verdict import rejected
from store_on_upload.waiting.put_off import put_off
from store_on_upload.waiting.stop_switch import STOP
from tests.kit.connection_strings import endpoint, through
from tests.kit.files import Sample, new_uid
from tests.kit.gateway import Fault, Gateway, Moment
from tests.kit.runs import Place, clear, place_at, run_messages

HOUR = timedelta(hours=1)


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An account of this module's own: a sweep looks at all of an inbox."""
    with Azurite(tmp_path_factory.mktemp("undeleted"), in_memory=True) as running:
        yield running.connection_string


@pytest.fixture
async def place(clients: Clients, service: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    """Where what is dropped is old enough to be the sweep's business, and nothing is left of other tests."""
    monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + HOUR)
    await clear(clients.inbox)
    async with place_at(clients, service) as place:
        yield place


@asynccontextmanager
async def without(place: Place, name: str) -> AsyncIterator[Ingest]:
    """Give a process of the app for which a blob is not there."""
    connection = place.clients.settings.dicom_storage or ""
    with Gateway(endpoint(connection, "blob")) as gateway:
        inbox = place.clients.settings.dicom_inbox_container
        gateway.begin(Fault(1, Moment.BEFORE, status=404, times=1000, path=f"/{inbox}/{name}"))
        settings = place.clients.settings.model_copy(
            update={"dicom_storage": through(connection, blob=gateway.urls[0])}
        )
        clients = Clients.over(settings, place.clients.dicom)
        yield Ingest.over(clients)
        await clients.storage.aclose()


async def waiting(place: Place, content: bytes) -> str:
    """Drop a file that is put off; return its name."""
    name = f"{new_uid()}.dcm"
    await place.drop(name, content)
    await put_off(place.process(), Arrival((name,), Door.BLOB), STOPPED)
    return name


async def undeleted(place: Place, content: bytes) -> str:
    """Let a file wait, be deleted, missed and undeleted; return its name."""
    name = await waiting(place, content)
    async with without(place, name) as ingest:
        await handle(ingest, Arrival((name,), Door.DEFERRAL))
    assert (await place.receipt(name)).is_gone
    return name


async def swept(place: Place, caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    """Sweep in a process of its own, and return what that says of itself."""
    caplog.set_level(logging.INFO, "dicom_dropbox")
    caplog.clear()
    await sweep(place.process())
    [line] = [record.message for record in caplog.records if '"event": "sweep"' in record.message]
    said: dict[str, Any] = json.loads(line)
    return said


async def test_what_is_made_is_what_a_deletion_leaves(place: Place) -> None:
    """The receipt is the same as after a deletion, and the blob has the version that it had."""
    made = await undeleted(place, Sample().content)
    name = await waiting(place, Sample().content)
    await place.clients.inbox.delete_blob(name)
    await handle(place.process(), Arrival((name,), Door.DEFERRAL))
    of_a_deletion = await place.receipt(name)
    alike = await place.receipt(made)
    assert timeless(alike) == replace(timeless(of_a_deletion), blob=made, size_bytes=alike.size_bytes)
    assert alike.etag == str((await place.clients.inbox.get_blob_client(made).get_blob_properties()).etag).strip('"')


async def test_the_sweep_takes_it_up_again(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """Once, and it is stored like any other; until then it counts as waiting."""
    sample = Sample()
    name = await undeleted(place, sample.content)
    said = await swept(place, caplog)
    assert said["queued"] == 1
    assert said["oldest_pending_seconds"] >= 3590
    receipt = await place.receipt(name)
    assert (receipt.state, receipt.verdict, receipt.reason) == ("queued", None, "swept")
    assert (await swept(place, caplog))["queued"] == 0
    await run_messages(place.process())
    assert (await place.receipt(name)).verdict == "stored"
    assert await place.stored(sample) == sample.content
    said = await swept(place, caplog)
    assert (said["queued"], said["oldest_pending_seconds"]) == (0, 0)


@pytest.mark.parametrize("door", [Door.BLOB, Door.EVENT, Door.DEFERRAL, Door.SWEEP])
async def test_whichever_way_it_comes(place: Place, door: Door) -> None:
    """It gets the verdict that it would have had: a message of before may still be on its way."""
    there, fresh = Sample(), Sample()
    await place.put(there)
    for content, verdict in ((there.content, "duplicate"), (fresh.content, "stored"), (b"no DICOM", "rejected")):
        name = await undeleted(place, content)
        await handle(place.process(), Arrival((name,), door))
        assert (await place.receipt(name)).verdict == verdict
        assert await place.quarantined(name) == ({name: content} if verdict == "rejected" else {})


async def test_it_waits_like_any_other(place: Place) -> None:
    """While ingest is stopped its receipt says so; afterwards it is stored."""
    name = await undeleted(place, Sample().content)
    stop = place.clients.container(CONTROL).get_blob_client(STOP)
    await stop.upload_blob(b"")
    await handle(place.process(), Arrival((name,), Door.EVENT))
    await stop.delete_blob()
    receipt = await place.receipt(name)
    assert (receipt.state, receipt.reason) == ("deferred", "stopped")
    await handle(place.process(), Arrival((name,), Door.DEFERRAL))
    assert (await place.receipt(name)).verdict == "stored"


async def test_it_is_deleted_again(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """After it was queued, it is closed again; the sweep finds nothing any more."""
    name = await undeleted(place, Sample().content)
    await sweep(place.process())
    await place.clients.inbox.delete_blob(name)
    await run_messages(place.process())
    assert (await place.receipt(name)).is_gone
    assert (await swept(place, caplog))["queued"] == 0


async def test_a_listing_of_before_the_deletion(place: Place) -> None:
    """A file that was listed, then deleted, and closed as gone before its turn came, is not queued."""
    name = await undeleted(place, Sample().content)
    [row] = [row for row in await Listing(place.clients.inbox).next_page() if row.name == name]
    await place.clients.inbox.delete_blob(name)
    before, times = await read_receipt(place.clients, name), Times(clock.now(), timedelta(), clock.now())
    known = await look_up(place.clients, name)
    assert not await requeue.send_on(place.process(), row, known, Step.QUEUE, times)
    assert await read_receipt(place.clients, name) == before


@pytest.mark.parametrize("is_decided", [False, True])
async def test_a_late_run_of_what_is_gone(place: Place, is_decided: bool) -> None:
    """It was in hand while the file was deleted: unless it has stored it, the receipt stays closed."""
    name = await undeleted(place, b"no DICOM")
    await place.clients.inbox.delete_blob(name)
    closed = await place.receipt(name)
    late = Receipt(name, closed.etag, 8, closed.uploaded_at, State.DEFERRED, reason="service_busy")
    late = late.decided(rejected("not_dicom"), clock.now()) if is_decided else late
    assert await write_receipt(place.clients, late) == closed
    assert await place.receipt(name) == closed


async def test_until_then_it_does_not_add_up(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    """The reconciliation tells it from a file that is ignored."""
    name = await undeleted(place, Sample().content)
    report = await reconcile(place.clients, names=True)
    assert {str(kind): names for kind, names in report.names.items()} == {"overdue": [name]}
    assert (await swept(place, caplog))["queued"] == 1
    await run_messages(place.process())
    assert not (await reconcile(place.clients)).differences


def timeless(receipt: Receipt) -> Receipt:
    """Return a receipt without what differs between two versions of a blob."""
    return replace(receipt, etag="", uploaded_at="", failed_at="", decided_at="", due_at="")
