"""Our client that stores instances: a side of a measurement."""

from __future__ import annotations

import asyncio
from itertools import repeat

from bench.instances import Files
from bench.programs import StoreOptions, store_options
from bench.rate import take_turns_at
from shared.dicomweb import Body, DICOMwebClient


async def main(options: StoreOptions) -> None:
    """Store in rounds."""
    files = Files(options.size_bytes) if options.are_kept else repeat(bytes(options.size_bytes))
    async with DICOMwebClient(options.url, single_part=not options.are_kept) as client:

        async def store() -> None:
            result = await client.store_instance(Body.from_bytes(next(files)))
            assert result.outcome_of().is_stored or not options.are_kept

        await take_turns_at(store)


if __name__ == "__main__":
    asyncio.run(main(store_options(__doc__)))
