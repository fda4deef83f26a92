"""STOP, and an outage: nothing is read or stored meanwhile, nothing is blamed, and all go on afterwards."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, replace

import pytest
from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
)

from shared import kept
from shared.arrivals import Arrival, Door
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient, RetryPolicy
from shared.settings import CONTROL
from store_on_upload.ingest import Ingest
from store_on_upload.upload import handle
from store_on_upload.verdict import Verdict
from store_on_upload.waiting import stop_switch
from store_on_upload.waiting.stop_switch import STOP, StopSwitch
from tests.kit.files import Sample, new_uid
from tests.kit.runs import newest_receipt
from tests.kit.scripted_server import Received, Script, answer, serve
from tests.kit.watched_storage import Watch, watched

LOOK = f"HEAD {CONTROL}"


@dataclass
class Clock:
    """Seconds that a test lets pass."""

    now: float = 1000.0

    def monotonic(self) -> float:
        """Return the time, as the module `time` does."""
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(kept, "monotonic", clock.monotonic)
    return clock


@pytest.fixture
def watch() -> Watch:
    return Watch()


@pytest.fixture
async def ingest(clients: Clients, watch: Watch, service: str) -> AsyncIterator[Ingest]:
    async with DICOMwebClient(f"{service}/v2") as dicom, watched(clients, watch) as storage:
        yield Ingest.over(replace(storage, dicom=dicom))


@pytest.fixture
async def stop(clients: Clients) -> AsyncIterator[None]:
    """Somebody stops ingest."""
    await clients.container(CONTROL).get_blob_client(STOP).upload_blob(b"", overwrite=True)
    yield
    await remove_stop(clients)


async def remove_stop(clients: Clients) -> None:
    with suppress(ResourceNotFoundError):
        await clients.container(CONTROL).get_blob_client(STOP).delete_blob()


async def dropped(clients: Clients, content: bytes | None = None) -> str:
    name = f"{new_uid()}.dcm"
    await clients.inbox.upload_blob(name, content or Sample().content)
    return name


@pytest.mark.parametrize("door", [Door.BLOB, Door.EVENT, Door.DEFERRAL, Door.SWEEP])
async def test_stopped(ingest: Ingest, clients: Clients, watch: Watch, stop: None, clock: Clock, door: Door) -> None:
    """Whichever door a file comes through, it is put off unread, and stored once the STOP is gone."""
    name = await dropped(clients)
    watch.leave()
    await handle(ingest, Arrival((name,), door))
    assert "GET dicom-inbox" not in watch.requests
    assert watch.requests[-1] == "POST dicom-arrivals"
    waiting = await newest_receipt(clients, name)
    assert (waiting.verdict, waiting.reason, waiting.attempts) == (None, "stopped", 0)
    assert not waiting.failed_by_itself
    await remove_stop(clients)
    clock.now += 6
    await handle(ingest, Arrival((name,), Door.DEFERRAL))
    assert (await newest_receipt(clients, name)).verdict is Verdict.STORED


async def test_how_soon_it_is_noticed(ingest: Ingest, clients: Clients, watch: Watch, clock: Clock) -> None:
    """One look serves all files of five seconds."""
    found = []
    for second in range(24):
        if second == 6:
            await clients.container(CONTROL).get_blob_client(STOP).upload_blob(b"", overwrite=True)
        if second == 12:
            await remove_stop(clients)
        found.append(await ingest.stop.is_on())
        clock.now += 1
    assert found == [False] * 6 + [True] * 6 + [False] * 12
    assert watch.requests == [LOOK] * 4


@pytest.mark.parametrize(
    "refusal",
    [ClientAuthenticationError("by the test"), HttpResponseError("by the test"), ServiceRequestError("by the test")],
)
async def test_unreadable(ingest: Ingest, clients: Clients, watch: Watch, clock: Clock, refusal: Exception) -> None:
    """Whoever cannot be asked has to be thought to say STOP; for no longer than it lasts."""

    async def refuse() -> None:
        raise refusal

    name = await dropped(clients)
    watch.step_in(1, refuse)
    await handle(ingest, Arrival((name,), Door.BLOB))
    assert watch.requests[0] == LOOK
    assert (await newest_receipt(clients, name)).reason == "stopped"
    clock.now += 6
    await handle(ingest, Arrival((name,), Door.DEFERRAL))
    assert (await newest_receipt(clients, name)).verdict is Verdict.STORED


async def test_no_container(clients: Clients, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is none, nobody has stopped anything."""
    monkeypatch.setattr(stop_switch, "CONTROL", "no-such-container")
    assert not await StopSwitch(clients).is_on()


