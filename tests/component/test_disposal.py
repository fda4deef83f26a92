"""What becomes of the file, whatever happens between any two requests to storage: never lost, never there twice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import count

import pytest
from azure.core.exceptions import ResourceNotFoundError, ServiceRequestError, ServiceResponseError

from shared.arrivals import Arrival, Door
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient
from shared.settings import ARCHIVE, QUARANTINE, AfterStore
from shared.sources import Sources
from store_on_upload.files.naming import copy_names, with_suffix
from store_on_upload.files.quarantine import read_reason, reason_name
from store_on_upload.ingest import Ingest
from store_on_upload.receipts.container import read_receipt
from store_on_upload.receipts.document import Document
from store_on_upload.receipts.receipt import Receipt
from store_on_upload.upload import handle
from store_on_upload.verdict import Verdict
from tests.kit.files import Sample, new_uid
from tests.kit.service import ServiceClient, opened
from tests.kit.watched_storage import Act, Killed, Watch, watched

FEWEST_REQUESTS = 4  # STOP, the file, its tombstone or its copy, the receipt
NOT_DICOM = b"This is no DICOM file. " * 20


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServiceClient]:
    with opened(tmp_path_factory.mktemp("dicom")) as client:
        yield client


@dataclass
class World:
    """An app over storage that is watched, and a producer."""

    clients: Clients
    producer: Clients
    watch: Watch
    service: ServiceClient

    def app(self, after_store: str = "keep") -> Ingest:
        """Return the app as it is after a start."""
        settings = self.clients.settings.model_copy(update={"after_store": AfterStore(after_store)})
        return Ingest.over(replace(self.clients, settings=settings, sources=Sources(settings)))

    async def drop(self, name: str, content: bytes, container: str | None = None) -> str:
        """Write a blob as its producer does; return its ETag without quotation marks."""
        blob = self.producer.container(container or "dicom-inbox").get_blob_client(name)
        return str((await blob.upload_blob(content, overwrite=True))["etag"]).strip('"')

    async def names(self, container: str, prefix: str) -> list[str]:
        """List the blobs whose names begin so."""
        return [name async for name in self.producer.container(container).list_blob_names(name_starts_with=prefix)]

    async def content(self, container: str, name: str) -> bytes:
        """Read a blob."""
        blob = self.producer.container(container).get_blob_client(name)
        return bytes(await (await blob.download_blob()).readall())

    async def document(self, name: str) -> Document:
        """Return the receipts of a blob."""
        found = await read_receipt(self.producer, name)
        assert found is not None
        return found

    def stored(self, sample: Sample) -> int:
        """Count the instances of a sample's study in the service."""
        found = self.service.http.get(f"{sample.study_path}/instances", headers={"Accept": "application/dicom+json"})
        return len(found.json()) if found.status_code == 200 else 0


@pytest.fixture
async def world(clients: Clients, service: ServiceClient) -> AsyncIterator[World]:
    watch = Watch()
    async with DICOMwebClient(f"{service.root}/v2") as dicom, watched(clients, watch) as storage:
        yield World(replace(storage, dicom=dicom), clients, watch, service)


def new_name() -> str:
    return f"{new_uid()}/a name.dcm"


async def at_each_request(case: Callable[[int], Awaitable[bool]]) -> int:
    """Try a case for the first, the second, … request, until one is not reached; return how many were."""
    for request in count(1):
        if not await case(request):
            return request - 1
    raise AssertionError


async def killed() -> None:
    raise Killed


async def unreachable() -> None:
    raise ServiceRequestError("by the test")


async def unanswered() -> None:
    raise ServiceResponseError("by the test")


@dataclass(frozen=True)
class End:
    """What is to be where in the end."""

    after_store: str
    verdict: Verdict = Verdict.STORED
    copy_in: str | None = None
    stays: bool = False


ENDS = {
    "keep": End("keep", stays=True),
    "archive": End("archive", copy_in=ARCHIVE),
    "delete": End("delete"),
    "quarantine": End("keep", Verdict.REJECTED, QUARANTINE),
}


def content_for(end: End, sample: Sample) -> bytes:
    return sample.content if end.verdict is Verdict.STORED else NOT_DICOM


