"""Retrieving over a real socket: parts as they come, left early, or cut."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, aclosing

import pytest

from shared.dicomweb import DICOMwebClient, InvalidParameter, InvalidResponse, Request, ResponseLost
from shared.dicomweb.multipart import closing_delimiter, part_head
from shared.dicomweb.transport import AiohttpTransport
from tests.component.dicomweb.client_under_test import (
    INSTANCE,
    SECRET,
    SERIES,
    SERIES_UIDS,
    STUDY,
    STUDY_UIDS,
    UIDS,
    assert_tells_nothing,
    client_of,
)
from tests.kit.scripted_server import LAST_CHUNK, End, Script, answer, chunked, head, script, serve

SYNTAX = "1.2.840.10008.1.2.4.90"
INSTANCES = [bytes([number]) * 70_000 + b"\r\n--" for number in range(3)]
CONTENT = b"".join(INSTANCES)
BOUNDARY = b"a boundary"
SINGLE = {"Content-Type": f"application/dicom; transfer-syntax={SYNTAX}"}
MULTIPART = {"Content-Type": 'multipart/related; type="application/dicom"; boundary="a boundary"'}
CHUNKED = {"Transfer-Encoding": "chunked"}


def message(*bodies: bytes) -> bytes:
    part_type = f"application/dicom; transfer-syntax={SYNTAX}"
    return b"".join(part_head(BOUNDARY, part_type) + body for body in bodies) + closing_delimiter(BOUNDARY)


async def read_study(client: DICOMwebClient) -> list[bytes]:
    async with client.retrieve_study(**STUDY_UIDS) as parts:
        return [await part.read() async for part in parts]


def in_chunks(content: bytes, size: int) -> Script:
    chunks = [content[start : start + size] for start in range(0, len(content), size)]
    return script(head(200, {**MULTIPART, **CHUNKED}), *chunked(*chunks), LAST_CHUNK)


def retrieve(client: DICOMwebClient, level: str) -> AbstractAsyncContextManager[object]:
    calls: dict[str, Callable[[], AbstractAsyncContextManager[object]]] = {
        "study": lambda: client.retrieve_study(**STUDY_UIDS),
        "series": lambda: client.retrieve_series(**SERIES_UIDS),
        "frame": lambda: client.retrieve_frames([3], **UIDS),
        "frames": lambda: client.retrieve_frames([3, 1, 12], **UIDS),
        "instance": lambda: client.retrieve_instance(**UIDS),
    }
    return calls[level]()


PATH = f"/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}"
REQUESTS = {
    "study": (f"/studies/{STUDY}", 'multipart/related; type="application/dicom"; transfer-syntax=*'),
    "series": (f"/studies/{STUDY}/series/{SERIES}", 'multipart/related; type="application/dicom"; transfer-syntax=*'),
    "instance": (PATH, "application/dicom; transfer-syntax=*"),
    "frame": (f"{PATH}/frames/3", "application/octet-stream; transfer-syntax=*"),
    "frames": (f"{PATH}/frames/3,1,12", 'multipart/related; type="application/octet-stream"; transfer-syntax=*'),
}


@pytest.mark.parametrize("level", REQUESTS)
async def test_requests(level: str) -> None:
    """Each retrieval asks for the stored form of its path, never for `*/*`."""
    async with (
        serve(answer(200, message(b""), MULTIPART)) as server,
        client_of(server.url) as client,
        retrieve(client, level),
    ):
        pass
    [request] = server.requests
    assert (request.method, server.targets[0], request.headers["accept"]) == ("GET", *REQUESTS[level])


@pytest.mark.parametrize("length", [True, False], ids=["length", "chunked"])
async def test_instance(length: bool) -> None:
    """An instance comes as one part with its transfer syntax, byte for byte, whether its length is told or not."""
    whole = answer(200, CONTENT, SINGLE)
    if not length:
        whole = script(head(200, {**SINGLE, **CHUNKED}), *chunked(*INSTANCES), LAST_CHUNK)
    async with serve(whole) as server, client_of(server.url) as client, client.retrieve_instance(**UIDS) as part:
        assert (part.media_type, part.transfer_syntax_uid) == ("application/dicom", SYNTAX)
        assert await part.read() == CONTENT


async def test_instance_in_multipart() -> None:
    """A service that wraps a lone instance in a message is understood as well."""
    async with (
        serve(answer(200, message(CONTENT), MULTIPART)) as server,
        client_of(server.url) as client,
        client.retrieve_instance(**UIDS) as part,
    ):
        assert (part.transfer_syntax_uid, await part.read()) == (SYNTAX, CONTENT)


async def test_message_without_parts() -> None:
    """A message that holds no part holds no instance."""
    async with serve(answer(200, b"--a boundary--", MULTIPART)) as server, client_of(server.url) as client:
        with pytest.raises(InvalidResponse):
            async with client.retrieve_instance(**UIDS):
                pass


@pytest.mark.parametrize("level", ["study", "series", "frames"])
@pytest.mark.parametrize("size", [257, 5000, 1 << 20])
async def test_parts_in_chunks(level: str, size: int) -> None:
    """Parts come whole and in order, however the message was cut on its way."""
    async with serve(in_chunks(message(*INSTANCES, b""), size)) as server, client_of(server.url) as client:
        context = {
            "study": client.retrieve_study(**STUDY_UIDS),
            "series": client.retrieve_series(**SERIES_UIDS),
            "frames": client.retrieve_frames([1, 2, 3, 4], **UIDS),
        }[level]
        async with context as parts:
            assert [await part.read() async for part in parts] == [*INSTANCES, b""]
    assert [server.requests[0].target.count("/frames/1,2,3,4")] == [level == "frames"]


async def test_parts_left_unread() -> None:
    """A part that is left, or left halfway, is dropped: the next one still starts at its beginning."""
    async with (
        serve(in_chunks(message(*INSTANCES), 1000)) as server,
        client_of(server.url) as client,
        client.retrieve_study(**STUDY_UIDS) as parts,
    ):
        assert await anext(parts)
        halfway = (await anext(parts)).chunks()
        assert await anext(halfway)
        last = await anext(parts)
        with pytest.raises(RuntimeError):
            await anext(halfway)
        assert await last.read() == INSTANCES[2]
        assert await anext(parts, None) is None


@pytest.mark.parametrize("level", ["study", "instance"])
async def test_leaving_early_closes_the_connection(level: str) -> None:
    """Leaving the context before the end closes the connection at once and gives its slot back."""
    unfinished = {
        "study": script(head(200, {**MULTIPART, **CHUNKED}), *chunked(message(CONTENT)[:-100]), End.STALL),
        "instance": script(head(200, {**SINGLE, **CHUNKED}), *chunked(CONTENT), End.STALL),
    }[level]
    one_slot = AiohttpTransport(max_connections=1)
    async with (
        serve(unfinished, answer(200, message(CONTENT), MULTIPART)) as server,
        client_of(server.url, transport=one_slot) as client,
    ):
        if level == "instance":
            async with client.retrieve_instance(**UIDS) as part:
                assert await anext(part.chunks())
        else:
            async with client.retrieve_study(**STUDY_UIDS) as parts:
                async for one in parts:
                    assert await anext(one.chunks())
                    break
        await asyncio.wait_for(server.requests[0].gone.wait(), 5)
        assert await read_study(client) == [CONTENT]


async def test_error_of_the_reader() -> None:
    """What the reader raises comes out as it is, and the connection is closed."""
    stalled = script(head(200, {**SINGLE, **CHUNKED}), *chunked(CONTENT), End.STALL)
    async with serve(stalled) as server, client_of(server.url) as client:
        with pytest.raises(ZeroDivisionError):
            async with client.retrieve_instance(**UIDS):
                raise ZeroDivisionError
        await asyncio.wait_for(server.requests[0].gone.wait(), 5)


async def test_cancelled_download() -> None:
    """Cancelling inside a download closes the connection."""
    stalled = script(head(200, {**MULTIPART, **CHUNKED}), *chunked(message(CONTENT)[:5000]), End.STALL)
    async with serve(stalled) as server, client_of(server.url) as client:
        began = asyncio.Event()

        async def download() -> None:
            async with client.retrieve_study(**STUDY_UIDS) as parts:
                async for part in parts:
                    async for _ in part.chunks():
                        began.set()

        task = asyncio.create_task(download())
        await asyncio.wait_for(began.wait(), 5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(server.requests[0].gone.wait(), 5)


@pytest.mark.parametrize("end", [End.RESET, End.FIN])
@pytest.mark.parametrize("delimited", [{"Content-Length": str(len(CONTENT))}, CHUNKED], ids=["length", "chunked"])
async def test_instance_cut_short(end: End, delimited: dict[str, str]) -> None:
    """An instance whose connection breaks is reported as lost once the bytes that came are read, never as whole."""
    piece = CONTENT[:70_000]
    pieces = chunked(piece) if delimited is CHUNKED else (piece,)
    cut = script(head(200, {**SINGLE, **delimited}), *pieces, end)
    async with serve(cut) as server, client_of(server.url) as client:
        with pytest.raises(ResponseLost) as raised:
            async with client.retrieve_instance(**UIDS) as part:
                await part.read()
    assert_tells_nothing(raised.value)


async def test_instance_without_length() -> None:
    """An instance that ends only with its connection is refused: whether all of it came cannot be known."""
    endless = script(head(200, SINGLE) + CONTENT, End.FIN)
    async with serve(endless) as server, client_of(server.url) as client:
        with pytest.raises(InvalidResponse):
            async with client.retrieve_instance(**UIDS):
                pass


@pytest.mark.parametrize("cut", [10, 60, 69_000, 70_100, 140_300, -10])
async def test_study_cut_short(cut: int) -> None:
    """A message that ends before its closing delimiter is an error, even if HTTP says that it is whole."""
    content = message(*INSTANCES).removeprefix(b"\r\n")[:cut]
    async with serve(answer(200, content, MULTIPART)) as server, client_of(server.url) as client:
        with pytest.raises(InvalidResponse) as raised:
            await read_study(client)
    assert_tells_nothing(raised.value)


async def test_study_without_length() -> None:
    """A message whose length nothing tells is complete if, and only if, it ends with its closing delimiter."""
    whole, cut = message(*INSTANCES), message(*INSTANCES).removesuffix(closing_delimiter(BOUNDARY))
    scripts = [script(head(200, MULTIPART), content, End.FIN) for content in (whole, cut)]
    async with serve(*scripts) as server, client_of(server.url) as client:
        assert await read_study(client) == INSTANCES
        with pytest.raises(InvalidResponse):
            await read_study(client)


@pytest.mark.parametrize("media_type", ["text/html", "application/json", "image/png", ""])
async def test_part_of_another_media_type(media_type: str) -> None:
    """A page that some proxy sends in place of an instance is not taken for one."""
    headers = {"Content-Type": media_type} if media_type else {}
    async with serve(answer(200, SECRET.encode(), headers)) as server, client_of(server.url) as client:
        with pytest.raises(InvalidResponse) as raised:
            async with client.retrieve_instance(**UIDS):
                pass
    assert_tells_nothing(raised.value)


async def test_gateway_passes_on() -> None:
    """A request of the caller's own making is sent as it stands, and its answer given with status and headers."""
    request = Request(
        "retrieve study metadata",
        "GET",
        f"/studies/{STUDY}/metadata",
        accept="application/dicom+json",
        query="a=%5e&b=,",
        headers={"If-None-Match": "1-2"},
        statuses=frozenset({200, 304}),
    )
    async with (
        serve(answer(304), answer(200, b"[]", {"ETag": "1-2", "Content-Type": "x/y"})) as server,
        client_of(server.url) as client,
    ):
        async with client.send(request) as unchanged:
            assert unchanged.status_code == 304
        async with client.send(request) as changed, aclosing(changed.chunks()) as chunks:
            assert (changed.headers["etag"], changed.content_type) == ("1-2", "x/y")
            assert [chunk async for chunk in chunks] == [b"[]"]
    assert server.targets == [f"/studies/{STUDY}/metadata?a=%5e&b=,"] * 2
    assert server.requests[0].headers["if-none-match"] == "1-2"


