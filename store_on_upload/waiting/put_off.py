"""Blobs that have no verdict yet: first the receipt says so, then a message brings them back.

In this order: if the process dies in between, the sweep sees a receipt that is overdue.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace

from azure.core.exceptions import AzureError

from shared import clock
from shared.arrivals import Arrival, Door
from shared.dicomweb import DICOMwebError, Query, StatusError
from shared.events import Failed, event
from shared.telemetry.recording import span
from store_on_upload.beginning import Run, begin, find_arrived
from store_on_upload.finishing import close_gone, finish, report_failure, send_later
from store_on_upload.ingest import Ingest
from store_on_upload.receipts.container import write_receipt
from store_on_upload.receipts.receipt import Receipt
from store_on_upload.setback import STOPPED, Setback, outage

from .deferral import deferred, delay_seconds, given_up, is_waiting, should_give_up

# The platform sets a message aside after five failed runs; so many times that is not the last word.
MAX_POISONINGS = 3
# A replay that fails by itself so often, over some ten hours, ends: the file stays in quarantine.
MAX_REPLAY_TRIES = 9
# Also the answer of a service that is up: the first store in a partition makes it.
_NO_SUCH_PARTITION = 400
# By then the delay is as long as it gets in an outage.
_TRIES_OF_OUTAGES = 5


async def put_off(ingest: Ingest, arrival: Arrival, setback: Setback) -> None:
    """Put a blob off without reading it: while ingest is stopped, or the service is down.

    Raises:
        AzureError, Failed: not possible.
    """
    try:
        version = await find_arrived(ingest, arrival)
        if version is None:
            return await close_gone(ingest, arrival)
        run = await begin(ingest, arrival, version, time.monotonic())
    except (AzureError, Failed) as error:
        report_failure(error)
        return await send_later(ingest, arrival)
    if run.receipt.is_final:
        return await finish(run, run.receipt)
    return await defer(run, setback)


async def defer(run: Run, setback: Setback) -> None:
    """Put a blob off, or give it up where it has failed by itself for too long; so with a replay or a restore.

    Raises:
        AzureError, Failed: not possible.
    """
    ingest, receipt = run.ingest, run.receipt
    if receipt.is_final:
        return await send_later(ingest, run.arrival)
    now = clock.now()
    if ingest.circuit.is_certain:
        setback = replace(setback, is_outage=True)
    # While the circuit is open the file may or may not be at fault: it waits no longer than others.
    waits_as = replace(setback, is_outage=setback.is_outage or ingest.circuit.is_open)
    delay = delay_seconds(receipt.deferrals + 1, waits_as)
    later = deferred(receipt, setback, now, delay)
    if run.arrival.door.is_asked_for:
        return await _replay_later(ingest, run.arrival, later, delay)
    if not setback.is_untried and should_give_up(later, ingest.clients.settings.give_up_after_days):
        if await _service_answers(ingest, receipt.partition):
            return await finish(run, given_up(later, "kept_failing", now))
        later = deferred(receipt, replace(setback, is_outage=True), now, delay)
    return await _wait(run, later, delay)


async def _service_answers(ingest: Ingest, partition: str | None) -> bool:
    """Say whether the DICOM service is up; in an outage that few files meet, each looks as if it failed by itself."""
    try:
        await ingest.clients.dicom_in(partition).search_for_studies(Query(limit=1))
    except StatusError as error:
        return error.status_code == _NO_SUCH_PARTITION
    except DICOMwebError:
        return False
    return True


async def _wait(run: Run, later: Receipt, delay: float) -> None:
    """Write a receipt that is not final, and send the message that brings the blob back when it is due.

    Where the receipt cannot be written, the message alone tells how often the blob was put off.

    Raises:
        AzureError: the message could not be sent.
    """
    ingest = run.ingest
    again = Arrival((run.version.blob.blob_name,), Door.DEFERRAL)
    try:
        with span("write receipt"):
            written = await write_receipt(ingest.clients, later, run.standing)
    except (AzureError, Failed) as error:
        report_failure(error)
        again = replace(again, tries=later.deferrals)
    else:
        if written.is_final:  # another run was faster
            return None
    event("blob_deferred", reason=later.reason, attempts=later.attempts, seconds=round(delay))
    return await ingest.queues.send_back(again, delay)


async def _replay_later(ingest: Ingest, arrival: Arrival, later: Receipt, delay: float) -> None:
    """Put a replay or a restore off: the verdict that stands, stands until there is another; the message alone tells.

    Raises:
        AzureError: the message could not be sent.
    """
    if later.failed_by_itself and later.deferrals >= MAX_REPLAY_TRIES:
        return event("replay_ended", level=logging.WARNING, reason=later.reason, door=arrival.door)
    event("blob_deferred", reason=later.reason, attempts=later.attempts, seconds=round(delay))
    tries = later.deferrals if later.failed_by_itself else min(later.deferrals, _TRIES_OF_OUTAGES)
    return await ingest.queues.send_back(replace(arrival, tries=tries), delay)


async def poisoned(ingest: Ingest, arrival: Arrival) -> None:
    """Deal with a blob whose message the platform has set aside: try again, but not for ever.

    Of several messages of one file, the first one counts until the file's next try is due. While the DICOM service is
    down or ingest is stopped, none counts.

    Raises:
        AzureError, Failed: not possible.
    """
    if arrival.door.is_asked_for:
        return event("replay_ended", level=logging.WARNING, reason="poisoned", door=arrival.door)
    version = await find_arrived(ingest, arrival)
    if version is None:
        return await close_gone(ingest, arrival)
    run = await begin(ingest, arrival, version, time.monotonic())
    if run.receipt.is_final:
        return await send_later(ingest, arrival)
    now = clock.now()
    if is_waiting(run.receipt, now):
        return None
    if await ingest.stop.is_on():
        return await defer(run, STOPPED)
    if ingest.circuit.is_open or not await _service_answers(ingest, run.receipt.partition):
        return await defer(run, outage(is_certain=ingest.circuit.is_certain))
    receipt, setback = replace(run.receipt, poisonings=run.receipt.poisonings + 1), Setback("poisoned", is_outage=False)
    delay = delay_seconds(receipt.poisonings, setback)
    later = deferred(receipt, setback, now, delay)
    if receipt.poisonings >= MAX_POISONINGS:
        return await finish(run, given_up(later, "crashed", now))
    return await _wait(run, later, delay)
