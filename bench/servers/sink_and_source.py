"""A server that swallows stores and gives one instance of a size, in a process of its own: as little work as can be."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from bench.programs import port_of
from shared.dicomweb.transport.counting import CHUNK_BYTES

_STORED_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\nContent-Length: %d\r\n\r\n"
_STORED = b'{"00081199": {"vr": "SQ", "Value": [%b]}}'
_STORED_ITEM = b'{"00081155": {"vr": "UI", "Value": ["%b"]}}'
_SOP_INSTANCE_UID = b"\x08\x00\x18\x00UI"  # as Explicit VR Little Endian has it
_BYTES_WITH_UID = 2048  # of a body: as far as it is looked for
_PART_HEAD = b"--b\r\nContent-Type: application/dicom\r\n\r\n"
_PART_END = b"\r\n--b--\r\n"
_CHUNK = bytes(CHUNK_BYTES)


@contextmanager
def sink_and_source(size_bytes: int = 0, *, delay_ms: float = 0) -> Iterator[str]:
    """Run the server in another process and give its address with a version.

    Args:
        size_bytes: of the instance that it gives.
        delay_ms: how long it takes over a store that it has all of.
    """
    options = ("--size-bytes", str(size_bytes), "--delay-ms", str(delay_ms))
    with port_of("bench.servers.sink_and_source", *options) as port:
        yield f"http://127.0.0.1:{port}/v2"


async def _serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, size_bytes: int, delay_seconds: float
) -> None:
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            if head.startswith(b"POST"):
                stored = _answer_to(await _swallow_body(reader, head.lower()))
                if delay_seconds:
                    await asyncio.sleep(delay_seconds)
                writer.write(_STORED_HEAD % len(stored) + stored)
            else:
                await _give(writer, size_bytes)
    writer.close()


def _answer_to(beginning: bytes) -> bytes:
    """Return the answer to a store, which names the instance whose UID is in the beginning of the body, if one is."""
    _, tag, rest = beginning.partition(_SOP_INSTANCE_UID)
    uid = rest[2 : 2 + int.from_bytes(rest[:2], "little")].rstrip(b"\0")
    return _STORED % (_STORED_ITEM % uid if tag else b"")


async def _swallow_body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """Read a body, and return its beginning."""
    if b"transfer-encoding: chunked" not in head:
        return await _swallow(reader, int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
    beginning = b""
    while size := int(await reader.readuntil(b"\r\n"), 16):
        chunk = await _swallow(reader, size + len(b"\r\n"))
        beginning = beginning or chunk
    await _swallow(reader, len(b"\r\n"))
    return beginning


async def _swallow(reader: asyncio.StreamReader, left: int) -> bytes:
    beginning = await reader.readexactly(min(left, _BYTES_WITH_UID))
    left -= len(beginning)
    while left:
        chunk = await reader.read(min(left, CHUNK_BYTES))
        if not chunk:
            raise ConnectionError
        left -= len(chunk)
    return beginning


async def _give(writer: asyncio.StreamWriter, left: int) -> None:
    length = len(_PART_HEAD) + left + len(_PART_END)
    media_type = b'multipart/related; type="application/dicom"; boundary=b'
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: %b\r\nContent-Length: %d\r\n\r\n" % (media_type, length))
    writer.write(_PART_HEAD)
    while left:
        chunk = _CHUNK[:left]
        writer.write(chunk)
        await writer.drain()
        left -= len(chunk)
    writer.write(_PART_END)


async def _main(size_bytes: int, delay_seconds: float) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _serve(reader, writer, size_bytes, delay_seconds)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=CHUNK_BYTES)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--size-bytes", type=int, default=0, help="of the instance that is given")
    parser.add_argument("--delay-ms", type=float, default=0, help="of a store")
    options = parser.parse_args()
    asyncio.run(_main(options.size_bytes, options.delay_ms / 1000))