PICTURE = answer(200, b"picture", {"Content-Type": "image/jpeg"})
INSTANCE_PATH = f"/studies/{STUDY}/series/{SERIES}/instances/{INSTANCE}"


async def test_rendered() -> None:
    """A picture is asked for by its media type alone, of an instance or one frame, with a quality if one is given."""
    png = answer(200, b"picture", {"Content-Type": "image/png"})
    async with serve(PICTURE, png, PICTURE) as server, client_of(server.url) as client:
        async with client.retrieve_instance_rendered(**UIDS) as part:
            assert (await part.read(), part.media_type) == (b"picture", "image/jpeg")
        async with client.retrieve_frame_rendered(7, media_type="image/png", **UIDS) as part:
            assert (await part.read(), part.media_type) == (b"picture", "image/png")
        async with client.retrieve_instance_rendered(quality=50, **UIDS):
            pass
    assert server.targets == [
        f"{INSTANCE_PATH}/rendered",
        f"{INSTANCE_PATH}/frames/7/rendered",
        f"{INSTANCE_PATH}/rendered?quality=50",
    ]
    assert [request.headers["accept"] for request in server.requests] == ["image/jpeg", "image/png", "image/jpeg"]


async def test_rendered_that_no_service_takes() -> None:
    """A quality, a frame or a media type that is none is refused by us, and nothing is sent."""
    async with serve(PICTURE) as server, client_of(server.url) as client:
        for refused in (
            client.retrieve_instance_rendered(quality=0, **UIDS),
            client.retrieve_instance_rendered(quality=101, **UIDS),
            client.retrieve_instance_rendered(media_type="image/gif", **UIDS),  # type: ignore[arg-type]  # the point
            client.retrieve_frame_rendered(0, **UIDS),
        ):
            with pytest.raises(InvalidParameter):
                await refused.__aenter__()
    assert server.connections == 0


