"""ON_CONFLICT=replace, over real storage and a real stand-in: what gives way, when, and what is kept of it."""

from __future__ import annotations

import asyncio
import hashlib
import inspect
import json
import logging
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
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
from tests.kit import files as kit
from tests.kit.files import LIKE_THE_END, Sample, compressed, encoded, new_uid, part10, pixels
from tests.kit.runs import REPLACE, Place, an_hour_ago, copies_of, other, place_at, uids
from tests.kit.service import running

Elements = dict[int, tuple[str, bytes] | None]


class Killed(BaseException):
    """The process is no more: nothing catches it."""


@dataclass
class Scene:
    """An instance that was stored an hour ago, and a file of the same UIDs that has come since.

    Args:
        place: where.
        patch: what changes the app while it runs.
        sample: the instance; its bytes are called `old`, and other bytes by their comment.
        name: of the file.
    """

    place: Place
    patch: pytest.MonkeyPatch
    sample: Sample = field(default_factory=Sample)
    name: str = field(default_factory=lambda: f"{uuid4().hex}.dcm")

    def bytes_of(self, called: str) -> bytes:
        return self.sample.content if called == "old" else other(self.sample, called.encode())

    async def there(self, sample: Sample | None = None) -> None:
        """Store the instance, or another one, an hour ago."""
        with an_hour_ago(self.patch):
            await self.place.put(sample or self.sample)

    async def put(self, called: str) -> None:
        """Have another client store other bytes now."""
        await self.place.put(self.sample, self.bytes_of(called))

    async def begin(self, content: bytes | None = None) -> str:
        """Store the instance, and drop the file, `new` unless its content is given; return its version."""
        await self.there()
        return await self.place.drop(self.name, self.bytes_of("new") if content is None else content)

    async def run(self) -> Receipt:
        """Run the file once."""
        await handle(self.place.process(), Arrival((self.name,), Door.BLOB))
        return await self.place.receipt(self.name)

    def at(self, step: tuple[Any, str], act: Callable[[], Awaitable[object]], *, when: str = "before") -> None:
        """Do something before or after a step, the first time."""
        owner, method = step
        call = getattr(owner, method)

        async def then(*args: Any, **options: Any) -> Any:
            self.patch.setattr(owner, method, call)
            if when == "before":
                await act()
            found = await call(*args, **options)
            if when == "after":
                await act()
            return found

        self.patch.setattr(owner, method, then)

    async def die(self, step: str, when: str) -> None:
        """Run the file in a process that dies at a step."""
        owner, method = STEPS[step]
        with self.patch.context() as patch:
            patch.setattr(owner, method, dying(getattr(owner, method), when, self.sample))
            patch.setattr(BlobLeaseClient, "release", no_release)
            with pytest.raises(Killed):
                await self.run()

    async def ends(
        self, outcome: str, *, stored: str | None = None, copies: str = "", quarantined: bool | None = None
    ) -> Receipt:
        """Run the file until it has its verdict, and see what has come of it.

        Args:
            outcome: the verdict, and its reason if it has one.
            stored: what the service has then; by the verdict if it is not given.
            copies: what gave way, and lies in the container for it.
            quarantined: whether the file does; by the verdict if it is not given.
        """
        receipt = await self.place.settled(self.name)
        assert " ".join(filter(None, (receipt.verdict, receipt.reason))) == outcome
        expected = stored or ("new" if receipt.verdict == "replaced" else "old")
        assert await self.place.stored(self.sample) == self.bytes_of(expected)
        found = await self.place.copies(self.sample)
        assert sorted(found.values()) == sorted(map(self.bytes_of, copies.split()))
        assert receipt.replaced is None or found[receipt.replaced.kept_as] in map(self.bytes_of, copies.split())
        is_refused = receipt.verdict in ("conflict", "rejected") if quarantined is None else quarantined
        assert list(await self.place.quarantined(self.name)) == [self.name] * is_refused
        return receipt

    def claim(self) -> BlobClient:
        return claim._blob(self.place.clients, None, uids(self.sample))

    async def let_claim_end(self) -> None:
        """Do at once what a minute does."""
        blob = self.claim()
        if await blob.exists() and (await blob.get_blob_properties()).lease.state == "leased":
            await BlobLeaseClient(blob).break_lease(lease_break_period=0)


