"""A file of 2 GiB beside a thousand small ones: how much the app grows by it, and how long the small ones take.

The app's handler runs in this process, on Azurite and the stand-in of the DICOM service, each a process of its own.
"""

from __future__ import annotations

import argparse
import asyncio
import struct
import tempfile
import time
from collections.abc import Sequence
from contextlib import aclosing
from pathlib import Path

from azure.storage.blob import BlobBlock, ContainerClient

from bench.transfer_memory import MIB, reset_peak_bytes, status_bytes
from local.soak.plan import small_instance
from local.stack import Stack
from local.tokens import Bearer
from shared.arrivals import Arrival, Door
from shared.clients import Clients
from shared.dicomweb import DICOMwebClient
from shared.settings import load
from store_on_upload.ingest import Ingest
from store_on_upload.receipts.container import read_receipt
from store_on_upload.upload import handle

SMALL_ONES = 1000
AT_ONCE = 24  # what one instance of the host takes off a queue
_BLOCK_BYTES = 4 * MIB
_LENGTH_AND_PIXELS = 4 + 64  # the end of a small instance


def upload_small(inbox: ContainerClient, names: Sequence[str], first: int) -> None:
    """Upload small instances."""
    for number, name in enumerate(names, first):
        inbox.upload_blob(name, small_instance(number)[0])


def upload_large(inbox: ContainerClient, name: str, number: int, pixels_bytes: int) -> None:
    """Upload an instance with so many bytes of pixels, a multiple of 4 MiB, all 0."""
    blob = inbox.get_blob_client(name)
    head = small_instance(number)[0][:-_LENGTH_AND_PIXELS] + struct.pack("<L", pixels_bytes)
    blob.stage_block("0000", head)
    ids = [f"{block:04}" for block in range(1, pixels_bytes // _BLOCK_BYTES + 1)]
    for block in ids:
        blob.stage_block(block, bytes(_BLOCK_BYTES))
    blob.commit_block_list([BlobBlock(block) for block in ("0000", *ids)])


async def measure(clients: Clients, small: Sequence[str], large: str | None = None) -> tuple[float, float, float]:
    """Handle the files; return the growth at its peak in bytes, the seconds of the small ones, and those of all."""
    ingest, places = Ingest.over(clients), asyncio.Semaphore(AT_ONCE)

    async def one(name: str) -> None:
        async with places:
            await handle(ingest, Arrival((name,), Door.BLOB))

    before, started = reset_peak_bytes(), time.perf_counter()
    first = [asyncio.create_task(one(large))] if large else []
    await asyncio.gather(*map(one, small))
    small_seconds = time.perf_counter() - started
    await asyncio.gather(*first)
    seconds, growth = time.perf_counter() - started, status_bytes("VmHWM") - before
    for name in (*small, *filter(None, (large,))):
        document = await read_receipt(clients, name)
        assert document is not None
        assert document.newest.verdict == "stored", document.newest.reason
    return growth, small_seconds, seconds


async def main(folder: Path, large_mib: int) -> None:
    """Print the table; a first round, which is not shown, has everything in place."""
    with Stack(folder, settings={"AzureWebJobs.store_on_upload.Disabled": "true"}) as stack:
        rounds = {name: [f"{name}/{n}.dcm" for n in range(SMALL_ONES)] for name in ("first", "alone", "beside")}
        with ContainerClient.from_connection_string(stack.connection_string, "dicom-inbox") as inbox:
            for number, names in enumerate(rounds.values()):
                upload_small(inbox, names, number * SMALL_ONES)
            upload_large(inbox, "large.dcm", 10 * SMALL_ONES, large_mib * MIB)
        settings = load(stack.environment())
        dicom = DICOMwebClient(settings.dicom_service_url, auth=Bearer(stack.token()))
        async with aclosing(Clients.over(settings, dicom)) as clients:
            await measure(clients, rounds["first"])
            print("| files | growth at its peak, MiB | seconds of the small ones | of all |\n|---|---|---|---|")
            _print_row(f"{SMALL_ONES} small ones", await measure(clients, rounds["alone"]))
            _print_row(f"and one of {large_mib} MiB", await measure(clients, rounds["beside"], "large.dcm"))


def _print_row(name: str, found: tuple[float, float, float]) -> None:
    growth, small_seconds, seconds = found
    print(f"| {name} | {growth / MIB:.1f} | {small_seconds:.1f} | {seconds:.1f} |")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--mib", type=int, default=2048, help="size of the large file")
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(Path(folder), parser.parse_args().mib))