async def has_ended(world: World, end: End, name: str, sample: Sample, receipt: Receipt) -> None:
    """See that one version has its verdict, and its file is where it should be, once."""
    assert receipt.is_final
    assert receipt.verdict in (end.verdict, *([Verdict.DUPLICATE] if end.verdict is Verdict.STORED else []))
    assert await world.names("dicom-inbox", name) == ([name] if end.stays else [])
    for container in (ARCHIVE, QUARANTINE):
        assert await world.names(container, name) == ([name] if container == end.copy_in else [])
    if end.copy_in:
        assert await world.content(end.copy_in, name) == content_for(end, sample)
    if end.copy_in == QUARANTINE:
        assert await read_reason(world.producer, name) == receipt
    else:
        assert world.stored(sample) == 1


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
@pytest.mark.parametrize(
    ("act", "is_after"),
    [(killed, False), (killed, True), (unreachable, False), (unanswered, True)],
    ids=["killed before", "killed after", "not reached", "answer lost"],
)
async def test_one_more_run_after_any_failure(world: World, end: End, act: Act, is_after: bool) -> None:
    """Whichever request it was that failed, or at which the process ended: the next run brings it to its end."""

    async def fails_at(request: int) -> bool:
        name, sample = new_name(), Sample()
        etag = await world.drop(name, content_for(end, sample))
        world.watch.step_in(request, act, is_after=is_after)
        with suppress(Killed, ServiceRequestError, ServiceResponseError):
            await handle(world.app(end.after_store), Arrival((name,), Door.BLOB))
        stepped_in = world.watch.stepped_in
        world.watch.leave()
        # The host's own next attempt, or our message.
        await handle(world.app(end.after_store), Arrival((name,), Door.BLOB if act is killed else Door.DEFERRAL))
        document = await world.document(name)
        assert (document.newest.etag, document.earlier) == (etag, ())
        await has_ended(world, end, name, sample, document.newest)
        return stepped_in

    assert await at_each_request(fails_at) >= FEWEST_REQUESTS


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_a_newer_version_comes_in_between(world: World, end: End) -> None:
    """At whichever request: it is neither moved nor deleted by the older one's run, and has a verdict of its own."""

    async def overwritten_at(request: int) -> bool:
        name, sample, newer = new_name(), Sample(), Sample()
        etag = await world.drop(name, content_for(end, sample))
        etags: list[str] = []

        async def overwrite() -> None:
            etags.append(await world.drop(name, newer.content))

        world.watch.step_in(request, overwrite)
        await handle(world.app(end.after_store), Arrival((name,), Door.BLOB))
        world.watch.leave()
        if not etags:
            return False
        if request > 2:  # up to its first read, the newer one is what the run finds
            assert await world.content("dicom-inbox", name) == newer.content
        await handle(world.app(), Arrival((name,), Door.BLOB))
        document = await world.document(name)
        assert (document.newest.etag, document.newest.verdict) == (etags[0], Verdict.STORED)
        assert {one.etag for one in document.earlier} <= {etag}
        assert world.stored(newer) == 1
        if world.stored(sample):
            assert [one.verdict for one in document.earlier] == [Verdict.STORED]
        return True

    assert await at_each_request(overwritten_at) >= FEWEST_REQUESTS


@pytest.mark.parametrize("end", ENDS.values(), ids=ENDS)
async def test_its_producer_deletes_it_in_between(world: World, end: End) -> None:
    """At whichever request: the run ends, and there is one copy at most; what was stored has its receipt."""

    async def deleted_at(request: int) -> bool:
        name, sample = new_name(), Sample()
        etag = await world.drop(name, content_for(end, sample))

        async def delete() -> None:
            with suppress(ResourceNotFoundError):
                await world.producer.inbox.get_blob_client(name).delete_blob()

        world.watch.step_in(request, delete)
        await handle(world.app(end.after_store), Arrival((name,), Door.BLOB))
        stepped_in = world.watch.stepped_in
        world.watch.leave()
        assert await world.names("dicom-inbox", name) == ([] if stepped_in or not end.stays else [name])
        assert len(await world.names(ARCHIVE, name) + await world.names(QUARANTINE, name)) <= 1
        found = await read_receipt(world.producer, name)
        assert found is None or (found.newest.etag, found.newest.verdict) == (etag, end.verdict)
        assert world.stored(sample) == (1 if found and end.verdict is Verdict.STORED else 0)
        return stepped_in

    assert await at_each_request(deleted_at) >= FEWEST_REQUESTS


@pytest.mark.parametrize("end", [ENDS["archive"], ENDS["delete"], ENDS["quarantine"]])
@pytest.mark.parametrize("kept_by", ["lease", "snapshot"])
async def test_what_keeps_the_file_is_respected(world: World, end: End, kept_by: str) -> None:
    """A lease or a snapshot is never broken: the file stays, its verdict stands, and it goes once it may."""
    name, sample = new_name(), Sample()
    await world.drop(name, content_for(end, sample))
    blob = world.producer.inbox.get_blob_client(name)
    if kept_by == "lease":
        lease = await blob.acquire_lease(-1)
        set_free = lease.release
    else:
        await blob.create_snapshot()
        set_free = partial(blob.delete_blob, delete_snapshots="only")
    await handle(world.app(end.after_store), Arrival((name,), Door.BLOB))
    receipt = (await world.document(name)).newest
    assert await world.names("dicom-inbox", name) == [name]
    await has_ended(world, replace(end, stays=True), name, sample, receipt)
    await set_free()
    await handle(world.app(end.after_store), Arrival((name,), Door.SWEEP))
    await has_ended(world, end, name, sample, receipt)


