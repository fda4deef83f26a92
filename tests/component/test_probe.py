"""The probe over a real storage account and a real stand-in of the DICOM service: what it finds, and what it leaves."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, closing, suppress
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from azure.core.exceptions import ResourceNotFoundError

from shared import clock
from shared.arrivals import Arrival, Door
from shared.clients import Clients
from shared.settings import (
    ARCHIVE,
    CONTROL,
    DEFAULT_INBOX,
    QUARANTINE,
    QUARANTINE_REASONS,
    RECEIPTS,
    AfterStore,
)
from store_on_upload.files.naming import LONGEST_NAME
from store_on_upload.files.quarantine import write_reason
from store_on_upload.files.source import version_of
from store_on_upload.ingest import Ingest
from store_on_upload.probing import probe as probing
from store_on_upload.probing.dropped import NAME, Dropped, drop
from store_on_upload.probing.instance import CONTENT, SOP_INSTANCE_UID, STUDY_INSTANCE_UID
from store_on_upload.probing.probe import probe
from store_on_upload.receipts.container import read_receipt
from store_on_upload.receipts.receipt import Receipt, timestamp
from store_on_upload.upload import handle
from store_on_upload.waiting.stop_switch import STOP
from tests.kit.app_process import PROBE
from tests.kit.drops import World
from tests.kit.files import DEFLATED, Sample, deflated, encoded, new_uid, part10
from tests.kit.gateway import Fault, Moment
from tests.kit.runs import Place, place_at
from tests.kit.service import running

PLACES = (DEFAULT_INBOX, ARCHIVE, QUARANTINE, QUARANTINE_REASONS)
PROBE_NAME = f"{NAME}.dcm"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Where the service keeps what it has."""
    return tmp_path / "dicom"


