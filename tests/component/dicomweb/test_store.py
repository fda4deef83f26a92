"""Storing an instance over a real socket: what goes out, and what becomes of a body that misbehaves."""

from __future__ import annotations

import asyncio
import json
import traceback
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import httpx
import pytest

from shared.dicomweb import (
    Body,
    BodyLengthError,
    InvalidParameter,
    ResponseLost,
    StoreResult,
    StoreStatus,
)
from shared.dicomweb.transport import AiohttpTransport
from tests.component.dicomweb.client_under_test import INSTANCE, JSON, STUDY, assert_tells_nothing, client_of
from tests.kit.scripted_server import End, Read, Script, answer, script, serve

CONTENT = bytes(range(256)) * 4000  # a million bytes, in four chunks


def stored(sop_instance_uid: str = INSTANCE, status: int = 200) -> Script:
    item = {"00081155": {"vr": "UI", "Value": [sop_instance_uid]}, "00741048": {"vr": "SQ"}}
    return answer(status, json.dumps({"00081199": {"vr": "SQ", "Value": [item]}}).encode(), JSON)


async def test_request_to_the_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    """A store sends the headers it needs and no others, by no proxy, and the content as it is."""
    for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    async with serve(stored()) as server, client_of(server.url) as client:
        await client.store_instance(Body.from_bytes(CONTENT))
    [request] = server.requests
    assert request.head.startswith(b"POST /v2/studies HTTP/1.1\r\n")
    assert request.headers == {
        "host": f"127.0.0.1:{server.port}",
        "accept": "application/dicom+json",
        "accept-encoding": "identity",
        "content-length": str(len(CONTENT)),
        "content-type": "application/dicom",
        "user-agent": "dicom-dropbox",
    }
    assert request.body == CONTENT


async def test_named_study() -> None:
    """A store to a study names it in the path."""
    async with serve(stored()) as server, client_of(server.url) as client:
        await client.store_instance(Body.from_bytes(b"DICM"), study_instance_uid=STUDY)
    assert server.targets == [f"/studies/{STUDY}"]


@pytest.mark.parametrize("uid", ["", "1_2", "1/2", "1.2\n", "..", "1.2?x=1", "1" * 65, "\uff11.2"])
async def test_study_that_is_none(uid: str) -> None:
    """What is no UID is refused by us, and nothing is sent."""
    async with serve(stored()) as server, client_of(server.url) as client:
        with pytest.raises(InvalidParameter):
            await client.store_instance(Body.from_bytes(b"DICM"), study_instance_uid=uid)
    assert server.connections == 0


@pytest.mark.parametrize("size", [0, 1, 256 * 1024, 256 * 1024 + 1, len(CONTENT)])
async def test_sizes(tmp_path: Path, size: int) -> None:
    """A body of any size arrives whole, from memory and from a file, an empty one included."""
    (tmp_path / "file").write_bytes(CONTENT[:size])
    async with serve(stored()) as server, client_of(server.url) as client:
        await client.store_instance(Body.from_bytes(CONTENT[:size]))
        await client.store_instance(Body.from_path(tmp_path / "file"))
    assert [request.body for request in server.requests] == [CONTENT[:size]] * 2


@pytest.mark.parametrize(
    ("response", "status", "named"),
    [
        (stored(), 200, StoreStatus.STORED),
        (stored(status=202), 202, StoreStatus.STORED),
        (stored("1.2.3"), 200, StoreStatus.NOT_NAMED),
        (answer(204), 204, StoreStatus.NOT_RECEIVED),
        (answer(409, b'{"00081198":{"vr":"SQ","Value":[{}]}}', JSON), 409, StoreStatus.FAILED),
        (answer(200, b"{}", JSON), 200, StoreStatus.NOT_NAMED),
    ],
    ids=["stored", "stored-202", "another_instance", "nothing", "unreadable", "no_items"],
)
async def test_result_is_about_our_instance(response: Script, status: int, named: StoreStatus) -> None:
    """Whatever the status, only an answer that names our instance says that it was stored."""
    async with serve(response) as server, client_of(server.url) as client:
        result = await client.store_instance(Body.from_bytes(b"DICM"))
    assert result.status_code == status
    assert result.outcome_of(INSTANCE).status == named