@pytest.mark.parametrize("end", [ENDS["archive"], ENDS["quarantine"]])
async def test_the_name_of_the_copy_is_taken(world: World, end: End) -> None:
    """By what is not this version: that stays as it is, and the copy has the version in its name, and its reason."""
    assert end.copy_in
    name, sample = new_name(), Sample()
    await world.drop(name, b"somebody else's", end.copy_in)
    etag = await world.drop(name, content_for(end, sample))
    for _ in range(2):
        await handle(world.app(end.after_store), Arrival((name,), Door.BLOB))
    assert await world.content(end.copy_in, name) == b"somebody else's"
    assert await world.content(end.copy_in, f"{name}~{etag}") == content_for(end, sample)
    assert await world.names(end.copy_in, name) == [name, f"{name}~{etag}"]
    assert await world.names("dicom-inbox", name) == []
    if end.copy_in == QUARANTINE:
        assert await read_reason(world.producer, name) is None
        reason = await read_reason(world.producer, f"{name}~{etag}")
        assert reason == (await world.document(name)).newest
        assert await world.content("dicom-quarantine-reasons", reason_name(f"{name}~{etag}"))


@pytest.mark.parametrize("end", [ENDS["archive"], ENDS["quarantine"]])
async def test_the_name_of_the_copy_gets_free(world: World, end: End) -> None:
    """After a run that died when it had copied the file under another one: the next run makes no second copy."""
    assert end.copy_in

    async def dies_at(request: int) -> bool:
        assert end.copy_in
        name, sample = new_name(), Sample()
        await world.drop(name, b"what an earlier version left", end.copy_in)
        etag = await world.drop(name, content_for(end, sample))
        world.watch.step_in(request, killed, is_after=True)
        with suppress(Killed):
            await handle(world.app(end.after_store), Arrival((name,), Door.BLOB))
        stepped_in = world.watch.stepped_in
        world.watch.leave()
        await world.producer.container(end.copy_in).delete_blob(name)
        had_begun = await world.names(end.copy_in, name)
        await handle(world.app(end.after_store), Arrival((name,), Door.SWEEP))
        assert await world.names(end.copy_in, name) == (had_begun or [name])
        assert had_begun in ([], [with_suffix(name, f"~{etag}")])
        assert await world.names("dicom-inbox", name) == []
        return stepped_in

    assert await at_each_request(dies_at) >= FEWEST_REQUESTS


@pytest.mark.parametrize("end", [ENDS["archive"], ENDS["quarantine"]])
async def test_both_usual_names_of_the_copy_are_taken(world: World, end: End) -> None:
    """A file was dropped under the name that the copy of another one would have: both have a copy."""
    assert end.copy_in
    name, sample = new_name(), Sample()
    etag = await world.drop(name, content_for(end, sample))
    *taken, third = copy_names(name, etag)
    for other in taken:
        await world.drop(other, b"another file", end.copy_in)
    for _ in range(2):
        await handle(world.app(end.after_store), Arrival((name,), Door.BLOB))
    assert await world.names(end.copy_in, name) == sorted([*taken, third])
    assert await world.content(end.copy_in, third) == content_for(end, sample)
    assert await world.names("dicom-inbox", name) == []


async def test_all_names_of_the_copy_are_taken(world: World) -> None:
    """The file stays in the inbox, with its verdict, and a message brings it back."""
    name, sample = new_name(), Sample()
    etag = await world.drop(name, sample.content)
    for taken in copy_names(name, etag):
        await world.drop(taken, b"somebody else's", ARCHIVE)
    world.watch.leave()
    await handle(world.app("archive"), Arrival((name,), Door.BLOB))
    assert world.watch.requests[-1] == "POST dicom-arrivals"
    assert await world.names("dicom-inbox", name) == [name]
    assert (await world.document(name)).newest.verdict is Verdict.STORED


@pytest.mark.parametrize("suffix", [".json", "~0x8DE0B1C2D3E4F50"])
def test_long_names_stay_apart(suffix: str) -> None:
    """Two names that differ at their ends only have two copies and two reasons, within Azure's 1024 characters."""
    names = [with_suffix("x" * 1020 + end, suffix) for end in ("1.dc", "2.dc")]
    assert names[0] != names[1]
    assert all(len(name) <= 1024 and name.endswith(suffix) for name in names)
    assert with_suffix("a.dcm", suffix) == f"a.dcm{suffix}"


@pytest.mark.parametrize("suffix", [".json", "~0x8DE0B1C2D3E4F50"])
def test_no_name_leads_to_what_a_long_name_was_shortened_to(suffix: str) -> None:
    """A sender who knows a file's long name cannot name another file so that it gets the place of the first one's."""
    victim = "x" * 1024
    shortened = with_suffix(victim, suffix)
    made = [shortened.removesuffix(suffix)]
    for _ in range(3):
        made.append(with_suffix(made[-1], suffix).removesuffix(suffix))
    assert len({shortened, *(with_suffix(name, suffix) for name in made)}) == 1 + len(made)
    assert all(len(with_suffix(name, suffix)) <= 1024 for name in made)
