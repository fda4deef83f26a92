"""Stores with aiohttp and nothing above it: what is the least that it can cost in Python."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable

import aiohttp

from bench.instances import Files
from bench.programs import StoreOptions, store_options
from bench.rate import take_turns_at

_CHUNK_BYTES = 256 * 1024
_LARGEST_WHOLE_BYTES = 1024 * 1024  # more at a time would hold up the event loop, as aiohttp warns


async def main(options: StoreOptions) -> None:
    """Store in rounds."""
    async with aiohttp.ClientSession() as session:
        headers, new_body = _multipart(options) if options.are_kept else _same(options.size_bytes)

        async def store() -> None:
            async with session.post(f"{options.url}/studies", data=new_body(), headers=headers) as response:
                await response.read()
                assert response.status == 200

        await take_turns_at(store)


def _same(size_bytes: int) -> tuple[dict[str, str], Callable[[], bytes | AsyncIterator[memoryview]]]:
    instance = bytes(size_bytes)
    view = memoryview(instance)  # whose slices are no copies
    headers = {"Content-Type": "application/dicom", "Content-Length": str(size_bytes)}

    async def chunks() -> AsyncIterator[memoryview]:
        for start in range(0, size_bytes, _CHUNK_BYTES):
            yield view[start : start + _CHUNK_BYTES]

    return headers, lambda: instance if size_bytes <= _LARGEST_WHOLE_BYTES else chunks()


def _multipart(options: StoreOptions) -> tuple[dict[str, str], Callable[[], bytes]]:
    files = Files(options.size_bytes)
    headers = {
        "Content-Type": 'multipart/related; type="application/dicom"; boundary=b',
        "Accept": "application/dicom+json",
    }
    return headers, lambda: b"--b\r\nContent-Type: application/dicom\r\n\r\n" + next(files) + b"\r\n--b--\r\n"


if __name__ == "__main__":
    asyncio.run(main(store_options(__doc__)))
