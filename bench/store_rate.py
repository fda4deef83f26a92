"""Stores a second of instances of 512 KiB: our transport, httpx's own, and aiohttp alone, in turns."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from statistics import median

import aiohttp
import httpx

from bench.sink_and_source import sink_and_source
from shared.dicomweb import Body, DICOMwebClient
from shared.dicomweb.transport import AiohttpTransport
from shared.dicomweb.transport.counting import CHUNK_BYTES

INSTANCE = bytes(512 * 1024)
AT_ONCE = (8, 32)
ROUNDS = 5

Store = Callable[[], Awaitable[object]]


def over(client: DICOMwebClient) -> Store:
    """Store with the client."""
    return lambda: client.store_instance(Body.from_bytes(INSTANCE))


def over_aiohttp(session: aiohttp.ClientSession, url: str) -> Store:
    """Store with nothing but aiohttp: what is the least that it can cost."""

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(INSTANCE), CHUNK_BYTES):
            yield INSTANCE[start : start + CHUNK_BYTES]

    async def store() -> None:
        headers = {"Content-Type": "application/dicom", "Content-Length": str(len(INSTANCE))}
        async with session.post(f"{url}/studies", data=chunks(), headers=headers) as response:
            await response.read()

    return store


async def rate(store: Store, at_once: int, seconds: float) -> float:
    """Return the stores a second, so many at once."""
    until = time.perf_counter() + seconds
    count = 0

    async def one_after_the_other() -> None:
        nonlocal count
        while time.perf_counter() < until:
            await store()
            count += 1

    started = time.perf_counter()
    await asyncio.gather(*[one_after_the_other() for _ in range(at_once)])
    return count / (time.perf_counter() - started)


async def main(seconds: float) -> None:
    """Print the table: the median of the rounds, and its ratio to httpx's."""
    print("| at once | transport | stores/s | to httpx |\n|---|---|---|---|")
    with sink_and_source() as url:
        async with AsyncExitStack() as open_ones:
            plain = httpx.AsyncHTTPTransport(limits=httpx.Limits(max_connections=64, max_keepalive_connections=64))
            stores = {
                "httpx": over(await open_ones.enter_async_context(DICOMwebClient(url, transport=plain))),
                "ours": over(await open_ones.enter_async_context(DICOMwebClient(url, transport=AiohttpTransport()))),
                "aiohttp alone": over_aiohttp(await open_ones.enter_async_context(aiohttp.ClientSession()), url),
            }
            for at_once in AT_ONCE:
                await _print_rows(stores, at_once, seconds)


async def _print_rows(stores: dict[str, Store], at_once: int, seconds: float) -> None:
    rates: dict[str, list[float]] = {name: [] for name in stores}
    for _ in range(ROUNDS):
        for name, store in stores.items():
            rates[name].append(await rate(store, at_once, seconds))
    for name, found in rates.items():
        print(f"| {at_once} | {name} | {median(found):.0f} | {median(found) / median(rates['httpx']):.1f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=1, help="length of a round")
    asyncio.run(main(parser.parse_args().seconds))
