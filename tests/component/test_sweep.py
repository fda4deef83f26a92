"""The sweep on a real storage account: what it queues, what it leaves alone, and how many requests that takes."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from azure.core.exceptions import ResourceNotFoundError
from azure.core.pipeline.transport import AioHttpTransport
from azure.storage.blob.aio import BlobLeaseClient, BlobServiceClient

from local.azurite import Azurite
from shared import clock
from shared.arrivals import Arrival, Door
from shared.clients import Clients
from shared.queues import ARRIVALS
from shared.settings import CONTROL, DEAD_LETTERS, OWN_CONTAINERS, RECEIPTS
from store_on_upload.doors.arrivals import read_message
from store_on_upload.doors.messages import handle_message
from store_on_upload.files import listing
from store_on_upload.files.listing import Row
from store_on_upload.ingest import Ingest
from store_on_upload.receipts.container import read_receipt, write_receipt
from store_on_upload.receipts.document import Document
from store_on_upload.receipts.receipt import Receipt, State, parse_timestamp, timestamp
from store_on_upload.setback import outage
from store_on_upload.sweeping import progress as sweep_progress
from store_on_upload.sweeping import requeue
from store_on_upload.sweeping import sweep as sweep_module
from store_on_upload.sweeping.overdue import Step, Times
from store_on_upload.sweeping.set_aside import tell_of_what_is_set_aside
from store_on_upload.sweeping.sweep import sweep
from store_on_upload.upload import handle
from store_on_upload.verdict import Decision, Verdict
from store_on_upload.waiting.put_off import put_off
from store_on_upload.waiting.stop_switch import STOP
from tests.kit.files import Sample

# In an order that differs with what names are compared by: UTF-8, UTF-16, or a language's rules.
ODD_NAMES = ["a", "a-b", "a/b", "A", "B", "é", "e\u0301", "\uff5e", "\U0001f600", "\U0001f600/x", "z", "Z", "ä ö.dcm"]
HOUR = timedelta(hours=1)
REFUSAL = b"<Error><Code>OutOfRangeInput</Code><Message>One of the inputs is out of range.</Message></Error>"


@pytest.fixture(scope="module")
def azurite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An account of this module's own: a sweep looks at all of an inbox."""
    with Azurite(tmp_path_factory.mktemp("sweep"), in_memory=True) as running:
        yield running.connection_string


@pytest.fixture
async def ingest(clients: Clients) -> Ingest:
    """What a sweep works with: an empty inbox, and nothing known of it."""
    for name in (clients.settings.dicom_inbox_container, *OWN_CONTAINERS):
        container = clients.container(name)
        async for blob in container.list_blob_names():
            await container.delete_blob(blob)
    try:
        await clients.queues.get_queue_client(ARRIVALS).clear_messages()
    except ResourceNotFoundError:
        await clients.queues.create_queue(ARRIVALS)
    return Ingest.over(clients)


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[timedelta], None]:
    """Set the app's clock ahead."""

    def set_ahead(ahead: timedelta) -> None:
        monkeypatch.setattr(clock, "now", lambda: datetime.now(UTC) + ahead)

    set_ahead(HOUR)
    return set_ahead


async def drop(ingest: Ingest, *names: str, content: bytes = b"x", **options: Any) -> list[str]:
    """Upload blobs; return their versions."""
    etags = []
    for name in names:
        uploaded = await ingest.clients.inbox.upload_blob(name, content, overwrite=True, **options)
        etags.append((await uploaded.get_blob_properties()).etag.strip('"'))
    return etags


def receipt_of(name: str, etag: str, verdict: Verdict | None = None, **fields: Any) -> Receipt:
    receipt = Receipt(name, etag, 1, timestamp(datetime.now(UTC)), state=State.DEFERRED, **fields)
    return receipt.decided(Decision(verdict), clock.now()) if verdict else receipt


async def settle(ingest: Ingest, *names: str, **fields: Any) -> None:
    """Drop blobs that have their verdict."""
    for name in names:
        [etag] = await drop(ingest, name)
        await write_receipt(ingest.clients, receipt_of(name, etag, Verdict.STORED, **fields))


async def standing(ingest: Ingest, name: str) -> Receipt | None:
    document = await read_receipt(ingest.clients, name)
    return document.newest if document else None


