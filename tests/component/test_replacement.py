"""ON_CONFLICT=replace, over real storage and a real stand-in: what gives way, when, and what is kept of it."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
import logging
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest
from azure.storage.blob.aio import BlobClient, BlobLeaseClient

from shared import leases
from shared.arrivals import Arrival, Door
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient, ResponseLost
from shared.dicomweb.change_feed import Change, ChangeFeed
from shared.dicomweb.errors import status_error
from shared.dicomweb.session import Session
from shared.settings import REPLACED, AfterStore
from store_on_upload import upload
from store_on_upload.files.source import Source
from store_on_upload.receipts.receipt import Receipt
from store_on_upload.setback import NotYet
from store_on_upload.storing import claim, keeping, replacement, store
from store_on_upload.upload import handle
from tests.kit.files import (
    IMPLICIT,
    LIKE_THE_END,
    SECONDARY_CAPTURE,
    Sample,
    compressed,
    encoded,
    new_uid,
    part10,
    pixels,
)
from tests.kit.runs import REPLACE, Place, an_hour_ago, copies_of, other, place_at, uids
from tests.kit.service import running


@pytest.fixture
async def place(clients: Clients, service: str) -> AsyncIterator[Place]:
    async with place_at(clients, service, **REPLACE) as place:
        yield place


@pytest.fixture
def long_ago(monkeypatch: pytest.MonkeyPatch, place: Place) -> Callable[[Sample], Awaitable[None]]:
    """Store a sample an hour ago."""

    async def store(sample: Sample) -> None:
        with an_hour_ago(monkeypatch):
            await place.put(sample)

    return store


LongAgo = Callable[[Sample], Awaitable[None]]


def outcome(receipt: Receipt) -> tuple[str | None, str | None]:
    return receipt.verdict, receipt.reason


async def test_what_is_replaced_is_kept_and_told_of(place: Place, long_ago: LongAgo) -> None:
    """The new bytes are stored; the old ones are in a container of their own, with what they are; the receipt tells."""
    sample = Sample()
    await long_ago(sample)
    etag = await place.drop("replaced.dcm", other(sample))
    receipt = await place.settled("replaced.dcm")
    assert outcome(receipt) == ("replaced", None)
    assert await place.stored(sample) == other(sample)
    [(name, copy)] = (await place.copies(sample)).items()
    assert copy == sample.content
    assert await place.quarantined("replaced.dcm") == {}
    sha256 = hashlib.sha256(sample.content).hexdigest()
    assert receipt.to_json()["replaced"] == {"size_bytes": len(sample.content), "sha256": sha256, "kept_as": name}
    assert Receipt.from_json(json.loads(json.dumps(receipt.to_json()))) == receipt
    about = await place.about_copy(name)
    assert about is not None
    assert about["replaced_by"] == {"blob": "replaced.dcm", "etag": etag}
    assert (about["sha256"], about["sop_instance_uid"]) == (sha256, sample.sop)


async def test_what_is_large_is_kept_in_blocks(place: Place, long_ago: LongAgo) -> None:
    """As it comes, so that it is never in memory as a whole."""
    sample = Sample(elements=pixels(bytes(9_000_000), rows=3000, columns=3000))
    await long_ago(sample)
    await place.drop("large.dcm", other(sample))
    receipt = await place.settled("large.dcm")
    assert receipt.replaced is not None
    assert await place.copies(sample) == {receipt.replaced.kept_as: sample.content}
    kept = place.clients.container(REPLACED).get_blob_client(receipt.replaced.kept_as)
    blocks, _ = await kept.get_block_list()
    assert max(block.size for block in blocks) <= 1024 * 1024


async def test_each_version_of_a_file_replaces_the_one_before(
    place: Place, long_ago: LongAgo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All that gave way is kept, each under a name of its own."""
    sample = Sample()
    await long_ago(sample)
    contents = [other(sample, b"one"), other(sample, b"two")]
    for content in contents:
        await in_a_later_second()
        await place.drop("again.dcm", content)
        with an_hour_ago(monkeypatch):
            assert outcome(await place.settled("again.dcm")) == ("replaced", None)
    assert sorted((await place.copies(sample)).values()) == sorted([sample.content, contents[0]])
    assert await place.stored(sample) == contents[1]


