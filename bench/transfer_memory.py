"""How much the client's process grows while it stores and retrieves an instance of 2 GiB."""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable

from bench.memory import MIB, reset_peak_bytes, status_bytes
from bench.servers.sink_and_source import sink_and_source
from shared.dicomweb import Body, DICOMwebClient
from shared.dicomweb.transport.counting import CHUNK_BYTES


async def store(client: DICOMwebClient, size_bytes: int) -> None:
    """Send an instance that is made as it goes."""
    chunk = bytes(CHUNK_BYTES)

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(size_bytes // CHUNK_BYTES):
            yield chunk

    await client.store_instance(Body(chunks, size_bytes))


async def retrieve(client: DICOMwebClient, size_bytes: int) -> None:
    """Read an instance and drop it."""
    received = 0
    async with client.retrieve_instance(
        study_instance_uid="1.2.3", series_instance_uid="1.2.3.4", sop_instance_uid="1.2.3.4.5"
    ) as part:
        async for chunk in part.chunks():
            received += len(chunk)
    assert received == size_bytes


async def measure(url: str, transfer: Callable[[DICOMwebClient, int], Awaitable[None]], size_bytes: int) -> str:
    """Return a row: the name, the memory before, the growth at its peak in MiB, and the rate in MiB/s."""
    async with DICOMwebClient(url) as client:
        before = reset_peak_bytes()
        started = time.perf_counter()
        await transfer(client, size_bytes)
        seconds = time.perf_counter() - started
        growth = status_bytes("VmHWM") - before
    size = size_bytes / MIB
    return f"| {transfer.__name__} {size:.0f} MiB | {before / MIB:.0f} | {growth / MIB:.1f} | {size / seconds:.0f} |"


async def main(size_bytes: int) -> None:
    """Print the table."""
    print("| transfer | resident before, MiB | growth at its peak, MiB | MiB/s |\n|---|---|---|---|")
    with sink_and_source(size_bytes) as url:
        for transfer in (store, retrieve):
            print(await measure(url, transfer, size_bytes))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=2048, help="size of the instance")
    asyncio.run(main(parser.parse_args().mib * MIB))