async def test_every_attempt_sends_the_whole_body() -> None:
    """A body is opened afresh for each attempt and arrives whole each time."""
    opened: list[int] = []

    async def chunks() -> AsyncIterator[bytes]:
        opened.append(len(opened))
        for start in range(0, len(CONTENT), 100_000):
            yield CONTENT[start : start + 100_000]

    async with serve(answer(503), answer(429), stored()) as server, client_of(server.url) as client:
        await client.store_instance(Body(chunks, len(CONTENT)))
    assert opened == [0, 1, 2]
    assert [request.body for request in server.requests] == [CONTENT] * 3


async def test_stale_connection_is_not_written_to_twice() -> None:
    """A kept connection that the service closes as we send costs one lost answer, never a second request."""
    async with serve(stored(), script(End.RESET), stored()) as server, client_of(server.url) as client:
        await client.store_instance(Body.from_bytes(CONTENT))
        with pytest.raises(ResponseLost):
            await client.store_instance(Body.from_bytes(CONTENT))
        assert len(server.requests) == 2
        await client.store_instance(Body.from_bytes(CONTENT))
    assert [request.connection for request in server.requests] == [1, 1, 2]


async def test_early_success_is_none() -> None:
    """A 200 that comes while the body still goes out says nothing about what was not sent."""
    early = stored().after(Read.HEAD)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(CONTENT) // 2, 100_000):
            yield CONTENT[start : start + 100_000]
        await asyncio.Event().wait()

    async with serve(early.then(End.STALL)) as server, client_of(server.url) as client:
        with pytest.raises(ResponseLost):
            await client.store_instance(Body(chunks, len(CONTENT)))


async def test_service_that_stops_reading() -> None:
    """A service that reads no further is given up after the write timeout, not waited for."""
    async with (
        serve(script(End.DEAF).after(Read.NOTHING)) as server,
        client_of(server.url, timeout=httpx.Timeout(10, write=0.2)) as client,
    ):
        with pytest.raises(ResponseLost):
            await client.store_instance(Body.from_bytes(CONTENT * 20))


class Broken(Exception):
    """The source's own."""


def gives(*lengths: int, then: Exception | None = None) -> Callable[[], AsyncIterator[bytes]]:
    """Return a source of chunks of these lengths."""

    async def chunks() -> AsyncIterator[bytes]:
        for length in lengths:
            yield bytes(length)
        if then is not None:
            raise then

    return chunks


@pytest.mark.parametrize(
    ("source", "error"),
    [
        (gives(), BodyLengthError),
        (gives(999), BodyLengthError),
        (gives(500, 499), BodyLengthError),
        (gives(1001), BodyLengthError),
        (gives(500, 501), BodyLengthError),
        (gives(1000, 1), BodyLengthError),
        (gives(1000, 0, 1), BodyLengthError),
        (gives(500, then=Broken()), Broken),
        (gives(1000, 0, then=Broken()), Broken),
        (gives(1000, then=Broken()), Broken),
        (gives(500, then=OSError()), OSError),
        (gives(500, then=TimeoutError()), TimeoutError),
    ],
    ids=[
        "nothing",
        "short",
        "short_2",
        "long",
        "long_2",
        "long_3",
        "long_4",
        "raising",
        "raising_after_nothing",
        "raising_at_end",
        "os",
        "timeout",
    ],
)
async def test_misbehaving_source(source: Callable[[], AsyncIterator[bytes]], error: type[Exception]) -> None:
    """A source that gives too little, too much or up never makes a request that looks complete, and is not retried."""
    async with serve(stored()) as server, client_of(server.url) as client:
        with pytest.raises(error):
            await client.store_instance(Body(source, 1000))
        await client.store_instance(Body.from_bytes(CONTENT))
    *cut, whole = server.requests
    assert whole.body == CONTENT
    assert len(cut) <= 1  # perhaps not even its head has gone out
    assert not any(request.is_complete or len(request.body) >= 1000 for request in cut)