async def taken(ingest: Ingest) -> list[Arrival]:
    """Return what is in the queue, and empty it."""
    queue = ingest.clients.queues.get_queue_client(ARRIVALS)
    inbox = ingest.clients.settings.dicom_inbox_container
    found: list[Arrival] = []
    async for message in queue.receive_messages(messages_per_page=32):
        found += [item for item in read_message(message.content.encode(), inbox) if isinstance(item, Arrival)]
        await queue.delete_message(message)
    return found


async def swept(ingest: Ingest, caplog: pytest.LogCaptureFixture) -> tuple[list[str], dict[str, Any]]:
    """Sweep; return the names that were queued, and what the sweep says of itself."""
    caplog.set_level(logging.INFO, "dicom_dropbox")
    caplog.clear()
    await sweep(ingest)
    [line] = [record.message for record in caplog.records if '"event": "sweep"' in record.message]
    arrivals = await taken(ingest)
    assert all(arrival.door is Door.SWEEP for arrival in arrivals)
    return sorted(name for arrival in arrivals for name in arrival.names), json.loads(line)


pytestmark = pytest.mark.usefixtures("later")


async def test_a_missed_blob_is_queued_once(ingest: Ingest, caplog: pytest.LogCaptureFixture) -> None:
    """Its receipt says so, so the next sweep leaves it alone; after its due time it counts as missed again."""
    [etag] = await drop(ingest, "missed.dcm")
    names, said = await swept(ingest, caplog)
    assert names == ["missed.dcm"]
    assert said.keys() == {"event", "seen", "queued", "oldest_pending_seconds", "seconds", "complete"}
    assert (said["seen"], said["queued"], said["complete"]) == (1, 1, True)
    assert said["oldest_pending_seconds"] >= 3590  # its hour; how long the test takes is no matter
    receipt = await standing(ingest, "missed.dcm")
    assert receipt is not None
    assert (receipt.etag, receipt.state, receipt.reason, receipt.after_store) == (etag, "queued", "swept", "keep")
    assert await swept(ingest, caplog) == ([], {**said, "queued": 0, **_times(caplog)})


def _times(caplog: pytest.LogCaptureFixture) -> dict[str, Any]:
    said = json.loads(caplog.records[-1].message)
    return {key: said[key] for key in ("seconds", "oldest_pending_seconds")}