@pytest.fixture
async def scene(clients: Clients, service: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    async with place_at(clients, service, **REPLACE) as place:
        yield Scene(place, monkeypatch)


STEPS: dict[str, tuple[Any, str]] = {
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
REPLACING = (store, "replace_stored")


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


async def in_a_later_second() -> None:
    """Wait until the next second has just begun: storage tells only to the second when a file came."""
    await asyncio.sleep(1.05 - datetime.now(UTC).microsecond / 1e6)


async def retrieved(place: Place, sample: Sample) -> bytes:
    async with place.clients.dicom.retrieve_instance(**asdict(uids(sample))) as part:
        return b"".join([chunk async for chunk in part.chunks()])


async def test_what_is_replaced_is_kept_and_told_of(scene: Scene) -> None:
    """The new bytes are stored; the old ones are in a container of their own, with what they are; the receipt tells."""
    etag = await scene.begin()
    receipt = await scene.ends("replaced", copies="old")
    assert receipt.replaced is not None
    name, sha256 = receipt.replaced.kept_as, hashlib.sha256(scene.sample.content).hexdigest()
    told = {"size_bytes": len(scene.sample.content), "sha256": sha256, "kept_as": name}
    assert receipt.to_json()["replaced"] == told
    assert Receipt.from_json(json.loads(json.dumps(receipt.to_json()))) == receipt
    about = await scene.place.about_copy(name) or {}
    expected = ({"blob": scene.name, "etag": etag}, sha256, scene.sample.sop)
    assert (about["replaced_by"], about["sha256"], about["sop_instance_uid"]) == expected


async def test_what_is_large_is_kept_in_blocks(scene: Scene) -> None:
    """As it comes, so that it is never in memory as a whole."""
    scene.sample = Sample(elements=pixels(bytes(9_000_000), rows=3000, columns=3000))
    await scene.begin()
    receipt = await scene.ends("replaced", copies="old")
    assert receipt.replaced is not None
    blocks, _ = await scene.place.clients.container(REPLACED).get_blob_client(receipt.replaced.kept_as).get_block_list()
    assert max(block.size for block in blocks) <= 1024 * 1024


@pytest.mark.parametrize(("names", "contents"), [("a a", "one two"), ("a b a", "old between old")])
async def test_each_file_replaces_the_one_before(scene: Scene, names: str, contents: str) -> None:
    """All that gave way is kept; a receipt is no proof once another file has replaced what it tells of."""
    await scene.there()
    for name, content in zip(names.split(), contents.split(), strict=True):
        scene.name = f"{scene.sample.sop}/{name}.dcm"
        await in_a_later_second()
        await scene.place.drop(scene.name, scene.bytes_of(content))
        with an_hour_ago(scene.patch):
            receipt = await scene.place.settled(scene.name)
    *before, last = contents.split()
    assert (receipt.verdict, await scene.place.stored(scene.sample)) == ("replaced", scene.bytes_of(last))
    kept = {"old", *before}
    assert set((await scene.place.copies(scene.sample)).values()) == set(map(scene.bytes_of, kept))


async def test_what_was_stored_after_the_file_came_stays(scene: Scene) -> None:
    """A late run of an older file does not undo what is newer."""
    await scene.place.drop(scene.name, scene.bytes_of("new"))
    await scene.put("old")
    await scene.ends("conflict stored_since")


@pytest.mark.parametrize("seconds", [0, 1.1])
async def test_what_the_change_feed_does_not_show_yet_stays(scene: Scene, seconds: float) -> None:
    """The app's own note of the latest replacement says that the newer file came later, or in the same second."""
    newer = Scene(scene.place, scene.patch, scene.sample)
    await in_a_later_second()
    await scene.begin(scene.bytes_of("older"))
    await asyncio.sleep(seconds)
    await newer.place.drop(newer.name, scene.bytes_of("new"))
    await newer.ends("replaced", copies="old")
    page = ChangeFeed.page

    async def late_page(feed: ChangeFeed, **options: Any) -> list[Change]:
        shown = datetime.now(UTC) - timedelta(minutes=1)
        return [change for change in await page(feed, **options) if change.timestamp < shown]

    scene.patch.setattr(ChangeFeed, "page", late_page)
    await scene.ends("conflict stored_since", stored="new", copies="old")


@pytest.mark.parametrize(
    ("stored", "came", "verdict"),
    [
        ({}, {0x00100020: ("LO", b"ID2")}, "conflict other_patient"),
        ({}, {0x00100030: ("DA", b"19700101")}, "conflict other_patient"),
        # The service leaves an invalid date out of its metadata, but it is in the file.
        ({}, {0x00100030: ("DA", b"notadate")}, "conflict other_patient"),
        ({0x00100030: ("DA", b"notadate")}, {}, "conflict other_patient"),
        # Padding, an empty birth date and another encoding are no difference.
        ({0x00100020: ("LO", b"ID1 \0")}, {0x00100030: ("DA", b"")}, "replaced"),
    ],
)
async def test_whose_instance_it_is(scene: Scene, stored: Elements, came: Elements, verdict: str) -> None:
    """Another patient's stays, and the copy that was made to look at it goes again."""
    scene.sample = Sample(elements=stored)
    is_ours = verdict == "replaced"
    content = replace(scene.sample, elements=came, **{"transfer_syntax": kit.IMPLICIT} if is_ours else {}).content
    await scene.begin(content)
    receipt = await scene.place.settled(scene.name)
    assert f"{receipt.verdict} {receipt.reason or ''}".strip() == verdict
    if is_ours:
        assert receipt.service_code == 45063  # of the PUT
    else:
        assert await scene.place.stored(scene.sample) == scene.sample.content
        assert await scene.place.copies(scene.sample) == {}
        assert "ID2" not in json.dumps(receipt.to_json())


ID2 = encoded({0x00100020: ("LO", b"ID2")})


@pytest.mark.parametrize(
    ("behind", "is_ours"), [(b"", True), (LIKE_THE_END, True), (ID2, False), (ID2 + LIKE_THE_END, False)]
)
async def test_elements_behind_compressed_pixels_are_seen(scene: Scene, behind: bytes, is_ours: bool) -> None:
    """Only a file of which the app has seen each element replaces another."""
    content = compressed(scene.sample, behind)
    await scene.begin(content)
    receipt = await scene.place.settled(scene.name)
    assert (receipt.verdict, receipt.reason) == (("replaced", None) if is_ours else ("conflict", "other_patient"))
    assert await scene.place.stored(scene.sample) == (content if is_ours else scene.sample.content)


async def test_an_element_longer_than_its_item(scene: Scene) -> None:
    """The service reads on behind it, and sees another patient than the app: the file replaces nothing."""
    await scene.begin(with_two_patients(scene.sample, seen_by_the_service=b"ID2"))
    await scene.ends("conflict other_patient")


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
    own = {0x00080016: ("UI", kit.SECONDARY_CAPTURE.encode()), 0x00080018: ("UI", sample.sop.encode())}
    return part10(encoded({**own, 0x00080060: ("CS", b"OT")}) + sequence + shown + hidden)


async def test_a_second_series_of_another_patients_instance(scene: Scene) -> None:
    """The answer to the store does not name the series: the app passes the pixels to see that there is but one."""
    mine = Sample(elements={0x00100020: ("LO", b"ID2")})
    victim = Sample(study=mine.study, sop=mine.sop)
    await scene.there(victim)
    await scene.there(mine)
    second = encoded({0x0020000E: ("UI", victim.series.encode())})
    await scene.place.drop(scene.name, compressed(mine, second + LIKE_THE_END))
    receipt = await scene.place.settled(scene.name)
    assert (receipt.verdict, receipt.reason) == ("conflict", "other_patient")
    assert await retrieved(scene.place, victim) == victim.content


@pytest.mark.usefixtures("nothing_purged")
@pytest.mark.parametrize(
    ("behind", "expected"), [(b"", "conflict other_patient"), (LIKE_THE_END, "rejected other_study")]
)
async def test_a_second_study_of_another_patients_instance(scene: Scene, behind: bytes, expected: str) -> None:
    """The instance in it is not replaced: by the app, which sees that there are two, or by the service."""
    mine = replace(scene.sample, study=new_uid(), elements={0x00100020: ("LO", b"ID2")})
    if behind:  # the app would take the one for the other
        await scene.there(mine)
    await scene.begin(compressed(mine, encoded({0x0020000D: ("UI", scene.sample.study.encode())}) + behind))
    await scene.ends(expected)


async def test_one_of_two_instances_with_the_same_uid_is_not_replaced(scene: Scene) -> None:
    """The service may read the other series in the file, and replace what was neither compared nor copied."""
    namesake = replace(scene.sample, series=new_uid())
    await scene.there(namesake)
    await scene.begin()
    receipt = await scene.place.settled(scene.name)
    assert (receipt.verdict, receipt.reason) == ("conflict", "other_patient")
    assert await scene.place.copies(scene.sample) == {}
    for stored in (scene.sample, namesake):
        assert await retrieved(scene.place, stored) == stored.content


async def test_another_instance_is_no_copy_of_what_is_stored(scene: Scene) -> None:
    """The service returns a sibling of the same patient: nothing is replaced."""
    sibling = scene.sample.sibling()
    await scene.begin()
    await scene.there(sibling)
    retrieve = DICOMwebClient.retrieve_instance
    with scene.patch.context() as patch:
        patch.setattr(
            DICOMwebClient,
            "retrieve_instance",
            lambda client, *args, **options: retrieve(client, *args, **options | asdict(uids(sibling))),
        )
        receipt = await scene.place.settled(scene.name)
    assert (receipt.verdict, receipt.reason) == ("conflict", "other_patient")
    assert await scene.place.copies(scene.sample) == {}
    assert list(await scene.place.quarantined(scene.name)) == [scene.name]


async def test_a_service_without_put(clients: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is replaced, and no copy is left."""
    with running(tmp_path, put_upsert=False) as root:
        async with place_at(clients, root, **REPLACE) as place:
            scene, first = Scene(place, monkeypatch), uuid4().hex
            with an_hour_ago(monkeypatch):
                await place.drop(f"{first}.dcm", scene.sample.content)
                assert (await place.settled(f"{first}.dcm")).verdict == "stored"
            await place.drop(scene.name, scene.bytes_of("new"))
            await scene.ends("conflict no_replacement")
            assert await place.reason(scene.name) is not None


async def test_in_a_partition(clients: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same instance of another partition neither gives way nor counts as one stored since."""
    sample = Sample()
    with running(tmp_path, partitions=True) as root:
        async with place_at(clients, root, partition="a", **REPLACE) as place:
            with an_hour_ago(monkeypatch):
                await place.put(sample, partition="a")
            await place.drop("partitioned.dcm", other(sample))
            await place.put(sample, partition="b")
            assert (await place.settled("partitioned.dcm")).verdict == "replaced"
            assert list((await place.copies(sample, "a")).values()) == [sample.content]
            assert [await place.stored(sample, each) for each in "ab"] == [other(sample), sample.content]


# What was not read back in time does not count; the next run makes another copy.
MADE_AGAIN = {
    ("upload the copy", "after"),
    ("read it back", "before"),
    ("read it back", "after"),
    ("write what it is", "before"),
}


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
async def test_killed_at_any_step(scene: Scene, step: str, when: str) -> None:
    """The next run says `replaced`, and names a copy of the old bytes; the new ones are stored once."""
    await scene.begin()
    await scene.die(step, when)
    await scene.let_claim_end()
    receipt = await scene.ends("replaced", copies="old old" if (step, when) in MADE_AGAIN else "old")
    assert receipt.replaced is not None
    assert await scene.place.about_copy(receipt.replaced.kept_as) is not None


async def test_one_run_at_a_time(scene: Scene) -> None:
    """While another process has the instance the file waits, and neither the file nor the service is to blame."""
    await scene.begin()
    ingest = scene.place.process()
    async with claim.claimed(scene.place.clients, None, uids(scene.sample)):
        lease = (await scene.claim().get_blob_properties()).lease
        assert (lease.state, lease.duration) == ("leased", "fixed")
        await handle(ingest, Arrival((scene.name,), Door.BLOB))
        waiting = await scene.place.receipt(scene.name)
    assert (waiting.reason, waiting.failed_by_itself, ingest.circuit.is_open) == ("being_replaced", False, False)
    await scene.ends("replaced", copies="old")


DAMAGED = (
    b"",
    b"\xff",
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
    scene: Scene, caplog: pytest.LogCaptureFixture, where: str, damaged: bytes
) -> None:
    """The file waits for an operator, whatever time that takes, and is not given up; the log says why."""
    caplog.set_level(logging.INFO, "dicom_dropbox")
    scene.place = scene.place.with_settings(give_up_after_days=0.0, **REPLACE)
    etag = await scene.begin()
    hashed = hashlib.sha256(f"{scene.name}\n{etag}".encode()).hexdigest()[:32]
    description = scene.place.clients.container(REPLACED).get_blob_client(f"{copies_of(scene.sample)}{hashed}-1.json")
    blob = scene.claim() if where == "note" else description
    await blob.upload_blob(damaged)
    for _ in range(2):
        waiting = await scene.run()
        assert (waiting.state, waiting.reason, waiting.failed_by_itself) == ("deferred", "note_damaged", False)
    told = [json.loads(message) for message in caplog.messages]
    assert {one["reason"] for one in told if one["event"] == "blob_deferred"} == {"note_damaged"}
    await blob.delete_blob()
    await scene.ends("replaced", copies="old")


async def test_a_claim_is_renewed(scene: Scene) -> None:
    """It lasts for longer than its lease was asked for."""
    scene.patch.setattr(leases, "_RENEW_AFTER_SECONDS", 0.05)
    scene.patch.setattr(leases, "_SAFE_SECONDS", 1.0)
    renewed = asyncio.Event()
    renew, renewals = BlobLeaseClient.renew, list[float]()

    async def noted(lease: BlobLeaseClient) -> None:
        await renew(lease)
        renewals.append(asyncio.get_running_loop().time())
        if renewals[-1] - renewals[0] > 1.2:
            renewed.set()

    scene.patch.setattr(BlobLeaseClient, "renew", noted)
    async with claim.claimed(scene.place.clients, None, uids(scene.sample)):
        await renewed.wait()


async def test_a_claim_that_cannot_be_renewed_ends_the_work(scene: Scene) -> None:
    """Before anybody else may have it. A timeout of the work's own is not taken for that."""
    scene.patch.setattr(leases, "_RENEW_AFTER_SECONDS", 0.01)
    scene.patch.setattr(leases, "_SAFE_SECONDS", 0.5)

    async def work() -> None:
        async with claim.claimed(scene.place.clients, None, uids(scene.sample)):
            await scene.let_claim_end()
            await asyncio.Event().wait()

    with pytest.raises(NotYet, match="being_replaced"):
        await work()
    with pytest.raises(TimeoutError):
        async with claim.claimed(scene.place.clients, None, uids(Sample())), asyncio.timeout(0):
            await asyncio.Event().wait()


@pytest.mark.parametrize(
    "fault",
    [
        {"fault": "drop_after_commit", "kind": "store"},
        {"fault": "truncate", "kind": "retrieve"},
        {"fault": "cut", "kind": "retrieve", "bytes": 200},
        {"fault": "status", "kind": "store", "status": 500, "requests": 3},
        {"fault": "status", "kind": "changefeed", "status": 500, "requests": 3},
        {"fault": "status", "kind": "retrieve", "status": 404},
    ],
    ids=lambda fault: " ".join(map(str, fault.values())),
)
async def test_a_fault_in_the_middle(scene: Scene, fault: dict[str, Any]) -> None:
    """Each copy is whole, and the file replaces in the end."""
    await scene.begin()
    scene.at(REPLACING, lambda: scene.place.inject(**fault))
    await scene.ends("replaced", copies="old")


async def test_a_copy_that_is_not_whole_is_not_left_lying(scene: Scene) -> None:
    """A transfer that ended too early, and did not say so: the file waits, and the half is gone."""
    await scene.begin()
    scene.at(REPLACING, lambda: scene.place.inject(fault="truncate", kind="retrieve"))
    assert (await scene.run()).reason == "service_failed"
    assert await scene.place.copies(scene.sample) == {}


async def test_what_somebody_else_puts_while_the_copy_is_made_stays(scene: Scene) -> None:
    """The change feed is looked at again just before the PUT. The copy may be the last one: it stays, and is named."""
    await scene.begin()
    scene.at(STEPS["keep"], lambda: scene.put("theirs"), when="after")
    receipt = await scene.ends("conflict stored_since", stored="theirs", copies="old")
    assert receipt.replaced is not None


@pytest.mark.parametrize("is_same_instance", [True, False])
async def test_another_clients_put_after_the_last_look_is_logged(
    scene: Scene, caplog: pytest.LogCaptureFixture, is_same_instance: bool
) -> None:
    """The app's PUT overwrites it, and nothing has a copy of it."""
    await scene.begin()

    async def put() -> None:
        await (scene.put("overwritten") if is_same_instance else scene.place.put(scene.sample.sibling()))

    scene.at(STEPS["write the replacement down"], put, when="after")
    assert (await scene.place.settled(scene.name)).verdict == "replaced"
    assert await retrieved(scene.place, scene.sample) == scene.bytes_of("new")
    told = [json.loads(record.getMessage())["event"] for record in caplog.records if record.name == "dicom_dropbox"]
    assert told.count("replaced_by_two") == is_same_instance


@pytest.mark.parametrize(
    ("step", "when", "copies"), [(REPLACING, "before", ""), (STEPS["keep"], "after", "old")], ids=["claim", "copy"]
)
async def test_the_same_bytes_from_somebody_else_make_it_a_duplicate(
    scene: Scene, step: tuple[Any, str], when: str, copies: str
) -> None:
    """They came after the first comparison: what is stored now is what was to be stored."""
    await scene.begin()
    scene.at(step, lambda: scene.put("new"), when=when)
    receipt = await scene.ends("duplicate", stored="new", copies=copies)
    assert (receipt.replaced is not None) is bool(copies)


async def test_a_copy_that_was_not_read_back_does_not_count(scene: Scene) -> None:
    """The run died over it, and something newer has come since: no verdict names it, for it may not be whole."""
    await scene.begin()
    await scene.die("read it back", "before")
    await scene.let_claim_end()
    await scene.put("newer")
    assert (await scene.ends("conflict stored_since", stored="newer", copies="old")).replaced is None


@pytest.mark.parametrize("there_before", [False, True])
async def test_a_file_whose_run_died_and_that_was_replaced_since_is_no_conflict(
    scene: Scene, there_before: bool
) -> None:
    """It was stored, or had replaced: its bytes, kept by the newer file's run, tell."""
    with an_hour_ago(scene.patch):
        if there_before:
            await scene.put("old")
        await scene.place.drop(scene.name, scene.bytes_of("new"))
        await scene.die("write the receipt", "before")
    await scene.let_claim_end()
    newer, copies = Scene(scene.place, scene.patch, scene.sample), "old new" if there_before else "new"
    await in_a_later_second()
    await newer.place.drop(newer.name, scene.bytes_of("newer"))
    await newer.ends("replaced", stored="newer", copies=copies)
    receipt = await scene.ends("replaced" if there_before else "duplicate", stored="newer", copies=copies)
    assert (receipt.replaced is not None) == there_before
    found = await scene.place.copies(scene.sample)
    assert receipt.replaced is None or found[receipt.replaced.kept_as] == scene.bytes_of("old")


@pytest.mark.parametrize("by_another_client", [False, True])
async def test_what_gave_way_and_comes_again_is_not_taken_for_stored(scene: Scene, by_another_client: bool) -> None:
    """Its bytes are those that gave way to another file, but that was before it came: it stays in quarantine."""
    scene.place = scene.place.with_settings(after_store=AfterStore.DELETE)
    between = Scene(scene.place, scene.patch, scene.sample)
    with an_hour_ago(scene.patch):
        await scene.put("old")
        if by_another_client:
            await between.place.drop(between.name, scene.bytes_of("new"))
            await between.ends("replaced", copies="old")
    if not by_another_client:
        await between.place.drop(between.name, scene.bytes_of("new"))
        await between.ends("replaced", copies="old")
    await scene.place.drop(scene.name, scene.bytes_of("old"))
    if by_another_client:
        await scene.put("theirs")
    await scene.ends("conflict stored_since", stored="theirs" if by_another_client else "new", copies="old")
    assert await scene.place.quarantined(scene.name) == {scene.name: scene.bytes_of("old")}


async def test_the_same_event_five_times_at_once(scene: Scene) -> None:
    """In five processes: it replaces once."""
    await scene.begin()
    receipts = await asyncio.gather(*(scene.place.settled(scene.name) for _ in range(5)))
    assert {receipt.verdict for receipt in receipts} == {"replaced"}
    await scene.ends("replaced", copies="old")


async def test_a_sender_cannot_make_the_copy(scene: Scene) -> None:
    """A refused file of another patient, named and marked as copies once were, does not let it replace the instance."""
    theirs = {**scene.sample.elements, 0x00100020: ("LO", b"HOSTILE")}
    decoy, scene.name = Sample(), scene.name.removesuffix(".dcm")
    await scene.there(decoy)
    etag = await scene.begin(replace(scene.sample, elements=theirs).content)
    forged, name = replace(decoy, elements=theirs), f"{scene.name}~replaced-by-{etag}"
    await scene.place.clients.inbox.upload_blob(name, forged.content, metadata={"sha256": "0" * 64})
    assert (await scene.place.settled(name)).reason == "other_patient"
    assert (await scene.place.settled(scene.name)).reason == "other_patient"
    assert await scene.place.stored(scene.sample) == scene.sample.content


@pytest.mark.parametrize("metadata", [{}, {"sha256": "0" * 64}])
async def test_a_refused_file_is_left_alone_whatever_its_name(scene: Scene, metadata: dict[str, str]) -> None:
    """A replacement neither deletes nor overwrites a sender's file that is named as its copy once was."""
    scene.name = scene.name.removesuffix(".dcm")
    refused = f"{scene.name}~replaced-by-{await scene.begin()}"
    content = Sample(elements={0x0020000D: None}).content
    await scene.place.clients.inbox.upload_blob(refused, content, metadata=metadata)
    assert (await scene.place.settled(refused)).reason == "uids_missing"
    reason = await scene.place.reason(refused)
    assert (await scene.place.settled(scene.name)).verdict == "replaced"
    assert await scene.place.quarantined(scene.name) == {refused: content}
    assert await scene.place.reason(refused) == reason
    assert list((await scene.place.copies(scene.sample)).values()) == [scene.sample.content]


@pytest.mark.parametrize("damaged", [b"", b"other bytes"])
async def test_an_earlier_runs_copy_counts_only_if_it_is_what_is_stored(scene: Scene, damaged: bytes) -> None:
    """It is read again, and compared with what the service returns; else there is another copy."""
    await scene.begin()
    await scene.die("write what it is", "after")
    await scene.let_claim_end()
    [first] = await scene.place.copies(scene.sample)
    await scene.place.clients.container(REPLACED).upload_blob(first, damaged, overwrite=True)
    receipt = await scene.place.settled(scene.name)
    assert receipt.replaced is not None
    expected = {first: damaged, receipt.replaced.kept_as: scene.sample.content}
    assert await scene.place.copies(scene.sample) == expected


async def test_a_copy_that_is_damaged_before_it_is_read_back_does_not_count(scene: Scene) -> None:
    """Nothing is replaced then, and the damaged copy, which this run no longer owns, stays."""
    await scene.begin()
    read_back = keeping._read_back

    async def damage_and_read(blob: BlobClient) -> Any:
        await blob.upload_blob(scene.bytes_of("damaged"), overwrite=True)
        return await read_back(blob)

    with scene.patch.context() as patch:
        patch.setattr(keeping, "_read_back", damage_and_read)
        assert not (await scene.run()).is_final
    assert await scene.place.stored(scene.sample) == scene.sample.content
    assert list((await scene.place.copies(scene.sample)).values()) == [scene.bytes_of("damaged")]
    await scene.ends("replaced", copies="damaged old")


async def test_a_blob_under_the_name_of_a_copy_is_not_overwritten(scene: Scene) -> None:
    """An attempt whose name is taken fails, and replaces nothing."""
    etag, attempt = await scene.begin(), uuid4()
    version = hashlib.sha256(f"{scene.name}\n{etag}".encode()).hexdigest()[:32]
    taken = f"{copies_of(scene.sample)}{version}-{attempt.hex}.dcm"
    await scene.place.clients.container(REPLACED).upload_blob(taken, b"of another run")
    with scene.patch.context() as patch:
        patch.setattr(keeping, "uuid4", lambda: attempt)
        await scene.run()
    assert await scene.place.stored(scene.sample) == scene.sample.content
    assert await scene.place.copies(scene.sample) == {taken: b"of another run"}


async def test_a_put_whose_answer_is_lost_is_waited_for(scene: Scene) -> None:
    """The service may carry it out late: no other file replaces the instance until the claim has ended by itself."""
    await scene.begin()
    store_instance = DICOMwebClient.store_instance

    async def lose_answer(client: DICOMwebClient, body: Any, **options: Any) -> Any:
        if options.get("replace"):
            raise ResponseLost("store")
        return await store_instance(client, body, **options)

    with scene.patch.context() as patch:
        patch.setattr(DICOMwebClient, "store_instance", lose_answer)
        await scene.run()
    following = Scene(scene.place, scene.patch, scene.sample)
    await following.place.drop(following.name, scene.bytes_of("next"))
    assert (await following.run()).reason == "being_replaced"
    await scene.put("new")
    await scene.let_claim_end()
    await following.ends("conflict stored_since", stored="new", copies="old")
    await scene.ends("replaced", copies="old")


@pytest.mark.parametrize("status", [405, 413, 503])
async def test_a_put_is_not_repeated_at_once(scene: Scene, status: int) -> None:
    """Its answer is lost; what a second one is answered does not say that the first was not carried out."""
    scene.place = scene.place.with_settings(after_store=AfterStore.DELETE)
    await scene.begin()
    exchange, puts = Session._exchange, list[str]()

    async def lose_answer(session: Session, request: Any, headers: Any) -> Any:
        if request.method != "PUT":
            return await exchange(session, request, headers)
        puts.append(request.path)
        if len(puts) > 1:
            raise status_error("store instance", status, None)
        await (await exchange(session, request, headers)).aclose()
        raise ResponseLost("store instance")

    with scene.patch.context() as patch:
        patch.setattr(Session, "_exchange", lose_answer)
        await scene.run()
    assert len(puts) == 1
    await scene.let_claim_end()
    await scene.ends("replaced", copies="old")


async def test_of_several_copies_the_one_that_was_noted_counts(scene: Scene) -> None:
    """A run has died after its PUT, and another client has stored something since: the verdict names the noted copy."""
    await scene.begin()
    await scene.die("put", "after")
    [noted] = await scene.place.copies(scene.sample)
    later, container = f"{noted.partition('-')[0]}-0.dcm", scene.place.clients.container(REPLACED)
    about = {**(await scene.place.about_copy(noted) or {}), "kept_as": later}
    await container.upload_blob(later, scene.sample.content)
    await container.upload_blob(later.replace(".dcm", ".json"), json.dumps(about))
    await scene.put("theirs")
    await scene.let_claim_end()
    receipt = await scene.ends("conflict stored_since", stored="theirs", copies="old old")
    assert receipt.replaced is not None
    assert receipt.replaced.kept_as == noted


async def test_only_what_the_run_has_written_is_deleted(scene: Scene) -> None:
    """A copy that is not needed goes under its ETag: what another has written in its place stays."""
    await scene.begin(replace(scene.sample, elements={0x00100020: ("LO", b"ID2")}).content)
    discard = keeping.discard

    async def overwritten(kept: keeping.StoredCopy) -> None:
        for blob, _ in kept.written:
            await blob.upload_blob(b"{}", overwrite=True)
        await discard(kept)

    scene.patch.setattr(replacement, "discard", overwritten)
    assert (await scene.place.settled(scene.name)).reason == "other_patient"
    assert list((await scene.place.copies(scene.sample)).values()) == [b"{}"]


@pytest.mark.parametrize(
    ("was_replaced", "status", "told"),
    [
        (False, 405, "conflict no_replacement"),
        (True, 405, "conflict no_replacement"),
        (True, 413, "rejected too_large"),
    ],
)
async def test_a_refused_put_leaves_the_latest_replacement_as_it_was(
    scene: Scene, was_replaced: bool, status: int, told: str
) -> None:
    """So an older receipt does not make a duplicate of bytes that the service has no longer."""
    scene.place = scene.place.with_settings(after_store=AfterStore.DELETE)
    first, stored = uuid4().hex + ".dcm", "second" if was_replaced else "old"
    with an_hour_ago(scene.patch):
        for name, content in ((first, "old"), (uuid4().hex + ".dcm", stored))[: 1 + was_replaced]:
            await scene.place.drop(name, scene.bytes_of(content))
            await scene.place.settled(name)
    before = await claim.read_replacement(scene.place.clients, None, uids(scene.sample))
    assert (before is not None) == was_replaced
    scene.at(REPLACING, lambda: scene.place.inject(fault="status", kind="store", status=status))
    await in_a_later_second()
    await scene.place.drop(scene.name, scene.bytes_of("third"))
    await scene.ends(told, stored=stored, copies="old" if was_replaced else "")
    assert await claim.read_replacement(scene.place.clients, None, uids(scene.sample)) == before
    await in_a_later_second()
    await scene.place.drop(first, scene.bytes_of("old"))
    assert (await scene.place.settled(first)).verdict == ("replaced" if was_replaced else "duplicate")
    assert await scene.place.stored(scene.sample) == scene.bytes_of("old")
