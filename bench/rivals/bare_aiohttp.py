"""Stores with aiohttp and nothing above it: what is the least that it can cost in Python."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp

from bench.programs import store_options
from bench.rate import take_turns_at

_CHUNK_BYTES = 256 * 1024
_LARGEST_WHOLE_BYTES = 1024 * 1024  # more at a time would hold up the event loop, as aiohttp warns


async def main(url: str, size_bytes: int) -> None:
    """Store in rounds."""
    instance = bytes(size_bytes)
    headers = {"Content-Type": "application/dicom", "Content-Length": str(size_bytes)}

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, size_bytes, _CHUNK_BYTES):
            yield instance[start : start + _CHUNK_BYTES]

    async with aiohttp.ClientSession() as session:

        async def store() -> None:
            body = instance if size_bytes <= _LARGEST_WHOLE_BYTES else chunks()
            async with session.post(f"{url}/studies", data=body, headers=headers) as response:
                await response.read()
                assert response.status == 200

        await take_turns_at(store)


if __name__ == "__main__":
    asyncio.run(main(*store_options(__doc__)))
