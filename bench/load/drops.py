"""Drops files into the inbox and tells the app of them: the load of the measurements of ingest, and their clock."""

from __future__ import annotations

import argparse
import asyncio
import base64
import struct
import time
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from xml.sax.saxutils import escape

import aiohttp

from bench.programs import take_turns
from local.soak.dropping import event_of
from local.soak.plan import small_instance
from shared.queues import ARRIVALS
from shared.settings import DEFAULT_INBOX

AT_ONCE = 16
_BLOCK_BYTES = 4 * 1024 * 1024
_LENGTH_AND_PIXELS = 4 + 64  # the end of a small instance
_BLOCK_BLOB = {"x-ms-blob-type": "BlockBlob"}
_EVENT_GRID = {"aeg-event-type": "Notification"}
_POLL_SECONDS = 0.05
_LOG_POLL_SECONDS = 0.001
_LONGEST_ROUND_SECONDS = 600.0
_DECIDED = b'"verdict": "stored"'


def head_of(number: int, pixels_bytes: int) -> bytes:
    """Return an instance without its pixels, of which it has so many bytes."""
    return small_instance(number)[0][:-_LENGTH_AND_PIXELS] + struct.pack("<L", pixels_bytes)


@dataclass
class Drops:
    """What drops files.

    Args:
        http: the connections.
        blobs, queues: addresses of the services.
        sas: a signature for both, as a query.
        app: the functions host's address.
        service: the DICOM service's.
        log: the app's.
    """

    http: aiohttp.ClientSession
    blobs: str
    queues: str
    sas: str
    app: str
    service: str
    log: Path

    async def measure(self, what: str, **round_: object) -> object:
        """Do one of the things below.

        Raises:
            TimeoutError: it took ten minutes, as where a file is never dealt with.
        """
        steps: dict[str, Callable[..., Awaitable[object]]] = {
            "drop": self.drop,
            "drop_large": self.drop_large,
            "renew": self.renew,
            "ingest": self.ingest,
            "latencies": self.latencies,
            "stores": self.stores,
        }
        async with asyncio.timeout(_LONGEST_ROUND_SECONDS):
            return await steps[what](**round_)

    async def drop(self, prefix: str, count: int, pixels_bytes: int) -> None:
        """Put so many files into the inbox, named by their numbers."""
        pixels = bytes(pixels_bytes)
        await _all(
            partial(self._put_whole, f"{prefix}/{n}.dcm", head_of(n, pixels_bytes) + pixels) for n in range(count)
        )

    async def _put_whole(self, name: str, content: bytes) -> None:
        await self._put(name, content, headers=_BLOCK_BLOB)

    async def _put(self, name: str, content: bytes, query: str = "", headers: Mapping[str, str] | None = None) -> None:
        url = f"{self.blobs}/{DEFAULT_INBOX}/{name}?{query}{self.sas}"
        async with self.http.put(url, data=content, headers=headers) as response:
            assert response.status in (200, 201, 202), await response.text()

    async def drop_large(self, name: str, pixels_bytes: int) -> None:
        """Put a file into the inbox in blocks, with so many bytes of pixels, a multiple of 4 MiB."""
        ids = [base64.b64encode(b"%06d" % n).decode() for n in range(pixels_bytes // _BLOCK_BYTES + 1)]
        for block in ids:
            content = head_of(0, pixels_bytes) if block == ids[0] else bytes(_BLOCK_BYTES)
            await self._put(name, content, f"comp=block&blockid={block}&")
        listed = "".join(f"<Latest>{block}</Latest>" for block in ids)
        await self._put(name, f"<BlockList>{listed}</BlockList>".encode(), "comp=blocklist&")

    async def renew(self, name: str) -> None:
        """Give a file of the inbox another ETag, so that it is as new to the app as it was."""
        await self._put(name, b"", "comp=metadata&")

    async def ingest(self, names: list[str]) -> float:
        """Send events of files to the queue; return the seconds until the app has dealt with the last.

        A message before says nothing, but wakes the host: of an idle queue it takes up to a second to see that there
        is something in it.
        """
        await self._send("[]")
        await self._none_waiting()
        started = time.perf_counter()
        async with self._all_stored(len(names)):
            await _all(partial(self._send, event_of(name)) for name in names)
            await self._none_waiting()
            return time.perf_counter() - started

    async def _none_waiting(self) -> None:
        while await self._waiting():  # noqa: ASYNC110 - for another process
            await asyncio.sleep(_POLL_SECONDS)

    @asynccontextmanager
    async def _all_stored(self, count: int) -> AsyncGenerator[None]:
        before = self.log.read_bytes().count(_DECIDED)
        yield
        found = self.log.read_bytes().count(_DECIDED) - before
        assert found == count, f"{found} of {count} were stored"

    async def _send(self, text: str) -> None:
        message = f"<QueueMessage><MessageText>{escape(text)}</MessageText></QueueMessage>"
        url = f"{self.queues}/{ARRIVALS}/messages?messagettl=-1&{self.sas}"
        async with self.http.post(url, data=message) as response:
            assert response.status == 201, await response.text()

    async def _waiting(self) -> int:
        async with self.http.get(f"{self.queues}/{ARRIVALS}?comp=metadata&{self.sas}") as response:
            return int(response.headers["x-ms-approximate-messages-count"])

    async def latencies(self, prefix: str, count: int, pixels_bytes: int) -> list[float]:
        """Drop so many files, one after the other, and tell the webhook of each; return the seconds of each.

        They count from the event to the line of the log that says that the receipt is written.
        """
        return [await self._latency(f"{prefix}/{n}.dcm", n, pixels_bytes) for n in range(count)]

    async def _latency(self, name: str, number: int, pixels_bytes: int) -> float:
        await self._put_whole(name, head_of(number, pixels_bytes) + bytes(pixels_bytes))
        url = f"{self.app}/runtime/webhooks/blobs?functionName=Host.Functions.store_on_upload"
        event = {"data": {"url": f"{self.blobs}/{DEFAULT_INBOX}/{name}"}}
        with self.log.open("rb") as log:
            log.seek(0, 2)
            started = time.perf_counter()
            async with self.http.post(url, json=event, headers=_EVENT_GRID) as response:
                assert response.status == 202, response.status
            seen = b""
            while _DECIDED not in (seen := seen + log.read()):  # noqa: ASYNC110 - for another process
                await asyncio.sleep(_LOG_POLL_SECONDS)
            return time.perf_counter() - started

    async def stores(self, count: int, pixels_bytes: int) -> list[float]:
        """Store as many files at the DICOM service itself; return the seconds of each."""
        return [await self._store(head_of(n, pixels_bytes) + bytes(pixels_bytes)) for n in range(count)]

    async def _store(self, content: bytes) -> float:
        started = time.perf_counter()
        headers = {"Content-Type": "application/dicom"}
        async with self.http.post(f"{self.service}/studies", data=content, headers=headers) as response:
            assert response.status == 200, response.status
            await response.read()
        return time.perf_counter() - started


async def _all(steps: Iterable[Callable[[], Awaitable[object]]]) -> None:
    places = asyncio.Semaphore(AT_ONCE)

    async def in_its_place(step: Callable[[], Awaitable[object]]) -> None:
        async with places:
            await step()

    await asyncio.gather(*map(in_its_place, steps))


async def main(options: argparse.Namespace) -> None:
    """Do what each round says."""
    # Azurite closes a connection that rests for 5 s: none shall be used just then.
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(keepalive_timeout=3)) as http:
        await take_turns(Drops(http, **vars(options)).measure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    for name in ("blobs", "queues", "sas", "app", "service"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--log", required=True, type=Path)
    asyncio.run(main(parser.parse_args()))
