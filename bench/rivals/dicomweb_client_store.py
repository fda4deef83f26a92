"""Stores with dicomweb-client, one request after the other, each with one instance or several."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial

from dicomweb_client.api import DICOMwebClient
from pydicom.dataset import Dataset

from bench.instances import instance_of
from bench.programs import StoreOptions, store_options, take_turns


async def main(options: StoreOptions) -> None:
    """Store in rounds."""
    client, same = DICOMwebClient(options.url), instance_of(options.size_bytes)
    new: Callable[[], Dataset] = partial(instance_of, options.size_bytes) if options.are_kept else lambda: same

    async def measure(batch: int, seconds: float) -> float:
        started = time.perf_counter()
        count = 0
        while time.perf_counter() - started < seconds:
            client.store_instances([new() for _ in range(batch)])
            count += batch
        return count / (time.perf_counter() - started)

    await take_turns(measure)


if __name__ == "__main__":
    asyncio.run(main(store_options(__doc__)))