async def test_original_version() -> None:
    """The version before any bulk update is asked for by a header, on every level and of metadata."""
    instance = answer(200, b"DICM", SINGLE)
    metadata = answer(200, b"[{}]", {"Content-Type": "application/dicom+json"})
    async with (
        serve(instance, instance, instance, *[metadata] * 3, instance) as server,
        client_of(server.url) as client,
    ):
        async with (
            client.retrieve_study(**STUDY_UIDS, original=True),
            client.retrieve_series(**SERIES_UIDS, original=True),
            client.retrieve_instance(**UIDS, original=True),
        ):
            pass
        await client.retrieve_study_metadata(**STUDY_UIDS, original=True)
        await client.retrieve_series_metadata(**SERIES_UIDS, original=True)
        await client.retrieve_instance_metadata(**UIDS, original=True)
        async with client.retrieve_instance(**UIDS):
            pass
    asked = [request.headers.get("msdicom-request-original") for request in server.requests]
    assert asked == ["true"] * 6 + [None]


@pytest.mark.parametrize(
    "media_type", ["image/jpeg", "application/octet-stream", "text/html", "application/dicom+json"]
)
async def test_instance_of_another_media_type(media_type: str) -> None:
    """A single answer that is not of the media type asked for is no instance."""
    async with serve(answer(200, b"DICM", {"Content-Type": media_type})) as server, client_of(server.url) as client:
        with pytest.raises(InvalidResponse):
            async with client.retrieve_instance(**UIDS):
                pass


