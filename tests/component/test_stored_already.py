"""What the service has already, compared with a file: in partitions, found by a search, corrected, not to be had."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from local.dicom_service.app import create_app
from shared.arrivals import Arrival, Door
from shared.clients import Clients
from shared.settings import QUARANTINE, AfterStore
from store_on_upload.storing import store
from store_on_upload.upload import handle
from tests.kit.files import Sample, untold
from tests.kit.runs import REPLACE, Place, an_hour_ago, other, place_at, uids
from tests.kit.service import running, serving


@pytest.fixture(scope="module")
def partitioned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running(tmp_path_factory.mktemp("dicom"), partitions=True) as root:
        yield root


@pytest.fixture
async def place(clients: Clients, service: str) -> AsyncIterator[Place]:
    async with place_at(clients, service) as place:
        yield place


@pytest.mark.parametrize("sample", [Sample(), untold()], ids=["told", "untold"])
async def test_in_a_partition(clients: Clients, partitioned: str, sample: Sample) -> None:
    """What the file's own partition has is compared; that another one has other bytes does not matter."""
    async with place_at(clients, partitioned, partition="ours") as place:
        await place.put(sample, partition="ours")
        await place.put(sample, other(sample), partition="theirs")
        await place.drop("same.dcm", sample.content)
        assert (await place.settled("same.dcm")).verdict == "duplicate"
        await place.drop("other.dcm", other(sample))
        assert (await place.settled("other.dcm")).verdict == "conflict"
        assert await place.stored(sample, "theirs") == other(sample)


def with_originals(app: ASGIApp) -> ASGIApp:
    """Return a service whose partition `originals` has what was first stored, before it was corrected in the others."""

    async def altered(scope: Scope, receive: Receive, send: Send) -> None:
        if b"msdicom-request-original" in dict(scope.get("headers", ())):
            path = re.sub("/partitions/[^/]+/", "/partitions/originals/", scope["path"])
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await app(scope, receive, send)

    return altered


async def test_what_was_corrected_in_the_service_since(clients: Clients, tmp_path: Path) -> None:
    """A file that was stored and then corrected by a bulk update is a duplicate still; a third one is a conflict."""
    sample = Sample()
    third = sample.sibling(sop=sample.sop, elements={**sample.elements, 0x00200011: ("IS", b"9")}).content
    with serving(with_originals(create_app(tmp_path, None, partitions=True))) as root:
        async with place_at(clients, root, partition="ours") as place:
            await place.put(sample, other(sample), partition="ours")
            await place.put(sample, partition="originals")
            await place.drop("first.dcm", sample.content)
            assert (await place.settled("first.dcm")).verdict == "duplicate"
            await place.drop("third.dcm", third)
            assert (await place.settled("third.dcm")).verdict == "conflict"


