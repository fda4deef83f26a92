"""Our client that stores instances: a side of a measurement."""

from __future__ import annotations

import asyncio

from bench.programs import store_options
from bench.rate import take_turns_at
from shared.dicomweb import Body, DICOMwebClient


async def main(url: str, size_bytes: int) -> None:
    """Store in rounds."""
    instance = bytes(size_bytes)
    async with DICOMwebClient(url) as client:

        async def store() -> object:
            return await client.store_instance(Body.from_bytes(instance))

        await take_turns_at(store)


if __name__ == "__main__":
    asyncio.run(main(*store_options(__doc__)))
