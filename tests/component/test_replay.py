"""Replays of what is in quarantine: on a real storage account, into a real (local) DICOM service."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from types import ModuleType
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError

from local.azurite import Azurite
from shared import clock
from shared.arrivals import Arrival, Door, Renamed
from shared.clients import Clients
from shared.dicomweb import Body, DICOMwebClient, ResponseLost
from shared.purged import pointer_name
from shared.queues import ARRIVALS
from shared.settings import ARCHIVE, QUARANTINE, QUARANTINE_REASONS, RETENTION_STATE, AfterStore, OnPurged
from shared.sources import Sources
from store_on_upload import finishing, upload
from store_on_upload.files import disposal
from store_on_upload.files.quarantine import delete_reason, read_reason
from store_on_upload.ingest import Ingest
from store_on_upload.receipts.container import read_receipt
from store_on_upload.receipts.document import Document
from store_on_upload.receipts.receipt import Receipt, timestamp
from store_on_upload.reconcile import reconcile
from store_on_upload.requests import replay
from store_on_upload.requests.replay import replay_all, replay_one
from store_on_upload.upload import handle
from store_on_upload.waiting.put_off import MAX_POISONINGS, MAX_REPLAY_TRIES, poisoned
from tests.kit.files import Sample, new_uid
from tests.kit.runs import Recorded, clear, run_messages


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An account of this module's own: whether it adds up is asked of all of it."""
    with Azurite(tmp_path_factory.mktemp("replay"), in_memory=True) as running:
        yield running.connection_string


@pytest.fixture
async def ingest(clients: Clients, service: str) -> AsyncIterator[Ingest]:
    """What ingest works with, with nothing in quarantine and no message waiting."""
    for container in (QUARANTINE, QUARANTINE_REASONS):
        await clear(clients.container(container))
    async with DICOMwebClient(f"{service}/v2") as dicom:
        ingest = Ingest.over(replace(clients, dicom=dicom))
        await ingest.queues.send(Renamed("nothing/"))  # the queue is there from now on
        await clients.queues.get_queue_client(ARRIVALS).clear_messages()
        yield ingest


async def drop(ingest: Ingest, name: str, content: bytes) -> str:
    """Upload a file, have it handled, and return its version."""
    uploaded = await ingest.clients.inbox.get_blob_client(name).upload_blob(content, overwrite=True)
    await handle(ingest, Arrival((name,), Door.BLOB))
    return str(uploaded["etag"]).strip('"')


async def a_conflict(ingest: Ingest, name: str, stored: Sample | None = None) -> tuple[Sample, bytes, str]:
    """Bring a file into quarantine; return the instance that stands in its way, its content, and its version."""
    if stored is None:
        stored = Sample()
        await drop(ingest, f"{new_uid()}.dcm", stored.content)
    content = replace(stored, elements={0x00081030: ("LO", new_uid().encode())}).content
    return stored, content, await drop(ingest, name, content)


async def blob(ingest: Ingest, container: str, name: str) -> bytes | None:
    try:
        return await (await ingest.clients.container(container).get_blob_client(name).download_blob()).readall()
    except ResourceNotFoundError:
        return None


async def quarantined(ingest: Ingest) -> list[str]:
    """Return the names in quarantine, which are those of the reasons beside them."""
    names = [name async for name in ingest.clients.container(QUARANTINE).list_blob_names()]
    reasons = [name async for name in ingest.clients.container(QUARANTINE_REASONS).list_blob_names()]
    assert reasons == [f"{name}.json" for name in names]
    return names


async def document_of(ingest: Ingest, name: str) -> Document:
    document = await read_receipt(ingest.clients, name)
    assert document is not None
    return document


def outcomes(receipt: Receipt) -> list[tuple[Any, Any]]:
    """Return the verdicts that a version has had, the one that counts last."""
    before = [(one["verdict"], one["reason"]) for one in receipt.superseded]
    return [*before, (receipt.verdict, receipt.reason)]


async def count(ingest: Ingest, instance: Sample) -> int:
    return len([one async for one in ingest.clients.dicom.iter_instances(study_instance_uid=instance.study)])


