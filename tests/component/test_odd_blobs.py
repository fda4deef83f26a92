"""Blobs unlike what most producers drop: oddly declared, oddly built, or under rules that have changed since."""

from __future__ import annotations

import gzip
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import ContentSettings
from azure.storage.blob._generated.aio.operations import BlobOperations

from shared.arrivals import Arrival, Door, write_message
from shared.clients import Clients
from shared.probe_uids import ROOT
from shared.purged import pointer_name
from shared.queues import PARKED
from shared.settings import ARCHIVE, QUARANTINE, RETENTION_STATE, AfterStore, OnPurged
from shared.small_blobs import read_whole
from store_on_upload.doors.messages import handle_message
from store_on_upload.doors.poison import handle_poisoned_arrival, handle_poisoned_blob
from store_on_upload.files.source import Source, SourceGone
from store_on_upload.ingest import Ingest
from store_on_upload.receipts.container import read_receipt
from store_on_upload.upload import handle
from tests.kit.files import (
    DEFLATED,
    LIKE_THE_END,
    Sample,
    compressed,
    deflated,
    encoded,
    new_uid,
    part10,
    untold,
)
from tests.kit.host_messages import blob_trigger_message
from tests.kit.runs import Place, other, place_at
from tests.kit.service import running


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("dicom")) as root:
        yield root


@pytest.fixture
async def place(clients: Clients, root: str) -> AsyncIterator[Place]:
    async with place_at(clients, root) as place:
        yield place


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br"])
@pytest.mark.parametrize("value_bytes", [10, 6_000_000])
async def test_a_content_encoding_that_is_not_true(place: Place, encoding: str, value_bytes: int) -> None:
    """What the blob holds is stored, as it is, in one piece or several."""
    sample, name = Sample(elements={0x00420011: ("OB", bytes(value_bytes))}), f"{encoding} {value_bytes}.dcm"
    await declared(place, name, sample.content, encoding)
    assert (await place.settled(name)).verdict == "stored"
    assert await place.stored(sample) == sample.content


async def test_a_content_encoding_that_is_true(place: Place) -> None:
    """A compressed file is an archive, and stays one."""
    content, name = gzip.compress(Sample().content), "packed.dcm"
    await declared(place, name, content, "gzip")
    receipt = await place.settled(name)
    assert (receipt.verdict, receipt.reason, receipt.size_bytes) == ("rejected", "archive", len(content))


@pytest.mark.parametrize("tag", [0x0020000D, 0x0020000E, 0x00080018])
async def test_uids_with_letters_are_left_to_the_service(place: Place, tag: int) -> None:
    """The local service refuses them, as the open-source one does, and the verdict is final."""
    name = f"letters {tag:08X}.dcm"
    await place.drop(name, Sample(elements={tag: ("UI", b"1.2.840.a-B\0")}).content)
    receipt = await place.settled(name)
    assert (receipt.verdict, receipt.reason) == ("rejected", "refused")


async def declared(place: Place, name: str, content: bytes, encoding: str) -> None:
    """Drop a file and say how it is encoded, be that true or not."""
    settings = ContentSettings(content_encoding=encoding)
    await place.clients.inbox.upload_blob(name, content, content_settings=settings)


def behind_large_values(count: int) -> Sample:
    """Return an instance whose study and series come after private values of a MiB each."""
    values = {0x00091000 + number: ("OB", bytes(1_100_000)) for number in range(count)}
    return Sample(elements={0x00090010: ("LO", b"LARGE"), **values})


@pytest.mark.parametrize(
    ("kind", "sample"), [("one", behind_large_values(1)), ("many", behind_large_values(40)), ("deflated", untold())]
)
async def test_uids_behind_large_values(place: Place, kind: str, sample: Sample) -> None:
    """The receipt has them, of the file that is stored and of its duplicate."""
    if kind == "deflated":
        place = place.with_settings(on_purged=OnPurged.STORE)  # its study cannot be told
    else:
        await purge(place, None, new_uid())  # which keeps out no file whose study is known
    for name, verdict in ((f"{kind} first.dcm", "stored"), (f"{kind} again.dcm", "duplicate")):
        await place.drop(name, sample.content)
        receipt = await place.settled(name)
        named = (receipt.study_instance_uid, receipt.series_instance_uid, receipt.sop_instance_uid)
        assert (receipt.verdict, *named) == (verdict, sample.study, sample.series, sample.sop)


