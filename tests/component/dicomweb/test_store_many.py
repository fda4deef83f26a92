"""Storing many instances, and what the Azure service adds to a store: replacing, and an expiry."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from datetime import timedelta

import pytest

from shared.dicomweb import Body, Busy, InvalidParameter, StoreResult, StoreStatus
from shared.dicomweb.multipart import MultipartParser, PartBegin, PartData, PartEnd, boundary_of
from tests.component.dicomweb.client_under_test import INSTANCE, JSON, STUDY, client_of
from tests.kit.scripted_server import End, Received, Script, answer, script, serve

CONTENT = bytes(range(256)) * 4000
STORED = answer(
    200, json.dumps({"00081199": {"vr": "SQ", "Value": [{"00081155": {"Value": [INSTANCE]}}]}}).encode(), JSON
)


def numbered(count: int) -> list[tuple[int, Body]]:
    return [(number, Body.from_bytes(b"%d" % number)) for number in range(count)]


async def test_each_is_confirmed_by_itself() -> None:
    """Each of many has its own request and its own outcome, and one that fails ends none of the others."""

    def chosen(request: Received) -> Script:
        return {b"3": answer(503), b"5": answer(204)}.get(request.body, STORED)

    async with serve(chosen) as server, client_of(server.url) as client:
        outcomes = {number: outcome async for number, outcome in client.store_instances(numbered(8))}
    assert Counter(request.body for request in server.requests) == Counter(
        {b"%d" % number: 3 if number == 3 else 1 for number in range(8)}
    )
    told = [outcomes[number] for number in range(8)]
    assert isinstance(told.pop(3), Busy)
    statuses = [outcome.outcome_of(INSTANCE).status for outcome in told if isinstance(outcome, StoreResult)]
    assert statuses == [StoreStatus.STORED] * 4 + [StoreStatus.NOT_RECEIVED] + [StoreStatus.STORED] * 2


async def test_a_source_that_breaks_ends_itself_only() -> None:
    """A source that cannot be read is an outcome of its own."""

    async def broken() -> AsyncIterator[bytes]:
        yield b"DI"
        raise OSError

    sources = [(-1, Body(broken, 4)), *numbered(2)]
    async with serve(STORED) as server, client_of(server.url) as client:
        outcomes = {number: type(outcome) async for number, outcome in client.store_instances(sources)}
    assert outcomes == {-1: OSError, 0: StoreResult, 1: StoreResult}


async def test_no_more_at_once_than_asked_for() -> None:
    """Sources are taken as uploads end, and never more are under way than `at_once`."""
    taken = 0

    def sources() -> Iterator[tuple[int, Body]]:
        nonlocal taken
        for source in numbered(9):
            taken += 1
            yield source

    finished = 0
    async with serve(STORED) as server, client_of(server.url) as client:
        async for _ in client.store_instances(sources(), at_once=3):
            finished += 1
            assert taken - finished < 3 + 1
    assert (taken, finished, len(server.requests)) == (9, 9, 9)
    assert server.connections <= 3


async def test_leaving_early_ends_what_is_under_way() -> None:
    """Who stops after the first outcome leaves no upload behind."""

    def chosen(request: Received) -> Script:
        return STORED if request.body == b"0" else script(End.STALL)

    async with serve(chosen) as server, client_of(server.url) as client:
        async with aclosing(client.store_instances(numbered(4), at_once=4)) as outcomes:
            await anext(outcomes)
            await server.arrival(4)
        async with asyncio.timeout(5):
            await asyncio.gather(*(request.gone.wait() for request in server.requests if request.body != b"0"))


async def test_sources_that_break() -> None:
    """Where the sources themselves end in an error, no upload goes on behind the caller's back."""

    def broken() -> Iterator[tuple[int, Body]]:
        yield from numbered(3)
        raise FileNotFoundError

    async with serve(script(End.STALL)) as server, client_of(server.url) as client:
        before = asyncio.all_tasks()
        with pytest.raises(FileNotFoundError):
            assert [outcome async for outcome in client.store_instances(broken())]
        left = [task for task in asyncio.all_tasks() - before if "store_instances" in repr(task.get_coro())]
    assert left == []


async def test_none_at_once_is_refused() -> None:
    """A bound of nothing would wait for ever."""
    async with client_of("http://127.0.0.1:1/v2") as client:
        with pytest.raises(InvalidParameter):
            await anext(client.store_instances(numbered(1), at_once=0))
        assert [outcome async for outcome in client.store_instances(numbered(0))] == []


async def test_replacing() -> None:
    """Replacing is a PUT to the same address, and repeated where its answer is lost: it does no harm twice."""
    async with serve(script(End.RESET), STORED) as server, client_of(server.url) as client:
        await client.store_instance(Body.from_bytes(CONTENT), study_instance_uid=STUDY, replace=True)
    assert [request.method for request in server.requests] == ["PUT", "PUT"]
    assert [request.body for request in server.requests] == [CONTENT] * 2
    assert server.targets == [f"/studies/{STUDY}"] * 2


async def test_expiry() -> None:
    """An expiry is three headers, in milliseconds."""
    async with serve(STORED) as server, client_of(server.url) as client:
        await client.store_instance(Body.from_bytes(b"DICM"), expire_after=timedelta(days=1, milliseconds=1))
        await client.store_instance(Body.from_bytes(b"DICM"))
    told = [{name: v for name, v in request.headers.items() if "expiry" in name} for request in server.requests]
    assert told == [
        {
            "msdicom-expiry-time-milliseconds": "86400001",
            "msdicom-expiry-option": "RelativeToNow",
            "msdicom-expiry-level": "Study",
        },
        {},
    ]


@pytest.mark.parametrize("after", [timedelta(), timedelta(days=-1), timedelta(microseconds=999)])
async def test_expiry_that_is_none(after: timedelta) -> None:
    """An expiry now or in the past is refused by us, and nothing is sent."""
    async with serve(STORED) as server, client_of(server.url) as client:
        with pytest.raises(InvalidParameter):
            await client.store_instance(Body.from_bytes(b"DICM"), expire_after=after)
    assert server.connections == 0


async def test_as_multipart() -> None:
    """A service that knows multipart alone gets the instance as the only part, whole at each attempt."""
    async with serve(answer(503), STORED) as server, client_of(server.url, single_part=False) as client:
        await client.store_instance(Body.from_bytes(CONTENT))
    for request in server.requests:
        content_type = request.headers["content-type"]
        assert content_type.startswith('multipart/related; type="application/dicom"; boundary=')
        events = [*(parser := MultipartParser(boundary_of(content_type))).feed(request.body)]
        parser.close()
        assert events[0] == PartBegin({"content-type": "application/dicom"})
        assert b"".join(event.data for event in events if isinstance(event, PartData)) == CONTENT
        assert [type(event) for event in events].count(PartEnd) == 1