async def test_error_of_a_source_tells_no_address() -> None:
    """A source's own error comes out as it was raised, with nothing of the connection that it went through."""
    async with serve(stored()) as server, client_of(server.url) as client:
        with pytest.raises(Broken) as raised:
            await client.store_instance(Body(gives(500, then=Broken()), 1000), study_instance_uid=STUDY)
    assert_tells_nothing(raised.value)
    assert str(server.port) not in "".join(traceback.format_exception(raised.value))


async def test_cancelled_upload() -> None:
    """Cancelling inside an upload closes the connection and the source, and gives the slot back."""
    closed = asyncio.Event()

    async def stuck() -> AsyncIterator[bytes]:
        try:
            yield CONTENT[:1000]
            yield CONTENT[1000:2000]
            await asyncio.Event().wait()
        finally:
            closed.set()

    one_slot = AiohttpTransport(max_connections=1)
    async with serve(stored()) as server, client_of(server.url, transport=one_slot) as client:
        upload = asyncio.create_task(client.store_instance(Body(stuck, len(CONTENT))))
        request = await server.arrival()
        upload.cancel()
        with pytest.raises(asyncio.CancelledError):
            await upload
        async with asyncio.timeout(5):
            await request.gone.wait()
            await closed.wait()
        assert not request.is_complete
        await client.store_instance(Body.from_bytes(CONTENT))


async def test_source_is_closed_when_the_connection_breaks() -> None:
    """A source is closed soon after an attempt that broke off, so that what it holds open does not pile up."""
    closed = asyncio.Event()

    async def endless() -> AsyncIterator[bytes]:
        try:
            while True:
                yield CONTENT
        finally:
            closed.set()

    reset = script(End.RESET).after(Read.HEAD)
    async with serve(reset) as server, client_of(server.url) as client:
        with pytest.raises(ResponseLost):
            await client.store_instance(Body(endless, 1 << 40))
        await asyncio.wait_for(closed.wait(), 5)


async def test_cookies_are_not_kept() -> None:
    """A cookie that the service sets is not sent back, not even to a host that has a name."""
    set_cookie = answer(200, b"{}", {**JSON, "Set-Cookie": "session=1; Path=/"})
    async with serve(set_cookie) as server, client_of(f"http://localhost:{server.port}/v2") as client:
        for _ in range(2):
            await client.store_instance(Body.from_bytes(b"DICM"))
    assert ["cookie" in request.headers for request in server.requests] == [False, False]


async def test_many_at_once() -> None:
    """Uploads that run at the same time do not mix."""
    contents = [bytes([number]) * 300_000 for number in range(20)]
    async with serve(stored()) as server, client_of(server.url) as client:
        results: list[StoreResult] = await asyncio.gather(
            *(client.store_instance(Body.from_bytes(content)) for content in contents)
        )
    assert {result.outcome_of(INSTANCE).status for result in results} == {StoreStatus.STORED}
    assert sorted(request.body for request in server.requests) == contents


@pytest.mark.parametrize(
    ("told", "connections"),
    [
        ("timeout=0, max=100", 2),
        ("max=100, Timeout = 0", 2),
        ("timeout=0.5", 2),
        ("timeout=600", 1),
        ("max-timeout=0", 1),
        ("none", 1),
    ],
)
async def test_a_connection_that_the_server_keeps_no_longer(told: str, connections: int) -> None:
    """A connection that rested for longer than the server keeps it, as it says, is not used again."""
    outcome = json.dumps({"00081199": {"vr": "SQ", "Value": []}}).encode()
    kept = answer(200, outcome, {**JSON, "Keep-Alive": told})
    async with serve(kept, kept) as server, client_of(server.url) as client:
        for _ in range(2):
            await client.store_instance(Body.from_bytes(b"DICM"))
    assert server.connections == connections


async def test_one_connection_that_is_not_kept_leaves_the_others_as_they_are() -> None:
    """A gateway's answer for itself is not taken for the service's."""
    outcome = json.dumps({"00081199": {"vr": "SQ", "Value": []}}).encode()
    kept, not_kept = answer(200, outcome, JSON), answer(200, outcome, {**JSON, "Keep-Alive": "timeout=0"})
    async with serve(not_kept, kept, kept, kept) as server, client_of(server.url) as client:
        for _ in range(4):
            await client.store_instance(Body.from_bytes(b"DICM"))
    assert server.connections == 2