async def delete(ingest: Ingest, instance: Sample) -> None:
    await ingest.clients.dicom.delete_study(study_instance_uid=instance.study)


async def again(ingest: Ingest, name: str) -> None:
    """Replay one file to its end."""
    assert await replay_one(ingest, name, dry_run=False) == replay.Replay(dry_run=False, found=1, sent=1)
    assert await run_messages(ingest) == 1


CONFLICT = ("conflict", "other_bytes")


async def test_what_stood_in_the_way_is_gone(ingest: Ingest) -> None:
    """The file is stored; it leaves quarantine for the archive, and the receipt keeps the verdict from before."""
    stored, content, etag = await a_conflict(ingest, "a.dcm")
    await delete(ingest, stored)
    await again(ingest, "a.dcm")
    assert await quarantined(ingest) == []
    assert await blob(ingest, ARCHIVE, "a.dcm") == content
    document = await document_of(ingest, "a.dcm")
    assert document.newest.etag == etag
    assert outcomes(document.newest) == [CONFLICT, ("stored", None)]
    assert Document.from_json(document.to_json()).newest == document.newest
    assert await count(ingest, stored) == 1


REFUSALS = {"gave_up": "crashed", "conflict": "other_bytes", "rejected": "too_large"}


@pytest.mark.parametrize("after_store", AfterStore)
@pytest.mark.parametrize(("is_there", "verdict"), [(False, "stored"), (True, "duplicate")])
@pytest.mark.parametrize("is_moved", [True, False], ids=["quarantined before", "quarantined after"])
@pytest.mark.parametrize("refusal", REFUSALS)
async def test_a_slower_run_has_stored_what_was_refused(
    ingest: Ingest,
    monkeypatch: pytest.MonkeyPatch,
    after_store: AfterStore,
    is_there: bool,
    verdict: str,
    is_moved: bool,
    refusal: str,
) -> None:
    """Its verdict counts, and the file leaves quarantine as by a replay, whichever of the two runs ends first."""
    sample, name = Sample(), f"{new_uid()}.dcm"
    slow, fast = with_settings(ingest, after_store=after_store), with_settings(ingest, after_store=after_store)
    if refusal == "rejected":
        fast = with_settings(fast, max_instance_bytes=1)

    async def refuse() -> None:
        await (give_up(fast, name) if refusal == "gave_up" else handle_as_new(fast, name))

    async def change_what_is_stored() -> None:
        if refusal == "conflict":
            await delete(ingest, sample)
        if is_there:
            await ingest.clients.dicom.store_instance(Body.from_bytes(sample.content))

    async def be_overtaken() -> None:
        await refuse()
        await change_what_is_stored()

    async def overtake() -> None:
        await change_what_is_stored()
        await handle_as_new(slow, name)

    if refusal == "conflict":
        in_the_way = replace(sample, elements={0x00081030: ("LO", b"other")})
        await ingest.clients.dicom.store_instance(Body.from_bytes(in_the_way.content))
    await ingest.clients.inbox.upload_blob(name, sample.content)
    if is_moved:
        meanwhile(monkeypatch, upload, "store", be_overtaken)
        await handle_as_new(slow, name)
    else:
        meanwhile(monkeypatch, finishing, "dispose", overtake)
        await refuse()
    await run_messages(slow)
    receipt = (await document_of(ingest, name)).newest
    assert outcomes(receipt) == [(refusal, REFUSALS[refusal]), (verdict, None)]
    assert await quarantined(ingest) == []
    assert await blob(ingest, "dicom-inbox", name) is None
    assert await blob(ingest, ARCHIVE, name) == (None if after_store is AfterStore.DELETE else sample.content)
    assert await count(ingest, sample) == 1
    report = await reconcile(ingest.clients, names=True, grace_seconds=0)
    assert not [one for names in report.names.values() for one in names if one == name]


def with_settings(ingest: Ingest, **changes: Any) -> Ingest:
    """Return what another process works with, under other settings."""
    settings = ingest.clients.settings.model_copy(update=changes)
    return Ingest.over(replace(ingest.clients, settings=settings, sources=Sources(settings)))