async def test_stopped_while_it_waits_for_its_turn(
    ingest: Ingest, clients: Clients, clock: Clock, watch: Watch
) -> None:
    """A file that was let in before is not sent any more."""

    async def stop_all() -> None:
        await clients.container(CONTROL).get_blob_client(STOP).upload_blob(b"", overwrite=True)
        clock.now += 6

    name = await dropped(clients)
    watch.step_in(2, stop_all)  # the first is the look for STOP
    try:
        await handle(ingest, Arrival((name,), Door.BLOB))
    finally:
        await remove_stop(clients)
    waiting = await newest_receipt(clients, name)
    assert (waiting.reason, waiting.failed_by_itself) == ("stopped", False)


class Service:
    """A DICOM service that is down until it is not."""

    def __init__(self) -> None:
        self.is_down = True

    def answer_to(self, request: Received) -> Script:
        """Answer a store."""
        if self.is_down:
            return answer(503, headers={"Retry-After": "30"})
        return answer(413)  # a word about the file


async def test_an_outage(clients: Clients, watch: Watch) -> None:
    """One file finds it out for all; after the pause one file is the probe, and the first that passes ends it."""
    clock, service = Clock(), Service()
    async with (
        serve(service.answer_to) as server,
        DICOMwebClient(server.url, retry=RetryPolicy(attempts=1)) as dicom,
        watched(clients, watch) as storage,
    ):
        ingest = Ingest.over(replace(storage, dicom=dicom))
        ingest.circuit.clock = clock.monotonic
        names = [await dropped(clients) for _ in range(6)]
        await handle(ingest, Arrival((names[0],), Door.BLOB))
        assert (await newest_receipt(clients, names[0])).reason == "service_busy"
        watch.leave()
        await handle_all(ingest, names[1:])
        assert "GET dicom-inbox" not in watch.requests
        assert {(await newest_receipt(clients, name)).reason for name in names[1:]} == {"outage"}
        clock.now += 29
        await handle_all(ingest, names)
        assert len(server.requests) == 1
        clock.now += 1
        await handle_all(ingest, names)
        assert len(server.requests) == 2
        receipts = [await newest_receipt(clients, name) for name in names]
        assert {(one.verdict, one.failed_by_itself) for one in receipts} == {(None, False)}
        clock.now += 30
        service.is_down = False
        await handle(ingest, Arrival((names[0],), Door.DEFERRAL))
        await handle_all(ingest, names[1:])
        assert len(server.requests) == 8


async def handle_all(ingest: Ingest, names: list[str]) -> None:
    await asyncio.gather(*(handle(ingest, Arrival((name,), Door.DEFERRAL)) for name in names))


async def test_one_file_that_fails_stops_no_other(clients: Clients) -> None:
    """It fails by itself, again and again, and the others go through."""
    bad = Sample()

    def choose(request: Received) -> Script:
        return answer(500) if bad.sop.encode() in request.body else answer(413)

    async with serve(choose) as server, DICOMwebClient(server.url, retry=RetryPolicy(attempts=1)) as dicom:
        ingest = Ingest.over(replace(clients, dicom=dicom))
        name, another = await dropped(clients, bad.content), await dropped(clients)
        for _ in range(8):
            await handle(ingest, Arrival((name,), Door.DEFERRAL))
        await handle(ingest, Arrival((another,), Door.BLOB))
    waiting = await newest_receipt(clients, name)
    assert (waiting.reason, waiting.attempts, waiting.failed_by_itself) == ("service_failed", 8, True)
    assert (await newest_receipt(clients, another)).verdict is Verdict.REJECTED


async def test_bad_files_do_not_hold_back_good_ones(clients: Clients) -> None:
    """Fifty bad files in a row look like an outage; after the pause, good files are tried before those that failed."""
    bad = [Sample() for _ in range(51)]
    marks = [sample.sop.encode() for sample in bad]

    def choose(request: Received) -> Script:
        return answer(500) if any(mark in request.body for mark in marks) else answer(413)

    clock = Clock()
    async with serve(choose) as server, DICOMwebClient(server.url, retry=RetryPolicy(attempts=1)) as dicom:
        ingest = Ingest.over(replace(clients, dicom=dicom))
        ingest.circuit.clock = clock.monotonic
        failing = [await dropped(clients, sample.content) for sample in bad]
        for name in failing:
            await handle(ingest, Arrival((name,), Door.BLOB))
        assert ingest.circuit.is_blocked
        passing = [await dropped(clients) for _ in range(3)]
        clock.now += 5
        for name in [*failing[:20], *passing]:
            await handle(ingest, Arrival((name,), Door.DEFERRAL))
        assert not ingest.circuit.is_open
    assert {(await newest_receipt(clients, name)).verdict for name in passing} == {Verdict.REJECTED}
    # What was held back is still known to fail; the last file was never tried.
    waiting = [await newest_receipt(clients, name) for name in (failing[0], failing[-1])]
    assert [(one.reason, one.failed_by_itself) for one in waiting] == [("outage", True), ("outage", False)]
