"""A pass of the sweep over an inbox where all is stored, beside what the SDK takes to list the same."""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ProcessPoolExecutor
from contextlib import aclosing

from bench.memory import MIB, status_bytes
from bench.servers.listing_server import listing_server
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient
from shared.settings import RECEIPTS, load
from store_on_upload.ingest import Ingest
from store_on_upload.sweeping import sweep as sweeping

_SERVICE = "http://127.0.0.1:1/v2"


async def list_names(clients: Clients) -> None:
    """List both containers by the SDK, which reads the names alone."""
    for container in (clients.inbox, clients.container(RECEIPTS)):
        async for _ in container.list_blob_names(results_per_page=5000):
            pass


async def list_blobs(clients: Clients) -> None:
    """List both containers by the SDK, which reads all that is said of each blob."""
    for container in (clients.inbox, clients.container(RECEIPTS)):
        async for _ in container.list_blobs(include=["metadata"], results_per_page=5000):
            pass


async def sweep(clients: Clients) -> None:
    """Make a whole pass."""
    await sweeping.sweep(Ingest.over(clients))


async def measure(work: Callable[[Clients], Awaitable[None]], connection: str) -> tuple[float, float]:
    """Return the seconds that it keeps the processor busy, by which the app's other work is held up, and MiB of memory.

    Args:
        work: to do.
        connection: the connection string of the storage.
    """
    sweeping._BUDGET_SECONDS = 3600  # all in one run
    settings = load({"DICOM_SERVICE_URL": _SERVICE, "DICOM_STORAGE": connection})
    async with aclosing(Clients.over(settings, DICOMwebClient(_SERVICE))) as clients:
        began = time.process_time()
        await work(clients)
        return time.process_time() - began, status_bytes("VmHWM") / MIB


def measured(work: Callable[[Clients], Awaitable[None]], connection: str) -> tuple[float, float]:
    """Measure in a process of its own, whose memory has not been another's before."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as process:
        return process.submit(_run, work, connection).result()


def _run(work: Callable[[Clients], Awaitable[None]], connection: str) -> tuple[float, float]:
    return asyncio.run(measure(work, connection))


def main(blobs: int) -> None:
    """Print the table: seconds of the processor for so many blobs, and for a million at that rate."""
    print("| | processor, s | for a million | to the names alone | peak of memory, MiB |\n|---|---|---|---|---|")
    with listing_server(blobs) as connection:
        first = 0.0
        for name, work in (("list names", list_names), ("sweep", sweep), ("list blobs", list_blobs)):
            took, peak = measured(work, connection)
            first = first or took
            print(f"| {name} | {took:.1f} | {took / blobs * 1e6:.0f} | {took / first:.2f} | {peak:.0f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blobs", type=int, default=100_000, help="in the inbox, each with its receipt")
    main(parser.parse_args().blobs)