async def test_what_was_corrected_is_not_replaced(
    clients: Clients, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A replacement could lose the instance as it was first stored; the copy that was made to see it goes again."""
    sample = Sample()
    corrected, newer = other(sample, b"corrected"), other(sample, b"newer")
    with serving(with_originals(create_app(tmp_path, None, partitions=True))) as root:
        async with place_at(clients, root, partition="ours", **REPLACE) as place:
            with an_hour_ago(monkeypatch):
                await place.put(sample, corrected, partition="ours")
                await place.put(sample, partition="originals")
            await place.drop("newer.dcm", newer)
            receipt = await place.settled("newer.dcm")
            assert (receipt.verdict, receipt.reason) == ("conflict", "corrected")
            assert await place.stored(sample, "ours") == corrected
            assert await place.quarantined("newer.dcm") == {"newer.dcm": newer}
            assert await place.copies(sample, "ours") == {}


@pytest.mark.usefixtures("nothing_purged")
async def test_uids_that_are_not_told_are_searched_for(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """The instance is found by the UID that the service names; whose it is cannot be told, so it is not replaced."""
    sample = untold()
    with an_hour_ago(monkeypatch):
        await place.put(sample)
    await place.drop("untold same.dcm", sample.content)
    assert (await place.settled("untold same.dcm")).verdict == "duplicate"
    place = place.with_settings(**REPLACE)
    await place.drop("untold other.dcm", other(sample))
    receipt = await place.settled("untold other.dcm")
    assert (receipt.verdict, receipt.reason) == ("conflict", "other_patient")


async def test_bytes_that_had_to_make_room_for_others_under_the_same_name(place: Place) -> None:
    """An earlier receipt says that they were stored, and a later one that the service has others now."""
    sample, name, verdicts = Sample(), "made room.dcm", []
    for content in (sample.content, other(sample), other(sample), sample.content):
        await place.drop(name, content)
        verdicts.append((await place.settled(name)).verdict)
        if len(verdicts) == 1:
            await place.clients.dicom.delete_instance(**asdict(uids(sample)))
    assert verdicts == ["stored", "stored", "duplicate", "conflict"]


@pytest.mark.parametrize("after_store", [AfterStore.ARCHIVE, AfterStore.DELETE])
@pytest.mark.parametrize("by", ["another name", "another sender"])
async def test_a_receipt_does_not_stand_for_what_the_service_has_now(
    place: Place, after_store: AfterStore, by: str
) -> None:
    """A file that would leave the inbox, or the quarantine by a replay, is compared with the stored instance."""
    sample, name = Sample(), f"{by} {after_store} again.dcm"
    leaving = place.with_settings(after_store=after_store)
    await leaving.drop(name, sample.content)
    assert (await leaving.settled(name)).verdict == "stored"
    await place.clients.dicom.delete_instance(**asdict(uids(sample)))
    if by == "another sender":
        await place.put(sample, other(sample))
    else:
        await leaving.drop(f"second {name}", other(sample))
        assert (await leaving.settled(f"second {name}")).verdict == "stored"
    await leaving.drop(name, sample.content)
    receipt = await leaving.settled(name)
    assert (receipt.verdict, receipt.reason) == ("conflict", "other_bytes")
    (copy,) = await place.quarantined(name)
    await handle(place.process(), Arrival((copy,), Door.REPLAY, container=QUARANTINE))
    assert (await place.receipt(name)).verdict == "conflict"
    assert await place.quarantined(name) == {copy: sample.content}


@pytest.mark.parametrize(
    ("fault", "reason"),
    [
        ({"fault": "status", "status": 404}, "not_confirmed"),
        ({"fault": "status", "status": 406}, "service_failed"),
        ({"fault": "status", "status": 500, "requests": 3}, "service_failed"),
        ({"fault": "status", "status": 503, "requests": 3}, "service_busy"),
        ({"fault": "cut", "bytes": 100}, "service_failed"),
        # An answer that ends too early and does not say so is not taken for another instance.
        ({"fault": "truncate", "requests": 3}, "service_failed"),
    ],
)
async def test_what_cannot_be_retrieved_now(place: Place, fault: dict[str, Any], reason: str) -> None:
    """No verdict is given on what was not seen: the file waits, and is a duplicate once it can be compared."""
    sample, name = Sample(), f"{fault}.dcm"
    await place.put(sample)
    await place.drop(name, sample.content)
    await place.inject(kind="retrieve", **fault)
    await handle(place.process(), Arrival((name,), Door.BLOB))
    waiting = await place.receipt(name)
    assert (waiting.state, waiting.reason) == ("deferred", reason)
    assert (await place.settled(name)).verdict == "duplicate"


@pytest.mark.parametrize("replacing", [False, True])
async def test_what_is_deleted_meanwhile_makes_room(
    place: Place, monkeypatch: pytest.MonkeyPatch, replacing: bool
) -> None:
    """Between the service's word that it is there and our look at it, it goes: the file is stored in its stead."""
    sample, name = Sample(), f"makes room {replacing}.dcm"
    place = place.with_settings(**REPLACE) if replacing else place
    with an_hour_ago(monkeypatch):
        await place.put(sample)
    await place.drop(name, other(sample))
    step = "replace_stored" if replacing else "is_same_as_stored"
    then = getattr(store, step)

    async def deleted(*args: Any) -> Any:
        monkeypatch.setattr(store, step, then)
        await place.clients.dicom.delete_instance(**asdict(uids(sample)))
        return await then(*args)

    monkeypatch.setattr(store, step, deleted)
    receipt = await place.settled(name)
    assert (receipt.verdict, receipt.attempts) == ("stored", 2)
    assert await place.stored(sample) == other(sample)
    assert await place.quarantined(name) == {}
