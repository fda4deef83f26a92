"""The end of a blob's walk: the receipt is written, then the file is dealt with, never the other way round.

Or the blob is gone, or it failed; each has its line in the log.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from azure.core.exceptions import AzureError

from shared import clock
from shared.arrivals import Arrival, Door
from shared.clients import Clients
from shared.dicomweb import DICOMwebError
from shared.events import Failed, describe, event, place
from shared.settings import QUARANTINE
from shared.telemetry.recording import span

from .beginning import Run
from .files.disposal import dispose
from .files.moving import Leased
from .files.quarantine import delete_reason_without_file, names_in_quarantine
from .files.source import SourceGone, Version, version_of
from .ingest import Ingest
from .receipts.container import read_receipt, take_in
from .receipts.receipt import Disposition, Receipt, closed
from .setback import Setback
from .storing.uids import is_stored, uids_of
from .waiting.deferral import delay_seconds

_TRIES_OF_SWEEP = 5  # some ten minutes


async def finish(run: Run, receipt: Receipt) -> None:
    """Write a run's final receipt, if it is not written yet, then deal with the file.

    Raises:
        Failed, AzureError: the receipt could not be written, or the file not dealt with nor put off.
    """
    ingest, arrival, version, standing = run.ingest, run.arrival, run.version, run.standing
    is_new = standing is None or standing.of_version(receipt.etag) != receipt
    if is_new:
        is_replay = arrival.door.is_asked_for
        with span("write receipt"):
            receipt, is_new = await take_in(ingest.clients, receipt, standing, is_replay=is_replay)
        if is_new:  # otherwise another run of this version was first, and has said so
            report(receipt, arrival.door, time.monotonic() - run.started)
    try:
        with span("dispose of file"):
            if receipt.was_quarantined and arrival.container is None:
                await _send_out_of_quarantine(ingest, version)
            is_lost = arrival.container == QUARANTINE and not is_new and await _is_lost(ingest.clients, receipt)
            await dispose(ingest.clients, version, receipt, is_repeated=not is_new, is_lost=is_lost)
            if receipt.disposition is Disposition.QUARANTINE and await _is_stored_since(ingest.clients, version):
                await _send_out_of_quarantine(ingest, version)
    except SourceGone:
        ingest.handled.add(version.name, version.etag)  # somebody else was first, or a newer version has come
    except Leased:
        event("file_leased")  # the sweep comes back to it
    except (AzureError, DICOMwebError, Failed) as error:
        event("disposal_failed", level=logging.WARNING, error=describe(error), at=place(error))
        await send_later(ingest, arrival)
    else:
        ingest.handled.add(version.name, version.etag)


async def _is_stored_since(clients: Clients, version: Version) -> bool:
    """Say whether another run has stored a version since this one refused it; that run may have found no copy yet."""
    standing = await read_receipt(clients, version.name)
    latest = standing.of_version(version.etag) if standing else None
    return latest is not None and latest.is_in_service


async def _is_lost(clients: Clients, receipt: Receipt) -> bool:
    """Say whether the service no longer has what a receipt says it has; also if the receipt does not name all UIDs.

    Raises:
        DICOMwebError: the service cannot be asked.
    """
    if not receipt.is_in_service:
        return False
    uids = uids_of(receipt)
    return uids is None or not await is_stored(clients.dicom_in(receipt.partition), uids)


async def _send_out_of_quarantine(ingest: Ingest, version: Version) -> None:
    """Have a stored version's copy taken out of quarantine, as by a replay: another run had refused the file."""
    for name in await names_in_quarantine(ingest.clients, version):
        await ingest.queues.send(Arrival((name,), Door.REPLAY, container=QUARANTINE))


async def send_later(ingest: Ingest, arrival: Arrival) -> None:
    """Have a blob looked at again whose receipt does not tell that it waits.

    Raises:
        AzureError: not possible.
    """
    if arrival.door is Door.SWEEP and arrival.tries >= _TRIES_OF_SWEEP:
        return  # the sweep comes back to it by itself, and would add a message each time
    door = arrival.door if arrival.door.is_asked_for or arrival.door is Door.SWEEP else Door.DEFERRAL
    later = replace(arrival, door=door, tries=arrival.tries + 1)
    await ingest.queues.send_back(later, delay_seconds(later.tries, Setback("storage_failed", is_outage=True)))


async def close_gone(ingest: Ingest, arrival: Arrival) -> None:
    """Close the receipt of a blob that its producer has taken away before it had a verdict, if there is one.

    Raises:
        AzureError, Failed: storage failed.
    """
    event("blob_gone")
    started = time.monotonic()
    if arrival.container == QUARANTINE:
        for name in arrival.names:
            await delete_reason_without_file(ingest.clients, name)
    if arrival.door not in (Door.DEFERRAL, Door.SWEEP):
        return
    for name in arrival.names:
        standing = await read_receipt(ingest.clients, name)
        if standing is None or standing.newest.is_final:
            continue
        if await version_of(ingest.clients.inbox.get_blob_client(name)) is None:
            receipt, is_new = await take_in(ingest.clients, closed(standing.newest, clock.now()), standing)
            if is_new:
                report(receipt, arrival.door, time.monotonic() - started)


def report(receipt: Receipt, door: Door, seconds: float) -> None:
    """Log that a blob has its verdict, and how it came to it."""
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


def report_failure(error: Exception) -> None:
    """Log why a blob has no verdict yet."""
    event("blob_failed", level=logging.WARNING, error=describe(error), at=place(error))
