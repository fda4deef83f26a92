"""A blob that was missed is sent on: first its receipt says so, then a message goes to the handler.

In this order, and the receipt only where nobody has changed it meanwhile: then the next sweep leaves the blob alone,
and a verdict that was given in between stands.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

from shared import clock
from shared.arrivals import Arrival, Door
from store_on_upload.files.listing import Row
from store_on_upload.files.source import version_of
from store_on_upload.ingest import Ingest
from store_on_upload.receipts.container import read_receipt, write_if_unchanged
from store_on_upload.receipts.document import Document, merge
from store_on_upload.receipts.known import Known
from store_on_upload.receipts.receipt import Receipt, State, timestamp

from .overdue import Step, Times, step_for

# How long a message may lie behind others before it is taken to be lost.
_DUE = timedelta(hours=1)


async def send_on(ingest: Ingest, row: Row, known: Known | None, step: Step, times: Times) -> bool:
    """Queue a blob that was missed, or whose file is to be disposed of; return whether it was.

    Raises:
        Failed: its receipt cannot be read.
        AzureError: storage failed.
    """
    if step is Step.QUEUE:
        step = await _mark(ingest, row, known, times)
    if step is Step.LEAVE:
        return False
    await ingest.queues.send(Arrival((row.name,), Door.SWEEP))
    return True


async def _mark(ingest: Ingest, row: Row, known: Known | None, times: Times) -> Step:
    """Write a receipt that says that the blob is queued; return what is to be done after all."""
    clients = ingest.clients
    if known is None and await write_if_unchanged(clients, Document(_queued(_receipt(ingest, row)))):
        return Step.QUEUE
    standing = await read_receipt(clients, row.name)
    if standing is None:  # it was deleted just now
        return Step.LEAVE
    step = step_for(row, Known.of_document(standing, row.etag), times)
    if step is not Step.QUEUE:
        return step
    if not standing.expects(row.etag) and await version_of(clients.inbox.get_blob_client(row.name)) != row.etag:
        return Step.LEAVE  # overwritten or deleted since it was listed
    earlier = standing.of_version(row.etag)
    receipt = _queued(_receipt(ingest, row) if earlier is None or earlier.is_final else earlier)
    document = merge(standing, receipt, is_current=True, now=clock.now())
    return Step.QUEUE if await write_if_unchanged(clients, document) else Step.LEAVE


def _receipt(ingest: Ingest, row: Row) -> Receipt:
    receipt = Receipt(row.name, row.etag, row.size, timestamp(row.last_modified))
    return receipt.under(ingest.clients.sources.policy_for(row.name))


def _queued(receipt: Receipt) -> Receipt:
    return replace(receipt, state=State.QUEUED, reason="swept", due_at=timestamp(clock.now() + _DUE))