async def test_a_lost_message_is_sent_again(
    ingest: Ingest, later: Callable[[timedelta], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Once it is overdue by more than a run can last, not before."""
    await drop(ingest, "lost.dcm")
    assert (await swept(ingest, caplog))[0] == ["lost.dcm"]
    later(timedelta(hours=2, minutes=10))
    assert (await swept(ingest, caplog))[0] == []
    later(timedelta(hours=2, minutes=20))
    assert (await swept(ingest, caplog))[0] == ["lost.dcm"]


async def test_a_young_blob_is_left_alone(
    ingest: Ingest, later: Callable[[timedelta], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Its own run may still be under way."""
    later(timedelta(seconds=800))
    await drop(ingest, "young.dcm")
    names, said = await swept(ingest, caplog)
    assert (names, said["seen"], said["oldest_pending_seconds"]) == ([], 1, 0)
    assert await standing(ingest, "young.dcm") is None


async def test_a_newer_version_is_queued(ingest: Ingest, caplog: pytest.LogCaptureFixture) -> None:
    """The verdict on the version before stands among the earlier ones."""
    await settle(ingest, "again.dcm")
    [etag] = await drop(ingest, "again.dcm")
    assert (await swept(ingest, caplog))[0] == ["again.dcm"]
    document = await read_receipt(ingest.clients, "again.dcm")
    assert document is not None
    assert [(one.verdict, one.state) for one in document.versions] == [("stored", "final"), (None, "queued")]
    assert document.newest.etag == etag


async def test_what_is_put_off_is_queued_only_when_overdue(ingest: Ingest, caplog: pytest.LogCaptureFixture) -> None:
    """What is known of its attempts stays known."""
    for name, minutes in (("waits.dcm", 1), ("overdue.dcm", -16), ("nearly.dcm", -14)):
        [etag] = await drop(ingest, name)
        due = timestamp(clock.now() + timedelta(minutes=minutes))
        await write_receipt(ingest.clients, receipt_of(name, etag, due_at=due, attempts=3, failing_seconds=5))
    names, said = await swept(ingest, caplog)
    assert names == ["overdue.dcm"]
    assert said["oldest_pending_seconds"] > 0
    receipt = await standing(ingest, "overdue.dcm")
    assert receipt is not None
    assert (receipt.attempts, receipt.failing_seconds, receipt.state) == (3, 5, "queued")


async def test_a_verdict_is_left_alone(ingest: Ingest, caplog: pytest.LogCaptureFixture) -> None:
    """A file that is kept has come to its end."""
    await settle(ingest, "kept.dcm")
    names, said = await swept(ingest, caplog)
    assert (names, said["oldest_pending_seconds"]) == ([], 0)


async def test_a_file_that_should_have_gone_is_disposed_of(
    ingest: Ingest, later: Callable[[timedelta], None], caplog: pytest.LogCaptureFixture
) -> None:
    """Again and again if it stays, ever more rarely; its verdict is not touched."""
    await settle(ingest, "stays.dcm", after_store="delete")
    before = await read_receipt(ingest.clients, "stays.dcm")
    sent = []
    for minutes in range(65, 65 + 24 * 60, 15):
        later(timedelta(minutes=minutes))
        sent += [minutes] * len((await swept(ingest, caplog))[0])
    assert sent[0] == 65
    assert len(sent) in (6, 7)  # of 96 sweeps
    assert await read_receipt(ingest.clients, "stays.dcm") == before


async def test_a_leased_file_waits(ingest: Ingest, caplog: pytest.LogCaptureFixture) -> None:
    """The listing tells that it cannot go; the message would be for nothing."""
    await settle(ingest, "leased.dcm", after_store="delete")
    lease = await ingest.clients.inbox.get_blob_client("leased.dcm").acquire_lease()
    assert (await swept(ingest, caplog))[0] == []
    await lease.release()


async def test_folders_are_no_files(ingest: Ingest, caplog: pytest.LogCaptureFixture) -> None:
    """With a hierarchical namespace every folder is listed: none is queued, nor gets a receipt in its place."""
    await drop(ingest, "folder", content=b"", metadata={"hdi_isfolder": "true"})
    await drop(ingest, "folder/file.dcm")
    names, said = await swept(ingest, caplog)
    assert (names, said["seen"]) == (["folder/file.dcm"], 2)
    assert await standing(ingest, "folder") is None


async def test_what_is_ignored_is_looked_at_once(
    ingest: Ingest, later: Callable[[timedelta], None], caplog: pytest.LogCaptureFixture
) -> None:
    """It gets its receipt by the same handler as all others."""
    await drop(ingest, "notes.txt", "half.dcm.part", "marker/")
    await sweep(ingest)
    queue = ingest.clients.queues.get_queue_client(ARRIVALS)
    async for message in queue.receive_messages():
        await handle_message(ingest, message.content.encode())
        await queue.delete_message(message)
    for name in ("notes.txt", "half.dcm.part", "marker/"):
        receipt = await standing(ingest, name)
        assert receipt is not None
        assert receipt.verdict is Verdict.IGNORED
    later(24 * HOUR)
    assert (await swept(ingest, caplog))[0] == []


async def test_a_receipt_that_was_deleted_is_given_anew(ingest: Ingest, caplog: pytest.LogCaptureFixture) -> None:
    """To have a file looked at again, whatever the process remembers of it."""
    await drop(ingest, "notes.txt")
    await handle(ingest, Arrival(("notes.txt",), Door.EVENT))
    await ingest.clients.container(RECEIPTS).delete_blob("notes.txt")
    assert (await swept(ingest, caplog))[0] == ["notes.txt"]
    await handle(ingest, Arrival(("notes.txt",), Door.SWEEP))
    receipt = await standing(ingest, "notes.txt")
    assert receipt is not None
    assert receipt.verdict is Verdict.IGNORED


async def test_a_verdict_given_meanwhile_stands(ingest: Ingest) -> None:
    """Between the listing and the sweep's receipt a run came to its end: the blob is not queued."""
    [etag] = await drop(ingest, "raced.dcm")
    final = receipt_of("raced.dcm", etag, Verdict.STORED)
    await write_receipt(ingest.clients, final)
    assert not await requeue.send_on(ingest, row_of("raced.dcm", etag), None, Step.QUEUE, times())
    assert await standing(ingest, "raced.dcm") == final
    assert await taken(ingest) == []


async def test_a_receipt_changed_after_it_was_read_is_not_overwritten(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The write is held to the version that was read."""
    [etag] = await drop(ingest, "raced.dcm")
    await write_receipt(ingest.clients, receipt_of("raced.dcm", etag, due_at=timestamp(clock.now() - HOUR)))
    final = receipt_of("raced.dcm", etag, Verdict.STORED)

    async def read_then_overtaken(clients: Clients, name: str) -> Document | None:
        document = await read_receipt(clients, name)
        await write_receipt(clients, final)
        return document

    monkeypatch.setattr(requeue, "read_receipt", read_then_overtaken)
    assert not await requeue.send_on(ingest, row_of("raced.dcm", etag), None, Step.QUEUE, times())
    assert await standing(ingest, "raced.dcm") == final


async def test_a_version_that_is_gone_does_not_come_in_front(ingest: Ingest) -> None:
    """A listing may be minutes old: what was overwritten since is not queued over the newer version's receipt."""
    [old] = await drop(ingest, "overwritten.dcm")
    await settle(ingest, "overwritten.dcm")
    before = await read_receipt(ingest.clients, "overwritten.dcm")
    assert not await requeue.send_on(ingest, row_of("overwritten.dcm", old), None, Step.QUEUE, times())
    assert await read_receipt(ingest.clients, "overwritten.dcm") == before


def row_of(name: str, etag: str) -> Row:
    return Row(name, etag, 1, datetime.now(UTC), {})


def times() -> Times:
    return Times(clock.now(), timedelta(seconds=900), clock.now())


async def test_names_in_whatever_order(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Each finds its receipt, in pages as small as can be; those without one are queued, each once."""
    monkeypatch.setattr(listing, "PAGE_SIZE", 2)
    monkeypatch.setattr("store_on_upload.sweeping.joining._LOOK_UPS_A_PAGE", 1)
    await settle(ingest, *ODD_NAMES)
    missed = [f"{name}+" for name in ODD_NAMES]
    await drop(ingest, *missed)
    names, said = await swept(ingest, caplog)
    assert names == sorted(missed)
    assert said["seen"] == 2 * len(ODD_NAMES)
    assert (await swept(ingest, caplog))[0] == []


async def test_a_storage_that_lists_in_another_order(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As if names were compared by a language's rules: the same is queued, at the cost of some requests."""
    monkeypatch.setattr("store_on_upload.sweeping.joining._key", lambda name: name.casefold()[::-1].encode("utf-8"))
    await test_names_in_whatever_order(ingest, monkeypatch, caplog)


async def test_a_sweep_goes_on_where_the_last_one_stopped(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Run by run, each as short as can be, the whole inbox is seen once; then it begins anew."""
    monkeypatch.setattr(listing, "PAGE_SIZE", 3)
    monkeypatch.setattr(sweep_module, "_BUDGET_SECONDS", 0)
    await settle(ingest, "0.dcm", "3.dcm", "8.dcm")
    missed = [f"{number}.dcm" for number in (1, 2, 4, 5, 6, 7)]
    await drop(ingest, *missed)
    runs = [await swept(ingest, caplog) for _ in range(3)]
    assert [said["complete"] for _, said in runs] == [False, False, True]
    assert [said.get("reason") for _, said in runs] == ["time", "time", None]
    assert [said["seen"] for _, said in runs] == [3, 3, 3]
    assert sorted(name for names, _ in runs for name in names) == missed
    assert (await swept(ingest, caplog))[1]["complete"] is False


async def test_a_place_that_storage_has_forgotten_means_to_begin_anew(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A continuation token is storage's own, and need not hold for ever."""
    await drop(ingest, "one.dcm", "two.dcm")
    progress = sweep_progress.Progress(timestamp(clock.now()), inbox_token="forgotten")
    await sweep_progress.save_progress(ingest.clients, progress)
    async with counted(ingest, refuse_marker="forgotten") as (watched, _):
        names, said = await swept(watched, caplog)
    assert names == ["one.dcm", "two.dcm"]
    assert said["complete"] is True


@pytest.mark.parametrize("content", [b"", b"no JSON", b"[]", b'{"schema": 1, "began_at": "yesterday"}'])
async def test_a_note_that_cannot_be_read_means_to_begin_anew(
    ingest: Ingest, content: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    """Whoever wrote it: it only saves listing."""
    await ingest.clients.container(CONTROL).upload_blob(sweep_progress.PROGRESS, content)
    await drop(ingest, "one.dcm")
    assert (await swept(ingest, caplog))[0] == ["one.dcm"]


async def test_the_queue_does_not_grow_beyond_its_bound(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The rest is left for the runs after, which go on in the middle of the page, even where the queue stays full."""
    monkeypatch.setattr(sweep_module, "MOST_WAITING", 5)
    monkeypatch.setattr(sweep_module, "LEAST_QUEUED", 2)
    missed = [f"{number}.dcm" for number in range(9)]
    await drop(ingest, *missed)
    names, said = await swept(ingest, caplog)
    assert (len(names), said["queued"], said["reason"], said["complete"]) == (5, 5, "queue_full", False)
    for _ in range(5):
        await ingest.queues.send(Arrival(("other.dcm",), Door.EVENT), 60)
    more, said = await swept(ingest, caplog)
    assert (len(more), said["reason"]) == (2, "queue_full")
    last, said = await swept(ingest, caplog)
    assert said["complete"] is True
    assert sorted(names + more + last) == missed


async def test_nothing_is_queued_while_ingest_is_stopped(ingest: Ingest, caplog: pytest.LogCaptureFixture) -> None:
    """The event says why."""
    await drop(ingest, "waits.dcm")
    await ingest.clients.container(CONTROL).upload_blob(STOP, b"")
    names, said = await swept(ingest, caplog)
    assert (names, said["reason"], said["complete"]) == ([], "stopped", False)
    assert await standing(ingest, "waits.dcm") is None


async def test_an_outage_that_the_sweep_does_not_know_of(
    ingest: Ingest, later: Callable[[timedelta], None], caplog: pytest.LogCaptureFixture
) -> None:
    """As where its process is another one: for as long as files come back on time, it adds no message to theirs.

    One whose event got lost is queued, and put off like the others.
    """
    await drop(ingest, "waits.dcm", content=Sample().content)
    await handle(ingest, Arrival(("waits.dcm",), Door.BLOB))
    assert ingest.circuit.is_open
    await drop(ingest, "missed.dcm", content=Sample().content)
    queued = []
    for minutes in range(65, 65 + 4 * 60, 5):
        later(timedelta(minutes=minutes))
        queued += (await swept(Ingest.over(ingest.clients), caplog))[0]
        for name in ("waits.dcm", "missed.dcm"):
            receipt = await standing(ingest, name)
            assert receipt is not None
            if receipt.state is State.QUEUED or parse_timestamp(str(receipt.due_at)) <= clock.now():
                await put_off(ingest, Arrival((name,), Door.DEFERRAL), outage(is_certain=True))
                # Its message would come by storage's clock, on a slow machine between two of these sweeps.
                await ingest.clients.queues.get_queue_client(ARRIVALS).clear_messages()
    assert queued == ["missed.dcm"]
    waits = await standing(ingest, "waits.dcm")
    assert waits is not None
    assert waits.deferrals > 10


async def test_one_bad_receipt_does_not_keep_the_others(ingest: Ingest, caplog: pytest.LogCaptureFixture) -> None:
    """Somebody wrote to our container: that blob waits for a person, and the log tells."""
    await drop(ingest, "bad.dcm", "good.dcm")
    await ingest.clients.container(RECEIPTS).upload_blob("bad.dcm", b"not ours")
    names, said = await swept(ingest, caplog)
    assert (names, said["complete"]) == (["good.dcm"], True)
    [failure] = [record.message for record in caplog.records if "blob_failed" in record.message]
    assert "Unreadable" in failure
    assert "bad.dcm" not in failure


async def test_a_receipt_in_the_archive_tier_does_not_keep_the_others(
    ingest: Ingest, caplog: pytest.LogCaptureFixture
) -> None:
    """Storage does not give it out (409): the sweep goes on."""
    [etag] = await drop(ingest, "a.dcm")
    await write_receipt(ingest.clients, receipt_of("a.dcm", etag, Verdict.STORED))
    await drop(ingest, "a.dcm", content=b"newer")
    await ingest.clients.container(RECEIPTS).get_blob_client("a.dcm").set_standard_blob_tier("Archive")
    await drop(ingest, "b.dcm")
    names, said = await swept(ingest, caplog)
    assert (names, said["complete"]) == (["b.dcm"], True)


async def test_requests_grow_with_pages_not_with_blobs(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The two listings, the stop switch, the place to go on, and nothing for each blob."""
    monkeypatch.setattr(listing, "PAGE_SIZE", 50)
    await settle(ingest, *[f"{number:03}.dcm" for number in range(200)])
    async with counted(ingest) as (watched, asked):
        names, said = await swept(watched, caplog)
    assert (names, said["seen"]) == ([], 200)
    assert asked["list"] == 8
    assert asked.total() - asked["list"] <= 4 + 2  # the place is written after each page


async def test_a_small_inbox_is_not_joined_with_all_receipts(
    ingest: Ingest, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where files leave the inbox the receipts grow for ever: those of the few that are left are looked up."""
    monkeypatch.setattr(listing, "PAGE_SIZE", 10)
    for number in range(100):
        await write_receipt(ingest.clients, receipt_of(f"{number:03}.dcm", "1", Verdict.STORED))
    await settle(ingest, "left 1.dcm", "left 2.dcm")
    await drop(ingest, "left 3.dcm")
    async with counted(ingest) as (watched, asked):
        assert (await swept(watched, caplog))[0] == ["left 3.dcm"]
    assert asked["list"] == 1
    assert asked["HEAD dicom-receipts"] == 3


def counted(ingest: Ingest, refuse_marker: str | None = None) -> Any:
    """Return the same ingest over a connection that counts its requests by kind."""
    asked: Counter[str] = Counter()

    class Counting(AioHttpTransport):  # type: ignore[misc]  # without types where aiohttp is optional
        async def send(self, request: Any, **options: Any) -> Any:
            is_list = "comp=list" in request.url
            container = request.url.split("/devstoreaccount1/")[1].split("/")[0].split("?")[0]
            asked["list" if is_list else f"{request.method} {container}"] += 1
            response = await super().send(request, **options)
            if refuse_marker and f"marker={refuse_marker}" in request.url:
                response.status_code, response._content = 400, REFUSAL  # Azurite takes any marker
            return response

    @asynccontextmanager
    async def watching() -> AsyncIterator[tuple[Ingest, Counter[str]]]:
        connection = str(ingest.clients.settings.dicom_storage)
        async with BlobServiceClient.from_connection_string(connection, transport=Counting()) as inbox:
            storage = replace(ingest.clients.storage, inbox=inbox)
            yield Ingest.over(replace(ingest.clients, storage=storage)), asked

    return watching()


async def test_a_listing_tells_what_the_sdk_tells(ingest: Ingest) -> None:
    """Of each blob the same, whatever its name and metadata."""
    await drop(ingest, *ODD_NAMES, "with spaces & <brackets>?#%41.dcm", metadata={"hdi_isfolder": "true", "x": "a b"})
    await drop(ingest, "empty", content=b"")
    await ingest.clients.inbox.get_blob_client("z").acquire_lease()
    told = [Row.of(blob) async for blob in ingest.clients.inbox.list_blobs(include=["metadata"])]
    assert await listing.Listing(ingest.clients.inbox).next_page() == told
    assert [row.name for row in told if row.is_leased] == ["z"]
    lease = ingest.clients.inbox.get_blob_client("z")
    await BlobLeaseClient(lease).break_lease(0)


async def test_what_waits_for_a_person_is_told_of(ingest: Ingest, caplog: pytest.LogCaptureFixture) -> None:
    """How much there is, and nothing where there is nothing, or no container for dead letters."""
    caplog.set_level(logging.INFO, "dicom_dropbox")
    letters = ingest.clients.container(DEAD_LETTERS)
    await letters.delete_container()
    await tell_of_what_is_set_aside(ingest)
    await letters.create_container()
    await tell_of_what_is_set_aside(ingest)
    assert caplog.messages == []
    await ingest.queues.park("no event")
    await ingest.queues.park("none either")
    await ingest.queues.set_aside_foreign("another app's")
    await letters.upload_blob("topic/letter.json", b"[]")
    # As an account with a hierarchical namespace lists it, where it stays when the letter is gone.
    await letters.upload_blob("topic", b"", metadata={"hdi_isfolder": "true"})
    await tell_of_what_is_set_aside(ingest)
    assert list(map(json.loads, caplog.messages)) == [{"event": "set_aside", "messages": 3, "dead_letters": 1}]


@pytest.mark.usefixtures("later")
async def test_a_name_that_leads_to_another_blob(ingest: Ingest) -> None:
    """The sweep leaves the blob alone, and asks for no receipt of that name."""
    blob = await ingest.clients.inbox.upload_blob("..\\swept.dcm", b"x")
    try:
        assert [name async for name in ingest.clients.inbox.list_blob_names()] == ["../swept.dcm"]
        await sweep(ingest)
        assert await ingest.queues.waiting() == 0
        assert [name async for name in ingest.clients.container(RECEIPTS).list_blob_names()] == []
    finally:
        await blob.delete_blob()