async def handle_as_new(ingest: Ingest, name: str) -> None:
    """Handle a file that has just come: its run looks for no receipt before the store."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(clock, "now", lambda: datetime.now(UTC))
        await handle(ingest, Arrival((name,), Door.BLOB))


async def give_up(ingest: Ingest, name: str) -> None:
    """Have a file given up: its messages are set aside so often."""
    with pytest.MonkeyPatch.context() as patch:
        for hours in range(MAX_POISONINGS):
            later = datetime.now(UTC) + timedelta(hours=hours)
            patch.setattr(clock, "now", lambda later=later: later)
            await poisoned(ingest, Arrival((name,), Door.DEFERRAL))


def meanwhile(
    monkeypatch: pytest.MonkeyPatch, module: ModuleType, step: str, act: Callable[[], Awaitable[None]]
) -> None:
    """Do something before a step is taken for the first time."""
    then = getattr(module, step)

    async def after_act(*args: Any, **options: Any) -> Any:
        monkeypatch.setattr(module, step, then)
        await act()
        return await then(*args, **options)

    monkeypatch.setattr(module, step, after_act)


async def test_another_version_in_quarantine_is_left_alone(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies there under the same name, of an earlier version, is not sent through the handler."""
    name, sample = f"{new_uid()}.dcm", Sample()
    await drop(ingest, name, b"no DICOM")
    await ingest.clients.inbox.upload_blob(name, sample.content)
    meanwhile(monkeypatch, upload, "store", lambda: give_up(ingest, name))
    await handle(Ingest.over(ingest.clients), Arrival((name,), Door.BLOB))
    assert len(await quarantined(ingest)) == 2
    assert await run_messages(ingest) == 1
    assert await quarantined(ingest) == [name]
    assert [one.verdict for one in (await document_of(ingest, name)).versions] == ["rejected", "stored"]