LARGE = encoded({0x7FDF0010: ("LO", b"LARGE"), 0x7FDF1000: ("OB", bytes(1_100_000))})
PIXELS = encoded({0x7FE00010: ("OW", bytes(1 << 21))})
UNKNOWN, REFUSED = "study_unknown", "other_study"  # by the app, before anything is sent; by the service
# Where a second UID is, and who keeps the file out.
HIDDEN: dict[str, tuple[Callable[[Sample, bytes], bytes], str]] = {
    "next": (lambda sample, second: part10(sample.dataset + second), UNKNOWN),
    "behind a large value": (lambda sample, second: part10(sample.dataset + LARGE + second), UNKNOWN),
    "behind pixels": (lambda sample, second: part10(sample.dataset + LARGE + PIXELS + second), UNKNOWN),
    "at the end": (compressed, UNKNOWN),
    "unseen behind compressed pixels": (lambda sample, second: compressed(sample, second + LIKE_THE_END), REFUSED),
    "deflated": (lambda sample, second: in_deflated(sample.dataset + second), UNKNOWN),
    "unseen in a deflated dataset": (lambda sample, second: in_deflated(sample.dataset + LARGE + second), REFUSED),
}


def in_deflated(dataset: bytes) -> bytes:
    return part10(deflated(dataset), transfer_syntax=DEFLATED)


@pytest.mark.parametrize("where", HIDDEN)
@pytest.mark.parametrize("kept_out", ["purged", "reserved"])
async def test_a_file_with_two_studies(place: Place, kept_out: str, where: str) -> None:
    """It does not come into the one that takes no files, though the service would read that one."""
    study = new_uid() if kept_out == "purged" else f"{ROOT}.99"
    await purge(place, None, new_uid() if kept_out == "reserved" else study)
    made, reason = HIDDEN[where]
    content, name = made(Sample(), encoded({0x0020000D: ("UI", study.encode())})), f"{kept_out} {where}.dcm"
    await place.drop(name, content)
    receipt = await place.settled(name)
    assert (receipt.verdict, receipt.reason) == ("rejected", reason)
    assert await place.clients.dicom.search_for_instances(study_instance_uid=study) == []
    assert await place.quarantined(name) == {name: content}


@pytest.mark.parametrize("tag", [0x00080018, 0x0020000E], ids=["instance", "series"])
async def test_a_second_uid_that_only_the_service_sees(
    place: Place, tag: int, caplog: pytest.LogCaptureFixture
) -> None:
    """The file does not count as stored: it is in quarantine, and the receipt has the UIDs that the service has."""
    sample, second, name = Sample(), new_uid(), f"second {tag}.dcm"
    content = compressed(sample, encoded({tag: ("UI", second.encode())}) + LIKE_THE_END)
    await place.drop(name, content)
    receipt = await place.settled(name)
    assert (receipt.verdict, receipt.reason) == ("rejected", "other_uids")
    assert second in (receipt.series_instance_uid, receipt.sop_instance_uid)
    [stored] = await place.clients.dicom.search_for_instances(study_instance_uid=sample.study)
    assert second in (stored.SeriesInstanceUID, stored.SOPInstanceUID)
    assert await place.quarantined(name) == {name: content}
    [said] = [record for record in caplog.records if '"event": "other_uids"' in record.getMessage()]
    assert said.levelname == "ERROR"
    assert not any(uid in caplog.text for uid in (second, sample.study, sample.series, sample.sop))


async def purge(place: Place, partition: str | None, study: str) -> None:
    """Let retention have deleted a study."""
    await place.clients.container(RETENTION_STATE).upload_blob(pointer_name(partition, study), b"{}")


async def test_a_purged_study_whose_uid_lies_behind_large_values(place: Place) -> None:
    """It does not come back."""
    sample, name = behind_large_values(1), "purged.dcm"
    await purge(place, None, sample.study)
    await place.drop(name, sample.content)
    receipt = await place.settled(name)
    assert (receipt.verdict, receipt.reason, receipt.study_instance_uid) == ("rejected", "purged", sample.study)
    assert await place.clients.dicom.search_for_instances(study_instance_uid=sample.study) == []
    assert await place.quarantined(name) == {name: sample.content}