@pytest.fixture
def root(data: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """The address of a service of the test's own, which knows PUT unless the test says otherwise."""
    with running(data, **getattr(request, "param", {})) as root:
        yield root


@pytest.fixture
async def place(clients: Clients, root: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Place]:
    """Ingest over that service, without any probe; nobody waits long."""
    monkeypatch.setattr(probing, "EXPECTED_SECONDS", 0.0)
    await clear(clients)
    async with place_at(clients, root) as place:
        yield place
    await clear(clients)


async def clear(clients: Clients) -> None:
    for container, names in {**await left(clients), RECEIPTS: [PROBE_NAME], CONTROL: [STOP]}.items():
        for name in names:
            with suppress(ResourceNotFoundError):
                await clients.container(container).delete_blob(name)


async def left(clients: Clients) -> dict[str, list[str]]:
    """Return what there is of probes but for their receipt, by container."""
    found = {}
    for container in PLACES:
        names = clients.container(container).list_blob_names(name_starts_with=NAME)
        if some := [name async for name in names]:
            found[container] = some
    return found


@asynccontextmanager
async def platform(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Bring what is in the inbox to the handler meanwhile, and have a probe wait for that."""

    async def deliver() -> None:
        seen: set[str] = set()
        while True:
            etag = await version_of(ingest.clients.inbox.get_blob_client(PROBE_NAME))
            if etag and etag not in seen:
                seen.add(etag)
                await handle(ingest, Arrival((PROBE_NAME,), Door.EVENT))
            await asyncio.sleep(0.01)

    with monkeypatch.context() as patch:
        patch.setattr(probing, "EXPECTED_SECONDS", 30.0)
        patch.setattr(probing, "_LOOK_AGAIN_SECONDS", 0.01)
        delivering = asyncio.create_task(deliver())
        try:
            yield
        finally:
            delivering.cancel()
            await asyncio.gather(delivering, return_exceptions=True)


async def probe_twice(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have two probes go through, one after the other."""
    ingest = place.process()
    async with platform(ingest, monkeypatch):
        for _ in range(2):
            await probe(ingest)


def said(log: pytest.LogCaptureFixture) -> list[tuple[bool, str | None]]:
    """Return what the probes' lines say: whether they got in, and why not."""
    lines = [json.loads(record.message) for record in log.records if record.name == "dicom_dropbox"]
    return [(line["complete"], line.get("reason")) for line in lines if line["event"] == "probe"]


def expiries(data: Path) -> dict[str, bool]:
    """Return for each study of the service whether it expires."""
    with closing(sqlite3.connect(data / "index.sqlite")) as index:
        rows = index.execute("SELECT StudyInstanceUID, expires IS NOT NULL FROM study").fetchall()
    return {uid: bool(expires) for uid, expires in rows}


async def arrived(place: Place) -> None:
    """Have what is in the inbox handled, as if its event had come late."""
    await handle(place.process(), Arrival((PROBE_NAME,), Door.EVENT))


async def etag_in(place: Place, container: str = DEFAULT_INBOX) -> str | None:
    """Return the version that there is of the probe's blob."""
    return await version_of(place.clients.container(container).get_blob_client(PROBE_NAME))


@pytest.fixture(autouse=True)
def log(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    """What the app says."""
    caplog.set_level(logging.INFO, "dicom_dropbox")
    return caplog


@pytest.mark.parametrize("after_store", list(AfterStore))
async def test_a_probe_gets_in_and_is_removed(
    place: Place, data: Path, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture, after_store: AfterStore
) -> None:
    """Whatever becomes of files; its study alone expires, and every next one gets in as well."""
    place = place.with_settings(after_store=after_store)
    real = Sample()
    assert (await place.settled(await named(place, "real.dcm", real.content))).verdict == "stored"
    ingest = place.process()
    async with platform(ingest, monkeypatch):
        for number in (1, 2, 3):
            await probe(ingest)
            assert said(log) == [(True, None)] * number
            assert await left(place.clients) == {}
    assert expiries(data) == {real.study: False, STUDY_INSTANCE_UID: True}
    assert len(await place.clients.dicom.search_for_instances(study_instance_uid=STUDY_INSTANCE_UID)) == 1


async def named(place: Place, name: str, content: bytes) -> str:
    await place.drop(name, content)
    return name


async def test_the_line_has_what_an_alert_asks_for(place: Place, log: pytest.LogCaptureFixture) -> None:
    """And nothing of the blob."""
    await probe(place.process())
    [line] = [json.loads(record.message) for record in log.records if '"probe"' in record.message]
    assert set(line) == {"event", "complete", "reason", "seconds"}
    assert NAME not in log.text


async def test_while_ingest_is_stopped_none_is_dropped(place: Place, log: pytest.LogCaptureFixture) -> None:
    """That is said, with nothing else."""
    await place.clients.container(CONTROL).upload_blob(STOP, b"")
    await probe(place.process())
    assert said(log) == [(False, "stopped")]
    assert await left(place.clients) == {}


async def test_where_no_event_comes(place: Place, log: pytest.LogCaptureFixture) -> None:
    """It is said again and again, and no second one dropped, until it was looked at; then the next one is."""
    await probe(place.process())
    first = await etag_in(place)
    for number in (2, 3):
        await probe(place.process())
        assert said(log) == [(False, "no_receipt")] * number
        assert await etag_in(place) == first
    await arrived(place)
    await probe(place.process())
    assert await etag_in(place) not in (None, first)
    assert await left(place.clients) == {DEFAULT_INBOX: [PROBE_NAME]}


async def test_one_receipt_tells_of_all(
    place: Place, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    """It stays, and what it says of an earlier one is not taken for the next one's."""
    await probe_twice(place, monkeypatch)
    await probe(place.process())
    assert said(log) == [(True, None), (True, None), (False, "no_receipt")]
    receipts = place.clients.container(RECEIPTS).list_blob_names(name_starts_with=NAME)
    assert [name async for name in receipts] == [PROBE_NAME]
    document = await read_receipt(place.clients, PROBE_NAME)
    assert document is not None
    assert [receipt.verdict for receipt in document.versions] == ["stored"] * 2


@pytest.mark.parametrize(("status", "reason"), [(503, "service_busy"), (403, "access_denied")])
async def test_an_outage_is_told_by_its_reason(
    place: Place, log: pytest.LogCaptureFixture, status: int, reason: str
) -> None:
    """As it stands in the receipt."""
    await place.inject(fault="status", kind="store", status=status, requests=None)
    await probe(place.process())
    await arrived(place)
    await probe(place.process())
    assert said(log) == [(False, "no_receipt"), (False, reason)]
    await place.heal()


async def test_a_file_that_does_not_leave_the_inbox(place: Place, log: pytest.LogCaptureFixture) -> None:
    """It is stored, and that is not all that was to happen."""
    place = place.with_settings(after_store=AfterStore.DELETE)
    await probe(place.process())
    stuck = await etag_in(place)
    lease = await place.clients.inbox.get_blob_client(PROBE_NAME).acquire_lease()
    await arrived(place)
    await probe(place.process())
    assert said(log)[-1] == (False, "not_disposed")
    assert await etag_in(place) == stuck
    await lease.release()
    await place.clients.inbox.delete_blob(PROBE_NAME)
    await probe(place.process())
    assert await etag_in(place) not in (None, stuck)


async def test_a_file_that_somebody_has_deleted(place: Place, log: pytest.LogCaptureFixture) -> None:
    """The next one is dropped, also where a receipt says that it waits."""
    await place.inject(fault="status", kind="store", status=503, requests=None)
    for _ in range(2):
        await probe(place.process())
        await arrived(place)
        await place.clients.inbox.delete_blob(PROBE_NAME)
    await probe(place.process())
    assert said(log) == [(False, "no_receipt")] * 3
    assert await left(place.clients) == {DEFAULT_INBOX: [PROBE_NAME]}


async def test_that_somebody_deletes_it_is_told(
    place: Place, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    """Of the probe that is waited for."""

    async def drop_and_lose(clients: Clients) -> Dropped | None:
        dropped = await drop(clients)
        await clients.inbox.delete_blob(PROBE_NAME)
        return dropped

    monkeypatch.setattr(probing, "drop", drop_and_lose)
    await probe(place.process())
    assert said(log) == [(False, "gone")]


async def test_a_refused_probe_leaves_the_quarantine(place: Place, log: pytest.LogCaptureFixture) -> None:
    """With its reason."""
    place = place.with_settings(max_instance_bytes=100)
    await probe(place.process())
    await arrived(place)
    assert set(await left(place.clients)) == {QUARANTINE, QUARANTINE_REASONS}
    await probe(place.process())
    assert await left(place.clients) == {DEFAULT_INBOX: [PROBE_NAME]}


async def test_a_refusal_is_told_by_its_reason(
    place: Place, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    """As it stands in the receipt."""
    ingest = place.with_settings(max_instance_bytes=100).process()
    async with platform(ingest, monkeypatch):
        await probe(ingest)
    assert said(log) == [(False, "too_large")]
    assert await left(place.clients) == {}


async def test_what_another_run_has_left_goes_with_the_next_one(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies, under whichever of their two names, and a reason without its file."""
    ingest = place.process()
    for container in (ARCHIVE, QUARANTINE):
        for name in (PROBE_NAME, f"{PROBE_NAME}~0x1"):
            await place.clients.container(container).upload_blob(name, CONTENT)
    await write_reason(place.clients, PROBE_NAME, Receipt(PROBE_NAME, "0x1", len(CONTENT), timestamp(clock.now())))
    async with platform(ingest, monkeypatch):
        await probe(ingest)
    assert await left(place.clients) == {}


async def test_what_somebody_has_put_in_its_place_stays(place: Place, log: pytest.LogCaptureFixture) -> None:
    """A file of anybody's under the probe's name is not the probe: it is stored as any, and no probe is dropped."""
    await probe(place.process())
    real = Sample()
    etag = await place.drop(PROBE_NAME, real.content)
    await arrived(place)
    await probe(place.process())
    assert said(log)[-1] == (False, "name_taken")
    assert await etag_in(place) == etag
    assert await place.stored(real) == real.content


@pytest.mark.parametrize("content", [b"somebody's", b"x" * len(CONTENT), b"x" * (len(CONTENT) + 1)])
async def test_copies_of_other_files_stay(
    place: Place, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture, content: bytes
) -> None:
    """And the reason beside one; a probe's own goes by another name, and is removed."""
    place = place.with_settings(after_store=AfterStore.ARCHIVE)
    for container in (ARCHIVE, QUARANTINE):
        await place.clients.container(container).upload_blob(PROBE_NAME, content)
    await write_reason(place.clients, PROBE_NAME, Receipt(PROBE_NAME, "0x1", len(content), timestamp(clock.now())))
    ingest = place.process()
    async with platform(ingest, monkeypatch):
        await probe(ingest)
    assert said(log) == [(True, None)]
    assert await left(place.clients) == {
        ARCHIVE: [PROBE_NAME],
        QUARANTINE: [PROBE_NAME],
        QUARANTINE_REASONS: [f"{PROBE_NAME}.json"],
    }


@pytest.mark.parametrize("rest", ["-of-a-ward.dcm", "~".ljust(LONGEST_NAME - len(PROBE_NAME), "x")])
async def test_reasons_of_other_files_stay(place: Place, monkeypatch: pytest.MonkeyPatch, rest: str) -> None:
    """Whose names begin as the probe's does, and may be so long that they tell nothing of their files'."""
    name = PROBE_NAME + rest
    await write_reason(place.clients, name, Receipt(name, "0x1", 10, timestamp(clock.now())))
    before = await left(place.clients)
    ingest = place.process()
    async with platform(ingest, monkeypatch):
        await probe(ingest)
    assert await left(place.clients) == before
    [reason] = before[QUARANTINE_REASONS]
    await place.clients.container(QUARANTINE_REASONS).delete_blob(reason)


async def test_a_drop_whose_answer_was_lost(place: Place) -> None:
    """What is there is the probe, and none was there before."""
    first = await drop(place.clients)
    assert first is not None
    assert await drop(place.clients) == first
    assert await etag_in(place) == first.etag


async def test_two_runs_at_once_have_one_probe(
    place: Place, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    """What another run drops, when this one has just seen that there is none, stays there, and both wait for it."""
    theirs: list[Dropped | None] = []

    async def find_none(clients: Clients) -> None:
        theirs.append(await drop(clients))

    monkeypatch.setattr(probing, "find_dropped", find_none)
    ingest = place.process()
    async with platform(ingest, monkeypatch):
        await probe(ingest)
    assert said(log) == [(True, None)]
    document = await read_receipt(place.clients, PROBE_NAME)
    assert document is not None
    assert [one.etag for one in document.versions] == [one.etag for one in theirs if one]


@pytest.mark.parametrize("root", [{"put_upsert": False}], indirect=True)
async def test_a_service_without_put_has_but_one(
    place: Place, monkeypatch: pytest.MonkeyPatch, log: pytest.LogCaptureFixture
) -> None:
    """A probe finds the one before there already: that is an answer as well."""
    await probe_twice(place, monkeypatch)
    assert said(log) == [(True, None)] * 2
    assert len(await place.clients.dicom.search_for_instances(study_instance_uid=STUDY_INSTANCE_UID)) == 1


async def test_it_expires_also_where_the_remains_of_one_gave_way(
    place: Place, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a store that has died midway, with REPLACE_STUCK."""
    place = place.with_settings(replace_stuck=True)
    await place.inject(fault="stuck_creation", kind="store")
    await probe(place.process())
    for _ in range(2):
        await arrived(place)
    assert (await place.receipt(PROBE_NAME)).reason == "being_stored"
    now = clock.now()
    monkeypatch.setattr(clock, "now", lambda: now + timedelta(hours=1))
    await arrived(place)
    assert (await place.receipt(PROBE_NAME)).verdict == "stored"
    assert expiries(data) == {STUDY_INSTANCE_UID: True}


def intruder(*, sop: str | None = None) -> Sample:
    """Return somebody's file with the study's UID of the probe."""
    return Sample(study=STUDY_INSTANCE_UID, sop=sop or new_uid())


@pytest.mark.parametrize("sop", [None, SOP_INSTANCE_UID])
async def test_no_other_file_comes_under_the_root(place: Place, data: Path, sop: str | None) -> None:
    """It is refused before it is sent, and nothing of it expires or is hidden."""
    receipt = await place.settled(await named(place, f"intruder {sop}.dcm", intruder(sop=sop).content))
    assert (receipt.verdict, receipt.reason) == ("rejected", "reserved")
    assert expiries(data) == {}


@pytest.mark.usefixtures("nothing_purged")
@pytest.mark.parametrize("is_repeated", [False, True])
async def test_nor_does_one_whose_header_does_not_tell(place: Place, data: Path, is_repeated: bool) -> None:
    """Once the service says which study it is of, the file is refused, and what was stored expires.

    So it does where a run has died between the two.
    """
    sample = intruder()
    elements = {0x00090010: ("LO", b"padding"), 0x00091001: ("UT", b" " * 3_000_000)}
    elements |= {0x00080016: ("UI", b"1.2.840.10008.5.1.4.1.1.7"), 0x00080018: ("UI", sample.sop.encode())}
    elements |= {0x00100020: ("LO", b"ID1"), 0x0020000D: ("UI", sample.study.encode())}
    elements |= {0x0020000E: ("UI", sample.series.encode())}
    content = part10(deflated(encoded(elements)), transfer_syntax=DEFLATED)
    if is_repeated:
        await place.put(sample, content)
    receipt = await place.settled(await named(place, "untold.dcm", content))
    assert (receipt.verdict, receipt.reason) == ("rejected", "reserved")
    assert expiries(data) == {STUDY_INSTANCE_UID: True}


async def test_these_bytes_by_whomever_are_the_probe(place: Place, data: Path) -> None:
    """Under any name: they are nobody's, and expire."""
    receipt = await place.settled(await named(place, "copied.dcm", CONTENT))
    assert receipt.verdict == "stored"
    assert expiries(data) == {STUDY_INSTANCE_UID: True}


def test_killed_at_each_request(world: World) -> None:
    """Whatever a killed run has left, the next one removes; there is never more of it than of one probe."""
    settings = {"AFTER_STORE": "archive"}
    for number in count(1):
        world.run_and_kill(settings, PROBE, Fault(number, Moment.BEFORE))
        ended = len(world.gateway.steps) < number
        pending = world.blobs(DEFAULT_INBOX, NAME)
        world.bring_to_an_end(settings, *(Arrival((name,), Door.EVENT) for name in pending))
        names = {name for container in PLACES for name in world.blobs(container, NAME)}
        assert names <= {PROBE_NAME}
        if ended:
            break
    assert number > 15
    assert world.run(settings, PROBE) == 0
    assert not any(world.blobs(container, NAME) for container in PLACES)
    assert world.service.get(f"/studies/{STUDY_INSTANCE_UID}/instances").status_code in (200, 204)
