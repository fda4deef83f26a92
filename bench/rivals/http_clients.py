"""Stores with an HTTP client and nothing above it, on asyncio's event loop or uvloop's."""

from __future__ import annotations

import argparse
import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from importlib import import_module
from typing import TypeAlias

from bench.rate import take_turns_at

HEADERS = {"Content-Type": "application/dicom"}
Store: TypeAlias = Callable[[], Awaitable[int]]  # sends, and returns the status of an answer that was read


@asynccontextmanager
async def by_aiohttp(url: str, instance: bytes) -> AsyncIterator[Store]:
    """What our transport has below it."""
    import aiohttp

    async with aiohttp.ClientSession() as session:

        async def store() -> int:
            async with session.post(url, data=instance, headers=HEADERS) as response:
                await response.read()
                return response.status

        yield store


@asynccontextmanager
async def by_httpx(url: str, instance: bytes, package: str = "httpx") -> AsyncIterator[Store]:
    """httpx, or httpx2, which has the same API, on connections of its own."""
    async with import_module(package).AsyncClient(trust_env=False) as client:

        async def store() -> int:
            status: int = (await client.post(url, content=instance, headers=HEADERS)).status_code
            return status

        yield store


@asynccontextmanager
async def by_pyreqwest(url: str, instance: bytes) -> AsyncIterator[Store]:
    """Rust's reqwest."""
    from pyreqwest.client import ClientBuilder

    async with ClientBuilder().build() as client:

        async def store() -> int:
            response = await client.post(url).headers(HEADERS).body_bytes(instance).build().send()
            await response.bytes()
            status: int = response.status
            return status

        yield store


CLIENTS: dict[str, Callable[[str, bytes], AbstractAsyncContextManager[Store]]] = {
    "aiohttp": by_aiohttp,
    "httpx": by_httpx,
    "httpx2": partial(by_httpx, package="httpx2"),
    "pyreqwest": by_pyreqwest,
}


async def main(url: str, size_bytes: int, client: str) -> None:
    """Store in rounds."""
    async with CLIENTS[client](url, bytes(size_bytes)) as store:

        async def checked() -> None:
            assert await store() == 200

        await take_turns_at(checked)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="to send to")
    parser.add_argument("--size-bytes", type=int, required=True, help="of an instance")
    parser.add_argument("--client", choices=CLIENTS, required=True)
    parser.add_argument("--uvloop", action="store_true", help="in place of asyncio's event loop")
    options = parser.parse_args()
    if options.uvloop:
        import uvloop as loop
    else:
        loop = asyncio
    loop.run(main(options.url, options.size_bytes, options.client))