async def test_a_study_that_cannot_be_told(clients: Clients, tmp_path: Path) -> None:
    """Its files are sent as long as retention has deleted nothing in their partition; then they are not, but replayed.

    Once it is stored, ingest could not take back what turns out to be of a purged study.
    """
    with running(tmp_path, partitions=True) as root:
        async with place_at(clients, root, partition="told-by-none") as place:
            await purge(place, "another", Sample().study)
            sample, name = untold(), "before.dcm"
            await place.drop(name, sample.content)
            assert (await place.settled(name)).verdict == "stored"
            await purge(place, "told-by-none", Sample().study)
            sample, name = untold(), "after.dcm"
            await place.drop(name, sample.content)
            receipt = await place.settled(name)
            assert (receipt.verdict, receipt.reason) == ("rejected", "study_unknown")
            dicom = place.clients.dicom_in("told-by-none")
            assert await dicom.search_for_instances(study_instance_uid=sample.study) == []
            assert await place.quarantined(name) == {name: sample.content}
            place = place.with_settings(on_purged=OnPurged.STORE, partition="told-by-none")
            await handle(place.process(), Arrival((name,), Door.REPLAY, container=QUARANTINE))
            assert (await place.receipt(name)).verdict == "stored"
            assert await place.stored(sample, "told-by-none") == sample.content


@pytest.mark.parametrize(
    ("name", "outcome"), [("BACKUP", ("ignored", "no_dicom_content")), ("a.dcm", ("rejected", "not_dicom"))]
)
async def test_large_and_no_dicom(place: Place, name: str, outcome: tuple[str, str]) -> None:
    """Without a suffix the content decides, however much of it there is."""
    await place.drop(name, b"letters" * 1000)
    receipt = await place.with_settings(max_instance_bytes=5000).settled(name)
    assert (receipt.verdict, receipt.reason) == outcome


def blob_poison(name: str) -> bytes:
    """Return what the host writes for a blob trigger's message that failed five times."""
    return json.dumps(blob_trigger_message(name)).encode()


ENTRY_POINTS: dict[str, Callable[[Ingest, str], Awaitable[None]]] = {
    **{
        door: lambda ingest, name, door=door: handle(ingest, Arrival((name,), door))  # type: ignore[misc]
        for door in (Door.BLOB, Door.DEFERRAL, Door.SWEEP)
    },
    "replay": lambda ingest, name: handle(ingest, Arrival((name,), Door.REPLAY, container=QUARANTINE)),
    "event": lambda ingest, name: handle_message(ingest, json.dumps(created_event(name)).encode()),
    "our message": lambda ingest, name: handle_message(ingest, write_message(Arrival((name,), Door.DEFERRAL)).encode()),
    "poisoned blob": lambda ingest, name: handle_poisoned_blob(ingest, blob_poison(name)),
    "poisoned event": lambda ingest, name: handle_poisoned_arrival(ingest, json.dumps(created_event(name)).encode()),
}


def created_event(name: str) -> dict[str, object]:
    """Return a storage event of a new blob of this name."""
    subject = f"/blobServices/default/containers/dicom-inbox/blobs/{name}"
    return {"eventType": "Microsoft.Storage.BlobCreated", "subject": subject, "data": {"api": "PutBlob"}}


@pytest.mark.parametrize("name", ["../dicom-archive/only.dcm", "a/../../dicom-archive/only.dcm", "folder\\only.dcm"])
@pytest.mark.parametrize("entry_point", ENTRY_POINTS)
async def test_a_name_that_leads_to_another_blob(
    place: Place, caplog: pytest.LogCaptureFixture, entry_point: str, name: str
) -> None:
    """It is ignored with one line in the log; no other blob is read or deleted, and no message remains."""
    place = place.with_settings(after_store=AfterStore.DELETE)
    content = Sample().content
    ingest = place.process()
    before = await ingest.queues.waiting(PARKED)
    others = [
        place.clients.container(container).get_blob_client(other_name)
        for container, other_name in ((ARCHIVE, "only.dcm"), ("dicom-inbox", "folder/only.dcm"))
    ]
    for blob in others:
        await blob.upload_blob(content, overwrite=True)
    caplog.clear()
    caplog.set_level(logging.INFO, "dicom_dropbox")
    await ENTRY_POINTS[entry_point](ingest, name)
    events = [json.loads(line) for line in caplog.messages if line.startswith("{")]
    assert [(line["event"], line.get("verdict"), line.get("reason")) for line in events] == [
        ("blob_decided", "ignored", "name")
    ]
    for blob in others:
        assert await (await blob.download_blob()).readall() == content
    assert await read_receipt(place.clients, "folder/only.dcm") is None
    assert (await ingest.queues.waiting(), await ingest.queues.waiting(PARKED)) == (0, before)