async def test_a_part_is_never_short_without_a_word() -> None:
    """A part that was read, was passed over, or whose retrieval is over, gives an error, not an empty or short part."""
    single = answer(200, INSTANCES[0], SINGLE)
    async with serve(in_chunks(message(*INSTANCES), 1000), single) as server, client_of(server.url) as client:
        async with client.retrieve_study(**STUDY_UIDS) as parts:
            all_parts = [part async for part in parts]
        async with client.retrieve_instance(**UIDS) as part:
            pass
        for gone in (*all_parts, part):
            with pytest.raises(RuntimeError):
                await gone.read()
    async with serve(single) as server, client_of(server.url) as client, client.retrieve_instance(**UIDS) as part:
        assert await part.read() == INSTANCES[0]
        with pytest.raises(RuntimeError):
            await part.read()


async def test_reading_on_after_a_time_out() -> None:
    """A read that was broken off is not the end of the part."""
    unfinished = script(head(200, {**SINGLE, **CHUNKED}), *chunked(CONTENT), End.STALL)
    async with serve(unfinished) as server, client_of(server.url) as client, client.retrieve_instance(**UIDS) as part:
        chunks = part.chunks()

        async def read_on() -> None:
            async for _ in chunks:
                pass

        with pytest.raises(TimeoutError):
            await asyncio.wait_for(read_on(), 0.2)
        with pytest.raises(RuntimeError):
            await read_on()