async def test_a_receipt_is_no_proof_once_another_file_has_replaced_what_it_stored(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first bytes come again under the first name: they are stored no longer, so they replace in their turn."""
    sample = Sample()
    with an_hour_ago(monkeypatch):
        for name, content in (("a.dcm", sample.content), ("b.dcm", other(sample)), ("a.dcm", sample.content)):
            await in_a_later_second()
            await place.drop(name, content)
            receipt = await place.settled(name)
    assert outcome(receipt) == ("replaced", None)
    assert await place.stored(sample) == sample.content


async def test_what_was_stored_after_the_file_came_stays(place: Place) -> None:
    """A late run of an older file does not undo what is newer."""
    sample = Sample()
    await place.drop("late.dcm", other(sample))
    await place.put(sample)
    assert outcome(await place.settled("late.dcm")) == ("conflict", "stored_since")
    assert await place.stored(sample) == sample.content
    assert await place.quarantined("late.dcm") == {"late.dcm": other(sample)}


@pytest.mark.parametrize("seconds", [0, 1.1])
async def test_an_older_file_does_not_undo_a_newer_one_that_the_change_feed_does_not_show_yet(
    place: Place, long_ago: LongAgo, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """The app's own note of the latest replacement says that the newer file came later, or in the same second."""
    sample, older, newer = Sample(), f"older {seconds}.dcm", f"newer {seconds}.dcm"
    await long_ago(sample)
    await in_a_later_second()
    await place.drop(older, other(sample, b"older"))
    await asyncio.sleep(seconds)
    await place.drop(newer, other(sample, b"newer"))
    assert outcome(await place.settled(newer)) == ("replaced", None)

    async def late_page(feed: ChangeFeed, **options: Any) -> list[Change]:
        shown = datetime.now(UTC) - timedelta(minutes=1)
        return [change for change in await page(feed, **options) if change.timestamp < shown]

    page = ChangeFeed.page
    monkeypatch.setattr(ChangeFeed, "page", late_page)
    assert outcome(await place.settled(older)) == ("conflict", "stored_since")
    assert await place.stored(sample) == other(sample, b"newer")
    assert await place.quarantined(older) == {older: other(sample, b"older")}
    assert list((await place.copies(sample)).values()) == [sample.content]


async def in_a_later_second() -> None:
    """Wait until the next second has just begun: storage tells only to the second when a file came."""
    await asyncio.sleep(1.05 - datetime.now(UTC).microsecond / 1e6)


@pytest.mark.parametrize(
    "changed",
    [
        {0x00100020: ("LO", b"ID2")},
        {0x00100030: ("DA", b"19700101")},
        {0x00100030: ("DA", b"notadate")},  # the service leaves it out of its metadata
    ],
)
async def test_another_patients_instance_stays(
    place: Place, long_ago: LongAgo, changed: dict[int, tuple[str, bytes] | None]
) -> None:
    """The copy that was made to look at it goes again."""
    sample = Sample()
    await long_ago(sample)
    theirs = replace(sample, elements=changed)
    await place.drop("whose.dcm", theirs.content)
    receipt = await place.settled("whose.dcm")
    assert outcome(receipt) == ("conflict", "other_patient")
    assert await place.stored(sample) == sample.content
    assert await place.copies(sample) == {}
    assert "ID2" not in json.dumps(receipt.to_json())


@pytest.mark.parametrize(
    ("behind", "expected"),
    [
        (b"", ("replaced", None)),
        (LIKE_THE_END, ("replaced", None)),
        (encoded({0x00100020: ("LO", b"ID2")}), ("conflict", "other_patient")),
        (encoded({0x00100020: ("LO", b"ID2")}) + LIKE_THE_END, ("conflict", "other_patient")),
    ],
)
async def test_elements_behind_compressed_pixels_are_seen(
    place: Place, long_ago: LongAgo, behind: bytes, expected: tuple[str, str | None]
) -> None:
    """Only a file of which the app has seen each element replaces another."""
    sample, name = Sample(), f"{len(behind)} bytes behind.dcm"
    await long_ago(sample)
    content = compressed(sample, behind)
    await place.drop(name, content)
    receipt = await place.settled(name)
    assert outcome(receipt) == expected
    assert await place.stored(sample) == (content if expected[0] == "replaced" else sample.content)


async def test_an_element_longer_than_its_item(place: Place, long_ago: LongAgo) -> None:
    """The service reads on behind it, and sees another patient than the app: the file replaces nothing."""
    sample = Sample()
    await long_ago(sample)
    await place.drop("two patients.dcm", with_two_patients(sample, seen_by_the_service=b"ID2"))
    assert outcome(await place.settled("two patients.dcm")) == ("conflict", "other_patient")
    assert await place.stored(sample) == sample.content


def with_two_patients(sample: Sample, seen_by_the_service: bytes) -> bytes:
    """Return a file with another patient for who passes an item by its length than for who passes the element in it.

    That element claims all that the former sees behind the item, the last of which is a comment with the rest as value.
    """

    def behind(patient_id: bytes) -> bytes:
        others = {0x0020000D: ("UI", sample.study.encode()), 0x0020000E: ("UI", sample.series.encode())}
        return b"\xfe\xff\xdd\xe0\0\0\0\0" + encoded({0x00100020: ("LO", patient_id), **others})

    hidden = behind(seen_by_the_service)
    shown = behind(b"ID1") + struct.pack("<HH2sH", 0x0020, 0x4000, b"LT", len(hidden))
    element = struct.pack("<HH2sH", 0x0008, 0x2111, b"ST", len(shown))
    item = struct.pack("<HHL", 0xFFFE, 0xE000, len(element)) + element
    sequence = struct.pack("<HH2sxxL", 0x0008, 0x2112, b"SQ", 0xFFFFFFFF) + item
    own = {0x00080016: ("UI", SECONDARY_CAPTURE.encode()), 0x00080018: ("UI", sample.sop.encode())}
    return part10(encoded({**own, 0x00080060: ("CS", b"OT")}) + sequence + shown + hidden)


async def test_a_second_series_of_another_patients_instance(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer to the store does not name the series: the app passes the pixels to see that there is but one."""
    mine = Sample(elements={0x00100020: ("LO", b"ID2")})
    victim = Sample(study=mine.study, sop=mine.sop)
    with an_hour_ago(monkeypatch):
        await place.put(victim)
        await place.put(mine)
    second = encoded({0x0020000E: ("UI", victim.series.encode())})
    await place.drop("second series.dcm", compressed(mine, second + LIKE_THE_END))
    assert outcome(await place.settled("second series.dcm")) == ("conflict", "other_patient")
    async with place.clients.dicom.retrieve_instance(**asdict(uids(victim))) as part:
        assert b"".join([chunk async for chunk in part.chunks()]) == victim.content


@pytest.mark.usefixtures("nothing_purged")
@pytest.mark.parametrize(
    ("behind", "expected"), [(b"", ("conflict", "other_patient")), (LIKE_THE_END, ("rejected", "other_study"))]
)
async def test_a_second_study_of_another_patients_instance(
    place: Place, monkeypatch: pytest.MonkeyPatch, behind: bytes, expected: tuple[str, str]
) -> None:
    """The instance in it is not replaced: by the app, which sees that there are two, or by the service."""
    victim = Sample()
    mine = replace(victim, study=new_uid(), elements={0x00100020: ("LO", b"ID2")})
    with an_hour_ago(monkeypatch):
        await place.put(victim)
        if behind:  # the app would take the one for the other
            await place.put(mine)
    name = f"second study {len(behind)}.dcm"
    await place.drop(name, compressed(mine, encoded({0x0020000D: ("UI", victim.study.encode())}) + behind))
    assert outcome(await place.settled(name)) == expected
    assert await place.stored(victim) == victim.content


async def test_a_stored_birth_date_that_is_invalid_is_seen(place: Place, long_ago: LongAgo) -> None:
    """It is not in the service's metadata, but in its file: to replace it by none would change it."""
    sample = Sample(elements={0x00100030: ("DA", b"notadate")})
    await long_ago(sample)
    await place.drop("invalid.dcm", replace(sample, elements={}).content)
    assert outcome(await place.settled("invalid.dcm")) == ("conflict", "other_patient")


async def test_padding_and_encoding_are_no_other_patient(place: Place, long_ago: LongAgo) -> None:
    """An empty birth date is like none, and a file in implicit VR has the same patient."""
    sample = Sample(elements={0x00100020: ("LO", b"ID1 \0")})
    await long_ago(sample)
    ours = replace(sample, transfer_syntax=IMPLICIT, elements={0x00100030: ("DA", b"")})
    await place.drop("padded.dcm", ours.content)
    receipt = await place.settled("padded.dcm")
    assert outcome(receipt) == ("replaced", None)
    assert receipt.service_code == 45063  # of the PUT


async def test_a_service_without_put(clients: Clients, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is replaced, and no copy is left."""
    sample = Sample()
    with running(tmp_path, put_upsert=False) as root:
        async with place_at(clients, root, **REPLACE) as place:
            with an_hour_ago(monkeypatch):
                await place.drop("first.dcm", sample.content)
                assert outcome(await place.settled("first.dcm")) == ("stored", None)
            await place.drop("no put.dcm", other(sample))
            assert outcome(await place.settled("no put.dcm")) == ("conflict", "no_replacement")
            assert await place.stored(sample) == sample.content
            assert await place.quarantined("no put.dcm") == {"no put.dcm": other(sample)}
            assert await place.copies(sample) == {}
            assert await place.reason("no put.dcm") is not None


async def test_in_a_partition(clients: Clients, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same instance of another partition neither gives way nor counts as one stored since."""
    sample = Sample()
    with running(tmp_path, partitions=True) as root:
        async with place_at(clients, root, partition="a", **REPLACE) as place:
            with an_hour_ago(monkeypatch):
                await place.put(sample, partition="a")
            await place.drop("partitioned.dcm", other(sample))
            await place.put(sample, partition="b")
            assert outcome(await place.settled("partitioned.dcm")) == ("replaced", None)
            assert list((await place.copies(sample, "a")).values()) == [sample.content]
            assert await place.stored(sample, "a") == other(sample)
            assert await place.stored(sample, "b") == sample.content


class Killed(BaseException):
    """The process is no more: nothing catches it."""


STEPS = {
    "look into the change feed": (replacement, "_is_stored_since"),
    "keep": (replacement, "keep_stored"),
    "upload the copy": (BlobClient, "upload_blob"),
    "read it back": (Source, "sha256"),
    "write what it is": (keeping, "_describe"),
    "compare the patients": (replacement, "is_same_patient"),
    "write the replacement down": (claim.Claim, "note"),
    "put": (DICOMwebClient, "store_instance"),
    "read the answer": (replacement, "judge"),
    "write the receipt": (upload, "finish"),
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_any_step(
    place: Place, long_ago: LongAgo, monkeypatch: pytest.MonkeyPatch, step: str, when: str
) -> None:
    """The next run says `replaced`, and names a copy of the old bytes; the new ones are stored once."""
    sample, name = Sample(), f"killed {when} {step}.dcm"
    await long_ago(sample)
    await place.drop(name, other(sample))
    owner, method = STEPS[step]
    with monkeypatch.context() as patch:
        patch.setattr(owner, method, dying(getattr(owner, method), when, sample))
        patch.setattr(BlobLeaseClient, "release", no_release)
        with pytest.raises(Killed):
            await handle(place.process(), Arrival((name,), Door.BLOB))
    await let_claim_end(place, sample)
    receipt = await place.settled(name)
    assert outcome(receipt) == ("replaced", None)
    assert receipt.replaced is not None
    assert await place.stored(sample) == other(sample)
    copies = await place.copies(sample)
    assert copies[receipt.replaced.kept_as] == sample.content
    # What was not read back in time does not count; the next run has made another copy.
    assert len(copies) == (2 if (step, when) in MADE_AGAIN else 1)
    assert await place.about_copy(receipt.replaced.kept_as) is not None


MADE_AGAIN = {
    ("upload the copy", "after"),
    ("read it back", "before"),
    ("read it back", "after"),
    ("write what it is", "before"),
}


def dying(call: Any, when: str, sample: Sample) -> Any:
    """Return a call that is the last one of its process, if it belongs to the replacement."""

    def is_ours(about: Any, options: dict[str, Any]) -> bool:
        if call.__name__ == "store_instance":
            return bool(options.get("replace"))
        if isinstance(about, Source):
            about = about.version.blob
        return not isinstance(about, BlobClient) or about.blob_name.startswith(copies_of(sample))

    async def die(about: Any, *args: Any, **options: Any) -> Any:
        if when == "after" or not is_ours(about, options):
            found = await call(about, *args, **options)
        if is_ours(about, options):
            raise Killed
        return found

    def die_at_once(*args: Any) -> None:
        raise Killed

    return die if inspect.iscoroutinefunction(call) else die_at_once


async def no_release(lease: BlobLeaseClient) -> None:
    """A dead process releases nothing."""


async def let_claim_end(place: Place, sample: Sample) -> None:
    """Do at once what a minute does."""
    blob = claim_of(place, sample)
    if await blob.exists() and (await blob.get_blob_properties()).lease.state == "leased":
        await BlobLeaseClient(blob).break_lease(lease_break_period=0)


def claim_of(place: Place, sample: Sample) -> BlobClient:
    return claim._blob(place.clients, None, uids(sample))


async def test_one_run_at_a_time(place: Place, long_ago: LongAgo) -> None:
    """While another process has the instance the file waits, and neither the file nor the service is to blame."""
    sample = Sample()
    await long_ago(sample)
    await place.drop("claimed.dcm", other(sample))
    ingest = place.process()
    async with claim.claimed(place.clients, None, uids(sample)):
        lease = (await claim_of(place, sample).get_blob_properties()).lease
        assert (lease.state, lease.duration) == ("leased", "fixed")
        await handle(ingest, Arrival(("claimed.dcm",), Door.BLOB))
        waiting = await place.receipt("claimed.dcm")
    assert (waiting.reason, waiting.failed_by_itself, ingest.circuit.is_open) == ("being_replaced", False, False)
    assert await place.stored(sample) == sample.content
    assert outcome(await place.settled("claimed.dcm", ingest)) == ("replaced", None)


DAMAGED = (
    b"",
    b"\xff",
    b"no JSON",
    b"null",
    b"[]",
    b"[" * 60_000,
    b'{"blob": "a.dcm"}',
    b'{"blob": "a.dcm", "etag": "0x1", "came_at": "2026-03-01T00:00:00Z", "replaced": {}}',
    b'{"blob": 7, "etag": "0x1", "came_at": "2026-03-01T00:00:00Z", '
    b'"replaced": {"size_bytes": 1, "sha256": "ab", "kept_as": "x"}}',
)


@pytest.mark.parametrize("damaged", DAMAGED, ids=lambda content: content[:30])
@pytest.mark.parametrize("where", ["note", "description"])
async def test_what_is_written_of_a_replacement_is_damaged(
    place: Place, long_ago: LongAgo, caplog: pytest.LogCaptureFixture, where: str, damaged: bytes
) -> None:
    """The file waits for an operator, whatever time that takes, and is not given up; the log says why."""
    caplog.set_level(logging.INFO, "dicom_dropbox")
    sample, name = Sample(), f"damaged {where} {new_uid()}.dcm"
    place = place.with_settings(give_up_after_days=0.0, **REPLACE)
    await long_ago(sample)
    etag = await place.drop(name, other(sample))
    if where == "note":
        blob = claim_of(place, sample)
    else:
        hashed = hashlib.sha256(f"{name}\n{etag}".encode()).hexdigest()[:32]
        blob = place.clients.container(REPLACED).get_blob_client(f"{copies_of(sample)}{hashed}-1.json")
    await blob.upload_blob(damaged)
    for _ in range(3):
        await handle(place.process(), Arrival((name,), Door.DEFERRAL))
        waiting = await place.receipt(name)
        assert (waiting.state, waiting.reason, waiting.failed_by_itself) == ("deferred", "note_damaged", False)
    told = [json.loads(message) for message in caplog.messages]
    assert [one["reason"] for one in told if one["event"] == "blob_deferred"] == ["note_damaged"] * 3
    assert await place.stored(sample) == sample.content
    await blob.delete_blob()
    assert outcome(await place.settled(name)) == ("replaced", None)


async def test_a_claim_is_renewed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """It lasts for longer than its lease was asked for."""
    monkeypatch.setattr(leases, "_RENEW_AFTER_SECONDS", 0.05)
    monkeypatch.setattr(leases, "_SAFE_SECONDS", 1.0)
    renewed = asyncio.Event()
    renew, renewals = BlobLeaseClient.renew, list[float]()

    async def noted(lease: BlobLeaseClient) -> None:
        await renew(lease)
        renewals.append(asyncio.get_running_loop().time())
        if renewals[-1] - renewals[0] > 1.2:
            renewed.set()

    monkeypatch.setattr(BlobLeaseClient, "renew", noted)
    async with claim.claimed(place.clients, None, uids(Sample())):
        await renewed.wait()


async def test_a_claim_that_cannot_be_renewed_ends_the_work(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before anybody else may have it."""
    monkeypatch.setattr(leases, "_RENEW_AFTER_SECONDS", 0.01)
    monkeypatch.setattr(leases, "_SAFE_SECONDS", 0.5)
    sample = Sample()

    async def work() -> None:
        async with claim.claimed(place.clients, None, uids(sample)):
            await let_claim_end(place, sample)
            await asyncio.Event().wait()

    with pytest.raises(NotYet, match="being_replaced"):
        await work()


async def test_a_timeout_inside_is_not_taken_for_a_lost_claim(place: Place) -> None:
    """It is the run's own, which is over."""
    with pytest.raises(TimeoutError):
        async with claim.claimed(place.clients, None, uids(Sample())), asyncio.timeout(0):
            await asyncio.Event().wait()


FAULTS: dict[str, dict[str, Any]] = {
    "the answer to the PUT is lost": {"fault": "drop_after_commit", "kind": "store"},
    "the copy's transfer ends short": {"fault": "truncate", "kind": "retrieve"},
    "the copy's transfer breaks off": {"fault": "cut", "kind": "retrieve", "bytes": 200},
    "the PUT is refused for now": {"fault": "status", "kind": "store", "status": 500, "requests": 3},
    "the change feed cannot be read": {"fault": "status", "kind": "changefeed", "status": 500, "requests": 3},
    "the stored instance is gone meanwhile": {"fault": "status", "kind": "retrieve", "status": 404},
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_fault_in_the_middle(
    place: Place, long_ago: LongAgo, monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    """Each copy is whole, and the file replaces in the end."""
    sample, name = Sample(), f"{fault}.dcm"
    await long_ago(sample)
    await place.drop(name, other(sample))
    replace_stored = replacement.replace_stored

    async def faulty(successor: replacement.Successor) -> Any:
        await place.inject(**FAULTS[fault])
        monkeypatch.setattr(store, "replace_stored", replace_stored)
        return await replace_stored(successor)

    monkeypatch.setattr(store, "replace_stored", faulty)
    receipt = await place.settled(name)
    assert outcome(receipt) == ("replaced", None)
    assert await place.stored(sample) == other(sample)
    assert list((await place.copies(sample)).values()) == [sample.content]


async def test_a_copy_that_is_not_whole_is_not_left_lying(
    place: Place, long_ago: LongAgo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transfer that ended too early, and did not say so: the file waits, and the half is gone."""
    sample, name = Sample(), "half.dcm"
    await long_ago(sample)
    await place.drop(name, other(sample))

    async def halved(*args: Any) -> Any:
        await place.inject(fault="truncate", kind="retrieve")
        return await replacement.replace_stored(*args)

    monkeypatch.setattr(store, "replace_stored", halved)
    await handle(place.process(), Arrival((name,), Door.BLOB))
    assert (await place.receipt(name)).reason == "service_failed"
    assert await place.copies(sample) == {}


async def test_what_somebody_else_puts_while_the_copy_is_made_stays(
    place: Place, long_ago: LongAgo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The change feed is looked at again just before the PUT."""
    sample = Sample()
    await long_ago(sample)
    await place.drop("overtaken.dcm", other(sample))

    async def overtaken(*args: Any) -> Any:
        kept = await keeping.keep_stored(*args)
        await place.put(sample, other(sample, b"somebody else's"))
        return kept

    monkeypatch.setattr(replacement, "keep_stored", overtaken)
    receipt = await place.settled("overtaken.dcm")
    assert outcome(receipt) == ("conflict", "stored_since")
    assert await place.stored(sample) == other(sample, b"somebody else's")
    assert receipt.replaced is not None  # the copy may be the last one: it stays, and the receipt tells of it
    assert await place.copies(sample) == {receipt.replaced.kept_as: sample.content}


@pytest.mark.parametrize("is_alone", [True, False])
async def test_another_clients_put_after_the_last_look_is_logged(
    place: Place,
    long_ago: LongAgo,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    is_alone: bool,
) -> None:
    """The app's PUT overwrites it, and nothing has a copy of it."""
    sample, name = Sample(), f"two writers {is_alone}.dcm"
    await long_ago(sample)
    await place.drop(name, other(sample))
    note = claim.Claim.note

    async def overtaken(*args: Any) -> None:
        await note(*args)
        if is_alone:
            await place.put(sample.sibling())
        else:
            await place.put(sample, other(sample, b"overwritten"))

    monkeypatch.setattr(claim.Claim, "note", overtaken)
    assert outcome(await place.settled(name)) == ("replaced", None)
    async with place.clients.dicom.retrieve_instance(**asdict(uids(sample))) as part:
        assert b"".join([chunk async for chunk in part.chunks()]) == other(sample)
    told = [json.loads(record.getMessage())["event"] for record in caplog.records if record.name == "dicom_dropbox"]
    assert told.count("replaced_by_two") == (not is_alone)


@pytest.mark.parametrize("moment", ["before the claim", "while the copy is made"])
async def test_the_same_bytes_from_somebody_else_make_it_a_duplicate(
    place: Place, long_ago: LongAgo, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """They came after the first comparison: what is stored now is what was to be stored."""
    sample, name = Sample(), f"the same {moment}.dcm"
    await long_ago(sample)
    await place.drop(name, other(sample))
    owner, step = (store, "replace_stored") if moment == "before the claim" else (replacement, "keep_stored")
    then = getattr(owner, step)

    async def overtaken(*args: Any) -> Any:
        if owner is store:
            await place.put(sample, other(sample))
            return await then(*args)
        kept = await then(*args)
        await place.put(sample, other(sample))
        return kept

    monkeypatch.setattr(owner, step, overtaken)
    receipt = await place.settled(name)
    assert outcome(receipt) == ("duplicate", None)
    assert await place.stored(sample) == other(sample)
    kept_as = receipt.replaced.kept_as if receipt.replaced else None
    assert list(await place.copies(sample)) == ([] if kept_as is None else [kept_as])
    assert (kept_as is None) == (owner is store)


async def test_a_copy_that_was_not_read_back_does_not_count(
    place: Place, long_ago: LongAgo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The run died over it, and something newer has come since: no verdict names it, for it may not be whole."""
    sample, name = Sample(), "not read back.dcm"
    await long_ago(sample)
    await place.drop(name, other(sample))
    owner, method = STEPS["read it back"]
    with monkeypatch.context() as patch:
        patch.setattr(owner, method, dying(getattr(owner, method), "before", sample))
        with pytest.raises(Killed):
            await handle(place.process(), Arrival((name,), Door.BLOB))
    assert len(await place.copies(sample)) == 1
    await place.put(sample, other(sample, b"newer"))
    receipt = await place.settled(name)
    assert (outcome(receipt), receipt.replaced) == (("conflict", "stored_since"), None)
    assert await place.quarantined(name) == {name: other(sample)}


@pytest.mark.parametrize("there_before", [False, True])
async def test_a_file_whose_run_died_and_that_was_replaced_since_is_no_conflict(
    place: Place, monkeypatch: pytest.MonkeyPatch, there_before: bool
) -> None:
    """It was stored, or had replaced: its bytes, kept by the newer file's run, tell."""
    sample, old, new = Sample(), f"died {there_before}.dcm", f"newer {there_before}.dcm"
    with an_hour_ago(monkeypatch):
        if there_before:
            await place.put(sample)
        with monkeypatch.context() as patch:
            owner, method = STEPS["write the receipt"]
            patch.setattr(owner, method, dying(getattr(owner, method), "before", sample))
            await place.drop(old, other(sample))
            with pytest.raises(Killed):
                await handle(place.process(), Arrival((old,), Door.BLOB))
    await in_a_later_second()
    await place.drop(new, other(sample, b"newer"))
    assert outcome(await place.settled(new)) == ("replaced", None)
    receipt = await place.settled(old)
    assert outcome(receipt) == ("replaced" if there_before else "duplicate", None)
    assert (receipt.replaced is not None) == there_before
    assert await place.stored(sample) == other(sample, b"newer")
    copies = await place.copies(sample)
    assert set(copies.values()) == ({sample.content, other(sample)} if there_before else {other(sample)})
    assert receipt.replaced is None or copies[receipt.replaced.kept_as] == sample.content


@pytest.mark.parametrize("by_another_client", [False, True])
async def test_what_gave_way_and_comes_again_is_not_taken_for_stored(
    place: Place, monkeypatch: pytest.MonkeyPatch, by_another_client: bool
) -> None:
    """Its bytes are those that gave way to another file, but that was before it came: it stays in quarantine."""
    sample, name = Sample(), f"again {by_another_client}.dcm"
    place = place.with_settings(after_store=AfterStore.DELETE)
    with an_hour_ago(monkeypatch):
        await place.put(sample)
        if by_another_client:
            await place.drop("between.dcm", other(sample))
            assert outcome(await place.settled("between.dcm")) == ("replaced", None)
    if by_another_client:
        await place.drop(name, sample.content)
        await place.put(sample, other(sample, b"another client's"))
    else:
        await place.drop("since.dcm", other(sample))
        assert outcome(await place.settled("since.dcm")) == ("replaced", None)
        await place.drop(name, sample.content)
    assert outcome(await place.settled(name)) == ("conflict", "stored_since")
    assert await place.quarantined(name) == {name: sample.content}


async def test_what_replaced_is_replaced_in_turn_by_its_own_event_only_once(place: Place, long_ago: LongAgo) -> None:
    """The same event, five times at once, in five processes."""
    sample = Sample()
    await long_ago(sample)
    await place.drop("five.dcm", other(sample))
    receipts = await asyncio.gather(*(place.settled("five.dcm") for _ in range(5)))
    assert {outcome(receipt) for receipt in receipts} == {("replaced", None)}
    assert list((await place.copies(sample)).values()) == [sample.content]


async def test_a_sender_cannot_make_the_copy(place: Place, long_ago: LongAgo) -> None:
    """A refused file of another patient, named and marked as copies once were, does not let it replace the instance."""
    victim, decoy = Sample(), Sample()
    for sample in (victim, decoy):
        await long_ago(sample)
    hostile = replace(victim, elements={**victim.elements, 0x00100020: ("LO", b"HOSTILE")})
    etag = await place.drop("hostile", hostile.content)
    forged, name = replace(decoy, elements=hostile.elements), f"hostile~replaced-by-{etag}"
    await place.clients.inbox.upload_blob(name, forged.content, metadata={"sha256": "0" * 64})
    assert outcome(await place.settled(name)) == ("conflict", "other_patient")
    assert outcome(await place.settled("hostile")) == ("conflict", "other_patient")
    assert await place.stored(victim) == victim.content


@pytest.mark.parametrize("is_marked", [False, True])
async def test_a_refused_file_is_left_alone_whatever_its_name(place: Place, long_ago: LongAgo, is_marked: bool) -> None:
    """A replacement neither deletes nor overwrites a sender's file that is named as its copy once was."""
    sample, name = Sample(), f"named {is_marked}"
    await long_ago(sample)
    etag = await place.drop(name, other(sample))
    refused = f"{name}~replaced-by-{etag}"
    content, metadata = Sample(elements={0x0020000D: None}).content, {"sha256": "0" * 64} if is_marked else {}
    await place.clients.inbox.upload_blob(refused, content, metadata=metadata)
    assert outcome(await place.settled(refused)) == ("rejected", "uids_missing")
    reason = await place.reason(refused)
    await place.settled(name)
    assert await place.quarantined(name) == {refused: content}
    assert await place.reason(refused) == reason
    assert await place.stored(sample) == other(sample)
    assert list((await place.copies(sample)).values()) == [sample.content]


@pytest.mark.parametrize("damaged", [b"", b"other bytes"])
async def test_an_earlier_runs_copy_counts_only_if_it_is_what_is_stored(
    place: Place, long_ago: LongAgo, monkeypatch: pytest.MonkeyPatch, damaged: bytes
) -> None:
    """It is read again, and compared with what the service returns; else there is another copy."""
    sample, name = Sample(), f"damaged {damaged!r}.dcm"
    await long_ago(sample)
    await place.drop(name, other(sample))
    owner, method = STEPS["write what it is"]
    with monkeypatch.context() as patch:
        patch.setattr(owner, method, dying(getattr(owner, method), "after", sample))
        with pytest.raises(Killed):
            await handle(place.process(), Arrival((name,), Door.BLOB))
    [first] = await place.copies(sample)
    await place.clients.container(REPLACED).upload_blob(first, damaged, overwrite=True)
    receipt = await place.settled(name)
    assert outcome(receipt) == ("replaced", None)
    assert receipt.replaced is not None
    assert await place.copies(sample) == {first: damaged, receipt.replaced.kept_as: sample.content}


async def test_a_copy_that_is_damaged_before_it_is_read_back_does_not_count(
    place: Place, long_ago: LongAgo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is replaced then, and the damaged copy, which this run no longer owns, stays."""
    sample, name = Sample(), "damaged in between.dcm"
    await long_ago(sample)
    await place.drop(name, other(sample))
    read_back = keeping._read_back

    async def damage_and_read(blob: BlobClient) -> Any:
        await blob.upload_blob(other(sample, b"damaged"), overwrite=True)
        return await read_back(blob)

    with monkeypatch.context() as patch:
        patch.setattr(keeping, "_read_back", damage_and_read)
        await handle(place.process(), Arrival((name,), Door.BLOB))
    assert await place.stored(sample) == sample.content
    assert not (await place.receipt(name)).is_final
    assert list((await place.copies(sample)).values()) == [other(sample, b"damaged")]
    receipt = await place.settled(name)
    assert outcome(receipt) == ("replaced", None)
    assert sample.content in (await place.copies(sample)).values()


async def test_a_blob_under_the_name_of_a_copy_is_not_overwritten(
    place: Place, long_ago: LongAgo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attempt whose name is taken fails, and replaces nothing."""
    sample, name = Sample(), "taken.dcm"
    await long_ago(sample)
    etag = await place.drop(name, other(sample))
    attempt = uuid4()
    version = hashlib.sha256(f"{name}\n{etag}".encode()).hexdigest()[:32]
    taken = f"Microsoft.Default/{sample.study}/{sample.series}/{sample.sop}/{version}-{attempt.hex}.dcm"
    await place.clients.container(REPLACED).upload_blob(taken, b"of another run")
    with monkeypatch.context() as patch:
        patch.setattr(keeping, "uuid4", lambda: attempt)
        await handle(place.process(), Arrival((name,), Door.BLOB))
    assert await place.stored(sample) == sample.content
    assert await place.copies(sample) == {taken: b"of another run"}


async def test_a_put_whose_answer_is_lost_is_waited_for(
    place: Place, long_ago: LongAgo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service may carry it out late: no other file replaces the instance until the claim has ended by itself."""
    sample = Sample()
    await long_ago(sample)
    await place.drop("lost.dcm", other(sample))
    store_instance = DICOMwebClient.store_instance

    async def lose_answer(client: DICOMwebClient, body: Any, **options: Any) -> Any:
        if options.get("replace"):
            raise ResponseLost("store")
        return await store_instance(client, body, **options)

    with monkeypatch.context() as patch:
        patch.setattr(DICOMwebClient, "store_instance", lose_answer)
        await handle(place.process(), Arrival(("lost.dcm",), Door.BLOB))
    await place.drop("next.dcm", other(sample, b"next"))
    await handle(place.process(), Arrival(("next.dcm",), Door.BLOB))
    assert outcome(await place.receipt("next.dcm")) == (None, "being_replaced")
    await place.put(sample, other(sample))
    await let_claim_end(place, sample)
    assert outcome(await place.settled("next.dcm")) == ("conflict", "stored_since")
    assert await place.quarantined("next.dcm") == {"next.dcm": other(sample, b"next")}
    assert outcome(await place.settled("lost.dcm")) == ("replaced", None)


@pytest.mark.parametrize("status", [405, 413, 503])
async def test_a_put_is_not_repeated_at_once(
    place: Place, long_ago: LongAgo, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    """Its answer is lost; what a second one is answered does not say that the first was not carried out."""
    place = place.with_settings(after_store=AfterStore.DELETE)
    sample, name = Sample(), f"once {status}.dcm"
    await long_ago(sample)
    await place.drop(name, other(sample))
    exchange, puts = Session._exchange, list[str]()

    async def lose_answer(session: Session, request: Any, headers: Any) -> Any:
        if request.method != "PUT":
            return await exchange(session, request, headers)
        puts.append(request.path)
        if len(puts) > 1:
            raise status_error("store instance", status, None)
        response = await exchange(session, request, headers)
        await response.aclose()
        raise ResponseLost("store instance")

    with monkeypatch.context() as patch:
        patch.setattr(Session, "_exchange", lose_answer)
        await handle(place.process(), Arrival((name,), Door.BLOB))
    assert len(puts) == 1
    await let_claim_end(place, sample)
    assert outcome(await place.settled(name)) == ("replaced", None)
    assert await place.stored(sample) == other(sample)
    assert sample.content in (await place.copies(sample)).values()


async def test_another_instance_is_no_copy_of_what_is_stored(
    place: Place, long_ago: LongAgo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service returns a sibling of the same patient: nothing is replaced."""
    sample = Sample()
    await long_ago(sample)
    sibling = sample.sibling()
    await long_ago(sibling)
    retrieve = DICOMwebClient.retrieve_instance

    def retrieve_sibling(client: DICOMwebClient, *args: Any, **options: Any) -> Any:
        return retrieve(client, *args, **options | asdict(uids(sibling)))

    await place.drop("sibling.dcm", other(sample))
    with monkeypatch.context() as patch:
        patch.setattr(DICOMwebClient, "retrieve_instance", retrieve_sibling)
        assert outcome(await place.settled("sibling.dcm")) == ("conflict", "other_patient")
    assert await place.copies(sample) == {}
    assert await place.quarantined("sibling.dcm") == {"sibling.dcm": other(sample)}


async def test_one_of_two_instances_with_the_same_uid_is_not_replaced(place: Place, long_ago: LongAgo) -> None:
    """The service may read the other series in the file, and replace what was neither compared nor copied."""
    sample = Sample()
    namesake = replace(sample, series=new_uid())
    await long_ago(sample)
    await long_ago(namesake)
    await place.drop("namesake.dcm", other(sample))
    assert outcome(await place.settled("namesake.dcm")) == ("conflict", "other_patient")
    assert await place.copies(sample) == {}
    for stored in (sample, namesake):
        async with place.clients.dicom.retrieve_instance(**asdict(uids(stored))) as part:
            assert b"".join([chunk async for chunk in part.chunks()]) == stored.content


async def test_of_several_copies_the_one_that_was_noted_counts(
    place: Place, long_ago: LongAgo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run has died after its PUT, and another client has stored something since: the verdict names the noted copy."""
    sample, name = Sample(), "noted.dcm"
    await long_ago(sample)
    await place.drop(name, other(sample))
    owner, method = STEPS["put"]
    with monkeypatch.context() as patch:
        patch.setattr(owner, method, dying(getattr(owner, method), "after", sample))
        with pytest.raises(Killed):
            await handle(place.process(), Arrival((name,), Door.BLOB))
    [noted] = await place.copies(sample)
    later, container = f"{noted.partition('-')[0]}-0.dcm", place.clients.container(REPLACED)
    about = {**(await place.about_copy(noted) or {}), "kept_as": later}
    await container.upload_blob(later, sample.content)
    await container.upload_blob(later.replace(".dcm", ".json"), json.dumps(about))
    await place.put(sample, other(sample, b"another client's"))
    await let_claim_end(place, sample)
    receipt = await place.settled(name)
    assert outcome(receipt) == ("conflict", "stored_since")
    assert receipt.replaced is not None
    assert receipt.replaced.kept_as == noted


async def test_only_what_the_run_has_written_is_deleted(
    place: Place, long_ago: LongAgo, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A copy that is not needed goes under its ETag: what another has written in its place stays."""
    sample = Sample()
    await long_ago(sample)
    theirs = replace(sample, elements={0x00100020: ("LO", b"ID2")})
    await place.drop("only ours.dcm", theirs.content)
    discard = keeping.discard

    async def overwritten(kept: keeping.StoredCopy) -> None:
        for blob, _ in kept.written:
            await blob.upload_blob(b"{}", overwrite=True)
        await discard(kept)

    monkeypatch.setattr(replacement, "discard", overwritten)
    assert outcome(await place.settled("only ours.dcm")) == ("conflict", "other_patient")
    assert list((await place.copies(sample)).values()) == [b"{}"]


@pytest.mark.parametrize(
    ("was_replaced", "status", "told"),
    [
        (False, 405, ("conflict", "no_replacement")),
        (True, 405, ("conflict", "no_replacement")),
        (True, 413, ("rejected", "too_large")),
    ],
)
async def test_a_refused_put_leaves_the_latest_replacement_as_it_was(
    place: Place, monkeypatch: pytest.MonkeyPatch, was_replaced: bool, status: int, told: tuple[str, str]
) -> None:
    """So an older receipt does not make a duplicate of bytes that the service has no longer."""
    sample, (first, second, third) = Sample(), (f"{number} {was_replaced} {status}.dcm" for number in range(3))
    place = place.with_settings(after_store=AfterStore.DELETE)
    files = {first: sample.content, second: other(sample)} if was_replaced else {first: sample.content}
    with an_hour_ago(monkeypatch):
        for name, content in files.items():
            await place.drop(name, content)
            await place.settled(name)
    before = await claim.read_replacement(place.clients, None, uids(sample))
    assert (before is not None) == was_replaced

    async def refused(*args: Any) -> Any:
        await place.inject(fault="status", kind="store", status=status)
        return await replacement.replace_stored(*args)

    with monkeypatch.context() as patch:
        patch.setattr(store, "replace_stored", refused)
        await in_a_later_second()
        await place.drop(third, other(sample, b"third"))
        assert outcome(await place.settled(third)) == told
    assert await claim.read_replacement(place.clients, None, uids(sample)) == before
    assert len(await place.copies(sample)) == was_replaced  # none of the third file
    await in_a_later_second()
    await place.drop(first, sample.content)
    assert outcome(await place.settled(first)) == ("replaced" if was_replaced else "duplicate", None)
    assert await place.stored(sample) == sample.content
