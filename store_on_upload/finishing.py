"""The end of a blob's walk: the receipt is written, then the file is dealt with, never the other way round."""

from __future__ import annotations

import time

from shared.events import event

from .arrivals import Arrival, Door
from .disposal import dispose
from .ingest import Ingest
from .moving import Leased
from .receipt import Document, Receipt
from .receipts import write_receipt
from .source import SourceGone, Version


async def finish(
    ingest: Ingest,
    arrival: Arrival,
    version: Version,
    receipt: Receipt,
    standing: Document | None,
    started: float,
) -> None:
    """Write a final receipt, if it is not written yet, then deal with the file.

    Args:
        ingest: what it works with.
        arrival: how the blob came.
        version: of the blob.
        receipt: final.
        standing: the receipts of its name, where they were read.
        started: when the run began, of `time.monotonic`.

    Raises:
        Failed, AzureError: one of them could not be done.
    """
    is_written = standing is not None and standing.of_version(receipt.etag) == receipt
    if not is_written:
        receipt = await write_receipt(ingest.clients, receipt, standing)
        _report(receipt, arrival.door, time.monotonic() - started)
    try:
        await dispose(ingest.clients, version, receipt)
    except SourceGone:
        pass  # somebody else was first, or a newer version has come
    except Leased:
        event("file_leased")  # the sweep comes back to it
        return
    ingest.handled.add(version.name, version.etag)


def _report(receipt: Receipt, door: Door, seconds: float) -> None:
    event(
        "blob_decided",
        verdict=receipt.verdict,
        reason=receipt.reason,
        service_code=receipt.service_code,
        attributes=receipt.attributes or None,
        bytes=receipt.size_bytes,
        seconds=round(seconds, 3),
        attempts=receipt.attempts,
        source=receipt.source,
        door=door,
    )