async def test_going_on_after_an_error() -> None:
    """Who catches the error of a part that was cut does not come to a normal end."""
    cut = script(head(200, {**MULTIPART, "Content-Length": "9999999"}), message(*INSTANCES)[:80_000], End.FIN)
    async with serve(cut) as server, client_of(server.url) as client, client.retrieve_study(**STUDY_UIDS) as parts:
        assert await (await anext(parts)).read() == INSTANCES[0]
        with pytest.raises(ResponseLost):
            await (await anext(parts)).read()
        with pytest.raises(InvalidResponse):
            await anext(parts)


@pytest.mark.parametrize("count", [0, 2, 4])
async def test_another_number_of_frames(count: int) -> None:
    """Fewer or more frames than asked for are an error, and a study without any instance is."""
    bodies = [*INSTANCES, b""][:count]
    whole = answer(200, message(*bodies) if bodies else b"--a boundary--", MULTIPART)
    async with serve(whole) as server, client_of(server.url) as client:
        with pytest.raises(InvalidResponse):
            async with client.retrieve_frames([1, 2, 3], **UIDS) as parts:
                assert [await part.read() async for part in parts]
        if not count:
            with pytest.raises(InvalidResponse):
                await read_study(client)


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br", "unknown"])
async def test_compressed_instance(coding: str) -> None:
    """A compressed instance, which nobody asked for, is refused: neither its size nor its end would be certain."""
    compressed = answer(200, b"DICM", {**SINGLE, "Content-Encoding": coding})
    async with serve(compressed) as server, client_of(server.url) as client, client.retrieve_instance(**UIDS) as part:
        with pytest.raises(InvalidResponse):
            await part.read()


@pytest.mark.parametrize("coding", ["identity", "gzip", "chunked, gzip"])
async def test_instance_that_ends_with_the_connection(coding: str) -> None:
    """A transfer coding that is not chunked tells no end (RFC 9112 §6.3)."""
    ended = script(head(200, {**SINGLE, "Transfer-Encoding": coding}), b"DICM", End.FIN)
    async with serve(ended) as server, client_of(server.url) as client:
        with pytest.raises((InvalidResponse, ResponseLost)):
            async with client.retrieve_instance(**UIDS) as part:
                await part.read()


@pytest.mark.parametrize("content_type", ["multipart/related; boundary*=a; boundary*0=b", "multipart/related; =;;"])
async def test_media_type_that_is_none(content_type: str) -> None:
    """Parameters that cannot be read are an invalid answer."""
    async with serve(answer(200, CONTENT, {"Content-Type": content_type})) as server, client_of(server.url) as client:
        with pytest.raises(InvalidResponse):
            await read_study(client)


@pytest.mark.parametrize("frames", [[], [0], [1, -1], [1.5], [True], ["1"], "12", [None]])
async def test_frames_that_are_none(frames: list[int]) -> None:
    """What numbers no frame is refused by us, and nothing is sent."""
    async with serve(PICTURE) as server, client_of(server.url) as client:
        with pytest.raises(InvalidParameter):
            await client.retrieve_frames(frames, **UIDS).__aenter__()
    assert server.connections == 0