@pytest.mark.parametrize(
    "name",
    [
        "a..b.dcm",
        "v1.2/x.dcm",
        "/lead.dcm",
        "a//b.dcm",
        "%2e%2e/dicom-archive/x.dcm",
        "..%2fx.dcm",
        "d./x",
        "e.dcm/",
        "e//",
    ],
)
async def test_an_odd_name_that_is_a_blob_of_the_inbox(place: Place, name: str) -> None:
    """It is stored, and archived under its name."""
    place = place.with_settings(after_store=AfterStore.ARCHIVE)
    sample = Sample()
    await place.drop(name, sample.content)
    verdict = "ignored" if name.startswith(".") else "stored"
    assert (await place.settled(name)).verdict == verdict
    where = place.clients.container("dicom-inbox" if verdict == "ignored" else ARCHIVE)
    assert [found async for found in where.list_blob_names(name_starts_with=name)] == [name]


@pytest.mark.parametrize(
    ("content", "outcome"), [(b"", ("ignored", "folder")), (b"no DICOM" * 40, ("rejected", "not_dicom"))]
)
async def test_a_name_that_ends_like_a_folders(place: Place, content: bytes, outcome: tuple[str, str]) -> None:
    """Only an empty blob of such a name stands for a folder; one with content is a file, and has its verdict."""
    name = f"{len(content)}.dcm/"
    await place.drop(name, content)
    receipt = await place.settled(name)
    assert (receipt.verdict, receipt.reason) == outcome
    assert await place.quarantined(name) == ({name: content} if content else {})
    assert (await place.reason(name) is not None) == bool(content)


def between(monkeypatch: pytest.MonkeyPatch, step: Callable[[], Awaitable[object]]) -> None:
    """Do something once, when storage has answered a read for the first time."""
    read, answered = BlobOperations.download, False

    async def download(self: BlobOperations, *args: Any, **options: Any) -> Any:
        nonlocal answered
        try:
            return await read(self, *args, **options)
        finally:
            if not answered:
                answered = True
                await step()

    monkeypatch.setattr(BlobOperations, "download", download)


async def test_a_blob_that_is_filled_just_after_it_was_seen_empty(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is read again, and stored."""
    sample, name = Sample(), "filled.dcm"
    await place.drop(name, b"")
    with monkeypatch.context() as patch:
        between(patch, lambda: place.drop(name, sample.content))
        await handle(place.process(), Arrival((name,), Door.BLOB))
    receipt = await place.receipt(name)
    assert (receipt.verdict, receipt.reason, receipt.size_bytes) == ("stored", None, len(sample.content))
    assert await place.stored(sample) == sample.content


async def test_our_own_blob_that_is_filled_just_after_it_was_seen_empty(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Content and version that are read are of one and the same."""
    await place.drop("own.json", b"")
    blob = place.clients.inbox.get_blob_client("own.json")
    with monkeypatch.context() as patch:
        between(patch, lambda: place.drop("own.json", b"{}"))
        found = await read_whole(blob)
    assert found is not None
    assert (found.content, found.etag) == (b"{}", (await blob.get_blob_properties()).etag)


async def test_a_blob_that_is_overwritten_while_its_beginning_is_read(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No prefix is put together from two versions, however few bytes the SDK asks for at first."""
    await place.drop("torn.dcm", b"a" * 3_000_000)
    blob = place.clients.inbox.get_blob_client("torn.dcm")
    monkeypatch.setattr(blob._config, "max_single_get_size", 1000)
    between(monkeypatch, lambda: place.drop("torn.dcm", b"b" * 3_000_000))
    with pytest.raises(SourceGone):
        await Source.open(blob)


async def test_a_name_that_goes_to_another_partition_than_before(clients: Clients, tmp_path: Path) -> None:
    """That its bytes were stored in one says nothing about what another one has."""
    sample = Sample()
    with running(tmp_path, partitions=True) as root:
        async with place_at(clients, root, partition="before") as place:
            await place.drop("moved.dcm", sample.content)
            assert (await place.settled("moved.dcm")).verdict == "stored"
            await place.put(sample, other(sample), partition="now")
            place = place.with_settings(partition="now")
            await place.drop("moved.dcm", sample.content)
            assert (await place.settled("moved.dcm")).verdict == "conflict"
