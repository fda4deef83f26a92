"""Our client that stores instances: a side of a measurement."""

from __future__ import annotations

import argparse
import asyncio

from bench.programs import take_turns
from bench.rate import rate
from shared.dicomweb import Body, DICOMwebClient


async def main(url: str, size_bytes: int) -> None:
    """Store in rounds."""
    instance = bytes(size_bytes)
    async with DICOMwebClient(url) as client:

        async def store() -> object:
            return await client.store_instance(Body.from_bytes(instance))

        async def measure(at_once: int, seconds: float) -> float:
            return await rate(store, at_once, seconds)

        await take_turns(measure)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--url", required=True, help="of the DICOM service, with the version")
    parser.add_argument("--size-bytes", type=int, required=True, help="of an instance")
    options = parser.parse_args()
    asyncio.run(main(options.url, options.size_bytes))