async def test_still_in_conflict(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """It stays where it is, once, with the new reason beside it; what is stored is left alone."""
    stored, content, _ = await a_conflict(ingest, "b.dcm")
    for hours in (1, 2):
        later = datetime.now(UTC) + timedelta(hours=hours)
        monkeypatch.setattr(clock, "now", lambda later=later: later)
        await again(ingest, "b.dcm")
        assert await quarantined(ingest) == ["b.dcm"]
        assert await blob(ingest, QUARANTINE, "b.dcm") == content
        newest = (await document_of(ingest, "b.dcm")).newest
        assert (outcomes(newest), newest.decided_at) == ([CONFLICT], timestamp(later))
        assert await read_reason(ingest.clients, "b.dcm") == newest
    assert await count(ingest, stored) == 1


async def test_one_of_two_versions(ingest: Ingest) -> None:
    """The second of a name is `<name>~<etag>` in quarantine, and is replayed by that; the first stays. It adds up."""
    stored, first, first_etag = await a_conflict(ingest, "c.dcm")
    _, _, second_etag = await a_conflict(ingest, "c.dcm", stored)
    names = ["c.dcm", f"c.dcm~{second_etag}"]
    assert await quarantined(ingest) == names
    await delete(ingest, stored)
    await again(ingest, names[1])
    assert await quarantined(ingest) == ["c.dcm"]
    assert await blob(ingest, QUARANTINE, "c.dcm") == first
    document = await document_of(ingest, "c.dcm")
    assert outcomes(document.newest) == [CONFLICT, ("stored", None)]
    assert [(one.etag, *outcomes(one)) for one in document.earlier] == [(first_etag, CONFLICT)]
    report = await reconcile(ingest.clients, names=True, grace_seconds=0)
    assert report.in_quarantine == 1
    assert not [name for names in report.names.values() for name in names if name.startswith("c.dcm")]


async def test_the_inbox_has_a_newer_version(ingest: Ingest) -> None:
    """The newer file and its receipt stand; the replayed one's verdict is among the earlier."""
    stored, content, etag = await a_conflict(ingest, "d.dcm")
    newer = Sample()
    newer_etag = await drop(ingest, "d.dcm", newer.content)
    await delete(ingest, stored)
    await again(ingest, "d.dcm")
    document = await document_of(ingest, "d.dcm")
    assert (document.newest.etag, *outcomes(document.newest)) == (newer_etag, ("stored", None))
    assert [(one.etag, outcomes(one)) for one in document.earlier] == [(etag, [CONFLICT, ("stored", None)])]
    assert await blob(ingest, "dicom-inbox", "d.dcm") == newer.content
    assert await blob(ingest, ARCHIVE, "d.dcm") == content
    assert await quarantined(ingest) == []


async def test_the_newer_version_waits_in_quarantine_too(ingest: Ingest) -> None:
    """Both are replayed, each to a verdict of its own: the first is stored, the other is in its way."""
    stored, _, first = await a_conflict(ingest, "both.dcm")
    _, _, second = await a_conflict(ingest, "both.dcm", stored)
    await delete(ingest, stored)
    assert (await replay_all(ingest, dry_run=False)).sent == 2
    assert await run_messages(ingest) == 2
    document = await document_of(ingest, "both.dcm")
    verdicts = {one.etag: str(one.verdict) for one in document.versions}
    assert sorted(verdicts) == sorted([first, second])
    assert sorted(verdicts.values()) == ["conflict", "stored"]
    assert len(await quarantined(ingest)) == 1


async def test_twice_at_once(ingest: Ingest) -> None:
    """In two processes: one instance, one verdict, nothing left in quarantine."""
    stored, content, _ = await a_conflict(ingest, "e.dcm")
    await delete(ingest, stored)
    arrival = Arrival(("e.dcm",), Door.REPLAY, container=QUARANTINE)
    await asyncio.gather(*(handle(Ingest.over(ingest.clients), arrival) for _ in range(2)))
    await run_messages(ingest)
    assert await count(ingest, stored) == 1
    assert await quarantined(ingest) == []
    assert await blob(ingest, ARCHIVE, "e.dcm") == content
    receipt = (await document_of(ingest, "e.dcm")).newest
    assert outcomes(receipt)[0] == CONFLICT
    assert len(receipt.superseded) == 1
    assert receipt.is_in_service


async def test_what_retention_deleted_does_not_come_back(ingest: Ingest) -> None:
    """Unless ON_PURGED lets it in."""
    stored, _, _ = await a_conflict(ingest, "f.dcm")
    await delete(ingest, stored)
    state = ingest.clients.container(RETENTION_STATE)
    await state.upload_blob(pointer_name(None, stored.study), b"{}")
    await again(ingest, "f.dcm")
    assert outcomes((await document_of(ingest, "f.dcm")).newest) == [CONFLICT, ("rejected", "purged")]
    assert await quarantined(ingest) == ["f.dcm"]
    assert await count(ingest, stored) == 0
    settings = ingest.clients.settings.model_copy(update={"on_purged": OnPurged.STORE})
    lenient = Ingest.over(replace(ingest.clients, settings=settings))
    await again(lenient, "f.dcm")
    assert outcomes((await document_of(ingest, "f.dcm")).newest)[1:] == [("rejected", "purged"), ("stored", None)]
    assert await quarantined(ingest) == []


async def test_during_an_outage(ingest: Ingest) -> None:
    """The file keeps its place and its verdict; the message waits, longer each time, up to a bound, and never ends."""
    stored, _, _ = await a_conflict(ingest, "g.dcm")
    await delete(ingest, stored)
    before = await document_of(ingest, "g.dcm")
    arrival, delays = Arrival(("g.dcm",), Door.REPLAY, container=QUARANTINE), []
    async with DICOMwebClient("http://127.0.0.1:1/v2") as nowhere:
        down = Ingest.over(replace(ingest.clients, dicom=nowhere))
        for _ in range(MAX_REPLAY_TRIES * 2):
            queues = Recorded()
            await handle(replace(down, queues=queues), arrival)
            [(arrival, delay)] = queues.sent
            delays.append(delay)
    assert delays[0] < 10
    assert delays[:5] == sorted(delays[:5])
    assert 900 <= delays[-1] <= 1350
    assert await document_of(ingest, "g.dcm") == before
    assert await quarantined(ingest) == ["g.dcm"]
    await handle(ingest, arrival)
    assert outcomes((await document_of(ingest, "g.dcm")).newest) == [CONFLICT, ("stored", None)]


async def test_a_replay_that_keeps_failing_by_itself_ends(ingest: Ingest, caplog: pytest.LogCaptureFixture) -> None:
    """The file stays as it was, and can be replayed anew."""
    stored, _, _ = await a_conflict(ingest, "h.dcm")
    await delete(ingest, stored)
    before = await document_of(ingest, "h.dcm")

    class Failing(DICOMwebClient):
        async def store_instance(self, *_: Any, **__: Any) -> Any:
            raise ResponseLost("store")

    async with Failing("http://127.0.0.1:1/v2") as failing:
        waiting, runs = [Arrival(("h.dcm",), Door.REPLAY, container=QUARANTINE)], 0
        while waiting and runs <= MAX_REPLAY_TRIES:
            queues = Recorded()
            await handle(replace(Ingest.over(replace(ingest.clients, dicom=failing)), queues=queues), waiting.pop())
            waiting, runs = [item for item, _ in queues.sent], runs + 1
    assert runs == MAX_REPLAY_TRIES
    assert "replay_ended" in caplog.text
    assert await document_of(ingest, "h.dcm") == before
    assert await quarantined(ingest) == ["h.dcm"]


async def test_a_replay_that_ends_the_app_ends(ingest: Ingest, caplog: pytest.LogCaptureFixture) -> None:
    """A message that the platform sets aside is not sent again, and the file stays as it was."""
    await a_conflict(ingest, "i.dcm")
    before = await document_of(ingest, "i.dcm")
    await poisoned(ingest, Arrival(("i.dcm",), Door.REPLAY, container=QUARANTINE))
    assert "replay_ended" in caplog.text
    assert await run_messages(ingest) == 0
    assert await document_of(ingest, "i.dcm") == before


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("step", ["copy_verified", "delete_version", "delete_reason"])
async def test_a_process_that_dies_between_two_steps(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    """The verdict is written; all that the next run has left to do is to take the file out, even where the instance
    has been deleted on purpose since."""
    stored, content, _ = await a_conflict(ingest, f"{step}.dcm")
    await delete(ingest, stored)
    arrival = Arrival((f"{step}.dcm",), Door.REPLAY, container=QUARANTINE)

    async def die(*_: object, **__: object) -> None:
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(disposal, step, die)
        with pytest.raises(Killed):
            await handle(ingest, arrival)
    await delete(ingest, stored)
    await handle(Ingest.over(ingest.clients), arrival)
    assert await quarantined(ingest) == []
    assert await blob(ingest, ARCHIVE, f"{step}.dcm") == content
    assert outcomes((await document_of(ingest, f"{step}.dcm")).newest) == [CONFLICT, ("stored", None)]
    assert await count(ingest, stored) == 0


async def test_a_file_that_is_none_of_ours_any_more_stays(ingest: Ingest) -> None:
    """Only what is in the service may leave quarantine."""
    _, content, _ = await a_conflict(ingest, "k.dcm")
    settings = ingest.clients.settings.model_copy(update={"inbox_suffixes": (".ima",)})
    sources = Sources(settings)
    await again(Ingest.over(replace(ingest.clients, settings=settings, sources=sources)), "k.dcm")
    assert outcomes((await document_of(ingest, "k.dcm")).newest) == [CONFLICT, ("ignored", "name")]
    assert await quarantined(ingest) == ["k.dcm"]
    assert await blob(ingest, QUARANTINE, "k.dcm") == content


async def test_the_reason_of_another_version_in_its_place_stays(ingest: Ingest) -> None:
    """A name is free for the next file as soon as the first has left."""
    _, _, etag = await a_conflict(ingest, "l.dcm")
    await delete_reason(ingest.clients, "l.dcm", "0x1")
    assert await quarantined(ingest) == ["l.dcm"]
    await delete_reason(ingest.clients, "l.dcm", etag)
    assert await read_reason(ingest.clients, "l.dcm") is None


async def test_a_file_beside_the_reason_of_another_version_is_left_alone(ingest: Ingest) -> None:
    """A run has died before it wrote the file's own reason, or a person has put it there."""
    stored, _, _ = await a_conflict(ingest, "m.dcm")
    await delete(ingest, stored)
    other = Sample()
    await ingest.clients.container(QUARANTINE).upload_blob("m.dcm", other.content, overwrite=True)
    await handle(ingest, Arrival(("m.dcm",), Door.REPLAY, container=QUARANTINE))
    assert await blob(ingest, QUARANTINE, "m.dcm") == other.content
    assert await count(ingest, other) == 0
    assert outcomes((await document_of(ingest, "m.dcm")).newest) == [CONFLICT]


async def test_all_by_portions(ingest: Ingest, monkeypatch: pytest.MonkeyPatch) -> None:
    """The oldest first, each once, whatever leaves meanwhile; where it goes on says no name."""
    monkeypatch.setattr(replay, "MOST_AT_ONCE", 2)
    stored = Sample()
    await drop(ingest, "stored.dcm", stored.content)
    names = [f"all/{letter}.dcm" for letter in "edcba"]
    for name in names:
        await a_conflict(ingest, name, stored)
    await ingest.clients.container(QUARANTINE).upload_blob("put here by hand.dcm", b"")
    assert await replay_all(ingest, dry_run=True) == replay.Replay(dry_run=True, found=5, sent=0)
    assert await run_messages(ingest) == 0
    continuation, answers = None, []
    for _ in range(3):
        done = await replay_all(ingest, dry_run=False, continuation=continuation)
        answers.append((done.found, done.sent, await run_messages(ingest)))
        continuation = done.continuation
        assert "dcm" not in (continuation or "")
    assert answers == [(5, 2, 2), (3, 2, 2), (1, 1, 1)]
    assert continuation is None
    for name in names:
        assert outcomes((await document_of(ingest, name)).newest) == [CONFLICT]


async def test_what_cannot_be_replayed(ingest: Ingest) -> None:
    """No such file; one that did not come from the inbox; one without a reason, or with none that can be read."""
    await ingest.clients.container(QUARANTINE).upload_blob("by hand.dcm", b"")
    _, _, etag = await a_conflict(ingest, "m.dcm")
    await delete_reason(ingest.clients, "m.dcm", etag)
    await a_conflict(ingest, "n.dcm")
    await ingest.clients.container(QUARANTINE_REASONS).upload_blob("n.dcm.json", b"{}", overwrite=True)
    for name in ("nothing.dcm", "by hand.dcm", "m.dcm", "n.dcm"):
        assert await replay_one(ingest, name, dry_run=False) is None
    assert await run_messages(ingest) == 0


async def test_a_file_that_was_put_back_is_kept(ingest: Ingest) -> None:
    """Its receipt says that it is stored, but the instance was deleted since: it goes to the archive, also where files
    are deleted, for it may be the only copy."""
    name = "put back.dcm"
    settings = ingest.clients.settings.model_copy(update={"after_store": AfterStore.DELETE})
    ingest = Ingest.over(replace(ingest.clients, settings=settings, sources=Sources(settings)))
    stored, content, _ = await a_conflict(ingest, name)
    kept = []
    for container, blob_name in ((QUARANTINE, name), (QUARANTINE_REASONS, f"{name}.json")):
        client = ingest.clients.container(container).get_blob_client(blob_name)
        download = await client.download_blob()
        kept.append((client, await download.readall(), download.properties.metadata))
    await delete(ingest, stored)
    await handle(ingest, Arrival((name,), Door.REPLAY, container=QUARANTINE))
    assert await blob(ingest, ARCHIVE, name) is None
    await delete(ingest, stored)
    for client, written, metadata in kept:
        await client.upload_blob(written, metadata=metadata)
    await handle(ingest, Arrival((name,), Door.REPLAY, container=QUARANTINE))
    assert await quarantined(ingest) == []
    assert await blob(ingest, ARCHIVE, name) == content
    assert await count(ingest, stored) == 0
