"""A DICOM service of many studies that takes its time over each page of a search, in a process of its own."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from urllib.parse import parse_qs, urlsplit

from bench.programs import port_of
from bench.servers import canned

_HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/dicom+json\r\nContent-Length: %d\r\n\r\n"
_USUAL_LIMIT = "100"


@contextmanager
def slow_search(delay_ms: float, studies: int) -> Iterator[str]:
    """Run the service in another process and give its address with a version.

    Args:
        delay_ms: how long it takes over a page, however many are under way.
        studies: how many it has.
    """
    with port_of("bench.servers.slow_search", "--delay-ms", str(delay_ms), "--studies", str(studies)) as port:
        yield f"http://127.0.0.1:{port}/v2"


async def _serve(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, delay_seconds: float, studies: int
) -> None:
    with suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            query = parse_qs(urlsplit(head.split(b" ", 2)[1].decode()).query)
            page = _page(int(query.get("offset", ["0"])[0]), int(query.get("limit", [_USUAL_LIMIT])[0]), studies)
            await asyncio.sleep(delay_seconds)
            writer.write(_HEAD % len(page) + page)
            await writer.drain()
    writer.close()


_page = cache(canned.page)


async def _main(delay_seconds: float, studies: int) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await _serve(reader, writer, delay_seconds, studies)

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--delay-ms", type=float, required=True, help="of a page")
    parser.add_argument("--studies", type=int, required=True, help="in the archive")
    options = parser.parse_args()
    asyncio.run(_main(options.delay_ms / 1000, options.studies))
